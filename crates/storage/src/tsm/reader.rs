//! Opens TSM files and reads chunks of them. Nothing is believed before its checksum was compared.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use disk::{File, Vfs};
use model::{Column, ColumnType, FieldDef, Values};
use roaring::RoaringBitmap;

use super::directory::{self, ChunkEntry, ColumnEntry, FieldPage};
use super::flaws::Flaws;
use super::format::{Footer, HEADER, KIND, PART_BYTES_MAX, Part, TRAILER_BYTES, checksum};
use super::page;
use super::table::{Table, Unit};
use crate::cache::{Directory, FileId, Place, Reads, Tally};
use crate::codec::Decoder;
use crate::error::{Damage, OpenError, ReadError};
use crate::index::SeriesId;
use crate::layout::same_field;
use crate::manifest::FileEntry;
use crate::merge::{Piece, Rows};

/// A series in an open file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileSeries {
    pub(crate) id: SeriesId,
    /// Which series of the file it is, from 0.
    ordinal: u64,
    pub(crate) unit: Unit,
}

impl FileSeries {
    /// Which series of its unit it is, from 0.
    pub(super) fn slot(&self) -> u64 {
        self.ordinal - self.unit.ordinal
    }
}

/// An open file: footer, table of units and set of series are in memory, all else is read when asked for.
#[derive(Debug)]
pub(crate) struct TsmFile {
    pub(crate) entry: FileEntry,
    /// In the cache.
    pub(crate) id: FileId,
    pub(crate) path: PathBuf,
    pub(crate) footer: Footer,
    /// The ids of its series.
    pub(crate) presence: RoaringBitmap,
    table: Table,
    file: Box<dyn File>,
    clear_before: AtomicU64,
    flaws: Flaws,
}

impl TsmFile {
    /// Opens a file that the manifest names.
    pub(crate) fn open(vfs: &dyn Vfs, path: &Path, entry: &FileEntry) -> Result<Self, OpenError> {
        let file = match vfs.open_read(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(OpenError::WrongFile {
                    path: path.to_owned(),
                    expected: entry.bytes,
                    found: None,
                });
            }
            Err(source) => return Err(OpenError::io("open", path)(source)),
        };
        let len = file.len().map_err(OpenError::io("read the length of", path))?;
        if len != entry.bytes {
            return Err(OpenError::WrongFile {
                path: path.to_owned(),
                expected: entry.bytes,
                found: Some(len),
            });
        }
        let (footer, footer_checksum) = read_footer(&*file, path, len)?;
        if footer_checksum != entry.footer_checksum {
            let other = Damage::Differs("footer: the manifest names another file");
            return Err(OpenError::damaged(path, 0)(other));
        }
        let table = read_part(&*file, path, footer.table)?;
        let table = Table::open(table, &footer).map_err(OpenError::damaged(path, footer.table.offset))?;
        let presence = read_part(&*file, path, footer.presence)?;
        let presence = RoaringBitmap::deserialize_from(&presence[..])
            .ok()
            .filter(|set| set.len() == footer.series)
            .ok_or(Damage::Malformed("set of series"))
            .map_err(OpenError::damaged(path, footer.presence.offset))?;
        let clear_before = AtomicU64::new(entry.masked_from);
        let (entry, id, path) = (entry.clone(), FileId::next(), path.to_owned());
        let flaws = Flaws::default();
        Ok(Self { entry, id, path, footer, presence, table, file, clear_before, flaws })
    }

    /// A series of the file.
    pub(crate) fn find(&self, id: SeriesId) -> Option<FileSeries> {
        if !self.presence.contains(id) {
            return None;
        }
        let ordinal = self.presence.rank(id) - 1;
        Some(FileSeries { id, ordinal, unit: self.table.find(ordinal)? })
    }

    /// All series of the file, in ascending order of id.
    pub(crate) fn series(&self) -> impl Iterator<Item = FileSeries> {
        let in_units = self
            .table
            .units()
            .flat_map(|unit| (unit.ordinal..unit.ordinal + unit.series).zip(std::iter::repeat(unit)));
        self.presence.iter().zip(in_units).map(|(id, (ordinal, unit))| FileSeries { id, ordinal, unit })
    }

    /// Reads the keys of its series, in ascending order of id: for inspection, and when there is no index.
    pub(crate) fn keys(&self, mut visit: impl FnMut(model::SeriesKey)) -> Result<(), ReadError> {
        let at = self.footer.presence.end().unwrap_or(u64::MAX);
        let bytes = self.read(at, self.footer.keys_len)?;
        let mut count = 0;
        super::keys::read(&bytes, |key| {
            count += 1;
            visit(key);
        })
        .map_err(|(offset, damage)| self.damaged(at + offset, damage))?;
        if count == self.footer.series { Ok(()) } else { Err(self.damaged(at, Damage::Malformed("keys"))) }
    }

    /// Memory held.
    pub(crate) fn memory(&self) -> usize {
        self.table.memory() + self.presence.serialized_size()
    }

    /// Whether the file has rows of some of the series.
    pub(crate) fn has_any(&self, ids: &RoaringBitmap) -> bool {
        !self.presence.is_disjoint(ids)
    }

    /// Tombstones of lower sequence are known to hide nothing of the file: for who plans merges.
    pub(crate) fn clear_before(&self) -> u64 {
        self.clear_before.load(Ordering::Relaxed)
    }

    /// Remembers that nothing is hidden by tombstones before a sequence.
    pub(crate) fn set_clear_before(&self, sequence: u64) {
        self.clear_before.fetch_max(sequence, Ordering::Relaxed);
    }

    /// The fields that a series has somewhere in the file.
    pub(crate) fn fields_of<'a>(&'a self, series: &FileSeries) -> impl Iterator<Item = &'a FieldDef> {
        self.footer.layouts[series.unit.layout as usize].iter().map(|&f| &self.footer.fields[f as usize])
    }

    /// All units of the file, in order.
    pub(crate) fn units(&self) -> impl Iterator<Item = Unit> {
        self.table.units()
    }

    /// Reads the directory of a unit: its chunks, and for a pack where the rows of each series end.
    pub(crate) fn directory(&self, unit: &Unit) -> Result<(Vec<usize>, Vec<ChunkEntry>), ReadError> {
        let at = unit.offset + unit.pages_len;
        let bytes = self.read(at, u64::from(unit.directory_len))?;
        if checksum(&bytes) != unit.directory_checksum {
            return Err(self.damaged(at, Damage::Checksum));
        }
        let fields = &self.footer.fields;
        let decoded = if unit.is_pack() {
            directory::decode_pack(&bytes, unit.series, fields, unit.offset, unit.pages_len)
                .map(|(ends, chunk)| (ends, vec![chunk]))
        } else {
            directory::decode(&bytes, fields, unit.offset, unit.pages_len).map(|chunks| (Vec::new(), chunks))
        };
        decoded.map_err(|damage| self.damaged(at, damage))
    }

    /// The directory of a series that is a unit of its own.
    pub(super) fn chunks(&self, series: &FileSeries, reads: &Reads) -> Result<Directory, ReadError> {
        let unit = &series.unit;
        let place = Place { file: self.id, offset: unit.offset + unit.pages_len };
        if let Some(held) = reads.directory(place) {
            return Ok(held);
        }
        let (_, chunks) = self.directory(unit)?;
        let directory: Directory = chunks.into_iter().map(Arc::new).collect();
        reads.keep_directory(place, &directory);
        Ok(directory)
    }

    /// Reads all pages of a chunk as they are, after comparing their checksums.
    pub(crate) fn chunk_bytes(&self, chunk: &ChunkEntry) -> Result<Vec<u8>, ReadError> {
        let (start, len) = chunk.extent();
        let bytes = self.read(start, len)?;
        let times = chunk.time.pages.iter().map(|p| (p.offset, p.len)).zip(&chunk.page_rows);
        let times = times.filter(|((_, len), _)| *len > 0);
        let fields = chunk.fields.iter().flat_map(|(_, column)| column.pages.iter().zip(&chunk.page_rows));
        for ((offset, len), &rows) in times.chain(fields.map(|(p, rows)| ((p.offset, p.len), rows))) {
            let page = usize::try_from(offset - start).ok().zip(usize::try_from(len).ok());
            let page = page.and_then(|(at, len)| bytes.get(at..)?.get(..len)).ok_or(Damage::Truncated);
            page.and_then(|page| page::check(page, rows)).map_err(|damage| self.damaged(offset, damage))?;
        }
        Ok(bytes)
    }

    pub(crate) fn read(&self, offset: u64, len: u64) -> Result<Vec<u8>, ReadError> {
        if len > PART_BYTES_MAX || offset.checked_add(len).is_none_or(|end| end > self.entry.bytes) {
            return Err(self.damaged(offset, Damage::Malformed("length")));
        }
        let len = usize::try_from(len).map_err(|_large| self.damaged(offset, Damage::Malformed("length")))?;
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, offset).map_err(|source| self.unreadable(offset, source))?;
        Tally::read(len);
        Ok(bytes)
    }

    /// The file itself.
    pub(crate) fn bytes(&self) -> &dyn File {
        &*self.file
    }

    /// Notes that the file cannot be read on from a place.
    pub(crate) fn unreadable(&self, offset: u64, source: std::io::Error) -> ReadError {
        let (path, source) = (self.path.clone(), Arc::new(source));
        self.flaws.note(offset, ReadError::Io { path, offset, source })
    }

    /// What reads found damaged so far.
    pub(crate) fn flaws(&self) -> &Flaws {
        &self.flaws
    }

    pub(crate) fn damaged(&self, offset: u64, source: Damage) -> ReadError {
        self.flaws.note(offset, ReadError::Damaged { path: self.path.clone(), offset, source })
    }

    /// Reads pages of one column; they lie one after another. Only those that are not in the cache are read from disk.
    pub(super) fn read_column(
        &self,
        column_type: ColumnType,
        shared: &[u8],
        pages: &[(u64, u64)],
        rows: &[usize],
        reads: &Reads,
    ) -> Result<Column, ReadError> {
        let mut column = Column::new(Values::with_capacity(column_type, rows.iter().sum()));
        self.each_page(column_type, shared, pages, rows, reads, |_, page| {
            column.extend_from(page, 0, page.len());
            Ok(())
        })?;
        Ok(column)
    }

    /// Hands on pages of one column, each with its place among `pages`.
    fn each_page(
        &self,
        column_type: ColumnType,
        shared: &[u8],
        pages: &[(u64, u64)],
        rows: &[usize],
        reads: &Reads,
        mut visit: impl FnMut(usize, &Arc<Column>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let place = |offset| Place { file: self.id, offset };
        let held = |(&(offset, _), &rows): (&(u64, u64), &usize)| {
            let fits = |page: &Arc<Column>| page.len() == rows && page.values.column_type() == column_type;
            reads.page(place(offset)).filter(fits)
        };
        let held: Vec<_> = pages.iter().zip(rows).map(held).collect();
        let is_missing = |page: &Option<Arc<Column>>| page.is_none();
        let missing = held.iter().position(is_missing).zip(held.iter().rposition(is_missing));
        let ends = missing.and_then(|(first, last)| pages.get(first).zip(pages.get(last)));
        let (start, end) = ends.map_or((0, 0), |(first, last)| (first.0, last.0 + last.1));
        let (bytes, mut decoder) = match ends {
            None => (Vec::new(), None),
            Some(_) => {
                let decoder =
                    Decoder::new(column_type, shared).map_err(|damage| self.damaged(start, damage))?;
                (reads.timed(|| self.read(start, end - start))?, Some(decoder))
            }
        };
        for (at, ((&(offset, len), &rows), held)) in pages.iter().zip(rows).zip(&held).enumerate() {
            match (held, &mut decoder) {
                (Some(held), _) => visit(at, held)?,
                (None, None) => unreachable!("a page is missing, so there is a decoder"),
                (None, Some(decoder)) => {
                    let page = usize::try_from(offset - start).ok().zip(usize::try_from(len).ok());
                    let page = page.and_then(|(at, len)| bytes.get(at..)?.get(..len));
                    let page = page.ok_or_else(|| self.damaged(offset, Damage::Truncated))?;
                    let mut decoded = Column::new(Values::with_capacity(column_type, rows));
                    page::decode(page, rows, decoder, &mut decoded)
                        .map_err(|damage| self.damaged(offset, damage))?;
                    let decoded = Arc::new(decoded);
                    reads.keep_page(place(offset), &decoded);
                    visit(at, &decoded)?;
                }
            }
        }
        Ok(())
    }

    /// Reads neighbouring pages of a field; `None` when none has a value.
    pub(super) fn read_field(
        &self,
        field: &FieldDef,
        column: &ColumnEntry<FieldPage>,
        pages: &Range<usize>,
        page_rows: &[usize],
        reads: &Reads,
    ) -> Result<Option<Column>, ReadError> {
        let (Some(pages), Some(rows)) = (column.pages.get(pages.clone()), page_rows.get(pages.clone()))
        else {
            return Ok(None);
        };
        if pages.iter().all(|p| p.values == 0) {
            return Ok(None);
        }
        let places: Vec<_> = pages.iter().map(|p| (p.offset, p.len)).collect();
        let column_type = ColumnType::Field(field.field_type);
        let read = self.read_column(column_type, &column.shared, &places, rows, reads)?;
        let expected: usize = pages.iter().map(|p| p.values).sum();
        if read.len() - read.null_count() == expected {
            Ok(Some(read))
        } else {
            Err(self.damaged(places[0].0, Damage::Malformed("number of values")))
        }
    }
}

/// Reads and checks what stands at the end of a file: the footer, and its checksum.
pub(crate) fn read_footer(file: &dyn File, path: &Path, len: u64) -> Result<(Footer, u32), OpenError> {
    let read = |offset: u64, bytes: &mut [u8]| {
        file.read_exact_at(bytes, offset).map_err(OpenError::io("read", path))
    };
    let smallest = (HEADER.len() + TRAILER_BYTES) as u64;
    if len < smallest {
        return Err(OpenError::damaged(path, len)(Damage::Truncated));
    }
    let mut header = [0; HEADER.len()];
    read(0, &mut header)?;
    let trailer_at = len - TRAILER_BYTES as u64;
    let mut trailer = [0; TRAILER_BYTES];
    read(trailer_at, &mut trailer)?;
    let trailer = KIND
        .trailer(header, &trailer, trailer_at)
        .map_err(|(at, damage)| OpenError::damaged(path, at)(damage))?;
    // The parts must lie where they were said to lie, one behind the other, so no length is believed alone.
    let footer_len =
        trailer_at.checked_sub(trailer.footer_offset).filter(|n| *n == u64::from(trailer.footer_len));
    let mut footer = part(footer_len).map_err(OpenError::damaged(path, trailer_at))?;
    read(trailer.footer_offset, &mut footer)?;
    if checksum(&footer) != trailer.footer_checksum {
        return Err(OpenError::damaged(path, trailer.footer_offset)(Damage::Checksum));
    }
    let footer = Footer::decode(&footer, trailer.footer_offset)
        .map_err(OpenError::damaged(path, trailer.footer_offset))?;
    let keys_at = footer.presence.end();
    if keys_at.and_then(|at| at.checked_add(footer.keys_len)) != Some(trailer.footer_offset) {
        return Err(OpenError::damaged(path, trailer.footer_offset)(Damage::Malformed("length")));
    }
    Ok((footer, trailer.footer_checksum))
}

/// Reads a part and compares its checksum. The footer was checked: the part lies within the file.
fn read_part(file: &dyn File, path: &Path, of: Part) -> Result<Vec<u8>, OpenError> {
    let mut bytes = part(Some(u64::from(of.len))).map_err(OpenError::damaged(path, of.offset))?;
    file.read_exact_at(&mut bytes, of.offset).map_err(OpenError::io("read", path))?;
    if checksum(&bytes) == of.checksum {
        Ok(bytes)
    } else {
        Err(OpenError::damaged(path, of.offset)(Damage::Checksum))
    }
}

/// A buffer for a part of a file whose length was checked against the file's own.
fn part(len: Option<u64>) -> Result<Vec<u8>, Damage> {
    let len = len.filter(|&n| n <= PART_BYTES_MAX).and_then(|n| usize::try_from(n).ok());
    len.map(|len| vec![0; len]).ok_or(Damage::Malformed("length"))
}

/// The times of a page.
#[derive(Debug, Clone)]
pub(crate) struct PageTimes(Arc<Column>);

impl PageTimes {
    pub(crate) fn as_slice(&self) -> &[i64] {
        match &self.0.values {
            Values::Time(times) => times,
            _ => unreachable!("a time column was asked for"),
        }
    }
}

/// Neighbouring pages of a chunk, to be loaded when a merge needs them.
#[derive(Debug, Clone)]
pub(crate) struct ChunkPiece {
    pub(crate) file: Arc<TsmFile>,
    pub(crate) chunk: Arc<ChunkEntry>,
    /// Which pages; not empty.
    pub(crate) pages: Range<usize>,
    pub(crate) reads: Arc<Reads>,
}

impl ChunkPiece {
    /// All pages of a chunk.
    pub(crate) fn whole(file: &Arc<TsmFile>, chunk: &Arc<ChunkEntry>, reads: &Arc<Reads>) -> Self {
        let pages = 0..chunk.page_rows.len();
        Self { file: Arc::clone(file), chunk: Arc::clone(chunk), pages, reads: Arc::clone(reads) }
    }

    /// The same page by page, so that a merge holds less at a time.
    pub(crate) fn split(self) -> impl Iterator<Item = Self> {
        self.pages.clone().map(move |page| Self { pages: page..page + 1, ..self.clone() })
    }

    /// The column of a field; `None` when the chunk has none.
    pub(crate) fn column(&self, field: &FieldDef) -> Option<&ColumnEntry<FieldPage>> {
        let places = &self.file.footer.fields;
        let is_it = |place: u32| places.get(place as usize).is_some_and(|f| same_field(f, field));
        self.chunk.fields.iter().find(|(place, _)| is_it(*place)).map(|(_, column)| column)
    }

    /// Reads the times of neighbouring pages, each page on its own.
    pub(crate) fn page_times(&self, pages: Range<usize>) -> Result<Vec<PageTimes>, ReadError> {
        let entries = self.chunk.time.pages.get(pages.clone()).unwrap_or(&[]);
        let rows = self.chunk.page_rows.get(pages).unwrap_or(&[]);
        let of_page = |times: Vec<i64>| PageTimes(Arc::new(Column::new(Values::Time(times))));
        let regular = entries.iter().zip(rows).map(|(page, rows)| page.regular(*rows));
        let mut out: Vec<PageTimes> =
            regular.map(|times| of_page(times.map(Iterator::collect).unwrap_or_default())).collect();
        let is_stored = |place: &usize| entries[*place].len > 0;
        let stored: Vec<usize> = (0..entries.len()).filter(is_stored).collect();
        let places: Vec<_> = stored.iter().map(|&i| (entries[i].offset, entries[i].len)).collect();
        let rows: Vec<usize> = stored.iter().filter_map(|&i| rows.get(i).copied()).collect();
        let shared = &self.chunk.time.shared;
        self.file.each_page(ColumnType::Time, shared, &places, &rows, &self.reads, |place, page| {
            let entry = &entries[stored[place]];
            let page_times = PageTimes(Arc::clone(page));
            let times = page_times.as_slice();
            let ends = times.first().copied().zip(times.last().copied());
            if page.valid.is_some() || ends != Some(entry.times) || !times.is_sorted_by(|a, b| a < b) {
                return Err(self.file.damaged(entry.offset, Damage::Malformed("times")));
            }
            out[stored[place]] = page_times;
            Ok(())
        })?;
        Ok(out)
    }

    /// Reads neighbouring pages of a field's column, each page on its own with its place in the chunk.
    pub(crate) fn each_page(
        &self,
        field: &FieldDef,
        column: &ColumnEntry<FieldPage>,
        pages: Range<usize>,
        mut visit: impl FnMut(usize, &Column),
    ) -> Result<(), ReadError> {
        let entries = column.pages.get(pages.clone()).unwrap_or(&[]);
        let rows = self.chunk.page_rows.get(pages.clone()).unwrap_or(&[]);
        let places: Vec<_> = entries.iter().map(|p| (p.offset, p.len)).collect();
        let column_type = ColumnType::Field(field.field_type);
        self.file.each_page(column_type, &column.shared, &places, rows, &self.reads, |place, page| {
            let entry = &entries[place];
            if page.len() - page.null_count() != entry.values {
                return Err(self.file.damaged(entry.offset, Damage::Malformed("number of values")));
            }
            visit(pages.start + place, page);
            Ok(())
        })
    }

    fn load_field(&self, field: &FieldDef) -> Result<Option<Column>, ReadError> {
        let Some(column) = self.column(field) else { return Ok(None) };
        self.file.read_field(field, column, &self.pages, &self.chunk.page_rows, &self.reads)
    }
}

impl Piece for ChunkPiece {
    type Error = ReadError;

    fn times(&self) -> (i64, i64) {
        let pages = self.chunk.time.pages.get(self.pages.clone()).unwrap_or(&[]);
        let first = pages.first().map_or(i64::MAX, |p| p.times.0);
        (first, pages.last().map_or(i64::MIN, |p| p.times.1))
    }

    fn rank(&self) -> u64 {
        self.file.entry.order
    }

    fn load(&self, fields: &[FieldDef]) -> Result<Rows, ReadError> {
        // The directory was checked: pages ascend.
        let pages = self.page_times(self.pages.clone())?;
        let times = pages.iter().map(PageTimes::as_slice).collect::<Vec<_>>().concat();
        let columns = fields.iter().map(|f| self.load_field(f)).collect::<Result<_, _>>()?;
        Ok(Rows { times, columns })
    }
}
