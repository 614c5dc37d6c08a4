//! Checks that nobody but the operator can answer.

use crate::doctor::done::DAY;
use crate::doctor::facts::Facts;
use crate::doctor::finding::{Finding, Place, Verdict};

/// Days after which a drill is to be done again.
const DRILL_DAYS: i64 = 90;

/// Whether something was said to be done.
pub(crate) fn said(facts: &Facts, name: &str, question: &str) -> Vec<Finding> {
    let verdict = match facts.done.get(name) {
        None => Verdict::unknown(format!("{question} If so: --done {name}")),
        Some(None) => Verdict::ok("done, you say"),
        Some(Some(day)) => Verdict::ok(format!("done {}, you say", ago(facts.now, day))),
    };
    vec![verdict.about(Place::You, "")]
}

/// Whether something was done, however long ago.
pub(crate) fn once(facts: &Facts, name: &str, question: &str) -> Vec<Finding> {
    let verdict = match facts.done.get(name) {
        None => Verdict::unknown(format!("{question} If so: --done {name}=DATE")),
        Some(None) => Verdict::warn(format!("done, you say, but not when: --done {name}=DATE")),
        Some(Some(day)) => {
            Verdict::ok(format!("done {}, you say; again whenever sizes change", ago(facts.now, day)))
        }
    };
    vec![verdict.about(Place::You, "")]
}

/// Whether something was done lately.
pub(crate) fn lately(facts: &Facts, name: &str, question: &str) -> Vec<Finding> {
    let verdict = match facts.done.get(name) {
        None => Verdict::unknown(format!("{question} If so: --done {name}=DATE")),
        Some(None) => Verdict::warn(format!("done, you say, but not when: --done {name}=DATE")),
        Some(Some(day)) if days(facts.now, day) > DRILL_DAYS => {
            Verdict::fail(format!("done {}, you say; it is due every {DRILL_DAYS} days", ago(facts.now, day)))
        }
        Some(Some(day)) => Verdict::ok(format!("done {}, you say", ago(facts.now, day))),
    };
    vec![verdict.about(Place::You, "")]
}

fn days(now: i64, day: i64) -> i64 {
    now.saturating_sub(day).div_euclid(DAY).max(0)
}

fn ago(now: i64, day: i64) -> String {
    match days(now, day) {
        0 => "today".to_owned(),
        1 => "1 day ago".to_owned(),
        days => format!("{days} days ago"),
    }
}
