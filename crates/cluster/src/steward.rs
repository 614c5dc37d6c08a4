//! What leaders do so that replicas and leads are where they should be. The leader of the meta group plans, in entries of
//! the catalog; each group's leader makes the group's members what the catalog says, one step at a time.
//!
//! What must always hold: a group's members are changed only by what a catalog says that was new after they were seen,
//! and only if they are still the same. So no leader that was away for a while undoes what another has done since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use catalog::{Command, Placement, Response};
use futures::future::join_all;
use model::{GroupId, NodeId, ReplicaId};
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::courier::Courier;
use crate::group::Group;
use crate::group::members::{Change, Members};
use crate::placement::conform::{Step, next_step};
use crate::placement::plan::{Seen, plan};
use crate::placement::silence::Silence;
use crate::raft::types::Member;

/// Pause between two looks at the groups.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Looks at the groups for each plan.
const LOOKS_PER_PLAN: u32 = 3;
/// How long another may take to take the lead.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(1);

/// What this node does for the groups that it leads.
pub(crate) struct Steward {
    courier: Arc<Courier>,
    leads: Mutex<Leads>,
    silence: Mutex<Silence>,
}

/// What is remembered of leads, so that none goes to and fro.
#[derive(Default)]
struct Leads {
    /// When one was last given away for the sake of balance.
    gave: Option<Instant>,
    /// Since when this node is known to lead, and in which term.
    since: BTreeMap<GroupId, (u64, Instant)>,
}

impl Leads {
    /// Whether this node may give a lead away, which it then does: it has had it for a while, and given no other away.
    fn may_give(&mut self, group: GroupId, term: u64, rest: Duration) -> bool {
        let now = Instant::now();
        let since = self.since.entry(group).or_insert((term, now));
        if since.0 != term {
            *since = (term, now);
        }
        let may =
            now.duration_since(since.1) >= rest && self.gave.is_none_or(|at| now.duration_since(at) >= rest);
        if may {
            self.gave = Some(now);
        }
        may
    }
}

impl Steward {
    pub(crate) fn new(courier: Arc<Courier>) -> Self {
        Self { courier, leads: Mutex::default(), silence: Mutex::default() }
    }

    /// Looks after the groups for ever.
    pub(crate) async fn run(self) {
        let mut pace = interval(LOOK_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = 0_u32;
        loop {
            pace.tick().await;
            let groups = self.courier.replicas.all();
            join_all(groups.iter().map(|group| self.conform(group))).await;
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS_PER_PLAN) {
                self.plan().await;
            }
        }
    }

    fn placement(&self, group: GroupId) -> Option<Placement> {
        self.courier.catalog.read().placement(group).cloned()
    }

    /// Takes the next step of a group, where this node leads it.
    async fn conform(&self, group: &Group) {
        let Some(members) = group.members() else { return };
        let step = |placement: Placement| next_step(&placement, &members);
        let Some(early) = self.placement(group.id()).and_then(step) else { return };
        if let Step::Prefer(to) = early {
            self.give_lead(group, to).await;
            return;
        }
        if !self.is_catalog_new().await {
            return;
        }
        let Some(step) = self.placement(group.id()).and_then(step) else { return };
        let id = group.id();
        let change = match step {
            Step::Add(replica) => match self.member(id, replica) {
                Some(member) => Change::Add(replica, member),
                None => return,
            },
            Step::Voters(voters) => Change::Voters(voters),
            Step::Remove(gone) => Change::Remove(gone),
            Step::HandOver(to) => return hand_over(group, to).await,
            Step::Prefer(to) => return self.give_lead(group, to).await,
            Step::Votes(gain, lose) => {
                let lose = lose.into_iter().collect();
                return self.propose(Command::ChangeVotes { group: id, gain, lose }).await;
            }
            Step::Forget(replica) => {
                return self.propose(Command::RemoveReplica { group: id, replica }).await;
            }
        };
        tracing::info!(group = %id, ?change, "changing the members");
        if let Err(reason) = group.change_members(&members, change).await {
            tracing::info!(group = %id, reason, "the members were not changed; trying again");
        }
    }

    /// Makes the catalog here have everything that was decided before the call.
    async fn is_catalog_new(&self) -> bool {
        let Some(meta) = self.courier.replicas.get(GroupId::Meta) else { return false };
        let barrier = self.courier.barrier(vec![meta]).await;
        barrier.inspect_err(|error| tracing::debug!(%error, "the catalog may be behind")).is_ok()
    }

    fn member(&self, group: GroupId, replica: ReplicaId) -> Option<Member> {
        let state = self.courier.catalog.read();
        let node = state.node(state.placement(group)?.replica(replica)?.node)?;
        Some(Member { node: node.info.uuid, address: node.info.address.clone() })
    }

    /// Gives a lead to the voter that should have it, unless this node has given one away just now, or got this one.
    async fn give_lead(&self, group: &Group, to: ReplicaId) {
        let rest = Duration::from_millis(self.courier.limits.leader_move_ms_min);
        if !self.leads.lock().may_give(group.id(), group.status().term, rest) {
            return;
        }
        hand_over(group, to).await;
    }

    /// Plans what should move, where this node leads the meta group.
    async fn plan(&self) {
        let Some(meta) = self.courier.replicas.get(GroupId::Meta) else { return };
        let Some(members) = meta.members() else { return };
        let silent = self.silent(&members);
        let planned = |members: &Members| {
            let seen = Seen { meta: members, silent: &silent };
            plan(&self.courier.catalog.read(), &seen, self.courier.limits.moves_per_node_max)
        };
        // Most of the time there is nothing to plan, whatever the catalog says elsewhere.
        if planned(&members).is_empty() || !self.is_catalog_new().await {
            return;
        }
        let Some(members) = meta.members() else { return };
        for command in planned(&members) {
            self.propose(command).await;
        }
    }

    /// The nodes that have been silent for too long, as their members of the meta group show: every node has one.
    fn silent(&self, meta: &Members) -> BTreeSet<NodeId> {
        let state = self.courier.catalog.read();
        let placed = state.placement(GroupId::Meta).into_iter().flat_map(|placement| &placement.replicas);
        let silent = placed.filter(|replica| meta.silent.contains(&replica.id)).map(|replica| replica.node);
        let mut silence = self.silence.lock();
        silence.look(self.courier.clock.monotonic(), silent);
        match self.courier.limits.replace_silent_ms {
            0 => BTreeSet::new(),
            long => silence.of_at_least(Duration::from_millis(long)),
        }
    }

    /// Proposes a step. Whatever becomes of it, the next look sees.
    async fn propose(&self, command: Command) {
        if let Err(error) = host::failpoint("step-of-a-plan") {
            tracing::info!(?command, %error, "a step has to wait");
            return;
        }
        let encoded = proto::encode_catalog(command.encode(), self.courier.clock.now());
        match self.courier.propose_catalog(encoded, command.clone()).await {
            Ok(Response::Refused(refusal)) => tracing::debug!(?command, %refusal, "a step was overtaken"),
            Ok(Response::Done | Response::Fields(_)) => tracing::info!(?command, "a step of a plan"),
            Err(error) => tracing::info!(?command, %error, "a step has to wait"),
        }
    }
}

/// Gives a lead away. What comes of it the next look sees.
async fn hand_over(group: &Group, to: ReplicaId) {
    match group.hand_over_to(to, HAND_OVER_WITHIN).await {
        Ok(()) => tracing::info!(group = %group.id(), %to, "the lead went where it should be"),
        Err(reason) => tracing::info!(group = %group.id(), %to, %reason, "the lead has to wait"),
    }
}
