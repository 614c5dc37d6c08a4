//! What a replica holds at an entry of its partition's log, computed beside its work, so that replicas can be compared.
//!
//! What must always hold: what is told is of exactly the entry that it names; of several, the newest counts. Whoever has
//! applied an entry that was proposed since the replica opened tells something of it, or of a newer one, from then on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::Digest;
use parking_lot::Mutex;

use crate::machine::Sum;
use crate::raft::machine::with_causes;

/// What a replica held at an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The entry's index.
    pub index: u64,
    /// What it held there.
    pub outcome: Outcome,
}

/// What a replica can tell of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet.
    Computing,
    /// What it held.
    Held(Digest),
    /// Why that cannot be told.
    Failed(String),
}

/// The newest comparison that one replica takes part in.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Index of its entry, and 1; 0 when there is none.
    newest: AtomicU64,
    told: Mutex<Option<Compared>>,
    /// Index of the last entry of the log when the replica opened: whoever asked up to there waits no more.
    old: Option<u64>,
}

impl Comparison {
    /// None yet, of a replica whose log ended so when it opened.
    pub(crate) fn after(old: Option<u64>) -> Self {
        Self { old, ..Self::default() }
    }

    /// Computes what the replica holds now, which is at an entry.
    pub(crate) fn start(self: &Arc<Self>, index: u64, sum: impl FnOnce() -> Sum) {
        if Some(index) <= self.old {
            return;
        }
        let this = Arc::clone(self);
        let mark = index.saturating_add(1);
        let sum = {
            let mut told = self.told.lock();
            self.newest.store(mark, Ordering::Relaxed);
            *told = Some(Compared { index, outcome: Outcome::Computing });
            sum()
        };
        drop(host::offload(move || {
            let goes_on = || this.newest.load(Ordering::Relaxed) == mark;
            let outcome = match catch_unwind(AssertUnwindSafe(|| sum(&goes_on))) {
                Ok(Ok(None)) => return,
                Ok(Ok(Some(digest))) => Outcome::Held(digest),
                Ok(Err(error)) => Outcome::Failed(with_causes(&*error)),
                Err(_panic) => Outcome::Failed("computing it has panicked".to_owned()),
            };
            let mut told = this.told.lock();
            if goes_on() {
                *told = Some(Compared { index, outcome });
            }
        }));
    }

    /// What is told of the newest.
    pub(crate) fn told(&self) -> Option<Compared> {
        self.told.lock().clone()
    }

    /// Ends what is being computed.
    pub(crate) fn end(&self) {
        self.newest.store(0, Ordering::Relaxed);
    }
}
