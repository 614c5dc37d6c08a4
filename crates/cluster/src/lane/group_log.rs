//! One group's log as the group sees it: reads from memory and disk, and the mark of what has been applied.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{LogPosition, ReplicaId};
use parking_lot::{Mutex, MutexGuard};
use proto::log;

use super::LaneReader;
use super::index::{Found, GroupIndex};
use crate::entry::LogEntry;

/// The log of one group.
#[derive(Debug)]
pub(crate) struct GroupLog {
    group: u32,
    index: Mutex<GroupIndex>,
    /// One past the last entry that was applied.
    applied_next: AtomicU64,
    reader: Arc<dyn LaneReader>,
}

impl GroupLog {
    pub(crate) fn new(group: u32, index: GroupIndex, reader: Arc<dyn LaneReader>) -> Self {
        Self { group, index: Mutex::new(index), applied_next: AtomicU64::new(0), reader }
    }

    /// The group's number.
    pub(crate) const fn group(&self) -> u32 {
        self.group
    }

    /// The index, locked. Never held across I/O.
    pub(crate) fn index(&self) -> MutexGuard<'_, GroupIndex> {
        self.index.lock()
    }

    /// Index of the last entry, or of what was purged last.
    pub(crate) fn last_index(&self) -> Option<u64> {
        self.index().last().map(|position| position.index)
    }

    /// Forgets everything, for a replica that comes after those that had the log.
    pub(super) fn reset(&self, replica: ReplicaId) {
        self.index().reset(replica);
        self.applied_next.store(0, Ordering::Relaxed);
    }

    /// The newest vote given to the lane.
    pub(crate) fn vote(&self) -> Option<log::Vote> {
        self.index().vote
    }

    /// Notes in memory that entries are committed; the lane writes it beside the next record of the group.
    pub(crate) fn set_committed(&self, committed: Option<LogPosition>) {
        self.index().committed = committed;
    }

    /// Notes that entries up to and with `index` are applied, so that they may leave memory.
    pub(crate) fn applied(&self, index: u64) {
        self.applied_next.fetch_max(index + 1, Ordering::Relaxed);
    }

    /// Frees memory of entries that are durable and applied; answers the bytes freed.
    pub(crate) fn evict(&self, goal: usize) -> usize {
        self.index().evict(self.applied_next.load(Ordering::Relaxed), goal)
    }

    /// The entries of a range that the log holds, in order, at most `bytes_max` bytes of them but always one when
    /// there is one.
    pub(crate) fn entries(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<LogEntry>> {
        let mut found = Vec::new();
        {
            let index = self.index();
            let Some(first) = index.first_index() else { return Ok(Vec::new()) };
            let (start, end) = (range.start.max(first), range.end.min(index.next_index()));
            let mut bytes = 0;
            for at in start..end {
                let entry =
                    index.get(at).ok_or_else(|| io::Error::other(format!("entry {at} is nowhere")))?;
                bytes += match &entry {
                    Found::Cached(entry) => entry.bytes(),
                    Found::Stored(_, location) => location.len as usize,
                };
                if bytes > bytes_max && !found.is_empty() {
                    break;
                }
                found.push(entry);
            }
        }
        found
            .into_iter()
            .map(|found| match found {
                Found::Cached(entry) => Ok(entry),
                Found::Stored(position, location) => {
                    let bytes = self.reader.read(self.group, position.index, location)?;
                    LogEntry::stored(position, bytes)
                        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
                }
            })
            .collect()
    }
}
