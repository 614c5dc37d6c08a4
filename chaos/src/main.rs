//! Real nodes under real faults.
//!
//! `chaos [--set short|ten|long] [--untimed] [--keep] [--repeat N] [NAME...]` starts the nodes of each scenario (a file of `scenarios/`) as processes in
//! network namespaces, lets clients write and read, brings the scenario's faults about, and says at the end:
//!
//! - `pass`: all that was promised held, and every fault was seen to take effect;
//! - `fail`: a promise was broken (exit code 1);
//! - `unknown`: nothing was broken, and a fault was not seen to take effect, so that nothing is shown (exit code 2).
//!
//! With `--untimed` it only matters what clients are told, and that all heals, not how long it took: for machines that do
//! other things meanwhile.
//!
//! `chaos --etcd PROGRAM [--repeat N]` does to three members of etcd in the same network what can be done to them too, for
//! comparison.
//!
//! `chaos kubelet MANIFESTS [NAME...]` runs nodes as Kubernetes manifests say, in a kubelet in miniature ([`kubelet`]).
//!
//! `chaos oracle run` writes to and reads from a cluster that somebody else runs and breaks ([`witness`]).
//!
//! It needs root, `ip` and TAP devices; exit code 77 where network namespaces cannot be made.

mod beside;
mod calendar;
mod client;
mod clock;
mod cluster;
mod control_group;
mod discovery;
mod disk;
mod faults;
mod guard;
mod history;
mod judge;
mod kubelet;
mod memory;
mod name_server;
mod network;
mod node;
mod oracle;
mod processor;
mod register;
mod report;
mod run;
mod scenario;
mod scenario_file;
mod shell;
mod socket;
mod switch;
mod witness;
mod workload;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::judge::Verdict;
use crate::scenario::Scenario;
use crate::scenario_file::{Choice, Set};

/// Exit code where the machine does not allow what is needed.
const SKIPPED: u8 = 77;
/// Exit code where it was not understood what to do.
const USAGE: u8 = 64;

/// How often each thing happens to etcd.
const REPEAT_BESIDE: usize = 3;

/// Real nodes under real faults.
#[derive(Debug, Parser)]
#[command(name = "chaos", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    scenarios: Scenarios,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs nodes as Kubernetes manifests say, in a kubelet in miniature
    Kubelet(kubelet::Arguments),
    /// The oracle beside a cluster that somebody else runs
    Oracle {
        #[command(subcommand)]
        verb: witness::Verb,
    },
}

/// What to run.
#[derive(Debug, Args)]
struct Scenarios {
    #[command(flatten)]
    choice: Choice,
    /// Inject the faults of each scenario so often, instead of as often as it says
    #[arg(long)]
    repeat: Option<usize>,
    /// Do what can be done to this program of etcd instead, for comparison
    #[arg(long, value_name = "PROGRAM", num_args = 0..=1, default_missing_value = "etcd")]
    etcd: Option<String>,
    /// Scenarios, by name
    names: Vec<String>,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| word == guard::SWEEP) {
        if let Err(error) = guard::sweep() {
            report::say(&run::chain(&*error));
        }
        return ExitCode::SUCCESS;
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(told) => {
            // Nobody can be told that nobody can be told.
            drop(told.print());
            return if told.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let done = match arguments.verb {
        Some(Verb::Oracle { verb }) => witness::main(verb),
        Some(Verb::Kubelet(arguments)) => kubelet::main(&arguments),
        None => run_all(&arguments.scenarios),
    };
    done.unwrap_or_else(|error| {
        report::say(&run::chain(&*error));
        Verdict::Unknown.exit_code()
    })
}

/// Says that nothing can be shown here, and why.
fn skip(why: &str) -> ExitCode {
    report::say(&format!("skipped: {why}"));
    ExitCode::from(SKIPPED)
}

fn run_all(arguments: &Scenarios) -> Result<ExitCode, Box<dyn Error>> {
    if let Err(why) = network::usable() {
        return Ok(skip(&format!("network namespaces with TAP devices cannot be made here: {why}")));
    }
    guard::sweep()?;
    let _guard = guard::Guard::set()?;
    let directory = std::env::temp_dir().join(format!("{}{}", disk::HOME, std::process::id()));
    if let Some(etcd) = &arguments.etcd {
        beside::run(etcd, arguments.repeat.unwrap_or(REPEAT_BESIDE), &directory)?;
        std::fs::remove_dir_all(&directory)?;
        return Ok(ExitCode::SUCCESS);
    }
    let choice = &arguments.choice;
    let mut scenarios: Vec<Scenario> =
        choice.of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios"), &arguments.names)?;
    // Building it takes the network that the machine has.
    testkit::binary::tidemark_binary();
    let mut verdicts = Vec::new();
    for scenario in &mut scenarios {
        let repeat = if choice.set == Set::Short { 1 } else { scenario.repeat };
        scenario.repeat = arguments.repeat.unwrap_or(repeat);
        let home = directory.join(&scenario.name);
        report::announce(scenario);
        let done = run::run(scenario, &home);
        report::tell(&scenario.name, scenario.loses_points, &done);
        if done.verdict == Verdict::Pass && !choice.keep {
            std::fs::remove_dir_all(&home)?;
        } else {
            report::say(&format!("  data and logs of the nodes are in {}", home.display()));
        }
        verdicts.push(done.verdict);
    }
    // Stays when something in it does.
    drop(std::fs::remove_dir(&directory));
    Ok(Verdict::of_all(&verdicts).exit_code())
}
