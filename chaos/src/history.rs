//! What happened when: attempts of clients, and from them the write gap of each fault.

use std::ops::Range;
use std::time::Duration;

/// What a client knows after a request. The order is from the least to the most that is known to have happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// It never reached a node.
    #[default]
    Refused,
    /// It may have been done: no answer, or one that promises nothing.
    Unknown,
    /// It was done.
    Acknowledged,
}

/// One request of a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// The node asked.
    pub(crate) node: usize,
    /// When it was sent, after the start of the workload.
    pub(crate) at: Duration,
    /// How long it took.
    pub(crate) took: Duration,
    /// What is known of it.
    pub(crate) outcome: Outcome,
    /// The HTTP status, if there was an answer.
    pub(crate) status: Option<u16>,
}

/// The longest time in `window` without a success through a node: a write that was acknowledged (204), or a read.
pub(crate) fn node_gap(probes: &[Attempt], node: usize, window: &Range<Duration>) -> Duration {
    let good = probes.iter().filter(|probe| probe.node == node && probe.outcome == Outcome::Acknowledged);
    let (writes, reads): (Vec<_>, Vec<_>) = good.partition(|probe| probe.status == Some(204));
    let of = |probes: Vec<&Attempt>| {
        let ends: Vec<_> = probes.into_iter().map(|probe| probe.at + probe.took).collect();
        gap(&ends, window.clone())
    };
    of(writes).max(of(reads))
}

/// The longest time in `window` that a node took for an answer, or for none. A connection that was refused or broken
/// tells at once that nobody is there.
pub(crate) fn slowest(probes: &[Attempt], window: &Range<Duration>) -> Duration {
    let within = probes.iter().filter(|probe| window.contains(&probe.at));
    within.map(|probe| probe.took).max().unwrap_or_default()
}

/// The longest time in `window` without an acknowledgement. Times are from the start of the workload, in any order.
///
/// The window's edges count as acknowledgements: what went on before it is not the doing of its fault.
pub(crate) fn gap(acknowledged: &[Duration], window: Range<Duration>) -> Duration {
    let mut times: Vec<Duration> = acknowledged.iter().copied().filter(|at| window.contains(at)).collect();
    times.extend([window.start, window.end]);
    times.sort_unstable();
    times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or_default()
}

/// How many acknowledgements there were in a second of `window`.
pub(crate) fn rate(acknowledged: &[Duration], window: &Range<Duration>) -> f64 {
    let count = acknowledged.iter().filter(|at| window.contains(*at)).count();
    let seconds = window.end.saturating_sub(window.start).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "not that many")]
    let rate = count as f64 / seconds.max(f64::MIN_POSITIVE);
    if seconds > 0.0 { rate } else { 0.0 }
}

#[cfg(test)]
mod tests;
