//! Who may run a statement. Asked of all statements of a request before the first of them runs.

use std::collections::BTreeSet;

use influxql::ast::{DropKind, GlobalList, Select, Statement, Target};

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
    if !context.caller.is_admin && needs_admin(statement) {
        return refused("admin privilege");
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
