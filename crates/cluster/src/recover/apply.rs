//! Carries a plan out on a stopped node, so that a crash at any moment leaves what another call brings to its end.
//!
//! ```text
//! recovery.json says "begun" ─► of each chosen member: vote, entries ─► the old catalog goes, where it is not chosen
//!   ─► node.json names the new cluster ─► recovery.json says "done"
//! ```
//! Files of members that are not chosen stay as they are: when the node runs, the catalog places them nowhere, and they go
//! like those of any replica that has left.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use catalog::{Catalog, Response};
use disk::Vfs;
use disk::atomic::{self, AtomicError};
use futures::executor::block_on;
use model::{Clock, GroupId, LogPosition, NodeId, ReplicaId};
use proto::log;
use serde::{Deserialize, Serialize};

use super::plan::{ChosenText, Plan};
use super::report::{Durables, ReportError, Stopped};
use super::sealed::{Sealed, SealedError};
use super::texts::hex128;
use crate::entry::{LogEntry, Payload, Proposal};
use crate::identity::{Belongs, Identity, IdentityError};
use crate::lane::{GroupLog, Lane};
use crate::raft::machine::with_causes;

/// The note's name in the data directory.
const FILE: &str = "recovery.json";
const BYTES_MAX: u64 = 64 << 10;

/// What a node has noted of a recovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    /// Checksum of the plan.
    plan: String,
    #[serde(with = "hex128")]
    from: u128,
    #[serde(with = "hex128")]
    to: u128,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    Begun,
    Done,
}

impl Sealed for Note {
    const KIND: &'static str = "tidemark recovery note";
}

/// Why the note cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum NoteError {
    /// The disk.
    #[error("the note of a recovery cannot be read or written")]
    File(#[from] AtomicError),
    /// It is not what we wrote.
    #[error("{} is not what was written", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SealedError,
    },
}

impl Note {
    /// The note of a data directory; `None` where nothing was ever recovered.
    pub(crate) fn read(vfs: &dyn Vfs, data_dir: &Path) -> Result<Option<Self>, NoteError> {
        let path = data_dir.join(FILE);
        let bytes = match atomic::read(vfs, &path, BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Self::from_file(&bytes).map(Some).map_err(|source| NoteError::Content { path, source })
    }

    fn write(&self, vfs: &dyn Vfs, data_dir: &Path) -> Result<(), NoteError> {
        let path = data_dir.join(FILE);
        let bytes = self.to_file().map_err(|source| NoteError::Content { path: path.clone(), source })?;
        Ok(atomic::replace(vfs, &path, &bytes)?)
    }

    /// Whether the recovery was not brought to its end here.
    pub(crate) fn is_begun(&self) -> bool {
        self.stage == Stage::Begun
    }

    /// The clusters before and after.
    pub(crate) const fn clusters(&self) -> (u128, u128) {
        (self.from, self.to)
    }
}

/// What was done on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// The node.
    pub node: NodeId,
    /// Groups of which its member is the only voter now.
    pub chosen: usize,
    /// Whether all of it was done before.
    pub was_done: bool,
}

/// Why a plan was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// What is here cannot be read.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The checksums.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// Another cluster was typed.
    #[error("the plan is for cluster {plan}, and not for {typed:?}: nothing was changed")]
    OtherCluster {
        /// The plan's.
        plan: String,
        /// What was typed.
        typed: String,
    },
    /// The node is not in the plan.
    #[error("the plan was made without a report of node {0}: nothing was changed")]
    NotInPlan(NodeId),
    /// The node is of another cluster.
    #[error(
        "this node belongs to cluster {found:032x}, and the plan is for {wanted:032x}: nothing was changed"
    )]
    Foreign {
        /// The node's.
        found: u128,
        /// The plan's.
        wanted: u128,
    },
    /// It has run since.
    #[error(
        "what node {0} has is not what it has reported: it has run since. Make new reports of all nodes, and a new plan; \
         nothing was changed"
    )]
    Changed(NodeId),
    /// Another plan was begun.
    #[error(
        "another plan (checksum {0}) was begun on this node and must be brought to its end: apply that one again"
    )]
    AnotherPlan(String),
    /// The catalog would not do what the plan says.
    #[error("the catalog would refuse the plan ({0}): nothing was changed")]
    Refused(String),
    /// A log does not stand where it should.
    #[error(
        "the log of group {group} ends at {found:?}, which is neither before nor after what the plan does"
    )]
    Log {
        /// The group.
        group: GroupId,
        /// Where it ends.
        found: Option<LogPosition>,
    },
    /// Writing a log failed.
    #[error("the log of group {group} cannot be written: {reason}; apply the plan again when that is mended")]
    Write {
        /// The group.
        group: GroupId,
        /// Why.
        reason: String,
    },
    /// The old catalog cannot be removed.
    #[error("the old catalog cannot be removed; apply the plan again when that is mended")]
    Catalog(#[source] io::Error),
}

/// Where the catalog of a data directory is.
fn catalog_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("catalog")
}

/// Carries a plan out on a stopped node. `typed` is the id of the cluster as somebody has typed it. The caller holds the
/// directory's lock, and closes the catalog when this asks for it. Blocks.
///
/// # Errors
/// See [`ApplyError`]. After one that does not say that nothing was changed, the same plan is to be applied again; until
/// then the node does not start.
pub fn apply(
    vfs: &Arc<dyn Vfs>,
    data_dir: &Path,
    clock: Arc<dyn Clock>,
    plan: &Plan,
    typed: &str,
    open_catalog: &dyn Fn() -> Result<Option<Catalog>, catalog::StoreError>,
    durables: &dyn Durables,
) -> Result<Applied, ApplyError> {
    let own = plan.old_cluster();
    if typed.trim().to_ascii_lowercase() != own {
        return Err(ApplyError::OtherCluster { plan: own, typed: typed.to_owned() });
    }
    let checksum = plan.checksum()?;
    let note = Note::read(vfs.as_ref(), data_dir)?;
    let stopped = Stopped::open(vfs, data_dir, Arc::clone(&clock))?;
    let work = Work { vfs, data_dir, plan, checksum, clock, stopped: &stopped };
    let applied = work.run(note, open_catalog, durables);
    stopped.lane.close();
    applied
}

struct Work<'a> {
    vfs: &'a Arc<dyn Vfs>,
    data_dir: &'a Path,
    plan: &'a Plan,
    checksum: String,
    clock: Arc<dyn Clock>,
    stopped: &'a Stopped,
}

impl Work<'_> {
    fn run(
        &self,
        note: Option<Note>,
        open_catalog: &dyn Fn() -> Result<Option<Catalog>, catalog::StoreError>,
        durables: &dyn Durables,
    ) -> Result<Applied, ApplyError> {
        let Self { vfs, data_dir, plan, stopped, .. } = self;
        let Stopped { identity, place, lane } = stopped;
        let node = place.node_id;
        let survivor = plan.survivors.iter().find(|survivor| survivor.uuid == identity.node_uuid);
        let survivor = survivor.ok_or(ApplyError::NotInPlan(node))?;
        let chosen: Vec<&ChosenText> =
            plan.chosen.iter().filter(|chosen| chosen.node == survivor.node).collect();
        let is_this = |note: &Note| note.plan == self.checksum;
        match note {
            Some(note) if is_this(&note) && !note.is_begun() => {
                return Ok(Applied { node, chosen: chosen.len(), was_done: true });
            }
            Some(note) if is_this(&note) => tracing::info!("going on with a plan that was begun"),
            Some(note) if note.is_begun() => return Err(ApplyError::AnotherPlan(note.plan)),
            Some(_) | None => {
                if place.cluster_id != plan.from {
                    return Err(ApplyError::Foreign { found: place.cluster_id, wanted: plan.from });
                }
                self.check(survivor.report.as_str(), open_catalog, durables)?;
                self.note(Stage::Begun)?;
            }
        }
        for one in &chosen {
            self.become_only_voter(lane, one)?;
        }
        if !chosen.iter().any(|one| one.group == GroupId::Meta) {
            let dir = catalog_dir(data_dir);
            match vfs.remove_dir_all(&dir) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(ApplyError::Catalog(error)),
            }
            vfs.sync_dir(data_dir).map_err(ApplyError::Catalog)?;
        }
        let belongs = Belongs {
            cluster_id: plan.to,
            meta_replica: ReplicaId(survivor.meta_replica),
            founder: false,
            ..*place
        };
        Identity { belongs: Some(belongs), ..*identity }.write(vfs.as_ref(), data_dir)?;
        self.note(Stage::Done)?;
        Ok(Applied { node, chosen: chosen.len(), was_done: false })
    }

    fn note(&self, stage: Stage) -> Result<(), NoteError> {
        let Plan { from, to, .. } = *self.plan;
        Note { plan: self.checksum.clone(), from, to, stage }.write(self.vfs.as_ref(), self.data_dir)
    }

    /// Whether the node has what it has reported, and the catalog will do what the plan says.
    fn check(
        &self,
        reported: &str,
        open_catalog: &dyn Fn() -> Result<Option<Catalog>, catalog::StoreError>,
        durables: &dyn Durables,
    ) -> Result<(), ApplyError> {
        let node = self.stopped.place.node_id;
        // It is closed when this returns.
        let catalog = open_catalog().map_err(|error| ApplyError::Refused(with_causes(&error)))?;
        let (report, state) = self.stopped.report(catalog.as_ref(), durables)?;
        if report.checksum()? != reported {
            return Err(ApplyError::Changed(node));
        }
        let is_meta = |one: &ChosenText| one.group == GroupId::Meta && one.node == node;
        if let Some(mut state) = state.filter(|_| self.plan.chosen.iter().any(is_meta)) {
            match catalog::apply(&mut state, &self.plan.command()) {
                Response::Done => {}
                Response::Refused(refusal) => return Err(ApplyError::Refused(refusal.to_string())),
                Response::Fields(_) => {
                    return Err(ApplyError::Refused("it answers something else".to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Makes the member here the only voter of its group, and its log longer than any that it has not seen.
    fn become_only_voter(&self, lane: &Arc<Lane>, chosen: &ChosenText) -> Result<(), ApplyError> {
        let group = chosen.group;
        let log = lane.log(group);
        let (owner, last) = {
            let index = log.index();
            (index.replica(), index.last())
        };
        let replica = ReplicaId(chosen.replica);
        let after = LogPosition::from(chosen.after);
        let entries = self.entries(chosen)?;
        let is_ours = |position: LogPosition| position.term == chosen.term && position.leader == replica;
        let wrong = || ApplyError::Log { group, found: last };
        if owner != Some(replica) {
            return Err(wrong());
        }
        let missing: Vec<LogEntry> = match last {
            Some(last) if is_ours(last) => {
                entries.into_iter().filter(|entry| entry.position.index > last.index).collect()
            }
            Some(last) if last.index > after.index || last.index == after.index && last != after => {
                return Err(wrong());
            }
            Some(_) | None => {
                // Its files have more than its log, which was not made durable in time.
                if last != Some(after) {
                    self.wait(group, lane.purge(&log, after))?;
                }
                entries
            }
        };
        if missing.is_empty() {
            return Ok(());
        }
        let vote = log::Vote { term: chosen.term, replica: chosen.replica, committed: false };
        self.wait(group, lane.vote(&log, vote))?;
        self.append(lane, group, &log, missing)
    }

    fn wait(
        &self,
        group: GroupId,
        done: impl Future<Output = Result<(), crate::lane::LaneError>>,
    ) -> Result<(), ApplyError> {
        block_on(done).map_err(|error| ApplyError::Write { group, reason: with_causes(&error) })
    }

    fn append(
        &self,
        lane: &Arc<Lane>,
        group: GroupId,
        log: &Arc<GroupLog>,
        entries: Vec<LogEntry>,
    ) -> Result<(), ApplyError> {
        let failed = |reason| ApplyError::Write { group, reason };
        let (tell, told) = futures::channel::oneshot::channel();
        // Whoever waits is there until it has an answer.
        let done = Box::new(move |result| drop(tell.send(result)));
        block_on(lane.append(log, entries, done)).map_err(|error| failed(with_causes(&error)))?;
        match block_on(told) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(with_causes(&error))),
            Err(_dropped) => Err(failed("the log was closed".to_owned())),
        }
    }

    /// What the log goes on with: the only voter, and for the meta group what the catalog is to say.
    fn entries(&self, chosen: &ChosenText) -> Result<Vec<LogEntry>, ApplyError> {
        let position = |offset: u64| LogPosition {
            index: chosen.after.index + offset,
            term: chosen.term,
            leader: ReplicaId(chosen.replica),
        };
        let node = self.plan.address(chosen.node).ok_or(ApplyError::NotInPlan(chosen.node))?;
        let membership = log::Membership {
            voter_sets: vec![log::VoterSet { replicas: vec![chosen.replica] }],
            members: vec![log::Member {
                replica: chosen.replica,
                node: node.uuid.to_be_bytes().to_vec().into(),
                address: node.address.clone(),
            }],
        };
        let mut entries = vec![LogEntry { position: position(1), payload: Payload::Membership(membership) }];
        if chosen.group == GroupId::Meta {
            let encoded = proto::encode_catalog(self.plan.command().encode(), self.clock.now());
            let payload = Payload::Op(Proposal::stored(encoded));
            entries.push(LogEntry { position: position(2), payload });
        }
        Ok(entries)
    }
}
