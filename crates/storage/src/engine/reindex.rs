//! Makes the index of a bucket whole when it opens: series that files have and no segment knows get segments of their
//! own, from the keys in the files.
//!
//! A file whose keys are needed and cannot be read is lost, too. So is one that knows a key under another id than the
//! index: both can only come of a file that was lost together with a segment and was put back later, when the series
//! had been written anew.

use std::path::Path;
use std::sync::Arc;

use hashbrown::HashSet;
use model::{BucketId, SeriesKey};
use roaring::RoaringBitmap;

use super::lost::LostFile;
use super::state::{Bucket, segment_path};
use crate::error::OpenError;
use crate::index::{LostSegment, Segment, SeriesId, SeriesIndex, missing, of_keys};
use crate::tsm::TsmFile;

/// Opens the index of a bucket from its segments; the presence of its shards is known. New segments get numbers from
/// `next`.
pub(super) fn open_index(
    dir: &Path,
    id: BucketId,
    bucket: &mut Bucket,
    mut segments: Vec<Arc<Segment>>,
    lost: Vec<LostSegment>,
    next: &mut u64,
) -> Result<SeriesIndex, OpenError> {
    let keys = keys_of_missing(id, bucket, &segments);
    for encoded in of_keys(keys, &segments.clone(), id) {
        let path = segment_path(dir, id, *next);
        tracing::warn!(bucket = %id, "a lost index segment is made anew from the keys in the files");
        segments.push(Arc::new(Segment::rebuilt(encoded, &path, *next)?));
        *next += 1;
    }
    if bucket.has_lost() {
        let series = all_of_lost(id, bucket, &segments);
        for shard in bucket.shards.iter_mut().filter(|shard| !shard.lost.is_empty()) {
            shard.presence |= &series;
        }
    }
    Ok(SeriesIndex::open(segments, lost, present(bucket)))
}

fn present(bucket: &Bucket) -> RoaringBitmap {
    bucket.shards.iter().fold(RoaringBitmap::new(), |present, shard| present | &shard.presence)
}

/// The keys of series that files have and no segment knows. Files without which this cannot be told are lost.
fn keys_of_missing(
    id: BucketId,
    bucket: &mut Bucket,
    segments: &[Arc<Segment>],
) -> Vec<(SeriesId, SeriesKey)> {
    let present = present(bucket);
    let mut unknown = missing(segments, &present);
    let mut found: Vec<(SeriesId, SeriesKey)> = Vec::new();
    let mut names: HashSet<SeriesKey> = HashSet::new();
    let mut files: Vec<Arc<TsmFile>> = Vec::new();
    if !unknown.is_empty() {
        files.extend(bucket.shards.iter().flat_map(|shard| &shard.files).map(Arc::clone));
    }
    // The newest first: an older one may have been put back from before.
    files.sort_unstable_by_key(|file| std::cmp::Reverse(file.entry.order));
    for file in files {
        let wanted = &file.presence & &unknown;
        if wanted.is_empty() {
            continue;
        }
        let is_other = |id: SeriesId, key: &SeriesKey, hash: u64| {
            let inside = |s: &Arc<Segment>| s.series().min() <= Some(id) && Some(id) <= s.series().max();
            let known = |s: &Arc<Segment>| s.find(key, hash, |id| present.contains(id)).is_some();
            names.contains(key) || segments.iter().any(|segment| inside(segment) || known(segment))
        };
        match keys_of(&file, &wanted) {
            Ok(keys) if keys.iter().any(|(at, key)| is_other(*at, key, key.hash(id))) => {
                lose(bucket, &file, OpenError::OtherIds { path: file.path.clone() });
            }
            Ok(keys) => {
                unknown -= wanted;
                names.extend(keys.iter().map(|(_, key)| key.clone()));
                found.extend(keys);
            }
            Err(why) => lose(bucket, &file, why),
        }
    }
    found
}

/// The keys of some series of a file.
fn keys_of(file: &TsmFile, wanted: &RoaringBitmap) -> Result<Vec<(SeriesId, SeriesKey)>, OpenError> {
    let mut ids = file.presence.iter();
    let mut keys = Vec::new();
    file.keys(|key| keys.extend(ids.next().filter(|id| wanted.contains(*id)).map(|id| (id, key))))
        .map_err(|source| OpenError::Keys { source })?;
    Ok(keys)
}

fn lose(bucket: &mut Bucket, file: &TsmFile, why: OpenError) {
    let number = file.entry.number;
    let holds = |file: &Arc<TsmFile>| file.entry.number == number;
    for shard in bucket.shards.iter_mut().filter(|shard| shard.files.iter().any(holds)) {
        shard.files.retain(|file| !holds(file));
        shard.lost.push(Arc::new(LostFile::new(&file.entry, file.path.clone(), why.clone())));
        shard.presence = RoaringBitmap::new();
        shard.files.iter().for_each(|file| shard.presence |= &file.presence);
    }
}

/// All series that a lost file of the bucket may have. A series that was gone and came back under another id had no rows
/// under the first any more, in any file.
fn all_of_lost(id: BucketId, bucket: &Bucket, segments: &[Arc<Segment>]) -> RoaringBitmap {
    let present = present(bucket);
    let mut all = present.clone();
    for segment in segments {
        for series in segment.series() - &present {
            let Some(key) = segment.key(series) else { continue };
            let hash = key.hash(id);
            let came_back = |other: SeriesId| other > series || present.contains(other);
            if !segments.iter().any(|s| s.find(&key, hash, came_back).is_some()) {
                all.insert(series);
            }
        }
    }
    all
}
