//! Ingest beside the peers, in one run on one machine: the same bodies over HTTP to Tidemark, InfluxDB and
//! VictoriaMetrics, each started here with an empty data directory and alone while it is measured.
//!
//! Reported per server: values per second, CPU seconds, peak resident memory, bytes on disk per value after flush
//! and compaction, and the ratios to the peers. Every server must then answer how many points it holds, and the
//! answer must be right: a server that lost points has no figures.

mod load;
mod peers;
mod process;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::load::Workload;
use crate::peers::Peer;

/// What to measure.
struct Arguments {
    workload: Workload,
    peers: Vec<Peer>,
    binary: PathBuf,
    rounds: usize,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(arguments) => match run(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&error),
        },
        Err(error) => complain(&error),
    }
}

#[expect(clippy::print_stderr, reason = "a program's talk")]
fn complain(error: &str) -> ExitCode {
    eprintln!("ingest-bench: {error}");
    ExitCode::FAILURE
}

const USAGE: &str = "usage: ingest-bench [--hosts 100] [--rows 864000] [--batch 5000] [--connections 4] \
                     [--peers tidemark,influxdb,victoria-metrics] [--rounds 1] [--binary PATH]";

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let beside = std::env::current_exe().map_err(|e| e.to_string())?.with_file_name("tidemark");
    let mut arguments = Arguments {
        workload: Workload { hosts: 100, rows: 864_000, batch: 5000, connections: 4 },
        peers: vec![Peer::Tidemark, Peer::Influxdb, Peer::VictoriaMetrics],
        binary: beside,
        rounds: 1,
    };
    while let Some(word) = words.next() {
        let value = words.next().ok_or(USAGE)?;
        let number = || {
            value.parse::<usize>().ok().filter(|n| *n > 0).ok_or_else(|| format!("{word} {value}: a number"))
        };
        match word.as_str() {
            "--hosts" => arguments.workload.hosts = number()?,
            "--rows" => arguments.workload.rows = number()?,
            "--batch" => arguments.workload.batch = number()?,
            "--connections" => arguments.workload.connections = number()?,
            "--rounds" => arguments.rounds = number()?,
            "--binary" => arguments.binary = PathBuf::from(value),
            "--peers" => {
                arguments.peers = value.split(',').map(Peer::from_name).collect::<Result<_, _>>()?;
            }
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(arguments)
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let bodies = arguments.workload.bodies();
    report::workload(&arguments.workload, &bodies);
    for round in 1..=arguments.rounds {
        let mut results = Vec::new();
        for peer in &arguments.peers {
            match peers::measure(*peer, &arguments.binary, &arguments.workload, &bodies) {
                Ok(result) => results.push((*peer, result)),
                Err(error) if *peer == Peer::Tidemark => return Err(error),
                Err(error) => report::skipped(*peer, &error),
            }
        }
        report::results(round, &arguments.workload, &results);
    }
    Ok(())
}
