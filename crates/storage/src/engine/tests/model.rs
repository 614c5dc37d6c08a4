//! Random operations against the engine and a sorted map, with reopening and power cuts in between.

use std::collections::BTreeSet;

use disk::vfs::sim::PowerCut;
use disk::vfs::sim::Random;
use model::{
    Deletion, Ends, FieldSelection, PartitionOp, Predicate, ScanRequest, SchemaQuestion, SchemaRequest,
    SeriesKey, Subject, SummaryRequest, Test, TimeRange, Timestamp,
};

use super::oracle::{Oracle, Rows, collect, scanned};
use super::summaries;
use super::support::{FIELDS, Point, World, bucket, key, position, random_value, scan_all, write};
use crate::{Engine, Scan};

const SHARD_NS: i64 = 1000;
const PATTERNS: [&str; 6] = ["^[abxc]?$|pu", "[am]", "^(a|x)$", "^mem", "^(c|m.*y)", "^$"];

/// What a run does beside writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Shards of two lengths, which are dropped; no deletes.
    Drops,
    /// Deletes and drops of shards of one length: a shard that holds nothing any more is forgotten and may come back,
    /// so its range must not depend on when.
    Both,
    /// Deletes, shards of two lengths.
    Deletes,
}

/// How much a run writes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    /// A few rows, so that many operations fit in a second.
    Small,
    /// Now and then more rows than a page has.
    Large,
}

struct Run {
    kind: Kind,
    size: Size,
    chance: Random,
    world: World,
    engine: Option<Engine>,
    log: Vec<PartitionOp>,
    oracle: Oracle,
    /// Scans that are read later, with what they must return.
    held: Vec<(Scan, Rows)>,
    /// Summaries that were asked for before, parts of which may have been kept.
    asked: Vec<SummaryRequest>,
    series: Vec<SeriesKey>,
    /// Whether the power was cut in the middle of writing.
    was_torn: bool,
}

impl Run {
    fn new(seed: u64, size: Size) -> Self {
        let kind = [Kind::Drops, Kind::Both, Kind::Deletes][usize::try_from(seed % 3).unwrap()];
        let world = World::new();
        let engine = Some(world.open());
        let series = vec![
            key("cpu", &[]),
            key("cpu", &[("host", "a")]),
            key("cpu", &[("host", "b"), ("zone", "x")]),
            key("cpu", &[("host", "b"), ("zone", "y")]),
            key("mem", &[("host", "a")]),
            key("mem ory", &[("h,st", "a=1"), ("zone", "x")]),
        ];
        let (log, held) = (Vec::new(), Vec::new());
        let oracle = Oracle::default();
        Self {
            kind,
            size,
            chance: Random::new(seed),
            world,
            engine,
            log,
            oracle,
            held,
            asked: Vec::new(),
            series,
            was_torn: false,
        }
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn submit(&mut self, op: PartitionOp) {
        self.oracle.apply(&op);
        self.engine().apply(position(self.log.len() as u64), &op).unwrap();
        self.log.push(op);
    }

    fn random_write(&mut self) -> PartitionOp {
        let chance = &mut self.chance;
        let many = chance.one_in(8);
        let mut series = Vec::new();
        for _ in 0..=chance.below(3) {
            let key = chance.pick(&self.series).clone();
            if series.iter().any(|(k, _)| *k == key) {
                continue;
            }
            let start = i64::try_from(chance.below(6000)).unwrap() - 2000;
            let step = i64::try_from(chance.below(4)).unwrap();
            let count = match (self.size, many) {
                (Size::Large, true) => 1500,
                (Size::Large, false) => 1 + chance.below(20),
                (Size::Small, true) => 30,
                (Size::Small, false) => 1 + chance.below(4),
            };
            let mut points: Vec<Point> = Vec::new();
            for i in 0..count {
                let jitter = if chance.one_in(10) { i64::try_from(chance.below(500)).unwrap() } else { 0 };
                let time = start + i64::try_from(i).unwrap() * step - jitter;
                let mut fields = Vec::new();
                for (name, field_type) in FIELDS {
                    if chance.one_in(2) {
                        fields.push((name, random_value(chance, field_type)));
                    }
                }
                if fields.is_empty() {
                    fields.push(("v", model::FieldValue::Integer(time)));
                }
                points.push((time, fields));
            }
            series.push((key, points));
        }
        let duration = if self.kind != Kind::Both && chance.one_in(6) { 700 } else { SHARD_NS };
        write(1 + chance.below(2), duration, &series)
    }

    fn random_predicate(&mut self, depth: u32) -> Predicate {
        let chance = &mut self.chance;
        let subject = match chance.below(4) {
            0 => Subject::Measurement,
            1 => Subject::Field,
            2 => Subject::Tag("host".into()),
            _ => Subject::Tag("zone".into()),
        };
        let texts = ["cpu", "mem", "a", "b", "x", "", "f", "i", "none"];
        let text = || (*Random::new(chance.clone().number() ^ 77).pick(&texts)).to_owned();
        let (one, other) = (text(), (*Random::new(chance.clone().number() ^ 99).pick(&texts)).to_owned());
        match chance.below(if depth == 0 { 5 } else { 8 }) {
            0 => Predicate::Compare(subject, Test::Eq(one)),
            1 => Predicate::Compare(subject, Test::NotEq(one)),
            2 => Predicate::Compare(subject, Test::In(vec![one, other])),
            3 => Predicate::Compare(subject, Test::Matches(regex(chance.pick::<&str>(&PATTERNS)))),
            4 => Predicate::Compare(subject, Test::NotMatches(regex(chance.pick::<&str>(&PATTERNS)))),
            5 => Predicate::And((0..2).map(|_| self.random_predicate(depth - 1)).collect()),
            6 => Predicate::Or((0..2).map(|_| self.random_predicate(depth - 1)).collect()),
            _ => Predicate::Not(Box::new(self.random_predicate(depth - 1))),
        }
    }

    fn random_request(&mut self) -> ScanRequest {
        let predicate = self.random_predicate(2);
        let chance = &mut self.chance;
        let start = i64::try_from(chance.below(8000)).unwrap() - 3000;
        let len = i64::try_from(chance.below(4000)).unwrap();
        let fields = if chance.one_in(2) {
            FieldSelection::All
        } else {
            FieldSelection::Names(vec!["f".into(), "s".into(), "none".into()])
        };
        let range = TimeRange::new(Timestamp(start), Timestamp(start + len));
        ScanRequest { bucket: bucket(1 + chance.below(2)), range, predicate, fields }
    }

    fn random_delete(&mut self) -> PartitionOp {
        let predicate = match self.chance.below(8) {
            0 | 1 => Predicate::TRUE,
            2 => Predicate::Compare(Subject::Measurement, Test::Eq("cpu".into())),
            3 => Predicate::Compare(Subject::Tag("host".into()), Test::Eq("b".into())),
            4 => Predicate::Compare(Subject::Field, Test::Eq("i".into())),
            _ => self.random_predicate(2),
        };
        let chance = &mut self.chance;
        let start = i64::try_from(chance.below(8000)).unwrap() - 3000;
        let most = if chance.one_in(4) { 20 } else { 2500 };
        let len = i64::try_from(chance.below(most)).unwrap();
        let range = match chance.below(4) {
            0 => TimeRange::ALL,
            1 => TimeRange::new(TimeRange::ALL.start, Timestamp(start)),
            _ => TimeRange::new(Timestamp(start), Timestamp(start + len)),
        };
        PartitionOp::Delete(Deletion { bucket: bucket(1 + chance.below(2)), range, predicate })
    }

    fn check(&mut self) {
        for id in [1, 2] {
            assert_eq!(scanned(self.engine(), &scan_all(id)), self.oracle.scan(&scan_all(id)));
            let found = self.engine().shards().into_iter().filter(|s| s.bucket == bucket(id));
            let found: Vec<_> = found.map(|s| s.range).collect();
            match self.kind {
                Kind::Drops => assert_eq!(found, self.oracle.shards(bucket(id))),
                // One that holds nothing may be there or not.
                Kind::Both => assert!(found.iter().all(|s| self.oracle.shards(bucket(id)).contains(s))),
                Kind::Deletes => {}
            }
            self.check_schema(id);
        }
        let request = self.random_request();
        assert_eq!(scanned(self.engine(), &request), self.oracle.scan(&request), "{request:?}");
        let rows = [1, 1, 3, 2000][usize::try_from(self.chance.below(4)).unwrap()];
        let ends = Ends { rows, newest: self.chance.one_in(2) };
        summaries::check_ends(self.engine(), &request, ends);
        summaries::check_all_rows(self.engine(), &request);
        let request = summaries::random_request(&mut self.chance, request);
        summaries::check(self.engine(), &request);
        self.ask_again(request);
        if self.chance.one_in(4) {
            let request = summaries::random_request(&mut self.chance, scan_all(1));
            summaries::check(self.engine(), &request);
        }
    }

    /// Asks the same of another time, and what was asked for some time ago: nothing that was kept is old.
    fn ask_again(&mut self, request: SummaryRequest) {
        let TimeRange { start, end } = request.scan.range;
        let moved = i64::try_from(self.chance.below(400)).unwrap();
        let range =
            TimeRange::new(Timestamp(start.0.saturating_add(moved)), Timestamp(end.0.saturating_add(moved)));
        let scan = ScanRequest { range, ..request.scan.clone() };
        summaries::check(self.engine(), &SummaryRequest { scan, ..request.clone() });
        if self.asked.len() < 20 {
            self.asked.push(request);
        } else {
            let at = usize::try_from(self.chance.below(20)).unwrap();
            summaries::check(self.engine(), &self.asked[at]);
            if self.chance.one_in(4) {
                self.asked[at] = request;
            }
        }
    }

    /// A replica that applied the same log, and neither flushed nor merged, holds the same.
    fn check_replica(&self) {
        let other = World::new();
        let replica = other.open();
        for (index, op) in (0..).zip(&self.log) {
            replica.apply(position(index), op).unwrap();
        }
        let digests = [self.engine(), &replica].map(|engine| {
            let everything = engine.everything();
            assert_eq!(everything.position(), engine.applied());
            everything.digest(|| true).unwrap().unwrap()
        });
        assert_eq!(digests[0], digests[1]);
        assert_eq!(digests[0].values, self.oracle.values() as u64);
        assert!(replica.everything().digest(|| false).unwrap().is_none_or(|digest| digest.values == 0));
    }

    /// Series with values are known. Those without are known at most as long as a merge has not left them out.
    fn check_schema(&self, id: u64) {
        let (range, predicate) = (TimeRange::ALL, Predicate::TRUE);
        let question = SchemaQuestion::Series;
        let request = SchemaRequest { bucket: bucket(id), range, predicate, question };
        let known = self.engine().schema(&request).unwrap();
        let rows = self.oracle.scan(&scan_all(id));
        let held: BTreeSet<String> = rows.keys().map(|(key, ..)| key.0.to_string()).collect();
        assert!(held.iter().all(|key| known.contains(key)), "{held:?} {known:?}");
        if self.kind == Kind::Drops {
            assert_eq!(held.len(), known.len());
        }
    }

    /// Closes the engine (or pulls the plug) and brings it back from disk and log.
    fn restart(&mut self, cut: PowerCut) {
        let vfs = self.world.vfs.crash(cut);
        for (scan, expected) in self.held.drain(..) {
            assert_eq!(collect(scan).unwrap(), expected, "a scan outlives the engine");
        }
        self.engine = None;
        self.world.jobs.discard();
        self.world = World::on(vfs);
        let engine = self.world.open();
        let (durable, membership) = engine.durable();
        if let Some(durable) = durable {
            assert_eq!(durable, position(durable.index));
            assert_eq!(membership, Vec::<u8>::new());
        }
        // Replay begins too early now and then: what is applied already must be skipped.
        let from = match durable {
            Some(_) if self.chance.one_in(3) => 0,
            Some(durable) => durable.index + 1,
            None => 0,
        };
        for (index, op) in (0..).zip(&self.log).filter(|(index, _)| *index >= from) {
            engine.apply(position(index), op).unwrap();
        }
        self.engine = Some(engine);
    }

    fn step(&mut self) {
        match self.chance.below(32) {
            0..=15 => {
                let op = self.random_write();
                self.submit(op);
            }
            16 | 17 => self.engine().flush_now().unwrap(),
            18 => self.engine().request_flush(),
            19..=21 => {
                self.world.jobs.run_one();
            }
            22 => {
                self.world.jobs.run_all();
            }
            23 => self.engine().compact_now().unwrap(),
            24 if self.kind != Kind::Deletes => {
                let ending_by = Timestamp(i64::try_from(self.chance.below(7000)).unwrap() - 2500);
                let bucket = bucket(1 + self.chance.below(2));
                self.submit(PartitionOp::DropShards { bucket, ending_by });
            }
            24 | 25 | 30 if self.kind != Kind::Drops && !self.chance.one_in(4) => {
                let op = self.random_delete();
                self.submit(op);
            }
            25 if self.chance.one_in(3) => {
                let bucket = bucket(1 + self.chance.below(2));
                self.submit(PartitionOp::DropBucket { bucket });
            }
            26 => {
                let request = self.random_request();
                let scan = self.engine().scan(&request).unwrap();
                self.held.push((scan, self.oracle.scan(&request)));
            }
            27 => {
                if !self.held.is_empty() {
                    let (scan, expected) = self.held.remove(0);
                    assert_eq!(collect(scan).unwrap(), expected, "a scan keeps what it saw");
                }
            }
            28 => {
                self.world.clock.advance_ms(self.chance.below(700_000));
                self.engine().tick();
            }
            29 => self.restart(PowerCut::Kept),
            30 => self.restart(PowerCut::Lost),
            _ => {
                let seed = self.chance.number();
                self.was_torn = true;
                self.restart(PowerCut::Torn { seed, block_bytes: 512 });
            }
        }
    }
}

fn regex(pattern: &str) -> regex::Regex {
    regex::Regex::new(pattern).unwrap()
}

fn run(seed: u64, size: Size, steps: usize) {
    let mut run = Run::new(seed, size);
    for step in 0..steps {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run.step();
            if step % 4 == 0 {
                run.check();
            }
            if step % 128 == 127 {
                run.check_replica();
            }
        }));
        assert!(outcome.is_ok(), "failed at seed {seed}, step {step}");
    }
    run.check();
    // No file is left behind once nobody reads any more.
    run.held.clear();
    // What a restart finds to remove is removed with the next record.
    let op = run.random_write();
    run.submit(op);
    run.engine().flush_now().unwrap();
    run.world.jobs.run_all();
    run.engine().tick();
    run.world.jobs.run_all();
    // Nor is a delete, once all files were rewritten for it.
    run.engine().compact_now().unwrap();
    run.world.jobs.run_all();
    // The segments of a bucket that merges have emptied go with the next flush.
    let op = write(3, SHARD_NS, &[(key("m", &[]), vec![(0, vec![("v", model::FieldValue::Integer(1))])])]);
    run.submit(op);
    run.engine().flush_now().unwrap();
    run.world.jobs.run_all();
    assert_eq!(run.engine().stats().tombstones, 0, "seed {seed}");
    run.check();
    run.check_replica();
    let stats = run.engine().stats();
    let live = stats.files + stats.index_segments;
    let mut listed = files_on_disk(&run.world);
    if run.was_torn && listed != live {
        // What a torn record names stays until the engine is opened with a manifest that is whole.
        run.restart(PowerCut::Kept);
        listed = files_on_disk(&run.world);
    }
    assert_eq!(listed, live, "seed {seed}");
}

fn files_on_disk(world: &World) -> usize {
    use disk::Vfs as _;
    let list = |path: &std::path::Path| world.vfs.list(path).unwrap_or_default();
    let mut count = 0;
    for bucket in list(&World::dir()) {
        for shard in list(&World::dir().join(&bucket)) {
            count += list(&World::dir().join(&bucket).join(&shard)).len();
        }
    }
    count
}

#[test]
fn any_sequence_of_operations_reads_back_as_from_a_sorted_map() {
    for seed in 0..24 {
        run(seed, Size::Large, 120);
    }
}

#[test]
fn a_hundred_thousand_operations_read_back_as_from_a_sorted_map() {
    const OPERATIONS: u64 = 100_000;
    const STEPS: u64 = 50;
    const THREADS: u64 = 4;
    std::thread::scope(|scope| {
        for first in 0..THREADS {
            scope.spawn(move || {
                for seed in (first..OPERATIONS / STEPS).step_by(4) {
                    run(1000 + seed, Size::Small, usize::try_from(STEPS).unwrap());
                }
            });
        }
    });
}
