//! `integers`, `decimals`, `doubles`: a day of `cpu-only`, sent as fast as it is taken. Afterwards every server must
//! count its points and sum a field, and both must be right.

use testkit::tsbs::{CpuOnly, Values};

use crate::client::Client;
use crate::figures::{Measured, Metric, less, more};
use crate::load::{self, START_NS};
use crate::peers::{Peer, Running};
use crate::sizes::Sizes;

pub(crate) const VALUES_PER_SECOND: Metric = more("values per second");
pub(crate) const CPU_PER_ROW: Metric = less("server CPU per row, µs");
const CPU_AT_REST: Metric = less("the same until merged, µs");
pub(crate) const PEAK_RSS: Metric = less("peak memory, MB");
const DATA: Metric = less("data on disk per value, bytes");
pub(crate) const EVERYTHING: Metric = less("everything on disk per value, bytes");

/// What is sent, and what must be there afterwards.
pub(crate) struct Day {
    pub(crate) bodies: Vec<String>,
    rows: usize,
    first_field_sum: f64,
}

impl Day {
    pub(crate) fn new(sizes: &Sizes, values: Values) -> Self {
        let mut generator = CpuOnly::new(sizes.hosts, START_NS, 42, values);
        let (rows, batch) = (sizes.rows, sizes.batch);
        let body = |i: usize| generator.body(batch.min(rows - i * batch));
        let bodies = (0..rows.div_ceil(batch)).map(body).collect();
        Self { bodies, rows, first_field_sum: generator.first_field_sum() }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn values(&self) -> usize {
        self.rows * CpuOnly::FIELDS
    }

    pub(crate) fn describe(&self, sizes: &Sizes) -> String {
        let bytes: usize = self.bodies.iter().map(String::len).sum();
        format!(
            "{} rows of {} hosts, {} values, {} MB of line protocol in {} requests over {} connections",
            self.rows,
            sizes.hosts,
            self.rows * CpuOnly::FIELDS,
            bytes / 1_000_000,
            self.bodies.len(),
            sizes.connections
        )
    }

    /// Whether a server holds what it acknowledged.
    pub(crate) fn check(&self, running: &Running) -> Result<(), String> {
        check_held(running, self.rows, self.first_field_sum)
    }
}

/// Whether a server holds all values of so many rows, whose first field has this sum.
pub(crate) fn check_held(running: &Running, rows: usize, expected_sum: f64) -> Result<(), String> {
    let (held, sum) = held(running.peer, &running.client())?;
    let values = rows * CpuOnly::FIELDS;
    // VictoriaMetrics keeps about 15 digits of a double.
    if held != count(values) || (sum - expected_sum).abs() > expected_sum.abs() * 1e-9 {
        return Err(format!(
            "it holds {held} values of {values}, the sum is {sum} and should be {expected_sum}"
        ));
    }
    Ok(())
}

/// Runs the scenario against one server.
pub(crate) fn measure(peer: Peer, sizes: &Sizes, day: &Day) -> Result<Measured, String> {
    let running = Running::start(peer, &sizes.binary)?;
    let before = running.server.cpu_seconds()?;
    let cost = load::send(&running, sizes.connections, &day.bodies)?;
    running.come_to_rest()?;
    let at_rest = running.server.cpu_seconds()? - before;
    day.check(&running)?;
    let mut measured = Measured::new(peer);
    let (rows, values) = (count(day.rows), count(day.rows * CpuOnly::FIELDS));
    measured.add(VALUES_PER_SECOND, values / cost.wall.as_secs_f64());
    measured.add(CPU_PER_ROW, cost.cpu_seconds * 1e6 / rows);
    measured.add(CPU_AT_REST, at_rest * 1e6 / rows);
    measured.add(PEAK_RSS, megabytes(running.server.peak_rss_bytes()?));
    measured.add(DATA, bytes(running.data_bytes()?) / values);
    measured.add(EVERYTHING, bytes(running.all_bytes()?) / values);
    running.server.stop()?;
    Ok(measured)
}

/// Values in all fields, and the sum of the first field.
pub(crate) fn held(peer: Peer, client: &Client) -> Result<(f64, f64), String> {
    if peer.speaks_influxql() {
        let counts = client.influxql_row("SELECT count(*) FROM cpu")?;
        let sum = client.influxql_row("SELECT sum(usage_user) FROM cpu")?;
        return Ok((counts.iter().sum(), sum.first().copied().unwrap_or_default()));
    }
    let at = START_NS / 1_000_000_000 + 30 * 86_400;
    let count = client.metricsql_number("sum(count_over_time({__name__=~\"cpu_.*\"}[31d]))", at)?;
    let sum = client.metricsql_number("sum(sum_over_time(cpu_usage_user[31d]))", at)?;
    Ok((count, sum))
}

/// A number of things as a figure.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn count(n: usize) -> f64 {
    n as f64
}

/// A number of bytes as a figure.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn bytes(n: u64) -> f64 {
    n as f64
}

pub(crate) fn megabytes(n: u64) -> f64 {
    bytes(n) / 1e6
}
