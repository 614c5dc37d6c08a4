//! Lets the replicas of one partition after the other say what they hold at the same entry, and prints whether it is the
//! same. Only replicas that have all told the same of the same entry are equal: whoever is away or has missed the entry is
//! said to.

use std::time::Duration;

use serde_json::{Value, json};

use super::{CompareArguments, is_passing, look, named, wait};
use crate::api::Api;
use crate::error::CliError;
use crate::output;

/// The first looks come soon after the order, the later ones so far from one another.
const LOOK_FIRST: Duration = Duration::from_millis(20);
const LOOK_LAST: Duration = Duration::from_secs(2);
/// How long a replica may be behind the entry without coming nearer, or nobody may answer.
const STILL_MAX: Duration = Duration::from_secs(60);

pub(super) fn compare(arguments: CompareArguments) -> Result<(), CliError> {
    let CompareArguments { mut partitions, common } = arguments;
    let (api, format) = common.open()?;
    if partitions.is_empty() {
        let survey = look(&api, "/api/v1/cluster/status")?;
        let all = survey["partitions"].as_u64().and_then(|all| u16::try_from(all).ok());
        partitions =
            (0..all.ok_or_else(|| CliError::Answer("no number of partitions".to_owned()))?).collect();
    }
    let mut rows = Vec::new();
    let (mut odd, count) = (0, partitions.len());
    for (at, partition) in partitions.into_iter().enumerate() {
        let ordered = api.post_json("/api/v1/cluster/compare", &json!({ "partition": partition }))?;
        let index = ordered["index"].as_u64().ok_or_else(|| CliError::Answer("no index".to_owned()))?;
        let verdict = judge(&told(&api, partition, index)?, index);
        if !verdict.outcome.is_good() {
            odd += 1;
        }
        if (at + 1) % 8 == 0 && at + 1 < count {
            output::say(&format!("{} of {count} partitions are compared", at + 1));
        }
        rows.push(verdict.row(partition, index));
    }
    output::print(format, named(&["partition", "outcome", "index", "values", "digests"], rows))?;
    if odd == 0 { Ok(()) } else { Err(CliError::Different(odd)) }
}

/// The replicas of a partition, when all that can have told of the entry, or when it does not go on.
fn told(api: &Api, partition: u16, index: u64) -> Result<Vec<Value>, CliError> {
    let mut pause = LOOK_FIRST;
    let mut still = Duration::ZERO;
    let mut seen: Option<Vec<Value>> = None;
    loop {
        match look(api, "/api/v1/cluster/partitions") {
            Ok(mut now) => {
                let mine = now["partitions"].as_array_mut().and_then(|all| {
                    all.iter_mut().find(|one| one["partition"] == partition).map(|one| one["replicas"].take())
                });
                let Some(Value::Array(now)) = mine else {
                    return Err(CliError::Answer(format!("nothing of partition {partition}")));
                };
                let states: Vec<Told<'_>> = now.iter().map(|replica| Told::of(replica, index)).collect();
                let is_waited_for = states.iter().any(|told| matches!(told, Told::Behind | Told::Computing));
                // Who computes is there, and takes as long as the data are large.
                if seen.as_ref() != Some(&now) || states.contains(&Told::Computing) {
                    still = Duration::ZERO;
                }
                if !is_waited_for || still > STILL_MAX {
                    return Ok(now);
                }
                seen = Some(now);
            }
            Err(error) if is_passing(&error) && still <= STILL_MAX => output::complain(&error),
            Err(error) => return Err(error),
        }
        wait(pause);
        still += pause;
        pause = LOOK_LAST.min(pause * 2);
    }
}

/// What a replica says of the entry.
#[derive(Debug, PartialEq, Eq)]
enum Told<'a> {
    /// It does not say how it is.
    Away,
    /// It has not applied the entry.
    Behind,
    Computing,
    /// It has applied the entry and tells nothing of it: it came by files, was restarted, or was asked again since.
    Missed,
    Failed(&'a str),
    Held(&'a str),
}

impl<'a> Told<'a> {
    fn of(replica: &'a Value, index: u64) -> Self {
        let compared = &replica["compared"];
        if replica["isUp"] != true {
            return Self::Away;
        }
        if compared["index"].as_u64() != Some(index) {
            let is_behind = replica["applied"].as_u64().is_none_or(|applied| applied < index);
            return if is_behind { Self::Behind } else { Self::Missed };
        }
        match (compared["digest"].as_str(), compared["reason"].as_str()) {
            (Some(digest), _) => Self::Held(digest),
            (None, Some(reason)) => Self::Failed(reason),
            (None, None) => Self::Computing,
        }
    }

    const fn text(&self) -> &'a str {
        match self {
            Self::Away => "away",
            Self::Behind => "behind",
            Self::Computing => "computing",
            Self::Missed => "missed",
            Self::Failed(text) | Self::Held(text) => text,
        }
    }
}

/// What is said of the replicas of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// All hold the same.
    Equal,
    /// There is one only, and it can say what it holds.
    Alone,
    /// Those that have told hold the same; others have not.
    Partial,
    /// One has told, or none.
    Unknown,
    /// One cannot say what it holds.
    Unreadable,
    /// Two do not hold the same.
    Different,
}

impl Verdict {
    const fn is_good(self) -> bool {
        matches!(self, Self::Equal | Self::Alone)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Alone => "alone",
            Self::Partial => "partial",
            Self::Unknown => "unknown",
            Self::Unreadable => "unreadable",
            Self::Different => "different",
        }
    }
}

struct Judged {
    outcome: Verdict,
    values: Value,
    digests: String,
}

impl Judged {
    fn row(self, partition: u16, index: u64) -> Vec<Value> {
        let Self { outcome, values, digests } = self;
        vec![partition.into(), outcome.name().into(), index.into(), values, digests.into()]
    }
}

fn judge(replicas: &[Value], index: u64) -> Judged {
    let told: Vec<Told<'_>> = replicas.iter().map(|replica| Told::of(replica, index)).collect();
    let held: Vec<&str> = told
        .iter()
        .filter_map(|told| if let Told::Held(digest) = told { Some(*digest) } else { None })
        .collect();
    let outcome = match &held[..] {
        [first, others @ ..] if others.iter().any(|other| other != first) => Verdict::Different,
        _ if told.iter().any(|told| matches!(told, Told::Failed(_))) => Verdict::Unreadable,
        [_] if told.len() == 1 => Verdict::Alone,
        [] | [_] => Verdict::Unknown,
        all if all.len() == told.len() => Verdict::Equal,
        _ => Verdict::Partial,
    };
    let digests = replicas.iter().zip(&told);
    let digests: Vec<String> = digests
        .map(|(replica, told)| format!("{}={}", output::plain(&replica["node"]), told.text()))
        .collect();
    let values = replicas.iter().zip(&told).find(|(_, told)| matches!(told, Told::Held(_)));
    Judged {
        outcome,
        values: values.map(|(replica, _)| replica["compared"]["values"].clone()).unwrap_or_default(),
        digests: digests.join(" "),
    }
}

#[cfg(test)]
mod tests;
