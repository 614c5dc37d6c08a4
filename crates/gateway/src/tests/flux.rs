//! Flux queries: requests in, annotated CSV out, streams that stop.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Method;
use http_body_util::BodyExt as _;
use model::{Column, Frame, FrameColumn, FrameValues, Timestamp, Values};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::support::{Answer, Server};
use crate::ports::{FluxTable, QueryError};

const URI: &str = "/api/v2/query?org=acme";

/// A table of one integer column.
fn table(number: i64, values: Vec<i64>) -> FluxTable {
    let rows = values.len();
    let values = FrameValues::Column(Column::new(Values::Integer(values)));
    let column = FrameColumn { name: "_value".into(), group: false, values };
    FluxTable { result: "_result".into(), table: number, frame: Frame { columns: vec![column], rows } }
}

async fn query(server: &Server, body: Value) -> Answer {
    server.json(Method::POST, URI, &body).await
}

#[tokio::test]
async fn a_script_as_json_or_raw() {
    let server = Server::new().await;
    server.query.on_flux(|_, sink| sink(table(0, vec![7])).map_err(|_closed| QueryError::Cancelled));
    let body = json!({
        "query": "script", "type": "flux", "now": "2024-01-01T00:00:00Z", "params": { "a": 1 },
        "dialect": { "annotations": ["datatype", "group", "default"], "header": true, "delimiter": ",",
                     "commentPrefix": "#", "dateTimeFormat": "RFC3339", "quoteChar": "\"" },
    });
    let answer = query(&server, body).await;
    let text = "#datatype,string,long,long\r\n#group,false,false,false\r\n#default,_result,,\r\n\
                ,result,table,_value\r\n,,0,7\r\n\r\n";
    assert_eq!(answer.pair(), (200, text));
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8");

    let raw = server.ask(Method::POST, URI).header("content-type", "application/vnd.flux; charset=utf-8");
    let answer = server.send(raw.body(Body::from("raw script")).unwrap()).await;
    assert_eq!(answer.pair(), (200, ",result,table,_value\r\n,_result,0,7\r\n\r\n"));

    let seen = server.query.flux_seen.lock();
    assert_eq!(
        (seen[0].script.as_str(), seen[0].now),
        ("script", Timestamp::parse_rfc3339("2024-01-01T00:00:00Z"))
    );
    assert_eq!((seen[1].script.as_str(), seen[1].now), ("raw script", None));
    assert_eq!((seen[0].org, &seen[0].readable), (server.org(), &None));
}

#[tokio::test]
async fn requests_that_make_no_sense() {
    let server = Server::new().await;
    let dialect = |dialect: Value| json!({ "query": "x", "dialect": dialect });
    for (body, message) in [
        (json!({}), "request body requires either query or AST"),
        (json!({ "query": " " }), "request body requires either query or AST"),
        (json!({ "query": "x", "type": "graph" }), "unknown query type: graph"),
        (json!({ "query": "x", "now": "noon" }), "now is not an RFC 3339 time: \"noon\""),
        (dialect(json!({ "delimiter": ",," })), "invalid dialect delimeter: must be length 1"),
        (dialect(json!({ "commentPrefix": "##" })), "invalid dialect comment prefix: must be length 0 or 1"),
        (dialect(json!({ "annotations": ["x"] })), "unknown dialect annotation type: x"),
        (dialect(json!({ "dateTimeFormat": "x" })), "unknown dialect date time format: x"),
    ] {
        query(&server, body).await.is_v2(400, "invalid", message);
    }
    let script = server.post(URI, "from(bucket: \"x\")").await;
    let message = script.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("set 'Content-Type: application/vnd.flux'"), "{message}");
    assert!(message.ends_with("at line 1 column 2"), "{message}");
    server.post("/api/v2/query", "{}").await.is_v2(400, "invalid", "Please provide either orgID or org");
    assert!(server.query.flux_seen.lock().is_empty());
}

#[tokio::test]
async fn a_script_over_the_limit() {
    let server = Server::with(|options| options.limits.query_bytes_max = 100).await;
    let answer = query(&server, json!({ "query": "x".repeat(100) })).await;
    answer.is_v2(413, "request too large", "request too large: the limit max-query-size is 100 bytes");
}

#[tokio::test]
async fn externs_come_before_the_first_statement() {
    let server = Server::new().await;
    let property = |name: &str, value: Value| json!({ "type": "Property", "key": { "type": "Identifier", "name": name }, "value": value });
    let body = json!({
        "query": "import \"date\"\nfrom(bucket: params.b)",
        "extern": { "type": "File", "package": null, "imports": null, "body": [{
            "type": "OptionStatement",
            "assignment": {
                "type": "VariableAssignment",
                "id": { "type": "Identifier", "name": "params" },
                "init": { "type": "ObjectExpression", "properties": [
                    property("b", json!({ "type": "StringLiteral", "value": "a\"${x}" })),
                    property("n", json!({ "type": "IntegerLiteral", "value": "5" })),
                ] },
            },
        }] },
    });
    assert_eq!(query(&server, body).await.status, 200);
    let script = "import \"date\"\noption params = {b: \"a\\\"\\x24{x}\", n: 5} from(bucket: params.b)";
    assert_eq!(server.query.flux_seen.lock()[0].script, script);
}

#[tokio::test]
async fn an_error_before_the_first_byte_is_an_http_error() {
    let server = Server::new().await;
    for (error, status, code, message) in [
        (
            QueryError::Invalid("error @1:1-1:2: undefined identifier x".into()),
            400,
            "invalid",
            "compilation failed: error @1:1-1:2: undefined identifier x",
        ),
        (QueryError::NotFound("bucket \"x\" not found".into()), 404, "not found", "bucket \"x\" not found"),
        (QueryError::LimitReached("memory".into()), 400, "invalid", "memory"),
        (QueryError::Forbidden("no".into()), 403, "forbidden", "no"),
        (
            QueryError::Internal("secret path".into()),
            500,
            "internal error",
            "An internal error has occurred - check server logs",
        ),
    ] {
        server.query.on_flux(move |_, sink| {
            sink(table(0, vec![1])).map_err(|_closed| QueryError::Cancelled)?;
            Err(error.clone())
        });
        query(&server, json!({ "query": "x" })).await.is_v2(status, code, message);
    }
}

#[tokio::test]
async fn an_error_after_the_first_byte_is_an_error_table() {
    let server = Server::new().await;
    server.query.on_flux(|_, sink| {
        sink(table(0, (0..20_000).collect())).map_err(|_closed| QueryError::Cancelled)?;
        Err(QueryError::LimitReached("out of memory, \"really\"".into()))
    });
    let answer = query(
        &server,
        json!({ "query": "x", "dialect": { "annotations": ["datatype", "group", "default"] } }),
    )
    .await;
    assert_eq!(answer.status, 200);
    let end = "\r\n,,0,19999\r\n\r\n#datatype,string,string\r\n#group,true,true\r\n#default,,\r\n\
               ,error,reference\r\n,\"out of memory, \"\"really\"\"\",\r\n";
    assert!(answer.text().ends_with(end), "{:?}", &answer.text()[answer.text().len() - 200..]);
}

#[tokio::test]
async fn answers_are_packed_when_asked() {
    let server = Server::new().await;
    server.query.on_flux(|_, sink| {
        (0..50).try_for_each(|i| sink(table(i, (0..1000).collect()))).map_err(|_closed| QueryError::Cancelled)
    });
    let plain = query(&server, json!({ "query": "x" })).await;
    assert_eq!(plain.header("content-encoding"), "");
    let ask = server.ask(Method::POST, URI).header("accept-encoding", "deflate, gzip;q=0.5");
    let packed = server.send(ask.body(Body::from(r#"{"query":"x"}"#)).unwrap()).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain.text());
    let refused = server.ask(Method::POST, URI).header("accept-encoding", "gzip;q=0");
    let refused = server.send(refused.body(Body::from(r#"{"query":"x"}"#)).unwrap()).await;
    assert_eq!(refused.body, plain.body);
}

#[tokio::test]
async fn no_content_when_asked() {
    let server = Server::new().await;
    server.query.on_flux(|_, sink| sink(table(0, vec![7])).map_err(|_closed| QueryError::Cancelled));
    let ask = || server.ask(Method::POST, URI).header("prefer", "return-no-content");
    let answer = server.send(ask().body(Body::from(r#"{"query":"x"}"#)).unwrap()).await;
    assert_eq!(answer.pair(), (204, ""));
    server.query.on_flux(|_, _| Err(QueryError::NotFound("gone".into())));
    let answer = server.send(ask().body(Body::from(r#"{"query":"x"}"#)).unwrap()).await;
    answer.is_v2(404, "not found", "gone");
}

#[tokio::test]
async fn only_readable_buckets_are_handed_on() {
    let mut server = Server::new().await;
    let (org, bucket) = (server.org().to_string(), server.bucket());
    let permissions = json!([
        { "action": "read", "resource": { "type": "buckets", "id": bucket.to_string(), "orgID": org } },
    ]);
    server.token = server.token_with(permissions).await;
    query(&server, json!({ "query": "x" })).await;
    assert_eq!(server.query.flux_seen.lock()[0].readable, Some(vec![bucket]));
}

/// Sends without reading the answer's body.
async fn begin(server: &Server) -> http::Response<Body> {
    begin_with(server, "x").await
}

async fn begin_with(server: &Server, script: &str) -> http::Response<Body> {
    let body = json!({ "query": script }).to_string();
    let ask = server.ask(Method::POST, URI).body(Body::from(body)).unwrap();
    server.gateway.router().oneshot(ask).await.unwrap()
}

#[tokio::test]
async fn a_client_that_goes_away_stops_the_query() {
    let server = Server::new().await;
    let (told, ended) = std::sync::mpsc::channel();
    server.query.on_flux(move |request, sink| {
        let mut sent = 0_u64;
        let result = loop {
            if let Err(closed) = sink(table(0, (0..1000).collect())) {
                break closed;
            }
            sent += 1;
        };
        told.send((sent, result, request.cancel.is_cancelled())).unwrap();
        Err(QueryError::Cancelled)
    });
    let mut response = begin(&server).await;
    let first = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b",result,table,_value\r\n"));
    drop(response);
    let wait = tokio::task::spawn_blocking(move || ended.recv_timeout(Duration::from_secs(30)));
    let (sent, _closed, cancelled) = wait.await.unwrap().expect("the query was told to stop");
    assert!(cancelled);
    assert!(sent < 100, "a slow client holds back the query: {sent} tables were made");
}

#[tokio::test]
async fn a_client_that_does_not_read_keeps_nobody_from_his_turn() {
    let server = Server::with(|options| {
        options.limits.query_concurrency = 1;
        options.limits.query_queue_max = 1;
    })
    .await;
    let (told, ended) = std::sync::mpsc::channel();
    server.query.on_flux(move |request, sink| {
        let many = request.script.contains("many");
        for _ in 0..if many { 1000 } else { 1 } {
            sink(table(0, (0..1000).collect())).map_err(|_closed| QueryError::Cancelled)?;
        }
        told.send(many).unwrap();
        Ok(())
    });
    let mut slow = begin_with(&server, "many").await;
    // It has filled what waits for the client and stands aside.
    let quick = tokio::time::timeout(Duration::from_secs(30), begin_with(&server, "few")).await.unwrap();
    assert_eq!(quick.status(), 200);
    assert_eq!(ended.recv(), Ok(false));
    drop(quick);
    // The slow one goes on as soon as its client reads.
    let mut bytes = 0;
    while let Some(frame) = slow.body_mut().frame().await {
        bytes += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(ended.recv(), Ok(true));
    assert!(bytes > 1_000_000, "{bytes}");
}

#[tokio::test]
async fn a_client_that_never_reads_on_gets_a_broken_answer_not_a_short_one() {
    let server = Server::with(|options| options.limits.body_idle_max = Duration::from_millis(50)).await;
    let (told, ended) = std::sync::mpsc::channel();
    server.query.on_flux(move |_, sink| {
        while sink(table(0, (0..1000).collect())).is_ok() {}
        told.send(()).unwrap();
        Err(QueryError::Cancelled)
    });
    let mut response = begin(&server).await;
    let wait = tokio::task::spawn_blocking(move || ended.recv_timeout(Duration::from_secs(30)));
    wait.await.unwrap().expect("the query ends without the client");
    let broken = loop {
        match response.body_mut().frame().await {
            Some(Ok(_)) => {}
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(broken);
}

#[tokio::test]
async fn a_query_over_its_time_is_stopped_and_told_why() {
    let server = Server::with(|options| options.limits.query_duration_max = Duration::from_millis(20)).await;
    server.query.on_flux(|request, _| {
        while !request.cancel.is_cancelled() {
            std::thread::yield_now();
        }
        Err(QueryError::Cancelled)
    });
    let message = "the query ran longer than 20ms (query-timeout)";
    query(&server, json!({ "query": "x" })).await.is_v2(400, "invalid", message);
}

#[tokio::test]
async fn queries_wait_and_the_queue_has_an_end() {
    let server = Server::with(|options| {
        options.limits.query_concurrency = 1;
        options.limits.query_queue_max = 1;
    })
    .await;
    let gate = Arc::new((parking_lot::Mutex::new(false), parking_lot::Condvar::new()));
    let door = Arc::clone(&gate);
    server.query.on_flux(move |_, _| {
        let mut open = door.0.lock();
        while !*open {
            door.1.wait(&mut open);
        }
        Ok(())
    });
    let ask = || query(&server, json!({ "query": "x" }));
    let (first, second, third, ()) = tokio::join!(biased; ask(), ask(), ask(), async {
        *gate.0.lock() = true;
        gate.1.notify_all();
    });
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200));
    let message = "queue length exceeded: 1 queries wait already (query-queue-size)";
    third.is_v2(429, "too many requests", message);
    assert_eq!(third.header("retry-after"), "1");
}
