//! Real nodes under real faults.
//!
//! `chaos [--short] [--keep] [NAME...]` starts the nodes of each scenario (a file of `scenarios/`) as processes in
//! network namespaces, lets clients write and read, brings the scenario's faults about, and says at the end:
//!
//! - `pass`: all that was promised held, and every fault was seen to take effect;
//! - `fail`: a promise was broken (exit code 1);
//! - `unknown`: nothing was broken, and a fault was not seen to take effect, so that nothing is shown (exit code 2).
//!
//! It needs root, `ip` and `nft`; exit code 77 where network namespaces cannot be made.

mod client;
mod clock;
mod cluster;
mod disk;
mod faults;
mod history;
mod network;
mod node;
mod oracle;
mod report;
mod run;
mod scenario;
mod shell;
mod workload;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::run::Verdict;
use crate::scenario::Scenario;

/// Exit code where the machine does not allow what is needed.
const SKIPPED: u8 = 77;

/// What to run.
#[derive(Debug, Default)]
struct Arguments {
    short: bool,
    keep: bool,
    names: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(unknown) => {
            report::say(&format!("{unknown} is not known; chaos [--short] [--keep] [NAME...]"));
            return ExitCode::from(64);
        }
    };
    if let Err(why) = network::usable() {
        report::say(&format!("skipped: network namespaces with nft cannot be made here: {why}"));
        return ExitCode::from(SKIPPED);
    }
    match run_all(&arguments) {
        Ok(verdicts) if verdicts.contains(&Verdict::Fail) => ExitCode::from(1),
        Ok(verdicts) if verdicts.contains(&Verdict::Unknown) => ExitCode::from(2),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            report::say(&run::chain(&*error));
            ExitCode::from(2)
        }
    }
}

fn parse(words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    for word in words {
        match word.as_str() {
            "--short" => arguments.short = true,
            "--keep" => arguments.keep = true,
            _ if word.starts_with('-') => return Err(word),
            _ => arguments.names.push(word),
        }
    }
    Ok(arguments)
}

fn run_all(arguments: &Arguments) -> Result<Vec<Verdict>, Box<dyn Error>> {
    network::sweep()?;
    disk::sweep()?;
    let scenarios = chosen(arguments)?;
    let directory = std::env::temp_dir().join(format!("tidemark-chaos-{}", std::process::id()));
    let mut verdicts = Vec::new();
    for scenario in &scenarios {
        let home = directory.join(&scenario.name);
        report::announce(scenario);
        let done = run::run(scenario, &home);
        report::tell(scenario, &done);
        if done.verdict == Verdict::Pass && !arguments.keep {
            std::fs::remove_dir_all(&home)?;
        } else {
            report::say(&format!("  data and logs of the nodes are in {}", home.display()));
        }
        verdicts.push(done.verdict);
    }
    // Stays when something in it does.
    drop(std::fs::remove_dir(&directory));
    Ok(verdicts)
}

fn chosen(arguments: &Arguments) -> Result<Vec<Scenario>, Box<dyn Error>> {
    let mut scenarios = scenario::load(&scenarios_directory())?;
    if let Some(name) = arguments.names.iter().find(|name| scenarios.iter().all(|one| one.name != **name)) {
        return Err(format!("there is no scenario {name}").into());
    }
    let wanted = |one: &Scenario| match arguments.names.is_empty() {
        true => one.short || !arguments.short,
        false => arguments.names.contains(&one.name),
    };
    scenarios.retain(wanted);
    Ok(scenarios)
}

fn scenarios_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}
