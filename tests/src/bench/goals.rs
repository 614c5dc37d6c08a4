//! What issue and design ask of the figures, so that a report says by itself where they fall short.

use crate::export::EXPORTS;
use crate::figures::{FAILED, Measured, Outcome};
use crate::ingest::{CPU_PER_ROW, EVERYTHING, PEAK_RSS, VALUES_PER_SECOND};
use crate::peers::Peer;
use crate::series::{DELETE, DISK, FIRST_POINT, RESTART};
use crate::shapes::SHAPES;
use crate::sustained::{GROWTH, LONGEST, P99};

/// What a figure is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Against {
    /// Nothing: the figure itself has a limit.
    Limit,
    /// The better of InfluxDB's two index kinds: ours divided by theirs has a limit.
    Influxdb,
    VictoriaMetrics,
}

/// One goal.
#[derive(Clone, Copy)]
struct Goal {
    scenario: &'static str,
    metric: &'static str,
    against: Against,
    /// At most this, or at least this where more is better.
    now: f64,
    /// The same, later.
    later: Option<f64>,
}

const fn goal(scenario: &'static str, metric: &'static str, now: f64) -> Goal {
    Goal { scenario, metric, against: Against::Limit, now, later: None }
}

const GOALS: &[Goal] = &[
    Goal {
        scenario: "integers",
        metric: CPU_PER_ROW.name,
        against: Against::Influxdb,
        now: 0.25,
        later: Some(0.125),
    },
    Goal {
        scenario: "integers",
        metric: CPU_PER_ROW.name,
        against: Against::VictoriaMetrics,
        now: 0.5,
        later: Some(0.2),
    },
    Goal {
        scenario: "integers",
        metric: VALUES_PER_SECOND.name,
        against: Against::Influxdb,
        now: 4.0,
        later: Some(6.0),
    },
    Goal {
        scenario: "integers",
        metric: VALUES_PER_SECOND.name,
        against: Against::VictoriaMetrics,
        now: 2.0,
        later: Some(4.0),
    },
    goal("integers", EVERYTHING.name, 0.33),
    goal("decimals", EVERYTHING.name, 1.15),
    goal("doubles", EVERYTHING.name, 6.9),
    goal("series", PEAK_RSS.name, 350.0),
    goal("series", DISK.name, 60.0),
    goal("series", FIRST_POINT.name, 5.0),
    goal("series", RESTART.name, 0.5),
    goal("series", DELETE.name, 10.0),
    goal("many-series", PEAK_RSS.name, 2500.0),
    goal("sustained", P99.name, 50.0),
    goal("sustained", LONGEST.name, 1000.0),
    goal("sustained", GROWTH.name, 1.05),
];

/// Every shape of query at rest, in both sizes of data: twice as fast as InfluxDB, and no slower than VictoriaMetrics. And
/// an export takes as much memory as one of a tenth of the rows.
fn of_shapes() -> impl Iterator<Item = Goal> {
    let both = |scenario| {
        SHAPES.iter().flat_map(move |shape| {
            let goal =
                |against, now| Goal { scenario, metric: shape.metrics.warm.name, against, now, later: None };
            [goal(Against::Influxdb, 0.5), goal(Against::VictoriaMetrics, 1.0)]
        })
    };
    let exports = EXPORTS.iter().map(|export| goal("shapes-hosts", export.metrics.growth.name, 1.25));
    both("shapes-days").chain(both("shapes-hosts")).chain(exports)
}

/// A goal with what was measured.
pub(crate) struct Line {
    pub(crate) scenario: &'static str,
    pub(crate) what: String,
    pub(crate) now: String,
    pub(crate) later: String,
    /// Not a number where it failed.
    pub(crate) measured: f64,
    pub(crate) met: bool,
}

/// The goals for which there are figures.
pub(crate) fn lines(outcomes: &[Outcome]) -> Vec<Line> {
    let line = |goal: Goal| {
        let outcome = outcomes.iter().find(|o| o.scenario == goal.scenario)?;
        let ours = outcome.servers.iter().find(|s| s.peer == Peer::Tidemark)?;
        let figure = ours.figures.iter().find(|f| f.metric.name == goal.metric)?;
        let metric = figure.metric;
        let ours = match &figure.value {
            Ok(value) => *value,
            Err(reason) if reason == FAILED => f64::NAN,
            Err(_left_out) => return None,
        };
        let of = |measured: &Measured| measured.get(goal.metric);
        let theirs = |wanted: &[Peer]| {
            let values = outcome.servers.iter().filter(|s| wanted.contains(&s.peer)).filter_map(of);
            if metric.more_is_better { values.reduce(f64::max) } else { values.reduce(f64::min) }
        };
        let (what, measured) = match goal.against {
            Against::Limit => (goal.metric.to_owned(), ours),
            Against::Influxdb => {
                let theirs = theirs(&[Peer::InfluxInmem, Peer::InfluxTsi1])?;
                (format!("{}, as a multiple of InfluxDB's", goal.metric), ours / theirs)
            }
            Against::VictoriaMetrics => {
                let theirs = theirs(&[Peer::VictoriaMetrics])?;
                (format!("{}, as a multiple of VictoriaMetrics'", goal.metric), ours / theirs)
            }
        };
        let sign = if metric.more_is_better { "≥" } else { "≤" };
        let met = if metric.more_is_better { measured >= goal.now } else { measured <= goal.now };
        let later = goal.later.map_or_else(String::new, |later| format!("{sign} {later}"));
        Some(Line {
            scenario: goal.scenario,
            what,
            now: format!("{sign} {}", goal.now),
            later,
            measured,
            met,
        })
    };
    GOALS.iter().copied().chain(of_shapes()).filter_map(line).collect()
}
