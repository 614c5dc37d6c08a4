//! Nodes join, are emptied, leave, and lose their volumes while others write: what was acknowledged is there afterwards,
//! once, on every replica.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;
use testkit::binary::tidemark_binary;
use testkit::{Cluster, Node, wait_for};

use crate::cluster::{all, figures, lines, moves, numbers, verb, write_on};

/// Partitions, each with three replicas.
pub(crate) const PARTITIONS: u64 = 8;
/// Small tables in memory, so that replicas are sent files as well as entries.
pub(crate) const ARGUMENTS: [&str; 4] = ["--partitions", "8", "--memtable-size", "64KiB"];

/// Writes through a node while something is done; answers how many points all have acknowledged afterwards.
pub(crate) fn under_load(
    cluster: &mut Cluster,
    writer: usize,
    from: u64,
    work: impl FnOnce(&mut Cluster),
) -> u64 {
    let next = AtomicU64::new(from);
    let stop = AtomicBool::new(false);
    let node = cluster.take(writer);
    let is_written = |points: u64| {
        let written = next.load(Ordering::Relaxed);
        if written >= points { Ok(()) } else { Err(written) }
    };
    std::thread::scope(|scope| {
        let mut acknowledged = Vec::new();
        let (node, next, stop) = (&node, &next, &stop);
        // Also when something is not as it should be: the scope waits for the writer.
        let stopping = Stopping(stop);
        let writing = scope.spawn(move || write_on(node, next, stop, &mut acknowledged));
        wait_for("writes", || is_written(from + 200));
        work(cluster);
        // They still go on.
        let now = next.load(Ordering::Relaxed);
        wait_for("writes to go on", || is_written(now + 200));
        drop(stopping);
        writing.join().expect("the writer does not panic");
    });
    // The last request may have been carried out without an answer.
    let next = next.load(Ordering::Relaxed);
    node.write("metrics", lines(next..next + 10)).expect_status(204);
    cluster.put(writer, node);
    next + 10
}

/// Stops a writer when it goes.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Every node answers with every point, and with nothing twice; each reads the replicas that it has itself.
pub(crate) fn check(cluster: &Cluster, points: u64) {
    for node in cluster.up() {
        assert_eq!(numbers(node), all(points));
        assert_eq!(figures(node), (points, points * (points - 1) / 2));
    }
}

/// How many replicas of partitions each node has.
pub(crate) fn replicas(node: &Node) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for partition in verb(node, &["partition", "ls", "-o", "json"]) {
        for node in partition["replicas"].as_str().expect("nodes").split(' ') {
            *counts.entry(node.trim_start_matches('0').to_owned()).or_default() += 1;
        }
    }
    counts
}

/// Waits until nothing moves, and these nodes have so many replicas.
pub(crate) fn wait_for_replicas(node: &Node, wanted: &[(&str, usize)]) {
    let wanted = wanted.iter().map(|(node, count)| ((*node).to_owned(), *count)).collect();
    wait_for("replicas where they should be", || {
        let (counts, moves) = (replicas(node), moves(node));
        if counts == wanted && moves.is_empty() { Ok(()) } else { Err((counts, moves)) }
    });
}

/// Runs a verb that orders something.
pub(crate) fn order(node: &Node, arguments: &[&str]) -> Output {
    let mut command = Command::new(tidemark_binary());
    command.args(arguments).args(["--host", node.url(), "--token", node.token()]);
    command.output().expect("the binary runs")
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn state_of(node: &Node, id: &str) -> Value {
    let nodes = verb(node, &["node", "ls", "-o", "json"]);
    let found = nodes.iter().find(|node| node["id"].as_str().is_some_and(|known| known.ends_with(id)));
    found.map_or(Value::Null, |node| node["state"].clone())
}

#[test]
fn a_fourth_node_gets_its_share_and_one_that_drains_leaves() {
    let mut cluster = Cluster::start(3, &ARGUMENTS);
    let points = under_load(&mut cluster, 1, 0, |cluster| {
        assert_eq!(cluster.join("zone-3"), 3);
        let share = usize::try_from(3 * PARTITIONS / 4).expect("small");
        let even = [("1", share), ("2", share), ("3", share), ("4", share)];
        wait_for_replicas(cluster.node(0), &even);
        // One goes where an operator says, and another comes back for it.
        let before = placed(cluster.node(0), 5);
        let to = ["1", "2", "3", "4"].into_iter().find(|id| !before.iter().any(|node| node == id));
        let moved =
            order(cluster.node(3), &["partition", "move", "5", &before[0], to.expect("three of four")]);
        assert!(moved.status.success(), "{}", said(&moved));
        wait_for("the replica to move", || {
            let now = placed(cluster.node(0), 5);
            if now == before { Err(now) } else { Ok(()) }
        });
        wait_for_replicas(cluster.node(0), &even);
        let absent = order(cluster.node(3), &["partition", "move", "5", "77", "1"]);
        assert_eq!(absent.status.code(), Some(3), "{}", said(&absent));
    });
    check(&cluster, points);

    // It does not leave with what it has.
    let refused = order(cluster.node(2), &["node", "decommission", "1"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("drain it first"), "{}", said(&refused));
    let points = under_load(&mut cluster, 1, points, |cluster| {
        let drained = order(cluster.node(2), &["node", "drain", "1", "--wait"]);
        assert!(drained.status.success(), "{}", said(&drained));
        assert!(said(&drained).contains("replicas; on their way: "), "{}", said(&drained));
        assert_eq!(state_of(cluster.node(3), "1"), "draining");
        let all = usize::try_from(PARTITIONS).expect("small");
        wait_for_replicas(cluster.node(3), &[("2", all), ("3", all), ("4", all)]);
    });
    // One that holds nothing serves as well as any.
    check(&cluster, points);
    let points = under_load(&mut cluster, 1, points, |cluster| {
        let mut first = cluster.take(0);
        let left = order(cluster.node(3), &["node", "decommission", "1"]);
        assert!(left.status.success(), "{}", said(&left));
        let ended = first.wait_for_end();
        assert!(ended.success(), "{}", first.log());
        assert!(first.log().contains("this node was decommissioned"), "{}", first.log());
        assert_eq!(state_of(cluster.node(3), "1"), "decommissioned");
        // What is left of it is sound, and of no more use.
        let mut verify = Command::new(tidemark_binary());
        verify.arg("verify").arg("--data-dir").arg(first.data_dir());
        let verified = verify.output().expect("the binary runs");
        assert!(verified.status.success(), "{verified:?}");
        let mut again = cluster.launch(0);
        assert!(!again.wait_for_end().success());
        assert!(again.log().contains("node 0000000000000001 is decommissioned"), "{}", again.log());
    });
    check(&cluster, points);
}

#[test]
fn what_a_lost_node_had_is_made_anew_elsewhere() {
    let mut cluster = Cluster::start(3, &ARGUMENTS);
    let all = usize::try_from(PARTITIONS).expect("small");
    let points = under_load(&mut cluster, 0, 0, |cluster| {
        cluster.kill(2);
        let given_up = order(cluster.node(1), &["node", "replace", "3"]);
        assert!(given_up.status.success(), "{}", said(&given_up));
        assert_eq!(state_of(cluster.node(1), "3"), "lost");
        // Should it not be lost after all, it finds out, though its own catalog does not know.
        let mut lost = cluster.launch(2);
        assert!(!lost.wait_for_end().success());
        let log = lost.log();
        assert!(log.contains("lost") && log.contains("joins as a new node"), "{log}");
        // It has noted that.
        let mut again = cluster.launch(2);
        assert!(!again.wait_for_end().success());
        assert!(again.log().contains("node 0000000000000003 is lost"), "{}", again.log());
        let refused = order(cluster.node(1), &["node", "undrain", "3"]);
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        assert_eq!(cluster.join("zone-2"), 3);
        wait_for_replicas(cluster.node(1), &[("1", all), ("2", all), ("4", all)]);
    });
    check(&cluster, points);
    // The new replicas are as good as any: a quorum needs them now.
    let points = under_load(&mut cluster, 0, points, |cluster| cluster.kill(1));
    check(&cluster, points);
    cluster.start_some(&[1]);
    check(&cluster, points);
}

/// The nodes with a replica of a partition.
pub(crate) fn placed(node: &Node, partition: usize) -> Vec<String> {
    let partitions = verb(node, &["partition", "ls", "-o", "json"]);
    let nodes = partitions[partition]["replicas"].as_str().expect("nodes").to_owned();
    nodes.split(' ').map(|node| node.trim_start_matches('0').to_owned()).collect()
}

#[test]
fn a_node_that_is_silent_for_long_is_done_without_until_it_comes_back() {
    let arguments: Vec<&str> = ARGUMENTS.into_iter().chain(["--replace-silent-after", "3s"]).collect();
    let mut cluster = Cluster::start(3, &arguments);
    let all = usize::try_from(PARTITIONS).expect("small");
    let share = 3 * all / 4;
    let even = [("1", share), ("2", share), ("3", share), ("4", share)];
    let points = under_load(&mut cluster, 1, 0, |cluster| {
        cluster.join("zone-3");
        wait_for_replicas(cluster.node(0), &even);
        cluster.kill(3);
        wait_for_replicas(cluster.node(0), &[("1", all), ("2", all), ("3", all)]);
        assert_eq!(state_of(cluster.node(0), "4"), "away");
    });
    check(&cluster, points);
    let points = under_load(&mut cluster, 1, points, |cluster| {
        cluster.start_some(&[3]);
        wait_for_replicas(cluster.node(3), &even);
    });
    check(&cluster, points);
    // Of three that are left nobody can be spared.
    cluster.kill(3);
    wait_for_replicas(cluster.node(0), &[("1", all), ("2", all), ("3", all)]);
    wait_for("all moves to end", || {
        let left = moves(cluster.node(0));
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
    cluster.kill(2);
    let points = under_load(&mut cluster, 1, points, |cluster| assert!(moves(cluster.node(0)).is_empty()));
    check(&cluster, points);
}
