//! Three nodes as real processes: any of them takes and answers everything, what was acknowledged outlives kill -9 of
//! whoever leads, and an empty volume founds nothing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::binary::tidemark_binary;
use testkit::{Authority, Cluster, Node, NodeOptions, free_addresses, may_change_hosts, wait_for};

const START_NS: u64 = 1_700_000_000_000_000_000;
/// Series, over which the points are spread, so that they are in many partitions.
const SERIES: u64 = 50;

pub(crate) fn lines(numbers: impl Iterator<Item = u64>) -> String {
    numbers.map(|n| format!("m,part=s{} n={n}i {}\n", n % SERIES, START_NS + n * 1_000_000)).collect()
}

/// Every point that a node answers with.
pub(crate) fn numbers(node: &Node) -> BTreeSet<u64> {
    let json = node.influxql("metrics", "SELECT n FROM m").expect_status(200).json();
    let none = Vec::new();
    let rows = json["results"][0]["series"][0]["values"].as_array().unwrap_or(&none);
    rows.iter().map(|row| row[1].as_u64().expect("a number")).collect()
}

pub(crate) fn all(count: u64) -> BTreeSet<u64> {
    (0..count).collect()
}

#[test]
fn what_one_node_takes_all_nodes_answer() {
    let cluster = Cluster::start(3, &["--partitions", "8"]);
    for (at, node) in (0..).zip(cluster.up()) {
        node.write("metrics", lines(at * 100..(at + 1) * 100)).expect_status(204);
        // Read at once, through each.
        for reader in cluster.up() {
            assert_eq!(numbers(reader), all((at + 1) * 100));
        }
    }
    // A bucket made through one node is there for a write through another, and a delete holds everywhere.
    let created = cluster.node(1).influxql("metrics", "CREATE DATABASE other").expect_status(200);
    assert!(!created.text().contains("error"), "{}", created.text());
    cluster.node(2).write("other", "x v=1 1").expect_status(204);
    let conflict = cluster.node(0).write("other", "x v=\"text\" 2").expect_status(422);
    assert!(conflict.text().contains("field type conflict"), "{}", conflict.text());
    let deleted = cluster.node(0).influxql("metrics", "DELETE FROM m WHERE part = 's7'");
    assert!(!deleted.expect_status(200).text().contains("error"));
    let left: BTreeSet<u64> = all(300).into_iter().filter(|n| n % SERIES != 7).collect();
    for reader in cluster.up() {
        assert_eq!(numbers(reader), left);
    }
}

/// Writes requests of ten points through a node until told to stop; answers how many points were acknowledged, and
/// notes when each request was.
pub(crate) fn write_on(
    node: &Node,
    next: &AtomicU64,
    stop: &AtomicBool,
    acknowledged: &mut Vec<(u64, Instant)>,
) {
    while !stop.load(Ordering::Relaxed) {
        let first = next.load(Ordering::Relaxed);
        let reply = node
            .post("/api/v2/write?org=acme&bucket=metrics")
            .token(node.token())
            .timeout(Duration::from_secs(30))
            .body(lines(first..first + 10))
            .try_send();
        match reply {
            // Sent again, as clients do: the points are the same.
            Ok(reply) if reply.status == 503 => {}
            Ok(reply) => {
                reply.expect_status(204);
                next.store(first + 10, Ordering::Relaxed);
                acknowledged.push((first, now()));
            }
            Err(error) => panic!("the node that writes is up: {error}"),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "tests wait for real processes in real time")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn writes_go_on_within_two_seconds_of_the_death_of_a_leader() {
    let mut cluster = Cluster::start(3, &["--partitions", "8"]);
    let next = AtomicU64::new(0);
    let mut gaps = Vec::new();
    for _ in 0..3 {
        let victim = cluster.leads_most();
        let writer = (victim + 1) % 3;
        let stop = AtomicBool::new(false);
        let mut acknowledged = Vec::new();
        let before = next.load(Ordering::Relaxed);
        let node = cluster.take(writer);
        let killed_at = std::thread::scope(|scope| {
            let writing = scope.spawn(|| write_on(&node, &next, &stop, &mut acknowledged));
            wait_for("writes", || {
                let written = next.load(Ordering::Relaxed);
                if written >= before + 200 { Ok(()) } else { Err(written) }
            });
            let killed_at = now();
            cluster.kill(victim);
            let at_kill = next.load(Ordering::Relaxed);
            wait_for("writes to go on", || {
                let written = next.load(Ordering::Relaxed);
                if written >= at_kill + 200 { Ok(()) } else { Err(written) }
            });
            stop.store(true, Ordering::Relaxed);
            writing.join().expect("the writer does not panic");
            killed_at
        });
        cluster.put(writer, node);
        let times: Vec<Instant> = acknowledged.iter().map(|(_, at)| *at).collect();
        let gap = times.windows(2).filter(|pair| pair[1] > killed_at).map(|pair| pair[1] - pair[0]).max();
        gaps.push(gap.expect("writes went on"));
        let written = next.load(Ordering::Relaxed);
        for reader in cluster.up() {
            assert!(numbers(reader).is_superset(&all(written)), "an acknowledged point is lost");
        }
        cluster.start_missing();
        assert!(
            numbers(cluster.node(victim)).is_superset(&all(written)),
            "the dead node has come back behind"
        );
    }
    gaps.sort_unstable();
    assert!(gaps[1] <= Duration::from_secs(2), "longest pauses between acknowledged writes: {gaps:?}");
}

#[test]
fn everything_acknowledged_survives_the_death_of_all() {
    let mut cluster = Cluster::start(3, &["--partitions", "8", "--memtable-size", "64KiB"]);
    for round in 0..3_u64 {
        for request in 0..20 {
            let first = (round * 20 + request) * 100;
            let at = usize::try_from(request % 3).expect("small");
            cluster.node(at).write("metrics", lines(first..first + 100)).expect_status(204);
        }
        cluster.kill_all();
        cluster.start_missing();
        for reader in cluster.up() {
            assert_eq!(numbers(reader), all((round + 1) * 2000));
        }
    }
}

#[test]
fn a_node_with_an_empty_volume_joins_and_founds_nothing() {
    let mut cluster = Cluster::start(3, &["--partitions", "4"]);
    cluster.node(0).write("metrics", lines(0..100)).expect_status(204);
    // The founder, of all nodes.
    cluster.kill(0);
    std::fs::remove_dir_all(cluster.data_dir(0)).expect("it is there");
    cluster.start_missing();
    let log = cluster.node(0).log();
    assert!(log.contains("joined the cluster"), "{log}");
    let seen =
        cluster.node(1).get("/debug/cluster").token(cluster.node(1).token()).send().expect_status(200).json();
    let states: Vec<_> =
        seen["nodes"].as_array().expect("nodes").iter().map(|node| node["state"].clone()).collect();
    assert_eq!(states, ["lost", "active", "active", "active"]);
    assert_eq!(seen["groups"].as_array().map(Vec::len), Some(5), "{seen}");
    // It knows the cluster's users and buckets, takes points for the partitions of the others, and reads theirs.
    cluster.node(0).write("metrics", lines(100..200)).expect_status(204);
    for node in cluster.up() {
        assert_eq!(numbers(node), all(200));
        assert_eq!(figures(node), (200, 199 * 200 / 2));
    }
    // What it had is made anew on it, so that another may go.
    wait_for("the replicas of the lost volume", || {
        let nodes = verb(cluster.node(1), &["cluster", "status", "-o", "json"]);
        let of = |column: &str| nodes.iter().map(|node| node[column].as_u64()).collect::<Vec<_>>();
        let is_done = of("replicas") == [Some(0), Some(5), Some(5), Some(5)];
        if is_done && moves(cluster.node(1)).is_empty() { Ok(()) } else { Err(nodes) }
    });
    cluster.kill(1);
    cluster.node(0).write("metrics", lines(200..300)).expect_status(204);
    for node in cluster.up() {
        assert_eq!(figures(node), (300, 299 * 300 / 2));
    }
}

/// The replicas on their way.
pub(crate) fn moves(node: &Node) -> Vec<Value> {
    verb(node, &["partition", "moves", "-o", "json"])
}

/// Count and sum of all points, and that the names are those of all series.
pub(crate) fn figures(node: &Node) -> (u64, u64) {
    let json = node.influxql("metrics", "SELECT count(n), sum(n) FROM m").expect_status(200).json();
    let row = &json["results"][0]["series"][0]["values"][0];
    let values = node.influxql("metrics", "SHOW TAG VALUES FROM m WITH KEY = part").expect_status(200).json();
    let names = values["results"][0]["series"][0]["values"].as_array().map_or(0, Vec::len);
    assert_eq!(names as u64, SERIES);
    (row[1].as_u64().expect("a count"), row[2].as_u64().expect("a sum"))
}

#[test]
fn of_five_nodes_each_answers_for_all() {
    let mut cluster = Cluster::start(5, &["--partitions", "8"]);
    for (at, node) in (0..).zip(cluster.up()) {
        node.write("metrics", lines(at * 100..(at + 1) * 100)).expect_status(204);
    }
    let check = |cluster: &Cluster| {
        for node in cluster.up() {
            assert_eq!(numbers(node), all(500));
            assert_eq!(figures(node), (500, 499 * 500 / 2));
            let last = node.influxql("metrics", "SELECT last(n) FROM m").expect_status(200).json();
            assert_eq!(last["results"][0]["series"][0]["values"][0][1].as_u64(), Some(499));
        }
    };
    check(&cluster);
    // Any one may be missing: each partition has two more replicas.
    cluster.kill(3);
    check(&cluster);
    cluster.start_missing();
    check(&cluster);
}

#[test]
fn a_node_that_waits_for_others_says_so() {
    let addresses = free_addresses(4);
    let (http, peers) = addresses.split_first().expect("four");
    let options = NodeOptions {
        peer_bind_address: peers.first().cloned(),
        args: vec!["--initial-peers".to_owned(), peers.join(",")],
        ..NodeOptions::default()
    };
    let second = format!("node {}: ", peers[1]);
    let mut node = Node::launch(options, http);
    wait_for("the node to say what it waits for", || match node.get("/ready").try_send() {
        Ok(reply) if reply.status == 503 && reply.text().contains(&second) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let health = node.get("/health").send().expect_status(503).json();
    assert_eq!(health["status"], "fail");
    assert!(health["message"].as_str().is_some_and(|text| text.starts_with("starting: ")), "{health}");
    assert!((node.metric("tidemark_starting") - 1.0).abs() < f64::EPSILON);
    let write = node.post("/api/v2/write?org=acme&bucket=metrics").body("m v=1").send().expect_status(503);
    assert_eq!(write.header("retry-after"), Some("1"));
    assert!(node.terminate().success(), "{}", node.log());
}

/// Three nodes that are reached by names, on addresses of loopback that a name stands for all together.
#[expect(clippy::print_stdout, reason = "says why a test showed nothing")]
fn named_nodes(strategy: &str) -> Option<Cluster> {
    if !may_change_hosts() {
        println!("no process can be given other hosts here");
        return None;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let hosts = dir.path().join("hosts");
    let lines = (0..3).map(|at| format!("127.0.0.{} nodes tm-{at}.peers\n", at + 2));
    std::fs::write(&hosts, format!("127.0.0.1 localhost\n{}", lines.collect::<String>())).expect("written");
    let free = free_addresses(1);
    let port = free[0].rsplit_once(':').expect("a port").1;
    let options = (0..3).map(|at| {
        let name = if strategy == "dns" { "nodes" } else { "peers" };
        let mut args = vec!["--discovery-strategy", strategy, "--bootstrap-expect", "3", "--partitions", "4"];
        args.extend(["--discovery-name", name]);
        let advertised = format!("tm-{at}.peers:{port}");
        if strategy == "dns" {
            args.extend(["--peer-advertise-address", &advertised]);
        }
        NodeOptions {
            data_dir: Some(dir.path().join(at.to_string())),
            peer_bind_address: Some(format!("127.0.0.{}:{port}", at + 2)),
            args: args.into_iter().map(ToOwned::to_owned).collect(),
            env: vec![("POD_NAME".to_owned(), format!("tm-{at}"))],
            binary: None,
            hosts: Some(hosts.clone()),
            is_gateway: false,
        }
    });
    let options = options.collect();
    Some(Cluster::of(options, dir))
}

#[test]
fn nodes_find_one_another_by_name() {
    for strategy in ["dns", "kubernetes"] {
        let Some(mut cluster) = named_nodes(strategy) else { return };
        cluster.node(0).write("metrics", lines(0..100)).expect_status(204);
        let status = cluster.node(1).get("/api/v1/cluster/nodes").token(cluster.node(1).token()).send();
        let status = status.expect_status(200).json();
        for at in 0..3 {
            let node = &status["nodes"][at];
            let address = node["address"].as_str().expect("an address");
            assert!(address.starts_with(&format!("tm-{at}.peers:")), "{status}");
            assert_eq!(node["id"].as_str(), Some(format!("{:016x}", at + 1).as_str()), "{status}");
        }
        // They know one another by names from then on, also when all come back at once.
        cluster.kill_all();
        cluster.start_missing();
        for reader in cluster.up() {
            assert_eq!(numbers(reader), all(100), "{strategy}");
        }
        // A gateway needs no more than the name, whichever nodes have founded the cluster.
        let port = cluster.peer_addresses()[0].rsplit_once(':').expect("a port").1.to_owned();
        let name = if strategy == "dns" { "nodes" } else { "peers" };
        let hosts = cluster.data_dir(0).with_file_name("hosts");
        let hosts_of_service =
            format!("127.0.0.2 peers\n{}", std::fs::read_to_string(&hosts).expect("hosts"));
        std::fs::write(&hosts, hosts_of_service).expect("written");
        let mut gateway = Node::start(NodeOptions {
            is_gateway: true,
            // Nobody can know of a name that it stands for this machine.
            args: [
                "--discovery-strategy",
                strategy,
                "--discovery-name",
                &format!("{name}:{port}"),
                "--peer-plaintext",
            ]
            .map(ToOwned::to_owned)
            .to_vec(),
            hosts: Some(hosts),
            ..NodeOptions::default()
        });
        gateway.adopt_token(cluster.node(0).token());
        assert_eq!(numbers(&gateway), all(100), "{strategy}");
    }
}

#[test]
fn nodes_with_certificates_go_on_while_these_change() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (old, new) = (Authority::new(), Authority::new());
    let files = old.sign(dir.path(), "127.0.0.1");
    let arguments = files.arguments();
    let arguments: Vec<&str> =
        ["--partitions", "4"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let mut cluster = Cluster::start(3, &arguments);
    cluster.node(0).write("metrics", lines(0..100)).expect_status(204);
    for reader in cluster.up() {
        assert_eq!(numbers(reader), all(100));
    }
    // Whoever has no certificate of theirs gets no answer.
    let peers = cluster.peer_addresses();
    let options = NodeOptions {
        peer_bind_address: free_addresses(1).pop(),
        args: vec!["--initial-peers".to_owned(), peers.join(",")],
        ..NodeOptions::default()
    };
    let stranger = Node::launch(options, &free_addresses(1)[0]);
    wait_for("the stranger to be refused", || {
        let log = cluster.node(0).log();
        if log.contains("a connection to the peer port was refused") { Ok(()) } else { Err(log) }
    });
    assert!(!stranger.log().contains("joined the cluster"), "{}", stranger.log());
    drop(stranger);
    // A gateway is let in by the same authority's certificate, and by nothing else.
    let peers_list = ["--initial-peers".to_owned(), peers.join(",")];
    let options = NodeOptions { is_gateway: true, args: peers_list.to_vec(), ..NodeOptions::default() };
    let stranger = Node::launch(options, &free_addresses(1)[0]);
    wait_for("the gateway to say that nobody answers it", || match stranger.get("/ready").try_send() {
        Ok(reply) if reply.status == 503 && reply.text().contains("no catalog yet") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    drop(stranger);
    let own: Vec<&str> = arguments[2..].to_vec();
    let gateway = cluster.gateway(&own);
    assert_eq!(numbers(&gateway), all(100));
    drop(gateway);
    // The authority is changed while all run: for a while both are believed.
    let both = format!("{}{}", old.pem(), new.pem());
    let reloads = |cluster: &Cluster, times: usize| {
        wait_for("the new certificates", || {
            let is_done = |node: &Node| {
                node.log().matches("new connections to nodes use the new certificates").count() >= times
            };
            if cluster.up().all(is_done) { Ok(()) } else { Err("not yet") }
        });
    };
    std::fs::write(&files.authorities, &both).expect("the directory is there");
    reloads(&cluster, 1);
    // All three read the same files, and none may see the certificate of one authority beside the other alone.
    let next = tempfile::tempdir().expect("a temporary directory");
    let signed = new.sign(next.path(), "127.0.0.1");
    std::fs::copy(&signed.key, &files.key).expect("it is there");
    std::fs::copy(&signed.certificate, &files.certificate).expect("it is there");
    reloads(&cluster, 2);
    std::fs::write(&files.authorities, new.pem()).expect("the directory is there");
    reloads(&cluster, 3);
    // A node that comes back makes all its connections anew.
    cluster.kill(1);
    cluster.node(0).write("metrics", lines(100..200)).expect_status(204);
    cluster.start_missing();
    for reader in cluster.up() {
        assert_eq!(numbers(reader), all(200));
    }
}

/// Runs a verb of the command line against a node, and reads its rows.
pub(crate) fn verb(node: &Node, arguments: &[&str]) -> Vec<Value> {
    let mut command = std::process::Command::new(tidemark_binary());
    command.args(arguments).args(["--host", node.url(), "--token", node.token()]);
    let output = command.output().expect("the binary runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    if output.stdout.is_empty() {
        return Vec::new();
    }
    serde_json::from_slice(&output.stdout).expect("JSON rows")
}

#[test]
fn the_command_line_shows_the_cluster_and_moves_leaders() {
    let mut cluster = Cluster::start(3, &["--partitions", "4"]);
    cluster.node(0).write("metrics", lines(0..100)).expect_status(204);
    // Whoever is asked: three nodes, each with a member of each of the five groups, and a leader of each.
    for node in cluster.up() {
        wait_for("a leader of each group", || {
            let nodes = verb(node, &["cluster", "status", "-o", "json"]);
            let sum = |column: &str| nodes.iter().filter_map(|node| node[column].as_u64()).sum::<u64>();
            if (nodes.len(), sum("leads"), sum("replicas")) == (3, 5, 15) { Ok(()) } else { Err(nodes) }
        });
    }
    let nodes = verb(cluster.node(1), &["node", "ls", "-o", "json"]);
    let zones: BTreeSet<_> = nodes.iter().filter_map(|node| node["zone"].as_str()).collect();
    assert_eq!(zones, BTreeSet::from(["zone-0", "zone-1", "zone-2"]));
    assert!(nodes.iter().all(|node| node["state"] == "up" && node["role"] == "data"), "{nodes:?}");

    // Each node in turn is given the lead of a partition and of the catalog, through another node.
    for (at, id) in (1..).zip(nodes.iter().filter_map(|node| node["id"].as_str())) {
        for group in ["data-2", "meta"] {
            assert_eq!(
                verb(cluster.node(at % 3), &["raft", "transfer-leader", group, id]),
                Vec::<Value>::new()
            );
        }
        wait_for("the table to say so", || {
            let partitions = verb(cluster.node(at % 3), &["partition", "ls", "-o", "json"]);
            if partitions.len() == 4 && partitions[2]["leader"] == id { Ok(()) } else { Err(partitions) }
        });
        let members = verb(cluster.node(0), &["raft", "status", "-o", "json"]);
        assert_eq!(members.len(), 15, "{members:?}");
        wait_for("the node to say so", || {
            let groups = verb(cluster.node(2), &["node", "status", id, "-o", "json"]);
            let leads = |name: &str| {
                groups.iter().any(|group| group["group"] == name && group["isLeader"] == json!(true))
            };
            if leads("data-2") && leads("meta") { Ok(()) } else { Err(groups) }
        });
        cluster.node(at % 3).write("metrics", lines(0..100)).expect_status(204);
    }
    for reader in cluster.up() {
        assert_eq!(numbers(reader), all(100));
    }
    // A node that is gone is shown as away, and is given no lead.
    cluster.kill(2);
    let nodes = verb(cluster.node(0), &["cluster", "status", "-o", "json"]);
    let away: Vec<_> = nodes.iter().filter(|node| node["state"] == "away").collect();
    assert_eq!(away.len(), 1, "{nodes:?}");
    assert_eq!(away[0]["zone"], "zone-2");
    let mut refused = std::process::Command::new(tidemark_binary());
    let id = away[0]["node"].as_str().expect("an id");
    refused.args(["raft", "transfer-leader", "data-1", id]);
    refused.args(["--host", cluster.node(0).url(), "--token", cluster.node(0).token()]);
    let refused = refused.output().expect("the binary runs");
    assert_eq!(refused.status.code(), Some(5), "{}", String::from_utf8_lossy(&refused.stderr));
    // Nor is one that there never was.
    let mut unknown = std::process::Command::new(tidemark_binary());
    unknown.args(["raft", "transfer-leader", "data-1", "77"]);
    unknown.args(["--host", cluster.node(0).url(), "--token", cluster.node(0).token()]);
    assert_eq!(unknown.output().expect("the binary runs").status.code(), Some(3));
    // The groups go on after an attempt in vain.
    cluster.node(0).write("metrics", lines(100..200)).expect_status(204);
    for reader in cluster.up() {
        assert_eq!(numbers(reader), all(200));
    }
}
