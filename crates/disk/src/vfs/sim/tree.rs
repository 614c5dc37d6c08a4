//! Names: what programs see, what is on the disk, and the changes in between.
//!
//! A directory holds two maps from name to file; a rename is one change that survives whole or not at all.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use parking_lot::Mutex;

use super::Unsynced;
use super::content::Content;

pub(super) type SharedContent = Arc<Mutex<Content>>;
type DirId = u64;

/// What a name stands for.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    File(SharedContent),
    Dir(DirId),
}

impl Entry {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(left), Self::File(right)) => Arc::ptr_eq(left, right),
            (Self::Dir(left), Self::Dir(right)) => left == right,
            _ => false,
        }
    }
}

type Names = BTreeMap<OsString, Entry>;

#[derive(Debug, Default)]
struct Dir {
    current: Names,
    durable: Names,
}

/// A name in a directory.
type Place = (DirId, OsString);

/// A change of names that was not synced yet.
#[derive(Debug)]
struct Change {
    entry: Entry,
    /// The name that goes, if it still stands for the entry.
    gone: Option<Place>,
    /// The name that comes.
    set: Option<Place>,
}

impl Change {
    fn touches(&self, dir: DirId) -> bool {
        [&self.gone, &self.set].into_iter().flatten().any(|(touched, _)| *touched == dir)
    }
}

/// All directories.
#[derive(Debug)]
pub(super) struct Tree {
    dirs: BTreeMap<DirId, Dir>,
    next: DirId,
    pending: Vec<Change>,
}

const ROOT: DirId = 0;

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// The names on the way to `path`.
fn parts(path: &Path) -> io::Result<Vec<&OsStr>> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => parts.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
    Ok(parts)
}

fn apply(dirs: &mut BTreeMap<DirId, Dir>, change: &Change, durable: bool) {
    let mut names = |dir: &DirId, act: &mut dyn FnMut(&mut Names)| {
        if let Some(dir) = dirs.get_mut(dir) {
            act(if durable { &mut dir.durable } else { &mut dir.current });
        }
    };
    if let Some((dir, name)) = &change.gone {
        names(dir, &mut |names| {
            if names.get(name).is_some_and(|entry| entry.is(&change.entry)) {
                names.remove(name);
            }
        });
    }
    if let Some((dir, name)) = &change.set {
        names(dir, &mut |names| {
            names.insert(name.clone(), change.entry.clone());
        });
    }
}

impl Tree {
    pub(super) fn new() -> Self {
        Self { dirs: BTreeMap::from([(ROOT, Dir::default())]), next: ROOT + 1, pending: Vec::new() }
    }

    fn names(&self, dir: DirId) -> io::Result<&Names> {
        self.dirs.get(&dir).map(|dir| &dir.current).ok_or_else(not_found)
    }

    fn dir(&self, parts: &[&OsStr]) -> io::Result<DirId> {
        let mut dir = ROOT;
        for part in parts {
            dir = match self.names(dir)?.get(*part).ok_or_else(not_found)? {
                Entry::Dir(inner) => *inner,
                Entry::File(_) => return Err(io::ErrorKind::NotADirectory.into()),
            };
        }
        Ok(dir)
    }

    /// The directory that holds a name, and the name.
    fn place(&self, path: &Path) -> io::Result<Place> {
        let parts = parts(path)?;
        let (name, dirs) = parts.split_last().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok((self.dir(dirs)?, (*name).to_owned()))
    }

    fn get(&self, place: &Place) -> io::Result<Option<&Entry>> {
        Ok(self.names(place.0)?.get(&place.1))
    }

    fn change(&mut self, entry: Entry, gone: Option<Place>, set: Option<Place>) {
        let change = Change { entry, gone, set };
        apply(&mut self.dirs, &change, false);
        self.pending.push(change);
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<SharedContent> {
        match self.get(&self.place(path)?)? {
            Some(Entry::File(file)) => Ok(Arc::clone(file)),
            Some(Entry::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(not_found()),
        }
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<SharedContent> {
        let place = self.place(path)?;
        if self.get(&place)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Arc::new(Mutex::new(Content::default()));
        self.change(Entry::File(Arc::clone(&file)), None, Some(place));
        Ok(file)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.place(from)?, self.place(to)?);
        let entry = self.get(&from)?.ok_or_else(not_found)?.clone();
        match (&entry, self.get(&to)?) {
            (_, Some(replaced)) if replaced.is(&entry) => return Ok(()),
            (Entry::File(_), Some(Entry::Dir(_))) => return Err(io::ErrorKind::IsADirectory.into()),
            (Entry::Dir(_), Some(Entry::File(_))) => return Err(io::ErrorKind::NotADirectory.into()),
            (Entry::Dir(_), Some(Entry::Dir(replaced))) if !self.names(*replaced)?.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            _ => {}
        }
        self.change(entry, Some(from), Some(to));
        Ok(())
    }

    pub(super) fn hard_link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.file(from)?;
        let place = self.place(to)?;
        if self.get(&place)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.change(Entry::File(file), None, Some(place));
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let file = self.file(path)?;
        let place = self.place(path)?;
        self.change(Entry::File(file), Some(place), None);
        Ok(())
    }

    pub(super) fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let place = match self.place(path) {
            Ok(place) => place,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        match self.get(&place)?.cloned() {
            None => Ok(()),
            Some(Entry::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            Some(Entry::Dir(dir)) => {
                self.empty(dir)?;
                self.change(Entry::Dir(dir), Some(place), None);
                Ok(())
            }
        }
    }

    fn empty(&mut self, dir: DirId) -> io::Result<()> {
        for (name, entry) in self.names(dir)?.clone() {
            if let Entry::Dir(inner) = entry {
                self.empty(inner)?;
            }
            self.change(entry, Some((dir, name)), None);
        }
        Ok(())
    }

    /// Directories are made durably, as the trait says.
    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let parts = parts(path)?;
        for depth in 0..parts.len() {
            let (above, at) = parts.split_at(depth);
            let Some(name) = at.first() else { continue };
            let parent = self.dir(above)?;
            let entry = match self.names(parent)?.get(*name) {
                Some(Entry::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                Some(present) => present.clone(),
                None => {
                    let id = self.next;
                    self.next += 1;
                    self.dirs.insert(id, Dir::default());
                    Entry::Dir(id)
                }
            };
            let change = Change { entry, gone: None, set: Some((parent, (*name).to_owned())) };
            // What was done to this name before is decided with it.
            self.pending.retain(|earlier| match (&earlier.gone, &earlier.set) {
                (None, place) | (place, None) => *place != change.set,
                (Some(_), Some(_)) => true,
            });
            apply(&mut self.dirs, &change, false);
            apply(&mut self.dirs, &change, true);
        }
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        Ok(self.names(self.dir(&parts(path)?)?)?.keys().cloned().collect())
    }

    pub(super) fn exists(&self, path: &Path) -> io::Result<bool> {
        let found = parts(path).and_then(|parts| match parts.split_last() {
            None => Ok(true),
            Some((name, dirs)) => Ok(self.names(self.dir(dirs)?)?.contains_key(*name)),
        });
        match found {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(false)
            }
            found => found,
        }
    }

    pub(super) fn dir_exists(&self, path: &Path) -> io::Result<()> {
        self.dir(&parts(path)?).map(|_| ())
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let dir = self.dir(&parts(path)?)?;
        let (synced, pending) =
            std::mem::take(&mut self.pending).into_iter().partition(|change| change.touches(dir));
        self.pending = pending;
        let synced: Vec<Change> = synced;
        for change in &synced {
            apply(&mut self.dirs, change, true);
        }
        self.forget_unreachable();
        Ok(())
    }

    /// Drops directories that neither programs nor the disk can reach.
    fn forget_unreachable(&mut self) {
        let mut reached = vec![ROOT];
        let named = self.pending.iter().map(|change| &change.entry);
        let mut open: Vec<DirId> = reached.clone();
        open.extend(named.filter_map(|entry| if let Entry::Dir(dir) = entry { Some(*dir) } else { None }));
        reached.clone_from(&open);
        while let Some(dir) = open.pop() {
            let Some(dir) = self.dirs.get(&dir) else { continue };
            for entry in dir.current.values().chain(dir.durable.values()) {
                if let Entry::Dir(inner) = entry
                    && !reached.contains(inner)
                {
                    reached.push(*inner);
                    open.push(*inner);
                }
            }
        }
        self.dirs.retain(|id, _| reached.contains(id));
        let dirs = &self.dirs;
        let lives = |place: &Option<Place>| place.as_ref().is_none_or(|(dir, _)| dirs.contains_key(dir));
        self.pending.retain(|change| lives(&change.gone) && lives(&change.set));
    }

    /// Bytes of all files that have a name, each once.
    pub(super) fn used_bytes(&self) -> u64 {
        let mut seen: Vec<&SharedContent> = Vec::new();
        for entry in self.dirs.values().flat_map(|dir| dir.current.values()) {
            if let Entry::File(file) = entry
                && !(Arc::strong_count(file) > 1 && seen.iter().any(|other| Arc::ptr_eq(other, file)))
            {
                seen.push(file);
            }
        }
        seen.into_iter().map(|file| file.lock().len()).sum()
    }

    /// The tree after a power cut, when `keep` decides about each un-synced part.
    pub(super) fn after_cut(&self, block_bytes: usize, keep: &mut dyn FnMut(Unsynced) -> bool) -> Self {
        let mut dirs: BTreeMap<DirId, Dir> = self
            .dirs
            .iter()
            .map(|(id, dir)| (*id, Dir { current: Names::new(), durable: dir.durable.clone() }))
            .collect();
        for change in self.pending.iter().filter(|_| keep(Unsynced::Name)) {
            apply(&mut dirs, change, true);
        }
        let mut copies: Vec<(SharedContent, SharedContent)> = Vec::new();
        for dir in dirs.values_mut() {
            for entry in dir.durable.values_mut() {
                let Entry::File(file) = entry else { continue };
                let copy = match copies.iter().find(|(original, _)| Arc::ptr_eq(original, file)) {
                    Some((_, copy)) => Arc::clone(copy),
                    None => {
                        let copy = Arc::new(Mutex::new(file.lock().after_cut(block_bytes, keep)));
                        copies.push((Arc::clone(file), Arc::clone(&copy)));
                        copy
                    }
                };
                *entry = Entry::File(copy);
            }
            dir.current = dir.durable.clone();
        }
        let mut tree = Self { dirs, next: self.next, pending: Vec::new() };
        tree.forget_unreachable();
        tree
    }
}
