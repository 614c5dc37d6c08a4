//! Scheduling of merges: one at a time per engine, the shard with most to gain first, failures in quarantine.
//!
//! ```text
//!  plan (pure, per shard) -> merge (no locks) -> manifest lock: inputs still live? -> record -> install
//! ```
//! A merge leaves out what deletes hide that are durable; where nothing else is left to merge, a file with deleted rows
//! is rewritten alone. A merge that fails leaves its inputs in place; its shard waits, twice as long each time.

use std::cell::LazyCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use model::BucketId;
use parking_lot::Mutex;

use super::room::buffers_of;
use super::state::{Bucket, Shard, ShardId, State, file_path, shard_dir};
use super::{Inner, guarded};
use crate::codec::Effort;
use crate::compact::plan::{Plan, plan};
use crate::compact::run::{Inputs, MergeError, run};
use crate::error::{FatalError, WriteError};
use crate::index::Keys;
use crate::jobs::JobClass;
use crate::manifest::{AppendError, Edit, FileEntry};
use crate::options::Options;
use crate::pace::ASK_AFTER;
use crate::tombstone::Masks;
use crate::tsm::TsmFile;
use crate::tsm::format::Density;

/// When a merge that found no room is tried again.
const ROOM_AGAIN: Duration = Duration::from_secs(2);

/// What the scheduling remembers.
#[derive(Debug, Default)]
pub(super) struct Compactions {
    submitted: AtomicBool,
    /// Whether the last merge that was tried found no room.
    pub(super) is_put_off: AtomicBool,
    /// Held while a merge runs.
    running: Mutex<()>,
    pub(super) quarantine: Mutex<HashMap<ShardId, Quarantine>>,
    /// Of merges of segments.
    pub(super) segments: Mutex<Option<Quarantine>>,
}

/// A wait after failures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quarantine {
    failures: u32,
    pub(super) until: Duration,
}

impl Quarantine {
    /// The wait after one more failure: twice as long as the one before.
    pub(super) fn after(before: Option<Self>, now: Duration, options: &Options) -> Self {
        let failures = before.map_or(0, |q| q.failures) + 1;
        let wait = options.quarantine_ms_min.saturating_mul(1 << (failures - 1).min(30));
        let wait = Duration::from_millis(wait.min(options.quarantine_ms_max));
        Self { failures, until: now.saturating_add(wait) }
    }

    /// The wait for room, which is no failure.
    pub(super) fn put_off(before: Option<Self>, now: Duration) -> Self {
        Self { failures: before.map_or(0, |q| q.failures), until: now.saturating_add(ROOM_AGAIN) }
    }
}

impl Compactions {
    /// Waits for the merge that runs.
    pub(super) fn wait(&self) {
        drop(self.running.lock());
    }
}

struct Task {
    bucket: BucketId,
    shard: ShardId,
    plan: Plan,
    inputs: Vec<Arc<TsmFile>>,
    keys: Keys,
    /// What the merge leaves out.
    masks: Masks,
}

impl Inner {
    /// Queues a merge if some shard wants one and none waits already.
    pub(super) fn consider_compaction(this: &Arc<Self>) {
        if this.is_closing() || this.fatal.get().is_some() {
            return;
        }
        let is_idle = || this.next_segments().is_none() && this.next_let_go().is_none();
        if this.next_task(false).is_none() && is_idle() {
            return;
        }
        if this.compactions.submitted.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::clone(this);
        let job = move || {
            inner.compactions.submitted.store(false, Ordering::Release);
            guarded(&inner, "compaction", || {
                let ran = {
                    let _one_at_a_time = inner.compactions.running.lock();
                    inner.merge_next(false)
                };
                if ran {
                    Self::submit_removal(&inner);
                    Self::consider_compaction(&inner);
                }
            });
        };
        this.jobs.submit(JobClass::Compaction, Box::new(job));
    }

    /// Merges on this thread until no plan is left, as if all shards were cold.
    pub(super) fn compact_all(this: &Arc<Self>) -> Result<(), FatalError> {
        loop {
            this.check()?;
            let _one_at_a_time = this.compactions.running.lock();
            if !this.merge_next(true) {
                break;
            }
        }
        Self::submit_removal(this);
        Ok(())
    }

    /// Does one merge: of segments, which are small, before files. Says whether there was one.
    fn merge_next(&self, all_are_cold: bool) -> bool {
        if let Some(task) = self.next_segments() {
            self.merge_segments(&task);
        } else if let Some(lost) = self.next_let_go() {
            self.let_go(&lost);
        } else if let Some(task) = self.next_task(all_are_cold) {
            self.compact(task);
        } else {
            return false;
        }
        true
    }

    /// How many shards have files that are to be merged, those that rest after a failure too.
    pub(super) fn compactions_pending(&self, state: &State) -> usize {
        let is_pending = |shard: &Shard| {
            shard.runs().any(|run| {
                let entries: Vec<&FileEntry> = run.iter().map(|file| &file.entry).collect();
                plan(&entries, false, &self.options).is_some()
            })
        };
        state.shards().filter(|(_, shard)| is_pending(shard)).count()
    }

    /// The shard to merge next: the one whose merge removes most files.
    fn next_task(&self, all_are_cold: bool) -> Option<Task> {
        let now = self.clock.monotonic();
        let wall = self.clock.now();
        let cold_after = Duration::from_millis(self.options.cold_after_ms);
        let quarantine = self.compactions.quarantine.lock();
        let state = self.state.read();
        let durable = state.durable;
        let purge = Purge {
            durable,
            after: Duration::from_millis(if all_are_cold { 0 } else { self.options.purge_after_ms }),
            tombstones_min: self.options.purge_tombstones_min,
            now,
        };
        let candidates = state.shards().filter_map(|(bucket, shard)| {
            if quarantine.get(&shard.id).is_some_and(|q| now < q.until) {
                return None;
            }
            let is_quiet = now.saturating_sub(shard.touched) >= cold_after && shard.active.is_empty();
            let is_cold = all_are_cold || (is_quiet && shard.range.end <= wall);
            let plans = shard.runs().filter_map(|run| {
                let entries: Vec<&FileEntry> = run.iter().map(|f| &f.entry).collect();
                plan(&entries, is_cold, &self.options)
            });
            let plan = plans.max_by_key(|plan| plan.inputs.len());
            Some((bucket, shard, plan.or_else(|| purge.plan(state.buckets.get(&bucket)?, shard))?))
        });
        let (bucket, shard, plan) = candidates.max_by_key(|(_, _, plan)| plan.inputs.len())?;
        let inputs = files_of(shard, &plan)?;
        let found = state.buckets.get(&bucket)?;
        let keys = found.index.keys();
        let masks = match durable {
            Some(durable) => found.tombstones.masks(shard.range, durable, &found.index),
            None => Masks::default(),
        };
        Some(Task { bucket, shard: shard.id, plan, inputs, keys, masks })
    }

    /// Runs and installs a merge; a failure is reported and remembered here.
    fn compact(&self, task: Task) {
        let shard = task.shard;
        match self.merge_and_install(task) {
            Ok(()) => {
                self.compactions.quarantine.lock().remove(&shard);
            }
            Err(MergeError::Closing) => {}
            Err(MergeError::NoRoom(why)) => {
                self.put_off(&why);
                let mut quarantine = self.compactions.quarantine.lock();
                let wait = Quarantine::put_off(quarantine.get(&shard).copied(), self.clock.monotonic());
                quarantine.insert(shard, wait);
            }
            Err(error) => {
                self.counters.compactions_failed.fetch_add(1, Ordering::Relaxed);
                let mut quarantine = self.compactions.quarantine.lock();
                let now = self.clock.monotonic();
                // Entries of shards that are gone must not pile up.
                quarantine
                    .retain(|_, q| now < q.until.saturating_mul(2).saturating_add(Duration::from_secs(3600)));
                let next = Quarantine::after(quarantine.get(&shard).copied(), now, &self.options);
                quarantine.insert(shard, next);
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let (failures, wait) = (next.failures, next.until.saturating_sub(now));
                tracing::warn!(%error, cause, ?wait, failures, "a merge failed and waits");
            }
        }
    }

    fn merge_and_install(&self, task: Task) -> Result<(), MergeError> {
        let Task { bucket, shard, plan, inputs, keys, masks } = task;
        let first = inputs.first().expect("a plan has inputs");
        let range = first.entry.shard;
        let order = inputs.iter().map(|f| f.entry.order).max().unwrap_or(0);
        let masked_from = inputs.iter().map(|f| f.entry.masked_from).max().unwrap_or(0).max(masks.end());
        let dir = shard_dir(&self.dir, bucket, range);
        // Where deletes have left nothing there is nothing to write, and no room is needed to make room.
        let is_gone = inputs.iter().all(|file| masks.hide_all_of(file, &file.presence));
        let bytes = inputs.iter().map(|f| f.entry.bytes).sum();
        let _room = if is_gone { None } else { Some(self.room(&dir, bytes, buffers_of(&inputs))?) };
        let number = self.next_file_number();
        let path = file_path(&self.dir, bucket, range, number);
        let effort = match plan.density {
            Density::Fast => Effort::Fast,
            Density::Dense => Effort::Dense(self.options.dense_compression_level),
        };
        let sources = Inputs { files: &inputs, keys: &keys, masks: &masks };
        let mut awake = self.clock.monotonic();
        let written = if is_gone {
            Ok(None)
        } else {
            run(&*self.vfs, &sources, &path, plan.density, effort, || {
                self.make_way(&mut awake);
                self.is_closing() || self.fatal.get().is_some()
            })
        };
        let written = written.and_then(|finished| {
            let Some(finished) = finished else { return Ok(None) };
            self.vfs.sync_dir(&dir).map_err(WriteError::new("sync", &dir))?;
            let entry = FileEntry {
                number,
                order,
                level: plan.level,
                density: plan.density,
                bucket,
                shard: range,
                bytes: finished.bytes,
                checksum: finished.checksum,
                footer_checksum: finished.footer_checksum,
                rows: finished.rows,
                series: finished.series,
                times: finished.times,
                masked_from,
            };
            let file = TsmFile::open(&*self.vfs, &path, &entry)?;
            Ok(Some(Arc::new(file)))
        });
        let file = match written {
            Ok(file) => file,
            Err(error) => {
                self.discard(&path);
                return Err(error);
            }
        };
        if file.is_none() {
            // Everything was deleted.
            self.discard(&path);
        }
        let mut manifest = self.manifest.lock();
        let settled = self.settled_without(bucket, &plan.inputs, file.as_ref());
        let edit = Edit {
            added: file.iter().map(|file| file.entry.clone()).collect(),
            removed: plan.inputs,
            next_number: self.next_file.load(Ordering::Relaxed),
            tombstones_removed: settled,
            ..Edit::default()
        };
        if edit.removed.iter().any(|n| !manifest.live().files.contains_key(n)) {
            // The shard was dropped, and the drop is in the manifest already.
            drop(manifest);
            drop(file);
            self.discard(&path);
            return Ok(());
        }
        match manifest.append(&*self.vfs, &edit) {
            Ok(()) => {}
            Err(AppendError::NotDone(error)) => {
                drop(manifest);
                drop(file);
                self.discard(&path);
                return Err(error.into());
            }
            Err(AppendError::Unknown(error)) => {
                self.poison(error.into());
                return Err(MergeError::Closing);
            }
        }
        let mut state = self.state.write();
        let is_input = |f: &Arc<TsmFile>| edit.removed.contains(&f.entry.number);
        let now = self.clock.monotonic();
        let bytes = file.as_ref().map_or(0, |file| file.entry.bytes);
        if let Some(live) = state.shard_mut(bucket, shard) {
            live.files.retain(|f| !is_input(f));
            let touched = live.touched;
            file.into_iter().for_each(|file| live.add_file(file, now));
            live.touched = touched;
        } else if let Some(dropped) = state.dropped_mut(shard) {
            dropped.files.retain(|f| !is_input(f));
            dropped.files.extend(file);
        }
        if let Some(found) = state.buckets.get_mut(&bucket) {
            found.tombstones.remove(&edit.tombstones_removed);
            if !masks.touched().is_empty() {
                found.forget_gone(shard);
            }
        }
        state.forget_empty(bucket);
        state.dead.extend(inputs);
        self.counters.compactions.fetch_add(1, Ordering::Relaxed);
        self.counters.compaction_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Rests, if queries need it, after some work since the moment `awake`, which is set anew.
    fn make_way(&self, awake: &mut Duration) {
        let now = self.clock.monotonic();
        let work = now.saturating_sub(*awake);
        if work < ASK_AFTER {
            return;
        }
        let rest = self.commons.pace().rest_after(work, now);
        *awake = now;
        if !rest.is_zero() {
            self.counters.compaction_rests.fetch_add(1, Ordering::Relaxed);
            self.jobs.rest(rest);
            *awake = self.clock.monotonic();
        }
    }

    /// The durable tombstones of a bucket that hide no row of any file once `output` has replaced `inputs`.
    pub(super) fn settled_without(
        &self,
        bucket: BucketId,
        inputs: &[u64],
        output: Option<&Arc<TsmFile>>,
    ) -> Vec<u64> {
        let state = self.state.read();
        let (Some(found), Some(durable)) = (state.buckets.get(&bucket), state.durable) else {
            return Vec::new();
        };
        let others = state.files_of(bucket).filter(|file| !inputs.contains(&file.entry.number));
        let lost = state.lost_of(bucket).filter(|lost| !inputs.contains(&lost.entry.number));
        found.tombstones.settled(durable, others.chain(output), lost, &found.index)
    }

    /// Removes a file that is not used, if it is there. If that fails, opening the engine removes it.
    pub(super) fn discard(&self, path: &std::path::Path) {
        let removed = match self.vfs.exists(path) {
            Ok(true) => self.vfs.remove_file(path),
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::warn!(path = %path.display(), %error, "cannot remove a file that is not used");
        }
    }
}

/// Which files are rewritten for the sake of deleted rows alone.
struct Purge {
    /// Deletes up to here are durable.
    durable: Option<u64>,
    after: Duration,
    tombstones_min: usize,
    now: Duration,
}

impl Purge {
    /// The first file of a shard that holds rows deleted long enough ago, or nothing else: that costs no merge.
    fn plan(&self, bucket: &Bucket, shard: &Shard) -> Option<Plan> {
        let durable = self.durable?;
        let masks = LazyCell::new(|| bucket.tombstones.masks(shard.range, durable, &bucket.index));
        let after = if bucket.tombstones.len() > self.tombstones_min { Duration::ZERO } else { self.after };
        let is_due = |file: &&Arc<TsmFile>| {
            let since = bucket.tombstones.hides_rows_since(durable, file, &bucket.index);
            since.is_some_and(|since| {
                self.now.saturating_sub(since) >= after || masks.hide_all_of(file, &file.presence)
            })
        };
        shard.files.iter().find(is_due).map(|file| Plan::alone(&file.entry))
    }
}

/// The files that a plan names.
fn files_of(shard: &Shard, plan: &Plan) -> Option<Vec<Arc<TsmFile>>> {
    let find = |n: &u64| shard.files.iter().find(|f| f.entry.number == *n).map(Arc::clone);
    plan.inputs.iter().map(find).collect()
}
