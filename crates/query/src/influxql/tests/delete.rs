//! What deleting statements ask for; the answers are those of InfluxDB 1.6.7, whose errors name a shard in front.

use super::Fixture;
use crate::testing::bucket_id;

fn fixture() -> Fixture {
    Fixture::new("m,h=a,z=1 f=1,g=\"x\" 10\nm,h=b f=2 20\nm f=3 30\nn,h=a f=1 10\nn,q=r k=1 40")
}

/// The answer, and what was asked to be changed.
fn run(text: &str) -> (String, Vec<String>) {
    let fixture = fixture();
    let answer = fixture.body(text);
    let asked = std::mem::take(&mut *fixture.changes.0.lock().unwrap());
    (answer, asked)
}

#[track_caller]
fn asks(text: &str, expected: &[&str]) {
    assert_eq!(
        run(text),
        (
            "{\"results\":[{\"statement_id\":0}]}".to_owned(),
            expected.iter().map(|e| (*e).to_owned()).collect()
        )
    );
}

#[track_caller]
fn fails(text: &str, error: &str) {
    let (answer, asked) = run(text);
    let expected = format!("{{\"results\":[{{\"statement_id\":0,\"error\":{}}}]}}", super::json(error));
    assert_eq!((answer, asked), (expected, Vec::new()), "{text}");
}

const M: &str = "Compare(Measurement, Eq(\"m\"))";

#[test]
fn delete_by_measurement_tags_and_time() {
    asks("DELETE FROM m", &[&format!("1 all {M}")]);
    asks("DELETE FROM m WHERE time < 15", &[&format!("1 {}..15 {M}", i64::MIN)]);
    asks("DELETE FROM m WHERE time >= 10 AND time <= 20", &[&format!("1 10..21 {M}")]);
    asks("DELETE WHERE time = 10", &["1 10..11 Constant(true)"]);
    let host = "Compare(Tag(\"h\"), Eq(\"a\"))";
    asks("DELETE FROM m WHERE h = 'a'", &[&format!("1 all And([{M}, {host}])")]);
    asks("DELETE FROM m WHERE 'a' = h AND (time > 5)", &[&format!("1 6..{} And([{M}, {host}])", i64::MAX)]);
    asks("DELETE WHERE h::tag = 'a'", &[&format!("1 all {host}")]);
    asks(
        "DELETE FROM m, n",
        &["1 all Or([Compare(Measurement, Eq(\"m\")), Compare(Measurement, Eq(\"n\"))])"],
    );
    asks("DELETE FROM autogen.m", &[&format!("1 all {M}")]);
    asks("DELETE WHERE _name = 'm'", &[&format!("1 all {M}")]);
    asks(
        "DELETE FROM m WHERE nope = 'x' OR h != ''",
        &[&format!(
            "1 all And([{M}, Or([Compare(Tag(\"nope\"), Eq(\"x\")), Compare(Tag(\"h\"), NotEq(\"\"))])])"
        )],
    );
    asks("DROP SERIES FROM m WHERE h = 'a'", &[&format!("1 all And([{M}, {host}])")]);
    asks("DROP MEASUREMENT m", &[&format!("1 all {M}")]);
    asks("DROP DATABASE nodb", &["drop nodb"]);
    // What does not exist is gone already.
    asks("DELETE FROM nothere WHERE f = 1", &[]);
    asks("DROP SERIES FROM nothere", &[]);
    let (_, asked) = run("DELETE FROM /^m|n$/ WHERE h =~ /b/");
    assert_eq!(asked.len(), 1);
    assert!(asked[0].contains("Matches(Regex(\"^m|n$\"))"), "{asked:?}");
}

#[test]
fn what_cannot_be_deleted_by() {
    let fields = "fields not supported in WHERE clause during deletion";
    for condition in [
        "f = 1",
        "h = 'a' AND f = 1",
        "h = 'a' OR f = 1",
        "g = 'x'",
        "g =~ /x/",
        "f::field = 1",
        "h = 1",
        "nope = 1",
        "h + 'a' = 'ba'",
        "f(h) = 1",
    ] {
        fails(&format!("DELETE FROM m WHERE {condition}"), fields);
        fails(&format!("DROP SERIES FROM m WHERE {condition}"), fields);
    }
    fails("DELETE WHERE k = 1", fields);
    fails("DROP SERIES FROM m WHERE time > 5", "DROP SERIES doesn't support time in WHERE clause");
    fails("DELETE FROM m WHERE time != 10", "invalid time comparison operator: !=");
    fails("DELETE FROM m WHERE time", "invalid condition expression: time");
    fails("DELETE FROM m WHERE h = 'a' AND f", "invalid condition expression: f");
    fails("DELETE FROM nothere.m", "retention policy not found: nothere");
    assert!(run("DROP SERIES").0.contains("found EOF, expected FROM, WHERE at line 1, char 13"));
    assert!(run("DELETE FROM d..m").0.contains("database not supported at line 1, char 1"));
}

#[test]
fn who_may_not_write_is_refused_before_anything_runs() {
    let mut fixture = fixture();
    fixture.writable = Some(Vec::new());
    for statement in ["DELETE FROM m", "DROP SERIES FROM m", "DROP MEASUREMENT m"] {
        let refused = fixture.run(&format!("SHOW DATABASES; {statement}")).unwrap_err();
        let expected = format!("not authorized to execute statement '{statement}', requires WRITE on d");
        assert_eq!(refused.to_string(), expected);
    }
    fixture.run("DROP DATABASE d").unwrap_err();
    assert!(fixture.changes.0.lock().unwrap().is_empty());
    fixture.writable = Some(vec![bucket_id(1)]);
    fixture.run("DELETE FROM m; DROP DATABASE d").unwrap();
    assert_eq!(fixture.changes.0.lock().unwrap().len(), 2);
}
