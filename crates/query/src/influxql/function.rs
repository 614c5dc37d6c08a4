//! The functions of InfluxQL: their names, arguments and result types.

use influxql::ast::{Call, Expr};
use model::FieldType;

use super::holt_winters::HoltWinters;
use super::plan::strip;
use super::technical::{Indicator, Kind};
use crate::error::Error;

/// A function that turns the points of a window into one value or some points.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Aggregate {
    Count,
    CountDistinct,
    Distinct,
    /// The unit, nanoseconds.
    Integral(i64),
    Mean,
    Median,
    Mode,
    Spread,
    Stddev,
    Sum,
    First,
    Last,
    Max,
    Min,
    Percentile(f64),
    /// How many, and the tags that each keep one point.
    Top(usize, Vec<String>),
    Bottom(usize, Vec<String>),
    Sample(usize),
}

impl Aggregate {
    /// Its name in InfluxQL.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Count | Self::CountDistinct => "count",
            Self::Distinct => "distinct",
            Self::Integral(_) => "integral",
            Self::Mean => "mean",
            Self::Median => "median",
            Self::Mode => "mode",
            Self::Spread => "spread",
            Self::Stddev => "stddev",
            Self::Sum => "sum",
            Self::First => "first",
            Self::Last => "last",
            Self::Max => "max",
            Self::Min => "min",
            Self::Percentile(_) => "percentile",
            Self::Top(..) => "top",
            Self::Bottom(..) => "bottom",
            Self::Sample(_) => "sample",
        }
    }

    /// Whether it picks points rather than computing from them.
    pub(crate) const fn is_selector(&self) -> bool {
        matches!(
            self,
            Self::First
                | Self::Last
                | Self::Max
                | Self::Min
                | Self::Percentile(_)
                | Self::Top(..)
                | Self::Bottom(..)
                | Self::Sample(_)
        )
    }

    /// Whether it may answer several points of a window, each with a time of its own.
    pub(crate) const fn keeps_times(&self) -> bool {
        matches!(self, Self::Top(..) | Self::Bottom(..) | Self::Sample(_))
    }

    /// Whether its values have the type of its field, whatever that is.
    pub(crate) const fn keeps_type(&self) -> bool {
        !matches!(
            self,
            Self::Count | Self::CountDistinct | Self::Integral(_) | Self::Mean | Self::Median | Self::Stddev
        )
    }

    /// Whether fill applies to it.
    pub(crate) const fn fills(&self) -> bool {
        !self.keeps_times() && !matches!(self, Self::Distinct | Self::Integral(_))
    }

    /// The type of its values for a field type; `None` when it does not take that type.
    pub(crate) fn result_type(&self, input: FieldType) -> Option<FieldType> {
        let numeric = !matches!(input, FieldType::String | FieldType::Boolean);
        match self {
            Self::Count | Self::CountDistinct => Some(FieldType::Integer),
            Self::Distinct | Self::Mode | Self::First | Self::Last | Self::Sample(_) => Some(input),
            Self::Max | Self::Min => (input != FieldType::String).then_some(input),
            Self::Integral(_) | Self::Mean | Self::Median | Self::Stddev => {
                numeric.then_some(FieldType::Float)
            }
            Self::Spread | Self::Sum | Self::Percentile(_) | Self::Top(..) | Self::Bottom(..) => {
                numeric.then_some(input)
            }
        }
    }
}

/// A function from points to points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Transform {
    Derivative { unit: i64, non_negative: bool },
    Difference { non_negative: bool },
    CumulativeSum,
    MovingAverage(usize),
    Elapsed(i64),
    Technical(Indicator),
    HoltWinters(HoltWinters),
}

impl Transform {
    /// How many windows it reads beside the range, on the side that comes first in the order of the answer. As in
    /// InfluxDB an average of n windows reads one too, not n - 1.
    pub(crate) const fn windows_beside(self) -> usize {
        match self {
            Self::Derivative { .. }
            | Self::Difference { .. }
            | Self::Elapsed(_)
            | Self::MovingAverage(_)
            | Self::Technical(_) => 1,
            Self::CumulativeSum | Self::HoltWinters(_) => 0,
        }
    }

    /// Whether its values have the type of its points.
    pub(crate) const fn keeps_type(self) -> bool {
        matches!(self, Self::Difference { .. } | Self::CumulativeSum)
    }

    pub(crate) const fn result_type(self, input: FieldType) -> FieldType {
        match self {
            Self::Derivative { .. } | Self::MovingAverage(_) | Self::Technical(_) | Self::HoltWinters(_) => {
                FieldType::Float
            }
            Self::Elapsed(_) => FieldType::Integer,
            Self::Difference { .. } | Self::CumulativeSum => input,
        }
    }
}

/// Whether a name is a transformation.
pub(crate) fn is_transform(name: &str) -> bool {
    matches!(
        name,
        "derivative"
            | "non_negative_derivative"
            | "difference"
            | "non_negative_difference"
            | "cumulative_sum"
            | "moving_average"
            | "elapsed"
            | "holt_winters"
            | "holt_winters_with_fit"
    ) || Kind::of(name).is_some()
}

/// Whether a name is a function of ours that works on all types of fields when it is given a wildcard.
pub(crate) fn wildcard_takes(name: &str, field_type: FieldType) -> bool {
    match field_type {
        FieldType::Float | FieldType::Integer | FieldType::Unsigned => true,
        FieldType::Boolean if matches!(name, "min" | "max") => true,
        _ => matches!(name, "count" | "first" | "last" | "distinct" | "elapsed" | "mode" | "sample"),
    }
}

/// Checks the number of a call's arguments.
pub(crate) fn arguments(call: &Call, min: usize, max: usize) -> Result<(), Error> {
    let (name, got) = (&call.name, call.args.len());
    if (min..=max).contains(&got) {
        return Ok(());
    }
    let expected =
        if min == max { min.to_string() } else { format!("at least {min} but no more than {max}") };
    Error::invalid(format!("invalid number of arguments for {name}, expected {expected}, got {got}"))
}

fn unit(call: &Call, default: i64) -> Result<i64, Error> {
    match call.args.get(1) {
        None => Ok(default),
        Some(Expr::Duration(d)) if *d > 0 => Ok(*d),
        Some(Expr::Duration(d)) => Error::invalid(format!(
            "duration argument must be positive, got {}",
            influxql::duration::format(*d)
        )),
        Some(_) if call.name == "integral" => Error::invalid("second argument must be a duration"),
        Some(other) => Error::invalid(format!(
            "second argument to {} must be a duration, got *influxql.{}",
            call.name,
            kind_of(other)
        )),
    }
}

/// What InfluxDB calls a kind of expression.
const fn kind_of(expr: &Expr) -> &'static str {
    match expr {
        Expr::Var(_) => "VarRef",
        Expr::Wildcard(_) => "Wildcard",
        Expr::Call(_) => "Call",
        Expr::Binary(_) => "BinaryExpr",
        Expr::Paren(_) => "ParenExpr",
        Expr::Distinct(_) => "Distinct",
        Expr::String(_) => "StringLiteral",
        Expr::Number(_) => "NumberLiteral",
        Expr::Integer(_) => "IntegerLiteral",
        Expr::Unsigned(_) => "UnsignedLiteral",
        Expr::Boolean(_) => "BooleanLiteral",
        Expr::Duration(_) => "DurationLiteral",
        Expr::Regex(_) => "RegexLiteral",
    }
}

/// Reads an aggregate's name and arguments; `None` when the name is not an aggregate's. `limit` is the LIMIT of the
/// statement, 0 without.
pub(crate) fn aggregate(call: &Call, limit: u64) -> Result<Option<Aggregate>, Error> {
    let simple = |aggregate| arguments(call, 1, 1).map(|()| Some(aggregate));
    match call.name.as_str() {
        "count" => simple(Aggregate::Count),
        "distinct" => match call.args.as_slice() {
            [] => Error::invalid("distinct function requires at least one argument"),
            [arg] if matches!(strip(arg), Expr::Var(_)) => Ok(Some(Aggregate::Distinct)),
            [_] => Error::invalid("expected field argument in distinct()"),
            _ => Error::invalid("distinct function can only have one argument"),
        },
        "mean" => simple(Aggregate::Mean),
        "median" => simple(Aggregate::Median),
        "mode" => simple(Aggregate::Mode),
        "spread" => simple(Aggregate::Spread),
        "stddev" => simple(Aggregate::Stddev),
        "sum" => simple(Aggregate::Sum),
        "first" => simple(Aggregate::First),
        "last" => simple(Aggregate::Last),
        "max" => simple(Aggregate::Max),
        "min" => simple(Aggregate::Min),
        "integral" => {
            arguments(call, 1, 2)?;
            Ok(Some(Aggregate::Integral(unit(call, model::time::SECOND_NS)?)))
        }
        "percentile" => {
            arguments(call, 2, 2)?;
            #[expect(clippy::cast_precision_loss, reason = "percentiles are small numbers")]
            match call.args.get(1) {
                Some(Expr::Integer(p)) => Ok(Some(Aggregate::Percentile(*p as f64))),
                Some(Expr::Number(p)) => Ok(Some(Aggregate::Percentile(*p))),
                _ => Error::invalid("expected float argument in percentile()"),
            }
        }
        "sample" => {
            arguments(call, 2, 2)?;
            match call.args.get(1) {
                Some(Expr::Integer(n)) => match usize::try_from(*n) {
                    Ok(n) if n > 0 => Ok(Some(Aggregate::Sample(n))),
                    // InfluxDB's words, though 1 is taken.
                    _ => Error::invalid(format!("sample window must be greater than 1, got {n}")),
                },
                _ => Error::invalid("expected integer argument in sample()"),
            }
        }
        "top" | "bottom" => ranking(call, limit).map(Some),
        _ => Ok(None),
    }
}

/// Reads `top(field, tags.., n)` and `bottom`.
fn ranking(call: &Call, limit: u64) -> Result<Aggregate, Error> {
    let name = &call.name;
    let [first, tags @ .., last] = call.args.as_slice() else {
        let got = call.args.len();
        return Error::invalid(format!(
            "invalid number of arguments for {name}, expected at least 2, got {got}"
        ));
    };
    let n = match last {
        Expr::Integer(n) => match usize::try_from(*n) {
            Ok(n) if n > 0 => n,
            _ => return Error::invalid(format!("limit ({n}) in {name} function must be at least 1")),
        },
        other => {
            return Error::invalid(format!("expected integer as last argument in {name}(), found {other}"));
        }
    };
    if limit > 0 && n as u64 > limit {
        return Error::invalid(format!(
            "limit ({n}) in {name} function can not be larger than the LIMIT ({limit}) in the select statement"
        ));
    }
    if !matches!(strip(first), Expr::Var(_)) {
        return Error::invalid(format!("expected first argument to be a field in {name}(), found {first}"));
    }
    let tags = tags.iter().map(|arg| match arg {
        Expr::Var(var) => Ok(var.name.clone()),
        _ => Error::invalid(format!("only fields or tags are allowed in {name}(), found {arg}")),
    });
    let tags = tags.collect::<Result<_, _>>()?;
    Ok(if name == "top" { Aggregate::Top(n, tags) } else { Aggregate::Bottom(n, tags) })
}

/// Reads a transformation's arguments. `interval` is that of GROUP BY time (0 without), the default
/// unit of a derivative.
pub(crate) fn transform(call: &Call, interval: i64) -> Result<Transform, Error> {
    if let Some(kind) = Kind::of(&call.name) {
        return Indicator::read(kind, call).map(Transform::Technical);
    }
    if let Some(forecast) = HoltWinters::read(call, interval)? {
        return Ok(Transform::HoltWinters(forecast));
    }
    let default_unit = if interval > 0 { interval } else { model::time::SECOND_NS };
    Ok(match call.name.as_str() {
        name @ ("derivative" | "non_negative_derivative") => {
            arguments(call, 1, 2)?;
            let non_negative = name != "derivative";
            Transform::Derivative { unit: unit(call, default_unit)?, non_negative }
        }
        name @ ("difference" | "non_negative_difference") => {
            arguments(call, 1, 1)?;
            Transform::Difference { non_negative: name != "difference" }
        }
        "cumulative_sum" => {
            arguments(call, 1, 1)?;
            Transform::CumulativeSum
        }
        "moving_average" => {
            arguments(call, 2, 2)?;
            match call.args.get(1) {
                Some(Expr::Integer(n)) if *n <= 1 => {
                    return Error::invalid(format!("moving_average window must be greater than 1, got {n}"));
                }
                Some(Expr::Integer(n)) if *n > 1_000_000 => {
                    return Err(Error::limit("moving-average-window", "1000000".to_owned()));
                }
                Some(Expr::Integer(n)) => {
                    Transform::MovingAverage(usize::try_from(*n).expect("between 2 and a million"))
                }
                other => {
                    let kind = other.map_or("nil", kind_of);
                    return Error::invalid(format!(
                        "second argument for moving_average must be an integer, got *influxql.{kind}"
                    ));
                }
            }
        }
        _ => {
            arguments(call, 1, 2)?;
            Transform::Elapsed(unit(call, 1)?)
        }
    })
}
