//! Continuous queries run by a cluster: by one node, and by another when that one is gone, without a gap.

use testkit::node::encode;
use testkit::{Cluster, Node, wait_for};

const DONE: &str = r#"{"results":[{"statement_id":0}]}"#;
const CREATE: &str = "CREATE CONTINUOUS QUERY per_second ON metrics RESAMPLE FOR 20s BEGIN \
    SELECT sum(n) INTO seconds FROM m GROUP BY time(1s), host END";

fn text(node: &Node, q: &str) -> String {
    node.influxql("metrics", q).text().trim().to_owned()
}

/// Writes a point of this moment, again as long as it is not acknowledged.
fn write(node: &Node) {
    wait_for("a write to be acknowledged", || match node.write("metrics", "m,host=a n=1i") {
        reply if reply.status == 204 => Ok(()),
        reply => Err(reply.text()),
    });
}

/// The sums of the seconds that have any: as they were computed, or of the points themselves.
fn seconds(node: &Node, from: &str) -> Vec<(i64, i64)> {
    let query = match from {
        "m" => "SELECT sum(n) FROM m WHERE time > now() - 10m GROUP BY time(1s) fill(none)",
        _ => "SELECT sum FROM seconds",
    };
    let path = format!("/query?db=metrics&epoch=s&q={}", encode(query));
    let answer = node.get(&path).token(node.token()).send().json();
    let rows = answer["results"][0]["series"][0]["values"].as_array().cloned().unwrap_or_default();
    let number = |value: &serde_json::Value| value.as_i64().expect("a number");
    rows.iter().map(|row| (number(&row[0]), number(&row[1]))).collect()
}

/// How many runs a node has made.
fn runs(node: &Node) -> u64 {
    let page = node.get("/metrics").send().text();
    let line = page.lines().find(|l| l.starts_with("tidemark_continuous_query_runs_total{outcome=\"ok\"}"));
    line.and_then(|l| l.rsplit(' ').next()).and_then(|n| n.parse().ok()).expect("the metric is there")
}

/// Where the node is that leads the catalog.
fn leader(cluster: &Cluster) -> usize {
    let places: Vec<usize> = (0..3).collect();
    wait_for("one node to run the query", || {
        let before: Vec<u64> = places.iter().map(|at| runs(cluster.node(*at))).collect();
        let found = places.iter().copied().find(|at| runs(cluster.node(*at)) > before[*at]);
        found.ok_or(before)
    })
}

#[test]
fn they_survive_the_node_that_runs_them_and_leave_no_gap() {
    let mut cluster = Cluster::start(3, &[]);
    let node = cluster.node(0);
    assert_eq!(text(node, CREATE), DONE);
    assert_eq!(text(node, CREATE), DONE);
    let other = CREATE.replace("sum(n)", "mean(n)");
    let exists = r#"{"results":[{"statement_id":0,"error":"continuous query already exists"}]}"#;
    assert_eq!(text(node, &other), exists);
    let shown = "CREATE CONTINUOUS QUERY per_second ON metrics RESAMPLE FOR 20s BEGIN SELECT sum(n) INTO \
                 metrics.autogen.seconds FROM metrics.autogen.m GROUP BY time(1s), host END";
    let series =
        format!(r#"{{"name":"metrics","columns":["name","query"],"values":[["per_second","{shown}"]]}}"#);
    let listed = format!(r#"{{"results":[{{"statement_id":0,"series":[{series}]}}]}}"#);
    for at in 0..3 {
        wait_for("the query to be listed", || {
            let answer = text(cluster.node(at), "SHOW CONTINUOUS QUERIES");
            if answer == listed { Ok(()) } else { Err(answer) }
        });
    }

    let runs_here = leader(&cluster);
    let survivor = (runs_here + 1) % 3;
    let until = wait_for("some seconds to be computed", || {
        write(cluster.node(survivor));
        let found = seconds(cluster.node(survivor), "seconds");
        if found.len() >= 3 { Ok(found[found.len() - 1].0) } else { Err(found) }
    });
    cluster.kill(runs_here);
    let last = wait_for("seconds after the failover to be computed", || {
        write(cluster.node(survivor));
        let found = seconds(cluster.node(survivor), "seconds");
        let last = found.last().map_or(0, |(second, _)| *second);
        if last >= until + 8 { Ok(last) } else { Err(found) }
    });
    // Also the seconds in which nobody led are computed, from all that was acknowledged in them.
    wait_for("no second to be missing", || {
        let upto = |from: &str| {
            let mut found = seconds(cluster.node(survivor), from);
            found.retain(|(second, _)| *second <= last);
            found
        };
        let (computed, expected) = (upto("seconds"), upto("m"));
        if computed == expected && !expected.is_empty() { Ok(()) } else { Err((computed, expected)) }
    });

    let node = cluster.node(survivor);
    assert_eq!(text(node, "DROP CONTINUOUS QUERY per_second ON metrics"), DONE);
    assert_eq!(text(node, "DROP CONTINUOUS QUERY per_second ON metrics"), DONE);
    assert!(!text(node, "SHOW CONTINUOUS QUERIES").contains("per_second"));
}
