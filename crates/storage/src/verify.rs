//! Looks at everything that an engine's directory holds, and changes nothing: manifest, TSM files, index segments.
//! Each flaw is handed over with its file and offset, and what is sound is looked at all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::Vfs;
use hashbrown::{HashMap, HashSet};
use model::{BucketId, Deletion, FieldType, LogPosition};
use roaring::RoaringBitmap;

use crate::engine::{file_path, leftovers, segment_path};
use crate::error::{Damage, OpenError, ReadError, length_differs};
use crate::index::Segment;
use crate::manifest::{self, FileEntry, Flaw, IndexEntry, Live};
use crate::tsm::{TsmFile, check};

/// What is wrong with a file, and where.
#[derive(Debug, thiserror::Error)]
#[error("{} at byte {offset}: {problem}", path.display())]
pub struct Finding {
    /// The file or directory.
    pub path: PathBuf,
    /// Where the flaw was noticed.
    pub offset: u64,
    /// What it is.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The bytes are not what was written.
    #[error("{0}")]
    Damage(Damage),
    /// A file that the manifest names does not exist or has another length.
    #[error("the file {}", length_differs(*expected, *found))]
    WrongFile {
        /// Bytes according to the manifest.
        expected: u64,
        /// Bytes found.
        found: Option<u64>,
    },
    /// Data without a manifest.
    #[error("no manifest")]
    ManifestMissing,
    /// The disk refused an operation.
    #[error("cannot {doing}: {source}")]
    Io {
        /// The verb.
        doing: &'static str,
        /// Why.
        source: Arc<io::Error>,
    },
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// TSM files.
    pub files: u64,
    /// Index segments.
    pub segments: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Pages decoded.
    pub pages: u64,
    /// Rows in them.
    pub rows: u64,
    /// What a crash left behind, which is mended when the engine opens: torn appends, files that no record names.
    pub leftovers: u64,
}

impl From<ReadError> for Finding {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io { path, offset, source } => {
                Self { path, offset, problem: Problem::Io { doing: "read", source } }
            }
            ReadError::Damaged { path, offset, source } => {
                Self { path, offset, problem: Problem::Damage(source) }
            }
            ReadError::Lost { why, .. } | ReadError::LostSegment { why } => OpenError::clone(&why).into(),
        }
    }
}

impl From<OpenError> for Finding {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io { doing, path, source } => {
                Self { path, offset: 0, problem: Problem::Io { doing, source } }
            }
            OpenError::Damaged { path, offset, source } => {
                Self { path, offset, problem: Problem::Damage(source) }
            }
            OpenError::OtherVersion { path, version } => {
                Self { path, offset: 0, problem: Problem::Damage(Damage::OtherVersion(version)) }
            }
            OpenError::WrongFile { path, expected, found } => {
                Self { path, offset: 0, problem: Problem::WrongFile { expected, found } }
            }
            OpenError::Keys { source } => source.into(),
            OpenError::OtherIds { path } => {
                Self { path, offset: 0, problem: Problem::Damage(Damage::Differs("ids of its series")) }
            }
            OpenError::ManifestMissing { path } => {
                Self { path, offset: 0, problem: Problem::ManifestMissing }
            }
        }
    }
}

/// What a directory says that others say, too: to be compared with the log and the catalog.
#[derive(Debug, Default)]
pub struct Contents {
    /// The entry of the log up to which everything is in files.
    pub durable: Option<LogPosition>,
    /// The buckets that it has files of.
    pub buckets: BTreeSet<BucketId>,
    /// The fields of which it has values that no delete in the manifest may hide, each with a file that has some.
    pub fields: BTreeMap<(BucketId, String, String), (FieldType, PathBuf)>,
}

/// Looks at the directory of an engine that is not open, and hands over what is wrong. With what it says of itself, when
/// its manifest can be read.
pub fn verify(
    vfs: &dyn Vfs,
    dir: &Path,
    on_finding: &mut dyn FnMut(Finding),
) -> (Verified, Option<Contents>) {
    let mut verified = Verified::default();
    let (live, path, flaw) = match manifest::look(vfs, dir) {
        Ok(found) => found,
        Err(error) => {
            on_finding(error.into());
            return (verified, None);
        }
    };
    let durable = live.durable.as_ref().map(|durable| durable.position);
    let buckets = live.files.values().map(|file| file.bucket).collect();
    let mut contents = Contents { durable, buckets, fields: BTreeMap::new() };
    match flaw {
        Some(Flaw::Damaged(offset)) => {
            on_finding(OpenError::damaged(&path, offset)(Damage::Checksum).into());
        }
        Some(Flaw::Torn(_)) => verified.leftovers += 1,
        None => {}
    }
    match leftovers(vfs, dir, &live) {
        Ok(left) => verified.leftovers += left.files.len() as u64,
        Err(error) => on_finding(error.into()),
    }
    let indexed = verify_segments(vfs, dir, &live, &mut verified, on_finding);
    for entry in live.files.values() {
        let path = file_path(dir, entry.bucket, entry.shard, entry.number);
        match TsmFile::open(vfs, &path, entry) {
            Ok(file) => {
                verify_file(&file, indexed.get(&entry.bucket), &mut verified, on_finding);
                if !may_be_hidden(&live, entry) {
                    contents.add_fields(&file);
                }
            }
            Err(error) => on_finding(error.into()),
        }
    }
    (verified, Some(contents))
}

/// Whether a delete of the manifest may hide rows of a file.
fn may_be_hidden(live: &Live, file: &FileEntry) -> bool {
    live.tombstones.values().any(|tombstone| {
        let Deletion { bucket, range, .. } = &tombstone.deletion;
        let overlaps = range.start.0 <= file.times.1 && file.times.0 < range.end.0;
        *bucket == file.bucket && tombstone.sequence >= file.masked_from && overlaps
    })
}

impl Contents {
    /// Takes note of the fields of a file's series. What is wrong with its keys was told already.
    fn add_fields(&mut self, file: &TsmFile) {
        let mut series = file.series();
        let mut known: HashSet<(String, u32)> = HashSet::new();
        let _told: Result<(), ReadError> = file.keys(|key| {
            let Some(series) = series.next() else { return };
            let of = (key.measurement().to_owned(), series.unit.layout);
            if known.contains(&of) {
                return;
            }
            for field in file.fields_of(&series) {
                let place = (file.entry.bucket, of.0.clone(), field.name.to_string());
                let found = || (field.field_type, file.path.clone());
                self.fields.entry(place).or_insert_with(found);
            }
            known.insert(of);
        });
    }
}

fn verify_file(
    file: &TsmFile,
    indexed: Option<&Indexed>,
    verified: &mut Verified,
    on_finding: &mut dyn FnMut(Finding),
) {
    verified.files += 1;
    verified.bytes += file.entry.bytes;
    let mut sound = true;
    let seen = check::check(file, &mut |error| {
        sound = false;
        on_finding(error.into());
    });
    verified.pages += seen.pages;
    verified.rows += seen.rows;
    let mut whole = check::Reading::default();
    match whole.go_on(file.bytes(), file.entry.bytes, u64::MAX) {
        // Where the parts found nothing, the whole still may: bytes that no part has.
        Ok(checksum) if sound && checksum != Some(file.entry.checksum) => {
            on_finding(file.damaged(0, Damage::Checksum).into());
        }
        Ok(_) => {}
        Err(error) => on_finding(file.unreadable(whole.read(), error).into()),
    }
    let footer = &file.footer;
    if (footer.rows, footer.series, footer.times) != said_of(&file.entry) {
        let at = file.entry.bytes;
        on_finding(file.damaged(at, Damage::Differs("what the manifest says of the file")).into());
    }
    let is_indexed = match indexed {
        None => false,
        Some(None) => true,
        Some(Some(series)) => file.presence.is_subset(series),
    };
    if !is_indexed {
        let error = Damage::Differs("series: the index does not have them all");
        on_finding(file.damaged(footer.presence.offset, error).into());
    }
}

fn said_of(entry: &FileEntry) -> (u64, u64, (i64, i64)) {
    (entry.rows, entry.series, entry.times)
}

/// The series of a bucket's index; `None` when some cannot be read.
type Indexed = Option<RoaringBitmap>;

/// Looks at the segments; returns the series of each bucket's index.
fn verify_segments(
    vfs: &dyn Vfs,
    dir: &Path,
    live: &Live,
    verified: &mut Verified,
    on_finding: &mut dyn FnMut(Finding),
) -> HashMap<BucketId, Indexed> {
    let mut indexed: HashMap<BucketId, Indexed> = HashMap::new();
    for entry in live.segments.values() {
        verified.segments += 1;
        verified.bytes += entry.bytes;
        let path = segment_path(dir, entry.bucket, entry.number);
        let indexed = indexed.entry(entry.bucket).or_insert_with(|| Some(RoaringBitmap::new()));
        match verify_segment(vfs, &path, entry) {
            Ok(segment) => {
                let Some(series) = indexed else { continue };
                if !series.is_disjoint(segment.series()) {
                    let twice = Damage::Differs("ids: two segments have them");
                    on_finding(OpenError::damaged(&path, 0)(twice).into());
                }
                *series |= segment.series();
            }
            Err(error) => {
                on_finding(error.into());
                // Its series are not to be reported once more with each file.
                *indexed = None;
            }
        }
    }
    indexed
}

fn verify_segment(vfs: &dyn Vfs, path: &Path, entry: &IndexEntry) -> Result<Segment, OpenError> {
    let segment = Segment::open(vfs, path, entry)?;
    segment.check().map_err(OpenError::damaged(path, 0))?;
    Ok(segment)
}
