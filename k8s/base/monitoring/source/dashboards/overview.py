"""The first look: does it serve (rate, errors, duration), is it whole, what is near its limit, how to scale."""

from .grafana import CLUSTER, NODE, ORANGE, RED, YELLOW, Panel, Row, largest, quantile, rate, total

NAME = "overview"
TITLE = "Overview"
DESCRIPTION = "Rate, errors, duration of requests; the state of the cluster; how near its limits it is."

WRITE = 'handler=~"/api/v2/write|/write"'
QUERY = 'handler=~"/api/v2/query|/query"'
DATA = 'handler=~"/api/v2/write|/write|/api/v2/query|/query"'
READY = [{"type": "value", "options": {"0": {"text": "no", "color": "red", "index": 0}, "1": {"text": "yes", "color": "green", "index": 1}}}]
BRANCH = [
    {"type": "value", "options": {
        "write": {"text": "write-heavy: add nodes, larger batches", "index": 0},
        "query": {"text": "query-heavy: add gateways and memory for queries", "index": 1},
        "storage": {"text": "storage-heavy: larger volumes, shorter retention, more nodes", "index": 2},
    }}
]


def share_of_answers(code: str) -> str:
    answers = rate("tidemark_http_requests_total", labels=f"{DATA},{code}")
    return f"({answers} or vector(0)) / {rate('tidemark_http_requests_total', labels=DATA)}"


def panels() -> list:
    return [
        Row("State"),
        Panel("Nodes ready", "stat", "Processes whose /readyz says 200, of those that are scraped.",
              [(total("tidemark_ready"), "ready"), (f"count(tidemark_ready{{{NODE}}})", "scraped")],
              width=4, height=4),
        Panel("Groups without leader", "stat", "Groups of Raft of which a node knows no leader: their partitions take no writes.",
              [(f"max(tidemark_raft_groups_without_leader{{{NODE}}})", "groups")], width=4, height=4, thresholds=[(1, RED)]),
        Panel("Groups at risk", "stat", "Groups that lose their majority with one more failure.",
              [(total("tidemark_raft_groups_at_risk"), "groups")], width=4, height=4, thresholds=[(1, ORANGE)]),
        Panel("Replicas missing", "stat", "Placements with fewer live replicas than wanted.",
              [(f"max(tidemark_cluster_replicas_missing{{{NODE}}})", "placements")], width=4, height=4, thresholds=[(1, YELLOW)]),
        Panel("Damaged places", "stat", "Places in files that are known to be damaged and not healed.",
              [(total("tidemark_storage_damaged_places"), "places")], width=4, height=4, thresholds=[(1, RED)]),
        Panel("Error budget burnt, 1 h", "stat", "Speed at which the error budget of the 99.9 % SLO is used up: 1 uses it up in 30 days, 14.4 in two.",
              [(f"max(namespace:tidemark_slo_error_ratio:rate1h{{{CLUSTER}}}) / 0.001", "times")],
              width=4, height=4, thresholds=[(1, YELLOW), (6, ORANGE), (14.4, RED)], decimals=2),
        Row("Requests"),
        Panel("Requests", "timeseries", "Requests a second by kind.",
              [(rate("tidemark_http_requests_total", labels=WRITE), "writes"),
               (rate("tidemark_http_requests_total", labels=QUERY), "queries"),
               (rate("tidemark_http_requests_total", labels=DATA.replace("=~", "!~")), "other")], unit="reqps"),
        Panel("Errors", "timeseries", "Share of writes and queries answered 5xx, and sent away with 429. The SLO allows 0.1 % of 5xx.",
              [(share_of_answers('code=~"5.."'), "5xx"), (share_of_answers('code="429"'), "429")],
              unit="percentunit", thresholds=[(0.001, RED)], lines=True),
        Panel("Duration, p99", "timeseries", "99th percentile of writes (aim: 100 ms) and queries (aim: 500 ms).",
              [(quantile(0.99, "tidemark_http_request_duration_seconds", labels=WRITE), "writes"),
               (quantile(0.99, "tidemark_query_duration_seconds"), "queries")],
              unit="s", thresholds=[(0.1, YELLOW), (0.5, RED)], lines=True, exemplars=True),
        Panel("Points written", "timeseries", "Points acknowledged a second, and what the last day's trend makes of it in seven days.",
              [(rate("tidemark_write_points_total"), "points"),
               (f"sum(namespace:tidemark_write_points:rate5m_in_7d{{{CLUSTER}}})", "in 7 days by trend")], unit="wps"),
        Panel("Points refused", "timeseries", "Points that were not stored, by reason; clients were told.",
              [(rate("tidemark_write_refused_points_total", "reason"), "{{reason}}")], unit="wps", stacked=True),
        Panel("Queries running and waiting", "timeseries", "query-concurrency of them run at once on a node; when query-queue-size wait, more are answered 429.",
              [(total("tidemark_queries_running"), "running"), (total("tidemark_queries_queued"), "waiting")],
              thresholds=[(100, RED)], lines=True),
        Row("How to scale"),
        Panel("Scaling decision", "bargauge",
              "How near the cluster is to what each branch of the scaling decision is taken at; 100 % is there. "
              "Write-heavy: add nodes, send larger batches. Query-heavy: add gateways, give queries memory. Storage-heavy: larger volumes, shorter retention, more nodes.",
              [(f"max by (branch) (namespace:tidemark_scaling_pressure:ratio{{{CLUSTER}}})", "{{branch}}")],
              unit="percentunit", maximum=1.5, thresholds=[(0.7, YELLOW), (1, RED)], mappings=[]),
        Panel("Which branch, and why", "table",
              "The signals of the scaling decision, the most pressing first. At 100 % and above act on the branch: "
              "write = add nodes, larger batches; query = add gateways, memory for queries; storage = larger volumes, shorter retention.",
              [(f"sort_desc(max by (branch, signal) (namespace:tidemark_scaling_pressure:ratio{{{CLUSTER}}}))", "")],
              unit="percentunit", thresholds=[(0.7, YELLOW), (1, RED)], mappings=BRANCH,
              columns={"branch": "Branch", "signal": "Signal", "Value": "Of the threshold"}),
        Panel("Scaling pressure", "timeseries", "The same over time.",
              [(f"max by (branch) (namespace:tidemark_scaling_pressure:ratio{{{CLUSTER}}})", "{{branch}}")],
              unit="percentunit", thresholds=[(1, RED)], lines=True),
        Row("Resources"),
        Panel("CPU", "timeseries", "Share of the CPUs that each process may use.",
              [(f"rate(process_cpu_seconds_total{{{NODE}}}[$__rate_interval]) / tidemark_cpu_cores{{{NODE}}}", "{{instance}}")],
              unit="percentunit", thresholds=[(0.7, RED)], lines=True),
        Panel("Memory", "timeseries", "Share of the memory that each process may have.",
              [(f"process_resident_memory_bytes{{{NODE}}} / tidemark_memory_system_bytes{{{NODE}}}", "{{instance}}")],
              unit="percentunit", thresholds=[(0.8, YELLOW), (0.85, RED)], lines=True, maximum=1),
        Panel("Disk", "timeseries", "Share of the data disk that is used.",
              [(f"instance:tidemark_storage_used:ratio{{{NODE}}}", "{{instance}}")],
              unit="percentunit", thresholds=[(0.75, YELLOW), (0.8, ORANGE), (0.9, RED)], lines=True, maximum=1),
        Row("Processes"),
        Panel("Ready", "state-timeline", "What /readyz of each process said.",
              [(largest("tidemark_ready"), "{{instance}}")], unit="short", width=12, mappings=READY,
              thresholds=[(1, "green")], base_color=RED, minimum=None),
        Panel("Versions", "table", "What runs where.",
              [(f"tidemark_build_info{{{NODE}}}", "")], width=12,
              columns={"instance": "Address", "pod": "Pod", "node": "Node", "role": "Role", "zone": "Zone", "version": "Version"}),
    ]
