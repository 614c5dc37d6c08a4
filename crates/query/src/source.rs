//! Where data comes from: the trait that a query reads through, local or distributed.

use model::{ScanRequest, SchemaRequest, SeriesBlock};

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
    /// A file could not be read or its checksum is wrong.
    #[error("reading stored data failed: {0}")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The query was cancelled.
    #[error("query cancelled")]
    Cancelled,
}

/// The blocks of a scan, ordered as [`model::scan`] says.
pub type ScanStream = Box<dyn Iterator<Item = Result<SeriesBlock, ScanError>> + Send>;

/// Reads stored data. Calls block; they are made from threads that may block.
pub trait ScanSource: Send + Sync + std::fmt::Debug {
    /// Reads points.
    fn scan(&self, request: &ScanRequest) -> Result<ScanStream, ScanError>;
    /// Answers which names exist, sorted.
    fn schema(&self, request: &SchemaRequest) -> Result<Vec<String>, ScanError>;
}
