//! Who may run a statement. Asked of all statements of a request before the first of them runs.

use std::collections::BTreeSet;

use influxql::ast::{DropKind, GlobalList, Measurement, NameOrAll, Select, Source, Statement, Target};

use super::delete::{buckets, places};
use super::schema::Resolver;
use super::{InfluxqlContext, show};
use crate::error::Error;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Its name, for messages; empty where nobody has to say who he is.
    pub name: &'a str,
    /// Whether it looks after the whole organization, its users included.
    pub is_admin: bool,
    /// Whether it may make databases and change retention policies.
    pub may_create: bool,
}

/// Refuses what the caller must not do.
pub(super) fn authorize(
    statement: &Statement,
    resolver: &Resolver<'_>,
    context: &InfluxqlContext<'_>,
) -> Result<(), Error> {
    let refused = |requires: &str| {
        let name = context.caller.name;
        let (name, space) = (name, if name.is_empty() { "" } else { " " });
        Err(Error::Forbidden(format!(
            "{name}{space}not authorized to execute statement '{statement}', requires {requires}"
        )))
    };
    let Caller { is_admin, may_create, .. } = context.caller;
    if !is_admin && needs_admin(statement) || !may_create && changes_databases(statement) {
        return refused("admin privilege");
    }
    if let Some(database) = database_read(statement, resolver) {
        return refused(&format!("READ on {database}"));
    }
    match database_written(statement, resolver, context) {
        Some(database) => refused(&format!("WRITE on {database}")),
        None => Ok(()),
    }
}

/// Whether only those may run a statement who look after the whole organization.
const fn needs_admin(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::CreateContinuousQuery(_)
            | Statement::Drop { kind: DropKind::ContinuousQuery, .. }
            | Statement::CreateUser { .. }
            | Statement::SetPassword { .. }
            | Statement::Grant(_)
            | Statement::ShowGrants { .. }
            | Statement::ShowGlobal(GlobalList::Users | GlobalList::Shards | GlobalList::ShardGroups)
            | Statement::ShowInternals { .. }
            | Statement::DropShard(_)
            | Statement::Drop { kind: DropKind::User, .. }
    )
}

/// Whether a statement makes databases, or changes retention policies.
const fn changes_databases(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::CreateDatabase(_)
            | Statement::CreateRetentionPolicy(_)
            | Statement::AlterRetentionPolicy(_)
            | Statement::Drop { kind: DropKind::RetentionPolicy, .. }
    )
}

/// A database that a statement reads and the caller must not read.
fn database_read<'a>(statement: &'a Statement, resolver: &Resolver<'a>) -> Option<&'a str> {
    let readable = resolver.readable?;
    let own = resolver.database.unwrap_or_default();
    // What does not exist is said when the statement runs.
    match statement {
        Statement::Select(select) | Statement::Explain { select, .. } => {
            let is_refused = |measurement: &&Measurement| {
                resolver.target(measurement).is_ok_and(|id| !readable.contains(&id))
            };
            let refused = measurements(select).into_iter().find(is_refused)?;
            Some(refused.database.as_deref().unwrap_or(own))
        }
        Statement::Show(show) => {
            let named = match &show.database {
                Some(NameOrAll::Name(name)) => Some(name.as_str()),
                Some(NameOrAll::All) => None,
                None => Some(own),
            };
            let of_sources = show.sources.iter().filter_map(|source| match source {
                Source::Measurement(measurement) => measurement.database.as_deref(),
                Source::Subquery(_) => None,
            });
            named.into_iter().chain(of_sources).find(|database| {
                let buckets = show::buckets_of(resolver, database, None).unwrap_or_default();
                !buckets.is_empty() && buckets.iter().all(|id| !readable.contains(id))
            })
        }
        _ => None,
    }
}

/// What a SELECT and its subqueries read.
fn measurements(select: &Select) -> Vec<&Measurement> {
    let mut found = Vec::new();
    for source in &select.sources {
        match source {
            Source::Measurement(measurement) => found.push(measurement),
            Source::Subquery(inner) => found.extend(measurements(inner)),
        }
    }
    found
}

/// The database that a statement deletes in, or writes to, where the caller must not write to it.
fn database_written<'a>(
    statement: &'a Statement,
    resolver: &Resolver<'a>,
    context: &InfluxqlContext<'_>,
) -> Option<&'a str> {
    let writable = context.writable?;
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
            let Select { target: Some(Target { measurement }), .. } = &**select else { return None };
            database = measurement.database.as_deref().unwrap_or(database);
            resolver.target(measurement).map(|id| BTreeSet::from([id]))
        }
        _ => return None,
    };
    // What does not exist is said when the statement runs.
    let is_refused = !meant.unwrap_or_default().iter().all(|id| writable.contains(id));
    is_refused.then_some(database)
}
