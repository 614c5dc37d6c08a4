//! Who is let in.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use catalog::{Command, Status};
use http::Method;
use serde_json::json;

use super::support::{Answer, NOW, Server, request};
use crate::ports::CatalogPort as _;

async fn with(server: &Server, uri: &str, authorization: &str) -> Answer {
    let ask = request(Method::GET, uri).header("authorization", authorization);
    server.send(ask.body(Body::empty()).unwrap()).await
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn v2_takes_token_and_bearer_in_any_case() {
    let server = Server::new().await;
    for scheme in ["Token", "token", "Bearer", "BEARER"] {
        let answer = with(&server, "/api/v2/buckets", &format!("{scheme} {}", server.token)).await;
        assert_eq!(answer.status, 200, "{scheme}");
    }
    for wrong in ["Token nonsense", "Token ", "Token", &basic("ann", "correct horse"), "Digest x"] {
        let answer = with(&server, "/api/v2/buckets", wrong).await;
        answer.is_v2(401, "unauthorized", "unauthorized access");
    }
}

#[tokio::test]
async fn a_token_of_another_node_works_at_once() {
    let server = Server::new().await;
    let (org, user) = (server.org(), server.catalog.read().user_by_name("ann").unwrap().id);
    server.catalog.elsewhere.lock().push(Command::CreateAuthorization {
        authorization: catalog::Authorization {
            id: model::AuthorizationId::new(77).unwrap(),
            token_hash: catalog::auth::hash_token("fresh"),
            org,
            user,
            description: String::new(),
            status: Status::Active,
            permissions: catalog::auth::operator(),
            created_at: NOW,
            updated_at: NOW,
        },
    });
    assert_eq!(with(&server, "/api/v2/buckets", "Token fresh").await.status, 200);
    assert_eq!(server.catalog.barriers.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_doubt_about_a_token_is_503_and_never_401() {
    let server = Server::new().await;
    server.catalog.unreachable.store(true, Ordering::SeqCst);
    let answer = with(&server, "/api/v2/buckets", "Token unknown").await;
    answer.is_v2(503, "unavailable", "the catalog has no leader");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(with(&server, "/query?q=x", &basic("bob", "secret")).await.status, 503);
    let known = with(&server, "/api/v2/buckets", &format!("Token {}", server.token)).await;
    assert_eq!(known.status, 200, "what is known locally needs no barrier");
}

#[tokio::test]
async fn v1_takes_every_form_of_credentials() {
    let server = Server::new().await;
    let token = server.token.clone();
    let good = [
        ("/query?q=x&u=ann&p=correct%20horse".to_owned(), String::new()),
        (format!("/query?q=x&u=anyone&p={token}"), String::new()),
        ("/query?q=x".to_owned(), format!("Token {token}")),
        ("/query?q=x".to_owned(), "Token ann:correct horse".to_owned()),
        ("/query?q=x".to_owned(), format!("Token anyone:{token}")),
        ("/query?q=x".to_owned(), basic("ann", "correct horse")),
        ("/query?q=x".to_owned(), basic("anyone", &token)),
    ];
    for (uri, authorization) in good {
        let answer = with(&server, &uri, &authorization).await;
        assert_eq!(answer.pair(), (200, "{}\n"), "{uri} {authorization}");
    }
    for (uri, authorization) in [
        ("/query?q=x&u=ann&p=wrong", String::new()),
        ("/query?q=x", basic("ann", "wrong")),
        ("/query?q=x", basic("nobody", "correct horse")),
    ] {
        let answer = with(&server, uri, &authorization).await;
        answer.is_v1(401, "authorization failed");
        assert_eq!(answer.header("www-authenticate"), "Basic realm=\"InfluxDB\"");
    }
    let none = server.send(request(Method::GET, "/query?q=x").body(Body::empty()).unwrap()).await;
    none.is_v1(401, "unable to parse authentication credentials");
    assert_eq!(none.header("www-authenticate"), "Basic realm=\"InfluxDB\"");
}

#[tokio::test]
async fn a_right_that_was_given_on_another_node_holds_at_once() {
    let server = Server::new().await;
    let made = server.json(Method::POST, "/api/v2/users", &json!({ "name": "bob" })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let (org, user) = (server.org(), server.catalog.read().user_by_name("bob").unwrap().id);
    let password = json!({ "password": "battery staple" });
    let set = server.json(Method::POST, &format!("/api/v2/users/{user}/password"), &password).await;
    assert_eq!(set.status, 204, "{}", set.text());
    let may = |action, id| Command::CreateAuthorization {
        authorization: catalog::Authorization {
            id: model::AuthorizationId::new(id).unwrap(),
            token_hash: catalog::auth::hash_token(&id.to_string()),
            org,
            user,
            description: String::new(),
            status: Status::Active,
            permissions: vec![catalog::Permission {
                action,
                resource: catalog::ResourceType::Buckets,
                id: None,
                org: Some(org),
            }],
            created_at: NOW,
            updated_at: NOW,
        },
    };
    server.catalog.apply(&may(catalog::Action::Read, 77));
    let write = || {
        let authorization = basic("bob", "battery staple");
        let ask = request(Method::POST, "/write?db=metrics").header("authorization", authorization);
        server.send(ask.body(Body::from("m f=1")).unwrap())
    };
    let refused = write().await;
    refused.is_v1(403, "\"bob\" user is not authorized to write to database \"metrics\"");
    server.catalog.unreachable.store(true, Ordering::SeqCst);
    assert_eq!(write().await.status, 503, "nobody knows");
    server.catalog.unreachable.store(false, Ordering::SeqCst);
    server.catalog.elsewhere.lock().push(may(catalog::Action::Write, 78));
    assert_eq!(write().await.status, 204);
}

#[tokio::test]
async fn a_changed_password_is_known_at_once() {
    let server = Server::new().await;
    let old = basic("ann", "correct horse");
    assert_eq!(with(&server, "/query?q=x", &old).await.status, 200);
    assert_eq!(with(&server, "/query?q=x", &old).await.status, 200, "from memory");
    let user = server.catalog.read().user_by_name("ann").unwrap().id;
    let body = json!({ "password": "battery staple" });
    let set = server.json(Method::POST, &format!("/api/v2/users/{user}/password"), &body).await;
    assert_eq!(set.status, 204, "{}", set.text());
    assert_eq!(with(&server, "/query?q=x", &old).await.status, 401);
    assert_eq!(with(&server, "/query?q=x", &basic("ann", "battery staple")).await.status, 200);
}

#[tokio::test]
async fn without_authorization_v1_is_open_and_v2_is_not() {
    let server = Server::with(|options| options.auth_enabled = false).await;
    let bare = |method, uri: &str, body: &'static str| request(method, uri).body(Body::from(body)).unwrap();
    assert_eq!(server.send(bare(Method::POST, "/write?db=metrics", "m f=1")).await.status, 204);
    assert_eq!(server.send(bare(Method::GET, "/query?q=x", "")).await.status, 200);
    let v2 = server.send(bare(Method::POST, "/api/v2/write?org=acme&bucket=metrics", "m f=1")).await;
    assert_eq!(v2.status, 401);
    let blank = Server::blank(|options| options.auth_enabled = false);
    let unknown = blank.send(bare(Method::POST, "/write?db=metrics", "m f=1")).await;
    assert_eq!(unknown.status, 404, "the database is unknown, not the organization");
    let state = blank.catalog.read();
    assert!(state.orgs().map(|org| org.name.as_str()).eq(["default"]));
}

#[tokio::test]
async fn sessions_begin_live_and_end() {
    let server = Server::new().await;
    let sign_in = |password: &str| {
        let ask = request(Method::POST, "/api/v2/signin").header("authorization", basic("ann", password));
        ask.body(Body::empty()).unwrap()
    };
    server.send(sign_in("wrong")).await.is_v2(401, "unauthorized", "unauthorized access");
    let signed_in = server.send(sign_in("correct horse")).await;
    assert_eq!(signed_in.status, 204);
    let cookie = signed_in.header("set-cookie").to_owned();
    let (pair, attributes) = cookie.split_once(';').unwrap();
    assert_eq!(attributes, " Path=/api/; Max-Age=3600; HttpOnly; SameSite=Strict");
    let me = |method: Method, uri: &str| {
        request(method, uri).header("cookie", format!("a=b; {pair}")).body(Body::empty()).unwrap()
    };
    let found = server.send(me(Method::GET, "/api/v2/me")).await;
    assert_eq!((found.status.as_u16(), &found.json()["name"]), (200, &"ann".into()));
    server.clock.advance(Duration::from_secs(3599));
    assert_eq!(server.send(me(Method::GET, "/api/v2/buckets")).await.status, 200, "renewed by use");
    server.clock.advance(Duration::from_secs(3599));
    assert_eq!(server.send(me(Method::GET, "/api/v2/me")).await.status, 200);
    server.clock.advance(Duration::from_secs(3600));
    assert_eq!(server.send(me(Method::GET, "/api/v2/me")).await.status, 401, "idle for too long");

    let again = server.send(sign_in("correct horse")).await.header("set-cookie").to_owned();
    let me = |method: Method, uri: &str| {
        request(method, uri).header("cookie", &again).body(Body::empty()).unwrap()
    };
    assert_eq!(server.send(me(Method::GET, "/api/v2/me")).await.status, 200);
    assert_eq!(server.send(me(Method::POST, "/api/v2/signout")).await.status, 204);
    assert_eq!(server.send(me(Method::GET, "/api/v2/me")).await.status, 401);
}

#[tokio::test]
async fn inactive_tokens_do_not_work() {
    let server = Server::new().await;
    let token = server.token_with(json!([{ "action": "read", "resource": { "type": "buckets" } }])).await;
    let id = {
        let state = server.catalog.read();
        state.authorization_by_hash(&catalog::auth::hash_token(&token)).unwrap().id
    };
    let authorization = format!("Token {token}");
    assert_eq!(with(&server, "/api/v2/buckets", &authorization).await.status, 200);
    let change = json!({ "status": "inactive" });
    let changed = server.json(Method::PATCH, &format!("/api/v2/authorizations/{id}"), &change).await;
    assert_eq!(changed.status, 200);
    assert_eq!(with(&server, "/api/v2/buckets", &authorization).await.status, 401);
}
