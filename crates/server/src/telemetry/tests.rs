//! Spans as a collector would see them, and log lines as an operator does.

use std::io::Write;
use std::sync::{Arc, Mutex};

use opentelemetry::trace::SpanId;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::SpanData;

use super::*;

fn config(flags: &[(&str, &str)]) -> Config {
    let flags = flags.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    let no_file = |_: &std::path::Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    Config::resolve(flags, |_| None, no_file).unwrap().config
}

/// A collector in memory.
#[derive(Debug, Clone, Default)]
struct Collector(Arc<Mutex<Vec<SpanData>>>);

impl opentelemetry_sdk::trace::SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs `work` under telemetry and answers the spans exported and the log.
fn observed(flags: &[(&str, &str)], work: impl FnOnce()) -> (Vec<SpanData>, String) {
    let (config, collector, log) = (config(flags), Collector::default(), Log::default());
    let provider = provider(&config).with_simple_exporter(collector.clone()).build();
    let writer = log.clone();
    let subscriber = subscriber(&config, Some(&provider), move || writer.clone(), false).unwrap();
    tracing::subscriber::with_default(subscriber, work);
    provider.shutdown().unwrap();
    let spans = collector.0.lock().unwrap().clone();
    (spans, log.text())
}

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn a_write(traceparent: &str) {
    let request = tracing::info_span!("http_request", path = "/api/v2/write");
    assert_eq!(adopt_traceparent(&request, traceparent), parent_from_traceparent(traceparent).is_some());
    let _request = request.entered();
    let _write = tracing::info_span!("write", points = 3).entered();
    tracing::info_span!("append").in_scope(|| tracing::info!(bytes = 10, "appended"));
}

fn span<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    spans.iter().find(|s| s.name == name).unwrap_or_else(|| panic!("{name} in {spans:?}"))
}

#[test]
fn a_span_tree_is_exported_below_the_callers_span() {
    let (spans, _) = observed(&[], || a_write(TRACEPARENT));
    assert_eq!(spans.len(), 3);
    let (request, write, append) =
        (span(&spans, "http_request"), span(&spans, "write"), span(&spans, "append"));
    assert_eq!(request.parent_span_id, SpanId::from_hex("b7ad6b7169203331").unwrap());
    assert!(request.parent_span_is_remote);
    assert_eq!(write.parent_span_id, request.span_context.span_id());
    assert_eq!(append.parent_span_id, write.span_context.span_id());
    for span in &spans {
        assert_eq!(span.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    }
    assert!(write.attributes.contains(&KeyValue::new("points", 3)), "{:?}", write.attributes);
    assert_eq!(append.events.len(), 1, "events belong to their span");
}

#[test]
fn without_a_caller_a_trace_begins() {
    let (spans, _) = observed(&[], || a_write(""));
    let request = span(&spans, "http_request");
    assert_eq!(request.parent_span_id, SpanId::INVALID);
    assert!(request.span_context.is_sampled());
    assert_eq!(span(&spans, "append").span_context.trace_id(), request.span_context.trace_id());
}

#[test]
fn the_caller_decides_on_sampling_and_else_the_ratio() {
    let count = |ratio: &str, traceparent: &str| {
        observed(&[("otlp-sampling-ratio", ratio)], || a_write(traceparent)).0.len()
    };
    assert_eq!(count("0", ""), 0);
    assert_eq!(count("0", TRACEPARENT), 3);
    assert_eq!(count("1", NOT_SAMPLED), 0);
    assert_eq!(count("1", ""), 3);
}

#[test]
fn the_logs_level_does_not_thin_out_traces_and_the_exporter_is_not_traced() {
    let (spans, log) = observed(&[("log-level", "error")], || {
        a_write("");
        tracing::info_span!(target: "h2::client", "frame").in_scope(|| ());
        tracing::debug_span!("detail").in_scope(|| ());
        tracing::info_span!(target: "openraft::core", "build_snapshot").in_scope(|| ());
    });
    assert_eq!(spans.len(), 3, "{spans:?}");
    assert_eq!(log, "");
}

#[test]
fn the_steps_of_a_request_are_exported() {
    let (spans, log) = observed(&[], || {
        let request = tracing::info_span!(target: "gateway::router", "request").entered();
        tracing::debug_span!(target: "gateway::ingest", "parse").in_scope(|| ());
        drop(request);
    });
    assert_eq!(span(&spans, "parse").parent_span_id, span(&spans, "request").span_context.span_id());
    assert_eq!(log, "", "the log keeps its own level");
}

#[test]
fn what_the_raft_library_warns_of_in_every_election_is_not_logged() {
    let (_, log) = observed(&[], || tracing::warn!(target: "openraft::core::raft_core", "ignored"));
    assert_eq!(log, "");
    let (_, asked) = observed(&[("log-level", "info,openraft::core=warn")], || {
        tracing::warn!(target: "openraft::core::raft_core", "ignored");
    });
    assert!(asked.contains("ignored"), "{asked}");
}

#[test]
fn logs_are_lines_of_text_or_objects_of_json() {
    let (_, text) = observed(&[], || a_write(""));
    assert_eq!(text.lines().count(), 1, "{text}");
    for part in ["INFO", "http_request{path=\"/api/v2/write\"}", "write{points=3}", "appended bytes=10"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let (_, json) = observed(&[("log-format", "json")], || a_write(""));
    let line: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&line["level"], &line["message"], &line["bytes"]),
        (&"INFO".into(), &"appended".into(), &10.into())
    );
    assert_eq!(line["spans"][1]["points"], 3, "{json}");
    let (_, filtered) = observed(&[("log-level", "info,server=warn")], || a_write(""));
    assert!(!filtered.contains("appended") || !module_path!().starts_with("server"), "{filtered}");
}

#[test]
fn only_a_traceparent_is_a_parent() {
    assert!(parent_from_traceparent(TRACEPARENT).is_some());
    assert!(
        parent_from_traceparent("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what").is_some()
    );
    for wrong in [
        "",
        "-",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what",
        "00-zzz-b7ad6b7169203331-01",
        "é-é-é-é",
    ] {
        assert!(parent_from_traceparent(wrong).is_none(), "{wrong}");
    }
}

#[test]
fn an_endpoint_needs_a_runtime() {
    let config = config(&[("otlp-endpoint", "http://127.0.0.1:1")]);
    assert!(matches!(init(&config), Err(TelemetryError::NoRuntime)));
}
