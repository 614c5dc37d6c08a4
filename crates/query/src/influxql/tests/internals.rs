//! SHOW SHARDS, SHARD GROUPS, STATS, DIAGNOSTICS and DROP SHARD, in the shape that InfluxDB 1.6.7 and 1.11 give them.

use super::super::{Item, shard_id};
use super::{Fixture, Timestamp, WEEK_NS, bucket_id};

const COLUMNS: &str =
    r#"["id","database","retention_policy","shard_group","start_time","end_time","expiry_time","owners"]"#;

#[test]
fn shards_are_listed_by_database_with_their_owners() {
    let fixture = Fixture::new("");
    let (first, second) = ids();
    let row =
        |id, start, end, owners| format!(r#"[{id},"d","autogen",{id},"{start}","{end}","","{owners}"]"#);
    let rows = [
        row(first, "1969-12-25T00:00:00Z", "1970-01-01T00:00:00Z", "1"),
        row(second, "1970-01-15T00:00:00Z", "1970-01-22T00:00:00Z", "1,3"),
    ];
    let series = format!(r#"{{"name":"d","columns":{COLUMNS},"values":[{}]}}"#, rows.join(","));
    let expected = format!(r#"{{"results":[{{"statement_id":0,"series":[{series}]}}]}}"#);
    assert_eq!(fixture.body("SHOW SHARDS"), expected);
    let columns = r#"["id","database","retention_policy","start_time","end_time","expiry_time"]"#;
    let row = |id, start, end| format!(r#"[{id},"d","autogen","{start}","{end}",""]"#);
    let rows = [
        row(first, "1969-12-25T00:00:00Z", "1970-01-01T00:00:00Z"),
        row(second, "1970-01-15T00:00:00Z", "1970-01-22T00:00:00Z"),
    ];
    let series = format!(r#"{{"name":"shard groups","columns":{columns},"values":[{}]}}"#, rows.join(","));
    let expected = format!(r#"{{"results":[{{"statement_id":0,"series":[{series}]}}]}}"#);
    assert_eq!(fixture.body("SHOW SHARD GROUPS"), expected);
}

fn ids() -> (u64, u64) {
    let id = |week| shard_id(bucket_id(1), Timestamp(week * WEEK_NS));
    (id(-1), id(2))
}

#[test]
fn a_shard_is_dropped_by_its_number() {
    let fixture = Fixture::new("");
    let (_, second) = ids();
    let done = r#"{"results":[{"statement_id":0}]}"#;
    assert_eq!(fixture.body(&format!("DROP SHARD {second}")), done);
    assert_eq!(fixture.body("DROP SHARD 99"), done);
    // Neither a system bucket's nor one of another organization.
    for bucket in [9, 77] {
        assert_eq!(fixture.body(&format!("DROP SHARD {}", shard_id(bucket_id(bucket), Timestamp(0)))), done);
    }
    let expected = format!("1 {}..{} Constant(true)", 2 * WEEK_NS, 3 * WEEK_NS);
    assert_eq!(*fixture.changes.0.lock().unwrap(), [expected]);
}

#[test]
fn numbers_of_shards_fit_into_a_float_and_differ() {
    let mut seen = std::collections::BTreeSet::new();
    for bucket in 1..100 {
        for week in -50..50 {
            let id = shard_id(bucket_id(bucket), Timestamp(week * WEEK_NS));
            assert!(0 < id && id < 1 << 53 && seen.insert(id), "{bucket} {week}");
        }
    }
}

#[test]
fn a_node_that_does_not_answer_is_named() {
    let mut fixture = Fixture::new("");
    fixture.changes.1 = vec!["0000000000000002".to_owned()];
    for statement in ["SHOW SHARDS", "SHOW QUERIES"] {
        let items = fixture.run(statement).unwrap();
        let warning = "node 0000000000000002 does not answer: what it has is missing".to_owned();
        assert!(items.contains(&Item::Warning(warning)), "{items:?}");
    }
    assert!(fixture.body("DROP SHARD 99").contains("node 0000000000000002 does not answer"));
}

#[test]
fn modules_are_series_of_one_row() {
    let fixture = Fixture::new("");
    let cq = r#"{"name":"cq","columns":["queryFail","queryOk"],"values":[[0,2]]}"#;
    let database =
        r#"{"name":"database","tags":{"database":"d"},"columns":["numMeasurements"],"values":[[7]]}"#;
    let build = r#"{"name":"build","columns":["Commit","Version"],"values":[["c","1"]]}"#;
    for (statement, series) in [
        ("SHOW STATS", format!("{cq},{database}")),
        ("SHOW STATS FOR 'cq'", cq.to_owned()),
        ("SHOW DIAGNOSTICS", build.to_owned()),
        ("SHOW DIAGNOSTICS FOR 'build'", build.to_owned()),
    ] {
        let expected = format!(r#"{{"results":[{{"statement_id":0,"series":[{series}]}}]}}"#);
        assert_eq!(fixture.body(statement), expected, "{statement}");
    }
    assert_eq!(fixture.body("SHOW STATS FOR 'nosuch'"), r#"{"results":[{"statement_id":0}]}"#);
}
