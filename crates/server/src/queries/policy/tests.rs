//! The answers of InfluxDB 1.6.7 to the same statements.

use catalog::BucketKind;
use influxql::ast::Statement;
use model::time::DAY_NS;
use model::{BucketId, Timestamp};

use super::*;

fn bucket(retention_ns: Option<i64>, shard_duration_ns: i64) -> Bucket {
    Bucket {
        id: BucketId::new(1).unwrap(),
        org: OrgId::new(1).unwrap(),
        name: "d".to_owned(),
        description: String::new(),
        kind: BucketKind::User,
        retention_ns,
        shard_duration_ns,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

fn accepts(name: &str, bucket: &Bucket, with: &str) -> bool {
    let statement = influxql::parse(&format!("CREATE DATABASE d WITH {with}"), &[]).unwrap().remove(0);
    let Statement::CreateDatabase(create) = statement else { panic!("{statement}") };
    is_as_wanted(&create.policy.unwrap(), name, bucket)
}

#[test]
fn what_a_statement_says_of_an_existing_database_must_be_so() {
    let day = bucket(Some(DAY_NS), HOUR_NS);
    let ever = bucket(None, 7 * DAY_NS);
    let own = bucket(Some(DAY_NS), 2 * HOUR_NS);
    for (name, bucket, with, accepted) in [
        ("x", &day, "DURATION 1d REPLICATION 1 NAME x", true),
        ("x", &day, "DURATION 2d REPLICATION 1 NAME x", false),
        ("x", &day, "DURATION 1d NAME y", false),
        ("x", &day, "DURATION 1d SHARD DURATION 2h NAME x", false),
        ("x", &day, "DURATION 1d SHARD DURATION 30m NAME x", true),
        ("x", &day, "NAME x", true),
        ("autogen", &ever, "DURATION 1d", false),
        ("autogen", &ever, "DURATION 1d NAME autogen", false),
        ("autogen", &ever, "NAME autogen", true),
        ("autogen", &ever, "DURATION INF NAME autogen", true),
        ("autogen", &ever, "DURATION INF REPLICATION 1 SHARD DURATION 7d NAME autogen", true),
        ("autogen", &ever, "DURATION INF REPLICATION 2 NAME autogen", false),
        ("autogen", &ever, "NAME z", false),
        ("autogen", &ever, "REPLICATION 1", true),
        ("autogen", &ever, "SHARD DURATION 1h", false),
        // A shard duration of its own must be said again.
        ("x", &own, "NAME x", false),
        ("x", &own, "SHARD DURATION 2h", true),
    ] {
        assert_eq!(accepts(name, bucket, with), accepted, "{name}: {with}");
    }
}
