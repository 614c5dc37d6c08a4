//! `/api/v2/orgs`

use axum::extract::{Request, State};
use axum::response::Response;
use catalog::{Action, Command, Org, ResourceType};
use http::StatusCode;
use model::OrgId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, PathId, lookup, setup, shape};
use crate::error::{self, ApiError, Code};
use crate::gateway::App;
use crate::paging::Page;
use crate::random;

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    description: Option<String>,
}

pub(crate) async fn list(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let page = Page::of(&call.params)?;
    let orgs: Vec<Org> = match lookup::org_if_named(&call.app, &call.params).await? {
        Some(org) if call.who.grants.see_org(org.id) => vec![org],
        Some(org) => {
            return Err(ApiError::not_found(format!("organization name \"{}\" not found", org.name)));
        }
        None => {
            let look = |state: &catalog::State| {
                let user = call.params.get("userID").and_then(|text| text.parse().ok());
                let owner = user.map(|id| state.user(id).map(|u| u.owner_of.clone()).unwrap_or_default());
                let mut seen: Vec<Org> = state
                    .orgs()
                    .filter(|o| call.who.grants.see_org(o.id))
                    .filter(|o| owner.as_ref().is_none_or(|orgs| orgs.contains(&o.id)))
                    .cloned()
                    .collect();
                seen.sort_unstable_by_key(|o| o.id);
                seen
            };
            call.app.find_all(look).await?
        }
    };
    let orgs: Vec<Value> = page.cut(&orgs, |o| o.id.get()).map(shape::org).collect();
    Ok(error::json(StatusCode::OK, &json!({ "links": { "self": "/api/v2/orgs" }, "orgs": orgs })))
}

pub(crate) async fn create(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let mut call = Call::open(app, request).await?;
    call.who.grants.require(Action::Write, ResourceType::Orgs, None, None)?;
    let body: Body = call.json().await?;
    let name = body.name.filter(|n| !n.is_empty());
    let name = name.ok_or_else(|| ApiError::new(Code::EmptyValue, "org name is empty"))?;
    let (id, now) = (random::id(OrgId::new), call.now());
    let description = body.description.unwrap_or_default();
    let org = Org { id, name, description, created_at: now, updated_at: now };
    let buckets = setup::system_buckets(id, now);
    call.app.change(Command::CreateOrg { org, buckets, owner: call.who.user }).await?;
    answer(&call, id, StatusCode::CREATED).await
}

pub(crate) async fn get(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let id = existing(&call, &id).await?;
    if !call.who.grants.see_org(id) {
        call.who.grants.require(Action::Read, ResourceType::Orgs, Some(id.get()), None)?;
    }
    answer(&call, id, StatusCode::OK).await
}

pub(crate) async fn update(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let mut call = Call::open(app, request).await?;
    let id = existing(&call, &id).await?;
    call.who.grants.require(Action::Write, ResourceType::Orgs, Some(id.get()), Some(id))?;
    let Body { name, description } = call.json().await?;
    call.app.change(Command::UpdateOrg { id, name, description, at: call.now() }).await?;
    answer(&call, id, StatusCode::OK).await
}

pub(crate) async fn delete(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let id = existing(&call, &id).await?;
    call.who.grants.require(Action::Write, ResourceType::Orgs, Some(id.get()), Some(id))?;
    call.app.change(Command::DeleteOrg { id }).await?;
    Ok(error::empty(StatusCode::NO_CONTENT))
}

async fn existing(call: &Call, id: &str) -> Result<OrgId, ApiError> {
    let id: OrgId = lookup::id(id)?;
    let found = call.app.find(|state| state.org(id).map(|o| o.id)).await?;
    found.ok_or_else(|| ApiError::not_found("organization not found"))
}

async fn answer(call: &Call, id: OrgId, status: StatusCode) -> Result<Response, ApiError> {
    let org = call.app.find(|state| state.org(id).map(shape::org)).await?;
    org.map(|body| error::json(status, &body)).ok_or_else(|| ApiError::not_found("organization not found"))
}
