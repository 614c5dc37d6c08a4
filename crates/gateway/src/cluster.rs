//! `/api/v1/cluster/*` and `/debug/cluster`: nodes and groups, and who leads them. Needs an operator's token.
//!
//! ```text
//! /api/v1/cluster/status      everything, as the nodes say
//!                 nodes[/id]  ... of the nodes, of one
//!                 partitions  ... of the partitions' groups
//!                 raft        ... of all groups
//!                 moves       ... of the replicas on their way
//! Orders (POST), answered 204 when they are recorded; what they begin is seen above:
//! /api/v1/cluster/transfer-leader       {"group": "data-3", "node": "0000000000000002"}: 204 when it leads
//!                 move                  {"partition": 3, "from": "0000000000000001", "to": "0000000000000004"}
//!                 replication           {"replicas": 3}: what each partition is to have
//!                 finalize              {} or {"level": 2}: what belongs to a feature level may be used
//!                 compare               {"partition": 3}: its replicas compute what they hold at one entry of its log;
//!                                       answered 200 with {"partition": 3, "index": 17}
//!                 nodes/{id}/drain      what it has goes elsewhere
//!                            undrain    it gets its share again
//!                            decommission   it holds nothing, and leaves for good
//!                            replace    its volume is gone: what it had is made anew elsewhere
//! /debug/cluster              as the node that is asked sees it, without asking others
//! ```

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, post};
use catalog::{Action, Level, NodeState, ResourceType};
use http::StatusCode;
use model::{NodeId, PartitionId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{self, ApiError};
use crate::gateway::App;
use crate::ports::{ClusterOrder, ClusterSurvey, ClusterView, GroupView, NodeView};
use crate::v2::{Call, PathId};

/// What is to be led from where.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    group: String,
    node: String,
}

/// What is to be moved where.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    partition: u16,
    from: String,
    to: String,
}

/// What each partition is to have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replication {
    replicas: u8,
}

/// Of which partition the replicas are compared.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Compare {
    partition: u16,
}

/// How a node is given up.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Replace {
    #[serde(default)]
    accept_data_loss: bool,
}

/// What the cluster may use from now on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Finalize {
    #[serde(default)]
    level: Option<u16>,
}

async fn survey(app: App, request: Request) -> Result<ClusterSurvey, ApiError> {
    let call = Call::open(app, request).await?;
    call.who.grants.require(Action::Read, ResourceType::Instance, None, None)?;
    Ok(call.app.ports.cluster.survey().await?)
}

/// `GET /api/v1/cluster/status`
pub(crate) async fn status(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    Ok(error::json(StatusCode::OK, &json!(survey(app, request).await?)))
}

/// `GET /api/v1/cluster/nodes`
pub(crate) async fn nodes(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let ClusterSurvey { is_current, nodes, .. } = survey(app, request).await?;
    Ok(error::json(StatusCode::OK, &json!({ "isCurrent": is_current, "nodes": nodes })))
}

/// `GET /api/v1/cluster/nodes/{id}`: the node, and its replicas of groups.
pub(crate) async fn node(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let survey = survey(app, request).await?;
    let id = node_id(&id)?.to_string();
    let node = survey.nodes.iter().find(|node| node.id == id);
    let node = node.ok_or_else(|| ApiError::not_found(format!("there is no node {id}")))?;
    let here = survey.groups.iter().flat_map(|group| {
        let replicas = group.replicas.iter().filter(|replica| replica.node == id);
        replicas.map(|replica| {
            json!({
                "group": group.group, "isLeader": group.leader.as_deref() == Some(&*id), "term": group.term,
                "committed": group.committed, "replica": replica.replica, "isVoter": replica.is_voter,
                "last": replica.last, "applied": replica.applied, "lag": replica.lag,
            })
        })
    });
    let groups: Vec<Value> = here.collect();
    Ok(error::json(
        StatusCode::OK,
        &json!({ "isCurrent": survey.is_current, "node": node, "groups": groups }),
    ))
}

/// `GET /api/v1/cluster/raft`
pub(crate) async fn raft(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let ClusterSurvey { is_current, groups, .. } = survey(app, request).await?;
    Ok(error::json(StatusCode::OK, &json!({ "isCurrent": is_current, "groups": groups })))
}

/// `GET /api/v1/cluster/partitions`
pub(crate) async fn partitions(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let ClusterSurvey { is_current, mut groups, .. } = survey(app, request).await?;
    groups.retain(|group| group.partition.is_some());
    Ok(error::json(StatusCode::OK, &json!({ "isCurrent": is_current, "partitions": groups })))
}

/// `GET /api/v1/cluster/moves`
pub(crate) async fn moves(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let ClusterSurvey { is_current, moves, .. } = survey(app, request).await?;
    Ok(error::json(StatusCode::OK, &json!({ "isCurrent": is_current, "moves": moves })))
}

/// A request to order something.
async fn operator(app: App, request: Request) -> Result<Call, ApiError> {
    let call = Call::open(app, request).await?;
    call.who.grants.require(Action::Write, ResourceType::Instance, None, None)?;
    Ok(call)
}

async fn order(call: &Call, order: ClusterOrder) -> Result<Response, ApiError> {
    call.app.ports.cluster.order(order).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/v1/cluster/transfer-leader`: 204 when the member of the group that is on the node leads it.
pub(crate) async fn transfer_leader(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let mut call = operator(app, request).await?;
    let Transfer { group, node } = call.json().await?;
    let group = group.parse().map_err(|error| ApiError::invalid(format!("{group:?}: {error}")))?;
    order(&call, ClusterOrder::TransferLeader { group, to: node_id(&node)? }).await
}

/// `POST /api/v1/cluster/move`
pub(crate) async fn move_replica(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let mut call = operator(app, request).await?;
    let Move { partition, from, to } = call.json().await?;
    let (from, to) = (node_id(&from)?, node_id(&to)?);
    order(&call, ClusterOrder::MoveReplica { partition: PartitionId(partition), from, to }).await
}

/// `POST /api/v1/cluster/replication`
pub(crate) async fn set_replication(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let mut call = operator(app, request).await?;
    let Replication { replicas } = call.json().await?;
    order(&call, ClusterOrder::SetReplication { replicas }).await
}

/// `POST /api/v1/cluster/finalize`
pub(crate) async fn finalize(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let mut call = operator(app, request).await?;
    let Finalize { level } = call.json().await?;
    let named = |number| Level::new(number).ok_or_else(|| ApiError::invalid("there is no feature level 0"));
    order(&call, ClusterOrder::RaiseLevel { to: level.map(named).transpose()? }).await
}

/// `POST /api/v1/cluster/compare`: 200 with the entry at which they do.
pub(crate) async fn compare(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let mut call = operator(app, request).await?;
    let Compare { partition } = call.json().await?;
    let index = call.app.ports.cluster.compare(PartitionId(partition)).await?;
    Ok(error::json(StatusCode::OK, &json!({ "partition": partition, "index": index })))
}

/// `POST /api/v1/cluster/nodes/{id}/...`: what is expected of a node.
pub(crate) fn set_state(state: NodeState) -> MethodRouter<App> {
    post(move |State(app): State<App>, PathId(id): PathId, request: Request| async move {
        let call = operator(app, request).await?;
        order(&call, ClusterOrder::SetNodeState { node: node_id(&id)?, state }).await
    })
}

/// `POST /api/v1/cluster/nodes/{id}/replace`
pub(crate) async fn replace(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let mut call = operator(app, request).await?;
    let Replace { accept_data_loss } = call.json_or_nothing().await?;
    order(&call, ClusterOrder::GiveUp { node: node_id(&id)?, accepts_loss: accept_data_loss }).await
}

/// A node's id, with or without its leading zeros.
fn node_id(text: &str) -> Result<NodeId, ApiError> {
    format!("{text:0>16}").parse().map_err(|_not| ApiError::invalid(format!("{text:?} is no id of a node")))
}

/// `GET /debug/cluster`: nodes and groups as this node sees them.
pub(crate) async fn debug(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    call.who.grants.require(Action::Read, ResourceType::Instance, None, None)?;
    let ClusterView { cluster, node, partitions, nodes, groups } = call.app.ports.status.cluster();
    let node_json = |node: &NodeView| {
        let NodeView { id, uuid, address, zone, version, state, replicas } = node;
        json!({
            "id": id, "uuid": uuid, "address": address, "zone": zone, "version": version, "state": state,
            "replicas": replicas,
        })
    };
    let group_json = |view: &GroupView| {
        let GroupView { group, replica, leader, leader_node, term, last, committed, applied, purged } = view;
        json!({
            "group": group, "replica": replica, "leader": leader, "leaderNode": leader_node, "term": term,
            "last": last, "committed": committed, "applied": applied, "purged": purged,
        })
    };
    let body = json!({
        "cluster": cluster,
        "node": node,
        "partitions": partitions,
        "nodes": nodes.iter().map(node_json).collect::<Vec<_>>(),
        "groups": groups.iter().map(group_json).collect::<Vec<_>>(),
    });
    Ok(error::json(StatusCode::OK, &body))
}
