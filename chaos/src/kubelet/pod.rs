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

mod run;

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
    /// Whether it was answered that what it asks for is not there.
    is_misread: bool,
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
    /// A probe asks for what there is not: that is no failure of the container.
    Probe,
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

    /// Whether its memory is bounded, if it asks for that.
    pub(crate) fn has_memory_bound(&self) -> bool {
        let asks =
            self.spec.containers.first().is_some_and(|one| one.resources.limits.contains_key("memory"));
        self.memory.is_some() || !asks
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
