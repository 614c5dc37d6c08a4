//! What the nodes of a cluster say of themselves, put together: one picture of nodes and groups. Whoever says nothing is
//! shown as away, with what the catalog knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{ClusterNode, NodeState, Placement, State};
use cluster::{Cluster, GroupStatus, NodeReport};
use gateway::ports::{
    BoxFuture, ClusterPort, ClusterSurvey, GroupSurvey, HandOverError, NodeSurvey, ReplicaSurvey, Unavailable,
};
use model::{GroupId, NodeId, ReplicaId};

/// What each node has said, or why it has not.
type Reports = BTreeMap<NodeId, Result<NodeReport, String>>;

/// The cluster, for operators.
#[derive(Debug)]
pub(crate) struct ClusterAdapter(pub(crate) Arc<Cluster>);

impl ClusterPort for ClusterAdapter {
    fn survey(&self) -> BoxFuture<'_, Result<ClusterSurvey, Unavailable>> {
        Box::pin(async {
            let reports = self.0.reports().await;
            Ok(survey(&self.0.catalog().read(), self.0.node_id(), &reports))
        })
    }

    fn hand_over(&self, group: GroupId, to: NodeId) -> BoxFuture<'_, Result<(), HandOverError>> {
        Box::pin(async move {
            self.0.hand_over(group, to).await.map_err(|error| match error {
                cluster::HandOverError::NoSuchGroup(_) => HandOverError::NotFound(error.to_string()),
                cluster::HandOverError::NoVoter => HandOverError::NotFound(format!(
                    "node {to} has no member of group {group} that may lead it"
                )),
                cluster::HandOverError::NotLeader(_) | cluster::HandOverError::Failed(_) => {
                    HandOverError::Failed(error.to_string())
                }
            })
        })
    }
}

/// Puts together what was said.
fn survey(state: &State, asked: NodeId, reports: &Reports) -> ClusterSurvey {
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
    let nodes = state.nodes().map(|one| node(one, reports.get(&one.id), &groups)).collect();
    ClusterSurvey {
        cluster: state.cluster().map(|cluster| format!("{:032x}", cluster.id)).unwrap_or_default(),
        node: asked.to_string(),
        partitions: state.partitions().unwrap_or_default(),
        replication: state.cluster().map_or(0, |cluster| cluster.replication),
        nodes,
        groups: groups.into_iter().map(|(_, group)| group).collect(),
    }
}

/// A group; whoever says that it leads in the newest term does.
fn group<'a>(
    placement: &Placement,
    said: &impl Fn(NodeId, GroupId, ReplicaId) -> Option<&'a GroupStatus>,
) -> GroupSurvey {
    let statuses: Vec<Option<&GroupStatus>> =
        placement.replicas.iter().map(|replica| said(replica.node, placement.group, replica.id)).collect();
    let there = || statuses.iter().flatten();
    let leader = there().filter(|status| status.leading && status.running).max_by_key(|status| status.term);
    let leader = leader.and_then(|leader| placement.replicas.iter().find(|r| r.id == leader.replica));
    let committed = there().filter_map(|status| status.committed).max().unwrap_or(0);
    let replicas = placement.replicas.iter().zip(&statuses).map(|(replica, status)| ReplicaSurvey {
        replica: replica.id.0,
        node: replica.node.to_string(),
        is_voter: replica.is_voter,
        is_up: status.is_some_and(|status| status.running),
        last: status.and_then(|status| status.last),
        applied: status.and_then(|status| status.applied),
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

fn node(
    node: &ClusterNode,
    report: Option<&Result<NodeReport, String>>,
    groups: &[(Vec<NodeId>, GroupSurvey)],
) -> NodeSurvey {
    let id = node.id.to_string();
    let placed = || groups.iter().filter(|(nodes, _)| nodes.contains(&node.id)).map(|(_, group)| group);
    let own = |group: &GroupSurvey| group.replicas.iter().find(|replica| replica.node == id).cloned();
    let is_data = placed().any(|group| group.partition.is_some());
    let (state, reason) = match (node.state, report) {
        (NodeState::Lost, _) => ("lost", None),
        (NodeState::Active, Some(Ok(_))) => ("up", None),
        (NodeState::Active, Some(Err(reason))) => ("away", Some(reason.clone())),
        // It has joined since the others were asked.
        (NodeState::Active, None) => ("away", Some("not asked yet".to_owned())),
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
        state,
        reason,
        replicas: placed().count(),
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
