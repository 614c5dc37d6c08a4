//! Flush: all shards' memtables up to one log position become files, and the series that are new a segment of their
//! bucket's index, in one manifest record.
//!
//! ```text
//!  freeze (state lock: move pointers) -> write segments and files, sync, sync directories -> manifest record, sync
//!         -> install (state lock: swap frozen buffers for files, give series the ids that are stored) -> notify
//!         -> removal, compaction
//! ```
//! Deletes up to the flush's position are applied to the rows as they are written, and stand in the record as long as
//! older files hold rows of them. A drop that is applied while the flush writes has a position after the flush's, so the record still adds the
//! dropped shard's files; they go straight to those that the next record removes.
//!
//! Without room (a full file system, too many open files) nothing is in doubt: what was written is removed, the
//! frozen buffers stay as they are, and the same flush is tried again. Any other failure stops the engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::{BucketId, TimeRange};

use super::state::{Dropped, ShardId, State, file_path, index_dir, segment_path, shard_dir};
use super::{Inner, guarded};
use crate::codec::Effort;
use crate::error::{FatalError, FlushError, OpenError, WriteError, is_no_room};
use crate::index::{Encoded, FrozenHead, Keys, Renumbering, Segment, SeriesId};
use crate::jobs::JobClass;
use crate::layout::same_field;
use crate::manifest::{AppendError, Durable, Edit, FileEntry, Manifest};
use crate::memtable::{Chunk, ShardBuffer};
use crate::merge::{Merge, Piece, Rows, without_empty_rows};
use crate::tombstone::{Masked, Masks, SeriesMask, Tombstones};
use crate::tsm::format::Density;
use crate::tsm::{TsmFile, Writer};

/// Memory has rank above every file: it is newer.
const MEMORY_RANK: u64 = 1 << 62;

/// A chunk of the memtable as a piece of a merge.
#[derive(Debug, Clone)]
pub(super) struct MemoryPiece {
    pub(super) chunk: Arc<Chunk>,
    /// Order of arrival.
    pub(super) sequence: u64,
}

impl Piece for MemoryPiece {
    type Error = std::convert::Infallible;

    fn times(&self) -> (i64, i64) {
        self.chunk.times()
    }

    fn rank(&self) -> u64 {
        MEMORY_RANK + self.sequence
    }

    fn load(&self, fields: &[model::FieldDef]) -> Result<Rows, Self::Error> {
        Ok(self.chunk.to_rows(fields))
    }
}

/// First wait before a flush is tried again; doubles up to the longest.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(4);

/// A flush waits for room.
#[derive(Debug)]
pub(super) struct Stall {
    pub(super) error: FlushError,
    wait: Duration,
    until: Duration,
}

#[derive(Debug)]
struct FrozenShard {
    bucket: BucketId,
    id: ShardId,
    range: TimeRange,
    buffer: Arc<ShardBuffer>,
}

/// What a flush writes.
#[derive(Debug)]
pub(super) struct Frozen {
    durable: Durable,
    shards: Vec<FrozenShard>,
    /// All deletes that are pending at the position.
    tombstones: BTreeMap<BucketId, Tombstones>,
    heads: Vec<(BucketId, FrozenHead)>,
}

/// What a flush has written.
#[derive(Debug, Default)]
struct NewFiles {
    files: Vec<NewFile>,
    indexes: Vec<NewIndex>,
}

/// The segment of a frozen head (none when its series are gone), and the ids that its series have in files.
#[derive(Debug)]
struct NewIndex {
    bucket: BucketId,
    head: FrozenHead,
    segment: Option<Arc<Segment>>,
    renumbering: Renumbering,
}

/// What the ids of a frozen shard mean.
struct Names<'a> {
    /// What is deleted, by the ids in memory.
    masks: Masks,
    /// By the ids that are stored.
    keys: Keys,
    renumbering: Option<&'a Renumbering>,
}

impl Names<'_> {
    /// The id that is stored for an id in memory.
    fn stored(&self, id: SeriesId) -> Option<SeriesId> {
        self.renumbering.map_or(Some(id), |renumbering| renumbering.stored(id))
    }
}

/// A file that a flush has written, and the shard that it is for.
type NewFile = (BucketId, ShardId, Arc<TsmFile>);

impl Inner {
    /// Queues a flush unless one waits already.
    pub(crate) fn submit_flush(this: &Arc<Self>) {
        if this.is_closing() || this.fatal.get().is_some() {
            return;
        }
        let now = this.clock.monotonic();
        if this.stall.lock().as_ref().is_some_and(|stall| now < stall.until) {
            return;
        }
        if this.flush_submitted.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::clone(this);
        let job = move || {
            inner.flush_submitted.store(false, Ordering::Release);
            guarded(&inner, "flush", || {
                // The error stays in the engine, where the next apply or attempt finds it.
                if !inner.is_closing() && Self::flush(&inner).is_ok() {
                    let due = inner.state.read().active_bytes > inner.options.memtable_bytes_max;
                    if due {
                        Self::submit_flush(&inner);
                    }
                }
            });
        };
        this.jobs.submit(JobClass::Flush, Box::new(job));
    }

    /// Flushes what is applied so far.
    pub(super) fn flush(this: &Arc<Self>) -> Result<(), FlushError> {
        let mut left = this.flushing.lock();
        this.check()?;
        // First what an earlier attempt left: files must come in the order of the log.
        if let Some(frozen) = left.take() {
            Self::flush_frozen(this, frozen, &mut left)?;
        }
        match this.freeze() {
            Some(frozen) => Self::flush_frozen(this, frozen, &mut left),
            None => Ok(()),
        }
    }

    /// Makes what is frozen durable; `left` gets it back when there is no room.
    fn flush_frozen(this: &Arc<Self>, frozen: Frozen, left: &mut Option<Frozen>) -> Result<(), FlushError> {
        match this.write_and_install(&frozen) {
            Ok(()) => {}
            Err(FlushError::Fatal(error)) => return Err(this.poison(error).into()),
            Err(error) => {
                *left = Some(frozen);
                this.stall(&error);
                return Err(error);
            }
        }
        if this.stall.lock().take().is_some() {
            tracing::info!(dir = %this.dir.display(), "there is room again: flushed");
        }
        this.counters.flushes.fetch_add(1, Ordering::Relaxed);
        (this.notify)(frozen.durable.position);
        Self::submit_removal(this);
        Self::consider_compaction(this);
        Ok(())
    }

    /// Notes that there is no room for a flush, and when to try again.
    fn stall(&self, error: &FlushError) {
        self.counters.flushes_failed.fetch_add(1, Ordering::Relaxed);
        let mut stall = self.stall.lock();
        let wait = match &*stall {
            Some(stall) => stall.wait.saturating_mul(2).min(RETRY_MAX),
            None => {
                tracing::error!(dir = %self.dir.display(), %error, "no room for a flush: it is tried again");
                RETRY_MIN
            }
        };
        let until = self.clock.monotonic().saturating_add(wait);
        *stall = Some(Stall { error: error.clone(), wait, until });
    }

    /// Takes the active buffers; `None` when the manifest has everything already.
    fn freeze(&self) -> Option<Frozen> {
        let mut state = self.state.write();
        let state = &mut *state;
        state.unflushed_since.take()?;
        let position = state.applied?;
        let mut shards = Vec::new();
        let mut heads = Vec::new();
        for (&bucket, contents) in &mut state.buckets {
            contents.layouts = Default::default();
            heads.extend(contents.index.freeze().map(|head| (bucket, head)));
            for shard in contents.shards.iter_mut().filter(|s| !s.active.is_empty()) {
                let buffer = Arc::new(std::mem::take(&mut shard.active));
                shard.frozen = Some(Arc::clone(&buffer));
                shards.push(FrozenShard { bucket, id: shard.id, range: shard.range, buffer });
            }
        }
        state.frozen_bytes = std::mem::take(&mut state.active_bytes);
        self.settle(state);
        let durable = Durable { position, membership: state.membership.clone() };
        state.is_flushing = true;
        let tombstones = state.buckets.iter().map(|(id, bucket)| (*id, bucket.tombstones.clone()));
        let tombstones = tombstones.filter(|(_, tombstones)| !tombstones.is_empty()).collect();
        Some(Frozen { durable, shards, tombstones, heads })
    }

    fn write_and_install(&self, frozen: &Frozen) -> Result<(), FlushError> {
        let mut new = NewFiles::default();
        let done = self.write_files(frozen, &mut new).and_then(|()| self.install(frozen, &new));
        if let Err(FlushError::NoRoom { .. }) = &done {
            let segments = new.indexes.iter().filter_map(|index| index.segment.as_ref());
            let segments = segments.map(|segment| &segment.path);
            for path in new.files.iter().map(|(_, _, file)| &file.path).chain(segments) {
                self.discard(path);
            }
        }
        done
    }

    /// Writes the segments of all heads and the files of all shards, durably.
    fn write_files(&self, frozen: &Frozen, new: &mut NewFiles) -> Result<(), FlushError> {
        for (bucket, head) in &frozen.heads {
            let (encoded, renumbering) = head.encode(*bucket);
            let segment = encoded.map(|encoded| self.write_segment(*bucket, encoded)).transpose()?;
            let segment = segment.map(Arc::new);
            new.indexes.push(NewIndex { bucket: *bucket, head: head.clone(), segment, renumbering });
        }
        for shard in &frozen.shards {
            // What was dropped since needs no file: the drop is in the log behind this flush.
            let (masks, keys) = {
                let state = self.state.read();
                let bucket =
                    state.shard(shard.bucket, shard.id).and_then(|_| state.buckets.get(&shard.bucket));
                let Some(bucket) = bucket else { continue };
                // Also what was deleted since, for the same reason: a flush that finds no room comes again.
                (bucket.tombstones.masks(shard.range, u64::MAX, &bucket.index), bucket.index.keys())
            };
            let index = new.indexes.iter().find(|index| index.bucket == shard.bucket);
            let names = Names {
                masks,
                keys: keys.with(index.and_then(|index| index.segment.as_ref())),
                renumbering: index.map(|index| &index.renumbering),
            };
            let masked_from = frozen.durable.position.index + 1;
            if let Some(file) = self.write_shard(shard, &names, masked_from)? {
                new.files.push((shard.bucket, shard.id, Arc::new(file)));
            }
        }
        for (_, _, file) in &new.files {
            let dir = shard_dir(&self.dir, file.entry.bucket, file.entry.shard);
            self.vfs.sync_dir(&dir).map_err(WriteError::new("sync", &dir))?;
        }
        for index in new.indexes.iter().filter(|index| index.segment.is_some()) {
            let dir = index_dir(&self.dir, index.bucket);
            self.vfs.sync_dir(&dir).map_err(WriteError::new("sync", &dir))?;
        }
        Ok(())
    }

    /// Writes a segment and opens it. Its name is not durable yet.
    pub(super) fn write_segment(&self, bucket: BucketId, encoded: Encoded) -> Result<Segment, FlushError> {
        let dir = index_dir(&self.dir, bucket);
        self.vfs.create_dir_all(&dir).map_err(WriteError::new("create", &dir))?;
        let number = self.next_file_number();
        let path = segment_path(&self.dir, bucket, number);
        let (entry, bytes) = (encoded.entry(number), encoded.bytes);
        let written = self
            .vfs
            .create(&path)
            .map_err(WriteError::new("create", &path))
            .and_then(|file| {
                file.write_all_at(&bytes, 0).map_err(WriteError::new("write", &path))?;
                file.sync_data().map_err(WriteError::new("sync", &path))
            })
            .map_err(FlushError::from);
        if let Err(error) = written {
            self.discard(&path);
            return Err(error);
        }
        Segment::of_bytes(bytes, &path, &entry)
            .map_err(|source| FatalError::Unreadable { path: path.clone(), source: Arc::new(source) }.into())
    }

    /// Records the files in the manifest, and puts them in the place of the frozen buffers.
    fn install(&self, frozen: &Frozen, new: &NewFiles) -> Result<(), FlushError> {
        let position = frozen.durable.position;
        let now = self.clock.monotonic();
        let mut manifest = self.manifest.lock();
        // Compactions install under the manifest's lock too, so the files of dropped shards are final here.
        let edit = Edit {
            durable: Some(frozen.durable.clone()),
            added: new.files.iter().map(|(_, _, file)| file.entry.clone()).collect(),
            added_segments: new
                .indexes
                .iter()
                .filter_map(|index| Some(index.segment.as_ref()?.entry.clone()))
                .collect(),
            removed: self.files_dropped_until(position.index),
            next_number: self.next_file.load(Ordering::Relaxed),
            ..self.tombstones_edit(frozen, &manifest)
        };
        manifest.append(&*self.vfs, &edit).map_err(|error| match error {
            AppendError::NotDone(error) => error.into(),
            AppendError::Unknown(error) => FlushError::Fatal(error.into()),
        })?;
        let mut state = self.state.write();
        let state = &mut *state;
        let (gone, kept) =
            std::mem::take(&mut state.dropped).into_iter().partition(|d| d.index <= position.index);
        state.dropped = kept;
        let gone: Vec<Dropped> = gone;
        for dropped in gone {
            state.dead_paths.extend(dropped.lost.iter().map(|lost| lost.path.clone()));
            state.dead.extend(dropped.files);
        }
        let (gone, kept) =
            std::mem::take(&mut state.dropped_indexes).into_iter().partition(|d| d.index <= position.index);
        state.dropped_indexes = kept;
        let gone: Vec<super::state::DroppedIndex> = gone;
        state.dead_paths.extend(gone.iter().flat_map(|dropped| dropped.series.paths()));
        for frozen_shard in &frozen.shards {
            if let Some(shard) = state.shard_mut(frozen_shard.bucket, frozen_shard.id) {
                shard.frozen = None;
            }
        }
        state.frozen_bytes = 0;
        self.settle(state);
        state.is_flushing = false;
        state.durable = Some(position.index);
        new.indexes.iter().for_each(|index| state.install_index(index));
        for (bucket, id, file) in &new.files {
            self.counters.flush_bytes.fetch_add(file.entry.bytes, Ordering::Relaxed);
            if let Some(shard) = state.shard_mut(*bucket, *id) {
                shard.add_file(Arc::clone(file), now);
            } else if let Some(dropped) = state.dropped_mut(*id) {
                dropped.files.push(Arc::clone(file));
            }
        }
        for (id, tombstones) in &frozen.tombstones {
            let kept = &manifest.live().tombstones;
            let Some(bucket) = state.buckets.get_mut(id) else { continue };
            let settled: Vec<u64> = tombstones.sequences().filter(|s| !kept.contains_key(s)).collect();
            bucket.tombstones.remove(&settled);
            for shard in frozen.shards.iter().filter(|shard| shard.bucket == *id) {
                bucket.forget_gone(shard.id);
            }
            state.forget_empty(*id);
        }
        Ok(())
    }

    /// What a flush changes of the manifest's tombstones: afterwards it has those pending at the flush's position for
    /// which some file is still to be rewritten.
    fn tombstones_edit(&self, frozen: &Frozen, manifest: &Manifest) -> Edit {
        let state = self.state.read();
        let mut edit = Edit::default();
        let until = frozen.durable.position.index;
        let mut kept = std::collections::BTreeSet::new();
        for (id, tombstones) in &frozen.tombstones {
            let settled = match state.buckets.get(id) {
                Some(bucket) => {
                    tombstones.settled(until, state.files_of(*id), state.lost_of(*id), &bucket.index)
                }
                // Dropped behind the flush's position: what its series were is not known any more.
                None => Vec::new(),
            };
            for entry in tombstones.entries(*id).filter(|entry| !settled.contains(&entry.sequence)) {
                kept.insert(entry.sequence);
                if !manifest.live().tombstones.contains_key(&entry.sequence) {
                    edit.tombstones_added.push(entry);
                }
            }
        }
        edit.tombstones_removed =
            manifest.live().tombstones.keys().filter(|sequence| !kept.contains(sequence)).copied().collect();
        edit
    }

    fn files_dropped_until(&self, index: u64) -> Vec<u64> {
        let state = self.state.read();
        let dropped = state.dropped.iter().filter(|d| d.index <= index);
        let numbers = |d: &Dropped| {
            let files = d.files.iter().map(|f| f.entry.number);
            files.chain(d.lost.iter().map(|l| l.entry.number)).collect::<Vec<_>>()
        };
        let files = dropped.flat_map(numbers);
        let dropped = state.dropped_indexes.iter().filter(|d| d.index <= index);
        files.chain(dropped.flat_map(|d| d.series.numbers())).collect()
    }

    /// Writes one shard's file and opens it; `None` when there is nothing to write.
    fn write_shard(
        &self,
        shard: &FrozenShard,
        names: &Names<'_>,
        masked_from: u64,
    ) -> Result<Option<TsmFile>, FlushError> {
        let dir = shard_dir(&self.dir, shard.bucket, shard.range);
        self.vfs.create_dir_all(&dir).map_err(WriteError::new("create", &dir))?;
        let number = self.next_file_number();
        let path = file_path(&self.dir, shard.bucket, shard.range, number);
        let written = self.write_shard_to(shard, names, masked_from, number, &path);
        if let Err(FlushError::NoRoom { .. }) = &written {
            self.discard(&path);
        }
        written
    }

    fn write_shard_to(
        &self,
        shard: &FrozenShard,
        names: &Names<'_>,
        masked_from: u64,
        number: u64,
        path: &Path,
    ) -> Result<Option<TsmFile>, FlushError> {
        let ids = shard.buffer.ids();
        let mut series: Vec<(SeriesId, SeriesId)> =
            ids.filter_map(|id| Some((names.stored(id)?, id))).collect();
        series.sort_unstable_by_key(|(stored, _)| *stored);
        let mut writer =
            Writer::create(&*self.vfs, path, shard.bucket, shard.range, Density::Fast, Effort::Fast)?;
        for (stored, id) in series {
            let key = names.keys.get(stored).expect("a series with rows is in the index");
            let mask = names.masks.of_series(id, &key);
            writer.begin_series(stored, key);
            write_series(&mut writer, &shard.buffer.chunks(id).collect::<Vec<_>>(), &mask)?;
        }
        if writer.series_count() == 0 {
            drop(writer);
            self.vfs.remove_file(path).map_err(WriteError::new("remove", path))?;
            return Ok(None);
        }
        let finished = writer.finish()?;
        let entry = FileEntry {
            number,
            order: number,
            level: 0,
            density: Density::Fast,
            bucket: shard.bucket,
            shard: shard.range,
            bytes: finished.bytes,
            checksum: finished.checksum,
            footer_checksum: finished.footer_checksum,
            rows: finished.rows,
            series: finished.series,
            times: finished.times,
            masked_from,
        };
        let opened = TsmFile::open(&*self.vfs, path, &entry);
        opened.map(Some).map_err(|error| match error {
            OpenError::Io { doing, path, source } if is_no_room(&source) => {
                FlushError::NoRoom { doing, path, source }
            }
            source => FatalError::Unreadable { path: path.to_owned(), source: Arc::new(source) }.into(),
        })
    }
}

/// Writes the rows of the series that was begun, and ends it.
fn write_series(writer: &mut Writer, chunks: &[Arc<Chunk>], mask: &SeriesMask<'_>) -> Result<(), WriteError> {
    // Few rows, and most series of many have no more, need no merge.
    if let [only] = chunks
        && mask.hidden(only.masked_from(), only.times()).is_empty()
    {
        let fields = &only.layout().fields;
        let rows = without_empty_rows(only.to_rows(fields));
        if !rows.times.is_empty() {
            writer.write_rows(rows, fields)?;
        }
        return writer.end_series();
    }
    let mut fields: Vec<model::FieldDef> = Vec::new();
    let mut last_layout = None;
    for chunk in chunks {
        if last_layout.is_some_and(|l| Arc::ptr_eq(l, chunk.layout())) {
            continue;
        }
        last_layout = Some(chunk.layout());
        for field in &chunk.layout().fields {
            if !fields.iter().any(|f| same_field(f, field)) {
                fields.push(field.clone());
            }
        }
    }
    let pieces = chunks
        .iter()
        .zip(0..)
        .filter_map(|(chunk, sequence)| {
            let hidden = mask.hidden(chunk.masked_from(), chunk.times());
            Masked::new(MemoryPiece { chunk: Arc::clone(chunk), sequence }, hidden)
        })
        .collect();
    let mut merge = Merge::new(pieces, fields.clone(), TimeRange::ALL);
    loop {
        let block = match merge.next_block() {
            Ok(block) => block,
            Err(never) => match never {},
        };
        let Some(rows) = block else { break };
        let rows = without_empty_rows(rows);
        if !rows.times.is_empty() {
            writer.write_rows(rows, &fields)?;
        }
    }
    writer.end_series()
}

impl State {
    /// Puts a new segment in the place of the frozen head, and gives the series of the head the ids that are
    /// stored.
    fn install_index(&mut self, new: &NewIndex) {
        let segment = || new.segment.as_ref().map(Arc::clone);
        if let Some(bucket) = self.buckets.get_mut(&new.bucket).filter(|b| b.index.has_frozen(&new.head)) {
            bucket.index.thaw(&new.renumbering, segment());
            if !new.renumbering.is_identity() {
                bucket.tombstones.renumber(&new.renumbering);
                for shard in &mut bucket.shards {
                    shard.presence = new.renumbering.stored_set(&shard.presence);
                    shard.active.renumber(&new.renumbering);
                }
            }
        } else if let Some(dropped) =
            self.dropped_indexes.iter_mut().find(|dropped| dropped.series.has_frozen(&new.head))
        {
            dropped.series.add_dropped(segment());
        }
    }
}
