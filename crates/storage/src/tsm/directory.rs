//! The directory of a unit: its chunks, their columns, their pages.
//!
//! ```text
//! directory  | chunk | chunk | ...
//! chunk      | pages | rows of each page | fields | time column | field column | ...
//! column     | field (absent for time) | shared bytes (length, bytes) | page | page | ...
//! time page  | length | first time - last time before (zigzag) | last time - first time |
//! field page | length | number of values: 0 = one per row, else n + 1 | statistics |
//! ```
//! The directory of a pack begins with the rows of each of its series; its one chunk has one page per column.
//! All integers are varints. A chunk's pages lie one after another in the order of its directory; the chunks of a
//! series too, from the series' offset on.

use model::{FieldDef, varint};

use super::format::{CHUNK_ROWS_MAX, PAGE_ROWS_MAX, PART_BYTES_MAX, take_i64, take_len, take_u64};
use super::stats::Stats;
use crate::error::Damage;

/// One chunk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChunkEntry {
    /// Rows of each page.
    pub(crate) page_rows: Vec<usize>,
    pub(crate) time: ColumnEntry<TimePage>,
    /// The field columns, by index into the file's fields.
    pub(crate) fields: Vec<(u32, ColumnEntry<FieldPage>)>,
}

/// One column of a chunk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnEntry<P> {
    /// What the codec shares among the pages.
    pub(crate) shared: Vec<u8>,
    pub(crate) pages: Vec<P>,
}

/// Where a page lies. Times are inclusive.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TimePage {
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) times: (i64, i64),
}

/// Where a page lies and what is in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldPage {
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) values: usize,
    pub(crate) stats: Stats,
}

impl ChunkEntry {
    pub(crate) fn rows(&self) -> usize {
        self.page_rows.iter().sum()
    }

    /// Memory that it takes, about.
    pub(crate) fn memory(&self) -> usize {
        let column = |shared: &Vec<u8>, pages: usize| {
            size_of::<(u32, ColumnEntry<FieldPage>)>() + shared.len() + pages
        };
        let time = column(&self.time.shared, self.time.pages.len() * size_of::<TimePage>());
        let fields =
            self.fields.iter().map(|(_, c)| column(&c.shared, c.pages.len() * size_of::<FieldPage>()));
        size_of::<Self>() + self.page_rows.len() * size_of::<usize>() + time + fields.sum::<usize>()
    }

    /// First and last time, both inclusive. A chunk has at least one page.
    pub(crate) fn times(&self) -> (i64, i64) {
        let first = self.time.pages.first().map_or(i64::MAX, |p| p.times.0);
        (first, self.time.pages.last().map_or(i64::MIN, |p| p.times.1))
    }

    /// Where its pages begin, and their bytes.
    pub(crate) fn extent(&self) -> (u64, u64) {
        let start = self.time.pages.first().map_or(0, |p| p.offset);
        let time: u64 = self.time.pages.iter().map(|p| p.len).sum();
        let fields: u64 = self.fields.iter().flat_map(|(_, c)| &c.pages).map(|p| p.len).sum();
        (start, time + fields)
    }

    /// Appends the chunk. Offsets are not written: they follow from the lengths.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, last_time_before: &mut i64) {
        varint::put(out, self.page_rows.len() as u64);
        self.page_rows.iter().for_each(|&rows| varint::put(out, rows as u64));
        varint::put(out, self.fields.len() as u64);
        varint::put_bytes(out, &self.time.shared);
        for page in &self.time.pages {
            varint::put(out, page.len);
            varint::put(out, varint::zigzag(page.times.0.wrapping_sub(*last_time_before)));
            varint::put(out, page.times.1.wrapping_sub(page.times.0).cast_unsigned());
            *last_time_before = page.times.1;
        }
        for (field, column) in &self.fields {
            varint::put(out, u64::from(*field));
            varint::put_bytes(out, &column.shared);
            for (page, &rows) in column.pages.iter().zip(&self.page_rows) {
                varint::put(out, page.len);
                varint::put(out, if page.values == rows { 0 } else { page.values as u64 + 1 });
                page.stats.encode(out);
            }
        }
    }

    /// Reads one chunk whose pages begin at `offset`, which is advanced behind them.
    fn decode(
        input: &mut &[u8],
        fields: &[FieldDef],
        offset: &mut u64,
        last_time_before: &mut i64,
    ) -> Result<Self, Damage> {
        let pages = take_len(input)?;
        if pages == 0 || pages > CHUNK_ROWS_MAX {
            return Err(Damage::Malformed("number of pages"));
        }
        let mut page_rows = Vec::new();
        for _ in 0..pages {
            let rows = take_len(input)?;
            if rows == 0 || rows > PAGE_ROWS_MAX {
                return Err(Damage::Malformed("number of rows"));
            }
            page_rows.push(rows);
        }
        let columns = take_len(input)?;
        let mut place = |input: &mut &[u8]| {
            let (at, len) = (*offset, take_u64(input)?);
            if len > PART_BYTES_MAX {
                return Err(Damage::Malformed("page length"));
            }
            *offset = at.checked_add(len).ok_or(Damage::Malformed("page length"))?;
            Ok((at, len))
        };
        let shared = varint::take_bytes(input).ok_or(Damage::Truncated)?.to_vec();
        let mut time = ColumnEntry { shared, pages: Vec::new() };
        for (i, _) in page_rows.iter().enumerate() {
            let (offset, len) = place(input)?;
            let min = last_time_before.wrapping_add(take_i64(input)?);
            let max = min.wrapping_add(take_u64(input)?.cast_signed());
            if max < min || (i > 0 && min <= *last_time_before) {
                return Err(Damage::Malformed("page times"));
            }
            *last_time_before = max;
            time.pages.push(TimePage { offset, len, times: (min, max) });
        }
        let mut of_fields = Vec::new();
        for _ in 0..columns {
            let known =
                u32::try_from(take_u64(input)?).ok().and_then(|at| Some((at, fields.get(at as usize)?)));
            let (field, FieldDef { field_type, .. }) = known.ok_or(Damage::Malformed("field"))?;
            let shared = varint::take_bytes(input).ok_or(Damage::Truncated)?.to_vec();
            let mut column = ColumnEntry { shared, pages: Vec::new() };
            for &rows in &page_rows {
                let (offset, len) = place(input)?;
                let values = match take_len(input)? {
                    0 => rows,
                    n if n <= rows => n - 1,
                    _ => return Err(Damage::Malformed("number of values")),
                };
                let stats = Stats::decode(input)?;
                if !stats.may_be_of(*field_type, values) {
                    return Err(Damage::Malformed("statistics"));
                }
                column.pages.push(FieldPage { offset, len, values, stats });
            }
            of_fields.push((field, column));
        }
        Ok(Self { page_rows, time, fields: of_fields })
    }
}

/// Reads a directory whose chunks' pages begin at `offset` and take `pages_len` bytes.
pub(crate) fn decode(
    mut input: &[u8],
    fields: &[FieldDef],
    offset: u64,
    pages_len: u64,
) -> Result<Vec<ChunkEntry>, Damage> {
    let mut chunks = Vec::new();
    let (mut at, mut last_time) = (offset, 0);
    while !input.is_empty() {
        chunks.push(ChunkEntry::decode(&mut input, fields, &mut at, &mut last_time)?);
    }
    if at.checked_sub(offset) == Some(pages_len) {
        Ok(chunks)
    } else {
        Err(Damage::Malformed("page lengths"))
    }
}

/// Reads the directory of a pack of `series` series: where the rows of each end, and the chunk.
pub(crate) fn decode_pack(
    mut input: &[u8],
    series: u64,
    fields: &[FieldDef],
    offset: u64,
    pages_len: u64,
) -> Result<(Vec<usize>, ChunkEntry), Damage> {
    let mut ends: Vec<usize> = Vec::new();
    for _ in 0..series {
        let rows = take_len(&mut input)?;
        let end = ends.last().copied().unwrap_or(0) + rows.min(PAGE_ROWS_MAX + 1);
        if rows == 0 || end > PAGE_ROWS_MAX {
            return Err(Damage::Malformed("number of rows"));
        }
        ends.push(end);
    }
    let chunks = decode(input, fields, offset, pages_len)?;
    match <[ChunkEntry; 1]>::try_from(chunks) {
        Ok([chunk]) if chunk.page_rows.len() == 1 && Some(&chunk.rows()) == ends.last() => Ok((ends, chunk)),
        _ => Err(Damage::Malformed("pack")),
    }
}
