//! Figures of this node's part in the cluster, for monitors: what has happened since it started, and how its groups are now.
//! They are sums over groups, and extremes of them: details of single groups are asked for elsewhere.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use catalog::NodeState;
use hashbrown::{HashMap, HashSet};
use metrics::{Counter, Distribution};
use model::{GroupId, ReplicaId};
use openraft::async_runtime::WatchReceiver as _;

use crate::cluster::{Cluster, Move};
use crate::courier::Courier;
use crate::group::{Group, GroupStatus};
use crate::peer::reach::Way;

/// What has happened since the process started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Times that a group here was seen to have another leader.
    pub leader_changes: Counter,
    /// Times that a group here was seen in a newer term.
    pub elections: Counter,
    /// Proposals of operations.
    pub proposals: Counter,
    /// Of them, those that were not, or may not have been, carried out.
    pub proposals_failed: Counter,
    /// How long those took that were, until they were applied.
    pub proposal_durations: Distribution,
    /// Snapshots to other members.
    pub sent: Transfers,
    /// Snapshots from other members.
    pub received: Transfers,
    /// Members that had lost what they had acknowledged.
    pub members_expelled: Counter,
    /// Replicas whose damaged files were replaced by a member's.
    pub heals: Counter,
    /// Nanoseconds for which the group that is furthest behind has been.
    behind_ns: AtomicU64,
    /// The same of the follower that is furthest behind.
    follower_behind_ns: AtomicU64,
}

/// Snapshots in one direction.
#[derive(Debug, Default)]
pub struct Transfers {
    /// Those that came through.
    pub ok: Counter,
    /// Those that did not.
    pub failed: Counter,
    /// Bytes of them.
    pub bytes: Counter,
}

impl Transfers {
    /// Counts one.
    pub(crate) fn note(&self, is_ok: bool) {
        if is_ok { self.ok.inc() } else { self.failed.inc() }
    }
}

/// How groups and nodes are now, as this node sees them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Groups with a member here.
    pub groups: u64,
    /// Of them, those that it leads.
    pub led: u64,
    /// Of them, those of which no leader is known, or one that is not reached.
    pub leaderless: u64,
    /// Of those that it leads, those that have a majority and would not, with one voter less.
    pub at_risk: u64,
    /// Of those that it leads or that have no leader within reach, those of whose voters no majority is reached.
    pub without_quorum: u64,
    /// Sum of commit indexes.
    pub committed: u64,
    /// Sum of applied indexes.
    pub applied: u64,
    /// Entries that are committed and not applied, of the group that has most.
    pub apply_lag: u64,
    /// For how long the group has been behind that has been for longest.
    pub behind: Duration,
    /// Entries that a follower lacks, of all followers of groups that it leads the one that lacks most.
    pub follower_lag: u64,
    /// For how long a follower of a group that it leads has lacked an entry, of all the one that has for longest.
    pub follower_behind: Duration,
    /// Bytes proposed and not applied.
    pub in_flight_bytes: u64,
    /// Nodes of the cluster, by state.
    pub nodes: Vec<(&'static str, u64)>,
    /// Other nodes that are not reached.
    pub unreachable: u64,
    /// Replicas on nodes that are not reached.
    pub replicas_missing: u64,
    /// Replicas on their way to other nodes.
    pub moves: u64,
    /// The largest difference between the clocks of this node and of another.
    pub clock_offset: Duration,
    /// When the certificate of the peer port expires, in seconds since the Unix epoch; `None` without TLS.
    pub certificate_expires: Option<i64>,
}

impl Cluster {
    /// What has happened since the process started.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.courier().myself.counters
    }

    /// How groups and nodes are now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let courier = self.courier();
        let replicas = courier.replicas.all();
        let statuses: Vec<GroupStatus> = replicas.iter().map(|group| group.status()).collect();
        let sum = |of: fn(&GroupStatus) -> u64| statuses.iter().map(of).sum::<u64>();
        let count = |which: &dyn Fn(&&GroupStatus) -> bool| statuses.iter().filter(which).count() as u64;
        let lag = |status: &GroupStatus| match (status.committed, status.applied) {
            (Some(committed), applied) => committed.saturating_sub(applied.unwrap_or(0)),
            (None, _) => 0,
        };
        let others = courier.other_nodes();
        let unreached: HashSet<u128> =
            others.keys().filter(|node| courier.reach.way(**node) == Way::Nowhere).copied().collect();
        let is_led = |group: &Group, status: &GroupStatus| {
            status.leading
                || group.leader().is_some_and(|(_, leader)| courier.reach.way(leader.node) != Way::Nowhere)
        };
        let orphans: Vec<&GroupStatus> = replicas
            .iter()
            .zip(&statuses)
            .filter(|(group, status)| !is_led(group, status))
            .map(|(_, status)| status)
            .collect();
        let owned = || statuses.iter().filter(|status| status.leading).chain(orphans.iter().copied());
        let mut figures = Figures {
            groups: statuses.len() as u64,
            led: count(&|status| status.leading),
            leaderless: orphans.len() as u64,
            at_risk: count(&|status| status.leading && courier.spare_voters(status.group) == Some(0)),
            without_quorum: owned().filter(|status| !courier.reaches_quorum(status.group)).count() as u64,
            committed: sum(|status| status.committed.unwrap_or(0)),
            applied: sum(|status| status.applied.unwrap_or(0)),
            apply_lag: statuses.iter().map(lag).max().unwrap_or(0),
            behind: Duration::from_nanos(courier.myself.counters.behind_ns.load(Ordering::Relaxed)),
            follower_lag: replicas
                .iter()
                .zip(&statuses)
                .map(|(group, status)| {
                    let entries = status.last.map_or(0, |last| last + 1);
                    entries.saturating_sub(group.least_of_followers().unwrap_or(entries))
                })
                .max()
                .unwrap_or(0),
            follower_behind: Duration::from_nanos(
                courier.myself.counters.follower_behind_ns.load(Ordering::Relaxed),
            ),
            in_flight_bytes: sum(|status| status.in_flight_bytes),
            unreachable: unreached.len() as u64,
            clock_offset: courier.reach.clock_offset(),
            certificate_expires: courier.links.certificate_expires(),
            ..Figures::default()
        };
        let state = courier.catalog.read();
        for kind in [NodeState::Active, NodeState::Draining, NodeState::Lost] {
            let nodes = state.nodes().filter(|node| node.state == kind).count() as u64;
            figures.nodes.push((kind.name(), nodes));
        }
        let is_away = |id| state.node(id).is_none_or(|node| unreached.contains(&node.info.uuid));
        let placed = || state.placements().flat_map(|placement| &placement.replicas);
        figures.replicas_missing = placed().filter(|replica| is_away(replica.node)).count() as u64;
        figures.moves = state.placements().flat_map(Move::of).count() as u64;
        figures
    }
}

impl Courier {
    /// How many of a group's voters may still be lost before no majority of them is reached; `None` when none is now. Of
    /// fewer than three it is not asked: they were never to outlive a member.
    fn spare_voters(&self, group: GroupId) -> Option<usize> {
        let (reached, all) = self.voters_reached(group);
        let majority = all / 2 + 1;
        if all < 3 { Some(1) } else { reached.checked_sub(majority) }
    }
}

impl Group {
    /// How many entries the follower has that has fewest, from the beginning; `None` where this member does not lead, or has
    /// none.
    pub(crate) fn least_of_followers(&self) -> Option<u64> {
        let watch = self.raft().metrics();
        let metrics = watch.borrow_watched();
        let followers = metrics.replication.as_ref()?.iter().filter(|(id, _)| **id != metrics.id);
        followers.map(|(_, matched)| matched.as_ref().map_or(0, |id| id.index + 1)).min()
    }
}

/// What was seen of the groups at the last look, to count what changes.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    led: HashMap<GroupId, (u64, Option<ReplicaId>)>,
    behind: Lags,
    followers: Lags,
}

/// Since when groups lack something, and what would do to have had it then.
#[derive(Debug, Default)]
struct Lags(HashMap<GroupId, (Duration, u64)>);

impl Lags {
    /// For how long a group has lacked something, which has so much now, and should have so much.
    fn look(&mut self, group: GroupId, has: u64, should: u64, now: Duration) -> Duration {
        // What it lacked then it has: it is not behind, only busy.
        let lacks = self.0.get(&group).filter(|(_, then)| has < *then).copied();
        match lacks {
            Some((since, _)) => now.saturating_sub(since),
            None if has < should => {
                self.0.insert(group, (now, should));
                Duration::ZERO
            }
            None => {
                self.0.remove(&group);
                Duration::ZERO
            }
        }
    }
}

impl Watched {
    /// Looks at the groups, each with what the follower has that lacks most, where it is led here; at a moment of monotonic
    /// time.
    pub(crate) fn look(&mut self, groups: &[(GroupStatus, Option<u64>)], counters: &Counters, now: Duration) {
        let (mut behind, mut follower) = (Duration::ZERO, Duration::ZERO);
        for (status, least) in groups {
            let before = self.led.entry(status.group).or_insert((status.term, status.leader));
            if status.term > before.0 {
                counters.elections.add(usize::try_from(status.term - before.0).unwrap_or(usize::MAX));
                before.0 = status.term;
            }
            // That none is known is no change: the next that is known may be the same.
            if let Some(leader) = status.leader
                && before.1.replace(leader).is_some_and(|other| other != leader)
            {
                counters.leader_changes.inc();
            }
            let index = |index: Option<u64>| index.map_or(0, |index| index + 1);
            let (applied, committed) = (index(status.applied), index(status.committed));
            behind = behind.max(self.behind.look(status.group, applied, committed, now));
            let last = index(status.last);
            follower = follower.max(self.followers.look(status.group, least.unwrap_or(last), last, now));
        }
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        counters.behind_ns.store(ns(behind), Ordering::Relaxed);
        counters.follower_behind_ns.store(ns(follower), Ordering::Relaxed);
        let here: HashSet<GroupId> = groups.iter().map(|(status, _)| status.group).collect();
        self.led.retain(|group, _| here.contains(group));
        for lags in [&mut self.behind, &mut self.followers] {
            lags.0.retain(|group, _| here.contains(group));
        }
    }
}

#[cfg(test)]
mod tests;
