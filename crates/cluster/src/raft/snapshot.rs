//! Snapshots between members: the catalog's bytes in chunks, each with its checksum; the whole has one of its own.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use proto::peer::{self, snapshot_part::Part};
use tonic::Status;

use super::machine::{membership_message, read_membership};
use super::types::{Snapshot, SnapshotData, SnapshotMeta, Vote};
use super::{types, wire};

/// Bytes of one chunk.
const CHUNK_BYTES: usize = 1 << 20;
/// The largest catalog that is taken from another node.
const SNAPSHOT_BYTES_MAX: u64 = 4 << 30;

/// The messages of a snapshot.
pub(super) fn parts(
    vote: Vote,
    snapshot: Snapshot,
) -> Result<impl Stream<Item = peer::SnapshotPart> + Send + 'static, Status> {
    let SnapshotData::Catalog(data) = snapshot.snapshot else {
        return Err(Status::unimplemented("a partition's files are not sent by this version"));
    };
    let mut data = Bytes::from(data);
    let head = peer::SnapshotHead {
        vote: Some(types::stored_vote(&vote)),
        last: snapshot.meta.last_log_id.as_ref().map(wire::log_id),
        membership: Some(membership_message(&snapshot.meta.last_membership)),
        bytes: data.len() as u64,
    };
    let chunks = std::iter::from_fn(move || {
        (!data.is_empty()).then(|| {
            let data = data.split_to(CHUNK_BYTES.min(data.len()));
            Part::Chunk(peer::Chunk { checksum: crc32c::crc32c(&data), data })
        })
    });
    let parts = std::iter::once(Part::Head(head)).chain(chunks);
    Ok(stream::iter(parts.map(|part| peer::SnapshotPart { part: Some(part) })))
}

/// Reads the messages of a snapshot.
pub(super) async fn receive(
    mut parts: impl Stream<Item = Result<peer::SnapshotPart, Status>> + Unpin,
) -> Result<(Vote, Snapshot), Status> {
    let damaged = |what: &str| Status::data_loss(format!("the snapshot is damaged: {what}"));
    let first = parts.next().await.transpose()?.and_then(|first| first.part);
    let Some(Part::Head(head)) = first else { return Err(damaged("it has no head")) };
    if head.bytes > SNAPSHOT_BYTES_MAX {
        return Err(Status::resource_exhausted("the catalog is larger than this node takes"));
    }
    let vote = wire::read_vote(head.vote).map_err(|error| damaged(&error.to_string()))?;
    let membership = head.membership.ok_or_else(|| damaged("it has no membership"))?;
    let meta = SnapshotMeta {
        last_log_id: head.last.map(wire::read_log_id),
        last_membership: read_membership(membership),
    };
    let mut data = BytesMut::new();
    while let Some(part) = parts.try_next().await? {
        let Some(Part::Chunk(chunk)) = part.part else { return Err(damaged("two heads")) };
        if crc32c::crc32c(&chunk.data) != chunk.checksum {
            return Err(damaged("the checksum of a chunk"));
        }
        if (data.len() + chunk.data.len()) as u64 > head.bytes {
            return Err(damaged("it is longer than announced"));
        }
        data.extend_from_slice(&chunk.data);
    }
    if data.len() as u64 != head.bytes {
        return Err(damaged("it ends early"));
    }
    Ok((vote, Snapshot { meta, snapshot: SnapshotData::Catalog(data.into()) }))
}

#[cfg(test)]
mod tests;
