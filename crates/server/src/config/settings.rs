//! The table of settings. It drives everything: flags, variables, keys of the file, help, and the reference page.

use std::path::PathBuf;

use catalog::Level;
use memory::Shares;

use super::address::{BindAddress, Peer};
use super::error::Expected;
use super::{Config, DiscoveryStrategy, Distances, LogFormat, LogLane, Role, init, units};

/// However many queries may run at once: each takes a thread that may block, of the 512 that there are.
const QUERIES_RUNNING_MAX: usize = 256;

/// One setting.
#[derive(Clone, Copy)]
pub struct Setting {
    /// Its name: the key in the file, and what `config show` prints.
    pub key: &'static str,
    /// The flag of `tidemark serve`, without its dashes.
    pub flag: &'static str,
    /// The variable of the environment.
    pub env: &'static str,
    /// What it does, in one sentence.
    pub help: &'static str,
    /// The value when nobody sets it, as text; may be empty.
    pub default: &'static str,
    /// Whether the value must never be printed.
    pub secret: bool,
    /// What stands for the value in help, e.g. `SIZE`.
    pub value_name: &'static str,
    /// Whether it is true or false, so that the bare flag means true.
    pub is_switch: bool,
    /// The heading under which the reference page lists it.
    pub group: &'static str,
    /// Other variables that scripts rely on.
    pub(super) aliases: &'static [Alias],
    /// Whether each variable may, with `_FILE` appended, name a file that holds the value.
    pub(super) from_file: bool,
    /// Reads a text into the configuration.
    pub(super) set: fn(&mut Config, &str) -> Result<(), Expected>,
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setting")
            .field("key", &self.key)
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}

/// A variable of the environment by another name.
#[derive(Clone, Copy)]
pub(super) struct Alias {
    /// The variable.
    pub(super) env: &'static str,
    /// Makes the setting's text of the variable's.
    pub(super) convert: fn(&str) -> String,
}

const fn same(env: &'static str) -> Alias {
    Alias { env, convert: str::to_owned }
}

/// A variable that holds a port alone, which listens on every interface.
const fn port(env: &'static str) -> Alias {
    Alias { env, convert: |port| format!(":{port}") }
}

/// Every setting, in the order of the reference page.
pub fn settings() -> &'static [Setting] {
    SETTINGS
}

/// The setting with a key.
pub(super) fn setting(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.key == key)
}

/// A row of the table: key, its variable, value name, default, help, and how it is read. The rest by `with`.
const fn row(
    key: &'static str,
    env: &'static str,
    value_name: &'static str,
    default: &'static str,
    set: fn(&mut Config, &str) -> Result<(), Expected>,
    help: &'static str,
) -> Setting {
    Setting {
        key,
        flag: key,
        env,
        help,
        default,
        secret: false,
        value_name,
        is_switch: false,
        group: "",
        aliases: &[],
        from_file: false,
        set,
    }
}

impl Setting {
    const fn group(self, group: &'static str) -> Self {
        Self { group, ..self }
    }
    const fn or(self, aliases: &'static [Alias]) -> Self {
        Self { aliases, ..self }
    }
    const fn switch(self) -> Self {
        Self { is_switch: true, ..self }
    }
    const fn or_file(self) -> Self {
        Self { from_file: true, ..self }
    }
    const fn secret(self) -> Self {
        Self { secret: true, from_file: true, ..self }
    }
}

/// Size of a segment: the last one is never removed.
const LOG_BYTES_MIN: u64 = 64 << 20;

const NODE: &str = "Node and cluster";
const HTTP: &str = "HTTP";
const LIMITS: &str = "Limits of writes";
const QUERIES: &str = "Queries";
const MEMORY: &str = "Memory";
const STORAGE: &str = "Storage";
const TELEMETRY: &str = "Logs and traces";
const INIT: &str = "First set-up";

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

static SETTINGS: &[Setting] = &[
    row("config", "TIDEMARK_CONFIG", "FILE", "", |c, t| {
        c.config_file = path(t);
        Ok(())
    }, "TOML file with settings; keys are the names on this page").group(NODE),
    row("role", "TIDEMARK_ROLE", "ROLE", "node", |c, t| {
        c.role = match t {
            "node" => Role::Node,
            "gateway" => Role::Gateway,
            _ => return Err(Expected("node or gateway")),
        };
        Ok(())
    }, "What the process is: a `node` has data and a part in the cluster; a `gateway` serves clients of a cluster and stores \
     nothing, so that any number may come and go")
    .group(NODE),
    row("data-dir", "TIDEMARK_DATA_DIR", "DIR", "./tidemark-data", |c, t| {
        if t.is_empty() {
            return Err(Expected("a directory"));
        }
        c.data_dir = PathBuf::from(t);
        Ok(())
    }, "Directory of everything the node stores; not to be set for a gateway").group(NODE).or(&[same("DATA_DIR")]),
    row("http-bind-address", "TIDEMARK_HTTP_BIND_ADDRESS", "HOST:PORT", "127.0.0.1:8086", |c, t| {
        BindAddress::parse(t).map(|a| c.http_bind_address = a)
    }, "Address of the HTTP API; `:8086` listens on every interface").group(NODE).or(&[port("HTTP_PORT")]),
    row("probe-bind-address", "TIDEMARK_PROBE_BIND_ADDRESS", "HOST:PORT", "", |c, t| {
        let given = (!t.is_empty()).then(|| BindAddress::parse(t)).transpose();
        given.map(|address| c.probe_bind_address = address)
    }, "Address that answers probes (`/startupz`, `/livez`, `/readyz`, `/health`) and `/metrics` alone, on a thread of its own, also \
     when the node is too busy to answer them on http-bind-address; empty for none").group(NODE),
    row("shutdown-delay", "TIDEMARK_SHUTDOWN_DELAY", "DURATION", "0s", |c, t| {
        units::duration(t).map(|d| c.shutdown_delay = d)
    }, "How long a node that is told to stop goes on as before but for saying that it is not ready, so that load balancers send \
     no more clients").group(NODE),
    row("peer-bind-address", "TIDEMARK_PEER_BIND_ADDRESS", "HOST:PORT", "127.0.0.1:8088", |c, t| {
        BindAddress::parse(t).map(|a| c.peer_bind_address = a)
    }, "Address for the other nodes of the cluster").group(NODE).or(&[port("RAFT_PORT")]),
    row("peer-plaintext", "TIDEMARK_PEER_PLAINTEXT", "BOOL", "false", |c, t| {
        units::switch(t).map(|on| c.peer_plaintext = on)
    }, "Whether peer-bind-address may be reached by other machines although nodes talk without TLS")
    .group(NODE).switch(),
    row("peer-tls-cert", "TIDEMARK_PEER_TLS_CERT", "FILE", "", |c, t| {
        c.peer_tls_cert = path(t);
        Ok(())
    }, "PEM file of the certificate that this node shows to others, valid for the host at which they reach it; read again \
     when it changes, like the two below; empty for no TLS between nodes")
    .group(NODE),
    row("peer-tls-key", "TIDEMARK_PEER_TLS_KEY", "FILE", "", |c, t| {
        c.peer_tls_key = path(t);
        Ok(())
    }, "PEM file of the private key of peer-tls-cert").group(NODE),
    row("peer-tls-ca", "TIDEMARK_PEER_TLS_CA", "FILE", "", |c, t| {
        c.peer_tls_ca = path(t);
        Ok(())
    }, "PEM file of the authorities that sign nodes' certificates, and nobody else's: whoever has one is a node")
    .group(NODE),
    row("initial-peers", "TIDEMARK_INITIAL_PEERS", "LIST", "", |c, t| {
        Peer::parse_list(t).map(|peers| c.initial_peers = peers)
    }, "Peer addresses of the 1, 3 or 5 nodes that found the cluster, the same list on each, separated by commas; empty for \
     one node alone; for a gateway those of any nodes of its cluster")
    .group(NODE),
    row("discovery-strategy", "TIDEMARK_DISCOVERY_STRATEGY", "STRATEGY", "static", |c, t| {
        c.discovery_strategy = match t {
            "static" => DiscoveryStrategy::Static,
            "dns" => DiscoveryStrategy::Dns,
            "kubernetes" => DiscoveryStrategy::Kubernetes,
            _ => return Err(Expected("static, dns or kubernetes")),
        };
        Ok(())
    }, "How peers are found: `static` from initial-peers, `dns` by the addresses of discovery-name, `kubernetes` by the \
     names of the StatefulSet's pods behind the headless service discovery-name")
    .group(NODE).or(&[same("DISCOVERY_STRATEGY")]),
    row("discovery-name", "TIDEMARK_DISCOVERY_NAME", "NAME[:PORT]", "", |c, t| {
        t.trim().clone_into(&mut c.discovery_name);
        Ok(())
    }, "With `dns` the name that stands for all nodes, with `kubernetes` that of the headless service; the port is that of \
     peer-bind-address where none is given").group(NODE),
    row("bootstrap-expect", "TIDEMARK_BOOTSTRAP_EXPECT", "COUNT", "", |c, t| {
        const WANTED: Expected = Expected("1, 3 or 5");
        let read = |t: &str| t.parse().ok().filter(|n| matches!(n, 1 | 3 | 5)).ok_or(WANTED);
        units::optional(t, read).map(|count| c.bootstrap_expect = count)
    }, "Nodes that found the cluster with `dns` or `kubernetes`, the same on each; fewer never found one. Later nodes join")
    .group(NODE),
    row("peer-advertise-address", "TIDEMARK_PEER_ADVERTISE_ADDRESS", "HOST:PORT", "", |c, t| {
        const WANTED: Expected = Expected("an address such as node-1.example:8088");
        let peers = Peer::parse_list(t).map_err(|_other| WANTED)?;
        if peers.len() > 1 {
            return Err(WANTED);
        }
        c.peer_advertise_address = peers.into_iter().next();
        Ok(())
    }, "Where other nodes reach this one, best by a name that stays; empty for as it stands in initial-peers, for \
     peer-bind-address, or with `kubernetes` for the pod's name").group(NODE),
    row("pod-name", "TIDEMARK_POD_NAME", "NAME", "", |c, t| {
        t.clone_into(&mut c.pod_name);
        Ok(())
    }, "With `kubernetes` the pod's name, from `metadata.name`").group(NODE).or(&[same("POD_NAME"), same("HOSTNAME")]),
    row("pod-namespace", "TIDEMARK_POD_NAMESPACE", "NAME", "", |c, t| {
        t.clone_into(&mut c.pod_namespace);
        Ok(())
    }, "With `kubernetes` the pod's namespace, from `metadata.namespace`; empty where names are searched for in it")
    .group(NODE).or(&[same("POD_NAMESPACE")]),
    row("zone", "TIDEMARK_ZONE", "NAME", "", |c, t| {
        t.trim().clone_into(&mut c.zone);
        Ok(())
    }, "Failure domain of the node; replicas of a partition live in different zones").group(NODE).or_file(),
    row("timing", "TIDEMARK_TIMING", "PROFILE", "near", |c, t| {
        c.timing = match t {
            "near" => Distances::Near,
            "wan" => Distances::Wan,
            _ => return Err(Expected("near or wan")),
        };
        Ok(())
    }, "How soon a leader is missed: `near` for nodes within a few milliseconds of one another (others lead after about a \
     second), `wan` for round trips up to 300 ms (after about three). The same on all nodes")
    .group(NODE),
    row("feature-level", "TIDEMARK_FEATURE_LEVEL", "NUMBER", "", |c, t| {
        let level = if t.is_empty() { Some(Level::NEWEST) } else { t.parse().ok().and_then(Level::new) };
        let level = level.filter(|level| *level <= Level::NEWEST);
        level.map(|level| c.feature_level = level).ok_or(Expected("a feature level that this version understands"))
    }, "The newest feature level that the node uses, instead of its version's: it behaves as an older version, and does not \
     start in a cluster that is at a higher one. To try an upgrade")
    .group(NODE),
    row("move-bytes-per-second", "TIDEMARK_MOVE_BYTES_PER_SECOND", "SIZE", "64MiB", |c, t| {
        units::size(t).map(|b| c.move_bytes_per_second = b)
    }, "Most bytes of files that this node sends to others in a second, for replicas that move or were away for long; `0` \
     sends as many as it can")
    .group(NODE),
    row("replace-silent-after", "TIDEMARK_REPLACE_SILENT_AFTER", "DURATION", "10m", |c, t| {
        units::duration(t).map(|d| c.replace_silent_after = d)
    }, "How long a node may be silent before what it has is made anew on others, where enough are left in enough zones; the \
     same on each node; `0s` waits for ever")
    .group(NODE),
    row("partitions", "TIDEMARK_PARTITIONS", "COUNT", "", |c, t| {
        const WANTED: Expected = Expected("a power of two from 1 to 4096");
        let read = |t: &str| t.parse::<u16>().ok().filter(|p| p.is_power_of_two() && *p <= 4096).ok_or(WANTED);
        units::optional(t, read).map(|count| c.partitions = count)
    }, "Number of partitions, fixed when the cluster is founded; empty for 16 (one node) or 32 (with initial peers)")
    .group(NODE),
    row("log-lane", "TIDEMARK_LOG_LANE", "LANE", "segment", |c, t| {
        c.log_lane = match t {
            "segment" => LogLane::Segment,
            "rocksdb" => LogLane::Rocksdb,
            _ => return Err(Expected("segment or rocksdb")),
        };
        Ok(())
    }, "Store of the replicated log: `segment` or `rocksdb`").group(NODE),
    row("log-size", "TIDEMARK_LOG_SIZE", "SIZE", "512MiB", |c, t| {
        c.log_bytes_max = units::size(t)?;
        if c.log_bytes_max < LOG_BYTES_MIN { Err(Expected("at least 64MiB")) } else { Ok(()) }
    }, "Size of the replicated log above which points are written to files and what they need no more is removed from it: a node \
        that was away for less gets entries, for more it gets files; at least 64MiB").group(NODE),

    row("disk-faults", "TIDEMARK_DISK_FAULTS", "PLAN", "", |c, t| {
        const WANTED: Expected = Expected("a plan of faults such as `sync:raft:17:kill; unsynced`, or nothing");
        disk::Faults::parse(t).map_err(|_fault| WANTED)?;
        t.clone_into(&mut c.disk_faults);
        Ok(())
    }, "For tests of what a failing disk does, never for data that matters: faults that are put in at chosen operations")
    .group(NODE),

    row("http-auth-enabled", "TIDEMARK_HTTP_AUTH_ENABLED", "BOOL", "true", |c, t| {
        units::switch(t).map(|on| c.http_auth_enabled = on)
    }, "Whether requests need a token; `false` opens the InfluxDB 1.x routes, `/api/v3/query_sql` and Flight SQL to everyone who reaches them")
    .group(HTTP).switch(),
    row("http-read-header-timeout", "TIDEMARK_HTTP_READ_HEADER_TIMEOUT", "DURATION", "10s", |c, t| {
        units::positive_duration(t).map(|d| c.http_read_header_timeout = d)
    }, "How long a client may take to send a request's headers").group(HTTP),
    row("http-idle-timeout", "TIDEMARK_HTTP_IDLE_TIMEOUT", "DURATION", "3m", |c, t| {
        units::positive_duration(t).map(|d| c.http_idle_timeout = d)
    }, "How long a connection may wait for its next request, or for the next bytes of a body").group(HTTP),
    row("max-json-size", "TIDEMARK_MAX_JSON_SIZE", "SIZE", "1MiB", |c, t| {
        units::memory(t).map(|b| c.json_bytes_max = b)
    }, "Largest JSON body of a request that is neither a write nor a query; at least 4KiB").group(HTTP),
    row("metrics-disabled", "TIDEMARK_METRICS_DISABLED", "BOOL", "false", |c, t| {
        units::switch(t).map(|on| c.metrics_disabled = on)
    }, "Whether `/metrics` is closed").group(HTTP).switch(),
    row("influxdb-metrics", "TIDEMARK_INFLUXDB_METRICS", "BOOL", "true", |c, t| {
        units::switch(t).map(|on| c.influxdb_metrics = on)
    }, "Whether `/metrics` also has the names that dashboards and alerts of InfluxDB use").group(HTTP).switch(),

    row("max-body-size", "TIDEMARK_MAX_BODY_SIZE", "SIZE", "64MiB", |c, t| {
        units::memory(t).map(|b| c.body_bytes_max = b)
    }, "Largest request body as sent").group(LIMITS),
    row("max-decompressed-size", "TIDEMARK_MAX_DECOMPRESSED_SIZE", "SIZE", "256MiB", |c, t| {
        units::memory(t).map(|b| c.decompressed_bytes_max = b)
    }, "Largest request body after decompression").group(LIMITS),
    row("max-line-size", "TIDEMARK_MAX_LINE_SIZE", "SIZE", "4MiB", |c, t| {
        units::memory(t).map(|b| c.line_bytes_max = b)
    }, "Longest line of line protocol").group(LIMITS),
    row("max-string-field-size", "TIDEMARK_MAX_STRING_FIELD_SIZE", "SIZE", "1MiB", |c, t| {
        units::memory(t).map(|b| c.string_field_bytes_max = b)
    }, "Longest value of a string field").group(LIMITS),
    row("max-in-flight-write-size", "TIDEMARK_MAX_IN_FLIGHT_WRITE_SIZE", "SIZE", "256MiB", |c, t| {
        units::memory(t).map(|b| c.in_flight_write_bytes_max = b)
    }, "Bytes of all writes that are being worked on, at most a quarter of the memtables' share; beyond it writes are answered 429")
    .group(LIMITS),
    row("max-series-per-bucket", "TIDEMARK_MAX_SERIES_PER_BUCKET", "COUNT", "", |c, t| {
        units::optional(t, units::count).map(|n| c.series_per_bucket_max = n.map(|n| n as u64))
    }, "Series of a bucket beyond which points of new ones are refused, and those of known ones written; empty for no limit")
    .group(LIMITS),
    row("write-timeout", "TIDEMARK_WRITE_TIMEOUT", "DURATION", "10s", |c, t| {
        units::positive_duration(t).map(|d| c.write_timeout = d)
    }, "How long a write may wait for memory before it is answered 429, and how long to be committed before it is answered 503")
    .group(LIMITS),

    row("query-concurrency", "TIDEMARK_QUERY_CONCURRENCY", "COUNT", "64", |c, t| {
        units::count(t).map(|n| c.query_concurrency = n.min(QUERIES_RUNNING_MAX))
    }, "Queries that run at once, 256 of more than that; the others wait for their turn").group(QUERIES),
    row("query-queue-size", "TIDEMARK_QUERY_QUEUE_SIZE", "COUNT", "1024", |c, t| {
        units::count(t).map(|n| c.query_queue_size = n)
    }, "Queries that wait for their turn; beyond it queries are answered 429").group(QUERIES),
    row("query-timeout", "TIDEMARK_QUERY_TIMEOUT", "DURATION", "5m", |c, t| {
        units::positive_duration(t).map(|d| c.query_timeout = d)
    }, "How long a query may run").group(QUERIES),
    row("max-query-size", "TIDEMARK_MAX_QUERY_SIZE", "SIZE", "1MiB", |c, t| {
        units::memory(t).map(|b| c.query_bytes_max = b)
    }, "Largest body of a query request, script and parameters; at least 4KiB").group(QUERIES),
    row("query-memory-bytes", "TIDEMARK_QUERY_MEMORY_BYTES", "SIZE", "512MiB", |c, t| {
        units::memory(t).map(|b| c.query_memory_bytes = b)
    }, "Memory that one query may use, of what all queries together have").group(QUERIES),
    row("influxql-max-select-buckets", "TIDEMARK_INFLUXQL_MAX_SELECT_BUCKETS", "COUNT", "10000000", |c, t| {
        units::count(t).map(|n| c.influxql_max_select_buckets = n)
    }, "Windows of GROUP BY time, over all series, that one InfluxQL statement may make").group(QUERIES),

    row("memory-bytes", "TIDEMARK_MEMORY_BYTES", "SIZE", "", |c, t| {
        units::optional(t, units::memory).map(|b| c.memory_bytes = b)
    }, "Memory that the node divides among its parts, at least 128MiB; empty for half of the control group's limit or of the machine, and less where that leaves less than 384MiB beside it")
    .group(MEMORY),
    row("memory-shares", "TIDEMARK_MEMORY_SHARES", "SHARES", "memtables=25,cache=35,index=20,queries=15,compaction=5", |c, t| {
        let shares = Shares::parse(t).map_err(|_wrong| Expected(
            "shares in per cent that sum to at most 100, such as memtables=25,cache=35,index=20,queries=15,compaction=5",
        ))?;
        c.memory_shares = shares;
        Ok(())
    }, "How it is divided, in per cent; what is left out keeps its default").group(MEMORY),

    row("memtable-size", "TIDEMARK_MEMTABLE_SIZE", "SIZE", "256MiB", |c, t| {
        units::memory(t).map(|b| c.memtable_bytes_max = b)
    }, "Memory of the points that are not yet in files, over all partitions of the node, above which the largest are written; at most half of the memtables' share")
    .group(STORAGE),
    row("memtable-age", "TIDEMARK_MEMTABLE_AGE", "DURATION", "10m", |c, t| {
        units::positive_duration(t).map(|d| c.memtable_age_max = d)
    }, "How long points may wait in memory before they are written to files").group(STORAGE),
    row("retention-check-interval", "TIDEMARK_RETENTION_CHECK_INTERVAL", "DURATION", "30m", |c, t| {
        units::positive_duration(t).map(|d| c.retention_check_interval = d)
    }, "How often shards beyond their bucket's retention are dropped").group(STORAGE),
    row("scrub-interval", "TIDEMARK_SCRUB_INTERVAL", "DURATION", "7d", |c, t| {
        units::duration(t).map(|d| c.scrub_interval = d)
    }, "How long after all data files were read to find damage they are read again; `0s` never reads them for that")
    .group(STORAGE),
    row("scrub-rate", "TIDEMARK_SCRUB_RATE", "SIZE", "8MiB", |c, t| {
        units::size(t).map(|b| c.scrub_bytes_per_second = b)
    }, "Most bytes that the search for damage reads in a second, over all partitions").group(STORAGE),

    row("log-level", "TIDEMARK_LOG_LEVEL", "LEVEL", "info", |c, t| {
        if crate::telemetry::filter(t).is_none() {
            return Err(Expected("error, warn, info, debug, trace, or directives such as info,cluster=debug"));
        }
        t.clone_into(&mut c.log_level);
        Ok(())
    }, "Least severe messages that are logged: error, warn, info, debug, trace; or directives per target. `PUT /api/v1/log-level` \
     changes it while the node runs")
    .group(TELEMETRY),
    row("log-format", "TIDEMARK_LOG_FORMAT", "FORMAT", "text", |c, t| {
        c.log_format = match t {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            "logfmt" => LogFormat::Logfmt,
            _ => return Err(Expected("text, json or logfmt")),
        };
        Ok(())
    }, "Form of the log on standard error: `text`, `json`, or `logfmt` as InfluxDB writes it").group(TELEMETRY),
    row("otlp-endpoint", "TIDEMARK_OTLP_ENDPOINT", "URL", "", |c, t| {
        let is_url = t.starts_with("http://");
        if !t.is_empty() && !is_url {
            return Err(Expected("a URL such as http://127.0.0.1:4317 (gRPC without TLS), or nothing"));
        }
        c.otlp_endpoint = init::text(t);
        Ok(())
    }, "OTLP collector (gRPC) that traces are sent to; empty for none").group(TELEMETRY)
    .or(&[same("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), same("OTEL_EXPORTER_OTLP_ENDPOINT")]),
    row("otlp-service-name", "TIDEMARK_OTLP_SERVICE_NAME", "NAME", "tidemark", |c, t| {
        t.clone_into(&mut c.otlp_service_name);
        Ok(())
    }, "Name of the service in traces").group(TELEMETRY).or(&[same("OTEL_SERVICE_NAME")]),
    row("otlp-sampling-ratio", "TIDEMARK_OTLP_SAMPLING_RATIO", "RATIO", "0.01", |c, t| {
        units::ratio(t).map(|r| c.otlp_sampling_ratio = r)
    }, "Share of requests that are traced, from 0 to 1; a request that comes with `traceparent` follows its caller, and what fails \
     or takes longer than slow-query-threshold is traced on the node that it came to in any case")
    .group(TELEMETRY).or(&[same("OTEL_TRACES_SAMPLER_ARG")]),

    row("slow-query-threshold", "TIDEMARK_SLOW_QUERY_THRESHOLD", "DURATION", "5s", |c, t| {
        units::duration(t).map(|d| c.slow_query_threshold = d)
    }, "How long a query takes that is logged as slow, with its text without literals; `0s` logs none")
    .group(TELEMETRY),

    row("init-mode", "TIDEMARK_INIT_MODE", "MODE", "", |c, t| {
        init::mode(t).map(|mode| c.given.mode = mode)
    }, "`setup` insists that the settings of this section are complete; any one of them does too").group(INIT)
    .or(&[same("DOCKER_INFLUXDB_INIT_MODE")]),
    row("init-username", "TIDEMARK_INIT_USERNAME", "NAME", "", |c, t| {
        c.given.username = init::text(t);
        Ok(())
    }, "First user, made at the first start when the cluster has none").group(INIT).or_file()
    .or(&[same("DOCKER_INFLUXDB_INIT_USERNAME")]),
    row("init-password", "TIDEMARK_INIT_PASSWORD", "PASSWORD", "", |c, t| {
        init::password(t).map(|password| c.given.password = password)
    }, "Password of the first user, 8 to 72 characters").group(INIT).secret()
    .or(&[same("DOCKER_INFLUXDB_INIT_PASSWORD")]),
    row("init-org", "TIDEMARK_INIT_ORG", "NAME", "", |c, t| {
        c.given.org = init::text(t);
        Ok(())
    }, "First organization").group(INIT).or_file().or(&[same("DOCKER_INFLUXDB_INIT_ORG")]),
    row("init-bucket", "TIDEMARK_INIT_BUCKET", "NAME", "", |c, t| {
        c.given.bucket = init::text(t);
        Ok(())
    }, "First bucket").group(INIT).or_file().or(&[same("DOCKER_INFLUXDB_INIT_BUCKET")]),
    row("init-retention", "TIDEMARK_INIT_RETENTION", "DURATION", "", |c, t| {
        init::retention(t).map(|retention| c.given.retention = retention)
    }, "How long the first bucket keeps points; empty or 0 is for ever").group(INIT)
    .or(&[same("DOCKER_INFLUXDB_INIT_RETENTION")]),
    row("init-admin-token", "TIDEMARK_INIT_ADMIN_TOKEN", "TOKEN", "", |c, t| {
        c.given.admin_token = init::text(t).map(super::secret::Secret::new);
        Ok(())
    }, "Token of the first user; empty makes one up").group(INIT).secret()
    .or(&[same("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN")]),
];
