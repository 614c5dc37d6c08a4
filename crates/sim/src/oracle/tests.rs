//! The oracle sees what is wrong, and allows what may be.

use super::*;

/// When things happen.
const fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn shown(numbers: impl IntoIterator<Item = Number>) -> Vec<(Number, u64)> {
    numbers.into_iter().map(|number| (number, value(3, number))).collect()
}

/// What a read of now must show.
fn newest(series: &Series) -> Expected {
    series.expected(Some(at(u64::MAX >> 1)))
}

fn check(series: &mut Series, expected: &Expected, numbers: impl IntoIterator<Item = Number>) -> String {
    match series.check(expected, &shown(numbers), 3, at(100)) {
        Ok(()) => "well".to_owned(),
        Err(Wrong::Never(what)) => format!("never: {what}"),
        Err(Wrong::Old(what)) => format!("old: {what}"),
    }
}

#[test]
fn what_was_acknowledged_must_be_shown_and_the_unknown_may() {
    let mut series = Series::default();
    series.sends(0..6, at(1));
    series.is_written(0..4, "token".to_owned(), at(1));
    let expected = newest(&series);
    assert_eq!(check(&mut series, &expected, [0, 1, 3]), "old: 1 points are lost, the first is 2");
    assert_eq!(check(&mut series, &expected, [0, 1, 2, 3]), "well");
    assert_eq!(check(&mut series, &expected, 0..5), "well");
    // What was seen stays.
    let expected = newest(&series);
    assert_eq!(check(&mut series, &expected, 0..4), "old: 1 points are lost, the first is 4");
}

#[test]
fn what_nobody_sent_and_what_comes_twice_is_wrong_at_any_age() {
    let mut series = Series::default();
    series.sends(0..2, at(1));
    let expected = series.expected(None);
    assert_eq!(check(&mut series, &expected, [7]), "never: point 7 was never sent");
    assert_eq!(check(&mut series, &expected, [0, 0]), "never: point 0 comes after 0");
    let other = series.check(&expected, &[(1, 5)], 3, at(1));
    assert!(matches!(other, Err(Wrong::Never(what)) if what.contains("not its own")));
}

#[test]
fn what_was_deleted_stays_away_and_a_delete_under_way_may_take_what_it_finds() {
    let mut series = Series::default();
    series.sends(0..4, at(1));
    series.is_written(0..3, "token".to_owned(), at(1));
    let expected = newest(&series);
    let there = series.deletes(0..4, at(2));
    assert_eq!(there, [0, 1, 2]);
    // Begun before the delete, ended while it is under way.
    assert_eq!(check(&mut series, &expected, [1]), "well");
    series.is_gone(&there, "token".to_owned(), at(3));
    let expected = newest(&series);
    assert_eq!(check(&mut series, &expected, [2]), "old: point 2 was deleted and has come back");
    // Its write may have been under way when it was deleted.
    assert_eq!(check(&mut series, &expected, [3]), "well");
}

#[test]
fn a_read_is_as_new_as_it_must_be() {
    let mut series = Series::default();
    series.sends(0..4, at(1));
    series.is_written(0..2, "token".to_owned(), at(1));
    series.is_written(2..4, "token".to_owned(), at(5));
    // As of a second, or of none.
    let expected = series.expected(Some(at(3)));
    assert_eq!(check(&mut series, &expected, 0..2), "well");
    assert_eq!(check(&mut series, &expected, [1]), "old: 1 points are lost, the first is 0");
    let expected = series.expected(None);
    assert_eq!(check(&mut series, &expected, []), "well");
    // With the token all that its owner was told, and not what another has seen.
    series.sends(4..6, at(6));
    let any = series.expected(None);
    assert_eq!(check(&mut series, &any, 0..6), "well");
    let expected = series.expected_with_token(None);
    assert_eq!(check(&mut series, &expected, 0..4), "well");
    assert_eq!(check(&mut series, &expected, 0..3), "old: 1 points are lost, the first is 3");
    let there = series.deletes(0..1, at(7));
    series.is_gone(&there, "token".to_owned(), at(8));
    let expected = series.expected_with_token(None);
    assert_eq!(check(&mut series, &expected, 0..4), "old: point 0 was deleted and has come back");
}
