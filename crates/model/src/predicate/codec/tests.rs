use proptest::prelude::*;

use super::*;

fn predicates() -> impl Strategy<Value = Predicate> {
    let text = || ".{0,8}";
    let regex =
        || prop::sample::select(vec!["a|b", "^x$", "", "[0-9]{2,}"]).prop_map(|r| Regex::new(r).unwrap());
    let subject =
        prop_oneof![Just(Subject::Measurement), Just(Subject::Field), text().prop_map(Subject::Tag),];
    let test = prop_oneof![
        text().prop_map(Test::Eq),
        text().prop_map(Test::NotEq),
        prop::collection::vec(text(), 0..4).prop_map(Test::In),
        regex().prop_map(Test::Matches),
        regex().prop_map(Test::NotMatches),
    ];
    let leaf = prop_oneof![
        any::<bool>().prop_map(Predicate::Constant),
        (subject, test).prop_map(|(subject, test)| Predicate::Compare(subject, test)),
    ];
    leaf.prop_recursive(5, 30, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Predicate::And),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Predicate::Or),
            inner.prop_map(|p| Predicate::Not(Box::new(p))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn predicates_round_trip_and_no_part_of_one_is_one(predicate in predicates()) {
        let bytes = encode(&predicate).unwrap();
        prop_assert_eq!(decode(&bytes).unwrap(), predicate);
        for len in 0..bytes.len() {
            prop_assert!(decode(&bytes[..len]).is_err());
        }
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes_or_shorter(bytes in prop::collection::vec(0_u8..8, 0..40)) {
        if let Ok(predicate) = decode(&bytes) {
            let again = encode(&predicate).unwrap();
            prop_assert!(again.len() <= bytes.len());
            prop_assert_eq!(decode(&again).unwrap(), predicate);
        }
    }
}

#[test]
fn the_bounds_hold_in_both_directions() {
    let mut deep = Predicate::TRUE;
    for _ in 1..DEPTH_MAX {
        deep = Predicate::Not(Box::new(deep));
    }
    let bytes = encode(&deep).unwrap();
    assert_eq!(decode(&bytes).unwrap(), deep);
    assert_eq!(encode(&Predicate::Not(Box::new(deep))), Err(CodecError::TooDeep));
    assert_eq!(decode(&[&[5], &bytes[..]].concat()), Err(CodecError::TooDeep));

    let long = Predicate::Compare(Subject::Measurement, Test::Eq("x".repeat(BYTES_MAX)));
    assert_eq!(encode(&long), Err(CodecError::TooLong(BYTES_MAX + 6)));
    assert_eq!(decode(&vec![1; BYTES_MAX + 1]), Err(CodecError::TooLong(BYTES_MAX + 1)));
    // A count is not believed beyond what is there.
    assert_eq!(decode(&[3, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]), Err(CodecError::Truncated));
    assert_eq!(decode(&[2, 0, 2, 1, b'(']), Err(CodecError::Malformed("regular expression")));
}
