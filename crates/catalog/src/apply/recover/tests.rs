//! A recovery is done once, and only when it fits what the catalog has.

use model::PartitionId;

use crate::apply::tests::{done, refused};
use crate::command::{Command, ErrorCode};
use crate::resources::{Replica, Role};
use crate::samples::{bootstrap, node};

use super::*;

fn id(node: u64) -> NodeId {
    NodeId::new(node).unwrap()
}

/// Three nodes of which the first is left with replicas of everything, those of partitions made anew.
fn founded() -> (State, Command) {
    let mut state = State::default();
    done(&mut state, &bootstrap());
    let next = state.cluster().unwrap().next_replica;
    let voter = |id, node| Replica { id: ReplicaId(id), node, role: Role::Voter };
    let groups = state.placements().map(|placement| placement.group).zip(0..);
    let placements = groups.map(|(group, at)| {
        let replica = if group == GroupId::Meta { 1 } else { next + at };
        Placement { group, replicas: vec![voter(replica, id(1))], generation: 7 }
    });
    let recover = Command::Recover {
        cluster_id: 77,
        next_node: 4,
        next_replica: next + 100,
        nodes: vec![state.node(id(1)).unwrap().clone()],
        lost: vec![id(2), id(3)],
        placements: placements.collect(),
    };
    (state, recover)
}

#[test]
fn one_node_that_is_left_has_everything_and_the_others_are_lost() {
    let (mut state, recover) = founded();
    done(&mut state, &recover);
    let cluster = state.cluster().unwrap();
    assert_eq!((cluster.id, cluster.next_node, cluster.partitions), (77, 4, 16));
    let states: Vec<_> = state.nodes().map(|node| node.state).collect();
    assert_eq!(states, [NodeState::Active, NodeState::Lost, NodeState::Lost]);
    assert!(state.placements().all(|placement| placement.voters().all(|voter| voter.node == id(1))));
    assert_eq!(state.placement(GroupId::Data(PartitionId(3))).unwrap().generation, 7);
    refused(&mut state, &recover, ErrorCode::Conflict, "the cluster has been recovered already");
    // Who was lost does not come back; another at its address joins.
    let message = "node 0000000000000002 is lost: it is out for good";
    refused(&mut state, &Command::RegisterNode { node: node(1) }, ErrorCode::Conflict, message);
    let other = crate::resources::NodeInfo { uuid: 5, ..node(1) };
    done(&mut state, &Command::RegisterNode { node: other });
    assert_eq!(state.node_by_uuid(5).unwrap().id, id(4));
}

#[test]
fn a_node_that_the_catalog_did_not_know_yet_may_be_left() {
    let (mut state, mut recover) = founded();
    let Command::Recover { next_node, nodes, .. } = &mut recover else { unreachable!() };
    *next_node = 9;
    nodes.push(ClusterNode { id: id(8), info: node(8), state: NodeState::Active });
    done(&mut state, &recover);
    assert_eq!(state.node(id(8)).unwrap().info, node(8));
}

#[test]
fn what_does_not_fit_is_refused_whole() {
    type Spoil = fn(&mut Command);
    let spoil: [(Spoil, &str); 8] = [
        (|c| parts(c).0[0].state = NodeState::Lost, "node 0000000000000001 is not what it should be"),
        (|c| parts(c).0[0].info.uuid = 3, "node 0000000000000001 is not what it should be"),
        (|c| parts(c).1.push(id(1)), "node 0000000000000001 is not what it should be"),
        (|c| drop(parts(c).2.pop()), "the groups are not those that there are"),
        (|c| parts(c).2[1].replicas[0].node = id(2), "is not where it may be"),
        (|c| parts(c).2[1].replicas[0].id = ReplicaId(1 << 40), "is not where it may be"),
        (|c| parts(c).2[1].replicas[0].role = Role::Copy, "group data-0 has no voter"),
        (|c| parts(c).2[2].replicas[0].id = parts(c).2[1].replicas[0].id, "is not where it may be"),
    ];
    for (spoil, message) in spoil {
        let (mut state, mut recover) = founded();
        let before = state.clone();
        spoil(&mut recover);
        match crate::apply(&mut state, &recover) {
            crate::Response::Refused(refusal) => assert!(refusal.message.contains(message), "{refusal}"),
            other => panic!("{other:?} where {message} was expected"),
        }
        assert_eq!(state, before);
    }
    let (mut state, mut recover) = founded();
    if let Command::Recover { next_replica, .. } = &mut recover {
        *next_replica = 1;
    }
    refused(&mut state, &recover, ErrorCode::Invalid, "ids would be given out again");
}

fn parts(command: &mut Command) -> (&mut Vec<ClusterNode>, &mut Vec<NodeId>, &mut Vec<Placement>) {
    let Command::Recover { nodes, lost, placements, .. } = command else { unreachable!() };
    (nodes, lost, placements)
}
