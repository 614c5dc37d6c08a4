"""One node: CPU, memory by account, file descriptors, clock, event loop, log, and what Kubernetes and the machine say."""

from .grafana import CLUSTER, NODE, RED, YELLOW, Panel, Row, largest, rate

NAME = "node"
TITLE = "Node"
DESCRIPTION = "What a process uses and how it is. The last row is from kube-state-metrics, cAdvisor and node-exporter, where they are."

PODS = 'namespace=~"$namespace",pod=~"tidemark-.*"'


def panels() -> list:
    return [
        Row("Process"),
        Panel("Up since", "stat", "Time since the process started.",
              [(f"time() - process_start_time_seconds{{{NODE}}}", "{{instance}}")], unit="s", base_color="blue", width=8, height=5),
        Panel("State", "timeseries", "Starting, ready, draining.",
              [(largest("tidemark_starting"), "starting {{instance}}"), (largest("tidemark_ready"), "ready {{instance}}"),
               (largest("tidemark_draining"), "draining {{instance}}")], maximum=1, height=5, legend="list"),
        Panel("Event loop", "timeseries", "Time since it last turned. At 30 s /livez fails.",
              [(largest("tidemark_event_loop_age_seconds"), "{{instance}}")], unit="s", thresholds=[(5, YELLOW), (30, RED)], lines=True, height=5, legend="list"),
        Panel("CPU", "timeseries", "CPUs used, and those that the process may use.",
              [(f"rate(process_cpu_seconds_total{{{NODE}}}[$__rate_interval])", "{{instance}}"),
               (largest("tidemark_cpu_cores"), "may use, {{instance}}")]),
        Panel("Memory of the process", "timeseries", "In RAM, the budget that is divided, and what the process may have.",
              [(largest("process_resident_memory_bytes"), "in RAM {{instance}}"), (largest("tidemark_memory_budget_bytes"), "budget {{instance}}"),
               (largest("tidemark_memory_system_bytes"), "may have {{instance}}")], unit="bytes"),
        Panel("Memory by account", "timeseries", "Of its share, the largest over the chosen nodes.",
              [(largest("tidemark_memory_bytes", "account") + " / " + largest("tidemark_memory_limit_bytes", "account"), "{{account}}")],
              unit="percentunit", thresholds=[(0.8, YELLOW), (1, RED)], lines=True),
        Panel("Refused for memory", "timeseries", "Reservations refused a second, by account.",
              [(rate("tidemark_memory_refused_total", "account"), "{{account}}")], unit="ops"),
        Panel("Peaks", "bargauge", "Most that each account ever held, of its share.",
              [(largest("tidemark_memory_peak_bytes", "account") + " / " + largest("tidemark_memory_limit_bytes", "account"), "{{account}}")],
              unit="percentunit", maximum=1.5, thresholds=[(0.8, YELLOW), (1, RED)]),
        Panel("File descriptors", "timeseries", "Of those that may be open.",
              [(f"process_open_fds{{{NODE}}} / process_max_fds{{{NODE}}}", "{{instance}}")],
              unit="percentunit", thresholds=[(0.8, RED)], lines=True, maximum=1),
        Panel("Threads and connections", "timeseries", "Threads of the process, connections of clients, requests in progress.",
              [(largest("process_threads"), "threads {{instance}}"), (largest("tidemark_http_connections"), "connections {{instance}}"),
               (largest("tidemark_http_requests_in_flight"), "requests {{instance}}")]),
        Panel("Address space", "timeseries", "Virtual memory of the process; large values are usual.",
              [(largest("process_virtual_memory_bytes"), "{{instance}}")], unit="bytes"),
        Panel("Clock", "timeseries", "Largest offset to the clock of another node.",
              [(largest("tidemark_peer_clock_offset_seconds"), "{{instance}}")], unit="s", thresholds=[(0.25, RED)], lines=True),
        Panel("Certificate", "timeseries", "Time until the certificate between nodes expires.",
              [(f"tidemark_peer_certificate_expiry_timestamp_seconds{{{NODE}}} - time()", "{{instance}}")],
              unit="s", thresholds=[(14 * 86400, YELLOW)], lines=True, minimum=None),
        Panel("Log lines", "timeseries", "Errors and warnings a second.",
              [(rate("tidemark_log_lines_total", "instance, level"), "{{level}} {{instance}}")], unit="ops"),
        Panel("Panics and refused passwords", "timeseries", "Over 15 minutes.",
              [(f"increase(tidemark_http_panics_total{{{NODE}}}[15m])", "panics {{instance}}"),
               (f"increase(tidemark_http_logins_refused_total{{{NODE}}}[15m])", "passwords {{instance}}")]),
        Row("Kubernetes and machine"),
        Panel("Restarts, 24 h", "timeseries", "Of containers, as kube-state-metrics says.",
              [(f"increase(kube_pod_container_status_restarts_total{{{PODS}}}[24h])", "{{pod}} {{container}}")], thresholds=[(1, RED)], lines=True),
        Panel("Throttled", "timeseries", "Share of the kernel's periods in which the container was throttled by its CPU limit.",
              [(f"sum by (pod) (rate(container_cpu_cfs_throttled_periods_total{{{PODS}}}[$__rate_interval])) / sum by (pod) (rate(container_cpu_cfs_periods_total{{{PODS}}}[$__rate_interval]))", "{{pod}}")],
              unit="percentunit", thresholds=[(0.25, RED)], lines=True),
        Panel("Disk busy", "timeseries", "Share of time that disks of the machines are busy (node-exporter).",
              [('rate(node_disk_io_time_seconds_total{cluster=~"$cluster"}[$__rate_interval])', "{{instance}} {{device}}")],
              unit="percentunit", thresholds=[(0.8, RED)], lines=True, maximum=1),
        Panel("Waiting for disks", "timeseries", "Share of time that something waited for a disk (pressure stall, node-exporter).",
              [('rate(node_pressure_io_waiting_seconds_total{cluster=~"$cluster"}[$__rate_interval])', "{{instance}}")], unit="percentunit"),
        Panel("Network", "timeseries", "Bytes a second of the machines (node-exporter).",
              [('sum by (instance) (rate(node_network_receive_bytes_total{cluster=~"$cluster",device!="lo"}[$__rate_interval]))', "in {{instance}}"),
               ('sum by (instance) (rate(node_network_transmit_bytes_total{cluster=~"$cluster",device!="lo"}[$__rate_interval]))', "out {{instance}}")], unit="Bps"),
        Panel("Load", "timeseries", "Of the machines (node-exporter).",
              [('node_load1{cluster=~"$cluster"}', "{{instance}}")]),
    ]
