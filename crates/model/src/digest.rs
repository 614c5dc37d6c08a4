//! One number for all the points of a replica, to be compared with others'.
//!
//! What must always hold: it depends on the points alone; not on the order in which they are added, nor on how they are cut
//! into blocks.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::column::{Column, Values};
use crate::ids::BucketId;
use crate::scan::SeriesBlock;

/// A sum of hashes (XXH3), one for each value with its bucket, series, field and time. It finds damage and divergence, and
/// does not withstand somebody who makes points up for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest {
    /// The sum, modulo 2^64.
    pub sum: u64,
    /// How many values there are.
    pub values: u64,
}

impl Digest {
    /// Adds rows of a series. No value may be added twice.
    pub fn add(&mut self, bucket: BucketId, block: &SeriesBlock) {
        let series = xxh3_64_with_seed(block.key.as_bytes(), bucket.get());
        for (name, column) in &block.fields {
            self.add_field(xxh3_64_with_seed(name.as_bytes(), series), &block.times, column);
        }
    }

    fn add_field(&mut self, field: u64, times: &[i64], column: &Column) {
        // Numbers of the types, so that 1 and 1.0 are not the same.
        match &column.values {
            Values::Float(values) => self.add_bits(field, 1, times, column, |row| values[row].to_bits()),
            Values::Integer(values) | Values::Time(values) => {
                self.add_bits(field, 2, times, column, |row| values[row].cast_unsigned());
            }
            Values::Unsigned(values) => self.add_bits(field, 3, times, column, |row| values[row]),
            Values::String(values) => {
                self.add_bits(field, 4, times, column, |row| {
                    xxh3_64_with_seed(values.get(row).as_bytes(), field)
                });
            }
            Values::Boolean(values) => self.add_bits(field, 5, times, column, |row| values.get(row).into()),
        }
    }

    fn add_bits(
        &mut self,
        field: u64,
        kind: u8,
        times: &[i64],
        column: &Column,
        bits: impl Fn(usize) -> u64,
    ) {
        for (row, time) in times.iter().enumerate().filter(|(row, _)| column.is_valid(*row)) {
            let mut bytes = [0; 17];
            bytes[..8].copy_from_slice(&time.to_le_bytes());
            bytes[8..16].copy_from_slice(&bits(row).to_le_bytes());
            bytes[16] = kind;
            self.sum = self.sum.wrapping_add(xxh3_64_with_seed(&bytes, field));
            self.values += 1;
        }
    }
}

#[cfg(test)]
mod tests;
