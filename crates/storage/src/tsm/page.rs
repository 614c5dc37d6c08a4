//! A page: up to 1,024 rows of one column.
//!
//! ```text
//! | crc32 of the rest (4, little endian) | codec (1) | rows (varint) | values (varint) | null bitmap | payload |
//! ```
//! `values` is the number of rows that hold one. The bitmap, one bit per row, lowest first, is there only when
//! `values < rows`. The payload holds the values densely.

use std::ops::Range;

use model::{Bitmap, Column, Values, varint};

use super::format::{PAGE_ROWS_MAX, checksum, take_array, take_len};
use crate::codec::{self, Effort};
use crate::error::Damage;

/// The column's values without the places of nulls.
pub(crate) fn dense(column: &Column) -> Values {
    match &column.valid {
        None => column.values.clone(),
        Some(valid) => {
            let rows: Vec<u32> = (0..valid.len())
                .filter(|&i| valid.get(i))
                .map(|i| u32::try_from(i).expect("a chunk has few rows"))
                .collect();
            column.values.gather(&rows)
        }
    }
}

/// The ranges of dense values that belong to ranges of rows.
pub(crate) fn dense_ranges(column: &Column, pages: &[Range<usize>]) -> Vec<Range<usize>> {
    let Some(valid) = &column.valid else { return pages.to_vec() };
    let mut at = 0;
    pages
        .iter()
        .map(|rows| {
            let start = at;
            at += rows.clone().filter(|&i| valid.get(i)).count();
            start..at
        })
        .collect()
}

/// An encoded column: the bytes that its pages share, and the pages.
#[derive(Debug)]
pub(crate) struct EncodedColumn {
    pub(crate) shared: Vec<u8>,
    pub(crate) pages: Vec<Vec<u8>>,
    /// The dense values of each page.
    pub(crate) ranges: Vec<Range<usize>>,
    pub(crate) values: Values,
}

/// Encodes a column in pages of these rows.
pub(crate) fn encode(column: &Column, pages: &[Range<usize>], effort: Effort) -> EncodedColumn {
    let values = dense(column);
    let ranges = dense_ranges(column, pages);
    let encoded = codec::encode(&values, &ranges, effort);
    let pages = encoded
        .pages
        .iter()
        .zip(pages.iter().zip(&ranges))
        .map(|(page, (rows, dense))| {
            let mut body = vec![page.codec];
            varint::put(&mut body, rows.len() as u64);
            varint::put(&mut body, dense.len() as u64);
            if let Some(valid) = &column.valid
                && dense.len() < rows.len()
            {
                codec::put_bits(&mut body, rows.clone().map(|i| valid.get(i)));
            }
            body.extend(&page.payload);
            let mut out = checksum(&body).to_le_bytes().to_vec();
            out.extend(body);
            out
        })
        .collect();
    EncodedColumn { shared: encoded.shared, pages, ranges, values }
}

/// Checks and decodes a page of `rows` rows.
pub(crate) fn decode(bytes: &[u8], rows: usize, decoder: &mut codec::Decoder) -> Result<Column, Damage> {
    let mut input = bytes;
    let expected = u32::from_le_bytes(take_array(&mut input)?);
    if checksum(input) != expected {
        return Err(Damage::Checksum);
    }
    let [codec] = take_array(&mut input)?;
    if take_len(&mut input)? != rows || rows > PAGE_ROWS_MAX {
        return Err(Damage::Malformed("number of rows"));
    }
    let count = take_len(&mut input)?;
    if count > rows {
        return Err(Damage::Malformed("number of values"));
    }
    if count == rows {
        return Ok(Column::new(decoder.decode(codec, input, count)?));
    }
    let (bitmap, payload) = input.split_at_checked(rows.div_ceil(8)).ok_or(Damage::Truncated)?;
    let valid = codec::take_bits(bitmap, rows).ok_or(Damage::Malformed("null bitmap"))?;
    if valid.count_ones() != count {
        return Err(Damage::Malformed("null bitmap"));
    }
    let values = decoder.decode(codec, payload, count)?;
    Ok(Column { values: spread(&values, &valid), valid: Some(valid) })
}

/// Puts dense values into their rows, and zeros between.
fn spread(values: &Values, valid: &Bitmap) -> Values {
    let mut out = Values::empty(values.column_type());
    let mut next = 0;
    for is_valid in valid.iter() {
        if is_valid {
            out.extend_from(values, next, next + 1);
            next += 1;
        } else {
            out.push_default();
        }
    }
    out
}
