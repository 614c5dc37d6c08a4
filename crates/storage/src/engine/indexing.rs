//! Merges of index segments: planned, run and installed like merges of files.
//!
//! A series that no shard holds any more is dropped from its segment only when no file that the manifest names has
//! rows of it: after a crash that file is read again, until the log has dropped it again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::BucketId;
use roaring::RoaringBitmap;

use super::Inner;
use super::compaction::Quarantine;
use super::state::{State, index_dir};
use crate::error::{FlushError, NoRoom, WriteError};
use crate::index::plan::{Size, plan};
use crate::index::{Segment, merge};
use crate::manifest::{AppendError, Edit};

/// Segments that become one, or one that is written anew.
pub(super) struct Task {
    bucket: BucketId,
    inputs: Vec<Arc<Segment>>,
    /// Numbers of lost segments that are not needed afterwards.
    lost: Vec<u64>,
    /// Their series, but those that may be dropped.
    keep: RoaringBitmap,
}

/// Why a merge of segments fails. Its inputs are untouched.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("a segment says what no writer of ours writes")]
    Damaged,
    #[error("the merged segment cannot be written")]
    Write(#[from] FlushError),
    #[error("the manifest has no room")]
    Manifest(#[from] WriteError),
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

impl State {
    /// The series of a bucket that must stay in its segments.
    fn needed_series(&self, id: BucketId) -> Option<RoaringBitmap> {
        let bucket = self.buckets.get(&id)?;
        let mut needed = bucket.index.live().clone();
        self.files_of(id).for_each(|file| needed |= &file.presence);
        if self.lost_of(id).next().is_some() {
            // A lost file may have any; and after a crash one whose shard is dropped only in memory is back.
            bucket.index.segments().iter().for_each(|segment| needed |= segment.series());
        }
        Some(needed)
    }

    /// A segment of a bucket that is in memory only, or as `is_damaged` says; then the lost ones whose place others have
    /// taken. While a file is lost, they stay: nothing else says which ids it may have.
    fn repair(&self, id: BucketId, is_damaged: impl Fn(u64) -> bool) -> Option<Task> {
        let bucket = self.buckets.get(&id)?;
        let is_due = |segment: &&Arc<Segment>| !segment.is_stored || is_damaged(segment.entry.number);
        let due = bucket.index.segments().iter().find(is_due);
        let lost: Vec<u64> = match due {
            None if !bucket.has_lost() => bucket.index.lost().iter().map(|lost| lost.entry.number).collect(),
            _ => Vec::new(),
        };
        let inputs: Vec<_> = due.into_iter().map(Arc::clone).collect();
        let keep = inputs.iter().fold(RoaringBitmap::new(), |all, segment| all | segment.series());
        (!inputs.is_empty() || !lost.is_empty()).then_some(Task { bucket: id, inputs, lost, keep })
    }
}

impl Inner {
    /// The segments to merge next.
    pub(super) fn next_segments(&self) -> Option<Task> {
        let now = self.clock.monotonic();
        if self.compactions.segments.lock().is_some_and(|q| now < q.until) {
            return None;
        }
        let state = self.state.read();
        // A flush may be writing files with series that were dropped meanwhile: they are not known yet.
        if state.is_flushing {
            return None;
        }
        let damaged = self.scrub.damaged_segments();
        let repair = |id: &BucketId| state.repair(*id, |number| damaged.contains(&number));
        if let Some(task) = state.buckets.keys().find_map(repair) {
            return Some(task);
        }
        state.buckets.iter().find_map(|(&id, bucket)| {
            let segments = bucket.index.segments();
            let gone = segments.iter().map(|s| s.series().difference_len(bucket.index.live()));
            let size = |(segment, gone): (&Arc<Segment>, u64)| Size { series: segment.entry.series, gone };
            let sizes: Vec<_> = segments.iter().zip(gone).map(size).collect();
            let range = plan(&sizes)?;
            let needed = state.needed_series(id)?;
            let inputs = segments.get(range)?.to_vec();
            let all = inputs.iter().fold(RoaringBitmap::new(), |all, segment| all | segment.series());
            let keep = &all & needed;
            // Alone and with all its series a segment would stay what it is.
            (inputs.len() > 1 || keep.len() < all.len()).then_some(Task {
                bucket: id,
                inputs,
                lost: Vec::new(),
                keep,
            })
        })
    }

    /// Runs and installs a merge of segments; a failure is reported and remembered here.
    pub(super) fn merge_segments(&self, task: &Task) {
        let done = self.merge_and_install_segments(task);
        let mut quarantine = self.compactions.segments.lock();
        match done {
            Ok(()) => *quarantine = None,
            Err(Failure::NoRoom(why)) => {
                self.put_off(&why);
                *quarantine = Some(Quarantine::put_off(*quarantine, self.clock.monotonic()));
            }
            Err(error) => {
                self.counters.compactions_failed.fetch_add(1, Ordering::Relaxed);
                let now = self.clock.monotonic();
                *quarantine = Some(Quarantine::after(*quarantine, now, &self.options));
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "a merge of index segments failed and waits");
            }
        }
    }

    fn merge_and_install_segments(&self, task: &Task) -> Result<(), Failure> {
        let dir = index_dir(&self.dir, task.bucket);
        let needed = task.inputs.iter().map(|segment| segment.entry.bytes).sum::<u64>();
        // The series of all inputs are in memory at once, and so is the output.
        let buffers = usize::try_from(needed.saturating_mul(2)).unwrap_or(usize::MAX);
        let _room = self.room(&dir, needed, buffers)?;
        let encoded = merge(&task.inputs, &task.keep, task.bucket).ok_or(Failure::Damaged)?;
        let merged = encoded.map(|encoded| self.write_segment(task.bucket, encoded)).transpose()?;
        if let Some(segment) = &merged
            && let Err(source) = self.vfs.sync_dir(&dir)
        {
            self.discard(&segment.path);
            return Err(WriteError::new("sync", &dir)(source).into());
        }
        let merged = merged.map(Arc::new);
        let inputs = || task.inputs.iter().map(|segment| segment.entry.number);
        let edit = Edit {
            added_segments: merged.iter().map(|segment| segment.entry.clone()).collect(),
            removed: inputs().chain(task.lost.iter().copied()).collect(),
            next_number: self.next_file.load(Ordering::Relaxed),
            ..Edit::default()
        };
        let discard = || merged.iter().for_each(|segment| self.discard(&segment.path));
        let mut manifest = self.manifest.lock();
        let has_all = |state: &State| state.index_with(task.bucket, &edit.removed).is_some();
        if !has_all(&self.state.read()) {
            // The bucket was dropped, and the drop is in the manifest already.
            drop(manifest);
            discard();
            return Ok(());
        }
        match manifest.append(&*self.vfs, &edit) {
            Ok(()) => {}
            Err(AppendError::NotDone(error)) => {
                drop(manifest);
                discard();
                return Err(error.into());
            }
            Err(AppendError::Unknown(error)) => {
                self.poison(error.into());
                return Ok(());
            }
        }
        let mut state = self.state.write();
        let state = &mut *state;
        let paths: Vec<_> = match state.index_with_mut(task.bucket, &edit.removed) {
            Some(index) => {
                let paths = index.paths_of(&edit.removed);
                index.replace(&edit.removed, merged.as_ref());
                paths
            }
            // Its drop waits for the manifest, so it is there.
            None => Vec::new(),
        };
        state.dead_paths.extend(paths);
        self.scrub.forget_segments(&edit.removed);
        self.counters.index_merges.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
