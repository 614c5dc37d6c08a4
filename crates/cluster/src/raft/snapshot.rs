//! Snapshots between members, in chunks with checksums: the catalog's bytes, or the files of a partition, which are
//! checked as a whole once they are there.

pub(crate) mod files;

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use disk::Vfs;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use model::LogPosition;
use proto::peer::{self, snapshot_part::Part};
use tonic::Status;

use super::machine::{Target, membership_message, meta_of, read_membership};
use super::types::{Files, Snapshot, SnapshotData, SnapshotMeta, Vote};
use super::{types, wire};
use crate::throttle::Throttle;
use files::Incoming;

/// Bytes of one chunk.
const CHUNK_BYTES: usize = 1 << 20;
/// The largest catalog that is taken from another node.
pub(crate) const CATALOG_BYTES_MAX: u64 = 4 << 30;

/// The messages of a snapshot, without what the receiver holds of its files already.
pub(super) async fn parts(
    vote: Vote,
    snapshot: Snapshot,
    held: Vec<peer::HeldFile>,
    throttle: Arc<Throttle>,
) -> Result<stream::BoxStream<'static, peer::SnapshotPart>, Status> {
    let Snapshot { meta, snapshot } = snapshot;
    let last = meta.last_log_id.map(|id| wire::log_id(&id));
    let membership = Some(membership_message(&meta.last_membership));
    let head = peer::SnapshotHead { vote: Some(types::stored_vote(&vote)), last, membership, bytes: 0 };
    let part = |part| peer::SnapshotPart { part: Some(part) };
    match snapshot {
        SnapshotData::Noted => Err(Status::internal("a snapshot without its files is not sent")),
        SnapshotData::Catalog(data) => {
            let mut data = Bytes::from(data);
            let head = Part::Head(peer::SnapshotHead { bytes: data.len() as u64, ..head });
            let chunks = std::iter::from_fn(move || {
                (!data.is_empty()).then(|| chunk(data.split_to(CHUNK_BYTES.min(data.len()))))
            });
            Ok(stream::iter(std::iter::once(head).chain(chunks).map(part)).boxed())
        }
        SnapshotData::Files(files) => {
            host::failpoint("snapshot-send").map_err(|error| Status::internal(error.to_string()))?;
            let of = Arc::clone(&files);
            let found = blocking(move || files::list(&*of.vfs, &of.dir)).await?;
            let bytes = found.iter().map(|(_, bytes)| bytes).sum();
            let head = Part::Head(peer::SnapshotHead { bytes, ..head });
            let sent = files::sent(files, found, held, throttle);
            Ok(stream::once(async move { head }).chain(sent).map(part).boxed())
        }
    }
}

/// The messages of a partition's files, in which everything up to an index is to be.
pub(super) async fn of_files(
    target: &Target,
    vfs: &Arc<dyn Vfs>,
    vote: Vote,
    asked: peer::FilesRequest,
    throttle: Arc<Throttle>,
) -> Result<stream::BoxStream<'static, peer::SnapshotPart>, Status> {
    let Target::Partition(machine, _) = target else {
        return Err(Status::invalid_argument("the catalog has no files of points"));
    };
    let peer::FilesRequest { from, held } = asked;
    let (machine, vfs) = (Arc::clone(machine), Arc::clone(vfs));
    let copied = blocking(move || {
        if machine.is_damaged() {
            return Err(io::Error::other("its files are damaged too"));
        }
        let is_short =
            || Ok::<_, io::Error>(machine.durable()?.position.is_none_or(|last| last.index < from));
        if is_short()? {
            machine.make_durable()?;
            if is_short()? {
                return Err(io::Error::other("it has not applied what the other's log has no more"));
            }
        }
        let (dir, durable) = machine.checkpoint()?;
        let files = Arc::new(Files { dir, vfs });
        Ok(Snapshot { meta: meta_of(&durable)?, snapshot: SnapshotData::Files(files) })
    });
    parts(vote, copied.await?, held, throttle).await
}

fn chunk(data: Bytes) -> Part {
    Part::Chunk(peer::Chunk { checksum: crc32c::crc32c(&data), data })
}

/// Does file work on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Status> {
    let done = host::offload(work).await;
    done.map_err(|panic| Status::internal(panic.to_string()))?
        .map_err(|error| Status::internal(error.to_string()))
}

fn damaged(what: &str) -> Status {
    Status::data_loss(format!("the snapshot is damaged: {what}"))
}

/// Reads the messages of a snapshot for a group.
pub(super) async fn receive(
    target: &Target,
    vfs: &Arc<dyn Vfs>,
    incoming: &Arc<Incoming>,
    mut parts: impl Stream<Item = Result<peer::SnapshotPart, Status>> + Unpin,
) -> Result<(Vote, Snapshot), Status> {
    let first = parts.next().await.transpose()?.and_then(|first| first.part);
    let Some(Part::Head(head)) = first else { return Err(damaged("it has no head")) };
    let vote = wire::read_vote(head.vote).map_err(|error| damaged(&error.to_string()))?;
    let membership = head.membership.ok_or_else(|| damaged("it has no membership"))?;
    let meta = SnapshotMeta {
        last_log_id: head.last.map(wire::read_log_id),
        last_membership: read_membership(membership),
    };
    let parts = parts.and_then(|part| async move {
        match part.part {
            Some(Part::Chunk(chunk)) if crc32c::crc32c(&chunk.data) != chunk.checksum => {
                Err(damaged("the checksum of a chunk"))
            }
            Some(part) => Ok(part),
            None => Err(damaged("an empty message")),
        }
    });
    let parts = std::pin::pin!(parts);
    let snapshot = match target {
        Target::Catalog(_) => SnapshotData::Catalog(receive_bytes(head.bytes, parts).await?),
        Target::Partition(machine, _) => {
            let receiving = incoming.begin(vfs, head.bytes, || machine.incoming());
            let receiving = receiving.map_err(|error| Status::internal(error.to_string()))?;
            let files = files::receive(receiving, parts).await?;
            let point = host::failpoint("snapshot-received");
            point.map_err(|error| Status::internal(error.to_string()))?;
            let (machine, checked) = (Arc::clone(machine), Arc::clone(&files));
            let reached = blocking(move || machine.check(&checked.dir)).await?;
            if reached != head.last.map(LogPosition::from) {
                return Err(damaged("its files are of another position"));
            }
            SnapshotData::Files(files)
        }
    };
    Ok((vote, Snapshot { meta, snapshot }))
}

async fn receive_bytes(
    announced: u64,
    mut parts: impl Stream<Item = Result<Part, Status>> + Unpin,
) -> Result<Vec<u8>, Status> {
    if announced > CATALOG_BYTES_MAX {
        return Err(Status::resource_exhausted("the catalog is larger than this node takes"));
    }
    let mut data = BytesMut::new();
    while let Some(part) = parts.try_next().await? {
        let Part::Chunk(chunk) = part else { return Err(damaged("something between chunks")) };
        if (data.len() + chunk.data.len()) as u64 > announced {
            return Err(damaged("it is longer than announced"));
        }
        data.extend_from_slice(&chunk.data);
    }
    if data.len() as u64 == announced { Ok(data.into()) } else { Err(damaged("it ends early")) }
}

#[cfg(test)]
mod tests;
