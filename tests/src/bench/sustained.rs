//! `sustained`: minutes of writes without a pause, in which a share of the rows comes up to an hour of data time late.
//! Every sender has hosts of its own and holds a late row back until its time has come, so that rows are late as they
//! are in life, and none is written twice.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use testkit::tsbs::{CpuOnly, FIELDS, HostTags, Random};

use crate::figures::{Measured, Metric, less, more};
use crate::ingest::{CPU_PER_ROW, PEAK_RSS, VALUES_PER_SECOND, count, megabytes};
use crate::load::START_NS;
use crate::peers::{Peer, Running};
use crate::process;
use crate::sizes::Sizes;

const WORST_MINUTE: Metric = more("values per second in the worst minute");
const P50: Metric = less("latency of a write, median, ms");
pub(crate) const P99: Metric = less("latency of a write, 99th percentile, ms");
pub(crate) const LONGEST: Metric = less("latency of a write, longest, ms");
const STALLS: Metric = less("writes longer than a second");
pub(crate) const GROWTH: Metric = less("memory: median of the last quarter to that of the second");
const DATA: Metric = less("everything on disk per value at the end, bytes");

/// How late a row may come, in steps of ten seconds.
const LATE_STEPS: usize = 360;
/// Field texts: walks times the steps after which they repeat.
const WALKS: usize = 16;
const WALK_STEPS: usize = 64;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    host: usize,
    step: usize,
}

/// The rows of some hosts in the order in which they arrive.
pub(crate) struct Arrivals {
    hosts: Vec<usize>,
    next_host: usize,
    step: usize,
    /// Late rows that have arrived, and those of the steps to come.
    due: Vec<Row>,
    late: Vec<Vec<Row>>,
    late_percent: usize,
    random: Random,
}

impl Arrivals {
    /// What one of the senders has to send, which nobody else sends.
    pub(crate) fn of(number: usize, sizes: &Sizes) -> Self {
        Self {
            hosts: (number..sizes.sustained_hosts).step_by(sizes.connections).collect(),
            next_host: 0,
            step: 0,
            due: Vec::new(),
            late: vec![Vec::new(); LATE_STEPS + 1],
            late_percent: sizes.late_percent,
            random: Random::new(number as u64 + 1000),
        }
    }

    pub(crate) fn next(&mut self) -> Row {
        loop {
            if let Some(row) = self.due.pop() {
                return row;
            }
            let Some(host) = self.hosts.get(self.next_host).copied() else {
                (self.next_host, self.step) = (0, self.step + 1);
                let slot = self.step % self.late.len();
                self.due = std::mem::take(&mut self.late[slot]);
                continue;
            };
            self.next_host += 1;
            let row = Row { host, step: self.step };
            if self.random.below(100) >= self.late_percent {
                return row;
            }
            let arrives = self.step + 1 + self.random.below(LATE_STEPS);
            let slot = arrives % self.late.len();
            self.late[slot].push(row);
        }
    }
}

/// Texts of lines, ready to be copied.
pub(crate) struct Texts {
    series: Vec<String>,
    fields: Vec<String>,
    /// The first field's value in each of the texts.
    firsts: Vec<u64>,
}

impl Texts {
    pub(crate) fn new(hosts: usize) -> Self {
        let mut random = Random::new(7);
        let (mut fields, mut firsts) = (Vec::new(), Vec::new());
        for _ in 0..WALKS {
            let mut walks: [f64; FIELDS.len()] = std::array::from_fn(|_| random.uniform() * 100.0);
            for _ in 0..WALK_STEPS {
                let mut text = String::new();
                for (i, (name, walk)) in FIELDS.iter().zip(&mut walks).enumerate() {
                    *walk = (*walk + random.normal()).clamp(0.0, 100.0);
                    let separator = if i == 0 { ' ' } else { ',' };
                    write!(text, "{separator}{name}={}i", walk.trunc()).expect("a String takes all");
                }
                firsts.push(whole(walks[0]));
                fields.push(text);
            }
        }
        Self { series: (0..hosts).map(|n| HostTags::of(n).to_string()).collect(), fields, firsts }
    }

    /// Adds the line of a row, and answers the value of its first field.
    pub(crate) fn line(&self, row: Row, out: &mut String) -> u64 {
        let fields = row.host % WALKS * WALK_STEPS + row.step % WALK_STEPS;
        out.push_str(&self.series[row.host]);
        out.push_str(&self.fields[fields]);
        let step = i64::try_from(row.step).expect("a benchmark ends");
        writeln!(out, " {}", START_NS + step * CpuOnly::INTERVAL_NS).expect("a String takes all");
        self.firsts[fields]
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
fn whole(value: f64) -> u64 {
    value as u64
}

/// A request that was acknowledged.
#[derive(Debug, Clone, Copy)]
struct Sent {
    /// Since the start of the run.
    done: Duration,
    took: Duration,
}

/// Runs the scenario against one server.
pub(crate) fn measure(peer: Peer, sizes: &Sizes) -> Result<Measured, String> {
    let running = Running::start(peer, &sizes.binary)?;
    let texts = Texts::new(sizes.sustained_hosts);
    let before = running.server.cpu_seconds()?;
    let started = process::now();
    let end = started + Duration::from_secs(sizes.minutes as u64 * 60);
    let over = AtomicBool::new(false);
    let (sent, rss) = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..sizes.connections)
            .map(|number| {
                let (running, texts, over) = (&running, &texts, &over);
                scope.spawn(move || {
                    let sent = send(running, texts, sizes, number, (started, end), over);
                    // One that fails ends the others.
                    over.store(true, Ordering::Relaxed);
                    sent
                })
            })
            .collect();
        let mut rss = Vec::new();
        while !over.load(Ordering::Relaxed) {
            rss.push(running.server.rss_bytes().unwrap_or_default());
            process::pause(Duration::from_secs(1));
        }
        let mut all = Vec::new();
        for sender in senders {
            all.extend(sender.join().map_err(|_panic| "a sender died".to_owned())??);
        }
        Ok::<_, String>((all, rss))
    })?;
    let wall = started.elapsed();
    let cpu = running.server.cpu_seconds()? - before;
    check(&running, sent.len() * sizes.batch)?;
    let mut measured = Measured::new(peer);
    let rows = count(sent.len() * sizes.batch);
    measured.add(VALUES_PER_SECOND, rows * count(FIELDS.len()) / wall.as_secs_f64());
    measured.add(WORST_MINUTE, worst_minute(&sent, sizes));
    measured.add(CPU_PER_ROW, cpu * 1e6 / rows);
    latencies(&sent, &mut measured);
    measured.add(PEAK_RSS, megabytes(running.server.peak_rss_bytes()?));
    let quarter = |n: usize| median(rss.iter().skip(rss.len() * n / 4).take(rss.len() / 4));
    measured.add(GROWTH, quarter(3) / quarter(1));
    measured.add(DATA, crate::ingest::bytes(running.all_bytes()?) / rows / count(FIELDS.len()));
    running.server.stop()?;
    Ok(measured)
}

fn send(
    running: &Running,
    texts: &Texts,
    sizes: &Sizes,
    number: usize,
    (started, end): (Instant, Instant),
    over: &AtomicBool,
) -> Result<Vec<Sent>, String> {
    let mut arrivals = Arrivals::of(number, sizes);
    let client = running.client();
    let (mut sent, mut body) = (Vec::new(), String::new());
    let pace = (sizes.rate > 0)
        .then(|| Duration::from_secs_f64(count(sizes.batch * sizes.connections) / count(sizes.rate)));
    let mut due = started;
    while process::now() < end && !over.load(Ordering::Relaxed) {
        body.clear();
        (0..sizes.batch).for_each(|_| {
            texts.line(arrivals.next(), &mut body);
        });
        // With a pace, the wait for a sender that is behind belongs to the latency: the rows were there.
        let from = match pace {
            None => process::now(),
            Some(pace) => {
                due += pace;
                process::pause(due.saturating_duration_since(process::now()));
                due
            }
        };
        client.post(running.write_path(), body.as_str())?;
        let done = process::now();
        sent.push(Sent { done: done - started, took: done - from });
    }
    Ok(sent)
}

fn check(running: &Running, rows: usize) -> Result<(), String> {
    let client = running.client();
    let held = if running.peer.speaks_influxql() {
        client.influxql_row("SELECT count(usage_user) FROM cpu")?.first().copied().unwrap_or_default()
    } else {
        client.get("/internal/force_flush")?;
        let at = START_NS / 1_000_000_000 + 10 * 365 * 86_400;
        client.metricsql_number("sum(count_over_time(cpu_usage_user[11y]))", at)?
    };
    if held == count(rows) { Ok(()) } else { Err(format!("it holds {held} rows of {rows}")) }
}

/// Values per second of the worst whole minute.
fn worst_minute(sent: &[Sent], sizes: &Sizes) -> f64 {
    let minutes =
        (0..sizes.minutes as u64).map(|m| sent.iter().filter(|s| s.done.as_secs() / 60 == m).count());
    count(minutes.min().unwrap_or_default() * sizes.batch * FIELDS.len()) / 60.0
}

fn latencies(sent: &[Sent], measured: &mut Measured) {
    let mut took: Vec<f64> = sent.iter().map(|s| s.took.as_secs_f64() * 1e3).collect();
    took.sort_by(f64::total_cmp);
    let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or_default();
    measured.add(P50, at(50));
    measured.add(P99, at(99));
    measured.add(LONGEST, took.last().copied().unwrap_or_default());
    measured.add(STALLS, count(took.iter().filter(|ms| **ms > 1000.0).count()));
}

fn median<'a>(bytes: impl Iterator<Item = &'a u64>) -> f64 {
    let mut sorted: Vec<u64> = bytes.copied().collect();
    sorted.sort_unstable();
    crate::ingest::bytes(sorted.get(sorted.len() / 2).copied().unwrap_or_default())
}

/// What the scenario sends.
pub(crate) fn describe(sizes: &Sizes) -> String {
    let pace =
        if sizes.rate > 0 { format!("{} rows per second", sizes.rate) } else { "without a pause".to_owned() };
    format!(
        "{} minutes, {} hosts of ten fields, {pace}, {} % of the rows up to an hour late, requests of {} lines over {} \
         connections",
        sizes.minutes, sizes.sustained_hosts, sizes.late_percent, sizes.batch, sizes.connections
    )
}
