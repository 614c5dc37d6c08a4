//! `/api/v2/buckets`

use axum::extract::{Request, State};
use axum::response::Response;
use catalog::{Action, Bucket, BucketKind, Command, ResourceType};
use http::StatusCode;
use model::BucketId;
use model::time::SECOND_NS;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, PathId, lookup, shape};
use crate::error::{self, ApiError, Code};
use crate::gateway::App;
use crate::paging::Page;
use crate::random;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(rename = "orgID")]
    org_id: Option<String>,
    name: Option<String>,
    description: Option<String>,
    retention_rules: Option<Vec<RetentionRule>>,
    schema_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RetentionRule {
    r#type: Option<String>,
    every_seconds: Option<i64>,
    shard_group_duration_seconds: Option<i64>,
}

/// Retention and shard length as a body states them; outer `None` where it is silent.
struct Durations {
    retention_ns: Option<Option<i64>>,
    shard_duration_ns: Option<i64>,
}

fn durations(rules: Option<&[RetentionRule]>) -> Result<Durations, ApiError> {
    let rule = match rules.unwrap_or_default() {
        [] => return Ok(Durations { retention_ns: None, shard_duration_ns: None }),
        [rule] => rule,
        _ => return Err(ApiError::new(Code::Unprocessable, "buckets take at most one retention rule")),
    };
    if let Some(kind) = rule.r#type.as_deref().filter(|kind| *kind != "expire") {
        return Err(ApiError::invalid(format!("unknown retention rule type: {kind}")));
    }
    let nanos = |what: &str, seconds: i64| {
        seconds.checked_mul(SECOND_NS).filter(|ns| *ns >= 0).ok_or_else(|| {
            ApiError::new(Code::Unprocessable, format!("{what} seconds are negative or too many"))
        })
    };
    let retention = rule.every_seconds.map(|s| nanos("expiration", s)).transpose()?;
    let shard = rule.shard_group_duration_seconds.map(|s| nanos("shard-group duration", s)).transpose()?;
    Ok(Durations {
        retention_ns: retention.map(|ns| Some(ns).filter(|ns| *ns > 0)),
        shard_duration_ns: shard.filter(|ns| *ns > 0),
    })
}

pub(crate) async fn list(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let page = Page::of(&call.params)?;
    let org = lookup::org_if_named(&call.app, &call.params).await?.map(|o| o.id);
    let id = call.params.get("id").map(lookup::id::<BucketId>).transpose()?;
    let name = call.params.get("name");
    let buckets = |state: &catalog::State| -> Vec<Bucket> {
        state
            .buckets()
            .filter(|b| org.is_none_or(|o| b.org == o))
            .filter(|b| id.is_none_or(|i| b.id == i))
            .filter(|b| name.is_none_or(|n| b.name == n))
            .filter(|b| may(&call, Action::Read, b))
            .cloned()
            .collect()
    };
    let mut buckets = call.app.find_all(buckets).await?;
    buckets.sort_unstable_by_key(|b| b.id);
    let shown: Vec<Value> = page.cut(&buckets, |b| b.id.get()).map(shape::bucket).collect();
    let links = page.links("/api/v2/buckets", &call.params, shown.len());
    Ok(error::json(StatusCode::OK, &json!({ "links": links, "buckets": shown })))
}

fn may(call: &Call, action: Action, bucket: &Bucket) -> bool {
    call.who.grants.allow(action, ResourceType::Buckets, Some(bucket.id.get()), Some(bucket.org))
}

pub(crate) async fn create(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let mut call = Call::open(app, request).await?;
    let body: Body = call.json().await?;
    let org = body.org_id.filter(|id| !id.is_empty());
    let org =
        lookup::named_org(&call.app, &org.ok_or_else(|| ApiError::invalid("orgID is required"))?).await?;
    call.who.grants.require(Action::Write, ResourceType::Buckets, None, Some(org.id))?;
    let name =
        body.name.filter(|n| !n.is_empty()).ok_or_else(|| ApiError::invalid("bucket name is empty"))?;
    if body.schema_type.as_deref().is_some_and(|kind| kind != "implicit") {
        return Err(ApiError::invalid("only the schema type \"implicit\" is supported"));
    }
    let durations = durations(body.retention_rules.as_deref())?;
    let retention_ns = durations.retention_ns.flatten();
    let now = call.now();
    let bucket = Bucket {
        id: random::id(BucketId::new),
        org: org.id,
        name,
        description: body.description.unwrap_or_default(),
        kind: BucketKind::User,
        retention_ns,
        shard_duration_ns: durations
            .shard_duration_ns
            .unwrap_or_else(|| Bucket::default_shard_duration_ns(retention_ns)),
        created_at: now,
        updated_at: now,
    };
    let id = bucket.id;
    call.app.change(Command::CreateBucket { bucket }).await?;
    answer(&call, id, StatusCode::CREATED).await
}

pub(crate) async fn get(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let bucket = existing(&call, &id, Action::Read).await?;
    Ok(error::json(StatusCode::OK, &shape::bucket(&bucket)))
}

pub(crate) async fn update(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let mut call = Call::open(app, request).await?;
    let id = existing(&call, &id, Action::Write).await?.id;
    let body: Body = call.json().await?;
    let Durations { retention_ns, shard_duration_ns } = durations(body.retention_rules.as_deref())?;
    let command = Command::UpdateBucket {
        id,
        name: body.name,
        description: body.description,
        retention_ns,
        shard_duration_ns,
        at: call.now(),
    };
    call.app.change(command).await?;
    answer(&call, id, StatusCode::OK).await
}

pub(crate) async fn delete(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let bucket = existing(&call, &id, Action::Write).await?;
    call.app.change(Command::DeleteBucket { id: bucket.id }).await?;
    Ok(error::empty(StatusCode::NO_CONTENT))
}

async fn existing(call: &Call, id: &str, action: Action) -> Result<Bucket, ApiError> {
    let id: BucketId = lookup::id(id)?;
    let found = call.app.find(|state| state.bucket(id).cloned()).await?;
    let bucket = found.ok_or_else(|| ApiError::not_found("bucket not found"))?;
    call.who.grants.require(action, ResourceType::Buckets, Some(id.get()), Some(bucket.org))?;
    Ok(bucket)
}

async fn answer(call: &Call, id: BucketId, status: StatusCode) -> Result<Response, ApiError> {
    let bucket = call.app.find(|state| state.bucket(id).map(shape::bucket)).await?;
    bucket.map(|body| error::json(status, &body)).ok_or_else(|| ApiError::not_found("bucket not found"))
}
