//! The founding of a cluster, its nodes, and the ids of nodes and replicas, which are given out here and never again.

use model::{GroupId, NodeId, PartitionId, ReplicaId};

use super::checks::{Checked, conflict, invalid, not_found, unprocessable};
use crate::change::Change;
use crate::level::Level;
use crate::limits::Limits;
use crate::resources::{Cluster, ClusterNode, NodeInfo, NodeState, Placement, Replica, Role};
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
    let level = nodes.iter().map(|node| node.level).min().unwrap_or(Level::FIRST);
    let mut cluster =
        Cluster { id: cluster_id, partitions, replication, next_node: 1, next_replica: 1, level };
    let ids: Vec<NodeId> = nodes.iter().map(|_| next_node(&mut cluster)).collect();
    let voter = |cluster: &mut Cluster, node| replica(cluster, node, Role::Voter);
    let replicas = ids.iter().map(|id| voter(&mut cluster, *id)).collect();
    let placement = |group, replicas| Placement { group, replicas, generation: 0 };
    let mut groups = vec![placement(GroupId::Meta, replicas)];
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
        groups.push(placement(GroupId::Data(partition), replicas));
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
    if info.level < cluster.level {
        return Err(conflict(format!(
            "the node understands feature levels up to {}, and the cluster is at {}: a newer version is needed",
            info.level, cluster.level
        )));
    }
    let taken = state.nodes().filter(|other| {
        other.info.address == info.address && other.info.uuid != info.uuid && !other.state.is_out()
    });
    let mut changes: Vec<Change> =
        taken.map(|other| Change::PutNode(ClusterNode { state: NodeState::Lost, ..other.clone() })).collect();
    match state.node_by_uuid(info.uuid) {
        Some(known) if known.state.is_out() => {
            return Err(conflict(format!("node {} is {}: it is out for good", known.id, known.state.name())));
        }
        Some(known) => changes.push(Change::PutNode(ClusterNode { info: info.clone(), ..known.clone() })),
        None => {
            if state.nodes().count() >= limits.nodes {
                return Err(unprocessable(format!("a cluster has at most {} nodes", limits.nodes)));
            }
            let mut cluster = cluster.clone();
            let id = next_node(&mut cluster);
            let meta = state.placement(GroupId::Meta).cloned();
            let mut meta =
                meta.unwrap_or(Placement { group: GroupId::Meta, replicas: Vec::new(), generation: 0 });
            meta.replicas.push(replica(&mut cluster, id, Role::Copy));
            changes.push(Change::PutCluster(cluster));
            changes.push(active(id, info));
            changes.push(Change::PutPlacement(meta));
        }
    }
    Ok(changes)
}

/// How many replicas each partition should have.
pub(super) fn set_replication(state: &State, replicas: u8) -> Checked<Vec<Change>> {
    let Some(cluster) = state.cluster() else {
        return Err(conflict("the cluster has not been bootstrapped"));
    };
    if replicas.is_multiple_of(2) || replicas > Cluster::REPLICATION_MAX {
        let most = Cluster::REPLICATION_MAX;
        return Err(invalid(format!(
            "a partition has an odd number of replicas, at most {most}, and not {replicas}: a majority of an even number \
             may lose no more of them than of the odd number below it"
        )));
    }
    if cluster.replication == replicas {
        return Ok(Vec::new());
    }
    Ok(vec![Change::PutCluster(Cluster { replication: replicas, ..cluster.clone() })])
}

/// What all nodes understand may be used.
pub(super) fn raise_level(state: &State, to: Level) -> Checked<Vec<Change>> {
    let Some(cluster) = state.cluster() else {
        return Err(conflict("the cluster has not been bootstrapped"));
    };
    if to < cluster.level {
        let now = cluster.level;
        return Err(conflict(format!(
            "the cluster is at feature level {now}, which is never lowered: there may be data of it already"
        )));
    }
    let behind = state.nodes().filter(|node| !node.state.is_out() && node.info.level < to);
    let behind: Vec<String> = behind.map(|node| format!("{} ({})", node.id, node.info.level)).collect();
    if !behind.is_empty() {
        return Err(conflict(format!(
            "feature level {to} is not understood by all nodes: {}; they need a newer version first",
            behind.join(", ")
        )));
    }
    if to == cluster.level {
        return Ok(Vec::new());
    }
    Ok(vec![Change::PutCluster(Cluster { level: to, ..cluster.clone() })])
}

/// Whether a node is expected to be there. What is out stays out.
pub(super) fn set_state(state: &State, node: NodeId, wanted: NodeState) -> Checked<Vec<Change>> {
    let node = state.node(node).ok_or_else(|| not_found(format!("there is no node {node}")))?;
    let is_allowed = match (node.state, wanted) {
        (now, wanted) if now == wanted => return Ok(Vec::new()),
        (NodeState::Decommissioned, _) => false,
        (NodeState::Lost, wanted) => wanted == NodeState::Decommissioned,
        (NodeState::Active | NodeState::Draining, _) => true,
    };
    if !is_allowed {
        let (id, now, wanted) = (node.id, node.state.name(), wanted.name());
        return Err(conflict(format!("node {id} is {now}, and cannot be {wanted}")));
    }
    if wanted == NodeState::Decommissioned {
        let count = state.held_by(node.id).count();
        if count > 0 {
            return Err(conflict(format!("node {} still holds {count} replicas: drain it first", node.id)));
        }
    }
    Ok(vec![Change::PutNode(ClusterNode { state: wanted, ..node.clone() })])
}

pub(super) fn check(info: &NodeInfo, limits: &Limits) -> Checked {
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

pub(super) fn replica(cluster: &mut Cluster, node: NodeId, role: Role) -> Replica {
    Replica { id: next_replica(cluster), node, role }
}

fn next_replica(cluster: &mut Cluster) -> ReplicaId {
    let id = ReplicaId(cluster.next_replica);
    cluster.next_replica += 1;
    id
}
