//! The fixed parts of a TSM file: header, series table, footer, trailer, and small integer helpers.

use std::sync::Arc;

use model::{BucketId, FieldDef, FieldType, SeriesKey, TimeRange, Timestamp, varint};

use crate::error::Damage;

/// First bytes of a file.
pub(crate) const HEADER: [u8; 8] = *b"TIDETSM\x01";
/// Last bytes of a file.
const TRAILER_MAGIC: [u8; 8] = *b"TIDETSMf";
/// The version that this program writes, and the newest that it reads.
pub(crate) const VERSION: u16 = 1;
/// Bytes of the trailer.
pub(crate) const TRAILER_BYTES: usize = 32;

/// Most rows of a page.
pub(crate) const PAGE_ROWS_MAX: usize = 1024;
/// Most rows of a chunk.
pub(crate) const CHUNK_ROWS_MAX: usize = 8192;
/// A page holds at most this much text, unless it is one row.
pub(crate) const PAGE_TEXT_BYTES_MAX: usize = 1 << 20;
/// No part of a file that is read at once is larger.
pub(crate) const PART_BYTES_MAX: u64 = 1 << 30;
/// lz4 cannot make more than this many bytes out of one.
const LZ4_RATIO_MAX: usize = 255;

/// How the pages of a file are encoded, as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Density {
    /// As a flush writes them, in haste.
    Fast,
    /// As a merge writes them.
    Dense,
}

impl Density {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Fast => 0,
            Self::Dense => 1,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Fast),
            1 => Some(Self::Dense),
            _ => None,
        }
    }
}

/// Checksum of a part of a file: CRC32C.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// Reads a varint as a length or count.
pub(crate) fn take_len(input: &mut &[u8]) -> Result<usize, Damage> {
    let value = varint::take(input).ok_or(Damage::Truncated)?;
    usize::try_from(value).map_err(|_large| Damage::Malformed("length"))
}

pub(crate) fn take_u64(input: &mut &[u8]) -> Result<u64, Damage> {
    varint::take(input).ok_or(Damage::Truncated)
}

pub(crate) fn take_i64(input: &mut &[u8]) -> Result<i64, Damage> {
    take_u64(input).map(varint::unzigzag)
}

pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    varint::put(out, varint::zigzag(value));
}

pub(crate) fn take_array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], Damage> {
    let (bytes, rest) = input.split_first_chunk::<N>().ok_or(Damage::Truncated)?;
    *input = rest;
    Ok(*bytes)
}

/// Where the footer is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) footer_offset: u64,
    pub(crate) footer_len: u32,
    pub(crate) footer_checksum: u32,
}

impl Trailer {
    pub(crate) fn encode(&self) -> [u8; TRAILER_BYTES] {
        let mut out = Vec::with_capacity(TRAILER_BYTES);
        out.extend(self.footer_offset.to_le_bytes());
        out.extend(self.footer_len.to_le_bytes());
        out.extend(self.footer_checksum.to_le_bytes());
        out.extend(VERSION.to_le_bytes());
        out.extend([0; 2]);
        out.extend(checksum(&out).to_le_bytes());
        out.extend(TRAILER_MAGIC);
        out.try_into().expect("the parts add up to the trailer's size")
    }

    pub(crate) fn decode(bytes: &[u8; TRAILER_BYTES]) -> Result<Self, Damage> {
        let mut input = &bytes[..];
        let footer_offset = u64::from_le_bytes(take_array(&mut input)?);
        let footer_len = u32::from_le_bytes(take_array(&mut input)?);
        let footer_checksum = u32::from_le_bytes(take_array(&mut input)?);
        let version = u16::from_le_bytes(take_array(&mut input)?);
        let _padding: [u8; 2] = take_array(&mut input)?;
        let own = u32::from_le_bytes(take_array(&mut input)?);
        let magic: [u8; 8] = take_array(&mut input)?;
        if magic != TRAILER_MAGIC {
            return Err(Damage::Magic);
        }
        if own != checksum(&bytes[..20]) {
            return Err(Damage::Checksum);
        }
        if version > VERSION {
            return Err(Damage::Version(version));
        }
        Ok(Self { footer_offset, footer_len, footer_checksum })
    }
}

/// What a file says of itself as a whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Footer {
    pub(crate) bucket: BucketId,
    pub(crate) shard: TimeRange,
    /// First and last time, both inclusive.
    pub(crate) times: (i64, i64),
    pub(crate) rows: u64,
    pub(crate) series: u64,
    pub(crate) density: Density,
    pub(crate) fields: Vec<FieldDef>,
    /// Sets of fields (indices into `fields`); each series has one.
    pub(crate) layouts: Vec<Vec<u32>>,
    pub(crate) table_offset: u64,
    pub(crate) table_len: u32,
    /// Length of the table before lz4; equal to `table_len` when it is stored as it is.
    pub(crate) table_len_raw: u32,
    pub(crate) table_checksum: u32,
}

impl Footer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        varint::put(&mut out, self.bucket.get());
        for time in [self.shard.start.0, self.shard.end.0, self.times.0, self.times.1] {
            put_i64(&mut out, time);
        }
        for n in [self.rows, self.series, u64::from(self.density.code())] {
            varint::put(&mut out, n);
        }
        varint::put(&mut out, self.fields.len() as u64);
        for field in &self.fields {
            varint::put_bytes(&mut out, field.name.as_bytes());
            out.push(field.field_type.code());
        }
        varint::put(&mut out, self.layouts.len() as u64);
        for layout in &self.layouts {
            varint::put(&mut out, layout.len() as u64);
            layout.iter().for_each(|&field| varint::put(&mut out, u64::from(field)));
        }
        varint::put(&mut out, self.table_offset);
        for n in [self.table_len, self.table_len_raw, self.table_checksum] {
            varint::put(&mut out, u64::from(n));
        }
        out
    }

    pub(crate) fn decode(mut input: &[u8]) -> Result<Self, Damage> {
        let input = &mut input;
        let bucket = BucketId::new(take_u64(input)?).ok_or(Damage::Malformed("bucket"))?;
        let shard = TimeRange::new(Timestamp(take_i64(input)?), Timestamp(take_i64(input)?));
        let times = (take_i64(input)?, take_i64(input)?);
        let rows = take_u64(input)?;
        let series = take_u64(input)?;
        let density = u8::try_from(take_u64(input)?).ok().and_then(Density::from_code);
        let density = density.ok_or(Damage::Malformed("density"))?;
        let mut fields = Vec::new();
        for _ in 0..take_len(input)? {
            let name = varint::take_bytes(input).ok_or(Damage::Truncated)?;
            let name = std::str::from_utf8(name).map_err(|_at| Damage::Malformed("field name"))?;
            let [code] = take_array(input)?;
            let field_type = FieldType::from_code(code).ok_or(Damage::Malformed("field type"))?;
            fields.push(FieldDef { name: Arc::from(name), field_type });
        }
        let mut layouts = Vec::new();
        for _ in 0..take_len(input)? {
            let mut layout = Vec::new();
            for _ in 0..take_len(input)? {
                let field = u32::try_from(take_u64(input)?).ok();
                let field = field.filter(|&f| (f as usize) < fields.len());
                layout.push(field.ok_or(Damage::Malformed("layout"))?);
            }
            layouts.push(layout);
        }
        let table_offset = take_u64(input)?;
        let mut small = || {
            take_u64(input).and_then(|n| u32::try_from(n).map_err(|_large| Damage::Malformed("series table")))
        };
        let (table_len, table_len_raw, table_checksum) = (small()?, small()?, small()?);
        if !input.is_empty() {
            return Err(Damage::Malformed("footer"));
        }
        Ok(Self {
            bucket,
            shard,
            times,
            rows,
            series,
            density,
            fields,
            layouts,
            table_offset,
            table_len,
            table_len_raw,
            table_checksum,
        })
    }
}

/// One line of the series table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeriesLine {
    pub(crate) key: SeriesKey,
    /// Index into the footer's layouts.
    pub(crate) layout: u32,
    /// First and last time, both inclusive.
    pub(crate) times: (i64, i64),
    pub(crate) rows: u64,
    /// Bytes of the pages, which begin where the directory of the series before ends.
    pub(crate) pages_len: u64,
    /// Bytes of the directory, which follows the pages.
    pub(crate) directory_len: u32,
    pub(crate) directory_checksum: u32,
}

/// Appends a line; keys share what they have in common with the key before.
pub(crate) fn put_line(out: &mut Vec<u8>, line: &SeriesLine, previous_key: &[u8], first_time: i64) {
    let key = line.key.as_bytes();
    let shared = key.iter().zip(previous_key).take_while(|(a, b)| a == b).count();
    varint::put(out, shared as u64);
    varint::put_bytes(out, &key[shared..]);
    varint::put(out, u64::from(line.layout));
    // Differences of times in the range of a file may exceed 63 bits, so they wrap.
    put_i64(out, line.times.0.wrapping_sub(first_time));
    put_i64(out, line.times.1.wrapping_sub(line.times.0));
    varint::put(out, line.rows);
    varint::put(out, line.pages_len);
    varint::put(out, u64::from(line.directory_len));
    out.extend(line.directory_checksum.to_le_bytes());
}

/// Reads the lines of a table.
pub(crate) fn take_lines(mut input: &[u8], footer: &Footer) -> Result<Vec<SeriesLine>, Damage> {
    let mut lines: Vec<SeriesLine> = Vec::new();
    let mut key = Vec::new();
    while !input.is_empty() {
        let shared = take_len(&mut input)?;
        if shared > key.len() {
            return Err(Damage::Malformed("series key"));
        }
        key.truncate(shared);
        key.extend(varint::take_bytes(&mut input).ok_or(Damage::Truncated)?);
        let series = SeriesKey::from_bytes(&key).map_err(|_why| Damage::Malformed("series key"))?;
        let layout = u32::try_from(take_u64(&mut input)?).ok();
        let layout = layout.filter(|&l| (l as usize) < footer.layouts.len());
        let min = footer.times.0.wrapping_add(take_i64(&mut input)?);
        let max = min.wrapping_add(take_i64(&mut input)?);
        lines.push(SeriesLine {
            key: series,
            layout: layout.ok_or(Damage::Malformed("layout"))?,
            times: (min, max),
            rows: take_u64(&mut input)?,
            pages_len: take_u64(&mut input)?,
            directory_len: u32::try_from(take_u64(&mut input)?)
                .map_err(|_large| Damage::Malformed("directory length"))?,
            directory_checksum: u32::from_le_bytes(take_array(&mut input)?),
        });
    }
    if lines.len() as u64 == footer.series { Ok(lines) } else { Err(Damage::Malformed("series count")) }
}

/// The table as it is stored: lz4 when that is smaller. The length tells which.
pub(crate) fn pack_table(raw: Vec<u8>) -> Vec<u8> {
    let packed = lz4_flex::block::compress(&raw);
    if packed.len() < raw.len() { packed } else { raw }
}

/// The inverse of [`pack_table`].
pub(crate) fn unpack_table(stored: Vec<u8>, len_raw: usize) -> Result<Vec<u8>, Damage> {
    if stored.len() == len_raw {
        return Ok(stored);
    }
    if len_raw > stored.len().saturating_mul(LZ4_RATIO_MAX) {
        return Err(Damage::Malformed("series table"));
    }
    let raw =
        lz4_flex::block::decompress(&stored, len_raw).map_err(|_why| Damage::Malformed("series table"))?;
    if raw.len() == len_raw { Ok(raw) } else { Err(Damage::Malformed("series table")) }
}
