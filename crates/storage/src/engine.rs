//! The engine: opening, applying, flushing, closing. Its parts live in the modules below.
//!
//! Locks, in the order in which they may be taken: `flushing`, `manifest`, `state`. Readers take only `state`, and
//! only to clone pointers. No lock is held while a page is read; `state` is never held during I/O.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use disk::Vfs;
use memory::Reservation;
use model::{BucketId, Clock, LogPosition, PartitionOp, SeriesKey, TimeRange};
use parking_lot::{Mutex, RwLock};

use crate::cache::EngineId;
use crate::commons::Commons;
use crate::error::{FatalError, FlushError, OpenError, ReadError};
use crate::jobs::Jobs;
use crate::manifest::{Durable, Manifest};
use crate::options::Options;
use compaction::Compactions;
use state::State;

mod apply;
mod checkpoint;
mod compaction;
mod ends;
mod everything;
mod flush;
mod indexing;
mod lost;
mod recover;
mod reindex;
mod removal;
mod room;
mod scan;
mod schema;
mod scrub;
mod sections;
mod state;
mod summarize;
#[cfg(test)]
mod tests;

pub use checkpoint::{check_checkpoint, durable_in};
pub use ends::EndScan;
pub use everything::Everything;
pub(crate) use lost::LostFile;
use recover::Leftovers;
pub(crate) use recover::leftovers;
pub use scan::Scan;
pub use sections::Stamp;
pub(crate) use state::{file_path, segment_path};
pub use summarize::{Summarize, SummarizeError};

/// Called after everything up to a position has become durable in files; the log before it is not needed any more.
pub type Flushed = Arc<dyn Fn(LogPosition) + Send + Sync>;

/// One shard, for those who look at it from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardInfo {
    /// The bucket.
    pub bucket: BucketId,
    /// The shard's time.
    pub range: TimeRange,
    /// Bytes of its files.
    pub bytes: u64,
    /// Number of its files.
    pub files: usize,
    /// Number of series with rows in it, in files or memory; with those that a lost file of it may have.
    pub series: u64,
}

/// Counters and gauges of one engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Rows applied since the engine was opened.
    pub rows_applied: u64,
    /// Memory held by rows that are not yet in files.
    pub memtable_bytes: usize,
    /// Flushes that became durable.
    pub flushes: u64,
    /// Attempts at a flush for which there was no room; each is repeated.
    pub flushes_failed: u64,
    /// Bytes written by flushes.
    pub flush_bytes: u64,
    /// Merges that were installed.
    pub compactions: u64,
    /// Merges that failed.
    pub compactions_failed: u64,
    /// How often a merge rested for the sake of queries.
    pub compaction_rests: u64,
    /// Merges that were put off for want of space or memory.
    pub compactions_put_off: u64,
    /// Bytes written by merges.
    pub compaction_bytes: u64,
    /// Passes of the scrub over all files.
    pub scrubs: u64,
    /// Bytes read by the scrub.
    pub scrub_bytes: u64,
    /// Places of live files and index segments that are known to be damaged.
    pub damaged: usize,
    /// Merges of index segments that were installed.
    pub index_merges: u64,
    /// Live segments of the series indexes.
    pub index_segments: usize,
    /// Bytes of the live segments, on disk and in memory.
    pub index_bytes: u64,
    /// Live files.
    pub files: usize,
    /// Bytes of live files.
    pub file_bytes: u64,
    /// Memory held by live files: their tables and sets of series.
    pub file_memory_bytes: usize,
    /// Shards.
    pub shards: usize,
    /// Series in all buckets.
    pub series: u64,
    /// Deletes for which files or memory are still to be rewritten.
    pub tombstones: usize,
    /// Series that were ever new, of the buckets that are there.
    pub series_created: u64,
    /// Shards whose files wait to be merged.
    pub compactions_pending: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    rows_applied: AtomicU64,
    flushes: AtomicU64,
    flushes_failed: AtomicU64,
    flush_bytes: AtomicU64,
    compactions: AtomicU64,
    compactions_failed: AtomicU64,
    compaction_rests: AtomicU64,
    compactions_put_off: AtomicU64,
    compaction_bytes: AtomicU64,
    scrubs: AtomicU64,
    scrub_bytes: AtomicU64,
    index_merges: AtomicU64,
}

/// The TSM engine of one replica. See the crate's documentation.
pub struct Engine {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

/// What the engine and its jobs share.
pub(crate) struct Inner {
    id: EngineId,
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    jobs: Arc<dyn Jobs>,
    commons: Arc<Commons>,
    options: Options,
    notify: Flushed,
    state: RwLock<State>,
    /// As in `state`, for those who compare engines.
    active_bytes: AtomicUsize,
    /// What the memtables hold, as charged to the memory of the process.
    charged: Mutex<Reservation>,
    /// As `charged`, of series and the tables of files.
    index_charged: Mutex<Reservation>,
    manifest: Mutex<Manifest>,
    /// Held during a flush: one at a time. Holds what a flush for which there was no room has left to write.
    flushing: Mutex<Option<flush::Frozen>>,
    stall: Mutex<Option<flush::Stall>>,
    flush_submitted: AtomicBool,
    compactions: Compactions,
    removal_submitted: AtomicBool,
    scrub: scrub::Scrub,
    next_file: AtomicU64,
    /// Files that a crash left, until they are removed.
    leftovers: Mutex<Vec<PathBuf>>,
    closing: AtomicBool,
    fatal: OnceLock<FatalError>,
    counters: Counters,
}

/// A record that a crash tore names fewer files than this.
const TORN_NUMBERS: u64 = 1_000_000;

impl Engine {
    /// Opens the engine of a directory, which is created when it does not exist. Files that no manifest record
    /// names are removed by the first [`Engine::tick`], unless the last record is torn: until the log was compared with
    /// the manifest, it may be the wrong one. `notify` is called from background threads.
    pub fn open(
        vfs: Arc<dyn Vfs>,
        dir: PathBuf,
        clock: Arc<dyn Clock>,
        jobs: Arc<dyn Jobs>,
        commons: Arc<Commons>,
        options: Options,
        notify: Flushed,
    ) -> Result<Self, OpenError> {
        vfs.create_dir_all(&dir).map_err(OpenError::io("create", &dir))?;
        let manifest = Manifest::open(&*vfs, &dir, options.manifest_bytes_max)?;
        let mut leftovers = leftovers(&*vfs, &dir, manifest.live())?;
        if manifest.is_torn() {
            // The torn record may have named them.
            leftovers = Leftovers::default();
        }
        for path in &leftovers.empty {
            vfs.remove_dir_all(path).map_err(OpenError::io("remove", path))?;
        }
        let now = clock.monotonic();
        // Files of a torn record have numbers, too.
        let skipped = if manifest.is_torn() { TORN_NUMBERS } else { 0 };
        let mut next_file = (manifest.live().next_number.max(1) + skipped).max(leftovers.next_number());
        let state = recover::load(&*vfs, &dir, manifest.live(), &mut next_file, now)?;
        let inner = Arc::new(Inner {
            id: EngineId::next(),
            vfs,
            dir,
            clock,
            jobs,
            commons: Arc::clone(&commons),
            options,
            notify,
            state: RwLock::new(state),
            active_bytes: AtomicUsize::new(0),
            charged: Mutex::new(Reservation::empty(&commons.memory().memtables)),
            index_charged: Mutex::new(Reservation::empty(&commons.memory().index)),
            manifest: Mutex::new(manifest),
            flushing: Mutex::new(None),
            stall: Mutex::new(None),
            flush_submitted: AtomicBool::new(false),
            compactions: Compactions::default(),
            removal_submitted: AtomicBool::new(false),
            scrub: scrub::Scrub::default(),
            next_file: AtomicU64::new(next_file),
            leftovers: Mutex::new(leftovers.files),
            closing: AtomicBool::new(false),
            fatal: OnceLock::new(),
            counters: Counters::default(),
        });
        commons.join(&inner);
        inner.settle_index();
        Inner::consider_compaction(&inner);
        Ok(Self { inner })
    }

    /// The log position up to which everything is in files, and the membership at that position. The log is to be
    /// replayed from the entry after it.
    pub fn durable(&self) -> (Option<LogPosition>, Vec<u8>) {
        let manifest = self.inner.manifest.lock();
        match &manifest.live().durable {
            Some(Durable { position, membership }) => (Some(*position), membership.clone()),
            None => (None, Vec::new()),
        }
    }

    /// The last position applied, durable or not.
    pub fn applied(&self) -> Option<LogPosition> {
        self.inner.state.read().applied
    }

    /// Applies an entry of the log. Entries that are applied already are skipped, so replay may overlap.
    pub fn apply(&self, position: LogPosition, op: &PartitionOp) -> Result<(), FatalError> {
        self.inner.check()?;
        let wants_flush = self.inner.apply(position, op);
        if wants_flush {
            Inner::submit_flush(&self.inner);
        }
        self.inner.commons.relieve();
        Ok(())
    }

    /// Applies an entry that changes the membership of the group. The bytes are kept and given back by
    /// [`Engine::durable`]; the engine does not look into them.
    pub fn apply_membership(&self, position: LogPosition, membership: Vec<u8>) -> Result<(), FatalError> {
        self.inner.check()?;
        let mut state = self.inner.state.write();
        if state.advance(position, self.inner.clock.monotonic()) {
            state.membership = membership;
        }
        Ok(())
    }

    /// Applies an entry that changes nothing.
    pub fn apply_blank(&self, position: LogPosition) -> Result<(), FatalError> {
        self.inner.check()?;
        self.inner.state.write().advance(position, self.inner.clock.monotonic());
        Ok(())
    }

    /// Asks for a flush in the background, because the log or the memory needs it.
    pub fn request_flush(&self) {
        Inner::submit_flush(&self.inner);
    }

    /// Flushes everything applied so far and returns when it is durable.
    pub fn flush_now(&self) -> Result<(), FlushError> {
        Inner::flush(&self.inner)
    }

    /// Merges each shard's files until no plan is left, as if all shards were cold. For tools and tests.
    pub fn compact_now(&self) -> Result<(), FatalError> {
        Inner::compact_all(&self.inner)
    }

    /// To be called now and then (each second, say): flushes by age, merges shards that have become cold, tries
    /// failed merges again, removes files whose last reader is gone.
    pub fn tick(&self) {
        self.inner.remove_leftovers();
        let now = self.inner.clock.monotonic();
        let is_old = {
            let state = self.inner.state.read();
            let age_max = std::time::Duration::from_millis(self.inner.options.memtable_age_ms_max);
            state.unflushed_since.is_some_and(|since| now.saturating_sub(since) >= age_max)
        };
        if is_old || self.inner.stall.lock().is_some() {
            Inner::submit_flush(&self.inner);
        }
        Inner::consider_compaction(&self.inner);
        Inner::submit_removal(&self.inner);
        Inner::consider_scrub(&self.inner);
        self.inner.settle_index();
        self.inner.commons.cache().settle();
    }

    /// Memory held by rows that are not yet in files, those being flushed included.
    pub fn memtable_bytes(&self) -> usize {
        self.inner.state.read().memtable_bytes()
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Stats {
        let counters = &self.inner.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let damaged = self.inner.damage().len();
        let state = self.inner.state.read();
        let segments = || state.buckets.values().flat_map(|bucket| bucket.index.segments());
        let files = || state.shards().flat_map(|(_, shard)| shard.files.iter());
        Stats {
            rows_applied: get(&counters.rows_applied),
            memtable_bytes: state.memtable_bytes(),
            flushes: get(&counters.flushes),
            flushes_failed: get(&counters.flushes_failed),
            flush_bytes: get(&counters.flush_bytes),
            compactions: get(&counters.compactions),
            compactions_failed: get(&counters.compactions_failed),
            compaction_rests: get(&counters.compaction_rests),
            compactions_put_off: get(&counters.compactions_put_off),
            compaction_bytes: get(&counters.compaction_bytes),
            scrubs: get(&counters.scrubs),
            scrub_bytes: get(&counters.scrub_bytes),
            damaged,
            index_merges: get(&counters.index_merges),
            index_segments: segments().count(),
            index_bytes: segments().map(|segment| segment.entry.bytes).sum(),
            files: files().count(),
            file_bytes: files().map(|f| f.entry.bytes).sum(),
            file_memory_bytes: files().map(|f| f.memory()).sum(),
            shards: state.shards().count(),
            series: state.buckets.values().map(|b| b.index.len()).sum(),
            tombstones: state.buckets.values().map(|b| b.tombstones.len()).sum(),
            series_created: state.buckets.values().map(|b| b.index.assigned()).sum(),
            compactions_pending: self.inner.compactions_pending(&state),
        }
    }

    /// The shards, by bucket and time.
    pub fn shards(&self) -> Vec<ShardInfo> {
        let state = self.inner.state.read();
        state
            .shards()
            .map(|(bucket, shard)| ShardInfo {
                bucket,
                range: shard.range,
                bytes: shard.files.iter().map(|f| f.entry.bytes).sum(),
                files: shard.files.len(),
                series: shard.presence.len(),
            })
            .collect()
    }

    /// Number of deletes of a bucket for which files or memory are still to be rewritten.
    pub fn tombstones(&self, bucket: BucketId) -> usize {
        self.inner.state.read().buckets.get(&bucket).map_or(0, |b| b.tombstones.len())
    }

    /// The buckets that have data.
    pub fn buckets(&self) -> Vec<BucketId> {
        self.inner
            .state
            .read()
            .buckets
            .iter()
            .filter(|(_, b)| !b.shards.is_empty())
            .map(|(id, _)| *id)
            .collect()
    }

    /// The places of live files that are known to be damaged: what queries, merges and the scrub met. A query that needs
    /// one fails and names it; everything else is served.
    pub fn damage(&self) -> Vec<ReadError> {
        self.inner.damage()
    }

    /// Whether some of [`Engine::damage`] is of points: index segments are made anew from what is in memory.
    pub fn lacks_data(&self) -> bool {
        self.inner.lacks_data()
    }

    /// Number of series of a bucket.
    pub fn series_of(&self, bucket: BucketId) -> u64 {
        self.inner.state.read().buckets.get(&bucket).map_or(0, |bucket| bucket.index.len())
    }

    /// Whether a bucket has a series, in files or memory. `hash` is [`SeriesKey::hash`] of the key in the bucket.
    pub fn has_series(&self, bucket: BucketId, key: &SeriesKey, hash: u64) -> bool {
        let state = self.inner.state.read();
        state.buckets.get(&bucket).is_some_and(|bucket| bucket.index.find(key, hash).is_some())
    }

    /// Why the engine has stopped, if it has.
    pub fn fatal(&self) -> Option<FatalError> {
        self.inner.fatal.get().cloned()
    }

    /// Why rows cannot be written to files now, if so. The engine tries again by itself, and takes entries as long as
    /// there is memory.
    pub fn stalled(&self) -> Option<FlushError> {
        self.inner.stall.lock().as_ref().map(|stall| stall.error.clone())
    }

    /// Stops background work and waits for what runs. Rows that are not flushed stay in the log; whoever wants a
    /// quick start next time calls [`Engine::flush_now`] before.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.inner.closing.store(true, Ordering::Release);
        drop(self.inner.flushing.lock());
        self.inner.compactions.wait();
    }
}

impl Inner {
    fn check(&self) -> Result<(), FatalError> {
        match self.fatal.get() {
            None => Ok(()),
            Some(error) => Err(error.clone()),
        }
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Stops the engine for good. The first reason stays.
    fn poison(&self, error: FatalError) -> FatalError {
        tracing::error!(dir = %self.dir.display(), %error, "the storage engine stops: it must be opened anew");
        self.fatal.get_or_init(|| error).clone()
    }

    /// Charges what the memtables hold. To be called whenever it has changed, before the state is let go.
    fn settle(&self, state: &State) {
        self.charged.lock().set(state.memtable_bytes());
        self.active_bytes.store(state.active_bytes, Ordering::Relaxed);
    }

    /// Charges what the segments of the index and the tables of open files hold; series that are in no segment yet are
    /// charged with the memtable, whose flush makes segments of them. To be called now and then: it grows slowly.
    fn settle_index(&self) {
        let bytes = {
            let state = self.state.read();
            let series: usize = state.buckets.values().map(|bucket| bucket.index.heap_bytes()).sum();
            let presence: usize = state.shards().map(|(_, shard)| shard.presence.serialized_size()).sum();
            let files: usize = state.shards().flat_map(|(_, shard)| &shard.files).map(|f| f.memory()).sum();
            series + presence + files
        };
        self.index_charged.lock().set(bytes);
    }

    /// Memory of the rows that no flush has taken yet.
    pub(crate) fn active_bytes(&self) -> usize {
        self.active_bytes.load(Ordering::Relaxed)
    }

    /// Removes what a crash left. Failing to is harmless: the next start tries again.
    fn remove_leftovers(&self) {
        for path in std::mem::take(&mut *self.leftovers.lock()) {
            tracing::info!(path = %path.display(), "removing a file that no manifest record names");
            match self.vfs.remove_file(&path) {
                // Its shard was dropped meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(path = %path.display(), %error, "cannot remove a file"),
                Ok(()) => {}
            }
        }
    }

    fn next_file_number(&self) -> u64 {
        self.next_file.fetch_add(1, Ordering::Relaxed)
    }
}

/// Poisons the engine when a job panics.
struct PanicGuard<'a> {
    inner: &'a Inner,
    job: &'static str,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.inner.poison(FatalError::Panicked { job: self.job });
        }
    }
}

/// Runs a job's body; a panic stops the engine, not the thread that serves others too.
fn guarded(inner: &Inner, job: &'static str, body: impl FnOnce()) {
    let run = std::panic::AssertUnwindSafe(|| {
        let _guard = PanicGuard { inner, job };
        body();
    });
    if std::panic::catch_unwind(run).is_err() {
        tracing::error!(job, "a storage job panicked");
    }
}
