//! SHOW ... CARDINALITY: counts of series, measurements, keys and values.
//!
//! InfluxDB answers most of them as a SELECT over its index: a row per measurement and group, no row for nothing. The
//! index knows no times, so that with GROUP BY time() the first window has the count and all that follow have 0. Only a
//! bare SHOW SERIES or MEASUREMENT CARDINALITY is an estimate over all policies; ours is the exact count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use influxql::ast::{CardinalityOf, Expr, KeyTest, Operator, RefKind, Show, VarRef};
use model::{
    FieldType, FieldValue, Frame, FrameColumn, FrameValues, Predicate, SchemaQuestion, SchemaRequest,
    Subject, Test,
};

use super::condition::{self, Bounds, TimeContext};
use super::execute::{Series, SeriesSink};
use super::expr::VarKind;
use super::plan;
use super::schema::{Resolver, Table, range};
use super::show::{About, Where, ask, buckets_of, condition_of, tables};
use super::value::column_of;
use crate::error::Error;
use crate::limits::Budget;

/// Name of the measurement, empty where all are counted together, and the tags of the group.
type Group = (String, Tags);

/// The tags of a group, sorted by key.
type Tags = Vec<(String, String)>;

/// What is counted, and how.
pub(super) struct Cardinality<'a> {
    pub(super) of: CardinalityOf,
    pub(super) exact: bool,
    pub(super) with: Option<&'a KeyTest>,
}

impl Cardinality<'_> {
    /// Runs the statement.
    pub(super) fn run(
        &self,
        show: &Show,
        resolver: &Resolver<'_>,
        budget: &Budget<'_>,
        sink: &mut SeriesSink<'_>,
    ) -> Result<(), Error> {
        if self.is_estimate(show) {
            return sink(Series::new("", count_frame("cardinality estimation", [self.estimate(resolver)?])));
        }
        let tables = tables(show, resolver)?;
        let condition = self.condition(show, resolver)?;
        let windows = windows(show, condition.bounds, resolver)?;
        let dimensions = dimensions(show, &tables, resolver)?;
        let mut counts: BTreeMap<Group, usize> = BTreeMap::new();
        let mut measurements: BTreeMap<Group, BTreeSet<Arc<str>>> = BTreeMap::new();
        let mut seen = 0;
        for table in &tables {
            budget.check()?;
            let keys = ask(resolver, table, &condition, SchemaQuestion::Series)?;
            seen += keys.len();
            budget.series(seen)?;
            let fields = resolver.catalog.get(|s| s.fields_of(table.bucket, &table.measurement).count());
            let mut groups: BTreeMap<Tags, (usize, BTreeSet<String>)> = BTreeMap::new();
            for key in keys {
                let tags = tags_of(&key);
                let value = |key: &String| tags.get(key).cloned().unwrap_or_default();
                let group = dimensions.iter().map(|key| (key.clone(), value(key))).collect();
                let (series, texts) = groups.entry(group).or_default();
                *series += 1;
                match self.of {
                    CardinalityOf::TagKey => texts.extend(tags.into_keys()),
                    CardinalityOf::TagValues => {
                        let wanted = |key: &str| self.with.is_none_or(|test| test.accepts(key));
                        texts.extend(tags.into_iter().filter(|(key, _)| wanted(key)).map(|(_, value)| value));
                    }
                    CardinalityOf::Series | CardinalityOf::Measurement | CardinalityOf::FieldKey => {}
                }
            }
            for (tags, (series, texts)) in groups {
                let count = match self.of {
                    CardinalityOf::Measurement => {
                        let names = measurements.entry((String::new(), tags)).or_default();
                        names.insert(Arc::clone(&table.measurement));
                        continue;
                    }
                    CardinalityOf::Series => series,
                    CardinalityOf::FieldKey => fields,
                    CardinalityOf::TagKey | CardinalityOf::TagValues => texts.len(),
                };
                *counts.entry((table.measurement.to_string(), tags)).or_default() += count;
            }
        }
        counts.extend(measurements.into_iter().map(|(group, names)| (group, names.len())));
        let skipped = usize::try_from(show.offset).unwrap_or(usize::MAX);
        let limit = if show.limit == 0 { u64::MAX } else { show.limit };
        let rows = windows.saturating_sub(skipped).min(usize::try_from(limit).unwrap_or(usize::MAX));
        for ((name, tags), count) in counts.into_iter().filter(|(_, count)| *count > 0 && rows > 0) {
            budget.windows(rows)?;
            let row = |window| if window == 0 { count } else { 0 };
            let frame = count_frame("count", (skipped..skipped + rows).map(row));
            sink(Series { tags, ..Series::new(&name, frame) })?;
        }
        Ok(())
    }

    fn is_estimate(&self, show: &Show) -> bool {
        !self.exact
            && matches!(self.of, CardinalityOf::Series | CardinalityOf::Measurement)
            && show.sources.is_empty()
            && show.condition.is_none()
            && show.dimensions.is_empty()
            && show.limit == 0
            && show.offset == 0
    }

    /// Counts in all policies of the database; what does not exist has nothing.
    fn estimate(&self, resolver: &Resolver<'_>) -> Result<usize, Error> {
        let Some(database) = resolver.database.filter(|d| !d.is_empty()) else {
            return Error::invalid("database name required");
        };
        let buckets = match buckets_of(resolver, database, None) {
            Err(Error::NotFound(_)) => return Ok(0),
            buckets => buckets?,
        };
        let question = match self.of {
            CardinalityOf::Measurement => SchemaQuestion::Measurements,
            _ => SchemaQuestion::Series,
        };
        let mut found = BTreeSet::new();
        for bucket in buckets {
            let Some(bucket) = resolver.readable(bucket) else { continue };
            found.extend(resolver.source.schema(&SchemaRequest {
                bucket: bucket.id,
                range: range(Bounds::ALL, bucket.oldest),
                predicate: Predicate::TRUE,
                question: question.clone(),
            })?);
        }
        Ok(found.len())
    }

    fn condition<'a>(&self, show: &Show, resolver: &'a Resolver<'a>) -> Result<Where<'a>, Error> {
        let about = match self.of {
            CardinalityOf::TagValues => About::CountsOfValues,
            _ => About::Counts,
        };
        let condition = condition_of(show, resolver, about)?;
        let what = match self.of {
            CardinalityOf::Series => "SERIES EXACT",
            CardinalityOf::Measurement => "MEASUREMENT EXACT",
            CardinalityOf::TagKey => "TAG KEY EXACT",
            CardinalityOf::FieldKey => "FIELD KEY",
            CardinalityOf::TagValues => return Ok(condition),
        };
        if condition.bounds == Bounds::ALL {
            return Ok(condition);
        }
        Error::invalid(format!("SHOW {what} CARDINALITY doesn't support time in WHERE clause"))
    }
}

/// A condition on the index, which knows no fields: what is said of them holds for no series.
pub(super) fn strict(expr: &Expr, about: About, kind: &dyn Fn(&VarRef) -> VarKind) -> Predicate {
    match expr {
        Expr::Paren(inner) => strict(inner, about, kind),
        Expr::Binary(binary) if binary.op == Operator::And => {
            strict(&binary.lhs, about, kind).and(strict(&binary.rhs, about, kind))
        }
        Expr::Binary(binary) if binary.op == Operator::Or => {
            Predicate::Or(vec![strict(&binary.lhs, about, kind), strict(&binary.rhs, about, kind)])
        }
        other => match condition::tag_predicate(other, kind) {
            Some(Predicate::Compare(Subject::Tag(tag), test)) if about == About::CountsOfValues => {
                let is_there = Predicate::Compare(Subject::Tag(tag.clone()), Test::NotEq(String::new()));
                Predicate::Compare(Subject::Tag(tag), test).and(is_there)
            }
            found => found.unwrap_or(Predicate::Constant(false)),
        },
    }
}

/// The rows of each group: one, or one per window. Without a time they begin at 1970, or, moved by an offset, with time
/// itself, and end now, as InfluxDB's do.
fn windows(show: &Show, bounds: Bounds, resolver: &Resolver<'_>) -> Result<usize, Error> {
    let now = resolver.now;
    let (every, offset) = plan::interval(&show.dimensions, &TimeContext { now, zone: None })?;
    if every == 0 {
        return Ok(1);
    }
    let first = if bounds.has_min() || offset != 0 { bounds.min } else { 0 };
    let last = if bounds.has_max() { bounds.max } else { now.0 };
    let window_of = |t: i64| (i128::from(t) - i128::from(offset)).div_euclid(i128::from(every));
    Ok(usize::try_from((window_of(last) - window_of(first) + 1).max(0)).unwrap_or(usize::MAX))
}

/// The keys of GROUP BY, sorted.
fn dimensions(show: &Show, tables: &[Table], resolver: &Resolver<'_>) -> Result<BTreeSet<String>, Error> {
    let mut keys = BTreeSet::new();
    let existing = |wanted: &dyn Fn(&str) -> bool, keys: &mut BTreeSet<String>| -> Result<(), Error> {
        let all = Where::all(About::Counts, resolver);
        for table in tables {
            let found = ask(resolver, table, &all, SchemaQuestion::TagKeys)?;
            keys.extend(found.into_iter().filter(|key| wanted(key)));
        }
        Ok(())
    };
    for dimension in &show.dimensions {
        match dimension {
            Expr::Var(var) => drop(keys.insert(var.name.clone())),
            Expr::Wildcard(None | Some(RefKind::Tag)) => existing(&|_| true, &mut keys)?,
            Expr::Regex(pattern) => existing(&|key| pattern.is_match(key), &mut keys)?,
            // Counted in `windows`.
            Expr::Call(_) => {}
            _ => return Error::invalid("only time and tag dimensions allowed"),
        }
    }
    Ok(keys)
}

/// The tags of a series from its key in line protocol, where a backslash escapes a comma, a space or an equals sign.
pub(super) fn tags_of(key: &str) -> BTreeMap<String, String> {
    let mut parts = vec![(String::new(), None::<String>)];
    let mut chars = key.chars().peekable();
    while let Some(ch) = chars.next() {
        let Some((name, value)) = parts.last_mut() else { break };
        match ch {
            ',' => parts.push((String::new(), None)),
            '=' if value.is_none() => *value = Some(String::new()),
            _ => {
                let escaped = chars.next_if(|next| ch == '\\' && matches!(next, ',' | ' ' | '='));
                value.as_mut().unwrap_or(name).push(escaped.unwrap_or(ch));
            }
        }
    }
    // The first part is the measurement.
    parts.into_iter().skip(1).filter_map(|(name, value)| Some((name, value?))).collect()
}

fn count_frame(column: &str, counts: impl IntoIterator<Item = usize>) -> Frame {
    let integer = |count| FieldValue::Integer(i64::try_from(count).unwrap_or(i64::MAX));
    let counts: Vec<FieldValue> = counts.into_iter().map(integer).collect();
    let values = FrameValues::Column(column_of(FieldType::Integer, counts.iter().map(Some)));
    Frame { columns: vec![FrameColumn { name: Arc::from(column), group: false, values }], rows: counts.len() }
}
