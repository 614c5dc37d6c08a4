//! Databases and policies as mappings of buckets, rights, and statements that change things.

use model::{FieldValue, FrameColumn};

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
        writable: Some(&[]),
        caller: super::Caller { name: "", is_admin: true, may_create: true },
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
    for text in [
        "SELECT f FROM d..m",
        "SELECT f FROM (SELECT f FROM d..m)",
        "EXPLAIN SELECT f FROM d..m",
        "SHOW MEASUREMENTS ON d",
        "SHOW RETENTION POLICIES ON d",
        "SHOW TAG KEYS FROM d..m",
    ] {
        let refused = super::run_influxql(text, &context, &mut |_| Ok(())).unwrap_err().to_string();
        assert!(refused.starts_with("not authorized to execute statement '"), "{refused}");
        assert!(refused.ends_with("', requires READ on d"), "{refused}");
    }
    let of_d = super::InfluxqlContext { database: Some("d"), ..context };
    let refused = super::run_influxql("SHOW CONTINUOUS QUERIES", &of_d, &mut |_| Ok(())).unwrap_err();
    assert!(refused.to_string().ends_with("requires READ on d"), "{refused}");
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
    for name in ["a/b", "a\\\\b", ".", "..", "", "a\tb"] {
        assert!(fixture.body(&format!("CREATE DATABASE \"{name}\"")).contains("invalid name"), "{name}");
        let policy = format!("CREATE RETENTION POLICY \"{name}\" ON n DURATION 1d REPLICATION 1");
        assert!(fixture.body(&policy).contains("invalid name"), "{name}");
        // An empty name is none.
        let named = fixture.body(&format!("CREATE DATABASE n WITH NAME \"{name}\""));
        assert_eq!(named.contains("invalid name"), !name.is_empty(), "{name}");
    }
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

/// The rows of an answer's series, by series.
fn rows(fixture: &Fixture, text: &str) -> Vec<(String, Vec<String>)> {
    let items = fixture.run(text).unwrap();
    let of_series = |item: &Item| match item {
        Item::Series(series) => {
            let row = |at: usize| {
                let text = |column: &FrameColumn| match column.get(at) {
                    Some(FieldValue::String(text)) => Some(text),
                    _ => None,
                };
                series.frame.columns.iter().filter_map(text).collect::<Vec<_>>().join(" ")
            };
            Some((series.name.to_string(), (0..series.frame.rows).map(row).collect()))
        }
        _ => None,
    };
    items.iter().filter_map(of_series).collect()
}

#[test]
fn lists_of_names_are_of_all_policies_of_a_database() {
    let mut points = Points::default();
    points.put_lines(bucket_id(1), "m,a=1,b=x f=1 0\nonly0,t=1 f=1 0\n");
    points.put_lines(bucket_id(2), "m,b=y,c=3 f=1 0\nonly1,u=1 f=1 0\n");
    let catalog = points.catalog(&[(1, "d/autogen", None), (2, "d/rp1", None), (3, "e/autogen", None)], &[]);
    let fixture = Fixture::over(points, catalog, 1_000_000_000_000);
    let list = |text: &str| {
        let all = rows(&fixture, text).into_iter();
        all.map(|(name, rows)| format!("{name}: {}", rows.join(", "))).collect::<Vec<_>>()
    };
    assert_eq!(list("SHOW MEASUREMENTS"), ["measurements: m, only0, only1"]);
    assert_eq!(list("SHOW MEASUREMENTS LIMIT 1 OFFSET 2"), ["measurements: only1"]);
    assert_eq!(list("SHOW MEASUREMENTS WHERE u = '1'"), ["measurements: only1"]);
    assert_eq!(list("SHOW MEASUREMENTS ON d.rp1"), ["measurements: m, only1"]);
    assert_eq!(list("SHOW TAG KEYS"), ["m: a, b, c", "only0: t", "only1: u"]);
    assert_eq!(list("SHOW TAG KEYS FROM rp1.m"), ["m: b, c"]);
    assert_eq!(list("SHOW TAG VALUES WITH KEY = b"), ["m: b x, b y"]);
    assert_eq!(list("SHOW TAG VALUES FROM only1 WITH KEY = u"), ["only1: u 1"]);
    // As in InfluxDB, these are of the default policy.
    assert_eq!(list("SHOW SERIES"), [": m,a=1,b=x, only0,t=1"]);
    assert_eq!(list("SHOW FIELD KEYS"), ["m: f float", "only0: f float"]);
}

#[test]
fn a_name_of_both_is_the_field_in_lists() {
    let fixture = Fixture::new("m,k=c k=1 0\nn,h=a v=1 0\n");
    let names = |text: &str| rows(&fixture, text).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names("SHOW TAG KEYS WHERE k = 'b'"), ["m"]);
    assert_eq!(names("SHOW TAG KEYS WHERE k = ''"), ["m", "n"]);
    assert_eq!(names("SHOW TAG VALUES WITH KEY =~ /./ WHERE k =~ /b/"), ["m"]);
    assert_eq!(names("SHOW TAG VALUES WITH KEY =~ /./ WHERE v = ''"), ["m", "n"]);
}
