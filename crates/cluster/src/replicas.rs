//! The groups that this node has a member of.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{GroupId, PartitionId};
use parking_lot::RwLock;

use crate::group::Group;

/// The groups, by id: the meta group first.
#[derive(Default)]
pub(crate) struct Replicas(RwLock<BTreeMap<GroupId, Arc<Group>>>);

impl Replicas {
    /// Takes a group up; from now on it is found, by peers too.
    pub(crate) fn add(&self, group: &Arc<Group>) {
        self.0.write().insert(group.id(), Arc::clone(group));
    }

    /// The group with an id.
    pub(crate) fn get(&self, group: GroupId) -> Option<Arc<Group>> {
        self.0.read().get(&group).cloned()
    }

    /// Gives a member up; from now on it is not found.
    pub(crate) fn remove(&self, group: &Arc<Group>) {
        let mut groups = self.0.write();
        if groups.get(&group.id()).is_some_and(|there| Arc::ptr_eq(there, group)) {
            groups.remove(&group.id());
        }
    }

    /// All groups.
    pub(crate) fn all(&self) -> Vec<Arc<Group>> {
        self.0.read().values().cloned().collect()
    }

    /// The groups of partitions with a vote of this node, so that it has about all of what they have.
    pub(crate) fn data(&self) -> Vec<Arc<Group>> {
        self.0
            .read()
            .range(GroupId::Data(PartitionId(0))..)
            .map(|(_, group)| group)
            .filter(|group| group.is_voter())
            .cloned()
            .collect()
    }
}
