//! What must be applied here before a read may use it: everything acknowledged before the question, as the leaders say;
//! or what a replica is known to have had not long ago; and in any case what the reader has written itself.
//!
//! What must always hold: how old a replica may be is counted from the moment before a leader was asked up to where its
//! log goes, on this node's own monotonic clock. Nothing that was only received counts, because it may have lain in a
//! buffer while this process stood still.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join, join_all};
use model::{Consistency, GroupId, Reading, ReplicaId};
use tokio::time::timeout;

use crate::courier::{Courier, Patience, Place};
use crate::error::ProposeError;
use crate::group::Group;
use crate::peer::calls;
use crate::peer::links::Link;
use crate::peer::reach::Way;
use crate::raft::types::Member;

/// What reads by age count on is asked for again in the background when it is older than this.
const REFRESH_AFTER: Duration = Duration::from_secs(1);

/// How a leader makes sure that it still leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// By its lease.
    Lease,
    /// By a round of messages to a quorum.
    Quorum,
}

/// A group with a member here, and its leader.
type Asked = (Arc<Group>, ReplicaId);
type Answers = Vec<(Arc<Group>, Result<(), ProposeError>)>;

impl Courier {
    /// Makes groups that have a member here as new as a read wants them, and answers those that are. The others are
    /// behind: whoever leads them has been reached, and has what this node does not have yet.
    pub(crate) async fn ready(
        &self,
        groups: Vec<Arc<Group>>,
        reading: &Reading,
    ) -> Result<Vec<Arc<Group>>, ProposeError> {
        // What is damaged here is whole elsewhere.
        let groups: Vec<_> = groups.into_iter().filter(|group| !group.is_damaged()).collect();
        let asked: Vec<_> =
            groups.iter().filter(|group| !self.is_new_enough(group, reading)).cloned().collect();
        let proof = match reading.consistency {
            Consistency::Linearizable => Proof::Quorum,
            Consistency::Leader | Consistency::Bounded(_) | Consistency::Any => Proof::Lease,
        };
        let mut behind = self.ask(asked, proof, false).await?;
        let is_ready = |group: &Arc<Group>| behind.iter().all(|late| late.id() != group.id());
        let own = groups.iter().filter(|group| is_ready(group)).filter_map(|group| {
            let index = reading.seen.get(group.id())?;
            (group.status().applied < Some(index)).then_some(async move {
                let waited = group.wait_applied(index, self.behind_after()).await;
                (Arc::clone(group), waited)
            })
        });
        for (group, waited) in join_all(own).await {
            match waited {
                Ok(()) => {}
                Err(ProposeError::Behind { .. }) => behind.push(group),
                Err(error) => return Err(error),
            }
        }
        Ok(groups.into_iter().filter(|group| behind.iter().all(|late| late.id() != group.id())).collect())
    }

    /// As [`Courier::ready`], for a group that nobody else can be asked instead of.
    pub(crate) async fn ready_here(&self, group: Arc<Group>, reading: &Reading) -> Result<(), ProposeError> {
        let id = group.id();
        let mut patience = self.patience();
        loop {
            if !self.ready(vec![Arc::clone(&group)], reading).await?.is_empty() {
                return Ok(());
            }
            if !patience.again().await {
                return Err(ProposeError::Behind { group: id });
            }
        }
    }

    /// Whether a read may use a member without asking anybody.
    fn is_new_enough(&self, group: &Group, reading: &Reading) -> bool {
        match reading.consistency {
            Consistency::Leader | Consistency::Linearizable => group.has_all_applied(),
            // A member that has nothing yet is being made.
            Consistency::Any => group.status().applied.is_some_and(|index| index > 0),
            Consistency::Bounded(at_most) => {
                if group.has_all_applied() {
                    return true;
                }
                let age = group.age(self.clock.monotonic());
                if age.is_none_or(|age| age > REFRESH_AFTER) {
                    self.refresh.notify_one();
                }
                age.is_some_and(|age| age <= at_most)
            }
        }
    }

    /// Keeps what is here new as long as somebody counts on it, for ever.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        loop {
            self.refresh.notified().await;
            if let Err(error) = self.ask(self.replicas.all(), Proof::Lease, false).await {
                tracing::debug!(%error, "what is here may be old");
            }
        }
    }

    /// Returns when everything acknowledged before the call is applied in these groups here, all of which have a member
    /// here.
    pub(crate) async fn barrier(&self, groups: Vec<Arc<Group>>) -> Result<(), ProposeError> {
        if groups.iter().all(|group| group.has_all_applied()) {
            return Ok(());
        }
        self.ask(groups, Proof::Lease, true).await.map(drop)
    }

    /// Whether a group's member here gets what its leader sends, as far as is known.
    fn is_fed(&self, group: &Group) -> bool {
        let hears = |member: &Member| self.reach.way(member.node) == Way::Direct;
        group.takes_entries()
            && !self.is_stuck()
            && (group.leads() || group.leader().is_none_or(|(_, leader)| hears(&leader)))
    }

    /// How long a member may take to apply what its leader says before it is behind.
    fn behind_after(&self) -> Duration {
        Duration::from_millis(self.limits.admission_ms_max)
    }

    /// Asks the leaders of groups up to where their logs must be applied, and waits for that. Answers the groups that
    /// are behind; when it waits for those too, there are none.
    async fn ask(
        &self,
        groups: Vec<Arc<Group>>,
        proof: Proof,
        waits_for_all: bool,
    ) -> Result<Vec<Arc<Group>>, ProposeError> {
        let mut patience = self.patience();
        let began = self.clock.monotonic();
        let mut waiting = groups;
        let mut behind = Vec::new();
        while !waiting.is_empty() {
            if let Some(group) = waiting.iter().find(|group| !self.reaches_quorum(group.id())) {
                return Err(Self::cut_off(group.id()));
            }
            let mut failed = None;
            // Whoever leads a partition elsewhere has what is late here; the catalog is read nowhere else.
            let is_late = self.is_late();
            let may_wait = |group: &Group| waits_for_all || !is_late || group.id() == GroupId::Meta;
            let (fed, mut again): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|group| may_wait(group) && self.is_fed(group));
            if !waits_for_all {
                behind.append(&mut again);
            } else if let Some(group) = again.first().map(|group| group.id()) {
                let late = self.clock.monotonic().saturating_sub(began) > self.behind_after();
                let error = ProposeError::Behind { group };
                failed = Some(if late { return Err(error) } else { error });
            }
            let asked_at = self.clock.monotonic();
            for (group, result) in self.ask_once(fed, proof, &patience).await {
                match result {
                    Ok(()) => group.has_all_until(asked_at),
                    Err(ProposeError::NotLeader { leader, .. }) => {
                        self.hint(group.id(), leader);
                        again.push(group);
                    }
                    // That takes many seconds here, and clients can ask another node.
                    Err(error @ ProposeError::Behind { .. }) if is_late && group.id() == GroupId::Meta => {
                        return Err(error);
                    }
                    // Whoever leads has it, and is asked itself.
                    Err(error) if !waits_for_all && !group.leads() => {
                        tracing::debug!(group = %group.id(), %error, "read elsewhere");
                        behind.push(group);
                    }
                    Err(error) => {
                        failed = Some(error);
                        again.push(group);
                    }
                }
            }
            if let Some(group) = again.first().map(|group| group.id())
                && !patience.again().await
            {
                let reason = "no leader was found in time".to_owned();
                return Err(failed.unwrap_or(ProposeError::Unavailable { group, reason }));
            }
            waiting = again;
        }
        Ok(behind)
    }

    async fn ask_once(&self, groups: Vec<Arc<Group>>, proof: Proof, patience: &Patience) -> Answers {
        let mut here = Vec::new();
        let mut there: BTreeMap<u128, (Arc<Link>, Vec<Asked>)> = BTreeMap::new();
        let mut results = Vec::with_capacity(groups.len());
        for group in groups {
            match self.place(group.id(), patience.tries()) {
                Place::Here(_) => here.push(group),
                Place::There(remote) => {
                    let (_, asked) =
                        there.entry(remote.node).or_insert_with(|| (self.link(&remote), Vec::new()));
                    asked.push((group, remote.replica));
                }
                Place::Unknown => {
                    let unknown = ProposeError::NotLeader { group: group.id(), leader: None };
                    results.push((group, Err(unknown)));
                }
            }
        }
        let here = join_all(here.into_iter().map(|group| async move {
            // A member whose log takes long does not even answer.
            let result = timeout(self.behind_after() * 2, group.read_barrier(proof)).await;
            let late = |_elapsed| Err(ProposeError::Behind { group: group.id() });
            let result = result.unwrap_or_else(late);
            (group, result)
        }));
        let there = join_all(there.into_iter().map(|(node, (link, asked))| async move {
            let groups: Vec<(GroupId, ReplicaId)> =
                asked.iter().map(|(group, replica)| (group.id(), *replica)).collect();
            let within = patience.left().min(self.behind_after());
            let reads = calls::read_index(&link, self.route(node, None), &groups, proof, within).await;
            join_all(asked.into_iter().zip(reads).map(|((group, _), read)| async move {
                let result = match read {
                    Ok(index) => group.wait_applied(index, within).await,
                    Err(error) => Err(error),
                };
                (group, result)
            }))
            .await
        }));
        let (here, there) = join(here, there).await;
        results.extend(here);
        results.extend(there.into_iter().flatten());
        results
    }
}
