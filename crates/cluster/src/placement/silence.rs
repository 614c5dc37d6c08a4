//! Since when nodes have not answered, as the leader of the meta group has seen it.
//!
//! A silence begins at the earliest when this leader first looked, and all of them end when it did not look for a while
//! (it led no more, or its process was stopped): so nobody is thought silent because of the one who listens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::NodeId;

/// The longest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// What is remembered between looks. Times are those of a clock that never goes backwards.
#[derive(Debug, Default)]
pub(crate) struct Silence {
    looked: Option<Duration>,
    since: BTreeMap<NodeId, Duration>,
}

impl Silence {
    /// Looks who does not answer `now`.
    pub(crate) fn look(&mut self, now: Duration, silent: impl IntoIterator<Item = NodeId>) {
        let paused = self.looked.is_none_or(|looked| now.saturating_sub(looked) > PAUSE_MAX);
        let before = if paused { BTreeMap::new() } else { std::mem::take(&mut self.since) };
        self.looked = Some(now);
        self.since =
            silent.into_iter().map(|node| (node, before.get(&node).copied().unwrap_or(now))).collect();
    }

    /// The nodes that have not answered for so long at the last look.
    pub(crate) fn of_at_least(&self, long: Duration) -> BTreeSet<NodeId> {
        let Some(looked) = self.looked else { return BTreeSet::new() };
        let is_long = |since: &Duration| looked.saturating_sub(*since) >= long;
        self.since.iter().filter(|(_, since)| is_long(since)).map(|(node, _)| *node).collect()
    }
}

#[cfg(test)]
mod tests;
