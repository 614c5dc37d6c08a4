//! The manifest alone: rewriting, torn tails, damaged twins.

use std::path::Path;

use disk::vfs::sim::PowerCut;
use disk::{SimVfs, Vfs as _};
use model::{BucketId, Deletion, LogPosition, Predicate, ReplicaId, Subject, Test, TimeRange};
use proptest::prelude::*;

use super::{
    Durable, Edit, FileEntry, Flaw, IndexEntry, Live, Manifest, TombstoneEntry, frames, read_frames,
};
use crate::error::{Damage, OpenError};
use crate::tsm::format::Density;

fn entry(number: u64) -> FileEntry {
    FileEntry {
        number,
        order: number,
        level: 1,
        density: Density::Dense,
        bucket: BucketId::new(5).unwrap(),
        shard: TimeRange::ALL,
        bytes: 100 * number,
        checksum: number.wrapping_mul(0x1234_5678_9abc_def1),
        footer_checksum: 77,
        rows: 10,
        series: 2,
        times: (i64::MIN + 2, i64::MAX - 1),
        masked_from: 7 * number,
    }
}

fn tombstone(sequence: u64) -> TombstoneEntry {
    let predicate = Predicate::Compare(Subject::Measurement, Test::Eq(format!("m{sequence}")));
    let deletion = Deletion { bucket: BucketId::new(5).unwrap(), range: TimeRange::ALL, predicate };
    TombstoneEntry { sequence, deletion }
}

fn segment(number: u64) -> IndexEntry {
    IndexEntry {
        number: 1000 + number,
        bucket: BucketId::new(5).unwrap(),
        bytes: 50,
        checksum: number,
        series: 3,
        end: 9,
    }
}

fn edit(number: u64) -> Edit {
    let position = LogPosition { index: number * 10, term: 3, leader: ReplicaId(9) };
    Edit {
        durable: (!number.is_multiple_of(3)).then(|| Durable { position, membership: vec![7; 20] }),
        added: vec![entry(number)],
        added_segments: (number.is_multiple_of(4)).then(|| segment(number)).into_iter().collect(),
        removed: if number > 4 { vec![number - 4, 996 + number] } else { Vec::new() },
        next_number: number + 1,
        tombstones_added: (0..number % 3).map(|n| tombstone(number * 10 + n)).collect(),
        tombstones_removed: if number > 2 { vec![(number - 2) * 10] } else { Vec::new() },
    }
}

#[test]
fn what_was_appended_is_there_after_any_cut_and_any_number_of_rewrites() {
    let vfs = SimVfs::new();
    let dir = Path::new("/m");
    vfs.create_dir_all(dir).unwrap();
    let mut expected = Live::default();
    let mut manifest = Manifest::open(&vfs, dir, 1500).unwrap();
    for number in 1..60 {
        manifest.append(&vfs, &edit(number)).unwrap();
        expected.apply(&edit(number));
        assert_eq!(manifest.live(), &expected);
        for cut in [PowerCut::Lost, PowerCut::Kept, PowerCut::Torn { seed: number, block_bytes: 512 }] {
            assert_eq!(Manifest::open(&vfs.crash(cut), dir, 1500).unwrap().live(), &expected);
        }
    }
    assert_eq!(vfs.list(dir).unwrap().len(), 1, "old manifests are removed");
    assert!(!vfs.exists(&dir.join("MANIFEST-00000001")).unwrap(), "it was rewritten");
}

/// A directory with a manifest of the first edits under the number 7, and an older one under 6.
fn two_manifests(newer: u64, older: u64) -> SimVfs {
    let vfs = SimVfs::new();
    for (name, edits) in [("/m/MANIFEST-00000007", newer), ("/m/MANIFEST-00000006", older)] {
        vfs.create_dir_all(Path::new("/m")).unwrap();
        let file = vfs.create(Path::new(name)).unwrap();
        file.write_all_at(&records(edits).0, 0).unwrap();
        file.sync_data().unwrap();
    }
    vfs.sync_dir(Path::new("/m")).unwrap();
    vfs
}

#[test]
fn of_two_manifests_the_newer_counts_and_the_other_goes() {
    let (vfs, dir) = (two_manifests(3, 4), Path::new("/m"));
    let unfinished = vfs.create(&dir.join("MANIFEST.new")).unwrap();
    unfinished.write_all_at(&records(1).0, 0).unwrap();
    let mut expected = Live::default();
    (1..=3).for_each(|number| expected.apply(&edit(number)));
    let (looked, path, flaw) = super::look(&vfs, dir).unwrap();
    assert_eq!((looked, path, flaw), (expected.clone(), dir.join("MANIFEST-00000007"), None));
    let manifest = Manifest::open(&vfs, dir, 1 << 20).unwrap();
    assert_eq!(manifest.live(), &expected);
    assert_eq!(vfs.list(dir).unwrap(), [Path::new("MANIFEST-00000007")]);
}

#[test]
fn a_damaged_manifest_is_not_passed_over_for_an_older_one() {
    let dir = Path::new("/m");
    let (_, ends) = records(3);
    let vfs = two_manifests(3, 3);
    // Both frames of the first record.
    for at in [ends[0] / 4, ends[0] * 3 / 4] {
        vfs.corrupt(&dir.join("MANIFEST-00000007"), at as u64, 1).unwrap();
    }
    let error = Manifest::open(&vfs, dir, 1 << 20).unwrap_err();
    assert!(
        matches!(error, OpenError::Damaged { ref path, .. } if path.ends_with("MANIFEST-00000007")),
        "{error:?}"
    );
    assert_eq!(vfs.list(dir).unwrap().len(), 2, "nothing is removed before the newer is known to be sound");
}

fn records(count: u64) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for sequence in 0..count {
        let mut payload = Vec::new();
        edit(sequence + 1).encode(&mut payload);
        bytes.extend(frames(sequence, &payload));
        ends.push(bytes.len());
    }
    (bytes, ends)
}

#[test]
fn a_cut_anywhere_in_the_last_record_keeps_all_before_it() {
    let (bytes, ends) = records(3);
    for len in ends[1]..ends[2] {
        let read = read_frames(&bytes[..len]).unwrap();
        let first_copy_is_whole = len - ends[1] >= (ends[2] - ends[1]) / 2;
        assert_eq!(read.next_sequence, if first_copy_is_whole { 3 } else { 2 }, "cut at {len}");
        assert_eq!(read.flaw.is_none(), len == ends[1]);
    }
}

#[test]
fn a_last_record_both_of_whose_frames_are_damaged_is_no_torn_append() {
    let (bytes, ends) = records(3);
    let (start, end) = (ends[1], ends[2]);
    let twin = start + (end - start) / 2;
    // A length that grew in both would look like a record that was cut.
    for from in (start..end).filter(|from| !(12..16).contains(&((from - start) % (twin - start)))) {
        let mut damaged = bytes.clone();
        damaged[from] ^= 0x10;
        damaged[if from < twin { twin + (from - start) } else { start + (from - twin) }] ^= 0x20;
        assert!(matches!(read_frames(&damaged), Err((at, Damage::Checksum)) if at == start as u64), "{from}");
    }
    let mut lost = bytes.clone();
    lost[start..].fill(0);
    assert_eq!(read_frames(&lost).unwrap().flaw, Some(Flaw::Torn(start as u64)));
    // The last sector of a long append was not written, nor was the first.
    let mut payload = Vec::new();
    let long = Edit { added: (3..30).map(entry).collect(), ..edit(3) };
    long.encode(&mut payload);
    let mut torn = [&bytes[..start], &frames(2, &payload)].concat();
    assert!(torn.len() > start + 4 * 512);
    let last = (torn.len() - 1) / 512 * 512;
    torn[last..].fill(0);
    let first_of = start.next_multiple_of(512);
    torn[start..first_of].fill(0);
    assert_eq!(read_frames(&torn).unwrap().flaw, Some(Flaw::Torn(start as u64)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_single_flip_changes_nothing(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let (mut bytes, _) = records(4);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let read = read_frames(&bytes).unwrap();
        prop_assert_eq!(read.next_sequence, 4);
        prop_assert!(read.flaw.is_some());
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read_frames(&bytes).is_err());
        prop_assert!(Edit::decode(&bytes).is_ok_and(|e| e.added.is_empty()) || Edit::decode(&bytes).is_err());
    }

    #[test]
    fn edits_round_trip(number in 1_u64..1000) {
        let mut payload = Vec::new();
        edit(number).encode(&mut payload);
        prop_assert_eq!(Edit::decode(&payload).unwrap(), edit(number));
        for len in 0..payload.len() {
            prop_assert!(Edit::decode(&payload[..len]).is_err());
        }
    }
}
