//! What a write to a segment writes, for who watches a disk on which a log is kept.

use super::format::{BATCH_HEADER_BYTES, BatchHeader, batch_end, decode_records, next_batch};
use super::sectors;

/// The payloads of the records in bytes that are written at `offset` of a segment's file: those of all batches from the
/// first byte on, up to the first that is not whole. None when no batch begins there.
#[must_use]
pub fn records_in(bytes: &[u8], offset: u64) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let Ok(start) = u32::try_from(offset) else { return records };
    let (mut at, mut rest) = (start, bytes);
    while let Some((header, behind)) = rest.split_at_checked(BATCH_HEADER_BYTES as usize) {
        let Some(header) = BatchHeader::read(header).map(|(header, _)| header) else { break };
        let end = next_batch(batch_end(at, header.body));
        let length = (end - at - BATCH_HEADER_BYTES) as usize;
        if header.position.offset != at || behind.len() < length {
            break;
        }
        let (run, next) = behind.split_at(length);
        let mut body = Vec::new();
        let sound = sectors::take(at + BATCH_HEADER_BYTES, run, &mut body);
        let Ok(found) = sound.and_then(|()| decode_records(&header, &body)) else { break };
        records.extend(found.into_iter().map(|(_, payload)| payload.to_vec()));
        (at, rest) = (end, next);
    }
    records
}
