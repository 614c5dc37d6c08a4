//! Statistics of a page's values: they answer aggregates and prune without decoding.
//!
//! ```text
//! | kind | ...                                    nulls are not counted
//!   0  none: no values, strings, or floats with a NaN among them
//!   1  integer   min (zigzag), max - min, first - min, last - min (varints), sum (zigzag varint of 128 bits)
//!   2  unsigned  min, max - min, first - min, last - min (varints), sum (varint of 128 bits)
//!   3  float     min, max, first, last, sum (8 bytes each)
//!   4  boolean   number of trues (varint), first, last (a byte each)
//!   5  decimal   exponent (a byte), then as integers: min (zigzag), max - min, first - min, last - min (varints),
//!                sum (8 bytes, or zigzag varint as integer when 128 is added to the exponent)
//! ```
//! The sum of floats is that of adding them in row order. Decimal is another form of float, taken when all four
//! values come back from it bit for bit (see `codec::decimal`).

use std::fmt;
use std::ops::Range;

use model::summary::{Part, Point, Sum};
use model::{FieldType, FieldValue, Values, Wanted, varint};

use super::format::{put_i64, take_array, take_i64, take_u64};
use crate::codec::decimal;
use crate::error::Damage;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stats {
    None,
    Integer { min: i64, max: i64, first: i64, last: i64, sum: i128 },
    Unsigned { min: u64, max: u64, first: u64, last: u64, sum: u128 },
    Float { min: f64, max: f64, first: f64, last: f64, sum: f64 },
    Boolean { trues: u64, first: bool, last: bool },
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        macro_rules! numbers {
            ($min:expr, $max:expr, $first:expr, $last:expr, $sum:expr) => {
                write!(f, "min={} max={} first={} last={} sum={}", $min, $max, $first, $last, $sum)
            };
        }
        match self {
            Self::None => Ok(()),
            Self::Integer { min, max, first, last, sum } => numbers!(min, max, first, last, sum),
            Self::Unsigned { min, max, first, last, sum } => numbers!(min, max, first, last, sum),
            Self::Float { min, max, first, last, sum } => numbers!(min, max, first, last, sum),
            Self::Boolean { trues, first, last } => write!(f, "trues={trues} first={first} last={last}"),
        }
    }
}

impl Stats {
    /// The statistics of some of dense values.
    pub(crate) fn of(values: &Values, range: Range<usize>) -> Self {
        match values {
            Values::Integer(v) => Self::of_integers(&v[range]),
            Values::Unsigned(v) => Self::of_unsigned(&v[range]),
            Values::Float(v) => Self::of_floats(&v[range]),
            Values::Boolean(v) => {
                let Some(last) = range.clone().next_back() else { return Self::None };
                let (first, last) = (v.get(range.start), v.get(last));
                Self::Boolean { trues: range.filter(|&i| v.get(i)).count() as u64, first, last }
            }
            Values::String(_) | Values::Time(_) => Self::None,
        }
    }

    fn of_integers(v: &[i64]) -> Self {
        let (Some(&first), Some(&last)) = (v.first(), v.last()) else { return Self::None };
        let (mut min, mut max, mut sum) = (first, first, 0_i128);
        for &x in v {
            min = min.min(x);
            max = max.max(x);
            sum += i128::from(x);
        }
        Self::Integer { min, max, first, last, sum }
    }

    fn of_unsigned(v: &[u64]) -> Self {
        let (Some(&first), Some(&last)) = (v.first(), v.last()) else { return Self::None };
        let (mut min, mut max, mut sum) = (first, first, 0_u128);
        for &x in v {
            min = min.min(x);
            max = max.max(x);
            sum += u128::from(x);
        }
        Self::Unsigned { min, max, first, last, sum }
    }

    fn of_floats(v: &[f64]) -> Self {
        let (Some(&first), Some(&last)) = (v.first(), v.last()) else { return Self::None };
        let (mut min, mut max, mut sum) = (first, first, 0.0);
        for &x in v {
            if x.is_nan() {
                return Self::None;
            }
            // Of the zeros of both signs the first counts.
            min = if x < min { x } else { min };
            max = if x > max { x } else { max };
            sum += x;
        }
        Self::Float { min, max, first, last, sum }
    }

    /// Whether so many values of a type can have these statistics. Who reads them from a file asks, so that sums of
    /// them cannot overflow and their values are of the field's type.
    pub(crate) fn may_be_of(&self, field_type: FieldType, values: usize) -> bool {
        match (*self, field_type) {
            (Self::None, _) => true,
            _ if values == 0 => false,
            (Self::Integer { min, max, first, last, sum }, FieldType::Integer) => {
                let total = |each: i64| i128::from(each).saturating_mul(values as i128);
                let inside = min..=max;
                inside.contains(&first) && inside.contains(&last) && (total(min)..=total(max)).contains(&sum)
            }
            (Self::Unsigned { min, max, first, last, sum }, FieldType::Unsigned) => {
                let total = |each: u64| u128::from(each).saturating_mul(values as u128);
                let inside = min..=max;
                inside.contains(&first) && inside.contains(&last) && (total(min)..=total(max)).contains(&sum)
            }
            (Self::Float { min, max, first, last, .. }, FieldType::Float) => {
                (min..=max).contains(&first) && (min..=max).contains(&last)
            }
            (Self::Boolean { trues, .. }, FieldType::Boolean) => trues <= values as u64,
            _ => false,
        }
    }

    /// The first and the last value, where they are known.
    pub(crate) fn ends(&self) -> Option<(FieldValue, FieldValue)> {
        Some(match *self {
            Self::None => return None,
            Self::Integer { first, last, .. } => (FieldValue::Integer(first), FieldValue::Integer(last)),
            Self::Unsigned { first, last, .. } => (FieldValue::Unsigned(first), FieldValue::Unsigned(last)),
            Self::Float { first, last, .. } => (FieldValue::Float(first), FieldValue::Float(last)),
            Self::Boolean { first, last, .. } => (FieldValue::Boolean(first), FieldValue::Boolean(last)),
        })
    }

    /// What is wanted of the page's values, which lie in the window that starts at `start`; `None` when the values
    /// themselves must be looked at. `ends` are the times of the page when every row has a value.
    pub(crate) fn part(
        &self,
        wanted: Wanted,
        start: i64,
        count: u64,
        ends: Option<(i64, i64)>,
    ) -> Option<Part> {
        let needs_times = wanted.times && (wanted.min || wanted.max);
        let needs_ends = (wanted.first || wanted.last) && ends.is_none();
        if needs_times || needs_ends || count == 0 {
            return None;
        }
        let mut part = Part { start, count, sum: None, min: None, max: None, first: None, last: None };
        let (min, max, first, last) = match *self {
            Self::None if wanted == (Wanted { count: wanted.count, ..Wanted::default() }) => {
                return Some(part);
            }
            Self::None => return None,
            Self::Integer { min, max, first, last, sum } => {
                part.sum = Some(Sum::Integer(sum));
                let value = FieldValue::Integer;
                (value(min), value(max), value(first), value(last))
            }
            Self::Unsigned { min, max, first, last, sum } => {
                part.sum = Some(Sum::Unsigned(sum));
                let value = FieldValue::Unsigned;
                (value(min), value(max), value(first), value(last))
            }
            Self::Float { min, max, first, last, sum } => {
                part.sum = Some(Sum::Float(sum));
                let value = FieldValue::Float;
                (value(min), value(max), value(first), value(last))
            }
            Self::Boolean { trues, first, last } => {
                let value = FieldValue::Boolean;
                (value(trues == count), value(trues > 0), value(first), value(last))
            }
        };
        let (first_time, last_time) = ends.unwrap_or_default();
        part.sum = part.sum.filter(|_| wanted.sum);
        part.min = wanted.min.then_some(Point { time: 0, value: min });
        part.max = wanted.max.then_some(Point { time: 0, value: max });
        part.first = wanted.first.then_some(Point { time: first_time, value: first });
        part.last = wanted.last.then_some(Point { time: last_time, value: last });
        Some(part)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::None => out.push(0),
            Self::Integer { min, max, first, last, sum } => {
                out.push(1);
                put_integers(out, [min, max, first, last]);
                put_u128(out, ((sum << 1) ^ (sum >> 127)).cast_unsigned());
            }
            Self::Unsigned { min, max, first, last, sum } => {
                out.push(2);
                for n in [min, max - min, first - min, last - min] {
                    varint::put(out, n);
                }
                put_u128(out, sum);
            }
            Self::Float { min, max, first, last, sum } => {
                if let Some((exponent, integers)) = as_integers([min, max, first, last]) {
                    let sum_integer = decimal::to_integer(sum, exponent);
                    out.extend([5, exponent | if sum_integer.is_some() { SUM_IS_INTEGER } else { 0 }]);
                    put_integers(out, integers);
                    match sum_integer {
                        Some(integer) => put_i64(out, integer),
                        None => out.extend(sum.to_bits().to_le_bytes()),
                    }
                } else {
                    out.push(3);
                    for x in [min, max, first, last, sum] {
                        out.extend(x.to_bits().to_le_bytes());
                    }
                }
            }
            Self::Boolean { trues, first, last } => {
                out.push(4);
                varint::put(out, trues);
                out.extend([u8::from(first), u8::from(last)]);
            }
        }
    }

    pub(crate) fn decode(input: &mut &[u8]) -> Result<Self, Damage> {
        let bad = Damage::Malformed("statistics");
        let [kind] = take_array(input)?;
        Ok(match kind {
            0 => Self::None,
            1 => {
                let [min, max, first, last] = take_integers(input)?;
                let sum = take_u128(input)?;
                let sum = (sum >> 1).cast_signed() ^ -((sum & 1).cast_signed());
                Self::Integer { min, max, first, last, sum }
            }
            2 => {
                let min = take_u64(input)?;
                let mut above = || min.checked_add(take_u64(input)?).ok_or(bad);
                let (max, first, last) = (above()?, above()?, above()?);
                Self::Unsigned { min, max, first, last, sum: take_u128(input)? }
            }
            3 => {
                let mut next = || take_f64(input);
                Self::Float { min: next()?, max: next()?, first: next()?, last: next()?, sum: next()? }
            }
            4 => {
                let trues = take_u64(input)?;
                match take_array(input)? {
                    [first @ (0 | 1), last @ (0 | 1)] => {
                        Self::Boolean { trues, first: first == 1, last: last == 1 }
                    }
                    _ => return Err(bad),
                }
            }
            5 => {
                let [head] = take_array(input)?;
                let exponent = head & !SUM_IS_INTEGER;
                let value = |integer| decimal::from_integer(integer, exponent).ok_or(bad);
                let [min, max, first, last] = take_integers(input)?;
                let sum = if head == exponent { take_f64(input)? } else { value(take_i64(input)?)? };
                Self::Float {
                    min: value(min)?,
                    max: value(max)?,
                    first: value(first)?,
                    last: value(last)?,
                    sum,
                }
            }
            _ => return Err(bad),
        })
    }
}

/// The bit of the exponent that says that the sum is an integer too.
const SUM_IS_INTEGER: u8 = 0x80;

/// All values as integers of one exponent.
fn as_integers(values: [f64; 4]) -> Option<(u8, [i64; 4])> {
    let mut exponent = 0;
    for value in values {
        exponent = exponent.max(decimal::exponent_of(value)?);
    }
    let mut integers = [0; 4];
    for (integer, value) in integers.iter_mut().zip(values) {
        *integer = decimal::to_integer(value, exponent)?;
    }
    Some((exponent, integers))
}

/// The least as it is, the others by how far they lie above it.
fn put_integers(out: &mut Vec<u8>, [min, others @ ..]: [i64; 4]) {
    put_i64(out, min);
    others.iter().for_each(|n| varint::put(out, n.wrapping_sub(min).cast_unsigned()));
}

fn take_integers(input: &mut &[u8]) -> Result<[i64; 4], Damage> {
    let min = take_i64(input)?;
    let mut above = || Ok::<_, Damage>(min.wrapping_add(take_u64(input)?.cast_signed()));
    Ok([min, above()?, above()?, above()?])
}

fn take_f64(input: &mut &[u8]) -> Result<f64, Damage> {
    take_array(input).map(|bytes| f64::from_bits(u64::from_le_bytes(bytes)))
}

/// LEB128 over 128 bits.
#[expect(clippy::cast_possible_truncation, reason = "the low seven bits are what is wanted")]
fn put_u128(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_u128(input: &mut &[u8]) -> Result<u128, Damage> {
    let mut value = 0_u128;
    for shift in 0..19_u32 {
        let [byte] = take_array(input)?;
        let bits = u128::from(byte & 0x7f);
        if shift == 18 && bits > 3 {
            return Err(Damage::Malformed("statistics"));
        }
        value |= bits << (shift * 7);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Damage::Malformed("statistics"))
}
