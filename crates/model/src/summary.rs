//! Summaries: what aggregates need to know of a field's values, by series or group of series and by window of time.
//!
//! One request stands for `count`, `sum`, `mean`, `min`, `max`, `spread`, `first` and `last`. Whoever holds the data
//! answers it without handing out rows, and may use what it knows of whole pages.
//!
//! ```text
//!  rows of a series    | . . . . . | . . . . . | . . . |      windows
//!  cells of a field    |   cell    |   cell    |  cell |      only where there is a value
//!  groups              cells of the group's series, merged window by window, in order of series
//! ```
//! The rules, which do not depend on how the values are stored:
//! - Nulls do not count, and a window without values has no cell.
//! - Integers are summed exactly in 128 bits. Floats are summed in order of rows; where a page is taken by its
//!   statistics, the page's sum (itself in order of rows) is one term. Series are added in order of their keys within
//!   a partition, partitions by number. Two ways to sum n values differ by at most 2n · 2⁻⁵³ · Σ|value|.
//! - Squared distances from the mean are taken run by run of rows, each from its own mean, and joined by the update of
//!   Chan, Golub and LeVeque (1983), which for one value is Welford's: no digits cancel out as in a difference of sums.
//! - `min` and `max` begin with the first value and change to one that is strictly less or greater, so a NaN stays
//!   when it comes first and is passed over later. Of equal ones the first in time counts, across series too.
//! - Of several series with a first (or last) value at one time, the greater value counts; of booleans, `first`
//!   takes the lesser.

use std::collections::HashMap;
use std::sync::Arc;

use crate::column::{Column, ColumnType};
use crate::scan::{ScanRequest, SeriesBlock};
use crate::series::SeriesKey;
use crate::time::Timestamp;
use crate::varint;

mod cells;
mod section;
#[cfg(test)]
mod tests;

pub use cells::{Cells, Part, Point, Sum, Sums};
pub use section::Section;

/// How time is cut into windows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Windows {
    /// One window for everything; it starts at 0.
    One,
    /// Windows of equal length, counted from `offset`.
    Every {
        /// Their length in nanoseconds, more than 0.
        every: i64,
        /// Where one of them starts.
        offset: i64,
    },
}

impl Windows {
    /// The start of the window of a time, and its last instant. Both stay within the times that a point may have.
    pub fn of(&self, time: i64) -> (i64, i64) {
        match *self {
            Self::One => (0, i64::MAX),
            Self::Every { every, offset } => {
                let into = match time.checked_sub(offset) {
                    Some(shifted) => shifted.rem_euclid(every),
                    // At the ends of time; what is left of a division by `every` fits where `every` does.
                    None => {
                        let shifted = i128::from(time) - i128::from(offset);
                        i64::try_from(shifted.rem_euclid(i128::from(every))).unwrap_or(0)
                    }
                };
                let start = time.saturating_sub(into).max(Timestamp::MIN.0);
                (start, time.saturating_add(every - 1 - into))
            }
        }
    }
}

/// What is wanted of each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Wanted {
    /// The number of values. Without it any number above 0 may be told.
    pub count: bool,
    /// The sum.
    pub sum: bool,
    /// The sum of the squared distances from the mean; the sum and the number come with it.
    pub squares: bool,
    /// The least value.
    pub min: bool,
    /// The greatest value.
    pub max: bool,
    /// The first value and its time.
    pub first: bool,
    /// The last value and its time.
    pub last: bool,
    /// The times of the least and the greatest value. Without it they are not searched for, and told as 0.
    pub times: bool,
}

impl Wanted {
    /// Everything.
    pub const ALL: Self = Self {
        count: true,
        sum: true,
        squares: true,
        min: true,
        max: true,
        first: true,
        last: true,
        times: true,
    };

    /// With what comes with it.
    #[must_use]
    pub const fn whole(self) -> Self {
        Self { count: self.count || self.squares, sum: self.sum || self.squares, ..self }
    }
}

/// What makes a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Grouping {
    /// Each series is one.
    Series,
    /// Series whose tags with these keys have equal values; a tag that is not there has the empty value.
    Tags(Vec<String>),
}

/// What to summarize.
#[derive(Debug, Clone)]
pub struct SummaryRequest {
    /// Which values.
    pub scan: ScanRequest,
    /// Cut how.
    pub windows: Windows,
    /// What of them.
    pub wanted: Wanted,
    /// Put together how.
    pub grouping: Grouping,
    /// Most cells of the answer, over all groups and fields.
    pub cells_max: usize,
    /// Most rows to summarize.
    pub rows_max: u64,
}

/// Why a summary is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// The answer would have more cells than allowed.
    #[error("the summary needs more than {0} windows")]
    Cells(usize),
    /// More rows than allowed.
    #[error("the summary needs more than {0} rows")]
    Rows(u64),
}

/// The cells of one field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldSummary {
    /// The field.
    pub name: Arc<str>,
    /// Its windows.
    pub cells: Cells,
}

/// One group: a series, or all series with these values of the tags.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSummary {
    /// The series, or one of the group's.
    pub key: SeriesKey,
    /// The values of the grouping's tags, in its order; empty for a series.
    pub tags: Vec<String>,
    /// The fields that have values; of a series by name.
    pub fields: Vec<FieldSummary>,
}

/// The cells of one series while its rows come in, ascending in time.
#[derive(Debug)]
pub struct SeriesFold<'a> {
    windows: &'a Windows,
    wanted: Wanted,
    cells_max: usize,
    fields: Vec<FieldSummary>,
}

/// Rows of a block that lie in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The window's start.
    pub start: i64,
    /// The first row.
    pub from: usize,
    /// The row after the last.
    pub to: usize,
}

impl<'a> SeriesFold<'a> {
    /// No rows yet.
    pub const fn new(request: &'a SummaryRequest) -> Self {
        Self {
            windows: &request.windows,
            wanted: request.wanted.whole(),
            cells_max: request.cells_max,
            fields: Vec::new(),
        }
    }

    /// What is wanted.
    pub const fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// The fields that have cells.
    pub fn fields(&self) -> &[FieldSummary] {
        &self.fields
    }

    /// Cuts ascending times, of which rows `from..to` count, at the windows' borders.
    pub fn cut(&self, times: &[i64], from: usize, to: usize, runs: &mut Vec<Run>) {
        runs.clear();
        let mut at = from;
        while let Some(&time) = times.get(at).filter(|_| at < to) {
            let (start, last) = self.windows.of(time);
            let rest = times.get(at..to).unwrap_or(&[]);
            let len = if rest.last().is_some_and(|t| *t <= last) {
                rest.len()
            } else {
                rest.partition_point(|t| *t <= last).max(1)
            };
            runs.push(Run { start, from: at, to: at + len });
            at += len;
        }
    }

    /// The cells of a field.
    pub fn field(&mut self, name: &Arc<str>, column_type: ColumnType) -> &mut Cells {
        let same = |f: &FieldSummary| f.cells.column_type() == column_type && f.name == *name;
        let at = self.fields.iter().position(same).unwrap_or_else(|| {
            self.fields.push(FieldSummary { name: Arc::clone(name), cells: Cells::new(column_type) });
            self.fields.len() - 1
        });
        &mut self.fields[at].cells
    }

    /// Takes a column of the rows that were cut.
    pub fn column(&mut self, name: &Arc<str>, times: &[i64], column: &Column, runs: &[Run]) {
        let wanted = self.wanted;
        let cells = self.field(name, column.column_type());
        for run in runs {
            cells.add_rows(wanted, run, times, column);
        }
    }

    /// Takes a block of rows.
    pub fn block(&mut self, block: &SeriesBlock, runs: &mut Vec<Run>) {
        self.cut(&block.times, 0, block.times.len(), runs);
        for (name, column) in &block.fields {
            self.column(name, &block.times, column, runs);
        }
    }

    /// Whether this series alone has no more cells than the answer may have.
    pub fn within(&self) -> Result<(), TooLarge> {
        let cells: usize = self.fields.iter().map(|f| f.cells.len()).sum();
        if cells > self.cells_max { Err(TooLarge::Cells(self.cells_max)) } else { Ok(()) }
    }

    /// Ends the series: what it has goes into its group.
    pub fn finish(&mut self, key: &SeriesKey, groups: &mut Groups) -> Result<(), TooLarge> {
        self.fields.retain(|f| !f.cells.is_empty());
        let mut fields = std::mem::take(&mut self.fields);
        if fields.is_empty() {
            return Ok(());
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        let rows = |f: &FieldSummary| f.cells.counts.iter().sum::<u64>();
        groups.count_rows(fields.iter().map(rows).max().unwrap_or(0))?;
        groups.add(key, fields)
    }
}

/// Memory of a group without its names, about: with its place in the index, and as much again because both grow by
/// doubling.
const GROUP_BYTES: usize = 2 * (size_of::<GroupSummary>() + size_of::<(Vec<u8>, usize)>() + 16);
/// Memory of a field without its cells, about: each of their vectors has an allocation of its own.
const FIELD_BYTES: usize = size_of::<FieldSummary>() + 128;
/// Memory of a window, about.
pub const CELL_BYTES: usize = 104;

/// Groups while series come in.
#[derive(Debug)]
pub struct Groups {
    grouping: Grouping,
    wanted: Wanted,
    cells_max: usize,
    rows_max: u64,
    cells: usize,
    bytes: usize,
    rows: u64,
    /// By the values of the tags, each with its length before it.
    index: HashMap<Vec<u8>, usize>,
    groups: Vec<GroupSummary>,
    scratch: Vec<u8>,
}

/// The values of tags as the index knows them.
fn put_tags<'a>(scratch: &mut Vec<u8>, tags: impl Iterator<Item = &'a str>) {
    scratch.clear();
    tags.for_each(|tag| varint::put_bytes(scratch, tag.as_bytes()));
}

impl Groups {
    /// No groups yet.
    pub fn new(request: &SummaryRequest) -> Self {
        Self {
            grouping: request.grouping.clone(),
            wanted: request.wanted.whole(),
            cells_max: request.cells_max,
            rows_max: request.rows_max,
            cells: 0,
            bytes: 0,
            rows: 0,
            index: HashMap::new(),
            groups: Vec::new(),
            scratch: Vec::new(),
        }
    }

    fn add(&mut self, key: &SeriesKey, fields: Vec<FieldSummary>) -> Result<(), TooLarge> {
        let Grouping::Tags(dimensions) = &self.grouping else {
            let group = GroupSummary { key: key.clone(), tags: Vec::new(), fields };
            return self.push(group);
        };
        put_tags(&mut self.scratch, dimensions.iter().map(|dimension| key.tag(dimension).unwrap_or("")));
        if let Some(&at) = self.index.get(&self.scratch) {
            return self.merge_at(at, fields);
        }
        let tags = dimensions.iter().map(|d| key.tag(d).unwrap_or("").to_owned()).collect();
        self.index.insert(self.scratch.clone(), self.groups.len());
        self.push(GroupSummary { key: key.clone(), tags, fields })
    }

    fn push(&mut self, mut group: GroupSummary) -> Result<(), TooLarge> {
        // As a rule there is one field, and room for four.
        group.fields.shrink_to_fit();
        let more = group.fields.iter().map(|f| f.cells.len()).sum();
        let tags: usize = group.tags.iter().map(|tag| size_of::<String>() + tag.len()).sum();
        self.bytes += GROUP_BYTES + group.key.as_bytes().len() + 2 * tags + group.fields.len() * FIELD_BYTES;
        self.groups.push(group);
        self.count(more)
    }

    /// Memory that it takes, about.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows that were summarized, at least.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    fn count_rows(&mut self, more: u64) -> Result<(), TooLarge> {
        self.rows = self.rows.saturating_add(more);
        if self.rows > self.rows_max { Err(TooLarge::Rows(self.rows_max)) } else { Ok(()) }
    }

    fn count(&mut self, more: usize) -> Result<(), TooLarge> {
        self.cells = self.cells.saturating_add(more);
        self.bytes = self.bytes.saturating_add(more.saturating_mul(CELL_BYTES));
        if self.cells > self.cells_max { Err(TooLarge::Cells(self.cells_max)) } else { Ok(()) }
    }

    /// Takes windows of a field that were summarized elsewhere. Those of one group, and of one field of it, may come in
    /// several pieces one after the other, ascending in time.
    ///
    /// # Errors
    /// There are more cells than allowed.
    pub fn receive(&mut self, key: &SeriesKey, field: FieldSummary) -> Result<(), TooLarge> {
        match self.groups.last() {
            Some(last) if self.grouping == Grouping::Series && last.key == *key => {
                self.merge_at(self.groups.len() - 1, vec![field])
            }
            _ => self.add(key, vec![field]),
        }
    }

    /// Counts rows that were summarized elsewhere.
    ///
    /// # Errors
    /// There are more than allowed.
    pub fn receive_rows(&mut self, rows: u64) -> Result<(), TooLarge> {
        self.count_rows(rows)
    }

    fn merge_at(&mut self, at: usize, fields: Vec<FieldSummary>) -> Result<(), TooLarge> {
        let (wanted, mine) = (self.wanted, &mut self.groups[at].fields);
        let mut more = 0;
        for field in fields {
            let same = |f: &&mut FieldSummary| {
                f.name == field.name && f.cells.column_type() == field.cells.column_type()
            };
            if let Some(known) = mine.iter_mut().find(same) {
                let before = known.cells.len();
                known.cells.merge(wanted, field.cells);
                more += known.cells.len() - before;
            } else {
                more += field.cells.len();
                self.bytes += FIELD_BYTES;
                mine.push(field);
            }
        }
        self.count(more)
    }

    /// Takes the groups of other series, which come after those that are here.
    pub fn merge(&mut self, other: Self) -> Result<(), TooLarge> {
        self.count_rows(other.rows)?;
        for group in other.groups {
            self.add(&group.key, group.fields)?;
        }
        Ok(())
    }

    /// The groups: series by key, groups of tags in order of appearance.
    pub fn finish(mut self) -> Vec<GroupSummary> {
        if self.grouping == Grouping::Series {
            self.groups.sort_by(|a, b| a.key.cmp(&b.key));
        }
        self.groups
    }
}

/// Summarizes the blocks of a scan: what a source does that has nothing better.
pub fn of_blocks<E: From<TooLarge>>(
    request: &SummaryRequest,
    blocks: impl Iterator<Item = Result<SeriesBlock, E>>,
) -> Result<Groups, E> {
    let mut groups = Groups::new(request);
    let mut series = SeriesFold::new(request);
    let mut runs = Vec::new();
    let mut current: Option<SeriesKey> = None;
    for block in blocks {
        let block = block?;
        if let Some(key) = current.replace(block.key.clone()).filter(|key| *key != block.key) {
            series.finish(&key, &mut groups)?;
        }
        series.block(&block, &mut runs);
        series.within()?;
    }
    if let Some(key) = current {
        series.finish(&key, &mut groups)?;
    }
    Ok(groups)
}
