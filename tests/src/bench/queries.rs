//! `queries`: the shapes of TSBS over a day of `cpu-only` at rest, InfluxQL to Tidemark and InfluxDB, MetricsQL to
//! VictoriaMetrics where TSBS has a form for it. One kept-alive connection; the same random windows for every server.
//! Answers are read to the end, and those of Tidemark and InfluxDB must hold the same rows and numbers.

use std::time::Duration;

use crate::answers::{Answers, Digest};
use crate::client::Client;
use crate::figures::Measured;
use crate::ingest::{Day, count};
use crate::load;
use crate::peers::{Peer, Running};
use crate::process;
use crate::shapes::{Extent, SHAPES, Shape};
use crate::sizes::Sizes;

/// A shape is asked at least this long, so that the clock of /proc can tell its CPU.
const ASKED_MIN: Duration = Duration::from_secs(1);

/// Runs the scenario against one server.
pub(crate) fn measure(
    peer: Peer,
    sizes: &Sizes,
    day: &Day,
    answers: &mut Answers,
) -> Result<Measured, String> {
    let extent = Extent { hosts: sizes.hosts, rows: sizes.rows };
    if extent.seconds() < 12 * 3600 {
        return Err("queries need twelve hours of data: rows / hosts * 10 s".to_owned());
    }
    let running = Running::start(peer, &sizes.binary)?;
    load::send(&running, sizes.connections, &day.bodies)?;
    running.come_to_rest()?;
    day.check(&running)?;
    let client = running.client();
    let mut measured = Measured::new(peer);
    for shape in SHAPES {
        measure_shape(shape, &running, &client, sizes, answers, &mut measured)
            .map_err(|e| format!("{}: {e}", shape.name))?;
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
    let (mut times, mut asked, mut cpu) = (Vec::new(), 0, 0.0);
    let extent = Extent { hosts: sizes.hosts, rows: sizes.rows };
    let (windows, started) = (shape.windows(sizes.windows, extent), process::now());
    let mut round = 0;
    while round < sizes.query_rounds || started.elapsed() < ASKED_MIN {
        let before = running.server.cpu_seconds()?;
        for (number, window) in windows.iter().enumerate() {
            let began = process::now();
            let text = if running.peer.speaks_influxql() {
                client.influxql(&shape.influxql(window))?
            } else if let Some(path) = shape.metricsql(window) {
                client.get(&format!("{path}&nocache=1"))?
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
                let digest = Digest::of_influxql(&text);
                answers.compare((shape.name, number), running.peer, digest, &shape.influxql(window))?;
                digest
            } else {
                Digest::of_metricsql(&text, shape.fields)?
            };
            let rows_min = shape.rows_min(window, extent);
            if digest.rows < rows_min {
                return Err(format!("{} rows of {rows_min}: {window}", digest.rows));
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
