//! Plans as values.

use model::{BucketId, TimeRange};

use super::plan::plan;
use crate::manifest::FileEntry;
use crate::options::Options;
use crate::tsm::format::Density;

const OPTIONS: Options = Options { compaction_files_min: 4, compaction_files_max: 6, ..Options::STANDARD };

/// Files from the oldest: level, bytes.
fn files(shape: &[(u8, u64)]) -> Vec<FileEntry> {
    (1..)
        .zip(shape)
        .map(|(number, &(level, bytes))| FileEntry {
            number,
            order: number,
            level,
            density: if level == 0 { Density::Fast } else { Density::Dense },
            bucket: BucketId::new(1).unwrap(),
            shard: TimeRange::ALL,
            bytes,
            checksum: 0,
            rows: 1,
            series: 1,
            times: (0, 0),
            masked_from: 0,
        })
        .collect()
}

fn planned(shape: &[(u8, u64)], is_cold: bool) -> Option<(Vec<u64>, u8)> {
    let files = files(shape);
    plan(&files.iter().collect::<Vec<_>>(), is_cold, &OPTIONS).map(|p| (p.inputs, p.level))
}

#[test]
fn enough_files_of_one_level_become_one_of_the_next() {
    assert_eq!(planned(&[(0, 1); 3], false), None);
    assert_eq!(planned(&[(0, 1); 4], false), Some((vec![1, 2, 3, 4], 1)));
    assert_eq!(planned(&[(1, 9), (0, 1), (0, 1), (0, 1), (0, 1)], false), Some((vec![2, 3, 4, 5], 1)));
    assert_eq!(planned(&[(0, 1); 9], false), Some((vec![1, 2, 3, 4, 5, 6], 1)), "not more than the limit");
    let both = [(1, 9), (1, 9), (1, 9), (1, 9), (0, 1), (0, 1), (0, 1), (0, 1)];
    assert_eq!(planned(&both, false), Some((vec![5, 6, 7, 8], 1)), "the lower level first");
    assert_eq!(planned(&both[..6], false), Some((vec![1, 2, 3, 4], 2)));
}

#[test]
fn a_cold_shard_is_merged_when_it_is_worth_it_and_made_dense_once() {
    assert_eq!(planned(&[], true), None);
    assert_eq!(planned(&[(0, 5)], true), Some((vec![1], 1)));
    assert_eq!(planned(&[(1, 5)], true), None, "dense already");
    assert_eq!(planned(&[(1, 80), (0, 10)], true), Some((vec![1, 2], 2)));
    assert_eq!(planned(&[(1, 81), (0, 10)], true), None, "rewriting the large one is not worth it");
    assert_eq!(planned(&[(1, 81), (0, 10)], false), None);
}
