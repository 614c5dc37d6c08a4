//! Filters to predicates: the part of `(r) => ...` that speaks of the measurement, the field and tags is decided by the
//! scan, series by series; what speaks of times and values is left for the rows.
//!
//! As in InfluxDB, a pushed comparison reads a tag that a series lacks as the empty string.

use std::rc::Rc;

use model::{FieldSelection, Predicate, Subject, Test};

use crate::error::Result;
use crate::interpret::{Context, Function, Scope, evaluate};
use crate::semantic::{Call, Ir, Lambda, LambdaDefault};
use crate::syntax::ast::BinaryOperator;
use crate::value::Value;

/// What of a filter the scan decides.
pub(super) struct Split {
    pub(super) pushed: Predicate,
    /// The parts of the condition that are left for the rows; `None` is all of it, empty is nothing.
    pub(super) rest: Option<Vec<usize>>,
}

/// Splits a filter.
pub(super) fn split(filter: &Function, context: &Context<'_>) -> Result<Split> {
    const NOTHING: Split = Split { pushed: Predicate::TRUE, rest: None };
    let Function::Closure(closure) = filter else { return Ok(NOTHING) };
    let (Some(body), [(name, LambdaDefault::Required)]) =
        (closure.lambda.expression(), closure.lambda.parameters.as_slice())
    else {
        return Ok(NOTHING);
    };
    if &**name != "r" {
        return Ok(NOTHING);
    }
    let lowering = Lowering { lambda: &closure.lambda, outer: &closure.scope, context };
    let parts: &[Ir] = if let Ir::And(parts) = body { parts } else { std::slice::from_ref(body) };
    let mut split = Split { pushed: Predicate::TRUE, rest: None };
    let mut rest = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        match lowering.predicate(part)? {
            Some(predicate) => split.pushed = split.pushed.and(predicate),
            None => rest.push(number),
        }
    }
    split.rest = Some(rest);
    Ok(split)
}

/// A filter as a predicate; `None` when a part of it cannot be one.
pub(crate) fn whole(filter: &Function, context: &Context<'_>) -> Result<Option<Predicate>> {
    let split = split(filter, context)?;
    Ok(split.rest.is_some_and(|rest| rest.is_empty()).then_some(split.pushed))
}

/// The fields that a predicate can let through, where it says so plainly.
pub(super) fn fields(predicate: &Predicate) -> FieldSelection {
    named(predicate).map_or(FieldSelection::All, |names| {
        FieldSelection::Names(names.into_iter().map(|n| std::sync::Arc::from(n.as_str())).collect())
    })
}

fn named(predicate: &Predicate) -> Option<Vec<String>> {
    match predicate {
        Predicate::Compare(Subject::Field, Test::Eq(name)) => Some(vec![name.clone()]),
        Predicate::Compare(Subject::Field, Test::In(names)) => Some(names.clone()),
        Predicate::And(parts) => parts.iter().find_map(named),
        Predicate::Or(parts) => {
            let mut all = Vec::new();
            for part in parts {
                for name in named(part)? {
                    if !all.contains(&name) {
                        all.push(name);
                    }
                }
            }
            Some(all)
        }
        _ => None,
    }
}

struct Lowering<'a> {
    lambda: &'a Rc<Lambda>,
    outer: &'a Rc<Scope>,
    context: &'a Context<'a>,
}

impl Lowering<'_> {
    /// The predicate that says the same as a condition; `None` when there is none.
    fn predicate(&self, ir: &Ir) -> Result<Option<Predicate>> {
        match ir {
            Ir::And(parts) => Ok(self.all(parts)?.map(Predicate::And)),
            Ir::Or(parts) => Ok(self.all(parts)?.map(Predicate::Or)),
            Ir::Not(inner) => Ok(self.predicate(inner)?.map(|p| Predicate::Not(Box::new(p)))),
            Ir::Exists(inner) => {
                Ok(subject(inner).map(|s| Predicate::Compare(s, Test::NotEq(String::new()))))
            }
            Ir::Binary(left, rest) => match rest.as_slice() {
                [(operator, right)] => self.comparison(*operator, left, right),
                _ => Ok(None),
            },
            Ir::Call(call) => self.contains(call),
            other => match self.constant(other)? {
                Some(Value::Bool(b)) => Ok(Some(Predicate::Constant(b))),
                _ => Ok(None),
            },
        }
    }

    fn all(&self, parts: &[Ir]) -> Result<Option<Vec<Predicate>>> {
        parts.iter().map(|p| self.predicate(p)).collect()
    }

    fn comparison(&self, operator: BinaryOperator, left: &Ir, right: &Ir) -> Result<Option<Predicate>> {
        let (subject, other) = match (subject(left), subject(right)) {
            (Some(subject), None) => (subject, right),
            (None, Some(subject)) if matches!(operator, BinaryOperator::Equal | BinaryOperator::NotEqual) => {
                (subject, left)
            }
            _ => return Ok(None),
        };
        let test = match (operator, self.constant(other)?) {
            (BinaryOperator::Equal, Some(Value::String(text))) => Test::Eq(text.to_string()),
            (BinaryOperator::NotEqual, Some(Value::String(text))) => Test::NotEq(text.to_string()),
            (BinaryOperator::Matches, Some(Value::Regex(regex))) => Test::Matches(regex.regex().clone()),
            (BinaryOperator::NotMatches, Some(Value::Regex(regex))) => {
                Test::NotMatches(regex.regex().clone())
            }
            _ => return Ok(None),
        };
        Ok(Some(Predicate::Compare(subject, test)))
    }

    /// `contains(value: r.tag, set: [...])`
    fn contains(&self, call: &Call) -> Result<Option<Predicate>> {
        let is_contains = matches!(&call.callee, Ir::Const(Value::Builtin(b)) if b.name == "contains");
        let argument = |name: &str| call.arguments.iter().find(|(n, _)| &**n == name).map(|(_, ir)| ir);
        let (true, Some(value), Some(set)) = (is_contains, argument("value"), argument("set")) else {
            return Ok(None);
        };
        let (Some(subject), Some(Value::Array(items))) = (subject(value), self.constant(set)?) else {
            return Ok(None);
        };
        let texts: Option<Vec<String>> = items
            .iter()
            .map(|item| if let Value::String(text) = item { Some(text.to_string()) } else { None })
            .collect();
        Ok(texts.map(|texts| Predicate::Compare(subject, Test::In(texts))))
    }

    /// The value of an expression that does not depend on the row.
    fn constant(&self, ir: &Ir) -> Result<Option<Value>> {
        if depends(ir, 0) {
            return Ok(None);
        }
        let scope = Scope::new(self.lambda.slots, Some(Rc::clone(self.outer)));
        evaluate(ir, &scope, self.context).map(Some)
    }
}

/// The measurement, field or tag that `r.name` reads. Times and values are not for the scan.
fn subject(ir: &Ir) -> Option<Subject> {
    let Ir::Member(object, name, _) = ir else { return None };
    let Ir::Var { hops: 0, slot: 0 } = **object else { return None };
    match &**name {
        "_measurement" => Some(Subject::Measurement),
        "_field" => Some(Subject::Field),
        "_time" | "_value" | "_start" | "_stop" => None,
        tag => Some(Subject::Tag(tag.to_owned())),
    }
}

/// Whether an expression reads a variable of the function that is `hops` functions outward.
fn depends(ir: &Ir, hops: usize) -> bool {
    let on = |ir: &Ir| depends(ir, hops);
    match ir {
        Ir::Const(_) => false,
        Ir::Var { hops: at, .. } => *at == hops,
        Ir::Member(inner, ..) | Ir::Not(inner) | Ir::Exists(inner) | Ir::Minus(inner) => on(inner),
        Ir::Index(a, b) => on(a) || on(b),
        Ir::Call(call) => {
            on(&call.callee)
                || call.arguments.iter().any(|(_, ir)| on(ir))
                || call.piped.as_ref().is_some_and(on)
        }
        // A function inside: rare in filters, and not worth looking through.
        Ir::Function(_) => true,
        Ir::Record(base, fields) => base.as_deref().is_some_and(on) || fields.iter().any(|(_, ir)| on(ir)),
        Ir::Array(items) | Ir::And(items) | Ir::Or(items) => items.iter().any(on),
        Ir::Dict(pairs) => pairs.iter().any(|(k, v)| on(k) || on(v)),
        Ir::If(parts) => parts.iter().any(on),
        Ir::Binary(first, rest) => on(first) || rest.iter().any(|(_, ir)| on(ir)),
        Ir::Text(pieces) => pieces.iter().any(|p| matches!(p, crate::semantic::Piece::Value(ir) if on(ir))),
    }
}
