//! Queries that run on one node are listed, and ended, through any other: by InfluxQL, over HTTP and by the command line.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use testkit::binary::tidemark_binary;
use testkit::{Cluster, Node, wait_for};

/// Rows of the query that is ended, of which the answer does not fit between a server and a client that does not read.
const ROWS: u64 = 60_000;

fn listed(node: &Node) -> Vec<serde_json::Value> {
    let answer = node.influxql("metrics", "SHOW QUERIES").json();
    let rows = answer["results"][0]["series"][0]["values"].as_array().cloned().unwrap_or_default();
    rows.into_iter().filter(|row| row[1].as_str().is_some_and(|text| text.contains("blob"))).collect()
}

/// Begins a query and reads nothing of its answer.
fn begin(node: &Node) -> TcpStream {
    let host = node.url().strip_prefix("http://").expect("a URL");
    let mut stream = TcpStream::connect(host).expect("the node listens");
    let token = node.token();
    let request = format!(
        "GET /query?db=metrics&chunked=true&q=SELECT%20blob%20FROM%20m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Authorization: Token {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("the request is sent");
    stream
}

/// The id of the query that runs, as a node lists it.
fn running(node: &Node) -> u64 {
    wait_for("the query to be listed", || {
        let rows = listed(node);
        match rows.as_slice() {
            [row] if row[4] == "running" => Ok(row[0].as_u64().expect("a number")),
            _ => Err(rows),
        }
    })
}

fn ends(mut stream: TcpStream, nodes: &[&Node]) {
    let mut rest = Vec::new();
    // Whether the connection is closed or broken off does not matter: it is over.
    drop(stream.read_to_end(&mut rest));
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.contains("query interrupted"), "{}", &rest[rest.len().saturating_sub(300)..]);
    for node in nodes {
        wait_for("the query to be gone", || match listed(node) {
            rows if rows.is_empty() => Ok(()),
            rows => Err(rows),
        });
    }
}

#[test]
fn a_query_is_listed_and_ended_through_any_node() {
    let cluster = Cluster::start(3, &[]);
    let [a, b, c] = [0, 1, 2].map(|at| cluster.node(at));
    let blob = "x".repeat(400);
    for from in (0..ROWS).step_by(10_000) {
        let lines: String = (from..from + 10_000).map(|n| format!("m blob=\"{blob}\" {n}\n")).collect();
        a.write("metrics", lines).expect_status(204);
    }
    // By a statement.
    let stream = begin(a);
    let id = running(b);
    assert!((1 << 40..1 << 53).contains(&id), "{id}: a number that says where");
    let answer = |node: &Node, q: &str| node.influxql("metrics", q).text().trim().to_owned();
    let unknown =
        |id: u64| format!(r#"{{"results":[{{"statement_id":0,"error":"no such query id: {id}"}}]}}"#);
    assert_eq!(answer(c, &format!("KILL QUERY {}", id + 1000)), unknown(id + 1000));
    assert_eq!(answer(c, &format!("KILL QUERY {id} ON \"elsewhere\"")), unknown(id));
    let done = r#"{"results":[{"statement_id":0}]}"#;
    assert_eq!(answer(c, &format!("KILL QUERY {id} ON \"127.0.0.1\"")), done);
    ends(stream, &[a, b, c]);

    // Over HTTP.
    let stream = begin(b);
    let id = running(a);
    let all = c.get("/api/v1/queries").token(c.token()).send().expect_status(200).json();
    let own = all["queries"].as_array().expect("a list").iter().find(|query| query["id"] == id);
    assert_eq!(own.expect("it is listed")["query"], "SELECT blob FROM m");
    assert_eq!(all["silentNodes"], serde_json::json!([]));
    let delete = |id: u64| {
        let url = format!("{}/api/v1/queries/{id}", c.url());
        testkit::Request::new("DELETE", url).token(c.token()).send().status
    };
    assert_eq!((delete(id), delete(id + 1000)), (204, 404));
    ends(stream, &[a, b, c]);

    // By the command line.
    let stream = begin(c);
    let id = running(a).to_string();
    let tidemark = |args: &[&str]| {
        let own = ["--host", a.url(), "--token", a.token()];
        let output = Command::new(tidemark_binary()).args(args).args(own).output().expect("the binary runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let printed = tidemark(&["queries", "list", "-o", "csv"]);
    let line = printed.lines().find(|line| line.contains("SELECT blob FROM m")).expect("it is listed");
    assert!(line.starts_with(&id) && line.contains("running"), "{printed}");
    tidemark(&["queries", "kill", &id]);
    ends(stream, &[a, b, c]);
}

#[test]
fn shards_are_those_of_all_nodes_and_are_dropped_from_all() {
    let cluster = Cluster::start(3, &[]);
    let [a, b, c] = [0, 1, 2].map(|at| cluster.node(at));
    let day: i64 = 86_400_000_000_000;
    let lines: String =
        (0..40).map(|n| format!("m,host=h{n} f=1 {}\nm,host=h{n} f=2 {}\n", day, 30 * day)).collect();
    a.write("metrics", lines).expect_status(204);
    let shards = |node: &Node| {
        let answer = node.influxql("metrics", "SHOW SHARDS").json();
        answer["results"][0]["series"][0]["values"].as_array().cloned().unwrap_or_default()
    };
    // All three nodes have replicas of all partitions; followers apply a little later.
    let rows = wait_for("every node to have both shards", || {
        let rows = shards(b);
        let whole = rows.len() == 2 && rows.iter().all(|row| row[7] == "1,2,3");
        if whole { Ok(rows) } else { Err(rows) }
    });
    assert_eq!(shards(c), rows);
    let times: Vec<_> = rows.iter().map(|row| (row[4].as_str(), row[5].as_str(), row[6].as_str())).collect();
    assert_eq!(
        times,
        [
            (Some("1970-01-01T00:00:00Z"), Some("1970-01-08T00:00:00Z"), Some("")),
            (Some("1970-01-29T00:00:00Z"), Some("1970-02-05T00:00:00Z"), Some("")),
        ]
    );
    let id = rows[0][0].as_u64().expect("a number");
    let done = r#"{"results":[{"statement_id":0}]}"#;
    assert_eq!(c.influxql("metrics", &format!("DROP SHARD {id}")).text().trim(), done);
    for node in [a, b, c] {
        let left = node.influxql("metrics", "SELECT count(f), min(f) FROM m").text();
        assert!(
            left.contains(r#""values":[["1970-01-01T00:00:00Z",40,2]]"#) || left.contains("[[0,40,2]]"),
            "{left}"
        );
    }
    let stats = a.influxql("metrics", "SHOW STATS; SHOW DIAGNOSTICS").text();
    for part in [
        r#"{"name":"queryExecutor","columns":["queriesActive","queriesExecuted","#,
        r#"{"name":"build","#,
        r#""name":"shard","tags":{"database":"metrics","#,
    ] {
        assert!(stats.contains(part), "{stats}");
    }
}
