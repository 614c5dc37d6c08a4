//! `queries`: the shapes of TSBS over a day of `cpu-only` at rest, InfluxQL to Tidemark and InfluxDB, MetricsQL to
//! VictoriaMetrics where TSBS has a form for it. One kept-alive connection; the same random windows for every server.
//! Answers are read to the end, and those of Tidemark and InfluxDB must hold the same rows and numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use testkit::node::encode;
use testkit::tsbs::{CpuOnly, FIELDS, Random};

use crate::client::Client;
use crate::figures::{Measured, Metric, less};
use crate::ingest::{Day, count};
use crate::load::{self, START_NS};
use crate::peers::{Peer, Running};
use crate::process;
use crate::sizes::Sizes;

/// A shape's figures.
struct Metrics {
    median: Metric,
    best: Metric,
    cpu: Metric,
}

/// What a query takes from the data.
#[derive(Clone, Copy)]
enum Kind {
    /// Maximum by time of some fields of some hosts.
    MaxByTime { step_s: i64 },
    /// Mean by hour and host of some fields, all hosts.
    MeanByHost,
    /// Rows with `usage_user` above 90.
    HighCpu,
    /// The last row of every host.
    Last,
    /// The last minutes before a time.
    OrderLimit,
}

struct Shape {
    metrics: Metrics,
    kind: Kind,
    fields: usize,
    /// 0: all.
    hosts: usize,
    hours: i64,
}

macro_rules! shape {
    ($name:literal, $kind:expr, $fields:literal, $hosts:literal, $hours:literal) => {
        Shape {
            metrics: Metrics {
                median: less(concat!($name, ", median, ms")),
                best: less(concat!($name, ", best, ms")),
                cpu: less(concat!($name, ", server CPU, ms")),
            },
            kind: $kind,
            fields: $fields,
            hosts: $hosts,
            hours: $hours,
        }
    };
}

const SHAPES: &[Shape] = &[
    shape!("single-groupby-1-1-1", Kind::MaxByTime { step_s: 60 }, 1, 1, 1),
    shape!("single-groupby-1-1-12", Kind::MaxByTime { step_s: 60 }, 1, 1, 12),
    shape!("single-groupby-5-8-1", Kind::MaxByTime { step_s: 60 }, 5, 8, 1),
    shape!("cpu-max-all-1", Kind::MaxByTime { step_s: 3600 }, 10, 1, 8),
    shape!("cpu-max-all-8", Kind::MaxByTime { step_s: 3600 }, 10, 8, 8),
    shape!("double-groupby-1", Kind::MeanByHost, 1, 0, 12),
    shape!("double-groupby-5", Kind::MeanByHost, 5, 0, 12),
    shape!("double-groupby-all", Kind::MeanByHost, 10, 0, 12),
    shape!("high-cpu-1", Kind::HighCpu, 10, 1, 12),
    shape!("high-cpu-all", Kind::HighCpu, 10, 0, 12),
    shape!("lastpoint", Kind::Last, 10, 0, 12),
    shape!("groupby-orderby-limit", Kind::OrderLimit, 1, 0, 12),
];

/// A shape is asked at least this long, so that the clock of /proc can tell its CPU.
const ASKED_MIN: Duration = Duration::from_secs(1);

/// A window of time and some hosts.
struct Window {
    from_s: i64,
    to_s: i64,
    hosts: Vec<usize>,
}

impl Shape {
    fn windows(&self, sizes: &Sizes) -> Vec<Window> {
        let mut random =
            Random::new(u64::try_from(self.hours).unwrap_or_default() * 1000 + self.fields as u64);
        let span_s = seconds(sizes) - self.hours * 3600;
        (0..sizes.windows)
            .map(|_| {
                let offset = random.below(usize::try_from(span_s).unwrap_or_default().max(1));
                let from_s = START_NS / 1_000_000_000 + i64::try_from(offset).unwrap_or_default();
                let mut hosts: Vec<usize> = Vec::new();
                while hosts.len() < self.hosts.min(sizes.hosts) {
                    let host = random.below(sizes.hosts);
                    if !hosts.contains(&host) {
                        hosts.push(host);
                    }
                }
                Window { from_s, to_s: from_s + self.hours * 3600, hosts }
            })
            .collect()
    }

    fn influxql(&self, window: &Window) -> String {
        let fields = &FIELDS[..self.fields];
        let select =
            |function: &str| fields.iter().map(|f| format!("{function}({f})")).collect::<Vec<_>>().join(", ");
        let time = format!("time >= {}s AND time < {}s", window.from_s, window.to_s);
        let hosts: Vec<_> = window.hosts.iter().map(|h| format!("hostname = 'host_{h}'")).collect();
        let hosts = if hosts.is_empty() { String::new() } else { format!("({}) AND ", hosts.join(" OR ")) };
        match self.kind {
            Kind::MaxByTime { step_s } => {
                format!("SELECT {} FROM cpu WHERE {hosts}{time} GROUP BY time({step_s}s)", select("max"))
            }
            Kind::MeanByHost => {
                format!("SELECT {} FROM cpu WHERE {time} GROUP BY time(1h), hostname", select("mean"))
            }
            Kind::HighCpu => format!("SELECT * FROM cpu WHERE {hosts}usage_user > 90.0 AND {time}"),
            Kind::Last => "SELECT * FROM cpu GROUP BY hostname ORDER BY time DESC LIMIT 1".to_owned(),
            Kind::OrderLimit => {
                format!(
                    "SELECT max(usage_user) FROM cpu WHERE time < {}s GROUP BY time(1m) LIMIT 5",
                    window.to_s
                )
            }
        }
    }

    /// The path of a range query, where TSBS has one.
    fn metricsql(&self, window: &Window) -> Option<String> {
        let names = FIELDS[..self.fields].join("|");
        let hosts: Vec<_> = window.hosts.iter().map(|h| format!("host_{h}")).collect();
        let (query, step_s) = match self.kind {
            Kind::MaxByTime { step_s } => (
                format!(
                    "max(max_over_time({{__name__=~\"cpu_({names})\",hostname=~\"{}\"}}[{step_s}s])) by (__name__)",
                    hosts.join("|")
                ),
                step_s,
            ),
            Kind::MeanByHost => (
                format!("avg(avg_over_time({{__name__=~\"cpu_({names})\"}}[1h])) by (__name__, hostname)"),
                3600,
            ),
            Kind::HighCpu | Kind::Last | Kind::OrderLimit => return None,
        };
        Some(format!(
            "/api/v1/query_range?nocache=1&start={}&end={}&step={step_s}&query={}",
            window.from_s,
            window.to_s,
            encode(&query)
        ))
    }

    /// Rows that an answer has at least.
    fn rows_min(&self, sizes: &Sizes) -> usize {
        let hours = usize::try_from(self.hours).unwrap_or_default();
        match self.kind {
            Kind::MaxByTime { step_s } => hours * 3600 / usize::try_from(step_s).unwrap_or(1),
            Kind::MeanByHost => hours * sizes.hosts,
            Kind::HighCpu => 0,
            Kind::Last => sizes.hosts,
            Kind::OrderLimit => 5,
        }
    }
}

fn seconds(sizes: &Sizes) -> i64 {
    let steps = i64::try_from(sizes.rows / sizes.hosts).unwrap_or_default();
    steps * CpuOnly::INTERVAL_NS / 1_000_000_000
}

/// What an answer holds: rows, and the sum of its numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Digest {
    rows: usize,
    sum: f64,
}

impl Digest {
    fn agrees(self, other: Self) -> bool {
        self.rows == other.rows && (self.sum - other.sum).abs() <= self.sum.abs() * 1e-9
    }

    fn of_influxql(text: &str) -> Result<Self, String> {
        let answer: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let mut digest = Self { rows: 0, sum: 0.0 };
        for series in answer["results"][0]["series"].as_array().into_iter().flatten() {
            for row in series["values"].as_array().into_iter().flatten() {
                digest.rows += 1;
                digest.sum +=
                    row.as_array().into_iter().flatten().skip(1).filter_map(Value::as_f64).sum::<f64>();
            }
        }
        Ok(digest)
    }

    /// Rows are points of time: the answer has one matrix for each field and host.
    fn of_metricsql(text: &str, fields: usize) -> Result<Self, String> {
        let answer: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let points = series.iter().filter_map(|s| s["values"].as_array()).map(Vec::len).sum::<usize>();
        Ok(Self { rows: points / fields, sum: 0.0 })
    }
}

/// The answers that were seen first, by shape and window: later servers must give the same.
pub(crate) type Answers = BTreeMap<(&'static str, usize), (Peer, Digest)>;

/// Runs the scenario against one server.
pub(crate) fn measure(
    peer: Peer,
    sizes: &Sizes,
    day: &Day,
    answers: &mut Answers,
) -> Result<Measured, String> {
    if seconds(sizes) < 12 * 3600 {
        return Err("queries need twelve hours of data: rows / hosts * 10 s".to_owned());
    }
    let running = Running::start(peer, &sizes.binary)?;
    load::send(&running, sizes.connections, &day.bodies)?;
    running.come_to_rest()?;
    day.check(&running)?;
    let client = running.client();
    let mut measured = Measured::new(peer);
    for shape in SHAPES {
        measure_shape(shape, &running, &client, sizes, answers, &mut measured)?;
    }
    running.server.stop()?;
    Ok(measured)
}

fn measure_shape(
    shape: &Shape,
    running: &Running,
    client: &Client,
    sizes: &Sizes,
    answers: &mut Answers,
    measured: &mut Measured,
) -> Result<(), String> {
    let name = shape.metrics.median.name;
    let (mut times, mut asked, mut cpu) = (Vec::new(), 0, 0.0);
    let (windows, started) = (shape.windows(sizes), process::now());
    let mut round = 0;
    while round < sizes.query_rounds || started.elapsed() < ASKED_MIN {
        let before = running.server.cpu_seconds()?;
        for (number, window) in windows.iter().enumerate() {
            let began = process::now();
            let text = if running.peer.speaks_influxql() {
                client.influxql(&shape.influxql(window))?
            } else if let Some(path) = shape.metricsql(window) {
                client.get(&path)?
            } else {
                measured.without(shape.metrics.median, "TSBS has no form");
                return Ok(());
            };
            let took = began.elapsed().as_secs_f64() * 1e3;
            if round > 0 {
                times.push(took);
                continue;
            }
            let digest = if running.peer.speaks_influxql() {
                let digest = Digest::of_influxql(&text)?;
                let (first, expected) = *answers.entry((name, number)).or_insert((running.peer, digest));
                if !digest.agrees(expected) {
                    return Err(format!("{name}: {digest:?}, but {first} has {expected:?}"));
                }
                digest
            } else {
                Digest::of_metricsql(&text, shape.fields)?
            };
            if digest.rows < shape.rows_min(sizes) {
                return Err(format!("{name}: {} rows of {}", digest.rows, shape.rows_min(sizes)));
            }
        }
        if round > 0 {
            cpu += running.server.cpu_seconds()? - before;
            asked += windows.len();
        }
        round += 1;
    }
    times.sort_by(f64::total_cmp);
    measured.add(shape.metrics.median, times.get(times.len() / 2).copied().unwrap_or_default());
    measured.add(shape.metrics.best, times.first().copied().unwrap_or_default());
    measured.add(shape.metrics.cpu, cpu * 1e3 / count(asked));
    Ok(())
}
