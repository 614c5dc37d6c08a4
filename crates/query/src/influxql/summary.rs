//! Plans that the source can answer by summaries, without handing out rows: aggregates of stored fields by tags and
//! windows, with a condition on tags and time alone.

use influxql::ast::Fill;
use model::summary::{Point as Found, Sums, Windows};
use model::{
    Cells, Ends, FieldType, FieldValue, GroupSummary, Grouping, Groups, ScanRequest, SummaryRequest,
    Timestamp, Wanted,
};

use super::aggregate::Point;
use super::execute::bounds_of;
use super::expr::VarKind;
use super::function::Aggregate;
use super::plan::{CallPlan, Input, Plan, Slot};
use super::schema::{Resolver, Table, range};
use super::value::to_f64;
use crate::error::Error;
use crate::limits::Budget;

/// The summary that answers a plan's calls over one of its tables; `None` when the rows are needed.
pub(crate) fn request(
    plan: &Plan,
    table: &Table,
    scan: ScanRequest,
    resolver: &Resolver<'_>,
    budget: &Budget<'_>,
) -> Option<SummaryRequest> {
    let calls_only = plan.slots.iter().all(|slot| matches!(slot, Slot::Call(_)));
    let same_name = |input: &&Input| match input {
        Input::Table(other) => other.measurement == table.measurement,
        Input::Subquery(_) => true,
    };
    let alone = plan.inputs.iter().filter(same_name).count() == 1;
    if !calls_only || !alone || plan.filter.rows.is_some() {
        return None;
    }
    let windows = match plan.windows.every {
        0 => Windows::One,
        every if plan.windows.zone.is_none() => Windows::Every { every, offset: plan.windows.offset },
        _ => return None,
    };
    // Transformations may read windows beside the range, each its own.
    let same_bounds = plan.calls().all(|call| range(bounds_of(plan, call), table.oldest) == scan.range);
    let mut wanted = Wanted::default();
    if !same_bounds || !plan.calls().all(|call| want(&mut wanted, call)) || !as_stored(plan, table, resolver)
    {
        return None;
    }
    wanted.times = plan.windows.every == 0 && plan.slots.len() == 1 && (wanted.min || wanted.max);
    Some(SummaryRequest {
        scan,
        windows,
        wanted,
        grouping: Grouping::Tags(plan.dimensions.clone()),
        cells_max: budget.windows_left(model::summary::CELL_BYTES),
        rows_max: budget.points_left(),
    })
}

/// Most windows that LIMIT may ask for to be worth looking where they are.
const LIMIT_WINDOWS_MAX: u64 = 100_000;

/// How many windows of each group are shown, when LIMIT says so, none is left out between them, none takes its value from
/// one that is not shown, and they end at a known time.
pub(crate) fn windows_shown(plan: &Plan) -> Option<i64> {
    let contiguous = match plan.fill {
        Fill::Null | Fill::Integer(_) | Fill::Number(_) => true,
        // Where the newest come first, the one before in time comes later.
        Fill::Previous => plan.ascending,
        Fill::None | Fill::Linear => false,
    };
    let plain = plan.calls().all(|call| call.transforms.is_empty());
    let shown = plan.limit.checked_add(plan.offset).filter(|n| plan.limit > 0 && *n <= LIMIT_WINDOWS_MAX)?;
    (plan.windows.every > 0 && contiguous && plain && plan.bounds.has_max()).then(|| shown.cast_signed())
}

/// Cuts the request to the windows that LIMIT lets through, which begin where the groups do. Answers the groups with
/// the first points of their fields; `None` when nothing was cut.
pub(crate) fn shorten(
    plan: &Plan,
    request: &mut SummaryRequest,
    summarize: impl FnOnce(&SummaryRequest) -> Result<Groups, Error>,
) -> Result<Option<Vec<GroupSummary>>, Error> {
    let (Some(shown), Windows::Every { every, .. }) = (windows_shown(plan), &request.windows) else {
        return Ok(None);
    };
    let span = shown.saturating_mul(*every);
    let range = request.scan.range;
    if range.end.0.saturating_sub(range.start.0) / 4 < span {
        return Ok(None);
    }
    let wanted = Wanted { first: true, ..Wanted::default() };
    let groups = summarize(&SummaryRequest { windows: Windows::One, wanted, ..request.clone() })?.finish();
    let window = |time: i64| request.windows.of(time).0;
    if plan.ascending {
        let firsts = groups.iter().flat_map(|g| &g.fields).flat_map(|f| &f.cells.first).map(|p| p.time);
        let first =
            if plan.bounds.has_min() { plan.bounds.min } else { firsts.max().unwrap_or(range.start.0) };
        request.scan.range.end = range.end.min(Timestamp(window(first).saturating_add(span)));
    } else {
        let start = window(plan.bounds.max).saturating_sub(span - every);
        request.scan.range.start = range.start.max(Timestamp(start));
    }
    Ok(Some(groups))
}

/// Most rows of each series that are worth reading from the end.
const END_ROWS_MAX: u64 = 8192;

/// How many rows at which end of each series answer a raw query; `None` when all are needed.
pub(crate) fn ends(plan: &Plan, table: &Table, resolver: &Resolver<'_>) -> Option<Ends> {
    let rows = plan.limit.checked_add(plan.offset).filter(|rows| plan.limit > 0 && *rows <= END_ROWS_MAX)?;
    let vars_only = plan.slots.iter().all(|slot| matches!(slot, Slot::Var(_)));
    if !vars_only || plan.filter.rows.is_some() || !as_stored(plan, table, resolver) {
        return None;
    }
    Some(Ends { rows: usize::try_from(rows).ok()?, newest: !plan.ascending })
}

/// Whether every field is read as the type it is stored with: a cast asks for values that are not there.
fn as_stored(plan: &Plan, table: &Table, resolver: &Resolver<'_>) -> bool {
    let stored: Vec<(String, FieldType)> = resolver.catalog.get(|state| {
        let fields = state.fields_of(table.bucket, &table.measurement);
        fields.map(|(name, field_type)| (name.to_owned(), field_type)).collect()
    });
    plan.slots.iter().all(|slot| {
        let (Slot::Var(var) | Slot::Call(CallPlan { input: var, .. })) = slot;
        let VarKind::Field(wanted) = var.kind else { return true };
        let found = stored.iter().find(|(name, _)| **name == *var.name);
        found.is_none_or(|(_, field_type)| *field_type == wanted)
    })
}

/// Adds what a call wants; false when a summary does not tell it.
fn want(wanted: &mut Wanted, call: &CallPlan) -> bool {
    match &call.aggregate {
        _ if call.refusal.is_some() => return false,
        Some(Aggregate::Count) => wanted.count = true,
        Some(Aggregate::Sum) => wanted.sum = true,
        Some(Aggregate::Mean) => (wanted.sum, wanted.count) = (true, true),
        Some(Aggregate::Min) => wanted.min = true,
        Some(Aggregate::Max) => wanted.max = true,
        Some(Aggregate::Spread) => (wanted.min, wanted.max) = (true, true),
        Some(Aggregate::First) => wanted.first = true,
        Some(Aggregate::Last) => wanted.last = true,
        _ => return false,
    }
    true
}

/// The points of an aggregate, one per cell; those of selectors with their own times, where these are known.
pub(crate) fn points(cells: &Cells, aggregate: &Aggregate) -> Vec<Point> {
    let selected = |found: &[Found]| -> Vec<Point> {
        found.iter().map(|p| Point { time: p.time, value: Some(p.value.clone()), aux: Vec::new() }).collect()
    };
    let computed = |value: &dyn Fn(usize) -> Option<FieldValue>| -> Vec<Point> {
        (0..cells.len()).map(|i| Point { time: 0, value: value(i), aux: Vec::new() }).collect()
    };
    match aggregate {
        Aggregate::Min => selected(&cells.min),
        Aggregate::Max => selected(&cells.max),
        Aggregate::First => selected(&cells.first),
        Aggregate::Last => selected(&cells.last),
        Aggregate::Count => computed(&|i| Some(FieldValue::Integer(cells.counts[i].cast_signed()))),
        Aggregate::Sum => computed(&|i| sum(cells, i)),
        Aggregate::Mean => computed(&|i| mean(cells, i)),
        Aggregate::Spread => computed(&|i| Some(spread(&cells.min.get(i)?.value, &cells.max.get(i)?.value))),
        _ => Vec::new(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "sums of integers wrap around, as InfluxDB's do")]
fn sum(cells: &Cells, i: usize) -> Option<FieldValue> {
    match &cells.sums {
        Sums::Float(sums) => sums.get(i).map(|sum| FieldValue::Float(*sum)),
        Sums::Integer(sums) => sums.get(i).map(|sum| FieldValue::Integer(*sum as i64)),
        Sums::Unsigned(sums) => sums.get(i).map(|sum| FieldValue::Unsigned(*sum as u64)),
        Sums::None => None,
    }
}

/// The quotient of [`sum`] and count.
#[expect(clippy::cast_precision_loss, reason = "means are floats in InfluxQL")]
fn mean(cells: &Cells, i: usize) -> Option<FieldValue> {
    let count = cells.counts[i] as f64;
    sum(cells, i).and_then(|sum| to_f64(&sum)).map(|sum| FieldValue::Float(sum / count))
}

/// The difference of two values of a type.
pub(crate) fn spread(min: &FieldValue, max: &FieldValue) -> FieldValue {
    match (min, max) {
        (FieldValue::Integer(a), FieldValue::Integer(b)) => FieldValue::Integer(b.wrapping_sub(*a)),
        (FieldValue::Unsigned(a), FieldValue::Unsigned(b)) => FieldValue::Unsigned(b.wrapping_sub(*a)),
        (a, b) => FieldValue::Float(to_f64(b).unwrap_or_default() - to_f64(a).unwrap_or_default()),
    }
}
