//! The catalog of a node: the state in memory, kept equal to the records of its store.
//!
//! One writer at a time decides, commits the changed records together with the log position, and only then
//! changes the state that readers see; so readers never wait for the disk, and never see what the store could
//! lose while the log position says it is there. After a failed commit the catalog is closed until reopened.
//!
//! A full disk is no failure: what the store has no space for waits in memory, in order, and the log that could replay it
//! is not purged, because [`Catalog::sync`] says so.

use std::ops::Deref;

use model::LogPosition;
use parking_lot::{MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard};

use crate::apply::decide;
use crate::change::Change;
use crate::command::{Command, Response};
use crate::encoding::DecodeError;
use crate::encoding::{
    FORMAT, FORMAT_KEY, MEMBERSHIP_KEY, POSITION_KEY, Record, decode_position, decode_record,
    decode_snapshot, encode_change, encode_position, encode_snapshot,
};
use crate::level::Level;
use crate::limits::Limits;
use crate::state::State;
use crate::store::{Batch, Op, Store, StoreError};

/// The catalog of a node.
#[derive(Debug)]
pub struct Catalog {
    newest: Level,
    writer: Mutex<Writer>,
    shared: RwLock<Shared>,
}

#[derive(Debug)]
struct Writer {
    store: Box<dyn Store>,
    /// What is in the state and not in the store, for want of space.
    waiting: Batch,
    is_full: bool,
    failed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: State,
    applied: Option<LogPosition>,
    membership: Vec<u8>,
}

/// Read access to the state. Hold it shortly: while it is held nothing is applied. Taking a second one on the
/// same thread can deadlock.
#[derive(Debug)]
pub struct ReadGuard<'a>(MappedRwLockReadGuard<'a, State>);

impl Deref for ReadGuard<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        &self.0
    }
}

/// All that another node needs to go on from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last entry in it.
    pub position: Option<LogPosition>,
    /// The membership as of that entry, opaque.
    pub membership: Vec<u8>,
    /// The state, for [`Catalog::import`]; carries its own checksum.
    pub bytes: Vec<u8>,
}

impl Catalog {
    /// Opens the catalog that a store holds; an empty store is an empty catalog.
    ///
    /// # Errors
    /// As [`Catalog::open_up_to`].
    pub fn open(store: Box<dyn Store>) -> Result<Self, StoreError> {
        Self::open_up_to(store, Level::NEWEST)
    }

    /// The same for a process that understands feature levels up to `newest`.
    ///
    /// # Errors
    /// The store cannot be read, its records are damaged or contradict one another, or the cluster is at a higher level.
    pub fn open_up_to(store: Box<dyn Store>, newest: Level) -> Result<Self, StoreError> {
        let mut shared = Shared::default();
        let mut format = None;
        store.load_all(&mut |key, value| {
            let read = match key {
                POSITION_KEY => decode_position(value).map(|p| shared.applied = Some(p)),
                MEMBERSHIP_KEY => {
                    value.clone_into(&mut shared.membership);
                    Ok(())
                }
                FORMAT_KEY => check_format(value).map(|()| format = Some(FORMAT)),
                _ => decode_record(key, value).map(|change| shared.state.make(change)),
            };
            read.map_err(|source| StoreError::Record { key: hex(key), source })
        })?;
        check_level(&shared.state, newest)?;
        shared.state.check()?;
        if format.is_none() {
            store.commit(&[Op::Put(FORMAT_KEY.to_vec(), vec![FORMAT])])?;
        }
        let writer = Writer { store, waiting: Batch::new(), is_full: false, failed: false };
        Ok(Self { newest, writer: Mutex::new(writer), shared: RwLock::new(shared) })
    }

    /// The newest feature level that is understood here.
    pub const fn newest(&self) -> Level {
        self.newest
    }

    /// The state, for reading.
    pub fn read(&self) -> ReadGuard<'_> {
        ReadGuard(RwLockReadGuard::map(self.shared.read(), |shared| &shared.state))
    }

    /// Applies the command of a log entry, and persists what it changed.
    ///
    /// # Errors
    /// The store failed, the entry is not after the last one, or brings the cluster to a level that is not understood
    /// here; nothing was applied.
    pub fn apply(&self, position: LogPosition, command: &Command) -> Result<Response, StoreError> {
        let mut writer = self.writer.lock();
        let decision = {
            let shared = self.shared.read();
            check_order(shared.applied, position)?;
            decide(&shared.state, command, &Limits::FORMAT)
        };
        for change in &decision.changes {
            if let Change::PutCluster(cluster) = change
                && cluster.level > self.newest
            {
                return Err(StoreError::Level { cluster: cluster.level, newest: self.newest });
            }
        }
        let mut batch: Batch = Vec::with_capacity(decision.changes.len() + 1);
        for change in &decision.changes {
            push_record(&mut batch, change);
        }
        push_position(&mut batch, position);
        writer.commit(batch)?;
        let mut shared = self.shared.write();
        for change in decision.changes {
            shared.state.make(change);
        }
        shared.applied = Some(position);
        Ok(decision.response)
    }

    /// Notes that an entry without a command was applied.
    ///
    /// # Errors
    /// As [`Catalog::apply`].
    pub fn apply_blank(&self, position: LogPosition) -> Result<(), StoreError> {
        self.note(position, None)
    }

    /// Notes that an entry that changes the group's membership was applied; the bytes are the caller's.
    ///
    /// # Errors
    /// As [`Catalog::apply`].
    pub fn apply_membership(&self, position: LogPosition, membership: &[u8]) -> Result<(), StoreError> {
        self.note(position, Some(membership))
    }

    fn note(&self, position: LogPosition, membership: Option<&[u8]>) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        check_order(self.shared.read().applied, position)?;
        let mut batch = Batch::new();
        if let Some(membership) = membership {
            batch.push(Op::Put(MEMBERSHIP_KEY.to_vec(), membership.to_vec()));
        }
        push_position(&mut batch, position);
        writer.commit(batch)?;
        let mut shared = self.shared.write();
        shared.applied = Some(position);
        if let Some(membership) = membership {
            membership.clone_into(&mut shared.membership);
        }
        Ok(())
    }

    /// The last applied entry. Whatever changes the state moves it on.
    pub fn position(&self) -> Option<LogPosition> {
        self.shared.read().applied
    }

    /// The last applied entry, and the membership as of then (empty before the first).
    pub fn applied(&self) -> (Option<LogPosition>, Vec<u8>) {
        let shared = self.shared.read();
        (shared.applied, shared.membership.clone())
    }

    /// The state with its position and membership, all of one moment.
    pub fn snapshot(&self) -> Snapshot {
        let (state, position, membership) = {
            let shared = self.shared.read();
            (shared.state.clone(), shared.applied, shared.membership.clone())
        };
        Snapshot { position, membership, bytes: encode_snapshot(&state) }
    }

    /// The state alone, as in [`Catalog::snapshot`].
    pub fn export(&self) -> Vec<u8> {
        self.snapshot().bytes
    }

    /// Replaces everything by a snapshot, in one batch.
    ///
    /// # Errors
    /// The snapshot is damaged, contradicts itself or is of a level that is not understood here, or the store failed;
    /// nothing was replaced.
    pub fn import(
        &self,
        bytes: &[u8],
        position: Option<LogPosition>,
        membership: Vec<u8>,
    ) -> Result<(), StoreError> {
        let state = decode_snapshot(bytes).map_err(StoreError::Snapshot)?;
        check_level(&state, self.newest)?;
        state.check()?;
        let mut batch = vec![Op::DeletePrefix(Vec::new()), Op::Put(FORMAT_KEY.to_vec(), vec![FORMAT])];
        for change in state.changes() {
            push_record(&mut batch, &change);
        }
        batch.push(Op::Put(MEMBERSHIP_KEY.to_vec(), membership.clone()));
        if let Some(position) = position {
            push_position(&mut batch, position);
        }
        let mut writer = self.writer.lock();
        writer.commit(batch)?;
        *self.shared.write() = Shared { state, applied: position, membership };
        Ok(())
    }

    /// Makes everything applied before the call durable. Must be called before the log that could replay it is
    /// purged.
    ///
    /// # Errors
    /// The store failed, or has no space now ([`StoreError::Full`]); nothing may be purged.
    pub fn sync(&self) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        writer.commit_waiting()?;
        writer.run(|store, _| store.sync())
    }
}

impl Writer {
    /// Commits a batch after what waits, or lets it wait too.
    fn commit(&mut self, mut batch: Batch) -> Result<(), StoreError> {
        self.waiting.append(&mut batch);
        match self.commit_waiting() {
            Err(StoreError::Full(_)) => Ok(()),
            done => done,
        }
    }

    fn commit_waiting(&mut self) -> Result<(), StoreError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let done = self.run(|store, waiting| store.commit(waiting));
        let is_full = matches!(done, Err(StoreError::Full(_)));
        match (std::mem::replace(&mut self.is_full, is_full), &done) {
            (false, Err(error @ StoreError::Full(_))) => {
                tracing::error!(%error, "the catalog's changes wait in memory and in the log");
            }
            (true, Ok(())) => tracing::info!("the catalog's store has space again"),
            _ => {}
        }
        if done.is_ok() {
            self.waiting = Batch::new();
        }
        done
    }

    fn run(
        &mut self,
        action: impl FnOnce(&dyn Store, &[Op]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Closed);
        }
        let done = action(&*self.store, &self.waiting);
        self.failed = done.as_ref().is_err_and(|error| !matches!(error, StoreError::Full(_)));
        done
    }
}

fn check_order(applied: Option<LogPosition>, position: LogPosition) -> Result<(), StoreError> {
    match applied {
        Some(applied) if position.index <= applied.index => Err(StoreError::Misordered { applied, position }),
        _ => Ok(()),
    }
}

fn check_level(state: &State, newest: Level) -> Result<(), StoreError> {
    let cluster = state.level();
    if cluster > newest { Err(StoreError::Level { cluster, newest }) } else { Ok(()) }
}

fn check_format(value: &[u8]) -> Result<(), DecodeError> {
    match value {
        [FORMAT] => Ok(()),
        [other, ..] => Err(DecodeError::Format(*other)),
        [] => Err(DecodeError::Empty),
    }
}

fn push_record(batch: &mut Batch, change: &Change) {
    match encode_change(change) {
        Record::Put(key, value) => batch.push(Op::Put(key, value)),
        Record::Remove(key) => batch.push(Op::Delete(key)),
        Record::RemoveAll(key, prefix) => {
            batch.push(Op::Delete(key));
            batch.push(Op::DeletePrefix(prefix));
        }
        Record::RemovePrefix(prefix) => batch.push(Op::DeletePrefix(prefix)),
    }
}

fn push_position(batch: &mut Batch, position: LogPosition) {
    batch.push(Op::Put(POSITION_KEY.to_vec(), encode_position(position)));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
