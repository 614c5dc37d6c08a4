//! What the engines of one process have in common: its memory, the block cache, and who gives up some memory first.
//!
//! All engines charge the rows in their memtables to one account. Beyond its soft limit those with the largest
//! memtables are flushed, whoever's rows went beyond it: a large memtable makes few and large files, and age and the
//! length of the log see to the small ones.

use std::sync::Arc;
use std::sync::Weak;

use memory::{Account, Memory};
use parking_lot::Mutex;

use crate::cache::{BlockCache, CacheStats};
use crate::engine::Inner;
use crate::pace::Pace;

/// An engine holds little when it has less than one part in so many of what each would have if all had the same.
const SMALL_PARTS: usize = 4;

/// See the module. One per process.
#[derive(Debug)]
pub struct Commons {
    memory: Arc<Memory>,
    cache: Arc<BlockCache>,
    /// Bytes of the disk that are promised to merges.
    disk: Arc<Account>,
    pace: Arc<Pace>,
    memtable_bytes_soft: usize,
    engines: Mutex<Vec<Weak<Inner>>>,
}

impl Commons {
    /// Memory with its accounts, and the bytes of all memtables above which the largest are flushed.
    #[must_use]
    pub fn new(memory: Arc<Memory>, memtable_bytes_soft: usize) -> Arc<Self> {
        let cache = BlockCache::new(&memory);
        let disk = Account::new("disk", usize::MAX, 0);
        Arc::new(Self {
            memory,
            cache,
            disk,
            pace: Arc::default(),
            memtable_bytes_soft,
            engines: Mutex::default(),
        })
    }

    /// For tools and tests: no limit on anything.
    #[must_use]
    pub fn unlimited() -> Arc<Self> {
        Self::new(Memory::unlimited(), usize::MAX)
    }

    /// The accounts.
    #[must_use]
    pub fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Whether memtables hold all they may: who can should let no more rows in, and who cannot should flush himself.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.memory.memtables.is_full()
    }

    /// Whether an engine whose memtables hold so much should flush before it takes more rows, when [`Self::is_full`].
    /// Those that hold little go on: flushing them would cost a file each and free next to nothing.
    #[must_use]
    pub fn is_worth_flushing(&self, bytes: usize) -> bool {
        let engines = self.engines.lock().len().max(1);
        bytes >= self.memory.memtables.limit() / engines / SMALL_PARTS
    }

    /// What the block cache holds and has seen.
    #[must_use]
    pub fn cache_stats(&self) -> CacheStats {
        self.cache.stats()
    }

    pub(crate) fn cache(&self) -> &Arc<BlockCache> {
        &self.cache
    }

    /// How long the reads of queries take.
    pub(crate) fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    pub(crate) fn disk(&self) -> &Arc<Account> {
        &self.disk
    }

    pub(crate) fn join(&self, engine: &Arc<Inner>) {
        let mut engines = self.engines.lock();
        engines.retain(|engine| engine.strong_count() > 0);
        engines.push(Arc::downgrade(engine));
    }

    /// Flushes the largest memtables while those that nobody flushes yet hold too much. Called after rows were added.
    pub(crate) fn relieve(&self) {
        if self.memory.memtables.used() <= self.memtable_bytes_soft {
            return;
        }
        // Whoever has the lock does the same.
        let Some(engines) = self.engines.try_lock() else { return };
        let engines: Vec<_> = engines.iter().filter_map(Weak::upgrade).collect();
        let mut held: Vec<_> = engines.iter().map(|engine| (engine.active_bytes(), engine)).collect();
        let mut waiting: usize = held.iter().map(|(bytes, _)| bytes).sum();
        held.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        for (bytes, engine) in held {
            if waiting <= self.memtable_bytes_soft {
                break;
            }
            Inner::submit_flush(engine);
            waiting -= bytes;
        }
    }
}
