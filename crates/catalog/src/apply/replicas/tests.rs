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
    let shape = |r: &Replica| (r.id.0, r.node.get(), r.is_voter(), r.replaces().map(|replaced| replaced.0));
    replicas.iter().map(shape).collect()
}

fn add(node: u64, replaces: u64) -> Command {
    Command::AddReplica { group: GROUP, node: node_id(node), replaces: Some(ReplicaId(replaces)) }
}

fn promote(replica: u64, replaces: u64) -> Command {
    Command::ChangeVotes { group: GROUP, gain: vec![ReplicaId(replica)], lose: vec![ReplicaId(replaces)] }
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
        assert_eq!(state.placement(GROUP).unwrap().leaving().next().unwrap().id.0, 10);
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
    let command = Command::AddReplica { group: meta, node: node_id(4), replaces: Some(ReplicaId(1)) };
    let message = "every node has a replica of the meta group already";
    refused(&mut state, &command, ErrorCode::Invalid, message);
    let command = Command::ChangeVotes { group: meta, gain: vec![learner], lose: vec![ReplicaId(1)] };
    done(&mut state, &command);
    let placement = state.placement(meta).unwrap();
    let voters: Vec<_> = placement.voters().map(|voter| voter.id.0).collect();
    assert_eq!(voters, [learner.0, 2, 3]);
    // The group may count the vote until its leader says otherwise.
    assert_eq!(placement.leaving().map(|replica| replica.id.0).collect::<Vec<_>>(), [1]);
    let holds = |state: &State| state.held_by(node_id(1)).any(|group| group == meta);
    assert!(holds(&state));
    // A node that is there keeps its copy of the catalog.
    let command = Command::RemoveReplica { group: meta, replica: ReplicaId(1) };
    done(&mut state, &command);
    assert_eq!(state.placement(meta).unwrap().replica(ReplicaId(1)).unwrap().role, Role::Copy);
    assert!(!holds(&state));
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
    let new = state.placement(GROUP).unwrap().joining().next().unwrap().id.0;
    refused(&mut state, &prefer(new), ErrorCode::Conflict, &format!("replica {new} has no vote"));
}

#[test]
fn one_voter_becomes_three_at_once_and_three_one_again() {
    let mut state = State::default();
    let nodes = (0..1).map(node).collect();
    let placements = vec![vec![0]; 16];
    done(&mut state, &Command::Bootstrap { cluster_id: 1, replication: 3, nodes, placements });
    (1..5).for_each(|n| done(&mut state, &Command::RegisterNode { node: node(n) }));
    let first = state.placement(GROUP).unwrap().replicas[0].id.0;
    let (a, b) = (state.cluster().unwrap().next_replica, state.cluster().unwrap().next_replica + 1);
    let more = |node| Command::AddReplica { group: GROUP, node: node_id(node), replaces: None };
    let votes = |gain: &[u64], lose: &[u64]| {
        let ids = |ids: &[u64]| ids.iter().copied().map(ReplicaId).collect();
        Command::ChangeVotes { group: GROUP, gain: ids(gain), lose: ids(lose) }
    };
    done(&mut state, &more(2));
    let message = "group data-3 would have 2 votes: there must be an odd number";
    refused(&mut state, &votes(&[a], &[]), ErrorCode::Conflict, message);
    done(&mut state, &more(3));
    let message = "group data-3 has, or will have, all 3 replicas that are wanted";
    refused(&mut state, &more(4), ErrorCode::Conflict, message);
    let message = "a replica of group data-3 is on its way already";
    refused(&mut state, &add(4, first), ErrorCode::Conflict, message);
    let message = format!("replica {a} is not there to replace that one");
    refused(&mut state, &votes(&[a, a], &[]), ErrorCode::Conflict, &message);
    refused(&mut state, &votes(&[a], &[first]), ErrorCode::Conflict, &message);
    for _ in 0..2 {
        done(&mut state, &votes(&[a, b], &[]));
        let grown = [(first, 1, true, None), (a, 2, true, None), (b, 3, true, None)];
        assert_eq!(shape(&state), grown);
        assert_eq!(state.placement(GROUP).unwrap().generation, 1);
    }
    // What is lost is said of voters, and never of all, nor of an even number.
    let message = "group data-3 would have 2 votes: there must be an odd number";
    refused(&mut state, &votes(&[], &[a]), ErrorCode::Conflict, message);
    let message = "group data-3 would have 0 votes: there must be an odd number";
    refused(&mut state, &votes(&[], &[first, a, b]), ErrorCode::Conflict, message);
    let message = format!("replica {a} has no vote that another could get");
    refused(&mut state, &votes(&[], &[a, a]), ErrorCode::Conflict, &message);
    for _ in 0..2 {
        done(&mut state, &votes(&[], &[first, b]));
        assert_eq!(state.placement(GROUP).unwrap().leaving().count(), 2);
    }
    // The one that was to stay goes before the others have: one of them gets its vote back.
    done(&mut state, &set(2, NodeState::Lost));
    done(&mut state, &votes(&[first], &[a]));
    assert_eq!(shape(&state), [(a, 2, false, None), (first, 1, true, None), (b, 3, false, None)]);
    done(&mut state, &remove(a));
    done(&mut state, &remove(b));
    assert_eq!(shape(&state), [(first, 1, true, None)]);
}

#[test]
fn the_number_of_replicas_that_are_wanted_is_odd() {
    let mut state = four_nodes();
    for replicas in [0, 2, 4, 8, 9] {
        let message = format!(
            "a partition has an odd number of replicas, at most 7, and not {replicas}: a majority of an even number may \
             lose no more of them than of the odd number below it"
        );
        refused(&mut state, &Command::SetReplication { replicas }, ErrorCode::Invalid, &message);
    }
    done(&mut state, &Command::SetReplication { replicas: 5 });
    let cluster = state.cluster().unwrap();
    let wanted: Vec<usize> = (0..8).map(|nodes| cluster.voters_wanted(nodes)).collect();
    assert_eq!(wanted, [0, 1, 1, 3, 3, 5, 5, 5]);
}
