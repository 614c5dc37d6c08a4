//! Some bytes of the disk that are kept for a start: opening the catalog and the log writes a little, and a node that
//! ended on a full disk must come up to have data deleted. They are let go at the start and taken again after it, as many
//! as there are, and the rest when there is space.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use disk::Vfs;

/// What a start writes, in blocks of 4 KiB: RocksDB's options (12 KiB), manifest, pointer, log, and the table that it makes
/// of the log before it, of which there are at most about 4 KiB, which is 28 KiB; a segment of the Raft log for the votes
/// of all groups; and what a start leaves behind that the next does not free: a table or two, and that segment.
const BYTES: u64 = 64 << 10;

/// A block of most file systems.
const BLOCK_BYTES: u64 = 4 << 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct Ballast {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    /// How much is taken.
    bytes: AtomicU64,
    has_warned: AtomicBool,
}

impl Ballast {
    /// Lets go of what an earlier run kept. To be called before anything is opened.
    pub(crate) fn let_go(vfs: Arc<dyn Vfs>, data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join("ballast");
        match vfs.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { vfs, path, bytes: AtomicU64::new(0), has_warned: AtomicBool::new(false) })
    }

    /// Takes it again, as much of it as there is. To be called when the start is over, because most of what that wrote it
    /// has replaced, and whenever there is space.
    pub(crate) fn take(&self) {
        if self.bytes.load(Ordering::Relaxed) == BYTES {
            return;
        }
        let taken = self.vfs.exists(&self.path).and_then(|there| {
            let file = if there { self.vfs.open(&self.path) } else { self.vfs.create(&self.path) }?;
            let mut sizes = (1..=BYTES / BLOCK_BYTES).rev().map(|blocks| blocks * BLOCK_BYTES);
            let most = sizes.find(|bytes| file.allocate(*bytes).is_ok());
            file.sync_data()?;
            Ok(most.unwrap_or(0))
        });
        match taken {
            Ok(bytes) => self.bytes.store(bytes, Ordering::Relaxed),
            // The next start may need the operator's help; nothing else does. It is tried often, and told once.
            Err(error) if self.has_warned.swap(true, Ordering::Relaxed) => drop(error),
            Err(error) => {
                tracing::warn!(%error, path = %self.path.display(), "cannot keep some space for the next start");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use disk::SimVfs;

    use super::*;

    #[test]
    fn it_is_taken_once_and_let_go_at_the_next_start() {
        let vfs = SimVfs::new();
        vfs.create_dir_all(Path::new("/data")).unwrap();
        let free = || vfs.space(Path::new("/data")).unwrap().free_bytes;
        let before = free();
        let ballast = Ballast::let_go(Arc::new(vfs.clone()), Path::new("/data")).unwrap();
        assert_eq!(free(), before);
        ballast.take();
        ballast.take();
        assert_eq!(before - free(), BYTES);
        Ballast::let_go(Arc::new(vfs.clone()), Path::new("/data")).unwrap();
        assert_eq!(free(), before);
    }

    #[test]
    fn as_much_is_taken_as_there_is_and_the_rest_when_there_is_more() {
        let dir = tempfile::tempdir().unwrap();
        let vfs: Arc<dyn Vfs> = Arc::new(disk::RealVfs);
        let ballast = Ballast::let_go(Arc::clone(&vfs), dir.path()).unwrap();
        let file = vfs.create(&dir.path().join("ballast")).unwrap();
        file.allocate(3 * BLOCK_BYTES).unwrap();
        ballast.bytes.store(3 * BLOCK_BYTES, Ordering::Relaxed);
        ballast.take();
        assert_eq!(file.len().unwrap(), BYTES);
        assert_eq!(ballast.bytes.load(Ordering::Relaxed), BYTES);
    }
}
