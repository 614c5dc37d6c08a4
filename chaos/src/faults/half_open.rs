//! Connections of which one end is gone and the other has not heard of it.

use std::time::Duration;

use super::{Active, FaultError};
use crate::clock::wait_until;
use crate::cluster::Cluster;

/// How long the kernel may try to end the connections of a process that is no more. Nodes have one try
/// (`tcp_orphan_retries`).
const GIVES_UP: Duration = Duration::from_secs(20);

impl Active {
    /// Kills a node that nobody hears, and waits until its kernel has given up telling anybody.
    pub(super) fn vanish(&mut self, cluster: &mut Cluster, node: usize) -> Result<(), FaultError> {
        let network = |source| FaultError::Connections { node, source };
        let had = cluster.network.connections(node).map_err(network)?;
        self.kill(cluster, node)?;
        let left = wait_until(GIVES_UP, || match cluster.network.connections(node) {
            Ok(0) => Ok(Ok(0)),
            Ok(left) => Err(Ok(left)),
            Err(error) => Ok(Err(error)),
        });
        let left = left.unwrap_or_else(|last| last).map_err(network)?;
        let tallies = cluster.network.tallies();
        let unheard: u64 =
            tallies.iter().filter(|((from, _), _)| *from == node).map(|(_, tally)| tally.ends_cut).sum();
        self.saw(
            had > 0 && left == 0 && unheard > 0,
            format!("node {node} had {had} connections, and has {left}; {unheard} packets that said so were dropped"),
        );
        Ok(())
    }
}
