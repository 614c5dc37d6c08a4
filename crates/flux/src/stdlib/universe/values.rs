//! Functions on single values: conversions, `contains`, `length`, `now`, `today`, `display`, `die`.

use super::super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::interpret::Context;
use crate::value::{Value, convert};

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new("bool", "v:any => bool", |_, a| convert::to_bool(a.get("v"))),
        Builtin::new("float", "v:any => float", |_, a| convert::to_float(a.get("v"))),
        Builtin::new("int", "v:any => int", |_, a| convert::to_int(a.get("v"))),
        Builtin::new("uint", "v:any => uint", |_, a| convert::to_uint(a.get("v"))),
        Builtin::new("string", "v:any => string", |_, a| convert::to_string(a.get("v"))),
        Builtin::new("time", "v:any => time", |_, a| convert::to_time(a.get("v"))),
        Builtin::new("duration", "v:any => duration", |_, a| convert::to_duration(a.get("v"))),
        Builtin::new("bytes", "v:any => bytes", bytes),
        Builtin::new("display", "v:any => string", display),
        Builtin::new("contains", "value:any, set:array => bool", contains),
        Builtin::new("length", "arr:array => int", length),
        Builtin::new("now", "=> time", |context, _| Ok(Value::Time(context.now()?))),
        Builtin::new("today", "=> time", today),
        Builtin::new("die", "msg:string", |_, a| Err(FluxError::invalid(a.text("msg")?.to_string()))),
    ]
});

fn bytes(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    match arguments.get("v") {
        Value::String(text) => Ok(Value::Bytes(text.as_bytes().into())),
        Value::Bytes(bytes) => Ok(Value::Bytes(std::rc::Rc::clone(bytes))),
        other => Err(FluxError::invalid(format!("cannot convert {} to bytes", other.type_of().name()))),
    }
}

fn display(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    Ok(Value::string(match arguments.get("v") {
        Value::Null => "<null>".to_owned(),
        other => convert::display(other),
    }))
}

fn contains(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let value = arguments.get("value");
    if matches!(value, Value::Null) {
        return Ok(Value::Bool(false));
    }
    Ok(Value::Bool(arguments.array("set")?.iter().any(|item| item.same(value))))
}

fn length(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    Ok(Value::Int(i64::try_from(arguments.array("arr")?.len()).unwrap_or(i64::MAX)))
}

fn today(context: &Context<'_>, _: &Arguments) -> Result<Value> {
    let location = context.location();
    let local = location.to_local(context.now()?);
    let midnight = local.saturating_sub(local.rem_euclid(model::time::DAY_NS));
    Ok(Value::Time(location.instant_of(midnight)))
}
