//! Selectors: some rows of each table, whole. Tables without a value to select from disappear.

use std::collections::HashSet;

use super::super::{Arguments, Builtin, Functions};
use super::aggregates::input_column;
use crate::error::{FluxError, Result};
use crate::interpret::Context;
use crate::table::aggregate::all;
use crate::table::select::{Selector, order};
use crate::table::summary::Function;
use crate::table::{Data, Key, Table, TableColumn, row_index};
use crate::value::Value;

const SIGNATURE: &str = "tables<-stream, ?column:string => stream";
const TOP: &str = "tables<-stream, n:int, ?columns:array => stream";

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new("first", SIGNATURE, |_, a| select(Selector::First, a)),
        Builtin::new("last", SIGNATURE, |_, a| select(Selector::Last, a)),
        Builtin::new("min", SIGNATURE, |_, a| select(Selector::Min, a)),
        Builtin::new("max", SIGNATURE, |_, a| select(Selector::Max, a)),
        Builtin::new("unique", SIGNATURE, unique),
        Builtin::new("distinct", SIGNATURE, distinct),
        Builtin::new("mode", SIGNATURE, mode),
        Builtin::new("top", TOP, |_, a| top(a, true)),
        Builtin::new("bottom", TOP, |_, a| top(a, false)),
    ]
});

fn select(selector: Selector, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let name = arguments.text_or("column", "_value")?.to_string();
    let of_values = name == "_value";
    let rows = input.map(move |_, table| {
        let values = table.need(&name)?.data.column(table.rows);
        selector.check(&values)?;
        Ok(selector.of(&values, &all(table.rows)).map(|at| table.slice(at, at + 1)))
    });
    if !of_values {
        return Ok(Value::Stream(rows));
    }
    let made = |_: &Context<'_>, table| Ok(Some(table));
    Ok(Value::Stream(input.summarized(Function::Selector(selector), None, made, rows)))
}

/// The first row of each value.
fn first_of_each(table: &Table, name: &str) -> Result<Vec<u32>> {
    let at =
        table.index(name).ok_or_else(|| FluxError::invalid(format!("column \"{name}\" does not exist")))?;
    let mut seen = HashSet::new();
    Ok((0..table.rows).filter(|row| seen.insert(Key::of_row(table, &[at], *row))).map(row_index).collect())
}

fn unique(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let name = arguments.text_or("column", "_value")?.to_string();
    Ok(Value::Stream(input.map(move |_, table| Ok(Some(table.gather(&first_of_each(&table, &name)?))))))
}

fn distinct(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let name = arguments.text_or("column", "_value")?.to_string();
    Ok(Value::Stream(input.map(move |_, table| {
        let Some(column) = table.column(&name) else { return Ok(None) };
        let rows = first_of_each(&table, &name)?;
        let values = column.data.column(table.rows).gather(&rows);
        let mut columns: Vec<_> = table.key_columns().into_iter().filter(|c| &*c.name != "_value").collect();
        columns.push(TableColumn::new("_value", Data::new(values)));
        Ok(Some(Table { columns, rows: rows.len() }))
    })))
}

fn mode(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let name = arguments.text_or("column", "_value")?.to_string();
    Ok(Value::Stream(input.map(move |_, table| {
        let values = input_column(&table, &name)?;
        let mut sorted: Vec<usize> = (0..table.rows).filter(|at| values.is_valid(*at)).collect();
        sorted.sort_by(|a, b| order(&values, *a, *b));
        let runs: Vec<&[usize]> = sorted.chunk_by(|a, b| order(&values, *a, *b).is_eq()).collect();
        let most = runs.iter().map(|r| r.len()).max().unwrap_or(0);
        let chosen: Vec<u32> = runs.iter().filter(|r| r.len() == most).map(|r| row_index(r[0])).collect();
        // When every value is as frequent as every other, there is no mode.
        let none = chosen.len() == runs.len() && runs.len() > 1;
        let column =
            if none { model::Column::nulls(values.column_type(), 1) } else { values.gather(&chosen) };
        let rows = column.len();
        let mut columns = table.key_columns();
        columns.push(TableColumn::new(&name, Data::new(column)));
        Ok(Some(Table { columns, rows }))
    })))
}

fn top(arguments: &Arguments, descending: bool) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let n = arguments.count_or("n", 0)?;
    let names = arguments.texts("columns")?.unwrap_or_else(|| vec!["_value".into()]);
    Ok(Value::Stream(input.map(move |_, table| {
        let sorted = super::groups::sort_rows(&table, &names, descending);
        Ok(Some(table.gather(&sorted[..n.min(sorted.len())])))
    })))
}
