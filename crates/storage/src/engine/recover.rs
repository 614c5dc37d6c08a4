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

/// Removes what the manifest does not name.
pub(super) fn remove_orphans(vfs: &dyn Vfs, dir: &Path, live: &Live) -> Result<(), OpenError> {
    for orphan in orphans(vfs, dir, live)? {
        match orphan {
            Orphan::Dir(path) => vfs.remove_dir_all(&path).map_err(OpenError::io("remove", &path))?,
            Orphan::File(path) => {
                tracing::info!(path = %path.display(), "removing a file that no manifest record names");
                vfs.remove_file(&path).map_err(OpenError::io("remove", &path))?;
            }
        }
    }
    Ok(())
}

/// What a crash left between writing and recording, or between recording and unlinking.
#[derive(Debug)]
pub(crate) enum Orphan {
    /// Of a bucket or shard, with all that is in it.
    Dir(PathBuf),
    File(PathBuf),
}

/// Files and directories of buckets and shards that the manifest does not name.
pub(crate) fn orphans(vfs: &dyn Vfs, dir: &Path, live: &Live) -> Result<Vec<Orphan>, OpenError> {
    let files = live.files.values().map(|f| file_path(dir, f.bucket, f.shard, f.number));
    let segments = live.segments.values().map(|s| segment_path(dir, s.bucket, s.number));
    let wanted: HashSet<_> = files.chain(segments).collect();
    let used: HashSet<_> = wanted.iter().filter_map(|path| path.parent()).map(Path::to_owned).collect();
    let of_segments = live.segments.values().map(|s| s.bucket);
    let buckets: HashSet<BucketId> = live.files.values().map(|f| f.bucket).chain(of_segments).collect();
    let mut found = Vec::new();
    for name in vfs.list(dir).map_err(OpenError::io("list", dir))? {
        if !is_data_name(&name) {
            continue;
        }
        let name = name.file_name().unwrap_or_default();
        let bucket_dir = dir.join(name);
        let bucket = name.to_str().and_then(|n| n.parse::<BucketId>().ok());
        if bucket.is_none_or(|b| !buckets.contains(&b)) {
            found.push(Orphan::Dir(bucket_dir));
            continue;
        }
        for shard in vfs.list(&bucket_dir).map_err(OpenError::io("list", &bucket_dir))? {
            let shard_dir = bucket_dir.join(shard.file_name().unwrap_or_default());
            if !used.contains(&shard_dir) {
                found.push(Orphan::Dir(shard_dir));
                continue;
            }
            for file in vfs.list(&shard_dir).map_err(OpenError::io("list", &shard_dir))? {
                let path = shard_dir.join(file.file_name().unwrap_or_default());
                if !wanted.contains(&path) {
                    found.push(Orphan::File(path));
                }
            }
        }
    }
    Ok(found)
}
