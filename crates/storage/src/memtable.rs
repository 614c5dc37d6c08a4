//! The memtable: rows that are applied and not yet flushed, per shard and series.
//!
//! A series with a few full rows of numbers has them in a slab that the shard's series share: 24 bytes and its rows.
//! With more it has chunks of its own. Slab and chunks are held by `Arc` and changed by copy-on-write: a scan keeps what it
//! saw by cloning pointers, and an append copies at most one chunk (up to [`chunk::ROWS_MAX`] rows) or one block of
//! the slab when someone still looks at it. Freezing a shard's buffer for a flush moves one pointer.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use model::Column;
use roaring::RoaringBitmap;

use crate::index::{Renumbering, SeriesId};
use crate::layout::{Layout, Layouts};

pub(crate) mod chunk;
mod slab;
#[cfg(test)]
mod tests;

pub(crate) use chunk::{Chunk, Source};
use slab::Slab;

/// Hashes series ids, which are small distinct numbers, by one multiplication.
#[derive(Debug, Clone, Copy, Default)]
struct IdHasher(u64);

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
type IdMap<V> = HashMap<SeriesId, V, std::hash::BuildHasherDefault<IdHasher>>;

/// The rows of one series in one shard, in chunks by order of arrival.
#[derive(Debug, Clone, Default)]
struct SeriesBuffer {
    chunks: Vec<Arc<Chunk>>,
}

/// How the rows of a series are held.
#[derive(Debug, Clone, Copy)]
enum Held {
    /// A few rows of numbers, none of which lacks a field: in the slab.
    Few { place: u32, kind: u16, rows: u8, capacity: u8 },
    /// Chunks: place in `ShardBuffer::many`.
    Many(u32),
}

/// What series with few rows have in common.
#[derive(Debug, Clone)]
struct Kind {
    layout: Arc<Layout>,
    masked_from: u64,
}

/// Most rows, and most words of rows, that are held in the slab.
const FEW_ROWS: usize = 8;
const FEW_WORDS: usize = 128;
/// More kinds than this are not looked through.
const KINDS_TRIED: usize = 8;

/// The rows of one shard.
#[derive(Debug, Default)]
pub(crate) struct ShardBuffer {
    series: IdMap<Held>,
    kinds: Vec<Kind>,
    few: Slab,
    many: Vec<Arc<SeriesBuffer>>,
    /// Estimate of the memory held.
    pub(crate) bytes: usize,
}

/// What a series costs before its first row: its map entry.
const SERIES_BYTES: usize = 24;
/// What the first chunk of a series costs before its first row: buffer, chunk and layout pointers.
const BUFFER_BYTES: usize = 256;
/// What a further chunk costs before its first row.
const CHUNK_BYTES: usize = 128;

impl ShardBuffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The series that have rows, in any order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = SeriesId> {
        self.series.keys().copied()
    }

    /// Appends rows of one series. Returns whether the series is new to the buffer.
    pub(crate) fn append(
        &mut self,
        id: SeriesId,
        source: &Source<'_>,
        rows: Range<usize>,
        layouts: &mut Layouts,
    ) -> bool {
        let held = self.series.get(&id).copied();
        if held.is_none() {
            self.bytes += SERIES_BYTES;
        }
        let held_now = match held {
            None => self.begin_few(source, &rows),
            Some(few @ Held::Few { .. }) => self.append_few(few, source, &rows),
            Some(Held::Many(_)) => None,
        };
        if let Some(few) = held_now {
            self.series.insert(id, few);
            return held.is_none();
        }
        let place = match held {
            Some(Held::Many(place)) => place,
            Some(Held::Few { place, kind, rows, capacity }) => {
                let chunk = self.chunk_of(place, kind, rows);
                self.give_back(place, kind, capacity);
                self.bytes += chunk.bytes();
                self.begin_many(id, vec![Arc::new(chunk)])
            }
            None => self.begin_many(id, Vec::new()),
        };
        self.append_many(place, source, rows, layouts);
        held.is_none()
    }

    /// Holds the first rows of a series in the slab, if they are few.
    fn begin_few(&mut self, source: &Source<'_>, rows: &Range<usize>) -> Option<Held> {
        let stride = few_stride(source.layout);
        if !is_few(rows.len(), stride) || !is_full(source, rows) {
            return None;
        }
        // Most series that have one row get a second.
        let capacity = rows.len().next_power_of_two().max(2);
        let capacity = if is_few(capacity, stride) { capacity } else { rows.len() };
        let kind = self.kind_of(source)?;
        let place = self.few.take(capacity * stride)?;
        self.bytes += capacity * stride * size_of::<u64>();
        chunk::write_full_rows(self.few.get_mut(place, rows.len() * stride), source, rows.clone());
        Some(Held::Few { place, kind, rows: small(rows.len()), capacity: small(capacity) })
    }

    /// Adds rows to those in the slab, if all together are few.
    fn append_few(&mut self, few: Held, source: &Source<'_>, rows: &Range<usize>) -> Option<Held> {
        let Held::Few { mut place, kind, rows: before, mut capacity } = few else { return None };
        let of_kind = self.kinds.get(usize::from(kind))?;
        let stride = few_stride(&of_kind.layout);
        let len = usize::from(before) + rows.len();
        let same =
            Arc::ptr_eq(&of_kind.layout, source.layout) || of_kind.layout.fields == source.layout.fields;
        let fits = same && of_kind.masked_from >= source.masked_from;
        if !fits || !is_few(len, stride) || !is_full(source, rows) {
            return None;
        }
        if len > usize::from(capacity) {
            let larger = len.next_power_of_two();
            let larger = if is_few(larger, stride) { larger } else { len };
            let new = self.few.take(larger * stride)?;
            let words = self.few.get(place, usize::from(before) * stride).to_vec();
            self.few.get_mut(new, words.len()).copy_from_slice(&words);
            self.bytes += larger * stride * size_of::<u64>();
            self.give_back(place, kind, capacity);
            (place, capacity) = (new, small(larger));
        }
        let words = self.few.get_mut(place, len * stride);
        let (_, new) = words.split_at_mut(usize::from(before) * stride);
        chunk::write_full_rows(new, source, rows.clone());
        Some(Held::Few { place, kind, rows: small(len), capacity })
    }

    fn give_back(&mut self, place: u32, kind: u16, capacity: u8) {
        let words = usize::from(capacity) * few_stride(&self.kinds[usize::from(kind)].layout);
        self.few.give_back(place, words);
        self.bytes -= words * size_of::<u64>();
    }

    /// The kind of rows; `None` when there are too many kinds.
    fn kind_of(&mut self, source: &Source<'_>) -> Option<u16> {
        let is_it =
            |kind: &Kind| Arc::ptr_eq(&kind.layout, source.layout) && kind.masked_from == source.masked_from;
        let tried = self.kinds.iter().enumerate().rev().take(KINDS_TRIED);
        let known = tried.filter(|(_, kind)| is_it(kind)).map(|(at, _)| at).next();
        let at = known.unwrap_or(self.kinds.len());
        let place = u16::try_from(at).ok()?;
        if known.is_none() {
            self.kinds.push(Kind { layout: Arc::clone(source.layout), masked_from: source.masked_from });
        }
        Some(place)
    }

    fn begin_many(&mut self, id: SeriesId, chunks: Vec<Arc<Chunk>>) -> u32 {
        let place = u32::try_from(self.many.len()).expect("there are no more buffers than series");
        self.many.push(Arc::new(SeriesBuffer { chunks }));
        self.bytes += BUFFER_BYTES;
        self.series.insert(id, Held::Many(place));
        place
    }

    fn append_many(&mut self, place: u32, source: &Source<'_>, rows: Range<usize>, layouts: &mut Layouts) {
        let buffer = Arc::make_mut(&mut self.many[place as usize]);
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
    }

    fn chunk_of(&self, place: u32, kind: u16, rows: u8) -> Chunk {
        let Kind { layout, masked_from } = &self.kinds[usize::from(kind)];
        let words = self.few.get(place, usize::from(rows) * few_stride(layout));
        Chunk::of_full_rows(Arc::clone(layout), *masked_from, words)
    }

    /// The rows of a series in chunks by order of arrival; none when it has none.
    pub(crate) fn chunks(&self, id: SeriesId) -> impl Iterator<Item = Arc<Chunk>> {
        let (few, many) = match self.series.get(&id) {
            None => (None, None),
            Some(&Held::Few { place, kind, rows, .. }) => (Some(self.chunk_of(place, kind, rows)), None),
            Some(&Held::Many(place)) => (None, self.many.get(place as usize)),
        };
        few.map(Arc::new).into_iter().chain(many.into_iter().flat_map(|many| &many.chunks).map(Arc::clone))
    }

    /// Some of the series as they are now, whatever is appended later.
    pub(crate) fn snapshot(&self, wanted: &RoaringBitmap) -> Self {
        let mut many = Vec::new();
        let mut keep = |id: SeriesId, held: Held| match held {
            Held::Few { .. } => (id, held),
            Held::Many(place) => {
                many.push(Arc::clone(&self.many[place as usize]));
                (
                    id,
                    Held::Many(u32::try_from(many.len() - 1).expect("there are no more buffers than series")),
                )
            }
        };
        let series = if (self.series.len() as u64) < wanted.len() {
            let held = self.series.iter().filter(|(id, _)| wanted.contains(**id));
            held.map(|(&id, &held)| keep(id, held)).collect()
        } else {
            wanted.iter().filter_map(|id| Some(keep(id, *self.series.get(&id)?))).collect()
        };
        Self { series, kinds: self.kinds.clone(), few: self.few.snapshot(), many, bytes: 0 }
    }

    /// Gives series the ids under which a flush stored them.
    pub(crate) fn renumber(&mut self, renumbering: &Renumbering) {
        let old = std::mem::take(&mut self.series).into_iter();
        self.series = old.filter_map(|(id, held)| Some((renumbering.stored(id)?, held))).collect();
    }
}

/// Words of a row in the slab: time and values. Every row has all fields of its kind.
fn few_stride(layout: &Layout) -> usize {
    1 + layout.fields.len()
}

/// Whether rows are numbers and lack no field.
fn is_full(source: &Source<'_>, rows: &Range<usize>) -> bool {
    let has_all = |column: &&Column| column.valid.as_ref().is_none_or(|v| rows.clone().all(|i| v.get(i)));
    !source.layout.has_text() && source.columns.iter().all(has_all)
}

fn is_few(rows: usize, stride: usize) -> bool {
    rows <= FEW_ROWS && rows * stride <= FEW_WORDS
}

fn small(rows: usize) -> u8 {
    u8::try_from(rows).expect("few rows")
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
