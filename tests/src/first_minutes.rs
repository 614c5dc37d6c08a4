//! What a new user does first, with nothing but curl in mind.

use testkit::{Node, NodeOptions};

const LINES: &str = "\
weather,city=Oslo,kind=sun temp=21.5,wind=3i 1704067200000000000
weather,city=Oslo,kind=sun temp=22.5,wind=4i 1704067260000000000
weather,city=Rome,kind=sun temp=30.25,wind=1i,note=\"hot, \\\"very\\\" hot\" 1704067200000000000
";

#[test]
fn a_new_node_is_set_up_written_to_and_asked() {
    let mut node = Node::start(NodeOptions::default());
    assert_eq!(node.get("/api/v2/setup").send().expect_status(200).json()["allowed"], true);
    let refused = node.post("/api/v2/write?org=acme&bucket=metrics").body("m v=1").send().expect_status(401);
    assert_eq!(refused.json()["code"], "unauthorized");
    assert_eq!(refused.json()["message"], "unauthorized access");
    node.set_up();
    assert_eq!(node.get("/api/v2/setup").send().json()["allowed"], false);
    let again = serde_json::json!({"username": "x", "password": "another-one", "org": "o", "bucket": "b"});
    let conflict = node.post("/api/v2/setup").json(&again).send().expect_status(422);
    assert_eq!(conflict.json()["code"], "conflict");

    let written = node.write("metrics", LINES).expect_status(204);
    assert!(written.body.is_empty());

    let csv = node
        .flux(
            r#"from(bucket: "metrics")
                |> range(start: 2024-01-01T00:00:00Z, stop: 2024-01-02T00:00:00Z)
                |> filter(fn: (r) => r._measurement == "weather" and r._field == "temp")
                |> mean()"#,
        )
        .expect_status(200);
    assert_eq!(
        csv.text(),
        ",result,table,_start,_stop,_value,_field,_measurement,city,kind\r\n\
         ,_result,0,2024-01-01T00:00:00Z,2024-01-02T00:00:00Z,22,temp,weather,Oslo,sun\r\n\
         ,_result,1,2024-01-01T00:00:00Z,2024-01-02T00:00:00Z,30.25,temp,weather,Rome,sun\r\n\r\n"
    );

    let json = node
        .influxql("metrics", "SELECT mean(temp), max(wind) FROM weather GROUP BY city")
        .expect_status(200);
    assert_eq!(
        json.text(),
        "{\"results\":[{\"statement_id\":0,\"series\":[\
         {\"name\":\"weather\",\"tags\":{\"city\":\"Oslo\"},\"columns\":[\"time\",\"mean\",\"max\"],\"values\":[[0,22,4]]},\
         {\"name\":\"weather\",\"tags\":{\"city\":\"Rome\"},\"columns\":[\"time\",\"mean\",\"max\"],\"values\":[[0,30.25,1]]}\
         ]}]}\n"
    );
}

#[test]
fn influxql_shows_what_there_is() {
    let node = Node::start_set_up();
    node.write("metrics", LINES).expect_status(204);
    let show = |query: &str| {
        let json = node.influxql("metrics", query).expect_status(200).json();
        json["results"][0]["series"][0]["values"].to_string()
    };
    assert_eq!(show("SHOW DATABASES"), r#"[["metrics"]]"#);
    assert_eq!(show("SHOW MEASUREMENTS"), r#"[["weather"]]"#);
    assert_eq!(show("SHOW TAG KEYS"), r#"[["city"],["kind"]]"#);
    assert_eq!(show("SHOW TAG VALUES WITH KEY = city"), r#"[["city","Oslo"],["city","Rome"]]"#);
    assert_eq!(show("SHOW FIELD KEYS"), r#"[["note","string"],["temp","float"],["wind","integer"]]"#);
    node.influxql("", "CREATE DATABASE second").expect_status(200);
    assert_eq!(show("SHOW DATABASES"), r#"[["metrics"],["second"]]"#);
}

#[test]
fn probes_answer_without_a_token() {
    let node = Node::start(NodeOptions::default());
    let ping = node.get("/ping").send().expect_status(204);
    assert!(ping.header("x-influxdb-version").is_some_and(|v| v.contains('.')));
    assert_eq!(node.get("/health").send().expect_status(200).json()["status"], "pass");
    assert_eq!(node.get("/ready").send().expect_status(200).json()["status"], "ready");
    let metrics = node.get("/metrics").send().expect_status(200).text();
    for name in ["tidemark_build_info", "tidemark_http_request_duration_seconds", "tidemark_raft_leaders"] {
        assert!(metrics.contains(name), "{name} is not in {metrics}");
    }
}

#[test]
fn init_variables_set_a_node_up_once() {
    let secret = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(secret.path(), "from-a-file-1\n").expect("a file");
    let env = [
        ("DOCKER_INFLUXDB_INIT_MODE", "setup"),
        ("DOCKER_INFLUXDB_INIT_USERNAME", "root"),
        ("DOCKER_INFLUXDB_INIT_PASSWORD_FILE", secret.path().to_str().expect("UTF-8")),
        ("DOCKER_INFLUXDB_INIT_ORG", "acme"),
        ("DOCKER_INFLUXDB_INIT_BUCKET", "metrics"),
        ("DOCKER_INFLUXDB_INIT_RETENTION", "30d"),
        ("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN", "my-own-token"),
    ];
    let env = env.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
    let node = Node::start(NodeOptions { env, ..NodeOptions::default() });
    let list = |node: &Node| {
        node.get("/api/v2/buckets?org=acme&name=metrics")
            .token("my-own-token")
            .send()
            .expect_status(200)
            .json()
    };
    let bucket = list(&node)["buckets"][0].clone();
    assert_eq!(bucket["retentionRules"][0]["everySeconds"], 30 * 86_400);
    let node = node.restart();
    assert_eq!(list(&node)["buckets"][0]["id"], bucket["id"], "a restart does not set up again");
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "root:from-a-file-1");
    let show =
        node.get("/query?q=SHOW%20DATABASES").header("Authorization", &format!("Basic {basic}")).send();
    show.expect_status(200);
}

#[test]
fn one_dot_x_routes_are_open_when_authorization_is_off() {
    let args = ["--http-auth-enabled=false"].map(String::from).to_vec();
    let node = Node::start(NodeOptions { args, ..NodeOptions::default() });
    // As in 1.x, nothing comes before this: no set-up, no organization.
    node.post("/query?q=CREATE%20DATABASE%20old").send().expect_status(200);
    node.post("/write?db=old&precision=s").body("m v=1 10").send().expect_status(204);
    let old = "/query?db=old&epoch=s&q=SELECT%20v%20FROM%20m";
    let json = node.get(old).send().expect_status(200).json();
    assert_eq!(json["results"][0]["series"][0]["values"].to_string(), "[[10,1]]");
    node.get("/api/v2/buckets").send().expect_status(401);

    // Who sets the node up later takes over what is there.
    let setup =
        serde_json::json!({"username": "ann", "password": "long-enough", "org": "default", "bucket": "old"});
    let answer = node.post("/api/v2/setup").json(&setup).send().expect_status(201).json();
    let token = answer["auth"]["token"].as_str().expect("a token").to_owned();
    let found = node.get("/api/v2/buckets?name=old").token(&token).send().expect_status(200).json();
    assert_eq!(found["buckets"][0]["id"], answer["bucket"]["id"]);
    assert_eq!(found["buckets"].as_array().map(Vec::len), Some(1));
    let json = node.get(old).send().expect_status(200).json();
    assert_eq!(json["results"][0]["series"][0]["values"].to_string(), "[[10,1]]");
    node.post("/api/v2/setup").json(&setup).send().expect_status(422);
}

#[test]
fn retention_hides_and_then_drops_what_has_expired() {
    let args = ["--retention-check-interval", "1s", "--partitions", "2"].map(String::from).to_vec();
    let mut node = Node::start(NodeOptions { args, ..NodeOptions::default() });
    node.set_up();
    node.write("metrics", LINES).expect_status(204);
    node.post("/api/v1/storage/flush").token(node.token()).send().expect_status(204);
    let buckets = node.get("/api/v2/buckets?name=metrics").token(node.token()).send().json();
    let id = buckets["buckets"][0]["id"].as_str().expect("an id").to_owned();
    let rules = serde_json::json!({"retentionRules": [{"type": "expire", "everySeconds": 3600, "shardGroupDurationSeconds": 3600}]});
    let changed = testkit::Request::new("PATCH", format!("{}/api/v2/buckets/{id}", node.url()));
    changed.token(node.token()).json(&rules).send().expect_status(200);
    let json = node.influxql("metrics", "SELECT count(temp) FROM weather").expect_status(200).json();
    assert!(json["results"][0]["series"].is_null(), "{json}");
    testkit::wait_for("the shards' files to go", || {
        let found = find(node.data_dir(), "tsm");
        if found == 0 { Ok(()) } else { Err(found) }
    });
    let late = node.write("metrics", "weather,city=Oslo temp=1 1704067200000000000");
    assert_eq!(late.status, 422, "{}", late.text());
    assert!(late.text().contains("points beyond retention policy dropped=1"), "{}", late.text());
}

fn find(dir: &std::path::Path, extension: &str) -> usize {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let path = entry.path();
            if path.is_dir() {
                find(&path, extension)
            } else {
                usize::from(path.extension().is_some_and(|e| e == extension))
            }
        })
        .sum()
}
