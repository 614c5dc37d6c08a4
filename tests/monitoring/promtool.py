"""Runs promtool on the shipped rules, one alert at a time: with what the alert needs and nothing else, which is fast."""

import re
import subprocess
import tempfile
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RULES = ROOT / "k8s/base/monitoring/prometheus/rules"


def load_rules() -> dict[str, dict]:
    """Name -> rule, alerts and recorded metrics; a metric recorded by several rules is under `name#number`."""
    found = {}
    for file in ("rules.yaml", "rules-aliases.yaml"):
        for group in yaml.safe_load((RULES / file).read_text())["groups"]:
            for rule in group["rules"]:
                name = rule.get("alert") or rule["record"]
                found[name if name not in found else f"{name}#{len(found)}"] = rule
    return found


def load_tests() -> dict[str, list[tuple[str, dict]]]:
    """What is tested -> (interval of evaluation, test), from the files that promtool reads."""
    found = {}
    for file in sorted(HERE.glob("*.test.yaml")):
        content = yaml.safe_load(file.read_text())
        for test in content["tests"]:
            checks = test.get("alert_rule_test") or test["promql_expr_test"]
            name = checks[0].get("alertname") or re.fullmatch(r"round\((.*), .*\)", checks[0]["expr"])[1]
            found.setdefault(name, []).append((content["evaluation_interval"], test))
    return found


def needed(rule: dict, rules: dict[str, dict]) -> list[dict]:
    """The rules that make what `rule` asks for, those first that others need."""
    expr = rule["expr"]
    before = []
    for name, other in rules.items():
        name = name.partition("#")[0]
        asks = re.search(rf"(?<![\w:]){re.escape(name)}(?![\w:])", expr) if "record" in other else f'"{name}"' in expr
        if other is not rule and asks:
            before += [one for one in needed(other, rules) if one not in before]
            if other not in before:
                before.append(other)
    return before


def all_for(tested: str, rules: dict[str, dict]) -> list[dict]:
    """The rules of that name, and those that they need."""
    found = []
    for name, rule in rules.items():
        if name.partition("#")[0] == tested:
            found += [one for one in [*needed(rule, rules), rule] if one not in found]
    return found


def run(rules: list[dict], tests: list[tuple[str, dict]]) -> tuple[bool, str]:
    """Whether the tests pass with these rules, and what promtool said."""
    with tempfile.TemporaryDirectory() as folder:
        group = {"name": "one", "interval": "15s", "rules": rules}
        Path(folder, "rules.yaml").write_text(yaml.safe_dump({"groups": [group]}))
        files = []
        for interval in sorted({interval for interval, _ in tests}):
            chosen = [test for of, test in tests if of == interval]
            content = {"rule_files": ["rules.yaml"], "evaluation_interval": interval, "tests": chosen}
            files.append(Path(folder, f"{interval}.test.yaml"))
            files[-1].write_text(yaml.safe_dump(content))
        done = subprocess.run(["promtool", "test", "rules", *files], capture_output=True, text=True, check=False)
        return done.returncode == 0, done.stdout + done.stderr
