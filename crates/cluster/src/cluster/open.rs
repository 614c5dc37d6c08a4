//! From an empty or used data directory to a node that works.
//!
//! Each step can be repeated after a crash: a UUID on disk; a place in a cluster on disk (founded alone, founded with
//! others, or joined); the meta group, which its founder initialises; the note on disk that the node may vote; the
//! catalog's first command; the groups of the partitions that the catalog places here, each initialised by the node
//! that should lead it. Where a node is alone the note comes last: until then nothing was acknowledged. From the note
//! on a missing log is a lost log, and never a reason to begin anew.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use catalog::{Catalog, ClusterNode, Command, NodeInfo, NodeState, Placement, Response};
use disk::Vfs;
use futures::future::join_all;
use model::{Clock, GroupId, PartitionId, Reading, ReplicaId};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Cluster, close_lane, log_dir};
use crate::courier::Courier;
use crate::epochs::{self, Epochs};
use crate::error::OpenError;
use crate::fatal::Fatal;
use crate::group::{Group, Surroundings};
use crate::hosting::{self, Host};
use crate::identity::{Belongs, Identity, random_id};
use crate::lane::{Lane, LaneOptions};
use crate::leads;
use crate::machine::Machines;
use crate::options::{LaneKind, Options};
use crate::peer::discovery::directory::Directory;
use crate::peer::discovery::{self, Founders};
use crate::peer::follow::{self, Out};
use crate::peer::links::Links;
use crate::peer::listener;
use crate::peer::myself::{ALONE, Myself, Says, VERSION};
use crate::peer::reach::{self, Reach};
use crate::peer::service::Service;
use crate::peer::status;
use crate::peer::tls::Tls;
use crate::peer::watch::Watchers;
use crate::placement;
use crate::queries::Queries;
use crate::raft::machine::Target;
use crate::raft::types::Member;
use crate::reads::Reader;
use crate::recover::Note;
use crate::replicas::Replicas;
use crate::steward::Steward;
use crate::tasks::TaskGroup;
use crate::throttle::Throttle;

/// The most partitions of a cluster.
const PARTITIONS_MAX: u16 = 4096;
/// How long a group may take to apply its backlog at start, where the node is alone.
const READY_WITHIN: Duration = Duration::from_secs(300);
/// Replicas of a partition, where there are as many nodes.
const REPLICATION: u8 = 3;
/// Pause between two looks at a catalog that does not know the cluster yet.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Pause between two looks whether the other nodes were asked.
const COMPARE_EVERY: Duration = Duration::from_millis(10);
/// How long they are waited for.
const COMPARE_WITHIN: Duration = Duration::from_millis(1500);
/// Pause before the initial peers are asked whether this node is out, and how long each may take to answer.
const ASK_EVERY: Duration = Duration::from_secs(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// A partition that the catalog has placed on this node.
struct Placed {
    partition: PartitionId,
    replica: ReplicaId,
    /// The group's voters, where this node founds it.
    found: Option<BTreeMap<u64, Member>>,
}

/// What is there before the first group is.
struct Opening {
    options: Options,
    around: Surroundings,
    myself: Arc<Myself>,
    replicas: Arc<Replicas>,
    courier: Arc<Courier>,
    machines: Arc<dyn Machines>,
    catalog: Arc<Catalog>,
}

impl Cluster {
    /// Takes up the node's part: founds a cluster or joins one when the data directory is new, else goes on where it
    /// stopped. Returns when the node's groups are open; where it is alone, when all of them have applied what was
    /// committed.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing is left running after an error.
    pub async fn open(
        options: Options,
        vfs: Arc<dyn Vfs>,
        clock: Arc<dyn Clock>,
        machines: Arc<dyn Machines>,
        catalog: Arc<Catalog>,
        fatal: Fatal,
    ) -> Result<Arc<Self>, OpenError> {
        let founders = options.peers.as_ref().map_or(1, |peers| peers.initial.founders());
        if !matches!(founders, 1 | 3 | 5) {
            return Err(OpenError::Founders(founders));
        }
        let tls = options.peers.as_ref().and_then(|peers| peers.tls.clone());
        let tls = tls.map(Tls::open).transpose()?.map(Arc::new);
        vfs.create_dir_all(&options.data_dir).map_err(OpenError::DataDir)?;
        let identity = identity(vfs.as_ref(), &options.data_dir)?;
        if let (Some(state), Some(place)) = (identity.out, identity.belongs) {
            return Err(OpenError::Out(place.node_id, state));
        }
        if Note::read(vfs.as_ref(), &options.data_dir)?.is_some_and(|note| note.is_begun()) {
            return Err(OpenError::RecoveryBegun);
        }
        check_lane(vfs.as_ref(), &options, &identity)?;
        options.progress.work("reading the log");
        let lane = open_lane(&options, Arc::clone(&vfs), Arc::clone(&clock), fatal.clone()).await?;
        let peers_hash = options.peers.as_ref().map_or(0, |peers| discovery::hash_of(&peers.initial));
        let (data_dir, zone) = (options.data_dir.clone(), options.zone.clone());
        let tracer = options.tracer.clone();
        let advertised = options.peers.as_ref().and_then(|peers| peers.advertised.clone());
        let bound = options.peers.as_ref().and_then(|peers| peers.listener.local_addr().ok());
        let bound = bound.filter(|bound| !bound.ip().is_unspecified()).map(|bound| bound.to_string());
        let says = Says { zone, peers_hash, advertised, bound, level: catalog.newest() };
        let cluster = identity.belongs.map(|place| place.cluster_id);
        let epochs = Epochs::read(vfs.as_ref(), &data_dir, cluster)?;
        let myself = Myself::new(Arc::clone(&vfs), data_dir.clone(), identity, epochs, says, tracer);
        let network = options.peers.as_ref().map(|peers| Arc::clone(&peers.network));
        let links =
            Arc::new(Links::new(network.unwrap_or_else(|| Arc::new(host::Tcp::default())), tls.clone()));
        let replicas = Arc::<Replicas>::default();
        let reach = Arc::<Reach>::default();
        let watchers = Arc::<Watchers>::default();
        let courier = Arc::new(Courier {
            myself: Arc::clone(&myself),
            links: Arc::clone(&links),
            replicas: Arc::clone(&replicas),
            catalog: Arc::clone(&catalog),
            clock: Arc::clone(&clock),
            limits: options.limits,
            reach: Arc::clone(&reach),
            log: lane.metrics(),
            hints: Default::default(),
            mirror: None,
            watchers: Arc::clone(&watchers),
            refresh: Default::default(),
            leaving: Default::default(),
        });
        let tasks = TaskGroup::new(fatal.clone());
        tasks.spawn("keep fresh", Arc::clone(&courier).keep_fresh());
        if options.peers.is_some() {
            let beacons = reach::keep(Arc::clone(&courier), tasks.clone(), fatal.clone());
            tasks.spawn("beacons", beacons);
        }
        // What a peer's call does to its own task is no reason to stop the node.
        let listening = TaskGroup::new(Fatal::default());
        // Whoever waits for this may give up.
        let given_up = [&listening, &tasks].map(TaskGroup::stop_on_drop);
        let to_members = Arc::<OnceLock<Arc<Courier>>>::default();
        let reader = Arc::<OnceLock<Arc<dyn Reader>>>::default();
        let queries = Arc::<OnceLock<Arc<dyn Queries>>>::default();
        if let Some(peers) = &options.peers {
            let service = Service {
                myself: Arc::clone(&myself),
                replicas: Arc::clone(&replicas),
                courier: Arc::clone(&to_members),
                watchers,
                reader: Arc::clone(&reader),
                queries: Arc::clone(&queries),
                told: Arc::default(),
            };
            if let Some(tls) = &tls {
                listening.spawn("certificates", Arc::clone(tls).follow());
            }
            let serve = listener::serve(Arc::clone(&peers.listener), tls, service, listening.clone());
            listening.spawn("peer port", serve);
        }
        let limits = options.limits;
        let around = Surroundings {
            vfs,
            clock: Arc::clone(&clock),
            lane: Arc::clone(&lane),
            fatal: fatal.clone(),
            timing: options.timing,
            limits,
            myself: Arc::clone(&myself),
            links: Arc::clone(&links),
            throttle: Arc::new(Throttle::new(limits.move_bytes_per_second)),
            reach,
        };
        let opening = Opening {
            options,
            around,
            myself: Arc::clone(&myself),
            replicas: Arc::clone(&replicas),
            courier: Arc::clone(&courier),
            machines,
            catalog: Arc::clone(&catalog),
        };
        let (node, partitions) = match opening.open(&to_members).await {
            Ok(opened) => opened,
            Err(error) => {
                listening.stop().await;
                tasks.stop().await;
                join_all(replicas.all().iter().map(|group| group.shutdown())).await;
                close_lane(lane).await;
                return Err(error);
            }
        };
        for guard in given_up {
            guard.disarm();
        }
        let out = Out::default();
        tasks.spawn("groups", Arc::clone(&replicas).look_after(fatal.clone()));
        for group in replicas.all() {
            tasks.spawn("purge", group.purge_flushed());
        }
        if opening.options.peers.is_some() {
            tasks.spawn(
                "follow the catalog",
                follow::follow(Arc::clone(&courier), node.info, founders, out.clone()),
            );
            let keep_count = epochs::keep(Arc::clone(&courier), Arc::clone(&opening.around.vfs), data_dir);
            tasks.spawn("epochs", keep_count);
            tasks.spawn("leads", leads::look_after(Arc::clone(&courier)));
            let host = Host {
                around: opening.around,
                machines: opening.machines,
                replicas: Arc::clone(&replicas),
                catalog,
                node: node.id,
                tasks: tasks.clone(),
                changing: tokio::sync::Mutex::default(),
            };
            let host = Arc::new(host);
            tasks.spawn("replicas", Arc::clone(&host).run());
            tasks.spawn("damaged replicas", host.heal());
            tasks.spawn("members of groups", Steward::new(Arc::clone(&courier)).run());
        }
        Ok(Arc::new(Self {
            identity: myself.identity(),
            node_id: Some(node.id),
            partitions,
            lane: Some(lane),
            replicas,
            courier,
            reader,
            queries,
            out,
            clock,
            tasks,
            listening,
            fatal,
            limits,
            is_alone: opening.options.peers.is_none(),
        }))
    }
}

impl Opening {
    /// Opens all groups; answers this node, as the catalog knows it, and the number of partitions.
    async fn open(&self, to_members: &OnceLock<Arc<Courier>>) -> Result<(ClusterNode, u16), OpenError> {
        let founders = if self.has_begun() { None } else { self.settle().await? };
        let place = self.myself.identity().belongs.ok_or(OpenError::NoCluster)?;
        if self.options.peers.is_some() {
            let data_dir = &self.options.data_dir;
            self.myself.epochs.begin(self.around.vfs.as_ref(), data_dir, place.cluster_id)?;
            self.compare_epochs().await?;
        }
        self.options.progress.work("opening the meta group");
        let target = Target::Catalog(Arc::clone(&self.catalog));
        let meta = Group::open(&self.around, GroupId::Meta, place.meta_replica, target).await?;
        if self.options.peers.as_ref().is_some_and(|peers| peers.initial.founders() > 1) {
            self.refuse_without_log(&meta)?;
            self.myself.become_member()?;
        }
        // From here on it is found by peers.
        self.replicas.add(&meta);
        to_members.get_or_init(|| Arc::clone(&self.courier));
        self.start(&meta, founders.as_ref().map(meta_members)).await?;
        if place.founder && !self.courier.is_founded() {
            let founders = match founders {
                Some(founders) => Some(founders),
                None => {
                    self.apply_committed(&meta).await;
                    self.settle().await?
                }
            };
            if let Some(founders) = founders {
                self.options
                    .progress
                    .wait("founding the cluster: waiting for the meta group to have a leader");
                self.bootstrap(place, &founders).await?;
            }
        }
        self.options.progress.wait("waiting for the catalog to know this node");
        let node = tokio::select! {
            biased;
            node = self.wait_for_catalog(place) => node?,
            state = self.said_out() => {
                self.myself.leave(state)?;
                return Err(OpenError::Out(place.node_id, state));
            }
        };
        self.options.progress.work("opening partitions, and applying what their log has");
        self.open_data_groups(&node).await?;
        self.myself.become_member()?;
        let partitions = self.catalog.read().partitions().ok_or(OpenError::NoCluster)?;
        Ok((node, partitions))
    }

    /// Whether this node has founded the meta group: all others know then. Its log may have the founding of the cluster
    /// too, which the catalog forgets with a loss of power, and which needs none of the others that founded it.
    fn has_begun(&self) -> bool {
        let founds = self.myself.identity().belongs.is_some_and(|place| place.founder);
        founds && self.around.lane.log(GroupId::Meta).last_index().is_some()
    }

    /// Waits until the catalog knows the cluster, or it is certain that nobody has ever committed that.
    async fn apply_committed(&self, meta: &Arc<Group>) {
        self.options.progress.wait("waiting for the meta group to have a leader");
        while !self.courier.is_founded() {
            match self.courier.ready_here(Arc::clone(meta), &Reading::default()).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, "the founding may not be applied yet"),
            }
        }
    }

    /// Comes to belong to a cluster, unless the node does already. Answers the founding nodes to their founder, as long
    /// as the founding is not over.
    async fn settle(&self) -> Result<Option<Founders>, OpenError> {
        let identity = self.myself.identity();
        match (&self.options.peers, identity.belongs) {
            (_, Some(place)) if !place.founder || self.courier.is_founded() => Ok(None),
            (None, _) => {
                let place = match identity.belongs {
                    Some(place) => place,
                    None => Belongs::founding(random_id()?, 0),
                };
                self.myself.belong(place)?;
                Ok(Some(vec![NodeInfo {
                    uuid: identity.node_uuid,
                    address: ALONE.to_owned(),
                    zone: self.options.zone.clone(),
                    version: VERSION.to_owned(),
                    level: self.catalog.newest(),
                }]))
            }
            (Some(peers), _) => {
                let progress = &self.options.progress;
                discovery::settle(&self.myself, &self.around.links, &peers.initial, progress).await
            }
        }
    }

    /// Waits until each other node has heard how old this one's data are, or is not there to hear it.
    async fn compare_epochs(&self) -> Result<(), OpenError> {
        self.options.progress.wait("asking the other nodes whether they have known newer data of this one");
        let nodes = self.courier.other_nodes();
        let mut pace = interval(COMPARE_EVERY);
        let all = async {
            while !self.courier.reach.were_asked(nodes.keys()) {
                pace.tick().await;
            }
        };
        // Whoever does not answer in time may still do so later.
        let _elapsed = timeout(COMPARE_WITHIN, all).await;
        self.around.fatal.reason().map_or(Ok(()), |reason| Err(OpenError::Stopped(reason)))
    }

    /// Initialises a group that is new, when this node has to; stands for election where it is alone, and waits there
    /// until all is applied.
    async fn start(&self, group: &Group, found: Option<BTreeMap<u64, Member>>) -> Result<(), OpenError> {
        self.refuse_without_log(group)?;
        let is_alone = if group.is_founded().await? {
            let is_alone = group.is_alone();
            if is_alone {
                group.elect().await?;
            }
            is_alone
        } else if let Some(members) = found {
            let is_alone = members.len() == 1;
            group.found(members).await?;
            is_alone
        } else {
            false
        };
        if is_alone {
            return group.wait_ready(READY_WITHIN).await;
        }
        if self.options.peers.is_some() { Ok(()) } else { Err(OpenError::PeersNeeded) }
    }

    /// A member that has data, or is all there is, has a log.
    fn refuse_without_log(&self, group: &Group) -> Result<(), OpenError> {
        let is_alone = self.options.peers.is_none();
        if self.myself.identity().member && group.never_voted() && (is_alone || group.had_data()) {
            return Err(OpenError::LogLost(group.id()));
        }
        Ok(())
    }

    /// Gives a new cluster its identity, its nodes and the places of all replicas.
    async fn bootstrap(&self, place: Belongs, founders: &Founders) -> Result<(), OpenError> {
        let partitions = self.options.partitions;
        if !partitions.is_power_of_two() || partitions > PARTITIONS_MAX {
            return Err(OpenError::Partitions(partitions));
        }
        let zones: Vec<&str> = founders.iter().map(|node| node.zone.as_str()).collect();
        let command = Command::Bootstrap {
            cluster_id: place.cluster_id,
            replication: REPLICATION,
            nodes: founders.clone(),
            placements: placement::spread(&zones, partitions, REPLICATION),
        };
        let mut pace = interval(LOOK_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let encoded = proto::encode_catalog(command.encode(), self.courier.clock.now());
            let answer = self.courier.propose_catalog(encoded, command.clone()).await;
            if self.courier.is_founded() {
                return Ok(());
            }
            match answer {
                Ok(Response::Refused(error)) => return Err(OpenError::Refused(error)),
                Ok(Response::Done | Response::Fields(_)) => {}
                Err(error) if founders.len() == 1 => return Err(OpenError::Found(error)),
                // The others may not have come up yet. The command is refused when it was carried out already.
                Err(error) => tracing::info!(%error, "the cluster is not founded yet"),
            }
            pace.tick().await;
        }
    }

    /// Waits until the catalog knows the cluster and this node in it.
    async fn wait_for_catalog(&self, place: Belongs) -> Result<ClusterNode, OpenError> {
        let mut pace = interval(LOOK_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let uuid = self.myself.identity().node_uuid;
        loop {
            pace.tick().await;
            if let Some(reason) = self.around.fatal.reason() {
                return Err(OpenError::Stopped(reason));
            }
            let state = self.catalog.read();
            let Some(cluster) = state.cluster() else { continue };
            if cluster.id != place.cluster_id {
                if self.replicas.get(GroupId::Meta).is_some_and(|meta| meta.is_alone()) {
                    return Err(OpenError::ForeignCatalog);
                }
                // Others have a log in which the cluster was founded under another id, and recovered since.
                self.options.progress.wait(
                    "waiting for the catalog: what is here is of before a recovery, or of another cluster",
                );
                continue;
            }
            match state.node_by_uuid(uuid) {
                Some(node) if node.state.is_out() => {
                    self.myself.leave(node.state)?;
                    return Err(OpenError::Out(node.id, node.state));
                }
                Some(node) => return Ok(node.clone()),
                // A founder is in the first command, so whoever is not will never be.
                None if place.node_id.get() < cluster.next_node => return Err(OpenError::Unknown),
                None => {}
            }
        }
    }

    /// Returns when an initial peer says that this node is out. Whoever is let go before it has the catalog is no member of
    /// the group any more by which it would hear of it.
    async fn said_out(&self) -> NodeState {
        let Some(peers) = &self.options.peers else { return std::future::pending().await };
        let mut directory = Directory::new(&peers.initial);
        let mut pace = interval(ASK_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Most know the catalog before.
        pace.reset();
        loop {
            pace.tick().await;
            let members = discovery::members(&mut directory, &self.myself, &self.around.links).await;
            for member in members.unwrap_or_default() {
                let link = self.around.links.to(member.node, &member.address);
                let question = status::says_out(&link, self.courier.route_to(member.node), ANSWER_WITHIN);
                if let Ok(Some(state)) = timeout(ANSWER_WITHIN, question).await {
                    return state;
                }
            }
        }
    }

    /// Opens the groups of the partitions that are placed on this node, side by side.
    async fn open_data_groups(&self, node: &ClusterNode) -> Result<(), OpenError> {
        let placements: Vec<Placed> = {
            let state = self.catalog.read();
            let of_node = |placement: &Placement| {
                let GroupId::Data(partition) = placement.group else { return None };
                let replica = placement.replicas.iter().find(|replica| replica.node == node.id)?;
                let member = |id| {
                    let node = state.node(id)?;
                    Some(Member { node: node.info.uuid, address: node.info.address.clone() })
                };
                // The one that should lead initialises the group, and nobody does when it has been changed since.
                let first = placement.voters().next().filter(|_| placement.generation == 0);
                let is_first = first.is_some_and(|first| first.id == replica.id);
                let members = placement.voters().filter_map(|voter| Some((voter.id.0, member(voter.node)?)));
                Some(Placed { partition, replica: replica.id, found: is_first.then(|| members.collect()) })
            };
            state.placements().filter_map(of_node).collect()
        };
        let of = placements.len() as u64;
        let mut opening = JoinSet::new();
        for Placed { partition, replica, found } in placements {
            let (around, machines) = (self.around.clone(), Arc::clone(&self.machines));
            opening.spawn(async move {
                let opened = hosting::open(&around, machines, partition, replica).await?;
                Ok::<_, OpenError>((opened, found))
            });
        }
        let mut failed = None;
        let mut opened = Vec::new();
        while let Some(result) = opening.join_next().await {
            match result.map_err(OpenError::Panicked).and_then(std::convert::identity) {
                Ok((group, found)) => {
                    // From here on it is shut down with the others.
                    self.replicas.add(&group);
                    opened.push((group, found));
                    self.options.progress.done(opened.len() as u64, of);
                }
                // The catalog here is behind.
                Err(OpenError::Gone { group, replica }) => {
                    tracing::info!(%group, %replica, "a replica that was removed from here is not opened");
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let started = opened.into_iter().map(|(group, found)| async move { self.start(&group, found).await });
        join_all(started).await.into_iter().collect()
    }
}

/// The voters of the meta group of a new cluster.
fn meta_members(founders: &Founders) -> BTreeMap<u64, Member> {
    let member = |node: &NodeInfo| Member { node: node.uuid, address: node.address.clone() };
    (1..).zip(founders.iter().map(member)).collect()
}

/// The identity of a data directory; a new one gets one.
fn identity(vfs: &dyn Vfs, data_dir: &Path) -> Result<Identity, OpenError> {
    if let Some(identity) = Identity::read(vfs, data_dir)? {
        return Ok(identity);
    }
    // It must hold nothing that depends on an identity: that is written first.
    for name in ["raft", "partitions"] {
        let dir = data_dir.join(name);
        let has_data = vfs.exists(&dir).and_then(|there| Ok(there && !vfs.list(&dir)?.is_empty()));
        if has_data.map_err(OpenError::DataDir)? {
            return Err(OpenError::IdentityLost(data_dir.to_owned()));
        }
    }
    let identity = Identity::mint()?;
    identity.write(vfs, data_dir)?;
    Ok(identity)
}

/// Which back-end a log is of; `None` when there is no log.
pub(crate) fn found_lane(vfs: &dyn Vfs, dir: &Path) -> io::Result<Option<LaneKind>> {
    let names = if vfs.exists(dir)? { vfs.list(dir)? } else { Vec::new() };
    Ok(if names.iter().any(|name| name.extension().is_some_and(|end| end == "seg")) {
        Some(LaneKind::Segment)
    } else if names.iter().any(|name| name.as_os_str() == "CURRENT") {
        Some(LaneKind::RocksDb)
    } else {
        None
    })
}

/// A member has a log, and it is the configured back-end's. Asked before anything is written.
fn check_lane(vfs: &dyn Vfs, options: &Options, identity: &Identity) -> Result<(), OpenError> {
    let dir = log_dir(&options.data_dir);
    match found_lane(vfs, &dir).map_err(OpenError::DataDir)? {
        Some(found) if found != options.lane => {
            Err(OpenError::OtherLane { dir, found, wanted: options.lane })
        }
        None if identity.member => Err(OpenError::LogLost(GroupId::Meta)),
        _ => Ok(()),
    }
}

async fn open_lane(
    options: &Options,
    vfs: Arc<dyn Vfs>,
    clock: Arc<dyn Clock>,
    fatal: Fatal,
) -> Result<Arc<Lane>, OpenError> {
    let lane = LaneOptions {
        dir: log_dir(&options.data_dir),
        kind: options.lane,
        segment_bytes: options.limits.segment_bytes,
        queue_bytes_max: options.limits.queue_bytes_max,
        cache_bytes_max: options.limits.cache_bytes_max,
        progress: options.progress.clone(),
    };
    let opened = host::offload(move || Lane::open(&lane, vfs, clock, fatal));
    Ok(opened.await.map_err(OpenError::Panicked)??)
}
