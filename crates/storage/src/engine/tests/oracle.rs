//! What an engine should hold: a sorted map, and shards found the slow way.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Batch, BucketId, FieldValue, PartitionOp, ScanRequest, SeriesKey, TimeRange, Timestamp};

use crate::{Engine, ReadError, Scan};

/// A value with its bits, so that NaN equals itself and -0.0 does not equal 0.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exact {
    Float(u64),
    Other(String),
}

impl Exact {
    pub(super) fn of(value: &FieldValue) -> Self {
        match value {
            FieldValue::Float(x) => Self::Float(x.to_bits()),
            other => Self::Other(format!("{other:?}")),
        }
    }
}

/// A key in the order of its bytes, which is quick and as good as any for a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ByBytes(pub(super) SeriesKey);

impl Ord for ByBytes {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.as_bytes().cmp(other.0.as_bytes())
    }
}

impl PartialOrd for ByBytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

pub(super) type Rows = BTreeMap<(ByBytes, i64, Arc<str>), Exact>;

#[derive(Debug, Clone, Default)]
struct Shard {
    start: i64,
    end: i64,
    rows: Rows,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Oracle {
    buckets: BTreeMap<BucketId, Vec<Shard>>,
}

impl Oracle {
    pub(super) fn apply(&mut self, op: &PartitionOp) {
        match op {
            PartitionOp::Write(batch) => self.write(batch),
            PartitionOp::Delete(deletion) => {
                for shard in self.buckets.entry(deletion.bucket).or_default() {
                    shard.rows.retain(|(key, time, field), _| {
                        !deletion.range.contains(Timestamp(*time))
                            || !deletion.predicate.accepts(&key.0, field)
                    });
                }
            }
            PartitionOp::DropShards { bucket, ending_by } => {
                self.buckets.entry(*bucket).or_default().retain(|s| s.end > ending_by.0);
            }
            PartitionOp::DropBucket { bucket } => {
                self.buckets.remove(bucket);
            }
            PartitionOp::Compare => {}
        }
    }

    fn write(&mut self, batch: &Batch) {
        let shards = self.buckets.entry(batch.bucket).or_default();
        for table in &batch.tables {
            for (series, rows) in table.series_ranges() {
                for row in rows {
                    let time = table.times[row];
                    let shard = shard_of(shards, time, batch.shard_duration_ns);
                    for (field, column) in table.fields.iter().zip(&table.columns) {
                        if let Some(value) = column.get(row) {
                            let place = (ByBytes(series.key.clone()), time, Arc::clone(&field.name));
                            shard.rows.insert(place, Exact::of(&value));
                        }
                    }
                }
            }
        }
    }

    pub(super) fn shards(&self, bucket: BucketId) -> Vec<TimeRange> {
        let mut ranges: Vec<_> = self
            .buckets
            .get(&bucket)
            .into_iter()
            .flatten()
            .map(|s| TimeRange::new(Timestamp(s.start), Timestamp(s.end)))
            .collect();
        ranges.sort_by_key(|r| r.start);
        ranges
    }

    /// How many values there are.
    pub(super) fn values(&self) -> usize {
        self.buckets.values().flatten().map(|shard| shard.rows.len()).sum()
    }

    /// What a scan should return, by looking at every value.
    pub(super) fn scan(&self, request: &ScanRequest) -> Rows {
        let rows = self.buckets.get(&request.bucket).into_iter().flatten().flat_map(|s| &s.rows);
        rows.filter(|((key, time, field), _)| {
            request.range.contains(Timestamp(*time))
                && request.fields.contains(field)
                && request.predicate.accepts(&key.0, field)
        })
        .map(|(place, value)| (place.clone(), value.clone()))
        .collect()
    }
}

fn shard_of(shards: &mut Vec<Shard>, time: i64, duration: i64) -> &mut Shard {
    if let Some(at) = shards.iter().position(|s| s.start <= time && time < s.end) {
        return &mut shards[at];
    }
    let mut start = time.div_euclid(duration) * duration;
    let mut end = start + duration;
    for other in shards.iter() {
        if other.end <= time {
            start = start.max(other.end);
        } else {
            end = end.min(other.start);
        }
    }
    shards.push(Shard { start, end, rows: Rows::new() });
    shards.last_mut().unwrap()
}

/// Reads a scan to its end and checks the promises about its order on the way.
pub(super) fn collect(scan: Scan) -> Result<Rows, ReadError> {
    let mut rows = Rows::new();
    let mut previous: Option<(SeriesKey, i64)> = None;
    for block in scan {
        let block = block?;
        assert!(!block.times.is_empty() && block.times.len() <= 8192, "a block has 1 to 8,192 rows");
        assert!(!block.fields.is_empty(), "a block has fields");
        assert!(block.fields.is_sorted_by(|a, b| a.0 < b.0), "fields are sorted by name");
        assert!(block.times.is_sorted_by(|a, b| a < b), "times ascend");
        if let Some((key, time)) = &previous {
            assert!(key <= &block.key, "series come in key order");
            assert!(key != &block.key || *time < block.times[0], "blocks of a series ascend");
        }
        previous = Some((block.key.clone(), *block.times.last().unwrap()));
        for (name, column) in &block.fields {
            assert_eq!(column.len(), block.times.len());
            assert!(column.null_count() < column.len(), "a field has a value");
            for (i, time) in block.times.iter().enumerate() {
                if let Some(value) = column.get(i) {
                    let place = (ByBytes(block.key.clone()), *time, Arc::clone(name));
                    assert!(rows.insert(place, Exact::of(&value)).is_none(), "each value comes once");
                }
            }
        }
        for i in 0..block.times.len() {
            assert!(block.fields.iter().any(|(_, c)| c.is_valid(i)), "a row has a value");
        }
    }
    Ok(rows)
}

pub(super) fn scanned(engine: &Engine, request: &ScanRequest) -> Rows {
    collect(engine.scan(request).unwrap()).unwrap()
}
