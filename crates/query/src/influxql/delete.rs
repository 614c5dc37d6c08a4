//! DELETE, DROP SERIES, DROP MEASUREMENT: whose points go.
//!
//! As in InfluxDB they mean all retention policies of a database unless one is named, fields in a condition are
//! refused, and what does not exist is gone already. A measurement that is a pattern stays one, so that a delete is as
//! short as it was written.

use std::collections::BTreeSet;

use influxql::ast::{Expr, Measurement, RefKind, Selection, Source, VarRef};
use model::{BucketId, Deletion, Predicate, Subject, Test, TimeRange, Timestamp};

use super::condition::{self, Bounds, TimeContext};
use super::expr::VarKind;
use super::schema::{Resolver, measurement_is};
use super::show;
use crate::error::Error;

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
pub(super) fn places<'a>(
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

pub(super) fn buckets(resolver: &Resolver<'_>, policy: Option<&str>) -> Result<BTreeSet<BucketId>, Error> {
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
