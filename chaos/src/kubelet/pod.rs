//! A pod and its containers, from the first that starts to the last that has ended: what kubelet does.
//!
//! ```text
//!  no machine -> init containers, one after the other -> containers, all at once <-> restarted, ever later
//!                                                              |
//!                  deleted: preStop, SIGTERM, and SIGKILL when the time for both is over -> gone
//! ```
//!
//! [`Pod::turn`] is called again and again and never waits: what takes long (a probe, a hook) is done by threads.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::container::{self, ContainerError, Order};
use super::environment::{self, EnvironmentError, Facts, Stores};
use super::image::{self, Image};
use super::probe::{Course, Kind, Situation};
use super::prober::Whom;
use super::template::{Action, Container, Labels, PodSpec, Probe};
use super::volume::{self, Places, Ready, VolumeError};
use crate::memory::MemoryGroup;
use crate::network::{CLIENTS_ADDRESS, Network, address};

/// How long until a container is started again that has ended a second time; doubled each time.
const BACK_OFF: Duration = Duration::from_secs(10);
const BACK_OFF_MAX: Duration = Duration::from_secs(300);
/// A container that ran so long starts at the beginning of that again.
const RAN_WELL: Duration = Duration::from_secs(600);
/// What is left after a hook that took all the time.
const GRACE_MIN: Duration = Duration::from_secs(2);

/// Whose pod it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// Of which state of the template it was made.
    pub(crate) revision: u64,
    pub(crate) ordinal: usize,
}

/// Where a pod has come to be.
#[derive(Debug)]
pub(crate) struct Place {
    /// Of the machines.
    pub(crate) machine: usize,
    /// Of the namespaces of the network.
    pub(crate) slot: usize,
}

/// What a pod needs of what is around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) network: &'a Network,
    pub(crate) stores: Stores<'a>,
    pub(crate) image: &'a Image,
    pub(crate) program: &'a Path,
    pub(crate) home: &'a Path,
}

/// A pod.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) owner: Owner,
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    pub(crate) spec: Arc<PodSpec>,
    /// Of its own for each of these names.
    claims: Vec<String>,
    uid: u64,
    pub(crate) place: Option<Place>,
    /// The machine's name and labels.
    machine: (String, Labels),
    init: Vec<Run>,
    runs: Vec<Run>,
    pub(crate) deleted: Option<Deletion>,
    /// Since when it is ready.
    pub(crate) ready_since: Option<Instant>,
    /// Whether its machine has not been heard of for long.
    pub(crate) is_lost: bool,
    /// Why it is not where it is to be.
    pub(crate) why: String,
    volumes: BTreeMap<String, Ready>,
    memory: Option<MemoryGroup>,
}

/// The end of a pod.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deletion {
    pub(crate) at: Instant,
    pub(crate) grace: Duration,
}

/// A container of a pod.
#[derive(Debug)]
struct Run {
    spec: Container,
    state: State,
    restarts: u32,
    back_off: Duration,
}

#[derive(Debug)]
enum State {
    /// To be started, not before this.
    Waiting(Option<Instant>),
    Running(Box<Running>),
    /// Not to be started again; whether it ended well.
    Over(bool),
}

#[derive(Debug)]
struct Running {
    container: container::Container,
    since: Instant,
    probes: Vec<Asked>,
    ending: Option<Ending>,
}

/// A probe that is asked.
#[derive(Debug)]
struct Asked {
    kind: Kind,
    probe: Probe,
    course: Course,
    next: Instant,
    answer: Option<Receiver<(bool, String)>>,
}

/// The end of a container.
#[derive(Debug)]
struct Ending {
    began: Instant,
    hook: Option<Receiver<(bool, String)>>,
    /// When the time is over.
    until: Instant,
    /// When it is killed; once it was told to end.
    kill: Option<Instant>,
    was_killed: bool,
}

/// Something that has happened to a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) pod: String,
    pub(crate) what: String,
    pub(crate) concern: Concern,
}

/// What may be wrong about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Concern {
    /// Nothing.
    None,
    /// A container ended that nobody had told to.
    ByItself,
    /// It was told to, and did not end well.
    Badly,
    /// It did not end in time.
    Killed,
    /// Its preStop hook failed, or took all the time.
    Hook,
    /// It could not be started.
    Start,
}

impl Event {
    fn of(pod: &str, concern: Concern, what: String) -> Self {
        Self { pod: pod.to_owned(), what, concern }
    }
}

/// A pod did not get its containers.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error(transparent)]
    Container(#[from] ContainerError),
    #[error("its files")]
    Files(#[from] std::io::Error),
}

impl Pod {
    /// A pod without a place.
    pub(crate) fn new(
        name: String,
        namespace: String,
        owner: Owner,
        template: &super::template::Template,
        claims: Vec<String>,
        uid: u64,
    ) -> Self {
        let run = |spec: &Container| Run {
            spec: spec.clone(),
            state: State::Waiting(None),
            restarts: 0,
            back_off: Duration::ZERO,
        };
        let spec = Arc::new(template.spec.clone());
        Self {
            name,
            namespace,
            owner,
            labels: template.metadata.labels.clone(),
            annotations: template.metadata.annotations.clone(),
            claims,
            uid,
            place: None,
            machine: (String::new(), Labels::new()),
            init: spec.init_containers.iter().map(run).collect(),
            runs: spec.containers.iter().map(run).collect(),
            spec,
            deleted: None,
            ready_since: None,
            is_lost: false,
            why: "it has no node yet".to_owned(),
            volumes: BTreeMap::new(),
            memory: None,
        }
    }

    /// Its address, once it has a place.
    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        self.place.as_ref().map(|place| address(place.slot))
    }

    /// Whether all that it has answers that it is ready, as far as is known.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready_since.is_some() && !self.is_lost
    }

    /// How often its containers were started again.
    pub(crate) fn restarts(&self) -> u32 {
        self.runs.iter().chain(&self.init).map(|run| run.restarts).sum()
    }

    /// Whether any of its containers runs.
    pub(crate) fn runs(&self) -> bool {
        self.runs.iter().chain(&self.init).any(|run| matches!(run.state, State::Running(_)))
    }

    /// Failures that the probe of a kind has met, of the containers that run now.
    pub(crate) fn failures(&self, kind: Kind) -> u32 {
        let running = self.runs.iter().filter_map(|run| match &run.state {
            State::Running(running) => Some(running),
            State::Waiting(_) | State::Over(_) => None,
        });
        running
            .flat_map(|one| &one.probes)
            .filter(|asked| asked.kind == kind)
            .map(|asked| asked.course.failures)
            .sum()
    }

    /// Gives it a machine and a namespace of the network.
    pub(crate) fn settle(&mut self, machine: usize, slot: usize, name: &str, labels: &Labels) {
        self.place = Some(Place { machine, slot });
        self.machine = (name.to_owned(), labels.clone());
        // As Kubernetes has it from 1.35 on.
        let of_place = labels.iter().filter(|(key, _)| key.starts_with("topology.kubernetes.io/"));
        self.labels.extend(of_place.map(|(key, value)| (key.clone(), value.clone())));
        self.why = "its containers are not started yet".to_owned();
        let limit = self.spec.containers.first().and_then(|one| one.resources.limits.get("memory"));
        let limit = limit.and_then(environment::milli).and_then(|milli| u64::try_from(milli / 1000).ok());
        // Where groups cannot be made there is no bound.
        self.memory = limit.and_then(|limit| {
            let group = MemoryGroup::create(slot).ok()?;
            group.limit(limit).ok().filter(|set| *set).map(|_| group)
        });
    }

    /// Whether its memory is bounded as it asks for.
    pub(crate) fn has_memory_bound(&self) -> bool {
        self.memory.is_some()
    }

    /// Marks it as one that is to end, if it was not before; a shorter time counts.
    pub(crate) fn delete(&mut self, now: Instant, grace: Duration) {
        let grace = self.deleted.map_or(grace, |before| before.grace.min(grace));
        let at = self.deleted.map_or(now, |before| before.at);
        self.deleted = Some(Deletion { at, grace });
    }

    /// Its machine has lost its power: nothing of it runs any more, and nobody was told.
    pub(crate) fn lose_power(&mut self) {
        for run in self.runs.iter_mut().chain(&mut self.init) {
            if matches!(run.state, State::Running(_)) {
                run.state = State::Waiting(None);
                run.restarts += 1;
            }
        }
    }

    /// Sends its first container a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), ContainerError> {
        for run in &self.runs {
            if let State::Running(running) = &run.state {
                return running.container.signal(signal);
            }
        }
        Ok(())
    }

    /// Whether nothing of it is left, after it was deleted.
    pub(crate) fn is_gone(&self) -> bool {
        self.deleted.is_some() && !self.runs()
    }

    /// Where its files are.
    fn home(&self, around: &Around<'_>) -> PathBuf {
        around.home.join("pods").join(format!("{}-{}", self.name, self.uid))
    }

    /// Removes its files: what does not outlive it.
    pub(crate) fn clear(&self, around: &Around<'_>) {
        // What is left goes with the run.
        drop(std::fs::remove_dir_all(self.home(around)));
    }

    /// What its containers say goes there.
    pub(crate) fn log(&self, around: &Around<'_>, container: &str) -> PathBuf {
        around.home.join("logs").join(format!("{}-{container}.log", self.name))
    }

    /// Does what is due. Answers what has happened.
    pub(crate) fn turn(&mut self, now: Instant, around: &Around<'_>) -> Vec<Event> {
        let mut events = Vec::new();
        let Some(place) = &self.place else { return events };
        let slot = place.slot;
        if self.deleted.is_none() {
            self.start_due(now, slot, around, &mut events);
        }
        let is_ending = self.deleted.is_some();
        for at in 0..self.init.len() + self.runs.len() {
            let is_init = at < self.init.len();
            let run = if is_init { &mut self.init[at] } else { &mut self.runs[at - self.init.len()] };
            run.turn(
                now,
                address(slot),
                &self.name,
                &self.spec,
                self.deleted,
                is_init,
                is_ending,
                &mut events,
            );
        }
        let ready = !self.runs.is_empty() && self.runs.iter().all(Run::is_ready);
        match (ready, self.ready_since) {
            (true, None) => {
                self.ready_since = Some(now);
                events.push(Event::of(&self.name, Concern::None, "ready".to_owned()));
            }
            (false, Some(_)) => {
                self.ready_since = None;
                events.push(Event::of(&self.name, Concern::None, "not ready".to_owned()));
            }
            _ => {}
        }
        events
    }

    /// Starts what is to be started.
    fn start_due(&mut self, now: Instant, slot: usize, around: &Around<'_>, events: &mut Vec<Event>) {
        let next = self.init.iter().position(|run| !matches!(run.state, State::Over(true)));
        let due = |run: &Run| matches!(run.state, State::Waiting(at) if at.is_none_or(|at| at <= now));
        let places: Vec<(bool, usize)> = match next {
            Some(at) => vec![(true, at)],
            None => (0..self.runs.len()).map(|at| (false, at)).collect(),
        };
        for (is_init, at) in places {
            let run = if is_init { &self.init[at] } else { &self.runs[at] };
            if !due(run) {
                continue;
            }
            let spec = run.spec.clone();
            let started = self.start(&spec, slot, around);
            let run = if is_init { &mut self.init[at] } else { &mut self.runs[at] };
            match started {
                Ok(container) => {
                    let probes = if is_init { Vec::new() } else { Asked::all(&spec, now) };
                    let running = Running { container, since: now, probes, ending: None };
                    run.state = State::Running(Box::new(running));
                    self.why = "its containers are not ready".to_owned();
                    events.push(Event::of(
                        &self.name,
                        Concern::None,
                        format!("container {} started", spec.name),
                    ));
                }
                Err(error) => {
                    self.why = crate::run::chain(&error);
                    let what = format!("container {}: {}", spec.name, self.why);
                    events.push(Event::of(&self.name, Concern::Start, what));
                    run.state = State::Waiting(Some(now + BACK_OFF));
                }
            }
        }
    }

    fn facts(&self, slot: usize) -> Facts {
        Facts {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            uid: format!("{:08x}-0000-4000-8000-000000000000", self.uid),
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            node: self.machine.0.clone(),
            account: self.spec.service_account_name.clone(),
            address: address(slot),
            host: CLIENTS_ADDRESS,
        }
    }

    fn start(
        &mut self,
        spec: &Container,
        slot: usize,
        around: &Around<'_>,
    ) -> Result<container::Container, StartError> {
        let facts = self.facts(slot);
        let home = self.home(around);
        if self.volumes.is_empty() {
            let places = Places { claims: around.home.join("claims"), pod: home.clone() };
            self.volumes = volume::make(&self.spec, &self.claims, &facts, around.stores, &places)?;
        }
        let all: Vec<&Container> = self.spec.containers.iter().chain(&self.spec.init_containers).collect();
        let known = environment::environment(&[], spec, &all, &facts, around.stores)?;
        let words = environment::words(&around.image.entry_point, &around.image.command, spec, &known);
        let environment =
            environment::environment(&around.image.environment, spec, &all, &facts, around.stores)?;
        let etc = home.join("etc");
        self.write_etc(&etc, slot)?;
        let mounts = spec.volume_mounts.iter().map(|mount| {
            let volume = self.volumes.get(&mount.name).cloned();
            let volume = volume.ok_or_else(|| VolumeError::NoVolume(mount.name.clone()))?;
            Ok((volume, mount.mount_path.clone(), mount.sub_path.clone(), mount.read_only))
        });
        let mounts = mounts.collect::<Result<Vec<_>, VolumeError>>()?;
        let (own, of_pod) = (&spec.security_context, &self.spec.security_context);
        let user = own.run_as_user.or(of_pod.run_as_user).unwrap_or(around.image.user);
        let container_home = home.join("containers").join(&spec.name);
        let log = self.log(around, &spec.name);
        if let Some(logs) = log.parent() {
            std::fs::create_dir_all(logs)?;
        }
        let order = Order {
            name: &spec.name,
            host_name: &self.name,
            namespace: &around.network.node_namespace(slot),
            words,
            environment,
            program: around.program,
            user,
            group: own.run_as_group.or(of_pod.run_as_group).unwrap_or(user),
            more_groups: of_pod.fs_group,
            is_read_only: own.read_only_root_filesystem,
            mounts,
            etc: &etc,
            home: &container_home,
            log: &log,
            memory: self.memory.as_ref(),
        };
        Ok(container::Container::start(&order)?)
    }

    /// How it resolves names, and who it is.
    fn write_etc(&self, etc: &Path, slot: usize) -> std::io::Result<()> {
        std::fs::create_dir_all(etc)?;
        let (namespace, domain) = (&self.namespace, super::service::DOMAIN);
        let cluster = domain.trim_start_matches("svc.");
        let resolv = format!(
            "nameserver {CLIENTS_ADDRESS}\nsearch {namespace}.{domain} {domain} {cluster}\noptions ndots:5\n"
        );
        let files = [
            ("resolv.conf", resolv),
            ("nsswitch.conf", "hosts: files dns\n".to_owned()),
            ("hosts", format!("127.0.0.1 localhost\n{} {}\n", address(slot), self.name)),
            ("hostname", format!("{}\n", self.name)),
            ("passwd", "root:x:0:0::/:/none\nnonroot:x:65532:65532::/:/none\n".to_owned()),
            ("group", "root:x:0:\nnonroot:x:65532:\n".to_owned()),
        ];
        files.into_iter().try_for_each(|(name, text)| std::fs::write(etc.join(name), text))
    }

    /// Containers whose image is not the product's; nothing can run them here.
    pub(crate) fn strangers(spec: &PodSpec) -> Vec<&str> {
        let all = spec.containers.iter().chain(&spec.init_containers);
        all.map(|one| one.image.as_str()).filter(|name| !image::is_ours(name)).collect()
    }
}

impl Asked {
    /// The probes of a container that starts now.
    fn all(spec: &Container, now: Instant) -> Vec<Self> {
        let probes = [
            (Kind::Startup, &spec.startup_probe),
            (Kind::Liveness, &spec.liveness_probe),
            (Kind::Readiness, &spec.readiness_probe),
        ];
        let one = |(kind, probe): (Kind, &Option<Probe>)| {
            let probe = probe.clone()?;
            let course = Course::new(kind, &probe);
            Some(Self { kind, probe, course, next: now, answer: None })
        };
        probes.into_iter().filter_map(one).collect()
    }

    /// Takes an answer that has come, and asks when it is time. Answers whether the container must be restarted, and why.
    fn turn(&mut self, now: Instant, situation: Situation, whom: &dyn Fn() -> Whom) -> Option<String> {
        if let Some(answer) = &self.answer {
            let (good, said) = match answer.try_recv() {
                Ok(answer) => answer,
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => (false, "the probe did not end".to_owned()),
            };
            self.answer = None;
            // The container that was asked is to end, and others judge it no more.
            let counts = !situation.is_ending || self.kind == Kind::Readiness;
            if counts && self.course.take(good) {
                return Some(format!("{:?} probe failed: {said}", self.kind));
            }
        }
        if now < self.next {
            return None;
        }
        let period = Duration::from_secs(self.probe.period_seconds.max(1));
        self.next = (self.next + period).max(now);
        if self.course.asks(situation) {
            let limit = Duration::from_secs(self.probe.timeout_seconds.max(1));
            self.answer = Some(ask(whom(), self.probe.action.clone(), limit));
        }
        None
    }
}

/// Asks in a thread of its own.
fn ask(whom: Whom, action: Action, limit: Duration) -> Receiver<(bool, String)> {
    let (sender, receiver) = channel();
    let ask = move || {
        // Nobody waits for it once the container is no more.
        drop(sender.send(whom.ask(&action, limit)));
    };
    // Without a thread the other end hears that no answer will come.
    drop(std::thread::Builder::new().name("probe".to_owned()).spawn(ask));
    receiver
}

impl Run {
    fn is_ready(&self) -> bool {
        let State::Running(running) = &self.state else { return false };
        running.has_started() && running.result(Kind::Readiness) != Some(false)
    }

    /// Does what is due of a container.
    #[expect(clippy::too_many_arguments, reason = "what is known of its pod")]
    fn turn(
        &mut self,
        now: Instant,
        at: Ipv4Addr,
        pod: &str,
        of_pod: &PodSpec,
        deleted: Option<Deletion>,
        is_init: bool,
        is_ending: bool,
        events: &mut Vec<Event>,
    ) {
        let State::Running(running) = &mut self.state else { return };
        if let Some(status) = running.container.ended() {
            let age = now.saturating_duration_since(running.since);
            let was_killed = running.ending.as_ref().is_some_and(|ending| ending.was_killed);
            // `unshare` does not always tell by which signal.
            let how = if was_killed { "killed".to_owned() } else { status.to_string() };
            let (concern, when) = match &running.ending {
                None if is_init && status.success() => (Concern::None, "well".to_owned()),
                None => (Concern::ByItself, "by itself".to_owned()),
                Some(ending) => {
                    let took = now.saturating_duration_since(ending.began).as_secs_f64();
                    // That it was killed was said.
                    let is_well = ending.was_killed || status.success();
                    let concern = if is_well { Concern::None } else { Concern::Badly };
                    (concern, format!("{took:.2} s after it was told to"))
                }
            };
            events.push(Event::of(pod, concern, format!("container {} ended {when}: {how}", self.spec.name)));
            let never = of_pod.restart_policy.as_deref() == Some("Never");
            if is_ending || never || (is_init && status.success()) {
                self.state = State::Over(status.success());
                return;
            }
            // The first time at once, then ever later.
            if age >= RAN_WELL {
                self.back_off = Duration::ZERO;
            }
            self.state = State::Waiting(Some(now + self.back_off));
            self.back_off = (self.back_off * 2).clamp(BACK_OFF, BACK_OFF_MAX);
            self.restarts += 1;
            return;
        }
        let whom = || Whom { address: at, container: self.spec.clone(), entry: running.container.entry() };
        let situation = Situation {
            age: now.saturating_duration_since(running.since),
            has_started: running.has_started(),
            is_ending: is_ending || running.ending.is_some(),
        };
        let hook = self.spec.lifecycle.pre_stop.as_ref();
        let mut grace = deleted.map(|deleted| (deleted.at, deleted.grace));
        let mut restart = None;
        for asked in &mut running.probes {
            if let Some(why) = asked.turn(now, situation, &whom) {
                let own = asked.probe.termination_grace_period_seconds.map(Duration::from_secs);
                grace = grace.or_else(|| Some((now, own.unwrap_or_else(|| of_pod.grace()))));
                restart = Some(why);
            }
        }
        if !situation.has_started && running.has_started() {
            // Whoever has started is asked at once whether it is ready.
            for asked in running.probes.iter_mut().filter(|asked| asked.kind == Kind::Readiness) {
                asked.next = now;
            }
        }
        if let Some(why) = restart {
            let what = format!("container {} is to be restarted: {why}", self.spec.name);
            events.push(Event::of(pod, Concern::None, what));
        }
        let begins = running.ending.is_none();
        if let Some((began, grace)) = grace.filter(|_| begins) {
            let hook = hook.filter(|_| !grace.is_zero()).map(|action| ask(whom(), action.clone(), grace));
            running.ending =
                Some(Ending { began, hook, until: began + grace, kill: None, was_killed: false });
        }
        if let (Some(ending), Some(deleted)) = (&mut running.ending, deleted) {
            // It may have been made shorter.
            ending.until = ending.until.min(deleted.at + deleted.grace);
            if let Some(kill) = &mut ending.kill {
                *kill = (*kill).min(ending.until.max(now));
            }
        }
        running.end(now, pod, &self.spec.name, events);
    }
}

impl Running {
    fn result(&self, kind: Kind) -> Option<bool> {
        let asked = self.probes.iter().find(|asked| asked.kind == kind);
        // What has no probe of a kind is as well as can be.
        asked.map_or(Some(true), |asked| asked.course.result)
    }

    fn has_started(&self) -> bool {
        self.result(Kind::Startup) == Some(true)
    }

    /// Goes on with ending it, if it is to end.
    fn end(&mut self, now: Instant, pod: &str, name: &str, events: &mut Vec<Event>) {
        let Some(ending) = &mut self.ending else { return };
        if let Some(kill) = ending.kill {
            if now >= kill && !ending.was_killed {
                ending.was_killed = true;
                events.push(Event::of(pod, Concern::Killed, format!("container {name} is killed")));
                // It may have ended meanwhile.
                drop(self.container.signal(Signal::KILL));
            }
            return;
        }
        if let Some(hook) = &ending.hook {
            match hook.try_recv() {
                Err(TryRecvError::Empty) if now < ending.until => return,
                Ok((good, said)) => {
                    let took = now.saturating_duration_since(ending.began).as_secs_f64();
                    let (how, concern) =
                        if good { ("done", Concern::None) } else { ("FAILED", Concern::Hook) };
                    events.push(Event::of(pod, concern, format!("preStop {how} after {took:.2} s: {said}")));
                }
                Err(_) => {
                    let what = "preStop took all the time that there was".to_owned();
                    events.push(Event::of(pod, Concern::Hook, what));
                }
            }
            ending.hook = None;
        }
        let is_now = ending.until <= ending.began;
        let least = if is_now { now } else { now + GRACE_MIN };
        ending.kill = Some(ending.until.max(least));
        if !is_now {
            // It may have ended meanwhile.
            drop(self.container.signal(Signal::TERM));
        }
    }
}
