//! Engines that share one memory.

use std::sync::Arc;

use disk::vfs::sim::{Failure, Fault, OpKind};
use memory::{Memory, Shares};
use model::PartitionOp;

use super::support::{World, bucket, integers, key, position, write};
use crate::{Commons, Engine, Options};

const ROWS: i64 = 200;

/// Some kilobytes of rows.
fn rows(series: &str) -> PartitionOp {
    write(1, 1_000_000, &[(key(series, &[]), integers(0..ROWS, |t| t))])
}

/// What so many writes take in an empty memtable.
fn bytes_of(writes: u64) -> usize {
    let [world] = worlds(&Commons::unlimited());
    let engine = world.open();
    fill(&engine, writes);
    engine.memtable_bytes()
}

/// Engines on disks and job queues of their own, in one memory; none flushes on its own account.
fn worlds<const N: usize>(commons: &Arc<Commons>) -> [World; N] {
    std::array::from_fn(|_| World {
        commons: Arc::clone(commons),
        options: Options { memtable_bytes_max: usize::MAX, ..World::new().options },
        ..World::new()
    })
}

fn commons(memtable_bytes_soft: usize) -> Arc<Commons> {
    Commons::new(Memory::new(64 << 20, Shares::STANDARD, usize::MAX), memtable_bytes_soft)
}

fn fill(engine: &Engine, writes: u64) {
    for index in 0..writes {
        engine.apply(position(index), &rows(&format!("m{index}"))).unwrap();
    }
}

#[test]
fn one_engines_rows_flush_the_largest_memtable_of_another() {
    let commons = commons(bytes_of(2) + bytes_of(4));
    let [small, large, late] = worlds(&commons);
    let engines = [&small, &large, &late].map(World::open);
    fill(&engines[0], 2);
    fill(&engines[1], 4);
    assert!([&small, &large, &late].iter().all(|world| world.jobs.waiting() == 0), "not beyond the limit");
    fill(&engines[2], 1);
    assert_eq!([&small, &large, &late].map(|world| world.jobs.waiting()), [0, 1, 0]);
    fill(&engines[2], 1);
    large.jobs.run_all();
    assert_eq!(engines[1].memtable_bytes(), 0);
    assert_eq!(engines[1].durable().0, Some(position(3)));
    let held: usize = engines.iter().map(Engine::memtable_bytes).sum();
    assert_eq!(commons.memory().memtables.used(), held);
    assert_eq!(small.jobs.waiting() + late.jobs.waiting(), 0, "enough is free again");
}

#[test]
fn a_flush_under_way_is_not_asked_for_again_and_the_next_largest_follows_when_it_is_not_enough() {
    let commons = commons(bytes_of(3));
    let [first, second] = worlds(&commons);
    let engines = [&first, &second].map(World::open);
    fill(&engines[0], 3);
    fill(&engines[1], 2);
    assert_eq!([first.jobs.waiting(), second.jobs.waiting()], [1, 0]);
    for index in 2..4 {
        engines[1].apply(position(index), &rows(&format!("m{index}"))).unwrap();
    }
    assert_eq!([first.jobs.waiting(), second.jobs.waiting()], [1, 1], "what remains is too much by itself");
}

#[test]
fn who_holds_little_is_not_flushed_for_others() {
    let commons = commons(usize::MAX);
    let [one, other] = worlds(&commons);
    let engines = [&one, &other].map(World::open);
    let share = commons.memory().memtables.limit() / engines.len();
    assert!(commons.is_worth_flushing(share));
    assert!(!commons.is_worth_flushing(share / 5));
}

#[test]
fn series_are_charged_to_the_index_as_long_as_there_are_any() {
    let commons = commons(usize::MAX);
    let [world] = worlds(&commons);
    let used = || commons.memory().index.used();
    let engine = world.open();
    fill(&engine, 20);
    assert_eq!(used(), 0, "they are charged with the memtable");
    engine.flush_now().unwrap();
    engine.tick();
    let twenty = used();
    assert!(twenty > 0);
    fill(&engine, 40);
    engine.flush_now().unwrap();
    engine.tick();
    assert!(used() > twenty);
    let key = key("m3", &[]);
    assert!(engine.has_series(bucket(1), &key, key.hash(bucket(1))));
    assert!(!engine.has_series(bucket(2), &key, key.hash(bucket(2))));
    assert_eq!((engine.series_of(bucket(1)), engine.series_of(bucket(2))), (40, 0));
    world.jobs.discard();
    drop(engine);
    assert_eq!(used(), 0);
    let engine = world.open();
    assert!(used() > 0, "charged before the first tick");
    drop(engine);
}

#[test]
fn the_account_holds_what_the_memtables_hold_whatever_becomes_of_them() {
    let commons = commons(usize::MAX);
    let [world] = worlds(&commons);
    let used = || commons.memory().memtables.used();
    let engine = world.open();
    fill(&engine, 3);
    assert_eq!(used(), engine.memtable_bytes());
    assert!(used() > 0);

    // A flush without room leaves the rows in memory.
    world.vfs.inject(Fault::nth(OpKind::Write, 0, Failure::Full).on(".tsm").forever());
    engine.flush_now().unwrap_err();
    assert_eq!(used(), engine.memtable_bytes());
    assert!(used() > 0);
    world.vfs.heal();
    engine.flush_now().unwrap();
    assert_eq!((used(), engine.memtable_bytes()), (0, 0));

    engine.apply(position(3), &rows("a")).unwrap();
    engine.apply(position(4), &PartitionOp::DropBucket { bucket: bucket(1) }).unwrap();
    assert_eq!((used(), engine.memtable_bytes()), (0, 0));

    engine.apply(position(5), &rows("a")).unwrap();
    assert!(used() > 0);
    // A job that waits holds its engine.
    world.jobs.discard();
    drop(engine);
    assert_eq!(used(), 0);
}
