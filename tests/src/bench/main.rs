//! Tidemark beside its peers, whole processes over HTTP, in one run on one machine: InfluxDB with both kinds of index
//! and VictoriaMetrics get the same bytes, each started here with an empty directory and alone while it is measured.
//!
//! Memory and CPU are those that /proc tells of the server's process. Every server must afterwards answer how much it
//! holds, and what it answers to a query, rightly: a server that lost points has no figures.

mod answers;
mod client;
mod cluster;
mod cold_warm;
mod export;
mod figures;
mod goals;
mod ingest;
mod kills;
mod load;
mod peers;
mod process;
mod queries;
mod report;
mod restart;
mod series;
mod shapes;
mod sizes;
mod sustained;

use std::process::ExitCode;

use testkit::tsbs::Values;

use crate::answers::Answers;
use crate::cold_warm::Data;
use crate::figures::{Measured, Outcome};
use crate::ingest::Day;
use crate::peers::Peer;
use crate::sizes::{Output, Sizes};

fn main() -> ExitCode {
    let ran = Sizes::parse(std::env::args().skip(1)).and_then(|sizes| run(&sizes));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

/// To standard error: standard output is the report.
#[expect(clippy::print_stderr, reason = "a program's talk")]
fn say(text: &str) {
    eprintln!("{text}");
}

const ALL: [&str; 7] = ["integers", "decimals", "doubles", "series", "queries", "sustained", "cluster"];
/// What is only run when it is asked for.
const MORE: [&str; 5] = ["many-series", "kills", "restart", "shapes-days", "shapes-hosts"];
/// Together `shapes`.
const BOTH_SHAPES: [&str; 2] = ["shapes-days", "shapes-hosts"];

fn run(sizes: &Sizes) -> Result<(), String> {
    let mut outcomes = Vec::new();
    for word in &sizes.scenarios {
        let names = match word.as_str() {
            "all" => ALL.to_vec(),
            "shapes" => BOTH_SHAPES.to_vec(),
            word => vec![word],
        };
        for name in names {
            for _ in 0..if is_day(name).is_some() { sizes.rounds } else { 1 } {
                outcomes.push(scenario(name, sizes)?);
            }
        }
    }
    match sizes.output {
        Output::Markdown => report::markdown(&outcomes),
        Output::Json => report::json(&outcomes),
    }
    // A run without our own figures proves nothing.
    let failed = outcomes.iter().find_map(|o| o.failed.iter().find(|(peer, _)| *peer == Peer::Tidemark));
    let failed = failed.map(|(peer, error)| format!("{peer}: {error}"));
    let wrong =
        || outcomes.iter().flat_map(|o| &o.servers).find_map(|server| server.failures.first().cloned());
    failed.or_else(wrong).map_or(Ok(()), Err)
}

/// What a day's values look like, for the scenarios that send one and ask nothing.
fn is_day(scenario: &str) -> Option<Values> {
    match scenario {
        "integers" => Some(Values::Integers),
        "decimals" => Some(Values::Decimals),
        "doubles" => Some(Values::Doubles),
        _ => None,
    }
}

fn scenario(name: &str, sizes: &Sizes) -> Result<Outcome, String> {
    if let Some(values) = is_day(name) {
        let day = Day::new(sizes, values);
        return Ok(against_all(name, day.describe(sizes), sizes, |peer| ingest::measure(peer, sizes, &day)));
    }
    match name {
        "series" => {
            let what = series::describe(sizes.series, sizes);
            Ok(against_all("series", what, sizes, |peer| series::measure(peer, sizes, sizes.series)))
        }
        "many-series" => {
            let what = series::describe(sizes.many_series, sizes);
            let alone = Sizes { peers: vec![Peer::Tidemark], ..sizes.clone() };
            Ok(against_all("many-series", what, &alone, |peer| {
                series::measure(peer, sizes, sizes.many_series)
            }))
        }
        "queries" => {
            let day = Day::new(sizes, Values::Integers);
            let mut answers = Answers::default();
            let what = format!("{}; {} random windows of each shape", day.describe(sizes), sizes.windows);
            Ok(against_all("queries", what, sizes, |peer| queries::measure(peer, sizes, &day, &mut answers)))
        }
        "shapes-days" | "shapes-hosts" => {
            let data = if name == "shapes-days" { Data::days(sizes) } else { Data::hosts(sizes) };
            let (what, mut answers) = (data.describe(sizes), Answers::default());
            Ok(against_all(name, what, sizes, |peer| cold_warm::measure(peer, sizes, &data, &mut answers)))
        }
        "sustained" => {
            let what = sustained::describe(sizes);
            Ok(against_all("sustained", what, sizes, |peer| sustained::measure(peer, sizes)))
        }
        "cluster" => {
            let day = Day::new(sizes, Values::Integers);
            let ours = Sizes { peers: vec![Peer::Tidemark, Peer::TidemarkCluster], ..sizes.clone() };
            Ok(against_all("cluster", day.describe(sizes), &ours, |peer| cluster::measure(peer, sizes, &day)))
        }
        "kills" => {
            let cluster = Sizes { peers: vec![Peer::TidemarkCluster], ..sizes.clone() };
            Ok(against_all("kills", kills::describe(sizes), &cluster, |_peer| kills::measure(sizes)))
        }
        "restart" => {
            let alone = Sizes { peers: vec![Peer::Tidemark], ..sizes.clone() };
            Ok(against_all("restart", restart::describe(sizes), &alone, |_peer| restart::measure(sizes)))
        }
        _ => Err(format!(
            "no scenario is called {name}; there are {}, {}, shapes, all",
            ALL.join(", "),
            MORE.join(", ")
        )),
    }
}

fn against_all(
    name: &str,
    what: String,
    sizes: &Sizes,
    mut measure: impl FnMut(Peer) -> Result<Measured, String>,
) -> Outcome {
    let scenario = ALL.into_iter().chain(MORE).find(|known| *known == name).unwrap_or_default();
    let mut outcome = Outcome { scenario, what, servers: Vec::new(), failed: Vec::new() };
    for peer in &sizes.peers {
        say(&format!("{scenario}: {peer}"));
        match measure(*peer) {
            Ok(measured) => outcome.servers.push(measured),
            Err(error) => {
                say(&format!("{scenario}: {peer}: {error}"));
                outcome.failed.push((*peer, error));
            }
        }
    }
    outcome
}
