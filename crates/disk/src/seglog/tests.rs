//! The log's promises: what it finds again, what it refuses, and what it does when the disk fails.

mod crash;
mod damage;
mod flips;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::vfs::sim::{Failure, Fault, OpKind, PowerCut};
use crate::vfs::{RealVfs, SimVfs};

const OPTIONS: Options = Options { segment_bytes: 4 << 10, record_bytes_max: 3 << 10 };
const DIR: &str = "/lane-0";

type Records = Vec<(Location, Vec<u8>)>;

/// Opens the log and collects its records.
fn open_in(vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<(SegmentedLog, Recovery, Records), OpenError> {
    let mut records = Vec::new();
    let (log, recovery) = SegmentedLog::open(Arc::clone(vfs), dir, OPTIONS, &mut |location, payload| {
        records.push((location, payload.to_vec()));
        Ok(())
    })?;
    assert_eq!(recovery.records, records.len() as u64);
    assert_eq!(recovery.bytes, records.iter().map(|(_, payload)| payload.len() as u64).sum::<u64>());
    Ok((log, recovery, records))
}

fn open(vfs: &SimVfs) -> Result<(SegmentedLog, Recovery, Records), OpenError> {
    let vfs: Arc<dyn Vfs> = Arc::new(vfs.clone());
    open_in(&vfs, Path::new(DIR))
}

/// Opens a log whose segments are longer than what recovery reads at once.
fn open_long(vfs: &SimVfs) -> Result<(SegmentedLog, Recovery), OpenError> {
    let options = Options { segment_bytes: 8 << 20, record_bytes_max: 4 << 20 };
    SegmentedLog::open(Arc::new(vfs.clone()), Path::new(DIR), options, &mut |_, _| Ok(()))
}

/// A new log whose active segment, the fifth, has 4 MiB and one record of a MiB.
fn new_long(vfs: &SimVfs) -> SegmentedLog {
    let (mut log, _) = open_long(vfs).unwrap();
    for bytes in [12 << 10, 60 << 10, 200 << 10, 900 << 10, 1 << 20] {
        log.append(&[&record(0, bytes)]).unwrap();
        log.sync().unwrap();
    }
    assert_eq!(log.segments(), 1..=5, "the last of 4 MiB");
    log
}

/// A new log in a new file system.
fn new_log() -> (SimVfs, SegmentedLog) {
    let vfs = SimVfs::new();
    let (log, _, _) = open(&vfs).unwrap();
    (vfs, log)
}

/// A record that tells its number and fills some bytes, none of them zero.
fn record(number: u64, len: usize) -> Vec<u8> {
    let mut bytes = (number | 1 << 63).to_le_bytes().to_vec();
    bytes.resize(len.max(8), number.to_le_bytes()[0] | 1);
    bytes
}

fn payloads(records: &Records) -> Vec<Vec<u8>> {
    records.iter().map(|(_, payload)| payload.clone()).collect()
}

fn segment(number: u64) -> PathBuf {
    segment_path(Path::new(DIR), number)
}

/// Every file of the log with its bytes.
fn files(vfs: &dyn Vfs, dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let content = |name: PathBuf| {
        let file = vfs.open_read(&dir.join(&name)).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        (name, bytes)
    };
    vfs.list(dir).unwrap().into_iter().map(content).collect()
}

#[test]
fn records_come_back_in_order_across_segments_of_a_real_disk() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("raft/lane-0");
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs);
    let mut expected = Vec::new();
    {
        let (mut log, recovery, _) = open_in(&vfs, &dir).unwrap();
        assert_eq!(recovery, Recovery { torn: None, records: 0, bytes: 0 });
        for batch in 0..40_u64 {
            let records: Vec<Vec<u8>> = (0..batch % 4 + 1).map(|n| record(batch * 10 + n, 100)).collect();
            let slices: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
            let locations = log.append(&slices).unwrap();
            expected.extend(locations.into_iter().zip(records));
            log.sync().unwrap();
        }
        assert_eq!(log.segments(), 1..=4);
        let on_disk: u64 = files(vfs.as_ref(), &dir).iter().map(|(_, bytes)| bytes.len() as u64).sum();
        assert_eq!(log.bytes(), on_disk);
    }
    let (log, recovery, records) = open_in(&vfs, &dir).unwrap();
    assert_eq!(recovery.torn, None);
    assert_eq!(records, expected);
    let reader = log.reader();
    for (location, payload) in expected {
        assert_eq!(reader.read(location).unwrap(), payload);
    }
}

#[test]
fn an_opened_log_goes_on_where_it_ended() {
    let (vfs, mut log) = new_log();
    let mut expected = Vec::new();
    for round in 0..30 {
        expected.push(record(round, 200));
        log.append(&[&record(round, 200), &[]]).unwrap();
        expected.push(Vec::new());
        if round % 2 == 0 {
            log.sync().unwrap();
            log.mark_idle().unwrap();
        }
        drop(log);
        let (reopened, recovery, records) = open(&vfs).unwrap();
        assert_eq!(payloads(&records), expected);
        assert_eq!(recovery.torn, None);
        // What was opened is durable, even what the process before did not sync.
        assert_eq!(payloads(&open(&vfs.crash(PowerCut::Lost)).unwrap().2), expected);
        log = reopened;
    }
    assert!(log.segments().count() > 1);
}

#[test]
fn a_mark_is_needed_once_after_each_sync_and_never_fills_the_log() {
    let (vfs, mut log) = new_log();
    assert!(!log.needs_mark());
    log.append(&[b"one"]).unwrap();
    assert!(!log.needs_mark());
    log.sync().unwrap();
    assert!(log.needs_mark());
    let end = log.end();
    log.mark_idle().unwrap();
    assert!(!log.needs_mark());
    log.mark_idle().unwrap();
    log.sync().unwrap();
    assert!(!log.needs_mark());
    assert_eq!(log.end().offset - end.offset, BATCH_HEADER_BYTES);
    drop(log);
    for _ in 0..200 {
        let (mut log, _, _) = open(&vfs).unwrap();
        assert!(!log.needs_mark());
        log.mark_idle().unwrap();
    }
    // An opened log whose last sync nothing proves needs one.
    let (mut log, _, _) = open(&vfs).unwrap();
    log.append(&[b"unproven"]).unwrap();
    log.sync().unwrap();
    drop(log);
    let (mut log, _, _) = open(&vfs).unwrap();
    assert!(log.needs_mark());
    // The header of a new segment is as good as a mark.
    let long = vec![1; usize::try_from(log.batch_bytes_max()).unwrap() - 1500];
    log.append(&[&long]).unwrap();
    log.sync().unwrap();
    log.append(&[&long]).unwrap();
    assert_eq!(log.segments(), 1..=2);
    assert!(!log.needs_mark());
    // The next batch is as good as a mark.
    let (mut log, _, _) = open(&vfs).unwrap();
    log.append(&[b"two"]).unwrap();
    log.sync().unwrap();
    assert!(log.needs_mark());
    log.append(&[b"three"]).unwrap();
    assert!(!log.needs_mark());
}

#[test]
fn a_batch_costs_one_write_and_one_sync() {
    let (vfs, mut log) = new_log();
    vfs.record_trace();
    log.append(&[b"one", b"two", b"three"]).unwrap();
    log.sync().unwrap();
    log.sync().unwrap();
    let kinds: Vec<OpKind> = vfs.take_trace().iter().map(|op| op.kind).collect();
    assert_eq!(kinds, [OpKind::Write, OpKind::SyncData]);
}

#[test]
fn limits_are_named_and_leave_the_log_as_it_was() {
    let (vfs, mut log) = new_log();
    let long = vec![1; 3 << 10];
    let limit = log.batch_bytes_max();
    assert!(matches!(
        log.append(&[&[long.as_slice(), &[0]].concat()]),
        Err(LogError::RecordTooLong { bytes: 3073, limit: 3072 })
    ));
    let bytes = usize::try_from(limit).unwrap() - long.len() - 2 * 8;
    let fits = vec![2; bytes];
    let locations = log.append(&[&long, &fits]).unwrap();
    assert_eq!(log.segments(), 1..=1);
    let over = vec![2; bytes + 1];
    assert!(matches!(log.append(&[&long, &over]), Err(LogError::BatchTooLong { .. })));
    assert_eq!(log.append(&[]).unwrap(), []);
    log.sync().unwrap();
    log.mark_idle().unwrap();
    let more = log.append(&[&long, &fits]).unwrap();
    assert_eq!((more[0].segment, more.len()), (2, 2));
    let reader = log.reader();
    assert_eq!(reader.read(locations[1]).unwrap(), fits);
    drop(log);
    assert_eq!(open(&vfs).unwrap().2.len(), 4);

    for segment_bytes in [0, 4095, (1 << 30) + 1, u64::MAX] {
        let options = Options { segment_bytes, record_bytes_max: 1 };
        let opened = SegmentedLog::open(Arc::new(SimVfs::new()), Path::new(DIR), options, &mut |_, _| Ok(()));
        assert!(matches!(opened, Err(OpenError::SegmentBytes { .. })));
    }
    // A size that is no multiple of the alignment is rounded down.
    let options = Options { segment_bytes: 4099, record_bytes_max: 5000 };
    let vfs: Arc<dyn Vfs> = Arc::new(SimVfs::new());
    let (mut log, _) = SegmentedLog::open(vfs, Path::new(DIR), options, &mut |_, _| Ok(())).unwrap();
    let full = vec![3; usize::try_from(log.batch_bytes_max()).unwrap() - 8];
    log.append(&[&full]).unwrap();
    log.append(&[&full]).unwrap();
    assert_eq!(log.segments(), 1..=2);
}

#[test]
fn a_failed_sync_poisons_the_log_for_ever() {
    let (vfs, mut log) = new_log();
    let kept = log.append(&[b"kept"]).unwrap();
    log.sync().unwrap();
    log.append(&[b"in doubt"]).unwrap();
    vfs.inject(Fault::nth(OpKind::SyncData, 1, Failure::Io));
    assert!(matches!(log.sync(), Err(LogError::Io { doing: "sync", .. })));
    assert!(log.is_poisoned() && !log.needs_mark());
    assert!(matches!(log.sync(), Err(LogError::Poisoned)));
    assert!(matches!(log.append(&[b"x"]), Err(LogError::Poisoned)));
    assert!(matches!(log.mark_idle(), Err(LogError::Poisoned)));
    assert!(matches!(log.remove_before(9), Err(LogError::Poisoned)));
    assert_eq!((log.synced().segment, log.synced().offset), (1, kept[0].offset + 8));
    drop(log);
    assert_eq!(payloads(&open(&vfs.crash(PowerCut::Lost)).unwrap().2), [b"kept".to_vec()]);
    // Without a power cut the kernel still shows the pages that it did not write; opening makes them durable.
    let (_log, _, records) = open(&vfs).unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(open(&vfs.crash(PowerCut::Lost)).unwrap().2, records);
}

#[test]
fn a_segment_whose_name_was_not_synced_is_durable_once_it_was_opened() {
    let (vfs, mut log) = new_log();
    let payload = record(1, 3000);
    log.append(&[&payload]).unwrap();
    vfs.inject(Fault::nth(OpKind::SyncDir, 1, Failure::Io));
    log.append(&[&payload]).unwrap_err();
    drop(log);
    let (mut log, _, _) = open(&vfs).unwrap();
    assert_eq!(log.end().segment, 2);
    log.append(&[&payload]).unwrap();
    log.sync().unwrap();
    assert_eq!(open(&vfs.crash(PowerCut::Lost)).unwrap().2.len(), 2);
}

#[test]
fn a_failed_write_poisons_but_a_full_disk_only_refuses() {
    let (vfs, mut log) = new_log();
    log.append(&[b"one"]).unwrap();
    vfs.inject(Fault::nth(OpKind::Write, 1, Failure::ShortThenFull(60)));
    assert!(matches!(log.append(&[&[9; 100]]), Err(LogError::Full { .. })));
    log.append(&[b"two"]).unwrap();
    log.sync().unwrap();
    vfs.inject(Fault::nth(OpKind::Write, 1, Failure::ShortThenIo(60)));
    assert!(matches!(log.append(&[&[9; 100]]), Err(LogError::Io { doing: "write", .. })));
    assert!(matches!(log.append(&[b"x"]), Err(LogError::Poisoned)));
    drop(log);
    let (_, recovery, records) = open(&vfs).unwrap();
    assert_eq!(payloads(&records), [b"one".to_vec(), b"two".to_vec()]);
    assert!(recovery.torn.is_some());
}

#[test]
fn a_write_that_stops_anywhere_leaves_a_tail_or_the_whole_batch() {
    for len in [0, 5, 47, 300, 900] {
        for short in 0.. {
            let (vfs, mut log) = new_log();
            log.append(&[b"one"]).unwrap();
            let start = log.end().offset;
            vfs.inject(Fault::nth(OpKind::Write, 1, Failure::ShortThenIo(short)));
            let payload = vec![0; len];
            log.append(&[&payload]).unwrap_err();
            drop(log);
            let (log, _, records) = open(&vfs).unwrap_or_else(|error| panic!("{len}, {short}: {error}"));
            let whole = vec![b"one".to_vec(), payload];
            assert!(whole.starts_with(&payloads(&records)), "{len}, {short}");
            if short
                >= (next_batch(batch_end(start, RECORD_HEADER_BYTES + payload_len(len))) - start) as usize
            {
                assert_eq!(log.end().offset as usize, start as usize + short);
                assert_eq!(payloads(&records), whole);
                break;
            }
        }
    }
}

fn payload_len(len: usize) -> u32 {
    u32::try_from(len).unwrap()
}

#[test]
fn nothing_is_left_of_a_batch_for_which_there_was_no_space() {
    // The first goes to several sectors before the space ends; what follows is shorter, and is there or not.
    for (short, len) in (0..1600).step_by(97).flat_map(|short| [5, 300, 600, 1100].map(|len| (short, len))) {
        let (vfs, mut log) = new_log();
        log.append(&[b"one"]).unwrap();
        log.sync().unwrap();
        vfs.inject(Fault::nth(OpKind::Write, 1, Failure::ShortThenFull(short)));
        assert!(matches!(log.append(&[&[9; 2000]]), Err(LogError::Full { .. })));
        let payload = record(2, len);
        log.append(&[&payload]).unwrap();
        let whole = [b"one".to_vec(), payload];
        for seed in 0..8 {
            let (_, _, records) = open(&vfs.crash(PowerCut::Torn { seed, block_bytes: 512 })).unwrap();
            assert!(!records.is_empty() && whole.starts_with(&payloads(&records)), "{short}, {len}, {seed}");
        }
        log.sync().unwrap();
        for cut in [PowerCut::Lost, PowerCut::Kept] {
            let (_, recovery, records) = open(&vfs.crash(cut)).unwrap();
            assert_eq!((recovery.torn, payloads(&records)), (None, whole.to_vec()));
        }
    }
}

#[test]
fn a_full_disk_refuses_the_next_segment_until_there_is_space() {
    let (vfs, mut log) = new_log();
    let payload = record(1, 1500);
    log.append(&[&payload]).unwrap();
    log.append(&[&payload]).unwrap();
    for free in [0, 100, 4095] {
        vfs.set_free_bytes(free);
        assert!(matches!(log.append(&[&payload]), Err(LogError::Full { .. })), "{free}");
        assert_eq!(vfs.list(Path::new(DIR)).unwrap(), [PathBuf::from("000000001.seg")]);
    }
    // What still fits goes on, and is there after a restart on the full disk.
    let small = log.append(&[b"small"]).unwrap();
    assert_eq!(small[0].segment, 1);
    log.sync().unwrap();
    drop(log);
    let (mut log, _, records) = open(&vfs).unwrap();
    assert_eq!(records.len(), 3);
    vfs.set_free_bytes(5000);
    assert_eq!(log.append(&[&payload]).unwrap()[0].segment, 2);
    log.sync().unwrap();
    assert_eq!(open(&vfs.crash(PowerCut::Lost)).unwrap().2.len(), 4);
}

#[test]
fn old_segments_go_oldest_first_and_never_the_active_one() {
    let (vfs, mut log) = new_log();
    let payload = record(1, 3000);
    let locations: Vec<Location> = (0..5).map(|_| log.append(&[&payload]).unwrap()[0]).collect();
    assert_eq!(log.segments(), 1..=5);
    let before = log.bytes();
    let reader = log.reader();
    vfs.record_trace();
    assert_eq!(log.remove_before(3).unwrap(), 2);
    let kinds: Vec<OpKind> = vfs.take_trace().iter().map(|op| op.kind).collect();
    assert_eq!(kinds, [OpKind::Remove, OpKind::SyncDir, OpKind::Remove, OpKind::SyncDir]);
    assert_eq!(log.remove_before(3).unwrap(), 0);
    assert_eq!(log.segments(), 3..=5);
    assert!(log.bytes() < before);
    assert!(matches!(reader.read(locations[0]), Err(LogError::Removed { segment: 1 })));
    assert_eq!(reader.read(locations[2]).unwrap(), payload);

    vfs.inject(Fault::nth(OpKind::Remove, 1, Failure::Io));
    assert!(matches!(log.remove_before(4), Err(LogError::Remove { .. })));
    assert_eq!(reader.read(locations[2]).unwrap(), payload);
    assert_eq!(log.remove_before(u64::MAX).unwrap(), 2);
    assert_eq!(log.segments(), 5..=5);
    assert_eq!(open(&vfs.crash(PowerCut::Kept)).unwrap().2.len(), 1);
    vfs.inject(Fault::nth(OpKind::SyncDir, 1, Failure::Io));
    log.append(&[&payload]).unwrap_err();
    assert!(log.is_poisoned());
}

#[test]
fn segments_grow_under_load_and_a_log_at_rest_is_small() {
    const KIB: u64 = 1 << 10;
    let vfs = SimVfs::new();
    let (mut log, _) = open_long(&vfs).unwrap();
    assert_eq!(log.bytes(), 16 * KIB);
    log.start_small().unwrap();
    assert_eq!(log.segments(), 1..=1, "small already");
    let payload = record(7, 50 << 10);
    let mut sizes = vec![log.bytes()];
    while log.segments().end() < &7 {
        log.append(&[&payload]).unwrap();
        log.sync().unwrap();
        let active = *log.segments().end();
        log.remove_before(active).unwrap();
        if sizes.last() != Some(&log.bytes()) {
            sizes.push(log.bytes());
        }
    }
    assert_eq!(
        sizes,
        [16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB, 4096 * KIB, 8192 * KIB],
        "to the largest and no further"
    );

    log.start_small().unwrap();
    assert_eq!(log.segments(), 7..=8);
    for cut in [PowerCut::Kept, PowerCut::Lost] {
        let (log, recovery) = open_long(&vfs.crash(cut)).unwrap();
        assert_eq!((log.segments(), recovery.records), (7..=8, 1), "nothing that was synced is lost");
    }
    assert_eq!(log.remove_before(8).unwrap(), 1);
    assert_eq!(log.bytes(), 16 * KIB);
    log.append(&[&record(8, 2 << 20)]).unwrap();
    log.sync().unwrap();
    assert_eq!(log.segments(), 8..=9, "what does not fit in a small one gets a larger one");
    assert_eq!(open_long(&vfs.crash(PowerCut::Lost)).unwrap().1.records, 1);
}

#[test]
fn readers_read_what_is_appended_while_it_is_appended() {
    let temp = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs);
    let (mut log, _, _) = open_in(&vfs, temp.path()).unwrap();
    let (send, receive) = std::sync::mpsc::sync_channel::<(Location, u64)>(64);
    let readers = {
        let reader = log.reader();
        std::thread::spawn(move || {
            let mut seen: Vec<(Location, u64)> = Vec::new();
            for (location, number) in receive {
                seen.push((location, number));
                // The newest, and one long past, perhaps in a removed segment.
                for (location, number) in [seen[seen.len() - 1], seen[seen.len() / 2]] {
                    match reader.read(location) {
                        Ok(payload) => assert_eq!(payload, record(number, 300)),
                        Err(LogError::Removed { .. }) => assert!(location.segment < 30),
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            seen.len()
        })
    };
    for number in 0..500 {
        let location = log.append(&[&record(number, 300)]).unwrap()[0];
        send.send((location, number)).unwrap();
        if number % 16 == 0 {
            log.sync().unwrap();
        }
        if location.segment == 40 {
            log.remove_before(30).unwrap();
        }
    }
    drop(send);
    assert_eq!(readers.join().unwrap(), 500);
}

#[test]
fn a_read_of_a_wrong_place_is_refused() {
    let (vfs, mut log) = new_log();
    let at = log.append(&[b"payload", b"another"]).unwrap();
    let reader = log.reader();
    let refused = |location| match reader.read(location) {
        Err(LogError::Corrupt { damage, .. }) => damage,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(Location { len: 6, ..at[0] }), Damage::Length);
    assert_eq!(refused(Location { offset: 7, ..at[0] }), Damage::Length);
    assert_eq!(refused(Location { len: u32::MAX, ..at[0] }), Damage::Truncated);
    assert_eq!(refused(Location { offset: u32::MAX, ..at[0] }), Damage::Truncated);
    vfs.corrupt(&segment(1), u64::from(at[1].offset) + 3, 0x10).unwrap();
    assert_eq!(refused(at[1]), Damage::RecordChecksum);
    assert_eq!(reader.read(at[0]).unwrap(), b"payload");
    vfs.inject(Fault::nth(OpKind::Read, 1, Failure::Io));
    assert!(matches!(reader.read(at[0]), Err(LogError::Read { .. })));
}

#[test]
fn a_refused_record_stops_the_opening() {
    let (vfs, mut log) = new_log();
    let at = log.append(&[b"one", b"two"]).unwrap();
    drop(log);
    let vfs: Arc<dyn Vfs> = Arc::new(vfs);
    let opened = SegmentedLog::open(vfs, Path::new(DIR), OPTIONS, &mut |_, payload| {
        if payload == b"two" { Err("no such group".into()) } else { Ok(()) }
    });
    match opened {
        Err(OpenError::Record { location, source }) => {
            assert_eq!((location, source.to_string().as_str()), (at[1], "no such group"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_small_disk_gets_small_segments() {
    let vfs = SimVfs::new();
    let (mut log, _) = open_long(&vfs).unwrap();
    // Segments of their usual size would take more than there is before half of it is written.
    let space = 3 << 20;
    vfs.set_free_bytes(space);
    let payload = record(1, 50 << 10);
    let written = (0..1000).take_while(|_| log.append(&[&payload]).is_ok()).count();
    assert!(written * payload.len() > 2 << 20, "{written}");
    assert!(matches!(log.append(&[&payload]), Err(LogError::Full { .. })));
    vfs.set_free_bytes(100 << 20);
    log.append(&[&payload]).unwrap();
    log.sync().unwrap();
    assert_eq!(open_long(&vfs.crash(PowerCut::Lost)).unwrap().1.records, written as u64 + 1);
}

#[test]
fn what_is_written_is_read_as_batches() {
    let (vfs, mut log) = new_log();
    let records: Vec<Vec<u8>> = (0..3).map(|number| record(number, 700)).collect();
    log.append(&[&records[0], &records[1]]).unwrap();
    log.append(&[&records[2]]).unwrap();
    let (_, bytes) = files(&vfs, Path::new(DIR)).remove(0);
    let header = SEGMENT_HEADER_BYTES as usize;
    assert_eq!(records_in(&bytes[header..], header as u64), records);
    // Half of the second batch is none, and what belongs elsewhere is none either.
    assert_eq!(records_in(&bytes[header..2000], header as u64), records[..2]);
    assert!(records_in(&bytes[header..], 512).is_empty());
    assert!(records_in(&bytes, 0).is_empty());
}
