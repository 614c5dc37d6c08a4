//! A cluster of one grows: every partition gets three replicas while others write, and then the first node may die. And as
//! many replicas as somebody asks for.

use testkit::{Cluster, Node, NodeOptions, free_addresses, wait_for};

use crate::cluster::{all, figures, lines, moves, numbers};
use crate::cluster_moves::{
    ARGUMENTS, PARTITIONS, check, order, replicas, said, under_load, wait_for_replicas,
};

fn everything() -> usize {
    usize::try_from(PARTITIONS).expect("small")
}

#[test]
fn a_node_alone_gets_two_more_under_load_and_then_its_death_loses_nothing() {
    let mut cluster = Cluster::start(1, &ARGUMENTS);
    // Enough to be in files, which are sent, and not in the log alone.
    for first in (0..20_000).step_by(500) {
        cluster.node(0).write("metrics", lines(first..first + 500)).expect_status(204);
    }
    let points = under_load(&mut cluster, 0, 20_000, |cluster| {
        cluster.join("zone-1");
        let each = everything();
        // Two nodes have no majority without the first: nothing is gained yet, and nothing moves.
        wait_for_replicas(cluster.node(1), &[("1", each)]);
        cluster.join("zone-2");
        wait_for_replicas(cluster.node(2), &[("1", each), ("2", each), ("3", each)]);
    });
    check(&cluster, points);
    let points = under_load(&mut cluster, 1, points, |cluster| cluster.kill(0));
    check(&cluster, points);
    cluster.start_missing();
    check(&cluster, points);
}

#[test]
fn as_many_replicas_as_are_asked_for() {
    let mut cluster = Cluster::start(3, &ARGUMENTS);
    let each = everything();
    let refused = order(cluster.node(1), &["cluster", "set-replication", "2"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("an odd number of replicas"), "{}", said(&refused));
    let points = under_load(&mut cluster, 1, 0, |cluster| {
        let asked = order(cluster.node(2), &["cluster", "set-replication", "1"]);
        assert!(asked.status.success(), "{}", said(&asked));
        let seen = wait_for("one replica of each partition", || {
            let moving = moves(cluster.node(0));
            let held = replicas(cluster.node(0));
            let is_done = held.values().sum::<usize>() == each && held.len() == 3 && moving.is_empty();
            if is_done {
                Ok(order(cluster.node(0), &["cluster", "status", "-o", "table"]))
            } else {
                Err((held, moving))
            }
        });
        let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
        assert!(seen.contains("8 partitions of 1 replicas"), "{seen}");
    });
    check(&cluster, points);
    let points = under_load(&mut cluster, 1, points, |cluster| {
        let asked = order(cluster.node(2), &["cluster", "set-replication", "3"]);
        assert!(asked.status.success(), "{}", said(&asked));
        wait_for_replicas(cluster.node(0), &[("1", each), ("2", each), ("3", each)]);
    });
    check(&cluster, points);
    let points = under_load(&mut cluster, 1, points, |cluster| cluster.kill(2));
    check(&cluster, points);
}

#[test]
fn a_node_that_was_started_without_others_can_be_given_some() {
    let args =
        |more: &[String]| ARGUMENTS.into_iter().map(str::to_owned).chain(more.iter().cloned()).collect();
    let mut first = Node::start(NodeOptions { args: args(&[]), ..NodeOptions::default() });
    first.set_up();
    first.write("metrics", lines(0..1000)).expect_status(204);
    let addresses = free_addresses(3);
    let peers = ["--initial-peers".to_owned(), addresses[0].clone()];
    assert!(first.terminate().success());
    let first = first.start_again(|new| {
        new.peer_bind_address = Some(addresses[0].clone());
        new.args = args(&peers);
    });
    let others: Vec<Node> = addresses[1..]
        .iter()
        .map(|address| {
            let peer_bind_address = Some(address.clone());
            let mut node =
                Node::start(NodeOptions { peer_bind_address, args: args(&peers), ..NodeOptions::default() });
            node.adopt_token(first.token());
            node
        })
        .collect();
    let each = everything();
    wait_for_replicas(&others[0], &[("1", each), ("2", each), ("3", each)]);
    first.write("metrics", lines(1000..2000)).expect_status(204);
    drop(first);
    // It may be unknown of the first whether it was written: it is written again.
    wait_for("a write without the first node", || {
        let reply = others[1].write("metrics", lines(2000..3000));
        if reply.status == 204 { Ok(()) } else { Err(reply.text()) }
    });
    for node in &others {
        assert_eq!(numbers(node), all(3000));
        assert_eq!(figures(node), (3000, 3000 * 2999 / 2));
    }
}
