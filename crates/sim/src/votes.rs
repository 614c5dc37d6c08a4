//! The disk as a witness: it sees which votes of a node it has taken for good, and may be made to lie about them.
//!
//! What the log writes is read as it is written (see `disk::seglog` for the format). A vote is taken for good when the
//! sync after its write has succeeded: the product may tell others of it from then on.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::vfs::{File, SimVfs, Space, Vfs};
use model::GroupId;
use parking_lot::Mutex;
use prost::Message as _;
use proto::log::record::Body;
use proto::log::{Record, Vote};

/// The directory of the log.
const LOG: &str = "/raft/";
/// The first bytes of a batch of records.
const BATCH: &[u8] = b"TMBH\x01";
const BATCH_HEADER_BYTES: usize = 48;
const SECTOR_BYTES: usize = 512;
/// Begins each sector of a batch but its first.
const MARK_BYTES: usize = 4;
/// Length and checksum of a record.
const RECORD_HEADER_BYTES: usize = 8;

/// The votes of a node's groups.
#[derive(Debug, Default)]
pub(crate) struct Votes {
    /// Those that the disk has taken for good.
    taken: BTreeMap<GroupId, Vote>,
    /// Written and not synced, with the file.
    written: Vec<(PathBuf, GroupId, Option<Vote>)>,
    /// Whether a sync that has nothing but votes to make durable does nothing.
    are_lost: bool,
    /// The file that holds votes which are not to be made durable, and no entry.
    only_votes: Option<PathBuf>,
}

impl Votes {
    pub(crate) fn new(are_lost: bool) -> Self {
        Self { are_lost, ..Self::default() }
    }

    /// The votes that the disk has taken for good, after the node has ended.
    pub(crate) fn after_crash(&mut self) -> BTreeMap<GroupId, Vote> {
        self.written.clear();
        self.only_votes = None;
        self.taken.clone()
    }

    /// The disk is another one.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.are_lost);
    }

    fn wrote(&mut self, path: &Path, bytes: &[u8], offset: u64) {
        let mut has_votes = false;
        let mut has_others = false;
        for Record { group, body } in records(bytes, offset) {
            let Some(group) = GroupId::from_number(group) else { continue };
            let vote = match body {
                Some(Body::Vote(vote)) => {
                    has_votes = true;
                    Some(vote)
                }
                Some(Body::Reset(_)) => None,
                // It does not matter when this is durable.
                Some(Body::Committed(_)) => continue,
                _ => {
                    has_others = true;
                    continue;
                }
            };
            self.written.push((path.to_owned(), group, vote));
        }
        if self.are_lost && has_votes {
            self.only_votes = (!has_others).then(|| path.to_owned());
        }
    }

    /// Whether a sync is to do nothing.
    fn lies(&mut self, path: &Path) -> bool {
        self.only_votes.take_if(|of| of == path).is_some()
    }

    fn synced(&mut self, path: &Path) {
        for (_, group, vote) in self.written.extract_if(.., |(of, ..)| of == path) {
            match vote {
                Some(vote) => self.taken.insert(group, vote),
                None => self.taken.remove(&group),
            };
        }
    }
}

/// The records of a batch that is written at a place of a segment; none when it is no batch.
fn records(bytes: &[u8], offset: u64) -> Vec<Record> {
    let mut records = Vec::new();
    let Some(header) = bytes.get(..BATCH_HEADER_BYTES).filter(|header| header.starts_with(BATCH)) else {
        return records;
    };
    let number = |at: usize| {
        let field = header.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(field)).ok()
    };
    let (Some(body), Some(count)) = (number(20), number(24)) else { return records };
    let mut run = Vec::with_capacity(body);
    let mut rest = &bytes[BATCH_HEADER_BYTES..];
    let mut at = usize::try_from(offset).unwrap_or(0) + BATCH_HEADER_BYTES;
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(rest.len().min(SECTOR_BYTES - at % SECTOR_BYTES));
        run.extend_from_slice(&part[if at.is_multiple_of(SECTOR_BYTES) { MARK_BYTES } else { 0 }..]);
        (at, rest) = (at + part.len(), behind);
    }
    let mut rest = run.as_slice();
    for _ in 0..count {
        let Some((length, _)) = rest.split_first_chunk() else { break };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((_, payload)) = rest.split_at_checked(RECORD_HEADER_BYTES) else { break };
        let Some((payload, behind)) = payload.split_at_checked(length) else { break };
        records.extend(Record::decode(payload));
        rest = behind;
    }
    records
}

/// A disk whose log is watched.
#[derive(Debug)]
pub(crate) struct WatchedVfs {
    pub(crate) vfs: SimVfs,
    pub(crate) votes: Arc<Mutex<Votes>>,
}

impl WatchedVfs {
    fn watched(&self, path: &Path, file: Box<dyn File>) -> Box<dyn File> {
        if path.to_string_lossy().contains(LOG) {
            Box::new(WatchedFile { file, path: path.to_owned(), votes: Arc::clone(&self.votes) })
        } else {
            file
        }
    }
}

impl Vfs for WatchedVfs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(self.watched(path, self.vfs.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(self.watched(path, self.vfs.open(path)?))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.vfs.open_read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.vfs.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.vfs.hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.vfs.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.vfs.remove_dir_all(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.vfs.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.vfs.list(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.vfs.exists(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.vfs.sync_dir(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.vfs.space(path)
    }
}

/// A file of the log.
struct WatchedFile {
    file: Box<dyn File>,
    path: PathBuf,
    votes: Arc<Mutex<Votes>>,
}

impl fmt::Debug for WatchedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WatchedFile").field(&self.path).finish()
    }
}

impl File for WatchedFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)?;
        self.votes.lock().wrote(&self.path, bytes, offset);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let lies = self.votes.lock().lies(&self.path);
        if !lies {
            self.file.sync_data()?;
        }
        self.votes.lock().synced(&self.path);
        Ok(())
    }
}
