//! The file system as an argument.
//!
//! Semantics that callers may rely on, and that the simulated implementation enforces: bytes written are durable
//! only after `sync_data` of the file returned; a created, renamed, linked or removed name is durable only after
//! `sync_dir` of its directory; a rename replaces atomically.

mod faulty;
mod pooled;
mod real;
pub mod sim;
mod unsynced;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

pub use faulty::{Faults, FaultsError};
pub use pooled::PooledVfs;
pub use real::RealVfs;
pub use sim::SimVfs;

/// A file system.
pub trait Vfs: Send + Sync + Debug + 'static {
    /// Creates a new file for reading and writing; fails when the name exists.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Opens an existing file for reading.
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Renames, replacing what has the name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all in it; no error when it does not exist.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory and its missing parents, durably: each new name is synced in its parent.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory (file names, not paths), sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// Whether something has the name.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// How large the file system of `path` is, and how much of it is free for us.
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// Bytes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Free for us.
    pub free_bytes: u64,
    /// Free or not.
    pub total_bytes: u64,
}

/// An open file.
pub trait File: Send + Sync + Debug {
    /// Fills `buffer` from `offset`; `UnexpectedEof` when the file is shorter.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`, growing the file as needed.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or extends (with zeros) to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves space for the first `len` bytes, extending the file with zeros when it is shorter, so that later
    /// writes below `len` do not run out of space. Where the file system cannot reserve, only the length changes.
    fn allocate(&self, len: u64) -> io::Result<()> {
        if self.len()? < len { self.set_len(len) } else { Ok(()) }
    }
    /// Makes content and length durable (fdatasync). After an error the file must not be used again.
    fn sync_data(&self) -> io::Result<()>;
}

/// What a file answers after its `sync_data` failed once.
fn sync_failed_before() -> io::Error {
    io::Error::other("an earlier sync of this file failed: what it holds on the disk is unknown")
}
