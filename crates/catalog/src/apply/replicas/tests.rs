//! A replica takes another's place in steps; what is out of order, or comes twice, changes nothing.

use model::PartitionId;

use crate::apply::tests::{done, refused};
use crate::command::{Command, ErrorCode};
use crate::resources::NodeInfo;
use crate::samples::{bootstrap, node};

use super::*;

const GROUP: GroupId = GroupId::Data(PartitionId(3));

fn node_id(id: u64) -> NodeId {
    NodeId::new(id).unwrap()
}

/// Three nodes and a fourth, and partition 3 on the nodes 1 and 2 as the replicas 10 and 11.
fn four_nodes() -> State {
    let mut state = State::default();
    done(&mut state, &bootstrap());
    done(&mut state, &Command::RegisterNode { node: node(9) });
    assert_eq!(shape(&state), [(10, 1, true, None), (11, 2, true, None)]);
    state
}

fn shape(state: &State) -> Vec<(u64, u64, bool, Option<u64>)> {
    let replicas = &state.placement(GROUP).unwrap().replicas;
    let shape = |r: &Replica| (r.id.0, r.node.get(), r.is_voter, r.replaces.map(|replaced| replaced.0));
    replicas.iter().map(shape).collect()
}

fn add(node: u64, replaces: u64) -> Command {
    Command::AddReplica { group: GROUP, node: node_id(node), replaces: ReplicaId(replaces) }
}

fn promote(replica: u64, replaces: u64) -> Command {
    Command::PromoteReplica { group: GROUP, replica: ReplicaId(replica), replaces: Some(ReplicaId(replaces)) }
}

fn remove(replica: u64) -> Command {
    Command::RemoveReplica { group: GROUP, replica: ReplicaId(replica) }
}

fn set(node: u64, state: NodeState) -> Command {
    Command::SetNodeState { node: node_id(node), state }
}

#[test]
fn a_replica_takes_the_place_of_another_and_ids_are_new_each_time() {
    let mut state = four_nodes();
    let next = state.cluster().unwrap().next_replica;
    done(&mut state, &add(4, 10));
    assert_eq!(shape(&state), [(10, 1, true, None), (11, 2, true, None), (next, 4, false, Some(10))]);
    refused(&mut state, &remove(10), ErrorCode::Conflict, "replica 10 has a vote");
    // Twice, or beside it, is once.
    let message = "group data-3 has a replica on node 0000000000000004 already";
    refused(&mut state, &add(4, 10), ErrorCode::Conflict, message);
    let message = "a replica of group data-3 is on its way already";
    refused(&mut state, &add(3, 11), ErrorCode::Conflict, message);
    let message = format!("replica {next} is not there to replace that one");
    refused(&mut state, &promote(next, 11), ErrorCode::Conflict, &message);
    assert_eq!(state.placement(GROUP).unwrap().generation, 0);
    for _ in 0..2 {
        done(&mut state, &promote(next, 10));
        let promoted = [(next, 4, true, None), (11, 2, true, None), (10, 1, false, None)];
        assert_eq!(shape(&state), promoted);
        assert_eq!(state.placement(GROUP).unwrap().generation, 1);
        assert_eq!(state.placement(GROUP).unwrap().leaving().unwrap().id.0, 10);
    }
    let message = "a replica of group data-3 is on its way already";
    refused(&mut state, &add(3, 11), ErrorCode::Conflict, message);
    for _ in 0..2 {
        done(&mut state, &remove(10));
        assert_eq!(shape(&state), [(next, 4, true, None), (11, 2, true, None)]);
    }
    // Back to where it was is another replica.
    done(&mut state, &add(1, next));
    done(&mut state, &promote(next + 1, next));
    done(&mut state, &remove(next));
    assert_eq!(shape(&state), [(next + 1, 1, true, None), (11, 2, true, None)]);
    assert_eq!(state.cluster().unwrap().next_replica, next + 2);
    // One that is given up before it has a vote leaves nothing but a used id.
    done(&mut state, &add(4, 11));
    done(&mut state, &remove(next + 2));
    refused(
        &mut state,
        &promote(next + 2, 11),
        ErrorCode::NotFound,
        &format!("group data-3 has no replica {}", next + 2),
    );
}

#[test]
fn only_nodes_that_are_there_get_replicas_and_only_empty_ones_leave() {
    let mut state = four_nodes();
    let next = state.cluster().unwrap().next_replica;
    done(&mut state, &set(4, NodeState::Draining));
    refused(&mut state, &add(4, 10), ErrorCode::Conflict, "node 0000000000000004 is draining");
    // What a node says of itself does not end its draining.
    done(&mut state, &Command::RegisterNode { node: NodeInfo { version: "2".to_owned(), ..node(9) } });
    assert_eq!(state.node(node_id(4)).unwrap().state, NodeState::Draining);
    done(&mut state, &set(4, NodeState::Active));
    done(&mut state, &add(4, 10));
    done(&mut state, &set(4, NodeState::Lost));
    let message = "node 0000000000000004 is lost";
    refused(&mut state, &promote(next, 10), ErrorCode::Conflict, message);
    let message = "node 0000000000000004 is lost, and cannot be active";
    refused(&mut state, &set(4, NodeState::Active), ErrorCode::Conflict, message);
    let message = "node 0000000000000004 still holds 1 replicas: drain it first";
    refused(&mut state, &set(4, NodeState::Decommissioned), ErrorCode::Conflict, message);
    done(&mut state, &remove(next));
    done(&mut state, &set(4, NodeState::Decommissioned));
    let message = "node 0000000000000004 is decommissioned, and cannot be lost";
    refused(&mut state, &set(4, NodeState::Lost), ErrorCode::Conflict, message);
    let message = "node 0000000000000004 is decommissioned: it is out for good";
    refused(&mut state, &Command::RegisterNode { node: node(9) }, ErrorCode::Conflict, message);
    // Its address may belong to another now.
    done(&mut state, &Command::RegisterNode { node: NodeInfo { uuid: 5, ..node(9) } });
    assert_eq!(state.node(node_id(4)).unwrap().state, NodeState::Decommissioned);
    let message = "node 0000000000000001 still holds 12 replicas: drain it first";
    refused(&mut state, &set(1, NodeState::Decommissioned), ErrorCode::Conflict, message);
}

#[test]
fn the_meta_group_gives_votes_to_nodes_that_have_joined() {
    let mut state = four_nodes();
    let meta = GroupId::Meta;
    let learner = state.replica_on(meta, node_id(4)).unwrap();
    let command = Command::AddReplica { group: meta, node: node_id(4), replaces: ReplicaId(1) };
    let message = "every node has a replica of the meta group already";
    refused(&mut state, &command, ErrorCode::Invalid, message);
    let command = Command::PromoteReplica { group: meta, replica: learner, replaces: Some(ReplicaId(1)) };
    done(&mut state, &command);
    let placement = state.placement(meta).unwrap();
    let voters: Vec<_> = placement.voters().map(|voter| voter.id.0).collect();
    assert_eq!(voters, [learner.0, 2, 3]);
    assert!(placement.leaving().is_none());
    // A node that is there keeps its copy of the catalog.
    let command = Command::RemoveReplica { group: meta, replica: ReplicaId(1) };
    refused(&mut state, &command, ErrorCode::Conflict, "node 0000000000000001 needs the catalog");
    done(&mut state, &set(1, NodeState::Lost));
    done(&mut state, &command);
    assert_eq!(state.replica_on(meta, node_id(1)), None);
}

#[test]
fn the_voter_that_should_lead_comes_first() {
    let mut state = four_nodes();
    let prefer = |replica| Command::PreferLeader { group: GROUP, replica: ReplicaId(replica) };
    for _ in 0..2 {
        done(&mut state, &prefer(11));
        assert_eq!(shape(&state), [(11, 2, true, None), (10, 1, true, None)]);
    }
    refused(&mut state, &prefer(7), ErrorCode::NotFound, "group data-3 has no replica 7");
    done(&mut state, &add(4, 10));
    let new = state.placement(GROUP).unwrap().joining().unwrap().id.0;
    refused(&mut state, &prefer(new), ErrorCode::Conflict, &format!("replica {new} has no vote"));
}
