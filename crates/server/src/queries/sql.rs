//! SQL of the query port. Operators run on threads of their own.

use std::fmt;
use std::io;
use std::sync::Arc;

use arrow::array::RecordBatch;
use gateway::ports::{QueryError, SinkClosed, SqlDescription, SqlRequest};
use query::Stopped;
use query::sql::{Described, SqlContext, describe_sql, run_sql};
use tokio::runtime::{Builder, Handle, Runtime};

use super::{QueryAdapter, query_error};
use crate::source::Source;

/// Threads for operators, as many as there are cores. Made when first asked for: who never speaks SQL has none.
pub(crate) struct Operators(std::sync::OnceLock<Option<Runtime>>);

impl fmt::Debug for Operators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operators").field("are_made", &self.0.get().is_some()).finish()
    }
}

impl Operators {
    pub(crate) const fn new() -> Self {
        Self(std::sync::OnceLock::new())
    }

    fn handle(&self) -> Result<&Handle, QueryError> {
        let runtime = self.0.get_or_init(|| match made() {
            Ok(runtime) => Some(runtime),
            Err(error) => {
                tracing::error!(%error, "there are no threads for SQL");
                None
            }
        });
        let none = || QueryError::Internal("there are no threads for SQL".to_owned());
        runtime.as_ref().map(Runtime::handle).ok_or_else(none)
    }
}

fn made() -> io::Result<Runtime> {
    Builder::new_multi_thread().thread_name("sql").enable_time().build()
}

impl Drop for Operators {
    fn drop(&mut self) {
        // Also from a thread that must not wait.
        if let Some(runtime) = self.0.take().flatten() {
            runtime.shutdown_background();
        }
    }
}

impl QueryAdapter {
    fn with_sql<T>(
        &self,
        request: &SqlRequest,
        source: Source,
        run: impl FnOnce(&SqlContext<'_>) -> Result<T, query::Error>,
    ) -> Result<T, QueryError> {
        let cancel = request.cancel.clone();
        let cancelled = move || cancel.is_cancelled();
        let view = self.view(&request.reading)?;
        let context = SqlContext {
            catalog: &view,
            source: Arc::new(source),
            org: request.org,
            database: &request.database,
            params: request.params.as_ref(),
            now: self.clock.now(),
            clock: self.clock.as_ref(),
            readable: request.readable.as_deref(),
            limits: self.limits,
            memory: &self.memory.queries,
            cancelled: &cancelled,
            profiler: &super::profile::Recorder { adapter: self, org: request.org },
            runtime: self.operators.handle()?,
        };
        run(&context).map_err(query_error)
    }

    pub(super) fn run_sql(
        &self,
        request: &SqlRequest,
        source: Source,
        sink: &mut dyn FnMut(RecordBatch) -> Result<(), SinkClosed>,
    ) -> Result<(), QueryError> {
        self.with_sql(request, source, |context| {
            run_sql(&request.query, context, &mut |batch| sink(batch).map_err(|SinkClosed| Stopped))
        })
    }

    pub(super) fn plan_sql(&self, request: &SqlRequest) -> Result<SqlDescription, QueryError> {
        let source = self.source.at(request.reading.clone());
        let described = self.with_sql(request, source, |context| describe_sql(&request.query, context))?;
        let Described { schema, params } = described;
        Ok(SqlDescription { schema, params })
    }
}
