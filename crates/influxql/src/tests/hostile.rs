//! No text and no parameters cost more than they may: no panic, no deep recursion, no minutes, no gigabytes. Errors name a
//! place inside the text.

use proptest::prelude::*;

use super::generate::statement;
use crate::{Param, ParseError, parse, parse_expression};

/// Checks that an error's place is in the text. The end of the text counts as up to two characters.
fn check_place(text: &str, error: &ParseError) -> Result<(), TestCaseError> {
    if let ParseError::Unexpected { position, .. } | ParseError::At { position, .. } = error {
        let lines = text.replace("\r\n", "\n").replace('\r', "\n");
        let line = lines.split('\n').nth(position.line);
        let inside = line.is_some_and(|line| position.character <= line.chars().count() + 2);
        prop_assert!(inside, "{text:?}: {error}");
    }
    Ok(())
}

/// What is done to a text.
#[derive(Debug, Clone)]
enum Change {
    Delete(usize, usize),
    Double(usize, usize),
    Swap(usize, usize, usize),
    Insert(usize, String),
    Nest(usize, &'static str, &'static str, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let pieces = vec![
        "(",
        ")",
        ",",
        "'",
        "\"",
        "\\",
        "/",
        "/*",
        "*/",
        "--",
        "\n",
        "\r",
        ";",
        ".",
        "..",
        ":",
        "::",
        "$",
        "$a",
        "-",
        "+",
        "=~ ",
        "!",
        "*",
        " SELECT ",
        " FROM ",
        " WHERE ",
        " GROUP BY ",
        " fill(",
        " tz('",
        " time(",
        " INF ",
        "1.",
        ".5",
        "1e9",
        "µ",
        "99999999999999999999",
        "-9223372036854775808",
        "9223372036854775807w",
        "1h1",
        "\u{0}",
        "é",
        "\u{2028}",
        "/[/",
        "/a{9}{9}/",
    ];
    let nests = vec![("(", ")"), ("f(", ")"), ("-(", ")"), ("(SELECT v FROM ", ")"), ("distinct(", ")")];
    let place = || 0..4_000_usize;
    prop_oneof![
        (place(), 1..20_usize).prop_map(|(at, len)| Change::Delete(at, len)),
        (place(), 1..40_usize).prop_map(|(at, len)| Change::Double(at, len)),
        (place(), place(), 1..20_usize).prop_map(|(a, b, len)| Change::Swap(a, b, len)),
        (place(), proptest::sample::select(pieces))
            .prop_map(|(at, piece)| Change::Insert(at, piece.to_owned())),
        (place(), any::<char>()).prop_map(|(at, ch)| Change::Insert(at, ch.to_string())),
        (place(), 1..400_usize).prop_map(|(at, len)| Change::Insert(at, "9".repeat(len))),
        (place(), proptest::sample::select(nests), 1..300_usize)
            .prop_map(|(at, (open, close), times)| Change::Nest(at, open, close, times)),
    ]
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for change in changes {
        let at = |place: usize| place % (chars.len() + 1);
        let part = |place: usize, len: usize| at(place)..(at(place) + len).min(chars.len());
        match change {
            Change::Delete(place, len) => drop(chars.drain(part(*place, *len))),
            Change::Double(place, len) => {
                let range = part(*place, *len);
                let copy = chars[range.clone()].to_vec();
                chars.splice(range.start..range.start, copy);
            }
            Change::Swap(a, b, len) => {
                let moved: Vec<_> = chars.drain(part(*a, *len)).collect();
                let to = b % (chars.len() + 1);
                chars.splice(to..to, moved);
            }
            Change::Insert(place, text) => {
                let to = at(*place);
                chars.splice(to..to, text.chars());
            }
            Change::Nest(place, open, close, times) => {
                let range = part(*place, 1);
                let inside: String = chars[range.clone()].iter().collect();
                let nested = format!("{}{inside}{}", open.repeat(*times), close.repeat(*times));
                chars.splice(range, nested.chars());
            }
        }
    }
    chars.into_iter().collect()
}

fn param() -> impl Strategy<Value = Param> {
    let text = || {
        prop_oneof![
            any::<String>(),
            Just("9999999999w".to_owned()),
            Just("-5m".to_owned()),
            Just("a(".to_owned())
        ]
    };
    prop_oneof![
        text().prop_map(Param::String),
        any::<f64>().prop_map(Param::Float),
        prop_oneof![Just(i64::MIN), any::<i64>()].prop_map(Param::Integer),
        any::<bool>().prop_map(Param::Boolean),
        text().prop_map(Param::Identifier),
        text().prop_map(Param::Regex),
        text().prop_map(Param::Duration),
        text().prop_map(Param::Unusable),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn changed_statements_are_answered(statement in statement(), changes in prop::collection::vec(change(), 1..6)) {
        let text = changed(&statement.to_string(), &changes);
        match parse(&text, &[]) {
            Ok(statements) => for statement in statements {
                let printed = statement.to_string();
                if !printed.contains("PASSWORD") {
                    prop_assert_eq!(parse(&printed, &[]), Ok(vec![statement]), "{}", text);
                }
            },
            Err(error) => check_place(&text, &error)?,
        }
        drop(crate::redact(&text, &[]));
    }

    #[test]
    fn any_parameters_are_answered(params in prop::collection::vec(param(), 1..5), places in prop::collection::vec(0..9_usize, 1..6)) {
        let pieces = [
            "$p0", "-$p1", "+$p2", "$p3 + 1", "f($p0, $p1)", "* / $p0", "\"x\" =~ $p1", "GROUP BY $p2 fill($p3)", "LIMIT $p0 OFFSET $p1",
        ];
        let params: Vec<_> = params.into_iter().enumerate().map(|(i, value)| (format!("p{i}"), value)).collect();
        let part = |i: usize| places.get(i).map_or("", |place| pieces[*place]);
        for text in [
            format!("SELECT {} FROM {} WHERE {} {} tz($p0)", part(0), part(1), part(2), part(3)),
            format!("SHOW TAG VALUES FROM $p0 WITH KEY IN ($p1, $p2) WHERE {}", part(0)),
            format!("CREATE DATABASE $p0 WITH DURATION $p1 REPLICATION $p2 NAME $p3; KILL QUERY $p0 ON $p1; DROP SHARD $p2; {}", part(1)),
        ] {
            if let Err(error) = parse(&text, &params) {
                check_place(&text, &error)?;
            }
            drop(crate::redact(&text, &params));
        }
    }

    #[test]
    fn any_time_is_answered(text in "[0-9]{0,4}[-0-9TZz:. +]{0,30}\\PC{0,2}") {
        for zone in [None, Some(jiff::tz::TimeZone::get("America/New_York").unwrap())] {
            let _time = crate::timeliteral::parse(&text, zone.as_ref());
        }
        let _range = crate::timeliteral::out_of_range(&text);
        if let Ok(nanos) = crate::duration::parse(&text) {
            prop_assert_eq!(crate::duration::parse(&crate::duration::format(nanos)), Ok(nanos));
        }
    }
}

#[test]
fn the_one_integer_without_an_opposite_may_be_a_parameter() {
    let params = [("n".to_owned(), Param::Integer(i64::MIN))];
    assert_eq!(parse_expression("-$n", &params).unwrap().to_string(), "9223372036854775808");
    assert_eq!(parse_expression("+$n", &params).unwrap().to_string(), "-9223372036854775808");
}

#[test]
fn chains_inside_chains_are_bounded_as_one() {
    // Each level is allowed by itself; together they would be 200,000 operations below one another.
    let mut text = "v".to_owned();
    for _ in 0..98 {
        text = format!("({text}{})", " + 1".repeat(1_999));
    }
    let error = parse(&format!("SELECT {text} FROM m"), &[]).unwrap_err();
    assert!(error.to_string().contains("operations in one expression"), "{error}");
    let calls = text.replace('(', "f(");
    assert!(parse(&format!("SELECT v FROM m WHERE {calls} > 0"), &[]).is_err());
    // Side by side they stay allowed.
    let wide = vec![format!("(v{})", " + 1".repeat(1_900)); 50].join(" OR ");
    assert!(parse(&format!("SELECT v FROM m WHERE {wide}"), &[]).is_ok());
}

#[test]
fn a_long_value_is_not_copied_without_end() {
    let params = [("s".to_owned(), Param::String("x".repeat(1 << 20)))];
    let text = format!("SELECT v FROM m WHERE {}a = 'b'", "a = $s OR ".repeat(1_000));
    let error = parse(&text, &params).unwrap_err().to_string();
    assert!(error.starts_with("missing parameter: values take more than"), "{error}");
    assert!(parse("SELECT v FROM m WHERE a = $s OR b = $s", &params).is_ok());
}

#[test]
fn regular_expressions_are_bounded_together() {
    let select = |count: usize, pattern: &str| {
        parse(&format!("SELECT {} FROM m", vec![pattern; count].join(", ")), &[])
    };
    assert!(select(1_000, "/a/").is_ok());
    let error = select(1_001, "/a/").unwrap_err().to_string();
    assert!(error.ends_with("limit is 1000 regular expressions (max-influxql-regexes)"), "{error}");
    // Each takes megabytes; a text of 1 MB could hold a hundred thousand.
    assert!(select(64, r"/\pL{20}/").is_ok());
    let error = select(65, r"/\pL{20}/").unwrap_err().to_string();
    assert!(error.starts_with("error parsing regexp: expression too large"), "{error}");
}
