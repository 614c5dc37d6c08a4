//! The disk as a witness: it sees which votes of a node it has taken for good, and may be made to lie about them.
//!
//! What the log writes is read as it is written. A vote is taken for good when the sync after its write has succeeded: the
//! product may tell others of it from then on. A run in which no disk has ever taken a vote has shown nothing of votes.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::seglog::records_in;
use disk::vfs::{File, SimVfs, Space, Vfs};
use model::{GroupId, ReplicaId};
use parking_lot::Mutex;
use prost::Message as _;
use proto::log::record::Body;
use proto::log::{Record, Vote};

/// The directory of the log.
const LOG: &str = "/raft/";

/// What the disk has taken for good of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Whose log it is.
    pub(crate) replica: ReplicaId,
    pub(crate) vote: Option<Vote>,
}

/// What orders votes: the term, then who is to lead, then whether a quorum has said so.
pub(crate) const fn order(vote: &Vote) -> (u64, u64, bool) {
    (vote.term, vote.replica, vote.committed)
}

/// What was written of a group and is not synced.
#[derive(Debug, Clone, Copy)]
enum Written {
    Vote(Vote),
    /// The log is another replica's from here on.
    Reset(ReplicaId),
}

/// The votes of a node's groups.
#[derive(Debug, Default)]
pub(crate) struct Votes {
    taken: BTreeMap<GroupId, Taken>,
    /// How many it has taken so far.
    seen: u64,
    /// With the file.
    written: Vec<(PathBuf, GroupId, Written)>,
    /// A vote that was taken after one that comes later.
    back: Option<String>,
    /// Whether a sync that has nothing but votes to make durable does nothing.
    are_lost: bool,
    /// The file that holds votes which are not to be made durable, and no entry.
    only_votes: Option<PathBuf>,
}

impl Votes {
    pub(crate) fn new(are_lost: bool) -> Self {
        Self { are_lost, ..Self::default() }
    }

    /// What the disk has taken for good, after the node has ended.
    pub(crate) fn after_crash(&mut self) -> BTreeMap<GroupId, Taken> {
        self.written.clear();
        self.only_votes = None;
        self.taken.clone()
    }

    /// The disk is another one.
    pub(crate) fn forget(&mut self) {
        *self = Self { seen: self.seen, ..Self::new(self.are_lost) };
    }

    /// How many votes the disk has taken so far.
    pub(crate) const fn seen(&self) -> u64 {
        self.seen
    }

    /// How a vote went back on the disk, if one did.
    pub(crate) fn went_back(&self) -> Option<&str> {
        self.back.as_deref()
    }

    fn wrote(&mut self, path: &Path, bytes: &[u8], offset: u64) {
        let mut has_votes = false;
        let mut has_others = false;
        let records = records_in(bytes, offset);
        for Record { group, body } in records.iter().filter_map(|record| Record::decode(&**record).ok()) {
            let Some(group) = GroupId::from_number(group) else { continue };
            let written = match body {
                Some(Body::Vote(vote)) => {
                    has_votes = true;
                    Written::Vote(vote)
                }
                Some(Body::Reset(replica)) => Written::Reset(ReplicaId(replica)),
                // It does not matter when this is durable.
                Some(Body::Committed(_)) => continue,
                _ => {
                    has_others = true;
                    continue;
                }
            };
            self.written.push((path.to_owned(), group, written));
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
        // A node that opens its log writes again what it has written before.
        let before = self.taken.clone();
        for (_, group, written) in self.written.extract_if(.., |(of, ..)| of == path) {
            let taken = self.taken.entry(group).or_insert(Taken { replica: ReplicaId(0), vote: None });
            match written {
                Written::Vote(vote) => {
                    taken.vote = Some(vote);
                    self.seen += 1;
                }
                Written::Reset(replica) => *taken = Taken { replica, vote: None },
            }
        }
        for (group, now) in &self.taken {
            let Some(before) = before.get(group).filter(|before| before.replica == now.replica) else {
                continue;
            };
            if before.vote.as_ref().map(order) > now.vote.as_ref().map(order) {
                self.back = Some(format!("group {group}: {now:?} is on the disk after {before:?}"));
            }
        }
    }
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
