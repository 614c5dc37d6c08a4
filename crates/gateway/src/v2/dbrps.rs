//! `/api/v2/dbrps`: mappings of 1.x databases and retention policies to buckets, those by name included.

use axum::extract::{Request, State};
use axum::response::Response;
use catalog::{Action, Command, Dbrp, ResourceType};
use http::StatusCode;
use model::{BucketId, DbrpId, OrgId};
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
    org: Option<String>,
    #[serde(rename = "bucketID")]
    bucket_id: Option<String>,
    database: Option<String>,
    retention_policy: Option<String>,
    default: Option<bool>,
}

pub(crate) async fn list(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let org = lookup::org_of(&call.app, &call.params).await?.id;
    let all = |state: &catalog::State| -> Vec<Value> {
        let may = |resource, id| call.who.grants.allow(Action::Read, resource, Some(id), Some(org));
        let explicit: Vec<&Dbrp> = state.dbrps(org).collect();
        let mut all: Vec<Value> = explicit
            .iter()
            .filter(|d| may(ResourceType::Dbrp, d.id.get()) || may(ResourceType::Buckets, d.bucket.get()))
            .map(|d| shape::dbrp(d))
            .collect();
        for bucket in state.buckets_of(org).filter(|b| may(ResourceType::Buckets, b.id.get())) {
            let (database, policy) = bucket.database_and_policy();
            let same_db = || explicit.iter().filter(|d| d.database == database);
            if same_db().any(|d| d.retention_policy == policy) {
                continue;
            }
            let default = state.resolve_dbrp(org, database, None) == Some(bucket.id);
            all.push(shape::virtual_dbrp(bucket, database, policy, default));
        }
        all
    };
    let wanted = |value: &Value| {
        [("id", "id"), ("bucketID", "bucketID"), ("db", "database"), ("rp", "retention_policy")]
            .iter()
            .all(|(param, member)| call.params.get(param).is_none_or(|text| value[member] == text))
            && (call.params.get("default").is_none() || value["default"] == call.params.flag("default"))
            && (call.params.get("virtual").is_none()
                || value["virtual"].as_bool().unwrap_or(false) == call.params.flag("virtual"))
    };
    let content = |state: &catalog::State| all(state).into_iter().filter(wanted).collect();
    let content: Vec<Value> = call.app.find_all(content).await?;
    Ok(error::json(StatusCode::OK, &json!({ "content": content })))
}

pub(crate) async fn create(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let mut call = Call::open(app, request).await?;
    let body: Body = call.json().await?;
    let org = body.org_id.or(body.org).filter(|text| !text.is_empty());
    let org = org.ok_or_else(|| ApiError::invalid("Please provide either orgID or org"))?;
    let org = lookup::named_org(&call.app, &org).await?.id;
    call.who.grants.require(Action::Write, ResourceType::Dbrp, None, Some(org))?;
    let bucket: BucketId = lookup::id(body.bucket_id.as_deref().unwrap_or_default())?;
    call.who.grants.require(Action::Write, ResourceType::Buckets, Some(bucket.get()), Some(org))?;
    let id = random::id(DbrpId::new);
    let dbrp = Dbrp {
        id,
        org,
        database: body.database.unwrap_or_default(),
        retention_policy: body.retention_policy.unwrap_or_default(),
        default: body.default.unwrap_or(false),
        bucket,
    };
    call.app.change(Command::CreateDbrp { dbrp }).await?;
    let made = call.app.find(|state| state.dbrp(id).map(shape::dbrp)).await?;
    let made = made.ok_or_else(|| ApiError::not_found("unable to find DBRP"))?;
    Ok(error::json(StatusCode::CREATED, &made))
}

pub(crate) async fn get(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let dbrp = existing(&call, &id).await?.ok_or_else(|| ApiError::not_found("unable to find DBRP"))?;
    call.who.grants.require(Action::Read, ResourceType::Dbrp, Some(dbrp.id.get()), Some(dbrp.org))?;
    Ok(error::json(StatusCode::OK, &json!({ "content": shape::dbrp(&dbrp) })))
}

pub(crate) async fn delete(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    // Deleting what is not there is done, as in InfluxDB.
    if let Some(dbrp) = existing(&call, &id).await? {
        call.who.grants.require(Action::Write, ResourceType::Dbrp, Some(dbrp.id.get()), Some(dbrp.org))?;
        call.app.change(Command::DeleteDbrp { id: dbrp.id }).await?;
    }
    Ok(error::empty(StatusCode::NO_CONTENT))
}

async fn existing(call: &Call, id: &str) -> Result<Option<Dbrp>, ApiError> {
    let id: DbrpId = lookup::id(id)?;
    let org: OrgId = lookup::org_of(&call.app, &call.params).await?.id;
    Ok(call.app.find(|state| state.dbrp(id).filter(|d| d.org == org).cloned()).await?)
}
