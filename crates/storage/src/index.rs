//! The series index of one bucket in one replica: keys to ids, and tags to the series that have them.
//!
//! ```text
//!  ids 0 ...                                                        ... up
//!  | segment | segment | ... | frozen head | head |     a key is looked for in the head, then from the left
//! ```
//! *Segments* are immutable files; they are read once and used in place. The *head* holds the series since the last
//! flush; a flush freezes it and makes a segment of it, in the record that makes the rows of these series durable.
//! On that way the series get the ids that files refer to: in key order, so that within a segment ids ascend with
//! keys (see [`Renumbering`]). Ids of segments do not overlap, and are not used again while the bucket has data.
//!
//! A series is *live* as long as some shard has rows of it. Those that are not stay in their segment, unseen, until
//! a merge of segments drops them. After a crash the log brings back what was in the head only.

use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::HashSet;
use model::{BucketId, SeriesKey};
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64;

use crate::manifest::IndexEntry;

mod dictionary;
mod head;
mod key;
mod packed;
mod pairs;
pub(crate) mod plan;
mod prefixes;
mod rebuild;
mod segment;
mod select;
mod sorted;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use head::Head;
#[cfg(test)]
pub(crate) use key::compare as compare_keys;
pub(crate) use rebuild::{LostSegment, missing, of_keys};
pub(crate) use segment::Segment;
pub(crate) use select::{Names, Selection};
pub(crate) use sorted::Renumbering;
use sorted::Sorted;
pub(crate) use walk::Walk;

/// A series within one bucket of one engine. Files refer to it; another replica has other ids.
pub(crate) type SeriesId = u32;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct SeriesIndex {
    /// By their ids, which do not overlap.
    segments: Vec<Arc<Segment>>,
    /// Those that could not be opened. Their series have been found elsewhere, as far as any file is known that has rows
    /// of them.
    lost: Vec<LostSegment>,
    /// What a running flush makes a segment of.
    frozen: Option<Arc<Head>>,
    head: Head,
    live: RoaringBitmap,
}

impl SeriesIndex {
    /// The index of segments, beside which others are `lost`. `live` are the series that files have rows of; all of
    /// them must be in a segment.
    pub(crate) fn open(mut segments: Vec<Arc<Segment>>, lost: Vec<LostSegment>, live: RoaringBitmap) -> Self {
        segments.sort_by_key(|segment| segment.series().min());
        let entries =
            segments.iter().map(|segment| &segment.entry).chain(lost.iter().map(|lost| &lost.entry));
        let end = entries.map(|entry| entry.end).max().unwrap_or(0);
        Self { segments, lost, frozen: None, head: Head::new(end), live }
    }

    /// The id of a key with its hash; a new one when there is none.
    pub(crate) fn register(&mut self, key: &SeriesKey, hash: u64) -> SeriesId {
        if let Some(id) = self.find(key, hash) {
            return id;
        }
        let id = self.head.add(key, hash);
        self.live.insert(id);
        id
    }

    /// How many series were ever given an id.
    pub(crate) fn assigned(&self) -> u64 {
        self.head.next_id().into()
    }

    /// The id of a key with its hash.
    pub(crate) fn find(&self, key: &SeriesKey, hash: u64) -> Option<SeriesId> {
        let is_live = |id| self.live.contains(id);
        let in_heads = || {
            let frozen = || self.frozen.as_ref().and_then(|head| head.find(key, hash, is_live));
            self.head.find(key, hash, is_live).or_else(frozen)
        };
        in_heads().or_else(|| self.segments.iter().find_map(|segment| segment.find(key, hash, is_live)))
    }

    /// Number of live series.
    pub(crate) fn len(&self) -> u64 {
        self.live.len()
    }

    /// Memory held by series that are in segments, about.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.segments.iter().map(|segment| segment.memory()).sum::<usize>() + self.live.serialized_size()
    }

    /// Memory held by series that are in no segment yet, without those that a flush writes.
    pub(crate) fn head_bytes(&self) -> usize {
        self.head.bytes()
    }

    /// The segments, by ids.
    pub(crate) fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// The numbers of its segments, lost ones too.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        let held = self.segments.iter().map(|segment| segment.entry.number);
        held.chain(self.lost.iter().map(|lost| lost.entry.number))
    }

    /// The files of those of its segments that have these numbers.
    pub(crate) fn paths_of(&self, numbers: &[u64]) -> Vec<PathBuf> {
        self.numbers().zip(self.paths()).filter(|(n, _)| numbers.contains(n)).map(|(_, path)| path).collect()
    }

    /// The files of its segments, lost ones too.
    pub(crate) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let held = self.segments.iter().map(|segment| &segment.path);
        held.chain(self.lost.iter().map(|lost| &lost.path)).cloned()
    }

    /// The segments of the manifest that could not be opened.
    pub(crate) fn lost(&self) -> &[LostSegment] {
        &self.lost
    }

    /// The live series.
    pub(crate) fn live(&self) -> &RoaringBitmap {
        &self.live
    }

    /// Forgets series.
    pub(crate) fn remove(&mut self, ids: &RoaringBitmap) {
        self.live -= ids;
    }

    /// Takes the head for a flush, with its live series; `None` when it is empty. It stays readable.
    pub(crate) fn freeze(&mut self) -> Option<FrozenHead> {
        if self.head.len() == 0 {
            return None;
        }
        assert!(self.frozen.is_none(), "one flush at a time");
        let next = Head::new(self.head.end());
        let head = Arc::new(std::mem::replace(&mut self.head, next));
        self.frozen = Some(Arc::clone(&head));
        let live = self.live.range(head.first()..head.end()).collect();
        Some(FrozenHead { head, live })
    }

    /// The index without the series that are in memory only.
    pub(crate) fn without_head(self) -> Self {
        Self { head: Head::default(), live: RoaringBitmap::new(), ..self }
    }

    /// Whether this is the index whose head was frozen.
    pub(crate) fn has_frozen(&self, frozen: &FrozenHead) -> bool {
        self.frozen.as_ref().is_some_and(|head| Arc::ptr_eq(head, &frozen.head))
    }

    /// Puts the segment in the place of the frozen head.
    pub(crate) fn thaw(&mut self, renumbering: &Renumbering, segment: Option<Arc<Segment>>) {
        self.frozen = None;
        self.live = renumbering.stored_set(&self.live);
        self.segments.extend(segment);
    }

    /// The segment of the frozen head of an index that is dropped.
    pub(crate) fn add_dropped(&mut self, segment: Option<Arc<Segment>>) {
        self.frozen = None;
        self.segments.extend(segment);
    }

    /// Whether all segments of these numbers, lost ones too, are in the index.
    pub(crate) fn has_all(&self, numbers: &[u64]) -> bool {
        let held: HashSet<u64> = self.numbers().collect();
        numbers.iter().all(|number| held.contains(number))
    }

    /// Puts a merged segment (or nothing, when no series was left) in the place of its inputs.
    pub(crate) fn replace(&mut self, inputs: &[u64], merged: Option<&Arc<Segment>>) {
        let is_input = |segment: &Arc<Segment>| inputs.contains(&segment.entry.number);
        let at = self.segments.iter().position(is_input).unwrap_or(0);
        self.segments.retain(|segment| !is_input(segment));
        self.lost.retain(|lost| !inputs.contains(&lost.entry.number));
        if let Some(merged) = merged {
            self.segments.insert(at, Arc::clone(merged));
        }
    }

    /// The keys of stored ids.
    pub(crate) fn keys(&self) -> Keys {
        Keys { segments: self.segments.clone() }
    }
}

/// A head that a flush makes a segment of.
#[derive(Debug, Clone)]
pub(crate) struct FrozenHead {
    head: Arc<Head>,
    live: RoaringBitmap,
}

impl FrozenHead {
    /// The bytes of the segment (`None` when no series is left), and the ids that its series get.
    pub(crate) fn encode(&self, bucket: BucketId) -> (Option<Encoded>, Renumbering) {
        let (sorted, renumbering) = Sorted::of_head(&self.head, &self.live);
        (encoded(&sorted, bucket), renumbering)
    }
}

/// The bytes of one segment made of several, which are neighbours; only series in `keep`. `Err` when an input does
/// not say what it should; `Ok(None)` when no series is left.
pub(crate) fn merge(
    segments: &[Arc<Segment>],
    keep: &RoaringBitmap,
    bucket: BucketId,
) -> Option<Option<Encoded>> {
    Sorted::of_segments(segments, keep, bucket).map(|sorted| encoded(&sorted, bucket))
}

fn encoded(sorted: &Sorted, bucket: BucketId) -> Option<Encoded> {
    let end = sorted.ids.iter().max()? + 1;
    Some(Encoded { bucket, series: sorted.len() as u64, end, bytes: segment::encode(sorted, bucket) })
}

/// A segment that is not in a file yet.
#[derive(Debug)]
pub(crate) struct Encoded {
    bucket: BucketId,
    series: u64,
    end: SeriesId,
    pub(crate) bytes: Vec<u8>,
}

impl Encoded {
    /// What a manifest says of it as the file of a number.
    pub(crate) fn entry(&self, number: u64) -> IndexEntry {
        let Self { bucket, series, end, ref bytes } = *self;
        IndexEntry { number, bucket, bytes: bytes.len() as u64, checksum: xxh3_64(bytes), series, end }
    }
}

/// Keys by stored ids, as they were at some time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    segments: Vec<Arc<Segment>>,
}

impl Keys {
    /// With one more segment.
    pub(crate) fn with(mut self, segment: Option<&Arc<Segment>>) -> Self {
        self.segments.extend(segment.map(Arc::clone));
        self
    }

    /// The key of a series.
    pub(crate) fn get(&self, id: SeriesId) -> Option<SeriesKey> {
        let at =
            self.segments.partition_point(|segment| segment.series().max().is_some_and(|last| last < id));
        self.segments.get(at)?.key(id)
    }
}
