//! Files and index segments that are damaged as a whole, missing, cut or swapped: the engine opens, never answers wrongly,
//! and answers all that does not depend on them; and when they are back, everything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use disk::vfs::sim::PowerCut;
use disk::vfs::sim::Random;
use disk::{SimVfs, Vfs as _};
use model::{
    Deletion, Ends, PartitionOp, Predicate, SchemaQuestion, SchemaRequest, Subject, Test, TimeRange,
    Timestamp,
};

use super::oracle::{Oracle, collect, scanned};
use super::support::{World, bucket, integers, key, position, scan_all, write};
use super::verify::{files, looked};
use crate::engine::{file_path, segment_path};
use crate::{Engine, Inspection, ReadError};

const SHARD: i64 = 1000;

fn is_kind(path: &Path, kind: &str) -> bool {
    path.extension().is_some_and(|extension| extension == kind)
}

fn of_kind(world: &World, kind: &str) -> Vec<PathBuf> {
    files(world, &World::dir()).into_iter().filter(|path| is_kind(path, kind)).collect()
}

fn contents(world: &World, path: &Path) -> Vec<u8> {
    let file = world.vfs.open_read(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn put(world: &World, path: &Path, bytes: &[u8]) {
    if world.vfs.exists(path).unwrap() {
        world.vfs.remove_file(path).unwrap();
    }
    world.vfs.create_dir_all(path.parent().unwrap()).unwrap();
    let file = world.vfs.create(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    world.vfs.sync_dir(path.parent().unwrap()).unwrap();
}

/// A write of every host at some times, with values that tell writes apart.
fn points(of: u64, hosts: std::ops::Range<u64>, times: std::ops::Range<i64>, add: i64) -> PartitionOp {
    let series = hosts.map(|host| {
        let host = format!("host-{host}");
        (key("cpu", &[("host", &host)]), integers(times.clone(), |t| t * 3 + add))
    });
    write(of, SHARD, &series.collect::<Vec<_>>())
}

/// Three shards of one bucket with two files in the middle one, and another bucket; what was written, in order.
struct Filled {
    world: World,
    log: Vec<PartitionOp>,
    oracle: Oracle,
}

impl Filled {
    fn new(value: i64) -> Self {
        let mut world = World::new();
        // No merge on its own account; a scrub as soon as a test wants one.
        world.options.compaction_files_min = 100;
        world.options.cold_after_ms = u64::MAX / 2;
        world.options.scrub_interval_ms = 1000;
        let mut this = Self { world, log: Vec::new(), oracle: Oracle::default() };
        let engine = this.world.open();
        let acts = [
            points(1, 0..4, 0..300, value),
            points(1, 2..6, 1000..1300, value),
            points(1, 4..8, 1200..1500, value + 1),
            points(1, 0..2, 2000..2300, value),
            points(2, 0..4, 1000..1300, value),
        ];
        for op in acts {
            this.apply(&engine, op);
            engine.flush_now().unwrap();
        }
        drop(engine);
        this
    }

    fn apply(&mut self, engine: &Engine, op: PartitionOp) {
        engine.apply(position(self.log.len() as u64), &op).unwrap();
        self.oracle.apply(&op);
        self.log.push(op);
    }

    /// Opens the engine and brings it up to the log's end.
    fn open(&self) -> Engine {
        let engine = self.world.open();
        let from = engine.durable().0.map_or(0, |durable| durable.index + 1);
        for (index, op) in (0..).zip(&self.log).filter(|(index, _)| *index >= from) {
            engine.apply(position(index), op).unwrap();
        }
        engine
    }

    /// The files of the first bucket's middle shard.
    fn middle(&self) -> Vec<PathBuf> {
        of_kind(&self.world, "tsm")
            .into_iter()
            .filter(|path| path.parent().unwrap().ends_with(format!("{}/1000", bucket(1))))
            .collect()
    }

    fn check(&self, engine: &Engine, buckets: &[u64]) {
        for id in buckets {
            let rows = self.oracle.scan(&scan_all(*id));
            assert_eq!(scanned(engine, &scan_all(*id)), rows);
            // Of a series whose rows were deleted the name may stay until a merge.
            let request = SchemaRequest {
                bucket: bucket(*id),
                range: TimeRange::ALL,
                predicate: Predicate::TRUE,
                question: SchemaQuestion::Series,
            };
            let names: BTreeSet<String> = engine.schema(&request).unwrap().into_iter().collect();
            let held = rows.keys().map(|(key, ..)| key.0.to_string());
            assert!(names.is_superset(&held.collect()), "{names:?}");
        }
    }

    /// Whether a range of the first bucket is answered, and rightly.
    fn answers(&self, engine: &Engine, times: std::ops::Range<i64>) -> bool {
        let range = TimeRange::new(Timestamp(times.start), Timestamp(times.end));
        let request = model::ScanRequest { range, ..scan_all(1) };
        let ends = Ends { rows: 1, newest: true };
        let newest = engine.scan_ends(&request, ends).map(|ends| ends.map(Result::unwrap).count());
        match engine.scan(&request).and_then(collect) {
            Ok(rows) => {
                assert_eq!(rows, self.oracle.scan(&request));
                assert!(newest.is_ok());
                true
            }
            Err(error) => {
                assert!(matches!(error, ReadError::Lost { .. }), "{error:?}");
                assert_eq!(newest.unwrap_err().to_string(), error.to_string());
                let whole = engine.everything().digest(|| true);
                assert!(matches!(whole, Err(ReadError::Lost { .. })), "{whole:?}");
                false
            }
        }
    }
}

/// A pass of the scrub.
fn scrub(world: &World, engine: &Engine) {
    let before = engine.stats().scrubs;
    for _ in 0..1000 {
        world.clock.advance_ms(2000);
        engine.tick();
        world.jobs.run_all();
        if engine.stats().scrubs >= before + 2 {
            return;
        }
    }
    panic!("the scrub does not end");
}

/// What may happen to a file as a whole.
fn damages(bytes: &[u8], other: &[u8], parts: &[(&'static str, u64)]) -> Vec<(String, Option<Vec<u8>>)> {
    let mut all: Vec<(String, Option<Vec<u8>>)> = vec![
        ("missing".into(), None),
        ("foreign".into(), Some(other.to_vec())),
        ("empty".into(), Some(Vec::new())),
    ];
    for cut in [1, 31, 33, bytes.len() / 2] {
        all.push((format!("cut by {cut}"), Some(bytes[..bytes.len() - cut].to_vec())));
    }
    all.push(("longer".into(), Some([bytes, &[0]].concat())));
    all.push(("zeros".into(), Some(vec![0; bytes.len()])));
    for (part, at) in parts {
        let mut damaged = bytes.to_vec();
        damaged[usize::try_from(*at).unwrap()] ^= 0x21;
        all.push(((*part).to_owned(), Some(damaged)));
    }
    all
}

#[test]
fn whatever_happens_to_a_file_the_rest_is_served_and_all_of_it_once_it_is_back() {
    let sound = Filled::new(0);
    let path = sound.middle().remove(0);
    let bytes = contents(&sound.world, &path);
    let other = contents(&Filled::new(1).world, &path);
    assert_ne!(bytes, other, "a file of the same shape with other values");
    let summary = Inspection::open(&sound.world.vfs, &path).unwrap().summary();
    let table = 8 + summary.page_bytes + summary.directory_bytes;
    let len = bytes.len() as u64;
    let footer = table + summary.table_bytes + summary.presence_bytes + summary.key_bytes;
    let parts = [
        ("header", 3),
        ("table", table),
        ("set", table + summary.table_bytes),
        ("footer", footer),
        ("trailer", len - 32),
        ("magic", len - 1),
    ];
    let schema = |question, times: std::ops::Range<i64>| SchemaRequest {
        bucket: bucket(1),
        range: TimeRange::new(Timestamp(times.start), Timestamp(times.end)),
        predicate: Predicate::TRUE,
        question,
    };
    for (what, damaged) in damages(&bytes, &other, &parts) {
        for is_scrubbed in [false, true] {
            let mut case = Filled::new(0);
            match &damaged {
                Some(bytes) => put(&case.world, &path, bytes),
                None => case.world.vfs.remove_file(&path).unwrap(),
            }
            let engine = case.open();
            let damage = engine.damage();
            assert!(matches!(&damage[..], [ReadError::Lost { .. }]), "{what}: {damage:?}");
            assert!(damage[0].to_string().contains(path.to_str().unwrap()), "{what}: {}", damage[0]);
            assert_eq!(engine.stats().damaged, 1);

            // The file has rows from 1000 to 1299.
            case.check(&engine, &[2]);
            for (times, is_answered) in [
                (0..1000, true),
                (1300..3000, true),
                (0..1001, false),
                (1299..1300, false),
                (900..1900, false),
                (2000..2300, true),
            ] {
                assert_eq!(case.answers(&engine, times.clone()), is_answered, "{what}: {times:?}");
            }
            for question in [SchemaQuestion::Measurements, SchemaQuestion::Series, SchemaQuestion::FieldKeys]
            {
                assert!(engine.schema(&schema(question.clone(), 1900..1950)).is_err(), "{what}");
                assert!(!engine.schema(&schema(question, 2000..2100)).unwrap().is_empty(), "{what}");
            }

            // Writes go on, to known and new series, before and in the same place; deletes, flushes and merges too.
            case.apply(&engine, points(1, 0..9, 1250..1350, 7000));
            case.apply(
                &engine,
                delete(
                    1100..1120,
                    Predicate::Compare(Subject::Tag("host".into()), Test::Eq("host-3".into())),
                ),
            );
            case.apply(&engine, delete(1205..1210, Predicate::TRUE));
            engine.flush_now().unwrap();
            case.apply(&engine, points(1, 0..9, 1105..1108, 8000));
            case.apply(&engine, points(1, 0..9, 2200..2210, 8000));
            engine.flush_now().unwrap();
            engine.compact_now().unwrap();
            case.world.jobs.run_all();
            assert!(case.answers(&engine, 1300..3000) && !case.answers(&engine, 1299..1301), "{what}");
            if !is_scrubbed {
                drop(engine);
                case.world.jobs.discard();
                let again = case.open();
                assert!(case.answers(&again, 1300..3000) && !case.answers(&again, 1299..1301), "{what}");
                assert_eq!(again.stats().damaged, 1);
                drop(again);
            } else {
                scrub(&case.world, &engine);
                assert_eq!(engine.stats().damaged, 1, "{what}: a pass that finds it still damaged");
                put(&case.world, &path, &bytes);
                scrub(&case.world, &engine);
                assert_eq!(engine.damage().len(), 0, "{what}");
                case.check(&engine, &[1, 2]);
                drop(engine);
            }
            put(&case.world, &path, &bytes);
            let engine = case.open();
            case.check(&engine, &[1, 2]);
            assert_eq!(engine.damage().len(), 0);
            let series = engine.schema(&schema(SchemaQuestion::Series, 0..3000)).unwrap();
            assert_eq!(series.len(), 9, "{what}: {series:?}");
            assert_eq!(engine.series_of(bucket(1)), 9, "{what}");
            engine.compact_now().unwrap();
            case.check(&engine, &[1, 2]);
            assert_eq!(engine.stats().tombstones, 0, "{what}");
        }
    }
}

fn delete(times: std::ops::Range<i64>, predicate: Predicate) -> PartitionOp {
    let range = TimeRange::new(Timestamp(times.start), Timestamp(times.end));
    PartitionOp::Delete(Deletion { bucket: bucket(1), range, predicate })
}

#[test]
fn whatever_happens_to_a_segment_it_is_made_anew_from_the_files() {
    let sound = Filled::new(0);
    let paths = of_kind(&sound.world, "idx");
    assert!(paths.len() >= 4, "{paths:?}");
    for path in paths.iter().filter(|path| path.to_str().unwrap().contains(&bucket(1).to_string())) {
        let bytes = contents(&sound.world, path);
        let other = paths.iter().find(|other| other.parent() != path.parent()).unwrap();
        let other = contents(&sound.world, other);
        let all: Vec<(&'static str, u64)> =
            (0..bytes.len() as u64).step_by(7).map(|at| ("byte", at)).collect();
        for (what, damaged) in damages(&bytes, &other, &all) {
            let mut case = Filled::new(0);
            match &damaged {
                Some(bytes) => put(&case.world, path, bytes),
                None => case.world.vfs.remove_file(path).unwrap(),
            }
            let engine = case.open();
            assert!(matches!(&engine.damage()[..], [ReadError::LostSegment { .. }]), "{what}");
            case.check(&engine, &[1, 2]);
            case.apply(&engine, points(1, 0..12, 2200..2210, 8000));
            case.check(&engine, &[1, 2]);
            // It is written at the next occasion, and nothing of the old one is left.
            engine.tick();
            case.world.jobs.run_all();
            assert_eq!(engine.damage().len(), 0, "{what}");
            engine.flush_now().unwrap();
            case.world.jobs.run_all();
            drop(engine);
            let (_, findings) = looked(&case.world);
            assert!(findings.is_empty(), "{what}: {findings:?}");
            let engine = case.open();
            case.check(&engine, &[1, 2]);
            assert_eq!((engine.damage().len(), engine.series_of(bucket(1))), (0, 12), "{what}");
        }
    }
}

#[test]
fn all_segments_of_a_bucket_may_be_lost_at_once() {
    let case = Filled::new(0);
    for path in of_kind(&case.world, "idx") {
        case.world.vfs.remove_file(&path).unwrap();
    }
    // Twice, as if it crashed before anything was written.
    drop(case.open());
    case.world.jobs.discard();
    let engine = case.open();
    case.check(&engine, &[1, 2]);
    engine.tick();
    case.world.jobs.run_all();
    assert_eq!(engine.damage().len(), 0);
    drop(engine);
    assert!(looked(&case.world).1.is_empty());
    case.check(&case.open(), &[1, 2]);
}

#[test]
fn a_lost_file_goes_with_what_is_dropped_or_deleted_as_a_whole() {
    let drop_shard = PartitionOp::DropShards { bucket: bucket(1), ending_by: Timestamp(2000) };
    let drop_bucket = PartitionOp::DropBucket { bucket: bucket(1) };
    for op in [drop_shard, drop_bucket, delete(900..1400, Predicate::TRUE)] {
        for is_missing in [false, true] {
            let mut case = Filled::new(0);
            let path = case.middle().remove(0);
            if is_missing {
                case.world.vfs.remove_file(&path).unwrap();
            } else {
                case.world.vfs.open(&path).unwrap().set_len(50).unwrap();
            }
            let engine = case.open();
            assert!(!case.answers(&engine, 0..3000));
            case.apply(&engine, op.clone());
            case.check(&engine, &[1, 2]);
            case.apply(&engine, points(1, 3..5, 1100..1110, 9000));
            case.check(&engine, &[1, 2]);
            // A crash before any of it is durable.
            let crashed = Filled {
                world: World::on(case.world.vfs.crash(PowerCut::Lost)),
                log: case.log.clone(),
                oracle: case.oracle.clone(),
            };
            crashed.check(&crashed.open(), &[1, 2]);

            engine.flush_now().unwrap();
            engine.tick();
            case.world.jobs.run_all();
            engine.tick();
            case.world.jobs.run_all();
            assert_eq!(engine.damage().len(), 0, "{op:?}");
            assert!(!case.world.vfs.exists(&path).unwrap(), "{op:?}");
            case.check(&engine, &[1, 2]);
            drop(engine);
            assert!(looked(&case.world).1.is_empty(), "{op:?}");
            let engine = case.open();
            case.check(&engine, &[1, 2]);
            engine.compact_now().unwrap();
            assert_eq!(engine.stats().tombstones, 0);
            case.check(&engine, &[1, 2]);
        }
    }
}

#[test]
fn merges_do_not_cross_a_gap_and_go_on_beside_it() {
    let mut case = Filled::new(0);
    let engine = case.open();
    for add in 1..6 {
        case.apply(&engine, points(1, 0..3, 1000..1100, add * 100));
        engine.flush_now().unwrap();
    }
    drop(engine);
    let files = case.middle();
    assert_eq!(files.len(), 7);
    let lost = &files[3];
    let bytes = contents(&case.world, lost);
    case.world.vfs.remove_file(lost).unwrap();
    case.world.options.compaction_files_min = 2;
    let engine = case.open();
    engine.compact_now().unwrap();
    case.world.jobs.run_all();
    assert_eq!(case.middle().len(), 2, "one on each side");
    drop(engine);
    put(&case.world, lost, &bytes);
    let engine = case.open();
    case.check(&engine, &[1, 2]);
    engine.compact_now().unwrap();
    case.check(&engine, &[1, 2]);
    case.world.jobs.run_all();
    assert_eq!(case.middle().len(), 2, "it is merged with its neighbour");
}

#[test]
fn a_file_lost_together_with_its_segment_never_gives_one_series_two_ids() {
    // The file is put back before its series are written again, or afterwards; the segment is not.
    for is_written_again in [false, true] {
        for is_flushed in [false, true] {
            let mut case = Filled::new(0);
            // Hosts 6 and 7 are in this file only, and in the segment that came with it.
            let path = case.middle().remove(1);
            let bytes = contents(&case.world, &path);
            let first = of_kind(&case.world, "idx")
                .into_iter()
                .filter(|p| p.to_str().unwrap().contains(&bucket(1).to_string()));
            let segment = first.max().unwrap();
            case.world.vfs.remove_file(&path).unwrap();
            case.world.vfs.remove_file(&segment).unwrap();
            let engine = case.open();
            assert!(!case.answers(&engine, 1200..1500) && case.answers(&engine, 0..1200));
            if is_written_again {
                case.apply(&engine, points(1, 5..9, 2500..2510, 1));
                case.apply(&engine, points(1, 5..9, 1200..1210, 1));
            }
            if is_flushed {
                engine.flush_now().unwrap();
                engine.compact_now().unwrap();
                case.world.jobs.run_all();
            }
            scrub(&case.world, &engine);
            drop(engine);
            case.world.jobs.discard();
            drop(case.open());
            put(&case.world, &path, &bytes);
            // The log holds what was not flushed, and by then the series are known under the ids of the file.
            let engine = case.open();
            scrub(&case.world, &engine);
            let is_whole = case.answers(&engine, 0..3000);
            assert_eq!(is_whole, !(is_written_again && is_flushed));
            assert!(case.answers(&engine, 0..1200) && case.answers(&engine, 2000..3000));
            if !is_whole {
                let told = engine.damage().iter().map(ToString::to_string).collect::<String>();
                assert!(told.contains("other ids") && told.contains(path.to_str().unwrap()), "{told}");
                case.apply(&engine, delete(1200..1500, Predicate::TRUE));
                engine.flush_now().unwrap();
                engine.compact_now().unwrap();
                case.world.jobs.run_all();
            }
            case.check(&engine, &[1, 2]);
            drop(engine);
            let engine = case.open();
            engine.tick();
            case.world.jobs.run_all();
            case.check(&engine, &[1, 2]);
            assert_eq!(engine.damage().len(), 0);
        }
    }
}

#[test]
fn a_file_whose_keys_an_index_needs_and_cannot_read_is_lost_too() {
    let case = Filled::new(0);
    let path = case.middle().remove(1);
    let bytes = contents(&case.world, &path);
    let summary = Inspection::open(&case.world.vfs, &path).unwrap().summary();
    let keys =
        8 + summary.page_bytes + summary.directory_bytes + summary.table_bytes + summary.presence_bytes;
    case.world.vfs.corrupt(&path, keys + 6, 1).unwrap();
    case.check(&case.open(), &[1, 2]);
    for path in of_kind(&case.world, "idx") {
        case.world.vfs.remove_file(&path).unwrap();
    }
    let engine = case.open();
    assert!(!case.answers(&engine, 1200..1500) && case.answers(&engine, 0..1200));
    let told = engine.damage().iter().map(ToString::to_string).collect::<String>();
    assert!(
        told.contains("the series index needs its keys") && told.contains(path.to_str().unwrap()),
        "{told}"
    );
    drop(engine);
    put(&case.world, &path, &bytes);
    case.check(&case.open(), &[1, 2]);
}

/// A random life with files that come and go at restarts.
struct Life {
    chance: Random,
    case: Filled,
    engine: Option<Engine>,
    /// What was taken away, and what it was.
    aside: BTreeMap<PathBuf, Vec<u8>>,
    with_segments: bool,
    answered: u64,
    refused: u64,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut case = Filled::new(0);
        case.world.options = super::support::OPTIONS;
        let engine = Some(case.open());
        let chance = Random::new(seed);
        Self {
            chance,
            case,
            engine,
            aside: BTreeMap::new(),
            with_segments: !seed.is_multiple_of(3),
            answered: 0,
            refused: 0,
        }
    }

    fn range(&mut self) -> std::ops::Range<i64> {
        let start = i64::try_from(self.chance.below(3200)).unwrap();
        start..start + 1 + i64::try_from(self.chance.below(700)).unwrap()
    }

    fn step(&mut self) {
        let range = self.range();
        let engine = self.engine.take().unwrap();
        match self.chance.below(16) {
            0..=4 => {
                let from = self.chance.below(8);
                let until = from + 1 + self.chance.below(4);
                let add = i64::try_from(self.case.log.len()).unwrap() * 10_000;
                self.case.apply(&engine, points(1 + self.chance.below(2), from..until, range, add));
            }
            5 | 6 => engine.flush_now().unwrap(),
            7 => engine.compact_now().unwrap(),
            8 => {
                self.case.world.clock.advance_ms(700_000);
                engine.tick();
                self.case.world.jobs.run_all();
            }
            9 => {
                let host = format!("host-{}", self.chance.below(8));
                let predicate = match self.chance.below(3) {
                    0 => Predicate::TRUE,
                    1 => Predicate::Compare(Subject::Tag("host".into()), Test::Eq(host)),
                    _ => Predicate::Compare(Subject::Tag("host".into()), Test::NotEq(host)),
                };
                self.case.apply(&engine, delete(range, predicate));
            }
            10 if self.chance.one_in(6) => {
                let op = match self.chance.below(3) {
                    0 => PartitionOp::DropBucket { bucket: bucket(1) },
                    n => PartitionOp::DropShards { bucket: bucket(n), ending_by: Timestamp(range.start) },
                };
                self.case.apply(&engine, op);
            }
            11 | 12 => {
                drop(engine);
                self.restart();
                return;
            }
            _ => self.look(&engine, range),
        }
        self.engine = Some(engine);
    }

    /// Whatever is answered is right; and only what may depend on a lost file is not.
    fn look(&mut self, engine: &Engine, range: std::ops::Range<i64>) {
        for id in [1, 2] {
            let times = TimeRange::new(Timestamp(range.start), Timestamp(range.end));
            let request = model::ScanRequest { range: times, ..scan_all(id) };
            match engine.scan(&request).and_then(collect) {
                Ok(rows) => {
                    assert_eq!(rows, self.case.oracle.scan(&request));
                    self.answered += 1;
                }
                Err(ReadError::Lost { times: (first, last), .. }) => {
                    assert!(!self.aside.is_empty() && first.0 < range.end && range.start <= last.0);
                    self.refused += 1;
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(self.aside.is_empty() || engine.fatal().is_none());
    }

    fn restart(&mut self) {
        let cut = match self.chance.below(3) {
            0 => PowerCut::Kept,
            1 => PowerCut::Lost,
            _ => PowerCut::Torn { seed: self.chance.number(), block_bytes: 512 },
        };
        self.case.world.jobs.discard();
        let vfs = self.case.world.vfs.crash(cut);
        self.case.world = World::on(vfs);
        // Back comes all or nothing: what came back alone may never be trusted again, which another test shows.
        if self.chance.one_in(2) {
            for (path, bytes) in std::mem::take(&mut self.aside) {
                put(&self.case.world, &path, &bytes);
            }
        } else if self.aside.is_empty() {
            let is_of_segments = self.with_segments && self.chance.one_in(2);
            let (live, ..) = crate::manifest::look(&self.case.world.vfs, &World::dir()).unwrap();
            let dir = World::dir();
            let all: Vec<_> = if is_of_segments {
                live.segments.values().map(|s| segment_path(&dir, s.bucket, s.number)).collect()
            } else {
                live.files.values().map(|f| file_path(&dir, f.bucket, f.shard, f.number)).collect()
            };
            for path in all {
                if !self.chance.one_in(3) {
                    continue;
                }
                let bytes = contents(&self.case.world, &path);
                if self.chance.one_in(2) || bytes.is_empty() {
                    self.case.world.vfs.remove_file(&path).unwrap();
                    self.case.world.vfs.sync_dir(path.parent().unwrap()).unwrap();
                } else {
                    let mut damaged = bytes.clone();
                    let at = damaged.len()
                        - 1
                        - usize::try_from(self.chance.below(40)).unwrap().min(damaged.len() - 1);
                    damaged[at] ^= 0x40;
                    put(&self.case.world, &path, &damaged);
                }
                if !is_of_segments {
                    self.aside.insert(path, bytes);
                }
            }
        }
        let engine = self.case.open();
        if self.aside.is_empty() {
            // Segments are mended before files are taken away, as long as nothing is lost but them.
            engine.tick();
            self.case.world.jobs.run_all();
            assert_eq!(engine.damage().len(), 0);
        }
        self.engine = Some(engine);
    }
}

#[test]
fn a_life_with_files_that_come_and_go_never_gives_a_wrong_answer() {
    let (mut answered, mut refused) = (0, 0);
    for seed in 0..60 {
        let mut life = Life::new(seed);
        for step in 0..120 {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| life.step()));
            assert!(outcome.is_ok(), "failed at seed {seed}, step {step}");
        }
        // In the end everything is back, and everything is answered.
        life.engine = None;
        life.case.world.jobs.discard();
        for (path, bytes) in std::mem::take(&mut life.aside) {
            put(&life.case.world, &path, &bytes);
        }
        let engine = life.case.open();
        life.case.check(&engine, &[1, 2]);
        engine.flush_now().unwrap();
        engine.tick();
        life.case.world.jobs.run_all();
        engine.compact_now().unwrap();
        life.case.check(&engine, &[1, 2]);
        assert_eq!(engine.damage().len(), 0, "seed {seed}");
        answered += life.answered;
        refused += life.refused;
    }
    println!("answered {answered}, refused {refused}");
    assert!(answered > 500 && refused > 100, "{answered} answered, {refused} refused");
}

#[test]
fn a_power_cut_while_a_file_and_a_segment_are_lost_loses_nothing_more() {
    let case = Filled::new(0);
    let path = case.middle().remove(0);
    let bytes = contents(&case.world, &path);
    case.world.vfs.remove_file(&path).unwrap();
    let segment = of_kind(&case.world, "idx")
        .into_iter()
        .filter(|p| p.to_str().unwrap().contains(&bucket(2).to_string()))
        .max()
        .unwrap();
    case.world.vfs.remove_file(&segment).unwrap();
    for dir in [path.parent().unwrap(), segment.parent().unwrap()] {
        case.world.vfs.sync_dir(dir).unwrap();
    }
    let ops = [
        points(1, 0..9, 1290..1310, 5000),
        delete(1295..1305, Predicate::TRUE),
        points(2, 0..9, 0..10, 5000),
    ];
    let from = case.log.len() as u64;
    let world_of = |vfs: SimVfs| {
        let mut world = World::on(vfs);
        world.options.compaction_files_min = 2;
        world
    };
    let work = |world: &World| -> Option<()> {
        let engine = world.try_open().ok()?;
        for (index, op) in (from..).zip(&ops) {
            engine.apply(position(index), op).ok()?;
        }
        engine.flush_now().ok()?;
        engine.tick();
        world.jobs.run_all();
        engine.compact_now().ok()?;
        world.jobs.run_all();
        engine.flush_now().ok()
    };
    let start = || world_of(case.world.vfs.crash(PowerCut::Kept));
    let total = {
        let world = start();
        work(&world).unwrap();
        world.vfs.ops()
    };
    let mut oracle = case.oracle.clone();
    ops.iter().for_each(|op| oracle.apply(op));
    for at in 0..=total {
        let world = start();
        world.vfs.power_off_after(at);
        work(&world);
        world.jobs.discard();
        for cut in [PowerCut::Lost, PowerCut::Kept, PowerCut::Torn { seed: at, block_bytes: 512 }] {
            let disk = world.vfs.crash(cut);
            for is_back in [false, true] {
                let mut log = case.log.clone();
                log.extend(ops.iter().cloned());
                let after =
                    Filled { world: world_of(disk.crash(PowerCut::Kept)), log, oracle: oracle.clone() };
                if is_back {
                    put(&after.world, &path, &bytes);
                }
                let engine = after.open();
                assert!(
                    after.answers(&engine, 0..1000) && after.answers(&engine, 1300..3000),
                    "cut after {at}"
                );
                assert_eq!(after.answers(&engine, 1000..1300), is_back, "cut after {at}");
                after.check(&engine, &[2]);
            }
        }
    }
}

#[test]
fn any_flipped_byte_leaves_an_engine_that_opens_and_answers_rightly_or_not_at_all() {
    let case = Filled::new(0);
    let (mut served, mut refused) = (0, 0);
    for kind in ["tsm", "idx"] {
        for path in of_kind(&case.world, kind) {
            let len = contents(&case.world, &path).len() as u64;
            for at in (0..len).step_by(3) {
                let world = World::on(case.world.vfs.crash(PowerCut::Kept));
                world.vfs.corrupt(&path, at, 1 << (at % 8)).unwrap();
                let engine = world.open();
                for id in [1, 2] {
                    match engine.scan(&scan_all(id)).and_then(collect) {
                        Ok(rows) => {
                            assert_eq!(rows, case.oracle.scan(&scan_all(id)), "{} at {at}", path.display());
                            served += 1;
                        }
                        Err(error) => {
                            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
                            assert!(kind == "tsm", "{error}");
                            refused += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(served > 1000 && refused > 100, "{served} {refused}");
}
