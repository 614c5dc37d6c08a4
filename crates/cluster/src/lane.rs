//! The lane: one durable log per node, in which the logs of all groups lie one after the other.
//!
//! ```text
//! group meta ──┐                       ┌─ one write, one fdatasync ─┐
//! group 0    ──┼─► queue (bytes ≤ max) ─┤ flusher thread             ├─► callbacks, in order
//! group n    ──┘                       └────────────────────────────┘
//! ```
//!
//! What must always hold: a callback that reports success fires only after the sync that covers its records; the
//! records of a group are durable in the order in which the group gave them (votes too); after a failed sync
//! nothing is ever acknowledged again, every group is told, and the process must stop.
//!
//! [`LogLane`] is what a back-end provides (files of our own, or RocksDB). [`Lane`] is the rest, the same for both.

mod flusher;
pub(crate) mod group_log;
pub(crate) mod index;
mod metrics;
mod queue;
pub(crate) mod rocks;
pub(crate) mod segment;
mod shared;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use model::{LogPosition, ReplicaId};
use proto::log;

pub(crate) use flusher::FULL_RETRY;
pub(crate) use group_log::GroupLog;
pub(crate) use index::GroupIndex;
pub use metrics::LaneMetrics;
pub(crate) use shared::{Lane, LaneOptions};

/// Bytes counted for a record above its envelope when batches are cut; more than any back-end adds.
pub(crate) const RECORD_OVERHEAD_BYTES: u64 = 128;

/// Where a record lies in a back-end. The RocksDB back-end uses `len` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location {
    /// Number of the segment.
    pub(crate) segment: u64,
    /// First byte of the payload in the segment.
    pub(crate) offset: u32,
    /// Bytes of the payload.
    pub(crate) len: u32,
}

/// What a group writes to the lane.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RecordBody {
    /// An entry, its envelope encoded.
    Append { position: LogPosition, entry: Bytes },
    /// The newest vote.
    Vote(log::Vote),
    /// Entries after this position are withdrawn; all of them for `None`.
    Truncate { after: Option<LogPosition> },
    /// Entries up to and with this one are gone.
    Purge(LogPosition),
    /// Entries up to and with this one were committed when this was written.
    Committed(LogPosition),
    /// What older records said, before their segment goes.
    State(log::GroupState),
    /// The log belongs to no replica with a lower id from here on, and is empty.
    Reset(ReplicaId),
}

/// A record and the group that it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// [`model::GroupId::number`].
    pub(crate) group: u32,
    pub(crate) body: RecordBody,
}

/// Why a back-end did not write.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// No space. Nothing was written, and the same write may succeed later.
    #[error("no space left for the log")]
    Full(#[source] io::Error),
    /// Anything else; what is on the disk is unknown.
    #[error("writing the log failed")]
    Broken(#[source] io::Error),
}

/// A durable back-end of a lane. Called by one thread.
pub(crate) trait LogLane: Send + Debug {
    /// Writes records in order, not yet durably, and says where each lies. At most [`Self::batch_bytes_max`] bytes
    /// of envelopes in one call.
    fn write(&mut self, records: &[Record]) -> Result<Vec<Location>, WriteError>;
    /// Makes everything written durable.
    fn sync(&mut self) -> io::Result<()>;
    /// The most that one `write` may hold, envelopes and [`RECORD_OVERHEAD_BYTES`] for each record together.
    fn batch_bytes_max(&self) -> u64;
    /// Whether [`Self::mark_idle`] should be called when nothing is written for a while.
    fn needs_mark(&self) -> bool;
    /// Notes how far the log is durable, without making the note durable.
    fn mark_idle(&mut self) -> io::Result<()>;
    /// Reads envelopes while the lane is written.
    fn reader(&self) -> Arc<dyn LaneReader>;
    /// Bytes on the disk.
    fn bytes(&self) -> u64;
    /// First segment and the one being written; equal for a back-end without segments.
    fn segments(&self) -> (u64, u64);
    /// Goes on in a small segment, because nothing before is needed any more.
    fn start_small(&mut self) -> Result<(), WriteError>;
    /// Removes the segments before `segment`. All that matters in them has been written again.
    fn remove_before(&mut self, segment: u64) -> io::Result<()>;
}

/// Reads the envelopes of entries.
pub(crate) trait LaneReader: Send + Sync + Debug {
    /// The envelope of an entry.
    fn read(&self, group: u32, index: u64, location: Location) -> io::Result<Bytes>;
}

/// What a back-end found on the disk: the state of each group, by number.
pub(crate) type Recovered = HashMap<u32, GroupIndex>;

/// Why a lane cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LaneOpenError {
    /// The segmented log refused: damage to what had been made durable, or a failing disk.
    #[error("opening the log in segments failed")]
    Segments(#[from] disk::seglog::OpenError),
    /// RocksDB refused.
    #[error("opening the log in RocksDB failed")]
    Rocks(#[from] rocksdb::Error),
    /// The directory could not be made.
    #[error("preparing the log's directory failed")]
    Directory(#[source] io::Error),
    /// Records that contradict one another: something durable is missing.
    #[error("the log of group {group} is damaged: {reason}")]
    Damaged {
        /// The group's number in the log.
        group: u32,
        /// What is wrong.
        reason: String,
    },
    /// The flusher's thread could not be started.
    #[error("starting the log's thread failed")]
    Thread(#[source] io::Error),
}

/// Why the lane did not do what a group asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LaneError {
    /// A write or a sync failed; the process must stop and recover.
    #[error("the log is closed after a failure: {0}")]
    Poisoned(Arc<str>),
    /// The node is shutting down.
    #[error("the log is closed")]
    Stopped,
}

impl From<LaneError> for io::Error {
    fn from(error: LaneError) -> Self {
        Self::other(error)
    }
}
