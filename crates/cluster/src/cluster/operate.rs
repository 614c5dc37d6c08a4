//! What an operator can ask of the cluster: that nodes fill, empty or leave, that a replica or a lead moves; and how far
//! that is. Each is an entry of the catalog, which leaders then carry out; asked twice it is done once.

use catalog::{CatalogError, Command, NodeState, Placement, Replica, Response};
use model::{GroupId, NodeId, PartitionId, ReplicaId};

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
    /// The group has no replica on that node.
    #[error("group {group} has no replica on node {node}")]
    NotThere {
        /// The group.
        group: GroupId,
        /// The node.
        node: NodeId,
    },
}

/// A replica on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// The group.
    pub group: GroupId,
    /// The replica that goes.
    pub from: Replica,
    /// The one that gets its log, or its files, until it has its vote. From then on only the old one has to go.
    pub to: Option<Replica>,
}

impl Move {
    /// What is on its way in a group.
    #[must_use]
    pub fn of(placement: &Placement) -> Option<Self> {
        let group = placement.group;
        match placement.joining() {
            Some(new) => Some(Self { group, from: *placement.replica(new.replaces?)?, to: Some(*new) }),
            None => placement.leaving().map(|old| Self { group, from: *old, to: None }),
        }
    }
}

impl Cluster {
    /// Says what is expected of a node. One that drains is emptied, as far as there are other nodes; an active one gets
    /// its share; one that holds nothing may be decommissioned; and what a lost one had is made anew elsewhere. The last
    /// two never come back under their ids.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn set_node_state(&self, node: NodeId, state: NodeState) -> Result<(), MembershipError> {
        self.command(Command::SetNodeState { node, state }).await
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
        self.command(Command::AddReplica { group, node: to, replaces }).await
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
        self.catalog().read().placements().filter_map(Move::of).collect()
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
