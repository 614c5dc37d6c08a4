//! Runs a plan: blocks in, result series out.
//!
//! Blocks come series by series, groups of GROUP BY lie across them, so each group has a state: rows for a raw
//! query (cut to what LIMIT can still need), aggregate states per window otherwise. When the blocks end, groups
//! are finished and sent in order of measurement and tags.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use influxql::ast::Fill;
use jiff::tz::TimeZone;
use model::{
    Bitmap, Cells, Column, Ends, FieldSelection, FieldType, FieldValue, Frame, FrameColumn, FrameValues,
    GroupSummary, ScanRequest, SchemaQuestion, SchemaRequest, SummaryRequest,
};

use super::aggregate::{Point, Run, State, cut_ranking, integrals};
use super::block::{Block, BlockTags};
use super::condition::Bounds;
use super::expr::{Bound, Node, Var, VarKind, bind, mask};
use super::function::{Aggregate, Transform};
use super::plan::{CallPlan, Input, OutColumn, Plan, Slot};
use super::points;
use super::rows::{Called, Pick, Raw, Rows, Slots};
use super::schema::{Resolver, Table, measurement_is, range};
use super::summary;
use super::value::{self, Value, column_of, times_column};
use crate::error::Error;
use crate::limits::Budget;
use crate::source::ScanError;

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
    /// It is not cut into chunks, and nothing says that more follows: so does InfluxDB with lists of names.
    pub is_whole: bool,
}

impl Series {
    /// A series that is not grouped, in UTC.
    pub(crate) fn new(name: &str, frame: Frame) -> Self {
        Self { name: name.into(), tags: Vec::new(), frame, zone: None, is_whole: false }
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
    let reads = |slot: &Slot| {
        let (Slot::Var(var) | Slot::Call(CallPlan { input: var, .. })) = slot;
        !matches!(var.kind, VarKind::Nothing | VarKind::Filler(_))
    };
    if !plan.slots.iter().any(reads) || plan.bounds.min > plan.bounds.max {
        return Ok(());
    }
    refuse(plan, resolver)?;
    let mut groups = Groups::new(plan, budget);
    groups.room_for_windows(1)?;
    for input in &plan.inputs {
        match input {
            Input::Table(table) => {
                let blocks = match access(plan, table, resolver, budget) {
                    None => continue,
                    Some(Access::Summary(mut request)) => {
                        groups.summarize(&table.measurement, &mut request, resolver)?;
                        continue;
                    }
                    Some(Access::Ends(request, ends)) => resolver.source.scan_ends(&request, ends)?,
                    Some(Access::Rows(request)) => resolver.source.scan(&request)?,
                };
                for block in blocks {
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

/// How a plan reads a table.
pub(crate) enum Access {
    /// What the calls need is computed where the data is.
    Summary(SummaryRequest),
    /// Rows at an end of each series.
    Ends(ScanRequest, Ends),
    /// All rows.
    Rows(ScanRequest),
}

impl Access {
    /// What is read.
    pub(crate) const fn scan(&self) -> &ScanRequest {
        match self {
            Self::Summary(request) => &request.scan,
            Self::Ends(scan, _) | Self::Rows(scan) => scan,
        }
    }
}

/// How a plan reads a table; `None` when there is nothing to read.
pub(crate) fn access(
    plan: &Plan,
    table: &Table,
    resolver: &Resolver<'_>,
    budget: &Budget<'_>,
) -> Option<Access> {
    let fields = plan.field_names();
    // Transformations of aggregates need some windows beside the range.
    let bounds = widest_bounds(plan, &plan.calls().collect::<Vec<_>>());
    let request = ScanRequest {
        bucket: table.bucket,
        range: range(bounds, table.oldest),
        predicate: measurement_is(&table.measurement).and(plan.filter.predicate.clone()),
        fields: FieldSelection::Names(fields.clone()),
    };
    // Tags alone are not read from stored series.
    if fields.is_empty() || request.range.is_empty() {
        return None;
    }
    Some(match summary::request(plan, table, request.clone(), resolver, budget) {
        Some(summary) => Access::Summary(summary),
        None => match summary::ends(plan, table, resolver) {
            Some(ends) => Access::Ends(request, ends),
            None => Access::Rows(request),
        },
    })
}

/// Refuses calls that do not take the type of their field. As in InfluxDB it is enough that there are series in the shards
/// of the range, and that these have such a field.
fn refuse(plan: &Plan, resolver: &Resolver<'_>) -> Result<(), Error> {
    let refused = plan.calls().filter_map(|call| Some((call, call.refusal.as_ref()?)));
    for (call, refusal) in refused {
        for input in &plan.inputs {
            let Input::Table(table) = input else { continue };
            let known =
                resolver.catalog.get(|s| s.field_type(table.bucket, &table.measurement, &call.input.name));
            if known.is_none_or(|field_type| call.input.kind != VarKind::Field(field_type)) {
                continue;
            }
            let request = SchemaRequest {
                bucket: table.bucket,
                range: range(bounds_of(plan, call), table.oldest),
                predicate: measurement_is(&table.measurement).and(plan.filter.predicate.clone()),
                question: SchemaQuestion::Measurements,
            };
            if !resolver.source.schema(&request)?.is_empty() {
                return Err(Error::Invalid(refusal.clone()));
            }
        }
    }
    Ok(())
}

/// A subquery's series as blocks of the query around it: one, or one for each value of a tag that is a column
/// there and groups here.
fn to_blocks(series: Series, dimensions: &[String]) -> Vec<Block> {
    let mut times = Vec::new();
    let mut fields: Vec<(Arc<str>, Column)> = Vec::new();
    for (i, column) in series.frame.columns.into_iter().enumerate() {
        let FrameValues::Column(values) = column.values else { continue };
        match (i, values.values) {
            (0, model::Values::Time(t)) => times = t,
            (_, values_inner) => {
                fields.push((column.name, Column { values: values_inner, valid: values.valid }));
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
    /// What the source has summarized, if there was anything; and the first point, if more was there than asked for.
    Cells(Option<Rc<Cells>>, Option<i64>),
    Points(Vec<Point>),
}

/// The rows or the call states of one group.
enum GroupState {
    Rows(Rows),
    Calls(Vec<CallState>),
}

/// The bounds of what a call reads.
pub(crate) fn bounds_of(plan: &Plan, call: &CallPlan) -> Bounds {
    let beside = call.transforms.iter().map(|t| t.windows_beside()).sum::<usize>();
    plan.bounds.with_windows_beside(beside, plan.windows.every, plan.ascending).intersect(plan.reach)
}

/// The bounds of what all calls read together.
fn widest_bounds(plan: &Plan, calls: &[&CallPlan]) -> Bounds {
    let all = calls.iter().map(|call| bounds_of(plan, call));
    let wider = |a: Bounds, b: Bounds| Bounds { min: a.min.min(b.min), max: a.max.max(b.max) };
    all.reduce(wider).unwrap_or(plan.bounds)
}

/// The measurement of a group and the values of its tags.
type GroupKey = (Arc<str>, Vec<String>);

pub(super) struct Groups<'a> {
    plan: &'a Plan,
    budget: &'a Budget<'a>,
    states: Vec<GroupState>,
    index: HashMap<GroupKey, usize>,
    calls: Vec<&'a CallPlan>,
    vars: Vec<usize>,
    /// See [`Groups::largest_bytes`].
    largest_bytes: usize,
}

impl<'a> Groups<'a> {
    pub(super) fn new(plan: &'a Plan, budget: &'a Budget<'a>) -> Self {
        let vars = plan.slots.iter().enumerate().filter(|(_, s)| matches!(s, Slot::Var(_))).map(|(i, _)| i);
        Self {
            plan,
            budget,
            states: Vec::new(),
            index: HashMap::new(),
            calls: plan.calls().collect(),
            vars: vars.collect(),
            largest_bytes: 0,
        }
    }

    /// The most bytes that the rows of a group have had.
    pub(super) const fn largest_bytes(&self) -> usize {
        self.largest_bytes
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
            GroupState::Rows(Rows::default())
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
    pub(super) fn take(&mut self, block: &Block) -> Result<(), Error> {
        self.budget.check()?;
        self.budget.read_points(block.times.len())?;
        let filter = &self.plan.filter;
        let mask = filter.rows.as_ref().map(|node| mask(node, &filter.vars, block));
        if mask.as_ref().is_some_and(|m| m.count_ones() == 0) {
            return Ok(());
        }
        let at = self.group(block)?;
        match &mut self.states[at] {
            GroupState::Rows(rows) => {
                let before = rows.bytes();
                rows.take(self.plan, block, mask.as_ref());
                self.largest_bytes = self.largest_bytes.max(rows.bytes());
                self.budget.release(before.saturating_sub(rows.bytes()));
                self.budget.hold(rows.bytes().saturating_sub(before))
            }
            GroupState::Calls(states) => {
                take_calls(self.plan, self.budget, &self.calls, &self.vars, block, mask.as_ref(), states)
            }
        }
    }

    /// Takes what the source knows of a table without its rows. No other input has groups of its name.
    fn summarize(
        &mut self,
        name: &Arc<str>,
        request: &mut SummaryRequest,
        resolver: &Resolver<'_>,
    ) -> Result<(), Error> {
        let budget = self.budget;
        let ask = |request: &SummaryRequest| match resolver.source.summarize(request, &budget.stop()) {
            Ok(summary) => {
                budget.read_points(usize::try_from(summary.rows()).unwrap_or(usize::MAX))?;
                // What becomes of it takes no more: the cells stay as they are.
                budget.hold(summary.bytes())?;
                Ok(summary)
            }
            Err(ScanError::TooLarge(refused)) => Err(budget.too_large(refused)),
            Err(error) => {
                budget.check()?;
                Err(error.into())
            }
        };
        let firsts = summary::shorten(self.plan, request, ask)?;
        let groups = ask(request)?.finish();
        let Some(firsts) = firsts else {
            return groups.into_iter().try_for_each(|group| self.add_cells(name, group, None));
        };
        let mut groups: HashMap<_, _> = groups.into_iter().map(|g| (g.tags.clone(), g)).collect();
        for first in firsts {
            let none =
                || GroupSummary { key: first.key.clone(), tags: first.tags.clone(), fields: Vec::new() };
            let group = groups.remove(&first.tags).unwrap_or_else(none);
            self.add_cells(name, group, Some(&first))?;
        }
        Ok(())
    }

    /// Takes a group with its windows; `first` has the group's first points, when these may be missing.
    fn add_cells(
        &mut self,
        name: &Arc<str>,
        group: GroupSummary,
        first: Option<&GroupSummary>,
    ) -> Result<(), Error> {
        self.budget.check()?;
        self.budget.series(self.states.len() + 1)?;
        let fields: Vec<_> = group.fields.into_iter().map(|f| (f.name, Rc::new(f.cells))).collect();
        let mut states = Vec::with_capacity(self.calls.len());
        for call in &self.calls {
            let found = fields.iter().find(|(name, _)| *name == call.input.name);
            let cells = found.map(|(_, cells)| Rc::clone(cells));
            let windows = cells.as_ref().map_or(0, |c| c.len());
            self.budget.windows(windows)?;
            let first = first.and_then(|g| g.fields.iter().find(|f| f.name == call.input.name));
            states.push(CallState::Cells(cells, first.and_then(|f| f.cells.first.first()).map(|p| p.time)));
        }
        self.states.push(GroupState::Calls(states));
        self.index.insert((Arc::clone(name), group.tags), self.states.len() - 1);
        Ok(())
    }

    /// Sends every group.
    pub(super) fn finish(mut self, sink: &mut SeriesSink<'_>) -> Result<(), Error> {
        self.room_for_windows(self.index.len())?;
        let mut order: Vec<_> = std::mem::take(&mut self.index).into_iter().collect();
        order.sort();
        if !self.plan.ascending {
            // As in InfluxDB, ORDER BY time DESC turns the order of the groups too.
            order.reverse();
        }
        let hidden = self.hidden(&order);
        for ((name, tag_values), at) in order {
            self.budget.check()?;
            if hidden.contains(&at) {
                continue;
            }
            let held = self.budget.held();
            let state = std::mem::replace(&mut self.states[at], GroupState::Rows(Rows::default()));
            let (rows, columns) = match state {
                GroupState::Rows(rows) => {
                    let picks = self.shown(rows.in_order(self.plan.ascending));
                    self.budget.hold(picks.len() * size_of::<Pick>())?;
                    if self.fills_nulls() {
                        let slots = 0..self.plan.slots.len();
                        let row = |pick: &Pick| {
                            (pick.time, slots.clone().map(|slot| rows.get(slot, *pick)).collect::<Vec<_>>())
                        };
                        self.budget.hold(picks.len() * (48 * slots.len() + 32))?;
                        let mut rows: Vec<_> = picks.iter().map(row).collect();
                        self.fill_nulls(&mut rows);
                        self.row_columns(&rows)
                    } else {
                        let times = picks.iter().map(|p| p.time).collect();
                        (picks.len(), self.columns(times, &Raw(&rows, &picks)))
                    }
                }
                GroupState::Calls(states) => {
                    let mut rows = self.call_rows(states)?;
                    rows.sort_by_key(|(time, _)| *time);
                    if !self.plan.ascending {
                        self.newest_first(&mut rows, &self.calls, |(time, _)| *time);
                    }
                    self.fill_nulls(&mut rows);
                    self.row_columns(&rows)
                }
            };
            if rows == 0 {
                continue;
            }
            self.budget.answer_rows(rows)?;
            self.budget.hold(rows * 40 * self.plan.columns.len())?;
            let tags = self.plan.dimensions.iter().cloned().zip(tag_values).collect();
            sink(Series { name, tags, frame: Frame { columns, rows }, zone: None, is_whole: false })?;
            // What was made to finish the group is gone with it.
            self.budget.release_to(held);
        }
        Ok(())
    }

    /// Turns rows that ascend in time. As in InfluxDB windows with several rows are turned as a whole: the values of
    /// `distinct` stay in the order of their first points, the points of a ranking in the order of time.
    fn newest_first<T>(&self, rows: &mut [T], calls: &[&CallPlan], time: impl Fn(&T) -> i64) {
        if !calls.iter().any(|call| has_several(call)) {
            return rows.reverse();
        }
        let windows = &self.plan.windows;
        let window = |time: i64| if windows.every > 0 { windows.of(time).0 } else { 0 };
        rows.sort_by_key(|row| std::cmp::Reverse(window(time(row))));
    }

    /// The groups that SLIMIT and SOFFSET leave out. As in InfluxDB they count the groups of each measurement by
    /// themselves, in the order of the keys that a group has, then of their values.
    fn hidden(&self, order: &[(GroupKey, usize)]) -> HashSet<usize> {
        let limit = usize::try_from(self.plan.slimit).unwrap_or(usize::MAX);
        let skip = usize::try_from(self.plan.soffset).unwrap_or(usize::MAX);
        if limit == 0 && skip == 0 {
            return HashSet::new();
        }
        let key = |values: &[String]| {
            let own = || self.plan.dimensions.iter().zip(values).filter(|(_, value)| !value.is_empty());
            let keys = own().map(|(key, _)| key.as_str());
            keys.chain(own().map(|(_, value)| value.as_str())).collect::<Vec<_>>().join("|")
        };
        let mut measurements: BTreeMap<&str, Vec<(String, usize)>> = BTreeMap::new();
        for ((name, values), at) in order {
            measurements.entry(name).or_default().push((key(values), *at));
        }
        let most = if limit == 0 { usize::MAX } else { limit };
        let left_out = |mut groups: Vec<(String, usize)>| {
            groups.sort();
            let shown = skip..skip.saturating_add(most);
            groups.into_iter().enumerate().filter(move |(n, _)| !shown.contains(n)).map(|(_, (_, at))| at)
        };
        measurements.into_values().flat_map(left_out).collect()
    }

    /// Applies OFFSET and LIMIT to rows in order.
    fn shown<T>(&self, mut rows: Vec<T>) -> Vec<T> {
        let offset = usize::try_from(self.plan.offset).unwrap_or(usize::MAX);
        if offset > 0 {
            rows.drain(..offset.min(rows.len()));
        }
        if self.plan.limit > 0 {
            rows.truncate(usize::try_from(self.plan.limit).unwrap_or(usize::MAX));
        }
        rows
    }

    /// Applies OFFSET and LIMIT to points that ascend in time, in the order of the answer.
    fn cut(&self, mut points: Vec<Point>, call: &CallPlan) -> Vec<Point> {
        if self.plan.ascending || (self.plan.limit == 0 && self.plan.offset == 0) {
            return self.shown(points);
        }
        self.newest_first(&mut points, &[call], |point| point.time);
        let mut points = self.shown(points);
        points.reverse();
        if has_several(call) {
            points.reverse();
            points.sort_by_key(|point| point.time);
        }
        points
    }

    /// Rows as columns.
    fn row_columns(&self, rows: &[(i64, Vec<Value>)]) -> (usize, Vec<FrameColumn>) {
        let times = rows.iter().map(|(time, _)| *time).collect();
        (rows.len(), self.columns(times, &Called(rows)))
    }

    /// Whether fill() may put values where a row has none.
    const fn fills_nulls(&self) -> bool {
        matches!(self.plan.fill, Fill::Integer(_) | Fill::Number(_) | Fill::Previous)
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
            Slot::Var(Var { kind: VarKind::Tag | VarKind::NoTag | VarKind::Nothing, .. }) => None,
            Slot::Call(call) if call.has_no_type() => None,
            _ => value::filler(&number, slot.field_type()),
        };
        let fillers: Vec<Value> = self.plan.slots.iter().map(filler).collect();
        for (value, filler) in rows.iter_mut().flat_map(|(_, row)| row.iter_mut().zip(&fillers)) {
            if value.is_none() {
                value.clone_from(filler);
            }
        }
    }

    /// The columns of the answer.
    fn columns(&self, times: Vec<i64>, rows: &dyn Slots) -> Vec<FrameColumn> {
        let count = times.len();
        let mut columns = vec![FrameColumn {
            name: Arc::clone(&self.plan.time_name),
            group: false,
            values: FrameValues::Column(times_column(times)),
        }];
        for OutColumn { name, node, field_type } in &self.plan.columns {
            let column = match node {
                Node::Slot(slot) => rows.column(*slot, *field_type),
                node => {
                    let values: Vec<Value> = (0..count).map(|row| node.eval(&|i| rows.get(i, row))).collect();
                    column_of(*field_type, values.iter().map(Option::as_ref))
                }
            };
            columns.push(FrameColumn {
                name: Arc::clone(name),
                group: false,
                values: FrameValues::Column(column),
            });
        }
        columns
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
                (CallState::Cells(cells, first), Some(aggregate)) => {
                    let mut points = cells.as_ref().map_or_else(Vec::new, |c| summary::points(c, aggregate));
                    if let Some(cells) = cells.filter(|_| !self.own_time(aggregate, alone)) {
                        let starts = cells.starts.iter();
                        points.iter_mut().zip(starts).for_each(|(p, start)| p.time = self.shown_time(*start));
                    }
                    self.filled(points, call, aggregate, first)?
                }
                (CallState::Windows(_) | CallState::Cells(..), None) => Vec::new(),
            };
            if !self.plan.ascending && !call.transforms.is_empty() {
                // Transformations follow the order of the answer.
                points.reverse();
            }
            for transform in &call.transforms {
                points = points::transform(points, *transform, &|| self.budget.check())?;
            }
            if !points.is_sorted_by_key(|p| p.time) {
                points.sort_by_key(|p| p.time);
            }
            // As in InfluxDB indicators show the window beside the range when they hold nothing back.
            if !call.transforms.iter().any(|t| matches!(t, Transform::Technical(_))) {
                points.retain(|p| p.time >= self.first_window());
            }
            // As in InfluxDB each call is cut by itself, so that what begins later also ends later.
            streams.push(self.cut(points, call).into_iter().peekable());
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
        let own_time = self.own_time(aggregate, alone);
        let shown_time = |start| self.shown_time(start);
        if let Aggregate::Integral(unit) = aggregate {
            let end_of = |start| (every > 0).then(|| plan.windows.of(start).1);
            // Without windows 1.x shows the lower bound for integers and the epoch for floats.
            let shown = |start| if every == 0 && input == FieldType::Float { 0 } else { shown_time(start) };
            let areas = integrals(windows.into_iter(), *unit, &shown, &end_of).into_iter();
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
        self.filled(points, call, aggregate, None)
    }

    /// Whether a call shows the times of its points: without windows, a selector that stands alone does.
    fn own_time(&self, aggregate: &Aggregate, alone: bool) -> bool {
        aggregate.keeps_times() || (self.plan.windows.every == 0 && alone && aggregate.is_selector())
    }

    /// The time shown for a window; without windows the lower bound.
    fn shown_time(&self, start: i64) -> i64 {
        match self.plan.windows.every {
            0 if self.plan.bounds.has_min() => self.plan.bounds.min,
            0 => 0,
            _ => start,
        }
    }

    /// Puts points into windows without any, as the query wants it. `before` is the first point of all when only the
    /// windows that LIMIT shows were asked for.
    fn filled(
        &self,
        points: Vec<Point>,
        call: &CallPlan,
        aggregate: &Aggregate,
        before: Option<i64>,
    ) -> Result<Vec<Point>, Error> {
        let plan = self.plan;
        let every = plan.windows.every;
        let input = call.input.field_type();
        let nothing = points.is_empty() && before.is_none();
        if nothing || every == 0 || plan.fill == Fill::None || !aggregate.fills() {
            return Ok(points);
        }
        let counts = matches!(aggregate, Aggregate::Count | Aggregate::CountDistinct);
        let how = if counts && plan.fill == Fill::Null { Fill::Integer(0) } else { plan.fill };
        let field_type = aggregate.result_type(input).unwrap_or(FieldType::Float);
        let bounds = bounds_of(plan, call);
        let first = match plan.bounds.has_min() {
            true => plan.windows.of(bounds.min).0,
            false => {
                before.map(|t| plan.windows.of(t).0).or_else(|| points.first().map(|p| p.time)).unwrap_or(0)
            }
        };
        let last = match plan.bounds.has_max() {
            true => plan.windows.of(bounds.max).0,
            false => points.last().map_or(first, |p| p.time),
        };
        let (first, last) = match before.and_then(|_| summary::windows_shown(plan)) {
            Some(shown) if plan.ascending => (first, last.min(first.saturating_add((shown - 1) * every))),
            Some(shown) => (first.max(last.saturating_sub((shown - 1) * every)), last),
            None => (first, last),
        };
        let windows = plan.windows.count(first, last);
        // Those with points are counted already.
        self.budget.windows(windows.saturating_sub(points.len()))?;
        self.budget.hold(windows.saturating_mul(64))?;
        let previous_is_later = how == Fill::Previous && !plan.ascending;
        let how = if previous_is_later { Fill::Null } else { how };
        let mut points =
            points::fill(points, how, &plan.windows, (first, last, windows), field_type, plan.ascending);
        if previous_is_later {
            points::fill_from_later(&mut points);
        }
        Ok(points)
    }
}

/// Whether a call answers several points of a window.
fn has_several(call: &CallPlan) -> bool {
    let alone = call.aggregate.as_ref().filter(|_| call.transforms.is_empty());
    matches!(alone, Some(Aggregate::Distinct | Aggregate::Top(..) | Aggregate::Bottom(..)))
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
        let column = match (bind(&call.input, block), block.field(&call.input.name)) {
            (Bound::Column(column), _) => column,
            // A tag by which a subquery is grouped, and which is its column too.
            (Bound::Constant(Some(_)), Some(column)) => Cow::Borrowed(column),
            // Each of its rows has the tag.
            (Bound::Constant(tag @ Some(_)), None) if !block.is_stored() => {
                let tags = std::iter::repeat_n(tag.as_ref(), block.times.len());
                Cow::Owned(column_of(FieldType::String, tags))
            }
            (Bound::Constant(_), _) => continue,
        };
        if let Some(refusal) = &call.refusal {
            return Err(Error::Invalid(refusal.clone()));
        }
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
            (CallState::Windows(_) | CallState::Cells(..), _) => {}
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
            values: FrameValues::Column(Column::new(model::Values::String(texts))),
        }
    };
    Frame { columns: columns.iter().enumerate().map(column).collect(), rows: rows.len() }
}
