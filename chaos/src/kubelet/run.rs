//! One run of a scenario of the miniature: from the manifests to a verdict.

use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use testkit::Request;

use super::image::Image;
use super::load::{Counts as LoadCounts, Tally};
use super::manifest::Manifests;
use super::pod::{Concern, Pod};
use super::scenario::{Scenario, Start};
use super::steps::{Operator, Seen, url};
use super::world::{Settings, World};
use super::{admission, secret};
use crate::client::{BUCKET, excerpt};
use crate::clock::{pause, wait_until};
use crate::history::{Outcome, gap, rate};
use crate::judge::Verdict;
use crate::oracle::{self, Counts, Oracle};
use crate::run::{READ_ALL, WRITERS, chain, read_all, with_clients};
use crate::workload::{Answers, Workload};

/// The StatefulSet of the nodes, and the Service of clients.
const SET: &str = "tidemark";
const SERVICE: &str = "tidemark";
/// Ways of the usual clients to the Service.
const WAYS: usize = 3;
/// How long clients work before the first step, and after the last.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long a cluster that cannot start is looked at.
const STUCK: Duration = Duration::from_secs(20);
/// Fewest acknowledged points of a run that shows anything.
const POINTS_MIN: usize = 200;
/// How long an answer may take while nothing is done to the cluster.
const ANSWER: Duration = Duration::from_secs(10);

/// How the miniature is run.
#[derive(Debug, Clone)]
pub(crate) struct How<'a> {
    /// The rendered manifests.
    pub(crate) manifests: &'a str,
    pub(crate) image: Image,
    pub(crate) program: &'a Path,
    pub(crate) propagation: Duration,
    pub(crate) machine_silence: Duration,
}

/// A step that was done.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) label: String,
    pub(crate) seen: Seen,
    pub(crate) window: Range<Duration>,
    /// The longest time in it without an acknowledged write.
    pub(crate) gap: Duration,
    /// Acknowledged requests in a second of it.
    pub(crate) rate: f64,
}

/// Everything that a run showed.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What the manifests have that nothing is done with, and what was made up for them.
    pub(crate) notes: Vec<String>,
    /// From applying until all pods were ready.
    pub(crate) ready: Option<Duration>,
    pub(crate) steps: Vec<Told>,
    pub(crate) violations: Vec<String>,
    pub(crate) doubts: Vec<String>,
    pub(crate) counts: Counts,
    pub(crate) answers: Answers,
    pub(crate) load: Option<LoadCounts>,
    /// Everything that has happened, for who wants to know.
    pub(crate) events: Vec<String>,
}

impl Report {
    /// What it has come to.
    pub(crate) fn verdict(&self) -> Verdict {
        Verdict::of(!self.violations.is_empty(), !self.doubts.is_empty())
    }
}

/// Runs a scenario; everything that pods keep and say goes below `home`.
pub(crate) fn run(scenario: &Scenario, how: &How<'_>, home: &Path) -> Report {
    let mut report = Report::default();
    if let Err(error) = run_all(scenario, how, home, &mut report) {
        report.doubts.push(chain(&*error));
    }
    report
}

fn run_all(
    scenario: &Scenario,
    how: &How<'_>,
    home: &Path,
    report: &mut Report,
) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(home)?;
    let mut manifests = Manifests::read(how.manifests)?;
    scenario.changes.make(&mut manifests);
    report.notes = secret::fill(&mut manifests)?;
    report.notes.extend(without_effect(&manifests));
    let set = manifests.stateful_sets.iter().find(|set| set.metadata.name == SET);
    let first_user = secret::of_first_user(set.ok_or_else(|| format!("there is no StatefulSet {SET}"))?);
    let settings = Settings {
        propagation: how.propagation,
        machine_silence: how.machine_silence,
        image: how.image.clone(),
        program: how.program.to_owned(),
        home: home.to_owned(),
    };
    let world = World::start(manifests, settings)?;
    world.apply()?;
    let secret = |key: &str| {
        world.secret(SET, &first_user, key).ok_or_else(|| format!("Secret {first_user} has no {key}"))
    };
    let operator = Operator {
        world: &world,
        set: SET,
        service: SERVICE,
        token: secret("admin-token")?,
        org: secret("org")?,
        limit: scenario.promises.recover(),
    };
    let done = match scenario.start {
        Start::Stuck => look_at_stuck(&operator, report),
        Start::Ready => do_steps(scenario, &operator, report),
    };
    let events = world.events();
    report.events = events
        .iter()
        .map(|(at, event)| format!("{:8.2} {} {}", at.as_secs_f64(), event.pod, event.what))
        .collect();
    // What a pod says of its log it keeps in its directory, which stays when the run does not pass.
    std::fs::write(home.join("events.log"), report.events.join("\n"))?;
    done
}

/// What the manifests have that nothing is done with.
fn without_effect(manifests: &Manifests) -> Vec<String> {
    let mut notes = Vec::new();
    let kinds: Vec<String> =
        manifests.without_effect.iter().map(|(kind, count)| format!("{kind} x {count}")).collect();
    if !kinds.is_empty() {
        notes.push(format!("without effect here: {}", kinds.join(", ")));
    }
    let policies: Vec<String> =
        admission::names(manifests).iter().map(|(name, rules)| format!("{name} ({rules})")).collect();
    if !policies.is_empty() {
        notes.push(format!("admission policies: {}", policies.join(", ")));
    }
    let sets = manifests.stateful_sets.iter().map(|one| (&one.metadata.name, &one.spec.template.spec));
    let fleets = manifests.deployments.iter().map(|one| (&one.metadata.name, &one.spec.template.spec));
    for (name, spec) in sets.chain(fleets) {
        let strangers = Pod::strangers(spec);
        if !strangers.is_empty() {
            notes.push(format!("{name} is not started: nobody here has the image {}", strangers.join(", ")));
            continue;
        }
        let fields = spec.without_effect();
        if !fields.is_empty() {
            notes.push(format!("{name}, without effect: {}", fields.join(", ")));
        }
    }
    notes
}

/// A cluster that cannot start: one pod waits, and the others are not there.
fn look_at_stuck(operator: &Operator<'_>, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let running = wait_until(operator.limit, || match operator.pods().iter().any(|pod| pod.runs) {
        true => Ok(()),
        false => Err("no pod runs"),
    });
    running?;
    pause(STUCK);
    let pods = operator.pods();
    let ready = pods.iter().filter(|pod| pod.is_ready).count();
    let what = format!("{} pods {STUCK:?} after the first runs, {ready} ready", pods.len());
    if pods.len() == 1 && ready == 0 {
        report.notes.push(what);
    } else {
        report.violations.push(what);
    }
    Ok(())
}

/// Starts the cluster, and does everything while clients write and read.
fn do_steps(scenario: &Scenario, operator: &Operator<'_>, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let took = operator.wait_ready()?;
    report.ready = Some(took);
    let unbounded: Vec<String> =
        operator.pods().into_iter().filter(|pod| !pod.has_memory_bound).map(|pod| pod.name).collect();
    if !unbounded.is_empty() {
        report.notes.push(format!("without the memory limit that they ask for: {}", unbounded.join(", ")));
    }
    if let Some(limit) = scenario.promises.ready_ms.map(Duration::from_millis).filter(|limit| took > *limit) {
        report.violations.push(format!("ready {took:?} after applying, promised {limit:?}"));
    }
    let (service, _) = operator.world.service(SERVICE).ok_or("there is no Service of clients")?;
    make_bucket(operator, &service)?;
    let writers = scenario.load.map_or(WRITERS + WAYS, |load| load.clients);
    // One more for the points that show that all is well again.
    let oracle = Oracle::new(writers + 1);
    let workload = Workload::new(&oracle, vec![service.clone(); WAYS], &operator.token).of_org(&operator.org);
    let tally = Tally::default();
    let mut steps = Vec::new();
    let mut work = || {
        pause(WARM_UP);
        for step in &scenario.steps {
            let (mut seen, began) = (Seen::default(), workload.elapsed());
            let at = operator.world.elapsed();
            let done = operator.act(*step, &mut seen);
            pause(WARM_UP);
            judge_events(operator, at, &seen, &oracle);
            let label = format!("{step:?}");
            let window = began..workload.elapsed();
            steps.push(Told { label: label.clone(), seen, window, gap: Duration::ZERO, rate: 0.0 });
            if let Err(error) = done {
                oracle.violation(format!("{label}: {}", chain(&*error)));
                break;
            }
        }
    };
    match scenario.load {
        None => with_clients(&workload, WRITERS, WAYS, work),
        Some(load) => std::thread::scope(|scope| {
            let (workload, oracle, tally) = (&workload, &oracle, &tally);
            for client in 0..load.clients {
                scope.spawn(move || tally.write(load, workload, client, oracle));
            }
            scope.spawn(move || workload.read(0));
            work();
            workload.stop();
        }),
    }
    let acknowledged = workload.acknowledgements();
    for told in &mut steps {
        told.gap = gap(&acknowledged, told.window.clone());
        told.rate = rate(&acknowledged, &told.window);
    }
    report.steps = steps;
    report.load = scenario.load.map(|_| tally.counts());
    look_at_end(operator, &workload, &oracle, &service, writers);
    judge(scenario, &oracle, report);
    workload.registers.violations().into_iter().for_each(|why| oracle.violation(why));
    report.violations.extend(oracle.violations());
    report.counts = oracle.counts();
    report.answers = workload.answers();
    if report.counts.acknowledged < POINTS_MIN {
        report.doubts.push(format!("only {} points were acknowledged", report.counts.acknowledged));
    }
    Ok(())
}

/// A bucket that keeps points for ever, for those of the oracle are old.
fn make_bucket(operator: &Operator<'_>, service: &str) -> Result<(), String> {
    let client = operator.client(ANSWER);
    wait_until(operator.limit, || {
        let asked = client.send(Request::new("GET", format!("{service}/api/v2/orgs?org={}", operator.org)));
        let reply = asked.map_err(|error| error.to_string())?;
        let said: serde_json::Value =
            serde_json::from_slice(&reply.body).map_err(|_no_json| excerpt(&reply))?;
        let id = said["orgs"][0]["id"].as_str().ok_or_else(|| excerpt(&reply))?;
        let body = serde_json::json!({"orgID": id, "name": BUCKET, "retentionRules": []});
        let made = client.send(Request::new("POST", format!("{service}/api/v2/buckets")).json(&body));
        match made.map_err(|error| error.to_string())? {
            // The second time it is there.
            reply if reply.status == 201 || reply.status == 422 => Ok(()),
            reply => Err(format!("{}: {}", reply.status, excerpt(&reply))),
        }
    })
}

/// Whatever happened to pods that nobody wanted is a broken promise.
fn judge_events(operator: &Operator<'_>, since: Duration, seen: &Seen, oracle: &Oracle) {
    for (at, event) in operator.world.events() {
        if at >= since && event.concern != Concern::None && !seen.excused.contains(&event.pod) {
            oracle.violation(format!("{:.1} s: {}: {}", at.as_secs_f64(), event.pod, event.what));
        }
    }
}

/// Every pod takes a write and then has everything.
fn look_at_end(
    operator: &Operator<'_>,
    workload: &Workload<'_>,
    oracle: &Oracle,
    service: &str,
    writer: usize,
) {
    let client = operator.client(ANSWER);
    let numbers = oracle.fresh(writer, oracle::SERIES);
    let written = wait_until(operator.limit, || match workload.send(&client, writer, &numbers, 0) {
        Outcome::Acknowledged => Ok(()),
        other => Err(other),
    });
    if let Err(outcome) = written {
        return oracle.violation(format!("{service} takes no write at the end: {outcome:?}"));
    }
    let client = operator.client(READ_ALL);
    for pod in operator.pods() {
        match url(&pod) {
            Some(url) => read_all(&client, &url, oracle, pod.owner.ordinal),
            None => oracle.violation(format!("{} has no address at the end", pod.name)),
        }
    }
}

fn judge(scenario: &Scenario, oracle: &Oracle, report: &mut Report) {
    let promises = &scenario.promises;
    for told in &report.steps {
        if let Some(limit) =
            promises.write_gap_ms.map(Duration::from_millis).filter(|limit| told.gap > *limit)
        {
            oracle.violation(format!("{}: no write for {:?}, promised {limit:?}", told.label, told.gap));
        }
        for effect in told.seen.effects.iter().filter(|effect| !effect.took) {
            oracle.violation(format!("{}: not as it must be: {}", told.label, effect.what));
        }
        if told.seen.effects.is_empty() {
            report.doubts.push(format!("{} was not seen to its end", told.label));
        }
        if let (Some(load), Some(percent)) = (scenario.load, promises.rate_percent) {
            let least = f64::from(load.writes_per_second) * f64::from(percent) / 100.0;
            if told.rate < least {
                report
                    .doubts
                    .push(format!("{}: {:.0} writes/s, and {least:.0} were to be", told.label, told.rate));
            }
        }
    }
    let errors = report.load.as_ref().map_or(0, |counts| counts.errors);
    if let Some(limit) = promises.errors.filter(|limit| errors > *limit) {
        oracle.violation(format!("{errors} requests failed twice, promised {limit}"));
    }
}
