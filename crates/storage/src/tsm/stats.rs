//! Statistics of a page's values: they answer aggregates and prune without decoding.
//!
//! ```text
//! form                                         nulls are not counted; `n` is the number of values
//!   0       none: no values, strings, or floats with a NaN among them
//!   1       integer   first - last of the page before (zigzag), first - min, max - min, last - min (varints),
//!                     sum - n * min (varint of 128 bits)
//!   2       unsigned  the same
//!   3       float     min, max, first, last, sum (8 bytes each)
//!   4       boolean   number of trues (varint), first, last (a byte each)
//!   16 + e  decimal   as integers: the numbers times 10^e, the sum's nearest (zigzag); bits of the sum - bits of that
//!                     nearest (zigzag)
//! ```
//! The sum of floats is that of adding them in row order. Decimal is another form of float, taken when all four
//! values come back from it bit for bit (see `codec::decimal`). What a form means is in the directory, once for a column
//! when all its pages have the same.

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
        let mut part =
            Part { start, count, sum: None, squares: None, min: None, max: None, first: None, last: None };
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
        if wanted.squares && part.sum.is_some() {
            // Values that are all the same are at no distance from their mean; of others the page must tell. The least and
            // the greatest value pass over a NaN, the sum does not.
            let is_finite = !matches!(part.sum, Some(Sum::Float(sum)) if !sum.is_finite());
            if min != max || !is_finite {
                return None;
            }
            part.squares = Some(0.0);
        }
        let (first_time, last_time) = ends.unwrap_or_default();
        part.sum = part.sum.filter(|_| wanted.sum);
        part.min = wanted.min.then_some(Point { time: 0, value: min });
        part.max = wanted.max.then_some(Point { time: 0, value: max });
        part.first = wanted.first.then_some(Point { time: first_time, value: first });
        part.last = wanted.last.then_some(Point { time: last_time, value: last });
        Some(part)
    }

    /// The form that is shortest for them.
    pub(crate) fn form(&self) -> u8 {
        match *self {
            Self::None => NONE,
            Self::Integer { .. } => INTEGER,
            Self::Unsigned { .. } => UNSIGNED,
            Self::Float { min, max, first, last, .. } => {
                exponent_of([min, max, first, last]).map_or(FLOAT, |exponent| DECIMAL + exponent)
            }
            Self::Boolean { .. } => BOOLEAN,
        }
    }

    /// Appends the statistics of so many values in their form. `last_before` goes from page to page of a column, and
    /// begins with 0.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, values: usize, last_before: &mut i64) {
        match *self {
            Self::None => {}
            Self::Integer { min, max, first, last, sum } => {
                put_integers(out, [min, max, first, last], last_before);
                put_u128(out, sum.wrapping_sub(i128::from(min) * values as i128).cast_unsigned());
            }
            Self::Unsigned { min, max, first, last, sum } => {
                put_integers(out, [min, max, first, last].map(u64::cast_signed), last_before);
                put_u128(out, sum.wrapping_sub(u128::from(min) * values as u128));
            }
            Self::Float { min, max, first, last, sum } => {
                let numbers = [min, max, first, last];
                let Some(exponent) = exponent_of(numbers) else {
                    numbers.iter().chain([&sum]).for_each(|x| out.extend(x.to_bits().to_le_bytes()));
                    return;
                };
                let integers = numbers.map(|x| decimal::nearest_integer(x, exponent));
                put_integers(out, integers, last_before);
                let nearest = decimal::nearest_integer(sum, exponent);
                put_i64(out, nearest.wrapping_sub(times(integers[0], values)));
                let bits = decimal::from_integer(nearest, exponent).map_or(0, f64::to_bits);
                put_i64(out, sum.to_bits().wrapping_sub(bits).cast_signed());
            }
            Self::Boolean { trues, first, last } => {
                varint::put(out, trues);
                out.extend([u8::from(first), u8::from(last)]);
            }
        }
    }

    /// Reads the statistics of so many values in a form.
    pub(crate) fn decode(
        input: &mut &[u8],
        form: u8,
        values: usize,
        last_before: &mut i64,
    ) -> Result<Self, Damage> {
        let bad = Damage::Malformed("statistics");
        Ok(match form {
            NONE => Self::None,
            INTEGER => {
                let [min, max, first, last] = take_integers(input, last_before)?;
                let least = i128::from(min).wrapping_mul(values as i128);
                let sum = take_u128(input)?.cast_signed().wrapping_add(least);
                Self::Integer { min, max, first, last, sum }
            }
            UNSIGNED => {
                let [min, max, first, last] = take_integers(input, last_before)?.map(i64::cast_unsigned);
                let least = u128::from(min).wrapping_mul(values as u128);
                Self::Unsigned { min, max, first, last, sum: take_u128(input)?.wrapping_add(least) }
            }
            FLOAT => {
                let mut next = || take_array(input).map(|bytes| f64::from_bits(u64::from_le_bytes(bytes)));
                Self::Float { min: next()?, max: next()?, first: next()?, last: next()?, sum: next()? }
            }
            BOOLEAN => {
                let trues = take_u64(input)?;
                match take_array(input)? {
                    [first @ (0 | 1), last @ (0 | 1)] => {
                        Self::Boolean { trues, first: first == 1, last: last == 1 }
                    }
                    _ => return Err(bad),
                }
            }
            _ => {
                let exponent = form.checked_sub(DECIMAL).ok_or(bad)?;
                let value = |integer| decimal::from_integer(integer, exponent).ok_or(bad);
                let integers = take_integers(input, last_before)?;
                let nearest = take_i64(input)?.wrapping_add(times(integers[0], values));
                let bits = value(nearest)?.to_bits().wrapping_add(take_i64(input)?.cast_unsigned());
                let [min, max, first, last] = integers.map(value);
                Self::Float { min: min?, max: max?, first: first?, last: last?, sum: f64::from_bits(bits) }
            }
        })
    }
}

const NONE: u8 = 0;
const INTEGER: u8 = 1;
const UNSIGNED: u8 = 2;
const FLOAT: u8 = 3;
const BOOLEAN: u8 = 4;
/// With the exponent added.
const DECIMAL: u8 = 16;

/// The least exponent with which all values are integers.
fn exponent_of(values: [f64; 4]) -> Option<u8> {
    let mut exponent = 0;
    for value in values {
        exponent = exponent.max(decimal::exponent_of(value)?);
    }
    values.iter().all(|value| decimal::to_integer(*value, exponent).is_some()).then_some(exponent)
}

/// So many times the number, wrapping.
fn times(number: i64, count: usize) -> i64 {
    number.wrapping_mul((count as u64).cast_signed())
}

/// The first by how far it lies from the last one of the page before, all by how far they lie above the least.
fn put_integers(out: &mut Vec<u8>, [min, max, first, last]: [i64; 4], last_before: &mut i64) {
    put_i64(out, first.wrapping_sub(*last_before));
    [first, max, last].iter().for_each(|n| varint::put(out, n.wrapping_sub(min).cast_unsigned()));
    *last_before = last;
}

fn take_integers(input: &mut &[u8], last_before: &mut i64) -> Result<[i64; 4], Damage> {
    let first = last_before.wrapping_add(take_i64(input)?);
    let min = first.wrapping_sub_unsigned(take_u64(input)?);
    let mut above = || Ok::<_, Damage>(min.wrapping_add_unsigned(take_u64(input)?));
    let (max, last) = (above()?, above()?);
    *last_before = last;
    Ok([min, max, first, last])
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
