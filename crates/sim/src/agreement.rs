//! Whether all members of each group hold the same in the end: the replicas of a partition the same points, at the same
//! entry, and all nodes and gateways the same catalog.
//!
//! What must hold: nothing is taken for equal that was not compared at one and the same entry of the log, and there are as
//! many points as clients see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, Compared, Outcome};
use model::{Digest, GroupId, LogPosition, PartitionId, ReplicaId};

use crate::parts::now;
use crate::workload::{Desk, rest};

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// How long replicas may take to say what they hold, before they are asked again.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

impl Desk {
    /// Returns when all have applied the same, after it was found to be the same; `values` is how many there must be.
    pub(crate) async fn agree(&self, partitions: u16, values: u64) {
        let mut found = 0;
        for partition in (0..partitions).map(PartitionId) {
            let digest = loop {
                if let Some(digest) = self.compare(partition).await {
                    break digest;
                }
                rest(PAUSE).await;
            };
            found += digest.values;
        }
        if found != values {
            self.journal.lock().is_wrong(format!("replicas hold {found} values, and clients see {values}"));
        }
        self.until(|| self.have_applied_the_same()).await;
    }

    /// Waits until something is so, and notes why it is not yet.
    pub(crate) async fn until(&self, mut is_so: impl FnMut() -> Result<(), String>) {
        let mut told = String::new();
        while let Err(why) = is_so() {
            if told != why {
                self.journal.lock().note(&format!("not yet: {why}"));
                told = why;
            }
            rest(PAUSE).await;
        }
    }

    /// All that are there, by name.
    pub(crate) fn clusters(&self) -> Vec<(&str, Arc<Cluster>)> {
        self.there().filter_map(|place| Some((place.name(), place.cluster()?))).collect()
    }

    /// What all replicas of a partition hold at an entry that is made for it; `None` where some have not said so.
    async fn compare(&self, partition: PartitionId) -> Option<Digest> {
        let place =
            self.there().find(|place| place.cluster().is_some_and(|cluster| cluster.leads(partition)));
        let ordered = place?.compare(partition).await?;
        let index =
            ordered.inspect_err(|why| self.journal.lock().note(&format!("not compared: {why}"))).ok()?;
        let until = now() + TOLD_WITHIN;
        let told = loop {
            if let Some(told) = self.told(partition, index) {
                break told;
            }
            if now() > until {
                return None;
            }
            rest(PAUSE).await;
        };
        let mut journal = self.journal.lock();
        journal.note(&format!("{partition} at {index}: {told:?}"));
        let first = told.values().next().cloned()?;
        if told.values().any(|outcome| outcome.is_err() || *outcome != first) {
            journal.is_wrong(format!("replicas of {partition} differ at {index}: {told:?}"));
        }
        first.ok()
    }

    /// What each replica of a partition held at an entry, when all have said so.
    fn told(
        &self,
        partition: PartitionId,
        index: u64,
    ) -> Option<BTreeMap<ReplicaId, Result<Digest, String>>> {
        let group = GroupId::Data(partition);
        let clusters = self.clusters();
        let mut compared: BTreeMap<ReplicaId, Compared> = BTreeMap::new();
        for status in clusters.iter().flat_map(|(_, cluster)| cluster.status()) {
            if status.group == group {
                compared.extend(status.compared.map(|compared| (status.replica, compared)));
            }
        }
        let state = clusters.first()?.1.catalog().read();
        let placed = state.placement(group)?.replicas.iter().map(|replica| {
            let said = compared.get(&replica.id).filter(|compared| compared.index == index)?;
            match said.outcome.clone() {
                Outcome::Computing => None,
                Outcome::Held(digest) => Some((replica.id, Ok(digest))),
                Outcome::Failed(reason) => Some((replica.id, Err(reason))),
            }
        });
        placed.collect()
    }

    /// Whether all members of each group have applied the same entries, and have the same catalog for it.
    fn have_applied_the_same(&self) -> Result<(), String> {
        let clusters = self.clusters();
        let applied: BTreeMap<(GroupId, ReplicaId), LogPosition> = clusters
            .iter()
            .flat_map(|(_, cluster)| cluster.applied())
            .map(|(group, replica, position)| ((group, replica), position))
            .collect();
        let Some((one, first)) = clusters.first() else { return Err("nobody is there".to_owned()) };
        let state = first.catalog().read();
        for placement in state.placements() {
            let at = |replica: ReplicaId| applied.get(&(placement.group, replica));
            let mut replicas = placement.replicas.iter().map(|replica| (replica.id, at(replica.id)));
            let newest = applied.iter().filter(|((group, _), _)| *group == placement.group);
            let newest = newest.map(|(_, position)| position).max_by_key(|position| position.index);
            if let Some((replica, at)) = replicas.find(|(_, at)| at.is_none() || *at != newest) {
                let group = placement.group;
                return Err(format!(
                    "replica {replica} of group {group} is at {at:?}, another at {newest:?}"
                ));
            }
        }
        for (other, cluster) in &clusters[1..] {
            let (here, there) = (first.catalog().applied().0, cluster.catalog().applied().0);
            if here != there {
                return Err(format!("the catalog of {one} is at {here:?}, that of {other} at {there:?}"));
            }
            if *state != *cluster.catalog().read() {
                let wrong = format!("the catalogs of {one} and {other} differ at {here:?}");
                self.journal.lock().is_wrong(wrong);
            }
        }
        Ok(())
    }
}
