//! Seeds pass, the same seed does the same again, and what is broken is found.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds that are run.
const SEEDS: u64 = 200;
/// Simulated seconds with faults.
const SECONDS: &str = "6";

/// Lines of a seed that failed which are shown.
const SHOWN: usize = 60;

/// Runs a seed, and lets it say what happens: whoever looks at it again the same way sees the same.
fn sim(seed: u64, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
    command.args(["--seed", &seed.to_string(), "--seconds", SECONDS, "--verbose"]).args(more);
    command.output().expect("it runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn nothing_that_was_acknowledged_is_lost_whatever_a_seed_decides() {
    let next = AtomicU64::new(0);
    let run = || {
        let mut failed = Vec::new();
        let (mut faults, mut written) = (0, 0);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                return (failed, faults, written);
            }
            let output = sim(seed, &[]);
            let said = text(&output);
            if !output.status.success() {
                let lines: Vec<&str> = said.lines().collect();
                let last = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
                failed.push(format!("{last}\n{}", String::from_utf8_lossy(&output.stderr)));
            }
            faults += figure(&said, "faults");
            written += figure(&said, "written");
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let all: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..processors).map(|_| scope.spawn(run)).collect();
        runs.into_iter().map(|run| run.join().expect("it does not panic")).collect()
    });
    let failed: Vec<String> = all.iter().flat_map(|(failed, ..)| failed.clone()).collect();
    assert!(failed.is_empty(), "{} of {SEEDS} seeds failed:\n{}", failed.len(), failed.join("\n"));
    // A simulation without faults, or without points, shows nothing.
    let faults: u64 = all.iter().map(|(_, faults, _)| faults).sum();
    let written: u64 = all.iter().map(|(.., written)| written).sum();
    assert!(faults >= SEEDS && written >= 100 * SEEDS, "{faults} faults, {written} points");
}

/// A figure of the last line.
fn figure(said: &str, name: &str) -> u64 {
    let mut words = said.lines().last().unwrap_or_default().split(' ');
    words.find(|word| *word == name);
    words.next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[test]
fn a_seed_does_the_same_again() {
    for seed in [1, 3] {
        let [one, other] = [(); 2].map(|()| text(&sim(seed, &[])));
        assert!(one.lines().count() > 100, "{one}");
        assert_eq!(one, other);
    }
}

#[test]
fn what_is_broken_is_found() {
    // What is wrong with a vote shows only when power is cut in the moment after it.
    for (broken, seeds, said) in [
        ("log", 20, ["in a part that had been synced", "are lost"].as_slice()),
        ("data", 20, &["has damaged files"]),
        ("quorum", 20, &["older copy", "leads group", "has applied", "are lost"]),
        ("votes", 100, &["has forgotten", "is on the disk after"]),
    ] {
        let is_found = |seed: u64| {
            let output = sim(seed, &["--break", broken]);
            let text = text(&output);
            // What is wrong, and the last line; a simulation that ends otherwise has found nothing.
            let mut found = text.lines().filter(|line| line.starts_with(&format!("seed {seed}: ")));
            let is_said = found.any(|line| said.iter().any(|what| line.contains(what)));
            output.status.code() == Some(1) && text.trim_end().ends_with(": fail") && is_said
        };
        assert!((0..seeds).any(is_found), "{broken}: none of {seeds} seeds says one of {said:?}");
    }
}
