//! Scenarios: a file says which nodes there are, what happens to them, and what is promised nevertheless.

use std::time::Duration;

use serde::Deserialize;

use crate::discovery::Discovery;
use crate::name_server::Answer;
use crate::scenario_file::{ScenarioFile, Set};
use crate::switch::Shape;

/// One scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Scenario {
    /// Its name: that of its file.
    #[serde(skip)]
    pub(crate) name: String,
    /// What it shows, in a sentence.
    pub(crate) about: String,
    /// Rows of the matrix of faults that it is about.
    #[serde(default)]
    pub(crate) rows: Vec<u8>,
    /// The smallest set that it belongs to.
    #[serde(default)]
    pub(crate) set: Set,
    /// Whether it destroys what nobody could keep, to show that this program notices: it passes when points are lost.
    #[serde(default)]
    pub(crate) loses_points: bool,
    /// How many nodes found the cluster: 3 or 5.
    #[serde(default = "three")]
    pub(crate) nodes: usize,
    /// How many more may join.
    #[serde(default)]
    pub(crate) spares: usize,
    /// The zone of each node; each its own where there are none.
    #[serde(default)]
    pub(crate) zones: Vec<String>,
    /// How nodes find one another.
    #[serde(default)]
    pub(crate) discovery: Discovery,
    /// More arguments of every node.
    #[serde(default)]
    pub(crate) arguments: Vec<String>,
    /// How often all faults are injected, one after the other.
    #[serde(default = "once")]
    pub(crate) repeat: usize,
    /// What happens, one after the other.
    pub(crate) faults: Vec<Step>,
    /// What is promised.
    pub(crate) promises: Promises,
}

/// A disk of a node's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskKind {
    /// In memory, and soon full.
    Small,
    /// An image of a disk, whose power can be cut.
    Powered,
}

/// One fault, and how long it lasts.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Step {
    /// What happens.
    pub(crate) fault: Fault,
    /// To whom.
    pub(crate) target: Target,
    /// What becomes of packets, with [`Fault::Degrade`].
    pub(crate) link: Option<Shape>,
    /// By how much, with [`Fault::JumpClock`] and [`Fault::SlowSync`].
    pub(crate) by_ms: Option<i64>,
    /// How much of one processor is left, with [`Fault::Throttle`].
    pub(crate) percent: Option<u8>,
    /// How often it gets that, with [`Fault::Throttle`]; once it is used up, the node stands still until then.
    pub(crate) period_ms: Option<u64>,
    /// What is answered to who asks for names, with [`Fault::BreakNames`].
    pub(crate) answer: Option<Answer>,
    /// How often all connections are reset, with [`Fault::Reset`]; once if it does not say.
    pub(crate) every_ms: Option<u32>,
    /// How long it lasts.
    #[serde(default)]
    for_ms: u64,
    /// How long nothing happens once it is over.
    then_ms: u64,
}

/// What can happen to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// SIGKILL; the process is started again when the fault is over.
    Kill,
    /// SIGTERM; the process is started again once it has ended and the fault is over.
    Stop,
    /// SIGSTOP, then SIGCONT.
    Pause,
    /// No packet between it and other nodes, in both directions. Clients still reach it.
    Isolate,
    /// It hears no other node.
    Deafen,
    /// No other node hears it.
    Mute,
    /// It and one other node do not reach each other; all others reach both.
    CutOff,
    /// Packets between it and other nodes, in both directions, are late, lost, sent twice or overtaken, or few fit. Clients
    /// reach it as before.
    Degrade,
    /// Its disk has no room left.
    FillDisk,
    /// A sync of its log fails, and every one after that; the process is started again without that.
    FailSync,
    /// Every sync of its log takes so long.
    SlowSync,
    /// SIGKILL, and its disk loses what was not synced.
    CutPower,
    /// Its disk is gone; the process must end by itself. Mounted and started again when the fault is over.
    LoseDisk,
    /// As above, but that its disk can still be read.
    ProtectDisk,
    /// The bound of its memory is lowered until the kernel kills it.
    OutOfMemory,
    /// Connections between it and other nodes are reset: those that are there, or all again and again.
    Reset,
    /// SIGKILL while no packet passes, so that no other node hears of the end of connections; the process is started again,
    /// at the same address.
    HalfOpen,
    /// SIGKILL, and the process is started again at once, where names stand for nothing or for what they should not.
    BreakNames,
    /// SIGKILL, and its address is gone; the process is started again at another.
    Move,
    /// It has little of a processor.
    Throttle,
    /// Its clock (of the calendar, not the one that timers use) jumps, and jumps back when the fault is over.
    JumpClock,
    /// It joins the cluster. Over when everything has its new place.
    Join,
    /// It is drained and decommissioned. Over when its process has ended.
    Leave,
    /// SIGKILL, and its data is gone; it is started with an empty directory. Over when the node that it is then has its share.
    LoseVolume,
    /// A copy of its directory is made at the beginning, and put in place of it at the end; with that the process must end by
    /// itself. Then as above.
    RestoreOlder,
    /// SIGKILL, and its data is gone; it is never started again, and another takes its place. Over when that has its share.
    Replace,
}

/// To whom it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Target {
    /// The node that leads most groups.
    Leader,
    /// The node that leads fewest groups.
    Follower,
    /// All at once.
    All,
    /// Each in turn, the next when the one before is well again.
    Each,
    /// As many of those that lead most as there must be for a majority, at once: nothing can be acknowledged meanwhile.
    Majority,
    /// All nodes of the zone that leads most, at once.
    Zone,
    /// All that are not there yet.
    Spares,
}

/// What must hold although it happens.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Promises {
    /// Longest time without an acknowledged write from a fault to the next; none when writes may stop altogether.
    write_gap_ms: Option<u64>,
    /// Longest time that any node takes for an answer, whatever it is.
    answer_ms: Option<u64>,
    /// Longest time without a success through each node, from a fault to the next.
    each_node_gap_ms: Option<u64>,
    /// The same through each node to which the fault does not happen.
    others_gap_ms: Option<u64>,
    /// Fewest acknowledged requests while a fault lasts, in percent of what there were before the first.
    write_rate_percent: Option<u64>,
    /// Most terms that begin while a fault lasts, over all groups: nobody stands for election without need.
    terms: Option<u64>,
    /// How long after the end of the last fault every node answers writes and reads.
    heal_ms: u64,
}

fn three() -> usize {
    3
}

fn once() -> usize {
    1
}

impl Step {
    /// How long the fault lasts.
    pub(crate) fn lasts(&self) -> Duration {
        Duration::from_millis(self.for_ms)
    }

    /// How long nothing happens after it.
    pub(crate) fn rest(&self) -> Duration {
        Duration::from_millis(self.then_ms)
    }
}

impl Promises {
    /// Promises nothing of pauses; that everything heals is still promised.
    pub(crate) fn forget_times(&mut self) {
        let heal_ms = self.heal_ms;
        *self = Self {
            write_gap_ms: None,
            answer_ms: None,
            each_node_gap_ms: None,
            others_gap_ms: None,
            write_rate_percent: None,
            terms: None,
            heal_ms,
        };
    }

    /// Longest time without an acknowledged write.
    pub(crate) fn write_gap(&self) -> Option<Duration> {
        self.write_gap_ms.map(Duration::from_millis)
    }

    /// Longest time for an answer.
    pub(crate) fn answer(&self) -> Option<Duration> {
        self.answer_ms.map(Duration::from_millis)
    }

    /// Longest time without a success through each node.
    pub(crate) fn each_node_gap(&self) -> Option<Duration> {
        self.each_node_gap_ms.map(Duration::from_millis)
    }

    /// Longest time without a success through each node to which the fault does not happen.
    pub(crate) fn others_gap(&self) -> Option<Duration> {
        self.others_gap_ms.map(Duration::from_millis)
    }

    /// Fewest acknowledged requests, in percent of what there were before.
    pub(crate) fn write_rate(&self) -> Option<u64> {
        self.write_rate_percent
    }

    /// Most terms that begin.
    pub(crate) fn terms(&self) -> Option<u64> {
        self.terms
    }

    /// Longest time to heal.
    pub(crate) fn heal(&self) -> Duration {
        Duration::from_millis(self.heal_ms)
    }
}

impl Scenario {
    /// The zone of a node.
    pub(crate) fn zone(&self, node: usize) -> String {
        self.zones.get(node).cloned().unwrap_or_else(|| format!("zone-{node}"))
    }

    /// Whether it has failed, when points were lost or anything was `violated`.
    pub(crate) fn is_broken(&self, lost: bool, violated: bool) -> bool {
        if self.loses_points { !lost } else { violated }
    }

    fn has(&self, fault: Fault) -> bool {
        self.faults.iter().any(|step| step.fault == fault)
    }

    /// The disk that each node needs.
    pub(crate) fn disk(&self) -> Option<DiskKind> {
        match (self.has(Fault::FillDisk), self.breaks_disks()) {
            (true, _) => Some(DiskKind::Small),
            (false, true) => Some(DiskKind::Powered),
            (false, false) => None,
        }
    }

    fn breaks_disks(&self) -> bool {
        [Fault::CutPower, Fault::LoseDisk, Fault::ProtectDisk].into_iter().any(|fault| self.has(fault))
    }

    /// Whether memory of nodes must be bounded.
    pub(crate) fn bounds_memory(&self) -> bool {
        self.has(Fault::OutOfMemory)
    }

    /// Whether time of nodes on processors must be bounded.
    pub(crate) fn bounds_processors(&self) -> bool {
        self.has(Fault::Throttle)
    }

    /// Whether nodes need clocks of their own.
    pub(crate) fn moves_clocks(&self) -> bool {
        self.has(Fault::JumpClock)
    }

    /// All nodes that there will be.
    pub(crate) fn places(&self) -> usize {
        self.nodes + self.spares
    }
}

impl ScenarioFile for Scenario {
    fn named(self, name: String) -> Self {
        Self { name, ..self }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn set(&self) -> Set {
        self.set
    }

    fn forget_times(&mut self) {
        self.promises.forget_times();
    }

    fn check(&self) -> Result<(), &'static str> {
        if ![3, 5].contains(&self.nodes) {
            return Err("a cluster has 3 or 5 nodes");
        }
        if !self.zones.is_empty() && self.zones.len() != self.places() {
            return Err("a zone for each node, or none");
        }
        if self.faults.is_empty() {
            return Err("a scenario has a fault");
        }
        let is_one = |target| matches!(target, Target::Leader | Target::Follower | Target::Each);
        let splits = |fault| {
            matches!(fault, Fault::Isolate | Fault::Deafen | Fault::Mute | Fault::CutOff | Fault::HalfOpen)
        };
        if self.faults.iter().any(|step| splits(step.fault) && !is_one(step.target)) {
            return Err("a partition is between a node and the others");
        }
        if self.faults.iter().any(|step| (step.fault == Fault::Degrade) != step.link.is_some()) {
            return Err("`link` says what `degrade` does, and nothing else has it");
        }
        let has_measure = |fault| matches!(fault, Fault::JumpClock | Fault::SlowSync);
        if self.faults.iter().any(|step| has_measure(step.fault) != step.by_ms.is_some()) {
            return Err("`by-ms` says what `jump-clock` and `slow-sync` do, and nothing else has it");
        }
        if self.faults.iter().any(|step| step.fault != Fault::Reset && step.every_ms.is_some()) {
            return Err("`every-ms` belongs to `reset`");
        }
        if self.faults.iter().any(|step| (step.fault == Fault::BreakNames) != step.answer.is_some()) {
            return Err("`answer` says how `break-names` does it, and nothing else has it");
        }
        if self.discovery == Discovery::List && (self.has(Fault::BreakNames) || self.has(Fault::Move)) {
            return Err("who finds others by a list needs no names, and stays where it is");
        }
        let is_share = |percent| (1..=100).contains(&percent);
        if self
            .faults
            .iter()
            .any(|step| (step.fault == Fault::Throttle) != step.percent.is_some_and(is_share))
        {
            return Err("`percent` (1 to 100) says what `throttle` leaves, and nothing else has it");
        }
        if self.faults.iter().any(|step| step.fault != Fault::Throttle && step.period_ms.is_some()) {
            return Err("`period-ms` belongs to `throttle`");
        }
        if self.bounds_memory() && self.bounds_processors() {
            return Err("a node is in one control group");
        }
        if self.faults.iter().any(|step| (step.fault == Fault::Join) != (step.target == Target::Spares)) {
            return Err("spares join, and nothing else can happen to them");
        }
        if self.faults.iter().filter(|step| step.fault == Fault::Replace).count() * self.repeat > self.spares
        {
            return Err("for each node that is replaced there is a spare one");
        }
        if self.has(Fault::FillDisk) && self.breaks_disks() {
            return Err("a disk is small, or its power can be cut");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
