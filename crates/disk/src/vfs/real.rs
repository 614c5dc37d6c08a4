//! The machine's own file system.
//!
//! The only place of the crate that calls `std::fs`. Invariants: every name that [`RealVfs::create_dir_all`] made is
//! on the disk before it returns, and a file whose `sync_data` failed once refuses every later operation, because the
//! kernel may have dropped the dirty pages and would report success the next time.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::{File, Space, Vfs, sync_failed_before};

/// The machine's own file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealVfs;

#[derive(Debug)]
struct RealFile {
    file: fs::File,
    sync_failed: AtomicBool,
}

impl RealFile {
    fn usable(&self) -> io::Result<()> {
        if self.sync_failed.load(Ordering::Acquire) { Err(sync_failed_before()) } else { Ok(()) }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the implementation behind disk::Vfs")]
fn open_with(options: &fs::OpenOptions, path: &Path) -> io::Result<Box<dyn File>> {
    let file = options.open(path)?;
    Ok(Box::new(RealFile { file, sync_failed: AtomicBool::new(false) }))
}

/// The directory that holds the name `path`; a bare relative name lies in the working directory.
fn parent_of(path: &Path) -> Option<&Path> {
    path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

impl Vfs for RealVfs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        open_with(fs::OpenOptions::new().read(true).write(true).create_new(true), path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        open_with(fs::OpenOptions::new().read(true).write(true), path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        open_with(fs::OpenOptions::new().read(true), path)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the implementation behind disk::Vfs")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = path
            .ancestors()
            .take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.is_dir())
            .collect();
        for directory in missing.iter().rev() {
            match fs::create_dir(directory) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {}
                result => result?,
            }
            if let Some(parent) = parent_of(directory) {
                self.sync_dir(parent)?;
            }
        }
        // The deepest directory that was there may have been made by a process that died before it synced the name.
        // A parent that we may not read is not one in which we made names.
        let present = path.ancestors().nth(missing.len()).and_then(parent_of);
        match present.map(|parent| self.sync_dir(parent)) {
            Some(Err(error)) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
            _ => Ok(()),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut names = fs::read_dir(path)?
            .map(|entry| entry.map(|entry| PathBuf::from(entry.file_name())))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the implementation behind disk::Vfs")]
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let figures = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(figures.f_frsize);
        Ok(Space { free_bytes: bytes(figures.f_bavail), total_bytes: bytes(figures.f_blocks) })
    }
}

impl File for RealFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.usable()?;
        self.file.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.usable()?;
        self.file.write_all_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.usable()?;
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.usable()?;
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.usable()?;
        if len == 0 {
            return Ok(());
        }
        loop {
            match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, len) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => break,
                Err(error) => return Err(error.into()),
            }
        }
        if self.file.metadata()?.len() < len { self.file.set_len(len) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.usable()?;
        self.file.sync_data().inspect_err(|_| self.sync_failed.store(true, Ordering::Release))
    }
}

#[cfg(test)]
mod tests;
