//! Scans: a snapshot is taken under the state's lock by cloning pointers; reading happens later, without it.

use std::collections::VecDeque;
use std::sync::Arc;

use model::{FieldDef, FieldSelection, Predicate, ScanRequest, SeriesBlock, SeriesKey, TimeRange};
use parking_lot::Mutex;
use roaring::RoaringBitmap;

use super::Engine;
use super::flush::MemoryPiece;
use super::state::Bucket;
use crate::cache::Reads;
use crate::compact::run::stand_alone;
use crate::error::ReadError;
use crate::index::{Selection, SeriesId, Walk};
use crate::layout::same_field;
use crate::memtable::{Chunk, ShardBuffer};
use crate::merge::{Merge, Piece, Rows, without_empty_rows};
use crate::tombstone::{Masked, Masks, hides_all};
use crate::tsm::{FilePiece, Packs, TsmFile};

/// One shard as it was when the scan began.
#[derive(Debug)]
pub(super) struct ShardSnapshot {
    pub(super) range: TimeRange,
    pub(super) files: Vec<Arc<TsmFile>>,
    pub(super) frozen: Option<Arc<ShardBuffer>>,
    pub(super) active: ShardBuffer,
}

/// What a scan or a question about the schema looks at.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) selection: Selection,
    /// What was found, in key order.
    pub(super) series: Walk,
    /// How many those are.
    pub(super) found: u64,
    /// By time.
    pub(super) shards: Vec<ShardSnapshot>,
    /// What is deleted of it.
    pub(super) masks: Masks,
    /// Those that were looked at last for the times of single series.
    packs: Mutex<Packs>,
}

impl Snapshot {
    /// The series that a predicate selects, with what the shards that overlap `range` hold of them.
    pub(super) fn of(bucket: &Bucket, range: TimeRange, predicate: &Predicate) -> Self {
        Self::of_selection(bucket, range, bucket.index.select(predicate))
    }

    /// The selected series, with what the shards that overlap `range` hold of them.
    pub(super) fn of_selection(bucket: &Bucket, range: TimeRange, selection: Selection) -> Self {
        let masks = bucket.tombstones.masks(range, u64::MAX, &bucket.index);
        let shards: Vec<_> = bucket.shards.iter().filter(|s| s.range.overlaps(&range)).collect();
        let mut wanted = RoaringBitmap::new();
        shards.iter().for_each(|shard| wanted |= &shard.presence);
        wanted &= &selection.some;
        let shards = shards
            .into_iter()
            .map(|shard| ShardSnapshot {
                range: shard.range,
                files: shard.files.clone(),
                frozen: shard.frozen.clone(),
                active: shard.active.snapshot(&wanted),
            })
            .collect();
        let packs = Mutex::new(Packs::new(Reads::bypass()));
        Self { selection, series: bucket.index.walk(&wanted), found: wanted.len(), shards, masks, packs }
    }

    /// Visits the fields of which a series has values in the snapshot's shards; some more than once.
    pub(super) fn each_field(
        &self,
        id: SeriesId,
        key: &SeriesKey,
        mut visit: impl FnMut(&str),
    ) -> Result<(), ReadError> {
        let mask = self.masks.of_series(id, key);
        for shard in &self.shards {
            for file in &shard.files {
                if let Some(series) = file.find(id) {
                    let mut times = series.unit.times;
                    let mut hidden = mask.hidden(file.entry.masked_from, times);
                    if !hidden.is_empty() && series.unit.is_pack() && !hides_all(&hidden, times, None) {
                        // The times are those of all series of the pack.
                        let pieces = FilePiece::of(file, &series, &mut self.packs.lock())?;
                        times = pieces.first().map_or(times, Piece::times);
                        hidden = mask.hidden(file.entry.masked_from, times);
                    }
                    let left = |f: &&FieldDef| !hides_all(&hidden, times, Some(&f.name));
                    file.fields_of(&series).filter(left).for_each(|f| visit(&f.name));
                }
            }
            for chunk in shard.memory(id) {
                let hidden = mask.hidden(chunk.masked_from(), chunk.times());
                let left = |f: &&FieldDef| !hides_all(&hidden, chunk.times(), Some(&f.name));
                chunk.layout().fields.iter().filter(left).for_each(|f| visit(&f.name));
            }
        }
        Ok(())
    }

    /// The next series that has a field left.
    pub(super) fn next_series(&mut self) -> Result<Option<(SeriesId, SeriesKey)>, ReadError> {
        while let Some((id, key)) = self.series.next()? {
            if self.has_fields(id, &key)? {
                return Ok(Some((id, key)));
            }
        }
        Ok(None)
    }

    /// Whether a series has a field left.
    pub(super) fn has_fields(&self, id: SeriesId, key: &SeriesKey) -> Result<bool, ReadError> {
        let mut any = !self.masks.touched().contains(id);
        if !any {
            self.each_field(id, key, |_| any = true)?;
        }
        Ok(any)
    }

    /// Whether a field of a series passes.
    pub(super) fn accepts(&self, predicate: &Predicate, id: SeriesId, key: &SeriesKey, field: &str) -> bool {
        self.selection.all.contains(id) || predicate.accepts(key, field)
    }
}

impl ShardSnapshot {
    /// The memtable's rows of a series, oldest first.
    pub(super) fn memory(&self, id: SeriesId) -> impl Iterator<Item = Arc<Chunk>> {
        let frozen = self.frozen.iter().flat_map(move |frozen| frozen.chunks(id));
        frozen.chain(self.active.chunks(id))
    }
}

/// What a reader of points asked for, and the engine as it was then.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) range: TimeRange,
    predicate: Predicate,
    fields: FieldSelection,
    pub(super) snapshot: Snapshot,
    pub(super) reads: Arc<Reads>,
}

/// The blocks of a scan, in series key order; those of a series ascending in time. After an error it ends.
#[derive(Debug)]
pub struct Scan {
    reading: Reading,
    packs: Packs,
    has_failed: bool,
    /// The series that is being read.
    current: Option<OpenSeries>,
}

struct OpenSeries {
    key: SeriesKey,
    /// One merge per shard, by time.
    merges: VecDeque<ShardMerge>,
    /// Also those without a value of the wanted fields.
    keeps_all_rows: bool,
}

struct ShardMerge {
    fields: Vec<FieldDef>,
    merge: Merge<Masked<SeriesPiece>>,
}

impl std::fmt::Debug for OpenSeries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenSeries").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What a shard has of a series.
pub(super) struct Pieces {
    /// The fields that are asked for, by name.
    pub(super) fields: Vec<FieldDef>,
    pub(super) pieces: Vec<Masked<SeriesPiece>>,
}

/// Rows of a series in one shard, to be loaded later.
#[derive(Debug)]
pub(super) enum SeriesPiece {
    File(FilePiece),
    Memory(MemoryPiece),
}

impl SeriesPiece {
    fn has_long_texts(&self) -> bool {
        matches!(self, Self::File(file) if file.has_long_texts())
    }

    /// The same page by page.
    pub(super) fn split(self) -> impl Iterator<Item = Self> {
        let (file, memory) = match self {
            Self::File(file) => (Some(file), None),
            Self::Memory(memory) => (None, Some(memory)),
        };
        let pages = file.into_iter().flat_map(FilePiece::split).map(Self::File);
        pages.chain(memory.map(Self::Memory))
    }
}

impl Piece for SeriesPiece {
    type Error = ReadError;

    fn times(&self) -> (i64, i64) {
        match self {
            Self::File(piece) => piece.times(),
            Self::Memory(piece) => piece.times(),
        }
    }

    fn rank(&self) -> u64 {
        match self {
            Self::File(piece) => piece.rank(),
            Self::Memory(piece) => piece.rank(),
        }
    }

    fn load(&self, fields: &[FieldDef]) -> Result<Rows, ReadError> {
        match self {
            Self::File(piece) => piece.load(fields),
            Self::Memory(piece) => piece.load(fields).map_err(|never| match never {}),
        }
    }
}

impl Engine {
    /// Reads rows as they are at this moment, whatever is applied, flushed, merged or dropped while the caller
    /// reads. Blocks have at most 8,192 rows.
    pub fn scan(&self, request: &ScanRequest) -> Result<Scan, ReadError> {
        Ok(Scan::new(self.reading(request)?))
    }

    /// What the engine has of a request at this moment; an error when it has lost some of it.
    pub(super) fn reading(&self, request: &ScanRequest) -> Result<Reading, ReadError> {
        self.reading_with(request, |_| ()).map(|(reading, ())| reading)
    }

    /// The same, and something else of the bucket at that moment.
    pub(super) fn reading_with<T>(
        &self,
        request: &ScanRequest,
        also: impl FnOnce(&Bucket) -> T,
    ) -> Result<(Reading, T), ReadError> {
        let (snapshot, other) = {
            let state = self.inner.state.read();
            match state.buckets.get(&request.bucket) {
                Some(bucket) => {
                    bucket.check_rows(&request.range)?;
                    (Snapshot::of(bucket, request.range, &request.predicate), also(bucket))
                }
                None => {
                    let none = Bucket::default();
                    (Snapshot::of(&none, request.range, &request.predicate), also(&none))
                }
            }
        };
        let (predicate, fields) = (request.predicate.clone(), request.fields.clone());
        let commons = &self.inner.commons;
        let timing = (Arc::clone(commons.pace()), Arc::clone(&self.inner.clock));
        let reads = Reads::of_query(commons.cache(), Some(timing));
        Ok((Reading::new(request.range, predicate, fields, snapshot, reads), other))
    }
}

impl Iterator for Scan {
    type Item = Result<SeriesBlock, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_block() {
            Ok(block) => block.map(Ok),
            Err(error) => {
                self.current = None;
                self.has_failed = true;
                Some(Err(error))
            }
        }
    }
}

impl Scan {
    pub(super) fn new(reading: Reading) -> Self {
        let packs = reading.packs();
        Self { reading, packs, has_failed: false, current: None }
    }

    fn next_block(&mut self) -> Result<Option<SeriesBlock>, ReadError> {
        loop {
            if let Some(series) = &mut self.current {
                if let Some(block) = series.next_block()? {
                    return Ok(Some(block));
                }
                self.current = None;
            }
            if self.has_failed {
                return Ok(None);
            }
            let Some((id, key)) = self.reading.snapshot.series.next()? else { return Ok(None) };
            self.current = Some(self.open_series(id, key)?);
        }
    }

    fn open_series(&mut self, id: SeriesId, key: SeriesKey) -> Result<OpenSeries, ReadError> {
        let mut merges = VecDeque::new();
        let (reading, packs) = (&self.reading, &mut self.packs);
        for shard in &reading.snapshot.shards {
            if let Some(Pieces { fields, pieces }) = reading.pieces_of(shard, id, &key, packs, |_| true)? {
                let merge = Merge::new(split_where_overlapping(pieces), fields.clone(), reading.range);
                merges.push_back(ShardMerge { fields, merge });
            }
        }
        Ok(OpenSeries { key, merges, keeps_all_rows: reading.keeps_all_rows(id) })
    }
}

impl Reading {
    pub(super) const fn new(
        range: TimeRange,
        predicate: Predicate,
        fields: FieldSelection,
        snapshot: Snapshot,
        reads: Arc<Reads>,
    ) -> Self {
        Self { range, predicate, fields, snapshot, reads }
    }

    /// What its reader keeps while it goes from series to series.
    pub(super) fn packs(&self) -> Packs {
        Packs::new(Arc::clone(&self.reads))
    }

    fn takes_all_rows(&self) -> bool {
        matches!(self.fields, FieldSelection::InAllRows(_))
    }

    /// Whether all rows that are stored of a series are wanted, with a value or without: nothing of it is deleted, and all
    /// of its fields are accepted.
    pub(super) fn keeps_all_rows(&self, id: SeriesId) -> bool {
        let Snapshot { masks, selection, .. } = &self.snapshot;
        self.takes_all_rows() && selection.all.contains(id) && !masks.touched().contains(id)
    }

    /// The fields that a series has in a shard, of those that are asked for and still `needed`, and the pieces that
    /// may hold rows of them; `None` when there is no such field.
    pub(super) fn pieces_of(
        &self,
        shard: &ShardSnapshot,
        id: SeriesId,
        key: &SeriesKey,
        packs: &mut Packs,
        needed: impl Fn(&FieldDef) -> bool,
    ) -> Result<Option<Pieces>, ReadError> {
        let mut fields: Vec<FieldDef> = Vec::new();
        // Where a row may be there for the sake of fields that do not count, all say which rows are there.
        let takes_all = self.takes_all_rows() && !self.keeps_all_rows(id);
        let mut add = |field: &FieldDef| {
            let is_wanted = (takes_all || self.fields.contains(&field.name))
                && needed(field)
                && !fields.iter().any(|f| same_field(f, field))
                && self.snapshot.accepts(&self.predicate, id, key, &field.name);
            if is_wanted {
                fields.push(field.clone());
            }
        };
        let mut pieces = Vec::new();
        let mask = self.snapshot.masks.of_series(id, key);
        let overlaps = |times: (i64, i64)| times.0 < self.range.end.0 && self.range.start.0 <= times.1;
        let mut in_files = Vec::new();
        for file in &shard.files {
            let Some(series) = file.find(id) else { continue };
            let times = series.unit.times;
            if !overlaps(times) || hides_all(&mask.hidden(file.entry.masked_from, times), times, None) {
                continue;
            }
            file.fields_of(&series).for_each(&mut add);
            in_files.push((file, series));
        }
        let chunks = shard.memory(id).zip(0..);
        for (chunk, sequence) in chunks.filter(|(chunk, _)| chunk.rows() > 0 && overlaps(chunk.times())) {
            let piece = SeriesPiece::Memory(MemoryPiece { chunk: Arc::clone(&chunk), sequence });
            if let Some(piece) = Masked::new(piece, mask.hidden(chunk.masked_from(), chunk.times())) {
                chunk.layout().fields.iter().for_each(&mut add);
                pieces.push(piece);
            }
        }
        let has_rows = !(in_files.is_empty() && pieces.is_empty());
        if fields.is_empty() && !(has_rows && self.keeps_all_rows(id)) {
            return Ok(None);
        }
        for (file, series) in in_files {
            for piece in FilePiece::of(file, &series, packs)?.into_iter().filter_map(|p| p.within(self.range))
            {
                let hidden = mask.hidden(file.entry.masked_from, piece.times());
                pieces.extend(Masked::new(SeriesPiece::File(piece), hidden));
            }
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name).then(a.field_type.cmp(&b.field_type)));
        Ok(Some(Pieces { fields, pieces }))
    }
}

/// Chunks that overlap something, and those of long texts, are merged page by page, so that a merge holds pages and not
/// chunks.
pub(super) fn split_where_overlapping(mut pieces: Vec<Masked<SeriesPiece>>) -> Vec<Masked<SeriesPiece>> {
    pieces.sort_by_key(|p| (p.times().0, p.rank()));
    let alone = stand_alone(&pieces);
    let mut out = Vec::with_capacity(pieces.len());
    for (piece, alone) in pieces.into_iter().zip(alone) {
        if alone && !piece.piece.has_long_texts() {
            out.push(piece);
        } else {
            out.extend(piece.split(SeriesPiece::split));
        }
    }
    out
}

impl OpenSeries {
    fn next_block(&mut self) -> Result<Option<SeriesBlock>, ReadError> {
        while let Some(shard) = self.merges.front_mut() {
            let Some(rows) = shard.merge.next_block()? else {
                self.merges.pop_front();
                continue;
            };
            let rows = if self.keeps_all_rows { rows } else { without_empty_rows(rows) };
            let block = block_of(&self.key, &shard.fields, rows);
            if block.is_some() {
                return Ok(block);
            }
        }
        Ok(None)
    }
}

/// Rows as a block, with the fields that hold a value; `None` when there are no rows.
pub(super) fn block_of(key: &SeriesKey, fields: &[FieldDef], rows: Rows) -> Option<SeriesBlock> {
    let len = rows.times.len();
    let columns = fields.iter().zip(rows.columns);
    let fields = columns
        .filter_map(|(field, column)| Some((Arc::clone(&field.name), column?)))
        .filter(|(_, column)| column.null_count() < len)
        .collect();
    (len > 0).then(|| SeriesBlock { key: key.clone(), times: rows.times, fields })
}
