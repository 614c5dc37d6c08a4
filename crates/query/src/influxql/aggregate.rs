//! The state of one aggregate in one window, fed with runs of columns.
//!
//! States keep no more than they need: sums and counts a number, selectors one point, `top` n points; only those
//! that need every value (median, mode, percentile, distinct, integral, sample) keep the values.

use std::collections::HashSet;

use model::{Bitmap, Column, FieldType, FieldValue, Values};

use super::function::Aggregate;
use super::summary::spread;
use super::value::{Value, selected, to_f64};

/// A point of a call's result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub(crate) time: i64,
    pub(crate) value: Value,
    /// The values of the variables beside a selector, from the same row.
    pub(crate) aux: Vec<Value>,
}

/// A run of rows of one block, inside one window.
pub(crate) struct Run<'a> {
    pub(crate) times: &'a [i64],
    pub(crate) column: &'a Column,
    pub(crate) mask: Option<&'a Bitmap>,
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// The other values of a row, for selectors.
    pub(crate) aux: &'a dyn Fn(usize) -> Vec<Value>,
    /// The values of the tags of `top(f, tag, n)`.
    pub(crate) tags: &'a [String],
}

impl Run<'_> {
    fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        (self.from..self.to).filter(|&i| selected(self.column, self.mask, i))
    }

    fn point(&self, i: usize) -> Point {
        let time = self.times.get(i).copied().unwrap_or_default();
        Point { time, value: self.column.get(i), aux: (self.aux)(i) }
    }

    fn all(&self) -> bool {
        self.column.valid.is_none() && self.mask.is_none()
    }
}

/// The state.
#[derive(Debug, Clone)]
pub(crate) enum State {
    Count(i64),
    Distinct(HashSet<Key>),
    Mean {
        sum: f64,
        count: u64,
    },
    /// Of integers: the sum wraps round, as in InfluxDB.
    MeanInteger {
        sum: i64,
        count: u64,
    },
    MeanUnsigned {
        sum: u64,
        count: u64,
    },
    SumFloat(f64),
    SumInteger(i64),
    SumUnsigned(u64),
    Nothing,
    /// The values: InfluxDB takes their mean before it looks at how far they are from it, and the last digits show it.
    Stddev(Vec<f64>),
    Spread {
        min: FieldValue,
        max: FieldValue,
    },
    Best(Point),
    Ranked(Vec<(Vec<String>, Point)>),
    Held(Vec<Point>),
}

/// A value as a key of a set: floats by their bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    Bits(u64),
    Text(String),
}

fn key(value: &FieldValue) -> Key {
    match value {
        FieldValue::Float(v) if *v == 0.0 => Key::Bits(0),
        FieldValue::Float(v) => Key::Bits(v.to_bits()),
        FieldValue::Integer(v) => Key::Bits(v.cast_unsigned()),
        FieldValue::Unsigned(v) => Key::Bits(*v),
        FieldValue::String(v) => Key::Text(v.clone()),
        FieldValue::Boolean(v) => Key::Bits(u64::from(*v)),
    }
}

/// Which of two values of a type is greater.
fn greater(a: &Value, b: &Value) -> bool {
    use FieldValue::{Boolean, Float, Integer, String, Unsigned};
    match (a, b) {
        (Some(Float(a)), Some(Float(b))) => a > b,
        (Some(Integer(a)), Some(Integer(b))) => a > b,
        (Some(Unsigned(a)), Some(Unsigned(b))) => a > b,
        (Some(Boolean(a)), Some(Boolean(b))) => a & !b,
        (Some(String(a)), Some(String(b))) => a > b,
        _ => false,
    }
}

/// Whether a selector prefers point `a` to point `b`.
fn prefers(aggregate: &Aggregate, a: &Point, b: &Point) -> bool {
    let earlier = a.time < b.time;
    match aggregate {
        Aggregate::First if matches!(a.value, Some(FieldValue::Boolean(_))) => {
            earlier || (a.time == b.time && greater(&b.value, &a.value))
        }
        Aggregate::First => earlier || (a.time == b.time && greater(&a.value, &b.value)),
        Aggregate::Last => a.time > b.time || (a.time == b.time && greater(&a.value, &b.value)),
        Aggregate::Max | Aggregate::Top(..) => {
            greater(&a.value, &b.value) || (!greater(&b.value, &a.value) && earlier)
        }
        _ => greater(&b.value, &a.value) || (!greater(&a.value, &b.value) && earlier),
    }
}

impl State {
    /// The state before any point.
    pub(crate) fn new(aggregate: &Aggregate, input: FieldType) -> Self {
        match aggregate {
            Aggregate::Count => Self::Count(0),
            Aggregate::CountDistinct => Self::Distinct(HashSet::new()),
            Aggregate::Mean => match input {
                FieldType::Integer => Self::MeanInteger { sum: 0, count: 0 },
                FieldType::Unsigned => Self::MeanUnsigned { sum: 0, count: 0 },
                _ => Self::Mean { sum: 0.0, count: 0 },
            },
            Aggregate::Sum => match input {
                FieldType::Integer => Self::SumInteger(0),
                FieldType::Unsigned => Self::SumUnsigned(0),
                _ => Self::SumFloat(0.0),
            },
            Aggregate::Stddev => Self::Stddev(Vec::new()),
            Aggregate::Spread | Aggregate::First | Aggregate::Last | Aggregate::Max | Aggregate::Min => {
                Self::Nothing
            }
            Aggregate::Top(..) | Aggregate::Bottom(..) => Self::Ranked(Vec::new()),
            Aggregate::Distinct
            | Aggregate::Integral(_)
            | Aggregate::Median
            | Aggregate::Mode
            | Aggregate::Percentile(_)
            | Aggregate::Sample(_) => Self::Held(Vec::new()),
        }
    }

    /// Takes a run of points. Answers how many bytes the state has grown by.
    pub(crate) fn update(&mut self, aggregate: &Aggregate, run: &Run<'_>) -> usize {
        match self {
            Self::Count(count) => {
                let rows = if run.all() { run.to - run.from } else { run.rows().count() };
                *count += i64::try_from(rows).expect("a block has fewer rows");
                0
            }
            Self::Distinct(seen) => {
                let before = seen.len();
                seen.extend(run.rows().filter_map(|i| run.column.get(i)).map(|v| key(&v)));
                (seen.len() - before) * 48
            }
            Self::Mean { sum, count } => {
                for_each_float(run, &mut |v| {
                    *sum += v;
                    *count += 1;
                });
                0
            }
            Self::MeanInteger { sum, count } => {
                if let Values::Integer(values) = &run.column.values {
                    for i in run.rows() {
                        *sum = sum.wrapping_add(values[i]);
                        *count += 1;
                    }
                }
                0
            }
            Self::MeanUnsigned { sum, count } => {
                if let Values::Unsigned(values) = &run.column.values {
                    for i in run.rows() {
                        *sum = sum.wrapping_add(values[i]);
                        *count += 1;
                    }
                }
                0
            }
            Self::SumFloat(sum) => {
                for_each_float(run, &mut |v| *sum += v);
                0
            }
            Self::SumInteger(sum) => {
                if let Values::Integer(values) = &run.column.values {
                    run.rows().for_each(|i| *sum = sum.wrapping_add(values[i]));
                }
                0
            }
            Self::SumUnsigned(sum) => {
                if let Values::Unsigned(values) = &run.column.values {
                    run.rows().for_each(|i| *sum = sum.wrapping_add(values[i]));
                }
                0
            }
            Self::Stddev(values) => {
                let before = values.len();
                for_each_float(run, &mut |v| values.push(v));
                (values.len() - before) * size_of::<f64>()
            }
            Self::Ranked(ranked) => rank(ranked, aggregate, run),
            Self::Held(points) => {
                let before = points.len();
                points.extend(run.rows().map(|i| run.point(i)));
                points[before..].iter().map(point_bytes).sum()
            }
            Self::Nothing | Self::Spread { .. } if *aggregate == Aggregate::Spread => {
                self.spread(run);
                0
            }
            Self::Nothing | Self::Best(_) | Self::Spread { .. } => self.select(aggregate, run),
        }
    }

    fn spread(&mut self, run: &Run<'_>) {
        for i in run.rows() {
            let Some(value) = run.column.get(i) else { continue };
            match self {
                Self::Spread { min, max } => {
                    if greater(&Some(min.clone()), &Some(value.clone())) {
                        *min = value;
                    } else if greater(&Some(value.clone()), &Some(max.clone())) {
                        *max = value;
                    }
                }
                _ => *self = Self::Spread { min: value.clone(), max: value },
            }
        }
    }

    fn select(&mut self, aggregate: &Aggregate, run: &Run<'_>) -> usize {
        let Some(row) = best_row(aggregate, run) else { return 0 };
        let time = run.times.get(row).copied().unwrap_or_default();
        let candidate = Point { time, value: run.column.get(row), aux: Vec::new() };
        let better = match self {
            Self::Best(best) => prefers(aggregate, &candidate, best),
            _ => true,
        };
        if !better {
            return 0;
        }
        let point = run.point(row);
        let grown = if matches!(self, Self::Best(_)) { 0 } else { point_bytes(&point) };
        *self = Self::Best(point);
        grown
    }

    /// The points of the window, ascending in time. A time that is not the point's own is `window`.
    pub(crate) fn finish(self, aggregate: &Aggregate, window: i64) -> Vec<Point> {
        let one = |value: FieldValue| vec![Point { time: window, value: Some(value), aux: Vec::new() }];
        #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
        match self {
            Self::Count(0)
            | Self::Nothing
            | Self::Mean { count: 0, .. }
            | Self::MeanInteger { count: 0, .. }
            | Self::MeanUnsigned { count: 0, .. } => Vec::new(),
            Self::Count(count) => one(FieldValue::Integer(count)),
            Self::Distinct(seen) if seen.is_empty() => Vec::new(),
            Self::Distinct(seen) => {
                one(FieldValue::Integer(i64::try_from(seen.len()).expect("fits in memory")))
            }
            Self::Mean { sum, count } => one(FieldValue::Float(sum / count as f64)),
            Self::MeanInteger { sum, count } => one(FieldValue::Float(sum as f64 / count as f64)),
            Self::MeanUnsigned { sum, count } => one(FieldValue::Float(sum as f64 / count as f64)),
            Self::SumFloat(sum) => one(FieldValue::Float(sum)),
            Self::SumInteger(sum) => one(FieldValue::Integer(sum)),
            Self::SumUnsigned(sum) => one(FieldValue::Unsigned(sum)),
            Self::Stddev(values) if values.is_empty() => Vec::new(),
            Self::Stddev(values) => one(FieldValue::Float(deviation(&values))),
            Self::Spread { min, max } => one(spread(&min, &max)),
            Self::Best(point) => vec![point],
            Self::Ranked(ranked) => {
                let mut points: Vec<_> = ranked.into_iter().map(|(_, point)| point).collect();
                points.sort_by_key(|p| p.time);
                points
            }
            Self::Held(points) => finish_held(points, aggregate, window),
        }
    }
}

fn point_bytes(point: &Point) -> usize {
    let text = |v: &Value| match v {
        Some(FieldValue::String(s)) => s.len(),
        _ => 0,
    };
    64 + text(&point.value) + point.aux.iter().map(|v| 32 + text(v)).sum::<usize>()
}

#[expect(clippy::cast_precision_loss, reason = "aggregates of integers are floats in InfluxQL")]
fn for_each_float(run: &Run<'_>, take: &mut dyn FnMut(f64)) {
    match &run.column.values {
        Values::Float(values) if run.all() => values[run.from..run.to].iter().for_each(|v| take(*v)),
        Values::Float(values) => run.rows().for_each(|i| take(values[i])),
        Values::Integer(values) => run.rows().for_each(|i| take(values[i] as f64)),
        Values::Unsigned(values) => run.rows().for_each(|i| take(values[i] as f64)),
        _ => {}
    }
}

/// The row of a run that a selector prefers.
fn best_row(aggregate: &Aggregate, run: &Run<'_>) -> Option<usize> {
    fn extreme<T: PartialOrd + Copy>(run: &Run<'_>, values: &[T], max: bool) -> Option<usize> {
        let mut best: Option<(usize, T)> = None;
        for i in run.rows() {
            let v = values[i];
            if best.is_none_or(|(_, b)| if max { v > b } else { v < b }) {
                best = Some((i, v));
            }
        }
        best.map(|(i, _)| i)
    }
    match (aggregate, &run.column.values) {
        (Aggregate::Max | Aggregate::Min, Values::Float(v)) => extreme(run, v, *aggregate == Aggregate::Max),
        (Aggregate::Max | Aggregate::Min, Values::Integer(v)) => {
            extreme(run, v, *aggregate == Aggregate::Max)
        }
        (Aggregate::Max | Aggregate::Min, Values::Unsigned(v)) => {
            extreme(run, v, *aggregate == Aggregate::Max)
        }
        (Aggregate::Last, _) => (run.from..run.to).rev().find(|&i| selected(run.column, run.mask, i)),
        (Aggregate::First, _) => run.rows().next(),
        _ => {
            let better = |a: usize, b: usize| {
                let (pa, pb) = (run.column.get(a), run.column.get(b));
                if *aggregate == Aggregate::Max { greater(&pa, &pb) } else { greater(&pb, &pa) }
            };
            run.rows().reduce(|best, i| if better(i, best) { i } else { best })
        }
    }
}

/// Keeps the n best points, or the best of each tag set among the n best tag sets.
fn rank(ranked: &mut Vec<(Vec<String>, Point)>, aggregate: &Aggregate, run: &Run<'_>) -> usize {
    let (Aggregate::Top(n, tags) | Aggregate::Bottom(n, tags)) = aggregate else { return 0 };
    let before = ranked.len();
    for i in run.rows() {
        let time = run.times.get(i).copied().unwrap_or_default();
        let candidate = Point { time, value: run.column.get(i), aux: Vec::new() };
        let same = if tags.is_empty() { None } else { ranked.iter().position(|(t, _)| t == run.tags) };
        let worst = || {
            (0..ranked.len())
                .reduce(|w, j| if prefers(aggregate, &ranked[w].1, &ranked[j].1) { j } else { w })
        };
        let replaced = match same {
            Some(at) => Some(at),
            // With tags, every tag set is kept until the end: the best n are chosen among their best points.
            None if !tags.is_empty() || ranked.len() < *n => None,
            None => worst(),
        };
        match replaced {
            Some(at) if prefers(aggregate, &candidate, &ranked[at].1) => ranked[at].1 = run.point(i),
            Some(_) => {}
            None => ranked.push((run.tags.to_vec(), run.point(i))),
        }
    }
    (ranked.len() - before) * 96
}

/// The n best of a ranking by tags.
pub(crate) fn cut_ranking(state: &mut State, aggregate: &Aggregate) {
    if let (State::Ranked(ranked), Aggregate::Top(n, _) | Aggregate::Bottom(n, _)) = (state, aggregate) {
        ranked.sort_by(|a, b| {
            if prefers(aggregate, &a.1, &b.1) {
                std::cmp::Ordering::Less
            } else {
                std::cmp::Ordering::Greater
            }
        });
        ranked.truncate(*n);
    }
}

fn finish_held(mut points: Vec<Point>, aggregate: &Aggregate, window: i64) -> Vec<Point> {
    if points.is_empty() {
        return points;
    }
    let at_window = |value: FieldValue| Point { time: window, value: Some(value), aux: Vec::new() };
    match aggregate {
        Aggregate::Median => vec![at_window(FieldValue::Float(median(&points)))],
        Aggregate::Mode => mode(points).map(at_window).into_iter().collect(),
        Aggregate::Percentile(percentile) => {
            sort_by_value(&mut points);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                reason = "nearest rank, checked below"
            )]
            let index = (points.len() as f64 * percentile / 100.0 + 0.5).floor() as i64 - 1;
            let point = usize::try_from(index).ok().and_then(|i| points.get(i).cloned());
            point.into_iter().collect()
        }
        Aggregate::Distinct => {
            points.sort_by_key(|p| p.time);
            let mut seen = HashSet::new();
            let mut values: Vec<_> = points.into_iter().filter_map(|p| p.value).collect();
            values.retain(|v| seen.insert(key(v)));
            values.into_iter().map(at_window).collect()
        }
        Aggregate::Sample(n) => {
            points.sort_by_key(|p| p.time);
            sample(points, *n)
        }
        _ => points,
    }
}

fn order(a: &Value, b: &Value) -> std::cmp::Ordering {
    if greater(a, b) {
        std::cmp::Ordering::Greater
    } else if greater(b, a) {
        std::cmp::Ordering::Less
    } else {
        std::cmp::Ordering::Equal
    }
}

fn sort_by_value(points: &mut [Point]) {
    points.sort_by(|a, b| order(&a.value, &b.value).then(a.time.cmp(&b.time)));
}

#[expect(clippy::cast_precision_loss, reason = "the median of integers is a float in InfluxQL")]
fn median(points: &[Point]) -> f64 {
    let integer = |p: &Point| if let Some(FieldValue::Integer(v)) = &p.value { Some(*v) } else { None };
    if let Some(mut values) = points.iter().map(integer).collect::<Option<Vec<i64>>>() {
        values.sort_unstable();
        let middle = values.len() / 2;
        let at = |i: usize| values.get(i).copied().unwrap_or_default();
        return match values.len() % 2 {
            1 => at(middle) as f64,
            _ => at(middle - 1) as f64 + at(middle).wrapping_sub(at(middle - 1)) as f64 / 2.0,
        };
    }
    let mut values: Vec<f64> = points.iter().filter_map(|p| p.value.as_ref().and_then(to_f64)).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let at = |i: usize| values.get(i).copied().unwrap_or_default();
    if values.len() % 2 == 1 { at(middle) } else { at(middle - 1) + (at(middle) - at(middle - 1)) / 2.0 }
}

/// The standard deviation of a sample. One point has none: the window has an answer all the same, which is not filled.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return f64::NAN;
    }
    let mut mean = 0.0;
    for (n, value) in (1_u64..).zip(values) {
        mean += (value - mean) / n as f64;
    }
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// The most frequent value. Of several, one wins when its first point is not later than the last point of the
/// winner before it, in order of values: InfluxDB's rule, which answers depend on.
fn mode(mut points: Vec<Point>) -> Option<FieldValue> {
    if let Some(Some(FieldValue::Boolean(_))) = points.first().map(|p| &p.value) {
        // As many of both are true.
        let set = points.iter().filter(|p| p.value == Some(FieldValue::Boolean(true))).count();
        return Some(FieldValue::Boolean(set * 2 >= points.len()));
    }
    sort_by_value(&mut points);
    let mut winner: Option<(usize, i64, FieldValue)> = None;
    let mut current: Option<(usize, i64, FieldValue)> = None;
    for point in points {
        let Some(value) = point.value else { continue };
        match &mut current {
            Some((count, _, same)) if *same == value => *count += 1,
            _ => current = Some((1, point.time, value.clone())),
        }
        let Some((count, first, _)) = &current else { continue };
        let loses = |(most, time, _): &(usize, i64, FieldValue)| {
            *count < *most || (*count == *most && (*first > *time || *count == 1))
        };
        if !winner.as_ref().is_some_and(loses) {
            winner = Some((*count, point.time, value));
        }
    }
    winner.map(|(_, _, value)| value)
}

/// The area under the line through the points of all windows, in value × unit, each with its window's start. At
/// the end of a window the line is cut; what lies before the next point belongs to that point's window, even when
/// windows without points are in between. Of several points at one time the last counts. A last window whose last point
/// lies at its start (`start_of` what is shown for it) has no area.
#[expect(clippy::cast_precision_loss, reason = "times as floats, as InfluxDB does")]
pub(crate) fn integrals(
    windows: impl Iterator<Item = (i64, State)>,
    unit: i64,
    start_of: &dyn Fn(i64) -> i64,
    end_of: &dyn Fn(i64) -> Option<i64>,
) -> Vec<(i64, f64)> {
    let area = |a: (i64, f64), b: (i64, f64)| 0.5 * (a.1 + b.1) * ((b.0 - a.0) as f64 / unit as f64);
    let mut previous: Option<(i64, f64)> = None;
    let mut out: Vec<(i64, f64)> = Vec::new();
    for (start, state) in windows {
        let State::Held(mut points) = state else { continue };
        points.sort_by_key(|p| p.time);
        let mut sum = 0.0;
        for (i, point) in points.iter().enumerate() {
            let Some(value) = point.value.as_ref().and_then(to_f64) else { continue };
            let here = (point.time, value);
            if let Some(before) = previous.filter(|before| before.0 != here.0) {
                let mut from = before;
                if i == 0
                    && let Some((last_start, last_sum)) = out.last_mut()
                    && let Some(end) = end_of(*last_start).filter(|end| *end > before.0)
                {
                    let slope = (here.1 - before.1) / (here.0 - before.0) as f64;
                    let cut = (end, before.1 + slope * (end - before.0) as f64);
                    *last_sum += area(before, cut);
                    from = cut;
                }
                sum += area(from, here);
            }
            previous = Some(here);
        }
        out.push((start, sum));
    }
    if let (Some((start, _)), Some((last, _))) = (out.last(), previous)
        && start_of(*start) == last
    {
        out.pop();
    }
    out
}

/// A deterministic reservoir sample, so that the same query has the same answer on every node.
fn sample(points: Vec<Point>, n: usize) -> Vec<Point> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64 ^ points.len() as u64;
    let mut kept: Vec<(usize, Point)> = Vec::with_capacity(n.min(points.len()));
    for (i, point) in points.into_iter().enumerate() {
        if kept.len() < n {
            kept.push((i, point));
            continue;
        }
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = usize::try_from(seed >> 33).unwrap_or_default() % (i + 1);
        if let Some(slot) = kept.get_mut(draw) {
            *slot = (i, point);
        }
    }
    kept.sort_by_key(|(i, _)| *i);
    kept.into_iter().map(|(_, point)| point).collect()
}
