//! The rules on how the parts of a SELECT may stand together, in InfluxDB's order and words.
//!
//! They look at the text alone: no name is resolved and nothing is expanded when they run, so that a statement
//! is refused for the same reason whatever is stored.

use influxql::ast::{Call, Expr, Fill, Operator, Select};

use super::function::{self, Aggregate, Transform};
use super::plan::strip;
use super::value;
use crate::error::Error;

/// The interval of GROUP BY time that a SELECT has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interval {
    /// Nanoseconds; 0 without.
    pub(crate) every: i64,
    /// It is that of the query around.
    pub(crate) inherited: bool,
}

/// Checks the fields of a SELECT. Answers how many windows beside the range its transformations read.
pub(crate) fn fields(select: &Select, interval: Interval) -> Result<usize, Error> {
    let mut seen = Seen {
        interval,
        limit: select.limit,
        wildcards: true,
        calls: 0,
        only_selectors: true,
        distinct: false,
        ranking: None,
        variables: false,
    };
    let mut count = 0;
    let mut windows_beside = 0;
    for field in &select.fields {
        if matches!(&field.expr, Expr::Var(var) if var.name == "time") {
            continue;
        }
        count += 1;
        seen.wildcards = true;
        windows_beside = windows_beside.max(seen.expr(&field.expr)?);
    }
    if count == 0 {
        return Error::invalid("at least 1 non-time field must be queried");
    }
    seen.together(select.fill)?;
    Ok(windows_beside)
}

/// Checks the calls of a condition.
pub(crate) fn condition(expr: &Expr) -> Result<(), Error> {
    match expr {
        Expr::Paren(inner) => condition(inner),
        Expr::Binary(binary) => condition(&binary.lhs).and_then(|()| condition(&binary.rhs)),
        Expr::Call(call) => match value::math_arity(&call.name) {
            None => Error::invalid(format!("invalid function call in condition: {call}")),
            Some(arity) => {
                function::arguments(call, arity, arity)?;
                call.args.iter().try_for_each(condition)
            }
        },
        _ => Ok(()),
    }
}

/// Checks a condition of SHOW, which can only compare tags.
pub(crate) fn tags_only(expr: &Expr) -> Result<(), Error> {
    match expr {
        Expr::Paren(inner) => tags_only(inner),
        Expr::Binary(binary) => match binary.op {
            Operator::And | Operator::Or => tags_only(&binary.lhs).and_then(|()| tags_only(&binary.rhs)),
            Operator::Eq | Operator::NotEq | Operator::EqRegex | Operator::NotEqRegex => {
                match strip(&binary.lhs) {
                    Expr::Var(_) => Ok(()),
                    _ => Error::invalid(format!("left side of '{}' must be a tag key", binary.op.text())),
                }
            }
            _ => Error::invalid("invalid tag comparison operator"),
        },
        _ => Ok(()),
    }
}

/// What the fields of a SELECT contain.
struct Seen {
    interval: Interval,
    limit: u64,
    /// Whether wildcards may stand here: not in arithmetic.
    wildcards: bool,
    calls: usize,
    only_selectors: bool,
    distinct: bool,
    /// The name of `top` or `bottom`.
    ranking: Option<String>,
    /// There are fields or tags outside of calls.
    variables: bool,
}

/// Whether an expression is a constant.
fn constant(expr: &Expr) -> bool {
    match expr {
        Expr::Paren(inner) => constant(inner),
        Expr::Binary(binary) => constant(&binary.lhs) && constant(&binary.rhs),
        Expr::Var(_) | Expr::Wildcard(_) | Expr::Call(_) | Expr::Distinct(_) | Expr::Regex(_) => false,
        Expr::String(_)
        | Expr::Number(_)
        | Expr::Integer(_)
        | Expr::Unsigned(_)
        | Expr::Boolean(_)
        | Expr::Duration(_) => true,
    }
}

/// A kind of literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Literal {
    Integer,
    Number,
    Duration,
    String,
    Boolean,
}

/// The kind of literal that InfluxDB folds a constant expression into; none where it does not.
fn folded(expr: &Expr) -> Option<Literal> {
    use Literal::{Boolean, Duration, Integer, Number, String};
    match expr {
        Expr::Paren(inner) => folded(inner),
        Expr::String(_) => Some(String),
        Expr::Number(_) => Some(Number),
        Expr::Integer(_) | Expr::Unsigned(_) => Some(Integer),
        Expr::Boolean(_) => Some(Boolean),
        Expr::Duration(_) => Some(Duration),
        Expr::Binary(binary) => {
            let op = binary.op.text();
            let result = |ops: &[&str], literal| ops.contains(&op).then_some(literal);
            match (folded(&binary.lhs)?, folded(&binary.rhs)?) {
                (Integer, Integer) if op == "/" => Some(Number),
                (Integer, Integer) => Some(Integer),
                (Integer | Number, Integer | Number) => result(&["+", "-", "*", "/", "%"], Number),
                (Integer | Duration, Duration) => result(&["+", "-"], Duration),
                (Duration, Integer | Number) => result(&["*", "/"], Duration),
                (String, String) => result(&["+"], String),
                (Boolean, Boolean) => result(&["&", "|", "^"], Boolean),
                _ => None,
            }
        }
        Expr::Var(_) | Expr::Wildcard(_) | Expr::Call(_) | Expr::Distinct(_) | Expr::Regex(_) => None,
    }
}

impl Seen {
    /// Looks at an expression. Answers how many windows beside the range it reads.
    fn expr(&mut self, expr: &Expr) -> Result<usize, Error> {
        match expr {
            _ if constant(expr) => Error::invalid(match folded(expr) {
                Some(_) => "field must contain at least one variable",
                None => "cannot perform a binary expression on two literals",
            }),
            Expr::Paren(inner) => self.expr(inner),
            Expr::Var(_) => {
                self.variables = true;
                Ok(0)
            }
            Expr::Wildcard(_) | Expr::Regex(_) => {
                self.variables = true;
                match expr {
                    _ if self.wildcards => Ok(0),
                    Expr::Regex(_) => Error::invalid("unable to use regex in a binary expression"),
                    _ => Error::invalid("unable to use wildcard in a binary expression"),
                }
            }
            Expr::Binary(binary) => {
                self.wildcards = false;
                let mut beside = 0;
                for side in [&binary.lhs, &binary.rhs] {
                    if !constant(side) {
                        beside = beside.max(self.expr(side)?);
                    }
                }
                Ok(beside)
            }
            Expr::Call(call) => self.call(call),
            _ => {
                self.calls += 1;
                self.distinct = true;
                self.only_selectors = false;
                Ok(0)
            }
        }
    }

    fn call(&mut self, call: &Call) -> Result<usize, Error> {
        if let Some(arity) = value::math_arity(&call.name) {
            function::arguments(call, arity, arity)?;
            let mut beside = 0;
            for arg in call.args.iter().filter(|arg| !constant(arg)) {
                beside = beside.max(self.expr(arg)?);
            }
            return Ok(beside);
        }
        self.calls += 1;
        if function::is_transform(&call.name) {
            return self.transform(call);
        }
        if let (Some(ranking), "top" | "bottom") = (&self.ranking, call.name.as_str()) {
            return Error::invalid(format!(
                "selector function {ranking}() cannot be combined with other functions"
            ));
        }
        let Some(aggregate) = function::aggregate(call, self.limit)? else {
            return Error::invalid(format!("undefined function {}()", call.name));
        };
        match (&aggregate, call.args.first().map(strip)) {
            (Aggregate::Distinct, _) => {
                self.distinct = true;
                self.only_selectors = false;
            }
            (Aggregate::Top(_, tags) | Aggregate::Bottom(_, tags), _) => {
                self.variables |= !tags.is_empty();
                self.ranking = Some(call.name.clone());
            }
            (Aggregate::Count, Some(arg)) if nested_distinct(arg)? => self.only_selectors = false,
            (_, arg) => {
                self.only_selectors &= aggregate.is_selector();
                self.symbol(&call.name, arg)?;
            }
        }
        Ok(0)
    }

    fn transform(&mut self, call: &Call) -> Result<usize, Error> {
        let transform = function::transform(call, self.interval.every)?;
        self.only_selectors = false;
        let name = &call.name;
        let own = match call.args.first().map(strip) {
            arg if name.starts_with("holt_winters") && !matches!(arg, Some(Expr::Call(_))) => {
                return Error::invalid(format!("must use aggregate function with {name}"));
            }
            Some(Expr::Call(_)) if self.interval.every == 0 => {
                return Error::invalid(format!("{name} aggregate requires a GROUP BY interval"));
            }
            // Indicators take no `distinct`.
            Some(arg @ Expr::Call(_)) => match matches!(transform, Transform::Technical(_)) {
                false if nested_distinct(arg)? => 0,
                _ => self.expr(arg)?,
            },
            _ if self.interval.every != 0 && !self.interval.inherited => {
                return Error::invalid(format!("aggregate function required inside the call to {name}"));
            }
            arg => self.symbol(name, arg).map(|()| 0)?,
        };
        Ok(own + transform.windows_beside())
    }

    /// The argument of a function must be a field, or stand for some.
    fn symbol(&mut self, name: &str, arg: Option<&Expr>) -> Result<(), Error> {
        match arg {
            Some(Expr::Var(_)) => Ok(()),
            Some(Expr::Wildcard(_)) if !self.wildcards => {
                Error::invalid(format!("unsupported expression with wildcard: {name}()"))
            }
            Some(Expr::Regex(_)) if !self.wildcards => {
                Error::invalid(format!("unsupported expression with regex field: {name}()"))
            }
            Some(Expr::Wildcard(_) | Expr::Regex(_)) => {
                self.only_selectors = false;
                Ok(())
            }
            _ => Error::invalid(format!("expected field argument in {name}()")),
        }
    }

    /// What the fields may be together.
    fn together(&self, fill: Fill) -> Result<(), Error> {
        if let Some(ranking) = self.ranking.as_ref().filter(|_| self.calls > 1) {
            return Error::invalid(format!(
                "selector function {ranking}() cannot be combined with other functions"
            ));
        }
        if self.calls == 0 {
            match fill {
                Fill::None => return Error::invalid("fill(none) must be used with a function"),
                Fill::Linear => return Error::invalid("fill(linear) must be used with a function"),
                _ if self.interval.every != 0 && !self.interval.inherited => {
                    return Error::invalid("GROUP BY requires at least one aggregate function");
                }
                _ => {}
            }
        }
        if self.distinct && (self.calls != 1 || self.variables) {
            return Error::invalid(
                "aggregate function distinct() cannot be combined with other functions or fields",
            );
        }
        match self.variables {
            true if !self.only_selectors => {
                Error::invalid("mixing aggregate and non-aggregate queries is not supported")
            }
            true if self.calls > 1 => {
                Error::invalid("mixing multiple selector functions with tags or fields is not supported")
            }
            _ => Ok(()),
        }
    }
}

/// Whether the argument of a call is a `distinct` that makes sense.
fn nested_distinct(arg: &Expr) -> Result<bool, Error> {
    match arg {
        Expr::Distinct(_) => Ok(true),
        Expr::Call(call) if call.name == "distinct" => function::aggregate(call, 0).map(|_| true),
        _ => Ok(false),
    }
}
