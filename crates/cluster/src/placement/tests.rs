//! Replicas are apart, and the load is even.

use super::*;

/// Replicas and leaders of each node.
fn load(plan: &[Vec<u8>], nodes: usize) -> (Vec<usize>, Vec<usize>) {
    let mut load = (vec![0; nodes], vec![0; nodes]);
    for places in plan {
        places.iter().for_each(|node| load.0[usize::from(*node)] += 1);
        load.1[usize::from(places[0])] += 1;
    }
    load
}

fn is_even(counts: &[usize]) -> bool {
    counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1
}

#[test]
fn one_node_has_everything() {
    assert_eq!(spread(&[""], 4, 1), vec![vec![0]; 4]);
}

#[test]
fn three_nodes_have_a_replica_each_and_share_the_lead() {
    let plan = spread(&["a", "b", "c"], 32, 3);
    let (replicas, leaders) = load(&plan, 3);
    assert_eq!(replicas, [32; 3]);
    assert!(is_even(&leaders), "{leaders:?}");
    for places in plan {
        let mut sorted = places;
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2]);
    }
}

#[test]
fn replicas_are_in_different_zones_as_long_as_there_are_zones() {
    for zones in [&["a", "a", "b", "b", "c"][..], &["a", "b", "c", "a", "b"], &["", "", "", "", ""]] {
        let plan = spread(zones, 32, 3);
        let (replicas, leaders) = load(&plan, 5);
        assert!(is_even(&leaders), "{zones:?}: {leaders:?}");
        if zones[0].is_empty() {
            assert!(is_even(&replicas), "{replicas:?}");
        }
        for places in plan {
            let distinct = |what: &dyn Fn(u8) -> String| {
                let mut all: Vec<_> = places.iter().map(|place| what(*place)).collect();
                all.sort_unstable();
                all.dedup();
                all.len()
            };
            assert_eq!(distinct(&|place| place.to_string()), 3);
            if !zones[0].is_empty() {
                assert_eq!(
                    distinct(&|place| zones[usize::from(place)].to_owned()),
                    3,
                    "{zones:?} {places:?}"
                );
            }
        }
    }
}

#[test]
fn where_zones_do_not_suffice_nodes_do() {
    for places in spread(&["a", "a", "b"], 8, 3) {
        let mut sorted = places;
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2]);
    }
}
