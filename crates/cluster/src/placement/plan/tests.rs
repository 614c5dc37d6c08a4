//! Plans are carried out on a catalog until nothing is left to do: then everything is where it should be, and on the way
//! there nobody had too much to do, and no partition fewer voters than before.

use catalog::{NodeInfo, Response, apply};
use model::PartitionId;

use super::*;
use crate::placement::spread;

const MOVES: usize = 2;

fn node(number: u128, zone: &str) -> NodeInfo {
    NodeInfo {
        uuid: number,
        address: format!("n-{number}:1"),
        zone: zone.to_owned(),
        version: "1".to_owned(),
        level: catalog::Level::FIRST,
    }
}

fn id(node: u64) -> NodeId {
    NodeId::new(node).unwrap()
}

fn done(state: &mut State, command: &Command) {
    assert_eq!(apply(state, command), Response::Done, "{command:?}");
}

fn founded(zones: &[&str], partitions: u16) -> State {
    let mut state = State::default();
    let nodes = (1..).zip(zones).map(|(number, zone)| node(number, zone)).collect();
    let placements = spread(zones, partitions, 3);
    done(&mut state, &Command::Bootstrap { cluster_id: 1, replication: 3, nodes, placements });
    state
}

/// The number of voters of each partition, where it is the same of all.
fn voters(state: &State) -> usize {
    let counts: BTreeSet<usize> = data(state).map(|placement| placement.voters().count()).collect();
    assert_eq!(counts.len(), 1, "{counts:?}");
    counts.into_iter().next().unwrap()
}

fn meta_voters(state: &State) -> BTreeSet<u64> {
    state.placement(GroupId::Meta).unwrap().voters().map(|voter| voter.node.get()).collect()
}

fn join(state: &mut State, number: u128, zone: &str) {
    done(state, &Command::RegisterNode { node: node(number, zone) });
}

fn set(state: &mut State, node: u64, wanted: NodeState) {
    done(state, &Command::SetNodeState { node: id(node), state: wanted });
}

/// What the meta group's leader sees when everybody is there.
fn meta(state: &State) -> Members {
    let placement = state.placement(GroupId::Meta).unwrap();
    let ids = |is_voter| {
        let some = placement.replicas.iter().filter(move |replica| replica.is_voter() == is_voter);
        some.map(|replica| replica.id.0).collect::<Vec<_>>()
    };
    let all: Vec<u64> = placement.replicas.iter().map(|replica| replica.id.0).collect();
    Members::of(ids(true)[0], &ids(true), &ids(false), &all)
}

/// The plan of a meta group's leader who hears everybody but these.
fn planned(state: &State, silent: &[u64]) -> Vec<Command> {
    let mut meta = meta(state);
    let placement = state.placement(GroupId::Meta).unwrap();
    meta.fresh.retain(|replica| !silent.contains(&placement.replica(*replica).unwrap().node.get()));
    let silent = silent.iter().copied().map(id).collect();
    plan(state, &Seen { meta: &meta, silent: &silent }, MOVES)
}

/// Carries plans out until there is nothing left to do; answers how many replicas were moved.
fn settle(state: &mut State) -> usize {
    settle_without(state, &[])
}

/// ... while these nodes are silent.
fn settle_without(state: &mut State, silent: &[u64]) -> usize {
    let mut moved = 0;
    for _ in 0..500 {
        let commands = planned(state, silent);
        let is_over = commands.is_empty() && data(state).all(Placement::is_at_rest);
        if is_over {
            return moved;
        }
        for command in &commands {
            done(state, command);
            moved += usize::from(matches!(command, Command::AddReplica { .. }));
        }
        let changes_votes = |command: &Command| matches!(command, Command::ChangeVotes { group, .. } if *group != GroupId::Meta);
        let again = if commands.iter().any(changes_votes) { Vec::new() } else { planned(state, silent) };
        for command in again {
            let is_move = matches!(command, Command::AddReplica { .. } | Command::PreferLeader { .. });
            assert!(!is_move, "asked for twice, or more than a plan ago: {command:?}");
        }
        let ways: Vec<Placement> = data(state).filter(|p| !p.is_at_rest()).cloned().collect();
        for node in state.nodes() {
            let to =
                ways.iter().flat_map(Placement::joining).filter(|joining| joining.node == node.id).count();
            assert!(to <= MOVES, "{to} on their way to {}", node.id);
            let replaced = |p: &Placement| p.replica(p.replacement()?.1).copied();
            let from = ways.iter().filter_map(replaced).filter(|replaced| replaced.node == node.id);
            let is_there = !node.state.is_out() && !silent.contains(&node.id.get());
            assert!(!is_there || from.count() <= MOVES);
        }
        // The meta group follows, and some arrive.
        let meta = state.placement(GroupId::Meta).unwrap();
        let leaving: Vec<ReplicaId> = meta.leaving().map(|replica| replica.id).collect();
        for replica in leaving {
            done(state, &Command::RemoveReplica { group: GroupId::Meta, replica });
        }
        ways.iter().take(3).for_each(|placement| arrive(state, placement));
    }
    panic!("it never comes to rest");
}

/// What a group's leader does when those that join have caught up.
fn arrive(state: &mut State, placement: &Placement) {
    let (group, before) = (placement.group, placement.voters().count());
    let lose: Vec<ReplicaId> = placement.replacement().map(|(_, old)| old).into_iter().collect();
    let gain: Vec<ReplicaId> = match placement.replacement() {
        Some((new, _)) => vec![new.id],
        None => placement.additional().take(2).map(|new| new.id).collect(),
    };
    if gain.len() + lose.len() == 2 {
        done(state, &Command::ChangeVotes { group, gain, lose: lose.clone() });
    }
    for old in placement.leaving().map(|old| old.id).chain(lose) {
        done(state, &Command::RemoveReplica { group, replica: old });
    }
    let after = state.placement(group).unwrap().voters().count();
    assert!(after >= before && !after.is_multiple_of(2), "{before} voters, then {after}");
}

fn counts(state: &State) -> BTreeMap<u64, (usize, usize)> {
    let mut counts: BTreeMap<u64, (usize, usize)> =
        state.nodes().map(|node| (node.id.get(), (0, 0))).collect();
    for placement in data(state) {
        for (at, voter) in placement.voters().enumerate() {
            let (held, led) = counts.get_mut(&voter.node.get()).unwrap();
            *held += 1;
            *led += usize::from(at == 0);
        }
    }
    counts
}

fn zones_are_apart(state: &State) {
    for placement in data(state) {
        let mut zones: Vec<_> =
            placement.voters().map(|voter| state.node(voter.node).unwrap().info.zone.clone()).collect();
        zones.sort();
        zones.dedup();
        assert_eq!(zones.len(), 3, "{placement:?}");
    }
}

#[test]
fn a_cluster_as_it_was_founded_stays_as_it_is() {
    for partitions in [4, 16, 32] {
        let mut state = founded(&["a", "b", "c"], partitions);
        assert_eq!(planned(&state, &[]), []);
        assert_eq!(settle(&mut state), 0);
    }
}

#[test]
fn a_new_node_gets_its_share_and_no_more_is_moved() {
    let mut state = founded(&["", "", ""], 32);
    join(&mut state, 4, "");
    assert_eq!(settle(&mut state), 24, "96 replicas on four nodes");
    assert_eq!(counts(&state), BTreeMap::from([(1, (24, 8)), (2, (24, 8)), (3, (24, 8)), (4, (24, 8))]));
    // In a zone that is there already it can take over from that zone only.
    let mut state = founded(&["a", "b", "c"], 32);
    join(&mut state, 4, "a");
    assert_eq!(settle(&mut state), 16);
    zones_are_apart(&state);
    let counts = counts(&state);
    assert_eq!(counts.values().map(|(held, _)| *held).collect::<Vec<_>>(), [16, 32, 32, 16]);
    assert!(counts.values().all(|(_, led)| *led == 8), "{counts:?}");
}

#[test]
fn what_a_lost_node_held_is_made_anew_on_the_one_that_came_back() {
    let mut state = founded(&["a", "b", "c"], 16);
    let back = NodeInfo { address: "n-2:1".to_owned(), ..node(9, "b") };
    done(&mut state, &Command::RegisterNode { node: back });
    assert_eq!(state.node(id(2)).unwrap().state, NodeState::Lost);
    assert_eq!(settle(&mut state), 16);
    assert_eq!(counts(&state)[&2], (0, 0));
    zones_are_apart(&state);
    let meta = state.placement(GroupId::Meta).unwrap();
    assert_eq!(meta.voters().map(|voter| voter.node.get()).collect::<Vec<_>>(), [1, 4, 3]);
    assert_eq!(meta.on(id(2)), None);
    set(&mut state, 2, NodeState::Decommissioned);
}

#[test]
fn draining_empties_a_node_and_where_nothing_can_go_it_waits() {
    let mut state = founded(&["a", "b", "c"], 16);
    set(&mut state, 1, NodeState::Draining);
    // Its leads go, its replicas have nowhere to go.
    assert_eq!(settle(&mut state), 0);
    assert_eq!(counts(&state)[&1], (16, 0));
    join(&mut state, 4, "a");
    join(&mut state, 5, "b");
    settle(&mut state);
    assert_eq!(counts(&state)[&1], (0, 0));
    zones_are_apart(&state);
    assert!(state.placement(GroupId::Meta).unwrap().voters().all(|voter| voter.node != id(1)));
    set(&mut state, 1, NodeState::Decommissioned);
    settle(&mut state);
    assert_eq!(state.replica_on(GroupId::Meta, id(1)), None);
    // One that does not leave after all gets its share again.
    set(&mut state, 4, NodeState::Draining);
    settle(&mut state);
    set(&mut state, 4, NodeState::Active);
    settle(&mut state);
    assert_eq!(counts(&state)[&4].0, 16);
    zones_are_apart(&state);
}

#[test]
fn with_as_many_nodes_as_replicas_draining_leaves_fewer_replicas_and_never_two() {
    let mut state = founded(&["", "", "", "", ""], 8);
    done(&mut state, &Command::SetReplication { replicas: 5 });
    settle(&mut state);
    let voters = |state: &State| data(state).map(|p| p.voters().count()).collect::<BTreeSet<_>>();
    assert_eq!(voters(&state), [5].into());
    // One that is only silent costs nobody a vote.
    settle_without(&mut state, &[1]);
    assert_eq!((voters(&state), counts(&state)[&1].0), ([5].into(), 8));
    for drained in [1, 2] {
        set(&mut state, drained, NodeState::Draining);
        settle(&mut state);
        assert_eq!((voters(&state), counts(&state)[&drained]), ([3].into(), (0, 0)));
        set(&mut state, drained, NodeState::Decommissioned);
    }
    set(&mut state, 3, NodeState::Draining);
    settle(&mut state);
    assert_eq!((voters(&state), counts(&state)[&3].0), ([3].into(), 8), "there are two others");
    set(&mut state, 3, NodeState::Active);
    join(&mut state, 6, "");
    join(&mut state, 7, "");
    settle(&mut state);
    assert_eq!(voters(&state), [5].into());
}

#[test]
fn a_silent_node_is_done_without_where_fewer_replicas_are_wanted_than_asked_for() {
    let mut state = founded(&["", "", "", ""], 8);
    done(&mut state, &Command::SetReplication { replicas: 5 });
    settle(&mut state);
    settle_without(&mut state, &[1]);
    assert_eq!(counts(&state)[&1].0, 0);
    assert!(data(&state).all(|p| p.voters().count() == 3));
}

#[test]
fn a_replica_on_its_way_to_a_node_that_goes_is_given_up() {
    let mut state = founded(&["", "", ""], 16);
    join(&mut state, 4, "");
    let group = GroupId::Data(PartitionId(5));
    let replaces = state.replica_on(group, id(1)).unwrap();
    done(&mut state, &Command::AddReplica { group, node: id(4), replaces: Some(replaces) });
    set(&mut state, 4, NodeState::Lost);
    let joining = state.placement(group).unwrap().joining().next().unwrap().id;
    let commands = planned(&state, &[]);
    assert!(commands.contains(&Command::RemoveReplica { group, replica: joining }), "{commands:?}");
    settle(&mut state);
    assert_eq!(counts(&state)[&4], (0, 0));
}

#[test]
fn whatever_happens_to_nodes_it_comes_to_rest_where_it_should() {
    for seed in 0..60_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % n
        };
        let zones = [["a", "b", "c"], ["", "", ""]][usize::try_from(seed % 2).unwrap()];
        let mut state = founded(&zones, 1 << (2 + below(4)));
        for number in 4..10 {
            match below(3) {
                0 => {
                    let at = below(number - 1) + 1;
                    let wanted = [NodeState::Draining, NodeState::Lost, NodeState::Active];
                    let wanted = wanted[usize::try_from(below(3)).unwrap()];
                    // It may be out already.
                    drop(apply(&mut state, &Command::SetNodeState { node: id(at), state: wanted }));
                }
                _ => {
                    settle(&mut state);
                }
            }
            join(&mut state, number.into(), zones[usize::try_from(below(3)).unwrap()]);
        }
        let mut there: Vec<String> = Vec::new();
        for node in state.nodes().filter(|node| node.state == NodeState::Active) {
            there.push(node.info.zone.clone());
        }
        settle(&mut state);
        let counts = counts(&state);
        let of_active: Vec<_> =
            Nodes::new(&state, &BTreeSet::new()).active().map(|node| counts[&node.get()]).collect();
        for node in state.nodes().filter(|node| node.state != NodeState::Active) {
            assert_eq!(counts[&node.id.get()], (0, 0), "seed {seed}");
        }
        there.sort();
        there.dedup();
        if zones[0].is_empty() {
            let held = of_active.iter().map(|(held, _)| *held);
            assert!(held.clone().max().unwrap() - held.min().unwrap() <= 1, "seed {seed}: {counts:?}");
        } else if there.len() == 3 {
            zones_are_apart(&state);
        }
        let led = of_active.iter().map(|(_, led)| *led);
        let most = led.clone().max().unwrap();
        if zones[0].is_empty() {
            assert!(most - led.min().unwrap() <= 1, "seed {seed}: {counts:?}");
        }
        let there = of_active.len();
        let wanted = if there >= 5 { 5 } else { 3 };
        assert!([3, 5].contains(&meta_voters(&state).len()), "seed {seed}");
        assert!(meta_voters(&state).len() >= wanted, "seed {seed}");
        assert_eq!(voters(&state), 3, "seed {seed}");
    }
}

#[test]
fn what_a_silent_node_has_is_made_anew_and_it_gets_its_share_when_it_comes_back() {
    let mut state = founded(&["a", "b", "c"], 16);
    join(&mut state, 4, "a");
    join(&mut state, 5, "b");
    join(&mut state, 6, "c");
    settle(&mut state);
    let held = counts(&state)[&3].0;
    assert!(held > 0 && meta_voters(&state).contains(&3));
    assert_eq!(settle_without(&mut state, &[3]), held);
    assert_eq!(counts(&state)[&3], (0, 0));
    assert!(!meta_voters(&state).contains(&3), "its vote goes to one that answers");
    assert_eq!(meta_voters(&state).len(), 5);
    zones_are_apart(&state);
    assert_eq!(state.node(id(3)).unwrap().state, NodeState::Active);
    assert!(settle(&mut state) > 0);
    assert!(counts(&state)[&3].0 > 0, "{:?}", counts(&state));
    zones_are_apart(&state);
}

#[test]
fn a_node_alone_gets_others_beside_it_when_they_come() {
    let mut state = founded(&["a"], 16);
    assert_eq!((planned(&state, &[]), voters(&state)), (Vec::new(), 1));
    // Of two nodes both must be there for a majority, and each for its part: the second gets nothing yet.
    join(&mut state, 2, "b");
    settle(&mut state);
    assert_eq!((voters(&state), meta_voters(&state).len()), (1, 1));
    assert_eq!(counts(&state), BTreeMap::from([(1, (16, 16)), (2, (0, 0))]));
    join(&mut state, 3, "c");
    settle(&mut state);
    assert_eq!((voters(&state), meta_voters(&state).len()), (3, 3));
    zones_are_apart(&state);
    let led: Vec<_> = counts(&state).values().map(|(held, led)| (*held, (5..=6).contains(led))).collect();
    assert_eq!(led, [(16, true); 3]);
    // More nodes: a share of it, and no more voters.
    join(&mut state, 4, "a");
    join(&mut state, 5, "b");
    settle(&mut state);
    assert_eq!((voters(&state), meta_voters(&state).len()), (3, 5));
    zones_are_apart(&state);
}

#[test]
fn two_nodes_that_come_at_once_are_not_moved_to_first() {
    let mut state = founded(&["", "", ""], 8);
    done(&mut state, &Command::SetReplication { replicas: 1 });
    settle(&mut state);
    assert_eq!(voters(&state), 1);
    let mut state = founded(&[""], 16);
    join(&mut state, 2, "");
    join(&mut state, 3, "");
    assert_eq!(settle(&mut state), 32, "each partition is sent to two nodes, and moved nowhere");
}

#[test]
fn as_many_replicas_as_are_asked_for_and_as_there_are_nodes() {
    let mut state = founded(&["a", "b", "c"], 8);
    for number in 4..8 {
        join(&mut state, number, ["a", "b", "c"][usize::try_from(number % 3).unwrap()]);
    }
    settle(&mut state);
    for (replicas, there) in [(5, 5), (7, 7), (3, 3), (1, 1), (5, 5), (3, 3)] {
        done(&mut state, &Command::SetReplication { replicas });
        settle(&mut state);
        assert_eq!(voters(&state), there);
        if there == 3 {
            zones_are_apart(&state);
        }
        let held = counts(&state).into_values().map(|(held, _)| held).collect::<Vec<_>>();
        assert!(held.iter().max().unwrap() - held.iter().min().unwrap() <= 3, "{held:?}");
    }
    done(&mut state, &Command::SetReplication { replicas: 7 });
    settle(&mut state);
    // What is missing is no reason to have less; what is to be empty is.
    settle_without(&mut state, &[7]);
    assert_eq!(voters(&state), 7);
    set(&mut state, 7, NodeState::Draining);
    settle(&mut state);
    assert_eq!((voters(&state), counts(&state)[&7]), (5, (0, 0)), "the one that drains lost its votes");
}

#[test]
fn replicas_that_are_not_wanted_any_more_are_given_up_on_their_way() {
    let mut state = founded(&[""], 4);
    join(&mut state, 2, "");
    join(&mut state, 3, "");
    planned(&state, &[]).iter().for_each(|command| done(&mut state, command));
    let on_their_way = data(&state).flat_map(Placement::additional).count();
    assert_eq!(on_their_way, 2 * MOVES);
    set(&mut state, 3, NodeState::Draining);
    let given_up = planned(&state, &[]);
    let given_up = given_up.iter().filter(|command| matches!(command, Command::RemoveReplica { .. })).count();
    assert_eq!(given_up, 2 * MOVES, "the other alone would be a second voter");
    settle(&mut state);
    assert_eq!(voters(&state), 1);
    set(&mut state, 3, NodeState::Active);
    settle(&mut state);
    assert_eq!(voters(&state), 3);
}

#[test]
fn votes_are_taken_from_nodes_that_are_silent_and_never_left_to_them_alone() {
    let mut state = founded(&["", "", ""], 4);
    done(&mut state, &Command::SetReplication { replicas: 1 });
    let mut members = meta(&state);
    let silent = BTreeSet::new();
    members.silent.insert(state.replica_on(GroupId::Meta, id(2)).unwrap());
    for command in plan(&state, &Seen { meta: &members, silent: &silent }, MOVES) {
        done(&mut state, &command);
    }
    assert_eq!(voters(&state), 1);
    assert!(data(&state).flat_map(Placement::voters).all(|voter| voter.node != id(2)));
    // The one that has the vote is lost before the group has followed: another gets it back.
    let group = GroupId::Data(PartitionId(0));
    let only = state.placement(group).unwrap().voters().next().unwrap().node;
    set(&mut state, only.get(), NodeState::Lost);
    planned(&state, &[]).iter().for_each(|command| done(&mut state, command));
    let now: Vec<NodeId> = state.placement(group).unwrap().voters().map(|voter| voter.node).collect();
    assert!(now.len() == 1 && now[0] != only, "{now:?}");
    // Nobody is left who answers: nothing is taken.
    let mut state = founded(&["", "", ""], 4);
    done(&mut state, &Command::SetReplication { replicas: 1 });
    let mut members = meta(&state);
    members.silent.extend(state.placement(GroupId::Meta).unwrap().replicas.iter().map(|replica| replica.id));
    assert_eq!(plan(&state, &Seen { meta: &members, silent: &silent }, MOVES), []);
}

#[test]
fn votes_in_the_meta_group_are_five_or_three_and_follow_the_nodes() {
    let mut state = founded(&["", "", "", "", ""], 4);
    assert_eq!(meta_voters(&state).len(), 5);
    set(&mut state, 2, NodeState::Draining);
    settle(&mut state);
    assert_eq!(meta_voters(&state).len(), 3, "four nodes have no fifth vote to give");
    assert!(!meta_voters(&state).contains(&2));
    set(&mut state, 2, NodeState::Decommissioned);
    set(&mut state, 3, NodeState::Draining);
    settle(&mut state);
    assert_eq!(meta_voters(&state), [1, 4, 5].into());
    join(&mut state, 6, "");
    join(&mut state, 7, "");
    settle(&mut state);
    assert_eq!(meta_voters(&state).len(), 5);
}

#[test]
fn the_meta_group_lets_go_first_of_what_is_gone_and_then_of_what_is_there() {
    let mut state = founded(&["", "", ""], 4);
    (4..=5).for_each(|number| join(&mut state, number, ""));
    let of_meta = |command: &Command| matches!(command, Command::ChangeVotes { group: GroupId::Meta, .. });
    let (there, gone) = [2, 3].map(|node| state.replica_on(GroupId::Meta, id(node)).unwrap()).into();
    set(&mut state, 2, NodeState::Draining);
    set(&mut state, 3, NodeState::Lost);
    let commands = planned(&state, &[3]);
    let votes: Vec<&Command> = commands.iter().filter(|command| of_meta(command)).collect();
    assert!(matches!(votes[..], [Command::ChangeVotes { lose, .. }] if *lose == [gone]), "{votes:?}");
    done(&mut state, votes[0]);
    // It has not done so yet.
    assert!(!planned(&state, &[3]).iter().any(of_meta));
    done(&mut state, &Command::RemoveReplica { group: GroupId::Meta, replica: gone });
    let commands = planned(&state, &[3]);
    let votes: Vec<&Command> = commands.iter().filter(|command| of_meta(command)).collect();
    assert!(matches!(votes[..], [Command::ChangeVotes { lose, .. }] if *lose == [there]), "{votes:?}");
}

#[test]
fn nobody_is_given_up_when_too_few_are_left() {
    // Three nodes have nowhere to go; nor has a zone of which everything is silent, though there are nodes enough.
    let mut three = founded(&["a", "b", "c"], 8);
    settle(&mut three);
    assert_eq!(planned(&three, &[2]), []);
    let mut zones = founded(&["a", "b", "c"], 8);
    for (number, zone) in [(4, "a"), (5, "b"), (6, "c")] {
        join(&mut zones, number, zone);
    }
    settle(&mut zones);
    assert_eq!(planned(&zones, &[3, 6]), []);
    assert_ne!(planned(&zones, &[3]), []);
    // Without zones each node is one; of five, two may be silent and no more.
    let mut five = founded(&["", "", "", "", ""], 8);
    settle(&mut five);
    assert_ne!(planned(&five, &[2, 4]), []);
    assert_eq!(planned(&five, &[2, 3, 4]), []);
    settle_without(&mut five, &[2, 4]);
    assert_eq!((counts(&five)[&2], counts(&five)[&4]), ((0, 0), (0, 0)));
    // One that drains is nobody to rely on.
    let mut four = founded(&["", "", ""], 8);
    join(&mut four, 4, "");
    settle(&mut four);
    set(&mut four, 1, NodeState::Draining);
    settle(&mut four);
    assert_eq!(planned(&four, &[3]), []);
}
