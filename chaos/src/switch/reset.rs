//! Connections that are reset on a way: each once in a round, at the first segment that comes; those that were opened in the
//! round are left alone until the next.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::segment::{Ports, Segment};

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounds {
    /// Every connection that is there when it begins.
    Once,
    /// So many milliseconds from one round to the next.
    Every(u32),
}

/// What is known of the connections of a way.
#[derive(Debug)]
pub(super) struct Resets {
    rounds: Rounds,
    /// When the round began.
    begun: Instant,
    /// Opened in it.
    opened: HashSet<Ports>,
    /// Reset in it.
    reset: HashSet<Ports>,
}

impl Resets {
    pub(super) fn new(rounds: Rounds, now: Instant) -> Self {
        Self { rounds, begun: now, opened: HashSet::new(), reset: HashSet::new() }
    }

    /// Whether a segment that comes now is to be answered with resets, and whether its connection was not reset before in
    /// this round.
    pub(super) fn meets(&mut self, segment: &Segment<'_>, now: Instant) -> Option<bool> {
        if let Rounds::Every(ms) = self.rounds
            && now.saturating_duration_since(self.begun) >= Duration::from_millis(ms.into())
        {
            *self = Self::new(self.rounds, now);
        }
        let ports = segment.ports();
        if segment.opens() {
            self.opened.insert(ports);
        }
        // One that has ended may send resets itself.
        let is_left = segment.is_reset() || self.opened.contains(&ports);
        (!is_left).then(|| self.reset.insert(ports))
    }
}
