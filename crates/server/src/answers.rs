//! Answers that are kept as the bytes that were sent, for who asks the same again.
//!
//! ```text
//!  asked ─► unknown ───────────► computed; what it read is noted
//!        ─► what it read ──────► computed; the answer is kept, with the stamps from before
//!        ─► an answer ─► partitions as new as asked for ─► stamps as they were? ─► the answer, at once
//! ```
//! What must always hold: an answer is given again only where computing it would give the same bytes. So what is kept
//! depends on nothing but the question, the catalog and points of known times: whatever is written or deleted there,
//! however late, and every change of the catalog makes other stamps. Points that expire are not kept at all. Where some
//! partition is not on this node, nothing is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use catalog::Catalog;
use gateway::ports::Asked;
use memory::{Memory, Reservation};
use model::{BucketId, LogPosition, TimeRange, Timestamp};
use parking_lot::Mutex;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use storage::{Engine, Stamp};

#[cfg(test)]
mod tests;

/// Parts of what is stored that an answer may depend on.
const PARTS_MAX: usize = 16;
/// An answer is at most so large, and one part in so many of all.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const ANSWER_PARTS: usize = 16;
/// What an answer takes about, for the cache's estimate of their number.
const ANSWER_BYTES_TYPICAL: usize = 4 << 10;

/// Points that were read: those of a bucket in some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) bucket: BucketId,
    pub(crate) range: TimeRange,
    /// Names were asked for, which whole shards answer.
    pub(crate) whole_shards: bool,
}

/// All that a query has read so far; `None` when it is too much, or not all was here.
#[derive(Debug)]
pub(crate) struct Reach(Mutex<Option<Vec<Part>>>);

impl Default for Reach {
    fn default() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }
}

impl Reach {
    pub(crate) fn note(&self, part: Part) {
        let mut reach = self.0.lock();
        if let Some(parts) = reach.as_mut().filter(|parts| !parts.contains(&part)) {
            parts.push(part);
        }
        if reach.as_ref().is_some_and(|parts| parts.len() > PARTS_MAX) {
            *reach = None;
        }
    }

    /// Something was read on another node, of which the stamps here say nothing.
    pub(crate) fn note_elsewhere(&self) {
        *self.0.lock() = None;
    }

    fn parts(&self) -> Option<Vec<Part>> {
        self.0.lock().clone()
    }
}

/// What there was when an answer was computed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamps {
    catalog: Option<LogPosition>,
    /// Of each part, of each engine.
    parts: Box<[Stamp]>,
}

/// What is known of a question.
#[derive(Debug)]
pub(crate) struct Known {
    reach: Vec<Part>,
    answer: Option<(Stamps, Bytes)>,
}

impl Known {
    /// The answer, if it would be the same now.
    pub(crate) fn answer(&self, now: &State<'_>) -> Option<Bytes> {
        let (stamps, answer) = self.answer.as_ref()?;
        (now.stamps(&self.reach).as_ref() == Some(stamps)).then(|| answer.clone())
    }

    pub(crate) const fn has_answer(&self) -> bool {
        self.answer.is_some()
    }
}

/// What there is now.
pub(crate) struct State<'a> {
    pub(crate) catalog: &'a Catalog,
    /// Those of all partitions, in their order.
    pub(crate) engines: &'a [Arc<Engine>],
    pub(crate) now: Timestamp,
}

impl State<'_> {
    /// `None` where points may have expired, or names may go by themselves.
    fn stamps(&self, reach: &[Part]) -> Option<Stamps> {
        let catalog = self.catalog.position();
        let state = self.catalog.read();
        for part in reach {
            let retention = state.bucket(part.bucket)?.retention_ns;
            if retention.is_some_and(|ns| part.range.start.0 < self.now.0.saturating_sub(ns)) {
                return None;
            }
        }
        drop(state);
        let stamp = |part: &Part, engine: &Engine| engine.stamp(part.bucket, part.range, part.whole_shards);
        let parts = reach.iter().flat_map(|part| self.engines.iter().map(|engine| stamp(part, engine)));
        Some(Stamps { catalog, parts: parts.collect::<Option<_>>()? })
    }
}

/// A question on its way, of which it was known before what it reads.
pub(crate) struct Before {
    known: Arc<Known>,
    stamps: Stamps,
}

impl fmt::Debug for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Before").field("reach", &self.known.reach).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Sizes;

impl Weighter<Arc<Asked>, Arc<Known>> for Sizes {
    fn weight(&self, asked: &Arc<Asked>, known: &Arc<Known>) -> u64 {
        let of_answer = |(stamps, answer): &(Stamps, Bytes)| answer.len() + size_of_val(&*stamps.parts);
        let known =
            known.answer.as_ref().map_or(0, of_answer) + size_of_val(&*known.reach) + size_of::<Known>();
        (known + asked.bytes() + size_of::<Asked>()) as u64
    }
}

/// See the module.
pub(crate) struct Answers {
    known: Cache<Arc<Asked>, Arc<Known>, Sizes>,
    answer_bytes_max: usize,
    charged: Mutex<Reservation>,
    given: AtomicU64,
    stale: AtomicU64,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("figures", &self.figures()).finish_non_exhaustive()
    }
}

/// What the kept answers were good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Questions that are known.
    pub(crate) questions: usize,
    /// Answers given again.
    pub(crate) given: u64,
    /// Answers that would not have been the same any more.
    pub(crate) stale: u64,
}

impl Answers {
    /// None yet, within their share of the memory.
    pub(crate) fn new(memory: &Memory) -> Arc<Self> {
        let capacity = memory.answers.limit();
        let options = OptionsBuilder::new()
            .estimated_items_capacity((capacity / ANSWER_BYTES_TYPICAL).clamp(32, 1 << 16))
            .weight_capacity(capacity as u64)
            .build()
            .expect("both capacities are given");
        Arc::new(Self {
            known: Cache::with_options(
                options,
                Sizes,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            answer_bytes_max: (capacity / ANSWER_PARTS).min(ANSWER_BYTES_MAX),
            charged: Mutex::new(Reservation::empty(&memory.answers)),
            given: AtomicU64::new(0),
            stale: AtomicU64::new(0),
        })
    }

    /// What is known of a question.
    pub(crate) fn known(&self, asked: &Asked) -> Option<Arc<Known>> {
        self.known.get(asked)
    }

    /// Counts an answer that was given again, or could not be.
    pub(crate) fn count(&self, is_given: bool) {
        if is_given { &self.given } else { &self.stale }.fetch_add(1, Ordering::Relaxed);
    }

    /// To be called before anything is read for a question.
    pub(crate) fn before(&self, asked: &Asked, state: &State<'_>) -> Option<Before> {
        let known = self.known(asked)?;
        let stamps = state.stamps(&known.reach)?;
        Some(Before { known, stamps })
    }

    /// Keeps what has come of a question.
    pub(crate) fn keep(&self, asked: Arc<Asked>, before: Option<Before>, reach: &Reach, answer: Bytes) {
        let Some(reach) = reach.parts().filter(|_| answer.len() <= self.answer_bytes_max) else { return };
        let known = match before {
            Some(Before { known, stamps }) if reach.iter().all(|part| known.reach.contains(part)) => {
                Known { reach: known.reach.clone(), answer: Some((stamps, answer)) }
            }
            _ => Known { reach, answer: None },
        };
        self.known.insert(asked, Arc::new(known));
        self.charged.lock().set(usize::try_from(self.known.weight()).unwrap_or(usize::MAX));
    }

    /// What they were good for.
    pub(crate) fn figures(&self) -> Figures {
        Figures {
            questions: self.known.len(),
            given: self.given.load(Ordering::Relaxed),
            stale: self.stale.load(Ordering::Relaxed),
        }
    }
}
