"""The tests of the rules for promtool, from the cases in tests/monitoring/cases.

A case says which series there are and when the alert must fire, with which labels and texts; `silent` cases say when it
must not. What every alert has (severity, service, links) is added here, written independently of rules.py.
"""

import re

import yaml

from sources import ROOT, Sources, dump

FOLDER = "tests/monitoring"
RULES = "../../k8s/base/monitoring/prometheus/rules"
NODE = {"cluster": "c1", "namespace": "tidemark", "job": "tidemark"}


def files(sources: Sources) -> dict[str, str]:
    """One file for each file of cases and each interval of evaluation: over a day, every 15 s would take too long."""
    # As they stand: what is recorded comes before what asks for it. Left to itself promtool takes any order.
    groups = [group["name"] for group in (*sources.recording, *sources.alerts)] + ["tidemark-aliases"]
    found = {}
    for file in sorted((ROOT / FOLDER / "cases").glob("*.yaml")):
        tests: dict[str, list] = {}
        for case in yaml.safe_load(file.read_text()):
            for one in tests_of(sources, case):
                tests.setdefault(evaluation_interval(one), []).append(one)
        for interval, chosen in tests.items():
            text = dump(
                {
                    "rule_files": [f"{RULES}/rules.yaml", f"{RULES}/rules-aliases.yaml"],
                    "evaluation_interval": interval,
                    "group_eval_order": groups,
                    "tests": chosen,
                },
                "@",
            )
            head = f"{FOLDER}/cases/{file.name}"
            found[f"{FOLDER}/{file.stem}-{interval}.test.yaml"] = text.replace("k8s/base/monitoring/source/@", head)
    return found


def evaluation_interval(one: dict) -> str:
    if one["interval"] == "15s":
        return "15s"
    times = [check["eval_time"] for part in ("alert_rule_test", "promql_expr_test") for check in one.get(part, [])]
    longest = max(map(seconds, times))
    return "1m" if longest <= 2 * 3600 else "5m" if longest <= 12 * 3600 else "30m"


def seconds(duration: str) -> int:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", duration))


def tests_of(sources: Sources, case: dict) -> list[dict]:
    if "record" in case:
        return [record_test(case)]
    alert = next(a for a in sources.all_alerts() if a["alert"] == case["alert"]) if "alias_of" not in case else None
    return [
        *(firing_test(sources, case, alert, one) for one in case["fires"]),
        *(silent_test(case, one) for one in case["silent"]),
    ]


def node(number: int) -> dict:
    return NODE | {"instance": f"10.0.0.{number + 1}:8089", "pod": f"tidemark-{number}"}


def expand(series: dict) -> list[dict]:
    """`metric{@0@}` is metric of node 0."""
    def labels(of: dict) -> str:
        return ",".join(f'{name}="{value}"' for name, value in of.items())

    found = []
    for name, values in series.items():
        for number in range(3):
            name = name.replace(f"@{number}@", labels(node(number)))
        name = name.replace("@c@", 'cluster="c1",namespace="tidemark"')
        # promtool reads 0x20 as a hexadecimal number.
        found.append({"series": name, "values": " ".join(re.sub("^0x", "0+0x", one) for one in str(values).split())})
    return found


def firing_test(sources: Sources, case: dict, alert: dict, one: dict) -> dict:
    labels = {"node": node(0), "cluster": {"cluster": "c1", "namespace": "tidemark"}, "none": {}}[one.get("of", "node")]
    labels = {name: value for name, value in (labels | one.get("labels", {})).items() if value is not None}
    annotations = {"summary": one.get("summary", ""), "description": one.get("description", "")}
    if alert is None:
        labels |= {"severity": "none", "service": "tidemark", "alias_of": case["alias_of"]}
        annotations = {"summary": one.get("summary", ""), "runbook_url": sources.runbook_url(case["alias_of"])}
    else:
        scope = f"?var-namespace={labels.get('namespace', '')}"
        if "instance" in labels:
            scope += f"&var-node={labels['instance']}"
        labels |= {"severity": case["severity"], "service": "tidemark"}
        annotations["runbook_url"] = sources.runbook_url(case["alert"])
        annotations["dashboard_url"] = f"/d/tidemark-{case['dashboard']}{scope}"
    checks = [{"eval_time": one["quiet"], "alertname": case["alert"], "exp_alerts": []}] if "quiet" in one else []
    expected = {"exp_labels": labels, "exp_annotations": annotations}
    checks.append({"eval_time": one["at"], "alertname": case["alert"], "exp_alerts": [expected]})
    return test(f"{case['alert']} fires: {one['why']}", one, checks)


def silent_test(case: dict, one: dict) -> dict:
    check = {"eval_time": one["at"], "alertname": case["alert"], "exp_alerts": []}
    return test(f"{case['alert']} is silent: {one['why']}", one, [check])


def record_test(case: dict) -> dict:
    samples = [{"labels": name, "value": value} for name, value in case["is"].items()]
    return {
        "name": f"{case['record']}: {case['why']}",
        "interval": case.get("interval", "1m"),
        "input_series": expand(case["series"]),
        "promql_expr_test": [
            {"expr": f"round({case['record']}, {case.get('to', 0.001)})", "eval_time": case["at"], "exp_samples": samples}
        ],
    }


def test(name: str, one: dict, checks: list[dict]) -> dict:
    return {
        "name": name,
        "interval": one.get("interval", "1m"),
        "input_series": expand(one["series"]),
        "alert_rule_test": checks,
    }
