//! `/api/v1/storage/*` and `/debug/*`: what an operator may order of this node, and look at. Needs an operator's token.

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use catalog::{Action, ResourceType};
use http::StatusCode;
use serde_json::json;

use crate::error::{self, ApiError, Code};
use crate::gateway::App;
use crate::ports::{ClusterView, GroupView, NodeView};
use crate::v2::Call;

/// `POST /api/v1/storage/flush[?compact=true]`: 204 when every point is in files.
pub(crate) async fn flush(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    call.who.grants.require(Action::Write, ResourceType::Instance, None, None)?;
    let compact = match call.params.get("compact") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(ApiError::invalid("compact is true or false")),
    };
    let flushed = call.app.ports.maintenance.flush(compact).await;
    flushed.map_err(|reason| ApiError::new(Code::Internal, reason))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /debug/cluster`: nodes and groups as this node sees them.
pub(crate) async fn cluster(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
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
