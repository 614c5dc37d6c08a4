//! The network of a run: each node in a network namespace of its own, and the clients in one, joined by a bridge in
//! another. Packets between two nodes are dropped on the bridge, where none of them can see it.
//!
//! ```text
//!  tmchaos-PID-n0      tmchaos-PID-n1      tmchaos-PID-c
//!   eth0 10.88.0.1      eth0 10.88.0.2      eth0 10.88.0.100
//!       |                   |                   |
//!      n0 --- bridge br0 --- n1 --------------- c         tmchaos-PID-sw
//! ```
//!
//! Names carry the process id, so that what a killed run has left behind is found and removed by the next one.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::shell::{self, ShellError};

const PREFIX: &str = "tmchaos-";
const SWITCH: &str = "sw";
const CLIENTS: &str = "c";

/// The network could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    /// A command failed.
    #[error("the network")]
    Command(#[from] ShellError),
    /// The process could not go to where clients are.
    #[error("entering the namespace of the clients")]
    Enter(#[source] std::io::Error),
    /// The counters of dropped packets have another form than this program knows.
    #[error("the counters that nft prints")]
    Counters(#[source] serde_json::Error),
}

/// A direction between two nodes, by their places.
pub(crate) type Direction = (usize, usize);

/// The namespaces of this process; removed when dropped.
#[derive(Debug)]
pub(crate) struct Network {
    pid: u32,
    nodes: usize,
}

impl Network {
    /// Makes namespaces for so many nodes, and moves the calling thread (and those it will start) to the clients'.
    ///
    /// # Errors
    /// A part of it could not be made; what was made is removed.
    pub(crate) fn create(nodes: usize) -> Result<Self, NetworkError> {
        let this = Self { pid: std::process::id(), nodes };
        let switch = this.namespace(SWITCH);
        shell::run(&format!("ip netns add {switch}"))?;
        this.inside(
            SWITCH,
            "sysctl -q net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1",
        )?;
        shell::run(&format!("ip -n {switch} link add br0 type bridge stp_state 0"))?;
        shell::run(&format!("ip -n {switch} link set br0 up"))?;
        for node in 0..nodes {
            this.join(&port(node), &address(node))?;
        }
        this.join(CLIENTS, "10.88.0.100")?;
        let rules = "add table bridge chaos\n\
                     add chain bridge chaos cuts { type filter hook forward priority 0; policy accept; }\n";
        shell::run_with_input(&format!("ip netns exec {switch} nft -f -"), rules)?;
        this.enter_clients()?;
        Ok(this)
    }

    fn join(&self, name: &str, address: &str) -> Result<(), NetworkError> {
        let (switch, inside) = (self.namespace(SWITCH), self.namespace(name));
        shell::run(&format!("ip netns add {inside}"))?;
        self.inside(name, "sysctl -q net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")?;
        shell::run(&format!("ip -n {switch} link add {name} type veth peer name eth0 netns {inside}"))?;
        shell::run(&format!("ip -n {switch} link set {name} master br0 up"))?;
        shell::run(&format!("ip -n {inside} addr add {address}/24 dev eth0"))?;
        shell::run(&format!("ip -n {inside} link set eth0 up"))?;
        shell::run(&format!("ip -n {inside} link set lo up"))?;
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "a namespace is entered by its file; no data of a node")]
    fn enter_clients(&self) -> Result<(), NetworkError> {
        let path = Path::new("/run/netns").join(self.namespace(CLIENTS));
        let file = std::fs::File::open(path).map_err(NetworkError::Enter)?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|errno| NetworkError::Enter(errno.into()))
    }

    /// The namespace of a node.
    pub(crate) fn node_namespace(&self, node: usize) -> String {
        self.namespace(&port(node))
    }

    fn namespace(&self, name: &str) -> String {
        format!("{PREFIX}{}-{name}", self.pid)
    }

    fn inside(&self, name: &str, command: &str) -> Result<String, ShellError> {
        shell::run(&format!("ip netns exec {} {command}", self.namespace(name)))
    }

    /// Drops every packet that goes one of these ways, and no other from now on.
    ///
    /// # Errors
    /// The rules could not be changed.
    pub(crate) fn cut(&self, ways: &[Direction]) -> Result<(), NetworkError> {
        let mut rules = String::from("flush chain bridge chaos cuts\n");
        for (from, to) in ways {
            let way = format!("add rule bridge chaos cuts iifname {} oifname {}", port(*from), port(*to));
            // TCP alone is counted: it shows that the nodes wanted to talk.
            rules += &format!("{way} ether type ip ip protocol tcp counter drop comment \"{from}-{to}\"\n");
            rules += &format!("{way} drop\n");
        }
        let command = format!("ip netns exec {} nft -f -", self.namespace(SWITCH));
        shell::run_with_input(&command, &rules)?;
        Ok(())
    }

    /// How many packets of TCP each cut has dropped.
    ///
    /// # Errors
    /// The counters could not be read.
    pub(crate) fn dropped(&self) -> Result<BTreeMap<Direction, u64>, NetworkError> {
        let text = self.inside(SWITCH, "nft -j list chain bridge chaos cuts")?;
        let json: serde_json::Value = serde_json::from_str(&text).map_err(NetworkError::Counters)?;
        let rules = json["nftables"].as_array().into_iter().flatten().map(|entry| &entry["rule"]);
        let counted = rules.filter_map(|rule| {
            let (from, to) = rule["comment"].as_str()?.split_once('-')?;
            let counter =
                rule["expr"].as_array()?.iter().find_map(|part| part["counter"]["packets"].as_u64());
            Some(((from.parse().ok()?, to.parse().ok()?), counter?))
        });
        Ok(counted.collect())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let names = (0..self.nodes).map(port).chain([CLIENTS.to_owned(), SWITCH.to_owned()]);
        for name in names {
            // What could not be made cannot be removed either; the next run looks again.
            drop(shell::run(&format!("ip netns del {}", self.namespace(&name))));
        }
    }
}

fn port(node: usize) -> String {
    format!("n{node}")
}

/// The address of a node.
pub(crate) fn address(node: usize) -> String {
    format!("10.88.0.{}", node + 1)
}

/// Whether this process may make network namespaces and drop packets between them; if not, why.
pub(crate) fn usable() -> Result<(), String> {
    shell::run("nft --version").map_err(|error| with_cause(&error))?;
    let probe = format!("{PREFIX}{}-probe", std::process::id());
    let tried = shell::run(&format!("ip netns add {probe}"))
        .and_then(|_| shell::run(&format!("ip netns exec {probe} nft add table bridge chaos")))
        .map_err(|error| with_cause(&error));
    drop(shell::run(&format!("ip netns del {probe}")));
    tried.map(drop)
}

fn with_cause(error: &ShellError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Whether a process is there; one that has ended and of which nobody has taken note has no command line any more.
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Removes what runs have left behind that did not come to their end: their processes, namespaces and mounts.
///
/// # Errors
/// The namespaces could not be listed.
pub(crate) fn sweep() -> Result<(), NetworkError> {
    let listed = shell::run("ip netns list")?;
    for name in listed.lines().filter_map(|line| line.split_whitespace().next()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let Some(owner) = owner.and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if is_alive(owner) {
            continue;
        }
        for pid in shell::run(&format!("ip netns pids {name}"))?.split_whitespace() {
            drop(shell::run(&format!("kill -9 {pid}")));
        }
        shell::run(&format!("ip netns del {name}"))?;
    }
    Ok(())
}
