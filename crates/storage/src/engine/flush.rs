//! Flush: all shards' memtables up to one log position become files, in one manifest record.
//!
//! ```text
//!  freeze (state lock: move pointers) -> write files, sync, sync directories -> manifest record, sync
//!         -> install (state lock: swap frozen buffers for files) -> notify -> removal, compaction
//! ```
//! A drop that is applied while the flush writes has a position after the flush's, so the record still adds the
//! dropped shard's files; they go straight to those that the next record removes. A failure stops the engine.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{BucketId, SeriesKey, TimeRange};

use super::state::{ShardId, file_path, shard_dir};
use super::{Inner, guarded};
use crate::codec::Effort;
use crate::error::{FatalError, WriteError};
use crate::index::{SeriesId, compare_keys};
use crate::jobs::JobClass;
use crate::layout::same_field;
use crate::manifest::{Durable, Edit, FileEntry};
use crate::memtable::{Chunk, SeriesBuffer, ShardBuffer};
use crate::merge::{Merge, Piece, Rows, without_empty_rows};
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

struct FrozenShard {
    bucket: BucketId,
    id: ShardId,
    range: TimeRange,
    buffer: Arc<ShardBuffer>,
}

struct Frozen {
    durable: Durable,
    shards: Vec<FrozenShard>,
}

impl Inner {
    /// Queues a flush unless one waits already.
    pub(super) fn submit_flush(this: &Arc<Self>) {
        if this.is_closing() || this.fatal.get().is_some() {
            return;
        }
        if this.flush_submitted.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::clone(this);
        let job = move || {
            inner.flush_submitted.store(false, Ordering::Release);
            guarded(&inner, "flush", || {
                // The error stays in the engine, where the next apply finds it.
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
    pub(super) fn flush(this: &Arc<Self>) -> Result<(), FatalError> {
        let _one_at_a_time = this.flushing.lock();
        this.check()?;
        let Some(frozen) = this.freeze() else { return Ok(()) };
        let position = frozen.durable.position;
        let done = this.write_and_install(frozen);
        done.map_err(|error| this.poison(error))?;
        this.counters.flushes.fetch_add(1, Ordering::Relaxed);
        (this.notify)(position);
        Self::submit_removal(this);
        Self::consider_compaction(this);
        Ok(())
    }

    /// Takes the active buffers; `None` when the manifest has everything already.
    fn freeze(&self) -> Option<Frozen> {
        let mut state = self.state.write();
        let state = &mut *state;
        state.unflushed_since.take()?;
        let position = state.applied?;
        let mut shards = Vec::new();
        for (&bucket, contents) in &mut state.buckets {
            contents.layouts = Default::default();
            for shard in contents.shards.iter_mut().filter(|s| !s.active.is_empty()) {
                let buffer = Arc::new(std::mem::take(&mut shard.active));
                shard.frozen = Some(Arc::clone(&buffer));
                shards.push(FrozenShard { bucket, id: shard.id, range: shard.range, buffer });
            }
        }
        state.frozen_bytes = std::mem::take(&mut state.active_bytes);
        let durable = Durable { position, membership: state.membership.clone() };
        Some(Frozen { durable, shards })
    }

    fn write_and_install(&self, frozen: Frozen) -> Result<(), FatalError> {
        let mut files = Vec::new();
        let mut dirs = Vec::new();
        for shard in &frozen.shards {
            if let Some(file) = self.write_shard(shard)? {
                self.counters.flush_bytes.fetch_add(file.entry.bytes, Ordering::Relaxed);
                dirs.push(shard_dir(&self.dir, shard.bucket, shard.range));
                files.push((shard.bucket, shard.id, Arc::new(file)));
            }
        }
        for dir in &dirs {
            self.vfs.sync_dir(dir).map_err(WriteError::new("sync", dir))?;
        }
        let position = frozen.durable.position;
        let now = self.clock.monotonic();
        let mut manifest = self.manifest.lock();
        // Compactions install under the manifest's lock too, so the files of dropped shards are final here.
        let edit = Edit {
            durable: Some(frozen.durable),
            added: files.iter().map(|(_, _, file)| file.entry.clone()).collect(),
            removed: self.files_dropped_until(position.index),
            next_number: self.next_file.load(Ordering::Relaxed),
        };
        manifest.append(&*self.vfs, &edit)?;
        let mut state = self.state.write();
        let state = &mut *state;
        let (gone, kept) =
            std::mem::take(&mut state.dropped).into_iter().partition(|d| d.index <= position.index);
        state.dropped = kept;
        let gone: Vec<super::state::Dropped> = gone;
        state.dead.extend(gone.into_iter().flat_map(|d| d.files));
        for frozen_shard in &frozen.shards {
            if let Some(shard) = state.shard_mut(frozen_shard.bucket, frozen_shard.id) {
                shard.frozen = None;
            }
        }
        state.frozen_bytes = 0;
        for (bucket, id, file) in files {
            if let Some(shard) = state.shard_mut(bucket, id) {
                shard.add_file(file, now);
            } else if let Some(dropped) = state.dropped_mut(id) {
                dropped.files.push(file);
            }
        }
        Ok(())
    }

    fn files_dropped_until(&self, index: u64) -> Vec<u64> {
        let state = self.state.read();
        let dropped = state.dropped.iter().filter(|d| d.index <= index);
        dropped.flat_map(|d| &d.files).map(|f| f.entry.number).collect()
    }

    /// Writes one shard's file and opens it; `None` when there is nothing to write.
    fn write_shard(&self, shard: &FrozenShard) -> Result<Option<TsmFile>, FatalError> {
        let dir = shard_dir(&self.dir, shard.bucket, shard.range);
        self.vfs.create_dir_all(&dir).map_err(WriteError::new("create", &dir))?;
        let number = self.next_file_number();
        let path = file_path(&self.dir, shard.bucket, shard.range, number);
        let effort = Effort::Fast(self.options.flush_compression_level);
        let mut series: Vec<(SeriesId, &Arc<SeriesBuffer>)> =
            shard.buffer.series.iter().map(|(id, buffer)| (*id, buffer)).collect();
        series.sort_by(|a, b| compare_keys(&a.1.key, &b.1.key));
        let mut writer = Writer::create(&*self.vfs, &path, shard.bucket, shard.range, Density::Fast, effort)?;
        for (_, buffer) in &series {
            write_series(&mut writer, buffer)?;
        }
        if writer.series_count() == 0 {
            drop(writer);
            self.vfs.remove_file(&path).map_err(WriteError::new("remove", &path))?;
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
            rows: finished.rows,
            series: finished.series,
            times: finished.times,
        };
        let known = series.into_iter().map(|(id, buffer)| (id, buffer.key.clone())).collect();
        let opened = TsmFile::open(&*self.vfs, &path, &entry, in_order(known));
        opened.map(Some).map_err(|source| FatalError::Unreadable { path, source: Arc::new(source) })
    }
}

fn write_series(writer: &mut Writer, buffer: &SeriesBuffer) -> Result<(), WriteError> {
    let mut fields: Vec<model::FieldDef> = Vec::new();
    let mut last_layout = None;
    for chunk in &buffer.chunks {
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
    let pieces = buffer
        .chunks
        .iter()
        .zip(0..)
        .map(|(chunk, sequence)| MemoryPiece { chunk: Arc::clone(chunk), sequence })
        .collect();
    let mut merge = Merge::new(pieces, fields.clone(), TimeRange::ALL);
    writer.begin_series(&buffer.key);
    loop {
        let block = match merge.next_block() {
            Ok(block) => block,
            Err(never) => match never {},
        };
        let Some(rows) = block else { break };
        let rows = without_empty_rows(rows);
        if !rows.times.is_empty() {
            writer.write_rows(&rows, &fields)?;
        }
    }
    writer.end_series()
}

/// Gives the series of a file that was just written the ids that they have. `known` is in key order and has all
/// of them.
pub(super) fn in_order(
    known: Vec<(SeriesId, SeriesKey)>,
) -> impl FnMut(SeriesKey) -> Option<(SeriesId, SeriesKey)> {
    let mut known = known.into_iter().peekable();
    move |key| {
        while known.next_if(|(_, k)| compare_keys(k, &key).is_lt()).is_some() {}
        known.next_if(|(_, k)| *k == key)
    }
}
