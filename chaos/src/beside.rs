//! etcd in the same network under the same clients, for comparison: three members with its usual timers (heartbeat 100 ms,
//! election 1 s), whose leader is killed and started again. What counts is the longest time without an acknowledged
//! write, as for our own nodes.

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use testkit::Request;

use crate::client::WRITE;
use crate::clock::{now, pause, wait_until};
use crate::history::{Outcome, gap};
use crate::network::{self, Network};
use crate::report;
use crate::run::WRITERS;
use crate::workload::{PACE, Route};

const MEMBERS: usize = 3;
/// How long the members may take to have a leader.
const READY: Duration = Duration::from_secs(60);
/// How long the leader is dead, and how long nothing happens then.
const DOWN: Duration = Duration::from_millis(2500);
const REST: Duration = Duration::from_millis(2500);

/// A member; killed when dropped.
struct Member(Child);

impl Drop for Member {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Kills the leader so often, and tells the write gaps. The members' data goes below `directory`.
pub(crate) fn run(etcd: &str, kills: usize, directory: &Path) -> Result<(), Box<dyn Error>> {
    let network = Network::create(MEMBERS)?;
    let mut members = Vec::new();
    for place in 0..MEMBERS {
        members.push(start(etcd, &network, place, directory)?);
    }
    let leader = || wait_until(READY, leader);
    leader()?;
    let (origin, stop) = (now(), AtomicBool::new(false));
    let acknowledged = Mutex::new(Vec::new());
    let windows = std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (acknowledged, stop) = (&acknowledged, &stop);
            scope.spawn(move || write(writer, origin, stop, acknowledged));
        }
        let killed = (0..kills).map(|_| {
            pause(REST);
            let place = leader()?;
            let begun = now().saturating_duration_since(origin);
            drop(members.remove(place));
            pause(DOWN);
            members.insert(place, start(etcd, &network, place, directory)?);
            leader()?;
            pause(REST);
            Ok::<_, Box<dyn Error>>(begun..now().saturating_duration_since(origin))
        });
        let windows = killed.collect::<Result<Vec<_>, _>>();
        stop.store(true, Ordering::Relaxed);
        windows
    })?;
    let acknowledged = acknowledged.into_inner()?;
    let gaps: Vec<Duration> = windows.into_iter().map(|window| gap(&acknowledged, window)).collect();
    report::say(&format!("etcd, the leader killed: {} writes acknowledged", acknowledged.len()));
    report::tell_gaps(gaps);
    Ok(())
}

fn start(etcd: &str, network: &Network, place: usize, directory: &Path) -> Result<Member, Box<dyn Error>> {
    std::fs::create_dir_all(directory)?;
    let url = |place: usize, port: u16| format!("http://{}:{port}", network::address(place));
    let all: Vec<String> = (0..MEMBERS).map(|place| format!("m{place}={}", url(place, 2380))).collect();
    let child = Command::new("ip")
        .args(["netns", "exec", &network.node_namespace(place), etcd])
        .args(["--name", &format!("m{place}"), "--initial-cluster", &all.join(",")])
        .arg("--data-dir")
        .arg(directory.join(format!("m{place}")))
        .args(["--listen-peer-urls", &url(place, 2380), "--initial-advertise-peer-urls", &url(place, 2380)])
        .args(["--listen-client-urls", &url(place, 2379), "--advertise-client-urls", &url(place, 2379)])
        .args(["--heartbeat-interval", "100", "--election-timeout", "1000"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Member(child))
}

fn post(place: usize, path: &str, body: String, agent: &ureq::Agent) -> Option<serde_json::Value> {
    let url = format!("http://{}:2379/v3/{path}", network::address(place));
    let reply = Request::new("POST", url).body(body).send_with(agent).ok()?;
    if reply.status != 200 {
        return None;
    }
    serde_json::from_slice(&reply.body).ok()
}

fn agent() -> ureq::Agent {
    let connect = Some(Duration::from_millis(500));
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.timeout_global(Some(WRITE)).timeout_connect(connect).build().into()
}

/// The member that leads, when all agree on one.
fn leader() -> Result<usize, String> {
    let agent = agent();
    let said: Vec<_> = (0..MEMBERS)
        .filter_map(|place| {
            let status = post(place, "maintenance/status", "{}".to_owned(), &agent)?;
            Some((status["header"]["member_id"].clone(), status["leader"].clone()))
        })
        .collect();
    let leader = said.first().map(|(_, leader)| leader.clone()).filter(serde_json::Value::is_string);
    let agreed = said.len() == MEMBERS && said.iter().all(|(_, one)| Some(one) == leader.as_ref());
    let place = said.iter().position(|(id, _)| Some(id) == leader.as_ref());
    place.filter(|_| agreed).ok_or_else(|| format!("no leader: {said:?}"))
}

/// Puts values through the members as our own writers do, until told to stop.
fn write(writer: usize, origin: Instant, stop: &AtomicBool, acknowledged: &Mutex<Vec<Duration>>) {
    let agent = agent();
    let mut route = Route::new(writer % MEMBERS, MEMBERS);
    while !stop.load(Ordering::Relaxed) {
        // Base64 of a key for each writer, and of a value.
        let body = format!(
            r#"{{"key":"{}","value":"dmFsdWU="}}"#,
            ["YQ==", "Yg==", "Yw==", "ZA==", "ZQ==", "Zg=="][writer]
        );
        let done = post(route.node, "kv/put", body, &agent).is_some();
        if done {
            acknowledged.lock().expect("no holder panics").push(now().saturating_duration_since(origin));
        }
        route.note(if done { Outcome::Acknowledged } else { Outcome::Unknown });
        pause(PACE);
    }
}
