//! `shapes-days` and `shapes-hosts`: all shapes of TSBS, cold and warm, over few hosts for days and over many for hours.
//!
//! Cold: the server was started anew and the page cache holds nothing of its files; each instance is asked once, so that
//! a later one finds what earlier ones left. A shape of which all instances are the same is restarted before each. Warm:
//! the same instances again, in rounds. What is answered cold must be answered warm, byte for byte, and by Tidemark as by
//! InfluxDB.

use std::time::{Duration, Instant};

use testkit::tsbs::{CpuOnly, Values};

use crate::answers::{Answers, Digest};
use crate::client::Client;
use crate::export;
use crate::figures::Measured;
use crate::ingest::check_held;
use crate::load::{self, START_NS};
use crate::peers::{Peer, Running};
use crate::process;
use crate::say;
use crate::shapes::{Extent, SHAPES, Shape, Window};
use crate::sizes::Sizes;

/// Requests of which the lines are made at once, so that the generator's memory stays small.
const SLAB: usize = 50;
/// Instances are asked warm at least this long.
const WARM_MIN: Duration = Duration::from_secs(1);

/// What is sent.
pub(crate) struct Data {
    extent: Extent,
    /// Whether there is enough of it to be exported.
    exported: bool,
}

impl Data {
    /// Few hosts, three days.
    pub(crate) fn days(sizes: &Sizes) -> Self {
        Self { extent: Extent::hours(100_usize.div_ceil(sizes.part), 72), exported: false }
    }

    /// Many hosts, twelve hours.
    pub(crate) fn hosts(sizes: &Sizes) -> Self {
        Self { extent: Extent::hours(4000_usize.div_ceil(sizes.part), 12), exported: true }
    }

    pub(crate) fn describe(&self, sizes: &Sizes) -> String {
        let Extent { hosts, rows } = self.extent;
        let asked = format!(
            "{} instances of each shape, of which none is begun cold after {} s",
            sizes.instances, sizes.shape_seconds
        );
        let exported = if self.exported {
            format!("; {} rows are exported", export::rows(self.extent, sizes))
        } else {
            String::new()
        };
        format!(
            "{rows} rows of {hosts} hosts in {} hours, {} values; {asked}{exported}",
            self.extent.seconds() / 3600,
            rows * CpuOnly::FIELDS
        )
    }

    fn load(&self, running: &Running, sizes: &Sizes) -> Result<(), String> {
        let mut generator = CpuOnly::new(self.extent.hosts, START_NS, 42, Values::Integers);
        let mut left = self.extent.rows;
        while left > 0 {
            let mut bodies = Vec::with_capacity(SLAB);
            while left > 0 && bodies.len() < SLAB {
                let rows = left.min(sizes.batch);
                bodies.push(generator.body(rows));
                left -= rows;
            }
            load::send(running, sizes.connections, &bodies)?;
        }
        running.come_to_rest()?;
        running.wait_until_merged()?;
        check_held(running, self.extent.rows, generator.first_field_sum())
    }
}

/// Runs the scenario against one server, which is loaded once. A shape that fails does not end it.
pub(crate) fn measure(
    peer: Peer,
    sizes: &Sizes,
    data: &Data,
    answers: &mut Answers,
) -> Result<Measured, String> {
    let mut running = Running::start(peer, &sizes.binary)?;
    data.load(&running, sizes)?;
    let mut measured = Measured::new(peer);
    let mut fewer = Vec::new();
    for shape in SHAPES {
        let began = process::now();
        let asked = Asked::new(shape, data.extent, &mut running, sizes, answers);
        match asked.and_then(|asked| asked.add_to(&mut measured)) {
            Ok(asked) => {
                let took_s = began.elapsed().as_secs_f64();
                say(&format!("  {peer}: {}: {asked} instances, {took_s:.1} s", shape.name));
                if (1..sizes.instances).contains(&asked) {
                    fewer.push(format!("{} {asked}", shape.name));
                }
            }
            Err(error) => {
                say(&format!("  {peer}: {}: {error}", shape.name));
                measured.fail(&[shape.metrics.cold, shape.metrics.warm], shape.name, &error);
            }
        }
    }
    if !fewer.is_empty() {
        measured.notes.push(format!("fewer than {} instances: {}", sizes.instances, fewer.join(", ")));
    }
    if data.exported {
        export::measure(&mut running, data.extent, sizes, answers, &mut measured)?;
    }
    running.stop()?;
    Ok(measured)
}

/// Times of one shape, in milliseconds.
struct Asked<'a> {
    shape: &'a Shape,
    cold: Vec<f64>,
    warm: Vec<f64>,
}

impl<'a> Asked<'a> {
    fn new(
        shape: &'a Shape,
        extent: Extent,
        running: &mut Running,
        sizes: &Sizes,
        answers: &mut Answers,
    ) -> Result<Self, String> {
        let mut asked = Self { shape, cold: Vec::new(), warm: Vec::new() };
        let windows = shape.windows(sizes.instances, extent);
        if !running.peer.speaks_influxql() && windows.iter().any(|w| shape.metricsql(w).is_none()) {
            return Ok(asked);
        }
        let mut client = running.restart_cold()?;
        let (limit, began) = (Duration::from_secs(sizes.shape_seconds as u64), process::now());
        let mut digests = Vec::new();
        for (number, window) in windows.iter().enumerate() {
            if number > 0 && began.elapsed() >= limit {
                break;
            }
            if number > 0 && shape.always_same() {
                client = running.restart_cold()?;
            }
            let (took, digest) = ask(shape, window, running.peer, &client)?;
            let rows_min = shape.rows_min(window, extent);
            if digest.rows < rows_min {
                return Err(format!("{} rows of {rows_min}: {window}", digest.rows));
            }
            if running.peer.speaks_influxql() {
                let statement = shape.influxql(window);
                answers.compare((shape.name, number), running.peer, digest, &statement)?;
            }
            asked.cold.push(took);
            digests.push(digest);
        }
        asked.again(&windows, &digests, running.peer, &client)?;
        Ok(asked)
    }

    fn again(
        &mut self,
        windows: &[Window],
        digests: &[Digest],
        peer: Peer,
        client: &Client,
    ) -> Result<(), String> {
        let began = process::now();
        while self.warm.is_empty() || began.elapsed() < WARM_MIN {
            for (window, cold) in windows.iter().zip(digests) {
                let (took, digest) = ask(self.shape, window, peer, client)?;
                if digest != *cold {
                    return Err(format!("{cold:?} cold, but {digest:?} warm: {window}"));
                }
                self.warm.push(took);
            }
        }
        Ok(())
    }

    /// Adds the figures; how many instances they are of.
    fn add_to(self, measured: &mut Measured) -> Result<usize, String> {
        let Self { shape, mut cold, mut warm } = self;
        if cold.is_empty() {
            measured.without(shape.metrics.cold, "TSBS has no form");
            return Ok(0);
        }
        cold.sort_by(f64::total_cmp);
        warm.sort_by(f64::total_cmp);
        measured.add(shape.metrics.cold, percentile(&cold, 50)?);
        measured.add(shape.metrics.cold_p95, percentile(&cold, 95)?);
        measured.add(shape.metrics.warm, percentile(&warm, 50)?);
        measured.add(shape.metrics.warm_p95, percentile(&warm, 95)?);
        Ok(cold.len())
    }
}

/// The least of sorted figures that so many of a hundred do not exceed.
fn percentile(sorted: &[f64], percent: usize) -> Result<f64, String> {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().ok_or_else(|| "no figures".to_owned())
}

/// Asks one instance and reads the answer to its end; milliseconds, and what the answer holds.
fn ask(shape: &Shape, window: &Window, peer: Peer, client: &Client) -> Result<(f64, Digest), String> {
    let statement = shape.influxql(window);
    let path = shape.metricsql(window).unwrap_or_default();
    let began = process::now();
    let text = if peer.speaks_influxql() { client.influxql(&statement)? } else { client.get(&path)? };
    let took = milliseconds(began);
    let digest = if peer.speaks_influxql() {
        Digest::of_influxql(&text)
    } else {
        Digest::of_metricsql(&text, shape.fields)?
    };
    Ok((took, digest))
}

/// Since then.
pub(crate) fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
