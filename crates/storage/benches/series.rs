//! What many series cost: memory, disk, time to write, open and select, in as many engines as a node has partitions.
//!
//! `cargo bench -p storage --bench series -- 1000000` (the default; 10000000 for ten million). Each series has ten tags,
//! one field and two points, and comes in batches of 5,000 series. Series are placed by hash as the router does.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark stops at the first surprise")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use disk::{RealVfs, Vfs};
use model::{
    Batch, BucketId, Column, FieldDef, FieldSelection, FieldType, LogPosition, PartitionOp, Predicate,
    ReplicaId, ScanRequest, SeriesKey, SeriesRows, Subject, SystemClock, Table, Test, TimeRange, Values,
};
use storage::{Commons, Engine, Options, ThreadJobs};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const PARTITIONS: u16 = 16;
const BATCH: usize = 5000;

fn bucket() -> BucketId {
    BucketId::new(1).unwrap()
}

fn key(i: usize) -> SeriesKey {
    let text = |name: &str, n: usize| format!("{name}-{n}");
    let values = [
        ("host", text("server", i)),
        ("region", text("region", i % 9)),
        ("datacenter", text("datacenter", i % 27)),
        ("rack", text("rack", i % 100)),
        ("os", text("os", i % 3)),
        ("arch", text("arch", i % 2)),
        ("team", text("team", i % 13)),
        ("service", text("service", i / 20 % 20)),
        ("version", text("version", i % 4)),
        ("environment", text("environment", i % 3)),
    ];
    let tags: Vec<_> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
    SeriesKey::new("cpu", &tags).unwrap()
}

/// One point for each of the series, by partition.
fn batches(series: std::ops::Range<usize>, point: usize) -> Vec<Batch> {
    let mut parts: Vec<Vec<(SeriesRows, f64)>> = vec![Vec::new(); usize::from(PARTITIONS)];
    for i in series {
        let key = key(i);
        let hash = key.hash(bucket());
        let partition = model::series::partition_of_hash(hash, PARTITIONS);
        let value = f64::from(u32::try_from((i * 7 + point * 13) % 10_000).unwrap()) / 100.0;
        parts[usize::from(partition.0)].push((SeriesRows { key, hash, rows: 1 }, value));
    }
    let time = 1_760_000_000_000_000_000 + i64::try_from(point).unwrap() * 10_000_000_000;
    let batch = |part: Vec<(SeriesRows, f64)>| {
        let (series, values): (Vec<_>, Vec<_>) = part.into_iter().unzip();
        Batch {
            bucket: bucket(),
            shard_duration_ns: 7 * model::time::DAY_NS,
            tables: vec![Table {
                measurement: "cpu".into(),
                fields: vec![FieldDef { name: "usage".into(), field_type: FieldType::Float }],
                times: vec![time; series.len()],
                columns: vec![Column::new(Values::Float(values))],
                series,
            }],
        }
    };
    parts.into_iter().map(batch).collect()
}

fn open(vfs: &Arc<dyn Vfs>, dir: &Path, jobs: &Arc<ThreadJobs>) -> Vec<Engine> {
    // As large as a node's default of 256 MiB allows each of its partitions.
    let options = Options { memtable_bytes_max: 16 << 20, disk_reserve_bytes: 0, ..Options::STANDARD };
    let engine = |partition: u16| {
        let dir = dir.join(partition.to_string());
        let clock = Arc::new(SystemClock::new());
        let (vfs, jobs) = (Arc::clone(vfs), Arc::clone(jobs) as _);
        Engine::open(vfs, dir, clock, jobs, Commons::unlimited(), options.clone(), Arc::new(|_| {})).unwrap()
    };
    (0..PARTITIONS).map(engine).collect()
}

/// Resident memory now and at its peak, in bytes.
fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    };
    (line("VmRSS:"), line("VmHWM:"))
}

/// CPU time of the process, all threads, user and system.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name, which is in parentheses: user and system time in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    Duration::from_millis(10 * (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()))
}

struct Meter {
    series: usize,
    base: u64,
}

impl Meter {
    fn report(&self, what: &str, took: Duration) {
        let (now, peak) = resident();
        let each = |bytes: u64| bytes.saturating_sub(self.base) / self.series as u64;
        println!(
            "{what:<28} {:>9.3} s CPU {:>7} ns/series | resident {:>5} MB, {:>4} B/series; peak {:>5} MB, {:>4} B/series",
            took.as_secs_f64(),
            took.as_nanos() / self.series as u128,
            now >> 20,
            each(now),
            peak >> 20,
            each(peak),
        );
    }

    fn timed<T>(&self, what: &str, work: impl FnOnce() -> T) -> T {
        let start = cpu();
        let done = work();
        self.report(what, cpu() - start);
        done
    }
}

fn main() {
    let series = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let dir = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs);
    let jobs = Arc::new(ThreadJobs::start(1).unwrap());
    let engines = open(&vfs, dir.path(), &jobs);
    let meter = Meter { series, base: resident().0 };
    println!("{series} series, {PARTITIONS} engines, {} MB at first", meter.base >> 20);
    let mut index = 0;
    let mut write = |name: &str, engines: &[Engine], point: usize| {
        // Making the batches takes time too, so it is measured alone and subtracted.
        let begun = cpu();
        for start in (0..series).step_by(BATCH) {
            std::hint::black_box(batches(start..series.min(start + BATCH), point));
        }
        let making = cpu() - begun;
        let begun = cpu();
        for start in (0..series).step_by(BATCH) {
            let parts = batches(start..series.min(start + BATCH), point);
            let ops: Vec<_> = parts.into_iter().map(PartitionOp::Write).collect();
            for (engine, op) in engines.iter().zip(&ops) {
                engine.apply(LogPosition { index, term: 1, leader: ReplicaId(1) }, op).unwrap();
            }
            index += 1;
        }
        meter.report(name, (cpu() - begun).saturating_sub(making));
    };
    write("first point", &engines, 0);
    write("second point, in memory", &engines, 1);
    let flush = |engines: &[Engine]| engines.iter().for_each(|engine| engine.flush_now().unwrap());
    meter.timed("flush", || flush(&engines));
    write("third point, from segments", &engines, 2);
    write("fourth point", &engines, 3);
    meter.timed("second flush", || flush(&engines));
    let stats = |figure: fn(&storage::Stats) -> u64| engines.iter().map(|e| figure(&e.stats())).sum::<u64>();
    let each = |bytes: u64| bytes as f64 / series as f64;
    println!(
        "on disk: index {:.1} B/series, files {:.1} B/series; files in memory {:.2} B/series",
        each(stats(|s| s.index_bytes)),
        each(stats(|s| s.file_bytes)),
        each(stats(|s| s.file_memory_bytes as u64)),
    );
    drop(engines);
    let engines = meter.timed("open", || open(&vfs, dir.path(), &jobs));
    let is = |tag: &str, value: &str| Predicate::Compare(Subject::Tag(tag.into()), Test::Eq(value.into()));
    let three = is("region", "region-3").and(is("rack", "rack-39")).and(is("host", "server-39"));
    let scan = |predicate: &Predicate| {
        let (range, fields) = (TimeRange::ALL, FieldSelection::All);
        let request = ScanRequest { bucket: bucket(), range, predicate: predicate.clone(), fields };
        engines.iter().map(|engine| engine.scan(&request).unwrap().count()).sum::<usize>()
    };
    meter.timed("one series by three tags", || assert_eq!(scan(&three), 1));
    let many = is("rack", "rack-7").and(is("arch", "arch-1")).and(is("team", "team-7"));
    let found = meter.timed("a 1300th by three tags", || scan(&many));
    println!("{found} series");
    let found = meter.timed("all series", || scan(&Predicate::TRUE));
    assert_eq!(found, series);
}
