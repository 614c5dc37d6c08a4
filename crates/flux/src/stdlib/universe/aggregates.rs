//! Aggregates: one row per table.

use model::ColumnType;

use super::super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::interpret::Context;
use crate::table::aggregate::{Aggregate, all, column};
use crate::table::summary::Function;
use crate::table::{Data, Stream, Table, TableColumn};
use crate::value::Value;

const SIGNATURE: &str = "tables<-stream, ?column:string => stream";

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new("count", SIGNATURE, |_, a| plain(Aggregate::Count, a)),
        Builtin::new("sum", SIGNATURE, |_, a| plain(Aggregate::Sum, a)),
        Builtin::new("mean", SIGNATURE, |_, a| plain(Aggregate::Mean, a)),
        Builtin::new("spread", SIGNATURE, |_, a| plain(Aggregate::Spread, a)),
        Builtin::new("skew", SIGNATURE, |_, a| plain(Aggregate::Skew, a)),
        Builtin::new("stddev", "tables<-stream, ?column:string, ?mode:string => stream", stddev),
        Builtin::new(
            "quantile",
            "tables<-stream, q:float, ?column:string, ?method:string, ?compression:float => stream",
            quantile,
        ),
        Builtin::new(
            "median",
            "tables<-stream, ?column:string, ?method:string, ?compression:float => stream",
            quantile,
        ),
    ]
});

fn plain(aggregate: Aggregate, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let name = arguments.text_or("column", "_value")?;
    let stored = input.as_from().is_some();
    let rows = apply(&input, aggregate, name.to_string(), stored);
    if &*name != "_value" {
        return Ok(Value::Stream(rows));
    }
    let made = |_: &Context<'_>, table: Table| {
        let values = table.need("_value")?.data.clone();
        Ok(Some(Table { columns: with_value(&table, "_value", values, true), rows: 1 }))
    };
    Ok(Value::Stream(input.summarized(Function::Aggregate(aggregate), None, made, rows)))
}

/// One row per table: the group key and the aggregate. Over a plain scan the value stands after `_stop`, where
/// InfluxDB's storage puts it; else after the key.
fn apply(input: &Stream, aggregate: Aggregate, name: String, stored: bool) -> Stream {
    input.map(move |_, table| {
        let values = input_column(&table, &name)?;
        let result_type = aggregate.result_type(values.column_type())?;
        let result = aggregate.of(&values, &all(table.rows));
        let made = column(result_type, std::iter::once(result));
        Ok(Some(Table { columns: with_value(&table, &name, Data::Values(made), stored), rows: 1 }))
    })
}

/// The column that is aggregated; not one of the key.
pub(super) fn input_column(table: &Table, name: &str) -> Result<std::rc::Rc<model::Column>> {
    let found = table.need(name)?;
    if found.group {
        return Err(FluxError::invalid("cannot aggregate columns that are part of the group key"));
    }
    Ok(found.data.column(table.rows))
}

/// The key's columns with a value: after `_stop` or at the end.
pub(super) fn with_value(table: &Table, name: &str, data: Data, stored: bool) -> Vec<TableColumn> {
    let mut columns = table.key_columns();
    let place = if stored {
        columns.iter().position(|c| &*c.name == "_stop").map_or(0, |at| at + 1)
    } else {
        columns.len()
    };
    columns.insert(place, TableColumn::new(name, data));
    columns
}

fn stddev(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let sample = match &*arguments.text_or("mode", "sample")? {
        "sample" => true,
        "population" => false,
        other => {
            return Err(FluxError::invalid(format!("\"{other}\" is not a valid standard deviation mode")));
        }
    };
    let input = arguments.stream("tables")?;
    let name = arguments.text_or("column", "_value")?;
    Ok(Value::Stream(apply(&input, Aggregate::Stddev { sample }, name.to_string(), false)))
}

fn quantile(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let q = arguments.float_or("q", 0.5)?;
    if !(0.0..=1.0).contains(&q) {
        return Err(FluxError::invalid("quantile must be between 0 and 1"));
    }
    let input = arguments.stream("tables")?;
    let name = arguments.text_or("column", "_value")?.to_string();
    match &*arguments.text_or("method", "estimate_tdigest")? {
        "estimate_tdigest" | "exact_mean" => {
            Ok(Value::Stream(apply(&input, Aggregate::Quantile(q), name, false)))
        }
        "exact_selector" => Ok(Value::Stream(input.map(move |_, table| select(&table, &name, q)))),
        other => Err(FluxError::invalid(format!("unknown quantile method {other}"))),
    }
}

/// The row whose value is the quantile.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank between 0 and the length"
)]
fn select(table: &Table, name: &str, q: f64) -> Result<Option<Table>> {
    let values = input_column(table, name)?;
    if values.column_type() != ColumnType::Field(model::FieldType::Float) {
        return Err(FluxError::invalid("quantile with exact_selector needs a column of type float"));
    }
    let mut order: Vec<usize> = (0..table.rows).filter(|at| values.is_valid(*at)).collect();
    order.sort_by(|a, b| crate::table::select::order(&values, *a, *b));
    let rank = (q * crate::value::convert::uint_to_float(order.len() as u64)).ceil().max(1.0) as usize;
    Ok(order.get(rank - 1).map(|at| table.slice(*at, at + 1)))
}
