//! How long things took: a histogram with a few classic buckets, for dashboards and alerts that everybody has, and many native
//! ones, for servers that store those.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::Timestamp;
use parking_lot::Mutex;

/// Upper bounds of the classic buckets, in seconds. Alerts ask about 0.1, 0.25, 0.5 and 1.
pub(crate) const BOUNDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Classic buckets, with the one that has no bound.
const CLASSIC: usize = BOUNDS.len() + 1;
/// Native buckets double in 2^SCHEMA steps.
pub(crate) const SCHEMA: i32 = 3;
/// The native bucket of what is shortest, 2^-20 s (1 µs), and of what is longest, 2^12 s (68 min).
const FIRST: i32 = -20 << SCHEMA;
const LAST: i32 = 12 << SCHEMA;
const NATIVE: usize = (LAST - FIRST + 1) as usize;

/// A request that took so long, to be looked at: its trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    /// The trace.
    pub trace_id: u128,
    /// When it ended.
    pub at: Timestamp,
}

/// A histogram of durations.
#[derive(Debug)]
pub struct Distribution {
    sum_ns: AtomicU64,
    classic: [AtomicU64; CLASSIC],
    native: Box<[AtomicU64; NATIVE]>,
    /// The newest of each classic bucket.
    exemplars: Mutex<[Option<(Exemplar, f64)>; CLASSIC]>,
}

impl Default for Distribution {
    fn default() -> Self {
        Self {
            sum_ns: AtomicU64::new(0),
            classic: [const { AtomicU64::new(0) }; CLASSIC],
            native: Box::new([const { AtomicU64::new(0) }; NATIVE]),
            exemplars: Mutex::new([None; CLASSIC]),
        }
    }
}

impl Distribution {
    /// Counts one.
    pub fn observe(&self, took: Duration) {
        self.count(took);
    }

    /// Counts one, whose trace may be looked at where it has one.
    pub fn observe_traced(&self, took: Duration, exemplar: Option<Exemplar>) {
        let bucket = self.count(took);
        if let Some(exemplar) = exemplar {
            self.exemplars.lock()[bucket] = Some((exemplar, took.as_secs_f64()));
        }
    }

    /// Counts one, and answers its classic bucket.
    fn count(&self, took: Duration) -> usize {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.classic[bucket].fetch_add(1, Ordering::Relaxed);
        self.native[native_bucket(seconds)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        bucket
    }

    /// How many were counted.
    pub fn len(&self) -> u64 {
        self.classic.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// Whether none was counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let classic: Vec<u64> = self.classic.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let native = (FIRST..).zip(self.native.iter().map(|bucket| bucket.load(Ordering::Relaxed)));
        Snapshot {
            count: classic.iter().sum(),
            sum: Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)).as_secs_f64(),
            classic,
            native: native.filter(|(_, count)| *count > 0).collect(),
            exemplars: self.exemplars.lock().to_vec(),
        }
    }
}

/// The native bucket of a value, counted from the first: the one with 2^((n-1)/8) < value <= 2^(n/8).
fn native_bucket(seconds: f64) -> usize {
    let step = (seconds.log2() * f64::from(1 << SCHEMA)).ceil();
    // Also minus infinity, of zero.
    let step = step.clamp(f64::from(FIRST), f64::from(LAST));
    #[expect(clippy::cast_possible_truncation, reason = "it is within the bounds of the buckets")]
    let step = step as i32;
    usize::try_from(step - FIRST).expect("the first is the least")
}

/// What a distribution held at a moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) count: u64,
    pub(crate) sum: f64,
    /// Counts of each classic bucket alone, the one without a bound last.
    pub(crate) classic: Vec<u64>,
    /// Native buckets that are not empty, by index.
    pub(crate) native: Vec<(i32, u64)>,
    pub(crate) exemplars: Vec<Option<(Exemplar, f64)>>,
}

impl Snapshot {
    /// The classic buckets: upper bound, and how many were at most so long.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        bounds.zip(self.classic.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        }))
    }
}
