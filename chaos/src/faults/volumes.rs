//! Volumes that are lost.

use super::{Active, FaultError};
use crate::cluster::Cluster;

impl Active {
    /// Kills a node, and removes its directory.
    pub(super) fn lose_volume(&mut self, cluster: &mut Cluster, node: usize) -> Result<(), FaultError> {
        self.note_lost(cluster, node)?;
        self.kill(cluster, node)?;
        self.remove_volume(cluster, node)
    }

    fn remove_volume(&mut self, cluster: &Cluster, node: usize) -> Result<(), FaultError> {
        let data = cluster.nodes[node].data();
        let disk = |source| FaultError::Disk { node, source };
        let had = std::fs::read_dir(&data).map_err(disk)?.count();
        std::fs::remove_dir_all(&data).map_err(disk)?;
        self.saw(had > 0 && !data.exists(), format!("{had} entries of node {node}'s directory removed"));
        Ok(())
    }
}
