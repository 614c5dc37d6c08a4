//! A look into one TSM file without its engine: what it says of itself, its series, its pages, its damage.

use std::path::Path;
use std::sync::Arc;

use disk::Vfs;
use model::{BucketId, FieldDef, SeriesKey, TimeRange};

use crate::cache::Reads;
use crate::error::{Damage, OpenError, ReadError};
use crate::manifest::FileEntry;
use crate::merge::Piece as _;
use crate::tsm::format::{Density, KIND};
use crate::tsm::{FilePiece, FileSeries, Packs, TsmFile, check, page, reader};

/// What a file says of itself.
#[derive(Debug, Clone)]
pub struct FileSummary {
    /// Version of the format.
    pub version: u16,
    /// The bucket.
    pub bucket: BucketId,
    /// The shard.
    pub shard: TimeRange,
    /// First and last time, both inclusive.
    pub times: (i64, i64),
    /// Rows.
    pub rows: u64,
    /// Series.
    pub series: u64,
    /// Units: series alone, and packs of short ones.
    pub units: u64,
    /// Whether a merge wrote it, not a flush.
    pub is_merged: bool,
    /// The fields, by their numbers.
    pub fields: Vec<FieldDef>,
    /// Bytes of the whole file.
    pub bytes: u64,
    /// Bytes of the pages.
    pub page_bytes: u64,
    /// Bytes of the directories.
    pub directory_bytes: u64,
    /// Bytes of the table of units.
    pub table_bytes: u64,
    /// Bytes of the set of series.
    pub presence_bytes: u64,
    /// Bytes of the keys.
    pub key_bytes: u64,
}

/// A series of a file.
#[derive(Debug, Clone)]
pub struct SeriesSummary {
    /// Its id in the index of the replica that wrote the file.
    pub id: u32,
    /// Its key.
    pub key: SeriesKey,
    /// First byte of its unit.
    pub unit: u64,
    /// How many series share the unit.
    pub sharing: u64,
    /// Its rows, and its first and last time, both inclusive; none when its unit is a pack that is damaged.
    pub extent: Option<Extent>,
    /// Bytes of the unit's pages.
    pub page_bytes: u64,
}

/// The rows of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Their number.
    pub rows: u64,
    /// First and last time, both inclusive.
    pub times: (i64, i64),
}

/// A page of a file.
#[derive(Debug, Clone)]
pub struct PageSummary {
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub bytes: u64,
    /// First byte of the unit that it belongs to.
    pub unit: u64,
    /// Which chunk of the unit, from 0.
    pub chunk: usize,
    /// The field; none for times.
    pub field: Option<FieldDef>,
    /// The codec's name; none when the page's bytes are damaged.
    pub codec: Option<&'static str>,
    /// Rows.
    pub rows: usize,
    /// Rows that hold a value.
    pub values: usize,
    /// First and last time, both inclusive.
    pub times: (i64, i64),
    /// Statistics as the directory has them, for reading.
    pub statistics: String,
}

/// An open file.
#[derive(Debug)]
pub struct Inspection {
    file: Arc<TsmFile>,
}

impl Inspection {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read, or what stands at its end is damaged.
    pub fn open(vfs: &dyn Vfs, path: &Path) -> Result<Self, OpenError> {
        let file = vfs.open_read(path).map_err(OpenError::io("open", path))?;
        let bytes = file.len().map_err(OpenError::io("read the length of", path))?;
        let (footer, footer_checksum) = reader::read_footer(&*file, path, bytes)?;
        let entry = FileEntry {
            number: 0,
            order: 0,
            level: 0,
            density: footer.density,
            bucket: footer.bucket,
            shard: footer.shard,
            bytes,
            checksum: 0,
            footer_checksum,
            rows: footer.rows,
            series: footer.series,
            times: footer.times,
            masked_from: 0,
        };
        Ok(Self { file: Arc::new(TsmFile::open(vfs, path, &entry)?) })
    }

    /// What the file says of itself.
    pub fn summary(&self) -> FileSummary {
        let footer = &self.file.footer;
        FileSummary {
            version: KIND.version,
            bucket: footer.bucket,
            shard: footer.shard,
            times: footer.times,
            rows: footer.rows,
            series: footer.series,
            units: self.file.units().count() as u64,
            is_merged: footer.density == Density::Dense,
            fields: footer.fields.clone(),
            bytes: self.file.entry.bytes,
            page_bytes: self.file.units().map(|unit| unit.pages_len).sum(),
            directory_bytes: self.file.units().map(|unit| u64::from(unit.directory_len)).sum(),
            table_bytes: u64::from(footer.table.len),
            presence_bytes: u64::from(footer.presence.len),
            key_bytes: footer.keys_len,
        }
    }

    /// Its series, in the order of their ids.
    ///
    /// # Errors
    /// When the keys cannot be read, or the pack of a series; its other series are handed over all the same.
    pub fn series(&self, mut visit: impl FnMut(SeriesSummary)) -> Result<(), ReadError> {
        let mut series = self.file.series();
        let mut packs = Packs::new(Reads::bypass());
        let mut failure = None;
        self.file.keys(|key| {
            let Some(of) = series.next() else { return };
            let unit = of.unit;
            let extent = match self.extent(&of, &mut packs) {
                Ok(extent) => Some(extent),
                Err(error) => {
                    failure = failure.take().or(Some(error));
                    None
                }
            };
            visit(SeriesSummary {
                id: of.id,
                key,
                unit: unit.offset,
                sharing: unit.series,
                extent,
                page_bytes: unit.pages_len,
            });
        })?;
        failure.map_or(Ok(()), Err)
    }

    /// The rows of a series: the table of units has those of one that is alone, a pack is read.
    fn extent(&self, of: &FileSeries, packs: &mut Packs) -> Result<Extent, ReadError> {
        if !of.unit.is_pack() {
            return Ok(Extent { rows: of.unit.rows, times: of.unit.times });
        }
        let mut extent = Extent { rows: 0, times: (i64::MAX, i64::MIN) };
        for piece in FilePiece::of(&self.file, of, packs)? {
            let (first, last) = piece.times();
            extent.times = (extent.times.0.min(first), extent.times.1.max(last));
            extent.rows += piece.rows() as u64;
        }
        Ok(extent)
    }

    /// Its pages, in the order of the directories. Directories that are damaged are handed over instead of their pages.
    pub fn pages(&self, mut visit: impl FnMut(Result<PageSummary, ReadError>)) {
        for unit in self.file.units() {
            let chunks = match self.file.directory(&unit) {
                Ok((_, chunks)) => chunks,
                Err(error) => {
                    visit(Err(error));
                    continue;
                }
            };
            for (chunk, entry) in chunks.iter().enumerate() {
                let page = |offset, bytes, rows, values, times, field, statistics| {
                    let codec = self.codec(offset, bytes);
                    let unit = unit.offset;
                    PageSummary { offset, bytes, unit, chunk, field, codec, rows, values, times, statistics }
                };
                for (at, &rows) in entry.time.pages.iter().zip(&entry.page_rows) {
                    visit(Ok(page(at.offset, at.len, rows, rows, at.times, None, String::new())));
                }
                for (place, column) in &entry.fields {
                    let field = self.file.footer.fields.get(*place as usize);
                    let rows = entry.page_rows.iter().zip(&entry.time.pages);
                    for (at, (&rows, time)) in column.pages.iter().zip(rows) {
                        let statistics = at.stats.to_string();
                        let field = field.cloned();
                        visit(Ok(page(at.offset, at.len, rows, at.values, time.times, field, statistics)));
                    }
                }
            }
        }
    }

    /// The codec that a page names behind its checksum; a page of regular times is not written.
    fn codec(&self, offset: u64, bytes: u64) -> Option<&'static str> {
        if bytes == 0 {
            return Some("regular");
        }
        page::codec_name(&self.file.read(offset, bytes.min(page::CODEC_BYTES)).ok()?)
    }

    /// Looks at every byte; hands over what is damaged, and returns the number of pages.
    pub fn verify(&self, mut on_damage: impl FnMut(u64, Damage)) -> Result<u64, ReadError> {
        let mut failure = None;
        let seen = check::check(&self.file, &mut |error| match error {
            ReadError::Damaged { offset, source, .. } => on_damage(offset, source),
            error => failure = Some(error),
        });
        failure.map_or(Ok(seen.pages), Err)
    }
}
