//! Columns as wholes: `keep`, `drop`, `rename`, `duplicate`, `set`, `fill`, `keys`, `columns`, and conversions of `_value`.

use std::rc::Rc;
use std::sync::Arc;

use model::{Column, ColumnType, FieldType, Values};

use super::super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::interpret::{Context, Function};
use crate::table::build::{Builder, column_type, concat_group};
use crate::table::{Data, Made, Stream, Table, TableColumn, type_name};
use crate::value::{Value, convert};

const CAST: &str = "tables<-stream => stream";

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new("keep", "tables<-stream, ?columns:array, ?fn:function => stream", |_, a| {
            select(a, true)
        }),
        Builtin::new("drop", "tables<-stream, ?columns:array, ?fn:function => stream", |_, a| {
            select(a, false)
        }),
        Builtin::new("rename", "tables<-stream, ?columns:record, ?fn:function => stream", rename),
        Builtin::new("duplicate", "tables<-stream, column:string, as:string => stream", duplicate),
        Builtin::new("set", "tables<-stream, key:string, value:string => stream", set),
        Builtin::new("fill", "tables<-stream, ?column:string, ?value:any, ?usePrevious:bool => stream", fill),
        Builtin::new("keys", "tables<-stream, ?column:string => stream", |_, a| names(a, true)),
        Builtin::new("columns", "tables<-stream, ?column:string => stream", |_, a| names(a, false)),
        Builtin::new("toBool", CAST, |_, a| cast(a, convert::to_bool, FieldType::Boolean)),
        Builtin::new("toFloat", CAST, |_, a| cast(a, convert::to_float, FieldType::Float)),
        Builtin::new("toInt", CAST, |_, a| cast(a, convert::to_int, FieldType::Integer)),
        Builtin::new("toString", CAST, |_, a| cast(a, convert::to_string, FieldType::String)),
        Builtin::new("toUInt", CAST, |_, a| cast(a, convert::to_uint, FieldType::Unsigned)),
        Builtin::new("toTime", CAST, to_time),
    ]
});

/// Puts tables whose keys have become equal below one another, in order of first appearance.
pub(super) fn merge(stream: &Stream) -> Stream {
    stream.gather(|context, tables| {
        let mut groups: Vec<Vec<Table>> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for table in tables {
            let at = *places.entry(table.key()).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[at].push(table);
        }
        groups.iter().map(|parts| Made::new(context, concat_group(context, parts)?)).collect()
    })
}

fn select(arguments: &Arguments, keep: bool) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let names = arguments.texts("columns")?;
    let function = match (&names, Function::of(arguments.get("fn"))) {
        (None, Some(function)) => Some(function),
        (Some(_), None) => None,
        _ => return Err(FluxError::invalid("exactly one of columns and fn must be given")),
    };
    let names = names.unwrap_or_default();
    let selected = input.map(move |context, mut table| {
        let mut kept = Vec::with_capacity(table.columns.len());
        for column in table.columns {
            let named = match &function {
                None => names.iter().any(|n| **n == *column.name),
                Some(function) => {
                    let given = vec![(Rc::from("column"), Value::string(&column.name))];
                    matches!(function.call(context, given)?, Value::Bool(true))
                }
            };
            if named == keep {
                kept.push(column);
            }
        }
        table.columns = kept;
        Ok(Some(table))
    });
    Ok(Value::Stream(merge(&selected)))
}

fn rename(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let columns = arguments.get("columns").clone();
    let function = Function::of(arguments.get("fn"));
    let renamed = input.map(move |context, mut table| {
        if let Value::Record(record) = &columns {
            for (old, _) in &record.fields {
                if table.column(old).is_none() {
                    return Err(FluxError::invalid(format!("rename error: column \"{old}\" doesn't exist")));
                }
            }
        }
        for column in &mut table.columns {
            let new = match (&columns, &function) {
                (Value::Record(record), _) => record.get(&column.name).cloned(),
                (_, Some(function)) => {
                    let given = vec![(Rc::from("column"), Value::string(&column.name))];
                    Some(function.call(context, given)?)
                }
                _ => return Err(FluxError::invalid("exactly one of columns and fn must be given")),
            };
            match new {
                Some(Value::String(name)) => column.name = Arc::from(&*name),
                Some(other) => {
                    let name = other.type_of().name();
                    return Err(FluxError::invalid(format!("expected string but found {name}")));
                }
                None => {}
            }
        }
        Ok(Some(table))
    });
    Ok(Value::Stream(renamed))
}

fn duplicate(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let (old, new) = (arguments.text("column")?, arguments.text("as")?);
    Ok(Value::Stream(input.map(move |_, mut table| {
        let mut copy = table.need(&old)?.clone();
        copy.name = Arc::from(&*new);
        copy.group = table.column(&new).is_some_and(|c| c.group) && copy.group;
        table.set(copy);
        Ok(Some(table))
    })))
}

fn set(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let (key, value) = (arguments.text("key")?, arguments.text("value")?);
    let set = input.map(move |_, mut table| {
        let group = table.column(&key).is_some_and(|c| c.group);
        table.set(TableColumn { name: Arc::from(&*key), group, data: Data::text(&value) });
        Ok(Some(table))
    });
    Ok(Value::Stream(merge(&set)))
}

fn fill(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let name = arguments.text_or("column", "_value")?;
    let value = arguments.get("value").clone();
    let previous = arguments.bool_or("usePrevious", false)?;
    if previous != matches!(value, Value::Null) {
        return Err(FluxError::invalid("fill requires exactly one of value or usePrevious"));
    }
    Ok(Value::Stream(input.map(move |_, mut table| {
        let Some(at) = table.index(&name) else {
            return if previous { Ok(Some(table)) } else { Err(missing(&name)) };
        };
        let have = table.columns[at].data.column_type();
        if !previous && column_type(&value) != Some(have) {
            let given = value.type_of().name();
            return Err(FluxError::invalid(format!(
                "fill column type mismatch: {}/{given}",
                type_name(have)
            )));
        }
        let mut builder = Builder::typed(have);
        let mut last = value.clone();
        for row in 0..table.rows {
            match table.columns[at].value(row) {
                Value::Null => builder.push(&last)?,
                found => {
                    builder.push(&found)?;
                    if previous {
                        last = found;
                    }
                }
            }
        }
        let data = builder.finish(have);
        table.columns[at].data =
            if table.columns[at].group { Data::Constant(have, data.get(0)) } else { Data::new(data) };
        Ok(Some(table))
    })))
}

fn missing(name: &str) -> FluxError {
    FluxError::invalid(format!("column \"{name}\" does not exist"))
}

fn names(arguments: &Arguments, key_only: bool) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let column = arguments.text_or("column", "_value")?;
    Ok(Value::Stream(input.map(move |_, table| {
        let mut names: Vec<&str> =
            table.columns.iter().filter(|c| c.group || !key_only).map(|c| &*c.name).collect();
        if key_only {
            names.sort_unstable();
        }
        let mut columns: Vec<_> = table.key_columns().into_iter().filter(|c| *c.name != *column).collect();
        let rows = names.len();
        columns.push(TableColumn::new(
            &column,
            Data::new(Column::new(Values::String(names.into_iter().collect()))),
        ));
        Ok(Some(Table { columns, rows }))
    })))
}

fn cast(arguments: &Arguments, convert: fn(&Value) -> Result<Value>, to: FieldType) -> Result<Value> {
    Ok(Value::Stream(converted(&arguments.stream("tables")?, convert, ColumnType::Field(to))))
}

fn to_time(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    Ok(Value::Stream(converted(&arguments.stream("tables")?, convert::to_time, ColumnType::Time)))
}

fn converted(input: &Stream, convert: fn(&Value) -> Result<Value>, to: ColumnType) -> Stream {
    input.map(move |_, mut table| {
        let at = table.index("_value").ok_or_else(|| missing("_value"))?;
        let mut builder = Builder::typed(to);
        for row in 0..table.rows {
            builder.push(&convert(&table.columns[at].value(row))?)?;
        }
        table.columns[at].data = Data::new(builder.finish(to));
        table.columns[at].group = false;
        Ok(Some(table))
    })
}
