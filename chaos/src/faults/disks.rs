//! Disks that fail under a process that goes on: one that is gone, and one that nothing can be written to any more.

use std::time::Duration;

use rustix::process::Signal;

use super::{Active, FaultError};
use crate::clock::now;
use crate::cluster::Cluster;
use crate::scenario::Fault;

/// How long a process may be there without its disk. It writes many times in a second.
const LINGERS: Duration = Duration::from_secs(20);

impl Active {
    /// Takes a node's disk from under its process, which must end, or at least lead nothing any more.
    pub(super) fn break_disk(&mut self, cluster: &mut Cluster, node: usize) -> Result<(), FaultError> {
        let led = cluster.view().leads[node];
        let begun = now();
        // No sync is under way at that moment: ext4 may say of one that it was done, and forget what it was of, because the
        // disk below is well. A disk that has failed does not answer so.
        self.stand_still(cluster, node)?;
        let broken = match self.step.fault {
            Fault::ProtectDisk => cluster.disks[node].protect(),
            _ => cluster.disks[node].shut_down(),
        };
        cluster.nodes[node].signal(Signal::CONT)?;
        broken?;
        let dead = cluster.disks[node].is_dead();
        self.saw(dead, format!("nothing can be written to the disk of node {node}: {dead}"));
        let ended = cluster.nodes[node].wait_for_end(LINGERS)?;
        let took = now().saturating_duration_since(begun).as_secs_f64();
        match ended {
            Some(status) if !status.success() => {
                let why = cluster.nodes[node].last_error();
                let what = format!(
                    "node {node}, leading {led} groups, ended by itself after {took:.1} s: {status}: {why}"
                );
                self.saw(true, what);
            }
            Some(status) => return Err(FaultError::Untroubled { node, status }),
            None => match cluster.view().leads[node] {
                0 => self.saw(true, format!("node {node} led {led} groups, and none after {took:.1} s")),
                leads => return Err(FaultError::Clings { node, leads }),
            },
        }
        Ok(())
    }

    /// Gives a node its disk back, and starts it.
    pub(super) fn mend_disk(&mut self, cluster: &mut Cluster, node: usize) -> Result<(), FaultError> {
        if cluster.nodes[node].is_up() {
            cluster.nodes[node].kill()?;
        }
        let dead = cluster.disks[node].is_dead();
        self.saw(dead, format!("nothing could be written to it until then: {dead}"));
        cluster.disks[node].restore()?;
        Ok(cluster.nodes[node].start()?)
    }
}
