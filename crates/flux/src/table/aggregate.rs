//! Aggregates: many values of a column to one. Nulls do not count, except for `count`.

use std::rc::Rc;

use model::{Column, ColumnType, FieldType, FieldValue, Values};

use super::type_name;
use super::window::Rows;
use crate::error::{FluxError, Result};
use crate::value::convert::{int_to_float, uint_to_float};

/// What to compute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Aggregate {
    Count,
    Sum,
    Mean,
    Spread,
    /// Divided by n - 1, or by n.
    Stddev {
        sample: bool,
    },
    /// Interpolated between the two nearest values.
    Quantile(f64),
    Skew,
}

impl Aggregate {
    /// The aggregate that a function of the language is with its default arguments.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "count" => Self::Count,
            "sum" => Self::Sum,
            "mean" => Self::Mean,
            "spread" => Self::Spread,
            "stddev" => Self::Stddev { sample: true },
            "median" => Self::Quantile(0.5),
            "skew" => Self::Skew,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Spread => "spread",
            Self::Stddev { .. } => "stddev",
            Self::Quantile(_) => "quantile",
            Self::Skew => "skew",
        }
    }

    /// The type of the result over a column of a type.
    pub(crate) fn result_type(self, input: ColumnType) -> Result<ColumnType> {
        if self == Self::Count {
            return Ok(ColumnType::Field(FieldType::Integer));
        }
        match input {
            ColumnType::Field(FieldType::Float | FieldType::Integer | FieldType::Unsigned) => {
                Ok(match self {
                    Self::Sum | Self::Spread => input,
                    _ => ColumnType::Field(FieldType::Float),
                })
            }
            other => Err(FluxError::invalid(format!(
                "unsupported input type for {} aggregate: {}",
                self.name(),
                type_name(other)
            ))),
        }
    }

    /// The aggregate of some rows; `None` is null. The column's type must have a [`Self::result_type`].
    pub(crate) fn of(self, column: &Column, rows: &Rows) -> Option<FieldValue> {
        if self == Self::Count {
            let count = match rows {
                Rows::Range(from, to) => to - from,
                Rows::Indices(indices) => indices.len(),
            };
            return Some(FieldValue::Integer(i64::try_from(count).unwrap_or(i64::MAX)));
        }
        match &column.values {
            Values::Float(v) => self.of_floats(column, v, rows),
            Values::Integer(v) => {
                self.of_numbers(column, v, rows, int_to_float, FieldValue::Integer, |a, b| {
                    (a.wrapping_add(b), a.wrapping_sub(b))
                })
            }
            Values::Unsigned(v) => {
                self.of_numbers(column, v, rows, uint_to_float, FieldValue::Unsigned, |a, b| {
                    (a.wrapping_add(b), a.wrapping_sub(b))
                })
            }
            _ => None,
        }
    }

    fn of_floats(self, column: &Column, values: &[f64], rows: &Rows) -> Option<FieldValue> {
        let result = match self {
            Self::Spread => {
                let range = fold(column, values, rows, None, |acc: Option<(f64, f64)>, v| {
                    Some(acc.map_or((v, v), |(low, high)| (low.min(v), high.max(v))))
                });
                range.map(|(low, high)| high - low)
            }
            _ => self.statistic(column, values, rows, |v| v),
        };
        result.map(FieldValue::Float)
    }

    fn of_numbers<T: Copy + Ord + Default>(
        self,
        column: &Column,
        values: &[T],
        rows: &Rows,
        float: fn(T) -> f64,
        wrap: fn(T) -> FieldValue,
        add_subtract: fn(T, T) -> (T, T),
    ) -> Option<FieldValue> {
        match self {
            Self::Sum => fold(column, values, rows, None, |acc: Option<T>, v| {
                Some(add_subtract(acc.unwrap_or_default(), v).0)
            })
            .map(wrap),
            Self::Spread => {
                let range = fold(column, values, rows, None, |acc: Option<(T, T)>, v| {
                    Some(acc.map_or((v, v), |(low, high)| (low.min(v), high.max(v))))
                });
                range.map(|(low, high)| wrap(add_subtract(high, low).1))
            }
            _ => self.statistic(column, values, rows, float).map(FieldValue::Float),
        }
    }

    /// What is computed on floats whatever the type. `None` when there are no values.
    fn statistic<T: Copy>(
        self,
        column: &Column,
        values: &[T],
        rows: &Rows,
        float: impl Fn(T) -> f64,
    ) -> Option<f64> {
        let (sum, count) = fold(column, values, rows, (0.0, 0_u64), |(s, n), v| (s + float(v), n + 1));
        if count == 0 {
            return None;
        }
        let n = uint_to_float(count);
        let mean = sum / n;
        let moment =
            |power: i32| fold(column, values, rows, 0.0, |acc, v| acc + (float(v) - mean).powi(power));
        Some(match self {
            Self::Sum => sum,
            Self::Mean => mean,
            Self::Stddev { sample } => {
                let divisor = if sample { n - 1.0 } else { n };
                (moment(2) / divisor).sqrt()
            }
            Self::Skew => (moment(3) / n) / (moment(2) / n).powf(1.5),
            Self::Quantile(q) => {
                let mut sorted = fold(column, values, rows, Vec::new(), |mut all, v| {
                    all.push(float(v));
                    all
                });
                sorted.sort_by(f64::total_cmp);
                quantile(&sorted, q)
            }
            Self::Count | Self::Spread => return None,
        })
    }
}

/// The value below which a share `q` of sorted values lies, interpolated.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank between 0 and the length"
)]
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = q.clamp(0.0, 1.0) * uint_to_float(sorted.len() as u64 - 1);
    let (low, high) = (rank.floor(), rank.ceil());
    let (Some(a), Some(b)) = (sorted.get(low as usize), sorted.get(high as usize)) else { return f64::NAN };
    if low >= high { *a } else { a + (b - a) * (rank - low) }
}

/// Folds the values of some rows that are not null.
fn fold<T: Copy, A>(column: &Column, values: &[T], rows: &Rows, start: A, mut f: impl FnMut(A, T) -> A) -> A {
    let mut acc = start;
    match (rows, &column.valid) {
        (Rows::Range(from, to), None) => {
            for value in &values[*from..*to] {
                acc = f(acc, *value);
            }
        }
        (Rows::Range(from, to), Some(valid)) => {
            for (at, value) in values.iter().enumerate().take(*to).skip(*from) {
                if valid.get(at) {
                    acc = f(acc, *value);
                }
            }
        }
        (Rows::Indices(indices), _) => {
            for at in indices.iter().map(|i| *i as usize) {
                if column.is_valid(at) {
                    acc = f(acc, values[at]);
                }
            }
        }
    }
    acc
}

/// All rows.
pub(crate) fn all(rows: usize) -> Rows {
    Rows::Range(0, rows)
}

/// Collects results into a column of a type.
pub(crate) fn column(
    column_type: ColumnType,
    values: impl Iterator<Item = Option<FieldValue>>,
) -> Rc<Column> {
    let mut column = Column::empty(column_type);
    for value in values {
        match value {
            Some(value) => column.push(&value),
            None => column.push_null(),
        }
    }
    Rc::new(column)
}
