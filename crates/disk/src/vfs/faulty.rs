//! Faults of the disk that are put in from outside, for tests of whole processes: at a chosen write, sync, rename or other
//! operation the process dies, as by a loss of power, or the operation fails, or takes long.
//!
//! ```text
//! faults    = fault { ";" fault }
//! fault     = "unsynced" | operation ":" part ":" which ":" action
//! operation = "create" | "write" | "sync" | "rename" | "link" | "remove" | "sync-dir"
//! which     = N | N "+" | "*"          the Nth, from the Nth on, all of those whose path has the part
//! action    = "kill" | "kill-after" | "tear" | "eio" | "full" | "sleep=" MILLISECONDS
//! ```
//! `tear` writes the first half of what is to be written and dies. With `unsynced` all that was written and not synced is
//! lost when the process dies; see [`super::unsynced`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::unsynced::UnsyncedVfs;
use super::{File, Space, Vfs, sync_failed_before};

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Create,
    Write,
    Sync,
    Rename,
    Link,
    Remove,
    SyncDir,
}

/// How it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Kill,
    KillAfter,
    Tear,
    Eio,
    Full,
    Sleep(Duration),
}

#[derive(Debug)]
struct Fault {
    operation: Operation,
    part: String,
    /// Counted from 1.
    first: u64,
    last: u64,
    action: Action,
    seen: AtomicU64,
}

/// A plan of faults.
#[derive(Debug, Default)]
pub struct Faults {
    faults: Vec<Fault>,
    loses_unsynced: bool,
}

/// A text that is no plan of faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no fault")]
pub struct FaultsError(String);

impl Faults {
    /// Reads a plan; see the module.
    ///
    /// # Errors
    /// The part that makes no sense.
    pub fn parse(text: &str) -> Result<Self, FaultsError> {
        let mut this = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            if part == "unsynced" {
                this.loses_unsynced = true;
                continue;
            }
            this.faults.push(Fault::parse(part).ok_or_else(|| FaultsError(part.to_owned()))?);
        }
        Ok(this)
    }

    /// A file system with these faults; the one given when there are none.
    #[must_use]
    pub fn put_into(self, vfs: Arc<dyn Vfs>) -> Arc<dyn Vfs> {
        let vfs = if self.loses_unsynced { Arc::new(UnsyncedVfs::new(vfs)) } else { vfs };
        if self.faults.is_empty() { vfs } else { Arc::new(FaultyVfs { vfs, faults: Arc::new(self) }) }
    }

    fn at(&self, operation: Operation, path: &Path) -> Option<Action> {
        let path = path.to_string_lossy();
        let concerned =
            self.faults.iter().filter(|fault| fault.operation == operation && path.contains(&fault.part));
        let happens = |fault: &Fault| {
            let number = fault.seen.fetch_add(1, Ordering::Relaxed) + 1;
            (fault.first..=fault.last).contains(&number)
        };
        // Each counts, whatever happens first.
        concerned.filter(|fault| happens(fault)).map(|fault| fault.action).last()
    }

    fn run<T>(
        &self,
        operation: Operation,
        path: &Path,
        work: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        match self.at(operation, path) {
            None => work(),
            Some(Action::Kill | Action::Tear) => die(),
            Some(Action::KillAfter) => {
                let _done = work();
                die()
            }
            Some(Action::Eio) => Err(rustix::io::Errno::IO.into()),
            Some(Action::Full) => Err(rustix::io::Errno::NOSPC.into()),
            Some(Action::Sleep(duration)) => {
                pause(duration);
                work()
            }
        }
    }
}

impl Fault {
    fn parse(text: &str) -> Option<Self> {
        let (operation, rest) = text.split_once(':')?;
        let (rest, action) = rest.rsplit_once(':')?;
        let (part, which) = rest.rsplit_once(':')?;
        let operation = match operation {
            "create" => Operation::Create,
            "write" => Operation::Write,
            "sync" => Operation::Sync,
            "rename" => Operation::Rename,
            "link" => Operation::Link,
            "remove" => Operation::Remove,
            "sync-dir" => Operation::SyncDir,
            _ => return None,
        };
        let (first, last) = match (which, which.strip_suffix('+')) {
            ("*", _) => (1, u64::MAX),
            (_, Some(first)) => (first.parse().ok()?, u64::MAX),
            (only, None) => (only.parse().ok()?, only.parse().ok()?),
        };
        let action = match action {
            "kill" => Action::Kill,
            "kill-after" => Action::KillAfter,
            "tear" if operation == Operation::Write => Action::Tear,
            "eio" => Action::Eio,
            "full" => Action::Full,
            other => Action::Sleep(Duration::from_millis(other.strip_prefix("sleep=")?.parse().ok()?)),
        };
        let seen = AtomicU64::new(0);
        (first > 0).then(|| Self { operation, part: part.to_owned(), first, last, action, seen })
    }
}

#[expect(clippy::disallowed_methods, reason = "a slow disk takes real time")]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Ends the process at once, as SIGKILL does.
fn die() -> ! {
    let _sent = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

#[derive(Debug)]
struct FaultyVfs {
    vfs: Arc<dyn Vfs>,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct FaultyFile {
    file: Box<dyn File>,
    path: PathBuf,
    faults: Arc<Faults>,
    sync_failed: AtomicBool,
}

impl FaultyVfs {
    fn file(&self, path: &Path, file: Box<dyn File>) -> Box<dyn File> {
        let (faults, sync_failed) = (Arc::clone(&self.faults), AtomicBool::new(false));
        Box::new(FaultyFile { file, path: path.to_owned(), faults, sync_failed })
    }
}

impl Vfs for FaultyVfs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = self.faults.run(Operation::Create, path, || self.vfs.create(path))?;
        Ok(self.file(path, file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(self.file(path, self.vfs.open(path)?))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.vfs.open_read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.run(Operation::Rename, to, || self.vfs.rename(from, to))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.run(Operation::Link, to, || self.vfs.hard_link(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.faults.run(Operation::Remove, path, || self.vfs.remove_file(path))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.faults.run(Operation::Remove, path, || self.vfs.remove_dir_all(path))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.faults.run(Operation::Create, path, || self.vfs.create_dir_all(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.vfs.list(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.vfs.exists(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.faults.run(Operation::SyncDir, path, || self.vfs.sync_dir(path))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.vfs.space(path)
    }
}

impl FaultyFile {
    fn usable(&self) -> io::Result<()> {
        if self.sync_failed.load(Ordering::Acquire) { Err(sync_failed_before()) } else { Ok(()) }
    }
}

impl File for FaultyFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.usable()?;
        self.file.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.usable()?;
        match self.faults.at(Operation::Write, &self.path) {
            None => self.file.write_all_at(bytes, offset),
            Some(Action::Tear) => {
                let (half, _lost) = bytes.split_at(bytes.len() / 2);
                let _torn = self.file.write_all_at(half, offset).and_then(|()| self.file.sync_data());
                die()
            }
            Some(Action::Kill) => die(),
            Some(Action::KillAfter) => {
                let _done = self.file.write_all_at(bytes, offset);
                die()
            }
            Some(Action::Eio) => Err(rustix::io::Errno::IO.into()),
            Some(Action::Full) => Err(rustix::io::Errno::NOSPC.into()),
            Some(Action::Sleep(duration)) => {
                pause(duration);
                self.file.write_all_at(bytes, offset)
            }
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.usable()?;
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.usable()?;
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.usable()?;
        self.file.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.usable()?;
        let synced = self.faults.run(Operation::Sync, &self.path, || self.file.sync_data());
        synced.inspect_err(|_| self.sync_failed.store(true, Ordering::Release))
    }
}

#[cfg(test)]
mod tests;
