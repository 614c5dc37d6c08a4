//! Package `types`.

use super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::interpret::Context;
use crate::value::Value;

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new("isType", "v:any, type:string => bool", is_type),
        Builtin::new("isNumeric", "v:any => bool", |_, a| {
            Ok(Value::Bool(matches!(a.get("v"), Value::Int(_) | Value::Uint(_) | Value::Float(_))))
        }),
    ]
});

fn is_type(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    const BASIC: [&str; 9] =
        ["string", "bytes", "int", "uint", "float", "bool", "time", "duration", "regexp"];
    let wanted = arguments.text("type")?;
    if !BASIC.contains(&&*wanted) {
        return Err(FluxError::invalid(format!(
            "unknown type name \"{wanted}\": must be one of {}",
            BASIC.join(", ")
        )));
    }
    Ok(Value::Bool(arguments.get("v").type_of().name() == &*wanted))
}
