//! Faults: how each is brought about and ended, and the proof that it was there.
//!
//! Whether a fault took effect is never taken from the command that made it, but from what it did: the signal that a
//! process died of, the packets that were dropped, the room that was left. A run without that proof shows nothing.

mod clocks;
mod disks;
mod half_open;
mod members;
mod memory;
mod names;
mod packets;
mod processor;
mod syncs;
mod volumes;

use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;

use crate::clock::{now, wait_until};
use crate::cluster::{Cluster, ClusterError};
use crate::network::{Direction, NetworkError};
use crate::node::{Activity, NodeError};
use crate::processor::Throttled;
use crate::scenario::{Fault, Step, Target};
use crate::shell::ShellError;

/// A fault could not be brought about or ended: the run shows nothing, or a node does not come back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FaultError {
    /// A process.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The nodes could not be asked, or one does not become ready again.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A disk or directory.
    #[error("the disk of node {node}")]
    Disk { node: usize, source: std::io::Error },
    /// Power could not be cut or given.
    #[error("the power of a node's disk")]
    Power(#[from] ShellError),
    /// The bound of its memory.
    #[error("the memory of node {node}")]
    Memory { node: usize, source: std::io::Error },
    /// The bound of its time on processors.
    #[error("the processors of node {node}")]
    Processor { node: usize, source: std::io::Error },
    /// Others do not reach it where it is now.
    #[error("node {node} is ready, and {limit:?} later not all others reach it: {last}")]
    Unreached { node: usize, limit: Duration, last: String },
    /// Its connections could not be looked at.
    #[error("the connections of node {node}")]
    Connections { node: usize, source: NetworkError },
    /// A command failed.
    #[error("an order to a node")]
    Command(#[source] ShellError),
    /// A process without its disk ended as if that were all right.
    #[error("node {node}, whose disk is gone, ended with {status}")]
    Untroubled { node: usize, status: ExitStatus },
    /// A process without its disk goes on, and leads.
    #[error("node {node}, whose disk is gone, goes on, and leads {leads} groups")]
    Clings { node: usize, leads: usize },
    /// A node takes part with what it had at an earlier time.
    #[error(
        "node {node} has an older copy of its volume, and within {limit:?} it did not end saying so: {ended:?}; {last}; others that ended: {fallen:?}"
    )]
    GoesBack {
        node: usize,
        limit: Duration,
        ended: Option<ExitStatus>,
        last: String,
        fallen: Vec<(usize, ExitStatus)>,
    },
    /// A node that was told to end in order said that it failed.
    #[error("node {node} ended with {status} after SIGTERM")]
    Disorderly { node: usize, status: ExitStatus },
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
    step: Step,
    nodes: Vec<usize>,
    effects: Vec<Effect>,
    /// What paused processes had done before.
    activity: Vec<Activity>,
    /// The ids of nodes that are lost.
    lost: Vec<String>,
    /// What quotas of processors had done before.
    throttled: Vec<Throttled>,
    /// Which ways do not pass everything at once.
    ways: Vec<Direction>,
}

/// The nodes that a fault happens to, one set after the other.
pub(crate) fn targets(cluster: &Cluster, target: Target) -> Result<Vec<Vec<usize>>, ClusterError> {
    let up = cluster.up();
    let all = up.iter().copied();
    match target {
        Target::All => return Ok(vec![up]),
        Target::Each => return Ok(all.map(|node| vec![node]).collect()),
        Target::Spares => {
            let spares = (0..cluster.nodes.len()).filter(|node| !up.contains(node));
            return Ok(vec![spares.collect()]);
        }
        Target::Leader | Target::Follower | Target::Majority | Target::Zone => {}
    }
    let leads = cluster.view().leads;
    if leads.iter().all(|count| *count == 0) {
        return Err(ClusterError::NoLeader);
    }
    let by_leads = |node: &usize| leads[*node];
    let one = match target {
        Target::Majority => {
            let mut nodes = up.clone();
            nodes.sort_by_key(|node| std::cmp::Reverse(leads[*node]));
            nodes.truncate(up.len() / 2 + 1);
            return Ok(vec![nodes]);
        }
        Target::Zone => {
            let zones = all.map(|node| cluster.zone_of(node));
            let most = zones.max_by_key(|zone| zone.iter().map(by_leads).sum::<usize>());
            return Ok(most.into_iter().collect());
        }
        Target::Follower => all.min_by_key(by_leads),
        _ => all.max_by_key(by_leads),
    };
    Ok(vec![one.into_iter().collect()])
}

impl Active {
    /// Brings a fault about; where that takes the nodes' part in it, within `limit`.
    pub(crate) fn inject(
        cluster: &mut Cluster,
        step: &Step,
        nodes: &[usize],
        limit: Duration,
    ) -> Result<Self, FaultError> {
        let mut this = Self {
            step: *step,
            nodes: nodes.to_owned(),
            effects: Vec::new(),
            activity: Vec::new(),
            lost: Vec::new(),
            throttled: Vec::new(),
            ways: Vec::new(),
        };
        this.shape_ways(cluster);
        if step.fault == Fault::CutPower {
            // Processes stand still at the same moment as their disks, and do not see them fail.
            for &node in nodes {
                cluster.nodes[node].signal(Signal::STOP)?;
            }
            for &node in nodes {
                cluster.disks[node].cut_power()?;
                let dead = cluster.disks[node].is_dead();
                this.saw(dead, format!("nothing can be written to the disk of node {node}: {dead}"));
            }
        }
        for &node in nodes {
            match step.fault {
                Fault::Kill => this.kill(cluster, node)?,
                Fault::Move => this.go_away(cluster, node)?,
                Fault::BreakNames => this.break_names(cluster, node)?,
                Fault::HalfOpen => this.vanish(cluster, node)?,
                Fault::CutPower => this.kill(cluster, node)?,
                Fault::LoseDisk | Fault::ProtectDisk => this.break_disk(cluster, node)?,
                Fault::LoseVolume | Fault::Replace => this.lose_volume(cluster, node)?,
                Fault::RestoreOlder => this.copy_volume(cluster, node)?,
                Fault::Stop => {
                    let begun = now();
                    stop(cluster, node)?;
                    let took = now().saturating_duration_since(begun);
                    this.saw(true, format!("node {node} ended in order in {:.2} s", took.as_secs_f64()));
                }
                Fault::Pause => {
                    let activity = this.stand_still(cluster, node)?;
                    this.activity.push(activity);
                }
                Fault::FillDisk => {
                    let disk = &cluster.disks[node];
                    let taken = disk.fill().map_err(|source| FaultError::Disk { node, source })?;
                    this.saw(taken > 0, format!("{taken} bytes of node {node}'s disk taken"));
                }
                Fault::FailSync => this.fail_sync(cluster, node, limit)?,
                Fault::SlowSync => this.slow_sync(cluster, node, limit)?,
                Fault::OutOfMemory => this.squeeze(cluster, node)?,
                Fault::Throttle => this.throttle(cluster, node)?,
                Fault::JumpClock => this.jump(cluster, node)?,
                Fault::Join => cluster.nodes[node].start()?,
                Fault::Leave => this.leave(cluster, node)?,
                Fault::Isolate | Fault::Deafen | Fault::Mute | Fault::CutOff => {}
                Fault::Degrade | Fault::Reset => {}
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

    /// Stops a process, all of it. Answers what it does then.
    fn stand_still(&self, cluster: &mut Cluster, node: usize) -> Result<Activity, FaultError> {
        cluster.nodes[node].signal(Signal::STOP)?;
        // A signal is on its way for a moment, and a thread that waits for a disk stops after that.
        let stopped = wait_until(Duration::from_secs(2), || {
            let activity = cluster.nodes[node].activity().map_err(FaultError::from)?;
            let still =
                activity.state == 'T' && cluster.nodes[node].threads()?.iter().all(|state| *state == 'T');
            if still { Ok(activity) } else { Err(NodeError::Down(node).into()) }
        });
        Ok(stopped.or_else(|_: FaultError| cluster.nodes[node].activity())?)
    }

    fn saw(&mut self, took: bool, what: String) {
        self.effects.push(Effect { what, took });
    }

    /// Looks at what it does, ends it, and waits until the nodes are ready again; a node that is not within `limit`
    /// does not come back.
    pub(crate) fn lift(mut self, cluster: &mut Cluster, limit: Duration) -> Result<Vec<Effect>, FaultError> {
        self.free_ways(cluster);
        let mut awaited = if self.step.fault == Fault::Leave { Vec::new() } else { self.nodes.clone() };
        for (at, node) in self.nodes.clone().into_iter().enumerate() {
            match self.step.fault {
                Fault::Pause => {
                    let (before, after) = (self.activity[at], cluster.nodes[node].activity()?);
                    let slept = before.state == 'T' && before == after;
                    self.saw(slept, format!("node {node} stood still: {before:?}, {after:?}"));
                    cluster.nodes[node].signal(Signal::CONT)?;
                }
                Fault::FillDisk => self.free(cluster, node)?,
                Fault::Kill | Fault::HalfOpen | Fault::Stop | Fault::LoseVolume | Fault::FailSync => {
                    cluster.nodes[node].start()?;
                }
                Fault::CutPower => {
                    let lost = cluster.disks[node].restore()?;
                    self.saw(lost, format!("node {node}'s disk has lost what was not synced: {lost}"));
                    cluster.nodes[node].start()?;
                }
                Fault::LoseDisk | Fault::ProtectDisk => self.mend_disk(cluster, node)?,
                Fault::Replace => awaited = vec![self.take_place(cluster, node)?],
                Fault::RestoreOlder => self.put_back(cluster, node)?,
                Fault::BreakNames => self.mend_names(cluster, node)?,
                Fault::Move => self.come_back_elsewhere(cluster, node)?,
                Fault::SlowSync => self.hasten_sync(cluster, node)?,
                Fault::OutOfMemory => Self::unsqueeze(cluster, node)?,
                Fault::Throttle => self.unthrottle(cluster, node, self.throttled[at])?,
                Fault::JumpClock => self.jump_back(cluster, node)?,
                Fault::Isolate | Fault::Deafen | Fault::Mute | Fault::CutOff => {}
                Fault::Degrade | Fault::Reset => {}
                Fault::Join | Fault::Leave => {}
            }
        }
        let begun = now();
        for node in awaited {
            cluster.wait_ready(node, limit)?;
        }
        let took = now().saturating_duration_since(begun);
        self.saw(true, format!("ready {:.2} s after its end", took.as_secs_f64()));
        match self.step.fault {
            Fault::Join => self.settle(cluster)?,
            Fault::BreakNames | Fault::Move => {
                for node in self.nodes.clone() {
                    self.await_reached(cluster, node)?;
                }
            }
            // Where all have lost theirs, there is nothing to have a share of.
            Fault::LoseVolume | Fault::Replace | Fault::RestoreOlder
                if self.nodes.len() < cluster.up().len() =>
            {
                self.settle(cluster)?;
                self.look_at_lost(cluster)?;
            }
            _ => {}
        }
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

/// Tells a node to end, which it must do in order.
fn stop(cluster: &mut Cluster, node: usize) -> Result<(), FaultError> {
    let status = cluster.nodes[node].stop()?;
    if status.success() { Ok(()) } else { Err(FaultError::Disorderly { node, status }) }
}
