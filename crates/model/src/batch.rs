//! A batch: the points of one write request for one bucket, as columns.
//!
//! Invariants of a [`Table`]: `times` and every column have one element per row; `series` cover the rows in
//! order without gaps; rows of a series keep the order in which they arrived (later rows win); every row has at
//! least one field. A field name may occur twice in `fields` with different types until the catalog has decided
//! which type is right (see the router); names with their types are distinct.

use std::sync::Arc;

use crate::column::Column;
use crate::ids::BucketId;
use crate::series::SeriesKey;
use crate::value::FieldType;

mod check;
pub mod codec;
mod rows;

#[cfg(test)]
mod tests;

/// The most cells of a batch: for each table its rows times (its columns and the time). A table whose rows each
/// have another field grows with the square of its rows; this bounds what a small request can make us allocate.
pub const CELLS_MAX: usize = 16 << 20;

/// The points of one write request for one bucket (or those of them that belong to one partition).
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The bucket.
    pub bucket: BucketId,
    /// Length of the time shards that this write may create, in nanoseconds; from the bucket's settings.
    pub shard_duration_ns: i64,
    /// One table per measurement; measurements are distinct.
    pub tables: Vec<Table>,
}

/// The points of one measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The measurement.
    pub measurement: Arc<str>,
    /// The fields, in order of first appearance; parallel to `columns`.
    pub fields: Vec<FieldDef>,
    /// The series, each with the number of its rows.
    pub series: Vec<SeriesRows>,
    /// Time of each row, nanoseconds since the epoch.
    pub times: Vec<i64>,
    /// The values of each field; a null where the row does not have the field.
    pub columns: Vec<Column>,
}

/// A field's name and type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldDef {
    /// The name.
    pub name: Arc<str>,
    /// The type.
    pub field_type: FieldType,
}

/// A series and the number of consecutive rows that are its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesRows {
    /// The series.
    pub key: SeriesKey,
    /// [`SeriesKey::hash`] of the key in the batch's bucket.
    pub hash: u64,
    /// Number of rows.
    pub rows: u32,
}

impl Batch {
    /// Number of rows in all tables.
    pub fn rows(&self) -> usize {
        self.tables.iter().map(|t| t.times.len()).sum()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows() == 0
    }

    /// Bytes of memory that the batch takes, about.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.tables.iter().map(Table::bytes).sum::<usize>()
    }

    /// Takes out the tables that have no rows (any more).
    pub fn remove_empty_tables(&mut self) {
        self.tables.retain(|table| !table.times.is_empty());
    }
}

impl Table {
    /// Iterates over the series with the range of their rows.
    pub fn series_ranges(&self) -> impl Iterator<Item = (&SeriesRows, std::ops::Range<usize>)> {
        let mut start = 0;
        self.series.iter().map(move |series| {
            let range = start..start + series.rows as usize;
            start = range.end;
            (series, range)
        })
    }

    /// Bytes of memory that the table takes, about.
    pub fn bytes(&self) -> usize {
        let keys: usize = self.series.iter().map(|s| s.key.as_bytes().len()).sum();
        let fields: usize = self.fields.iter().map(|f| f.name.len() + size_of::<FieldDef>()).sum();
        let columns: usize = self.columns.iter().map(|c| size_of::<Column>() + c.bytes()).sum();
        let own = size_of::<Self>() + self.measurement.len() + self.times.len() * 8;
        own + keys + self.series.len() * size_of::<SeriesRows>() + fields + columns
    }
}
