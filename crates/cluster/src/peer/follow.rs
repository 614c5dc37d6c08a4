//! What a node does when the catalog's view of the nodes changes: it finds the others where they are now, says of itself
//! what is new, and learns that it is out.
//!
//! A node that is out may not hear of it by the log, because it is no member of any group any more. So it asks: whoever
//! knows refuses to answer, and what is out stays out.

use std::sync::Arc;
use std::time::Duration;

use catalog::{NodeInfo, NodeState};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::myself::{ALONE, Myself, VERSION};
use super::status;
use crate::courier::Courier;
use crate::raft::machine::with_causes;

/// Pause between two looks at the catalog.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks for each question to another node.
const LOOKS_PER_QUESTION: usize = 10;
/// How long another may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Whether this node is out of the cluster for good: lost or decommissioned. Said once.
#[derive(Debug, Clone)]
pub(crate) struct Out(Arc<watch::Sender<Option<NodeState>>>);

impl Default for Out {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Out {
    fn say(&self, myself: &Myself, state: NodeState) {
        if self.0.borrow().is_some() {
            return;
        }
        if let Err(error) = myself.leave(state) {
            // It hears of it again when it is started again.
            tracing::warn!(error = with_causes(&error), "that this node is out could not be noted");
        }
        self.0.send_replace(Some(state));
    }

    /// Returns when it is.
    pub(crate) async fn said(&self) -> NodeState {
        let mut watch = self.0.subscribe();
        let said = watch.wait_for(Option::is_some).await;
        said.ok().and_then(|said| *said).expect("waited for Some, and the sender lives in self")
    }
}

/// Finds the other nodes where they are now, for ever: what a gateway does.
pub(crate) async fn addresses(courier: Arc<Courier>) {
    let mut pace = interval(LOOK_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let nodes: Vec<NodeInfo> = courier.catalog.read().nodes().map(|node| node.info.clone()).collect();
        nodes.iter().for_each(|node| courier.links.moved(node.uuid, &node.address));
    }
}

/// Follows the catalog for ever. `own` is what the catalog knew of this node at first; it was started as one of so many
/// founders.
pub(crate) async fn follow(courier: Arc<Courier>, own: NodeInfo, founders: usize, out: Out) {
    let mut pace = interval(LOOK_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // One that was alone until now was reached nowhere.
    let before = (own.address != ALONE).then(|| own.address.clone());
    let says = &courier.myself.says;
    let address = says.advertised.clone().or(before).or_else(|| says.bound.clone());
    let now = NodeInfo {
        address: address.unwrap_or_else(|| own.address.clone()),
        zone: courier.myself.says.zone.clone(),
        version: VERSION.to_owned(),
        level: courier.myself.says.level,
        uuid: own.uuid,
    };
    for looks in 0_usize.. {
        pace.tick().await;
        let all: Vec<(NodeInfo, NodeState)> =
            courier.catalog.read().nodes().map(|node| (node.info.clone(), node.state)).collect();
        let (others, here): (Vec<_>, Vec<_>) = all.into_iter().partition(|(node, _)| node.uuid != now.uuid);
        if let Some((_, state)) = here.first().filter(|(_, state)| state.is_out()) {
            out.say(&courier.myself, *state);
        }
        for (node, _) in &others {
            courier.links.moved(node.uuid, &node.address);
        }
        let there: Vec<&NodeInfo> =
            others.iter().filter(|(_, state)| !state.is_out()).map(|(node, _)| node).collect();
        if looks == 0 && founders == 1 && !there.is_empty() {
            tracing::warn!(
                "initial-peers names one node, and there are others: should this one lose its volume, it would found another \
                 cluster; start it with three of them"
            );
        }
        // Each at once, then one after the other.
        let asked = match looks.checked_sub(there.len()) {
            None => there.get(looks),
            Some(looks) if looks.is_multiple_of(LOOKS_PER_QUESTION) => {
                there.get(looks / LOOKS_PER_QUESTION % there.len().max(1))
            }
            Some(_between) => None,
        };
        if let Some(asked) = asked {
            let link = courier.links.to(asked.uuid, &asked.address);
            let question = status::says_out(&link, courier.route_to(asked.uuid), ANSWER_WITHIN);
            if let Ok(Some(state)) = timeout(ANSWER_WITHIN, question).await {
                out.say(&courier.myself, state);
            }
        }
        // What the catalog here knew at the start may have been of an earlier time, and true by chance.
        if here.iter().any(|(known, _)| *known != now)
            && let Err(reason) = courier.register(now.clone()).await
        {
            tracing::info!(reason, "the catalog does not know what is new of this node");
        }
    }
}
