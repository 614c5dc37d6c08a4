//! A place where a node lives: its disk, which outlives it, and the door through which clients reach it while it runs.

use std::fmt;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use cluster::{Cluster, GroupStatus};
use disk::SimVfs;
use disk::vfs::sim::{Fault, PowerCut};
use http::Request;
use model::{GroupId, LogPosition, ReplicaId};
use parking_lot::Mutex;
use server::config::Config;
use server::{Environment, Node};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::parts::{SimClock, SimJobs, SimListener, SimNetwork, SimStore};

/// The peer port of every node.
const PEER_PORT: u16 = 8088;
/// Requests that wait at the door.
const WAITING_MAX: usize = 64;

/// What a client is told.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status of HTTP.
    pub status: u16,
    /// The whole body.
    pub body: String,
}

/// A request, and where its answer goes.
type Visit = (Request<Bytes>, oneshot::Sender<Answer>);

/// The place of a node.
pub struct Place {
    name: String,
    zone: String,
    peers: Vec<String>,
    disk: Mutex<SimVfs>,
    door: Mutex<Option<mpsc::Sender<Visit>>>,
    cluster: Mutex<Weak<Cluster>>,
    /// Why the node that lived here has ended by itself.
    ended: Mutex<Option<String>>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Place {
    /// A place with an empty disk; `peers` are the names of the nodes that found the cluster.
    #[must_use]
    pub fn new(name: &str, zone: &str, peers: &[String]) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            zone: zone.to_owned(),
            peers: peers.iter().map(|peer| format!("{peer}:{PEER_PORT}")).collect(),
            disk: Mutex::new(SimVfs::new()),
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

    /// What is on its disk after the node was killed, or lost power as `cut` says.
    pub fn crash(&self, cut: PowerCut) {
        *self.door.lock() = None;
        *self.ended.lock() = None;
        let mut disk = self.disk.lock();
        let left = disk.crash(cut);
        *disk = left;
    }

    /// Makes the disk fail, or lie.
    pub fn inject(&self, fault: Fault) {
        self.disk.lock().inject(fault);
    }

    /// Makes the disk sound again.
    pub fn heal(&self) {
        self.disk.lock().heal();
    }

    /// Why the node that lived here has ended, when nobody told it to.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        self.ended.lock().clone()
    }

    /// Asks the node something. `None` when nobody knows what became of it.
    pub async fn ask(&self, request: Request<Bytes>) -> Option<Answer> {
        let door = self.door.lock().clone()?;
        let (answer, answered) = oneshot::channel();
        door.send((request, answer)).await.ok()?;
        answered.await.ok()
    }

    /// Whether a node is there to be asked.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.door.lock().is_some()
    }

    /// What the groups of the node that lives here say of themselves, and the last entry that each has applied.
    #[must_use]
    pub fn groups(&self) -> (Vec<GroupStatus>, Vec<(GroupId, ReplicaId, LogPosition)>) {
        let cluster = self.cluster.lock().upgrade();
        cluster.map(|cluster| (cluster.status(), cluster.applied())).unwrap_or_default()
    }

    /// Lives here until the end of the host. A node that ends by itself leaves the place empty.
    pub(crate) async fn live(self: Arc<Self>) -> turmoil::Result {
        if let Err(reason) = self.serve().await {
            *self.door.lock() = None;
            *self.ended.lock() = Some(reason);
        }
        std::future::pending().await
    }

    fn config(&self) -> Result<Config, String> {
        let flags = [
            ("data-dir", "/data".to_owned()),
            ("peer-bind-address", format!("0.0.0.0:{PEER_PORT}")),
            ("peer-advertise-address", format!("{}:{PEER_PORT}", self.name)),
            ("initial-peers", self.peers.join(",")),
            ("peer-plaintext", "true".to_owned()),
            ("zone", self.zone.clone()),
            ("partitions", "2".to_owned()),
            ("memtable-size", "64KiB".to_owned()),
            ("memory-bytes", "256MiB".to_owned()),
        ];
        let flags = flags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let none =
            |path: &std::path::Path| Err(std::io::Error::other(format!("{} is not read", path.display())));
        Config::resolve(flags, |_variable| None, none)
            .map(|found| found.config)
            .map_err(|error| error.to_string())
    }

    async fn serve(&self) -> Result<(), String> {
        let config = self.config()?;
        let listener = turmoil::net::TcpListener::bind(("0.0.0.0", PEER_PORT)).await;
        let environment = Environment {
            vfs: Arc::new(self.disk.lock().clone()),
            clock: Arc::new(SimClock),
            jobs: Arc::new(SimJobs(Handle::current())),
            open_store: SimStore::open,
            network: Arc::new(SimNetwork),
            peer_port: Some(Arc::new(SimListener(listener.map_err(|error| error.to_string())?))),
        };
        let progress = cluster::Progress::default();
        let node = Node::open(&config, environment, progress, |_frugal| {}).await;
        let node = node.map_err(|error| server::with_causes(&error))?;
        *self.cluster.lock() = Arc::downgrade(node.cluster());
        let gateway = node.gateway(&config);
        let (door, mut visits) = mpsc::channel::<Visit>(WAITING_MAX);
        *self.door.lock() = Some(door);
        loop {
            let visit = tokio::select! {
                reason = node.fatal().raised() => return Err(format!("it could not go on: {reason}")),
                visit = visits.recv() => visit,
            };
            let Some((request, answer)) = visit else { return Ok(()) };
            let gateway = gateway.clone();
            visit_gateway(gateway, request, answer);
        }
    }
}

/// Answers one request beside the others.
#[expect(clippy::disallowed_methods, reason = "the host of the simulation owns it and ends it")]
fn visit_gateway(gateway: gateway::Gateway, request: Request<Bytes>, answer: oneshot::Sender<Answer>) {
    tokio::spawn(async move {
        let (parts, body) = gateway.answer(request).await;
        let body = String::from_utf8_lossy(&body).into_owned();
        // The client may have given up.
        drop(answer.send(Answer { status: parts.status.as_u16(), body }));
    });
}
