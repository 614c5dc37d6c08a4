//! Log lines as an operator sees them.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::*;

fn config(flags: &[(&str, &str)]) -> Config {
    let flags = flags.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    let no_file = |_: &std::path::Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    Config::resolve(flags, |_| None, no_file).unwrap().config
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

/// A clock that a test turns.
#[derive(Debug, Default)]
struct Turned(Mutex<Duration>);

impl Clock for Turned {
    fn now(&self) -> model::Timestamp {
        model::Timestamp(0)
    }
    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

struct Observed {
    log: Log,
    clock: Arc<Turned>,
    repeats: Repeats,
    handle: Handle,
}

/// Runs `work` under a log, and answers what was seen.
fn observed(flags: &[(&str, &str)], work: impl FnOnce(&Observed)) -> String {
    let (config, log, clock) = (config(flags), Log::default(), Arc::<Turned>::default());
    let (counters, about) = (Arc::<Counters>::default(), Arc::new(About::new(&config.zone)));
    let repeats = Repeats::new(Arc::clone(&clock) as _, Arc::clone(&counters));
    let writer = log.clone();
    let (subscriber, level) =
        subscriber(&config, &about, repeats.clone(), move || writer.clone(), false).unwrap();
    let handle = Handle { tracer: Tracer::off(), counters, about, level: Some(Arc::new(level)) };
    let observed = Observed { log, clock, repeats, handle };
    tracing::subscriber::with_default(subscriber, || work(&observed));
    observed.log.text()
}

fn a_write() {
    let _request = tracing::info_span!("request", handler = "/api/v2/write").entered();
    let _write = tracing::info_span!("write", points = 3).entered();
    tracing::info!(bytes = 10, "appended");
}

#[test]
fn what_the_raft_library_warns_of_in_every_election_is_not_logged() {
    let warn = |_: &Observed| tracing::warn!(target: "openraft::core::raft_core", "ignored");
    assert_eq!(observed(&[], warn), "");
    let asked = observed(&[("log-level", "info,openraft::core=warn")], warn);
    assert!(asked.contains("ignored"), "{asked}");
}

#[test]
fn logs_are_lines_of_text_objects_of_json_or_pairs() {
    let text = observed(&[], |_| a_write());
    assert_eq!(text.lines().count(), 1, "{text}");
    for part in ["INFO", "request{handler=\"/api/v2/write\"}", "write{points=3}", "appended bytes=10"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let json = observed(&[("log-format", "json"), ("zone", "a")], |seen| {
        seen.handle.name_node("0000000000000001");
        a_write();
    });
    let line: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&line["level"], &line["message"], &line["bytes"]),
        (&"INFO".into(), &"appended".into(), &10.into())
    );
    assert_eq!((&line["node"], &line["zone"]), (&"0000000000000001".into(), &"a".into()));
    assert_eq!(line["spans"][1], json!({ "name": "write", "points": 3 }), "{json}");
    assert!(line.get("trace_id").is_none());
    let pairs = observed(&[("log-format", "logfmt")], |_| {
        a_write();
        tracing::error!(error = "a \"b\"\n", "no room");
    });
    let lines: Vec<&str> = pairs.lines().collect();
    assert_eq!(lines.len(), 2, "{pairs}");
    assert!(lines[0].starts_with("ts=") && lines[0].contains(" lvl=info msg=appended log_id="), "{pairs}");
    assert!(lines[0].contains(" bytes=10 handler=\"/api/v2/write\" points=3"), "{pairs}");
    assert!(
        lines[1].contains(" lvl=error msg=\"no room\" ") && lines[1].contains(" error=\"a \\\"b\\\"\\n\""),
        "{pairs}"
    );
}

#[test]
fn lines_of_a_traced_request_name_its_trace() {
    let clock = Arc::new(SystemClock::new());
    let tracer = Tracer::new(trace::Options { ratio: 0.0, slow: Duration::ZERO, sink: None, clock });
    let request = tracer.request(None, true);
    let context = request.context().unwrap();
    let (trace, span) = (context.trace.to_string(), context.span.to_string());
    for format in ["json", "logfmt", "text"] {
        let log = observed(&[("log-format", format)], |_| request.in_scope(a_write));
        assert!(log.contains(&trace), "{log}");
        assert!(format == "text" || log.contains(&span), "{log}");
    }
}

#[test]
fn the_level_changes_while_the_process_runs() {
    let log = observed(&[("log-level", "error")], |seen| {
        a_write();
        assert_eq!(seen.handle.level(), "error");
        assert!(seen.handle.set_level("nonsense=[").is_err());
        for silent in [" ", "warning", "info,", "info,cluster", "debug,critical"] {
            assert!(seen.handle.set_level(silent).is_err(), "{silent}");
        }
        seen.handle.set_level("info").unwrap();
        assert_eq!(seen.handle.level(), "info");
        a_write();
        seen.handle.set_level("error").unwrap();
        a_write();
    });
    assert_eq!(log.matches("appended").count(), 1, "{log}");
    assert!(log.contains("the log level was changed"), "{log}");
}

#[test]
fn equal_lines_are_left_out_and_counted() {
    let complain = |reason: &str| tracing::warn!(reason, "no peer");
    let log = observed(&[("log-format", "json")], |seen| {
        (0..20).for_each(|_| complain("silent"));
        complain("other");
        *seen.clock.0.lock().unwrap() += repeats::WINDOW;
        complain("silent");
        (0..10).for_each(|_| tracing::info!("as often as it comes"));
        (0..9).for_each(|_| complain("silent"));
        *seen.clock.0.lock().unwrap() += repeats::WINDOW;
        seen.repeats.tell();
        seen.repeats.tell();
        let Counters { lines_warn, lines_error, .. } = &*seen.handle.counters;
        assert_eq!(lines_warn.load(Ordering::Relaxed), 31);
        tracing::error!("once");
        assert_eq!(lines_error.load(Ordering::Relaxed), 1);
    });
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let silent: Vec<_> = lines.iter().filter(|line| line["reason"] == "silent").collect();
    assert_eq!(silent.len() as u64, 2 * repeats::LINES_MAX);
    assert_eq!(silent[5]["left_out"], 15, "{log}");
    assert_eq!(lines.iter().filter(|line| line["message"] == "as often as it comes").count(), 10);
    let told: Vec<_> = lines.iter().filter(|line| line["line"] == "no peer").collect();
    assert_eq!(told.len(), 1, "{log}");
    assert_eq!(told[0]["left_out"], 5);
}

#[test]
fn a_queue_that_is_full_drops_and_counts() {
    let counters = Arc::<Counters>::default();
    let queue: Arc<dyn Sink> = Arc::new(Queue::new(Arc::clone(&counters)));
    let clock = Arc::new(SystemClock::new());
    let tracer = Tracer::new(trace::Options { ratio: 1.0, slow: Duration::ZERO, sink: Some(queue), clock });
    (0..8192 + 7).for_each(|_| drop(tracer.request(None, false)));
    assert_eq!(counters.spans_dropped.load(Ordering::Relaxed), 7);
}

#[test]
fn an_endpoint_needs_a_runtime() {
    let config = config(&[("otlp-endpoint", "http://127.0.0.1:1")]);
    assert!(matches!(init(&config), Err(TelemetryError::NoRuntime)));
}

#[test]
fn debug_is_of_our_own_and_of_who_is_named() {
    let said = |directives: &str| filter(directives).unwrap().to_string();
    assert!(said("debug").contains("h2=info") && said("DEBUG").contains("h2=info"));
    assert!(said("debug,h2=trace").contains("h2=trace") && !said("debug,h2=trace").contains("h2=info"));
    assert!(!said("warn").contains("h2=info"), "not more than was asked for");
}
