//! Aggregates of plain scans that the source answers by summaries, without handing out rows.
//!
//! A summary comes as tables that look like those of the scan, with one row per window that holds a value: `_value` is
//! the aggregate, `_time` lies in the window, or is the time of the value that a selector took from the whole range. So
//! what is done with windows after that is the same for both.

use model::summary::{Point, Sums, Windows};
use model::{Cells, Column, ColumnType, FieldValue, Grouping, SummaryRequest, Wanted};

use super::aggregate::{Aggregate, column};
use super::scan::{From, series_table};
use super::select::Selector;
use super::stream::Tables;
use crate::error::{FluxError, Result};
use crate::interpret::Context;
use crate::value::convert::uint_to_float;

/// Most windows of a summary; the source's own limits come before.
const CELLS_MAX: usize = 1 << 28;

/// What is computed of each window.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Function {
    Aggregate(Aggregate),
    Selector(Selector),
}

impl Function {
    fn wanted(self) -> Option<Wanted> {
        let none = Wanted::default();
        Some(match self {
            Self::Aggregate(Aggregate::Count) => Wanted { count: true, ..none },
            Self::Aggregate(Aggregate::Sum) => Wanted { sum: true, ..none },
            Self::Aggregate(Aggregate::Mean) => Wanted { count: true, sum: true, ..none },
            Self::Selector(Selector::First) => Wanted { first: true, ..none },
            Self::Selector(Selector::Last) => Wanted { last: true, ..none },
            Self::Selector(Selector::Min) => Wanted { min: true, ..none },
            Self::Selector(Selector::Max) => Wanted { max: true, ..none },
            Self::Aggregate(_) => return None,
        })
    }

    /// The type of the result, or the error that the values' type is not taken.
    fn result_type(self, values: ColumnType) -> Result<ColumnType> {
        match self {
            Self::Aggregate(aggregate) => aggregate.result_type(values),
            Self::Selector(selector) => selector.check(&Column::empty(values)).map(|()| values),
        }
    }

    fn values(self, cells: &Cells) -> Result<Column> {
        let result_type = self.result_type(cells.column_type())?;
        let values = (0..cells.len()).map(|i| match self {
            Self::Aggregate(Aggregate::Count) => {
                cells.counts.get(i).map(|count| FieldValue::Integer(count.cast_signed()))
            }
            Self::Aggregate(Aggregate::Sum) => sum(&cells.sums, i),
            Self::Aggregate(_) => mean(cells, i),
            Self::Selector(_) => self.point(cells, i).map(|point| point.value.clone()),
        });
        let column = column(result_type, values);
        Ok(std::rc::Rc::try_unwrap(column).unwrap_or_else(|shared| (*shared).clone()))
    }

    fn point(self, cells: &Cells, i: usize) -> Option<&Point> {
        match self {
            Self::Selector(Selector::First) => cells.first.get(i),
            Self::Selector(Selector::Last) => cells.last.get(i),
            Self::Selector(Selector::Min) => cells.min.get(i),
            Self::Selector(Selector::Max) => cells.max.get(i),
            Self::Aggregate(_) => None,
        }
    }
}

/// The tables of a summary over windows `(every, offset)`, or over the whole range; `None` when rows are needed.
pub(crate) fn summarized<'x>(
    from: &From,
    context: &'x Context<'x>,
    function: Function,
    windows: Option<(i64, i64)>,
) -> Result<Option<Tables<'x>>> {
    let Some(mut wanted) = function.wanted() else { return Ok(None) };
    let (scan, rest) = from.request(context)?;
    if !rest.is_empty() {
        return Ok(None);
    }
    let range = (scan.range.start.0, scan.range.end.0);
    wanted.times = windows.is_none() && (wanted.min || wanted.max);
    let windows = windows.map_or(Windows::One, |(every, offset)| Windows::Every { every, offset });
    let whole = windows == Windows::One;
    let grouping = Grouping::Series;
    let request =
        SummaryRequest { scan, windows, wanted, grouping, cells_max: CELLS_MAX, rows_max: u64::MAX };
    let groups = context.source.summarize(&request)?;
    // Counted as the rows that a scan would have handed out.
    context.count_rows(usize::try_from(groups.rows()).unwrap_or(usize::MAX))?;
    let groups = groups.finish();
    let cells: usize = groups.iter().flat_map(|g| &g.fields).map(|f| f.cells.len()).sum();
    let held = context.hold(cells * size_of::<Point>() + groups.len() * 128)?;
    let tables = groups.into_iter().flat_map(move |group| {
        let _held = &held;
        let two_types = group.fields.windows(2).any(|pair| pair[0].name == pair[1].name);
        let table = |field: &model::FieldSummary| {
            context.check_cancelled()?;
            if two_types {
                return Err(FluxError::invalid("a field has two types in one series"));
            }
            let times = field.cells.starts.iter().enumerate().map(|(i, start)| match whole {
                true => function.point(&field.cells, i).map_or(range.0, |point| point.time),
                false => range.0.max(*start),
            });
            let values = function.values(&field.cells)?;
            Ok(series_table(range, &group.key, &field.name, times.collect(), values))
        };
        group.fields.iter().map(table).collect::<Vec<_>>()
    });
    Ok(Some(Box::new(tables)))
}

#[expect(clippy::cast_possible_truncation, reason = "sums of integers wrap around, as InfluxDB's do")]
fn sum(sums: &Sums, i: usize) -> Option<FieldValue> {
    match sums {
        Sums::Float(sums) => sums.get(i).map(|sum| FieldValue::Float(*sum)),
        Sums::Integer(sums) => sums.get(i).map(|sum| FieldValue::Integer(*sum as i64)),
        Sums::Unsigned(sums) => sums.get(i).map(|sum| FieldValue::Unsigned(*sum as u64)),
        Sums::None => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "means are floats")]
fn mean(cells: &Cells, i: usize) -> Option<FieldValue> {
    let count = uint_to_float(*cells.counts.get(i)?);
    let sum = match &cells.sums {
        Sums::Float(sums) => *sums.get(i)?,
        Sums::Integer(sums) => *sums.get(i)? as f64,
        Sums::Unsigned(sums) => *sums.get(i)? as f64,
        Sums::None => return None,
    };
    Some(FieldValue::Float(sum / count))
}
