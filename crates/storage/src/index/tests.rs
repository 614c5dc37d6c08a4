//! The index against predicates evaluated one series at a time.

use model::{BucketId, Predicate, SeriesKey, Subject, Test};
use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::{SeriesIndex, compare_keys};

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

#[test]
fn ids_are_stable_and_sorted_sets_come_in_key_order() {
    let mut index = SeriesIndex::default();
    let mut all = keys();
    all.reverse();
    for (id, key) in (0..).zip(&all) {
        assert_eq!(index.register(key, key.hash(bucket())), id);
        assert_eq!(index.register(key, key.hash(bucket())), id);
        // Sorting now and then lets new ids meet sorted ones.
        if id % 5 == 0 {
            index.sorted(&index.live.clone());
        }
    }
    let sorted: Vec<_> = index.sorted(&index.live.clone()).into_iter().map(|(_, key)| key).collect();
    all.sort();
    assert_eq!(sorted, all);
}

#[test]
fn removed_series_leave_no_trace_and_come_back_with_new_ids() {
    let mut index = filled();
    let gone: RoaringBitmap = index.live.iter().filter(|id| id % 3 != 0).collect();
    let kept = index.live.len() - gone.len();
    index.remove(&gone);
    assert_eq!(index.len(), kept);
    assert_eq!(index.sorted(&index.live.clone()).len() as u64, kept);
    let any_host = Predicate::Compare(Subject::Tag("host".into()), Test::NotEq(String::new()));
    assert!(index.select(&any_host).some.is_disjoint(&gone));
    let everything = index.live.clone();
    index.remove(&everything);
    assert!(index.tags.is_empty() && index.measurements.is_empty() && index.by_hash.is_empty());
    let key = &keys()[4];
    let id = index.register(key, key.hash(bucket()));
    assert!(!gone.contains(id) && !everything.contains(id));
    assert_eq!(index.key(id), Some(key));
}

#[test]
fn equal_hashes_are_told_apart_by_their_keys() {
    let mut index = SeriesIndex::default();
    let keys = keys();
    let ids: Vec<_> = keys.iter().map(|key| index.register(key, 7)).collect();
    assert!(ids.is_sorted_by(|a, b| a < b));
    assert_eq!(index.register(&keys[3], 7), ids[3]);
    index.remove(&RoaringBitmap::from_iter([ids[3]]));
    assert_eq!(index.register(&keys[5], 7), ids[5]);
}
