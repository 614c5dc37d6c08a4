//! Calls: of built-in functions with checked arguments, and of functions of the script.

use std::rc::Rc;

use super::{Closure, Context, Scope, evaluate};
use crate::error::{FluxError, Result};
use crate::semantic::{LambdaDefault, Step};
use crate::stdlib::{Arguments, Builtin};
use crate::value::Value;

/// A value that can be called.
#[derive(Clone)]
pub(crate) enum Function {
    Builtin(&'static Builtin),
    Closure(Rc<Closure>),
}

impl Function {
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Builtin(builtin) => Some(Self::Builtin(builtin)),
            Value::Closure(closure) => Some(Self::Closure(Rc::clone(closure))),
            _ => None,
        }
    }

    /// Calls with named arguments.
    pub(crate) fn call(&self, context: &Context<'_>, arguments: Vec<(Rc<str>, Value)>) -> Result<Value> {
        invoke(self, context, arguments, None)
    }
}

/// Calls a function with named arguments and perhaps a piped one.
pub(crate) fn invoke(
    function: &Function,
    context: &Context<'_>,
    arguments: Vec<(Rc<str>, Value)>,
    piped: Option<Value>,
) -> Result<Value> {
    context.step()?;
    context.deeper(|| match function {
        Function::Builtin(builtin) => {
            let arguments = Arguments::bind(builtin, arguments, piped)?;
            (builtin.run)(context, &arguments)
        }
        Function::Closure(closure) => call_closure(closure, context, arguments, piped),
    })
}

fn call_closure(
    closure: &Closure,
    context: &Context<'_>,
    arguments: Vec<(Rc<str>, Value)>,
    mut piped: Option<Value>,
) -> Result<Value> {
    let lambda = &closure.lambda;
    if let Some((name, _)) = arguments.iter().find(|(n, _)| !lambda.parameters.iter().any(|(p, _)| p == n)) {
        return Err(FluxError::invalid(format!("found unexpected argument {name}")));
    }
    let scope = Scope::new(lambda.slots, Some(Rc::clone(&closure.scope)));
    for (slot, (name, default)) in lambda.parameters.iter().enumerate() {
        let given = arguments.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let value = match (given, default) {
            (Some(value), _) => value,
            (None, LambdaDefault::Value(ir)) => evaluate(ir, &closure.scope, context)?,
            (None, LambdaDefault::Pipe) => {
                piped.take().ok_or_else(|| FluxError::invalid("missing pipe argument"))?
            }
            (None, LambdaDefault::Required) => {
                return Err(FluxError::invalid(format!("missing required argument {name}")));
            }
        };
        scope.set(slot, value);
    }
    if piped.is_some() {
        return Err(FluxError::invalid("function does not take a pipe argument"));
    }
    run_body(&lambda.body, &scope, context)
}

/// Runs a function's statements to its `return`.
pub(super) fn run_body(body: &[Step], scope: &Rc<Scope>, context: &Context<'_>) -> Result<Value> {
    for step in body {
        match step {
            Step::Let(slot, ir) | Step::Option(_, slot, ir) => {
                scope.set(*slot, evaluate(ir, scope, context)?);
            }
            Step::Eval(ir) => {
                evaluate(ir, scope, context)?;
            }
            Step::Return(ir) => return evaluate(ir, scope, context),
        }
    }
    Ok(Value::Null)
}
