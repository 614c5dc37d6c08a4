//! Writes frames.

use model::varint::{self, zigzag};

use super::plan::{Layout, Order, Plan, View};
use super::{DIFFERENCES, EXCEPTIONS, FACTOR, FOLDED, UNARY, UNARY_END, place_width};
use crate::codec::{pack, unary};

/// Working memory of an encoder.
#[derive(Debug, Default)]
pub(in crate::codec) struct Scratch {
    numbers: Vec<i64>,
    offsets: Vec<u64>,
}

/// Words that ascend by one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::codec) struct Step {
    pub(in crate::codec) first: u64,
    pub(in crate::codec) step: u64,
}

/// What became of the words.
pub(in crate::codec) enum Framed {
    /// They have one step; nothing was written.
    Step(Step),
    /// They were appended as a frame. All differences between them are multiples of the divisor.
    Frame { divisor: u64 },
}

/// Appends a frame of at least one word, unless a step says it all.
pub(in crate::codec) fn encode(
    words: &[u64],
    plan: &Plan,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Framed {
    let Some((&first, rest)) = words.split_first() else {
        return Framed::Step(Step { first: 0, step: 0 });
    };
    let Scratch { numbers, offsets } = scratch;
    numbers.clear();
    // What the numbers of the frame are counted from.
    let from = match plan.order {
        Order::Values => {
            numbers.extend(rest.iter().map(|word| word.cast_signed()));
            first
        }
        Order::Differences => {
            numbers.extend(rest.iter().zip(words).map(|(b, a)| b.wrapping_sub(*a).cast_signed()));
            0
        }
    };
    let (least, most) = ends(numbers);
    if rest.is_empty() {
        return Framed::Step(Step { first, step: 0 });
    }
    if least == most && (plan.order == Order::Differences || least == first.cast_signed()) {
        return Framed::Step(Step { first, step: least.cast_unsigned().wrapping_sub(from) });
    }
    let divisor = common_divisor(numbers, least);
    let (mut base, mut factor) = (least.cast_unsigned().wrapping_sub(from), divisor);
    let (view, layout) = if divisor > 1 {
        let exact = Exact::new(divisor);
        for number in numbers.iter_mut() {
            *number = exact.quotient(number.wrapping_sub(least).cast_unsigned()).cast_signed();
        }
        let ends = ends(numbers);
        let chosen = plan.lay_out_alone(numbers, ends, offsets);
        base = base.wrapping_add(divisor.wrapping_mul(chosen.0.origin(ends).cast_unsigned()));
        chosen
    } else {
        let chosen = plan.lay_out(numbers, (least, most), offsets);
        base = chosen.0.origin((least, most)).cast_unsigned().wrapping_sub(from);
        chosen
    };
    if matches!(view, View::Down) {
        factor = factor.wrapping_neg();
    }

    let flags = [
        (plan.order == Order::Differences, DIFFERENCES),
        (matches!(view, View::Folded(_)), FOLDED),
        (layout.is_unary, UNARY),
        (factor != 1, FACTOR),
        (layout.exceptions > 0, EXCEPTIONS),
    ];
    out.push(small(layout.width));
    out.push(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| *flag).sum());
    varint::put(out, zigzag(first.cast_signed()));
    varint::put(out, zigzag(base.cast_signed()));
    if factor != 1 {
        varint::put(out, zigzag(factor.cast_signed()));
    }
    if layout.exceptions > 0 {
        put_exceptions(out, offsets, &layout);
    }
    pack::pack(out, offsets, layout.width);
    if layout.is_unary {
        let shift = layout.width;
        let number = |offset: &u64| match *offset >> shift {
            high @ ..UNARY_END => high,
            _ => 0,
        };
        unary::put(out, offsets.iter().map(number));
    }
    let base = base.cast_signed().unsigned_abs();
    Framed::Frame { divisor: if divisor > 1 { gcd(divisor, base) } else { 1 } }
}

fn small(width: usize) -> u8 {
    u8::try_from(width).expect("a width is at most 64")
}

/// The least and the largest.
fn ends(numbers: &[i64]) -> (i64, i64) {
    // Four pairs, so that comparisons do not wait for one another.
    let mut pairs = [(i64::MAX, i64::MIN); 4];
    let (quads, tail) = numbers.as_chunks::<4>();
    for quad in quads {
        for ((least, most), number) in pairs.iter_mut().zip(quad) {
            (*least, *most) = ((*least).min(*number), (*most).max(*number));
        }
    }
    let tail = tail.iter().map(|number| (*number, *number));
    pairs
        .into_iter()
        .chain(tail)
        .fold((i64::MAX, i64::MIN), |all, pair| (all.0.min(pair.0), all.1.max(pair.1)))
}

/// The greatest common divisor of the distances from the least; at least 1.
fn common_divisor(numbers: &[i64], least: i64) -> u64 {
    let mut exact = Exact::new(0);
    for number in numbers {
        let distance = number.wrapping_sub(least).cast_unsigned();
        if !exact.divides(distance) {
            let divisor = gcd(exact.divisor, distance);
            if divisor == 1 {
                return 1;
            }
            exact = Exact::new(divisor);
        }
    }
    exact.divisor.max(1)
}

pub(in crate::codec) fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Exact division by a multiplication: an odd divisor has an inverse modulo 2^64.
struct Exact {
    divisor: u64,
    shift: u32,
    inverse: u64,
    /// The largest possible quotient; products of other numbers with the inverse lie above.
    most: u64,
}

impl Exact {
    /// Only 0 can be divided by 0.
    fn new(divisor: u64) -> Self {
        if divisor == 0 {
            return Self { divisor, shift: 0, inverse: 1, most: 0 };
        }
        let shift = divisor.trailing_zeros();
        let odd = divisor >> shift;
        // Newton: each round doubles the number of right bits, and three are right at the start.
        let mut inverse = odd;
        for _ in 0..5 {
            inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        }
        Self { divisor, shift, inverse, most: (u64::MAX >> shift) / odd }
    }

    /// The quotient of a multiple.
    fn quotient(&self, multiple: u64) -> u64 {
        (multiple >> self.shift).wrapping_mul(self.inverse)
    }

    fn divides(&self, number: u64) -> bool {
        let low_bits = (1_u64 << self.shift) - 1;
        number & low_bits == 0 && self.quotient(number) <= self.most
    }
}

fn put_exceptions(out: &mut Vec<u8>, offsets: &[u64], layout: &Layout) {
    let mut places = Vec::with_capacity(layout.exceptions);
    let mut highs = Vec::with_capacity(layout.exceptions);
    for (place, offset) in offsets.iter().enumerate() {
        if layout.is_exception(*offset) {
            places.push(place as u64);
            highs.push(offset >> layout.width);
        }
    }
    varint::put(out, places.len() as u64);
    out.push(small(layout.high_width));
    pack::pack(out, &places, place_width(offsets.len()));
    if layout.high_width == 0 {
        highs.iter().for_each(|high| varint::put(out, *high));
    } else {
        pack::pack(out, &highs, layout.high_width);
    }
}
