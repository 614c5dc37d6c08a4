//! What a node that does not run has: of each group its log, and of the catalog what it will be when the log is applied.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use catalog::{Catalog, Response, State};
use disk::Vfs;
use model::{Clock, GroupId, LogPosition, NodeId, PartitionId, ReplicaId};
use serde::{Deserialize, Serialize};

use super::apply::{Note, NoteError};
use super::sealed::Sealed;
use super::texts::{At, NodeText, PlacementText, hex128, text};
use crate::cluster::{found_lane, log_dir};
use crate::entry::Payload;
use crate::fatal::Fatal;
use crate::identity::{Belongs, Identity, IdentityError};
use crate::lane::{GroupLog, Lane, LaneOpenError, LaneOptions};
use crate::machine::Durable;
use crate::options::Limits;
use crate::raft::machine::{decode_membership, with_causes};
use crate::raft::types;

/// Bytes of a log that are in memory at once while it is read.
const STEP_BYTES: usize = 4 << 20;

/// What a stopped node has. Its file is made on that node, and carried to where the plan is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurvivorReport {
    /// The cluster.
    #[serde(with = "hex128")]
    pub(crate) cluster: u128,
    /// The node.
    #[serde(with = "text")]
    pub(crate) node: NodeId,
    /// UUID of its data directory.
    #[serde(with = "hex128")]
    pub(crate) uuid: u128,
    /// Its member of the meta group.
    pub(crate) meta_replica: u64,
    /// The catalog, where there is one, with all that the log of the meta group has.
    pub(crate) catalog: Option<CatalogText>,
    /// Its members of groups.
    pub(crate) groups: Vec<GroupText>,
}

impl Sealed for SurvivorReport {
    const KIND: &'static str = "tidemark recovery report";
}

impl SurvivorReport {
    /// The cluster's id, as it is to be typed.
    #[must_use]
    pub fn cluster_id(&self) -> String {
        format!("{:032x}", self.cluster)
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// Number of groups of which it has a member.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.groups.len()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CatalogText {
    /// Up to where it was applied before.
    pub(crate) applied: Option<At>,
    pub(crate) next_node: u64,
    pub(crate) next_replica: u64,
    pub(crate) nodes: Vec<NodeText>,
    pub(crate) placements: Vec<PlacementText>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupText {
    #[serde(with = "text")]
    pub(crate) group: GroupId,
    pub(crate) replica: u64,
    /// The last entry of its log.
    pub(crate) last: Option<At>,
    /// What it has voted for.
    pub(crate) vote: Option<VoteText>,
    /// The last entry whose effect is in its files; it may have come from others before the log here had it.
    pub(crate) durable: Option<At>,
    /// The newest membership that it knows.
    pub(crate) membership: Option<MembershipText>,
}

impl GroupText {
    /// Up to where it has everything.
    pub(crate) fn end(&self) -> Option<At> {
        self.last.max(self.durable)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VoteText {
    pub(crate) term: u64,
    pub(crate) replica: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MembershipText {
    /// The voters; two sets while they change, of each of which a majority counts.
    pub(crate) voters: Vec<Vec<u64>>,
    pub(crate) members: Vec<u64>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The identity cannot be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// There is no node, or it never was a member of a cluster.
    #[error("{} belongs to no cluster: there is nothing to recover", .0.display())]
    NoMember(PathBuf),
    /// It is out of its cluster for good.
    #[error("node {0} is {1}: what it has does not count")]
    Out(NodeId, &'static str),
    /// A plan was begun.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A plan was begun.
    #[error("a plan was begun on this node and must be brought to its end first: apply it again")]
    Begun,
    /// The log's directory cannot be read.
    #[error("cannot look into the log's directory")]
    LogDir(#[source] io::Error),
    /// There is no log.
    #[error("there is no log in {}: this node has lost what it had", .0.display())]
    NoLog(PathBuf),
    /// The log does not open.
    #[error(transparent)]
    Lane(#[from] LaneOpenError),
    /// An entry of a log cannot be read.
    #[error("the log of group {group} cannot be read: {reason}")]
    Log {
        /// The group.
        group: GroupId,
        /// Why.
        reason: String,
    },
    /// What a replica has cannot be read.
    #[error("replica {replica} of partition {partition} cannot be read: {reason}")]
    Replica {
        /// The partition.
        partition: PartitionId,
        /// The replica.
        replica: ReplicaId,
        /// Why.
        reason: String,
    },
    /// The catalog and its log do not fit together.
    #[error("the catalog ends at index {applied:?}, and its log begins only at {first}")]
    CatalogBehind {
        /// Up to where it was applied.
        applied: Option<u64>,
        /// The first entry of the log.
        first: u64,
    },
}

/// What the state machines of a node say is durable.
pub trait Durables {
    /// Of a partition's replica; `None` when it has no files.
    ///
    /// # Errors
    /// They cannot be read.
    fn durable(
        &self,
        partition: PartitionId,
        replica: ReplicaId,
    ) -> Result<Option<Durable>, Box<dyn std::error::Error + Send + Sync>>;
}

/// A stopped node, opened to look at it or to change it.
pub(super) struct Stopped {
    pub(super) identity: Identity,
    pub(super) place: Belongs,
    pub(super) lane: Arc<Lane>,
}

impl Stopped {
    pub(super) fn open(
        vfs: &Arc<dyn Vfs>,
        data_dir: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ReportError> {
        let identity = Identity::read(vfs.as_ref(), data_dir)?;
        let identity = identity.filter(Identity::is_member);
        let (identity, place) = identity
            .and_then(|identity| Some((identity, identity.belongs?)))
            .ok_or_else(|| ReportError::NoMember(data_dir.to_owned()))?;
        if let Some(state) = identity.out {
            return Err(ReportError::Out(place.node_id, state.name()));
        }
        let dir = log_dir(data_dir);
        let kind = found_lane(vfs.as_ref(), &dir).map_err(ReportError::LogDir)?;
        let kind = kind.ok_or_else(|| ReportError::NoLog(dir.clone()))?;
        let Limits { segment_bytes, queue_bytes_max, .. } = Limits::PRODUCTION;
        let options = LaneOptions {
            dir,
            kind,
            segment_bytes,
            queue_bytes_max,
            cache_bytes_max: 0,
            progress: crate::Progress::default(),
        };
        let lane = Lane::open(&options, Arc::clone(vfs), clock, Fatal::default())?;
        Ok(Self { identity, place, lane })
    }

    /// What it has.
    pub(super) fn report(
        &self,
        catalog: Option<&Catalog>,
        durables: &dyn Durables,
    ) -> Result<(SurvivorReport, Option<State>), ReportError> {
        let Self { identity, place, lane } = self;
        let (state, applied) = match catalog {
            Some(catalog) => {
                let (applied, membership) = catalog.applied();
                let mut state = catalog.read().clone();
                replay(&lane.log(GroupId::Meta), applied, &mut state)?;
                (state.cluster().is_some().then_some(state), Some((applied, membership)))
            }
            None => (None, None),
        };
        let mut groups = Vec::new();
        for group in lane.groups() {
            let log = lane.log(group);
            let (replica, last, vote) = {
                let index = log.index();
                (index.replica(), index.last(), index.vote)
            };
            let Some(replica) = replica else { continue };
            let durable = match group {
                GroupId::Meta => {
                    applied.clone().map(|(position, membership)| Durable { position, membership })
                }
                GroupId::Data(partition) => durables.durable(partition, replica).map_err(|error| {
                    ReportError::Replica { partition, replica, reason: with_causes(error.as_ref()) }
                })?,
            };
            // A log that was given back to nobody says from which id on it may be another's.
            let is_placed =
                state.as_ref().and_then(|state| state.replica_on(group, place.node_id)) == Some(replica);
            if last.is_none() && vote.is_none() && durable.is_none() && !is_placed {
                continue;
            }
            let membership = membership(group, &log, durable.as_ref())?;
            groups.push(GroupText {
                group,
                replica: replica.0,
                last: last.map(At::from),
                vote: vote.map(|vote| VoteText { term: vote.term, replica: vote.replica }),
                durable: durable.and_then(|durable| durable.position).map(At::from),
                membership,
            });
        }
        groups.sort_by_key(|group| group.group);
        let catalog = state.as_ref().and_then(|state| {
            let cluster = state.cluster()?;
            Some(CatalogText {
                applied: applied.and_then(|(applied, _)| applied).map(At::from),
                next_node: cluster.next_node,
                next_replica: cluster.next_replica,
                nodes: state.nodes().map(NodeText::from).collect(),
                placements: state.placements().map(PlacementText::from).collect(),
            })
        });
        let report = SurvivorReport {
            cluster: place.cluster_id,
            node: place.node_id,
            uuid: identity.node_uuid,
            meta_replica: place.meta_replica.0,
            catalog,
            groups,
        };
        Ok((report, state))
    }
}

/// Reports what a stopped node has. The log is opened as at a start, so that what a crash left of its end is mended; nothing
/// else is changed. The caller holds the directory's lock. Blocks.
///
/// # Errors
/// See [`ReportError`]: a node whose log or catalog is damaged cannot be counted on.
pub fn report(
    vfs: &Arc<dyn Vfs>,
    data_dir: &Path,
    clock: Arc<dyn Clock>,
    catalog: Option<&Catalog>,
    durables: &dyn Durables,
) -> Result<SurvivorReport, ReportError> {
    if Note::read(vfs.as_ref(), data_dir)?.is_some_and(|note| note.is_begun()) {
        return Err(ReportError::Begun);
    }
    let stopped = Stopped::open(vfs, data_dir, clock)?;
    let reported = stopped.report(catalog, durables).map(|(report, _)| report);
    stopped.lane.close();
    reported
}

/// Hands over the entries of a log from `from` on, in order.
fn each_entry(
    group: GroupId,
    log: &GroupLog,
    from: u64,
    each: &mut dyn FnMut(LogPosition, Payload) -> Result<(), String>,
) -> Result<(), ReportError> {
    let failed = |reason| ReportError::Log { group, reason };
    let (first, end) = {
        let index = log.index();
        (index.first_index().unwrap_or(u64::MAX), index.next_index())
    };
    let mut at = from.max(first);
    while at < end {
        let entries = log.entries(at..end, STEP_BYTES).map_err(|error| failed(with_causes(&error)))?;
        let Some(last) = entries.last() else {
            return Err(failed(format!("entry {at} is nowhere")));
        };
        at = last.position.index + 1;
        for entry in entries {
            each(entry.position, entry.payload).map_err(failed)?;
        }
    }
    Ok(())
}

/// Applies what the log of the meta group has beyond the catalog. All of it will be applied when its member is the only
/// voter.
fn replay(log: &GroupLog, applied: Option<LogPosition>, state: &mut State) -> Result<(), ReportError> {
    let next = applied.map_or(0, |applied| applied.index + 1);
    let first = log.index().purged.map_or(0, |purged| purged.index + 1);
    if first > next {
        return Err(ReportError::CatalogBehind { applied: applied.map(|applied| applied.index), first });
    }
    each_entry(GroupId::Meta, log, next, &mut |_, payload| {
        if let Payload::Op(proposal) = payload {
            let command = proposal.take_command().map_err(|error| with_causes(&error))?;
            // What was refused then is refused now.
            let _answer: Response = catalog::apply(state, &command);
        }
        Ok(())
    })
}

/// The newest membership of a group: the last in the log, else the one in its files.
fn membership(
    group: GroupId,
    log: &GroupLog,
    durable: Option<&Durable>,
) -> Result<Option<MembershipText>, ReportError> {
    let mut newest = None;
    each_entry(group, log, 0, &mut |_, payload| {
        if let Payload::Membership(membership) = payload {
            newest = Some(types::membership(&membership));
        }
        Ok(())
    })?;
    if newest.is_none()
        && let Some(durable) = durable
    {
        let stored = decode_membership(&durable.membership);
        let stored =
            stored.map_err(|error| ReportError::Log { group, reason: format!("its membership: {error}") })?;
        newest = Some(stored.membership().clone());
    }
    let newest = newest.filter(|membership| !membership.get_joint_config().is_empty());
    Ok(newest.map(|membership| MembershipText {
        voters: membership.get_joint_config().iter().map(|set| set.iter().copied().collect()).collect(),
        members: membership.nodes().map(|(id, _)| *id).collect(),
    }))
}
