//! Counters of a lane, and whether its disk is so slow that others should lead.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::LogLane;

/// A write and sync that takes so long is slow. Where that is the pace of one disk, clients wait for it as long as its node
/// leads; where all are as slow, nobody is better.
const SLOW: Duration = Duration::from_millis(100);
/// So many slow ones, one after the other, make a slow disk.
const SLOW_IN_A_ROW: u32 = 3;
/// One that has not ended for so long is enough.
const STUCK: Duration = Duration::from_secs(1);
/// How long a disk counts as slow after it was.
const SLOW_FOR: Duration = Duration::from_secs(10);

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
    pace: Pace,
}

/// How fast the disk is; moments are nanoseconds of monotonic time, and 1.
#[derive(Debug, Default)]
struct Pace {
    /// When the write that is under way began; 0 when none is.
    began: AtomicU64,
    /// Slow ones since the last that was not.
    slow: AtomicU32,
    /// Until when the disk counts as slow.
    slow_until: AtomicU64,
}

fn moment(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
}

impl LaneMetrics {
    /// Notes what the back-end holds.
    pub(super) fn measure(&self, lane: &dyn LogLane) {
        self.disk_bytes.store(lane.bytes(), Ordering::Relaxed);
        self.active_segment.store(lane.segments().1, Ordering::Relaxed);
    }

    /// Whether the disk is slow, as its last writes were or the one that is under way is.
    #[must_use]
    pub fn is_slow(&self, now: Duration) -> bool {
        let began = self.pace.began.load(Ordering::Relaxed);
        let is_stuck = began > 0 && moment(now.saturating_sub(STUCK)) > began;
        is_stuck || moment(now) < self.pace.slow_until.load(Ordering::Relaxed)
    }

    /// Notes that a write begins.
    pub(super) fn begins(&self, now: Duration) {
        self.pace.began.store(moment(now), Ordering::Relaxed);
    }

    /// Notes that a write has ended, and is synced.
    pub(super) fn synced(&self, began: Duration, now: Duration) {
        let took = now.saturating_sub(began);
        let row = if took < SLOW { 0 } else { self.pace.slow.load(Ordering::Relaxed).saturating_add(1) };
        self.pace.slow.store(row, Ordering::Relaxed);
        if row >= SLOW_IN_A_ROW || took >= STUCK {
            self.pace.slow_until.store(moment(now + SLOW_FOR), Ordering::Relaxed);
        }
        self.pace.began.store(0, Ordering::Relaxed);
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_ns.fetch_add(took_ns, Ordering::Relaxed);
        self.sync_ns_max.fetch_max(took_ns, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_slow_while_its_writes_are_and_for_a_while_after() {
        let metrics = LaneMetrics::default();
        let at = Duration::from_millis;
        let write = |began: u64, took: u64| {
            metrics.begins(at(began));
            metrics.synced(at(began), at(began + took));
        };
        for n in 0..10 {
            write(n * 300, if n % 3 == 2 { 20 } else { 200 });
        }
        assert!(!metrics.is_slow(at(3_000)), "now and then one takes longer");
        for n in 0..3 {
            assert!(!metrics.is_slow(at(4_000 + n * 200)));
            write(4_000 + n * 200, 100);
        }
        assert!(metrics.is_slow(at(4_500)) && metrics.is_slow(at(14_000)));
        write(5_000, 5);
        assert!(metrics.is_slow(at(5_010)), "one that is fast says little");
        assert!(!metrics.is_slow(at(14_600)));
        metrics.begins(at(20_000));
        assert!(!metrics.is_slow(at(20_900)) && metrics.is_slow(at(21_100)));
        metrics.synced(at(20_000), at(22_000));
        assert!(metrics.is_slow(at(31_900)) && !metrics.is_slow(at(32_100)));
        assert_eq!(metrics.syncs.load(Ordering::Relaxed), 15);
    }
}
