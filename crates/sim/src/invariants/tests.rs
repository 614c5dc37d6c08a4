//! The properties of Raft are seen to be broken, and what openraft allows is allowed.

use super::*;

const GROUP: GroupId = GroupId::Meta;

fn position(index: u64, term: u64, leader: u64) -> LogPosition {
    LogPosition { index, term, leader: ReplicaId(leader) }
}

fn status(replica: u64, term: u64, leading: bool) -> GroupStatus {
    GroupStatus {
        group: GROUP,
        replica: ReplicaId(replica),
        leader: leading.then_some(ReplicaId(replica)),
        leading,
        term,
        last: Some(9),
        committed: Some(5),
        applied: Some(5),
        purged: None,
        in_flight_bytes: 0,
        files: None,
        voters: Vec::new(),
        compared: None,
        running: true,
    }
}

/// What a member says that has these entries.
fn said(replica: u64, term: u64, leading: bool, log: &[LogPosition]) -> Said {
    Said {
        groups: vec![status(replica, term, leading)],
        logs: vec![(GROUP, ReplicaId(replica), log.to_vec())],
        ..Said::default()
    }
}

/// What another member has applied.
fn applied(position: LogPosition) -> Said {
    Said { applied: vec![(GROUP, position.leader, position)], ..Said::default() }
}

#[test]
fn a_leader_has_the_very_entry_that_was_applied() {
    let applied_at = position(5, 2, 2);
    let log = |term| [position(0, 0, 1), position(4, 1, 1), position(9, term, 1)];
    let mut seen = Invariants::default();
    seen.look(1, applied(applied_at)).unwrap();
    // As many entries, but others: what was applied was not on the way of this one.
    let error = seen.look(0, said(1, 3, true, &log(3))).unwrap_err();
    assert!(error.contains("leads group meta without"), "{error}");
    // Who only follows, or leads an earlier term and does not know better, is no leader that must have it.
    let mut seen = Invariants::default();
    seen.look(1, applied(applied_at)).unwrap();
    seen.look(0, said(1, 3, false, &log(3))).unwrap();
    seen.look(2, said(3, 1, true, &log(1))).unwrap();
    let mut seen = Invariants::default();
    seen.look(1, applied(applied_at)).unwrap();
    seen.look(0, said(1, 3, true, &[position(4, 1, 1), position(7, 2, 2), position(9, 3, 1)])).unwrap();
    // What it has purged it has had.
    seen.look(0, said(1, 3, true, &[position(7, 2, 2), position(9, 3, 1)])).unwrap();
}

#[test]
fn a_leader_is_judged_by_what_is_applied_while_its_log_stays_as_it_is() {
    let mut seen = Invariants::default();
    let log = [position(0, 0, 1), position(3, 2, 1)];
    seen.look(0, said(1, 2, true, &log)).unwrap();
    seen.look(1, applied(position(4, 2, 1))).unwrap();
    assert!(seen.look(0, said(1, 2, true, &log)).unwrap_err().contains("without"));
}

#[test]
fn a_vote_never_goes_back_in_any_part() {
    let vote = |term, replica, committed| Vote { term, replica, committed };
    let says = |member: u64, vote| Said { votes: vec![(GROUP, ReplicaId(member), vote)], ..Said::default() };
    let after = |before: Vote, now: Vote| {
        let mut seen = Invariants::default();
        let taken = Taken { replica: ReplicaId(1), vote: Some(before) };
        seen.forget(0, BTreeMap::from([(GROUP, taken)]));
        // Nothing is known before its first word.
        seen.look(0, says(1, vote(0, 0, false))).unwrap();
        seen.look(0, says(1, now))
    };
    for (before, now) in [
        (vote(3, 1, false), vote(2, 3, true)),
        (vote(3, 2, false), vote(3, 1, false)),
        (vote(3, 2, true), vote(3, 2, false)),
    ] {
        assert!(after(before, now).unwrap_err().contains("has forgotten"), "{before:?} {now:?}");
    }
    for (before, now) in [
        (vote(3, 2, false), vote(3, 2, true)),
        (vote(3, 2, true), vote(3, 3, false)),
        // Who led stands anew after a start.
        (vote(3, 1, true), vote(3, 1, false)),
    ] {
        after(before, now).unwrap();
    }
    // Another replica has votes of its own.
    let mut seen = Invariants::default();
    seen.look(0, says(1, vote(3, 2, true))).unwrap();
    seen.look(0, says(7, vote(1, 2, true))).unwrap();
    assert!(seen.look(0, says(7, vote(1, 1, true))).is_err());
}
