//! Users and authorizations.

use model::{AuthorizationId, OrgId, Timestamp, UserId};

use super::checks::{self, Checked, conflict, id_taken, invalid, not_found};
use crate::change::Change;
use crate::limits::Limits;
use crate::resources::{Authorization, Permission, Status, User};
use crate::state::State;

pub(super) fn create_user(state: &State, user: &User, limits: &Limits) -> Checked<Vec<Change>> {
    checks::name(&user.name, limits)?;
    if state.user_by_name(&user.name).is_some() {
        return Err(conflict(format!("user with name {} already exists", user.name)));
    }
    if state.user(user.id).is_some() {
        return Err(id_taken());
    }
    if user.owner_of.iter().any(|org| state.org(*org).is_none()) {
        return Err(not_found("organization not found"));
    }
    Ok(vec![Change::PutUser(user.clone())])
}

pub(super) fn set_password(state: &State, id: UserId, hash: &str) -> Checked<Vec<Change>> {
    let mut user = state.user(id).ok_or_else(|| not_found("user not found"))?.clone();
    user.password_hash = Some(hash.to_owned());
    Ok(vec![Change::PutUser(user)])
}

pub(super) fn delete_user(state: &State, id: UserId) -> Checked<Vec<Change>> {
    if state.user(id).is_none() {
        return Err(not_found("user not found"));
    }
    if state.users().count() == 1 {
        return Err(conflict("the last user cannot be deleted"));
    }
    let tokens = state.authorizations().filter(|a| a.user == id);
    let mut changes: Vec<Change> = tokens.map(|a| Change::DropAuthorization(a.id)).collect();
    changes.push(Change::DropUser(id));
    Ok(changes)
}

/// Checks of an authorization that need no state.
pub(super) fn check_authorization(authorization: &Authorization, limits: &Limits) -> Checked {
    checks::description(&authorization.description, limits)?;
    if authorization.permissions.len() > limits.permissions {
        return Err(invalid(format!("an authorization has at most {} permissions", limits.permissions)));
    }
    Ok(())
}

pub(super) fn create_authorization(
    state: &State,
    authorization: &Authorization,
    limits: &Limits,
) -> Checked<Vec<Change>> {
    check_authorization(authorization, limits)?;
    if state.org(authorization.org).is_none() || state.user(authorization.user).is_none() {
        return Err(invalid("unable to create token"));
    }
    if state.authorization_by_hash(&authorization.token_hash).is_some() {
        return Err(conflict("token already exists"));
    }
    if state.authorization(authorization.id).is_some() {
        return Err(id_taken());
    }
    Ok(vec![Change::PutAuthorization(authorization.clone())])
}

pub(super) fn update_authorization(
    state: &State,
    id: AuthorizationId,
    status: Option<Status>,
    description: Option<&str>,
    at: Timestamp,
    limits: &Limits,
) -> Checked<Vec<Change>> {
    let found = state.authorization(id).ok_or_else(|| not_found("authorization not found"))?;
    let mut authorization = found.clone();
    if let Some(status) = status {
        authorization.status = status;
    }
    if let Some(description) = description {
        checks::description(description, limits)?;
        description.clone_into(&mut authorization.description);
    }
    authorization.updated_at = at;
    Ok(vec![Change::PutAuthorization(authorization)])
}

pub(super) fn change_permissions(
    state: &State,
    id: AuthorizationId,
    add: &[Permission],
    remove: &[Permission],
    at: Timestamp,
    limits: &Limits,
) -> Checked<Vec<Change>> {
    let found = state.authorization(id).ok_or_else(|| not_found("authorization not found"))?;
    let mut authorization = found.clone();
    let permissions = &mut authorization.permissions;
    permissions.retain(|permission| !remove.contains(permission));
    for permission in add {
        if !permissions.contains(permission) {
            permissions.push(permission.clone());
        }
    }
    authorization.updated_at = at;
    check_authorization(&authorization, limits)?;
    Ok(vec![Change::PutAuthorization(authorization)])
}

pub(super) fn change_owner(state: &State, id: UserId, org: OrgId, owns: bool) -> Checked<Vec<Change>> {
    let mut user = state.user(id).ok_or_else(|| not_found("user not found"))?.clone();
    if state.org(org).is_none() {
        return Err(not_found("organization not found"));
    }
    if user.owner_of.contains(&org) == owns {
        return Ok(Vec::new());
    }
    if owns {
        user.owner_of.push(org);
    } else {
        if !state.users().any(|other| other.id != id && other.owner_of.contains(&org)) {
            return Err(conflict("the last owner of an organization must stay"));
        }
        user.owner_of.retain(|other| *other != org);
    }
    Ok(vec![Change::PutUser(user)])
}

pub(super) fn delete_authorization(state: &State, id: AuthorizationId) -> Checked<Vec<Change>> {
    if state.authorization(id).is_none() {
        return Err(not_found("authorization not found"));
    }
    Ok(vec![Change::DropAuthorization(id)])
}
