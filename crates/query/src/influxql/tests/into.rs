//! SELECT INTO, and statements on retention policies: what is asked of whoever has the data.

use model::BucketId;

use super::Fixture;
use crate::testing::bucket_id;

const LINES: &str = "\
m,h=a,r=x v=1,n=1i 10
m,h=b,r=x v=2,n=2i 20
m,h=a,r=y v=4,s=\"tu\" 30
";

/// What was written by a statement, and what it answers.
fn written(statement: &str) -> (Vec<String>, String) {
    let fixture = Fixture::new(LINES);
    let body = fixture.body(statement);
    let changes = std::mem::take(&mut *fixture.changes.0.lock().unwrap());
    (changes, body)
}

fn lines(statement: &str) -> String {
    let (changes, body) = written(statement);
    assert!(body.contains(r#""name":"result","columns":["time","written"],"values":[[0,"#), "{body}");
    changes.concat()
}

#[test]
fn columns_become_fields_and_groups_tags() {
    assert_eq!(
        lines("SELECT * INTO x FROM m"),
        "write 1 x h=\"a\",n=1i,r=\"x\",v=1 10\nx h=\"b\",n=2i,r=\"x\",v=2 20\nx h=\"a\",r=\"y\",s=\"tu\",v=4 30\n"
    );
    assert_eq!(
        lines("SELECT v INTO d.autogen.:MEASUREMENT FROM /./ GROUP BY *"),
        "write 1 m,h=a,r=x v=1 10\nm,h=a,r=y v=4 30\nm,h=b,r=x v=2 20\n"
    );
    assert_eq!(
        lines("SELECT mean(v) INTO x FROM m GROUP BY h"),
        "write 1 x,h=a mean=2.5 0\nx,h=b mean=2 0\n"
    );
    assert_eq!(lines("SELECT s INTO x FROM m"), "write 1 x s=\"tu\" 30\n");
    // By what `top` goes is a tag of its points.
    assert_eq!(lines("SELECT top(v, h, 2) INTO x FROM m"), "write 1 x,h=b top=2 20\nx,h=a top=4 30\n");
}

#[test]
fn windows_without_points_are_not_written() {
    let text = lines("SELECT count(v) INTO x FROM m WHERE time >= 0 AND time < 60 GROUP BY time(10ns)");
    assert_eq!(text, "write 1 x count=1i 10\nx count=1i 20\nx count=1i 30\n");
    let text =
        lines("SELECT count(v) INTO x FROM m WHERE time >= 20 AND time < 50 GROUP BY time(10ns) fill(7)");
    assert_eq!(text, "write 1 x count=1i 20\nx count=1i 30\nx count=7i 40\n");
}

#[test]
fn nothing_is_written_where_it_cannot_be_or_may_not() {
    for (statement, says) in [
        ("SELECT v INTO nosuch..x FROM m", "database not found: nosuch"),
        ("SELECT v INTO d.nosuch.x FROM m", "retention policy not found: nosuch"),
        ("SELECT time AS t, v INTO x FROM m", "error finding time index in result"),
    ] {
        let (changes, body) = written(statement);
        assert!(changes.is_empty() && body.contains(says), "{statement}: {changes:?} {body}");
    }
    let (changes, body) = written("SELECT v INTO x FROM m WHERE h = 'none'");
    assert!(changes.is_empty() && body.contains(r#""values":[[0,0]]"#), "{changes:?} {body}");
    let of_others: Vec<BucketId> = vec![bucket_id(7)];
    let fixture = Fixture { writable: Some(of_others), ..Fixture::new(LINES) };
    let body = fixture.body("SELECT v INTO x FROM m");
    assert!(
        body.contains("not authorized to execute statement 'SELECT v INTO x FROM m', requires WRITE on d"),
        "{body}"
    );
    assert!(fixture.changes.0.lock().unwrap().is_empty());
}

#[test]
fn retention_policies_are_changed_by_whoever_has_them() {
    let (changes, _) = written(
        "CREATE RETENTION POLICY p ON d DURATION 2h REPLICATION 1 DEFAULT; ALTER RETENTION POLICY p ON d SHARD DURATION 1h; \
         DROP RETENTION POLICY p ON d",
    );
    let [created, altered, dropped] = changes.as_slice() else { panic!("{changes:?}") };
    assert!(
        created.starts_with("create ")
            && created.contains("7200000000000")
            && created.contains("default: true")
    );
    assert!(altered.starts_with("alter ") && altered.contains("shard_duration: Some(3600000000000)"));
    assert_eq!(dropped, "drop d.p");
    for name in ["", "a/b"] {
        let (changes, body) =
            written(&format!("CREATE RETENTION POLICY \"{name}\" ON d DURATION 2h REPLICATION 1"));
        assert!(changes.is_empty() && body.contains("invalid name"), "{body}");
    }
}
