"""Queries: how many, how long, what they read, what they wait for."""

from .grafana import NODE, RED, YELLOW, Panel, Row, heat, largest, quantile, quantiles, rate, total

NAME = "queries"
TITLE = "Queries"
DESCRIPTION = "How many queries there are, how long they take, what they read and what they wait for."

QUERY = 'handler=~"/api/v2/query|/query"'


def panels() -> list:
    return [
        Row("What comes"),
        Panel("Queries", "timeseries", "Queries a second by language.",
              [(rate("tidemark_query_duration_seconds_count", "language"), "{{language}}")], unit="reqps", stacked=True),
        Panel("Answers", "timeseries", "Of query requests, by status.",
              [(rate("tidemark_http_requests_total", "code", QUERY), "{{code}}")], unit="reqps", stacked=True),
        Panel("Queries that fail", "timeseries", "Share that ended with an error, mistakes of the asker included.",
              [(f"{rate('tidemark_query_errors_total', 'language')} / {rate('tidemark_query_duration_seconds_count', 'language')}", "{{language}}")],
              unit="percentunit", thresholds=[(0.25, YELLOW)], lines=True),
        Row("How long they take"),
        Panel("Duration", "timeseries", "The aim is a 99th percentile below 500 ms.",
              quantiles("tidemark_query_duration_seconds"), unit="s", thresholds=[(0.5, RED)], lines=True, exemplars=True),
        Panel("Durations", "heatmap", "How many queries took how long. Dots are traces.",
              heat("tidemark_query_duration_seconds"), unit="s", exemplars=True),
        Panel("Duration by language, p99", "timeseries", "Flux reads through the script, InfluxQL through one statement.",
              [(quantile(0.99, "tidemark_query_duration_seconds", "language"), "{{language}}")], unit="s", exemplars=True),
        Panel("Slow queries", "timeseries", "Longer than slow-query-threshold; each stands in the log.",
              [(rate("tidemark_queries_slow_total", "instance"), "{{instance}}")], unit="reqps", thresholds=[(0.1, YELLOW)], lines=True),
        Row("What they wait for"),
        Panel("Running and waiting", "timeseries", "By node; query-concurrency of them run at once.",
              [(largest("tidemark_queries_running"), "running {{instance}}"), (largest("tidemark_queries_queued"), "waiting {{instance}}")],
              thresholds=[(100, RED)], lines=True),
        Panel("Of query-concurrency", "gauge", "Queries that run, of those that may at once; beyond 100 % others wait for their turn.",
              [(f"max((tidemark_queries_running{{{NODE}}} + tidemark_queries_queued{{{NODE}}}) / tidemark_query_concurrency_limit{{{NODE}}})", "fullest node")],
              unit="percentunit", width=4, maximum=1, thresholds=[(0.6, YELLOW), (0.9, RED)]),
        Panel("Sent away", "timeseries", "Queries answered 429.",
              [(rate("tidemark_queries_refused_total", "instance"), "{{instance}}")], unit="reqps", width=4, legend="list"),
        Panel("Memory of queries", "timeseries", "Of the account's share. Up to half of the cache's is lent, so it may exceed 100 %.",
              [(largest("tidemark_memory_bytes", labels='account="queries"') + " / " + largest("tidemark_memory_limit_bytes", labels='account="queries"'), "{{instance}}")],
              unit="percentunit", thresholds=[(1, RED)], lines=True),
        Panel("Queries refused for memory", "timeseries", "Reservations that queries were refused.",
              [(rate("tidemark_memory_refused_total", "instance", 'account="queries"'), "{{instance}}")], unit="ops"),
        Row("What they read"),
        Panel("Scanned", "timeseries", "Bytes of blocks read a second, from files or cache.",
              [(rate("tidemark_query_scanned_bytes_total", "instance"), "{{instance}}")], unit="Bps", stacked=True),
        Panel("Rows scanned per query", "timeseries", "Much more than is shown means a filter that reads too much.",
              [(f"{rate('tidemark_query_scanned_rows_total')} / {rate('tidemark_query_duration_seconds_count')}", "rows")]),
        Panel("Answered", "timeseries", "Bytes of answers a second, before compression.",
              [(rate("tidemark_http_query_answer_bytes_total", "instance"), "{{instance}}")], unit="Bps", stacked=True),
        Panel("Cache hits", "timeseries", "Share of blocks that were in the cache.",
              [(f"{rate('tidemark_cache_hits_total', 'instance')} / ({rate('tidemark_cache_hits_total', 'instance')} + {rate('tidemark_cache_misses_total', 'instance')})", "{{instance}}")],
              unit="percentunit", maximum=1),
        Panel("Cache", "timeseries", "Bytes in the block cache.",
              [(largest("tidemark_cache_bytes"), "{{instance}}")], unit="bytes"),
        Panel("Blocks that made way", "timeseries", "Many evictions with few hits: the cache is too small for what is asked.",
              [(rate("tidemark_cache_evictions_total", "instance"), "{{instance}}")], unit="ops"),
    ]
