//! The groups that this node has a member of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{GroupId, PartitionId};
use parking_lot::RwLock;
use tokio::time::{MissedTickBehavior, interval};

use crate::fatal::Fatal;
use crate::group::Group;

/// Pause between two looks at the groups.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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

    /// Looks after the groups for ever: a process with a group that does nothing any more must stop, so that others take
    /// its place.
    pub(crate) async fn look_after(self: Arc<Self>, fatal: Fatal) {
        let mut pace = interval(LOOK_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            for group in self.all().iter().filter(|group| group.has_failed()) {
                fatal.raise(&format!("the task of group {} has ended", group.id()));
            }
        }
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
