//! What is live: buckets, their series and shards, and where the log stands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::{BucketId, LogPosition, TimeRange, Timestamp};
use roaring::RoaringBitmap;

use super::lost::LostFile;
use super::sections::Changes;
use crate::index::SeriesIndex;
use crate::layout::Layouts;
use crate::memtable::ShardBuffer;
use crate::tombstone::Tombstones;
use crate::tsm::TsmFile;

/// A shard as long as it lives: a range that is dropped and written again is another shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ShardId(u64);

impl ShardId {
    pub(super) const fn number(self) -> u64 {
        self.0
    }
}

/// One shard. It has rows: in files, in memory, or on the way between.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) id: ShardId,
    pub(super) range: TimeRange,
    pub(super) active: ShardBuffer,
    /// What a running flush writes.
    pub(super) frozen: Option<Arc<ShardBuffer>>,
    /// By order of writing.
    pub(super) files: Vec<Arc<TsmFile>>,
    /// Those that cannot be served.
    pub(super) lost: Vec<Arc<LostFile>>,
    /// The series with rows in the shard; with a lost file all that may have some.
    pub(super) presence: RoaringBitmap,
    /// When the last file came.
    pub(super) touched: Duration,
    /// Which of its times were changed when.
    pub(super) changes: Changes,
}

/// One bucket.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    pub(super) index: SeriesIndex,
    /// By time; no two overlap.
    pub(super) shards: Vec<Shard>,
    pub(super) layouts: Layouts,
    /// Deletes that files or memory still hold rows of.
    pub(super) tombstones: Tombstones,
    /// Index of the last entry that wrote to the bucket.
    pub(super) last_write: u64,
}

/// Files of shards that are dropped in memory and not yet in the manifest.
#[derive(Debug)]
pub(super) struct Dropped {
    /// Index of the log entry that dropped them.
    pub(super) index: u64,
    pub(super) shard: ShardId,
    pub(super) files: Vec<Arc<TsmFile>>,
    pub(super) lost: Vec<Arc<LostFile>>,
}

/// The index of a bucket that is dropped in memory and not yet in the manifest.
#[derive(Debug)]
pub(super) struct DroppedIndex {
    /// Index of the log entry that dropped it.
    pub(super) index: u64,
    pub(super) series: SeriesIndex,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) applied: Option<LogPosition>,
    /// Index of the entry up to which everything is in the manifest.
    pub(super) durable: Option<u64>,
    pub(super) membership: Vec<u8>,
    pub(super) buckets: BTreeMap<BucketId, Bucket>,
    pub(super) dropped: Vec<Dropped>,
    pub(super) dropped_indexes: Vec<DroppedIndex>,
    /// Out of the manifest; to be unlinked when the last reader is gone.
    pub(super) dead: Vec<Arc<TsmFile>>,
    /// Segments and lost files out of the manifest. Nobody reads them from disk.
    pub(super) dead_paths: Vec<PathBuf>,
    /// A flush is between taking the memtables and installing its files, or waits for room there.
    pub(super) is_flushing: bool,
    pub(super) active_bytes: usize,
    pub(super) frozen_bytes: usize,
    /// When the first entry since the last freeze was applied.
    pub(super) unflushed_since: Option<Duration>,
    next_shard: u64,
}

impl State {
    pub(super) fn memtable_bytes(&self) -> usize {
        self.active_bytes + self.frozen_bytes
    }

    /// Moves the applied position; false when the entry is applied already.
    pub(super) fn advance(&mut self, position: LogPosition, now: Duration) -> bool {
        if self.applied.is_some_and(|applied| position.index <= applied.index) {
            return false;
        }
        self.applied = Some(position);
        self.unflushed_since.get_or_insert(now);
        true
    }

    pub(super) fn has_dead_files(&self) -> bool {
        !self.dead.is_empty() || !self.dead_paths.is_empty()
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = (BucketId, &Shard)> {
        self.buckets.iter().flat_map(|(id, bucket)| bucket.shards.iter().map(|shard| (*id, shard)))
    }

    pub(super) fn new_shard_id(&mut self) -> ShardId {
        self.next_shard += 1;
        ShardId(self.next_shard)
    }

    pub(super) fn shard(&self, bucket: BucketId, id: ShardId) -> Option<&Shard> {
        self.buckets.get(&bucket)?.shards.iter().find(|s| s.id == id)
    }

    pub(super) fn shard_mut(&mut self, bucket: BucketId, id: ShardId) -> Option<&mut Shard> {
        self.buckets.get_mut(&bucket)?.shards.iter_mut().find(|s| s.id == id)
    }

    /// The files of a bucket that the manifest may name: live ones, and those whose shard is dropped only in memory.
    pub(super) fn files_of(&self, bucket: BucketId) -> impl Iterator<Item = &Arc<TsmFile>> + Clone {
        let live = self.buckets.get(&bucket).into_iter().flat_map(|b| &b.shards).flat_map(|s| &s.files);
        let dropped = self.dropped.iter().flat_map(|d| &d.files).filter(move |f| f.entry.bucket == bucket);
        live.chain(dropped)
    }

    /// The lost files of a bucket that the manifest may name, as [`State::files_of`].
    pub(super) fn lost_of(&self, bucket: BucketId) -> impl Iterator<Item = &Arc<LostFile>> + Clone {
        let live = self.buckets.get(&bucket).into_iter().flat_map(|b| &b.shards).flat_map(|s| &s.lost);
        let dropped = self.dropped.iter().flat_map(|d| &d.lost).filter(move |l| l.entry.bucket == bucket);
        live.chain(dropped)
    }

    /// Forgets the bucket when it holds nothing.
    pub(super) fn forget_empty(&mut self, bucket: BucketId) {
        if self.buckets.get(&bucket).is_some_and(|b| b.shards.is_empty())
            && let Some(bucket) = self.buckets.remove(&bucket)
        {
            // Nothing refers to its series, so the next record may remove its segments.
            self.bury_index(0, bucket.index);
        }
    }

    /// Drops an index by the log entry of this index.
    pub(super) fn bury_index(&mut self, index: u64, series: SeriesIndex) {
        self.active_bytes -= series.head_bytes();
        self.dropped_indexes.push(DroppedIndex { index, series: series.without_head() });
    }

    /// The index, of a bucket or of one that is dropped in memory only, that has all segments of these numbers.
    pub(super) fn index_with(&self, bucket: BucketId, numbers: &[u64]) -> Option<&SeriesIndex> {
        let live = self.buckets.get(&bucket).map(|bucket| &bucket.index);
        let dropped = self.dropped_indexes.iter().map(|dropped| &dropped.series);
        live.into_iter().chain(dropped).find(|index| index.has_all(numbers))
    }

    /// As [`State::index_with`].
    pub(super) fn index_with_mut(&mut self, bucket: BucketId, numbers: &[u64]) -> Option<&mut SeriesIndex> {
        let live = self.buckets.get_mut(&bucket).map(|bucket| &mut bucket.index);
        let dropped = self.dropped_indexes.iter_mut().map(|dropped| &mut dropped.series);
        live.into_iter().chain(dropped).find(|index| index.has_all(numbers))
    }

    pub(super) fn dropped_mut(&mut self, id: ShardId) -> Option<&mut Dropped> {
        self.dropped.iter_mut().find(|d| d.shard == id)
    }
}

impl Shard {
    pub(super) fn new(id: ShardId, range: TimeRange, now: Duration) -> Self {
        Self {
            id,
            range,
            active: ShardBuffer::default(),
            frozen: None,
            files: Vec::new(),
            lost: Vec::new(),
            presence: RoaringBitmap::new(),
            touched: now,
            changes: Changes::default(),
        }
    }

    /// The files, divided where a lost one lies between two.
    pub(super) fn runs(&self) -> impl Iterator<Item = &[Arc<TsmFile>]> {
        self.files.chunk_by(|a, b| {
            let between = a.entry.order..b.entry.order;
            !self.lost.iter().any(|lost| between.contains(&lost.entry.order))
        })
    }

    /// Adds a file in its place by order.
    pub(super) fn add_file(&mut self, file: Arc<TsmFile>, now: Duration) {
        let at = self.files.partition_point(|f| f.entry.order < file.entry.order);
        self.files.insert(at, file);
        self.touched = now;
    }
}

impl Bucket {
    /// The place of the shard that holds a time, made if there is none: the aligned range of the duration, cut
    /// where it would overlap its neighbours.
    pub(super) fn shard_for(
        &mut self,
        time: i64,
        duration_ns: i64,
        new: impl FnOnce(TimeRange) -> Shard,
    ) -> usize {
        let at = self.shards.partition_point(|s| s.range.end.0 <= time);
        if self.shards.get(at).is_some_and(|s| s.range.start.0 <= time) {
            return at;
        }
        let mut range = aligned(time, duration_ns);
        if let Some(before) = at.checked_sub(1).and_then(|i| self.shards.get(i)) {
            range.start = range.start.max(before.range.end);
        }
        if let Some(after) = self.shards.get(at) {
            range.end = range.end.min(after.range.start);
        }
        self.shards.insert(at, new(range));
        at
    }

    /// Takes note that rows of a shard may be gone from its files: series without rows leave it, and the index where
    /// no other shard has them; a shard that holds nothing goes.
    pub(super) fn forget_gone(&mut self, id: ShardId) {
        let Some(at) = self.shards.iter().position(|s| s.id == id) else { return };
        let shard = &mut self.shards[at];
        let mut held: RoaringBitmap = shard.active.ids().collect();
        held.extend(shard.frozen.iter().flat_map(|f| f.ids()));
        shard.files.iter().for_each(|file| held |= &file.presence);
        if !shard.lost.is_empty() {
            held |= &shard.presence;
        }
        let gone = std::mem::replace(&mut shard.presence, held) - &shard.presence;
        let has_rows = !shard.active.is_empty() || shard.frozen.is_some();
        if shard.files.is_empty() && shard.lost.is_empty() && !has_rows {
            self.shards.remove(at);
        }
        self.forget_absent(gone);
    }

    /// Forgets the series that no shard holds any more. `candidates` are those of shards that are gone.
    pub(super) fn forget_absent(&mut self, mut candidates: RoaringBitmap) {
        for shard in &self.shards {
            candidates -= &shard.presence;
        }
        self.index.remove(&candidates);
    }
}

/// The range of a duration's grid, counted from the epoch, that holds a time. A duration that is not positive means
/// all of time.
fn aligned(time: i64, duration_ns: i64) -> TimeRange {
    if duration_ns <= 0 {
        return TimeRange::ALL;
    }
    let start = i128::from(time).div_euclid(i128::from(duration_ns)) * i128::from(duration_ns);
    let clamp = |t: i128| Timestamp(i64::try_from(t).unwrap_or(if t < 0 { i64::MIN } else { i64::MAX }));
    TimeRange::new(clamp(start), clamp(start + i128::from(duration_ns)))
}

/// The directory of a shard.
pub(super) fn shard_dir(dir: &Path, bucket: BucketId, range: TimeRange) -> PathBuf {
    dir.join(bucket.to_string()).join(range.start.0.to_string())
}

/// The directory of the segments of a bucket's index.
pub(super) fn index_dir(dir: &Path, bucket: BucketId) -> PathBuf {
    dir.join(bucket.to_string()).join("index")
}

/// The path of a segment.
pub(crate) fn segment_path(dir: &Path, bucket: BucketId, number: u64) -> PathBuf {
    index_dir(dir, bucket).join(format!("{number:012}.idx"))
}

/// The path of a file.
pub(crate) fn file_path(dir: &Path, bucket: BucketId, range: TimeRange, number: u64) -> PathBuf {
    shard_dir(dir, bucket, range).join(format!("{number:012}.tsm"))
}
