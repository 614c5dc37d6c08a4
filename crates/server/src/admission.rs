//! Who may write: nobody while the disks of most members are full, one after the other while memory is short, and new series only while
//! there is room for them.
//!
//! A write that finds the memtables full waits, because flushes make room all the time; only what waits for as long as a
//! write may take is refused, with 429. What waits is bounded by the memory of writes on their way. New series are
//! refused before they are proposed: what is committed must apply.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway::ports::{Unavailable, WriteError};
use model::{Batch, Bitmap, Clock};
use storage::Commons;
use tokio::time::{MissedTickBehavior, interval};

use crate::partitions::Partitions;

/// See the module.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) partitions: Arc<Partitions>,
    /// What is stored here; nothing on a gateway.
    pub(crate) commons: Option<Arc<Commons>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long a write waits for memory.
    pub(crate) wait_max: Duration,
    /// Series that a bucket may have.
    pub(crate) series_max: Option<u64>,
    pub(crate) metrics: AdmissionMetrics,
}

/// Counters. Monotonic.
#[derive(Debug, Default)]
pub(crate) struct AdmissionMetrics {
    /// Writes that had to wait for memory.
    pub(crate) stalls: AtomicU64,
    /// Nanoseconds that they waited.
    pub(crate) stall_ns: AtomicU64,
    /// Writes that waited in vain.
    pub(crate) refused: AtomicU64,
    /// Points of new series that were refused.
    pub(crate) series_points_refused: AtomicU64,
}

/// Points that were taken out of a batch, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) message: String,
    pub(crate) points: usize,
}

/// When to come again after a refusal for want of memory: flushes take about this long.
pub(crate) const FLUSH_SOON: Duration = Duration::from_secs(1);
/// How often a write that waits looks again.
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Admission {
    /// Waits until there is room for more rows.
    pub(crate) async fn room(&self) -> Result<(), WriteError> {
        self.partitions.measure_space_if_little();
        self.disk()?;
        let Some(commons) = self.commons.as_ref().filter(|commons| commons.is_full()) else { return Ok(()) };
        let begun = self.clock.monotonic();
        let waited = || self.clock.monotonic().saturating_sub(begun);
        self.metrics.stalls.fetch_add(1, Ordering::Relaxed);
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let outcome = loop {
            look.tick().await;
            if let Err(full) = self.disk() {
                break Err(full);
            }
            if !commons.is_full() {
                break Ok(());
            }
            if waited() >= self.wait_max {
                self.metrics.refused.fetch_add(1, Ordering::Relaxed);
                let rows = commons.memory().memtables.figures();
                let message = format!(
                    "memory is short: {} bytes of points wait to be flushed, and {} may (memory-bytes)",
                    rows.used, rows.limit
                );
                break Err(WriteError::Overloaded { message, retry_after: FLUSH_SOON });
            }
        };
        let ns = u64::try_from(waited().as_nanos()).unwrap_or(u64::MAX);
        self.metrics.stall_ns.fetch_add(ns, Ordering::Relaxed);
        outcome
    }

    /// Whether there are disks that take points: not while most are full, nor when memory is full because flushes find no
    /// room.
    fn disk(&self) -> Result<(), WriteError> {
        let is_full = || self.commons.as_ref().is_some_and(|commons| commons.is_full());
        let stalled = || is_full().then(|| self.partitions.no_room()).flatten();
        match self.partitions.refusal().or_else(stalled) {
            Some(reason) => Err(Unavailable::TryLater(reason).into()),
            None => Ok(()),
        }
    }

    /// Takes the points of new series out of a batch, as far as there is no room for them.
    pub(crate) fn series(&self, batch: &mut Batch) -> Option<Refused> {
        // Those of other nodes are known there alone.
        let index_is_full = self.commons.as_ref()?.memory().index.is_full();
        if !index_is_full && self.series_max.is_none() {
            return None;
        }
        let all = batch.tables.iter().flat_map(|table| &table.series);
        let is_new = self.partitions.are_new(batch.bucket, all.map(|series| (&series.key, series.hash)));
        if !is_new.contains(&true) {
            return None;
        }
        let known = || self.partitions.series_of(batch.bucket);
        let left = |max: u64| usize::try_from(max.saturating_sub(known())).unwrap_or(usize::MAX);
        let room = if index_is_full { 0 } else { self.series_max.map_or(usize::MAX, left) };
        let points = retain_series(batch, &is_new, room);
        if points == 0 {
            return None;
        }
        self.metrics.series_points_refused.fetch_add(points as u64, Ordering::Relaxed);
        let message = match self.series_max {
            Some(max) if !index_is_full => format!("max-series-per-bucket limit exceeded: ({max})"),
            _ => "no memory is left for new series (memory-bytes, share index)".to_owned(),
        };
        Some(Refused { message, points })
    }
}

/// Keeps the first `room` of the new series and all others; returns how many points went. `is_new` has an element per
/// series of the batch, in order.
fn retain_series(batch: &mut Batch, is_new: &[bool], mut room: usize) -> usize {
    let mut is_new = is_new.iter();
    let mut gone = 0;
    for table in &mut batch.tables {
        let mut keep = Bitmap::new();
        for (_, rows) in table.series_ranges() {
            let is_new = *is_new.next().expect("one per series");
            let stays = !is_new || room > 0;
            room -= usize::from(is_new && stays);
            rows.for_each(|_row| keep.push(stays));
        }
        gone += table.retain_rows(&keep);
    }
    batch.remove_empty_tables();
    gone
}

#[cfg(test)]
mod tests;
