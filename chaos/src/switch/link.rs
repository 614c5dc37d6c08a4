//! One way from a port of the switch to another: what becomes of each frame, decided when it arrives.

use std::time::{Duration, Instant};

use fastrand::Rng;
use serde::Deserialize;

use super::reset::{Resets, Rounds};
use super::segment::Segment;

/// Bytes that wait at a way of limited rate before more are dropped: what a cheap switch has.
const QUEUE_BYTES: f64 = 65_536.0;
/// Bytes that such a way takes at once after it had nothing to do.
const BURST_BYTES: f64 = 3_000.0;

/// What a way does to frames; nothing by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Shape {
    /// None passes.
    #[serde(skip)]
    pub(crate) is_cut: bool,
    /// Connections are reset.
    #[serde(skip)]
    pub(crate) resets: Option<Rounds>,
    /// Each comes so much later.
    pub(crate) delay_ms: u32,
    /// And up to so much later still, or earlier, in the order in which they were sent.
    pub(crate) jitter_ms: u32,
    /// Share that does not come.
    pub(crate) loss_percent: f64,
    /// Share that comes twice.
    pub(crate) duplicate_percent: f64,
    /// Share that does not wait, and overtakes others that do.
    pub(crate) reorder_percent: f64,
    /// Kilobits in a second; no limit at 0.
    pub(crate) kbit_per_second: u32,
    /// Longer frames do not come, and nobody says so; no limit at 0.
    pub(crate) largest_bytes: u32,
}

/// What a way has done since it got its shape.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Tally {
    /// Frames that came to it.
    pub(crate) frames: u64,
    /// TCP segments that a cut dropped: they show that someone wanted to talk.
    pub(crate) cut: u64,
    /// Of those, ones that would have told the other end that the connection is no more.
    pub(crate) ends_cut: u64,
    /// Connections that were reset, once for each round.
    pub(crate) resets: u64,
    /// Connections that someone began to open.
    pub(crate) opened: u64,
    /// Dropped because they were too long.
    pub(crate) too_long: u64,
    /// Dropped by chance.
    pub(crate) lost: u64,
    /// Dropped because too many waited.
    pub(crate) overflowed: u64,
    /// Sent on twice.
    pub(crate) duplicated: u64,
    /// Sent on ahead of others.
    pub(crate) reordered: u64,
    /// Sent on later than they came.
    pub(crate) delayed: u64,
    /// Their delays together.
    pub(crate) delays: Duration,
    /// Bytes sent on.
    pub(crate) bytes: u64,
}

/// A way.
#[derive(Debug)]
pub(crate) struct Link {
    shape: Shape,
    pub(crate) tally: Tally,
    /// When all that was sent so far has gone out, at its rate.
    idle: Instant,
    /// When the last frame arrives.
    last: Instant,
    resets: Option<Resets>,
}

/// When a frame is to arrive: never, once or twice.
pub(crate) type Arrivals = [Option<Instant>; 2];

impl Shape {
    /// No frame passes.
    pub(crate) const CUT: Self = Self {
        is_cut: true,
        resets: None,
        delay_ms: 0,
        jitter_ms: 0,
        loss_percent: 0.0,
        duplicate_percent: 0.0,
        reorder_percent: 0.0,
        kbit_per_second: 0,
        largest_bytes: 0,
    };

    fn delay(&self, rng: &mut Rng) -> Duration {
        let jitter = f64::from(self.jitter_ms) * (2.0 * rng.f64() - 1.0);
        Duration::from_secs_f64((f64::from(self.delay_ms) + jitter).max(0.0) / 1000.0)
    }
}

fn happens(percent: f64, rng: &mut Rng) -> bool {
    percent > 0.0 && rng.f64() * 100.0 < percent
}

impl Link {
    pub(crate) fn new(shape: Shape, now: Instant) -> Self {
        let resets = shape.resets.map(|rounds| Resets::new(rounds, now));
        Self { shape, tally: Tally::default(), idle: now, last: now, resets }
    }

    /// The resets, onward and back, that come instead of a frame whose connection is to be reset.
    pub(crate) fn reset(&mut self, frame: &[u8], now: Instant) -> Option<[Vec<u8>; 2]> {
        let segment = Segment::of(frame)?;
        self.tally.opened += u64::from(segment.is_first());
        let is_first = self.resets.as_mut()?.meets(&segment, now)?;
        self.tally.resets += u64::from(is_first);
        Some(segment.resets())
    }

    /// Decides about a frame that comes now.
    pub(crate) fn pass(&mut self, frame: &[u8], now: Instant, rng: &mut Rng) -> Arrivals {
        self.tally.frames += 1;
        if self.shape.is_cut {
            let segment = Segment::of(frame);
            self.tally.cut += u64::from(segment.is_some());
            self.tally.ends_cut += u64::from(segment.is_some_and(|segment| segment.ends()));
            return [None, None];
        }
        if self.shape.largest_bytes > 0 && frame.len() > self.shape.largest_bytes as usize {
            self.tally.too_long += 1;
            return [None, None];
        }
        if happens(self.shape.loss_percent, rng) {
            self.tally.lost += 1;
            return [None, None];
        }
        let Some(sent) = self.transmit(frame.len(), now) else {
            self.tally.overflowed += 1;
            return [None, None];
        };
        let arrives = if self.shape.delay_ms > 0 && happens(self.shape.reorder_percent, rng) {
            self.tally.reordered += u64::from(self.last > sent);
            sent
        } else {
            self.last = self.last.max(sent + self.shape.delay(rng));
            self.last
        };
        if arrives > now {
            self.tally.delayed += 1;
            self.tally.delays += arrives - now;
        }
        self.tally.bytes += frame.len() as u64;
        let again = happens(self.shape.duplicate_percent, rng).then_some(arrives);
        self.tally.duplicated += u64::from(again.is_some());
        [Some(arrives), again]
    }

    /// When the last bit has gone out; nothing when too much waits already.
    #[expect(clippy::cast_precision_loss, reason = "a frame has few bytes")]
    fn transmit(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        if self.shape.kbit_per_second == 0 {
            return Some(now);
        }
        let takes = |bytes: f64| {
            Duration::from_secs_f64(bytes * 8.0 / (f64::from(self.shape.kbit_per_second) * 1000.0))
        };
        if self.idle.saturating_duration_since(now) > takes(QUEUE_BYTES) {
            return None;
        }
        // What was not used for a while may be used at once.
        let from = now.checked_sub(takes(BURST_BYTES)).unwrap_or(now);
        self.idle = self.idle.max(from) + takes(bytes as f64);
        Some(self.idle.max(now))
    }
}

#[cfg(test)]
mod tests;
