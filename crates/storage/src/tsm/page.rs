//! A page: up to 1,024 rows of one column.
//!
//! ```text
//! | crc32 (4, little endian) | codec (1) | payload |
//! | crc32                    | codec + 128 | values (varint) | null bitmap | payload |
//! ```
//! The checksum is that of the number of rows (4 bytes, little endian), which the directory says, and of the rest. The
//! second form is that of a page with nulls: `values` is the number of rows that hold one, and the bitmap has one bit per
//! row, lowest first. The payload holds the values densely.

use std::borrow::Cow;
use std::ops::Range;

use model::{Bitmap, Column, Values, varint};

use super::format::{PAGE_ROWS_MAX, take_array, take_len};
use crate::codec::{self, Effort, EncodedPage};
use crate::error::Damage;

/// Bytes of the checksum before a page.
const CHECKSUM_BYTES: usize = 4;
/// The bit of the codec's byte that marks nulls.
const HAS_NULLS: u8 = 0x80;

/// The column's values without the places of nulls.
pub(crate) fn dense(column: &Column) -> Cow<'_, Values> {
    match &column.valid {
        None => Cow::Borrowed(&column.values),
        Some(valid) => Cow::Owned(column.values.gather(&valid.ones())),
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
pub(crate) struct EncodedColumn<'a> {
    pub(crate) shared: Vec<u8>,
    pub(crate) pages: Vec<Vec<u8>>,
    /// The dense values of each page.
    pub(crate) ranges: Vec<Range<usize>>,
    pub(crate) values: Cow<'a, Values>,
}

/// Encodes a column in pages of these rows.
pub(crate) fn encode<'a>(column: &'a Column, pages: &[Range<usize>], effort: Effort) -> EncodedColumn<'a> {
    let values = dense(column);
    let ranges = dense_ranges(column, pages);
    let encoded = codec::encode(&values, &ranges, effort);
    let page = |(page, (rows, dense)): (&EncodedPage, (&Range<usize>, &Range<usize>))| {
        let mut out = Vec::with_capacity(page.payload.len() + 16 + rows.len() / 8);
        out.extend([0; CHECKSUM_BYTES]);
        let nulls = column.valid.as_ref().filter(|_| dense.len() < rows.len());
        out.push(page.codec | if nulls.is_some() { HAS_NULLS } else { 0 });
        if let Some(valid) = nulls {
            varint::put(&mut out, dense.len() as u64);
            codec::put_bits(&mut out, valid, rows);
        }
        out.extend_from_slice(&page.payload);
        let sum = checksum(rows.len(), &out[CHECKSUM_BYTES..]);
        out[..CHECKSUM_BYTES].copy_from_slice(&sum.to_le_bytes());
        out
    };
    let pages = encoded.pages.iter().zip(pages.iter().zip(&ranges)).map(page).collect();
    EncodedColumn { shared: encoded.shared, pages, ranges, values }
}

/// Bytes of a page that say what its codec is.
pub(crate) const CODEC_BYTES: u64 = 5;

/// What people call the codec of a page with these first bytes.
pub(crate) fn codec_name(head: &[u8]) -> Option<&'static str> {
    codec::name(head.get(CHECKSUM_BYTES)? & !HAS_NULLS)
}

/// The checksum of a page's rows and of what stands behind it.
fn checksum(rows: usize, rest: &[u8]) -> u32 {
    let rows = u32::try_from(rows).unwrap_or(u32::MAX);
    crc32c::crc32c_append(crc32c::crc32c(&rows.to_le_bytes()), rest)
}

/// Takes the checksum off a page of `rows` rows and compares it.
pub(crate) fn check(bytes: &[u8], rows: usize) -> Result<&[u8], Damage> {
    let (expected, rest) = bytes.split_first_chunk::<CHECKSUM_BYTES>().ok_or(Damage::Truncated)?;
    if checksum(rows, rest) == u32::from_le_bytes(*expected) { Ok(rest) } else { Err(Damage::Checksum) }
}

/// Checks a page of `rows` rows and appends it to a column. After a failure the column is not to be used.
pub(crate) fn decode(
    bytes: &[u8],
    rows: usize,
    decoder: &mut codec::Decoder<'_>,
    out: &mut Column,
) -> Result<(), Damage> {
    let mut input = check(bytes, rows)?;
    let [codec] = take_array(&mut input)?;
    if rows > PAGE_ROWS_MAX {
        return Err(Damage::Malformed("number of rows"));
    }
    let before = out.values.len();
    if codec & HAS_NULLS == 0 {
        decoder.decode(codec, input, rows, &mut out.values)?;
        if let Some(valid) = &mut out.valid {
            valid.push_n(true, rows);
        }
        return Ok(());
    }
    let count = take_len(&mut input)?;
    if count >= rows {
        return Err(Damage::Malformed("number of values"));
    }
    let (bitmap, payload) = input.split_at_checked(rows.div_ceil(8)).ok_or(Damage::Truncated)?;
    let valid = codec::take_bits(bitmap, rows).ok_or(Damage::Malformed("null bitmap"))?;
    if valid.count_ones() != count {
        return Err(Damage::Malformed("null bitmap"));
    }
    let codec = codec & !HAS_NULLS;
    match &mut out.values {
        Values::Float(_) | Values::Integer(_) | Values::Unsigned(_) | Values::Time(_) => {
            decoder.decode(codec, payload, count, &mut out.values)?;
        }
        Values::String(_) | Values::Boolean(_) => {
            let mut dense = Values::empty(out.values.column_type());
            decoder.decode(codec, payload, count, &mut dense)?;
            append_spread(&mut out.values, &dense, &valid);
        }
    }
    match &mut out.values {
        Values::Float(v) => spread(v, before, &valid),
        Values::Integer(v) | Values::Time(v) => spread(v, before, &valid),
        Values::Unsigned(v) => spread(v, before, &valid),
        Values::String(_) | Values::Boolean(_) => {}
    }
    out.valid.get_or_insert_with(|| Bitmap::filled(true, before)).extend_from(&valid, 0, rows);
    Ok(())
}

/// Moves the dense values behind `start` into their rows, and puts zeros between.
fn spread<T: Copy + Default>(values: &mut Vec<T>, start: usize, valid: &Bitmap) {
    let mut next = values.len();
    values.resize(start + valid.len(), T::default());
    // From the back, a value never lands on one that has not moved yet.
    for row in (0..valid.len()).rev() {
        values[start + row] = if valid.get(row) {
            next -= 1;
            values[next]
        } else {
            T::default()
        };
    }
}

/// Appends dense values in their rows, and zeros between.
fn append_spread(out: &mut Values, dense: &Values, valid: &Bitmap) {
    let mut next = 0;
    for is_valid in valid.iter() {
        if is_valid {
            out.extend_from(dense, next, next + 1);
            next += 1;
        } else {
            out.push_default();
        }
    }
}
