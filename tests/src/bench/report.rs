//! The report: first the goals, then for each scenario the ratios, which mean something on any machine, and the
//! figures, which do not.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use serde_json::json;

use crate::figures::{FAILED, Figure, Outcome};
use crate::goals;
use crate::peers::Peer;

/// A line of JSON for each figure.
pub(crate) fn json(outcomes: &[Outcome]) {
    for outcome in outcomes {
        for server in &outcome.servers {
            for Figure { metric, value } in &server.figures {
                let line = json!({
                    "scenario": outcome.scenario,
                    "server": server.peer.to_string(),
                    "metric": metric.name,
                    "value": value.as_ref().ok(),
                    "reason": value.as_ref().err(),
                });
                println!("{line}");
            }
        }
        for server in &outcome.servers {
            let peer = server.peer.to_string();
            for note in &server.notes {
                println!("{}", json!({"scenario": outcome.scenario, "server": peer, "note": note}));
            }
            for failure in &server.failures {
                println!("{}", json!({"scenario": outcome.scenario, "server": peer, "error": failure}));
            }
        }
        for (peer, error) in &outcome.failed {
            println!("{}", json!({"scenario": outcome.scenario, "server": peer.to_string(), "error": error}));
        }
    }
}

/// Tables.
pub(crate) fn markdown(outcomes: &[Outcome]) {
    println!("\n## Goals\n\n| scenario | what | goal | later | measured | met |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for line in goals::lines(outcomes) {
        let goals::Line { scenario, what, now, later, measured, met } = line;
        let met = if met { "yes" } else { "no" };
        let measured = if measured.is_nan() { FAILED.to_owned() } else { number(measured) };
        println!("| {scenario} | {what} | {now} | {later} | {measured} | {met} |");
    }
    for outcome in outcomes {
        println!("\n## {}\n\n{}.\n", outcome.scenario, outcome.what);
        table(outcome);
        for server in &outcome.servers {
            for line in server.notes.iter().chain(&server.failures) {
                println!("\n{}: {line}", server.peer);
            }
        }
        for (peer, error) in &outcome.failed {
            println!("\n{peer}: no figures: {error}");
        }
    }
}

fn table(outcome: &Outcome) {
    let ours = outcome.servers.iter().find(|s| s.peer == Peer::Tidemark);
    let peers = || outcome.servers.iter().filter(|s| s.peer != Peer::Tidemark);
    let ratios = peers().filter(|_| ours.is_some()).map(|s| format!("of {}", s.peer));
    let figures = outcome.servers.iter().map(|s| s.peer.to_string());
    let head: Vec<String> = ratios.chain(figures).collect();
    println!("| | better | {} |", head.join(" | "));
    println!("| --- | --- |{}", " --- |".repeat(head.len()));
    let Some(longest) = outcome.servers.iter().max_by_key(|s| s.figures.len()) else { return };
    for Figure { metric, .. } in &longest.figures {
        let better = if metric.more_is_better { "more" } else { "less" };
        let mut cells = Vec::new();
        if let Some(ours) = ours {
            cells.extend(peers().map(|peer| match (ours.get(metric.name), peer.get(metric.name)) {
                (Some(ours), Some(theirs)) if theirs != 0.0 => format!("{}×", number(ours / theirs)),
                _ => "–".to_owned(),
            }));
        }
        for server in &outcome.servers {
            let figure = server.figures.iter().find(|f| f.metric.name == metric.name);
            cells.push(match figure.map(|f| &f.value) {
                Some(Ok(value)) => number(*value),
                Some(Err(reason)) => reason.clone(),
                None => "–".to_owned(),
            });
        }
        println!("| {} | {better} | {} |", metric.name, cells.join(" | "));
    }
}

/// Three digits that matter, or all of a whole number.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1e6 => format!("{:.2} M", value / 1e6),
        v if v >= 100.0 || v == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
