//! The gateway's own counters. Every label has a small fixed set of values: route templates, known methods,
//! status codes.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Labels of a finished request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    handler: String,
    method: &'static str,
    status: u16,
}

/// Labels of a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    handler: String,
    method: &'static str,
}

/// Counters of the gateway.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    /// Requests being handled.
    pub(crate) in_flight: Gauge,
    /// Points acknowledged.
    pub(crate) points_written: Counter,
    /// Points or lines refused.
    pub(crate) points_refused: Counter,
    /// Bytes of write bodies as they arrived.
    pub(crate) write_bytes: Counter,
    /// Bytes of write bodies being held.
    pub(crate) write_bytes_held: Gauge,
    /// Bytes of query answers as they left.
    pub(crate) query_bytes: Counter,
    /// Queries running.
    pub(crate) queries_running: Gauge,
    /// Panics caught in handlers and queries.
    pub(crate) panics: Counter,
    /// Credentials that were refused.
    pub(crate) logins_refused: Counter,
    /// Open connections.
    pub(crate) connections: Gauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let durations = Family::<RouteLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.001, 2.0, 16))
        });
        let mut metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            durations,
            in_flight: Gauge::default(),
            points_written: Counter::default(),
            points_refused: Counter::default(),
            write_bytes: Counter::default(),
            write_bytes_held: Gauge::default(),
            query_bytes: Counter::default(),
            queries_running: Gauge::default(),
            panics: Counter::default(),
            logins_refused: Counter::default(),
            connections: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = self.registry.sub_registry_with_prefix("tidemark_http");
        r.register("requests", "Requests answered", self.requests.clone());
        r.register_with_unit(
            "request_duration",
            "Time to the answer's head",
            Unit::Seconds,
            self.durations.clone(),
        );
        r.register("requests_in_flight", "Requests being handled", self.in_flight.clone());
        r.register("points_written", "Points acknowledged", self.points_written.clone());
        r.register("points_refused", "Points and lines refused", self.points_refused.clone());
        r.register_with_unit("write", "Write bodies as they arrived", Unit::Bytes, self.write_bytes.clone());
        r.register_with_unit(
            "write_held",
            "Write bodies in memory",
            Unit::Bytes,
            self.write_bytes_held.clone(),
        );
        r.register_with_unit(
            "query_answer",
            "Query answers as they left",
            Unit::Bytes,
            self.query_bytes.clone(),
        );
        r.register("queries_running", "Queries running", self.queries_running.clone());
        r.register("panics", "Panics caught in handlers and queries", self.panics.clone());
        r.register("logins_refused", "Credentials refused", self.logins_refused.clone());
        r.register("connections", "Open connections", self.connections.clone());
    }

    /// Counts a finished request. `handler` is a route template, never a path as the client wrote it.
    pub(crate) fn request(&self, handler: &str, method: &http::Method, status: u16, took: Duration) {
        let method = method_label(method);
        let labels = RequestLabels { handler: handler.to_owned(), method, status };
        self.requests.get_or_create(&labels).inc();
        let route = RouteLabels { handler: handler.to_owned(), method };
        self.durations.get_or_create(&route).observe(took.as_secs_f64());
    }

    /// Appends the gateway's metrics, then what `others` appends, in the OpenMetrics text format.
    pub(crate) fn encode(&self, others: impl FnOnce(&mut String)) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        encode_registry(&mut text, &self.registry)?;
        others(&mut text);
        if let Some(start) = text.rfind("# EOF") {
            text.truncate(start);
        }
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// Adds one to a gauge for as long as it lives.
pub(crate) struct InGauge(Gauge<i64, std::sync::atomic::AtomicI64>);

impl InGauge {
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InGauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The type behind counters, for `Counter::inc_by`.
pub(crate) type Count = Counter<u64, AtomicU64>;

/// Adds a length to a counter.
pub(crate) fn add(counter: &Count, amount: usize) {
    counter.inc_by(u64::try_from(amount).unwrap_or(u64::MAX));
}

fn method_label(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
