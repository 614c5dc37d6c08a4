//! Waits until a node is empty, and says how far it is.

use std::time::Duration;

use serde_json::Value;

use super::{LOOK_EVERY, array, is_passing, look, pause};
use crate::api::{Api, encode};
use crate::error::CliError;
use crate::output;

/// How long nothing may change before the person is told what that may mean.
const STILL_MAX: Duration = Duration::from_secs(20);

pub(super) fn wait(api: &Api, node: &str) -> Result<(), CliError> {
    let path = format!("/api/v1/cluster/nodes/{}", encode(node));
    let mut said = String::new();
    let mut still = Duration::ZERO;
    loop {
        let looked = look(api, &path).and_then(|seen| Ok((seen, look(api, "/api/v1/cluster/moves")?)));
        match looked {
            // What may be old tells nothing.
            Ok((seen, moves)) if seen["isCurrent"] == false || moves["isCurrent"] == false => {}
            Ok((seen, moves)) => match progress(&seen["node"], &moves["moves"])? {
                None => {
                    output::say(&format!("node {node} holds nothing"));
                    return Ok(());
                }
                Some(line) if line == said => still += LOOK_EVERY,
                Some(line) => {
                    output::say(&line);
                    (said, still) = (line, Duration::ZERO);
                }
            },
            // The node that is asked may be the one that is restarting.
            Err(error) if is_passing(&error) => output::complain(&error),
            Err(error) => return Err(error),
        }
        if still >= STILL_MAX {
            output::say(
                "nothing has moved for a while. A node has at most one replica of a partition: is another node there that \
                 may have these? Waiting goes on; `tidemark node undrain` takes the order back",
            );
            still = Duration::ZERO;
        }
        pause();
    }
}

/// How far a node is; `None` when it is empty.
fn progress(node: &Value, moves: &Value) -> Result<Option<String>, CliError> {
    let (Some(id), Some(holds)) = (node["id"].as_str(), node["holds"].as_u64()) else {
        return Err(CliError::Answer("the node does not say what it holds".to_owned()));
    };
    match node["state"].as_str() {
        Some("draining") => {}
        state => {
            let state = state.unwrap_or("in no state");
            return Err(CliError::Usage(format!("node {id} does not drain any more: it is {state}")));
        }
    }
    if holds == 0 {
        return Ok(None);
    }
    let on_their_way = array(moves).iter().filter(|moving| moving["from"] == id);
    let each: Vec<String> = on_their_way
        .map(|moving| {
            let stage = output::plain(&moving["stage"]);
            let lag = moving["lag"].as_u64().filter(|lag| *lag > 0);
            let lag = lag.map(|lag| format!(", {lag} entries behind")).unwrap_or_default();
            format!("{} ({stage}{lag})", output::plain(&moving["group"]))
        })
        .collect();
    let each = if each.is_empty() { "none".to_owned() } else { each.join(", ") };
    Ok(Some(format!("node {id} holds {holds} replicas; on their way: {each}")))
}

#[cfg(test)]
mod tests;
