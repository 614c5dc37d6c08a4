//! A file system that loses what was not synced when the process dies, as a machine does that loses its power: what is
//! written stays in memory until `sync_data`. Names and lengths go to the disk at once, in whatever order.
//!
//! For tests. Everyone in the process sees what was written, however often and by whatever name the file is opened.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{File, Space, Vfs};

/// See the module.
#[derive(Debug)]
pub(super) struct UnsyncedVfs {
    vfs: Arc<dyn Vfs>,
    /// Files that are open or have something unsynced.
    files: Mutex<HashMap<PathBuf, Arc<Content>>>,
}

/// A file of the disk and what it does not have yet.
#[derive(Debug)]
struct Content {
    file: Box<dyn File>,
    /// Where, and what, in the order of the writes.
    unsynced: Mutex<Vec<(u64, Vec<u8>)>>,
}

#[derive(Debug)]
struct UnsyncedFile(Arc<Content>);

impl UnsyncedVfs {
    /// Nothing is unsynced yet.
    #[must_use]
    pub(super) fn new(vfs: Arc<dyn Vfs>) -> Self {
        Self { vfs, files: Mutex::default() }
    }

    fn opened(
        &self,
        path: &Path,
        file: impl FnOnce() -> io::Result<Box<dyn File>>,
    ) -> io::Result<Box<dyn File>> {
        let mut files = self.files.lock();
        files.retain(|_, content| Arc::strong_count(content) > 1 || !content.unsynced.lock().is_empty());
        if let Some(content) = files.get(path) {
            return Ok(Box::new(UnsyncedFile(Arc::clone(content))));
        }
        let content = Arc::new(Content { file: file()?, unsynced: Mutex::default() });
        files.insert(path.to_owned(), Arc::clone(&content));
        Ok(Box::new(UnsyncedFile(content)))
    }
}

impl Vfs for UnsyncedVfs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = self.vfs.create(path)?;
        self.files.lock().remove(path);
        self.opened(path, || Ok(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.opened(path, || self.vfs.open(path))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let is_open = self.files.lock().contains_key(path);
        if is_open { self.opened(path, || self.vfs.open(path)) } else { self.vfs.open_read(path) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files.lock();
        self.vfs.rename(from, to)?;
        let moved = files.remove(from);
        files.remove(to);
        files.extend(moved.map(|content| (to.to_owned(), content)));
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files.lock();
        self.vfs.hard_link(from, to)?;
        let content = files.get(from).map(Arc::clone);
        files.extend(content.map(|content| (to.to_owned(), content)));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut files = self.files.lock();
        self.vfs.remove_file(path)?;
        files.remove(path);
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut files = self.files.lock();
        self.vfs.remove_dir_all(path)?;
        files.retain(|file, _| !file.starts_with(path));
        Ok(())
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

/// The end of what is written, without overflow.
fn end_of(offset: u64, bytes: &[u8]) -> u64 {
    offset.saturating_add(bytes.len() as u64)
}

/// Where two ranges meet: the first place in each of them, and how many.
fn overlap(at: u64, len: usize, from: u64, bytes: usize) -> Option<(usize, usize, usize)> {
    let start = at.max(from);
    let end = at.saturating_add(len as u64).min(from.saturating_add(bytes as u64));
    let count = usize::try_from(end.checked_sub(start).filter(|count| *count > 0)?).ok()?;
    Some((usize::try_from(start - at).ok()?, usize::try_from(start - from).ok()?, count))
}

impl File for UnsyncedFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let unsynced = self.0.unsynced.lock();
        let on_disk = self.0.file.len()?;
        let len = unsynced.iter().map(|(at, bytes)| end_of(*at, bytes)).fold(on_disk, u64::max);
        if end_of(offset, buffer) > len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let there = usize::try_from(on_disk.saturating_sub(offset)).unwrap_or(usize::MAX).min(buffer.len());
        let (from_disk, beyond) = buffer.split_at_mut(there);
        self.0.file.read_exact_at(from_disk, offset)?;
        beyond.fill(0);
        for (at, bytes) in &*unsynced {
            if let Some((to, from, count)) = overlap(offset, buffer.len(), *at, bytes.len()) {
                let written = bytes.get(from..from + count).unwrap_or_default();
                buffer.iter_mut().skip(to).zip(written).for_each(|(to, from)| *to = *from);
            }
        }
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.unsynced.lock().push((offset, bytes.to_vec()));
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let unsynced = self.0.unsynced.lock();
        let on_disk = self.0.file.len()?;
        Ok(unsynced.iter().map(|(at, bytes)| end_of(*at, bytes)).fold(on_disk, u64::max))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut unsynced = self.0.unsynced.lock();
        unsynced.retain_mut(|(at, bytes)| {
            bytes.truncate(usize::try_from(len.saturating_sub(*at)).unwrap_or(usize::MAX));
            !bytes.is_empty()
        });
        self.0.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.0.file.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut unsynced = self.0.unsynced.lock();
        for (at, bytes) in &*unsynced {
            self.0.file.write_all_at(bytes, *at)?;
        }
        self.0.file.sync_data()?;
        unsynced.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
