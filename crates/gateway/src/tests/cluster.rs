//! What operators ask and order of the cluster.

use axum::body::Body;
use catalog::{CatalogError, ErrorCode, NodeState};
use http::Method;
use model::{GroupId, NodeId, PartitionId};
use serde_json::json;

use super::support::{Server, request};
use crate::ports::ClusterOrder;

const ROUTES: [&str; 7] = [
    "/api/v1/cluster/status",
    "/api/v1/cluster/nodes",
    "/api/v1/cluster/nodes/0000000000000001",
    "/api/v1/cluster/partitions",
    "/api/v1/cluster/raft",
    "/api/v1/cluster/moves",
    "/debug/cluster",
];

#[tokio::test]
async fn only_an_operator_sees_and_orders() {
    let server = Server::new().await;
    let weak = server
        .token_with(json!([{ "action": "write", "resource": { "type": "buckets", "orgID": server.org().to_string() } }]))
        .await;
    let transfer = r#"{"group":"meta","node":"1"}"#;
    let looks = ROUTES.map(|route| (Method::GET, route, ""));
    let orders = [
        ("/api/v1/cluster/transfer-leader", transfer),
        ("/api/v1/cluster/move", r#"{"partition":0,"from":"1","to":"3"}"#),
        ("/api/v1/cluster/replication", r#"{"replicas":3}"#),
        ("/api/v1/cluster/compare", r#"{"partition":0}"#),
        ("/api/v1/cluster/nodes/1/drain", ""),
        ("/api/v1/cluster/nodes/1/undrain", ""),
        ("/api/v1/cluster/nodes/1/decommission", ""),
        ("/api/v1/cluster/nodes/1/replace", ""),
    ];
    let orders = orders.map(|(route, body)| (Method::POST, route, body));
    for (method, route, body) in looks.into_iter().chain(orders) {
        let send = |token: Option<&str>| {
            let mut builder = request(method.clone(), route);
            if let Some(token) = token {
                builder = builder.header("authorization", format!("Token {token}"));
            }
            server.send(builder.body(Body::from(body)).unwrap())
        };
        assert_eq!(send(None).await.status, 401, "{route}");
        let refused = send(Some(&weak)).await.status.as_u16();
        assert!(matches!(refused, 401 | 403), "{route}: {refused}");
        let answer = send(Some(&server.token)).await;
        assert!(answer.status.is_success(), "{route}: {}", answer.text());
    }
    assert_eq!(server.status.orders.lock().len(), 7);
}

#[tokio::test]
async fn a_survey_is_shown_whole_and_in_parts() {
    let server = Server::new().await;
    let all = server.get("/api/v1/cluster/status").await.json();
    assert_eq!((&all["partitions"], &all["replication"]), (&json!(1), &json!(2)));
    assert_eq!(all["nodes"][1]["state"], "away");
    assert_eq!(all["groups"][1]["replicas"][0]["isVoter"], true);
    assert_eq!(all["groups"][1]["replicas"][1]["lag"], json!(null));
    assert_eq!(server.get("/api/v1/cluster/nodes").await.json()["nodes"], all["nodes"]);
    assert_eq!(server.get("/api/v1/cluster/raft").await.json()["groups"], all["groups"]);
    assert_eq!(server.get("/api/v1/cluster/moves").await.json()["moves"], all["moves"]);
    assert_eq!((&all["moves"][0]["stage"], &all["moves"][0]["lag"]), (&json!("catching up"), &json!(7)));
    let partitions = server.get("/api/v1/cluster/partitions").await.json();
    assert_eq!(partitions, json!({ "isCurrent": true, "partitions": [all["groups"][1]] }));
    for part in ["status", "nodes", "nodes/1", "raft", "moves"] {
        let seen = server.get(&format!("/api/v1/cluster/{part}")).await.json();
        assert_eq!(seen["isCurrent"], true, "{part}");
    }
    for id in ["0000000000000001", "1"] {
        let one = server.get(&format!("/api/v1/cluster/nodes/{id}")).await.json();
        assert_eq!(one["node"], all["nodes"][0]);
        let groups = one["groups"].as_array().unwrap();
        assert_eq!(
            (groups.len(), &groups[1]["group"], &groups[1]["isLeader"]),
            (2, &json!("data-0"), &json!(true))
        );
        assert_eq!((&groups[1]["replica"], &groups[1]["applied"]), (&json!(11), &json!(5)));
    }
    server.get("/api/v1/cluster/nodes/9").await.is_v2(404, "not found", "there is no node 0000000000000009");
    server.get("/api/v1/cluster/nodes/x").await.is_v2(400, "invalid", r#""x" is no id of a node"#);
    *server.status.missing.lock() = Some("group meta has no leader".to_owned());
    server.get("/api/v1/cluster/status").await.is_v2(503, "unavailable", "group meta has no leader");
}

#[tokio::test]
async fn the_lead_is_handed_over_to_whom_the_operator_names() {
    let server = Server::new().await;
    let send = |body: &'static str| server.post("/api/v1/cluster/transfer-leader", body);
    assert_eq!(send(r#"{"group":"data-7","node":"0000000000000002"}"#).await.pair(), (204, ""));
    assert_eq!(send(r#"{"group":"meta","node":"3"}"#).await.pair(), (204, ""));
    let node = |n| NodeId::new(n).unwrap();
    let lead = |group, to| ClusterOrder::TransferLeader { group, to: node(to) };
    let ordered = [lead(GroupId::Data(PartitionId(7)), 2), lead(GroupId::Meta, 3)];
    assert_eq!(*server.status.orders.lock(), ordered);
    send(r#"{"group":"meta","node":"4"}"#).await.is_v2(404, "not found", "there is no node 0000000000000004");
    for wrong in [
        r#"{"group":"data-","node":"1"}"#,
        r#"{"group":"data--1","node":"1"}"#,
        r#"{"group":"data-65536","node":"1"}"#,
        r#"{"group":"meta","node":"0"}"#,
        r#"{"group":"meta","node":""}"#,
        r#"{"group":"meta"}"#,
        r#"{"group":"meta","node":"1","more":1}"#,
        "",
    ] {
        assert_eq!(send(wrong).await.status, 400, "{wrong}");
    }
    *server.status.missing.lock() = Some("it has not taken the lead in time".to_owned());
    let late = send(r#"{"group":"meta","node":"1"}"#).await;
    late.is_v2(503, "unavailable", "it has not taken the lead in time");
    assert_eq!(*server.status.orders.lock(), ordered);
}

#[tokio::test]
async fn nodes_and_replicas_go_where_the_operator_says() {
    let server = Server::new().await;
    let node = |n| NodeId::new(n).unwrap();
    let mut ordered = Vec::new();
    for (verb, state) in [
        ("drain", Some(NodeState::Draining)),
        ("undrain", Some(NodeState::Active)),
        ("decommission", Some(NodeState::Decommissioned)),
        ("replace", None),
    ] {
        let path = format!("/api/v1/cluster/nodes/2/{verb}");
        assert_eq!(server.post(&path, "").await.pair(), (204, ""));
        ordered.push(match state {
            Some(state) => ClusterOrder::SetNodeState { node: node(2), state },
            None => ClusterOrder::GiveUp { node: node(2), accepts_loss: false },
        });
        let unknown = server.post(&format!("/api/v1/cluster/nodes/9/{verb}"), "").await;
        unknown.is_v2(404, "not found", "there is no node 0000000000000009");
        let nonsense = server.post(&format!("/api/v1/cluster/nodes/x/{verb}"), "").await;
        nonsense.is_v2(400, "invalid", r#""x" is no id of a node"#);
    }
    let send = |body: &'static str| server.post("/api/v1/cluster/nodes/2/replace", body);
    assert_eq!(send(r#"{"acceptDataLoss":true}"#).await.pair(), (204, ""));
    ordered.push(ClusterOrder::GiveUp { node: node(2), accepts_loss: true });
    for wrong in [r#"{"acceptDataLoss":1}"#, r#"{"accept":true}"#, "yes"] {
        assert_eq!(send(wrong).await.status, 400, "{wrong}");
    }
    let send = |body: &'static str| server.post("/api/v1/cluster/move", body);
    assert_eq!(send(r#"{"partition":5,"from":"1","to":"0000000000000003"}"#).await.pair(), (204, ""));
    ordered.push(ClusterOrder::MoveReplica { partition: PartitionId(5), from: node(1), to: node(3) });
    for wrong in [
        r#"{"partition":-1,"from":"1","to":"3"}"#,
        r#"{"partition":5,"from":"1"}"#,
        r#"{"from":"1","to":"3"}"#,
    ] {
        assert_eq!(send(wrong).await.status, 400, "{wrong}");
    }
    let send = |body: &'static str| server.post("/api/v1/cluster/replication", body);
    assert_eq!(send(r#"{"replicas":5}"#).await.pair(), (204, ""));
    ordered.push(ClusterOrder::SetReplication { replicas: 5 });
    for wrong in [r#"{"replicas":-1}"#, r#"{"replicas":"3"}"#, r#"{"replicas":256}"#, "{}", ""] {
        assert_eq!(send(wrong).await.status, 400, "{wrong}");
    }
    let message = "node 2 still holds 3 replicas: drain it first";
    *server.status.refusal.lock() =
        Some(CatalogError { code: ErrorCode::Conflict, message: message.to_owned() });
    let refused = server.post("/api/v1/cluster/nodes/2/decommission", "").await;
    refused.is_v2(422, "conflict", message);
    assert_eq!(*server.status.orders.lock(), ordered);
}

#[tokio::test]
async fn replicas_of_one_partition_are_compared_at_an_entry() {
    let server = Server::new().await;
    let send = |body: &'static str| server.post("/api/v1/cluster/compare", body);
    let answer = send(r#"{"partition":3}"#).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "partition": 3, "index": 20 })));
    send(r#"{"partition":4}"#).await.is_v2(404, "not found", "there is no partition 4");
    for wrong in ["", "{}", r#"{"partition":-1}"#, r#"{"partition":65536}"#, r#"{"partition":3,"more":1}"#] {
        assert_eq!(send(wrong).await.status, 400, "{wrong}");
    }
}
