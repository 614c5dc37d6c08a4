//! Opens and closes the replicas of this node while it runs, as the catalog places them.
//!
//! What must always hold: a replica that is not placed any more, though its id was given out, is gone for good. Its log
//! says so durably before its files go, so that it is never opened again as one that has forgotten what it voted for.
//! The next replica of the partition is opened when nothing of it is left.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Catalog, Placement};
use model::{GroupId, NodeId, PartitionId, ReplicaId};
use tokio::time::{MissedTickBehavior, interval};

use crate::error::OpenError;
use crate::group::{Group, Surroundings};
use crate::machine::Machines;
use crate::raft::machine::{Target, with_causes};
use crate::replicas::Replicas;
use crate::tasks::TaskGroup;

/// Pause between two looks at the catalog.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Opens a partition's replica, when nothing is left of those before it: the log is its own, durably, before their files
/// go. They may have left this node while it was stopped.
pub(crate) async fn open(
    around: &Surroundings,
    machines: Arc<dyn Machines>,
    partition: PartitionId,
    replica: ReplicaId,
) -> Result<Arc<Group>, OpenError> {
    let group = GroupId::Data(partition);
    let claimed = around.lane.claim(&around.lane.log(group), replica).await;
    if !claimed.map_err(|error| OpenError::Group { group, reason: with_causes(&error) })? {
        return Err(OpenError::Gone { group, replica });
    }
    let of_old = Arc::clone(&machines);
    let removed = host::offload(move || of_old.remove(partition, replica)).await;
    removed.map_err(OpenError::Panicked)?.map_err(|source| OpenError::Machine { group, source })?;
    let machine = host::offload(move || machines.open(partition, replica));
    let machine = machine
        .await
        .map_err(OpenError::Panicked)?
        .map_err(|source| OpenError::Machine { group, source: io::Error::other(source) })?;
    let durable = machine.durable().map_err(|source| OpenError::Machine { group, source })?;
    let opened = Group::open(around, group, replica, Target::Partition(machine)).await?;
    // A crash may have come between a flush and the purge that it allows.
    durable.position.into_iter().for_each(|position| opened.flushed(position));
    Ok(opened)
}

/// The replicas of this node.
pub(crate) struct Host {
    pub(crate) around: Surroundings,
    pub(crate) machines: Arc<dyn Machines>,
    pub(crate) replicas: Arc<Replicas>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) node: NodeId,
    pub(crate) tasks: TaskGroup,
}

/// What is to be done for a partition.
enum Task {
    /// Its replica here is gone for good.
    Close(Arc<Group>),
    /// A replica has been placed here.
    Open(PartitionId, ReplicaId),
    /// The log was this replica's, or is to be of none before it; something may be left of those before, and of it too
    /// when it is gone.
    Sweep { partition: PartitionId, of: ReplicaId, is_gone: bool },
}

/// What is remembered between two looks.
#[derive(Default)]
struct Memory {
    /// Partitions of which nothing is left that should not be here.
    swept: BTreeSet<PartitionId>,
    /// What was told of a partition last.
    told: BTreeMap<PartitionId, String>,
}

impl Host {
    /// Follows the catalog for ever.
    pub(crate) async fn run(self) {
        let mut pace = interval(LOOK_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut memory = Memory::default();
        loop {
            pace.tick().await;
            for task in self.tasks(&memory) {
                self.carry_out(task, &mut memory).await;
            }
        }
    }

    fn tasks(&self, memory: &Memory) -> Vec<Task> {
        let state = self.catalog.read();
        let Some(cluster) = state.cluster() else { return Vec::new() };
        // As far as the catalog here knows, which may be behind: ids that it has not given out yet may be placed.
        let is_gone = |placement: &Placement, replica: ReplicaId| {
            replica.0 < cluster.next_replica && placement.replica(replica).is_none()
        };
        let task = |placement: &Placement| {
            let GroupId::Data(partition) = placement.group else { return None };
            let placed = placement.on(self.node).map(|replica| replica.id);
            let log_of = || self.around.lane.log(placement.group).index().replica();
            match (self.replicas.get(placement.group), placed) {
                (Some(open), _) => is_gone(placement, open.replica()).then_some(Task::Close(open)),
                (None, Some(placed)) if log_of() <= Some(placed) => Some(Task::Open(partition, placed)),
                (None, Some(_removed_since)) => None,
                (None, None) if memory.swept.contains(&partition) => None,
                (None, None) => {
                    log_of().map(|of| Task::Sweep { partition, of, is_gone: is_gone(placement, of) })
                }
            }
        };
        state.placements().filter_map(task).collect()
    }

    async fn carry_out(&self, task: Task, memory: &mut Memory) {
        let (partition, done) = match task {
            Task::Close(group) => {
                let GroupId::Data(partition) = group.id() else { return };
                memory.swept.remove(&partition);
                // Peers do not find it any more.
                self.replicas.remove(&group);
                group.shutdown().await;
                let replica = group.replica();
                drop(group);
                tracing::info!(%partition, %replica, "a replica leaves this node");
                (partition, self.sweep(partition, replica).await)
            }
            Task::Sweep { partition, of, is_gone: true } => (partition, self.sweep(partition, of).await),
            Task::Sweep { partition, of, is_gone: false } => (partition, self.remove(partition, of).await),
            Task::Open(partition, replica) => {
                memory.swept.remove(&partition);
                (partition, self.open(partition, replica).await)
            }
        };
        match done {
            Ok(()) => {
                memory.swept.insert(partition);
                memory.told.remove(&partition);
            }
            // It is tried again.
            Err(reason) if memory.told.get(&partition) != Some(&reason) => {
                tracing::warn!(%partition, reason, "a replica that moves has to wait");
                memory.told.insert(partition, reason);
            }
            Err(_again) => {}
        }
    }

    /// Removes what replicas up to and with this one have left.
    async fn sweep(&self, partition: PartitionId, replica: ReplicaId) -> Result<(), String> {
        let log = self.around.lane.log(GroupId::Data(partition));
        self.around.lane.retire(&log, replica).await.map_err(|error| with_causes(&error))?;
        self.remove(partition, ReplicaId(replica.0 + 1)).await
    }

    async fn remove(&self, partition: PartitionId, below: ReplicaId) -> Result<(), String> {
        let machines = Arc::clone(&self.machines);
        match host::offload(move || machines.remove(partition, below)).await {
            Ok(removed) => removed.map_err(|error| with_causes(&error)),
            Err(panic) => Err(with_causes(&panic)),
        }
    }

    async fn open(&self, partition: PartitionId, replica: ReplicaId) -> Result<(), String> {
        let machines = Arc::clone(&self.machines);
        let group = open(&self.around, machines, partition, replica).await;
        let group = group.map_err(|error| with_causes(&error))?;
        if self.around.myself.identity().member && group.never_voted() && group.had_data() {
            group.shutdown().await;
            return Err(with_causes(&OpenError::LogLost(group.id())));
        }
        self.replicas.add(&group);
        self.tasks.spawn("purge", Arc::clone(&group).purge_flushed());
        tracing::info!(%partition, %replica, "a replica is placed on this node");
        Ok(())
    }
}
