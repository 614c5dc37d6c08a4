//! What a test can make go wrong, and what it can look at.

use std::io;
use std::path::{Path, PathBuf};

/// Kinds of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpKind {
    /// `Vfs::create`
    Create,
    /// `Vfs::open` and `Vfs::open_read`
    Open,
    /// `Vfs::rename`
    Rename,
    /// `Vfs::hard_link`
    HardLink,
    /// `Vfs::remove_file` and `Vfs::remove_dir_all`
    Remove,
    /// `Vfs::create_dir_all`
    CreateDir,
    /// `Vfs::list`, `Vfs::exists` and `Vfs::space`
    List,
    /// `Vfs::sync_dir`
    SyncDir,
    /// `File::read_exact_at` and `File::len`
    Read,
    /// `File::write_all_at`
    Write,
    /// `File::set_len` and `File::allocate`
    SetLen,
    /// `File::sync_data`
    SyncData,
}

impl OpKind {
    /// Whether it changes what a power cut may leave. These are counted and traced.
    pub(super) fn changes(self) -> bool {
        !matches!(self, Self::Open | Self::List | Self::Read)
    }
}

/// One operation that changed something, or tried to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// What was done.
    pub kind: OpKind,
    /// To what; a file keeps the name under which it was opened.
    pub path: PathBuf,
    /// Where in the file, for writes.
    pub offset: u64,
    /// How many bytes, or the new length.
    pub bytes: u64,
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The device answers EIO; nothing is done. A failed sync also loses track of the changes, as kernels do.
    Io,
    /// There is no space (ENOSPC); nothing is done.
    Full,
    /// A write stops after so many bytes, then answers EIO.
    ShortThenIo(usize),
    /// A write stops after so many bytes, then answers ENOSPC.
    ShortThenFull(usize),
    /// The operation reports success but does nothing: a lost write, a lying sync.
    Lost,
    /// A write goes so many bytes further on than it should and reports success.
    Misdirected(u64),
}

/// A failure to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    kind: OpKind,
    /// How many matching operations still succeed.
    skip: u64,
    path_part: String,
    failure: Failure,
    forever: bool,
}

impl Fault {
    /// The `nth` (from 1) operation of this kind from now on fails.
    #[must_use]
    pub fn nth(kind: OpKind, nth: u64, failure: Failure) -> Self {
        Self { kind, skip: nth.saturating_sub(1), path_part: String::new(), failure, forever: false }
    }

    /// Only operations on paths that contain `part` count and fail.
    #[must_use]
    pub fn on(self, part: &str) -> Self {
        Self { path_part: part.to_owned(), ..self }
    }

    /// All later operations of the kind fail too, until [`super::SimVfs::heal`].
    #[must_use]
    pub fn forever(self) -> Self {
        Self { forever: true, ..self }
    }

    fn matches(&self, kind: OpKind, path: &Path) -> bool {
        self.kind == kind && path.to_string_lossy().contains(&self.path_part)
    }
}

/// The failures to come, in the order of their injection.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Counts an operation and says whether it fails.
    pub(super) fn next(&mut self, kind: OpKind, path: &Path) -> Option<Failure> {
        let mut due = None;
        for (index, fault) in self.0.iter_mut().enumerate().filter(|(_, fault)| fault.matches(kind, path)) {
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if due.is_none() {
                due = Some((index, fault.failure, fault.forever));
            }
        }
        let (index, failure, forever) = due?;
        if !forever {
            self.0.remove(index);
        }
        Some(failure)
    }
}

pub(super) fn eio() -> io::Error {
    const EIO: i32 = 5;
    io::Error::from_raw_os_error(EIO)
}

pub(super) fn enospc() -> io::Error {
    const ENOSPC: i32 = 28;
    io::Error::from_raw_os_error(ENOSPC)
}
