//! Which deletes become one, and what they leave.

use model::{BucketId, Subject, Test};

use super::*;

fn of_host(host: &str) -> Predicate {
    Predicate::Compare(Subject::Tag("host".into()), Test::Eq(host.into()))
}

fn range(start: i64, end: i64) -> TimeRange {
    TimeRange::new(Timestamp(start), Timestamp(end))
}

/// A predicate with first time and end.
type Delete = (Predicate, i64, i64);

/// Deletes in a row, each with its sequence, `None` for a write; what is left as (sequence, start, end).
fn left(ops: &[(u64, Option<Delete>)]) -> Vec<(u64, i64, i64)> {
    let mut tombstones = Tombstones::default();
    let mut last_write = 0;
    for (sequence, op) in ops {
        match op {
            None => last_write = *sequence,
            Some((predicate, start, end)) => {
                let (bucket, range) = (BucketId::new(1).unwrap(), range(*start, *end));
                let deletion = Deletion { bucket, range, predicate: predicate.clone() };
                tombstones.add(&deletion, *sequence, last_write, Duration::ZERO);
            }
        }
    }
    let mut left: Vec<_> =
        tombstones.cuts().map(|(_, cut)| (cut.sequence, cut.range.start.0, cut.range.end.0)).collect();
    left.sort_unstable();
    assert_eq!(tombstones.len(), left.len());
    assert_eq!(tombstones.masked_from(), left.last().map_or(0, |l| l.0 + 1));
    left
}

#[test]
fn a_delete_takes_the_place_of_those_that_it_covers() {
    let del = |predicate, start, end| Some((predicate, start, end));
    let (a, b) = (|| of_host("a"), || of_host("b"));
    // A moving end, as retention by hand has: one cut stays.
    let moving: Vec<_> =
        (1..50).flat_map(|n: u64| [(2 * n, None), (2 * n + 1, del(a(), 0, n.cast_signed()))]).collect();
    assert_eq!(left(&moving), [(99, 0, 49)]);
    // Of another predicate nothing is known, unless the new one takes all.
    assert_eq!(left(&[(1, del(a(), 0, 5)), (2, del(b(), 0, 5))]), [(1, 0, 5), (2, 0, 5)]);
    assert_eq!(
        left(&[(1, del(a(), 0, 5)), (2, del(b(), 0, 9)), (3, del(Predicate::TRUE, 0, 8))]),
        [(2, 0, 9), (3, 0, 8)]
    );
}

#[test]
fn neighbours_become_one_when_nothing_was_written_between_them() {
    let del = |start, end| Some((of_host("a"), start, end));
    assert_eq!(left(&[(1, del(0, 5)), (2, del(5, 9)), (3, del(8, 20))]), [(3, 0, 20)]);
    assert_eq!(left(&[(1, del(0, 5)), (2, del(6, 9))]), [(1, 0, 5), (2, 6, 9)], "they do not touch");
    // What was written at 2 with a time below 5 must stay.
    assert_eq!(left(&[(1, del(0, 5)), (2, None), (3, del(5, 9))]), [(1, 0, 5), (3, 5, 9)]);
}

#[test]
fn several_deletes_together_may_leave_nothing() {
    let hidden = |ranges: &[(i64, i64)]| -> Vec<Hidden> {
        ranges.iter().map(|r| Hidden { range: range(r.0, r.1), fields: None }).collect()
    };
    assert!(hides_all(&hidden(&[(5, 10), (0, 5)]), (0, 9), None));
    assert!(hides_all(&hidden(&[(0, 7), (5, 10)]), (2, 9), Some("f")));
    assert!(!hides_all(&hidden(&[(0, 4), (5, 10)]), (0, 9), None));
    assert!(!hides_all(&hidden(&[(0, 9)]), (0, 9), None));
    assert!(!hides_all(&[], (0, 0), None));
}
