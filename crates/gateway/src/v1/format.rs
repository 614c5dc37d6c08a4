//! Results of InfluxQL as 1.x writes them: JSON in one document, JSON in chunks, CSV. MessagePack has a module of its own.
//!
//! ```text
//! {"results":[{"statement_id":0,"series":[{"name","tags","columns","values"}],"messages":[..],"error":".."}]}
//! ```
//! Chunked, every line is such a document with at most one series and `chunk_size` rows; the result carries
//! `partial` until its last document, the series until its last piece.

use jiff::tz::TimeZone;
use model::{ColumnType, FieldValue, Frame, FrameValues, Timestamp, Values};

use super::json::Json;
use super::msgpack::MsgpackWriter;
use crate::chunks::ChunkWriter;
use crate::csv::{CHUNK_BYTES, needs_quotes, push_float};
use crate::ports::{InfluxqlItem, InfluxqlSeries, SinkClosed};

/// The format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Csv,
    Msgpack,
}

impl Format {
    /// What an answer in this format is called.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
            Self::Msgpack => "application/x-msgpack",
        }
    }
}

/// How an answer is to look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) format: Format,
    pub(crate) pretty: bool,
    /// Rows of a chunk; `None` for one document.
    pub(crate) chunk_rows: Option<usize>,
    /// Nanoseconds in the unit of times; `None` for RFC 3339 (in CSV: nanoseconds).
    pub(crate) epoch_ns: Option<i64>,
}

/// Writes items in some format.
#[derive(Debug)]
pub(crate) enum Writer {
    Json(Box<JsonWriter>),
    Csv(CsvWriter),
    Msgpack(Box<MsgpackWriter>),
}

impl Writer {
    pub(crate) fn new(style: Style) -> Self {
        match style.format {
            Format::Json => Self::Json(Box::new(JsonWriter::new(style))),
            Format::Csv => Self::Csv(CsvWriter::new(style)),
            Format::Msgpack => Self::Msgpack(Box::new(MsgpackWriter::new(style))),
        }
    }

    pub(crate) fn item(&mut self, item: InfluxqlItem, to: &mut ChunkWriter) -> Result<(), SinkClosed> {
        match self {
            Self::Json(writer) => writer.item(item, to),
            Self::Csv(writer) => writer.item(item, to),
            Self::Msgpack(writer) => writer.item(item, to),
        }
    }

    /// Whether the answer ended because it was larger than its format allows.
    pub(crate) const fn is_too_large(&self) -> bool {
        match self {
            Self::Json(_) | Self::Csv(_) => false,
            Self::Msgpack(writer) => writer.is_too_large(),
        }
    }

    /// Ends the answer; `trace` is the object of the request's own trace, for one document of JSON.
    pub(crate) fn finish(self, trace: Option<String>, to: &mut ChunkWriter) -> Result<(), SinkClosed> {
        match self {
            Self::Json(writer) => writer.finish(trace, to),
            Self::Csv(mut writer) => to.write(&mut writer.out),
            Self::Msgpack(writer) => writer.finish(to),
        }
    }
}

/// What tells one series from the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) name: String,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) columns: Vec<String>,
}

impl Head {
    pub(crate) fn of(series: &InfluxqlSeries) -> Self {
        let mut tags = series.tags.clone();
        tags.sort_unstable();
        let columns = series.frame.columns.iter().map(|c| c.name.to_string()).collect();
        Self { name: series.name.clone(), tags, columns }
    }
}

/// The statement whose items are coming.
#[derive(Debug)]
struct Statement {
    id: usize,
    /// Whether a document of it (chunked) or its `series` (else) was begun.
    series: bool,
    messages: Vec<String>,
    error: Option<String>,
}

/// The series that is open in the document.
#[derive(Debug)]
struct OpenSeries {
    head: Head,
    rows: usize,
    is_whole: bool,
}

/// JSON, in one document or in chunks.
#[derive(Debug)]
pub(crate) struct JsonWriter {
    json: Json,
    style: Style,
    /// Whether `{"results":[` stands open.
    document: bool,
    statement: Option<Statement>,
    series: Option<OpenSeries>,
    /// Where the times of the series are.
    zone: Option<TimeZone>,
    /// Whether a statement has come.
    begun: bool,
    /// The request's own trace, to end the document with.
    trace: Option<String>,
}

impl JsonWriter {
    fn new(style: Style) -> Self {
        Self {
            json: Json::new(style.pretty),
            style,
            document: false,
            statement: None,
            series: None,
            zone: None,
            begun: false,
            trace: None,
        }
    }

    fn item(&mut self, item: InfluxqlItem, to: &mut ChunkWriter) -> Result<(), SinkClosed> {
        match item {
            InfluxqlItem::Statement(id) => {
                self.end_statement(to)?;
                self.begun = true;
                self.statement = Some(Statement { id, series: false, messages: Vec::new(), error: None });
                if self.style.chunk_rows.is_none() {
                    self.begin_result(id);
                }
                Ok(())
            }
            InfluxqlItem::Warning(text) => {
                if let Some(statement) = &mut self.statement {
                    statement.messages.push(text);
                }
                Ok(())
            }
            InfluxqlItem::Error(text) => {
                if let Some(statement) = &mut self.statement {
                    statement.error = Some(text);
                }
                Ok(())
            }
            InfluxqlItem::Series(series) => {
                self.zone.clone_from(&series.zone);
                self.series(&series, to)
            }
        }
    }

    fn finish(mut self, trace: Option<String>, to: &mut ChunkWriter) -> Result<(), SinkClosed> {
        self.end_statement(to)?;
        if !self.begun {
            // A text of no statement, such as `;`, has no results, and no chunk.
            if self.style.chunk_rows.is_none() {
                self.json.out.extend_from_slice(b"{}\n");
            }
        } else if self.style.chunk_rows.is_none() {
            self.begin_document();
            self.trace = trace;
            self.end_document();
        }
        to.write(&mut self.json.out)
    }

    fn begin_document(&mut self) {
        if !self.document {
            self.json.begin(b'{');
            self.json.key("results");
            self.json.begin(b'[');
            self.document = true;
        }
    }

    fn end_document(&mut self) {
        self.json.end(b']');
        if let Some(trace) = self.trace.take() {
            self.json.key("trace");
            self.json.raw(&trace);
        }
        self.json.end(b'}');
        self.json.out.push(b'\n');
        self.document = false;
    }

    fn begin_result(&mut self, id: usize) {
        self.begin_document();
        self.json.begin(b'{');
        self.json.key("statement_id");
        self.json.unsigned(u64::try_from(id).unwrap_or(u64::MAX));
    }

    fn series(&mut self, series: &InfluxqlSeries, to: &mut ChunkWriter) -> Result<(), SinkClosed> {
        let head = Head::of(series);
        let rows = series.frame.rows;
        let mut from = 0_usize;
        loop {
            let same = self.series.as_ref().is_some_and(|open| open.head == head);
            let open_rows = self.series.as_ref().map_or(0, |open| open.rows);
            let room = match self.style.chunk_rows {
                Some(_) if series.is_whole => usize::MAX,
                Some(chunk) if same => chunk.saturating_sub(open_rows),
                Some(chunk) => chunk,
                None => usize::MAX,
            };
            let until = rows.min(from.saturating_add(room));
            if !same || (room == 0 && from < rows) {
                self.leave_series(same, to)?;
                self.enter_series(head.clone(), series.is_whole);
                if room == 0 {
                    continue;
                }
            }
            self.rows(&series.frame, from, until, to)?;
            from = until;
            if from >= rows {
                return Ok(());
            }
        }
    }

    /// Ends the open series because another piece or series follows in the same statement.
    fn leave_series(&mut self, same_goes_on: bool, to: &mut ChunkWriter) -> Result<(), SinkClosed> {
        let Some(open) = &self.series else { return Ok(()) };
        let is_whole = open.is_whole;
        if self.style.chunk_rows.is_none() {
            self.close_series(false);
            return Ok(());
        }
        self.close_series(same_goes_on);
        self.json.end(b']');
        self.end_result(!is_whole);
        self.end_document();
        to.write_through(&mut self.json.out)
    }

    fn enter_series(&mut self, head: Head, is_whole: bool) {
        let chunked = self.style.chunk_rows.is_some();
        let (id, begun) = match &mut self.statement {
            Some(statement) => (statement.id, std::mem::replace(&mut statement.series, true)),
            None => (0, false),
        };
        if chunked {
            self.begin_result(id);
        }
        if chunked || !begun {
            self.json.key("series");
            self.json.begin(b'[');
        }
        self.json.begin(b'{');
        if !head.name.is_empty() {
            self.json.key("name");
            self.json.string(&head.name);
        }
        if !head.tags.is_empty() {
            self.json.key("tags");
            self.json.begin(b'{');
            for (key, value) in &head.tags {
                self.json.key(key);
                self.json.string(value);
            }
            self.json.end(b'}');
        }
        self.json.key("columns");
        self.json.begin(b'[');
        for column in &head.columns {
            self.json.string(column);
        }
        self.json.end(b']');
        self.series = Some(OpenSeries { head, rows: 0, is_whole });
    }

    fn close_series(&mut self, partial: bool) {
        let Some(open) = self.series.take() else { return };
        if open.rows > 0 {
            self.json.end(b']');
        }
        if partial {
            self.json.key("partial");
            self.json.raw("true");
        }
        self.json.end(b'}');
    }

    fn rows(
        &mut self,
        frame: &Frame,
        from: usize,
        until: usize,
        to: &mut ChunkWriter,
    ) -> Result<(), SinkClosed> {
        if from >= until {
            return Ok(());
        }
        if let Some(open) = &mut self.series {
            if open.rows == 0 {
                self.json.key("values");
                self.json.begin(b'[');
            }
            open.rows += until - from;
        }
        for row in from..until {
            self.json.begin(b'[');
            for column in &frame.columns {
                self.cell(&column.values, row);
            }
            self.json.end(b']');
            if self.json.out.len() >= CHUNK_BYTES {
                to.write(&mut self.json.out)?;
            }
        }
        Ok(())
    }

    fn cell(&mut self, values: &FrameValues, row: usize) {
        match values {
            FrameValues::Column(column) if !column.is_valid(row) => self.json.raw("null"),
            FrameValues::Column(column) => match &column.values {
                Values::Float(v) => self.json.float(v[row]),
                Values::Integer(v) => self.json.integer(v[row]),
                Values::Unsigned(v) => self.json.unsigned(v[row]),
                Values::String(v) => self.json.string(v.get(row)),
                Values::Boolean(v) => self.json.raw(if v.get(row) { "true" } else { "false" }),
                Values::Time(v) => self.time(v[row]),
            },
            FrameValues::Constant(_, None) => self.json.raw("null"),
            FrameValues::Constant(ColumnType::Time, Some(FieldValue::Integer(nanos))) => self.time(*nanos),
            FrameValues::Constant(_, Some(value)) => match value {
                FieldValue::Float(v) => self.json.float(*v),
                FieldValue::Integer(v) => self.json.integer(*v),
                FieldValue::Unsigned(v) => self.json.unsigned(*v),
                FieldValue::String(v) => self.json.string(v),
                FieldValue::Boolean(v) => self.json.raw(if *v { "true" } else { "false" }),
            },
        }
    }

    fn time(&mut self, nanos: i64) {
        match self.style.epoch_ns {
            Some(unit) => self.json.integer(nanos / unit),
            None => match &self.zone {
                None => self.json.time(Timestamp(nanos)),
                Some(zone) => self.json.string(&zoned_rfc3339(nanos, zone)),
            },
        }
    }

    /// Writes what stands behind the series of a result, and ends it.
    fn end_result(&mut self, partial: bool) {
        let (messages, error) = match &mut self.statement {
            Some(statement) => {
                (std::mem::take(&mut statement.messages), statement.error.take().filter(|_| !partial))
            }
            None => (Vec::new(), None),
        };
        if !messages.is_empty() {
            self.json.key("messages");
            self.json.begin(b'[');
            for text in messages {
                self.json.begin(b'{');
                self.json.key("level");
                self.json.string("warning");
                self.json.key("text");
                self.json.string(&text);
                self.json.end(b'}');
            }
            self.json.end(b']');
        }
        if partial {
            self.json.key("partial");
            self.json.raw("true");
        }
        if let Some(error) = error {
            self.json.key("error");
            self.json.string(&error);
        }
        self.json.end(b'}');
    }

    fn end_statement(&mut self, to: &mut ChunkWriter) -> Result<(), SinkClosed> {
        let Some(statement) = &self.statement else { return Ok(()) };
        let (id, begun) = (statement.id, statement.series);
        let chunked = self.style.chunk_rows.is_some();
        self.close_series(false);
        // A chunk may have been ended, and not been taken, because the query was to end: its error needs one of its own.
        if begun && (!chunked || self.document) {
            self.json.end(b']');
        } else if chunked {
            self.begin_result(id);
        }
        self.end_result(false);
        self.statement = None;
        if chunked {
            self.end_document();
            return to.write_through(&mut self.json.out);
        }
        Ok(())
    }
}

/// A time as clocks in a zone show it, with their distance from UTC.
fn zoned_rfc3339(nanos: i64, zone: &TimeZone) -> String {
    let utc = Timestamp(nanos).to_rfc3339();
    let Ok(instant) = jiff::Timestamp::from_nanosecond(i128::from(nanos)) else { return utc };
    let seconds = zone.to_offset(instant).seconds();
    if seconds == 0 {
        return utc;
    }
    let Some(local) = nanos.checked_add(i64::from(seconds) * 1_000_000_000) else { return utc };
    let mut text = Timestamp(local).to_rfc3339();
    text.pop();
    let minutes = seconds.abs() / 60;
    let sign = if seconds < 0 { '-' } else { '+' };
    format!("{text}{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// The whole answer to who wants CSV, when there is an error instead.
pub(crate) fn csv_error(message: &str) -> Vec<u8> {
    let mut out = b"error\n".to_vec();
    push_field(&mut out, message);
    out.push(b'\n');
    out
}

/// The tags of a series in one cell, as they stand in line protocol: those that are empty are not there.
fn tags_cell(tags: &[(String, String)]) -> String {
    let mut cell = String::new();
    for (key, value) in tags.iter().filter(|(_, value)| !value.is_empty()) {
        if !cell.is_empty() {
            cell.push(',');
        }
        push_escaped(&mut cell, key);
        cell.push('=');
        push_escaped(&mut cell, value);
    }
    cell
}

fn push_escaped(cell: &mut String, name: &str) {
    for ch in name.chars() {
        if matches!(ch, ',' | '=' | ' ') {
            cell.push('\\');
        }
        cell.push(ch);
    }
}

/// CSV: a header per statement and whenever the columns change, tags in one cell, times as integers.
#[derive(Debug)]
pub(crate) struct CsvWriter {
    out: Vec<u8>,
    epoch_ns: i64,
    /// The statement that is coming has written nothing yet.
    fresh: bool,
    columns: Option<Vec<String>>,
}

impl CsvWriter {
    fn new(style: Style) -> Self {
        Self { out: Vec::new(), epoch_ns: style.epoch_ns.unwrap_or(1), fresh: true, columns: None }
    }

    fn item(&mut self, item: InfluxqlItem, to: &mut ChunkWriter) -> Result<(), SinkClosed> {
        match item {
            InfluxqlItem::Statement(_) => self.fresh = true,
            InfluxqlItem::Warning(_) => {}
            InfluxqlItem::Error(text) => {
                self.header(vec!["error".to_owned()]);
                self.cells([text.as_str()]);
            }
            InfluxqlItem::Series(series) => return self.series(&series, to),
        }
        Ok(())
    }

    fn header(&mut self, columns: Vec<String>) {
        if !std::mem::take(&mut self.fresh) && self.columns.as_ref() == Some(&columns) {
            return;
        }
        if self.columns.is_some() {
            self.out.push(b'\n');
        }
        self.cells(columns.iter().map(String::as_str));
        self.columns = Some(columns);
    }

    fn series(&mut self, series: &InfluxqlSeries, to: &mut ChunkWriter) -> Result<(), SinkClosed> {
        let head = Head::of(series);
        let mut columns = vec!["name".to_owned(), "tags".to_owned()];
        columns.extend(head.columns);
        self.header(columns);
        let tags = tags_cell(&head.tags);
        for row in 0..series.frame.rows {
            self.cells([head.name.as_str(), tags.as_str()]);
            self.out.pop(); // the row goes on
            for column in &series.frame.columns {
                self.out.push(b',');
                let text = self.text(column.column_type(), column.get(row));
                push_field(&mut self.out, &text);
            }
            self.out.push(b'\n');
            if self.out.len() >= CHUNK_BYTES {
                to.write(&mut self.out)?;
            }
        }
        Ok(())
    }

    fn text(&self, column_type: ColumnType, value: Option<FieldValue>) -> String {
        match value {
            None => String::new(),
            Some(FieldValue::Integer(nanos)) if column_type == ColumnType::Time => {
                (nanos / self.epoch_ns).to_string()
            }
            Some(FieldValue::Float(v)) => {
                let mut text = String::new();
                push_float(&mut text, v);
                text
            }
            Some(FieldValue::Integer(v)) => v.to_string(),
            Some(FieldValue::Unsigned(v)) => v.to_string(),
            Some(FieldValue::String(v)) => v,
            Some(FieldValue::Boolean(v)) => v.to_string(),
        }
    }

    fn cells<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        for (i, cell) in cells.into_iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            push_field(&mut self.out, cell);
        }
        self.out.push(b'\n');
    }
}

fn push_field(out: &mut Vec<u8>, field: &str) {
    if !needs_quotes(field, ',') {
        out.extend_from_slice(field.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(field.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}
