#!/usr/bin/env python3
"""Whether rules, dashboards, runbooks, tests and the catalogue of metrics belong together.

    check.py                        all that needs no node
    check.py --metrics-url URL      what a running node exports against the catalogue, both ways
    check.py --metrics-file FILE    the same, of an answer that was kept
    check.py --tidemark BINARY      every command that runbooks name exists
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import yaml

import exposition
import expressions

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "k8s/base/monitoring"
RUNBOOKS = ROOT / "docs/runbooks"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Do not"]
SEVERITIES = {"critical", "warning", "info"}
# What the scrape adds to every series, and what is computed.
TARGET_LABELS = {"cluster", "namespace", "instance", "pod", "job", "le"}


def load(path: Path):
    return yaml.safe_load(path.read_text())


def catalogue() -> dict[str, dict]:
    groups = load(MONITORING / "source/metrics.yaml")["groups"]
    return {metric["name"]: metric for group in groups for metric in group["metrics"]}


def rules() -> list[dict]:
    files = sorted((MONITORING / "prometheus/rules").glob("rules*.yaml"))
    return [rule for file in files for group in load(file)["groups"] for rule in group["rules"]]


def alerts() -> list[dict]:
    return [rule for rule in rules() if "alert" in rule and "alias_of" not in rule["labels"]]


def dashboards() -> dict[str, dict]:
    return {file.stem: json.loads(file.read_text()) for file in sorted((MONITORING / "grafana/dashboards").glob("*.json"))}


def panels(dashboard: dict) -> list[dict]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions_of_dashboards() -> list[tuple[str, str]]:
    found = []
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            found += [(f"{name}, {panel['title']}", target["expr"]) for target in panel["targets"]]
        found += [(f"{name}, annotation", one["expr"]) for one in dashboard["annotations"]["list"] if "expr" in one]
        for variable in dashboard["templating"]["list"]:
            if asked := re.fullmatch(r"label_values\((.*), (\w+)\)", variable.get("definition", "")):
                found.append((f"{name}, variable {variable['name']}", asked[1]))
    return found


def without_variables(expr: str) -> str:
    return expr.replace("$__rate_interval", "5m").replace("$__range", "1h")


def check_metrics_are_known() -> list[str]:
    known, wrong = set(), []
    metrics = catalogue()
    for metric in metrics.values():
        known |= {metric["name"] + suffix for suffix in ("", *exposition.SUFFIXES.get(metric["type"], ()))}
    known |= {name for names in load(MONITORING / "source/outside.yaml").values() for name in names}
    known |= {rule["record"] for rule in rules() if "record" in rule}
    asked = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules()] + expressions_of_dashboards()
    used = set()
    for where, expr in asked:
        expr = without_variables(expr)
        used |= expressions.names(expr)
        wrong += [f"{where}: {name} is neither in metrics.yaml nor in outside.yaml" for name in expressions.names(expr) - known]
        for metric, label, operator, value in expressions.matchers(expr):
            base = re.sub(r"_(bucket|sum|count)$", "", metric)
            of = metrics.get(metric) or metrics.get(base)
            if of is None or label in TARGET_LABELS:
                continue
            declared = of.get("labels", [])
            if label not in declared:
                wrong.append(f"{where}: {metric} has no label {label}")
            elif isinstance(declared, dict) and operator == "=" and value not in declared[label]:
                wrong.append(f"{where}: {metric} has no {label}={value!r}")
    outside = {name for names in load(MONITORING / "source/outside.yaml").values() for name in names}
    wrong += [f"outside.yaml: nothing uses {name}" for name in sorted(outside - used)]
    return wrong


def check_queries_parse() -> list[str]:
    """With promtool, which reads them as rules."""
    asked = [
        {"record": f"asked:{number}", "expr": re.sub(r"\$\w+", "x", without_variables(expr))}
        for number, (_, expr) in enumerate(expressions_of_dashboards())
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({"groups": [{"name": "asked", "rules": asked}]}, file)
        file.flush()
        done = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True, check=False)
    names = [where for where, _ in expressions_of_dashboards()]
    said = re.sub(r"asked:(\d+)", lambda number: names[int(number[1])], done.stdout + done.stderr)
    return [said] if done.returncode else []


def check_alerts() -> list[str]:
    wrong = []
    known = {dashboard["uid"] for dashboard in dashboards().values()}
    names = [alert["alert"] for alert in alerts()]
    if len(names) < 30 or len(set(names)) != len(names):
        wrong.append(f"{len(names)} alerts, {len(set(names))} names")
    for alert in alerts():
        name, notes = alert["alert"], alert["annotations"]
        if alert["labels"]["severity"] not in SEVERITIES:
            wrong.append(f"{name}: unknown severity")
        if not notes["runbook_url"].endswith(f"/docs/runbooks/{name}.md"):
            wrong.append(f"{name}: its link leads to {notes['runbook_url']}")
        uid = re.match(r"/d/([\w-]+)", notes["dashboard_url"])
        if not uid or uid[1] not in known:
            wrong.append(f"{name}: there is no dashboard {notes['dashboard_url']}")
        if not notes["summary"].strip() or not notes["description"].rstrip().endswith("."):
            wrong.append(f"{name}: the description is no sentence")
    return wrong


def check_every_alert_has_tests() -> list[str]:
    fires, silent = set(), set()
    for file in Path(__file__).parent.glob("*.test.yaml"):
        for test in load(file)["tests"]:
            for check in test.get("alert_rule_test", []):
                (fires if check["exp_alerts"] else silent).add(check["alertname"])
    names = {rule["alert"] for rule in rules() if "alert" in rule}
    return [f"{name}: no test in which it fires" for name in sorted(names - fires)] + [
        f"{name}: no test in which it is silent" for name in sorted(names - silent)
    ]


def check_runbooks() -> list[str]:
    wrong = []
    names = {alert["alert"] for alert in alerts()}
    found = {file.stem for file in RUNBOOKS.glob("*.md")} - {"README"}
    wrong += [f"{name}: no runbook" for name in sorted(names - found)]
    wrong += [f"{name}.md: there is no such alert" for name in sorted(found - names)]
    for name in sorted(found & names):
        text = (RUNBOOKS / f"{name}.md").read_text()
        parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
        if parts[1::2] != SECTIONS:
            wrong.append(f"{name}.md: has the sections {parts[1::2]} and not {SECTIONS}")
        wrong += [f"{name}.md: {title} is empty" for title, body in zip(parts[1::2], parts[2::2]) if len(body.strip()) < 20]
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if not (RUNBOOKS / target).exists():
                wrong.append(f"{name}.md: the link to {target} leads nowhere")
        for target, anchor in re.findall(r"\]\(([^)#\s]+\.md)#([\w-]+)\)", text):
            titles = re.findall(r"^#+ (.+)$", (RUNBOOKS / target).read_text(), re.MULTILINE)
            if anchor not in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}:
                wrong.append(f"{name}.md: {target} has no section {anchor}")
    return wrong


def check_dashboards() -> list[str]:
    wrong = []
    for file, dashboard in dashboards().items():
        if dashboard["uid"] != file or dashboard["schemaVersion"] < 39:
            wrong.append(f"{file}: uid {dashboard['uid']}, schema {dashboard['schemaVersion']}")
        variables = {variable["name"] for variable in dashboard["templating"]["list"]}
        ids = [panel["id"] for panel in dashboard["panels"]]
        if len(set(ids)) != len(ids):
            wrong.append(f"{file}: panels with the same id")
        taken = set()
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            if cells & taken or at["x"] + at["w"] > 24:
                wrong.append(f"{file}, {panel['title']}: lies over another panel or beyond the edge")
            taken |= cells
        for panel in panels(dashboard):
            where = f"{file}, {panel['title']}"
            if not panel["description"] or "unit" not in panel["fieldConfig"]["defaults"]:
                wrong.append(f"{where}: no description or unit")
            if panel["datasource"]["uid"] != "${DS_PROMETHEUS}":
                wrong.append(f"{where}: another data source")
            for target in panel["targets"]:
                asked = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval", "__range"}
                wrong += [f"{where}: there is no variable {name}" for name in asked - variables]
                if re.search(r"\b(rate|irate)\(\w+\{[^}]*\}\[\d", target["expr"]) and "[1d]" not in target["expr"]:
                    wrong.append(f"{where}: a rate over a fixed time")
    return wrong


def check_inhibition() -> list[str]:
    """A node that is down hides what follows from it; a gateway that is down hides nothing of the data."""
    inhibit = load(MONITORING / "alertmanager/alertmanager.yaml")["inhibit_rules"]
    monitor = load(MONITORING / "servicemonitor/servicemonitor.yaml")["spec"]
    # What Prometheus puts on the series, and rules on their alerts. Of `job` all have the same.
    labels = {"alertname", "severity", "service"} | (TARGET_LABELS - {"job", "le"}) | {re.sub(r"\W", "_", one) for one in monitor["targetLabels"]}
    names = {alert["alert"] for alert in alerts()}
    wrong = []

    def parsed(matchers: list[str]) -> list[tuple[str, str, str]]:
        return [re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', one).groups() for one in matchers]

    def matches(matchers: list[str], alert: dict) -> bool:
        def holds(label: str, sign: str, value: str) -> bool:
            has = alert.get(label, "")
            return (bool(re.fullmatch(value, has)) if "~" in sign else has == value) == sign.startswith("=")

        return all(holds(*one) for one in parsed(matchers))

    for rule in inhibit:
        for label, sign, value in parsed(rule["source_matchers"]) + parsed(rule["target_matchers"]):
            if label not in labels:
                wrong.append(f"inhibition by {label}: no alert has it, or all have the same")
            if label == "alertname" and not any(re.fullmatch(value, name) if "~" in sign else value == name for name in names):
                wrong.append(f"inhibition by or of {value}: there is no such alert")
    for component, is_hidden in (("node", True), ("gateway", False)):
        down = {"alertname": "TidemarkDown", "job": "tidemark", "app_kubernetes_io_component": component}
        for name in ("TidemarkReplicasMissing", "TidemarkPeersUnreachable"):
            hidden = any(matches(rule["source_matchers"], down) and matches(rule["target_matchers"], {"alertname": name}) for rule in inhibit)
            if hidden != is_hidden:
                wrong.append(f"while a {component} is down, {name} is {'hidden' if hidden else 'told'}")
    return wrong


def check_needs_are_documented() -> list[str]:
    """docs/reference/kubernetes.md says of everything that others export which alerts are silent without it."""
    rows = dict(re.findall(r"^\| ([^|]+?) \| (?:[^|]+ \| )*?([^|]*Tidemark[^|]*) \|$", (ROOT / "docs/reference/kubernetes.md").read_text(), re.MULTILINE))
    wrong = []
    for who, metrics in load(MONITORING / "source/outside.yaml").items():
        needing = {alert["alert"] for alert in alerts() if expressions.names(alert["expr"]) & set(metrics)}
        if who == "Prometheus, for every target" or not needing:
            continue
        said = set(re.findall(r"Tidemark[A-Z]\w+", rows.get(who, "")))
        if said != needing:
            wrong.append(f"kubernetes.md, {who}: it names {sorted(said)}, and {sorted(needing)} need it")
    return wrong


def check_cluster_metrics() -> list[str]:
    """What component cluster-metrics takes over is what alerts and dashboards ask of kube-state-metrics and cAdvisor."""
    spec = load(ROOT / "k8s/components/cluster-metrics/scrapeconfig.yaml")["spec"]
    taken = [re.search(r'__name__=~"(.*)"', one)[1] for one in spec["params"]["match[]"]]
    outside = load(MONITORING / "source/outside.yaml")
    return [
        f"component cluster-metrics does not take over {name}"
        for who in ("kube-state-metrics", "cAdvisor (kubelet)")
        for name in outside[who]
        if not any(re.fullmatch(one, name) for one in taken)
    ]


def check_generated() -> list[str]:
    command = [sys.executable, MONITORING / "source/generate.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines() if done.returncode else []


def check_exported(text: str) -> list[str]:
    """The catalogue against what a node answers that was written to and queried in both languages."""
    wrong = []
    exported, metrics = exposition.read(text), catalogue()
    for name, metric in metrics.items():
        family = exported.get(name)
        if family is None or not family.samples:
            if metric.get("always", True):
                wrong.append(f"{name}: in the catalogue and not exported")
            continue
        if family.type != metric["type"]:
            wrong.append(f"{name}: a {family.type}, in the catalogue a {metric['type']}")
        declared = metric.get("labels", [])
        has = {label for sample in family.samples for label in sample} - {"le", "quantile"}
        if has != set(declared):
            wrong.append(f"{name}: has the labels {sorted(has)}, in the catalogue {sorted(declared)}")
        for label, values in declared.items() if isinstance(declared, dict) else ():
            there = {sample.get(label) for sample in family.samples}
            if there != set(values):
                wrong.append(f"{name}: {label} is one of {sorted(map(str, there))}, in the catalogue {sorted(values)}")
    wrong += [f"{name}: exported and not in the catalogue" for name in sorted(exported.keys() - metrics.keys())]
    return wrong


def check_commands(binary: str) -> list[str]:
    """`tidemark a b ...` in a runbook: `a b --help` must be known, and so must the options that it is given."""
    asked = {}
    for file in sorted(RUNBOOKS.glob("*.md")):
        text = file.read_text()
        for command in re.findall(r"(?:`|\$ |-- )tidemark ([a-z][^`\n#]*)", text):
            words = [word for word in command.split() if re.fullmatch(r"[a-z][a-z-]*", word)][:2]
            options = frozenset(re.findall(r"(?<!\S)(--[a-z][a-z-]*|-[a-z])(?=[\s=]|$)", command))
            asked.setdefault((tuple(words), options), file.name)
    wrong = []
    if not asked:
        wrong.append("the runbooks name no command: the search for them is wrong")
    for (words, options), where in asked.items():
        done = subprocess.run([binary, *words, "--help"], capture_output=True, text=True, check=False)
        if done.returncode:
            # The second word may be an argument, where the first has no commands of its own.
            done = subprocess.run([binary, *words[:1], "--help"], capture_output=True, text=True, check=False)
            done.returncode = done.returncode or int("Commands:" in done.stdout)
        if done.returncode:
            wrong.append(f"{where}: there is no `tidemark {' '.join(words)}`")
        wrong += [f"{where}: `tidemark {' '.join(words)}` has no {one}" for one in options if one not in done.stdout]
    return wrong


STATIC = (
    check_generated,
    check_metrics_are_known,
    check_queries_parse,
    check_alerts,
    check_every_alert_has_tests,
    check_runbooks,
    check_dashboards,
    check_inhibition,
    check_needs_are_documented,
    check_cluster_metrics,
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metrics-url")
    parser.add_argument("--metrics-file", type=Path)
    parser.add_argument("--tidemark", metavar="BINARY")
    options = parser.parse_args()
    if options.metrics_url:
        with urllib.request.urlopen(options.metrics_url, timeout=30) as answer:
            wrong = check_exported(answer.read().decode())
    elif options.metrics_file:
        wrong = check_exported(options.metrics_file.read_text())
    elif options.tidemark:
        wrong = check_commands(options.tidemark)
    else:
        wrong = [f"{check.__name__}: {line}" for check in STATIC for line in check()]
    print("\n".join(wrong) or "all is well")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
