//! The columnar encoding of a batch, as it stands in log entries.

use super::Batch;

/// Why bytes are not a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("batch encoding: {0}")]
pub struct DecodeError(pub &'static str);

/// Appends the encoding of a batch.
pub fn encode(_batch: &Batch, _out: &mut Vec<u8>) {
    todo!()
}

/// Reads a batch; never trusts a length.
pub fn decode(_bytes: &[u8]) -> Result<Batch, DecodeError> {
    todo!()
}
