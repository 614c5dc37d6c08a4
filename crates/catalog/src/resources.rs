//! The things that the catalog holds.

use model::{
    AuthorizationId, BucketId, ContinuousQueryId, DbrpId, GroupId, NodeId, OrgId, ReplicaId, Timestamp,
    UserId,
};

use crate::level::Level;

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
    /// The 1.x database and retention policy that its name stands for: `db/policy`, and `db` is `db/autogen`.
    pub fn database_and_policy(&self) -> (&str, &str) {
        self.name.split_once('/').unwrap_or((&self.name, "autogen"))
    }

    /// Whether it is named after a 1.x database: `db`, or `db/…` for one of its policies.
    pub fn is_of_database(&self, database: &str) -> bool {
        self.name.strip_prefix(database).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

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

/// A query that the cluster runs by itself, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContinuousQuery {
    /// Its id.
    pub id: ContinuousQueryId,
    /// Its organization.
    pub org: OrgId,
    /// The 1.x database it belongs to.
    pub database: String,
    /// Its name, unique in the database.
    pub name: String,
    /// The whole statement that made it, in InfluxQL.
    pub text: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The time that it last ran for; `None` until it has run.
    pub last_run: Option<Timestamp>,
}

/// The identity of the cluster, fixed by its first command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Random id of the cluster.
    pub id: u128,
    /// Number of partitions, a power of two; never changes.
    pub partitions: u16,
    /// Replicas of each partition, where there are as many nodes; see [`Cluster::voters_wanted`].
    pub replication: u8,
    /// The id that the next node gets. Ids are never used again.
    pub next_node: u64,
    /// The id that the next replica of any group gets. Ids are never used again.
    pub next_replica: u64,
    /// What all its nodes understand, and may use.
    pub level: Level,
}

impl Cluster {
    /// The most replicas of a partition that can be asked for.
    pub const REPLICATION_MAX: u8 = 7;

    /// How many voters each partition should have when there are so many nodes for them: as many as were asked for and
    /// there can be, and never an even number, of which one more may fail than of the odd number below it.
    pub fn voters_wanted(&self, nodes: usize) -> usize {
        match usize::from(self.replication).min(nodes) {
            0 => 0,
            most => most - (most + 1) % 2,
        }
    }
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Random UUID of its data directory; a lost volume comes back with another.
    pub uuid: u128,
    /// Host and port at which other nodes reach it.
    pub address: String,
    /// Its failure domain; empty when nobody has named one.
    pub zone: String,
    /// The version it runs.
    pub version: String,
    /// The newest level that it understands.
    pub level: Level,
}

/// A member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterNode {
    /// Its id.
    pub id: NodeId,
    /// What it says of itself.
    pub info: NodeInfo,
    /// Whether it is expected to be there.
    pub state: NodeState,
}

/// Whether a node is expected to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It is.
    Active,
    /// It is, and what it has goes elsewhere.
    Draining,
    /// Its volume is gone (another data directory has its address, or somebody has said so): nothing it says counts any
    /// more, and what it had is made anew elsewhere.
    Lost,
    /// It has left for good.
    Decommissioned,
}

impl NodeState {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Lost => "lost",
            Self::Decommissioned => "decommissioned",
        }
    }

    /// Whether such a node is a member for good no more: it never comes back under the same id.
    pub const fn is_out(self) -> bool {
        matches!(self, Self::Lost | Self::Decommissioned)
    }
}

/// The members of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The group.
    pub group: GroupId,
    /// Its replicas; the first should lead.
    pub replicas: Vec<Replica>,
    /// How many voters it was given since it was founded. Only as long as it is 0 may a replica found the group.
    pub generation: u64,
}

impl Placement {
    /// The replicas that are to get votes.
    pub fn joining(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(|replica| matches!(replica.role, Role::Joining { .. }))
    }

    /// The replicas that are to get votes beside those that have some.
    pub fn additional(&self) -> impl Iterator<Item = &Replica> {
        self.joining().filter(|replica| replica.replaces().is_none())
    }

    /// The replica that is to get the vote of another, where one is, and that other.
    pub fn replacement(&self) -> Option<(&Replica, ReplicaId)> {
        self.joining().find_map(|replica| Some((replica, replica.replaces()?)))
    }

    /// The replicas that have no vote any more and have yet to go.
    pub fn leaving(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(|replica| replica.role == Role::Leaving)
    }

    /// Whether nothing is on its way to the group, or from it.
    pub fn is_at_rest(&self) -> bool {
        self.joining().chain(self.leaving()).next().is_none()
    }

    /// The replicas with a vote.
    pub fn voters(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(|replica| replica.is_voter())
    }

    /// The replica with an id.
    pub fn replica(&self, id: ReplicaId) -> Option<&Replica> {
        self.replicas.iter().find(|replica| replica.id == id)
    }

    /// The replica on a node.
    pub fn on(&self, node: NodeId) -> Option<&Replica> {
        self.replicas.iter().find(|replica| replica.node == node)
    }
}

/// A member of a group on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replica {
    /// Its id, used once.
    pub id: ReplicaId,
    /// Where it is.
    pub node: NodeId,
    /// What it is in the group.
    pub role: Role,
}

impl Replica {
    /// Whether it has a vote.
    pub const fn is_voter(&self) -> bool {
        matches!(self.role, Role::Voter)
    }

    /// The voter whose place it takes when it has caught up.
    pub const fn replaces(&self) -> Option<ReplicaId> {
        match self.role {
            Role::Joining { replaces } => replaces,
            Role::Voter | Role::Leaving | Role::Copy => None,
        }
    }
}

/// What a replica is in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has a vote.
    Voter,
    /// It catches up, and gets a vote then.
    Joining {
        /// The voter whose vote it gets; without, there is a vote more.
        replaces: Option<ReplicaId>,
    },
    /// It is to have no vote any more, and goes when its group has taken that away.
    Leaving,
    /// It has no vote and stays: what a node has of the catalog.
    Copy,
}

impl Bucket {
    /// The name of the bucket that keeps task runs.
    pub const TASKS: &'static str = "_tasks";
    /// The name of the bucket that keeps check results.
    pub const MONITORING: &'static str = "_monitoring";

    /// The two buckets that every organization has from its start: `_tasks` (3 days) and `_monitoring` (7 days).
    pub fn system_buckets(org: OrgId, at: Timestamp, tasks: BucketId, monitoring: BucketId) -> Vec<Self> {
        use model::time::DAY_NS;
        [
            (tasks, Self::TASKS, "System bucket for task logs", 3 * DAY_NS),
            (monitoring, Self::MONITORING, "System bucket for monitoring logs", 7 * DAY_NS),
        ]
        .into_iter()
        .map(|(id, name, description, retention)| Self {
            id,
            org,
            name: name.to_owned(),
            description: description.to_owned(),
            kind: BucketKind::System,
            retention_ns: Some(retention),
            shard_duration_ns: Self::default_shard_duration_ns(Some(retention)),
            created_at: at,
            updated_at: at,
        })
        .collect()
    }
}

impl Status {
    /// InfluxDB's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }

    /// The status of a word.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "active" => Some(Self::Active),
            "inactive" => Some(Self::Inactive),
            _ => None,
        }
    }
}

impl Action {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// InfluxDB's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// The action of a word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name() == name)
    }
}

/// Every resource type with InfluxDB's word and its number in stored records.
macro_rules! resource_types {
    ($($variant:ident $name:literal $code:literal),* $(,)?) => {
        impl ResourceType {
            /// All of them, in InfluxDB's order.
            pub const ALL: [Self; [$($code),*].len()] = [$(Self::$variant),*];

            /// InfluxDB's word.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The number in stored records.
            pub const fn code(self) -> u32 {
                match self { $(Self::$variant => $code),* }
            }

            /// The type of a number in stored records.
            pub const fn from_code(code: u32) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// The type of a word.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

resource_types! {
    Authorizations "authorizations" 1,
    Buckets "buckets" 2,
    Dashboards "dashboards" 3,
    Orgs "orgs" 4,
    Sources "sources" 5,
    Tasks "tasks" 6,
    Telegrafs "telegrafs" 7,
    Users "users" 8,
    Variables "variables" 9,
    Scrapers "scrapers" 10,
    Secrets "secrets" 11,
    Labels "labels" 12,
    Views "views" 13,
    Documents "documents" 14,
    NotificationRules "notificationRules" 15,
    NotificationEndpoints "notificationEndpoints" 16,
    Checks "checks" 17,
    Dbrp "dbrp" 18,
    Notebooks "notebooks" 19,
    Annotations "annotations" 20,
    Remotes "remotes" 21,
    Replications "replications" 22,
    Instance "instance" 23,
}
