//! The interpreter: evaluates a resolved script, then pulls the tables of its results.

mod call;
mod context;
mod eval;
mod operators;
mod row;
mod scope;

use std::sync::Arc;

use memory::Account;
use model::{Frame, Timestamp};

pub(crate) use call::{Function, invoke};
pub(crate) use context::{Context, Held, location_of};
pub(crate) use eval::evaluate;
pub(crate) use operators::{binary, check_text, compare};
pub(crate) use row::{Row, RowFunction, RowTable};
pub(crate) use scope::{Closure, Scope};

use crate::error::{FluxError, Result};
use crate::semantic::{self, Step};
use crate::source::Source;
use crate::value::Value;

/// What a script may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls of functions of the script, rows of `map` and `filter` included.
    pub steps_max: u64,
    /// Bytes of tables held at once by operations that need their whole input.
    pub memory_bytes_max: u64,
    /// Rows read from the source and made by the script.
    pub rows_max: u64,
}

/// What a script runs in.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// The time that `now()` gives.
    pub now: Timestamp,
    /// What it may use up.
    pub limits: Limits,
    /// The memory of all queries.
    pub memory: &'a Arc<Account>,
    /// Asked often; true stops the script.
    pub cancel: &'a dyn Fn() -> bool,
}

impl std::fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("now", &self.now)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// The sink takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// Runs a script. Each table of each result goes to `sink` with the result's name and the table's number in it; results
/// come in the order of their yields.
///
/// # Errors
/// Compile errors come before the first call of `sink`; others may come after it.
pub fn run(
    script: &str,
    environment: &Environment<'_>,
    source: &dyn Source,
    sink: &mut dyn FnMut(&str, i64, Frame) -> Result<(), Stopped>,
) -> Result<()> {
    let plan = trace::span("plan");
    let file = crate::parse(script)?;
    let program = semantic::resolve(&file).map_err(FluxError::Compile)?;
    drop(plan);
    let context = Context::new(environment, source);
    let scope = Scope::new(program.slots, None);
    for step in &program.steps {
        match step {
            Step::Let(slot, ir) => scope.set(*slot, evaluate(ir, &scope, &context)?),
            Step::Option(name, slot, ir) => {
                let value = evaluate(ir, &scope, &context)?;
                context.set_option(name, value.clone())?;
                scope.set(*slot, value);
            }
            Step::Eval(ir) => {
                if let Value::Stream(stream) = evaluate(ir, &scope, &context)?
                    && !stream.yielded()
                {
                    context.add_result("_result", stream)?;
                }
            }
            Step::Return(_) => {}
        }
    }
    let results = context.take_results();
    if results.is_empty() {
        return Err(FluxError::invalid(
            "this Flux script returns no streaming data. Consider adding a \"yield\" or invoking streaming functions \
             directly, without performing an assignment",
        ));
    }
    for (name, stream) in results {
        for (number, table) in (0..).zip(stream.open(&context)?) {
            context.check_cancelled()?;
            sink(&name, number, table?.into_frame()).map_err(|Stopped| FluxError::Cancelled)?;
        }
    }
    Ok(())
}
