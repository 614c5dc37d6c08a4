//! What this node can expect of groups, from what beacons say and how disks are: whom it reaches, whether a majority is
//! among them, and who could lead instead.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use catalog::{NodeState, Replica};
use hashbrown::HashMap;
use model::{GroupId, ReplicaId};

use super::Courier;
use crate::error::ProposeError;
use crate::peer::myself::Room;
use crate::peer::reach::Way;

/// A log whose writes take so long lets its groups know late who leads them.
const LATE: Duration = Duration::from_secs(1);

impl Courier {
    /// The other nodes that are in the cluster, those that are being emptied too, and where they are.
    pub(crate) fn other_nodes(&self) -> HashMap<u128, String> {
        let own = self.myself.identity().node_uuid;
        let state = self.catalog.read();
        let others = state.nodes().filter(|node| !node.state.is_out() && node.info.uuid != own);
        others.map(|node| (node.info.uuid, node.info.address.clone())).collect()
    }

    /// Whether this node should lead nothing, because its disk is nearly full.
    pub(crate) fn is_short(&self) -> bool {
        self.myself.room() > Room::Plenty || self.is_stuck()
    }

    /// Whether this node should lead nothing any more, because it is about to stop.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// How slow this node's log is, where it is: whoever waits for a leader waits for it.
    pub(crate) fn slowness(&self) -> Option<Duration> {
        self.log.slowness(self.clock.monotonic())
    }

    /// Whether what this node's groups know may be seconds old, because each of their steps waits for this node's log, and
    /// others are there whose logs do not take so long.
    pub(crate) fn is_late(&self) -> bool {
        let Some(slowness) = self.slowness().filter(|slowness| *slowness >= LATE) else { return false };
        let is_faster = |node: &u128| self.reach.answers(*node) && !self.reach.is_slow(*node, Some(slowness));
        self.other_nodes().keys().any(is_faster)
    }

    /// Whether what comes to this node's log waits for room: its groups do and learn nothing meanwhile.
    pub(crate) fn is_stuck(&self) -> bool {
        *self.log.waiting_for_space.borrow()
    }

    /// The nodes of a group's voters, as the catalog has them.
    pub(super) fn voters(&self, group: GroupId) -> Vec<u128> {
        let state = self.catalog.read();
        let replicas = state.placement(group).into_iter().flat_map(|placement| &placement.replicas);
        let voters = replicas.filter(|replica| replica.is_voter());
        voters.filter_map(|voter| Some(state.node(voter.node)?.info.uuid)).collect()
    }

    /// Whether this node reaches a majority of a group's voters, over others where it must. Those that were given up answer
    /// nothing any more.
    pub(crate) fn reaches_quorum(&self, group: GroupId) -> bool {
        let (reached, all) = self.voters_reached(group);
        all == 0 || 2 * (all - reached) < all
    }

    /// How many of a group's voters this node reaches, and how many there are.
    pub(crate) fn voters_reached(&self, group: GroupId) -> (usize, usize) {
        let voters = self.voters(group);
        (voters.iter().filter(|node| self.is_reached(**node)).count(), voters.len())
    }

    /// Whether this node reaches any of a group's voters, or is one.
    pub(crate) fn reaches_any(&self, group: GroupId) -> bool {
        let voters = self.voters(group);
        voters.is_empty() || voters.iter().any(|node| self.is_reached(*node))
    }

    fn is_reached(&self, node: u128) -> bool {
        let is_out = || self.state_of(node).is_some_and(NodeState::is_out);
        node == self.myself.identity().node_uuid || self.reach.way(node) != Way::Nowhere && !is_out()
    }

    pub(crate) fn cut_off(group: GroupId) -> ProposeError {
        let reason = "this node reaches no majority of the group's members".to_owned();
        ProposeError::Unavailable { group, reason }
    }

    /// Why points are not to be proposed anywhere, if so: most voters of a group have no room to make room.
    pub(crate) fn lacks_room(&self) -> Option<GroupId> {
        let own = self.myself.identity().node_uuid;
        let is_short = |node: u128| if node == own { self.is_short() } else { self.reach.is_short(node) };
        let short: HashSet<u128> = {
            let state = self.catalog.read();
            state.nodes().map(|node| node.info.uuid).filter(|node| is_short(*node)).collect()
        };
        if short.is_empty() {
            return None;
        }
        let groups: Vec<GroupId> =
            self.catalog.read().placements().map(|placement| placement.group).collect();
        groups.into_iter().find(|group| {
            let voters = self.voters(*group);
            2 * voters.iter().filter(|node| short.contains(*node)).count() > voters.len()
        })
    }

    /// The voters of a group on other nodes that are reached and have room, and whose disks are not slow, or much faster
    /// than this node's where that is slow itself; where `better`, those of them that reach more of the voters than this
    /// node does.
    pub(crate) fn successors(&self, group: GroupId, better: bool) -> Vec<ReplicaId> {
        let own = self.myself.identity().node_uuid;
        let slowness = self.slowness();
        let voters = self.voters(group);
        let reaches_more =
            |node: u128| self.reach.silent_as_seen_by(node, &voters) < self.reach.silent(&voters);
        let state = self.catalog.read();
        let replicas = state.placement(group).into_iter().flat_map(|placement| &placement.replicas);
        let can = |replica: &&Replica| {
            let node = state.node(replica.node).map(|node| node.info.uuid);
            let is_good = |node: u128| {
                node != own
                    && self.reach.way(node) == Way::Direct
                    && !self.reach.is_short(node)
                    && !self.reach.is_leaving(node)
                    && !self.reach.is_slow(node, slowness)
                    && (!better || reaches_more(node))
            };
            replica.is_voter() && node.is_some_and(is_good)
        };
        replicas.filter(can).map(|replica| replica.id).collect()
    }
}
