//! `kills`: three nodes are sent as many rows as are asked for, as fast as they take them, while one after the other is
//! killed with SIGKILL and started again, and every fourth time all at once. A request that is not acknowledged is sent
//! again, to the next node. Afterwards every node must have every row, with the values that were sent; and so again after
//! all were killed once more.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use testkit::tsbs::{FIELDS, Random};

use crate::client::Client;
use crate::figures::{Measured, Metric, less, more};
use crate::ingest::{VALUES_PER_SECOND, count};
use crate::peers::{Peer, Running};
use crate::process::{now, pause, wait_until};
use crate::sizes::Sizes;
use crate::sustained::{Arrivals, Texts};

const ACKNOWLEDGED: Metric = more("rows acknowledged");
const KILLS: Metric = more("processes killed");
const AGAIN: Metric = less("requests sent again");
const LOST: Metric = less("rows lost");
const PAUSE_ONE: Metric = less("longest time without an acknowledged write after one was killed, s");
const PAUSE_ALL: Metric = less("the same after all were killed, s");

/// How long a request may take before it is sent again.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// How long a node may take to be ready.
const READY_MAX: Duration = Duration::from_secs(120);
/// Pause of a sender that was not taken.
const BEFORE_AGAIN: Duration = Duration::from_millis(20);
/// Kills of which one is of all nodes.
const ALL_EVERY: usize = 4;

/// What the senders share.
struct Sending<'a> {
    sizes: &'a Sizes,
    texts: Texts,
    urls: Vec<String>,
    token: Option<String>,
    path: &'static str,
    /// Requests that are still to be begun.
    left: AtomicUsize,
    /// Sum of the first field of what was acknowledged.
    sum: AtomicU64,
    again: AtomicUsize,
    acknowledged: Mutex<Vec<Instant>>,
    failed: AtomicBool,
}

impl Sending<'_> {
    fn send(&self, number: usize) -> Result<(), String> {
        let client = |url: &String| Client::with_limit(url, self.token.as_deref(), REQUEST_MAX);
        let clients: Vec<Client> = self.urls.iter().map(client).collect();
        let (mut arrivals, mut body, mut at) = (Arrivals::of(number, self.sizes), String::new(), number);
        let take =
            || self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        while take().is_ok() {
            body.clear();
            let sum: u64 = (0..self.sizes.batch).map(|_| self.texts.line(arrivals.next(), &mut body)).sum();
            while let Err(error) = clients[at % clients.len()].post(self.path, body.as_str()) {
                // Whoever throws away what is answered so has lost it.
                if error.contains(": 4") && !error.contains(": 429 ") {
                    return Err(error);
                }
                if self.failed.load(Ordering::Relaxed) {
                    return Ok(());
                }
                self.again.fetch_add(1, Ordering::Relaxed);
                at += 1;
                pause(BEFORE_AGAIN);
            }
            self.sum.fetch_add(sum, Ordering::Relaxed);
            self.acknowledged.lock().map_err(|_poisoned| "a sender died")?.push(now());
        }
        Ok(())
    }
}

/// A kill of one node or all, and when.
struct Kill {
    at: Instant,
    of_all: bool,
}

/// Runs the scenario.
pub(crate) fn measure(sizes: &Sizes) -> Result<Measured, String> {
    let mut running = Running::start(Peer::TidemarkCluster, &sizes.binary)?;
    let requests = sizes.rows.div_ceil(sizes.batch);
    let sending = Sending {
        sizes,
        texts: Texts::new(sizes.sustained_hosts),
        urls: running.urls.clone(),
        token: running.token.clone(),
        path: running.write_path(),
        left: AtomicUsize::new(requests),
        sum: AtomicU64::new(0),
        again: AtomicUsize::new(0),
        acknowledged: Mutex::default(),
        failed: AtomicBool::new(false),
    };
    let (started, over) = (now(), AtomicUsize::new(0));
    let kills = std::thread::scope(|scope| {
        let (sending, over) = (&sending, &over);
        let senders: Vec<_> = (0..sizes.connections)
            .map(|number| {
                scope.spawn(move || {
                    let sent = sending.send(number);
                    over.fetch_add(1, Ordering::Relaxed);
                    sent
                })
            })
            .collect();
        let kills = kill(&mut running, sizes, || over.load(Ordering::Relaxed) > 0);
        sending.failed.store(kills.is_err(), Ordering::Relaxed);
        for sender in senders {
            sender.join().map_err(|_panic| "a sender died".to_owned())??;
        }
        kills
    })?;
    let wall = started.elapsed();
    let (rows, sum) = (requests * sizes.batch, sending.sum.load(Ordering::Relaxed));
    check(&running, rows, sum)?;
    running.kill_and_start_all()?;
    wait_until_ready(&running)?;
    check(&running, rows, sum)?;
    let mut measured = Measured::new(Peer::TidemarkCluster);
    measured.add(ACKNOWLEDGED, count(rows));
    measured.add(LOST, 0.0);
    measured
        .add(KILLS, count(kills.iter().map(|kill| if kill.of_all { sending.urls.len() } else { 1 }).sum()));
    measured.add(AGAIN, count(sending.again.load(Ordering::Relaxed)));
    measured.add(VALUES_PER_SECOND, count(rows * FIELDS.len()) / wall.as_secs_f64());
    let mut times = sending.acknowledged.into_inner().map_err(|_poisoned| "a sender died")?;
    times.sort_unstable();
    for (metric, of_all) in [(PAUSE_ONE, false), (PAUSE_ALL, true)] {
        let of_kind = kills.iter().filter(|kill| kill.of_all == of_all);
        let longest = of_kind.map(|kill| longest_pause(&times, kill.at)).max().unwrap_or_default();
        measured.add(metric, longest.as_secs_f64());
    }
    running.stop()?;
    Ok(measured)
}

/// Kills nodes until the rows are sent.
fn kill(running: &mut Running, sizes: &Sizes, is_over: impl Fn() -> bool) -> Result<Vec<Kill>, String> {
    let (mut kills, mut random) = (Vec::new(), Random::new(11));
    let mut next = now() + Duration::from_secs(sizes.kill_seconds as u64);
    while !is_over() {
        if now() < next {
            pause(Duration::from_millis(50));
            continue;
        }
        let of_all = kills.len() % ALL_EVERY == ALL_EVERY - 1;
        kills.push(Kill { at: now(), of_all });
        if of_all {
            running.kill_and_start_all()?;
        } else {
            running.kill_and_start(random.below(running.urls.len()))?;
        }
        wait_until_ready(running)?;
        next = now() + Duration::from_secs(sizes.kill_seconds as u64);
    }
    if kills.len() < ALL_EVERY { Err("too few kills: send more rows".to_owned()) } else { Ok(kills) }
}

fn wait_until_ready(running: &Running) -> Result<(), String> {
    running.urls.iter().try_for_each(|url| {
        let client = Client::new(url, None);
        wait_until(&format!("{url} to be ready"), READY_MAX, || client.get("/ready").is_ok()).map(drop)
    })
}

/// Whether every node has every row.
fn check(running: &Running, rows: usize, sum: u64) -> Result<(), String> {
    running.urls.iter().try_for_each(|url| {
        let client = Client::new(url, running.token.as_deref());
        let counts = client.influxql_row("SELECT count(*) FROM cpu")?;
        if counts.len() != FIELDS.len() || counts.iter().any(|held| *held != count(rows)) {
            return Err(format!("{url} holds {counts:?} of {rows} rows in each of the fields"));
        }
        let held = client.influxql_row("SELECT sum(usage_user) FROM cpu")?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let expected = sum as f64;
        if held == [expected] {
            Ok(())
        } else {
            Err(format!("{url}: the sum is {held:?} and should be {sum}"))
        }
    })
}

/// The longest time between two acknowledgements around a kill, and until the next ones come as before.
fn longest_pause(times: &[Instant], killed: Instant) -> Duration {
    let from = times.partition_point(|time| *time < killed).saturating_sub(1);
    let until = times.partition_point(|time| *time < killed + Duration::from_secs(10));
    let gaps = times[from..until.max(from)].windows(2).map(|pair| pair[1] - pair[0]);
    gaps.max().unwrap_or_default()
}

/// What the scenario sends.
pub(crate) fn describe(sizes: &Sizes) -> String {
    format!(
        "{} rows of {} hosts of ten fields, {} % of them up to an hour late, requests of {} lines over {} connections; \
         {} s from when all are ready to the next kill",
        sizes.rows.div_ceil(sizes.batch) * sizes.batch,
        sizes.sustained_hosts,
        sizes.late_percent,
        sizes.batch,
        sizes.connections,
        sizes.kill_seconds
    )
}
