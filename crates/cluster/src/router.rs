//! The way of a batch: retention, field types, split by partition, one or more entries for each, and success only
//! when all of them are committed and applied.
//!
//! What must always hold: what is proposed has passed every check, so that applying it cannot fail; and no point is
//! refused on what this node merely did not know yet (a meta read barrier comes before every refusal).

mod encode;
mod fields;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use catalog::CatalogError;
use futures::future::join_all;
use metrics::Distribution;
use model::{
    Batch, Bitmap, BucketId, Commits, Deletion, GroupId, PartitionId, PartitionOp, Timestamp, predicate,
};
use tokio::sync::{RwLock, RwLockWriteGuard};
use trace::Traced as _;

use crate::cluster::Cluster;
use crate::error::ProposeError;

/// Why points were not written, or it is not known whether they were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Some points were refused; all others are written.
    #[error("partial write: {message} dropped={dropped}")]
    Partial {
        /// The first reason, in InfluxDB's words.
        message: String,
        /// Number of points refused.
        dropped: usize,
    },
    /// The bucket does not exist.
    #[error("bucket not found")]
    BucketNotFound,
    /// The predicate of a delete is too large.
    #[error(transparent)]
    Predicate(#[from] predicate::codec::CodecError),
    /// Nothing was written; the same request may succeed later.
    #[error("{0}")]
    Unavailable(String),
    /// Nothing was written, because too much is on its way; the same request may succeed in a moment.
    #[error("{0}")]
    Overloaded(String),
    /// All, some or none of the points were written. Sending them again does no harm.
    #[error("the outcome of the write is unknown, send it again: {0}")]
    OutcomeUnknown(String),
    /// The catalog refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// Counters of a router. Monotonic.
#[derive(Debug, Default)]
pub struct RouterMetrics {
    /// Points written.
    pub points: AtomicU64,
    /// Entries proposed.
    pub entries: AtomicU64,
    /// Points refused because they are older than their bucket keeps.
    pub points_beyond_retention: AtomicU64,
    /// Points refused because a field has another type, or there is no room for more fields.
    pub points_refused_fields: AtomicU64,
    /// Registrations of new fields proposed.
    pub registrations: AtomicU64,
    /// How long it took to check points and to find out where they belong.
    pub route_durations: Distribution,
    /// How long it took until all their entries were committed and applied.
    pub commit_durations: Distribution,
}

/// What was left out of a batch, and the reason to tell.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) message: Option<String>,
    pub(crate) points: usize,
}

/// Writes batches.
#[derive(Debug)]
pub struct Router {
    cluster: Arc<Cluster>,
    metrics: Arc<RouterMetrics>,
    /// Held by every write from the check of its types to its end.
    types: RwLock<()>,
}

impl Router {
    /// A router of a node.
    #[must_use]
    pub fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, metrics: Arc::default(), types: RwLock::default() }
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> Arc<RouterMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Writes a batch, whose fields may still conflict with the catalog's types. `Ok` when every point is committed
    /// and applied, with what a read must see to see the points, and the types of their fields.
    ///
    /// # Errors
    /// See [`RouteError`].
    pub async fn write(&self, batch: Batch) -> Result<Commits, RouteError> {
        let mut span = trace::span("route");
        if span.is_wanted() {
            span.set("points", batch.rows());
            span.set("measurements", batch.tables.len());
        }
        let result = self.write_batch(batch).in_span(&span).await;
        span.note(&result);
        result
    }

    async fn write_batch(&self, mut batch: Batch) -> Result<Commits, RouteError> {
        let _types = self.types.read().await;
        let began = self.cluster.clock().monotonic();
        let expired = self.admit_times(&mut batch).await?;
        let refused = fields::resolve(&self.cluster, &self.metrics, &mut batch).await?;
        self.metrics.points_beyond_retention.fetch_add(expired.points as u64, Ordering::Relaxed);
        self.metrics.points_refused_fields.fetch_add(refused.points as u64, Ordering::Relaxed);
        let points = batch.rows();
        let mut commits = self.cluster.catalog_commits();
        let routed = self.cluster.clock().monotonic();
        self.metrics.route_durations.observe(routed.saturating_sub(began));
        let committed = self.propose(batch).await;
        let took = self.cluster.clock().monotonic().saturating_sub(routed);
        self.metrics.commit_durations.observe(took);
        commits.extend(committed?.iter());
        self.metrics.points.fetch_add(points as u64, Ordering::Relaxed);
        // InfluxDB tells of a conflict rather than of age when a request has both.
        match refused.message.or(expired.message) {
            None => Ok(commits),
            Some(message) => Err(RouteError::Partial { message, dropped: expired.points + refused.points }),
        }
    }

    /// Deletes what was written before, in all partitions; answers what a read must see to see none of it.
    ///
    /// # Errors
    /// See [`RouteError`]; doing it again is harmless, but for what is written meanwhile.
    pub async fn delete(&self, deletion: Deletion) -> Result<Commits, RouteError> {
        predicate::codec::encode(&deletion.predicate)?;
        if deletion.range.is_empty() {
            return Ok(Commits::default());
        }
        self.everywhere(&PartitionOp::Delete(deletion)).await
    }

    /// Waits until no write through this router is under way, and holds further ones back: types of fields may be
    /// forgotten meanwhile.
    pub async fn hold_writes(&self) -> RwLockWriteGuard<'_, ()> {
        self.types.write().await
    }

    /// Drops the shards of a bucket that end before a time, in all partitions.
    ///
    /// # Errors
    /// See [`RouteError`]; doing it again is harmless.
    pub async fn drop_shards(&self, bucket: BucketId, ending_by: Timestamp) -> Result<(), RouteError> {
        self.everywhere(&PartitionOp::DropShards { bucket, ending_by }).await.map(drop)
    }

    /// Drops all data of a bucket, in all partitions. To be called when the catalog no longer has the bucket.
    ///
    /// # Errors
    /// See [`RouteError`]; doing it again is harmless.
    pub async fn drop_bucket(&self, bucket: BucketId) -> Result<(), RouteError> {
        self.everywhere(&PartitionOp::DropBucket { bucket }).await.map(drop)
    }

    async fn everywhere(&self, op: &PartitionOp) -> Result<Commits, RouteError> {
        let partitions = (0..self.cluster.partitions()).map(PartitionId);
        let all = partitions.map(|partition| async move {
            let index = self.cluster.propose(partition, op.clone()).await?;
            Ok((GroupId::Data(partition), index))
        });
        combine(join_all(all).await)
    }

    /// Takes the points out that are older than the bucket keeps, and gives the batch the bucket's shard length.
    async fn admit_times(&self, batch: &mut Batch) -> Result<Refused, RouteError> {
        let settings = |id| {
            let state = self.cluster.catalog().read();
            state.bucket(id).map(|bucket| (bucket.retention_ns, bucket.shard_duration_ns))
        };
        let found = match settings(batch.bucket) {
            Some(found) => Some(found),
            None => {
                self.cluster.read_barrier_meta().await.map_err(nothing_written)?;
                settings(batch.bucket)
            }
        };
        let (mut retention_ns, mut shard_duration_ns) = found.ok_or(RouteError::BucketNotFound)?;
        let oldest = |retention_ns: Option<i64>| {
            retention_ns.map(|ns| self.cluster.clock().now().0.saturating_sub(ns))
        };
        let is_old = |oldest: i64| batch.tables.iter().any(|table| table.times.iter().any(|&t| t < oldest));
        if oldest(retention_ns).is_some_and(is_old) {
            // They may be kept for longer by now.
            self.cluster.read_barrier_meta().await.map_err(nothing_written)?;
            (retention_ns, shard_duration_ns) = settings(batch.bucket).ok_or(RouteError::BucketNotFound)?;
        }
        batch.shard_duration_ns = shard_duration_ns;
        let Some(oldest) = oldest(retention_ns) else { return Ok(Refused::default()) };
        let mut points = 0;
        for table in &mut batch.tables {
            if table.times.iter().any(|&time| time < oldest) {
                let keep: Bitmap = table.times.iter().map(|&time| time >= oldest).collect();
                points += table.retain_rows(&keep);
            }
        }
        batch.remove_empty_tables();
        let message = (points > 0).then(|| "points beyond retention policy".to_owned());
        Ok(Refused { message, points })
    }

    /// Proposes the parts of a checked batch, side by side.
    async fn propose(&self, batch: Batch) -> Result<Commits, RouteError> {
        let now = self.cluster.clock().now();
        let parts = batch.split(self.cluster.partitions()).into_iter().map(|(partition, part)| {
            let entries = encode::entries(part, now);
            self.metrics.entries.fetch_add(entries.len() as u64, Ordering::Relaxed);
            async move {
                let index = self.cluster.propose_encoded(partition, entries).await?;
                Ok((GroupId::Data(partition), index))
            }
        });
        combine(join_all(parts).await)
    }
}

/// A failure before anything was proposed to a partition.
fn nothing_written(error: ProposeError) -> RouteError {
    match error {
        ProposeError::Overloaded { .. } => RouteError::Overloaded(error.to_string()),
        other => RouteError::Unavailable(other.to_string()),
    }
}

/// The outcome of a request from those of its parts.
fn combine(results: Vec<Result<(GroupId, u64), ProposeError>>) -> Result<Commits, RouteError> {
    let some_done = results.iter().any(Result::is_ok);
    if results.iter().all(Result::is_ok) {
        return Ok(results.into_iter().flatten().collect());
    }
    let all: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    match all.iter().find(|error| !error.nothing_done()) {
        Some(unknown) => Err(RouteError::OutcomeUnknown(unknown.to_string())),
        None if some_done => Err(RouteError::OutcomeUnknown(all[0].to_string())),
        None => Err(nothing_written(all.into_iter().next().expect("one has failed"))),
    }
}

#[cfg(test)]
mod tests;
