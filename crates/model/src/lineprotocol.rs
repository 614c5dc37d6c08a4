//! Line protocol, in and out: text to a columnar [`Batch`], and points back to text.
//!
//! The reader takes what InfluxDB 1.11 and 2.7 take and gives their reasons for what they refuse; where those
//! two store garbage (text after a closing quote, names that are not UTF-8) it refuses. A bad line never costs
//! its neighbours: every good line is in the batch, every bad one is an error with its text and reason.
//! No input makes it panic, and what it allocates is bounded by the size of the body and [`CELLS_MAX`].
//!
//! ```text
//! body -> utf8 (whole, then by line only if that fails) -> parser: one pass, columns appended row by row
//!                                                            |- keys:   raw series text -> series, predicted
//!                                                            |- table:  raw field name -> column, predicted
//!                                                            `- number: digits eight at a time
//!      -> group: rows sorted by series, once per table
//! ```

use crate::batch::Batch;
use crate::ids::BucketId;
use crate::time::{Precision, Timestamp};

mod keys;
mod number;
mod parser;
mod reason;
mod table;
mod write;

#[cfg(test)]
mod tests;

pub use crate::batch::CELLS_MAX;
pub use reason::LineErrorKind;
pub use write::{Unwritable, write_batch, write_key, write_point};

/// The most tags of one point.
pub const TAGS_MAX: usize = 256;
/// The most fields of one point.
pub const FIELDS_MAX: usize = 4096;
/// The most refused lines whose text is kept; the others are counted.
pub const ERRORS_MAX: usize = 1000;
/// The most bytes of a refused line that are kept.
pub const ERROR_TEXT_BYTES_MAX: usize = 16 * 1024;

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
    /// The text of the line without leading blanks and without its line end, cut after
    /// [`ERROR_TEXT_BYTES_MAX`]; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// InfluxDB's reason, e.g. `missing fields`.
    pub reason: String,
    /// What sort of fault it is, for callers that answer some sorts differently.
    pub kind: LineErrorKind,
}

impl LineError {
    /// InfluxDB's message: `unable to parse '<line>': <reason>`.
    pub fn message(&self) -> String {
        format!("unable to parse '{}': {}", self.text, self.reason)
    }
}

/// What a body held.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The points of the good lines.
    pub batch: Batch,
    /// The bad lines, in order; the first [`ERRORS_MAX`] of them.
    pub errors: Vec<LineError>,
    /// Number of bad lines, those included whose text was not kept.
    pub refused: usize,
}

/// Reads a body. Never fails as a whole: see [`Parsed::errors`].
pub fn parse(body: &[u8], options: &Options) -> Parsed {
    let mut parser = parser::Parser::new(options, body.len());
    match simdutf8::basic::from_utf8(body) {
        Ok(text) => parser.text(text),
        Err(_invalid_somewhere) => parser.mixed(body),
    }
    parser.finish()
}
