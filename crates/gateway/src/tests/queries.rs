//! The queries that run: who may see and end them, and how they look.

use http::Method;
use serde_json::json;

use super::support::Server;

const ID: u64 = 1_099_511_627_777;

#[tokio::test]
async fn an_operator_sees_and_ends_the_queries_of_all() {
    let server = Server::new().await;
    let listed = server.get("/api/v1/queries").await;
    assert_eq!(
        listed.json(),
        json!({
            "queries": [{
                "id": ID, "org": "0000000000000001", "query": "SELECT 1", "database": "d", "seconds": 1.5,
                "status": "killed",
            }],
            "silentNodes": ["0000000000000002"],
        })
    );
    let kill = async |id: &str| server.call(Method::DELETE, &format!("/api/v1/queries/{id}"), "").await;
    assert_eq!(kill(&ID.to_string()).await.status, 204);
    kill("7").await.is_v2(404, "not found", "no such query id: 7");
    kill("x").await.is_v2(400, "invalid", "\"x\" is no number of a query");
    assert_eq!(*server.query.listed_for.lock(), [None, None, None]);
}

#[tokio::test]
async fn others_see_those_of_their_organization_when_they_may_change_all_its_buckets() {
    let server = Server::new().await;
    let org = server.org().to_string();
    let all = json!([{ "action": "write", "resource": { "type": "buckets", "orgID": org } }]);
    let token = server.token_with(all).await;
    let get = async |token: &str| {
        let request = super::support::request(Method::GET, "/api/v1/queries");
        let request = request.header("authorization", format!("Token {token}"));
        server.send(request.body(axum::body::Body::empty()).unwrap()).await
    };
    assert_eq!(get(&token).await.status, 200);
    assert_eq!(*server.query.listed_for.lock(), [Some(server.org())]);
    let one = json!([{ "action": "write", "resource": { "type": "buckets", "orgID": org, "id": server.bucket().to_string() } }]);
    let token = server.token_with(one).await;
    assert_eq!(get(&token).await.status, 401);
    assert_eq!(server.query.listed_for.lock().len(), 1);
}
