use proptest::prelude::*;

use super::*;

fn tag(key: &str, value: &str) -> Predicate {
    Predicate::Compare(Subject::Tag(key.into()), Test::Eq(value.into()))
}

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn comparisons_of_every_kind() {
    assert_eq!(parse("").unwrap(), Predicate::TRUE);
    assert_eq!(parse("  ").unwrap(), Predicate::TRUE);
    for (text, value) in [
        ("abc=opq", "opq"),
        ("           abc   =         \"opq\"", "opq"),
        ("\"abc\"='opq'", "opq"),
        ("abc=0x1231", "0x1231"),
        ("abc=2d", "2d"),
        ("abc=-5i", "-5i"),
        ("abc= -1221", "-1221"),
        ("abc=1.5", "1.5"),
        ("abc=true", "true"),
        ("abc=server-1.example", "server-1.example"),
        (r#"abc="a \"b\" \\ c""#, r#"a "b" \ c"#),
        ("abc=\"\"", ""),
        ("abc=\"and\"", "and"),
    ] {
        assert_eq!(parse(text).unwrap(), tag("abc", value), "{text}");
    }
    let not = Predicate::Compare(Subject::Tag("a".into()), Test::NotEq("b".into()));
    assert_eq!(parse("a!=b").unwrap(), not);
    let measurement = Predicate::Compare(Subject::Measurement, Test::Eq("m".into()));
    let field = Predicate::Compare(Subject::Field, Test::Eq("f".into()));
    assert_eq!(parse(r#"_measurement="m" AND _field=f"#).unwrap(), Predicate::And(vec![measurement, field]));
}

#[test]
fn and_or_and_parentheses() {
    let [a, b, c] = ["a", "b", "c"].map(|key| tag(key, "1"));
    let and = |parts: &[&Predicate]| Predicate::And(parts.iter().copied().cloned().collect());
    let or = |parts: &[&Predicate]| Predicate::Or(parts.iter().copied().cloned().collect());
    assert_eq!(parse("a=1 and b=1 AND c=1").unwrap(), and(&[&a, &b, &c]));
    assert_eq!(parse("(a=1 and b=1) and (c=1)").unwrap(), and(&[&a, &b, &c]));
    assert_eq!(parse("a=1 or b=1 Or c=1").unwrap(), or(&[&a, &b, &c]));
    assert_eq!(parse("a=1 and (b=1 or c=1)").unwrap(), and(&[&a, &or(&[&b, &c])]));
    assert_eq!(error("a=1 and b=1 or c=1"), "AND and OR side by side need parentheses, at position 12");
}

#[test]
fn errors_in_the_words_of_2x() {
    assert_eq!(error(r#" (t1="v1" and t2="v2") and ("#), "extra ( seen");
    assert_eq!(error(r#" (t1="v1" and t2="v2""#), "extra ( seen");
    assert_eq!(error(r#" (t1="v1" and t2="v2"))"#), "extra ) seen");
    assert_eq!(error("abc>1000"), "invalid operator \">\" at position: 3");
    assert_eq!(error("abc"), "invalid operator \"EOF\" at position: 3");
    assert_eq!(error("abc=~/^payments\\./"), "operator: \"=~\" at position: 3 is not supported yet");
    assert_eq!(error("abc!~/^payments\\./"), "operator: \"!~\" at position: 3 is not supported yet");
    assert_eq!(error("abc="), "bad tag value: \"EOF\", at position 4");
    assert_eq!(error("abc=(1)"), "bad tag value: \"(\", at position 4");
    assert_eq!(error("abc=\"open"), "bad tag value: \"\\\"\", at position 4");
    assert_eq!(error("1a=b"), "bad tag key, at position 0");
    assert_eq!(error("a=b c=d"), "bad logical expression, at position 4");
    assert_eq!(error("a=b and"), "bad logical expression, at position 7");
    assert_eq!(error("and a=b"), "bad logical expression, at position 0");
    assert_eq!(error("_value=5"), "_value cannot be compared in a delete predicate, at position 0");
    assert_eq!(error(&"(".repeat(100)), "more than 16 parentheses inside one another, at position 16");
    let long = format!("a=b AND c=\"{}\"", "d".repeat(1 << 16));
    assert_eq!(error(&long), "more than 65536 bytes of comparisons, at position 8");
    // 7 bytes and 4 that join for each: the log takes what is not refused here.
    let many = |count: usize| vec!["a=b"; count].join(" OR ");
    let most = (1..).find(|count| parse(&many(*count)).is_err()).unwrap() - 1;
    assert!(codec::encode(&parse(&many(most)).unwrap()).is_ok());
    assert_eq!(
        error(&many(most + 1)),
        format!("more than 65536 bytes of comparisons, at position {}", most * 7)
    );
}

#[test]
fn what_is_accepted_can_be_logged() {
    let deepest = format!("{}a=1{}", "(b=2 and (c=3 or ".repeat(8), "))".repeat(8));
    assert!(codec::encode(&parse(&deepest).unwrap()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_text_is_answered(pieces in prop::collection::vec(prop_oneof![
        Just("a".to_owned()), Just("_measurement".to_owned()), Just("_time".to_owned()), Just("=".to_owned()),
        Just("!=".to_owned()), Just("=~".to_owned()), Just("<".to_owned()), Just("\"b c\"".to_owned()),
        Just("'d'".to_owned()), Just("\"".to_owned()), Just("'".to_owned()), Just("\\".to_owned()), Just("(".to_owned()),
        Just(")".to_owned()), Just("((((((((((((((((".to_owned()), Just(" and ".to_owned()), Just(" OR ".to_owned()),
        Just("-1.5".to_owned()), Just("\n".to_owned()), "\\PC{0,4}",
    ], 0..16)) {
        let text = pieces.concat();
        match parse(&text) {
            Ok(predicate) => {
                let encoded = codec::encode(&predicate).unwrap();
                prop_assert_eq!(codec::decode(&encoded).unwrap(), predicate);
            }
            Err(error) => {
                let message = error.to_string();
                let place = message.rsplit_once("position ").and_then(|(_, place)| place.parse::<usize>().ok());
                prop_assert!(place.is_none_or(|place| place <= text.chars().count()), "{text:?}: {message}");
            }
        }
    }
}

#[test]
fn unfinished_texts_are_read_once() {
    for piece in ["\"", "'", "\"\\", "(", "a=b and ", "a=\"", "\u{e9}"] {
        let text = piece.repeat((1 << 20) / piece.len());
        assert!(parse(&text).is_err(), "{piece}");
    }
}
