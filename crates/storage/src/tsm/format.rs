//! The fixed parts of a TSM file: header, footer, trailer, and small integer helpers.

use std::sync::Arc;

use model::{BucketId, FieldDef, FieldType, TimeRange, Timestamp, varint};

use crate::error::{Damage, OtherVersion};

/// First bytes of a file.
pub(crate) const HEADER: [u8; 8] = *b"TIDETSM\x04";
/// A TSM file among the kinds of files.
pub(crate) const KIND: Kind = Kind { name: "TSM", header: HEADER, magic: *b"TIDETSMf", version: 4 };
/// Bytes of the trailer.
pub(crate) const TRAILER_BYTES: usize = 32;

/// Most rows of a page.
pub(crate) const PAGE_ROWS_MAX: usize = 1024;
/// Most rows of a chunk.
pub(crate) const CHUNK_ROWS_MAX: usize = 8192;
/// A page holds at most this much text, unless it is one row.
pub(crate) const PAGE_TEXT_BYTES_MAX: usize = 1 << 20;
/// A series of at most so many rows may share its pages with others.
pub(crate) const PACKED_ROWS_MAX: usize = 256;
/// Most rows of such a pack; its columns have one page each.
pub(crate) const PACK_ROWS_MAX: usize = PAGE_ROWS_MAX;
/// No unit is smaller: its entry in the table has seven varints and a checksum.
pub(crate) const UNIT_BYTES_MIN: u64 = 11;
/// No part of a file that is read at once is larger.
pub(crate) const PART_BYTES_MAX: u64 = 1 << 30;

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

/// A kind of file that ends with a trailer.
#[derive(Debug)]
pub(crate) struct Kind {
    /// As an operator knows it.
    pub(crate) name: &'static str,
    /// First bytes; the last of them is the version.
    pub(crate) header: [u8; 8],
    /// Last bytes.
    pub(crate) magic: [u8; 8],
    /// The version that this program writes and reads.
    pub(crate) version: u16,
}

impl Kind {
    /// Reads the trailer of a file that begins with `header`. The error says where: in the header, or in the trailer,
    /// which is at `trailer_at`. The version is that of the trailer, which has a checksum.
    pub(crate) fn trailer(
        &self,
        header: [u8; 8],
        trailer: &[u8; TRAILER_BYTES],
        trailer_at: u64,
    ) -> Result<Trailer, (u64, Damage)> {
        if header[..7] != self.header[..7] {
            return Err((0, Damage::Magic));
        }
        let trailer = Trailer::decode(trailer, self).map_err(|damage| (trailer_at, damage))?;
        if header == self.header { Ok(trailer) } else { Err((7, Damage::Differs("version"))) }
    }
}

/// Where the footer is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) footer_offset: u64,
    pub(crate) footer_len: u32,
    pub(crate) footer_checksum: u32,
}

impl Trailer {
    /// The trailer of a file of a kind.
    pub(crate) fn encode(&self, kind: &Kind) -> [u8; TRAILER_BYTES] {
        let mut out = Vec::with_capacity(TRAILER_BYTES);
        out.extend(self.footer_offset.to_le_bytes());
        out.extend(self.footer_len.to_le_bytes());
        out.extend(self.footer_checksum.to_le_bytes());
        out.extend(kind.version.to_le_bytes());
        out.extend([0; 2]);
        out.extend(checksum(&out).to_le_bytes());
        out.extend(kind.magic);
        out.try_into().expect("the parts add up to the trailer's size")
    }

    /// Reads the trailer of a file of a kind.
    pub(crate) fn decode(bytes: &[u8; TRAILER_BYTES], kind: &Kind) -> Result<Self, Damage> {
        let mut input = &bytes[..];
        let footer_offset = u64::from_le_bytes(take_array(&mut input)?);
        let footer_len = u32::from_le_bytes(take_array(&mut input)?);
        let footer_checksum = u32::from_le_bytes(take_array(&mut input)?);
        let version = u16::from_le_bytes(take_array(&mut input)?);
        let _padding: [u8; 2] = take_array(&mut input)?;
        let own = u32::from_le_bytes(take_array(&mut input)?);
        let magic: [u8; 8] = take_array(&mut input)?;
        if magic != kind.magic {
            return Err(Damage::Magic);
        }
        if own != checksum(&bytes[..20]) {
            return Err(Damage::Checksum);
        }
        if version != kind.version {
            let version = OtherVersion { kind: kind.name, found: version, reads: kind.version };
            return Err(Damage::OtherVersion(version));
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
    /// Where the table of units is.
    pub(crate) table: Part,
    /// Where the set of series is; it follows the table.
    pub(crate) presence: Part,
    /// Bytes of the keys, which follow the set of series.
    pub(crate) keys_len: u64,
}

/// A part of a file that is read as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Part {
    pub(crate) offset: u64,
    pub(crate) len: u32,
    pub(crate) checksum: u32,
}

impl Part {
    pub(crate) fn end(&self) -> Option<u64> {
        self.offset.checked_add(u64::from(self.len))
    }
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
        varint::put(&mut out, self.table.offset);
        for part in [self.table, self.presence] {
            varint::put(&mut out, u64::from(part.len));
            out.extend(part.checksum.to_le_bytes());
        }
        varint::put(&mut out, self.keys_len);
        out
    }

    /// Reads the footer of a file in which `before` bytes stand before it.
    pub(crate) fn decode(mut input: &[u8], before: u64) -> Result<Self, Damage> {
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
        let count = take_len(input)?;
        // Each is that of a unit, so there are no more than units have room for.
        if count as u64 > before / UNIT_BYTES_MIN {
            return Err(Damage::Malformed("number of layouts"));
        }
        for _ in 0..count {
            let mut layout = Vec::new();
            for _ in 0..take_len(input)? {
                let field = u32::try_from(take_u64(input)?).ok();
                let field = field.filter(|&f| (f as usize) < fields.len());
                layout.push(field.ok_or(Damage::Malformed("layout"))?);
            }
            layouts.push(layout);
        }
        let table_offset = take_u64(input)?;
        let mut part = |offset: u64| {
            let len = u32::try_from(take_u64(input)?).map_err(|_large| Damage::Malformed("length"))?;
            Ok(Part { offset, len, checksum: u32::from_le_bytes(take_array(input)?) })
        };
        let table = part(table_offset)?;
        let presence = part(table.end().ok_or(Damage::Malformed("length"))?)?;
        let keys_len = take_u64(input)?;
        if !input.is_empty() {
            return Err(Damage::Malformed("footer"));
        }
        Ok(Self { bucket, shard, times, rows, series, density, fields, layouts, table, presence, keys_len })
    }
}
