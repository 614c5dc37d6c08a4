//! What must hold of the groups at every moment, as their members say: the properties of Raft (Ongaro and Ousterhout, "In
//! Search of an Understandable Consensus Algorithm", 2014, figure 3) that can be seen from outside.

use std::collections::BTreeMap;

use cluster::GroupStatus;
use model::{GroupId, LogPosition, ReplicaId};

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Invariants {
    /// The entry that was applied at each index that was seen.
    applied: BTreeMap<(GroupId, u64), LogPosition>,
    /// What the members of the nodes that run said last.
    last: BTreeMap<(usize, GroupId), GroupStatus>,
}

impl Invariants {
    /// A node has ended: what it says next may be older.
    pub(crate) fn forget(&mut self, node: usize) {
        self.last.retain(|(of, _), _| *of != node);
    }

    /// Looks at what the members of a node say now.
    ///
    /// # Errors
    /// What does not hold.
    pub(crate) fn look(
        &mut self,
        node: usize,
        groups: Vec<GroupStatus>,
        applied: Vec<(GroupId, ReplicaId, LogPosition)>,
    ) -> Result<(), String> {
        for (group, replica, position) in applied {
            let first = *self.applied.entry((group, position.index)).or_insert(position);
            if first != position {
                return Err(format!(
                    "replica {replica} of group {group} has applied {position:?}, another {first:?}"
                ));
            }
        }
        for now in groups {
            let GroupStatus { group, replica, .. } = now;
            if now.applied > now.committed {
                return Err(format!(
                    "replica {replica} of group {group} has applied what is not committed: {now:?}"
                ));
            }
            if now.committed > now.last && now.last.is_some() {
                return Err(format!(
                    "replica {replica} of group {group} lacks what it knows to be committed: {now:?}"
                ));
            }
            if let Some(before) = self.last.get(&(node, group)).filter(|before| before.replica == replica) {
                let is_back = now.term < before.term
                    || now.committed < before.committed
                    || now.applied < before.applied;
                if is_back {
                    return Err(format!(
                        "replica {replica} of group {group} went back: {before:?}, then {now:?}"
                    ));
                }
            }
            self.last.insert((node, group), now);
        }
        Ok(())
    }
}
