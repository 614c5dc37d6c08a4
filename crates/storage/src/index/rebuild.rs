//! Segments that are lost, and new ones in their place: files have the keys of their series, so what an index says of
//! series with rows can be found a second time.
//!
//! ```text
//!  ids ->   | sound      | lost          | sound  | lost   |
//!  in files   x xx   xx    x  xxx  x   x   xx x x   x  xx
//!           | sound      | made anew     | sound  | anew   |      one in each gap, for what files have
//! ```
//! The new ones have the series under the ids that files know them by. Nothing refers to the others any more.

use std::path::PathBuf;
use std::sync::Arc;

use model::{BucketId, SeriesKey};
use roaring::RoaringBitmap;

use super::head::Head;
use super::segment::Segment;
use super::sorted::Sorted;
use super::{Encoded, SeriesId, encoded};
use crate::error::{OpenError, ReadError};
use crate::manifest::IndexEntry;

/// A segment of the manifest that cannot be opened.
#[derive(Debug)]
pub(crate) struct LostSegment {
    pub(crate) entry: IndexEntry,
    pub(crate) path: PathBuf,
    why: Arc<OpenError>,
}

impl LostSegment {
    /// Tells it to the log, once.
    pub(crate) fn new(entry: &IndexEntry, path: PathBuf, why: OpenError) -> Self {
        let this = Self { entry: entry.clone(), path, why: Arc::new(why) };
        tracing::error!(error = %this.error(), "an index segment is lost");
        this
    }

    /// What is wrong with it.
    pub(crate) fn error(&self) -> ReadError {
        ReadError::LostSegment { why: Arc::clone(&self.why) }
    }
}

/// The series that no segment has.
pub(crate) fn missing(segments: &[Arc<Segment>], series: &RoaringBitmap) -> RoaringBitmap {
    segments.iter().fold(series.clone(), |missing, segment| missing - segment.series())
}

/// Segments of series whose ids are in no range of `segments`: one for each gap between these.
pub(crate) fn of_keys(
    mut keys: Vec<(SeriesId, SeriesKey)>,
    segments: &[Arc<Segment>],
    bucket: BucketId,
) -> Vec<Encoded> {
    let mut firsts: Vec<SeriesId> = segments.iter().filter_map(|segment| segment.series().min()).collect();
    firsts.sort_unstable();
    let gap = |id: SeriesId| firsts.partition_point(|first| *first < id);
    keys.sort_unstable_by_key(|(id, _)| *id);
    keys.chunk_by(|a, b| gap(a.0) == gap(b.0)).filter_map(|keys| of_gap(keys, bucket)).collect()
}

fn of_gap(keys: &[(SeriesId, SeriesKey)], bucket: BucketId) -> Option<Encoded> {
    let mut head = Head::new(0);
    for (_, key) in keys {
        head.add(key, key.hash(bucket));
    }
    let (mut sorted, _) = Sorted::of_head(&head, &(0..head.len()).collect());
    let mut in_order: Vec<&(SeriesId, SeriesKey)> = keys.iter().collect();
    in_order.sort_unstable_by(|a, b| super::key::compare(&a.1, &b.1));
    sorted.ids = in_order.into_iter().map(|(id, _)| *id).collect();
    encoded(&sorted, bucket)
}
