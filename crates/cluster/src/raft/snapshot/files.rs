//! The files of a partition on their way to another replica.
//!
//! When a stream breaks off, what has come stays until the next. Before that the sender asks how much of which file is
//! there, compares it with its own, and sends only what follows. So it does not matter whether the files are those of the
//! same checkpoint, or of the same leader: what is the same is not sent again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use disk::{File, Vfs};
use futures::{Stream, TryStreamExt as _, stream};
use parking_lot::Mutex;
use proto::peer::{self, snapshot_part::Part};
use tokio::time::Instant;
use tonic::Status;
use xxhash_rust::xxh3::Xxh3Default;

use super::{CHUNK_BYTES, blocking, chunk, damaged};
use crate::raft::types::Files;
use crate::throttle::Throttle;

/// The longest path of a file.
const PATH_BYTES_MAX: usize = 1024;
/// How long what a broken stream has left is kept for the next.
const KEEP_FOR: Duration = Duration::from_secs(600);

/// The files of a directory and those below, with their lengths, by path.
pub(super) fn list(vfs: &dyn Vfs, dir: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
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

/// The messages of a directory's files, without what the receiver holds of them already.
pub(super) fn sent(
    files: Arc<Files>,
    found: Vec<(PathBuf, u64)>,
    held: Vec<peer::HeldFile>,
    throttle: Arc<Throttle>,
) -> impl Stream<Item = Part> {
    let held = held.into_iter().map(|file| (file.path.clone(), file)).collect();
    let sending = Sending { files, held, rest: found.into_iter(), open: None };
    stream::unfold(sending, move |sending| {
        let throttle = Arc::clone(&throttle);
        async move {
            match blocking(move || sending.next()).await {
                Ok(next) => {
                    if let Some((Part::Chunk(chunk), _)) = &next {
                        throttle.take(chunk.data.len()).await;
                    }
                    next
                }
                Err(error) => {
                    // The receiver finds that it has less than was announced.
                    tracing::warn!(%error, "a snapshot's files cannot be read");
                    None
                }
            }
        }
    })
}

/// A directory on its way.
struct Sending {
    files: Arc<Files>,
    /// What the receiver says that it has.
    held: HashMap<String, peer::HeldFile>,
    rest: std::vec::IntoIter<(PathBuf, u64)>,
    /// The file being sent, its length, and the bytes that are sent.
    open: Option<(Box<dyn File>, u64, u64)>,
}

impl Sending {
    /// The next message; `None` at the end.
    fn next(mut self) -> io::Result<Option<(Part, Self)>> {
        if let Some((file, bytes, sent)) = &mut self.open
            && sent < bytes
        {
            let data = read(file.as_ref(), *sent, *bytes)?;
            *sent += data.len() as u64;
            return Ok(Some((chunk(data.into()), self)));
        }
        let Some((path, bytes)) = self.rest.next() else { return Ok(None) };
        let file = self.files.vfs.open_read(&self.files.dir.join(&path))?;
        let path = path.to_string_lossy().into_owned();
        let from = match self.held.remove(&path).filter(|held| held.bytes <= bytes) {
            Some(held) if digest(file.as_ref(), held.bytes)? == held.checksum => held.bytes,
            _ => 0,
        };
        self.open = Some((file, bytes, from));
        Ok(Some((Part::File(peer::SnapshotFile { path, bytes, from }), self)))
    }
}

/// A piece of a file of so many bytes.
fn read(file: &dyn File, at: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut data = vec![0; usize::try_from(bytes - at).unwrap_or(usize::MAX).min(CHUNK_BYTES)];
    file.read_exact_at(&mut data, at)?;
    Ok(data)
}

/// XXH3 of the first bytes of a file.
fn digest(file: &dyn File, bytes: u64) -> io::Result<u64> {
    let mut hash = Xxh3Default::new();
    let mut at = 0;
    while at < bytes {
        let data = read(file, at, bytes)?;
        hash.update(&data);
        at += data.len() as u64;
    }
    Ok(hash.digest())
}

/// The first bytes of a file that have come.
#[derive(Clone, Default)]
struct Front {
    bytes: u64,
    hash: Xxh3Default,
}

/// What a broken stream has left.
struct Kept {
    files: Arc<Files>,
    fronts: BTreeMap<String, Front>,
    since: Instant,
}

/// The files that come to a replica from others.
#[derive(Default)]
pub(crate) struct Incoming {
    kept: Mutex<Option<Kept>>,
    /// Bytes that have come, and bytes of all, while a stream is open.
    progress: Mutex<Option<(u64, u64)>>,
}

impl Incoming {
    /// What the sender of the next stream need not send where it has the same.
    pub(crate) fn held(&self) -> Vec<peer::HeldFile> {
        let kept = self.kept.lock();
        let fronts = kept.iter().flat_map(|kept| &kept.fronts);
        let held = fronts.map(|(path, front)| peer::HeldFile {
            path: path.clone(),
            bytes: front.bytes,
            checksum: front.hash.digest(),
        });
        held.collect()
    }

    /// Bytes that have come, and bytes of all, while files come.
    pub(crate) fn progress(&self) -> Option<(u64, u64)> {
        *self.progress.lock()
    }

    /// Removes what nobody has gone on with for long.
    pub(crate) fn forget_old(&self) {
        let old = self.kept.lock().take_if(|kept| kept.since.elapsed() >= KEEP_FOR);
        drop(old);
    }

    /// Begins to receive files of so many bytes: in the directory of a broken stream, or a new one.
    pub(super) fn begin(
        self: &Arc<Self>,
        vfs: &Arc<dyn Vfs>,
        announced: u64,
        new_dir: impl FnOnce() -> io::Result<PathBuf>,
    ) -> io::Result<Receiving> {
        let kept = self.kept.lock().take();
        let (files, before) = match kept {
            Some(kept) => (kept.files, kept.fronts),
            None => (Arc::new(Files { dir: new_dir()?, vfs: Arc::clone(vfs) }), BTreeMap::new()),
        };
        *self.progress.lock() = Some((0, announced));
        Ok(Receiving {
            incoming: Arc::clone(self),
            files,
            before,
            have: BTreeMap::new(),
            open: None,
            announced,
            bytes: 0,
            taken_over: 0,
            is_whole: false,
        })
    }
}

/// Takes the messages of a directory's files, and answers the directory when all of it is durable.
pub(super) async fn receive(
    mut receiving: Receiving,
    mut parts: impl Stream<Item = Result<Part, Status>> + Unpin,
) -> Result<Arc<Files>, Status> {
    while let Some(part) = parts.try_next().await? {
        receiving = match part {
            Part::File(file) => blocking(move || receiving.begin(file)).await?,
            Part::Chunk(chunk) => blocking(move || receiving.go_on(&chunk.data)).await?,
            Part::Head(_) => return Err(damaged("two heads")),
        };
    }
    blocking(move || receiving.finish()).await
}

/// A directory that comes in. Dropped before it is whole, it leaves what has come to the next stream.
pub(super) struct Receiving {
    incoming: Arc<Incoming>,
    files: Arc<Files>,
    /// What a broken stream has left and this one has not come to.
    before: BTreeMap<String, Front>,
    /// The files that are here.
    have: BTreeMap<String, Front>,
    open: Option<Open>,
    announced: u64,
    /// Bytes of all files so far.
    bytes: u64,
    /// Those of them that had come before.
    taken_over: u64,
    is_whole: bool,
}

/// The file being written.
struct Open {
    path: String,
    file: Box<dyn File>,
    /// The length it will have.
    bytes: u64,
    front: Front,
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the snapshot is damaged: {what}"))
}

impl Receiving {
    fn begin(mut self, file: peer::SnapshotFile) -> io::Result<Self> {
        self.end_file()?;
        let peer::SnapshotFile { path, bytes, from } = file;
        let relative = Path::new(&path);
        let is_plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || path.is_empty() || path.len() > PATH_BYTES_MAX {
            return Err(malformed("a file has a path that leads elsewhere"));
        }
        if self.have.contains_key(&path) {
            return Err(malformed("a file comes twice"));
        }
        let vfs = &self.files.vfs;
        let full = self.files.dir.join(relative);
        let before = self.before.remove(&path).filter(|front| front.bytes == from && from <= bytes);
        let (file, front) = match before {
            Some(front) if from > 0 => {
                let file = vfs.open(&full)?;
                // A write that failed may have left more.
                file.set_len(from)?;
                (file, front)
            }
            _ if from > 0 => return Err(malformed("a file goes on that is not here")),
            _ => {
                vfs.create_dir_all(full.parent().unwrap_or(&self.files.dir))?;
                if vfs.exists(&full)? {
                    vfs.remove_file(&full)?;
                }
                (vfs.create(&full)?, Front::default())
            }
        };
        self.open = Some(Open { path, file, bytes, front });
        self.taken_over += from;
        self.count(from)?;
        Ok(self)
    }

    fn go_on(mut self, data: &[u8]) -> io::Result<Self> {
        let Some(Open { file, bytes, front, .. }) = &mut self.open else {
            return Err(malformed("a chunk of no file"));
        };
        if *bytes - front.bytes < data.len() as u64 {
            return Err(malformed("a file is longer than announced"));
        }
        file.write_all_at(data, front.bytes)?;
        front.hash.update(data);
        front.bytes += data.len() as u64;
        self.count(data.len() as u64)?;
        Ok(self)
    }

    fn count(&mut self, more: u64) -> io::Result<()> {
        self.bytes = self.bytes.saturating_add(more);
        if self.bytes > self.announced {
            return Err(malformed("it is longer than announced"));
        }
        *self.incoming.progress.lock() = Some((self.bytes, self.announced));
        Ok(())
    }

    fn end_file(&mut self) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|open| open.bytes != open.front.bytes) {
            return Err(malformed("a file ends early"));
        }
        if let Some(open) = self.open.take() {
            open.file.sync_data()?;
            self.have.insert(open.path, open.front);
        }
        Ok(())
    }

    /// Makes everything durable.
    fn finish(mut self) -> io::Result<Arc<Files>> {
        self.end_file()?;
        if self.bytes != self.announced {
            return Err(malformed("it ends early"));
        }
        let Files { dir, vfs } = &*self.files;
        for path in self.before.keys() {
            vfs.remove_file(&dir.join(path))?;
        }
        // The directories between are made with those below.
        let paths: Vec<PathBuf> = self.have.keys().map(|path| dir.join(path)).collect();
        let dirs: BTreeSet<&Path> =
            paths.iter().flat_map(|path| path.ancestors().skip(1)).filter(|at| at.starts_with(dir)).collect();
        dirs.into_iter().try_for_each(|dir| vfs.sync_dir(dir))?;
        if self.taken_over > 0 {
            let (bytes, of) = (self.taken_over, self.bytes);
            tracing::info!(dir = %dir.display(), bytes, of, "a snapshot went on where a broken stream had ended");
        }
        self.is_whole = true;
        Ok(Arc::clone(&self.files))
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        *self.incoming.progress.lock() = None;
        if self.is_whole {
            return;
        }
        let mut fronts = std::mem::take(&mut self.before);
        fronts.append(&mut self.have);
        fronts.extend(self.open.take().map(|open| (open.path, open.front)));
        let (files, since) = (Arc::clone(&self.files), Instant::now());
        let older = self.incoming.kept.lock().replace(Kept { files, fronts, since });
        drop(older);
    }
}

#[cfg(test)]
mod tests;
