//! Rows by what time it is, and for how long something has held: `hourSelection`, `truncateTimeColumn`, `stateTracking`,
//! `stateCount`, `stateDuration`.

use std::rc::Rc;

use model::{Column, ColumnType, Values};

use super::super::{Arguments, Builtin, Functions, date};
use crate::error::{FluxError, Result};
use crate::interpret::{Context, Function, RowFunction, RowTable};
use crate::table::build::Builder;
use crate::table::window::Windows;
use crate::table::{Data, Stream, TableColumn, row_index};
use crate::value::{Duration, Value, calendar};

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new(
            "hourSelection",
            "tables<-stream, start:int, stop:int, ?timeColumn:string, ?location:record => stream",
            hour_selection,
        ),
        Builtin::new(
            "truncateTimeColumn",
            "tables<-stream, unit:duration, ?timeColumn:string => stream",
            truncate_time_column,
        ),
        Builtin::new(
            "stateTracking",
            "tables<-stream, fn:function, ?countColumn:string, ?durationColumn:string, ?durationUnit:duration, \
             ?timeColumn:string => stream",
            |_, a| {
                let given =
                    |name| Ok::<_, FluxError>(Some(a.text_or(name, "")?).filter(|name| !name.is_empty()));
                let (count, duration) = (given("countColumn")?, given("durationColumn")?);
                if count.is_none() && duration.is_none() {
                    return Err(FluxError::invalid(
                        "must specify at least one of countColumn or durationColumn",
                    ));
                }
                tracked(a, count, duration, "durationUnit")
            },
        ),
        Builtin::new("stateCount", "tables<-stream, fn:function, ?column:string => stream", |_, a| {
            tracked(a, Some(a.text_or("column", "stateCount")?), None, "unit")
        }),
        Builtin::new(
            "stateDuration",
            "tables<-stream, fn:function, ?column:string, ?timeColumn:string, ?unit:duration => stream",
            |_, a| tracked(a, None, Some(a.text_or("column", "stateDuration")?), "unit"),
        ),
    ]
});

/// The rows of some hours of the day, both ends included.
fn hour_selection(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let (start, stop) = (arguments.int_or("start", 0)?, arguments.int_or("stop", 0)?);
    if !(0..24).contains(&start) || !(0..24).contains(&stop) {
        return Err(FluxError::invalid("hours must be between 0 and 23"));
    }
    let time = arguments.text_or("timeColumn", "_time")?;
    let location = date::location(context, arguments)?;
    Ok(Value::Stream(input.map(move |_, table| {
        let times = table.times(&time)?;
        let Values::Time(stamps) = &times.values else { return Ok(Some(table)) };
        let mut kept = Vec::new();
        for (row, stamp) in stamps.iter().enumerate().filter(|(row, _)| times.is_valid(*row)) {
            let local = calendar::civil(location.to_local(*stamp));
            let hour = i64::from(local.ok_or_else(|| FluxError::invalid("time is out of range"))?.hour());
            let is_in =
                if start <= stop { start <= hour && hour <= stop } else { start <= hour || hour <= stop };
            if is_in {
                kept.push(row_index(row));
            }
        }
        Ok(Some(table.gather(&kept)))
    })))
}

fn truncate_time_column(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let unit = arguments.duration_or("unit", Duration::ZERO)?;
    let windows = Windows::new(unit, unit, Duration::ZERO, context.location())?;
    let time = arguments.text_or("timeColumn", "_time")?;
    Ok(Value::Stream(input.map(move |_, mut table| {
        let times = table.times(&time)?;
        let mut builder = Builder::typed(ColumnType::Time);
        for row in 0..table.rows {
            builder.push(&match times.get(row) {
                Some(model::FieldValue::Integer(stamp)) => Value::Time(windows.start_of(stamp)),
                _ => Value::Null,
            })?;
        }
        table.set(TableColumn::new(&time, Data::new(builder.finish(ColumnType::Time))));
        Ok(Some(table))
    })))
}

/// Since when rows have passed a test: the number of rows, and the time; -1 where a row does not.
fn tracked(
    arguments: &Arguments,
    count: Option<Rc<str>>,
    duration: Option<Rc<str>>,
    unit: &str,
) -> Result<Value> {
    let input: Stream = arguments.stream("tables")?;
    let function: Function = arguments.function("fn")?;
    let unit = arguments.duration_or(unit, Duration::nanos(model::time::SECOND_NS))?;
    if unit.months != 0 || unit.nanos <= 0 {
        return Err(FluxError::invalid("the unit of a state's duration must be greater than zero"));
    }
    let time = arguments.text_or("timeColumn", "_time")?;
    Ok(Value::Stream(input.map(move |context, table| {
        let test = RowFunction::new(&function, "r", context)?;
        let times = match &duration {
            Some(_) => Some(table.times(&time)?),
            None => None,
        };
        let rows = RowTable::new(table);
        let (mut counts, mut durations) = (Vec::new(), Vec::new());
        let (mut passed, mut since) = (0_i64, 0_i64);
        for row in 0..rows.table().rows {
            let passes = matches!(test.call(context, rows.row(row))?, Value::Bool(true));
            passed = if passes { passed + 1 } else { 0 };
            counts.push(if passes { passed } else { -1 });
            if let Some(times) = &times {
                let Some(model::FieldValue::Integer(now)) = times.get(row) else {
                    return Err(FluxError::invalid("got a null timestamp"));
                };
                if passed == 1 {
                    since = now;
                }
                durations.push(if passes { now.saturating_sub(since) / unit.nanos } else { -1 });
            }
        }
        let mut table = rows.into_table();
        for (name, values) in [(&count, counts), (&duration, durations)] {
            if let Some(name) = name {
                table.set(TableColumn::new(name, Data::new(Column::new(Values::Integer(values)))));
            }
        }
        Ok(Some(table))
    })))
}
