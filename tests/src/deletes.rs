//! Deletes and retention from outside: what was deleted is in no answer, also after kill -9, and comes back only when it
//! is written again.

use serde_json::json;
use testkit::{Node, NodeOptions, Reply};

/// Four hosts, a point a minute.
fn lines(minutes: std::ops::Range<u64>) -> String {
    let line = |n: u64| format!("cpu,host=h{} usage={n},n={n}i {}\n", n % 4, START_NS + n * MINUTE_NS);
    minutes.map(line).collect()
}

const START_NS: u64 = 1_704_067_200_000_000_000;
const MINUTE_NS: u64 = 60_000_000_000;

fn delete(node: &Node, start: &str, stop: &str, predicate: &str) -> Reply {
    let body = json!({ "start": start, "stop": stop, "predicate": predicate });
    node.post("/api/v2/delete?org=acme&bucket=metrics").token(node.token()).json(&body).send()
}

/// A statement by POST.
fn execute(node: &Node, database: &str, statement: &str) -> serde_json::Value {
    let path = format!("/query?db={database}&q={}", testkit::node::encode(statement));
    node.post(&path).token(node.token()).send().expect_status(200).json()["results"][0].clone()
}

fn done(node: &Node, statement: &str) {
    assert_eq!(execute(node, "metrics", statement), json!({ "statement_id": 0 }), "{statement}");
}

/// The minutes of all points, by InfluxQL and by Flux.
fn minutes(node: &Node) -> Vec<u64> {
    let json = node.influxql("metrics", "SELECT n FROM cpu").expect_status(200).json();
    let none = Vec::new();
    let rows = json["results"][0]["series"][0]["values"].as_array().unwrap_or(&none);
    let by_influxql: Vec<u64> = rows.iter().map(|row| row[1].as_u64().expect("a number")).collect();
    let csv = node
        .flux(
            r#"from(bucket: "metrics") |> range(start: 2024-01-01T00:00:00Z, stop: 2024-01-02T00:00:00Z)
                |> filter(fn: (r) => r._measurement == "cpu" and r._field == "n") |> keep(columns: ["_value"])"#,
        )
        .expect_status(200)
        .text();
    let values = csv.lines().filter_map(|line| line.rsplit(',').next()?.trim().parse().ok());
    let mut by_flux: Vec<u64> = values.collect();
    by_flux.sort_unstable();
    assert_eq!(by_influxql, by_flux, "{csv}");
    by_influxql
}

fn show(node: &Node, query: &str) -> String {
    let json = node.influxql("metrics", query).expect_status(200).json();
    json["results"][0]["series"][0]["values"].to_string()
}

fn flush(node: &Node, compact: bool) {
    let path = if compact { "/api/v1/storage/flush?compact=true" } else { "/api/v1/storage/flush" };
    node.post(path).token(node.token()).send().expect_status(204);
}

#[test]
fn what_was_deleted_stays_deleted_whatever_happens() {
    let mut node = Node::start_set_up();
    node.write("metrics", lines(0..40)).expect_status(204);
    flush(&node, false);
    node.write("metrics", lines(40..60)).expect_status(204);
    // Both ends of the time are inside, in files and in memory.
    delete(&node, "2024-01-01T00:10:00Z", "2024-01-01T00:49:00Z", "").expect_status(204);
    let mut expected: Vec<u64> = (0..10).chain(50..60).collect();
    assert_eq!(minutes(&node), expected);
    node = node.kill_and_restart();
    assert_eq!(minutes(&node), expected);

    delete(&node, "2024-01-01T00:00:00Z", "2024-01-01T23:00:00Z", r#"_measurement="cpu" AND host="h1""#)
        .expect_status(204);
    expected.retain(|n| n % 4 != 1);
    assert_eq!(minutes(&node), expected);
    assert_eq!(
        show(&node, "SHOW TAG VALUES WITH KEY = host"),
        r#"[["host","h0"],["host","h2"],["host","h3"]]"#
    );
    // Writing the same points again brings them back, and those alone.
    node.write("metrics", lines(20..22)).expect_status(204);
    expected = [0, 2, 3, 4, 6, 7, 8, 20, 21, 50, 51, 52, 54, 55, 56, 58, 59].to_vec();
    assert_eq!(minutes(&node), expected);
    for compact in [false, true] {
        flush(&node, compact);
        assert_eq!(minutes(&node), expected);
        node = node.kill_and_restart();
        assert_eq!(minutes(&node), expected);
    }
    node = node.restart();
    assert_eq!(minutes(&node), expected);
    done(&node, "DELETE WHERE time >= '2024-01-01T00:50:00Z'");
    node = node.kill_and_restart();
    assert_eq!(minutes(&node), [0, 2, 3, 4, 6, 7, 8, 20, 21]);
    let metrics = node.get("/metrics").send().text();
    assert!(metrics.contains("\ntidemark_storage_tombstones "), "{metrics}");
}

#[test]
fn statements_delete_as_influxdb_1x_does() {
    let node = Node::start_set_up();
    node.write("metrics", lines(0..8)).expect_status(204);
    node.write("metrics", "mem,host=h0 free=1i 10\nmem,host=h1 free=2i 20\ndisk,host=h0 used=1 10")
        .expect_status(204);
    flush(&node, false);
    done(&node, "DELETE FROM cpu WHERE host = 'h0' AND time < '2024-01-01T00:04:00Z'");
    assert_eq!(minutes(&node), [1, 2, 3, 4, 5, 6, 7]);
    done(&node, "DROP SERIES FROM cpu WHERE host =~ /h[12]/");
    assert_eq!(minutes(&node), [3, 4, 7]);
    assert_eq!(
        show(&node, "SHOW SERIES"),
        r#"[["cpu,host=h0"],["cpu,host=h3"],["disk,host=h0"],["mem,host=h0"],["mem,host=h1"]]"#
    );
    done(&node, "DROP SERIES WHERE host = 'h0'");
    assert_eq!(show(&node, "SHOW MEASUREMENTS"), r#"[["cpu"],["mem"]]"#);
    let error = |statement: &str| execute(&node, "metrics", statement)["error"].clone();
    assert_eq!(
        error("DELETE FROM cpu WHERE usage > 5"),
        "fields not supported in WHERE clause during deletion"
    );
    assert_eq!(
        error("DROP SERIES FROM cpu WHERE time > 5"),
        "DROP SERIES doesn't support time in WHERE clause"
    );
    assert_eq!(execute(&node, "nodb", "DELETE FROM cpu")["error"], "database not found: nodb");
    done(&node, "DELETE FROM nothing");
    // By GET it runs as well, with a warning.
    let path = format!("/query?db=metrics&q={}", testkit::node::encode("DROP MEASUREMENT nothing"));
    let warned = node.get(&path).token(node.token()).send().expect_status(200).json();
    let text = warned["results"][0]["messages"][0]["text"].as_str().expect("a warning");
    assert!(text.contains("read only context, please use a POST request instead"), "{text}");
}

#[test]
fn a_measurement_that_lost_its_points_may_come_back_with_other_types() {
    let mut node = Node::start_set_up();
    let write = |node: &Node, line: &str| node.write("metrics", line);
    write(&node, "m,host=a v=1,w=2 10\nm2 v=1 10").expect_status(204);
    flush(&node, false);
    write(&node, "m,host=b v=1 20").expect_status(204);
    let conflict = write(&node, "m v=\"text\" 30").expect_status(422).text();
    assert!(conflict.contains("already exists as type float"), "{conflict}");
    done(&node, "DROP MEASUREMENT m");
    assert_eq!(show(&node, "SHOW MEASUREMENTS"), r#"[["m2"]]"#);
    assert_eq!(show(&node, "SHOW FIELD KEYS"), r#"[["v","float"]]"#);
    write(&node, "m v=\"text\" 30").expect_status(204);
    for step in 0..4 {
        assert_eq!(show(&node, "SELECT * FROM m"), r#"[[30,"text"]]"#, "step {step}");
        assert_eq!(show(&node, "SHOW FIELD KEYS FROM m"), r#"[["v","string"]]"#);
        match step {
            0 => node = node.kill_and_restart(),
            1 => flush(&node, false),
            2 => flush(&node, true),
            _ => {}
        }
    }
    // Also when a delete by time takes the last point, but not while one is left.
    delete(&node, "1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z", "_measurement=m AND host!=x")
        .expect_status(204);
    write(&node, "m v=5i 40").expect_status(204);
    delete(&node, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.00000003Z", "_measurement=m")
        .expect_status(204);
    write(&node, "m v=true 50").expect_status(422);
    assert_eq!(show(&node, "SELECT * FROM m"), "[[40,5]]");
}

#[test]
fn a_dropped_database_is_gone_with_its_policies() {
    let node = Node::start_set_up();
    for statement in ["CREATE DATABASE old", "CREATE DATABASE older WITH NAME short"] {
        assert_eq!(execute(&node, "", statement), json!({ "statement_id": 0 }));
    }
    assert_eq!(
        execute(&node, "", "CREATE DATABASE old WITH DURATION 30d NAME short"),
        json!({ "statement_id": 0, "error": "retention policy conflicts with an existing policy" })
    );
    let org = node.get("/api/v2/orgs?org=acme").token(node.token()).send().json()["orgs"][0]["id"].clone();
    let body = json!({ "orgID": org, "name": "old/short", "retentionRules": [] }).to_string();
    node.post("/api/v2/buckets").token(node.token()).body(body).send().expect_status(201);
    let buckets = |node: &Node| {
        let json = node.get("/api/v2/buckets?org=acme&limit=100").token(node.token()).send().json();
        let names = json["buckets"].as_array().expect("buckets").iter();
        let mut names: Vec<String> = names.map(|b| b["name"].as_str().expect("a name").to_owned()).collect();
        names.retain(|name| name.starts_with("old"));
        names.sort();
        names
    };
    assert_eq!(buckets(&node), ["old", "old/short", "older/short"]);
    node.post("/write?db=old").token(node.token()).body("m v=1").send().expect_status(204);
    assert_eq!(execute(&node, "", "DROP DATABASE old"), json!({ "statement_id": 0 }));
    assert_eq!(execute(&node, "", "DROP DATABASE old"), json!({ "statement_id": 0 }), "again");
    assert_eq!(buckets(&node), ["older/short"]);
    execute(&node, "", "CREATE DATABASE old");
    node.post("/write?db=old").token(node.token()).body("m v=1i 20").send().expect_status(204);
    let rows = execute(&node, "old", "SELECT v FROM m")["series"][0]["values"].to_string();
    assert_eq!(rows, r#"[["1970-01-01T00:00:00.00000002Z",1]]"#);
}

#[test]
fn who_may_only_read_deletes_nothing() {
    let node = Node::start_set_up();
    node.write("metrics", lines(0..4)).expect_status(204);
    let bucket = node.get("/api/v2/buckets?org=acme&name=metrics").token(node.token()).send().json();
    let (id, org) = (bucket["buckets"][0]["id"].clone(), bucket["buckets"][0]["orgID"].clone());
    let made = node
        .post("/api/v2/authorizations")
        .token(node.token())
        .json(&json!({
            "orgID": org,
            "permissions": [{"action": "read", "resource": {"type": "buckets", "id": id, "orgID": org}}]
        }))
        .send()
        .expect_status(201)
        .json();
    let reader = made["token"].as_str().expect("a token");
    let body = json!({ "start": "2024-01-01T00:00:00Z", "stop": "2025-01-01T00:00:00Z" });
    let refused = node
        .post("/api/v2/delete?org=acme&bucket=metrics")
        .token(reader)
        .json(&body)
        .send()
        .expect_status(403);
    assert_eq!(refused.json()["message"], "insufficient permissions to delete");
    for statement in
        ["DELETE FROM cpu", "DROP SERIES FROM cpu", "DROP MEASUREMENT cpu", "DROP DATABASE metrics"]
    {
        let path = format!("/query?db=metrics&q={}", testkit::node::encode(statement));
        let refused = node.post(&path).token(reader).send().expect_status(403).json();
        let error = refused["error"].as_str().expect("an error");
        let expected = "error authorizing query: admin not authorized to execute statement";
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(minutes(&node), [0, 1, 2, 3]);
}

#[test]
fn expired_points_are_in_no_answer_before_their_shard_goes() {
    let args = ["--partitions", "2"].map(String::from).to_vec();
    let mut node = Node::start(NodeOptions { args, ..NodeOptions::default() });
    node.set_up();
    #[expect(clippy::disallowed_methods, reason = "the node under test lives in real time")]
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let line = |age_s: u64, n: u64| format!("m,age=a{n} v={n}i {}\n", (now - age_s) * 1_000_000_000);
    let hour = 3600;
    node.write(
        "metrics",
        line(90 * hour, 1)
            + &line(60 * hour, 2)
            + &line(10, 3)
            + &format!("gone v=1i {}", (now - 90 * hour) * 1_000_000_000),
    )
    .expect_status(204);
    flush(&node, false);
    // Shards are a week long: none goes for this, but the points are past their time at once.
    let bucket = node.get("/api/v2/buckets?org=acme&name=metrics").token(node.token()).send().json();
    let id = bucket["buckets"][0]["id"].as_str().expect("an id").to_owned();
    let rules = json!({ "retentionRules": [{"type": "expire", "everySeconds": 72 * hour, "shardGroupDurationSeconds": 24 * hour}] });
    testkit::Request::new("PATCH", format!("{}/api/v2/buckets/{id}", node.url()))
        .token(node.token())
        .json(&rules)
        .send()
        .expect_status(200);
    let check = |node: &Node| {
        let rows = node.influxql("metrics", "SELECT v FROM m").expect_status(200).json();
        let values = rows["results"][0]["series"][0]["values"].as_array().expect("rows").clone();
        assert_eq!(values.iter().map(|row| row[1].clone()).collect::<Vec<_>>(), [json!(2), json!(3)]);
        let csv = node.flux(r#"from(bucket: "metrics") |> range(start: 0) |> count() |> group() |> sum()"#);
        assert!(csv.expect_status(200).text().contains(",2\r\n"));
        let refused = node.write("metrics", line(73 * hour, 9) + &line(5, 4)).expect_status(422).text();
        assert!(refused.contains("points beyond retention policy dropped=1"), "{refused}");
        done(node, "DELETE FROM m WHERE age = 'a4'");
    };
    check(&node);
    node = node.kill_and_restart();
    check(&node);
}
