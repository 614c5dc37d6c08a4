//! SHOW SHARDS, SHOW SHARD GROUPS, DROP SHARD. A shard is what a bucket has of a span of time, over all partitions; its
//! owners are the nodes that have something of it. It is also its own shard group.

use std::collections::{BTreeMap, BTreeSet};

use catalog::Bucket;
use model::{BucketId, Deletion, FieldType, FieldValue, Frame, Predicate, TimeRange, Timestamp};

use super::execute::{Series, SeriesSink};
use super::schema::Resolver;
use super::show::{column, databases};
use crate::error::Error;

/// A shard, as a node has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownShard {
    /// The bucket.
    pub bucket: BucketId,
    /// The shard's time.
    pub range: TimeRange,
    /// The node.
    pub owner: u64,
}

/// The shards of all nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownShards {
    /// What each node has.
    pub shards: Vec<KnownShard>,
    /// The nodes that have not answered.
    pub silent: Vec<String>,
}

/// The number of a shard: the same on every node and at all times, and small enough for a float.
#[must_use]
pub fn shard_id(bucket: BucketId, start: Timestamp) -> u64 {
    let bytes = bucket.get().to_be_bytes().into_iter().chain(start.0.to_be_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 53)) & ((1 << 53) - 1)
}

/// The shards of a bucket, by time, each with its owners.
fn of_bucket(known: &KnownShards, bucket: BucketId) -> BTreeMap<(Timestamp, Timestamp), BTreeSet<u64>> {
    let mut all: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
    for shard in known.shards.iter().filter(|shard| shard.bucket == bucket) {
        all.entry((shard.range.start, shard.range.end)).or_default().insert(shard.owner);
    }
    all
}

/// When a shard is dropped; empty when it is kept for ever.
fn expiry(bucket: &Bucket, end: Timestamp) -> String {
    bucket.retention_ns.map_or_else(String::new, |kept| Timestamp(end.0.saturating_add(kept)).to_rfc3339())
}

/// The values of columns, one after the other.
struct Columns {
    names: &'static [&'static str],
    values: Vec<Vec<FieldValue>>,
}

impl Columns {
    fn new(names: &'static [&'static str]) -> Self {
        Self { names, values: names.iter().map(|_| Vec::new()).collect() }
    }

    fn push<const N: usize>(&mut self, row: [FieldValue; N]) {
        for (column, value) in self.values.iter_mut().zip(row) {
            column.push(value);
        }
    }

    fn series(self, name: &str) -> Series {
        let rows = self.values.first().map_or(0, Vec::len);
        let of_type = |name: &str| match name {
            "id" | "shard_group" => FieldType::Integer,
            _ => FieldType::String,
        };
        let columns =
            self.names.iter().zip(&self.values).map(|(name, values)| column(name, of_type(name), values));
        Series::new(name, Frame { columns: columns.collect(), rows })
    }
}

fn number(id: u64) -> FieldValue {
    FieldValue::Integer(id.cast_signed())
}

fn text(text: impl Into<String>) -> FieldValue {
    FieldValue::String(text.into())
}

pub(super) fn show(
    known: &KnownShards,
    resolver: &Resolver<'_>,
    sink: &mut SeriesSink<'_>,
) -> Result<(), Error> {
    const NAMES: &[&str] = &[
        "id",
        "database",
        "retention_policy",
        "shard_group",
        "start_time",
        "end_time",
        "expiry_time",
        "owners",
    ];
    for (database, policies) in databases(resolver) {
        let mut columns = Columns::new(NAMES);
        for (policy, bucket, _) in policies {
            for ((start, end), owners) in of_bucket(known, bucket.id) {
                let id = number(shard_id(bucket.id, start));
                let owners: Vec<String> = owners.iter().map(u64::to_string).collect();
                columns.push([
                    id.clone(),
                    text(&*database),
                    text(&*policy),
                    id,
                    text(start.to_rfc3339()),
                    text(end.to_rfc3339()),
                    text(expiry(&bucket, end)),
                    text(owners.join(",")),
                ]);
            }
        }
        sink(columns.series(&database))?;
    }
    Ok(())
}

pub(super) fn show_groups(
    known: &KnownShards,
    resolver: &Resolver<'_>,
    sink: &mut SeriesSink<'_>,
) -> Result<(), Error> {
    let mut columns =
        Columns::new(&["id", "database", "retention_policy", "start_time", "end_time", "expiry_time"]);
    for (database, policies) in databases(resolver) {
        for (policy, bucket, _) in policies {
            for (start, end) in of_bucket(known, bucket.id).into_keys() {
                columns.push([
                    number(shard_id(bucket.id, start)),
                    text(&*database),
                    text(&*policy),
                    text(start.to_rfc3339()),
                    text(end.to_rfc3339()),
                    text(expiry(&bucket, end)),
                ]);
            }
        }
    }
    sink(columns.series("shard groups"))
}

/// What DROP SHARD deletes: nothing where there is no such shard, as in InfluxDB.
pub(super) fn of_id(id: u64, known: &KnownShards, resolver: &Resolver<'_>) -> Result<Vec<Deletion>, Error> {
    let own: BTreeSet<BucketId> =
        databases(resolver).into_values().flatten().map(|(_, bucket, _)| bucket.id).collect();
    let found = known
        .shards
        .iter()
        .find(|shard| own.contains(&shard.bucket) && shard_id(shard.bucket, shard.range.start) == id);
    match (found, known.silent.first()) {
        (Some(shard), _) => {
            Ok(vec![Deletion { bucket: shard.bucket, range: shard.range, predicate: Predicate::TRUE }])
        }
        (None, None) => Ok(Vec::new()),
        (None, Some(node)) => {
            Err(Error::Invalid(format!("no such shard is known, and node {node} does not answer")))
        }
    }
}
