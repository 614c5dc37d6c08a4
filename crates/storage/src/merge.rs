//! Merging the pieces of one series into rows in ascending time, each time once, later pieces winning field by
//! field. Scans, flushes and compactions all go through here.
//!
//! ```text
//!  pieces by first time   A |----------|
//!                         B      |----------|            rank: A < B < C (write order)
//!                         C                    |-----|
//!  emitted                | A    | A+B      |  | C   |   a piece is loaded when the sweep reaches its first time
//! ```
//! Memory: the pieces that overlap at one time, and one block of output.

use std::collections::VecDeque;

use model::{Column, FieldDef, TimeRange};

mod rows;
#[cfg(test)]
mod tests;

pub(crate) use rows::Rows;
use rows::{Pick, collapse};

/// Most rows of a block.
pub(crate) const BLOCK_ROWS_MAX: usize = 8192;
/// A block with this many bytes of text is complete.
const BLOCK_TEXT_BYTES_MAX: usize = 1 << 20;

/// Some rows of a series that can be loaded later.
pub(crate) trait Piece {
    /// Why loading fails.
    type Error;
    /// First and last time, both inclusive.
    fn times(&self) -> (i64, i64);
    /// Order of writing among the pieces of the series: of two values for one time the higher rank wins.
    fn rank(&self) -> u64;
    /// Reads the rows, ascending, each time once; columns parallel to `fields`.
    fn load(&self, fields: &[FieldDef]) -> Result<Rows, Self::Error>;
}

struct Cursor {
    rows: Rows,
    at: usize,
    rank: u64,
}

/// The merge of one series' pieces.
pub(crate) struct Merge<P> {
    fields: Vec<FieldDef>,
    range: TimeRange,
    waiting: VecDeque<P>,
    active: Vec<Cursor>,
}

impl<P: Piece> Merge<P> {
    /// Merges pieces in any order; only rows inside `range` and only `fields`.
    pub(crate) fn new(mut pieces: Vec<P>, fields: Vec<FieldDef>, range: TimeRange) -> Self {
        pieces.sort_by_key(|p| (p.times().0, p.rank()));
        Self { fields, range, waiting: pieces.into(), active: Vec::new() }
    }

    /// The next block of at most [`BLOCK_ROWS_MAX`] rows, each with at least one value; `None` at the end.
    pub(crate) fn next_block(&mut self) -> Result<Option<Rows>, P::Error> {
        let mut block = Rows::empty(self.fields.len());
        while block.times.len() < BLOCK_ROWS_MAX && block.text_bytes() < BLOCK_TEXT_BYTES_MAX {
            self.active.retain(|c| c.at < c.rows.times.len());
            let bound = self.waiting.front().map(|p| p.times().0);
            let head = self.active.iter().map(|c| c.rows.times[c.at]).min();
            match (head, bound) {
                (None, None) => break,
                (Some(head), Some(bound)) if head < bound => self.emit(Some(bound), &mut block),
                (Some(_), None) => self.emit(None, &mut block),
                (_, Some(_)) => self.load_next()?,
            }
        }
        Ok((!block.times.is_empty()).then_some(block))
    }

    fn load_next(&mut self) -> Result<(), P::Error> {
        let Some(piece) = self.waiting.pop_front() else { return Ok(()) };
        let rows = piece.load(&self.fields)?;
        let end = rows.times.partition_point(|&t| t < self.range.end.0);
        let at = rows.times.partition_point(|&t| t < self.range.start.0).min(end);
        let rows = if end < rows.times.len() { rows.slice(0..end) } else { rows };
        self.active.push(Cursor { rows, at, rank: piece.rank() });
        Ok(())
    }

    /// Appends active rows before `bound`, as many as the block takes. At least one such row exists.
    fn emit(&mut self, bound: Option<i64>, block: &mut Rows) {
        let room = BLOCK_ROWS_MAX - block.times.len();
        let before_bound =
            |c: &Cursor| bound.map_or(c.rows.times.len(), |b| c.rows.times.partition_point(|&t| t < b));
        if let [only] = &mut self.active[..] {
            let end = before_bound(only).min(only.at + room);
            if block.times.is_empty() && only.at == 0 && end == only.rows.times.len() {
                *block = std::mem::replace(&mut only.rows, Rows::empty(0));
            } else {
                block.extend(&only.rows, only.at..end);
                only.at = end;
            }
            return;
        }
        // Rows of several pieces: of each at most `room`, then cut where the times stop being complete.
        let mut picks: Vec<Pick> = Vec::new();
        let mut complete_before = i64::MAX;
        let mut order: Vec<usize> = (0..self.active.len()).collect();
        order.sort_by_key(|&i| self.active[i].rank);
        let mut ends = vec![0; self.active.len()];
        for &source in &order {
            let cursor = &self.active[source];
            let all = before_bound(cursor).max(cursor.at);
            let end = all.min(cursor.at + room);
            if end < all {
                complete_before = complete_before.min(cursor.rows.times[end]);
            }
            ends[source] = end;
        }
        for &source in &order {
            let cursor = &mut self.active[source];
            let times = &cursor.rows.times[..ends[source]];
            let end = times.partition_point(|&t| t < complete_before).max(cursor.at);
            picks.extend((cursor.at..end).map(|row| Pick::new(times[row], source, row)));
            cursor.at = end;
        }
        // Stable: equal times stay in order of rank.
        picks.sort_by_key(|p| p.time);
        let taken = groups_end(&picks, room);
        for pick in picks.drain(taken..).rev() {
            self.active[pick.source()].at = pick.row();
        }
        let sources: Vec<&Rows> = self.active.iter().map(|c| &c.rows).collect();
        collapse(&sources, &picks, self.fields.len(), block);
    }
}

/// The end of the first `count` groups of equal time.
fn groups_end(picks: &[Pick], count: usize) -> usize {
    let mut groups = 0;
    let mut previous = None;
    for (i, pick) in picks.iter().enumerate() {
        if previous != Some(pick.time) {
            if groups == count {
                return i;
            }
            groups += 1;
            previous = Some(pick.time);
        }
    }
    picks.len()
}

/// Removes rows without any value, and reports which columns hold one.
pub(crate) fn without_empty_rows(rows: Rows) -> Rows {
    let len = rows.times.len();
    if rows.columns.iter().flatten().any(|c| c.valid.is_none()) {
        return rows;
    }
    let keep: Vec<u32> = (0..len)
        .filter(|&i| rows.columns.iter().flatten().any(|c: &Column| c.is_valid(i)))
        .map(|i| u32::try_from(i).expect("a block has few rows"))
        .collect();
    if keep.len() == len { rows } else { rows.gather(&keep) }
}
