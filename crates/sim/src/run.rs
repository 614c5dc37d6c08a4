//! One simulation: a cluster, clients, and what happens to them; then a time without faults in which all must be well
//! again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use disk::vfs::sim::{Failure, OpKind, PowerCut};
use parking_lot::Mutex;
use turmoil::Sim;

use crate::chance::Chance;
use crate::invariants::Invariants;
use crate::node::Place;
use crate::oracle::Series;
use crate::parts::set_now;
use crate::workload::{Desk, Journal, rest};

/// Clients of a simulation.
const CLIENTS: u64 = 3;
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
}

impl Break {
    fn faults(self) -> Vec<disk::vfs::sim::Fault> {
        let lost = |path| disk::vfs::sim::Fault::nth(OpKind::SyncData, 1, Failure::Lost).on(path).forever();
        match self {
            Self::Log => vec![lost("/raft/")],
            Self::Data => vec![lost(".tsm")],
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
    let names: Vec<String> = (0..plan.nodes).map(|at| format!("node-{at}")).collect();
    let place = |(at, name): (usize, &String)| Place::new(name, &format!("zone-{}", at % 3), &names);
    let lines = plan.keeps_lines.then(Vec::new);
    let desk = Arc::new(Desk {
        places: names.iter().enumerate().map(place).collect(),
        series: (0..CLIENTS).map(|_| Mutex::new(Series::default())).collect(),
        journal: Mutex::new(Journal { lines, ..Journal::default() }),
    });
    let mut world = World::new(plan, Arc::clone(&desk));
    world.run(plan);
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

/// What may be the matter with a node or a way between two, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Down {
        node: usize,
    },
    /// The disk fails once.
    Disk {
        node: usize,
    },
    Cut {
        from: usize,
        to: usize,
    },
    CutOneWay {
        from: usize,
        to: usize,
    },
    Alone {
        node: usize,
    },
    Slow,
}

/// The simulated world.
struct World<'a> {
    sim: Sim<'a>,
    desk: Arc<Desk>,
    chance: Chance,
    /// What is the matter now, and until when.
    now: Vec<(Duration, Fault)>,
    faults: u64,
    done: Arc<Mutex<bool>>,
    invariants: Invariants,
    /// Nodes whose disk has failed, or will.
    disk_failed: BTreeSet<usize>,
    steps: u64,
    broken: Option<Break>,
}

impl World<'_> {
    fn new(plan: &Plan, desk: Arc<Desk>) -> Self {
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
            plan.broken.iter().flat_map(|broken| broken.faults()).for_each(|fault| place.inject(fault));
            let place = Arc::clone(place);
            sim.host(place.name().to_owned(), move || Arc::clone(&place).live());
        }
        Self {
            sim,
            desk,
            chance: Chance::new(plan.seed, 1),
            now: Vec::new(),
            faults: 0,
            done: Arc::default(),
            invariants: Invariants::default(),
            disk_failed: BTreeSet::new(),
            steps: 0,
            broken: plan.broken,
        }
    }

    fn run(&mut self, plan: &Plan) {
        if !self.work("set-up", SET_UP_WITHIN, |desk| async move { desk.set_up().await }) {
            return;
        }
        let until = self.sim.elapsed() + plan.faults;
        let (seed, running) = (plan.seed, Arc::new(Mutex::new(CLIENTS)));
        for client in 0..CLIENTS {
            let (desk, running) = (Arc::clone(&self.desk), Arc::clone(&running));
            self.sim.client(format!("client-{client}"), async move {
                desk.client(client, seed, until).await;
                *running.lock() -= 1;
                Ok(())
            });
        }
        let desk = Arc::clone(&self.desk);
        self.sim.client("operator", async move {
            desk.operator(seed, until).await;
            Ok(())
        });
        let mut next_fault = self.sim.elapsed();
        while *running.lock() > 0 {
            let now = self.sim.elapsed();
            self.repair(now);
            if now >= next_fault && now < until {
                self.fault(now);
                next_fault = now + Duration::from_millis(self.chance.between(200, 3000));
            }
            if !self.step() {
                return;
            }
        }
        self.repair(Duration::MAX);
        if self.broken.is_none() {
            self.desk.places.iter().for_each(|place| place.heal());
        }
        self.work("recovery", WELL_WITHIN, |desk| async move { desk.is_well().await });
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
                self.desk.journal.lock().is_wrong(format!("{name} took more than {within:?}"));
                return false;
            }
        }
        true
    }

    /// Goes on by one step of time; whether everything still runs.
    fn step(&mut self) -> bool {
        set_now(self.sim.elapsed());
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

    /// Looks at all nodes. One that has ended because its disk failed is started again, as its keeper would.
    fn look(&mut self) -> Result<(), String> {
        for (node, place) in self.desk.places.clone().iter().enumerate() {
            let (groups, applied) = place.groups();
            self.invariants.look(node, groups, applied)?;
            let Some(reason) = place.ended() else { continue };
            if self.broken.is_none() && !self.disk_failed.contains(&node) {
                return Err(format!("{} has ended: {reason}", place.name()));
            }
            self.note(&format!("{} has ended: {reason}", place.name()));
            self.end(node, PowerCut::Kept);
            self.now.push((self.sim.elapsed() + AGAIN_AFTER, Fault::Down { node }));
        }
        Ok(())
    }

    /// Ends a node's process, and leaves of its disk what the cut leaves.
    fn end(&mut self, node: usize, cut: PowerCut) {
        let place = Arc::clone(&self.desk.places[node]);
        self.sim.crash(place.name());
        place.crash(cut);
        // It goes on with a sound disk, or one that is as broken as it was.
        place.heal();
        self.disk_failed.remove(&node);
        self.broken.iter().flat_map(|broken| broken.faults()).for_each(|fault| place.inject(fault));
        self.invariants.forget(node);
    }

    fn names(&self, node: usize) -> (String, Vec<String>) {
        let name = |at: usize| self.desk.places[at].name().to_owned();
        (name(node), (0..self.desk.places.len()).filter(|at| *at != node).map(name).collect())
    }

    /// Puts a fault in.
    fn fault(&mut self, now: Duration) {
        let nodes = self.desk.places.len() as u64;
        let mut node = || usize::try_from(self.chance.below(nodes)).unwrap_or(0);
        let (one, other) = (node(), node());
        let until = now + Duration::from_millis(self.chance.between(50, 6000));
        let fault = match self.chance.below(10) {
            0..4 => Fault::Down { node: one },
            4 => Fault::Disk { node: one },
            5 => Fault::Alone { node: one },
            6 => Fault::CutOneWay { from: one, to: other },
            7 | 8 => Fault::Cut { from: one, to: other },
            _ => Fault::Slow,
        };
        let is_on = |had: &Fault| match (had, &fault) {
            (
                Fault::Down { node: had } | Fault::Disk { node: had },
                Fault::Down { node: new } | Fault::Disk { node: new },
            ) => had == new,
            (Fault::Down { .. } | Fault::Disk { .. }, _) | (_, Fault::Down { .. } | Fault::Disk { .. }) => {
                false
            }
            // One fault of the network at a time: a repair mends all of a node's ways.
            _ => true,
        };
        let is_with_itself =
            matches!(fault, Fault::Cut { from, to } | Fault::CutOneWay { from, to } if from == to);
        if is_with_itself || self.now.iter().any(|(_, had)| is_on(had)) {
            return;
        }
        self.faults += 1;
        match fault {
            Fault::Down { node } => {
                let seed = self.chance.number();
                let cut = match self.chance.below(3) {
                    0 => PowerCut::Kept,
                    1 => PowerCut::Lost,
                    _ => PowerCut::Torn { seed, block_bytes: 512 },
                };
                self.note(&format!("{fault:?} {cut:?} until {until:?}"));
                self.end(node, cut);
            }
            Fault::Disk { node } => {
                let kinds =
                    [OpKind::SyncData, OpKind::Write, OpKind::Rename, OpKind::SyncDir, OpKind::Create];
                let kind = *self.chance.one_of(&kinds).expect("there are some");
                let nth = self.chance.between(1, 40);
                self.note(&format!("{fault:?}: {kind:?} {nth} fails"));
                self.disk_failed.insert(node);
                self.desk.places[node].inject(disk::vfs::sim::Fault::nth(kind, nth, Failure::Io));
            }
            Fault::Cut { from, to } => self.sim.partition(self.names(from).0, self.names(to).0),
            Fault::CutOneWay { from, to } => self.sim.partition_oneway(self.names(from).0, self.names(to).0),
            Fault::Alone { node } => {
                let (name, others) = self.names(node);
                others.into_iter().for_each(|other| self.sim.partition(name.clone(), other));
            }
            Fault::Slow => self.sim.set_max_message_latency(Duration::from_millis(100)),
        }
        if !matches!(fault, Fault::Down { .. }) {
            self.note(&format!("{fault:?} until {until:?}"));
        }
        self.now.push((until, fault));
    }

    /// Takes faults away whose time is over.
    fn repair(&mut self, now: Duration) {
        let over: Vec<Fault> =
            self.now.extract_if(.., |(until, _)| *until <= now).map(|(_, fault)| fault).collect();
        for fault in over {
            self.note(&format!("no more {fault:?}"));
            match fault {
                Fault::Down { node } => {
                    let name = self.names(node).0;
                    self.sim.bounce(name);
                }
                Fault::Disk { .. } => {}
                Fault::Cut { from, to } => self.sim.repair(self.names(from).0, self.names(to).0),
                Fault::CutOneWay { from, to } => self.sim.repair_oneway(self.names(from).0, self.names(to).0),
                Fault::Alone { node } => {
                    let (name, others) = self.names(node);
                    others.into_iter().for_each(|other| self.sim.repair(name.clone(), other));
                }
                Fault::Slow => self.sim.set_max_message_latency(Duration::from_millis(5)),
            }
        }
    }

    fn note(&self, line: &str) {
        self.desk.journal.lock().note(line);
    }
}

impl Desk {
    /// Returns when every node takes points and shows all that it should, also what it has itself.
    async fn is_well(&self) {
        self.undrain_all().await;
        for place in &self.places {
            let mut from = 1 << 20;
            loop {
                let next = self.write(place, 0, from, 1).await;
                if next > from {
                    break;
                }
                from = next;
                rest(Duration::from_millis(100)).await;
            }
            for whose in 0..CLIENTS {
                while self.read(place, whose, "linearizable").await.is_none() {
                    rest(Duration::from_millis(100)).await;
                }
            }
        }
        for whose in 0..CLIENTS {
            let mut shown = Vec::new();
            for place in &self.places {
                // Nothing is written any more: what a node has itself is soon what all have.
                let mut last = self.read(place, whose, "linearizable").await;
                while last.is_none() || shown.first().is_some_and(|first| last.as_ref() != Some(first)) {
                    rest(Duration::from_millis(100)).await;
                    last = self.read(place, whose, "bounded(1h)").await;
                }
                shown.extend(last);
            }
        }
    }
}
