//! InfluxQL: statements in, series out, as InfluxDB 1.11 executes them.
//!
//! A request is parsed whole before anything runs. Statements run in order; the first that fails ends with an
//! error, those after it answer `not executed`. A SELECT is compiled against the catalog (`plan`, `names`,
//! `schema`, `condition`, `function`) and then run over the blocks of scans (`execute`, `aggregate`, `points`).

mod aggregate;
mod block;
mod cardinality;
mod condition;
mod continuous;
mod delete;
mod execute;
mod explain;
mod expr;
mod function;
mod holt_winters;
mod internals;
mod into;
mod lasting;
mod measurements;
mod names;
mod plan;
mod points;
mod rights;
mod rows;
mod schema;
mod shards;
mod show;
mod slices;
mod summary;
mod technical;
mod types;
mod users;
mod validate;
mod value;
mod window;

use std::sync::Arc;
use std::time::Duration;

use influxql::Param;
use influxql::ast::{
    ContinuousQuery, CreateDatabase, DropKind, GlobalList, Grant, RetentionPolicy, Select, Statement,
};
use memory::Account;
use model::{BucketId, Clock, Deletion, OrgId, Timestamp};

pub use continuous::{Due, Schedule};
pub use execute::Series;
pub use internals::Internals;
pub use rights::Caller;
pub(crate) use schema::measurement_is;
pub use shards::{KnownShard, KnownShards, shard_id};
pub use users::{DatabaseGrant, KnownUser};

use crate::error::{Error, Stopped};
use crate::limits::{Budget, Limits};
use crate::profile::Profiler;
use crate::source::ScanSource;
use crate::view::CatalogView;
use schema::Resolver;

/// What a request runs in.
pub struct InfluxqlContext<'a> {
    /// Names and types.
    pub catalog: &'a dyn CatalogView,
    /// Data.
    pub source: &'a dyn ScanSource,
    /// The organization.
    pub org: OrgId,
    /// The database of statements that name none.
    pub database: Option<&'a str>,
    /// The retention policy of statements that name none.
    pub retention_policy: Option<&'a str>,
    /// Bound parameters.
    pub params: &'a [(String, Param)],
    /// What `now()` is; also decides what has expired.
    pub now: Timestamp,
    /// Measures the query's own time.
    pub clock: &'a dyn Clock,
    /// Which buckets may be read; `None` is all of the organization.
    pub readable: Option<&'a [BucketId]>,
    /// Which buckets may be deleted from; `None` is all of the organization.
    pub writable: Option<&'a [BucketId]>,
    /// Who asks.
    pub caller: Caller<'a>,
    /// The request came by GET: statements that write run, with a warning.
    pub read_only: bool,
    /// Limits of the whole request.
    pub limits: Limits,
    /// The memory of all queries.
    pub memory: &'a Arc<Account>,
    /// Asked at every block whether to stop.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
    /// What statements change.
    pub effects: &'a dyn Effects,
    /// Records what the parts of a query take.
    pub profiler: &'a dyn Profiler,
}

/// What statements change, done by whoever has the data. Errors are shown to the client.
pub trait Effects: Sync {
    /// Creates a database that does not exist.
    fn create_database(&self, statement: &CreateDatabase) -> Result<(), String>;
    /// Deletes points; returns when no query sees them any more.
    fn delete(&self, deletion: Deletion) -> Result<(), String>;
    /// Drops a database with all that it holds, if it exists.
    fn drop_database(&self, name: &str) -> Result<(), String>;
    /// Writes points in line protocol, with times in nanoseconds; returns when every query sees them.
    fn write(&self, bucket: BucketId, lines: &str) -> Result<(), String>;
    /// The queries of the organization that run on any node, for who may know.
    fn running(&self) -> Result<RunningQueries, String>;
    /// Ends one of them, on whichever node it runs, or on this one.
    fn kill(&self, id: u64, host: Option<&str>) -> Result<(), String>;
    /// The shards of all buckets on all nodes.
    fn shards(&self) -> Result<KnownShards, String>;
    /// What the node that is asked counts of itself, or what it says of itself, module by module.
    fn internals(&self, diagnostics: bool) -> Vec<Internals>;
    /// Creates a retention policy; one that exists must be as the statement says.
    fn create_retention_policy(&self, policy: &RetentionPolicy) -> Result<(), String>;
    /// Changes what the statement names of a retention policy.
    fn alter_retention_policy(&self, policy: &RetentionPolicy) -> Result<(), String>;
    /// Drops a retention policy with all that it holds, if it exists.
    fn drop_retention_policy(&self, database: &str, name: &str) -> Result<(), String>;
    /// Creates a continuous query, which names every database and policy; one that exists must be the same.
    fn create_continuous_query(&self, query: &ContinuousQuery) -> Result<(), String>;
    /// Drops a continuous query, if it exists.
    fn drop_continuous_query(&self, database: &str, name: &str) -> Result<(), String>;
    /// Creates a user; one that exists must have this password and rank.
    fn create_user(&self, name: &str, password: &str, is_admin: bool) -> Result<(), String>;
    /// Drops a user.
    fn drop_user(&self, name: &str) -> Result<(), String>;
    /// Changes a user's password.
    fn set_password(&self, name: &str, password: &str) -> Result<(), String>;
    /// Gives or takes a right.
    fn grant(&self, grant: &Grant) -> Result<(), String>;
    /// The users of the organization, by name.
    fn users(&self) -> Result<Vec<KnownUser>, String>;
    /// What a user was granted, by database.
    fn grants_of(&self, user: &str) -> Result<Vec<DatabaseGrant>, String>;
}

/// A query that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningQuery {
    /// Its number, by which it can be ended.
    pub id: u64,
    /// Its text.
    pub text: String,
    /// The database that it is asked of; empty where it names its own.
    pub database: String,
    /// For how long it has run.
    pub took: Duration,
    /// Whether it was told to end.
    pub is_killed: bool,
}

/// The queries that run, as far as nodes have answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunningQueries {
    /// By number.
    pub queries: Vec<RunningQuery>,
    /// The nodes that have not answered.
    pub silent: Vec<String>,
}

impl std::fmt::Debug for InfluxqlContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InfluxqlContext")
            .field("org", &self.org)
            .field("database", &self.database)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What a request answers, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// Statement number n begins (from 0).
    Statement(usize),
    /// A warning about the current statement.
    Warning(String),
    /// A series of the current statement.
    Series(Series),
    /// The current statement failed.
    Error(String),
}

/// Runs a request, and answers whether what it has said lasts: asked again, it would say the same as long as the catalog
/// and the points that it has read are the same. Only errors of the whole request are `Err`: the text does not parse,
/// something is out of reach, the query was cancelled, or the receiver went away.
pub fn run_influxql(
    text: &str,
    context: &InfluxqlContext<'_>,
    sink: &mut dyn FnMut(Item) -> Result<(), Stopped>,
) -> Result<bool, Error> {
    let plan = trace::span("plan");
    let statements = influxql::parse(text, context.params)?;
    drop(plan);
    let budget = Budget::new(context.limits, context.memory, context.clock, context.cancelled);
    let resolver = resolver(context);
    statements.iter().try_for_each(|statement| rights::authorize(statement, &resolver, context))?;
    let (mut failed, mut has_erred) = (false, false);
    for (n, statement) in statements.iter().enumerate() {
        sink(Item::Statement(n))?;
        if failed {
            sink(Item::Error("not executed".to_owned()))?;
            continue;
        }
        let mut silent = Vec::new();
        let mut series = |series| Ok(sink(Item::Series(series))?);
        let result = execute(statement, context, &budget, &mut series, &mut silent);
        budget.release_all();
        for node in silent {
            sink(Item::Warning(format!("node {node} does not answer: what it has is missing")))?;
        }
        match result {
            Ok(()) if context.read_only && statement.writes() => sink(Item::Warning(format!(
                "deprecated use of '{statement}' in a read only context, please use a POST request instead"
            )))?,
            Ok(()) => {}
            Err(error @ (Error::Stopped | Error::Cancelled)) => return Err(error),
            // The whole request can be sent again.
            Err(Error::Scan(error)) if error.is_passing() => return Err(error.into()),
            Err(error) => {
                tracing::debug!(statement = n, %error, "InfluxQL statement failed");
                failed = !matches!(statement, Statement::Show(show) if show::lets_go_on(show, &resolver));
                has_erred = true;
                sink(Item::Error(error.to_string()))?;
            }
        }
    }
    Ok(!has_erred && statements.iter().all(lasting::lasts))
}

/// Whether a database or a retention policy may have a name: as in InfluxDB, one that could be a directory's.
fn is_name(name: &str) -> bool {
    let is_printable = |c: char| c == ' ' || !(c.is_control() || c.is_whitespace());
    !matches!(name, "" | "." | "..") && name.chars().all(|c| is_printable(c) && c != '/' && c != '\\')
}

fn resolver<'a>(context: &InfluxqlContext<'a>) -> Resolver<'a> {
    Resolver {
        catalog: context.catalog,
        source: context.source,
        org: context.org,
        database: context.database,
        retention_policy: context.retention_policy,
        readable: context.readable,
        now: context.now,
    }
}

/// Runs a statement. Nodes that should have answered and have not are added to `silent`.
fn execute(
    statement: &Statement,
    context: &InfluxqlContext<'_>,
    budget: &Budget<'_>,
    sink: &mut execute::SeriesSink<'_>,
    silent: &mut Vec<String>,
) -> Result<(), Error> {
    let resolver = resolver(context);
    let delete_all = |deletions: Vec<Deletion>| {
        deletions.into_iter().try_for_each(|d| context.effects.delete(d)).map_err(Error::Invalid)
    };
    match statement {
        Statement::Select(select) => match &select.target {
            Some(target) => into::run(select, target, &resolver, budget, context, sink),
            None => run_select(select, &resolver, budget, sink),
        },
        Statement::Explain { analyze: false, select } => {
            explain::explain(select, &resolver, budget, context, sink, silent)
        }
        Statement::Explain { analyze: true, select } => {
            explain::analyze(select, &resolver, budget, context, sink)
        }
        Statement::Show(show) => show::show(show, &resolver, budget, sink),
        Statement::ShowGlobal(GlobalList::Queries) => {
            let running = context.effects.running().map_err(Error::Invalid)?;
            silent.extend(running.silent);
            show::show_queries(&running.queries, sink)
        }
        Statement::KillQuery { id, host } => {
            context.effects.kill(*id, host.as_deref()).map_err(Error::Invalid)
        }
        Statement::ShowGlobal(list @ (GlobalList::Shards | GlobalList::ShardGroups)) => {
            let known = context.effects.shards().map_err(Error::Invalid)?;
            silent.extend(known.silent.iter().cloned());
            match list {
                GlobalList::Shards => shards::show(&known, &resolver, sink),
                _ => shards::show_groups(&known, &resolver, sink),
            }
        }
        Statement::DropShard(id) => {
            delete_all(shards::of_id(*id, &context.effects.shards().map_err(Error::Invalid)?, &resolver)?)
        }
        Statement::ShowInternals { diagnostics, module } => {
            internals::show(context.effects.internals(*diagnostics), module.as_deref(), sink)
        }
        Statement::ShowGlobal(GlobalList::Databases) => {
            show::show_databases(&resolver, context.writable, sink)
        }
        Statement::CreateDatabase(create) => {
            let mut create = create.clone();
            if let Some(policy) = &mut create.policy {
                // The empty name is none.
                policy.name = policy.name.take().filter(|name| !name.is_empty());
            }
            let policy = create.policy.as_ref().and_then(|policy| policy.name.as_deref());
            if !is_name(&create.name) || !policy.is_none_or(is_name) {
                return Error::invalid("invalid name");
            }
            context.effects.create_database(&create).map_err(Error::Invalid)
        }
        Statement::Delete(selection) => delete_all(delete::of_selection(selection, true, &resolver)?),
        Statement::DropSeries(selection) => delete_all(delete::of_selection(selection, false, &resolver)?),
        Statement::Drop { kind: DropKind::Measurement, name, .. } => {
            delete_all(delete::of_measurement(name, &resolver)?)
        }
        Statement::Drop { kind: DropKind::Database, name, .. } => {
            context.effects.drop_database(name).map_err(Error::Invalid)
        }
        Statement::CreateRetentionPolicy(policy) => {
            if !is_name(&policy.name) {
                return Error::invalid("invalid name");
            }
            context.effects.create_retention_policy(policy).map_err(Error::Invalid)
        }
        Statement::AlterRetentionPolicy(policy) => {
            context.effects.alter_retention_policy(policy).map_err(Error::Invalid)
        }
        Statement::Drop { kind: DropKind::RetentionPolicy, name, database } => {
            let database = database.as_deref().unwrap_or_default();
            context.effects.drop_retention_policy(database, name).map_err(Error::Invalid)
        }
        Statement::CreateContinuousQuery(query) => {
            let query = continuous::qualified(query, &resolver)?;
            context.effects.create_continuous_query(&query).map_err(Error::Invalid)
        }
        Statement::Drop { kind: DropKind::ContinuousQuery, name, database } => {
            let database = database.as_deref().unwrap_or_default();
            context.effects.drop_continuous_query(database, name).map_err(Error::Invalid)
        }
        Statement::ShowGlobal(GlobalList::ContinuousQueries) => continuous::show(&resolver, sink),
        Statement::CreateUser { name, password, admin } => {
            context.effects.create_user(name, password, *admin).map_err(Error::Invalid)
        }
        Statement::Drop { kind: DropKind::User, name, .. } => {
            context.effects.drop_user(name).map_err(Error::Invalid)
        }
        Statement::SetPassword { name, password } => {
            context.effects.set_password(name, password).map_err(Error::Invalid)
        }
        Statement::Grant(grant) => context.effects.grant(grant).map_err(Error::Invalid),
        Statement::ShowGlobal(GlobalList::Users) => {
            users::show(&context.effects.users().map_err(Error::Invalid)?, sink)
        }
        Statement::ShowGrants { user } => {
            users::show_grants(&context.effects.grants_of(user).map_err(Error::Invalid)?, sink)
        }
        other => Error::invalid(format!("not implemented: {}", kind_of(other))),
    }
}

fn run_select(
    select: &Select,
    resolver: &Resolver<'_>,
    budget: &Budget<'_>,
    sink: &mut execute::SeriesSink<'_>,
) -> Result<(), Error> {
    let plan = plan::compile(select, resolver, None)?;
    slices::answer(&plan, resolver, budget, &mut |mut series| {
        series.zone.clone_from(&plan.zone);
        value::null_what_is_no_number(&mut series.frame);
        sink(series)
    })
}

/// The statement's words, for messages.
fn kind_of(statement: &Statement) -> String {
    let text = match statement {
        Statement::Select(_) => "SELECT",
        Statement::Explain { analyze: true, .. } => "EXPLAIN ANALYZE",
        Statement::Explain { .. } => "EXPLAIN",
        Statement::Delete(_) => "DELETE",
        Statement::DropSeries(_) => "DROP SERIES",
        Statement::Show(_) => "SHOW",
        Statement::ShowGlobal(list) => return format!("SHOW {list}"),
        Statement::ShowGrants { .. } => "SHOW GRANTS",
        Statement::ShowInternals { diagnostics: true, .. } => "SHOW DIAGNOSTICS",
        Statement::ShowInternals { .. } => "SHOW STATS",
        Statement::CreateDatabase(_) => "CREATE DATABASE",
        Statement::CreateRetentionPolicy(_) => "CREATE RETENTION POLICY",
        Statement::AlterRetentionPolicy(_) => "ALTER RETENTION POLICY",
        Statement::CreateContinuousQuery(_) => "CREATE CONTINUOUS QUERY",
        Statement::CreateSubscription { .. } => "CREATE SUBSCRIPTION",
        Statement::DropSubscription(_) => "DROP SUBSCRIPTION",
        Statement::CreateUser { .. } => "CREATE USER",
        Statement::SetPassword { .. } => "SET PASSWORD",
        Statement::Grant(grant) if grant.revoke => "REVOKE",
        Statement::Grant(_) => "GRANT",
        Statement::Drop { kind, .. } => match kind {
            DropKind::Database => "DROP DATABASE",
            DropKind::Measurement => "DROP MEASUREMENT",
            DropKind::User => "DROP USER",
            DropKind::RetentionPolicy => "DROP RETENTION POLICY",
            DropKind::ContinuousQuery => "DROP CONTINUOUS QUERY",
        },
        Statement::DropShard(_) => "DROP SHARD",
        Statement::KillQuery { .. } => "KILL QUERY",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests;
