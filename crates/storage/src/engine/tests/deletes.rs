//! What deletes hide, when it leaves the schema and the disk, and what they cost.

use model::{
    Deletion, FieldValue, PartitionOp, Predicate, ScanRequest, SchemaQuestion, SchemaRequest, Subject, Test,
    TimeRange, Timestamp,
};

use super::oracle::{Exact, Oracle, scanned};
use super::support::{World, bucket, integers, key, position, scan_all, write};
use crate::Engine;

/// An engine beside its oracle.
struct Pair {
    world: World,
    engine: Engine,
    oracle: Oracle,
    index: u64,
}

impl Pair {
    fn new() -> Self {
        let world = World::new();
        let engine = world.open();
        Self { world, engine, oracle: Oracle::default(), index: 0 }
    }

    fn apply(&mut self, op: &PartitionOp) {
        self.engine.apply(position(self.index), op).unwrap();
        self.oracle.apply(op);
        self.index += 1;
        self.check();
    }

    fn check(&self) {
        assert_eq!(scanned(&self.engine, &scan_all(1)), self.oracle.scan(&scan_all(1)));
    }

    fn flush(&self) {
        self.engine.flush_now().unwrap();
        self.check();
    }

    fn compact(&self) {
        self.engine.compact_now().unwrap();
        self.check();
    }

    fn ask(&self, question: SchemaQuestion) -> Vec<String> {
        let (range, predicate) = (TimeRange::ALL, Predicate::TRUE);
        self.engine.schema(&SchemaRequest { bucket: bucket(1), range, predicate, question }).unwrap()
    }
}

fn delete(range: TimeRange, predicate: Predicate) -> PartitionOp {
    PartitionOp::Delete(Deletion { bucket: bucket(1), range, predicate })
}

fn between(start: i64, end: i64) -> TimeRange {
    TimeRange::new(Timestamp(start), Timestamp(end))
}

fn is(subject: Subject, text: &str) -> Predicate {
    Predicate::Compare(subject, Test::Eq(text.into()))
}

fn host(name: &str) -> Predicate {
    is(Subject::Tag("host".into()), name)
}

fn hosts(names: &[&str], times: std::ops::Range<i64>) -> PartitionOp {
    let series = names.iter().map(|name| (key("cpu", &[("host", name)]), integers(times.clone(), |t| t)));
    write(1, 1000, &series.collect::<Vec<_>>())
}

#[test]
fn rows_in_files_frozen_and_active_are_hidden_and_later_ones_are_not() {
    let mut pair = Pair::new();
    pair.apply(&hosts(&["a", "b"], 0..100));
    pair.flush();
    pair.apply(&hosts(&["a"], 50..150));
    // A flush without room leaves the rows frozen.
    use disk::vfs::sim::{Failure, Fault, OpKind};
    pair.world.vfs.inject(Fault::nth(OpKind::Write, 0, Failure::Full).on(".tsm").forever());
    pair.engine.flush_now().unwrap_err();
    pair.apply(&hosts(&["a"], 120..160));
    pair.apply(&delete(between(40, 130), host("a")));
    // The same times again, also the very same ones.
    pair.apply(&hosts(&["a"], 60..70));
    pair.apply(&delete(between(65, 66), Predicate::TRUE));
    pair.apply(&hosts(&["b"], 64..67));
    pair.world.vfs.heal();
    pair.flush();
    assert_eq!(pair.engine.stats().tombstones, 2, "the first file waits");
    pair.compact();
    assert_eq!(pair.engine.stats().tombstones, 0);
    let read = scanned(&pair.engine, &scan_all(1));
    let engine = std::mem::replace(&mut pair.engine, pair.world.open());
    drop(engine);
    assert_eq!(scanned(&pair.engine, &scan_all(1)), read);
}

#[test]
fn the_schema_forgets_deleted_series_and_fields_at_once() {
    use SchemaQuestion::{FieldKeys, Measurements, Series, TagValues};
    for flushed in [false, true] {
        let mut pair = Pair::new();
        pair.apply(&hosts(&["a", "b", "c"], 0..3000));
        let point = |t| (t, vec![("x", FieldValue::Integer(t)), ("y", FieldValue::Integer(t))]);
        pair.apply(&write(1, 1000, &[(key("mem", &[]), vec![point(5), point(1005)])]));
        if flushed {
            pair.flush();
        }
        pair.apply(&delete(TimeRange::ALL, host("a")));
        assert_eq!(pair.ask(TagValues("host".into())), ["b", "c"]);
        // By times that cover everything, and by two deletes that do so together.
        pair.apply(&delete(between(0, 3000), host("b")));
        assert_eq!(pair.ask(TagValues("host".into())), ["c"]);
        pair.apply(&delete(between(-5, 1500), host("c")));
        pair.apply(&hosts(&["a"], 7..8));
        pair.apply(&delete(between(1500, 3000), host("c")));
        assert_eq!(pair.ask(Series), ["cpu,host=a", "mem"]);
        assert_eq!(pair.ask(Measurements), ["cpu", "mem"]);
        pair.apply(&delete(TimeRange::ALL, is(Subject::Measurement, "cpu")));
        assert_eq!(pair.ask(Measurements), ["mem"]);
        pair.apply(&delete(TimeRange::ALL, is(Subject::Field, "x")));
        assert_eq!(pair.ask(FieldKeys), ["y"]);
        // Row by row is seen at the latest after a merge.
        pair.apply(&delete(between(5, 6), Predicate::TRUE));
        pair.apply(&delete(between(1005, 1006), Predicate::TRUE));
        pair.flush();
        pair.compact();
        assert_eq!(pair.ask(Series), [""; 0]);
        let stats = pair.engine.stats();
        assert_eq!((stats.series, stats.files, stats.shards, stats.tombstones), (0, 0, 0, 0));
        assert!(pair.engine.buckets().is_empty());
        pair.apply(&hosts(&["a"], 0..5));
        assert_eq!(pair.ask(Series), ["cpu,host=a"]);
    }
}

#[test]
fn a_measurement_may_come_back_with_another_type() {
    let mut pair = Pair::new();
    let of = |value: FieldValue| write(1, 1000, &[(key("m", &[]), vec![(1, vec![("f", value)])])]);
    pair.apply(&of(FieldValue::Integer(1)));
    pair.flush();
    pair.apply(&delete(TimeRange::ALL, is(Subject::Measurement, "m")));
    pair.apply(&of(FieldValue::String("text".into())));
    for _ in 0..2 {
        let rows = scanned(&pair.engine, &scan_all(1));
        let text = Exact::of(&FieldValue::String("text".into()));
        assert_eq!(rows.into_values().collect::<Vec<_>>(), [text]);
        pair.flush();
        pair.compact();
    }
}

#[test]
fn only_files_with_deleted_rows_are_rewritten_and_only_once() {
    let mut pair = Pair::new();
    for shard in 0..5 {
        pair.apply(&hosts(&["a", "b"], shard * 1000..shard * 1000 + 10));
        pair.flush();
    }
    pair.compact();
    pair.world.jobs.run_all();
    let before = pair.engine.stats();
    pair.apply(&delete(between(2005, 3002), host("b")));
    pair.apply(&delete(between(0, 5000), host("nobody")));
    pair.flush();
    // What hides nothing is not kept; the other waits.
    assert_eq!(pair.engine.stats().tombstones, 1);
    pair.world.clock.advance_ms(pair.world.options.purge_after_ms - 1);
    pair.engine.tick();
    pair.world.jobs.run_all();
    assert_eq!(pair.engine.stats().compactions, before.compactions);
    pair.world.clock.advance_ms(1);
    for _ in 0..3 {
        pair.engine.tick();
        pair.world.jobs.run_all();
        pair.check();
        assert_eq!(pair.engine.stats().compactions, before.compactions + 2);
    }
    assert_eq!(pair.engine.stats().tombstones, 0);
}

#[test]
fn many_deletes_are_applied_at_once() {
    let mut pair = Pair::new();
    pair.apply(&hosts(&["a", "b"], 0..900));
    pair.flush();
    let min = i64::try_from(pair.world.options.purge_tombstones_min).unwrap();
    for n in 0..=min {
        pair.apply(&delete(between(10 * n, 10 * n + 2), host("a")));
        pair.apply(&hosts(&["a"], 10 * n + 1..10 * n + 2));
    }
    assert!(pair.world.jobs.waiting() > 0, "a flush, so that they become durable");
    pair.world.jobs.run_all();
    pair.check();
    assert_eq!(pair.engine.stats().tombstones, 0);
}

#[test]
fn a_scan_keeps_what_was_deleted_after_it_began() {
    let mut pair = Pair::new();
    pair.apply(&hosts(&["a", "b"], 0..2000));
    pair.flush();
    let request = ScanRequest { range: between(0, 1500), ..scan_all(1) };
    let expected = pair.oracle.scan(&request);
    let scan = pair.engine.scan(&request).unwrap();
    pair.apply(&delete(TimeRange::ALL, Predicate::TRUE));
    pair.flush();
    pair.compact();
    assert_eq!(super::oracle::collect(scan).unwrap(), expected);
    assert!(scanned(&pair.engine, &scan_all(1)).is_empty());
}

#[test]
fn a_series_that_has_lost_all_its_rows_is_gone_though_others_of_its_page_go_on() {
    let world = World::new();
    let engine = world.open();
    let point = |times: &[i64]| integers(times.iter().copied(), |t| t);
    let series = [
        (key("c", &[("t", "x")]), point(&[10])),
        (key("c", &[("t", "y")]), point(&[20])),
        (key("d", &[("t", "x")]), point(&[10])),
        (key("d", &[("t", "z")]), point(&[10, 900])),
    ];
    engine.apply(position(0), &write(1, 1000, &series)).unwrap();
    engine.flush_now().unwrap();
    let range = TimeRange::new(Timestamp(5), Timestamp(101));
    let deletion = Deletion { bucket: bucket(1), range, predicate: Predicate::TRUE };
    engine.apply(position(1), &PartitionOp::Delete(deletion)).unwrap();
    let asked = |question| {
        let (range, predicate) = (TimeRange::ALL, Predicate::TRUE);
        engine.schema(&SchemaRequest { bucket: bucket(1), range, predicate, question }).unwrap()
    };
    assert_eq!(asked(SchemaQuestion::Series), ["d,t=z"]);
    assert_eq!(asked(SchemaQuestion::Measurements), ["d"]);
    assert_eq!(asked(SchemaQuestion::TagValues("t".into())), ["z"]);
}
