//! One simulation: a cluster, clients, and what happens to them; then a time without faults in which all must be well
//! again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use disk::vfs::sim::{Failure, OpKind, PowerCut, Random};
use parking_lot::Mutex;
use turmoil::Sim;

use crate::chance::chance;
use crate::faults::Fault;
use crate::invariants::Invariants;
use crate::node::{Ended, Part, Place};
use crate::oracle::Series;
use crate::parts::set_now;
use crate::shape::Shape;
use crate::workload::{Desk, Journal, rest};

/// Clients of a simulation.
pub(crate) const CLIENTS: u64 = 3;
/// One step of time.
const TICK: Duration = Duration::from_millis(1);
/// Steps from one look at all nodes to the next.
const LOOK_EVERY: u64 = 5;
/// How long after its end a node is started again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How long a cluster without faults may take until all is well.
const WELL_WITHIN: Duration = Duration::from_secs(60);
/// How long the set-up may take, before any fault.
const SET_UP_WITHIN: Duration = Duration::from_secs(60);

/// What to simulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// Nodes of the cluster.
    pub nodes: usize,
    /// How long faults happen.
    pub faults: Duration,
    /// Whether to keep what happened.
    pub keeps_lines: bool,
    /// What is broken from the beginning, so that something must be found to be wrong.
    pub broken: Option<Break>,
}

/// What a simulation can break to show that it would be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Votes and entries are acknowledged before they are on the disk.
    Log,
    /// The position up to which a partition needs no log is on the disk before its data are.
    Data,
    /// A leader believes that followers have entries as soon as it has sent them.
    Quorum,
    /// Votes are acknowledged before they are on the disk, entries are not.
    Votes,
}

impl Break {
    pub(crate) fn faults(self) -> Vec<disk::vfs::sim::Fault> {
        let lost = |path| disk::vfs::sim::Fault::nth(OpKind::SyncData, 1, Failure::Lost).on(path).forever();
        match self {
            Self::Log => vec![lost("/raft/")],
            Self::Data => vec![lost(".tsm")],
            Self::Quorum | Self::Votes => Vec::new(),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What was wrong; nothing, when all is well.
    pub violations: Vec<String>,
    /// Points that were acknowledged.
    pub written: u64,
    /// Reads that were answered and checked.
    pub reads: u64,
    /// Deletes that were acknowledged.
    pub deletes: u64,
    /// Faults that were put in.
    pub faults: u64,
    /// Equal for equal runs.
    pub hash: u64,
    /// What happened, when it was to be kept.
    pub lines: Vec<String>,
}

/// Runs a simulation to its end. One for each process.
#[must_use]
pub fn run(plan: &Plan) -> Outcome {
    let shape = Shape::new(plan.seed, plan.nodes, plan.faults);
    let nodes = (0..shape.nodes()).map(|at| format!("node-{at}"));
    let names: Vec<String> = nodes.chain((0..shape.gateways).map(|at| format!("gateway-{at}"))).collect();
    let founders = &names[..shape.founders];
    let place =
        |(at, name): (usize, &String)| Place::new(name, &format!("zone-{}", at % 3), founders, plan.broken);
    let lines = plan.keeps_lines.then(Vec::new);
    let desk = Arc::new(Desk {
        places: names.iter().enumerate().map(place).collect(),
        series: (0..CLIENTS).map(|_| Mutex::new(Series::default())).collect(),
        journal: Mutex::new(Journal { lines, ..Journal::default() }),
    });
    let mut world = World::new(plan, &shape, Arc::clone(&desk));
    world.run(plan, &shape);
    let faults = world.faults;
    drop(world);
    let journal = std::mem::take(&mut *desk.journal.lock());
    Outcome {
        hash: journal.hash,
        violations: journal.violations,
        written: journal.written,
        reads: journal.reads,
        deletes: journal.deletes,
        faults,
        lines: journal.lines.unwrap_or_default(),
    }
}

/// The simulated world.
pub(crate) struct World<'a> {
    pub(crate) sim: Sim<'a>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) chance: Random,
    /// Places of nodes; those behind are of gateways.
    pub(crate) nodes: usize,
    /// What is the matter now, and until when.
    pub(crate) now: Vec<(Duration, Fault)>,
    pub(crate) faults: u64,
    done: Arc<Mutex<bool>>,
    pub(crate) invariants: Invariants,
    /// Nodes whose disk has failed, or will.
    pub(crate) disk_failed: BTreeSet<usize>,
    steps: u64,
    broken: Option<Break>,
    /// The node that is to go down at its next term, that term, and until when.
    pub(crate) ambush: Option<(usize, u64, Duration)>,
    /// Who joins when, soonest last.
    joins: Vec<(Duration, usize)>,
    /// When a node is to lose its volume.
    pub(crate) loses_volume: Option<Duration>,
    /// The node that is to leave for good.
    leaving: Option<usize>,
    has_left: bool,
    /// Which nodes have ended by themselves, and why.
    ended: Vec<String>,
}

impl World<'_> {
    fn new(plan: &Plan, shape: &Shape, desk: Arc<Desk>) -> Self {
        let mut sim = turmoil::Builder::new()
            .rng_seed(plan.seed)
            .tick_duration(TICK)
            .simulation_duration(Duration::from_secs(1 << 20))
            .min_message_latency(Duration::from_micros(200))
            .max_message_latency(Duration::from_millis(5))
            .tcp_capacity(1 << 16)
            .enable_random_order()
            .build();
        for place in &desk.places {
            let place = Arc::clone(place);
            sim.host(place.name().to_owned(), move || Arc::clone(&place).live());
        }
        Self {
            sim,
            desk,
            chance: chance(plan.seed, 1),
            now: Vec::new(),
            faults: 0,
            done: Arc::default(),
            invariants: Invariants::default(),
            disk_failed: BTreeSet::new(),
            steps: 0,
            broken: plan.broken,
            ambush: None,
            nodes: shape.nodes(),
            joins: Vec::new(),
            loses_volume: None,
            leaving: shape.leaves.map(|(leaving, _)| leaving),
            has_left: false,
            ended: Vec::new(),
        }
    }

    fn run(&mut self, plan: &Plan, shape: &Shape) {
        if !self.work("set-up", SET_UP_WITHIN, |desk| async move { desk.set_up().await }) {
            return;
        }
        let from = self.sim.elapsed();
        let until = from + plan.faults;
        self.note(&format!("{shape:?}"));
        self.begin(shape, from);
        let (seed, running) =
            (plan.seed, Arc::new(Mutex::new(CLIENTS + 1 + u64::from(shape.leaves.is_some()))));
        for client in 0..CLIENTS {
            let (desk, running) = (Arc::clone(&self.desk), Arc::clone(&running));
            self.sim.client(format!("client-{client}"), async move {
                desk.client(client, seed, until).await;
                *running.lock() -= 1;
                Ok(())
            });
        }
        let (desk, operating) = (Arc::clone(&self.desk), Arc::clone(&running));
        self.sim.client("operator", async move {
            desk.operator(seed, until).await;
            *operating.lock() -= 1;
            Ok(())
        });
        if let Some((leaving, after)) = shape.leaves {
            let (desk, letting_go) = (Arc::clone(&self.desk), Arc::clone(&running));
            self.sim.client("leaving", async move {
                rest(after).await;
                desk.let_go(leaving, until).await;
                *letting_go.lock() -= 1;
                Ok(())
            });
        }
        let mut next_fault = from;
        while *running.lock() > 0 {
            let now = self.sim.elapsed();
            self.change(now);
            if now >= next_fault && now < until {
                self.fault(now);
                next_fault = now + Duration::from_millis(self.chance.between(200, 3000));
            }
            if !self.step() {
                return;
            }
        }
        self.ambush = None;
        self.change(until);
        self.repair(Duration::MAX);
        let leaving = self.leaving;
        if self.work("recovery", WELL_WITHIN, |desk| async move { desk.is_well(leaving).await }) {
            self.has_seen_votes();
        }
    }

    /// Gateways begin, and it is settled when others join.
    fn begin(&mut self, shape: &Shape, from: Duration) {
        self.desk.places[self.nodes..].iter().for_each(|gateway| gateway.arrive());
        self.joins = shape.joins.iter().map(|after| from + *after).zip(shape.founders..).collect();
        self.joins.sort_unstable_by(|a, b| b.cmp(a));
        self.loses_volume = shape.loses_volume.map(|after| from + after);
    }

    /// Lets nodes join and lose their volumes when it is time.
    fn change(&mut self, now: Duration) {
        while let Some((_, node)) = self.joins.pop_if(|(at, _)| *at <= now) {
            self.note(&format!("{} joins", self.desk.places[node].name()));
            self.desk.places[node].arrive();
        }
        if self.loses_volume.is_some_and(|at| at <= now) {
            self.lose_volume(now);
        }
    }

    /// Lets something be done, and says whether it was in time.
    fn work<F: Future<Output = ()> + 'static>(
        &mut self,
        name: &str,
        within: Duration,
        work: impl FnOnce(Arc<Desk>) -> F,
    ) -> bool {
        *self.done.lock() = false;
        let (done, until) = (Arc::clone(&self.done), self.sim.elapsed() + within);
        let work = work(Arc::clone(&self.desk));
        self.sim.client(name, async move {
            work.await;
            *done.lock() = true;
            Ok(())
        });
        while !*self.done.lock() {
            if !self.step() {
                return false;
            }
            if self.sim.elapsed() > until {
                self.note_groups();
                let ended = self.ended.last().map(|ended| format!(", and {ended}")).unwrap_or_default();
                self.desk.journal.lock().is_wrong(format!("{name} took more than {within:?}{ended}"));
                return false;
            }
        }
        true
    }

    /// Whoever has seen no vote has judged none.
    fn has_seen_votes(&self) {
        let seen = self.desk.places.iter().map(|place| place.votes_seen().unwrap_or(0));
        if seen.sum::<u64>() == 0 {
            self.desk.journal.lock().is_wrong("no vote was ever seen on a disk".to_owned());
        }
    }

    /// Notes what all groups say of themselves.
    fn note_groups(&self) {
        for place in &self.desk.places {
            for group in place.groups().groups {
                self.note(&format!("{} {:?}: {group:?}", place.name(), place.part()));
            }
        }
    }

    /// Goes on by one step of time; whether everything still runs.
    fn step(&mut self) -> bool {
        set_now(self.sim.elapsed());
        self.repair(self.sim.elapsed());
        self.spring();
        let stepped = self.sim.step().map_err(|error| error.to_string());
        self.steps += 1;
        let looked = if self.steps.is_multiple_of(LOOK_EVERY) { self.look() } else { Ok(()) };
        match stepped.map(drop).and(looked) {
            Ok(()) => self.desk.journal.lock().violations.is_empty(),
            Err(what) => {
                self.desk.journal.lock().is_wrong(what);
                false
            }
        }
    }

    /// Looks at all nodes. One that has ended because its disk failed or was full is started again, as its keeper would.
    fn look(&mut self) -> Result<(), String> {
        for (node, place) in self.desk.places.clone().iter().enumerate() {
            self.invariants.look(node, place.groups())?;
            place.votes_seen()?;
            if let Some(partition) = place.damaged().filter(|_| !self.disk_failed.contains(&node)) {
                return Err(format!("{} has damaged files of partition {partition}", place.name()));
            }
            if place.part() == Part::Left && !self.has_left {
                if self.leaving != Some(node) {
                    return Err(format!("{} has left", place.name()));
                }
                self.note(&format!("{} has left", place.name()));
                self.has_left = true;
                self.end(node, PowerCut::Kept);
            }
            let Some(Ended { reason, for_room }) = place.ended() else { continue };
            let ended = format!("{} has ended: {reason}", place.name());
            if self.broken.is_none() && !self.disk_failed.contains(&node) && !for_room {
                return Err(ended);
            }
            self.note(&ended);
            self.ended.push(ended);
            self.end(node, PowerCut::Kept);
            self.now.push((self.sim.elapsed() + AGAIN_AFTER, Fault::Down { node }));
        }
        Ok(())
    }

    pub(crate) fn note(&self, line: &str) {
        self.desk.journal.lock().note(line);
    }
}
