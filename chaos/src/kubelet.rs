//! A kubelet in miniature: `chaos kubelet [--keep] [--untimed] [--events] [--set short|long] [--propagation-ms N]
//! [--machine-silence-ms N] MANIFESTS [SCENARIO...]` reads rendered manifests (a file, or a directory that `kubectl kustomize`
//! renders) and runs the real binary as they say, each pod in namespaces of its own, with what Kubernetes does around it:
//! controllers, a scheduler, probes, hooks, Services, evictions.
//!
//! ```text
//!  manifest, template      what the objects say            admission   what policies allow
//!  controller, schedule    which pods, and where           disruption  which may be evicted
//!  pod, probe, prober      what becomes of a pod           service     who is sent where
//!  container, volume, environment, image, secret           what a process gets
//!  world                   all of it, in a thread          steps, scenario, load, run   what is done to it
//! ```

mod admission;
mod container;
mod controller;
mod disruption;
mod environment;
mod image;
mod load;
mod manifest;
mod pod;
mod probe;
mod prober;
mod run;
mod scenario;
mod schedule;
mod secret;
mod service;
mod steps;
mod template;
mod volume;
mod world;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use testkit::binary::{tidemark_binary, workspace_root};

use self::image::Image;
use self::run::{How, Report};
use self::scenario::Scenario;
use crate::judge::Verdict;
use crate::report::say;
use crate::scenario_file::Choice;
use crate::{disk, guard, network, shell, skip};

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    /// Tell everything that happens to pods
    #[arg(long)]
    events: bool,
    /// Milliseconds from a change of a pod until Services follow it
    #[arg(long, value_name = "N", default_value_t = 1000)]
    propagation_ms: u64,
    /// Milliseconds that a machine is silent until its pods count as lost
    #[arg(long, value_name = "N", default_value_t = 40_000)]
    machine_silence_ms: u64,
    /// Rendered manifests: a file, or a directory that `kubectl kustomize` renders
    manifests: PathBuf,
    /// Scenarios, by name
    names: Vec<String>,
}

/// Whether a process may have a view of its own of what is mounted, of names and of processes.
fn can_unshare() -> Result<(), String> {
    let tried =
        shell::run("unshare --mount --uts --ipc --pid --fork mount -t tmpfs tmpfs /proc/sys/fs/binfmt_misc");
    // Any place to mount something at will do.
    let tried = tried.or_else(|_no_place| {
        shell::run("unshare --mount --uts --ipc --pid --fork mount -t tmpfs tmpfs /mnt")
    });
    tried.and_then(|_| shell::run("setpriv --version")).map(drop).map_err(|error| crate::run::chain(&error))
}

/// Runs what was asked for.
pub(crate) fn main(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    if let Err(why) = network::usable().and_then(|()| can_unshare()) {
        return Ok(skip(&format!("namespaces of pods cannot be made here: {why}")));
    }
    guard::sweep()?;
    let _guard = guard::Guard::set()?;
    let text = rendered(&arguments.manifests)?;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("kubelet");
    let scenarios: Vec<Scenario> = arguments.choice.of(&directory, &arguments.names)?;
    let directory = std::env::temp_dir().join(format!("{}{}", disk::HOME, std::process::id()));
    let how = How {
        manifests: &text,
        image: Image::of(&workspace_root().join("Dockerfile")),
        // Building it takes the network that the machine has.
        program: tidemark_binary(),
        propagation: Duration::from_millis(arguments.propagation_ms),
        machine_silence: Duration::from_millis(arguments.machine_silence_ms),
    };
    let mut verdicts = Vec::new();
    for (number, scenario) in scenarios.iter().enumerate() {
        let home = directory.join(&scenario.name);
        say(&format!("{}: {}", scenario.name, scenario.about));
        let report = run::run(scenario, &how, &home);
        tell(scenario, &report, number == 0, arguments.events);
        let verdict = report.verdict();
        if verdict == Verdict::Pass && !arguments.choice.keep {
            std::fs::remove_dir_all(&home)?;
        } else {
            say(&format!("  volumes, events and logs are in {}", home.display()));
        }
        verdicts.push(verdict);
    }
    // Stays when something in it does.
    drop(std::fs::remove_dir(&directory));
    Ok(Verdict::of_all(&verdicts).exit_code())
}

/// The text of manifests: of a file, or of what `kubectl` makes of a directory.
fn rendered(path: &Path) -> Result<String, Box<dyn Error>> {
    match path.is_dir() {
        true => Ok(shell::run(&format!("kubectl kustomize {}", path.display()))?),
        false => Ok(std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?),
    }
}

/// Tells what a run has come to.
fn tell(scenario: &Scenario, report: &Report, with_notes: bool, with_events: bool) {
    for note in report.notes.iter().filter(|_| with_notes || report.ready.is_none()) {
        say(&format!("  {note}"));
    }
    if with_events {
        report.events.iter().for_each(|event| say(&format!("  {event}")));
    }
    for told in &report.steps {
        say(&format!(
            "  {}: {:.1} s; write gap {:.2} s; {:.0} writes/s",
            told.label,
            told.window.end.saturating_sub(told.window.start).as_secs_f64(),
            told.gap.as_secs_f64(),
            told.rate
        ));
        for effect in &told.seen.effects {
            say(&format!("    {} {}", if effect.took { "seen:" } else { "NOT SEEN:" }, effect.what));
        }
    }
    if let Some(load) = &report.load {
        let failed: Vec<String> =
            load.failed_at.iter().take(10).map(|at| format!("{:.2}", at.as_secs_f64())).collect();
        say(&format!(
            "  {} requests; {} sent again (at {} s); {} failed twice; slowest {:.2} s",
            load.requests,
            load.again,
            failed.join(", "),
            load.errors,
            load.slowest.as_secs_f64()
        ));
    }
    report.violations.iter().for_each(|text| say(&format!("  BROKEN: {text}")));
    report.doubts.iter().for_each(|text| say(&format!("  DOUBT: {text}")));
    let longest = report.steps.iter().map(|told| told.gap).max().unwrap_or_default();
    let ready =
        report.ready.map_or_else(|| "never".to_owned(), |took| format!("{:.2} s", took.as_secs_f64()));
    say(&format!(
        "{}: {}; ready after {ready}; longest write gap {:.2} s; points: {} acknowledged, {} unknown, {} refused; \
         writes: {}; reads: {}",
        scenario.name,
        report.verdict(),
        longest.as_secs_f64(),
        report.counts.acknowledged,
        report.counts.unknown,
        report.counts.refused,
        crate::report::listed(&report.answers.writes),
        crate::report::listed(&report.answers.reads)
    ));
}
