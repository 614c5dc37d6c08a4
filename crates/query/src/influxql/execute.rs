//! Runs a plan: blocks in, result series out.
//!
//! Blocks come series by series, groups of GROUP BY lie across them, so each group has a state: rows for a raw
//! query (cut to what LIMIT can still need), aggregate states per window otherwise. When the blocks end, groups
//! are finished and sent in order of measurement and tags.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use influxql::ast::Fill;
use jiff::tz::TimeZone;
use model::{Bitmap, FieldSelection, FieldType, FieldValue, Frame, FrameColumn, FrameValues, ScanRequest};

use super::aggregate::{Point, Run, State, cut_ranking, integrals};
use super::block::{Block, BlockTags};
use super::condition::Bounds;
use super::expr::{Bound, Node, Var, VarKind, bind, mask};
use super::function::Aggregate;
use super::plan::{CallPlan, Input, OutColumn, Plan, Slot};
use super::points;
use super::schema::{Resolver, measurement_is, range};
use super::value::{self, Value, column_of, times_column};
use crate::error::Error;
use crate::limits::Budget;

/// One series of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The measurement; empty for some SHOW statements.
    pub name: Arc<str>,
    /// Tags of the GROUP BY, sorted by key.
    pub tags: Vec<(String, String)>,
    /// The columns, time first for a SELECT.
    pub frame: Frame,
    /// Where `tz()` says that the times are; `None` is UTC.
    pub zone: Option<TimeZone>,
}

impl Series {
    /// A series that is not grouped, in UTC.
    pub(crate) fn new(name: &str, frame: Frame) -> Self {
        Self { name: name.into(), tags: Vec::new(), frame, zone: None }
    }
}

/// Where series go.
pub(crate) type SeriesSink<'a> = dyn FnMut(Series) -> Result<(), Error> + 'a;

/// Runs a plan.
pub(crate) fn run(
    plan: &Plan,
    resolver: &Resolver<'_>,
    budget: &Budget<'_>,
    sink: &mut SeriesSink<'_>,
) -> Result<(), Error> {
    let field_names = plan.field_names();
    let reads = |slot: &Slot| !matches!(slot, Slot::Var(Var { kind: VarKind::Nothing, .. }));
    if !plan.slots.iter().any(reads) || plan.bounds.min > plan.bounds.max {
        return Ok(());
    }
    let mut groups = Groups::new(plan, budget);
    groups.room_for_windows(1)?;
    for input in &plan.inputs {
        match input {
            // Tags alone are not read from stored series.
            Input::Table(_) if field_names.is_empty() => {}
            Input::Table(table) => {
                let bounds = groups.scan_bounds();
                let request = ScanRequest {
                    bucket: table.bucket,
                    range: range(bounds, table.oldest),
                    predicate: measurement_is(&table.measurement).and(plan.filter.predicate.clone()),
                    fields: FieldSelection::Names(field_names.clone()),
                };
                if request.range.is_empty() {
                    continue;
                }
                for block in resolver.source.scan(&request)? {
                    let block = Block::from_scan(block?, &table.measurement);
                    groups.take(&block)?;
                }
            }
            Input::Subquery(inner) => {
                let dimensions = &plan.dimensions;
                run(inner, resolver, budget, &mut |series| {
                    to_blocks(series, dimensions).iter().try_for_each(|block| groups.take(block))
                })?;
            }
        }
    }
    groups.finish(sink)
}

/// A subquery's series as blocks of the query around it: one, or one for each value of a tag that is a column
/// there and groups here.
fn to_blocks(series: Series, dimensions: &[String]) -> Vec<Block> {
    let mut times = Vec::new();
    let mut fields: Vec<(Arc<str>, model::Column)> = Vec::new();
    for (i, column) in series.frame.columns.into_iter().enumerate() {
        let FrameValues::Column(values) = column.values else { continue };
        match (i, values.values) {
            (0, model::Values::Time(t)) => times = t,
            (_, values_inner) => {
                fields.push((column.name, model::Column { values: values_inner, valid: values.valid }));
            }
        }
    }
    let is_column = |d: &&String| {
        fields.iter().any(|(name, _)| **name == ***d) && series.tags.iter().all(|(tag, _)| *tag != **d)
    };
    let split: Vec<&String> = dimensions.iter().filter(is_column).collect();
    let mut order: Vec<u32> = (0..u32::try_from(times.len()).expect("rows are limited")).collect();
    let sorted = times.is_sorted();
    if !sorted {
        order.sort_by_key(|&i| times[i as usize]);
    }
    let block = |tags, times, fields| Block {
        name: Arc::clone(&series.name),
        tags: BlockTags::List(tags),
        times,
        fields,
    };
    let gathered = |order: &[u32]| {
        let times = order.iter().map(|&i| times[i as usize]).collect();
        let columns = fields.iter().map(|(name, column)| (Arc::clone(name), column.gather(order)));
        (times, columns.collect())
    };
    if split.is_empty() {
        let (times, fields) = if sorted { (times, fields) } else { gathered(&order) };
        return vec![block(series.tags, times, fields)];
    }
    let mut parts: BTreeMap<Vec<String>, Vec<u32>> = BTreeMap::new();
    for i in order {
        let text = |d: &&String| match fields
            .iter()
            .find(|(name, _)| **name == ***d)
            .map(|(_, c)| c.get(i as usize))
        {
            Some(Some(FieldValue::String(text))) => text,
            _ => String::new(),
        };
        parts.entry(split.iter().map(text).collect()).or_default().push(i);
    }
    let part = |(values, rows): (Vec<String>, Vec<u32>)| {
        let own = split.iter().map(|d| (*d).clone()).zip(values);
        let (times, fields) = gathered(&rows);
        block(series.tags.iter().cloned().chain(own).collect(), times, fields)
    };
    parts.into_iter().map(part).collect()
}

/// The state of one call in one group.
enum CallState {
    Windows(BTreeMap<i64, State>),
    Points(Vec<Point>),
}

/// The rows or the call states of one group.
enum GroupState {
    /// Rows with their times and the values of all slots.
    Rows(Vec<(i64, Vec<Value>)>),
    Calls(Vec<CallState>),
}

/// The bounds of what a call reads.
fn bounds_of(plan: &Plan, call: &CallPlan) -> Bounds {
    let beside = call.transforms.iter().map(|t| t.windows_beside()).sum::<usize>();
    plan.bounds.with_windows_beside(beside, plan.windows.every, plan.ascending)
}

/// The bounds of what all calls read together.
fn widest_bounds(plan: &Plan, calls: &[&CallPlan]) -> Bounds {
    let all = calls.iter().map(|call| bounds_of(plan, call));
    let wider = |a: Bounds, b: Bounds| Bounds { min: a.min.min(b.min), max: a.max.max(b.max) };
    all.reduce(wider).unwrap_or(plan.bounds)
}

struct Groups<'a> {
    plan: &'a Plan,
    budget: &'a Budget<'a>,
    states: Vec<GroupState>,
    index: HashMap<(Arc<str>, Vec<String>), usize>,
    calls: Vec<&'a CallPlan>,
    vars: Vec<usize>,
}

impl<'a> Groups<'a> {
    fn new(plan: &'a Plan, budget: &'a Budget<'a>) -> Self {
        let vars = plan.slots.iter().enumerate().filter(|(_, s)| matches!(s, Slot::Var(_))).map(|(i, _)| i);
        Self {
            plan,
            budget,
            states: Vec::new(),
            index: HashMap::new(),
            calls: plan.calls().collect(),
            vars: vars.collect(),
        }
    }

    /// Refuses more windows than there may be, where their number follows from the bounds.
    fn room_for_windows(&self, series: usize) -> Result<(), Error> {
        let Plan { windows, bounds, .. } = self.plan;
        if windows.every == 0 || self.calls.is_empty() || !bounds.has_min() || !bounds.has_max() {
            return Ok(());
        }
        let (first, last) = (windows.of(bounds.min).0, windows.of(bounds.max).0);
        self.budget.room_for_windows(windows.count(first, last).saturating_mul(series))
    }

    /// The bounds to read: transformations of aggregates need some windows beside the range.
    fn scan_bounds(&self) -> Bounds {
        widest_bounds(self.plan, &self.calls)
    }

    fn group(&mut self, block: &Block) -> Result<usize, Error> {
        let tags: Vec<String> =
            self.plan.dimensions.iter().map(|d| block.tag(d).unwrap_or("").to_owned()).collect();
        let bytes = tags.iter().map(String::len).sum::<usize>() + 128;
        let key = (Arc::clone(&block.name), tags);
        if let Some(&at) = self.index.get(&key) {
            return Ok(at);
        }
        self.budget.hold(bytes)?;
        self.budget.series(self.states.len() + 1)?;
        let state = if self.calls.is_empty() {
            GroupState::Rows(Vec::new())
        } else {
            GroupState::Calls(
                self.calls
                    .iter()
                    .map(|call| match call.aggregate {
                        Some(_) => CallState::Windows(BTreeMap::new()),
                        None => CallState::Points(Vec::new()),
                    })
                    .collect(),
            )
        };
        self.states.push(state);
        self.index.insert(key, self.states.len() - 1);
        Ok(self.states.len() - 1)
    }

    /// Takes a block.
    fn take(&mut self, block: &Block) -> Result<(), Error> {
        self.budget.check()?;
        self.budget.read_points(block.times.len())?;
        let filter = &self.plan.filter;
        let mask = filter.rows.as_ref().and_then(|node| mask(node, &filter.vars, block));
        if mask.as_ref().is_some_and(|m| m.count_ones() == 0) {
            return Ok(());
        }
        let at = self.group(block)?;
        match &mut self.states[at] {
            GroupState::Rows(rows) => take_rows(self.plan, self.budget, block, mask.as_ref(), rows),
            GroupState::Calls(states) => {
                take_calls(self.plan, self.budget, &self.calls, &self.vars, block, mask.as_ref(), states)
            }
        }
    }

    /// Sends every group.
    fn finish(mut self, sink: &mut SeriesSink<'_>) -> Result<(), Error> {
        self.room_for_windows(self.index.len())?;
        let mut order: Vec<_> = std::mem::take(&mut self.index).into_iter().collect();
        order.sort();
        if !self.plan.ascending {
            // As in InfluxDB, ORDER BY time DESC turns the order of the groups too.
            order.reverse();
        }
        let limit = usize::try_from(self.plan.slimit).unwrap_or(usize::MAX);
        let skip = usize::try_from(self.plan.soffset).unwrap_or(usize::MAX);
        let mut series = 0_usize;
        for ((name, tag_values), at) in order {
            self.budget.check()?;
            let held = self.budget.held();
            let state = std::mem::replace(&mut self.states[at], GroupState::Rows(Vec::new()));
            let rows = match state {
                GroupState::Rows(rows) => rows,
                GroupState::Calls(states) => self.call_rows(states)?,
            };
            let rows = self.window_of_rows(rows);
            if rows.is_empty() {
                continue;
            }
            series += 1;
            if series <= skip {
                continue;
            }
            if limit > 0 && series > skip.saturating_add(limit) {
                return Ok(());
            }
            self.budget.answer_rows(rows.len())?;
            self.budget.hold(rows.len() * 40 * self.plan.columns.len())?;
            let tags = self.plan.dimensions.iter().cloned().zip(tag_values).collect();
            sink(Series { name, tags, frame: self.frame(rows), zone: None })?;
            // What was made to finish the group is gone with it.
            self.budget.release_to(held);
        }
        Ok(())
    }

    /// Sorts rows by time, then applies ORDER BY, OFFSET and LIMIT.
    fn window_of_rows(&self, mut rows: Vec<(i64, Vec<Value>)>) -> Vec<(i64, Vec<Value>)> {
        rows.sort_by_key(|(time, _)| *time);
        if !self.plan.ascending {
            rows.reverse();
        }
        let offset = usize::try_from(self.plan.offset).unwrap_or(usize::MAX);
        if offset > 0 {
            rows.drain(..offset.min(rows.len()));
        }
        if self.plan.limit > 0 {
            rows.truncate(usize::try_from(self.plan.limit).unwrap_or(usize::MAX));
        }
        self.fill_nulls(&mut rows);
        rows
    }

    /// fill() of what a row lacks beside its other values, in the order of the answer. Windows without points have
    /// been filled before.
    fn fill_nulls(&self, rows: &mut [(i64, Vec<Value>)]) {
        let number = match self.plan.fill {
            Fill::Integer(n) => FieldValue::Integer(n),
            Fill::Number(n) => FieldValue::Float(n),
            Fill::Previous => {
                let mut previous: Vec<Value> = vec![None; self.plan.slots.len()];
                for (_, row) in rows.iter_mut() {
                    for (value, previous) in row.iter_mut().zip(&mut previous) {
                        match value {
                            Some(_) => previous.clone_from(value),
                            None => value.clone_from(previous),
                        }
                    }
                }
                return;
            }
            Fill::Null | Fill::None | Fill::Linear => return,
        };
        let filler = |slot: &Slot| match slot {
            Slot::Var(Var { kind: VarKind::Tag | VarKind::Nothing, .. }) => None,
            _ => value::filler(&number, slot.field_type()),
        };
        let fillers: Vec<Value> = self.plan.slots.iter().map(filler).collect();
        for (value, filler) in rows.iter_mut().flat_map(|(_, row)| row.iter_mut().zip(&fillers)) {
            if value.is_none() {
                value.clone_from(filler);
            }
        }
    }

    fn frame(&self, rows: Vec<(i64, Vec<Value>)>) -> Frame {
        let count = rows.len();
        let mut columns = vec![FrameColumn {
            name: Arc::clone(&self.plan.time_name),
            group: false,
            values: FrameValues::Column(times_column(rows.iter().map(|(time, _)| *time).collect())),
        }];
        for OutColumn { name, node, field_type } in &self.plan.columns {
            let values: Vec<Value> = match node {
                Node::Slot(slot) => {
                    rows.iter().map(|(_, slots)| slots.get(*slot).cloned().flatten()).collect()
                }
                node => {
                    let eval =
                        |(_, slots): &(i64, Vec<Value>)| node.eval(&|i| slots.get(i).cloned().flatten());
                    rows.iter().map(eval).collect()
                }
            };
            let column = column_of(*field_type, values.iter().map(Option::as_ref));
            columns.push(FrameColumn {
                name: Arc::clone(name),
                group: false,
                values: FrameValues::Column(column),
            });
        }
        Frame { columns, rows: count }
    }

    /// Finishes the calls of a group and joins their points by time.
    fn call_rows(&self, states: Vec<CallState>) -> Result<Vec<(i64, Vec<Value>)>, Error> {
        let alone = self.calls.len() == 1;
        let mut streams = Vec::with_capacity(states.len());
        for (call, state) in self.calls.iter().zip(states) {
            let mut points = match (state, &call.aggregate) {
                (CallState::Points(mut points), _) => {
                    points.sort_by_key(|p| p.time);
                    points
                }
                (CallState::Windows(windows), Some(aggregate)) => {
                    self.finish_windows(windows, call, aggregate, alone)?
                }
                (CallState::Windows(_), None) => Vec::new(),
            };
            if !self.plan.ascending && !call.transforms.is_empty() {
                // Transformations follow the order of the answer.
                points.reverse();
            }
            for transform in &call.transforms {
                points = points::transform(points, *transform);
            }
            if !points.is_sorted_by_key(|p| p.time) {
                points.sort_by_key(|p| p.time);
            }
            points.retain(|p| p.time >= self.first_window());
            streams.push(points.into_iter().peekable());
        }
        let most = streams.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        let mut rows = Vec::with_capacity(most);
        while let Some(time) = streams.iter_mut().filter_map(|s| s.peek().map(|p| p.time)).min() {
            let mut slots: Vec<Value> = vec![None; self.plan.slots.len()];
            let mut call_index = 0;
            for (at, slot) in self.plan.slots.iter().enumerate() {
                if matches!(slot, Slot::Var(_)) {
                    continue;
                }
                let stream = &mut streams[call_index];
                if let Some(point) = stream.next_if(|p| p.time == time) {
                    for (var, value) in self.vars.iter().zip(point.aux) {
                        slots[*var] = value;
                    }
                    slots[at] = point.value;
                }
                call_index += 1;
            }
            self.budget.hold(48 * slots.len() + 32)?;
            rows.push((time, slots));
        }
        Ok(rows)
    }

    /// The start of the first window of the answer.
    fn first_window(&self) -> i64 {
        let bounds = self.plan.bounds;
        if self.plan.windows.every > 0 && bounds.has_min() {
            self.plan.windows.of(bounds.min).0
        } else {
            i64::MIN
        }
    }

    fn finish_windows(
        &self,
        windows: BTreeMap<i64, State>,
        call: &CallPlan,
        aggregate: &Aggregate,
        alone: bool,
    ) -> Result<Vec<Point>, Error> {
        let plan = self.plan;
        let every = plan.windows.every;
        let input = call.input.field_type();
        // Without windows, a selector that stands alone shows the time of its point, all else the lower bound.
        let own_time = aggregate.keeps_times() || (every == 0 && alone && aggregate.is_selector());
        let shown_time = |start| match every {
            0 if plan.bounds.has_min() => plan.bounds.min,
            0 => 0,
            _ => start,
        };
        if let Aggregate::Integral(unit) = aggregate {
            let end_of = |start| (every > 0).then(|| plan.windows.of(start).1);
            let areas = integrals(windows.into_iter(), *unit, &end_of).into_iter();
            // Without windows 1.x shows the lower bound for integers and the epoch for floats.
            let shown = |start| if every == 0 && input == FieldType::Float { 0 } else { shown_time(start) };
            let point = |(start, area): (i64, f64)| {
                // Newest first, time runs backwards.
                let area = if plan.ascending { area } else { 0.0 - area };
                Point { time: shown(start), value: Some(FieldValue::Float(area)), aux: Vec::new() }
            };
            return Ok(areas.map(point).collect());
        }
        let mut points = Vec::new();
        for (start, mut state) in windows {
            cut_ranking(&mut state, aggregate);
            let shown = shown_time(start);
            let finished = state.finish(aggregate, shown);
            points.extend(finished.into_iter().map(|mut point| {
                if !own_time {
                    point.time = shown;
                }
                point
            }));
        }
        if points.is_empty() || every == 0 || plan.fill == Fill::None || !aggregate.fills() {
            return Ok(points);
        }
        let counts = matches!(aggregate, Aggregate::Count | Aggregate::CountDistinct);
        let how = if counts && plan.fill == Fill::Null { Fill::Integer(0) } else { plan.fill };
        let field_type = aggregate.result_type(input).unwrap_or(FieldType::Float);
        let bounds = bounds_of(plan, call);
        let first = match plan.bounds.has_min() {
            true => plan.windows.of(bounds.min).0,
            false => points.first().map_or(0, |p| p.time),
        };
        let last = match plan.bounds.has_max() {
            true => plan.windows.of(bounds.max).0,
            false => points.last().map_or(first, |p| p.time),
        };
        let windows = plan.windows.count(first, last);
        // Those with points are counted already.
        self.budget.windows(windows.saturating_sub(points.len()))?;
        self.budget.hold(windows.saturating_mul(64))?;
        let previous_is_later = how == Fill::Previous && !plan.ascending;
        let how = if previous_is_later { Fill::Null } else { how };
        let mut points = points::fill(points, how, &plan.windows, (first, last, windows), field_type);
        if previous_is_later {
            points::fill_from_later(&mut points);
        }
        Ok(points)
    }
}

/// Adds the rows of a block to a group of a raw query.
fn take_rows(
    plan: &Plan,
    budget: &Budget<'_>,
    block: &Block,
    mask: Option<&Bitmap>,
    rows: &mut Vec<(i64, Vec<Value>)>,
) -> Result<(), Error> {
    let bound: Vec<Bound<'_>> = plan
        .slots
        .iter()
        .map(|slot| match slot {
            Slot::Var(var) => bind(var, block),
            Slot::Call(_) => Bound::Constant(None),
        })
        .collect();
    let columns: Vec<_> = bound.iter().filter(|b| matches!(b, Bound::Column(_))).collect();
    // A subquery's row is a row, whatever is taken from it.
    let whole = !block.is_stored();
    if columns.is_empty() && !whole {
        return Ok(());
    }
    let wanted = |row: &usize| {
        mask.is_none_or(|m| m.get(*row))
            && (whole || columns.iter().any(|c| matches!(c, Bound::Column(c) if c.is_valid(*row))))
    };
    let most = match plan.limit {
        0 => usize::MAX,
        limit => usize::try_from(limit.saturating_add(plan.offset)).unwrap_or(usize::MAX),
    };
    let indices: Vec<usize> = if plan.ascending {
        (0..block.times.len()).filter(wanted).take(most).collect()
    } else {
        (0..block.times.len()).rev().filter(wanted).take(most).collect()
    };
    for row in indices {
        let values: Vec<Value> = bound.iter().map(|b| b.get(row)).collect();
        budget.hold(row_bytes(&values))?;
        rows.push((block.times[row], values));
    }
    // What LIMIT can no longer reach is let go, at the latest when it is twice what is needed.
    if most != usize::MAX && rows.len() > most.saturating_mul(2).max(1024) {
        rows.sort_by_key(|(time, _)| *time);
        let gone = if plan.ascending { most..rows.len() } else { 0..rows.len() - most };
        budget.release(rows.drain(gone).map(|(_, values)| row_bytes(&values)).sum());
    }
    Ok(())
}

/// What a row of a raw query takes.
fn row_bytes(values: &[Value]) -> usize {
    let text = |v: &Value| if let Some(FieldValue::String(s)) = v { s.len() } else { 0 };
    40 + values.iter().map(|v| 32 + text(v)).sum::<usize>()
}

/// Feeds a block to the calls of a group, window by window.
fn take_calls(
    plan: &Plan,
    budget: &Budget<'_>,
    calls: &[&CallPlan],
    vars: &[usize],
    block: &Block,
    mask: Option<&Bitmap>,
    states: &mut [CallState],
) -> Result<(), Error> {
    let aux_bound: Vec<Bound<'_>> = vars
        .iter()
        .filter_map(|at| match plan.slots.get(*at) {
            Some(Slot::Var(var)) => Some(bind(var, block)),
            _ => None,
        })
        .collect();
    let aux = |row: usize| aux_bound.iter().map(|b| b.get(row)).collect::<Vec<_>>();
    let widest = widest_bounds(plan, calls);
    for (call, state) in calls.iter().zip(states) {
        let Bound::Column(column) = bind(&call.input, block) else { continue };
        let tags: Vec<String> = match &call.aggregate {
            Some(Aggregate::Top(_, tags) | Aggregate::Bottom(_, tags)) => {
                tags.iter().map(|t| block.tag(t).unwrap_or("").to_owned()).collect()
            }
            _ => Vec::new(),
        };
        // Another call may read wider bounds. A subquery's window may begin before the range that it lies in.
        let bounds = bounds_of(plan, call);
        let (first, rows) = match bounds == widest && !block.is_stored() {
            true => (0, block.times.len()),
            false => (
                block.times.partition_point(|t| *t < bounds.min),
                block.times.partition_point(|t| *t <= bounds.max),
            ),
        };
        let run =
            |from, to| Run { times: &block.times, column: &column, mask, from, to, aux: &aux, tags: &tags };
        match (state, &call.aggregate) {
            (CallState::Points(points), _) => {
                let before = points.len();
                for row in (first..rows).filter(|&i| value::selected(&column, mask, i)) {
                    points.push(Point { time: block.times[row], value: column.get(row), aux: Vec::new() });
                }
                budget.hold((points.len() - before) * 64)?;
            }
            (CallState::Windows(windows), Some(aggregate)) => {
                let mut from = first;
                while from < rows {
                    let (start, to) = window_run(plan, block.times.get(..rows).unwrap_or_default(), from);
                    let any = (from..to).any(|i| value::selected(&column, mask, i));
                    if any {
                        if !windows.contains_key(&start) {
                            budget.windows(1)?;
                            budget.hold(96)?;
                        }
                        let state = windows
                            .entry(start)
                            .or_insert_with(|| State::new(aggregate, call.input.field_type()));
                        budget.hold(state.update(aggregate, &run(from, to)))?;
                    }
                    from = to;
                }
            }
            (CallState::Windows(_), None) => {}
        }
    }
    Ok(())
}

/// The start of the window of row `from` and the first row behind it.
fn window_run(plan: &Plan, times: &[i64], from: usize) -> (i64, usize) {
    if plan.windows.every == 0 {
        return (0, times.len());
    }
    let (start, end) = plan.windows.of(times[from]);
    let inside = times[from..].partition_point(|t| *t < end).max(1);
    (start, from + inside)
}

/// A frame of text columns, for SHOW.
pub(crate) fn text_frame(columns: &[&str], rows: &[Vec<String>]) -> Frame {
    let column = |(i, name): (usize, &&str)| {
        let texts = rows.iter().map(|row| row.get(i).map_or("", String::as_str)).collect();
        FrameColumn {
            name: Arc::from(*name),
            group: false,
            values: FrameValues::Column(model::Column::new(model::Values::String(texts))),
        }
    };
    Frame { columns: columns.iter().enumerate().map(column).collect(), rows: rows.len() }
}
