//! What a read waits for: proof of leading, an index that it must have, and how old what is applied here may be.
//!
//! What must always hold: whoever is told that everything is here finds every write that was acknowledged before it asked.

use std::sync::atomic::Ordering;
use std::time::Duration;

use model::ReplicaId;
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::raft::linearizable_read::Linearizer;
use openraft::{LinearizerOption, RaftMetrics};

use super::{Awaited, Group};
use crate::barrier::Proof;
use crate::error::ProposeError;
use crate::raft::types::Types;

impl Group {
    /// Returns when everything acknowledged before the call is applied here. Only the leader can say so.
    pub(crate) async fn read_barrier(&self, proof: Proof) -> Result<(), ProposeError> {
        self.barrier(proof, Duration::from_millis(self.limits.admission_ms_max)).await
    }

    pub(super) async fn barrier(&self, proof: Proof, wait: Duration) -> Result<(), ProposeError> {
        if self.has_all_applied() {
            return Ok(());
        }
        let linearizer = self.linearizer(proof, wait).await?;
        let applied = linearizer.try_await_ready(&self.raft, Some(wait)).await;
        match applied.map_err(|fatal| self.unavailable(&fatal))? {
            Ok(_state) => Ok(()),
            Err(_late) => Err(self.late()),
        }
    }

    async fn linearizer(&self, proof: Proof, wait: Duration) -> Result<Linearizer<Types>, ProposeError> {
        let age_max = match proof {
            // As long as the lease.
            Proof::Lease => None,
            Proof::Quorum => Some(Duration::ZERO),
        };
        let option = LinearizerOption::new(age_max, true).with_wait_timeout(wait);
        let _awaited = Awaited::begin(&self.network.awaited);
        match self.raft.get_read_linearizer(option).await {
            Ok(linearizer) => Ok(linearizer),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(to))) => {
                Err(ProposeError::NotLeader { group: self.id, leader: to.leader_id.map(ReplicaId) })
            }
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                let reason = "no majority of its members has answered".to_owned();
                Err(ProposeError::Unavailable { group: self.id, reason })
            }
            Err(error) => Err(self.unavailable(&error)),
        }
    }

    /// The index up to which any replica must have applied, so that everything acknowledged before the call is applied
    /// there. Only the leader can say so.
    pub(crate) async fn read_index(&self, proof: Proof) -> Result<u64, ProposeError> {
        let wait = Duration::from_millis(self.limits.admission_ms_max);
        Ok(self.linearizer(proof, wait).await?.read_log_id().index())
    }

    /// Notes that everything acknowledged before a moment of monotonic time is applied here.
    pub(crate) fn has_all_until(&self, moment: Duration) {
        let nanoseconds = u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX);
        self.has_all_until.fetch_max(nanoseconds, Ordering::Relaxed);
    }

    /// For how long, at most, entries have been acknowledged that are not applied here; `None` when that is not known.
    pub(crate) fn age(&self, now: Duration) -> Option<Duration> {
        let until = self.has_all_until.load(Ordering::Relaxed);
        (until > 0).then(|| now.saturating_sub(Duration::from_nanos(until)))
    }

    /// Returns when entries up to `index` are applied here.
    pub(crate) async fn wait_applied(&self, index: u64, at_most: Duration) -> Result<(), ProposeError> {
        let is_there = |metrics: &RaftMetrics<Types>| {
            metrics.last_applied.as_ref().is_some_and(|applied| applied.index >= index)
                || metrics.running_state.is_err()
        };
        let waited = self.raft.wait(Some(at_most)).metrics(is_there, "applied").await;
        match waited.map(|metrics| metrics.running_state) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fatal)) => Err(self.unavailable(&fatal)),
            Err(_late) => Err(self.late()),
        }
    }

    /// Returns when entries beyond `index` are applied here; `false` when the group has stopped.
    pub(crate) async fn applied_beyond(&self, index: Option<u64>) -> bool {
        let mut watch = self.raft.metrics();
        loop {
            {
                let metrics = watch.borrow_watched();
                if metrics.running_state.is_err() {
                    return false;
                }
                if metrics.last_applied.as_ref().map(|applied| applied.index) > index {
                    return true;
                }
            }
            if watch.changed().await.is_err() {
                return false;
            }
        }
    }
}
