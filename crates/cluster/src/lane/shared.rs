//! The lane as groups use it: append, vote, truncate, purge; and its life from opening to closing.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use disk::Vfs;
use hashbrown::HashMap;
use model::{Clock, GroupId, LogPosition, ReplicaId};
use parking_lot::{Mutex, RwLock};
use proto::log;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::flusher::Flusher;
use super::queue::{Done, Queue, Work};
use super::rocks::RocksLane;
use super::segment::SegmentLane;
use super::{
    GroupLog, LaneError, LaneMetrics, LaneOpenError, LaneReader, LogLane, RECORD_OVERHEAD_BYTES, Record,
    RecordBody, Recovered,
};
use crate::entry::LogEntry;
use crate::fatal::Fatal;
use crate::options::{ENTRY_BYTES_MAX, LaneKind};
use crate::progress::Progress;

/// How a lane is opened.
#[derive(Debug, Clone)]
pub(crate) struct LaneOptions {
    /// Where its files are.
    pub(crate) dir: PathBuf,
    /// Which back-end.
    pub(crate) kind: LaneKind,
    /// Size of a segment, for the back-end that has them.
    pub(crate) segment_bytes: u64,
    /// Bytes of envelopes that may wait to be written.
    pub(crate) queue_bytes_max: u32,
    /// Bytes of applied entries that are kept in memory for followers.
    pub(crate) cache_bytes_max: usize,
    /// Told how much of it is read.
    pub(crate) progress: Progress,
}

/// What groups and the flusher share.
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) metrics: Arc<LaneMetrics>,
    groups: RwLock<HashMap<u32, Arc<GroupLog>>>,
    cache_bytes_max: usize,
    fatal: Fatal,
}

impl Shared {
    /// All logs.
    pub(super) fn logs(&self) -> Vec<Arc<GroupLog>> {
        self.groups.read().values().map(Arc::clone).collect()
    }

    /// Brings the entries in memory back below their limit, as far as they are durable and applied.
    pub(super) fn evict(&self) {
        let logs = self.logs();
        let total: usize = logs.iter().map(|log| log.index().cached_bytes()).sum();
        let mut excess = total.saturating_sub(self.cache_bytes_max);
        for log in &logs {
            excess = excess.saturating_sub(if excess > 0 { log.evict(excess) } else { 0 });
        }
        let left: usize = logs.iter().map(|log| log.index().cached_bytes()).sum();
        self.metrics.cached_bytes.store(left as u64, Ordering::Relaxed);
    }

    /// Closes the lane for good and tells the process.
    pub(super) fn fail(&self, error: &LaneError) {
        self.queue.close(error.clone());
        if *error != LaneError::Stopped {
            self.fatal.raise(&format!("log: {error}"));
        }
    }
}

/// A node's lane.
pub(crate) struct Lane {
    shared: Arc<Shared>,
    reader: Arc<dyn LaneReader>,
    /// Bytes that may still enter the queue.
    budget: Arc<Semaphore>,
    budget_max: u32,
    entry_bytes_max: usize,
    segment_bytes: u64,
    tickets: std::sync::atomic::AtomicU64,
    thread: Mutex<Option<Thread>>,
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("reader", &self.reader).finish_non_exhaustive()
    }
}

impl Lane {
    /// Opens a lane, rebuilding the state of all groups from what is on the disk. Blocks.
    pub(crate) fn open(
        options: &LaneOptions,
        vfs: Arc<dyn Vfs>,
        clock: Arc<dyn Clock>,
        fatal: Fatal,
    ) -> Result<Arc<Self>, LaneOpenError> {
        let (back_end, mut recovered): (Box<dyn LogLane>, Recovered) = match options.kind {
            LaneKind::Segment => {
                let (lane, recovered) = SegmentLane::open(vfs, options)?;
                (Box::new(lane), recovered)
            }
            LaneKind::RocksDb => {
                let (lane, recovered) = RocksLane::open(vfs.as_ref(), &options.dir)?;
                (Box::new(lane), recovered)
            }
        };
        for (group, index) in &mut recovered {
            index
                .finish()
                .map_err(|gap| LaneOpenError::Damaged { group: *group, reason: gap.to_string() })?;
        }
        let reader = back_end.reader();
        let entry_bytes_max = back_end.batch_bytes_max().saturating_sub(RECORD_OVERHEAD_BYTES);
        let committed =
            recovered.iter().filter_map(|(group, index)| Some((*group, index.committed?))).collect();
        let groups = recovered
            .into_iter()
            .map(|(group, index)| (group, Arc::new(GroupLog::new(group, index, Arc::clone(&reader)))))
            .collect();
        let shared = Arc::new(Shared {
            queue: Queue::default(),
            metrics: Arc::default(),
            groups: RwLock::new(groups),
            cache_bytes_max: options.cache_bytes_max,
            fatal,
        });
        shared.metrics.measure(back_end.as_ref());
        let flusher = Flusher { lane: back_end, shared: Arc::clone(&shared), clock, committed };
        let run = move || {
            let shared = Arc::clone(&flusher.shared);
            let run = std::panic::AssertUnwindSafe(move || flusher.run());
            if std::panic::catch_unwind(run).is_err() {
                shared.fail(&LaneError::Poisoned("the log's thread panicked".into()));
            }
        };
        let thread = Thread::start(run).map_err(LaneOpenError::Thread)?;
        Ok(Arc::new(Self {
            shared,
            reader,
            budget: Arc::new(Semaphore::new(options.queue_bytes_max as usize)),
            budget_max: options.queue_bytes_max,
            entry_bytes_max: usize::try_from(entry_bytes_max).unwrap_or(usize::MAX).min(ENTRY_BYTES_MAX),
            segment_bytes: options.segment_bytes.max(1),
            tickets: std::sync::atomic::AtomicU64::new(1),
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// The log of a group; empty when the group is new.
    pub(crate) fn log(&self, group: GroupId) -> Arc<GroupLog> {
        let number = group.number();
        let mut groups = self.shared.groups.write();
        let new = || Arc::new(GroupLog::new(number, Default::default(), Arc::clone(&self.reader)));
        Arc::clone(groups.entry(number).or_insert_with(new))
    }

    /// The groups that have something in the log, or had.
    pub(crate) fn groups(&self) -> Vec<GroupId> {
        let logs = self.shared.logs();
        logs.iter().filter_map(|log| GroupId::from_number(log.group())).collect()
    }

    /// The largest envelope that the lane takes.
    pub(crate) const fn entry_bytes_max(&self) -> usize {
        self.entry_bytes_max
    }

    /// The lane's counters.
    pub(crate) fn metrics(&self) -> Arc<LaneMetrics> {
        Arc::clone(&self.shared.metrics)
    }

    /// Bytes on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.metrics.disk_bytes.load(Ordering::Relaxed)
    }

    /// The groups that hold entries before the newest `limit` bytes of the lane: it gets as short as that when all of
    /// them are flushed and purged.
    pub(crate) fn pins_beyond(&self, limit: u64) -> Vec<GroupId> {
        let logs = self.shared.logs();
        let pins: Vec<u32> = match self.shared.metrics.active_segment.load(Ordering::Relaxed) {
            // A back-end without segments: the groups with most to purge first.
            0 => {
                let sizes = logs.iter().map(|log| (log.index().retained_bytes(), log.group()));
                let mut sizes: Vec<_> = sizes.filter(|(bytes, _)| *bytes > 0).collect();
                sizes.sort_unstable_by(|a, b| b.cmp(a));
                let mut left: u64 = sizes.iter().map(|(bytes, _)| bytes).sum();
                let needed = sizes.into_iter().take_while(|(bytes, _)| {
                    let is_needed = left > limit;
                    left -= bytes;
                    is_needed
                });
                needed.map(|(_, group)| group).collect()
            }
            active => {
                let keep_from = active.saturating_sub((limit / self.segment_bytes).saturating_sub(1));
                let oldest = logs.iter().filter_map(|log| Some((log.index().oldest_entry_segment()?, log)));
                oldest.filter(|(segment, _)| *segment < keep_from).map(|(_, log)| log.group()).collect()
            }
        };
        pins.into_iter().filter_map(GroupId::from_number).collect()
    }

    /// Whether no group but `group` holds entries, and it does.
    pub(crate) fn is_pinned_by_only(&self, group: GroupId) -> bool {
        let mut holders =
            self.shared.logs().into_iter().filter(|log| log.index().oldest_entry_segment().is_some());
        let first = holders.next().map(|log| log.group());
        first == Some(group.number()) && holders.next().is_none()
    }

    /// Takes a share of the queue's bytes, waiting while the queue is full.
    async fn admit(&self, bytes: usize) -> Result<OwnedSemaphorePermit, LaneError> {
        // What is larger than the whole queue passes when the queue is empty.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.budget_max);
        Arc::clone(&self.budget).acquire_many_owned(bytes).await.map_err(|_closed| LaneError::Stopped)
    }

    /// Appends entries. They can be read when this returns, and are durable when `done` says so.
    ///
    /// Within a group, calls must follow one another; openraft makes them so.
    pub(crate) async fn append(
        &self,
        log: &Arc<GroupLog>,
        entries: Vec<LogEntry>,
        done: Done,
    ) -> Result<(), AppendError> {
        let queued = self.admit(entries.iter().map(LogEntry::bytes).sum()).await?;
        let count = entries.len() as u64;
        let first_ticket = self.tickets.fetch_add(count, Ordering::Relaxed);
        let mut records = Vec::with_capacity(entries.len());
        {
            let mut index = log.index();
            for (entry, ticket) in entries.into_iter().zip(first_ticket..) {
                let body = RecordBody::Append { position: entry.position, entry: entry.encoded() };
                records.push(Record { group: log.group(), body });
                index.append(entry, ticket)?;
            }
        }
        self.push(log, records, first_ticket, done, Some(queued))?;
        Ok(())
    }

    /// Appends entries and waits until they are durable.
    pub(crate) async fn append_durably(
        &self,
        log: &Arc<GroupLog>,
        entries: Vec<LogEntry>,
    ) -> Result<(), AppendError> {
        let (tell, told) = tokio::sync::oneshot::channel();
        // As below.
        self.append(log, entries, Box::new(move |result| drop(tell.send(result)))).await?;
        Ok(told.await.map_err(|_dropped| LaneError::Stopped)??)
    }

    /// Makes a group's log that of a replica: what one before it has left is forgotten, durably. `false` when the
    /// replica is gone for good, so that it must never take part in anything again.
    pub(crate) async fn claim(&self, log: &Arc<GroupLog>, replica: ReplicaId) -> Result<bool, LaneError> {
        let had = log.index().replica();
        if had < Some(replica) {
            self.put_durably(log, RecordBody::Reset(replica)).await?;
        }
        Ok(had <= Some(replica))
    }

    /// Forgets the log of a replica that is gone for good, durably. None of its calls may be under way.
    pub(crate) async fn retire(&self, log: &Arc<GroupLog>, replica: ReplicaId) -> Result<(), LaneError> {
        self.claim(log, ReplicaId(replica.0 + 1)).await.map(drop)
    }

    /// Writes a vote and waits until it is durable.
    pub(crate) async fn vote(&self, log: &Arc<GroupLog>, vote: log::Vote) -> Result<(), LaneError> {
        log.index().vote = Some(vote);
        self.put_durably(log, RecordBody::Vote(vote)).await
    }

    /// Withdraws the entries after `after`, durably: files that another member has sent may take their place next, and
    /// must never be found beside them.
    pub(crate) async fn truncate(
        &self,
        log: &Arc<GroupLog>,
        after: Option<LogPosition>,
    ) -> Result<(), LaneError> {
        log.index().truncate(after.map(|p| p.index));
        self.put_durably(log, RecordBody::Truncate { after }).await
    }

    /// Forgets the entries up to and with `upto`, durably.
    pub(crate) async fn purge(&self, log: &Arc<GroupLog>, upto: LogPosition) -> Result<(), LaneError> {
        log.index().purge(upto);
        self.put_durably(log, RecordBody::Purge(upto)).await
    }

    async fn put_durably(&self, log: &Arc<GroupLog>, body: RecordBody) -> Result<(), LaneError> {
        let (tell, told) = tokio::sync::oneshot::channel();
        // The receiver may be gone when the node stops; then nobody is left to tell.
        self.put(log, body, Box::new(move |result| drop(tell.send(result))))?;
        told.await.map_err(|_dropped| LaneError::Stopped)?
    }

    /// Queues a small record; it is not counted in the queue's bytes, so that votes never wait for data.
    fn put(&self, log: &Arc<GroupLog>, body: RecordBody, done: Done) -> Result<(), LaneError> {
        self.push(log, vec![Record { group: log.group(), body }], 0, done, None)
    }

    fn push(
        &self,
        log: &Arc<GroupLog>,
        records: Vec<Record>,
        first_ticket: u64,
        done: Done,
        queued: Option<OwnedSemaphorePermit>,
    ) -> Result<(), LaneError> {
        let (log, traced) = (Arc::clone(log), trace::current());
        self.shared.queue.push(Work { log, records, first_ticket, done: Some(done), traced, _queued: queued })
    }

    /// Writes what is queued, refuses what comes later, and waits for the thread. Blocks.
    pub(crate) fn close(&self) {
        self.shared.queue.close(LaneError::Stopped);
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| !thread.join()) {
            tracing::error!("the log's thread panicked");
        }
    }
}

/// The flusher's thread.
enum Thread {
    Own(std::thread::JoinHandle<()>),
    /// In lockstep with all else.
    Offloaded(tokio::task::JoinHandle<()>),
}

impl Thread {
    fn start(run: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        if host::in_lockstep() {
            return Ok(Self::Offloaded(host::offload(run)));
        }
        std::thread::Builder::new().name("log-flusher".to_owned()).spawn(run).map(Self::Own)
    }

    /// Waits for its end; whether it ended well.
    fn join(self) -> bool {
        match self {
            Self::Own(thread) => thread.join().is_ok(),
            Self::Offloaded(task) => host::wait(&Handle::current(), task).is_ok(),
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if host::in_lockstep() {
            // A task cannot wait. The thread ends when it sees this, or with the runtime.
            self.shared.queue.close(LaneError::Stopped);
            return;
        }
        self.close();
    }
}

/// Why entries were not appended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// The caller skipped an index: a bug, or a damaged log.
    #[error("appending to the log")]
    Gap(#[from] super::index::Gap),
}
