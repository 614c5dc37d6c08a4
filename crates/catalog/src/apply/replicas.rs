//! Where the replicas of groups are, step by step: a new one without a vote, its vote instead of another's, the end of
//! the other. Each step can be repeated, and says what is to be; the group's members follow it.

use model::{GroupId, NodeId, ReplicaId};

use super::checks::{Checked, conflict, invalid, not_found};
use super::nodes;
use crate::change::Change;
use crate::resources::{NodeState, Placement, Replica};
use crate::state::State;

fn placement(state: &State, group: GroupId) -> Checked<&Placement> {
    state.placement(group).ok_or_else(|| not_found(format!("there is no group {group}")))
}

fn member(placement: &Placement, replica: ReplicaId) -> Checked<&Replica> {
    let group = placement.group;
    placement.replica(replica).ok_or_else(|| not_found(format!("group {group} has no replica {replica}")))
}

fn is_active(state: &State, node: NodeId) -> Checked {
    match state.node(node).map(|node| node.state) {
        Some(NodeState::Active) => Ok(()),
        Some(other) => Err(conflict(format!("node {node} is {}", other.name()))),
        None => Err(not_found(format!("there is no node {node}"))),
    }
}

pub(super) fn add(state: &State, group: GroupId, node: NodeId, replaces: ReplicaId) -> Checked<Vec<Change>> {
    if group == GroupId::Meta {
        return Err(invalid("every node has a replica of the meta group already"));
    }
    let Some(cluster) = state.cluster() else {
        return Err(conflict("the cluster has not been bootstrapped"));
    };
    let placement = placement(state, group)?;
    is_active(state, node)?;
    if placement.on(node).is_some() {
        return Err(conflict(format!("group {group} has a replica on node {node} already")));
    }
    if !member(placement, replaces)?.is_voter {
        return Err(conflict(format!("replica {replaces} has no vote that another could get")));
    }
    if placement.joining().is_some() || placement.leaving().is_some() {
        return Err(conflict(format!("a replica of group {group} is on its way already")));
    }
    let mut cluster = cluster.clone();
    let learner = nodes::replica(&mut cluster, node, false);
    let mut placement = placement.clone();
    placement.replicas.push(Replica { replaces: Some(replaces), ..learner });
    Ok(vec![Change::PutCluster(cluster), Change::PutPlacement(placement)])
}

pub(super) fn promote(
    state: &State,
    group: GroupId,
    replica: ReplicaId,
    replaces: Option<ReplicaId>,
) -> Checked<Vec<Change>> {
    let mut placement = placement(state, group)?.clone();
    let new = *member(&placement, replica)?;
    if new.is_voter {
        return Ok(Vec::new());
    }
    is_active(state, new.node)?;
    if group != GroupId::Meta && (replaces.is_none() || new.replaces != replaces) {
        return Err(conflict(format!("replica {replica} is not there to replace that one")));
    }
    if let Some(replaces) = replaces
        && !member(&placement, replaces)?.is_voter
    {
        return Err(conflict(format!("replica {replaces} has no vote that another could get")));
    }
    // The new voter gets the old one's place in the order too.
    let at = |id| placement.replicas.iter().position(|other| other.id == id);
    let (here, there) = (at(replica), replaces.and_then(at));
    if let (Some(here), Some(there)) = (here, there) {
        placement.replicas.swap(here, there);
    }
    for other in &mut placement.replicas {
        if other.id == replica {
            *other = Replica { is_voter: true, replaces: None, ..*other };
        } else if Some(other.id) == replaces {
            *other = Replica { is_voter: false, replaces: None, ..*other };
        }
    }
    placement.generation += 1;
    Ok(vec![Change::PutPlacement(placement)])
}

pub(super) fn remove(state: &State, group: GroupId, replica: ReplicaId) -> Checked<Vec<Change>> {
    let mut placement = placement(state, group)?.clone();
    let Some(old) = placement.replica(replica) else { return Ok(Vec::new()) };
    if old.is_voter {
        return Err(conflict(format!("replica {replica} has a vote")));
    }
    let is_out = state.node(old.node).is_none_or(|node| node.state.is_out());
    if group == GroupId::Meta && !is_out {
        return Err(conflict(format!("node {} needs the catalog", old.node)));
    }
    placement.replicas.retain(|other| other.id != replica);
    Ok(vec![Change::PutPlacement(placement)])
}

pub(super) fn prefer(state: &State, group: GroupId, replica: ReplicaId) -> Checked<Vec<Change>> {
    let placement = placement(state, group)?;
    if !member(placement, replica)?.is_voter {
        return Err(conflict(format!("replica {replica} has no vote")));
    }
    let mut preferred = placement.clone();
    preferred.replicas.sort_by_key(|other| other.id != replica);
    Ok(if preferred == *placement { Vec::new() } else { vec![Change::PutPlacement(preferred)] })
}

#[cfg(test)]
mod tests;
