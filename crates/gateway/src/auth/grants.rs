//! Rights: a list of permissions, and the questions that routes ask of it.

use catalog::auth::{all_access, allows, user_permissions};
use catalog::{Action, Authorization, Permission, ResourceType, State, Status, User};
use model::{BucketId, OrgId};

use crate::error::{ApiError, Code};

/// What someone may do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grants(Vec<Permission>);

impl Grants {
    /// Full rights in one organization.
    pub(crate) fn owner(org: OrgId) -> Self {
        Self(all_access(org))
    }

    pub(crate) fn of_token(authorization: &Authorization) -> Self {
        Self(authorization.permissions.clone())
    }

    /// A signed-in user has what it owns and what all of its tokens may do.
    pub(crate) fn of_user(state: &State, user: &User) -> Self {
        let tokens = state.authorizations().filter(|a| a.user == user.id && a.status == Status::Active);
        let mut permissions = user_permissions(user);
        permissions.extend(tokens.flat_map(|a| a.permissions.iter().cloned()));
        Self(permissions)
    }

    /// Whether the action on a resource is allowed. `id: None` asks for all of the kind, `org: None` for something
    /// outside of any organization.
    pub(crate) fn allow(
        &self,
        action: Action,
        resource: ResourceType,
        id: Option<u64>,
        org: Option<OrgId>,
    ) -> bool {
        allows(&self.0, action, resource, org, id)
    }

    /// Refuses in InfluxDB's words what is not allowed.
    pub(crate) fn require(
        &self,
        action: Action,
        resource: ResourceType,
        id: Option<u64>,
        org: Option<OrgId>,
    ) -> Result<(), ApiError> {
        if self.allow(action, resource, id, org) {
            return Ok(());
        }
        let org = org.map(|o| format!("orgs/{o}/")).unwrap_or_default();
        let id = id.map(|i| format!("/{i:016x}")).unwrap_or_default();
        let (action, resource) = (action.name(), resource.name());
        Err(ApiError::new(Code::Unauthorized, format!("{action}:{org}{resource}{id} is unauthorized")))
    }

    /// Whether an organization may be seen: its own permission, or any right inside it.
    pub(crate) fn see_org(&self, org: OrgId) -> bool {
        self.allow(Action::Read, ResourceType::Orgs, Some(org.get()), Some(org))
            || self.0.iter().any(|p| p.org == Some(org))
    }

    /// The buckets of an organization that may be read; `None` is all of them.
    pub(crate) fn readable(&self, state: &State, org: OrgId) -> Option<Vec<BucketId>> {
        self.buckets(Action::Read, state, org)
    }

    /// The buckets of an organization that may be written to; `None` is all of them.
    pub(crate) fn writable(&self, state: &State, org: OrgId) -> Option<Vec<BucketId>> {
        self.buckets(Action::Write, state, org)
    }

    fn buckets(&self, action: Action, state: &State, org: OrgId) -> Option<Vec<BucketId>> {
        if self.allow(action, ResourceType::Buckets, None, Some(org)) {
            return None;
        }
        let may = |id: BucketId| self.allow(action, ResourceType::Buckets, Some(id.get()), Some(org));
        Some(state.buckets_of(org).map(|b| b.id).filter(|id| may(*id)).collect())
    }

    /// Whether every one of these permissions is covered: nobody gives away more than they have.
    pub(crate) fn cover(&self, wanted: &[Permission]) -> bool {
        wanted.iter().all(|p| self.allow(p.action, p.resource, p.id, p.org))
    }
}

#[cfg(test)]
mod tests;
