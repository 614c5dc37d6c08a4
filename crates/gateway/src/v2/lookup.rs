//! Organizations and buckets as requests name them: by id or by name.

use catalog::{Bucket, Org, State};
use model::{BucketId, OrgId};

use crate::error::ApiError;
use crate::gateway::Shared;
use crate::params::Params;

fn org<'a>(state: &'a State, text: &str) -> Option<&'a Org> {
    let by_id = text.parse::<OrgId>().ok().and_then(|id| state.org(id));
    by_id.or_else(|| state.org_by_name(text))
}

fn bucket<'a>(state: &'a State, org: OrgId, text: &str) -> Option<&'a Bucket> {
    let by_id = text.parse::<BucketId>().ok().and_then(|id| state.bucket(id)).filter(|b| b.org == org);
    by_id.or_else(|| state.bucket_by_name(org, text))
}

/// The organization that the parameters name; `None` when they name none.
pub(crate) async fn org_if_named(app: &Shared, params: &Params) -> Result<Option<Org>, ApiError> {
    match params.get("orgID").or_else(|| params.get("org")) {
        Some(text) => named_org(app, text).await.map(Some),
        None => Ok(None),
    }
}

/// The organization that the parameters must name.
pub(crate) async fn org_of(app: &Shared, params: &Params) -> Result<Org, ApiError> {
    let org = org_if_named(app, params).await?;
    org.ok_or_else(|| ApiError::invalid("Please provide either orgID or org"))
}

/// The organization with an id or name.
pub(crate) async fn named_org(app: &Shared, text: &str) -> Result<Org, ApiError> {
    let found = app.find(|state| org(state, text).cloned()).await?;
    found.ok_or_else(|| ApiError::not_found(format!("organization name \"{text}\" not found")))
}

/// The bucket with an id or name.
pub(crate) async fn named_bucket(app: &Shared, org: OrgId, text: &str) -> Result<Bucket, ApiError> {
    let found = app.find(|state| bucket(state, org, text).cloned()).await?;
    found.ok_or_else(|| ApiError::not_found(format!("bucket \"{text}\" not found")))
}

/// Reads an id of a path or body.
pub(crate) fn id<T: std::str::FromStr<Err = model::ids::IdError>>(text: &str) -> Result<T, ApiError> {
    text.parse()
        .map_err(|error: model::ids::IdError| ApiError::invalid(format!("invalid id {text:?}: {error}")))
}
