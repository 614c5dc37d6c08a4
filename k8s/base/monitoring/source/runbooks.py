"""The heads of the runbooks, and their index. What stands below a head is written by hand and stays as it is."""

from sources import ROOT, Sources

FOLDER = "docs/runbooks"
END = "<!-- The head above is made by `make monitoring`; what follows is written by hand. -->\n"
SKELETON = "\n## Meaning\n\n## Impact\n\n## Diagnosis\n\n## Mitigation\n\n## Do not\n"
SEVERITIES = {
    "critical": "wakes somebody up",
    "warning": "looked at during working hours",
    "info": "for dashboards and reviews",
}


def files(sources: Sources) -> dict[str, str]:
    found = {f"{FOLDER}/README.md": index(sources)}
    for alert in sources.all_alerts():
        path = f"{FOLDER}/{alert['alert']}.md"
        file = ROOT / path
        _, is_marked, body = (file.read_text() if file.exists() else "").partition(END)
        found[path] = head(sources, alert) + END + (body if is_marked else SKELETON)
    return found


def head(sources: Sources, alert: dict) -> str:
    duration = "at once" if alert["for"] == "0s" else f"after {alert['for']}"
    return (
        f"# {alert['alert']}\n\n"
        f"**{alert['severity']}** {duration} · dashboard `tidemark-{alert['dashboard']}` · [all runbooks](README.md)\n\n"
        f"```promql\n{alert['expr'].rstrip()}\n```\n\n"
    )


def index(sources: Sources) -> str:
    intro = (ROOT / "k8s/base/monitoring/source/runbooks.md").read_text()
    lines = [intro]
    for severity, meaning in SEVERITIES.items():
        lines.append(f"\n### {severity}: {meaning}\n\n| Alert | After | Group |\n| --- | --- | --- |\n")
        for group in sources.alerts:
            for alert in group["alerts"]:
                if alert["severity"] == severity:
                    name = alert["alert"]
                    lines.append(f"| [{name}]({name}.md) | {alert['for']} | {group['name']} |\n")
    lines.append("\n### none: other names\n\n| Name | Stands for |\n| --- | --- |\n")
    lines += [f"| `{alias}` | [{of}]({of}.md) |\n" for alias, of in sources.aliases.items()]
    return "".join(lines)
