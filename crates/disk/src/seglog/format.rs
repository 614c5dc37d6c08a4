//! The bytes of a segment: headers and records, to and from values. The picture is in the module above.
//!
//! Nothing here does I/O, and the decoders trust nothing: they take slices apart by checked steps and compare every
//! header with the place where it was found.

#![deny(clippy::indexing_slicing)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "lengths are below the capacity of a segment, which is a u32"
)]

use super::sectors::{self, SECTOR_BYTES};
use super::{Damage, Location, Position};

pub(super) const SEGMENT_HEADER_BYTES: u32 = 64;
pub(super) const BATCH_HEADER_BYTES: u32 = 48;
pub(super) const RECORD_HEADER_BYTES: u32 = 8;
/// Batches begin at multiples of this.
pub(super) const ALIGNMENT: u32 = 8;
/// The most that lies between the end of a batch and the next.
pub(super) const PADDING_BYTES_MAX: u32 = BATCH_HEADER_BYTES;
/// The format that this version writes and reads.
pub(super) const FORMAT: u8 = 2;

pub(super) const BATCH_MAGIC: [u8; 4] = *b"TMBH";
const SEGMENT_MAGIC: [u8; 8] = *b"TMSEGLOG";
/// Behind the last record of a batch: while it is zero, the write was cut short.
const END: u8 = 0x5a;

/// The first bytes of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) segment: u64,
    /// Where the segment before ended; 0 when the log began with this one.
    pub(super) previous_end: u32,
    pub(super) capacity: u32,
}

/// Why a segment header was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SegmentHeaderError {
    Damaged(Damage),
    UnknownFormat(u8),
}

/// What a batch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchKind {
    Records = 1,
    Mark = 2,
    Seal = 3,
}

/// The first bytes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchHeader {
    pub(super) kind: BatchKind,
    /// Where this header lies.
    pub(super) position: Position,
    /// Bytes of the records, without padding.
    pub(super) body: u32,
    pub(super) records: u32,
    /// How far the log was synced when this was written.
    pub(super) synced: Position,
    /// Checksum of the header before.
    pub(super) previous: u32,
}

/// Takes fields off the front of a slice.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

/// Splits the checksum off the end of a header; `None` when it does not match the bytes before it.
fn checked(bytes: &[u8]) -> Option<(&[u8], u32)> {
    let (fields, checksum) = bytes.split_last_chunk()?;
    let checksum = u32::from_le_bytes(*checksum);
    (crc32c::crc32c(fields) == checksum).then_some((fields, checksum))
}

/// Where the bytes of a batch at `offset` end whose records have `body` bytes.
pub(super) const fn batch_end(offset: u32, body: u32) -> u32 {
    let header_end = offset + BATCH_HEADER_BYTES;
    if body == 0 { header_end } else { sectors::end_of(header_end, body + 1) }
}

/// Where the batch begins that follows one whose bytes end at `end`: so that its header lies in one sector.
pub(super) const fn next_batch(end: u32) -> u32 {
    let aligned = end.next_multiple_of(ALIGNMENT);
    let sector_end = aligned.next_multiple_of(SECTOR_BYTES);
    if sector_end - aligned < BATCH_HEADER_BYTES { sector_end } else { aligned }
}

impl SegmentHeader {
    /// The bytes and their checksum.
    pub(super) fn encode(self) -> (Vec<u8>, u32) {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES as usize);
        bytes.extend_from_slice(&SEGMENT_MAGIC);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&[0; 7]);
        bytes.extend_from_slice(&self.segment.to_le_bytes());
        bytes.extend_from_slice(&self.previous_end.to_le_bytes());
        bytes.extend_from_slice(&self.capacity.to_le_bytes());
        bytes.resize(SEGMENT_HEADER_BYTES as usize - 4, 0);
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        (bytes, checksum)
    }

    /// The header and its checksum. Magic, format byte and checksum keep their places in every format to come, so
    /// that a newer file is told from a damaged one.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, u32), SegmentHeaderError> {
        let damaged = SegmentHeaderError::Damaged(Damage::SegmentHeader);
        let (fields, checksum) = checked(bytes).ok_or(damaged)?;
        let mut fields = Fields(fields);
        if fields.take() != Some(SEGMENT_MAGIC) {
            return Err(damaged);
        }
        match fields.u8() {
            Some(FORMAT) => {}
            Some(format) => return Err(SegmentHeaderError::UnknownFormat(format)),
            None => return Err(damaged),
        }
        let decode = |fields: &mut Fields<'_>| {
            fields.take::<7>()?;
            Some(Self { segment: fields.u64()?, previous_end: fields.u32()?, capacity: fields.u32()? })
        };
        decode(&mut fields).map(|header| (header, checksum)).ok_or(damaged)
    }
}

impl BatchHeader {
    /// Appends the bytes and returns their checksum.
    pub(super) fn encode_into(&self, bytes: &mut Vec<u8>) -> u32 {
        let mut header = Vec::with_capacity(BATCH_HEADER_BYTES as usize);
        header.extend_from_slice(&BATCH_MAGIC);
        header.push(self.kind as u8);
        header.extend_from_slice(&[0; 3]);
        header.extend_from_slice(&self.position.segment.to_le_bytes());
        header.extend_from_slice(&self.position.offset.to_le_bytes());
        header.extend_from_slice(&self.body.to_le_bytes());
        header.extend_from_slice(&self.records.to_le_bytes());
        header.extend_from_slice(&self.synced.offset.to_le_bytes());
        header.extend_from_slice(&self.synced.segment.to_le_bytes());
        header.extend_from_slice(&self.previous.to_le_bytes());
        let checksum = crc32c::crc32c(&header);
        header.extend_from_slice(&checksum.to_le_bytes());
        bytes.extend_from_slice(&header);
        checksum
    }

    /// The header found at `position`, and its checksum.
    pub(super) fn decode(bytes: &[u8], position: Position) -> Result<(Self, u32), Damage> {
        if !bytes.starts_with(&BATCH_MAGIC) {
            return Err(Damage::NoBatch);
        }
        let (header, checksum) = Self::read(bytes).ok_or(Damage::BatchHeader)?;
        if header.position == position { Ok((header, checksum)) } else { Err(Damage::Displaced) }
    }

    /// The header in these bytes, wherever it belongs, and its checksum.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, u32)> {
        let (fields, checksum) = checked(bytes)?;
        let decode = |fields: &mut Fields<'_>| {
            if fields.take() != Some(BATCH_MAGIC) {
                return None;
            }
            let kind = match fields.u8()? {
                1 => BatchKind::Records,
                2 => BatchKind::Mark,
                3 => BatchKind::Seal,
                _ => return None,
            };
            fields.take::<3>()?;
            let position = Position { segment: fields.u64()?, offset: fields.u32()? };
            let (body, records, synced_offset) = (fields.u32()?, fields.u32()?, fields.u32()?);
            let synced = Position { segment: fields.u64()?, offset: synced_offset };
            Some(Self { kind, position, body, records, synced, previous: fields.u32()? })
        };
        decode(&mut Fields(fields)).map(|header| (header, checksum))
    }
}

/// The checksum of a record whose payload lies at `offset`.
pub(super) fn record_checksum(segment: u64, offset: u32, payload: &[u8]) -> u32 {
    let mut place = [0; 16];
    let (number, rest) = place.split_at_mut(8);
    let (at, len) = rest.split_at_mut(4);
    number.copy_from_slice(&segment.to_le_bytes());
    at.copy_from_slice(&offset.to_le_bytes());
    len.copy_from_slice(&(payload.len() as u32).to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), payload)
}

/// Length and checksum in a record's header.
pub(super) fn record_header(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut fields = Fields(bytes);
    Some((fields.u32()?, fields.u32()?))
}

/// The whole of a batch with these records, up to where the next one begins, the checksum of its header, and where each
/// payload will lie.
pub(super) fn encode_batch(
    header: &BatchHeader,
    records: &[&[u8]],
    bytes: &mut Vec<u8>,
) -> (u32, Vec<Location>) {
    let Position { segment, offset: start } = header.position;
    bytes.clear();
    let checksum = header.encode_into(bytes);
    let place = |record: &&[u8]| {
        let offset = payload_offset(start + bytes.len() as u32);
        let location = Location { segment, offset, len: record.len() as u32 };
        sectors::put(bytes, start, &location.len.to_le_bytes());
        sectors::put(bytes, start, &record_checksum(segment, offset, record).to_le_bytes());
        sectors::put(bytes, start, record);
        location
    };
    let locations: Vec<Location> = records.iter().map(place).collect();
    if !locations.is_empty() {
        sectors::put(bytes, start, &[END]);
    }
    bytes.resize((next_batch(start + bytes.len() as u32) - start) as usize, 0);
    (checksum, locations)
}

/// Where the payload of a record lies whose header goes on at `at`.
fn payload_offset(at: u32) -> u32 {
    sectors::next_byte(sectors::end_of(at, RECORD_HEADER_BYTES))
}

/// Checks what follows the header of a batch, up to where the next one begins and without the marks of the sectors, and
/// returns its records.
pub(super) fn decode_records<'a>(
    header: &BatchHeader,
    body: &'a [u8],
) -> Result<Vec<(Location, &'a [u8])>, Damage> {
    let (mut rest, padding) = body.split_at_checked(header.body as usize).ok_or(Damage::Length)?;
    // Each record has a header, so a sound count is bounded by the body's length.
    if u64::from(header.records) * u64::from(RECORD_HEADER_BYTES) > u64::from(header.body) {
        return Err(Damage::Length);
    }
    let segment = header.position.segment;
    let mut at = header.position.offset + BATCH_HEADER_BYTES;
    let mut records = Vec::with_capacity(header.records as usize);
    for _ in 0..header.records {
        let (len, checksum) = record_header(rest).ok_or(Damage::Length)?;
        let (_, behind) = rest.split_at_checked(RECORD_HEADER_BYTES as usize).ok_or(Damage::Length)?;
        let (payload, behind) = behind.split_at_checked(len as usize).ok_or(Damage::Length)?;
        let offset = payload_offset(at);
        if record_checksum(segment, offset, payload) != checksum {
            return Err(Damage::RecordChecksum);
        }
        records.push((Location { segment, offset, len }, payload));
        at = sectors::end_of(offset, len);
        rest = behind;
    }
    if !rest.is_empty() {
        return Err(Damage::Length);
    }
    // When all records are sound nothing is missing: whether the byte behind them is there tells nothing more.
    let padding = match (padding, records.is_empty()) {
        ([END | 0, padding @ ..], false) | (padding, true) => padding,
        _ => return Err(Damage::Padding),
    };
    if padding.iter().all(|byte| *byte == 0) { Ok(records) } else { Err(Damage::Padding) }
}

/// Whether what follows the header of a batch is what a crash in the middle of the write leaves: a sector of it is as it
/// was before, or its end is missing. `run` is all of it as it lies in the file.
pub(super) fn is_torn(header: &BatchHeader, run: &[u8]) -> bool {
    let start = header.position.offset + BATCH_HEADER_BYTES;
    let end = (batch_end(header.position.offset, header.body) - start) as usize;
    let run = run.get(..end).unwrap_or(run);
    sectors::is_torn(start, run) || run.last() == Some(&0)
}
