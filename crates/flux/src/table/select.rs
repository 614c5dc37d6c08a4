//! Selectors: which row of many. They skip nulls and give nothing when there is no value.

use std::cmp::Ordering;

use model::{Column, Values};

use super::window::Rows;
use crate::error::{FluxError, Result};

/// Which row to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selector {
    First,
    Last,
    Min,
    Max,
}

impl Selector {
    /// The selector that a function of the language is.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "first" => Self::First,
            "last" => Self::Last,
            "min" => Self::Min,
            "max" => Self::Max,
            _ => return None,
        })
    }

    /// Refuses columns that have no order.
    pub(crate) fn check(self, column: &Column) -> Result<()> {
        let ordered = matches!(
            column.values,
            Values::Float(_) | Values::Integer(_) | Values::Unsigned(_) | Values::Time(_)
        );
        if ordered || matches!(self, Self::First | Self::Last) {
            return Ok(());
        }
        let name = if self == Self::Min { "min" } else { "max" };
        let ty = super::type_name(column.column_type());
        Err(FluxError::invalid(format!("unsupported input type for {name} aggregate: {ty}")))
    }

    /// The row to take; of equal ones the first.
    pub(crate) fn of(self, column: &Column, rows: &Rows) -> Option<usize> {
        let all: Box<dyn DoubleEndedIterator<Item = usize>> = match rows {
            Rows::Range(from, to) => Box::new(*from..*to),
            Rows::Indices(indices) => Box::new(indices.iter().map(|i| *i as usize)),
        };
        let mut valid = all.filter(|at| column.is_valid(*at));
        match self {
            Self::First => valid.next(),
            Self::Last => valid.next_back(),
            Self::Min => valid.reduce(|a, b| if order(column, b, a).is_lt() { b } else { a }),
            Self::Max => valid.reduce(|a, b| if order(column, b, a).is_gt() { b } else { a }),
        }
    }
}

/// Order of two rows of a column; nulls come first, NaN is equal to everything but nulls.
pub(crate) fn order(column: &Column, a: usize, b: usize) -> Ordering {
    match (column.is_valid(a), column.is_valid(b)) {
        (true, true) => {}
        (x, y) => return x.cmp(&y),
    }
    match &column.values {
        Values::Float(v) => v[a].partial_cmp(&v[b]).unwrap_or(Ordering::Equal),
        Values::Integer(v) | Values::Time(v) => v[a].cmp(&v[b]),
        Values::Unsigned(v) => v[a].cmp(&v[b]),
        Values::String(v) => v.get(a).cmp(v.get(b)),
        Values::Boolean(v) => v.get(a).cmp(&v.get(b)),
    }
}
