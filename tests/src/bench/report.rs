//! The figures, and the ratios that are worth more than they.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use crate::load::Workload;
use crate::peers::{Figures, Peer};

/// Says what is sent.
pub(crate) fn workload(workload: &Workload, bodies: &[String]) {
    let bytes: usize = bodies.iter().map(String::len).sum();
    println!(
        "{} rows of {} hosts, {} values, {} MB of line protocol in {} requests over {} connections",
        workload.rows,
        workload.hosts,
        workload.values(),
        bytes / 1_000_000,
        bodies.len(),
        workload.connections
    );
}

/// Says that a peer was not measured.
pub(crate) fn skipped(peer: Peer, reason: &str) {
    println!("{peer}: not measured: {reason}");
}

/// Prints the figures of a round, and ours as ratios to each peer's.
pub(crate) fn results(round: usize, workload: &Workload, results: &[(Peer, Figures)]) {
    let values = workload.values() as f64;
    println!("\nround {round}");
    println!(
        "{:<18}{:>12}{:>10}{:>14}{:>12}{:>10}{:>13}{:>13}",
        "server", "values/s", "CPU s", "CPU s at rest", "CPU us/row", "RSS MB", "data B/value", "all B/value"
    );
    for (peer, f) in results {
        println!(
            "{peer:<18}{:>12.0}{:>10.2}{:>14.2}{:>12.2}{:>10}{:>13.3}{:>13.3}",
            values / f.wall.as_secs_f64(),
            f.cpu_seconds,
            f.cpu_seconds_at_rest,
            f.cpu_seconds * 1e6 / workload.rows as f64,
            f.peak_rss_bytes / 1_000_000,
            f.data_bytes as f64 / values,
            f.all_bytes as f64 / values,
        );
    }
    let Some((_, ours)) = results.iter().find(|(peer, _)| *peer == Peer::Tidemark) else { return };
    for (peer, theirs) in results.iter().filter(|(peer, _)| *peer != Peer::Tidemark) {
        println!(
            "tidemark against {peer}: {:.2}x values/s, {:.2}x values per CPU second ({:.2}x until at rest), \
             {:.2}x memory, {:.2}x data on disk",
            theirs.wall.as_secs_f64() / ours.wall.as_secs_f64(),
            theirs.cpu_seconds / ours.cpu_seconds,
            theirs.cpu_seconds_at_rest / ours.cpu_seconds_at_rest,
            ours.peak_rss_bytes as f64 / theirs.peak_rss_bytes as f64,
            ours.data_bytes as f64 / theirs.data_bytes as f64,
        );
    }
}
