//! What a node does when the catalog's view of the nodes changes: it finds the others where they are now, says of
//! itself what is new, and where it leads the meta group gives it the members that the catalog has placed.

use std::sync::Arc;
use std::time::Duration;

use catalog::NodeInfo;
use model::{GroupId, ReplicaId};
use tokio::time::{MissedTickBehavior, interval};

use super::myself::VERSION;
use crate::courier::Courier;
use crate::raft::types::Member;

/// Pause between two looks at the catalog.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Follows the catalog for ever. `own` is what the catalog knew of this node at first.
pub(crate) async fn follow(courier: Arc<Courier>, own: NodeInfo) {
    let mut pace = interval(LOOK_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let now = NodeInfo {
        address: courier.myself.says.advertised.clone().unwrap_or_else(|| own.address.clone()),
        zone: courier.myself.says.zone.clone(),
        version: VERSION.to_owned(),
        uuid: own.uuid,
    };
    let mut is_known = own == now;
    loop {
        pace.tick().await;
        let nodes: Vec<NodeInfo> = courier.catalog.read().nodes().map(|node| node.info.clone()).collect();
        for node in nodes.iter().filter(|node| node.uuid != now.uuid) {
            courier.links.moved(node.uuid, &node.address);
        }
        if !is_known {
            match courier.register(now.clone()).await {
                Ok(_place) => is_known = true,
                Err(reason) => tracing::info!(reason, "the catalog does not know what is new of this node"),
            }
        }
        add_learners(&courier).await;
    }
}

/// Adds the members that the catalog has given the meta group, where this node leads it.
async fn add_learners(courier: &Courier) {
    let Some(meta) = courier.replicas.get(GroupId::Meta).filter(|meta| meta.leads()) else { return };
    let members = meta.members();
    let missing: Vec<(ReplicaId, Member)> = {
        let state = courier.catalog.read();
        let placed = state.placement(GroupId::Meta).into_iter().flat_map(|placement| &placement.replicas);
        let new = placed.filter(|replica| !members.contains_key(&replica.id.0));
        new.filter_map(|replica| {
            let node = state.node(replica.node)?;
            Some((replica.id, Member { node: node.info.uuid, address: node.info.address.clone() }))
        })
        .collect()
    };
    for (replica, member) in missing {
        let address = member.address.clone();
        match meta.add_learner(replica, member).await {
            Ok(()) => tracing::info!(%replica, address, "a node has joined the meta group"),
            Err(reason) => tracing::warn!(%replica, address, reason, "a node cannot join the meta group yet"),
        }
    }
}
