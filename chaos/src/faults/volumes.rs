//! Volumes that are lost, and volumes that are put back from an older copy.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use super::{Active, FaultError};
use crate::clock::now;
use crate::cluster::Cluster;
use crate::shell;

/// How long a node may take to find out that its volume is an older copy.
const FINDS_OUT: Duration = Duration::from_secs(60);
/// What it says of it.
const OLDER: &str = "older copy";

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

    /// Copies a node's directory as it is at one moment: its process stands still meanwhile.
    pub(super) fn copy_volume(&mut self, cluster: &mut Cluster, node: usize) -> Result<(), FaultError> {
        let (data, copy) = (cluster.nodes[node].data(), copy(cluster, node));
        let begun = now();
        self.stand_still(cluster, node)?;
        let copied = shell::run(&format!("cp -a --sparse=always {} {}", data.display(), copy.display()));
        cluster.nodes[node].signal(Signal::CONT)?;
        copied.map_err(FaultError::Command)?;
        let took = now().saturating_duration_since(begun).as_secs_f64();
        self.saw(
            copy.exists(),
            format!("node {node}'s directory copied while it stood still for {took:.2} s"),
        );
        Ok(())
    }

    /// Kills a node and starts it with its older copy, on which it must end. Then it starts with nothing.
    pub(super) fn put_back(&mut self, cluster: &mut Cluster, node: usize) -> Result<(), FaultError> {
        self.note_lost(cluster, node)?;
        self.kill(cluster, node)?;
        self.remove_volume(cluster, node)?;
        let disk = |source| FaultError::Disk { node, source };
        rustix::fs::rename(copy(cluster, node), cluster.nodes[node].data())
            .map_err(|errno| disk(errno.into()))?;
        let said_before = cluster.nodes[node].said().len();
        let begun = now();
        cluster.nodes[node].start()?;
        let ended = cluster.nodes[node].wait_for_end(FINDS_OUT)?;
        let took = now().saturating_duration_since(begun).as_secs_f64();
        let said = cluster.nodes[node].said().split_off(said_before);
        let last = said.lines().rfind(|line| line.contains(OLDER));
        match (ended, last) {
            (Some(status), Some(last)) if !status.success() => {
                self.saw(true, format!("node {node} ended by itself after {took:.1} s: {status}: {last}"));
            }
            _ => {
                let last = cluster.nodes[node].last_error();
                let others = cluster.nodes.iter_mut().filter(|other| other.place != node);
                let fallen = others.filter_map(|other| Some((other.place, other.ended()?))).collect();
                return Err(FaultError::GoesBack { node, limit: FINDS_OUT, ended, last, fallen });
            }
        }
        self.remove_volume(cluster, node)?;
        Ok(cluster.nodes[node].start()?)
    }
}

/// Where the copy of a node's directory is.
fn copy(cluster: &Cluster, node: usize) -> PathBuf {
    cluster.nodes[node].data().with_extension("older")
}
