//! The log gets shorter as the machine makes entries durable.
//!
//! What must always hold: nothing is removed that is not durable in the machine, nor what a member still needs, as long as
//! the log is not too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::LogPosition;
use openraft::RaftMetrics;
use openraft::async_runtime::WatchReceiver as _;
use tokio::time::{MissedTickBehavior, interval};

use super::Group;
use crate::raft::machine::with_causes;
use crate::raft::types::{self, Types};

/// How long a purge waits for openraft to take note of a snapshot.
const SNAPSHOT_NOTED: Duration = Duration::from_secs(30);
/// How often a group of several looks what its members have got.
const LOOK_AT_MEMBERS_EVERY: Duration = Duration::from_secs(1);

impl Group {
    /// Notes that the machine has made everything up to `position` durable. Files that have been exchanged since say nothing.
    pub(crate) fn flushed(&self, position: LogPosition) {
        let durable = self.target.durable().ok().and_then(|durable| durable.position);
        if durable.is_none_or(|durable| durable.index < position.index) {
            return;
        }
        self.flushed.send_if_modified(|newest| {
            let newer = newest.is_none_or(|newest| newest.index < position.index);
            if newer {
                *newest = Some(position);
            }
            newer
        });
    }

    /// Index up to which all members have the log, as far as this one knows.
    pub(crate) fn all_have(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.network.all_have)
    }

    /// Purges the log as the machine makes entries durable, for ever. What a member has not got yet is kept for it, as
    /// long as the log is not too long.
    pub(crate) async fn purge_flushed(self: Arc<Self>) {
        let mut watch = self.flushed.subscribe();
        // What was flushed before this task began counts too.
        watch.mark_changed();
        let mut look = interval(LOOK_AT_MEMBERS_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut purged = None;
        loop {
            tokio::select! {
                () = self.ended.cancelled() => return,
                changed = watch.changed() => if changed.is_err() { return },
                _ = look.tick(), if !self.is_alone() => self.incoming.forget_old(),
            }
            let Some(position) = *watch.borrow_and_update() else { continue };
            // Files that are on their way need what comes after them.
            if self.is_damaged() && self.lane.bytes() <= self.limits.log_bytes_soft {
                watch.mark_changed();
                look.tick().await;
                continue;
            }
            let upto = position.index.min(self.needed_by_nobody());
            if purged >= Some(upto) || upto == 0 {
                continue;
            }
            match self.purge(position, upto).await {
                Ok(()) => purged = Some(upto),
                Err(reason) => {
                    tracing::warn!(group = %self.id, index = upto, reason, "the log was not purged");
                }
            }
        }
    }

    /// Index up to which no member needs the log of this one; a leader finds out, and tells with what it sends.
    fn needed_by_nobody(&self) -> u64 {
        if self.is_alone() || self.lane.bytes() > self.limits.log_bytes_soft {
            return u64::MAX;
        }
        let matched = self.raft.metrics().borrow_watched().replication.as_ref().map(|members| {
            members.values().map(|matched| matched.as_ref().map_or(0, |id| id.index)).min().unwrap_or(0)
        });
        if let Some(matched) = matched {
            self.network.all_have.fetch_max(matched, Ordering::Relaxed);
        }
        self.network.all_have.load(Ordering::Relaxed)
    }

    /// Lets openraft take note of a snapshot at `position` and purges up to `upto`.
    async fn purge(&self, position: LogPosition, upto: u64) -> Result<(), String> {
        let text = |error: &dyn std::error::Error| with_causes(error);
        let noted = |metrics: &RaftMetrics<Types>| {
            metrics.snapshot.as_ref().is_some_and(|id| id.index >= position.index)
        };
        if !noted(&self.raft.metrics().borrow_watched()) {
            self.raft.trigger().snapshot().await.map_err(|error| text(&error))?;
            let wait = self.raft.wait(Some(SNAPSHOT_NOTED));
            wait.metrics(noted, "snapshot noted").await.map_err(|error| text(&error))?;
        }
        self.raft.trigger().purge_log(upto).await.map_err(|error| text(&error))
    }

    /// Takes a snapshot of the catalog at what is applied, and purges up to there.
    pub(crate) fn compact_to_applied(&self) {
        let applied = self.raft.metrics().borrow_watched().last_applied;
        if let Some(id) = applied {
            self.flushed(types::position(&id));
        }
    }
}
