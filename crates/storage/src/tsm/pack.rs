//! Packs: short series that share pages, and the pieces of a series whatever unit it is in.
//!
//! A pack has at most 1,024 rows. Its times are read when a series of it is first wanted, a field's values when
//! they are; then all its series have them. Whoever reads series after series keeps the last packs in [`Packs`], so
//! that neighbours cost one reading.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use model::{Column, ColumnType, FieldDef, TimeRange, Values};

use super::directory::ChunkEntry;
use super::format::{CHUNK_ROWS_MAX, PAGE_ROWS_MAX};
use super::reader::{ChunkPiece, FileSeries, TsmFile};
use super::table::Unit;
use crate::cache::Reads;
use crate::error::{Damage, ReadError};
use crate::layout::same_field;
use crate::merge::{Piece, Rows};

/// Packs that are kept: enough for a few files whose series take turns. Each holds at most 1,024 rows.
const PACKS_MAX: usize = 32;

/// The packs that a reader read last, and how it uses the cache.
#[derive(Debug)]
pub(crate) struct Packs {
    recent: VecDeque<Arc<Pack>>,
    reads: Arc<Reads>,
}

impl Packs {
    /// None yet.
    pub(crate) fn new(reads: Arc<Reads>) -> Self {
        Self { recent: VecDeque::new(), reads }
    }

    fn get(&mut self, file: &Arc<TsmFile>, unit: &Unit) -> Result<Arc<Pack>, ReadError> {
        let is_it = |pack: &Arc<Pack>| pack.offset == unit.offset && Arc::ptr_eq(&pack.file, file);
        if let Some(at) = self.recent.iter().rposition(is_it) {
            let pack = self.recent.remove(at).expect("it was found there");
            self.recent.push_back(Arc::clone(&pack));
            return Ok(pack);
        }
        let pack = Arc::new(Pack::open(file, unit, &self.reads)?);
        if self.recent.len() == PACKS_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(Arc::clone(&pack));
        Ok(pack)
    }
}

/// A pack that is being read.
#[derive(Debug)]
struct Pack {
    file: Arc<TsmFile>,
    reads: Arc<Reads>,
    offset: u64,
    /// Where the rows of each series end.
    ends: Vec<usize>,
    chunk: ChunkEntry,
    times: Vec<i64>,
    /// By place in the chunk.
    columns: Vec<OnceLock<Column>>,
}

impl Pack {
    fn open(file: &Arc<TsmFile>, unit: &Unit, reads: &Arc<Reads>) -> Result<Self, ReadError> {
        let (ends, chunks) = file.directory(unit)?;
        let Ok([chunk]) = <[ChunkEntry; 1]>::try_from(chunks) else { unreachable!("a pack is one chunk") };
        let pages: Vec<_> = chunk.time.pages.iter().map(|p| (p.offset, p.len)).collect();
        let shared = &chunk.time.shared;
        let time = file.read_column(ColumnType::Time, shared, &pages, &chunk.page_rows, reads)?;
        let Values::Time(times) = time.values else { unreachable!("a time column was asked for") };
        let starts = [0].into_iter().chain(ends.iter().copied());
        let ascend = starts
            .zip(&ends)
            .all(|(start, &end)| times.get(start..end).is_some_and(|times| times.is_sorted_by(|a, b| a < b)));
        let within = times.iter().all(|t| unit.times.0 <= *t && *t <= unit.times.1);
        if time.valid.is_some() || !ascend || !within {
            return Err(file.damaged(unit.offset, Damage::Malformed("times")));
        }
        let columns = chunk.fields.iter().map(|_| OnceLock::new()).collect();
        let (file, reads) = (Arc::clone(file), Arc::clone(reads));
        Ok(Self { file, reads, offset: unit.offset, ends, chunk, times, columns })
    }

    /// The values of a field of all series; `None` when none has the field.
    fn column(&self, field: &FieldDef) -> Result<Option<&Column>, ReadError> {
        let fields = &self.file.footer.fields;
        let is_it = |(place, _): &(u32, _)| fields.get(*place as usize).is_some_and(|f| same_field(f, field));
        let Some(at) = self.chunk.fields.iter().position(is_it) else { return Ok(None) };
        if let Some(column) = self.columns[at].get() {
            return Ok(Some(column));
        }
        let ChunkEntry { fields, page_rows, .. } = &self.chunk;
        let column = self.file.read_field(field, &fields[at].1, &(0..1), page_rows, &self.reads)?;
        Ok(column.map(|column| self.columns[at].get_or_init(|| column)))
    }
}

/// The rows of one series in a pack.
#[derive(Debug, Clone)]
pub(crate) struct PackPiece {
    pack: Arc<Pack>,
    /// Not empty.
    rows: Range<usize>,
}

impl Piece for PackPiece {
    type Error = ReadError;

    fn times(&self) -> (i64, i64) {
        let times = self.pack.times.get(self.rows.clone()).unwrap_or(&[]);
        (times.first().copied().unwrap_or(i64::MAX), times.last().copied().unwrap_or(i64::MIN))
    }

    fn rank(&self) -> u64 {
        self.pack.file.entry.order
    }

    fn load(&self, fields: &[FieldDef]) -> Result<Rows, ReadError> {
        let times = self.pack.times.get(self.rows.clone()).unwrap_or(&[]).to_vec();
        let of_series = |field| {
            let Some(column) = self.pack.column(field)? else { return Ok(None) };
            let mut part = Column::empty(column.column_type());
            part.extend_from(column, self.rows.start, self.rows.end);
            let nulls = part.null_count();
            if nulls == 0 {
                part.valid = None;
            }
            Ok((nulls < part.len()).then_some(part))
        };
        let columns = fields.iter().map(of_series).collect::<Result<_, ReadError>>()?;
        Ok(Rows { times, columns })
    }
}

/// Rows of a series in a file.
#[derive(Debug, Clone)]
pub(crate) enum FilePiece {
    Chunk(ChunkPiece),
    Packed(PackPiece),
}

impl FilePiece {
    /// The pieces of a series, by time.
    pub(crate) fn of(
        file: &Arc<TsmFile>,
        series: &FileSeries,
        packs: &mut Packs,
    ) -> Result<Vec<Self>, ReadError> {
        if !series.unit.is_pack() {
            let reads = &packs.reads;
            let chunks = file.chunks(series, reads)?;
            return Ok(chunks
                .iter()
                .map(|chunk| Self::Chunk(ChunkPiece::whole(file, chunk, reads)))
                .collect());
        }
        let pack = packs.get(file, &series.unit)?;
        let slot = usize::try_from(series.slot()).unwrap_or(usize::MAX);
        let start = slot.checked_sub(1).and_then(|before| pack.ends.get(before)).copied().unwrap_or(0);
        let end = pack.ends.get(slot).copied().unwrap_or(start);
        Ok(vec![Self::Packed(PackPiece { pack, rows: start..end })])
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Chunk(piece) => piece.chunk.page_rows.get(piece.pages.clone()).unwrap_or(&[]).iter().sum(),
            Self::Packed(piece) => piece.rows.len(),
        }
    }

    /// Whether it has more pages than rows alone make necessary, because its texts are long: a reader with little memory
    /// takes it page by page.
    pub(crate) fn has_long_texts(&self) -> bool {
        matches!(self, Self::Chunk(piece) if piece.pages.len() > CHUNK_ROWS_MAX / PAGE_ROWS_MAX)
    }

    /// The pages of it that overlap a range; `None` when none does.
    pub(crate) fn within(self, range: TimeRange) -> Option<Self> {
        match self {
            Self::Chunk(piece) => {
                let pages = &piece.chunk.time.pages;
                let first = pages.partition_point(|p| p.times.1 < range.start.0);
                let end = pages.partition_point(|p| p.times.0 < range.end.0);
                (first < end).then(|| Self::Chunk(ChunkPiece { pages: first..end, ..piece }))
            }
            Self::Packed(piece) => {
                let (first, last) = piece.times();
                (first < range.end.0 && range.start.0 <= last).then_some(Self::Packed(piece))
            }
        }
    }

    /// The same in parts that a merge can hold one at a time.
    pub(crate) fn split(self) -> Vec<Self> {
        match self {
            Self::Chunk(piece) => piece.split().map(Self::Chunk).collect(),
            Self::Packed(piece) => vec![Self::Packed(piece)],
        }
    }
}

impl Piece for FilePiece {
    type Error = ReadError;

    fn times(&self) -> (i64, i64) {
        match self {
            Self::Chunk(piece) => piece.times(),
            Self::Packed(piece) => piece.times(),
        }
    }

    fn rank(&self) -> u64 {
        match self {
            Self::Chunk(piece) => piece.rank(),
            Self::Packed(piece) => piece.rank(),
        }
    }

    fn load(&self, fields: &[FieldDef]) -> Result<Rows, ReadError> {
        match self {
            Self::Chunk(piece) => piece.load(fields),
            Self::Packed(piece) => piece.load(fields),
        }
    }
}
