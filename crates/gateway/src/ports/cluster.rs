//! The nodes and groups of the cluster: as the node that is asked sees them, and as all of them say.

use catalog::{CatalogError, Level, NodeState};
use model::{GroupId, NodeId, PartitionId};
use serde::Serialize;

use super::{BoxFuture, Unavailable};

/// What an operator asks and orders of the cluster.
pub trait ClusterPort: Send + Sync + 'static {
    /// What all nodes say of themselves. Takes seconds where one does not answer.
    fn survey(&self) -> BoxFuture<'_, Result<ClusterSurvey, Unavailable>>;
    /// Gives an order. It is recorded when this returns, and carried out by and by; a lead has moved.
    fn order(&self, order: ClusterOrder) -> BoxFuture<'_, Result<(), OrderError>>;
    /// Lets the replicas of a partition compute what they hold at an entry of its log, of which the index is answered. They
    /// tell it in surveys, by and by.
    fn compare(&self, partition: PartitionId) -> BoxFuture<'_, Result<u64, OrderError>>;
}

/// What an operator orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterOrder {
    /// A node is to be filled (active), emptied (draining) or let go (decommissioned).
    SetNodeState {
        /// The node.
        node: NodeId,
        /// What is expected of it.
        state: NodeState,
    },
    /// A node is given up, and what it had is made anew elsewhere.
    GiveUp {
        /// The node.
        node: NodeId,
        /// Also where something may be lost by it.
        accepts_loss: bool,
    },
    /// A partition's replica is to be on another node.
    MoveReplica {
        /// The partition.
        partition: PartitionId,
        /// Where its replica is.
        from: NodeId,
        /// Where it is to be.
        to: NodeId,
    },
    /// Each partition is to have so many replicas.
    SetReplication {
        /// An odd number.
        replicas: u8,
    },
    /// The cluster may use what belongs to a feature level.
    RaiseLevel {
        /// The level; without one, the newest that all nodes understand.
        to: Option<Level>,
    },
    /// A group is to be led from a node.
    TransferLeader {
        /// The group.
        group: GroupId,
        /// The node.
        to: NodeId,
    },
}

/// Why an order was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OrderError {
    /// There is no such group, node, or member (404).
    #[error("{0}")]
    NotFound(String),
    /// It makes no sense as things are.
    #[error(transparent)]
    Refused(#[from] CatalogError),
    /// It could not be recorded, or it did not come to it yet.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The cluster, as its nodes say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSurvey {
    /// Whether the catalog that is shown has everything that was decided before the request. It has not when the node
    /// that was asked hears of no majority of the meta group.
    pub is_current: bool,
    /// The cluster's id, hexadecimal.
    pub cluster: String,
    /// The node that was asked; `gateway` where it was none.
    pub node: String,
    /// Number of partitions.
    pub partitions: u16,
    /// Replicas that each partition is to have, where there are as many nodes.
    pub replication: u8,
    /// The feature level that the cluster is at.
    pub level: u16,
    /// The newest that all nodes understand.
    pub level_of_all: u16,
    /// Replicas with a vote that the partition has which has the fewest; `None` while the leader of any does not say.
    pub replicas_least: Option<usize>,
    /// All nodes, by id.
    pub nodes: Vec<NodeSurvey>,
    /// The gateways that follow the catalog through a node, by id.
    pub gateways: Vec<GatewaySurvey>,
    /// All groups, the meta group first.
    pub groups: Vec<GroupSurvey>,
    /// The replicas on their way.
    pub moves: Vec<MoveSurvey>,
}

/// A replica on its way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MoveSurvey {
    /// The group.
    pub group: String,
    /// The node that it leaves; none where a partition gets one more.
    pub from: Option<String>,
    /// The node that it goes to, until the new replica has its vote.
    pub to: Option<String>,
    /// `waiting` (the node has not opened it), `catching up` (it gets the log or the files), `voting` (the group has not
    /// given it its vote yet) or `leaving` (the old one goes).
    pub stage: &'static str,
    /// Entries that the new one lacks.
    pub lag: Option<u64>,
    /// Bytes of files that have come to it, while files come.
    pub files_bytes: Option<u64>,
    /// Bytes of all of them.
    pub files_bytes_all: Option<u64>,
}

/// A process without data that serves clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySurvey {
    /// Drawn when the process started, hexadecimal.
    pub id: String,
    /// Where it serves HTTP, as it was told to.
    pub address: String,
    /// Its failure domain.
    pub zone: String,
    /// The version it runs.
    pub version: String,
    /// The newest feature level that it understands.
    pub level: u16,
    /// The node that it follows.
    pub node: String,
}

/// A node, as it says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSurvey {
    /// Its id.
    pub id: String,
    /// UUID of its data directory, hexadecimal.
    pub uuid: String,
    /// Where other nodes reach it.
    pub address: String,
    /// Its failure domain.
    pub zone: String,
    /// What it does: `data`, or `none` for one without replicas of partitions.
    pub role: &'static str,
    /// The version it runs.
    pub version: String,
    /// The newest feature level that it understands.
    pub level: u16,
    /// `up`, `away` (it does not answer), `draining`, `decommissioned`, or `lost` (its volume is gone).
    pub state: &'static str,
    /// Why it does not answer.
    pub reason: Option<String>,
    /// Replicas placed on it.
    pub replicas: usize,
    /// Those that must go elsewhere before it may leave: of partitions, and a vote in the meta group.
    pub holds: usize,
    /// Groups that it leads.
    pub leads: usize,
    /// The newest term of its groups.
    pub term: u64,
    /// Sum of the indexes up to which entries of its groups are committed, as any of their members knows.
    pub committed: u64,
    /// Sum of the indexes up to which it has applied them.
    pub applied: u64,
    /// Entries that are committed and not applied by it.
    pub lag: u64,
    /// Bytes free on the file system of its data directory.
    pub disk_free_bytes: Option<u64>,
    /// Bytes of that file system.
    pub disk_total_bytes: Option<u64>,
}

/// A group, as its members say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupSurvey {
    /// Its name: `meta`, or `data-` and the partition.
    pub group: String,
    /// The partition, where it is one's.
    pub partition: Option<u16>,
    /// The node whose member leads.
    pub leader: Option<String>,
    /// Its term.
    pub term: u64,
    /// Index up to which entries are committed, as any member knows.
    pub committed: u64,
    /// Its members, in the order in which they should lead.
    pub replicas: Vec<ReplicaSurvey>,
}

/// A member of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaSurvey {
    /// Its id.
    pub replica: u64,
    /// The node that it is on.
    pub node: String,
    /// Whether it has a vote.
    pub is_voter: bool,
    /// Whether it has said how it is; the figures below are there only then.
    pub is_up: bool,
    /// Index of the last entry in its log.
    pub last: Option<u64>,
    /// Index up to which it has applied entries.
    pub applied: Option<u64>,
    /// Entries that are committed and not applied by it.
    pub lag: Option<u64>,
    /// Bytes of files that have come to it from another member, while files come.
    pub files_bytes: Option<u64>,
    /// Bytes of all of them.
    pub files_bytes_all: Option<u64>,
    /// What it held when it was last compared with the others.
    pub compared: Option<ComparedSurvey>,
}

/// What a replica held at an entry of its partition's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparedSurvey {
    /// The entry's index.
    pub index: u64,
    /// Whether nothing can be told yet.
    pub is_computing: bool,
    /// A sum over all values, hexadecimal: the same for all replicas at the same entry.
    pub digest: Option<String>,
    /// How many values there are.
    pub values: Option<u64>,
    /// Why it cannot be told.
    pub reason: Option<String>,
}

/// The cluster, as one node sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// The cluster's id, hexadecimal.
    pub cluster: String,
    /// The node that answers.
    pub node: String,
    /// Number of partitions.
    pub partitions: u16,
    /// All nodes.
    pub nodes: Vec<NodeView>,
    /// The groups that have a member on the node that answers.
    pub groups: Vec<GroupView>,
}

/// A node of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeView {
    /// Its id.
    pub id: String,
    /// UUID of its data directory, hexadecimal.
    pub uuid: String,
    /// Where other nodes reach it.
    pub address: String,
    /// Its failure domain.
    pub zone: String,
    /// The version it runs.
    pub version: String,
    /// `active`, `draining`, `decommissioned` or `lost`.
    pub state: &'static str,
    /// Replicas that are placed on it.
    pub replicas: usize,
}

/// A Raft group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupView {
    /// Its name: `meta`, or `data-` and the partition.
    pub group: String,
    /// The member on the node that answers.
    pub replica: u64,
    /// The member that leads, where one is known.
    pub leader: Option<u64>,
    /// The node that it is on.
    pub leader_node: Option<String>,
    /// The term.
    pub term: u64,
    /// Index of the last entry in the local log.
    pub last: Option<u64>,
    /// Index up to which entries are known to be committed.
    pub committed: Option<u64>,
    /// Index up to which entries are applied.
    pub applied: Option<u64>,
    /// Index up to which entries are purged.
    pub purged: Option<u64>,
}
