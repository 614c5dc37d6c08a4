//! openraft's types filled with ours, and the conversions between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use disk::Vfs;
use model::{LogPosition, ReplicaId};
use openraft::impls::leader_id_adv;
use openraft::vote::RaftVote as _;
use openraft::{EntryPayload, OptionalSend};
use proto::log;

use crate::entry::{LogEntry, Payload, Proposal};

/// The configuration of every group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Types;

pub(crate) type LeaderId = leader_id_adv::LeaderId<u64, u64>;
pub(crate) type LogId = openraft::LogId<LeaderId>;
pub(crate) type Vote = openraft::Vote<LeaderId>;
pub(crate) type Membership = openraft::Membership<u64, Member>;
pub(crate) type StoredMembership = openraft::StoredMembership<LeaderId, u64, Member>;
pub(crate) type Entry = openraft::Entry<LeaderId, EntryPayload<Proposal, u64, Member>>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<LeaderId, u64, Member>;
pub(crate) type Snapshot = openraft::Snapshot<LeaderId, u64, Member, SnapshotData>;

/// What a snapshot carries besides its position and membership.
#[derive(Debug, Clone)]
pub(crate) enum SnapshotData {
    /// Nothing: a data group notes what is durable here.
    Noted,
    /// The encoded state of the catalog.
    Catalog(Vec<u8>),
    /// A copy of a partition's files.
    Files(Arc<Files>),
}

/// A directory of files that goes with its last user.
pub(crate) struct Files {
    pub(crate) dir: PathBuf,
    pub(crate) vfs: Arc<dyn Vfs>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Files").field(&self.dir).finish()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        match self.vfs.remove_dir_all(&self.dir) {
            Ok(()) => {}
            // It was installed, or never made.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(dir = %self.dir.display(), %error, "a copy of files stays behind"),
        }
    }
}

impl openraft::RaftTypeConfig for Types {
    type D = Proposal;
    type R = Applied;
    type NodeId = u64;
    type Node = Member;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = EntryPayload<Proposal, u64, Member>;
    type Entry = Entry;
    type AsyncRuntime = openraft::TokioRuntime;
    type Responder<T>
        = Reply<T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

/// What applying an entry answers to its proposer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Applied {
    /// Done.
    Done,
    /// The catalog's answer.
    Catalog(catalog::Response),
}

/// Where the outcome of a proposal goes. Nobody may be there any more: a client hung up, a deadline passed.
pub(crate) struct Reply<T>(tokio::sync::oneshot::Sender<T>);

impl<T> Reply<T> {
    pub(crate) fn pair() -> (Self, tokio::sync::oneshot::Receiver<T>) {
        let (tell, told) = tokio::sync::oneshot::channel();
        (Self(tell), told)
    }
}

impl<T: OptionalSend + 'static> openraft::raft::responder::Responder<Types, T> for Reply<T> {
    fn on_complete(self, result: T) {
        drop(self.0.send(result));
    }
}

/// Where a member of a group lives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Member {
    /// UUID of the node's data directory.
    pub(crate) node: u128,
    /// Host and port of its peer listener when it became a member.
    pub(crate) address: String,
}

pub(crate) fn log_id(position: LogPosition) -> LogId {
    LogId { leader_id: LeaderId { term: position.term, node_id: position.leader.0 }, index: position.index }
}

pub(crate) fn position(id: &LogId) -> LogPosition {
    LogPosition { index: id.index, term: id.leader_id.term, leader: ReplicaId(id.leader_id.node_id) }
}

pub(crate) fn vote(stored: log::Vote) -> Vote {
    Vote::from_leader_id(LeaderId { term: stored.term, node_id: stored.replica }, stored.committed)
}

pub(crate) fn stored_vote(vote: &Vote) -> log::Vote {
    let leader = vote.leader_id();
    log::Vote { term: leader.term, replica: leader.node_id, committed: vote.is_committed() }
}

/// The membership of a new group.
pub(crate) fn first_membership(
    voters: BTreeMap<u64, Member>,
) -> Result<log::Membership, openraft::errors::MembershipError<u64>> {
    let ids: BTreeSet<u64> = voters.keys().copied().collect();
    Membership::new(vec![ids], voters).map(|membership| stored_membership(&membership))
}

pub(crate) fn stored_membership(membership: &Membership) -> log::Membership {
    let voter_sets = membership
        .get_joint_config()
        .iter()
        .map(|set| log::VoterSet { replicas: set.iter().copied().collect() })
        .collect();
    let members = membership
        .nodes()
        .map(|(replica, member)| log::Member {
            replica: *replica,
            node: member.node.to_be_bytes().to_vec().into(),
            address: member.address.clone(),
        })
        .collect();
    log::Membership { voter_sets, members }
}

pub(crate) fn membership(stored: &log::Membership) -> Membership {
    let voters: Vec<BTreeSet<u64>> =
        stored.voter_sets.iter().map(|set| set.replicas.iter().copied().collect()).collect();
    let members: BTreeMap<u64, Member> = stored
        .members
        .iter()
        .map(|m| {
            // Nobody has the node 0, so that a damaged id reaches nobody.
            let node = m.node.as_ref().try_into().map_or(0, u128::from_be_bytes);
            (m.replica, Member { node, address: m.address.clone() })
        })
        .collect();
    // A voter that the stored members do not list gets an empty address rather than failing the group.
    Membership::new_with_defaults(voters, members.keys().copied().collect::<Vec<_>>()).with_members(members)
}

/// Fills in where members live.
trait WithMembers {
    fn with_members(self, members: BTreeMap<u64, Member>) -> Self;
}

impl WithMembers for Membership {
    fn with_members(self, mut members: BTreeMap<u64, Member>) -> Self {
        for (replica, _) in self.nodes() {
            members.entry(*replica).or_default();
        }
        Self::new(self.get_joint_config().clone(), members).unwrap_or(self)
    }
}

pub(crate) fn to_openraft(entry: LogEntry) -> Entry {
    let payload = match entry.payload {
        Payload::Blank => EntryPayload::Blank,
        Payload::Membership(stored) => EntryPayload::Membership(membership(&stored)),
        Payload::Op(proposal) => EntryPayload::Normal(proposal),
    };
    Entry { log_id: log_id(entry.position), payload }
}

pub(crate) fn from_openraft(entry: Entry) -> LogEntry {
    let payload = match entry.payload {
        EntryPayload::Blank => Payload::Blank,
        EntryPayload::Membership(membership) => Payload::Membership(stored_membership(&membership)),
        EntryPayload::Normal(proposal) => Payload::Op(proposal),
    };
    LogEntry { position: position(&entry.log_id), payload }
}
