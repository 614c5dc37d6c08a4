//! Package `bitwise`: bits of unsigned and of signed integers.

use super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::value::Value;

/// Functions of two numbers, by name without the letter of the type.
const OF_TWO: [(&str, fn(u64, u64) -> u64); 4] =
    [("and", |a, b| a & b), ("or", |a, b| a | b), ("xor", |a, b| a ^ b), ("clear", |a, b| a & !b)];

macro_rules! of_two {
    ($name:literal, $at:literal) => {
        [
            Builtin::new(concat!("u", $name), "a:uint, b:uint => uint", |_, a| {
                Ok(Value::Uint(OF_TWO[$at].1(unsigned(a, "a")?, unsigned(a, "b")?)))
            }),
            Builtin::new(concat!("s", $name), "a:int, b:int => int", |_, a| {
                let (a, b) = (a.int_or("a", 0)?, a.int_or("b", 0)?);
                Ok(Value::Int(OF_TWO[$at].1(a.cast_unsigned(), b.cast_unsigned()).cast_signed()))
            }),
        ]
    };
}

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    let mut all: Vec<Builtin> = [of_two!("and", 0), of_two!("or", 1), of_two!("xor", 2), of_two!("clear", 3)]
        .into_iter()
        .flatten()
        .collect();
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
