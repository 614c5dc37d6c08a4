//! A cluster is upgraded node by node while others write; what only the newer version understands is used once somebody
//! has said so, and from then on nothing older takes part.
//!
//! The older version is another build where `TIDEMARK_OLD_BINARY` names one, else this build at the first feature level.

use std::path::PathBuf;

use serde_json::Value;
use testkit::{Cluster, Node, NodeOptions, free_addresses, wait_for};

use crate::cluster::{lines, verb};
use crate::cluster_moves::{ARGUMENTS, PARTITIONS, check, order, said, under_load};

const CONTINUOUS: &str =
    "CREATE CONTINUOUS QUERY q ON metrics BEGIN SELECT mean(v) INTO n FROM nothing GROUP BY time(1h) END";
/// How the older version is started; it is started as the newer one without this.
fn make_old(options: &mut NodeOptions) {
    options.binary = std::env::var_os("TIDEMARK_OLD_BINARY").map(PathBuf::from);
    if options.binary.is_none() {
        options.env = vec![("TIDEMARK_FEATURE_LEVEL".to_owned(), "1".to_owned())];
    }
}

fn make_new(options: &mut NodeOptions) {
    options.binary = None;
    options.env.clear();
}

fn start_old() -> Cluster {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let addresses = free_addresses(3);
    let options = addresses.iter().enumerate().map(|(at, address)| {
        let own =
            ["--initial-peers", &addresses.join(","), "--zone", &format!("zone-{at}")].map(str::to_owned);
        let mut options = NodeOptions {
            data_dir: Some(dir.path().join(at.to_string())),
            peer_bind_address: Some(address.clone()),
            args: ARGUMENTS.into_iter().map(str::to_owned).chain(own).collect(),
            ..NodeOptions::default()
        };
        make_old(&mut options);
        options
    });
    Cluster::of(options.collect(), dir)
}

/// Stops a node as an update does, and starts it as another version when it has ended.
fn replace(cluster: &mut Cluster, at: usize, change: fn(&mut NodeOptions)) {
    let mut node = cluster.take(at);
    let status = node.terminate();
    assert!(status.success(), "the node ended with {status}: {}", node.log());
    cluster.change(at, change);
    cluster.start_some(&[at]);
}

fn survey(node: &Node) -> Value {
    let reply = node.get("/api/v1/cluster/status").token(node.token()).send().expect_status(200);
    serde_json::from_str(&reply.text()).expect("JSON")
}

/// The level that the cluster is at, and those that its nodes understand.
fn levels(node: &Node) -> (u64, Vec<u64>) {
    let survey = survey(node);
    let nodes = survey["nodes"].as_array().expect("nodes").iter();
    let each = nodes.map(|node| node["level"].as_u64().expect("a level")).collect();
    (survey["level"].as_u64().expect("a level"), each)
}

fn wait_for_levels(node: &Node, wanted: &(u64, Vec<u64>)) {
    wait_for("the catalog to know the levels", || match levels(node) {
        seen if seen == *wanted => Ok(()),
        seen => Err(seen),
    });
}

fn refused(node: &Node, arguments: &[&str], why: &str) {
    let output = order(node, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
    assert!(said(&output).contains(why), "{arguments:?}: {}", said(&output));
}

#[test]
fn a_cluster_is_upgraded_under_load_and_finalized() {
    let mut cluster = start_old();
    wait_for_levels(cluster.node(0), &(1, vec![1, 1, 1]));
    let old_gateway = {
        let mut options = NodeOptions { is_gateway: true, ..NodeOptions::default() };
        options.args = vec!["--initial-peers".to_owned(), cluster.peer_addresses().join(",")];
        make_old(&mut options);
        let mut gateway = Node::start(options);
        gateway.adopt_token(cluster.node(0).token());
        gateway
    };
    let points = under_load(&mut cluster, 2, 0, |cluster| {
        refused(cluster.node(1), &["partition", "compare"], "comparing replicas needs feature level 2");
        refused(cluster.node(1), &["cluster", "finalize", "--level", "2"], "is not understood by all nodes");
        replace(cluster, 0, make_new);
        wait_for_levels(cluster.node(1), &(1, vec![3, 1, 1]));
        // The older ones and the newer one are one cluster, and it may go back.
        replace(cluster, 0, make_old);
        wait_for_levels(cluster.node(1), &(1, vec![1, 1, 1]));
        replace(cluster, 0, make_new);
        replace(cluster, 1, make_new);
        wait_for_levels(cluster.node(0), &(1, vec![3, 3, 1]));
        refused(cluster.node(0), &["cluster", "finalize", "--level", "2"], "0000000000000003 (1)");
        // Without a level it is the one that all understand: nothing happens.
        let finalized = order(cluster.node(0), &["cluster", "finalize"]);
        assert!(said(&finalized).contains("at feature level 1"), "{}", said(&finalized));
    });
    check(&cluster, points);
    let points = under_load(&mut cluster, 0, points, |cluster| {
        replace(cluster, 2, make_new);
        wait_for_levels(cluster.node(1), &(1, vec![3, 3, 3]));
        refused(cluster.node(1), &["partition", "compare"], "finalize");
        let answer = cluster.node(1).influxql("metrics", CONTINUOUS).text();
        assert!(answer.contains("not possible yet: continuous queries need feature level 3"), "{answer}");
        let status = order(cluster.node(1), &["cluster", "status", "-o", "table"]);
        let status = String::from_utf8_lossy(&status.stdout).into_owned();
        assert!(status.contains("feature level 1 of 3"), "{status}");
        old_gateway.write("metrics", "gateway v=1 1").expect_status(204);
        let finalized = order(cluster.node(2), &["cluster", "finalize"]);
        assert!(said(&finalized).contains("at feature level 3"), "{}", said(&finalized));
        let answer = cluster.node(2).influxql("metrics", CONTINUOUS).text();
        assert_eq!(answer.trim(), r#"{"results":[{"statement_id":0}]}"#);
        let equal = verb(cluster.node(2), &["partition", "compare", "-o", "json"]);
        assert_eq!(equal.len() as u64, PARTITIONS);
        assert!(equal.iter().all(|partition| partition["outcome"] == "equal"), "{equal:?}");
    });
    check(&cluster, points);
    // Nothing older takes part any more: neither a gateway nor a node, by itself or as a new one.
    wait_for("the older gateway to say that it is too old", || match old_gateway.get("/ready").try_send() {
        Ok(reply) if reply.status == 503 && reply.text().contains("feature level") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let mut node = cluster.take(1).start_or_end(make_old);
    assert!(node.ended().is_some_and(|status| !status.success()), "{}", node.log());
    assert!(node.log().contains("the cluster is at feature level 3"), "{}", node.log());
    cluster.start_missing();
    cluster.node(1).write("metrics", lines(points..points + 10)).expect_status(204);
    check(&cluster, points + 10);
    // What each replica holds is what it says that it holds.
    let values = verb(cluster.node(1), &["partition", "compare", "-o", "json"]);
    let values: u64 = values.iter().map(|partition| partition["values"].as_u64().expect("a number")).sum();
    assert_eq!(values, points + 10 + 1);
}
