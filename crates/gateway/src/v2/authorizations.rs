//! `/api/v2/authorizations`: API tokens. A token is in the answer that makes it and in no other.

use axum::extract::{Request, State};
use axum::response::Response;
use catalog::{Action, Authorization, Command, Permission, ResourceType, Status};
use http::StatusCode;
use model::{AuthorizationId, OrgId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, PathId, lookup, shape};
use crate::error::{self, ApiError};
use crate::gateway::App;
use crate::random;

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "orgID")]
    org_id: Option<String>,
    #[serde(rename = "userID")]
    user_id: Option<String>,
    status: Option<String>,
    description: Option<String>,
    permissions: Option<Vec<PermissionBody>>,
}

#[derive(Deserialize)]
struct PermissionBody {
    action: String,
    resource: ResourceBody,
}

#[derive(Deserialize)]
struct ResourceBody {
    r#type: String,
    id: Option<String>,
    #[serde(rename = "orgID")]
    org_id: Option<String>,
    org: Option<String>,
}

impl Body {
    fn status(&self) -> Result<Option<Status>, ApiError> {
        let read = |text: &str| {
            Status::from_name(text).ok_or_else(|| ApiError::invalid(format!("unknown status {text:?}")))
        };
        self.status.as_deref().map(read).transpose()
    }
}

impl PermissionBody {
    async fn read(&self, call: &Call) -> Result<Permission, ApiError> {
        let action = Action::from_name(&self.action)
            .ok_or_else(|| ApiError::invalid(format!("unknown action for permission: {:?}", self.action)))?;
        let resource = ResourceType::from_name(&self.resource.r#type).ok_or_else(|| {
            ApiError::invalid(format!("unknown resource type for permission: {:?}", self.resource.r#type))
        })?;
        let org = match (&self.resource.org_id, &self.resource.org) {
            (Some(id), _) => Some(lookup::id::<OrgId>(id)?),
            (None, Some(name)) => Some(lookup::named_org(&call.app, name).await?.id),
            (None, None) => None,
        };
        let id = match &self.resource.id {
            Some(text) => Some(lookup::id::<AuthorizationId>(text)?.get()),
            None => None,
        };
        Ok(Permission { action, resource, id, org })
    }
}

pub(crate) async fn list(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let org = lookup::org_if_named(&call.app, &call.params).await?.map(|o| o.id);
    let user_id = call.params.get("userID");
    let user_name = call.params.get("user");
    let list = |state: &catalog::State| -> Vec<Value> {
        state
            .authorizations()
            .filter(|a| org.is_none_or(|o| a.org == o))
            .filter(|a| user_id.is_none_or(|id| a.user.to_string() == id))
            .filter(|a| user_name.is_none_or(|name| state.user(a.user).is_some_and(|u| u.name == name)))
            .filter(|a| may(&call, Action::Read, a))
            .map(|a| shape::authorization(state, a, None))
            .collect()
    };
    let list = call.app.find_all(list).await?;
    let body = json!({ "links": { "self": "/api/v2/authorizations" }, "authorizations": list });
    Ok(error::json(StatusCode::OK, &body))
}

fn may(call: &Call, action: Action, a: &Authorization) -> bool {
    call.who.grants.allow(action, ResourceType::Authorizations, Some(a.id.get()), Some(a.org))
}

pub(crate) async fn create(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let mut call = Call::open(app, request).await?;
    let body: Body = call.json().await?;
    let status = body.status()?.unwrap_or(Status::Active);
    let org = body.org_id.as_deref().filter(|id| !id.is_empty());
    let org: OrgId = lookup::id(org.ok_or_else(|| ApiError::invalid("org id required"))?)?;
    let org = lookup::named_org(&call.app, &org.to_string()).await?.id;
    call.who.grants.require(Action::Write, ResourceType::Authorizations, None, Some(org))?;
    let mut permissions = Vec::new();
    for permission in body.permissions.as_deref().unwrap_or_default() {
        permissions.push(permission.read(&call).await?);
    }
    if permissions.is_empty() {
        return Err(ApiError::invalid("authorization must include permissions"));
    }
    if !call.who.grants.cover(&permissions) {
        return Err(ApiError::forbidden(
            "permission not allowed: a token cannot give more rights than it has",
        ));
    }
    let user = match body.user_id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => lookup::id(id)?,
        None => call.who.user.ok_or_else(|| ApiError::invalid("user id required"))?,
    };
    let user = call.app.find(|state| state.user(user).map(|u| u.id)).await?;
    let user = user.ok_or_else(|| ApiError::not_found("user not found"))?;
    let (token, now) = (random::token(), call.now());
    let authorization = Authorization {
        id: random::id(AuthorizationId::new),
        token_hash: catalog::auth::hash_token(&token),
        org,
        user,
        description: body.description.unwrap_or_default(),
        status,
        permissions,
        created_at: now,
        updated_at: now,
    };
    let id = authorization.id;
    call.app.change(Command::CreateAuthorization { authorization }).await?;
    answer(&call, id, Some(&token), StatusCode::CREATED).await
}

pub(crate) async fn get(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let id = existing(&call, &id, Action::Read).await?;
    answer(&call, id, None, StatusCode::OK).await
}

pub(crate) async fn update(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let mut call = Call::open(app, request).await?;
    let id = existing(&call, &id, Action::Write).await?;
    let body: Body = call.json().await?;
    let status = body.status()?;
    let at = call.now();
    call.app.change(Command::UpdateAuthorization { id, status, description: body.description, at }).await?;
    answer(&call, id, None, StatusCode::OK).await
}

pub(crate) async fn delete(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let id = existing(&call, &id, Action::Write).await?;
    call.app.change(Command::DeleteAuthorization { id }).await?;
    Ok(error::empty(StatusCode::NO_CONTENT))
}

async fn existing(call: &Call, id: &str, action: Action) -> Result<AuthorizationId, ApiError> {
    let id: AuthorizationId = lookup::id(id)?;
    let org = call.app.find(|state| state.authorization(id).map(|a| a.org)).await?;
    let org = org.ok_or_else(|| ApiError::not_found("authorization not found"))?;
    call.who.grants.require(action, ResourceType::Authorizations, Some(id.get()), Some(org))?;
    Ok(id)
}

async fn answer(
    call: &Call,
    id: AuthorizationId,
    token: Option<&str>,
    status: StatusCode,
) -> Result<Response, ApiError> {
    let shape =
        |state: &catalog::State| state.authorization(id).map(|a| shape::authorization(state, a, token));
    let body = call.app.find(shape).await?.ok_or_else(|| ApiError::not_found("authorization not found"))?;
    Ok(error::json(status, &body))
}
