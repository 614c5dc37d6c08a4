//! A file system that keeps only so many read-only files open: the others are opened again when they are read.
//!
//! For files that keep name and content as long as somebody holds them, as data files do; files opened for writing
//! are passed through. A process may so hold far more data files than it may have descriptors.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{File, Space, Vfs};

/// See the module.
#[derive(Debug, Clone)]
pub struct PooledVfs {
    inner: Arc<dyn Vfs>,
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    inner: Arc<dyn Vfs>,
    open_max: usize,
    open: Mutex<Open>,
}

/// The files that are open, each with the time of its last use, counted in uses.
#[derive(Debug, Default)]
struct Open {
    files: BTreeMap<u64, (u64, Arc<dyn File>)>,
    by_use: BTreeMap<u64, u64>,
    uses: u64,
    next_id: u64,
}

impl Open {
    fn get(&mut self, id: u64) -> Option<Arc<dyn File>> {
        let (last_use, file) = self.files.get_mut(&id)?;
        self.by_use.remove(last_use);
        self.uses += 1;
        *last_use = self.uses;
        self.by_use.insert(self.uses, id);
        Some(Arc::clone(file))
    }

    fn insert(&mut self, id: u64, file: Arc<dyn File>) {
        self.remove(id);
        self.uses += 1;
        self.by_use.insert(self.uses, id);
        self.files.insert(id, (self.uses, file));
    }

    fn remove(&mut self, id: u64) {
        if let Some((last_use, _)) = self.files.remove(&id) {
            self.by_use.remove(&last_use);
        }
    }

    /// Closes the files that were not used for longest, until at most `max` are open.
    fn shrink(&mut self, max: usize) {
        while self.files.len() > max
            && let Some((_, id)) = self.by_use.pop_first()
        {
            self.files.remove(&id);
        }
    }
}

impl Pool {
    fn file(&self, id: u64, path: &Path) -> io::Result<Arc<dyn File>> {
        if let Some(file) = self.open.lock().get(id) {
            return Ok(file);
        }
        let file = match self.inner.open_read(path) {
            Err(error) if is_out_of_descriptors(&error) => {
                // Others may have taken what the pool counted on.
                let mut open = self.open.lock();
                let few = open.files.len() / 2;
                open.shrink(few);
                drop(open);
                self.inner.open_read(path)?
            }
            opened => opened?,
        };
        let file: Arc<dyn File> = Arc::from(file);
        let mut open = self.open.lock();
        open.insert(id, Arc::clone(&file));
        open.shrink(self.open_max);
        Ok(file)
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

impl PooledVfs {
    /// Keeps at most `open_max` read-only files open (one more while each is being opened).
    #[must_use]
    pub fn new(inner: Arc<dyn Vfs>, open_max: usize) -> Self {
        let pool = Pool { inner: Arc::clone(&inner), open_max: open_max.max(1), open: Mutex::default() };
        Self { inner, pool: Arc::new(pool) }
    }

    /// Number of read-only files that are open now.
    #[must_use]
    pub fn open_files(&self) -> usize {
        self.pool.open.lock().files.len()
    }
}

impl Vfs for PooledVfs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.inner.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.inner.open(path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let id = {
            let mut open = self.pool.open.lock();
            open.next_id += 1;
            open.next_id
        };
        self.pool.file(id, path)?;
        Ok(Box::new(PooledFile { id, path: path.to_owned(), pool: Arc::clone(&self.pool) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir_all(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.inner.list(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_dir(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.inner.space(path)
    }
}

/// A file that is opened for reading whenever it is read and not open.
#[derive(Debug)]
struct PooledFile {
    id: u64,
    path: PathBuf,
    pool: Arc<Pool>,
}

impl PooledFile {
    fn file(&self) -> io::Result<Arc<dyn File>> {
        self.pool.file(self.id, &self.path)
    }
}

impl Drop for PooledFile {
    fn drop(&mut self) {
        self.pool.open.lock().remove(self.id);
    }
}

impl File for PooledFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file()?.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file()?.write_all_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.file()?.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file()?.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file()?.sync_data()
    }
}

#[cfg(test)]
mod tests;
