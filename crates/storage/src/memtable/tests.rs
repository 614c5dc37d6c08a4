//! The memtable's rows: layouts, order, copy-on-write.

use std::sync::Arc;

use model::{Column, FieldDef, FieldType, Values};
use roaring::RoaringBitmap;

use super::chunk::ROWS_MAX;
use super::{Chunk, ShardBuffer, Source};
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
    let chunks: Vec<_> = buffer.chunks(0).collect();
    assert_eq!(chunks.len(), 2, "one row of the first layout, all others in the joint one");
    let rows = chunks[1].to_rows(&[field("a"), field("b"), field("c")]);
    assert_eq!(rows.times.len(), 499);
    assert_eq!(rows.columns[0].as_ref().map(Column::null_count), Some(250));
    assert!(rows.columns[2].is_none());
}

fn chunks(buffer: &ShardBuffer) -> Vec<Arc<Chunk>> {
    buffer.chunks(0).collect()
}

fn rows(chunks: &[Arc<Chunk>]) -> usize {
    chunks.iter().map(|c| c.rows()).sum()
}

#[test]
fn chunks_are_limited_and_what_a_reader_holds_does_not_change() {
    let (mut buffer, mut layouts) = (ShardBuffer::default(), Layouts::default());
    append(&mut buffer, &mut layouts, &["a"], &(0..1500).collect::<Vec<_>>());
    let held = buffer.snapshot(&RoaringBitmap::from_iter([0]));
    append(&mut buffer, &mut layouts, &["a"], &(1500..4000).collect::<Vec<_>>());
    assert_eq!((rows(&chunks(&held)), rows(&chunks(&buffer))), (1500, 4000));
    assert!(chunks(&buffer).iter().all(|c| c.rows() <= ROWS_MAX));
    let shared = Arc::ptr_eq(&chunks(&held)[0], &chunks(&buffer)[0]);
    assert!(shared, "a full chunk is not copied");
}

#[test]
fn few_rows_take_few_bytes_and_grow_into_chunks() {
    let (mut buffer, mut layouts) = (ShardBuffer::default(), Layouts::default());
    let all: Vec<i64> = (0..40).collect();
    let mut held = Vec::new();
    for time in &all {
        append(&mut buffer, &mut layouts, &["a", "b"], std::slice::from_ref(time));
        held.push(buffer.snapshot(&RoaringBitmap::from_iter([0, 7])));
        if *time == 1 {
            assert_eq!(buffer.bytes, 24 + 2 * 3 * 8, "{}", buffer.bytes);
        }
    }
    for (count, held) in (1..).zip(held) {
        let read: Vec<i64> = chunks(&held).iter().flat_map(|c| c.to_rows(&[field("a")]).times).collect();
        assert_eq!(read, all[..count], "a snapshot stays what it was");
    }
    let mut alone = ShardBuffer::default();
    all.iter().for_each(|time| append(&mut alone, &mut layouts, &["a", "b"], std::slice::from_ref(time)));
    assert_eq!(alone.bytes, 24 + 256 + chunks(&alone)[0].bytes());
}

#[test]
fn rows_that_lack_fields_have_more_or_are_masked_otherwise_follow_few_full_ones() {
    let (mut buffer, mut layouts) = (ShardBuffer::default(), Layouts::default());
    append(&mut buffer, &mut layouts, &["a", "b"], &[5]);
    append(&mut buffer, &mut layouts, &["b"], &[3]);
    let [chunk] = &chunks(&buffer)[..] else { panic!("one chunk") };
    let read = chunk.to_rows(&[field("a"), field("b")]);
    assert_eq!(read.times, [3, 5]);
    assert_eq!(read.columns[0].as_ref().map(Column::null_count), Some(1));
    append(&mut buffer, &mut layouts, &["c"], &[4]);
    let layout = layouts.intern(&[field("c")]);
    let column = Column::new(Values::Integer(vec![9]));
    let source = Source { layout: &layout, times: &[6], columns: &[&column], masked_from: 17 };
    buffer.append(0, &source, 0..1, &mut layouts);
    let masks: Vec<_> = chunks(&buffer).iter().map(|c| (c.masked_from(), c.rows())).collect();
    assert_eq!(masks, [(0, 2), (0, 1), (17, 1)]);
}

#[test]
fn rows_out_of_order_are_sorted_and_the_last_of_equal_times_wins() {
    let (mut buffer, mut layouts) = (ShardBuffer::default(), Layouts::default());
    let layout = layouts.intern(&[field("a")]);
    let column = Column::new(Values::Integer(vec![1, 2, 3, 4]));
    let source = Source { layout: &layout, times: &[5, 3, 5, 4], columns: &[&column], masked_from: 0 };
    buffer.append(0, &source, 0..4, &mut layouts);
    let rows = chunks(&buffer)[0].to_rows(&[field("a")]);
    assert_eq!(rows.times, [3, 4, 5]);
    assert_eq!(rows.columns[0], Some(Column::new(Values::Integer(vec![2, 4, 3]))));
}

#[test]
fn the_bytes_counted_follow_the_memory_held() {
    let (mut buffer, mut layouts) = (ShardBuffer::default(), Layouts::default());
    append(&mut buffer, &mut layouts, &["a", "b"], &(0..10_000).collect::<Vec<_>>());
    let held: usize = chunks(&buffer).iter().map(|c| c.bytes()).sum();
    let chunks = chunks(&buffer).len();
    assert_eq!(buffer.bytes, 24 + held + 256 + 128 * (chunks - 1));
    assert!(held >= 10_000 * 4 * 8);
}
