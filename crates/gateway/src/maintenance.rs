//! `/api/v1/storage/*`: what an operator may order of this node. Needs an operator's token.

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use catalog::{Action, ResourceType};
use http::StatusCode;

use crate::error::{ApiError, Code};
use crate::gateway::App;
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
