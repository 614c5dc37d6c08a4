//! What is known in memory of one group's log: its vote, its bounds, the term and place of every entry, and the
//! newest entries themselves. A plain data structure without I/O, the same for recovery and for a running lane.
//!
//! ```text
//!   purged │ first ................... located │ pending ........ last
//!          │ on the disk, place known          │ written or queued, not yet durable
//!                        cached: a suffix of the whole ────────────┘
//! ```
//! Invariants: indices are contiguous; every entry that is pending or not yet applied is cached, or on the disk.

use std::collections::VecDeque;

use model::{LogPosition, ReplicaId};
use proto::log;

use super::{Location, RecordBody};
use crate::entry::LogEntry;

/// Consecutive entries of one leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u64,
    term: u64,
    leader: ReplicaId,
}

/// The log of one group, in memory.
#[derive(Debug, Default)]
pub(crate) struct GroupIndex {
    pub(crate) vote: Option<log::Vote>,
    pub(crate) purged: Option<LogPosition>,
    pub(crate) committed: Option<LogPosition>,
    /// Replicas with lower ids are gone for good, and had their logs.
    replica: Option<ReplicaId>,
    /// Segment of the newest vote or purge record that is not repeated later, whichever is older.
    vote_segment: Option<u64>,
    purged_segment: Option<u64>,
    replica_segment: Option<u64>,
    /// Index of the first entry; meaningless without entries.
    first: u64,
    located: VecDeque<Location>,
    /// Tickets of the entries after `located`, given at append and returned when durable.
    pending: VecDeque<u64>,
    runs: VecDeque<Run>,
    /// The newest entries; the last is the last of the log.
    cache: VecDeque<LogEntry>,
    cached_bytes: usize,
}

/// An entry does not follow the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {found} where {wanted} was expected")]
pub(crate) struct Gap {
    pub(crate) wanted: u64,
    pub(crate) found: u64,
}

/// An entry as a reader finds it.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// In memory.
    Cached(LogEntry),
    /// On the disk.
    Stored(LogPosition, Location),
}

impl GroupIndex {
    fn len(&self) -> u64 {
        (self.located.len() + self.pending.len()) as u64
    }

    /// One past the last entry, or past what was purged.
    pub(crate) fn next_index(&self) -> u64 {
        if self.len() == 0 { self.purged.map_or(0, |p| p.index + 1) } else { self.first + self.len() }
    }

    /// The first entry's index, when there are entries.
    pub(crate) fn first_index(&self) -> Option<u64> {
        (self.len() > 0).then_some(self.first)
    }

    /// The last entry, or what was purged last.
    pub(crate) fn last(&self) -> Option<LogPosition> {
        if self.len() == 0 { self.purged } else { self.position(self.first + self.len() - 1) }
    }

    /// The position of an entry that the log holds.
    pub(crate) fn position(&self, index: u64) -> Option<LogPosition> {
        if self.len() == 0 || index < self.first || index >= self.first + self.len() {
            return None;
        }
        let run = self.runs.get(self.runs.partition_point(|run| run.first <= index).checked_sub(1)?)?;
        Some(LogPosition { index, term: run.term, leader: run.leader })
    }

    /// The last entry of each leader within the bounds, both included.
    pub(crate) fn leaders(&self, from: u64, to: u64) -> Vec<LogPosition> {
        let lasts = self.runs.iter().skip(1).map(|run| run.first - 1).chain(self.next_index().checked_sub(1));
        let mut found: Vec<_> =
            lasts.filter(|&last| last >= from).filter_map(|last| self.position(last.min(to))).collect();
        found.dedup();
        found
    }

    /// Checks that an entry follows, and notes its term.
    fn extend(&mut self, position: LogPosition) -> Result<(), Gap> {
        if self.len() == 0 {
            self.first = position.index;
            self.runs.clear();
        } else if position.index != self.next_index() {
            return Err(Gap { wanted: self.next_index(), found: position.index });
        }
        let newest = self.runs.back().map(|run| (run.term, run.leader));
        if newest != Some((position.term, position.leader)) {
            let LogPosition { index, term, leader } = position;
            self.runs.push_back(Run { first: index, term, leader });
        }
        Ok(())
    }

    /// Appends an entry that is not durable yet.
    pub(crate) fn append(&mut self, entry: LogEntry, ticket: u64) -> Result<(), Gap> {
        self.extend(entry.position)?;
        self.pending.push_back(ticket);
        self.cached_bytes += entry.bytes();
        self.cache.push_back(entry);
        Ok(())
    }

    /// Notes that the entry with a ticket is durable; nothing when it was withdrawn meanwhile.
    pub(crate) fn durable(&mut self, index: u64, ticket: u64, location: Location) {
        if self.pending.front() == Some(&ticket) && index == self.first + self.located.len() as u64 {
            self.pending.pop_front();
            self.located.push_back(location);
        }
    }

    /// Withdraws the entries after `after`.
    pub(crate) fn truncate(&mut self, after: Option<u64>) {
        let next = after.map_or(0, |index| index + 1);
        while self.len() > 0 && self.first + self.len() > next {
            if self.pending.pop_back().is_none() {
                self.located.pop_back();
            }
            if let Some(entry) = self.cache.pop_back() {
                self.cached_bytes -= entry.bytes();
            }
        }
        while self.runs.back().is_some_and(|run| run.first >= next) {
            self.runs.pop_back();
        }
    }

    /// Forgets the entries up to and with `upto`.
    pub(crate) fn purge(&mut self, upto: LogPosition) {
        while self.len() > 0 && self.first <= upto.index {
            if self.cache.len() as u64 == self.len()
                && let Some(entry) = self.cache.pop_front()
            {
                self.cached_bytes -= entry.bytes();
            }
            if self.located.pop_front().is_none() {
                self.pending.pop_front();
            }
            self.first += 1;
        }
        while self.runs.get(1).is_some_and(|run| run.first <= self.first) {
            self.runs.pop_front();
        }
        if self.len() == 0 {
            self.runs.clear();
        }
        if self.purged.is_none_or(|purged| purged.index < upto.index) {
            self.purged = Some(upto);
        }
    }

    /// Drops entries from the cache, oldest first, that are durable and applied (index below `applied_next`), until
    /// `goal` bytes are freed. Answers the bytes freed.
    pub(crate) fn evict(&mut self, applied_next: u64, goal: usize) -> usize {
        let durable_next = self.first + self.located.len() as u64;
        let mut freed = 0;
        while freed < goal
            && let Some(oldest) = self.cache.front()
            && oldest.position.index < applied_next.min(durable_next)
        {
            freed += oldest.bytes();
            self.cache.pop_front();
        }
        self.cached_bytes -= freed;
        freed
    }

    /// Bytes of the cached entries.
    pub(crate) const fn cached_bytes(&self) -> usize {
        self.cached_bytes
    }

    /// The entry at an index.
    pub(crate) fn get(&self, index: u64) -> Option<Found> {
        let position = self.position(index)?;
        let cache_first = self.first + self.len() - self.cache.len() as u64;
        if let Some(at) = index.checked_sub(cache_first) {
            return self.cache.get(usize::try_from(at).ok()?).cloned().map(Found::Cached);
        }
        let at = usize::try_from(index - self.first).ok()?;
        self.located.get(at).map(|location| Found::Stored(position, *location))
    }

    /// The oldest segment that holds an entry of this group.
    pub(crate) fn oldest_entry_segment(&self) -> Option<u64> {
        self.located.front().map(|location| location.segment)
    }

    /// Bytes of the entries on the disk.
    pub(crate) fn retained_bytes(&self) -> u64 {
        self.located.iter().map(|location| u64::from(location.len)).sum()
    }

    /// Notes that a vote, purge or state record is durable in a segment.
    pub(crate) fn state_durable(&mut self, body: &RecordBody, segment: u64) {
        match body {
            RecordBody::Vote(_) => self.vote_segment = Some(segment),
            RecordBody::Purge(_) => self.purged_segment = Some(segment),
            RecordBody::State(state) => {
                self.vote_segment = state.vote.as_ref().map(|_| segment);
                self.purged_segment = state.purged.as_ref().map(|_| segment);
                self.replica_segment = (state.replica > 0).then_some(segment);
            }
            RecordBody::Reset(_) => self.replica_segment = Some(segment),
            RecordBody::Append { .. } | RecordBody::Truncate { .. } | RecordBody::Committed(_) => {}
        }
    }

    /// Whether a vote or purge record must be repeated before segments below `segment` may go.
    pub(crate) fn needs_state_before(&self, segment: u64) -> bool {
        let places = [self.vote_segment, self.purged_segment, self.replica_segment];
        places.into_iter().flatten().any(|place| place < segment)
    }

    /// What must be repeated.
    pub(crate) fn state(&self) -> log::GroupState {
        log::GroupState {
            vote: self.vote,
            purged: self.purged.map(log::LogId::from),
            committed: self.committed.map(log::LogId::from),
            replica: self.replica.map_or(0, |replica| replica.0),
        }
    }

    /// The least id of a replica that may have the log; nobody has had it before the first.
    pub(crate) const fn replica(&self) -> Option<ReplicaId> {
        self.replica
    }

    /// Forgets everything, for a replica that comes after those that had the log.
    pub(crate) fn reset(&mut self, replica: ReplicaId) {
        *self = Self { replica: Some(replica), ..Self::default() };
    }

    /// Takes a record found on the disk. Entries come without their content.
    pub(crate) fn replay(&mut self, body: &RecordBody, location: Location) -> Result<(), Gap> {
        match body {
            RecordBody::Append { position, .. } => {
                self.extend(*position)?;
                self.located.push_back(location);
            }
            RecordBody::Vote(vote) => self.vote = Some(*vote),
            RecordBody::Truncate { after } => self.truncate(after.map(|p| p.index)),
            RecordBody::Purge(upto) => self.purge(*upto),
            RecordBody::Committed(position) => self.committed = Some(*position),
            RecordBody::Reset(replica) => self.reset(*replica),
            RecordBody::State(state) => {
                self.vote = state.vote;
                self.committed = state.committed.map(LogPosition::from);
                self.replica = (state.replica > 0).then_some(ReplicaId(state.replica));
                if let Some(purged) = state.purged {
                    self.purge(purged.into());
                }
            }
        }
        self.state_durable(body, location.segment);
        Ok(())
    }

    /// Checks, when all records are replayed, that nothing is missing, and keeps `committed` within the log.
    pub(crate) fn finish(&mut self) -> Result<(), Gap> {
        let wanted = self.purged.map_or(0, |p| p.index + 1);
        if let Some(first) = self.first_index()
            && first != wanted
        {
            return Err(Gap { wanted, found: first });
        }
        let last = self.last();
        if self.committed.map(|p| p.index) > last.map(|p| p.index) {
            self.committed = last;
        }
        Ok(())
    }
}
