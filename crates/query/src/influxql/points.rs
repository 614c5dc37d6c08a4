//! What happens to the points of a call after aggregation: fill, then transformations.

use influxql::ast::Fill;
use model::{FieldType, FieldValue};

use super::aggregate::Point;
use super::function::Transform;
use super::value::{self, to_f64};
use super::window::Windows;
use crate::error::Error;

/// Puts points into the windows without any, from `first` to `last` (starts of windows, inclusive), about `count`;
/// `ascending` is the order of the answer.
pub(crate) fn fill(
    points: Vec<Point>,
    how: Fill,
    windows: &Windows,
    (first, last, count): (i64, i64, usize),
    field_type: FieldType,
    ascending: bool,
) -> Vec<Point> {
    let number = match how {
        Fill::Integer(n) => value::filler(&FieldValue::Integer(n), field_type),
        Fill::Number(n) => value::filler(&FieldValue::Float(n), field_type),
        _ => None,
    };
    let mut out: Vec<Point> = Vec::with_capacity(count.max(points.len()));
    let mut points = points.into_iter().peekable();
    let mut start = first;
    let mut previous: Option<Point> = None;
    while start <= last {
        if points.peek().is_some_and(|p| p.time <= start) {
            let point = points.next().expect("it was peeked");
            previous = Some(point.clone());
            out.push(point);
        } else {
            let value = match how {
                Fill::Previous => previous.as_ref().and_then(|p| p.value.clone()),
                Fill::Linear => previous.as_ref().zip(points.peek()).and_then(|(before, after)| {
                    // From the point that comes first in the answer.
                    let (from, to) = if ascending { (before, after) } else { (after, before) };
                    between(from, to, start, windows.every)
                }),
                _ => number.clone(),
            };
            out.push(Point { time: start, value, aux: Vec::new() });
        }
        let (_, end) = windows.of(start);
        if end <= start {
            break;
        }
        start = end;
    }
    out.extend(points);
    out
}

/// fill(previous) when the answer is sorted newest first: the window before is the later one.
pub(crate) fn fill_from_later(points: &mut [Point]) {
    let mut later: Option<FieldValue> = None;
    for point in points.iter_mut().rev() {
        match &point.value {
            Some(_) => later.clone_from(&point.value),
            None => point.value.clone_from(&later),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "InfluxDB interpolates in floats and cuts the fraction of integers"
)]
fn between(a: &Point, b: &Point, time: i64, every: i64) -> Option<FieldValue> {
    let (x, y) = (to_f64(a.value.as_ref()?)?, to_f64(b.value.as_ref()?)?);
    // Times are counted in windows.
    let (first, last) = (a.time / every, b.time / every);
    let rise = match (a.value.as_ref()?, b.value.as_ref()?) {
        (FieldValue::Integer(x), FieldValue::Integer(y)) => y.wrapping_sub(*x) as f64,
        _ => y - x,
    };
    let slope = rise / (last - first) as f64;
    let value = slope * (time / every - first) as f64 + x;
    Some(match a.value.as_ref()? {
        FieldValue::Integer(_) => FieldValue::Integer(value as i64),
        FieldValue::Unsigned(_) => FieldValue::Unsigned(value as u64),
        _ => FieldValue::Float(value),
    })
}

/// Applies a transformation; null points are not seen. `check` is asked often whether to go on.
pub(crate) fn transform(
    points: Vec<Point>,
    how: Transform,
    check: &dyn Fn() -> Result<(), Error>,
) -> Result<Vec<Point>, Error> {
    let points: Vec<_> = points.into_iter().filter(|p| p.value.is_some()).collect();
    let floats = || points.iter().filter_map(|p| Some((p.time, to_f64(p.value.as_ref()?)?)));
    let of_floats = |found: Vec<(i64, f64)>| -> Vec<Point> {
        let point = |(time, value)| Point { time, value: Some(FieldValue::Float(value)), aux: Vec::new() };
        found.into_iter().map(point).collect()
    };
    Ok(match how {
        Transform::Technical(indicator) => of_floats(indicator.over(floats())),
        Transform::HoltWinters(forecast) => of_floats(forecast.over(&floats().collect::<Vec<_>>(), check)?),
        Transform::CumulativeSum => cumulative_sum(points),
        Transform::MovingAverage(n) => moving_average(&points, n),
        Transform::Derivative { unit, non_negative } => {
            pairs(&points, |a, b| derivative(a, b, unit, non_negative))
        }
        Transform::Difference { non_negative } => pairs(&points, |a, b| difference(a, b, non_negative)),
        Transform::Elapsed(unit) => {
            pairs_all(&points, |a, b| Some(FieldValue::Integer(b.time.wrapping_sub(a.time) / unit)))
        }
    })
}

/// Computes from each point and the one before; of several points at one time the first counts.
fn pairs(points: &[Point], compute: impl Fn(&Point, &Point) -> Option<FieldValue>) -> Vec<Point> {
    let mut distinct: Vec<&Point> = points.iter().collect();
    distinct.dedup_by_key(|p| p.time);
    distinct
        .windows(2)
        .filter_map(|w| {
            compute(w[0], w[1]).map(|v| Point { time: w[1].time, value: Some(v), aux: Vec::new() })
        })
        .collect()
}

fn pairs_all(points: &[Point], compute: impl Fn(&Point, &Point) -> Option<FieldValue>) -> Vec<Point> {
    points
        .windows(2)
        .filter_map(|w| {
            compute(&w[0], &w[1]).map(|v| Point { time: w[1].time, value: Some(v), aux: Vec::new() })
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "times as floats, as InfluxDB does")]
fn derivative(a: &Point, b: &Point, unit: i64, non_negative: bool) -> Option<FieldValue> {
    let diff = match (a.value.as_ref()?, b.value.as_ref()?) {
        (FieldValue::Integer(x), FieldValue::Integer(y)) => y.wrapping_sub(*x) as f64,
        (FieldValue::Unsigned(x), FieldValue::Unsigned(y)) if y >= x => (y - x) as f64,
        (FieldValue::Unsigned(x), FieldValue::Unsigned(y)) => -((x - y) as f64),
        (x, y) => to_f64(y)? - to_f64(x)?,
    };
    // Time is counted forwards in both orders.
    let value = diff / (b.time.abs_diff(a.time) as f64 / unit as f64);
    (!non_negative || !is_negative(value)).then_some(FieldValue::Float(value))
}

fn difference(a: &Point, b: &Point, non_negative: bool) -> Option<FieldValue> {
    let value = match (a.value.as_ref()?, b.value.as_ref()?) {
        (FieldValue::Integer(x), FieldValue::Integer(y)) => FieldValue::Integer(y.wrapping_sub(*x)),
        (FieldValue::Unsigned(x), FieldValue::Unsigned(y)) => {
            if non_negative && y < x {
                return None;
            }
            FieldValue::Unsigned(y.wrapping_sub(*x))
        }
        (x, y) => FieldValue::Float(to_f64(y)? - to_f64(x)?),
    };
    (!non_negative || !is_negative(to_f64(&value)?)).then_some(value)
}

/// What is no number is not negative.
fn is_negative(value: f64) -> bool {
    value < 0.0
}

fn cumulative_sum(mut points: Vec<Point>) -> Vec<Point> {
    let mut sum: Option<FieldValue> = None;
    for point in &mut points {
        sum = match &sum {
            None => point.value.clone(),
            Some(_) => value::binary(influxql::ast::Operator::Add, &sum, &point.value),
        };
        point.value.clone_from(&sum);
    }
    points
}

/// The average of each point and the n - 1 before it. Sums of integers wrap round, as in InfluxDB.
#[expect(clippy::cast_precision_loss, reason = "averages of integers are floats in InfluxQL")]
fn moving_average(points: &[Point], n: usize) -> Vec<Point> {
    let (mut float, mut integer, mut unsigned) = (0.0_f64, 0_i64, 0_u64);
    let mut out = Vec::new();
    for (i, point) in points.iter().enumerate() {
        let Some(value) = &point.value else { continue };
        let gone = i.checked_sub(n).and_then(|gone| points.get(gone)?.value.as_ref());
        let sum = match (value, gone) {
            (FieldValue::Integer(value), gone) => {
                let gone = if let Some(FieldValue::Integer(gone)) = gone { *gone } else { 0 };
                integer = integer.wrapping_sub(gone).wrapping_add(*value);
                integer as f64
            }
            (FieldValue::Unsigned(value), gone) => {
                let gone = if let Some(FieldValue::Unsigned(gone)) = gone { *gone } else { 0 };
                unsigned = unsigned.wrapping_sub(gone).wrapping_add(*value);
                unsigned as f64
            }
            (value, gone) => {
                float = float - gone.and_then(to_f64).unwrap_or(0.0) + to_f64(value).unwrap_or(0.0);
                float
            }
        };
        if i + 1 >= n {
            let average = FieldValue::Float(sum / n as f64);
            out.push(Point { time: point.time, value: Some(average), aux: Vec::new() });
        }
    }
    out
}
