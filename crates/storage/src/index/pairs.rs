//! Tag pairs of the mutable head: each (tag key, value) is kept once, has a number, and the series that have it.
//!
//! Numbers count up from 0. The measurement is the value of the empty tag key.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use model::Test;
use roaring::RoaringBitmap;

use super::SeriesId;

/// What a pair costs beside its text: the pair itself and its place in the table of hashes.
const PAIR_BYTES: usize = size_of::<Pair>() + 8;

/// What a tag key costs beside its name, which is kept twice.
const TAG_BYTES: usize = size_of::<Tag>() + 32;

#[derive(Debug)]
struct Pair {
    /// Where the value begins in the text.
    at: u32,
    tag: u32,
    series: Postings,
    /// Values are no longer than keys, which are no longer than 65,535 bytes.
    len: u16,
}

/// The series of a pair. Many pairs have one only.
#[derive(Debug, Clone, Copy)]
enum Postings {
    One(SeriesId),
    /// Place in `Pairs::many`.
    Many(u32),
}

/// A tag key.
#[derive(Debug)]
struct Tag {
    name: Box<[u8]>,
    /// Its pairs, in order of arrival.
    pairs: Vec<u32>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    tags: Vec<Tag>,
    tag_places: HashMap<Box<[u8]>, u32>,
    pairs: Vec<Pair>,
    text: Vec<u8>,
    by_text: HashTable<u32>,
    many: Vec<RoaringBitmap>,
    hasher: DefaultHashBuilder,
    bytes: usize,
}

impl Pairs {
    /// Memory held, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of pairs.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// The number of a tag key.
    pub(super) fn tag(&self, name: &[u8]) -> Option<u32> {
        self.tag_places.get(name).copied()
    }

    /// The number of a tag key, which is new perhaps.
    pub(super) fn intern_tag(&mut self, name: &[u8]) -> u32 {
        self.tag(name).unwrap_or_else(|| {
            let new = number(self.tags.len());
            self.tags.push(Tag { name: name.into(), pairs: Vec::new() });
            self.tag_places.insert(name.into(), new);
            self.bytes += TAG_BYTES + 2 * name.len();
            new
        })
    }

    pub(super) fn tag_name(&self, tag: u32) -> &[u8] {
        &self.tags[tag as usize].name
    }

    pub(super) fn tag_names(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (0..).zip(self.tags.iter().map(|tag| &*tag.name))
    }

    pub(super) fn tag_of(&self, pair: u32) -> u32 {
        self.pairs[pair as usize].tag
    }

    pub(super) fn value(&self, pair: u32) -> &[u8] {
        let pair = &self.pairs[pair as usize];
        text_of(&self.text, pair)
    }

    /// The pairs of a tag key, in order of arrival.
    pub(super) fn of_tag(&self, tag: u32) -> &[u32] {
        &self.tags[tag as usize].pairs
    }

    fn find(&self, tag: u32, value: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one((tag, value));
        self.by_text.find(hash, |&pair| self.tag_of(pair) == tag && self.value(pair) == value).copied()
    }

    /// The number of a pair, which is new perhaps; adds a series to it. Series come in ascending order.
    pub(super) fn add(&mut self, tag: u32, value: &[u8], id: SeriesId) -> u32 {
        let hash = self.hasher.hash_one((tag, value));
        let (pairs, text, hasher) = (&self.pairs, &self.text, &self.hasher);
        let same = |&pair: &u32| {
            let pair = &pairs[pair as usize];
            pair.tag == tag && text_of(text, pair) == value
        };
        if let Some(&pair) = self.by_text.find(hash, same) {
            self.add_series(pair, id);
            return pair;
        }
        let rehash = |&pair: &u32| {
            let pair = &pairs[pair as usize];
            hasher.hash_one((pair.tag, text_of(text, pair)))
        };
        let new = number(pairs.len());
        self.by_text.insert_unique(hash, new, rehash);
        let at = number(self.text.len());
        let len = u16::try_from(value.len()).expect("a value is no longer than a key");
        self.text.extend_from_slice(value);
        self.pairs.push(Pair { at, tag, series: Postings::One(id), len });
        self.tags[tag as usize].pairs.push(new);
        self.bytes += PAIR_BYTES + value.len() + size_of::<u32>();
        new
    }

    /// Adds a series to a pair that exists.
    pub(super) fn add_series(&mut self, pair: u32, id: SeriesId) {
        let pair = &mut self.pairs[pair as usize];
        match pair.series {
            Postings::One(first) if first == id => {}
            Postings::One(first) => {
                pair.series = Postings::Many(number(self.many.len()));
                self.many.push([first, id].into_iter().collect());
                self.bytes += size_of::<RoaringBitmap>() + 64;
            }
            Postings::Many(at) => {
                // An id in a set costs two bytes, and less when it is dense.
                self.bytes += 2;
                self.many[at as usize].insert(id);
            }
        }
    }

    fn add_to(&self, pair: u32, set: &mut RoaringBitmap) {
        match self.pairs[pair as usize].series {
            Postings::One(id) => {
                set.insert(id);
            }
            Postings::Many(at) => *set |= &self.many[at as usize],
        }
    }

    /// Visits the values of a tag with their series.
    pub(super) fn each_value(&self, tag: &[u8], visit: &mut dyn FnMut(&[u8], RoaringBitmap)) {
        let Some(tag) = self.tag(tag) else { return };
        for &pair in self.of_tag(tag) {
            let mut series = RoaringBitmap::new();
            self.add_to(pair, &mut series);
            visit(self.value(pair), series);
        }
    }

    /// Adds the series whose value of a tag passes. Series without the tag are not asked.
    pub(super) fn matching(&self, tag: &[u8], test: &Test, set: &mut RoaringBitmap) {
        let Some(tag) = self.tag(tag) else { return };
        let mut exact = |value: &str| {
            if let Some(pair) = self.find(tag, value.as_bytes()) {
                self.add_to(pair, set);
            }
        };
        match test {
            Test::Eq(value) => exact(value),
            Test::In(values) => values.iter().for_each(|value| exact(value)),
            Test::NotEq(_) | Test::Matches(_) | Test::NotMatches(_) => {
                for &pair in self.of_tag(tag) {
                    if std::str::from_utf8(self.value(pair)).is_ok_and(|value| test.accepts(value)) {
                        self.add_to(pair, set);
                    }
                }
            }
        }
    }
}

fn text_of<'a>(text: &'a [u8], pair: &Pair) -> &'a [u8] {
    let at = pair.at as usize;
    &text[at..at + usize::from(pair.len)]
}

/// Numbers of pairs, tags and places in the text: a head is flushed long before it has 2^32 of them.
fn number(n: usize) -> u32 {
    u32::try_from(n).expect("a head stays below 4 GiB")
}
