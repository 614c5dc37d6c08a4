use model::Timestamp;

use super::*;

const fn range(start: i64, end: i64) -> TimeRange {
    TimeRange::new(Timestamp(start), Timestamp(end))
}

#[test]
fn changes_are_known_by_the_span_they_lie_in() {
    let shard = range(-1000, 1560);
    let mut changes = Changes::default();
    assert_eq!(changes.latest(shard, -1000, 1559), 0);
    changes.mark(shard, 0, 9, 7);
    changes.mark(shard, 1559, 1559, 8);
    changes.mark(shard, i64::MIN, -999, 9);
    assert_eq!(changes.latest(shard, -1000, -1000), 9);
    assert_eq!(changes.latest(shard, -900, -20), 0);
    assert_eq!(changes.latest(shard, -900, 0), 7);
    assert_eq!(changes.latest(shard, 40, 1500), 0);
    assert_eq!(changes.latest(shard, 40, 1559), 8);
}

#[test]
fn a_shard_of_all_time_has_spans_too() {
    let mut changes = Changes::default();
    changes.mark(TimeRange::ALL, i64::MIN, i64::MIN, 1);
    changes.mark(TimeRange::ALL, i64::MAX, i64::MAX, 3);
    changes.mark(TimeRange::ALL, 0, 0, 2);
    let latest = |from, to| changes.latest(TimeRange::ALL, from, to);
    assert_eq!((latest(i64::MIN, -1 << 62), latest(0, 5), latest(1 << 62, i64::MAX)), (1, 2, 3));
    assert_eq!(latest(1 << 61, 1 << 62), 0);
}
