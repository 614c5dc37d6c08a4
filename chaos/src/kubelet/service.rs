//! Services: names for pods, and addresses at which connections go to one pod after the other that is ready.
//!
//! What pods are becomes known a while after it is so, as in a cluster, where it goes by way of the API server to each
//! machine. A connection stays with its pod until one of both ends it, whatever becomes of the pod meanwhile.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use super::manifest::{Object, ServiceSpec};
use super::template::{Container, Labels};
use crate::name_server::NameServer;

/// The end of all names.
pub(crate) const DOMAIN: &str = "svc.cluster.local";
/// How often the thread of a port looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);
/// How long a pod may take to take a connection.
const CONNECT: Duration = Duration::from_secs(3);
const THREAD: &str = "service";

/// A pod as Services see it.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) namespace: String,
    pub(crate) labels: Labels,
    /// Its name in the domain of the headless Service that it belongs to.
    pub(crate) host: String,
    pub(crate) subdomain: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) containers: Arc<Vec<Container>>,
    pub(crate) is_ready: bool,
    pub(crate) is_ending: bool,
}

/// What a Service stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Records {
    names: BTreeMap<String, Vec<Ipv4Addr>>,
    /// Of each port, in their order.
    backends: Vec<Vec<SocketAddrV4>>,
}

/// A Service that is there.
#[derive(Debug)]
pub(crate) struct Service {
    object: Object<ServiceSpec>,
    /// Its address, if it has one.
    pub(crate) address: Option<Ipv4Addr>,
    ports: Vec<Proxy>,
    /// What it will stand for, and from when on.
    pending: VecDeque<(Instant, Records)>,
    last: Records,
    told: Records,
}

/// What a Service stands for, of these pods.
pub(crate) fn records(object: &Object<ServiceSpec>, address: Option<Ipv4Addr>, pods: &[Endpoint]) -> Records {
    let (spec, metadata) = (&object.spec, &object.metadata);
    let name = format!("{}.{}.{DOMAIN}", metadata.name, metadata.namespace);
    let selected = |pod: &&Endpoint| {
        let has = |(key, value): (&String, &String)| pod.labels.get(key) == Some(value);
        pod.namespace == metadata.namespace && !spec.selector.is_empty() && spec.selector.iter().all(has)
    };
    let all: Vec<&Endpoint> = pods.iter().filter(selected).collect();
    let ready = |pod: &&&Endpoint| spec.publish_not_ready_addresses || (pod.is_ready && !pod.is_ending);
    let mut chosen: Vec<&Endpoint> = all.iter().filter(ready).copied().collect();
    if chosen.is_empty() && address.is_some() {
        // Rather one that is about to go and still serves than none.
        chosen = all.iter().filter(|pod| pod.is_ready).copied().collect();
    }
    let mut names = BTreeMap::new();
    match address {
        Some(address) => drop(names.insert(name, vec![address])),
        None => {
            for pod in chosen.iter().filter(|pod| pod.subdomain == metadata.name) {
                names.insert(format!("{}.{name}", pod.host), vec![pod.address]);
            }
            names.insert(name, chosen.iter().map(|pod| pod.address).collect());
        }
    }
    let target =
        |pod: &Endpoint, port: &Value| pod.containers.iter().find_map(|container| container.port(port));
    let of_port = |port: &super::manifest::ServicePort| {
        let target_port = port.target_port.clone().unwrap_or_else(|| Value::from(port.port));
        let at = |pod: &&Endpoint| Some(SocketAddrV4::new(pod.address, target(pod, &target_port)?));
        chosen.iter().filter_map(at).collect()
    };
    let backends = if address.is_some() { spec.ports.iter().map(of_port).collect() } else { Vec::new() };
    Records { names, backends }
}

impl Service {
    /// A Service without pods; at this address, which the machine has, unless it is a headless one.
    pub(crate) fn open(object: Object<ServiceSpec>, address: Option<Ipv4Addr>) -> io::Result<Self> {
        let ports = match address {
            Some(address) => {
                let open = |port: &super::manifest::ServicePort| Proxy::open(address, port.port);
                object.spec.ports.iter().map(open).collect::<io::Result<_>>()?
            }
            None => Vec::new(),
        };
        let empty = Records::default();
        Ok(Self { object, address, ports, pending: VecDeque::new(), last: empty.clone(), told: empty })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.object.metadata.name
    }

    /// The first of its ports.
    pub(crate) fn first_port(&self) -> u16 {
        self.object.spec.ports.first().map_or(0, |port| port.port)
    }

    /// How many pods connections go to now.
    pub(crate) fn backends(&self) -> usize {
        self.told.backends.first().map_or(0, Vec::len)
    }

    /// Takes note of what pods are now, which is known after `delay`, and tells what is known by now.
    pub(crate) fn follow(&mut self, pods: &[Endpoint], names: &NameServer, now: Instant, delay: Duration) {
        let records = records(&self.object, self.address, pods);
        if records != self.last {
            self.last = records.clone();
            self.pending.push_back((now + delay, records));
        }
        while self.pending.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, records)) = self.pending.pop_front() else { break };
            for name in self.told.names.keys().filter(|name| !records.names.contains_key(*name)) {
                names.forget(name);
            }
            for (name, addresses) in &records.names {
                names.know(name, addresses.clone());
            }
            for (port, backends) in self.ports.iter().zip(&records.backends) {
                *port.backends.lock().expect("no holder panics") = backends.clone();
            }
            self.told = records;
        }
    }
}

/// A port of a Service: takes connections, and joins each with one to a pod. It ends when dropped, with all connections.
#[derive(Debug)]
struct Proxy {
    backends: Arc<Mutex<Vec<SocketAddrV4>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    fn open(address: Ipv4Addr, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((address, port))?;
        listener.set_nonblocking(true)?;
        let backends = Arc::new(Mutex::new(Vec::new()));
        let ends = Arc::new(AtomicBool::new(false));
        let (of_thread, end) = (Arc::clone(&backends), Arc::clone(&ends));
        let thread = std::thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || serve(&listener, &of_thread, &end))?;
        Ok(Self { backends, ends, thread: Some(thread) })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // If it has panicked, that was said.
            drop(thread.join());
        }
    }
}

fn serve(listener: &TcpListener, backends: &Mutex<Vec<SocketAddrV4>>, ends: &AtomicBool) {
    let turn = AtomicUsize::new(0);
    while !ends.load(Ordering::Relaxed) {
        let mut wait = [PollFd::new(listener, PollFlags::IN)];
        // Interrupted at worst, and then nobody is there to be accepted.
        poll(&mut wait, Some(&Timespec::try_from(LOOK).unwrap_or_default())).ok();
        let Ok((client, _)) = listener.accept() else { continue };
        let number = turn.fetch_add(1, Ordering::Relaxed);
        let pod = {
            let backends = backends.lock().expect("no holder panics");
            backends.get(number % backends.len().max(1)).copied()
        };
        // Without a pod the connection ends at once.
        if let Some(pod) = pod {
            // Nothing is lost but this connection.
            drop(std::thread::Builder::new().name(THREAD.to_owned()).spawn(move || join(&client, pod)));
        }
    }
}

/// Carries what one end says to the other, until both have said all.
fn join(client: &TcpStream, pod: SocketAddrV4) {
    let Ok(pod) = TcpStream::connect_timeout(&SocketAddr::V4(pod), CONNECT) else { return };
    let prepared = client.set_nonblocking(false).and_then(|()| client.set_nodelay(true));
    if prepared.and_then(|()| pod.set_nodelay(true)).is_err() {
        return;
    }
    std::thread::scope(|scope| {
        scope.spawn(|| carry(client, &pod));
        carry(&pod, client);
    });
}

fn carry(mut from: &TcpStream, mut to: &TcpStream) {
    let is_whole = io::copy(&mut from, &mut to).is_ok();
    // The other end hears the same: that nothing more comes, or that the connection is broken.
    drop(to.shutdown(if is_whole { Shutdown::Write } else { Shutdown::Both }));
    if !is_whole {
        drop(from.shutdown(Shutdown::Both));
    }
}

#[cfg(test)]
mod tests;
