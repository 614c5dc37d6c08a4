//! What a replica holds at an entry of its partition's log, computed beside its work, so that replicas can be compared.
//!
//! What must always hold: what is told is of exactly the entry that it names; of several, the newest counts.

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
    /// What it held there, or why that cannot be told.
    pub outcome: Result<Digest, String>,
}

/// The newest comparison that one replica takes part in.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Index of its entry, and 1; 0 when there is none.
    newest: AtomicU64,
    told: Mutex<Option<Compared>>,
}

impl Comparison {
    /// Computes what `sum` reads, which the replica held at an entry.
    pub(crate) fn start(self: &Arc<Self>, index: u64, sum: Sum) {
        let this = Arc::clone(self);
        let mark = index.saturating_add(1);
        self.newest.store(mark, Ordering::Relaxed);
        drop(host::offload(move || {
            let goes_on = || this.newest.load(Ordering::Relaxed) == mark;
            let outcome = match sum(&goes_on) {
                Ok(None) => return,
                Ok(Some(digest)) => Ok(digest),
                Err(error) => Err(with_causes(&*error)),
            };
            let mut told = this.told.lock();
            if goes_on() {
                *told = Some(Compared { index, outcome });
            }
        }));
    }

    /// What was computed last.
    pub(crate) fn told(&self) -> Option<Compared> {
        self.told.lock().clone()
    }

    /// Ends what is being computed.
    pub(crate) fn end(&self) {
        self.newest.store(0, Ordering::Relaxed);
    }
}
