//! Why an engine does not open, why it has stopped, and why a read fails.
//!
//! The three questions of a caller: retry? whose fault? is data in doubt?
//! - [`OpenError`]: not without repair; the disk's; the files named are in doubt.
//! - [`FatalError`]: never on this engine (close it, open it again, let the log replay); the disk's; what was
//!   durable stays so.
//! - [`FlushError`]: `NoRoom` yes, and the engine does by itself; the disk's; none.
//! - [`ReadError`]: `Io` perhaps, `Damaged` and `Lost` when the file is mended; the disk's; only what is named is in
//!   doubt.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::Timestamp;

/// What is wrong with bytes that were read from a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The checksum does not fit the bytes.
    #[error("checksum mismatch")]
    Checksum,
    /// The bytes end before what they announce.
    #[error("cut short")]
    Truncated,
    /// A number or text that no writer of ours produces; the word says which.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// The file's magic bytes are missing.
    #[error("not a file of this kind")]
    Magic,
    /// Two things that say the same do not agree; the words say which.
    #[error("{0}: what is there differs from what is said of it")]
    Differs(&'static str),
    /// Written by a newer version of this program.
    #[error("format version {0} is not one that this program reads")]
    Version(u16),
    /// Nothing is wrong with the bytes: another version of this program wrote them.
    #[error("{0}")]
    OtherVersion(OtherVersion),
}

/// The format of a file that another version of this program wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherVersion {
    /// What kind of file it is.
    pub kind: &'static str,
    /// The version of its format.
    pub found: u16,
    /// The version that this program reads.
    pub reads: u16,
}

impl fmt::Display for OtherVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, found, reads } = self;
        let age = if found > reads { "a newer" } else { "an older" };
        write!(f, "written by {age} version ({kind} format {found}, this version reads {reads})")
    }
}

/// Why an engine does not open, or what is wrong with a file without which it does.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// An operation on a file failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// The verb.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// A file that the engine needs is damaged. It is left as it is, for repair.
    #[error("{} is damaged at byte {offset}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage was noticed.
        offset: u64,
        /// What it is.
        source: Damage,
    },
    /// Another version of this program wrote the file. Nothing is wrong with it.
    #[error("{} was {version}", path.display())]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: OtherVersion,
    },
    /// A file that the manifest names does not exist or has another length.
    #[error("{} {}", path.display(), length_differs(*expected, *found))]
    WrongFile {
        /// The file.
        path: PathBuf,
        /// Bytes according to the manifest.
        expected: u64,
        /// Bytes found; `None` when there is no such file.
        found: Option<u64>,
    },
    /// A segment of the index is lost, and the keys that would make it anew cannot be read from the file.
    #[error("{source}, and the series index needs its keys")]
    Keys {
        /// Why; it names the file.
        source: ReadError,
    },
    /// The file came back after it and a segment of the index were lost at the same time, and its series have got other
    /// ids meanwhile.
    #[error("the series of {} have other ids by now", path.display())]
    OtherIds {
        /// The file.
        path: PathBuf,
    },
    /// The directory was an engine's before, and its manifest is gone.
    #[error("{} holds data but no manifest", path.display())]
    ManifestMissing {
        /// The engine's directory.
        path: PathBuf,
    },
}

impl OpenError {
    /// Whether it is about the bytes of one file, so that all others can be served. What another version wrote is whole,
    /// and what could not be opened for want of descriptors may be.
    pub(crate) fn is_of_file(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::WrongFile { .. } | Self::Keys { .. } | Self::OtherIds { .. } => true,
            Self::Io { source, .. } => !is_no_room(source),
            Self::OtherVersion { .. } | Self::ManifestMissing { .. } => false,
        }
    }

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source: Arc::new(source) }
    }

    pub(crate) fn damaged(path: &Path, offset: u64) -> impl FnOnce(Damage) -> Self {
        move |source| match source {
            Damage::OtherVersion(version) => Self::OtherVersion { path: path.to_owned(), version },
            source => Self::Damaged { path: path.to_owned(), offset, source },
        }
    }
}

/// How the length of a file differs from what the manifest says.
pub(crate) fn length_differs(expected: u64, found: Option<u64>) -> String {
    match found {
        Some(found) => format!("should have {expected} bytes and has {found}"),
        None => format!("should have {expected} bytes and is missing"),
    }
}

/// Why an engine has stopped for good. It answers reads of what it has, and applies nothing any more; after it is
/// opened anew, the log fills in what had not become durable.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FatalError {
    /// Writing or syncing failed, so what the disk holds is unknown.
    #[error("cannot {doing} {}", path.display())]
    Write {
        /// The verb.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// A file that was just written does not read back.
    #[error("{} does not read back", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<OpenError>,
    },
    /// A background job of this engine panicked.
    #[error("a {job} job panicked")]
    Panicked {
        /// Which.
        job: &'static str,
    },
}

/// Why a flush did not become durable.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FlushError {
    /// The file system is full, or files may not be opened. Nothing is lost: the rows stay in memory and in the log,
    /// what was written of them is removed, and the engine tries again until there is room.
    #[error("cannot {doing} {}: {source}", path.display())]
    NoRoom {
        /// The verb.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// The engine has stopped.
    #[error(transparent)]
    Fatal(#[from] FatalError),
}

/// Why a merge is put off: there is no room for it now. No data is in doubt, and it is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoRoom {
    /// Too little of the disk is free.
    #[error("{free} bytes of the disk are free, {promised} are promised to merges and {reserve} stay free")]
    Disk {
        /// Bytes promised to merges, this one included.
        promised: u64,
        /// Bytes that stay free beyond that.
        reserve: u64,
        /// Bytes free.
        free: u64,
    },
    /// The disk does not say how much of it is free.
    #[error("cannot ask for the free space of {}: {source}", path.display())]
    Unknown {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Other merges hold the memory of merges.
    #[error(transparent)]
    Memory(#[from] memory::Exhausted),
}

/// Whether an operation failed only for want of room, and may succeed later.
pub(crate) fn is_no_room(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        || matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Why a read fails.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The disk did not return the bytes.
    #[error("cannot read {} at byte {offset}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// Why.
        source: Arc<io::Error>,
    },
    /// The disk returned bytes that are not what was written. They are never served.
    #[error("{} is damaged at byte {offset}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What it is.
        source: Damage,
    },
    /// A segment of the index was lost. The keys of its series were taken from the files that have rows of them.
    #[error("{}", told(why))]
    LostSegment {
        /// Why; it names the file.
        why: Arc<OpenError>,
    },
    /// A file cannot be served as a whole, and what it holds between two times is not known.
    #[error("{}: its rows cannot be read, from {} to {}", told(why), times.0.to_rfc3339(), times.1.to_rfc3339())]
    Lost {
        /// Why not; it names the file.
        why: Arc<OpenError>,
        /// First and last time of its rows, both inclusive.
        times: (Timestamp, Timestamp),
    },
}

/// Why a file cannot be opened, with the cause.
fn told(why: &OpenError) -> String {
    let cause = match why {
        OpenError::Damaged { source, .. } => format!(" ({source})"),
        OpenError::Io { source, .. } => format!(" ({source})"),
        _ => String::new(),
    };
    format!("{why}{cause}")
}

/// A failed write with what was being done; becomes a [`FatalError`] or a quarantined compaction.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}", path.display())]
pub(crate) struct WriteError {
    pub(crate) doing: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

impl WriteError {
    pub(crate) fn new(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { doing, path: path.to_owned(), source }
    }
}

impl From<WriteError> for FatalError {
    fn from(error: WriteError) -> Self {
        Self::Write { doing: error.doing, path: error.path, source: Arc::new(error.source) }
    }
}

impl From<WriteError> for FlushError {
    fn from(error: WriteError) -> Self {
        if is_no_room(&error.source) {
            Self::NoRoom { doing: error.doing, path: error.path, source: Arc::new(error.source) }
        } else {
            Self::Fatal(error.into())
        }
    }
}

impl From<WriteError> for OpenError {
    fn from(error: WriteError) -> Self {
        Self::Io { doing: error.doing, path: error.path, source: Arc::new(error.source) }
    }
}
