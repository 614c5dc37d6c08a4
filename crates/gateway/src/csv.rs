//! Annotated CSV, the answer of `/api/v2/query`: RFC 4180 with CRLF, written as Go's `encoding/csv` writes it.
//!
//! ```text
//! #datatype,string,long,dateTime:RFC3339,double,string     <- annotations, in the order asked for
//! #group,false,false,false,false,true
//! #default,_result,,,,
//! ,result,table,_time,_value,host                          <- header
//! ,,0,2020-01-01T00:00:00Z,1.5,a                           <- rows; with #default the result cell is empty
//! ```
//! A schema block begins where columns or group columns change, and for every empty table. Each result ends with
//! an empty line.

use std::sync::Arc;

use model::{Column, ColumnType, FieldType, FieldValue, Frame, FrameColumn, FrameValues, Timestamp, Values};

use crate::ports::{FluxTable, SinkClosed};

/// Output above this many bytes is handed on.
pub(crate) const CHUNK_BYTES: usize = 32 * 1024;

/// An annotation row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Annotation {
    /// `#datatype`
    Datatype,
    /// `#group`
    Group,
    /// `#default`
    Default,
}

/// What the client asked of the format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Whether there is a header row.
    pub(crate) header: bool,
    /// The separator of cells.
    pub(crate) delimiter: char,
    /// The annotation rows, in this order.
    pub(crate) annotations: Vec<Annotation>,
}

impl Dialect {
    /// What a client gets that asks for nothing.
    pub(crate) const fn plain() -> Self {
        Self { header: true, delimiter: ',', annotations: Vec::new() }
    }
}

/// One column of a schema block.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ColumnMeta {
    name: Arc<str>,
    column_type: ColumnType,
    group: bool,
}

/// What was last written of the current result.
#[derive(Debug)]
struct Current {
    result: Arc<str>,
    table: i64,
    schema: Vec<ColumnMeta>,
    empty: bool,
}

/// Takes finished output; empties the buffer it is given.
pub(crate) type Flush<'a> = &'a mut dyn FnMut(&mut Vec<u8>) -> Result<(), SinkClosed>;

/// Writes tables as annotated CSV.
#[derive(Debug)]
pub(crate) struct Encoder {
    dialect: Dialect,
    result_in_rows: bool,
    current: Option<Current>,
    written: bool,
    out: Vec<u8>,
    text: String,
}

impl Encoder {
    pub(crate) fn new(dialect: Dialect) -> Self {
        let result_in_rows = !dialect.annotations.contains(&Annotation::Default);
        Self { dialect, result_in_rows, current: None, written: false, out: Vec::new(), text: String::new() }
    }

    /// Writes a table, or a further piece of the table before.
    pub(crate) fn table(&mut self, table: &FluxTable, flush: Flush<'_>) -> Result<(), SinkClosed> {
        let schema: Vec<ColumnMeta> = table
            .frame
            .columns
            .iter()
            .map(|c| ColumnMeta { name: Arc::clone(&c.name), column_type: c.column_type(), group: c.group })
            .collect();
        let empty = table.frame.rows == 0;
        let before = self.current.take();
        let same_result = before.as_ref().filter(|b| b.result == table.result);
        let same_schema = same_result.is_some_and(|b| b.schema == schema);
        if empty && same_schema && same_result.is_some_and(|b| b.table == table.table) {
            self.current = before;
            return Ok(());
        }
        if before.is_some() && same_result.is_none() {
            self.end_line(); // the end of the result before
        }
        if empty || !same_schema || same_result.is_some_and(|b| b.empty) {
            if same_result.is_some() {
                self.end_line();
            }
            self.schema_block(table, &schema);
        }
        self.written = true;
        self.current = Some(Current { result: Arc::clone(&table.result), table: table.table, schema, empty });
        self.rows(table, flush)
    }

    /// Ends the last result.
    pub(crate) fn finish(&mut self, flush: Flush<'_>) -> Result<(), SinkClosed> {
        if self.current.take().is_some() {
            self.end_line();
        }
        flush(&mut self.out)
    }

    /// Writes the error table that ends a stream which has begun.
    pub(crate) fn error(&mut self, message: &str, flush: Flush<'_>) -> Result<(), SinkClosed> {
        if self.written {
            self.end_line();
        }
        for annotation in self.dialect.annotations.clone() {
            let (name, cell) = match annotation {
                Annotation::Datatype => ("#datatype", "string"),
                Annotation::Group => ("#group", "true"),
                Annotation::Default => ("#default", ""),
            };
            self.row(&[name, cell, cell]);
        }
        self.row(&["", "error", "reference"]);
        self.row(&["", message, ""]);
        flush(&mut self.out)
    }

    fn schema_block(&mut self, table: &FluxTable, schema: &[ColumnMeta]) {
        for annotation in self.dialect.annotations.clone() {
            match annotation {
                Annotation::Datatype => {
                    self.cells(["#datatype", "string", "long"]);
                    for column in schema {
                        self.next_cell(datatype(column.column_type));
                    }
                }
                Annotation::Group => {
                    self.cells(["#group", "false", "false"]);
                    for column in schema {
                        self.next_cell(if column.group { "true" } else { "false" });
                    }
                }
                Annotation::Default => self.defaults(table),
            }
            self.end_line();
        }
        if self.dialect.header {
            self.cells(["", "result", "table"]);
            for column in schema {
                self.next_cell(&column.name);
            }
            self.end_line();
        }
    }

    /// The `#default` row: the result's name; for an empty table also its number and its group key.
    fn defaults(&mut self, table: &FluxTable) {
        self.cells(["#default", &table.result]);
        let empty = table.frame.rows == 0;
        self.next_cell(&if empty { table.table.to_string() } else { String::new() });
        for column in &table.frame.columns {
            self.delimit();
            if empty
                && column.group
                && let FrameValues::Constant(column_type, Some(value)) = &column.values
            {
                self.value(*column_type, value);
            }
        }
    }

    fn rows(&mut self, table: &FluxTable, flush: Flush<'_>) -> Result<(), SinkClosed> {
        let start = self.row_start(table);
        let cells = self.prepare(&table.frame);
        for row in 0..table.frame.rows {
            self.out.extend_from_slice(&start);
            for cell in &cells {
                self.delimit();
                match cell {
                    Cells::Constant(bytes) => self.out.extend_from_slice(bytes),
                    Cells::Column(column) => self.column_value(column, row),
                }
            }
            self.end_line();
            if self.out.len() >= CHUNK_BYTES {
                flush(&mut self.out)?;
            }
        }
        Ok(())
    }

    /// The cells before the table's own: empty, result, table number.
    fn row_start(&self, table: &FluxTable) -> Vec<u8> {
        let mut start = Vec::new();
        push_char(&mut start, self.dialect.delimiter);
        if self.result_in_rows {
            push_field(&mut start, &table.result, self.dialect.delimiter);
        }
        push_char(&mut start, self.dialect.delimiter);
        start.extend_from_slice(itoa::Buffer::new().format(table.table).as_bytes());
        start
    }

    /// Constant columns are written once per frame.
    fn prepare<'a>(&mut self, frame: &'a Frame) -> Vec<Cells<'a>> {
        let mut prepare = |column: &'a FrameColumn| match &column.values {
            FrameValues::Column(column) => Cells::Column(column),
            FrameValues::Constant(column_type, value) => {
                let start = self.out.len();
                if let Some(value) = value {
                    self.value(*column_type, value);
                }
                Cells::Constant(self.out.split_off(start))
            }
        };
        frame.columns.iter().map(&mut prepare).collect()
    }

    fn column_value(&mut self, column: &Column, row: usize) {
        if !column.is_valid(row) {
            return;
        }
        match &column.values {
            Values::Float(v) => self.float(v[row]),
            Values::Integer(v) => self.integer(v[row]),
            Values::Unsigned(v) => self.unsigned(v[row]),
            Values::String(v) => push_field(&mut self.out, v.get(row), self.dialect.delimiter),
            Values::Boolean(v) => self.boolean(v.get(row)),
            Values::Time(v) => self.time(v[row]),
        }
    }

    fn value(&mut self, column_type: ColumnType, value: &FieldValue) {
        match value {
            FieldValue::Integer(v) if column_type == ColumnType::Time => self.time(*v),
            FieldValue::Float(v) => self.float(*v),
            FieldValue::Integer(v) => self.integer(*v),
            FieldValue::Unsigned(v) => self.unsigned(*v),
            FieldValue::String(v) => push_field(&mut self.out, v, self.dialect.delimiter),
            FieldValue::Boolean(v) => self.boolean(*v),
        }
    }

    /// Shortest decimal that reads back as the same double, never with an exponent.
    fn float(&mut self, value: f64) {
        self.text.clear();
        push_float(&mut self.text, value);
        self.out.extend_from_slice(self.text.as_bytes());
    }

    fn integer(&mut self, value: i64) {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    fn unsigned(&mut self, value: u64) {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn time(&mut self, nanos: i64) {
        self.text.clear();
        Timestamp(nanos).write_rfc3339(&mut self.text);
        self.out.extend_from_slice(self.text.as_bytes());
    }

    fn row(&mut self, cells: &[&str]) {
        self.cells(cells.iter().copied());
        self.end_line();
    }

    fn cells<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        for (i, cell) in cells.into_iter().enumerate() {
            if i > 0 {
                self.delimit();
            }
            push_field(&mut self.out, cell, self.dialect.delimiter);
        }
    }

    fn next_cell(&mut self, cell: &str) {
        self.delimit();
        push_field(&mut self.out, cell, self.dialect.delimiter);
    }

    fn delimit(&mut self) {
        push_char(&mut self.out, self.dialect.delimiter);
    }

    fn end_line(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

enum Cells<'a> {
    Constant(Vec<u8>),
    Column(&'a Column),
}

const fn datatype(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Field(FieldType::Float) => "double",
        ColumnType::Field(FieldType::Integer) => "long",
        ColumnType::Field(FieldType::Unsigned) => "unsignedLong",
        ColumnType::Field(FieldType::String) => "string",
        ColumnType::Field(FieldType::Boolean) => "boolean",
        ColumnType::Time => "dateTime:RFC3339",
    }
}

/// Appends a float as Go's `FormatFloat(v, 'f', -1, 64)`.
pub(crate) fn push_float(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        push_decimal(out, value);
    }
}

/// A finite number without an exponent, in the fewest digits that read back as the same; of two that do, the nearer, and of
/// two as near the even one. That is Go's choice and not that of the standard library's `Display`.
pub(crate) fn push_decimal(out: &mut String, value: f64) {
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value);
    let Some((mantissa, exponent)) = text.split_once('e') else {
        out.push_str(text.strip_suffix(".0").unwrap_or(text));
        return;
    };
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let zeros = |count: u32| std::iter::repeat_n('0', usize::try_from(count).unwrap_or_default());
    out.push_str(sign);
    if exponent < 0 {
        out.push_str("0.");
        out.extend(zeros(exponent.unsigned_abs() - 1));
        out.extend([whole, fraction]);
    } else {
        // From 10^16 on there are more places than digits.
        out.extend([whole, fraction]);
        out.extend(zeros(exponent.unsigned_abs().saturating_sub(u32::try_from(fraction.len()).unwrap_or(0))));
    }
}

fn push_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Appends a cell, quoted where Go's writer quotes. Line breaks inside a cell are data and stay as they are; InfluxDB
/// turns them into `\r\n`, and so changes strings that pass through it.
fn push_field(out: &mut Vec<u8>, field: &str, delimiter: char) {
    if !needs_quotes(field, delimiter) {
        out.extend_from_slice(field.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in field.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

pub(crate) fn needs_quotes(field: &str, delimiter: char) -> bool {
    !field.is_empty()
        && (field == "\\."
            || field.contains(['"', '\r', '\n', delimiter])
            || field.chars().next().is_some_and(char::is_whitespace))
}

#[cfg(test)]
mod tests;
