//! Opens and closes the replicas of this node while it runs, as the catalog places them; and founds groups that those who
//! should have do not found.
//!
//! What must always hold: a replica that is not placed any more, though its id was given out, is gone for good. Its log
//! says so durably before its files go, so that it is never opened again as one that has forgotten what it voted for.
//! The next replica of the partition is opened when nothing of it is left.
//!
//! The first voter of a new partition founds its group. When that node is gone before it has, any other voter may whose log
//! is empty: all found the group with the same voters, those of a placement that was never changed. That makes nothing
//! possible that was not:
//! - Founding writes one entry, which says who the voters are, at index 0 and of term 0. Votes stay as they are, also that of
//!   a voter who has voted before it had a log, so no term gets a second leader.
//! - Whatever is committed has an entry of its leader's term, 1 or later, on a majority. A voter whose log is empty is not
//!   of that majority, since what it had taken it would still have; with the entry of term 0 it stands behind each that is,
//!   and none of them elects it. What it has written goes when it hears from a leader that was elected.
//! - No log is ever empty again that was not, while its replica is there: a lost one is refused when it is opened.

mod heal;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Catalog, Placement};
use model::{GroupId, NodeId, PartitionId, ReplicaId};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::comparison::Comparison;
use crate::error::OpenError;
use crate::group::{Group, Surroundings};
use crate::machine::Machines;
use crate::raft::machine::{Target, with_causes};
use crate::raft::types::Member;
use crate::replicas::Replicas;
use crate::tasks::TaskGroup;

/// Pause between two looks at the catalog.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a group may be without members before its second voter founds it; the third waits for twice as long, and who
/// has voted for so long more: it has heard of one that has a log.
const FOUND_AFTER: Duration = Duration::from_secs(3);

/// Opens a partition's replica, when nothing is left of those before it: the log is its own, durably, before their files
/// go. They may have left this node while it was stopped.
pub(crate) async fn open(
    around: &Surroundings,
    machines: Arc<dyn Machines>,
    partition: PartitionId,
    replica: ReplicaId,
) -> Result<Arc<Group>, OpenError> {
    let group = GroupId::Data(partition);
    let point = |name| host::failpoint(name).map_err(|source| OpenError::Machine { group, source });
    point("replica-open")?;
    let claimed = around.lane.claim(&around.lane.log(group), replica).await;
    if !claimed.map_err(|error| OpenError::Group { group, reason: with_causes(&error) })? {
        return Err(OpenError::Gone { group, replica });
    }
    let of_old = Arc::clone(&machines);
    let removed = host::offload(move || of_old.remove(partition, replica)).await;
    removed.map_err(OpenError::Panicked)?.map_err(|source| OpenError::Machine { group, source })?;
    point("replica-claimed")?;
    let machine = host::offload(move || machines.open(partition, replica));
    let machine = machine
        .await
        .map_err(OpenError::Panicked)?
        .map_err(|source| OpenError::Machine { group, source: io::Error::other(source) })?;
    let durable = machine.durable().map_err(|source| OpenError::Machine { group, source })?;
    point("replica-machine-open")?;
    let comparison = Comparison::after(around.lane.log(group).index().last().map(|last| last.index));
    let target = Target::Partition(machine, Arc::new(comparison));
    let opened = Group::open(around, group, replica, target).await?;
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
    /// Held by whoever opens or closes replicas.
    pub(crate) changing: tokio::sync::Mutex<()>,
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
    /// Since when replicas here have been of groups that nobody has founded, as far as is known here.
    orphans: BTreeMap<GroupId, Instant>,
}

impl Host {
    /// Follows the catalog for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut pace = interval(LOOK_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut memory = Memory::default();
        loop {
            pace.tick().await;
            let _changing = self.changing.lock().await;
            for task in self.tasks(&memory) {
                self.carry_out(task, &mut memory).await;
            }
            for (group, members) in self.orphans(&mut memory.orphans) {
                let (id, replica) = (group.id(), group.replica());
                match self.found(group, members).await {
                    Ok(()) => {
                        tracing::warn!(group = %id, %replica, "founded, because its first voter has not");
                    }
                    // It was founded at this moment, or the log takes nothing.
                    Err(error) => tracing::info!(group = %id, %replica, %error, "not founded here"),
                }
            }
        }
    }

    /// The groups that this node may found and that have had no members for too long, with the voters that they are to
    /// have.
    fn orphans(&self, since: &mut BTreeMap<GroupId, Instant>) -> Vec<(Arc<Group>, BTreeMap<u64, Member>)> {
        let state = self.catalog.read();
        let mut orphans = Vec::new();
        for placement in state.placements() {
            let at = placement.voters().position(|voter| voter.node == self.node);
            let group = self.replicas.get(placement.group).filter(|_| placement.generation == 0);
            let Some((at, group)) = at.zip(group).filter(|(_, group)| group.is_blank()) else {
                since.remove(&placement.group);
                continue;
            };
            let waited = since.entry(placement.group).or_insert_with(Instant::now).elapsed();
            let turns = at.saturating_add(usize::from(group.has_voted()));
            if waited < FOUND_AFTER.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX)) {
                continue;
            }
            // Tried again after as long.
            since.remove(&placement.group);
            let member = |id| {
                let node = state.node(id)?;
                Some(Member { node: node.info.uuid, address: node.info.address.clone() })
            };
            let members = placement.voters().map(|voter| Some((voter.id.0, member(voter.node)?)));
            orphans.extend(members.collect::<Option<_>>().map(|members| (group, members)));
        }
        orphans
    }

    /// Founds a group with these voters. openraft does not where the member here has voted: then the entry is written while
    /// nobody else uses the log.
    async fn found(&self, group: Arc<Group>, members: BTreeMap<u64, Member>) -> Result<(), OpenError> {
        if !group.has_voted() {
            return group.found(members).await;
        }
        // Peers do not find it meanwhile.
        self.replicas.remove(&group);
        group.shutdown().await;
        let written = group.write_founding(members).await;
        // Whether that was done or not. If it cannot be opened it is opened like one that was just placed here.
        let (id, replica, target) = (group.id(), group.replica(), group.target().clone());
        drop(group);
        let opened = Group::open(&self.around, id, replica, target).await?;
        self.replicas.add(&opened);
        self.tasks.spawn("purge", opened.purge_flushed());
        written
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
        let point = |name| host::failpoint(name).map_err(|error| with_causes(&error));
        point("replica-leaves")?;
        self.around.lane.retire(&log, replica).await.map_err(|error| with_causes(&error))?;
        point("replica-retired")?;
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
