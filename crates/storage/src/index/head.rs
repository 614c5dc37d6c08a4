//! The mutable head of an index: the series since the last flush, by numbers of interned tag pairs.
//!
//! ```text
//!  words   | shape | pair | pair | ... | shape | pair | ...        one run per series, its start in `starts`
//!  shape   the tag keys of the series, the measurement's empty one first
//! ```
//! Ids count up from `first`. A head is frozen by a flush, which makes a segment of it.

use hashbrown::{HashMap, HashTable};
use model::{SeriesKey, Test};
use roaring::RoaringBitmap;

use super::SeriesId;
use super::key::{Assembly, parts};
use super::pairs::Pairs;

/// The series of a shape, and their tag keys.
#[derive(Debug)]
struct Shape {
    tags: Box<[u32]>,
    series: RoaringBitmap,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Head {
    first: SeriesId,
    by_hash: HashTable<u32>,
    /// By place, as the three below.
    hashes: Vec<u64>,
    starts: Vec<u32>,
    words: Vec<u32>,
    shapes: Vec<Shape>,
    shape_places: HashMap<Box<[u32]>, u32>,
    pairs: Pairs,
    /// Used while a key is taken apart.
    scratch: Vec<u32>,
}

impl Head {
    /// An empty head whose first series will have this id.
    pub(super) fn new(first: SeriesId) -> Self {
        Self { first, ..Self::default() }
    }

    pub(super) fn first(&self) -> SeriesId {
        self.first
    }

    /// The id after the last.
    pub(super) fn end(&self) -> SeriesId {
        self.first + self.len()
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.hashes.len()).expect("an engine sees fewer than 2^32 series")
    }

    /// Memory held, about.
    pub(super) fn bytes(&self) -> usize {
        // Per series: hash, start, an entry of the table with its control byte and the room of growth.
        self.hashes.len() * (8 + 4 + 8) + self.words.len() * 4 + self.pairs.bytes()
    }

    pub(super) fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    pub(super) fn hash(&self, place: u32) -> u64 {
        self.hashes[place as usize]
    }

    /// Shape and pairs of a series.
    pub(super) fn row(&self, place: u32) -> (u32, &[u32]) {
        let place = place as usize;
        let end = self.starts.get(place + 1).map_or(self.words.len(), |&end| end as usize);
        let row = &self.words[self.starts[place] as usize..end];
        (row[0], &row[1..])
    }

    /// The tag keys of each shape.
    pub(super) fn shapes(&self) -> impl Iterator<Item = &[u32]> {
        self.shapes.iter().map(|shape| &*shape.tags)
    }

    /// The ids that a key with its hash has or had; `accept` says whether one still counts.
    pub(super) fn find(
        &self,
        key: &SeriesKey,
        hash: u64,
        accept: impl Fn(SeriesId) -> bool,
    ) -> Option<SeriesId> {
        let same = |&place: &u32| {
            self.hashes[place as usize] == hash && self.is(place, key) && accept(self.first + place)
        };
        self.by_hash.find(hash, same).map(|place| self.first + place)
    }

    fn is(&self, place: u32, key: &SeriesKey) -> bool {
        let (_, pairs) = self.row(place);
        let mut wanted = parts(key);
        let same = pairs.iter().all(|&pair| {
            wanted.next().is_some_and(|(tag, value)| {
                self.pairs.value(pair) == value && self.pairs.tag_name(self.pairs.tag_of(pair)) == tag
            })
        });
        same && wanted.next().is_none()
    }

    /// The id of the next series.
    pub(super) fn next_id(&self) -> SeriesId {
        self.first.saturating_add(self.len())
    }

    /// Adds a series that the head does not have.
    pub(super) fn add(&mut self, key: &SeriesKey, hash: u64) -> SeriesId {
        let place = self.len();
        let id = self.first.checked_add(place).expect("an engine sees fewer than 2^32 series");
        // Series that come one after the other have most of their pairs in common.
        let before = self.starts.last().map_or(0, |&start| start as usize + 1);
        let mut row = std::mem::take(&mut self.scratch);
        row.clear();
        for (i, (tag, value)) in parts(key).enumerate() {
            let same = self.words.get(before + i).copied().filter(|_| before > 0).filter(|&pair| {
                self.pairs.value(pair) == value && self.pairs.tag_name(self.pairs.tag_of(pair)) == tag
            });
            row.push(match same {
                Some(pair) => {
                    self.pairs.add_series(pair, id);
                    pair
                }
                None => {
                    let near = self.words.get(before + i).filter(|_| before > 0);
                    let near = near.map(|&pair| self.pairs.tag_of(pair));
                    let tag = match near.filter(|&near| self.pairs.tag_name(near) == tag) {
                        Some(near) => near,
                        None => self.pairs.intern_tag(tag),
                    };
                    self.pairs.add(tag, value, id)
                }
            });
        }
        let shape = self.shape_of(&row);
        self.shapes[shape as usize].series.insert(id);
        self.starts.push(u32::try_from(self.words.len()).expect("a head stays below 4 GiB"));
        self.words.push(shape);
        self.words.extend_from_slice(&row);
        self.scratch = row;
        self.hashes.push(hash);
        let hashes = &self.hashes;
        self.by_hash.insert_unique(hash, place, |&place| hashes[place as usize]);
        id
    }

    /// The shape of a row of pairs, which is new perhaps.
    fn shape_of(&mut self, row: &[u32]) -> u32 {
        let tag_of = |pair: &u32| self.pairs.tag_of(*pair);
        if let Some(&start) = self.starts.last() {
            let last = self.words[start as usize];
            if row.iter().map(tag_of).eq(self.shapes[last as usize].tags.iter().copied()) {
                return last;
            }
        }
        let tags: Box<[u32]> = row.iter().map(tag_of).collect();
        if let Some(&shape) = self.shape_places.get(&tags) {
            return shape;
        }
        let shape = u32::try_from(self.shapes.len()).expect("there are fewer shapes than series");
        self.shape_places.insert(tags.clone(), shape);
        self.shapes.push(Shape { tags, series: RoaringBitmap::new() });
        shape
    }

    /// The key of a series.
    pub(super) fn key(&self, id: SeriesId, assembly: &mut Assembly) -> Option<SeriesKey> {
        let place = id.checked_sub(self.first).filter(|&place| place < self.len())?;
        for &pair in self.row(place).1 {
            assembly.push(self.pairs.tag_name(self.pairs.tag_of(pair)), self.pairs.value(pair));
        }
        assembly.take()
    }

    /// Adds the series whose value of a tag passes. Series without the tag are not asked.
    pub(super) fn matching(&self, tag: &[u8], test: &Test, set: &mut RoaringBitmap) {
        self.pairs.matching(tag, test, set);
    }

    /// Visits the values of a tag with their series.
    pub(super) fn each_value(&self, tag: &[u8], visit: &mut dyn FnMut(&[u8], RoaringBitmap)) {
        self.pairs.each_value(tag, visit);
    }

    /// Visits the sets of tags that series have, with those series.
    pub(super) fn each_shape(&self, visit: &mut dyn FnMut(&[&[u8]], &RoaringBitmap)) {
        for shape in &self.shapes {
            let tags: Vec<&[u8]> = shape.tags.iter().map(|tag| self.pairs.tag_name(*tag)).collect();
            visit(&tags, &shape.series);
        }
    }

    /// Adds the series that have a tag.
    pub(super) fn having(&self, tag: &[u8], set: &mut RoaringBitmap) {
        let Some(tag) = self.pairs.tag(tag) else { return };
        for shape in self.shapes.iter().filter(|shape| shape.tags.contains(&tag)) {
            *set |= &shape.series;
        }
    }
}
