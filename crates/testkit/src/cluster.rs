//! Several nodes as real processes on loopback that found one cluster.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::node::{Node, NodeOptions};
use crate::relay::Relay;

/// The nodes of a cluster; some of them may be down.
#[derive(Debug)]
pub struct Cluster {
    dir: tempfile::TempDir,
    options: Vec<NodeOptions>,
    nodes: Vec<Option<Node>>,
    token: String,
}

/// Ports below those that the system gives to whoever wants any: a connection that is opened between the choice of a port
/// and its use would take it.
const PORTS: std::ops::Range<u32> = 10_000..32_000;

/// Addresses of loopback that nobody listens at, each given out once.
///
/// # Panics
/// When there are none.
pub fn free_addresses(count: usize) -> Vec<String> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Each process begins elsewhere.
    let first = std::process::id().wrapping_mul(257);
    let next = || {
        let place = first.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start);
        format!("127.0.0.1:{}", PORTS.start + place)
    };
    let free = std::iter::repeat_with(next).take(PORTS.len()).filter(|at| TcpListener::bind(at).is_ok());
    let addresses: Vec<String> = free.take(count).collect();
    assert_eq!(addresses.len(), count, "free ports");
    addresses
}

impl Cluster {
    /// Starts `count` nodes with more arguments, and sets the cluster up through the first of them (as
    /// [`Node::set_up`]).
    pub fn start(count: usize, args: &[&str]) -> Self {
        let addresses = free_addresses(count);
        Self::start_at(addresses.clone(), &addresses, args)
    }

    /// As [`Cluster::start`], with nodes that reach one another through relays only: one to each node.
    pub fn start_behind_relays(count: usize, args: &[&str]) -> (Self, Vec<Relay>) {
        let addresses = free_addresses(count);
        let relays: Vec<Relay> = addresses.iter().map(|address| Relay::to(address)).collect();
        let reached_at: Vec<String> = relays.iter().map(|relay| relay.address().to_owned()).collect();
        (Self::start_at(addresses, &reached_at, args), relays)
    }

    fn start_at(addresses: Vec<String>, reached_at: &[String], args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let options = addresses.iter().enumerate().map(|(at, address)| NodeOptions {
            data_dir: Some(dir.path().join(at.to_string())),
            peer_bind_address: Some(address.clone()),
            args: args
                .iter()
                .copied()
                .chain(["--initial-peers", &reached_at.join(","), "--zone", &format!("zone-{at}")])
                .map(str::to_owned)
                .collect(),
            ..NodeOptions::default()
        });
        Self::of(options.collect(), dir)
    }

    /// Starts nodes with these options, and sets the cluster up through the first of them. The directory lives as long as
    /// the cluster.
    pub fn of(options: Vec<NodeOptions>, dir: tempfile::TempDir) -> Self {
        let mut this =
            Self { dir, nodes: options.iter().map(|_| None).collect(), options, token: String::new() };
        this.start_missing();
        let first = this.nodes[0].as_mut().expect("it was started");
        first.set_up();
        this.token = first.token().to_owned();
        this.share_token();
        this
    }

    /// Starts another node, which joins by way of those that the cluster was founded with, and waits until it is ready.
    /// Answers its place.
    pub fn join(&mut self, zone: &str) -> usize {
        let at = self.add(zone);
        self.start_some(&[at]);
        at
    }

    /// Makes a place for another node, which is down and has nothing yet.
    pub fn add(&mut self, zone: &str) -> usize {
        let at = self.options.len();
        let founder = &self.options[0];
        let own = ["--zone", zone].map(str::to_owned);
        let args = founder.args.iter().take(founder.args.len() - 2).cloned().chain(own).collect();
        self.options.push(NodeOptions {
            data_dir: Some(self.data_dir(at)),
            peer_bind_address: free_addresses(1).pop(),
            args,
            ..NodeOptions::default()
        });
        self.nodes.push(None);
        at
    }

    /// Starts a gateway with more arguments, and waits until it is ready.
    pub fn gateway(&self, args: &[&str]) -> Node {
        let peers = self.peer_addresses().join(",");
        let own = ["--initial-peers", &peers].into_iter().chain(args.iter().copied());
        let args = own.map(str::to_owned).collect();
        let mut gateway = Node::start(NodeOptions { is_gateway: true, args, ..NodeOptions::default() });
        gateway.adopt_token(&self.token);
        gateway
    }

    /// Starts the process of a node that is down, and does not wait for it.
    pub fn launch(&self, at: usize) -> Node {
        Node::launch(self.options[at].clone(), &free_addresses(1)[0])
    }

    /// Changes how a node is started from now on.
    pub fn change(&mut self, at: usize, change: impl FnOnce(&mut NodeOptions)) {
        change(&mut self.options[at]);
    }

    /// Starts the nodes that are down, side by side, and waits until all are ready.
    pub fn start_missing(&mut self) {
        let missing: Vec<usize> = (0..self.nodes.len()).filter(|at| self.nodes[*at].is_none()).collect();
        self.start_some(&missing);
    }

    /// Starts these nodes, side by side, and waits until they are ready.
    pub fn start_some(&mut self, missing: &[usize]) {
        let options = &self.options;
        let started: Vec<(usize, Node)> = std::thread::scope(|scope| {
            let starting: Vec<_> = missing
                .iter()
                .map(|&at| (at, scope.spawn(move || Node::start(options[at].clone()))))
                .collect();
            starting.into_iter().map(|(at, node)| (at, node.join().expect("the node starts"))).collect()
        });
        for (at, node) in started {
            self.nodes[at] = Some(node);
        }
        self.share_token();
    }

    fn share_token(&mut self) {
        for node in self.nodes.iter_mut().flatten().filter(|_| !self.token.is_empty()) {
            node.adopt_token(&self.token);
        }
    }

    /// A node that is up.
    pub fn node(&self, at: usize) -> &Node {
        self.nodes[at].as_ref().expect("the node is up")
    }

    /// A node that is up, to be changed.
    pub fn node_mut(&mut self, at: usize) -> &mut Node {
        self.nodes[at].as_mut().expect("the node is up")
    }

    /// The nodes that are up.
    pub fn up(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().flatten()
    }

    /// Takes a node that is up out of the cluster's hands.
    pub fn take(&mut self, at: usize) -> Node {
        self.nodes[at].take().expect("the node is up")
    }

    /// Gives a node back.
    pub fn put(&mut self, at: usize, node: Node) {
        self.nodes[at] = Some(node);
    }

    /// Counts the nodes whose processes have ended as down, and answers which.
    pub fn bury(&mut self) -> Vec<usize> {
        let ended = |place: &mut Option<Node>| place.take_if(|node| node.ended().is_some()).is_some();
        self.nodes.iter_mut().enumerate().filter_map(|(at, place)| ended(place).then_some(at)).collect()
    }

    /// Kills a node (SIGKILL).
    pub fn kill(&mut self, at: usize) {
        self.nodes[at].take().expect("the node is up").kill();
    }

    /// Kills all nodes that are up.
    pub fn kill_all(&mut self) {
        for mut node in self.nodes.iter_mut().filter_map(Option::take) {
            node.kill();
        }
    }

    /// The addresses of the nodes' peer ports.
    pub fn peer_addresses(&self) -> Vec<String> {
        self.options.iter().filter_map(|options| options.peer_bind_address.clone()).collect()
    }

    /// Where a node keeps its data.
    pub fn data_dir(&self, at: usize) -> PathBuf {
        self.dir.path().join(at.to_string())
    }

    /// The node that leads the most groups.
    pub fn leads_most(&self) -> usize {
        let leads = |node: &Node| node.metric("tidemark_raft_leaders");
        let up = self.nodes.iter().enumerate().filter_map(|(at, node)| Some((at, leads(node.as_ref()?))));
        up.max_by(|a, b| a.1.total_cmp(&b.1)).expect("a node is up").0
    }
}
