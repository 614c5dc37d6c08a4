//! What is left of a cluster becomes another: nodes are given up, and every group is where the proposer has found it.

use std::collections::BTreeSet;

use model::{GroupId, NodeId, ReplicaId};

use super::checks::{Checked, conflict, invalid};
use super::nodes;
use crate::change::Change;
use crate::limits::Limits;
use crate::resources::{Cluster, ClusterNode, NodeState, Placement};
use crate::state::State;

pub(super) fn recover(
    state: &State,
    cluster_id: u128,
    (next_node, next_replica): (u64, u64),
    left: &[ClusterNode],
    lost: &[NodeId],
    placements: &[Placement],
    limits: &Limits,
) -> Checked<Vec<Change>> {
    let Some(cluster) = state.cluster() else {
        return Err(conflict("the cluster has not been bootstrapped"));
    };
    if cluster.id == cluster_id {
        return Err(conflict("the cluster has been recovered already"));
    }
    if next_node < cluster.next_node || next_replica < cluster.next_replica {
        return Err(invalid("ids would be given out again"));
    }
    for (at, node) in left.iter().enumerate() {
        nodes::check(&node.info, limits)?;
        let is_twice =
            left[..at].iter().any(|other| other.id == node.id || other.info.uuid == node.info.uuid);
        let is_other = state.node(node.id).is_some_and(|known| known.info.uuid != node.info.uuid);
        if is_twice
            || is_other
            || node.id.get() >= next_node
            || node.state.is_out()
            || lost.contains(&node.id)
        {
            return Err(invalid(format!("node {} is not what it should be", node.id)));
        }
    }
    let groups: BTreeSet<GroupId> = placements.iter().map(|placement| placement.group).collect();
    if groups.len() != placements.len()
        || !groups.iter().copied().eq(state.placements().map(|known| known.group))
    {
        return Err(invalid("the groups are not those that there are"));
    }
    let mut ids: BTreeSet<ReplicaId> = BTreeSet::new();
    for placement in placements {
        for (at, replica) in placement.replicas.iter().enumerate() {
            let is_left = left.iter().any(|node| node.id == replica.node);
            let is_twice = placement.replicas[..at].iter().any(|other| other.node == replica.node);
            if !is_left || is_twice || replica.id.0 >= next_replica || !ids.insert(replica.id) {
                return Err(invalid(format!("replica {} is not where it may be", replica.id)));
            }
        }
        if placement.voters().next().is_none() {
            return Err(invalid(format!("group {} has no voter", placement.group)));
        }
    }
    let cluster = Cluster { id: cluster_id, next_node, next_replica, ..cluster.clone() };
    let gone = state.nodes().filter(|node| lost.contains(&node.id) && !node.state.is_out());
    let gone = gone.map(|node| ClusterNode { state: NodeState::Lost, ..node.clone() });
    Ok([Change::PutCluster(cluster)]
        .into_iter()
        .chain(gone.map(Change::PutNode))
        .chain(left.iter().cloned().map(Change::PutNode))
        .chain(placements.iter().cloned().map(Change::PutPlacement))
        .collect())
}

#[cfg(test)]
mod tests;
