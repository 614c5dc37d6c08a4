//! A gateway's copy of the catalog: fetched from a node, any of them, and kept equal to it by the entries that the node
//! applies. When the node goes silent or falls behind, another one is followed, from where the copy is.
//!
//! What must always hold: the copy never goes back, and is of one cluster as long as the process lives. A barrier asks
//! the leader of the catalog up to where its log goes, and waits until the copy is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use catalog::{Catalog, NodeState};
use futures::FutureExt as _;
use model::{Consistency, GroupId, LogPosition, Reading};
use parking_lot::Mutex;
use proto::log;
use proto::peer::{self, catalog_part::Part};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tonic::{Request, Status, Streaming};

use crate::barrier::Proof;
use crate::courier::{Courier, Place};
use crate::entry::{LogEntry, Payload};
use crate::error::ProposeError;
use crate::fatal::Fatal;
use crate::options::InitialPeers;
use crate::peer::calls;
use crate::peer::discovery;
use crate::peer::discovery::directory::Directory;
use crate::peer::links::{Class, reason};
use crate::peer::reach::Way;
use crate::peer::watch::GatewayInfo;
use crate::progress::Progress;
use crate::raft::machine::with_causes;
use crate::raft::snapshot::CATALOG_BYTES_MAX;

/// Pause between two tries to find a node.
const TRY_EVERY: Duration = Duration::from_millis(100);
/// How long a node may take to begin.
const BEGIN_WITHIN: Duration = Duration::from_secs(2);
/// A node that has said nothing for so long is not followed any more.
const SILENT_AFTER: Duration = Duration::from_secs(2);
/// A copy that nobody has spoken of for so long may be old: no node was found to follow.
const LOST_AFTER: Duration = Duration::from_secs(5);
/// What is waited for is said this often.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Mirror {
    catalog: Arc<Catalog>,
    /// Index of the last entry in the copy.
    applied: watch::Sender<Option<u64>>,
    /// Nanoseconds of monotonic time until which all that was acknowledged is in the copy, as far as is known; 0 when
    /// nothing is.
    has_all_until: AtomicU64,
    /// Told that the node that is followed is behind.
    elsewhere: Notify,
    heard: Mutex<Option<Instant>>,
    /// Why no node was followed when that was tried last.
    trouble: Mutex<Option<String>>,
}

impl Mirror {
    pub(crate) fn new(catalog: Arc<Catalog>) -> Arc<Self> {
        Arc::new(Self {
            catalog,
            applied: watch::Sender::new(None),
            has_all_until: AtomicU64::new(0),
            elsewhere: Notify::new(),
            heard: Mutex::default(),
            trouble: Mutex::default(),
        })
    }

    /// Why what is here may be old, if so.
    pub(crate) fn is_lost(&self) -> Option<String> {
        let heard = *self.heard.lock();
        match heard {
            Some(heard) if heard.elapsed() < LOST_AFTER => None,
            _ => {
                let trouble = self.trouble.lock().clone().unwrap_or_else(|| "none was asked yet".to_owned());
                Some(format!("this gateway follows no node of the cluster: {trouble}"))
            }
        }
    }

    /// Index of the last entry in the copy.
    pub(crate) fn index(&self) -> Option<u64> {
        *self.applied.borrow()
    }

    /// Waits until the copy holds the entries up to `index`. A node that does not send them in time is not followed any
    /// more.
    pub(crate) async fn wait(&self, index: u64, at_most: Duration) -> Result<(), ProposeError> {
        let mut applied = self.applied.subscribe();
        let there = applied.wait_for(|applied| *applied >= Some(index));
        // The sender lives in self.
        if timeout(at_most, there).await.is_ok_and(|there| there.is_ok()) {
            return Ok(());
        }
        self.elsewhere.notify_one();
        Err(ProposeError::Behind { group: GroupId::Meta })
    }

    /// Lets another node be followed.
    #[cfg(test)]
    pub(crate) fn go_elsewhere(&self) {
        self.elsewhere.notify_one();
    }

    /// For how long, at most, entries have been acknowledged that are not in the copy.
    fn age(&self, now: Duration) -> Option<Duration> {
        let until = self.has_all_until.load(Ordering::Relaxed);
        (until > 0).then(|| now.saturating_sub(Duration::from_nanos(until)))
    }

    fn has_all_until(&self, moment: Duration) {
        let nanoseconds = u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX);
        self.has_all_until.fetch_max(nanoseconds, Ordering::Relaxed);
    }

    fn note(&self) {
        let index = self.catalog.applied().0.map(|position| position.index);
        self.applied.send_replace(index);
    }

    /// Applies what a node has sent.
    fn apply(&self, entries: Vec<log::Append>) -> Result<(), Broken> {
        for log::Append { id, entry } in entries {
            let position = LogPosition::from(id.ok_or(Broken::Message("an entry without its position"))?);
            let next = self.catalog.applied().0.map(|position| position.index.saturating_add(1));
            if next.is_some_and(|next| next != position.index) {
                return Err(Broken::Message("entries that do not follow what is here"));
            }
            let unreadable =
                |error: &dyn std::error::Error| Broken::Entry(position.index, with_causes(error));
            let entry = LogEntry::stored(position, entry).map_err(|error| unreadable(&error))?;
            let applied = match entry.payload {
                Payload::Blank | Payload::Membership(_) => self.catalog.apply_blank(position),
                Payload::Op(proposal) => {
                    let command = proposal.take_command().map_err(|error| unreadable(&error))?;
                    self.catalog.apply(position, &command).map(drop)
                }
            };
            applied.map_err(|error| unreadable(&error))?;
        }
        self.note();
        Ok(())
    }

    /// Replaces the copy.
    async fn replace(&self, whole: Whole) -> Result<(), Broken> {
        let Whole { position, data, .. } = whole;
        if self.index() > Some(position.index) {
            return Err(Broken::Message("a catalog that is older than what is here"));
        }
        let catalog = Arc::clone(&self.catalog);
        let imported = host::offload(move || catalog.import(&data, Some(position), Vec::new()));
        let imported = imported.await.map_err(|panic| Broken::Whole(with_causes(&panic)))?;
        imported.map_err(|error| Broken::Whole(with_causes(&error)))?;
        self.note();
        Ok(())
    }
}

/// Why a node is not followed any more.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{}", reason(.0))]
    Call(#[from] Status),
    #[error("it is silent")]
    Silent,
    #[error("it is behind")]
    Behind,
    #[error("it has sent {0}")]
    Message(&'static str),
    #[error("entry {0} of the catalog cannot be applied: {1}")]
    Entry(u64, String),
    #[error("the catalog cannot be read: {0}")]
    Whole(String),
}

/// A catalog on its way in.
struct Whole {
    position: LogPosition,
    bytes: u64,
    data: BytesMut,
}

impl Whole {
    fn begin(head: peer::CatalogHead) -> Result<Self, Broken> {
        let position = head.last.ok_or(Broken::Message("a catalog without its position"))?.into();
        if head.bytes > CATALOG_BYTES_MAX {
            return Err(Broken::Message("a catalog that is larger than this gateway takes"));
        }
        Ok(Self { position, bytes: head.bytes, data: BytesMut::new() })
    }

    fn push(&mut self, chunk: &peer::Chunk) -> Result<(), Broken> {
        if crc32c::crc32c(&chunk.data) != chunk.checksum {
            return Err(Broken::Message("a chunk with a wrong checksum"));
        }
        if (self.data.len() + chunk.data.len()) as u64 > self.bytes {
            return Err(Broken::Message("a catalog that is longer than announced"));
        }
        self.data.extend_from_slice(&chunk.data);
        Ok(())
    }

    fn is_whole(&self) -> bool {
        self.data.len() as u64 == self.bytes
    }
}

/// Follows one node after the other, for ever.
pub(crate) struct Follower {
    pub(crate) courier: Arc<Courier>,
    pub(crate) mirror: Arc<Mirror>,
    pub(crate) initial: InitialPeers,
    pub(crate) gateway: GatewayInfo,
    pub(crate) progress: Progress,
    pub(crate) fatal: Fatal,
}

impl Follower {
    pub(crate) async fn run(self) {
        let mut directory = Directory::new(&self.initial);
        let mut pace = interval(TRY_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Gateways that start at once follow different nodes.
        let mut turn = usize::try_from(self.gateway.id % 1009).unwrap_or(0);
        let mut tried = 0;
        let mut told: Option<(String, Instant)> = None;
        loop {
            pace.tick().await;
            let mut nodes = self.known();
            // None of those that the copy knows answers: others may have come meanwhile.
            if tried >= nodes.len() {
                tried = 0;
                match self.find(&mut directory).await {
                    Ok(found) => nodes = found,
                    Err(reason) => {
                        self.tell(&mut told, reason);
                        continue;
                    }
                }
            }
            let Some((node, address)) = nodes.get(turn % nodes.len().max(1)) else { continue };
            match self.follow(*node, address).await {
                (has_begun, Broken::Behind) => {
                    tracing::info!(address, "the node that is followed is behind: another is");
                    tried = if has_begun { 0 } else { tried + 1 };
                }
                (has_begun, broken) => {
                    self.tell(&mut told, format!("node {address}: {broken}"));
                    tried = if has_begun { 0 } else { tried + 1 };
                }
            }
            turn = turn.wrapping_add(1);
        }
    }

    fn tell(&self, told: &mut Option<(String, Instant)>, reason: String) {
        self.progress.wait(format!("no catalog yet: {reason}"));
        *self.mirror.trouble.lock() = Some(reason.clone());
        if told.as_ref().is_none_or(|(last, at)| *last != reason || at.elapsed() >= TELL_EVERY) {
            tracing::info!(reason, "the catalog is not followed");
            *told = Some((reason, Instant::now()));
        }
    }

    /// The nodes that the copy knows, and that are not known to be silent.
    fn known(&self) -> Vec<(u128, String)> {
        let state = self.courier.catalog.read();
        let is_there = |state: NodeState| matches!(state, NodeState::Active | NodeState::Draining);
        let nodes = state.nodes().filter(|node| is_there(node.state));
        let nodes = nodes.filter(|node| self.courier.reach.way(node.info.uuid) == Way::Direct);
        nodes.map(|node| (node.info.uuid, node.info.address.clone())).collect()
    }

    /// The initial peers that are members of the cluster; of the first that is found, when it is not known yet.
    async fn find(&self, directory: &mut Directory<'_>) -> Result<Vec<(u128, String)>, String> {
        let (courier, own) = (&self.courier, self.courier.myself.cluster());
        let members = discovery::members(directory, &courier.myself, &courier.links).await?;
        let mut clusters: Vec<u128> = members.iter().map(|member| member.cluster).collect();
        clusters.sort_unstable();
        clusters.dedup();
        let cluster = match (own, &clusters[..]) {
            (Some(own), _) => own,
            (None, [one]) => courier.myself.serve(*one),
            (None, _) => return Err("the initial peers belong to different clusters".to_owned()),
        };
        let found: Vec<_> = members.into_iter().filter(|member| member.cluster == cluster).collect();
        if found.is_empty() {
            return Err("the initial peers belong to another cluster now".to_owned());
        }
        // One of them may have come back at another address than the copy knows.
        found.iter().for_each(|member| courier.links.moved(member.node, &member.address));
        Ok(found.into_iter().map(|member| (member.node, member.address)).collect())
    }

    /// Follows a node as long as that goes well; answers whether it has begun to, and why it ended.
    async fn follow(&self, node: u128, address: &str) -> (bool, Broken) {
        let mut has_begun = false;
        // What was said of the one before says nothing of this one.
        let _of_the_last = self.mirror.elsewhere.notified().now_or_never();
        let ended = async {
            let stream = timeout(BEGIN_WITHIN, self.open(node, address)).await;
            let stream = stream.map_err(|_late| Broken::Silent)??;
            self.take(stream, address, &mut has_begun).await
        };
        let never: Result<std::convert::Infallible, Broken> = ended.await;
        match never {
            Err(broken) => (has_begun, broken),
            Ok(never) => match never {},
        }
    }

    async fn open(&self, node: u128, address: &str) -> Result<Streaming<peer::CatalogPart>, Status> {
        let link = self.courier.links.to(node, address);
        let has = self.mirror.catalog.applied().0.map(Into::into);
        let mut call = Request::new(peer::WatchCatalogRequest { gateway: Some(self.gateway.message()), has });
        self.courier.route_to(node).attach(&mut call);
        Ok(link.client(Class::Request)?.watch_catalog(call).await?.into_inner())
    }

    async fn take(
        &self,
        mut stream: Streaming<peer::CatalogPart>,
        address: &str,
        has_begun: &mut bool,
    ) -> Result<std::convert::Infallible, Broken> {
        let mut whole: Option<Whole> = None;
        loop {
            let part = tokio::select! {
                biased;
                () = self.mirror.elsewhere.notified(), if *has_begun => return Err(Broken::Behind),
                part = timeout(SILENT_AFTER, stream.message()) => part.map_err(|_late| Broken::Silent)??,
            };
            let part = part.ok_or(Broken::Message("an end"))?.part;
            match (part.ok_or(Broken::Message("an empty message"))?, &mut whole) {
                (Part::Head(head), None) => whole = Some(Whole::begin(head)?),
                (Part::Chunk(chunk), Some(whole)) => whole.push(&chunk)?,
                (Part::Entries(peer::CatalogEntries { entries }), None) => self.mirror.apply(entries)?,
                (Part::Beat(peer::Nothing {}), None) => {}
                _ => return Err(Broken::Message("something out of its place")),
            }
            if let Some(whole) = whole.take_if(|whole| whole.is_whole()) {
                self.mirror.replace(whole).await?;
                self.check_cluster();
            }
            if whole.is_none() {
                *self.mirror.heard.lock() = Some(Instant::now());
                if !std::mem::replace(has_begun, true) {
                    tracing::info!(address, index = self.mirror.index(), "the catalog is followed");
                }
            }
        }
    }

    /// A node answers for its own cluster only, so this never happens.
    fn check_cluster(&self) {
        let cluster = self.courier.catalog.read().cluster().map(|cluster| cluster.id);
        if cluster.is_some() && cluster != self.courier.myself.cluster() {
            self.fatal.raise("a node has sent the catalog of another cluster");
        }
    }
}

impl Courier {
    /// Makes a gateway's copy of the catalog as new as a read wants it.
    pub(crate) async fn ready_mirror(&self, mirror: &Mirror, reading: &Reading) -> Result<(), ProposeError> {
        if let Some(index) = reading.seen.get(GroupId::Meta) {
            let within = Duration::from_millis(self.limits.proposal_ms_max);
            self.wait_mirrored(mirror, index, within).await?;
        }
        let proof = match reading.consistency {
            Consistency::Any => return Ok(()),
            Consistency::Bounded(at_most) => {
                if mirror.age(self.clock.monotonic()).is_some_and(|age| age <= at_most) {
                    return Ok(());
                }
                Proof::Lease
            }
            Consistency::Leader => Proof::Lease,
            Consistency::Linearizable => Proof::Quorum,
        };
        self.mirror_barrier(mirror, proof).await
    }

    /// Waits until a gateway's copy of the catalog holds the entries up to `index`, from one node or another.
    pub(crate) async fn wait_mirrored(
        &self,
        mirror: &Mirror,
        index: u64,
        at_most: Duration,
    ) -> Result<(), ProposeError> {
        let until = Instant::now() + at_most;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let within = left.min(Duration::from_millis(self.limits.admission_ms_max));
            match mirror.wait(index, within).await {
                Err(_behind) if within < left => {}
                done => return done,
            }
        }
    }

    /// Returns when everything acknowledged before the call is in a gateway's copy of the catalog.
    pub(crate) async fn mirror_barrier(&self, mirror: &Mirror, proof: Proof) -> Result<(), ProposeError> {
        let group = GroupId::Meta;
        let mut patience = self.patience();
        loop {
            if !self.reaches_quorum(group) {
                return Err(Self::cut_off(group));
            }
            let asked_at = self.clock.monotonic();
            let within = patience.left().min(Duration::from_millis(self.limits.admission_ms_max));
            let failed = match self.place(group, patience.tries()) {
                Place::There(remote) => {
                    let (link, route) = (self.link(&remote), self.route(remote.node, None));
                    let asked = [(group, remote.replica)];
                    let read = calls::read_index(&link, route, &asked, proof, within);
                    let read = self.reach.while_reached(remote.node, Way::Direct, read).await;
                    match read.and_then(|reads| reads.into_iter().next()) {
                        Some(Ok(index)) => match mirror.wait(index, within).await {
                            Ok(()) => {
                                mirror.has_all_until(asked_at);
                                return Ok(());
                            }
                            Err(behind) => Some(behind),
                        },
                        Some(Err(ProposeError::NotLeader { leader, .. })) => {
                            self.hint(group, leader);
                            None
                        }
                        Some(Err(error)) => {
                            self.hint(group, None);
                            Some(error)
                        }
                        None => {
                            self.hint(group, None);
                            None
                        }
                    }
                }
                Place::Here(_) | Place::Unknown => None,
            };
            if !patience.again().await {
                let reason = "no leader was found in time".to_owned();
                return Err(failed.unwrap_or(ProposeError::Unavailable { group, reason }));
            }
        }
    }
}
