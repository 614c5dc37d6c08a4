//! The index against predicates evaluated one series at a time.

use std::path::Path;
use std::sync::Arc;

use model::{BucketId, Predicate, SeriesKey, Subject, Test};
use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::plan::{self, Size};
use super::{Encoded, Segment, SeriesId, SeriesIndex, compare_keys, merge};

fn bucket() -> BucketId {
    BucketId::new(1).unwrap()
}

fn keys() -> Vec<SeriesKey> {
    let mut keys = Vec::new();
    for measurement in ["cpu", "c", "mem"] {
        for host in ["", "a", "b", "ab"] {
            for zone in ["", "x", "y"] {
                let tags: Vec<_> =
                    [("host", host), ("zone", zone)].into_iter().filter(|(_, v)| !v.is_empty()).collect();
                keys.push(SeriesKey::new(measurement, &tags).unwrap());
            }
        }
    }
    keys
}

fn filled() -> SeriesIndex {
    let mut index = SeriesIndex::default();
    for key in keys() {
        index.register(&key, key.hash(bucket()));
    }
    index
}

fn tests() -> impl Strategy<Value = Test> {
    let text = || {
        prop::sample::select(vec!["", "a", "b", "ab", "x", "cpu", "mem", "f1", "none"]).prop_map(String::from)
    };
    let regex = prop::sample::select(vec!["a", "^$", "^(a|x)?$", "[bm]", "f"]);
    prop_oneof![
        text().prop_map(Test::Eq),
        text().prop_map(Test::NotEq),
        prop::collection::vec(text(), 0..3).prop_map(Test::In),
        regex.clone().prop_map(|r| Test::Matches(regex::Regex::new(r).unwrap())),
        regex.prop_map(|r| Test::NotMatches(regex::Regex::new(r).unwrap())),
    ]
}

fn predicates() -> impl Strategy<Value = Predicate> {
    let subject = prop_oneof![
        Just(Subject::Measurement),
        Just(Subject::Field),
        Just(Subject::Tag("host".into())),
        Just(Subject::Tag("zone".into())),
        Just(Subject::Tag("absent".into())),
    ];
    let leaf = prop_oneof![
        8 => (subject, tests()).prop_map(|(subject, test)| Predicate::Compare(subject, test)),
        1 => any::<bool>().prop_map(Predicate::Constant),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Predicate::And),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Predicate::Or),
            inner.prop_map(|p| Predicate::Not(Box::new(p))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_selection_agrees_with_the_predicate(predicate in predicates()) {
        let index = filled();
        let selection = index.select(&predicate);
        prop_assert!(selection.all.is_subset(&selection.some));
        for (id, key) in (0..).zip(keys()) {
            for field in ["f1", "f2", "a"] {
                let accepts = predicate.accepts(&key, field);
                if selection.all.contains(id) {
                    prop_assert!(accepts, "{key} {field}");
                }
                if !selection.some.contains(id) {
                    prop_assert!(!accepts, "{key} {field}");
                }
            }
            if let Some(decided) = predicate.accepts_series(&key) {
                // What does not depend on the field is decided by postings alone, unless a branch looked at it.
                prop_assert!(!decided || selection.some.contains(id));
            }
        }
    }

    #[test]
    fn the_quick_order_is_the_order_of_keys(a in 0_usize..36, b in 0_usize..36) {
        let keys = keys();
        prop_assert_eq!(compare_keys(&keys[a], &keys[b]), keys[a].cmp(&keys[b]));
    }
}

fn walked(index: &SeriesIndex, ids: &RoaringBitmap) -> Vec<(SeriesId, SeriesKey)> {
    let mut walk = index.walk(ids);
    std::iter::from_fn(|| walk.next().unwrap()).collect()
}

/// Makes a segment of the head, as a flush does.
fn flush(index: &mut SeriesIndex, number: u64) {
    let Some(frozen) = index.freeze() else { return };
    let (encoded, renumbering) = frozen.encode(bucket());
    let segment = encoded.map(|encoded| Arc::new(segment(encoded, number)));
    index.thaw(&renumbering, segment);
}

fn segment(encoded: Encoded, number: u64) -> Segment {
    let entry = encoded.entry(number);
    Segment::of_bytes(encoded.bytes, Path::new("/segment"), &entry).unwrap()
}

/// The same series in a head, in segments, in a merged segment, and in a mixture of them.
fn arrangements() -> Vec<SeriesIndex> {
    let mut all = Vec::new();
    for every in [1, 5, 12, 100] {
        let mut index = SeriesIndex::default();
        let mut keys = keys();
        // In an order that is neither that of the keys nor its reverse.
        keys.sort_by_key(|key| key.hash(bucket()));
        for (i, key) in (1..).zip(&keys) {
            index.register(key, key.hash(bucket()));
            if i % every == 0 {
                flush(&mut index, i);
            }
        }
        let inputs = index.segments().to_vec();
        if every == 5 {
            let numbers: Vec<_> = inputs.iter().map(|s| s.entry.number).collect();
            let merged = merge(&inputs, index.live(), bucket()).unwrap().unwrap();
            assert!(index.has_all(&numbers));
            index.replace(&numbers, Some(&Arc::new(segment(merged, 1000))));
        }
        if every == 12 {
            // The last part is frozen, and newer series come meanwhile.
            let key = SeriesKey::new("new", &[("zone", "x")]).unwrap();
            index.register(&key, key.hash(bucket()));
            index.freeze().unwrap();
            index.remove(&index.live().iter().max().into_iter().collect());
        }
        all.push(index);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_arrangements_select_the_same_series(predicate in predicates()) {
        let mut expected = None;
        for index in arrangements() {
            let selection = index.select(&predicate);
            let keys = |ids| walked(&index, ids).into_iter().map(|(_, key)| key).collect::<Vec<_>>();
            let found = (keys(&selection.all), keys(&selection.some));
            prop_assert_eq!(&*expected.get_or_insert_with(|| found.clone()), &found);
        }
    }
}

#[test]
fn keys_keep_their_ids_and_walks_come_in_key_order() {
    for mut index in arrangements() {
        let walk = walked(&index, &index.live().clone());
        let mut expected = keys();
        expected.sort();
        assert_eq!(walk.iter().map(|(_, key)| key.clone()).collect::<Vec<_>>(), expected);
        for (id, key) in &walk {
            assert_eq!(index.register(key, key.hash(bucket())), *id);
            let only = RoaringBitmap::from_iter([*id]);
            assert_eq!(walked(&index, &only), [(*id, key.clone())]);
        }
        let stored = index.segments().iter().map(|segment| segment.series().len()).sum::<u64>();
        let keys = index.keys();
        assert_eq!(
            walk.iter().filter(|(id, key)| keys.get(*id).as_ref() == Some(key)).count() as u64,
            stored
        );
    }
}

#[test]
fn a_flush_numbers_series_in_key_order() {
    let mut index = SeriesIndex::default();
    let mut all = keys();
    all.reverse();
    for (id, key) in (0..).zip(&all) {
        assert_eq!(index.register(key, key.hash(bucket())), id);
    }
    flush(&mut index, 1);
    let ids: Vec<_> = walked(&index, &index.live().clone()).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, (0..36).collect::<Vec<_>>());
    assert_eq!(index.head_bytes(), 0);
}

#[test]
fn removed_series_leave_no_trace_and_come_back_with_new_ids() {
    for mut index in arrangements() {
        let gone: RoaringBitmap = index.live().iter().filter(|id| id % 3 != 0).collect();
        let gone_keys = walked(&index, &gone);
        let kept = index.len() - gone.len();
        index.remove(&gone);
        assert_eq!(index.len(), kept);
        assert_eq!(walked(&index, &index.live().clone()).len() as u64, kept);
        let any_host = Predicate::Compare(Subject::Tag("host".into()), Test::NotEq(String::new()));
        assert!(index.select(&any_host).some.is_disjoint(&gone));
        let (_, key) = &gone_keys[4];
        let id = index.register(key, key.hash(bucket()));
        assert!(!gone.contains(id));
        assert_eq!(index.register(key, key.hash(bucket())), id);
        // The merge drops what is gone, and nothing else.
        let inputs = index.segments().to_vec();
        if let Some(merged) = merge(&inputs, index.live(), bucket()).unwrap() {
            let expected = walked(&index, &index.live().clone());
            let merged = segment(merged, 2000);
            assert!(merged.series().is_subset(index.live()));
            let numbers: Vec<_> = inputs.iter().map(|s| s.entry.number).collect();
            assert!(index.has_all(&numbers) && !index.has_all(&[numbers[0], 5000]));
            index.replace(&numbers, Some(&Arc::new(merged)));
            assert_eq!(walked(&index, &index.live().clone()), expected);
        }
        index.remove(&index.live().clone());
        assert!(merge(index.segments(), index.live(), bucket()).unwrap().is_none());
    }
}

#[test]
fn equal_hashes_are_told_apart_by_their_keys() {
    let mut index = SeriesIndex::default();
    let keys = keys();
    for key in &keys {
        index.register(key, 7);
    }
    for round in 0..2 {
        let ids: Vec<_> = keys.iter().map(|key| index.register(key, 7)).collect();
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len());
        index.remove(&RoaringBitmap::from_iter([ids[3]]));
        assert_eq!(index.register(&keys[5], 7), ids[5]);
        assert_ne!(index.register(&keys[3], 7), ids[3]);
        flush(&mut index, round);
    }
}

#[test]
fn an_index_opens_from_its_segments_and_misses_what_is_in_none() {
    for index in arrangements() {
        let segments = index.segments().to_vec();
        let stored = segments.iter().fold(RoaringBitmap::new(), |all, s| all | s.series());
        let live: RoaringBitmap = stored.iter().filter(|id| id % 2 == 0).collect();
        let opened = SeriesIndex::open(segments.clone(), Vec::new(), live.clone());
        let expected: Vec<_> = walked(&index, &live);
        assert_eq!(walked(&opened, opened.live()), expected);
        let unknown = super::missing(&segments, &RoaringBitmap::from_iter([1000]));
        assert_eq!(unknown.iter().collect::<Vec<_>>(), [1000]);
    }
}

#[test]
fn segments_are_merged_when_those_after_them_weigh_enough() {
    let plan = |sizes: &[(u64, u64)]| {
        plan::plan(&sizes.iter().map(|&(series, gone)| Size { series, gone }).collect::<Vec<_>>())
    };
    assert_eq!(plan(&[]), None);
    assert_eq!(plan(&[(5, 0); 3]), None);
    assert_eq!(plan(&[(5, 0); 4]), Some(0..4));
    assert_eq!(plan(&[(1000, 0), (5, 0), (5, 0), (5, 0)]), Some(1..4));
    assert_eq!(plan(&[(1000, 0), (200, 0), (50, 0), (10, 0)]), None);
    assert_eq!(plan(&[(1000, 0), (200, 150), (50, 0)]), Some(1..2));
    assert_eq!(plan(&[(1000, 400), (200, 0)]), None);
}
