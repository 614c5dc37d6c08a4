//! Package `bitwise`: bits of unsigned and of signed integers.

use super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::value::Value;

/// The functions of two numbers with a name, of unsigned and of signed ones.
macro_rules! of_two {
    ($name:literal, $a:ident, $b:ident, $result:expr) => {
        [
            Builtin::new(concat!("u", $name), "a:uint, b:uint => uint", |_, arguments| {
                let ($a, $b) = (unsigned(arguments, "a")?, unsigned(arguments, "b")?);
                Ok(Value::Uint($result))
            }),
            Builtin::new(concat!("s", $name), "a:int, b:int => int", |_, arguments| {
                let ($a, $b) = (arguments.int_or("a", 0)?, arguments.int_or("b", 0)?);
                Ok(Value::Int($result))
            }),
        ]
    };
}

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    let of_two = [
        of_two!("and", a, b, a & b),
        of_two!("or", a, b, a | b),
        of_two!("xor", a, b, a ^ b),
        of_two!("clear", a, b, a & !b),
    ];
    let mut all: Vec<Builtin> = of_two.into_iter().flatten().collect();
    all.extend([
        Builtin::new("unot", "a:uint => uint", |_, a| Ok(Value::Uint(!unsigned(a, "a")?))),
        Builtin::new("snot", "a:int => int", |_, a| Ok(Value::Int(!a.int_or("a", 0)?))),
        Builtin::new("ulshift", "a:uint, b:int => uint", |_, a| {
            Ok(Value::Uint(unsigned(a, "a")?.checked_shl(places(a)?).unwrap_or(0)))
        }),
        Builtin::new("urshift", "a:uint, b:int => uint", |_, a| {
            Ok(Value::Uint(unsigned(a, "a")?.checked_shr(places(a)?).unwrap_or(0)))
        }),
        Builtin::new("slshift", "a:int, b:int => int", |_, a| {
            Ok(Value::Int(a.int_or("a", 0)?.checked_shl(places(a)?).unwrap_or(0)))
        }),
        // The sign stays.
        Builtin::new("srshift", "a:int, b:int => int", |_, a| {
            Ok(Value::Int(a.int_or("a", 0)? >> places(a)?.min(63)))
        }),
    ]);
    all
});

fn unsigned(arguments: &Arguments, name: &str) -> Result<u64> {
    match arguments.get(name) {
        Value::Uint(value) => Ok(*value),
        other => {
            let found = other.type_of().name();
            Err(FluxError::invalid(format!("expected uint but found {found} (argument {name})")))
        }
    }
}

/// How far is shifted.
fn places(arguments: &Arguments) -> Result<u32> {
    let places = arguments.int_or("b", 0)?;
    if places < 0 {
        return Err(FluxError::invalid(format!("negative shift count {places}")));
    }
    Ok(u32::try_from(places).unwrap_or(u32::MAX))
}
