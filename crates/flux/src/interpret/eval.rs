//! Expressions to values.

use std::collections::HashMap;
use std::rc::Rc;

use super::operators::{binary, check_text, negate};
use super::{Closure, Context, Function, Scope, invoke};
use crate::error::{FluxError, Result};
use crate::semantic::{Call, Ir, Piece};
use crate::value::{Pairs, Record, Value, convert};

/// Records of no more fields are searched one by one.
const SMALL_RECORD: usize = 32;

/// Evaluates an expression in a scope.
pub(crate) fn evaluate(ir: &Ir, scope: &Rc<Scope>, context: &Context<'_>) -> Result<Value> {
    match ir {
        Ir::Const(value) => Ok(value.clone()),
        Ir::Var { hops, slot } => Ok(scope.get(*hops, *slot)),
        _ => {
            let value = context.deeper(|| compound(ir, scope, context))?;
            context.keep(&value)?;
            Ok(value)
        }
    }
}

fn compound(ir: &Ir, scope: &Rc<Scope>, context: &Context<'_>) -> Result<Value> {
    let eval = |ir: &Ir| evaluate(ir, scope, context);
    match ir {
        Ir::Const(_) | Ir::Var { .. } => evaluate(ir, scope, context),
        Ir::Member(object, name, found) => member(&eval(object)?, name, found),
        Ir::Index(object, index) => self::index(&eval(object)?, &eval(index)?),
        Ir::Call(call) => self::call(call, scope, context),
        Ir::Function(lambda) => {
            Ok(Value::Closure(Rc::new(Closure { lambda: Rc::clone(lambda), scope: Rc::clone(scope) })))
        }
        Ir::Record(base, fields) => {
            let mut record = match base {
                None => Record::default(),
                Some(base) => match eval(base)? {
                    Value::Record(record) => (*record).clone(),
                    Value::Row(row) => row.to_record(),
                    other => return Err(wrong("record", &other)),
                },
            };
            if record.fields.is_empty() && fields.len() > SMALL_RECORD {
                // Large literals: names are looked up once, not compared with all others.
                let mut places = HashMap::with_capacity(fields.len());
                for (name, value) in fields {
                    let value = eval(value)?;
                    match places.insert(Rc::clone(name), record.fields.len()) {
                        None => record.fields.push((Rc::clone(name), value)),
                        Some(at) => {
                            record.fields[at].1 = value;
                            places.insert(Rc::clone(name), at);
                        }
                    }
                }
                return Ok(Value::Record(Rc::new(record)));
            }
            for (name, value) in fields {
                record.set(Rc::clone(name), eval(value)?);
            }
            Ok(Value::Record(Rc::new(record)))
        }
        Ir::Array(items) => Ok(Value::array(items.iter().map(eval).collect::<Result<_>>()?)),
        Ir::Dict(pairs) => {
            let pairs = pairs.iter().map(|(k, v)| Ok((eval(k)?, eval(v)?))).collect::<Result<Vec<_>>>()?;
            Ok(Value::Dict(Rc::new(Pairs::new(pairs))))
        }
        Ir::If(parts) => {
            let [test, consequent, alternate] = &**parts;
            if truth(&eval(test)?)? == Some(true) { eval(consequent) } else { eval(alternate) }
        }
        Ir::And(parts) => logical(parts, scope, context, false),
        Ir::Or(parts) => logical(parts, scope, context, true),
        Ir::Not(inner) => Ok(truth(&eval(inner)?)?.map_or(Value::Null, |b| Value::Bool(!b))),
        Ir::Exists(inner) => Ok(Value::Bool(!matches!(eval(inner)?, Value::Null))),
        Ir::Minus(inner) => negate(&eval(inner)?),
        Ir::Binary(first, rest) => {
            let mut left = eval(first)?;
            for (operator, operand) in rest {
                left = binary(*operator, &left, &eval(operand)?)?;
            }
            Ok(left)
        }
        Ir::Text(pieces) => {
            let mut text = String::new();
            for piece in pieces {
                match piece {
                    Piece::Text(part) => text.push_str(part),
                    Piece::Value(ir) => match eval(ir)? {
                        Value::Null => return Err(FluxError::invalid("invalid interpolation type null")),
                        Value::String(part) => text.push_str(&part),
                        value => text.push_str(&convert::display(&value)),
                    },
                }
                check_text(text.len())?;
            }
            Ok(Value::string(text))
        }
    }
}

/// Three-valued and/or: `decisive` decides at once, a null leaves the whole undecided.
fn logical(parts: &[Ir], scope: &Rc<Scope>, context: &Context<'_>, decisive: bool) -> Result<Value> {
    let mut result = Value::Bool(!decisive);
    for part in parts {
        match truth(&evaluate(part, scope, context)?)? {
            Some(b) if b == decisive => return Ok(Value::Bool(decisive)),
            Some(_) => {}
            None => result = Value::Null,
        }
    }
    Ok(result)
}

/// A boolean, or null.
pub(super) fn truth(value: &Value) -> Result<Option<bool>> {
    match value {
        Value::Bool(b) => Ok(Some(*b)),
        Value::Null => Ok(None),
        other => Err(wrong("bool", other)),
    }
}

fn wrong(expected: &str, found: &Value) -> FluxError {
    FluxError::invalid(format!("expected {expected} but found {}", found.type_of().name()))
}

fn member(object: &Value, name: &Rc<str>, found: &std::cell::Cell<usize>) -> Result<Value> {
    match object {
        Value::Row(row) => Ok(row.get(name, found)),
        Value::Record(record) => {
            if let Some((n, value)) = record.fields.get(found.get())
                && n == name
            {
                return Ok(value.clone());
            }
            match record.fields.iter().position(|(n, _)| n == name) {
                Some(at) => {
                    found.set(at);
                    Ok(record.fields[at].1.clone())
                }
                None => Ok(Value::Null),
            }
        }
        Value::Null => Ok(Value::Null),
        other => Err(wrong("record", other)),
    }
}

fn index(object: &Value, index: &Value) -> Result<Value> {
    match (object, index) {
        (Value::Array(items), Value::Int(at)) => {
            let item = usize::try_from(*at).ok().and_then(|at| items.get(at));
            item.cloned().ok_or_else(|| {
                FluxError::invalid(format!("cannot access element {at} of array of length {}", items.len()))
            })
        }
        (Value::Record(_) | Value::Row(_), Value::String(name)) => {
            member(object, name, &std::cell::Cell::new(0))
        }
        (Value::Array(_), other) => Err(wrong("int", other)),
        (other, _) => Err(wrong("array", other)),
    }
}

fn call(call: &Call, scope: &Rc<Scope>, context: &Context<'_>) -> Result<Value> {
    let callee = evaluate(&call.callee, scope, context)?;
    let function = Function::of(&callee).ok_or_else(|| wrong("function", &callee))?;
    let piped = call.piped.as_ref().map(|ir| evaluate(ir, scope, context)).transpose()?;
    let mut arguments = Vec::with_capacity(call.arguments.len());
    for (name, ir) in &call.arguments {
        arguments.push((Rc::clone(name), evaluate(ir, scope, context)?));
    }
    invoke(&function, context, arguments, piped).map_err(|error| match error {
        FluxError::Invalid(_) | FluxError::NotImplemented(_) => {
            FluxError::Call { function: call.name.clone(), span: call.span, cause: Box::new(error) }
        }
        other => other,
    })
}
