//! How new what a query reads must be, and what it must have in any case.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::ids::GroupId;

/// How new what is read must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Consistency {
    /// Everything acknowledged before the question, as the leaders say by their leases. Relies on clocks that run at
    /// about the same rate.
    #[default]
    Leader,
    /// The same, confirmed by a quorum after the question. Relies on no clock.
    Linearizable,
    /// Everything acknowledged up to this long before the question.
    Bounded(Duration),
    /// Whatever the nearest replica has.
    Any,
}

/// Not the name of a consistency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown consistency {0:?}: expected leader, linearizable, bounded(<duration>) such as bounded(5s), or any"
)]
pub struct ConsistencyError(String);

/// The units of a bound, longest names first.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

impl FromStr for Consistency {
    type Err = ConsistencyError;

    fn from_str(text: &str) -> Result<Self, ConsistencyError> {
        let bound = |text: &str| {
            let text = text.strip_prefix("bounded(")?.strip_suffix(')')?;
            let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
            let (_, ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
            number.parse::<u64>().ok()?.checked_mul(*ms).map(Duration::from_millis)
        };
        match text {
            "leader" => Ok(Self::Leader),
            "linearizable" => Ok(Self::Linearizable),
            "any" => Ok(Self::Any),
            _ => bound(text)
                .map(Self::Bounded)
                .ok_or_else(|| ConsistencyError(text.chars().take(64).collect())),
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader => f.write_str("leader"),
            Self::Linearizable => f.write_str("linearizable"),
            Self::Bounded(age) => write!(f, "bounded({}ms)", age.as_millis()),
            Self::Any => f.write_str("any"),
        }
    }
}

/// Up to which entry of each group's log somebody knows it: what a write has committed, or a read must see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commits(BTreeMap<GroupId, u64>);

impl Commits {
    /// Adds an entry of a group, and with it all before.
    pub fn add(&mut self, group: GroupId, index: u64) {
        let known = self.0.entry(group).or_insert(index);
        *known = index.max(*known);
    }

    /// The index of the last entry of a group.
    pub fn get(&self, group: GroupId) -> Option<u64> {
        self.0.get(&group).copied()
    }

    /// All groups, in order, each with the index of the last entry.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (GroupId, u64)> {
        self.0.iter().map(|(group, index)| (*group, *index))
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Extend<(GroupId, u64)> for Commits {
    fn extend<I: IntoIterator<Item = (GroupId, u64)>>(&mut self, more: I) {
        more.into_iter().for_each(|(group, index)| self.add(group, index));
    }
}

impl FromIterator<(GroupId, u64)> for Commits {
    fn from_iter<I: IntoIterator<Item = (GroupId, u64)>>(all: I) -> Self {
        let mut this = Self::default();
        this.extend(all);
        this
    }
}

/// What a query demands of what it reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// How new it must be.
    pub consistency: Consistency,
    /// What must be in it, however old it may be.
    pub seen: Commits,
}

#[cfg(test)]
mod tests;
