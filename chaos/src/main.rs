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
mod shell;
mod socket;
mod switch;
mod workload;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::run::Verdict;
use crate::scenario::{Scenario, Set};

/// Exit code where the machine does not allow what is needed.
const SKIPPED: u8 = 77;

/// How often each thing happens to etcd.
const REPEAT_BESIDE: usize = 3;

/// What to run.
#[derive(Debug, Default)]
struct Arguments {
    set: Set,
    /// Nothing is promised of pauses.
    untimed: bool,
    keep: bool,
    /// How often the faults of each scenario are injected, instead of what it says.
    repeat: Option<usize>,
    names: Vec<String>,
    /// The program of etcd, to be treated so instead of our own nodes.
    etcd: Option<String>,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| word == guard::SWEEP) {
        if let Err(error) = guard::sweep() {
            report::say(&run::chain(&*error));
        }
        return ExitCode::SUCCESS;
    }
    if std::env::args().nth(1).is_some_and(|word| word == kubelet::VERB) {
        return kubelet::main(std::env::args().skip(2));
    }
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(unknown) => {
            report::say(&format!(
                "{unknown} is not known; chaos [--set short|ten|long] [--untimed] [--keep] [--repeat N] [--etcd PROGRAM] [NAME...]"
            ));
            return ExitCode::from(64);
        }
    };
    if let Err(why) = network::usable() {
        report::say(&format!("skipped: network namespaces with TAP devices cannot be made here: {why}"));
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

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--repeat" => {
                let times = words.next().unwrap_or_default();
                arguments.repeat = Some(times.parse().map_err(|_no_number| format!("--repeat {times}"))?);
            }
            "--etcd" => arguments.etcd = Some(words.next().unwrap_or_else(|| "etcd".to_owned())),
            "--set" => {
                let set = words.next().unwrap_or_default();
                arguments.set = Set::of(&set).ok_or_else(|| format!("--set {set}"))?;
            }
            "--untimed" => arguments.untimed = true,
            "--keep" => arguments.keep = true,
            _ if word.starts_with('-') => return Err(word),
            _ => arguments.names.push(word),
        }
    }
    Ok(arguments)
}

fn run_all(arguments: &Arguments) -> Result<Vec<Verdict>, Box<dyn Error>> {
    guard::sweep()?;
    let _guard = guard::Guard::set()?;
    let directory = std::env::temp_dir().join(format!("{}{}", disk::HOME, std::process::id()));
    if let Some(etcd) = &arguments.etcd {
        beside::run(etcd, arguments.repeat.unwrap_or(REPEAT_BESIDE), &directory)?;
        std::fs::remove_dir_all(&directory)?;
        return Ok(Vec::new());
    }
    // Building it takes the network that the machine has.
    testkit::binary::tidemark_binary();
    let scenarios = chosen(arguments)?;
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
        true => one.set <= arguments.set,
        false => arguments.names.contains(&one.name),
    };
    scenarios.retain(wanted);
    for scenario in &mut scenarios {
        let repeat = if arguments.set == Set::Short { 1 } else { scenario.repeat };
        scenario.repeat = arguments.repeat.unwrap_or(repeat);
        if arguments.untimed {
            scenario.promises.forget_times();
        }
    }
    Ok(scenarios)
}

fn scenarios_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}
