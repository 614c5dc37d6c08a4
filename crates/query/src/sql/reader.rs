//! What all scans of one query share: where they read, what they may read, and when they are to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use datafusion::common::DataFusionError;
use model::{Ends, Groups, ScanRequest, SummaryRequest};
use parking_lot::Mutex;

use crate::error::Error;
use crate::source::{ScanSource, ScanStream};

/// See the module.
#[derive(Debug)]
pub(super) struct Reader {
    source: Arc<dyn ScanSource>,
    points: AtomicU64,
    points_max: u64,
    stop: AtomicBool,
    /// Why reading failed first.
    failed: Mutex<Option<Error>>,
}

impl Reader {
    pub(super) fn new(source: Arc<dyn ScanSource>, points_max: u64) -> Self {
        Self {
            source,
            points: AtomicU64::new(0),
            points_max,
            stop: AtomicBool::new(false),
            failed: Mutex::new(None),
        }
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
        Ok(match ends {
            None => self.source.scan(request)?,
            Some(ends) => self.source.scan_ends(request, ends)?,
        })
    }

    /// A summary. Called on a thread that may block.
    pub(super) fn summarize(&self, request: &SummaryRequest) -> Result<Groups, Error> {
        let left = self.points_max.saturating_sub(self.points.load(Ordering::Relaxed));
        let request = SummaryRequest { rows_max: request.rows_max.min(left), ..request.clone() };
        let groups = self.source.summarize(&request, &|| self.is_stopped()).map_err(Error::Scan)?;
        self.points.fetch_add(groups.rows(), Ordering::Relaxed);
        Ok(groups)
    }

    /// Counts rows that were read.
    pub(super) fn count(&self, rows: usize) -> Result<(), Error> {
        let total = self.points.fetch_add(rows as u64, Ordering::Relaxed).saturating_add(rows as u64);
        if total > self.points_max {
            return Err(Error::limit("max-select-point", self.points_max.to_string()));
        }
        if self.is_stopped() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
