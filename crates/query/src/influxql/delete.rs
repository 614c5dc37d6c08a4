//! DELETE, DROP SERIES, DROP MEASUREMENT, DROP DATABASE: whose points go; and who may change points.
//!
//! As in InfluxDB they mean all retention policies of a database unless one is named, fields in a condition are
//! refused, and what does not exist is gone already. A measurement that is a pattern stays one, so that a delete is as
//! short as it was written.

use std::collections::BTreeSet;

use influxql::ast::{
    DropKind, Expr, Measurement, RefKind, Select, Selection, Source, Statement, Target, VarRef,
};
use model::{BucketId, Deletion, Predicate, Subject, Test, TimeRange, Timestamp};

use super::condition::{self, Bounds, TimeContext};
use super::expr::VarKind;
use super::schema::{Resolver, measurement_is};
use super::{InfluxqlContext, show};
use crate::error::Error;

/// Refuses a statement that deletes in a bucket, or writes to one, which the caller must not write to.
pub(super) fn authorize(
    statement: &Statement,
    resolver: &Resolver<'_>,
    context: &InfluxqlContext<'_>,
) -> Result<(), Error> {
    let Some(writable) = context.writable else { return Ok(()) };
    let mut database = resolver.database.unwrap_or_default();
    let meant = match statement {
        Statement::Delete(selection) | Statement::DropSeries(selection) => {
            places(selection, resolver).map(|places| places.into_iter().map(|(id, _)| id).collect())
        }
        Statement::Drop { kind: DropKind::Measurement, .. } => buckets(resolver, None),
        Statement::Drop { kind: DropKind::Database, name, .. } => {
            database = name;
            show::buckets_of(resolver, database, None)
        }
        Statement::Select(select) => {
            let Select { target: Some(Target { measurement }), .. } = &**select else { return Ok(()) };
            database = measurement.database.as_deref().unwrap_or(database);
            resolver.target(measurement).map(|id| BTreeSet::from([id]))
        }
        _ => return Ok(()),
    };
    // What does not exist is said when the statement runs.
    if meant.unwrap_or_default().iter().all(|id| writable.contains(id)) {
        return Ok(());
    }
    let statement = statement.to_string();
    Err(Error::Forbidden(format!(
        "not authorized to execute statement '{statement}', requires WRITE on {database}"
    )))
}

/// What DELETE (`by_time`) or DROP SERIES deletes, bucket by bucket.
pub(super) fn of_selection(
    selection: &Selection,
    by_time: bool,
    resolver: &Resolver<'_>,
) -> Result<Vec<Deletion>, Error> {
    if !by_time && selection.condition.as_ref().is_some_and(names_time) {
        return Error::invalid("DROP SERIES doesn't support time in WHERE clause");
    }
    let places = places(selection, resolver)?;
    let time = TimeContext { now: resolver.now(), zone: None };
    let (tags, bounds) = match &selection.condition {
        Some(expr) => condition::split_time(expr, &time)?,
        None => (None, Bounds::ALL),
    };
    let mut deletions = Vec::new();
    for (bucket, measurements) in places {
        if let Some(of_tags) = tag_predicate(tags.as_ref(), bucket, &measurements, resolver)? {
            let predicate = of_measurements(&measurements).and(of_tags);
            deletions.push(Deletion { bucket, range: range(bounds), predicate });
        }
    }
    Ok(deletions)
}

/// The buckets of a selection, each with the measurements that are meant in it; none are all.
fn places<'a>(
    selection: &'a Selection,
    resolver: &Resolver<'_>,
) -> Result<Vec<(BucketId, Vec<&'a Measurement>)>, Error> {
    let mut places: Vec<(BucketId, Vec<&Measurement>)> = Vec::new();
    if selection.sources.is_empty() {
        places.extend(buckets(resolver, None)?.into_iter().map(|id| (id, Vec::new())));
    }
    for source in &selection.sources {
        let Source::Measurement(measurement) = source else { continue };
        for id in buckets(resolver, measurement.retention_policy.as_deref())? {
            match places.iter_mut().find(|(other, _)| *other == id) {
                Some((_, measurements)) => measurements.push(measurement),
                None => places.push((id, vec![measurement])),
            }
        }
    }
    Ok(places)
}

/// What DROP MEASUREMENT deletes.
pub(super) fn of_measurement(name: &str, resolver: &Resolver<'_>) -> Result<Vec<Deletion>, Error> {
    let all = |bucket| Deletion { bucket, range: TimeRange::ALL, predicate: measurement_is(name) };
    Ok(buckets(resolver, None)?.into_iter().map(all).collect())
}

fn buckets(resolver: &Resolver<'_>, policy: Option<&str>) -> Result<BTreeSet<BucketId>, Error> {
    let policy = policy.or(resolver.retention_policy).filter(|p| !p.is_empty());
    show::buckets_of(resolver, resolver.database.unwrap_or_default(), policy)
}

fn names_time(expr: &Expr) -> bool {
    let mut found = false;
    expr.walk(&mut |part| {
        found |= matches!(part, Expr::Var(VarRef { name, .. }) if name.eq_ignore_ascii_case("time"));
    });
    found
}

/// Bounds as a range; without bounds all of time, so that nothing is left of what is selected.
fn range(bounds: Bounds) -> TimeRange {
    let start = if bounds.has_min() { Timestamp(bounds.min) } else { TimeRange::ALL.start };
    TimeRange::new(start, Timestamp(bounds.max.saturating_add(1)))
}

fn of_measurements(measurements: &[&Measurement]) -> Predicate {
    let one = |measurement: &&Measurement| match &measurement.pattern {
        Some(pattern) => Predicate::Compare(Subject::Measurement, Test::Matches(pattern.regex().clone())),
        None => measurement_is(&measurement.name),
    };
    match measurements {
        [] => Predicate::TRUE,
        [only] => one(only),
        several => Predicate::Or(several.iter().map(one).collect()),
    }
}

/// The condition as a predicate on tags; `None` when none of the measurements exists. What is a field in some
/// measurement cannot be asked.
fn tag_predicate(
    condition: Option<&Expr>,
    bucket: BucketId,
    measurements: &[&Measurement],
    resolver: &Resolver<'_>,
) -> Result<Option<Predicate>, Error> {
    let is_meant = |name: &str| {
        measurements.is_empty()
            || measurements.iter().any(|m| m.pattern.as_ref().map_or(m.name == name, |p| p.is_match(name)))
    };
    resolver.catalog.get(|state| {
        let mut found = None;
        for name in state.measurements(bucket).filter(|name| is_meant(name)) {
            let kind = |var: &VarRef| match (var.kind, state.field_type(bucket, name, &var.name)) {
                (Some(RefKind::Tag), _) | (None, None) => VarKind::Tag,
                (_, Some(field_type)) => VarKind::Field(field_type),
                (Some(_), None) => VarKind::Field(model::FieldType::Float),
            };
            found = match condition {
                None => Some(Predicate::TRUE),
                Some(expr) => match condition::tag_predicate(expr, &kind) {
                    None => return Error::invalid("fields not supported in WHERE clause during deletion"),
                    predicate => predicate,
                },
            };
            if condition.is_none() {
                break;
            }
        }
        Ok(found)
    })
}
