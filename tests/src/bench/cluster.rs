//! `cluster`: three nodes on this machine, which share its cores, beside one node: the same day of integers, what nodes say
//! to one another for it, what they cost at rest, how long writes pause while a lead moves, and how soon all are back
//! after kill -9 with the whole day in the log.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::figures::{Measured, Metric, less, more};
use crate::ingest::{CPU_PER_ROW, Day, VALUES_PER_SECOND, bytes, count, megabytes};
use crate::load;
use crate::peers::{Peer, Running};
use crate::process::{now, pause};
use crate::sizes::Sizes;

const IDLE_CPU: Metric = less("CPU at rest with 32 partitions, % of a core, all nodes");
const IDLE_RSS: Metric = less("memory at rest with 32 partitions, MB, all nodes");
const WIRE: Metric = less("bytes between nodes per value");
const SENT: Metric = less("bytes of line protocol per value");
const MOVES: Metric = more("leads moved");
const MOVE_MEDIAN: Metric = less("planned move of a lead, pause of its writes, median, ms");
const MOVE_LONGEST: Metric = less("the same, longest, ms");
const RESTART: Metric = less("all nodes killed, until all answer with everything, s");

/// How long nodes are watched at rest.
const REST: Duration = Duration::from_secs(20);
/// Leads that are moved.
const LEADS: usize = 20;

/// Runs the scenario against one node or three.
pub(crate) fn measure(peer: Peer, sizes: &Sizes, day: &Day) -> Result<Measured, String> {
    let mut running = Running::start(peer, &sizes.binary)?;
    let mut measured = Measured::new(peer);
    // What founding costs is over.
    pause(Duration::from_secs(3));
    let before = running.cpu_seconds()?;
    pause(REST);
    let spent = running.cpu_seconds()? - before;
    measured.add(IDLE_CPU, spent * 100.0 / REST.as_secs_f64());
    measured.add(IDLE_RSS, megabytes(running.rss_bytes()?));
    let wire = wire_bytes(&running)?;
    let cost = load::send(&running, sizes.connections, &day.bodies)?;
    let wire = wire_bytes(&running)?.saturating_sub(wire);
    day.check(&running)?;
    let sent: usize = day.bodies.iter().map(String::len).sum();
    measured.add(VALUES_PER_SECOND, count(day.values()) / cost.wall.as_secs_f64());
    measured.add(CPU_PER_ROW, cost.cpu_seconds * 1e6 / count(day.rows()));
    measured.add(SENT, count(sent) / count(day.values()));
    measured.add(WIRE, bytes(wire) / count(day.values()));
    if peer == Peer::TidemarkCluster {
        let mut pauses = moves(&running)?;
        pauses.sort_unstable();
        measured.add(MOVES, count(pauses.len()));
        let ms = |pause: Option<&Duration>| pause.map_or(f64::NAN, |pause| pause.as_secs_f64() * 1e3);
        measured.add(MOVE_MEDIAN, ms(pauses.get(pauses.len() / 2)));
        measured.add(MOVE_LONGEST, ms(pauses.last()));
    }
    let started = now();
    running.kill_and_start_all()?;
    running.wait_until_ready()?;
    day.check(&running)?;
    measured.add(RESTART, started.elapsed().as_secs_f64());
    running.stop()?;
    Ok(measured)
}

/// Bytes that the connections between nodes have sent, both directions: `ss` tells of each end what it sent.
fn wire_bytes(running: &Running) -> Result<u64, String> {
    let mut sum = 0;
    for port in &running.peer_ports {
        for end in ["sport", "dport"] {
            let told = Command::new("ss").args(["-tinH", &format!("{end} = :{port}")]).output();
            let told = told.map_err(|error| format!("ss: {error}"))?;
            let text = String::from_utf8_lossy(&told.stdout).into_owned();
            let sent = text.split_whitespace().filter_map(|word| word.strip_prefix("bytes_sent:"));
            sum += sent.filter_map(|bytes| bytes.parse::<u64>().ok()).sum::<u64>();
        }
    }
    Ok(sum)
}

/// Moves leads, one after the other, while one client writes points of all partitions, and answers the longest time
/// between two acknowledgements around each move.
fn moves(running: &Running) -> Result<Vec<Duration>, String> {
    let stop = AtomicBool::new(false);
    let (acknowledged, next) = (Mutex::new(Vec::<Instant>::new()), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let client = running.client();
            while !stop.load(Ordering::Relaxed) {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let lines: String =
                    (0..64).map(|s| format!("moves,s=s{s} n={n}i {}\n", load::START_NS)).collect();
                // Sent again, as clients do, when it is not known what became of it.
                while let Err(error) = client.post(running.write_path(), lines.as_str()) {
                    if !error.contains(": 503 ") || stop.load(Ordering::Relaxed) {
                        return Err(error);
                    }
                }
                acknowledged.lock().map_err(|_poisoned| "a sender died")?.push(now());
            }
            Ok::<_, String>(())
        });
        let client = running.client();
        let mut moved = Vec::new();
        let result = (0..LEADS).try_for_each(|at| {
            let begun = now();
            move_one(&client, at)?;
            moved.push((begun, now()));
            pause(Duration::from_millis(300));
            Ok::<_, String>(())
        });
        stop.store(true, Ordering::Relaxed);
        writing.join().map_err(|_panic| "the sender died")??;
        result?;
        let times = acknowledged.lock().map_err(|_poisoned| "a sender died")?;
        let around = |(begun, ended): &(Instant, Instant)| {
            let gaps = times.windows(2).filter(|pair| pair[1] >= *begun && pair[0] <= *ended);
            gaps.map(|pair| pair[1] - pair[0]).max()
        };
        Ok(moved.iter().filter_map(around).collect())
    })
}

/// Gives the lead of a group to the next of its members.
fn move_one(client: &Client, at: usize) -> Result<(), String> {
    let text = client.get("/api/v1/cluster/raft")?;
    let groups: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let groups = groups["groups"].as_array().ok_or("no groups")?;
    let group = &groups[(at * 7 + 1) % groups.len()];
    let leader = group["leader"].as_str().ok_or("a group without a leader")?;
    let replicas = group["replicas"].as_array().ok_or("no replicas")?;
    let to = replicas.iter().filter_map(|replica| replica["node"].as_str()).find(|node| *node != leader);
    let order = json!({ "group": group["group"], "node": to.ok_or("nobody to move a lead to")? });
    client.post_json("/api/v1/cluster/transfer-leader", &order).map(drop)
}
