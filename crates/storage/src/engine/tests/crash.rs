//! A power cut after every single operation on the disk: what was applied and durable is there, the log brings the
//! rest, and nothing that was dropped comes back.

use disk::SimVfs;
use disk::vfs::sim::{Failure, Fault, OpKind, PowerCut};
use model::{Deletion, FieldValue, PartitionOp, Predicate, Subject, Test, TimeRange, Timestamp};

use super::oracle::{Oracle, collect, scanned};
use super::support::{World, bucket, integers, key, position, scan_all, write};
use crate::Engine;

/// What happens, in order.
#[derive(Debug, Clone)]
enum Act {
    Apply(PartitionOp),
    Flush,
    Compact,
    Jobs,
}

fn script() -> Vec<Act> {
    let a = key("cpu", &[("host", "a")]);
    let b = key("cpu", &[("host", "b")]);
    let one = |from: i64, add: i64| {
        Act::Apply(write(
            1,
            1000,
            &[(a.clone(), integers(from..from + 30, |t| t + add)), (b.clone(), integers([from], |t| t))],
        ))
    };
    vec![
        one(0, 0),
        Act::Flush,
        one(10, 100),
        one(995, 0),
        Act::Flush,
        Act::Apply(PartitionOp::DropShards { bucket: bucket(1), ending_by: Timestamp(1000) }),
        one(500, 7),
        Act::Flush,
        Act::Jobs,
        one(5, 8),
        Act::Flush,
        one(6, 9),
        Act::Flush,
        Act::Compact,
        Act::Jobs,
        Act::Apply(write(2, 1000, &[(b.clone(), integers(0..10, |t| t))])),
        Act::Flush,
        Act::Apply(PartitionOp::DropBucket { bucket: bucket(2) }),
        Act::Flush,
        Act::Jobs,
        one(0, 50),
        Act::Flush,
        Act::Compact,
        Act::Jobs,
    ]
}

/// Deletes between writes, flushes and merges: of whole series, of times, of a field; with rows in files, in memory,
/// and written again afterwards.
fn script_of_deletes() -> Vec<Act> {
    let a = key("cpu", &[("host", "a")]);
    let b = key("cpu", &[("host", "b")]);
    let one = |from: i64, add: i64| {
        let both = |t: i64| (t, vec![("v", FieldValue::Integer(t + add)), ("w", FieldValue::Integer(add))]);
        let points = (from..from + 20).map(both).collect();
        Act::Apply(write(1, 1000, &[(a.clone(), points), (b.clone(), integers([from, 1500], |t| t))]))
    };
    let delete = |range: std::ops::Range<i64>, predicate| {
        let range = TimeRange::new(Timestamp(range.start), Timestamp(range.end));
        Act::Apply(PartitionOp::Delete(Deletion { bucket: bucket(1), range, predicate }))
    };
    let host = |h: &str| Predicate::Compare(Subject::Tag("host".into()), Test::Eq(h.into()));
    let field = |f: &str| Predicate::Compare(Subject::Field, Test::Eq(f.into()));
    vec![
        one(0, 0),
        delete(5..8, Predicate::TRUE),
        one(4, 100),
        Act::Flush,
        delete(0..2000, host("b")),
        one(8, 200),
        delete(10..12, field("w")),
        Act::Flush,
        Act::Compact,
        Act::Jobs,
        one(990, 0),
        delete(0..1000, host("a")),
        Act::Flush,
        Act::Compact,
        one(3, 300),
        Act::Jobs,
        delete(0..5, Predicate::TRUE),
        delete(5..9, Predicate::TRUE),
        Act::Flush,
        Act::Apply(PartitionOp::DropShards { bucket: bucket(1), ending_by: Timestamp(1000) }),
        one(2, 400),
        delete(i64::MIN..i64::MAX, Predicate::TRUE),
        Act::Flush,
        Act::Jobs,
        Act::Compact,
        Act::Flush,
        one(1, 500),
        Act::Flush,
        Act::Jobs,
    ]
}

/// Does the script until the end or until the disk fails; says how many entries were applied.
fn perform(engine: &Engine, world: &World, acts: &[Act]) -> u64 {
    let mut index = 0;
    for act in acts {
        let done = match act {
            Act::Apply(op) => {
                let applied = engine.apply(position(index), op);
                if applied.is_ok() {
                    index += 1;
                }
                applied.is_ok()
            }
            Act::Flush => engine.flush_now().is_ok(),
            Act::Compact => engine.compact_now().is_ok(),
            Act::Jobs => {
                world.jobs.run_all();
                true
            }
        };
        if !done {
            break;
        }
    }
    index
}

fn check_after_cut(disk: SimVfs, acts: &[Act], at: u64) {
    let world = World::on(disk);
    let engine = world.try_open().unwrap_or_else(|error| panic!("cut after operation {at}: {error:?}"));
    let durable = engine.durable().0.map(|p| p.index);
    let mut oracle = Oracle::default();
    let ops: Vec<_> = acts
        .iter()
        .filter_map(|act| match act {
            Act::Apply(op) => Some(op),
            _ => None,
        })
        .collect();
    // First as the disk alone has it: exactly the entries up to the durable position.
    for (index, op) in (0..).zip(&ops) {
        if durable.is_some_and(|d| index <= d) {
            oracle.apply(op);
        }
    }
    let same = |oracle: &Oracle, when: &str| {
        for id in [1, 2] {
            let (found, expected) = (scanned(&engine, &scan_all(id)), oracle.scan(&scan_all(id)));
            assert_eq!(found, expected, "cut after operation {at}, {when}");
        }
    };
    same(&oracle, "before replay");
    for (index, op) in (0..).zip(&ops) {
        engine.apply(position(index), op).unwrap();
        if durable.is_none_or(|d| index > d) {
            oracle.apply(op);
        }
    }
    same(&oracle, "after replay");
    engine.flush_now().unwrap();
    same(&oracle, "after a flush");
}

#[test]
fn a_power_cut_after_any_operation_loses_nothing_and_revives_nothing() {
    cut_everywhere(&script());
}

#[test]
fn a_power_cut_after_any_operation_revives_nothing_that_was_deleted() {
    cut_everywhere(&script_of_deletes());
}

fn cut_everywhere(acts: &[Act]) {
    let total = {
        let world = World::new();
        let engine = world.open();
        perform(&engine, &world, acts);
        world.vfs.ops()
    };
    assert!(total > 80, "the script works the disk: {total} operations");
    for at in 0..=total {
        let world = World::new();
        world.vfs.power_off_after(at);
        if let Ok(engine) = world.try_open() {
            perform(&engine, &world, acts);
        }
        world.jobs.discard();
        check_after_cut(world.vfs.crash(PowerCut::Lost), acts, at);
        check_after_cut(world.vfs.crash(PowerCut::Kept), acts, at);
        for seed in 0..4 {
            check_after_cut(world.vfs.crash(PowerCut::Torn { seed: seed ^ at, block_bytes: 512 }), acts, at);
        }
    }
}

#[test]
fn any_operation_may_fail_in_any_way_and_nothing_is_lost_or_revived() {
    let kinds = [
        OpKind::Create,
        OpKind::Open,
        OpKind::Rename,
        OpKind::Remove,
        OpKind::CreateDir,
        OpKind::List,
        OpKind::SyncDir,
        OpKind::Read,
        OpKind::Write,
        OpKind::SetLen,
        OpKind::SyncData,
    ];
    let failures = [
        Failure::Io,
        Failure::Full,
        Failure::ShortThenIo(100),
        Failure::ShortThenFull(700),
        Failure::ShortThenIo(0),
    ];
    let mut count = 0;
    for (acts, kind) in [script(), script_of_deletes()].iter().flat_map(|acts| kinds.map(|kind| (acts, kind)))
    {
        let is_short = |failure: &Failure| !matches!(failure, Failure::Io | Failure::Full);
        for failure in failures.into_iter().filter(|f| kind == OpKind::Write || !is_short(f)) {
            for nth in 1.. {
                let world = World::new();
                world.vfs.inject(Fault::nth(kind, nth, failure));
                if let Ok(engine) = world.try_open() {
                    let applied = perform(&engine, &world, acts);
                    check_while_open(&engine, acts, applied, &format!("{failure:?} at {kind:?} {nth}"));
                }
                world.jobs.discard();
                if world.vfs.faults() > 0 {
                    break;
                }
                count += 1;
                for cut in [PowerCut::Kept, PowerCut::Lost, PowerCut::Torn { seed: nth, block_bytes: 512 }] {
                    let disk = world.vfs.crash(cut);
                    check_after_cut(disk, acts, nth);
                }
            }
        }
    }
    assert!(count > 500, "{count} failures");
}

/// An engine that met a failure answers rightly, or with an error.
fn check_while_open(engine: &Engine, acts: &[Act], applied: u64, what: &str) {
    let mut oracle = Oracle::default();
    let ops = acts.iter().filter_map(|act| if let Act::Apply(op) = act { Some(op) } else { None });
    ops.take(usize::try_from(applied).unwrap()).for_each(|op| oracle.apply(op));
    for id in [1, 2] {
        if let Ok(found) = engine.scan(&scan_all(id)).and_then(collect) {
            assert_eq!(found, oracle.scan(&scan_all(id)), "{what}");
        }
    }
}

#[test]
fn a_position_is_announced_only_when_a_cut_cannot_take_it_back() {
    let acts = script();
    let world = World::new();
    let engine = world.open();
    perform(&engine, &world, &acts);
    let announced = world.notified.lock().last().copied().unwrap();
    let after = World::on(world.vfs.crash(PowerCut::Lost));
    assert_eq!(after.open().durable().0, Some(announced));
}
