//! The series in key order, kept lazily: new ones wait unsorted until someone asks.

use std::cmp::Ordering;
use std::sync::Arc;

use model::{SeriesKey, varint};

use super::SeriesId;

/// Order of keys, the same as [`SeriesKey`]'s own, without checking UTF-8 again: by measurement, then tag by tag.
pub(crate) fn compare(a: &SeriesKey, b: &SeriesKey) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    let text = |input: &mut &'_ [u8]| -> usize {
        // The keys were checked when they were built, so nothing is missing.
        varint::take(input).and_then(|n| usize::try_from(n).ok()).unwrap_or(0).min(input.len())
    };
    let mut first = true;
    loop {
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len());
        }
        let (len_a, len_b) = (text(&mut a), text(&mut b));
        let ((text_a, rest_a), (text_b, rest_b)) = (a.split_at(len_a), b.split_at(len_b));
        match text_a.cmp(text_b) {
            Ordering::Equal => (a, b) = (rest_a, rest_b),
            decided => return decided,
        }
        if std::mem::take(&mut first) {
            // The numbers of tags do not take part: the key that ends first is the smaller.
            varint::take(&mut a);
            varint::take(&mut b);
        }
    }
}

/// Ids in key order, and a tail that is not sorted in yet.
#[derive(Debug, Default)]
pub(super) struct Order {
    sorted: Arc<Vec<SeriesId>>,
    tail: Vec<SeriesId>,
}

impl Order {
    pub(super) fn push(&mut self, id: SeriesId) {
        self.tail.push(id);
    }

    pub(super) fn retain(&mut self, is_live: impl Fn(SeriesId) -> bool) {
        self.tail.retain(|id| is_live(*id));
        Arc::make_mut(&mut self.sorted).retain(|id| is_live(*id));
    }

    /// All ids in key order.
    pub(super) fn sorted<'a>(
        &mut self,
        key: impl Fn(SeriesId) -> Option<&'a SeriesKey>,
    ) -> Arc<Vec<SeriesId>> {
        let by_key = |a: SeriesId, b: SeriesId| match (key(a), key(b)) {
            (Some(a), Some(b)) => compare(a, b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        if !self.tail.is_empty() {
            self.tail.sort_by(|a, b| by_key(*a, *b));
            let old = std::mem::take(&mut self.sorted);
            let mut all = Vec::with_capacity(old.len() + self.tail.len());
            let mut new = self.tail.drain(..).peekable();
            for &id in old.iter() {
                while let Some(next) = new.next_if(|next| by_key(*next, id).is_lt()) {
                    all.push(next);
                }
                all.push(id);
            }
            all.extend(new);
            self.sorted = Arc::new(all);
        }
        Arc::clone(&self.sorted)
    }
}
