//! An acknowledged write survives: kill -9 at any moment, restart, flush and compaction in between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use testkit::{Node, NodeOptions};

/// Kills in the test of every moment.
const KILLS: usize = 50;
const WRITERS: u64 = 3;
const POINTS_PER_REQUEST: u64 = 20;
const START_NS: u64 = 1_700_000_000_000_000_000;

/// What one writer knows: it sends points 0, 1, 2, ... of its own series, in requests of a few.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// Points below were sent.
    sent: AtomicU64,
    /// Points below were sent, and their requests answered 204.
    pub(crate) acknowledged: AtomicU64,
}

/// Point `n` of writer `w`: the value tells which one it is.
fn line(w: u64, n: u64) -> String {
    format!("hammer,writer={w},part={} n={n}i,text=\"{w}-{n}\" {}\n", n % 7, START_NS + n * 1_000_000)
}

fn read_back(node: &Node, w: u64) -> BTreeMap<u64, u64> {
    let reply = node
        .influxql("metrics", &format!("SELECT n, text FROM hammer WHERE writer = '{w}'"))
        .expect_status(200);
    let json = reply.json();
    let none = Vec::new();
    let rows = json["results"][0]["series"][0]["values"].as_array().unwrap_or(&none);
    rows.iter()
        .map(|row| {
            let (time, n) = (row[0].as_u64().expect("a time"), row[1].as_u64().expect("a number"));
            assert_eq!(
                row[2].as_str(),
                Some(format!("{w}-{n}").as_str()),
                "the fields of a point belong together"
            );
            (time, n)
        })
        .collect()
}

#[test]
fn every_acknowledged_point_survives_fifty_kills_at_any_moment() {
    // Small memtables, so that flushes and compactions are among the moments.
    let options = NodeOptions {
        args: ["--partitions", "4", "--memtable-size", "64KiB"].map(String::from).to_vec(),
        ..NodeOptions::default()
    };
    survive(options, KILLS);
}

/// Kills a node at any moment, so many times, and looks each time whether it has all that was acknowledged.
pub(crate) fn survive(options: NodeOptions, kills: usize) {
    let mut node = Node::start(options);
    node.set_up();
    let writers = writers();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for kill in 0..kills {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let enough = 1 + (random >> 33) % 120;
        load_until_killed(&mut node, &writers, enough);
        node = node.kill_and_restart();
        check(&node, &writers, &format!("kill {kill}"));
    }
    let total: u64 = writers.iter().map(|w| w.acknowledged.load(Ordering::SeqCst)).sum();
    assert!(total > u64::try_from(kills).expect("small"), "only {total} points were written at all");
}

pub(crate) fn writers() -> Vec<Writer> {
    (0..WRITERS).map(|_| Writer::default()).collect()
}

/// Looks whether a node has all that was acknowledged and nothing that was never sent.
pub(crate) fn check(node: &Node, writers: &[Writer], when: &str) {
    for (w, writer) in (0..).zip(writers) {
        let held = read_back(node, w);
        let (sent, acknowledged) =
            (writer.sent.load(Ordering::SeqCst), writer.acknowledged.load(Ordering::SeqCst));
        for n in 0..acknowledged {
            let time = START_NS + n * 1_000_000;
            assert_eq!(held.get(&time), Some(&n), "{when}: writer {w} lost acknowledged point {n}");
        }
        for (time, n) in &held {
            assert!(*n < sent && *time == START_NS + n * 1_000_000, "{when}: point {n} was never sent");
        }
        // What was sent and not acknowledged may be there or not; the writer sends it again, as clients do.
        writer.sent.store(acknowledged, Ordering::SeqCst);
    }
}

/// Writes from every writer at once and kills the node in the middle, when `enough` requests were acknowledged, unless it
/// ends by itself before.
pub(crate) fn load_until_killed(node: &mut Node, writers: &[Writer], enough: u64) {
    let acknowledged_requests = AtomicU64::new(0);
    let dead = AtomicBool::new(false);
    let url = format!("{}/api/v2/write?org=acme&bucket=metrics", node.url());
    let token = node.token().to_owned();
    std::thread::scope(|scope| {
        for (w, writer) in (0..).zip(writers) {
            let (url, token, dead, requests) = (&url, &token, &dead, &acknowledged_requests);
            scope.spawn(move || {
                while !dead.load(Ordering::SeqCst) {
                    let from = writer.sent.load(Ordering::SeqCst);
                    let body: String = (from..from + POINTS_PER_REQUEST).map(|n| line(w, n)).collect();
                    writer.sent.store(from + POINTS_PER_REQUEST, Ordering::SeqCst);
                    match testkit::Request::new("POST", url).token(token).body(body).try_send() {
                        Ok(reply) if reply.status == 204 => {
                            writer.acknowledged.store(from + POINTS_PER_REQUEST, Ordering::SeqCst);
                            requests.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(reply) if reply.status < 500 => panic!("{} {}", reply.status, reply.text()),
                        Ok(_) | Err(_) => break,
                    }
                }
            });
        }
        testkit::wait_for("enough acknowledged requests", || {
            let seen = acknowledged_requests.load(Ordering::SeqCst);
            if seen >= enough || node.ended().is_some() { Ok(()) } else { Err(seen) }
        });
        node.kill();
        dead.store(true, Ordering::SeqCst);
    });
}

#[test]
fn an_orderly_stop_and_a_start_keep_everything() {
    let node = Node::start_set_up();
    node.write("metrics", line(0, 1) + &line(0, 2)).expect_status(204);
    let node = node.restart();
    assert_eq!(read_back(&node, 0).len(), 2);
    node.write("metrics", line(0, 3)).expect_status(204);
    let node = node.kill_and_restart();
    assert_eq!(read_back(&node, 0).len(), 3);
}

#[test]
fn flushed_and_compacted_points_read_the_same() {
    let node = Node::start_set_up();
    for round in 0..6 {
        let body: String = (0..200).map(|n| line(0, n * 6 + round)).collect();
        node.write("metrics", body).expect_status(204);
        node.post("/api/v1/storage/flush?compact=true").token(node.token()).send().expect_status(204);
    }
    let before = read_back(&node, 0);
    assert_eq!(before.len(), 1200);
    let node = node.kill_and_restart();
    assert_eq!(read_back(&node, 0), before);
}

#[test]
fn a_flipped_bit_in_a_file_is_an_error_and_never_an_answer() {
    let mut node = Node::start(NodeOptions {
        args: ["--partitions", "1"].map(String::from).to_vec(),
        ..NodeOptions::default()
    });
    node.set_up();
    let body: String = (0..1000).map(|n| line(0, n)).collect();
    node.write("metrics", body).expect_status(204);
    node.post("/api/v1/storage/flush").token(node.token()).send().expect_status(204);
    let files = tsm_files(node.data_dir());
    assert!(!files.is_empty());
    node.kill();
    for file in &files {
        let mut bytes = std::fs::read(file).expect("a file");
        let middle = bytes.len() / 3;
        bytes[middle] ^= 0x10;
        std::fs::write(file, bytes).expect("a file");
    }
    let node = node.kill_and_restart();
    let reply = node.influxql("metrics", "SELECT n, text FROM hammer");
    let text = reply.text();
    assert!(text.contains("error") && text.contains("is damaged at byte"), "{text}");
}

fn tsm_files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(tsm_files(&path));
        } else if path.extension().is_some_and(|e| e == "tsm") {
            found.push(path);
        }
    }
    found
}
