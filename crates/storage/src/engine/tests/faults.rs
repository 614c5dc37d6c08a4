//! Failing disks and flipped bits: an error that says where, never wrong data.

use std::path::{Path, PathBuf};

use disk::Vfs as _;
use disk::vfs::sim::Random;
use disk::vfs::sim::{Failure, Fault, OpKind, PowerCut};
use model::PartitionOp;

use super::oracle::{collect, scanned};
use super::support::{World, integers, key, position, scan_all, write};
use crate::{Damage, Engine, FatalError, FlushError, OpenError, ReadError};

fn some_rows() -> PartitionOp {
    let series = (0..5).map(|host| {
        let host = format!("host-{host}");
        (key("cpu", &[("host", &host)]), integers(0..2000, |t| t * 7 % 100))
    });
    write(1, 1_000_000, &series.collect::<Vec<_>>())
}

fn filled(world: &World) -> Engine {
    let engine = world.open();
    engine.apply(position(0), &some_rows()).unwrap();
    engine.flush_now().unwrap();
    engine
}

pub(super) fn tsm_files(world: &World) -> Vec<PathBuf> {
    files(world, "tsm")
}

/// The files of one kind.
fn files(world: &World, extension: &str) -> Vec<PathBuf> {
    let list = |path: &PathBuf| world.vfs.list(path).unwrap();
    let dir = World::dir();
    let buckets: Vec<_> =
        list(&dir).into_iter().map(|n| dir.join(n)).filter(|p| crate::manifest::is_data_name(p)).collect();
    let shards = buckets.iter().flat_map(|b| list(b).into_iter().map(|n| b.join(n)));
    let files = shards.flat_map(|s| list(&s).into_iter().map(move |n| s.join(n)));
    files.filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
}

#[test]
fn a_failed_flush_stops_the_engine_and_the_log_brings_everything_back() {
    let kinds = [OpKind::Write, OpKind::SyncData, OpKind::SyncDir, OpKind::Create, OpKind::CreateDir];
    for kind in kinds {
        let world = World::new();
        let engine = filled(&world);
        let before = scanned(&engine, &scan_all(1));
        let later = write(2, 1000, &[(key("m", &[]), integers(0..10, |t| t))]);
        engine.apply(position(1), &later).unwrap();
        world.vfs.inject(Fault::nth(kind, 0, Failure::Io));
        let error = engine.flush_now().unwrap_err();
        assert!(matches!(error, FlushError::Fatal(FatalError::Write { .. })), "{kind:?}: {error:?}");
        world.vfs.heal();
        engine.apply(position(2), &later).unwrap_err();
        engine.apply_blank(position(2)).unwrap_err();
        engine.flush_now().unwrap_err();
        assert_eq!(scanned(&engine, &scan_all(1)), before, "reads go on");
        assert_eq!(scanned(&engine, &scan_all(2)).len(), 10, "reads go on");
        drop(engine);
        let world = World::on(world.vfs.crash(PowerCut::Lost));
        let engine = world.open();
        assert_eq!(engine.durable().0, Some(position(0)), "{kind:?}");
        engine.apply(position(1), &later).unwrap();
        assert_eq!(scanned(&engine, &scan_all(1)), before);
        assert_eq!(scanned(&engine, &scan_all(2)).len(), 10);
    }
}

/// Where a flush may run out of room: an operation, and the paths on which it fails.
const NO_ROOM: [(OpKind, &str, Failure); 12] = [
    (OpKind::CreateDir, "", Failure::Full),
    (OpKind::Create, ".tsm", Failure::Full),
    (OpKind::Write, ".tsm", Failure::Full),
    (OpKind::Write, ".tsm", Failure::ShortThenFull(100)),
    (OpKind::SyncData, ".tsm", Failure::Full),
    (OpKind::Create, ".idx", Failure::Full),
    (OpKind::Write, ".idx", Failure::Full),
    (OpKind::Write, ".idx", Failure::ShortThenFull(100)),
    (OpKind::SyncData, ".idx", Failure::Full),
    (OpKind::SyncDir, "", Failure::Full),
    (OpKind::Write, "MANIFEST", Failure::Full),
    (OpKind::Write, "MANIFEST", Failure::ShortThenFull(150)),
];

#[test]
fn a_flush_without_room_loses_nothing_and_is_done_when_there_is_room() {
    for (kind, part, failure) in NO_ROOM {
        let case = format!("{kind:?} {part} {failure:?}");
        let world = World::new();
        let engine = filled(&world);
        world.jobs.run_all();
        let files = tsm_files(&world);
        let before = scanned(&engine, &scan_all(1));
        let later = write(2, 1000, &[(key("m", &[]), integers(0..10, |t| t))]);
        engine.apply(position(1), &later).unwrap();
        world.vfs.inject(Fault::nth(kind, 0, failure).on(part).forever());
        let error = engine.flush_now().unwrap_err();
        assert!(matches!(error, FlushError::NoRoom { .. }), "{case}: {error:?}");
        assert!(engine.stalled().is_some() && engine.fatal().is_none(), "{case}");
        assert_eq!(tsm_files(&world), files, "{case}: nothing is left of the attempt");
        assert_eq!(self::files(&world, "idx").len(), 1, "{case}: nothing is left of the attempt");

        // Entries go on being applied, over the same rows too, and reads see all of it.
        let newer = write(2, 1000, &[(key("m", &[]), integers(5..20, |t| t + 100))]);
        engine.apply(position(2), &newer).unwrap();
        let expected = scanned(&engine, &scan_all(2));
        assert_eq!(expected.len(), 20, "{case}");
        engine.tick();
        assert_eq!(world.jobs.run_all(), 0, "{case}: it waits before it tries again");
        world.clock.advance_ms(501);
        engine.tick();
        assert!(world.jobs.run_all() > 0, "{case}");
        assert_eq!(engine.stats().flushes_failed, 2, "{case}");

        // A crash meanwhile: the log has everything from the last flush on.
        let crashed = World::on(world.vfs.crash(PowerCut::Kept));
        let reopened = crashed.open();
        assert_eq!(reopened.durable().0, Some(position(0)), "{case}");
        reopened.apply(position(1), &later).unwrap();
        reopened.apply(position(2), &newer).unwrap();
        assert_eq!(scanned(&reopened, &scan_all(2)), expected, "{case}");
        drop(reopened);

        world.vfs.heal();
        world.clock.advance_ms(1001);
        engine.tick();
        assert!(world.jobs.run_all() > 0, "{case}");
        assert!(engine.stalled().is_none(), "{case}");
        assert_eq!(engine.durable().0, Some(position(2)), "{case}");
        assert_eq!(engine.memtable_bytes(), 0, "{case}");
        assert_eq!(scanned(&engine, &scan_all(1)), before, "{case}");
        assert_eq!(scanned(&engine, &scan_all(2)), expected, "{case}");
        drop(engine);
        let world = World::on(world.vfs.crash(PowerCut::Lost));
        let engine = world.open();
        assert_eq!(engine.durable().0, Some(position(2)), "{case}");
        assert_eq!(scanned(&engine, &scan_all(1)), before, "{case}");
        assert_eq!(scanned(&engine, &scan_all(2)), expected, "{case}");
    }
}

#[test]
fn what_is_dropped_while_there_is_no_room_never_comes_back() {
    let world = World::new();
    let engine = filled(&world);
    engine.apply(position(1), &some_rows()).unwrap();
    world.vfs.inject(Fault::nth(OpKind::Write, 0, Failure::Full).on(".tsm").forever());
    engine.flush_now().unwrap_err();
    engine.apply(position(2), &PartitionOp::DropBucket { bucket: super::support::bucket(1) }).unwrap();
    let again = write(1, 1000, &[(key("m", &[]), integers(0..3, |t| t))]);
    engine.apply(position(3), &again).unwrap();
    assert_eq!(scanned(&engine, &scan_all(1)).len(), 3);
    // What was frozen is dropped, so that part needs no room any more.
    engine.flush_now().unwrap_err();
    assert_eq!(engine.durable().0, Some(position(1)));
    world.vfs.heal();
    engine.flush_now().unwrap();
    world.jobs.run_all();
    assert_eq!(tsm_files(&world).len(), 1, "the dropped files are gone");
    drop(engine);
    let world = World::on(world.vfs.crash(PowerCut::Lost));
    let engine = world.open();
    assert_eq!(engine.durable().0, Some(position(3)));
    assert_eq!(scanned(&engine, &scan_all(1)).len(), 3);
}

#[test]
fn a_manifest_that_cannot_be_shortened_for_want_of_room_goes_on() {
    let world = World::new();
    let engine = world.open();
    world.vfs.inject(Fault::nth(OpKind::Create, 0, Failure::Full).on("MANIFEST").forever());
    for index in 0..60 {
        engine.apply(position(index), &some_rows()).unwrap();
        engine.flush_now().unwrap();
    }
    assert!(engine.fatal().is_none());
    let expected = scanned(&engine, &scan_all(1));
    drop(engine);
    let world = World::on(world.vfs.crash(PowerCut::Lost));
    let engine = world.open();
    assert_eq!(engine.durable().0, Some(position(59)));
    assert_eq!(scanned(&engine, &scan_all(1)), expected);
}

#[test]
fn a_failed_merge_keeps_its_inputs_and_waits_before_it_tries_again() {
    let world = World::new();
    let engine = world.open();
    for index in 0..3 {
        engine.apply(position(index), &some_rows()).unwrap();
        engine.flush_now().unwrap();
    }
    let before = scanned(&engine, &scan_all(1));
    world.vfs.inject(Fault::nth(OpKind::SyncData, 0, Failure::Io));
    assert!(world.jobs.run_all() > 0);
    assert_eq!(engine.stats().compactions_failed, 1);
    assert_eq!(engine.stats().files, 3);
    assert!(engine.fatal().is_none(), "no data is in doubt");
    assert_eq!(scanned(&engine, &scan_all(1)), before);
    engine.tick();
    world.jobs.run_all();
    assert_eq!(engine.stats().compactions, 0, "it waits");
    world.clock.advance_ms(world.options.quarantine_ms_min + 1);
    engine.tick();
    world.jobs.run_all();
    assert_eq!((engine.stats().compactions, engine.stats().files), (1, 1));
    assert_eq!(scanned(&engine, &scan_all(1)), before);
    assert_eq!(tsm_files(&world).len(), 1, "neither the failed output nor the inputs are left");
}

#[test]
fn a_merge_that_would_fill_the_disk_is_not_begun() {
    let world = World::new();
    let engine = world.open();
    for index in 0..3 {
        engine.apply(position(index), &some_rows()).unwrap();
        engine.flush_now().unwrap();
    }
    world.vfs.set_free_bytes(1000);
    let ops = world.vfs.ops();
    world.jobs.run_all();
    let stats = engine.stats();
    assert_eq!((stats.compactions, stats.compactions_failed, stats.compactions_put_off), (0, 0, 1));
    assert_eq!(world.vfs.ops(), ops, "nothing was written");
    // As soon as there is space it runs.
    world.vfs.set_free_bytes(1 << 20);
    engine.tick();
    assert_eq!(world.jobs.run_all(), 0, "it is not tried all the time");
    world.clock.advance_ms(2_000);
    engine.tick();
    world.jobs.run_all();
    assert_eq!(engine.stats().compactions, 1);
}

#[test]
fn any_flipped_bit_of_a_file_is_an_error_and_never_an_answer() {
    let world = World::new();
    drop(filled(&world));
    let [path] = &tsm_files(&world)[..] else { panic!("one file") };
    let len = world.vfs.open_read(path).unwrap().len().unwrap();
    let expected = scanned(&world.open(), &scan_all(1));
    let mut chance = Random::new(5);
    for _ in 0..1500 {
        let offset = chance.below(len);
        let mask = 1_u8 << chance.below(8);
        let world = World::on(world.vfs.crash(PowerCut::Kept));
        world.vfs.corrupt(path, offset, mask).unwrap();
        let engine = world.open();
        match engine.scan(&scan_all(1)).and_then(collect) {
            // Keys in a file are read when there is no index.
            Ok(rows) if is_in_keys(path, &world, offset) => assert_eq!(rows, expected),
            Err(ReadError::Damaged { path: named, offset: at, .. }) => {
                assert_eq!(&named, path);
                assert!(at <= offset, "the part at {at} has byte {offset}");
            }
            Err(ReadError::Lost { why, .. }) => {
                let OpenError::Damaged { path: named, offset: at, .. } = &*why else { panic!("{why:?}") };
                assert_eq!(named, path);
                assert!(*at <= offset, "the part at {at} has byte {offset}");
                assert_eq!(engine.stats().damaged, 1);
            }
            other => panic!("byte {offset}: {other:?}"),
        }
    }
}

#[test]
fn a_damaged_page_spoils_only_what_needs_it() {
    let world = World::new();
    drop(filled(&world));
    let [path] = &tsm_files(&world)[..] else { panic!("one file") };
    // The first page of the first series follows the 8 bytes of the header.
    world.vfs.corrupt(path, 12, 1).unwrap();
    let engine = world.open();
    let host = |n: u64| {
        model::Predicate::Compare(model::Subject::Tag("host".into()), model::Test::Eq(format!("host-{n}")))
    };
    let of_host = |n| model::ScanRequest { predicate: host(n), ..scan_all(1) };
    let error = collect(engine.scan(&of_host(0)).unwrap()).unwrap_err();
    assert!(matches!(error, ReadError::Damaged { offset: 8, source: Damage::Checksum, .. }), "{error:?}");
    assert_eq!(scanned(&engine, &of_host(1)).len(), 2000);
}

#[test]
fn any_flipped_bit_of_the_manifest_changes_nothing() {
    let world = World::new();
    let engine = filled(&world);
    engine.apply(position(1), &write(2, 1000, &[(key("m", &[]), integers(0..10, |t| t))])).unwrap();
    engine.flush_now().unwrap();
    let expected = (scanned(&engine, &scan_all(1)), scanned(&engine, &scan_all(2)));
    drop(engine);
    let path = World::dir().join("MANIFEST-00000001");
    let len = world.vfs.open_read(&path).unwrap().len().unwrap();
    for offset in 0..len {
        let world = World::on(world.vfs.crash(PowerCut::Kept));
        world.vfs.corrupt(&path, offset, 0x10).unwrap();
        let engine = world.open();
        assert_eq!(engine.durable().0, Some(position(1)), "byte {offset}");
        assert_eq!((scanned(&engine, &scan_all(1)), scanned(&engine, &scan_all(2))), expected);
    }
}

/// Flushes once more: the manifest, and where in it what was written for that begins and ends.
fn second_record(world: &World, engine: &Engine) -> (PathBuf, u64, u64) {
    let path = World::dir().join("MANIFEST-00000001");
    let len = || world.vfs.open_read(&path).unwrap().len().unwrap();
    let before = len();
    engine.apply(position(1), &some_rows()).unwrap();
    engine.flush_now().unwrap();
    let after = len();
    (path, before, after)
}

#[test]
fn a_missing_record_in_the_middle_of_the_manifest_refuses_to_open() {
    let world = World::new();
    let engine = filled(&world);
    let (path, before, middle) = second_record(&world, &engine);
    engine.apply(position(2), &some_rows()).unwrap();
    engine.flush_now().unwrap();
    drop(engine);
    for offset in [before + 4, before.midpoint(middle) + 4] {
        world.vfs.corrupt(&path, offset, 1).unwrap();
    }
    match world.try_open() {
        Err(OpenError::Damaged { path: named, offset, .. }) => {
            assert_eq!(named, path);
            assert_eq!(offset, middle);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_or_short_file_is_lost_and_a_missing_manifest_refuses_to_open() {
    let world = World::new();
    drop(filled(&world));
    let [path] = &tsm_files(&world)[..] else { panic!("one file") };

    let short = World::on(world.vfs.crash(PowerCut::Kept));
    short.vfs.open(path).unwrap().set_len(100).unwrap();
    let why = |world: &World| match &world.open().damage()[..] {
        [ReadError::Lost { why, .. }] => OpenError::clone(why),
        other => panic!("{other:?}"),
    };
    assert!(matches!(why(&short), OpenError::WrongFile { found: Some(100), .. }));

    let gone = World::on(world.vfs.crash(PowerCut::Kept));
    gone.vfs.remove_file(path).unwrap();
    assert!(matches!(why(&gone), OpenError::WrongFile { found: None, .. }));

    let lost = World::on(world.vfs.crash(PowerCut::Kept));
    lost.vfs.remove_file(&World::dir().join("MANIFEST-00000001")).unwrap();
    assert!(matches!(lost.try_open(), Err(OpenError::ManifestMissing { .. })));
}

/// Whether a byte of the only file lies in its keys, and reading them notices the damage.
fn is_in_keys(path: &Path, world: &World, offset: u64) -> bool {
    let engine = world.open();
    let state = engine.inner.state.read();
    let (_, shard) = state.shards().next().unwrap();
    let [file] = &shard.files[..] else { panic!("one file") };
    assert_eq!(file.path, path);
    let footer = &file.footer;
    let keys = footer.presence.end().unwrap();
    let inside = (keys..keys + footer.keys_len).contains(&offset);
    if inside {
        let error = file.keys(|_| ()).unwrap_err();
        assert!(matches!(error, ReadError::Damaged { offset: at, .. } if at <= offset), "{error:?}");
    }
    inside
}

#[test]
fn any_flipped_bit_of_a_segment_is_told_and_changes_nothing() {
    let world = World::new();
    drop(filled(&world));
    let [path] = &files(&world, "idx")[..] else { panic!("one segment") };
    let len = world.vfs.open_read(path).unwrap().len().unwrap();
    let expected = scanned(&world.open(), &scan_all(1));
    let why = |world: &World| {
        let engine = world.open();
        assert_eq!(scanned(&engine, &scan_all(1)), expected);
        match &engine.damage()[..] {
            [ReadError::LostSegment { why }] => OpenError::clone(why),
            other => panic!("{other:?}"),
        }
    };
    for offset in 0..len {
        let world = World::on(world.vfs.crash(PowerCut::Kept));
        world.vfs.corrupt(path, offset, 1 << (offset % 8)).unwrap();
        match why(&world) {
            OpenError::Damaged { path: named, offset: at, .. } => {
                assert_eq!(&named, path);
                assert!(at <= offset, "the part at {at} has byte {offset}");
            }
            other => panic!("byte {offset}: {other:?}"),
        }
    }
    world.vfs.remove_file(path).unwrap();
    assert!(matches!(why(&world), OpenError::WrongFile { found: None, .. }));
}

#[test]
fn series_are_found_again_under_the_ids_that_a_flush_gave_them() {
    let world = World::new();
    let engine = world.open();
    let host = |n: u64| key("cpu", &[("host", &format!("host-{n:02}"))]);
    // Against the order of keys, so that every series gets another id.
    let some = |hosts: std::ops::Range<u64>, add: i64| {
        let series = hosts.rev().map(|n| (host(n), integers(add..add + 5, |t| t * 3 + add)));
        write(1, 1_000_000, &series.collect::<Vec<_>>())
    };
    let mut oracle = super::oracle::Oracle::default();
    let mut index = 0;
    let mut apply = |op: PartitionOp| {
        engine.apply(position(index), &op).unwrap();
        oracle.apply(&op);
        index += 1;
        assert_eq!(scanned(&engine, &scan_all(1)), oracle.scan(&scan_all(1)), "after entry {index}");
    };
    apply(some(0..30, 0));
    let delete = |n: u64, end: i64| {
        let predicate = model::Predicate::Compare(
            model::Subject::Tag("host".into()),
            model::Test::Eq(format!("host-{n:02}")),
        );
        let range = model::TimeRange::new(model::Timestamp(0), model::Timestamp(end));
        PartitionOp::Delete(model::Deletion { bucket: super::support::bucket(1), range, predicate })
    };
    apply(delete(3, 2));
    world.vfs.inject(Fault::nth(OpKind::Write, 0, Failure::Full).on("MANIFEST").forever());
    engine.flush_now().unwrap_err();
    // While the flush waits: more rows of its series, new series, and deletes of both.
    apply(some(10..40, 3));
    apply(delete(12, 4));
    apply(delete(35, 5));
    apply(some(0..40, 20));
    world.vfs.heal();
    engine.flush_now().unwrap();
    apply(some(5..45, 40));
    assert_eq!(engine.stats().series, 45);
    engine.flush_now().unwrap();
    engine.compact_now().unwrap();
    apply(some(0..3, 60));
    engine.flush_now().unwrap();
    drop(engine);
    let world = World::on(world.vfs.crash(PowerCut::Lost));
    let engine = world.open();
    assert_eq!(scanned(&engine, &scan_all(1)), oracle.scan(&scan_all(1)));
    assert_eq!(engine.stats().series, 45);
}

#[test]
fn what_a_lost_record_named_stays_until_another_is_written() {
    let world = World::new();
    let engine = filled(&world);
    let (path, before, len) = second_record(&world, &engine);
    drop(engine);
    let held = (tsm_files(&world).len(), files(&world, "idx").len());
    let zeros = vec![0; usize::try_from(len - before).unwrap()];
    let manifest = world.vfs.open(&path).unwrap();
    manifest.write_all_at(&zeros, before).unwrap();
    manifest.sync_data().unwrap();
    // Whoever opens it learns that the log must bring what came after the first record, and finds it or not.
    for _ in 0..2 {
        let engine = world.open();
        assert_eq!(engine.durable().0, Some(position(0)));
        drop(engine);
        assert_eq!((tsm_files(&world).len(), files(&world, "idx").len()), held);
    }
    let engine = world.open();
    engine.apply(position(1), &some_rows()).unwrap();
    engine.flush_now().unwrap();
    let expected = scanned(&engine, &scan_all(1));
    drop(engine);
    let engine = world.open();
    engine.tick();
    assert_eq!(scanned(&engine, &scan_all(1)), expected);
    assert_eq!(engine.stats().files, tsm_files(&world).len(), "the manifest is whole again");
}

/// An older manifest, as a backup that is restored in part brings one, names less than there is. Who opens it may find
/// out by the log; until then nothing is removed, and with the right manifest everything is there.
#[test]
fn files_that_an_older_manifest_does_not_name_stay_until_it_proves_to_be_the_right_one() {
    let world = World::new();
    let engine = filled(&world);
    let path = World::dir().join("MANIFEST-00000001");
    let bytes_of = |len: u64| {
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        world.vfs.open_read(&path).unwrap().read_exact_at(&mut bytes, 0).unwrap();
        bytes
    };
    let older = bytes_of(world.vfs.open_read(&path).unwrap().len().unwrap());
    engine.apply(position(1), &some_rows()).unwrap();
    engine.flush_now().unwrap();
    let expected = scanned(&engine, &scan_all(1));
    drop(engine);
    let right = bytes_of(world.vfs.open_read(&path).unwrap().len().unwrap());
    let put = |bytes: &[u8]| {
        world.vfs.remove_file(&path).unwrap();
        let file = world.vfs.create(&path).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.sync_data().unwrap();
    };
    let held = (tsm_files(&world), files(&world, "idx"));
    put(&older);
    let engine = world.open();
    assert_eq!(engine.durable().0, Some(position(0)));
    // What is written meanwhile has names of its own.
    engine.apply(position(1), &some_rows()).unwrap();
    drop(engine);
    assert_eq!((tsm_files(&world), files(&world, "idx")), held);
    put(&right);
    let engine = world.open();
    assert_eq!(scanned(&engine, &scan_all(1)), expected);
    drop(engine);

    put(&older);
    let engine = world.open();
    engine.apply(position(1), &some_rows()).unwrap();
    engine.flush_now().unwrap();
    engine.tick();
    assert_eq!(engine.stats().files, tsm_files(&world).len(), "it is the right one");
    assert_eq!(scanned(&engine, &scan_all(1)), expected);
}
