//! Where the bytes of a batch lie in the sectors of its segment, so that a sector shows whether it was written.
//!
//! A power cut leaves each sector of a write that was not synced either as it was written or as it was before, which
//! is zeros from where the batch begins. So that a written sector is never taken for one that was not, whatever the
//! records hold, no part of a batch is zeros as it is written: the first begins with the batch header, which lies in
//! one sector, and in each sector into which the batch goes on the first bytes are a mark.
//!
//! ```text
//!        sector             sector             sector
//! ------+------------------+------------------+------------------+
//!   | batch header | bytes | mark | bytes     | mark | bytes |..| next batch
//! ------+------------------+------------------+------------------+
//! ```
//!
//! Places are offsets in the file. A run of bytes that goes on at the beginning of a sector has its next byte behind
//! the mark.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]
#![expect(
    clippy::cast_possible_truncation,
    reason = "parts of a segment are below its capacity, which is a u32"
)]

use super::Damage;

/// What a disk writes whole or not at all.
pub(super) const SECTOR_BYTES: u32 = 512;
/// Bytes of a run in a sector that is all its own.
pub(super) const SECTOR_ROOM: u32 = SECTOR_BYTES - MARK.len() as u32;

/// Begins the part of a batch in each sector but its first.
const MARK: [u8; 4] = *b"TMSC";

/// Where the next byte of a run lies that goes on at `at`.
pub(super) const fn next_byte(at: u32) -> u32 {
    if at.is_multiple_of(SECTOR_BYTES) { at + MARK.len() as u32 } else { at }
}

/// Where a run ends that has `bytes` more from `at` on.
pub(super) const fn end_of(at: u32, bytes: u32) -> u32 {
    let room = at.next_multiple_of(SECTOR_BYTES) - at;
    if bytes <= room {
        return at + bytes;
    }
    let behind = bytes - room;
    let marks = behind.div_ceil(SECTOR_ROOM);
    at + bytes + marks * MARK.len() as u32
}

/// Where the last `bytes` of a run begin whose next byte lies at `at`, when they are fewer than a sector has.
pub(super) fn start_of(at: u32, bytes: u32) -> Option<u32> {
    let here = (at % SECTOR_BYTES).checked_sub(MARK.len() as u32)?;
    at.checked_sub(if here < bytes { bytes + MARK.len() as u32 } else { bytes })
}

/// Appends bytes to a run that began at `start` with a batch header and is in `run` so far.
pub(super) fn put(run: &mut Vec<u8>, start: u32, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let at = start + run.len() as u32;
        if at.is_multiple_of(SECTOR_BYTES) {
            run.extend_from_slice(&MARK);
            continue;
        }
        let (part, behind) = rest.split_at(rest.len().min((SECTOR_BYTES - at % SECTOR_BYTES) as usize));
        run.extend_from_slice(part);
        rest = behind;
    }
}

/// The parts of a run in the sectors, with where each begins.
fn parts(start: u32, run: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let (mut at, mut rest) = (start, run);
    std::iter::from_fn(move || {
        let (part, behind) = rest.split_at(rest.len().min((SECTOR_BYTES - at % SECTOR_BYTES) as usize));
        let begins = at;
        (at, rest) = (at.saturating_add(part.len() as u32), behind);
        (!part.is_empty()).then_some((begins, part))
    })
}

/// Puts the bytes of a run that goes on at `start` into `out`, without the marks.
pub(super) fn take(start: u32, run: &[u8], out: &mut Vec<u8>) -> Result<(), Damage> {
    out.clear();
    out.reserve(run.len());
    for (at, part) in parts(start, run) {
        let marked = at.is_multiple_of(SECTOR_BYTES);
        out.extend_from_slice(if marked { part.strip_prefix(&MARK).ok_or(Damage::Mark)? } else { part });
    }
    Ok(())
}

/// Whether one of the sectors into which a run goes on is as it was before it was written.
pub(super) fn is_torn(start: u32, run: &[u8]) -> bool {
    parts(start, run).any(|(at, part)| at.is_multiple_of(SECTOR_BYTES) && part.iter().all(|byte| *byte == 0))
}
