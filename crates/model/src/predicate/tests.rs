use super::*;

fn series() -> SeriesKey {
    SeriesKey::new("cpu", &[("host", "a1"), ("region", "eu")]).expect("valid")
}

fn tag(key: &str, test: Test) -> Predicate {
    Predicate::Compare(Subject::Tag(key.into()), test)
}

fn eq(text: &str) -> Test {
    Test::Eq(text.into())
}

fn regex(text: &str) -> regex::Regex {
    regex::Regex::new(text).expect("valid")
}

#[test]
fn tests_compare_texts() {
    let s = series();
    for (predicate, want) in [
        (Predicate::TRUE, true),
        (Predicate::Compare(Subject::Measurement, eq("cpu")), true),
        (tag("host", eq("a1")), true),
        (tag("host", Test::NotEq("a1".into())), false),
        (tag("host", Test::Matches(regex("^a"))), true),
        (tag("host", Test::NotMatches(regex("1$"))), false),
        (tag("region", Test::In(vec!["us".into(), "eu".into()])), true),
        // A tag that is not there is empty.
        (tag("rack", eq("")), true),
        (tag("rack", Test::NotEq("".into())), false),
        (tag("rack", Test::NotEq("x".into())), true),
        (tag("rack", Test::Matches(regex("^$"))), true),
    ] {
        assert_eq!(predicate.accepts_series(&s), Some(want), "{predicate:?}");
        assert_eq!(predicate.accepts(&s, "any"), want, "{predicate:?}");
    }
}

#[test]
fn an_unknown_field_leaves_undecided_only_what_depends_on_it() {
    let s = series();
    let field = Predicate::Compare(Subject::Field, eq("v"));
    let (yes, no) = (Predicate::Constant(true), Predicate::Constant(false));
    let of = |p: &Predicate| {
        if matches!(p, Predicate::Constant(b) if *b) {
            Some(true)
        } else if matches!(p, Predicate::Constant(_)) {
            Some(false)
        } else {
            None
        }
    };
    for a in [&yes, &no, &field] {
        assert_eq!(Predicate::Not(Box::new(a.clone())).accepts_series(&s), of(a).map(|b| !b));
        for b in [&yes, &no, &field] {
            let and = match (of(a), of(b)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            };
            let or = match (of(a), of(b)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
            let parts = || vec![a.clone(), b.clone()];
            assert_eq!(Predicate::And(parts()).accepts_series(&s), and, "{a:?} and {b:?}");
            assert_eq!(Predicate::Or(parts()).accepts_series(&s), or, "{a:?} or {b:?}");
            for name in ["v", "w"] {
                let is = |p: &Predicate| of(p).unwrap_or(name == "v");
                assert_eq!(Predicate::And(parts()).accepts(&s, name), is(a) && is(b));
                assert_eq!(Predicate::Or(parts()).accepts(&s, name), is(a) || is(b));
            }
        }
    }
    assert_eq!(Predicate::And(vec![]).accepts_series(&s), Some(true));
    assert_eq!(Predicate::Or(vec![]).accepts_series(&s), Some(false));
}

#[test]
fn and_does_not_nest() {
    let p = || tag("host", eq("a1"));
    assert!(matches!(Predicate::TRUE.and(p()), Predicate::Compare(..)));
    assert!(matches!(p().and(Predicate::TRUE), Predicate::Compare(..)));
    let Predicate::And(parts) = p().and(p()).and(p().and(p())).and(p()) else { panic!("an And") };
    assert_eq!(parts.len(), 5);
    assert!(parts.iter().all(|part| matches!(part, Predicate::Compare(..))));
}
