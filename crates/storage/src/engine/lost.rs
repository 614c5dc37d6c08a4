//! Files that the manifest names and that cannot be served: missing, of another length, or damaged where a file says
//! what it is (trailer, footer, table, set). One bad file must not take the others with it.
//!
//! ```text
//!  order ->   file  file | lost | file  file  file      merges take the files on one side only
//!             `--merge--'          `----merge----'      so of two values for one time the same one wins, when it is back
//! ```
//! What a lost file holds is not known, so whatever depends on it is refused, by name: rows between its first and last
//! time, as the manifest has them, and names in its shard. Everything else is answered. Until it is whole again, every
//! series that it may have keeps its id, and every delete that may hide some of its rows is kept. It is let go with its
//! shard, its bucket, or by a delete of all series at all of its times.

use std::path::PathBuf;
use std::sync::Arc;

use model::{BucketId, TimeRange, Timestamp};

use super::Inner;
use super::compaction::Quarantine;
use super::state::{Bucket, ShardId};
use crate::error::{OpenError, ReadError};
use crate::manifest::{AppendError, Edit, FileEntry};
use crate::tsm::TsmFile;

/// See the module.
#[derive(Debug)]
pub(crate) struct LostFile {
    pub(crate) entry: FileEntry,
    pub(super) path: PathBuf,
    why: Arc<OpenError>,
}

impl LostFile {
    /// Tells it to the log, once.
    pub(super) fn new(entry: &FileEntry, path: PathBuf, why: OpenError) -> Self {
        let this = Self { entry: entry.clone(), path, why: Arc::new(why) };
        tracing::error!(error = %this.error(), "a file is lost until it is put back; queries of it fail, all else is served");
        this
    }

    /// Why what depends on it is refused.
    pub(super) fn error(&self) -> ReadError {
        let (first, last) = self.entry.times;
        ReadError::Lost { why: Arc::clone(&self.why), times: (Timestamp(first), Timestamp(last)) }
    }

    fn overlaps(&self, range: &TimeRange) -> bool {
        let (first, last) = self.entry.times;
        first < range.end.0 && range.start.0 <= last
    }
}

impl Bucket {
    /// Whether all rows in a range are there to be read.
    pub(super) fn check_rows(&self, range: &TimeRange) -> Result<(), ReadError> {
        let lost = self.shards.iter().flat_map(|shard| &shard.lost);
        self.check(lost.filter(|lost| lost.overlaps(range)))
    }

    /// Whether it is known which series have rows in the shards that overlap a range.
    pub(super) fn check_names(&self, range: &TimeRange) -> Result<(), ReadError> {
        let shards = self.shards.iter().filter(|shard| shard.range.overlaps(range));
        self.check(shards.flat_map(|shard| &shard.lost))
    }

    /// Whether nothing is missed of some lost files: deletes hide whatever they may hold.
    fn check<'a>(&self, mut lost: impl Iterator<Item = &'a Arc<LostFile>>) -> Result<(), ReadError> {
        let missed = lost.find(|lost| !self.tombstones.hide_whole(u64::MAX, &lost.entry));
        missed.map_or(Ok(()), |lost| Err(lost.error()))
    }

    /// Whether some file is lost.
    pub(super) fn has_lost(&self) -> bool {
        self.shards.iter().any(|shard| !shard.lost.is_empty())
    }
}

/// A lost file of which a delete has left nothing.
pub(super) struct LetGo {
    bucket: BucketId,
    shard: ShardId,
    lost: Arc<LostFile>,
}

impl Inner {
    /// A lost file that is to be let go.
    pub(super) fn next_let_go(&self) -> Option<LetGo> {
        let now = self.clock.monotonic();
        let quarantine = self.compactions.quarantine.lock();
        let state = self.state.read();
        let durable = state.durable?;
        state.buckets.iter().find_map(|(&id, bucket)| {
            let mut in_shards =
                bucket.shards.iter().flat_map(|s| s.lost.iter().map(move |lost| (s.id, lost)));
            let waits = |shard: ShardId| quarantine.get(&shard).is_some_and(|q| now < q.until);
            let is_hidden = |lost: &LostFile| bucket.tombstones.hide_whole(durable, &lost.entry);
            let (shard, lost) = in_shards.find(|(shard, l)| !waits(*shard) && is_hidden(l))?;
            Some(LetGo { bucket: id, shard, lost: Arc::clone(lost) })
        })
    }

    /// Takes a lost file out of the manifest.
    pub(super) fn let_go(&self, LetGo { bucket, shard, lost }: &LetGo) {
        let mut manifest = self.manifest.lock();
        let removed = vec![lost.entry.number];
        if !manifest.live().files.contains_key(&lost.entry.number) {
            // The shard was dropped, and the drop is in the manifest already.
            return;
        }
        let tombstones_removed = self.settled_without(*bucket, &removed, None);
        let edit = Edit { removed, tombstones_removed, ..Edit::default() };
        match manifest.append(&*self.vfs, &edit) {
            Ok(()) => {}
            Err(AppendError::NotDone(error)) => {
                let mut quarantine = self.compactions.quarantine.lock();
                let wait = Quarantine::put_off(quarantine.get(shard).copied(), self.clock.monotonic());
                tracing::warn!(%error, "a lost file is let go later");
                quarantine.insert(*shard, wait);
                return;
            }
            Err(AppendError::Unknown(error)) => {
                self.poison(error.into());
                return;
            }
        }
        let mut state = self.state.write();
        let is_other = |other: &Arc<LostFile>| other.entry.number != lost.entry.number;
        if let Some(found) = state.shard_mut(*bucket, *shard) {
            found.lost.retain(is_other);
        } else if let Some(dropped) = state.dropped_mut(*shard) {
            dropped.lost.retain(is_other);
        }
        if let Some(found) = state.buckets.get_mut(bucket) {
            found.tombstones.remove(&edit.tombstones_removed);
            found.forget_gone(*shard);
        }
        state.forget_empty(*bucket);
        state.dead_paths.push(lost.path.clone());
    }

    /// Serves a file again that was lost and was read to its end and found to be what was written.
    pub(super) fn restore(&self, lost: &LostFile, file: TsmFile) {
        let now = self.clock.monotonic();
        let mut state = self.state.write();
        let Some(bucket) = state.buckets.get_mut(&lost.entry.bucket) else { return };
        if !file.presence.is_subset(bucket.index.live()) {
            // A segment of the index was lost with it. Only a start can give its series their ids back.
            tracing::info!(path = %lost.path.display(), "a lost file is whole again and is served from the next start on");
            return;
        }
        let number = lost.entry.number;
        let holds = |lost: &Arc<LostFile>| lost.entry.number == number;
        let Some(shard) = bucket.shards.iter_mut().find(|shard| shard.lost.iter().any(holds)) else { return };
        shard.lost.retain(|lost| !holds(lost));
        shard.add_file(Arc::new(file), now);
        let id = shard.id;
        bucket.forget_gone(id);
        tracing::info!(path = %lost.path.display(), "a lost file is whole again and is served");
    }
}
