//! The oracle sees what is wrong, and allows what may be.

use super::*;

fn shown(numbers: impl IntoIterator<Item = Number>) -> Vec<(Number, u64)> {
    numbers.into_iter().map(|number| (number, value(3, number))).collect()
}

#[test]
fn what_was_acknowledged_must_be_shown_and_the_unknown_may() {
    let mut series = Series::default();
    series.sends(0..6);
    series.is_there(0..4);
    let expected = series.expected();
    assert!(
        series
            .check(&expected, &shown([0, 1, 3]), 3)
            .unwrap_err()
            .contains("1 points are lost, the first is 2")
    );
    series.check(&expected, &shown([0, 1, 2, 3]), 3).unwrap();
    series.check(&expected, &shown(0..5), 3).unwrap();
    // What was seen stays.
    let expected = series.expected();
    assert!(series.check(&expected, &shown(0..4), 3).unwrap_err().contains("the first is 4"));
}

#[test]
fn what_nobody_sent_and_what_comes_twice_is_wrong() {
    let mut series = Series::default();
    series.sends(0..2);
    let expected = series.expected();
    assert!(series.check(&expected, &shown([7]), 3).unwrap_err().contains("never sent"));
    assert!(series.check(&expected, &shown([0, 0]), 3).unwrap_err().contains("comes after"));
    assert!(series.check(&expected, &[(1, 5)], 3).unwrap_err().contains("not its own"));
}

#[test]
fn what_was_deleted_stays_away_and_a_delete_under_way_may_take_what_it_finds() {
    let mut series = Series::default();
    series.sends(0..4);
    series.is_there(0..3);
    let expected = series.expected();
    let there = series.deletes(0..4);
    assert_eq!(there, [0, 1, 2]);
    // Begun before the delete, ended while it is under way.
    series.check(&expected, &shown([1]), 3).unwrap();
    series.is_gone(&there);
    let expected = series.expected();
    assert!(series.check(&expected, &shown([2]), 3).unwrap_err().contains("come back"));
    // Its write may have been under way when it was deleted.
    series.check(&expected, &shown([3]), 3).unwrap();
}
