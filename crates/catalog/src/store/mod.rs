//! Where the catalog's records live: an ordered map of bytes with atomic batches.
//!
//! A batch is all or nothing, also across a crash, and after a crash the store holds some prefix of the batches
//! committed: the position of the last applied log entry is in the same batch as what the entry changed, so the
//! log replays exactly what was lost. Only [`Store::sync`] makes batches durable.

mod memory;
mod nowhere;
#[cfg(feature = "rocksdb")]
mod rocks;

use std::fmt;

use model::LogPosition;

pub use memory::MemoryStore;
pub use nowhere::Nowhere;
#[cfg(feature = "rocksdb")]
pub use rocks::RocksStore;

use crate::encoding::DecodeError;
use crate::level::Level;
use crate::state::Inconsistent;

/// One step of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets a key.
    Put(Vec<u8>, Vec<u8>),
    /// Removes a key, if it is there.
    Delete(Vec<u8>),
    /// Removes every key with a prefix; the empty prefix removes all.
    DeletePrefix(Vec<u8>),
}

/// Steps that happen together, in order.
pub type Batch = Vec<Op>;

/// Takes one record, key and value.
pub type EachRecord<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError>;

/// What the catalog needs of a store.
pub trait Store: Send + Sync + fmt::Debug {
    /// Hands over every record, in the order of keys, and stops at the first error of `each`.
    fn load_all(&self, each: EachRecord<'_>) -> Result<(), StoreError>;

    /// Commits steps as one batch: atomic, visible to the next call, not yet durable. After [`StoreError::Full`] the
    /// caller may commit them again, alone or followed by more.
    fn commit(&self, batch: &[Op]) -> Result<(), StoreError>;

    /// Makes everything committed before the call durable.
    fn sync(&self) -> Result<(), StoreError>;
}

/// Why the store or its records cannot be used. None of these but [`StoreError::Full`] goes away by trying again: the
/// node must stop and be looked at, or its catalog be fetched anew from a peer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store itself failed.
    #[error("cannot {doing} the catalog store")]
    Backend {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No space. What was to be written can be written when there is some.
    #[error("no space is left for the catalog store")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An earlier commit failed; what it left is known only after the store is opened again.
    #[error("the catalog is closed since a commit failed")]
    Closed,
    /// A record is damaged, or from a version that this one does not know.
    #[error("cannot read catalog record {key}")]
    Record {
        /// The record's key, in hexadecimal.
        key: String,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// A snapshot is damaged, or from a version that this one does not know.
    #[error("cannot read the catalog snapshot")]
    Snapshot(#[source] DecodeError),
    /// Each record is readable, but they contradict one another.
    #[error("the records of the catalog contradict one another")]
    Inconsistent(#[from] Inconsistent),
    /// The cluster uses what this version does not understand.
    #[error(
        "the cluster is at feature level {cluster}, and this version understands levels up to {newest}: it needs the newer \
         version that the cluster ran before"
    )]
    Level {
        /// What the cluster is at.
        cluster: Level,
        /// What this process understands.
        newest: Level,
    },
    /// A log entry was applied twice or out of order.
    #[error("entry {} cannot be applied after entry {}", position.index, applied.index)]
    Misordered {
        /// The last applied entry.
        applied: LogPosition,
        /// The one that came.
        position: LogPosition,
    },
}

/// The first key after every key with a prefix; `None` when there is none.
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}
