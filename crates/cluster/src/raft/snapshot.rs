//! Snapshots between members, in chunks with checksums: the catalog's bytes, or the files of a partition, which are
//! checked as a whole once they are there.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use disk::{File, Vfs};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use model::LogPosition;
use proto::peer::{self, snapshot_part::Part};
use tonic::Status;

use super::machine::{Target, membership_message, read_membership};
use super::types::{Files, Snapshot, SnapshotData, SnapshotMeta, Vote};
use super::{types, wire};

/// Bytes of one chunk.
const CHUNK_BYTES: usize = 1 << 20;
/// The largest catalog that is taken from another node.
const CATALOG_BYTES_MAX: u64 = 4 << 30;
/// The longest path of a file.
const PATH_BYTES_MAX: usize = 1024;

/// The messages of a snapshot.
pub(super) async fn parts(
    vote: Vote,
    snapshot: Snapshot,
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
            let of = Arc::clone(&files);
            let found = blocking(move || list(&*of.vfs, &of.dir)).await?;
            let bytes = found.iter().map(|(_, bytes)| bytes).sum();
            let head = Part::Head(peer::SnapshotHead { bytes, ..head });
            let sent = Sending { files, rest: found.into_iter(), open: None };
            let sent = stream::unfold(sent, |sending| async move {
                match blocking(move || sending.next()).await {
                    Ok(next) => next,
                    Err(error) => {
                        // The receiver finds that it has less than was announced.
                        tracing::warn!(%error, "a snapshot's files cannot be read");
                        None
                    }
                }
            });
            Ok(stream::once(async move { head }).chain(sent).map(part).boxed())
        }
    }
}

fn chunk(data: Bytes) -> Part {
    Part::Chunk(peer::Chunk { checksum: crc32c::crc32c(&data), data })
}

/// Does file work on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|panic| Status::internal(panic.to_string()))?
        .map_err(|error| Status::internal(error.to_string()))
}

/// The files of a directory and those below, with their lengths, by path.
fn list(vfs: &dyn Vfs, dir: &Path) -> std::io::Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    let mut dirs = vec![PathBuf::new()];
    while let Some(inner) = dirs.pop() {
        for name in vfs.list(&dir.join(&inner))? {
            let path = inner.join(name.file_name().unwrap_or_default());
            let full = dir.join(&path);
            // Only directories can be listed.
            if vfs.list(&full).is_ok() {
                dirs.push(path);
            } else {
                found.push((path, vfs.open_read(&full)?.len()?));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A directory on its way.
struct Sending {
    files: Arc<Files>,
    rest: std::vec::IntoIter<(PathBuf, u64)>,
    /// The file being sent, its length, and the bytes that are sent.
    open: Option<(Box<dyn File>, u64, u64)>,
}

impl Sending {
    /// The next message; `None` at the end.
    fn next(mut self) -> std::io::Result<Option<(Part, Self)>> {
        if let Some((file, bytes, sent)) = &mut self.open
            && sent < bytes
        {
            let length = usize::try_from(*bytes - *sent).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            let mut data = vec![0; length];
            file.read_exact_at(&mut data, *sent)?;
            *sent += length as u64;
            return Ok(Some((chunk(data.into()), self)));
        }
        let Some((path, bytes)) = self.rest.next() else { return Ok(None) };
        self.open = Some((self.files.vfs.open_read(&self.files.dir.join(&path))?, bytes, 0));
        let path = path.to_string_lossy().into_owned();
        Ok(Some((Part::File(peer::SnapshotFile { path, bytes }), self)))
    }
}

fn damaged(what: &str) -> Status {
    Status::data_loss(format!("the snapshot is damaged: {what}"))
}

/// Reads the messages of a snapshot for a group.
pub(super) async fn receive(
    target: &Target,
    vfs: &Arc<dyn Vfs>,
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
        Target::Partition(machine) => {
            let dir = machine.incoming().map_err(|error| Status::internal(error.to_string()))?;
            let files = Arc::new(Files { dir, vfs: Arc::clone(vfs) });
            receive_files(&files, head.bytes, parts).await?;
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

async fn receive_files(
    files: &Arc<Files>,
    announced: u64,
    mut parts: impl Stream<Item = Result<Part, Status>> + Unpin,
) -> Result<(), Status> {
    let mut receiving = Receiving { files: Arc::clone(files), open: None, dirs: Vec::new(), bytes: 0 };
    while let Some(part) = parts.try_next().await? {
        receiving = match part {
            Part::File(file) => blocking(move || receiving.begin(&file)).await?,
            Part::Chunk(chunk) => blocking(move || receiving.go_on(&chunk.data)).await?,
            Part::Head(_) => return Err(damaged("two heads")),
        };
        if receiving.bytes > announced {
            return Err(damaged("it is longer than announced"));
        }
    }
    if receiving.bytes != announced {
        return Err(damaged("it ends early"));
    }
    blocking(move || receiving.finish()).await
}

/// A directory that comes in.
struct Receiving {
    files: Arc<Files>,
    /// The file being written, the length it will have, and the bytes that are there.
    open: Option<(Box<dyn File>, u64, u64)>,
    dirs: Vec<PathBuf>,
    /// Bytes of all files so far.
    bytes: u64,
}

fn malformed(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, format!("the snapshot is damaged: {what}"))
}

impl Receiving {
    fn begin(mut self, file: &peer::SnapshotFile) -> std::io::Result<Self> {
        self.end_file()?;
        let relative = Path::new(&file.path);
        let is_plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || file.path.is_empty() || file.path.len() > PATH_BYTES_MAX {
            return Err(malformed("a file has a path that leads elsewhere"));
        }
        let path = self.files.dir.join(relative);
        let dir = path.parent().unwrap_or(&self.files.dir).to_owned();
        if !self.dirs.contains(&dir) {
            self.files.vfs.create_dir_all(&dir)?;
            self.dirs.push(dir);
        }
        if self.files.vfs.exists(&path)? {
            return Err(malformed("a file comes twice"));
        }
        self.open = Some((self.files.vfs.create(&path)?, file.bytes, 0));
        Ok(self)
    }

    fn go_on(mut self, data: &[u8]) -> std::io::Result<Self> {
        let Some((file, bytes, written)) = &mut self.open else {
            return Err(malformed("a chunk of no file"));
        };
        if *bytes - *written < data.len() as u64 {
            return Err(malformed("a file is longer than announced"));
        }
        file.write_all_at(data, *written)?;
        *written += data.len() as u64;
        self.bytes += data.len() as u64;
        Ok(self)
    }

    fn end_file(&mut self) -> std::io::Result<()> {
        if let Some((file, bytes, written)) = self.open.take() {
            if bytes != written {
                return Err(malformed("a file ends early"));
            }
            file.sync_data()?;
        }
        Ok(())
    }

    /// Makes everything durable.
    fn finish(mut self) -> std::io::Result<()> {
        self.end_file()?;
        // The directories between are made with those below.
        let all: std::collections::BTreeSet<&Path> = self
            .dirs
            .iter()
            .flat_map(|dir| dir.ancestors())
            .filter(|dir| dir.starts_with(&self.files.dir))
            .collect();
        all.into_iter().try_for_each(|dir| self.files.vfs.sync_dir(dir))
    }
}

#[cfg(test)]
mod tests;
