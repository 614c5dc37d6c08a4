//! Writes a TSM file front to back: series in key order, each chunk by chunk.
//!
//! Memory: one buffer of output and the series table. The file is durable after [`Writer::finish`], and its name
//! after the caller has synced the directory.

use std::ops::Range;
use std::path::{Path, PathBuf};

use disk::{File, Vfs};
use hashbrown::HashMap;
use model::{BucketId, Column, FieldDef, SeriesKey, TimeRange, Values};
use xxhash_rust::xxh3::Xxh3;

use super::directory::{ChunkEntry, ColumnEntry, FieldPage, TimePage};
use super::format::{
    CHUNK_ROWS_MAX, Density, Footer, HEADER, PAGE_ROWS_MAX, PAGE_TEXT_BYTES_MAX, SeriesLine, Trailer,
    checksum, pack_table, put_line,
};
use super::page;
use super::stats::Stats;
use crate::codec::Effort;
use crate::error::WriteError;
use crate::index::compare_keys;
use crate::merge::Rows;

/// Output is written in pieces of this size.
const BUFFER_BYTES: usize = 1 << 20;

/// What a finished file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) bytes: u64,
    /// xxh3-64 of all bytes.
    pub(crate) checksum: u64,
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
    lines: Vec<SeriesLine>,
    series: Option<OpenSeries>,
}

/// The series that is being written.
struct OpenSeries {
    key: SeriesKey,
    pages_start: u64,
    directory: Vec<u8>,
    last_time: i64,
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
                table_offset: 0,
                table_len: 0,
                table_len_raw: 0,
                table_checksum: 0,
            },
            field_places: HashMap::new(),
            layout_places: HashMap::new(),
            lines: Vec::new(),
            series: None,
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

    /// Begins a series; keys come in ascending order.
    pub(crate) fn begin_series(&mut self, key: &SeriesKey) {
        assert!(self.series.is_none(), "a series is finished before the next begins");
        let ascending = self.lines.last().is_none_or(|l| compare_keys(&l.key, key).is_lt());
        assert!(ascending, "series are written in key order");
        self.series = Some(OpenSeries {
            key: key.clone(),
            pages_start: self.offset(),
            directory: Vec::new(),
            last_time: 0,
            times: None,
            rows: 0,
            fields: Vec::new(),
        });
    }

    /// Encodes rows (at most a chunk's) of the series that was begun, later than all its rows so far.
    pub(crate) fn write_rows(&mut self, rows: &Rows, fields: &[FieldDef]) -> Result<(), WriteError> {
        let len = rows.times.len();
        assert!(len > 0 && len <= CHUNK_ROWS_MAX, "a chunk has 1 to {CHUNK_ROWS_MAX} rows, not {len}");
        let pages = page_ranges(len, &rows.columns);
        let offset = self.offset();
        let mut bytes = Vec::new();

        let times = Column::new(Values::Time(rows.times.clone()));
        let encoded = page::encode(&times, &pages, self.effort);
        let mut time = ColumnEntry { shared: encoded.shared, pages: Vec::new() };
        for (page, range) in encoded.pages.iter().zip(&pages) {
            let times = (rows.times[range.start], rows.times[range.end - 1]);
            let offset = offset + bytes.len() as u64;
            time.pages.push(TimePage { offset, len: page.len() as u64, times });
            bytes.extend(page);
        }
        let mut of_fields = Vec::new();
        for (field, column) in fields.iter().zip(&rows.columns) {
            let Some(column) = column else { continue };
            if column.null_count() == len {
                continue;
            }
            let encoded = page::encode(column, &pages, self.effort);
            let mut entry = ColumnEntry { shared: encoded.shared, pages: Vec::new() };
            for (page, dense) in encoded.pages.iter().zip(&encoded.ranges) {
                let mut values = Values::empty(column.column_type());
                values.extend_from(&encoded.values, dense.start, dense.end);
                let offset = offset + bytes.len() as u64;
                let stats = Stats::of(&values);
                entry.pages.push(FieldPage { offset, len: page.len() as u64, values: dense.len(), stats });
                bytes.extend(page);
            }
            of_fields.push((self.place_of(field), entry));
        }
        let chunk = ChunkEntry { page_rows: pages.iter().map(Range::len).collect(), time, fields: of_fields };
        self.add_chunk(&chunk, &bytes)
    }

    /// Takes over a chunk of another file as it is. `fields` are those of the other file.
    pub(crate) fn copy_chunk(
        &mut self,
        chunk: &ChunkEntry,
        bytes: &[u8],
        fields: &[FieldDef],
    ) -> Result<(), WriteError> {
        let mut chunk = chunk.clone();
        for (field, _) in &mut chunk.fields {
            *field = self.place_of(&fields[*field as usize]);
        }
        self.add_chunk(&chunk, bytes)
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

    fn add_chunk(&mut self, chunk: &ChunkEntry, bytes: &[u8]) -> Result<(), WriteError> {
        let series = self.series.as_mut().expect("a series was begun");
        let times = chunk.times();
        assert!(series.times.is_none_or(|t| t.1 < times.0), "chunks of a series ascend in time");
        chunk.encode(&mut series.directory, &mut series.last_time);
        series.times = Some((series.times.map_or(times.0, |t| t.0), times.1));
        series.rows += chunk.rows() as u64;
        for (field, _) in &chunk.fields {
            if !series.fields.contains(field) {
                series.fields.push(*field);
            }
        }
        self.put(bytes)
    }

    /// Ends the series that was begun. A series without rows leaves no trace.
    pub(crate) fn end_series(&mut self) -> Result<(), WriteError> {
        let mut series = self.series.take().expect("a series was begun");
        let Some(times) = series.times else { return Ok(()) };
        series.fields.sort_unstable();
        let layouts = &mut self.footer.layouts;
        let layout = *self.layout_places.entry(series.fields).or_insert_with_key(|fields| {
            layouts.push(fields.clone());
            u32::try_from(layouts.len() - 1).expect("memory ends before layouts do")
        });
        let line = SeriesLine {
            key: series.key,
            layout,
            times,
            rows: series.rows,
            pages_len: self.offset() - series.pages_start,
            directory_len: u32::try_from(series.directory.len())
                .expect("memory ends before 4 GiB of directory"),
            directory_checksum: checksum(&series.directory),
        };
        self.put(&series.directory)?;
        self.footer.rows += line.rows;
        self.footer.series += 1;
        self.footer.times = (self.footer.times.0.min(times.0), self.footer.times.1.max(times.1));
        self.lines.push(line);
        Ok(())
    }

    /// Number of series so far.
    pub(crate) fn series_count(&self) -> u64 {
        self.footer.series
    }

    /// Writes table, footer and trailer, and makes the content durable.
    pub(crate) fn finish(mut self) -> Result<Finished, WriteError> {
        assert!(self.series.is_none(), "the last series is finished");
        let mut table = Vec::new();
        let mut previous_key = Vec::new();
        for line in &self.lines {
            put_line(&mut table, line, &previous_key, self.footer.times.0);
            previous_key.clear();
            previous_key.extend_from_slice(line.key.as_bytes());
        }
        let small = |n: usize| u32::try_from(n).expect("a series table stays below 4 GiB");
        self.footer.table_len_raw = small(table.len());
        let table = pack_table(table);
        self.footer.table_offset = self.offset();
        self.footer.table_len = small(table.len());
        self.footer.table_checksum = checksum(&table);
        self.put(&table)?;
        let footer = self.footer.encode();
        let trailer = Trailer {
            footer_offset: self.offset(),
            footer_len: small(footer.len()),
            footer_checksum: checksum(&footer),
        };
        self.put(&footer)?;
        self.put(&trailer.encode())?;
        self.write_buffer()?;
        self.file.sync_data().map_err(WriteError::new("sync", &self.path))?;
        Ok(Finished {
            bytes: self.written,
            checksum: self.hash.digest(),
            rows: self.footer.rows,
            series: self.footer.series,
            times: self.footer.times,
        })
    }
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
