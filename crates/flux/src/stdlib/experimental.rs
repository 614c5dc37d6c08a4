//! Packages `experimental` and `experimental/table`. Much of the first is what the universe has under the same names, for a
//! column `_value`.

use std::rc::Rc;
use std::sync::Arc;

use super::testing::{catch, experimental_diff};
use super::{Arguments, Builtin, Functions, date};
use crate::error::{FluxError, Result};
use crate::interpret::Context;
use crate::table::build::{column_type, column_value};
use crate::table::{Data, Made, Stream, Table, TableColumn, Tables};
use crate::value::Value;

/// What the universe has under the same names, with the same parameters as far as `experimental` has them.
pub(super) const OF_UNIVERSE: [&str; 17] = [
    "count",
    "distinct",
    "fill",
    "first",
    "last",
    "max",
    "mean",
    "min",
    "mode",
    "quantile",
    "skew",
    "spread",
    "stddev",
    "sum",
    "unique",
    "window",
    "kaufmansAMA",
];

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        experimental_diff(),
        Builtin::new("catch", "fn:function => record", catch),
        Builtin::new("objectKeys", "o:any => array", |_, a| object_keys(a.get("o"))),
        Builtin::new("addDuration", "d:duration, to:timeable, ?location:record => time", |c, a| {
            date::moved(c, a, "to", 1)
        }),
        Builtin::new("subDuration", "d:duration, from:timeable, ?location:record => time", |c, a| {
            date::moved(c, a, "from", -1)
        }),
        Builtin::new("set", "tables<-stream, o:record => stream", set),
        Builtin::new("group", "tables<-stream, mode:string, columns:array => stream", group),
        Builtin::new("unpivot", "tables<-stream, ?otherColumns:array => stream", unpivot),
        Builtin::new("chain", "first:stream, second:stream => stream", chain),
        Builtin::new("preview", "tables<-stream, ?nrows:int, ?ntables:int => stream", preview),
    ]
});

pub(super) static TABLE: Functions =
    Functions::new(|| vec![Builtin::new("fill", "tables<-stream => stream", fill_empty)]);

/// Sets columns to the values of a record.
fn set(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let Value::Record(record) = arguments.get("o").clone() else {
        return Err(FluxError::invalid("expected record (argument o)"));
    };
    Ok(Value::Stream(input.map(move |_, mut table| {
        for (name, value) in &record.fields {
            let Some(column_type) = column_type(value) else {
                let found = value.type_of().name();
                return Err(FluxError::invalid(format!("a column cannot hold a value of type {found}")));
            };
            let group = table.column(name).is_some_and(|column| column.group);
            let data = Data::Constant(column_type, column_value(value));
            table.set(TableColumn { name: Arc::from(&**name), group, data });
        }
        Ok(Some(table))
    })))
}

/// Gives tables without rows one, in which nothing but the group key is not null.
fn fill_empty(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    Ok(Value::Stream(input.map(|context, mut table| {
        if table.rows == 0 {
            context.count_rows(1)?;
            for column in table.columns.iter_mut().filter(|column| !column.group) {
                column.data = Data::Constant(column.data.column_type(), None);
            }
            table.rows = 1;
        }
        Ok(Some(table))
    })))
}

/// Adds columns to the group key.
fn group(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    if &*arguments.text("mode")? != "extend" {
        return Err(FluxError::invalid("mode must be extend"));
    }
    let names = arguments.texts("columns")?.unwrap_or_default();
    Ok(super::universe::extended(&arguments.stream("tables")?, names))
}

/// A table for each column that is neither of the key nor one of `otherColumns`: with its name in the key's `_field`, and
/// its values that are not null as `_value`.
fn unpivot(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let others = arguments.texts("otherColumns")?.unwrap_or_else(|| vec!["_time".into()]);
    Ok(Value::Stream(input.gather(move |context, tables| {
        let mut made = Vec::new();
        for table in &tables {
            let is_other = |column: &TableColumn| others.iter().any(|name| **name == *column.name);
            for column in table.columns.iter().filter(|column| !column.group && !is_other(column)) {
                let rows: Vec<u32> = (0..table.rows)
                    .filter(|row| column.data.get(*row).is_some())
                    .map(crate::table::row_index)
                    .collect();
                let kept = |other: &&TableColumn| other.group || is_other(other);
                let mut columns: Vec<TableColumn> = table.columns.iter().filter(kept).cloned().collect();
                columns.push(TableColumn::key("_field", Data::text(&column.name)));
                columns.push(TableColumn::new("_value", column.data.clone()));
                context.count_rows(rows.len())?;
                made.push(Made::new(context, Table { columns, rows: table.rows }.gather(&rows))?);
            }
        }
        Ok(made)
    })))
}

/// Reads all of one stream before another is opened, which is what is answered.
fn chain(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let (first, second) = (arguments.stream("first")?, arguments.stream("second")?);
    Ok(Value::Stream(Stream::new(second.bounds(), move |context| {
        for table in first.open(context)? {
            table?;
        }
        second.open(context)
    })))
}

/// The first rows of the first tables.
fn preview(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let (rows, tables) = (arguments.count_or("nrows", 5)?, arguments.count_or("ntables", 5)?);
    Ok(Value::Stream(Stream::new(input.bounds(), move |context| {
        let first = input.open(context)?.take(tables);
        Ok(Tables::from(Box::new(first.map(move |table| {
            let table = table?;
            Ok(if table.rows > rows { table.slice(0, rows) } else { table })
        }))))
    })))
}

/// The names of a record's values.
fn object_keys(object: &Value) -> Result<Value> {
    let wrong = || {
        let found = object.type_of().name();
        FluxError::invalid(format!("expected record but found {found} (argument o)"))
    };
    let record = object.to_record().ok_or_else(wrong)?;
    Ok(Value::array(record.fields.iter().map(|(name, _)| Value::String(Rc::clone(name))).collect()))
}
