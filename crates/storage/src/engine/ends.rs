//! Scans of the first or the last rows of each series: `ORDER BY time DESC LIMIT n`, the last point of everything.
//!
//! Each series is read page by page from its oldest or newest rows on, and no further than needed. One row alone comes
//! from the statistics of the outermost page, when every field has a value in each of its rows.

use std::collections::VecDeque;

use model::{Column, ColumnType, Ends, FieldDef, ScanRequest, SeriesBlock, SeriesKey};

use super::Engine;
use super::scan::{Pieces, Reading, SeriesPiece, block_of};
use super::summarize::{Cluster, clusters, end_in_memory, in_order};
use crate::error::ReadError;
use crate::index::SeriesId;
use crate::merge::{BLOCK_ROWS_MAX, Merge, Piece, Rows, without_empty_rows};
use crate::tombstone::Masked;
use crate::tsm::{ChunkPiece, Packs};

/// The blocks of such a scan, ordered as those of a scan. After an error it ends.
#[derive(Debug)]
pub struct EndScan {
    reading: Reading,
    ends: Ends,
    packs: Packs,
    has_failed: bool,
    /// What is left of the series that was read.
    ready: VecDeque<SeriesBlock>,
}

impl Engine {
    /// Reads the outermost rows of each series, as they are at this moment. Rows without a value of the wanted fields
    /// do not count.
    pub fn scan_ends(&self, request: &ScanRequest, ends: Ends) -> Result<EndScan, ReadError> {
        let reading = self.reading(request)?;
        let packs = reading.packs();
        Ok(EndScan { reading, ends, packs, has_failed: false, ready: VecDeque::new() })
    }
}

impl Iterator for EndScan {
    type Item = Result<SeriesBlock, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(block) = self.ready.pop_front() {
                return Some(Ok(block));
            }
            if self.has_failed {
                return None;
            }
            if let Err(error) = self.read_next().transpose()? {
                self.has_failed = true;
                self.ready.clear();
                return Some(Err(error));
            }
        }
    }
}

impl EndScan {
    /// Reads the next series; `None` when there is none.
    fn read_next(&mut self) -> Result<Option<()>, ReadError> {
        match self.reading.snapshot.series.next()? {
            Some((id, key)) => self.read_series(id, &key).map(Some),
            None => Ok(None),
        }
    }

    fn read_series(&mut self, id: SeriesId, key: &SeriesKey) -> Result<(), ReadError> {
        let mut left = self.ends.rows;
        for shard in in_order(self.reading.snapshot.shards.iter(), self.ends.newest) {
            if left == 0 {
                break;
            }
            let Some(Pieces { fields, pieces }) =
                self.reading.pieces_of(shard, id, key, &mut self.packs, |_| true)?
            else {
                continue;
            };
            let pages = pieces.into_iter().flat_map(|piece| piece.split(SeriesPiece::split)).collect();
            for cluster in in_order(clusters(pages).into_iter(), self.ends.newest) {
                if left == 0 {
                    break;
                }
                let rows = match cluster {
                    Cluster::Whole(page) => self.page(&page, &fields, left)?,
                    Cluster::Merged(pieces) => {
                        let (range, newest) = (self.reading.range, self.ends.newest);
                        match end_in_memory(&pieces, &fields, range, left, newest) {
                            Some(rows) => rows,
                            None => self.merge(pieces, &fields, left)?,
                        }
                    }
                };
                let rows = without_empty_rows(rows);
                let count = rows.times.len();
                let wanted =
                    if self.ends.newest { count - left.min(count)..count } else { 0..left.min(count) };
                left -= wanted.len();
                if let Some(block) = block_of(key, &fields, rows.slice(wanted)) {
                    if self.ends.newest {
                        self.ready.push_front(block);
                    } else {
                        self.ready.push_back(block);
                    }
                }
            }
        }
        Ok(())
    }

    /// The rows of pieces that overlap: at least those at the end that is wanted, `left` of them if there are so many.
    fn merge(
        &self,
        pieces: Vec<Masked<SeriesPiece>>,
        fields: &[FieldDef],
        left: usize,
    ) -> Result<Rows, ReadError> {
        let mut merge = Merge::new(pieces, fields.to_vec(), self.reading.range);
        let mut all = Rows::empty(fields.len());
        while let Some(rows) = merge.next_block()? {
            let rows = without_empty_rows(rows);
            all.extend(&rows, 0..rows.times.len());
            let len = all.times.len();
            if !self.ends.newest && len >= left {
                break;
            }
            if self.ends.newest && len > left.saturating_add(BLOCK_ROWS_MAX) {
                all = all.slice(len - left..len);
            }
        }
        Ok(all)
    }

    /// The rows of a page that lie in the range; of one that is wanted alone perhaps only that.
    fn page(&self, page: &ChunkPiece, fields: &[FieldDef], left: usize) -> Result<Rows, ReadError> {
        let (range, times) = (self.reading.range, page.times());
        let outermost = if self.ends.newest { times.1 } else { times.0 };
        if left == 1
            && range.contains(model::Timestamp(outermost))
            && let Some(row) = by_statistics(page, fields, outermost, self.ends.newest)
        {
            return Ok(row);
        }
        let rows = page.load(fields)?;
        let end = rows.times.partition_point(|&t| t < range.end.0);
        let from = rows.times.partition_point(|&t| t < range.start.0).min(end);
        Ok(if end - from == rows.times.len() { rows } else { rows.slice(from..end) })
    }
}

/// The first or the last row of a page; `None` when its values are not known without reading.
fn by_statistics(page: &ChunkPiece, fields: &[FieldDef], time: i64, newest: bool) -> Option<Rows> {
    let at = page.pages.start;
    let mut row = Rows { times: vec![time], columns: Vec::with_capacity(fields.len()) };
    for field in fields {
        let stored = page.column(field).map(|column| column.pages.get(at)).unwrap_or_default();
        row.columns.push(match stored.filter(|stored| stored.values > 0) {
            None => None,
            Some(stored) => {
                let known =
                    stored.stats.ends().filter(|_| page.chunk.page_rows.get(at) == Some(&stored.values));
                let (first, last) = known?;
                let mut column = Column::empty(ColumnType::Field(field.field_type));
                column.push(if newest { &last } else { &first });
                Some(column)
            }
        });
    }
    Some(row)
}
