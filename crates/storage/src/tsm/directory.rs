//! The directory of a unit: its chunks, their columns, their pages.
//!
//! ```text
//! directory  | chunk | chunk | ...
//! chunk      | pages | rows of each page | fields | time column | field column | ...
//! time column| shared bytes (length, bytes) | page | page | ...
//! time page  | length | first time - last time before (zigzag) | last time - first time |
//!   regular  | 0 | first time - last time before - step before (zigzag) | step - step before (zigzag) |
//! field column | 2 * field + 1 if there are nulls | shared bytes | form of the statistics | page | page | ...
//! field page | length - length before (zigzag) | nulls, if any in the column | form, if they differ | statistics |
//! ```
//! Times that ascend by one step need no page: the directory says it all. `before` is 0 at the start of the directory
//! for times, and of the column for lengths and statistics. The directory of a pack begins with the rows of each of its
//! series; its one chunk has one page per column, and none is regular. All integers are varints. A chunk's pages lie one
//! after another in the order of its directory; the chunks of a series too, from the series' offset on.

use model::{FieldDef, varint};

use super::format::{
    CHUNK_ROWS_MAX, PAGE_ROWS_MAX, PART_BYTES_MAX, put_i64, take_array, take_i64, take_len, take_u64,
};
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

/// The form of a column whose pages' statistics have several.
const FORMS_DIFFER: u8 = u8::MAX;

/// Where a page lies. Times are inclusive.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TimePage {
    pub(crate) offset: u64,
    /// 0 for a page that is not written: its times ascend evenly.
    pub(crate) len: u64,
    pub(crate) times: (i64, i64),
}

impl TimePage {
    /// The times of a regular page of so many rows.
    pub(crate) fn regular(&self, rows: usize) -> Option<impl Iterator<Item = i64> + use<>> {
        let (first, step) = (self.times.0, self.step(rows));
        (self.len == 0)
            .then(|| (0..rows as u64).map(move |i| first.wrapping_add_unsigned(i.wrapping_mul(step))))
    }

    /// From one time to the next when they ascend evenly; 0 when there is one alone.
    fn step(&self, rows: usize) -> u64 {
        let span = self.times.1.wrapping_sub(self.times.0).cast_unsigned();
        span.checked_div((rows as u64).saturating_sub(1)).unwrap_or(0)
    }
}

/// What the next time page is counted from.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TimesBefore {
    last: i64,
    /// Of the last regular page.
    step: u64,
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
    pub(crate) fn encode(&self, out: &mut Vec<u8>, before: &mut TimesBefore) {
        varint::put(out, self.page_rows.len() as u64);
        self.page_rows.iter().for_each(|&rows| varint::put(out, rows as u64));
        varint::put(out, self.fields.len() as u64);
        varint::put_bytes(out, &self.time.shared);
        for (page, &rows) in self.time.pages.iter().zip(&self.page_rows) {
            varint::put(out, page.len);
            let gap = page.times.0.wrapping_sub(before.last);
            if page.len == 0 {
                let step = if rows > 1 { page.step(rows) } else { before.step };
                put_i64(out, gap.wrapping_sub_unsigned(before.step));
                put_i64(out, step.wrapping_sub(before.step).cast_signed());
                before.step = step;
            } else {
                put_i64(out, gap);
                varint::put(out, page.times.1.wrapping_sub(page.times.0).cast_unsigned());
            }
            before.last = page.times.1;
        }
        for (field, column) in &self.fields {
            let pages = || column.pages.iter().zip(&self.page_rows);
            let has_nulls = pages().any(|(page, rows)| page.values < *rows);
            varint::put(out, u64::from(*field) << 1 | u64::from(has_nulls));
            varint::put_bytes(out, &column.shared);
            let forms: Vec<u8> = column.pages.iter().map(|page| page.stats.form()).collect();
            let form = forms.first().copied().filter(|first| forms.iter().all(|form| form == first));
            out.push(form.unwrap_or(FORMS_DIFFER));
            let (mut len_before, mut last_before) = (0_u64, 0);
            for ((page, rows), of_page) in pages().zip(&forms) {
                put_i64(out, page.len.wrapping_sub(len_before).cast_signed());
                len_before = page.len;
                if has_nulls {
                    varint::put(out, (rows - page.values) as u64);
                }
                if form.is_none() {
                    out.push(*of_page);
                }
                page.stats.encode(out, page.values, &mut last_before);
            }
        }
    }

    /// Reads one chunk whose pages begin at `offset`, which is advanced behind them.
    fn decode(
        input: &mut &[u8],
        fields: &[FieldDef],
        offset: &mut u64,
        before: &mut TimesBefore,
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
        let mut place = |len: u64| {
            let at = *offset;
            if len > PART_BYTES_MAX {
                return Err(Damage::Malformed("page length"));
            }
            *offset = at.checked_add(len).ok_or(Damage::Malformed("page length"))?;
            Ok(at)
        };
        let shared = varint::take_bytes(input).ok_or(Damage::Truncated)?.to_vec();
        let mut time = ColumnEntry { shared, pages: Vec::new() };
        for (i, &rows) in page_rows.iter().enumerate() {
            let len = take_u64(input)?;
            let last_before = before.last;
            let times = if len == 0 { before.take_regular(input, rows)? } else { before.take(input)? };
            if times.1 < times.0 || (i > 0 && times.0 <= last_before) {
                return Err(Damage::Malformed("page times"));
            }
            time.pages.push(TimePage { offset: place(len)?, len, times });
        }
        let mut of_fields = Vec::new();
        for _ in 0..columns {
            let head = take_u64(input)?;
            let has_nulls = head & 1 == 1;
            let known = u32::try_from(head >> 1).ok().and_then(|at| Some((at, fields.get(at as usize)?)));
            let (field, FieldDef { field_type, .. }) = known.ok_or(Damage::Malformed("field"))?;
            let shared = varint::take_bytes(input).ok_or(Damage::Truncated)?.to_vec();
            let mut column = ColumnEntry { shared, pages: Vec::new() };
            let [form] = take_array(input)?;
            let (mut len, mut last_before) = (0_u64, 0);
            for &rows in &page_rows {
                len = len.wrapping_add(take_i64(input)?.cast_unsigned());
                if len == 0 {
                    return Err(Damage::Malformed("page length"));
                }
                let nulls = if has_nulls { take_len(input)? } else { 0 };
                let values = rows.checked_sub(nulls).ok_or(Damage::Malformed("number of values"))?;
                let [form] = if form == FORMS_DIFFER { take_array(input)? } else { [form] };
                let stats = Stats::decode(input, form, values, &mut last_before)?;
                if !stats.may_be_of(*field_type, values) {
                    return Err(Damage::Malformed("statistics"));
                }
                column.pages.push(FieldPage { offset: place(len)?, len, values, stats });
            }
            of_fields.push((field, column));
        }
        Ok(Self { page_rows, time, fields: of_fields })
    }
}

impl TimesBefore {
    /// Reads the first and the last time of a page.
    fn take(&mut self, input: &mut &[u8]) -> Result<(i64, i64), Damage> {
        let first = self.last.wrapping_add(take_i64(input)?);
        self.last = first.wrapping_add_unsigned(take_u64(input)?);
        Ok((first, self.last))
    }

    /// The same of a page that is regular.
    fn take_regular(&mut self, input: &mut &[u8], rows: usize) -> Result<(i64, i64), Damage> {
        let bad = Damage::Malformed("page times");
        let first = self.last.wrapping_add_unsigned(self.step).wrapping_add(take_i64(input)?);
        let step = self.step.wrapping_add(take_i64(input)?.cast_unsigned());
        let steps = (rows as u64).saturating_sub(1);
        if (steps == 0 && step != self.step) || (steps > 0 && step == 0) {
            return Err(bad);
        }
        self.step = step;
        let span = step.checked_mul(steps).ok_or(bad)?;
        self.last = first.checked_add_unsigned(span).ok_or(bad)?;
        Ok((first, self.last))
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
    let (mut at, mut before) = (offset, TimesBefore::default());
    while !input.is_empty() {
        chunks.push(ChunkEntry::decode(&mut input, fields, &mut at, &mut before)?);
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
        Ok([chunk])
            if chunk.page_rows.len() == 1
                && Some(&chunk.rows()) == ends.last()
                && chunk.time.pages.iter().all(|page| page.len > 0) =>
        {
            Ok((ends, chunk))
        }
        _ => Err(Damage::Malformed("pack")),
    }
}
