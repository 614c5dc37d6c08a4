//! What a node does about the groups that it leads and should not: it gives them to voters that can do better.
//!
//! What must always hold: a node that is about to stop, whose disk is nearly full, or slower than others', or whose files are damaged, stands for election only where nobody
//! else gets elected, whose logs may lack what its own has, and keeps a lead only as long as nobody else can take it, whose
//! disk is neither. A lead goes only to who reaches more of the voters than this node, or as many when this one should not
//! lead, so that none goes to and fro.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use model::{GroupId, ReplicaId};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::courier::Courier;
use crate::figures::Watched;
use crate::group::Group;
use crate::peer::reach::Way;

/// Pause between two looks at the groups.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long another may take to take a lead.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(1);
/// How long another must have reached more than this node. Not all notice at once that a node is gone, or back.
const BETTER_FOR: Duration = Duration::from_secs(1);
/// How long a group has had no leader when a node that should not lead stands after all.
const ORPHANED_FOR: Duration = Duration::from_secs(3);
/// Before a lead is offered again that was not taken: until then others elect a leader by themselves.
const OFFER_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Looks after the leads for ever.
pub(crate) async fn look_after(courier: Arc<Courier>) {
    let mut pace = interval(LOOK_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut offered: BTreeMap<GroupId, Instant> = BTreeMap::new();
    let mut better: BTreeMap<GroupId, Instant> = BTreeMap::new();
    let mut orphaned: BTreeMap<GroupId, Instant> = BTreeMap::new();
    let (mut was_short, mut was_slow) = (false, false);
    let mut watched = Watched::default();
    loop {
        pace.tick().await;
        let groups = courier.replicas.all();
        let groups: Vec<_> =
            groups.iter().map(|group| (group.status(), group.least_of_followers())).collect();
        watched.look(&groups, &courier.myself.counters, courier.clock.monotonic());
        let is_short = courier.is_short();
        if std::mem::replace(&mut was_short, is_short) != is_short {
            tracing::warn!(is_short, "whether the disk is nearly full: a node of which it is leads nothing");
        }
        let slowness = courier.slowness();
        if std::mem::replace(&mut was_slow, slowness.is_some()) != slowness.is_some() {
            let ms = slowness.map(|slowness| slowness.as_millis());
            tracing::warn!(
                ms,
                "whether the log's disk is slow: a node of which it is leads nothing that others can"
            );
        }
        offered.retain(|_, at| at.elapsed() < OFFER_AGAIN_AFTER);
        let mut given = Vec::new();
        for group in courier.replicas.all() {
            let id = group.id();
            let is_short = is_short && !group.most_are_short() || courier.is_leaving();
            if group.leader().is_some_and(|(_, leader)| courier.reach.way(leader.node) == Way::Direct) {
                orphaned.remove(&id);
            }
            let since = *orphaned.entry(id).or_insert_with(Instant::now);
            let is_sound = slowness.is_none() && !group.is_damaged();
            let is_best = is_sound || courier.successors(id, false).is_empty();
            group.may_stand(!is_short && is_best || since.elapsed() >= ORPHANED_FOR);
            // One that is about to stop gives its leads away by itself.
            if !group.leads() || offered.contains_key(&id) || courier.is_leaving() {
                better.remove(&id);
                continue;
            }
            // Whom this node does not reach, and another does, learns nothing of the group until that one leads.
            let to = courier.successors(id, !is_short && is_best);
            if to.is_empty() {
                better.remove(&id);
            } else if is_short
                || !is_best
                || better.entry(id).or_insert_with(Instant::now).elapsed() >= BETTER_FOR
            {
                offered.insert(id, Instant::now());
                given.push(give(group, to));
            }
        }
        join_all(given).await;
    }
}

/// Gives a lead away. What came of it the next look sees.
async fn give(group: Arc<Group>, to: Vec<ReplicaId>) {
    if timeout(HAND_OVER_WITHIN, group.hand_over(&to, HAND_OVER_WITHIN)).await.is_err() {
        tracing::info!(group = %group.id(), "nobody has said that it has taken the lead");
    }
}
