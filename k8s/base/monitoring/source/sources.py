"""Reads the YAML files of this folder, and puts in what stands between @ signs."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]

WRITE = "/api/v2/write|/write"
QUERY = "/api/v2/query|/query"


@dataclass(frozen=True)
class Sources:
    settings: dict
    catalogue: list  # groups of metrics.yaml
    outside: dict  # who exports -> names
    recording: list  # groups of rules
    alerts: list  # groups of alerts
    aliases: dict  # other name -> alert

    @classmethod
    def read(cls) -> "Sources":
        settings = load("settings.yaml")
        macros = {
            "job": settings["job"],
            "pods": settings["pods"],
            "budget": f"{1 - settings['slo']:.6f}".rstrip("0"),
            "write": WRITE,
            "query": QUERY,
            "data": f"{WRITE}|{QUERY}",
            "node": "{{ or $labels.pod $labels.instance }}",
            "where": "{{ $labels.namespace }}{{ with $labels.cluster }} ({{ . }}){{ end }}",
        }
        alerts = load("alerts.yaml")
        return cls(
            settings=settings,
            catalogue=load("metrics.yaml")["groups"],
            outside=load("outside.yaml"),
            recording=[over_windows(group) for group in put_in(load("recording.yaml"), macros)["groups"]],
            alerts=put_in(alerts["groups"], macros),
            aliases=alerts["aliases"],
        )

    def metrics(self) -> list[dict]:
        return [metric for group in self.catalogue for metric in group["metrics"]]

    def all_alerts(self) -> list[dict]:
        return [alert for group in self.alerts for alert in group["alerts"]]

    def runbook_url(self, alert: str) -> str:
        return f"{self.settings['runbook_base']}{alert}.md"

    def dashboard_url(self, name: str, scope: str) -> str:
        return f"{self.settings['dashboard_base']}tidemark-{name}{scope}"


def load(name: str):
    return yaml.safe_load((HERE / name).read_text())


def put_in(value, macros: dict):
    """Replaces @name@ in every text; a name that is unknown is an error, except the windows of recording rules."""
    if isinstance(value, dict):
        return {key: put_in(item, macros) for key, item in value.items()}
    if isinstance(value, list):
        return [put_in(item, macros) for item in value]
    if isinstance(value, str):
        return re.sub(r"@(\w+)@", lambda found: found[0] if found[1] == "window" else macros[found[1]], value)
    return value


def over_windows(group: dict) -> dict:
    """A group with `windows` is one rule for each of them."""
    if "windows" not in group:
        return group
    rules = [
        {key: group[key].replace("@window@", window) for key in ("record", "expr")} for window in group["windows"]
    ]
    return {"name": group["name"] + "-windows", "rules": rules}


class Lines(yaml.SafeDumper):
    """YAML as a person would write it: indented lists, texts of several lines as they are."""

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


def text(dumper, value: str):
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


Lines.add_representer(str, text)


def dump(value, source: str) -> str:
    head = f"# Made from k8s/base/monitoring/source/{source} by `make monitoring`; do not edit.\n"
    head += "# yamllint disable rule:line-length\n---\n"
    return head + yaml.dump(value, Dumper=Lines, sort_keys=False, width=10_000, allow_unicode=True)
