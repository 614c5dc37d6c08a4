//! Gateways as real processes: they serve everything that nodes do, keep nothing, and may come and go as they like.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{Cluster, Node, NodeOptions, free_addresses, wait_for};

use crate::cluster::{all, lines, numbers};

fn status(node: &Node) -> Value {
    node.get("/api/v1/cluster/status").token(node.token()).send().expect_status(200).json()
}

/// The gateways that the nodes know of, by id, each with the node that it follows.
fn followed(node: &Node) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let status = status(node);
    let gateways = status["gateways"].as_array().expect("a list");
    gateways.iter().map(|gateway| (text(&gateway["id"]), text(&gateway["node"]))).collect()
}

fn wait_for_gateways(node: &Node, count: usize) {
    wait_for("the nodes to know the gateways", || match followed(node) {
        seen if seen.len() == count => Ok(()),
        seen => Err(seen),
    });
}

/// Nothing was written where the gateway runs.
fn is_empty(gateway: &Node) -> bool {
    std::fs::read_dir(gateway.data_dir()).expect("it runs there").next().is_none()
}

/// A database, with its default policy, made through one and used through another at once.
fn make_and_use(maker: &Node, user: &Node, name: &str) {
    let made = maker.influxql("metrics", &format!("CREATE DATABASE {name} WITH NAME weekly"));
    assert!(!made.expect_status(200).text().contains("error"));
    let write = user.post(&format!("/write?db={name}")).token(user.token()).body("x v=1 1").send();
    write.expect_status(204);
    let conflict = maker.post(&format!("/write?db={name}&rp=weekly")).token(maker.token());
    let conflict = conflict.body("x v=\"text\" 2").send().expect_status(400);
    assert!(conflict.text().contains("field type conflict"), "{}", conflict.text());
}

#[test]
fn what_one_gateway_makes_is_there_on_the_other_at_once() {
    let cluster = Cluster::start(3, &["--partitions", "8"]);
    let gateways = [cluster.gateway(&["--zone", "edge"]), cluster.gateway(&[])];
    for (at, writer) in (0..).zip(&gateways) {
        writer.write("metrics", lines(at * 100..(at + 1) * 100)).expect_status(204);
        for reader in gateways.iter().chain(cluster.up()) {
            assert_eq!(numbers(reader), all((at + 1) * 100));
        }
    }
    for round in 0..10 {
        let (maker, user) = (&gateways[round % 2], &gateways[(round + 1) % 2]);
        make_and_use(maker, user, &format!("db{round}"));
        // A token, which may write to one bucket, and one that nobody has made.
        let list = format!("/api/v2/buckets?name=db{round}/weekly");
        let buckets = user.get(&list).token(user.token()).send().expect_status(200).json();
        let (bucket, org) = (&buckets["buckets"][0]["id"], &buckets["buckets"][0]["orgID"]);
        let resource = json!({ "type": "buckets", "id": bucket, "orgID": org });
        let body = json!({ "orgID": org, "permissions": [{ "action": "write", "resource": resource }] });
        let made = maker.post("/api/v2/authorizations").token(maker.token()).json(&body).send();
        let token = made.expect_status(201).json()["token"].as_str().expect("a token").to_owned();
        let write = |token: &str| {
            let uri = format!("/api/v2/write?org=acme&bucket={}", bucket.as_str().expect("an id"));
            user.post(&uri).token(token).body("x v=2 3").send()
        };
        write(&token).expect_status(204);
        write("nobody").expect_status(401);
        // A delete, and what it leaves, by the token of the delete.
        let deleted = maker.influxql(&format!("db{round}"), "DELETE FROM x WHERE time < 2");
        assert!(!deleted.expect_status(200).text().contains("error"));
        let left = user.influxql(&format!("db{round}"), "SELECT v FROM x").expect_status(200).json();
        let values = &left["results"][0]["series"][0]["values"];
        assert_eq!(values, &json!([[3, 2]]), "{left}");
        let dropped = user.influxql("metrics", &format!("DROP DATABASE db{round}")).expect_status(200);
        assert!(!dropped.text().contains("error"), "{}", dropped.text());
        let gone = maker.post(&format!("/write?db=db{round}")).token(maker.token()).body("x v=1 1").send();
        gone.expect_status(404);
    }
    // What one has acknowledged the other shows to whoever says so, however old its answers may be.
    let wrote = gateways[0].write("metrics", lines(200..210)).expect_status(204);
    let token = wrote.header("x-commit-token").expect("a token");
    let read = gateways[1].get("/query?db=metrics&q=SELECT+count(n)+FROM+m").token(gateways[1].token());
    let read = read.header("X-Tidemark-Consistency", "any").header("X-Commit-Token", token).send();
    let count = read.expect_status(200).json();
    assert_eq!(count["results"][0]["series"][0]["values"][0][1], 210, "{count}");

    wait_for_gateways(&gateways[0], 2);
    let seen = status(&gateways[0]);
    assert_eq!(seen["node"], "gateway");
    assert_eq!(seen["nodes"].as_array().map(Vec::len), Some(3), "{seen}");
    let zones: BTreeSet<&str> =
        seen["gateways"].as_array().expect("a list").iter().filter_map(|g| g["zone"].as_str()).collect();
    assert_eq!(zones, BTreeSet::from(["", "edge"]));
    assert!(gateways.iter().all(is_empty));
    // No trace is left of those that end, in whichever way.
    let [first, mut second] = gateways;
    assert!(second.terminate().success(), "{}", second.log());
    assert!(is_empty(&second));
    drop(first);
    wait_for_gateways(cluster.node(0), 0);
    assert_eq!(status(cluster.node(0))["nodes"].as_array().map(Vec::len), Some(3));
}

#[test]
fn nodes_and_gateways_answer_alike() {
    let cluster = Cluster::start(3, &["--partitions", "8"]);
    let gateway = cluster.gateway(&[]);
    let points: String = (0..600_u32)
        .map(|n| {
            let value = f64::from(n * 7919 % 1000) / 7.0;
            format!(
                "m,host=h{},rack=r{} f={value},i={n}i,s=\"t{}\",b={} {n}000000000\n",
                n % 30,
                n % 3,
                n % 5,
                n % 2 == 0
            )
        })
        .collect();
    gateway.write("metrics", points).expect_status(204);
    let influxql = [
        "SELECT * FROM m",
        "SELECT count(i), sum(i), min(f), max(f), first(s), last(b), spread(i) FROM m GROUP BY rack",
        "SELECT mean(i) FROM m WHERE time >= 0 AND time < 10m GROUP BY time(1m), rack",
        "SELECT median(f), stddev(i) FROM m GROUP BY host",
        "SHOW TAG VALUES WITH KEY = host",
        "SHOW FIELD KEYS",
        "SHOW SERIES CARDINALITY",
    ];
    for query in influxql {
        let answers: BTreeSet<String> = cluster
            .up()
            .chain([&gateway])
            .map(|node| node.influxql("metrics", query).expect_status(200).text())
            .collect();
        assert_eq!(answers.len(), 1, "{query}: {answers:#?}");
        assert!(!answers.iter().any(|answer| answer.contains("error")), "{query}: {answers:#?}");
    }
    let flux = "from(bucket: \"metrics\") |> range(start: 0) |> filter(fn: (r) => r._field == \"i\") \
                |> group(columns: [\"rack\"]) |> sum()";
    let answers: BTreeSet<String> =
        cluster.up().chain([&gateway]).map(|node| node.flux(flux).expect_status(200).text()).collect();
    assert_eq!(answers.len(), 1, "{answers:#?}");
}

/// A client that writes through a gateway that may be another process at any time.
struct Writer {
    url: Mutex<String>,
    next: AtomicU64,
}

/// Numbers of the first writer, and of the second.
const FIRST: [u64; 2] = [0, 1_000_000];

impl Writer {
    /// Writes until told to stop; sends again whatever it has no certain answer for, as clients do.
    fn run(&self, token: &str, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let first = self.next.load(Ordering::Relaxed);
            let url = self.url.lock().expect("no holder panics").clone();
            let reply = Request::new("POST", format!("{url}/api/v2/write?org=acme&bucket=metrics"))
                .token(token)
                .timeout(Duration::from_secs(30))
                .body(lines(first..first + 10))
                .try_send();
            match reply {
                // The process is gone, or another is not there yet.
                Err(_) => {}
                Ok(reply) if matches!(reply.status, 503 | 429) => {
                    assert!(reply.header("retry-after").is_some(), "{}", reply.text());
                }
                Ok(reply) => {
                    reply.expect_status(204);
                    self.next.store(first + 10, Ordering::Relaxed);
                }
            }
        }
    }

    fn wait_for_more(&self) {
        let before = self.next.load(Ordering::Relaxed);
        wait_for("writes to go on", || {
            let next = self.next.load(Ordering::Relaxed);
            if next >= before + 100 { Ok(()) } else { Err(next) }
        });
    }
}

#[test]
fn nothing_is_lost_when_nodes_and_gateways_are_killed() {
    let mut cluster = Cluster::start(3, &["--partitions", "8"]);
    let mut gateways = [cluster.gateway(&[]), cluster.gateway(&[])];
    let writer = |at: usize| Writer {
        url: Mutex::new(gateways[at].url().to_owned()),
        next: AtomicU64::new(FIRST[at]),
    };
    let writers = [writer(0), writer(1)];
    let (token, stop) = (cluster.node(0).token().to_owned(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (token, stop) = (&token, &stop);
        let running: Vec<_> =
            writers.iter().map(|writer| scope.spawn(move || writer.run(token, stop))).collect();
        for round in 0..4 {
            writers.iter().for_each(Writer::wait_for_more);
            let (victim, gateway) = (cluster.leads_most(), round % 2);
            cluster.kill(victim);
            gateways[gateway].kill();
            assert!(is_empty(&gateways[gateway]));
            // The other one goes on with two nodes.
            writers[1 - gateway].wait_for_more();
            gateways[gateway] = cluster.gateway(&[]);
            *writers[gateway].url.lock().expect("no holder panics") = gateways[gateway].url().to_owned();
            writers.iter().for_each(Writer::wait_for_more);
            cluster.start_missing();
        }
        stop.store(true, Ordering::Relaxed);
        running.into_iter().for_each(|writer| writer.join().expect("the writer does not panic"));
    });
    let mut acknowledged = BTreeSet::new();
    for (writer, first) in writers.iter().zip(FIRST) {
        acknowledged.extend(first..writer.next.load(Ordering::Relaxed));
    }
    for reader in gateways.iter().chain(cluster.up()) {
        let seen = numbers(reader);
        let lost: Vec<_> = acknowledged.difference(&seen).take(5).collect();
        assert!(lost.is_empty(), "acknowledged points are lost: {lost:?}");
        // At most the last request of each was not acknowledged.
        assert!(seen.len() <= acknowledged.len() + 20, "{} of {}", seen.len(), acknowledged.len());
    }
}

#[test]
fn a_gateway_follows_another_node_when_its_own_is_gone() {
    let mut cluster = Cluster::start(3, &["--partitions", "4"]);
    let gateway = cluster.gateway(&[]);
    let place = |id: &str| usize::from_str_radix(id, 16).expect("an id") - 1;
    let source = |gateway: &Node| {
        wait_for("the gateway to be known", || match &followed(gateway)[..] {
            [(_, node)] => Ok(place(node)),
            other => Err(other.to_vec()),
        })
    };
    // One that stands still, one that dies, and all at once.
    let silent = source(&gateway);
    cluster.node(silent).pause();
    make_and_use(cluster.node((silent + 1) % 3), &gateway, "while_paused");
    cluster.node(silent).resume();
    let dead = source(&gateway);
    cluster.kill(dead);
    make_and_use(cluster.node((dead + 1) % 3), &gateway, "while_dead");
    cluster.start_missing();
    cluster.kill_all();
    // That a group has no majority it knows before it knows that nobody is there at all.
    for probe in ["/ready", "/health"] {
        wait_for("the gateway to say that it is alone", || match gateway.get(probe).try_send() {
            Ok(reply) if reply.status == 503 => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
    gateway.get("/ping").send().expect_status(204);
    let refused = gateway.write("metrics", "m v=1 1").expect_status(503);
    assert!(refused.header("retry-after").is_some());
    // Nobody is turned away for what the gateway merely cannot know.
    gateway.post("/write?db=nowhere").token(gateway.token()).body("m v=1 1").send().expect_status(503);
    cluster.start_missing();
    wait_for("the gateway to serve again", || match gateway.get("/ready").try_send() {
        Ok(reply) if reply.status == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    make_and_use(cluster.node(0), &gateway, "after_all");
    make_and_use(&gateway, cluster.node(1), "back");
    assert!(is_empty(&gateway));
}

#[test]
fn a_gateway_waits_for_its_cluster() {
    let addresses = free_addresses(2);
    let options = NodeOptions {
        is_gateway: true,
        args: vec!["--initial-peers".to_owned(), addresses[0].clone()],
        ..NodeOptions::default()
    };
    let mut gateway = Node::launch(options, &addresses[1]);
    wait_for("the gateway to say what it waits for", || match gateway.get("/ready").try_send() {
        Ok(reply) if reply.status == 503 && reply.text().contains(&addresses[0]) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let write = gateway.post("/api/v2/write?org=acme&bucket=metrics").body("m v=1").send().expect_status(503);
    assert_eq!(write.header("retry-after"), Some("1"));
    let mut node = Node::start(NodeOptions {
        peer_bind_address: Some(addresses[0].clone()),
        args: vec!["--initial-peers".to_owned(), addresses[0].clone()],
        ..NodeOptions::default()
    });
    wait_for("the gateway to serve", || match gateway.get("/ready").try_send() {
        Ok(reply) if reply.status == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // Even the first set-up goes through it.
    gateway.set_up();
    node.adopt_token(gateway.token());
    gateway.write("metrics", lines(0..100)).expect_status(204);
    assert_eq!((numbers(&gateway), numbers(&node)), (all(100), all(100)));
    assert!(gateway.terminate().success(), "{}", gateway.log());
    assert!(is_empty(&gateway));
}

#[test]
fn who_asks_for_what_is_old_is_answered_by_any_replica_that_is_left() {
    let mut cluster = Cluster::start(3, &["--partitions", "8"]);
    cluster.node(0).write("metrics", lines(0..100)).expect_status(204);
    let gateway = cluster.gateway(&[]);
    assert_eq!(numbers(&gateway), all(100));
    wait_for("the node that is left to have all", || match numbers(cluster.node(2)) {
        seen if seen == all(100) => Ok(()),
        seen => Err(seen),
    });
    cluster.kill(0);
    cluster.kill(1);
    for (level, expected) in [("any", 200), ("bounded(1h)", 200), ("leader", 503), ("linearizable", 503)] {
        let path = format!("/query?db=metrics&consistency={level}&q=SELECT+n+FROM+m");
        let answer = gateway.get(&path).token(gateway.token()).send().expect_status(expected).text();
        assert_eq!(expected == 200, answer.contains(",99]"), "{level}: {answer}");
    }
}
