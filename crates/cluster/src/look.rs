//! Looks at the log of a node that does not run: which entries each group has. Nothing is changed.

use std::collections::BTreeMap;
use std::path::Path;

use disk::{Vfs, seglog};
use model::{BucketId, GroupId, LogPosition, ReplicaId};
use proto::log;

use crate::cluster::log_dir;
use crate::lane::{RecordBody, Recovered, segment};

/// What a look at a log saw.
#[derive(Debug)]
pub struct LogLook {
    /// How much of it is sound.
    pub recovery: seglog::Recovery,
    /// What each group has, by group; `None` when something was found wrong, so that more would be guesses.
    pub groups: Option<BTreeMap<GroupId, GroupLook>>,
}

/// What a group has of its log.
#[derive(Debug, Default)]
pub struct GroupLook {
    index: crate::lane::GroupIndex,
    /// Index of the last entry that deletes or drops something of a bucket.
    removals: BTreeMap<BucketId, u64>,
}

impl GroupLook {
    /// The least id of a replica that may have this log: those before are gone for good.
    #[must_use]
    pub const fn replica(&self) -> Option<ReplicaId> {
        self.index.replica()
    }

    /// The last of the entries that are not needed any more; the first entry comes after it.
    #[must_use]
    pub const fn purged(&self) -> Option<LogPosition> {
        self.index.purged
    }

    /// The last entry.
    #[must_use]
    pub fn last(&self) -> Option<LogPosition> {
        self.index.last()
    }

    /// The position of an entry that it holds, or of the last that is not needed any more.
    #[must_use]
    pub fn position(&self, index: u64) -> Option<LogPosition> {
        self.index.position(index).or_else(|| self.purged().filter(|purged| purged.index == index))
    }

    /// The term of the newest vote.
    #[must_use]
    pub fn term(&self) -> Option<u64> {
        self.index.vote.map(|vote| vote.term)
    }

    /// Whether an entry after one of this index deletes or drops something of a bucket.
    #[must_use]
    pub fn removes_after(&self, index: Option<u64>, bucket: BucketId) -> bool {
        self.removals.get(&bucket).copied() > index
    }
}

/// Looks at the log of a data directory, when it is kept in segments, and hands over what is wrong.
pub fn look_at_log(
    vfs: &dyn Vfs,
    data_dir: &Path,
    on_problem: &mut dyn FnMut(&(dyn std::error::Error + 'static)),
) -> LogLook {
    let mut recovered = Recovered::new();
    let mut removals: BTreeMap<u32, BTreeMap<BucketId, u64>> = BTreeMap::new();
    let mut is_sound = true;
    let mut wrong: Option<String> = None;
    let mut visit = |location: seglog::Location, bytes: &[u8]| {
        let record = match segment::decode(bytes) {
            Ok(record) => record,
            Err(error) => {
                wrong.get_or_insert_with(|| error.to_string());
                return;
            }
        };
        if let RecordBody::Append { position, entry } = &record.body
            && let Some(bucket) = removed_of(entry)
        {
            removals.entry(record.group).or_default().insert(bucket, position.index);
        }
        if matches!(record.body, RecordBody::Reset(_)) {
            removals.remove(&record.group);
        }
        let replayed = recovered.entry(record.group).or_default().replay(&record.body, location.into());
        if let Err(gap) = replayed {
            wrong.get_or_insert_with(|| format!("group {}: {gap}", record.group));
        }
    };
    let recovery = seglog::verify(vfs, &log_dir(data_dir), &mut visit, &mut |problem| {
        is_sound = false;
        on_problem(&problem);
    });
    let mut groups = BTreeMap::new();
    for (number, mut index) in recovered {
        if let Err(gap) = index.finish() {
            wrong.get_or_insert_with(|| format!("group {number}: {gap}"));
        }
        if let Some(group) = GroupId::from_number(number) {
            let removals = removals.remove(&number).unwrap_or_default();
            groups.insert(group, GroupLook { index, removals });
        }
    }
    if let Some(reason) = wrong.filter(|_| is_sound) {
        is_sound = false;
        on_problem(&Contradiction(reason));
    }
    LogLook { recovery, groups: is_sound.then_some(groups) }
}

/// Records under sound checksums that contradict one another.
#[derive(Debug, thiserror::Error)]
#[error("the records of the log contradict one another: {0}")]
struct Contradiction(String);

/// The bucket of which an entry removes something.
fn removed_of(entry: &bytes::Bytes) -> Option<BucketId> {
    let bucket = match proto::entry::decode(entry.clone()).ok()? {
        log::entry::Body::Delete(delete) => delete.bucket,
        log::entry::Body::DropShards(drop) => drop.bucket,
        log::entry::Body::DropBucket(drop) => drop.bucket,
        _ => return None,
    };
    BucketId::new(bucket)
}
