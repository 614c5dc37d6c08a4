//! One process per data directory: a lock that the kernel releases with the process, however it ends.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Holds the data directory until dropped.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock, creating the directory; `WouldBlock` when another process has it.
    #[expect(
        clippy::disallowed_methods,
        reason = "a lock is no data: it must be the kernel's, never simulated"
    )]
    pub(crate) fn take(data_dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(data_dir)?;
        let file = File::options().create(true).truncate(false).write(true).open(data_dir.join("LOCK"))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { _file: file })
    }

    /// Takes the lock as [`DirectoryLock::take`] does, and creates nothing: `None` where no node has ever run. A lock
    /// can be taken by who may read its file only.
    #[expect(
        clippy::disallowed_methods,
        reason = "a lock is no data: it must be the kernel's, never simulated"
    )]
    pub(crate) fn take_existing(data_dir: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(data_dir.join("LOCK")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Some(Self { _file: file }))
    }
}
