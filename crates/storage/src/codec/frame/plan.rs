//! Chooses how the numbers of a frame become offsets, and how those are laid out.
//!
//! The choice is made once for a column, by a sample. A page that turns out to be unlike its column is looked at on
//! its own.

use model::varint::zigzag;

use super::{UNARY_END, place_width};
use crate::codec::pack::width_of;

/// So many numbers tell what the others of a column are like.
const SAMPLE: usize = 384;
/// The same for a page that is unlike its column.
const PAGE_SAMPLE: usize = 192;
/// Offsets in a page, for what an exception's place costs.
const PAGE_OFFSETS: usize = 1023;
/// Unary takes longer to decode: it must save one part in this many.
const UNARY_SAVING_PARTS: usize = 100;

/// What the numbers of a frame are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::codec) enum Order {
    /// The words.
    Values,
    /// By how much each word exceeds the one before.
    Differences,
}

/// From where and in which direction numbers are counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum View {
    /// Upwards from the least.
    Up,
    /// Downwards from the largest.
    Down,
    /// To both sides of a middle one.
    Folded(i64),
}

/// What is decided once for a column.
#[derive(Debug, Clone, Copy)]
pub(in crate::codec) struct Plan {
    pub(in crate::codec) order: Order,
    view: View,
    shape: Shape,
}

/// The kind of layout that is best for a sample.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// Without unary, in so many bits per 1,024 values.
    Packed(usize),
    /// With unary beside this width.
    Unary(usize),
}

impl Plan {
    /// The plan for the words of a column.
    pub(in crate::codec) fn of(words: &[u64]) -> Self {
        let (mut values, mut differences) = samples(words);
        let order =
            if spread(&mut values) < spread(&mut differences) { Order::Values } else { Order::Differences };
        let sample = if order == Order::Values { &mut values } else { &mut differences };
        let ends = ends(sample);
        Self::of_sample(order, sample, ends)
    }

    /// The plan for the numbers of a page, which lie between the ends.
    fn of_page(order: Order, numbers: &[i64], ends: (i64, i64)) -> Self {
        let mut sample: Vec<i64> =
            numbers.iter().step_by((numbers.len() / PAGE_SAMPLE).max(1)).copied().collect();
        Self::of_sample(order, &mut sample, ends)
    }

    fn of_sample(order: Order, sample: &mut [i64], ends: (i64, i64)) -> Self {
        let view = View::of(sample, ends);
        let mut offsets = Vec::new();
        view.see_all(sample, ends, &mut offsets);
        Self { order, view, shape: Shape::of(&mut offsets).0 }
    }

    /// Whether a column has so regular numbers that entropy coding may save a tenth of what frames need.
    pub(in crate::codec) fn leaves_room(&self, words: &[u64]) -> bool {
        let (values, differences) = samples(words);
        let mut sample = if self.order == Order::Values { values } else { differences };
        let ends = ends(&sample);
        let mut offsets = Vec::new();
        self.view.see_all(&sample, ends, &mut offsets);
        let (_, bits) = Shape::of(&mut offsets);
        // By classes of width, or by distinct numbers when there are few.
        let mut widths = [0_usize; 65];
        offsets.iter().for_each(|offset| widths[width_of(*offset)] += 1);
        let inside: usize = offsets.iter().map(|offset| width_of(*offset).saturating_sub(1)).sum();
        sample.sort_unstable();
        let distinct: Vec<usize> = sample.chunk_by(|a, b| a == b).map(<[i64]>::len).collect();
        let mut least = inside + entropy_bits(&widths);
        if distinct.len() * 3 <= sample.len() {
            least = least.min(entropy_bits(&distinct));
        }
        least * 10 < bits * 9
    }

    /// Makes offsets of the numbers of a page, which lie between the ends, and lays them out.
    pub(super) fn lay_out(
        &self,
        numbers: &[i64],
        ends: (i64, i64),
        offsets: &mut Vec<u64>,
    ) -> (View, Layout) {
        match self.try_lay_out(numbers, ends, offsets) {
            Some(layout) => (self.view, layout),
            None => self.lay_out_alone(numbers, ends, offsets),
        }
    }

    /// The same, with nothing known about the numbers but their order.
    pub(super) fn lay_out_alone(
        &self,
        numbers: &[i64],
        ends: (i64, i64),
        offsets: &mut Vec<u64>,
    ) -> (View, Layout) {
        let plan = Self::of_page(self.order, numbers, ends);
        plan.view.see_all(numbers, ends, offsets);
        let layout = match plan.shape {
            Shape::Packed(_) => Layout::packed(offsets, place_width(offsets.len())).0,
            Shape::Unary(width) => Layout::unary(offsets, width).0,
        };
        (plan.view, layout)
    }

    /// `None` when the page is unlike the sample.
    fn try_lay_out(&self, numbers: &[i64], ends: (i64, i64), offsets: &mut Vec<u64>) -> Option<Layout> {
        self.view.see_all(numbers, ends, offsets);
        match self.shape {
            Shape::Packed(expected) => {
                let (layout, bits) = Layout::packed(offsets, place_width(offsets.len()));
                (bits * 1024 <= (expected + expected / 8 + 1024) * offsets.len()).then_some(layout)
            }
            Shape::Unary(width) => {
                let (layout, is_usual) = Layout::unary(offsets, width);
                is_usual.then_some(layout)
            }
        }
    }
}

/// What naming the classes of all members takes, given the number of members of each.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate"
)]
fn entropy_bits(classes: &[usize]) -> usize {
    let all = classes.iter().sum::<usize>() as f64;
    let bits = |members: &usize| *members as f64 * (all / (*members).max(1) as f64).log2();
    classes.iter().map(bits).sum::<f64>() as usize
}

/// Words and their differences at some places.
fn samples(words: &[u64]) -> (Vec<i64>, Vec<i64>) {
    let pairs = || words.array_windows::<2>().step_by((words.len() / SAMPLE).max(1));
    let values = pairs().map(|[a, _]| a.cast_signed()).collect();
    (values, pairs().map(|[a, b]| b.wrapping_sub(*a).cast_signed()).collect())
}

fn ends(sample: &[i64]) -> (i64, i64) {
    sample.iter().fold((i64::MAX, i64::MIN), |(least, most), n| (least.min(*n), most.max(*n)))
}

/// How far apart most of them are: all but the outer twentieths.
fn spread(sample: &mut [i64]) -> u64 {
    let (low, high) = (sample.len() / 20, sample.len() - sample.len() / 20);
    let Some(last) = high.checked_sub(1) else { return 0 };
    let (_, &mut least, _) = sample.select_nth_unstable(low);
    let (_, &mut most, _) = sample.select_nth_unstable(last);
    most.wrapping_sub(least).cast_unsigned()
}

impl View {
    /// The one that makes a sample smallest.
    fn of(sample: &mut [i64], ends: (i64, i64)) -> Self {
        if sample.is_empty() {
            return Self::Up;
        }
        let (_, &mut middle, _) = sample.select_nth_unstable(sample.len() / 2);
        let sum = |view: Self| sample.iter().map(|n| u128::from(view.see(*n, ends))).sum::<u128>();
        let views = [Self::Folded(middle), Self::Up, Self::Down];
        // Of equals the first: folding is what minds outliers that a sample misses least.
        views.into_iter().min_by_key(|view| sum(*view)).unwrap_or(Self::Up)
    }

    fn see(self, number: i64, (least, most): (i64, i64)) -> u64 {
        match self {
            Self::Up => number.wrapping_sub(least).cast_unsigned(),
            Self::Down => most.wrapping_sub(number).cast_unsigned(),
            Self::Folded(middle) => zigzag(number.wrapping_sub(middle)),
        }
    }

    fn see_all(self, numbers: &[i64], ends: (i64, i64), offsets: &mut Vec<u64>) {
        offsets.clear();
        match self {
            Self::Up => offsets.extend(numbers.iter().map(|n| Self::Up.see(*n, ends))),
            Self::Down => offsets.extend(numbers.iter().map(|n| Self::Down.see(*n, ends))),
            Self::Folded(middle) => {
                offsets.extend(numbers.iter().map(|n| Self::Folded(middle).see(*n, ends)));
            }
        }
    }

    /// The number that is offset 0.
    pub(super) fn origin(self, (least, most): (i64, i64)) -> i64 {
        match self {
            Self::Up => least,
            Self::Down => most,
            Self::Folded(middle) => middle,
        }
    }
}

/// How offsets are laid out.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) width: usize,
    /// Offsets whose high bits are listed.
    pub(super) exceptions: usize,
    /// Bits of the widest exception beyond the width, or 0 when the highs are varints.
    pub(super) high_width: usize,
    pub(super) is_unary: bool,
}

impl Layout {
    pub(super) fn is_exception(&self, offset: u64) -> bool {
        match self {
            Self { width: 64, .. } => false,
            Self { width, is_unary: false, .. } => offset >> width > 0,
            Self { width, .. } => offset >> width >= UNARY_END,
        }
    }

    /// The layout in unary beside this width, and whether it is about as good as unary can be.
    fn unary(offsets: &[u64], width: usize) -> (Self, bool) {
        let (mut sum, mut exceptions) = (0, 0);
        for offset in offsets {
            let high = offset >> width;
            let is_exception = high >= UNARY_END;
            exceptions += usize::from(is_exception);
            sum += if is_exception { 0 } else { high };
        }
        // With the best width, a number in unary is about 1.
        let count = offsets.len() as u64;
        let is_usual = (count..=20 * count).contains(&(sum * 8)) && exceptions * 16 <= offsets.len();
        (Self { width, exceptions, high_width: 0, is_unary: true }, is_usual)
    }

    /// The layout without unary that has the fewest bits, and those.
    fn packed(offsets: &[u64], place_width: usize) -> (Self, usize) {
        // Four histograms, so that equal neighbours do not wait for one another.
        let mut counts = [[0_u32; 65]; 4];
        let (quads, tail) = offsets.as_chunks::<4>();
        for quad in quads {
            for (counts, offset) in counts.iter_mut().zip(quad) {
                counts[width_of(*offset)] += 1;
            }
        }
        tail.iter().for_each(|offset| counts[0][width_of(*offset)] += 1);
        // Pairs of width and count, the widest last. The best width is one of these: between two of them the
        // narrower has no more exceptions.
        let of_width: Vec<(usize, usize)> = (0..65)
            .map(|width| (width, counts.iter().map(|c| c[width] as usize).sum()))
            .filter(|(width, count)| *count > 0 || *width == 0)
            .collect();
        let widest = of_width.last().map_or(0, |(width, _)| *width);
        let mut best = Self { width: widest, exceptions: 0, high_width: 0, is_unary: false };
        let mut best_bits = offsets.len() * widest;
        let mut exceptions = 0;
        for (i, &(width, _)) in of_width.iter().enumerate().rev().skip(1) {
            let wider = &of_width[i + 1..];
            exceptions += wider[0].1;
            let packed = exceptions * (widest - width);
            let varints: usize = wider.iter().map(|(w, count)| count * (w - width).div_ceil(7) * 8).sum();
            let bits = offsets.len() * width + exceptions * place_width + packed.min(varints) + 16;
            if bits < best_bits {
                let high_width = if varints < packed { 0 } else { widest - width };
                best = Self { width, exceptions, high_width, is_unary: false };
                best_bits = bits;
            }
        }
        (best, best_bits)
    }
}

impl Shape {
    /// The best for the offsets of a sample, and their bits then. Reorders them.
    fn of(sample: &mut [u64]) -> (Self, usize) {
        let place_width = place_width(PAGE_OFFSETS);
        let (_, packed) = Layout::packed(sample, place_width);
        if sample.is_empty() {
            return (Self::Packed(0), 0);
        }
        let count = sample.len();
        // For a geometric distribution the best is near the logarithm of the median.
        let (_, &mut median, _) = sample.select_nth_unstable(count / 2);
        let near = width_of(median).min(63);
        let cost = |offset: u64, width: usize| match offset >> width {
            high @ ..UNARY_END => width + 1 + usize::try_from(high).unwrap_or(0),
            high => width + 1 + place_width + width_of(high).div_ceil(7) * 8,
        };
        let bits = |width: usize| sample.iter().map(|offset| cost(*offset, width)).sum::<usize>();
        let best = (near.saturating_sub(2)..=near).map(|width| (bits(width), width)).min();
        match best {
            Some((unary, width)) if unary * UNARY_SAVING_PARTS < packed * (UNARY_SAVING_PARTS - 1) => {
                (Self::Unary(width), unary)
            }
            _ => (Self::Packed(packed * 1024 / count), packed),
        }
    }
}
