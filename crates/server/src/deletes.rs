//! The way of a delete: one entry in each partition's log, and where a measurement has lost its last point, the types
//! of its fields are forgotten, so that it may come back with others.
//!
//! Types are forgotten while no write is under way: a write that has seen the old types has either left points, and
//! then they stay, or comes later and registers its own. Writes through other nodes cannot be held back, so in a cluster
//! of several nodes types stay.

use std::sync::Arc;

use catalog::{Command, Response};
use cluster::{Cluster, Router};
use gateway::ports::WriteError;
use model::{
    BucketId, Commits, Deletion, Predicate, SchemaQuestion, SchemaRequest, Subject, Test, TimeRange,
};

use crate::admission::FLUSH_SOON;
use crate::partitions::Partitions;
use crate::ports::{unavailable, write_error};

/// Deletes of a bucket that may wait in a partition to be applied to its files; beyond that no more are taken.
const PENDING_MAX: usize = 1024;
/// Measurements that are looked at after a delete; when it may have emptied more, their types stay.
const MEASUREMENTS_MAX: usize = 1000;

/// Deletes points.
#[derive(Debug, Clone)]
pub(crate) struct Deletes {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) router: Arc<Router>,
    pub(crate) partitions: Arc<Partitions>,
}

impl Deletes {
    /// Deletes what was written before; returns when no query sees it any more but one that reads what is old, and what
    /// such a query must see.
    pub(crate) async fn delete(&self, deletion: Deletion) -> Result<Commits, WriteError> {
        self.admit(deletion.bucket)?;
        let (bucket, predicate) = (deletion.bucket, deletion.predicate.clone());
        let commits = self.router.delete(deletion).await.map_err(write_error)?;
        if !self.cluster.is_alone() {
            return Ok(commits);
        }
        let names = self.measurements(bucket, &predicate);
        let emptied = self.empty_ones(bucket, names).await?;
        if emptied.is_empty() {
            return Ok(commits);
        }
        let _no_writes = self.router.hold_writes().await;
        let measurements = self.empty_ones(bucket, emptied).await?;
        if measurements.is_empty() {
            return Ok(commits);
        }
        let forget = Command::ForgetMeasurements { bucket, measurements };
        match self.cluster.propose_catalog(forget).await {
            Ok(Response::Refused(refusal)) => Err(refusal.into()),
            Ok(_) => Ok(commits),
            Err(error) => Err(unavailable(error).into()),
        }
    }

    /// Refuses when too many deletes wait already. Flushes and merges make room.
    fn admit(&self, bucket: BucketId) -> Result<(), WriteError> {
        for (partition, engine) in self.partitions.engines() {
            let pending = engine.tombstones(bucket);
            if pending >= PENDING_MAX {
                engine.request_flush();
                let message = format!(
                    "{pending} deletes of the bucket wait in partition {partition} to be applied to its files, and at \
                     most {PENDING_MAX} may: try again later, or delete more at once"
                );
                return Err(WriteError::Overloaded { message, retry_after: FLUSH_SOON });
            }
        }
        Ok(())
    }

    /// The measurements that a delete may have emptied.
    fn measurements(&self, bucket: BucketId, predicate: &Predicate) -> Vec<String> {
        let state = self.cluster.catalog().read();
        let touched =
            state.measurements(bucket).filter(|name| of_measurement(predicate, name) != Some(false));
        let names: Vec<String> = touched.take(MEASUREMENTS_MAX + 1).map(str::to_owned).collect();
        if names.len() > MEASUREMENTS_MAX { Vec::new() } else { names }
    }

    /// Those of the measurements that no partition has anything of.
    async fn empty_ones(&self, bucket: BucketId, names: Vec<String>) -> Result<Vec<String>, WriteError> {
        if names.is_empty() {
            return Ok(names);
        }
        let engines = self.partitions.engines();
        let looking = host::offload(move || {
            let mut empty = names;
            for (_, engine) in engines {
                let predicate = Predicate::Compare(Subject::Measurement, Test::In(empty.clone()));
                let (range, question) = (TimeRange::ALL, SchemaQuestion::Measurements);
                let held = engine.schema(&SchemaRequest { bucket, range, predicate, question })?;
                empty.retain(|name| held.binary_search(name).is_err());
                if empty.is_empty() {
                    break;
                }
            }
            Ok::<_, storage::ReadError>(empty)
        });
        match looking.await {
            Ok(Ok(empty)) => Ok(empty),
            failed => {
                // The points are deleted; that their types stay does no harm.
                tracing::warn!(?failed, "cannot tell which measurements a delete has emptied");
                Ok(Vec::new())
            }
        }
    }
}

/// What a predicate says of a measurement whatever its tags and fields are; `None` when it depends on them.
fn of_measurement(predicate: &Predicate, name: &str) -> Option<bool> {
    let mut any_open = false;
    let mut of_all = |parts: &[Predicate], decisive: bool| {
        for part in parts {
            match of_measurement(part, name) {
                Some(truth) if truth == decisive => return Some(decisive),
                Some(_) => {}
                None => any_open = true,
            }
        }
        if any_open { None } else { Some(!decisive) }
    };
    match predicate {
        Predicate::Constant(truth) => Some(*truth),
        Predicate::Compare(Subject::Measurement, test) => Some(test.accepts(name)),
        Predicate::Compare(..) => None,
        Predicate::And(parts) => of_all(parts, false),
        Predicate::Or(parts) => of_all(parts, true),
        Predicate::Not(inner) => of_measurement(inner, name).map(|truth| !truth),
    }
}

#[cfg(test)]
mod tests;
