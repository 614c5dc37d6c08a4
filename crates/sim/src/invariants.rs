//! What must hold of the groups at every moment, as their members say: the properties of Raft (Ongaro and Ousterhout, "In
//! Search of an Understandable Consensus Algorithm", 2014, figure 3) that can be seen from outside.

use std::collections::BTreeMap;

use cluster::GroupStatus;
use model::{GroupId, LogPosition, ReplicaId};
use proto::log::Vote;

use crate::votes::{Taken, order};

/// What the groups of a node say of themselves at one moment.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) groups: Vec<GroupStatus>,
    /// The last entry that each has applied.
    pub(crate) applied: Vec<(GroupId, ReplicaId, LogPosition)>,
    /// The last entry of each leader in their logs, and before them the last one that was purged.
    pub(crate) logs: Vec<(GroupId, ReplicaId, Vec<LogPosition>)>,
    pub(crate) votes: Vec<(GroupId, ReplicaId, Vote)>,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Invariants {
    /// The entry that was applied at each index that was seen.
    applied: BTreeMap<(GroupId, u64), LogPosition>,
    /// What the members of the nodes that run said last.
    last: BTreeMap<(usize, GroupId), GroupStatus>,
    /// Their logs, as they were last.
    logs: BTreeMap<(usize, GroupId), Vec<LogPosition>>,
    /// The last votes of members, and those that the disks of nodes that have ended hold.
    votes: BTreeMap<(usize, GroupId), Taken>,
}

impl Invariants {
    /// A node has ended, and what it says next may be older; but not its votes, as far as its disk had taken them.
    pub(crate) fn forget(&mut self, node: usize, votes: BTreeMap<GroupId, Taken>) {
        self.last.retain(|(of, _), _| *of != node);
        self.logs.retain(|(of, _), _| *of != node);
        self.votes.retain(|(of, _), _| *of != node);
        self.votes.extend(votes.into_iter().map(|(group, vote)| ((node, group), vote)));
    }

    /// Looks at what the members of a node say now.
    ///
    /// # Errors
    /// What does not hold.
    pub(crate) fn look(&mut self, node: usize, said: Said) -> Result<(), String> {
        for (group, replica, position) in said.applied {
            let first = *self.applied.entry((group, position.index)).or_insert(position);
            if first != position {
                return Err(format!(
                    "replica {replica} of group {group} has applied {position:?}, another {first:?}"
                ));
            }
        }
        for (group, replica, vote) in said.votes {
            self.look_at_vote(node, group, replica, vote)?;
        }
        for now in said.groups {
            self.look_at_group(node, now)?;
        }
        for (group, replica, log) in said.logs {
            self.look_at_log(node, group, replica, log)?;
        }
        Ok(())
    }

    fn look_at_group(&mut self, node: usize, now: GroupStatus) -> Result<(), String> {
        let GroupStatus { group, replica, term, .. } = now;
        let wrong = |what: &str| Err(format!("replica {replica} of group {group} {what}: {now:?}"));
        if now.applied > now.committed {
            return wrong("has applied what is not committed");
        }
        if now.committed > now.last && now.last.is_some() {
            return wrong("lacks what it knows to be committed");
        }
        // Nothing is known before it has said its first word.
        let before = self.last.get(&(node, group)).filter(|before| before.replica == replica && term > 0);
        if let Some(before) = before {
            let is_back =
                term < before.term || now.committed < before.committed || now.applied < before.applied;
            if is_back {
                return wrong(&format!("went back from {before:?}"));
            }
        }
        self.last.insert((node, group), now);
        Ok(())
    }

    /// A vote never goes back, also not when its node is started again.
    fn look_at_vote(
        &mut self,
        node: usize,
        group: GroupId,
        replica: ReplicaId,
        vote: Vote,
    ) -> Result<(), String> {
        // Nothing is known before it has said its first word.
        if vote.term == 0 {
            return Ok(());
        }
        // Who led stands anew after a start, with what was its lead as a vote for itself.
        let weight = |vote: &Vote| {
            let (term, to, is_committed) = order(vote);
            (term, to, is_committed && to != replica.0)
        };
        let taken = Taken { replica, vote: Some(vote) };
        let before = self.votes.insert((node, group), taken).filter(|before| before.replica == replica);
        match before.and_then(|before| before.vote).filter(|before| weight(before) > weight(&vote)) {
            Some(before) => {
                Err(format!("replica {replica} of group {group} has forgotten {before:?}: it has {vote:?}"))
            }
            None => Ok(()),
        }
    }

    /// Two logs that have the same entry at an index are the same up to there; and a leader has all that is committed.
    fn look_at_log(
        &mut self,
        node: usize,
        group: GroupId,
        replica: ReplicaId,
        log: Vec<LogPosition>,
    ) -> Result<(), String> {
        let key = (node, group);
        let newest =
            self.applied.range((group, 0)..=(group, u64::MAX)).next_back().map(|(_, newest)| *newest);
        let status = self.last.get(&key).filter(|status| status.leading && status.replica == replica);
        // One of a term may have led it before another did: what orders leaders is the term, and then their ids.
        if let Some(newest) = newest
            && status.is_some_and(|status| (status.term, replica) >= (newest.term, newest.leader))
            && !has(&log, newest)
        {
            return Err(format!("replica {replica} leads group {group} without {newest:?}: {log:?}"));
        }
        if self.logs.get(&key) == Some(&log) {
            return Ok(());
        }
        for ((other, _), had) in self.logs.iter().filter(|((other, of), _)| *other != node && *of == group) {
            if let Some(index) = differ_before_an_equal(&log, had) {
                return Err(format!(
                    "the logs of group {group} on nodes {node} and {other} differ at {index}, and not later: {log:?}, {had:?}"
                ));
            }
        }
        self.logs.insert(key, log);
        Ok(())
    }
}

/// The term and leader of the entry that a log has at an index, or has purged there last.
fn at(log: &[LogPosition], index: u64) -> Option<(u64, ReplicaId)> {
    log.first().filter(|first| first.index <= index)?;
    let run = log.get(log.partition_point(|end| end.index < index))?;
    Some((run.term, run.leader))
}

/// Whether a log has an entry, or has purged it.
fn has(log: &[LogPosition], entry: LogPosition) -> bool {
    log.first().is_some_and(|first| first.index > entry.index)
        || at(log, entry.index) == Some((entry.term, entry.leader))
}

/// The last index at which two logs differ, if it lies before one at which they do not.
fn differ_before_an_equal(one: &[LogPosition], other: &[LogPosition]) -> Option<u64> {
    let first = one.first()?.index.max(other.first()?.index);
    let last = one.last()?.index.min(other.last()?.index);
    let mut changes: Vec<u64> = one.iter().chain(other).map(|position| position.index).collect();
    changes.push(last);
    changes.retain(|index| (first..=last).contains(index));
    changes.sort_unstable_by(|a, b| b.cmp(a));
    changes.dedup();
    let mut are_equal = false;
    for index in changes {
        let equal = at(one, index) == at(other, index);
        if are_equal && !equal {
            return Some(index);
        }
        are_equal |= equal;
    }
    None
}

#[cfg(test)]
mod tests;
