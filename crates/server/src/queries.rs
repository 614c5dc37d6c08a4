//! The gateway's query port: runs Flux and InfluxQL over the data of all partitions, within the limits of the
//! configuration. CREATE DATABASE makes a bucket; what statements delete goes the way of all deletes.

mod continuous;
mod databases;
mod internals;
mod policy;
mod profile;
mod running;
mod sql;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::Bytes;
use catalog::State;
use cluster::{Cluster, KillError};
use gateway::ports::{
    Asked, BoxFuture, FluxRequest, FluxTable, InfluxqlCaller, InfluxqlItem, InfluxqlParam, InfluxqlRequest,
    InfluxqlSeries, Keep, ListedQueries, ListedQuery, QueryError, QueryPort, SinkClosed, SqlDescription,
    SqlRequest, WritePort as _,
};
use influxql::ast::{ContinuousQuery, CreateDatabase, Grant, RetentionPolicy};
use memory::Memory;
use model::{
    BucketId, Clock, Consistency, Deletion, NodeId, OrgId, PartitionId, Precision, Reading, lineprotocol,
};
use query::influxql::{
    Caller, DatabaseGrant, Effects, InfluxqlContext, Internals, Item, KnownShard, KnownShards, KnownUser,
    RunningQueries, RunningQuery, run_influxql,
};
use query::{CatalogView, Limits, ScanError, Stopped};
use storage::Engine;
use tokio::runtime::Handle;
use trace::Tracer;

use crate::answers::{self, Answers, Before};
use crate::deletes::Deletes;
use crate::ports::{WriteAdapter, unavailable};
use crate::slow::{Language, Watched};
use crate::source::Source;
use crate::telemetry::Counters;

pub(crate) use continuous::Continuous;
use running::Listed;
pub(crate) use running::Running;
pub(crate) use sql::Operators;

/// Runs queries.
#[derive(Debug)]
pub(crate) struct QueryAdapter {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) source: Source,
    pub(crate) deletes: Deletes,
    pub(crate) writes: Arc<WriteAdapter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) memory: Arc<Memory>,
    /// The queries that run here.
    pub(crate) running: Arc<Running>,
    /// For proposals from a thread that may block.
    pub(crate) runtime: Handle,
    /// Records those that are explained.
    pub(crate) tracer: Tracer,
    /// Where the operators of SQL run: what computes for long keeps no connection and no group waiting.
    pub(crate) operators: Operators,
    /// How long a query takes that is logged as slow; zero for none.
    pub(crate) slow_after: Duration,
    /// Where slow queries are counted.
    pub(crate) counters: Arc<Counters>,
    /// Answers for who asks the same again.
    pub(crate) answers: Arc<Answers>,
}

/// The catalog's local copy, as a query sees it.
struct View<'a> {
    adapter: &'a QueryAdapter,
    consistency: Consistency,
    is_refreshed: AtomicBool,
}

impl CatalogView for View<'_> {
    fn with_state(&self, read: &mut dyn FnMut(&State)) {
        read(&self.adapter.cluster.catalog().read());
    }

    fn refresh(&self) -> Result<bool, ScanError> {
        let is_old = matches!(self.consistency, Consistency::Bounded(_) | Consistency::Any);
        if !is_old || self.is_refreshed.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let refreshed = host::wait(&self.adapter.runtime, self.adapter.cluster.read_barrier_meta());
        refreshed.map_err(|error| ScanError::NoCatalog(error.to_string()))?;
        self.is_refreshed.store(true, Ordering::Relaxed);
        Ok(true)
    }
}

/// What a query has come to, which somebody may have ended.
fn killed<T>(listed: &Listed<'_>, result: Result<T, QueryError>) -> Result<T, QueryError> {
    match result {
        Err(QueryError::Cancelled) if listed.is_killed() => {
            Err(QueryError::LimitReached("query interrupted".to_owned()))
        }
        other => other,
    }
}

/// The limits of a query that runs for at most `time_max` in at most `memory_bytes_max`.
pub(crate) const fn limits(memory_bytes_max: usize, windows_max: usize, time_max: Duration) -> Limits {
    Limits {
        memory_bytes_max,
        rows_max: 100_000_000,
        points_max: 10_000_000_000,
        series_max: 10_000_000,
        windows_max,
        time_max: Some(time_max),
    }
}

impl QueryPort for QueryAdapter {
    fn flux(
        &self,
        request: FluxRequest,
        sink: &mut dyn FnMut(FluxTable) -> Result<(), SinkClosed>,
    ) -> Result<(), QueryError> {
        let source = self.source.at(request.reading.clone());
        let watched = Watched::begin(self, Language::Flux, request.org, &source);
        let about = (request.org, request.script.as_str(), None);
        let listed = self.running.begin(about, request.cancel.clone());
        let script = request.script.clone();
        let result = killed(&listed, self.run_flux(request, &source, sink));
        watched.end(&script, result.as_ref().err().map(ToString::to_string));
        result
    }

    fn sql(
        &self,
        request: SqlRequest,
        sink: &mut dyn FnMut(RecordBatch) -> Result<(), SinkClosed>,
    ) -> Result<(), QueryError> {
        let source = self.source.at(request.reading.clone());
        let watched = Watched::begin(self, Language::Sql, request.org, &source);
        let about = (request.org, request.query.as_str(), Some(request.database.as_str()));
        let listed = self.running.begin(about, request.cancel.clone());
        let result = killed(&listed, self.run_sql(&request, source, sink));
        watched.end(&request.query, result.as_ref().err().map(ToString::to_string));
        result
    }

    fn describe_sql(&self, request: SqlRequest) -> Result<SqlDescription, QueryError> {
        self.plan_sql(&request)
    }

    fn influxql(
        &self,
        request: InfluxqlRequest,
        sink: &mut dyn FnMut(InfluxqlItem) -> Result<(), SinkClosed>,
    ) -> Result<Option<Keep>, QueryError> {
        let source = self.source.at(request.reading.clone());
        let watched = Watched::begin(self, Language::Influxql, request.org, &source);
        let asked = request.asked.clone();
        let before = asked.as_ref().and_then(|asked| self.before(asked));
        let params = params(&request);
        let text = influxql::redact(&request.query, &params).into_owned();
        let about = (request.org, text.as_str(), request.database.as_deref());
        let listed = self.running.begin(about, request.cancel.clone());
        let mut failed = None;
        let result = self.run_influxql(request, &source, &mut |item| {
            if let InfluxqlItem::Error(reason) = &item {
                failed.get_or_insert_with(|| reason.clone());
            }
            sink(item)
        });
        let result = killed(&listed, result);
        watched.end(&text, result.as_ref().err().map(ToString::to_string).or(failed));
        let lasts = result?;
        Ok(asked.filter(|_| lasts).map(|asked| {
            let (answers, scanned) = (Arc::clone(&self.answers), source.scanned());
            Box::new(move |answer| answers.keep(asked, before, &scanned.reach, answer)) as Keep
        }))
    }

    fn kept<'a>(
        &'a self,
        asked: &'a Asked,
        reading: &'a Reading,
    ) -> BoxFuture<'a, Result<Option<Bytes>, QueryError>> {
        Box::pin(async move {
            let known = self.answers.known(asked).filter(|known| known.has_answer());
            let Some(known) = known else { return Ok(None) };
            self.cluster.ready_catalog(reading).await.map_err(unavailable)?;
            let here = self.cluster.ready_to_read(reading).await.map_err(unavailable)?;
            let Some(engines) = self.source.engines_of_all(here) else { return Ok(None) };
            let answer = known.answer(&self.state(&engines));
            self.answers.count(answer.is_some());
            Ok(answer)
        })
    }

    fn running(&self, org: Option<OrgId>) -> BoxFuture<'_, ListedQueries> {
        Box::pin(async move {
            let all = self.cluster.running_queries(org).await;
            let one = |query: cluster::RunningQuery| ListedQuery {
                id: query.id,
                org: query.org.to_string(),
                text: query.text,
                database: query.database,
                seconds: query.took.as_secs_f64(),
                is_killed: query.is_killed,
            };
            ListedQueries {
                queries: all.queries.into_iter().map(one).collect(),
                silent_nodes: all.silent.into_iter().map(|node| node.to_string()).collect(),
            }
        })
    }

    fn kill(&self, org: Option<OrgId>, id: u64) -> BoxFuture<'_, Result<(), QueryError>> {
        Box::pin(async move {
            let killed = self.cluster.kill_query(org, id).await;
            killed.map_err(|error| match error {
                KillError::Unknown(_) => QueryError::NotFound(error.to_string()),
                KillError::Silent(_) => busy(error.to_string()),
            })
        })
    }
}

impl QueryAdapter {
    fn run_flux(
        &self,
        request: FluxRequest,
        source: &Source,
        sink: &mut dyn FnMut(FluxTable) -> Result<(), SinkClosed>,
    ) -> Result<(), QueryError> {
        let cancel = request.cancel.clone();
        let cancelled = move || cancel.is_cancelled();
        let view = self.view(&request.reading)?;
        let context = query::flux::FluxContext {
            catalog: &view,
            source,
            org: request.org,
            now: request.now.unwrap_or_else(|| self.clock.now()),
            clock: self.clock.as_ref(),
            readable: request.readable.as_deref(),
            limits: self.limits,
            memory: &self.memory.queries,
            cancelled: &cancelled,
        };
        let result = query::flux::run_flux(&request.script, &context, &mut |result, table, frame| {
            sink(FluxTable { result: result.into(), table, frame }).map_err(|SinkClosed| Stopped)
        });
        result.map_err(query_error)
    }

    /// What there is of the data that a question is known to read, when all partitions are here.
    fn before(&self, asked: &Asked) -> Option<Before> {
        let here = (0..self.cluster.partitions()).map(PartitionId).collect();
        let engines = self.source.engines_of_all(here)?;
        self.answers.before(asked, &self.state(&engines))
    }

    fn state<'a>(&'a self, engines: &'a [Arc<Engine>]) -> answers::State<'a> {
        answers::State { catalog: self.cluster.catalog(), engines, now: self.clock.now() }
    }

    fn run_influxql(
        &self,
        request: InfluxqlRequest,
        source: &Source,
        sink: &mut dyn FnMut(InfluxqlItem) -> Result<(), SinkClosed>,
    ) -> Result<bool, QueryError> {
        let cancel = request.cancel.clone();
        let cancelled = move || cancel.is_cancelled();
        let view = self.view(&request.reading)?;
        let params = params(&request);
        let caller = &request.caller;
        let effects = Changes { view: &view, org: request.org, caller };
        let context = InfluxqlContext {
            catalog: &view,
            source,
            org: request.org,
            database: request.database.as_deref(),
            retention_policy: request.retention_policy.as_deref(),
            params: &params,
            now: self.clock.now(),
            clock: self.clock.as_ref(),
            readable: request.readable.as_deref(),
            writable: request.writable.as_deref(),
            caller: Caller { name: &caller.name, is_admin: caller.is_admin, may_create: request.may_create },
            read_only: request.read_only,
            limits: self.limits,
            memory: &self.memory.queries,
            cancelled: &cancelled,
            effects: &effects,
            profiler: &profile::Recorder { adapter: self, org: request.org },
        };
        let result = run_influxql(&request.query, &context, &mut |item| {
            sink(match item {
                Item::Statement(n) => InfluxqlItem::Statement(n),
                Item::Warning(text) => InfluxqlItem::Warning(text),
                Item::Series(series) => InfluxqlItem::Series(InfluxqlSeries {
                    name: series.name.to_string(),
                    tags: series.tags,
                    frame: series.frame,
                    zone: series.zone,
                    is_whole: series.is_whole,
                }),
                Item::Error(text) => InfluxqlItem::Error(text),
            })
            .map_err(|SinkClosed| Stopped)
        });
        result.map_err(query_error)
    }
}

/// What the statements of one request may change.
struct Changes<'a> {
    view: &'a View<'a>,
    org: OrgId,
    caller: &'a InfluxqlCaller,
}

impl Changes<'_> {
    /// What changes users, after the catalog is as new as it can be.
    fn users_of(&self) -> Result<users::Users<'_>, String> {
        self.view.refresh().map_err(|error| error.to_string())?;
        Ok(users::Users { adapter: self.view.adapter, org: self.org, caller: self.caller })
    }

    /// What changes retention policies, after the catalog is as new as it can be.
    fn policies(&self) -> Result<&QueryAdapter, String> {
        self.view.refresh().map_err(|error| error.to_string())?;
        Ok(self.view.adapter)
    }
}

impl Effects for Changes<'_> {
    fn create_database(&self, statement: &CreateDatabase) -> Result<(), String> {
        self.view.refresh().map_err(|error| error.to_string())?;
        self.view.adapter.create_database(self.org, statement)
    }

    fn delete(&self, deletion: Deletion) -> Result<(), String> {
        let adapter = self.view.adapter;
        let done = host::wait(&adapter.runtime, adapter.deletes.delete(deletion));
        done.map(drop).map_err(|error| error.to_string())
    }

    fn drop_database(&self, name: &str) -> Result<(), String> {
        self.view.refresh().map_err(|error| error.to_string())?;
        self.view.adapter.drop_database(self.org, name)
    }

    fn write(&self, bucket: BucketId, lines: &str) -> Result<(), String> {
        let adapter = self.view.adapter;
        let found = adapter.cluster.catalog().read().bucket(bucket).map(|bucket| bucket.shard_duration_ns);
        let shard_duration_ns = found.ok_or("bucket not found")?;
        let options = lineprotocol::Options {
            bucket,
            shard_duration_ns,
            precision: Precision::Nanosecond,
            default_time: adapter.clock.now(),
            line_bytes_max: usize::MAX,
            string_bytes_max: usize::MAX,
        };
        let parsed = lineprotocol::parse(lines.as_bytes(), &options);
        if let Some(error) = parsed.errors.first() {
            return Err(error.message());
        }
        let done = host::wait(&adapter.runtime, adapter.writes.write(parsed.batch));
        done.map(drop).map_err(|error| error.to_string())
    }

    fn running(&self) -> Result<RunningQueries, String> {
        let adapter = self.view.adapter;
        let all = host::wait(&adapter.runtime, adapter.cluster.running_queries(Some(self.org)));
        let one = |query: cluster::RunningQuery| RunningQuery {
            id: query.id,
            text: query.text,
            database: query.database,
            took: query.took,
            is_killed: query.is_killed,
        };
        Ok(RunningQueries {
            queries: all.queries.into_iter().map(one).collect(),
            silent: all.silent.into_iter().map(|node| node.to_string()).collect(),
        })
    }

    fn kill(&self, id: u64, host: Option<&str>) -> Result<(), String> {
        let adapter = self.view.adapter;
        if let Some(host) = host {
            let state = adapter.cluster.catalog().read();
            if !state.nodes().any(|node| cluster::is_at(node.id, id) && is_called(node, host)) {
                return Err(format!("no such query id: {id}"));
            }
        }
        let killed = host::wait(&adapter.runtime, adapter.cluster.kill_query(Some(self.org), id));
        killed.map_err(|error| error.to_string())
    }

    fn shards(&self) -> Result<KnownShards, String> {
        let adapter = self.view.adapter;
        let all = host::wait(&adapter.runtime, adapter.cluster.shards());
        let one = |(node, shard): (NodeId, cluster::HeldShard)| KnownShard {
            bucket: shard.bucket,
            range: shard.range,
            owner: node.get(),
        };
        Ok(KnownShards {
            shards: all.held.into_iter().map(one).collect(),
            silent: all.silent.into_iter().map(|node| node.to_string()).collect(),
        })
    }

    fn internals(&self, diagnostics: bool) -> Vec<Internals> {
        match diagnostics {
            true => self.view.adapter.diagnostics(),
            false => self.view.adapter.stats(self.org),
        }
    }

    fn create_retention_policy(&self, policy: &RetentionPolicy) -> Result<(), String> {
        self.policies()?.create_policy(self.org, policy)
    }

    fn alter_retention_policy(&self, policy: &RetentionPolicy) -> Result<(), String> {
        self.policies()?.alter_policy(self.org, policy)
    }

    fn drop_retention_policy(&self, database: &str, name: &str) -> Result<(), String> {
        self.policies()?.drop_policy(self.org, database, name)
    }

    fn create_continuous_query(&self, query: &ContinuousQuery) -> Result<(), String> {
        self.view.refresh().map_err(|error| error.to_string())?;
        self.view.adapter.create_continuous_query(self.org, query)
    }

    fn drop_continuous_query(&self, database: &str, name: &str) -> Result<(), String> {
        self.view.refresh().map_err(|error| error.to_string())?;
        self.view.adapter.drop_continuous_query(self.org, database, name)
    }

    fn create_user(&self, name: &str, password: &str, is_admin: bool) -> Result<(), String> {
        self.users_of()?.create(name, password, is_admin)
    }

    fn drop_user(&self, name: &str) -> Result<(), String> {
        self.users_of()?.drop(name)
    }

    fn set_password(&self, name: &str, password: &str) -> Result<(), String> {
        self.users_of()?.set_password(name, password)
    }

    fn grant(&self, grant: &Grant) -> Result<(), String> {
        self.users_of()?.grant(grant)
    }

    fn users(&self) -> Result<Vec<KnownUser>, String> {
        Ok(self.users_of()?.list())
    }

    fn grants_of(&self, user: &str) -> Result<Vec<DatabaseGrant>, String> {
        self.users_of()?.grants_of(user)
    }
}

/// Whether a node is meant by its id, its address, or the host in that.
fn is_called(node: &catalog::ClusterNode, name: &str) -> bool {
    let address = node.info.address.as_str();
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    node.id.to_string() == name || address == name || host == name
}

impl QueryAdapter {
    /// Names that a query does not find are believed missing, so the catalog is made as new as it demands before it
    /// runs.
    fn view(&self, reading: &Reading) -> Result<View<'_>, QueryError> {
        host::wait(&self.runtime, self.cluster.ready_catalog(reading)).map_err(unavailable)?;
        let is_refreshed = AtomicBool::new(false);
        Ok(View { adapter: self, consistency: reading.consistency, is_refreshed })
    }
}

fn params(request: &InfluxqlRequest) -> Vec<(String, influxql::Param)> {
    request.params.iter().map(|(name, value)| (name.clone(), param(value))).collect()
}

fn param(value: &InfluxqlParam) -> influxql::Param {
    match value {
        InfluxqlParam::String(text) => influxql::Param::String(text.clone()),
        InfluxqlParam::Float(value) => influxql::Param::Float(*value),
        InfluxqlParam::Integer(value) => influxql::Param::Integer(*value),
        InfluxqlParam::Boolean(value) => influxql::Param::Boolean(*value),
        InfluxqlParam::Identifier(name) => influxql::Param::Identifier(name.clone()),
        InfluxqlParam::Regex(source) => influxql::Param::Regex(source.clone()),
        InfluxqlParam::Duration(text) => influxql::Param::Duration(text.clone()),
        InfluxqlParam::Unusable(reason) => influxql::Param::Unusable(reason.clone()),
    }
}

fn query_error(error: query::Error) -> QueryError {
    use query::Error;
    match error {
        Error::Flux(error) => flux_error(&error),
        Error::Parse(_) | Error::Invalid(_) => QueryError::Invalid(error.to_string()),
        Error::NotFound(_) => QueryError::NotFound(error.to_string()),
        Error::Forbidden(_) => QueryError::Forbidden(error.to_string()),
        Error::Limit { .. } => QueryError::LimitReached(error.to_string()),
        Error::Memory(_) => busy(error.to_string()),
        Error::Scan(ScanError::Unavailable { .. } | ScanError::NoCatalog(_) | ScanError::Memory(_)) => {
            busy(error.to_string())
        }
        Error::Scan(ScanError::TooLarge(_)) => QueryError::LimitReached(error.to_string()),
        Error::Scan(ScanError::Cancelled) | Error::Cancelled | Error::Stopped => QueryError::Cancelled,
        Error::Internal(_) | Error::Scan(ScanError::Storage(_)) => {
            tracing::error!(%error, "a query failed");
            QueryError::Internal(error.to_string())
        }
    }
}

fn busy(message: String) -> QueryError {
    QueryError::Unavailable(gateway::ports::Unavailable::TryLater(message))
}

fn flux_error(error: &flux::FluxError) -> QueryError {
    use flux::Class;
    let text = error.to_string();
    match error.class() {
        Class::Invalid => QueryError::Invalid(text),
        Class::NotFound => QueryError::NotFound(text),
        Class::LimitReached => QueryError::LimitReached(text),
        Class::Busy => busy(text),
        Class::Cancelled => QueryError::Cancelled,
        Class::Internal => {
            tracing::error!(error = text, "a script could not read stored data");
            QueryError::Internal(text)
        }
    }
}
