//! The values of a column without nulls.
//!
//! ```text
//! integer, unsigned: `ints`
//! float:   | 0 | eight bytes each            or  | 1 + digits | value times 10^digits, as `ints`
//! boolean: one bit each
//! string:  lengths as `ints` | all bytes
//! ```
//! Floats that were written as short decimals are exact quotients of integers by a power of ten. When all values
//! of a column are (checked bit by bit), the integers are stored, which are several times smaller.

use super::{DecodeError, ints, put_bits, take_bits, take_exact};
use crate::column::{Bitmap, ColumnType, StringColumn, Values};
use crate::value::FieldType;

const POWERS: [f64; 8] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7];
/// Integers above this are not all exact in a double.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
/// How many values are looked at to choose the number of digits.
const SAMPLE: usize = 64;

/// Appends the values.
pub(super) fn encode(values: &Values, out: &mut Vec<u8>) {
    match values {
        Values::Integer(values) | Values::Time(values) => ints::encode(values, out),
        Values::Unsigned(values) => {
            let signed: Vec<i64> = values.iter().map(|v| v.cast_signed()).collect();
            ints::encode(&signed, out);
        }
        Values::Float(values) => match as_decimals(values) {
            Some((digits, integers)) => {
                out.push(1 + digits);
                ints::encode(&integers, out);
            }
            None => {
                out.push(0);
                out.reserve(values.len() * 8);
                for value in values {
                    out.extend_from_slice(&value.to_bits().to_le_bytes());
                }
            }
        },
        Values::Boolean(values) => put_bits(out, values),
        Values::String(values) => {
            let lengths: Vec<i64> =
                values.iter().map(|s| i64::try_from(s.len()).unwrap_or(i64::MAX)).collect();
            ints::encode(&lengths, out);
            out.reserve(values.data_bytes());
            for text in values.iter() {
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

/// Reads `len` values of a field; the caller has bounded `len`.
pub(super) fn decode(input: &mut &[u8], field_type: FieldType, len: usize) -> Result<Values, DecodeError> {
    Ok(match field_type {
        FieldType::Integer => Values::Integer(ints::decode(input, len)?),
        FieldType::Unsigned => {
            Values::Unsigned(ints::decode(input, len)?.into_iter().map(i64::cast_unsigned).collect())
        }
        FieldType::Boolean => Values::Boolean(take_bits(input, len)?),
        FieldType::Float => Values::Float(decode_floats(input, len)?),
        FieldType::String => Values::String(decode_strings(input, len)?),
    })
}

fn decode_floats(input: &mut &[u8], len: usize) -> Result<Vec<f64>, DecodeError> {
    let (&kind, rest) = input.split_first().ok_or(DecodeError("cut in floats"))?;
    *input = rest;
    if kind == 0 {
        let bytes = take_exact(input, len.checked_mul(8).ok_or(DecodeError("too many floats"))?)?;
        let (chunks, _none_left) = bytes.as_chunks::<8>();
        return Ok(chunks.iter().map(|c| f64::from_bits(u64::from_le_bytes(*c))).collect());
    }
    let power = POWERS.get(usize::from(kind - 1)).ok_or(DecodeError("unknown kind of floats"))?;
    Ok(ints::decode(input, len)?.into_iter().map(|v| v as f64 / power).collect())
}

fn decode_strings(input: &mut &[u8], len: usize) -> Result<StringColumn, DecodeError> {
    let lengths = ints::decode(input, len)?;
    let mut total = 0_usize;
    for &length in &lengths {
        let length = usize::try_from(length).map_err(|_negative| DecodeError("a negative length"))?;
        total = total.checked_add(length).ok_or(DecodeError("strings are too long"))?;
    }
    if i32::try_from(total).is_err() {
        return Err(DecodeError("strings are too long"));
    }
    let bytes = take_exact(input, total)?;
    let text = simdutf8::basic::from_utf8(bytes).map_err(|_invalid| DecodeError("a string is not UTF-8"))?;
    let mut strings = StringColumn::new();
    let mut start = 0;
    for length in lengths {
        let end = start + usize::try_from(length).map_err(|_negative| DecodeError("a negative length"))?;
        strings.push(text.get(start..end).ok_or(DecodeError("a string is not UTF-8"))?);
        start = end;
    }
    Ok(strings)
}

/// The values as integers divided by a power of ten, when every one of them is exactly that.
fn as_decimals(values: &[f64]) -> Option<(u8, Vec<i64>)> {
    let sample = &values[..values.len().min(SAMPLE)];
    let digits = (0..8_u8).find(|&digits| sample.iter().all(|v| decimal(*v, digits).is_some()))?;
    let integers = values.iter().map(|v| decimal(*v, digits)).collect::<Option<Vec<i64>>>()?;
    Some((digits, integers))
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be exact")]
fn decimal(value: f64, digits: u8) -> Option<i64> {
    let power = POWERS[usize::from(digits)];
    let scaled = (value * power).round_ties_even();
    // -0 and NaN fail the comparison of bits.
    if scaled.abs() < EXACT_MAX
        && (scaled / power).to_bits() == value.to_bits()
        && (scaled != 0.0 || value.to_bits() == 0)
    {
        Some(scaled as i64)
    } else {
        None
    }
}

/// The values at the ones of `valid`.
pub(super) fn without_nulls(values: &Values, valid: &Bitmap) -> Values {
    values.gather(&valid.ones())
}

/// Puts the values at the ones of `valid` and zeros elsewhere. There are as many values as ones.
pub(super) fn with_nulls(dense: &Values, valid: &Bitmap) -> Values {
    let mut out = Values::empty(match dense.column_type() {
        ColumnType::Time => ColumnType::Field(FieldType::Integer),
        field => field,
    });
    for (taken, index) in valid.ones().into_iter().enumerate() {
        let gap = index as usize - out.len();
        out.push_defaults(gap);
        out.extend_from(dense, taken, taken + 1);
    }
    out.push_defaults(valid.len() - out.len());
    out
}
