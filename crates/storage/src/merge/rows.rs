//! Rows of one series as columns, and the choice among several values for one time.

use std::ops::Range;

use model::{Bitmap, Column, ColumnType, Values};

/// Times with columns. A column is `None` when no row holds a value of it. What owns the rows knows the fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rows {
    pub(crate) times: Vec<i64>,
    pub(crate) columns: Vec<Option<Column>>,
}

/// A row of a source that takes part in the result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick {
    pub(super) time: i64,
    source: u32,
    row: u32,
}

impl Pick {
    pub(super) fn new(time: i64, source: usize, row: usize) -> Self {
        let small = |n: usize| u32::try_from(n).expect("pieces are few and small");
        Self { time, source: small(source), row: small(row) }
    }

    pub(super) fn source(self) -> usize {
        self.source as usize
    }

    pub(super) fn row(self) -> usize {
        self.row as usize
    }
}

impl Rows {
    pub(crate) fn empty(columns: usize) -> Self {
        Self { times: Vec::new(), columns: vec![None; columns] }
    }

    /// Bytes of text in all columns.
    pub(crate) fn text_bytes(&self) -> usize {
        let bytes = |c: &Column| match &c.values {
            Values::String(s) => s.data_bytes(),
            _ => 0,
        };
        self.columns.iter().flatten().map(bytes).sum()
    }

    /// Appends rows of another with the same fields.
    pub(crate) fn extend(&mut self, other: &Self, rows: Range<usize>) {
        let before = self.times.len();
        self.times.extend_from_slice(&other.times[rows.clone()]);
        for (mine, theirs) in self.columns.iter_mut().zip(&other.columns) {
            match theirs {
                Some(theirs) => mine
                    .get_or_insert_with(|| nulls(theirs.column_type(), before))
                    .extend_from(theirs, rows.start, rows.end),
                None => {
                    if let Some(mine) = mine {
                        rows.clone().for_each(|_| mine.push_null());
                    }
                }
            }
        }
    }

    /// Some of the rows.
    pub(crate) fn slice(&self, rows: Range<usize>) -> Self {
        let mut part = Self::empty(self.columns.len());
        part.extend(self, rows);
        part
    }

    /// The rows at `indices`, in that order.
    pub(crate) fn gather(&self, indices: &[u32]) -> Self {
        Self {
            times: indices.iter().map(|&i| self.times[i as usize]).collect(),
            columns: self.columns.iter().map(|c| c.as_ref().map(|c| c.gather(indices))).collect(),
        }
    }

    /// Sorts rows that stand in order of arrival by time; of rows with one time the later wins, field by field.
    pub(crate) fn into_ascending(self) -> Self {
        let mut picks: Vec<Pick> =
            self.times.iter().enumerate().map(|(row, &time)| Pick::new(time, 0, row)).collect();
        picks.sort_by_key(|p| p.time);
        let mut sorted = Self::empty(self.columns.len());
        collapse(&[&self], &picks, self.columns.len(), &mut sorted);
        sorted
    }
}

fn nulls(column_type: ColumnType, len: usize) -> Column {
    if len == 0 { Column::empty(column_type) } else { Column::nulls(column_type, len) }
}

/// Appends the picked rows to `out`, one per distinct time: each field takes the last value among the rows of
/// that time. Picks are sorted by time; those of one time from the weakest to the strongest.
pub(super) fn collapse(sources: &[&Rows], picks: &[Pick], columns: usize, out: &mut Rows) {
    let before = out.times.len();
    // Ends of the groups of equal time.
    let mut ends: Vec<usize> = Vec::with_capacity(picks.len());
    for (i, pick) in picks.iter().enumerate() {
        if picks.get(i + 1).is_none_or(|next| next.time != pick.time) {
            ends.push(i + 1);
            out.times.push(pick.time);
        }
    }
    for field in 0..columns {
        let of_sources: Vec<Option<&Column>> = sources.iter().map(|s| s.columns[field].as_ref()).collect();
        let Some(column_type) = of_sources.iter().flatten().map(|c| c.column_type()).next() else {
            if let Some(mine) = &mut out.columns[field] {
                ends.iter().for_each(|_| mine.push_null());
            }
            continue;
        };
        let winner = |group: &[Pick]| {
            group
                .iter()
                .rev()
                .find(|p| of_sources[p.source as usize].is_some_and(|c| c.is_valid(p.row as usize)))
                .copied()
        };
        let mut start = 0;
        let winners: Vec<Option<Pick>> = ends
            .iter()
            .map(|&end| {
                let group = &picks[start..end];
                start = end;
                winner(group)
            })
            .collect();
        let mine = out.columns[field].get_or_insert_with(|| nulls(column_type, before));
        append_winners(mine, &of_sources, &winners);
    }
}

/// Appends one value (or null) per winner.
fn append_winners(out: &mut Column, sources: &[Option<&Column>], winners: &[Option<Pick>]) {
    let len = out.len();
    if out.valid.is_some() || winners.iter().any(Option::is_none) {
        let valid = out.valid.get_or_insert_with(|| Bitmap::filled(true, len));
        winners.iter().for_each(|w| valid.push(w.is_some()));
    }
    macro_rules! each {
        ($variant:ident, $out:expr, $zero:expr, |$values:ident, $row:ident| $get:expr) => {
            for winner in winners {
                let value = winner.and_then(|w| match sources[w.source as usize].map(|c| &c.values) {
                    Some(Values::$variant($values)) => {
                        let $row = w.row as usize;
                        Some($get)
                    }
                    _ => None,
                });
                $out.push(value.unwrap_or($zero));
            }
        };
    }
    match &mut out.values {
        Values::Float(v) => each!(Float, v, 0.0, |from, row| from[row]),
        Values::Integer(v) => each!(Integer, v, 0, |from, row| from[row]),
        Values::Unsigned(v) => each!(Unsigned, v, 0, |from, row| from[row]),
        Values::Boolean(v) => each!(Boolean, v, false, |from, row| from.get(row)),
        Values::String(v) => each!(String, v, "", |from, row| from.get(row)),
        Values::Time(v) => each!(Time, v, 0, |from, row| from[row]),
    }
}
