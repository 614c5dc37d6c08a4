//! The log's promises: what it finds again, what it refuses, and what it does when the disk fails.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::vfs::RealVfs;

const OPTIONS: Options = Options { segment_bytes: 4 << 10, record_bytes_max: 2 << 10 };

type Records = Vec<(Location, Vec<u8>)>;

/// Opens the log and collects its records.
fn open(vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<(SegmentedLog, Recovery, Records), OpenError> {
    let mut records = Vec::new();
    let (log, recovery) = SegmentedLog::open(Arc::clone(vfs), dir, OPTIONS, &mut |location, payload| {
        records.push((location, payload.to_vec()));
        Ok(())
    })?;
    assert_eq!(recovery.records, records.len() as u64);
    assert_eq!(recovery.bytes, records.iter().map(|(_, payload)| payload.len() as u64).sum::<u64>());
    Ok((log, recovery, records))
}

/// A record that tells its number and fills some bytes.
fn record(number: u64, len: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(len.max(8), (number % 251) as u8 | 1);
    bytes
}

fn real() -> (tempfile::TempDir, Arc<dyn Vfs>, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("lane-0");
    (temp, Arc::new(RealVfs), dir)
}

#[test]
fn records_come_back_in_order_across_segments() {
    let (_temp, vfs, dir) = real();
    let mut expected = Vec::new();
    {
        let (mut log, recovery, records) = open(&vfs, &dir).unwrap();
        assert_eq!((recovery.records, records.len()), (0, 0));
        for batch in 0..40_u64 {
            let records: Vec<Vec<u8>> = (0..batch % 4 + 1).map(|n| record(batch * 10 + n, 100)).collect();
            let slices: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
            let locations = log.append(&slices).unwrap();
            expected.extend(locations.into_iter().zip(records));
            log.sync().unwrap();
        }
        assert!(*log.segments().end() > 3);
    }
    let (log, recovery, records) = open(&vfs, &dir).unwrap();
    assert_eq!(recovery.torn, None);
    assert_eq!(records, expected);
    let reader = log.reader();
    for (location, payload) in expected {
        assert_eq!(reader.read(location).unwrap(), payload);
    }
}
