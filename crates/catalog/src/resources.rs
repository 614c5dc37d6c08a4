//! The things that the catalog holds.

use model::{AuthorizationId, BucketId, DbrpId, OrgId, Timestamp, UserId};

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Org {
    /// Its id.
    pub id: OrgId,
    /// Its unique name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its id.
    pub id: BucketId,
    /// Its organization.
    pub org: OrgId,
    /// Its name, unique in the organization.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Made by a user or by the system.
    pub kind: BucketKind,
    /// How long points are kept; `None` is for ever.
    pub retention_ns: Option<i64>,
    /// Length of its time shards.
    pub shard_duration_ns: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Bucket {
    /// InfluxDB's shard length for a retention: 1 h below two days, 1 d below 180 days, else (and for ever) 7 d.
    pub const fn default_shard_duration_ns(retention_ns: Option<i64>) -> i64 {
        use model::time::{DAY_NS, HOUR_NS};
        match retention_ns {
            Some(ns) if ns < 2 * DAY_NS => HOUR_NS,
            Some(ns) if ns < 180 * DAY_NS => DAY_NS,
            _ => 7 * DAY_NS,
        }
    }
}

/// Who made a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketKind {
    /// A user.
    User,
    /// The server (`_monitoring`, `_tasks`).
    System,
}

/// Whether a user or an authorization may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It may.
    Active,
    /// It may not.
    Inactive,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its unique name.
    pub name: String,
    /// Hash of its password in PHC string format (argon2id, or bcrypt when imported); `None` without password.
    pub password_hash: Option<String>,
    /// Whether it may sign in.
    pub status: Status,
    /// Organizations that it owns (full rights inside).
    pub owner_of: Vec<OrgId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An API token and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// Its id.
    pub id: AuthorizationId,
    /// SHA-256 of the token. The token itself is shown once and never stored.
    pub token_hash: [u8; 32],
    /// Its organization.
    pub org: OrgId,
    /// Its user.
    pub user: UserId,
    /// Free text.
    pub description: String,
    /// Whether it may be used.
    pub status: Status,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// One right.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Permission {
    /// Read or write.
    pub action: Action,
    /// On what kind of resource.
    pub resource: ResourceType,
    /// On this one only; `None` for all of the kind.
    pub id: Option<u64>,
    /// In this organization only; `None` in all (an operator's right).
    pub org: Option<OrgId>,
}

/// What a permission allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read.
    Read,
    /// Write (create, change, delete).
    Write,
}

/// The kinds of resources of InfluxDB 2.x permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are InfluxDB's own words")]
pub enum ResourceType {
    Authorizations,
    Buckets,
    Dashboards,
    Orgs,
    Sources,
    Tasks,
    Telegrafs,
    Users,
    Variables,
    Scrapers,
    Secrets,
    Labels,
    Views,
    Documents,
    NotificationRules,
    NotificationEndpoints,
    Checks,
    Dbrp,
    Notebooks,
    Annotations,
    Remotes,
    Replications,
    Instance,
}

/// A mapping of a 1.x database and retention policy to a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dbrp {
    /// Its id.
    pub id: DbrpId,
    /// Its organization.
    pub org: OrgId,
    /// The 1.x database.
    pub database: String,
    /// The 1.x retention policy.
    pub retention_policy: String,
    /// Whether it answers when a request names no retention policy.
    pub default: bool,
    /// The bucket.
    pub bucket: BucketId,
}
