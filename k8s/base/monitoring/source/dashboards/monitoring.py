"""Monitor the monitoring: are we scraped, do rules run, do alerts get through, do traces and logs arrive."""

from .grafana import CLUSTER, NODE, RED, YELLOW, Panel, Row, rate

NAME = "monitoring"
TITLE = "Monitor the monitoring"
DESCRIPTION = "Whether what watches Tidemark works: scrapes, rules, notifications, traces, logs. Panels of what is not installed are empty."

JOB = f'{CLUSTER},job=~"tidemark.*"'
ANY = 'cluster=~"$cluster"'


def panels() -> list:
    return [
        Row("Scrapes of Tidemark"),
        Panel("Targets up", "stat", "Of the targets of Tidemark.",
              [(f"sum(up{{{JOB}}})", "up"), (f"count(up{{{JOB}}})", "targets")], width=6, height=5),
        Panel("Alerts firing", "stat", "Alerts of Tidemark that fire, aliases left out.",
              [(f'count(ALERTS{{{CLUSTER},service="tidemark",alertstate="firing",severity!="none"}}) or vector(0)', "alerts")],
              width=6, height=5, thresholds=[(1, YELLOW)]),
        Panel("Alerts", "table", "What fires, or is about to.",
              [(f'ALERTS{{{CLUSTER},service="tidemark",severity!="none"}}', "")], width=12, height=5,
              columns={"alertname": "Alert", "severity": "Severity", "alertstate": "State", "namespace": "Namespace", "instance": "Node"}),
        Panel("Duration of scrapes", "timeseries", "Above the scrape's time limit there are no metrics.",
              [(f"scrape_duration_seconds{{{JOB}}}", "{{instance}}")], unit="s", thresholds=[(5, YELLOW), (10, RED)], lines=True),
        Panel("Samples of a scrape", "timeseries", "How many samples a node exports.",
              [(f"scrape_samples_scraped{{{JOB}}}", "{{instance}}"), (f"sum(scrape_samples_post_metric_relabeling{{{JOB}}})", "kept, all")]),
        Panel("Spans dropped", "timeseries", "Spans that a node could not send to the collector.",
              [(rate("tidemark_telemetry_spans_dropped_total", "instance"), "{{instance}}")], unit="ops", thresholds=[(0.001, YELLOW)], lines=True),
        Row("Prometheus"),
        Panel("Samples taken in", "timeseries", "A second.",
              [(f"rate(prometheus_tsdb_head_samples_appended_total{{{ANY}}}[$__rate_interval])", "{{instance}}")], unit="ops"),
        Panel("Series in the head", "timeseries", "And the bytes of its table of symbols.",
              [(f"prometheus_tsdb_head_series{{{ANY}}}", "series {{instance}}"), (f"prometheus_tsdb_symbol_table_size_bytes{{{ANY}}}", "symbol bytes {{instance}}")]),
        Panel("Damage of its log", "timeseries", "Over a day.",
              [(f"increase(prometheus_tsdb_wal_corruptions_total{{{ANY}}}[1d])", "{{instance}}")], thresholds=[(1, RED)], lines=True),
        Panel("Rules", "timeseries", "How long Tidemark's groups of rules take, of their interval. At 100 % evaluations are left out.",
              [(f'prometheus_rule_group_last_duration_seconds{{{ANY},rule_group=~".*tidemark.*"}} / prometheus_rule_group_interval_seconds{{{ANY},rule_group=~".*tidemark.*"}}', "{{rule_group}}")],
              unit="percentunit", thresholds=[(0.8, RED)], lines=True),
        Panel("Evaluations", "timeseries", "Duration of one evaluation (99th percentile), and failures.",
              [(f'max(prometheus_rule_evaluation_duration_seconds{{{ANY},quantile="0.99"}})', "p99 (s)"),
               (f"sum(rate(prometheus_rule_evaluation_failures_total{{{ANY}}}[$__rate_interval]))", "failures a second")]),
        Panel("Queries of Prometheus", "timeseries", "Mean duration by part.",
              [(f"sum by (slice) (rate(prometheus_engine_query_duration_seconds_sum{{{ANY}}}[$__rate_interval])) / sum by (slice) (rate(prometheus_engine_query_duration_seconds_count{{{ANY}}}[$__rate_interval]))", "{{slice}}")], unit="s"),
        Row("Alertmanager, Grafana, Loki, Tempo"),
        Panel("Notifications", "timeseries", "Sent a second, and failed, by way.",
              [(f"sum by (integration) (rate(alertmanager_notifications_total{{{ANY}}}[$__rate_interval]))", "{{integration}}"),
               (f"sum by (integration) (rate(alertmanager_notifications_failed_total{{{ANY}}}[$__rate_interval]))", "{{integration}} failed")], unit="ops"),
        Panel("Alerts in Alertmanager", "timeseries", "By state, and notifications that Prometheus dropped a second.",
              [(f"sum by (state) (alertmanager_alerts{{{ANY}}})", "{{state}}"),
               (f"sum(rate(prometheus_notifications_dropped_total{{{ANY}}}[$__rate_interval]))", "dropped by Prometheus")]),
        Panel("Users of Grafana", "timeseries", "Active users.",
              [(f"grafana_stat_active_users{{{ANY}}}", "{{instance}}")], width=8),
        Panel("Logs", "timeseries", "Chunks that Loki flushed a second.",
              [(f"sum(rate(loki_ingester_chunks_flushed_total{{{ANY}}}[$__rate_interval]))", "chunks")], unit="ops", width=12),
        Panel("Traces", "timeseries", "Traces that Tempo received a second.",
              [(f"sum(rate(tempo_ingester_traces_created_total{{{ANY}}}[$__rate_interval]))", "traces")], unit="ops", width=12),
    ]
