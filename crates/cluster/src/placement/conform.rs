//! What a group's leader does next so that the group's members are those that the catalog has placed: a pure decision.
//!
//! The catalog says first who is to have a vote; the group follows it. What must always hold: voters change only to a
//! set of which a majority has nearly the whole log and answers; a replica goes only when no quorum counts it any more.

use std::collections::BTreeSet;

use catalog::Placement;
use model::{GroupId, ReplicaId};

use crate::group::members::Members;

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A replica becomes a member without a vote.
    Add(ReplicaId),
    /// The lead goes to this voter, because the leader is to have no vote.
    HandOver(ReplicaId),
    /// These get the votes.
    Voters(BTreeSet<ReplicaId>),
    /// These are members no more.
    Remove(BTreeSet<ReplicaId>),
    /// The catalog may say that these have votes, and the one that is given does not any more.
    Votes(Vec<ReplicaId>, Option<ReplicaId>),
    /// The catalog may forget this replica.
    Forget(ReplicaId),
    /// The lead goes to this voter, because it should have it.
    Prefer(ReplicaId),
}

/// The next step of a group's leader; `None` when all is as it should be, or something is waited for.
pub(crate) fn next_step(placement: &Placement, members: &Members) -> Option<Step> {
    let voters: BTreeSet<ReplicaId> = placement.voters().map(|voter| voter.id).collect();
    if !members.is_committed {
        return None;
    }
    // Nobody is added while a change is half done, which is brought to its end first.
    let missing = placement.replicas.iter().find(|replica| !members.all.contains(&replica.id));
    if let Some(missing) = missing.filter(|_| !members.is_joint) {
        return Some(Step::Add(missing.id));
    }
    if members.is_joint || voters != members.voters {
        // A change that is half done is brought to its end first, and goes on from there.
        let wanted = if members.is_joint { &members.voters } else { &voters };
        if !members.is_quorum_fresh(wanted) {
            return None;
        }
        if !members.is_joint && !wanted.contains(&members.leader) {
            let next = wanted.intersection(&members.voters).find(|voter| members.fresh.contains(voter));
            return next.copied().map(Step::HandOver);
        }
        return Some(Step::Voters(wanted.clone()));
    }
    if let Some(leaving) = placement.leaving().next() {
        return Some(Step::Forget(leaving.id));
    }
    let placed: BTreeSet<ReplicaId> = placement.replicas.iter().map(|replica| replica.id).collect();
    let strangers: BTreeSet<ReplicaId> = members.all.difference(&placed).copied().collect();
    if !strangers.is_empty() {
        return Some(Step::Remove(strangers));
    }
    if let Some((gain, lose)) = votes(placement, members) {
        let mut after = voters;
        after.extend(&gain);
        after.retain(|voter| lose != Some(*voter));
        if members.is_quorum_fresh(&after) {
            return Some(Step::Votes(gain, lose));
        }
    }
    let first = placement.voters().next().map(|first| first.id);
    let is_data = placement.group != GroupId::Meta;
    let first = first.filter(|first| is_data && *first != members.leader && members.fresh.contains(first));
    first.map(Step::Prefer)
}

/// Who has caught up and may get a vote, and who loses it for that. Where there are to be more votes, as many get one as
/// make their number odd.
fn votes(placement: &Placement, members: &Members) -> Option<(Vec<ReplicaId>, Option<ReplicaId>)> {
    if let Some((new, old)) = placement.replacement() {
        return members.fresh.contains(&new.id).then(|| (vec![new.id], Some(old)));
    }
    let ready = placement.additional().map(|replica| replica.id).filter(|id| members.fresh.contains(id));
    let mut ready: Vec<ReplicaId> = ready.collect();
    if (placement.voters().count() + ready.len()).is_multiple_of(2) {
        ready.pop();
    }
    (!ready.is_empty()).then_some((ready, None))
}

#[cfg(test)]
mod tests;
