//! What is told of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::run::Report;
use crate::scenario::Scenario;

/// To standard output: the report is what this program is for.
#[expect(clippy::print_stdout, reason = "a program's report")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// Tells what is about to be run.
pub(crate) fn announce(scenario: &Scenario) {
    let rows: Vec<String> = scenario.rows.iter().map(u8::to_string).collect();
    let rows =
        if rows.is_empty() { String::new() } else { format!(" (rows {} of the matrix)", rows.join(", ")) };
    say(&format!("{}{rows}: {}", scenario.name, scenario.about));
}

/// Tells what a run has come to, of which violations are what was to be `noticed`.
pub(crate) fn tell(name: &str, noticed: bool, report: &Report) {
    for one in &report.injected {
        let seconds = |time: &Duration| format!("{:.2}", time.as_secs_f64());
        let gaps: Vec<String> = one.node_gaps.iter().map(seconds).collect();
        say(&format!(
            "  {}: write gap {} s; each node's own {} s; slowest answer {} s; {} new terms; {:.0} writes/s",
            one.label,
            seconds(&one.gap),
            gaps.join(", "),
            seconds(&one.slowest),
            one.terms,
            one.rate
        ));
        for effect in &one.effects {
            say(&format!("    {} {}", if effect.took { "seen:" } else { "NOT SEEN:" }, effect.what));
        }
    }
    for text in &report.violations {
        say(&format!("  {}: {text}", if noticed { "noticed" } else { "BROKEN" }));
    }
    for text in &report.doubts {
        say(&format!("  DOUBT: {text}"));
    }
    let counts = report.counts;
    let longest = tell_gaps(report.injected.iter().map(|one| one.gap).collect());
    let healed =
        report.healed.map_or_else(|| "never".to_owned(), |took| format!("{:.2} s", took.as_secs_f64()));
    say(&format!(
        "{name}: {}; longest write gap {:.2} s; points: {} acknowledged, {} unknown, {} refused; \
         {} operations on registers; {:.0} writes/s before; writes: {}; reads: {}; well again after {healed}",
        report.verdict,
        longest.as_secs_f64(),
        counts.acknowledged,
        counts.unknown,
        counts.refused,
        report.operations,
        report.usual_rate,
        listed(&report.answers.writes),
        listed(&report.answers.reads),
    ));
}

/// Tells how long write gaps were, when there are many; answers the longest.
pub(crate) fn tell_gaps(mut gaps: Vec<Duration>) -> Duration {
    gaps.sort_unstable();
    let longest = gaps.last().copied().unwrap_or_default();
    if gaps.len() >= 10 {
        let at = |percent: usize| gaps[(gaps.len() * percent).div_ceil(100).max(1) - 1].as_secs_f64();
        say(&format!(
            "  write gaps of {} faults: p50 {:.2} s, p99 {:.2} s, longest {:.2} s",
            gaps.len(),
            at(50),
            at(99),
            longest.as_secs_f64()
        ));
    }
    longest
}

/// Statuses, each with how often it came.
pub(crate) fn listed(answers: &BTreeMap<Option<u16>, usize>) -> String {
    let one = |(status, count): (&Option<u16>, &usize)| match status {
        Some(status) => format!("{status} x {count}"),
        None => format!("no answer x {count}"),
    };
    answers.iter().map(one).collect::<Vec<_>>().join(", ")
}
