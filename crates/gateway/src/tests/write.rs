//! Writes of both families.

use std::io::Write as _;
use std::time::Duration;

use axum::body::Body;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;
use memory::Account;
use serde_json::json;
use tokio::time::interval;

use super::support::{Answer, NOW, Server, request};
use crate::ports::{Unavailable, WriteError};

const V2: &str = "/api/v2/write?org=acme&bucket=metrics";
const V1: &str = "/write?db=metrics";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// A body of which nothing ever comes.
fn silence() -> Body {
    Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>())
}

fn times(server: &Server) -> Vec<i64> {
    let batches = server.write.batches.lock();
    batches.iter().flat_map(|b| &b.tables).flat_map(|t| t.times.clone()).collect()
}

async fn encoded(server: &Server, uri: &str, encoding: &str, body: Vec<u8>) -> Answer {
    let ask = server.ask(Method::POST, uri).header("content-encoding", encoding);
    server.send(ask.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn a_good_write_is_204_without_a_body() {
    let server = Server::new().await;
    for uri in [V2, V1] {
        let answer = server.post(uri, "cpu,host=a usage=1.5 10\ncpu,host=b usage=2 20\n").await;
        assert_eq!(answer.pair(), (204, ""), "{uri}");
    }
    assert_eq!(times(&server), [10, 20, 10, 20]);
    assert_eq!(server.write.batches.lock()[0].bucket, server.bucket());
}

#[tokio::test]
async fn precisions_of_both_families() {
    let server = Server::new().await;
    let v2 = [("&precision=ns", 7), ("&precision=us", 7_000), ("&precision=ms", 7_000_000), ("", 7)];
    for (uri, expected) in v2 {
        assert_eq!(server.post(&format!("{V2}{uri}"), "m f=1 7").await.status, 204, "{uri}");
        assert_eq!(times(&server).last(), Some(&expected), "{uri}");
    }
    for (uri, expected) in [
        ("&precision=n", 7),
        ("&precision=u", 7_000),
        ("&precision=ms", 7_000_000),
        ("&precision=s", 7_000_000_000),
        ("&precision=m", 420_000_000_000),
        ("&precision=h", 25_200_000_000_000),
    ] {
        assert_eq!(server.post(&format!("{V1}{uri}"), "m f=1 7").await.status, 204, "{uri}");
        assert_eq!(times(&server).last(), Some(&expected), "{uri}");
    }
    let wrong = "invalid precision; valid precision units are ns, us, ms, and s";
    server.post(&format!("{V2}&precision=m"), "m f=1").await.is_v2(400, "invalid", wrong);
    let wrong = "invalid precision \"xx\" (use n, u, ms, s, m or h)";
    server.post(&format!("{V1}&precision=xx"), "m f=1").await.is_v1(400, wrong);
}

#[tokio::test]
async fn a_point_without_time_gets_the_servers() {
    let server = Server::new().await;
    server.clock.advance(Duration::from_millis(1_250));
    assert_eq!(server.post(V2, "m f=1").await.status, 204);
    assert_eq!(server.post(&format!("{V2}&precision=s"), "m f=1").await.status, 204);
    assert_eq!(times(&server), [NOW.0 + 1_250_000_000, NOW.0 + 1_000_000_000]);
}

#[tokio::test]
async fn a_bad_line_refuses_a_v2_body_and_costs_v1_only_itself() {
    let server = Server::new().await;
    let body = "m f=1 1\nbad\nm f=2 2\nm,=x f=1\n";
    let refused = server.post(V2, body).await;
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    assert_eq!((refused.status.as_u16(), refused.header("x-platform-error-code")), (400, "invalid"));
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], "unable to parse 'bad': missing fields");
    assert!(lines[1].starts_with("unable to parse 'm,=x f=1': "), "{}", lines[1]);
    assert!(times(&server).is_empty());

    let partial = server.post(V1, body).await;
    partial.is_v1(400, &format!("partial write: {message} dropped=0"));
    assert_eq!(times(&server), [1, 2]);
    let nothing_good = server.post(V1, "bad\n").await;
    nothing_good.is_v1(400, "unable to parse 'bad': missing fields");
}

#[tokio::test]
async fn points_that_the_parser_drops_are_counted() {
    let server = Server::new().await;
    let body = "m f=1 1\nm time=1 2\nm time=2 3\n";
    let answer = server.post(V2, body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-platform-error-code")),
        (422, "unprocessable entity")
    );
    let text = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(text.starts_with("failure writing points to database: partial write: "), "{text}");
    assert!(text.ends_with(" dropped=2"), "{text}");
    let answer = server.post(V1, body).await;
    assert_eq!(answer.status, 400);
    assert_eq!(times(&server), [1, 1]);
}

#[tokio::test]
async fn a_string_beyond_the_limit_is_a_bad_line() {
    let server = Server::with(|options| options.limits.string_bytes_max = 4).await;
    let body = "m f=1 1\nm s=\"too long\" 2\n";
    let answer = server.post(V2, body).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("is too long, 8 > 4"), "{}", answer.text());
    assert_eq!(times(&server), Vec::<i64>::new());
    assert_eq!(server.post(V1, body).await.status, 400);
    assert_eq!(times(&server), [1]);
}

#[tokio::test]
async fn complaints_are_cut() {
    let server = Server::new().await;
    let line = "x".repeat(60_000);
    let one = server.post(V2, line.clone()).await.json()["message"].as_str().unwrap().to_owned();
    assert_eq!(one, format!("unable to parse '{}...': missing fields", "x".repeat(512)));
    let many = server.post(V2, format!("{line}\n").repeat(200)).await;
    let many = many.json()["message"].as_str().unwrap().to_owned();
    assert!(many.len() < 40_000, "{}", many.len());
    assert!(many.ends_with(" more lines that could not be parsed"), "{many}");
}

#[tokio::test]
async fn empty_bodies() {
    let server = Server::new().await;
    server.post(V2, "").await.is_v2(400, "invalid", "writing requires points");
    assert_eq!(server.post(V2, "# only a comment\n").await.status, 204);
    assert_eq!(server.post(V1, "").await.status, 204);
    assert!(times(&server).is_empty());
}

#[tokio::test]
async fn partial_writes_in_both_families() {
    let server = Server::new().await;
    let text = "field type conflict: input field \"f\" on measurement \"m\" is type string, \
                already exists as type float";
    let failure = || WriteError::Partial { message: text.into(), dropped: 1 };
    *server.write.failure.lock() = Some(failure());
    let message = format!("failure writing points to database: partial write: {text} dropped=1");
    server.post(V2, "m f=1\nm f=\"a\"").await.is_v2(422, "unprocessable entity", &message);
    *server.write.failure.lock() = Some(failure());
    server.post(V1, "m f=1\nm f=\"a\"").await.is_v1(400, &format!("partial write: {text} dropped=1"));
}

#[tokio::test]
async fn faults_of_ours_are_503_or_429_with_retry_after() {
    let server = Server::new().await;
    for uri in [V2, V1] {
        let unknown = Unavailable::OutcomeUnknown("no answer within 10 s".into());
        *server.write.failure.lock() = Some(unknown.into());
        let answer = server.post(uri, "m f=1").await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
        assert!(answer.text().contains("outcome unknown: no answer within 10 s"), "{}", answer.text());
        let retry_after = Duration::from_millis(2_500);
        let overloaded = WriteError::Overloaded { message: "memory".into(), retry_after };
        *server.write.failure.lock() = Some(overloaded);
        let answer = server.post(uri, "m f=1").await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "3"));
    }
}

#[tokio::test]
async fn names_that_do_not_exist() {
    let server = Server::new().await;
    let answer = server.post("/api/v2/write?org=acme&bucket=nope", "m f=1").await;
    answer.is_v2(404, "not found", "bucket \"nope\" not found");
    let answer = server.post("/api/v2/write?org=nope&bucket=metrics", "m f=1").await;
    answer.is_v2(404, "not found", "organization name \"nope\" not found");
    server.post("/api/v2/write?org=acme", "m f=1").await.is_v2(404, "not found", "bucket not found");
    let answer = server.post("/api/v2/write?bucket=metrics", "m f=1").await;
    answer.is_v2(400, "invalid", "Please provide either orgID or org");
    server.post("/write", "m f=1").await.is_v1(400, "database is required");
    server.post("/write?db=nope", "m f=1").await.is_v1(404, "database not found: \"nope\"");
    let answer = server.post("/write?db=metrics&rp=nope", "m f=1").await;
    answer.is_v1(404, "retention policy not found: nope");
}

#[tokio::test]
async fn ids_and_policies_lead_to_the_bucket() {
    let server = Server::new().await;
    let (org, bucket) = (server.org(), server.bucket());
    for uri in [
        format!("/api/v2/write?orgID={org}&bucket={bucket}"),
        format!("/api/v2/write?org={org}&bucket=metrics"),
        "/write?db=metrics&rp=autogen&consistency=all".to_owned(),
    ] {
        assert_eq!(server.post(&uri, "m f=1").await.status, 204, "{uri}");
    }
    let answer = server.post("/write?db=metrics&consistency=some", "m f=1").await;
    answer.is_v1(400, "invalid consistency level");
}

#[tokio::test]
async fn a_reader_may_not_write() {
    let mut server = Server::new().await;
    let org = server.org().to_string();
    let read = json!([{ "action": "read", "resource": { "type": "buckets", "orgID": org } }]);
    server.token = server.token_with(read).await;
    server.post(V2, "m f=1").await.is_v2(403, "forbidden", "insufficient permissions for write");
    assert_eq!(server.post(V1, "m f=1").await.status, 403);
    assert!(times(&server).is_empty());
}

#[tokio::test]
async fn packed_bodies() {
    let server = Server::new().await;
    let large: String = (0..50_000).map(|i| format!("m,host=h{} f={i} {i}\n", i % 10)).collect();
    for encoding in ["gzip", "x-gzip", "GZIP"] {
        assert_eq!(encoded(&server, V2, encoding, gzip(b"m f=1 5")).await.status, 204, "{encoding}");
    }
    assert_eq!(encoded(&server, V1, "gzip", gzip(large.as_bytes())).await.status, 204);
    assert_eq!(times(&server).len(), 50_003);
    assert_eq!(encoded(&server, V2, "identity", b"m f=1".to_vec()).await.status, 204);
    let broken = encoded(&server, V2, "gzip", b"m f=1 but not gzip".to_vec()).await;
    assert_eq!((broken.status.as_u16(), broken.header("x-platform-error-code")), (400, "invalid"));
    let mut cut = gzip(large.as_bytes());
    cut.truncate(cut.len() - 20);
    assert_eq!(encoded(&server, V2, "gzip", cut).await.status, 400);
    assert_eq!(encoded(&server, V2, "br", b"x".to_vec()).await.status, 415);
    let empty = encoded(&server, V2, "gzip", Vec::new()).await;
    empty.is_v2(400, "invalid", "writing requires points");
}

#[tokio::test]
async fn bodies_over_the_limits_are_413() {
    let server = Server::with(|options| {
        options.limits.body_bytes_max = 1000;
        options.limits.decompressed_bytes_max = 10_000;
    })
    .await;
    let message = "request too large: the limit max-body-size is 1000 bytes";
    server.post(V2, vec![b'x'; 1001]).await.is_v2(413, "request too large", message);
    server.post(V1, vec![b'x'; 1001]).await.is_v1(413, message);
    let chunks = (0..20).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 100]));
    let endless = Body::from_stream(futures::stream::iter(chunks));
    server.post(V2, endless).await.is_v2(413, "request too large", message);
    let bomb = encoded(&server, V2, "gzip", gzip(&vec![b'x'; 200_000])).await;
    let message = "request too large: the limit max-decompressed-size is 10000 bytes";
    bomb.is_v2(413, "request too large", message);
    assert!(server.get("/metrics").await.text().contains("tidemark_http_write_held_bytes 0\n"));
}

#[tokio::test]
async fn a_stated_length_is_judged_before_the_body_is_read() {
    let server = Server::with(|options| options.limits.body_bytes_max = 1000).await;
    let ask = server.ask(Method::POST, V2).header("content-length", "1001");
    assert_eq!(server.send(ask.body(silence()).unwrap()).await.status, 413);
}

#[tokio::test]
async fn bytes_in_flight_have_a_limit() {
    let server = Server::with(|options| options.write_memory = Account::new("writes", 100, 0)).await;
    let mut held = server.gateway.0.reserve();
    held.cover(60).unwrap();
    let answer = server.post(V2, vec![b'x'; 41]).await;
    let message = "too many bytes in flight: the limit max-in-flight-write-size is 100";
    answer.is_v2(429, "too many requests", message);
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(server.post(V2, "m f=1").await.status, 204);
}

#[tokio::test]
async fn announced_bytes_take_no_memory_before_they_come() {
    let server = Server::with(|options| options.write_memory = Account::new("writes", 400, 0)).await;
    let ask = || server.ask(Method::POST, V2).header("content-length", "350");
    let sluggard = server.send(ask().body(silence()).unwrap());
    tokio::select! {
        biased;
        answer = sluggard => panic!("{answer:?}"),
        answer = server.post(V2, "m f=1") => assert_eq!(answer.status, 204),
    }
}

#[tokio::test]
async fn a_body_that_trickles_is_cut() {
    let server = Server::with(|options| options.limits.body_idle_max = Duration::from_millis(50)).await;
    let trickle = futures::stream::unfold(interval(Duration::from_millis(5)), |mut timer| async {
        timer.tick().await;
        Some((Ok::<_, std::io::Error>("x"), timer))
    });
    let answer = server.post(V2, Body::from_stream(trickle)).await;
    assert_eq!(answer.status, 408);
    assert!(answer.text().contains("came too slowly"), "{}", answer.text());
    assert_eq!(server.gateway.0.options.write_memory.used(), 0);
}

#[tokio::test]
async fn a_body_that_will_never_fit_is_not_asked_for_again() {
    let server = Server::with(|options| options.write_memory = Account::new("writes", 1000, 0)).await;
    let message = "request too large: the limit max-in-flight-write-size is 1000 bytes";
    server.post(V2, vec![b'x'; 1001]).await.is_v2(413, "request too large", message);
    let bomb = encoded(&server, V2, "gzip", gzip(&vec![b'x'; 200_000])).await;
    bomb.is_v2(413, "request too large", message);
}

#[tokio::test]
async fn more_cells_than_a_batch_holds_are_413() {
    let server = Server::new().await;
    // Every point has a field of its own: points times fields is beyond what one batch may hold.
    let mut body = String::new();
    for i in 0..6000 {
        body.push_str(&format!("m f{i}=1 {i}\n"));
    }
    for uri in [V1, V2] {
        let answer = server.post(uri, body.clone()).await;
        assert_eq!(answer.status, 413, "{}", answer.text());
    }
    assert!(server.write.batches.lock().is_empty());
}

#[tokio::test]
async fn a_body_that_stops_is_cut() {
    let server = Server::with(|options| options.limits.body_idle_max = Duration::from_millis(1)).await;
    let message = "no byte of the request body came for 1ms (http-idle-timeout)";
    server.post(V2, silence()).await.is_v2(408, "request timeout", message);
}

#[tokio::test]
async fn credentials_are_judged_before_the_body() {
    let server = Server::new().await;
    assert_eq!(server.send(request(Method::POST, V2).body(silence()).unwrap()).await.status, 401);
}
