//! The memtable: rows that are applied and not yet flushed, per shard and series.
//!
//! Everything is held by `Arc` and changed by copy-on-write: a scan or a flush keeps what it saw by cloning
//! pointers, and an append copies at most one chunk (up to [`chunk::ROWS_MAX`] rows) when someone still looks at
//! it. Freezing a shard's buffer for a flush moves one pointer.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use model::Column;

use crate::index::{Renumbering, SeriesId};
use crate::layout::Layouts;

pub(crate) mod chunk;
#[cfg(test)]
mod tests;

pub(crate) use chunk::{Chunk, Source};

/// Hashes series ids, which are small distinct numbers, by one multiplication.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct IdHasher(u64);

impl std::hash::Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u32(&mut self, id: u32) {
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// A map by series id.
pub(crate) type IdMap<V> = HashMap<SeriesId, V, std::hash::BuildHasherDefault<IdHasher>>;

/// The rows of one series in one shard, in chunks by order of arrival.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeriesBuffer {
    pub(crate) chunks: Vec<Arc<Chunk>>,
}

/// The rows of one shard.
#[derive(Debug, Default)]
pub(crate) struct ShardBuffer {
    pub(crate) series: IdMap<Arc<SeriesBuffer>>,
    /// Estimate of the memory held.
    pub(crate) bytes: usize,
}

/// What a series costs before its first row: map entry, buffer, chunk and layout pointers.
const SERIES_BYTES: usize = 256;
/// What a chunk costs before its first row.
const CHUNK_BYTES: usize = 128;

impl ShardBuffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Appends rows of one series. Returns whether the series is new to the buffer.
    pub(crate) fn append(
        &mut self,
        id: SeriesId,
        source: &Source<'_>,
        rows: Range<usize>,
        layouts: &mut Layouts,
    ) -> bool {
        let mut is_new = false;
        let buffer = self.series.entry(id).or_insert_with(|| {
            is_new = true;
            Arc::default()
        });
        if is_new {
            self.bytes += SERIES_BYTES;
        }
        let buffer = Arc::make_mut(buffer);
        let mut at = rows.start;
        while at < rows.end {
            let room = buffer.chunks.last().map_or(0, |c| c.room(source));
            if room == 0 {
                let layout = match buffer.chunks.last() {
                    Some(last) => last.layout_for(source, layouts),
                    None => Arc::clone(source.layout),
                };
                if !buffer.chunks.is_empty() {
                    self.bytes += CHUNK_BYTES;
                }
                buffer.chunks.push(Arc::new(Chunk::new(layout, source.masked_from)));
                continue;
            }
            let end = rows.end.min(at + room);
            let last = buffer.chunks.last_mut().expect("a chunk with room exists");
            let chunk = Arc::make_mut(last);
            let before = chunk.bytes();
            chunk.append(source, at..end);
            self.bytes += chunk.bytes().saturating_sub(before);
            at = end;
        }
        is_new
    }
}

impl ShardBuffer {
    /// Gives series the ids under which a flush stored them.
    pub(crate) fn renumber(&mut self, renumbering: &Renumbering) {
        let old = std::mem::take(&mut self.series).into_iter();
        self.series = old.filter_map(|(id, series)| Some((renumbering.stored(id)?, series))).collect();
    }
}

/// The columns of `source` that hold a value in some of `rows`; `None` when all do.
pub(crate) fn sparse_columns(columns: &[Column], rows: &Range<usize>) -> Option<Vec<usize>> {
    let has_value = |column: &Column| match &column.valid {
        None => true,
        Some(valid) => rows.clone().any(|i| valid.get(i)),
    };
    if columns.iter().all(has_value) {
        return None;
    }
    Some((0..columns.len()).filter(|&i| has_value(&columns[i])).collect())
}
