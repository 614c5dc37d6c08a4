//! Random reads of records, beside the writer.
//!
//! A read sees what `append` has written, synced or not. It checks the length and the checksum, which covers the
//! place of the record, so it returns the payload that was appended there or an error.

use std::path::PathBuf;
use std::sync::Arc;

use super::format::{RECORD_HEADER_BYTES, record_checksum, record_header};
use super::{Damage, Location, LogError, Segments, sectors, segment_path};

/// Reads records by location.
#[derive(Debug, Clone)]
pub struct LogReader {
    segments: Arc<Segments>,
    dir: PathBuf,
}

impl LogReader {
    pub(super) fn new(segments: Arc<Segments>, dir: PathBuf) -> Self {
        Self { segments, dir }
    }

    /// The payload at a location that `append` or `open` gave.
    ///
    /// # Errors
    /// [`LogError::Removed`], [`LogError::Corrupt`] or [`LogError::Read`].
    pub fn read(&self, location: Location) -> Result<Vec<u8>, LogError> {
        let Location { segment, offset, len } = location;
        let live = self.segments.files.read().get(&segment).cloned().ok_or(LogError::Removed { segment })?;
        let corrupt =
            |damage| LogError::Corrupt { path: segment_path(&self.dir, segment), segment, offset, damage };
        let start = sectors::start_of(offset, RECORD_HEADER_BYTES).ok_or_else(|| corrupt(Damage::Length))?;
        // The segment's length bounds what is allocated.
        let end = u64::from(offset) + u64::from(len);
        if end > live.bytes {
            return Err(corrupt(Damage::Truncated));
        }
        let mut run = vec![0; (sectors::end_of(offset, len) - start) as usize];
        live.file
            .read_exact_at(&mut run, u64::from(start))
            .map_err(|source| LogError::Read { path: segment_path(&self.dir, segment), source })?;
        let mut bytes = Vec::new();
        sectors::take(start, &run, &mut bytes).map_err(corrupt)?;
        let (stored_len, checksum) = record_header(&bytes).ok_or_else(|| corrupt(Damage::Truncated))?;
        bytes.drain(..RECORD_HEADER_BYTES as usize);
        if stored_len != len {
            Err(corrupt(Damage::Length))
        } else if checksum != record_checksum(segment, offset, &bytes) {
            Err(corrupt(Damage::RecordChecksum))
        } else {
            Ok(bytes)
        }
    }
}
