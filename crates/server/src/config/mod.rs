//! Configuration: flags over environment over file over defaults, every value with its origin.
//!
//! One table (`settings`) drives flags, variables, keys of the file, help and the reference page. What is resolved
//! is a plain [`Config`], passed whole; nothing else in the program reads the environment. Unknown keys are errors,
//! values have units, secrets are never printed.

mod address;
mod discovery;
mod error;
mod file;
mod influxd;
mod influxd_file;
mod init;
mod origin;
mod reference;
mod resolve;
mod secret;
mod settings;
mod suggest;
#[cfg(test)]
mod tests;
mod units;

use std::path::PathBuf;
use std::time::Duration;

use catalog::Level;
use memory::Shares;

pub use address::{BindAddress, Peer};
pub use discovery::DiscoveryStrategy;
pub use error::{ConfigError, Expected};
pub use init::Init;
pub use origin::Origin;
pub use reference::reference_page;
pub use resolve::{Resolved, Value};
pub use secret::Secret;
pub use settings::{Setting, settings};

/// The configuration of a node. The settings' help says what each field means.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file that was read.
    pub config_file: Option<PathBuf>,
    /// What the process is.
    pub role: Role,
    /// Directory of everything the node stores; of no meaning for a gateway.
    pub data_dir: PathBuf,
    /// Address of the HTTP API.
    pub http_bind_address: BindAddress,
    /// Address that answers probes alone.
    pub probe_bind_address: Option<BindAddress>,
    /// How long a node that is told to stop only says that it is not ready.
    pub shutdown_delay: Duration,
    /// Address for the other nodes.
    pub peer_bind_address: BindAddress,
    /// Whether other machines may reach that address although nothing is encrypted.
    pub peer_plaintext: bool,
    /// The certificate that this node shows to others.
    pub peer_tls_cert: Option<PathBuf>,
    /// Its private key.
    pub peer_tls_key: Option<PathBuf>,
    /// Who signs nodes' certificates.
    pub peer_tls_ca: Option<PathBuf>,
    /// Nodes that found the cluster; empty for one node alone.
    pub initial_peers: Vec<Peer>,
    /// How other nodes are found.
    pub discovery_strategy: DiscoveryStrategy,
    /// Name that stands for all nodes, or the headless service of the pods; may have a port.
    pub discovery_name: String,
    /// Nodes that found the cluster.
    pub bootstrap_expect: Option<usize>,
    /// Where others reach this node.
    pub peer_advertise_address: Option<Peer>,
    /// Name of the pod that the node runs in.
    pub pod_name: String,
    /// Its namespace.
    pub pod_namespace: String,
    /// Bytes of files that the node sends to others in a second.
    pub move_bytes_per_second: u64,
    /// How long a node may be silent before what it has is made anew elsewhere; zero for ever.
    pub replace_silent_after: Duration,
    /// Bytes of the log above which partitions are flushed for it.
    pub log_bytes_max: u64,
    /// Failure domain of the node; empty when it has none.
    pub zone: String,
    /// How soon a leader is missed.
    pub timing: Distances,
    /// The newest feature level that the node understands.
    pub feature_level: Level,
    /// Number of partitions, a power of two; see [`Config::partitions_or_default`].
    pub partitions: Option<u16>,
    /// Store of the replicated log.
    pub log_lane: LogLane,
    /// Faults of the disk that are put in; for tests.
    pub disk_faults: String,
    /// Whether requests need a token.
    pub http_auth_enabled: bool,
    /// How long a client may take to send a request's headers.
    pub http_read_header_timeout: Duration,
    /// How long a connection may stay silent.
    pub http_idle_timeout: Duration,
    /// Largest JSON body of a request that is neither a write nor a query.
    pub json_bytes_max: usize,
    /// Whether `/metrics` is closed.
    pub metrics_disabled: bool,
    /// Whether `/metrics` also has InfluxDB's names.
    pub influxdb_metrics: bool,
    /// Largest request body as sent.
    pub body_bytes_max: usize,
    /// Largest request body after decompression.
    pub decompressed_bytes_max: usize,
    /// Longest line of line protocol.
    pub line_bytes_max: usize,
    /// Longest value of a string field.
    pub string_field_bytes_max: usize,
    /// Bytes of all writes that are being worked on.
    pub in_flight_write_bytes_max: usize,
    /// Series of a bucket beyond which new ones are refused.
    pub series_per_bucket_max: Option<u64>,
    /// How long a write may wait to be committed.
    pub write_timeout: Duration,
    /// Queries that run at once.
    pub query_concurrency: usize,
    /// Queries that wait for their turn.
    pub query_queue_size: usize,
    /// Largest body of a query request.
    pub query_bytes_max: usize,
    /// How long a query may run.
    pub query_timeout: Duration,
    /// Memory that one query may use.
    pub query_memory_bytes: usize,
    /// Windows that one InfluxQL statement may make, over all its series.
    pub influxql_max_select_buckets: usize,
    /// Memory that the node divides among its parts; `None` for half of what there is.
    pub memory_bytes: Option<usize>,
    /// How it is divided.
    pub memory_shares: Shares,
    /// Memory of the points that are not yet in files, over all partitions, above which they are flushed.
    pub memtable_bytes_max: usize,
    /// How long points may wait in memory.
    pub memtable_age_max: Duration,
    /// How often retention is looked after.
    pub retention_check_interval: Duration,
    /// How long after a scrub of all data files the next begins; zero for none at all.
    pub scrub_interval: Duration,
    /// Most bytes that scrubs read in a second, over all partitions.
    pub scrub_bytes_per_second: u64,
    /// Least severe messages that are logged, or directives per target.
    pub log_level: String,
    /// Form of the log.
    pub log_format: LogFormat,
    /// OTLP collector (gRPC) for traces.
    pub otlp_endpoint: Option<String>,
    /// Name of the service in traces.
    pub otlp_service_name: String,
    /// Share of requests that are traced.
    pub otlp_sampling_ratio: f64,
    /// How long a query takes that is logged as slow; zero for none.
    pub slow_query_threshold: Duration,
    /// What to set up at the first start.
    pub init: Option<Init>,
    given: init::Given,
}

/// What the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has data, and a part in the cluster.
    Node,
    /// It serves clients of a cluster, and has neither.
    Gateway,
}

/// How far the nodes of a cluster are from one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distances {
    /// A few milliseconds.
    Near,
    /// Round trips up to 300 ms.
    Wan,
}

/// Store of the replicated log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLane {
    /// Segment files of our own.
    Segment,
    /// RocksDB.
    Rocksdb,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object per line.
    Json,
    /// Keys and values, as InfluxDB writes them.
    Logfmt,
}

impl Config {
    /// Number of partitions for a new cluster: as set, else 16 for a node alone and 32 with peers.
    pub fn partitions_or_default(&self) -> u16 {
        self.partitions.unwrap_or_else(|| if self.has_peers() { 32 } else { 16 })
    }
}
