//! `/api/v1/queries`: the queries that run on any node, and the end of one. An operator sees those of all organizations,
//! who may change all buckets of one those of that.
//!
//! ```text
//! GET    /api/v1/queries          {"queries": [{id, org, query, database, seconds, status}], "silentNodes": [..]}
//! DELETE /api/v1/queries/{id}     204 when it was told to end
//! ```

use axum::extract::{Request, State};
use axum::response::Response;
use catalog::{Action, ResourceType};
use http::StatusCode;
use model::OrgId;
use serde_json::{Value, json};

use crate::error::{self, ApiError};
use crate::gateway::App;
use crate::ports::ListedQuery;
use crate::v2::{Call, PathId};

/// Whose queries the caller may see and end; `None` is everybody's.
fn whose(call: &Call, action: Action) -> Result<Option<OrgId>, ApiError> {
    let grants = &call.who.grants;
    if grants.allow(action, ResourceType::Instance, None, None) {
        return Ok(None);
    }
    grants.require(Action::Write, ResourceType::Buckets, None, call.who.org)?;
    Ok(call.who.org)
}

/// `GET /api/v1/queries`
pub(crate) async fn list(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let org = whose(&call, Action::Read)?;
    let all = call.app.ports.query.running(org).await;
    let shown = |query: &ListedQuery| {
        let mut shown = json!(query);
        let status = if query.is_killed { "killed" } else { "running" };
        shown["status"] = Value::from(status);
        shown
    };
    let queries: Vec<Value> = all.queries.iter().map(shown).collect();
    Ok(error::json(StatusCode::OK, &json!({ "queries": queries, "silentNodes": all.silent_nodes })))
}

/// `DELETE /api/v1/queries/{id}`
pub(crate) async fn kill(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let org = whose(&call, Action::Write)?;
    let id = id.parse().map_err(|_no| ApiError::invalid(format!("{id:?} is no number of a query")))?;
    call.app.ports.query.kill(org, id).await?;
    Ok(error::empty(StatusCode::NO_CONTENT))
}
