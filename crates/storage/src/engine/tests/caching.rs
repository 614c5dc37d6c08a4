//! The block cache as an engine uses it.

use model::summary::Windows;
use model::{
    Deletion, FieldValue, GroupSummary, Grouping, PartitionOp, Predicate, SummaryRequest, TimeRange,
    Timestamp, Wanted,
};

use super::faults::tsm_files;
use super::oracle::{collect, scanned};
use super::support::{World, bucket, integers, key, position, scan_all, write};
use crate::{Engine, Tally};

#[test]
fn what_is_read_again_comes_from_the_cache_and_goes_with_its_file() {
    let world = World::new();
    let engine = world.open();
    for index in 0..2 {
        let base = i64::try_from(index).unwrap() * 3000;
        let rows = integers(base..base + 3000, |t| t * 7);
        engine.apply(position(index), &write(1, 1_000_000, &[(key("m", &[]), rows)])).unwrap();
        engine.flush_now().unwrap();
    }
    let stats = || world.commons.cache_stats();
    let first = scanned(&engine, &scan_all(1));
    let read = stats();
    // Two files, each with a directory and three pages of values; regular times have none.
    assert_eq!((read.hits, read.misses, read.blocks), (0, 8, 8));
    assert_eq!(scanned(&engine, &scan_all(1)), first);
    assert_eq!((stats().hits, stats().misses), (8, 8));

    // A merge reads past the cache, and takes its inputs out of it.
    engine.compact_now().unwrap();
    world.jobs.run_all();
    assert_eq!((stats().hits, stats().misses, stats().blocks), (8, 8, 0));
    assert_eq!(scanned(&engine, &scan_all(1)), first);
    engine.tick();
    assert_eq!(world.commons.memory().cache.used(), stats().bytes);
}

#[test]
fn a_damaged_page_is_never_kept() {
    let world = World::new();
    let engine = world.open();
    let rows = integers(0..3000, |t| t);
    engine.apply(position(0), &write(1, 1_000_000, &[(key("m", &[]), rows)])).unwrap();
    engine.flush_now().unwrap();
    let [path] = &tsm_files(&world)[..] else { panic!("one file") };
    // The first page follows the 8 bytes of the header.
    world.vfs.corrupt(path, 12, 1).unwrap();
    for _ in 0..2 {
        collect(engine.scan(&scan_all(1)).unwrap()).unwrap_err();
    }
    world.vfs.corrupt(path, 12, 1).unwrap();
    assert_eq!(scanned(&engine, &scan_all(1)).len(), 3000);
}

#[test]
fn blocks_of_long_texts_stay_small() {
    let world = World::new();
    let engine = world.open();
    let text = "x".repeat(8000);
    for part in 0..8_i64 {
        let points =
            (part * 250..(part + 1) * 250).map(|t| (t, vec![("s", FieldValue::String(text.clone()))]));
        let op = write(1, 1_000_000, &[(key("m", &[]), points.collect())]);
        engine.apply(position(u64::try_from(part).unwrap()), &op).unwrap();
    }
    engine.flush_now().unwrap();
    let blocks: Vec<_> = engine.scan(&scan_all(1)).unwrap().map(Result::unwrap).collect();
    let rows = blocks.iter().map(|block| block.times.len());
    assert_eq!(rows.clone().sum::<usize>(), 2000);
    assert!(rows.max().unwrap() * text.len() < 6 << 20, "a block is not a whole chunk of 16 MB");
}

#[test]
fn merges_rest_while_reads_of_queries_are_slow() {
    for (step_ms, is_slow) in [(1, false), (20, true)] {
        let world = World::new();
        let engine = world.open();
        for index in 0..3 {
            let series: Vec<_> = (0..200)
                .map(|host| (key("m", &[("host", &format!("{host}"))]), integers(0..300, |t| t + host)))
                .collect();
            engine.apply(position(index), &write(1, 1000, &series)).unwrap();
            engine.flush_now().unwrap();
        }
        // Each read takes one look at the clock, and so much time.
        *world.clock.step_ms.lock() = step_ms;
        assert_eq!(scanned(&engine, &scan_all(1)).len(), 200 * 300);
        assert_eq!(engine.stats().compaction_rests, 0);
        engine.compact_now().unwrap();
        assert_eq!(engine.stats().compaction_rests > 0, is_slow);
        assert_eq!(scanned(&engine, &scan_all(1)).len(), 200 * 300);
    }
}

/// Means by windows of 100 over a range.
fn means(engine: &Engine, start: i64, end: i64) -> (Vec<GroupSummary>, Tally) {
    let mut scan = scan_all(1);
    scan.range = TimeRange::new(Timestamp(start), Timestamp(end));
    let request = SummaryRequest {
        scan,
        windows: Windows::Every { every: 100, offset: 0 },
        wanted: Wanted { count: true, sum: true, ..Wanted::default() },
        grouping: Grouping::Tags(vec!["host".to_owned()]),
        cells_max: usize::MAX,
        rows_max: u64::MAX,
    };
    let mut memory = memory::Allowance::new(&memory::Memory::unlimited().queries);
    let before = Tally::of_this_thread();
    let groups = engine.summarize(&request).unwrap().run(&mut memory, &|| false).unwrap();
    assert_eq!(memory.held(), groups.bytes());
    (groups.finish(), Tally::of_this_thread().since(before))
}

#[test]
fn windows_are_kept_until_something_changes_in_their_time() {
    let world = World::new();
    let engine = world.open();
    let hosts = ["b", "a"].map(|host| (key("m", &[("host", host)]), integers(0..60_000, |t| t * 7)));
    engine.apply(position(0), &write(1, 1 << 40, &hosts)).unwrap();
    // One shard of 2^40: a span of it holds all that there is, and so does a section.
    engine.flush_now().unwrap();
    let (first, read) = means(&engine, i64::MIN, i64::MAX);
    assert!(read.cached < read.blocks, "{read:?}");
    let (again, read) = means(&engine, i64::MIN, i64::MAX);
    assert_eq!(again, first);
    assert_eq!(read.bytes, 0);
    drop(engine);

    let world = World::new();
    let engine = world.open();
    // Shards of 25,600: spans of 101, sections of a window each.
    engine.apply(position(0), &write(1, 25_600, &hosts)).unwrap();
    engine.flush_now().unwrap();
    let (first, _) = means(&engine, 0, 60_000);
    let blocks = |start, end| means(&engine, start, end).1.blocks;
    // 256 windows of each shard, of which one or two are cut by its borders.
    let whole = blocks(0, 60_000);
    assert!((590..=620).contains(&whole), "{whole}: every section, and the windows at the borders");
    assert_eq!(means(&engine, 0, 60_000).0, first);
    let windows = |groups: Vec<GroupSummary>| groups[0].fields[0].cells.len();
    assert_eq!(windows(means(&engine, 1000, 3000).0), 20);
    assert_eq!(blocks(1000, 3000), 20, "those of another range are the same");
    // Its edges are read.
    assert!(blocks(1050, 3050) > 20);

    // A late row of one series, and a delete of a series: only their windows are computed anew.
    let late = (key("m", &[("host", "b")]), integers(2050..2051, |_| 1_000_000));
    engine.apply(position(1), &write(1, 25_600, &[late])).unwrap();
    let (changed, read) = means(&engine, 1000, 3000);
    assert!(read.blocks > 20, "{read:?}");
    let sums = |groups: &[GroupSummary]| {
        groups.iter().map(|g| format!("{:?}", g.fields[0].cells.sums)).collect::<Vec<_>>()
    };
    assert_ne!(means(&engine, 0, 60_000).0, first);
    assert_eq!(blocks(1000, 3000), 20);
    let delete = Deletion {
        bucket: bucket(1),
        range: TimeRange::new(Timestamp(1000), Timestamp(1100)),
        predicate: Predicate::TRUE,
    };
    engine.apply(position(2), &PartitionOp::Delete(delete)).unwrap();
    let (deleted, _) = means(&engine, 1000, 3000);
    assert_ne!(sums(&deleted), sums(&changed));
    assert_eq!(windows(deleted), 19);
    // Merging changes nothing, and nothing is computed anew.
    let whole = means(&engine, 0, 60_000).0;
    engine.flush_now().unwrap();
    engine.compact_now().unwrap();
    world.jobs.run_all();
    assert_eq!(means(&engine, 0, 60_000).0, whole);
}

#[test]
fn windows_of_a_shard_that_was_dropped_are_not_found_when_it_comes_back() {
    let world = World::new();
    let engine = world.open();
    let rows = |value: i64| [(key("m", &[]), integers(0..1000, move |_| value))];
    engine.apply(position(0), &write(1, 1 << 20, &rows(1))).unwrap();
    let (first, _) = means(&engine, 0, 1000);
    assert_eq!(means(&engine, 0, 1000).0, first);
    let drop_all = PartitionOp::DropShards { bucket: bucket(1), ending_by: Timestamp(1 << 20) };
    engine.apply(position(1), &drop_all).unwrap();
    assert!(means(&engine, 0, 1000).0.is_empty());
    engine.apply(position(2), &write(1, 1 << 20, &rows(2))).unwrap();
    let (second, _) = means(&engine, 0, 1000);
    assert_ne!(second, first);
    assert_eq!(means(&engine, 0, 1000).0, second);
}
