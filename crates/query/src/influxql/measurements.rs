//! WHERE of SHOW MEASUREMENTS: it asks about measurements, not about series.
//!
//! A comparison holds for a measurement that has the tag: `=` and `=~` when some value passes, `!=` and `!~` when
//! none does. AND and OR join sets of measurements, so `k = '1' AND k = '2'` holds where both values occur.

use influxql::ast::{Binary, Expr, Operator, VarRef};

use crate::error::Error;

/// Whether a condition can be asked at all; the errors are InfluxDB's.
pub(super) fn check(expr: &Expr) -> Result<(), Error> {
    let mut time = false;
    expr.walk(&mut |part| {
        time |= matches!(part, Expr::Var(VarRef { name, .. }) if name.eq_ignore_ascii_case("time"));
    });
    if time {
        return Error::invalid("SHOW MEASUREMENTS doesn't support time in WHERE clause");
    }
    check_part(expr)
}

pub(super) fn check_part(expr: &Expr) -> Result<(), Error> {
    match expr {
        Expr::Paren(inner) => check_part(inner),
        Expr::Binary(binary) => match binary.op {
            Operator::And | Operator::Or => check_part(&binary.lhs).and_then(|()| check_part(&binary.rhs)),
            Operator::Eq | Operator::NotEq | Operator::EqRegex | Operator::NotEqRegex => {
                comparison(binary).map(drop)
            }
            _ => Error::invalid("invalid tag comparison operator"),
        },
        other => Error::invalid(format!("invalid condition expression: {other}")),
    }
}

/// A test of a tag's value.
type Test<'a> = Box<dyn Fn(&str) -> bool + 'a>;

/// A tag and what its values are tested with.
fn comparison(binary: &Binary) -> Result<(&str, Test<'_>), Error> {
    let op = binary.op.text();
    let Expr::Var(VarRef { name, .. }) = &binary.lhs else {
        return Error::invalid(format!("left side of '{op}' must be a tag key"));
    };
    match (binary.op, &binary.rhs) {
        (Operator::Eq | Operator::NotEq, Expr::String(text)) => {
            Ok((name, Box::new(move |value| value == text)))
        }
        (Operator::EqRegex | Operator::NotEqRegex, Expr::Regex(pattern)) => {
            Ok((name, Box::new(move |value| pattern.is_match(value))))
        }
        (Operator::Eq | Operator::NotEq, _) => {
            Error::invalid(format!("right side of '{op}' must be a tag value string"))
        }
        _ => Error::invalid(format!("right side of '{op}' must be a regular expression")),
    }
}

/// Whether a checked condition holds for a measurement; `values` gives the values of one of its tags.
pub(super) fn holds(
    expr: &Expr,
    measurement: &str,
    values: &dyn Fn(&str) -> Result<Vec<String>, Error>,
) -> Result<bool, Error> {
    match expr {
        Expr::Paren(inner) => holds(inner, measurement, values),
        Expr::Binary(binary) if binary.op == Operator::And => {
            Ok(holds(&binary.lhs, measurement, values)? && holds(&binary.rhs, measurement, values)?)
        }
        Expr::Binary(binary) if binary.op == Operator::Or => {
            Ok(holds(&binary.lhs, measurement, values)? || holds(&binary.rhs, measurement, values)?)
        }
        Expr::Binary(binary) => {
            let (tag, test) = comparison(binary)?;
            let wanted = matches!(binary.op, Operator::Eq | Operator::EqRegex);
            if tag == "_name" {
                return Ok(test(measurement) == wanted);
            }
            let values = values(tag)?;
            Ok(!values.is_empty() && values.iter().any(|value| test(value)) == wanted)
        }
        other => Error::invalid(format!("invalid condition expression: {other}")),
    }
}
