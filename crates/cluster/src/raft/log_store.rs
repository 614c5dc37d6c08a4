//! One group's log as openraft's log storage, over the lane.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds, RangeInclusive};
use std::sync::Arc;

use futures::Stream;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};

use trace::{Span, Traced as _, Tracer};

use super::types::{self, Entry, LogId, Types, Vote};
use crate::entry::LogEntry;
use crate::lane::{GroupLog, Lane};

/// Bytes of one answer to a limited read: one message to a follower, or one step of applying.
const READ_BYTES_MAX: usize = 1 << 20;

/// The log storage of a group, and its reader.
#[derive(Debug, Clone)]
pub(crate) struct LogStore {
    lane: Arc<Lane>,
    log: Arc<GroupLog>,
    tracer: Tracer,
}

impl LogStore {
    pub(crate) fn new(lane: Arc<Lane>, log: Arc<GroupLog>, tracer: Tracer) -> Self {
        Self { lane, log, tracer }
    }

    /// The span of appending entries, where somebody wants to see it: a trace of its own, with links to the proposals,
    /// because one append is for many of them.
    fn traced(&self, entries: &[LogEntry]) -> Span {
        let mut span = self.tracer.linked(entries.iter().filter_map(LogEntry::traced), "raft.append");
        if span.is_wanted() {
            span.set("group", self.log.group());
            span.set("entries", entries.len());
            span.set("bytes", entries.iter().map(LogEntry::bytes).sum::<usize>());
            if let Some(first) = entries.first() {
                span.set("term", first.position.term);
                span.set("index", first.position.index);
            }
        }
        span
    }

    fn read(&self, range: std::ops::Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let entries = self.log.entries(range, bytes_max)?;
        Ok(entries.into_iter().map(types::to_openraft).collect())
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> std::ops::Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(&index) => index,
        Bound::Excluded(&index) => index.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&index) => index.saturating_add(1),
        Bound::Excluded(&index) => index,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> io::Result<Vec<Entry>> {
        self.read(bounds(&range), usize::MAX)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.log.vote().map(types::vote))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start..end, READ_BYTES_MAX)
    }

    /// In steps, so that applying a long backlog does not hold it in memory.
    async fn entries_stream<R>(&mut self, range: R) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let store = self.clone();
        let range = bounds(&range);
        let state = (store, range.start, range.end, Vec::new().into_iter());
        Box::pin(futures::stream::unfold(state, |(store, next, end, mut step)| async move {
            if let Some(entry) = step.next() {
                return Some((Ok(entry), (store, next, end, step)));
            }
            match store.read(next..end, READ_BYTES_MAX) {
                Err(error) => Some((Err(error), (store, end, end, Vec::new().into_iter()))),
                Ok(entries) => {
                    let next = entries.last()?.log_id.index + 1;
                    let mut step = entries.into_iter();
                    let first = step.next()?;
                    Some((Ok(first), (store, next, end, step)))
                }
            }
        }))
    }

    /// The last entry of each leader.
    async fn get_key_log_ids(&mut self, range: RangeInclusive<LogId>) -> io::Result<Vec<LogId>> {
        let (first, last) = (range.start(), range.end());
        let found = self.log.index().leaders(first.index, last.index);
        let ids: Vec<_> = found.into_iter().map(types::log_id).collect();
        if ids.last() != Some(last) {
            return Err(io::Error::other(format!("the log does not hold {last}")));
        }
        Ok(ids)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let index = self.log.index();
        Ok(LogState {
            last_purged_log_id: index.purged.map(types::log_id),
            last_log_id: index.last().map(types::log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        Ok(self.lane.vote(&self.log, types::stored_vote(vote)).await?)
    }

    /// In memory only; written beside the group's next record.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.log.set_committed(committed.as_ref().map(types::position));
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.log.index().committed.map(types::log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<LogEntry> = entries.into_iter().map(types::from_openraft).collect();
        let span = self.traced(&entries);
        let here = span.here();
        let done = Box::new(move |result: Result<(), crate::lane::LaneError>| {
            let mut span = span;
            span.note(&result);
            callback.io_completed(result.map_err(io::Error::from));
        });
        self.lane.append(&self.log, entries, done).in_place(here).await.map_err(io::Error::other)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        Ok(self.lane.truncate(&self.log, last.as_ref().map(types::position)).await?)
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        Ok(self.lane.purge(&self.log, types::position(&upto)).await?)
    }
}
