//! Who operates the cluster: moves leads, empties nodes and fills them again, lets one go; and says when all is well.
//!
//! What was ordered and not answered may be carried out at any time later. So whoever wants all to be well orders it again
//! for as long as it is not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use catalog::{NodeState, Placement, State};
use cluster::Cluster;
use http::Method;
use model::{Consistency, GroupId, NodeId};
use tokio::time::timeout;

use crate::chance::chance;
use crate::node::{PARTITIONS, Part, Place};
use crate::parts::now;
use crate::run::CLIENTS;
use crate::workload::{Desk, request, rest, said};

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// How long nodes may take to be where they should, before that is ordered again.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);

impl Desk {
    /// Moves leads about, empties nodes and fills them again, until it is told to stop.
    pub(crate) async fn operator(&self, seed: u64, until: Duration) {
        let mut chance = chance(seed, 2);
        while now() < until {
            rest(Duration::from_millis(chance.between(500, 4000))).await;
            let place = Arc::clone(chance.pick(&self.places));
            let node = chance.between(1, self.places.len() as u64);
            let (path, body) = match chance.below(5) {
                0 => (format!("/api/v1/cluster/nodes/{node}/drain"), String::new()),
                1 => (format!("/api/v1/cluster/nodes/{node}/undrain"), String::new()),
                2 => {
                    let replicas = if chance.below(2) == 0 { 3 } else { 5 };
                    let body = serde_json::json!({ "replicas": replicas });
                    ("/api/v1/cluster/replication".to_owned(), body.to_string())
                }
                _ => {
                    let group = *chance.pick(&["meta", "data-0", "data-1"]);
                    let body = serde_json::json!({ "group": group, "node": node.to_string() });
                    ("/api/v1/cluster/transfer-leader".to_owned(), body.to_string())
                }
            };
            self.order(&place, &path, body).await;
        }
    }

    /// Orders something of a node; whether it was recorded.
    async fn order(&self, place: &Place, path: &str, body: String) -> bool {
        let answer = self.ask(place, request(Method::POST, path, body)).await;
        self.journal.lock().note(&format!("{} {path}: {:?}", place.name(), said(answer.as_ref())));
        answer.is_some_and(|answer| answer.status == 204)
    }

    /// Empties a node that is to leave, and lets it go, until it has left or the time is over.
    pub(crate) async fn let_go(&self, leaving: usize, until: Duration) {
        let leaving = &self.places[leaving];
        while leaving.part() != Part::Left && now() < until {
            for place in self.there() {
                let Some(node) = place.cluster().and_then(|cluster| node_at(&cluster, leaving)) else {
                    continue;
                };
                if !self
                    .order(place, &format!("/api/v1/cluster/nodes/{node}/decommission"), String::new())
                    .await
                {
                    self.order(place, &format!("/api/v1/cluster/nodes/{node}/drain"), String::new()).await;
                }
                break;
            }
            rest(5 * PAUSE).await;
        }
    }

    /// The places of those that are there.
    pub(crate) fn there(&self) -> impl Iterator<Item = &Arc<Place>> {
        self.places.iter().filter(|place| place.part() == Part::There)
    }

    /// Lets all nodes have their share again.
    async fn undrain_all(&self) {
        for place in self.there().filter(|place| !place.is_gateway()) {
            while let Some(node) = self.drained(place) {
                self.order(place, &format!("/api/v1/cluster/nodes/{node}/undrain"), String::new()).await;
                rest(PAUSE).await;
            }
        }
    }

    /// Lets partitions have as many replicas as at first: with more, a node can only leave when others have room for its
    /// own.
    async fn three_replicas(&self) {
        let body = serde_json::json!({ "replicas": 3 }).to_string();
        while let Some(place) = self.there().find(|place| place.is_open()) {
            if self.order(place, "/api/v1/cluster/replication", body.clone()).await {
                return;
            }
            rest(PAUSE).await;
        }
    }

    /// A node that is drained, as a node sees it.
    fn drained(&self, place: &Place) -> Option<NodeId> {
        let cluster = place.cluster()?;
        let state = cluster.catalog().read();
        state.nodes().find(|node| node.state == NodeState::Draining).map(|node| node.id)
    }

    /// Returns when every node takes points and shows all that it should, also what it has itself; and replicas are
    /// where they should be.
    pub(crate) async fn is_well(&self, leaving: Option<usize>) {
        self.undrain_all().await;
        self.three_replicas().await;
        if let Some(leaving) = leaving {
            self.let_go(leaving, Duration::MAX).await;
        }
        for place in self.there() {
            let mut from = 1 << 20;
            loop {
                let next = self.write(place, 0, from, 1).await;
                if next > from {
                    break;
                }
                from = next;
                rest(PAUSE).await;
            }
            for whose in 0..CLIENTS {
                while self.read(place, whose, Consistency::Linearizable, false).await.is_none() {
                    rest(PAUSE).await;
                }
            }
        }
        while timeout(SETTLED_WITHIN, self.until(|| self.is_settled())).await.is_err() {
            self.undrain_all().await;
            self.three_replicas().await;
        }
        let mut values = 0;
        for whose in 0..CLIENTS {
            let mut shown = Vec::new();
            for place in self.there() {
                // Nothing is written any more: what a node has itself is soon what all have.
                let mut last = self.read(place, whose, Consistency::Linearizable, false).await;
                while last.is_none() || shown.first().is_some_and(|first| last.as_ref() != Some(first)) {
                    rest(PAUSE).await;
                    last = self.read(place, whose, Consistency::Any, false).await;
                }
                shown.extend(last);
            }
            values += shown.first().map_or(0, Vec::len) as u64;
        }
        self.agree(PARTITIONS, values).await;
    }

    /// Whether all nodes know all that are there and no others, and each group has the members that it should have.
    fn is_settled(&self) -> Result<(), String> {
        let clusters = self.clusters();
        if clusters.len() < self.there().count() {
            return Err("not all are open".to_owned());
        }
        let nodes = clusters.iter().filter(|(_, cluster)| cluster.node_id().is_some());
        let there: BTreeSet<u128> = nodes.map(|(_, cluster)| cluster.identity().node_uuid).collect();
        for (name, cluster) in &clusters {
            let state = cluster.catalog().read();
            let active = state.nodes().filter(|node| node.state == NodeState::Active);
            let active: BTreeSet<u128> = active.map(|node| node.info.uuid).collect();
            if active != there {
                return Err(format!("{name} knows others than are there"));
            }
            let wanted = state.cluster().map_or(0, |cluster| cluster.voters_wanted(active.len()));
            for placement in state.placements() {
                let is_active = |node| state.node(node).is_some_and(|node| node.state == NodeState::Active);
                let voters: Vec<NodeId> = placement.voters().map(|voter| voter.node).collect();
                if !is_at_rest(&state, placement, wanted) || !voters.iter().all(|node| is_active(*node)) {
                    return Err(format!("{name}: group {} has voters {voters:?}", placement.group));
                }
            }
        }
        Ok(())
    }
}

/// Whether a group has the members that it should have.
fn is_at_rest(state: &State, placement: &Placement, wanted: usize) -> bool {
    if placement.group == GroupId::Meta {
        let mut nodes = state.nodes().filter(|node| node.state == NodeState::Active);
        return nodes.all(|node| placement.on(node.id).is_some());
    }
    placement.is_at_rest() && placement.voters().count() == wanted
}

/// The node that lives at a place, as another sees it.
fn node_at(cluster: &Cluster, place: &Place) -> Option<NodeId> {
    let state = cluster.catalog().read();
    let address = place.address();
    state.nodes().find(|node| node.info.address == address && !node.state.is_out()).map(|node| node.id)
}
