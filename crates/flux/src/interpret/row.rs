//! Rows of a table as the argument of a function: read in place, never copied into records unless the script asks.

use std::cell::Cell;
use std::rc::Rc;

use super::call::run_body;
use super::{Context, Function, Scope, evaluate};
use crate::error::{FluxError, Result};
use crate::semantic::{Ir, LambdaDefault};
use crate::syntax::ast::BinaryOperator;
use crate::table::Table;
use crate::value::{Record, Value};

/// A table whose rows are being read.
#[derive(Clone)]
pub(crate) struct RowTable(Rc<Table>);

/// One row of a table.
#[derive(Clone)]
pub(crate) struct Row {
    table: Rc<Table>,
    index: usize,
}

impl RowTable {
    pub(crate) fn new(table: Table) -> Self {
        Self(Rc::new(table))
    }

    pub(crate) fn table(&self) -> &Table {
        &self.0
    }

    pub(crate) fn row(&self, index: usize) -> Value {
        Value::Row(Row { table: Rc::clone(&self.0), index })
    }

    /// The table back, if no row of it is kept.
    pub(crate) fn into_table(self) -> Table {
        Rc::try_unwrap(self.0).unwrap_or_else(|shared| (*shared).clone())
    }
}

impl Row {
    /// A column's value; null when there is no such column. `found` remembers the column.
    pub(super) fn get(&self, name: &str, found: &Cell<usize>) -> Value {
        let columns = &self.table.columns;
        if let Some(column) = columns.get(found.get())
            && &*column.name == name
        {
            return column.value(self.index);
        }
        match columns.iter().position(|c| &*c.name == name) {
            Some(at) => {
                found.set(at);
                columns[at].value(self.index)
            }
            None => Value::Null,
        }
    }

    pub(crate) fn to_record(&self) -> Record {
        let fields = self.table.columns.iter().map(|c| (Rc::from(&*c.name), c.value(self.index)));
        Record { fields: fields.collect() }
    }
}

/// A function that is called once per row: its scope is made once and its one parameter set for every row.
pub(crate) struct RowFunction {
    function: Function,
    scope: Option<Rc<Scope>>,
    parameter: &'static str,
    slot: usize,
    /// Of a condition `a and b and c`, the parts to look at; all when `None`.
    only: Option<Vec<usize>>,
}

impl RowFunction {
    /// Prepares a function of one parameter called `parameter`; others must have defaults.
    pub(crate) fn new(function: &Function, parameter: &'static str, context: &Context<'_>) -> Result<Self> {
        let mut prepared = Self { function: function.clone(), scope: None, parameter, slot: 0, only: None };
        if let Function::Closure(closure) = function {
            let scope = Scope::new(closure.lambda.slots, Some(Rc::clone(&closure.scope)));
            let mut takes = false;
            for (slot, (name, default)) in closure.lambda.parameters.iter().enumerate() {
                match default {
                    _ if &**name == parameter => {
                        takes = true;
                        prepared.slot = slot;
                    }
                    LambdaDefault::Value(ir) => scope.set(slot, evaluate(ir, &closure.scope, context)?),
                    _ => return Err(FluxError::invalid(format!("missing required argument {name}"))),
                }
            }
            if !takes {
                return Err(FluxError::invalid(format!("found unexpected argument {parameter}")));
            }
            prepared.scope = Some(scope);
        }
        Ok(prepared)
    }

    /// Looks only at some parts of a condition: the others are known to hold.
    pub(crate) fn only(mut self, parts: Option<Vec<usize>>) -> Self {
        self.only = parts;
        self
    }

    pub(crate) fn call(&self, context: &Context<'_>, row: Value) -> Result<Value> {
        match (&self.function, &self.scope) {
            (Function::Closure(closure), Some(scope)) => {
                context.step()?;
                scope.set(self.slot, row);
                match closure.lambda.expression() {
                    Some(ir) => evaluate(ir, scope, context),
                    None => run_body(&closure.lambda.body, scope, context),
                }
            }
            _ => self.function.call(context, vec![(Rc::from(self.parameter), row)]),
        }
    }

    /// The fields that `(r) => ({r with ...})` sets; `None` when the function is anything else.
    pub(crate) fn extension(&self) -> Option<&[(Rc<str>, Ir)]> {
        let Function::Closure(closure) = &self.function else { return None };
        let Ir::Record(Some(base), fields) = closure.lambda.expression()? else { return None };
        matches!(**base, Ir::Var { hops: 0, slot } if slot == self.slot).then_some(fields)
    }

    /// Evaluates the fields of [`Self::extension`] for a row.
    pub(crate) fn extend(
        &self,
        context: &Context<'_>,
        row: Value,
        fields: &[(Rc<str>, Ir)],
        mut each: impl FnMut(usize, &Value) -> Result<()>,
    ) -> Result<()> {
        let Some(scope) = &self.scope else { return Ok(()) };
        context.step()?;
        scope.set(self.slot, row);
        fields.iter().enumerate().try_for_each(|(at, (_, ir))| each(at, &evaluate(ir, scope, context)?))
    }

    /// The condition as comparisons of columns with constants; `None` when it is anything else.
    pub(crate) fn comparisons(&self, context: &Context<'_>) -> Option<Vec<(Rc<str>, BinaryOperator, Value)>> {
        let (Function::Closure(closure), Some(scope)) = (&self.function, &self.scope) else { return None };
        let body = closure.lambda.expression()?;
        let parts: &[Ir] = if let Ir::And(parts) = body { parts } else { std::slice::from_ref(body) };
        let wanted = |number: usize| self.only.as_ref().is_none_or(|only| only.contains(&number));
        let chosen = parts.iter().enumerate().filter(|(number, _)| wanted(*number));
        chosen.map(|(_, part)| comparison(part, self.slot, scope, context)).collect()
    }

    /// Whether a row passes: null counts as no.
    pub(crate) fn test(&self, context: &Context<'_>, row: Value) -> Result<bool> {
        if let (Some(only), Some(scope), Function::Closure(closure)) =
            (&self.only, &self.scope, &self.function)
            && let Some(Ir::And(parts)) = closure.lambda.expression()
        {
            context.step()?;
            scope.set(self.slot, row);
            for part in only.iter().filter_map(|number| parts.get(*number)) {
                if super::eval::truth(&evaluate(part, scope, context)?)? != Some(true) {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        Ok(super::eval::truth(&self.call(context, row)?)? == Some(true))
    }
}

/// `r.column operator constant`
fn comparison(
    ir: &Ir,
    row: usize,
    scope: &Rc<Scope>,
    context: &Context<'_>,
) -> Option<(Rc<str>, BinaryOperator, Value)> {
    let Ir::Binary(left, rest) = ir else { return None };
    let (Ir::Member(object, name, _), [(operator, right)]) = (&**left, rest.as_slice()) else { return None };
    let Ir::Var { hops: 0, slot } = **object else { return None };
    let is_constant = match right {
        Ir::Const(_) | Ir::Var { hops: 1.., .. } => true,
        Ir::Minus(inner) => matches!(**inner, Ir::Const(_)),
        _ => false,
    };
    if slot != row || !is_constant {
        return None;
    }
    Some((Rc::clone(name), *operator, evaluate(right, scope, context).ok()?))
}
