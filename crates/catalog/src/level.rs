//! Feature levels: what every node of a cluster must understand before any of them uses it.
//!
//! ```text
//!  a version understands    the levels up to its newest, and says so when it registers
//!  a cluster is at          a level that all its nodes understand; it begins with their lowest, and rises by command
//! ```
//! What must always hold: nothing that belongs to a level stands in a log, a snapshot or a message before the cluster is at
//! that level; from then on no process that does not understand it takes part.

use std::fmt;
use std::num::NonZeroU16;

/// A feature level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(NonZeroU16);

impl Level {
    /// What the first version does.
    pub const FIRST: Self = Self(NonZeroU16::MIN);
    /// Replicas of a partition compare what they hold at the same entry of its log.
    pub const COMPARED_REPLICAS: Self = Self(NonZeroU16::MIN.saturating_add(1));
    /// The catalog holds continuous queries, and changes what authorizations allow and who owns an organization; a scan may
    /// ask for some fields of all rows, and a summary for variances.
    pub const STATEMENTS: Self = Self(NonZeroU16::MIN.saturating_add(2));
    /// The newest that this version understands.
    pub const NEWEST: Self = Self::STATEMENTS;

    /// The level with a number; there is no level 0.
    pub fn new(number: u16) -> Option<Self> {
        NonZeroU16::new(number).map(Self)
    }

    /// Its number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl From<NonZeroU16> for Level {
    fn from(number: NonZeroU16) -> Self {
        Self(number)
    }
}

impl From<Level> for NonZeroU16 {
    fn from(level: Level) -> Self {
        level.0
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
