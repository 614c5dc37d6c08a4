//! Where data comes from: the trait that scripts read through.

use model::summary::of_blocks;
use model::{BucketId, Groups, OrgId, ScanRequest, SchemaRequest, SeriesBlock, SummaryRequest, TooLarge};

/// How a script names a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketRef {
    /// `from(bucket: "name")`
    Name(String),
    /// `from(bucketID: "0000000000000001")`
    Id(BucketId),
}

/// A bucket, as `buckets()` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketInfo {
    /// Its id.
    pub id: BucketId,
    /// Its name.
    pub name: String,
    /// The organization it belongs to.
    pub org: OrgId,
    /// How long points are kept, in nanoseconds; 0 is for ever.
    pub retention_ns: i64,
}

/// Why reading failed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The caller cancelled the query.
    #[error("query cancelled")]
    Cancelled,
    /// All queries together hold as much memory as they may.
    #[error(transparent)]
    Memory(memory::Exhausted),
    /// Something cannot be reached now.
    #[error("{0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The data could not be read.
    #[error("{0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<TooLarge> for SourceError {
    fn from(refused: TooLarge) -> Self {
        Self::Failed(Box::new(refused))
    }
}

/// The blocks of a scan, ordered as [`model::scan`] says.
pub type Blocks<'a> = Box<dyn Iterator<Item = Result<SeriesBlock, SourceError>> + 'a>;

/// The buckets that a script may read. The implementer decides which those are: a bucket that the caller may not read
/// is answered as one that does not exist.
pub trait Source {
    /// The id of a bucket; `None` when there is none.
    fn bucket(&self, bucket: &BucketRef) -> Result<Option<BucketId>, SourceError>;
    /// All readable buckets, in the order to show them.
    fn buckets(&self) -> Result<Vec<BucketInfo>, SourceError>;
    /// Reads points.
    fn scan(&self, request: &ScanRequest) -> Result<Blocks<'_>, SourceError>;
    /// Summarizes points.
    fn summarize(&self, request: &SummaryRequest) -> Result<Groups, SourceError> {
        of_blocks(request, self.scan(&request.scan)?)
    }
    /// Answers which names exist, sorted.
    fn schema(&self, request: &SchemaRequest) -> Result<Vec<String>, SourceError>;
}
