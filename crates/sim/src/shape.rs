//! Who is there, who comes and who goes, as a seed decides.

use std::time::Duration;

use crate::chance::chance;

/// Nodes that a cluster must keep.
const NODES_MIN: usize = 3;

/// The nodes and gateways of a simulation, by their places: founders, nodes that join, gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) founders: usize,
    /// When each of the others joins, after the faults have begun.
    pub(crate) joins: Vec<Duration>,
    pub(crate) gateways: usize,
    /// The node that is emptied and leaves for good, and when that begins.
    pub(crate) leaves: Option<(usize, Duration)>,
    /// When a node comes back with an empty disk. One: what is acknowledged may be on two of three.
    pub(crate) loses_volume: Option<Duration>,
}

impl Shape {
    pub(crate) fn new(seed: u64, founders: usize, faults: Duration) -> Self {
        let mut chance = chance(seed, 3);
        let faults = u64::try_from(faults.as_millis()).unwrap_or(u64::MAX);
        let mut within = |part: u64| Duration::from_millis(chance.below(faults / part));
        let moments = [within(2), within(2), within(2), within(1)];
        let joins = usize::try_from(chance.below(4).saturating_sub(1)).unwrap_or(0);
        let nodes = founders + joins;
        let leaving = usize::try_from(chance.below(nodes as u64)).unwrap_or(0);
        let leaves = chance.below(2) == 0 && nodes > NODES_MIN;
        Self {
            founders,
            joins: moments[..joins].to_vec(),
            gateways: usize::try_from(chance.below(4).saturating_sub(2)).unwrap_or(0),
            leaves: leaves.then_some((leaving, moments[2])),
            loses_volume: (chance.below(3) == 0).then_some(moments[3]),
        }
    }

    /// Nodes that are there at some time.
    pub(crate) const fn nodes(&self) -> usize {
        self.founders + self.joins.len()
    }
}
