//! A copy of everything that is in files, made of links: a directory that an engine opens, of which nothing ever
//! changes. It is what another replica is sent, and what it checks before it opens it.

use std::io;
use std::path::{Path, PathBuf};

use disk::Vfs;
use hashbrown::HashSet;
use model::LogPosition;

use super::{Durable, Engine, file_path, segment_path};
use crate::error::{Damage, OpenError};
use crate::manifest::{self, Live, Manifest};
use crate::tsm::check::Reading;

impl Engine {
    /// Makes a directory that holds everything up to the position up to which everything is in files, and answers that
    /// position with its membership. The directory is on the same file system and does not exist.
    ///
    /// # Errors
    /// The directory cannot be made; what there is of it can be removed.
    pub fn checkpoint(&self, to: &Path) -> Result<(Option<LogPosition>, Vec<u8>), OpenError> {
        let vfs = &*self.inner.vfs;
        // No file that the manifest names is unlinked while nobody can append to it.
        let manifest = self.inner.manifest.lock();
        let live = manifest.live().clone();
        let mut dirs = HashSet::new();
        vfs.create_dir_all(to).map_err(OpenError::io("create", to))?;
        for (from, copy) in paths(&self.inner.dir, &live).zip(paths(to, &live)) {
            let dir = copy.parent().unwrap_or(to);
            if dirs.insert(dir.to_owned()) {
                vfs.create_dir_all(dir).map_err(OpenError::io("create", dir))?;
            }
            vfs.hard_link(&from, &copy).map_err(OpenError::io("link", &from))?;
        }
        drop(manifest);
        let durable = live.durable.clone();
        Manifest::found(vfs, to, live, self.inner.options.manifest_bytes_max)?;
        Ok(match durable {
            Some(Durable { position, membership }) => (Some(position), membership),
            None => (None, Vec::new()),
        })
    }
}

/// Up to where everything is in files in the directory of an engine that is not open, with the membership of then; `None`
/// before the first flush, and where there is no engine yet. Only the manifest is read.
///
/// # Errors
/// The manifest cannot be read.
pub fn durable_in(vfs: &dyn Vfs, dir: &Path) -> Result<Option<(LogPosition, Vec<u8>)>, OpenError> {
    match manifest::look(vfs, dir) {
        Ok((live, _, _)) => Ok(live.durable.map(|durable| (durable.position, durable.membership))),
        Err(OpenError::ManifestMissing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Checks every byte of a checkpoint that came from elsewhere, and answers its position.
///
/// # Errors
/// The first file that is not what the manifest says, or that nothing says what it is.
pub fn check_checkpoint(vfs: &dyn Vfs, dir: &Path) -> Result<Option<LogPosition>, OpenError> {
    let (live, path, flaw) = manifest::look(vfs, dir)?;
    if flaw.is_some() {
        return Err(OpenError::damaged(&path, 0)(Damage::Checksum));
    }
    let files = live.files.values().map(|file| (file.bytes, file.checksum));
    let expected = files.chain(live.segments.values().map(|segment| (segment.bytes, segment.checksum)));
    for (path, (bytes, checksum)) in paths(dir, &live).zip(expected) {
        let file = vfs.open_read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => {
                OpenError::WrongFile { path: path.clone(), expected: bytes, found: None }
            }
            _ => OpenError::Io { doing: "open", path: path.clone(), source: source.into() },
        })?;
        let found = file.len().map_err(OpenError::io("read the length of", &path))?;
        if found != bytes {
            return Err(OpenError::WrongFile { path, expected: bytes, found: Some(found) });
        }
        let sum = Reading::default().go_on(&*file, bytes, bytes).map_err(OpenError::io("read", &path))?;
        if sum != Some(checksum) {
            return Err(OpenError::damaged(&path, 0)(Damage::Checksum));
        }
    }
    Ok(live.durable.map(|durable| durable.position))
}

/// The live files and segments of a directory, files first, each by number.
fn paths(dir: &Path, live: &Live) -> impl Iterator<Item = PathBuf> {
    let files = live.files.values().map(|file| file_path(dir, file.bucket, file.shard, file.number));
    files.chain(live.segments.values().map(|segment| segment_path(dir, segment.bucket, segment.number)))
}
