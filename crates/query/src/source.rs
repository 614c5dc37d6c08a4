//! Where data comes from: the trait that a query reads through, local or distributed.

use model::summary::of_blocks;
use model::{Ends, Groups, ScanRequest, SchemaRequest, SeriesBlock, SummaryRequest, TooLarge};

/// Why a scan failed.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// Part of the data cannot be reached now; the same query may succeed later.
    #[error("partition {partition} is unavailable: {reason}")]
    Unavailable {
        /// The partition.
        partition: model::PartitionId,
        /// Why.
        reason: String,
    },
    /// What the local catalog does not know may be known elsewhere, which cannot be reached now.
    #[error("the catalog is out of reach: {0}")]
    NoCatalog(String),
    /// A file could not be read or its checksum is wrong.
    #[error("reading stored data failed: {0}")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A summary is larger than it may be.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// All queries together hold as much memory as they may; the same query may succeed later.
    #[error("{0}; the query can be tried again")]
    Memory(#[from] memory::Exhausted),
    /// The query was cancelled.
    #[error("query cancelled")]
    Cancelled,
}

impl ScanError {
    /// Whether something could not be reached, so that the same query may succeed later.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::NoCatalog(_))
    }
}

/// The blocks of a scan, ordered as [`model::scan`] says.
pub type ScanStream = Box<dyn Iterator<Item = Result<SeriesBlock, ScanError>> + Send>;

/// Reads stored data. Calls block; they are made from threads that may block.
pub trait ScanSource: Send + Sync + std::fmt::Debug {
    /// Reads points.
    fn scan(&self, request: &ScanRequest) -> Result<ScanStream, ScanError>;
    /// Reads points of which only the outermost rows of each series are needed: those with a value of the request's
    /// fields. More may come.
    fn scan_ends(&self, request: &ScanRequest, ends: Ends) -> Result<ScanStream, ScanError> {
        let _needed = ends;
        self.scan(request)
    }
    /// Summarizes points. `stop` is asked often; when it says so, the answer is [`ScanError::Cancelled`].
    fn summarize(
        &self,
        request: &SummaryRequest,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Groups, ScanError> {
        let blocks = self.scan(&request.scan)?;
        of_blocks(request, blocks.map(|block| if stop() { Err(ScanError::Cancelled) } else { block }))
    }
    /// Answers which names exist, sorted.
    fn schema(&self, request: &SchemaRequest) -> Result<Vec<String>, ScanError>;
}
