use std::time::Duration;

use super::*;

fn attempt(outcome: Outcome) -> Attempt {
    Attempt { node: 0, at: Duration::ZERO, took: Duration::ZERO, outcome, status: None }
}

fn row(n: u64) -> Row {
    Row { time: time_of(n), n, w: 0 }
}

/// Points 0 and 1 acknowledged, 2 unknown, 3 refused, 4 in flight.
fn oracle() -> Oracle {
    let oracle = Oracle::new(1);
    for outcome in [Outcome::Acknowledged, Outcome::Acknowledged, Outcome::Unknown, Outcome::Refused] {
        let numbers = oracle.fresh(0, 1);
        oracle.sending(0, &numbers);
        oracle.ended(0, &numbers, attempt(outcome));
    }
    let flying = oracle.fresh(0, 1);
    oracle.sending(0, &flying);
    oracle
}

fn check(oracle: &Oracle, rows: &[Row]) -> Vec<String> {
    let reading = oracle.begin_read(0, None);
    oracle.end_read(&reading, 2, rows);
    oracle.violations()
}

#[test]
fn acknowledged_points_must_and_unknown_ones_may_be_there() {
    assert_eq!(check(&oracle(), &[row(0), row(1)]), [""; 0]);
    assert_eq!(check(&oracle(), &[row(0), row(1), row(2), row(4)]), [""; 0]);
}

#[test]
fn a_lost_point_is_found() {
    let found = check(&oracle(), &[row(1), row(2)]);
    assert!(found[0].contains("1 points are not there, the first is 0"), "{found:?}");
}

#[test]
fn a_refused_point_must_not_be_there() {
    let found = check(&oracle(), &[row(0), row(1), row(3)]);
    assert!(found[0].contains("point 3 was refused and is there"), "{found:?}");
}

#[test]
fn what_nobody_sent_is_found() {
    for strange in [row(5), Row { w: 1, ..row(0) }, Row { time: 7, ..row(2) }] {
        let found = check(&oracle(), &[row(0), row(1), strange]);
        assert!(found[0].contains("nobody has sent"), "{found:?}");
    }
}

#[test]
fn a_point_that_is_there_twice_is_found() {
    let found = check(&oracle(), &[row(0), row(1), row(1)]);
    assert!(found[0].contains("point 1 is there twice"), "{found:?}");
}

#[test]
fn what_was_seen_once_must_be_seen_again() {
    let oracle = oracle();
    assert_eq!(check(&oracle, &[row(0), row(1), row(2)]), [""; 0]);
    let found = check(&oracle, &[row(0), row(1)]);
    assert!(found[0].contains("the first is 2"), "{found:?}");
}

#[test]
fn a_read_that_began_before_an_acknowledgement_may_miss_it() {
    let oracle = oracle();
    let reading = oracle.begin_read(0, None);
    oracle.ended(0, &(4..5), attempt(Outcome::Acknowledged));
    oracle.end_read(&reading, 0, &[row(0), row(1)]);
    assert_eq!(oracle.violations(), [""; 0]);
    assert!(!check(&oracle, &[row(0), row(1)]).is_empty());
}

#[test]
fn a_second_attempt_makes_an_outcome_better_never_worse() {
    let oracle = oracle();
    oracle.sending(0, &(0..4));
    oracle.ended(0, &(0..4), attempt(Outcome::Refused));
    oracle.ended(0, &(4..5), attempt(Outcome::Refused));
    assert_eq!(oracle.counts(), Counts { acknowledged: 2, unknown: 1, refused: 2 });
}
