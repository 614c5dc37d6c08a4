//! Who may see a trace, how a request asks for its own, and the level of the log.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Method;
use serde_json::json;
use trace::{Collected, Tracer};

use super::support::{Server, request};

fn tracer() -> Tracer {
    let clock = Arc::new(model::SystemClock::new());
    Tracer::new(trace::Options { ratio: 0.0, slow: Duration::ZERO, sink: None, clock })
}

#[tokio::test]
async fn writes_and_queries_name_their_trace_when_they_are_asked() {
    let server = Server::with(|options| options.tracer = tracer()).await;
    let answer = server.post("/api/v2/write?org=acme&bucket=metrics&trace=1", "cpu v=1").await;
    assert_eq!(answer.status, 204);
    let id = answer.header("x-tidemark-trace-id");
    assert_eq!(id.len(), 32);
    assert_eq!(answer.header("link"), format!("</api/v1/trace/{id}>; rel=\"trace\""));
    for (uri, body) in [
        ("/api/v2/write?org=acme&bucket=metrics", "cpu v=1"),
        ("/api/v2/write?org=acme&bucket=metrics&trace=0", "cpu v=1"),
        ("/api/v2/write?org=acme&bucket=metrics&xtrace=1", "cpu v=1"),
    ] {
        assert_eq!(server.post(uri, body).await.header("x-tidemark-trace-id"), "", "{uri}");
    }
    assert_eq!(server.get("/health?trace=1").await.header("x-tidemark-trace-id"), "", "not of this route");
    let asked =
        server.ask(Method::POST, "/query?db=metrics&q=SHOW+DATABASES").header("x-tidemark-trace", "1");
    assert_eq!(server.send(asked.body(Body::empty()).unwrap()).await.header("x-tidemark-trace-id").len(), 32);
}

#[tokio::test]
async fn a_caller_that_samples_is_named_back() {
    let server = Server::with(|options| options.tracer = tracer()).await;
    let send = |flags: &str| {
        let parent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        server
            .send(request(Method::GET, "/api/v2").header("traceparent", parent).body(Body::empty()).unwrap())
    };
    assert_eq!(send("01").await.header("x-tidemark-trace-id"), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(send("00").await.header("x-tidemark-trace-id"), "");
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let probe = request(Method::GET, "/ready").header("traceparent", parent).body(Body::empty()).unwrap();
    assert_eq!(server.send(probe).await.header("x-tidemark-trace-id"), "", "probes are not traced");
}

#[tokio::test]
async fn a_trace_is_its_organizations() {
    let server = Server::new().await;
    let rights = json!([{ "action": "read", "resource": { "type": "buckets" } }]);
    let token = server.token_with(rights).await;
    let as_one =
        || request(Method::GET, "/api/v1/trace/1f").header("authorization", format!("Token {token}"));
    let ask = || server.send(as_one().body(Body::empty()).unwrap());
    assert_eq!(ask().await.status, 404);
    let spans = vec!["{\"name\":\"route\"}".to_owned(), "not JSON".to_owned()];
    *server.status.trace.lock() = Some(Collected { owner: None, spans: spans.clone() });
    assert_eq!(ask().await.status, 404, "nobody knows whose it is");
    assert_eq!(server.get("/api/v1/trace/1f").await.status, 200, "an operator sees all");
    *server.status.trace.lock() = Some(Collected { owner: Some(server.org()), spans });
    let seen = ask().await;
    let id = format!("{:032x}", 0x1f);
    assert_eq!(seen.json(), json!({ "traceId": id, "spans": [{ "name": "route" }] }));
    server.get("/api/v1/trace/0").await.is_v2(400, "invalid", "\"0\" is no id of a trace");
}

#[tokio::test]
async fn an_operator_changes_what_is_logged() {
    let server = Server::new().await;
    let body = json!({ "level": "debug" });
    let answer = server.json(Method::PUT, "/api/v1/log-level", &body).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, body.clone()));
    assert_eq!(server.get("/api/v1/log-level").await.json(), body);
    let wrong = server.json(Method::PUT, "/api/v1/log-level", &json!({ "level": "loud" })).await;
    wrong.is_v2(400, "invalid", "expected a level");
    let token = server.token_with(json!([{ "action": "read", "resource": { "type": "buckets" } }])).await;
    let asked = request(Method::PUT, "/api/v1/log-level").header("authorization", format!("Token {token}"));
    let refused = server.send(asked.body(Body::from(body.to_string())).unwrap()).await;
    assert_eq!(refused.status, 401);
}

#[tokio::test]
async fn durations_name_a_trace_that_can_be_looked_at_and_no_other() {
    let server = Server::with(|options| options.tracer = tracer()).await;
    let exemplars = async || {
        let ask = server.ask(Method::GET, "/metrics").header("accept", "application/openmetrics-text");
        let page = server.send(ask.body(Body::empty()).unwrap()).await.text().to_owned();
        let lines =
            page.lines().filter(|line| line.starts_with("tidemark_") && line.contains(" # {trace_id="));
        lines.map(str::to_owned).collect::<Vec<String>>()
    };
    server.post("/api/v2/write?org=acme&bucket=metrics", "cpu v=1").await;
    assert_eq!(exemplars().await, [""; 0]);
    let answer = server.post("/api/v2/query?org=acme&trace=1", r#"{"query":"x"}"#).await;
    let named = format!(" # {{trace_id=\"{}\"}} ", answer.header("x-tidemark-trace-id"));
    for of in [
        "tidemark_http_request_duration_seconds_bucket{handler=\"/api/v2/query\"",
        "tidemark_query_duration_seconds_bucket{language=\"flux\"",
    ] {
        // It is counted a moment after the client has the answer.
        let counted = async {
            while !exemplars().await.iter().any(|line| line.starts_with(of) && line.contains(&named)) {}
        };
        let counted = tokio::time::timeout(Duration::from_secs(60), counted).await;
        assert!(counted.is_ok(), "{of}: {:?}", exemplars().await);
    }
}
