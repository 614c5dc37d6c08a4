//! The damaged places of a file: noted when a read meets them, so that they are told to whoever runs the node and not
//! only to the query that met them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::ReadError;

/// Places of one file that are kept. A file with more is lost anyhow.
const FLAWS_MAX: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Flaws {
    by_offset: Mutex<BTreeMap<u64, ReadError>>,
}

/// Damaged places that this process has met, whatever has become of them since.
static MET: AtomicU64 = AtomicU64::new(0);

/// How many damaged places of files this process has met.
pub fn corruptions_met() -> u64 {
    MET.load(Ordering::Relaxed)
}

impl Flaws {
    /// Keeps an error, and gives it back. It is logged the first time that its place is met.
    pub(super) fn note(&self, offset: u64, error: ReadError) -> ReadError {
        let mut by_offset = self.by_offset.lock();
        if by_offset.len() < FLAWS_MAX && by_offset.insert(offset, error.clone()).is_none() {
            drop(by_offset);
            MET.fetch_add(1, Ordering::Relaxed);
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, cause, "data cannot be read; queries of it fail, all else is served");
        }
        error
    }

    /// The errors, by place.
    pub(crate) fn all(&self) -> Vec<ReadError> {
        self.by_offset.lock().values().cloned().collect()
    }

    /// Whether there are any.
    pub(crate) fn any(&self) -> bool {
        !self.by_offset.lock().is_empty()
    }

    /// Number of places.
    pub(crate) fn len(&self) -> usize {
        self.by_offset.lock().len()
    }

    /// Forgets all: the file was read again and is as it was written.
    pub(crate) fn clear(&self) {
        self.by_offset.lock().clear();
    }
}
