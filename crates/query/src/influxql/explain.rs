//! EXPLAIN and EXPLAIN ANALYZE: how a SELECT reads, and what its parts took.
//!
//! EXPLAIN has InfluxDB's lines as far as they mean something here, for each table that is read, and one line more: what
//! the nodes do where the data is. It decides that with the code that runs the statement, [`super::execute::access`].
//! EXPLAIN ANALYZE runs the statement, sends nothing of its answer, and shows the parts of all nodes.

use std::collections::BTreeSet;
use std::fmt;

use influxql::ast::Select;
use model::summary::Windows;
use model::{
    Ends, FieldSelection, FieldType, FieldValue, Frame, Grouping, ScanRequest, SchemaQuestion, SchemaRequest,
    Wanted,
};

use super::InfluxqlContext;
use super::execute::{self, Access, Series, SeriesSink};
use super::expr::{Var, VarKind};
use super::plan::{self, CallPlan, Input, Plan, Slot};
use super::schema::{Resolver, Table};
use super::shards::KnownShards;
use super::show::column;
use super::slices;
use crate::error::Error;
use crate::explain;
use crate::limits::Budget;
use crate::profile::{Tree, duration};

/// Nodes that have not answered are added to `silent`.
pub(super) fn explain(
    select: &Select,
    resolver: &Resolver<'_>,
    budget: &Budget<'_>,
    context: &InfluxqlContext<'_>,
    sink: &mut SeriesSink<'_>,
    silent: &mut Vec<String>,
) -> Result<(), Error> {
    let plan = plan::compile(select, resolver, None)?;
    let known = context.effects.shards().map_err(Error::Invalid)?;
    let mut shown = Shown { resolver, budget, known: &known, lines: Vec::new() };
    shown.plan(&plan)?;
    let mut lines = shown.lines;
    if lines.is_empty() {
        lines.push(String::new());
    }
    silent.extend(known.silent.iter().cloned());
    send("QUERY PLAN", lines, sink)
}

pub(super) fn analyze(
    select: &Select,
    resolver: &Resolver<'_>,
    budget: &Budget<'_>,
    context: &InfluxqlContext<'_>,
    sink: &mut SeriesSink<'_>,
) -> Result<(), Error> {
    let elapsed = |since| context.clock.monotonic().saturating_sub(since);
    let began = context.clock.monotonic();
    let plan = plan::compile(select, resolver, None)?;
    let (planning, began) = (elapsed(began), context.clock.monotonic());
    let (mut rows, mut series) = (0_usize, 0_usize);
    let mut last = None;
    let mut result = Ok(());
    let parts = context.profiler.profile(&mut || {
        result = slices::answer(&plan, resolver, budget, &mut |piece| {
            rows += piece.frame.rows;
            // A long one comes in pieces.
            let head = Some((piece.name, piece.tags));
            series += usize::from(last != head);
            last = head;
            Ok(())
        });
    });
    let execution = elapsed(began);
    result?;
    let statement = Tree::new("labels").with([Tree::new(format!("statement: {select}"))]);
    let figures = [
        Tree::new(format!("execution_time: {}", duration(execution))),
        Tree::new(format!("planning_time: {}", duration(planning))),
        Tree::new(format!("total_time: {}", duration(planning + execution))),
        Tree::new(format!("series: {series}")),
        Tree::new(format!("rows: {rows}")),
    ];
    let root = Tree::new("select").with([statement]).with(figures).with(Tree::of_parts(&parts));
    send("EXPLAIN ANALYZE", Tree::lines(vec![root]), sink)
}

fn send(title: &str, lines: Vec<String>, sink: &mut SeriesSink<'_>) -> Result<(), Error> {
    let rows = lines.len();
    let lines: Vec<FieldValue> = lines.into_iter().map(FieldValue::String).collect();
    let columns = vec![column(title, FieldType::String, &lines)];
    sink(Series::new("", Frame { columns, rows }))
}

/// What is shown of a plan.
struct Shown<'a> {
    resolver: &'a Resolver<'a>,
    budget: &'a Budget<'a>,
    known: &'a KnownShards,
    lines: Vec<String>,
}

impl Shown<'_> {
    fn plan(&mut self, plan: &Plan) -> Result<(), Error> {
        for input in &plan.inputs {
            match input {
                Input::Subquery(inner) => self.plan(inner)?,
                Input::Table(table) => {
                    if let Some(access) = execute::access(plan, table, self.resolver, self.budget) {
                        self.table(plan, table, &access)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A block for each call, or one for all that is read.
    fn table(&mut self, plan: &Plan, table: &Table, access: &Access) -> Result<(), Error> {
        self.budget.check()?;
        let scan = access.scan();
        let request = SchemaRequest {
            bucket: scan.bucket,
            range: scan.range,
            predicate: scan.predicate.clone(),
            question: SchemaQuestion::Series,
        };
        let series = self.resolver.source.schema(&request)?.len();
        let shards = self.known.shards.iter().filter(|shard| {
            let range = shard.range;
            shard.bucket == table.bucket && range.start < scan.range.end && range.end > scan.range.start
        });
        let shards: BTreeSet<_> = shards.map(|shard| (shard.range.start, shard.range.end)).collect();
        let auxiliary: BTreeSet<String> = plan.slots.iter().filter_map(read_as).collect();
        let mut calls: Vec<String> = plan.calls().map(|call| expression(call, access)).collect();
        if calls.is_empty() {
            calls.push("<nil>".to_owned());
        }
        for call in calls {
            if !self.lines.is_empty() {
                self.lines.push(String::new());
            }
            self.lines.push(format!("EXPRESSION: {call}"));
            if !auxiliary.is_empty() {
                let auxiliary: Vec<&str> = auxiliary.iter().map(String::as_str).collect();
                self.lines.push(format!("AUXILIARY FIELDS: {}", auxiliary.join(", ")));
            }
            self.lines.push(format!("NUMBER OF SHARDS: {}", shards.len()));
            self.lines.push(format!("NUMBER OF SERIES: {series}"));
            self.lines.push(format!("PUSHED DOWN: measurement={}, {}", table.measurement, Pushed(access)));
            if plan.filter.rows.is_some() {
                self.lines.push("FILTERED AFTERWARDS: by the values of fields".to_owned());
            }
        }
        Ok(())
    }
}

/// A variable that is read as it is.
fn read_as(slot: &Slot) -> Option<String> {
    match slot {
        Slot::Var(var) => typed(var),
        Slot::Call(_) => None,
    }
}

fn typed(var: &Var) -> Option<String> {
    let of_type = match var.kind {
        VarKind::Field(FieldType::Float) => "float",
        VarKind::Field(FieldType::Integer) => "integer",
        VarKind::Field(FieldType::Unsigned) => "unsigned",
        VarKind::Field(FieldType::String) => "string",
        VarKind::Field(FieldType::Boolean) => "boolean",
        VarKind::Tag | VarKind::NoTag => "tag",
        VarKind::Nothing | VarKind::Filler(_) => return None,
    };
    Some(format!("{}::{of_type}", var.name))
}

/// A call as far as it is computed where the data is.
fn expression(call: &CallPlan, access: &Access) -> String {
    let input = typed(&call.input).unwrap_or_else(|| call.input.name.to_string());
    match (access, &call.aggregate) {
        (Access::Summary(_), Some(aggregate)) => format!("{}({input})", aggregate.name()),
        _ => input,
    }
}

/// What the nodes do.
struct Pushed<'a>(&'a Access);

impl fmt::Display for Pushed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScanRequest { range, predicate, fields, .. } = self.0.scan();
        explain::range(f, *range)?;
        explain::predicate(f, predicate)?;
        if let FieldSelection::Names(names) = fields {
            write!(f, ", fields=[{}]", names.join(", "))?;
        }
        match self.0 {
            Access::Rows(_) => Ok(()),
            Access::Ends(_, Ends { rows, newest }) => {
                write!(f, ", {} {rows} of each series", if *newest { "last" } else { "first" })
            }
            Access::Summary(request) => {
                write!(f, ", summary=[{}]", wanted(request.wanted).join(", "))?;
                if let Grouping::Tags(tags) = &request.grouping {
                    write!(f, ", tags=[{}]", tags.join(", "))?;
                }
                match request.windows {
                    Windows::One => Ok(()),
                    Windows::Every { every, offset } => write!(f, ", every={every}ns, offset={offset}ns"),
                }
            }
        }
    }
}

fn wanted(wanted: Wanted) -> Vec<&'static str> {
    let Wanted { count, sum, squares, min, max, first, last, times: _ } = wanted;
    let all = [
        (count, "count"),
        (sum, "sum"),
        (squares, "squares"),
        (min, "min"),
        (max, "max"),
        (first, "first"),
        (last, "last"),
    ];
    all.into_iter().filter_map(|(is, name)| is.then_some(name)).collect()
}
