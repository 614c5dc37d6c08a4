//! Continuous queries: what is kept of one, when it is due, and for which windows.
//!
//! ```text
//!  every                 how often it runs: RESAMPLE EVERY, or the windows of GROUP BY time
//!  for                   how far back it looks: RESAMPLE FOR, or one window, or `every` where that is longer
//!  due at                the end of `every` after the last run
//!  range                 whole windows, from `for` before the run that is due until now; what was missed since is in it
//! ```
//! Times are cut as the windows of the query are: by its offset, in its zone.

use influxql::ast::{Binary, ContinuousQuery, Expr, Operator, Select, Source, Statement, VarRef};
use jiff::tz::TimeZone;
use model::{TimeRange, Timestamp};

use super::condition::{self, TimeContext};
use super::execute::{Series, SeriesSink, text_frame};
use super::schema::Resolver;
use super::window::Windows;
use super::{plan, show};
use crate::error::Error;

/// Windows beyond those of RESAMPLE FOR that one run catches up with; the next run goes on from there.
const CAUGHT_UP_MAX: i64 = 1000;

/// When a continuous query runs, and what.
#[derive(Debug, Clone)]
pub struct Schedule {
    windows: Windows,
    every: i64,
    back: i64,
    select: Select,
}

/// A run that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The windows to compute.
    pub range: TimeRange,
    /// The moment that it stands for, to be noted when it has run.
    pub at: Timestamp,
}

impl Schedule {
    /// Of the statement that made a query; `None` when the query has no windows, and so never runs.
    ///
    /// # Errors
    /// The statement is none, or its windows make no sense.
    pub fn of(text: &str) -> Result<Option<Self>, Error> {
        let statements = influxql::parse(text, &[])?;
        let [Statement::CreateContinuousQuery(query)] = statements.as_slice() else {
            return Error::invalid("query isn't a valid continuous query");
        };
        let select = query.select.clone();
        let zone = match &select.timezone {
            None => None,
            Some(name) => match TimeZone::get(name) {
                Ok(zone) => Some(zone),
                Err(_) => return Error::invalid(format!("unable to find time zone {name}")),
            },
        };
        let time = TimeContext { now: Timestamp(0), zone: zone.clone() };
        let (interval, offset) = plan::interval(&select.dimensions, &time)?;
        if interval == 0 {
            return Ok(None);
        }
        let every = query.every.filter(|every| *every > 0).unwrap_or(interval);
        let back = query.resample_for.filter(|back| *back > 0).unwrap_or_else(|| interval.max(every));
        Ok(Some(Self { windows: Windows { every: interval, offset, zone }, every, back, select }))
    }

    /// The run that is due, after one at `last`.
    pub fn due(&self, now: Timestamp, last: Timestamp) -> Option<Due> {
        let next = self.next(last.0);
        if next > now.0 {
            return None;
        }
        let interval = self.windows.every;
        let start = self.windows.of(next.saturating_add(interval - 1).saturating_sub(self.back)).0;
        let end = self.windows.of(now.0.saturating_add(interval - self.every.min(interval))).0;
        let most = (self.back / interval).saturating_add(CAUGHT_UP_MAX).saturating_mul(interval);
        let (end, at) = match start.saturating_add(most) {
            most if most < end => (most, Timestamp(most)),
            _ => (end, now),
        };
        let range = TimeRange::new(Timestamp(start), Timestamp(end));
        (start < end).then(|| Due { range, at: self.beginning(at) })
    }

    /// The moment that runs count from that was last before `now`: what a query that is new last ran at.
    pub fn beginning(&self, now: Timestamp) -> Timestamp {
        let runs = Windows { every: self.every, ..self.windows.clone() };
        Timestamp(runs.of(now.0).0)
    }

    /// When the run after one is due; where the clocks change in between, the run moves with them.
    fn next(&self, last: i64) -> i64 {
        let next = last.saturating_add(self.every);
        let change = self.windows.zone_offset(last.saturating_sub(1))
            - self.windows.zone_offset(next.saturating_sub(1));
        if change.abs() < self.every { next.saturating_add(change) } else { next }
    }

    /// The statement that computes some windows. What the query itself says of time gives way.
    ///
    /// # Errors
    /// The query's condition makes no sense.
    pub fn statement(&self, range: TimeRange) -> Result<String, Error> {
        let time = TimeContext { now: range.end, zone: self.windows.zone.clone() };
        let bound = |op, at: Timestamp| {
            let lhs = Expr::Var(VarRef { name: "time".to_owned(), kind: None });
            Expr::Binary(Box::new(Binary { op, lhs, rhs: Expr::Integer(at.0) }))
        };
        let and = |lhs, rhs| Expr::Binary(Box::new(Binary { op: Operator::And, lhs, rhs }));
        let bounds = and(bound(Operator::GreaterEq, range.start), bound(Operator::Less, range.end));
        let mut select = self.select.clone();
        let rest = match &select.condition {
            Some(condition) => condition::split_time(condition, &time)?.0,
            None => None,
        };
        select.condition = Some(match rest {
            Some(rest) => and(Expr::Paren(Box::new(rest)), bounds),
            None => bounds,
        });
        Ok(select.to_string())
    }
}

/// A query with every database and retention policy named that it means now.
pub(super) fn qualified(query: &ContinuousQuery, resolver: &Resolver<'_>) -> Result<ContinuousQuery, Error> {
    show::default_policy(resolver, &query.database)?;
    let mut query = query.clone();
    let database = query.database.clone();
    qualify(&mut query.select, &database, resolver)?;
    Ok(query)
}

fn qualify(select: &mut Select, database: &str, resolver: &Resolver<'_>) -> Result<(), Error> {
    let target = select.target.iter_mut().map(|target| &mut target.measurement);
    let mut measurements: Vec<_> = target.collect();
    for source in &mut select.sources {
        match source {
            Source::Measurement(measurement) => measurements.push(measurement),
            Source::Subquery(inner) => qualify(inner, database, resolver)?,
        }
    }
    for measurement in measurements {
        let named = measurement.database.get_or_insert_with(|| database.to_owned());
        let default = show::default_policy(resolver, named)?;
        measurement.retention_policy.get_or_insert(default);
    }
    Ok(())
}

/// SHOW CONTINUOUS QUERIES: a series for each database.
pub(super) fn show(resolver: &Resolver<'_>, sink: &mut SeriesSink<'_>) -> Result<(), Error> {
    for database in show::databases(resolver).into_keys() {
        let mut found: Vec<(Timestamp, Vec<String>)> = resolver.catalog.get(|state| {
            let own = state.continuous_queries().filter(|q| q.org == resolver.org && q.database == database);
            own.map(|q| (q.created_at, vec![q.name.clone(), q.text.clone()])).collect()
        });
        found.sort();
        let rows: Vec<Vec<String>> = found.into_iter().map(|(_, row)| row).collect();
        sink(Series::new(&database, text_frame(&["name", "query"], &rows)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
