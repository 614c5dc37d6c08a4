//! The nodes of a run, and what they say of themselves.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use testkit::{Reply, Request};

use crate::calendar;
use crate::client::{self, Client};
use crate::clock::wait_until;
use crate::discovery::{self, Discovery, Resolver};
use crate::disk::Disk;
use crate::memory::MemoryGroup;
use crate::name_server::NameServer;
use crate::network::{self, Network, NetworkError};
use crate::node::{Node, NodeError};
use crate::processor::ProcessorGroup;
use crate::scenario::Scenario;
use crate::shell::ShellError;

/// The token of the first user.
pub(crate) const TOKEN: &str = "token-of-a-chaos-run";
/// How long the nodes may take to found a cluster.
const FOUND: Duration = Duration::from_secs(90);
/// How long a node that was asked about itself may take.
const ASK: Duration = Duration::from_secs(2);

/// The cluster did not come up, or could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    /// A process.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A disk could not be mounted.
    #[error("the disk of a node")]
    Disk(#[from] ShellError),
    /// A directory or file could not be made.
    #[error("a directory or file of a node")]
    Directory(#[source] std::io::Error),
    /// Memory cannot be bounded here.
    #[error("a control group that bounds the memory of a node")]
    Memory(#[source] std::io::Error),
    /// Processors cannot be bounded here.
    #[error("a control group that bounds the time of a node on processors")]
    Processor(#[source] std::io::Error),
    /// Clocks cannot be moved here.
    #[error("the library of faketime is not installed")]
    NoClocks,
    /// A node is not ready in time.
    #[error("node {node} is not ready: {last}")]
    NotReady { node: usize, last: String },
    /// The first user and bucket are not there in time.
    #[error("node {node} does not know the first user and bucket: {last}")]
    SetUp { node: usize, last: String },
    /// An order was not carried out.
    #[error("{order}: {said}")]
    Order { order: String, said: String },
    /// Addresses of a node.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The name server did not start.
    #[error("the name server")]
    Names(#[source] std::io::Error),
    /// The scenario has none.
    #[error("nodes do not find one another by names")]
    NoNames,
    /// All nodes were started before.
    #[error("there is no spare node")]
    NoSpare,
    /// No node could say who leads.
    #[error("no node says who leads")]
    NoLeader,
}

/// All nodes, and the network between them.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    /// One for each node, where the scenario does something to disks.
    pub(crate) disks: Vec<Disk>,
    /// What knows their names, where they have some. Before the namespace that it is in.
    pub(crate) names: Option<NameServer>,
    pub(crate) network: Network,
    discovery: Discovery,
    founders: usize,
    zones: Vec<String>,
}

impl Cluster {
    /// Starts the nodes of a scenario and waits until they have founded a cluster.
    pub(crate) fn start(
        scenario: &Scenario,
        network: Network,
        directory: &Path,
    ) -> Result<Self, ClusterError> {
        let zones = (0..scenario.places()).map(|place| scenario.zone(place)).collect();
        let names = match scenario.discovery {
            Discovery::List => None,
            Discovery::Names | Discovery::Addresses => {
                let server = NameServer::start(network::CLIENTS_ADDRESS, network::NOBODY);
                Some(server.map_err(ClusterError::Names)?)
            }
        };
        let (nodes, disks, founders) = (Vec::new(), Vec::new(), scenario.nodes);
        let mut this = Self { nodes, disks, names, network, zones, discovery: scenario.discovery, founders };
        for place in 0..scenario.places() {
            let home = directory.join(format!("node-{place}"));
            std::fs::create_dir_all(&home).map_err(ClusterError::Directory)?;
            if let Some(kind) = scenario.disk() {
                this.disks.push(Disk::mount(&home, kind)?);
            }
            let arguments = [
                ("--http-bind-address", format!("{}:8086", network::address(place))),
                ("--zone", scenario.zone(place)),
                ("--init-username", "chaos".to_owned()),
                ("--init-password", "correct-horse".to_owned()),
                ("--init-org", "chaos".to_owned()),
                ("--init-bucket", "chaos".to_owned()),
                ("--init-admin-token", TOKEN.to_owned()),
            ];
            let arguments = arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
            let arguments = arguments
                .chain(["--peer-plaintext".to_owned()])
                .chain(scenario.arguments.iter().cloned())
                .collect();
            let namespace = this.network.node_namespace(place);
            let whereabouts = scenario.discovery.whereabouts(place, 0, founders);
            if this.names.is_some() {
                this.network.add_address(place, whereabouts.address)?;
            }
            let mut node = Node::new(place, namespace, home, whereabouts, arguments);
            if this.names.is_some() {
                let resolver = Resolver::write(directory, network::CLIENTS_ADDRESS);
                node.resolver = Some(resolver.map_err(ClusterError::Directory)?);
            }
            if scenario.bounds_memory() {
                node.memory = Some(MemoryGroup::create(place).map_err(ClusterError::Memory)?);
            }
            if scenario.bounds_processors() {
                node.processor = Some(ProcessorGroup::create(place).map_err(ClusterError::Processor)?);
            }
            if scenario.moves_clocks() {
                let preload = calendar::preload().ok_or(ClusterError::NoClocks)?;
                calendar::set(&node.clock(), 0).map_err(ClusterError::Directory)?;
                node.environment = calendar::environment(&preload, &node.clock());
            }
            this.nodes.push(node);
        }
        this.tell_names();
        for node in this.nodes.iter_mut().take(scenario.nodes) {
            node.start()?;
        }
        for place in 0..scenario.nodes {
            this.wait_ready(place, FOUND)?;
        }
        this.wait_set_up()?;
        Ok(this)
    }

    /// Tells the name server where the nodes are.
    fn tell_names(&self) {
        let Some(names) = &self.names else { return };
        let at = |node: &Node| node.whereabouts.address;
        for node in &self.nodes {
            names.know(&discovery::name(node.place), vec![at(node)]);
        }
        names.know(discovery::ALL, self.nodes.iter().take(self.founders).map(at).collect());
    }

    /// Gives a node that has lost its address another.
    pub(crate) fn relocate(&mut self, place: usize) -> Result<(), ClusterError> {
        let node = &mut self.nodes[place];
        node.moves += 1;
        let now = self.discovery.whereabouts(place, node.moves, self.founders);
        self.network.add_address(place, now.address)?;
        node.whereabouts = now;
        self.tell_names();
        Ok(())
    }

    /// Waits until every node knows the user of the settings, and the bucket.
    fn wait_set_up(&self) -> Result<(), ClusterError> {
        let client = Client::new(TOKEN, ASK);
        for node in self.nodes.iter().filter(|node| node.is_up()) {
            let asked = wait_until(FOUND, || {
                let request = Request::new("GET", format!("{}/api/v2/buckets?name=chaos", node.url));
                match client.send(request) {
                    Ok(reply) if reply.status == 200 => Ok(()),
                    Ok(reply) => Err(client::excerpt(&reply)),
                    Err(error) => Err(error.to_string()),
                }
            });
            asked.map_err(|last| ClusterError::SetUp { node: node.place, last })?;
        }
        Ok(())
    }

    /// The nodes whose processes run.
    pub(crate) fn up(&self) -> Vec<usize> {
        self.nodes.iter().filter(|node| node.is_up()).map(|node| node.place).collect()
    }

    /// The nodes that share a node's zone, itself too.
    pub(crate) fn zone_of(&self, node: usize) -> Vec<usize> {
        let zone = &self.zones[node];
        self.up().into_iter().filter(|other| self.zones[*other] == *zone).collect()
    }

    /// Where the nodes answer.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.url.clone()).collect()
    }

    /// Waits until a node says that it is ready.
    pub(crate) fn wait_ready(&mut self, place: usize, limit: Duration) -> Result<(), ClusterError> {
        let node = &mut self.nodes[place];
        let asked = wait_until(limit, || {
            if let Some(status) = node.ended() {
                return Ok(Err(format!("it has ended: {status}")));
            }
            let request = Request::new("GET", format!("{}/ready", node.url)).timeout(ASK);
            match request.try_send() {
                Ok(reply) if reply.status == 200 => Ok(Ok(())),
                Ok(reply) => Err(format!("{}: {}", reply.status, client::excerpt(&reply))),
                Err(error) => Err(error.to_string()),
            }
        });
        asked.and_then(|done| done).map_err(|last| ClusterError::NotReady { node: place, last })
    }

    /// Why a node says that it is not healthy, if it does.
    pub(crate) fn complaint(&self, place: usize) -> Option<String> {
        let request = Request::new("GET", format!("{}/health", self.nodes[place].url)).timeout(ASK);
        let reply = request.try_send().ok()?;
        (reply.status != 200).then(|| client::excerpt(&reply))
    }

    /// Asks a node, as an operator.
    pub(crate) fn ask(&self, place: usize, method: &str, path: &str) -> Result<Reply, String> {
        let request = Request::new(method, format!("{}{path}", self.nodes[place].url));
        Client::new(TOKEN, ASK).send(request).map_err(|error| error.to_string())
    }

    /// Gives a node an order with a body.
    pub(crate) fn order(&self, place: usize, verb: &str, body: &Value) -> Result<Reply, String> {
        let request = Request::new("POST", format!("{}/api/v1/cluster/{verb}", self.nodes[place].url));
        Client::new(TOKEN, ASK).send(request.json(body)).map_err(|error| error.to_string())
    }

    /// A figure that a node shows in `/metrics`; the sum where it has several.
    pub(crate) fn metric(&self, place: usize, name: &str) -> Option<f64> {
        let text = self.ask(place, "GET", "/metrics").ok()?.text();
        let of = |line: &str| {
            let (key, value) = line.rsplit_once(' ')?;
            (key.split('{').next() == Some(name)).then(|| value.parse::<f64>().ok())?
        };
        text.lines().filter_map(of).reduce(|sum, value| sum + value)
    }

    /// What the nodes that are up and answer say of who leads: of two that differ, the one with the higher term is right.
    pub(crate) fn view(&self) -> View {
        let client = Client::new(TOKEN, ASK);
        let up = self.nodes.iter().filter(|node| node.is_up());
        View::ask(&client, up.map(|node| (node.place, node.url.as_str())), self.nodes.len())
    }
}

/// Who leads.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// How many groups each node leads.
    pub(crate) leads: Vec<usize>,
    /// Of each group, the term and the node that leads in it.
    leaders: BTreeMap<String, (u64, String)>,
}

impl View {
    /// Asks these nodes; there are places for so many.
    pub(crate) fn ask<'a>(
        client: &Client,
        nodes: impl Iterator<Item = (usize, &'a str)>,
        places: usize,
    ) -> Self {
        let mut view = Self::default();
        let mut names = BTreeMap::new();
        for (place, url) in nodes {
            let Ok(reply) = client.send(Request::new("GET", format!("{url}/debug/cluster"))) else {
                continue;
            };
            let Ok(said) = serde_json::from_slice::<Value>(&reply.body) else { continue };
            names.insert(said["node"].as_str().unwrap_or_default().to_owned(), place);
            for group in said["groups"].as_array().into_iter().flatten() {
                let name = group["group"].as_str().unwrap_or_default().to_owned();
                let Some(leader) = group["leaderNode"].as_str() else { continue };
                let claim = (group["term"].as_u64().unwrap_or(0), leader.to_owned());
                let known = view.leaders.entry(name).or_insert_with(|| claim.clone());
                if claim.0 > known.0 {
                    *known = claim;
                }
            }
        }
        view.leads = vec![0; places];
        for (_, leader) in view.leaders.values() {
            if let Some(place) = names.get(leader) {
                view.leads[*place] += 1;
            }
        }
        view
    }

    /// How many terms have begun since an earlier view, over all groups.
    pub(crate) fn terms_since(&self, before: &Self) -> u64 {
        let terms = |view: &Self| view.leaders.values().map(|(term, _)| term).sum::<u64>();
        terms(self).saturating_sub(terms(before))
    }
}
