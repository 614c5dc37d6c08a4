//! The store on disk: RocksDB.
//!
//! Writes go through RocksDB's own log, unsynced: after a crash the database holds a prefix of the batches
//! (point-in-time recovery), and the Raft log replays the rest. Before the Raft log is purged, `sync` makes
//! the prefix durable. The catalog lives in memory, so the database is read once, at the start, and gets the
//! least memory it can work with.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rocksdb::{
    BlockBasedOptions, Cache, DB, DBRecoveryMode, FlushOptions, InfoLogger, IteratorMode, LogLevel, Options,
    WriteBatch,
};

use super::{EachRecord, Op, Store, StoreError, prefix_end};

/// The least that RocksDB takes.
const WRITE_BUFFER_BYTES: usize = 64 << 10;
/// How much RocksDB reserves for its MANIFEST at a time.
const MANIFEST_STEP_BYTES: usize = 4 << 10;
/// How much it reserves for its write-ahead log at a time. That is all that its option `max_total_wal_size` does for a
/// database of one column family.
const WAL_STEP_BYTES: u64 = 4 << 10;
/// How RocksDB words `ENOSPC`; its interface for C tells no more of an I/O error than its text.
const NO_SPACE: &str = "No space left on device";
const BLOCK_CACHE_BYTES: usize = 8 << 20;
const OPEN_FILES_MAX: i32 = 64;
/// What is in the write-ahead log alone is written to a table when it is more: a start does so in any case, and must not
/// need much of a disk that is full.
const LOGGED_BYTES_MAX: usize = 4 << 10;

/// Options under which RocksDB checks what it can, and tells its warnings to our log instead of a file `LOG` of its own.
fn quiet_options() -> Options {
    let mut options = Options::default();
    options.set_paranoid_checks(true);
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Warn, |level, text| {
        // The head of its report comes at the level of information whatever level is asked for.
        if matches!(level, LogLevel::Warn | LogLevel::Error | LogLevel::Fatal) {
            tracing::warn!(text = text.trim_end(), "the catalog's store warns");
        }
    }));
    options
}

/// A store in a directory of its own.
#[derive(Debug)]
pub struct RocksStore {
    db: DB,
    /// Bytes in the write-ahead log since the last table, about.
    logged: AtomicUsize,
}

impl RocksStore {
    /// Opens the store in `directory`, creating it when it is not there.
    ///
    /// # Errors
    /// [`StoreError::Backend`] when the directory cannot be used, is locked by another process, or its files
    /// are damaged.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&Cache::new_lru_cache(BLOCK_CACHE_BYTES));
        let mut options = quiet_options();
        options.create_if_missing(true);
        options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
        options.set_write_buffer_size(WRITE_BUFFER_BYTES);
        options.set_manifest_preallocation_size(MANIFEST_STEP_BYTES);
        options.set_max_write_buffer_number(2);
        options.set_max_total_wal_size(WAL_STEP_BYTES);
        options.set_max_open_files(OPEN_FILES_MAX);
        options.set_max_background_jobs(2);
        options.set_block_based_table_factory(&table);
        let db = DB::open(&options, directory).map_err(backend("open"))?;
        if let Err(error) = forget_older_options(directory) {
            tracing::debug!(%error, "older options of the catalog's store are left");
        }
        Ok(Self { db, logged: AtomicUsize::new(0) })
    }
}

/// Removes the notes of what options the store was opened with before. Nobody reads them, and two of them are as much as
/// half of what a node keeps free for a start on a full disk.
fn forget_older_options(directory: &Path) -> std::io::Result<()> {
    let mut notes = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(number) = name.strip_prefix("OPTIONS-").and_then(|number| number.parse::<u64>().ok()) {
            notes.push((number, path));
        }
    }
    notes.sort_unstable();
    notes.pop();
    notes.into_iter().try_for_each(|(_, path)| std::fs::remove_file(path))
}

impl RocksStore {
    /// Opens the store of a directory that nobody else has open, changes nothing in it, and refuses damage anywhere
    /// but at the end of RocksDB's own log, where a crash may have left it.
    ///
    /// # Errors
    /// [`StoreError::Backend`] when the directory holds no store or its files are damaged.
    pub fn open_to_read(directory: &Path) -> Result<Self, StoreError> {
        let mut options = quiet_options();
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        let db = DB::open_for_read_only(&options, directory, false).map_err(backend("open"))?;
        Ok(Self { db, logged: AtomicUsize::new(0) })
    }
}

impl Store for RocksStore {
    fn load_all(&self, each: EachRecord<'_>) -> Result<(), StoreError> {
        for record in self.db.iterator(IteratorMode::Start) {
            let (key, value) = record.map_err(backend("read"))?;
            each(&key, &value)?;
        }
        Ok(())
    }

    fn commit(&self, batch: &[Op]) -> Result<(), StoreError> {
        let mut writes = WriteBatch::default();
        for op in batch {
            match op {
                Op::Put(key, value) => writes.put(key, value),
                Op::Delete(key) => writes.delete(key),
                Op::DeletePrefix(prefix) => match prefix_end(prefix) {
                    Some(end) => writes.delete_range(prefix, &end),
                    None => self.delete_from(prefix, &mut writes)?,
                },
            }
        }
        let bytes = writes.size_in_bytes();
        self.db.write(writes).map_err(backend("write"))?;
        if self.logged.fetch_add(bytes, Ordering::Relaxed) + bytes > LOGGED_BYTES_MAX {
            self.logged.store(0, Ordering::Relaxed);
            let mut in_background = FlushOptions::default();
            in_background.set_wait(false);
            match self.db.flush_opt(&in_background).map_err(backend("flush")) {
                // The batch is written; a later one makes the table.
                Ok(()) | Err(StoreError::Full(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.db.flush_wal(true).map_err(backend("sync"))
    }
}

impl RocksStore {
    /// Deletes every key from `start` on: a range that has no end key.
    fn delete_from(&self, start: &[u8], writes: &mut WriteBatch) -> Result<(), StoreError> {
        let mode = IteratorMode::From(start, rocksdb::Direction::Forward);
        for record in self.db.iterator(mode) {
            let (key, _) = record.map_err(backend("read"))?;
            writes.delete(key);
        }
        Ok(())
    }
}

fn backend(doing: &'static str) -> impl FnOnce(rocksdb::Error) -> StoreError {
    move |source| {
        // RocksDB refuses all writes after one that found no space, with that one's message, until it has seen space
        // again, for which it looks every few seconds.
        let is_full = source.as_ref().contains(NO_SPACE);
        let source = Box::new(source);
        if is_full { StoreError::Full(source) } else { StoreError::Backend { doing, source } }
    }
}
