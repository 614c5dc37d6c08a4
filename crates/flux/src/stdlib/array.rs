//! Package `array`.

use std::rc::Rc;

use super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::interpret::Context;
use crate::table::Stream;
use crate::table::build::from_records;
use crate::value::Value;

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new("from", "rows<-array => stream", from),
        Builtin::new("map", "arr<-array, fn:function => array", map),
        Builtin::new("filter", "arr<-array, fn:function => array", filter),
        Builtin::new("concat", "arr<-array, v:array => array", |_, a| {
            let mut items = a.array("arr")?.to_vec();
            items.extend(a.array("v")?.iter().cloned());
            Ok(Value::array(items))
        }),
    ]
});

fn from(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let rows = arguments.array("rows")?;
    if rows.is_empty() {
        return Err(FluxError::invalid("rows must be non-empty"));
    }
    context.count_rows(rows.len())?;
    Ok(Value::Stream(Stream::of(vec![from_records(&rows)?])))
}

fn map(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let function = arguments.function("fn")?;
    let items = arguments.array("arr")?;
    let made = items.iter().map(|item| function.call(context, vec![(Rc::from("x"), item.clone())]));
    Ok(Value::array(made.collect::<Result<_>>()?))
}

fn filter(context: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let function = arguments.function("fn")?;
    let mut kept = Vec::new();
    for item in arguments.array("arr")?.iter() {
        if let Value::Bool(true) = function.call(context, vec![(Rc::from("x"), item.clone())])? {
            kept.push(item.clone());
        }
    }
    Ok(Value::array(kept))
}
