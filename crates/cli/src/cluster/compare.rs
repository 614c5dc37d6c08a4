//! Lets the replicas of each partition say what they hold at the same entry, and prints whether it is the same.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Arguments, LOOK_EVERY, array, is_passing, look, named, order, pause};
use crate::error::CliError;
use crate::output;

/// How long replicas may take, as long as none has said more.
const STILL_MAX: Duration = Duration::from_secs(600);

pub(super) fn compare(arguments: Arguments) -> Result<(), CliError> {
    let (api, format) = arguments.open()?;
    let partitions = || Ok::<_, CliError>(look(&api, "/api/v1/cluster/partitions")?["partitions"].take());
    let before = partitions()?;
    order(&api, "/api/v1/cluster/compare", &json!({}))?;
    let mut said = 0;
    let mut still = Duration::ZERO;
    loop {
        match partitions() {
            Ok(now) => {
                let verdicts: Vec<Verdict> = array(&now).iter().map(|one| judge(one, &before)).collect();
                let done = verdicts.iter().filter(|verdict| verdict.outcome != "computing").count();
                if done == verdicts.len() {
                    let odd = verdicts.iter().filter(|verdict| verdict.outcome != "equal").count();
                    let columns = ["partition", "outcome", "index", "values", "digests"];
                    let rows = verdicts.into_iter().map(Verdict::row).collect();
                    output::print(format, named(&columns, rows))?;
                    return if odd == 0 { Ok(()) } else { Err(CliError::Different(odd)) };
                }
                if done > said {
                    output::say(&format!("{done} of {} partitions are compared", verdicts.len()));
                    (said, still) = (done, Duration::ZERO);
                }
            }
            Err(error) if is_passing(&error) => output::complain(&error),
            Err(error) => return Err(error),
        }
        still += LOOK_EVERY;
        if still > STILL_MAX {
            return Err(CliError::Answer(format!("after {said} partitions no replica has said any more")));
        }
        pause();
    }
}

/// What the replicas of a partition say.
struct Verdict {
    partition: Value,
    outcome: &'static str,
    index: Value,
    values: Value,
    digests: String,
}

impl Verdict {
    fn row(self) -> Vec<Value> {
        let Self { partition, outcome, index, values, digests } = self;
        vec![partition, outcome.into(), index, values, digests.into()]
    }
}

/// What the replicas that are there say of an entry that was not committed before.
fn judge(partition: &Value, before: &Value) -> Verdict {
    let name = &partition["partition"];
    let before = array(before).iter().find(|other| other["partition"] == *name);
    let committed = before.and_then(|before| before["committed"].as_u64()).unwrap_or(0);
    let there = array(&partition["replicas"]).iter().filter(|replica| replica["isUp"] == true);
    let there: Vec<&Value> = there.collect();
    let told: Vec<&Value> = there.iter().map(|replica| &replica["compared"]).collect();
    let index = told.first().map(|told| &told["index"]);
    let is_told = told.iter().all(|told| {
        Some(&told["index"]) == index && told["index"].as_u64().is_some_and(|index| index > committed)
    });
    let digests: Vec<String> = there
        .iter()
        .map(|replica| {
            let told = &replica["compared"];
            let what = if told["reason"].is_null() { &told["digest"] } else { &told["reason"] };
            format!("{}={}", output::plain(&replica["node"]), output::plain(what))
        })
        .collect();
    let first = told.first().map(|told| &told["digest"]);
    let outcome = match () {
        () if told.is_empty() => "away",
        () if !is_told => "computing",
        () if told.iter().any(|told| !told["reason"].is_null()) => "unreadable",
        () if told.iter().any(|told| Some(&told["digest"]) != first) => "different",
        () => "equal",
    };
    let of = |member: &str| told.first().map(|told| told[member].clone()).unwrap_or_default();
    Verdict {
        partition: name.clone(),
        outcome,
        index: of("index"),
        values: of("values"),
        digests: digests.join(" "),
    }
}

#[cfg(test)]
mod tests;
