//! `restart`: one node with a log of the size that is asked for, none of which is in files yet, is killed with SIGKILL
//! and started again. It must have every point.

use testkit::tsbs::{CpuOnly, Values};

use crate::figures::{Measured, Metric, less, more};
use crate::ingest::{bytes, count, held, megabytes};
use crate::load::{self, START_NS};
use crate::peers::{Peer, Running};
use crate::process::now;
use crate::sizes::Sizes;

const LOG: Metric = more("bytes of the log when it is killed, MB");
const VALUES: Metric = more("values in the log");
const READY: Metric = less("from its start until it is ready, s");
const ANSWERS: Metric = less("until it has answered with all points, s");
const REPLAYED: Metric = more("log that is replayed until it is ready, MB/s");

/// Requests between two looks at the log.
const REQUESTS: usize = 40;
/// No flush comes before the kill.
const MEMORY: [&str; 5] = [
    "--memory-bytes=16GiB",
    "--memory-shares=memtables=80,cache=5,index=5,queries=5,compaction=5",
    "--memtable-size=8GiB",
    "--memtable-age=1d",
    "--log-size=64GiB",
];

/// Runs the scenario.
pub(crate) fn measure(sizes: &Sizes) -> Result<Measured, String> {
    let mut running = Running::start_with(Peer::Tidemark, &sizes.binary, &MEMORY)?;
    let mut generator = CpuOnly::new(sizes.hosts, START_NS, 42, Values::Doubles);
    let (goal, mut rows) = (sizes.log_mib as u64 * (1 << 20), 0);
    while running.log_bytes()? < goal {
        let bodies: Vec<String> = (0..REQUESTS).map(|_| generator.body(sizes.batch)).collect();
        let _cost = load::send(&running, sizes.connections, &bodies)?;
        rows += REQUESTS * sizes.batch;
    }
    let in_files = running.data_bytes()?;
    if in_files > goal / 10 {
        return Err(format!("{in_files} bytes are in files already"));
    }
    let log = running.log_bytes()?;
    let started = now();
    running.kill_and_start_all()?;
    running.wait_until_ready()?;
    let ready = started.elapsed();
    let (count_held, sum) = held(Peer::Tidemark, &running.client())?;
    let answered = started.elapsed();
    let (values, expected) = (rows * CpuOnly::FIELDS, generator.first_field_sum());
    if count_held != count(values) || (sum - expected).abs() > expected.abs() * 1e-9 {
        return Err(format!("it holds {count_held} values of {values}, the sum is {sum} of {expected}"));
    }
    let mut measured = Measured::new(Peer::Tidemark);
    measured.add(LOG, megabytes(log));
    measured.add(VALUES, count(values));
    measured.add(READY, ready.as_secs_f64());
    measured.add(REPLAYED, bytes(log) / 1e6 / ready.as_secs_f64());
    measured.add(ANSWERS, answered.as_secs_f64());
    running.stop()?;
    Ok(measured)
}

/// What the scenario sends.
pub(crate) fn describe(sizes: &Sizes) -> String {
    format!("doubles of {} hosts, until the log has {} MiB", sizes.hosts, sizes.log_mib)
}
