//! Databases and policies as mappings of buckets, rights, and statements that change things.

use super::{Fixture, Item, body};
use crate::testing::{MEMORY, Points, bucket_id, org};

#[test]
fn databases_are_mappings_and_names_of_buckets_without_system_ones() {
    let mut fixture = Fixture::new("m f=1 0\n");
    fixture.catalog = fixture.points.catalog(
        &[
            (1, "plain", None),
            (2, "a/one", Some(3_600_000_000_000)),
            (3, "a/two", None),
            (4, "x", None),
            (9, "_tasks", None),
        ],
        &[("old", "rp", 4)],
    );
    assert_eq!(
        fixture.body("SHOW DATABASES"),
        r#"{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["a"],["old"],["plain"],["x"]]}]}]}"#
    );
    assert_eq!(
        fixture.body("SHOW RETENTION POLICIES ON a"),
        r#"{"results":[{"statement_id":0,"series":[{"columns":["name","duration","shardGroupDuration","replicaN","default"],"values":[["one","1h0m0s","1h0m0s",1,true],["two","0s","168h0m0s",1,false]]}]}]}"#
    );
    assert!(fixture.body("SHOW RETENTION POLICIES ON old").contains(r#"["rp","0s","168h0m0s",1,true]"#));
    assert!(fixture.body("SHOW MEASUREMENTS ON *.*").contains(r#"[["m"]]"#));
}

#[test]
fn names_that_are_missing_have_influxdbs_errors() {
    let fixture = Fixture::new("m f=1 0\n");
    assert!(fixture.body("SELECT f FROM x..m").contains("database not found: x"));
    assert!(fixture.body("SELECT f FROM d.rp.m").contains("retention policy not found: rp"));
    let clock = model::SystemClock::new();
    let context = super::InfluxqlContext {
        catalog: &fixture.catalog,
        source: &fixture.points,
        org: org(),
        database: None,
        retention_policy: None,
        params: &[],
        now: model::Timestamp(0),
        clock: &clock,
        readable: Some(&[]),
        writable: None,
        caller: super::Caller { name: "", is_admin: true },
        read_only: true,
        limits: super::LIMITS,
        memory: &MEMORY,
        cancelled: &|| false,
        effects: &super::Changes::default(),
        profiler: &crate::testing::Unwatched,
    };
    let run = |text: &str| {
        let mut items = Vec::new();
        super::run_influxql(text, &context, &mut |item| {
            items.push(item);
            Ok(())
        })
        .unwrap();
        items
    };
    assert!(body(&run("SELECT f FROM m")).contains("database name required"));
    assert!(body(&run("SELECT f FROM d..m")).contains("database not found: d"), "unreadable is not there");
    assert!(!body(&run("SHOW DATABASES")).contains("\"d\""));
    assert_eq!(
        run("CREATE DATABASE n")[1],
        Item::Warning(
            "deprecated use of 'CREATE DATABASE n' in a read only context, please use a POST request instead"
                .into()
        )
    );
}

#[test]
fn what_comes_later_says_so() {
    let fixture = Fixture::new("m f=1 0\n");
    for (text, what) in [
        ("SHOW SUBSCRIPTIONS", "SHOW SUBSCRIPTIONS"),
        ("DROP SUBSCRIPTION s ON d.autogen", "DROP SUBSCRIPTION"),
    ] {
        assert!(fixture.body(text).contains(&format!("not implemented: {what}")), "{text}");
    }
    fixture.run("CREATE DATABASE n").unwrap();
    assert_eq!(*fixture.changes.0.lock().unwrap(), ["create n"]);
    assert!(fixture.body("CREATE DATABASE \"a/b\"").contains("invalid name"));
    assert_eq!(
        fixture.body("SELECT"),
        r#"{"error":"error parsing query: found EOF, expected identifier, string, number, bool at line 1, char 8"}"#
    );
}

#[test]
fn expired_points_are_invisible_everywhere() {
    let hour = 3_600_000_000_000_i64;
    let mut points = Points::default();
    points.put_lines(bucket_id(1), &format!("old f=1 {hour}\nnew f=1 {hour}\nnew,t=x f=2 {}\n", 5 * hour));
    let catalog = points.catalog(&[(1, "d/autogen", Some(2 * hour))], &[]);
    let fixture = Fixture::over(points, catalog, 6 * hour);
    assert_eq!(
        fixture.body("SELECT f FROM new; SELECT f FROM old; SHOW MEASUREMENTS; SHOW SERIES"),
        format!(
            r#"{{"results":[{{"statement_id":0,"series":[{{"name":"new","columns":["time","f"],"values":[[{},2]]}}]}},{{"statement_id":1}},{{"statement_id":2,"series":[{{"name":"measurements","columns":["name"],"values":[["new"]]}}]}},{{"statement_id":3,"series":[{{"columns":["key"],"values":[["new,t=x"]]}}]}}]}}"#,
            5 * hour
        )
    );
}

#[test]
fn queries_that_run_are_shown_and_ended() {
    let fixture = Fixture::new("m f=1 0\n");
    assert_eq!(
        fixture.body("SHOW QUERIES; KILL QUERY 3"),
        r#"{"results":[{"statement_id":0,"series":[{"columns":["qid","query","database","duration","status"],"values":[[3,"SELECT f FROM m","d","1m1s","killed"],[7,"SHOW QUERIES","d","48µs","running"]]}]},{"statement_id":1}]}"#
    );
    assert_eq!(fixture.body("KILL QUERY 3 ON \"other:8088\""), r#"{"results":[{"statement_id":0}]}"#);
    assert_eq!(*fixture.changes.0.lock().unwrap(), ["kill 3 None", "kill 3 Some(\"other:8088\")"]);
}
