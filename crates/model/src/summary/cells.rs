//! The cells of one field: a column for each thing that is wanted, a row for each window that holds a value.

use std::cmp::Ordering;

use crate::column::{Bitmap, Column, ColumnType, Values};
use crate::value::{FieldType, FieldValue};

use super::{Run, Wanted};

/// A value and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Nanoseconds.
    pub time: i64,
    /// The value.
    pub value: FieldValue,
}

/// A sum of values of one type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sum {
    /// Of floats.
    Float(f64),
    /// Of integers, exact.
    Integer(i128),
    /// Of unsigned integers, exact.
    Unsigned(u128),
}

impl Sum {
    #[expect(clippy::cast_precision_loss, reason = "the number nearest to it")]
    const fn float(self) -> f64 {
        match self {
            Self::Float(sum) => sum,
            Self::Integer(sum) => sum as f64,
            Self::Unsigned(sum) => sum as f64,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "the number nearest to it")]
const fn as_float(count: u64) -> f64 {
    count as f64
}

/// The sums of all cells.
#[derive(Debug, Clone, PartialEq)]
pub enum Sums {
    /// Of floats.
    Float(Vec<f64>),
    /// Of integers, exact.
    Integer(Vec<i128>),
    /// Of unsigned integers, exact.
    Unsigned(Vec<u128>),
    /// There is no sum of texts and booleans.
    None,
}

/// What is known of some values in one window without looking at them. Nothing wanted is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The window's start.
    pub start: i64,
    /// Number of values, more than 0.
    pub count: u64,
    /// Their sum, for numbers.
    pub sum: Option<Sum>,
    /// The sum of their squared distances from their mean, for numbers.
    pub squares: Option<f64>,
    /// The least of them.
    pub min: Option<Point>,
    /// The greatest.
    pub max: Option<Point>,
    /// The first.
    pub first: Option<Point>,
    /// The last.
    pub last: Option<Point>,
}

/// See the module. Columns of what is not wanted are empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Cells {
    pub(super) field_type: ColumnType,
    /// Where the windows start, ascending.
    pub starts: Vec<i64>,
    /// How many values they hold, each at least one.
    pub counts: Vec<u64>,
    /// Their sums.
    pub sums: Sums,
    /// The sums of their squared distances from their means, of numbers.
    pub squares: Vec<f64>,
    /// Their least values.
    pub min: Vec<Point>,
    /// Their greatest values.
    pub max: Vec<Point>,
    /// Their first values.
    pub first: Vec<Point>,
    /// Their last values.
    pub last: Vec<Point>,
}

/// The sum of the squared distances of so many values from their mean, and what else is known of them.
#[derive(Debug, Clone, Copy)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Of some values; there is at least one.
    fn of<T: Reduce>(values: &[T]) -> Self {
        let count = as_float(values.len() as u64);
        let mean = values.iter().fold(0.0, |sum, v| sum + v.float()) / count;
        // What the mean was rounded by does not count.
        let (squares, rest) = values.iter().fold((0.0, 0.0), |(squares, rest), v| {
            let distance = v.float() - mean;
            (squares + distance * distance, rest + distance)
        });
        Self { count, mean, squares: squares - rest * rest / count }
    }

    /// Of these values and others: Chan, Golub and LeVeque, "Algorithms for computing the sample variance" (1983).
    fn joined(self, other: Self) -> f64 {
        let distance = other.mean - self.mean;
        let count = self.count + other.count;
        self.squares + other.squares + distance * distance * (self.count / count * other.count)
    }
}

/// A type of values whose runs can be reduced.
trait Reduce: Copy + PartialOrd {
    fn value(self) -> FieldValue;
    fn of(value: &FieldValue) -> Option<Self>;
    /// The number nearest to it.
    fn float(self) -> f64;
    /// Adds to the last of the sums.
    fn add(sums: &mut Sums, values: &[Self]);
    /// Goes from `best` to each value that is strictly less, in order.
    fn least(best: Self, values: &[Self]) -> Self {
        values.iter().fold(best, |best, &v| if v < best { v } else { best })
    }
    fn greatest(best: Self, values: &[Self]) -> Self {
        values.iter().fold(best, |best, &v| if v > best { v } else { best })
    }
}

/// Adds integers exactly, in two halves that cannot overflow within a run.
macro_rules! add_halves {
    ($values:expr, $total:ty, $high:ty, $bits:expr) => {{
        let mut total: $total = 0;
        for part in $values.chunks(1 << 16) {
            let (mut high, mut low): ($high, u64) = (0, 0);
            for &v in part {
                high += v >> 32;
                low += $bits(v) & 0xffff_ffff;
            }
            total += (<$total>::from(high) << 32) + <$total>::from(low);
        }
        total
    }};
}

impl Reduce for i64 {
    fn value(self) -> FieldValue {
        FieldValue::Integer(self)
    }
    fn of(value: &FieldValue) -> Option<Self> {
        if let FieldValue::Integer(v) = value { Some(*v) } else { None }
    }
    #[expect(clippy::cast_precision_loss, reason = "the number nearest to it")]
    fn float(self) -> f64 {
        self as f64
    }
    fn add(sums: &mut Sums, values: &[Self]) {
        if let Sums::Integer(sums) = sums
            && let Some(sum) = sums.last_mut()
        {
            *sum += add_halves!(values, i128, i64, i64::cast_unsigned);
        }
    }
}

impl Reduce for u64 {
    fn value(self) -> FieldValue {
        FieldValue::Unsigned(self)
    }
    fn of(value: &FieldValue) -> Option<Self> {
        if let FieldValue::Unsigned(v) = value { Some(*v) } else { None }
    }
    #[expect(clippy::cast_precision_loss, reason = "the number nearest to it")]
    fn float(self) -> f64 {
        self as f64
    }
    fn add(sums: &mut Sums, values: &[Self]) {
        if let Sums::Unsigned(sums) = sums
            && let Some(sum) = sums.last_mut()
        {
            *sum += add_halves!(values, u128, u64, std::convert::identity);
        }
    }
}

impl Reduce for f64 {
    fn value(self) -> FieldValue {
        FieldValue::Float(self)
    }
    fn of(value: &FieldValue) -> Option<Self> {
        if let FieldValue::Float(v) = value { Some(*v) } else { None }
    }
    fn float(self) -> f64 {
        self
    }
    fn add(sums: &mut Sums, values: &[Self]) {
        if let Sums::Float(sums) = sums
            && let Some(sum) = sums.last_mut()
        {
            *sum = values.iter().fold(*sum, |sum, v| sum + v);
        }
    }
    fn least(best: Self, values: &[Self]) -> Self {
        extreme(best, values, |v, best| v < best)
    }
    fn greatest(best: Self, values: &[Self]) -> Self {
        extreme(best, values, |v, best| v > best)
    }
}

impl Reduce for bool {
    fn value(self) -> FieldValue {
        FieldValue::Boolean(self)
    }
    fn of(value: &FieldValue) -> Option<Self> {
        if let FieldValue::Boolean(v) = value { Some(*v) } else { None }
    }
    fn float(self) -> f64 {
        f64::from(u8::from(self))
    }
    fn add(_: &mut Sums, _: &[Self]) {}
}

/// What a fold with `better` gives, in eight lanes, which the compiler makes vectors of.
fn extreme(best: f64, values: &[f64], better: impl Fn(f64, f64) -> bool) -> f64 {
    let choose = |best: f64, v: f64| if better(v, best) { v } else { best };
    let mut lanes = [best; 8];
    let (chunks, rest) = values.as_chunks::<8>();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane = choose(*lane, *v);
        }
    }
    let found = lanes.into_iter().chain(rest.iter().copied()).fold(best, choose);
    // Zeros of both signs are equal: the first counts.
    let is_zero = |v: &f64| *v == 0.0;
    if is_zero(&found) && !is_zero(&best) {
        values.iter().copied().find(is_zero).unwrap_or(found)
    } else {
        found
    }
}

impl Cells {
    /// No windows.
    pub const fn new(field_type: ColumnType) -> Self {
        let sums = match field_type {
            ColumnType::Field(FieldType::Float) => Sums::Float(Vec::new()),
            ColumnType::Field(FieldType::Integer) => Sums::Integer(Vec::new()),
            ColumnType::Field(FieldType::Unsigned) => Sums::Unsigned(Vec::new()),
            ColumnType::Field(FieldType::String | FieldType::Boolean) | ColumnType::Time => Sums::None,
        };
        Self {
            field_type,
            starts: Vec::new(),
            counts: Vec::new(),
            sums,
            squares: Vec::new(),
            min: Vec::new(),
            max: Vec::new(),
            first: Vec::new(),
            last: Vec::new(),
        }
    }

    /// The mean of a window's values; `None` where there is no sum.
    pub fn mean(&self, i: usize) -> Option<f64> {
        let sum = match &self.sums {
            Sums::Float(sums) => Sum::Float(*sums.get(i)?),
            Sums::Integer(sums) => Sum::Integer(*sums.get(i)?),
            Sums::Unsigned(sums) => Sum::Unsigned(*sums.get(i)?),
            Sums::None => return None,
        };
        Some(sum.float() / as_float(*self.counts.get(i)?))
    }

    /// The variance of a window's values, of the population or of a sample; `None` where squares were not wanted, and of a
    /// sample of one.
    pub fn variance(&self, i: usize, of_all: bool) -> Option<f64> {
        let Moments { count, squares, .. } = self.moments(i)?;
        let freedom = if of_all { count } else { count - 1.0 };
        (freedom > 0.0).then(|| squares / freedom)
    }

    fn moments(&self, i: usize) -> Option<Moments> {
        let squares = *self.squares.get(i)?;
        Some(Moments { count: as_float(*self.counts.get(i)?), mean: self.mean(i)?, squares })
    }

    /// What is known of the window that starts there, if it is the last and has values.
    fn open_moments(&self, start: i64) -> Option<Moments> {
        if self.starts.last() == Some(&start) { self.moments(self.starts.len() - 1) } else { None }
    }

    /// Joins the squared distances of other values to those that the last window had before.
    fn add_squares(&mut self, before: Option<Moments>, other: Moments) {
        let squares = before.map_or(other.squares, |before| before.joined(other));
        match (before, self.squares.last_mut()) {
            (Some(_), Some(known)) => *known = squares,
            _ => self.squares.push(squares),
        }
    }

    /// The type of the values.
    pub const fn column_type(&self) -> ColumnType {
        self.field_type
    }

    /// Number of windows.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is no window.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Takes the values of some rows of one window. Windows come in ascending order, rows too.
    pub fn add_rows(&mut self, wanted: Wanted, run: &Run, times: &[i64], column: &Column) {
        let rows = run.from..run.to;
        if let Some(valid) = column.valid.as_ref().filter(|valid| !all_ones(valid, run.from, run.to)) {
            let rows: Vec<usize> = rows.filter(|&row| valid.get(row)).collect();
            self.add_sparse(wanted, run.start, times, &column.values, &rows);
            return;
        }
        let time = |i: usize| times.get(run.from + i).copied().unwrap_or_default();
        match &column.values {
            Values::Float(v) => self.add_numbers(wanted, run.start, &v[rows], time),
            Values::Integer(v) | Values::Time(v) => self.add_numbers(wanted, run.start, &v[rows], time),
            Values::Unsigned(v) => self.add_numbers(wanted, run.start, &v[rows], time),
            Values::String(_) | Values::Boolean(_) => {
                self.add_sparse(wanted, run.start, times, &column.values, &rows.collect::<Vec<_>>());
            }
        }
    }

    /// Takes the values of these rows.
    fn add_sparse(&mut self, wanted: Wanted, start: i64, times: &[i64], values: &Values, rows: &[usize]) {
        let time = |i: usize| rows.get(i).and_then(|row| times.get(*row)).copied().unwrap_or_default();
        match values {
            Values::Float(v) => {
                self.add_numbers(wanted, start, &rows.iter().map(|&i| v[i]).collect::<Vec<_>>(), time);
            }
            Values::Integer(v) | Values::Time(v) => {
                self.add_numbers(wanted, start, &rows.iter().map(|&i| v[i]).collect::<Vec<_>>(), time);
            }
            Values::Unsigned(v) => {
                self.add_numbers(wanted, start, &rows.iter().map(|&i| v[i]).collect::<Vec<_>>(), time);
            }
            Values::Boolean(v) => {
                self.add_numbers(wanted, start, &rows.iter().map(|&i| v.get(i)).collect::<Vec<_>>(), time);
            }
            Values::String(v) => {
                let text = |i: usize| {
                    let value = FieldValue::String(rows.get(i).map_or("", |&row| v.get(row)).to_owned());
                    Point { time: time(i), value }
                };
                self.add_ends(wanted, start, rows.len(), text);
            }
        }
    }

    fn add_numbers<T: Reduce>(
        &mut self,
        wanted: Wanted,
        start: i64,
        values: &[T],
        time: impl Fn(usize) -> i64 + Copy,
    ) {
        if values.is_empty() {
            return;
        }
        let before = if wanted.squares { self.open_moments(start) } else { None };
        self.add_ends(wanted, start, values.len(), |i| Point { time: time(i), value: values[i].value() });
        if wanted.sum {
            T::add(&mut self.sums, values);
        }
        if wanted.squares && self.sums != Sums::None {
            self.add_squares(before, Moments::of(values));
        }
        let at = self.starts.len() - 1;
        let point = |found: T| {
            let place = || values.iter().position(|v| *v == found).unwrap_or(0);
            Point { time: if wanted.times { time(place()) } else { 0 }, value: found.value() }
        };
        // A NaN equals nothing: it is found only where it stands first.
        let extremes = [
            (wanted.min, &mut self.min, T::least as fn(T, &[T]) -> T),
            (wanted.max, &mut self.max, T::greatest),
        ];
        for (_, points, reduce) in extremes.into_iter().filter(|(wanted, ..)| *wanted) {
            match points.get_mut(at) {
                None => points.push(point(reduce(values[0], values))),
                Some(best) => {
                    let before = T::of(&best.value).unwrap_or(values[0]);
                    let found = reduce(before, values);
                    if found.partial_cmp(&before).is_some_and(Ordering::is_ne) {
                        *best = point(found);
                    }
                }
            }
        }
    }

    /// Counts values, and keeps the first and the last.
    fn add_ends(&mut self, wanted: Wanted, start: i64, count: usize, point: impl Fn(usize) -> Point) {
        let Some(end) = count.checked_sub(1) else { return };
        let is_new = self.open(start, count as u64);
        if wanted.first && is_new {
            self.first.push(point(0));
        }
        if wanted.last {
            set_last(&mut self.last, is_new, point(end));
        }
    }

    /// Makes `start` the last window if it is not; then there is no sum yet. Says whether it was made.
    fn open(&mut self, start: i64, count: u64) -> bool {
        if self.starts.last() == Some(&start) {
            if let Some(last) = self.counts.last_mut() {
                *last += count;
            }
            return false;
        }
        self.starts.push(start);
        self.counts.push(count);
        match &mut self.sums {
            Sums::Float(v) => v.push(0.0),
            Sums::Integer(v) => v.push(0),
            Sums::Unsigned(v) => v.push(0),
            Sums::None => {}
        }
        true
    }

    /// Takes values of which only this is known. Windows come in ascending order.
    pub fn add_part(&mut self, part: Part) {
        let before = part.squares.and_then(|_| self.open_moments(part.start));
        let is_new = self.open(part.start, part.count);
        let at = self.starts.len() - 1;
        match (&mut self.sums, part.sum) {
            (Sums::Float(v), Some(Sum::Float(sum))) => v[at] += sum,
            (Sums::Integer(v), Some(Sum::Integer(sum))) => v[at] += sum,
            (Sums::Unsigned(v), Some(Sum::Unsigned(sum))) => v[at] += sum,
            _ => {}
        }
        if let (Some(squares), Some(sum)) = (part.squares, part.sum) {
            let count = as_float(part.count);
            self.add_squares(before, Moments { count, mean: sum.float() / count, squares });
        }
        let extremes = [(&mut self.min, part.min, false), (&mut self.max, part.max, true)];
        for (points, found, greatest) in extremes {
            let Some(found) = found else { continue };
            match points.get_mut(at) {
                None => points.push(found),
                Some(best) => {
                    let (a, b) = if greatest { (&found, &*best) } else { (&*best, &found) };
                    if greater(&a.value, &b.value) {
                        *best = found;
                    }
                }
            }
        }
        if let Some(first) = part.first.filter(|_| is_new) {
            self.first.push(first);
        }
        if let Some(last) = part.last {
            set_last(&mut self.last, is_new, last);
        }
    }

    /// Takes the cells of another series of the group.
    pub fn merge(&mut self, wanted: Wanted, other: Self) {
        if self.starts == other.starts {
            for i in 0..self.starts.len() {
                self.combine(wanted, i, &other, i);
            }
            return;
        }
        if self.starts.last() < other.starts.first() {
            self.append(other);
            return;
        }
        let mine = std::mem::replace(self, Self::new(self.field_type));
        let (mut i, mut j) = (0, 0);
        while i < mine.len() || j < other.len() {
            match (mine.starts.get(i), other.starts.get(j)) {
                (Some(a), Some(b)) if a == b => {
                    self.copy(&mine, i);
                    let at = self.len() - 1;
                    self.combine(wanted, at, &other, j);
                    (i, j) = (i + 1, j + 1);
                }
                (Some(a), Some(b)) if a > b => {
                    self.copy(&other, j);
                    j += 1;
                }
                (Some(_), _) => {
                    self.copy(&mine, i);
                    i += 1;
                }
                (None, _) => {
                    self.copy(&other, j);
                    j += 1;
                }
            }
        }
    }

    /// Appends cells that all come later.
    fn append(&mut self, other: Self) {
        self.starts.extend(other.starts);
        self.counts.extend(other.counts);
        match (&mut self.sums, other.sums) {
            (Sums::Float(a), Sums::Float(b)) => a.extend(b),
            (Sums::Integer(a), Sums::Integer(b)) => a.extend(b),
            (Sums::Unsigned(a), Sums::Unsigned(b)) => a.extend(b),
            _ => {}
        }
        self.squares.extend(other.squares);
        self.min.extend(other.min);
        self.max.extend(other.max);
        self.first.extend(other.first);
        self.last.extend(other.last);
    }

    /// Appends a cell of another.
    fn copy(&mut self, other: &Self, i: usize) {
        self.starts.push(other.starts[i]);
        self.counts.push(other.counts[i]);
        match (&mut self.sums, &other.sums) {
            (Sums::Float(a), Sums::Float(b)) => a.push(b[i]),
            (Sums::Integer(a), Sums::Integer(b)) => a.push(b[i]),
            (Sums::Unsigned(a), Sums::Unsigned(b)) => a.push(b[i]),
            _ => {}
        }
        self.squares.extend(other.squares.get(i));
        let points = [
            (&mut self.min, &other.min),
            (&mut self.max, &other.max),
            (&mut self.first, &other.first),
            (&mut self.last, &other.last),
        ];
        for (mine, theirs) in points {
            mine.extend(theirs.get(i).cloned());
        }
    }

    /// Adds a cell of another series to one of ours.
    fn combine(&mut self, wanted: Wanted, i: usize, other: &Self, j: usize) {
        if let (Some(mine), Some(theirs)) = (self.moments(i), other.moments(j))
            && let Some(squares) = self.squares.get_mut(i)
        {
            *squares = mine.joined(theirs);
        }
        // What is stored never overflows; what another node says might.
        self.counts[i] = self.counts[i].saturating_add(other.counts[j]);
        match (&mut self.sums, &other.sums) {
            (Sums::Float(a), Sums::Float(b)) => a[i] += b[j],
            (Sums::Integer(a), Sums::Integer(b)) => a[i] = a[i].wrapping_add(b[j]),
            (Sums::Unsigned(a), Sums::Unsigned(b)) => a[i] = a[i].wrapping_add(b[j]),
            _ => {}
        }
        let earlier = |a: &Point, b: &Point| wanted.times && a.time < b.time;
        let replace =
            |mine: &mut Vec<Point>, theirs: &Vec<Point>, better: &dyn Fn(&Point, &Point) -> bool| {
                if let (Some(mine), Some(theirs)) = (mine.get_mut(i), theirs.get(j))
                    && better(theirs, mine)
                {
                    mine.clone_from(theirs);
                }
            };
        replace(&mut self.min, &other.min, &|a, b| {
            greater(&b.value, &a.value) || (earlier(a, b) && !greater(&a.value, &b.value))
        });
        replace(&mut self.max, &other.max, &|a, b| {
            greater(&a.value, &b.value) || (earlier(a, b) && !greater(&b.value, &a.value))
        });
        replace(&mut self.first, &other.first, &|a, b| {
            let (x, y) = if matches!(a.value, FieldValue::Boolean(_)) { (b, a) } else { (a, b) };
            a.time < b.time || (a.time == b.time && greater(&x.value, &y.value))
        });
        replace(&mut self.last, &other.last, &|a, b| {
            a.time > b.time || (a.time == b.time && greater(&a.value, &b.value))
        });
    }
}

fn set_last(points: &mut Vec<Point>, is_new: bool, point: Point) {
    match points.last_mut() {
        Some(last) if !is_new => *last = point,
        _ => points.push(point),
    }
}

/// Which of two values of a type is greater.
fn greater(a: &FieldValue, b: &FieldValue) -> bool {
    use FieldValue::{Boolean, Float, Integer, String, Unsigned};
    match (a, b) {
        (Float(a), Float(b)) => a > b,
        (Integer(a), Integer(b)) => a > b,
        (Unsigned(a), Unsigned(b)) => a > b,
        (Boolean(a), Boolean(b)) => a & !b,
        (String(a), String(b)) => a > b,
        _ => false,
    }
}

/// Whether bits `from..to` are all ones.
fn all_ones(bits: &Bitmap, from: usize, to: usize) -> bool {
    (from..to).all(|i| bits.get(i))
}
