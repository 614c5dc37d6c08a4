//! What the nodes of a cluster say of themselves, put together: one picture of nodes and groups. Whoever says nothing is
//! shown as away, with what the catalog knows. And what an operator orders.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::{ClusterNode, NodeState, Placement, Replica, State};
use cluster::{
    Cluster, Compared, GatewayInfo, GroupStatus, HandOverError, MembershipError, Move, NodeReport, Outcome,
};
use gateway::ports::{
    BoxFuture, ClusterOrder, ClusterPort, ClusterSurvey, ComparedSurvey, GatewaySurvey, GroupSurvey,
    MoveSurvey, NodeSurvey, OrderError, ReplicaSurvey, Unavailable,
};
use model::{GroupId, NodeId, PartitionId, ReplicaId};
use tokio::time::timeout;

use crate::metrics::name_of;
use crate::ports::unavailable;

/// How long an operator waits for news of the catalog before the node shows what it has.
const CURRENT_WITHIN: Duration = Duration::from_secs(1);

/// What each node has said, or why it has not.
type Reports = BTreeMap<NodeId, Result<NodeReport, String>>;

/// The cluster, for operators.
#[derive(Debug)]
pub(crate) struct ClusterAdapter(pub(crate) Arc<Cluster>);

impl ClusterPort for ClusterAdapter {
    fn survey(&self) -> BoxFuture<'_, Result<ClusterSurvey, Unavailable>> {
        Box::pin(async {
            let is_current = self.is_current().await;
            let reports = self.0.reports().await;
            let survey = survey(&self.0.catalog().read(), name_of(&self.0), &reports);
            Ok(ClusterSurvey { is_current, ..survey })
        })
    }

    fn order(&self, order: ClusterOrder) -> BoxFuture<'_, Result<(), OrderError>> {
        Box::pin(async move {
            let taken = match order {
                ClusterOrder::SetNodeState { node, state } => self.0.set_node_state(node, state).await,
                ClusterOrder::GiveUp { node, accepts_loss } => self.0.give_up(node, accepts_loss).await,
                ClusterOrder::MoveReplica { partition, from, to } => {
                    self.0.move_replica(partition, from, to).await
                }
                ClusterOrder::SetReplication { replicas } => self.0.set_replication(replicas).await,
                ClusterOrder::RaiseLevel { to } => self.0.raise_level(to).await,
                ClusterOrder::TransferLeader { group, to } => self.0.transfer_leader(group, to).await,
            };
            taken.map_err(order_error)
        })
    }

    fn compare(&self, partition: PartitionId) -> BoxFuture<'_, Result<u64, OrderError>> {
        Box::pin(async move { self.0.compare_replicas(partition).await.map_err(order_error) })
    }
}

impl ClusterAdapter {
    /// Makes the catalog here as new as anything decided before the call, if that is soon possible. Without a majority
    /// of the meta group it is not, and just then operators want to see what is known.
    async fn is_current(&self) -> bool {
        match timeout(CURRENT_WITHIN, self.0.read_barrier_meta()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::info!(%error, "what is shown of the cluster may be old");
                false
            }
            Err(_late) => false,
        }
    }
}

fn order_error(error: MembershipError) -> OrderError {
    match error {
        MembershipError::Refused(refusal) => refusal.into(),
        MembershipError::Proposal(error) => unavailable(error).into(),
        MembershipError::NotThere { .. }
        | MembershipError::NoPartition(..)
        | MembershipError::HandOver(HandOverError::NoSuchGroup(_) | HandOverError::NoVoter) => {
            OrderError::NotFound(error.to_string())
        }
        MembershipError::HandOver(HandOverError::NotLeader(_) | HandOverError::Failed(_)) => {
            Unavailable::TryLater(error.to_string()).into()
        }
    }
}

/// Puts together what was said.
fn survey(state: &State, asked: String, reports: &Reports) -> ClusterSurvey {
    let said = |node: NodeId, group: GroupId, replica: ReplicaId| {
        let groups = &reports.get(&node)?.as_ref().ok()?.groups;
        groups.iter().find(|status| status.group == group && status.replica == replica)
    };
    let groups: Vec<(Vec<NodeId>, GroupSurvey)> = state
        .placements()
        .map(|placement| {
            let nodes = placement.replicas.iter().map(|replica| replica.node).collect();
            (nodes, group(placement, &said))
        })
        .collect();
    let nodes = state
        .nodes()
        .map(|one| node(one, state.held_by(one.id).count(), reports.get(&one.id), &groups))
        .collect();
    ClusterSurvey {
        is_current: false,
        cluster: state.cluster().map(|cluster| format!("{:032x}", cluster.id)).unwrap_or_default(),
        node: asked,
        partitions: state.partitions().unwrap_or_default(),
        replication: state.cluster().map_or(0, |cluster| cluster.replication),
        level: state.level().get(),
        level_of_all: state.level_of_all().get(),
        replicas_least: least_voters(state, &said),
        nodes,
        gateways: gateways(reports),
        moves: {
            let placed = state.placements().flat_map(Move::of).map(|moving| self::moving(&moving, &groups));
            placed.chain(state.placements().flat_map(|placement| without_vote(placement, &said))).collect()
        },
        groups: groups.into_iter().map(|(_, group)| group).collect(),
    }
}

/// The voters of the partition that has the fewest, as the leaders of all say.
fn least_voters<'a>(
    state: &State,
    said: &impl Fn(NodeId, GroupId, ReplicaId) -> Option<&'a GroupStatus>,
) -> Option<usize> {
    let partitions = state.placements().filter(|placement| placement.group != GroupId::Meta);
    let voters = partitions.map(|placement| Some(leader(placement, said)?.voters.len()));
    voters.collect::<Option<Vec<usize>>>()?.into_iter().min()
}

/// What the leader of a group says: whoever says that it leads, in the newest term.
fn leader<'a>(
    placement: &Placement,
    said: &impl Fn(NodeId, GroupId, ReplicaId) -> Option<&'a GroupStatus>,
) -> Option<&'a GroupStatus> {
    let statuses =
        placement.replicas.iter().filter_map(|replica| said(replica.node, placement.group, replica.id));
    statuses.filter(|status| status.leading && status.running).max_by_key(|status| status.term)
}

/// The replicas that are to have a vote, and of which the leader does not say yet that they have it: the group can lose
/// no more members than it could without them.
fn without_vote<'a>(
    placement: &Placement,
    said: &impl Fn(NodeId, GroupId, ReplicaId) -> Option<&'a GroupStatus>,
) -> Vec<MoveSurvey> {
    let Some(leader) = leader(placement, said) else { return Vec::new() };
    let lacking = placement.voters().filter(|voter| !leader.voters.contains(&voter.id));
    let survey = |voter: &Replica| MoveSurvey {
        group: placement.group.to_string(),
        to: Some(voter.node.to_string()),
        stage: "voting",
        ..MoveSurvey::default()
    };
    lacking.map(survey).collect()
}

/// The gateways, as the nodes say that they follow.
fn gateways(reports: &Reports) -> Vec<GatewaySurvey> {
    let seen = reports.iter().filter_map(|(node, report)| Some((node, report.as_ref().ok()?)));
    let all = seen.flat_map(|(node, report)| report.gateways.iter().map(move |gateway| (node, gateway)));
    // One that has just changed over may be seen by two.
    let all: BTreeMap<u128, (&NodeId, &GatewayInfo)> =
        all.map(|(node, gateway)| (gateway.id, (node, gateway))).collect();
    let survey = |(node, gateway): (&NodeId, &GatewayInfo)| GatewaySurvey {
        id: format!("{:032x}", gateway.id),
        address: gateway.address.clone(),
        zone: gateway.zone.clone(),
        version: gateway.version.clone(),
        level: gateway.level.get(),
        node: node.to_string(),
    };
    all.into_values().map(survey).collect()
}

/// A replica on its way, and how far it is.
fn moving(moving: &Move, groups: &[(Vec<NodeId>, GroupSurvey)]) -> MoveSurvey {
    let name = moving.group.to_string();
    let replicas =
        groups.iter().filter(|(_, group)| group.group == name).flat_map(|(_, group)| &group.replicas);
    let new = moving.to.and_then(|to| replicas.clone().find(|replica| replica.replica == to.id.0));
    MoveSurvey {
        from: moving.from.map(|from| from.node.to_string()),
        to: moving.to.map(|to| to.node.to_string()),
        stage: match new {
            None => "leaving",
            Some(new) if new.is_up => "catching up",
            Some(_) => "waiting",
        },
        lag: new.and_then(|new| new.lag),
        files_bytes: new.and_then(|new| new.files_bytes),
        files_bytes_all: new.and_then(|new| new.files_bytes_all),
        group: name,
    }
}

/// A group.
fn group<'a>(
    placement: &Placement,
    said: &impl Fn(NodeId, GroupId, ReplicaId) -> Option<&'a GroupStatus>,
) -> GroupSurvey {
    let statuses: Vec<Option<&GroupStatus>> =
        placement.replicas.iter().map(|replica| said(replica.node, placement.group, replica.id)).collect();
    let there = || statuses.iter().flatten();
    let leader = leader(placement, said);
    let leader = leader.and_then(|leader| placement.replicas.iter().find(|r| r.id == leader.replica));
    let committed = there().filter_map(|status| status.committed).max().unwrap_or(0);
    let replicas = placement.replicas.iter().zip(&statuses).map(|(replica, status)| ReplicaSurvey {
        replica: replica.id.0,
        node: replica.node.to_string(),
        is_voter: replica.is_voter(),
        is_up: status.is_some_and(|status| status.running),
        last: status.and_then(|status| status.last),
        applied: status.and_then(|status| status.applied),
        files_bytes: status.and_then(|status| Some(status.files?.0)),
        files_bytes_all: status.and_then(|status| Some(status.files?.1)),
        compared: status.and_then(|status| status.compared.as_ref()).map(compared),
        lag: status.map(|status| committed.saturating_sub(status.applied.unwrap_or(0))),
    });
    GroupSurvey {
        group: placement.group.to_string(),
        partition: match placement.group {
            GroupId::Meta => None,
            GroupId::Data(partition) => Some(partition.0),
        },
        leader: leader.map(|leader| leader.node.to_string()),
        term: there().map(|status| status.term).max().unwrap_or(0),
        committed,
        replicas: replicas.collect(),
    }
}

fn compared(compared: &Compared) -> ComparedSurvey {
    let index = compared.index;
    match &compared.outcome {
        Outcome::Computing => ComparedSurvey { index, is_computing: true, ..ComparedSurvey::default() },
        Outcome::Held(digest) => ComparedSurvey {
            index,
            digest: Some(format!("{:016x}", digest.sum)),
            values: Some(digest.values),
            ..ComparedSurvey::default()
        },
        Outcome::Failed(reason) => {
            ComparedSurvey { index, reason: Some(reason.clone()), ..ComparedSurvey::default() }
        }
    }
}

fn node(
    node: &ClusterNode,
    holds: usize,
    report: Option<&Result<NodeReport, String>>,
    groups: &[(Vec<NodeId>, GroupSurvey)],
) -> NodeSurvey {
    let id = node.id.to_string();
    let placed = || groups.iter().filter(|(nodes, _)| nodes.contains(&node.id)).map(|(_, group)| group);
    let own = |group: &GroupSurvey| group.replicas.iter().find(|replica| replica.node == id).cloned();
    let is_data = placed().any(|group| group.partition.is_some());
    let reason = match report {
        _ if node.state.is_out() => None,
        Some(Ok(_)) => None,
        Some(Err(reason)) => Some(reason.clone()),
        // It has joined since the others were asked.
        None => Some("not asked yet".to_owned()),
    };
    let state = match node.state {
        NodeState::Active if reason.is_some() => "away",
        NodeState::Active => "up",
        other => other.name(),
    };
    let report = report.and_then(|report| report.as_ref().ok());
    let space = report.and_then(|report| report.space);
    let up = || placed().filter_map(|group| Some((group, own(group).filter(|own| own.is_up)?)));
    NodeSurvey {
        uuid: format!("{:032x}", node.info.uuid),
        address: node.info.address.clone(),
        zone: node.info.zone.clone(),
        role: if is_data { "data" } else { "none" },
        version: node.info.version.clone(),
        level: node.info.level.get(),
        state,
        reason,
        replicas: placed().count(),
        holds,
        leads: placed().filter(|group| group.leader.as_ref() == Some(&id)).count(),
        term: up().map(|(group, _)| group.term).max().unwrap_or(0),
        committed: up().map(|(group, _)| group.committed).sum(),
        applied: up().filter_map(|(_, own)| own.applied).sum(),
        lag: up().filter_map(|(_, own)| own.lag).sum(),
        disk_free_bytes: space.map(|space| space.free_bytes),
        disk_total_bytes: space.map(|space| space.total_bytes),
        id,
    }
}

#[cfg(test)]
mod tests;
