//! Which files of a shard to merge.
//!
//! ```text
//!  order ->   L2 L2 | L1 L1 L1 | L0 L0 L0 L0       levels never rise with order
//!                              `----------'        enough of one level: merge them into one of the next
//! ```
//! Size-tiered: bytes rise one level per rewrite, so a byte is rewritten once per level, not for ever. A shard
//! that is closed and quiet is merged into one dense file: when the smaller files are worth it, or once for the
//! sake of density. Every plan leaves fewer files or a denser one, so planning comes to an end.

use crate::manifest::FileEntry;
use crate::options::Options;
use crate::tsm::format::Density;

/// A merge of files that are neighbours in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Numbers of the files, oldest first.
    pub(crate) inputs: Vec<u64>,
    pub(crate) level: u8,
    pub(crate) density: Density,
}

impl Plan {
    /// A file as it is, without what is deleted of it.
    pub(crate) fn alone(file: &FileEntry) -> Self {
        Self { inputs: vec![file.number], level: file.level, density: file.density }
    }
}

/// A closed shard is merged when its smaller files together are at least one part in this many of the largest.
const COLD_PARTS: u64 = 8;

/// Decides about one shard. `files` are in order; `is_cold` says that no more writes are expected.
pub(crate) fn plan(files: &[&FileEntry], is_cold: bool, options: &Options) -> Option<Plan> {
    tier(files, options).or_else(|| if is_cold { cold(files, options) } else { None })
}

fn merge_of(files: &[&FileEntry]) -> Plan {
    let level = files.iter().map(|f| f.level).max().unwrap_or(0).saturating_add(1);
    Plan { inputs: files.iter().map(|f| f.number).collect(), level, density: Density::Dense }
}

/// The lowest level with enough files.
fn tier(files: &[&FileEntry], options: &Options) -> Option<Plan> {
    let runs = files.chunk_by(|a, b| a.level == b.level);
    let full = runs.filter(|run| run.len() >= options.compaction_files_min.max(2));
    let lowest = full.min_by_key(|run| run[0].level)?;
    Some(merge_of(&lowest[..lowest.len().min(options.compaction_files_max.max(2))]))
}

fn cold(files: &[&FileEntry], options: &Options) -> Option<Plan> {
    match files {
        [] => None,
        [only] => (only.density == Density::Fast).then(|| merge_of(files)),
        _ => {
            let largest = files.iter().map(|f| f.bytes).max().unwrap_or(0);
            let others = files.iter().map(|f| f.bytes).sum::<u64>() - largest;
            let worth = others.saturating_mul(COLD_PARTS) >= largest;
            worth.then(|| merge_of(&files[files.len().saturating_sub(options.compaction_files_max.max(2))..]))
        }
    }
}
