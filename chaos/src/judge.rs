//! What faults did to clients, held against what is promised.

use std::fmt;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use crate::faults::Effect;
use crate::history::{gap, node_gap, rate, slowest};
use crate::oracle::Oracle;
use crate::scenario::Promises;
use crate::workload::{WARM_UP, Workload};

/// Fewest acknowledged points of a run that shows anything.
const POINTS_MIN: usize = 200;

/// A fault of a run.
#[derive(Debug)]
pub(crate) struct Injected {
    /// What happened to whom.
    pub(crate) label: String,
    pub(crate) nodes: Vec<usize>,
    /// What it was seen to do.
    pub(crate) effects: Vec<Effect>,
    /// From its begin to the begin of the next.
    pub(crate) window: Range<Duration>,
    /// The longest time in it without an acknowledged write.
    pub(crate) gap: Duration,
    /// The longest time in it without a success through each node.
    pub(crate) node_gaps: Vec<Duration>,
    /// The longest time that an answer took, of a request that was sent in it.
    pub(crate) slowest: Duration,
    /// When too few nodes were there for anything to be acknowledged.
    pub(crate) without_quorum: Option<Range<Duration>>,
    /// Terms that began in it, over all groups.
    pub(crate) terms: u64,
    /// While the fault was there.
    pub(crate) held: Range<Duration>,
    /// Acknowledged requests in a second then.
    pub(crate) rate: f64,
}

/// What a run has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every promise was kept, and every fault was there.
    Pass,
    /// A promise was broken.
    Fail,
    /// Nothing was broken, and not every fault was there.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Unknown => "UNKNOWN",
        })
    }
}

impl Verdict {
    /// The exit code of a program that has come to it.
    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Pass => ExitCode::SUCCESS,
            Self::Fail => ExitCode::from(1),
            Self::Unknown => ExitCode::from(2),
        }
    }

    /// That of several runs: the worst.
    pub(crate) fn of_all(verdicts: &[Self]) -> Self {
        Self::of(verdicts.contains(&Self::Fail), verdicts.contains(&Self::Unknown))
    }

    /// What it comes to when a promise was broken, or something is in doubt.
    pub(crate) fn of(broken: bool, doubtful: bool) -> Self {
        match (broken, doubtful) {
            (true, _) => Self::Fail,
            (false, true) => Self::Unknown,
            (false, false) => Self::Pass,
        }
    }
}

impl Injected {
    /// What happened to whom, from when on; nothing of what it did is known yet.
    pub(crate) fn new(label: String, nodes: Vec<usize>, begun: Duration) -> Self {
        let (zero, nothing) = (Duration::ZERO, begun..begun);
        Self {
            label,
            nodes,
            effects: Vec::new(),
            window: nothing.clone(),
            gap: zero,
            node_gaps: Vec::new(),
            slowest: zero,
            without_quorum: None,
            terms: 0,
            held: nothing,
            rate: 0.0,
        }
    }
}

/// Gives each fault the figures of what clients saw meanwhile. Answers the rate of acknowledged requests before the first,
/// in a second.
pub(crate) fn measure(
    injected: &mut [Injected],
    workload: &Workload<'_>,
    oracle: &Oracle,
    nodes: usize,
) -> f64 {
    let (acknowledged, probes) = (workload.acknowledgements(), workload.probes());
    for one in injected.iter_mut() {
        one.gap = gap(&acknowledged, one.window.clone());
        one.rate = rate(&acknowledged, &one.held);
        one.slowest = slowest(&probes, &one.window);
        one.node_gaps = (0..nodes).map(|node| node_gap(&probes, node, &one.window)).collect();
        let idle = one.without_quorum.clone();
        let false_ones = idle.map_or(0, |idle| acknowledged.iter().filter(|at| idle.contains(*at)).count());
        if false_ones > 0 {
            oracle.violation(format!("{}: {false_ones} writes acknowledged without a majority", one.label));
        }
    }
    // Connections are made in the first moments.
    injected.first().map_or(0.0, |first| rate(&acknowledged, &(WARM_UP / 2..first.window.start)))
}

/// What the figures say: pauses that are too long are broken promises, faults that were not there are doubts.
pub(crate) fn judge(
    promises: &Promises,
    oracle: &Oracle,
    injected: &[Injected],
    usual_rate: f64,
    doubts: &mut Vec<String>,
) {
    for one in injected {
        if let Some(limit) = promises.write_gap().filter(|limit| one.gap > *limit) {
            oracle.violation(format!("{}: no write for {:?}, promised {limit:?}", one.label, one.gap));
        }
        if let Some(limit) = promises.answer().filter(|limit| one.slowest > *limit) {
            let took = one.slowest;
            oracle.violation(format!("{}: an answer took {took:?}, promised {limit:?}", one.label));
        }
        for (node, gap) in one.node_gaps.iter().enumerate() {
            let others = promises.others_gap().filter(|_| !one.nodes.contains(&node));
            let limits = [promises.each_node_gap(), others].into_iter().flatten();
            if let Some(limit) = limits.min().filter(|limit| gap > limit) {
                let what = format!("nothing through node {node} for {gap:?}, promised {limit:?}");
                oracle.violation(format!("{}: {what}", one.label));
            }
        }
        if let Some(limit) = promises.terms().filter(|limit| one.terms > *limit) {
            oracle.violation(format!("{}: {} new terms, promised {limit}", one.label, one.terms));
        }
        if let Some(percent) = promises.write_rate() {
            let (rate, usual) = (one.rate, usual_rate);
            #[expect(clippy::cast_precision_loss, reason = "a percentage")]
            let least = usual * percent as f64 / 100.0;
            if rate < least {
                let what = format!("{rate:.0} writes in a second, promised {percent} % of {usual:.0}");
                oracle.violation(format!("{}: {what}", one.label));
            }
        }
        for effect in one.effects.iter().filter(|effect| !effect.took) {
            doubts.push(format!("{} did not take effect: {}", one.label, effect.what));
        }
        if one.effects.is_empty() {
            doubts.push(format!("{} was not seen to its end", one.label));
        }
    }
    if injected.is_empty() {
        doubts.push("no fault was injected".to_owned());
    }
    let acknowledged = oracle.counts().acknowledged;
    if acknowledged < POINTS_MIN {
        doubts.push(format!("only {acknowledged} points were acknowledged"));
    }
}

#[cfg(test)]
mod tests;
