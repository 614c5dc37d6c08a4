//! Bytes of the catalog: commands in the log, records in the store, snapshots between nodes.
//!
//! Every value is one format byte and a protobuf message with explicit numbers (`messages`), written by hand so
//! that the numbers stand beside the fields. Numbers are never reused; what a reader does not know, it refuses.
//! Decoding is total: any bytes give a value or a [`DecodeError`].

mod command;
mod convert;
mod messages;
mod record;
mod response;
mod snapshot;
#[cfg(test)]
mod tests;

use prost::Message;

pub(crate) use record::{
    FORMAT_KEY, MEMBERSHIP_KEY, POSITION_KEY, Record, decode_position, decode_record, encode_change,
    encode_position,
};
pub(crate) use snapshot::{decode_snapshot, encode_snapshot};

/// The format written by this version, and the only one it reads.
pub const FORMAT: u8 = 2;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing there.
    #[error("no bytes")]
    Empty,
    /// Written by a version with another format.
    #[error("format {0}, this version reads format {FORMAT}")]
    Format(u8),
    /// Not a protobuf message of that kind.
    #[error("malformed {what}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// Why.
        #[source]
        source: prost::DecodeError,
    },
    /// A field that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field has a value that makes no sense.
    #[error("{0} has an impossible value")]
    Impossible(&'static str),
    /// A record's key is not one of ours.
    #[error("unknown record key")]
    Key,
    /// The checksum of a snapshot is wrong.
    #[error("checksum mismatch")]
    Checksum,
}

/// A message behind the format byte.
fn seal(message: &impl Message) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + message.encoded_len());
    out.push(FORMAT);
    out.extend_from_slice(&message.encode_to_vec());
    out
}

/// The message behind the format byte.
fn open<M: Message + Default>(what: &'static str, bytes: &[u8]) -> Result<M, DecodeError> {
    let (format, body) = bytes.split_first().ok_or(DecodeError::Empty)?;
    if *format != FORMAT {
        return Err(DecodeError::Format(*format));
    }
    M::decode(body).map_err(|source| DecodeError::Malformed { what, source })
}
