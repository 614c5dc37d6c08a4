//! What a node does when the catalog's view of the nodes changes: it finds the others where they are now, and says of
//! itself what is new.

use std::sync::Arc;
use std::time::Duration;

use catalog::NodeInfo;
use tokio::time::{MissedTickBehavior, interval};

use super::myself::VERSION;
use crate::courier::Courier;

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
    }
}
