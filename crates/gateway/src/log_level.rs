//! `GET|PUT /api/v1/log-level`: what the node that is asked logs, until it is started again. Needs an operator's token.

use axum::extract::{Request, State};
use axum::response::Response;
use catalog::{Action, ResourceType};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::error::{self, ApiError};
use crate::gateway::App;
use crate::v2::Call;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    level: String,
}

pub(crate) async fn get(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    call.who.grants.require(Action::Read, ResourceType::Instance, None, None)?;
    Ok(error::json(StatusCode::OK, &json!({ "level": call.app.ports.log.level() })))
}

pub(crate) async fn put(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let mut call = Call::open(app, request).await?;
    call.who.grants.require(Action::Write, ResourceType::Instance, None, None)?;
    let Wanted { level } = call.json().await?;
    call.app.ports.log.set_level(&level).map_err(ApiError::invalid)?;
    Ok(error::json(StatusCode::OK, &json!({ "level": call.app.ports.log.level() })))
}
