//! What stands in rows that were not there.

use arrow::array::AsArray as _;
use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::array::{Float64Array, Int64Array, UInt64Array as Unsigned};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use arrow::error::ArrowError;
use std::ops::Range;
use std::sync::Arc;

/// A way to fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Hash)]
pub(in super::super) enum Fill {
    /// The last value before.
    Locf,
    /// On the line between the values before and after.
    Interpolate,
}

impl Fill {
    pub(super) const ALL: [Self; 2] = [Self::Locf, Self::Interpolate];

    /// The function's name.
    pub(in super::super) const fn name(self) -> &'static str {
        match self {
            Self::Locf => "locf",
            Self::Interpolate => "interpolate",
        }
    }

    /// The way of a function.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fill| fill.name() == name)
    }

    /// Fills the NULLs of a column whose rows are `every` apart, group by group.
    pub(super) fn fill(self, column: &ArrayRef, groups: &[Range<usize>]) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Locf => locf(column, groups),
            Self::Interpolate => interpolate(column, groups),
        }
    }
}

fn locf(column: &ArrayRef, groups: &[Range<usize>]) -> Result<ArrayRef, ArrowError> {
    let nulls = column.logical_nulls();
    let mut from: Vec<Option<u64>> = Vec::with_capacity(column.len());
    for group in groups {
        let mut last = None;
        for row in group.clone() {
            if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                last = Some(row as u64);
            }
            from.push(last);
        }
    }
    take(column, &UInt64Array::from(from), None)
}

/// The line between two rows with values, at the rows between them.
trait Line: Copy {
    fn at(self, end: Self, step: usize, steps: usize) -> Self;
}

impl Line for f64 {
    #[expect(clippy::cast_precision_loss, reason = "there are far fewer windows than 2^52")]
    fn at(self, end: Self, step: usize, steps: usize) -> Self {
        self + (end - self) * (step as Self / steps as Self)
    }
}

impl Line for i64 {
    #[expect(clippy::cast_possible_truncation, reason = "between two numbers of the type")]
    fn at(self, end: Self, step: usize, steps: usize) -> Self {
        let (from, to) = (i128::from(self), i128::from(end));
        (from + (to - from) * step as i128 / steps.max(1) as i128) as Self
    }
}

impl Line for u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between two numbers of the type"
    )]
    fn at(self, end: Self, step: usize, steps: usize) -> Self {
        let (from, to) = (i128::from(self), i128::from(end));
        (from + (to - from) * step as i128 / steps.max(1) as i128) as Self
    }
}

fn lines<T: Line>(values: &mut [Option<T>], groups: &[Range<usize>]) {
    for group in groups {
        let mut before: Option<(usize, T)> = None;
        for row in group.clone() {
            let Some(value) = values.get(row).copied().flatten() else { continue };
            if let Some((start, from)) = before {
                for (step, between) in (1..).zip(&mut values[start + 1..row]) {
                    *between = Some(from.at(value, step, row - start));
                }
            }
            before = Some((row, value));
        }
    }
}

fn interpolate(column: &ArrayRef, groups: &[Range<usize>]) -> Result<ArrayRef, ArrowError> {
    let wanted = column.data_type();
    let filled: ArrayRef = if wanted.is_signed_integer() {
        let mut values: Vec<Option<i64>> =
            cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().iter().collect();
        lines(&mut values, groups);
        Arc::new(Int64Array::from(values))
    } else if wanted.is_unsigned_integer() {
        let mut values: Vec<Option<u64>> =
            cast(column, &DataType::UInt64)?.as_primitive::<UInt64Type>().iter().collect();
        lines(&mut values, groups);
        Arc::new(Unsigned::from(values))
    } else {
        let mut values: Vec<Option<f64>> =
            cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().iter().collect();
        lines(&mut values, groups);
        Arc::new(Float64Array::from(values))
    };
    cast(&filled, wanted)
}
