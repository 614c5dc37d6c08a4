//! The series index of one bucket in one replica: keys to ids, and tags to the series that have them.
//!
//! ```text
//!  key hash -> id -> key                 ids count up from 0 and are never reused while the engine is open
//!  measurement -> postings
//!  tag key -> { postings of all with the key, value -> postings }
//! ```
//! The index is rebuilt from the series tables of the files at open, and holds a series as long as some shard
//! has rows of it.

use std::sync::Arc;

use hashbrown::{HashMap, HashTable};
use model::SeriesKey;
use parking_lot::Mutex;
use roaring::RoaringBitmap;

mod order;
mod postings;
mod select;
#[cfg(test)]
mod tests;

use order::Order;
pub(crate) use order::compare as compare_keys;
use postings::Postings;
pub(crate) use select::Selection;

/// A series within one bucket of one engine, as long as it is open.
pub(crate) type SeriesId = u32;

#[derive(Debug)]
struct Series {
    hash: u64,
    key: SeriesKey,
}

#[derive(Debug, Default)]
struct Tag {
    all: RoaringBitmap,
    values: HashMap<Box<str>, Postings>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct SeriesIndex {
    /// By id; `None` where the series is gone.
    series: Vec<Option<Series>>,
    by_hash: HashTable<SeriesId>,
    live: RoaringBitmap,
    measurements: HashMap<Box<str>, Postings>,
    tags: HashMap<Box<str>, Tag>,
    order: Mutex<Order>,
}

impl SeriesIndex {
    /// The id of a key with its hash, and whether it is new.
    pub(crate) fn register(&mut self, key: &SeriesKey, hash: u64) -> SeriesId {
        let series = &self.series;
        let same =
            |id: &SeriesId| series[*id as usize].as_ref().is_some_and(|s| s.hash == hash && s.key == *key);
        if let Some(id) = self.by_hash.find(hash, same) {
            return *id;
        }
        let id = SeriesId::try_from(self.series.len()).expect("an engine sees fewer than 2^32 series");
        self.series.push(Some(Series { hash, key: key.clone() }));
        let series = &self.series;
        self.by_hash.insert_unique(hash, id, |id| series[*id as usize].as_ref().map_or(0, |s| s.hash));
        self.live.insert(id);
        add(&mut self.measurements, key.measurement(), id);
        for (tag, value) in key.tags() {
            let tag = match self.tags.get_mut(tag) {
                Some(tag) => tag,
                None => self.tags.entry(tag.into()).or_default(),
            };
            tag.all.insert(id);
            add(&mut tag.values, value, id);
        }
        self.order.get_mut().push(id);
        id
    }

    /// The key of a live series.
    pub(crate) fn key(&self, id: SeriesId) -> Option<&SeriesKey> {
        self.series.get(id as usize)?.as_ref().map(|s| &s.key)
    }

    /// Number of live series.
    pub(crate) fn len(&self) -> u64 {
        self.live.len()
    }

    /// Forgets series.
    pub(crate) fn remove(&mut self, ids: &RoaringBitmap) {
        for id in ids {
            let Some(series) = self.series.get_mut(id as usize).and_then(Option::take) else { continue };
            if let Ok(entry) = self.by_hash.find_entry(series.hash, |other| *other == id) {
                entry.remove();
            }
            self.live.remove(id);
            subtract(&mut self.measurements, series.key.measurement(), id);
            for (tag_key, value) in series.key.tags() {
                if let Some(tag) = self.tags.get_mut(tag_key) {
                    tag.all.remove(id);
                    subtract(&mut tag.values, value, id);
                    if tag.values.is_empty() {
                        self.tags.remove(tag_key);
                    }
                }
            }
        }
        if !ids.is_empty() {
            let series = &self.series;
            self.order.get_mut().retain(|id| series[id as usize].is_some());
        }
    }

    /// The series of a set with their keys, in key order.
    pub(crate) fn sorted(&self, ids: &RoaringBitmap) -> Vec<(SeriesId, SeriesKey)> {
        let order: Arc<Vec<SeriesId>> = self.order.lock().sorted(|id| self.key(id));
        let with_key = |id: SeriesId| self.key(id).map(|key| (id, key.clone()));
        // Few of many: sorting them is cheaper than walking all.
        if ids.len().saturating_mul(16) < order.len() as u64 {
            let mut few: Vec<_> = ids.iter().filter_map(with_key).collect();
            few.sort_by(|a, b| compare_keys(&a.1, &b.1));
            return few;
        }
        order.iter().filter(|id| ids.contains(**id)).filter_map(|id| with_key(*id)).collect()
    }
}

fn add(map: &mut HashMap<Box<str>, Postings>, text: &str, id: SeriesId) {
    match map.get_mut(text) {
        Some(postings) => postings.insert(id),
        None => {
            map.insert(text.into(), Postings::One(id));
        }
    }
}

fn subtract(map: &mut HashMap<Box<str>, Postings>, text: &str, id: SeriesId) {
    if let Some(postings) = map.get_mut(text)
        && postings.remove(id)
    {
        map.remove(text);
    }
}
