//! A place where a node lives: its disk, which outlives it, and the door through which clients reach it while it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use catalog::NodeState;
use cluster::{Cluster, OpenError};
use disk::SimVfs;
use disk::vfs::sim::{Fault, PowerCut};
use gateway::{Stage, Vitals};
use host::Network;
use http::Request;
use model::{Clock, GroupId, PartitionId, PartitionOp};
use parking_lot::Mutex;
use server::config::Config;
use server::{Environment, Node, ServeError};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::invariants::Said;
use crate::parts::{SimClock, SimJobs, SimListener, SimNetwork, SimStore, is_full};
use crate::run::Break;
use crate::votes::{Taken, Votes, WatchedVfs};
use crate::workload::rest;

/// The peer port of every node.
const PEER_PORT: u16 = 8088;
/// Where gateways say that they serve.
const HTTP_PORT: u16 = 8086;
/// The header of commit tokens.
pub(crate) const TOKEN: &str = "x-commit-token";
/// Partitions of the cluster.
pub(crate) const PARTITIONS: u16 = 2;
/// Requests that wait at the door.
const WAITING_MAX: usize = 64;
/// Pause between two looks whether somebody is to come.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a client is told.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status of HTTP.
    pub status: u16,
    /// The whole body.
    pub body: String,
    /// What stands for a write.
    pub token: Option<String>,
}

/// What a node is asked, and where the answer goes.
enum Visit {
    Request(Box<Request<Bytes>>, oneshot::Sender<Answer>),
    /// To let the replicas of a partition say what they hold, at an entry whose index is answered.
    Compare(PartitionId, oneshot::Sender<Result<u64, String>>),
}

/// What part a place has in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Nobody has come yet.
    NotYet,
    /// A node or a gateway is to live here.
    There,
    /// The node that lived here was let go.
    Left,
}

/// How a node has ended by itself.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Why.
    pub reason: String,
    /// It could not start on a full disk, where it is to be started again until it can.
    pub for_room: bool,
}

/// The place of a node, or of a gateway.
pub struct Place {
    name: String,
    is_gateway: bool,
    part: Mutex<Part>,
    zone: String,
    peers: Vec<String>,
    disk: Mutex<SimVfs>,
    votes: Arc<Mutex<Votes>>,
    broken: Option<Break>,
    door: Mutex<Option<mpsc::Sender<Visit>>>,
    cluster: Mutex<Weak<Cluster>>,
    /// Why the node that lived here has ended by itself.
    ended: Mutex<Option<Ended>>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Place {
    /// A place with an empty disk; `founders` are the names of the nodes that found the cluster. Others come when they
    /// are told to.
    pub(crate) fn new(name: &str, zone: &str, founders: &[String], broken: Option<Break>) -> Arc<Self> {
        let votes = Votes::new(broken == Some(Break::Votes));
        let is_founder = founders.iter().any(|founder| founder == name);
        Arc::new(Self {
            name: name.to_owned(),
            is_gateway: name.starts_with("gateway"),
            part: Mutex::new(if is_founder { Part::There } else { Part::NotYet }),
            zone: zone.to_owned(),
            peers: founders.iter().map(|peer| format!("{peer}:{PEER_PORT}")).collect(),
            disk: Mutex::new(empty_disk(broken)),
            votes: Arc::new(Mutex::new(votes)),
            broken,
            door: Mutex::new(None),
            cluster: Mutex::default(),
            ended: Mutex::new(None),
        })
    }

    /// Its name in the network.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where other nodes reach the node that lives here.
    pub(crate) fn address(&self) -> String {
        format!("{}:{PEER_PORT}", self.name)
    }

    pub(crate) const fn is_gateway(&self) -> bool {
        self.is_gateway
    }

    pub(crate) fn part(&self) -> Part {
        *self.part.lock()
    }

    /// Lets somebody come.
    pub(crate) fn arrive(&self) {
        *self.part.lock() = Part::There;
    }

    /// What is on its disk after the node was killed, or lost power as `cut` says: the disk is sound again, or as broken
    /// as it was from the beginning. Answers the votes that it must have.
    pub(crate) fn crash(&self, cut: PowerCut) -> BTreeMap<GroupId, Taken> {
        *self.door.lock() = None;
        *self.ended.lock() = None;
        let mut disk = self.disk.lock();
        let left = disk.crash(cut);
        self.broken.iter().flat_map(|broken| broken.faults()).for_each(|fault| left.inject(fault));
        *disk = left;
        self.votes.lock().after_crash()
    }

    /// The disk is gone, and there is an empty one.
    pub(crate) fn lose_volume(&self) {
        *self.disk.lock() = empty_disk(self.broken);
        self.votes.lock().forget();
    }

    /// Makes the disk fail, or lie.
    pub fn inject(&self, fault: Fault) {
        self.disk.lock().inject(fault);
    }

    /// Leaves so much room on the disk.
    pub(crate) fn set_room(&self, bytes: u64) {
        self.disk.lock().set_free_bytes(bytes);
    }

    /// Makes the disk sound again, or as broken as it was from the beginning; whether what was put in had not happened yet.
    pub(crate) fn heal(&self) -> bool {
        let disk = self.disk.lock();
        let always: Vec<Fault> = self.broken.iter().flat_map(|broken| broken.faults()).collect();
        let has_not_happened = disk.faults() > always.len();
        disk.heal();
        always.into_iter().for_each(|fault| disk.inject(fault));
        has_not_happened
    }

    /// How many votes its disks have taken; or how one went back.
    pub(crate) fn votes_seen(&self) -> Result<u64, String> {
        let votes = self.votes.lock();
        votes.went_back().map_or_else(|| Ok(votes.seen()), |how| Err(format!("{}: {how}", self.name)))
    }

    /// Why the node that lived here has ended, when nobody told it to.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.ended.lock().clone()
    }

    /// Asks the node something. `None` when nobody knows what became of it.
    pub async fn ask(&self, request: Request<Bytes>) -> Option<Answer> {
        self.visit(|answer| Visit::Request(Box::new(request), answer)).await
    }

    /// Lets the replicas of a partition say what they hold, and answers at which entry, or why they will not. `None` as above.
    pub(crate) async fn compare(&self, partition: PartitionId) -> Option<Result<u64, String>> {
        self.visit(|answer| Visit::Compare(partition, answer)).await
    }

    async fn visit<T>(&self, visit: impl FnOnce(oneshot::Sender<T>) -> Visit) -> Option<T> {
        let door = self.door.lock().clone()?;
        let (answer, answered) = oneshot::channel();
        door.send(visit(answer)).await.ok()?;
        answered.await.ok()
    }

    /// Whether a node is there to be asked.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.door.lock().is_some()
    }

    /// What the groups of the node that lives here say of themselves.
    pub(crate) fn groups(&self) -> Said {
        let said = |cluster: Arc<Cluster>| Said {
            groups: cluster.status(),
            applied: cluster.applied(),
            logs: cluster.logs(),
            votes: cluster.votes(),
        };
        self.cluster().map(said).unwrap_or_default()
    }

    /// A partition of the node that lives here whose files cannot be read, if there is one.
    pub(crate) fn damaged(&self) -> Option<PartitionId> {
        self.cluster()?.damaged()
    }

    /// The cluster as the node that lives here sees it.
    pub(crate) fn cluster(&self) -> Option<Arc<Cluster>> {
        self.cluster.lock().upgrade()
    }

    /// Lives here until the end of the host. A node that ends by itself leaves the place empty.
    pub(crate) async fn live(self: Arc<Self>) -> turmoil::Result {
        while self.part() == Part::NotYet {
            rest(LOOK_EVERY).await;
        }
        let ended = self.serve().await;
        *self.door.lock() = None;
        match ended {
            Ok(()) => {}
            Err(End::Left) => *self.part.lock() = Part::Left,
            Err(End::NoRoom(reason)) => *self.ended.lock() = Some(Ended { reason, for_room: true }),
            Err(End::Failed(reason)) => *self.ended.lock() = Some(Ended { reason, for_room: false }),
        }
        std::future::pending().await
    }

    fn config(&self) -> Result<Config, String> {
        let of_node = [
            ("data-dir", "/data".to_owned()),
            ("peer-bind-address", format!("0.0.0.0:{PEER_PORT}")),
            ("peer-advertise-address", self.address()),
            ("partitions", PARTITIONS.to_string()),
            ("memtable-size", "64KiB".to_owned()),
        ];
        let of_both = [
            ("initial-peers", self.peers.join(",")),
            ("peer-plaintext", "true".to_owned()),
            ("zone", self.zone.clone()),
            ("role", if self.is_gateway { "gateway" } else { "node" }.to_owned()),
            ("memory-bytes", "256MiB".to_owned()),
        ];
        let of_node = of_node.into_iter().filter(|_| !self.is_gateway);
        let flags = of_node.chain(of_both).map(|(key, value)| (key.to_owned(), value)).collect();
        let none =
            |path: &std::path::Path| Err(std::io::Error::other(format!("{} is not read", path.display())));
        Config::resolve(flags, |_variable| None, none)
            .map(|found| found.config)
            .map_err(|error| error.to_string())
    }

    async fn open(&self, config: &Config) -> Result<Node, ServeError> {
        let progress = cluster::Progress::default();
        let network = SimNetwork { is_hasty: self.broken == Some(Break::Quorum) };
        if self.is_gateway {
            let ways: (Arc<dyn Clock>, Arc<dyn Network>) = (Arc::new(SimClock), Arc::new(network));
            let address = SocketAddr::from(([0, 0, 0, 0], HTTP_PORT));
            let telemetry = server::telemetry::Handle::none();
            return Node::open_gateway(config, address, ways, telemetry, progress, |_frugal| {}).await;
        }
        let listener = turmoil::net::TcpListener::bind(("0.0.0.0", PEER_PORT)).await;
        let environment = Environment {
            vfs: Arc::new(WatchedVfs { vfs: self.disk.lock().clone(), votes: Arc::clone(&self.votes) }),
            clock: Arc::new(SimClock),
            jobs: Arc::new(SimJobs(Handle::current())),
            open_store: SimStore::open,
            network: Arc::new(network),
            peer_port: Some(Arc::new(SimListener(listener.map_err(ServeError::Runtime)?))),
            telemetry: server::telemetry::Handle::none(),
        };
        Node::open(config, environment, progress, |_frugal| {}).await
    }

    async fn serve(&self) -> Result<(), End> {
        let config = self.config().map_err(End::Failed)?;
        let node = self.open(&config).await.map_err(|error| match &error {
            ServeError::Cluster(
                OpenError::Out(_, NodeState::Decommissioned)
                | OpenError::OutBefore(NodeState::Decommissioned),
            ) => End::Left,
            _ if is_full(&error) => End::NoRoom(server::with_causes(&error)),
            _ => End::Failed(server::with_causes(&error)),
        })?;
        *self.cluster.lock() = Arc::downgrade(node.cluster());
        let vitals = Vitals::new(Arc::new(SimClock), || Stage::Waiting("nobody asks".to_owned()));
        let gateway = node.gateway(&config, vitals);
        let (door, mut visits) = mpsc::channel::<Visit>(WAITING_MAX);
        *self.door.lock() = Some(door);
        loop {
            let visit = tokio::select! {
                reason = node.fatal().raised() => return Err(End::Failed(format!("it could not go on: {reason}"))),
                state = node.cluster().out() => return Err(match state {
                    NodeState::Decommissioned => End::Left,
                    _ => End::Failed("it was given up".to_owned()),
                }),
                visit = visits.recv() => visit,
            };
            match visit {
                None => return Ok(()),
                Some(Visit::Request(request, answer)) => visit_gateway(gateway.clone(), *request, answer),
                Some(Visit::Compare(partition, answer)) => {
                    compare(Arc::clone(node.cluster()), partition, answer);
                }
            }
        }
    }
}

/// How a node ends that nobody has ended.
enum End {
    /// It was let go.
    Left,
    /// There was no room for it to start.
    NoRoom(String),
    Failed(String),
}

/// An empty disk, as broken as it is to be.
fn empty_disk(broken: Option<Break>) -> SimVfs {
    let disk = SimVfs::new();
    broken.iter().flat_map(|broken| broken.faults()).for_each(|fault| disk.inject(fault));
    disk
}

/// Answers one request beside the others.
#[expect(clippy::disallowed_methods, reason = "the host of the simulation owns it and ends it")]
fn visit_gateway(gateway: gateway::Gateway, request: Request<Bytes>, answer: oneshot::Sender<Answer>) {
    tokio::spawn(async move {
        let (parts, body) = gateway.answer(request).await;
        let body = String::from_utf8_lossy(&body).into_owned();
        let token = parts.headers.get(TOKEN).and_then(|token| token.to_str().ok()).map(str::to_owned);
        // The client may have given up.
        drop(answer.send(Answer { status: parts.status.as_u16(), body, token }));
    });
}

/// Proposes a comparison.
#[expect(clippy::disallowed_methods, reason = "the host of the simulation owns it and ends it")]
fn compare(cluster: Arc<Cluster>, partition: PartitionId, answer: oneshot::Sender<Result<u64, String>>) {
    tokio::spawn(async move {
        let proposed = cluster.propose(partition, PartitionOp::Compare).await;
        drop(answer.send(proposed.map_err(|error| error.to_string())));
    });
}
