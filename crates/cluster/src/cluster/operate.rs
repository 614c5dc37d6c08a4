//! What an operator can ask of the cluster: that nodes fill, empty or leave, that a replica or a lead moves; and how far
//! that is. Each is an entry of the catalog, which leaders then carry out; asked twice it is done once.

use catalog::{CatalogError, Command, ErrorCode, Level, NodeState, Placement, Replica, Response};
use model::{GroupId, NodeId, PartitionId, PartitionOp, ReplicaId};

use super::Cluster;
use crate::error::{HandOverError, ProposeError};

/// Why something that was asked is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// It makes no sense as things are.
    #[error(transparent)]
    Refused(#[from] CatalogError),
    /// The catalog could not be reached, or it is not known whether it was.
    #[error(transparent)]
    Proposal(#[from] ProposeError),
    /// The lead was not given away; it is tried again later.
    #[error("recorded, but the lead has not moved yet: {0}")]
    HandOver(#[from] HandOverError),
    /// There is no such partition.
    #[error("there is no partition {0}: the cluster has {1}")]
    NoPartition(PartitionId, u16),
    /// The group has no replica on that node.
    #[error("group {group} has no replica on node {node}")]
    NotThere {
        /// The group.
        group: GroupId,
        /// The node.
        node: NodeId,
    },
}

/// A replica on its way: one that goes, one that comes, or one in the place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// The group.
    pub group: GroupId,
    /// The replica that goes; none where there are to be more.
    pub from: Option<Replica>,
    /// The one that gets the log, or the files, until it has its vote. From then on only the old one has to go.
    pub to: Option<Replica>,
}

impl Move {
    /// What is on its way in a group.
    pub fn of(placement: &Placement) -> impl Iterator<Item = Self> {
        let group = placement.group;
        let old = move |new: &Replica| new.replaces().and_then(|old| placement.replica(old).copied());
        let coming = placement.joining().map(move |new| Self { group, from: old(new), to: Some(*new) });
        coming.chain(placement.leaving().map(move |old| Self { group, from: Some(*old), to: None }))
    }
}

impl Cluster {
    /// Says what is expected of a node. One that drains is emptied, as far as there are other nodes; an active one gets
    /// its share; and one that holds nothing may be decommissioned, and never comes back under its id. See
    /// [`Self::give_up`] for lost ones.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn set_node_state(&self, node: NodeId, state: NodeState) -> Result<(), MembershipError> {
        self.command(Command::SetNodeState { node, state }).await
    }

    /// Gives up a node whose volume is gone: what it had is made anew elsewhere, and it never comes back under its id.
    ///
    /// # Errors
    /// See [`MembershipError`]. Unless the loss of data is accepted, it is refused as long as the node answers, and where a
    /// group would have no majority of its voters left that answer: what might come back would be lost for good.
    pub async fn give_up(&self, node: NodeId, accepts_loss: bool) -> Result<(), MembershipError> {
        self.read_barrier_meta().await?;
        let is_out = self.catalog().read().node(node).is_none_or(|known| known.state.is_out());
        if !accepts_loss && !is_out {
            let reports = self.reports().await;
            let answers = |node: NodeId| reports.get(&node).is_some_and(Result::is_ok);
            let refused = |message: String| CatalogError { code: ErrorCode::Conflict, message };
            if answers(node) {
                return Err(refused(format!(
                    "node {node} answers: drain and decommission it, or stop it first if its volume is to be given up"
                ))
                .into());
            }
            let state = self.catalog().read();
            let lost = state.placements().filter(|placement| {
                let left =
                    placement.voters().filter(|voter| voter.node != node && answers(voter.node)).count();
                placement.on(node).is_some_and(|replica| replica.is_voter())
                    && 2 * left <= placement.voters().count()
            });
            let lost: Vec<String> = lost.map(|placement| placement.group.to_string()).collect();
            if !lost.is_empty() {
                return Err(refused(format!(
                    "without node {node} no majority of the voters of {} is left that answers: bring other nodes back first; \
                     to give up what only they have, the loss of data must be accepted",
                    lost.join(", ")
                ))
                .into());
            }
        }
        self.command(Command::SetNodeState { node, state: NodeState::Lost }).await
    }

    /// Says how many replicas each partition should have; they come and go by and by, as far as there are nodes.
    ///
    /// # Errors
    /// See [`MembershipError`]; the number must be odd.
    pub async fn set_replication(&self, replicas: u8) -> Result<(), MembershipError> {
        self.command(Command::SetReplication { replicas }).await
    }

    /// Lets the cluster use what belongs to a feature level, or to the newest that all nodes understand. There is no way
    /// back, also not to a version that does not understand it.
    ///
    /// # Errors
    /// See [`MembershipError`]; all nodes must understand the level.
    pub async fn raise_level(&self, to: Option<Level>) -> Result<(), MembershipError> {
        self.read_barrier_meta().await?;
        let to = to.unwrap_or_else(|| self.catalog().read().level_of_all());
        self.command(Command::RaiseLevel { to }).await
    }

    /// Lets the replicas of a partition compute what they hold at an entry of its log, of which the index is answered; they
    /// tell it with their status by and by.
    ///
    /// # Errors
    /// See [`MembershipError`]; the cluster must be at [`Level::COMPARED_REPLICAS`].
    pub async fn compare_replicas(&self, partition: PartitionId) -> Result<u64, MembershipError> {
        self.read_barrier_meta().await?;
        let (level, needed) = (self.catalog().read().level(), Level::COMPARED_REPLICAS);
        if level < needed {
            let message = format!(
                "comparing replicas needs feature level {needed}, and the cluster is at {level}: finalize its upgrade first"
            );
            return Err(CatalogError { code: ErrorCode::Conflict, message }.into());
        }
        if partition.0 >= self.partitions() {
            return Err(MembershipError::NoPartition(partition, self.partitions()));
        }
        Ok(self.propose(partition, PartitionOp::Compare).await?)
    }

    /// Moves a partition's replica from one node to another. When that leaves the nodes with very different numbers of
    /// replicas, others move the other way.
    ///
    /// # Errors
    /// See [`MembershipError`]; only one replica of a partition moves at a time.
    pub async fn move_replica(
        &self,
        partition: PartitionId,
        from: NodeId,
        to: NodeId,
    ) -> Result<(), MembershipError> {
        let group = GroupId::Data(partition);
        self.read_barrier_meta().await?;
        let replaces = self.replica_on(group, from)?;
        self.command(Command::AddReplica { group, node: to, replaces: Some(replaces) }).await
    }

    /// Lets a group be led from a node, from now on. Returns when it leads, or why it does not yet.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn transfer_leader(&self, group: GroupId, node: NodeId) -> Result<(), MembershipError> {
        self.read_barrier_meta().await?;
        let replica = self.replica_on(group, node)?;
        self.command(Command::PreferLeader { group, replica }).await?;
        Ok(self.courier.hand_over(group, node).await?)
    }

    /// The replicas on their way, as far as the catalog here knows.
    #[must_use]
    pub fn moves(&self) -> Vec<Move> {
        self.catalog().read().placements().flat_map(Move::of).collect()
    }

    fn replica_on(&self, group: GroupId, node: NodeId) -> Result<ReplicaId, MembershipError> {
        let replica = self.catalog().read().replica_on(group, node);
        replica.ok_or(MembershipError::NotThere { group, node })
    }

    async fn command(&self, command: Command) -> Result<(), MembershipError> {
        match self.propose_catalog(command).await? {
            Response::Refused(refusal) => Err(refusal.into()),
            Response::Done | Response::Fields(_) => Ok(()),
        }
    }
}
