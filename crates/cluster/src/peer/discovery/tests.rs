//! Who founds, who joins and who waits.

use super::*;

const HASH: u64 = 7;

fn answer(node: u128, stage: Stands) -> Result<Answer, String> {
    Ok(Answer { node, peers_hash: HASH, zone: String::new(), version: String::new(), stage })
}

fn silent() -> Result<Answer, String> {
    Err("no answer".to_owned())
}

fn new(node: u128) -> Result<Answer, String> {
    answer(node, Stands::Uninitialised)
}

#[track_caller]
fn waits(node: u128, own: Option<u128>, answers: &[Result<Answer, String>], why: &str) {
    match step(node, own, HASH, answers) {
        Step::Wait(reason) => assert!(reason.contains(why), "{reason}"),
        other => panic!("{other:?} instead of waiting because {why}"),
    }
}

#[test]
fn the_first_founds_when_all_are_new_and_nobody_else_ever_does() {
    let all = [new(1), new(2), new(3)];
    assert_eq!(step(1, None, HASH, &all), Step::Found);
    waits(2, None, &all, "the first node");
    waits(3, None, &all, "the first node");
    for missing in 1..3 {
        let mut some = all.clone();
        some[missing] = silent();
        waits(1, None, &some, &format!("node {} of initial-peers: no answer", missing + 1));
    }
    waits(1, None, &[silent(), silent(), silent()], "is this one");
}

#[test]
fn a_founder_goes_on_with_its_own_founding_and_no_other() {
    let half = [answer(1, Stands::Adopted(9)), answer(2, Stands::Adopted(9)), new(3)];
    assert_eq!(step(1, Some(9), HASH, &half), Step::Found);
    let done = [answer(1, Stands::Adopted(9)), answer(2, Stands::Member(9)), silent()];
    assert_eq!(step(1, Some(9), HASH, &done), Step::IsFounded);
    // Its volume is lost in the middle: what the others have noted is of a founder that is gone.
    waits(1, None, &[new(1), answer(2, Stands::Adopted(9)), new(3)], "founded by another");
    waits(1, Some(8), &half, "founded by another");
}

#[test]
fn who_comes_new_to_a_cluster_joins_it() {
    let cluster = [new(1), answer(2, Stands::Member(9)), silent()];
    for node in [1, 4] {
        assert_eq!(step(node, None, HASH, &cluster), Step::Join(1));
    }
    // Alone with other new ones, while the members are out of reach, it waits.
    waits(1, None, &[new(1), silent(), silent()], "no answer");
}

#[test]
fn lists_must_be_the_same_and_name_each_node_once() {
    let other = Ok(Answer { peers_hash: HASH + 1, ..new(3).unwrap() });
    waits(1, None, &[new(1), new(2), other], "node 3 has another list");
    waits(1, None, &[new(1), new(2), new(2)], "twice");
    let list = |peers: &[&str]| hash_of(&peers.iter().map(|peer| (*peer).to_owned()).collect::<Vec<_>>());
    assert_ne!(list(&["a:1", "b:2"]), list(&["b:2", "a:1"]));
    assert_ne!(list(&["a:1b", ":2"]), list(&["a:1", "b:2"]));
    assert_eq!(list(&["a:1", "b:2"]), list(&["a:1", "b:2"]));
    assert_eq!(list(&[]), 0);
}
