"""docs/reference/metrics.md: the catalogue as a table for people, with the recording rules."""

from sources import HERE, Sources


def files(sources: Sources) -> dict[str, str]:
    parts = [(HERE / "reference.md").read_text()]
    for group in sources.catalogue:
        parts.append(f"\n## {group['title']}\n\n| Metric | Type | Unit | Labels | Meaning |\n| --- | --- | --- | --- | --- |\n")
        parts += [row(metric) for metric in group["metrics"]]
    parts.append("\n## Recorded by Prometheus\n\n| Metric | From |\n| --- | --- |\n")
    for group in sources.recording:
        for rule in group["rules"]:
            labels = "".join(f" `{name}=\"{value}\"`" for name, value in rule.get("labels", {}).items())
            expr = " ".join(rule["expr"].split()).replace("|", "\\|")
            parts.append(f"| `{rule['record']}`{labels} | `{expr}` |\n")
    return {"docs/reference/metrics.md": "".join(parts)}


def row(metric: dict) -> str:
    meaning = metric["meaning"] + (f" Only {metric['when']}." if "when" in metric else "")
    return f"| `{metric['name']}` | {metric['type']} | {metric['unit']} | {labels(metric)} | {meaning} |\n"


def labels(metric: dict) -> str:
    declared = metric.get("labels", [])
    if isinstance(declared, list):
        return ", ".join(f"`{name}`" for name in declared) or "–"
    return ", ".join(f"`{name}` ({', '.join(values)})" for name, values in declared.items())
