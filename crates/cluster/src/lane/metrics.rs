//! Counters of a lane.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::LogLane;

/// Counters of a lane, to be exported by the server. Monotonic unless said otherwise.
#[derive(Debug, Default)]
pub struct LaneMetrics {
    /// Records written, of all kinds.
    pub records: AtomicU64,
    /// Entries appended.
    pub appends: AtomicU64,
    /// Bytes of the envelopes appended.
    pub append_bytes: AtomicU64,
    /// Syncs.
    pub syncs: AtomicU64,
    /// Time spent in writing and syncing, nanoseconds.
    pub sync_ns: AtomicU64,
    /// The longest write and sync so far, nanoseconds.
    pub sync_ns_max: AtomicU64,
    /// Gauge: bytes of the lane on the disk.
    pub disk_bytes: AtomicU64,
    /// Gauge: number of the segment that is being written; 0 for a back-end without segments.
    pub active_segment: AtomicU64,
    /// Gauge: bytes of the entries held in memory.
    pub cached_bytes: AtomicU64,
    /// Whether the lane waits for space on the disk.
    pub waiting_for_space: watch::Sender<bool>,
}

impl LaneMetrics {
    /// Notes what the back-end holds.
    pub(super) fn measure(&self, lane: &dyn LogLane) {
        self.disk_bytes.store(lane.bytes(), Ordering::Relaxed);
        self.active_segment.store(lane.segments().1, Ordering::Relaxed);
    }

    pub(super) fn synced(&self, took_ns: u64) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_ns.fetch_add(took_ns, Ordering::Relaxed);
        self.sync_ns_max.fetch_max(took_ns, Ordering::Relaxed);
    }
}
