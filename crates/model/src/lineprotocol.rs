//! Line protocol.

use crate::batch::Batch;
use crate::ids::BucketId;
use crate::time::{Precision, Timestamp};

/// How to read a body.
#[derive(Debug, Clone)]
pub struct Options {
    /// The bucket the points are for.
    pub bucket: BucketId,
    /// See [`Batch::shard_duration_ns`].
    pub shard_duration_ns: i64,
    /// Unit of the timestamps.
    pub precision: Precision,
    /// Time of points that carry none (truncated to the precision by the parser).
    pub default_time: Timestamp,
    /// Longest line, in bytes.
    pub line_bytes_max: usize,
    /// Longest string field, in bytes.
    pub string_bytes_max: usize,
}

/// A line that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// 1-based number of the line where the point begins.
    pub line: usize,
    /// The text of the line.
    pub text: String,
    /// InfluxDB's reason, e.g. `missing fields`.
    pub reason: String,
}

/// What a body held.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The points of the good lines.
    pub batch: Batch,
    /// The bad lines, in order.
    pub errors: Vec<LineError>,
}

/// Reads a body.
pub fn parse(_body: &[u8], _options: &Options) -> Parsed {
    todo!()
}
