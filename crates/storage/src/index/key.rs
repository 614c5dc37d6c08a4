//! Series keys as texts: the measurement, then key and value of each tag, without checking UTF-8 again.

use std::cmp::Ordering;

use model::{SeriesKey, varint};

/// The tag key under which the index keeps measurements. No tag has it: keys of tags are not empty.
pub(super) const MEASUREMENT: &[u8] = b"";

/// The parts of a key: the measurement as the value of the empty tag key, then the tags.
pub(super) fn parts(key: &SeriesKey) -> Parts<'_> {
    let mut input = key.as_bytes();
    // The keys were checked when they were built, so nothing is missing.
    let measurement = varint::take_bytes(&mut input).unwrap_or_default();
    varint::take(&mut input);
    Parts { measurement: Some(measurement), input }
}

/// See [`parts`].
#[derive(Debug, Clone)]
pub(super) struct Parts<'a> {
    measurement: Option<&'a [u8]>,
    input: &'a [u8],
}

impl<'a> Iterator for Parts<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(measurement) = self.measurement.take() {
            return Some((MEASUREMENT, measurement));
        }
        let key = varint::take_bytes(&mut self.input)?;
        Some((key, varint::take_bytes(&mut self.input)?))
    }
}

/// Puts a canonical key together from its parts.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    measurement: Vec<u8>,
    tags: Vec<u8>,
    count: u64,
}

impl Assembly {
    pub(super) fn push(&mut self, tag: &[u8], value: &[u8]) {
        if tag.is_empty() {
            varint::put_bytes(&mut self.measurement, value);
        } else {
            varint::put_bytes(&mut self.tags, tag);
            varint::put_bytes(&mut self.tags, value);
            self.count += 1;
        }
    }

    /// The key; `None` when the parts do not make one. Begins anew.
    pub(super) fn take(&mut self) -> Option<SeriesKey> {
        varint::put(&mut self.measurement, std::mem::take(&mut self.count));
        self.measurement.append(&mut self.tags);
        let key = SeriesKey::from_bytes(&self.measurement).ok();
        self.measurement.clear();
        key
    }
}

/// Order of keys, the same as [`SeriesKey`]'s own: by measurement, then tag by tag; a key that ends first is the
/// smaller.
pub(crate) fn compare(a: &SeriesKey, b: &SeriesKey) -> Ordering {
    parts(a).cmp(parts(b))
}
