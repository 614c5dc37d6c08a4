//! Faults: how each is brought about and ended, and the proof that it was there.
//!
//! Whether a fault took effect is never taken from the command that made it, but from what it did: the signal that a
//! process died of, the packets that were dropped, the room that was left. A run without that proof shows nothing.

use std::time::Duration;

use rustix::process::Signal;

use crate::clock::{now, wait_until};
use crate::cluster::{Cluster, ClusterError};
use crate::network::{Direction, NetworkError};
use crate::node::{Activity, NodeError};
use crate::scenario::{Fault, Target};

/// A fault could not be brought about or ended: the run shows nothing, or a node does not come back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FaultError {
    /// A process.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The nodes could not be asked, or one does not become ready again.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A disk or directory.
    #[error("the disk of node {node}")]
    Disk { node: usize, source: std::io::Error },
    /// A node that was told to end in order said that it failed.
    #[error("node {node} ended with {status} after SIGTERM")]
    Disorderly { node: usize, status: std::process::ExitStatus },
}

/// What a fault was seen to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effect {
    /// What was looked at, with what was seen.
    pub(crate) what: String,
    /// Whether that is what the fault should do.
    pub(crate) took: bool,
}

/// A fault that is there.
#[derive(Debug)]
pub(crate) struct Active {
    fault: Fault,
    nodes: Vec<usize>,
    effects: Vec<Effect>,
    /// What paused processes had done before.
    activity: Vec<Activity>,
    /// Which ways are cut.
    ways: Vec<Direction>,
}

/// The nodes that a fault happens to, one set after the other.
pub(crate) fn targets(cluster: &Cluster, target: Target) -> Result<Vec<Vec<usize>>, ClusterError> {
    let all = 0..cluster.nodes.len();
    if target == Target::All {
        return Ok(vec![all.collect()]);
    }
    if target == Target::Each {
        return Ok(all.map(|node| vec![node]).collect());
    }
    let leads = cluster.view().leads;
    if leads.iter().all(|count| *count == 0) {
        return Err(ClusterError::NoLeader);
    }
    let by_leads = |node: &usize| leads[*node];
    match target {
        Target::Majority => {
            let mut nodes: Vec<usize> = all.collect();
            nodes.sort_by_key(|node| std::cmp::Reverse(leads[*node]));
            nodes.truncate(leads.len() / 2 + 1);
            return Ok(vec![nodes]);
        }
        Target::Zone => {
            let zones = all.map(|node| cluster.zone_of(node));
            let most = zones.max_by_key(|zone| zone.iter().map(by_leads).sum::<usize>());
            return Ok(most.into_iter().collect());
        }
        _ => {}
    }
    let one = if target == Target::Leader { all.max_by_key(by_leads) } else { all.min_by_key(by_leads) };
    Ok(vec![one.into_iter().collect()])
}

/// The ways that a fault cuts.
fn ways(fault: Fault, node: usize, nodes: usize) -> Vec<Direction> {
    let others = (0..nodes).filter(|other| *other != node);
    match fault {
        Fault::Isolate => others.flat_map(|other| [(node, other), (other, node)]).collect(),
        Fault::Deafen => others.map(|other| (other, node)).collect(),
        Fault::Mute => others.map(|other| (node, other)).collect(),
        Fault::CutOff => {
            let other = (node + 1) % nodes;
            vec![(node, other), (other, node)]
        }
        Fault::Kill | Fault::Stop | Fault::Pause | Fault::FillDisk | Fault::LoseVolume => Vec::new(),
    }
}

impl Active {
    /// Brings a fault about.
    pub(crate) fn inject(cluster: &mut Cluster, fault: Fault, nodes: &[usize]) -> Result<Self, FaultError> {
        let mut this = Self {
            fault,
            nodes: nodes.to_owned(),
            effects: Vec::new(),
            activity: Vec::new(),
            ways: nodes.iter().flat_map(|node| ways(fault, *node, cluster.nodes.len())).collect(),
        };
        if !this.ways.is_empty() {
            cluster.network.cut(&this.ways)?;
        }
        for &node in nodes {
            match fault {
                Fault::Kill => this.kill(cluster, node)?,
                Fault::LoseVolume => {
                    this.kill(cluster, node)?;
                    let data = cluster.nodes[node].data();
                    let disk = |source| FaultError::Disk { node, source };
                    let had = std::fs::read_dir(&data).map_err(disk)?.count();
                    std::fs::remove_dir_all(&data).map_err(disk)?;
                    this.saw(had > 0 && !data.exists(), format!("{had} entries of its directory removed"));
                }
                Fault::Stop => {
                    let begun = now();
                    let status = cluster.nodes[node].stop()?;
                    if !status.success() {
                        return Err(FaultError::Disorderly { node, status });
                    }
                    let took = now().saturating_duration_since(begun);
                    this.saw(true, format!("node {node} ended in order in {:.2} s", took.as_secs_f64()));
                }
                Fault::Pause => {
                    cluster.nodes[node].signal(Signal::STOP)?;
                    // A signal is on its way for a moment.
                    let stopped = wait_until(Duration::from_secs(2), || {
                        let activity = cluster.nodes[node].activity().map_err(FaultError::from)?;
                        if activity.state == 'T' { Ok(activity) } else { Err(NodeError::Down(node).into()) }
                    });
                    this.activity.push(stopped.or_else(|_: FaultError| cluster.nodes[node].activity())?);
                }
                Fault::FillDisk => {
                    let disk = &cluster.disks[node];
                    let taken = disk.fill().map_err(|source| FaultError::Disk { node, source })?;
                    this.saw(taken > 0, format!("{taken} bytes of node {node}'s disk taken"));
                }
                Fault::Isolate | Fault::Deafen | Fault::Mute | Fault::CutOff => {}
            }
        }
        Ok(this)
    }

    fn kill(&mut self, cluster: &mut Cluster, node: usize) -> Result<(), FaultError> {
        let ended = cluster.nodes[node].ended();
        let killed = cluster.nodes[node].kill()?;
        self.saw(killed && ended.is_none(), format!("node {node} died of SIGKILL: {killed}"));
        Ok(())
    }

    fn saw(&mut self, took: bool, what: String) {
        self.effects.push(Effect { what, took });
    }

    /// Looks at what it does, ends it, and waits until the nodes are ready again; a node that is not within `limit`
    /// does not come back.
    pub(crate) fn lift(mut self, cluster: &mut Cluster, limit: Duration) -> Result<Vec<Effect>, FaultError> {
        if !self.ways.is_empty() {
            let dropped = cluster.network.dropped()?;
            for (from, to) in self.ways.clone() {
                let packets = dropped.get(&(from, to)).copied().unwrap_or(0);
                self.saw(packets > 0, format!("{packets} packets dropped from node {from} to node {to}"));
            }
            cluster.network.cut(&[])?;
        }
        for (at, node) in self.nodes.clone().into_iter().enumerate() {
            match self.fault {
                Fault::Pause => {
                    let (before, after) = (self.activity[at], cluster.nodes[node].activity()?);
                    let slept = before.state == 'T' && before == after;
                    self.saw(slept, format!("node {node} stood still: {before:?}, {after:?}"));
                    cluster.nodes[node].signal(Signal::CONT)?;
                }
                Fault::FillDisk => self.free(cluster, node)?,
                Fault::Kill | Fault::Stop | Fault::LoseVolume => cluster.nodes[node].start()?,
                Fault::Isolate | Fault::Deafen | Fault::Mute | Fault::CutOff => {}
            }
        }
        let begun = now();
        for &node in &self.nodes {
            cluster.wait_ready(node, limit)?;
        }
        let took = now().saturating_duration_since(begun);
        self.saw(true, format!("ready {:.2} s after its end", took.as_secs_f64()));
        Ok(self.effects)
    }

    fn free(&mut self, cluster: &Cluster, node: usize) -> Result<(), FaultError> {
        let disk = |source| FaultError::Disk { node, source };
        let room = cluster.disks[node].room().map_err(disk)?;
        self.saw(room == 0, format!("{room} bytes of room on node {node}"));
        let complaint = cluster.complaint(node);
        self.saw(complaint.is_some(), format!("node {node} says of its health: {complaint:?}"));
        cluster.disks[node].free().map_err(disk)
    }
}
