//! Opening a log: reads every segment in order, tells a torn tail from corruption, cuts the one and refuses the other.
//!
//! Until the whole log has been judged nothing is written. Then the good part is made durable: a process that was
//! killed may have left records in the page cache only, and one whose sync failed may have left pages that the kernel
//! holds to be clean, so what no header proves is written again before it is synced.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{
    ALIGNMENT, BATCH_HEADER_BYTES, BatchHeader, BatchKind, SEGMENT_HEADER_BYTES, SegmentHeader,
    SegmentHeaderError, batch_end, decode_records, is_torn, next_batch,
};
use super::{
    Active, CreateError, Damage, Location, OnRecord, OpenError, Position, Proof, Recovery, SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN, Segment, TornTail, create_segment, format, reserve, sectors, segment_number,
    segment_path,
};
use crate::vfs::{File, Vfs};

/// Bytes read at once where no length is known.
const CHUNK_BYTES: u32 = 1 << 20;
/// The number of a new log's first segment.
const FIRST_SEGMENT: u64 = 1;

pub(super) type Sink<'a> = dyn FnMut(Location, &[u8]) -> Result<(), OpenError> + 'a;

/// A log that may be written again.
pub(super) struct Recovered {
    pub(super) segments: BTreeMap<u64, Segment>,
    pub(super) active: Active,
    pub(super) declared: Position,
    pub(super) recovery: Recovery,
}

/// A segment file whose header is sound.
pub(super) struct Opened {
    path: PathBuf,
    file: Arc<dyn File>,
    pub(super) header: SegmentHeader,
    checksum: u32,
    /// Bytes that may hold batches: the file's length, at most the capacity.
    limit: u32,
}

/// What reading the batches of a segment came to.
pub(super) struct Scanned {
    /// Where the good part ends.
    pub(super) end: u32,
    records_end: u32,
    /// Checksum of the last good header.
    chain: u32,
    /// The highest `synced` of the good headers.
    declared: Position,
    /// What is at `end`.
    stop: Stop,
}

/// Why the bytes of a place are no batch.
#[derive(Debug, Clone, Copy)]
struct Stop {
    damage: Damage,
    looks: Looks,
}

/// Whether a crash leaves such bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    /// It does: nothing was written there, or not all of it.
    Torn,
    /// It does when they are the last: a header of which the end is missing has nothing behind it.
    TornAtEnd,
    /// It does not.
    Damaged,
}

/// What lies behind the good part of the last segment.
pub(super) struct Rest {
    /// The highest `synced` of sound headers.
    declared: Option<Position>,
    /// Whether one of them is a seal.
    pub(super) sealed: bool,
    /// Up to the last byte that is not zero.
    pub(super) bytes: u64,
}

pub(super) fn io_error<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> OpenError + 'a {
    move |source| OpenError::Io { doing, path: path.to_owned(), source }
}

pub(super) fn recover(
    vfs: &dyn Vfs,
    dir: &Path,
    capacity: u32,
    on_record: &mut OnRecord<'_>,
) -> Result<Recovered, OpenError> {
    vfs.create_dir_all(dir).map_err(io_error("create", dir))?;
    let names = vfs.list(dir).map_err(io_error("list", dir))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    let opened = open_all(vfs, dir, &numbers)?;
    let mut recovery = Recovery { torn: None, records: 0, bytes: 0 };
    let Some((last, sealed)) = opened.split_last() else {
        return begin(vfs, dir, capacity, recovery);
    };

    let mut count = |location: Location, payload: &[u8]| {
        recovery.records += 1;
        recovery.bytes += u64::from(location.len);
        on_record(location, payload).map_err(|source| OpenError::Record { location, source })
    };
    for (segment, next) in sealed.iter().zip(opened.iter().skip(1)) {
        segment.scan_up_to(next, &mut count)?;
    }
    let (scanned, rest) = last.scan_open_end(&mut count)?;
    let end = Position { segment: last.header.segment, offset: scanned.end };
    if rest.sealed {
        let segment = last.header.segment.saturating_add(1);
        return Err(OpenError::Missing { path: segment_path(dir, segment), segment });
    }
    if rest.bytes > 0 {
        recovery.torn = Some(TornTail { segment: end.segment, offset: end.offset, bytes: rest.bytes });
    }

    last.settle(&scanned, rest.bytes > 0)?;
    for name in names.iter().filter(|name| name.to_str().is_some_and(|name| name.ends_with(".seg.new"))) {
        let path = dir.join(name);
        vfs.remove_file(&path).map_err(io_error("remove", &path))?;
    }
    vfs.sync_dir(dir).map_err(io_error("sync", dir))?;

    let segments = opened.iter().map(|segment| {
        let bytes = if segment.header.segment == end.segment {
            u64::from(segment.header.capacity)
        } else {
            u64::from(segment.limit)
        };
        (segment.header.segment, Segment { file: Arc::clone(&segment.file), bytes })
    });
    Ok(Recovered {
        segments: segments.collect(),
        active: Active {
            file: Arc::clone(&last.file),
            segment: end.segment,
            capacity: last.header.capacity,
            end: scanned.end,
            records_end: scanned.records_end,
            chain: scanned.chain,
        },
        declared: scanned.declared,
        recovery,
    })
}

/// Makes the first segment of a new log.
fn begin(vfs: &dyn Vfs, dir: &Path, capacity: u32, recovery: Recovery) -> Result<Recovered, OpenError> {
    let header = SegmentHeader { segment: FIRST_SEGMENT, previous_end: 0, capacity };
    let active = create_segment(vfs, dir, header).map_err(|error| match error {
        CreateError::Full(source) | CreateError::Io(source) => {
            io_error("create", &segment_path(dir, FIRST_SEGMENT))(source)
        }
    })?;
    let segment = Segment { file: Arc::clone(&active.file), bytes: u64::from(capacity) };
    Ok(Recovered {
        segments: BTreeMap::from([(FIRST_SEGMENT, segment)]),
        declared: active.end(),
        active,
        recovery,
    })
}

/// Opens the segments and checks their headers and that none is missing between them.
fn open_all(vfs: &dyn Vfs, dir: &Path, numbers: &[u64]) -> Result<Vec<Opened>, OpenError> {
    for pair in numbers.windows(2) {
        if let [low, high] = *pair
            && low + 1 != high
        {
            return Err(OpenError::Missing { path: segment_path(dir, low + 1), segment: low + 1 });
        }
    }
    let open = |number: &u64| {
        let path = segment_path(dir, *number);
        let file = vfs.open(&path).map_err(io_error("open", &path))?;
        Opened::of(file, path, *number)
    };
    numbers.iter().map(open).collect()
}

impl Opened {
    /// Reads the header of the file of a segment.
    pub(super) fn of(file: Box<dyn File>, path: PathBuf, segment: u64) -> Result<Self, OpenError> {
        let len = file.len().map_err(io_error("ask the length of", &path))?;
        let corrupt = |damage| OpenError::Corrupt {
            path: path.clone(),
            segment,
            offset: 0,
            damage,
            proof: Proof::Synced,
        };
        if len < u64::from(SEGMENT_HEADER_BYTES) {
            return Err(corrupt(Damage::Truncated));
        }
        let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
        file.read_exact_at(&mut bytes, 0).map_err(io_error("read", &path))?;
        let (header, checksum) = SegmentHeader::decode(&bytes).map_err(|error| match error {
            SegmentHeaderError::Damaged(damage) => corrupt(damage),
            SegmentHeaderError::UnknownFormat(format) => {
                OpenError::UnknownFormat { path: path.clone(), format, known: format::FORMAT }
            }
        })?;
        if header.segment != segment {
            return Err(corrupt(Damage::OtherSegment));
        }
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&u64::from(header.capacity)) {
            return Err(corrupt(Damage::Length));
        }
        let limit = u32::try_from(len).map_or(header.capacity, |len| len.min(header.capacity));
        Ok(Self { path, file: Arc::from(file), header, checksum, limit })
    }

    fn corrupt(&self, scanned: &Scanned, proof: Proof) -> OpenError {
        OpenError::Corrupt {
            path: self.path.clone(),
            segment: self.header.segment,
            offset: scanned.end,
            damage: scanned.stop.damage,
            proof,
        }
    }

    fn read(&self, buffer: &mut [u8], offset: u32) -> Result<(), OpenError> {
        self.file.read_exact_at(buffer, u64::from(offset)).map_err(io_error("read", &self.path))
    }

    /// Reads all batches of a segment that another follows, which says where this one ended.
    pub(super) fn scan_up_to(&self, next: &Self, on_record: &mut Sink<'_>) -> Result<Scanned, OpenError> {
        let end = next.header.previous_end;
        let scanned = self.scan(end.min(self.limit), on_record)?;
        if scanned.end == end { Ok(scanned) } else { Err(self.corrupt(&scanned, Proof::Synced)) }
    }

    /// Reads all batches of a segment of which nothing says where it ended, and looks through what lies behind them:
    /// it is a torn tail when a crash can have left it and it does not prove that something before it had been synced.
    pub(super) fn scan_open_end(&self, on_record: &mut Sink<'_>) -> Result<(Scanned, Rest), OpenError> {
        let scanned = self.scan(self.limit, on_record)?;
        let rest = self.rest(scanned.end)?;
        let end = Position { segment: self.header.segment, offset: scanned.end };
        if rest.declared.is_some_and(|declared| declared > end) {
            return Err(self.corrupt(&scanned, Proof::Synced));
        }
        let torn = match scanned.stop.looks {
            Looks::Torn => true,
            Looks::TornAtEnd => rest.bytes <= u64::from(BATCH_HEADER_BYTES),
            Looks::Damaged => false,
        };
        if torn { Ok((scanned, rest)) } else { Err(self.corrupt(&scanned, Proof::Shape)) }
    }

    /// Reads batches up to `end` or to the first that is not sound, and hands over their records.
    fn scan(&self, end: u32, on_record: &mut Sink<'_>) -> Result<Scanned, OpenError> {
        let start = Position { segment: self.header.segment, offset: SEGMENT_HEADER_BYTES };
        let mut scanned = Scanned {
            end: SEGMENT_HEADER_BYTES,
            records_end: SEGMENT_HEADER_BYTES,
            chain: self.checksum,
            declared: start,
            stop: Stop { damage: Damage::Truncated, looks: Looks::Torn },
        };
        let (mut run, mut body) = (Vec::new(), Vec::new());
        while scanned.end < end {
            let (header, checksum) = match self.batch(scanned.end, end, scanned.chain, &mut run)? {
                Ok(batch) => batch,
                Err(stop) => return Ok(Scanned { stop, ..scanned }),
            };
            let sound = sectors::take(scanned.end + BATCH_HEADER_BYTES, &run, &mut body)
                .and_then(|()| decode_records(&header, &body));
            match sound {
                Ok(records) => {
                    for (location, payload) in records {
                        on_record(location, payload)?;
                    }
                }
                Err(damage) => {
                    let looks = if is_torn(&header, &run) { Looks::Torn } else { Looks::Damaged };
                    return Ok(Scanned { stop: Stop { damage, looks }, ..scanned });
                }
            }
            scanned.end = next_batch(batch_end(scanned.end, header.body));
            scanned.chain = checksum;
            scanned.declared = scanned.declared.max(header.synced);
            if header.kind == BatchKind::Records {
                scanned.records_end = scanned.end;
            }
        }
        Ok(scanned)
    }

    /// Reads the batch at `offset`: its header, and into `run` what follows it up to the next.
    fn batch(
        &self,
        offset: u32,
        end: u32,
        chain: u32,
        run: &mut Vec<u8>,
    ) -> Result<Result<(BatchHeader, u32), Stop>, OpenError> {
        let stop = |damage, looks| Ok(Err(Stop { damage, looks }));
        if end - offset < BATCH_HEADER_BYTES {
            return stop(Damage::Truncated, Looks::Torn);
        }
        let mut bytes = [0; BATCH_HEADER_BYTES as usize];
        self.read(&mut bytes, offset)?;
        let position = Position { segment: self.header.segment, offset };
        let (header, checksum) = match BatchHeader::decode(&bytes, position) {
            Ok(decoded) => decoded,
            // A header lies in one sector: either all of it is there or nothing.
            Err(damage) if bytes.iter().all(|byte| *byte == 0) => return stop(damage, Looks::Torn),
            Err(damage @ Damage::Displaced) => return stop(damage, Looks::Damaged),
            Err(damage) => return stop(damage, Looks::TornAtEnd),
        };
        if header.previous != chain {
            return stop(Damage::Chain, Looks::Damaged);
        }
        // A seal ends a segment: what follows it is found by its own header.
        if header.kind == BatchKind::Seal {
            return stop(Damage::NoBatch, Looks::Torn);
        }
        let room = end - offset - BATCH_HEADER_BYTES;
        if header.body > room || batch_end(offset, header.body) > end {
            // What was written fits in the segment, but not in a file that is shorter than its segment.
            return if end < self.header.capacity {
                stop(Damage::Truncated, Looks::Torn)
            } else {
                stop(Damage::Length, Looks::Damaged)
            };
        }
        let start = offset + BATCH_HEADER_BYTES;
        run.clear();
        // Of the padding there may be less.
        run.resize((next_batch(batch_end(offset, header.body)).min(end) - start) as usize, 0);
        self.read(run, start)?;
        Ok(Ok((header, checksum)))
    }

    /// Looks through what lies behind the good part for headers that prove a sync.
    fn rest(&self, from: u32) -> Result<Rest, OpenError> {
        let mut rest = Rest { declared: None, sealed: false, bytes: 0 };
        let mut chunk = Vec::new();
        let mut at = from;
        while at < self.limit {
            // Each chunk reaches a header's length into the next.
            let len = (CHUNK_BYTES + BATCH_HEADER_BYTES).min(self.limit - at);
            chunk.clear();
            chunk.resize(len as usize, 0);
            self.read(&mut chunk, at)?;
            if let Some(last) = chunk.iter().rposition(|byte| *byte != 0) {
                rest.bytes = u64::from(at - from) + last as u64 + 1;
                self.headers(at, &chunk, &mut rest);
            }
            at = at.saturating_add(CHUNK_BYTES);
        }
        Ok(rest)
    }

    /// Adds the sound batch headers of a chunk that was read at `at`.
    fn headers(&self, at: u32, chunk: &[u8], rest: &mut Rest) {
        for (offset, bytes) in (at..)
            .step_by(ALIGNMENT as usize)
            .zip(chunk.windows(BATCH_HEADER_BYTES as usize).step_by(ALIGNMENT as usize))
        {
            let position = Position { segment: self.header.segment, offset };
            if let Ok((header, _)) = BatchHeader::decode(bytes, position) {
                rest.declared = rest.declared.max(Some(header.synced));
                rest.sealed |= header.kind == BatchKind::Seal;
            }
        }
    }

    /// Makes the good part durable and the rest zeros again.
    fn settle(&self, scanned: &Scanned, torn: bool) -> Result<(), OpenError> {
        if torn || self.limit < scanned.end {
            self.file.set_len(u64::from(scanned.end)).map_err(io_error("cut", &self.path))?;
        }
        reserve(self.file.as_ref(), self.header.capacity).map_err(io_error("extend", &self.path))?;
        let start = Position { segment: self.header.segment, offset: SEGMENT_HEADER_BYTES };
        let mut at = scanned.declared.max(start).offset;
        let mut chunk = Vec::new();
        while at < scanned.end {
            chunk.clear();
            chunk.resize(CHUNK_BYTES.min(scanned.end - at) as usize, 0);
            self.read(&mut chunk, at)?;
            self.file.write_all_at(&chunk, u64::from(at)).map_err(io_error("write", &self.path))?;
            at = at.saturating_add(CHUNK_BYTES);
        }
        self.file.sync_data().map_err(io_error("sync", &self.path))
    }
}
