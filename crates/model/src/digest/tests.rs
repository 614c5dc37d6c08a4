use std::sync::Arc;

use super::*;
use crate::column::ColumnType;
use crate::series::SeriesKey;
use crate::value::{FieldType, FieldValue};

/// A time, and the fields of its row.
type Row<'a> = (i64, &'a [(&'a str, Option<FieldValue>)]);

fn block(tag: &str, rows: &[Row<'_>]) -> SeriesBlock {
    let names: Vec<&str> = rows[0].1.iter().map(|(name, _)| *name).collect();
    let column = |name: &str| {
        let of = |row: &Row<'_>| {
            row.1.iter().find(|(field, _)| *field == name).and_then(|(_, value)| value.clone())
        };
        let known = rows.iter().find_map(of).map_or(FieldType::Float, |value| value.field_type());
        let mut column = Column::empty(ColumnType::Field(known));
        for row in rows {
            match of(row) {
                Some(value) => column.push(&value),
                None => column.push_null(),
            }
        }
        column
    };
    SeriesBlock {
        key: SeriesKey::new("m", &[("host", tag)]).unwrap(),
        times: rows.iter().map(|(time, _)| *time).collect(),
        fields: names.iter().map(|name| (Arc::from(*name), column(name))).collect(),
    }
}

fn digest(blocks: &[SeriesBlock]) -> Digest {
    let mut digest = Digest::default();
    blocks.iter().for_each(|block| digest.add(BucketId::new(1).unwrap(), block));
    digest
}

const ONE: Option<FieldValue> = Some(FieldValue::Float(1.0));
const TWO: Option<FieldValue> = Some(FieldValue::Float(2.0));

#[test]
fn it_is_the_same_however_points_are_cut_and_ordered() {
    let whole = digest(&[block("a", &[(1, &[("v", ONE), ("w", None)]), (2, &[("v", TWO), ("w", ONE)])])]);
    assert_eq!(whole.values, 3);
    // Without the column of nulls, in two blocks, the other way round.
    let parts = [block("a", &[(2, &[("w", ONE), ("v", TWO)])]), block("a", &[(1, &[("v", ONE)])])];
    assert_eq!(digest(&parts), whole);
}

#[test]
fn it_is_another_for_each_thing_that_is_different() {
    let base = block("a", &[(1, &[("v", ONE)]), (2, &[("v", TWO)])]);
    let others = [
        block("b", &[(1, &[("v", ONE)]), (2, &[("v", TWO)])]),
        block("a", &[(1, &[("w", ONE)]), (2, &[("w", TWO)])]),
        block("a", &[(1, &[("v", TWO)]), (2, &[("v", ONE)])]),
        block("a", &[(1, &[("v", ONE)]), (3, &[("v", TWO)])]),
        block("a", &[(1, &[("v", ONE)]), (2, &[("v", None)])]),
        block("a", &[(1, &[("v", Some(FieldValue::Integer(1)))]), (2, &[("v", None)])]),
        block("a", &[(1, &[("v", Some(FieldValue::Unsigned(1)))]), (2, &[("v", None)])]),
        block("a", &[(1, &[("v", Some(FieldValue::Boolean(true)))]), (2, &[("v", None)])]),
        block("a", &[(1, &[("v", Some(FieldValue::String("1".into())))]), (2, &[("v", None)])]),
        block("a", &[(1, &[("v", Some(FieldValue::String("2".into())))]), (2, &[("v", None)])]),
    ];
    let mut sums: Vec<u64> =
        others.iter().chain([&base]).map(|one| digest(std::slice::from_ref(one)).sum).collect();
    let mut elsewhere = Digest::default();
    elsewhere.add(BucketId::new(2).unwrap(), &base);
    sums.push(elsewhere.sum);
    let all = sums.len();
    sums.sort_unstable();
    sums.dedup();
    assert_eq!(sums.len(), all);
}
