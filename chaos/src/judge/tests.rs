use std::path::PathBuf;

use super::*;
use crate::history::{Attempt, Outcome};
use crate::scenario::Scenario;
use crate::scenario_file;

fn scenario(name: &str) -> Scenario {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let all: Vec<Scenario> = scenario_file::load(&directory).unwrap();
    all.into_iter().find(|one| one.name == name).unwrap()
}

fn oracle() -> Oracle {
    let oracle = Oracle::new(1);
    let numbers = oracle.fresh(0, 1000);
    let at = Duration::ZERO;
    let attempt = Attempt { node: 0, at, took: at, outcome: Outcome::Acknowledged, status: Some(204) };
    oracle.sending(0, &numbers);
    oracle.ended(0, &numbers, attempt);
    oracle
}

fn injected(took: bool, gap: Duration) -> Injected {
    let effects = vec![Effect { what: "a process died".to_owned(), took }];
    Injected {
        label: "kill".to_owned(),
        nodes: vec![0],
        effects,
        window: Duration::ZERO..gap,
        gap,
        node_gaps: vec![gap],
        slowest: gap,
        without_quorum: None,
        terms: 0,
        held: Duration::ZERO..gap,
        rate: 0.0,
    }
}

/// The verdict, after the figures were judged.
fn check(oracle: &Oracle, injected: &[Injected]) -> Verdict {
    let scenario = scenario("kill-leader");
    let mut doubts = Vec::new();
    judge(&scenario.promises, oracle, injected, 0.0, &mut doubts);
    let broken = scenario.is_broken(oracle.has_lost_points(), !oracle.violations().is_empty());
    Verdict::of(broken, !doubts.is_empty())
}

const SHORT: Duration = Duration::from_millis(900);

#[test]
fn all_kept_and_all_injected_is_a_pass() {
    assert_eq!(check(&oracle(), &[injected(true, SHORT), injected(true, SHORT)]), Verdict::Pass);
}

#[test]
fn a_fault_that_did_not_take_effect_is_no_pass() {
    assert_eq!(check(&oracle(), &[injected(true, SHORT), injected(false, SHORT)]), Verdict::Unknown);
    let unseen = Injected { effects: Vec::new(), ..injected(true, SHORT) };
    assert_eq!(check(&oracle(), &[unseen]), Verdict::Unknown);
    assert_eq!(check(&oracle(), &[]), Verdict::Unknown);
}

#[test]
fn a_run_without_load_is_no_pass() {
    assert_eq!(check(&Oracle::new(1), &[injected(true, SHORT)]), Verdict::Unknown);
}

#[test]
fn a_long_pause_and_a_lost_point_fail_whatever_is_in_doubt() {
    assert_eq!(check(&oracle(), &[injected(false, Duration::from_secs(9))]), Verdict::Fail);
    let oracle = oracle();
    oracle.end_read(&oracle.begin_read(0, None), 0, &[]);
    assert_eq!(check(&oracle, &[injected(false, SHORT)]), Verdict::Fail);
}

#[test]
fn a_scenario_that_loses_points_passes_only_when_that_was_noticed() {
    let scenario = scenario("lost-everything");
    assert!(!scenario.is_broken(true, true));
    assert!(scenario.is_broken(false, true));
    assert!(scenario.is_broken(false, false));
}

#[test]
fn too_few_writes_and_needless_elections_fail() {
    let mut scenario = scenario("bandwidth");
    let judged = |scenario: &Scenario, one: &Injected| {
        let oracle = oracle();
        judge(&scenario.promises, &oracle, std::slice::from_ref(one), 100.0, &mut Vec::new());
        oracle.violations().len()
    };
    let kept = Injected { rate: 100.0, ..injected(true, SHORT) };
    assert_eq!(judged(&scenario, &kept), 0);
    assert_eq!(judged(&scenario, &Injected { rate: 1.0, ..kept }), 1);
    scenario.promises.forget_times();
    let kept = injected(true, SHORT);
    assert_eq!(judged(&scenario, &Injected { terms: 1000, ..kept }), 0);
}

#[test]
fn what_is_promised_of_other_nodes_is_not_promised_of_the_one_that_it_happens_to() {
    let scenario = scenario("names");
    let limit = scenario.promises.others_gap().unwrap();
    let judged = |node_gaps: Vec<Duration>| {
        let oracle = oracle();
        let one = Injected { node_gaps, ..injected(true, SHORT) };
        judge(&scenario.promises, &oracle, &[one], 0.0, &mut Vec::new());
        oracle.violations().len()
    };
    assert_eq!(judged(vec![limit * 2, limit]), 0);
    assert_eq!(judged(vec![limit * 2, limit * 2]), 1);
}
