//! What all scans of one query share: where they read, what they may read, and when they are to stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use datafusion::common::DataFusionError;
use model::{Ends, Groups, ScanRequest, SummaryRequest, TooLarge};
use parking_lot::Mutex;
use trace::Here;

use crate::error::Error;
use crate::limits::Limits;
use crate::source::{ScanError, ScanSource, ScanStream};

/// See the module.
#[derive(Debug)]
pub(super) struct Reader {
    source: Arc<dyn ScanSource>,
    /// The place in the query's trace that its reading belongs to.
    here: OnceLock<Here>,
    points: AtomicU64,
    points_max: u64,
    memory_bytes_max: usize,
    stop: AtomicBool,
    /// Why reading failed first.
    failed: Mutex<Option<Error>>,
}

impl Reader {
    pub(super) fn new(source: Arc<dyn ScanSource>, limits: &Limits) -> Self {
        let Limits { points_max, memory_bytes_max, .. } = *limits;
        Self {
            source,
            here: OnceLock::new(),
            points: AtomicU64::new(0),
            points_max,
            memory_bytes_max,
            stop: AtomicBool::new(false),
            failed: Mutex::new(None),
        }
    }

    /// What is read from now on belongs to what is current on this thread.
    pub(super) fn record(&self) {
        if let Some(here) = trace::current() {
            self.here.get_or_init(|| here);
        }
    }

    /// Makes that current where reading begins.
    fn recorded(&self) -> Option<trace::Entered> {
        self.here.get().cloned().map(Here::enter)
    }

    /// Why reading failed first, if it did.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failed.lock().take()
    }

    /// Keeps why reading failed; what goes through the engine is its text.
    pub(super) fn through(&self, error: Error) -> DataFusionError {
        let text = error.to_string();
        self.failed.lock().get_or_insert(error);
        DataFusionError::External(text.into())
    }

    /// Lets everything that still reads end.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The blocks of a scan. Called on a thread that may block.
    pub(super) fn scan(&self, request: &ScanRequest, ends: Option<Ends>) -> Result<ScanStream, Error> {
        let _recorded = self.recorded();
        Ok(match ends {
            None => self.source.scan(request)?,
            Some(ends) => self.source.scan_ends(request, ends)?,
        })
    }

    /// How many cells a summary may have.
    pub(super) const fn cells_max(&self) -> usize {
        self.memory_bytes_max / model::summary::CELL_BYTES
    }

    fn too_many_points(&self) -> Error {
        Error::limit("max-select-point", self.points_max.to_string())
    }

    /// A summary. Called on a thread that may block.
    pub(super) fn summarize(&self, request: &SummaryRequest) -> Result<Groups, Error> {
        let left = self.points_max.saturating_sub(self.points.load(Ordering::Relaxed));
        let _recorded = self.recorded();
        let request = SummaryRequest { rows_max: request.rows_max.min(left), ..request.clone() };
        let groups = self.source.summarize(&request, &|| self.is_stopped()).map_err(|error| match error {
            ScanError::TooLarge(TooLarge::Rows(_)) => self.too_many_points(),
            ScanError::TooLarge(TooLarge::Cells(_)) => {
                Error::limit("query-memory-bytes", self.memory_bytes_max.to_string())
            }
            other => Error::Scan(other),
        })?;
        self.points.fetch_add(groups.rows(), Ordering::Relaxed);
        Ok(groups)
    }

    /// Counts rows that were read.
    pub(super) fn count(&self, rows: usize) -> Result<(), Error> {
        let total = self.points.fetch_add(rows as u64, Ordering::Relaxed).saturating_add(rows as u64);
        if total > self.points_max {
            return Err(self.too_many_points());
        }
        if self.is_stopped() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
