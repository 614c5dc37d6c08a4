//! The arguments of a call of a built-in function: bound to its parameters, checked against their types, read by name.

use std::rc::Rc;

use super::Builtin;
use crate::error::{FluxError, Result};
use crate::interpret::Function;
use crate::table::{Stream, Table};
use crate::value::{Duration, List, Type, Value};

/// Arguments by parameter name; those that were not given are absent.
pub(crate) struct Arguments {
    values: Vec<(Rc<str>, Value)>,
}

fn wrong(name: &str, expected: &str, found: &Value) -> FluxError {
    let found = found.type_of().name();
    FluxError::invalid(format!("expected {expected} but found {found} (argument {name})"))
}

impl Arguments {
    /// Binds given arguments to a function's parameters.
    pub(crate) fn bind(
        builtin: &Builtin,
        given: Vec<(Rc<str>, Value)>,
        piped: Option<Value>,
    ) -> Result<Self> {
        let parameters = &builtin.signature().parameters;
        let mut values = given;
        if builtin.signature().open {
            return Ok(Self { values });
        }
        if let Some(piped) = piped {
            let Some(parameter) = parameters.iter().find(|p| p.pipe) else {
                return Err(FluxError::invalid("function does not take a pipe argument"));
            };
            values.push((Rc::from(&*parameter.name), piped));
        }
        for (name, value) in &values {
            let Some(parameter) = parameters.iter().find(|p| *p.name == **name) else {
                return Err(FluxError::invalid(format!("found unexpected argument {name}")));
            };
            if !parameter.ty.takes(value.type_of()) {
                return Err(wrong(name, parameter.ty.name(), value));
            }
        }
        for parameter in parameters.iter().filter(|p| p.required || p.pipe) {
            match values.iter().find(|(n, _)| **n == *parameter.name) {
                None if parameter.pipe => return Err(FluxError::invalid("missing pipe argument")),
                None => {
                    return Err(FluxError::invalid(format!("missing required argument {}", parameter.name)));
                }
                // A null may stand for a value of a column, never for a stream or a function.
                Some((name, value @ Value::Null))
                    if matches!(parameter.ty, Type::Stream | Type::Function) =>
                {
                    return Err(wrong(name, parameter.ty.name(), value));
                }
                Some(_) => {}
            }
        }
        Ok(Self { values })
    }

    /// An argument; null when it was not given.
    pub(crate) fn get(&self, name: &str) -> &Value {
        self.values.iter().find(|(n, _)| &**n == name).map_or(&Value::Null, |(_, v)| v)
    }

    pub(crate) fn stream(&self, name: &str) -> Result<Stream> {
        match self.get(name) {
            Value::Stream(stream) => Ok(stream.clone()),
            other => Err(wrong(name, "stream", other)),
        }
    }

    pub(crate) fn table(&self, name: &str) -> Result<Rc<Table>> {
        match self.get(name) {
            Value::Table(table) => Ok(Rc::clone(table)),
            other => Err(wrong(name, "table", other)),
        }
    }

    pub(crate) fn function(&self, name: &str) -> Result<Function> {
        Function::of(self.get(name)).ok_or_else(|| wrong(name, "function", self.get(name)))
    }

    /// A text; `otherwise` when it was not given.
    pub(crate) fn text_or(&self, name: &str, otherwise: &str) -> Result<Rc<str>> {
        match self.get(name) {
            Value::Null => Ok(Rc::from(otherwise)),
            Value::String(text) => Ok(Rc::clone(text)),
            other => Err(wrong(name, "string", other)),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Result<Rc<str>> {
        match self.get(name) {
            Value::String(text) => Ok(Rc::clone(text)),
            other => Err(wrong(name, "string", other)),
        }
    }

    pub(crate) fn int_or(&self, name: &str, otherwise: i64) -> Result<i64> {
        match self.get(name) {
            Value::Null => Ok(otherwise),
            Value::Int(v) => Ok(*v),
            other => Err(wrong(name, "int", other)),
        }
    }

    /// A count that may not be negative.
    pub(crate) fn count_or(&self, name: &str, otherwise: usize) -> Result<usize> {
        let given = self.int_or(name, i64::try_from(otherwise).unwrap_or(i64::MAX))?;
        usize::try_from(given).map_err(|_negative| FluxError::invalid(format!("{name} must not be negative")))
    }

    pub(crate) fn float_or(&self, name: &str, otherwise: f64) -> Result<f64> {
        match self.get(name) {
            Value::Null => Ok(otherwise),
            Value::Float(v) => Ok(*v),
            other => Err(wrong(name, "float", other)),
        }
    }

    pub(crate) fn bool_or(&self, name: &str, otherwise: bool) -> Result<bool> {
        match self.get(name) {
            Value::Null => Ok(otherwise),
            Value::Bool(v) => Ok(*v),
            other => Err(wrong(name, "bool", other)),
        }
    }

    pub(crate) fn duration_or(&self, name: &str, otherwise: Duration) -> Result<Duration> {
        match self.get(name) {
            Value::Null => Ok(otherwise),
            Value::Duration(v) => Ok(*v),
            other => Err(wrong(name, "duration", other)),
        }
    }

    pub(crate) fn array(&self, name: &str) -> Result<Rc<List>> {
        match self.get(name) {
            Value::Array(items) => Ok(Rc::clone(items)),
            other => Err(wrong(name, "array", other)),
        }
    }

    /// A list of texts; `None` when it was not given.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<Rc<str>>>> {
        match self.get(name) {
            Value::Null => Ok(None),
            Value::Array(items) => items
                .iter()
                .map(|item| match item {
                    Value::String(text) => Ok(Rc::clone(text)),
                    other => Err(wrong(name, "string", other)),
                })
                .collect::<Result<_>>()
                .map(Some),
            other => Err(wrong(name, "array", other)),
        }
    }
}
