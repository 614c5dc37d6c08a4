//! The segmented log: opaque records of many writers in a row of files, durable with one sync per batch.
//!
//! What must always hold:
//! * A record whose `sync` returned is found by every later `open`, in the order of its append, or `open` fails and
//!   says where the disk lost it. Only what a crash in the middle of a write leaves is cut off its end.
//! * What `open` reports was appended once, and is durable when `open` returns.
//! * After a failed sync the log takes nothing more: the kernel may have dropped the pages.
//!
//! # Files
//!
//! `<dir>/000000001.seg`, `000000002.seg`, ... without gaps; one writer. The last one is the active one, reserved to
//! its full length when it is made: a small one first, four times the one before under load, up to the size that the
//! options name, and a small one again after [`SegmentedLog::start_small`]. A segment is prepared under the name `*.seg.new`, synced and then renamed, so a
//! file that has its final name has a good header. Segments are never used again, and what is cut off becomes zeros, so
//! behind the last batch there are zeros. All numbers are little endian, all checksums CRC-32C.
//!
//! ```text
//! segment   header (64) | batch | batch | ... | zeros up to the capacity
//!
//! header    0        8        9      16        24              28         32     60       64
//!           +--------+--------+------+---------+---------------+----------+------+--------+
//!           | magic  | format | 0    | segment | previous end  | capacity | 0    | crc32c |
//!           | TMSEGLOG  u8    |      | u64     | u32           | u32      |      | of 0..60
//!           +--------+--------+------+---------+---------------+----------+------+--------+
//!           previous end: where the segment before ended, all of it synced; 0: the log began here
//!
//! batch     header (48) | record | record | ... | 5a | zeros up to a multiple of 8
//!
//! header    0       4      5   8         16       20          24      28              32               40         44       48
//!           +-------+------+---+---------+--------+-----------+-------+---------------+----------------+----------+--------+
//!           | magic | kind | 0 | segment | offset | body len  | count | synced offset | synced segment | previous | crc32c |
//!           | TMBH  | u8   |   | u64     | u32    | u32       | u32   | u32           | u64            | crc u32  | of 0..44
//!           +-------+------+---+---------+--------+-----------+-------+---------------+----------------+----------+--------+
//!           kind: 1 records, 2 mark (idle, no records), 3 seal (the next segment is on the disk, no records)
//!           segment, offset: where this header belongs, so that a misdirected or stale block is not taken for it
//!           synced: how far the log was synced when this header was written
//!           previous crc: checksum of the batch header before, or of the segment's header: a lost write is seen
//!           the header lies in one sector of 512 bytes: where less than 48 are left, the batch begins in the next
//!           a mark or seal is a header alone
//!
//! sector    "TMSC" | the batch goes on       each but the one in which the batch begins; lengths do not count the mark
//!
//! record    0        4        8          8 + length
//!           +--------+--------+----------+
//!           | length | crc32c | payload  |      crc32c of (segment u64, offset of payload u32, length u32, payload)
//!           +--------+--------+----------+
//! ```
//!
//! # Torn tail or corruption
//!
//! A power cut may leave any sectors of what was written after the last sync, and a write that stopped its beginning.
//! Bytes that do not read as the next batch are such a torn tail, which is cut and reported, or damage to what may
//! have been acknowledged, which `open` refuses without changing anything. They are a torn tail when
//!
//! * part of the batch is missing: where its header belongs there are zeros, or the header is broken and the last that
//!   was written; or the header is sound and a sector of the batch is zeros, or the byte that ends it, or the file ends
//!   before the batch does. No sector is zeros as it is written, thanks to header and marks, whatever the records hold;
//! * and nothing proves that the place had been synced: no segment follows (its header says where this one ended), and
//!   no sound batch header further on in the same segment has a `synced` above the bad place. Such a header follows
//!   each sync: the next batch carries it, and when no batch comes the caller writes a mark within 100 ms
//!   ([`SegmentedLog::needs_mark`]). The seal tells a missing last segment from a log that ended there.
//!
//! So no change of one byte, wherever it is, loses a record whose `sync` returned: the log is refused, or the byte was
//! in a mark, a seal, the end byte of a sound batch, or where nothing was written. What cannot be told apart: a sector or
//! more of the last batches that turns to zeros, or a file that is cut, after the sync and before the mark that proves
//! it is on the disk. That is what a power cut leaves, and it is cut.
//!
//! Batches are cut whole: none of a torn batch's records is reported.

mod error;
mod format;
mod reader;
mod recover;
mod sectors;
#[cfg(test)]
mod tests;
mod verify;
mod written;

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

pub use error::{Damage, LogError, OpenError, Proof, RecordError};
pub use reader::LogReader;
pub use verify::verify;
pub use written::records_in;

use crate::vfs::{File, Vfs};
use format::{
    BATCH_HEADER_BYTES, BatchHeader, BatchKind, PADDING_BYTES_MAX, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES,
    SegmentHeader, batch_end, next_batch,
};

/// Room that every records batch leaves behind it: one mark and the seal.
const RESERVE_BYTES: u32 = 2 * (BATCH_HEADER_BYTES + PADDING_BYTES_MAX);
const SEGMENT_BYTES_MIN: u64 = 4 << 10;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// The first segment, and the one that a log at rest has, is reserved to at most this.
const SMALL_BYTES: u32 = 16 << 10;
/// What a file system gives at a time, mostly.
const BLOCK_BYTES: u32 = 4 << 10;
/// A segment takes at most one part in so many of what is free, unless a batch needs more.
const FREE_PARTS: u64 = 8;
/// How much larger than the one before a segment may be.
const GROWTH: u32 = 4;
/// The write buffer keeps at most this much room between appends.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

/// Limits of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The largest size of a segment file, 4 KiB to 1 GiB; 64 MiB in production. Segments that exist keep theirs.
    pub segment_bytes: u64,
    /// The longest record that `append` takes.
    pub record_bytes_max: u32,
}

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// Byte in the segment's file.
    pub offset: u32,
}

/// Where the payload of a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Number of the segment.
    pub segment: u64,
    /// First byte of the payload in the segment's file.
    pub offset: u32,
    /// Bytes of the payload.
    pub len: u32,
}

/// What takes the records that `open` finds.
pub type OnRecord<'a> = dyn FnMut(Location, &[u8]) -> Result<(), RecordError> + 'a;

/// What `open` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// The tail that was cut, if there was one.
    pub torn: Option<TornTail>,
    /// Records handed to the caller.
    pub records: u64,
    /// Their payload bytes.
    pub bytes: u64,
}

/// Bytes after the last whole batch, written but never synced, which a crash left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornTail {
    /// The segment that was cut, always the last.
    pub segment: u64,
    /// Where the good part ends.
    pub offset: u32,
    /// From there to the last byte that was not zero.
    pub bytes: u64,
}

/// One file of the log, as the writer and the readers share it.
#[derive(Debug, Clone)]
struct Segment {
    file: Arc<dyn File>,
    bytes: u64,
}

/// The live segments.
#[derive(Debug)]
struct Segments {
    files: RwLock<BTreeMap<u64, Segment>>,
}

/// The log's writer.
#[derive(Debug)]
pub struct SegmentedLog {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    /// The most of the segments to come.
    capacity_max: u32,
    record_bytes_max: u32,
    segments: Arc<Segments>,
    active: Active,
    /// Everything below is on the disk.
    synced: Position,
    /// Where the last batch with records ended when `synced` was set.
    records_synced: Position,
    /// The highest `synced` that a written header carries.
    declared: Position,
    poisoned: bool,
    buffer: Vec<u8>,
}

/// The segment that takes appends.
#[derive(Debug)]
struct Active {
    file: Arc<dyn File>,
    segment: u64,
    capacity: u32,
    /// Where the next batch goes.
    end: u32,
    /// Where the last batch with records ended.
    records_end: u32,
    /// Checksum of the header before `end`.
    chain: u32,
}

impl Active {
    fn end(&self) -> Position {
        Position { segment: self.segment, offset: self.end }
    }
}

impl Options {
    fn capacity(&self) -> Result<u32, OpenError> {
        // A multiple of the alignment, so that offsets stay below it.
        match u32::try_from(self.segment_bytes / 8 * 8) {
            Ok(capacity) if (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes) => {
                Ok(capacity)
            }
            _ => Err(OpenError::SegmentBytes {
                bytes: self.segment_bytes,
                min: SEGMENT_BYTES_MIN,
                max: SEGMENT_BYTES_MAX,
            }),
        }
    }
}

impl SegmentedLog {
    /// Reads the log in `dir`, which is created when it does not exist, and hands each good record to `on_record` in
    /// the order of the appends. A torn tail is cut. When this returns, everything handed over is durable.
    ///
    /// # Errors
    /// [`OpenError::Corrupt`] and [`OpenError::Missing`] when the disk lost what had been synced, in which case no
    /// file has been changed; [`OpenError::UnknownFormat`] for files of a newer version. Records may have been handed
    /// over before an error.
    pub fn open(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        options: Options,
        on_record: &mut OnRecord<'_>,
    ) -> Result<(Self, Recovery), OpenError> {
        let capacity = options.capacity()?;
        let found = recover::recover(vfs.as_ref(), dir, capacity.min(SMALL_BYTES), on_record)?;
        let end = found.active.end();
        let log = Self {
            vfs,
            dir: dir.to_owned(),
            capacity_max: capacity,
            record_bytes_max: options.record_bytes_max,
            segments: Arc::new(Segments { files: RwLock::new(found.segments) }),
            synced: end,
            records_synced: Position { offset: found.active.records_end, ..end },
            declared: found.declared,
            active: found.active,
            poisoned: false,
            buffer: Vec::new(),
        };
        Ok((log, found.recovery))
    }

    /// The most bytes that one `append` takes, records and [`SegmentedLog::RECORD_OVERHEAD_BYTES`] each together.
    #[must_use]
    pub fn batch_bytes_max(&self) -> u64 {
        let framing = SEGMENT_HEADER_BYTES + BATCH_HEADER_BYTES + PADDING_BYTES_MAX + RESERVE_BYTES;
        let sectors = self.capacity_max.saturating_sub(framing) / sectors::SECTOR_BYTES;
        // The byte that ends a batch is not the caller's.
        u64::from((sectors * sectors::SECTOR_ROOM).saturating_sub(1))
    }

    /// What a record costs on the disk above its payload.
    pub const RECORD_OVERHEAD_BYTES: u64 = RECORD_HEADER_BYTES as u64;

    /// Writes the records as one batch, all or none, and says where each lies. Not durable until [`Self::sync`].
    ///
    /// # Errors
    /// [`LogError::RecordTooLong`], [`LogError::BatchTooLong`] and [`LogError::Full`] leave the log as it was; a
    /// later append may succeed. After any other error the log is poisoned.
    pub fn append(&mut self, records: &[&[u8]]) -> Result<Vec<Location>, LogError> {
        self.usable()?;
        let (count, body) = self.measure(records)?;
        if count == 0 {
            return Ok(Vec::new());
        }
        if self.active.capacity - self.active.end < room_for(self.active.end, body) {
            self.roll(self.active.capacity.saturating_mul(GROWTH), body)?;
        }
        let header = self.header(BatchKind::Records, body, count);
        let mut buffer = std::mem::take(&mut self.buffer);
        let (chain, locations) = format::encode_batch(&header, records, &mut buffer);
        let written = self.write(&buffer, chain);
        buffer.shrink_to(BUFFER_BYTES_KEPT);
        self.buffer = buffer;
        written?;
        self.active.records_end = self.active.end;
        Ok(locations)
    }

    /// Makes everything appended durable with one fdatasync; none when nothing was written since the last.
    ///
    /// # Errors
    /// A failure poisons the log for ever: whether the records are on the disk is unknown, and asking again would
    /// not tell. The process should stop and recover by [`Self::open`].
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.usable()?;
        if self.synced == self.active.end() {
            return Ok(());
        }
        if let Err(source) = self.active.file.sync_data() {
            return Err(self.poison("sync", self.active.segment, source));
        }
        self.synced = self.active.end();
        self.records_synced = Position { offset: self.active.records_end, ..self.synced };
        Ok(())
    }

    /// Whether records were synced that no header on its way to the disk proves. When this stays true for a while
    /// (100 ms), because no batch came, the caller should call [`Self::mark_idle`].
    #[must_use]
    pub fn needs_mark(&self) -> bool {
        !self.poisoned && self.declared < self.records_synced
    }

    /// Writes a mark: a batch without records, whose header says how far the log is synced. It needs no sync of its
    /// own, the kernel writes it in its time. Nothing happens when no mark is needed.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn mark_idle(&mut self) -> Result<(), LogError> {
        self.usable()?;
        if !self.needs_mark() || self.active.capacity - self.active.end < RESERVE_BYTES {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let (chain, _) = format::encode_batch(&self.header(BatchKind::Mark, 0, 0), &[], &mut bytes);
        self.write(&bytes, chain)
    }

    /// A reader for this log, which works while the log is written.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.segments), self.dir.clone())
    }

    /// Removes the segments below `segment`, oldest first, each durably before the next, and says how many went.
    /// The active segment always stays.
    ///
    /// # Errors
    /// [`LogError::Remove`] when a file could not be removed; the log stays usable and the call may be repeated.
    /// A failed sync of the directory poisons the log.
    pub fn remove_before(&mut self, segment: u64) -> Result<u64, LogError> {
        self.usable()?;
        let mut removed = 0;
        loop {
            let first = *self.segments().start();
            if first >= segment.min(self.active.segment) {
                return Ok(removed);
            }
            let path = segment_path(&self.dir, first);
            match self.vfs.remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(LogError::Remove { path, source });
                }
                _ => self.segments.files.write().remove(&first),
            };
            removed += 1;
            if let Err(source) = self.vfs.sync_dir(&self.dir) {
                return Err(self.poison("sync the directory after the removal of", first, source));
            }
        }
    }

    /// The numbers of the first and the active segment.
    #[must_use]
    pub fn segments(&self) -> RangeInclusive<u64> {
        let first = self.segments.files.read().keys().next().copied();
        first.unwrap_or(self.active.segment)..=self.active.segment
    }

    /// Ends an active segment that is larger than a small one and starts a small one. For a log at rest, none of whose
    /// records are needed any more: [`Self::remove_before`] gives back the space of the large one.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn start_small(&mut self) -> Result<(), LogError> {
        self.usable()?;
        let small = SMALL_BYTES.min(self.capacity_max);
        if self.active.capacity <= small { Ok(()) } else { self.roll(small, 0) }
    }

    /// Bytes of all segment files, the reserved rest of the active one included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.files.read().values().map(|segment| segment.bytes).sum()
    }

    /// Where the next batch goes.
    #[must_use]
    pub fn end(&self) -> Position {
        self.active.end()
    }

    /// Everything below is durable.
    #[must_use]
    pub fn synced(&self) -> Position {
        self.synced
    }

    /// Whether a failure has closed the log for good.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    fn usable(&self) -> Result<(), LogError> {
        if self.poisoned { Err(LogError::Poisoned) } else { Ok(()) }
    }

    fn poison(&mut self, doing: &'static str, segment: u64, source: io::Error) -> LogError {
        self.poisoned = true;
        LogError::Io { doing, path: segment_path(&self.dir, segment), source }
    }

    /// Count and body bytes of a batch with these records, if it is one that fits.
    fn measure(&self, records: &[&[u8]]) -> Result<(u32, u32), LogError> {
        let limit = u64::from(self.record_bytes_max);
        let mut body = 0_u64;
        for record in records {
            let bytes = record.len() as u64;
            if bytes > limit {
                return Err(LogError::RecordTooLong { bytes, limit });
            }
            body = body.saturating_add(bytes + Self::RECORD_OVERHEAD_BYTES);
        }
        let too_long = |_| LogError::BatchTooLong { bytes: body, limit: self.batch_bytes_max() };
        let count = u32::try_from(records.len()).map_err(too_long)?;
        match u32::try_from(body) {
            Ok(bytes) if body <= self.batch_bytes_max() => Ok((count, bytes)),
            Ok(_) => Err(LogError::BatchTooLong { bytes: body, limit: self.batch_bytes_max() }),
            Err(error) => Err(too_long(error)),
        }
    }

    fn header(&self, kind: BatchKind, body: u32, records: u32) -> BatchHeader {
        BatchHeader {
            kind,
            position: self.active.end(),
            body,
            records,
            synced: self.synced,
            previous: self.active.chain,
        }
    }

    /// Writes one whole batch at the end of the active segment.
    fn write(&mut self, bytes: &[u8], chain: u32) -> Result<(), LogError> {
        let len = u32::try_from(bytes.len()).expect("a batch was measured against the segment's capacity");
        match self.active.file.write_all_at(bytes, u64::from(self.active.end)) {
            Ok(()) => {}
            Err(source) if error::is_full(&source) => {
                self.clear_rest().map_err(|source| self.poison("clear", self.active.segment, source))?;
                return Err(LogError::Full { path: segment_path(&self.dir, self.active.segment), source });
            }
            Err(source) => return Err(self.poison("write", self.active.segment, source)),
        }
        self.declared = self.synced;
        self.active.end += len;
        self.active.chain = chain;
        Ok(())
    }

    /// Makes zeros, durably, of what a write left that stopped for want of space. If the next batch were shorter, the
    /// rest behind it would look like damage; were both torn, like a mixture.
    fn clear_rest(&self) -> io::Result<()> {
        self.active.file.set_len(u64::from(self.active.end))?;
        reserve(self.active.file.as_ref(), self.active.capacity)?;
        self.active.file.sync_data()
    }

    /// Ends the active segment and starts the next, of about `capacity` bytes and large enough for records of `body`.
    fn roll(&mut self, capacity: u32, body: u32) -> Result<(), LogError> {
        self.sync()?;
        let needed = SEGMENT_HEADER_BYTES + room_for(SEGMENT_HEADER_BYTES, body);
        assert!(needed <= self.capacity_max, "a batch within batch_bytes_max fits in an empty segment");
        let mut capacity = capacity.max(needed).min(self.capacity_max);
        let least = needed.next_multiple_of(BLOCK_BYTES).min(self.capacity_max);
        // Others need what is left of a disk that gets full, not least to make room.
        if let Ok(space) = self.vfs.space(&self.dir) {
            let part = u32::try_from(space.free_bytes / FREE_PARTS).unwrap_or(u32::MAX);
            capacity = capacity.min((part - part % BLOCK_BYTES).max(least));
        }
        let active = loop {
            let next =
                SegmentHeader { segment: self.active.segment + 1, previous_end: self.active.end, capacity };
            match create_segment(self.vfs.as_ref(), &self.dir, next) {
                Ok(active) => break active,
                // Where there is no room for a large one there may be for a small one.
                Err(CreateError::Full(_)) if capacity > least => capacity = least.max(capacity / GROWTH),
                Err(CreateError::Full(source)) => {
                    return Err(LogError::Full { path: segment_path(&self.dir, next.segment), source });
                }
                Err(CreateError::Io(source)) => return Err(self.poison("create", next.segment, source)),
            }
        };
        let segment = active.segment;
        let sealed = std::mem::replace(&mut self.active, active);
        {
            let mut files = self.segments.files.write();
            let bytes = u64::from(sealed.end + BATCH_HEADER_BYTES);
            files.insert(sealed.segment, Segment { file: Arc::clone(&sealed.file), bytes });
            let file = Arc::clone(&self.active.file);
            files.insert(segment, Segment { file, bytes: u64::from(capacity) });
        }
        self.declared = self.synced;
        self.synced = self.active.end();
        self.records_synced = self.declared;
        self.seal(&sealed)
    }

    /// Frees the reserved rest of an ended segment, and notes in it that the next exists. Neither is synced: without
    /// them the segment is as good, and nothing is looked for behind its end.
    fn seal(&mut self, sealed: &Active) -> Result<(), LogError> {
        let header = BatchHeader {
            kind: BatchKind::Seal,
            position: sealed.end(),
            body: 0,
            records: 0,
            synced: self.declared,
            previous: sealed.chain,
        };
        let mut bytes = Vec::new();
        header.encode_into(&mut bytes);
        let end = u64::from(sealed.end);
        match sealed.file.set_len(end).and_then(|()| sealed.file.write_all_at(&bytes, end)) {
            Err(source) if !error::is_full(&source) => Err(self.poison("seal", sealed.segment, source)),
            _ => Ok(()),
        }
    }
}

/// The room that a batch at `offset` takes whose records have `body` bytes, with what is kept free behind it.
fn room_for(offset: u32, body: u32) -> u32 {
    next_batch(batch_end(offset, body)) - offset + RESERVE_BYTES
}

/// Reserves what a segment has not got of its capacity. Without space the log goes on: entries can be read, old
/// segments removed, and what still fits be written.
fn reserve(file: &dyn File, capacity: u32) -> io::Result<()> {
    match file.allocate(u64::from(capacity)) {
        Err(source) if !error::is_full(&source) => Err(source),
        _ => Ok(()),
    }
}

/// The path of a segment.
fn segment_path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:09}.seg"))
}

/// The number in a segment's file name.
fn segment_number(name: &Path) -> Option<u64> {
    let number = name.to_str()?.strip_suffix(".seg")?.parse().ok()?;
    // The last number has no successor.
    (segment_path(Path::new(""), number) == name && number < u64::MAX).then_some(number)
}

/// Why a segment could not be made.
enum CreateError {
    /// No space; nothing is left of it.
    Full(io::Error),
    /// Anything else.
    Io(io::Error),
}

/// Makes an empty segment, durably.
fn create_segment(vfs: &dyn Vfs, dir: &Path, header: SegmentHeader) -> Result<Active, CreateError> {
    let path = segment_path(dir, header.segment);
    let preparing = path.with_extension("seg.new");
    let (file, chain) = match prepare_segment(vfs, &preparing, header) {
        Ok(prepared) => prepared,
        Err(source) if error::is_full(&source) => {
            // Gives back what was reserved; if that fails too, the next attempt replaces the file.
            return match vfs.remove_file(&preparing) {
                Err(removal) if removal.kind() != io::ErrorKind::NotFound => Err(CreateError::Io(removal)),
                _ => Err(CreateError::Full(source)),
            };
        }
        Err(source) => return Err(CreateError::Io(source)),
    };
    vfs.rename(&preparing, &path).and_then(|()| vfs.sync_dir(dir)).map_err(CreateError::Io)?;
    Ok(Active {
        file: Arc::from(file),
        segment: header.segment,
        capacity: header.capacity,
        end: SEGMENT_HEADER_BYTES,
        records_end: SEGMENT_HEADER_BYTES,
        chain,
    })
}

fn prepare_segment(vfs: &dyn Vfs, path: &Path, header: SegmentHeader) -> io::Result<(Box<dyn File>, u32)> {
    match vfs.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = vfs.create(path)?;
    file.allocate(u64::from(header.capacity))?;
    let (bytes, chain) = header.encode();
    file.write_all_at(&bytes, 0)?;
    file.sync_data()?;
    Ok((file, chain))
}
