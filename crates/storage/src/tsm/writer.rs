//! Writes a TSM file front to back: series in ascending order of id, each chunk by chunk, short ones in packs.
//!
//! Memory: one buffer of output, one pack, the table of units and the packed keys. The file is durable after [`Writer::finish`], and its name
//! after the caller has synced the directory.

use std::ops::Range;
use std::path::{Path, PathBuf};

use disk::{File, Vfs};
use hashbrown::HashMap;
use model::{BucketId, Column, FieldDef, SeriesKey, TimeRange, Values, varint};
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::Xxh3;

use super::directory::{ChunkEntry, ColumnEntry, FieldPage, TimePage, TimesBefore};
use super::format::{
    CHUNK_ROWS_MAX, Density, Footer, HEADER, KIND, PACK_ROWS_MAX, PACKED_ROWS_MAX, PAGE_ROWS_MAX,
    PAGE_TEXT_BYTES_MAX, Part, Trailer, checksum,
};
use super::keys::KeysBuilder;
use super::page;
use super::stats::Stats;
use super::table::{TableBuilder, Unit};
use crate::codec::Effort;
use crate::error::WriteError;
use crate::index::SeriesId;
use crate::merge::Rows;

/// Output is written in pieces of this size.
const BUFFER_BYTES: usize = 1 << 20;
/// A series with more text than this gets pages of its own.
const PACKED_TEXT_BYTES_MAX: usize = PAGE_TEXT_BYTES_MAX / 16;

/// What a finished file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) bytes: u64,
    /// xxh3-64 of all bytes.
    pub(crate) checksum: u64,
    pub(crate) footer_checksum: u32,
    pub(crate) rows: u64,
    pub(crate) series: u64,
    /// First and last time, both inclusive.
    pub(crate) times: (i64, i64),
}

/// See the module.
pub(crate) struct Writer {
    file: Box<dyn File>,
    path: PathBuf,
    effort: Effort,
    buffer: Vec<u8>,
    /// Bytes that were handed to the file.
    written: u64,
    hash: Xxh3,
    footer: Footer,
    field_places: HashMap<FieldDef, u32>,
    layout_places: HashMap<Vec<u32>, u32>,
    table: TableBuilder,
    presence: RoaringBitmap,
    keys: KeysBuilder,
    series: Option<OpenSeries>,
    pack: Option<OpenPack>,
}

/// The series that is being written.
struct OpenSeries {
    id: SeriesId,
    key: SeriesKey,
    /// The first rows, while they are so few that the series may become part of a pack.
    short: Option<Short>,
    unit: Option<OpenUnit>,
}

/// Few rows with their fields, by place in the footer, ascending.
struct Short {
    fields: Vec<u32>,
    rows: Rows,
}

/// Series that share pages.
struct OpenPack {
    series: Vec<usize>,
    rows: Short,
}

/// A unit whose chunks are being written.
struct OpenUnit {
    pages_start: u64,
    directory: Vec<u8>,
    times_before: TimesBefore,
    times: Option<(i64, i64)>,
    rows: u64,
    fields: Vec<u32>,
}

impl Writer {
    /// Creates the file; it must not exist.
    pub(crate) fn create(
        vfs: &dyn Vfs,
        path: &Path,
        bucket: BucketId,
        shard: TimeRange,
        density: Density,
        effort: Effort,
    ) -> Result<Self, WriteError> {
        let file = vfs.create(path).map_err(WriteError::new("create", path))?;
        let mut this = Self {
            file,
            path: path.to_owned(),
            effort,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            written: 0,
            hash: Xxh3::new(),
            footer: Footer {
                bucket,
                shard,
                times: (i64::MAX, i64::MIN),
                rows: 0,
                series: 0,
                density,
                fields: Vec::new(),
                layouts: Vec::new(),
                table: Part::default(),
                presence: Part::default(),
                keys_len: 0,
            },
            field_places: HashMap::new(),
            layout_places: HashMap::new(),
            table: TableBuilder::default(),
            presence: RoaringBitmap::new(),
            keys: KeysBuilder::default(),
            series: None,
            pack: None,
        };
        this.put(&HEADER)?;
        Ok(this)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES { self.write_buffer() } else { Ok(()) }
    }

    fn write_buffer(&mut self) -> Result<(), WriteError> {
        self.hash.update(&self.buffer);
        self.file.write_all_at(&self.buffer, self.written).map_err(WriteError::new("write", &self.path))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Bytes of the file so far.
    fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Begins a series; ids come in ascending order.
    pub(crate) fn begin_series(&mut self, id: SeriesId, key: SeriesKey) {
        assert!(self.series.is_none(), "a series is finished before the next begins");
        assert!(
            self.presence.max().is_none_or(|last| last < id),
            "series are written in the order of their ids"
        );
        self.series = Some(OpenSeries { id, key, short: None, unit: None });
    }

    /// Encodes rows (at most a chunk's) of the series that was begun, later than all its rows so far.
    pub(crate) fn write_rows(&mut self, rows: Rows, fields: &[FieldDef]) -> Result<(), WriteError> {
        let len = rows.times.len();
        assert!(len > 0 && len <= CHUNK_ROWS_MAX, "a chunk has 1 to {CHUNK_ROWS_MAX} rows, not {len}");
        let rows = self.placed(rows, fields);
        let series = self.series.as_mut().expect("a series was begun");
        if series.unit.is_none()
            && series.short.is_none()
            && len <= PACKED_ROWS_MAX
            && rows.rows.text_bytes() <= PACKED_TEXT_BYTES_MAX
        {
            series.short = Some(rows);
            return Ok(());
        }
        self.write_short()?;
        self.write_chunk(&rows)
    }

    /// Takes over a chunk of another file as it is. `fields` are those of the other file.
    pub(crate) fn copy_chunk(
        &mut self,
        chunk: &ChunkEntry,
        bytes: &[u8],
        fields: &[FieldDef],
    ) -> Result<(), WriteError> {
        self.write_short()?;
        let mut chunk = chunk.clone();
        for (field, _) in &mut chunk.fields {
            *field = self.place_of(&fields[*field as usize]);
        }
        self.add_chunk(&chunk, bytes)
    }

    /// Rows with the columns that hold a value, by the fields' places.
    fn placed(&mut self, rows: Rows, fields: &[FieldDef]) -> Short {
        let len = rows.times.len();
        let mut columns: Vec<(u32, Column)> = Vec::with_capacity(fields.len());
        for (field, column) in fields.iter().zip(rows.columns) {
            if let Some(column) = column.filter(|column| column.null_count() < len) {
                columns.push((self.place_of(field), column));
            }
        }
        columns.sort_unstable_by_key(|(place, _)| *place);
        let (fields, columns) = columns.into_iter().map(|(place, column)| (place, Some(column))).unzip();
        Short { fields, rows: Rows { times: rows.times, columns } }
    }

    fn place_of(&mut self, field: &FieldDef) -> u32 {
        if let Some(place) = self.field_places.get(field) {
            return *place;
        }
        let place = u32::try_from(self.footer.fields.len()).expect("memory ends before fields do");
        self.footer.fields.push(field.clone());
        self.field_places.insert(field.clone(), place);
        place
    }

    /// Writes the first rows of the series that was begun as a chunk of its own.
    fn write_short(&mut self) -> Result<(), WriteError> {
        let series = self.series.as_mut().expect("a series was begun");
        match series.short.take() {
            Some(rows) => self.write_chunk(&rows),
            None => Ok(()),
        }
    }

    fn write_chunk(&mut self, rows: &Short) -> Result<(), WriteError> {
        self.close_pack()?;
        let pages = page_ranges(rows.rows.times.len(), &rows.rows.columns);
        let (chunk, bytes) = encode_chunk(rows, &pages, self.offset(), self.effort, false);
        self.add_chunk(&chunk, &bytes)
    }

    fn add_chunk(&mut self, chunk: &ChunkEntry, bytes: &[u8]) -> Result<(), WriteError> {
        self.close_pack()?;
        let pages_start = self.offset();
        let series = self.series.as_mut().expect("a series was begun");
        series.unit.get_or_insert_with(|| OpenUnit::new(pages_start)).add(chunk);
        self.put(bytes)
    }

    /// Ends the series that was begun. A series without rows leaves no trace.
    pub(crate) fn end_series(&mut self) -> Result<(), WriteError> {
        let series = self.series.take().expect("a series was begun");
        if let Some(unit) = series.unit {
            self.end_unit(unit, 1)?;
        } else if let Some(short) = series.short {
            self.pack(short)?;
        } else {
            return Ok(());
        }
        self.footer.series += 1;
        self.presence.insert(series.id);
        self.keys.push(&series.key);
        Ok(())
    }

    /// Adds a short series to the pack, or begins one.
    fn pack(&mut self, short: Short) -> Result<(), WriteError> {
        let fits = self.pack.as_ref().is_some_and(|pack| {
            pack.rows.fields == short.fields
                && pack.rows.rows.times.len() + short.rows.times.len() <= PACK_ROWS_MAX
                && pack.rows.rows.text_bytes() + short.rows.text_bytes() <= PAGE_TEXT_BYTES_MAX
        });
        if !fits {
            self.close_pack()?;
        }
        let len = short.rows.times.len();
        match &mut self.pack {
            Some(pack) => {
                pack.rows.rows.extend(&short.rows, 0..len);
                pack.series.push(len);
            }
            None => self.pack = Some(OpenPack { series: vec![len], rows: short }),
        }
        Ok(())
    }

    /// Writes the pack that was begun. One series alone is no pack.
    fn close_pack(&mut self) -> Result<(), WriteError> {
        let Some(pack) = self.pack.take() else { return Ok(()) };
        let is_pack = pack.series.len() > 1;
        let len = pack.rows.rows.times.len();
        let one_page = 0..len;
        let pages = std::slice::from_ref(&one_page);
        let offset = self.offset();
        let (chunk, bytes) = encode_chunk(&pack.rows, pages, offset, self.effort, is_pack);
        let mut unit = OpenUnit::new(offset);
        if is_pack {
            pack.series.iter().for_each(|&rows| varint::put(&mut unit.directory, rows as u64));
        }
        unit.add(&chunk);
        self.put(&bytes)?;
        self.end_unit(unit, pack.series.len() as u64)
    }

    fn end_unit(&mut self, mut unit: OpenUnit, series: u64) -> Result<(), WriteError> {
        let times = unit.times.expect("a unit has rows");
        unit.fields.sort_unstable();
        let layouts = &mut self.footer.layouts;
        let layout = *self.layout_places.entry(unit.fields).or_insert_with_key(|fields| {
            layouts.push(fields.clone());
            u32::try_from(layouts.len() - 1).expect("memory ends before layouts do")
        });
        self.table.push(&Unit {
            ordinal: 0,
            series,
            layout,
            times,
            rows: unit.rows,
            offset: unit.pages_start,
            pages_len: self.offset() - unit.pages_start,
            directory_len: u32::try_from(unit.directory.len())
                .expect("memory ends before 4 GiB of directory"),
            directory_checksum: checksum(&unit.directory),
        });
        self.put(&unit.directory)?;
        self.footer.rows += unit.rows;
        self.footer.times = (self.footer.times.0.min(times.0), self.footer.times.1.max(times.1));
        Ok(())
    }

    /// Number of series so far.
    pub(crate) fn series_count(&self) -> u64 {
        self.footer.series
    }

    /// Writes what follows the units, and makes the content durable.
    pub(crate) fn finish(mut self) -> Result<Finished, WriteError> {
        assert!(self.series.is_none(), "the last series is finished");
        self.close_pack()?;
        let table = std::mem::take(&mut self.table).finish();
        self.footer.table = self.put_part(&table)?;
        self.presence.optimize();
        let mut presence = Vec::with_capacity(self.presence.serialized_size());
        self.presence.serialize_into(&mut presence).expect("memory takes all bytes");
        self.footer.presence = self.put_part(&presence)?;
        let keys = std::mem::take(&mut self.keys).finish();
        self.footer.keys_len = keys.len() as u64;
        self.put(&keys)?;
        let footer = self.footer.encode();
        let trailer = Trailer {
            footer_offset: self.offset(),
            footer_len: small(footer.len()),
            footer_checksum: checksum(&footer),
        };
        self.put(&footer)?;
        self.put(&trailer.encode(&KIND))?;
        self.write_buffer()?;
        self.file.sync_data().map_err(WriteError::new("sync", &self.path))?;
        Ok(Finished {
            bytes: self.written,
            checksum: self.hash.digest(),
            footer_checksum: trailer.footer_checksum,
            rows: self.footer.rows,
            series: self.footer.series,
            times: self.footer.times,
        })
    }

    fn put_part(&mut self, bytes: &[u8]) -> Result<Part, WriteError> {
        let part = Part { offset: self.offset(), len: small(bytes.len()), checksum: checksum(bytes) };
        self.put(bytes)?;
        Ok(part)
    }
}

impl OpenUnit {
    fn new(pages_start: u64) -> Self {
        let (directory, fields) = (Vec::new(), Vec::new());
        Self { pages_start, directory, times_before: TimesBefore::default(), times: None, rows: 0, fields }
    }

    fn add(&mut self, chunk: &ChunkEntry) {
        let times = chunk.times();
        assert!(self.times.is_none_or(|t| t.1 < times.0), "chunks of a series ascend in time");
        chunk.encode(&mut self.directory, &mut self.times_before);
        self.times = Some((self.times.map_or(times.0, |t| t.0), times.1));
        self.rows += chunk.rows() as u64;
        for (field, _) in &chunk.fields {
            if !self.fields.contains(field) {
                self.fields.push(*field);
            }
        }
    }
}

/// Encodes a chunk whose pages will begin at `offset`. Those of a pack say nothing of its series one by one.
fn encode_chunk(
    rows: &Short,
    pages: &[Range<usize>],
    offset: u64,
    effort: Effort,
    is_pack: bool,
) -> (ChunkEntry, Vec<u8>) {
    let mut bytes = Vec::new();
    let times = Column::new(Values::Time(rows.rows.times.clone()));
    let encoded = page::encode(&times, pages, effort);
    let mut time = ColumnEntry { shared: encoded.shared, pages: Vec::new() };
    for (page, range) in encoded.pages.iter().zip(pages) {
        let times = &rows.rows.times[range.clone()];
        let least = times.iter().copied().min().expect("a page has rows");
        let greatest = times.iter().copied().max().expect("a page has rows");
        let offset = offset + bytes.len() as u64;
        let page = if !is_pack && is_regular(times) { &[][..] } else { page };
        time.pages.push(TimePage { offset, len: page.len() as u64, times: (least, greatest) });
        bytes.extend(page);
    }
    let mut fields = Vec::new();
    for (place, column) in rows.fields.iter().zip(rows.rows.columns.iter().flatten()) {
        let encoded = page::encode(column, pages, effort);
        let mut entry = ColumnEntry { shared: encoded.shared, pages: Vec::new() };
        for (page, dense) in encoded.pages.iter().zip(&encoded.ranges) {
            let stats = if is_pack { Stats::None } else { Stats::of(&encoded.values, dense.clone()) };
            let offset = offset + bytes.len() as u64;
            entry.pages.push(FieldPage { offset, len: page.len() as u64, values: dense.len(), stats });
            bytes.extend(page);
        }
        fields.push((*place, entry));
    }
    (ChunkEntry { page_rows: pages.iter().map(Range::len).collect(), time, fields }, bytes)
}

/// Whether ascending times do so by one step, so that the directory can say all of them.
fn is_regular(times: &[i64]) -> bool {
    let ends = times.first().zip(times.last());
    let Some(step) = times.get(1).map_or(Some(0), |second| second.checked_sub(times[0])) else {
        return false;
    };
    ends.is_some_and(|(first, last)| last.checked_sub(*first).is_some())
        && times.array_windows().all(|[a, b]| b.wrapping_sub(*a) == step)
}

fn small(n: usize) -> u32 {
    u32::try_from(n).expect("the parts of a file stay below 4 GiB")
}

/// Cuts rows into pages of limited rows and text.
fn page_ranges(rows: usize, columns: &[Option<Column>]) -> Vec<Range<usize>> {
    let texts: Vec<_> = columns
        .iter()
        .flatten()
        .filter_map(|c| match &c.values {
            Values::String(strings) => Some(strings),
            _ => None,
        })
        .collect();
    let mut pages = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for row in 0..rows {
        let more = texts.iter().map(|t| t.get(row).len()).max().unwrap_or(0);
        if row > start && (row - start == PAGE_ROWS_MAX || bytes + more > PAGE_TEXT_BYTES_MAX) {
            pages.push(start..row);
            (start, bytes) = (row, 0);
        }
        bytes += more;
    }
    pages.push(start..rows);
    pages
}
