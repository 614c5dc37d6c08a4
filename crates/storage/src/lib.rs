//! The TSM engine of one replica: memtable, immutable columnar files, series index, compaction, manifest.
//!
//! ```text
//!  log entries --apply--> memtable (per shard, row-major chunk per series)
//!                            | flush: all shards of the engine at once, up to position F
//!                            v
//!                         *.tsm files  + ONE manifest record {F, files}   <- the only place where F is durable
//!                            | compaction per shard: merge of files that are neighbours in write order
//!                            v
//!                         fewer, larger files
//!  delete: a tombstone, which hides what stands before it in the log until merges have left that out
//!  scan: snapshot (Arcs of memtable chunks and files) -> series by index -> pages by time -> merge -> blocks
//! ```
//!
//! Invariants. The engine writes no log: what is not in a file is replayed from the Raft log after a crash.
//! Applying is deterministic and fails only when the replica has failed as a whole. Later positions win over
//! earlier ones, field by field. Files never change after their manifest record; the set of live files changes
//! only by a manifest append. Everything is plain threads behind [`Jobs`], and all I/O goes through [`disk::Vfs`].

mod cache;
pub mod codec;
mod commons;
mod compact;
mod engine;
mod error;
mod index;
mod inspect;
mod jobs;
mod layout;
mod manifest;
mod memtable;
mod merge;
mod options;
mod pace;
mod tombstone;
mod tsm;
mod verify;

pub use cache::{CacheStats, Tally};
pub use commons::Commons;
pub use engine::{
    EndScan, Engine, Everything, Flushed, Scan, ShardInfo, Stamp, Stats, Summarize, SummarizeError,
    check_checkpoint, durable_in,
};
pub use error::{Damage, FatalError, FlushError, OpenError, OtherVersion, ReadError};
pub use inspect::{Extent, FileSummary, Inspection, PageSummary, SeriesSummary};
pub use jobs::{Job, JobClass, Jobs, StepJobs, ThreadJobs};
pub use options::Options;
pub use tsm::corruptions_met;
pub use verify::{Contents, Finding, Problem, Verified, verify};
