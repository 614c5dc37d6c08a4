//! Raw answers of any length in the same memory: what is too large to be put in order at once is read slice by slice.
//!
//! ```text
//!  series a   . . . . . . . . . . .          what comes of a scan: series by series
//!  series b    . . . . . . . . . .           what is answered: rows by time
//!             |------|--|------------|       slices of time, each put in order and sent
//! ```
//! A small answer is gathered in one pass. One that is larger is begun anew, group by group in the order of the answer,
//! and in slices of time that become shorter where rows are dense, and longer where they are rare.

use std::collections::BTreeSet;

use model::summary::Windows;
use model::{
    Grouping, Predicate, ScanRequest, SchemaQuestion, SchemaRequest, Subject, SummaryRequest, Test,
    TimeRange, Timestamp, Wanted,
};

use super::block::Block;
use super::cardinality::tags_of;
use super::execute::{Access, Groups, SeriesSink, access, run};
use super::plan::{Input, Plan, Slot};
use super::schema::{Resolver, Table};
use crate::error::Error;
use crate::limits::Budget;

/// Bytes of a group's rows that are put in order at once, at most, and of the query's memory one part in so many: the
/// order, and the columns that are sent, take some times as much.
const BYTES_MAX: usize = 32 << 20;
const MEMORY_PARTS: usize = 8;
/// Bytes of an only group's rows that are gathered before it is known that there are many: what the first row waits for.
const FIRST_BYTES_MAX: usize = 8 << 20;
/// Slices that a long answer is cut into at first. They become longer where they hold less than half of what they may.
const SLICES: u64 = 64;

/// Runs the plan of a statement, not of a subquery.
pub(super) fn answer(
    plan: &Plan,
    resolver: &Resolver<'_>,
    budget: &Budget<'_>,
    sink: &mut SeriesSink<'_>,
) -> Result<(), Error> {
    let Some(mut tables) = tables(plan) else { return run(plan, resolver, budget, sink) };
    tables.sort_by(|a, b| a.measurement.cmp(&b.measurement));
    if !plan.ascending {
        tables.reverse();
    }
    for table in tables {
        let Some(Access::Rows(request)) = access(plan, table, resolver, budget) else { continue };
        let slicing = Slicing { plan, table, resolver, budget };
        let held = budget.held();
        // Many small groups are fewer scans at once than one by one, as long as there is room for them.
        // One large group among many must not make each of them a scan of its own.
        let first_max = if plan.dimensions.is_empty() { FIRST_BYTES_MAX } else { usize::MAX };
        let group_max = slicing.bytes_max().min(first_max);
        if let Some(groups) = slicing.gather(&request, group_max, budget.memory_bytes_max() / 2)? {
            groups.finish(sink)?;
        } else {
            budget.release_to(held);
            for predicate in slicing.groups(&request)? {
                let predicate = request.predicate.clone().and(predicate);
                slicing.group(ScanRequest { predicate, ..request.clone() }, sink)?;
            }
        }
        budget.release_to(held);
    }
    Ok(())
}

/// The tables of a plan whose rows can be answered slice by slice: each row stands for itself, and those of a measurement
/// come from one table.
fn tables(plan: &Plan) -> Option<Vec<&Table>> {
    use influxql::ast::Fill;
    let is_cut = plan.limit > 0 || plan.offset > 0 || plan.slimit > 0 || plan.soffset > 0;
    let are_rows = plan.slots.iter().all(|slot| matches!(slot, Slot::Var(_)));
    if is_cut || !are_rows || plan.fill == Fill::Previous {
        return None;
    }
    let mut tables = Vec::new();
    for input in &plan.inputs {
        tables.push(match input {
            Input::Table(table) => table,
            Input::Subquery(_) => return None,
        });
    }
    let names: BTreeSet<_> = tables.iter().map(|table| &table.measurement).collect();
    (names.len() == tables.len()).then_some(tables)
}

struct Slicing<'a> {
    plan: &'a Plan,
    table: &'a Table,
    resolver: &'a Resolver<'a>,
    budget: &'a Budget<'a>,
}

impl<'a> Slicing<'a> {
    /// Bytes of a group's rows that are put in order at once.
    fn bytes_max(&self) -> usize {
        BYTES_MAX.min(self.budget.memory_bytes_max() / MEMORY_PARTS)
    }

    /// The groups of what is read; `None` when one of them, or all together, have more bytes than they may.
    fn gather(
        &self,
        request: &ScanRequest,
        group_max: usize,
        all_max: usize,
    ) -> Result<Option<Groups<'a>>, Error> {
        let before = self.budget.held();
        let mut groups = Groups::new(self.plan, self.budget);
        for block in self.resolver.source.scan(request)? {
            groups.take(&Block::from_scan(block?, &self.table.measurement))?;
            if groups.largest_bytes() > group_max || self.budget.held() - before > all_max {
                return Ok(None);
            }
        }
        Ok(Some(groups))
    }

    /// What selects each group, in the order of the answer.
    fn groups(&self, request: &ScanRequest) -> Result<Vec<Predicate>, Error> {
        let dimensions = &self.plan.dimensions;
        if dimensions.is_empty() {
            return Ok(vec![Predicate::TRUE]);
        }
        let series = SchemaRequest {
            bucket: request.bucket,
            range: request.range,
            predicate: request.predicate.clone(),
            question: SchemaQuestion::Series,
        };
        let mut groups: BTreeSet<Vec<String>> = BTreeSet::new();
        for key in self.resolver.source.schema(&series)? {
            let tags = tags_of(&key);
            let values = dimensions.iter().map(|tag| tags.get(tag).cloned().unwrap_or_default()).collect();
            if groups.insert(values) {
                self.budget.hold(key.len() + 128)?;
                self.budget.series(groups.len())?;
            }
        }
        let is =
            |(tag, value): (&String, String)| Predicate::Compare(Subject::Tag(tag.clone()), Test::Eq(value));
        let predicate = |values: Vec<String>| Predicate::And(dimensions.iter().zip(values).map(is).collect());
        let mut predicates: Vec<Predicate> = groups.into_iter().map(predicate).collect();
        if !self.plan.ascending {
            predicates.reverse();
        }
        Ok(predicates)
    }

    /// Sends a group.
    fn group(&self, request: ScanRequest, sink: &mut SeriesSink<'_>) -> Result<(), Error> {
        let (Some(first), Some(last)) = (self.end(&request, false)?, self.end(&request, true)?) else {
            return Ok(());
        };
        // What is left to send lies in `start..end`.
        let (mut start, mut end) = (first, last.saturating_add(1));
        let length = |start: i64, end: i64| end.wrapping_sub(start).cast_unsigned();
        let mut width = (length(start, end) / SLICES).max(1);
        while start < end {
            self.budget.check()?;
            let width_now = width.min(length(start, end));
            let (from, to) = if self.plan.ascending {
                (start, start.wrapping_add_unsigned(width_now))
            } else {
                (end.wrapping_sub_unsigned(width_now), end)
            };
            let range = TimeRange::new(Timestamp(from), Timestamp(to));
            let slice = ScanRequest { range, ..request.clone() };
            let held = self.budget.held();
            let mut gathered = self.gather(&slice, self.bytes_max(), usize::MAX)?;
            if gathered.is_none() {
                self.budget.release_to(held);
                if width_now > 1 {
                    width = (width_now / 4).max(1);
                    continue;
                }
                // Rows of one instant: they are put in order together, or not at all.
                gathered = self.gather(&slice, usize::MAX, usize::MAX)?;
            }
            let bytes = self.budget.held() - held;
            if let Some(groups) = gathered {
                groups.finish(sink)?;
            }
            if bytes < self.bytes_max() / 2 {
                width = width.saturating_mul(2);
            }
            if self.plan.ascending {
                start = to;
            } else {
                end = from;
            }
            self.budget.release_to(held);
        }
        Ok(())
    }

    /// The first or the last time of what is asked for.
    fn end(&self, request: &ScanRequest, newest: bool) -> Result<Option<i64>, Error> {
        let request = SummaryRequest {
            scan: request.clone(),
            windows: Windows::One,
            wanted: Wanted { first: !newest, last: newest, ..Wanted::default() },
            grouping: Grouping::Tags(Vec::new()),
            cells_max: self.budget.windows_left(model::summary::CELL_BYTES),
            rows_max: self.budget.points_left(),
        };
        let found = self.resolver.source.summarize(&request, &self.budget.stop());
        let groups = found.map_err(|error| match self.budget.check() {
            Ok(()) => error.into(),
            Err(reason) => reason,
        })?;
        let groups = groups.finish();
        let cells = groups.iter().flat_map(|group| &group.fields).map(|field| &field.cells);
        let times =
            cells.flat_map(|cells| if newest { &cells.last } else { &cells.first }).map(|point| point.time);
        Ok(if newest { times.max() } else { times.min() })
    }
}
