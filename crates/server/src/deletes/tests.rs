use super::*;

#[test]
fn what_a_predicate_says_of_a_measurement_alone() {
    let is = |name: &str| Predicate::Compare(Subject::Measurement, Test::Eq(name.into()));
    let tag = || Predicate::Compare(Subject::Tag("host".into()), Test::Eq("a".into()));
    let not = |p| Predicate::Not(Box::new(p));
    for (predicate, expected) in [
        (Predicate::TRUE, Some(true)),
        (is("m"), Some(true)),
        (is("n"), Some(false)),
        (not(is("n")), Some(true)),
        (tag(), None),
        (not(tag()), None),
        (is("m").and(tag()), None),
        (is("n").and(tag()), Some(false)),
        (Predicate::Or(vec![is("m"), tag()]), Some(true)),
        (Predicate::Or(vec![is("n"), tag()]), None),
        (Predicate::Or(vec![is("n"), is("o")]), Some(false)),
    ] {
        assert_eq!(of_measurement(&predicate, "m"), expected, "{predicate:?}");
    }
}
