//! A node lives within the memory that it was given, and a full disk stops its writes and nothing else.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use testkit::{Node, NodeOptions, Reply, Request};

const MIB: u64 = 1 << 20;
/// The least that a node takes.
const BUDGET: u64 = 256 * MIB;
/// What the process needs beside the memory that it divides: code, stacks, log, catalog, connections, and what the
/// allocator has not given back yet.
const BESIDE: u64 = 256 * MIB;
/// Writers at once; together they send more than writes on their way may hold.
const WRITERS: u64 = 24;
/// Bytes of points that are sent, a multiple of the memory.
const SENT: u64 = 6 * BUDGET;
const POINTS_PER_REQUEST: u64 = 256;
const START_NS: u64 = 1_700_000_000_000_000_000;

fn node(memory: &str, more: &[&str]) -> Node {
    let first = ["--partitions", "4", "--memory-bytes", memory];
    let args = first.iter().chain(more);
    let mut node =
        Node::start(NodeOptions { args: args.map(ToString::to_string).collect(), ..NodeOptions::default() });
    node.set_up();
    node
}

/// About four kilobytes of a writer's point, hardly compressible within a page.
fn line(writer: u64, n: u64) -> String {
    let mut text = String::with_capacity(4096);
    let mut random = (writer << 32 | n) + 1;
    while text.len() < 4000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("{random:016x}"));
    }
    format!("m,writer={writer} n={n}i,text=\"{text}\" {}\n", START_NS + n * 1_000_000)
}

/// Most memory that a process ever held.
fn peak_rss(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a figure");
    let kib = line.trim_start_matches("VmHWM:").trim_end_matches("kB").trim();
    kib.parse::<u64>().expect("a number") * 1024
}

/// The value of a metric, summed over its labels.
fn metric(node: &Node, name: &str) -> f64 {
    let text = node.get("/metrics").send().expect_status(200).text();
    let samples = text.lines().filter(|line| line.starts_with(name) && !line.starts_with('#'));
    let values: Vec<f64> = samples.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect();
    assert!(!values.is_empty(), "{name}: {text}");
    values.iter().sum()
}

/// A refusal that tells the client to come again.
fn is_put_off(reply: &Reply) -> bool {
    let may_come_again = matches!(reply.status, 429 | 503);
    assert!(!may_come_again || reply.header("retry-after").is_some(), "{} {}", reply.status, reply.text());
    may_come_again
}

#[test]
fn a_node_under_more_load_than_its_memory_stays_within_it_and_loses_nothing() {
    let node = node("256MiB", &[]);
    let (stop, refused, answered) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let body_bytes = POINTS_PER_REQUEST * 4096;
    let requests = SENT / body_bytes / WRITERS;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (node, refused) = (&node, &refused);
                scope.spawn(move || {
                    for request in 0..requests {
                        let points = request * POINTS_PER_REQUEST..(request + 1) * POINTS_PER_REQUEST;
                        let body: String = points.map(|n| line(writer, n)).collect();
                        loop {
                            let reply = node.write("metrics", body.clone());
                            if reply.status == 204 {
                                break;
                            }
                            assert!(is_put_off(&reply), "{} {}", reply.status, reply.text());
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        for query in ["SELECT text FROM m", "SELECT * FROM m ORDER BY time DESC", "SELECT mode(text) FROM m"]
        {
            let (node, stop, answered) = (&node, &stop, &answered);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // An answer, or an error that says what is short; never silence.
                    let reply = node.influxql("metrics", query);
                    assert!(reply.status == 200 || is_put_off(&reply), "{} {}", reply.status, reply.text());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let outcomes: Vec<_> = writers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        stop.store(true, Ordering::Relaxed);
        outcomes.into_iter().for_each(|outcome| outcome.expect("no writer fails"));
    });
    let peak = peak_rss(node.pid());
    let limits = metric(&node, "tidemark_memory_limit_bytes");
    println!(
        "peak {} MiB of {} MiB, {} writes put off, {} queries answered, stalls {}",
        peak / MIB,
        BUDGET / MIB,
        refused.load(Ordering::Relaxed),
        answered.load(Ordering::Relaxed),
        metric(&node, "tidemark_write_stalls_total"),
    );
    assert!(limits <= BUDGET as f64, "{limits}");
    assert!(peak <= BUDGET + BESIDE, "the node held {} MiB", peak / MIB);
    assert!(refused.load(Ordering::Relaxed) > 0, "the load was no load");
    assert!(answered.load(Ordering::Relaxed) > 0);

    // What was acknowledged is there, also after the memory is gone.
    let node = node.kill_and_restart();
    let expected = requests * POINTS_PER_REQUEST;
    for writer in 0..WRITERS {
        let reply =
            node.influxql("metrics", &format!("SELECT count(n), max(n) FROM m WHERE writer = '{writer}'"));
        let row = &reply.expect_status(200).json()["results"][0]["series"][0]["values"][0];
        assert_eq!(
            (row[1].as_u64(), row[2].as_u64()),
            (Some(expected), Some(expected - 1)),
            "writer {writer}"
        );
    }
    let peak = peak_rss(node.pid());
    assert!(peak <= BUDGET + BESIDE, "after the restart the node held {} MiB", peak / MIB);
}

#[test]
fn new_series_beyond_the_limit_are_refused_and_known_ones_written() {
    let node = node("256MiB", &["--max-series-per-bucket", "10"]);
    let points = |hosts: std::ops::Range<u32>, time: u32| -> String {
        hosts.map(|host| format!("m,host=h{host} v=1 {time}\n")).collect()
    };
    node.write("metrics", points(0..8, 1)).expect_status(204);
    // Two of four new ones have room.
    let reply = node.write("metrics", points(6..12, 2)).expect_status(422);
    let message = reply.json()["message"].as_str().expect("a message").to_owned();
    assert!(
        message.contains("partial write: max-series-per-bucket limit exceeded: (10) dropped=2"),
        "{message}"
    );
    node.write("metrics", points(0..10, 3)).expect_status(204);
    let count = node.influxql("metrics", "SELECT count(v) FROM m").expect_status(200).json();
    assert_eq!(count["results"][0]["series"][0]["values"][0][1].as_u64(), Some(8 + 4 + 10));
    assert!(metric(&node, "tidemark_write_refused_points_total{reason=\"series\"}") >= 2.0);
}

#[test]
fn too_little_memory_is_refused_at_the_start() {
    let output = Command::new(testkit::binary::tidemark_binary())
        .args(["serve", "--memory-bytes", "100MiB", "--http-bind-address", "127.0.0.1:0"])
        .output()
        .expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("memory-bytes") && text.contains("at least 128MiB"), "{text}");
}

/// A file system of its own, if the machine lets us have one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let options = format!("size={size}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(dir.path()).output();
        mounted.is_ok_and(|done| done.status.success()).then(|| Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "umount {}", self.path().display());
    }
}

/// A node that is set up on a file system of 64 MiB; who may not mount one still has the engine's own tests on a simulated
/// disk.
#[expect(clippy::print_stdout, reason = "says why a test showed nothing")]
fn node_on_a_small_disk() -> Option<(SmallDisk, Node)> {
    let Some(disk) = SmallDisk::new("64m") else {
        println!("no file system can be mounted here");
        return None;
    };
    let mut node = Node::start(NodeOptions {
        data_dir: Some(disk.path().join("data")),
        args: ["--partitions", "2", "--memory-bytes", "256MiB"].map(String::from).to_vec(),
        ..NodeOptions::default()
    });
    node.set_up();
    Some((disk, node))
}

/// Fills the rest of a disk with a file.
fn fill(ballast: &Path) {
    let filled = Command::new("sh")
        .args(["-c", "head -c 1G /dev/zero > \"$0\" 2>/dev/null; true"])
        .arg(ballast)
        .status();
    assert!(filled.is_ok_and(|status| status.success()));
}

/// Names of the buckets that a node has, of those made by [`create_bucket`].
fn buckets(node: &Node) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for offset in (0..).step_by(100) {
        let path = format!("/api/v2/buckets?limit=100&offset={offset}");
        let page = node.get(&path).token(node.token()).send().expect_status(200).json();
        let page = page["buckets"].as_array().expect("buckets").clone();
        let before = names.len();
        names.extend(page.iter().filter_map(|bucket| bucket["name"].as_str()).map(ToOwned::to_owned));
        if names.len() == before {
            break;
        }
    }
    names.retain(|name| name.starts_with("more-"));
    names
}

fn create_bucket(node: &Node, org: &str, n: u32) -> Reply {
    let body = serde_json::json!({ "name": format!("more-{n}"), "orgID": org, "retentionRules": [] });
    node.post("/api/v2/buckets").token(node.token()).json(&body).send()
}

#[test]
fn a_full_disk_costs_no_change_of_the_catalog_that_was_acknowledged() {
    let Some((disk, node)) = node_on_a_small_disk() else { return };
    let org = node.get("/api/v2/orgs").token(node.token()).send().expect_status(200).json();
    let org = org["orgs"][0]["id"].as_str().expect("an id").to_owned();
    let ballast = disk.path().join("ballast");
    fill(&ballast);
    let (mut acknowledged, mut asked) = (BTreeSet::new(), 0..);
    // As many as the log has room for, and one for which it has none.
    let refusal = loop {
        let n = asked.next().expect("a number");
        assert!(n < 10_000, "the disk is not full");
        let reply = create_bucket(&node, &org, n);
        if reply.status != 201 {
            break reply;
        }
        acknowledged.insert(format!("more-{n}"));
    };
    assert!(is_put_off(&refusal), "{} {}", refusal.status, refusal.text());
    assert!(refusal.text().contains("the disk is full"), "{}", refusal.text());
    assert!(acknowledged.len() > 10, "{acknowledged:?}");
    node.get("/ready").send().expect_status(200);
    assert!(buckets(&node).is_superset(&acknowledged));

    // It comes up again on the full disk, as often as it is killed, with all that it acknowledged.
    let mut node = node;
    for _ in 0..3 {
        node = node.kill_and_restart();
        assert!(buckets(&node).is_superset(&acknowledged));
    }

    // With space it goes on, and the next start finds what had to wait.
    std::fs::remove_file(&ballast).expect("the ballast");
    testkit::wait_for("buckets to be created again", || {
        let n = asked.next().expect("a number");
        let reply = create_bucket(&node, &org, n);
        if reply.status == 201 { Ok(acknowledged.insert(format!("more-{n}"))) } else { Err(reply.text()) }
    });
    let node = node.kill_and_restart();
    assert!(buckets(&node).is_superset(&acknowledged));
    node.write("metrics", line(0, 1)).expect_status(204);
}

#[test]
fn a_disk_that_points_have_filled_is_freed_by_deleting_them() {
    let Some((disk, node)) = node_on_a_small_disk() else { return };
    let org = node.get("/api/v2/orgs").token(node.token()).send().expect_status(200).json();
    let org = org["orgs"][0]["id"].as_str().expect("an id").to_owned();
    let other = create_bucket(&node, &org, 0).expect_status(201).json();
    let other = other["id"].as_str().expect("an id").to_owned();
    let fill = |bucket: &str| {
        let full = (0..u64::MAX).find(|n| {
            let lines: String = (0..POINTS_PER_REQUEST).map(|i| line(*n, i)).collect();
            let reply = node.write(bucket, lines);
            assert!(reply.status == 204 || is_put_off(&reply), "{} {}", reply.status, reply.text());
            assert!(reply.status != 503 || reply.text().contains("the disk is full"), "{}", reply.text());
            reply.status == 503
        });
        assert!(full.is_some_and(|requests| requests > 3), "{full:?}");
    };
    let takes_points_again = |bucket: &str| {
        testkit::wait_for("points to be taken again", || {
            let reply = node.write(bucket, line(7, 7));
            if reply.status == 204 { Ok(()) } else { Err(reply.text()) }
        });
    };
    // Points in memory, in the log and in files, of which a delete leaves nothing.
    fill("metrics");
    let dropped = node.influxql("metrics", "DROP MEASUREMENT m").expect_status(200);
    assert!(dropped.json()["results"][0]["error"].is_null(), "{}", dropped.text());
    takes_points_again("metrics");
    // A bucket goes with its points at once.
    fill("more-0");
    let path = format!("/api/v2/buckets/{other}");
    Request::new("DELETE", format!("{}{path}", node.url())).token(node.token()).send().expect_status(204);
    takes_points_again("metrics");
    let count = node.influxql("metrics", "SELECT count(n) FROM m").expect_status(200).json();
    assert_eq!(count["results"][0]["series"][0]["values"][0][1].as_u64(), Some(1));
    drop(node);
    drop(disk);
}

#[test]
fn a_full_disk_stops_writes_and_nothing_else_until_there_is_space_again() {
    let Some((disk, node)) = node_on_a_small_disk() else { return };
    node.write("metrics", line(0, 0)).expect_status(204);
    let ballast = disk.path().join("ballast");
    fill(&ballast);
    let refusal = testkit::wait_for("writes to be refused", || {
        let reply = node.write("metrics", line(0, 1));
        if reply.status == 503 { Ok(reply) } else { Err(reply.status) }
    });
    assert!(refusal.text().contains("the disk is full"), "{}", refusal.text());
    assert!(refusal.header("retry-after").is_some());
    assert_eq!(refusal.json()["code"], "unavailable");
    let v1 = node.post("/write?db=metrics").token(node.token()).body(line(0, 2)).send().expect_status(503);
    assert!(
        v1.json()["error"].as_str().is_some_and(|text| text.contains("the disk is full")),
        "{}",
        v1.text()
    );

    // Reads go on, and everyone who looks can see it.
    let read = node.influxql("metrics", "SELECT count(n) FROM m").expect_status(200).json();
    assert!(read["results"][0]["series"][0]["values"][0][1].as_u64().is_some_and(|count| count > 0));
    let health = node.get("/health").send().expect_status(503);
    assert_eq!(health.json()["status"], "fail");
    assert!(health.text().contains("the disk is full"), "{}", health.text());
    node.get("/ready").send().expect_status(200);
    assert!(metric(&node, "tidemark_storage_read_only") > 0.0);

    // It also comes up again, with all that it had.
    let node = node.kill_and_restart();
    let read = node.influxql("metrics", "SELECT count(n) FROM m").expect_status(200).json();
    assert!(read["results"][0]["series"][0]["values"][0][1].as_u64().is_some_and(|count| count > 0));
    assert_eq!(node.write("metrics", line(0, 4)).status, 503);

    // It recovers by itself.
    std::fs::remove_file(&ballast).expect("the ballast");
    testkit::wait_for("writes to be taken again", || {
        let reply = node.write("metrics", line(0, 3));
        if reply.status == 204 { Ok(()) } else { Err(reply.text()) }
    });
    node.get("/health").send().expect_status(200);
    assert!(metric(&node, "tidemark_storage_read_only") < 1.0);
    let node = node.kill_and_restart();
    let read = node.influxql("metrics", "SELECT n FROM m").expect_status(200).json();
    let values = read["results"][0]["series"][0]["values"].as_array().expect("rows").clone();
    let held: Vec<u64> = values.iter().filter_map(|row| row[1].as_u64()).collect();
    assert!(held.contains(&0) && held.contains(&3), "{held:?}");
    drop(node);
}
