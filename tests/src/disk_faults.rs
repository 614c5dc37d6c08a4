//! Disks that fail under a real process: it dies at any write, sync, rename or removal, or what it had not synced is lost,
//! or a sync fails. Whatever was acknowledged is there when the node comes back, or on the other nodes.

use std::sync::atomic::Ordering;

use testkit::{Cluster, Node, NodeOptions, wait_for};

use crate::durability::{check, load_until_killed, survive, writers};

/// Requests after which a fault that did not come will not.
const ENOUGH: u64 = 400;

fn options(faults: &str) -> NodeOptions {
    NodeOptions {
        // Small memtables, so that flushes and merges are among what is under way.
        args: ["--partitions", "2", "--memtable-size", "32KiB"].map(String::from).to_vec(),
        env: vec![("TIDEMARK_DISK_FAULTS".to_owned(), faults.to_owned())],
        ..NodeOptions::default()
    }
}

#[test]
fn what_was_acknowledged_survives_the_loss_of_all_that_was_not_synced() {
    survive(options("unsynced"), 20);
}

/// Operations, the part of the path that they concern, and how often they happen before enough was written.
const STEPS: [(&str, &str, &[u32]); 9] = [
    ("write", "raft", &[5, 40, 150]),
    ("write", "partitions", &[2, 9, 33]),
    ("sync", "raft", &[7, 60]),
    ("sync", "partitions", &[2, 8, 21]),
    ("sync-dir", "partitions", &[3, 7, 15]),
    ("create", "partitions", &[3, 9, 14]),
    ("rename", "", &[1, 2]),
    ("remove", "partitions", &[1, 4]),
    ("remove", "raft", &[1]),
];

#[test]
fn a_process_that_dies_at_any_step_has_lost_nothing_when_it_comes_back() {
    let (mut came, mut planned) = (0, 0);
    for (operation, part, numbers) in STEPS {
        let actions: &[&str] = if operation == "write" { &["tear"] } else { &["kill", "kill-after"] };
        for (number, action) in numbers.iter().zip(actions.iter().cycle()) {
            let plan = format!("{operation}:{part}:{number}:{action}; unsynced");
            // It is set up first: a node whose first start fails has nothing to lose.
            let mut node = Node::start(options(""));
            node.set_up();
            let mut node = node.start_or_end(|new| new.env = options(&plan).env);
            let writers = writers();
            if node.ended().is_none() {
                load_until_killed(&mut node, &writers, ENOUGH);
            }
            let acknowledged: u64 =
                writers.iter().map(|writer| writer.acknowledged.load(Ordering::SeqCst)).sum();
            planned += 1;
            came += u32::from(acknowledged < ENOUGH * 20);
            let node = node.start_again(|new| new.env = Vec::new());
            check(&node, &writers, &plan);
        }
    }
    // A fault may come at the start already or not at all, but most come under load.
    assert!(came * 4 >= planned * 3, "{came} of {planned} faults came");
}

#[test]
fn a_node_whose_sync_fails_stops_and_the_others_go_on() {
    let mut cluster = Cluster::start(3, &["--partitions", "4"]);
    let line = |n: u64| format!("m n={n}i {n}");
    cluster.node(0).write("metrics", line(0)).expect_status(204);
    let victim = cluster.leads_most();
    let failing = |new: &mut NodeOptions| {
        new.env = vec![("TIDEMARK_DISK_FAULTS".to_owned(), "sync:raft:20+:eio".to_owned())];
    };
    let node = cluster.take(victim).start_again(failing);
    cluster.put(victim, node);
    let other = (victim + 1) % 3;
    let mut n = 0;
    let mut ended = None;
    wait_for("the node to stop", || {
        n += 1;
        let reply = cluster.node(other).write("metrics", line(n));
        assert!(reply.status == 204 || reply.status == 503, "{} {}", reply.status, reply.text());
        n -= u64::from(reply.status == 503);
        ended = cluster.node_mut(victim).ended();
        ended.ok_or(())
    });
    assert!(ended.is_some_and(|status| !status.success()), "{ended:?}");
    let log = cluster.node(victim).log();
    assert!(log.contains("Input/output error"), "{log}");
    wait_for("writes to go on", || {
        n += 1;
        let reply = cluster.node(other).write("metrics", line(n));
        n -= u64::from(reply.status == 503);
        if reply.status == 204 { Ok(()) } else { Err(reply.text()) }
    });
    let node = cluster.take(victim).start_again(|new| new.env = Vec::new());
    cluster.put(victim, node);
    for reader in cluster.up() {
        let count = reader.influxql("metrics", "SELECT count(n) FROM m").expect_status(200).json();
        assert_eq!(count["results"][0]["series"][0]["values"][0][1].as_u64(), Some(n + 1), "{count}");
    }
}

#[test]
fn a_cluster_that_loses_power_altogether_has_all_that_was_acknowledged() {
    let mut cluster = Cluster::start(3, &["--partitions", "4", "--disk-faults", "unsynced"]);
    let lines = |round: u64| (0..50).map(|n| format!("m,s=s{n} n={round}i {round}\n")).collect::<String>();
    for round in 0..4 {
        for node in cluster.up() {
            node.write("metrics", lines(round)).expect_status(204);
        }
        // Right after the last acknowledgement, which two of three have given.
        cluster.kill_all();
        cluster.start_missing();
        for reader in cluster.up() {
            let count = reader.influxql("metrics", "SELECT count(n) FROM m").expect_status(200).json();
            let count = count["results"][0]["series"][0]["values"][0][1].as_u64();
            assert_eq!(count, Some((round + 1) * 50), "round {round}");
        }
    }
}
