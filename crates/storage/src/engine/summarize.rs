//! Summaries: aggregates by window without handing out rows, from statistics where they say enough.
//!
//! ```text
//!  pieces of a series   |---chunk A---|  |--page--|--page--|   |--chunk B--|     by time, in one shard
//!                                            |-memory-|
//!                        alone            merged as a scan does    alone
//! ```
//! Where pieces overlap or rows are deleted, the merge decides which values count. A chunk without either is taken page
//! by page and field by field: a page that lies in the range and in one window by its statistics, any other by its values.
//!
//! When nothing but the last values is wanted, the pieces are looked at from the newest on, and only as long as a field
//! has no value yet; with the first values it is the other way round.

use std::ops::Range;
use std::sync::Arc;

use memory::{Allowance, Exhausted};
use model::summary::{Run, Section, Windows};
use model::{
    ColumnType, FieldDef, Groups, SeriesFold, SeriesKey, SummaryRequest, TimeRange, Timestamp, TooLarge,
    Wanted,
};

use super::Engine;
use super::scan::{Pieces, Reading, SeriesPiece, split_where_overlapping};
use super::sections::sections;
use super::state::Bucket;
use crate::cache::SectionKey;
use crate::compact::run::stand_alone;
use crate::error::ReadError;
use crate::index::{SeriesId, Walk};
use crate::merge::{Merge, Piece, Rows};
use crate::tombstone::Masked;
use crate::tsm::{ChunkPiece, FilePiece, Packs, PageTimes};

/// Most ranges that are computed one by one because others between them are known; each goes through all series.
const PASSES_MAX: usize = 4;

/// Why a summary failed.
#[derive(Debug, thiserror::Error)]
pub enum SummarizeError {
    /// Stored data could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The answer is larger than the request allows.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// All queries together hold as much memory as they may.
    #[error(transparent)]
    Memory(#[from] Exhausted),
    /// The caller asked to stop.
    #[error("the summary was stopped")]
    Stopped,
}

/// A summary of the engine as it was when it was asked for, to be computed on any thread.
#[derive(Debug)]
pub struct Summarize<'a> {
    request: &'a SummaryRequest,
    reading: Reading,
    /// What may have been kept of an earlier summary.
    sections: Vec<SectionKey>,
}

/// Neighbours in time, ascending.
pub(super) enum Cluster {
    /// A chunk that overlaps nothing and of which nothing is deleted.
    Whole(ChunkPiece),
    /// Anything else: read and merged as a scan does it.
    Merged(Vec<Masked<SeriesPiece>>),
}

impl Engine {
    /// Prepares a summary of the rows as they are at this moment.
    pub fn summarize<'a>(&self, request: &'a SummaryRequest) -> Result<Summarize<'a>, ReadError> {
        let kept = |bucket: &Bucket| sections(self.inner.id, bucket, request);
        let (reading, sections) = self.reading_with(&request.scan, kept)?;
        Ok(Summarize { request, reading, sections })
    }
}

impl Summarize<'_> {
    /// Number of series that may have rows: a measure of the work.
    pub fn series(&self) -> u64 {
        self.reading.snapshot.found
    }

    /// Computes it; `stop` is asked before each series, chunk and block of merged rows. Afterwards `memory` holds what
    /// the answer takes.
    pub fn run(mut self, memory: &mut Allowance, stop: &dyn Fn() -> bool) -> Result<Groups, SummarizeError> {
        let keys = std::mem::take(&mut self.sections);
        let found: Vec<_> = keys.iter().map(|key| self.reading.reads.section(key)).collect();
        let gaps = gaps(&keys, &found, self.reading.range);
        if found.iter().all(Option::is_none) || gaps.len() > PASSES_MAX {
            let series = std::mem::take(&mut self.reading.snapshot.series);
            let groups = self.pass(self.reading.range, series, memory, stop)?;
            self.keep(&groups, &keys, &found);
            return Ok(groups);
        }
        let mut parts: Vec<(i64, Arc<Section>)> = Vec::with_capacity(keys.len());
        let kept = keys
            .iter()
            .zip(&found)
            .filter_map(|(key, found)| Some((key.span.0, Arc::clone(found.as_ref()?))));
        parts.extend(kept);
        for gap in gaps {
            let series = self.reading.snapshot.series.clone();
            let before = memory.held();
            let groups = self.pass(gap, series, memory, stop)?;
            self.keep(&groups, &keys, &found);
            let section = groups.into_section();
            memory.hold(before + section.bytes())?;
            parts.push((gap.start.0, Arc::new(section)));
        }
        parts.sort_by_key(|(start, _)| *start);
        let before = memory.held();
        let groups = Groups::of_sections(self.request, parts.iter().map(|(_, section)| &**section))?;
        memory.hold(before + groups.bytes())?;
        drop(parts);
        memory.hold(groups.bytes())?;
        Ok(groups)
    }

    /// Keeps those sections of a summary that were not found.
    fn keep(&self, groups: &Groups, keys: &[SectionKey], found: &[Option<Arc<Section>>]) {
        let range = self.reading.range;
        for (key, _) in keys.iter().zip(found).filter(|(_, found)| found.is_none()) {
            let (from, until) = key.span;
            if range.start.0 <= from && until <= range.end.0 {
                self.reading.reads.keep_section(key, || groups.section(from, until));
            }
        }
    }

    /// Computes the windows of a range.
    fn pass(
        &mut self,
        range: TimeRange,
        mut series: Walk,
        memory: &mut Allowance,
        stop: &dyn Fn() -> bool,
    ) -> Result<Groups, SummarizeError> {
        self.reading.range = range;
        let held = memory.held();
        let mut groups = Groups::new(self.request);
        let mut fold = Fold {
            range,
            windows: &self.request.windows,
            series: SeriesFold::new(self.request),
            runs: Vec::new(),
            stop,
        };
        let mut packs = self.reading.packs();
        let newest = outermost(self.request);
        while let Some((id, key)) = series.next()? {
            fold.may_go_on()?;
            match newest {
                Some(newest) => self.outermost(id, &key, newest, &mut packs, &mut fold)?,
                None => self.all(id, &key, &mut packs, &mut fold)?,
            }
            fold.series.finish(&key, &mut groups)?;
            memory.hold(held + groups.bytes())?;
        }
        Ok(groups)
    }

    fn all(
        &self,
        id: SeriesId,
        key: &SeriesKey,
        packs: &mut Packs,
        fold: &mut Fold<'_>,
    ) -> Result<(), SummarizeError> {
        let range = self.reading.range;
        for shard in self.reading.snapshot.shards.iter().filter(|shard| shard.range.overlaps(&range)) {
            let Some(Pieces { fields, pieces }) = self.reading.pieces_of(shard, id, key, packs, |_| true)?
            else {
                continue;
            };
            for cluster in clusters(pieces) {
                match cluster {
                    Cluster::Whole(chunk) => fold.chunk(&chunk, &fields)?,
                    Cluster::Merged(pieces) => fold.merge(pieces, &fields)?,
                }
                fold.may_go_on()?;
            }
        }
        Ok(())
    }

    /// Only the last or the first values, from the newest or the oldest piece on.
    fn outermost(
        &self,
        id: SeriesId,
        key: &SeriesKey,
        newest: bool,
        packs: &mut Packs,
        fold: &mut Fold<'_>,
    ) -> Result<(), SummarizeError> {
        for shard in in_order(self.reading.snapshot.shards.iter(), newest) {
            let needed = |field: &FieldDef| !fold.has(field);
            let Some(Pieces { mut fields, pieces }) =
                self.reading.pieces_of(shard, id, key, packs, needed)?
            else {
                continue;
            };
            for cluster in in_order(clusters(pieces).into_iter(), newest) {
                match cluster {
                    Cluster::Whole(chunk) => fold.end_of_chunk(&chunk, &fields, newest)?,
                    Cluster::Merged(pieces) => match end_in_memory(&pieces, &fields, fold.range, 1, newest) {
                        // Only where the last row has all fields it has their last values.
                        Some(rows) if rows.columns.iter().flatten().count() == fields.len() => {
                            fold.rows(&rows, &fields);
                        }
                        _ => fold.merge(pieces, &fields)?,
                    },
                }
                fields.retain(|field| !fold.has(field));
                if fields.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// The parts of a range that no section was found for.
fn gaps(keys: &[SectionKey], found: &[Option<Arc<Section>>], range: TimeRange) -> Vec<TimeRange> {
    let mut gaps = Vec::new();
    let mut at = range.start;
    let kept = keys.iter().zip(found).filter(|(_, found)| found.is_some()).map(|(key, _)| key.span);
    for (from, until) in kept.map(|(from, until)| (Timestamp(from), Timestamp(until))) {
        gaps.push(TimeRange::new(at, from));
        at = until;
    }
    gaps.push(TimeRange::new(at, range.end));
    gaps.retain(|gap| !gap.is_empty());
    gaps
}

/// Whether nothing is wanted but the last (true) or the first values of everything.
fn outermost(request: &SummaryRequest) -> Option<bool> {
    let only = Wanted { times: request.wanted.times, ..Wanted::default() };
    let newest = request.wanted == Wanted { last: true, ..only };
    let oldest = request.wanted == Wanted { first: true, ..only };
    (request.windows == Windows::One && (newest || oldest)).then_some(newest)
}

/// Items from the newest or the oldest on.
pub(super) fn in_order<'a, T>(
    items: impl DoubleEndedIterator<Item = T> + 'a,
    newest: bool,
) -> Box<dyn Iterator<Item = T> + 'a> {
    if newest { Box::new(items.rev()) } else { Box::new(items) }
}

/// The outermost rows of a cluster that is one ascending chunk in memory; `None` when it is anything else.
pub(super) fn end_in_memory(
    pieces: &[Masked<SeriesPiece>],
    fields: &[FieldDef],
    range: TimeRange,
    rows: usize,
    newest: bool,
) -> Option<Rows> {
    let [only] = pieces else { return None };
    match &only.piece {
        SeriesPiece::Memory(memory) if only.is_whole() => memory.chunk.end(fields, range, rows, newest),
        _ => None,
    }
}

/// Pieces by time, those that overlap together.
pub(super) fn clusters(pieces: Vec<Masked<SeriesPiece>>) -> Vec<Cluster> {
    let mut pieces = split_where_overlapping(pieces);
    if !pieces.iter().all(Masked::is_whole) {
        // Of a chunk with deleted rows, the other pages are whole.
        pieces = pieces.into_iter().flat_map(|piece| piece.split(SeriesPiece::split)).collect();
    }
    pieces.sort_by_key(|p| (p.times().0, p.rank()));
    let alone = stand_alone(&pieces);
    let mut out: Vec<Cluster> = Vec::new();
    let mut reach = None;
    for (piece, alone) in pieces.into_iter().zip(alone) {
        let (start, end) = piece.times();
        let whole = alone && piece.is_whole();
        match (piece, out.last_mut()) {
            (Masked { piece: SeriesPiece::File(FilePiece::Chunk(chunk)), .. }, _) if whole => {
                out.push(Cluster::Whole(chunk));
            }
            (piece, Some(Cluster::Merged(merged))) if reach.is_some_and(|reach| start <= reach) => {
                merged.push(piece);
            }
            (piece, _) => out.push(Cluster::Merged(vec![piece])),
        }
        reach = reach.max(Some(end));
    }
    out
}

/// What a series has given so far.
struct Fold<'a> {
    range: TimeRange,
    windows: &'a Windows,
    series: SeriesFold<'a>,
    runs: Vec<Run>,
    stop: &'a dyn Fn() -> bool,
}

/// The times of a page, cut at the windows' borders.
struct PageRuns {
    times: PageTimes,
    runs: Vec<Run>,
}

impl Fold<'_> {
    fn has(&self, field: &FieldDef) -> bool {
        let column_type = ColumnType::Field(field.field_type);
        let is_it = |f: &model::FieldSummary| f.name == field.name && f.cells.column_type() == column_type;
        self.series.fields().iter().any(|f| is_it(f) && !f.cells.is_empty())
    }

    fn cut(&self, times: &[i64], runs: &mut Vec<Run>) {
        let end = times.partition_point(|&t| t < self.range.end.0);
        let from = times.partition_point(|&t| t < self.range.start.0).min(end);
        self.series.cut(times, from, end, runs);
    }

    fn rows(&mut self, rows: &Rows, fields: &[FieldDef]) {
        let mut runs = std::mem::take(&mut self.runs);
        self.cut(&rows.times, &mut runs);
        for (field, column) in fields.iter().zip(&rows.columns) {
            if let Some(column) = column {
                self.series.column(&field.name, &rows.times, column, &runs);
            }
        }
        self.runs = runs;
    }

    /// Whether the series so far is within the limits, and the caller still wants it.
    fn may_go_on(&self) -> Result<(), SummarizeError> {
        if (self.stop)() {
            return Err(SummarizeError::Stopped);
        }
        Ok(self.series.within()?)
    }

    fn merge(&mut self, pieces: Vec<Masked<SeriesPiece>>, fields: &[FieldDef]) -> Result<(), SummarizeError> {
        if let [only] = &pieces[..] {
            self.rows(&only.load(fields)?, fields);
            return Ok(());
        }
        let mut merge = Merge::new(pieces, fields.to_vec(), self.range);
        while let Some(rows) = merge.next_block()? {
            self.rows(&rows, fields);
            self.may_go_on()?;
        }
        Ok(())
    }

    /// The start of the window that holds the whole page; `None` when part of it is elsewhere.
    fn window_of(&self, (first, last): (i64, i64)) -> Option<i64> {
        let (start, end) = self.windows.of(first);
        let inside = self.range.start.0 <= first && last < self.range.end.0;
        (inside && last <= end).then_some(start)
    }

    /// Takes a chunk that overlaps nothing.
    fn chunk(&mut self, chunk: &ChunkPiece, fields: &[FieldDef]) -> Result<(), ReadError> {
        let mut times = Times { chunk, pages: Vec::new() };
        let pages = chunk.pages.clone();
        for field in fields {
            let mut at = pages.start;
            while at < pages.end {
                let Some(decode) = self.by_statistics(chunk, field, at..pages.end) else { break };
                self.by_values(chunk, field, decode.clone(), &mut times)?;
                at = decode.end;
            }
        }
        Ok(())
    }

    /// Takes pages by their statistics as long as these say enough. Answers which pages are next and must be read.
    fn by_statistics(
        &mut self,
        chunk: &ChunkPiece,
        field: &FieldDef,
        pages: Range<usize>,
    ) -> Option<Range<usize>> {
        let column = chunk.column(field)?;
        let mut to_read: Option<Range<usize>> = None;
        for at in pages {
            let (page, time) = (column.pages.get(at)?, chunk.chunk.time.pages.get(at)?);
            let part = if page.values == 0 {
                None
            } else {
                let ends = (chunk.chunk.page_rows.get(at) == Some(&page.values)).then_some(time.times);
                let wanted = self.series.wanted();
                let part = self
                    .window_of(time.times)
                    .and_then(|start| page.stats.part(wanted, start, page.values as u64, ends));
                if part.is_none() {
                    to_read.get_or_insert(at..at).end = at + 1;
                    continue;
                }
                part
            };
            if to_read.is_some() {
                break;
            }
            if let Some(part) = part {
                self.series.field(&field.name, ColumnType::Field(field.field_type)).add_part(part);
            }
        }
        to_read
    }

    fn by_values(
        &mut self,
        chunk: &ChunkPiece,
        field: &FieldDef,
        pages: Range<usize>,
        times: &mut Times<'_>,
    ) -> Result<(), ReadError> {
        let Some(column) = chunk.column(field) else { return Ok(()) };
        times.read(pages.clone(), self)?;
        let (wanted, column_type) = (self.series.wanted(), ColumnType::Field(field.field_type));
        let cells = self.series.field(&field.name, column_type);
        chunk.each_page(field, column, pages, |at, values| {
            let Some(PageRuns { times, runs }) = times.page(at) else { return };
            runs.iter().for_each(|run| cells.add_rows(wanted, run, times.as_slice(), values));
        })
    }

    /// Takes the last or the first value of each field in a chunk that overlaps nothing.
    fn end_of_chunk(
        &mut self,
        chunk: &ChunkPiece,
        fields: &[FieldDef],
        newest: bool,
    ) -> Result<(), ReadError> {
        let mut times = Times { chunk, pages: Vec::new() };
        for field in fields {
            for at in in_order(chunk.pages.clone(), newest) {
                if let Some(read) = self.by_statistics(chunk, field, at..at + 1) {
                    self.by_values(chunk, field, read, &mut times)?;
                }
                if self.has(field) {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// The times of a chunk's pages, read once for all fields.
struct Times<'a> {
    chunk: &'a ChunkPiece,
    /// By page of the piece.
    pages: Vec<Option<PageRuns>>,
}

impl Times<'_> {
    fn place(&self, page: usize) -> usize {
        page - self.chunk.pages.start
    }

    fn page(&self, page: usize) -> Option<&PageRuns> {
        self.pages.get(self.place(page)).and_then(Option::as_ref)
    }

    /// Makes sure that the times of some pages are here.
    fn read(&mut self, pages: Range<usize>, fold: &Fold<'_>) -> Result<(), ReadError> {
        self.pages.resize_with(self.chunk.pages.len(), || None);
        let mut at = pages.start;
        while at < pages.end {
            let end = (at..pages.end).find(|page| self.page(*page).is_some()).unwrap_or(pages.end);
            if end > at {
                for (page, times) in (at..end).zip(self.chunk.page_times(at..end)?) {
                    let mut runs = Vec::new();
                    fold.cut(times.as_slice(), &mut runs);
                    let place = self.place(page);
                    if let Some(slot) = self.pages.get_mut(place) {
                        *slot = Some(PageRuns { times, runs });
                    }
                }
            }
            at = end + 1;
        }
        Ok(())
    }
}
