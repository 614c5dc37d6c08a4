//! Floats that are decimals of a few digits, as the integers that they are a power of ten away from.
//!
//! ```text
//!  value = integer / 10^exponent, by division: that is how a text of up to 15 digits became the float
//!
//!  | head | page of integers |                                        decimal
//!  | head | exceptions | places | their bits | page of integers |        patched decimal
//!     1     varint       varints  8 each      `- step, frame, bins, pco or raw
//! ```
//! `head` is the exponent (0 to 15) times 16 plus the codec of the integers. An exception is a value whose bits do
//! not come back: NaN, infinities, -0.0, more digits. The integer in its place repeats a neighbour. A place is
//! written as the distance from the place after the one before.
//!
//! Encoding asks no theory whether a value survives: it runs the decoder's own arithmetic on each and compares
//! the bits.

use std::ops::Range;

use model::varint;

use super::EncodedPage;
use super::pack::GROUP;
use crate::error::Damage;

/// Largest exponent: more digits than a double tells apart.
const EXPONENT_MAX: u8 = 15;
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
/// 1.5 * 2^52: a double near it has its integer part in the low bits, so that adding it rounds, and taking the
/// bits converts, without instructions that plain x86-64 lacks for vectors.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
/// Of so many values of a column the exponent is found.
const SAMPLE: usize = 64;
/// At most one value in this many is an exception; else the column is none of decimals.
const EXCEPTIONS_PART: usize = 4;

/// A column as integers.
#[derive(Debug)]
pub(super) struct Scaled {
    exponent: u8,
    /// The integers, as words.
    pub(super) words: Vec<u64>,
    /// Places of exceptions, ascending.
    exceptions: Vec<usize>,
}

fn integer_of(value: f64, power: f64) -> u64 {
    (value * power + ROUNDER).to_bits().wrapping_sub(ROUNDER.to_bits())
}

fn value_of(integer: u64, power: f64) -> f64 {
    (f64::from_bits(integer.wrapping_add(ROUNDER.to_bits())) - ROUNDER) / power
}

/// Zero when the value comes back from its integer. Integers beyond 51 bits are no integers but bits of a double
/// that was too large to be rounded, and NaN has no bits that arithmetic promises to keep.
fn loss(value: f64, integer: u64, power: f64) -> u64 {
    (value_of(integer, power).to_bits() ^ value.to_bits()) | (integer.wrapping_add(1 << 51) >> 52)
}

fn is_exact(value: f64, power: f64) -> bool {
    loss(value, integer_of(value, power), power) == 0
}

/// The integer that a value is, scaled by a power of ten, when the value comes back from it.
pub(crate) fn to_integer(value: f64, exponent: u8) -> Option<i64> {
    let power = *POWERS.get(usize::from(exponent))?;
    is_exact(value, power).then(|| nearest_integer(value, exponent))
}

/// The integer that a value, scaled by a power of ten, is nearest to. Of a value that is too large, any number; 0 with an
/// exponent that no encoder writes.
pub(crate) fn nearest_integer(value: f64, exponent: u8) -> i64 {
    POWERS.get(usize::from(exponent)).map_or(0, |power| integer_of(value, *power).cast_signed())
}

/// The inverse of [`to_integer`]; `None` when no encoder writes this exponent.
pub(crate) fn from_integer(integer: i64, exponent: u8) -> Option<f64> {
    let power = *POWERS.get(usize::from(exponent))?;
    Some(value_of(integer.cast_unsigned(), power))
}

/// The smallest exponent with which a value comes back.
pub(crate) fn exponent_of(value: f64) -> Option<u8> {
    (0..=EXPONENT_MAX).zip(POWERS).find(|(_, power)| is_exact(value, *power)).map(|(exponent, _)| exponent)
}

/// The largest exponent that a sample needs; `None` when too many have none.
fn exponent_of_all<'a>(sample: impl Iterator<Item = &'a f64>) -> Option<u8> {
    let (mut exponent, mut none, mut all) = (None, 0, 0);
    for value in sample {
        all += 1;
        match exponent_of(*value) {
            Some(needed) => exponent = exponent.max(Some(needed)),
            None => none += 1,
        }
    }
    exponent.filter(|_| none * EXCEPTIONS_PART <= all)
}

impl Scaled {
    /// The column as integers, when few of its values are exceptions.
    pub(super) fn new(values: &[f64]) -> Option<Self> {
        let step = (values.len() / SAMPLE).max(1);
        let exponent = exponent_of_all(values.iter().step_by(step))?;
        let scaled = Self::with_exponent(values, exponent);
        if scaled.exceptions.is_empty() {
            return Some(scaled);
        }
        // The sample may have missed the longest values.
        let step = (scaled.exceptions.len() / SAMPLE).max(1);
        let missed = scaled.exceptions.iter().step_by(step).map(|&i| &values[i]);
        let longer = missed.filter_map(|v| exponent_of(*v)).max().filter(|&e| e > exponent);
        let scaled = match longer {
            Some(longer) => {
                let again = Self::with_exponent(values, longer);
                if again.exceptions.len() < scaled.exceptions.len() { again } else { scaled }
            }
            None => scaled,
        };
        (scaled.exceptions.len() * EXCEPTIONS_PART <= values.len()).then_some(scaled)
    }

    fn with_exponent(values: &[f64], exponent: u8) -> Self {
        let power = POWERS[usize::from(exponent)];
        let mut words = Vec::with_capacity(values.len());
        let mut exceptions = Vec::new();
        for group in values.chunks(GROUP) {
            let start = words.len();
            words.extend(group.iter().map(|v| integer_of(*v, power)));
            if group.iter().zip(&words[start..]).fold(0, |all, (v, w)| all | loss(*v, *w, power)) == 0 {
                continue;
            }
            for (i, value) in group.iter().enumerate() {
                if !is_exact(*value, power) {
                    exceptions.push(start + i);
                    words[start + i] = (start + i).checked_sub(1).map_or(0, |before| words[before]);
                }
            }
        }
        // Exceptions at the front repeat the first value that is none.
        let leading = exceptions.iter().enumerate().take_while(|(i, place)| i == *place).count();
        if let Some(&first) = words.get(leading) {
            words[..leading].fill(first);
        }
        Self { exponent, words, exceptions }
    }

    /// The integers' pages as pages of the values.
    pub(super) fn wrap(
        &self,
        values: &[f64],
        pages: &[Range<usize>],
        of_integers: Vec<EncodedPage>,
    ) -> Vec<EncodedPage> {
        let mut exceptions = &self.exceptions[..];
        let wrap = |(page, range): (EncodedPage, &Range<usize>)| {
            if range.is_empty() {
                return page;
            }
            let (mine, others) = exceptions.split_at(exceptions.partition_point(|place| *place < range.end));
            exceptions = others;
            let mut payload = Vec::with_capacity(page.payload.len() + 2 + mine.len() * 10);
            payload.push(self.exponent << 4 | page.codec);
            if mine.is_empty() {
                payload.extend(page.payload);
                return EncodedPage { codec: super::DECIMAL, payload };
            }
            varint::put(&mut payload, mine.len() as u64);
            let mut next = range.start;
            for place in mine {
                varint::put(&mut payload, (place - next) as u64);
                next = place + 1;
            }
            mine.iter().for_each(|place| payload.extend(values[*place].to_bits().to_le_bytes()));
            payload.extend(page.payload);
            EncodedPage { codec: super::PATCHED_DECIMAL, payload }
        };
        of_integers.into_iter().zip(pages).map(wrap).collect()
    }
}

/// What stands before the integers of a page of decimals.
pub(super) struct Head<'a> {
    power: f64,
    /// The codec of the integers.
    pub(super) codec: u8,
    exceptions: Vec<(usize, f64)>,
    /// The page of integers.
    pub(super) payload: &'a [u8],
}

impl<'a> Head<'a> {
    /// Reads it from a page of `count` values.
    pub(super) fn take(mut payload: &'a [u8], count: usize, has_exceptions: bool) -> Result<Self, Damage> {
        let bad = Damage::Malformed("decimal exceptions");
        let (&head, rest) = payload.split_first().ok_or(Damage::Truncated)?;
        payload = rest;
        let power = *POWERS.get(usize::from(head >> 4)).ok_or(bad)?;
        let mut exceptions = Vec::new();
        let number = if has_exceptions { varint::take(&mut payload).ok_or(Damage::Truncated)? } else { 0 };
        let number = usize::try_from(number).ok().filter(|n| *n <= count).ok_or(bad)?;
        let mut next = 0_usize;
        for _ in 0..number {
            let distance = varint::take(&mut payload).ok_or(Damage::Truncated)?;
            let place = usize::try_from(distance).ok().and_then(|d| next.checked_add(d));
            let place = place.filter(|p| *p < count).ok_or(bad)?;
            exceptions.push((place, 0.0));
            next = place + 1;
        }
        for (_, value) in &mut exceptions {
            let (bits, rest) = payload.split_first_chunk().ok_or(Damage::Truncated)?;
            payload = rest;
            *value = f64::from_bits(u64::from_le_bytes(*bits));
        }
        Ok(Self { power, codec: head & 15, exceptions, payload })
    }

    /// Appends the values of integers.
    pub(super) fn extend_signed(&self, out: &mut Vec<f64>, integers: &[i64]) {
        out.extend(integers.iter().map(|integer| value_of(integer.cast_unsigned(), self.power)));
    }

    /// Appends the values of integers that are words.
    pub(super) fn extend(&self, out: &mut Vec<f64>, integers: &[u64]) {
        out.extend(integers.iter().map(|integer| value_of(*integer, self.power)));
    }

    /// Puts the exceptions into the page's values.
    pub(super) fn patch(&self, page: &mut [f64]) {
        for (place, value) in &self.exceptions {
            if let Some(slot) = page.get_mut(*place) {
                *slot = *value;
            }
        }
    }
}
