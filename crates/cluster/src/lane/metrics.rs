//! Counters of a lane, and whether its disk is so slow that others should lead.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::Distribution;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::LogLane;

/// A disk whose writes and syncs take so long is slow: clients wait for it as long as its node leads.
const SLOW: Duration = Duration::from_millis(100);
/// It takes as long as the fastest of so many in a row.
const IN_A_ROW: usize = 3;
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
    /// How long each write and sync took.
    pub sync_durations: Distribution,
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

/// How fast the disk is, in times of a monotonic clock.
#[derive(Debug, Default)]
struct Pace(Mutex<Writes>);

#[derive(Debug, Default)]
struct Writes {
    /// When the one that is under way began.
    began: Option<Duration>,
    /// How long the last ones took, the newest first.
    took: [Duration; IN_A_ROW],
    /// How long they took when they were slow, and until when that counts.
    slow: Option<(Duration, Duration)>,
}

impl LaneMetrics {
    /// Notes what the back-end holds.
    pub(super) fn measure(&self, lane: &dyn LogLane) {
        self.disk_bytes.store(lane.bytes(), Ordering::Relaxed);
        self.active_segment.store(lane.segments().1, Ordering::Relaxed);
    }

    /// How long writes of the disk take, where they are slow, as the last ones were or the one that is under way is.
    #[must_use]
    pub fn slowness(&self, now: Duration) -> Option<Duration> {
        let writes = self.pace.0.lock();
        let stuck = writes.began.map(|began| now.saturating_sub(began)).filter(|time| *time >= STUCK);
        let slow = writes.slow.filter(|(_, until)| now < *until).map(|(took, _)| took);
        stuck.max(slow)
    }

    /// Notes that a write begins.
    pub(super) fn begins(&self, now: Duration) {
        self.pace.0.lock().began = Some(now);
    }

    /// Notes that a write has ended, and is synced.
    pub(super) fn synced(&self, began: Duration, now: Duration) {
        let took = now.saturating_sub(began);
        {
            let mut writes = self.pace.0.lock();
            writes.began = None;
            writes.took.rotate_right(1);
            writes.took[0] = took;
            let fastest = writes.took.into_iter().min().unwrap_or_default();
            let pace = if took >= STUCK { took } else { fastest };
            if pace >= SLOW && writes.slow.is_none_or(|(slow, until)| pace >= slow || now >= until) {
                writes.slow = Some((pace, now + SLOW_FOR));
            }
        }
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sync_durations.observe(took);
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
        for n in 0..9 {
            write(n * 300, if n % 3 == 2 { 20 } else { 200 });
        }
        assert_eq!(metrics.slowness(at(3_000)), None, "now and then one takes longer");
        for took in [150, 300, 200] {
            assert_eq!(metrics.slowness(at(4_000)), None);
            write(4_000, took);
        }
        assert_eq!(metrics.slowness(at(4_500)), Some(at(150)));
        write(5_000, 5);
        assert_eq!(metrics.slowness(at(14_100)), Some(at(150)), "one that is fast says little");
        assert_eq!(metrics.slowness(at(14_300)), None);
        metrics.begins(at(20_000));
        assert_eq!(metrics.slowness(at(20_900)), None);
        assert_eq!(metrics.slowness(at(21_100)), Some(at(1_100)));
        metrics.synced(at(20_000), at(22_000));
        assert_eq!(metrics.slowness(at(31_900)), Some(at(2_000)));
        assert_eq!(metrics.slowness(at(32_100)), None);
        assert_eq!(metrics.syncs.load(Ordering::Relaxed), 14);
    }
}
