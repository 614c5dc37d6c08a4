//! Damaged and hostile segments.

use std::path::Path;
use std::sync::Arc;

use model::{BucketId, SeriesKey, Test};
use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::super::key::MEASUREMENT;
use super::super::{Encoded, SeriesIndex, merge};
use super::Segment;
use super::format::{Footer, HEADER, KIND};
use crate::manifest::IndexEntry;
use crate::tsm::format::{TRAILER_BYTES, Trailer, checksum};

fn bucket() -> BucketId {
    BucketId::new(1).unwrap()
}

fn keys() -> Vec<SeriesKey> {
    let key = |i: u32| {
        let (host, zone) = (format!("host-{}", i * 7 % 100), format!("zone-{}", i % 3));
        let tags = [("host", host.as_str()), ("zone", zone.as_str())];
        SeriesKey::new(if i.is_multiple_of(5) { "mem" } else { "cpu" }, &tags[..1 + (i % 2) as usize])
            .unwrap()
    };
    (0..100).map(key).collect()
}

fn encoded() -> Encoded {
    let mut index = SeriesIndex::default();
    for key in keys() {
        index.register(&key, key.hash(bucket()));
    }
    index.freeze().unwrap().encode(bucket()).0.unwrap()
}

fn entry(encoded: &Encoded) -> IndexEntry {
    encoded.entry(1)
}

#[test]
fn any_flipped_bit_is_noticed_when_a_segment_is_opened() {
    let encoded = encoded();
    let entry = entry(&encoded);
    for at in 0..encoded.bytes.len() {
        let mut bytes = encoded.bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        Segment::of_bytes(bytes, Path::new("/s"), &entry).unwrap_err();
    }
    for len in 0..encoded.bytes.len() {
        Segment::of_bytes(encoded.bytes[..len].to_vec(), Path::new("/s"), &entry).unwrap_err();
    }
}

/// Asks everything that can be asked.
fn exercise(segment: &Segment) {
    let mut set = RoaringBitmap::new();
    for tag in [MEASUREMENT, b"host", b"zone", b"none"] {
        segment.having(tag, &mut set);
        segment.matching(tag, &Test::Eq("host-7".into()), &mut set);
        segment.matching(tag, &Test::NotEq("host-7".into()), &mut set);
    }
    for place in 0..110 {
        segment.key_at(place);
        segment.id_at(place);
        segment.key(place);
    }
    for key in keys() {
        segment.find(&key, key.hash(bucket()), |_| true);
    }
    let mut rows = segment.rows();
    while rows.next().is_some() {}
    segment.places(&(0..1000).collect());
    let copy = Segment::of_bytes(segment.bytes.clone(), Path::new("/s"), &segment.entry).unwrap();
    merge(&[Arc::new(copy)], &(0..1000).collect(), bucket());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes that are wrong under checksums that are right.
    #[test]
    fn bytes_with_sound_checksums_never_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        in_footer in any::<bool>(),
    ) {
        let encoded = encoded();
        let entry = entry(&encoded);
        let mut bytes = encoded.bytes;
        let trailer = Trailer::decode(bytes.last_chunk().unwrap(), &KIND).unwrap();
        let footer_at = usize::try_from(trailer.footer_offset).unwrap();
        let footer_len = bytes.len() - TRAILER_BYTES - footer_at;
        for (at, byte) in flips {
            let at = if in_footer { footer_at + at.index(footer_len) } else { 8 + at.index(footer_at - 8) };
            bytes[at] = byte;
        }
        reseal(&mut bytes, footer_at, in_footer);
        if let Ok(segment) = Segment::of_bytes(bytes, Path::new("/s"), &entry) {
            exercise(&segment);
        }
    }
}

/// Makes the checksums fit again.
fn reseal(bytes: &mut [u8], footer_at: usize, is_footer_changed: bool) {
    let trailer_at = bytes.len() - TRAILER_BYTES;
    if !is_footer_changed {
        let mut footer = Footer::decode(&bytes[footer_at..trailer_at], footer_at as u64).unwrap();
        let mut start = HEADER.len();
        for (end, sum) in &mut footer.parts {
            *sum = checksum(&bytes[start..*end]);
            start = *end;
        }
        bytes[footer_at..trailer_at].copy_from_slice(&footer.encode());
    }
    let footer = &bytes[footer_at..trailer_at];
    let trailer = Trailer {
        footer_offset: footer_at as u64,
        footer_len: u32::try_from(footer.len()).unwrap(),
        footer_checksum: checksum(footer),
    };
    bytes[trailer_at..].copy_from_slice(&trailer.encode(&KIND));
}
