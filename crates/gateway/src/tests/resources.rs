//! Organizations, buckets, authorizations, users, mappings.

use axum::body::Body;
use http::Method;
use serde_json::json;

use super::support::Server;

#[tokio::test]
async fn buckets_from_birth_to_death() {
    let server = Server::new().await;
    let org = server.org().to_string();
    let body = json!({
        "orgID": org, "name": "cpu", "description": "loads",
        "retentionRules": [{ "type": "expire", "everySeconds": 86400 }],
    });
    let made = server.json(Method::POST, "/api/v2/buckets", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("content-type"), "application/json; charset=utf-8");
    let made = made.json();
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!((id.len(), &made["type"], &made["description"]), (16, &"user".into(), &"loads".into()));
    let rule = json!([{ "type": "expire", "everySeconds": 86400, "shardGroupDurationSeconds": 3600 }]);
    assert_eq!(made["retentionRules"], rule);
    assert_eq!(made["createdAt"], "2024-01-02T03:04:05Z");
    assert_eq!(made["links"]["write"], format!("/api/v2/write?org={org}&bucket={id}"));

    let again = server.json(Method::POST, "/api/v2/buckets", &body).await;
    again.is_v2(422, "conflict", "bucket with name cpu already exists");
    let uri = format!("/api/v2/buckets/{id}");
    assert_eq!(server.get(&uri).await.json(), made);
    let change = json!({
        "name": "loads",
        "retentionRules": [{ "type": "expire", "everySeconds": 0, "shardGroupDurationSeconds": 7200 }],
    });
    let changed = server.json(Method::PATCH, &uri, &change).await.json();
    assert_eq!(changed["name"], "loads");
    let rule = json!([{ "type": "expire", "everySeconds": 0, "shardGroupDurationSeconds": 7200 }]);
    assert_eq!(changed["retentionRules"], rule);
    assert_eq!(server.call(Method::DELETE, &uri, Body::empty()).await.pair(), (204, ""));
    server.get(&uri).await.is_v2(404, "not found", "bucket not found");
}

#[tokio::test]
async fn buckets_are_listed_in_pages() {
    let server = Server::new().await;
    let org = server.org().to_string();
    for i in 0..25 {
        let body = json!({ "orgID": org, "name": format!("b{i}") });
        assert_eq!(server.json(Method::POST, "/api/v2/buckets", &body).await.status, 201);
    }
    let ids = |uri: &str| {
        let uri = uri.to_owned();
        let server = &server;
        async move {
            let list = server.get(&uri).await.json();
            let ids = list["buckets"].as_array().unwrap().iter().map(|b| b["id"].to_string()).collect();
            (ids, list["links"].clone())
        }
    };
    let (all, _): (Vec<String>, _) = ids("/api/v2/buckets?limit=100").await;
    assert_eq!(all.len(), 28, "with the first one and the system's two");
    assert!(all.is_sorted());
    let (first, links) = ids("/api/v2/buckets?org=acme").await;
    assert_eq!(first, all[..20]);
    assert_eq!(links["next"], "/api/v2/buckets?descending=false&limit=20&offset=20&org=acme");
    let (rest, links) = ids("/api/v2/buckets?offset=20").await;
    assert_eq!(rest, all[20..]);
    assert_eq!(links["prev"], "/api/v2/buckets?descending=false&limit=20&offset=0");
    assert!(links.get("next").is_none());
    let after = all[9].trim_matches('"');
    assert_eq!(ids(&format!("/api/v2/buckets?after={after}&limit=3")).await.0, all[10..13]);
    assert_eq!(ids("/api/v2/buckets?name=b7").await.0.len(), 1);
    assert_eq!(ids("/api/v2/buckets?name=nope").await.0.len(), 0);
    server.get("/api/v2/buckets?limit=101").await.is_v2(400, "invalid", "limit must be between 1 and 100");
    assert_eq!(server.get("/api/v2/buckets?org=nope").await.status, 404);
}

#[tokio::test]
async fn buckets_are_refused_by_value() {
    let server = Server::new().await;
    let org = server.org().to_string();
    for (body, status) in [
        (json!({ "name": "x" }), 400),
        (json!({ "orgID": org }), 400),
        (json!({ "orgID": org, "name": "_x" }), 400),
        (json!({ "orgID": org, "name": "x", "schemaType": "explicit" }), 400),
        (json!({ "orgID": org, "name": "x", "retentionRules": [{ "everySeconds": -1 }] }), 422),
        (json!({ "orgID": org, "name": "x", "retentionRules": [{ "everySeconds": i64::MAX }] }), 422),
        (json!({ "orgID": org, "name": "x", "retentionRules": [{ "everySeconds": 60 }] }), 422),
        (
            json!({ "orgID": org, "name": "x", "retentionRules": [{ "type": "keep", "everySeconds": 0 }] }),
            400,
        ),
        (json!({ "orgID": "0000000000000001", "name": "x" }), 404),
        (json!({ "orgID": 5, "name": "x" }), 400),
    ] {
        let answer = server.json(Method::POST, "/api/v2/buckets", &body).await;
        assert_eq!(answer.status, status, "{body} {}", answer.text());
    }
    assert_eq!(server.get("/api/v2/buckets/xyz").await.status, 400);
    assert_eq!(server.get("/api/v2/buckets/0000000000000000").await.status, 400);
    let message = "invalid JSON: EOF while parsing an object at line 1 column 1";
    server.post("/api/v2/buckets", "{").await.is_v2(400, "invalid", message);
}

#[tokio::test]
async fn organizations_from_birth_to_death() {
    let server = Server::new().await;
    let made = server.json(Method::POST, "/api/v2/orgs", &json!({ "name": "new org" })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    assert_eq!(made["links"]["buckets"], "/api/v2/buckets?org=new%20org");
    let uri = format!("/api/v2/orgs/{}", made["id"].as_str().unwrap());
    assert_eq!(server.get(&uri).await.json(), made);
    let listed = server.get("/api/v2/orgs?org=new%20org").await.json();
    assert_eq!(listed["orgs"], json!([made]));
    assert_eq!(server.get("/api/v2/orgs").await.json()["orgs"].as_array().unwrap().len(), 2);
    let buckets = server.get("/api/v2/buckets?org=new%20org").await.json();
    assert_eq!(buckets["buckets"].as_array().unwrap().len(), 2, "the system's");
    let nope = server.get("/api/v2/orgs?org=nope").await;
    nope.is_v2(404, "not found", "organization name \"nope\" not found");
    let twice = server.json(Method::POST, "/api/v2/orgs", &json!({ "name": "acme" })).await;
    assert_eq!((twice.status.as_u16(), twice.header("x-platform-error-code")), (422, "conflict"));
    let renamed = server.json(Method::PATCH, &uri, &json!({ "name": "better" })).await.json();
    assert_eq!(renamed["name"], "better");
    assert_eq!(server.call(Method::DELETE, &uri, Body::empty()).await.status, 204);
    assert_eq!(server.get(&uri).await.status, 404);
}

#[tokio::test]
async fn a_token_is_shown_once() {
    let server = Server::new().await;
    let org = server.org().to_string();
    let body = json!({
        "orgID": org, "description": "for telegraf",
        "permissions": [{ "action": "write", "resource": { "type": "buckets", "orgID": org } }],
    });
    let made = server.json(Method::POST, "/api/v2/authorizations", &body).await;
    assert_eq!(made.status, 201);
    let mut made = made.json();
    let permission = json!({
        "action": "write", "resource": { "type": "buckets", "orgID": org, "org": "acme" },
    });
    assert_eq!(made["permissions"], json!([permission]));
    assert_eq!(
        (&made["user"], &made["org"], &made["status"]),
        (&"ann".into(), &"acme".into(), &"active".into())
    );
    assert_eq!(made["token"].as_str().unwrap().len(), 88);
    made.as_object_mut().unwrap().remove("token");
    let uri = format!("/api/v2/authorizations/{}", made["id"].as_str().unwrap());
    assert_eq!(server.get(&uri).await.json(), made);
    let list = server.get("/api/v2/authorizations?user=ann").await;
    assert_eq!(list.json()["authorizations"].as_array().unwrap().len(), 2);
    assert!(!list.text().contains("\"token\""));
    assert_eq!(server.call(Method::DELETE, &uri, Body::empty()).await.status, 204);
    assert_eq!(server.get(&uri).await.status, 404);
}

#[tokio::test]
async fn nobody_gives_away_more_than_they_have() {
    let mut server = Server::new().await;
    let org = server.org().to_string();
    let permissions = json!([
        { "action": "write", "resource": { "type": "authorizations", "orgID": org } },
        { "action": "read", "resource": { "type": "buckets", "orgID": org } },
    ]);
    server.token = server.token_with(permissions).await;
    let ask = |action: &str| {
        json!({
            "orgID": org,
            "permissions": [{ "action": action, "resource": { "type": "buckets", "orgID": org } }],
        })
    };
    assert_eq!(server.json(Method::POST, "/api/v2/authorizations", &ask("read")).await.status, 201);
    let more = server.json(Method::POST, "/api/v2/authorizations", &ask("write")).await;
    assert_eq!(more.status, 403);
    let body = json!({ "orgID": org, "name": "mine" });
    let bucket = server.json(Method::POST, "/api/v2/buckets", &body).await;
    bucket.is_v2(401, "unauthorized", &format!("write:orgs/{org}/buckets is unauthorized"));
}

#[tokio::test]
async fn what_may_not_be_read_is_not_listed() {
    let mut server = Server::new().await;
    let (org, bucket) = (server.org().to_string(), server.bucket().to_string());
    let permissions = json!([
        { "action": "read", "resource": { "type": "buckets", "id": bucket, "orgID": org } },
    ]);
    let other = server.json(Method::POST, "/api/v2/orgs", &json!({ "name": "secret" })).await.json();
    server.token = server.token_with(permissions).await;
    let listed = server.get("/api/v2/buckets").await.json();
    assert_eq!(listed["buckets"].as_array().unwrap().len(), 1);
    let orgs = server.get("/api/v2/orgs").await.json();
    assert_eq!(orgs["orgs"].as_array().unwrap().len(), 1);
    assert_eq!(server.get("/api/v2/orgs?org=secret").await.status, 404);
    let uri = format!("/api/v2/orgs/{}", other["id"].as_str().unwrap());
    assert_eq!(server.get(&uri).await.status, 401);
    assert_eq!(server.get("/api/v2/authorizations").await.json()["authorizations"], json!([]));
}

#[tokio::test]
async fn users_and_me() {
    let server = Server::new().await;
    let me = server.get("/api/v2/me").await.json();
    assert_eq!((&me["name"], &me["status"]), (&"ann".into(), &"active".into()));
    let made = server.json(Method::POST, "/api/v2/users", &json!({ "name": "bob" })).await;
    assert_eq!(made.status, 201);
    assert_eq!(server.get("/api/v2/users").await.json()["users"].as_array().unwrap().len(), 2);
    let bob = server.get("/api/v2/users?name=bob").await.json()["users"][0].clone();
    assert_eq!(bob, made.json());
    let uri = bob["links"]["self"].as_str().unwrap();
    assert_eq!(server.call(Method::DELETE, uri, Body::empty()).await.status, 204);
    assert_eq!(server.get(uri).await.status, 404);
    let mine = json!({ "password": "battery staple" });
    assert_eq!(server.json(Method::PUT, "/api/v2/me/password", &mine).await.status, 204);
}

#[tokio::test]
async fn mappings_explicit_and_by_name() {
    let server = Server::new().await;
    let (org, bucket) = (server.org().to_string(), server.bucket().to_string());
    let listed = server.get("/api/v2/dbrps?org=acme&db=metrics").await.json();
    let by_name = json!({
        "id": bucket, "database": "metrics", "retention_policy": "autogen", "default": true,
        "virtual": true, "orgID": org, "bucketID": bucket,
    });
    assert_eq!(listed["content"], json!([by_name]));
    let body = json!({ "orgID": org, "bucketID": bucket, "database": "legacy", "retention_policy": "one" });
    let made = server.json(Method::POST, "/api/v2/dbrps", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    assert_eq!((&made["database"], &made["default"]), (&"legacy".into(), &true.into()));
    assert_eq!(server.post("/write?db=legacy&rp=one", "m f=1").await.status, 204);
    let uri = format!("/api/v2/dbrps/{}?org=acme", made["id"].as_str().unwrap());
    assert_eq!(server.get(&uri).await.json()["content"], made);
    assert_eq!(server.call(Method::DELETE, &uri, Body::empty()).await.status, 204);
    assert_eq!(server.post("/write?db=legacy&rp=one", "m f=1").await.status, 404);
    assert_eq!(server.get("/api/v2/dbrps").await.status, 400);
}
