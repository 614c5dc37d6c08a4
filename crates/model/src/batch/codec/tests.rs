//! What is encoded is decoded; damaged bytes are an error or a batch that keeps every invariant, never a panic.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::batch::tests::{batch, checked, wide_batch};
use crate::column::{ColumnType, Values};

fn round_trip(batch: &Batch) -> usize {
    let mut bytes = Vec::new();
    encode(batch, &mut bytes);
    assert_eq!(decode(&bytes).as_ref(), Ok(batch));
    bytes.len()
}

/// A batch of one table, one series and one column.
fn column_batch(column: Column) -> Batch {
    let ColumnType::Field(field_type) = column.column_type() else { panic!("a field's column") };
    let bucket = BucketId::new(3).expect("not zero");
    let key = SeriesKey::new("m", &[("h", "a")]).expect("valid");
    let rows = u32::try_from(column.len()).expect("small");
    let table = Table {
        measurement: "m".into(),
        fields: vec![FieldDef { name: "f".into(), field_type }],
        series: vec![SeriesRows { hash: key.hash(bucket), key, rows }],
        times: (0..i64::from(rows)).collect(),
        columns: vec![column],
    };
    Batch { bucket, shard_duration_ns: 5, tables: vec![table] }
}

fn same_bits(values: Vec<f64>) {
    let batch = column_batch(Column::new(Values::Float(values.clone())));
    let mut bytes = Vec::new();
    encode(&batch, &mut bytes);
    let decoded = decode(&bytes).expect("what we encoded");
    let Values::Float(got) = &decoded.tables[0].columns[0].values else { panic!("floats") };
    let bits = |v: &[f64]| v.iter().map(|f| f.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(got), bits(&values));
}

#[test]
fn every_float_keeps_its_bits() {
    same_bits(vec![0.0, -0.0]);
    same_bits(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, f64::from_bits(1)]);
    same_bits(vec![0.1, 23.5, -7.125, 1e15, 9_007_199_254_740_991.0, 9_007_199_254_740_993.0]);
    same_bits((0..1000).map(|i| f64::from(i) / 10.0).collect());
    same_bits((0..1000).map(|i| f64::from(i).sqrt()).collect());
}

#[test]
fn short_decimals_and_steps_are_small() {
    let floats =
        column_batch(Column::new(Values::Float((0..1024).map(|i| f64::from(i % 100) / 4.0).collect())));
    let bytes = round_trip(&floats);
    assert!(bytes < 1024 * 2, "{bytes}");
    let counter = column_batch(Column::new(Values::Integer((0..10_240).map(|i| i * 1000).collect())));
    let bytes = round_trip(&counter);
    assert!(bytes < 10_240 / 4 * 8, "{bytes}");
}

#[test]
fn a_wide_batch_takes_few_bytes_per_row() {
    let batch = wide_batch();
    let per_row = round_trip(&batch) as f64 / batch.rows() as f64;
    assert!(per_row < 16.0, "{per_row} bytes per row");
}

#[test]
fn claims_larger_than_the_input_are_refused() {
    let with_head = |head: u64, rest: &[u8]| {
        let mut bytes = vec![VERSION, LZ4];
        varint::put(&mut bytes, head);
        bytes.extend_from_slice(rest);
        decode(&bytes).map(|_| ())
    };
    assert_eq!(with_head(u64::MAX, &[]), Err(DecodeError("the body is too large")));
    assert_eq!(with_head(1 << 25, &[1; 10]), Err(DecodeError("the body is larger than its block can be")));
    let mut huge = column_batch(Column::new(Values::Integer(vec![1])));
    huge.tables[0].series[0].rows = u32::MAX;
    let mut body = vec![VERSION, PLAIN];
    // Written by hand: the encoder checks what it writes.
    varint::put(&mut body, 3);
    varint::put(&mut body, 0);
    varint::put(&mut body, 1);
    varint::put_bytes(&mut body, b"m");
    varint::put(&mut body, 0);
    varint::put(&mut body, 1);
    varint::put(&mut body, 0);
    varint::put_bytes(&mut body, huge.tables[0].series[0].key.as_bytes());
    varint::put(&mut body, u64::from(u32::MAX));
    assert_eq!(decode(&body), Err(DecodeError("too many cells")));
}

#[test]
fn broken_invariants_are_refused() {
    let good = column_batch(Column::new(Values::Integer(vec![1, 2])));
    let encoded = |change: &dyn Fn(&mut Table)| {
        let mut table = good.tables[0].clone();
        change(&mut table);
        let mut body = vec![VERSION, PLAIN];
        varint::put(&mut body, 3);
        varint::put(&mut body, varint::zigzag(5));
        varint::put(&mut body, 1);
        encode_table(&table, &mut body);
        decode(&body).map(|_| ())
    };
    assert_eq!(encoded(&|_| {}), Ok(()));
    assert_eq!(encoded(&|t| t.measurement = "".into()), Err(DecodeError("the measurement is empty")));
    assert_eq!(
        encoded(&|t| t.measurement = "other".into()),
        Err(DecodeError("a series is of another measurement"))
    );
    assert_eq!(
        encoded(&|t| {
            t.fields.push(t.fields[0].clone());
            t.columns.push(t.columns[0].clone());
        }),
        Err(DecodeError("a field occurs twice"))
    );
    assert_eq!(
        encoded(&|t| {
            t.fields.clear();
            t.columns.clear();
        }),
        Err(DecodeError("a row has no field"))
    );
    assert_eq!(
        encoded(&|t| {
            t.series[0].rows = 1;
            t.series.push(t.series[0].clone());
        }),
        Err(DecodeError("a series occurs twice"))
    );
    assert_eq!(
        encoded(&|t| t.columns[0].valid = Some([true, false].into_iter().collect())),
        Err(DecodeError("a row has no field"))
    );
    assert_eq!(encoded(&|t| t.fields[0].name = Arc::from("")), Err(DecodeError("a field has no name")));
}

#[test]
fn every_truncation_of_a_batch_is_refused() {
    for batch in [column_batch(Column::new(Values::Integer((0..50).map(|i| i * i).collect()))), wide_batch()]
    {
        let mut bytes = Vec::new();
        encode(&batch, &mut bytes);
        for len in (0..bytes.len()).step_by(1 + bytes.len() / 500) {
            assert!(decode(&bytes[..len]).is_err(), "{len} of {}", bytes.len());
        }
        bytes.push(0);
        assert!(decode(&bytes).is_err());
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(batch in batch()) {
        round_trip(&batch);
    }

    #[test]
    fn integers_of_every_width(values in prop::collection::vec((any::<i64>(), 0..64_u32), 0..400)) {
        let values: Vec<i64> = values.into_iter().map(|(v, shift)| v >> shift).collect();
        let mut bytes = Vec::new();
        ints::encode(&values, &mut bytes);
        let mut input = &bytes[..];
        prop_assert_eq!(ints::decode(&mut input, values.len()), Ok(values));
        prop_assert!(input.is_empty());
    }

    #[test]
    fn integers_of_one_width(start: i64, width in 0..=64_u32, seed: u64, len in 0..300_usize) {
        let mut state = seed | 1;
        let values: Vec<i64> = (0..len).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            start.wrapping_add(state.checked_shr(64 - width).unwrap_or(0).cast_signed())
        }).collect();
        let mut bytes = Vec::new();
        ints::encode(&values, &mut bytes);
        prop_assert_eq!(ints::decode(&mut &bytes[..], len), Ok(values));
    }

    #[test]
    fn damage_never_panics(batch in batch(), flips in prop::collection::vec((any::<usize>(), 1..=255_u8), 1..6)) {
        let mut body = vec![VERSION, PLAIN];
        encode_body(&batch, &mut body);
        for (at, bits) in flips {
            let at = at % body.len();
            body[at] ^= bits;
        }
        if let Ok(decoded) = decode(&body) {
            checked(&decoded);
        }
        let mut bytes = Vec::new();
        encode(&batch, &mut bytes);
        let at = body[body.len() / 2] as usize % bytes.len();
        bytes[at] = bytes[at].wrapping_add(1);
        if let Ok(decoded) = decode(&bytes) {
            checked(&decoded);
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_a_batch(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut body = vec![VERSION, PLAIN];
        body.extend_from_slice(&bytes);
        for input in [&bytes, &body] {
            if let Ok(decoded) = decode(input) {
                checked(&decoded);
            }
        }
    }
}
