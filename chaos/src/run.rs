//! One run of a scenario, from empty directories to a verdict.

use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use crate::client::{Client, ReadError};
use crate::clock::{now, pause, wait_until};
use crate::cluster::{Cluster, TOKEN};
use crate::faults::{Active, Effect, targets};
use crate::history::Outcome;
use crate::judge::{self, Injected, Verdict};
use crate::network::Network;
use crate::oracle::{self, Counts, Oracle, Row};
use crate::scenario::{Scenario, Step, Target};
use crate::workload::{Answers, WARM_UP, Workload};

/// Writers; two for each of three nodes.
pub(crate) const WRITERS: usize = 6;
/// Clients that use registers.
const REGISTER_USERS: usize = 4;
/// Fewest operations on registers of a run that shows anything.
const OPERATIONS_MIN: usize = 100;
/// How long when it is to be known how much they do.
const MEASURED: Duration = Duration::from_secs(8);
/// How long an answer that was sent may take to its client.
const ON_ITS_WAY: Duration = Duration::from_millis(500);
/// How long a node may take to tell all points.
pub(crate) const READ_ALL: Duration = Duration::from_secs(60);
/// How often the nodes are looked after while time passes.
const WATCH: Duration = Duration::from_millis(100);

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
            with_clients(&workload, WRITERS, scenario.places(), || {
                if let Err(error) = inject_all(scenario, &mut cluster, &workload, &mut injected) {
                    oracle.violation(chain(&*error));
                }
            });
            usual_rate = judge::measure(&mut injected, &workload, &oracle, scenario.places());
            let up = cluster
                .up()
                .into_iter()
                .map(|node| (node, cluster.nodes[node].url.as_str()))
                .collect::<Vec<_>>();
            healed = look_at_all(&up, &workload, &oracle, scenario.promises.heal(), &mut doubts);
            operations = workload.registers.operations();
            answers = workload.answers();
        }
    }
    judge::judge(&scenario.promises, &oracle, &injected, usual_rate, &mut doubts);
    let (lost, violations) = (oracle.has_lost_points(), oracle.violations());
    let verdict = Verdict::of(scenario.is_broken(lost, !violations.is_empty()), !doubts.is_empty());
    let counts = oracle.counts();
    Report { verdict, injected, violations, doubts, counts, operations, answers, usual_rate, healed }
}

/// Lets all clients write and read until the work is done.
pub(crate) fn with_clients<T>(
    workload: &Workload<'_>,
    writers: usize,
    nodes: usize,
    work: impl FnOnce() -> T,
) -> T {
    std::thread::scope(|scope| {
        for writer in 0..writers {
            scope.spawn(move || workload.write(writer));
        }
        for user in 0..REGISTER_USERS {
            scope.spawn(move || workload.use_registers(user));
        }
        for node in 0..nodes {
            scope.spawn(move || workload.read(node));
            scope.spawn(move || workload.probe(writers + node, node));
        }
        let done = work();
        workload.stop();
        done
    })
}

/// What is there once all is over: every node is well again, and has everything. Answers how long the first took.
pub(crate) fn look_at_all(
    nodes: &[(usize, &str)],
    workload: &Workload<'_>,
    oracle: &Oracle,
    limit: Duration,
    doubts: &mut Vec<String>,
) -> Option<Duration> {
    let begun = now();
    let healed = heal(nodes, workload, oracle, limit).then(|| now().saturating_duration_since(begun));
    if healed.is_some() {
        let client = workload.client(READ_ALL);
        nodes.iter().for_each(|(node, url)| read_all(&client, url, oracle, *node));
    }
    workload.registers.violations().into_iter().for_each(|why| oracle.violation(why));
    let operations = workload.registers.operations();
    if operations < OPERATIONS_MIN {
        doubts.push(format!("only {operations} operations on registers"));
    }
    healed
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
            let label = format!("{:?} {:?} {nodes:?}", step.fault, step.target).to_lowercase();
            let mut one = Injected::new(label, nodes.clone(), workload.elapsed());
            let (held, lifted) = inject(cluster, step, &nodes, scenario.promises.heal(), workload);
            one.without_quorum = (step.target == Target::Majority).then(|| held.clone());
            one.held = held;
            one.window.end = workload.elapsed();
            let problem = lifted.map(|effects| one.effects = effects).err();
            one.terms = cluster.view().terms_since(&before);
            injected.push(one);
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

/// Waits until each of these nodes takes a write and answers a read, as the last writer. Answers whether all do in time.
fn heal(nodes: &[(usize, &str)], workload: &Workload<'_>, oracle: &Oracle, limit: Duration) -> bool {
    let client = workload.client(Duration::from_secs(5));
    let writer = oracle.writers() - 1;
    let end = now() + limit;
    for &(node, url) in nodes {
        let left = end.saturating_duration_since(now());
        let tried = wait_until(left, || {
            let numbers = oracle.fresh(writer, 1);
            let outcome = workload.send(&client, writer, &numbers, node);
            if outcome != Outcome::Acknowledged {
                return Err(format!("takes no write: {outcome:?}"));
            }
            let reading = oracle.begin_read(writer, Some(1));
            let rows = client.read(url, &oracle::query(&reading)).map_err(|error| error.to_string())?;
            oracle.end_read(&reading, node, &rows);
            Ok(())
        });
        if let Err(last) = tried {
            oracle.violation(format!("{limit:?} after the last fault node {node} {last}"));
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
