//! Resources as JSON, in the shapes of InfluxDB 2.7.

use catalog::{Authorization, Bucket, BucketKind, Dbrp, Org, Permission, State, User};
use model::time::SECOND_NS;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

pub(crate) fn user(user: &User) -> Value {
    json!({
        "links": { "self": format!("/api/v2/users/{}", user.id) },
        "id": user.id.to_string(),
        "name": user.name,
        "status": user.status.name(),
    })
}

pub(crate) fn org(org: &Org) -> Value {
    let (id, name) = (org.id, encoded(&org.name));
    json!({
        "links": {
            "buckets": format!("/api/v2/buckets?org={name}"),
            "dashboards": format!("/api/v2/dashboards?org={name}"),
            "labels": format!("/api/v2/orgs/{id}/labels"),
            "logs": format!("/api/v2/orgs/{id}/logs"),
            "members": format!("/api/v2/orgs/{id}/members"),
            "owners": format!("/api/v2/orgs/{id}/owners"),
            "secrets": format!("/api/v2/orgs/{id}/secrets"),
            "self": format!("/api/v2/orgs/{id}"),
            "tasks": format!("/api/v2/tasks?org={name}"),
        },
        "id": id.to_string(),
        "name": org.name,
        "description": org.description,
        "createdAt": org.created_at.to_rfc3339(),
        "updatedAt": org.updated_at.to_rfc3339(),
    })
}

pub(crate) fn bucket(bucket: &Bucket) -> Value {
    let id = bucket.id;
    let mut value = json!({
        "id": id.to_string(),
        "orgID": bucket.org.to_string(),
        "type": match bucket.kind { BucketKind::User => "user", BucketKind::System => "system" },
        "name": bucket.name,
    });
    if !bucket.description.is_empty() {
        value["description"] = json!(bucket.description);
    }
    value["retentionRules"] = json!([{
        "type": "expire",
        "everySeconds": bucket.retention_ns.unwrap_or(0) / SECOND_NS,
        "shardGroupDurationSeconds": bucket.shard_duration_ns / SECOND_NS,
    }]);
    value["createdAt"] = json!(bucket.created_at.to_rfc3339());
    value["updatedAt"] = json!(bucket.updated_at.to_rfc3339());
    value["links"] = json!({
        "labels": format!("/api/v2/buckets/{id}/labels"),
        "members": format!("/api/v2/buckets/{id}/members"),
        "org": format!("/api/v2/orgs/{}", bucket.org),
        "owners": format!("/api/v2/buckets/{id}/owners"),
        "self": format!("/api/v2/buckets/{id}"),
        "write": format!("/api/v2/write?org={}&bucket={id}", bucket.org),
    });
    value["labels"] = json!([]);
    value
}

/// An authorization; `token` is given once, when it is made.
pub(crate) fn authorization(state: &State, authorization: &Authorization, token: Option<&str>) -> Value {
    let org = state.org(authorization.org).map(|o| o.name.as_str());
    let user = state.user(authorization.user).map(|u| u.name.as_str());
    let mut value = json!({ "id": authorization.id.to_string() });
    if let Some(token) = token {
        value["token"] = json!(token);
    }
    value["status"] = json!(authorization.status.name());
    value["description"] = json!(authorization.description);
    value["orgID"] = json!(authorization.org.to_string());
    value["org"] = json!(org.unwrap_or_default());
    value["userID"] = json!(authorization.user.to_string());
    value["user"] = json!(user.unwrap_or_default());
    value["permissions"] = authorization.permissions.iter().map(|p| permission(state, p)).collect();
    value["links"] = json!({
        "self": format!("/api/v2/authorizations/{}", authorization.id),
        "user": format!("/api/v2/users/{}", authorization.user),
    });
    value["createdAt"] = json!(authorization.created_at.to_rfc3339());
    value["updatedAt"] = json!(authorization.updated_at.to_rfc3339());
    value
}

fn permission(state: &State, permission: &Permission) -> Value {
    let mut resource = json!({ "type": permission.resource.name() });
    if let Some(id) = permission.id {
        resource["id"] = json!(format!("{id:016x}"));
    }
    if let Some(org) = permission.org {
        resource["orgID"] = json!(org.to_string());
        if let Some(org) = state.org(org) {
            resource["org"] = json!(org.name);
        }
    }
    json!({ "action": permission.action.name(), "resource": resource })
}

pub(crate) fn dbrp(dbrp: &Dbrp) -> Value {
    json!({
        "id": dbrp.id.to_string(),
        "database": dbrp.database,
        "retention_policy": dbrp.retention_policy,
        "default": dbrp.default,
        "orgID": dbrp.org.to_string(),
        "bucketID": dbrp.bucket.to_string(),
    })
}

/// The mapping that a bucket has by its name alone.
pub(crate) fn virtual_dbrp(bucket: &Bucket, database: &str, policy: &str, default: bool) -> Value {
    json!({
        "id": bucket.id.to_string(),
        "database": database,
        "retention_policy": policy,
        "default": default,
        "virtual": true,
        "orgID": bucket.org.to_string(),
        "bucketID": bucket.id.to_string(),
    })
}
