//! What a row costs: applied to the memtable, flushed, merged, scanned.
#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]
#![expect(clippy::cast_possible_truncation, reason = "walks stay between 0 and 100")]

use std::path::PathBuf;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use disk::{RealVfs, SimVfs, Vfs};
use memory::{Memory, Shares};
use model::summary::Windows;
use model::time::HOUR_NS;
use model::{
    Batch, BucketId, Column, Deletion, FieldDef, FieldSelection, FieldType, Grouping, LogPosition,
    PartitionOp, Predicate, ReplicaId, ScanRequest, SeriesKey, SeriesRows, Subject, SummaryRequest,
    SystemClock, Table, Test, TimeRange, Timestamp, Values, Wanted,
};
use storage::{Commons, Engine, Options, StepJobs};

const FIELDS: usize = 10;

fn bucket() -> BucketId {
    BucketId::new(1).unwrap()
}

fn open() -> Engine {
    open_in(Arc::new(SimVfs::new()), PathBuf::from("/bench"), Commons::unlimited())
}

fn open_in(vfs: Arc<dyn Vfs>, dir: PathBuf, commons: Arc<Commons>) -> Engine {
    let options = Options { memtable_bytes_max: usize::MAX, ..Options::STANDARD };
    let (clock, jobs) = (Arc::new(SystemClock::new()), Arc::new(StepJobs::new()));
    Engine::open(vfs, dir, clock, jobs, commons, options, Arc::new(|_| {})).unwrap()
}

/// A batch of `rows` rows for each of `series` series, ten integer fields.
fn batch(series: usize, rows: usize, step: usize) -> PartitionOp {
    let keys = (0..series).map(|host| {
        let host = format!("host_{host}");
        let tags = [("hostname", &*host), ("region", "eu-central-1"), ("rack", "87"), ("os", "Ubuntu16.10")];
        let key = SeriesKey::new("cpu", &tags).unwrap();
        SeriesRows { hash: key.hash(bucket()), key, rows: u32::try_from(rows).unwrap() }
    });
    let at = |row: usize| i64::try_from(step * rows + row).unwrap() * 10_000_000_000;
    let total = series * rows;
    // Walks of normal steps, cut off to integers, as TSBS has them.
    let mut state = step as u64;
    let mut values = |_field: usize| -> Vec<i64> {
        let mut at = 50.0_f64;
        let next = |_row: usize| {
            let mut normal = -6.0;
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                normal += (state >> 40) as f64 / (1_u64 << 24) as f64;
            }
            at = (at + normal).clamp(0.0, 100.0);
            at as i64
        };
        (0..total).map(next).collect()
    };
    PartitionOp::Write(Batch {
        bucket: bucket(),
        shard_duration_ns: 7 * model::time::DAY_NS,
        tables: vec![Table {
            measurement: "cpu".into(),
            fields: (0..FIELDS)
                .map(|f| FieldDef { name: format!("usage_{f}").into(), field_type: FieldType::Integer })
                .collect(),
            series: keys.collect(),
            times: (0..series).flat_map(|_| (0..rows).map(at)).collect(),
            columns: (0..FIELDS).map(|f| Column::new(Values::Integer(values(f)))).collect(),
        }],
    })
}

fn position(index: usize) -> LogPosition {
    LogPosition { index: index as u64, term: 1, leader: ReplicaId(1) }
}

fn filled(series: usize, rows: usize, batches: usize) -> Engine {
    let engine = open();
    fill(&engine, series, rows, batches);
    engine
}

fn fill(engine: &Engine, series: usize, rows: usize, batches: usize) {
    for step in 0..batches {
        engine.apply(position(step), &batch(series, rows, step)).unwrap();
    }
}

fn apply(c: &mut Criterion) {
    let mut group = c.benchmark_group("apply");
    for (series, rows) in [(6, 50), (1000, 1), (100_000, 1)] {
        let batches: Vec<_> = (0..20).map(|step| batch(series, rows, step)).collect();
        group.throughput(Throughput::Elements((series * rows * batches.len()) as u64));
        group.sample_size(10);
        group.bench_function(format!("{series} series x {rows} rows"), |b| {
            b.iter_batched(
                open,
                |engine| {
                    for (index, op) in batches.iter().enumerate() {
                        engine.apply(position(index), op).unwrap();
                    }
                    engine
                },
                BatchSize::PerIteration,
            );
        });
    }
}

fn flush_and_scan(c: &mut Criterion) {
    let mut group = c.benchmark_group("files");
    group.sample_size(10);
    group.throughput(Throughput::Elements(100 * 8640));
    group.bench_function("flush 100 series x 8640 rows", |b| {
        b.iter_batched(
            || filled(100, 864, 10),
            |engine| {
                engine.flush_now().unwrap();
                engine
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("merge 4 files of 100 series x 2160 rows", |b| {
        b.iter_batched(
            || {
                let engine = open();
                for step in 0..4 {
                    engine.apply(position(step), &batch(100, 2160, step)).unwrap();
                    engine.flush_now().unwrap();
                }
                engine
            },
            |engine| {
                engine.compact_now().unwrap();
                engine
            },
            BatchSize::PerIteration,
        );
    });
    // Blocks in the cache; bytes in memory, decoded each time; bytes in the system's page cache, read and decoded.
    let dir = tempfile::tempdir().unwrap();
    let uncached = || Commons::new(Memory::new(1000, Shares::STANDARD, 0), usize::MAX);
    let places: [(&str, Engine); 3] = [
        ("cached", open()),
        ("in memory", open_in(Arc::new(SimVfs::new()), PathBuf::from("/bench"), uncached())),
        ("on disk", open_in(Arc::new(RealVfs), dir.path().join("bench"), uncached())),
    ];
    for (place, engine) in &places {
        fill(engine, 100, 864, 10);
        engine.flush_now().unwrap();
        for density in ["flushed", "merged"] {
            for (what, fields) in [
                ("all fields", FieldSelection::All),
                ("one field", FieldSelection::Names(vec!["usage_3".into()])),
            ] {
                let request = ScanRequest {
                    bucket: bucket(),
                    range: TimeRange::ALL,
                    predicate: Predicate::TRUE,
                    fields,
                };
                group.bench_function(format!("scan {what}, {density}, {place}"), |b| {
                    b.iter(|| {
                        engine.scan(&request).unwrap().map(|block| block.unwrap().times.len()).sum::<usize>()
                    });
                });
            }
            engine.compact_now().unwrap();
        }
    }
}

fn delete(range: std::ops::Range<i64>, predicate: Predicate) -> PartitionOp {
    let range = TimeRange::new(Timestamp(range.start), Timestamp(range.end));
    PartitionOp::Delete(Deletion { bucket: bucket(), range, predicate })
}

/// Taking a delete, and reading beside deletes: of rows that are read, and of others.
fn deletes(c: &mut Criterion) {
    let mut group = c.benchmark_group("deletes");
    group.sample_size(10);
    let engine = filled(1_000_000, 1, 2);
    engine.flush_now().unwrap();
    let mut index = 2;
    group.bench_function("apply one by time over 1,000,000 series", |b| {
        b.iter(|| {
            index += 1;
            let end = i64::try_from(index).unwrap();
            engine.apply(position(index), &delete(0..end, Predicate::TRUE)).unwrap();
        });
    });
    drop(engine);

    let second = 1_000_000_000;
    let host = |n: i64| Predicate::Compare(Subject::Tag("hostname".into()), Test::Eq(format!("host_{n}")));
    group.throughput(Throughput::Elements(100 * 8640));
    for (name, count, times) in [
        ("scan with no deletes", 0, 0..0),
        ("scan with 1 delete in a series", 1, 0..100 * second),
        ("scan with 100 deletes in all series", 100, 0..100 * second),
        ("scan with 100 deletes outside its time", 100, -100 * second..0),
    ] {
        let engine = filled(100, 864, 10);
        engine.flush_now().unwrap();
        engine.compact_now().unwrap();
        for n in 0..count {
            let index = 10 + usize::try_from(n).unwrap();
            engine.apply(position(index), &delete(times.clone(), host(n))).unwrap();
        }
        let request = ScanRequest {
            bucket: bucket(),
            range: TimeRange::ALL,
            predicate: Predicate::TRUE,
            fields: FieldSelection::All,
        };
        group.bench_function(name, |b| {
            b.iter(|| engine.scan(&request).unwrap().map(|block| block.unwrap().times.len()).sum::<usize>());
        });
    }
}

/// A request of TSBS for cpu-only data: `fields` of the first `hosts` hosts in windows of `every` over the last `hours`.
fn request(hosts: usize, fields: usize, hours: i64, every: Windows, wanted: Wanted) -> SummaryRequest {
    let names = (0..hosts).map(|host| format!("host_{host}")).collect();
    let end = 86_400_000_000_000;
    SummaryRequest {
        scan: ScanRequest {
            bucket: bucket(),
            range: TimeRange::new(Timestamp(end - hours * HOUR_NS - 1_234_000_000_000), Timestamp(end)),
            predicate: Predicate::Compare(Subject::Tag("hostname".into()), Test::In(names)),
            fields: FieldSelection::Names((0..fields).map(|f| format!("usage_{f}").into()).collect()),
        },
        windows: every,
        wanted,
        grouping: Grouping::Tags(vec!["hostname".into()]),
        cells_max: usize::MAX,
        rows_max: u64::MAX,
    }
}

fn summaries(c: &mut Criterion) {
    let mut group = c.benchmark_group("summaries");
    let engine = filled(100, 864, 10);
    engine.flush_now().unwrap();
    engine.compact_now().unwrap();
    let every = |every| Windows::Every { every, offset: 0 };
    let max = Wanted { max: true, ..Wanted::default() };
    let mean = Wanted { sum: true, count: true, ..Wanted::default() };
    let last = Wanted { last: true, ..Wanted::default() };
    for (name, request) in [
        ("single-groupby-1-1-1", request(1, 1, 1, every(HOUR_NS / 60), max)),
        ("single-groupby-5-8-1", request(8, 5, 1, every(HOUR_NS / 60), max)),
        ("cpu-max-all-8", request(8, 10, 8, every(HOUR_NS), max)),
        ("double-groupby-1", request(100, 1, 12, every(HOUR_NS), mean)),
        ("double-groupby-all", request(100, 10, 12, every(HOUR_NS), mean)),
        ("mean of one field over the day", request(100, 1, 24, Windows::One, mean)),
        ("last of all fields", request(100, 10, 24, Windows::One, last)),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                engine
                    .summarize(&request)
                    .unwrap()
                    .run(&mut memory::Allowance::new(&Memory::unlimited().queries), &|| false)
                    .unwrap()
                    .finish()
                    .len()
            });
        });
    }
}

criterion_group!(benches, apply, flush_and_scan, deletes, summaries);
criterion_main!(benches);
