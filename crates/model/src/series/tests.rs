use proptest::prelude::*;

use super::*;

fn key(measurement: &str, tags: &[(&str, &str)]) -> SeriesKey {
    SeriesKey::new(measurement, tags).expect("valid")
}

#[test]
fn tags_are_sorted_and_equal_series_have_equal_bytes() {
    let a = key("m", &[("b", "2"), ("a", "1")]);
    assert_eq!(a, key("m", &[("a", "1"), ("b", "2")]));
    assert_eq!(a.tags().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    assert_eq!((a.measurement(), a.tag("b"), a.tag("c")), ("m", Some("2"), None));
}

#[test]
fn parts_that_are_no_key_are_refused() {
    for (measurement, tags, why) in [
        ("", &[][..], SeriesKeyError::MissingMeasurement),
        ("m", &[("", "v")], SeriesKeyError::MissingTagKey),
        ("m", &[("k", "")], SeriesKeyError::MissingTagValue),
        ("m", &[("k", "1"), ("a", "x"), ("k", "2")], SeriesKeyError::DuplicateTags),
    ] {
        assert_eq!(SeriesKey::new(measurement, tags), Err(why));
    }
    let long = "x".repeat(KEY_BYTES_MAX);
    assert!(matches!(SeriesKey::new(&long, &[]), Err(SeriesKeyError::TooLong(_))));
}

#[test]
fn only_canonical_bytes_are_taken() {
    let good = key("m", &[("a", "1"), ("b", "2")]);
    assert_eq!(SeriesKey::from_bytes(good.as_bytes()), Ok(good));
    for bad in [
        &b""[..],
        b"\0\0",
        b"\x01m",
        b"\x01m\x01",
        b"\x01m\0x",
        b"\x01m\x02\x01b\x012\x01a\x011",
        b"\x01m\x02\x01a\x011\x01a\x012",
        b"\x01m\x01\0\x011",
        b"\x01m\x01\x01a\0",
        b"\x01\xff\0",
        b"\x81\0m\0",
        b"\x01m\x80\0",
    ] {
        assert_eq!(SeriesKey::from_bytes(bad), Err(SeriesKeyError::NotCanonical), "{bad:?}");
    }
}

#[test]
fn keys_are_shown_as_line_protocol() {
    let shown = key("a,b c=d", &[("k,=x", "v w"), ("é", "\\")]).to_string();
    assert_eq!(shown, "a\\,b\\ c=d,k\\,\\=x=v\\ w,é=\\");
}

#[test]
fn order_is_by_measurement_then_tag_by_tag() {
    let sorted = [
        key("a", &[]),
        key("a", &[("a", "1")]),
        key("a", &[("a", "1"), ("b", "1")]),
        key("a", &[("a", "10")]),
        key("a", &[("b", "0")]),
        key("aa", &[]),
        key("b", &[]),
    ];
    assert!(sorted.is_sorted_by(|a, b| a < b));
}

#[test]
fn partitions_are_the_top_bits_of_the_hash() {
    assert_eq!(partition_of_hash(u64::MAX, 1), PartitionId(0));
    assert_eq!(partition_of_hash(u64::MAX, 64), PartitionId(63));
    assert_eq!(partition_of_hash(1 << 63, 2), PartitionId(1));
    assert_eq!(partition_of_hash((1 << 63) - 1, 2), PartitionId(0));
    assert_eq!(partition_of_hash(u64::MAX, 1 << 15), PartitionId((1 << 15) - 1));
}

#[test]
fn the_hash_of_a_key_never_changes() {
    // Data lies where this hash put it: a change here loses data.
    let bucket = BucketId::new(0x0123_4567_89ab_cdef).expect("not zero");
    let hash = key("cpu", &[("host", "a"), ("region", "eu")]).hash(bucket);
    assert_eq!(format!("{hash:016x}"), "e75d0df302d6a95e");
    assert_ne!(
        hash,
        key("cpu", &[("host", "a"), ("region", "eu")]).hash(BucketId::new(1).expect("not zero"))
    );
}

proptest! {
    #[test]
    fn keys_survive_their_bytes(m in "\\PC{1,9}", tags in prop::collection::btree_map("\\PC{1,5}", "\\PC{1,5}", 0..5)) {
        let tags: Vec<_> = tags.iter().map(|(k, v)| (&**k, &**v)).collect();
        let mut reversed = tags.clone();
        reversed.reverse();
        let key = key(&m, &reversed);
        prop_assert_eq!(key.measurement(), &m);
        prop_assert_eq!(key.tags().collect::<Vec<_>>(), tags);
        prop_assert_eq!(SeriesKey::from_bytes(key.as_bytes()), Ok(key));
    }

    #[test]
    fn any_bytes_are_refused_or_canonical(bytes in prop::collection::vec(0..6_u8, 0..30)) {
        if let Ok(key) = SeriesKey::from_bytes(&bytes) {
            let tags: Vec<_> = key.tags().collect();
            prop_assert_eq!(SeriesKey::new(key.measurement(), &tags), Ok(key.clone()));
        }
    }
}
