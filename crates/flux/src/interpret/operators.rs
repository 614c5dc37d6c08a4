//! Operators on values. Anything with a null is null.

use std::cmp::Ordering;

use super::context::TEXT_BYTES_MAX;
use crate::error::{FluxError, Result};
use crate::syntax::ast::BinaryOperator as Op;
use crate::value::convert::{int_to_float, uint_to_float};
use crate::value::{Duration, Value, calendar};

/// `left operator right`
pub(crate) fn binary(operator: Op, left: &Value, right: &Value) -> Result<Value> {
    if matches!(left, Value::Null) || matches!(right, Value::Null) {
        return Ok(Value::Null);
    }
    match operator {
        Op::Equal | Op::NotEqual => {
            let equal = match compare(left, right) {
                Some(ordering) => ordering == Ordering::Equal,
                None if is_nan(left) || is_nan(right) => false,
                None if left.type_of() == right.type_of() => left.same(right),
                None => return Err(unsupported(operator, left, right)),
            };
            Ok(Value::Bool(equal == (operator == Op::Equal)))
        }
        Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual => match compare(left, right) {
            Some(ordering) => Ok(Value::Bool(match operator {
                Op::Less => ordering.is_lt(),
                Op::LessEqual => ordering.is_le(),
                Op::Greater => ordering.is_gt(),
                _ => ordering.is_ge(),
            })),
            None if is_nan(left) || is_nan(right) => Ok(Value::Bool(false)),
            None => Err(unsupported(operator, left, right)),
        },
        Op::Matches | Op::NotMatches => match (left, right) {
            (Value::String(text), Value::Regex(regex)) => {
                Ok(Value::Bool(regex.is_match(text) == (operator == Op::Matches)))
            }
            _ => Err(unsupported(operator, left, right)),
        },
        _ => arithmetic(operator, left, right),
    }
}

const fn is_nan(value: &Value) -> bool {
    matches!(value, Value::Float(v) if v.is_nan())
}

fn unsupported(operator: Op, left: &Value, right: &Value) -> FluxError {
    let (a, b) = (left.type_of().name(), right.type_of().name());
    FluxError::invalid(format!("unsupported binary expression {a} {} {b}", operator.symbol()))
}

fn arithmetic(operator: Op, left: &Value, right: &Value) -> Result<Value> {
    let overflow = || FluxError::invalid("time or duration is out of range");
    match (left, right) {
        (Value::Float(a), Value::Float(b)) => Ok(Value::Float(match operator {
            Op::Add => a + b,
            Op::Subtract => a - b,
            Op::Multiply => a * b,
            Op::Divide => a / b,
            Op::Modulo => a % b,
            _ => a.powf(*b),
        })),
        (Value::Int(a), Value::Int(b)) => int_arithmetic(operator, *a, *b),
        (Value::Uint(a), Value::Uint(b)) => uint_arithmetic(operator, *a, *b),
        (Value::String(a), Value::String(b)) if operator == Op::Add => {
            check_text(a.len().saturating_add(b.len()))?;
            Ok(Value::string(format!("{a}{b}")))
        }
        (Value::Duration(a), Value::Duration(b)) if matches!(operator, Op::Add | Op::Subtract) => {
            let sign = if operator == Op::Add { 1 } else { -1 };
            let sum = b.checked_mul(sign).and_then(|b| a.checked_add(b));
            sum.map(Value::Duration).ok_or_else(overflow)
        }
        (Value::Time(a), Value::Duration(b)) if matches!(operator, Op::Add | Op::Subtract) => {
            let moved = if operator == Op::Add { calendar::add(*a, *b) } else { calendar::subtract(*a, *b) };
            moved.map(Value::Time).ok_or_else(overflow)
        }
        _ => Err(unsupported(operator, left, right)),
    }
}

/// Whether a text of so many bytes may be made.
pub(crate) const fn check_text(bytes: usize) -> Result<()> {
    if bytes > TEXT_BYTES_MAX {
        return Err(FluxError::Limit { name: "flux-text-bytes", limit: TEXT_BYTES_MAX as u64 });
    }
    Ok(())
}

/// Integers wrap, as Go's do.
fn int_arithmetic(operator: Op, a: i64, b: i64) -> Result<Value> {
    Ok(Value::Int(match operator {
        Op::Add => a.wrapping_add(b),
        Op::Subtract => a.wrapping_sub(b),
        Op::Multiply => a.wrapping_mul(b),
        Op::Divide if b == 0 => return Err(FluxError::invalid("cannot divide by zero")),
        Op::Divide => a.wrapping_div(b),
        Op::Modulo if b == 0 => return Err(FluxError::invalid("cannot mod zero")),
        Op::Modulo => a.wrapping_rem(b),
        _ => return Ok(Value::Float(int_to_float(a).powf(int_to_float(b)))),
    }))
}

fn uint_arithmetic(operator: Op, a: u64, b: u64) -> Result<Value> {
    Ok(Value::Uint(match operator {
        Op::Add => a.wrapping_add(b),
        Op::Subtract => a.wrapping_sub(b),
        Op::Multiply => a.wrapping_mul(b),
        Op::Divide if b == 0 => return Err(FluxError::invalid("cannot divide by zero")),
        Op::Divide => a / b,
        Op::Modulo if b == 0 => return Err(FluxError::invalid("cannot mod zero")),
        Op::Modulo => a % b,
        _ => return Ok(Value::Float(uint_to_float(a).powf(uint_to_float(b)))),
    }))
}

/// Order of two values of comparable types; `None` when there is none (NaN, other types).
pub(crate) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) | (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Uint(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Float(a), Value::Int(b)) => a.partial_cmp(&int_to_float(*b)),
        (Value::Int(a), Value::Float(b)) => int_to_float(*a).partial_cmp(b),
        (Value::Float(a), Value::Uint(b)) => a.partial_cmp(&uint_to_float(*b)),
        (Value::Uint(a), Value::Float(b)) => uint_to_float(*a).partial_cmp(b),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// `-value`
pub(super) fn negate(value: &Value) -> Result<Value> {
    match value {
        Value::Null => Ok(Value::Null),
        Value::Int(v) => Ok(Value::Int(v.wrapping_neg())),
        Value::Float(v) => Ok(Value::Float(-v)),
        Value::Duration(v) => {
            Ok(Value::Duration(Duration { months: v.months.wrapping_neg(), nanos: v.nanos.wrapping_neg() }))
        }
        other => Err(FluxError::invalid(format!("{} is not Negatable", other.type_of().name()))),
    }
}
