//! Snapshots: all records of a state in one piece, with a checksum.
//!
//! `format (1) | Snapshot message | SHA-256 of everything before (32)`

use sha2::{Digest, Sha256};

use super::messages as m;
use super::record::{Record, decode_record, encode_change};
use super::{DecodeError, open, seal};
use crate::state::State;

const CHECKSUM_BYTES: usize = 32;

/// The bytes of a state.
pub(crate) fn encode_snapshot(state: &State) -> Vec<u8> {
    let records = state.changes().filter_map(|change| match encode_change(&change) {
        Record::Put(key, value) => Some(m::KeyValue { key, value }),
        Record::Remove(_) | Record::RemoveAll(..) | Record::RemovePrefix(_) => None,
    });
    let mut out = seal(&m::Snapshot { records: records.collect() });
    let checksum = Sha256::digest(&out);
    out.extend_from_slice(&checksum);
    out
}

/// Reads what [`encode_snapshot`] wrote, and tests that its records fit together.
pub(crate) fn decode_snapshot(bytes: &[u8]) -> Result<State, DecodeError> {
    let body_length = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(DecodeError::Checksum)?;
    let (body, checksum) = bytes.split_at_checked(body_length).ok_or(DecodeError::Checksum)?;
    if Sha256::digest(body).as_slice() != checksum {
        return Err(DecodeError::Checksum);
    }
    let snapshot: m::Snapshot = open("snapshot", body)?;
    let mut state = State::default();
    for record in snapshot.records {
        state.make(decode_record(&record.key, &record.value)?);
    }
    Ok(state)
}
