//! Deletes: what reaches the port, and what is refused in the words of 2.x.

use http::Method;
use model::{Deletion, Predicate, Subject, Test, TimeRange, Timestamp};
use serde_json::json;

use super::support::Server;
use crate::ports::{Unavailable, WriteError};

const URI: &str = "/api/v2/delete?org=acme&bucket=metrics";

#[tokio::test]
async fn a_delete_reaches_the_port_with_both_ends_of_its_time() {
    let server = Server::new().await;
    let body = json!({
        "start": "1970-01-01T00:00:01Z", "stop": "1970-01-01T00:00:02.5+00:00",
        "predicate": "_measurement=\"cpu\" AND host=a"
    });
    assert_eq!(server.json(Method::POST, URI, &body).await.pair(), (204, ""));
    let by_id = format!("/api/v2/delete?orgID={}&bucketID={}", server.org(), server.bucket());
    let all = json!({"start": "1677-09-21T00:12:43.145224194Z", "stop": "2262-04-11T23:47:16.854775806Z"});
    assert_eq!(server.json(Method::POST, &by_id, &all).await.pair(), (204, ""));
    let is = |subject, text: &str| Predicate::Compare(subject, Test::Eq(text.into()));
    let bucket = server.bucket();
    let range = |start, end| TimeRange::new(Timestamp(start), Timestamp(end));
    let expected = [
        Deletion {
            bucket,
            range: range(1_000_000_000, 2_500_000_001),
            predicate: is(Subject::Measurement, "cpu").and(is(Subject::Tag("host".into()), "a")),
        },
        Deletion { bucket, range: range(i64::MIN + 2, i64::MAX), predicate: Predicate::TRUE },
    ];
    assert_eq!(*server.write.deletions.lock(), expected);
}

#[tokio::test]
async fn bad_bodies_are_400_before_anything_is_looked_up() {
    let server = Server::new().await;
    let times = |start: &str, stop: &str| json!({ "start": start, "stop": stop });
    let good = times("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z");
    let with = |predicate: &str| {
        let mut body = good.clone();
        body["predicate"] = predicate.into();
        body
    };
    for (body, reason) in [
        (
            json!({}),
            "invalid RFC3339Nano for field start, please format your time with RFC3339Nano format, example: \
             2009-01-02T23:00:00Z",
        ),
        (
            times("2020-01-01T00:00:00Z", "yesterday"),
            "invalid RFC3339Nano for field stop, please format your time with RFC3339Nano format, example: \
             2009-01-01T23:00:00Z",
        ),
        (
            times("0001-01-01T00:00:00Z", "2021-01-01T00:00:00Z"),
            "invalid start time, start time must not be before 1677-09-21T00:12:43.145224194Z",
        ),
        (
            times("2020-01-01T00:00:00Z", "9999-12-31T00:00:00Z"),
            "invalid stop time, stop time must not be after 2262-04-11T23:47:16.854775806Z",
        ),
        (with("a>1"), "invalid operator \">\" at position: 1"),
        (json!({"start": 5}), "invalid type: integer `5`, expected a string at line 1 column 10"),
    ] {
        let message = format!("invalid request; error parsing request json: {reason}");
        let uri = "/api/v2/delete?org=nobody&bucket=nothing";
        server.json(Method::POST, uri, &body).await.is_v2(400, "invalid", &message);
    }
    let call = |uri: &'static str| server.json(Method::POST, uri, &good);
    call("/api/v2/delete?bucket=metrics").await.is_v2(400, "invalid", "Please provide either orgID or org");
    let message = "Please provide either bucketID or bucket";
    call("/api/v2/delete?org=acme").await.is_v2(400, "invalid", message);
    call("/api/v2/delete?org=acme&bucket=x").await.is_v2(404, "not found", "bucket \"x\" not found");
    call("/api/v2/delete?org=x&bucket=metrics").await.is_v2(
        404,
        "not found",
        "organization name \"x\" not found",
    );
    assert_eq!(server.get(URI).await.status, 405);
    assert!(server.write.deletions.lock().is_empty());
}

#[tokio::test]
async fn only_who_may_write_to_the_bucket_may_delete() {
    let server = Server::new().await;
    let body = json!({"start": "2020-01-01T00:00:00Z", "stop": "2021-01-01T00:00:00Z"}).to_string();
    let id = server.bucket().to_string();
    let permission = |action: &str| json!([{"action": action, "resource": {"type": "buckets", "id": id, "orgID": server.org().to_string()}}]);
    let as_token = |token: &str| {
        let request =
            super::support::request(Method::POST, URI).header("authorization", format!("Token {token}"));
        server.send(request.body(body.clone().into()).unwrap())
    };
    let reader = server.token_with(permission("read")).await;
    as_token(&reader).await.is_v2(403, "forbidden", "insufficient permissions to delete");
    as_token("nobody").await.is_v2(401, "unauthorized", "unauthorized access");
    let writer = server.token_with(permission("write")).await;
    assert_eq!(as_token(&writer).await.pair(), (204, ""));
    assert_eq!(server.write.deletions.lock().len(), 1);
}

#[tokio::test]
async fn failures_say_whether_to_come_again() {
    let server = Server::new().await;
    let body = json!({"start": "2020-01-01T00:00:00Z", "stop": "2021-01-01T00:00:00Z"});
    let failing = async |error: WriteError| {
        *server.write.failure.lock() = Some(error);
        server.json(Method::POST, URI, &body).await
    };
    failing(WriteError::Invalid("too long".into())).await.is_v2(400, "invalid", "too long");
    let unknown = Unavailable::OutcomeUnknown("no quorum".into());
    assert_eq!(failing(unknown.into()).await.status, 503);
    let full =
        WriteError::Overloaded { message: "many".into(), retry_after: std::time::Duration::from_secs(7) };
    let answer = failing(full).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "7"));
}
