//! The one request by which every query language reads data, and what comes back.
//!
//! A scan yields blocks ordered by series key; the blocks of one series follow one another in ascending time and
//! do not overlap. Deleted and overwritten values are gone: each (series, field, time) occurs once.

use std::sync::Arc;

use crate::column::Column;
use crate::ids::BucketId;
use crate::predicate::Predicate;
use crate::series::SeriesKey;
use crate::time::TimeRange;

/// Which fields to read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FieldSelection {
    /// All of them.
    All,
    /// Those with these names, in the rows that have a value of one of them.
    Names(Vec<Arc<str>>),
    /// Those with these names, in all rows: also in those that have values of other fields alone.
    InAllRows(Vec<Arc<str>>),
}

impl FieldSelection {
    /// Whether a field is wanted.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Names(names) | Self::InAllRows(names) => names.iter().any(|n| &**n == name),
        }
    }
}

/// What to read.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// The bucket.
    pub bucket: BucketId,
    /// Only points inside.
    pub range: TimeRange,
    /// Only (series, field) pairs that satisfy it.
    pub predicate: Predicate,
    /// Only these fields.
    pub fields: FieldSelection,
}

/// The outermost rows of each series, for who needs no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// How many.
    pub rows: usize,
    /// The last in time, or the first.
    pub newest: bool,
}

/// Some rows of one series, ascending in time, each time once.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesBlock {
    /// The series.
    pub key: SeriesKey,
    /// Time of each row, nanoseconds.
    pub times: Vec<i64>,
    /// Fields with a value in at least one row, by name; nulls where a row lacks the field.
    pub fields: Vec<(Arc<str>, Column)>,
}

/// A question about which names exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaQuestion {
    /// Names of measurements.
    Measurements,
    /// Keys of tags.
    TagKeys,
    /// Values of one tag.
    TagValues(String),
    /// Names of fields.
    FieldKeys,
    /// The series themselves, as line protocol writes their keys.
    Series,
}

/// A schema question about part of a bucket. The answer is a sorted list of distinct texts.
#[derive(Debug, Clone)]
pub struct SchemaRequest {
    /// The bucket.
    pub bucket: BucketId,
    /// Only series with data in shards that overlap this range.
    pub range: TimeRange,
    /// Only series (and fields) that satisfy it.
    pub predicate: Predicate,
    /// What is asked.
    pub question: SchemaQuestion,
}
