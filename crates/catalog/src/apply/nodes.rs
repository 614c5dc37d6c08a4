//! The founding of a cluster, its nodes, and the ids of nodes and replicas, which are given out here and never again.

use model::{GroupId, NodeId, PartitionId, ReplicaId};

use super::checks::{Checked, conflict, invalid, unprocessable};
use crate::change::Change;
use crate::limits::Limits;
use crate::resources::{Cluster, ClusterNode, NodeInfo, NodeState, Placement, Replica};
use crate::state::State;

pub(super) fn bootstrap(
    state: &State,
    cluster_id: u128,
    replication: u8,
    nodes: &[NodeInfo],
    placements: &[Vec<u8>],
    limits: &Limits,
) -> Checked<Vec<Change>> {
    if state.cluster().is_some() {
        return Err(conflict("the cluster has already been bootstrapped"));
    }
    let partitions = u16::try_from(placements.len()).ok().filter(|count| count.is_power_of_two());
    let Some(partitions) = partitions else {
        let count = placements.len();
        return Err(invalid(format!("the number of partitions must be a power of two, not {count}")));
    };
    if nodes.is_empty() || replication == 0 {
        return Err(invalid("a cluster needs a node and a replica of each partition"));
    }
    for (at, node) in nodes.iter().enumerate() {
        check(node, limits)?;
        if nodes[..at].iter().any(|other| other.uuid == node.uuid || other.address == node.address) {
            return Err(invalid("two founding nodes are the same"));
        }
    }
    let mut cluster = Cluster { id: cluster_id, partitions, replication, next_node: 1, next_replica: 1 };
    let ids: Vec<NodeId> = nodes.iter().map(|_| next_node(&mut cluster)).collect();
    let voter = |cluster: &mut Cluster, node| Replica { id: next_replica(cluster), node, is_voter: true };
    let replicas = ids.iter().map(|id| voter(&mut cluster, *id)).collect();
    let mut groups = vec![Placement { group: GroupId::Meta, replicas }];
    for (partition, places) in (0..partitions).map(PartitionId).zip(placements) {
        let mut replicas: Vec<Replica> = Vec::with_capacity(places.len());
        for place in places {
            let node = ids.get(usize::from(*place)).ok_or_else(|| invalid("a replica is placed nowhere"))?;
            if replicas.iter().any(|replica| replica.node == *node) {
                return Err(invalid("two replicas of a partition are on one node"));
            }
            replicas.push(voter(&mut cluster, *node));
        }
        if replicas.is_empty() {
            return Err(invalid("a partition is placed nowhere"));
        }
        groups.push(Placement { group: GroupId::Data(partition), replicas });
    }
    let nodes = ids.into_iter().zip(nodes).map(|(id, info)| active(id, info));
    Ok([Change::PutCluster(cluster)]
        .into_iter()
        .chain(nodes)
        .chain(groups.into_iter().map(Change::PutPlacement))
        .collect())
}

pub(super) fn register(state: &State, info: &NodeInfo, limits: &Limits) -> Checked<Vec<Change>> {
    let Some(cluster) = state.cluster() else {
        return Err(conflict("the cluster has not been bootstrapped"));
    };
    check(info, limits)?;
    let taken = state.nodes().filter(|other| {
        other.info.address == info.address && other.info.uuid != info.uuid && other.state == NodeState::Active
    });
    let mut changes: Vec<Change> =
        taken.map(|other| Change::PutNode(ClusterNode { state: NodeState::Lost, ..other.clone() })).collect();
    match state.node_by_uuid(info.uuid) {
        Some(known) if known.state == NodeState::Lost => {
            return Err(conflict(format!("node {} is lost: another has taken its place", known.id)));
        }
        Some(known) => changes.push(active(known.id, info)),
        None => {
            if state.nodes().count() >= limits.nodes {
                return Err(unprocessable(format!("a cluster has at most {} nodes", limits.nodes)));
            }
            let mut cluster = cluster.clone();
            let id = next_node(&mut cluster);
            let learner = Replica { id: next_replica(&mut cluster), node: id, is_voter: false };
            let mut replicas = state.placement(GroupId::Meta).map_or_else(Vec::new, |p| p.replicas.clone());
            replicas.push(learner);
            changes.push(Change::PutCluster(cluster));
            changes.push(active(id, info));
            changes.push(Change::PutPlacement(Placement { group: GroupId::Meta, replicas }));
        }
    }
    Ok(changes)
}

fn check(info: &NodeInfo, limits: &Limits) -> Checked {
    let texts = [&info.address, &info.zone, &info.version];
    if info.address.is_empty() || texts.iter().any(|text| text.len() > limits.name_bytes) {
        return Err(invalid(format!(
            "a node has an address, and its texts are at most {} bytes",
            limits.name_bytes
        )));
    }
    Ok(())
}

fn active(id: NodeId, info: &NodeInfo) -> Change {
    Change::PutNode(ClusterNode { id, info: info.clone(), state: NodeState::Active })
}

fn next_node(cluster: &mut Cluster) -> NodeId {
    let id = NodeId::new(cluster.next_node).expect("ids begin with 1");
    cluster.next_node += 1;
    id
}

fn next_replica(cluster: &mut Cluster) -> ReplicaId {
    let id = ReplicaId(cluster.next_replica);
    cluster.next_replica += 1;
    id
}
