//! What the operator decides about the gateway, passed whole: every limit on what a client controls has a name,
//! a unit and an answer when it is reached.

use std::sync::Arc;
use std::time::Duration;

use memory::Account;

/// How the gateway behaves.
#[derive(Clone)]
pub struct Options {
    /// Whether the 1.x routes need credentials. `/api/v2` always does.
    pub auth_enabled: bool,
    /// Whether `POST /api/v2/setup` is let in: true on a loopback-bound server, or when the operator said so.
    pub setup_allowed: bool,
    /// Whether `/metrics` answers; else it is 403.
    pub metrics_enabled: bool,
    /// Whether it also has the names of InfluxDB's figures.
    pub influxdb_metrics: bool,
    /// The memory of the writes that are being worked on; beyond it they are answered 429.
    pub write_memory: Arc<Account>,
    /// See [`Limits`].
    pub limits: Limits,
    /// Makes the traces of requests.
    pub tracer: trace::Tracer,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("auth_enabled", &self.auth_enabled)
            .field("setup_allowed", &self.setup_allowed)
            .field("metrics_enabled", &self.metrics_enabled)
            .field("influxdb_metrics", &self.influxdb_metrics)
            .field("write_memory", &self.write_memory)
            .field("limits", &self.limits)
            .field("tracer", &self.tracer)
            .finish()
    }
}

/// Limits on what a client controls.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest body of a write as it arrives, in bytes (413).
    pub body_bytes_max: usize,
    /// Longest body of a write after decompression, in bytes (413).
    pub decompressed_bytes_max: usize,
    /// Longest line of line protocol, in bytes (400).
    pub line_bytes_max: usize,
    /// Longest string field, in bytes (400).
    pub string_bytes_max: usize,
    /// Longest JSON body of a resource request, in bytes (413).
    pub json_bytes_max: usize,
    /// Longest query request: script, parameters and externs, in bytes (413).
    pub query_bytes_max: usize,
    /// Most URL or form parameters of a request, and most bound parameters of a query (400).
    pub params_max: usize,
    /// Queries that run at once.
    pub query_concurrency: usize,
    /// Queries that wait for their turn (429).
    pub query_queue_max: usize,
    /// Longest run of a query, its wait included.
    pub query_duration_max: Duration,
    /// Longest pause of a client within a body (408).
    pub body_idle_max: Duration,
    /// Longest time for the head of an HTTP/1 request.
    pub header_read_max: Duration,
    /// Longest idle time of a connection between requests.
    pub connection_idle_max: Duration,
    /// Open connections; more wait in the kernel's queue.
    pub connections_max: usize,
    /// Bytes of the head of a request (431).
    pub header_bytes_max: usize,
    /// Signed-in sessions; the oldest goes when one more comes.
    pub sessions_max: usize,
    /// Life of a session after its last use.
    pub session_idle_max: Duration,
    /// Password verifications at once (each takes tens of milliseconds and tens of MiB).
    pub password_checks_max: usize,
    /// Password verifications that wait (429).
    pub password_queue_max: usize,
}

impl Limits {
    /// The limits of a server that nobody configured.
    pub const STANDARD: Self = Self {
        body_bytes_max: 64 << 20,
        decompressed_bytes_max: 256 << 20,
        line_bytes_max: 4 << 20,
        string_bytes_max: 1 << 20,
        json_bytes_max: 1 << 20,
        query_bytes_max: 1 << 20,
        params_max: 256,
        query_concurrency: 64,
        query_queue_max: 1024,
        query_duration_max: Duration::from_secs(300),
        body_idle_max: Duration::from_secs(30),
        header_read_max: Duration::from_secs(10),
        connection_idle_max: Duration::from_secs(180),
        connections_max: 10_000,
        header_bytes_max: 64 << 10,
        sessions_max: 10_000,
        session_idle_max: Duration::from_secs(3600),
        password_checks_max: 2,
        password_queue_max: 64,
    };
}
