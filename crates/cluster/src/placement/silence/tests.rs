//! A silence is as long as somebody has listened.

use super::*;

const LONG: Duration = Duration::from_secs(600);

fn id(node: u64) -> NodeId {
    NodeId::new(node).unwrap()
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(1_000_000 + seconds)
}

#[test]
fn only_who_is_silent_all_the_time_is_silent_for_long() {
    let mut silence = Silence::default();
    assert_eq!(silence.of_at_least(Duration::ZERO), BTreeSet::new());
    for second in (0..=600).step_by(5) {
        assert_eq!(silence.of_at_least(LONG), BTreeSet::new(), "{second}");
        // The first never answers, the second does once in the middle, the third is silent from there on.
        let silent = [(1, true), (2, second != 300), (3, second >= 300)];
        silence.look(at(second), silent.into_iter().filter(|(_, is)| *is).map(|(node, _)| id(node)));
    }
    assert_eq!(silence.of_at_least(LONG), BTreeSet::from([id(1)]));
    assert_eq!(silence.of_at_least(Duration::from_secs(295)), BTreeSet::from([id(1), id(2), id(3)]));
    silence.look(at(605), [id(2), id(3)]);
    assert_eq!(silence.of_at_least(LONG), BTreeSet::new());
}

#[test]
fn who_did_not_listen_knows_nothing() {
    let mut silence = Silence::default();
    for second in (0..=300).step_by(5) {
        silence.look(at(second), [id(1)]);
    }
    // Another led in between, or the process was stopped.
    silence.look(at(650), [id(1)]);
    assert_eq!(silence.of_at_least(LONG), BTreeSet::new());
    assert_eq!(silence.of_at_least(Duration::from_secs(1)), BTreeSet::new());
    for second in (655..=1250).step_by(5) {
        silence.look(at(second), [id(1)]);
    }
    assert_eq!(silence.of_at_least(LONG), BTreeSet::from([id(1)]));
}
