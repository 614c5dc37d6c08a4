//! The network of a run: each node in a network namespace of its own, and the clients in one, joined by a switch of this
//! program. What becomes of packets between two nodes is decided there, where none of them can see it.
//!
//! ```text
//!  tmchaos-PID-n0      tmchaos-PID-n1      tmchaos-PID-c
//!   eth0 10.88.0.1      eth0 10.88.0.2      eth0 10.88.0.100     TAP devices
//!       |                   |                   |
//!       0 ------ switch --- 1 ----------------- last             a thread
//! ```
//!
//! Names carry the process id, so that what a killed run has left behind is found and removed by the next one.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::shell::{self, ShellError};
use crate::socket::Socket;
use crate::switch::{Shape, Switch, Tally};

pub(crate) use crate::switch::Direction;

/// What the names of everything of a run begin with; the process id follows.
pub(crate) const PREFIX: &str = "tmchaos-";
const CLIENTS: &str = "c";
/// Where clients are.
pub(crate) const CLIENTS_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 100);
/// Where nobody is.
pub(crate) const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 200);
/// Where nodes reach one another.
pub(crate) const PEER_PORT: u16 = 8088;

/// The network could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    /// A command failed.
    #[error("the network")]
    Command(#[from] ShellError),
    /// The process could not go to where clients are.
    #[error("entering the namespace {namespace}")]
    Enter { namespace: String, source: io::Error },
    /// A device could not be made.
    #[error("a TAP device in the namespace {namespace}")]
    Device { namespace: String, source: io::Error },
    /// The switch did not start.
    #[error("the switch")]
    Switch(#[source] io::Error),
}

/// The namespaces of this process; removed when dropped.
#[derive(Debug)]
pub(crate) struct Network {
    /// Ends before the namespaces that its devices are in.
    switch: Switch,
    names: Names,
}

/// The namespaces; removed when dropped.
#[derive(Debug)]
struct Names {
    pid: u32,
    made: Vec<String>,
}

impl Network {
    /// Makes namespaces for so many nodes, and moves the calling thread (and those it will start) to the clients'.
    ///
    /// # Errors
    /// A part of it could not be made; what was made is removed.
    pub(crate) fn create(nodes: usize) -> Result<Self, NetworkError> {
        let mut names = Names { pid: std::process::id(), made: Vec::new() };
        let mut devices = Vec::new();
        for node in 0..nodes {
            devices.push(names.join(&port(node), node, address(node))?);
        }
        devices.push(names.join(CLIENTS, nodes, CLIENTS_ADDRESS)?);
        let switch = Switch::start(devices).map_err(NetworkError::Switch)?;
        enter(&names.full(CLIENTS))?;
        Ok(Self { switch, names })
    }

    /// The namespace of a node.
    pub(crate) fn node_namespace(&self, node: usize) -> String {
        self.names.full(&port(node))
    }

    /// How many connections with other nodes a node's kernel knows: those of its process, and those that it tries to end for
    /// one that is no more.
    pub(crate) fn connections(&self, node: usize) -> Result<usize, NetworkError> {
        let sockets = self.sockets(node)?;
        let has_port = |socket: &&Socket| [socket.local.port(), socket.remote.port()].contains(&PEER_PORT);
        Ok(sockets.iter().filter(has_port).filter(|socket| !socket.is_over()).count())
    }

    /// How many connections others have made to an address of a node that are open: of each of those others.
    pub(crate) fn accepted(
        &self,
        node: usize,
        at: Ipv4Addr,
        others: &[Ipv4Addr],
    ) -> Result<Vec<usize>, NetworkError> {
        let mut sockets = self.sockets(node)?;
        sockets.retain(|socket| socket.is_open() && socket.local == SocketAddrV4::new(at, PEER_PORT));
        let of = |other: &Ipv4Addr| sockets.iter().filter(|socket| socket.remote.ip() == other).count();
        Ok(others.iter().map(of).collect())
    }

    fn sockets(&self, node: usize) -> Result<Vec<Socket>, NetworkError> {
        let namespace = self.node_namespace(node);
        let listed = shell::run(&format!("nsenter --net=/run/netns/{namespace} cat /proc/net/tcp"))?;
        Ok(listed.lines().filter_map(Socket::read).collect())
    }

    /// Gives a node one more address.
    pub(crate) fn add_address(&self, node: usize, address: Ipv4Addr) -> Result<(), NetworkError> {
        let namespace = self.node_namespace(node);
        Ok(shell::run(&format!("ip -n {namespace} addr add {address}/24 dev eth0")).map(drop)?)
    }

    /// Takes an address away that a node got so. Who sends something there hears nothing, and after a while that nobody is
    /// there.
    pub(crate) fn remove_address(&self, node: usize, address: Ipv4Addr) -> Result<(), NetworkError> {
        let namespace = self.node_namespace(node);
        Ok(shell::run(&format!("ip -n {namespace} addr del {address}/24 dev eth0")).map(drop)?)
    }

    /// Gives the clients' namespace one more address.
    pub(crate) fn add_clients_address(&self, address: Ipv4Addr) -> Result<(), NetworkError> {
        let namespace = self.names.full(CLIENTS);
        Ok(shell::run(&format!("ip -n {namespace} addr add {address}/24 dev eth0")).map(drop)?)
    }

    /// Switches the device of a node on or off. While it is off nothing comes or goes, also not what the kernel sends for
    /// processes that end.
    pub(crate) fn switch_link(&self, node: usize, on: bool) -> Result<(), NetworkError> {
        let (namespace, state) = (self.node_namespace(node), if on { "up" } else { "down" });
        Ok(shell::run(&format!("ip -n {namespace} link set eth0 {state}")).map(drop)?)
    }

    /// Gives ways between nodes their shapes; all others are perfect from now on.
    pub(crate) fn shape(&self, shapes: &[(Direction, Shape)]) {
        self.switch.shape(shapes);
    }

    /// What the ways with shapes have done.
    pub(crate) fn tallies(&self) -> BTreeMap<Direction, Tally> {
        self.switch.tallies()
    }
}

impl Names {
    fn full(&self, name: &str) -> String {
        format!("{PREFIX}{}-{name}", self.pid)
    }

    /// A namespace with a device, which is the port of this number.
    fn join(&mut self, name: &str, port: usize, address: Ipv4Addr) -> Result<SyncDevice, NetworkError> {
        let name = self.full(name);
        shell::run(&format!("ip netns add {name}"))?;
        self.made.push(name.clone());
        shell::run(&format!(
            "ip netns exec {name} sysctl -q net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 net.ipv4.tcp_orphan_retries=1"
        ))?;
        let device = device_in(&name)?;
        shell::run(&format!("ip -n {name} link set eth0 address 02:00:00:00:00:{:02x}", port + 1))?;
        shell::run(&format!("ip -n {name} addr add {address}/24 dev eth0"))?;
        shell::run(&format!("ip -n {name} link set eth0 up"))?;
        shell::run(&format!("ip -n {name} link set lo up"))?;
        Ok(device)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        for name in &self.made {
            // The next run looks again.
            drop(shell::run(&format!("ip netns del {name}")));
        }
    }
}

/// Moves the calling thread.
#[expect(clippy::disallowed_methods, reason = "a namespace is entered by its file; no data of a node")]
fn enter(namespace: &str) -> Result<(), NetworkError> {
    let failed = |source| NetworkError::Enter { namespace: namespace.to_owned(), source };
    let file = std::fs::File::open(Path::new("/run/netns").join(namespace)).map_err(failed)?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|errno| failed(errno.into()))
}

/// A device belongs to the namespace of the thread that makes it.
fn device_in(namespace: &str) -> Result<SyncDevice, NetworkError> {
    let make = || {
        enter(namespace)?;
        let device = DeviceBuilder::new().name("eth0").layer(Layer::L2).inherit_enable_state().build_sync();
        device.map_err(|source| NetworkError::Device { namespace: namespace.to_owned(), source })
    };
    std::thread::scope(|scope| scope.spawn(make).join().expect("it does not panic"))
}

fn port(node: usize) -> String {
    format!("n{node}")
}

/// The address of a node.
pub(crate) fn address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 88, 0, u8::try_from(node + 1).expect("there are fewer nodes and addresses of each"))
}

/// Whether this process may make network namespaces and devices in them; if not, why.
pub(crate) fn usable() -> Result<(), String> {
    let mut names = Names { pid: std::process::id(), made: Vec::new() };
    names.join("probe", 0, address(0)).map(drop).map_err(|error| crate::run::chain(&error))
}

/// Whether a process is there; one that has ended and of which nobody has taken note has no command line any more.
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// The process whose run something belongs to, by its name.
pub(crate) fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// Removes what runs have left behind that did not come to their end: their processes, namespaces and mounts.
///
/// # Errors
/// The namespaces could not be listed.
pub(crate) fn sweep() -> Result<(), NetworkError> {
    let listed = shell::run("ip netns list")?;
    for name in listed.lines().filter_map(|line| line.split_whitespace().next()) {
        if owner(name).is_none_or(is_alive) {
            continue;
        }
        // Another may remove the same at the same time.
        let is_there = || Path::new("/run/netns").join(name).exists();
        match shell::run(&format!("ip netns pids {name}")) {
            Ok(pids) => pids.split_whitespace().for_each(|pid| drop(shell::run(&format!("kill -9 {pid}")))),
            Err(error) if is_there() => return Err(error.into()),
            Err(_gone) => continue,
        }
        let removed = shell::run(&format!("ip netns del {name}"));
        if is_there() {
            removed?;
        }
    }
    Ok(())
}
