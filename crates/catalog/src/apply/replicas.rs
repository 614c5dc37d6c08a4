//! Where the replicas of groups are, step by step: new ones without a vote, their votes instead of another's or beside
//! those of others, the end of those that have lost theirs. Each step can be repeated, and says what is to be; the group's members follow it.

use model::{GroupId, NodeId, ReplicaId};

use super::checks::{Checked, conflict, invalid, not_found};
use super::nodes;
use crate::change::Change;
use crate::command::CatalogError;
use crate::resources::{NodeState, Placement, Replica, Role};
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

/// Another replica without a vote.
pub(super) fn add(
    state: &State,
    group: GroupId,
    node: NodeId,
    replaces: Option<ReplicaId>,
) -> Checked<Vec<Change>> {
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
    if let Some(replaces) = replaces
        && !member(placement, replaces)?.is_voter()
    {
        return Err(no_vote(replaces));
    }
    // Several that are to be more voters may be on their way beside one another.
    let others = if replaces.is_some() { placement.joining().count() } else { 0 };
    if placement.replacement().is_some() || placement.leaving().next().is_some() || others > 0 {
        return Err(conflict(format!("a replica of group {group} is on its way already")));
    }
    let count = placement.voters().count() + placement.joining().count();
    if replaces.is_none() && count >= usize::from(cluster.replication) {
        return Err(conflict(format!(
            "group {group} has, or will have, all {count} replicas that are wanted"
        )));
    }
    let mut cluster = cluster.clone();
    let mut placement = placement.clone();
    placement.replicas.push(nodes::replica(&mut cluster, node, Role::Joining { replaces }));
    Ok(vec![Change::PutCluster(cluster), Change::PutPlacement(placement)])
}

fn no_vote(replica: ReplicaId) -> CatalogError {
    conflict(format!("replica {replica} has no vote that another could get"))
}

/// Gives votes and takes them, at once.
pub(super) fn change_votes(
    state: &State,
    group: GroupId,
    gain: &[ReplicaId],
    lose: &[ReplicaId],
) -> Checked<Vec<Change>> {
    let before = placement(state, group)?;
    let has_vote = |id: &ReplicaId| before.replica(*id).is_some_and(Replica::is_voter);
    if gain.iter().all(has_vote) && !lose.iter().any(has_vote) {
        return Ok(Vec::new());
    }
    for (at, id) in gain.iter().enumerate() {
        let new = member(before, *id)?;
        is_active(state, new.node)?;
        let is_expected = match new.role {
            Role::Voter => false,
            Role::Joining { replaces: Some(replaced) } => gain.len() == 1 && *lose == [replaced],
            Role::Joining { replaces: None } => lose.is_empty(),
            Role::Leaving | Role::Copy => true,
        };
        if !is_expected || gain[..at].contains(id) {
            return Err(conflict(format!("replica {id} is not there to replace that one")));
        }
    }
    for (at, id) in lose.iter().enumerate() {
        if !member(before, *id)?.is_voter() || lose[..at].contains(id) {
            return Err(no_vote(*id));
        }
    }
    let had = before.voters().count();
    let count = (had + gain.len()).saturating_sub(lose.len());
    if count == 0 || count != had && count.is_multiple_of(2) {
        return Err(conflict(format!("group {group} would have {count} votes: there must be an odd number")));
    }
    let mut placement = before.clone();
    // A new voter gets the old one's place in the order too.
    let at = |id: &ReplicaId| before.replicas.iter().position(|other| other.id == *id);
    for (new, old) in gain.iter().zip(lose) {
        if let (Some(here), Some(there)) = (at(new), at(old)) {
            placement.replicas.swap(here, there);
        }
    }
    for replica in &mut placement.replicas {
        if gain.contains(&replica.id) {
            replica.role = Role::Voter;
        } else if lose.contains(&replica.id) {
            replica.role = Role::Leaving;
        }
    }
    placement.generation += 1;
    Ok(vec![Change::PutPlacement(placement)])
}

/// Forgets a replica that no quorum counts any more. What a node has of the catalog stays as a copy.
pub(super) fn remove(state: &State, group: GroupId, replica: ReplicaId) -> Checked<Vec<Change>> {
    let mut placement = placement(state, group)?.clone();
    let Some(old) = placement.replicas.iter_mut().find(|old| old.id == replica) else {
        return Ok(Vec::new());
    };
    if old.is_voter() {
        return Err(conflict(format!("replica {replica} has a vote")));
    }
    let is_out = state.node(old.node).is_none_or(|node| node.state.is_out());
    if group == GroupId::Meta && !is_out {
        if old.role == Role::Leaving {
            old.role = Role::Copy;
            return Ok(vec![Change::PutPlacement(placement)]);
        }
        return Err(conflict(format!("node {} needs the catalog", old.node)));
    }
    placement.replicas.retain(|other| other.id != replica);
    Ok(vec![Change::PutPlacement(placement)])
}

pub(super) fn prefer(state: &State, group: GroupId, replica: ReplicaId) -> Checked<Vec<Change>> {
    let placement = placement(state, group)?;
    if !member(placement, replica)?.is_voter() {
        return Err(conflict(format!("replica {replica} has no vote")));
    }
    let mut preferred = placement.clone();
    preferred.replicas.sort_by_key(|other| other.id != replica);
    Ok(if preferred == *placement { Vec::new() } else { vec![Change::PutPlacement(preferred)] })
}

#[cfg(test)]
mod tests;
