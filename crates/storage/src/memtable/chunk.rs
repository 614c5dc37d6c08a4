//! A chunk: up to [`ROWS_MAX`] rows of one series, row after row in 64-bit words.
//!
//! ```text
//!  | time | value 0 | value 1 | ... | presence bits, 64 per word |   one row, `layout.stride()` words
//! ```
//! Floats are stored as their bits, booleans as 0 and 1, strings as `offset << 32 | length` into `text`. One
//! allocation grows by doubling, so a row costs one run of cache lines however many fields it has.
//!
//! Rows stand in order of arrival; `ascending` says whether their times rise strictly, which spares readers the
//! sorting.

use std::ops::Range;
use std::sync::Arc;

use model::{Bitmap, Column, ColumnType, FieldDef, FieldType, StringColumn, TimeRange, Values};

use crate::layout::{Layout, Layouts};
use crate::merge::{Rows, without_empty_rows};

/// Most rows of a chunk.
pub(crate) const ROWS_MAX: usize = 1024;
/// A chunk that holds this many bytes of text takes no more rows.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;

/// Rows as they come from a batch: the columns that hold values, and the layout that lists exactly those.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) layout: &'a Arc<Layout>,
    pub(crate) times: &'a [i64],
    pub(crate) columns: &'a [&'a Column],
    /// Tombstones of this sequence and later hide the rows.
    pub(crate) masked_from: u64,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    layout: Arc<Layout>,
    words: Vec<u64>,
    text: String,
    rows: usize,
    ascending: bool,
    min_time: i64,
    max_time: i64,
    masked_from: u64,
}

impl Chunk {
    pub(crate) fn new(layout: Arc<Layout>, masked_from: u64) -> Self {
        Self {
            layout,
            words: Vec::new(),
            text: String::new(),
            rows: 0,
            ascending: true,
            min_time: i64::MAX,
            max_time: i64::MIN,
            masked_from,
        }
    }

    /// Tombstones of this sequence and later hide rows of the chunk.
    pub(crate) fn masked_from(&self) -> u64 {
        self.masked_from
    }

    pub(crate) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// First and last time, both inclusive. Meaningless while there are no rows.
    pub(crate) fn times(&self) -> (i64, i64) {
        (self.min_time, self.max_time)
    }

    /// Memory held by the rows.
    pub(crate) fn bytes(&self) -> usize {
        self.words.capacity() * 8 + self.text.capacity()
    }

    /// How many rows with the fields of `source` still fit; zero also when the layout lacks a field, and when a
    /// tombstone stands between the rows.
    pub(crate) fn room(&self, source: &Source<'_>) -> usize {
        if self.masked_from < source.masked_from {
            return 0;
        }
        if self.layout.has_all(source.layout) && self.text.len() < TEXT_BYTES_MAX {
            ROWS_MAX.saturating_sub(self.rows)
        } else {
            0
        }
    }

    /// The layout of the chunk that follows this one when rows of `source` come: all fields of both, so that a
    /// series whose rows take turns with their fields settles on one layout.
    pub(crate) fn layout_for(&self, source: &Source<'_>, layouts: &mut Layouts) -> Arc<Layout> {
        let missing: Vec<_> =
            source.layout.fields.iter().filter(|f| self.layout.position(f).is_none()).cloned().collect();
        if missing.is_empty() {
            return Arc::clone(&self.layout);
        }
        let mut fields = self.layout.fields.clone();
        fields.extend(missing);
        layouts.intern(&fields)
    }

    /// A chunk of rows of [`write_full_rows`].
    pub(super) fn of_full_rows(layout: Arc<Layout>, masked_from: u64, words: &[u64]) -> Self {
        let mut this = Self::new(layout, masked_from);
        let width = this.layout.fields.len();
        let rows = words.len() / (1 + width);
        this.words.reserve_exact(rows * this.layout.stride());
        for row in words.chunks_exact(1 + width) {
            this.words.extend_from_slice(row);
            this.words.extend((0..width.div_ceil(64)).map(|word| match width - word * 64 {
                64.. => u64::MAX,
                bits => (1 << bits) - 1,
            }));
        }
        this.take_times(0);
        this
    }

    /// Appends rows. The caller has asked [`Chunk::room`].
    pub(crate) fn append(&mut self, source: &Source<'_>, rows: Range<usize>) {
        let start = self.words.len();
        self.words.resize(start + rows.len() * self.layout.stride(), 0);
        write_rows(&mut self.words[start..], &self.layout, source, rows, &mut self.text);
        self.take_times(start);
    }

    /// Takes note of the rows from a word on.
    fn take_times(&mut self, start: usize) {
        let mut last = if start == 0 { i64::MIN } else { self.max_time };
        for row in self.words[start..].chunks_exact(self.layout.stride()) {
            let time = row[0].cast_signed();
            self.ascending &= time > last;
            last = last.max(time);
            self.min_time = self.min_time.min(time);
            self.rows += 1;
        }
        self.max_time = self.max_time.max(last);
    }

    /// The rows in ascending time, each time once (later rows win, field by field), with the wanted fields.
    pub(crate) fn to_rows(&self, wanted: &[FieldDef]) -> Rows {
        let rows = self.rows_in_order(wanted, 0..self.rows);
        if self.ascending { rows } else { rows.into_ascending() }
    }

    /// The rows at the newest or the oldest end that lie in a range: so many that `count` of them hold a value, or all.
    /// `None` when the rows do not stand in order of time.
    pub(crate) fn end(
        &self,
        wanted: &[FieldDef],
        range: TimeRange,
        count: usize,
        newest: bool,
    ) -> Option<Rows> {
        if !self.ascending {
            return None;
        }
        let stride = self.layout.stride();
        let time = |row: usize| self.words.get(row * stride).map_or(i64::MAX, |word| word.cast_signed());
        let before = |limit: i64| {
            // Binary search: rows have no slice of times.
            let (mut low, mut high) = (0, self.rows);
            while low < high {
                let middle = low.midpoint(high);
                if time(middle) < limit {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            low
        };
        let (from, to) = (before(range.start.0), before(range.end.0));
        let mut len = count;
        loop {
            let rows = if newest {
                from.max(to.saturating_sub(len))..to
            } else {
                from..to.min(from.saturating_add(len))
            };
            let all = rows.len() == to.saturating_sub(from);
            let found = without_empty_rows(self.rows_in_order(wanted, rows));
            if all || found.times.len() >= count {
                return Some(found);
            }
            len = len.saturating_mul(4);
        }
    }

    /// Some rows in order of arrival.
    fn rows_in_order(&self, wanted: &[FieldDef], rows: Range<usize>) -> Rows {
        let stride = self.layout.stride();
        let words = self.words.get(rows.start * stride..rows.end * stride).unwrap_or(&[]);
        let times: Vec<i64> = words.chunks_exact(stride).map(|row| row[0].cast_signed()).collect();
        let columns = wanted
            .iter()
            .map(|f| self.layout.position(f).and_then(|i| self.column(words, i, f.field_type)))
            .collect();
        Rows { times, columns }
    }

    /// The values of a field in some rows in order of arrival; `None` when there is none.
    fn column(&self, words: &[u64], field: usize, field_type: FieldType) -> Option<Column> {
        let stride = self.layout.stride();
        let (word, bit) = (1 + self.layout.fields.len() + field / 64, 1_u64 << (field % 64));
        let rows = || words.chunks_exact(stride);
        let valid = || rows().map(|row| row[word] & bit != 0);
        let count = valid().filter(|v| *v).count();
        if count == 0 {
            return None;
        }
        let at = 1 + field;
        let values = match field_type {
            FieldType::Float => Values::Float(rows().map(|row| f64::from_bits(row[at])).collect()),
            FieldType::Integer => Values::Integer(rows().map(|row| row[at].cast_signed()).collect()),
            FieldType::Unsigned => Values::Unsigned(rows().map(|row| row[at]).collect()),
            FieldType::Boolean => Values::Boolean(rows().map(|row| row[at] != 0).collect()),
            FieldType::String => {
                let mut strings = StringColumn::new();
                for row in rows() {
                    let (start, len) = (row[at] >> 32, row[at] & u64::from(u32::MAX));
                    let range = usize::try_from(start).ok().zip(usize::try_from(start + len).ok());
                    let (start, end) = range.expect("text lies in memory");
                    strings.push(&self.text[start..end]);
                }
                Values::String(strings)
            }
        };
        let valid = (count * stride < words.len()).then(|| valid().collect::<Bitmap>());
        debug_assert_eq!(values.column_type(), ColumnType::Field(field_type));
        Some(Column { values, valid })
    }
}

/// Writes rows of numbers that have all fields of the source, and no others, without presence bits.
pub(super) fn write_full_rows(words: &mut [u64], source: &Source<'_>, rows: Range<usize>) {
    let stride = 1 + source.columns.len();
    for (row, &time) in words.chunks_exact_mut(stride).zip(&source.times[rows.clone()]) {
        row[0] = time.cast_unsigned();
    }
    for (at, column) in (1..).zip(source.columns) {
        put_values(words.chunks_exact_mut(stride), at, column, rows.clone(), &mut String::new());
    }
}

/// Writes rows with the fields of a layout, which has all of the source's, into words that are zero.
fn write_rows(
    words: &mut [u64],
    layout: &Arc<Layout>,
    source: &Source<'_>,
    rows: Range<usize>,
    text: &mut String,
) {
    let stride = layout.stride();
    let width = layout.fields.len();
    for (row, &time) in words.chunks_exact_mut(stride).zip(&source.times[rows.clone()]) {
        row[0] = time.cast_unsigned();
    }
    let same = Arc::ptr_eq(layout, source.layout);
    for (i, column) in source.columns.iter().enumerate() {
        let field = if same {
            i
        } else {
            layout.position(&source.layout.fields[i]).expect("the layout has all fields")
        };
        put_values(words.chunks_exact_mut(stride), 1 + field, column, rows.clone(), text);
        let (word, bit) = (1 + width + field / 64, 1_u64 << (field % 64));
        match &column.valid {
            None => words.chunks_exact_mut(stride).for_each(|row| row[word] |= bit),
            Some(valid) => {
                for (row, i) in words.chunks_exact_mut(stride).zip(rows.clone()) {
                    if valid.get(i) {
                        row[word] |= bit;
                    }
                }
            }
        }
    }
}

/// Writes a column's values into one word of each row.
fn put_values<'a>(
    slots: impl Iterator<Item = &'a mut [u64]>,
    at: usize,
    column: &Column,
    rows: Range<usize>,
    text: &mut String,
) {
    match &column.values {
        Values::Float(v) => slots.zip(&v[rows]).for_each(|(row, x)| row[at] = x.to_bits()),
        Values::Integer(v) | Values::Time(v) => {
            slots.zip(&v[rows]).for_each(|(row, x)| row[at] = x.cast_unsigned());
        }
        Values::Unsigned(v) => slots.zip(&v[rows]).for_each(|(row, x)| row[at] = *x),
        Values::Boolean(v) => slots.zip(rows).for_each(|(row, i)| row[at] = u64::from(v.get(i))),
        Values::String(v) => {
            for (row, i) in slots.zip(rows) {
                let value = v.get(i);
                row[at] = ((text.len() as u64) << 32) | value.len() as u64;
                text.push_str(value);
            }
            assert!(u32::try_from(text.len()).is_ok(), "an entry of the log stays far below 4 GiB");
        }
    }
}
