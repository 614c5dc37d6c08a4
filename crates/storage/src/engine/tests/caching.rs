//! The block cache as an engine uses it.

use model::FieldValue;

use super::faults::tsm_files;
use super::oracle::{collect, scanned};
use super::support::{World, integers, key, position, scan_all, write};

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
