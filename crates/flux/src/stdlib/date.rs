//! Package `date`: parts of times, calendar arithmetic, truncation. Times may be durations relative to now.

use super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::interpret::{Context, location_of};
use crate::table::window::Windows;
use crate::value::calendar::{self, Location};
use crate::value::{Duration, Value};

const PART: &str = "t:timeable, ?location:record => int";

macro_rules! parts {
    ($($name:literal $f:expr),* $(,)?) => {
        vec![$(Builtin::new($name, PART, |context, arguments| part(context, arguments, $f))),*]
    };
}

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    let mut all = parts! {
        "year" |d| i64::from(d.year()),
        "month" |d| i64::from(d.month()),
        "quarter" |d| (i64::from(d.month()) - 1) / 3 + 1,
        "week" |d| i64::from(d.date().iso_week_date().week()),
        "weekDay" |d| i64::from(d.weekday().to_sunday_zero_offset()),
        "monthDay" |d| i64::from(d.day()),
        "yearDay" |d| i64::from(d.day_of_year()),
        "hour" |d| i64::from(d.hour()),
        "minute" |d| i64::from(d.minute()),
        "second" |d| i64::from(d.second()),
        "millisecond" |d| i64::from(d.subsec_nanosecond()) / 1_000_000,
        "microsecond" |d| i64::from(d.subsec_nanosecond()) / 1_000,
        "nanosecond" |d| i64::from(d.subsec_nanosecond()),
    };
    all.extend([
        Builtin::new("truncate", "t:timeable, unit:duration, ?location:record => time", truncate),
        Builtin::new("add", "d:duration, to:timeable, ?location:record => time", |c, a| moved(c, a, "to", 1)),
        Builtin::new("sub", "d:duration, from:timeable, ?location:record => time", |c, a| {
            moved(c, a, "from", -1)
        }),
        Builtin::new("scale", "d:duration, n:int => duration", |_, a| {
            let scaled = a.duration_or("d", Duration::ZERO)?.checked_mul(a.int_or("n", 1)?);
            scaled.map(Value::Duration).ok_or_else(out_of_range)
        }),
        Builtin::new("time", "t:timeable, ?location:record => time", |c, a| {
            Ok(Value::Time(c.resolve_time(a.get("t"))?))
        }),
    ]);
    all
});

fn out_of_range() -> FluxError {
    FluxError::invalid("time or duration is out of range")
}

pub(super) fn location(context: &Context<'_>, arguments: &Arguments) -> Result<Location> {
    match arguments.get("location") {
        Value::Null => Ok(context.location()),
        given => location_of(given),
    }
}

fn part(context: &Context<'_>, arguments: &Arguments, f: fn(jiff::civil::DateTime) -> i64) -> Result<Value> {
    if matches!(arguments.get("t"), Value::Null) {
        return Ok(Value::Null);
    }
    let time = context.resolve_time(arguments.get("t"))?;
    let local = location(context, arguments)?.to_local(time);
    calendar::civil(local).map(|d| Value::Int(f(d))).ok_or_else(out_of_range)
}

fn truncate(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let time = context.resolve_time(arguments.get("t"))?;
    let unit = arguments.duration_or("unit", Duration::ZERO)?;
    let windows = Windows::new(unit, unit, Duration::ZERO, location(context, arguments)?)?;
    Ok(Value::Time(windows.start_of(time)))
}

pub(super) fn moved(context: &Context<'_>, arguments: &Arguments, name: &str, sign: i64) -> Result<Value> {
    let time = context.resolve_time(arguments.get(name))?;
    let by = arguments.duration_or("d", Duration::ZERO)?.checked_mul(sign).ok_or_else(out_of_range)?;
    let location = location(context, arguments)?;
    // Months move on the local calendar; nanoseconds are the same everywhere.
    if by.months == 0 {
        return calendar::add(time, by).map(Value::Time).ok_or_else(out_of_range);
    }
    let local = calendar::add(location.to_local(time), by).ok_or_else(out_of_range)?;
    Ok(Value::Time(location.instant_of(local)))
}

/// Days of the week (Sunday is 0) and months by name.
pub(super) fn constant(name: &str) -> Option<Value> {
    const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let day = DAYS.iter().position(|d| *d == name);
    let found = day.or_else(|| MONTHS.iter().position(|m| *m == name).map(|at| at + 1))?;
    i64::try_from(found).ok().map(Value::Int)
}
