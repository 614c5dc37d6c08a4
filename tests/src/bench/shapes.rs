//! The shapes of TSBS over `cpu-only`: which random windows they ask for, and how that reads in InfluxQL, and in MetricsQL
//! where TSBS has a form for it.

use std::fmt;

use testkit::node::encode;
use testkit::tsbs::{CpuOnly, FIELDS, Random};

use crate::figures::{Metric, less};
use crate::load::START_NS;

/// What a query takes from the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// A shape's figures: those of a day at rest, and those of both sizes of data.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) median: Metric,
    pub(crate) best: Metric,
    pub(crate) cpu: Metric,
    pub(crate) cold: Metric,
    pub(crate) cold_p95: Metric,
    pub(crate) warm: Metric,
    pub(crate) warm_p95: Metric,
}

/// A shape of query.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) metrics: Metrics,
    kind: Kind,
    pub(crate) fields: usize,
    /// 0: all.
    hosts: usize,
    hours: i64,
}

macro_rules! shape {
    ($name:literal, $kind:expr, $fields:literal, $hosts:literal, $hours:literal) => {
        Shape {
            name: $name,
            metrics: Metrics {
                median: less(concat!($name, ", median, ms")),
                best: less(concat!($name, ", best, ms")),
                cpu: less(concat!($name, ", server CPU, ms")),
                cold: less(concat!($name, ", cold, median, ms")),
                cold_p95: less(concat!($name, ", cold, p95, ms")),
                warm: less(concat!($name, ", warm, median, ms")),
                warm_p95: less(concat!($name, ", warm, p95, ms")),
            },
            kind: $kind,
            fields: $fields,
            hosts: $hosts,
            hours: $hours,
        }
    };
}

/// All of them.
pub(crate) const SHAPES: &[Shape] = &[
    shape!("single-groupby-1-1-1", Kind::MaxByTime { step_s: 60 }, 1, 1, 1),
    shape!("single-groupby-1-1-12", Kind::MaxByTime { step_s: 60 }, 1, 1, 12),
    shape!("single-groupby-1-8-1", Kind::MaxByTime { step_s: 60 }, 1, 8, 1),
    shape!("single-groupby-5-1-1", Kind::MaxByTime { step_s: 60 }, 5, 1, 1),
    shape!("single-groupby-5-1-12", Kind::MaxByTime { step_s: 60 }, 5, 1, 12),
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

/// How much data there is, from `START_NS` on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) hosts: usize,
    pub(crate) rows: usize,
}

impl Extent {
    pub(crate) fn hours(hosts: usize, hours: usize) -> Self {
        let steps = hours * 3_600_000_000_000 / usize::try_from(CpuOnly::INTERVAL_NS).unwrap_or(1);
        Self { hosts, rows: hosts * steps }
    }

    pub(crate) fn seconds(self) -> i64 {
        let steps = i64::try_from(self.rows / self.hosts).unwrap_or_default();
        steps * CpuOnly::INTERVAL_NS / 1_000_000_000
    }
}

/// A window of time and some hosts.
#[derive(Debug)]
pub(crate) struct Window {
    from_s: i64,
    to_s: i64,
    hosts: Vec<usize>,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {} s, hosts {:?}", self.from_s, self.to_s, self.hosts)
    }
}

/// How far a window may lie outside data that are not longer than it.
const OUTSIDE_S: i64 = 3600;
const START_S: i64 = START_NS / 1_000_000_000;

impl Shape {
    /// As many windows as are wanted, the same for every server. Where the data are no longer than a window it begins up
    /// to an hour before or after them, so that windows still differ.
    pub(crate) fn windows(&self, count: usize, extent: Extent) -> Vec<Window> {
        let mut random =
            Random::new(u64::try_from(self.hours).unwrap_or_default() * 1000 + self.fields as u64);
        let left_s = extent.seconds() - self.hours * 3600;
        let (first_s, span_s) = if left_s > 0 { (0, left_s) } else { (-OUTSIDE_S, 2 * OUTSIDE_S) };
        (0..count)
            .map(|_| {
                let offset = random.below(usize::try_from(span_s).unwrap_or_default().max(1));
                let from_s = START_S + first_s + i64::try_from(offset).unwrap_or_default();
                let mut hosts: Vec<usize> = Vec::new();
                while hosts.len() < self.hosts.min(extent.hosts) {
                    let host = random.below(extent.hosts);
                    if !hosts.contains(&host) {
                        hosts.push(host);
                    }
                }
                Window { from_s, to_s: from_s + self.hours * 3600, hosts }
            })
            .collect()
    }

    /// Whether all its windows ask the same.
    pub(crate) fn always_same(&self) -> bool {
        self.kind == Kind::Last
    }

    pub(crate) fn influxql(&self, window: &Window) -> String {
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
    pub(crate) fn metricsql(&self, window: &Window) -> Option<String> {
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
            "/api/v1/query_range?start={}&end={}&step={step_s}&query={}",
            window.from_s,
            window.to_s,
            encode(&query)
        ))
    }

    /// Rows that an answer has at least: of whole steps that lie in the data, but one.
    pub(crate) fn rows_min(&self, window: &Window, extent: Extent) -> usize {
        let (from_s, to_s) = (window.from_s.max(START_S), window.to_s.min(START_S + extent.seconds()));
        let steps = |step_s: i64| usize::try_from((to_s - from_s) / step_s - 1).unwrap_or_default();
        match self.kind {
            Kind::MaxByTime { step_s } => steps(step_s),
            Kind::MeanByHost => steps(3600) * extent.hosts,
            Kind::HighCpu => 0,
            Kind::Last => extent.hosts,
            Kind::OrderLimit => 5,
        }
    }
}
