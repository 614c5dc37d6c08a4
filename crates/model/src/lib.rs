//! The words of Tidemark: ids, timestamps, series keys, field values, columns, batches, predicates,
//! scan requests and result frames, with line protocol in and out.
//!
//! Every other crate speaks in these types, so this crate depends on none of ours and knows nothing of
//! sockets, disks or query engines. What is built here is valid: constructors check, later code does not.

pub mod batch;
pub mod clock;
pub mod column;
pub mod digest;
pub mod entry;
pub mod frame;
pub mod ids;
pub mod lineprotocol;
pub mod pattern;
pub mod predicate;
pub mod reading;
pub mod scan;
pub mod series;
pub mod summary;
pub mod time;
pub mod value;
pub mod varint;

pub use batch::{Batch, FieldDef, SeriesRows, Table};
pub use clock::{Clock, SystemClock};
pub use column::{Bitmap, Column, ColumnType, StringColumn, Values};
pub use digest::Digest;
pub use entry::{Deletion, LogPosition, PartitionOp};
pub use frame::{Frame, FrameColumn, FrameValues};
pub use ids::{
    AuthorizationId, BucketId, ContinuousQueryId, DbrpId, GroupId, GroupNameError, NodeId, OrgId,
    PartitionId, ReplicaId, UserId,
};
pub use pattern::{Pattern, PatternError};
pub use predicate::{Predicate, Subject, Test};
pub use reading::{Commits, Consistency, ConsistencyError, Reading};
pub use scan::{Ends, FieldSelection, ScanRequest, SchemaQuestion, SchemaRequest, SeriesBlock};
pub use series::{SeriesKey, SeriesKeyError};
pub use summary::{
    Cells, FieldSummary, GroupSummary, Grouping, Groups, SeriesFold, SummaryRequest, TooLarge, Wanted,
};
pub use time::{Precision, TimeRange, Timestamp};
pub use value::{FieldType, FieldValue};
