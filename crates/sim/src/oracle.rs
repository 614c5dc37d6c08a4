//! What clients were told, and what they may therefore expect to see: the judge of every read, by what its level promises.
//!
//! A point is known by its series and number; its value follows from both and is never sent for another. What must hold:
//! no read has anything that nobody has sent, anything twice, or a point without its value. Beyond that a read is as new
//! as it was asked to be: it has every point that was acknowledged, or that a read has shown, before the moment up to which
//! it must be new, and of which no delete had begun before it ended; and no point that was gone at that moment, with an
//! acknowledged write before an acknowledged delete. With a token that moment is, for what its owner was told, the one in
//! which it was given.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A point of a series.
pub type Number = u64;

/// What is known of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Sent; whether it was written nobody knows.
    Sent,
    /// It is there.
    There,
    /// A delete is under way, or it is not known what became of one; or it was gone while its write may have been
    /// under way.
    Doubtful,
    /// It was there, and is not any more.
    Gone,
}

/// A client's series.
#[derive(Debug, Default)]
pub struct Series {
    /// Each with the time since which that is known.
    points: BTreeMap<Number, (Known, Duration)>,
    /// Points of which the writer was told that they are written.
    acknowledged: BTreeSet<Number>,
    /// Stands for all that the writer was told.
    token: Option<String>,
}

/// What a read that begins now must show and must not show.
#[derive(Debug)]
pub struct Expected {
    must: BTreeSet<Number>,
    must_not: BTreeSet<Number>,
}

/// What is wrong with a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// Nobody may ever see it, however old what he reads may be.
    Never(String),
    /// It is older than it may be.
    Old(String),
}

impl Series {
    /// Points are sent.
    pub fn sends(&mut self, numbers: impl IntoIterator<Item = Number>, now: Duration) {
        for number in numbers {
            self.points.entry(number).or_insert((Known::Sent, now));
        }
    }

    /// A write of points was acknowledged, with a token.
    pub fn is_written(
        &mut self,
        numbers: impl IntoIterator<Item = Number> + Clone,
        token: String,
        now: Duration,
    ) {
        self.acknowledged.extend(numbers.clone());
        self.token = Some(token);
        self.is_there(numbers, now);
    }

    fn is_there(&mut self, numbers: impl IntoIterator<Item = Number>, now: Duration) {
        for number in numbers {
            if let Some(known @ (Known::Sent, _)) = self.points.get_mut(&number) {
                *known = (Known::There, now);
            }
        }
    }

    /// A delete of points begins. Answers those of which it is known that they are there.
    pub fn deletes(&mut self, numbers: std::ops::Range<Number>, now: Duration) -> Vec<Number> {
        let mut there = Vec::new();
        for (number, known) in self.points.range_mut(numbers) {
            if known.0 == Known::There {
                there.push(*number);
            }
            if known.0 != Known::Gone {
                *known = (Known::Doubtful, now);
            }
        }
        there
    }

    /// A delete was acknowledged, with a token, that began when these were there.
    pub fn is_gone(&mut self, numbers: &[Number], token: String, now: Duration) {
        self.token = Some(token);
        self.points.extend(numbers.iter().map(|number| (*number, (Known::Gone, now))));
    }

    /// What stands for all that the writer was told so far.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// What a read that begins now is held against, which must be as new as a moment; none where it may be as old as it is.
    #[must_use]
    pub fn expected(&self, as_of: Option<Duration>) -> Expected {
        let of = |wanted| {
            let points = self.points.iter();
            let points = points
                .filter(move |(_, (known, at))| *known == wanted && as_of.is_some_and(|as_of| *at <= as_of));
            points.map(|(number, _)| *number).collect()
        };
        Expected { must: of(Known::There), must_not: of(Known::Gone) }
    }

    /// The same of a read that has the token too.
    #[must_use]
    pub fn expected_with_token(&self, as_of: Option<Duration>) -> Expected {
        let mut expected = self.expected(as_of);
        for (number, (known, _)) in &self.points {
            match known {
                Known::There if self.acknowledged.contains(number) => expected.must.insert(*number),
                Known::Gone => expected.must_not.insert(*number),
                _ => false,
            };
        }
        expected
    }

    /// Checks what a read has shown, in the order in which it came.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(
        &mut self,
        expected: &Expected,
        shown: &[(Number, u64)],
        client: u64,
        now: Duration,
    ) -> Result<(), Wrong> {
        let numbers: Vec<Number> = shown.iter().map(|(number, _)| *number).collect();
        if let Some(pair) = numbers.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(Wrong::Never(format!("point {} comes after {}", pair[1], pair[0])));
        }
        for (number, shown) in shown {
            if !self.points.contains_key(number) {
                return Err(Wrong::Never(format!("point {number} was never sent")));
            }
            if *shown != value(client, *number) {
                return Err(Wrong::Never(format!("point {number} has value {shown}, which is not its own")));
            }
        }
        let is_shown = |number: &&Number| numbers.binary_search(number).is_ok();
        let back = expected.must_not.iter().find(is_shown);
        // A delete that began meanwhile may have taken it.
        let is_still_there =
            |number: &&Number| self.points.get(number).is_some_and(|(known, _)| *known == Known::There);
        let lost = expected.must.iter().filter(|number| !is_shown(number)).filter(is_still_there);
        let lost: Vec<Number> = lost.copied().collect();
        self.is_there(numbers.iter().copied(), now);
        match (back, lost.first()) {
            (Some(back), _) => Err(Wrong::Old(format!("point {back} was deleted and has come back"))),
            (None, Some(first)) => {
                Err(Wrong::Old(format!("{} points are lost, the first is {first}", lost.len())))
            }
            (None, None) => Ok(()),
        }
    }
}

/// The value of a client's point.
#[must_use]
pub const fn value(client: u64, number: Number) -> u64 {
    number * 1000 + client
}

#[cfg(test)]
mod tests;
