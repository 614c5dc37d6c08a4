//! Package `csv`: annotated CSV (and raw CSV) to tables.

use std::collections::HashMap;

use model::{ColumnType, FieldType};

use super::universe::split_by;
use super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::interpret::Context;
use crate::table::build::Builder;
use crate::table::{Data, Stream, Table, TableColumn};
use crate::value::{Value, convert};

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![Builtin::new("from", "?csv:string, ?file:string, ?mode:string, ?url:string => stream", from)]
});

fn from(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let Value::String(text) = arguments.get("csv") else {
        return Err(FluxError::invalid("csv.from needs the argument csv: files and addresses are not read"));
    };
    let raw = match &*arguments.text_or("mode", "annotations")? {
        "annotations" => false,
        "raw" => true,
        other => return Err(FluxError::invalid(format!("unknown csv mode \"{other}\""))),
    };
    let lines = records(text)?;
    context.count_rows(lines.len())?;
    let tables = if raw { vec![raw_table(&lines)?] } else { annotated(&lines)? };
    Ok(Value::Stream(Stream::of(tables)))
}

/// A line's cells; an empty line has none.
type Line = Vec<String>;

/// Splits RFC 4180 text into lines of cells.
fn records(text: &str) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut line = Line::new();
    let mut cell = String::new();
    let mut quoted = false;
    let mut any = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => {
                quoted = !quoted;
                any = true;
            }
            ',' if !quoted => {
                line.push(std::mem::take(&mut cell));
                any = true;
            }
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                if any || !cell.is_empty() {
                    line.push(std::mem::take(&mut cell));
                }
                lines.push(std::mem::take(&mut line));
                any = false;
            }
            other => cell.push(other),
        }
    }
    if quoted {
        return Err(FluxError::invalid("csv ends inside quotes"));
    }
    if any || !cell.is_empty() {
        line.push(cell);
        lines.push(line);
    }
    Ok(lines)
}

fn raw_table(lines: &[Line]) -> Result<Table> {
    let mut rows = lines.iter().filter(|l| !l.is_empty());
    let Some(header) = rows.next() else { return Err(FluxError::invalid("csv has no header")) };
    let rows: Vec<&Line> = rows.collect();
    let mut columns = Vec::with_capacity(header.len());
    for (at, name) in header.iter().enumerate() {
        let mut builder = Builder::typed(ColumnType::Field(FieldType::String));
        for row in &rows {
            builder.push(&Value::string(row.get(at).map_or("", String::as_str)))?;
        }
        columns.push(TableColumn::new(name, Data::new(builder.finish(ColumnType::Field(FieldType::String)))));
    }
    Ok(Table { columns, rows: rows.len() })
}

/// The annotations and the header of a block.
#[derive(Default)]
struct Schema {
    types: Line,
    groups: Line,
    defaults: Line,
    header: Line,
}

fn annotated(lines: &[Line]) -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    let mut schema = Schema::default();
    let mut rows: Vec<&Line> = Vec::new();
    for line in lines {
        let first = line.first().map_or("", String::as_str);
        if line.iter().all(String::is_empty) || (first.starts_with('#') && !schema.header.is_empty()) {
            finish(&mut schema, &mut rows, &mut tables)?;
        }
        match first {
            _ if line.iter().all(String::is_empty) => {}
            "#datatype" => schema.types = line.clone(),
            "#group" => schema.groups = line.clone(),
            "#default" => schema.defaults = line.clone(),
            comment if comment.starts_with('#') => {}
            _ if schema.header.is_empty() => schema.header = line.clone(),
            _ => rows.push(line),
        }
    }
    finish(&mut schema, &mut rows, &mut tables)?;
    Ok(tables)
}

/// Turns a block into tables: one per number in its column `table`, or an empty one from the defaults.
fn finish(schema: &mut Schema, rows: &mut Vec<&Line>, tables: &mut Vec<Table>) -> Result<()> {
    let schema = std::mem::take(schema);
    let rows = std::mem::take(rows);
    if schema.header.is_empty() {
        return Ok(());
    }
    if schema.types.is_empty() {
        return Err(FluxError::invalid("failed to read metadata: missing expected annotation datatype"));
    }
    let table_at = schema.header.iter().position(|n| n == "table");
    let mut blocks: Vec<Vec<&Line>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for row in rows {
        let number = table_at.and_then(|at| row.get(at)).map_or("", String::as_str);
        let at = *places.entry(number).or_insert_with(|| {
            blocks.push(Vec::new());
            blocks.len() - 1
        });
        blocks[at].push(row);
    }
    if blocks.is_empty() {
        blocks.push(Vec::new());
    }
    for block in blocks {
        tables.extend(block_tables(&schema, &block)?);
    }
    Ok(())
}

fn block_tables(schema: &Schema, rows: &[&Line]) -> Result<Vec<Table>> {
    let mut table = Table { columns: Vec::new(), rows: rows.len() };
    let mut key = Vec::new();
    for (at, name) in schema.header.iter().enumerate() {
        if at == 0 && name.is_empty() || matches!(name.as_str(), "result" | "table") {
            continue;
        }
        let cell = |line: &Line| line.get(at).cloned().unwrap_or_default();
        let (datatype, default) = (cell(&schema.types), cell(&schema.defaults));
        let column_type = column_type(&datatype)?;
        let is_key = cell(&schema.groups) == "true";
        let data = if rows.is_empty() && is_key {
            let mut builder = Builder::typed(column_type);
            builder.push(&parse(&default, column_type)?)?;
            Data::Constant(column_type, builder.finish(column_type).get(0))
        } else {
            let mut builder = Builder::typed(column_type);
            for row in rows {
                let text = cell(row);
                builder.push(&parse(if text.is_empty() { &default } else { &text }, column_type)?)?;
            }
            Data::new(builder.finish(column_type))
        };
        if is_key {
            key.push(table.columns.len());
        }
        let group = is_key && rows.is_empty();
        table.columns.push(TableColumn { group, ..TableColumn::new(name, data) });
    }
    split_by(table, &key)
}

fn column_type(datatype: &str) -> Result<ColumnType> {
    Ok(match datatype {
        "boolean" => ColumnType::Field(FieldType::Boolean),
        "long" => ColumnType::Field(FieldType::Integer),
        "unsignedLong" => ColumnType::Field(FieldType::Unsigned),
        "double" => ColumnType::Field(FieldType::Float),
        "string" | "tag" => ColumnType::Field(FieldType::String),
        time if time.starts_with("dateTime") => ColumnType::Time,
        other => return Err(FluxError::invalid(format!("unsupported column datatype \"{other}\""))),
    })
}

/// A cell's value. An empty cell is null, except that an empty text cell stays one.
fn parse(text: &str, column_type: ColumnType) -> Result<Value> {
    let value = Value::string(text);
    match column_type {
        ColumnType::Field(FieldType::String) => Ok(value),
        _ if text.is_empty() => Ok(Value::Null),
        ColumnType::Field(FieldType::Boolean) => convert::to_bool(&value),
        ColumnType::Field(FieldType::Integer) => convert::to_int(&value),
        ColumnType::Field(FieldType::Unsigned) => convert::to_uint(&value),
        ColumnType::Field(FieldType::Float) => convert::to_float(&value),
        ColumnType::Time => convert::to_time(&value),
    }
}
