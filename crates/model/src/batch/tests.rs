//! Splitting and thinning batches keeps every point that should stay, and the invariants.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::column::Bitmap;
use crate::lineprotocol::{Options, parse, write_batch};
use crate::{Precision, Timestamp};

/// Panics unless the batch keeps its invariants.
pub(super) fn checked(batch: &Batch) {
    for table in &batch.tables {
        assert_eq!(table.check(batch.bucket), Ok(()));
    }
}

pub(super) fn from_lines(text: &str) -> Batch {
    let options = Options {
        bucket: BucketId::new(9).expect("not zero"),
        shard_duration_ns: 1_000,
        precision: Precision::Nanosecond,
        default_time: Timestamp(0),
        line_bytes_max: 1 << 20,
        string_bytes_max: 1 << 20,
    };
    let parsed = parse(text.as_bytes(), &options);
    assert_eq!(parsed.errors, []);
    checked(&parsed.batch);
    parsed.batch
}

/// Lines of a batch, sorted.
fn lines(batches: &[&Batch]) -> Vec<String> {
    let mut text = String::new();
    for batch in batches {
        write_batch(&mut text, batch).expect("writable");
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Ten integer fields of a hundred hosts, a hundred rows each.
pub(super) fn wide_batch() -> Batch {
    let mut text = String::new();
    for i in 0..10_000_usize {
        let (host, step) = (i % 100, i / 100);
        write!(text, "cpu,hostname=host_{host},region=eu-west-1,os=Ubuntu16.10,rack={} ", host % 7)
            .expect("a String");
        for field in 0..10 {
            let value = (host * 31 + field * 17 + (step * (field + 3)) % 11) % 101;
            write!(text, "{}usage_{field}={value}i", if field == 0 { "" } else { "," }).expect("a String");
        }
        writeln!(text, " {}", 1_451_606_400_000_000_000 + step * 10_000_000_000).expect("a String");
    }
    from_lines(&text)
}

/// Small batches of a few measurements, series and fields of every type, with nulls.
pub(super) fn batch() -> impl Strategy<Value = Batch> {
    let value = prop_oneof![
        any::<i32>().prop_map(|v| format!("i={v}i")),
        any::<u64>().prop_map(|v| format!("u={v}u")),
        (-1000_i32..1000).prop_map(|v| format!("f={}", f64::from(v) / 8.0)),
        any::<f64>().prop_filter("finite", |v| v.is_finite()).prop_map(|v| format!("g={v:e}")),
        any::<bool>().prop_map(|v| format!("b={v}")),
        "[a-zé ]{0,12}".prop_map(|v| format!("s=\"{v}\"")),
        any::<i16>().prop_map(|v| format!("f={v}i")),
    ];
    let fields = prop::collection::vec(value, 1..6);
    let row = (0..3_u8, 0..9_u16, fields, prop_oneof![0..50_i64, -(1_i64 << 62)..1 << 62]);
    prop::collection::vec(row, 1..120).prop_map(|rows| {
        let mut text = String::new();
        for (m, host, fields, time) in rows {
            writeln!(text, "m{m},host=h{host},z=z {} {time}", fields.join(",")).expect("a String");
        }
        from_lines(&text)
    })
}

#[test]
fn one_part_is_not_copied() {
    let batch = from_lines("m,h=a v=1 1\nm,h=b v=1 1\nn v=2 2\n");
    assert_eq!(batch.clone().split(1), [(crate::PartitionId(0), batch)]);
    let single = from_lines("m,h=a v=1 1\nm,h=a v=2 2\n");
    let parts = single.clone().split(64);
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0].1, single);
    let key = &single.tables[0].series[0].key;
    assert_eq!(parts[0].0, key.partition(single.bucket, 64));
    let empty = Batch { tables: Vec::new(), ..single };
    assert_eq!(empty.split(8), []);
}

#[test]
fn removing_a_field_removes_rows_that_had_no_other() {
    let mut batch = from_lines("m,h=a v=1,w=1 1\nm,h=b v=2 1\nm,h=a w=3 2\n");
    let table = &mut batch.tables[0];
    assert_eq!(table.remove_field(0), 1);
    checked(&batch);
    assert_eq!(lines(&[&batch]), ["m,h=a w=1 1", "m,h=a w=3 2"]);
    assert_eq!(batch.tables[0].remove_field(0), 2);
    batch.remove_empty_tables();
    assert!(batch.tables.is_empty() && batch.is_empty());
}

#[test]
fn the_size_in_memory_is_that_of_the_columns() {
    let batch = wide_batch();
    let cells = batch.rows() * 11 * 8;
    let keys: usize = batch.tables[0].series.iter().map(|s| s.key.as_bytes().len()).sum();
    assert!((cells + keys..cells + keys + 10_000).contains(&batch.bytes()), "{}", batch.bytes());
}

proptest! {
    #[test]
    fn the_parts_are_the_whole(batch in batch(), bits in 0..7_u16) {
        let partitions = 1 << bits;
        let parts = batch.clone().split(partitions);
        prop_assert!(parts.is_sorted_by(|a, b| a.0 < b.0));
        for (partition, part) in &parts {
            checked(part);
            prop_assert_eq!((part.bucket, part.shard_duration_ns), (batch.bucket, batch.shard_duration_ns));
            for series in part.tables.iter().flat_map(|t| &t.series) {
                prop_assert_eq!(series.key.partition(batch.bucket, partitions), *partition);
            }
        }
        let parts: Vec<&Batch> = parts.iter().map(|(_, part)| part).collect();
        let mut together = lines(&parts);
        let mut whole = lines(&[&batch]);
        // The order of the fields within a line may differ where a part lacks some.
        together.sort();
        whole.sort();
        prop_assert_eq!(together, whole);
    }

    #[test]
    fn rows_are_retained(batch in batch(), seed: u64) {
        let mut thinned = batch.clone();
        let mut want = Vec::new();
        let mut dropped = 0;
        for (table, whole) in thinned.tables.iter_mut().zip(&batch.tables) {
            let keep: Bitmap = (0..whole.times.len()).map(|i| seed >> (i % 64) & 1 == 1).collect();
            let single = |t: &Table| Batch { tables: vec![t.clone()], ..batch.clone() };
            let all = {
                let mut text = String::new();
                write_batch(&mut text, &single(whole)).expect("writable");
                text
            };
            want.extend(all.lines().zip(keep.iter()).filter(|(_, keep)| *keep).map(|(l, _)| l.to_owned()));
            let went = table.retain_rows(&keep);
            prop_assert_eq!(went, whole.times.len() - keep.count_ones());
            dropped += went;
        }
        thinned.remove_empty_tables();
        checked(&thinned);
        want.sort();
        prop_assert_eq!(lines(&[&thinned]), want);
        prop_assert_eq!(thinned.rows() + dropped, batch.rows());
    }
}
