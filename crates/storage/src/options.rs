//! The engine's limits and intervals, each with its unit. Passed whole; the caller says what it wants.

/// Limits and intervals of one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A flush starts when the active memtable holds more bytes than this.
    pub memtable_bytes_max: usize,
    /// A flush starts when the oldest row in the memtable is older than this.
    pub memtable_age_ms_max: u64,
    /// Flushed files of a shard that are merged when they have [`Self::compaction_bytes_min`] together, and dense ones
    /// that are merged when they are small.
    pub compaction_files_min: usize,
    /// Most files that one merge reads. Bounds its memory: a page per file and column, and one output chunk.
    pub compaction_files_max: usize,
    /// Bytes that flushed files must have together to be merged while they are few.
    pub compaction_bytes_min: u64,
    /// Most bytes that one merge reads, unless one file has more. Bounds its time and the disk that it reserves.
    pub compaction_bytes_max: u64,
    /// A shard whose time is over and that got no file for this long is rewritten densely, once.
    pub cold_after_ms: u64,
    /// pco level of the dense rewrite (0 to 12). All other files do without pco.
    pub dense_compression_level: usize,
    /// Most free bytes that a compaction must leave on the disk beyond its own output; small ones, and those on small
    /// disks, leave less.
    pub disk_reserve_bytes: u64,
    /// A file with deleted rows is rewritten without them after this long.
    pub purge_after_ms: u64,
    /// Files with deleted rows are rewritten at once when their bucket has more deletes pending than this.
    pub purge_tombstones_min: usize,
    /// First wait after a failed compaction of a shard; doubles with each failure.
    pub quarantine_ms_min: u64,
    /// Longest wait after failed compactions.
    pub quarantine_ms_max: u64,
    /// How long after a scrub of all files the next begins; 0 for none at all.
    pub scrub_interval_ms: u64,
    /// Most bytes that a scrub reads in a second.
    pub scrub_bytes_per_second: u64,
    /// The manifest is rewritten when it has grown beyond this and beyond four times its last rewrite.
    pub manifest_bytes_max: u64,
}

impl Options {
    /// What a server uses unless configured otherwise.
    pub const STANDARD: Self = Self {
        memtable_bytes_max: 64 << 20,
        memtable_age_ms_max: 600_000,
        compaction_files_min: 8,
        compaction_files_max: 32,
        compaction_bytes_min: 4 << 20,
        compaction_bytes_max: 2 << 30,
        cold_after_ms: 600_000,
        dense_compression_level: 4,
        disk_reserve_bytes: 256 << 20,
        purge_after_ms: 600_000,
        purge_tombstones_min: 64,
        quarantine_ms_min: 1_000,
        quarantine_ms_max: 600_000,
        scrub_interval_ms: 7 * 24 * 3_600_000,
        scrub_bytes_per_second: 512 << 10,
        manifest_bytes_max: 1 << 20,
    };
}
