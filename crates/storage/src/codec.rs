//! Codecs: dense values (nulls removed) to bytes and back, bit for bit.
//!
//! A column of a chunk is encoded as a whole and cut into pages. The pages share `shared` bytes (the header and
//! bins of pco), so a short page does not pay for its own. Each page names its codec:
//!
//! | id | codec | of | payload |
//! | --- | --- | --- | --- |
//! | 0 | empty | any | nothing: the page has no value |
//! | 1 | step | integers, times | zigzag varint of the first, zigzag varint of the step (wrapping) |
//! | 2 | pco | numbers | a page of pco's wrapped format |
//! | 3 | raw | numbers | 8 bytes each, little endian |
//! | 4 | bits | booleans | 1 bit each, lowest first |
//! | 5 | same bit | booleans | one byte, 0 or 1 |
//! | 6 | plain | strings | varint length and bytes, each |
//! | 7 | dictionary | strings | varint count, the distinct strings as plain, bit-packed indices |
//! | 8 | lz4 | strings | varint length of plain, its lz4 block |
//!
//! Decoders are told how many values to produce by the page's header, produce exactly so many or fail, and
//! allocate nothing by a length that the bytes merely claim.

use std::ops::Range;

use model::{ColumnType, FieldType, Values};

use crate::error::Damage;

mod bits;
mod number;
#[cfg(test)]
mod tests;
mod text;

/// Most values of a page.
pub(crate) const PAGE_VALUES_MAX: usize = 65_535;

const EMPTY: u8 = 0;
const STEP: u8 = 1;
const PCO: u8 = 2;
const RAW: u8 = 3;
const BITS: u8 = 4;
const SAME_BIT: u8 = 5;
const PLAIN: u8 = 6;
const DICTIONARY: u8 = 7;
const LZ4: u8 = 8;

/// What people call a codec.
pub(crate) const fn name(codec: u8) -> Option<&'static str> {
    match codec {
        EMPTY => Some("empty"),
        STEP => Some("step"),
        PCO => Some("pco"),
        RAW => Some("raw"),
        BITS => Some("bits"),
        SAME_BIT => Some("same bit"),
        PLAIN => Some("plain"),
        DICTIONARY => Some("dictionary"),
        LZ4 => Some("lz4"),
        _ => None,
    }
}

/// How hard to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// For a flush: pco with its mode and delta order given, at this level.
    Fast(usize),
    /// For a merge: pco finds out mode and delta order, at this level.
    Dense(usize),
}

/// An encoded column.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) shared: Vec<u8>,
    pub(crate) pages: Vec<EncodedPage>,
}

/// An encoded page.
#[derive(Debug)]
pub(crate) struct EncodedPage {
    pub(crate) codec: u8,
    pub(crate) payload: Vec<u8>,
}

impl EncodedPage {
    const fn empty() -> Self {
        Self { codec: EMPTY, payload: Vec::new() }
    }
}

/// Encodes dense values; page `i` holds `values[pages[i]]`, and the pages cover the values in order.
pub(crate) fn encode(values: &Values, pages: &[Range<usize>], effort: Effort) -> Encoded {
    match values {
        Values::Float(v) => number::encode(v, pages, effort),
        Values::Integer(v) => number::encode(v, pages, effort),
        Values::Time(v) => number::encode_times(v, pages, effort),
        Values::Unsigned(v) => number::encode(v, pages, effort),
        Values::Boolean(v) => bits::encode(v, pages),
        Values::String(v) => text::encode(v, pages),
    }
}

/// Decodes the pages of one column.
#[derive(Debug)]
pub(crate) enum Decoder {
    Float(number::Decoder<f64>),
    Integer(number::Decoder<i64>),
    Unsigned(number::Decoder<u64>),
    Time(number::Decoder<i64>),
    Boolean,
    String,
}

impl Decoder {
    /// A decoder for a column with these shared bytes.
    pub(crate) fn new(column_type: ColumnType, shared: &[u8]) -> Result<Self, Damage> {
        Ok(match column_type {
            ColumnType::Field(FieldType::Float) => Self::Float(number::Decoder::new(shared)?),
            ColumnType::Field(FieldType::Integer) => Self::Integer(number::Decoder::new(shared)?),
            ColumnType::Field(FieldType::Unsigned) => Self::Unsigned(number::Decoder::new(shared)?),
            ColumnType::Time => Self::Time(number::Decoder::new(shared)?),
            ColumnType::Field(FieldType::Boolean) => Self::Boolean,
            ColumnType::Field(FieldType::String) => Self::String,
        })
    }

    /// Decodes exactly `count` values.
    pub(crate) fn decode(&mut self, codec: u8, payload: &[u8], count: usize) -> Result<Values, Damage> {
        if count > PAGE_VALUES_MAX {
            return Err(Damage::Malformed("number of values"));
        }
        Ok(match self {
            Self::Float(d) => Values::Float(d.decode(codec, payload, count)?),
            Self::Integer(d) => Values::Integer(d.decode(codec, payload, count)?),
            Self::Unsigned(d) => Values::Unsigned(d.decode(codec, payload, count)?),
            Self::Time(d) => Values::Time(d.decode(codec, payload, count)?),
            Self::Boolean => Values::Boolean(bits::decode(codec, payload, count)?),
            Self::String => Values::String(text::decode(codec, payload, count)?),
        })
    }
}

pub(crate) use bits::{put as put_bits, take as take_bits};
