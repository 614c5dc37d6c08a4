//! Every byte of a log changed in turn: whatever the batches hold and however they lie, the log is refused or has lost
//! nothing that was synced, also while nothing proves the last sync.

use super::*;

/// What a log is made of.
#[derive(Debug, Clone)]
enum Step {
    /// A batch with records of these payloads.
    Append(Vec<Vec<u8>>),
    Sync,
    Mark,
}

fn append(payloads: &[&[u8]]) -> Step {
    Step::Append(payloads.iter().map(|payload| payload.to_vec()).collect())
}

/// A payload of zeros but for one byte.
fn sparse(len: usize, at: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    bytes[at] = 0x80;
    bytes
}

/// Logs of one segment, each synced at its end, with a name.
fn logs() -> Vec<(&'static str, Vec<Step>)> {
    let zeros = vec![0; 2500];
    let full = vec![0xff; 2500];
    let small = append(&[b"one", b"two"]);
    let mut logs = vec![
        ("small batches", vec![small.clone(), Step::Sync, small.clone()]),
        ("nothing but an empty record", vec![append(&[b""])]),
        ("empty records", vec![small.clone(), append(&[b"", b"", b""])]),
        ("zeros", vec![small.clone(), append(&[&zeros])]),
        ("ones", vec![small.clone(), append(&[&full])]),
        ("a bit among zeros", vec![small.clone(), append(&[&sparse(2500, 1100)])]),
        ("zeros with an end", vec![small.clone(), append(&[&sparse(1700, 1699), b""])]),
        ("two batches and one sync", vec![small.clone(), append(&[&zeros[..900]]), append(&[&zeros[..600]])]),
        ("a mark behind", vec![small, append(&[&zeros[..900]]), Step::Sync, Step::Mark]),
        ("a mark between", vec![append(&[&full[..900]]), Step::Sync, Step::Mark, append(&[&zeros[..900]])]),
    ];
    // The second batch ends at, before and behind a border of sectors, and so near to it that no header fits between.
    let first = 512 - (SEGMENT_HEADER_BYTES + BATCH_HEADER_BYTES + RECORD_HEADER_BYTES) as usize;
    logs.extend([0, 1, 2, 9, 40, 47, 48, 49, 56, 57].map(|room| {
        let steps = vec![append(&[&zeros[..first - room]]), Step::Sync, append(&[&zeros[..600]])];
        ("by a border of sectors", steps)
    }));
    logs
}

/// Makes the log; its payloads, and where it ends.
fn make(steps: &[Step]) -> (SimVfs, Vec<Vec<u8>>, u64) {
    let (vfs, mut log) = new_log();
    let mut written = Vec::new();
    for step in steps.iter().chain([&Step::Sync]) {
        match step {
            Step::Append(payloads) => {
                let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
                log.append(&slices).unwrap();
                written.extend(payloads.clone());
            }
            Step::Sync => log.sync().unwrap(),
            Step::Mark => log.mark_idle().unwrap(),
        }
    }
    assert_eq!(log.segments(), 1..=1);
    (vfs, written, u64::from(log.end().offset))
}

#[test]
fn a_changed_byte_anywhere_is_refused_or_loses_nothing() {
    for (name, steps) in logs() {
        let (vfs, written, end) = make(&steps);
        let (_, bytes) = files(&vfs, Path::new(DIR)).remove(0);
        let mut refused = 0;
        for (offset, byte) in (0..).zip(&bytes) {
            // Far behind the end every byte is as its neighbours.
            if offset > end + 600 && offset % 61 != 0 {
                continue;
            }
            let bits = (0..8).map(|bit| 1 << bit);
            for mask in bits.chain([0xff, *byte]).filter(|mask| *mask != 0) {
                let damaged = vfs.crash(PowerCut::Kept);
                damaged.corrupt(&segment(1), offset, mask).unwrap();
                let what = format!("{name}: byte {offset}, mask {mask:02x}");
                let mut problems = Vec::new();
                verify(&damaged, Path::new(DIR), &mut |_, _| {}, &mut |problem| {
                    problems.push(problem.to_string());
                });
                match open(&damaged) {
                    Ok((log, _, records)) => {
                        assert_eq!(payloads(&records), written, "{what}");
                        assert_eq!(problems, [""; 0], "{what}");
                        drop(log);
                        assert_eq!(payloads(&open(&damaged).unwrap().2), written, "{what}, opened again");
                    }
                    Err(error @ OpenError::Corrupt { segment: 1, .. }) => {
                        assert_eq!(problems, [error.to_string()], "{what}");
                        refused += 1;
                    }
                    Err(error) => panic!("{what}: {error}"),
                }
                // What was written is under a checksum, and what was not written is no reason to refuse.
                if offset >= end {
                    assert!(problems.is_empty(), "{what}");
                }
            }
        }
        assert!(refused > 0, "{name}");
    }
}

#[test]
fn any_sectors_of_the_last_write_that_a_power_cut_took_are_no_damage() {
    for (name, steps) in logs() {
        let Some((last, before)) = steps.split_last() else { continue };
        let Step::Append(payloads_of_last) = last else { continue };
        let (vfs, written, _) = make(before);
        let (mut log, _, _) = open(&vfs).unwrap();
        let slices: Vec<&[u8]> = payloads_of_last.iter().map(Vec::as_slice).collect();
        log.append(&slices).unwrap();
        let whole = [written.clone(), payloads_of_last.clone()].concat();
        let (mut choice, mut choices) = (0_u32, 1);
        let mut found = std::collections::BTreeSet::new();
        while choice < choices {
            let mut asked = 0;
            let after = vfs.crash_with(SECTOR, &mut |_| {
                asked += 1;
                choice >> (asked - 1) & 1 == 1
            });
            assert!(asked <= 8, "small enough to try all: {asked}");
            choices = 1 << asked;
            let (_, recovery, records) =
                open(&after).unwrap_or_else(|error| panic!("{name}, {choice:b}: {error}"));
            let records = payloads(&records);
            assert!(records == written || records == whole, "{name}, {choice:b}");
            assert!(recovery.torn.is_none() || records == written, "{name}, {choice:b}");
            found.insert(records.len());
            choice += 1;
        }
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [written.len(), whole.len()], "{name}");
    }
}

const SECTOR: u32 = sectors::SECTOR_BYTES;

#[test]
fn no_sector_of_a_batch_is_zeros_as_it_is_written() {
    for len in 0..1700 {
        let zeros = vec![0; len];
        for offset in (SEGMENT_HEADER_BYTES..700).step_by(8).filter(|at| next_batch(*at) == *at) {
            let position = Position { segment: 1, offset };
            let body = u32::try_from(len).unwrap() + RECORD_HEADER_BYTES;
            let header = BatchHeader {
                kind: BatchKind::Records,
                position,
                body,
                records: 1,
                synced: position,
                previous: 0,
            };
            let mut bytes = Vec::new();
            let (_, locations) = format::encode_batch(&header, &[&zeros], &mut bytes);
            assert_eq!(bytes.len(), (next_batch(batch_end(offset, body)) - offset) as usize);
            let start = offset + BATCH_HEADER_BYTES;
            let run = &bytes[BATCH_HEADER_BYTES as usize..];
            assert!(!format::is_torn(&header, run), "{offset}, {len}");
            let mut taken = Vec::new();
            sectors::take(start, run, &mut taken).unwrap();
            let records = format::decode_records(&header, &taken).unwrap();
            assert_eq!(records, [(locations[0], zeros.as_slice())]);
            let head = sectors::start_of(locations[0].offset, RECORD_HEADER_BYTES).unwrap();
            assert_eq!(sectors::next_byte(head), sectors::next_byte(start), "{offset}, {len}");
        }
    }
}
