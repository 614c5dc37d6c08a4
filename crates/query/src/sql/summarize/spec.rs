//! What a summary is asked, read out of an aggregate.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::{Aggregate, Expr};
use model::summary::Windows;
use model::{FieldSelection, FieldType, Grouping, ScanRequest, Wanted};

use super::super::gapfill::GAPFILL;
use super::super::predicate;
use super::super::reader::Reader;
use super::super::selectors::Rule;
use super::super::table::{Measurement, Origin};

const HOUR: i64 = 3_600_000_000_000;

/// A column that makes groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// A tag, by its place in the grouping.
    Tag(usize),
    /// The start of a window.
    Window,
}

/// What is told of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Count,
    Sum,
    Min,
    Max,
    Mean,
    /// The variance, or its root; `true` of the population, `false` of a sample.
    Variance {
        of_all: bool,
    },
    Deviation {
        of_all: bool,
    },
    Selected(Rule),
}

/// A column of results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Result {
    pub(super) field: Arc<str>,
    pub(super) field_type: FieldType,
    pub(super) what: What,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub(super) measurement: String,
    /// What is scanned, with the fields that results are made of.
    pub(super) scan: ScanRequest,
    /// The fields whose windows are there beside; empty where no other can make a row.
    pub(super) others: Vec<Arc<str>>,
    pub(super) windows: Windows,
    pub(super) wanted: Wanted,
    pub(super) grouping: Grouping,
    pub(super) keys: Vec<Key>,
    pub(super) results: Vec<Result>,
    pub(super) reader: Arc<Reader>,
}

impl Spec {
    /// The summary that answers an aggregate over a measurement; `None` when rows are needed.
    pub(super) fn of(aggregate: &Aggregate, table: &Measurement, filters: &[Expr]) -> Option<Self> {
        let mut tags: Vec<String> = Vec::new();
        let mut windows = None;
        let mut keys = Vec::new();
        for expr in &aggregate.group_expr {
            keys.push(match strip(expr) {
                Expr::Column(column) => {
                    let Origin::Tag(tag) = table.origin(&column.name)? else { return None };
                    let known = tags.iter().position(|other| other == tag);
                    Key::Tag(known.unwrap_or_else(|| {
                        tags.push(tag.clone());
                        tags.len() - 1
                    }))
                }
                Expr::ScalarFunction(function) => {
                    let every = every(function, table)?;
                    if windows.replace(every.clone()).is_some_and(|before| before != every) {
                        return None;
                    }
                    Key::Window
                }
                _ => return None,
            });
        }
        let mut wanted = Wanted::default();
        let results = aggregate.aggr_expr.iter().map(|expr| result(strip(expr), table, &mut wanted));
        let results: Vec<Result> = results.collect::<Option<_>>()?;
        let mut used: Vec<Arc<str>> = results.iter().map(|result| Arc::clone(&result.field)).collect();
        used.sort();
        used.dedup();
        // A group without windows and tags is always there.
        let others = if keys.is_empty() {
            Vec::new()
        } else {
            table.fields().filter(|field| !used.contains(field)).cloned().collect()
        };
        let mut scan = table.request(filters);
        scan.fields = FieldSelection::Names(used);
        Some(Self {
            measurement: table.name.clone(),
            scan,
            others,
            windows: windows.unwrap_or(Windows::One),
            wanted,
            grouping: Grouping::Tags(tags),
            keys,
            results,
            reader: Arc::clone(&table.reader),
        })
    }
}

fn strip(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => strip(&alias.expr),
        other => other,
    }
}

/// The windows that a function makes of the time.
fn every(function: &ScalarFunction, table: &Measurement) -> Option<Windows> {
    let is_time = |expr: &Expr| matches!(expr, Expr::Column(column) if matches!(table.origin(&column.name), Some(Origin::Time)));
    match (function.func.name(), function.args.as_slice()) {
        ("date_bin" | GAPFILL, [interval, time]) if is_time(time) => {
            Some(Windows::Every { every: predicate::nanoseconds(interval)?, offset: 0 })
        }
        ("date_bin" | GAPFILL, [interval, time, origin]) if is_time(time) => {
            let Expr::Literal(ScalarValue::TimestampNanosecond(Some(offset), _), _) = origin else {
                return None;
            };
            Some(Windows::Every { every: predicate::nanoseconds(interval)?, offset: *offset })
        }
        ("date_trunc", [Expr::Literal(ScalarValue::Utf8(Some(unit)), _), time]) if is_time(time) => {
            let (every, offset) = match unit.as_str() {
                "second" => (1_000_000_000, 0),
                "minute" => (60_000_000_000, 0),
                "hour" => (HOUR, 0),
                "day" => (24 * HOUR, 0),
                // The epoch was a Thursday; weeks start on Monday.
                "week" => (7 * 24 * HOUR, -3 * 24 * HOUR),
                _ => return None,
            };
            Some(Windows::Every { every, offset })
        }
        _ => None,
    }
}

/// What an aggregate tells of a field; adds what it wants.
fn result(expr: &Expr, table: &Measurement, wanted: &mut Wanted) -> Option<Result> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expr else { return None };
    let plain = !params.distinct
        && params.filter.is_none()
        && params.order_by.is_empty()
        && params.null_treatment.is_none();
    if !plain {
        return None;
    }
    let field = |expr: &Expr| match expr {
        Expr::Column(column) => match table.origin(&column.name)? {
            Origin::Field(name, field_type) => Some((Arc::clone(name), *field_type)),
            Origin::Time | Origin::Tag(_) => None,
        },
        _ => None,
    };
    let of = |expr: &Expr, what| {
        let (field, field_type) = field(expr)?;
        Some(Result { field, field_type, what })
    };
    let is_number = |result: &Result| {
        matches!(result.field_type, FieldType::Float | FieldType::Integer | FieldType::Unsigned)
    };
    match (func.name(), params.args.as_slice()) {
        ("count", [value]) => {
            wanted.count = true;
            of(value, What::Count)
        }
        ("sum", [value]) => {
            wanted.sum = true;
            of(value, What::Sum).filter(is_number)
        }
        ("min", [value]) => {
            wanted.min = true;
            of(value, What::Min).filter(is_number)
        }
        ("max", [value]) => {
            wanted.max = true;
            of(value, What::Max).filter(is_number)
        }
        ("avg" | "mean", [value]) => {
            (wanted.sum, wanted.count) = (true, true);
            // Integers are made floats before.
            let value = if let Expr::Cast(cast) = value { &cast.expr } else { value };
            of(value, What::Mean).filter(is_number)
        }
        (
            "var" | "var_samp" | "var_sample" | "var_pop" | "var_population" | "stddev" | "stddev_samp"
            | "stddev_pop",
            [value],
        ) if table.is_narrow => {
            wanted.squares = true;
            // As of means.
            let value = if let Expr::Cast(cast) = value { &cast.expr } else { value };
            let of_all = matches!(func.name(), "var_pop" | "var_population" | "stddev_pop");
            let is_root = func.name().starts_with("stddev");
            let what = if is_root { What::Deviation { of_all } } else { What::Variance { of_all } };
            of(value, what).filter(is_number)
        }
        (name, [value, Expr::Column(time)]) if matches!(table.origin(&time.name), Some(Origin::Time)) => {
            let rule = Rule::of(name)?;
            match rule {
                Rule::First => wanted.first = true,
                Rule::Last => wanted.last = true,
                Rule::Min => (wanted.min, wanted.times) = (true, true),
                Rule::Max => (wanted.max, wanted.times) = (true, true),
            }
            // A summary has no extremes of texts and booleans, and takes the lesser of booleans that are first at once.
            let is_told = |result: &Result| {
                is_number(result)
                    || result.field_type == FieldType::String && matches!(rule, Rule::First | Rule::Last)
            };
            of(value, What::Selected(rule)).filter(is_told)
        }
        _ => None,
    }
}
