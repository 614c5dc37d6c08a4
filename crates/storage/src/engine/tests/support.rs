//! A world for one engine: simulated disk, stepped jobs, a clock that a test turns, deterministic chance.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use disk::SimVfs;
use disk::vfs::sim::Random;
use model::{
    Batch, BucketId, Clock, Column, ColumnType, FieldDef, FieldSelection, FieldType, FieldValue, LogPosition,
    PartitionOp, Predicate, ReplicaId, ScanRequest, SeriesKey, SeriesRows, Table, TimeRange, Timestamp,
};
use parking_lot::Mutex;

use crate::{Commons, Engine, Options, StepJobs};

#[derive(Debug, Default)]
pub(super) struct TestClock {
    pub(super) monotonic_ms: Mutex<u64>,
    /// How far it goes on with each look.
    pub(super) step_ms: Mutex<u64>,
}

impl TestClock {
    pub(super) fn advance_ms(&self, ms: u64) {
        *self.monotonic_ms.lock() += ms;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(i64::MAX - 10)
    }

    fn monotonic(&self) -> Duration {
        let mut now = self.monotonic_ms.lock();
        *now += *self.step_ms.lock();
        Duration::from_millis(*now)
    }
}

pub(super) const OPTIONS: Options = Options {
    memtable_bytes_max: 40_000,
    compaction_files_min: 3,
    compaction_files_max: 4,
    compaction_bytes_min: 0,
    disk_reserve_bytes: 0,
    manifest_bytes_max: 4_000,
    scrub_interval_ms: 0,
    ..Options::STANDARD
};

pub(super) struct World {
    pub(super) vfs: SimVfs,
    pub(super) jobs: Arc<StepJobs>,
    pub(super) clock: Arc<TestClock>,
    pub(super) commons: Arc<Commons>,
    pub(super) options: Options,
    pub(super) notified: Arc<Mutex<Vec<LogPosition>>>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::on(SimVfs::new())
    }

    pub(super) fn on(vfs: SimVfs) -> Self {
        Self {
            vfs,
            jobs: Arc::new(StepJobs::new()),
            clock: Arc::new(TestClock::default()),
            commons: Commons::unlimited(),
            options: OPTIONS,
            notified: Arc::default(),
        }
    }

    pub(super) fn dir() -> PathBuf {
        PathBuf::from("/data/partition-3")
    }

    pub(super) fn try_open(&self) -> Result<Engine, crate::OpenError> {
        let notified = Arc::clone(&self.notified);
        Engine::open(
            Arc::new(self.vfs.clone()),
            Self::dir(),
            Arc::clone(&self.clock) as Arc<dyn Clock>,
            Arc::clone(&self.jobs) as Arc<dyn crate::Jobs>,
            Arc::clone(&self.commons),
            self.options.clone(),
            Arc::new(move |position| notified.lock().push(position)),
        )
    }

    pub(super) fn open(&self) -> Engine {
        self.try_open().unwrap()
    }
}

pub(super) fn bucket(n: u64) -> BucketId {
    BucketId::new(n).unwrap()
}

pub(super) fn position(index: u64) -> LogPosition {
    LogPosition { index, term: 1 + index / 100, leader: ReplicaId(7) }
}

pub(super) fn key(measurement: &str, tags: &[(&str, &str)]) -> SeriesKey {
    SeriesKey::new(measurement, tags).unwrap()
}

/// A point of a test: time, and fields with values.
pub(super) type Point = (i64, Vec<(&'static str, FieldValue)>);

/// A batch from points of series, through columns as the gateway makes them.
pub(super) fn batch(bucket_id: u64, shard_ns: i64, series: &[(SeriesKey, Vec<Point>)]) -> Batch {
    let mut tables: Vec<Table> = Vec::new();
    for (key, points) in series {
        let at = tables.iter().position(|t| &*t.measurement == key.measurement()).unwrap_or_else(|| {
            tables.push(Table {
                measurement: key.measurement().into(),
                fields: Vec::new(),
                series: Vec::new(),
                times: Vec::new(),
                columns: Vec::new(),
            });
            tables.len() - 1
        });
        let table = &mut tables[at];
        for (time, fields) in points {
            for (name, value) in fields {
                if !table.fields.iter().any(|f| &*f.name == *name) {
                    let field_type = value.field_type();
                    table.fields.push(FieldDef { name: (*name).into(), field_type });
                    let nulls = Column::nulls(ColumnType::Field(field_type), table.times.len());
                    table.columns.push(if nulls.is_empty() {
                        Column::empty(nulls.column_type())
                    } else {
                        nulls
                    });
                }
            }
            table.times.push(*time);
            for (field, column) in table.fields.iter().zip(&mut table.columns) {
                match fields.iter().find(|(name, _)| *name == &*field.name) {
                    Some((_, value)) => column.push(value),
                    None => column.push_null(),
                }
            }
        }
        let rows = u32::try_from(points.len()).unwrap();
        table.series.push(SeriesRows { key: key.clone(), hash: key.hash(bucket(bucket_id)), rows });
    }
    Batch { bucket: bucket(bucket_id), shard_duration_ns: shard_ns, tables }
}

pub(super) fn write(bucket_id: u64, shard_ns: i64, series: &[(SeriesKey, Vec<Point>)]) -> PartitionOp {
    PartitionOp::Write(batch(bucket_id, shard_ns, series))
}

pub(super) fn scan_all(bucket_id: u64) -> ScanRequest {
    ScanRequest {
        bucket: bucket(bucket_id),
        range: TimeRange::ALL,
        predicate: Predicate::TRUE,
        fields: FieldSelection::All,
    }
}

pub(super) fn integers(times: impl IntoIterator<Item = i64>, value: impl Fn(i64) -> i64) -> Vec<Point> {
    times.into_iter().map(|t| (t, vec![("v", FieldValue::Integer(value(t)))])).collect()
}

pub(super) const FIELDS: [(&str, FieldType); 6] = [
    ("f", FieldType::Float),
    ("i", FieldType::Integer),
    ("u", FieldType::Unsigned),
    ("s", FieldType::String),
    ("b", FieldType::Boolean),
    ("v", FieldType::Integer),
];

pub(super) fn random_value(chance: &mut Random, field_type: FieldType) -> FieldValue {
    match field_type {
        FieldType::Float => FieldValue::Float(match chance.below(8) {
            0 => f64::from_bits(0x7ff0_0000_0000_0002),
            1 => -0.0,
            2 => f64::INFINITY,
            3 => f64::from_bits(chance.number()),
            n => f64::from(u32::try_from(chance.below(1000 * n)).unwrap()) / 100.0,
        }),
        FieldType::Integer => FieldValue::Integer(match chance.below(6) {
            0 => i64::MIN,
            1 => i64::MAX,
            _ => i64::try_from(chance.below(100)).unwrap() - 50,
        }),
        FieldType::Unsigned => FieldValue::Unsigned(match chance.below(6) {
            0 => u64::MAX,
            _ => chance.below(100),
        }),
        FieldType::String => {
            let n = chance.below(9);
            FieldValue::String("ä-text ".repeat(usize::try_from(n).unwrap()))
        }
        FieldType::Boolean => FieldValue::Boolean(chance.one_in(2)),
    }
}
