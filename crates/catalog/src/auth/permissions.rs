//! What a list of permissions allows, and the lists that set-up and the console hand out.

use model::{OrgId, UserId};

use crate::resources::{Action, Permission, ResourceType, User};

/// Whether some permission allows the action on a resource of a type: on the one with `id` in `org`, or, without
/// an id, on all of the type in `org`. A permission restricted to an organization or to an id allows nothing that
/// lies outside of it.
pub fn allows(
    permissions: &[Permission],
    action: Action,
    resource: ResourceType,
    org: Option<OrgId>,
    id: Option<u64>,
) -> bool {
    permissions.iter().any(|p| {
        p.action == action
            && p.resource == resource
            && p.org.is_none_or(|own| org == Some(own))
            && p.id.is_none_or(|own| id == Some(own))
    })
}

/// An operator's permissions: everything, in every organization.
pub fn operator() -> Vec<Permission> {
    every(|action, resource| Permission { action, resource, id: None, org: None })
}

/// All permissions inside an organization ("all access"), the organization itself included, other organizations
/// and the instance not.
pub fn all_access(org: OrgId) -> Vec<Permission> {
    let mut permissions = every(|action, resource| match resource {
        ResourceType::Orgs => Permission { action, resource, id: Some(org.get()), org: None },
        _ => Permission { action, resource, id: None, org: Some(org) },
    });
    permissions.retain(|p| p.resource != ResourceType::Instance);
    permissions
}

/// What a user may do by signing in: all inside the organizations that it owns, and read and change itself.
pub fn user_permissions(user: &User) -> Vec<Permission> {
    let mut permissions: Vec<Permission> = user.owner_of.iter().flat_map(|org| all_access(*org)).collect();
    permissions.extend(itself(user.id));
    permissions
}

fn itself(user: UserId) -> impl Iterator<Item = Permission> {
    let resource = ResourceType::Users;
    Action::ALL.into_iter().map(move |action| Permission {
        action,
        resource,
        id: Some(user.get()),
        org: None,
    })
}

fn every(make: impl Fn(Action, ResourceType) -> Permission) -> Vec<Permission> {
    let make = &make;
    ResourceType::ALL.into_iter().flat_map(|r| Action::ALL.into_iter().map(move |a| make(a, r))).collect()
}
