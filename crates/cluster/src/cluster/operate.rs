//! What an operator can ask of the cluster: that nodes fill, empty or leave, that a replica or a lead moves; and how far
//! that is. Each is an entry of the catalog, which leaders then carry out; asked twice it is done once.

use catalog::{CatalogError, Command, NodeState, Response};
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
    #[error(transparent)]
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
    /// The replica that comes, until it has the vote.
    pub new: Option<ReplicaId>,
    /// The replica that goes.
    pub old: ReplicaId,
    /// Where that is.
    pub from: NodeId,
    /// Where the new one is, until it has the vote.
    pub to: Option<NodeId>,
    /// How far it is.
    pub stage: MoveStage,
}

/// How far a replica on its way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveStage {
    /// The new one gets the log, or the files.
    CatchingUp {
        /// Entries that it lacks; known where the group is led.
        behind: Option<u64>,
    },
    /// It has the vote of the old one, which goes when a quorum knows.
    Leaving,
}

impl Cluster {
    /// Lets a node hold nothing: what it leads and has goes to other nodes, as far as there are any.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn drain(&self, node: NodeId) -> Result<(), MembershipError> {
        self.set_node_state(node, NodeState::Draining).await
    }

    /// Lets a node that drains hold its share again.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn undrain(&self, node: NodeId) -> Result<(), MembershipError> {
        self.set_node_state(node, NodeState::Active).await
    }

    /// Lets a node that holds nothing leave for good.
    ///
    /// # Errors
    /// See [`MembershipError`]; a node that holds something is refused.
    pub async fn decommission(&self, node: NodeId) -> Result<(), MembershipError> {
        self.set_node_state(node, NodeState::Decommissioned).await
    }

    /// Gives a node up whose data is gone: what it had is made anew elsewhere. It never comes back under its id.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn replace(&self, node: NodeId) -> Result<(), MembershipError> {
        self.set_node_state(node, NodeState::Lost).await
    }

    async fn set_node_state(&self, node: NodeId, state: NodeState) -> Result<(), MembershipError> {
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
        let state = self.catalog().read();
        let moves = state.placements().filter_map(|placement| {
            let group = placement.group;
            if let Some(new) = placement.joining() {
                let old = placement.replica(new.replaces?)?;
                let members = self.replicas.get(group).and_then(|group| group.members());
                let behind = members.and_then(|members| members.behind.get(&new.id).copied());
                let stage = MoveStage::CatchingUp { behind };
                let (from, to) = (old.node, Some(new.node));
                return Some(Move { group, new: Some(new.id), old: old.id, from, to, stage });
            }
            let old = placement.leaving()?;
            let (from, stage) = (old.node, MoveStage::Leaving);
            Some(Move { group, new: None, old: old.id, from, to: None, stage })
        });
        moves.collect()
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
