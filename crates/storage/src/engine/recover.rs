//! From the manifest to the state, and the removal of what it does not name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use disk::Vfs;
use hashbrown::HashSet;
use model::BucketId;
use roaring::RoaringBitmap;

use super::lost::LostFile;
use super::reindex::open_index;
use super::state::{Shard, State, file_path, segment_path};
use crate::error::OpenError;
use crate::index::{LostSegment, Segment, SeriesIndex};
use crate::manifest::{Live, is_data_name};
use crate::tsm::TsmFile;

/// Opens the live files and rebuilds shards and series index from them. What cannot be opened is lost, and told. `next`
/// is the number of the next file.
pub(super) fn load(
    vfs: &dyn Vfs,
    dir: &Path,
    live: &Live,
    next: &mut u64,
    now: Duration,
) -> Result<State, OpenError> {
    let mut state = State::default();
    if let Some(durable) = &live.durable {
        state.applied = Some(durable.position);
        state.durable = Some(durable.position.index);
        state.membership = durable.membership.clone();
    }
    for entry in live.files.values() {
        let mut bucket = state.buckets.remove(&entry.bucket).unwrap_or_default();
        let at = bucket.shards.partition_point(|s| s.range.start < entry.shard.start);
        if bucket.shards.get(at).is_none_or(|s| s.range != entry.shard) {
            bucket.shards.insert(at, Shard::new(state.new_shard_id(), entry.shard, now));
        }
        let shard = &mut bucket.shards[at];
        let path = file_path(dir, entry.bucket, entry.shard, entry.number);
        match TsmFile::open(vfs, &path, entry) {
            Ok(file) => {
                shard.presence |= &file.presence;
                shard.add_file(Arc::new(file), now);
            }
            Err(why) if why.is_of_file() => shard.lost.push(Arc::new(LostFile::new(entry, path, why))),
            Err(error) => return Err(error),
        }
        state.buckets.insert(entry.bucket, bucket);
    }
    load_indexes(vfs, dir, live, &mut state, next)?;
    let last_write = live.durable.as_ref().map_or(0, |durable| durable.position.index);
    state.buckets.values_mut().for_each(|bucket| bucket.last_write = last_write);
    for entry in live.tombstones.values() {
        // Where no file is left, there is nothing to hide.
        if let Some(bucket) = state.buckets.get_mut(&entry.deletion.bucket) {
            bucket.tombstones.restore(entry, now);
        }
    }
    Ok(state)
}

/// Opens the segments of all indexes. A series is live when a file has rows of it.
fn load_indexes(
    vfs: &dyn Vfs,
    dir: &Path,
    live: &Live,
    state: &mut State,
    next: &mut u64,
) -> Result<(), OpenError> {
    let mut segments: BTreeMap<BucketId, (Vec<Arc<Segment>>, Vec<LostSegment>)> = BTreeMap::new();
    for entry in live.segments.values() {
        let path = segment_path(dir, entry.bucket, entry.number);
        let (held, lost) = segments.entry(entry.bucket).or_default();
        match Segment::open(vfs, &path, entry) {
            Ok(segment) => held.push(Arc::new(segment)),
            Err(why) if why.is_of_file() => lost.push(LostSegment::new(entry, path, why)),
            Err(error) => return Err(error),
        }
    }
    for (id, bucket) in &mut state.buckets {
        let (held, lost) = segments.remove(id).unwrap_or_default();
        bucket.index = open_index(dir, *id, bucket, held, lost, next)?;
    }
    // Nothing refers to the series of a bucket without files: the next record removes its segments.
    for (held, lost) in segments.into_values() {
        state.bury_index(0, SeriesIndex::open(held, lost, RoaringBitmap::new()));
    }
    Ok(())
}

/// What a crash left between writing and recording, or between recording and unlinking.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// Files that no record of the manifest names.
    pub(crate) files: Vec<PathBuf>,
    /// Directories of buckets and shards without any file.
    pub(super) empty: Vec<PathBuf>,
}

impl Leftovers {
    /// A number above those of all the files, so that no new file gets the name of one.
    pub(super) fn next_number(&self) -> u64 {
        let number = |path: &PathBuf| path.file_name()?.to_str()?.split('.').next()?.parse::<u64>().ok();
        let numbers = self.files.iter().filter_map(number);
        numbers.max().map_or(0, |number| number.saturating_add(1))
    }
}

/// Looks for what the manifest does not name.
pub(crate) fn leftovers(vfs: &dyn Vfs, dir: &Path, live: &Live) -> Result<Leftovers, OpenError> {
    let files = live.files.values().map(|f| file_path(dir, f.bucket, f.shard, f.number));
    let segments = live.segments.values().map(|s| segment_path(dir, s.bucket, s.number));
    let wanted: HashSet<_> = files.chain(segments).collect();
    let mut used: HashSet<&Path> = wanted.iter().flat_map(|path| path.ancestors()).collect();
    used.remove(dir);
    let names = |dir: &Path| vfs.list(dir).map_err(OpenError::io("list", dir));
    let mut found = Leftovers::default();
    for bucket in names(dir)?.into_iter().filter(|name| is_data_name(name)) {
        let bucket_dir = dir.join(bucket.file_name().unwrap_or_default());
        let mut of_bucket = 0;
        for part in names(&bucket_dir)? {
            let part_dir = bucket_dir.join(part.file_name().unwrap_or_default());
            let before = found.files.len();
            for file in names(&part_dir)? {
                let path = part_dir.join(file.file_name().unwrap_or_default());
                if !wanted.contains(&path) {
                    found.files.push(path);
                }
            }
            of_bucket += found.files.len() - before;
            if found.files.len() == before && !used.contains(&*part_dir) {
                found.empty.push(part_dir);
            }
        }
        if of_bucket == 0 && !used.contains(&*bucket_dir) {
            found.empty.retain(|part| !part.starts_with(&bucket_dir));
            found.empty.push(bucket_dir);
        }
    }
    Ok(found)
}
