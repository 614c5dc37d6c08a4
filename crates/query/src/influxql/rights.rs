//! Who may run a statement. Asked of all statements of a request before the first of them runs.

use std::collections::BTreeSet;

use influxql::ast::{
    DropKind, GlobalList, Measurement, NameOrAll, Select, ShowKind, Source, Statement, Target,
};

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
    /// Whether it may make databases, change retention policies, and see and end queries.
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
    if !is_admin && needs_admin(statement) || !may_create && needs_manager(statement) {
        return refused("admin privilege");
    }
    if let Some(database) = database_read(statement, resolver)? {
        return refused(&format!("READ on {database}"));
    }
    match database_written(statement, resolver, context)? {
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

/// Whether a statement makes databases, changes retention policies, or is about the queries of others.
const fn needs_manager(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::ShowGlobal(GlobalList::Queries)
            | Statement::KillQuery { .. }
            | Statement::CreateDatabase(_)
            | Statement::CreateRetentionPolicy(_)
            | Statement::AlterRetentionPolicy(_)
            | Statement::Drop { kind: DropKind::RetentionPolicy, .. }
    )
}

/// What was found; what does not exist is nothing here, and is said when the statement runs.
fn if_there<T: Default>(found: Result<T, Error>) -> Result<T, Error> {
    match found {
        Err(Error::NotFound(_) | Error::Invalid(_)) => Ok(T::default()),
        found => found,
    }
}

/// A database that a statement reads and the caller must not read. Who must not read anything of a database is not told
/// either whether it exists, and has a policy of some name.
fn database_read<'a>(statement: &'a Statement, resolver: &Resolver<'a>) -> Result<Option<&'a str>, Error> {
    let Some(readable) = resolver.readable else { return Ok(None) };
    let own = resolver.database.unwrap_or_default();
    let named = |measurement: &'a Measurement| measurement.database.as_deref().unwrap_or(own);
    let reads_some = |database: &str| {
        let buckets = if_there(show::buckets_of(resolver, database, None))?;
        Ok::<_, Error>(buckets.iter().any(|id| readable.contains(id)))
    };
    let reads = |measurement: &Measurement| match if_there(resolver.target(measurement).map(Some))? {
        Some(id) => Ok(readable.contains(&id)),
        None => reads_some(measurement.database.as_deref().unwrap_or(own)),
    };
    match statement {
        Statement::Select(select) | Statement::Explain { select, .. } => {
            for measurement in measurements(select) {
                if !reads(measurement)? {
                    // Without a name there is nothing to be refused.
                    return Ok(Some(named(measurement)).filter(|database| !database.is_empty()));
                }
            }
            Ok(None)
        }
        Statement::Show(show) => {
            let database = match &show.database {
                Some(NameOrAll::Name(name)) => name.as_str(),
                Some(NameOrAll::All) => return Ok(None),
                None => own,
            };
            // Lists of measurements, tags and policies are of all policies, others of the default one.
            let is_of_all = matches!(
                show.kind,
                ShowKind::Measurements { .. }
                    | ShowKind::TagKeys { .. }
                    | ShowKind::TagValues { .. }
                    | ShowKind::RetentionPolicies
            );
            if show.sources.is_empty() && !database.is_empty() {
                let default = Measurement { database: Some(database.to_owned()), ..Measurement::default() };
                let is_read = if is_of_all { reads_some(database)? } else { reads(&default)? };
                return Ok((!is_read).then_some(database));
            }
            for source in &show.sources {
                let Source::Measurement(measurement) = source else { continue };
                let database = named(measurement);
                let is_any = is_of_all && measurement.retention_policy.is_none();
                let is_read = if is_any { reads_some(database)? } else { reads(measurement)? };
                if !is_read && !database.is_empty() {
                    return Ok(Some(database));
                }
            }
            Ok(None)
        }
        Statement::ShowGlobal(GlobalList::ContinuousQueries) if !own.is_empty() => {
            Ok((!reads_some(own)?).then_some(own))
        }
        _ => Ok(None),
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
) -> Result<Option<&'a str>, Error> {
    let Some(writable) = context.writable else { return Ok(None) };
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
            let Some(Target { measurement }) = &select.target else { return Ok(None) };
            database = measurement.database.as_deref().unwrap_or(database);
            resolver.target(measurement).map(|id| BTreeSet::from([id]))
        }
        _ => return Ok(None),
    };
    let is_refused = !if_there(meant)?.iter().all(|id| writable.contains(id));
    Ok(is_refused.then_some(database))
}
