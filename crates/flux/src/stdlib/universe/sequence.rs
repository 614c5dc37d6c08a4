//! Rows in their order: `derivative`, `difference`, `increase`, `cumulativeSum`, `movingAverage`, `elapsed`, `timeShift`.

use std::rc::Rc;

use model::{Column, ColumnType, FieldType, Values};

use super::super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::interpret::{Context, binary};
use crate::syntax::ast::BinaryOperator as Op;
use crate::table::build::Builder;
use crate::table::{Data, Table, TableColumn, row_index, type_name};
use crate::value::convert::{int_to_float, to_float};
use crate::value::{Duration, Value, calendar};

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new(
            "derivative",
            "tables<-stream, ?unit:duration, ?nonNegative:bool, ?columns:array, ?timeColumn:string, ?initialZero:bool \
         => stream",
            derivative,
        ),
        Builtin::new(
            "difference",
            "tables<-stream, ?nonNegative:bool, ?columns:array, ?keepFirst:bool, ?initialZero:bool => stream",
            difference,
        ),
        Builtin::new("increase", "tables<-stream, ?columns:array => stream", increase),
        Builtin::new("cumulativeSum", "tables<-stream, ?columns:array => stream", cumulative_sum),
        Builtin::new("movingAverage", "tables<-stream, n:int, ?column:string => stream", moving_average),
        Builtin::new(
            "elapsed",
            "tables<-stream, ?unit:duration, ?timeColumn:string, ?columnName:string => stream",
            elapsed,
        ),
        Builtin::new("timeShift", "tables<-stream, duration:duration, ?columns:array => stream", time_shift),
    ]
});

fn value_columns(arguments: &Arguments) -> Result<Vec<Rc<str>>> {
    Ok(arguments.texts("columns")?.unwrap_or_else(|| vec!["_value".into()]))
}

fn numeric(table: &Table, name: &str, what: &str) -> Result<ColumnType> {
    let ty = table.need(name)?.data.column_type();
    match ty {
        ColumnType::Field(FieldType::Float | FieldType::Integer | FieldType::Unsigned) => Ok(ty),
        other => Err(FluxError::invalid(format!("unsupported {what} column type {}", type_name(other)))),
    }
}

/// Replaces columns by what `f` makes of each row's value; `f` starts anew for each column.
fn scan<F: FnMut(usize, &Value) -> Result<Value>>(
    table: &mut Table,
    names: &[Rc<str>],
    what: &str,
    result: impl Fn(ColumnType) -> ColumnType,
    mut make: impl FnMut() -> F,
) -> Result<()> {
    for name in names {
        let ty = result(numeric(table, name, what)?);
        let mut f = make();
        let mut builder = Builder::typed(ty);
        let column = table.need(name)?;
        for row in 0..table.rows {
            builder.push(&f(row, &column.value(row))?)?;
        }
        table.set(TableColumn::new(name, Data::new(builder.finish(ty))));
    }
    Ok(())
}

fn derivative(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let unit = arguments.duration_or("unit", Duration::nanos(model::time::SECOND_NS))?;
    if unit.months != 0 || unit.nanos <= 0 {
        return Err(FluxError::invalid("derivative unit must be a positive duration without months"));
    }
    let non_negative = arguments.bool_or("nonNegative", false)?;
    let initial_zero = arguments.bool_or("initialZero", false)?;
    let names = value_columns(arguments)?;
    let time = arguments.text_or("timeColumn", "_time")?;
    Ok(Value::Stream(input.map(move |_, mut table| {
        let times = table.times(&time)?;
        let Values::Time(stamps) = &times.values else { return Ok(Some(table)) };
        scan(
            &mut table,
            &names,
            "derivative",
            |_| ColumnType::Field(FieldType::Float),
            || {
                let mut previous: Option<(i64, f64)> = None;
                move |row, value| {
                    let Value::Float(now) = to_float(value)? else { return Ok(Value::Null) };
                    let at = stamps[row];
                    let Some((before, old)) = previous.replace((at, now)) else { return Ok(Value::Null) };
                    if non_negative && now < old && !initial_zero {
                        return Ok(Value::Null);
                    }
                    let change = if non_negative && now < old { now } else { now - old };
                    let units = int_to_float(at.saturating_sub(before)) / int_to_float(unit.nanos);
                    Ok(Value::Float(change / units))
                }
            },
        )?;
        let rows: Vec<u32> = (1..table.rows).map(row_index).collect();
        Ok(Some(table.gather(&rows)))
    })))
}

fn difference(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let non_negative = arguments.bool_or("nonNegative", false)?;
    let keep_first = arguments.bool_or("keepFirst", false)?;
    let initial_zero = arguments.bool_or("initialZero", false)?;
    let names = value_columns(arguments)?;
    Ok(Value::Stream(input.map(move |_, mut table| {
        scan(&mut table, &names, "difference", signed, || {
            let mut previous: Option<Value> = None;
            move |_, value| {
                let now = unsigned_as_signed(value);
                if matches!(now, Value::Null) {
                    return Ok(Value::Null);
                }
                let Some(old) = previous.replace(now.clone()) else { return Ok(Value::Null) };
                if non_negative && crate::interpret::compare(&now, &old).is_some_and(|o| o.is_lt()) {
                    return Ok(if initial_zero { now } else { Value::Null });
                }
                binary(Op::Subtract, &now, &old)
            }
        })?;
        let from = usize::from(!keep_first);
        let rows: Vec<u32> = (from..table.rows).map(row_index).collect();
        Ok(Some(table.gather(&rows)))
    })))
}

/// Differences of unsigned numbers are signed.
const fn signed(ty: ColumnType) -> ColumnType {
    match ty {
        ColumnType::Field(FieldType::Unsigned) => ColumnType::Field(FieldType::Integer),
        other => other,
    }
}

fn unsigned_as_signed(value: &Value) -> Value {
    match value {
        Value::Uint(v) => Value::Int(v.cast_signed()),
        other => other.clone(),
    }
}

/// The sum of what a counter gained; a fall is a restart from zero.
fn increase(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let names = value_columns(arguments)?;
    Ok(Value::Stream(input.map(move |_, mut table| {
        scan(&mut table, &names, "increase", signed, || {
            let mut previous: Option<Value> = None;
            let mut total: Option<Value> = None;
            move |_, value| {
                let now = unsigned_as_signed(value);
                if !matches!(now, Value::Null) {
                    let gained = match previous.replace(now.clone()) {
                        None => binary(Op::Subtract, &now, &now)?,
                        Some(old) if crate::interpret::compare(&now, &old).is_some_and(|o| o.is_lt()) => now,
                        Some(old) => binary(Op::Subtract, &now, &old)?,
                    };
                    total = Some(match &total {
                        None => gained,
                        Some(total) => binary(Op::Add, total, &gained)?,
                    });
                }
                Ok(total.clone().unwrap_or(Value::Null))
            }
        })?;
        Ok(Some(table))
    })))
}

fn cumulative_sum(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let names = value_columns(arguments)?;
    Ok(Value::Stream(input.map(move |_, mut table| {
        scan(
            &mut table,
            &names,
            "cumulative sum",
            |ty| ty,
            || {
                let mut total: Option<Value> = None;
                move |_, value| {
                    if matches!(value, Value::Null) {
                        return Ok(Value::Null);
                    }
                    let sum = match &total {
                        None => value.clone(),
                        Some(total) => binary(Op::Add, total, value)?,
                    };
                    total = Some(sum.clone());
                    Ok(sum)
                }
            },
        )?;
        Ok(Some(table))
    })))
}

fn moving_average(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let n = arguments.count_or("n", 0)?;
    if n == 0 {
        return Err(FluxError::invalid(
            "cannot take moving average with a period of 0 (must be greater than 0)",
        ));
    }
    let name = arguments.text_or("column", "_value")?;
    Ok(Value::Stream(input.map(move |_, mut table| {
        scan(
            &mut table,
            std::slice::from_ref(&name),
            "moving average",
            |_| ColumnType::Field(FieldType::Float),
            || {
                let mut recent: std::collections::VecDeque<Option<f64>> = std::collections::VecDeque::new();
                move |_, value| {
                    recent.push_back(match to_float(value)? {
                        Value::Float(v) => Some(v),
                        _ => None,
                    });
                    if recent.len() > n {
                        recent.pop_front();
                    }
                    let present: Vec<f64> = recent.iter().flatten().copied().collect();
                    if present.is_empty() {
                        return Ok(Value::Null);
                    }
                    let count = crate::value::convert::uint_to_float(present.len() as u64);
                    Ok(Value::Float(present.iter().sum::<f64>() / count))
                }
            },
        )?;
        // Fewer rows than a period give one average of all of them.
        let from = (n - 1).min(table.rows.saturating_sub(1));
        let rows: Vec<u32> = (from..table.rows).map(row_index).collect();
        Ok(Some(table.gather(&rows)))
    })))
}

fn elapsed(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let unit = arguments.duration_or("unit", Duration::nanos(model::time::SECOND_NS))?.nanos;
    if unit <= 0 {
        return Err(FluxError::invalid("elapsed unit must be positive"));
    }
    let time = arguments.text_or("timeColumn", "_time")?;
    let name = arguments.text_or("columnName", "elapsed")?;
    Ok(Value::Stream(input.map(move |_, mut table| {
        let times = table.times(&time)?;
        let Values::Time(stamps) = &times.values else { return Ok(Some(table)) };
        let gaps: Vec<i64> = (0..stamps.len())
            .map(|i| if i == 0 { 0 } else { stamps[i].saturating_sub(stamps[i - 1]) / unit })
            .collect();
        table.set(TableColumn::new(&name, Data::new(Column::new(Values::Integer(gaps)))));
        let rows: Vec<u32> = (1..table.rows).map(row_index).collect();
        Ok(Some(table.gather(&rows)))
    })))
}

fn time_shift(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let by = arguments.duration_or("duration", Duration::ZERO)?;
    let names =
        arguments.texts("columns")?.unwrap_or_else(|| ["_start", "_stop", "_time"].map(Rc::from).to_vec());
    let moved = |time: i64| calendar::add(time, by).ok_or_else(|| FluxError::invalid("time is out of range"));
    let bounds = input.bounds().map(|(a, b)| Ok::<_, FluxError>((moved(a)?, moved(b)?))).transpose()?;
    let shifted = input.map(move |_, mut table| {
        for name in &names {
            let Some(at) = table.index(name) else { continue };
            if table.columns[at].data.column_type() != ColumnType::Time {
                continue;
            }
            let mut builder = Builder::typed(ColumnType::Time);
            for row in 0..table.rows {
                let value = table.columns[at].value(row);
                builder.push(&binary(Op::Add, &value, &Value::Duration(by))?)?;
            }
            let column = builder.finish(ColumnType::Time);
            let group = table.columns[at].group && table.rows > 0;
            table.columns[at].data =
                if group { Data::Constant(ColumnType::Time, column.get(0)) } else { Data::new(column) };
        }
        Ok(Some(table))
    });
    Ok(Value::Stream(shifted.with_bounds(bounds)))
}
