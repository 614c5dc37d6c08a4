//! A file system in memory that loses what was not synced.
//!
//! It keeps two states, what programs see and what is on the disk, and the changes between them: written blocks, file
//! lengths and names. [`SimVfs::crash`] makes the file system that a power cut may leave, by keeping any of those
//! changes and losing the others; content becomes safe by `sync_data`, names by `sync_dir`, and neither by the other.
//! Everything is deterministic: same operations, same seed, same bytes.
//!
//! A crash test either runs its work once for each point, with [`SimVfs::power_off_after`], or takes copies on the way
//! with [`SimVfs::crash`], which leaves the running file system as it is.

mod content;
mod fault;
mod random;
#[cfg(test)]
mod tests;
mod tree;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

pub use fault::{Failure, Fault, Op, OpKind};
pub use random::Random;

use super::{File, Space, Vfs, sync_failed_before};
use fault::{Faults, eio, enospc};
use tree::{SharedContent, Tree};

/// The free space of a file system that nobody limited.
const UNLIMITED_BYTES: u64 = 1 << 40;

/// A simulated file system. Clones share the state.
#[derive(Debug, Clone)]
pub struct SimVfs {
    state: Arc<Mutex<State>>,
}

/// What a power cut leaves of the changes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerCut {
    /// Nothing.
    Lost,
    /// All, as after the kill of a process.
    Kept,
    /// Any: each block, length and name is kept or lost by a coin whose bias and throws come from the seed.
    Torn {
        /// Source of the choices.
        seed: u64,
        /// Unit in which content is kept: 512 or 4096.
        block_bytes: u32,
    },
}

/// A part of the un-synced changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// A created, renamed, linked or removed name.
    Name,
    /// The length of a file.
    Length,
    /// One block of one write.
    Block,
}

#[derive(Debug)]
struct State {
    tree: Tree,
    ops: u64,
    off_after: Option<u64>,
    faults: Faults,
    /// All that may be stored, when limited.
    capacity_bytes: Option<u64>,
    trace: Option<Vec<Op>>,
}

/// What becomes of an operation that does not fail outright.
enum Course {
    Done,
    Lost,
    Short(usize, io::Error),
    Misdirected(u64),
}

impl State {
    /// Counts an operation; an error when it must fail.
    fn begin(&mut self, op: Op) -> io::Result<Course> {
        if self.is_off() {
            return Err(io::Error::other("the power is off"));
        }
        let failure = self.faults.next(op.kind, &op.path);
        if op.kind.changes() {
            self.ops += 1;
            if let Some(trace) = &mut self.trace {
                trace.push(op);
            }
        }
        match failure {
            None => Ok(Course::Done),
            Some(Failure::Io) => Err(eio()),
            Some(Failure::Full) => Err(enospc()),
            Some(Failure::ShortThenIo(bytes)) => Ok(Course::Short(bytes, eio())),
            Some(Failure::ShortThenFull(bytes)) => Ok(Course::Short(bytes, enospc())),
            Some(Failure::Lost) => Ok(Course::Lost),
            Some(Failure::Misdirected(by)) => Ok(Course::Misdirected(by)),
        }
    }

    fn is_off(&self) -> bool {
        self.off_after.is_some_and(|ops| self.ops >= ops)
    }

    fn free_bytes(&self) -> u64 {
        self.total_bytes().saturating_sub(self.tree.used_bytes())
    }

    fn total_bytes(&self) -> u64 {
        self.capacity_bytes.unwrap_or(UNLIMITED_BYTES)
    }

    /// How far a file of `len` bytes may grow.
    fn len_max(&self, len: u64) -> u64 {
        if self.capacity_bytes.is_some() { len.saturating_add(self.free_bytes()) } else { u64::MAX }
    }
}

impl Default for SimVfs {
    fn default() -> Self {
        Self::new()
    }
}

impl SimVfs {
    /// An empty file system: a root directory, no limit, no faults.
    #[must_use]
    pub fn new() -> Self {
        Self::from_tree(Tree::new(), None)
    }

    fn from_tree(tree: Tree, capacity_bytes: Option<u64>) -> Self {
        let faults = Faults::default();
        let state = State { tree, ops: 0, off_after: None, faults, capacity_bytes, trace: None };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// How many operations that change something were tried so far.
    #[must_use]
    pub fn ops(&self) -> u64 {
        self.state.lock().ops
    }

    /// Once `ops` changing operations were tried (see [`Self::ops`]), every operation fails.
    pub fn power_off_after(&self, ops: u64) {
        self.state.lock().off_after = Some(ops);
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.state.lock().is_off()
    }

    /// A file system as a power cut at this moment may leave it. This one stays as it is.
    #[must_use]
    pub fn crash(&self, cut: PowerCut) -> Self {
        match cut {
            PowerCut::Lost => self.crash_with(512, &mut |_| false),
            PowerCut::Kept => self.crash_with(512, &mut |_| true),
            PowerCut::Torn { seed, block_bytes } => {
                let mut random = Random::new(seed);
                let biases = [1, 4, 7].map(|eighths| eighths * (u64::MAX / 8));
                let mut bias = || biases[usize::try_from(random.number() % 3).unwrap_or(0)];
                let (names, content) = (bias(), bias());
                self.crash_with(block_bytes, &mut |part| {
                    random.number() < if part == Unsynced::Name { names } else { content }
                })
            }
        }
    }

    /// As [`Self::crash`], where `keep` decides about each un-synced part, asked in a fixed order. A test can go
    /// through all subsets by answering with the bits of a counter.
    #[must_use]
    pub fn crash_with(&self, block_bytes: u32, keep: &mut dyn FnMut(Unsynced) -> bool) -> Self {
        let state = self.state.lock();
        let block_bytes = usize::try_from(block_bytes.max(1)).unwrap_or(usize::MAX);
        Self::from_tree(state.tree.after_cut(block_bytes, keep), state.capacity_bytes)
    }

    /// Whether a power cut could lose something of the content of this file.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn is_dirty(&self, path: &Path) -> io::Result<bool> {
        let file = self.state.lock().tree.file(path)?;
        let dirty = file.lock().is_dirty();
        Ok(dirty)
    }

    /// Adds a failure to come.
    pub fn inject(&self, fault: Fault) {
        self.state.lock().faults.push(fault);
    }

    /// Takes back all failures that did not come yet.
    pub fn heal(&self) {
        self.state.lock().faults.clear();
    }

    /// How many failures are still to come.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.state.lock().faults.len()
    }

    /// Leaves so many bytes free. Files that grow use them up, removed ones give them back.
    pub fn set_free_bytes(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.capacity_bytes = Some(state.tree.used_bytes().saturating_add(bytes));
    }

    /// Flips the bits of `mask` in one byte of a file, on the disk and in the cache.
    ///
    /// # Errors
    /// When there is no such file or it is shorter.
    pub fn corrupt(&self, path: &Path, offset: u64, mask: u8) -> io::Result<()> {
        let file = self.state.lock().tree.file(path)?;
        let flipped = file.lock().corrupt(offset, mask);
        if flipped { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// From now on keeps each changing operation for [`Self::take_trace`].
    pub fn record_trace(&self) {
        self.state.lock().trace = Some(Vec::new());
    }

    /// The operations since [`Self::record_trace`], which ends the recording.
    #[must_use]
    pub fn take_trace(&self) -> Vec<Op> {
        self.state.lock().trace.take().unwrap_or_default()
    }

    /// Does an operation on names under the lock.
    fn act<T>(
        &self,
        kind: OpKind,
        path: &Path,
        lost: T,
        act: impl FnOnce(&mut Tree) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state.lock();
        match state.begin(Op { kind, path: path.to_owned(), offset: 0, bytes: 0 })? {
            Course::Lost => Ok(lost),
            Course::Short(_, error) => Err(error),
            Course::Done | Course::Misdirected(_) => act(&mut state.tree),
        }
    }

    /// Does an operation that gives a file; it cannot be lost.
    fn open_file(
        &self,
        kind: OpKind,
        path: &Path,
        writable: bool,
        act: impl FnOnce(&mut Tree) -> io::Result<SharedContent>,
    ) -> io::Result<Box<dyn File>> {
        let content = self.act(kind, path, None, |tree| act(tree).map(Some))?.ok_or_else(eio)?;
        Ok(Box::new(SimFile {
            state: Arc::clone(&self.state),
            path: path.to_owned(),
            content,
            writable,
            sync_failed: AtomicBool::new(false),
        }))
    }
}

impl Vfs for SimVfs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.open_file(OpKind::Create, path, true, |tree| tree.create(path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.open_file(OpKind::Open, path, true, |tree| tree.file(path))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.open_file(OpKind::Open, path, false, |tree| tree.file(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.act(OpKind::Rename, to, (), |tree| tree.rename(from, to))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.act(OpKind::HardLink, to, (), |tree| tree.hard_link(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.act(OpKind::Remove, path, (), |tree| tree.remove_file(path))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.act(OpKind::Remove, path, (), |tree| tree.remove_dir_all(path))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.act(OpKind::CreateDir, path, (), |tree| tree.create_dir_all(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.act(OpKind::List, path, Vec::new(), |tree| {
            Ok(tree.list(path)?.into_iter().map(PathBuf::from).collect())
        })
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.act(OpKind::List, path, false, |tree| tree.exists(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.act(OpKind::SyncDir, path, (), |tree| tree.sync_dir(path))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.act(OpKind::List, path, (), |tree| tree.dir_exists(path))?;
        let state = self.state.lock();
        Ok(Space { free_bytes: state.free_bytes(), total_bytes: state.total_bytes() })
    }
}

/// An open simulated file.
#[derive(Debug)]
struct SimFile {
    state: Arc<Mutex<State>>,
    /// The name under which it was opened.
    path: PathBuf,
    content: SharedContent,
    writable: bool,
    sync_failed: AtomicBool,
}

impl SimFile {
    fn begin(&self, state: &mut State, kind: OpKind, offset: u64, bytes: u64) -> io::Result<Course> {
        if self.sync_failed.load(Ordering::Acquire) {
            return Err(sync_failed_before());
        }
        if !self.writable && matches!(kind, OpKind::Write | OpKind::SetLen) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        state.begin(Op { kind, path: self.path.clone(), offset, bytes })
    }

    fn resize(&self, len: u64, shrink: bool) -> io::Result<()> {
        let mut state = self.state.lock();
        match self.begin(&mut state, OpKind::SetLen, 0, len)? {
            Course::Lost => return Ok(()),
            Course::Short(_, error) => return Err(error),
            Course::Done | Course::Misdirected(_) => {}
        }
        let old = self.content.lock().len();
        if len > state.len_max(old) {
            return Err(enospc());
        }
        if len > old || (shrink && len < old) {
            self.content.lock().set_len(len);
        }
        Ok(())
    }
}

impl File for SimFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        match self.begin(&mut state, OpKind::Read, offset, buffer.len() as u64)? {
            Course::Short(_, error) => return Err(error),
            Course::Lost | Course::Done | Course::Misdirected(_) => {}
        }
        let whole = self.content.lock().read(buffer, offset);
        if whole { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let (len, offset, mut end) =
            match self.begin(&mut state, OpKind::Write, offset, bytes.len() as u64)? {
                Course::Done => (bytes.len(), offset, Ok(())),
                Course::Lost => (0, offset, Ok(())),
                Course::Short(len, error) => (len.min(bytes.len()), offset, Err(error)),
                Course::Misdirected(by) => (bytes.len(), offset.saturating_add(by), Ok(())),
            };
        let mut content_len = len;
        let old = self.content.lock().len();
        if offset.saturating_add(len as u64) > old {
            let room = state.len_max(old).saturating_sub(offset);
            if room < len as u64 {
                content_len = usize::try_from(room).unwrap_or(len);
                end = Err(enospc());
            }
        }
        let written = bytes.get(..content_len).unwrap_or(bytes);
        if !written.is_empty() {
            self.content.lock().write(written, offset);
        }
        end
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.state.lock();
        self.begin(&mut state, OpKind::Read, 0, 0)?;
        Ok(self.content.lock().len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.resize(len, true)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.resize(len, false)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let was_off = state.is_off();
        match self.begin(&mut state, OpKind::SyncData, 0, 0) {
            Ok(Course::Done | Course::Misdirected(_)) => self.content.lock().sync(),
            Ok(Course::Lost) => {}
            Ok(Course::Short(_, error)) | Err(error) => {
                if !was_off {
                    self.content.lock().fail_sync();
                    self.sync_failed.store(true, Ordering::Release);
                }
                return Err(error);
            }
        }
        Ok(())
    }
}
