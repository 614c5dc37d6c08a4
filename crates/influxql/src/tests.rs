//! The parser against InfluxDB's own answers: error texts, canonical texts, and any input at all.

use proptest::prelude::*;

use crate::{Param, Statement, parse, parse_expression};

mod errors;
mod generate;
mod hostile;
mod roundtrip;

fn error(text: &str) -> String {
    parse(text, &[]).expect_err(text).to_string()
}

/// Parses, prints, parses again: the tree must be the same. Answers the print.
fn canonical(text: &str) -> String {
    let first = parse(text, &[]).unwrap_or_else(|e| panic!("{text}: {e}"));
    let printed = first.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if !printed.contains("[REDACTED]") {
        let second = parse(&printed, &[]).unwrap_or_else(|e| panic!("{printed}: {e}"));
        assert_eq!(first, second, "{text} -> {printed}");
    }
    printed
}

#[test]
fn errors_are_those_of_influxdb() {
    // Every text was answered by InfluxDB itself.
    let table = [
        (
            "blah",
            "found blah, expected SELECT, DELETE, SHOW, CREATE, DROP, EXPLAIN, GRANT, REVOKE, ALTER, SET, KILL at line 1, char 1",
        ),
        (
            "SHOW",
            "found EOF, expected CONTINUOUS, DATABASES, DIAGNOSTICS, FIELD, GRANTS, MEASUREMENT, MEASUREMENTS, QUERIES, RETENTION, SERIES, SHARD, SHARDS, STATS, SUBSCRIPTIONS, TAG, USERS at line 1, char 6",
        ),
        (
            "CREATE",
            "found EOF, expected CONTINUOUS, DATABASE, USER, RETENTION, SUBSCRIPTION at line 1, char 8",
        ),
        (
            "DROP",
            "found EOF, expected CONTINUOUS, DATABASE, MEASUREMENT, RETENTION, SERIES, SHARD, SUBSCRIPTION, USER at line 1, char 6",
        ),
        ("SHOW FIELD", "found EOF, expected KEY, KEYS at line 1, char 12"),
        ("SHOW TAG", "found EOF, expected KEY, KEYS, VALUES at line 1, char 10"),
        ("SHOW MEASUREMENT", "found EOF, expected EXACT, CARDINALITY at line 1, char 18"),
        ("GRANT", "found EOF, expected READ, WRITE, ALL [PRIVILEGES] at line 1, char 7"),
        ("SELECT", "found EOF, expected identifier, string, number, bool at line 1, char 8"),
        ("SELECT a FROM", "found EOF, expected identifier at line 1, char 15"),
        (
            "SELECT a FROM m WHERE x=",
            "found EOF, expected identifier, string, number, bool at line 1, char 25",
        ),
        ("SELECT a FROM m LIMIT x", "found x, expected integer at line 1, char 23"),
        ("SELECT mean(a FROM m", "found FROM, expected ) at line 1, char 15"),
        ("SELECT a FROM m GROUP BY time(1h", "found EOF, expected ) at line 1, char 33"),
        ("SELECT a FROM m WHERE x =~ 5", "found 5, expected regex at line 1, char 28"),
        ("SELECT a FROM m WHERE x =~ /[/", "error parsing regexp: missing closing ]: `[` at line 1, char 27"),
        ("SELECT a FROM m WHERE x =~ /a", "bad regex:  at line 1, char 27"),
        (
            "SELECT \"abc FROM m",
            "found abc FROM m, expected identifier, string, number, bool at line 1, char 7",
        ),
        ("SELECT a FROM \"m", "found m, expected identifier at line 1, char 14"),
        (
            "SELECT 'abc FROM m",
            "found abc FROM m, expected identifier, string, number, bool at line 1, char 7",
        ),
        ("SELECT a FROM m fill(x)", "expected number argument in fill()"),
        ("SELECT a FROM m ORDER BY x", "only ORDER BY time supported at this time"),
        ("SELECT a == 1 FROM m", "found =, expected identifier, string, number, bool at line 1, char 11"),
        (
            "SELECT a = 1 FROM m",
            "invalid operator = in SELECT clause at line 1, char 8; operator is intended for WHERE clause",
        ),
        ("SELECT a FROM m foo", "found foo, expected ; at line 1, char 17"),
        ("SHOW TAG VALUES", "found EOF, expected WITH at line 1, char 17"),
        ("SHOW TAG VALUES WITH KEY", "found EOF, expected IN, =, =~ at line 1, char 26"),
        ("SHOW TAG VALUES WITH KEY =", "found EOF, expected identifier at line 1, char 27"),
        (
            "CREATE DATABASE x WITH",
            "found EOF, expected DURATION, NAME, REPLICATION, SHARD at line 1, char 24",
        ),
        ("SELECT a FROM m WHERE time > 5x", "invalid duration"),
        ("SELECT $ FROM m", "empty bound parameter"),
        ("SELECT $a FROM m", "missing parameter: a"),
        (
            "SELECT a::foo FROM m",
            "found foo, expected float, integer, unsigned, string, boolean, field, tag at line 1, char 11",
        ),
        ("SELECT a FROM a.b.c.d", "too many segments in \"a\".\"b\".\"c\".d at line 1, char 1"),
        ("CREATE RETENTION POLICY a ON b DURATION 1h", "found EOF, expected REPLICATION at line 1, char 43"),
        ("SELECT a FROM m tz('x')", "unable to find time zone x"),
        ("SELECT a FROM m WHERE a ! 1", "found !, expected ; at line 1, char 25"),
        ("SELECT -'a' FROM m", "found a, expected identifier, number, duration, ( at line 1, char 8"),
        (
            "SELECT a FROM m WHERE x = 'a\\q'",
            "found \\q, expected identifier, string, number, bool at line 1, char 30",
        ),
        ("SELECT 99999999999999999999 FROM m", "unable to parse integer at line 1, char 8"),
    ];
    for (text, expected) in table {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn statements_print_canonically() {
    let table = [
        (
            "select mean(v) from m where time>now()-1h group by time(10s),host fill(none) order by time desc limit 3 offset 1 slimit 2 soffset 4 tz('Europe/Berlin')",
            "SELECT mean(v) FROM m WHERE time > now() - 1h GROUP BY time(10s), host fill(none) ORDER BY time DESC LIMIT 3 OFFSET 1 SLIMIT 2 SOFFSET 4 TZ('Europe/Berlin')",
        ),
        (
            "SELECT /x.*/, *::tag, a::float AS \"the a\" INTO db.rp.:MEASUREMENT FROM db..cpu, rp./c/, (SELECT v FROM m)",
            "SELECT /x.*/, *::tag, a::float AS \"the a\" INTO db.rp.:MEASUREMENT FROM db..cpu, rp./c/, (SELECT v FROM m)",
        ),
        (
            "SELECT a+b*c-(d/e) FROM m -- comment\nWHERE /* x */ a = 'it\\'s' AND \"b c\" !~ /x\\/y/",
            "SELECT a + b * c - (d / e) FROM m WHERE a = 'it\\'s' AND \"b c\" !~ /x\\/y/",
        ),
        (
            "SELECT -a, -1, -1.5, -1h, +3, 18446744073709551615, -9223372036854775808 FROM m",
            "SELECT -1 * a, -1, -1.500, -1h, 3, 18446744073709551615, -9223372036854775808 FROM m",
        ),
        (
            "SELECT count(distinct v), DISTINCT v, top(v, host, 3) FROM m",
            "SELECT count(DISTINCT v), DISTINCT v, top(v, host, 3) FROM m",
        ),
        ("EXPLAIN ANALYZE SELECT v FROM m", "EXPLAIN ANALYZE SELECT v FROM m"),
        ("DELETE FROM m WHERE time < 10", "DELETE FROM m WHERE time < 10"),
        ("DROP SERIES WHERE host = 'a'", "DROP SERIES WHERE host = 'a'"),
        (
            "SHOW MEASUREMENTS ON *.* WITH MEASUREMENT =~ /c/ WHERE a = 'b' LIMIT 5",
            "SHOW MEASUREMENTS ON *.* WITH MEASUREMENT =~ /c/ WHERE a = 'b' LIMIT 5",
        ),
        (
            "SHOW TAG VALUES ON db FROM cpu WITH KEY IN (host, \"a b\") WHERE x = 'y' LIMIT 1",
            "SHOW TAG VALUES ON db FROM cpu WITH KEY IN (host, \"a b\") WHERE x = 'y' LIMIT 1",
        ),
        ("SHOW TAG KEYS WITH KEY !~ /x/", "SHOW TAG KEYS WITH KEY !~ /x/"),
        ("SHOW FIELD KEYS ON db FROM cpu", "SHOW FIELD KEYS ON db FROM cpu"),
        ("SHOW SERIES EXACT CARDINALITY ON db FROM cpu", "SHOW SERIES EXACT CARDINALITY ON db FROM cpu"),
        ("SHOW TAG VALUES CARDINALITY WITH KEY = host", "SHOW TAG VALUES CARDINALITY WITH KEY = host"),
        (
            "SHOW RETENTION POLICIES ON db; SHOW DATABASES;; SHOW SHARD GROUPS",
            "SHOW RETENTION POLICIES ON db; SHOW DATABASES; SHOW SHARD GROUPS",
        ),
        (
            "CREATE DATABASE db WITH DURATION 1w REPLICATION 1 SHARD DURATION 1h NAME rp",
            "CREATE DATABASE db WITH DURATION 1w REPLICATION 1 SHARD DURATION 1h NAME rp",
        ),
        (
            "CREATE RETENTION POLICY rp ON db DURATION INF REPLICATION 1 DEFAULT",
            "CREATE RETENTION POLICY rp ON db DURATION INF REPLICATION 1 DEFAULT",
        ),
        (
            "ALTER RETENTION POLICY default ON db DURATION 3d",
            "ALTER RETENTION POLICY \"default\" ON db DURATION 3d",
        ),
        (
            "CREATE CONTINUOUS QUERY cq ON db RESAMPLE EVERY 1m FOR 1h BEGIN SELECT mean(v) INTO x FROM m GROUP BY time(5m) END",
            "CREATE CONTINUOUS QUERY cq ON db RESAMPLE EVERY 1m FOR 1h BEGIN SELECT mean(v) INTO x FROM m GROUP BY time(5m) END",
        ),
        (
            "CREATE SUBSCRIPTION s ON db.rp DESTINATIONS ALL 'a', 'b'",
            "CREATE SUBSCRIPTION s ON db.rp DESTINATIONS ALL 'a', 'b'",
        ),
        ("GRANT ALL TO u; REVOKE READ ON db FROM u", "GRANT ALL PRIVILEGES TO u; REVOKE READ ON db FROM u"),
        (
            "CREATE USER u WITH PASSWORD 'secret' WITH ALL PRIVILEGES",
            "CREATE USER u WITH PASSWORD [REDACTED] WITH ALL PRIVILEGES",
        ),
        (
            "DROP RETENTION POLICY rp ON db; DROP SHARD 3; KILL QUERY 4 ON h",
            "DROP RETENTION POLICY rp ON db; DROP SHARD 3; KILL QUERY 4 ON h",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(canonical(text), expected, "{text}");
    }
}

#[test]
fn precedence_follows_influxdb() {
    let shape = |text: &str| format!("{:?}", parse_expression(text, &[]).unwrap());
    assert_eq!(shape("a OR b AND c = 1"), shape("a OR b AND c = 1"));
    let crate::Expr::Binary(top) = parse_expression("a OR b AND c = 1 + 2 * 3", &[]).unwrap() else {
        panic!()
    };
    assert_eq!(top.op.text(), "OR");
    let crate::Expr::Binary(and) = &top.rhs else { panic!() };
    assert_eq!(and.op.text(), "AND");
    let crate::Expr::Binary(eq) = &and.rhs else { panic!() };
    assert_eq!((eq.op.text(), eq.rhs.to_string().as_str()), ("=", "1 + 2 * 3"));
}

#[test]
fn parameters_take_the_place_of_literals() {
    let params = [
        ("host".to_owned(), Param::String("a'b".to_owned())),
        ("n".to_owned(), Param::Integer(7)),
        ("re".to_owned(), Param::Regex("x.*".to_owned())),
        ("field".to_owned(), Param::Identifier("v v".to_owned())),
    ];
    let text = "SELECT $field FROM m WHERE host = $host AND v > $n AND h =~ $re";
    let parsed = parse(text, &params).unwrap();
    assert_eq!(parsed[0].to_string(), "SELECT \"v v\" FROM m WHERE host = 'a\\'b' AND v > 7 AND h =~ /x.*/");
}

#[test]
fn parameters_without_a_value_are_told_to_who_uses_them() {
    let params = [
        ("no".to_owned(), Param::Unusable("it is a list".to_owned())),
        ("d".to_owned(), Param::Duration("x".to_owned())),
    ];
    let error = |text| parse(text, &params).unwrap_err().to_string();
    assert!(error("SELECT v FROM m WHERE v > $no").ends_with("missing parameter: it is a list"));
    assert!(error("SELECT v FROM m WHERE h =~ $no").contains("found it is a list, expected regex at line 1"));
    assert!(error("SELECT v FROM m WHERE time > $d").ends_with("invalid duration"));
    assert!(parse("SELECT v FROM m", &params).is_ok());
}

#[test]
fn nesting_and_length_are_bounded() {
    let deep = format!("SELECT {}v{} FROM m", "(".repeat(5_000), ")".repeat(5_000));
    assert!(error(&deep).contains("too deeply nested"));
    let queries = format!("{}SELECT v FROM m", "SELECT v FROM (".repeat(5_000));
    assert!(error(&queries).contains("too deeply nested"));
    let signs = format!("SELECT {}v FROM m", "-(".repeat(5_000));
    assert!(error(&signs).contains("too deeply nested"));
    let long = format!("SELECT v FROM m WHERE {}b = 1", "a = 1 OR ".repeat(100_000));
    assert!(error(&long).contains("operations in one expression"));
    let fine = format!("SELECT v FROM m WHERE {}b = 1", "a = 1 OR ".repeat(500));
    canonical(&fine);
}

#[test]
fn writing_statements_are_known() {
    let writes = |text: &str| parse(text, &[]).unwrap().iter().all(Statement::writes);
    assert!(writes("CREATE DATABASE a; SELECT v INTO x FROM m; DROP SERIES FROM m; KILL QUERY 3"));
    assert!(!writes("SELECT v FROM m") && !writes("SHOW DATABASES") && !writes("EXPLAIN SELECT v FROM m"));
}

#[test]
fn durations_as_influxdb_and_as_go_print_them() {
    for (nanos, ours, go) in [
        (0, "0s", "0s"),
        (1, "1ns", "1ns"),
        (1_500, "1500ns", "1.5µs"),
        (604_800_000_000_000, "1w", "168h0m0s"),
        (90_000_000_000, "90s", "1m30s"),
        (1_500_000_000, "1500ms", "1.5s"),
    ] {
        assert_eq!(crate::duration::format(nanos), ours);
        assert_eq!(crate::duration::format_go(nanos), go);
        assert_eq!(crate::duration::parse(ours), Ok(nanos));
    }
    assert!(crate::duration::parse("99999999999999w").is_err());
}

#[test]
fn times_in_all_their_forms() {
    let ns = |text: &str| crate::timeliteral::parse(text, None).map(|t| t.0);
    assert_eq!(ns("1970-01-02"), Some(86_400_000_000_000));
    assert_eq!(ns("1970-01-01 00:00:01.5"), Some(1_500_000_000));
    assert_eq!(ns("1970-01-01T00:00:01Z"), Some(1_000_000_000));
    assert_eq!(ns("1970-01-01T01:00:01+01:00"), Some(1_000_000_000));
    assert_eq!(ns("1970-13-01"), None);
    assert_eq!(ns("host-a"), None);
    let zone = jiff::tz::TimeZone::get("America/Los_Angeles").unwrap();
    assert_eq!(
        crate::timeliteral::parse("1970-01-01", Some(&zone)).map(|t| t.0),
        Some(8 * 3_600_000_000_000)
    );
}

proptest! {
    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        drop(parse(&text, &[]));
        prop_assert!(crate::timeliteral::parse(&text, None).is_none() || text.len() >= 10);
    }

    #[test]
    fn any_words_are_answered_and_print_back(words in proptest::collection::vec(prop_oneof![
        Just("SELECT"), Just("v"), Just("FROM"), Just("m"), Just("WHERE"), Just("("), Just(")"), Just(","),
        Just("*"), Just("/x/"), Just("="), Just("'s'"), Just("1h"), Just("GROUP"), Just("BY"), Just("time"),
        Just("-"), Just("+"), Just("5"), Just("1.5"), Just("::tag"), Just("."), Just("\"q q\""), Just("AND"),
        Just("=~"), Just("LIMIT"), Just("fill(0)"), Just("SHOW"), Just("TAG"), Just("KEYS"), Just(";"),
        Just("mean("), Just("$"), Just("\\"), Just("'"), Just("\""), Just("/*"), Just("--"), Just("\n"),
    ], 0..14)) {
        let text = words.join(" ");
        if parse(&text, &[]).is_ok() {
            canonical(&text);
        }
        let select = format!("SELECT {text} FROM m");
        if parse(&select, &[]).is_ok() {
            canonical(&select);
        }
    }
}
