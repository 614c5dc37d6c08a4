//! Who founds, who joins and who waits.

use super::*;

const HASH: u64 = 7;

fn list(nodes: &[&str]) -> InitialPeers {
    InitialPeers::List(nodes.iter().map(|node| (*node).to_owned()).collect())
}

fn named(expect: usize) -> InitialPeers {
    InitialPeers::Name { host: "nodes".to_owned(), port: 1, expect }
}

fn answer(node: u128, stage: Stands) -> Result<Answer, String> {
    let (zone, version) = (String::new(), String::new());
    Ok(Answer { node, peers_hash: HASH, zone, version, level: Level::FIRST, advertised: None, stage })
}

fn silent() -> Result<Answer, String> {
    Err("no answer".to_owned())
}

fn new(node: u128) -> Result<Answer, String> {
    answer(node, Stands::Uninitialised)
}

/// The step of a node, when the nodes `n1:1`, `n2:1` and so on have answered so.
fn stepped(node: u128, own: Option<u128>, peers: &InitialPeers, answers: &[Result<Answer, String>]) -> Step {
    let asked = answers.iter().zip(1..).map(|(answer, n)| Asked {
        address: format!("n{n}:1"),
        client: None,
        answer: answer.clone(),
    });
    step((node, own), HASH, peers, &asked.collect::<Vec<_>>(), 0)
}

#[track_caller]
fn waits_of(
    peers: &InitialPeers,
    node: u128,
    own: Option<u128>,
    answers: &[Result<Answer, String>],
    why: &str,
) {
    match stepped(node, own, peers, answers) {
        Step::Wait(reason) => assert!(reason.contains(why), "{reason}"),
        other => panic!("{other:?} instead of waiting because {why}"),
    }
}

#[track_caller]
fn waits(node: u128, own: Option<u128>, answers: &[Result<Answer, String>], why: &str) {
    waits_of(&list(&["n1:1", "n2:1", "n3:1"]), node, own, answers, why);
}

fn steps(node: u128, own: Option<u128>, answers: &[Result<Answer, String>]) -> Step {
    stepped(node, own, &list(&["n1:1", "n2:1", "n3:1"]), answers)
}

#[test]
fn the_first_founds_when_all_are_new_and_nobody_else_ever_does() {
    let all = [new(1), new(2), new(3)];
    assert_eq!(steps(1, None, &all), Step::Found);
    waits(2, None, &all, "the first of");
    waits(3, None, &all, "the first of");
    for missing in 1..3 {
        let mut some = all.clone();
        some[missing] = silent();
        waits(1, None, &some, &format!("node n{}:1: no answer", missing + 1));
    }
    waits(1, None, &[silent(), silent(), silent()], "is this node");
}

#[test]
fn a_founder_goes_on_with_its_own_founding_and_no_other() {
    let half = [answer(1, Stands::Adopted(9)), answer(2, Stands::Adopted(9)), new(3)];
    assert_eq!(steps(1, Some(9), &half), Step::Found);
    let done = [answer(1, Stands::Adopted(9)), answer(2, Stands::Member(9)), silent()];
    assert_eq!(steps(1, Some(9), &done), Step::IsFounded);
    // Its volume is lost in the middle: what the others have noted is of a founder that is gone.
    waits(1, None, &[new(1), answer(2, Stands::Adopted(9)), new(3)], "founded by another");
    waits(1, Some(8), &half, "founded by another");
}

#[test]
fn who_comes_new_to_a_cluster_joins_it() {
    let cluster = [new(1), answer(2, Stands::Member(9)), silent()];
    for node in [1, 4] {
        assert_eq!(steps(node, None, &cluster), Step::Join(1));
    }
    // Alone with other new ones, while the members are out of reach, it waits.
    waits(1, None, &[new(1), silent(), silent()], "no answer");
}

#[test]
fn lists_must_be_the_same_and_name_each_node_once() {
    let other = Ok(Answer { peers_hash: HASH + 1, ..new(3).unwrap() });
    waits(1, None, &[new(1), new(2), other], "node n3:1 has other initial peers");
    waits(1, None, &[new(1), new(2), new(2)], "twice");
    let same_address = |node| Ok(Answer { advertised: Some("n1:1".to_owned()), ..new(node).unwrap() });
    waits(1, None, &[new(1), new(2), same_address(3)], "two nodes say that they are reached at n1:1");
    assert_ne!(hash_of(&list(&["a:1", "b:2"])), hash_of(&list(&["b:2", "a:1"])));
    assert_ne!(hash_of(&list(&["a:1b", ":2"])), hash_of(&list(&["a:1", "b:2"])));
    assert_eq!(hash_of(&list(&["a:1", "b:2"])), hash_of(&list(&["a:1", "b:2"])));
    assert_ne!(hash_of(&named(3)), hash_of(&named(5)));
}

#[test]
fn those_that_a_name_stands_for_found_when_they_are_as_many_as_expected() {
    let all = [new(1), new(2), new(3)];
    assert_eq!(stepped(1, None, &named(3), &all), Step::Found);
    waits_of(&named(3), 2, None, &all, "the first of");
    waits_of(&named(3), 1, None, &all[..2], "nodes stands for 2 nodes, and 3 found a cluster");
    // With more it is not known which of them are meant.
    waits_of(&named(3), 1, None, &[new(1), new(2), new(3), new(4)], "nodes stands for 4 nodes");
    waits_of(&named(3), 1, None, &[new(1), silent(), new(3)], "node n2:1: no answer");
    waits_of(&named(3), 1, None, &[], "nodes stands for 0 nodes");
    // Whoever comes later joins, however many there are.
    let members = [new(5), answer(1, Stands::Member(9))];
    assert_eq!(stepped(5, None, &named(3), &members), Step::Join(1));
    let founding = [answer(1, Stands::Adopted(9)), new(2)];
    waits_of(&named(3), 1, Some(9), &founding, "stands for 2 nodes");
}

#[test]
fn founders_are_recorded_at_the_addresses_that_they_advertise() {
    let told = Ok(Answer { advertised: Some("tm-0.peers:8088".to_owned()), ..new(1).unwrap() });
    let asked = [("10.0.0.7:8088", told), ("10.0.0.8:8088", new(2))].map(|(address, answer)| Asked {
        address: address.to_owned(),
        client: None,
        answer,
    });
    let addresses: Vec<String> = founders(&asked).into_iter().map(|node| node.address).collect();
    assert_eq!(addresses, ["tm-0.peers:8088", "10.0.0.8:8088"]);
}
