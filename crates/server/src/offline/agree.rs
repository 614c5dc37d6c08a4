//! Compares the parts of a data directory with one another: what each says is sound by itself, and may still not belong
//! together, as after a backup was put back in part.
//!
//! ```text
//!  log of a group    purged | first ........................ last        vote
//!  files of its replica  ...... durable                                          purged <= durable <= last
//!  catalog           partitions, buckets, types of fields                        those of the files
//!  node.json         cluster, node                                               those of the catalog
//! ```
//! Only what must hold is compared, whatever a crash left: a bucket that the catalog has not is one whose data are dropped
//! by the next node, and types are compared where no delete that is under way may have set them free. A node of several
//! may have applied what its own log has not yet, and its copy of the catalog may be behind its data: others have them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use catalog::{Catalog, State};
use cluster::{GroupLook, Identity};
use model::{GroupId, LogPosition, PartitionId};
use storage::Contents;

use crate::replica::{Content, content_of};

/// A replica's directory, and what it says; `None` when its manifest cannot be read.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) dir: PathBuf,
    pub(super) contents: Option<Contents>,
}

/// What is sound by itself.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) data_dir: &'a Path,
    pub(super) identity: Option<Identity>,
    /// The clusters before and after a recovery that was carried out here.
    pub(super) recovered: Option<(u128, u128)>,
    pub(super) log: Option<BTreeMap<GroupId, GroupLook>>,
    pub(super) catalog: Option<&'a Catalog>,
    pub(super) replicas: &'a [Replica],
}

type Found<'a> = dyn FnMut(&str) + 'a;

impl Parts<'_> {
    /// Hands over what does not agree. Returns the number of things that wait for the next node to be removed.
    pub(super) fn compare(&self, found: &mut Found<'_>) -> u64 {
        self.identity(found);
        if let (Some(log), Some(catalog)) = (&self.log, self.catalog) {
            let dir = self.data_dir.join("catalog");
            follows(&dir, log.get(&GroupId::Meta), catalog.applied().0, self.is_alone(), found);
        }
        let mut leftovers = 0;
        let mut partitions = BTreeSet::new();
        for replica in self.replicas {
            let Some(partition) = self.partition_of(&replica.dir) else {
                found(&format!("{}: it is no directory of a replica", replica.dir.display()));
                continue;
            };
            partitions.insert(partition);
            let Some(contents) = &replica.contents else { continue };
            if let Some(log) = &self.log {
                let group = log.get(&GroupId::Data(partition));
                follows(&replica.dir, group, contents.durable, self.is_alone(), found);
            }
            leftovers += self.buckets(partition, contents, found);
        }
        self.partitions(&partitions, found);
        leftovers
    }

    fn identity(&self, found: &mut Found<'_>) {
        let (Some(identity), Some(catalog)) = (&self.identity, self.catalog) else { return };
        let state = catalog.read();
        let Some(cluster) = state.cluster() else { return };
        // After a recovery the log has what makes the catalog say so, when the node runs.
        let is_to_say_so = |to| self.recovered == Some((cluster.id, to));
        let is_same = |to| to == cluster.id || is_to_say_so(to);
        let Some(place) = identity.belongs.filter(|place| is_same(place.cluster_id)) else {
            found(&format!("{}: node.json and the catalog are of two clusters", self.data_dir.display()));
            return;
        };
        // A copy of the catalog that is behind may not know a node that has joined since.
        let node = state.node_by_uuid(identity.node_uuid);
        let is_to_come = node.is_none() && place.node_id.get() >= cluster.next_node;
        if !is_to_come && node.is_none_or(|node| node.id != place.node_id) {
            found(&format!("{}: the catalog does not know the node of node.json", self.data_dir.display()));
        }
    }

    /// Whether the cluster has never had another node, as far as the catalog here knows.
    fn is_alone(&self) -> bool {
        self.catalog.is_some_and(|catalog| is_alone(&catalog.read()))
    }

    /// The partition of a replica's directory, `<partition>/<replica>`, when the replica may be this node's.
    fn partition_of(&self, dir: &Path) -> Option<PartitionId> {
        let name = |path: Option<&Path>| Some(path?.file_name()?.to_str()?.to_owned());
        let parent = name(dir.parent())?;
        let partition = PartitionId(parent.parse().ok()?);
        let (replica, Content::Engine(_)) = content_of(&name(Some(dir))?)? else { return None };
        let group = GroupId::Data(partition);
        let place = self.identity.and_then(|identity| identity.belongs);
        let is_known = self.catalog.is_some_and(|catalog| catalog.read().placement(group).is_some());
        let is_placed = |catalog: &Catalog, node| catalog.read().replica_on(group, node) == Some(replica);
        let is_foreign = is_known
            && self.catalog.zip(place).is_some_and(|(catalog, place)| !is_placed(catalog, place.node_id));
        (partition.to_string() == parent && !is_foreign).then_some(partition)
    }

    /// Each partition that the catalog places here has a directory, and the other way round.
    fn partitions(&self, there: &BTreeSet<PartitionId>, found: &mut Found<'_>) {
        let Some((identity, catalog)) = self.identity.zip(self.catalog) else { return };
        let Some(place) = identity.belongs.filter(|_| identity.is_member()) else { return };
        let state = catalog.read();
        let Some(count) = state.partitions() else { return };
        let dir = self.data_dir.join("partitions");
        for placement in state.placements() {
            let GroupId::Data(partition) = placement.group else { continue };
            // A node alone becomes a member when it has made all of them; one of several makes them afterwards.
            let log = self.log.as_ref().and_then(|log| log.get(&placement.group));
            let Some(here) = placement.on(place.node_id) else { continue };
            // Or it has been removed since, and the copy of the catalog is behind.
            let has_log = log.is_some_and(|log| log.replica() == Some(here.id));
            if !there.contains(&partition) && (is_alone(&state) || has_log) {
                found(&format!("{}: partition {partition} is missing", dir.display()));
            }
        }
        for partition in there.iter().filter(|partition| partition.0 >= count) {
            found(&format!("{}: the catalog has no partition {partition}", dir.display()));
        }
    }

    /// Buckets and the types of fields. Returns the number of buckets that are only left to be dropped.
    fn buckets(&self, partition: PartitionId, contents: &Contents, found: &mut Found<'_>) -> u64 {
        let Some(catalog) = self.catalog.filter(|catalog| self.is_up_to_date(catalog)) else { return 0 };
        let state = catalog.read();
        let group = self.log.as_ref().and_then(|log| log.get(&GroupId::Data(partition)));
        let durable = contents.durable.map(|durable| durable.index);
        for ((bucket, measurement, field), (held, path)) in &contents.fields {
            let is_settled = group.is_some_and(|group| !group.removes_after(durable, *bucket));
            if !is_settled || state.bucket(*bucket).is_none() {
                continue;
            }
            let known = state.field_type(*bucket, measurement, field);
            if known != Some(*held) && (known.is_some() || is_alone(&state)) {
                let known =
                    known.map_or_else(|| "does not have it".to_owned(), |known| format!("says {known}"));
                found(&format!(
                    "{}: field {field:?} of {measurement:?} is {held}, and the catalog {known}",
                    path.display()
                ));
            }
        }
        if !is_alone(&state) {
            return 0;
        }
        contents.buckets.iter().filter(|bucket| state.bucket(**bucket).is_none()).count() as u64
    }

    /// Whether the catalog has applied everything that the log has of its group.
    fn is_up_to_date(&self, catalog: &Catalog) -> bool {
        let last = self.log.as_ref().and_then(|log| log.get(&GroupId::Meta)?.last());
        last.is_some_and(|last| catalog.applied().0 == Some(last))
    }
}

fn is_alone(state: &State) -> bool {
    state.nodes().nth(1).is_none()
}

/// Whether what was applied up to a position and what the log has of the group are one history.
fn follows(
    dir: &Path,
    group: Option<&GroupLook>,
    applied: Option<LogPosition>,
    is_alone: bool,
    found: &mut Found<'_>,
) {
    let purged = group.and_then(GroupLook::purged);
    let last = group.and_then(GroupLook::last);
    let term = group.and_then(GroupLook::term);
    let index = |position: Option<LogPosition>| position.map(|position| position.index);
    let told = |position: Option<LogPosition>| {
        position.map_or_else(|| "nothing".to_owned(), |position| format!("entry {}", position.index))
    };
    let mut wrong = |what: String| found(&format!("{}: {what}", dir.display()));
    if index(applied) < index(purged) {
        wrong(format!(
            "it reaches to {}, and the log begins after {}: entries between are missing",
            told(applied),
            told(purged)
        ));
    } else if is_alone && index(applied) > index(last) {
        wrong(format!("it reaches to {}, and the log to {}", told(applied), told(last)));
    } else if let Some(applied) = applied {
        if group.and_then(|group| group.position(applied.index)).is_some_and(|at| at != applied) {
            wrong(format!("entry {} is another in the log", applied.index));
        }
        if term.is_none_or(|term| term < applied.term) {
            wrong(format!(
                "it has an entry of term {}, and no vote of the log is of that term",
                applied.term
            ));
        }
    }
}
