//! One run of a scenario, from empty directories to a verdict.

use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use crate::client::{Client, ReadError};
use crate::clock::{now, pause, wait_until};
use crate::cluster::{Cluster, TOKEN};
use crate::faults::{Active, Effect, targets};
use crate::history::{Outcome, gap, node_gap, rate, slowest};
use crate::network::Network;
use crate::oracle::{self, Counts, Oracle, Row};
use crate::scenario::{Scenario, Step, Target};
use crate::workload::{Answers, Workload};

/// Writers; two for each of three nodes.
pub(crate) const WRITERS: usize = 6;
/// Clients that use registers.
const REGISTER_USERS: usize = 4;
/// Fewest operations on registers of a run that shows anything.
const OPERATIONS_MIN: usize = 100;
/// How long clients work before the first fault.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long when it is to be known how much they do.
const MEASURED: Duration = Duration::from_secs(8);
/// How long an answer that was sent may take to its client.
const ON_ITS_WAY: Duration = Duration::from_millis(500);
/// How long a node may take to tell all points.
pub(crate) const READ_ALL: Duration = Duration::from_secs(60);
/// How often the nodes are looked after while time passes.
const WATCH: Duration = Duration::from_millis(100);
/// Fewest acknowledged points of a run that shows anything.
const POINTS_MIN: usize = 200;

/// A fault of a run.
#[derive(Debug)]
pub(crate) struct Injected {
    /// What happened to whom.
    pub(crate) label: String,
    nodes: Vec<usize>,
    /// What it was seen to do.
    pub(crate) effects: Vec<Effect>,
    /// From its begin to the begin of the next.
    window: Range<Duration>,
    /// The longest time in it without an acknowledged write.
    pub(crate) gap: Duration,
    /// The longest time in it without a success through each node.
    pub(crate) node_gaps: Vec<Duration>,
    /// The longest time that an answer took, of a request that was sent in it.
    pub(crate) slowest: Duration,
    /// When too few nodes were there for anything to be acknowledged.
    without_quorum: Option<Range<Duration>>,
    /// Terms that began in it, over all groups.
    pub(crate) terms: u64,
    /// While the fault was there.
    held: Range<Duration>,
    /// Acknowledged requests in a second then.
    pub(crate) rate: f64,
}

/// What a run has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every promise was kept, and every fault was there.
    Pass,
    /// A promise was broken.
    Fail,
    /// Nothing was broken, and not every fault was there.
    Unknown,
}

/// Everything that a run showed.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) verdict: Verdict,
    pub(crate) injected: Vec<Injected>,
    /// Broken promises.
    pub(crate) violations: Vec<String>,
    /// Why the run shows less than it should.
    pub(crate) doubts: Vec<String>,
    pub(crate) counts: Counts,
    /// Operations on registers.
    pub(crate) operations: usize,
    /// How requests were answered.
    pub(crate) answers: Answers,
    /// Acknowledged requests in a second before the first fault.
    pub(crate) usual_rate: f64,
    /// From the end of the last fault's rest until every node answered writes and reads.
    pub(crate) healed: Option<Duration>,
}

/// Runs a scenario; everything that the nodes keep and say goes below `directory`.
pub(crate) fn run(scenario: &Scenario, directory: &Path) -> Report {
    // A writer for each probe, and one more for the points that show that the cluster is well again.
    let oracle = Oracle::new(WRITERS + scenario.places() + 1);
    let mut doubts = Vec::new();
    let mut injected = Vec::new();
    let (mut answers, mut healed, mut operations) = (Answers::default(), None, 0);
    let mut usual_rate = 0.0;
    match start(scenario, directory) {
        Err(error) => doubts.push(format!("the cluster did not start: {}", chain(&*error))),
        Ok(mut cluster) => {
            let workload = Workload::new(&oracle, cluster.urls(), TOKEN);
            std::thread::scope(|scope| {
                for writer in 0..WRITERS {
                    let workload = &workload;
                    scope.spawn(move || workload.write(writer));
                }
                for user in 0..REGISTER_USERS {
                    let workload = &workload;
                    scope.spawn(move || workload.use_registers(user));
                }
                for node in 0..scenario.places() {
                    let workload = &workload;
                    scope.spawn(move || workload.read(node));
                    scope.spawn(move || workload.probe(WRITERS + node, node));
                }
                if let Err(error) = inject_all(scenario, &mut cluster, &workload, &mut injected) {
                    oracle.violation(chain(&*error));
                }
                workload.stop();
            });
            let acknowledged = workload.acknowledgements();
            let probes = workload.probes();
            if let Some(first) = injected.first() {
                // Connections are made in the first moments.
                usual_rate = rate(&acknowledged, &(WARM_UP / 2..first.window.start));
            }
            for one in &mut injected {
                one.gap = gap(&acknowledged, one.window.clone());
                one.rate = rate(&acknowledged, &one.held);
                one.slowest = slowest(&probes, &one.window);
                let of_node = |node| node_gap(&probes, node, &one.window);
                one.node_gaps = (0..scenario.places()).map(of_node).collect();
                let idle = one.without_quorum.clone();
                let false_ones =
                    idle.map_or(0, |idle| acknowledged.iter().filter(|at| idle.contains(*at)).count());
                if false_ones > 0 {
                    oracle.violation(format!(
                        "{}: {false_ones} writes acknowledged without a majority",
                        one.label
                    ));
                }
            }
            let begun = now();
            if heal(&cluster, &workload, &oracle, scenario.promises.heal()) {
                healed = Some(now().saturating_duration_since(begun));
                let client = Client::new(TOKEN, READ_ALL);
                for node in cluster.up() {
                    read_all(&client, &cluster.nodes[node].url, &oracle, node);
                }
            }
            workload.registers.violations().into_iter().for_each(|why| oracle.violation(why));
            operations = workload.registers.operations();
            if operations < OPERATIONS_MIN {
                doubts.push(format!("only {operations} operations on registers"));
            }
            answers = workload.answers();
        }
    }
    judge(scenario, &oracle, &injected, usual_rate, &mut doubts);
    let (lost, violations) = (oracle.has_lost_points(), oracle.violations());
    let verdict = verdict(scenario, lost, !violations.is_empty(), !doubts.is_empty());
    let counts = oracle.counts();
    Report { verdict, injected, violations, doubts, counts, operations, answers, usual_rate, healed }
}

fn start(scenario: &Scenario, directory: &Path) -> Result<Cluster, Box<dyn Error>> {
    let network = Network::create(scenario.places())?;
    Ok(Cluster::start(scenario, network, directory)?)
}

/// Injects one fault after the other, and holds and lifts each.
fn inject_all(
    scenario: &Scenario,
    cluster: &mut Cluster,
    workload: &Workload<'_>,
    injected: &mut Vec<Injected>,
) -> Result<(), Box<dyn Error>> {
    watch(cluster, if scenario.promises.write_rate().is_some() { MEASURED } else { WARM_UP })?;
    for step in (0..scenario.repeat).flat_map(|_| &scenario.faults) {
        for nodes in targets(cluster, step.target)? {
            let before = cluster.view();
            let begun = workload.elapsed();
            let (held, lifted) = inject(cluster, step, &nodes, scenario.promises.heal(), workload);
            let without_quorum = (step.target == Target::Majority).then(|| held.clone());
            let window = begun..workload.elapsed();
            let label = format!("{:?} {:?} {nodes:?}", step.fault, step.target).to_lowercase();
            let (effects, problem) = match lifted {
                Ok(effects) => (effects, None),
                Err(error) => (Vec::new(), Some(error)),
            };
            let terms = cluster.view().terms_since(&before);
            let zero = Duration::ZERO;
            let (gap, slowest, node_gaps) = (zero, zero, Vec::new());
            injected.push(Injected {
                label,
                nodes: nodes.clone(),
                effects,
                window,
                gap,
                node_gaps,
                slowest,
                without_quorum,
                terms,
                held,
                rate: 0.0,
            });
            if let Some(problem) = problem {
                return Err(problem);
            }
        }
    }
    Ok(())
}

/// What a fault was seen to do, until the nodes were well again.
type Lifted = Result<Vec<Effect>, Box<dyn Error>>;

/// Injects a fault, holds and lifts it; answers from when to when it was there, as clients see it, and what it was seen
/// to do.
fn inject(
    cluster: &mut Cluster,
    step: &Step,
    nodes: &[usize],
    limit: Duration,
    workload: &Workload<'_>,
) -> (Range<Duration>, Lifted) {
    let active = Active::inject(cluster, step, nodes, limit);
    // Answers from before may be on their way.
    let begun = workload.elapsed() + ON_ITS_WAY;
    let held = watch(cluster, step.lasts());
    let held_until = workload.elapsed();
    let lifted = || {
        let effects = active.map_err(Box::new).and_then(|active| {
            // Even when a process has ended by itself: others must go on.
            active.lift(cluster, limit).map_err(Box::new)
        })?;
        held?;
        watch(cluster, step.rest())?;
        Ok(effects)
    };
    (begun..held_until, lifted())
}

/// Lets time pass; no process may end by itself meanwhile.
fn watch(cluster: &mut Cluster, time: Duration) -> Result<(), Box<dyn Error>> {
    let end = now() + time;
    loop {
        for node in &mut cluster.nodes {
            if let Some(status) = node.ended() {
                return Err(format!("node {} ended by itself: {status}", node.place).into());
            }
        }
        let left = end.saturating_duration_since(now());
        if left.is_zero() {
            return Ok(());
        }
        pause(left.min(WATCH));
    }
}

/// Waits until every node takes a write and answers a read. Answers whether all do in time.
fn heal(cluster: &Cluster, workload: &Workload<'_>, oracle: &Oracle, limit: Duration) -> bool {
    let client = Client::new(TOKEN, Duration::from_secs(5));
    let end = now() + limit;
    for node in cluster.nodes.iter().filter(|node| node.is_up()) {
        let left = end.saturating_duration_since(now());
        let tried = wait_until(left, || {
            let numbers = oracle.fresh(WRITERS, 1);
            let outcome = workload.send(&client, WRITERS, &numbers, node.place);
            if outcome != Outcome::Acknowledged {
                return Err(format!("takes no write: {outcome:?}"));
            }
            let reading = oracle.begin_read(WRITERS, Some(1));
            let rows = client.read(&node.url, &oracle::query(&reading)).map_err(|error| error.to_string())?;
            oracle.end_read(&reading, node.place, &rows);
            Ok(())
        });
        if let Err(last) = tried {
            oracle.violation(format!("{limit:?} after the last fault node {} {last}", node.place));
            return false;
        }
    }
    true
}

/// Everything that a node has must be everything that was acknowledged or seen, and nothing that was not sent.
pub(crate) fn read_all(client: &Client, url: &str, oracle: &Oracle, node: usize) {
    let readings: Vec<_> = (0..oracle.writers()).map(|writer| oracle.begin_read(writer, None)).collect();
    let answer = wait_until(Duration::from_secs(30), || match client.read(url, "SELECT n, w FROM chaos") {
        Err(later @ ReadError::Later { .. }) => Err(later.to_string()),
        other => Ok(other),
    });
    let rows = match answer {
        Ok(Ok(rows)) => rows,
        Ok(Err(wrong)) => return oracle.violation(format!("reading all through node {node}: {wrong}")),
        Err(why) => return oracle.violation(format!("reading all through node {node}: {why}")),
    };
    let of =
        |writer: usize| -> Vec<Row> { rows.iter().copied().filter(|row| row.w == writer as u64).collect() };
    for (writer, reading) in readings.iter().enumerate() {
        oracle.end_read(reading, node, &of(writer));
    }
    if let Some(stranger) = rows.iter().find(|row| row.w >= oracle.writers() as u64) {
        oracle.violation(format!("node {node} has what nobody has sent: {stranger:?}"));
    }
}

/// What it has come to.
fn verdict(scenario: &Scenario, lost: bool, broken: bool, doubtful: bool) -> Verdict {
    let failed = if scenario.loses_points { !lost } else { broken };
    match (failed, doubtful) {
        (true, _) => Verdict::Fail,
        (false, true) => Verdict::Unknown,
        (false, false) => Verdict::Pass,
    }
}

/// What the figures say: pauses that are too long are broken promises, faults that were not there are doubts.
fn judge(
    scenario: &Scenario,
    oracle: &Oracle,
    injected: &[Injected],
    usual_rate: f64,
    doubts: &mut Vec<String>,
) {
    for one in injected {
        if let Some(limit) = scenario.promises.write_gap().filter(|limit| one.gap > *limit) {
            oracle.violation(format!("{}: no write for {:?}, promised {limit:?}", one.label, one.gap));
        }
        if let Some(limit) = scenario.promises.answer().filter(|limit| one.slowest > *limit) {
            let took = one.slowest;
            oracle.violation(format!("{}: an answer took {took:?}, promised {limit:?}", one.label));
        }
        for (node, gap) in one.node_gaps.iter().enumerate() {
            let others = scenario.promises.others_gap().filter(|_| !one.nodes.contains(&node));
            let limits = [scenario.promises.each_node_gap(), others].into_iter().flatten();
            if let Some(limit) = limits.min().filter(|limit| gap > limit) {
                let what = format!("nothing through node {node} for {gap:?}, promised {limit:?}");
                oracle.violation(format!("{}: {what}", one.label));
            }
        }
        if let Some(limit) = scenario.promises.terms().filter(|limit| one.terms > *limit) {
            oracle.violation(format!("{}: {} new terms, promised {limit}", one.label, one.terms));
        }
        if let Some(percent) = scenario.promises.write_rate() {
            let (rate, usual) = (one.rate, usual_rate);
            #[expect(clippy::cast_precision_loss, reason = "a percentage")]
            let least = usual * percent as f64 / 100.0;
            if rate < least {
                let what = format!("{rate:.0} writes in a second, promised {percent} % of {usual:.0}");
                oracle.violation(format!("{}: {what}", one.label));
            }
        }
        for effect in one.effects.iter().filter(|effect| !effect.took) {
            doubts.push(format!("{} did not take effect: {}", one.label, effect.what));
        }
        if one.effects.is_empty() {
            doubts.push(format!("{} was not seen to its end", one.label));
        }
    }
    if injected.is_empty() {
        doubts.push("no fault was injected".to_owned());
    }
    let acknowledged = oracle.counts().acknowledged;
    if acknowledged < POINTS_MIN {
        doubts.push(format!("only {acknowledged} points were acknowledged"));
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
