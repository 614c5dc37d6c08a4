//! Series in key order, all texts replaced by numbers that have the order of the texts. What a segment is written
//! from: a frozen head, or segments that become one.
//!
//! ```text
//!  row     shape, then for each of its tags the code of the value     compared as numbers, a row sorts as its key
//! ```
//! Tag keys are numbered in order, the measurement's empty one first; values of a tag are numbered in order.

use std::cmp::Ordering;
use std::sync::Arc;

use hashbrown::HashMap;
use model::BucketId;
use roaring::RoaringBitmap;

use super::SeriesId;
use super::dictionary::{DictionaryBuilder, Reader};
use super::head::Head;
use super::segment::Segment;

/// A value that no series has any more.
const UNUSED: u32 = u32::MAX;

/// A tag key and its values.
#[derive(Debug)]
pub(super) struct SortedTag {
    pub(super) name: Box<[u8]>,
    pub(super) values: u32,
    pub(super) dictionary: Vec<u8>,
}

/// See the module. `ids`, `hashes` and `starts` are by place in key order.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub(super) tags: Vec<SortedTag>,
    /// The tags of each shape, ascending.
    pub(super) shapes: Vec<Box<[u32]>>,
    pub(super) ids: Vec<SeriesId>,
    pub(super) hashes: Vec<u64>,
    starts: Vec<u32>,
    words: Vec<u32>,
}

impl Sorted {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Shape and codes of a series.
    pub(super) fn row(&self, place: usize) -> (u32, &[u32]) {
        let end = self.starts.get(place + 1).map_or(self.words.len(), |&end| end as usize);
        let row = &self.words[self.starts[place] as usize..end];
        (row[0], &row[1..])
    }

    fn push(&mut self, id: SeriesId, hash: u64, shape: u32, codes: impl Iterator<Item = u32>) {
        self.ids.push(id);
        self.hashes.push(hash);
        self.starts.push(u32::try_from(self.words.len()).expect("a segment has fewer than 2^32 tags"));
        self.words.push(shape);
        self.words.extend(codes);
    }

    /// The live series of a head. They get new ids, in key order from the head's first on.
    pub(super) fn of_head(head: &Head, live: &RoaringBitmap) -> (Self, Renumbering) {
        let pairs = head.pairs();
        let places: Vec<u32> = (0..head.len()).filter(|place| live.contains(head.first() + place)).collect();
        let mut used = vec![false; pairs.len()];
        for &place in &places {
            head.row(place).1.iter().for_each(|&pair| used[pair as usize] = true);
        }
        let mut this = Self::default();
        let mut names: Vec<_> = pairs.tag_names().collect();
        names.sort_unstable_by_key(|(_, name)| *name);
        let mut tag_places = vec![UNUSED; names.len()];
        let mut code_of = vec![UNUSED; pairs.len()];
        for (tag, name) in names {
            let mut values: Vec<u32> =
                pairs.of_tag(tag).iter().copied().filter(|&pair| used[pair as usize]).collect();
            values.sort_unstable_by_key(|&pair| pairs.value(pair));
            let mut dictionary = DictionaryBuilder::default();
            for pair in values {
                code_of[pair as usize] = dictionary.count();
                dictionary.push(pairs.value(pair));
            }
            if dictionary.count() > 0 {
                tag_places[tag as usize] = number(this.tags.len());
                let (values, dictionary) = (dictionary.count(), dictionary.finish());
                this.tags.push(SortedTag { name: name.into(), values, dictionary });
            }
        }
        // A shape whose series are gone may name a tag that is gone: it becomes the empty one.
        let place_of = |tag: &u32| Some(tag_places[*tag as usize]).filter(|&place| place != UNUSED);
        this.shapes = head
            .shapes()
            .map(|tags| tags.iter().map(place_of).collect::<Option<_>>().unwrap_or_default())
            .collect();
        let mut sorted = places;
        let codes = |place: u32| {
            let (shape, pairs) = head.row(place);
            (shape, pairs.iter().map(|&pair| code_of[pair as usize]))
        };
        sorted.sort_unstable_by(|&a, &b| {
            let ((shape_a, codes_a), (shape_b, codes_b)) = (codes(a), codes(b));
            if shape_a == shape_b {
                codes_a.cmp(codes_b)
            } else {
                this.compare(shape_a, codes_a, shape_b, codes_b)
            }
        });
        let mut to = vec![UNUSED; head.len() as usize];
        for (id, &place) in (head.first()..).zip(&sorted) {
            to[place as usize] = id;
            let (shape, codes) = codes(place);
            this.push(id, head.hash(place), shape, codes);
        }
        (this, Renumbering { first: head.first(), to })
    }

    fn compare(
        &self,
        shape_a: u32,
        a: impl Iterator<Item = u32>,
        shape_b: u32,
        b: impl Iterator<Item = u32>,
    ) -> Ordering {
        let tags = |shape: u32| self.shapes[shape as usize].iter().copied();
        tags(shape_a).zip(a).cmp(tags(shape_b).zip(b))
    }

    /// The series of segments with the ids in `keep`, under the ids that they have. `None` when a segment does not
    /// say what it should.
    pub(super) fn of_segments(
        segments: &[Arc<Segment>],
        keep: &RoaringBitmap,
        bucket: BucketId,
    ) -> Option<Self> {
        let mut used: Vec<Vec<Vec<u32>>> = Vec::new();
        for segment in segments {
            let mut codes: Vec<Vec<u32>> =
                segment.tags().iter().map(|tag| vec![UNUSED; tag.values as usize]).collect();
            let mut rows = segment.rows();
            while let Some(row) = rows.next() {
                if keep.contains(row.id) {
                    for (&tag, &code) in row.tags.iter().zip(row.codes) {
                        *codes.get_mut(tag as usize)?.get_mut(code as usize)? = 0;
                    }
                }
            }
            used.push(codes);
        }
        let mut this = Self::default();
        let mut names: Vec<&[u8]> =
            segments.iter().flat_map(|s| s.tags().iter().map(|tag| &*tag.name)).collect();
        names.sort_unstable();
        names.dedup();
        // Per segment: the new number of each of its tags.
        let mut tag_places: Vec<Vec<u32>> =
            segments.iter().map(|segment| vec![UNUSED; segment.tags().len()]).collect();
        for name in names {
            let of: Vec<Option<usize>> =
                segments.iter().map(|s| s.tags().iter().position(|tag| &*tag.name == name)).collect();
            let (values, dictionary) = merge_values(segments, &of, &mut used)?;
            if values == 0 {
                continue;
            }
            for (places, at) in tag_places.iter_mut().zip(&of) {
                if let Some(at) = at {
                    places[*at] = number(this.tags.len());
                }
            }
            this.tags.push(SortedTag { name: name.into(), values, dictionary });
        }
        this.merge_rows(segments, keep, &used, &tag_places, bucket)?;
        Some(this)
    }

    /// Appends the rows of segments, each of which is in key order, in the order of all.
    fn merge_rows(
        &mut self,
        segments: &[Arc<Segment>],
        keep: &RoaringBitmap,
        codes: &[Vec<Vec<u32>>],
        tag_places: &[Vec<u32>],
        bucket: BucketId,
    ) -> Option<()> {
        struct Cursor<'a> {
            rows: super::segment::Rows<'a>,
            /// What stands at the front: id, hash, tags and codes by their new numbers.
            id: SeriesId,
            hash: u64,
            row: Vec<(u32, u32)>,
        }
        let mut shape_places: HashMap<Box<[u32]>, u32> = HashMap::new();
        let advance = |cursor: &mut Cursor<'_>, segment: usize| -> Option<bool> {
            loop {
                let Some(row) = cursor.rows.next() else { return Some(false) };
                if !keep.contains(row.id) {
                    continue;
                }
                cursor.id = row.id;
                cursor.row.clear();
                for (&tag, &code) in row.tags.iter().zip(row.codes) {
                    let code = *codes.get(segment)?.get(tag as usize)?.get(code as usize)?;
                    cursor.row.push((*tag_places.get(segment)?.get(tag as usize)?, code));
                }
                cursor.hash = segments.get(segment)?.key_at(row.place)?.hash(bucket);
                return Some(true);
            }
        };
        let mut cursors = Vec::new();
        for (at, segment) in segments.iter().enumerate() {
            let mut cursor = Cursor { rows: segment.rows(), id: 0, hash: 0, row: Vec::new() };
            if advance(&mut cursor, at)? {
                cursors.push((at, cursor));
            }
        }
        let mut tags: Vec<u32> = Vec::new();
        while let Some(least) = (0..cursors.len()).min_by(|&a, &b| cursors[a].1.row.cmp(&cursors[b].1.row)) {
            let (segment, cursor) = &mut cursors[least];
            tags.clear();
            tags.extend(cursor.row.iter().map(|(tag, _)| *tag));
            let shape = match shape_places.get(tags.as_slice()) {
                Some(shape) => *shape,
                None => {
                    let shape = number(self.shapes.len());
                    shape_places.insert(tags.as_slice().into(), shape);
                    self.shapes.push(tags.as_slice().into());
                    shape
                }
            };
            self.push(cursor.id, cursor.hash, shape, cursor.row.iter().map(|(_, code)| *code));
            if !advance(cursor, *segment)? {
                cursors.remove(least);
            }
        }
        Some(())
    }
}

/// Merges the values of one tag that are used; `used` gets the new codes. Says how many there are; `None` when the
/// values of a segment do not ascend.
fn merge_values(
    segments: &[Arc<Segment>],
    tag: &[Option<usize>],
    used: &mut [Vec<Vec<u32>>],
) -> Option<(u32, Vec<u8>)> {
    let mut readers: Vec<(usize, usize, Reader<'_>)> = Vec::new();
    for (at, (segment, tag)) in segments.iter().zip(tag).enumerate() {
        if let Some(tag) = *tag {
            readers.push((at, tag, segment.dictionary(tag).reader(0)));
        }
    }
    let advance = |used: &[Vec<Vec<u32>>], reader: &mut (usize, usize, Reader<'_>)| {
        let (segment, tag, reader) = reader;
        while reader.advance() {
            if used[*segment][*tag][reader.code() as usize] != UNUSED {
                return true;
            }
        }
        false
    };
    readers.retain_mut(|reader| advance(used, reader));
    let mut out = DictionaryBuilder::default();
    let mut least: Vec<u8> = Vec::new();
    while let Some(first) = readers.iter().map(|(_, _, reader)| reader.text()).min() {
        let code = out.count();
        if code > 0 && first <= least.as_slice() {
            return None;
        }
        least.clear();
        least.extend_from_slice(first);
        out.push(&least);
        readers.retain_mut(|reader| {
            if reader.2.text() != least.as_slice() {
                return true;
            }
            used[reader.0][reader.1][reader.2.code() as usize] = code;
            advance(used, reader)
        });
    }
    Some((out.count(), out.finish()))
}

/// The ids that a flush gave to the series of a head, which had others while they were in memory only.
#[derive(Debug)]
pub(crate) struct Renumbering {
    first: SeriesId,
    /// By place in the head; `UNUSED` for a series that was gone when the head was frozen.
    to: Vec<SeriesId>,
}

impl Renumbering {
    /// The id that is stored for an id in memory; `None` when the series was gone when the head was frozen.
    pub(crate) fn stored(&self, id: SeriesId) -> Option<SeriesId> {
        let place = id.checked_sub(self.first).and_then(|place| self.to.get(place as usize));
        place.map_or(Some(id), |&to| Some(to).filter(|&to| to != UNUSED))
    }

    /// A set of series under the ids that are stored. Those that are stored nowhere are left out.
    pub(crate) fn stored_set(&self, ids: &RoaringBitmap) -> RoaringBitmap {
        let end = self.first + number(self.to.len());
        let mut out = ids.clone();
        out.remove_range(self.first..end);
        let renumbered = ids.range(self.first..end).map(|id| self.to[(id - self.first) as usize]);
        let mut renumbered: Vec<_> = renumbered.filter(|&to| to != UNUSED).collect();
        renumbered.sort_unstable();
        out.extend(renumbered);
        out
    }

    /// Whether nothing changes.
    pub(crate) fn is_identity(&self) -> bool {
        (self.first..).zip(&self.to).all(|(from, &to)| from == to)
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).expect("an engine sees fewer than 2^32 series")
}
