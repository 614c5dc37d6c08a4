//! SQL: a statement in, record batches out. DataFusion parses, plans and executes; what it reads are measurements as
//! tables ([`table`]), scanned by [`scan`] with the conditions that a scan can do by itself ([`predicate`]).
//!
//! ```text
//! text -> statement -> the tables it names -> logical plan -> optimised (push-down) -> operators -> batches
//!                      catalog, tags                                                   ^ scans, on threads that block
//! ```
//! Names: a database is a bucket; its measurements are the tables of the schema `iox`, as in InfluxDB 3; the tables of
//! another bucket are those of the schema with its name. Columns are the tags (dictionaries of texts), the fields and
//! `time` (`Timestamp(ns)`), by name. Only what reads may be said.

mod bounded;
mod columns;
mod corrected;
mod ends;
mod gapfill;
mod interrupt;
mod lists;
mod names;
mod pool;
mod predicate;
mod reader;
mod scan;
mod selectors;
mod session;
mod size;
mod summarize;
mod table;
#[cfg(test)]
mod tests;
mod windows;

use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, ParamValues, ScalarValue};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SQLOptions;
use futures::StreamExt as _;
use memory::Account;
use model::{BucketId, Clock, OrgId, Timestamp};
use tokio::runtime::Handle;

use crate::error::{Error, Stopped};
use crate::limits::{Budget, Limits};
use crate::profile::{Part, Profiler, Tree};
use crate::source::ScanSource;
use crate::view::CatalogView;
use pool::Pool;
use reader::Reader;
use session::Session;

/// How the engine begins to say that a regular expression does not compile.
const REFUSED_PATTERN: &str = "Regular expression did not compile";
/// How often a query that waits for its next batch looks whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a statement runs in.
pub struct SqlContext<'a> {
    /// Names and types.
    pub catalog: &'a dyn CatalogView,
    /// Data.
    pub source: Arc<dyn ScanSource>,
    /// The organization.
    pub org: OrgId,
    /// The database: the name of a bucket, or one that is mapped to a bucket.
    pub database: &'a str,
    /// Values of placeholders: the columns of one row, by name; `$1` is the column `1`.
    pub params: Option<&'a RecordBatch>,
    /// What `now()` is; also decides what has expired.
    pub now: Timestamp,
    /// Measures the query's own time.
    pub clock: &'a dyn Clock,
    /// Which buckets may be read; `None` is all of the organization.
    pub readable: Option<&'a [BucketId]>,
    /// Limits of the statement.
    pub limits: Limits,
    /// The memory of all queries.
    pub memory: &'a Arc<Account>,
    /// Asked often whether to stop.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
    /// Records what the parts of a query take.
    pub profiler: &'a dyn Profiler,
    /// Where operators run; scans run on its threads that may block.
    pub runtime: &'a Handle,
}

impl std::fmt::Debug for SqlContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlContext")
            .field("org", &self.org)
            .field("database", &self.database)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What a statement answers, before it has run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The columns of the answer.
    pub schema: SchemaRef,
    /// The placeholders by name without `$`, and their types where they can be told.
    pub params: Vec<(String, Option<DataType>)>,
}

/// Plans a statement without running it. Called on a thread that may block.
///
/// # Errors
/// What is wrong with the statement; what it names and is not there; a catalog out of reach.
pub fn describe_sql(text: &str, context: &SqlContext<'_>) -> Result<Described, Error> {
    let query = Query::new(context);
    let plan = query.plan(text)?;
    let mut params: Vec<_> = plan
        .get_parameter_types()
        .map_err(|error| query.failure(error))?
        .into_iter()
        .map(|(name, data_type)| (name.trim_start_matches('$').to_owned(), data_type))
        .collect();
    params.sort_by_key(|(name, _)| (name.parse::<u32>().unwrap_or(u32::MAX), name.clone()));
    let bound = query.bound(plan)?;
    Ok(Described { schema: Arc::clone(bound.schema().inner()), params })
}

/// Runs a statement; `sink` gets the schema first, with no rows, and then the rows. Called on a thread that may block.
///
/// # Errors
/// Those of [`describe_sql`]; limits; what fails while it runs.
pub fn run_sql(
    text: &str,
    context: &SqlContext<'_>,
    sink: &mut dyn FnMut(RecordBatch) -> Result<(), Stopped>,
) -> Result<(), Error> {
    let query = Query::new(context);
    let result = query.run(text, sink);
    // Whatever still reads for it ends.
    query.reader.stop();
    result
}

/// A thread that waits for an answer.
struct Parked(std::thread::Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// One statement on its way.
struct Query<'a> {
    context: &'a SqlContext<'a>,
    budget: Budget<'a>,
    reader: Arc<Reader>,
    pool: Arc<Pool>,
}

impl<'a> Query<'a> {
    fn new(context: &'a SqlContext<'a>) -> Self {
        let SqlContext { limits, memory, clock, cancelled, source, .. } = context;
        Self {
            context,
            budget: Budget::new(*limits, memory, *clock, *cancelled),
            reader: Arc::new(Reader::new(Arc::clone(source), limits)),
            pool: Arc::new(Pool::new(limits.memory_bytes_max, memory)),
        }
    }

    fn session(&self) -> Result<Session, Error> {
        Session::new(Arc::clone(&self.pool) as _, self.context.now).map_err(|error| self.failure(error))
    }

    fn plan(&self, text: &str) -> Result<LogicalPlan, Error> {
        self.planned(text, &mut self.session()?)
    }

    fn planned(&self, text: &str, session: &mut Session) -> Result<LogicalPlan, Error> {
        size::check(text)?;
        let mut statement = session.parse(text).map_err(|error| self.failure(error))?;
        corrected::correct(&mut statement);
        windows::resolve(&mut statement).map_err(|error| self.failure(error))?;
        let tables = session.tables_of(&statement).map_err(|error| self.failure(error))?;
        names::register(&tables, self.context, &self.reader, session)?;
        let plan = self.wait(session.plan(statement))?;
        let plan = plan.map_err(|error| self.failure(error))?;
        let only_reads =
            SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        only_reads.verify_plan(&plan).map_err(|error| self.failure(error))?;
        Ok(plan)
    }

    /// A plan with values for its placeholders, where there are some.
    fn bound(&self, plan: LogicalPlan) -> Result<LogicalPlan, Error> {
        let Some(params) = self.context.params else { return Ok(plan) };
        let values = param_values(params).map_err(|error| self.failure(error))?;
        plan.with_param_values(values).map_err(|error| self.failure(error))
    }

    fn run(&self, text: &str, sink: &mut dyn FnMut(RecordBatch) -> Result<(), Stopped>) -> Result<(), Error> {
        let mut session = self.session()?;
        let plan = self.bound(self.planned(text, &mut session)?)?;
        let physical = self.wait(session.physical(&plan))?;
        let physical = physical.and_then(|physical| interrupt::interruptible(physical, &self.reader));
        let physical = physical.map_err(|error| self.failure(error))?;
        let schema = physical.schema();
        sink(RecordBatch::new_empty(Arc::clone(&schema)))?;
        if !matches!(plan, LogicalPlan::Analyze(_)) {
            return self.execute(physical, &session, sink);
        }
        let mut result = Ok(());
        let parts = self
            .context
            .profiler
            .profile(&mut || result = self.execute(Arc::clone(&physical), &session, sink));
        result?;
        sink(profiled(&parts, &schema).map_err(|error| self.failure(error))?)?;
        Ok(())
    }

    fn execute(
        &self,
        physical: Arc<dyn ExecutionPlan>,
        session: &Session,
        sink: &mut dyn FnMut(RecordBatch) -> Result<(), Stopped>,
    ) -> Result<(), Error> {
        self.reader.record();
        let _entered = self.context.runtime.enter();
        let mut stream = execute_stream(physical, session.task()).map_err(|error| self.failure(error))?;
        // On threads of their own: an operator that is busy with a batch does not keep the query from ending in time.
        let (sender, mut batches) = tokio::sync::mpsc::channel(1);
        let operators = SpawnedTask::spawn(async move {
            while let Some(batch) = stream.next().await {
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
        });
        while let Some(batch) = self.wait(batches.recv())? {
            let batch = batch.map_err(|error| self.failure(error))?;
            self.budget.answer_rows(batch.num_rows())?;
            if batch.num_rows() > 0 {
                sink(batch)?;
            }
        }
        let ended = self.wait(operators.join())?;
        ended.map_err(|error| self.failure(DataFusionError::ExecutionJoin(Box::new(error))))
    }

    /// Waits, unless the query is to stop first. Operators that are busy keep the runtime's clock from going on, so this
    /// thread looks for itself.
    fn wait<T>(&self, answer: impl Future<Output = T>) -> Result<T, Error> {
        let _entered = self.context.runtime.enter();
        let waker = Waker::from(Arc::new(Parked(std::thread::current())));
        let mut answer = std::pin::pin!(answer);
        loop {
            self.budget.check()?;
            match answer.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
                Poll::Ready(answer) => return Ok(answer),
                Poll::Pending => std::thread::park_timeout(LOOK_EVERY),
            }
        }
    }

    /// What an error of the engine means to the client.
    fn failure(&self, error: DataFusionError) -> Error {
        let own = || self.reader.failure().or_else(|| self.budget.check().err());
        match error.find_root() {
            root if let Some(refused) = refused_pattern(root) => Error::Invalid(refused),
            DataFusionError::External(_) => own().unwrap_or_else(|| Error::Internal(error.to_string())),
            root @ DataFusionError::ResourcesExhausted(_) => {
                self.pool.refusal().or_else(own).unwrap_or_else(|| Error::Invalid(root.strip_backtrace()))
            }
            root @ (DataFusionError::Internal(_)
            | DataFusionError::IoError(_)
            | DataFusionError::ExecutionJoin(_)
            | DataFusionError::Ffi(_)) => own().unwrap_or_else(|| Error::Internal(root.strip_backtrace())),
            DataFusionError::SQL(parser, _) => Error::Invalid(format!("error parsing SQL: {parser}")),
            root => Error::Invalid(root.strip_backtrace()),
        }
    }
}

/// What is wrong with a regular expression that does not compile, which is the statement's fault. The engine hands on the
/// error of its library, or says it in words of its own.
fn refused_pattern(error: &DataFusionError) -> Option<String> {
    match error {
        DataFusionError::External(error) => match error.downcast_ref::<regex::Error>() {
            Some(large @ regex::Error::CompiledTooBig(_)) => Some(format!("{large} (max-regex-size)")),
            Some(other) => Some(other.to_string()),
            // That of the parser below it.
            None => Some(error.to_string()).filter(|said| said.starts_with("regex parse error")),
        },
        DataFusionError::ArrowError(error, _) => match &**error {
            ArrowError::ComputeError(said) => worded(said),
            _ => None,
        },
        // As it is told of a pattern that is the same for all rows.
        DataFusionError::Internal(said) => worded(said),
        _ => None,
    }
}

/// What the engine says of a regular expression in words of its own.
fn worded(said: &str) -> Option<String> {
    let said = said.get(said.find(REFUSED_PATTERN)?..)?.lines().next()?;
    let name = if said.contains("CompiledTooBig") { " (max-regex-size)" } else { "" };
    Some(format!("{said}{name}"))
}

/// What the nodes have done, as one more row of EXPLAIN ANALYZE.
fn profiled(parts: &[Part], schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let drawn = Tree::lines(Tree::of_parts(parts)).join("\n");
    let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    Ok(RecordBatch::try_new(Arc::clone(schema), vec![text("Parts by node"), text(&drawn)])?)
}

/// The values of one row by the names of its columns.
fn param_values(row: &RecordBatch) -> Result<ParamValues, DataFusionError> {
    let mut values = std::collections::HashMap::new();
    for (field, column) in row.schema().fields().iter().zip(row.columns()) {
        if column.len() != 1 {
            return Err(DataFusionError::Plan(format!("parameters are one row, not {}", column.len())));
        }
        values.insert(field.name().clone(), ScalarValue::try_from_array(column, 0)?);
    }
    Ok(ParamValues::from(values))
}
