//! Records one query, by the spans that every part of a query has anyway: a trace of its own, which is kept on every node
//! until its parts are collected.

use std::collections::HashSet;
use std::time::Duration;

use model::OrgId;
use query::{Part, Profiler};
use serde_json::{Map, Value};
use tokio::time::interval;

use super::QueryAdapter;

/// How often the parts are collected again because those of another node are not there yet, and how long after.
const AGAIN: (usize, Duration) = (5, Duration::from_millis(20));

/// Records queries of an organization.
pub(super) struct Recorder<'a> {
    pub(super) adapter: &'a QueryAdapter,
    pub(super) org: OrgId,
}

impl Profiler for Recorder<'_> {
    fn profile(&self, work: &mut dyn FnMut()) -> Vec<Part> {
        let span = self.adapter.tracer.request(None, true);
        let (Some(context), Some(here)) = (span.context(), span.here()) else {
            work();
            return Vec::new();
        };
        let entered = here.enter();
        trace::own(self.org);
        work();
        drop(entered);
        drop(span);
        let collected = async {
            let mut parts = Vec::new();
            let mut pace = interval(AGAIN.1);
            for _ in 0..=AGAIN.0 {
                // A node says what it has done a moment after it has answered.
                pace.tick().await;
                let spans = self.adapter.cluster.collect_trace(context.trace).await.unwrap_or_default().spans;
                let spans: Vec<Map<String, Value>> =
                    spans.iter().filter_map(|span| serde_json::from_str(span).ok()).collect();
                let is_whole = has_answers(&spans);
                parts = spans
                    .into_iter()
                    .filter(|span| !text(span, "parentSpanId").is_empty())
                    .map(part)
                    .collect();
                if is_whole {
                    break;
                }
            }
            parts
        };
        host::wait(&self.adapter.runtime, collected)
    }
}

fn text(span: &Map<String, Value>, key: &str) -> String {
    span.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Whether whoever was asked has said what it has done.
fn has_answers(spans: &[Map<String, Value>]) -> bool {
    let parents: HashSet<String> = spans.iter().map(|span| text(span, "parentSpanId")).collect();
    let asks = |span: &&Map<String, Value>| text(span, "kind") == "client";
    spans.iter().filter(asks).all(|span| parents.contains(&text(span, "spanId")))
}

fn part(mut span: Map<String, Value>) -> Part {
    let shown = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let about = match span.remove("attributes") {
        Some(Value::Object(about)) => about.into_iter().map(|(key, value)| (key, shown(value))).collect(),
        _ => Vec::new(),
    };
    Part {
        id: text(&span, "spanId"),
        parent: Some(text(&span, "parentSpanId")),
        name: text(&span, "name"),
        node: text(&span, "node"),
        began: text(&span, "start"),
        took: Duration::from_nanos(span.get("durationNs").and_then(Value::as_u64).unwrap_or(0)),
        about,
        error: span.remove("error").map(shown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(json: &str) -> Map<String, Value> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn who_was_asked_must_have_a_part() {
        let asks = span(r#"{"spanId":"b","parentSpanId":"a","kind":"client"}"#);
        let own = span(r#"{"spanId":"c","parentSpanId":"a","kind":"internal"}"#);
        let answers = span(r#"{"spanId":"d","parentSpanId":"b","kind":"server"}"#);
        assert!(!has_answers(&[asks.clone(), own.clone()]));
        assert!(has_answers(&[asks, own, answers]));
    }

    #[test]
    fn spans_are_parts() {
        let json = r#"{"spanId":"b","parentSpanId":"a","name":"tsm.read","node":"2","start":"2026-01-01T00:00:00Z",
            "durationNs":1500,"attributes":{"rows":7,"shards":"0,3","ok":true},"error":"gone"}"#;
        let about = [("rows", "7"), ("shards", "0,3"), ("ok", "true")];
        let expected = Part {
            id: "b".to_owned(),
            parent: Some("a".to_owned()),
            name: "tsm.read".to_owned(),
            node: "2".to_owned(),
            began: "2026-01-01T00:00:00Z".to_owned(),
            took: Duration::from_nanos(1500),
            about: about.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
            error: Some("gone".to_owned()),
        };
        assert_eq!(part(span(json)), expected);
    }
}
