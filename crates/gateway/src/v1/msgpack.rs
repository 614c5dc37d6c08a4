//! MessagePack, written as InfluxDB writes it: integers signed and as short as they go, floats in eight bytes, times as
//! extension 5 (seconds and nanoseconds) unless in an epoch. Lengths stand before what they count, so that a document is
//! held whole until it is sent.

use std::mem;

use model::{ColumnType, FieldValue, Frame, FrameColumn};

use super::format::{Head, Style};
use crate::chunks::ChunkWriter;
use crate::ports::{InfluxqlItem, InfluxqlSeries, SinkClosed};

/// Bytes of a document.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 64 << 20;
/// InfluxDB's number for times.
const TIME_TYPE: u8 = 5;

/// Writes items, in one document or in chunks.
#[derive(Debug)]
pub(crate) struct MsgpackWriter {
    style: Style,
    /// Of the document: results that are whole.
    results: Elements,
    /// Of the current result: series that are whole.
    series: Elements,
    open: Option<OpenSeries>,
    statement: Option<Statement>,
    /// The document has become too large.
    is_too_large: bool,
}

/// Elements of an array that is still growing.
#[derive(Debug, Default)]
struct Elements {
    count: usize,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct OpenSeries {
    head: Head,
    rows: Elements,
}

#[derive(Debug)]
struct Statement {
    id: usize,
    messages: Vec<String>,
    error: Option<String>,
}

impl MsgpackWriter {
    pub(crate) fn new(style: Style) -> Self {
        Self {
            style,
            results: Elements::default(),
            series: Elements::default(),
            open: None,
            statement: None,
            is_too_large: false,
        }
    }

    /// Whether the answer ended because a document would have been larger than [`DOCUMENT_BYTES_MAX`].
    pub(crate) const fn is_too_large(&self) -> bool {
        self.is_too_large
    }

    pub(crate) fn item(&mut self, item: InfluxqlItem, to: &mut ChunkWriter) -> Result<(), SinkClosed> {
        match item {
            InfluxqlItem::Statement(id) => {
                self.end_statement(to)?;
                self.statement = Some(Statement { id, messages: Vec::new(), error: None });
            }
            InfluxqlItem::Warning(text) => {
                if let Some(statement) = &mut self.statement {
                    statement.messages.push(text);
                }
            }
            InfluxqlItem::Error(text) => {
                if let Some(statement) = &mut self.statement {
                    statement.error = Some(text);
                }
            }
            InfluxqlItem::Series(series) => return self.add(&series, to),
        }
        Ok(())
    }

    pub(crate) fn finish(mut self, to: &mut ChunkWriter) -> Result<(), SinkClosed> {
        self.end_statement(to)?;
        if self.style.chunk_rows.is_none() {
            return self.send_document(to);
        }
        Ok(())
    }

    fn add(&mut self, series: &InfluxqlSeries, to: &mut ChunkWriter) -> Result<(), SinkClosed> {
        let head = Head::of(series);
        let room_max = self.style.chunk_rows.unwrap_or(usize::MAX);
        if self.open.as_ref().is_none_or(|open| open.head != head) {
            self.leave_series(false, to)?;
            self.open = Some(OpenSeries { head: head.clone(), rows: Elements::default() });
        }
        for row in 0..series.frame.rows {
            if self.open.as_ref().is_some_and(|open| open.rows.count >= room_max) {
                self.leave_series(true, to)?;
                self.open = Some(OpenSeries { head: head.clone(), rows: Elements::default() });
            }
            if let Some(open) = &mut self.open {
                push_row(&mut open.rows, &series.frame, row, self.style.epoch_ns);
                let held = self.results.bytes.len() + self.series.bytes.len() + open.rows.bytes.len();
                if held > DOCUMENT_BYTES_MAX {
                    self.is_too_large = true;
                    return Err(SinkClosed);
                }
            }
        }
        Ok(())
    }

    /// Ends the open series because another piece or series follows in the same statement.
    fn leave_series(&mut self, same_goes_on: bool, to: &mut ChunkWriter) -> Result<(), SinkClosed> {
        if self.open.is_none() {
            return Ok(());
        }
        let is_chunked = self.style.chunk_rows.is_some();
        self.close_series(same_goes_on && is_chunked);
        if is_chunked {
            self.close_result(true);
            self.send_document(to)?;
        }
        Ok(())
    }

    fn close_series(&mut self, partial: bool) {
        let Some(OpenSeries { head, rows }) = self.open.take() else { return };
        let out = &mut self.series.bytes;
        let members = 2 + [!head.name.is_empty(), !head.tags.is_empty(), partial]
            .map(usize::from)
            .iter()
            .sum::<usize>();
        push_map(out, members);
        if !head.name.is_empty() {
            push_string(out, "name");
            push_string(out, &head.name);
        }
        if !head.tags.is_empty() {
            push_string(out, "tags");
            push_map(out, head.tags.len());
            for (key, value) in &head.tags {
                push_string(out, key);
                push_string(out, value);
            }
        }
        push_string(out, "columns");
        push_array(out, head.columns.len());
        head.columns.iter().for_each(|column| push_string(out, column));
        push_string(out, "values");
        rows.push_to(out);
        if partial {
            push_string(out, "partial");
            out.push(0xc3);
        }
        self.series.count += 1;
    }

    /// Ends the result of the current statement, of which more follows when it is `partial`.
    fn close_result(&mut self, partial: bool) {
        let series = mem::take(&mut self.series);
        let Some(statement) = &mut self.statement else { return };
        let out = &mut self.results.bytes;
        self.results.count += 1;
        if let Some(error) = statement.error.as_ref().filter(|_| !partial) {
            // As in InfluxDB, an error is all that its result has.
            push_error(out, error);
            return;
        }
        let messages = mem::take(&mut statement.messages);
        push_map(out, 2 + usize::from(!messages.is_empty()) + usize::from(partial));
        push_string(out, "statement_id");
        push_integer(out, i64::try_from(statement.id).unwrap_or(i64::MAX));
        if !messages.is_empty() {
            push_string(out, "messages");
            push_array(out, messages.len());
            for text in &messages {
                push_map(out, 2);
                for text in ["level", "warning", "text", text] {
                    push_string(out, text);
                }
            }
        }
        push_string(out, "series");
        series.push_to(out);
        if partial {
            push_string(out, "partial");
            out.push(0xc3);
        }
    }

    fn end_statement(&mut self, to: &mut ChunkWriter) -> Result<(), SinkClosed> {
        if self.statement.is_none() {
            return Ok(());
        }
        self.close_series(false);
        self.close_result(false);
        self.statement = None;
        if self.style.chunk_rows.is_some() { self.send_document(to) } else { Ok(()) }
    }

    fn send_document(&mut self, to: &mut ChunkWriter) -> Result<(), SinkClosed> {
        let mut out = Vec::with_capacity(self.results.bytes.len() + 16);
        push_map(&mut out, 1);
        push_string(&mut out, "results");
        mem::take(&mut self.results).push_to(&mut out);
        to.write_through(&mut out)
    }
}

impl Elements {
    fn push_to(self, out: &mut Vec<u8>) {
        push_array(out, self.count);
        out.extend_from_slice(&self.bytes);
    }
}

/// A whole answer that is an error.
pub(crate) fn push_error(out: &mut Vec<u8>, error: &str) {
    push_map(out, 1);
    push_string(out, "error");
    push_string(out, error);
}

fn push_row(rows: &mut Elements, frame: &Frame, row: usize, epoch_ns: Option<i64>) {
    rows.count += 1;
    push_array(&mut rows.bytes, frame.columns.len());
    for column in &frame.columns {
        push_cell(&mut rows.bytes, column, row, epoch_ns);
    }
}

fn push_cell(out: &mut Vec<u8>, column: &FrameColumn, row: usize, epoch_ns: Option<i64>) {
    match (column.get(row), column.column_type()) {
        (None, _) => out.push(0xc0),
        (Some(FieldValue::Integer(nanos)), ColumnType::Time) => match epoch_ns {
            Some(unit) => push_integer(out, nanos / unit),
            None => push_time(out, nanos),
        },
        (Some(FieldValue::Integer(value)), _) => push_integer(out, value),
        (Some(FieldValue::Unsigned(value)), _) => push_unsigned(out, value),
        (Some(FieldValue::Float(value)), _) => {
            out.push(0xcb);
            out.extend_from_slice(&value.to_be_bytes());
        }
        (Some(FieldValue::String(text)), _) => push_string(out, &text),
        (Some(FieldValue::Boolean(value)), _) => out.push(if value { 0xc3 } else { 0xc2 }),
    }
}

fn push_time(out: &mut Vec<u8>, nanos: i64) {
    const SECOND: i64 = 1_000_000_000;
    let below = u32::try_from(nanos.rem_euclid(SECOND)).expect("less than a second");
    out.extend_from_slice(&[0xc7, 12, TIME_TYPE]);
    out.extend_from_slice(&nanos.div_euclid(SECOND).to_be_bytes());
    out.extend_from_slice(&below.to_be_bytes());
}

fn push_integer(out: &mut Vec<u8>, value: i64) {
    if let Ok(small) = i8::try_from(value) {
        if small < -32 {
            out.push(0xd0);
        }
        out.extend_from_slice(&small.to_be_bytes());
    } else if let Ok(value) = i16::try_from(value) {
        out.push(0xd1);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(0xd2);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn push_unsigned(out: &mut Vec<u8>, value: u64) {
    if let Ok(value) = u8::try_from(value) {
        if value > 0x7f {
            out.push(0xcc);
        }
        out.push(value);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(0xcd);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(0xce);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(0xcf);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    push_length(out, text.len(), (0xa0, 32), &[0xd9, 0xda, 0xdb]);
    out.extend_from_slice(text.as_bytes());
}

fn push_array(out: &mut Vec<u8>, length: usize) {
    push_length(out, length, (0x90, 16), &[0xdc, 0xdd]);
}

fn push_map(out: &mut Vec<u8>, length: usize) {
    push_length(out, length, (0x80, 16), &[0xde, 0xdf]);
}

/// A length in its shortest form: inside the first byte below a limit, or behind one of the `marks`, of which the last
/// stands before four bytes, and each one before it before half as many as the next.
fn push_length(out: &mut Vec<u8>, length: usize, (short, below): (u8, usize), marks: &[u8]) {
    let length32 = u32::try_from(length).expect("a document is smaller than 4 GiB");
    let bytes = length32.to_be_bytes();
    match (marks, u8::try_from(length), u16::try_from(length)) {
        (_, Ok(length8), _) if length < below => out.push(short | length8),
        ([mark, _, _], Ok(length8), _) => out.extend_from_slice(&[*mark, length8]),
        ([.., mark, _], _, Ok(length16)) => {
            out.push(*mark);
            out.extend_from_slice(&length16.to_be_bytes());
        }
        (_, _, _) => {
            out.extend(marks.last());
            out.extend_from_slice(&bytes);
        }
    }
}

#[cfg(test)]
mod tests;
