//! Codecs: any values come back bit for bit; any bytes are an error or values, never a panic.

use model::{Bitmap, ColumnType, FieldType, StringColumn, Values};
use proptest::prelude::*;

use super::{Decoder, Effort, encode};

fn column_type(values: &Values) -> ColumnType {
    values.column_type()
}

/// Values with their bits, so that every NaN is itself.
fn exact(values: &Values) -> Vec<String> {
    match values {
        Values::Float(v) => v.iter().map(|x| format!("{:x}", x.to_bits())).collect(),
        Values::Integer(v) | Values::Time(v) => v.iter().map(ToString::to_string).collect(),
        Values::Unsigned(v) => v.iter().map(ToString::to_string).collect(),
        Values::Boolean(v) => v.iter().map(|x| x.to_string()).collect(),
        Values::String(v) => v.iter().map(str::to_owned).collect(),
    }
}

/// Encodes in pages of the given lengths, decodes them in any order, and returns the bytes used.
fn round_trip(values: &Values, page_len: usize, effort: Effort) -> usize {
    let mut pages: Vec<_> =
        (0..values.len()).step_by(page_len).map(|at| at..values.len().min(at + page_len)).collect();
    pages.insert(pages.len() / 2, pages.get(pages.len() / 2).map_or(0..0, |p| p.start..p.start));
    let encoded = encode(values, &pages, effort);
    assert_eq!(encoded.pages.len(), pages.len());
    let mut decoder = Decoder::new(column_type(values), &encoded.shared).unwrap();
    let mut bytes = encoded.shared.len();
    for (page, range) in encoded.pages.iter().zip(&pages).rev() {
        let decoded = decoder.decode(page.codec, &page.payload, range.len()).unwrap();
        let mut expected = Values::empty(column_type(values));
        expected.extend_from(values, range.start, range.end);
        assert_eq!(exact(&decoded), exact(&expected));
        bytes += page.payload.len();
    }
    bytes
}

fn both(values: &Values, page_len: usize) {
    round_trip(values, page_len, Effort::Fast(4));
    round_trip(values, page_len, Effort::Dense(8));
}

fn walks() -> impl Strategy<Value = Vec<i64>> {
    (any::<i64>(), prop::collection::vec(-5_i64..5, 0..700)).prop_map(|(start, steps)| {
        let mut at = start;
        steps
            .into_iter()
            .map(|step| {
                at = at.wrapping_add(step);
                at
            })
            .collect()
    })
}

fn floats() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (-100_000_i32..100_000).prop_map(|n| f64::from(n) / 100.0),
        Just(-0.0),
        Just(f64::INFINITY),
        Just(f64::from_bits(0x7ff0_0000_0000_0002)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn integers(values in prop_oneof![walks(), prop::collection::vec(any::<i64>(), 0..300)], page in 1_usize..300) {
        both(&Values::Integer(values.clone()), page);
        both(&Values::Time(values.clone()), page);
        both(&Values::Unsigned(values.iter().map(|v| v.cast_unsigned()).collect()), page);
    }

    #[test]
    fn doubles(values in prop::collection::vec(floats(), 0..400), page in 1_usize..300) {
        both(&Values::Float(values), page);
    }

    #[test]
    fn booleans(values in prop::collection::vec(any::<bool>(), 0..400), page in 1_usize..300) {
        both(&Values::Boolean(values.into_iter().collect::<Bitmap>()), page);
    }

    #[test]
    fn strings(values in prop::collection::vec(prop_oneof!["[ab]{0,3}", "\\PC{0,40}"], 0..300), page in 1_usize..300) {
        both(&Values::String(values.iter().collect::<StringColumn>()), page);
    }

    #[test]
    fn any_bytes_are_an_error_or_as_many_values_as_asked_for(
        codec in 0_u8..10,
        payload in prop::collection::vec(any::<u8>(), 0..200),
        shared in prop::collection::vec(any::<u8>(), 0..60),
        count in 0_usize..2000,
    ) {
        let fields = [FieldType::Float, FieldType::Integer, FieldType::Unsigned, FieldType::String, FieldType::Boolean];
        for column_type in fields.map(ColumnType::Field).into_iter().chain([ColumnType::Time]) {
            for shared in [&shared[..], &[]] {
                let Ok(mut decoder) = Decoder::new(column_type, shared) else { continue };
                if let Ok(values) = decoder.decode(codec, &payload, count) {
                    prop_assert_eq!(values.len(), count);
                }
            }
        }
    }

    #[test]
    fn changed_bytes_of_real_pages_never_panic(values in walks(), at in any::<usize>(), bit in 0_u8..8) {
        prop_assume!(values.len() > 10);
        let len = values.len();
        let pages = [0..len / 2, len / 2..len];
        let mut encoded = encode(&Values::Integer(values), &pages, Effort::Fast(4));
        let total = encoded.shared.len() + encoded.pages[0].payload.len();
        let at = at % total;
        match at.checked_sub(encoded.shared.len()) {
            None => encoded.shared[at] ^= 1 << bit,
            Some(at) => encoded.pages[0].payload[at] ^= 1 << bit,
        }
        let integer = ColumnType::Field(FieldType::Integer);
        if let Ok(mut decoder) = Decoder::new(integer, &encoded.shared)
            && let Ok(values) = decoder.decode(encoded.pages[0].codec, &encoded.pages[0].payload, len / 2)
        {
            prop_assert_eq!(values.len(), len / 2);
        }
    }
}

#[test]
fn regular_times_and_constants_cost_almost_nothing() {
    let times: Vec<i64> = (0..8192).map(|i| 1_700_000_000_000_000_000 + i * 10_000_000_000).collect();
    assert!(round_trip(&Values::Time(times), 1024, Effort::Fast(4)) < 150);
    assert!(round_trip(&Values::Float(vec![0.1; 8192]), 1024, Effort::Fast(4)) < 100);
    assert!(round_trip(&Values::Boolean(Bitmap::filled(true, 8192)), 1024, Effort::Fast(4)) < 10);
}

#[test]
fn few_distinct_strings_become_indices() {
    let values: StringColumn =
        (0..1024_u32).map(|i| ["running", "stopped", "failed"][(i * i % 7 % 3) as usize]).collect();
    assert!(round_trip(&Values::String(values), 1024, Effort::Fast(4)) < 300);
}

#[test]
fn a_length_that_is_only_claimed_allocates_nothing() {
    let mut decoder = Decoder::new(ColumnType::Field(FieldType::String), &[]).unwrap();
    let mut payload = Vec::new();
    model::varint::put(&mut payload, u64::MAX);
    payload.push(0);
    for codec in 0..10 {
        assert!(decoder.decode(codec, &payload, 5).is_err());
    }
}
