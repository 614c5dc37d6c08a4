//! The members of a group as its leader sees them, and changes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::ReplicaId;
use openraft::ChangeMembers;
use openraft::async_runtime::{Instant as _, WatchReceiver as _};
use openraft::raft::Precondition;
use tokio::time::timeout;

use super::Group;
use crate::raft::machine::with_causes;
use crate::raft::types::{LogId, Member};

/// Entries that a member may lack and still count as one that has all.
const BEHIND_MAX: u64 = 128;
/// Maxima of the election timeout within which a member has answered.
const SILENCES: u32 = 3;
/// How long a change may take before it is looked at again.
const CHANGE_WITHIN: Duration = Duration::from_secs(5);

/// What a group's leader knows of its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Members {
    /// The leader's own.
    pub(crate) leader: ReplicaId,
    /// The voters; while they change, those that are to be.
    pub(crate) voters: BTreeSet<ReplicaId>,
    /// Voters and others.
    pub(crate) all: BTreeSet<ReplicaId>,
    /// Whether the change of voters to those that are to be is half done.
    pub(crate) is_joint: bool,
    /// Whether a quorum knows these members.
    pub(crate) is_committed: bool,
    /// Those that have nearly the whole log and have answered lately.
    pub(crate) fresh: BTreeSet<ReplicaId>,
    /// Those that have not answered lately.
    pub(crate) silent: BTreeSet<ReplicaId>,
    /// Where these members stand in the log.
    written: Option<LogId>,
}

impl Members {
    /// Whether a majority of these voters have nearly the whole log, and answer.
    pub(crate) fn is_quorum_fresh(&self, voters: &BTreeSet<ReplicaId>) -> bool {
        2 * self.fresh.intersection(voters).count() > voters.len()
    }

    #[cfg(test)]
    pub(crate) fn of(leader: u64, voters: &[u64], others: &[u64], fresh: &[u64]) -> Self {
        let set = |ids: &[u64]| ids.iter().copied().map(ReplicaId).collect::<BTreeSet<_>>();
        let (voters, others) = (set(voters), set(others));
        Self {
            leader: ReplicaId(leader),
            all: voters.union(&others).copied().collect(),
            voters,
            is_joint: false,
            is_committed: true,
            fresh: set(fresh),
            silent: BTreeSet::new(),
            written: None,
        }
    }
}

/// A change of the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Another member, without a vote.
    Add(ReplicaId, Member),
    /// These have the votes, and no others; all of them are members already. Who had one stays without.
    Voters(BTreeSet<ReplicaId>),
    /// These members without a vote go.
    Remove(BTreeSet<ReplicaId>),
}

impl Group {
    /// Whether this node's member has a vote, as far as is known here.
    pub(crate) fn is_voter(&self) -> bool {
        self.raft.voter_ids().any(|voter| voter == self.replica.0)
    }

    /// The members, where this node's leads them.
    pub(crate) fn members(&self) -> Option<Members> {
        let watch = self.raft.metrics();
        let metrics = watch.borrow_watched();
        if !metrics.state.is_leader() || metrics.running_state.is_err() {
            return None;
        }
        let membership = metrics.membership_config.membership();
        let last = metrics.last_log_index.map_or(0, |last| last + 1);
        let silence = Duration::from_millis(self.timing.election_ms_max) * SILENCES;
        let all: BTreeSet<ReplicaId> = membership.nodes().map(|(id, _)| ReplicaId(*id)).collect();
        let has = |id: &ReplicaId| {
            let matched = metrics.replication.as_ref().and_then(|members| members.get(&id.0)?.as_ref());
            if *id == self.replica { last } else { matched.map_or(0, |matched| matched.index + 1) }
        };
        let has_answered = |id: &ReplicaId| {
            let answered = metrics.heartbeat.as_ref().and_then(|members| members.get(&id.0)?.as_ref());
            *id == self.replica || answered.is_some_and(|answered| answered.elapsed() <= silence)
        };
        // One that has nothing may need files before anything else.
        let has_some = |id: &ReplicaId| last == 0 || has(id) > 0;
        let is_fresh =
            |id: &&ReplicaId| has_some(id) && last - has(id).min(last) <= BEHIND_MAX && has_answered(id);
        Some(Members {
            leader: self.replica,
            voters: membership
                .get_joint_config()
                .last()
                .into_iter()
                .flatten()
                .copied()
                .map(ReplicaId)
                .collect(),
            is_joint: membership.get_joint_config().len() > 1,
            is_committed: metrics.membership_config == metrics.committed_membership_config,
            fresh: all.iter().filter(is_fresh).copied().collect(),
            silent: all.iter().filter(|id| !has_answered(id)).copied().collect(),
            all,
            written: *metrics.membership_config.log_id(),
        })
    }

    /// Changes the members, if they are still those that were seen. An error may come after the change, or half of it.
    pub(crate) async fn change_members(&self, seen: &Members, change: Change) -> Result<(), String> {
        let ids = |set: BTreeSet<ReplicaId>| set.into_iter().map(|id| id.0).collect::<BTreeSet<u64>>();
        let change: ChangeMembers<u64, Member> = match change {
            Change::Add(replica, member) => ChangeMembers::AddNodes(BTreeMap::from([(replica.0, member)])),
            Change::Voters(voters) => ChangeMembers::ReplaceAllVoters(ids(voters)),
            Change::Remove(members) => ChangeMembers::RemoveNodes(ids(members)),
        };
        let point = |name| host::failpoint(name).map_err(|error| with_causes(&error));
        point(match &change {
            ChangeMembers::AddNodes(_) => "members-add",
            ChangeMembers::RemoveNodes(_) => "members-remove",
            _ => "members-voters",
        })?;
        let unchanged = Precondition::LastMembershipLogId { last_membership_log_id: seen.written };
        let changed = self.raft.change_membership_if(change, true, [unchanged]);
        match timeout(CHANGE_WITHIN, changed).await {
            Ok(changed) => {
                changed.map_err(|error| with_causes(&error))?;
                point("members-changed")
            }
            Err(_elapsed) => Err("no quorum has taken it in time".to_owned()),
        }
    }
}
