//! From the text of a series (measurement and tags, as sent) to the series it means.
//!
//! The text of each series is remembered with the text that followed it last time. Senders repeat their series
//! in the same order, so most lines cost one comparison; others cost a hash, and only new texts are taken apart.

use std::borrow::Cow;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::TAGS_MAX;
use super::number::at;
use super::reason::Reason;
use super::table::Tables;
use crate::ids::BucketId;
use crate::series::{self, SeriesKey, SeriesKeyError};

/// No index yet.
pub(super) const NONE: u32 = u32::MAX;

/// Tag keys that would shadow columns of query results.
const RESERVED: [&str; 3] = ["_measurement", "_field", "time"];

/// A series as the tables know it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Index of the table.
    pub(super) table: u32,
    /// Index of the series in the table.
    pub(super) series: u32,
    /// Length of the canonical key.
    pub(super) key_bytes: u32,
}

struct RawKey<'a> {
    text: &'a [u8],
    place: Place,
    /// Index of the raw key that followed last time.
    next: u32,
}

/// The series of a body.
pub(super) struct Keys<'a> {
    bucket: BucketId,
    raws: Vec<RawKey<'a>>,
    by_text: HashMap<&'a [u8], u32, DefaultHashBuilder>,
    by_canonical: HashTable<(u64, Place)>,
    /// Raw key of the previous line.
    previous: u32,
    canonical: Vec<u8>,
    tags: Vec<(&'a str, &'a str)>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(bucket: BucketId) -> Self {
        Self {
            bucket,
            raws: Vec::new(),
            by_text: HashMap::default(),
            by_canonical: HashTable::new(),
            previous: NONE,
            canonical: Vec::new(),
            tags: Vec::new(),
        }
    }

    /// The series whose text begins at `start`, and the position of the space that ends it.
    #[inline(always)]
    pub(super) fn find(
        &mut self,
        text: &'a str,
        start: usize,
        tables: &mut Tables<'a>,
    ) -> Result<(Place, usize), Reason> {
        let guess = self.raws.get(self.previous as usize).map_or(NONE, |raw| raw.next);
        if let Some(raw) = self.raws.get(guess as usize) {
            let end = start + raw.text.len();
            // A raw key never ends in a backslash, so the space after it is not escaped.
            if text.as_bytes().get(start..end) == Some(raw.text) && at(text.as_bytes(), end) == b' ' {
                self.previous = guess;
                return Ok((raw.place, end));
            }
        }
        self.look_up(text, start, tables)
    }

    #[inline(never)]
    fn look_up(
        &mut self,
        text: &'a str,
        start: usize,
        tables: &mut Tables<'a>,
    ) -> Result<(Place, usize), Reason> {
        let end = key_end(text.as_bytes(), start);
        let raw = text.as_bytes().get(start..end).unwrap_or_default();
        let complete = at(text.as_bytes(), end) == b' ';
        let index = match self.by_text.get(raw) {
            Some(&index) if complete => index,
            _ => {
                let place = self.place(text.get(start..end).unwrap_or_default(), tables)?;
                if !complete {
                    return Err(Reason::MissingFields);
                }
                let index = u32::try_from(self.raws.len()).map_err(|_full| Reason::TooManyCells)?;
                self.raws.push(RawKey { text: raw, place, next: index });
                self.by_text.insert(raw, index);
                index
            }
        };
        if let Some(previous) = self.raws.get_mut(self.previous as usize) {
            previous.next = index;
        }
        self.previous = index;
        let raw = self.raws.get(index as usize).ok_or(Reason::MissingMeasurement)?;
        Ok((raw.place, end))
    }

    /// Finds or creates the series of a text that was not seen before.
    fn place(&mut self, raw: &'a str, tables: &mut Tables<'a>) -> Result<Place, Reason> {
        self.canonical.clear();
        canonical_key(raw, &mut self.tags, &mut self.canonical)?;
        let hash = series::hash_bytes(self.bucket, &self.canonical);
        let same = |(h, place): &(u64, Place)| {
            *h == hash && tables.key(*place).is_some_and(|key| key.as_bytes() == self.canonical)
        };
        if let Some((_, place)) = self.by_canonical.find(hash, same) {
            return Ok(*place);
        }
        let place = tables.add_series(SeriesKey::from_canonical(&self.canonical), hash)?;
        self.by_canonical.insert_unique(hash, (hash, place), |(h, _)| *h);
        Ok(place)
    }
}

/// The end of the series text that begins at `start`: an unescaped space, or the end of the line.
fn key_end(bytes: &[u8], start: usize) -> usize {
    let mut pos = start;
    while let Some(found) = memchr::memchr2(b' ', b'\n', bytes.get(pos..).unwrap_or_default()) {
        let end = pos + found;
        let escaped = end > start && at(bytes, end - 1) == b'\\';
        if at(bytes, end) == b'\n' {
            // `\r` before the line end belongs to the line end.
            return if end > start && at(bytes, end - 1) == b'\r' { end - 1 } else { end };
        }
        if !escaped {
            return end;
        }
        pos = end + 1;
    }
    if bytes.len() > start && at(bytes, bytes.len() - 1) == b'\r' { bytes.len() - 1 } else { bytes.len() }
}

/// Takes the text of a series apart, in the order in which InfluxDB finds faults, and appends the canonical key.
/// `tags` is room to work in.
fn canonical_key<'a>(
    raw: &'a str,
    tags: &mut Vec<(&'a str, &'a str)>,
    out: &mut Vec<u8>,
) -> Result<(), Reason> {
    tags.clear();
    let (measurement, mut rest) = match split_from(raw, 0, b',', b',') {
        (name, Some((_, rest))) => (name, Some(rest)),
        (name, None) => (name, None),
    };
    if measurement.is_empty() {
        return Err(Reason::MissingMeasurement);
    }
    while let Some(tag) = rest {
        let (key, value) = match split_from(tag, 0, b'=', b',') {
            ("", _) => return Err(Reason::MissingTagKey),
            (key, Some((b'=', value))) => (key, value),
            (_, _) => return Err(Reason::MissingTagValue),
        };
        // InfluxDB looks at the first byte of a value only to see that there is one.
        if matches!(value.as_bytes().first(), None | Some(b',')) {
            return Err(Reason::MissingTagValue);
        }
        let (value, after) = match split_from(value, 1, b'=', b',') {
            (value, None) => (value, None),
            (value, Some((b',', after))) => (value, Some(after)),
            (_, Some(_)) => return Err(Reason::InvalidTagFormat),
        };
        tags.push((key, value));
        rest = after;
    }
    if tags.len() > TAGS_MAX {
        return Err(Reason::TooManyTags(tags.len()));
    }
    if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
        return encode(measurement, tags, out);
    }
    let unescaped: Vec<_> =
        tags.iter().map(|(key, value)| (unescape(key, b",= "), unescape(value, b",= "))).collect();
    let mut tags: Vec<(&str, &str)> = unescaped.iter().map(|(key, value)| (&**key, &**value)).collect();
    encode(&unescape(measurement, b", "), &mut tags, out)
}

fn encode(measurement: &str, tags: &mut [(&str, &str)], out: &mut Vec<u8>) -> Result<(), Reason> {
    for (key, _) in &*tags {
        if let Some(reserved) = RESERVED.into_iter().find(|reserved| reserved == key) {
            return Err(Reason::ReservedTagKey(reserved));
        }
    }
    if !tags.is_sorted_by(|a, b| a.0 < b.0) {
        tags.sort_unstable();
    }
    SeriesKey::encode_into(out, measurement, tags).map_err(|e| match e {
        SeriesKeyError::MissingMeasurement => Reason::MissingMeasurement,
        SeriesKeyError::MissingTagKey => Reason::MissingTagKey,
        SeriesKeyError::MissingTagValue => Reason::MissingTagValue,
        SeriesKeyError::DuplicateTags | SeriesKeyError::NotCanonical => Reason::DuplicateTags,
        SeriesKeyError::TooLong(len) => Reason::KeyTooLong(len),
    })
}

/// Splits at the first of two bytes that no backslash precedes, looking only at bytes from `from` on (which may
/// lie inside of a character).
fn split_from(text: &str, from: usize, a: u8, b: u8) -> (&str, Option<(u8, &str)>) {
    let bytes = text.as_bytes();
    let mut pos = from;
    while let Some(found) = memchr::memchr2(a, b, bytes.get(pos..).unwrap_or_default()) {
        let stop = pos + found;
        if stop == 0 || at(bytes, stop - 1) != b'\\' {
            return (&text[..stop], Some((at(bytes, stop), &text[stop + 1..])));
        }
        pos = stop + 1;
    }
    (text, None)
}

/// Removes each backslash that stands before a byte of `special`; any other backslash is itself.
pub(super) fn unescape<'t>(text: &'t str, special: &[u8]) -> Cow<'t, str> {
    let bytes = text.as_bytes();
    let is_escape = |i: usize| at(bytes, i) == b'\\' && bytes.get(i + 1).is_some_and(|b| special.contains(b));
    if !memchr::memchr_iter(b'\\', bytes).any(is_escape) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for i in memchr::memchr_iter(b'\\', bytes).filter(|&i| is_escape(i)) {
        out.push_str(&text[copied..i]);
        copied = i + 1;
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}
