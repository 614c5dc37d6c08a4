"""The rules, for the Prometheus operator (kind PrometheusRule) and for a plain Prometheus (rule_files)."""

from sources import Sources, dump

FOLDER = "k8s/base/monitoring/prometheus/rules"


def files(sources: Sources) -> dict[str, str]:
    own = [*recording_groups(sources), *alert_groups(sources)]
    aliases = [alias_group(sources)]
    return {
        f"{FOLDER}/rules.yaml": dump({"groups": own}, "{alerts,recording}.yaml"),
        f"{FOLDER}/prometheusrule.yaml": dump(prometheus_rule("tidemark", own), "{alerts,recording}.yaml"),
        f"{FOLDER}/rules-aliases.yaml": dump({"groups": aliases}, "alerts.yaml"),
        f"{FOLDER}/prometheusrule-aliases.yaml": dump(prometheus_rule("tidemark-aliases", aliases), "alerts.yaml"),
    }


def recording_groups(sources: Sources) -> list[dict]:
    return [{"name": group["name"], "interval": "30s", "rules": group["rules"]} for group in sources.recording]


def alert_groups(sources: Sources) -> list[dict]:
    return [
        {
            "name": group["name"],
            "interval": group["interval"],
            "rules": [alert_rule(sources, alert) for alert in group["alerts"]],
        }
        for group in sources.alerts
    ]


def alert_rule(sources: Sources, alert: dict) -> dict:
    scope = "?var-namespace={{ $labels.namespace }}{{ with $labels.instance }}&var-node={{ . }}{{ end }}"
    return {
        "alert": alert["alert"],
        "expr": alert["expr"].rstrip(),
        "for": alert["for"],
        "labels": {"severity": alert["severity"], "service": "tidemark"},
        "annotations": {
            "summary": alert["summary"],
            "description": alert["description"],
            "runbook_url": sources.runbook_url(alert["alert"]),
            "dashboard_url": sources.dashboard_url(alert["dashboard"], scope),
        },
    }


def alias_group(sources: Sources) -> dict:
    def rule(alias: str, of: str) -> dict:
        return {
            "alert": alias,
            "expr": f'max without (alertname, alertstate) (ALERTS{{alertname="{of}",alertstate="firing"}})',
            "labels": {"severity": "none", "alias_of": of},
            "annotations": {
                "summary": f"Another name of {of}, which fires as well",
                "runbook_url": sources.runbook_url(of),
            },
        }

    return {
        "name": "tidemark-aliases",
        "interval": "30s",
        "rules": [rule(alias, of) for alias, of in sources.aliases.items()],
    }


def prometheus_rule(name: str, groups: list[dict]) -> dict:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": name,
            "labels": {
                "app.kubernetes.io/name": "tidemark",
                "app.kubernetes.io/component": "monitoring",
                "app.kubernetes.io/part-of": "tidemark",
                "role": "alert-rules",
            },
        },
        "spec": {"groups": groups},
    }
