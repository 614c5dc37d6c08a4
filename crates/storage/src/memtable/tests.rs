//! The memtable's rows: layouts, order, copy-on-write.

use std::sync::Arc;

use model::{Column, FieldDef, FieldType, Values};

use super::chunk::ROWS_MAX;
use super::{ShardBuffer, Source};
use crate::layout::Layouts;

fn field(name: &str) -> FieldDef {
    FieldDef { name: name.into(), field_type: FieldType::Integer }
}

fn append(buffer: &mut ShardBuffer, layouts: &mut Layouts, names: &[&str], times: &[i64]) {
    let layout = layouts.intern(&names.iter().map(|n| field(n)).collect::<Vec<_>>());
    let columns: Vec<_> = names.iter().map(|_| Column::new(Values::Integer(times.to_vec()))).collect();
    let columns: Vec<_> = columns.iter().collect();
    let source = Source { layout: &layout, times, columns: &columns, masked_from: 0 };
    buffer.append(0, &source, 0..times.len(), layouts);
}

#[test]
fn rows_with_alternating_fields_settle_on_one_layout() {
    let (mut buffer, mut layouts) = (ShardBuffer::default(), Layouts::default());
    for i in 0..500 {
        append(&mut buffer, &mut layouts, if i % 2 == 0 { &["a"] } else { &["b"] }, &[i]);
    }
    let series = &buffer.series[&0];
    assert_eq!(series.chunks.len(), 2, "one row of the first layout, all others in the joint one");
    let rows = series.chunks[1].to_rows(&[field("a"), field("b"), field("c")]);
    assert_eq!(rows.times.len(), 499);
    assert_eq!(rows.columns[0].as_ref().map(Column::null_count), Some(250));
    assert!(rows.columns[2].is_none());
}

#[test]
fn chunks_are_limited_and_what_a_reader_holds_does_not_change() {
    let (mut buffer, mut layouts) = (ShardBuffer::default(), Layouts::default());
    append(&mut buffer, &mut layouts, &["a"], &(0..1500).collect::<Vec<_>>());
    let held = Arc::clone(&buffer.series[&0]);
    append(&mut buffer, &mut layouts, &["a"], &(1500..4000).collect::<Vec<_>>());
    let rows = |series: &super::SeriesBuffer| series.chunks.iter().map(|c| c.rows()).sum::<usize>();
    assert_eq!((rows(&held), rows(&buffer.series[&0])), (1500, 4000));
    assert!(buffer.series[&0].chunks.iter().all(|c| c.rows() <= ROWS_MAX));
    let shared = Arc::ptr_eq(&held.chunks[0], &buffer.series[&0].chunks[0]);
    assert!(shared, "a full chunk is not copied");
}

#[test]
fn rows_out_of_order_are_sorted_and_the_last_of_equal_times_wins() {
    let (mut buffer, mut layouts) = (ShardBuffer::default(), Layouts::default());
    let layout = layouts.intern(&[field("a")]);
    let column = Column::new(Values::Integer(vec![1, 2, 3, 4]));
    let source = Source { layout: &layout, times: &[5, 3, 5, 4], columns: &[&column], masked_from: 0 };
    buffer.append(0, &source, 0..4, &mut layouts);
    let rows = buffer.series[&0].chunks[0].to_rows(&[field("a")]);
    assert_eq!(rows.times, [3, 4, 5]);
    assert_eq!(rows.columns[0], Some(Column::new(Values::Integer(vec![2, 4, 3]))));
}

#[test]
fn the_bytes_counted_follow_the_memory_held() {
    let (mut buffer, mut layouts) = (ShardBuffer::default(), Layouts::default());
    append(&mut buffer, &mut layouts, &["a", "b"], &(0..10_000).collect::<Vec<_>>());
    let held: usize = buffer.series[&0].chunks.iter().map(|c| c.bytes()).sum();
    let chunks = buffer.series[&0].chunks.len();
    assert_eq!(buffer.bytes, held + 256 + 128 * (chunks - 1));
    assert!(held >= 10_000 * 4 * 8);
}
