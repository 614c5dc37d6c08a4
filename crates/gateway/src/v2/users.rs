//! `/api/v2/users` and `/api/v2/me`

use axum::extract::{Request, State};
use axum::response::Response;
use catalog::{Action, Command, ResourceType, Status, User};
use http::StatusCode;
use model::UserId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, PathId, lookup, setup, shape};
use crate::error::{self, ApiError};
use crate::gateway::App;
use crate::paging::Page;
use crate::random;

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    status: Option<String>,
}

#[derive(Deserialize)]
struct PasswordBody {
    password: String,
}

pub(crate) async fn list(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let page = Page::of(&call.params)?;
    let (name, id) = (call.params.get("name"), call.params.get("id"));
    let users = |state: &catalog::State| -> Vec<User> {
        state
            .users()
            .filter(|u| name.is_none_or(|n| u.name == n))
            .filter(|u| id.is_none_or(|i| u.id.to_string() == i))
            .filter(|u| call.who.grants.allow(Action::Read, ResourceType::Users, Some(u.id.get()), None))
            .cloned()
            .collect()
    };
    let mut users = call.app.find_all(users).await?;
    users.sort_unstable_by_key(|u| u.id);
    let users: Vec<Value> = page.cut(&users, |u| u.id.get()).map(shape::user).collect();
    Ok(error::json(StatusCode::OK, &json!({ "links": { "self": "/api/v2/users" }, "users": users })))
}

pub(crate) async fn create(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let mut call = Call::open(app, request).await?;
    call.who.grants.require(Action::Write, ResourceType::Users, None, None)?;
    let body: Body = call.json().await?;
    let name = body.name.filter(|n| !n.is_empty()).ok_or_else(|| ApiError::invalid("user name is empty"))?;
    let status = match body.status.as_deref() {
        Some(text) => {
            Status::from_name(text).ok_or_else(|| ApiError::invalid(format!("unknown status {text:?}")))?
        }
        None => Status::Active,
    };
    let id = random::id(UserId::new);
    let user = User { id, name, password_hash: None, status, owner_of: Vec::new(), created_at: call.now() };
    call.app.change(Command::CreateUser { user }).await?;
    answer(&call, id, StatusCode::CREATED).await
}

pub(crate) async fn get(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let id = existing(&call, &id, Action::Read).await?;
    answer(&call, id, StatusCode::OK).await
}

pub(crate) async fn delete(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let id = existing(&call, &id, Action::Write).await?;
    call.app.change(Command::DeleteUser { id }).await?;
    Ok(error::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn set_password(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let id = existing(&call, &id, Action::Write).await?;
    change_password(call, id).await
}

pub(crate) async fn me(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let id = call.who.user.ok_or_else(ApiError::unauthorized)?;
    answer(&call, id, StatusCode::OK).await
}

pub(crate) async fn set_my_password(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let id = call.who.user.ok_or_else(ApiError::unauthorized)?;
    call.who.grants.require(Action::Write, ResourceType::Users, Some(id.get()), None)?;
    change_password(call, id).await
}

async fn change_password(mut call: Call, user: UserId) -> Result<Response, ApiError> {
    let PasswordBody { password } = call.json().await?;
    let hash = setup::hash_password(password).await?;
    call.app.change(Command::SetPassword { user, hash }).await?;
    Ok(error::empty(StatusCode::NO_CONTENT))
}

async fn existing(call: &Call, id: &str, action: Action) -> Result<UserId, ApiError> {
    let id: UserId = lookup::id(id)?;
    call.who.grants.require(action, ResourceType::Users, Some(id.get()), None)?;
    let found = call.app.find(|state| state.user(id).map(|u| u.id)).await?;
    found.ok_or_else(|| ApiError::not_found("user not found"))
}

async fn answer(call: &Call, id: UserId, status: StatusCode) -> Result<Response, ApiError> {
    let user = call.app.find(|state| state.user(id).map(shape::user)).await?;
    user.map(|body| error::json(status, &body)).ok_or_else(|| ApiError::not_found("user not found"))
}
