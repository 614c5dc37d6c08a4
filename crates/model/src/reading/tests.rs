//! Names of consistencies, and sets of commits.

use super::*;
use crate::ids::PartitionId;

#[test]
fn every_consistency_has_a_name_that_is_read_again() {
    let bounded = |ms| Consistency::Bounded(Duration::from_millis(ms));
    for (text, meant) in [
        ("leader", Consistency::Leader),
        ("linearizable", Consistency::Linearizable),
        ("any", Consistency::Any),
        ("bounded(0s)", bounded(0)),
        ("bounded(250ms)", bounded(250)),
        ("bounded(5s)", bounded(5_000)),
        ("bounded(2m)", bounded(120_000)),
        ("bounded(1h)", bounded(3_600_000)),
    ] {
        assert_eq!(text.parse(), Ok(meant), "{text}");
        assert_eq!(meant.to_string().parse(), Ok(meant), "{meant}");
    }
    assert_eq!(Consistency::default(), Consistency::Leader);
}

#[test]
fn what_is_no_consistency_is_refused() {
    let long = "x".repeat(1000);
    for text in [
        "",
        "Leader",
        "any ",
        "all",
        "bounded",
        "bounded()",
        "bounded(5)",
        "bounded(s)",
        "bounded(-5s)",
        "bounded(5s",
        "bounded(5d)",
        "bounded(1.5s)",
        "bounded(5s)x",
        "bounded(18446744073709551615h)",
        &long,
    ] {
        let refused = text.parse::<Consistency>().unwrap_err().to_string();
        assert!(refused.starts_with("unknown consistency "), "{refused}");
        assert!(refused.len() < 256, "{refused}");
    }
}

#[test]
fn of_two_entries_of_a_group_the_later_counts() {
    let (meta, data) = (GroupId::Meta, GroupId::Data(PartitionId(3)));
    let mut commits: Commits = [(data, 7), (meta, 2)].into_iter().collect();
    commits.extend([(data, 5), (meta, 9)]);
    assert_eq!(commits.iter().collect::<Vec<_>>(), [(meta, 9), (data, 7)]);
    assert_eq!((commits.get(data), commits.get(GroupId::Data(PartitionId(0)))), (Some(7), None));
    assert!(!commits.is_empty());
}
