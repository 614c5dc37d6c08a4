"""The way of a point: received, parsed, routed, committed, and what makes it wait."""

from .grafana import NODE, RED, YELLOW, Panel, Row, heat, largest, quantile, quantiles, rate, total

NAME = "writes"
TITLE = "Writes"
DESCRIPTION = "The way of a point from the client to the disks of a majority, and what makes it wait."

WRITE = 'handler=~"/api/v2/write|/write"'
STAGES = ("parse", "route", "commit")


def panels() -> list:
    return [
        Row("What comes"),
        Panel("Points", "timeseries", "Points acknowledged a second, by node that took them.",
              [(rate("tidemark_write_points_total", "instance"), "{{instance}}")], unit="wps", stacked=True),
        Panel("Write requests by answer", "timeseries", "204 is written; 4xx is the client's mistake, 429 and 503 say: send it again.",
              [(rate("tidemark_http_requests_total", "code", WRITE), "{{code}}")], unit="reqps", stacked=True),
        Panel("Bytes of line protocol", "timeseries", "After decompression.",
              [(rate("tidemark_http_write_bytes_total", "instance"), "{{instance}}")], unit="Bps", stacked=True),
        Row("How long it takes"),
        Panel("Duration", "timeseries", "Of write requests; the aim is a 99th percentile below 100 ms.",
              quantiles("tidemark_http_request_duration_seconds", WRITE), unit="s", thresholds=[(0.1, RED)], lines=True, exemplars=True),
        Panel("Durations", "heatmap", "How many write requests took how long. Dots are traces.",
              heat("tidemark_http_request_duration_seconds", WRITE), unit="s", exemplars=True),
        Panel("Stages, p99", "timeseries", "Where the time goes: parsing, routing (names and types in the catalog), commit (until a majority has it on disk).",
              [(quantile(0.99, "tidemark_write_stage_duration_seconds", labels=f'stage="{stage}"'), stage) for stage in STAGES],
              unit="s", exemplars=True),
        Panel("Syncs of the log, p99", "timeseries", "A commit waits for the sync of a majority. Above 100 ms the disk is too slow.",
              [(quantile(0.99, "tidemark_wal_fsync_duration_seconds", "instance"), "{{instance}}")],
              unit="s", thresholds=[(0.1, RED)], lines=True),
        Panel("Proposals, p99", "timeseries", "From a proposal to its application by the leader.",
              [(quantile(0.99, "tidemark_raft_proposal_duration_seconds", "instance"), "{{instance}}")], unit="s"),
        Panel("Points per sync", "timeseries", "How many points share one sync of the log: more is cheaper.",
              [(f"{rate('tidemark_write_points_total')} / {rate('tidemark_wal_syncs_total')}", "points per sync")]),
        Row("What makes it wait or fail"),
        Panel("Waiting for memory", "timeseries", "Seconds that writes wait per second, over all, until memtables are in files.",
              [(rate("tidemark_write_stall_seconds_total", "instance"), "{{instance}}")], unit="s", thresholds=[(0.1, RED)], lines=True),
        Panel("Sent away", "timeseries", "Writes answered 429 because memory did not come free within write-timeout, or 503 because a commit did not come.",
              [(rate("tidemark_write_stalls_refused_total", "instance"), "429 for memory, {{instance}}"),
               (rate("tidemark_http_requests_total", "code", WRITE + ',code=~"429|503"'), "answers {{code}}")], unit="reqps"),
        Panel("Points refused", "timeseries", "By reason. They are not stored; clients were told which.",
              [(rate("tidemark_write_refused_points_total", "reason"), "{{reason}}")], unit="wps", stacked=True),
        Panel("Memtables", "timeseries", "Points that are not yet in files, of the account's share. From two thirds on the largest are flushed.",
              [(largest("tidemark_memory_bytes", labels='account="memtables"') + " / " + largest("tidemark_memory_limit_bytes", labels='account="memtables"'), "{{instance}}")],
              unit="percentunit", thresholds=[(0.66, YELLOW), (0.95, RED)], lines=True, maximum=1),
        Panel("Bodies held", "timeseries", "Bytes of writes that are being worked on (max-in-flight-write-size).",
              [(largest("tidemark_http_write_held_bytes"), "{{instance}}")], unit="bytes"),
        Panel("Flushes", "timeseries", "Memtables written to files a second, and those that failed.",
              [(rate("tidemark_storage_flushes_total"), "done"), (rate("tidemark_storage_flushes_failed_total"), "failed")], unit="ops"),
        Panel("Proposed and not applied", "timeseries", "Bytes on their way through the log.",
              [(largest("tidemark_raft_in_flight_bytes"), "{{instance}}")], unit="bytes"),
        Panel("Fields registered", "timeseries", "Fields that a write named first; each is a change of the catalog.",
              [(rate("tidemark_field_registrations_total"), "fields")], unit="ops"),
        Panel("Log", "timeseries", "Bytes appended to the log a second.",
              [(rate("tidemark_wal_append_bytes_total", "instance"), "{{instance}}")], unit="Bps"),
    ]
