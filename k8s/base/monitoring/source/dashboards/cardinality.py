"""Series: how many, in which bucket, how fast new ones come, what memory they take."""

from .grafana import BUCKET, CLUSTER, NODE, RED, YELLOW, Panel, Row, largest, rate, total

NAME = "cardinality"
TITLE = "Cardinality"
DESCRIPTION = "How many series there are, in which bucket, how fast new ones come, and the memory that they take."
VARIABLES = (BUCKET,)

OF_BUCKET = 'bucket=~"$bucket"'


def panels() -> list:
    return [
        Row("How many"),
        Panel("Series", "timeseries", "Of each node's replicas, over all buckets.",
              [(largest("tidemark_storage_series"), "{{instance}}")], width=12),
        Panel("New series", "timeseries", "A second. A steady stream: a tag holds ids, times or addresses.",
              [(rate("tidemark_storage_series_created_total", "instance"), "{{instance}}")], unit="ops", width=12),
        Panel("Largest buckets", "bargauge", "Series of a bucket, on the node that has most of it.",
              [(f"topk(20, max by (bucket) (tidemark_series{{{NODE},{OF_BUCKET}}}))", "{{bucket}}")],
              width=8, height=12, base_color="blue"),
        Panel("Series by bucket", "timeseries", "The 100 largest are told.",
              [(f"topk(10, max by (bucket) (tidemark_series{{{NODE},{OF_BUCKET}}}))", "{{bucket}}")], width=16, height=12),
        Panel("Growth of buckets, 1 d", "table", "Series more than a day ago.",
              [(f"sort_desc(max by (bucket) (tidemark_series{{{NODE},{OF_BUCKET}}}) - max by (bucket) (tidemark_series{{{NODE},{OF_BUCKET}}} offset 1d))", "")],
              width=8, columns={"bucket": "Bucket", "Value": "More series than a day ago"}),
        Panel("Turnover, 1 h", "timeseries", "New series of an hour, of all. Above a fifth is an alert.",
              [(f"increase(tidemark_storage_series_created_total{{{NODE}}}[1h]) / tidemark_storage_series{{{NODE}}}", "{{instance}}")],
              unit="percentunit", thresholds=[(0.2, RED)], lines=True),
        Panel("Refused for the number of series", "timeseries", "Points of new series that were refused.",
              [(rate("tidemark_write_refused_points_total", labels='reason="series"'), "points")], unit="wps"),
        Row("What they cost"),
        Panel("Memory of the index", "timeseries", "Of the account's share. When it is used up, points of new series are refused.",
              [(largest("tidemark_memory_bytes", labels='account="index"') + " / " + largest("tidemark_memory_limit_bytes", labels='account="index"'), "{{instance}}")],
              unit="percentunit", thresholds=[(0.8, YELLOW), (1, RED)], lines=True, maximum=1),
        Panel("Bytes per series", "timeseries", "Memory of the index for each series.",
              [(largest("tidemark_memory_bytes", labels='account="index"') + " / " + largest("tidemark_storage_series"), "{{instance}}")], unit="bytes"),
        Panel("Index full in", "timeseries", "Time until the index has no memory left at the rate of the last 6 hours; nothing where it does not grow.",
              [(f'(tidemark_memory_limit_bytes{{{NODE},account="index"}} - tidemark_memory_bytes{{{NODE},account="index"}}) / clamp_min(deriv(tidemark_memory_bytes{{{NODE},account="index"}}[6h]), 1) < 90 * 86400', "{{instance}}")],
              unit="s", thresholds=[(86400, RED)], base_color="transparent", lines=True),
        Panel("New fields", "timeseries", "Fields registered a second.",
              [(rate("tidemark_field_registrations_total"), "fields")], unit="ops"),
    ]
