//! The functions of InfluxQL: their names, arguments and result types.

use influxql::ast::{Call, Expr};
use model::FieldType;

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
}

impl Transform {
    /// How many windows before the range it needs, so that the first window inside has a result.
    pub(crate) const fn windows_before(self) -> usize {
        match self {
            Self::Derivative { .. } | Self::Difference { .. } | Self::Elapsed(_) => 1,
            Self::MovingAverage(n) => n - 1,
            Self::CumulativeSum => 0,
        }
    }

    pub(crate) const fn result_type(self, input: FieldType) -> FieldType {
        match self {
            Self::Derivative { .. } | Self::MovingAverage(_) => FieldType::Float,
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
    )
}

/// Whether a name is a function of ours that works on all types of fields when it is given a wildcard.
pub(crate) fn wildcard_takes(name: &str, field_type: FieldType) -> bool {
    match field_type {
        FieldType::Float | FieldType::Integer | FieldType::Unsigned => true,
        FieldType::Boolean if matches!(name, "min" | "max") => true,
        _ => matches!(name, "count" | "first" | "last" | "distinct" | "elapsed" | "mode" | "sample"),
    }
}

fn arguments(call: &Call, min: usize, max: usize) -> Result<(), Error> {
    let (name, got) = (&call.name, call.args.len());
    if (min..=max).contains(&got) {
        return Ok(());
    }
    let expected =
        if min == max { min.to_string() } else { format!("at least {min} but no more than {max}") };
    Error::invalid(format!("invalid number of arguments for {name}, expected {expected}, got {got}"))
}

fn positive_count(call: &Call, index: usize, what: &str) -> Result<usize, Error> {
    match call.args.get(index) {
        Some(Expr::Integer(n)) => match usize::try_from(*n) {
            Ok(n) if n > 0 => Ok(n),
            _ => Error::invalid(format!("{what} must be greater than 0, got {n}")),
        },
        _ => Error::invalid(format!("expected integer argument in {}()", call.name)),
    }
}

fn unit(call: &Call, default: i64) -> Result<i64, Error> {
    match call.args.get(1) {
        None => Ok(default),
        Some(Expr::Duration(d)) if *d > 0 => Ok(*d),
        Some(Expr::Duration(d)) => Error::invalid(format!(
            "duration argument must be positive, got {}",
            influxql::duration::format(*d)
        )),
        Some(other) => {
            let kind = match other {
                Expr::Integer(_) => "IntegerLiteral",
                Expr::Number(_) => "NumberLiteral",
                Expr::String(_) => "StringLiteral",
                _ => "VarRef",
            };
            Error::invalid(format!(
                "second argument to {} must be a duration, got *influxql.{kind}",
                call.name
            ))
        }
    }
}

/// Reads an aggregate's name and arguments; `None` when the name is not an aggregate's.
pub(crate) fn aggregate(call: &Call) -> Result<Option<Aggregate>, Error> {
    let simple = |aggregate| arguments(call, 1, 1).map(|()| Some(aggregate));
    match call.name.as_str() {
        "count" => simple(Aggregate::Count),
        "distinct" => simple(Aggregate::Distinct),
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
            Ok(Some(Aggregate::Sample(positive_count(call, 1, "sample window")?)))
        }
        "top" | "bottom" => {
            if call.args.len() < 2 {
                let got = call.args.len();
                let name = &call.name;
                return Error::invalid(format!(
                    "invalid number of arguments for {name}, expected at least 2, got {got}"
                ));
            }
            let last = call.args.len() - 1;
            let n = match call.args.get(last) {
                Some(Expr::Integer(n)) => match usize::try_from(*n) {
                    Ok(n) if n > 0 => n,
                    _ => {
                        return Error::invalid(format!(
                            "limit ({n}) in {} function must be at least 1",
                            call.name
                        ));
                    }
                },
                Some(other) => {
                    return Error::invalid(format!(
                        "expected integer as last argument in {}(), found {other}",
                        call.name
                    ));
                }
                None => return Error::invalid("missing arguments"),
            };
            let tags = call.args.get(1..last).unwrap_or_default().iter().map(|arg| match arg {
                Expr::Var(var) => Ok(var.name.clone()),
                _ => {
                    Error::invalid(format!("only fields or tags are allowed in {}(), found {arg}", call.name))
                }
            });
            let tags = tags.collect::<Result<_, _>>()?;
            Ok(Some(if call.name == "top" { Aggregate::Top(n, tags) } else { Aggregate::Bottom(n, tags) }))
        }
        _ => Ok(None),
    }
}

/// Reads a transformation's arguments. `interval` is that of GROUP BY time (0 without); `of_aggregate` says
/// whether the argument is an aggregate, whose windows are then the default unit of a derivative.
pub(crate) fn transform(call: &Call, interval: i64, of_aggregate: bool) -> Result<Transform, Error> {
    let default_unit = if of_aggregate && interval > 0 { interval } else { model::time::SECOND_NS };
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
                _ => return Error::invalid("second argument for moving_average must be an integer"),
            }
        }
        _ => {
            arguments(call, 1, 2)?;
            Transform::Elapsed(unit(call, 1)?)
        }
    })
}
