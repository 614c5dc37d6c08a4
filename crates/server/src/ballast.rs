//! Some bytes of the disk that are kept for a start: opening the catalog and the log writes a little, and a node that
//! ended on a full disk must come up to have data deleted. They are let go at the start and taken again when there is
//! space.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use disk::Vfs;

/// What a start writes, in blocks of 4 KiB: RocksDB's options (12 KiB), manifest, pointer, log, and the table that it makes
/// of the log before it, of which there are at most about 4 KiB, which is 28 KiB; and a segment of the Raft log for the votes
/// of all groups.
const BYTES: u64 = 48 << 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct Ballast {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    is_taken: AtomicBool,
}

impl Ballast {
    /// Lets go of what an earlier run kept. To be called before anything is opened.
    pub(crate) fn let_go(vfs: Arc<dyn Vfs>, data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join("ballast");
        match vfs.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { vfs, path, is_taken: AtomicBool::new(false) })
    }

    /// Takes it again, once. To be called while there is space.
    pub(crate) fn take(&self) {
        if self.is_taken.swap(true, Ordering::Relaxed) {
            return;
        }
        let taken = self.vfs.create(&self.path).and_then(|file| {
            file.allocate(BYTES)?;
            file.sync_data()
        });
        if let Err(error) = taken {
            // The next start may need the operator's help; nothing else does.
            tracing::warn!(%error, path = %self.path.display(), "cannot keep some space for the next start");
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
}
