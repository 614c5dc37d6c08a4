//! The miniature itself: machines, pods, and what controllers, scheduler, kubelets and Services do with them, again and again
//! in a thread; and what can be asked of it from outside, as of an API server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::admission::{self, Change};
use super::controller::{self, Do, Fleet, Seen, Set};
use super::disruption::{Budget, Counted, Victim, scaled, scaled_down};
use super::environment::Stores;
use super::image::Image;
use super::manifest::{DeploymentSpec, Management, Manifests, Object, StatefulSetSpec};
use super::pod::{Around, Concern, Event, Owner, Pod};
use super::probe::Kind;
use super::schedule::{self, Machine, Placed};
use super::service::{Endpoint, Service};
use super::template::{PodSpec, Template};
use super::volume::{claim_name, claim_path};
use crate::clock::{now, pause};
use crate::name_server::NameServer;
use crate::network::{CLIENTS_ADDRESS, NOBODY, Network, NetworkError};

mod turn;

/// How often everything is looked at.
const TURN: Duration = Duration::from_millis(20);
/// Network namespaces; a pod that comes gets the one that has been free for longest, so another address than before.
const SLOTS: usize = 20;
/// Addresses of Services: the last octet of the first.
const SERVICES: u8 = 101;
/// Zones, and machines in each: so that a pod whose machine is drained has another in the zone of its volume.
const ZONES: [&str; 3] = ["a", "b", "c"];
const MACHINES_EACH: usize = 2;
/// The kinds of owners.
const SET: &str = "StatefulSet";
const FLEET: &str = "Deployment";

/// The miniature could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorldError {
    /// Namespaces and addresses.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A thread, socket or directory.
    #[error("{0}")]
    Machine(&'static str, #[source] std::io::Error),
    /// The manifests forbid themselves.
    #[error("{0}")]
    Refused(String),
}

/// How the miniature differs from others.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// From a change of a pod until Services follow it.
    pub(crate) propagation: Duration,
    /// How long a machine may be silent until its pods count as lost.
    pub(crate) machine_silence: Duration,
    pub(crate) image: Image,
    pub(crate) program: PathBuf,
    pub(crate) home: PathBuf,
}

/// A running miniature; it ends when dropped.
#[derive(Debug)]
pub(crate) struct World {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    ends: AtomicBool,
}

/// A StatefulSet or Deployment, with the state of its template.
#[derive(Debug)]
struct Controlled<S> {
    object: Object<S>,
    revision: u64,
    /// The template of before.
    previous: Option<Template>,
}

#[derive(Debug)]
struct State {
    // Pods and Services end before the network that they are in.
    pods: Vec<Pod>,
    services: Vec<Service>,
    names: NameServer,
    network: Network,
    manifests: Manifests,
    settings: Settings,
    machines: Vec<Machine>,
    /// Since when machines are without power.
    dark: BTreeMap<usize, Instant>,
    sets: Vec<Controlled<StatefulSetSpec>>,
    fleets: Vec<Controlled<DeploymentSpec>>,
    slots: VecDeque<usize>,
    /// The zone of each volume.
    claims: BTreeMap<(String, String), String>,
    /// Volumes that go with the pods that have them.
    doomed: BTreeSet<(String, String)>,
    made: u64,
    origin: Instant,
    events: Vec<(Duration, Event)>,
}

/// A pod as it can be seen from outside.
#[derive(Debug, Clone)]
pub(crate) struct PodView {
    pub(crate) name: String,
    pub(crate) owner: Owner,
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) machine: String,
    pub(crate) zone: String,
    pub(crate) is_ready: bool,
    pub(crate) is_ending: bool,
    pub(crate) is_new: bool,
    pub(crate) runs: bool,
    pub(crate) restarts: u32,
    pub(crate) liveness_failures: u32,
    pub(crate) startup_failures: u32,
    pub(crate) has_memory_bound: bool,
    pub(crate) why: String,
}

impl World {
    /// Starts it with nothing in it but machines. The calling thread goes to the clients' namespace.
    pub(crate) fn start(manifests: Manifests, settings: Settings) -> Result<Self, WorldError> {
        let network = Network::create(SLOTS)?;
        let names = NameServer::start(CLIENTS_ADDRESS, NOBODY)
            .map_err(|source| WorldError::Machine("the name server", source))?;
        let specs: Vec<&PodSpec> =
            manifests.stateful_sets.iter().map(|set| &set.spec.template.spec).collect();
        let machines = Machine::fleet(&ZONES, MACHINES_EACH, &schedule::wanted(&specs));
        let state = State {
            pods: Vec::new(),
            services: Vec::new(),
            names,
            network,
            manifests,
            settings,
            machines,
            dark: BTreeMap::new(),
            sets: Vec::new(),
            fleets: Vec::new(),
            slots: (0..SLOTS).collect(),
            claims: BTreeMap::new(),
            doomed: BTreeSet::new(),
            made: 0,
            origin: now(),
            events: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), ends: AtomicBool::new(false) });
        let turning = Arc::clone(&shared);
        let turn = move || {
            while !turning.ends.load(Ordering::Relaxed) {
                turning.state.lock().expect("no holder panics").turn(now());
                pause(TURN);
            }
        };
        let thread = std::thread::Builder::new().name("kubelet".to_owned()).spawn(turn);
        let thread =
            Some(thread.map_err(|source| WorldError::Machine("the thread of the kubelets", source))?);
        Ok(Self { shared, thread })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no holder panics")
    }

    /// Makes all objects of the manifests, if their policies allow it.
    pub(crate) fn apply(&self) -> Result<(), WorldError> {
        self.state().apply()
    }

    /// All pods.
    pub(crate) fn pods(&self) -> Vec<PodView> {
        let state = self.state();
        state.pods.iter().map(|pod| state.view(pod)).collect()
    }

    /// What has happened, and when after the start.
    pub(crate) fn events(&self) -> Vec<(Duration, Event)> {
        self.state().events.clone()
    }

    /// How long it has been there.
    pub(crate) fn elapsed(&self) -> Duration {
        now().saturating_duration_since(self.state().origin)
    }

    /// Where a Service is, and how many pods are behind it now.
    pub(crate) fn service(&self, name: &str) -> Option<(String, usize)> {
        let state = self.state();
        let service = state.services.iter().find(|one| one.name() == name)?;
        let address = service.address?;
        Some((format!("http://{address}:{}", service.first_port()), service.backends()))
    }

    /// A value of a Secret of the namespace that a StatefulSet is in.
    pub(crate) fn secret(&self, set: &str, name: &str, key: &str) -> Option<String> {
        let state = self.state();
        let namespace =
            &state.sets.iter().find(|one| one.object.metadata.name == set)?.object.metadata.namespace;
        let contents = state.manifests.secrets.get(&(namespace.clone(), name.to_owned()))?;
        contents.get(key).map(|value| String::from_utf8_lossy(value).trim().to_owned())
    }

    /// How many pods a StatefulSet is to have, and how it differs from what it was made of.
    pub(crate) fn replicas(&self, set: &str) -> usize {
        let state = self.state();
        let found = state.sets.iter().find(|one| one.object.metadata.name == set);
        found.map_or(0, |one| one.object.spec.replicas.unwrap_or(1))
    }

    /// Changes the number of pods of a StatefulSet: by `kubectl scale`, or else by `kubectl patch`.
    pub(crate) fn scale(&self, set: &str, replicas: usize, by_scale: bool) -> Result<(), String> {
        self.state().scale(set, replicas, by_scale)
    }

    /// Changes a key of a ConfigMap in the namespace that a StatefulSet is in.
    pub(crate) fn set_config(&self, set: &str, name: &str, key: &str, value: &str) -> Result<(), String> {
        self.state().set_config(set, name, key, value)
    }

    /// Gives a StatefulSet another order in which pods come: as one that is deleted without its pods and made anew.
    pub(crate) fn manage(&self, set: &str, management: Management) {
        let mut state = self.state();
        for one in state.sets.iter_mut().filter(|one| one.object.metadata.name == set) {
            one.object.spec.pod_management_policy = management;
        }
    }

    /// As `kubectl rollout restart`.
    pub(crate) fn restart(&self, set: &str) {
        let mut state = self.state();
        if let Some(one) = state.sets.iter_mut().find(|one| one.object.metadata.name == set) {
            let template = &mut one.object.spec.template;
            one.previous = Some(template.clone());
            one.revision += 1;
            let at = format!("{}", one.revision);
            template.metadata.annotations.insert("kubectl.kubernetes.io/restartedAt".to_owned(), at);
        }
    }

    /// Asks for the eviction of a pod.
    pub(crate) fn evict(&self, pod: &str) -> Result<(), String> {
        self.state().evict(pod, now())
    }

    /// Deletes a pod, in the time that it has for its end or in this.
    pub(crate) fn delete(&self, pod: &str, grace: Option<Duration>) {
        let mut state = self.state();
        state.note(pod, "deleted");
        if let Some(pod) = state.pods.iter_mut().find(|one| one.name == pod) {
            let grace = grace.unwrap_or_else(|| pod.spec.grace());
            pod.delete(now(), grace);
        }
    }

    /// Deletes the volumes of a pod; they go when the pod does.
    pub(crate) fn delete_claims(&self, pod: &str) {
        self.state().doom_claims(pod);
    }

    /// Whether a machine takes new pods.
    pub(crate) fn cordon(&self, machine: &str, is_cordoned: bool) {
        let mut state = self.state();
        for one in state.machines.iter_mut().filter(|one| one.name == machine) {
            one.is_cordoned = is_cordoned;
        }
    }

    /// Takes the power of all machines of a zone, or gives it back.
    pub(crate) fn power(&self, zone: &str, on: bool) -> Result<(), WorldError> {
        self.state().power(zone, on, now())
    }

    /// Sends the process of a pod a signal.
    pub(crate) fn signal(&self, pod: &str, signal: Signal) -> Result<(), String> {
        let state = self.state();
        let pod =
            state.pods.iter().find(|one| one.name == pod && one.deleted.is_none()).ok_or("no such pod")?;
        pod.signal(signal).map_err(|error| crate::run::chain(&error))
    }

    /// What budgets say of the pods of a StatefulSet: how many may be taken away.
    pub(crate) fn disruptions_allowed(&self, set: &str) -> Option<usize> {
        let state = self.state();
        let pod = state.pods.iter().find(|pod| pod.owner.name == set)?;
        state.budgets_of(pod).map(|(budget, _)| budget.allowed).min()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // If it has panicked, that was said.
            drop(thread.join());
        }
    }
}

impl State {
    /// Keeps what has happened to a pod, or to something else.
    fn note(&mut self, pod: &str, what: &str) {
        self.keep(Event { pod: pod.to_owned(), what: what.to_owned(), concern: Concern::None });
    }

    fn keep(&mut self, event: Event) {
        let at = now().saturating_duration_since(self.origin);
        self.events.push((at, event));
    }

    fn view(&self, pod: &Pod) -> PodView {
        let machine = pod.place.as_ref().map(|place| &self.machines[place.machine]);
        PodView {
            name: pod.name.clone(),
            owner: pod.owner.clone(),
            address: pod.address(),
            machine: machine.map_or_else(String::new, |machine| machine.name.clone()),
            zone: machine.map_or_else(String::new, |machine| machine.zone().to_owned()),
            is_ready: pod.is_ready() && pod.deleted.is_none(),
            is_ending: pod.deleted.is_some(),
            is_new: self.revision_of(&pod.owner) == Some(pod.owner.revision),
            runs: pod.runs(),
            restarts: pod.restarts(),
            liveness_failures: pod.failures(Kind::Liveness),
            startup_failures: pod.failures(Kind::Startup),
            has_memory_bound: pod.has_memory_bound(),
            why: pod.why.clone(),
        }
    }

    fn revision_of(&self, owner: &Owner) -> Option<u64> {
        let of_set = self.sets.iter().find(|one| owner.kind == SET && one.object.metadata.name == owner.name);
        let of_fleet =
            self.fleets.iter().find(|one| owner.kind == FLEET && one.object.metadata.name == owner.name);
        of_set.map(|one| one.revision).or_else(|| of_fleet.map(|one| one.revision))
    }

    fn apply(&mut self) -> Result<(), WorldError> {
        for (kind, resource) in [("ConfigMap", "configmaps"), (SET, "statefulsets"), (FLEET, "deployments")] {
            for ((_, _), object) in self.manifests.raw.iter().filter(|((of, _), _)| of == kind) {
                let change =
                    Change { resource, operation: "CREATE", object: object.clone(), old: Value::Null };
                admission::admit(&self.manifests, &change).map_err(WorldError::Refused)?;
            }
        }
        let mut next = SERVICES;
        for object in self.manifests.services.clone() {
            let is_headless = object.spec.cluster_ip == "None";
            let address = (!is_headless).then(|| Ipv4Addr::new(10, 88, 0, next));
            if let Some(address) = address {
                next += 1;
                self.network.add_clients_address(address)?;
            }
            let service =
                Service::open(object, address).map_err(|source| WorldError::Machine("a Service", source))?;
            self.services.push(service);
        }
        for object in self.manifests.stateful_sets.clone() {
            if Pod::strangers(&object.spec.template.spec).is_empty() {
                self.sets.push(Controlled { object, revision: 1, previous: None });
            }
        }
        for mut object in self.manifests.deployments.clone() {
            let scales = |one: &&Object<super::manifest::AutoscalerSpec>| {
                one.spec.scale_target_ref.name == object.metadata.name
                    && one.metadata.namespace == object.metadata.namespace
            };
            let least = self.manifests.autoscalers.iter().find(scales).and_then(|one| one.spec.min_replicas);
            object.spec.replicas = Some(object.spec.replicas.unwrap_or(1).max(least.unwrap_or(0)));
            if Pod::strangers(&object.spec.template.spec).is_empty() {
                self.fleets.push(Controlled { object, revision: 1, previous: None });
            }
        }
        self.note("", "applied");
        Ok(())
    }

    fn scale(&mut self, set: &str, replicas: usize, by_scale: bool) -> Result<(), String> {
        let found = self.sets.iter().position(|one| one.object.metadata.name == set);
        let at = found.ok_or_else(|| format!("there is no StatefulSet {set}"))?;
        let namespace = self.sets[at].object.metadata.namespace.clone();
        let before = self.sets[at].object.spec.replicas.unwrap_or(1);
        let change = if by_scale {
            let object = admission::scale(&namespace, set, replicas);
            let old = admission::scale(&namespace, set, before);
            Change { resource: "statefulsets/scale", operation: "UPDATE", object, old }
        } else {
            let key = (SET.to_owned(), (namespace, set.to_owned()));
            let old = self.manifests.raw.get(&key).cloned().unwrap_or_default();
            let mut object = old.clone();
            object["spec"]["replicas"] = replicas.into();
            Change { resource: "statefulsets", operation: "UPDATE", object, old }
        };
        admission::admit(&self.manifests, &change)?;
        self.sets[at].object.spec.replicas = Some(replicas);
        self.note(set, &format!("{replicas} replicas"));
        Ok(())
    }

    fn set_config(&mut self, set: &str, name: &str, key: &str, value: &str) -> Result<(), String> {
        let found = self.sets.iter().find(|one| one.object.metadata.name == set);
        let namespace = found.map(|one| one.object.metadata.namespace.clone()).unwrap_or_default();
        let at = (namespace, name.to_owned());
        let of_raw = ("ConfigMap".to_owned(), at.clone());
        let old = self
            .manifests
            .raw
            .get(&of_raw)
            .cloned()
            .ok_or_else(|| format!("there is no ConfigMap {name}"))?;
        let mut object = old.clone();
        object["data"][key] = value.into();
        let change = Change { resource: "configmaps", operation: "UPDATE", object, old };
        admission::admit(&self.manifests, &change)?;
        self.manifests.raw.insert(of_raw, change.object);
        self.manifests.config_maps.entry(at).or_default().insert(key.to_owned(), value.as_bytes().to_vec());
        Ok(())
    }

    /// What each budget that a pod is under says of its pods.
    fn budgets_of(&self, pod: &Pod) -> impl Iterator<Item = (Budget, &super::manifest::BudgetSpec)> {
        let (labels, namespace) = (pod.labels.clone(), pod.namespace.clone());
        let of = move |budget: &&Object<super::manifest::BudgetSpec>| {
            budget.metadata.namespace == namespace && budget.spec.selector.matches(&labels)
        };
        self.manifests.budgets.iter().filter(of).map(|budget| {
            let spec = &budget.spec;
            let same =
                |one: &&Pod| one.namespace == budget.metadata.namespace && spec.selector.matches(&one.labels);
            let pods: Vec<&Pod> = self.pods.iter().filter(same).collect();
            let owners: BTreeSet<(&str, &str)> =
                pods.iter().map(|pod| (pod.owner.kind, pod.owner.name.as_str())).collect();
            let expected = owners.iter().map(|(kind, name)| self.wanted(kind, name)).sum();
            let healthy = pods.iter().filter(|pod| pod.is_ready() && pod.deleted.is_none()).count();
            (Budget::of(spec, Counted { expected, healthy }), spec)
        })
    }

    /// How many pods a controller is to have.
    fn wanted(&self, kind: &str, name: &str) -> usize {
        let of_set = self.sets.iter().find(|one| kind == SET && one.object.metadata.name == name);
        let of_fleet = self.fleets.iter().find(|one| kind == FLEET && one.object.metadata.name == name);
        let of_set = of_set.map(|one| one.object.spec.replicas);
        of_set.or_else(|| of_fleet.map(|one| one.object.spec.replicas)).flatten().unwrap_or(1)
    }

    fn evict(&mut self, pod: &str, now: Instant) -> Result<(), String> {
        let at = self
            .pods
            .iter()
            .position(|one| one.name == pod)
            .ok_or_else(|| format!("there is no pod {pod}"))?;
        let victim = &self.pods[at];
        if victim.deleted.is_some() {
            return Ok(());
        }
        let state = Victim { is_running: victim.runs(), is_ready: victim.is_ready() };
        let budgets: Vec<_> = self.budgets_of(victim).collect();
        if budgets.len() > 1 {
            return Err(format!("{pod} has more than one PodDisruptionBudget"));
        }
        for (budget, spec) in budgets {
            if !budget.permits(spec, state) {
                return Err(format!(
                    "Cannot evict pod as it would violate the pod's disruption budget: {} of {} healthy pods are there",
                    budget.healthy, budget.desired
                ));
            }
        }
        let grace = self.pods[at].spec.grace();
        self.pods[at].delete(now, grace);
        self.note(pod, "evicted");
        Ok(())
    }

    fn doom_claims(&mut self, pod: &str) {
        let Some(pod) = self.pods.iter().find(|one| one.name == pod) else { return };
        let templates = claim_templates(&self.sets, &pod.owner);
        let claims =
            templates.iter().map(|template| (pod.namespace.clone(), claim_name(template, &pod.name)));
        self.doomed.extend(claims.collect::<Vec<_>>());
    }

    fn power(&mut self, zone: &str, on: bool, now: Instant) -> Result<(), WorldError> {
        self.note(&format!("zone {zone}"), if on { "power on" } else { "power off" });
        for at in 0..self.machines.len() {
            if self.machines[at].zone() != zone {
                continue;
            }
            self.machines[at].is_up = on;
            if on {
                self.dark.remove(&at);
            } else {
                self.dark.insert(at, now);
            }
            for pod in &mut self.pods {
                let Some(place) = pod.place.as_mut().filter(|place| place.machine == at) else { continue };
                if on {
                    // It is made anew on its machine, at another address.
                    let slot = self.slots.pop_front().expect("there are fewer pods than namespaces");
                    self.slots.push_back(place.slot);
                    place.slot = slot;
                    self.network.switch_link(slot, true)?;
                    pod.is_lost = false;
                } else {
                    // Nothing leaves it any more, not even the end of connections.
                    self.network.switch_link(place.slot, false)?;
                    pod.lose_power();
                }
            }
        }
        Ok(())
    }
}

/// The names of the volumes that each pod of an owner has one of.
fn claim_templates(sets: &[Controlled<StatefulSetSpec>], owner: &Owner) -> Vec<String> {
    let set = sets.iter().find(|one| owner.kind == SET && one.object.metadata.name == owner.name);
    let templates = set.into_iter().flat_map(|one| &one.object.spec.volume_claim_templates);
    templates.map(|template| template.metadata.name.clone()).collect()
}
