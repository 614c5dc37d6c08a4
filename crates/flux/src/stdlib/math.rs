//! Package `math`.

use super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::value::Value;

macro_rules! one {
    ($($name:literal $f:expr),* $(,)?) => {
        vec![$(Builtin::new($name, "x:float => float", |_, a| one(a, $f))),*]
    };
}

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    let mut all = one! {
        "abs" f64::abs, "acos" f64::acos, "acosh" f64::acosh, "asin" f64::asin, "asinh" f64::asinh,
        "atan" f64::atan, "atanh" f64::atanh, "cbrt" f64::cbrt, "ceil" f64::ceil, "cos" f64::cos, "cosh" f64::cosh,
        "exp" f64::exp, "exp2" f64::exp2, "expm1" f64::exp_m1, "floor" f64::floor, "log" f64::ln,
        "log10" f64::log10, "log1p" f64::ln_1p, "log2" f64::log2, "round" f64::round,
        "roundtoeven" f64::round_ties_even, "sin" f64::sin, "sinh" f64::sinh, "sqrt" f64::sqrt, "tan" f64::tan,
        "tanh" f64::tanh, "trunc" f64::trunc,
    };
    all.extend([
        Builtin::new("pow", "x:float, y:float => float", |_, a| two(a, "x", "y", f64::powf)),
        Builtin::new("atan2", "y:float, x:float => float", |_, a| two(a, "y", "x", f64::atan2)),
        Builtin::new("hypot", "x:float, y:float => float", |_, a| two(a, "x", "y", f64::hypot)),
        Builtin::new("mod", "x:float, y:float => float", |_, a| two(a, "x", "y", |x, y| x % y)),
        Builtin::new("dim", "x:float, y:float => float", |_, a| two(a, "x", "y", |x, y| (x - y).max(0.0))),
        Builtin::new("copysign", "x:float, y:float => float", |_, a| two(a, "x", "y", f64::copysign)),
        Builtin::new("mMax", "x:float, y:float => float", |_, a| two(a, "x", "y", maximum)),
        Builtin::new("mMin", "x:float, y:float => float", |_, a| two(a, "x", "y", |x, y| -maximum(-x, -y))),
        Builtin::new("isNaN", "f:float => bool", |_, a| Ok(Value::Bool(float(a, "f")?.is_nan()))),
        Builtin::new("isInf", "f:float, sign:int => bool", |_, a| {
            let (f, sign) = (float(a, "f")?, a.int_or("sign", 0)?);
            let right_sign = sign == 0 || (sign > 0) == (f > 0.0);
            Ok(Value::Bool(f.is_infinite() && right_sign))
        }),
        Builtin::new("signbit", "x:float => bool", |_, a| Ok(Value::Bool(float(a, "x")?.is_sign_negative()))),
        Builtin::new("NaN", "=> float", |_, _| Ok(Value::Float(f64::NAN))),
        Builtin::new("mInf", "sign:int => float", |_, a| {
            let negative = a.int_or("sign", 0)? < 0;
            Ok(Value::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY }))
        }),
    ]);
    all
});

/// A constant of the package.
pub(super) fn constant(name: &str) -> Option<Value> {
    use std::f64::consts;
    Some(match name {
        "pi" => Value::Float(consts::PI),
        "e" => Value::Float(consts::E),
        "phi" => Value::Float(1.618_033_988_749_895),
        "sqrt2" => Value::Float(consts::SQRT_2),
        "sqrte" => Value::Float(1.648_721_270_700_128_2),
        "ln2" => Value::Float(consts::LN_2),
        "ln10" => Value::Float(consts::LN_10),
        "log2e" => Value::Float(consts::LOG2_E),
        "log10e" => Value::Float(consts::LOG10_E),
        "maxfloat" => Value::Float(f64::MAX),
        "smallestNonzeroFloat" => Value::Float(f64::from_bits(1)),
        "maxint" => Value::Int(i64::MAX),
        "minint" => Value::Int(i64::MIN),
        "maxuint" => Value::Uint(u64::MAX),
        _ => return None,
    })
}

fn float(arguments: &Arguments, name: &str) -> Result<f64> {
    match arguments.get(name) {
        Value::Float(v) => Ok(*v),
        other => Err(FluxError::invalid(format!(
            "expected float but found {} (argument {name})",
            other.type_of().name()
        ))),
    }
}

fn one(arguments: &Arguments, f: fn(f64) -> f64) -> Result<Value> {
    match arguments.get("x") {
        Value::Null => Ok(Value::Null),
        _ => Ok(Value::Float(f(float(arguments, "x")?))),
    }
}

fn two(arguments: &Arguments, a: &str, b: &str, f: fn(f64, f64) -> f64) -> Result<Value> {
    Ok(Value::Float(f(float(arguments, a)?, float(arguments, b)?)))
}

/// NaN if either is, unlike `f64::max`.
fn maximum(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() { f64::NAN } else { x.max(y) }
}
