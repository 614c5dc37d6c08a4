//! How merges make way for queries: as long as what queries read from the disk takes longer than it should, a merge works
//! a part of the time only.
//!
//! Each read of a query that the block cache cannot answer is timed. That time says what no count of bytes can: that the
//! disk has more to do than it can, whoever gives it to it. A merge asks between series how long it should rest. While
//! nobody reads it never rests, so it is behind for no longer than it must.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A read (neighbouring pages of one column) should take no longer. From the system's page cache it takes a hundredth of
/// that, from an idle disk a tenth.
const READ_SHOULD_TAKE: Duration = Duration::from_millis(5);
/// When nothing was read for so long, nobody waits for anything.
const READS_ARE_OVER_AFTER: Duration = Duration::from_millis(500);
/// Each read moves the mean by one part in so many.
const MEAN_PARTS: u64 = 8;
/// Most rest for each part of work.
const REST_PARTS_MAX: u32 = 8;
/// Longest rest at a time.
const REST_MAX: Duration = Duration::from_millis(250);
/// A merge asks after so much work.
pub(crate) const ASK_AFTER: Duration = Duration::from_millis(10);

/// See the module. One per process.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Moving mean of the time that a read took, in nanoseconds.
    mean_ns: AtomicU64,
    /// When the last was read, in nanoseconds of the monotonic clock.
    last_ns: AtomicU64,
}

impl Pace {
    /// A query has read something by `now`, which took so long.
    pub(crate) fn read_took(&self, took: Duration, now: Duration) {
        // Readers that meet here may overwrite one another's time: it is a mean.
        let mean = self.mean_ns.load(Ordering::Relaxed);
        let next = mean - mean / MEAN_PARTS + nanoseconds(took) / MEAN_PARTS;
        self.mean_ns.store(next, Ordering::Relaxed);
        self.last_ns.store(nanoseconds(now), Ordering::Relaxed);
    }

    /// How long a merge that has worked so long should rest at `now`.
    pub(crate) fn rest_after(&self, work: Duration, now: Duration) -> Duration {
        let last = Duration::from_nanos(self.last_ns.load(Ordering::Relaxed));
        if now.saturating_sub(last) >= READS_ARE_OVER_AFTER {
            self.mean_ns.store(0, Ordering::Relaxed);
            return Duration::ZERO;
        }
        let mean = Duration::from_nanos(self.mean_ns.load(Ordering::Relaxed));
        if mean <= READ_SHOULD_TAKE {
            return Duration::ZERO;
        }
        let parts = mean.as_nanos() / READ_SHOULD_TAKE.as_nanos();
        let parts = u32::try_from(parts).unwrap_or(REST_PARTS_MAX).min(REST_PARTS_MAX);
        work.saturating_mul(parts).min(REST_MAX)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Duration = Duration::from_millis(20);

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn after_reads(took: Duration) -> Pace {
        let pace = Pace::default();
        (0..100).for_each(|_| pace.read_took(took, at(1000)));
        pace
    }

    #[test]
    fn merges_rest_while_reads_are_slow_and_only_then() {
        assert_eq!(Pace::default().rest_after(WORK, at(1000)), Duration::ZERO, "nobody has ever read");
        assert_eq!(after_reads(at(1)).rest_after(WORK, at(1001)), Duration::ZERO);
        let slow = after_reads(at(16));
        assert_eq!(slow.rest_after(WORK, at(1001)), 3 * WORK);
        assert_eq!(slow.rest_after(at(0), at(1001)), Duration::ZERO);
        assert_eq!(after_reads(at(60_000)).rest_after(WORK, at(1001)), 8 * WORK);
        assert_eq!(after_reads(at(60_000)).rest_after(at(100), at(1001)), REST_MAX);
        // It is over when nobody reads any more, and begins anew with who reads next.
        assert_eq!(slow.rest_after(WORK, at(1499)), 3 * WORK);
        assert_eq!(slow.rest_after(WORK, at(1500)), Duration::ZERO);
        slow.read_took(at(1), at(1500));
        assert_eq!(slow.rest_after(WORK, at(1501)), Duration::ZERO);
    }

    #[test]
    fn one_slow_read_among_many_slows_no_merge() {
        let pace = after_reads(at(1));
        pace.read_took(at(30), at(1000));
        assert_eq!(pace.rest_after(WORK, at(1001)), Duration::ZERO);
    }
}
