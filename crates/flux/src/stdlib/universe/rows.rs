//! Row by row: `filter`, `map`, `reduce`.

use std::rc::Rc;
use std::sync::Arc;

use model::{ColumnType, FieldType};

use super::super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::interpret::{Context, RowFunction, RowTable};
use crate::semantic::Ir;
use crate::table::build::{Builder, concat_group};
use crate::table::compare::narrow;
use crate::table::scan::From;
use crate::table::{Data, Key, Stream, Table, TableColumn, row_index};
use crate::value::{Record, Value};

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new("filter", "tables<-stream, fn:function, ?onEmpty:string => stream", filter),
        Builtin::new("map", "tables<-stream, fn:function, ?mergeKey:bool => stream", map),
        Builtin::new("reduce", "tables<-stream, fn:function, identity:record => stream", reduce),
    ]
});

fn filter(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let function = arguments.function("fn")?;
    let keep_empty = match &*arguments.text_or("onEmpty", "drop")? {
        "drop" => false,
        "keep" => true,
        other => {
            return Err(FluxError::invalid(format!("onEmpty must be \"keep\" or \"drop\", got \"{other}\"")));
        }
    };
    if let Some(from) = input.as_from()
        && !keep_empty
    {
        let mut from: From = from.clone();
        from.filters.push(function);
        return Ok(Value::Stream(Stream::from(from)));
    }
    Ok(Value::Stream(input.map(move |context, table| {
        let prepared = RowFunction::new(&function, "r", context)?;
        let kept = filter_table(context, RowTable::new(table), &prepared)?;
        Ok((keep_empty || kept.rows > 0).then_some(kept))
    })))
}

/// The rows of a table that a function accepts.
pub(crate) fn filter_table(context: &Context<'_>, rows: RowTable, function: &RowFunction) -> Result<Table> {
    if let Some(kept) = filter_columns(context, rows.table(), function) {
        let table = rows.into_table();
        return Ok(if kept.len() == table.rows { table } else { table.gather(&kept) });
    }
    let mut kept = Vec::new();
    for row in 0..rows.table().rows {
        if function.test(context, rows.row(row))? {
            kept.push(row_index(row));
        }
    }
    let table = rows.into_table();
    Ok(if kept.len() == table.rows { table } else { table.gather(&kept) })
}

/// The rows that pass, when the condition is nothing but comparisons of numeric columns with constants.
fn filter_columns(context: &Context<'_>, table: &Table, function: &RowFunction) -> Option<Vec<u32>> {
    let mut keep = vec![true; table.rows];
    for (name, operator, constant) in function.comparisons(context)? {
        let Data::Values(column) = &table.column(&name)?.data else { return None };
        if !narrow(column, operator, &constant, &mut keep) {
            return None;
        }
    }
    Some(keep.iter().enumerate().filter(|(_, keep)| **keep).map(|(row, _)| row_index(row)).collect())
}

fn map(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let function = arguments.function("fn")?;
    Ok(Value::Stream(input.expand(move |context, table| {
        let prepared = RowFunction::new(&function, "r", context)?;
        map_table(context, table, &prepared)
    })))
}

/// The records that a function makes of a table's rows, as tables: columns sorted by name, grouped by what is left of
/// the group key.
fn map_table(context: &Context<'_>, table: Table, function: &RowFunction) -> Result<Vec<Table>> {
    let rows = RowTable::new(table);
    if let Some(fields) = function.extension() {
        return extend_table(context, &rows, function, fields);
    }
    let mut columns: Vec<(Rc<str>, Builder)> = Vec::new();
    for row in 0..rows.table().rows {
        let answered = function.call(context, rows.row(row))?;
        let wrong = || {
            let name = answered.type_of().name();
            FluxError::invalid(format!("map function must return a record, got {name}"))
        };
        let record = answered.to_record().ok_or_else(wrong)?;
        push_record(&mut columns, &record, row)?;
    }
    let input = rows.table();
    columns.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut made = Table { columns: Vec::with_capacity(columns.len()), rows: input.rows };
    for (name, mut builder) in columns {
        while builder.len() < input.rows {
            builder.push(&Value::Null)?;
        }
        let otherwise =
            input.column(&name).map_or(ColumnType::Field(FieldType::String), |c| c.data.column_type());
        made.columns.push(TableColumn::new(&name, Data::new(builder.finish(otherwise))));
    }
    regroup(made, input)
}

/// `{r with ...}`: only the columns that are set are computed; the others stay as they are.
fn extend_table(
    context: &Context<'_>,
    rows: &RowTable,
    function: &RowFunction,
    fields: &[(Rc<str>, Ir)],
) -> Result<Vec<Table>> {
    let input = rows.table();
    let mut builders: Vec<Builder> = fields.iter().map(|_| Builder::new()).collect();
    for row in 0..input.rows {
        function.extend(context, rows.row(row), fields, |at, value| {
            builders[at]
                .push(value)
                .map_err(|e| FluxError::invalid(format!("map: column {}: {e}", fields[at].0)))
        })?;
    }
    let mut made = input.clone();
    for ((name, _), builder) in fields.iter().zip(builders) {
        let otherwise =
            input.column(name).map_or(ColumnType::Field(FieldType::String), |c| c.data.column_type());
        made.set(TableColumn::new(name, Data::new(builder.finish(otherwise))));
    }
    made.columns.sort_by(|a, b| a.name.cmp(&b.name));
    regroup(made, input)
}

fn push_record(columns: &mut Vec<(Rc<str>, Builder)>, record: &Record, row: usize) -> Result<()> {
    for (number, (name, value)) in record.fields.iter().enumerate() {
        // Records of one function have their fields in one order, so the guess is nearly always right.
        let at = match columns.get(number) {
            Some((n, _)) if n == name => number,
            _ => columns.iter().position(|(n, _)| n == name).unwrap_or_else(|| {
                columns.push((Rc::clone(name), Builder::new()));
                columns.len() - 1
            }),
        };
        let builder = &mut columns[at].1;
        while builder.len() < row {
            builder.push(&Value::Null)?;
        }
        builder.push(value).map_err(|e| FluxError::invalid(format!("map: column {name}: {e}")))?;
    }
    Ok(())
}

/// Splits a table where columns of the old group key no longer are constant, and marks its key.
fn regroup(table: Table, old: &Table) -> Result<Vec<Table>> {
    let names: Vec<Arc<str>> = old.columns.iter().filter(|c| c.group).map(|c| Arc::clone(&c.name)).collect();
    let key: Vec<usize> = names.iter().filter_map(|n| table.index(n)).collect();
    split_by(table, &key)
}

/// Splits a table by the values of some columns, which become its key; groups in order of first appearance.
pub(in crate::stdlib) fn split_by(table: Table, key: &[usize]) -> Result<Vec<Table>> {
    let mut groups: Vec<(Key, Vec<u32>)> = Vec::new();
    let mut places: std::collections::HashMap<Key, usize> = std::collections::HashMap::new();
    if table.rows == 0 {
        return Ok(vec![table]);
    }
    let constant = key.iter().all(|at| matches!(table.columns[*at].data, Data::Constant(..)));
    if constant {
        groups.push((Key::of_row(&table, key, 0), Vec::new()));
    } else {
        for row in 0..table.rows {
            let group = Key::of_row(&table, key, row);
            let at = *places.entry(group.clone()).or_insert_with(|| {
                groups.push((group, Vec::new()));
                groups.len() - 1
            });
            groups[at].1.push(row_index(row));
        }
    }
    let whole = groups.len() == 1;
    let mut out = Vec::with_capacity(groups.len());
    for (_, rows) in groups {
        let mut part = if whole { table.clone() } else { table.gather(&rows) };
        for (at, column) in part.columns.iter_mut().enumerate() {
            column.group = key.contains(&at);
            if column.group {
                column.data = Data::Constant(column.data.column_type(), column.data.get(0));
            }
        }
        out.push(part);
    }
    Ok(out)
}

fn reduce(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let function = arguments.function("fn")?;
    let identity = arguments.get("identity").clone();
    Ok(Value::Stream(input.map(move |context, table| {
        let rows = RowTable::new(table);
        let mut accumulator = identity.clone();
        for row in 0..rows.table().rows {
            let given = vec![(Rc::from("r"), rows.row(row)), (Rc::from("accumulator"), accumulator)];
            accumulator = function.call(context, given)?;
        }
        let Value::Record(record) = &accumulator else {
            let name = accumulator.type_of().name();
            return Err(FluxError::invalid(format!("reduce function must return a record, got {name}")));
        };
        let mut made = Table { columns: rows.table().key_columns(), rows: 1 };
        for (name, value) in &record.fields {
            let mut builder = Builder::new();
            builder.push(value)?;
            if made.column(name).is_none() {
                let column = builder.finish(ColumnType::Field(FieldType::String));
                made.columns.push(TableColumn::new(name, Data::new(column)));
            }
        }
        Ok(Some(concat_group(context, std::slice::from_ref(&made))?))
    })))
}
