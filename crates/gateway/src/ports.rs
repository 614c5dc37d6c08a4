//! What the gateway needs from the rest of the server, as traits of its own; `server` implements them.

mod cluster;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use bytes::Bytes;
use catalog::{CatalogError, Command, Response};
use model::{Batch, BucketId, Commits, Deletion, Frame, OrgId, Reading, Timestamp};
use serde::Serialize;
use trace::{Collected, TraceId};

pub use cluster::{
    ClusterOrder, ClusterPort, ClusterSurvey, ClusterView, ComparedSurvey, GatewaySurvey, GroupSurvey,
    GroupView, MoveSurvey, NodeSurvey, NodeView, OrderError, ReplicaSurvey,
};

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why the cluster could not carry out what was asked. The outcome of a proposal may be unknown.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unavailable {
    /// No leader, or too busy: nothing was done, try again later (503).
    #[error("{0}")]
    TryLater(String),
    /// No answer in time: it may or may not have been done (503; the message says so).
    #[error("{0}")]
    OutcomeUnknown(String),
}

/// The catalog, replicated by the meta group.
pub trait CatalogPort: Send + Sync + 'static {
    /// The local copy, for reading. Hold the guard shortly and never across an await.
    fn read(&self) -> catalog::ReadGuard<'_>;
    /// Makes the local copy as new as anything acknowledged before the call. Called before a negative answer.
    fn barrier(&self) -> BoxFuture<'_, Result<(), Unavailable>>;
    /// The same, confirmed by a majority after the call, whatever clocks say.
    fn confirm(&self) -> BoxFuture<'_, Result<(), Unavailable>>;
    /// Proposes a change and waits until it is committed and visible in the local copy.
    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Response, Unavailable>>;
}

/// Why points were not written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// Some points were refused (all others are written): InfluxDB's text after "partial write: ".
    #[error("partial write: {message} dropped={dropped}")]
    Partial {
        /// The first reason, e.g. `field type conflict: input field "f" on measurement "m" is type string, already exists as type float`.
        message: String,
        /// Number of points refused.
        dropped: usize,
    },
    /// The bucket is gone.
    #[error("bucket not found")]
    BucketNotFound,
    /// What was asked is too large to be done; the text says what.
    #[error("{0}")]
    Invalid(String),
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Too much is on its way or in memory (429 with Retry-After).
    #[error("{message}")]
    Overloaded {
        /// What is short.
        message: String,
        /// When to come again.
        retry_after: Duration,
    },
    /// A catalog refusal.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// Writes and deletes points: field types, retention, split by partition, Raft. Returns after commit and apply by the
/// leaders, with what a query must see to see it done.
pub trait WritePort: Send + Sync + 'static {
    /// Writes a batch whose fields may still conflict with the catalog's types.
    fn write(&self, batch: Batch) -> BoxFuture<'_, Result<Commits, WriteError>>;
    /// Deletes what was written before.
    fn delete(&self, deletion: Deletion) -> BoxFuture<'_, Result<Commits, WriteError>>;
}

/// Set when the client has gone or the deadline has passed; queries look at it at every block.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Asks the query to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the query was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a query failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// The text is wrong (400): parse and type errors, with position, in the language's own words.
    #[error("{0}")]
    Invalid(String),
    /// Something it names does not exist (404).
    #[error("{0}")]
    NotFound(String),
    /// A limit (memory, rows, time) was reached; the message names it.
    #[error("{0}")]
    LimitReached(String),
    /// The rights of the caller do not suffice (403).
    #[error("{0}")]
    Forbidden(String),
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Not our client's fault; logged with its cause (500).
    #[error("{0}")]
    Internal(String),
    /// The client went away.
    #[error("query cancelled")]
    Cancelled,
}

/// The sink of a query refused more: the client went away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkClosed;

/// A Flux script to run.
#[derive(Debug, Clone)]
pub struct FluxRequest {
    /// The organization it runs in.
    pub org: OrgId,
    /// The script.
    pub script: String,
    /// `now()` of the script, when the client fixed it.
    pub now: Option<Timestamp>,
    /// How new what it reads must be.
    pub reading: Reading,
    /// Which buckets the caller may read; `None` is all of the organization.
    pub readable: Option<Vec<BucketId>>,
    /// Stops the query.
    pub cancel: CancelToken,
}

/// One table of a Flux result. A large table may come in several consecutive pieces of the same table number.
#[derive(Debug, Clone)]
pub struct FluxTable {
    /// The name of the yield.
    pub result: Arc<str>,
    /// Number of the table within the result, from 0.
    pub table: i64,
    /// The rows, group-key columns marked. An empty table has columns and no rows.
    pub frame: Frame,
}

/// A question: all that the bytes of its answer depend on besides what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The organization it is asked in.
    pub org: OrgId,
    /// One or several statements.
    pub query: String,
    /// Bound parameters, as they were sent.
    pub params: Option<String>,
    /// Default database.
    pub database: Option<String>,
    /// Default retention policy.
    pub retention_policy: Option<String>,
    /// Which buckets the caller may read; `None` is all of the organization.
    pub readable: Option<Vec<BucketId>>,
    /// How the answer is written; no two ways have the same text.
    pub form: String,
}

impl Asked {
    /// Bytes that it holds beside itself.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = [&self.params, &self.database, &self.retention_policy];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let readable = self.readable.as_ref().map_or(0, |buckets| size_of_val(&**buckets));
        texts + readable + self.query.len() + self.form.len()
    }
}

/// Takes the bytes of a whole answer, for who asks the same again.
pub type Keep = Box<dyn FnOnce(Bytes) + Send>;

/// InfluxQL to run.
#[derive(Debug, Clone)]
pub struct InfluxqlRequest {
    /// The organization it runs in.
    pub org: OrgId,
    /// One or several statements.
    pub query: String,
    /// Default database (`db`).
    pub database: Option<String>,
    /// Default retention policy (`rp`).
    pub retention_policy: Option<String>,
    /// Bound parameters (`params`), a JSON object's members.
    pub params: Vec<(String, InfluxqlParam)>,
    /// How new what it reads must be.
    pub reading: Reading,
    /// The request came by GET: statements that change something run, with a warning.
    pub read_only: bool,
    /// Which buckets the caller may read; `None` is all of the organization.
    pub readable: Option<Vec<BucketId>>,
    /// Which buckets the caller may write to, and so delete from; `None` is all of the organization.
    pub writable: Option<Vec<BucketId>>,
    /// Whether the caller may create databases.
    pub may_create: bool,
    /// Who asks.
    pub caller: InfluxqlCaller,
    /// What is asked, where the answer may be kept.
    pub asked: Option<Arc<Asked>>,
    /// Stops the query.
    pub cancel: CancelToken,
}

/// SQL to run.
#[derive(Debug, Clone)]
pub struct SqlRequest {
    /// The organization it runs in.
    pub org: OrgId,
    /// One statement.
    pub query: String,
    /// The database: a bucket's name, or one that is mapped to a bucket.
    pub database: String,
    /// Values of placeholders: the columns of one row, by name; `$1` is the column `1`.
    pub params: Option<RecordBatch>,
    /// How new what it reads must be.
    pub reading: Reading,
    /// Which buckets the caller may read; `None` is all of the organization.
    pub readable: Option<Vec<BucketId>>,
    /// Stops the query.
    pub cancel: CancelToken,
}

/// What a SQL statement answers, before it has run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlDescription {
    /// The columns of the answer.
    pub schema: SchemaRef,
    /// The placeholders by name without `$`, and their types where they can be told.
    pub params: Vec<(String, Option<DataType>)>,
}

/// Who asks for InfluxQL, as far as statements on users want to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InfluxqlCaller {
    /// Its name, for messages; empty when nobody has to say who he is.
    pub name: String,
    /// Whether it may change users and their rights in its organization.
    pub is_admin: bool,
    /// Whether it may change users whatever rights they have elsewhere.
    pub is_operator: bool,
}

/// A query that runs on some node.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedQuery {
    /// Its number.
    pub id: u64,
    /// Whose it is.
    pub org: String,
    /// Its text.
    #[serde(rename = "query")]
    pub text: String,
    /// The database that it is asked of; empty where it names its own.
    pub database: String,
    /// For how long it has run.
    pub seconds: f64,
    /// Whether it was told to end.
    #[serde(skip)]
    pub is_killed: bool,
}

/// The queries that run, as far as nodes have answered.
#[derive(Debug, Clone, Default)]
pub struct ListedQueries {
    /// By number.
    pub queries: Vec<ListedQuery>,
    /// The nodes that have not answered.
    pub silent_nodes: Vec<String>,
}

/// The value of a bound parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum InfluxqlParam {
    /// A string.
    String(String),
    /// A float.
    Float(f64),
    /// An integer.
    Integer(i64),
    /// A boolean.
    Boolean(bool),
    /// A name.
    Identifier(String),
    /// A regular expression.
    Regex(String),
    /// A duration, as InfluxQL writes it.
    Duration(String),
    /// No value; the text says why, to whoever uses it.
    Unusable(String),
}

/// One series of an InfluxQL result.
#[derive(Debug, Clone)]
pub struct InfluxqlSeries {
    /// The measurement; empty for some SHOW statements.
    pub name: String,
    /// Tags of the GROUP BY, in its order.
    pub tags: Vec<(String, String)>,
    /// The columns; a `time` column has the time type.
    pub frame: Frame,
    /// Where the query says that the times are; `None` is UTC. Times of an epoch do not show it.
    pub zone: Option<jiff::tz::TimeZone>,
    /// It comes in one piece whatever a chunk holds, and nothing says whether more follows.
    pub is_whole: bool,
}

/// What InfluxQL sends to its sink.
#[derive(Debug, Clone)]
pub enum InfluxqlItem {
    /// Statement number n begins (from 0).
    Statement(usize),
    /// A warning about the current statement.
    Warning(String),
    /// A series of the current statement.
    Series(InfluxqlSeries),
    /// The current statement failed; the others answer `not executed`.
    Error(String),
}

/// Runs queries. Calls block and are made on threads that may block.
pub trait QueryPort: Send + Sync + 'static {
    /// Runs a script; tables go to `sink` in order.
    fn flux(
        &self,
        request: FluxRequest,
        sink: &mut dyn FnMut(FluxTable) -> Result<(), SinkClosed>,
    ) -> Result<(), QueryError>;

    /// Runs SQL; `sink` gets the columns first, as a batch without rows, and then the rows.
    fn sql(
        &self,
        request: SqlRequest,
        sink: &mut dyn FnMut(RecordBatch) -> Result<(), SinkClosed>,
    ) -> Result<(), QueryError>;

    /// Plans SQL without running it.
    fn describe_sql(&self, request: SqlRequest) -> Result<SqlDescription, QueryError>;

    /// Runs InfluxQL. Only errors of the whole text (parse errors) are `Err`. Answers who takes the answer's bytes, where
    /// these are worth keeping.
    fn influxql(
        &self,
        request: InfluxqlRequest,
        sink: &mut dyn FnMut(InfluxqlItem) -> Result<(), SinkClosed>,
    ) -> Result<Option<Keep>, QueryError>;

    /// The bytes that a question was answered with, where it would be answered so now. Does not block.
    /// The error is that of any read of what is out of reach.
    fn kept<'a>(
        &'a self,
        asked: &'a Asked,
        reading: &'a Reading,
    ) -> BoxFuture<'a, Result<Option<Bytes>, QueryError>>;

    /// The queries that run on any node: of an organization, or of all. Does not block.
    fn running(&self, org: Option<OrgId>) -> BoxFuture<'_, ListedQueries>;

    /// Ends a query, of an organization or of any, on whichever node it runs. Does not block.
    fn kill(&self, org: Option<OrgId>, id: u64) -> BoxFuture<'_, Result<(), QueryError>>;
}

/// The state of the node, for probes.
pub trait StatusPort: Send + Sync + 'static {
    /// `Ok` when every partition has a reachable leader; else what is missing.
    fn ready(&self) -> Result<(), String>;
    /// `Ok` when the process can do its work at all; else what is broken.
    fn healthy(&self) -> Result<(), String>;
    /// Places on the disk that are known to be damaged, with file and offset, at most so many. Queries that need them
    /// fail, everything else is served.
    fn damage(&self, places_max: usize) -> Vec<String>;
    /// The cluster, as this node sees it.
    fn cluster(&self) -> ClusterView;
    /// Writes down the figures of everything that is not the gateway's own; with `influxdb` also under InfluxDB's names.
    fn metrics(&self, page: &mut metrics::Page, influxdb: bool);
}

/// Traces that clients asked to see.
pub trait TracePort: Send + Sync + 'static {
    /// The parts of a trace that nodes hold; `None` where none holds any.
    fn collect(&self, id: TraceId) -> BoxFuture<'_, Option<Collected>>;
}

/// The log of the process.
pub trait LogPort: Send + Sync + 'static {
    /// What is logged: a level, or directives.
    fn level(&self) -> String;
    /// Logs this from now on. The error says what would do.
    fn set_level(&self, directives: &str) -> Result<(), String>;
}

/// What an operator may order.
pub trait MaintenancePort: Send + Sync + 'static {
    /// Brings every point that is in memory into files; with `compact` also merges the files as far as they can be.
    fn flush(&self, compact: bool) -> BoxFuture<'_, Result<(), String>>;
}
