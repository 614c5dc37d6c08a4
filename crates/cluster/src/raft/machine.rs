//! openraft's state machine over ours: a partition's [`Machine`], or the catalog.
//!
//! A data group's snapshot is position and membership alone, because the data is in the files that storage has flushed;
//! only when it is to be sent are those copied, by links. The meta group's snapshot is the encoded catalog.

use std::io;
use std::sync::Arc;

use catalog::{Catalog, StoreError};
use disk::Vfs;
use futures::{Stream, TryStreamExt as _};
use model::{LogPosition, PartitionOp, ReplicaId};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use prost::Message as _;
use proto::log;
use tokio_util::sync::CancellationToken;
use trace::{Span, Tracer};

use super::types::{
    self, Applied, Files, LogId, Snapshot, SnapshotData, SnapshotMeta, StoredMembership, Types,
};
use crate::comparison::Comparison;
use crate::entry::Proposal;
use crate::fatal::Fatal;
use crate::lane::{FULL_RETRY, GroupLog};
use crate::machine::{Durable, Machine};

/// Envelopes above this are applied where blocking does not hold up other tasks.
const APPLY_INLINE_BYTES: usize = 16 << 10;

/// What the log is applied to.
#[derive(Clone)]
pub(crate) enum Target {
    /// A partition's replica, and how it is compared with others.
    Partition(Arc<dyn Machine>, Arc<Comparison>),
    /// The catalog.
    Catalog(Arc<Catalog>),
}

impl Target {
    pub(crate) fn durable(&self) -> io::Result<Durable> {
        match self {
            Self::Partition(machine, _) => machine.durable(),
            Self::Catalog(catalog) => {
                let (position, membership) = catalog.applied();
                Ok(Durable { position, membership })
            }
        }
    }

    /// Whether a partition's files are to be had from another member.
    pub(crate) fn is_damaged(&self) -> bool {
        match self {
            Self::Partition(machine, _) => machine.is_damaged(),
            Self::Catalog(_) => false,
        }
    }

    fn apply(&self, position: LogPosition, proposal: &Proposal) -> io::Result<Applied> {
        match self {
            Self::Partition(machine, comparison) => {
                let op = proposal.take_partition_op().map_err(invalid)?;
                let compares = matches!(op, PartitionOp::Compare);
                machine.apply(position, op).map_err(io::Error::other)?;
                if compares {
                    comparison.start(position.index, || machine.sum());
                }
                Ok(Applied::Done)
            }
            Self::Catalog(catalog) => {
                let command = proposal.take_command().map_err(invalid)?;
                host::failpoint("catalog-apply")?;
                catalog.apply(position, &command).map(Applied::Catalog).map_err(io::Error::other)
            }
        }
    }

    fn apply_blank(&self, position: LogPosition) -> io::Result<()> {
        match self {
            Self::Partition(machine, _) => machine.apply_blank(position).map_err(io::Error::other),
            Self::Catalog(catalog) => catalog.apply_blank(position).map_err(io::Error::other),
        }
    }

    fn apply_membership(&self, position: LogPosition, membership: Vec<u8>) -> io::Result<()> {
        match self {
            Self::Partition(machine, _) => {
                machine.apply_membership(position, membership).map_err(io::Error::other)
            }
            Self::Catalog(catalog) => {
                catalog.apply_membership(position, &membership).map_err(io::Error::other)
            }
        }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The state machine of a group.
pub(crate) struct StateMachine {
    target: Target,
    log: Arc<GroupLog>,
    fatal: Fatal,
    vfs: Arc<dyn Vfs>,
    applied: Option<LogId>,
    membership: StoredMembership,
    /// The newest snapshot taken here; the meta group's is kept for followers.
    snapshot: Option<Snapshot>,
    /// Cancelled when this is dropped: openraft's task that applies entries ends later than the group does.
    end: CancellationToken,
    tracer: Tracer,
}

impl Drop for StateMachine {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl StateMachine {
    pub(crate) fn new(
        target: Target,
        log: Arc<GroupLog>,
        fatal: Fatal,
        vfs: Arc<dyn Vfs>,
        tracer: Tracer,
    ) -> io::Result<Self> {
        let durable = target.durable()?;
        let applied = durable.position.map(types::log_id);
        if let Some(position) = durable.position {
            log.applied(position.index);
        }
        let membership = decode_membership(&durable.membership)?;
        let end = CancellationToken::new();
        Ok(Self { target, log, fatal, vfs, applied, membership, snapshot: None, end, tracer })
    }

    /// Cancelled when nothing is applied to the target any more.
    pub(crate) fn end(&self) -> CancellationToken {
        self.end.clone()
    }

    /// Index of the last entry that is applied.
    pub(crate) fn applied_index(&self) -> Option<u64> {
        self.applied.as_ref().map(|id| id.index)
    }

    /// The last entry that is applied.
    pub(crate) fn applied_position(&self) -> Option<LogPosition> {
        self.applied.as_ref().map(types::position)
    }

    /// Whether a replica is the only voter, as of what is applied.
    pub(crate) fn is_alone(&self, replica: ReplicaId) -> bool {
        self.membership.membership().voter_ids().eq([replica.0])
    }

    fn apply_one(&mut self, entry: types::Entry) -> io::Result<Applied> {
        let position = types::position(&entry.log_id);
        let applied = match entry.payload {
            EntryPayload::Blank => {
                self.target.apply_blank(position)?;
                Applied::Done
            }
            EntryPayload::Membership(membership) => {
                let stored = StoredMembership::new(Some(entry.log_id), membership);
                self.target.apply_membership(position, encode_membership(&stored))?;
                self.membership = stored;
                Applied::Done
            }
            EntryPayload::Normal(proposal) => {
                let small = proposal.encoded().len() <= APPLY_INLINE_BYTES;
                let mut span = self.traced(position, &proposal);
                let applied = if small {
                    self.target.apply(position, &proposal)
                } else {
                    self.apply_large(position, &proposal)
                };
                span.note(&applied);
                applied?
            }
        };
        self.applied = Some(entry.log_id);
        self.log.applied(position.index);
        Ok(applied)
    }

    /// The span of applying an entry, where somebody wants to see it: part of its proposal.
    fn traced(&self, position: LogPosition, proposal: &Proposal) -> Span {
        let Some(proposed) = proposal.traced() else { return Span::default() };
        let mut span = self.tracer.part_of(proposed, "apply");
        span.set("group", self.log.group());
        span.set("term", position.term);
        span.set("index", position.index);
        span
    }

    fn apply_large(&self, position: LogPosition, proposal: &Proposal) -> io::Result<Applied> {
        blocking(|| self.target.apply(position, proposal))
    }

    async fn install(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData) -> io::Result<()> {
        match (&self.target, &snapshot) {
            (Target::Catalog(catalog), SnapshotData::Catalog(bytes)) => {
                let position = meta.last_log_id.as_ref().map(types::position);
                let membership = encode_membership(&meta.last_membership);
                catalog.import(bytes, position, membership).map_err(io::Error::other)?;
                // The log before the snapshot goes when this returns.
                let mut again = tokio::time::interval(FULL_RETRY);
                while !is_synced(catalog)? {
                    again.tick().await;
                }
            }
            (Target::Partition(machine, _), SnapshotData::Files(files)) => {
                host::failpoint("snapshot-install")?;
                blocking(|| machine.install(&files.dir))?;
                host::failpoint("snapshot-installed")?;
            }
            _ => return Err(io::Error::other("a snapshot of another kind of group")),
        }
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        if let Some(id) = &meta.last_log_id {
            self.log.applied(id.index);
        }
        let snapshot = match snapshot {
            SnapshotData::Catalog(bytes) => SnapshotData::Catalog(bytes),
            SnapshotData::Files(_) | SnapshotData::Noted => SnapshotData::Noted,
        };
        self.snapshot = Some(Snapshot { meta: meta.clone(), snapshot });
        Ok(())
    }
}

/// Does what blocks where other tasks of this thread are moved elsewhere meanwhile, if the runtime can do that.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

pub(crate) fn encode_membership(stored: &StoredMembership) -> Vec<u8> {
    membership_message(stored).encode_to_vec()
}

pub(crate) fn membership_message(stored: &StoredMembership) -> log::StoredMembership {
    log::StoredMembership {
        log_id: stored.log_id().as_ref().map(|id| types::position(id).into()),
        membership: Some(types::stored_membership(stored.membership())),
    }
}

pub(crate) fn read_membership(message: log::StoredMembership) -> StoredMembership {
    let id = message.log_id.map(|id| types::log_id(id.into()));
    let membership = message.membership.as_ref().map(types::membership);
    StoredMembership::new(id, membership.unwrap_or_default())
}

pub(crate) fn decode_membership(bytes: &[u8]) -> io::Result<StoredMembership> {
    if bytes.is_empty() {
        return Ok(StoredMembership::default());
    }
    Ok(read_membership(log::StoredMembership::decode(bytes).map_err(invalid)?))
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let at = entry.log_id;
            match self.apply_one(entry) {
                Ok(applied) => {
                    if let Some(responder) = responder {
                        responder.send(applied);
                    }
                }
                Err(error) => {
                    self.fatal.raise(&format!("applying entry {at}: {}", with_causes(&error)));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder(self.take_snapshot().inspect(|snapshot| {
            if snapshot.meta.last_log_id.is_some() {
                self.snapshot = Some(snapshot.clone());
            }
        }))
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData) -> io::Result<()> {
        self.install(meta, snapshot).await.inspect_err(|error| {
            self.fatal.raise(&format!("installing a snapshot: {}", with_causes(error)));
        })
    }

    /// The snapshot to be sent: of a partition, a copy of what is durable now.
    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        match (&self.target, &self.snapshot) {
            (Target::Partition(machine, _), Some(noted)) => match blocking(|| machine.checkpoint()) {
                Ok((dir, durable)) => {
                    let files = Arc::new(Files { dir, vfs: Arc::clone(&self.vfs) });
                    Ok(Some(Snapshot { meta: meta_of(&durable)?, snapshot: SnapshotData::Files(files) }))
                }
                // A file is missing, or there is no room: another member may have what this one cannot give.
                Err(error) => {
                    tracing::warn!(
                        group = self.log.group(),
                        error = with_causes(&error),
                        "no copy of the files"
                    );
                    Ok(Some(noted.clone()))
                }
            },
            (_, snapshot) => Ok(snapshot.clone()),
        }
    }
}

pub(super) fn meta_of(durable: &Durable) -> io::Result<SnapshotMeta> {
    Ok(SnapshotMeta {
        last_log_id: durable.position.map(types::log_id),
        last_membership: decode_membership(&durable.membership)?,
    })
}

impl StateMachine {
    /// Takes a snapshot of this moment; called between entries, so that all of it is of one position.
    fn take_snapshot(&self) -> io::Result<Snapshot> {
        let (durable, data) = match &self.target {
            Target::Partition(machine, _) => (machine.durable()?, SnapshotData::Noted),
            Target::Catalog(catalog) => {
                // The log will be purged up to here: where nothing can be made durable, up to where it was purged before.
                if !is_synced(catalog)? {
                    return Ok(self.snapshot.clone().unwrap_or_else(nothing_durable));
                }
                let snapshot = catalog.snapshot();
                let durable = Durable { position: snapshot.position, membership: snapshot.membership };
                (durable, SnapshotData::Catalog(snapshot.bytes))
            }
        };
        Ok(Snapshot { meta: meta_of(&durable)?, snapshot: data })
    }
}

/// Makes the catalog durable, unless the disk is full.
fn is_synced(catalog: &Catalog) -> io::Result<bool> {
    match catalog.sync() {
        Ok(()) => Ok(true),
        Err(StoreError::Full(_)) => Ok(false),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// The snapshot of a machine that cannot say that anything is durable.
fn nothing_durable() -> Snapshot {
    Snapshot { meta: SnapshotMeta::default(), snapshot: SnapshotData::Noted }
}

/// A snapshot that was taken already.
pub(crate) struct Builder(io::Result<Snapshot>);

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        std::mem::replace(&mut self.0, Err(io::Error::other("a snapshot is taken once")))
    }
}

/// An error with all its causes, for the one place where it is reported.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
