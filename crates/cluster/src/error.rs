//! What callers must tell apart: try again, ask elsewhere, or not know.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use catalog::NodeState;
use model::{GroupId, NodeId, ReplicaId};

use crate::epochs::EpochsError;
use crate::group::GroupStatus;
use crate::identity::IdentityError;
use crate::lane::LaneOpenError;
use crate::options::LaneKind;
use crate::peer::tls::TlsError;
use crate::recover::NoteError;

/// Why a proposal did not succeed, or a barrier was not reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Another member leads. Nothing was done.
    #[error("group {group} is led elsewhere")]
    NotLeader {
        /// The group.
        group: GroupId,
        /// Who leads, when that is known.
        leader: Option<ReplicaId>,
    },
    /// The group cannot work now. Nothing was done.
    #[error("group {group} is unavailable: {reason}")]
    Unavailable {
        /// The group.
        group: GroupId,
        /// Why.
        reason: String,
    },
    /// The member here takes too long to apply what its leader has committed. Nothing was done.
    #[error("group {group} is behind here: applying what is committed takes too long")]
    Behind {
        /// The group.
        group: GroupId,
    },
    /// Too many bytes are on their way already. Nothing was done; come again in a moment.
    #[error("group {group} is overloaded: in_flight_bytes_max is reached")]
    Overloaded {
        /// The group.
        group: GroupId,
    },
    /// The proposal may or may not have been, or may yet be, carried out.
    #[error("the outcome in group {group} is unknown: {reason}")]
    Unknown {
        /// The group.
        group: GroupId,
        /// Why.
        reason: String,
    },
    /// An entry would be larger than the log takes. Nothing was done.
    #[error("an entry of {bytes} bytes is larger than entry_bytes_max = {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The cluster has no such partition: a bug of the caller.
    #[error("there is no group {0}")]
    NoSuchGroup(GroupId),
}

impl ProposeError {
    /// Whether nothing can have been done.
    #[must_use]
    pub const fn nothing_done(&self) -> bool {
        !matches!(self, Self::Unknown { .. })
    }
}

/// Why a member was not given the lead of its group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandOverError {
    /// Another leads, as far as is known.
    #[error("another member leads")]
    NotLeader(Option<ReplicaId>),
    /// There is no such group.
    #[error("there is no group {0}")]
    NoSuchGroup(GroupId),
    /// The node has no member of the group that may lead it.
    #[error("no member of the group there may lead it")]
    NoVoter,
    /// It was tried.
    #[error("{0}")]
    Failed(String),
}

/// Why a node could not take up its part in the cluster.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory cannot be prepared.
    #[error("preparing the data directory failed")]
    DataDir(#[source] io::Error),
    /// The node's identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The certificates of the peer port.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The note of a recovery.
    #[error(transparent)]
    Recovery(#[from] NoteError),
    /// The epochs of the nodes.
    #[error(transparent)]
    Epochs(#[from] EpochsError),
    /// A recovery was begun here and not brought to its end.
    #[error(
        "a recovery was begun on this node and not brought to its end: run `tidemark recover apply` again with the same plan"
    )]
    RecoveryBegun,
    /// The log.
    #[error(transparent)]
    Lane(#[from] LaneOpenError),
    /// The timing makes no sense.
    #[error("the timing of elections makes no sense: {0}")]
    Timing(String),
    /// A state machine does not say where it stands.
    #[error("the state machine of group {group} cannot be opened")]
    Machine {
        /// The group.
        group: GroupId,
        /// Why.
        source: io::Error,
    },
    /// A group does not start.
    #[error("group {group} does not start: {reason}")]
    Group {
        /// The group.
        group: GroupId,
        /// Why.
        reason: String,
    },
    /// A group found no leader in time, or did not catch up.
    #[error("group {} is not ready: {status:?}", status.group)]
    NotReady {
        /// Its state.
        status: Box<GroupStatus>,
    },
    /// The data directory belongs to a member, but its log is gone.
    #[error(
        "this node is a member of a cluster, but the log of group {0} is gone; restore it or replace the node"
    )]
    LogLost(GroupId),
    /// The data directory has data, but nothing that says whose.
    #[error("{} holds data, but its node.json is gone; restore it, or use an empty directory", .0.display())]
    IdentityLost(PathBuf),
    /// The log was written by the other back-end.
    #[error("the log in {} was written with log-lane = \"{found}\", and \"{wanted}\" is configured", dir.display())]
    OtherLane {
        /// The log's directory.
        dir: PathBuf,
        /// The back-end that wrote it.
        found: LaneKind,
        /// The one that is configured.
        wanted: LaneKind,
    },
    /// The log of a group ends before what its machine says was committed: the disk lost the end of the log.
    #[error(
        "the log of group {group} ends at {last:?}, but its data reach {durable}: the end of the log is lost; restore it or replace the node"
    )]
    LogShort {
        /// The group.
        group: GroupId,
        /// Index of the last entry.
        last: Option<u64>,
        /// Index of the last entry that the data hold.
        durable: u64,
    },
    /// The last entry that a group's data hold is another than the log's: they are of another group or time.
    #[error(
        "the data of group {group} end with an entry {index} that is another in its log: they belong elsewhere, or the log does; restore both as they were together"
    )]
    ForeignData {
        /// The group.
        group: GroupId,
        /// Index of the entry.
        index: u64,
    },
    /// The catalog belongs to another cluster than the node.
    #[error("the catalog belongs to another cluster than this data directory")]
    ForeignCatalog,
    /// The list of initial peers has a wrong length.
    #[error("initial-peers names {0} nodes: a cluster is founded by 1, 3 or 5")]
    Founders(usize),
    /// The node is a member of a cluster with others, but not told how to reach them.
    #[error("this node belongs to a cluster of several nodes: it needs initial-peers and a peer port")]
    PeersNeeded,
    /// The process must stop.
    #[error("this node must stop: {0}")]
    Stopped(Arc<str>),
    /// The catalog, as far as it is known here, places a replica here that has been removed since.
    #[error("replica {replica} of group {group} was removed from this node, and never comes back")]
    Gone {
        /// The group.
        group: GroupId,
        /// The replica.
        replica: ReplicaId,
    },
    /// The node was out of the cluster when it last heard of it.
    #[error("node {0} is {name}: it is out of the cluster for good, and its data directory is of no more use; an empty one joins as a new node", name = .1.name())]
    Out(NodeId, NodeState),
    /// The node was added to the cluster, and out of it before it had heard that it was added.
    #[error("this node is {name}, since before it had joined: it is out of the cluster for good, and its data directory is of no more use; an empty one joins as a new node", name = .0.name())]
    OutBefore(NodeState),
    /// The node joined a cluster whose catalog does not know it.
    #[error("the cluster does not know this node")]
    Unknown,
    /// The number of partitions is not a power of two, or too large.
    #[error("{0} partitions: must be a power of two, at most 4096")]
    Partitions(u16),
    /// The cluster could not be founded.
    #[error("founding the cluster failed")]
    Found(#[source] ProposeError),
    /// The catalog refused to found the cluster.
    #[error("founding the cluster was refused")]
    Refused(#[source] catalog::CatalogError),
    /// The catalog does not know the number of partitions although the cluster was founded: a bug.
    #[error("the catalog holds no cluster")]
    NoCluster,
    /// A task that opened a group panicked.
    #[error("opening a group failed unexpectedly")]
    Panicked(#[source] tokio::task::JoinError),
}
