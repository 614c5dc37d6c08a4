//! Envelopes of log entries: a partition's operation, or a catalog command, as stored bytes and back.
//!
//! Encoding is done once, by whoever proposes. Decoding happens on replicas that did not propose the entry, and
//! when a log is replayed; it trusts nothing it reads.

use bytes::Bytes;
use model::{
    BucketId, Deletion, LogPosition, PartitionOp, ReplicaId, TimeRange, Timestamp, batch, predicate,
};
use prost::Message as _;

use crate::log::{self, entry::Body};

/// The highest envelope format that this version reads.
pub const ENTRY_FORMAT: u32 = 2;

/// Why an envelope cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Not a message at all.
    #[error("log entry is not an envelope")]
    Envelope(#[from] prost::DecodeError),
    /// Written by a later version.
    #[error("log entry has format {0}; this version reads up to {ENTRY_FORMAT}")]
    Format(u32),
    /// The batch inside cannot be read.
    #[error("log entry holds a batch that cannot be read")]
    Batch(#[from] batch::codec::DecodeError),
    /// The predicate inside cannot be read.
    #[error("log entry holds a predicate that cannot be read")]
    Predicate(#[from] predicate::codec::CodecError),
    /// An id is zero.
    #[error("log entry names bucket 0")]
    Bucket,
    /// A kind that does not belong where it was found.
    #[error("log entry of kind {found} where {wanted} was expected")]
    Kind {
        /// What it is.
        found: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
}

/// Encodes an operation on a partition, received at `received_at`. A predicate in it is within its bounds: whoever
/// proposes has checked that.
pub fn encode_op(op: &PartitionOp, received_at: Timestamp) -> Bytes {
    encode(
        match op {
            PartitionOp::Write(batch) => {
                let mut bytes = Vec::new();
                batch::codec::encode(batch, &mut bytes);
                Body::Write(log::Write { batch: bytes.into() })
            }
            PartitionOp::Delete(deletion) => {
                let encoded = predicate::codec::encode(&deletion.predicate);
                Body::Delete(log::Delete {
                    bucket: deletion.bucket.get(),
                    start_ns: deletion.range.start.0,
                    end_ns: deletion.range.end.0,
                    predicate: encoded.expect("a proposed predicate is within its bounds").into(),
                })
            }
            PartitionOp::DropShards { bucket, ending_by } => {
                Body::DropShards(log::DropShards { bucket: bucket.get(), ending_by_ns: ending_by.0 })
            }
            PartitionOp::DropBucket { bucket } => Body::DropBucket(log::DropBucket { bucket: bucket.get() }),
            PartitionOp::Compare => Body::Compare(log::Compare {}),
        },
        received_at,
    )
}

/// Encodes a catalog command that is encoded already.
pub fn encode_catalog(command: Vec<u8>, received_at: Timestamp) -> Bytes {
    encode(Body::Catalog(command.into()), received_at)
}

/// Encodes an envelope.
pub fn encode(body: Body, received_at: Timestamp) -> Bytes {
    let entry = log::Entry {
        format: format(&body),
        received_at_ns: received_at.0,
        request_id: None,
        body: Some(body),
    };
    entry.encode_to_vec().into()
}

/// The format that a reader of a kind must know; one that does not stops, and says so.
const fn format(body: &Body) -> u32 {
    match body {
        Body::Compare(_) => 2,
        Body::Blank(_)
        | Body::Membership(_)
        | Body::Write(_)
        | Body::DropShards(_)
        | Body::DropBucket(_)
        | Body::Catalog(_)
        | Body::Delete(_) => 1,
    }
}

/// Reads an envelope and checks its format. The body shares the memory of `bytes`.
pub fn decode(bytes: Bytes) -> Result<Body, EntryError> {
    let entry = log::Entry::decode(bytes)?;
    if entry.format == 0 || entry.format > ENTRY_FORMAT {
        return Err(EntryError::Format(entry.format));
    }
    entry.body.ok_or(EntryError::Kind { found: "none", wanted: "any" })
}

/// The name of an envelope's kind, for messages.
pub const fn kind(body: &Body) -> &'static str {
    match body {
        Body::Blank(_) => "blank",
        Body::Membership(_) => "membership",
        Body::Write(_) => "write",
        Body::DropShards(_) => "drop shards",
        Body::DropBucket(_) => "drop bucket",
        Body::Catalog(_) => "catalog",
        Body::Delete(_) => "delete",
        Body::Compare(_) => "compare",
    }
}

/// Reads the operation on a partition in an envelope.
pub fn decode_op(bytes: Bytes) -> Result<PartitionOp, EntryError> {
    let bucket = |raw| BucketId::new(raw).ok_or(EntryError::Bucket);
    match decode(bytes)? {
        Body::Write(write) => Ok(PartitionOp::Write(batch::codec::decode(&write.batch)?)),
        Body::Delete(delete) => Ok(PartitionOp::Delete(Deletion {
            bucket: bucket(delete.bucket)?,
            range: TimeRange::new(Timestamp(delete.start_ns), Timestamp(delete.end_ns)),
            predicate: predicate::codec::decode(&delete.predicate)?,
        })),
        Body::DropShards(drop) => Ok(PartitionOp::DropShards {
            bucket: bucket(drop.bucket)?,
            ending_by: Timestamp(drop.ending_by_ns),
        }),
        Body::DropBucket(drop) => Ok(PartitionOp::DropBucket { bucket: bucket(drop.bucket)? }),
        Body::Compare(log::Compare {}) => Ok(PartitionOp::Compare),
        other => Err(EntryError::Kind { found: kind(&other), wanted: "an operation on a partition" }),
    }
}

/// Reads the catalog command in an envelope, still in the catalog's encoding.
pub fn decode_catalog(bytes: Bytes) -> Result<Bytes, EntryError> {
    match decode(bytes)? {
        Body::Catalog(command) => Ok(command),
        other => Err(EntryError::Kind { found: kind(&other), wanted: "a catalog command" }),
    }
}

impl From<LogPosition> for log::LogId {
    fn from(position: LogPosition) -> Self {
        Self { term: position.term, leader: position.leader.0, index: position.index }
    }
}

impl From<log::LogId> for LogPosition {
    fn from(id: log::LogId) -> Self {
        Self { term: id.term, leader: ReplicaId(id.leader), index: id.index }
    }
}

#[cfg(test)]
mod tests;
