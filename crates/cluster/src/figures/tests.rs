use super::*;

fn status(term: u64, leader: Option<u64>, applied: u64, committed: u64) -> GroupStatus {
    GroupStatus {
        group: GroupId::Meta,
        replica: ReplicaId(1),
        leader: leader.map(ReplicaId),
        leading: leader == Some(1),
        term,
        last: Some(committed),
        committed: Some(committed),
        applied: Some(applied),
        purged: None,
        in_flight_bytes: 0,
        files: None,
        voters: Vec::new(),
        compared: None,
        running: true,
    }
}

#[test]
fn elections_and_leaders_are_counted_and_who_is_behind_for_how_long() {
    let (counters, mut watched) = (Counters::default(), Watched::default());
    let mut at = |seconds, status| {
        watched.look(&[(status, None)], &counters, Duration::from_secs(seconds));
        let behind = Duration::from_nanos(counters.behind_ns.load(Ordering::Relaxed)).as_secs();
        (counters.elections.get(), counters.leader_changes.get(), behind)
    };
    assert_eq!(at(0, status(3, Some(1), 5, 5)), (0, 0, 0), "what was before is not known");
    assert_eq!(at(1, status(4, None, 5, 5)), (1, 0, 0));
    assert_eq!(at(2, status(4, Some(1), 5, 5)), (1, 0, 0), "the same again");
    assert_eq!(at(3, status(6, Some(2), 5, 9)), (3, 1, 0));
    // It applies, but not yet what was committed at second 3.
    assert_eq!(at(5, status(6, Some(2), 8, 20)), (3, 1, 2));
    assert_eq!(at(6, status(6, Some(2), 9, 20)), (3, 1, 0), "only busy");
    assert_eq!(at(8, status(6, Some(2), 19, 20)), (3, 1, 2));
    assert_eq!(at(9, status(6, Some(2), 20, 20)), (3, 1, 0));
}

#[test]
fn a_follower_that_lacks_an_entry_for_long_is_behind() {
    let (counters, mut watched) = (Counters::default(), Watched::default());
    let mut at = |seconds, least, last| {
        watched.look(
            &[(status(1, Some(1), last, last), Some(least))],
            &counters,
            Duration::from_secs(seconds),
        );
        Duration::from_nanos(counters.follower_behind_ns.load(Ordering::Relaxed)).as_secs()
    };
    assert_eq!([at(0, 8, 7), at(1, 8, 9), at(3, 9, 9)], [0, 0, 2]);
    assert_eq!([at(4, 10, 20), at(9, 20, 20), at(10, 21, 20)], [0, 5, 0]);
}
