//! etcd in the same network under the same clients, for comparison: three members with its usual timers (heartbeat 100 ms,
//! election 1 s), to which the same things happen. What counts is the longest time without an acknowledged write, as for our
//! own nodes.

use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use testkit::Request;

use crate::client::WRITE;
use crate::clock::{now, pause, wait_until};
use crate::history::{Outcome, gap, rate};
use crate::network::{self, Network};
use crate::report;
use crate::run::WRITERS;
use crate::switch::Shape;
use crate::workload::{PACE, Route};

const MEMBERS: usize = 3;
/// How long the members may take to have a leader.
const READY: Duration = Duration::from_secs(60);
/// How long nothing happens.
const REST: Duration = Duration::from_millis(2500);

/// What happens, to the leader where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Kill,
    KillFollower,
    KillAll,
    Pause,
    Isolate,
    Deafen,
    Mute,
    /// No packet between it and one other.
    CutOff,
    /// All ways between members.
    Degrade(Shape),
    /// The ways to and from a follower.
    DegradeFollower(Shape),
}

/// A member; killed when dropped.
struct Member(Child);

impl Drop for Member {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Member {
    fn signal(&self, signal: Signal) -> Result<(), Box<dyn Error>> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).ok_or("a process has an id")?;
        Ok(kill_process(pid, signal)?)
    }
}

/// What happens how long, and under which name of our own scenarios.
fn cases() -> Vec<(&'static str, What, Duration)> {
    let none = Shape::default();
    let seconds = Duration::from_secs;
    vec![
        ("kill-leader-often", What::Kill, Duration::from_millis(2500)),
        ("kill-follower", What::KillFollower, seconds(10)),
        ("kill-all", What::KillAll, Duration::from_millis(500)),
        ("isolate-leader", What::Isolate, seconds(6)),
        ("one-way, deaf", What::Deafen, seconds(8)),
        ("one-way, mute", What::Mute, seconds(8)),
        ("bridge", What::CutOff, seconds(8)),
        ("pause-leader", What::Pause, seconds(6)),
        ("latency", What::Degrade(Shape { delay_ms: 50, ..none }), seconds(20)),
        ("loss", What::Degrade(Shape { loss_percent: 10.0, ..none }), seconds(20)),
        ("bandwidth", What::DegradeFollower(Shape { kbit_per_second: 1000, ..none }), seconds(20)),
    ]
}

/// Runs all of it so often, and tells the write gaps. The members' data goes below `directory`.
pub(crate) fn run(etcd: &str, repeat: usize, directory: &Path) -> Result<(), Box<dyn Error>> {
    let network = Network::create(MEMBERS)?;
    let mut members = Vec::new();
    for place in 0..MEMBERS {
        members.push(start(etcd, &network, place, directory)?);
    }
    wait_until(READY, leader)?;
    let (origin, stop) = (now(), AtomicBool::new(false));
    let acknowledged = Mutex::new(Vec::new());
    let windows = std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (acknowledged, stop) = (&acknowledged, &stop);
            scope.spawn(move || write(writer, origin, stop, acknowledged));
        }
        let again = |place: usize| start(etcd, &network, place, directory);
        let mut one = |what: What, lasts: Duration| {
            pause(REST);
            let place = wait_until(READY, leader)?;
            let begun = now().saturating_duration_since(origin);
            happen(what, place, lasts, &mut members, &network, &again)?;
            wait_until(READY, leader)?;
            pause(REST);
            Ok::<_, Box<dyn Error>>(begun..now().saturating_duration_since(origin))
        };
        let mut windows: Vec<(&str, Vec<Range<Duration>>)> = Vec::new();
        let mut all = || {
            for (name, what, lasts) in cases() {
                let done = (0..repeat).map(|_| one(what, lasts)).collect::<Result<_, _>>()?;
                windows.push((name, done));
            }
            Ok::<_, Box<dyn Error>>(())
        };
        let done = all();
        stop.store(true, Ordering::Relaxed);
        done.map(|()| windows)
    })?;
    let acknowledged = acknowledged.into_inner()?;
    report::say(&format!("etcd: {} writes acknowledged", acknowledged.len()));
    for (name, windows) in windows {
        let gaps: Vec<Duration> = windows.iter().map(|window| gap(&acknowledged, window.clone())).collect();
        let each = windows.iter().zip(&gaps).map(|(window, gap)| {
            format!("{:.2} s ({:.0} writes/s)", gap.as_secs_f64(), rate(&acknowledged, window))
        });
        report::say(&format!("  {name}: write gaps {}", each.collect::<Vec<_>>().join(", ")));
        report::tell_gaps(gaps);
    }
    Ok(())
}

/// Lets it happen to the leader or another, for a time.
fn happen(
    what: What,
    leader: usize,
    lasts: Duration,
    members: &mut [Member],
    network: &Network,
    again: &dyn Fn(usize) -> Result<Member, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let follower = (leader + 1) % MEMBERS;
    let others = (0..MEMBERS).filter(|other| *other != leader);
    let shape = |ways: Vec<network::Direction>, shape: Shape| {
        network.shape(&ways.into_iter().map(|way| (way, shape)).collect::<Vec<_>>());
    };
    let both = |node: usize| {
        let others = (0..MEMBERS).filter(move |other| *other != node);
        others.flat_map(move |other| [(node, other), (other, node)]).collect::<Vec<_>>()
    };
    match what {
        What::Kill | What::KillFollower | What::KillAll => {
            let victims: Vec<usize> = match what {
                What::Kill => vec![leader],
                What::KillFollower => vec![follower],
                _ => (0..MEMBERS).collect(),
            };
            for &victim in &victims {
                members[victim].0.kill()?;
            }
            pause(lasts);
            for &victim in &victims {
                members[victim] = again(victim)?;
            }
            return Ok(());
        }
        What::Pause => {
            members[leader].signal(Signal::STOP)?;
            pause(lasts);
            return members[leader].signal(Signal::CONT);
        }
        What::Isolate => shape(both(leader), Shape::CUT),
        What::Deafen => shape(others.map(|other| (other, leader)).collect(), Shape::CUT),
        What::Mute => shape(others.map(|other| (leader, other)).collect(), Shape::CUT),
        What::CutOff => shape(vec![(leader, follower), (follower, leader)], Shape::CUT),
        What::Degrade(degraded) => shape((0..MEMBERS).flat_map(both).collect(), degraded),
        What::DegradeFollower(degraded) => shape(both(follower), degraded),
    }
    pause(lasts);
    network.shape(&[]);
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
