//! Traces as a collector sees them, as a client is shown its own, and the log beside them. Real nodes.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::collector::{Collector, Span};
use testkit::{Cluster, Node, NodeOptions, free_addresses, wait_for};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
const WRITE: &str = "/api/v2/write?org=acme&bucket=metrics";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

fn node(args: &[&str]) -> Node {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    let mut node = Node::start(NodeOptions { args, ..NodeOptions::default() });
    node.set_up();
    node
}

/// Lines of many series, so that every partition has some.
fn lines() -> String {
    (0..64).map(|n| format!("cpu,host=h{n} load={n}\n")).collect()
}

fn of<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// The parent of a span, which must have come too.
fn parent<'a>(spans: &'a [Span], span: &Span) -> &'a Span {
    let found = spans.iter().find(|other| other.id == span.parent && other.trace == span.trace);
    found.unwrap_or_else(|| panic!("no parent of {span:?}"))
}

#[test]
fn a_write_is_one_trace_over_the_nodes_that_take_part() {
    let collector = Collector::start();
    let cluster = Cluster::start(3, &["--otlp-endpoint", collector.url(), "--otlp-sampling-ratio", "0"]);
    let written = cluster
        .node(1)
        .post(WRITE)
        .token(cluster.node(1).token())
        .header("traceparent", &traceparent("01"))
        .header("tracestate", "vendor=7")
        .body(lines())
        .send()
        .expect_status(204);
    assert_eq!(written.header("x-tidemark-trace-id"), Some(TRACE));
    let spans = collector.wait("the whole trace", |spans| {
        let own: Vec<Span> = spans.iter().filter(|span| span.trace == TRACE).cloned().collect();
        let linked = spans.iter().filter(|span| span.links.iter().any(|(trace, _)| trace == TRACE));
        let linked: Vec<Span> = linked.cloned().collect();
        let fsyncs = spans.iter().filter(|span| {
            linked.iter().any(|append| append.trace == span.trace && span.name == "wal.fsync")
        });
        let proposals: Vec<&str> = of(&own, "raft.propose").iter().map(|span| span.id.as_str()).collect();
        // Every proposal is in the logs of all three, and applied there.
        let appended = |id: &str| {
            let of_it = linked.iter().filter(|span| span.links.iter().any(|(_, span)| span == id));
            of_it.map(|span| &span.node).collect::<BTreeSet<_>>().len()
        };
        let applied = |id: &str| of(&own, "apply").iter().filter(|span| span.parent == id).count();
        let is_whole = |id: &&str| appended(id) == 3 && applied(id) == 3;
        let asked = of(&own, "tidemark.peer.v1.Peer/Propose");
        let (clients, servers) = asked.iter().fold((0, 0), |(clients, servers), span| match span.kind {
            2 => (clients, servers + 1),
            _ => (clients + 1, servers),
        });
        let is_all = !of(&own, "HTTP POST /api/v2/write").is_empty()
            && clients == servers
            && proposals.len() > clients
            && proposals.iter().all(is_whole);
        let all: Vec<Span> = own.iter().chain(&linked).chain(fsyncs.clone()).cloned().collect();
        is_all.then_some(all)
    });
    let request = of(&spans, "HTTP POST /api/v2/write")[0];
    assert_eq!((request.parent.as_str(), request.kind, request.state.as_str()), (CALLER, 2, "vendor=7"));
    assert_eq!(request.get("http.route"), Some("/api/v2/write"));
    assert_eq!(request.get("http.request.method"), Some("POST"));
    assert_eq!(request.get("http.response.status_code"), Some("204"));
    let route = of(&spans, "route")[0];
    assert_eq!(parent(&spans, route).id, request.id);
    assert_eq!(parent(&spans, of(&spans, "parse")[0]).id, request.id);
    assert_eq!(of(&spans, "parse")[0].get("points"), Some("64"));
    let mut elsewhere = 0;
    for proposal in of(&spans, "raft.propose") {
        assert!(["group", "term", "index"].iter().all(|key| proposal.get(key).is_some()), "{proposal:?}");
        let above = parent(&spans, proposal);
        if above.name == "route" {
            assert_eq!(proposal.node, request.node);
            continue;
        }
        // By way of the node that leads: server below client, each on its side.
        elsewhere += 1;
        let client = parent(&spans, above);
        assert_eq!((above.kind, client.kind), (2, 3), "{above:?} {client:?}");
        assert_eq!(above.node, proposal.node);
        assert_ne!(client.node, proposal.node);
        assert_eq!(parent(&spans, client).id, route.id);
    }
    assert!(elsewhere > 0, "one node leads everything");
    for apply in of(&spans, "apply") {
        assert_eq!(parent(&spans, apply).name, "raft.propose");
    }
    for append in of(&spans, "raft.append") {
        assert!(append.parent.is_empty() && append.trace != TRACE, "linked, not below: {append:?}");
    }
    for fsync in of(&spans, "wal.fsync") {
        assert_eq!(parent(&spans, fsync).name, "raft.append");
    }
    assert!(!of(&spans, "wal.fsync").is_empty());
}

#[test]
fn a_query_is_one_trace_over_the_nodes_that_read() {
    let collector = Collector::start();
    let mut cluster = Cluster::start(3, &["--otlp-endpoint", collector.url(), "--otlp-sampling-ratio", "0"]);
    cluster.node(0).post(WRITE).token(cluster.node(0).token()).body(lines()).send().expect_status(204);
    let fourth = cluster.gateway(&["--otlp-endpoint", collector.url(), "--otlp-sampling-ratio", "0"]);
    let flux =
        r#"from(bucket: "metrics") |> range(start: -1h) |> filter(fn: (r) => r.host == "secret-host")"#;
    let asked = fourth.post("/api/v2/query?org=acme").token(fourth.token());
    let asked =
        asked.header("Content-Type", "application/vnd.flux").header("traceparent", &traceparent("01"));
    asked.body(flux).send().expect_status(200);
    let spans = collector.wait("the fragments", |spans| {
        let own: Vec<Span> = spans.iter().filter(|span| span.trace == TRACE).cloned().collect();
        let servers = of(&own, "exec.fragment").iter().filter(|span| span.kind == 2).count();
        let clients = of(&own, "exec.fragment").iter().filter(|span| span.kind == 3).count();
        let is_all = servers > 0
            && servers == clients
            && of(&own, "tsm.read").len() >= servers
            && !of(&own, "HTTP POST /api/v2/query").is_empty();
        is_all.then_some(own)
    });
    let request = of(&spans, "HTTP POST /api/v2/query")[0];
    let query = of(&spans, "query")[0];
    assert_eq!(parent(&spans, query).id, request.id);
    assert_eq!(parent(&spans, of(&spans, "plan")[0]).id, query.id);
    for fragment in of(&spans, "exec.fragment") {
        let above = parent(&spans, fragment);
        match fragment.kind {
            2 => assert_eq!((above.name.as_str(), above.kind), ("exec.fragment", 3)),
            _ => assert!(fragment.get("shards").is_some_and(|shards| !shards.is_empty()), "{fragment:?}"),
        }
    }
    for read in of(&spans, "tsm.read") {
        assert_eq!(parent(&spans, read).name, "exec.fragment");
        assert!(
            ["blocks", "bytes", "cache.hits", "rows"].iter().all(|key| read.get(key).is_some()),
            "{read:?}"
        );
        assert_ne!(read.node, request.node);
    }
    let everything = format!("{:?}", collector.spans());
    assert!(!everything.contains("secret-host"), "what queries ask for is not told");
    assert!(!everything.contains(fourth.token()), "tokens are not told");
    drop(cluster.take(2));
}

#[test]
fn what_fails_is_told_of_though_it_was_not_sampled() {
    let collector = Collector::start();
    let args = ["--otlp-endpoint", collector.url(), "--otlp-sampling-ratio", "0", "--write-timeout", "1s"];
    let mut cluster = Cluster::start(3, &args);
    let token = cluster.node(0).token().to_owned();
    let write = |node: &Node| node.post(WRITE).token(&token).body("cpu load=1").send();
    assert_eq!(write(cluster.node(0)).status, 204);
    cluster.kill(1);
    cluster.kill(2);
    let failed = wait_for("a write to fail", || {
        let answer = write(cluster.node(0));
        if answer.status >= 500 { Ok(answer) } else { Err(answer.status) }
    });
    assert_eq!(failed.header("x-tidemark-trace-id"), None);
    let spans = collector.wait("the failure", |spans| {
        let root = spans.iter().find(|s| s.name == "HTTP POST /api/v2/write" && s.is_error)?;
        Some(spans.iter().filter(|span| span.trace == root.trace).cloned().collect::<Vec<_>>())
    });
    let request = of(&spans, "HTTP POST /api/v2/write")[0];
    assert_eq!(request.get("http.response.status_code"), Some("503"));
    assert!(of(&spans, "route")[0].is_error);
    let good =
        collector.spans().iter().filter(|span| !span.is_error && span.name.starts_with("HTTP")).count();
    assert_eq!(good, 0, "what succeeds is not told of");
}

#[test]
fn a_collector_that_is_away_harms_nothing() {
    let nobody = format!("http://{}", free_addresses(1)[0]);
    let mut node = node(&["--otlp-endpoint", &nobody, "--otlp-sampling-ratio", "1"]);
    for _ in 0..200 {
        node.post(WRITE).token(node.token()).body("cpu load=1").send().expect_status(204);
    }
    wait_for("a word about the collector", || {
        let log = node.log();
        if log.contains("the collector takes no traces") { Ok(()) } else { Err(log) }
    });
    assert_eq!(node.log().matches("the collector takes no traces").count(), 1, "{}", node.log());
    node.terminate();
    assert!(node.log().contains("the last spans were not sent") || !node.log().contains("panicked"));
}

/// The spans of a trace as `GET /api/v1/trace/{id}` shows it, once they satisfy.
fn shown(node: &Node, id: &str, is_enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    wait_for("the trace", || {
        let answer = node.get(&format!("/api/v1/trace/{id}")).token(node.token()).send();
        let body = answer.text();
        let trace: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        let spans = trace["spans"].as_array().cloned().unwrap_or_default();
        if is_enough(&spans) { Ok(spans) } else { Err(body) }
    })
}

fn names(spans: &[Value]) -> Vec<&str> {
    spans.iter().filter_map(|span| span["name"].as_str()).collect()
}

#[test]
fn a_client_sees_its_own_trace_without_a_collector() {
    let cluster = Cluster::start(3, &[]);
    let node = cluster.node(1);
    let written = node.post(&format!("{WRITE}&trace=1")).token(node.token()).body(lines()).send();
    let written = written.expect_status(204);
    let id = written.header("x-tidemark-trace-id").expect("an id").to_owned();
    let link = format!("</api/v1/trace/{id}>; rel=\"trace\"");
    assert_eq!(written.header("link"), Some(link.as_str()));
    let spans = shown(node, &id, |spans| {
        let names = names(spans);
        let appends = spans.iter().filter(|span| span["name"] == "raft.append" && !span["links"].is_null());
        let nodes: BTreeSet<_> = appends.map(|span| span["node"].to_string()).collect();
        names.contains(&"HTTP POST /api/v2/write") && names.contains(&"wal.fsync") && nodes.len() == 3
    });
    for name in ["parse", "route", "raft.propose", "apply"] {
        assert!(names(&spans).contains(&name), "{name} in {spans:?}");
    }
    // Any node collects it.
    shown(cluster.node(2), &id, |other| other.len() >= spans.len());
    // Others do not see it.
    let made = node.post("/api/v2/orgs").token(node.token()).json(&json!({ "name": "other" })).send();
    let org = made.expect_status(201).json()["id"].as_str().expect("an id").to_owned();
    let rights = json!({ "orgID": org, "permissions": [{ "action": "read", "resource": { "type": "buckets", "orgID": org } }] });
    let made =
        node.post("/api/v2/authorizations").token(node.token()).json(&rights).send().expect_status(201);
    let stranger = made.json()["token"].as_str().expect("a token").to_owned();
    let path = format!("/api/v1/trace/{id}");
    assert_eq!(node.get(&path).token(&stranger).send().status, 404);
    assert_eq!(node.get(&path).send().status, 401);
    assert_eq!(node.get("/api/v1/trace/1").token(node.token()).send().status, 404);
    assert_eq!(node.get("/api/v1/trace/x").token(node.token()).send().status, 400);
    // Queries.
    let asked =
        node.get("/query?db=metrics&q=SELECT%20count(load)%20FROM%20cpu&trace=1").token(node.token()).send();
    let answer = asked.expect_status(200).json();
    assert_eq!(answer["results"][0]["series"][0]["values"][0][1], 64);
    let own = answer["trace"]["spans"].as_array().expect("the request's own trace");
    assert!(names(own).contains(&"exec.fragment") && names(own).contains(&"tsm.read"), "{own:?}");
    let plain = node.get("/query?db=metrics&q=SELECT%20count(load)%20FROM%20cpu").token(node.token()).send();
    assert_eq!(plain.header("x-tidemark-trace-id"), None);
    assert!(plain.json()["trace"].is_null());
    let asked = node.post("/api/v2/query?org=acme").token(node.token()).header("X-Tidemark-Trace", "1");
    let asked = asked.header("Content-Type", "application/vnd.flux");
    let answer = asked.body(r#"from(bucket: "metrics") |> range(start: -1h)"#).send().expect_status(200);
    let id = answer.header("x-tidemark-trace-id").expect("an id").to_owned();
    assert!(answer.text().starts_with(",result,table"), "the answer stays as it is");
    shown(node, &id, |spans| {
        ["HTTP POST /api/v2/query", "query", "plan"].iter().all(|name| names(spans).contains(name))
    });
}

#[test]
fn a_slow_query_is_logged_without_what_it_asks_for() {
    let node = node(&["--slow-query-threshold", "1us", "--log-format", "json"]);
    node.post(WRITE).token(node.token()).body("cpu,host=a load=1").send().expect_status(204);
    let flux =
        r#"from(bucket: "metrics") |> range(start: -1h) |> filter(fn: (r) => r["host"] == "my-secret")"#;
    let asked = node.post("/api/v2/query?org=acme&trace=1").token(node.token());
    let answer = asked.header("Content-Type", "application/vnd.flux").body(flux).send().expect_status(200);
    let line = wait_for("the line", || {
        let log = node.log();
        let line = log.lines().find(|line| line.contains("\"slow_query\"")).map(str::to_owned);
        line.and_then(|line| serde_json::from_str::<Value>(&line).ok()).ok_or(log)
    });
    assert_eq!(
        (&line["level"], &line["language"], &line["outcome"]),
        (&json!("WARN"), &json!("flux"), &json!("ok"))
    );
    let text = "from(bucket: ?) |> range(start: -?) |> filter(fn: (r) => r[\"host\"] == ?)";
    assert_eq!(line["query"], text);
    assert_eq!(line["trace_id"].as_str(), answer.header("x-tidemark-trace-id"));
    assert_eq!(line["hash"].as_str().map(str::len), Some(16));
    assert!(line["node"].is_string() && line["span_id"].is_string(), "{line}");
    assert!(!node.log().contains("my-secret") && !node.log().contains(node.token()));
}

#[test]
fn the_log_level_changes_while_the_node_runs() {
    let node = node(&["--log-level", "info"]);
    let level = || node.get("/api/v1/log-level").token(node.token()).send().expect_status(200).json();
    assert_eq!(level(), json!({ "level": "info" }));
    let put = |level: &str| {
        testkit::Request::new("PUT", format!("{}/api/v1/log-level", node.url()))
            .token(node.token())
            .json(&json!({ "level": level }))
            .send()
    };
    assert_eq!(put("nonsense=[").status, 400);
    assert_eq!(put("").status, 400);
    let flux = "from(bucket: \"none\") |> range(start: -1h)";
    put("warn,gateway=debug").expect_status(200);
    assert_eq!(level(), json!({ "level": "warn,gateway=debug" }));
    let anonymous = testkit::Request::new("PUT", format!("{}/api/v1/log-level", node.url()))
        .json(&json!({ "level": "info" }));
    assert_eq!(anonymous.send().status, 401);
    let asked = node
        .post("/api/v2/query?org=acme")
        .token(node.token())
        .header("Content-Type", "application/vnd.flux");
    asked.body(flux).send();
    wait_for("a word about the change", || {
        let log = node.log();
        if log.contains("the log level was changed") { Ok(()) } else { Err(log) }
    });
}
