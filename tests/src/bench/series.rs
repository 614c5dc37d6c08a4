//! `series` and `many-series`: very many series of ten tags and one field, two points each. What a first point costs
//! and a second, what is held in memory and on disk, how long a restart takes, a selection by three tags, and a delete
//! by time over all of them.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use testkit::tsbs::{CpuOnly, HostTags};

use crate::client::Client;
use crate::figures::{Measured, Metric, less, more};
use crate::ingest::{PEAK_RSS, bytes, count, megabytes};
use crate::load::{self, Cost, START_NS};
use crate::peers::{Peer, Running};
use crate::process;
use crate::sizes::Sizes;

pub(crate) const FIRST_POINT: Metric = less("server CPU of a first point, µs");
const SECOND_POINT: Metric = less("server CPU of a second point, µs");
const RSS_FIRST: Metric = less("memory after the first points, MB");
const RSS_SECOND: Metric = less("memory after the second points, MB");
const RSS_REST: Metric = less("memory after a restart at rest, MB");
const FIRST_POINTS_PER_SECOND: Metric = more("first points per second");
pub(crate) const DISK: Metric = less("everything on disk, MB");
const DATA: Metric = less("data on disk, MB");
const RESTART_KILLED: Metric = less("killed after the last write: start to first answer, s");
pub(crate) const RESTART: Metric = less("killed at rest: start to first answer, s");
const COUNT_ALL: Metric = less("count of all points, ms");
const SELECT_FIRST: Metric = less("selection by three tags, first, ms");
const SELECT: Metric = less("selection by three tags, median, ms");
pub(crate) const DELETE: Metric = less("delete by time over all series: time to acknowledgement, ms");
const DELETE_VISIBLE: Metric = less("the same until a count sees it, ms");

/// Bodies are made and sent in slabs, so that the generator's memory stays small.
const SLAB_ROWS: usize = 1_000_000;
/// How long a start may take.
const START_MAX: Duration = Duration::from_secs(600);
/// Times that the selection is asked.
const ASKED: usize = 11;

/// The lines of a slab: hosts `from..to` at point `point`, cut into bodies.
fn slab(from: usize, to: usize, point: i64, batch: usize) -> Vec<String> {
    let time = START_NS + point * CpuOnly::INTERVAL_NS;
    let hosts: Vec<usize> = (from..to).collect();
    let body = |hosts: &[usize]| {
        let mut body = String::with_capacity(hosts.len() * 260);
        for host in hosts {
            let value = host % 101;
            writeln!(body, "{} usage_user={value}i {time}", HostTags::of(*host)).expect("a String takes all");
        }
        body
    };
    hosts.chunks(batch).map(body).collect()
}

fn send_point(running: &Running, sizes: &Sizes, series: usize, point: i64) -> Result<Cost, String> {
    let mut cost = Cost::default();
    for from in (0..series).step_by(SLAB_ROWS) {
        let bodies = slab(from, series.min(from + SLAB_ROWS), point, sizes.batch);
        cost += load::send(running, sizes.connections, &bodies)?;
    }
    Ok(cost)
}

/// What the selection by three tags must count: the tags of host 7.
struct Selection {
    rack: usize,
    region: &'static str,
    service: usize,
    points: f64,
}

impl Selection {
    fn new(series: usize) -> Self {
        let HostTags { rack, region, service, .. } = HostTags::of(7);
        let same = |n: &usize| {
            let tags = HostTags::of(*n);
            (tags.rack, tags.region, tags.service) == (rack, region, service)
        };
        Self { rack, region, service, points: 2.0 * count((0..series).filter(same).count()) }
    }

    fn ask(&self, peer: Peer, client: &Client) -> Result<f64, String> {
        let Self { rack, region, service, .. } = self;
        if peer.speaks_influxql() {
            let statement = format!(
                "SELECT count(usage_user) FROM cpu WHERE rack='{rack}' AND region='{region}' AND service='{service}'"
            );
            return Ok(client.influxql_row(&statement)?.first().copied().unwrap_or_default());
        }
        let selector = format!("cpu_usage_user{{rack=\"{rack}\",region=\"{region}\",service=\"{service}\"}}");
        client.metricsql_number(
            &format!("sum(count_over_time({selector}[1h]))"),
            START_NS / 1_000_000_000 + 1800,
        )
    }
}

fn count_all(peer: Peer, client: &Client) -> Result<f64, String> {
    if peer.speaks_influxql() {
        let row = client.influxql_row("SELECT count(usage_user) FROM cpu")?;
        return Ok(row.first().copied().unwrap_or_default());
    }
    client.metricsql_number("sum(count_over_time(cpu_usage_user[1h]))", START_NS / 1_000_000_000 + 1800)
}

/// Kills the server, starts it, and asks until the answer is the right one.
fn restart(running: &mut Running, selection: &Selection) -> Result<f64, String> {
    running.server.kill_and_start()?;
    let (peer, client) = (running.peer, running.client());
    let answered = || selection.ask(peer, &client).is_ok_and(|n| n == selection.points);
    let waited = process::wait_until("the first answer", START_MAX, answered);
    Ok(waited.map_err(|e| format!("{e}; its log: {}", running.log()))?.as_secs_f64())
}

/// Runs the scenario against one server.
pub(crate) fn measure(peer: Peer, sizes: &Sizes, series: usize) -> Result<Measured, String> {
    let mut running = Running::start(peer, &sizes.binary)?;
    let mut measured = Measured::new(peer);
    let selection = Selection::new(series);
    let first = send_point(&running, sizes, series, 0)?;
    measured.add(FIRST_POINT, first.cpu_seconds * 1e6 / count(series));
    measured.add(FIRST_POINTS_PER_SECOND, count(series) / first.wall.as_secs_f64());
    measured.add(RSS_FIRST, megabytes(running.server.rss_bytes()?));
    let second = send_point(&running, sizes, series, 1)?;
    measured.add(SECOND_POINT, second.cpu_seconds * 1e6 / count(series));
    measured.add(RSS_SECOND, megabytes(running.server.rss_bytes()?));
    if peer == Peer::VictoriaMetrics {
        measured.without(RESTART_KILLED, "has no log: a kill loses the last seconds");
    } else {
        measured.add(RESTART_KILLED, restart(&mut running, &selection)?);
        // InfluxDB leaves a replayed log where it is until something is written. Written again, points stay the same.
        let again = slab(0, series.min(sizes.batch), 1, sizes.batch);
        load::send(&running, 1, &again)?;
    }
    running.come_to_rest()?;
    let started = process::now();
    let points = count_all(peer, &running.client())?;
    measured.add(COUNT_ALL, started.elapsed().as_secs_f64() * 1e3);
    if points != 2.0 * count(series) {
        return Err(format!("it holds {points} points of {}", 2 * series));
    }
    measured.add(PEAK_RSS, megabytes(running.server.peak_rss_bytes()?));
    measured.add(DATA, megabytes(running.data_bytes()?));
    measured.add(DISK, megabytes(running.all_bytes()?));
    measured.add(RESTART, restart(&mut running, &selection)?);
    measured.add(RSS_REST, megabytes(running.server.rss_bytes()?));
    select(&running, &selection, &mut measured)?;
    delete(&running, sizes, series, &mut measured)?;
    running.server.stop()?;
    Ok(measured)
}

fn select(running: &Running, selection: &Selection, measured: &mut Measured) -> Result<(), String> {
    let client = running.client();
    let mut times = Vec::new();
    for _ in 0..ASKED {
        let started = process::now();
        let points = selection.ask(running.peer, &client)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        if points != selection.points {
            return Err(format!("three tags select {points} points, not {}", selection.points));
        }
    }
    measured.add(SELECT_FIRST, times.first().copied().unwrap_or_default());
    times.sort_by(f64::total_cmp);
    measured.add(SELECT, times.get(ASKED / 2).copied().unwrap_or_default());
    Ok(())
}

/// Deletes the first point of every series.
fn delete(running: &Running, sizes: &Sizes, series: usize, measured: &mut Measured) -> Result<(), String> {
    if sizes.delete_seconds == 0 {
        measured.without(DELETE, "left out (--delete-seconds 0)");
        return Ok(());
    }
    let limit = Duration::from_secs(sizes.delete_seconds as u64);
    let client = Client::with_limit(&running.url, running.token.as_deref(), limit);
    let border = START_NS + CpuOnly::INTERVAL_NS / 2;
    let started = process::now();
    let answer = match running.peer {
        Peer::Tidemark | Peer::TidemarkCluster => client.post_json(
            "/api/v2/delete?org=bench&bucket=bench",
            &json!({"start": "1970-01-01T00:00:00Z", "stop": "2016-01-01T00:00:05Z"}),
        ),
        Peer::InfluxInmem | Peer::InfluxTsi1 => {
            client.influxql(&format!("DELETE FROM cpu WHERE time < {border}"))
        }
        Peer::VictoriaMetrics => {
            measured.without(DELETE, "cannot delete by time");
            return Ok(());
        }
    };
    let elapsed = started.elapsed();
    match answer {
        Ok(_) => measured.add(DELETE, elapsed.as_secs_f64() * 1e3),
        Err(_) if elapsed >= limit => {
            measured.without(DELETE, format!("not finished after {} s", sizes.delete_seconds));
            return Ok(());
        }
        Err(error) if error.contains(": 404") => {
            measured.without(DELETE, "left out: this build has no /api/v2/delete");
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    let left = count_all(running.peer, &running.client())?;
    measured.add(DELETE_VISIBLE, started.elapsed().as_secs_f64() * 1e3);
    if left != count(series) {
        return Err(format!("{left} points are left after the delete, not {series}"));
    }
    Ok(())
}

/// What the scenario sends.
pub(crate) fn describe(series: usize, sizes: &Sizes) -> String {
    let sample = slab(0, series.min(1000), 0, sizes.batch);
    let line = sample.iter().map(String::len).sum::<usize>() / series.min(1000);
    format!(
        "{series} series of ten tags and one field, two points each, about {} MB of line protocol in requests of {} \
         lines over {} connections; one query selects by three tags",
        bytes((2 * series * line) as u64) / 1e6,
        sizes.batch,
        sizes.connections
    )
}
