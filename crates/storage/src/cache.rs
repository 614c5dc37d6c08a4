//! The block cache: decoded pages and directories of data files, and windows of summaries, for the next reader, within one
//! share of the memory for all engines of the process.
//!
//! ```text
//!  (file, offset) -> page: the values of up to 1,024 rows        directory: where a series' pages lie, and what is in them
//!  (question, span of time, last change in that span) -> the windows that answer it
//! ```
//! What is cached was checked when it was read. Files never change, and each opened file has a number of its own, so an
//! entry is never wrong; those of a file that is gone are taken out with it. The windows of a summary are found only as long
//! as nothing in their span of time has changed. A block that was read once makes way
//! before one that was read again (the policy of `quick_cache`, near to S3-FIFO); a scan that reads more than a part
//! of the cache leaves the rest of what it reads outside, and merges leave everything outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use memory::{Memory, Reservation};
use model::summary::{Section, Windows};
use model::{BucketId, Clock, Column, FieldSelection, Grouping, Wanted};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};

use crate::pace::Pace;
use crate::tsm::ChunkEntry;

#[cfg(test)]
mod tests;

/// What a block takes about, for the cache's estimate of their number.
const BLOCK_BYTES_TYPICAL: usize = 8 << 10;
/// What the cache itself holds for each block.
const ENTRY_BYTES: usize = 96;
/// A scan may bring in one part in so many of the cache.
const SCAN_PARTS: usize = 8;
/// The capacity follows what is lent of it in steps of one part in so many.
const RESIZE_PARTS: usize = 64;

/// An open file, as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileId(u64);

impl FileId {
    /// One that no file has had.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Where a block begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) file: FileId,
    pub(crate) offset: u64,
}

/// The chunks of a series in a file.
pub(crate) type Directory = Arc<[Arc<ChunkEntry>]>;

/// What was asked of a summary, but for its time.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) bucket: BucketId,
    /// The predicate as bytes.
    pub(crate) predicate: Vec<u8>,
    pub(crate) fields: FieldSelection,
    pub(crate) windows: Windows,
    pub(crate) wanted: Wanted,
    pub(crate) grouping: Grouping,
}

/// Windows of a summary over what one shard has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SectionKey {
    pub(crate) question: Arc<Question>,
    /// The shard, as long as the process lives.
    pub(crate) shard: (EngineId, u64),
    /// Where the first window starts, and the last one ends.
    pub(crate) span: (i64, i64),
    /// The log entry that was the last to change anything in the span.
    pub(crate) changed: u64,
}

/// An open engine, as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct EngineId(u64);

impl EngineId {
    /// One that no engine has had.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Place(Place),
    Section(SectionKey),
}

#[derive(Debug, Clone)]
enum Block {
    Page(Arc<Column>),
    Directory(Directory),
    Section(Arc<Section>),
}

#[derive(Debug, Clone)]
struct Entry {
    block: Block,
    bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Bytes;

impl Weighter<Key, Entry> for Bytes {
    fn weight(&self, _key: &Key, entry: &Entry) -> u64 {
        entry.bytes as u64
    }
}

/// Counts what makes way.
#[derive(Debug, Clone, Default)]
struct Evictions(Arc<AtomicU64>);

impl Lifecycle<Key, Entry> for Evictions {
    type RequestState = ();

    fn on_evict(&self, _state: &mut (), _key: Key, _entry: Entry) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the block cache holds and has seen. Counters are monotonic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStats {
    /// Blocks held.
    pub blocks: usize,
    /// Bytes held.
    pub bytes: usize,
    /// Blocks that were there.
    pub hits: u64,
    /// Blocks that had to be read.
    pub misses: u64,
    /// Blocks that made way for others.
    pub evictions: u64,
}

/// See the module.
pub(crate) struct BlockCache {
    blocks: Cache<Key, Entry, Bytes, DefaultHashBuilder, Evictions>,
    evictions: Evictions,
    memory: Arc<Memory>,
    /// Bytes that the blocks may take now.
    capacity: AtomicUsize,
    charged: Mutex<Reservation>,
}

impl std::fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockCache").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl BlockCache {
    /// An empty cache of the memory's share.
    pub(crate) fn new(memory: &Arc<Memory>) -> Arc<Self> {
        let capacity = memory.cache_bytes_max();
        // The estimate also sizes what remembers evicted blocks, so it stays modest.
        let blocks = (capacity / BLOCK_BYTES_TYPICAL).clamp(32, 1 << 20);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(blocks)
            .weight_capacity(capacity as u64)
            .build()
            .expect("both capacities are given");
        let evictions = Evictions::default();
        let hasher = DefaultHashBuilder::default();
        Arc::new(Self {
            blocks: Cache::with_options(options, Bytes, hasher, evictions.clone()),
            evictions,
            memory: Arc::clone(memory),
            capacity: AtomicUsize::new(capacity),
            charged: Mutex::new(Reservation::empty(&memory.cache)),
        })
    }

    fn insert(&self, key: Key, block: Block, bytes: usize) {
        self.resize();
        self.blocks.insert(key, Entry { block, bytes: bytes + ENTRY_BYTES });
    }

    /// Follows what is lent of the cache's share.
    fn resize(&self) {
        let wanted = self.memory.cache_bytes_max();
        let now = self.capacity.load(Ordering::Relaxed);
        if now.abs_diff(wanted) > self.memory.cache.limit() / RESIZE_PARTS
            && self.capacity.compare_exchange(now, wanted, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.blocks.set_capacity(wanted as u64);
        }
    }

    /// Takes out the blocks of files that are gone.
    pub(crate) fn forget(&self, files: &[FileId]) {
        if !files.is_empty() {
            self.blocks.retain(|key, _| !matches!(key, Key::Place(place) if files.contains(&place.file)));
        }
    }

    /// Gives up what was lent since, and charges what is held. To be called now and then.
    pub(crate) fn settle(&self) {
        self.resize();
        self.charged.lock().set(usize::try_from(self.blocks.weight()).unwrap_or(usize::MAX));
    }

    /// What it holds and has seen.
    pub(crate) fn stats(&self) -> CacheStats {
        CacheStats {
            blocks: self.blocks.len(),
            bytes: usize::try_from(self.blocks.weight()).unwrap_or(usize::MAX),
            hits: self.blocks.hits(),
            misses: self.blocks.misses(),
            evictions: self.evictions.0.load(Ordering::Relaxed),
        }
    }
}

thread_local! {
    static TALLY: std::cell::Cell<Tally> = const { std::cell::Cell::new(Tally { blocks: 0, cached: 0, bytes: 0 }) };
}

/// What a thread has read of files. Grows only, so that what some work has read is the difference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Blocks, those of the cache too.
    pub blocks: u64,
    /// Blocks of the cache.
    pub cached: u64,
    /// Bytes that were read from files.
    pub bytes: u64,
}

impl Tally {
    /// What this thread has read so far.
    #[must_use]
    pub fn of_this_thread() -> Self {
        TALLY.get()
    }

    /// What was read since.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            blocks: self.blocks - before.blocks,
            cached: self.cached - before.cached,
            bytes: self.bytes - before.bytes,
        }
    }

    /// Both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            blocks: self.blocks + other.blocks,
            cached: self.cached + other.cached,
            bytes: self.bytes + other.bytes,
        }
    }

    fn add(more: Self) {
        TALLY.set(TALLY.get().plus(more));
    }

    /// Counts a block that was read.
    pub(crate) fn read(bytes: usize) {
        Self::add(Self { blocks: 1, cached: 0, bytes: bytes as u64 });
    }
}

/// Where and by which clock the time of reads goes.
pub(crate) type Timing = (Arc<Pace>, Arc<dyn Clock>);

/// How one reader uses the cache, and the clock by which its reads from the disk are timed.
#[derive(Debug)]
pub(crate) struct Reads {
    cache: Option<Arc<BlockCache>>,
    timing: Option<Timing>,
    /// Bytes that the reader may still bring in.
    left: AtomicUsize,
}

impl Reads {
    /// Of a reader that does not use the cache, and leaves it to those who read the same again.
    pub(crate) fn bypass() -> Arc<Self> {
        Arc::new(Self { cache: None, timing: None, left: AtomicUsize::new(0) })
    }

    /// Of a query, for which merges make way.
    pub(crate) fn of_query(cache: &Arc<BlockCache>, timing: Option<Timing>) -> Arc<Self> {
        let left = cache.capacity.load(Ordering::Relaxed) / SCAN_PARTS;
        Arc::new(Self { cache: Some(Arc::clone(cache)), timing, left: AtomicUsize::new(left) })
    }

    /// Does a read from the disk.
    pub(crate) fn timed<T>(&self, read: impl FnOnce() -> T) -> T {
        let Some((pace, clock)) = &self.timing else { return read() };
        let begun = clock.monotonic();
        let done = read();
        let now = clock.monotonic();
        pace.read_took(now.saturating_sub(begun), now);
        done
    }

    fn get(&self, key: &Key) -> Option<Block> {
        let block = self.cache.as_ref()?.blocks.get(key)?.block;
        Tally::add(Tally { blocks: 1, cached: 1, bytes: 0 });
        Some(block)
    }

    fn put(&self, key: Key, bytes: usize, block: impl FnOnce() -> Block) {
        let Some(cache) = &self.cache else { return };
        let left = self.left.load(Ordering::Relaxed).checked_sub(bytes);
        // A reader is one thread at a time, so nothing is lost between.
        self.left.store(left.unwrap_or(0), Ordering::Relaxed);
        if left.is_some() {
            cache.insert(key, block(), bytes);
        }
    }

    /// The values of a page.
    pub(crate) fn page(&self, place: Place) -> Option<Arc<Column>> {
        match self.get(&Key::Place(place))? {
            Block::Page(column) => Some(column),
            Block::Directory(_) | Block::Section(_) => None,
        }
    }

    /// Keeps the values of a page that was read and checked.
    pub(crate) fn keep_page(&self, place: Place, page: &Arc<Column>) {
        let bytes = size_of::<Column>() + page.bytes();
        self.put(Key::Place(place), bytes, || Block::Page(Arc::clone(page)));
    }

    /// The directory of a series.
    pub(crate) fn directory(&self, place: Place) -> Option<Directory> {
        match self.get(&Key::Place(place))? {
            Block::Directory(directory) => Some(directory),
            Block::Page(_) | Block::Section(_) => None,
        }
    }

    /// Keeps a directory that was read and checked.
    pub(crate) fn keep_directory(&self, place: Place, directory: &Directory) {
        let bytes = directory.iter().map(|chunk| chunk.memory()).sum();
        self.put(Key::Place(place), bytes, || Block::Directory(Arc::clone(directory)));
    }

    /// The windows of a summary.
    pub(crate) fn section(&self, key: &SectionKey) -> Option<Arc<Section>> {
        match self.get(&Key::Section(key.clone()))? {
            Block::Section(section) => Some(section),
            Block::Page(_) | Block::Directory(_) => None,
        }
    }

    /// Keeps the windows of a summary.
    pub(crate) fn keep_section(&self, key: &SectionKey, section: impl FnOnce() -> Section) {
        // Who may bring in nothing more cuts nothing out.
        if self.left.load(Ordering::Relaxed) > 0 {
            let section = Arc::new(section());
            let bytes = section.bytes() + size_of::<SectionKey>();
            self.put(Key::Section(key.clone()), bytes, || Block::Section(section));
        }
    }
}
