//! Plans as values, and what following them for long comes to.

use model::{BucketId, TimeRange};
use proptest::prelude::*;

use super::plan::{Plan, plan};
use crate::manifest::FileEntry;
use crate::options::Options;
use crate::tsm::format::Density::{self, Dense, Fast};

const OPTIONS: Options = Options { compaction_files_min: 4, compaction_files_max: 6, ..Options::STANDARD };
const MIB: u64 = 1 << 20;

fn file(number: u64, level: u8, density: Density, bytes: u64) -> FileEntry {
    FileEntry {
        number,
        order: number,
        level,
        density,
        bucket: BucketId::new(1).unwrap(),
        shard: TimeRange::ALL,
        bytes,
        checksum: 0,
        footer_checksum: 0,
        rows: 1,
        series: 1,
        times: (0, 0),
        masked_from: 0,
    }
}

/// Files from the oldest: level, density, bytes.
fn planned(shape: &[(u8, Density, u64)], is_cold: bool) -> Option<(Vec<u64>, u8, Density)> {
    let files: Vec<_> = (1..).zip(shape).map(|(n, &(l, d, bytes))| file(n, l, d, bytes)).collect();
    plan(&files.iter().collect::<Vec<_>>(), is_cold, &OPTIONS).map(|p| (p.inputs, p.level, p.density))
}

#[test]
fn flushed_files_are_merged_when_they_are_worth_it_or_many() {
    assert_eq!(planned(&[(0, Fast, 9 * MIB); 3], false), None);
    assert_eq!(planned(&[(0, Fast, MIB); 4], false), Some((vec![1, 2, 3, 4], 1, Fast)));
    assert_eq!(planned(&[(0, Fast, MIB - 1); 4], false), None, "few bytes");
    let first = Some((vec![1, 2, 3, 4, 5, 6], 1, Fast));
    assert_eq!(planned(&[(0, Fast, MIB); 9], false), first, "not more than the limit");
    assert_eq!(planned(&[(0, Fast, 1); 31], false), None);
    assert_eq!(planned(&[(0, Fast, 1); 32], false), first);
    let mut both = vec![(1, Fast, 9 * MIB); 40];
    both.extend([(0, Fast, MIB); 4]);
    assert_eq!(planned(&both, false), Some((vec![41, 42, 43, 44], 1, Fast)));
    assert_eq!(planned(&both[..40], false), None, "merged enough while the shard is hot");
    assert_eq!(
        planned(&[(1, Fast, MIB - 1); 32], false),
        Some((vec![1, 2, 3, 4, 5, 6], 2, Fast)),
        "small ones"
    );
}

#[test]
fn a_closed_shard_becomes_dense_once_and_large_dense_files_stay() {
    assert_eq!(planned(&[], true), None);
    assert_eq!(planned(&[(0, Fast, 5)], true), Some((vec![1], 1, Dense)));
    assert_eq!(planned(&[(1, Dense, 5)], true), None);
    assert_eq!(planned(&[(1, Fast, 8), (1, Fast, 8), (0, Fast, 1)], true), Some((vec![1, 2, 3], 2, Dense)));
    assert_eq!(planned(&[(2, Dense, 80), (0, Fast, 10)], true), Some((vec![2], 1, Dense)), "late rows");
    let third = Options::STANDARD.compaction_bytes_max / 3 + 1;
    assert_eq!(planned(&[(1, Fast, third); 3], true), Some((vec![1, 2], 2, Dense)), "a merge has a limit");
    assert_eq!(
        planned(&[(1, Fast, 9 * third); 3], true),
        Some((vec![1], 2, Dense)),
        "but it does not starve"
    );
    assert_eq!(planned(&[(1, Dense, 5); 3], true), None);
    assert_eq!(planned(&[(1, Dense, 5); 4], true), Some((vec![1, 2, 3, 4], 2, Dense)));
    let mut late = vec![(2, Dense, 21)];
    late.extend([(1, Dense, 5); 4]);
    assert_eq!(planned(&late, true), Some((vec![2, 3, 4, 5], 2, Dense)), "the old one is not doubled yet");
    assert_eq!(planned(&[(2, Dense, 20 * MIB); 4], true), None, "too large for another time");
}

/// A shard whose merges are planned and not done: the files, and the bytes that were written.
struct Shard {
    files: Vec<FileEntry>,
    next: u64,
    flushed: u64,
    merged: u64,
    files_max: usize,
}

impl Shard {
    fn new() -> Self {
        Self { files: Vec::new(), next: 0, flushed: 0, merged: 0, files_max: 0 }
    }

    fn flush(&mut self, bytes: u64) {
        self.next += 1;
        self.flushed += bytes;
        self.files.push(file(self.next, 0, Fast, bytes));
    }

    fn settle(&mut self, is_cold: bool) {
        for _ in 0..10_000 {
            let entries: Vec<_> = self.files.iter().collect();
            let Some(Plan { inputs, level, density }) = plan(&entries, is_cold, &Options::STANDARD) else {
                self.files_max = self.files_max.max(self.files.len());
                return;
            };
            let at = self.files.iter().position(|f| f.number == inputs[0]).unwrap();
            let merged: Vec<_> = self.files.drain(at..at + inputs.len()).collect();
            assert_eq!(merged.iter().map(|f| f.number).collect::<Vec<_>>(), inputs, "neighbours");
            let bytes = merged.iter().map(|f| f.bytes).sum();
            self.merged += bytes;
            self.next += 1;
            self.files.insert(at, file(self.next, level, density, bytes));
        }
        panic!("planning does not end");
    }

    fn amplification(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let ratio = (self.flushed + self.merged) as f64 / self.flushed as f64;
        ratio
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_byte_is_written_three_times(
        flushes in prop::collection::vec(64 << 10..8 * MIB, 1..1500),
        scale in prop::sample::select(vec![1_u64, 4, 64]),
    ) {
        let mut shard = Shard::new();
        for bytes in flushes {
            shard.flush(bytes * scale);
            shard.settle(false);
        }
        let hot = shard.files.len() as u64;
        prop_assert!(hot <= 2 * 32 + shard.flushed / (4 * MIB), "{hot} files");
        shard.settle(true);
        prop_assert!(shard.amplification() <= 3.0, "{}", shard.amplification());
        prop_assert!(shard.files.iter().all(|f| f.density == Dense));
        prop_assert!(shard.files.len() as u64 <= 1 + shard.flushed / (4 * 32 * MIB), "{} files", shard.files.len());
    }

    #[test]
    fn tiny_flushes_and_late_rows_leave_few_files(
        flushes in prop::collection::vec(100..20_000_u64, 2000),
        late in prop::collection::vec(100..20_000_u64, 300),
    ) {
        let mut shard = Shard::new();
        for bytes in flushes {
            shard.flush(bytes);
            shard.settle(false);
        }
        prop_assert!(shard.files_max <= 3 * 32, "{}", shard.files_max);
        shard.settle(true);
        prop_assert!(shard.amplification() <= 4.0, "{}", shard.amplification());
        shard.files_max = 0;
        for bytes in late {
            shard.flush(bytes);
            shard.settle(true);
        }
        prop_assert!(shard.files_max <= 32, "{}", shard.files_max);
        prop_assert!(shard.amplification() <= 6.0, "{}", shard.amplification());
    }
}
