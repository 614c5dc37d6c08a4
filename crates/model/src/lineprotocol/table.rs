//! Tables being filled: from the text of a field's name to its column, and rows appended to columns.
//!
//! While a line is read, its values are already in the columns, in row `times.len()`; [`TableBuilder::commit`]
//! makes the row exist, [`TableBuilder::roll_back`] takes the values out again. Columns lag: a column that a row
//! does not mention is padded with nulls only when it next gets a value.

use std::sync::Arc;

use hashbrown::HashMap;

use super::FIELDS_MAX;
use super::keys::{NONE, Place, unescape};
use super::number::{Number, at, boolean, ends_line, number};
use super::reason::{Reason, StringTooLong};
use crate::batch::{CELLS_MAX, FieldDef, SeriesRows, Table};
use crate::column::{Column, ColumnType, Values};
use crate::series::{KEY_BYTES_MAX, SeriesKey};
use crate::value::FieldType;

/// Bytes that InfluxDB counts between series key and field.
const FIELD_SEPARATOR_BYTES: usize = 4;

/// So many first columns of a table are rolled back without a look at whether the line had them; beyond, columns
/// are remembered, or bad lines after lines with very many fields would cost a pass over all of them each.
const ROLLED_BACK_BLINDLY: usize = 64;

/// The tables of a body.
pub(super) struct Tables<'a> {
    tables: Vec<TableBuilder<'a>>,
    by_measurement: HashMap<Arc<str>, u32>,
    /// Index of the table of the series that was added last.
    latest: u32,
    /// Rows times columns, over all tables.
    cells: usize,
}

impl<'a> Tables<'a> {
    pub(super) fn new() -> Self {
        Self { tables: Vec::new(), by_measurement: HashMap::default(), latest: NONE, cells: 0 }
    }

    /// The key of a series.
    pub(super) fn key(&self, place: Place) -> Option<&SeriesKey> {
        let table = self.tables.get(place.table as usize)?;
        table.series.get(place.series as usize).map(|(key, _)| key)
    }

    /// Adds a series that is not there yet.
    pub(super) fn add_series(&mut self, key: SeriesKey, hash: u64) -> Result<Place, Reason> {
        let index = |len: usize| u32::try_from(len).map_err(|_full| Reason::TooManyCells);
        let known = match self.tables.get(self.latest as usize) {
            Some(latest) if *latest.measurement == *key.measurement() => Some(self.latest),
            _ => self.by_measurement.get(key.measurement()).copied(),
        };
        let table = match known {
            Some(table) => table,
            None => {
                let table = index(self.tables.len())?;
                let name: Arc<str> = key.measurement().into();
                self.by_measurement.insert(Arc::clone(&name), table);
                self.tables.push(TableBuilder::new(name));
                table
            }
        };
        self.latest = table;
        let builder = self.tables.get_mut(table as usize).ok_or(Reason::TooManyCells)?;
        let place =
            Place { table, series: index(builder.series.len())?, key_bytes: index(key.as_bytes().len())? };
        builder.series.push((key, hash));
        Ok(place)
    }

    /// The table of a series, with the count of all cells.
    #[inline(always)]
    pub(super) fn table(&mut self, place: Place) -> Result<(&mut TableBuilder<'a>, &mut usize), Reason> {
        let table = self.tables.get_mut(place.table as usize).ok_or(Reason::MissingMeasurement)?;
        Ok((table, &mut self.cells))
    }

    /// The tables that have rows.
    pub(super) fn finish(self) -> Vec<Table> {
        self.tables.into_iter().filter(|t| !t.times.is_empty()).map(TableBuilder::finish).collect()
    }
}

/// A field's name as it stands in the text, with the `=` after it.
struct RawName<'a> {
    text: &'a [u8],
    name: u32,
    /// Index of the raw name that followed last time.
    next: u32,
}

/// A field's name and its column of each type.
struct Name {
    name: Arc<str>,
    /// By [`FieldType::code`] less one.
    columns: [u32; 5],
    /// There is more than one column.
    ambiguous: bool,
    /// The field is read and thrown away (`time`).
    dropped: bool,
}

struct FieldColumn {
    name: u32,
    field_type: FieldType,
    column: Column,
}

/// A table being filled.
pub(super) struct TableBuilder<'a> {
    measurement: Arc<str>,
    series: Vec<(SeriesKey, u64)>,
    raws: Vec<RawName<'a>>,
    by_text: HashMap<&'a [u8], u32>,
    names: Vec<Name>,
    by_name: HashMap<Arc<str>, u32>,
    columns: Vec<FieldColumn>,
    times: Vec<i64>,
    /// Index of the series of each row.
    row_series: Vec<u32>,
    /// Raw name that the previous line began with.
    first: u32,
    /// Columns with a value in the next row, of those that are not rolled back blindly.
    touched: Vec<u32>,
    longest_name: usize,
    unescaped: String,
}

impl<'a> TableBuilder<'a> {
    fn new(measurement: Arc<str>) -> Self {
        Self {
            measurement,
            series: Vec::new(),
            raws: Vec::new(),
            by_text: HashMap::default(),
            names: Vec::new(),
            by_name: HashMap::default(),
            columns: Vec::new(),
            times: Vec::new(),
            row_series: Vec::new(),
            first: NONE,
            touched: Vec::new(),
            longest_name: 0,
            unescaped: String::new(),
        }
    }

    /// Reads the fields that begin at `pos` into the next row; the position after the last value.
    #[inline(always)]
    pub(super) fn fields(
        &mut self,
        text: &'a str,
        mut pos: usize,
        string_bytes_max: usize,
        cells: &mut usize,
    ) -> Result<usize, Reason> {
        let bytes = text.as_bytes();
        let mut guess = self.first;
        let mut previous = NONE;
        let mut stored = false;
        for _ in 0..FIELDS_MAX {
            let raw = match self.raws.get(guess as usize) {
                Some(raw) if bytes.get(pos..pos + raw.text.len()) == Some(raw.text) => raw,
                _ => self.raw_name(text, pos, previous, &mut guess)?,
            };
            pos += raw.text.len();
            let name = raw.name;
            previous = guess;
            guess = raw.next;
            stored |= match at(bytes, pos) {
                b'0'..=b'9' | b'-' | b'.' | b'N' | b'n' => {
                    let (value, end) = number(bytes, pos)?;
                    pos = end;
                    self.push_number(name, value, cells)?
                }
                b'"' => {
                    let begin = pos + 1;
                    let (end, escaped) = string_end(bytes, begin)?;
                    pos = end + 1;
                    let value = text.get(begin..end).unwrap_or_default();
                    self.push_string(name, value, escaped, string_bytes_max, cells)?
                }
                b',' | b' ' => return Err(Reason::MissingFieldValue),
                _ if ends_line(bytes, pos) => return Err(Reason::MissingFieldValue),
                _ => {
                    let (value, end) = boolean(bytes, pos)?;
                    pos = end;
                    self.push_boolean(name, value, cells)?
                }
            };
            match at(bytes, pos) {
                b',' => pos += 1,
                _ if at(bytes, pos) != b' ' && !ends_line(bytes, pos) => {
                    return Err(Reason::InvalidFieldFormat);
                }
                _ if stored => return Ok(pos),
                _ => return Err(Reason::OnlyTime((*self.measurement).into())),
            }
        }
        Err(Reason::TooManyFields)
    }

    /// Finds or adds the name that begins at `pos`, remembers that it follows `previous`, and sets `index`.
    #[inline(never)]
    fn raw_name(
        &mut self,
        text: &'a str,
        pos: usize,
        previous: u32,
        index: &mut u32,
    ) -> Result<&RawName<'a>, Reason> {
        let end = name_end(text.as_bytes(), pos)?;
        let raw = text.get(pos..end).unwrap_or_default();
        let found = match self.by_text.get(raw.as_bytes()) {
            Some(&found) => found,
            None => {
                let found = u32::try_from(self.raws.len()).map_err(|_full| Reason::TooManyCells)?;
                let name = self.name(&unescape(raw.strip_suffix('=').unwrap_or(raw), b",= "))?;
                self.raws.push(RawName { text: raw.as_bytes(), name, next: NONE });
                self.by_text.insert(raw.as_bytes(), found);
                found
            }
        };
        match self.raws.get_mut(previous as usize) {
            Some(previous) => previous.next = found,
            None => self.first = found,
        }
        *index = found;
        self.raws.get(found as usize).ok_or(Reason::MissingFieldKey)
    }

    fn name(&mut self, name: &str) -> Result<u32, Reason> {
        if let Some(&index) = self.by_name.get(name) {
            return Ok(index);
        }
        let index = u32::try_from(self.names.len()).map_err(|_full| Reason::TooManyCells)?;
        let text: Arc<str> = name.into();
        self.by_name.insert(Arc::clone(&text), index);
        self.longest_name = self.longest_name.max(name.len());
        self.names.push(Name { name: text, columns: [NONE; 5], ambiguous: false, dropped: name == "time" });
        Ok(index)
    }

    /// The column for a value of the next row, with exactly the rows before it; `None` when the field is dropped.
    #[inline(always)]
    fn slot(
        &mut self,
        name: u32,
        field_type: FieldType,
        cells: &mut usize,
    ) -> Result<Option<&mut Column>, Reason> {
        let row = self.times.len();
        let named = self.names.get(name as usize).ok_or(Reason::MissingFieldKey)?;
        let mut index = named.columns[usize::from(field_type.code()) - 1];
        if index == NONE || named.ambiguous {
            if named.dropped {
                return Ok(None);
            }
            index = self.column(name, field_type, cells)?;
        }
        if index as usize >= ROLLED_BACK_BLINDLY {
            self.touched.push(index);
        }
        let column = self.columns.get_mut(index as usize).ok_or(Reason::MissingFieldKey)?;
        let column = &mut column.column;
        if column.len() != row {
            // Either the field occurs again in this line, and the later value wins, or rows lacked it.
            column.truncate(row);
            column.push_nulls(row - column.len());
        }
        Ok(Some(column))
    }

    /// Finds or adds a column, and takes a value of the next row out of the name's columns of other types.
    #[cold]
    fn column(&mut self, name: u32, field_type: FieldType, cells: &mut usize) -> Result<u32, Reason> {
        let row = self.times.len();
        let code = usize::from(field_type.code()) - 1;
        let named = self.names.get_mut(name as usize).ok_or(Reason::MissingFieldKey)?;
        for &other in named.columns.iter().filter(|c| **c != NONE) {
            if let Some(other) = self.columns.get_mut(other as usize).filter(|c| c.field_type != field_type) {
                other.column.truncate(row);
            }
        }
        if named.columns[code] == NONE {
            if *cells + row >= CELLS_MAX {
                return Err(Reason::TooManyCells);
            }
            *cells += row;
            named.ambiguous = named.columns.iter().any(|c| *c != NONE);
            named.columns[code] = u32::try_from(self.columns.len()).map_err(|_full| Reason::TooManyCells)?;
            let column = Column::empty(ColumnType::Field(field_type));
            self.columns.push(FieldColumn { name, field_type, column });
        }
        Ok(named.columns[code])
    }

    #[inline(always)]
    fn push_number(&mut self, name: u32, value: Number, cells: &mut usize) -> Result<bool, Reason> {
        let field_type = match value {
            Number::Float(_) => FieldType::Float,
            Number::Integer(_) => FieldType::Integer,
            Number::Unsigned(_) => FieldType::Unsigned,
        };
        let Some(column) = self.slot(name, field_type, cells)? else { return Ok(false) };
        match (&mut column.values, value) {
            (Values::Integer(values), Number::Integer(value)) => values.push(value),
            (Values::Float(values), Number::Float(value)) => values.push(value),
            (Values::Unsigned(values), Number::Unsigned(value)) => values.push(value),
            _ => return Err(Reason::InvalidNumber),
        }
        if let Some(valid) = &mut column.valid {
            valid.push(true);
        }
        Ok(true)
    }

    fn push_boolean(&mut self, name: u32, value: bool, cells: &mut usize) -> Result<bool, Reason> {
        let Some(column) = self.slot(name, FieldType::Boolean, cells)? else { return Ok(false) };
        if let Values::Boolean(values) = &mut column.values {
            values.push(value);
        }
        if let Some(valid) = &mut column.valid {
            valid.push(true);
        }
        Ok(true)
    }

    fn push_string(
        &mut self,
        name: u32,
        raw: &str,
        escaped: bool,
        bytes_max: usize,
        cells: &mut usize,
    ) -> Result<bool, Reason> {
        let mut scratch = std::mem::take(&mut self.unescaped);
        let value = if escaped {
            scratch.clear();
            unescape_string(raw, &mut scratch);
            &scratch
        } else {
            raw
        };
        if value.len() > bytes_max {
            let field = self.names.get(name as usize).map(|n| (*n.name).into()).unwrap_or_default();
            return Err(Reason::StringTooLong(Box::new(StringTooLong {
                field,
                measurement: (*self.measurement).into(),
                bytes: value.len(),
                bytes_max,
            })));
        }
        let stored = match self.slot(name, FieldType::String, cells)? {
            Some(column) => {
                if let Values::String(values) = &mut column.values {
                    values.push(value);
                }
                if let Some(valid) = &mut column.valid {
                    valid.push(true);
                }
                true
            }
            None => false,
        };
        self.unescaped = scratch;
        Ok(stored)
    }

    /// Refuses the next row when the key of its series and one of its fields are too long together, or when
    /// there are too many cells already.
    #[inline(always)]
    pub(super) fn check_row(&self, place: Place, cells: usize) -> Result<(), Reason> {
        if cells + self.columns.len() >= CELLS_MAX {
            return Err(Reason::TooManyCells);
        }
        let key = place.key_bytes as usize + FIELD_SEPARATOR_BYTES;
        if key + self.longest_name <= KEY_BYTES_MAX {
            return Ok(());
        }
        let row = self.times.len();
        let in_row = self.columns.iter().filter(|c| c.column.len() > row);
        let longest = in_row.filter_map(|c| self.names.get(c.name as usize)).map(|n| n.name.len()).max();
        match key + longest.unwrap_or(0) {
            bytes if bytes > KEY_BYTES_MAX => Err(Reason::KeyTooLong(bytes)),
            _ => Ok(()),
        }
    }

    /// Makes the next row exist.
    #[inline(always)]
    pub(super) fn commit(&mut self, series: u32, time: i64, cells: &mut usize) {
        self.touched.clear();
        self.times.push(time);
        self.row_series.push(series);
        *cells += self.columns.len() + 1;
    }

    /// Takes the values of the next row out.
    #[cold]
    pub(super) fn roll_back(&mut self) {
        let row = self.times.len();
        for column in self.columns.iter_mut().take(ROLLED_BACK_BLINDLY) {
            column.column.truncate(row);
        }
        for index in self.touched.drain(..) {
            if let Some(column) = self.columns.get_mut(index as usize) {
                column.column.truncate(row);
            }
        }
    }

    /// Pads the columns, leaves out those without a value, and groups the rows by series.
    fn finish(self) -> Table {
        let rows = self.times.len();
        let mut fields = Vec::with_capacity(self.columns.len());
        let mut columns = Vec::with_capacity(self.columns.len());
        for FieldColumn { name, field_type, mut column } in self.columns {
            column.push_nulls(rows - column.len());
            let nulls = column.null_count();
            let Some(name) = self.names.get(name as usize).filter(|_| nulls < rows) else { continue };
            if nulls == 0 {
                column.valid = None;
            }
            fields.push(FieldDef { name: Arc::clone(&name.name), field_type });
            columns.push(column);
        }
        let mut table = Table {
            measurement: self.measurement,
            fields,
            series: Vec::with_capacity(self.series.len()),
            times: self.times,
            columns,
        };
        let mut counts = vec![0_u32; self.series.len()];
        for &series in &self.row_series {
            counts[series as usize] += 1;
        }
        if !self.row_series.is_sorted() {
            let order = grouped(&self.row_series, &counts);
            table.times = order.iter().map(|&row| table.times[row as usize]).collect();
            for column in &mut table.columns {
                *column = column.gather(&order);
            }
        }
        let used = self.series.into_iter().zip(counts).filter(|(_, rows)| *rows > 0);
        table.series.extend(used.map(|((key, hash), rows)| SeriesRows { key, hash, rows }));
        table
    }
}

/// The rows in order of their series, rows of one series in order of arrival (a counting sort).
#[expect(clippy::cast_possible_truncation, reason = "a body has fewer than 2^30 lines")]
fn grouped(row_series: &[u32], counts: &[u32]) -> Vec<u32> {
    let mut next = Vec::with_capacity(counts.len());
    let mut start = 0_u32;
    for &count in counts {
        next.push(start);
        start += count;
    }
    let mut order = vec![0_u32; row_series.len()];
    for (row, &series) in row_series.iter().enumerate() {
        let slot = &mut next[series as usize];
        order[*slot as usize] = row as u32;
        *slot += 1;
    }
    order
}

/// The position after the unescaped `=` that ends the name at `start`.
fn name_end(bytes: &[u8], start: usize) -> Result<usize, Reason> {
    let mut pos = start;
    loop {
        let escaped = pos > start && at(bytes, pos - 1) == b'\\';
        match at(bytes, pos) {
            b'=' if !escaped && pos == start => return Err(Reason::MissingFieldKey),
            b'=' if !escaped => return Ok(pos + 1),
            b',' | b' ' if !escaped => return Err(Reason::InvalidFieldFormat),
            b'\n' => return Err(Reason::InvalidFieldFormat),
            _ => pos += 1,
        }
    }
}

/// The position of the quote that closes a string, and whether there are backslashes before it.
#[inline]
fn string_end(bytes: &[u8], start: usize) -> Result<(usize, bool), Reason> {
    let mut pos = start;
    let mut escaped = false;
    loop {
        let rest = bytes.get(pos..).unwrap_or_default();
        let found = pos + memchr::memchr2(b'"', b'\\', rest).ok_or(Reason::UnbalancedQuotes)?;
        if at(bytes, found) == b'"' {
            return Ok((found, escaped));
        }
        escaped = true;
        pos = found + 2;
    }
}

/// Undoes `\"` and `\\`; any other backslash is itself.
fn unescape_string(raw: &str, out: &mut String) {
    let mut rest = raw;
    while let Some(i) = memchr::memchr(b'\\', rest.as_bytes()) {
        let keep = if matches!(rest.as_bytes().get(i + 1), Some(b'"' | b'\\')) { i } else { i + 1 };
        out.push_str(&rest[..keep]);
        rest = &rest[i + 1..];
        // An escaped character is literal, also when it is a backslash.
        if let Some(c) = rest.chars().next().filter(|_| keep == i) {
            out.push(c);
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
}
