//! Frames: 64-bit words as small offsets, their low bits packed, the rest in unary or as exceptions.
//!
//! ```text
//!  word i+1 = from + base + factor * offset i            all wrapping, so every range of every type fits
//!             from: word i when the frame holds differences, else word 0
//!             the offset counts to both sides of the base when it is folded (zigzag), else to one
//!
//!  | width | flags | first | base | factor | exceptions | low bits, packed | high bits, unary |
//!     1       1      zigzag zigzag  zigzag   `- if any    `- width each      `- if the flags say so
//!                                   `- if not 1
//!  exceptions   | count | high width | places, packed | highs, packed (or varints when the high width is 0) |
//! ```
//! An offset's `width` low bits are packed. When what is above is 0 but for a few, those are exceptions, with place
//! and high bits. When it is a small number for many, it stands in unary, as Rice's codes have it: that comes within a
//! few percent of the entropy of what measurements do from one to the next. Exceptions are then those that would be
//! long.
//!
//! The factor is what all offsets have in common (times in milliseconds, sizes in pages); it is negative when offsets
//! count downwards. `plan` chooses; the exceptions make any choice correct.

use std::iter::Peekable;

use model::varint::{self, unzigzag};

use super::pack::{self, width_of};
use super::unary;
use crate::error::Damage;

mod encode;
mod plan;

pub(super) use encode::{Framed, Scratch, Step, encode, gcd};
pub(super) use plan::{Order, Plan};

/// The frame holds differences.
const DIFFERENCES: u8 = 1;
/// Offsets are zigzag.
const FOLDED: u8 = 2;
/// High bits are in unary.
const UNARY: u8 = 4;
/// There is a factor.
const FACTOR: u8 = 8;
/// There are exceptions.
const EXCEPTIONS: u8 = 16;
const ALL_FLAGS: u8 = 31;
/// A number in unary stays below this.
const UNARY_END: u64 = 24;

/// Bits of a place among `count` offsets.
fn place_width(count: usize) -> usize {
    width_of(count.saturating_sub(1) as u64)
}

/// The high bits of one offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patch {
    pub(super) place: usize,
    pub(super) high: u64,
}

/// Adds the high bits of those patches that belong to a group of offsets, the first of which is the `at`-th.
pub(super) fn patch<'a>(
    group: &mut [u64],
    at: usize,
    patches: &mut Peekable<impl Iterator<Item = &'a Patch>>,
) {
    while let Some(patch) = patches.next_if(|p| p.place < at + group.len()) {
        if let Some(offset) = group.get_mut(patch.place - at) {
            *offset |= patch.high;
        }
    }
}

/// What stands before the packed bits.
struct Head {
    width: u8,
    flags: u8,
    first: u64,
    base: u64,
    factor: u64,
}

impl Head {
    fn take(payload: &mut &[u8]) -> Result<Self, Damage> {
        let (&[width, flags], rest) = payload.split_first_chunk().ok_or(Damage::Truncated)?;
        *payload = rest;
        if width > 64 || flags & !ALL_FLAGS != 0 {
            return Err(Damage::Malformed("frame"));
        }
        let mut word = || varint::take(payload).map(|n| unzigzag(n).cast_unsigned()).ok_or(Damage::Truncated);
        let (first, base) = (word()?, word()?);
        let factor = if flags & FACTOR == 0 { 1 } else { word()? };
        Ok(Self { width, flags, first, base, factor })
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// How offsets become words.
pub(super) struct Line {
    /// Whether each word is counted from the one before.
    pub(super) is_differences: bool,
    pub(super) is_folded: bool,
    pub(super) base: u64,
    pub(super) factor: u64,
    /// The word before the next, or the one that all are counted from.
    pub(super) word: u64,
}

impl Line {
    /// Puts the words in the place of the next offsets.
    pub(super) fn put(&mut self, group: &mut [u64]) {
        let Self { base, factor, .. } = *self;
        let from = self.word.wrapping_add(base);
        let unfold = |offset: u64| unzigzag(offset).cast_unsigned();
        let mut sum = |number: u64| {
            self.word = self.word.wrapping_add(base.wrapping_add(number));
            self.word
        };
        match (self.is_differences, self.is_folded) {
            (true, true) => group.iter_mut().for_each(|n| *n = sum(unfold(*n).wrapping_mul(factor))),
            (true, false) => group.iter_mut().for_each(|n| *n = sum(n.wrapping_mul(factor))),
            (false, true) => {
                group.iter_mut().for_each(|n| *n = from.wrapping_add(unfold(*n).wrapping_mul(factor)));
            }
            (false, false) => {
                group.iter_mut().for_each(|n| *n = from.wrapping_add(n.wrapping_mul(factor)));
            }
        }
    }
}

/// Working memory of a decoder.
#[derive(Debug, Default)]
pub(super) struct Memory {
    patches: Vec<Patch>,
    places: unary::Places,
}

/// Decodes a frame of `count` words and hands them over by groups.
pub(super) fn decode(
    mut payload: &[u8],
    count: usize,
    memory: &mut Memory,
    mut emit: impl FnMut(&[u64]),
) -> Result<(), Damage> {
    let bad = Damage::Malformed("frame");
    let head = Head::take(&mut payload)?;
    let count = count.checked_sub(1).ok_or(bad)?;
    let width = usize::from(head.width);
    let Memory { patches, places } = memory;
    patches.clear();
    if head.has(EXCEPTIONS) {
        take_patches(&mut payload, count, width, patches)?;
    }
    let packed = take_packed(&mut payload, count, width)?;
    if head.has(UNARY) {
        places.read(payload, count).ok_or(bad)?;
    } else if !payload.is_empty() {
        return Err(bad);
    }

    emit(&[head.first]);
    let mut patches = patches.iter().peekable();
    let mut at = 0;
    let Head { base, factor, first: word, .. } = head;
    let (is_differences, is_folded) = (head.has(DIFFERENCES), head.has(FOLDED));
    let mut line = Line { is_differences, is_folded, base, factor, word };
    pack::unpack(packed, count, width, |group| {
        if head.has(UNARY) {
            places.add(at, group, u32::from(head.width));
        }
        patch(group, at, &mut patches);
        at += group.len();
        line.put(group);
        emit(group);
    })
    .ok_or(bad)
}

/// Reads the exceptions; their places ascend and lie among `count` offsets.
fn take_patches(
    payload: &mut &[u8],
    count: usize,
    width: usize,
    patches: &mut Vec<Patch>,
) -> Result<(), Damage> {
    let bad = Damage::Malformed("frame exceptions");
    let exceptions = usize::try_from(varint::take(payload).ok_or(Damage::Truncated)?).unwrap_or(usize::MAX);
    if exceptions > count || width == 64 {
        return Err(bad);
    }
    let (&high_width, rest) = payload.split_first().ok_or(Damage::Truncated)?;
    *payload = rest;
    let high_width = usize::from(high_width);
    if high_width > 64 - width {
        return Err(bad);
    }
    let place_width = place_width(count);
    let places = take_packed(payload, exceptions, place_width)?;
    pack::unpack(places, exceptions, place_width, |group| {
        // A place has at most the bits of a count of values.
        patches.extend(
            group.iter().map(|p| Patch { place: usize::try_from(*p).unwrap_or(usize::MAX), high: 0 }),
        );
    })
    .ok_or(bad)?;
    if !patches.is_sorted_by(|a, b| a.place < b.place) || patches.last().is_some_and(|p| p.place >= count) {
        return Err(bad);
    }
    if high_width == 0 {
        for patch in patches {
            let high = varint::take(payload).ok_or(Damage::Truncated)?;
            if width_of(high) > 64 - width {
                return Err(bad);
            }
            patch.high = high << width;
        }
        return Ok(());
    }
    let highs = take_packed(payload, exceptions, high_width)?;
    let mut of_patches = patches.iter_mut();
    pack::unpack(highs, exceptions, high_width, |group| {
        group.iter().zip(of_patches.by_ref()).for_each(|(high, patch)| patch.high = high << width);
    })
    .ok_or(bad)
}

/// Takes the bytes of so many packed numbers.
pub(super) fn take_packed<'a>(
    payload: &mut &'a [u8],
    count: usize,
    width: usize,
) -> Result<&'a [u8], Damage> {
    let (packed, rest) = payload.split_at_checked(pack::packed_len(count, width)).ok_or(Damage::Truncated)?;
    *payload = rest;
    Ok(packed)
}
