//! Series keys: a measurement and its sorted tag set, in one canonical encoding.
//!
//! ```text
//! | len | measurement | number of tags | len | key | len | value | len | key | ...     (lengths: varints)
//! ```
//! Tags are sorted by key, keys are distinct and not empty, values are not empty, all is UTF-8. Equal series
//! have equal bytes, so the bytes are hashed, compared and stored. Order is by measurement, then tag by tag.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::ids::{BucketId, PartitionId};
use crate::varint;

#[cfg(test)]
mod tests;

/// The longest canonical key, in bytes (InfluxDB's limit of series key and field is 65,535).
pub const KEY_BYTES_MAX: usize = 65_535;

/// A measurement and its sorted tags. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SeriesKey(Arc<[u8]>);

/// Why parts do not make a series key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SeriesKeyError {
    /// The measurement is empty.
    #[error("missing measurement")]
    MissingMeasurement,
    /// A tag key is empty.
    #[error("missing tag key")]
    MissingTagKey,
    /// A tag value is empty.
    #[error("missing tag value")]
    MissingTagValue,
    /// A tag key occurs twice.
    #[error("duplicate tags")]
    DuplicateTags,
    /// More than [`KEY_BYTES_MAX`] bytes.
    #[error("max key length exceeded: {0} > 65535")]
    TooLong(usize),
    /// Bytes that are not the canonical encoding.
    #[error("series key bytes are not canonical")]
    NotCanonical,
}

impl SeriesKey {
    /// Builds the key of a measurement and its tags in any order.
    pub fn new(measurement: &str, tags: &[(&str, &str)]) -> Result<Self, SeriesKeyError> {
        let mut sorted = tags.to_vec();
        sorted.sort_unstable();
        let mut bytes = Vec::with_capacity(64);
        Self::encode_into(&mut bytes, measurement, &sorted)?;
        Ok(Self(bytes.into()))
    }

    /// Appends the canonical encoding; `tags` must be sorted by key. Checks all but that.
    pub fn encode_into(
        out: &mut Vec<u8>,
        measurement: &str,
        tags: &[(&str, &str)],
    ) -> Result<(), SeriesKeyError> {
        if measurement.is_empty() {
            return Err(SeriesKeyError::MissingMeasurement);
        }
        let start = out.len();
        varint::put_bytes(out, measurement.as_bytes());
        varint::put(out, tags.len() as u64);
        for (i, (key, value)) in tags.iter().enumerate() {
            if key.is_empty() {
                return Err(SeriesKeyError::MissingTagKey);
            }
            if value.is_empty() {
                return Err(SeriesKeyError::MissingTagValue);
            }
            if i > 0 && tags[i - 1].0 == *key {
                return Err(SeriesKeyError::DuplicateTags);
            }
            varint::put_bytes(out, key.as_bytes());
            varint::put_bytes(out, value.as_bytes());
        }
        let len = out.len() - start;
        if len > KEY_BYTES_MAX { Err(SeriesKeyError::TooLong(len)) } else { Ok(()) }
    }

    /// Takes bytes that another process or a disk claims to be a canonical key, and checks the claim.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SeriesKeyError> {
        // A length in more bytes than it needs would be a second encoding of the same key.
        fn number(input: &mut &[u8]) -> Option<u64> {
            let before = input.len();
            let value = varint::take(input)?;
            (before - input.len() == varint::len(value)).then_some(value)
        }
        fn text<'a>(input: &mut &'a [u8]) -> Option<&'a str> {
            let len = usize::try_from(number(input)?).ok()?;
            let (bytes, rest) = input.split_at_checked(len)?;
            *input = rest;
            std::str::from_utf8(bytes).ok().filter(|s| !s.is_empty())
        }
        fn check(mut input: &[u8]) -> Option<()> {
            text(&mut input)?;
            let count = number(&mut input)?;
            let mut previous = "";
            for _ in 0..count {
                let key = text(&mut input)?;
                text(&mut input)?;
                if key <= previous {
                    return None;
                }
                previous = key;
            }
            input.is_empty().then_some(())
        }
        if bytes.len() > KEY_BYTES_MAX {
            return Err(SeriesKeyError::TooLong(bytes.len()));
        }
        check(bytes).ok_or(SeriesKeyError::NotCanonical)?;
        Ok(Self(bytes.into()))
    }

    /// Takes bytes that [`SeriesKey::encode_into`] wrote.
    pub(crate) fn from_canonical(bytes: &[u8]) -> Self {
        debug_assert!(Self::from_bytes(bytes).is_ok(), "not canonical");
        Self(bytes.into())
    }

    /// The canonical encoding.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The measurement.
    pub fn measurement(&self) -> &str {
        take_text(&mut &self.0[..])
    }

    /// The tags, sorted by key.
    pub fn tags(&self) -> Tags<'_> {
        let mut input = &self.0[..];
        take_text(&mut input);
        let left = varint::take(&mut input).expect("checked when the key was built");
        Tags { input, left }
    }

    /// The value of one tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags().find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    /// The hash that places the series: xxh3-64 of the canonical bytes, seeded with the bucket (which alone
    /// determines the organization).
    pub fn hash(&self, bucket: BucketId) -> u64 {
        hash_bytes(bucket, &self.0)
    }

    /// The partition of the series: the top bits of its hash. `partitions` is a power of two.
    pub fn partition(&self, bucket: BucketId, partitions: u16) -> PartitionId {
        partition_of_hash(self.hash(bucket), partitions)
    }
}

/// See [`SeriesKey::hash`]; for canonical bytes that are not a `SeriesKey` yet.
pub fn hash_bytes(bucket: BucketId, canonical: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(canonical, bucket.get())
}

/// The partition of a series hash: its top bits.
pub fn partition_of_hash(hash: u64, partitions: u16) -> PartitionId {
    debug_assert!(partitions.is_power_of_two());
    let bits = partitions.trailing_zeros();
    let top = if bits == 0 { 0 } else { hash >> (64 - bits) };
    PartitionId(u16::try_from(top).expect("fewer than 16 bits"))
}

fn take_text<'a>(input: &mut &'a [u8]) -> &'a str {
    let bytes = varint::take_bytes(input).expect("checked when the key was built");
    std::str::from_utf8(bytes).expect("checked when the key was built")
}

/// Iterates over the tags of a key.
#[derive(Debug, Clone)]
pub struct Tags<'a> {
    input: &'a [u8],
    left: u64,
}

impl<'a> Iterator for Tags<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let key = take_text(&mut self.input);
        Some((key, take_text(&mut self.input)))
    }
}

impl Ord for SeriesKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.measurement().cmp(other.measurement()).then_with(|| self.tags().cmp(other.tags()))
    }
}

impl PartialOrd for SeriesKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SeriesKey {
    /// The series as line protocol writes it, with its escapes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn escaped(f: &mut fmt::Formatter<'_>, text: &str, special: &[char]) -> fmt::Result {
            for c in text.chars() {
                if special.contains(&c) {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            Ok(())
        }
        escaped(f, self.measurement(), &[',', ' '])?;
        for (key, value) in self.tags() {
            f.write_str(",")?;
            escaped(f, key, &[',', '=', ' '])?;
            f.write_str("=")?;
            escaped(f, value, &[',', '=', ' '])?;
        }
        Ok(())
    }
}

impl fmt::Debug for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeriesKey({self})")
    }
}
