//! The ids of the series that share something. One id needs no allocation.

use roaring::RoaringBitmap;

use super::SeriesId;

/// A set of series; never empty while it is kept.
#[derive(Debug)]
pub(super) enum Postings {
    One(SeriesId),
    Many(Box<RoaringBitmap>),
}

impl Postings {
    pub(super) fn insert(&mut self, id: SeriesId) {
        match self {
            Self::One(first) => {
                if *first != id {
                    *self = Self::Many(Box::new([*first, id].into_iter().collect()));
                }
            }
            Self::Many(ids) => {
                ids.insert(id);
            }
        }
    }

    /// Removes an id; says whether nothing is left.
    pub(super) fn remove(&mut self, id: SeriesId) -> bool {
        match self {
            Self::One(only) => *only == id,
            Self::Many(ids) => {
                ids.remove(id);
                ids.is_empty()
            }
        }
    }

    pub(super) fn add_to(&self, set: &mut RoaringBitmap) {
        match self {
            Self::One(id) => {
                set.insert(*id);
            }
            Self::Many(ids) => *set |= &**ids,
        }
    }
}
