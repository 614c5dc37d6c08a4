//! The memory of a process: one number, divided into accounts, and reservations against them.
//!
//! ```text
//!  memory-bytes = | memtables 25 %             | cache 35 %            | index 20 % | queries 15 % | compaction 5 % |
//!                 | memtables 3/4 | writes 1/4 | cache | answers 1/32  |            |              |
//!                                                 `- up to half is lent to queries while they hold it
//! ```
//! What must hold: the bytes that an account holds are the sum of its living [`Reservation`]s; whoever is refused
//! holds what it held before; nothing here blocks or locks. What cannot be refused (rows that are committed, series
//! that exist) is reserved by [`Reservation::set`], and kept within its account by those who let work in.

mod account;
mod allowance;
mod shares;

pub use account::{Account, Exhausted, Figures, Reservation};
pub use allowance::Allowance;
pub use shares::{Shares, SharesError};

use std::sync::Arc;

/// The accounts of a process.
#[derive(Debug)]
pub struct Memory {
    /// Rows that are applied and not yet in files.
    pub memtables: Arc<Account>,
    /// Writes that are being worked on: their bodies, points, and log entries.
    pub writes: Arc<Account>,
    /// Pages and directories of data files, kept for the next reader.
    pub cache: Arc<Account>,
    /// Answers, kept for who asks the same again.
    pub answers: Arc<Account>,
    /// Series and their tags.
    pub index: Arc<Account>,
    /// State of running queries. May hold more than its limit: see [`Memory::cache_bytes_max`].
    pub queries: Arc<Account>,
    /// Buffers of running merges.
    pub compaction: Arc<Account>,
}

impl Memory {
    /// Divides `bytes` by `shares`. Writes on their way take at most `writes_max`, and a quarter of the memtables' share.
    #[must_use]
    pub fn new(bytes: usize, shares: Shares, writes_max: usize) -> Arc<Self> {
        let part = |percent: u8| bytes / 100 * usize::from(percent);
        let writes = (part(shares.memtables) / 4).min(writes_max);
        let answers = part(shares.cache) / 32;
        let cache = part(shares.cache) - answers;
        Arc::new(Self {
            memtables: Account::new("memtables", part(shares.memtables) - writes, 0),
            writes: Account::new("writes", writes, 0),
            cache: Account::new("cache", cache, 0),
            answers: Account::new("answers", answers, 0),
            index: Account::new("index", part(shares.index), 0),
            queries: Account::new("queries", part(shares.queries), cache / 2),
            compaction: Account::new("compaction", part(shares.compaction), 0),
        })
    }

    /// Divides `bytes` where nothing is stored: writes on their way take the part of it that memtables would have beside
    /// queries, at most `writes_max`, and queries the rest.
    #[must_use]
    pub fn without_storage(bytes: usize, shares: Shares, writes_max: usize) -> Arc<Self> {
        let (writes, queries) = (usize::from(shares.memtables), usize::from(shares.queries));
        let writes = (bytes / (writes + queries).max(1) * writes).min(writes_max);
        Arc::new(Self {
            memtables: Account::new("memtables", 0, 0),
            writes: Account::new("writes", writes, 0),
            cache: Account::new("cache", 0, 0),
            answers: Account::new("answers", 0, 0),
            index: Account::new("index", 0, 0),
            queries: Account::new("queries", bytes - writes, 0),
            compaction: Account::new("compaction", 0, 0),
        })
    }

    /// Accounts that never refuse, for tools and tests that look at something else.
    #[must_use]
    pub fn unlimited() -> Arc<Self> {
        Self::new(usize::MAX / 2, Shares::STANDARD, usize::MAX)
    }

    /// What the cache may hold now: its share without what is lent to queries.
    #[must_use]
    pub fn cache_bytes_max(&self) -> usize {
        let lent = self.queries.used().saturating_sub(self.queries.limit());
        self.cache.limit().saturating_sub(lent)
    }

    /// The memory of memtables at which they are flushed: two thirds of what they may hold, so that rows find room
    /// while the flush runs.
    #[must_use]
    pub fn memtables_soft(&self) -> usize {
        self.memtables.limit() / 3 * 2
    }

    /// All accounts, in a fixed order.
    #[must_use]
    pub fn accounts(&self) -> [&Arc<Account>; 7] {
        let Self { memtables, writes, cache, answers, index, queries, compaction } = self;
        [memtables, writes, cache, answers, index, queries, compaction]
    }
}

#[cfg(test)]
mod tests {
    use super::{Memory, Shares};

    #[test]
    fn where_nothing_is_stored_writes_and_queries_have_it_all() {
        let memory = Memory::without_storage(400, Shares::STANDARD, usize::MAX);
        assert_eq!((memory.writes.limit(), memory.queries.bytes_max()), (250, 150));
        let memory = Memory::without_storage(400, Shares::STANDARD, 40);
        let limits = memory.accounts().map(|account| account.bytes_max());
        assert_eq!(limits, [0, 40, 0, 0, 0, 360, 0]);
    }
}
