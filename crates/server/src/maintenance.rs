//! What happens by itself: free space watched, the log kept within its budget by flushes, cold shards merged, expired
//! shards and the data of deleted buckets dropped through the log.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, Router};
use model::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::ballast::Ballast;
use crate::partitions::Partitions;

/// What the tasks look after.
#[derive(Debug, Clone)]
pub(crate) struct Maintenance {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) router: Arc<Router>,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) ballast: Arc<Ballast>,
    /// Told by whoever deletes buckets.
    pub(crate) bucket_deleted: Arc<Notify>,
    pub(crate) retention_check_interval: Duration,
}

const SPACE_EVERY: Duration = Duration::from_millis(100);
const TICK_EVERY: Duration = Duration::from_secs(1);

impl Maintenance {
    /// Starts the tasks in a set; dropping the set ends them.
    pub(crate) fn start(self, tasks: &mut JoinSet<()>) {
        // The start is over: before anybody is served, who may kill the node. Also what is left of a full disk is kept for
        // the next.
        self.ballast.take();
        let this = Arc::new(self);
        tasks.spawn(Arc::clone(&this).watch_space());
        tasks.spawn(Arc::clone(&this).tick());
        tasks.spawn(this.retain());
    }

    async fn watch_space(self: Arc<Self>) {
        let mut timer = interval(SPACE_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            timer.tick().await;
            self.partitions.measure_space();
            if !self.partitions.is_space_short() {
                self.ballast.take();
            }
        }
    }

    /// Ages, cold shards, removals, and the length of the log.
    async fn tick(self: Arc<Self>) {
        let mut timer = interval(TICK_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            timer.tick().await;
            for (_, engine) in self.partitions.engines() {
                engine.tick();
            }
            let Some(pressure) = self.cluster.log_pressure(self.partitions.is_space_short()) else {
                continue;
            };
            tracing::debug!(
                partitions = pressure.partitions.len(),
                bytes = pressure.bytes,
                "the log is long: flushing"
            );
            for engine in pressure.partitions.into_iter().filter_map(|p| self.partitions.engine(p)) {
                engine.request_flush();
            }
        }
    }

    /// Drops what has expired and what belongs to no bucket any more, that at once.
    async fn retain(self: Arc<Self>) {
        let mut timer = interval(self.retention_check_interval);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = timer.tick() => {}
                () = self.bucket_deleted.notified() => {}
            }
            self.retain_once().await;
        }
    }

    async fn retain_once(&self) {
        // Each node looks after the partitions that it leads.
        let engines = self.partitions.engines().into_iter();
        let led = engines.filter(|(partition, _)| self.cluster.leads(*partition));
        let mut held: Vec<_> = led.flat_map(|(_, engine)| engine.shards()).collect();
        if held.is_empty() {
            return;
        }
        // Data come after their bucket, so a barrier after looking at them makes "there is no such bucket" true.
        if let Err(error) = self.cluster.read_barrier_meta().await {
            tracing::warn!(%error, "retention is put off: the catalog is out of reach");
            return;
        }
        let now = self.cluster.clock().now();
        held.sort_unstable_by_key(|shard| (shard.bucket, shard.range.end));
        held.dedup_by_key(|shard| (shard.bucket, shard.range.end));
        for shards in held.chunk_by(|a, b| a.bucket == b.bucket) {
            let bucket = shards[0].bucket;
            let retention = self.cluster.catalog().read().bucket(bucket).map(|b| b.retention_ns);
            let result = match retention {
                None => {
                    tracing::info!(%bucket, "dropping the data of a deleted bucket");
                    self.router.drop_bucket(bucket).await
                }
                Some(None) => continue,
                Some(Some(retention_ns)) => {
                    let ending_by = Timestamp(now.0.saturating_sub(retention_ns));
                    let expired = shards.iter().filter(|shard| shard.range.end <= ending_by).count();
                    if expired == 0 {
                        continue;
                    }
                    tracing::info!(%bucket, expired, before = %ending_by.to_rfc3339(), "dropping expired shards");
                    self.router.drop_shards(bucket, ending_by).await
                }
            };
            if let Err(error) = result {
                tracing::warn!(%bucket, %error, "dropping failed; it is tried again next time");
            }
        }
    }
}
