//! Paths, methods, headers, probes.

use std::time::Duration;

use axum::body::Body;
use http::Method;

use super::support::{Server, request};
use crate::COMPATIBLE_VERSION;

#[tokio::test]
async fn unknown_paths_and_methods_are_told_in_json() {
    let server = Server::new().await;
    server.get("/api/v2/nothing").await.is_v2(404, "not found", "path not found");
    server.get("/nothing").await.is_v2(404, "not found", "path not found");
    let wrong = server.call(Method::DELETE, "/api/v2/orgs", Body::empty()).await;
    wrong.is_v2(405, "method not allowed", "allow: GET, HEAD, POST");
    assert_eq!(wrong.header("allow"), "GET, HEAD, POST");
    server.get("/write").await.is_v1(405, "allow: POST");
}

#[tokio::test]
async fn every_answer_carries_the_version() {
    let server = Server::new().await;
    for path in ["/ping", "/health", "/api/v2/nothing", "/query", "/api/v2/buckets"] {
        let answer = server.get(path).await;
        assert_eq!(answer.header("x-influxdb-version"), COMPATIBLE_VERSION, "{path}");
        assert_eq!(answer.header("x-influxdb-build"), "OSS", "{path}");
    }
    let own = request(Method::GET, "/ping").header("x-request-id", "mine").body(Body::empty()).unwrap();
    assert_eq!(server.send(own).await.header("request-id"), "mine");
    assert_eq!(server.get("/ping").await.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn preflights_are_answered_and_origins_echoed() {
    let server = Server::new().await;
    let ask = |origin: bool| {
        let mut ask = request(Method::OPTIONS, "/api/v2/query");
        if origin {
            ask = ask.header("origin", "http://grafana");
        }
        ask.body(Body::empty()).unwrap()
    };
    let answer = server.send(ask(true)).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), "http://grafana");
    assert_eq!(answer.header("access-control-allow-methods"), "POST, GET, OPTIONS, PUT, DELETE, PATCH");
    assert_eq!(server.send(ask(false)).await.status, 405);
}

#[tokio::test]
async fn probes_need_no_credentials() {
    let server = Server::new().await;
    let ask = |method, path: &str| request(method, path).body(Body::empty()).unwrap();
    assert_eq!(server.send(ask(Method::GET, "/ping")).await.pair(), (204, ""));
    assert_eq!(server.send(ask(Method::HEAD, "/ping")).await.pair(), (204, ""));
    let verbose = server.send(ask(Method::GET, "/ping?verbose=true")).await;
    assert_eq!((verbose.status.as_u16(), &verbose.json()["version"]), (200, &COMPATIBLE_VERSION.into()));
    let health = server.send(ask(Method::GET, "/health")).await;
    assert_eq!((health.status.as_u16(), &health.json()["status"]), (200, &"pass".into()));
    *server.status.damage.lock() = vec!["x.tsm is damaged at byte 8".to_owned(); 100];
    let health = server.send(ask(Method::GET, "/health")).await;
    assert_eq!((health.status.as_u16(), &health.json()["status"]), (200, &"pass".into()));
    let checks = health.json()["checks"].as_array().unwrap().clone();
    assert_eq!(checks.len(), 20);
    let check =
        serde_json::json!({ "name": "data file", "status": "fail", "message": "x.tsm is damaged at byte 8" });
    assert_eq!(checks[0], check);
    *server.status.broken.lock() = Some("disk 1 is closed".into());
    let health = server.send(ask(Method::GET, "/health")).await;
    assert_eq!((health.status.as_u16(), &health.json()["message"]), (503, &"disk 1 is closed".into()));
    let links = server.send(ask(Method::GET, "/api/v2")).await;
    assert_eq!(links.json()["query"]["self"], "/api/v2/query");
}

#[tokio::test]
async fn ready_says_what_is_missing() {
    let server = Server::new().await;
    server.clock.advance(Duration::from_millis(3_723_500));
    let ready = server.get("/ready").await;
    let body = serde_json::json!({ "status": "ready", "started": "2024-01-02T03:04:05Z", "up": "1h2m3.5s" });
    assert_eq!((ready.status.as_u16(), ready.json()), (200, body));
    *server.status.missing.lock() = Some("partition 3 has no leader".into());
    let ready = server.get("/ready").await;
    ready.is_v2(503, "unavailable", "partition 3 has no leader");
    assert_eq!(ready.header("retry-after"), "1");
}

#[tokio::test]
async fn metrics_join_both_sources_and_bound_their_labels() {
    let server = Server::new().await;
    server.post("/api/v2/write?org=acme&bucket=metrics", "m f=1\nm f=2\n").await;
    server.get("/api/v2/buckets/0000000000000001").await;
    server.get("/some/path/of/a/stranger").await;
    let text = server.get("/metrics").await.text().to_owned();
    let requests =
        "tidemark_http_requests_total{handler=\"/api/v2/buckets/{id}\",method=\"GET\",code=\"404\"} 1\n";
    assert!(text.contains(requests), "{text}");
    let influxdb = "http_api_requests_total{handler=\"platform\",method=\"POST\",path=\"/api/v2/write\",status=\"2XX\",\
                    user_agent=\"unknown\",response_code=\"204\"} 1\n";
    assert!(text.contains(influxdb), "{text}");
    assert!(text.contains("handler=\"unknown\""), "{text}");
    assert!(!text.contains("stranger"), "{text}");
    assert!(text.contains("tidemark_test 42\n"), "{text}");
    assert!(text.contains("tidemark_write_stage_duration_seconds_count{stage=\"parse\"} 1\n"), "{text}");
}

#[tokio::test]
async fn metrics_come_in_the_form_that_is_asked_for() {
    let server = Server::with(|options| options.influxdb_metrics = false).await;
    let ask = async |accept: &str| {
        let ask = server.ask(Method::GET, "/metrics").header("accept", accept).body(Body::empty()).unwrap();
        server.send(ask).await
    };
    let text = ask("*/*").await;
    assert_eq!(text.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(text.text().contains("# TYPE tidemark_http_requests_total counter\n"));
    assert!(!text.text().contains("http_api_requests_total"));
    let open = ask("application/openmetrics-text; version=1.0.0").await;
    assert!(open.text().contains("# TYPE tidemark_http_requests counter\n"));
    assert!(open.text().ends_with("# EOF\n"));
    let messages =
        ask("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
            .await;
    assert!(messages.header("content-type").starts_with("application/vnd.google.protobuf;"));
    assert!(std::str::from_utf8(&messages.body).is_err(), "messages are no text");
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_server_lives_on() {
    let server = Server::new().await;
    server.query.on_flux(|_, _| panic!("a bug"));
    let answer = server.post("/api/v2/query?org=acme", r#"{"query":"x"}"#).await;
    answer.is_v2(500, "internal error", "An internal error has occurred - check server logs");
    assert_eq!(server.get("/ping").await.status, 204);
    assert!(server.get("/metrics").await.text().contains("tidemark_http_panics_total 1\n"));
}

#[tokio::test]
async fn too_many_parameters_are_refused() {
    let server = Server::new().await;
    let uri = format!("/api/v2/buckets?{}", "a=1&".repeat(300));
    server.get(&uri).await.is_v2(400, "invalid", "more than 256 parameters (params-max)");
}

#[tokio::test]
async fn metrics_can_be_closed() {
    let server = Server::with(|options| options.metrics_enabled = false).await;
    server.get("/metrics").await.is_v2(403, "forbidden", "metrics disabled");
}

#[tokio::test]
async fn an_id_that_is_no_text_is_refused_in_json() {
    let server = Server::new().await;
    for kind in ["buckets", "orgs", "users", "authorizations", "dbrps"] {
        let answer = server.get(&format!("/api/v2/{kind}/%ff")).await;
        answer.is_v2(400, "invalid", "invalid id: Invalid URL: Invalid UTF-8 in `id`");
    }
}
