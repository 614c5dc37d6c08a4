//! WHERE: bounds of time, a predicate for the scan, and what must be tested row by row.

use influxql::ast::{Binary, Call, Expr, Operator, RefKind, VarRef};
use influxql::timeliteral;
use jiff::tz::TimeZone;
use model::{FieldValue, Predicate, Subject, Test, Timestamp};

use super::expr::{Node, Var, VarKind};
use super::plan::strip;
use crate::error::Error;

/// Inclusive bounds of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) min: i64,
    pub(crate) max: i64,
}

impl Bounds {
    pub(crate) const ALL: Self = Self { min: Timestamp::MIN.0, max: Timestamp::MAX.0 };

    #[must_use]
    pub(crate) fn intersect(self, other: Self) -> Self {
        Self { min: self.min.max(other.min), max: self.max.min(other.max) }
    }

    pub(crate) const fn has_min(self) -> bool {
        self.min > Timestamp::MIN.0
    }

    pub(crate) const fn has_max(self) -> bool {
        self.max < Timestamp::MAX.0
    }

    /// Wider by some windows, on the side that comes first in the order of the answer.
    #[must_use]
    pub(crate) fn with_windows_beside(self, windows: usize, every: i64, ascending: bool) -> Self {
        let more = i64::try_from(windows).unwrap_or(i64::MAX).saturating_mul(every);
        match ascending {
            true => Self { min: self.min.saturating_sub(more).max(Timestamp::MIN.0), ..self },
            false => Self { max: self.max.saturating_add(more).min(Timestamp::MAX.0), ..self },
        }
    }
}

/// What expressions over time need to know.
#[derive(Debug, Clone)]
pub(crate) struct TimeContext {
    pub(crate) now: Timestamp,
    pub(crate) zone: Option<TimeZone>,
}

/// Splits a condition into its time bounds (which always intersect, as in InfluxDB) and the rest.
pub(crate) fn split_time(expr: &Expr, time: &TimeContext) -> Result<(Option<Expr>, Bounds), Error> {
    match expr {
        Expr::Paren(inner) => {
            let (rest, bounds) = split_time(inner, time)?;
            Ok((rest.map(|r| Expr::Paren(Box::new(r))), bounds))
        }
        Expr::Binary(binary) if matches!(binary.op, Operator::And | Operator::Or) => {
            let (lhs, left) = split_time(&binary.lhs, time)?;
            let (rhs, right) = split_time(&binary.rhs, time)?;
            let rest = match (lhs, rhs) {
                (Some(lhs), Some(rhs)) => Some(Expr::Binary(Box::new(Binary { op: binary.op, lhs, rhs }))),
                (one, other) => one.or(other),
            };
            Ok((rest, left.intersect(right)))
        }
        Expr::Binary(binary) if is_time(&binary.lhs) => {
            Ok((None, time_bounds(binary.op, &binary.rhs, time)?))
        }
        Expr::Binary(binary) if is_time(&binary.rhs) => {
            let flipped = match binary.op {
                Operator::Less => Operator::Greater,
                Operator::LessEq => Operator::GreaterEq,
                Operator::Greater => Operator::Less,
                Operator::GreaterEq => Operator::LessEq,
                op => op,
            };
            Ok((None, time_bounds(flipped, &binary.lhs, time)?))
        }
        Expr::Binary(_) | Expr::Boolean(_) => Ok((Some(expr.clone()), Bounds::ALL)),
        _ => Error::invalid(format!("invalid condition expression: {expr}")),
    }
}

fn is_time(expr: &Expr) -> bool {
    match expr {
        Expr::Var(VarRef { name, .. }) => name.eq_ignore_ascii_case("time"),
        Expr::Paren(inner) => is_time(inner),
        _ => false,
    }
}

fn time_bounds(op: Operator, expr: &Expr, context: &TimeContext) -> Result<Bounds, Error> {
    let t = time_value(expr, context)?;
    let all = Bounds::ALL;
    Ok(match op {
        Operator::Eq => Bounds { min: t, max: t },
        Operator::Greater => Bounds { min: t.saturating_add(1), ..all },
        Operator::GreaterEq => Bounds { min: t, ..all },
        Operator::Less => Bounds { max: t.saturating_sub(1), ..all },
        Operator::LessEq => Bounds { max: t, ..all },
        op => return Error::invalid(format!("invalid time comparison operator: {}", op.text())),
    })
}

/// A time, or an amount of time, while an expression is reduced.
enum TimeValue {
    Instant(i64),
    Amount(i64),
}

#[expect(clippy::cast_possible_truncation, reason = "InfluxQL cuts fractions of nanoseconds")]
fn reduce(expr: &Expr, context: &TimeContext) -> Result<TimeValue, Error> {
    match expr {
        Expr::Paren(inner) => reduce(inner, context),
        Expr::Integer(n) | Expr::Duration(n) => Ok(TimeValue::Amount(*n)),
        Expr::Number(n) => Ok(TimeValue::Amount(*n as i64)),
        Expr::Call(Call { name, args }) if name == "now" && args.is_empty() => {
            Ok(TimeValue::Instant(context.now.0))
        }
        Expr::String(text) => match timeliteral::parse(text, context.zone.as_ref()) {
            Some(time) => Ok(TimeValue::Instant(time.0)),
            None if timeliteral::looks_like_time(text) => match timeliteral::out_of_range(text) {
                Some((time, side)) => Error::invalid(format!("time {time} {side}s time literal")),
                None => Error::invalid("invalid timestamp string"),
            },
            None => Error::invalid("invalid operation: time and *influxql.StringLiteral are not compatible"),
        },
        Expr::Binary(binary) => {
            let side = |expr: &Expr| {
                reduce(expr, context).map_err(|error| match expr {
                    Expr::Var(_) => no_time("BinaryExpr"),
                    Expr::String(text) if !timeliteral::looks_like_time(text) => no_time("BinaryExpr"),
                    _ => error,
                })
            };
            combine(binary.op, side(&binary.lhs)?, side(&binary.rhs)?)
        }
        other => {
            let kind = match other {
                Expr::Var(_) => "VarRef",
                Expr::Call(_) => "Call",
                Expr::Boolean(_) => "BooleanLiteral",
                Expr::Regex(_) => "RegexLiteral",
                Expr::Unsigned(_) => "UnsignedLiteral",
                _ => "Wildcard",
            };
            Err(no_time(kind))
        }
    }
}

fn no_time(kind: &str) -> Error {
    Error::Invalid(format!("invalid operation: time and *influxql.{kind} are not compatible"))
}

fn combine(op: Operator, lhs: TimeValue, rhs: TimeValue) -> Result<TimeValue, Error> {
    use TimeValue::{Amount, Instant};
    Ok(match (op, lhs, rhs) {
        (Operator::Add, Instant(a), Amount(b)) | (Operator::Add, Amount(a), Instant(b)) => {
            Instant(a.saturating_add(b))
        }
        (Operator::Sub, Instant(a), Amount(b)) => Instant(a.saturating_sub(b)),
        (Operator::Sub, Instant(a), Instant(b)) => Amount(a.saturating_sub(b)),
        (Operator::Add, Amount(a), Amount(b)) => Amount(a.saturating_add(b)),
        (Operator::Sub, Amount(a), Amount(b)) => Amount(a.saturating_sub(b)),
        (Operator::Mul, Amount(a), Amount(b)) => Amount(a.saturating_mul(b)),
        (Operator::Div, Amount(a), Amount(b)) if b != 0 => Amount(a / b),
        (Operator::Mod, Amount(a), Amount(b)) if b != 0 => Amount(a.wrapping_rem(b)),
        _ => return Error::invalid("invalid operation: time and *influxql.BinaryExpr are not compatible"),
    })
}

fn time_value(expr: &Expr, context: &TimeContext) -> Result<i64, Error> {
    let (TimeValue::Instant(t) | TimeValue::Amount(t)) = reduce(expr, context)?;
    if (Timestamp::MIN.0..=Timestamp::MAX.0).contains(&t) {
        Ok(t)
    } else {
        Error::invalid(format!("time {} overflows time literal", Timestamp(t).to_rfc3339()))
    }
}

/// A condition without time, ready for a scan and for rows.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    /// What the scan may decide by series alone.
    pub(crate) predicate: Predicate,
    /// What is left for each row, over `vars`.
    pub(crate) rows: Option<Node>,
    /// The variables of `rows`.
    pub(crate) vars: Vec<Var>,
}

/// Compiles a condition. `kind` says what a name is; a scan can look at conditions on what is `stored_only`.
pub(crate) fn compile(
    expr: Option<&Expr>,
    kind: &dyn Fn(&VarRef) -> VarKind,
    stored_only: bool,
) -> Result<Filter, Error> {
    let mut filter = Filter { predicate: Predicate::TRUE, rows: None, vars: Vec::new() };
    let mut conjuncts = Vec::new();
    if let Some(expr) = expr {
        collect_conjuncts(expr, &mut conjuncts);
    }
    for conjunct in conjuncts {
        let predicate = if stored_only { tag_predicate(conjunct, kind) } else { None };
        match predicate {
            Some(predicate) => filter.predicate = filter.predicate.and(predicate),
            None => {
                let node = row_node(conjunct, &Names { kind, stored_only }, &mut filter.vars)?;
                filter.rows = Some(match filter.rows.take() {
                    None => node,
                    Some(rows) => Node::Binary(Operator::And, Box::new(rows), Box::new(node)),
                });
            }
        }
    }
    Ok(filter)
}

fn collect_conjuncts<'a>(expr: &'a Expr, out: &mut Vec<&'a Expr>) {
    match expr {
        Expr::Paren(inner) => collect_conjuncts(inner, out),
        Expr::Binary(binary) if binary.op == Operator::And => {
            collect_conjuncts(&binary.lhs, out);
            collect_conjuncts(&binary.rhs, out);
        }
        other => out.push(other),
    }
}

/// The condition as a predicate on tags alone; `None` when it is more than that.
pub(crate) fn tag_predicate(expr: &Expr, kind: &dyn Fn(&VarRef) -> VarKind) -> Option<Predicate> {
    let binary = match expr {
        Expr::Paren(inner) => return tag_predicate(inner, kind),
        Expr::Boolean(b) => return Some(Predicate::Constant(*b)),
        Expr::Binary(binary) => binary,
        _ => return None,
    };
    if matches!(binary.op, Operator::And | Operator::Or) {
        let parts = vec![tag_predicate(&binary.lhs, kind)?, tag_predicate(&binary.rhs, kind)?];
        return Some(if binary.op == Operator::And { Predicate::And(parts) } else { Predicate::Or(parts) });
    }
    let (var, literal) = match (strip(&binary.lhs), strip(&binary.rhs)) {
        (Expr::Var(var), literal) | (literal, Expr::Var(var)) => (var, literal),
        _ => return None,
    };
    let test = match (binary.op, literal) {
        (Operator::Eq, Expr::String(text)) => Test::Eq(text.clone()),
        (Operator::NotEq, Expr::String(text)) => Test::NotEq(text.clone()),
        (Operator::EqRegex, Expr::Regex(pattern)) => Test::Matches(pattern.regex().clone()),
        (Operator::NotEqRegex, Expr::Regex(pattern)) => Test::NotMatches(pattern.regex().clone()),
        _ => return None,
    };
    let subject = match kind(var) {
        VarKind::Tag if var.name == "_name" && var.kind != Some(RefKind::Tag) => Subject::Measurement,
        VarKind::Tag => Subject::Tag(var.name.clone()),
        VarKind::Field(_) | VarKind::NoTag | VarKind::Nothing | VarKind::Filler(_) => return None,
    };
    Some(Predicate::Compare(subject, test))
}

/// What names in a condition are.
struct Names<'a> {
    kind: &'a dyn Fn(&VarRef) -> VarKind,
    stored_only: bool,
}

fn row_var(var: &VarRef, absent_is_empty: bool, names: &Names<'_>, vars: &mut Vec<Var>) -> Node {
    let var = Var { name: var.name.as_str().into(), kind: (names.kind)(var), absent_is_empty };
    Node::Slot(vars.iter().position(|v| *v == var).unwrap_or_else(|| {
        vars.push(var);
        vars.len() - 1
    }))
}

fn row_node(expr: &Expr, names: &Names<'_>, vars: &mut Vec<Var>) -> Result<Node, Error> {
    Ok(match expr {
        Expr::Paren(inner) => row_node(inner, names, vars)?,
        Expr::Var(var) => row_var(var, true, names, vars),
        Expr::Binary(binary) => {
            if let (Expr::Var(lhs), Expr::Var(rhs)) = (strip(&binary.lhs), strip(&binary.rhs)) {
                // A tag that a stored series does not have is empty beside a text; beside another name it is nothing, that
                // is equal to none, though not equal to any other tag.
                let tags = [lhs, rhs].iter().all(|var| (names.kind)(var) == VarKind::Tag);
                let absent_is_empty = !names.stored_only || (tags && binary.op == Operator::NotEq);
                let lhs = row_var(lhs, absent_is_empty, names, vars);
                let rhs = row_var(rhs, absent_is_empty, names, vars);
                return Ok(Node::Binary(binary.op, Box::new(lhs), Box::new(rhs)));
            }
            let lhs = Box::new(row_node(&binary.lhs, names, vars)?);
            match (&binary.op, &binary.rhs) {
                (Operator::EqRegex, Expr::Regex(pattern)) => {
                    Node::Matches(lhs, pattern.regex().clone(), true)
                }
                (Operator::NotEqRegex, Expr::Regex(pattern)) => {
                    Node::Matches(lhs, pattern.regex().clone(), false)
                }
                (op, rhs) => Node::Binary(*op, lhs, Box::new(row_node(rhs, names, vars)?)),
            }
        }
        Expr::Call(call) if super::value::math_arity(&call.name) == Some(call.args.len()) => {
            let args = call.args.iter().map(|arg| row_node(arg, names, vars)).collect::<Result<_, _>>()?;
            Node::Math(call.name.as_str().into(), args)
        }
        Expr::Call(call) => return Error::invalid(format!("invalid function call in condition: {call}")),
        Expr::String(text) => Node::Const(FieldValue::String(text.clone())),
        Expr::Number(n) => Node::Const(FieldValue::Float(*n)),
        Expr::Integer(n) | Expr::Duration(n) => Node::Const(FieldValue::Integer(*n)),
        Expr::Unsigned(n) => Node::Const(FieldValue::Unsigned(*n)),
        Expr::Boolean(b) => Node::Const(FieldValue::Boolean(*b)),
        Expr::Regex(_) | Expr::Wildcard(_) | Expr::Distinct(_) => {
            return Error::invalid(format!("invalid expression type in condition: {expr}"));
        }
    })
}
