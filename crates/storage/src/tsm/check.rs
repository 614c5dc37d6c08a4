//! Looks at every byte of an open file and compares everything that says the same twice: pages with their checksums,
//! values with their statistics, units with their directories, the file with its footer. Damage is handed over with
//! its place, and what is sound behind it is looked at too.

use std::{fmt, io};

use disk::File;
use model::{Column, ColumnType, Values};
use xxhash_rust::xxh3::Xxh3;

use super::directory::ChunkEntry;
use super::page;
use super::reader::TsmFile;
use super::stats::Stats;
use super::table::Unit;
use crate::codec::Decoder;
use crate::error::{Damage, ReadError};

/// Bytes that are read at once for the checksum of the whole file.
const BLOCK_BYTES: u64 = 1 << 20;

/// What takes damage.
pub(crate) type OnDamage<'a> = dyn FnMut(ReadError) + 'a;

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    pub(crate) pages: u64,
    pub(crate) rows: u64,
}

/// The checksum over a file as far as it was read.
#[derive(Default)]
pub(crate) struct Reading {
    hash: Xxh3,
    read: u64,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("read", &self.read).finish_non_exhaustive()
    }
}

impl Reading {
    /// Reads on, at most `bytes` bytes of a file of `len`. The checksum of the whole once its end was reached.
    pub(crate) fn go_on(&mut self, file: &dyn File, len: u64, bytes: u64) -> io::Result<Option<u64>> {
        let end = self.read.saturating_add(bytes).min(len);
        let mut block = Vec::new();
        while self.read < end {
            let wanted = BLOCK_BYTES.min(end - self.read);
            block.resize(usize::try_from(wanted).expect("a block is small"), 0);
            file.read_exact_at(&mut block, self.read)?;
            self.hash.update(&block);
            self.read += wanted;
        }
        Ok((self.read == len).then(|| self.hash.digest()))
    }

    /// Bytes read so far.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }
}

/// Looks at all units and keys of a file.
pub(crate) fn check(file: &TsmFile, on_damage: &mut OnDamage<'_>) -> Seen {
    let mut seen = Seen::default();
    let mut times = (i64::MAX, i64::MIN);
    for unit in file.units() {
        times = (times.0.min(unit.times.0), times.1.max(unit.times.1));
        seen.rows += unit.rows;
        match file.directory(&unit) {
            Ok((ends, chunks)) => check_unit(file, &unit, &ends, &chunks, &mut seen, on_damage),
            Err(error) => on_damage(error),
        }
    }
    if seen.rows > 0 && times != file.footer.times {
        on_damage(file.damaged(file.footer.table.offset, Damage::Differs("times of the file")));
    }
    if let Err(error) = file.keys(|_| {}) {
        on_damage(error);
    }
    seen
}

fn check_unit(
    file: &TsmFile,
    unit: &Unit,
    ends: &[usize],
    chunks: &[ChunkEntry],
    seen: &mut Seen,
    on_damage: &mut OnDamage<'_>,
) {
    let at = unit.offset + unit.pages_len;
    let layout = file.footer.layouts.get(unit.layout as usize).map_or(&[][..], |layout| layout);
    let mut times: Option<(i64, i64)> = None;
    for chunk in chunks {
        let (first, last) = chunk.times();
        times = Some(times.map_or((first, last), |(before, _)| (before, last)));
        check_times(file, chunk, ends, seen, on_damage);
        for (place, _) in &chunk.fields {
            if layout.contains(place) {
                check_field(file, chunk, *place, !unit.is_pack(), seen, on_damage);
            } else {
                on_damage(file.damaged(at, Damage::Differs("fields of a series")));
            }
        }
    }
    if chunks.iter().map(|chunk| chunk.rows() as u64).sum::<u64>() != unit.rows {
        on_damage(file.damaged(at, Damage::Differs("number of rows")));
    }
    if times != Some(unit.times) {
        on_damage(file.damaged(at, Damage::Differs("times of a series")));
    }
}

/// Times ascend within a series, and are those that the directory says. `ends` are those of the series of a pack.
fn check_times(
    file: &TsmFile,
    chunk: &ChunkEntry,
    ends: &[usize],
    seen: &mut Seen,
    on_damage: &mut OnDamage<'_>,
) {
    let column = &chunk.time;
    let pages = column.pages.iter().map(|page| (page.offset, page.len));
    each_page(file, ColumnType::Time, &column.shared, pages, chunk, on_damage, |i, column| {
        seen.pages += 1;
        let Values::Time(times) = &column.values else { return Err(Damage::Malformed("times")) };
        let whole = [times.len()];
        let ends = if ends.is_empty() { &whole[..] } else { ends };
        let starts = [0].into_iter().chain(ends.iter().copied());
        let ascend = |(start, &end)| times.get(start..end).is_some_and(|t| t.is_sorted_by(|a, b| a < b));
        if column.valid.is_some() || !starts.zip(ends).all(ascend) {
            return Err(Damage::Malformed("times"));
        }
        let found = times.iter().copied().min().zip(times.iter().copied().max());
        let said = chunk.time.pages.get(i).map(|page| page.times);
        if found == said { Ok(()) } else { Err(Damage::Differs("times of a page")) }
    });
}

/// The values of a field are as many as the directory says and have the statistics that it says.
fn check_field(
    file: &TsmFile,
    chunk: &ChunkEntry,
    place: u32,
    has_stats: bool,
    seen: &mut Seen,
    on_damage: &mut OnDamage<'_>,
) {
    let Some((_, column)) = chunk.fields.iter().find(|(of, _)| *of == place) else { return };
    let Some(field) = file.footer.fields.get(place as usize) else { return };
    let pages = column.pages.iter().map(|page| (page.offset, page.len));
    let column_type = ColumnType::Field(field.field_type);
    each_page(file, column_type, &column.shared, pages, chunk, on_damage, |i, decoded| {
        seen.pages += 1;
        let Some(said) = column.pages.get(i) else { return Ok(()) };
        if decoded.len() - decoded.null_count() != said.values {
            return Err(Damage::Differs("number of values"));
        }
        let dense = page::dense(decoded);
        let found = if has_stats { Stats::of(&dense, 0..dense.len()) } else { Stats::None };
        // By their bytes: a NaN is not equal to itself, and 0.0 to -0.0.
        let bytes = |stats: &Stats| {
            let mut out = Vec::new();
            stats.encode(&mut out, said.values, &mut 0);
            (stats.form(), out)
        };
        if bytes(&found) == bytes(&said.stats) { Ok(()) } else { Err(Damage::Differs("statistics")) }
    });
}

/// Reads and decodes the pages of a column, one by one.
fn each_page(
    file: &TsmFile,
    column_type: ColumnType,
    shared: &[u8],
    pages: impl Iterator<Item = (u64, u64)>,
    chunk: &ChunkEntry,
    on_damage: &mut OnDamage<'_>,
    mut visit: impl FnMut(usize, &Column) -> Result<(), Damage>,
) {
    let mut decoder = Decoder::new(column_type, shared);
    // A page without bytes is a regular one of times.
    let pages = pages.zip(&chunk.page_rows).enumerate().filter(|(_, ((_, len), _))| *len > 0);
    for (i, ((offset, len), &rows)) in pages {
        let decoded = file.read(offset, len).and_then(|bytes| {
            let decoder = decoder.as_mut().map_err(|damage| file.damaged(offset, *damage))?;
            let mut column = Column::empty(column_type);
            page::decode(&bytes, rows, decoder, &mut column)
                .map_err(|damage| file.damaged(offset, damage))?;
            Ok(column)
        });
        let visited = decoded.and_then(|c| visit(i, &c).map_err(|damage| file.damaged(offset, damage)));
        if let Err(error) = visited {
            on_damage(error);
        }
    }
}
