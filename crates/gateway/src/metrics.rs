//! The gateway's own figures. Every label has a small fixed set of values: route templates, known methods, status codes.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use metrics::{Counter, Distribution, Exemplar, Gauge, Labels, Page};
use parking_lot::RwLock;

/// The language of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Flux,
    Influxql,
    Sql,
}

/// Figures of the queries of a language.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    /// From their turn to the last byte of their answer.
    pub(crate) durations: Distribution,
    /// Those that failed.
    pub(crate) errors: Counter,
}

/// What requests were answered, by method and status.
type Answers = HashMap<(&'static str, u16), Arc<Distribution>>;

/// Figures of the gateway.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// By route template.
    requests: RwLock<HashMap<String, Answers>>,
    /// Requests being handled.
    pub(crate) in_flight: Gauge,
    /// Points or lines refused because they cannot be read.
    pub(crate) points_unreadable: Counter,
    /// Bytes of write bodies as they arrived.
    pub(crate) write_bytes: Counter,
    /// From the last byte of a write's body to its points.
    pub(crate) parse_durations: Distribution,
    /// Bytes of query answers as they left.
    pub(crate) query_bytes: Counter,
    /// Queries running.
    pub(crate) queries_running: Gauge,
    /// Queries for which there was no place in the queue.
    pub(crate) queries_refused: Counter,
    flux: Queries,
    influxql: Queries,
    sql: Queries,
    /// Panics caught in handlers and queries.
    pub(crate) panics: Counter,
    /// Credentials that were refused.
    pub(crate) logins_refused: Counter,
    /// Open connections.
    pub(crate) connections: Gauge,
}

impl Metrics {
    /// Counts a finished request, whose trace may be looked at where it has one. `handler` is a route template, never a path as the client wrote it.
    pub(crate) fn request(
        &self,
        handler: &str,
        method: &http::Method,
        status: u16,
        took: Duration,
        exemplar: Option<Exemplar>,
    ) {
        let key = (method_label(method), status);
        let known = self.requests.read().get(handler).and_then(|answers| answers.get(&key)).map(Arc::clone);
        let known = known.unwrap_or_else(|| {
            let mut requests = self.requests.write();
            Arc::clone(requests.entry_ref(handler).or_default().entry(key).or_default())
        });
        known.observe_traced(took, exemplar);
    }

    /// Figures of queries.
    pub(crate) const fn queries(&self, language: Language) -> &Queries {
        match language {
            Language::Flux => &self.flux,
            Language::Influxql => &self.influxql,
            Language::Sql => &self.sql,
        }
    }

    /// Writes the gateway's figures down; with `influxdb` also under the names that InfluxDB has for them.
    pub(crate) fn show(&self, page: &mut Page, influxdb: bool) {
        let requests = self.requests();
        let labels = |handler: &str, method: &'static str, code: u16| -> Labels {
            vec![("handler", handler.to_owned()), ("method", method.to_owned()), ("code", code.to_string())]
        };
        let count = |(handler, method, code, took): &Row| (labels(handler, method, *code), took.len());
        page.counters("tidemark_http_requests_total", "Requests answered.", requests.iter().map(count));
        let took = |row: &'_ Row| labels(&row.0, row.1, row.2);
        let durations = || requests.iter().map(|row| (took(row), &*row.3));
        let help = "Time to the end of the answer.";
        page.distributions("tidemark_http_request_duration_seconds", help, durations());
        let name = "tidemark_http_requests_in_flight";
        page.gauge(name, "Requests being handled.", &self.in_flight);
        page.gauge("tidemark_http_connections", "Open connections.", &self.connections);
        let name = "tidemark_http_panics_total";
        page.counter(name, "Panics caught in handlers and queries.", &self.panics);
        page.counter("tidemark_http_logins_refused_total", "Credentials refused.", &self.logins_refused);
        let name = "tidemark_http_write_bytes_total";
        page.counter(name, "Bytes of write bodies as they arrived.", &self.write_bytes);
        let name = "tidemark_http_query_answer_bytes_total";
        page.counter(name, "Bytes of query answers as they left.", &self.query_bytes);
        let reason = |reason: &str| vec![("reason", reason.to_owned())];
        let name = "tidemark_write_refused_points_total";
        page.counters(name, "Points refused.", [(reason("parse"), &self.points_unreadable)]);
        let stage = vec![("stage", "parse".to_owned())];
        let name = "tidemark_write_stage_duration_seconds";
        page.distributions(name, "Time that writes spend in each stage.", [(stage, &self.parse_durations)]);

        let languages = [("flux", &self.flux), ("influxql", &self.influxql), ("sql", &self.sql)];
        let each = |(language, queries): (&str, _)| (vec![("language", language.to_owned())], queries);
        let queries = || languages.into_iter().map(each);
        let name = "tidemark_query_duration_seconds";
        let help = "Time from a query's turn to the end of its answer.";
        page.distributions(
            name,
            help,
            queries().map(|(labels, queries): (_, &Queries)| (labels, &queries.durations)),
        );
        let name = "tidemark_query_errors_total";
        page.counters(
            name,
            "Queries that failed.",
            queries().map(|(labels, queries)| (labels, &queries.errors)),
        );
        page.gauge("tidemark_queries_running", "Queries running.", &self.queries_running);
        let name = "tidemark_queries_refused_total";
        page.counter(name, "Queries for which there was no place in the queue.", &self.queries_refused);
        if influxdb {
            self.show_as_influxdb(page, &requests);
        }
    }

    /// The names of `influxd` 2.x (`http/handler.go`, `query/control`), and one that published alerts ask for.
    fn show_as_influxdb(&self, page: &mut Page, requests: &[Row]) {
        let api = |(handler, method, code, _): &Row| -> Labels {
            vec![
                ("handler", "platform".to_owned()),
                ("method", (*method).to_owned()),
                ("path", handler.clone()),
                ("status", format!("{}XX", code / 100)),
                ("user_agent", "unknown".to_owned()),
                ("response_code", code.to_string()),
            ]
        };
        let counts = requests.iter().map(|row| (api(row), row.3.len()));
        page.counters("http_api_requests_total", "Requests answered.", counts);
        let name = "http_api_request_duration_seconds";
        page.distributions(
            name,
            "Time to the end of the answer.",
            requests.iter().map(|row| (api(row), &*row.3)),
        );
        let plain = |(handler, method, code, _): &Row| -> Labels {
            vec![("handler", handler.clone()), ("method", (*method).to_owned()), ("code", code.to_string())]
        };
        let name = "http_request_duration_seconds";
        page.distributions(
            name,
            "Time to the end of the answer.",
            requests.iter().map(|row| (plain(row), &*row.3)),
        );
        let all = || vec![("org", String::new())];
        page.gauges("qc_executing_active", "Queries running.", [(all(), &self.queries_running)]);
        let (done, failed) =
            [&self.flux, &self.influxql, &self.sql].iter().fold((0, 0), |(done, failed), queries| {
                (done + queries.durations.len(), failed + queries.errors.get())
            });
        let result = |result: &str| vec![("org", String::new()), ("result", result.to_owned())];
        let rows = [(result("success"), done.saturating_sub(failed)), (result("runtime_error"), failed)];
        page.counters("qc_requests_total", "Queries, by how they ended.", rows);
    }

    /// All that was answered, in order.
    fn requests(&self) -> Vec<Row> {
        let requests = self.requests.read();
        let rows = requests.iter().flat_map(|(handler, answers)| {
            let row = |((method, code), took): (&(&'static str, u16), &Arc<Distribution>)| {
                (handler.clone(), *method, *code, Arc::clone(took))
            };
            answers.iter().map(row)
        });
        let mut rows: Vec<Row> = rows.collect();
        rows.sort_unstable_by(|a, b| (&a.0, a.1, a.2).cmp(&(&b.0, b.1, b.2)));
        rows
    }
}

/// Handler, method, status, and how long it took.
type Row = (String, &'static str, u16, Arc<Distribution>);

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
