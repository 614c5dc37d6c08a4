//! Bytes per second that all tasks of a node share.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Lets so many bytes through in a second.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// 0 for as many as come.
    bytes_per_second: u64,
    /// When all that was let through so far is paid for.
    paid_at: Mutex<Option<Instant>>,
}

impl Throttle {
    /// One that lets so many through; 0 for all.
    pub(crate) const fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, paid_at: Mutex::new(None) }
    }

    /// Returns when these bytes may go. Who came first goes first.
    pub(crate) async fn take(&self, bytes: usize) {
        if self.bytes_per_second == 0 {
            return;
        }
        let may_go = self.reserve(Instant::now(), bytes);
        sleep_until(may_go).await;
    }

    /// When bytes that come now may go.
    fn reserve(&self, now: Instant, bytes: usize) -> Instant {
        let nanos = (bytes as u64).saturating_mul(1_000_000_000) / self.bytes_per_second;
        let mut paid_at = self.paid_at.lock();
        let may_go = paid_at.map_or(now, |paid_at| paid_at.max(now));
        *paid_at = Some(may_go + Duration::from_nanos(nanos));
        may_go
    }
}

#[cfg(test)]
mod tests;
