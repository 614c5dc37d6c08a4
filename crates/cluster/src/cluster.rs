//! A node's part in the cluster: its lane, the meta group, the data groups; from founding to shutdown.
//!
//! Order of founding, each step repeatable after a crash: identity on disk, meta group with one member, `Bootstrap`
//! in the catalog, one data group for each partition, and only then the note in the identity that all of it is done.
//! From then on a missing log is a lost log, and never a reason to begin anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catalog::{Catalog, Command, Response};
use disk::Vfs;
use futures::future::{join_all, try_join_all};
use model::{Clock, GroupId, LogPosition, PartitionId, PartitionOp, ReplicaId};
use tokio::task::JoinSet;

use crate::entry::Op;
use crate::error::{OpenError, ProposeError};
use crate::fatal::Fatal;
use crate::group::{Group, GroupStatus, Outcome, Surroundings};
use crate::identity::Identity;
use crate::lane::{Lane, LaneMetrics, LaneOptions};
use crate::machine::Machine;
use crate::options::{LaneKind, Limits, Options};
use crate::raft::machine::Target;
use crate::raft::types::Applied;
use crate::tasks::TaskGroup;

/// The most partitions of a cluster.
const PARTITIONS_MAX: u16 = 4096;
/// A log that holds nothing which is needed is made as small as this.
const LOG_BYTES_AT_REST: u64 = 1 << 20;
/// How long a group may take to find its leader and apply its backlog at start.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// Opens the state machine of a partition's replica. Called on threads that may block.
pub type MachineFactory = Arc<
    dyn Fn(PartitionId, ReplicaId) -> Result<Arc<dyn Machine>, Box<dyn std::error::Error + Send + Sync>>
        + Send
        + Sync,
>;

/// What holds up the end of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPressure {
    /// The partitions whose oldest entries must be flushed so that the log gets below its limit.
    pub partitions: Vec<PartitionId>,
    /// Bytes of the whole log.
    pub bytes: u64,
}

/// A node's part in the cluster.
pub struct Cluster {
    identity: Identity,
    lane: Arc<Lane>,
    catalog: Arc<Catalog>,
    meta: Arc<Group>,
    /// By partition.
    data: Vec<Arc<Group>>,
    clock: Arc<dyn Clock>,
    tasks: TaskGroup,
    fatal: Fatal,
    limits: Limits,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// The replica of a group on the node that founds the cluster. Every later placement gets a new id from the meta
/// log, so these are never used again.
#[must_use]
pub fn founding_replica(group: GroupId) -> ReplicaId {
    ReplicaId(u64::from(group.number()) + 1)
}

impl Cluster {
    /// Takes up the node's part: founds a cluster of its own when the data directory is new, else goes on where it
    /// stopped. Returns when every group has a leader and has applied what was committed.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing is left running after an error.
    pub async fn open(
        options: Options,
        vfs: Arc<dyn Vfs>,
        clock: Arc<dyn Clock>,
        machines: MachineFactory,
        catalog: Arc<Catalog>,
        fatal: Fatal,
    ) -> Result<Arc<Self>, OpenError> {
        vfs.create_dir_all(&options.data_dir).map_err(OpenError::DataDir)?;
        let mut identity = match Identity::read(vfs.as_ref(), &options.data_dir)? {
            Some(identity) => identity,
            None => {
                refuse_without_identity(vfs.as_ref(), &options.data_dir)?;
                let identity = Identity::found()?;
                identity.write(vfs.as_ref(), &options.data_dir)?;
                identity
            }
        };
        check_lane(vfs.as_ref(), &options, &identity)?;
        let lane = open_lane(&options, Arc::clone(&vfs), Arc::clone(&clock), fatal.clone()).await?;
        let around = Surroundings {
            lane: Arc::clone(&lane),
            fatal: fatal.clone(),
            timing: options.timing,
            limits: options.limits,
            node: identity.node_id,
            address: options.peer_address.clone(),
        };
        let opened = Self::open_groups(&options, &around, &identity, machines, &catalog, &clock).await;
        let (meta, data) = match opened {
            Ok(groups) => groups,
            Err(error) => {
                close_lane(lane).await;
                return Err(error);
            }
        };
        let tasks = TaskGroup::new(fatal.clone());
        for group in data.iter().chain([&meta]) {
            tasks.spawn("purge", Arc::clone(group).purge_flushed());
        }
        let cluster = Arc::new(Self {
            identity,
            lane,
            catalog,
            meta,
            data,
            clock,
            tasks,
            fatal,
            limits: options.limits,
        });
        if !identity.member {
            identity.member = true;
            if let Err(error) = identity.write(vfs.as_ref(), &options.data_dir) {
                cluster.shutdown().await;
                return Err(error.into());
            }
        }
        Ok(cluster)
    }

    async fn open_groups(
        options: &Options,
        around: &Surroundings,
        identity: &Identity,
        machines: MachineFactory,
        catalog: &Arc<Catalog>,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Arc<Group>, Vec<Arc<Group>>), OpenError> {
        let target = Target::Catalog(Arc::clone(catalog));
        let meta = Group::open(around, GroupId::Meta, founding_replica(GroupId::Meta), target).await?;
        let data = async {
            start(&meta, around, identity).await?;
            let partitions = found_cluster(options, identity, &meta, catalog, clock.as_ref()).await?;
            open_data_groups(partitions, around, identity, machines).await
        };
        match data.await {
            Ok(data) => Ok((meta, data)),
            Err(error) => {
                meta.shutdown().await;
                Err(error)
            }
        }
    }

    /// Who this node is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The local copy of the catalog.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The clock that proposals are stamped with.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Number of partitions, a power of two.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        u16::try_from(self.data.len()).expect("the catalog counts partitions in a u16")
    }

    /// The signal that the process must stop.
    #[must_use]
    pub const fn fatal(&self) -> &Fatal {
        &self.fatal
    }

    /// The counters of the log.
    #[must_use]
    pub fn log_metrics(&self) -> Arc<LaneMetrics> {
        self.lane.metrics()
    }

    /// Proposes a change of the catalog; when it returns, the change is visible in the local copy.
    ///
    /// # Errors
    /// See [`ProposeError`]. A refusal by the catalog itself is an `Ok(Response::Refused)`.
    pub async fn propose_catalog(&self, command: Command) -> Result<Response, ProposeError> {
        let encoded = proto::encode_catalog(command.encode(), self.clock.now());
        let (bytes, limit) = (encoded.len(), self.lane.entry_bytes_max());
        if bytes > limit {
            return Err(ProposeError::TooLarge { bytes, limit });
        }
        propose_catalog(&self.meta, encoded, command).await
    }

    /// Makes the local catalog as new as anything acknowledged before the call. Law: no negative answer without it.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn read_barrier_meta(&self) -> Result<(), ProposeError> {
        self.meta.read_barrier().await
    }

    /// Returns when everything acknowledged before the call is applied in a partition here.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn read_barrier(&self, partition: PartitionId) -> Result<(), ProposeError> {
        self.group(partition)?.read_barrier().await
    }

    /// The same for all partitions that this node leads, at once.
    ///
    /// # Errors
    /// The first partition's error.
    pub async fn read_barrier_all(&self) -> Result<(), ProposeError> {
        try_join_all(self.data.iter().map(|group| group.read_barrier())).await.map(drop)
    }

    /// Proposes an operation on a partition and waits until it is committed and applied.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn propose(&self, partition: PartitionId, op: PartitionOp) -> Result<(), ProposeError> {
        let encoded = proto::encode_op(&op, self.clock.now());
        self.propose_encoded(partition, vec![(encoded, op)]).await
    }

    /// Proposes operations that are encoded already, in order, and waits for all of them. After an error some of
    /// them may have been carried out; [`ProposeError::Unknown`] says so unless it was the very first that failed.
    pub(crate) async fn propose_encoded(
        &self,
        partition: PartitionId,
        ops: Vec<(Bytes, PartitionOp)>,
    ) -> Result<(), ProposeError> {
        let group = self.group(partition)?;
        let limit = self.lane.entry_bytes_max();
        if let Some(bytes) = ops.iter().map(|(encoded, _)| encoded.len()).find(|len| *len > limit) {
            return Err(ProposeError::TooLarge { bytes, limit });
        }
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(ops.len());
        let mut failed = None;
        for (encoded, op) in ops {
            match group.submit(encoded, Op::Partition(op)).await {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let some_submitted = !outcomes.is_empty();
        let waits = outcomes.into_iter().map(|outcome| group.outcome(outcome));
        let mut done = false;
        for result in join_all(waits).await {
            match result {
                Ok(Applied::Done | Applied::Catalog(_)) => done = true,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            None => Ok(()),
            Some(error) if done || some_submitted && !error.nothing_done() => {
                Err(ProposeError::Unknown { group: group.id(), reason: error.to_string() })
            }
            Some(error) => Err(error),
        }
    }

    /// Notes that a partition's machine has made everything up to `position` durable, so that the log may go.
    pub fn flushed(&self, partition: PartitionId, position: LogPosition) {
        if let Ok(group) = self.group(partition) {
            group.flushed(position);
        }
    }

    /// Which partitions should flush so that the log gets below its soft limit, or, where space is short, as small as
    /// it can be; `None` when none needs to. To be asked every second or so. When the catalog holds the log up, that is
    /// dealt with here.
    #[must_use]
    pub fn log_pressure(&self, is_space_short: bool) -> Option<LogPressure> {
        let bytes = self.lane.bytes();
        // A node alone at rest: only the catalog's entries keep the log from getting small, and no follower needs them.
        if bytes > LOG_BYTES_AT_REST && self.meta.is_alone() && self.lane.is_pinned_by_only(GroupId::Meta) {
            self.meta.compact_to_applied();
            return None;
        }
        let limit = if is_space_short { 0 } else { self.limits.log_bytes_soft };
        if bytes <= limit {
            return None;
        }
        let mut partitions = Vec::new();
        for group in self.lane.pins_beyond(limit) {
            match group {
                GroupId::Meta => self.meta.compact_to_applied(),
                GroupId::Data(partition) => partitions.push(partition),
            }
        }
        (!partitions.is_empty()).then_some(LogPressure { partitions, bytes })
    }

    /// The state of every group, the meta group first.
    #[must_use]
    pub fn status(&self) -> Vec<GroupStatus> {
        [&self.meta].into_iter().chain(&self.data).map(|group| group.status()).collect()
    }

    /// `Ok` when every group has a leader; else the first that has none.
    ///
    /// # Errors
    /// The state of that group.
    pub fn ready(&self) -> Result<(), GroupStatus> {
        self.status().into_iter().find(|status| !status.ready()).map_or(Ok(()), Err)
    }

    fn group(&self, partition: PartitionId) -> Result<&Arc<Group>, ProposeError> {
        let group = self.data.get(usize::from(partition.0));
        group.ok_or(ProposeError::NoSuchGroup(GroupId::Data(partition)))
    }

    /// Stops in order: background tasks, data groups, meta group, log. What was acknowledged is durable anyway.
    pub async fn shutdown(&self) {
        self.tasks.stop().await;
        join_all(self.data.iter().map(|group| group.shutdown())).await;
        self.meta.shutdown().await;
        close_lane(Arc::clone(&self.lane)).await;
    }
}

async fn propose_catalog(meta: &Group, encoded: Bytes, command: Command) -> Result<Response, ProposeError> {
    match meta.propose(encoded, Op::Catalog(Box::new(command))).await? {
        Applied::Catalog(response) => Ok(response),
        Applied::Done => Ok(Response::Done),
    }
}

/// A directory without an identity must hold nothing that depends on it: the identity is written first.
fn refuse_without_identity(vfs: &dyn Vfs, data_dir: &Path) -> Result<(), OpenError> {
    for name in ["raft", "partitions"] {
        let dir = data_dir.join(name);
        let has_data = vfs.exists(&dir).and_then(|there| Ok(there && !vfs.list(&dir)?.is_empty()));
        if has_data.map_err(OpenError::DataDir)? {
            return Err(OpenError::IdentityLost(data_dir.to_owned()));
        }
    }
    Ok(())
}

fn lane_dir(options: &Options) -> PathBuf {
    log_dir(&options.data_dir)
}

/// Where a node keeps its log.
pub fn log_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("raft").join("lane-0")
}

/// A member has a log, and it is the configured back-end's. Asked before anything is written.
fn check_lane(vfs: &dyn Vfs, options: &Options, identity: &Identity) -> Result<(), OpenError> {
    let dir = lane_dir(options);
    let there = vfs.exists(&dir).map_err(OpenError::DataDir)?;
    let names = if there { vfs.list(&dir).map_err(OpenError::DataDir)? } else { Vec::new() };
    let found = if names.iter().any(|name| name.extension().is_some_and(|end| end == "seg")) {
        Some(LaneKind::Segment)
    } else if names.iter().any(|name| name.as_os_str() == "CURRENT") {
        Some(LaneKind::RocksDb)
    } else {
        None
    };
    match found {
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
        dir: lane_dir(options),
        kind: options.lane,
        segment_bytes: options.limits.segment_bytes,
        queue_bytes_max: options.limits.queue_bytes_max,
        cache_bytes_max: options.limits.cache_bytes_max,
    };
    let opened = tokio::task::spawn_blocking(move || Lane::open(&lane, vfs, clock, fatal));
    Ok(opened.await.map_err(OpenError::Panicked)??)
}

async fn close_lane(lane: Arc<Lane>) {
    if let Err(error) = tokio::task::spawn_blocking(move || lane.close()).await {
        tracing::error!(%error, "closing the log failed");
    }
}

/// Founds a group that is new, or stands for election, and waits until it works.
async fn start(group: &Group, around: &Surroundings, identity: &Identity) -> Result<(), OpenError> {
    if identity.member && group.never_voted() {
        return Err(OpenError::LogLost(group.id()));
    }
    if group.is_founded().await? {
        if group.is_alone() {
            group.elect().await?;
        }
    } else {
        group.found_alone(around).await?;
    }
    group.wait_ready(READY_WITHIN).await
}

/// Gives a new cluster its identity and number of partitions; answers the number that holds.
async fn found_cluster(
    options: &Options,
    identity: &Identity,
    meta: &Group,
    catalog: &Catalog,
    clock: &dyn Clock,
) -> Result<u16, OpenError> {
    meta.read_barrier().await.map_err(OpenError::Found)?;
    let known = catalog.read().cluster().is_some();
    if !known {
        let partitions = options.partitions;
        if !partitions.is_power_of_two() || partitions > PARTITIONS_MAX {
            return Err(OpenError::Partitions(partitions));
        }
        let command = Command::Bootstrap {
            cluster_id: identity.cluster_id,
            partitions,
            node: identity.node_id,
            node_uuid: identity.node_uuid,
        };
        let encoded = proto::encode_catalog(command.encode(), clock.now());
        match propose_catalog(meta, encoded, command).await.map_err(OpenError::Found)? {
            Response::Done | Response::Fields(_) => {}
            Response::Refused(error) => return Err(OpenError::Refused(error)),
        }
    }
    let state = catalog.read();
    let cluster = state.cluster().ok_or(OpenError::NoCluster)?;
    if cluster.id != identity.cluster_id {
        return Err(OpenError::ForeignCatalog);
    }
    Ok(cluster.partitions)
}

/// Opens the data groups side by side.
async fn open_data_groups(
    partitions: u16,
    around: &Surroundings,
    identity: &Identity,
    machines: MachineFactory,
) -> Result<Vec<Arc<Group>>, OpenError> {
    let mut opening = JoinSet::new();
    for partition in (0..partitions).map(PartitionId) {
        let (around, identity, machines) = (around.clone(), *identity, Arc::clone(&machines));
        opening.spawn(async move {
            let group = GroupId::Data(partition);
            let replica = founding_replica(group);
            let machine = tokio::task::spawn_blocking(move || machines(partition, replica));
            let machine = machine
                .await
                .map_err(OpenError::Panicked)?
                .map_err(|source| OpenError::Machine { group, source: std::io::Error::other(source) })?;
            let durable = machine.durable().map_err(|source| OpenError::Machine { group, source })?;
            let opened = Group::open(&around, group, replica, Target::Partition(machine)).await?;
            if let Err(error) = start(&opened, &around, &identity).await {
                opened.shutdown().await;
                return Err(error);
            }
            // A crash may have come between a flush and the purge that it allows.
            durable.position.into_iter().for_each(|position| opened.flushed(position));
            Ok((partition, opened))
        });
    }
    let mut groups = Vec::with_capacity(usize::from(partitions));
    let mut failed = None;
    while let Some(opened) = opening.join_next().await {
        match opened.map_err(OpenError::Panicked).and_then(std::convert::identity) {
            Ok(group) => groups.push(group),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if let Some(error) = failed {
        join_all(groups.iter().map(|(_, group)| group.shutdown())).await;
        return Err(error);
    }
    groups.sort_unstable_by_key(|(partition, _)| *partition);
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

#[cfg(test)]
pub(crate) mod tests;
