//! Memory that becomes too little.

use std::time::Duration;

use super::{Active, FaultError};
use crate::clock::{now, pause};
use crate::cluster::Cluster;
use crate::memory::MemoryGroup;
use crate::node::NodeError;

/// How long a node may live in ever less memory.
const LIVES: Duration = Duration::from_secs(90);
/// How much less it is made at a time, as far as there is something to give up.
const STEPS: [u64; 4] = [8 << 20, 1 << 20, 256 << 10, 64 << 10];

impl Active {
    /// Lowers the bound of a node's memory until the kernel kills it.
    pub(super) fn squeeze(&mut self, cluster: &mut Cluster, node: usize) -> Result<(), FaultError> {
        let memory = |source| FaultError::Memory { node, source };
        let one = &mut cluster.nodes[node];
        let kills = bound(one.memory.as_ref(), node)?.kills().map_err(memory)?;
        let (begun, mut usage) = (now(), 0);
        while one.ended().is_none() && now().saturating_duration_since(begun) < LIVES {
            let group = bound(one.memory.as_ref(), node)?;
            usage = group.usage().map_err(memory)?;
            for less in STEPS {
                if group.limit(usage.saturating_sub(less)).map_err(memory)? {
                    break;
                }
            }
            pause(Duration::from_millis(20));
        }
        let killed = bound(one.memory.as_ref(), node)?.kills().map_err(memory)? > kills;
        let ended = one.ended();
        // Whoever did it, it is down from here.
        one.kill()?;
        let took = now().saturating_duration_since(begun).as_secs_f64();
        self.saw(
            killed && ended.is_some(),
            format!("node {node}, left with {} KiB, was killed by the kernel: {killed}, {ended:?}, after {took:.1} s", usage >> 10),
        );
        Ok(())
    }

    pub(super) fn unsqueeze(cluster: &mut Cluster, node: usize) -> Result<(), FaultError> {
        let one = &mut cluster.nodes[node];
        bound(one.memory.as_ref(), node)?.free().map_err(|source| FaultError::Memory { node, source })?;
        Ok(one.start()?)
    }
}

fn bound(group: Option<&MemoryGroup>, node: usize) -> Result<&MemoryGroup, FaultError> {
    Ok(group.ok_or(NodeError::Down(node))?)
}
