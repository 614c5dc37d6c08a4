//! What scans and questions about the schema answer, and what flushes and merges are worth.

use disk::vfs::sim::Random;
use model::{
    FieldSelection, FieldValue, PartitionOp, Predicate, ScanRequest, SchemaQuestion, SchemaRequest, Subject,
    Test, TimeRange, Timestamp,
};

use super::support::{World, bucket, integers, key, position, scan_all, write};
use crate::Engine;

fn ask(engine: &Engine, question: SchemaQuestion, predicate: Predicate, range: TimeRange) -> Vec<String> {
    engine.schema(&SchemaRequest { bucket: bucket(1), range, predicate, question }).unwrap()
}

fn tag_is(tag: &str, value: &str) -> Predicate {
    Predicate::Compare(Subject::Tag(tag.into()), Test::Eq(value.into()))
}

fn sample(engine: &Engine) {
    let point = |t, name, value| (t, vec![(name, value)]);
    let op = write(
        1,
        1000,
        &[
            (
                key("cpu", &[("host", "a")]),
                vec![
                    point(5, "usage", FieldValue::Float(1.5)),
                    point(1005, "usage", FieldValue::Float(2.5)),
                    point(1006, "note", FieldValue::String("x".into())),
                ],
            ),
            (key("cpu", &[("host", "b"), ("zone", "z1")]), vec![point(7, "usage", FieldValue::Float(0.0))]),
            (key("mem", &[("host", "a")]), vec![point(2005, "free", FieldValue::Integer(9))]),
        ],
    );
    engine.apply(position(0), &op).unwrap();
}

fn check_schema(engine: &Engine) {
    use SchemaQuestion::{FieldKeys, Measurements, Series, TagKeys, TagValues};
    let all = TimeRange::ALL;
    let first = TimeRange::new(Timestamp(0), Timestamp(1000));
    let yes = || Predicate::TRUE;
    let field = |name: &str| Predicate::Compare(Subject::Field, Test::Eq(name.into()));
    assert_eq!(ask(engine, Measurements, yes(), all), ["cpu", "mem"]);
    assert_eq!(ask(engine, Measurements, yes(), first), ["cpu"]);
    assert_eq!(ask(engine, TagKeys, yes(), all), ["host", "zone"]);
    assert_eq!(ask(engine, TagKeys, tag_is("host", "a"), all), ["host"]);
    assert_eq!(ask(engine, TagValues("host".into()), yes(), all), ["a", "b"]);
    assert_eq!(ask(engine, TagValues("zone".into()), yes(), all), ["z1"]);
    assert_eq!(ask(engine, TagValues("host".into()), field("free"), all), ["a"]);
    assert_eq!(ask(engine, FieldKeys, yes(), all), ["free", "note", "usage"]);
    assert_eq!(ask(engine, FieldKeys, yes(), first), ["usage"]);
    assert_eq!(ask(engine, FieldKeys, tag_is("host", "b"), all), ["usage"]);
    assert_eq!(ask(engine, FieldKeys, field("note"), all), ["note"]);
    assert_eq!(ask(engine, Measurements, field("free"), all), ["mem"]);
    assert_eq!(ask(engine, Series, yes(), all), ["cpu,host=a", "cpu,host=b,zone=z1", "mem,host=a"]);
}

#[test]
fn the_schema_is_the_same_in_memory_and_in_files_and_after_opening() {
    let world = World::new();
    let engine = world.open();
    assert_eq!(ask(&engine, SchemaQuestion::Measurements, Predicate::TRUE, TimeRange::ALL), [""; 0]);
    sample(&engine);
    check_schema(&engine);
    engine.flush_now().unwrap();
    check_schema(&engine);
    drop(engine);
    check_schema(&world.open());
}

#[test]
fn dropped_shards_take_their_series_and_fields_with_them() {
    let world = World::new();
    let engine = world.open();
    sample(&engine);
    let drop = PartitionOp::DropShards { bucket: bucket(1), ending_by: Timestamp(1000) };
    engine.apply(position(1), &drop).unwrap();
    let all = TimeRange::ALL;
    assert_eq!(ask(&engine, SchemaQuestion::TagValues("host".into()), Predicate::TRUE, all), ["a"]);
    assert_eq!(engine.stats().series, 2);
    assert_eq!(engine.shards().len(), 2);
    let drop = PartitionOp::DropBucket { bucket: bucket(1) };
    engine.apply(position(2), &drop).unwrap();
    assert_eq!(ask(&engine, SchemaQuestion::Measurements, Predicate::TRUE, all), [""; 0]);
    assert!(engine.buckets().is_empty());
    assert_eq!(engine.memtable_bytes(), 0);
}

#[test]
fn a_scan_reads_the_wanted_fields_and_times_only() {
    let world = World::new();
    let engine = world.open();
    sample(&engine);
    engine.flush_now().unwrap();
    let request = ScanRequest {
        fields: FieldSelection::Names(vec!["note".into()]),
        range: TimeRange::new(Timestamp(0), Timestamp(1007)),
        ..scan_all(1)
    };
    let blocks: Vec<_> = engine.scan(&request).unwrap().map(Result::unwrap).collect();
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0].times, [1006]);
    assert_eq!(blocks[0].fields.len(), 1);
    assert_eq!(blocks[0].fields[0].1.get(0), Some(FieldValue::String("x".into())));
}

#[test]
fn a_later_write_wins_field_by_field_across_files_and_memory() {
    let world = World::new();
    let engine = world.open();
    let series = key("m", &[]);
    let int = FieldValue::Integer;
    let writes = [
        vec![(1, vec![("a", int(1)), ("b", int(1))]), (2, vec![("a", int(1))])],
        vec![(1, vec![("b", int(2))]), (0, vec![("c", int(2))])],
        vec![(2, vec![("b", int(3))]), (1, vec![("a", int(3))])],
    ];
    for (index, points) in (0..).zip(writes) {
        engine.apply(position(index), &write(1, 1000, &[(series.clone(), points)])).unwrap();
        if index < 2 {
            engine.flush_now().unwrap();
        }
    }
    let check = |engine: &Engine| {
        let blocks: Vec<_> = engine.scan(&scan_all(1)).unwrap().map(Result::unwrap).collect();
        let [block] = &blocks[..] else { panic!("one block") };
        assert_eq!(block.times, [0, 1, 2]);
        let values: Vec<Vec<_>> =
            block.fields.iter().map(|(_, column)| (0..3).map(|i| column.get(i)).collect()).collect();
        assert_eq!(values[0], [None, Some(int(3)), Some(int(1))]);
        assert_eq!(values[1], [None, Some(int(2)), Some(int(3))]);
        assert_eq!(values[2], [Some(int(2)), None, None]);
    };
    check(&engine);
    engine.flush_now().unwrap();
    check(&engine);
    engine.compact_now().unwrap();
    assert_eq!(engine.stats().files, 1);
    check(&engine);
}

#[test]
fn merging_comes_to_an_end() {
    let world = World::new();
    let engine = world.open();
    let mut rewritten = 0;
    for index in 0..60 {
        let points = integers((0..50).map(|i| i * 60 + i64::try_from(index).unwrap()), |t| t);
        engine.apply(position(index), &write(1, 1_000_000, &[(key("m", &[]), points)])).unwrap();
        engine.flush_now().unwrap();
        world.jobs.run_all();
        rewritten = engine.stats().compaction_bytes;
    }
    let stats = engine.stats();
    assert!(stats.files <= 60 / 3 + 2, "{stats:?}");
    assert!(rewritten > 0 && rewritten <= stats.flush_bytes, "a hot byte is rewritten once: {stats:?}");
    world.clock.advance_ms(world.options.cold_after_ms + 1);
    engine.tick();
    world.jobs.run_all();
    let cold = engine.stats();
    assert!(cold.compaction_bytes <= rewritten + stats.flush_bytes, "and once more when cold: {cold:?}");
    for _ in 0..5 {
        world.clock.advance_ms(world.options.cold_after_ms + 1);
        engine.tick();
        world.jobs.run_all();
    }
    assert_eq!(engine.stats().compactions, cold.compactions, "a cold shard is left alone");
}

#[test]
fn the_memtable_is_flushed_by_size_and_by_age() {
    let world = World::new();
    let engine = world.open();
    engine.apply(position(0), &write(1, 1000, &[(key("m", &[]), integers(0..10, |t| t))])).unwrap();
    assert_eq!(world.jobs.waiting(), 0);
    world.clock.advance_ms(world.options.memtable_age_ms_max);
    engine.tick();
    world.jobs.run_all();
    assert_eq!(engine.durable().0, Some(position(0)));
    assert_eq!(engine.memtable_bytes(), 0);

    engine.apply(position(1), &write(1, 1_000_000, &[(key("m", &[]), integers(0..5000, |t| t))])).unwrap();
    assert!(engine.memtable_bytes() > world.options.memtable_bytes_max);
    world.jobs.run_all();
    assert_eq!(engine.durable().0, Some(position(1)));
    assert_eq!(*world.notified.lock(), [position(0), position(1)]);
}

#[test]
fn membership_and_blank_entries_become_durable_with_a_flush() {
    let world = World::new();
    let engine = world.open();
    engine.apply_membership(position(0), b"one".to_vec()).unwrap();
    engine.apply_blank(position(1)).unwrap();
    engine.apply_membership(position(1), b"skipped".to_vec()).unwrap();
    engine.flush_now().unwrap();
    engine.apply_membership(position(2), b"not flushed".to_vec()).unwrap();
    drop(engine);
    assert_eq!(world.open().durable(), (Some(position(1)), b"one".to_vec()));
}

#[test]
fn threads_apply_flush_merge_and_scan_at_once() {
    let world = World::new();
    let jobs = std::sync::Arc::new(crate::ThreadJobs::start(2).unwrap());
    let engine = Engine::open(
        std::sync::Arc::new(world.vfs.clone()),
        World::dir(),
        std::sync::Arc::clone(&world.clock) as _,
        std::sync::Arc::clone(&jobs) as _,
        crate::Commons::unlimited(),
        world.options.clone(),
        std::sync::Arc::new(|_| {}),
    )
    .unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for index in 0..300 {
                let base = i64::try_from(index).unwrap() * 40;
                let op = write(1, 10_000, &[(key("m", &[]), integers(base..base + 40, |t| t))]);
                engine.apply(position(index), &op).unwrap();
                // As a node does that has run out of memory for memtables.
                while engine.memtable_bytes() > 2 * world.options.memtable_bytes_max {
                    std::thread::yield_now();
                }
            }
        });
        while !writer.is_finished() {
            let mut times = Vec::new();
            for block in engine.scan(&scan_all(1)).unwrap() {
                times.extend(block.unwrap().times);
            }
            // A prefix of the log, in whole entries.
            assert_eq!(times.len() % 40, 0);
            assert!((0..).zip(&times).all(|(i, t)| i == *t));
        }
    });
    engine.flush_now().unwrap();
    assert!(engine.stats().flushes > 1);
    engine.close();
}

/// Values as TSBS makes them for cpu-only: a walk with normal steps between 0 and 100, as integers.
fn walk(chance: &mut Random, len: usize) -> Vec<i64> {
    let mut at = 50.0_f64;
    (0..len)
        .map(|_| {
            // The sum of twelve uniform numbers is near enough to normal.
            let sum: u32 = (0..12).map(|_| u32::try_from(chance.below(1 << 16)).unwrap()).sum();
            at = (at + f64::from(sum) / 65_536.0 - 6.0).clamp(0.0, 100.0);
            #[expect(clippy::cast_possible_truncation, reason = "0 to 100")]
            let whole = at as i64;
            whole
        })
        .collect()
}

#[test]
fn a_day_of_cpu_usage_takes_less_than_a_third_of_a_byte_per_value() {
    const NAMES: [&str; 10] = ["f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9"];
    let (series, rows, parts) = (10, 8640_usize, 6);
    let mut world = World::new();
    world.options.memtable_bytes_max = usize::MAX;
    world.options.compaction_files_max = parts;
    let engine = world.open();
    let mut chance = Random::new(1);
    let columns: Vec<Vec<Vec<i64>>> =
        (0..series).map(|_| (0..10).map(|_| walk(&mut chance, rows)).collect()).collect();
    for part in 0..parts {
        let slice = rows / parts * part..rows / parts * (part + 1);
        let batch: Vec<_> = (0..)
            .zip(&columns)
            .map(|(host, fields)| {
                let host = format!("host_{host}");
                let tags =
                    [("hostname", &*host), ("region", "eu-central-1"), ("datacenter", "eu-central-1a")];
                let point = |i: usize| {
                    let values = NAMES.iter().zip(fields).map(|(name, v)| (*name, FieldValue::Integer(v[i])));
                    (1_451_606_400_000_000_000 + i64::try_from(i).unwrap() * 10_000_000_000, values.collect())
                };
                (key("cpu", &tags), slice.clone().map(point).collect())
            })
            .collect();
        engine.apply(position(part as u64), &write(1, 7 * model::time::DAY_NS, &batch)).unwrap();
        engine.flush_now().unwrap();
    }
    let flushed = engine.stats().file_bytes;
    engine.compact_now().unwrap();
    let merged = engine.stats().file_bytes;
    let values = series * rows * 10;
    println!("{flushed} bytes flushed, {merged} merged, {values} values");
    assert_eq!(engine.stats().files, 1);
    assert!(merged * 3 < values as u64, "{merged} bytes for {values} values");
    assert!(flushed * 2 < values as u64, "{flushed} bytes for {values} values");
}
