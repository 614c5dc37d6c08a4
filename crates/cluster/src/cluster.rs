//! A node's part in the cluster: its lane, its groups, and the way to those of others.

mod gateway;
mod open;
mod operate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use catalog::{Catalog, Command, NodeState, Response};
use futures::future::join_all;
use model::{Clock, Commits, GroupId, LogPosition, NodeId, PartitionId, PartitionOp, Reading, ReplicaId};
use proto::log::Vote;
use tokio::time::{MissedTickBehavior, interval, timeout};
use trace::{Collected, TraceId};

use crate::barrier::Proof;
use crate::courier::Courier;
use crate::entry::Op;
use crate::error::ProposeError;
use crate::fatal::Fatal;
use crate::group::{Group, GroupStatus};
use crate::identity::Identity;
use crate::lane::{Lane, LaneMetrics};
use crate::options::Limits;
use crate::peer::follow::Out;
use crate::peer::myself::Room;
use crate::peer::reach::Way;
use crate::peer::status::NodeReport;
use crate::queries::Queries;
use crate::reads::Reader;
use crate::replicas::Replicas;
use crate::tasks::TaskGroup;

/// A log that holds nothing which is needed is made as small as this.
const LOG_BYTES_AT_REST: u64 = 1 << 20;
/// How long a stopping node waits for others to take the lead over.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(1);
/// Pause before leads are offered again that were not taken.
const HAND_OVER_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What holds up the end of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPressure {
    /// The partitions whose oldest entries must be flushed so that the log gets below its limit.
    pub partitions: Vec<PartitionId>,
    /// Bytes of the whole log.
    pub bytes: u64,
}

/// How a node's copy of the catalog is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogHealth {
    /// Whether there is a leader that this node reaches; of a gateway, whether it follows a node.
    pub has_leader: bool,
    /// Whether all that is known to be committed is applied.
    pub is_current: bool,
}

pub(crate) use open::found_lane;
pub use operate::{MembershipError, Move};

/// A node's part in the cluster.
pub struct Cluster {
    identity: Identity,
    /// A gateway has none.
    node_id: Option<NodeId>,
    partitions: u16,
    /// A gateway has none.
    lane: Option<Arc<Lane>>,
    replicas: Arc<Replicas>,
    courier: Arc<Courier>,
    /// Reads for other nodes.
    reader: Arc<OnceLock<Arc<dyn Reader>>>,
    /// The queries that run here.
    queries: Arc<OnceLock<Arc<dyn Queries>>>,
    out: Out,
    clock: Arc<dyn Clock>,
    tasks: TaskGroup,
    /// Serves peers.
    listening: TaskGroup,
    fatal: Fatal,
    limits: Limits,
    /// Whether nobody else can ever write to it.
    is_alone: bool,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Who this node is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Lets other nodes read what this one has. Once.
    pub fn serve_reads(&self, reader: Arc<dyn Reader>) {
        self.reader.get_or_init(|| reader);
    }

    pub(crate) fn reader(&self) -> Option<&Arc<dyn Reader>> {
        self.reader.get()
    }

    /// Lets other nodes know the queries that run here. Once.
    pub fn serve_queries(&self, queries: Arc<dyn Queries>) {
        self.queries.get_or_init(|| queries);
    }

    pub(crate) fn queries(&self) -> Option<&Arc<dyn Queries>> {
        self.queries.get()
    }

    pub(crate) const fn courier(&self) -> &Arc<Courier> {
        &self.courier
    }

    /// This node's id in the cluster; a gateway has none.
    #[must_use]
    pub const fn node_id(&self) -> Option<NodeId> {
        self.node_id
    }

    /// The local copy of the catalog.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.courier.catalog
    }

    /// The clock that proposals are stamped with.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Number of partitions of the cluster, a power of two.
    #[must_use]
    pub const fn partitions(&self) -> u16 {
        self.partitions
    }

    /// The signal that the process must stop.
    #[must_use]
    pub const fn fatal(&self) -> &Fatal {
        &self.fatal
    }

    /// Returns when this node has been told that it is out of the cluster for good, as lost or decommissioned. Nobody
    /// listens to it any more.
    pub async fn out(&self) -> NodeState {
        self.out.said().await
    }

    /// The counters of the log.
    #[must_use]
    pub fn log_metrics(&self) -> Arc<LaneMetrics> {
        Arc::clone(&self.courier.log)
    }

    /// Up to where the local catalog goes.
    #[must_use]
    pub fn catalog_commits(&self) -> Commits {
        let (applied, _) = self.courier.catalog.applied();
        applied.map(|position| (GroupId::Meta, position.index)).into_iter().collect()
    }

    /// Proposes a change of the catalog; when it returns, the change is visible in the local copy.
    ///
    /// # Errors
    /// See [`ProposeError`]. A refusal by the catalog itself is an `Ok(Response::Refused)`.
    pub async fn propose_catalog(&self, command: Command) -> Result<Response, ProposeError> {
        let encoded = proto::encode_catalog(command.encode(), self.clock.now());
        self.courier.propose_catalog(encoded, command).await
    }

    /// Makes the local catalog as new as anything acknowledged before the call. Law: no negative answer without it.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn read_barrier_meta(&self) -> Result<(), ProposeError> {
        if let Some(mirror) = &self.courier.mirror {
            return self.courier.mirror_barrier(mirror, Proof::Lease).await;
        }
        self.courier.barrier(vec![self.meta()?]).await
    }

    /// Notes how much room the node's disk has. One with little hands its leads to others and stands for none; one with
    /// nearly none takes no entries from leaders either.
    pub fn note_room(&self, room: Room) {
        self.courier.myself.note_room(room);
    }

    /// A group whose members have no room for more points, most of them; deletes are still proposed.
    #[must_use]
    pub fn lacks_room(&self) -> Option<GroupId> {
        self.courier.lacks_room()
    }

    /// Makes the local catalog as new as a read wants it.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn ready_catalog(&self, reading: &Reading) -> Result<(), ProposeError> {
        if let Some(mirror) = &self.courier.mirror {
            return self.courier.ready_mirror(mirror, reading).await;
        }
        self.courier.ready_here(self.meta()?, reading).await
    }

    /// Makes the partitions that have a replica here as new as a read wants them, and answers those that are; the
    /// others are to be read elsewhere.
    ///
    /// # Errors
    /// The error of a partition whose leader could not be reached in time.
    pub async fn ready_to_read(&self, reading: &Reading) -> Result<Vec<PartitionId>, ProposeError> {
        let ready = self.courier.ready(self.replicas.data(), reading).await?;
        let partition = |group: Arc<Group>| match group.id() {
            GroupId::Data(partition) => Some(partition),
            GroupId::Meta => None,
        };
        Ok(ready.into_iter().filter_map(partition).collect())
    }

    /// Returns when everything acknowledged before the call, by whichever node, is applied in all partitions that have
    /// a replica with a vote here, and answers which those are.
    #[cfg(test)]
    pub(crate) async fn read_barrier_all(&self) -> Result<Vec<PartitionId>, ProposeError> {
        let groups = self.replicas.data();
        let partition = |group: &Arc<Group>| match group.id() {
            GroupId::Data(partition) => Some(partition),
            GroupId::Meta => None,
        };
        let partitions = groups.iter().filter_map(partition).collect();
        self.courier.barrier(groups).await.map(|()| partitions)
    }

    /// Proposes an operation on a partition and waits until it is committed and applied; answers the index of its
    /// entry.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn propose(&self, partition: PartitionId, op: PartitionOp) -> Result<u64, ProposeError> {
        let encoded = proto::encode_op(&op, self.clock.now());
        self.propose_encoded(partition, vec![(encoded, op)]).await
    }

    /// Proposes operations that are encoded already, in order, at least one, and waits for all of them; answers the
    /// index of the last one's entry. After an error some of them may have been carried out; [`ProposeError::Unknown`]
    /// says so unless nothing was.
    pub(crate) async fn propose_encoded(
        &self,
        partition: PartitionId,
        ops: Vec<(Bytes, PartitionOp)>,
    ) -> Result<u64, ProposeError> {
        let group = GroupId::Data(partition);
        if partition.0 >= self.partitions {
            return Err(ProposeError::NoSuchGroup(group));
        }
        let ops = ops.into_iter().map(|(encoded, op)| (encoded, Op::Partition(op))).collect();
        self.courier.propose(group, ops).await.map(|committed| committed.index)
    }

    /// Notes that a partition's machine has made everything up to `position` durable, so that the log may go.
    pub fn flushed(&self, partition: PartitionId, position: LogPosition) {
        if let Some(group) = self.replicas.get(GroupId::Data(partition)) {
            group.flushed(position);
        }
    }

    /// Bytes of the log above which partitions are flushed for it.
    #[must_use]
    pub const fn log_bytes_soft(&self) -> u64 {
        self.limits.log_bytes_soft
    }

    /// Which partitions should flush so that the log gets below its soft limit, or, where space is short, as small as
    /// it can be; `None` when none needs to. To be asked every second or so. When the catalog holds the log up, that is
    /// dealt with here.
    #[must_use]
    pub fn log_pressure(&self, is_space_short: bool) -> Option<LogPressure> {
        let lane = self.lane.as_ref()?;
        let bytes = lane.bytes();
        let meta = self.meta().ok()?;
        // A node alone at rest: only the catalog's entries keep the log from getting small, and no follower needs them.
        if bytes > LOG_BYTES_AT_REST && meta.is_alone() && lane.is_pinned_by_only(GroupId::Meta) {
            meta.compact_to_applied();
            return None;
        }
        let limit = if is_space_short { 0 } else { self.limits.log_bytes_soft };
        if bytes <= limit {
            return None;
        }
        let mut partitions = Vec::new();
        for group in lane.pins_beyond(limit) {
            match group {
                GroupId::Meta => meta.compact_to_applied(),
                GroupId::Data(partition) => partitions.push(partition),
            }
        }
        (!partitions.is_empty()).then_some(LogPressure { partitions, bytes })
    }

    /// The state of every group that has a member here, the meta group first.
    #[must_use]
    pub fn status(&self) -> Vec<GroupStatus> {
        self.replicas.all().iter().map(|group| group.status()).collect()
    }

    /// The last entry that each member here has applied.
    pub fn applied(&self) -> Vec<(GroupId, ReplicaId, LogPosition)> {
        let applied = |group: &Arc<Group>| Some((group.id(), group.replica(), group.applied()?));
        self.replicas.all().iter().filter_map(applied).collect()
    }

    /// The vote of each member here.
    pub fn votes(&self) -> Vec<(GroupId, ReplicaId, Vote)> {
        let vote = |group: &Arc<Group>| (group.id(), group.replica(), group.vote());
        self.replicas.all().iter().map(vote).collect()
    }

    /// What the log of each member here holds: the last entry of each leader, and before them the last one that was
    /// purged.
    pub fn logs(&self) -> Vec<(GroupId, ReplicaId, Vec<LogPosition>)> {
        let log = |group: &Arc<Group>| (group.id(), group.replica(), group.log_positions());
        self.replicas.all().iter().map(log).collect()
    }

    /// `Ok` when every group has a leader; else the first that has none.
    ///
    /// # Errors
    /// The state of that group.
    pub fn ready(&self) -> Result<(), Box<GroupStatus>> {
        self.status()
            .into_iter()
            .find(|status| !status.ready())
            .map_or(Ok(()), |status| Err(Box::new(status)))
    }

    /// What each node that is not out of the cluster says of itself; why not, where it does not.
    pub async fn reports(&self) -> BTreeMap<NodeId, Result<NodeReport, String>> {
        self.courier.reports().await
    }

    /// The parts of a trace that a client has asked to see, of all nodes that answer; `None` where none holds any.
    pub async fn collect_trace(&self, trace: TraceId) -> Option<Collected> {
        self.courier.collect_trace(trace).await
    }

    /// Whether this node leads a partition, as far as it knows. Whoever does looks after it.
    #[must_use]
    pub fn leads(&self, partition: PartitionId) -> bool {
        self.replicas.get(GroupId::Data(partition)).is_some_and(|group| group.leads())
    }

    /// Whether this node leads the group of the catalog, as far as it knows: one node of the cluster does.
    #[must_use]
    pub fn leads_catalog(&self) -> bool {
        self.replicas.get(GroupId::Meta).is_some_and(|group| group.leads())
    }

    /// A partition whose files cannot be read here, if there is one.
    #[must_use]
    pub fn damaged(&self) -> Option<PartitionId> {
        let groups = self.replicas.all();
        groups.iter().find_map(|group| match group.id() {
            GroupId::Data(partition) if group.target().is_damaged() => Some(partition),
            _ => None,
        })
    }

    /// Whether this node has no peer port, so that no other node and no gateway has ever spoken to it.
    #[must_use]
    pub const fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// A group of whose members this gateway reaches no majority. A node has members of its own that know.
    #[must_use]
    pub fn out_of_reach(&self) -> Option<GroupId> {
        self.courier.mirror.as_ref()?;
        let groups: Vec<GroupId> =
            self.courier.catalog.read().placements().map(|placement| placement.group).collect();
        groups.into_iter().find(|group| !self.courier.reaches_quorum(*group))
    }

    /// Why what this gateway knows may be old, if so: it finds no node to follow. A node never says so.
    #[must_use]
    pub fn is_lost(&self) -> Option<String> {
        self.courier.mirror.as_ref()?.is_lost()
    }

    fn meta(&self) -> Result<Arc<Group>, ProposeError> {
        self.replicas.get(GroupId::Meta).ok_or(ProposeError::NoSuchGroup(GroupId::Meta))
    }

    /// Gives every lead that this node has to others that can take it, and takes none any more, for the node is about to
    /// stop. Returns when it leads nothing that others can lead, or after so long; answers how many groups it led, and how
    /// many it still leads.
    pub async fn leave_leads(&self, at_most: Duration) -> (usize, usize) {
        self.courier.leaving.store(true, Ordering::Relaxed);
        let led = || self.replicas.all().into_iter().filter(|group| group.leads()).collect::<Vec<_>>();
        let at_first = led().len();
        let mut pace = interval(HAND_OVER_AGAIN_AFTER);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let gone = async {
            while !led().is_empty() {
                pace.tick().await;
                let passing: Vec<_> = led().iter().map(|group| self.hand_over(Arc::clone(group))).collect();
                join_all(passing).await;
                if led().iter().all(|group| self.courier.successors(group.id(), false).is_empty()) {
                    return;
                }
            }
        };
        // What is left is said.
        let _elapsed = timeout(at_most, gone).await;
        (at_first, led().len())
    }

    async fn hand_over(&self, group: Arc<Group>) {
        group.hand_over(&self.courier.successors(group.id(), false), HAND_OVER_WITHIN).await;
    }

    /// How this node's copy of the catalog is: whether the group that has it has a leader that this node reaches, and
    /// whether all that is known to be committed is applied here.
    #[must_use]
    pub fn catalog_health(&self) -> CatalogHealth {
        if let Some(mirror) = &self.courier.mirror {
            return CatalogHealth { has_leader: mirror.is_lost().is_none(), is_current: true };
        }
        let Ok(meta) = self.meta() else { return CatalogHealth { has_leader: false, is_current: false } };
        let status = meta.status();
        let has_leader = match meta.leader() {
            Some((leader, _)) if leader == status.replica => self.courier.reaches_quorum(GroupId::Meta),
            // Who led before this process began may be gone since: it must have answered.
            Some((_, leader)) => match self.courier.reach.way(leader.node) {
                Way::Direct => self.courier.reach.answers(leader.node),
                Way::Over(_) => true,
                Way::Nowhere => false,
            },
            None => false,
        };
        let is_current = status.applied >= status.committed && status.files.is_none();
        CatalogHealth { has_leader: status.running && has_leader, is_current }
    }

    /// Stops in order: the lead of groups that others can lead, background tasks, what peers ask, groups, log. What was
    /// acknowledged is durable anyway.
    pub async fn shutdown(&self) {
        self.courier.leaving.store(true, Ordering::Relaxed);
        join_all(self.replicas.all().into_iter().map(|group| self.hand_over(group))).await;
        self.tasks.stop().await;
        self.listening.stop().await;
        // Some may have been opened since.
        join_all(self.replicas.all().iter().map(|group| group.shutdown())).await;
        if let Some(lane) = &self.lane {
            close_lane(Arc::clone(lane)).await;
        }
    }
}

async fn close_lane(lane: Arc<Lane>) {
    if let Err(error) = host::offload(move || lane.close()).await {
        tracing::error!(%error, "closing the log failed");
    }
}

/// Where a node keeps its log.
pub fn log_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("raft").join("lane-0")
}

#[cfg(test)]
mod several;
#[cfg(test)]
pub(crate) mod tests;
