"""Grafana's JSON model (classic schema, as 11 and 12 import it): panels, variables, layout."""

from dataclasses import dataclass, field

SCHEMA_VERSION = 39
DATASOURCE = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
CLUSTER = 'cluster=~"$cluster",namespace=~"$namespace"'
NODE = f'{CLUSTER},instance=~"$node"'
WIDTH = 24

GREEN, YELLOW, ORANGE, RED, BLUE = "green", "#EAB839", "orange", "red", "blue"


@dataclass
class Panel:
    """One panel; where it goes follows from the ones before it."""

    title: str
    kind: str
    description: str
    queries: list  # (PromQL, legend)
    unit: str = "short"
    width: int = 8
    height: int = 8
    thresholds: list = field(default_factory=list)  # (from, color), above the base
    base_color: str = GREEN
    lines: bool = False  # thresholds as lines in the graph
    stacked: bool = False
    minimum: float | None = 0
    maximum: float | None = None
    mappings: list = field(default_factory=list)
    decimals: int | None = None
    exemplars: bool = False
    legend: str = "table"
    axis_log: bool = False
    columns: dict = field(default_factory=dict)  # table: label -> heading

    def json(self, number: int, x: int, y: int) -> dict:
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "fieldConfig": {"defaults": self.defaults(), "overrides": []},
            "options": self.options(),
            "targets": [self.target(n, *query) for n, query in enumerate(self.queries)],
            "transformations": self.transformations(),
            "pluginVersion": "11.0.0",
        }

    def defaults(self) -> dict:
        steps = [{"color": self.base_color, "value": None}]
        steps += [{"color": color, "value": value} for value, color in self.thresholds]
        found = {
            "unit": self.unit,
            "color": {"mode": "palette-classic" if self.kind == "timeseries" else "thresholds"},
            "mappings": self.mappings,
            "thresholds": {"mode": "absolute", "steps": steps},
        }
        limits = {"min": self.minimum, "max": self.maximum, "decimals": self.decimals}
        found |= {name: value for name, value in limits.items() if value is not None and self.kind != "table"}
        if self.kind == "timeseries":
            found["custom"] = {
                "drawStyle": "line",
                "lineInterpolation": "linear",
                "lineWidth": 1,
                "fillOpacity": 25 if self.stacked else 8,
                "gradientMode": "none",
                "showPoints": "never",
                "pointSize": 5,
                "spanNulls": False,
                "insertNulls": False,
                "axisPlacement": "auto",
                "axisLabel": "",
                "axisColorMode": "text",
                "axisCenteredZero": False,
                "scaleDistribution": {"type": "log", "log": 2} if self.axis_log else {"type": "linear"},
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
                "hideFrom": {"legend": False, "tooltip": False, "viz": False},
                "thresholdsStyle": {"mode": "dashed" if self.lines else "off"},
            }
        if self.kind == "state-timeline":
            found["custom"] = {"lineWidth": 0, "fillOpacity": 80}
        if self.kind == "table":
            found["custom"] = {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}
        return found

    def options(self) -> dict:
        reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {
            "timeseries": {
                "legend": {
                    "displayMode": self.legend,
                    "placement": "bottom",
                    "showLegend": True,
                    "calcs": ["lastNotNull", "max"] if self.legend == "table" else [],
                },
                "tooltip": {"mode": "multi", "sort": "desc"},
            },
            "stat": {
                "reduceOptions": reduce,
                "orientation": "auto",
                "textMode": "auto",
                "colorMode": "background",
                "graphMode": "area",
                "justifyMode": "auto",
                "wideLayout": True,
            },
            "gauge": {
                "reduceOptions": reduce,
                "orientation": "auto",
                "showThresholdLabels": False,
                "showThresholdMarkers": True,
            },
            "bargauge": {
                "reduceOptions": reduce,
                "orientation": "horizontal",
                "displayMode": "gradient",
                "valueMode": "color",
                "namePlacement": "auto",
                "showUnfilled": True,
                "sizing": "auto",
            },
            "state-timeline": {
                "mergeValues": True,
                "showValue": "auto",
                "alignValue": "left",
                "rowHeight": 0.9,
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                "tooltip": {"mode": "single", "sort": "none"},
            },
            "table": {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "countRows": False, "fields": ""}},
            "heatmap": {
                "calculate": False,
                "cellGap": 1,
                "color": {"mode": "scheme", "scheme": "Oranges", "scale": "exponential", "exponent": 0.5, "steps": 64, "reverse": False, "fill": "dark-orange"},
                "exemplars": {"color": "rgba(80,160,255,0.9)"},
                "filterValues": {"le": 1e-9},
                "legend": {"show": True},
                "rowsFrame": {"layout": "auto"},
                "tooltip": {"mode": "single", "yHistogram": True, "showColorScale": False},
                "yAxis": {"axisPlacement": "left", "reverse": False, "unit": self.unit},
            },
        }[self.kind]

    def target(self, number: int, expr: str, legend: str) -> dict:
        instant = self.kind in ("table", "bargauge", "stat", "gauge") and self.kind != "stat"
        return {
            "refId": chr(ord("A") + number),
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": expr,
            "legendFormat": legend,
            "range": not instant,
            "instant": instant,
            "exemplar": self.exemplars,
            "format": {"table": "table", "heatmap": "heatmap"}.get(self.kind, "time_series"),
        }

    def transformations(self) -> list:
        if self.kind != "table":
            return []
        names = list(self.columns)
        steps = [{"id": "merge", "options": {}}] if len(self.queries) > 1 else []
        return [
            *steps,
            {"id": "filterFieldsByName", "options": {"include": {"names": names}}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {},
                    "includeByName": {},
                    "indexByName": {name: n for n, name in enumerate(names)},
                    "renameByName": self.columns,
                },
            },
        ]


@dataclass
class Row:
    title: str


def rate(metric: str, by: str = "", labels: str = "", selector: str = NODE) -> str:
    inner = f"rate({metric}{{{selector}{',' + labels if labels else ''}}}[$__rate_interval])"
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def quantile(q: float, metric: str, by: str = "", labels: str = "") -> str:
    """Of a classic histogram, or of a native one where only that is scraped."""
    both = [part for part in (by, "le") if part]
    classic = rate(metric + "_bucket", ", ".join(both), labels)
    native = rate(metric, by, labels)
    return f"histogram_quantile({q}, {classic})\nor\nhistogram_quantile({q}, {native})"


def quantiles(metric: str, labels: str = "") -> list:
    return [(quantile(q, metric, "", labels), name) for q, name in ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"))]


def heat(metric: str, labels: str = "") -> list:
    return [(f"{rate(metric + '_bucket', 'le', labels)}\nor\n{rate(metric, '', labels)}", "{{le}}")]


def largest(metric: str, by: str = "instance", labels: str = "") -> str:
    return f"max by ({by}) ({metric}{{{NODE}{',' + labels if labels else ''}}})"


def total(metric: str, by: str = "", labels: str = "") -> str:
    inner = f"{metric}{{{NODE}{',' + labels if labels else ''}}}"
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def laid_out(parts: list) -> list:
    found, x, y, height = [], 0, 0, 0
    for number, part in enumerate(parts, start=1):
        if isinstance(part, Row):
            y, x, height = y + height, 0, 0
            position = {"h": 1, "w": WIDTH, "x": 0, "y": y}
            found.append({"id": number, "type": "row", "title": part.title, "collapsed": False, "gridPos": position, "panels": []})
            y += 1
            continue
        if x + part.width > WIDTH:
            y, x, height = y + height, 0, 0
        found.append(part.json(number, x, y))
        x, height = x + part.width, max(height, part.height)
    return found


def query_variable(name: str, label: str, query: str, all_values: bool = True) -> dict:
    return {
        "type": "query",
        "name": name,
        "label": label,
        "hide": 0,
        "skipUrlSync": False,
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "multi": all_values,
        "includeAll": all_values,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
    }


BUCKET = query_variable("bucket", "Bucket", f"label_values(tidemark_series{{{NODE}}}, bucket)")


def variables(more: tuple) -> list:
    return [
        {
            "type": "datasource",
            "name": "DS_PROMETHEUS",
            "label": "Data source",
            "hide": 0,
            "skipUrlSync": False,
            "query": "prometheus",
            "regex": "",
            "refresh": 1,
            "multi": False,
            "includeAll": False,
            "current": {},
            "options": [],
        },
        query_variable("cluster", "Cluster", "label_values(tidemark_build_info, cluster)"),
        query_variable("namespace", "Namespace", 'label_values(tidemark_build_info{cluster=~"$cluster"}, namespace)'),
        query_variable("node", "Node", f"label_values(tidemark_build_info{{{CLUSTER}}}, instance)"),
        *more,
    ]


def annotation(name: str, expr: str, color: str, title: str, text: str) -> dict:
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": expr,
        "step": "60s",
        "titleFormat": title,
        "textFormat": text,
        "useValueForTime": False,
    }


def annotations() -> list:
    own = {
        "name": "Annotations & Alerts",
        "type": "dashboard",
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
    }
    alerts = f'ALERTS{{{CLUSTER},service="tidemark",alertstate="firing",severity="critical"}}'
    restarts = f"changes(process_start_time_seconds{{{NODE}}}[2m]) > 0"
    return [
        own,
        annotation("Critical alerts", alerts, "red", "{{alertname}}", "{{instance}}"),
        annotation("Restarts", restarts, "blue", "restart", "{{instance}}"),
    ]


def dashboard(name: str, title: str, description: str, parts: list, more_variables: tuple) -> dict:
    return {
        "uid": f"tidemark-{name}",
        "title": f"Tidemark / {title}",
        "description": description,
        "tags": ["tidemark"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "",
        "weekStart": "",
        "fiscalYearStartMonth": 0,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timepicker": {},
        "templating": {"list": variables(more_variables)},
        "annotations": {"list": annotations()},
        "links": [
            {
                "type": "dashboards",
                "title": "Tidemark",
                "tags": ["tidemark"],
                "asDropdown": True,
                "icon": "external link",
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "tooltip": "",
                "url": "",
            }
        ],
        "panels": laid_out(parts),
    }
