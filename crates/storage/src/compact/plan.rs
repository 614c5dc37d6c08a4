//! Which files of a shard to merge.
//!
//! ```text
//!  order ->   dense dense | L1 L1 L1 | L0 L0 L0 L0
//!             once closed | hot: as they are read   enough: into one file of the next level, encoded for speed
//!                         `--------------------'    closed and quiet: into dense files
//! ```
//! A byte is written by the flush, by one merge of small files while the shard is hot, and by one dense merge when it is
//! closed: three times. Two exceptions, both of few bytes: files so small that [`FILES_MANY`] of them are less than
//! [`SMALL_BYTES`] are merged once more, and dense files of late rows are merged whenever they have doubled, up to
//! [`LATE_BYTES`]. Every plan leaves fewer files or a denser one, so planning comes to an end.

use crate::manifest::FileEntry;
use crate::options::Options;
use crate::tsm::format::Density;

/// As many files of one level are merged however small they are together.
const FILES_MANY: usize = 32;
/// Files above level 0 are merged in a hot shard when they are less than this together.
const SMALL_BYTES: u64 = 32 << 20;
/// Dense files are merged when they are less than this together.
const LATE_BYTES: u64 = 64 << 20;

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

    fn of(files: &[&FileEntry], density: Density) -> Self {
        let level = files.iter().map(|f| f.level).max().unwrap_or(0).saturating_add(1);
        Self { inputs: files.iter().map(|f| f.number).collect(), level, density }
    }
}

/// Decides about one shard. `files` are in order; `is_cold` says that no more writes are expected.
pub(crate) fn plan(files: &[&FileEntry], is_cold: bool, options: &Options) -> Option<Plan> {
    let dense = files.iter().take_while(|f| f.density == Density::Dense).count();
    let (dense, fast) = files.split_at(dense);
    if is_cold { close(fast, options).or_else(|| late(dense, options)) } else { tier(fast, options) }
}

fn bytes(files: &[&FileEntry]) -> u64 {
    files.iter().map(|f| f.bytes).sum()
}

/// The lowest level with enough files.
fn tier(files: &[&FileEntry], options: &Options) -> Option<Plan> {
    let is_due = |run: &&[&FileEntry]| {
        let bytes = bytes(run);
        let many = run.len() >= FILES_MANY.max(options.compaction_files_min);
        match run[0].level {
            0 => many || (run.len() >= options.compaction_files_min && bytes >= options.compaction_bytes_min),
            _ => many && bytes < SMALL_BYTES,
        }
    };
    let runs = files.chunk_by(|a, b| a.level == b.level);
    let lowest = runs.filter(is_due).min_by_key(|run| run[0].level)?;
    Some(Plan::of(bounded(lowest, options), Density::Fast))
}

/// All files that are not dense, the oldest first.
fn close(files: &[&FileEntry], options: &Options) -> Option<Plan> {
    let files = bounded(files, options);
    (!files.is_empty()).then(|| Plan::of(files, Density::Dense))
}

/// The newest dense files, as far back as each is no larger than those behind it together.
fn late(files: &[&FileEntry], options: &Options) -> Option<Plan> {
    let (mut from, mut newer) = (files.len(), 0);
    while let Some(file) = from.checked_sub(1).map(|before| files[before])
        && (newer == 0 || file.bytes <= newer)
        && newer + file.bytes < LATE_BYTES
    {
        newer += file.bytes;
        from -= 1;
    }
    let files = &files[from..];
    (files.len() >= options.compaction_files_min.max(2))
        .then(|| Plan::of(bounded(files, options), Density::Dense))
}

/// As many of the oldest files as one merge reads, at least one.
fn bounded<'a, 'b>(files: &'a [&'b FileEntry], options: &Options) -> &'a [&'b FileEntry] {
    let mut bytes = 0;
    let fits = files.iter().take(options.compaction_files_max.max(2)).take_while(|file| {
        let first = bytes == 0;
        bytes += file.bytes;
        first || bytes <= options.compaction_bytes_max
    });
    &files[..fits.count()]
}
