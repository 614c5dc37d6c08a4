//! From the manifest to the state, and the removal of what it does not name.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use disk::Vfs;
use hashbrown::HashSet;
use model::BucketId;

use super::state::{Shard, State, file_path};
use crate::error::OpenError;
use crate::manifest::{Live, is_data_name};
use crate::tsm::TsmFile;

/// Opens the live files and rebuilds shards and series index from them.
pub(super) fn load(vfs: &dyn Vfs, dir: &Path, live: &Live, now: Duration) -> Result<State, OpenError> {
    let mut state = State::default();
    if let Some(durable) = &live.durable {
        state.applied = Some(durable.position);
        state.durable = Some(durable.position.index);
        state.membership = durable.membership.clone();
    }
    for entry in live.files.values() {
        let mut bucket = state.buckets.remove(&entry.bucket).unwrap_or_default();
        let path = file_path(dir, entry.bucket, entry.shard, entry.number);
        let file = TsmFile::open(vfs, &path, entry, |key| {
            let id = bucket.index.register(&key, key.hash(entry.bucket));
            let shared = bucket.index.key(id).cloned().unwrap_or(key);
            Some((id, shared))
        })?;
        let at = bucket.shards.partition_point(|s| s.range.start < entry.shard.start);
        if bucket.shards.get(at).is_none_or(|s| s.range != entry.shard) {
            bucket.shards.insert(at, Shard::new(state.new_shard_id(), entry.shard, now));
        }
        let shard = &mut bucket.shards[at];
        shard.presence.extend(file.series.iter().map(|s| s.id));
        shard.add_file(Arc::new(file), now);
        state.buckets.insert(entry.bucket, bucket);
    }
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

/// Removes files and directories of buckets and shards that the manifest does not name: what a crash left between
/// writing and recording, or between recording and unlinking.
pub(super) fn remove_orphans(vfs: &dyn Vfs, dir: &Path, live: &Live) -> Result<(), OpenError> {
    let wanted: HashSet<_> =
        live.files.values().map(|f| file_path(dir, f.bucket, f.shard, f.number)).collect();
    let used: HashSet<_> = wanted.iter().filter_map(|path| path.parent()).map(Path::to_owned).collect();
    let buckets: HashSet<BucketId> = live.files.values().map(|f| f.bucket).collect();
    for name in vfs.list(dir).map_err(OpenError::io("list", dir))? {
        if !is_data_name(&name) {
            continue;
        }
        let name = name.file_name().unwrap_or_default();
        let bucket_dir = dir.join(name);
        let bucket = name.to_str().and_then(|n| n.parse::<BucketId>().ok());
        if bucket.is_none_or(|b| !buckets.contains(&b)) {
            vfs.remove_dir_all(&bucket_dir).map_err(OpenError::io("remove", &bucket_dir))?;
            continue;
        }
        for shard in vfs.list(&bucket_dir).map_err(OpenError::io("list", &bucket_dir))? {
            let shard_dir = bucket_dir.join(shard.file_name().unwrap_or_default());
            if !used.contains(&shard_dir) {
                vfs.remove_dir_all(&shard_dir).map_err(OpenError::io("remove", &shard_dir))?;
                continue;
            }
            for file in vfs.list(&shard_dir).map_err(OpenError::io("list", &shard_dir))? {
                let path = shard_dir.join(file.file_name().unwrap_or_default());
                if !wanted.contains(&path) {
                    tracing::info!(path = %path.display(), "removing a file that no manifest record names");
                    vfs.remove_file(&path).map_err(OpenError::io("remove", &path))?;
                }
            }
        }
    }
    Ok(())
}
