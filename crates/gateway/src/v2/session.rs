//! `/api/v2/signin` and `/api/v2/signout`

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use crate::auth::{self, credentials};
use crate::error::{self, ApiError};
use crate::gateway::App;
use crate::random;

pub(crate) async fn sign_in(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let (parts, _body) = request.into_parts();
    let user = auth::sign_in(&app, &parts.headers).await?;
    let key = random::session_key();
    let seconds = app.options.limits.session_idle_max.as_secs();
    let cookie = cookie(&key, seconds)?;
    app.sessions.begin(key, user, app.ports.clock.monotonic());
    let mut response = error::empty(StatusCode::NO_CONTENT);
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

pub(crate) async fn sign_out(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let key = credentials::session(request.headers());
    if !key.is_some_and(|key| app.sessions.end(&key)) {
        return Err(ApiError::unauthorized());
    }
    let mut response = error::empty(StatusCode::NO_CONTENT);
    response.headers_mut().insert(header::SET_COOKIE, cookie("", 0)?);
    Ok(response)
}

fn cookie(key: &str, seconds: u64) -> Result<HeaderValue, ApiError> {
    let name = credentials::SESSION_COOKIE;
    let text = format!("{name}={key}; Path=/api/; Max-Age={seconds}; HttpOnly; SameSite=Strict");
    text.parse().map_err(|invalid: header::InvalidHeaderValue| ApiError::internal(&invalid))
}
