//! Package `timezone`: values for the `location` option.

use super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::interpret::Context;
use crate::value::calendar::Location;
use crate::value::{Duration, Record, Value};

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new("location", "name:string => record", location),
        Builtin::new("fixed", "offset:duration => record", fixed),
    ]
});

fn record(zone: &str, offset: Duration) -> Value {
    Record::of([("zone", Value::string(zone)), ("offset", Value::Duration(offset))])
}

/// `timezone.utc`
pub(super) fn constant(name: &str) -> Option<Value> {
    (name == "utc").then(|| record("UTC", Duration::ZERO))
}

fn location(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let name = arguments.text("name")?;
    match Location::named(&name, 0) {
        Some(_) => Ok(record(&name, Duration::ZERO)),
        None => Err(FluxError::invalid(format!("unknown time zone {name}"))),
    }
}

fn fixed(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    Ok(record("UTC", arguments.duration_or("offset", Duration::ZERO)?))
}
