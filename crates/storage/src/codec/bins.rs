//! Bins: numbers as the bin they fall into and their place in it.
//!
//! ```text
//!  word i+1 = from + base + factor * offset i      all wrapping;  from: word i for differences, else 0
//!  offset   = bin * 2^width + low bits             what lies beyond the last bin is an escape, with its bin in full
//!
//!  shared   | width, + 64 for differences | base   | factor | bins   | share of each bin, and of escapes |
//!              1                            zigzag   varint   varint   varints, sum 512
//!  page     | first  | low bits, packed | bins of all offsets, by share | bins of the escapes |
//!             zigzag   width each         see `tans`                      varints
//! ```
//! A frame gives each high part a whole number of bits. Bins cost what their frequency is worth, so a page comes within
//! one percent of the entropy of its offsets whatever their distribution is; one table serves all pages of a column.
//! It takes longer to write and to read than a frame, so merges write it, into dense files, where it saves enough.

use std::ops::Range;

use model::varint::{self, unzigzag, zigzag};

use super::frame::{self, Line, Order, Patch, Plan};
use super::{BINS, EncodedPage, pack, tans};
use crate::error::Damage;

/// Bit of the first byte: offsets are those of differences.
const DIFFERENCES: u8 = 64;
/// Most bins of a column, so that most have a share worth its byte.
const BINS_MAX: u64 = 128;
/// The bins of the narrowest width tried that most offsets of a column fall into: this to twice as many.
const BINS_OF_MOST_LOG: usize = 3;
/// So many widths are tried from there on.
const WIDTHS: usize = 3;
/// So many numbers tell where most of a column lie.
const SAMPLE: usize = 384;

/// How the offsets of a column are put into bins.
#[derive(Debug)]
pub(super) struct Bins {
    order: Order,
    base: u64,
    factor: u64,
    width: usize,
    /// Shares of the bins, then that of escapes.
    shares: Vec<u16>,
    /// About what all pages take.
    bytes: usize,
}

impl Bins {
    /// The best bins for a column whose differences are multiples of a divisor. `None` when there is nothing to encode.
    pub(super) fn of(words: &[u64], pages: &[Range<usize>], plan: &Plan, divisor: u64) -> Option<Self> {
        let order = plan.order;
        let mut numbers = Vec::with_capacity(words.len());
        pages.iter().for_each(|range| numbers.extend(numbers_of(&words[range.clone()], order)));
        let least = *numbers.iter().min()?;
        let is_multiple = |number: &i64| number.wrapping_sub(least).cast_unsigned().is_multiple_of(divisor);
        let factor = if divisor > 1 && numbers.iter().all(is_multiple) { divisor } else { 1 };

        let mut sample: Vec<i64> = numbers.iter().step_by((numbers.len() / SAMPLE).max(1)).copied().collect();
        sample.sort_unstable();
        let at = |twentieths: usize| sample[(sample.len() * twentieths / 20).min(sample.len() - 1)];
        let most = at(19).wrapping_sub(at(1)).cast_unsigned() / factor;
        let coarse = pack::width_of(most).saturating_sub(1 + BINS_OF_MOST_LOG);
        // Few numbers may be a bin each.
        let narrowest = if most < BINS_MAX / 2 { 0 } else { coarse };
        // The bins lie around the middle, but none below the least.
        let below = at(10).wrapping_sub(least).cast_unsigned() / factor;
        let room = (BINS_MAX / 2).checked_shl(u32::try_from(narrowest).ok()?)?;
        let base = least.cast_unsigned().wrapping_add(factor.wrapping_mul(below.saturating_sub(room)));

        let offsets = numbers.iter().map(|number| offset_of(*number, base, factor));
        let mut counts = vec![0_u32; usize::try_from(BINS_MAX).ok()?];
        let (mut escapes, mut escaped_bits) = (0, 0);
        for offset in offsets {
            match offset >> narrowest {
                bin @ ..BINS_MAX => counts[usize::try_from(bin).ok()?] += 1,
                bin => {
                    escapes += 1;
                    escaped_bits += pack::width_of(bin).div_ceil(7) * 8;
                }
            }
        }
        let mut best: Option<Self> = None;
        for width in narrowest..(coarse + WIDTHS).min(64) {
            if width > narrowest {
                counts = counts.chunks(2).map(|pair| pair.iter().sum()).collect();
            }
            let used = counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
            counts.truncate(used);
            counts.push(escapes);
            let shares = tans::shares(&counts);
            let bits = usize::try_from(tans::bits(&counts, &shares)).ok()? + numbers.len() * width;
            let bytes = (bits + escaped_bits) / 8 + shares.len();
            if best.as_ref().is_none_or(|best| bytes < best.bytes) {
                best = Some(Self { order, base, factor, width, shares, bytes });
            }
            counts.pop();
        }
        best
    }

    /// About what all pages and their shared bytes take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Encodes the pages of the column.
    pub(super) fn encode(&self, words: &[u64], pages: &[Range<usize>]) -> Vec<EncodedPage> {
        let mut encoder = tans::Encoder::new(&self.shares);
        let escape = u64::try_from(self.shares.len() - 1).unwrap_or(u64::MAX);
        let (mut offsets, mut bins) = (Vec::new(), Vec::new());
        let mut page = |range: &Range<usize>| {
            let words = &words[range.clone()];
            let Some(first) = words.first() else { return EncodedPage::empty() };
            offsets.clear();
            offsets.extend(numbers_of(words, self.order).map(|n| offset_of(n, self.base, self.factor)));
            let mut payload = Vec::with_capacity(16 + offsets.len() * (self.width + 8) / 8);
            varint::put(&mut payload, zigzag(first.cast_signed()));
            pack::pack(&mut payload, &offsets, self.width);
            let bin = |offset: &u64| (*offset >> self.width).min(escape);
            bins.clear();
            bins.extend(offsets.iter().map(|offset| u8::try_from(bin(offset)).unwrap_or(u8::MAX)));
            encoder.encode(&bins, &mut payload);
            let escaped = offsets.iter().map(|offset| offset >> self.width).filter(|bin| *bin >= escape);
            escaped.for_each(|bin| varint::put(&mut payload, bin));
            EncodedPage { codec: BINS, payload }
        };
        pages.iter().map(&mut page).collect()
    }

    /// What the pages share.
    pub(super) fn shared(&self) -> Vec<u8> {
        let mut out = vec![BINS];
        let differences = if self.order == Order::Differences { DIFFERENCES } else { 0 };
        out.push(u8::try_from(self.width).unwrap_or(u8::MAX) | differences);
        varint::put(&mut out, zigzag(self.base.cast_signed()));
        varint::put(&mut out, self.factor);
        varint::put(&mut out, (self.shares.len() - 1) as u64);
        self.shares.iter().for_each(|share| varint::put(&mut out, u64::from(*share)));
        out
    }
}

/// The numbers of a page whose offsets are counted: one less than it has words.
fn numbers_of(words: &[u64], order: Order) -> impl Iterator<Item = i64> {
    let keep = if order == Order::Differences { u64::MAX } else { 0 };
    words.array_windows::<2>().map(move |[before, word]| word.wrapping_sub(before & keep).cast_signed())
}

/// The offset of a number that is a multiple of the factor away from the base. One below the base has a wrapped offset: the
/// factor need not divide 2^64, so the distance is divided before it wraps.
fn offset_of(number: i64, base: u64, factor: u64) -> u64 {
    let base = base.cast_signed();
    if number >= base {
        number.wrapping_sub(base).cast_unsigned() / factor
    } else {
        (base.wrapping_sub(number).cast_unsigned() / factor).wrapping_neg()
    }
}

/// Decodes pages of one column.
#[derive(Debug)]
pub(super) struct Decoder {
    width: usize,
    order: Order,
    base: u64,
    factor: u64,
    table: tans::Table,
    /// The symbol of escapes, when there are any.
    escape: Option<u8>,
    bins: Vec<u8>,
    patches: Vec<Patch>,
}

impl Decoder {
    /// A decoder for pages that share these bytes.
    pub(super) fn new(mut shared: &[u8]) -> Result<Self, Damage> {
        let bad = Damage::Malformed("bins");
        let (&head, rest) = shared.split_first().ok_or(Damage::Truncated)?;
        shared = rest;
        let mut next = || varint::take(&mut shared).ok_or(Damage::Truncated);
        let (base, factor, bins) = (unzigzag(next()?).cast_unsigned(), next()?, next()?);
        let width = usize::from(head & !DIFFERENCES);
        if width > 63 || bins >= tans::SYMBOLS_MAX as u64 {
            return Err(bad);
        }
        let mut shares = Vec::new();
        for _ in 0..=bins {
            shares.push(u16::try_from(next()?).map_err(|_large| bad)?);
        }
        if !shared.is_empty() {
            return Err(bad);
        }
        let order = if head & DIFFERENCES != 0 { Order::Differences } else { Order::Values };
        let escape = u8::try_from(bins).ok().filter(|_| shares.last().is_some_and(|share| *share > 0));
        let table = tans::Table::new(&shares)?;
        Ok(Self { width, order, base, factor, table, escape, bins: Vec::new(), patches: Vec::new() })
    }

    /// Decodes a page of `count` words and hands them over by groups.
    pub(super) fn decode(
        &mut self,
        mut payload: &[u8],
        count: usize,
        mut emit: impl FnMut(&[u64]),
    ) -> Result<(), Damage> {
        let bad = Damage::Malformed("page of bins");
        let Self { width, order, base, factor, .. } = *self;
        let count = count.checked_sub(1).ok_or(bad)?;
        let first = unzigzag(varint::take(&mut payload).ok_or(Damage::Truncated)?).cast_unsigned();
        let packed = frame::take_packed(&mut payload, count, width)?;
        let used = self.table.decode(payload, count, &mut self.bins).ok_or(Damage::Truncated)?;
        payload = payload.get(used..).ok_or(Damage::Truncated)?;
        self.take_escapes(&mut payload)?;
        if !payload.is_empty() {
            return Err(bad);
        }

        emit(&[first]);
        let is_differences = order == Order::Differences;
        let word = if is_differences { first } else { 0 };
        let mut line = Line { is_differences, is_folded: false, base, factor, word };
        let mut patches = self.patches.iter().peekable();
        let mut bins = &self.bins[..];
        let mut at = 0;
        pack::unpack(packed, count, width, |group| {
            let (mine, others) = bins.split_at(group.len().min(bins.len()));
            bins = others;
            group.iter_mut().zip(mine).for_each(|(offset, bin)| *offset |= u64::from(*bin) << width);
            frame::patch(group, at, &mut patches);
            at += group.len();
            line.put(group);
            emit(group);
        })
        .ok_or(bad)
    }

    /// Reads the bins of escapes.
    fn take_escapes(&mut self, payload: &mut &[u8]) -> Result<(), Damage> {
        self.patches.clear();
        let Some(escape) = self.escape else { return Ok(()) };
        for (place, bin) in self.bins.iter_mut().enumerate().filter(|(_, bin)| **bin == escape) {
            *bin = 0;
            let high = varint::take(payload).ok_or(Damage::Truncated)?;
            if pack::width_of(high) > 64 - self.width {
                return Err(Damage::Malformed("bin of an escape"));
            }
            self.patches.push(Patch { place, high: high << self.width });
        }
        Ok(())
    }
}
