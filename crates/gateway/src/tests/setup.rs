//! First set-up.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use super::support::{Answer, Server, request};
use crate::ports::CatalogPort as _;

fn wanted() -> Value {
    json!({
        "username": "ann", "password": "correct horse", "org": "acme", "bucket": "b",
        "retentionPeriodSeconds": 7200,
    })
}

async fn post(server: &Server, body: &Value) -> Answer {
    let body = Body::from(body.to_string());
    server.send(request(Method::POST, "/api/v2/setup").body(body).unwrap()).await
}

#[tokio::test]
async fn set_up_makes_everything_once() {
    let server = Server::blank(|_| {});
    assert_eq!(server.get("/api/v2/setup").await.json(), json!({ "allowed": true }));
    let made = post(&server, &wanted()).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    assert_eq!(made["user"]["name"], "ann");
    assert_eq!(made["org"]["name"], "acme");
    assert_eq!(made["bucket"]["name"], "b");
    let rule = json!([{ "type": "expire", "everySeconds": 7200, "shardGroupDurationSeconds": 3600 }]);
    assert_eq!(made["bucket"]["retentionRules"], rule);
    assert_eq!(made["auth"]["org"], "acme");
    assert_eq!(made["auth"]["permissions"].as_array().unwrap().len(), 46);
    let token = made["auth"]["token"].as_str().unwrap();
    assert_eq!(token.len(), 88);
    {
        let state = server.catalog.read();
        let stored = state.authorization_by_hash(&catalog::auth::hash_token(token)).unwrap();
        assert_eq!(made["user"]["id"], stored.user.to_string());
        assert_eq!(state.buckets_of(stored.org).count(), 3, "with the two system buckets");
    }
    assert_eq!(server.get("/api/v2/setup").await.json(), json!({ "allowed": false }));
    post(&server, &wanted()).await.is_v2(422, "conflict", "onboarding has already been completed");
}

#[tokio::test]
async fn a_chosen_token_is_taken() {
    let server = Server::blank(|_| {});
    let mut body = wanted();
    body["token"] = json!("my-own-token");
    assert_eq!(post(&server, &body).await.json()["auth"]["token"], "my-own-token");
    let ask = request(Method::GET, "/api/v2/me").header("authorization", "Token my-own-token");
    assert_eq!(server.send(ask.body(Body::empty()).unwrap()).await.json()["name"], "ann");
}

#[tokio::test]
async fn set_up_is_refused_by_value() {
    let server = Server::blank(|_| {});
    for name in ["username", "org", "bucket"] {
        let mut body = wanted();
        body[name] = json!("");
        post(&server, &body).await.is_v2(400, "empty value", "onboard failed, missing value");
    }
    let mut body = wanted();
    body["password"] = json!("short");
    let message = "passwords must be between 8 and 72 characters long";
    post(&server, &body).await.is_v2(400, "invalid", message);
    let mut body = wanted();
    body["retentionPeriodSeconds"] = json!(-1);
    assert_eq!(post(&server, &body).await.status, 400);
    assert!(!server.catalog.read().is_set_up());
}

#[tokio::test]
async fn broken_json_is_told_with_its_place() {
    let server = Server::blank(|_| {});
    let body = Body::from("{\"username\":\n oops}");
    let answer = server.send(request(Method::POST, "/api/v2/setup").body(body).unwrap()).await;
    answer.is_v2(400, "invalid", "invalid JSON: expected value at line 2 column 2");
}

#[tokio::test]
async fn set_up_over_the_network_needs_permission() {
    let server = Server::blank(|options| options.setup_allowed = false);
    assert_eq!(server.get("/api/v2/setup").await.json(), json!({ "allowed": false }));
    assert_eq!(post(&server, &wanted()).await.status, 403);
    assert!(!server.catalog.read().is_set_up());
}

#[tokio::test]
async fn before_set_up_nothing_else_changes_data() {
    let server = Server::blank(|_| {});
    let uris = ["/api/v2/write?org=a&bucket=b", "/api/v2/orgs", "/api/v2/buckets", "/api/v2/authorizations"];
    for uri in uris {
        let answer = server.send(request(Method::POST, uri).body(Body::from("m f=1")).unwrap()).await;
        answer.is_v2(401, "unauthorized", "unauthorized access");
    }
    let write = request(Method::POST, "/write?db=a").body(Body::from("m f=1")).unwrap();
    server.send(write).await.is_v1(401, "unable to parse authentication credentials");
}

#[tokio::test]
async fn an_oversized_set_up_is_refused() {
    let server = Server::blank(|options| options.limits.json_bytes_max = 64);
    let answer = post(&server, &wanted()).await;
    answer.is_v2(413, "request too large", "request too large: the limit max-json-size is 64 bytes");
}
