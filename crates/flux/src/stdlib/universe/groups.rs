//! Which rows belong together and in which order: `group`, `sort`, `union`, `join`.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use model::Column;

use super::super::{Arguments, Builtin, Functions};
use super::rows::split_by;
use crate::error::{FluxError, Result};
use crate::interpret::Context;
use crate::table::build::{concat, concat_group};
use crate::table::select::order;
use crate::table::{Data, Key, Made, Stream, Table, TableColumn, Tables, row_index};
use crate::value::Value;

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new("group", "tables<-stream, ?columns:array, ?mode:string => stream", group),
        Builtin::new("sort", "tables<-stream, ?columns:array, ?desc:bool => stream", sort),
        Builtin::new("union", "tables:array => stream", union),
        Builtin::new("join", "?tables:record, on:array, ?method:string => stream", join),
    ]
});

fn group(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let names = arguments.texts("columns")?.unwrap_or_default();
    let by = match &*arguments.text_or("mode", "by")? {
        "by" => true,
        "except" => false,
        other => {
            return Err(FluxError::invalid(format!("unknown group mode \"{other}\": must be by or except")));
        }
    };
    Ok(grouped(&input, move |column| names.iter().any(|name| **name == *column.name) == by))
}

/// Columns added to the group key: `experimental.group`.
pub(in crate::stdlib) fn extended(input: &Stream, names: Vec<Rc<str>>) -> Value {
    grouped(input, move |column| column.group || names.iter().any(|name| **name == *column.name))
}

/// The rows in groups by the columns that are wanted.
fn grouped(input: &Stream, is_wanted: impl Fn(&TableColumn) -> bool + 'static) -> Value {
    Value::Stream(input.gather(move |context, tables| {
        let mut groups: BTreeMap<Key, Vec<Table>> = BTreeMap::new();
        let mut charged = Vec::new();
        for table in tables {
            let key: Vec<usize> =
                table.columns.iter().enumerate().filter(|(_, c)| is_wanted(c)).map(|(at, _)| at).collect();
            for part in split_by(table, &key)? {
                charged.push(context.hold(part.bytes())?);
                groups.entry(part.key()).or_default().push(part);
            }
        }
        groups.into_values().map(|parts| Made::new(context, concat_group(context, &parts)?)).collect()
    }))
}

/// Row numbers in the order of some columns; rows that are equal keep their order.
pub(super) fn sort_rows(table: &Table, names: &[Rc<str>], descending: bool) -> Vec<u32> {
    let columns: Vec<Rc<Column>> = names
        .iter()
        .filter_map(|n| table.column(n))
        .filter(|c| !matches!(c.data, Data::Constant(..)))
        .map(|c| c.data.column(table.rows))
        .collect();
    let mut rows: Vec<u32> = (0..table.rows).map(row_index).collect();
    rows.sort_by(|a, b| {
        let ordering = columns
            .iter()
            .map(|c| order(c, *a as usize, *b as usize))
            .find(|o| o.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal);
        if descending { ordering.reverse() } else { ordering }
    });
    rows
}

fn sort(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let names = arguments.texts("columns")?.unwrap_or_else(|| vec!["_value".into()]);
    let descending = arguments.bool_or("desc", false)?;
    Ok(Value::Stream(input.map(move |context, table| {
        context.room(table.bytes() + size_of::<u32>() * table.rows)?;
        Ok(Some(table.gather(&sort_rows(&table, &names, descending))))
    })))
}

fn union(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let streams = streams(arguments.array("tables")?.iter())?;
    let bounds = streams.iter().filter_map(Stream::bounds).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    Ok(Value::Stream(Stream::new(bounds, move |context| {
        let mut held = Vec::new();
        let mut groups: BTreeMap<Key, Vec<Table>> = BTreeMap::new();
        for stream in &streams {
            let (tables, charged) = stream.collect(context)?;
            held.extend(charged);
            for table in tables {
                groups.entry(table.key()).or_default().push(table);
            }
        }
        let mut parts = groups.into_values();
        Ok(Tables::from(Box::new(std::iter::from_fn(move || {
            let _charged = &held;
            parts.next().map(|tables| concat_group(context, &tables))
        }))))
    })))
}

fn streams<'a>(values: impl Iterator<Item = &'a Value>) -> Result<Vec<Stream>> {
    values
        .map(|value| match value {
            Value::Stream(stream) => Ok(stream.clone()),
            other => Err(FluxError::invalid(format!("expected stream but found {}", other.type_of().name()))),
        })
        .collect()
}

fn join(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let Value::Record(record) = arguments.get("tables") else {
        return Err(FluxError::invalid("missing required argument tables"));
    };
    let [(left_name, left), (right_name, right)] = record.fields.as_slice() else {
        return Err(FluxError::invalid("join needs exactly two streams"));
    };
    if &*arguments.text_or("method", "inner")? != "inner" {
        return Err(FluxError::invalid("join method must be inner"));
    }
    let on = arguments.texts("on")?.unwrap_or_default();
    if on.is_empty() {
        return Err(FluxError::invalid("must specify at least one column to join on"));
    }
    let both = streams([left, right].into_iter())?;
    let names = [Rc::clone(left_name), Rc::clone(right_name)];
    let bounds = both.iter().filter_map(Stream::bounds).reduce(|a, b| (a.0.max(b.0), a.1.min(b.1)));
    Ok(Value::Stream(Stream::new(bounds, move |context| {
        let [left, right] = both.as_slice() else { return Ok(Box::new(std::iter::empty())) };
        let (left, left_held) = left.collect(context)?;
        let (right, right_held) = right.collect(context)?;
        let mut pairs = Vec::new();
        for a in &left {
            for b in &right {
                if let Some(table) = join_tables(context, a, b, &on, &names)? {
                    context.count_rows(table.rows)?;
                    pairs.push(Made::new(context, table)?);
                }
            }
        }
        drop((left_held, right_held));
        Ok(Box::new(pairs.into_iter().map(|made| Ok(made.table))))
    })))
}

/// The pairs of rows that agree on the columns `on`; other columns of both sides get their stream's name appended.
fn join_tables(
    context: &Context<'_>,
    left: &Table,
    right: &Table,
    on: &[Rc<str>],
    names: &[Rc<str>; 2],
) -> Result<Option<Table>> {
    let places = |table: &Table| on.iter().map(|n| table.index(n)).collect::<Option<Vec<usize>>>();
    let (Some(left_on), Some(right_on)) = (places(left), places(right)) else { return Ok(None) };
    let mut by_key: HashMap<Key, Vec<u32>> = HashMap::new();
    for row in 0..right.rows {
        by_key.entry(Key::of_row(right, &right_on, row)).or_default().push(row_index(row));
    }
    let (mut left_rows, mut right_rows) = (Vec::new(), Vec::new());
    for row in 0..left.rows {
        for other in by_key.get(&Key::of_row(left, &left_on, row)).into_iter().flatten() {
            left_rows.push(row_index(row));
            right_rows.push(*other);
        }
        if row.is_multiple_of(256) {
            context.check_cancelled()?;
            context.room(left_rows.len() * 8 * (left.columns.len() + right.columns.len()))?;
        }
    }
    if left_rows.is_empty() {
        return Ok(None);
    }
    let mut made = left.gather(&left_rows);
    let joined = |name: &str| on.iter().any(|n| **n == *name);
    let mut extra = Vec::new();
    for column in right.gather(&right_rows).columns {
        if joined(&column.name) {
            continue;
        }
        let mut column = column;
        if let Some(mine) = made.columns.iter_mut().find(|c| c.name == column.name) {
            let base = Arc::clone(&column.name);
            mine.name = Arc::from(format!("{base}_{}", names[0]));
            column.name = Arc::from(format!("{base}_{}", names[1]));
        }
        extra.push(column);
    }
    made.columns.extend(extra);
    made.columns.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Some(concat(context, std::slice::from_ref(&made))?))
}
