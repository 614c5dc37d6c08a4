//! What clients were told, held against what they see.
//!
//! A point is known by its series and number; its value follows from both and is never sent for another. What must hold:
//! a read has every point that was acknowledged, or that a read has shown, before it began, and of which no delete had
//! begun before it ended; it has no point that was gone, with an acknowledged write before an acknowledged delete, when
//! it began; it has nothing that nobody has sent, nothing twice, and each point with its value.

use std::collections::BTreeMap;

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
    points: BTreeMap<Number, Known>,
}

/// What a read that begins now must show and must not show.
#[derive(Debug)]
pub struct Expected {
    must: Vec<Number>,
    must_not: Vec<Number>,
}

impl Series {
    /// Points are sent.
    pub fn sends(&mut self, numbers: impl IntoIterator<Item = Number>) {
        for number in numbers {
            self.points.entry(number).or_insert(Known::Sent);
        }
    }

    /// A write of points was acknowledged, or a read has shown them.
    pub fn is_there(&mut self, numbers: impl IntoIterator<Item = Number>) {
        for number in numbers {
            if let Some(known @ Known::Sent) = self.points.get_mut(&number) {
                *known = Known::There;
            }
        }
    }

    /// A delete of points begins. Answers those of which it is known that they are there.
    pub fn deletes(&mut self, numbers: std::ops::Range<Number>) -> Vec<Number> {
        let mut there = Vec::new();
        for (number, known) in self.points.range_mut(numbers) {
            if *known == Known::There {
                there.push(*number);
            }
            if *known != Known::Gone {
                *known = Known::Doubtful;
            }
        }
        there
    }

    /// A delete was acknowledged that began when these were there.
    pub fn is_gone(&mut self, numbers: &[Number]) {
        for number in numbers {
            self.points.insert(*number, Known::Gone);
        }
    }

    /// What a read that begins now is held against.
    #[must_use]
    pub fn expected(&self) -> Expected {
        let of = |wanted| {
            self.points.iter().filter(move |(_, known)| **known == wanted).map(|(number, _)| *number)
        };
        Expected { must: of(Known::There).collect(), must_not: of(Known::Gone).collect() }
    }

    /// Checks what a read has shown, in the order in which it came.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&mut self, expected: &Expected, shown: &[(Number, u64)], client: u64) -> Result<(), String> {
        let numbers: Vec<Number> = shown.iter().map(|(number, _)| *number).collect();
        if let Some(pair) = numbers.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(format!("point {} comes after {}", pair[1], pair[0]));
        }
        for (number, shown) in shown {
            if !self.points.contains_key(number) {
                return Err(format!("point {number} was never sent"));
            }
            if *shown != value(client, *number) {
                return Err(format!("point {number} has value {shown}, which is not its own"));
            }
        }
        let is_shown = |number: &Number| numbers.binary_search(number).is_ok();
        if let Some(back) = expected.must_not.iter().find(|number| is_shown(number)) {
            return Err(format!("point {back} was deleted and has come back"));
        }
        // A delete that began meanwhile may have taken it.
        let is_still_there = |number: &Number| self.points.get(number) == Some(&Known::There);
        let lost: Vec<Number> = expected
            .must
            .iter()
            .copied()
            .filter(|number| !is_shown(number) && is_still_there(number))
            .collect();
        if let Some(first) = lost.first() {
            return Err(format!("{} points are lost, the first is {first}", lost.len()));
        }
        self.is_there(numbers);
        Ok(())
    }

    /// Points of which it is known that they are there.
    #[must_use]
    pub fn there(&self) -> usize {
        self.points.values().filter(|known| **known == Known::There).count()
    }
}

/// The value of a client's point.
#[must_use]
pub const fn value(client: u64, number: Number) -> u64 {
    number * 1000 + client
}

#[cfg(test)]
mod tests;
