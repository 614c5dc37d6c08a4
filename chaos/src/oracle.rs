//! What clients were told, and what they may therefore read.
//!
//! Each writer numbers its points 0, 1, 2, ...; the number is the value, and decides time and series. A point is
//! *sent* once a request with it may have reached a node, *acknowledged* once a node answered 204, and *seen* once a
//! read that has ended returned it. What is acknowledged or seen before a read begins must be in its answer, through
//! whichever node it is asked; what was never sent must not be; and no point may be there twice.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use crate::history::{Attempt, Outcome};

const START_NS: u64 = 1_700_000_000_000_000_000;
const STEP_NS: u64 = 1_000_000;
/// Series of a writer, over which its points go in turn. As many as a request has points, so that nearly every request
/// needs a leader on every node, and the write gap is that of the slowest to be led again.
pub(crate) const SERIES: u64 = 16;
/// Violations that are told in full; more are counted.
const TOLD_MAX: usize = 20;

/// One row of an answer: time, and the fields `n` and `w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// Nanoseconds.
    pub(crate) time: u64,
    /// The point's number.
    pub(crate) n: u64,
    /// Its writer.
    pub(crate) w: u64,
}

#[derive(Debug, Clone, Default)]
struct Point {
    in_flight: bool,
    /// The best of all outcomes so far.
    outcome: Outcome,
    seen: bool,
    /// First of the attempts in the writer's list that had this point.
    attempts: Vec<Attempt>,
}

/// All that is known of all points.
#[derive(Debug)]
pub(crate) struct Oracle {
    writers: Vec<Mutex<Vec<Point>>>,
    violations: Mutex<Violations>,
}

#[derive(Debug, Default)]
struct Violations {
    told: Vec<String>,
    more: usize,
    /// Whether a read lacked a point that it must have.
    lost: bool,
}

/// The beginning of a read: what its answer must have.
#[derive(Debug)]
pub(crate) struct Reading {
    writer: usize,
    from: u64,
    must: BTreeSet<u64>,
}

/// How many points there are, by what is known of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) acknowledged: usize,
    pub(crate) unknown: usize,
    pub(crate) refused: usize,
}

impl Oracle {
    /// An oracle for so many writers.
    pub(crate) fn new(writers: usize) -> Self {
        Self { writers: (0..writers).map(|_| Mutex::default()).collect(), violations: Mutex::default() }
    }

    fn points(&self, writer: usize) -> MutexGuard<'_, Vec<Point>> {
        self.writers[writer].lock().expect("no holder panics")
    }

    /// Number of writers.
    pub(crate) fn writers(&self) -> usize {
        self.writers.len()
    }

    /// The next numbers of a writer.
    pub(crate) fn fresh(&self, writer: usize, count: u64) -> Range<u64> {
        let mut points = self.points(writer);
        let first = points.len() as u64;
        let end = first + count;
        points.extend((first..end).map(|_| Point::default()));
        first..end
    }

    /// A request with these points is about to be sent.
    pub(crate) fn sending(&self, writer: usize, numbers: &Range<u64>) {
        for_each(&mut self.points(writer), numbers, |point| point.in_flight = true);
    }

    /// The request has ended.
    pub(crate) fn ended(&self, writer: usize, numbers: &Range<u64>, attempt: Attempt) {
        for_each(&mut self.points(writer), numbers, |point| {
            point.in_flight = false;
            point.outcome = point.outcome.max(attempt.outcome);
            point.attempts.push(attempt);
        });
    }

    /// The last attempt to send a point.
    pub(crate) fn last_attempt(&self, writer: usize, numbers: &Range<u64>) -> Option<Attempt> {
        let first = usize::try_from(numbers.start).ok()?;
        self.points(writer).get(first)?.attempts.last().copied()
    }

    /// A read of the last `window` points of a writer, or of all, begins.
    pub(crate) fn begin_read(&self, writer: usize, window: Option<u64>) -> Reading {
        let points = self.points(writer);
        let from = window.map_or(0, |window| (points.len() as u64).saturating_sub(window));
        let all = (0..).zip(points.iter()).filter(|(n, _)| *n >= from);
        let must = all.filter(|(_, point)| point.seen || point.outcome == Outcome::Acknowledged);
        Reading { writer, from, must: must.map(|(n, _)| n).collect() }
    }

    /// The read has ended with these rows, asked of this node. What is wrong with them is kept as violations.
    pub(crate) fn end_read(&self, reading: &Reading, node: usize, rows: &[Row]) {
        let mut points = self.points(reading.writer);
        let mut wrong = Vec::new();
        let mut found = BTreeSet::new();
        for row in rows {
            let place = usize::try_from(row.n).ok().filter(|_| row.w == reading.writer as u64);
            match place.and_then(|at| points.get_mut(at)) {
                Some(point) if row.time == time_of(row.n) && row.n >= reading.from => {
                    if !point.in_flight && point.outcome == Outcome::Refused {
                        wrong.push(format!("point {} was refused and is there: {:?}", row.n, point.attempts));
                    }
                    point.seen = true;
                }
                _ => wrong.push(format!("nobody has sent {row:?}")),
            }
            if !found.insert(row.n) {
                wrong.push(format!("point {} is there twice", row.n));
            }
        }
        let missing: Vec<u64> = reading.must.difference(&found).copied().collect();
        if let Some(first) = missing.first() {
            let point = usize::try_from(*first).ok().and_then(|at| points.get(at)).cloned();
            let count = missing.len();
            self.violations.lock().expect("no holder panics").lost = true;
            wrong.push(format!("{count} points are not there, the first is {first}: {point:?}"));
        }
        drop(points);
        for text in wrong {
            self.violation(format!("writer {}, read through node {node}: {text}", reading.writer));
        }
    }

    /// Keeps what must never happen.
    pub(crate) fn violation(&self, text: String) {
        let mut violations = self.violations.lock().expect("no holder panics");
        if violations.told.len() < TOLD_MAX {
            violations.told.push(text);
        } else {
            violations.more += 1;
        }
    }

    /// Whether a read lacked a point that it must have.
    pub(crate) fn has_lost_points(&self) -> bool {
        self.violations.lock().expect("no holder panics").lost
    }

    /// All that must never have happened and did.
    pub(crate) fn violations(&self) -> Vec<String> {
        let violations = self.violations.lock().expect("no holder panics");
        let more = (violations.more > 0).then(|| format!("and {} more", violations.more));
        violations.told.iter().cloned().chain(more).collect()
    }

    /// How many points there are of each outcome.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for writer in 0..self.writers() {
            for point in self.points(writer).iter() {
                match point.outcome {
                    Outcome::Acknowledged => counts.acknowledged += 1,
                    Outcome::Unknown => counts.unknown += 1,
                    Outcome::Refused => counts.refused += 1,
                }
            }
        }
        counts
    }
}

fn for_each(points: &mut [Point], numbers: &Range<u64>, change: impl FnMut(&mut Point)) {
    let place = |n: u64| usize::try_from(n).expect("fewer points than memory");
    points[place(numbers.start)..place(numbers.end)].iter_mut().for_each(change);
}

/// When a point is.
pub(crate) fn time_of(n: u64) -> u64 {
    START_NS + n * STEP_NS
}

/// Line protocol of points.
pub(crate) fn lines(writer: usize, numbers: &Range<u64>) -> String {
    let line =
        |n: u64| format!("chaos,writer={writer},part={} n={n}i,w={writer}i {}\n", n % SERIES, time_of(n));
    numbers.clone().map(line).collect()
}

/// Line protocol that gives a register a value.
pub(crate) fn register_line(key: usize, value: u64) -> String {
    format!("register,key={key} n={value}i,w=0i {START_NS}\n")
}

/// The query of a register.
pub(crate) fn register_query(key: usize) -> String {
    format!("SELECT n, w FROM register WHERE key = '{key}'")
}

/// The query of a read.
pub(crate) fn query(reading: &Reading) -> String {
    let (writer, from) = (reading.writer, time_of(reading.from));
    format!("SELECT n, w FROM chaos WHERE writer = '{writer}' AND time >= {from}")
}

#[cfg(test)]
mod tests;
