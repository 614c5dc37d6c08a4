//! `sim`: one simulation, which a seed decides.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

/// Runs whole nodes in one process, over a simulated network, disk and clock.
#[derive(Debug, Parser)]
struct Arguments {
    /// Decides everything that happens.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Nodes of the cluster: 3 or 5 by the seed when absent.
    #[arg(long)]
    nodes: Option<usize>,
    /// How long faults happen, in simulated seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Break something, to show that it is found: `log` (acknowledged before it is on the disk), `votes` (the same, of
    /// votes only), `data` (what is in files is forgotten by the log before they are on the disk) or `quorum`
    /// (acknowledged before a quorum has it).
    #[arg(long = "break")]
    broken: Option<Broken>,
    /// Print what happened, and what nodes say (`RUST_LOG`).
    #[arg(long)]
    verbose: bool,
}

/// See [`sim::Break`].
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Broken {
    Log,
    Data,
    Quorum,
    Votes,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(ended) = repeatable::begin_again() {
        return ended;
    }
    repeatable::seed(arguments.seed);
    host::run_in_lockstep();
    if arguments.verbose {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).without_time().with_writer(std::io::stderr).init();
    }
    let plan = sim::Plan {
        seed: arguments.seed,
        nodes: arguments.nodes.unwrap_or(if arguments.seed % 4 == 3 { 5 } else { 3 }),
        faults: Duration::from_secs(arguments.seconds),
        keeps_lines: arguments.verbose,
        broken: arguments.broken.map(|broken| match broken {
            Broken::Log => sim::Break::Log,
            Broken::Data => sim::Break::Data,
            Broken::Quorum => sim::Break::Quorum,
            Broken::Votes => sim::Break::Votes,
        }),
    };
    let outcome = sim::run(&plan);
    let mut out = std::io::stdout().lock();
    let mut text = String::new();
    for line in &outcome.lines {
        text.push_str(line);
        text.push('\n');
    }
    for violation in &outcome.violations {
        text.push_str(&format!("seed {}: {violation}\n", plan.seed));
    }
    text.push_str(&format!(
        "seed {} nodes {} faults {} written {} reads {} deletes {} hash {:016x}: {}\n",
        plan.seed,
        plan.nodes,
        outcome.faults,
        outcome.written,
        outcome.reads,
        outcome.deletes,
        outcome.hash,
        if outcome.violations.is_empty() { "pass" } else { "fail" },
    ));
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if printed.is_ok() && outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

mod repeatable;
