//! Conversions between types, and values as text: `int()`, `float()`, `string()` and the like.

use std::rc::Rc;

use super::{Duration, Value};
use crate::error::{FluxError, Result};

/// A float as Flux writes it: the shortest decimal that reads back the same.
pub(crate) fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    format!("{value}")
}

/// A value as text, for interpolation and messages.
pub(crate) fn display(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(v) => v.to_string(),
        Value::Int(v) => v.to_string(),
        Value::Uint(v) => v.to_string(),
        Value::Float(v) => float_text(*v),
        Value::String(v) => v.to_string(),
        Value::Time(v) => model::Timestamp(*v).to_rfc3339(),
        Value::Duration(v) => v.to_string(),
        Value::Regex(v) => v.source().to_owned(),
        Value::Bytes(v) => v.iter().map(|b| format!("{b:02x}")).collect(),
        Value::Array(_) | Value::Record(_) | Value::Row(_) | Value::Dict(_) => {
            let mut out = String::new();
            write_nested(value, &mut out, NESTED_DEPTH_MAX);
            out
        }
        Value::Builtin(_) | Value::Closure(_) => "function".to_owned(),
        Value::Stream(_) | Value::Table(_) => "tables".to_owned(),
    }
}

/// How deep the text of a value goes; what lies deeper is `...`.
const NESTED_DEPTH_MAX: usize = 100;
/// How long the text of a container gets; the rest is `...`.
const NESTED_BYTES_MAX: usize = 1 << 20;

/// Appends the text of a value, cut where it would grow without bound: parts may be shared, and nested at will.
fn write_nested(value: &Value, out: &mut String, depth: usize) {
    if depth == 0 || out.len() > NESTED_BYTES_MAX {
        out.push_str("...");
        return;
    }
    let mut list = |brackets: [&str; 2], parts: &mut dyn Iterator<Item = (Option<String>, &Value)>| {
        out.push_str(brackets[0]);
        for (number, (name, part)) in parts.enumerate() {
            if number > 0 {
                out.push_str(", ");
            }
            if let Some(name) = name {
                out.push_str(&name);
                out.push_str(": ");
            }
            write_nested(part, out, depth - 1);
            if out.len() > NESTED_BYTES_MAX {
                break;
            }
        }
        out.push_str(brackets[1]);
    };
    match value {
        Value::Array(items) => list(["[", "]"], &mut items.iter().map(|item| (None, item))),
        Value::Record(record) => {
            list(["{", "}"], &mut record.fields.iter().map(|(name, part)| (Some(name.to_string()), part)));
        }
        Value::Row(row) => write_nested(&Value::Record(Rc::new(row.to_record())), out, depth),
        Value::Dict(pairs) => {
            let key_text = |key: &Value| {
                let mut text = String::new();
                write_nested(key, &mut text, depth - 1);
                text
            };
            list(["[", "]"], &mut pairs.iter().map(|(key, part)| (Some(key_text(key)), part)));
        }
        other => out.push_str(&display(other)),
    }
}

fn cannot(value: &Value, to: &str) -> FluxError {
    FluxError::invalid(format!("cannot convert {} to {to}", value.type_of().name()))
}

fn unreadable(text: &str, to: &str) -> FluxError {
    FluxError::invalid(format!("cannot convert string \"{text}\" to {to} due to invalid syntax"))
}

#[expect(clippy::cast_possible_truncation, reason = "Flux's int() of a float truncates; `as` saturates")]
const fn float_to_int(value: f64) -> i64 {
    value as i64
}

#[expect(clippy::cast_possible_truncation, reason = "Flux's uint() of a float truncates; `as` saturates")]
#[expect(clippy::cast_sign_loss, reason = "negative floats become 0")]
const fn float_to_uint(value: f64) -> u64 {
    value as u64
}

pub(crate) fn to_int(value: &Value) -> Result<Value> {
    Ok(Value::Int(match value {
        Value::Null => return Ok(Value::Null),
        Value::Int(v) | Value::Time(v) => *v,
        Value::Uint(v) => v.cast_signed(),
        Value::Float(v) => float_to_int(*v),
        Value::Bool(v) => i64::from(*v),
        Value::Duration(v) if v.months == 0 => v.nanos,
        Value::String(v) => v.parse().map_err(|_not_a_number| unreadable(v, "int"))?,
        other => return Err(cannot(other, "int")),
    }))
}

pub(crate) fn to_uint(value: &Value) -> Result<Value> {
    Ok(Value::Uint(match value {
        Value::Null => return Ok(Value::Null),
        Value::Int(v) | Value::Time(v) => v.cast_unsigned(),
        Value::Uint(v) => *v,
        Value::Float(v) => float_to_uint(*v),
        Value::Bool(v) => u64::from(*v),
        Value::Duration(v) if v.months == 0 => v.nanos.cast_unsigned(),
        Value::String(v) => v.parse().map_err(|_not_a_number| unreadable(v, "uint"))?,
        other => return Err(cannot(other, "uint")),
    }))
}

/// The nearest float.
pub(crate) const fn int_to_float(value: i64) -> f64 {
    value as f64
}

/// The nearest float.
pub(crate) const fn uint_to_float(value: u64) -> f64 {
    value as f64
}

pub(crate) fn to_float(value: &Value) -> Result<Value> {
    Ok(Value::Float(match value {
        Value::Null => return Ok(Value::Null),
        Value::Int(v) => int_to_float(*v),
        Value::Uint(v) => uint_to_float(*v),
        Value::Float(v) => *v,
        Value::Bool(v) => f64::from(u8::from(*v)),
        Value::String(v) => v.parse().map_err(|_not_a_number| unreadable(v, "float"))?,
        other => return Err(cannot(other, "float")),
    }))
}

pub(crate) fn to_string(value: &Value) -> Result<Value> {
    match value {
        Value::Null => Ok(Value::Null),
        Value::Array(_) | Value::Record(_) | Value::Row(_) | Value::Dict(_) => Err(cannot(value, "string")),
        Value::Builtin(_) | Value::Closure(_) | Value::Stream(_) | Value::Table(_) => {
            Err(cannot(value, "string"))
        }
        Value::Bytes(v) => {
            std::str::from_utf8(v).map(Value::string).map_err(|_not_text| cannot(value, "string"))
        }
        other => Ok(Value::string(display(other))),
    }
}

#[expect(clippy::float_cmp, reason = "Flux takes exactly 0.0 and 1.0")]
pub(crate) fn to_bool(value: &Value) -> Result<Value> {
    Ok(Value::Bool(match value {
        Value::Null => return Ok(Value::Null),
        Value::Bool(v) => *v,
        Value::Int(0) | Value::Uint(0) => false,
        Value::Int(1) | Value::Uint(1) => true,
        Value::Float(v) if *v == 0.0 => false,
        Value::Float(v) if *v == 1.0 => true,
        Value::String(v) if &**v == "true" => true,
        Value::String(v) if &**v == "false" => false,
        Value::String(v) => return Err(unreadable(v, "bool")),
        other => return Err(FluxError::invalid(format!("cannot convert {} to bool", display(other)))),
    }))
}

pub(crate) fn to_time(value: &Value) -> Result<Value> {
    Ok(Value::Time(match value {
        Value::Null => return Ok(Value::Null),
        Value::Int(v) | Value::Time(v) => *v,
        Value::Uint(v) => v.cast_signed(),
        Value::String(v) => crate::syntax::read_time(v).ok_or_else(|| unreadable(v, "time"))?,
        other => return Err(cannot(other, "time")),
    }))
}

pub(crate) fn to_duration(value: &Value) -> Result<Value> {
    Ok(Value::Duration(match value {
        Value::Null => return Ok(Value::Null),
        Value::Duration(v) => *v,
        Value::Int(v) => Duration::nanos(*v),
        Value::Uint(v) => Duration::nanos(v.cast_signed()),
        Value::String(v) => {
            let (sign, digits) = v.strip_prefix('-').map_or((1, &**v), |rest| (-1, rest));
            crate::syntax::read_duration(digits)
                .and_then(|d| d.checked_mul(sign))
                .ok_or_else(|| unreadable(v, "duration"))?
        }
        other => return Err(cannot(other, "duration")),
    }))
}
