//! Bytes that changed or went away: every cut of the tail recovers what was synced before it, and no damage that a
//! crash does not leave is ever taken for a tail.

use super::*;

/// A log of one segment: some batches, each synced. Where each batch begins, and the log's end.
fn synced_batches(log: &mut SegmentedLog, batches: u64) -> Vec<u32> {
    let mut starts = Vec::new();
    for batch in 0..batches {
        starts.push(log.end().offset);
        log.append(&[&record(batch * 2, 20), &record(batch * 2 + 1, 33)]).unwrap();
        log.sync().unwrap();
    }
    starts.push(log.end().offset);
    starts
}

/// What a look at the log finds.
fn verified(vfs: &SimVfs) -> (Recovery, Vec<String>) {
    let before = files(vfs, Path::new(DIR));
    let mut problems = Vec::new();
    let recovery =
        verify(vfs, Path::new(DIR), &mut |_, _| {}, &mut |problem| problems.push(problem.to_string()));
    assert_eq!(files(vfs, Path::new(DIR)), before, "a look changes nothing");
    (recovery, problems)
}

/// The error of an opening that must change nothing, and that a look at the log finds first.
fn refused(vfs: &SimVfs) -> OpenError {
    let before = files(vfs, Path::new(DIR));
    let (_, problems) = verified(vfs);
    let error = open(vfs).expect_err("the log must be refused");
    assert_eq!(files(vfs, Path::new(DIR)), before, "{error}");
    assert_eq!(problems.first(), Some(&error.to_string()));
    error
}

/// Takes away what was written to a part of a file, as when the power went before it was on the disk.
fn lose(vfs: &SimVfs, number: u64, offset: u32, len: usize) {
    vfs.open(&segment(number)).unwrap().write_all_at(&vec![0; len], u64::from(offset)).unwrap();
}

#[test]
fn a_look_finds_every_damage_and_counts_what_is_sound() {
    let (vfs, mut log) = new_log();
    for number in 0..5 {
        log.append(&[&record(number, 3000)]).unwrap();
        log.sync().unwrap();
    }
    let last = log.end().offset;
    log.append(&[b"torn"]).unwrap();
    let torn = log.end().offset - 8;
    drop(log);
    assert_eq!(verified(&vfs), (Recovery { torn: None, records: 6, bytes: 5 * 3000 + 4 }, vec![]));
    let damaged = vfs.crash(PowerCut::Kept);
    damaged.corrupt(&segment(5), u64::from(torn), 1).unwrap();
    let (recovery, problems) = verified(&damaged);
    assert_eq!((recovery.records, recovery.torn), (5, None));
    assert_eq!(
        problems,
        [format!(
            "/lane-0/000000005.seg is corrupt at byte {last}, where no part of what was written is missing: bad record \
             checksum"
        )]
    );
    lose(&vfs, 5, torn, 8);
    let (recovery, problems) = verified(&vfs);
    assert_eq!((recovery.records, problems.len()), (5, 0));
    assert_eq!(recovery.torn.map(|torn| (torn.segment, torn.offset)), Some((5, last)));

    vfs.corrupt(&segment(1), 500, 1).unwrap();
    vfs.corrupt(&segment(3), 3, 1).unwrap();
    vfs.remove_file(&segment(4)).unwrap();
    let (recovery, problems) = verified(&vfs);
    assert_eq!(
        problems,
        [
            "/lane-0/000000004.seg is missing although the log goes on after it or says that it exists",
            "/lane-0/000000003.seg is corrupt at byte 0, in a part that had been synced: bad segment header",
            "/lane-0/000000001.seg is corrupt at byte 64, in a part that had been synced: bad record checksum",
        ]
    );
    assert_eq!(recovery.records, 2, "those of the segments 2 and 5");
}

#[test]
fn every_cut_of_a_real_file_recovers_the_batches_before_it() {
    let temp = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs);
    let source = temp.path().join("source");
    let (mut log, _, _) = open_in(&vfs, &source).unwrap();
    let starts = synced_batches(&mut log, 4);
    drop(log);
    let (name, whole) = files(vfs.as_ref(), &source).remove(0);
    let end = starts[4];
    for cut in SEGMENT_HEADER_BYTES..=end {
        let dir = temp.path().join(cut.to_string());
        vfs.create_dir_all(&dir).unwrap();
        let file = vfs.create(&dir.join(&name)).unwrap();
        file.write_all_at(&whole[..cut as usize], 0).unwrap();

        let ends = starts.iter().map(|start| batch_end(*start, 20 + 33 + 2 * RECORD_HEADER_BYTES));
        let batches = ends.filter(|end| *end <= cut).count();
        let (mut log, recovery, records) = open_in(&vfs, &dir).unwrap();
        let expected: Vec<Vec<u8>> =
            (0..batches as u64 * 2).map(|n| record(n, if n % 2 == 0 { 20 } else { 33 })).collect();
        assert_eq!(payloads(&records), expected, "cut at {cut}");
        // A file that ends in the padding of a batch lost nothing.
        let torn = cut.saturating_sub(starts[batches]);
        let reported = recovery.torn.map_or(0, |torn| {
            assert_eq!((torn.segment, torn.offset), (1, starts[batches]));
            torn.bytes
        });
        // Zeros at the end of the cut part, such as padding, are no news.
        assert!(reported <= u64::from(torn) && (reported > 0) == (torn > 0), "cut at {cut}: {reported}");

        // The log goes on behind the cut, and nothing of the tail comes back.
        log.append(&[b"after"]).unwrap();
        log.sync().unwrap();
        drop(log);
        let (_, recovery, records) = open_in(&vfs, &dir).unwrap();
        assert_eq!(records.len(), expected.len() + 1);
        assert_eq!(records[expected.len()].1, b"after");
        assert_eq!(recovery.torn, None);
        vfs.remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn every_flipped_byte_of_the_last_batch_is_corruption_when_a_mark_proves_the_sync() {
    let (vfs, mut log) = new_log();
    let starts = synced_batches(&mut log, 3);
    log.mark_idle().unwrap();
    drop(log);
    for offset in starts[2]..starts[3] {
        for mask in [0x01, 0x80, 0xff] {
            let damaged = vfs.crash(PowerCut::Kept);
            damaged.corrupt(&segment(1), u64::from(offset), mask).unwrap();
            match refused(&damaged) {
                OpenError::Corrupt { segment: 1, offset: at, .. } => assert_eq!(at, starts[2]),
                other => panic!("byte {offset}: {other:?}"),
            }
        }
    }
}

#[test]
fn every_flipped_byte_in_the_middle_is_corruption() {
    let (vfs, mut log) = new_log();
    let starts = synced_batches(&mut log, 4);
    drop(log);
    for offset in 0..starts[3] {
        let damaged = vfs.crash(PowerCut::Kept);
        damaged.corrupt(&segment(1), u64::from(offset), 0x04).unwrap();
        let expected = starts.iter().rev().find(|start| **start <= offset).copied().unwrap_or(0);
        match refused(&damaged) {
            OpenError::Corrupt { offset: at, .. } => assert_eq!(at, expected, "byte {offset}"),
            other => panic!("byte {offset}: {other:?}"),
        }
    }
}

#[test]
fn every_flipped_byte_of_the_last_batch_is_corruption_though_nothing_proves_the_sync() {
    let (vfs, mut log) = new_log();
    let starts = synced_batches(&mut log, 3);
    drop(log);
    for offset in starts[2]..starts[3] {
        for mask in [0x01, 0x20, 0x80, 0xff] {
            let damaged = vfs.crash(PowerCut::Kept);
            damaged.corrupt(&segment(1), u64::from(offset), mask).unwrap();
            match refused(&damaged) {
                OpenError::Corrupt { segment: 1, offset: at, proof: Proof::Shape, .. } => {
                    assert_eq!(at, starts[2]);
                    // Who cuts the file there gives up the batch and has a log.
                    damaged.open(&segment(1)).unwrap().set_len(u64::from(at)).unwrap();
                    assert_eq!(open(&damaged).unwrap().2.len(), 4);
                }
                other => panic!("byte {offset}: {other:?}"),
            }
        }
    }
}

#[test]
fn every_flipped_byte_of_an_ended_segment_is_corruption() {
    let (vfs, mut log) = new_log();
    let mut ends = Vec::new();
    for number in 0.. {
        log.append(&[&record(number, 700)]).unwrap();
        if log.end().segment > 2 {
            break;
        }
        ends.push(log.end());
    }
    log.sync().unwrap();
    drop(log);
    let middle = ends.iter().rfind(|end| end.segment == 1).unwrap().offset;
    for number in [1, 2] {
        for offset in (0..middle).step_by(3) {
            let damaged = vfs.crash(PowerCut::Kept);
            damaged.corrupt(&segment(number), u64::from(offset), 0x40).unwrap();
            match refused(&damaged) {
                OpenError::Corrupt { segment, .. } => assert_eq!(segment, number),
                other => panic!("byte {offset}: {other:?}"),
            }
        }
        for len in (0..middle).step_by(97) {
            let damaged = vfs.crash(PowerCut::Kept);
            damaged.open(&segment(number)).unwrap().set_len(u64::from(len)).unwrap();
            assert!(matches!(refused(&damaged), OpenError::Corrupt { segment, .. } if segment == number));
        }
    }
}

#[test]
fn a_missing_segment_is_noticed_unless_it_was_the_first() {
    let (vfs, mut log) = new_log();
    for number in 0..4 {
        log.append(&[&record(number, 3000)]).unwrap();
        log.sync().unwrap();
    }
    drop(log);
    for number in [2, 3, 4] {
        let damaged = vfs.crash(PowerCut::Kept);
        damaged.remove_file(&segment(number)).unwrap();
        match refused(&damaged) {
            OpenError::Missing { path, segment } => {
                assert_eq!((path, segment), (super::segment(number), number));
            }
            other => panic!("segment {number}: {other:?}"),
        }
    }
    vfs.remove_file(&segment(1)).unwrap();
    assert_eq!(open(&vfs).unwrap().2.len(), 3);
}

#[test]
fn a_segment_in_the_place_of_another_is_refused() {
    let (vfs, mut log) = new_log();
    for number in 0..2 {
        log.append(&[&record(number, 3000)]).unwrap();
    }
    log.sync().unwrap();
    drop(log);
    let swapped = vfs.crash(PowerCut::Kept);
    swapped.rename(&segment(2), Path::new("/aside")).unwrap();
    swapped.rename(&segment(1), &segment(2)).unwrap();
    assert!(matches!(
        refused(&swapped),
        OpenError::Corrupt { segment: 2, offset: 0, damage: Damage::OtherSegment, .. }
    ));
}

#[test]
fn a_file_of_another_format_is_refused_by_name() {
    let (vfs, log) = new_log();
    drop(log);
    let file = vfs.open(&segment(1)).unwrap();
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0).unwrap();
    header[8] = 3;
    let checksum = crc32c::crc32c(&header[..60]);
    header[60..].copy_from_slice(&checksum.to_le_bytes());
    file.write_all_at(&header, 0).unwrap();
    assert_eq!(
        refused(&vfs).to_string(),
        "/lane-0/000000001.seg was written by another version (log format 3, this version reads 2)"
    );
}

#[test]
fn a_segment_of_an_impossible_size_is_refused() {
    for capacity in [0, 63, 4095, u32::MAX] {
        let (vfs, log) = new_log();
        drop(log);
        let (header, _) = SegmentHeader { segment: 1, previous_end: 0, capacity }.encode();
        vfs.open(&segment(1)).unwrap().write_all_at(&header, 0).unwrap();
        assert!(matches!(refused(&vfs), OpenError::Corrupt { damage: Damage::Length, .. }));
    }
}

#[test]
fn a_lost_or_misdirected_write_is_noticed() {
    for failure in [Failure::Lost, Failure::Misdirected(8), Failure::Misdirected(512)] {
        let (vfs, mut log) = new_log();
        synced_batches(&mut log, 2);
        let at = log.end().offset;
        vfs.inject(Fault::nth(OpKind::Write, 1, failure));
        synced_batches(&mut log, 1);
        log.append(&[&record(9, 10)]).unwrap();
        log.sync().unwrap();
        drop(log);
        match refused(&vfs.crash(PowerCut::Lost)) {
            OpenError::Corrupt { offset, .. } => assert_eq!(offset, at),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_sync_that_lied_is_noticed_after_the_power_cut() {
    let (vfs, mut log) = new_log();
    synced_batches(&mut log, 1);
    let at = log.end().offset;
    vfs.inject(Fault::nth(OpKind::SyncData, 1, Failure::Lost));
    let bytes = vec![1; 2000];
    log.append(&[&bytes]).unwrap();
    log.sync().unwrap();
    log.append(&[b"on another page"]).unwrap();
    // Of the two batches only the second reaches the disk.
    let writes = std::cell::Cell::new(0);
    let cut = vfs.crash_with(1 << 20, &mut |_| {
        writes.set(writes.get() + 1);
        writes.get() == 2
    });
    assert_eq!(writes.get(), 2);
    match refused(&cut) {
        OpenError::Corrupt { offset, damage: Damage::NoBatch, .. } => assert_eq!(offset, at),
        other => panic!("{other:?}"),
    }
}

#[test]
fn parts_that_contradict_one_another_are_no_batch_and_lengths_never_allocate_beyond_the_file() {
    let (vfs, mut log) = new_log();
    synced_batches(&mut log, 1);
    let sound = BatchHeader { records: 1, ..log.header(BatchKind::Records, 16, 0) };
    drop(log);
    // Writes a batch behind the log's end, with records as they would lie at the place that the header names.
    let opened = |header: BatchHeader, more: &[u8]| {
        let mut bytes = Vec::new();
        format::encode_batch(&header, &[b"12345678"], &mut bytes);
        bytes.extend_from_slice(more);
        let damaged = vfs.crash(PowerCut::Kept);
        damaged.open(&segment(1)).unwrap().write_all_at(&bytes, u64::from(sound.position.offset)).unwrap();
        match open(&damaged) {
            Ok((_, recovery, records)) => Ok((records.len(), recovery.torn.map(|torn| torn.offset))),
            Err(OpenError::Corrupt { segment: 1, offset, damage, proof: Proof::Shape, .. })
                if offset == sound.position.offset =>
            {
                Err(damage)
            }
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(opened(sound, &[]), Ok((3, None)));
    for (body, damage) in [
        (0, Damage::Length),
        (15, Damage::RecordChecksum),
        (5000, Damage::Length),
        (1 << 20, Damage::Length),
        (u32::MAX - 8, Damage::Length),
        (u32::MAX, Damage::Length),
    ] {
        let refused = opened(BatchHeader { body, ..sound }, &[]).unwrap_err();
        assert!(refused == damage || refused == Damage::Length, "{body}: {refused}");
    }
    // As if of a longer batch only the first sector were there.
    for body in [24, 1000] {
        assert_eq!(
            opened(BatchHeader { body, ..sound }, &[]),
            Ok((2, Some(sound.position.offset))),
            "{body}"
        );
    }
    for records in [0, 2, 1000, u32::MAX] {
        assert_eq!(opened(BatchHeader { records, ..sound }, &[]), Err(Damage::Length), "{records}");
    }
    // Two records, of which the second's length reaches behind the body.
    let two = BatchHeader { records: 2, body: 24, ..sound };
    assert_eq!(opened(two, &[0xff; 8]), Err(Damage::Length));
    assert_eq!(opened(BatchHeader { previous: sound.previous ^ 1, ..sound }, &[]), Err(Damage::Chain));
    let elsewhere = Position { offset: sound.position.offset + 8, ..sound.position };
    assert_eq!(opened(BatchHeader { position: elsewhere, ..sound }, &[]), Err(Damage::Displaced));
    let other_segment = Position { segment: 2, ..sound.position };
    assert_eq!(opened(BatchHeader { position: other_segment, ..sound }, &[]), Err(Damage::Displaced));
}

#[test]
fn a_header_inside_a_payload_proves_nothing() {
    let (vfs, mut log) = new_log();
    synced_batches(&mut log, 1);
    let far = Position { segment: 9, offset: 4000 };
    let mut payload = vec![0; 8];
    for shift in 0..8_u32 {
        // As if copied from another log or place, at every alignment.
        payload.resize(payload.len() + shift as usize, 1);
        BatchHeader { synced: far, position: far, ..log.header(BatchKind::Seal, 0, 0) }
            .encode_into(&mut payload);
    }
    payload.resize(1200, 1);
    log.append(&[&payload]).unwrap();
    drop(log);
    lose(&vfs, 1, 1024, 512);
    let (_, recovery, records) = open(&vfs).unwrap();
    assert_eq!(records.len(), 2);
    assert!(recovery.torn.is_some());
}

#[test]
fn proof_is_found_far_behind_the_damage() {
    // Damage, then so many bytes, then the batch that proves the sync: before, on and behind the border of what is
    // read at once.
    let border = (1 << 20) - u64::from(2 * BATCH_HEADER_BYTES + RECORD_HEADER_BYTES);
    for len in (border - 80..border + 80).step_by(8).chain([2 << 20]) {
        let vfs = SimVfs::new();
        let mut log = new_long(&vfs);
        let end = log.end();
        let at = log.append(&[&vec![1; usize::try_from(len).unwrap()]]).unwrap()[0];
        log.sync().unwrap();
        log.append(&[b"proof"]).unwrap();
        drop(log);
        vfs.corrupt(&segment(5), u64::from(at.offset), 1).unwrap();
        match open_long(&vfs) {
            Err(OpenError::Corrupt { segment: 5, offset, .. }) if offset == end.offset => {}
            other => panic!("{len}: {other:?}"),
        }
    }
}

#[test]
fn a_long_torn_tail_is_cut_to_its_last_byte() {
    let vfs = SimVfs::new();
    let mut log = new_long(&vfs);
    log.append(&[b"kept"]).unwrap();
    log.sync().unwrap();
    let end = log.end();
    log.append(&[&vec![1; 2 << 20]]).unwrap();
    let end_byte = sectors::end_of(end.offset + BATCH_HEADER_BYTES, RECORD_HEADER_BYTES + (2 << 20));
    drop(log);
    lose(&vfs, 5, (end.offset + (1 << 20)).next_multiple_of(512), 512);
    let (mut log, recovery) = open_long(&vfs).unwrap();
    let bytes = u64::from(end_byte + 1 - end.offset);
    assert_eq!(recovery.torn, Some(TornTail { segment: 5, offset: end.offset, bytes }));
    assert_eq!(log.end(), end);
    // The rest is zeros again, durably.
    let (_, image) = files(&vfs.crash(PowerCut::Lost), Path::new(DIR)).remove(4);
    assert_eq!(image.len(), 4 << 20);
    assert!(image[end.offset as usize..].iter().all(|byte| *byte == 0));
    log.append(&[b"after"]).unwrap();
}
