//! Codecs: dense values (nulls removed) to bytes and back, bit for bit.
//!
//! A column of a chunk is encoded as a whole and cut into pages. The pages share `shared` bytes (the bins of pco,
//! the dictionary of strings), so a short page does not pay for its own. Each page names its codec:
//!
//! | id | codec | of | payload |
//! | --- | --- | --- | --- |
//! | 0 | empty | any | nothing: the page has no value |
//! | 1 | step | numbers, times | zigzag varint of the first, zigzag varint of the step (wrapping) |
//! | 2 | frame | numbers, times | small offsets, packed and in unary, see [`frame`] |
//! | 3 | pco | numbers, times | a page of pco's wrapped format |
//! | 4 | raw | numbers, times | 8 bytes each, little endian |
//! | 5 | decimal | floats | exponent, a page of integers, see [`decimal`] |
//! | 6 | bits | booleans | 1 bit each, lowest first |
//! | 7 | runs | booleans | the first, then the lengths of all runs but the last, varints |
//! | 8 | same bit | booleans | one byte, 0 or 1 |
//! | 9 | plain | strings | varint length and bytes, each |
//! | 10 | dictionary | strings | codec and payload of the indices, as numbers |
//! | 11 | zstd | strings | varint length of plain, its zstd frame |
//! | 12 | bins | numbers, times | bins of one width by frequency, places in them packed, see [`bins`] |
//! | 13 | patched decimal | floats | decimal with exceptions |
//!
//! Decoders are told how many values to produce by the page's header, append exactly so many or fail, and
//! allocate nothing by a length that the bytes merely claim. After a failure the output is not to be used.

use std::ops::Range;

use model::{ColumnType, FieldType, Values};

use crate::error::Damage;

mod bins;
mod bits;
pub(crate) mod decimal;
mod entropy;
mod frame;
mod number;
mod pack;
mod tans;
#[cfg(test)]
mod tests;
mod text;
mod unary;

/// Most values of a page.
pub const PAGE_VALUES_MAX: usize = 65_535;

const EMPTY: u8 = 0;
const STEP: u8 = 1;
const FRAME: u8 = 2;
const PCO: u8 = 3;
const RAW: u8 = 4;
const DECIMAL: u8 = 5;
const BITS: u8 = 6;
const RUNS: u8 = 7;
const SAME_BIT: u8 = 8;
const PLAIN: u8 = 9;
const DICTIONARY: u8 = 10;
const ZSTD: u8 = 11;
const BINS: u8 = 12;
const PATCHED_DECIMAL: u8 = 13;

/// What people call a codec.
pub(crate) const fn name(codec: u8) -> Option<&'static str> {
    match codec {
        EMPTY => Some("empty"),
        STEP => Some("step"),
        FRAME => Some("frame"),
        PCO => Some("pco"),
        RAW => Some("raw"),
        DECIMAL => Some("decimal"),
        BITS => Some("bits"),
        RUNS => Some("runs"),
        SAME_BIT => Some("same bit"),
        PLAIN => Some("plain"),
        DICTIONARY => Some("dictionary"),
        ZSTD => Some("zstd"),
        BINS => Some("bins"),
        PATCHED_DECIMAL => Some("patched decimal"),
        _ => None,
    }
}

/// How hard to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// For files that will be merged: frames, at gigabytes per second both ways.
    Fast,
    /// For a closed shard: bins for numbers, and pco at this level (0 to 12), where they save enough.
    Dense(usize),
}

/// An encoded column.
#[derive(Debug)]
pub struct Encoded {
    /// What all pages need.
    pub shared: Vec<u8>,
    /// The pages, in order.
    pub pages: Vec<EncodedPage>,
}

/// An encoded page.
#[derive(Debug, Clone)]
pub struct EncodedPage {
    /// The codec's id.
    pub codec: u8,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl EncodedPage {
    const fn empty() -> Self {
        Self { codec: EMPTY, payload: Vec::new() }
    }
}

impl Encoded {
    /// Bytes of all parts.
    pub fn bytes(&self) -> usize {
        self.shared.len() + self.pages.iter().map(|page| page.payload.len()).sum::<usize>()
    }
}

/// Encodes dense values; page `i` holds `values[pages[i]]`, and the pages cover the values in order, each at most
/// [`PAGE_VALUES_MAX`].
pub fn encode(values: &Values, pages: &[Range<usize>], effort: Effort) -> Encoded {
    match values {
        Values::Float(v) => number::encode_floats(v, pages, effort),
        Values::Integer(v) | Values::Time(v) => number::encode(v, pages, effort),
        Values::Unsigned(v) => number::encode(v, pages, effort),
        Values::Boolean(v) => bits::encode(v, pages),
        Values::String(v) => text::encode(v, pages),
    }
}

/// Decodes the pages of one column.
#[derive(Debug)]
pub struct Decoder<'a>(Kind<'a>);

#[derive(Debug)]
enum Kind<'a> {
    Float(number::FloatDecoder<'a>),
    Integer(number::Decoder<i64>),
    Unsigned(number::Decoder<u64>),
    Boolean,
    String(text::Decoder),
}

impl<'a> Decoder<'a> {
    /// A decoder for a column with these shared bytes.
    pub fn new(column_type: ColumnType, shared: &'a [u8]) -> Result<Self, Damage> {
        Ok(Self(match column_type {
            ColumnType::Field(FieldType::Float) => Kind::Float(number::FloatDecoder::new(shared)),
            ColumnType::Field(FieldType::Integer) | ColumnType::Time => {
                Kind::Integer(number::Decoder::new(shared)?)
            }
            ColumnType::Field(FieldType::Unsigned) => Kind::Unsigned(number::Decoder::new(shared)?),
            ColumnType::Field(FieldType::Boolean) => Kind::Boolean,
            ColumnType::Field(FieldType::String) => Kind::String(text::Decoder::new(shared)?),
        }))
    }

    /// Appends exactly `count` values to a column of the decoder's type.
    pub fn decode(
        &mut self,
        codec: u8,
        payload: &[u8],
        count: usize,
        out: &mut Values,
    ) -> Result<(), Damage> {
        if count > PAGE_VALUES_MAX {
            return Err(Damage::Malformed("number of values"));
        }
        match (&mut self.0, out) {
            (Kind::Float(d), Values::Float(out)) => d.decode(codec, payload, count, out),
            (Kind::Integer(d), Values::Integer(out) | Values::Time(out)) => {
                d.decode(codec, payload, count, out)
            }
            (Kind::Unsigned(d), Values::Unsigned(out)) => d.decode(codec, payload, count, out),
            (Kind::Boolean, Values::Boolean(out)) => bits::decode(codec, payload, count, out),
            (Kind::String(d), Values::String(out)) => d.decode(codec, payload, count, out),
            (_, out) => unreachable!("pages of another type than {:?}", out.column_type()),
        }
    }
}

pub(crate) use bits::{put as put_bits, take as take_bits};
