//! The table of a file: which units it consists of. A unit is one series alone, or a pack of short ones.
//!
//! ```text
//! unit   | series | layout | first time - that of the unit before | last time - first time | rows
//!        | bytes of pages | bytes of directory | crc32 of the directory (4) |
//! ```
//! Integers are varints, differences of times zigzag. Units lie in the file in their order and hold the series of
//! the file's set in ascending order of id, so neither offsets nor ids are written. In memory the table stays as it
//! is in the file, with a mark every [`MARK_UNITS`] units from which one is read forward.

use model::varint;

use super::format::{Footer, HEADER, PACK_ROWS_MAX, put_i64, take_array, take_i64, take_len, take_u64};
use crate::error::Damage;

/// Units between two marks.
const MARK_UNITS: u64 = 64;

/// One unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Which series of the file its first is, from 0.
    pub(crate) ordinal: u64,
    /// Number of series; more than one make a pack.
    pub(crate) series: u64,
    /// Index into the footer's layouts.
    pub(crate) layout: u32,
    /// First and last time, both inclusive.
    pub(crate) times: (i64, i64),
    pub(crate) rows: u64,
    /// Where its pages begin.
    pub(crate) offset: u64,
    pub(crate) pages_len: u64,
    /// Bytes of the directory, which follows the pages.
    pub(crate) directory_len: u32,
    pub(crate) directory_checksum: u32,
}

impl Unit {
    /// Whether several series share it.
    pub(crate) fn is_pack(&self) -> bool {
        self.series > 1
    }
}

/// Writes a table.
#[derive(Debug, Default)]
pub(crate) struct TableBuilder {
    bytes: Vec<u8>,
    last_first_time: i64,
}

impl TableBuilder {
    pub(crate) fn push(&mut self, unit: &Unit) {
        let out = &mut self.bytes;
        varint::put(out, unit.series);
        varint::put(out, u64::from(unit.layout));
        // Differences of times may exceed 63 bits, so they wrap.
        put_i64(out, unit.times.0.wrapping_sub(self.last_first_time));
        put_i64(out, unit.times.1.wrapping_sub(unit.times.0));
        self.last_first_time = unit.times.0;
        varint::put(out, unit.rows);
        varint::put(out, unit.pages_len);
        varint::put(out, u64::from(unit.directory_len));
        out.extend(unit.directory_checksum.to_le_bytes());
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// A place in the table from which units can be read.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// In the table's bytes.
    at: usize,
    ordinal: u64,
    offset: u64,
    last_first_time: i64,
}

/// A table in memory.
#[derive(Debug)]
pub(crate) struct Table {
    bytes: Vec<u8>,
    marks: Vec<Place>,
}

impl Table {
    /// Takes the bytes of a table and checks that its units fill the file up to the table and hold its series.
    pub(crate) fn open(bytes: Vec<u8>, footer: &Footer) -> Result<Self, Damage> {
        let mut place = Place { offset: HEADER.len() as u64, ..Place::default() };
        let mut marks = Vec::new();
        let mut rows = 0_u64;
        let mut units = 0;
        while place.at < bytes.len() {
            if units % MARK_UNITS == 0 {
                marks.push(place);
            }
            units += 1;
            let unit = take(&bytes, &mut place)?;
            rows = rows.checked_add(unit.rows).ok_or(Damage::Malformed("number of rows"))?;
            if unit.layout as usize >= footer.layouts.len() {
                return Err(Damage::Malformed("layout"));
            }
        }
        if place.offset != footer.table.offset {
            return Err(Damage::Malformed("length of units"));
        }
        if place.ordinal != footer.series || rows != footer.rows {
            return Err(Damage::Malformed("number of series or rows"));
        }
        Ok(Self { bytes, marks })
    }

    /// The unit of a series of the file.
    pub(crate) fn find(&self, ordinal: u64) -> Option<Unit> {
        let mark = self.marks.partition_point(|mark| mark.ordinal <= ordinal).checked_sub(1)?;
        let mut units = Units { bytes: &self.bytes, place: *self.marks.get(mark)? };
        units.find(|unit| ordinal < unit.ordinal + unit.series)
    }

    /// All units.
    pub(crate) fn units(&self) -> Units<'_> {
        let place = Place { offset: HEADER.len() as u64, ..Place::default() };
        Units { bytes: &self.bytes, place }
    }

    /// Memory held.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.len() + self.marks.len() * size_of::<Place>()
    }
}

/// Units in order.
#[derive(Debug)]
pub(crate) struct Units<'a> {
    bytes: &'a [u8],
    place: Place,
}

impl Iterator for Units<'_> {
    type Item = Unit;

    fn next(&mut self) -> Option<Unit> {
        // Every unit was read when the table was opened.
        (self.place.at < self.bytes.len()).then(|| take(self.bytes, &mut self.place).ok())?
    }
}

fn take(bytes: &[u8], place: &mut Place) -> Result<Unit, Damage> {
    let mut input = bytes.get(place.at..).ok_or(Damage::Truncated)?;
    let input = &mut input;
    let before = input.len();
    let series = take_u64(input)?;
    let layout = u32::try_from(take_u64(input)?).map_err(|_large| Damage::Malformed("layout"))?;
    let first = place.last_first_time.wrapping_add(take_i64(input)?);
    let last = first.wrapping_add(take_i64(input)?);
    let rows = take_u64(input)?;
    let pages_len = take_u64(input)?;
    let directory_len = take_len(input)?;
    let directory_len =
        u32::try_from(directory_len).map_err(|_large| Damage::Malformed("directory length"))?;
    let directory_checksum = u32::from_le_bytes(take_array(input)?);
    let rows_fit = series <= rows && (series == 1 || rows <= PACK_ROWS_MAX as u64);
    if series == 0 || !rows_fit || first > last {
        return Err(Damage::Malformed("unit"));
    }
    let unit = Unit {
        ordinal: place.ordinal,
        series,
        layout,
        times: (first, last),
        rows,
        offset: place.offset,
        pages_len,
        directory_len,
        directory_checksum,
    };
    place.at += before - input.len();
    place.last_first_time = first;
    place.ordinal = place.ordinal.checked_add(series).ok_or(Damage::Malformed("number of series"))?;
    let end = place.offset.checked_add(pages_len).and_then(|end| end.checked_add(u64::from(directory_len)));
    place.offset = end.ok_or(Damage::Malformed("length of units"))?;
    Ok(unit)
}
