//! Commands that change the catalog, and their answers.

use model::{
    AuthorizationId, BucketId, ContinuousQueryId, DbrpId, FieldType, GroupId, NodeId, OrgId, ReplicaId,
    Timestamp, UserId,
};

use crate::level::Level;
use crate::resources::{
    Authorization, Bucket, ClusterNode, ContinuousQuery, Dbrp, NodeInfo, NodeState, Org, Permission,
    Placement, Status, User,
};

/// A change. Carries every id, time and hash it needs; applying it is deterministic.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// The first command of a cluster: fixes its identity, its founding nodes and the places of all replicas.
    /// Refused when done. Nodes get the ids from 1 on, in their order, and so do their voters in the meta group; the
    /// replicas of the partitions get the ids after those, in the order of `placements`.
    Bootstrap {
        /// Random id of the cluster.
        cluster_id: u128,
        /// Replicas of each partition that is placed later.
        replication: u8,
        /// The founding nodes.
        nodes: Vec<NodeInfo>,
        /// For each partition, a power of two of them, the positions in `nodes` of its voters; the first should lead.
        placements: Vec<Vec<u8>>,
    },
    /// What is left of a cluster becomes another, after most voters of some groups were lost for good. Made while no node
    /// runs, and put into the log of the meta group beside the group's only voter.
    Recover {
        /// Random id of the cluster from now on.
        cluster_id: u128,
        /// The id that the next node gets; not below that of now.
        next_node: u64,
        /// The id that the next replica gets; not below that of now.
        next_replica: u64,
        /// The nodes that are left, also those that the catalog did not know yet.
        nodes: Vec<ClusterNode>,
        /// The nodes that are lost.
        lost: Vec<NodeId>,
        /// Where the replicas of every group are: on nodes that are left.
        placements: Vec<Placement>,
    },
    /// A node says of itself what it is: a new one gets an id and a learner in the meta group, a known one (by its
    /// UUID) is described anew. A node that had the same address has lost its volume.
    RegisterNode {
        /// The node.
        node: NodeInfo,
    },
    /// Gives a partition another replica, with a new id and without a vote, on a node that has none of it. It is to take
    /// the place of a voter, one at a time, or to be a voter more, as far as more are wanted.
    AddReplica {
        /// The partition's group.
        group: GroupId,
        /// Where.
        node: NodeId,
        /// The voter whose place it takes when it has caught up; without, there is a voter more.
        replaces: Option<ReplicaId>,
    },
    /// Replicas get votes, and others lose theirs, at once; an even number of voters comes of it only when it was one
    /// before. The members of the group are changed afterwards, to be what this says.
    ChangeVotes {
        /// The group.
        group: GroupId,
        /// Who gets a vote; each takes the place of one that loses its own, in their order.
        gain: Vec<ReplicaId>,
        /// Who loses it.
        lose: Vec<ReplicaId>,
    },
    /// A replica without a vote goes for good: one that was replaced, or will not catch up.
    RemoveReplica {
        /// The group.
        group: GroupId,
        /// Which; one that is gone does not matter.
        replica: ReplicaId,
    },
    /// A voter should lead its group from now on.
    PreferLeader {
        /// The group.
        group: GroupId,
        /// The voter.
        replica: ReplicaId,
    },
    /// Says how many replicas each partition should have, where there are as many nodes: an odd number.
    SetReplication {
        /// The number.
        replicas: u8,
    },
    /// Lets the cluster use what belongs to a level, which all its nodes understand. It is never lowered.
    RaiseLevel {
        /// The level.
        to: Level,
    },
    /// Says whether a node is expected to be there. Only one that holds nothing can be decommissioned.
    SetNodeState {
        /// The node.
        node: NodeId,
        /// The state.
        state: NodeState,
    },
    /// First set-up: user, organization, buckets (the named one and the system ones) and operator token at once.
    /// Refused when the cluster is set up already.
    Setup {
        /// The first user, owner of the organization.
        user: User,
        /// The first organization.
        org: Org,
        /// Its buckets.
        buckets: Vec<Bucket>,
        /// The operator's token.
        authorization: Authorization,
    },
    /// Creates an organization with its system buckets; `owner` comes to own it.
    CreateOrg {
        /// The organization.
        org: Org,
        /// Its system buckets.
        buckets: Vec<Bucket>,
        /// The user who comes to own it.
        owner: Option<UserId>,
    },
    /// Changes name or description.
    UpdateOrg {
        /// Which.
        id: OrgId,
        /// New name.
        name: Option<String>,
        /// New description.
        description: Option<String>,
        /// Time of the change.
        at: Timestamp,
    },
    /// Deletes an organization and all it holds.
    DeleteOrg {
        /// Which.
        id: OrgId,
    },
    /// Creates a bucket.
    CreateBucket {
        /// The bucket.
        bucket: Bucket,
    },
    /// Changes a bucket; `retention_ns: Some(None)` keeps points for ever.
    UpdateBucket {
        /// Which.
        id: BucketId,
        /// New name.
        name: Option<String>,
        /// New description.
        description: Option<String>,
        /// New retention.
        retention_ns: Option<Option<i64>>,
        /// New shard length.
        shard_duration_ns: Option<i64>,
        /// Time of the change.
        at: Timestamp,
    },
    /// Deletes a bucket, its schema and its DBRP mappings. Its data goes through the partitions' logs.
    DeleteBucket {
        /// Which.
        id: BucketId,
    },
    /// Creates a user.
    CreateUser {
        /// The user.
        user: User,
    },
    /// Replaces a password's hash.
    SetPassword {
        /// Whose.
        user: UserId,
        /// The hash, see [`User::password_hash`].
        hash: String,
    },
    /// Deletes a user and its authorizations.
    DeleteUser {
        /// Which.
        id: UserId,
    },
    /// Creates an authorization.
    CreateAuthorization {
        /// The authorization.
        authorization: Authorization,
    },
    /// Changes status or description.
    UpdateAuthorization {
        /// Which.
        id: AuthorizationId,
        /// New status.
        status: Option<Status>,
        /// New description.
        description: Option<String>,
        /// Time of the change.
        at: Timestamp,
    },
    /// Changes what an authorization allows. Needs [`Level::STATEMENTS`].
    ChangePermissions {
        /// Which.
        id: AuthorizationId,
        /// What it allows from now on; what it allows already does not matter.
        add: Vec<Permission>,
        /// What it allows no more; what it does not allow does not matter.
        remove: Vec<Permission>,
        /// Time of the change.
        at: Timestamp,
    },
    /// Makes a user an owner of an organization, or no owner any more; the last one stays. Needs [`Level::STATEMENTS`].
    ChangeOwner {
        /// Who.
        user: UserId,
        /// Of which organization.
        org: OrgId,
        /// Whether the user comes to own it.
        owns: bool,
    },
    /// Deletes an authorization.
    DeleteAuthorization {
        /// Which.
        id: AuthorizationId,
    },
    /// Creates a mapping. When it is the default of its database, it takes that from the one before.
    CreateDbrp {
        /// The mapping.
        dbrp: Dbrp,
    },
    /// Deletes a mapping.
    DeleteDbrp {
        /// Which.
        id: DbrpId,
    },
    /// Creates a continuous query. One that exists under that name must be the same. Needs [`Level::STATEMENTS`].
    CreateContinuousQuery {
        /// The query.
        query: ContinuousQuery,
    },
    /// Deletes a continuous query. Needs [`Level::STATEMENTS`].
    DeleteContinuousQuery {
        /// Which.
        id: ContinuousQueryId,
    },
    /// Notes that a continuous query has run, so that whoever runs it next goes on from there; never takes it back. Needs
    /// [`Level::STATEMENTS`].
    NoteContinuousRun {
        /// Which; one that is gone does not matter.
        id: ContinuousQueryId,
        /// The time that it ran for.
        at: Timestamp,
    },
    /// Fixes the types of fields that have none yet; the first writer wins. Answers [`Response::Fields`].
    RegisterFields {
        /// The bucket.
        bucket: BucketId,
        /// The fields.
        fields: Vec<FieldSpec>,
    },
    /// Forgets measurements of a bucket with the types of their fields: their last points were deleted. The next
    /// writer fixes the types anew.
    ForgetMeasurements {
        /// The bucket.
        bucket: BucketId,
        /// The measurements; those that are unknown do not matter.
        measurements: Vec<String>,
    },
}

/// A field and the type that a writer wants for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSpec {
    /// The measurement.
    pub measurement: String,
    /// The field.
    pub field: String,
    /// The type.
    pub field_type: FieldType,
}

/// The type a field has after [`Command::RegisterFields`], parallel to its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldOutcome {
    /// The field has this type now (the wanted one, or the one an earlier writer fixed).
    Has(FieldType),
    /// The bucket is gone.
    NoBucket,
    /// The limit of fields in a measurement or measurements in a bucket is reached.
    LimitReached,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// Done.
    Done,
    /// The answer to [`Command::RegisterFields`].
    Fields(Vec<FieldOutcome>),
    /// Refused; the state is as before.
    Refused(CatalogError),
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CatalogError {
    /// The class of the error, as InfluxDB's API names it.
    pub code: ErrorCode,
    /// The message for the client, in InfluxDB's words where it has any.
    pub message: String,
}

/// Classes of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// Something with that name or id exists.
    Conflict,
    /// Nothing has that name or id.
    NotFound,
    /// The command makes no sense.
    Invalid,
    /// The rules forbid it (for example deleting a system bucket).
    Forbidden,
    /// A limit is reached.
    UnprocessableEntity,
}
