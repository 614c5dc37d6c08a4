//! Set-up and organizations.

use model::{OrgId, Timestamp, UserId};

use super::checks::{self, Checked, conflict, id_taken, invalid, not_found};
use super::{access, buckets};
use crate::change::Change;
use crate::limits::Limits;
use crate::resources::{Authorization, Bucket, Org, User};
use crate::state::State;

pub(super) fn set_up(
    state: &State,
    user: &User,
    org: &Org,
    buckets: &[Bucket],
    authorization: &Authorization,
    limits: &Limits,
) -> Checked<Vec<Change>> {
    if state.is_set_up() {
        return Err(conflict("onboarding has already been completed"));
    }
    if user.name.is_empty() || org.name.is_empty() || buckets.iter().any(|b| b.name.is_empty()) {
        return Err(invalid("onboard failed, missing value"));
    }
    checks::name(&user.name, limits)?;
    let user = User { owner_of: vec![org.id], ..user.clone() };
    let user_id = user.id;
    let mut changes = vec![Change::PutUser(user)];
    if state.org(org.id).is_some() {
        // Open 1.x routes have made the organization before there was a user.
        for bucket in buckets {
            changes.extend(buckets::create(state, bucket, limits)?);
        }
    } else {
        changes.extend(create(state, org, buckets, None, limits)?);
    }
    if authorization.org != org.id || authorization.user != user_id {
        return Err(invalid("unable to create token"));
    }
    access::check_authorization(authorization, limits)?;
    changes.push(Change::PutAuthorization(authorization.clone()));
    Ok(changes)
}

pub(super) fn create(
    state: &State,
    org: &Org,
    buckets: &[Bucket],
    owner: Option<UserId>,
    limits: &Limits,
) -> Checked<Vec<Change>> {
    checks::name(&org.name, limits)?;
    if state.org_by_name(&org.name).is_some() {
        return Err(conflict(format!("organization with name {} already exists", org.name)));
    }
    if state.org(org.id).is_some() || buckets.iter().any(|b| state.bucket(b.id).is_some()) {
        return Err(id_taken());
    }
    let mut changes = new_org(org, buckets, limits)?;
    if let Some(owner) = owner {
        let mut user = state.user(owner).ok_or_else(|| not_found("user not found"))?.clone();
        user.owner_of.push(org.id);
        changes.push(Change::PutUser(user));
    }
    Ok(changes)
}

/// An organization with its first buckets, none of which exist yet.
fn new_org(org: &Org, buckets: &[Bucket], limits: &Limits) -> Checked<Vec<Change>> {
    checks::name(&org.name, limits)?;
    checks::description(&org.description, limits)?;
    let mut changes = vec![Change::PutOrg(org.clone())];
    for (i, bucket) in buckets.iter().enumerate() {
        if bucket.org != org.id {
            return Err(not_found("organization not found"));
        }
        let earlier = buckets.get(..i).unwrap_or_default();
        if earlier.iter().any(|b| b.name == bucket.name) {
            return Err(conflict(format!("bucket with name {} already exists", bucket.name)));
        }
        if earlier.iter().any(|b| b.id == bucket.id) {
            return Err(id_taken());
        }
        changes.push(Change::PutBucket(buckets::checked(bucket, limits)?));
    }
    Ok(changes)
}

pub(super) fn update(
    state: &State,
    id: OrgId,
    name: Option<&str>,
    description: Option<&str>,
    at: Timestamp,
    limits: &Limits,
) -> Checked<Vec<Change>> {
    let mut org = state.org(id).ok_or_else(|| not_found("organization not found"))?.clone();
    if let Some(name) = name
        && name != org.name
    {
        checks::name(name, limits)?;
        if state.org_by_name(name).is_some() {
            return Err(conflict(format!("organization with name {name} already exists")));
        }
        name.clone_into(&mut org.name);
    }
    if let Some(description) = description {
        checks::description(description, limits)?;
        description.clone_into(&mut org.description);
    }
    org.updated_at = at;
    Ok(vec![Change::PutOrg(org)])
}

pub(super) fn delete(state: &State, id: OrgId) -> Checked<Vec<Change>> {
    if state.org(id).is_none() {
        return Err(not_found("organization not found"));
    }
    let mut changes: Vec<Change> = Vec::new();
    changes.extend(state.dbrps(id).map(|d| Change::DropDbrp(d.id)));
    changes.extend(state.buckets_of(id).map(|b| Change::DropBucket(b.id)));
    let tokens = state.authorizations().filter(|a| a.org == id);
    changes.extend(tokens.map(|a| Change::DropAuthorization(a.id)));
    let queries = state.continuous_queries().filter(|q| q.org == id);
    changes.extend(queries.map(|q| Change::DropContinuousQuery(q.id)));
    for user in state.users().filter(|u| u.owner_of.contains(&id)) {
        let mut user = user.clone();
        user.owner_of.retain(|org| *org != id);
        changes.push(Change::PutUser(user));
    }
    changes.push(Change::DropOrg(id));
    Ok(changes)
}
