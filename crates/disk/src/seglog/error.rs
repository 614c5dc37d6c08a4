//! What can go wrong with a log, sorted by what the caller must do: wait for space, stop, or restore from a peer.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use super::Location;

/// Why the receiver of records refused one.
pub type RecordError = Box<dyn Error + Send + Sync>;

/// Why a log could not be opened. No variant leaves changed files behind but for [`OpenError::Io`], which may have
/// happened while a torn tail was cut; opening again is safe.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk refused an operation.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// The operation.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Data that had been synced, or may have been, is damaged: restore this replica from its peers or a backup.
    #[error("{} is corrupt at byte {offset}, {proof}: {damage}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Number of the segment.
        segment: u64,
        /// Where the damaged batch begins.
        offset: u32,
        /// What is wrong there.
        damage: Damage,
        /// Why it is no torn tail.
        proof: Proof,
    },
    /// A segment is gone that must have been there: restore this replica from its peers or a backup.
    #[error("{} is missing although the log goes on after it or says that it exists", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Number of the segment.
        segment: u64,
    },
    /// The file is of a format that this version does not know.
    #[error("{} was written by another version (log format {format}, this version reads {known})", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Its format byte.
        format: u8,
        /// The format that we know.
        known: u8,
    },
    /// The options ask for impossible segments.
    #[error("a segment of {bytes} bytes is outside {min}..={max}")]
    SegmentBytes {
        /// What was asked for.
        bytes: u64,
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// The receiver of the records refused one.
    #[error("a sound record was refused at segment {} byte {}", location.segment, location.offset)]
    Record {
        /// The record.
        location: Location,
        /// Its reason.
        source: RecordError,
    },
}

/// What shows that damage is not what a crash left of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Proof {
    /// Something that was written later says that the place had been synced.
    #[error("in a part that had been synced")]
    Synced,
    /// No part of the write is missing.
    #[error("where no part of what was written is missing")]
    Shape,
}

/// Why an operation on an open log failed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The caller's record is too long; nothing was written.
    #[error("a record of {bytes} bytes is longer than record_bytes_max = {limit}")]
    RecordTooLong {
        /// Its bytes.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The caller's batch does not fit in a segment; nothing was written.
    #[error("a batch of {bytes} bytes is longer than a segment's {limit}")]
    BatchTooLong {
        /// Its bytes, record headers included.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// No space; nothing was appended, and a later attempt may succeed.
    #[error("no space to write {}", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The disk refused an operation, and the log is poisoned: what is on the disk is in doubt.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// The operation.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// An earlier failure closed the log.
    #[error("the log is closed: an earlier write or sync failed")]
    Poisoned,
    /// An old segment could not be removed; the log stays usable.
    #[error("could not remove {}", path.display())]
    Remove {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A record could not be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A record is not what was written there.
    #[error("{} is corrupt at byte {offset}: {damage}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Number of the segment.
        segment: u64,
        /// Where the record begins.
        offset: u32,
        /// What is wrong there.
        damage: Damage,
    },
    /// The record's segment was removed.
    #[error("segment {segment} has been removed")]
    Removed {
        /// Its number.
        segment: u64,
    },
}

/// How bytes on the disk differ from what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Not a segment, or its header's checksum is wrong.
    #[error("bad segment header")]
    SegmentHeader,
    /// The header is sound but says another segment number.
    #[error("the header of another segment")]
    OtherSegment,
    /// The file ends within a header, batch or record.
    #[error("the file ends too early")]
    Truncated,
    /// There is no batch where one must begin.
    #[error("no batch begins here")]
    NoBatch,
    /// The batch header's checksum is wrong.
    #[error("bad batch header checksum")]
    BatchHeader,
    /// The header is sound but belongs elsewhere.
    #[error("a batch of another place")]
    Displaced,
    /// The header is sound but follows another batch than the one before it: a write was lost or is stale.
    #[error("the batch does not continue the one before")]
    Chain,
    /// Lengths contradict one another.
    #[error("bad length")]
    Length,
    /// A record's checksum is wrong.
    #[error("bad record checksum")]
    RecordChecksum,
    /// A sector of a batch does not begin with its mark.
    #[error("bad mark of a sector")]
    Mark,
    /// What ends and fills up a batch is not what is written there.
    #[error("bad padding")]
    Padding,
}

/// Whether an error says that there is no space.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
