//! Nodes that die, fail or take long between the steps of what changes a cluster: a move's, a snapshot's, a commit's.
//! Whatever was begun comes to its end without them, or when they are back, and nothing is lost.

use testkit::{Cluster, NodeOptions, wait_for};

use crate::cluster::{lines, moves, verb};
use crate::cluster_moves::{ARGUMENTS, check, order, said, under_load};

/// What a node passes when replicas come to it.
const COMING: [&str; 6] = [
    "replica-open",
    "replica-claimed",
    "replica-machine-open",
    "snapshot-received",
    "snapshot-install",
    "snapshot-installed",
];
/// What those pass that lead groups whose replicas move.
const LEADING: [&str; 5] =
    ["step-of-a-plan", "members-add", "snapshot-send", "members-voters", "members-changed"];
/// What a node passes when replicas leave it.
const LEAVING: [&str; 2] = ["replica-leaves", "replica-retired"];

fn set(options: &mut NodeOptions, points: &str) {
    options.env = vec![("FAILPOINTS".to_owned(), points.to_owned())];
}

/// So much that it is in files, and the log before them gone, on every node.
fn fill(cluster: &Cluster) -> u64 {
    for first in (0..20_000).step_by(500) {
        cluster.node(0).write("metrics", lines(first..first + 500)).expect_status(204);
    }
    20_000
}

/// Starts whoever has died, without anything that fails, and waits until nothing is on its way any more.
fn settle(cluster: &mut Cluster) {
    wait_for("nothing to be on its way", || {
        let ended = cluster.bury();
        cluster.start_some(&ended);
        let node = cluster.up().next().expect("a node is up");
        let moving = order(node, &["partition", "moves", "-o", "json"]);
        if moving.status.success() && moves(node).is_empty() { Ok(()) } else { Err(said(&moving)) }
    });
}

/// All have everything, and replicas are equal.
fn compare(cluster: &Cluster, points: u64) {
    check(cluster, points);
    let node = cluster.up().next().expect("a node is up");
    let compared = verb(node, &["partition", "compare", "-o", "json"]);
    assert!(compared.iter().all(|partition| partition["outcome"] == "equal"), "{compared:?}");
}

/// Starts a node with a point at which it dies, again and again with the next one.
fn die_at_each(cluster: &mut Cluster, at: usize, points: &[&str]) {
    for point in points {
        cluster.change(at, |options| set(options, &format!("{point}=1*return(kill)")));
        let mut node = cluster.launch(at);
        let ended = node.wait_for_end();
        assert!(!ended.success(), "{point}: {ended}");
    }
    cluster.change(at, |options| options.env.clear());
    cluster.start_some(&[at]);
}

#[test]
fn a_node_that_dies_at_each_step_of_getting_replicas_gets_them() {
    let mut cluster = Cluster::start(3, &ARGUMENTS);
    let points = fill(&cluster);
    let points = under_load(&mut cluster, 0, points, |cluster| {
        let at = cluster.add("zone-3");
        die_at_each(cluster, at, &COMING);
        settle(cluster);
    });
    compare(&cluster, points);
}

/// What every step of these does, the first times in each process.
fn at_all(points: &[&str], action: &str) -> String {
    points.iter().map(|point| format!("{point}={action}")).collect::<Vec<_>>().join(";")
}

/// A node joins while every step of it, and of those that lead the groups which it joins, does this at first.
fn join_where_each_step(action: &str) -> Vec<String> {
    let mut cluster = Cluster::start(3, &ARGUMENTS);
    let points = fill(&cluster);
    for at in [1, 2] {
        cluster.kill(at);
        cluster.change(at, |options| set(options, &at_all(&LEADING, action)));
        cluster.start_some(&[at]);
    }
    let mut said = Vec::new();
    let points = under_load(&mut cluster, 0, points, |cluster| {
        let at = cluster.add("zone-3");
        cluster.change(at, |options| set(options, &at_all(&COMING, action)));
        let mut node = cluster.launch(at);
        node.adopt_token(cluster.node(1).token());
        cluster.put(at, node);
        wait_for("the node to have its share", || {
            // Who must not go on after an error ends, and is started again without any.
            for ended in cluster.bury() {
                cluster.change(ended, |options| options.env.clear());
                cluster.start_some(&[ended]);
            }
            let held = verb(cluster.node(1), &["partition", "ls", "-o", "json"]);
            let held = held.iter().filter(|partition| partition["replicas"].to_string().contains(&id_of(at)));
            let held = held.count();
            if held > 0 && moves(cluster.node(1)).is_empty() { Ok(()) } else { Err(held) }
        });
        said.extend(cluster.up().map(testkit::Node::log));
    });
    compare(&cluster, points);
    said
}

#[test]
fn steps_that_fail_are_taken_again() {
    let said = join_where_each_step("2*return(eio)");
    assert!(said.iter().any(|log| log.contains("a failpoint wants an error (eio)")), "no step has failed");
}

#[test]
fn steps_that_take_long_are_waited_for() {
    join_where_each_step("3*sleep(700)");
}

fn id_of(at: usize) -> String {
    format!("{:016x}", at + 1)
}

/// A partition with a replica on a node, another node that has one too, and one that has none.
fn partition_of(cluster: &Cluster, id: &str) -> Option<(String, String, String)> {
    let partitions = verb(cluster.node(3), &["partition", "ls", "-o", "json"]);
    partitions.iter().find_map(|partition| {
        let replicas: Vec<&str> = partition["replicas"].as_str().expect("nodes").split(' ').collect();
        let other = replicas.iter().find(|other| **other != id)?;
        let none = (0..4).map(id_of).find(|node| !replicas.contains(&node.as_str()))?;
        replicas.contains(&id).then(|| (partition["partition"].to_string(), (*other).to_owned(), none))
    })
}

/// A node is started with a point at which it dies, leads or leaves a partition whose replicas move, and comes back.
fn die_in_a_move(cluster: &mut Cluster, at: usize, point: &str, leaves: bool) {
    let victim = id_of(at);
    cluster.kill(at);
    cluster.change(at, |options| set(options, &format!("{point}=1*return(kill)")));
    let node = cluster.launch(at);
    cluster.put(at, node);
    let status = wait_for(point, || {
        if let Some(status) = cluster.node_mut(at).ended() {
            return Ok(status);
        }
        let asked = cluster.node(3);
        let (partition, other, none) = partition_of(cluster, &victim)
            .ok_or_else(|| (String::new(), "the node has no replica".to_owned()))?;
        let from = if leaves { &victim } else { &other };
        // Neither is taken as long as the node is not there yet, or the move is on its way.
        let lead =
            order(asked, &["raft", "transfer-leader", &partition, if leaves { &other } else { &victim }]);
        let moved = order(asked, &["partition", "move", &partition, from, &none]);
        Err((said(&lead), said(&moved)))
    });
    assert!(!status.success(), "{point}: {status}");
    cluster.change(at, |options| options.env.clear());
    settle(cluster);
}

#[test]
fn a_node_that_dies_at_each_step_of_a_move_that_it_leads_or_leaves_holds_nothing_up() {
    let mut cluster = Cluster::start(3, &ARGUMENTS);
    let points = fill(&cluster);
    cluster.join("zone-3");
    settle(&mut cluster);
    let points = under_load(&mut cluster, 0, points, |cluster| {
        for (turn, point) in LEADING.into_iter().enumerate() {
            die_in_a_move(cluster, 1 + turn % 2, point, false);
        }
        for (turn, point) in LEAVING.into_iter().enumerate() {
            die_in_a_move(cluster, 1 + turn % 2, point, true);
        }
    });
    compare(&cluster, points);
}

#[test]
fn a_node_that_dies_between_the_catalog_and_its_log_comes_back() {
    let mut cluster = Cluster::start(3, &ARGUMENTS);
    let create = |cluster: &Cluster, name: &str| {
        let made = cluster.node(0).influxql("metrics", &format!("CREATE DATABASE {name}"));
        made.expect_status(200);
    };
    // At an entry of the start, and at later ones.
    for (turn, passed) in [0, 3, 9].into_iter().enumerate() {
        let at = 1 + turn % 2;
        cluster.kill(at);
        cluster.change(at, |options| {
            set(options, &format!("catalog-apply={passed}*off->1*return(kill)"));
        });
        let mut node = cluster.launch(at);
        for number in 0.. {
            if node.ended().is_some() || number == 3000 {
                break;
            }
            create(&cluster, &format!("d{turn}x{number}"));
        }
        assert!(node.ended().is_some(), "{passed} entries were not passed");
        cluster.change(at, |options| options.env.clear());
        cluster.start_some(&[at]);
    }
    let databases =
        |node: &testkit::Node| node.influxql("metrics", "SHOW DATABASES").expect_status(200).text();
    let all = databases(cluster.node(0));
    assert!(all.contains("d0x0") && all.contains("d1x0"), "{all}");
    for node in cluster.up() {
        assert_eq!(databases(node), all);
    }
}
