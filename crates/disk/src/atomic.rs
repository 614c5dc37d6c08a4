//! Small files that change as a whole: after a crash the old content is there or the new, never a mixture.
//!
//! `replace` writes `<name>.tmp`, syncs it, renames it over the name and syncs the directory. When it returned, the
//! new content is durable; when it failed, either content may be found later and a second try is safe. One writer per
//! name. The `checked` pair adds a trailer, so that damage by the disk is told from what was written:
//!
//! ```text
//! | payload | length of payload u64 | crc32c u32 | "TMCK" |      little endian; crc32c of (payload, length)
//! ```

use std::io;
use std::path::{Path, PathBuf};

use crate::vfs::Vfs;

const TRAILER_MAGIC: [u8; 4] = *b"TMCK";
const TRAILER_BYTES: u64 = 16;

/// Why a file could not be replaced or read.
#[derive(Debug, thiserror::Error)]
pub enum AtomicError {
    /// The disk refused an operation.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// The operation.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is longer than the reader accepts.
    #[error("{} has {bytes} bytes, above the limit of {limit}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The content is not what was written.
    #[error("{} is corrupt: its checksum does not match", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
    },
}

impl AtomicError {
    /// Whether the file does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> AtomicError + 'a {
    move |source| AtomicError::Io { doing, path: path.to_owned(), source }
}

/// Gives the file at `path` this content, durably and as a whole. The directory must exist.
///
/// # Errors
/// [`AtomicError::Io`].
pub fn replace(vfs: &dyn Vfs, path: &Path, bytes: &[u8]) -> Result<(), AtomicError> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(failed("replace", path)(io::ErrorKind::InvalidInput.into()));
    };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let mut temporary = name.to_owned();
    temporary.push(".tmp");
    let temporary = dir.join(temporary);
    match vfs.remove_file(&temporary) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", &temporary)(source));
        }
        _ => {}
    }
    let file = vfs.create(&temporary).map_err(failed("create", &temporary))?;
    file.write_all_at(bytes, 0).map_err(failed("write", &temporary))?;
    file.sync_data().map_err(failed("sync", &temporary))?;
    vfs.rename(&temporary, path).map_err(failed("rename a new file to", path))?;
    vfs.sync_dir(dir).map_err(failed("sync", dir))
}

/// The whole content of a file of at most `bytes_max` bytes.
///
/// # Errors
/// [`AtomicError::Io`] ([`AtomicError::is_not_found`]) and [`AtomicError::TooLong`].
pub fn read(vfs: &dyn Vfs, path: &Path, bytes_max: u64) -> Result<Vec<u8>, AtomicError> {
    let file = vfs.open_read(path).map_err(failed("open", path))?;
    let bytes = file.len().map_err(failed("ask the length of", path))?;
    let too_long = || AtomicError::TooLong { path: path.to_owned(), bytes, limit: bytes_max };
    if bytes > bytes_max {
        return Err(too_long());
    }
    let mut content = vec![0; usize::try_from(bytes).map_err(|_address_space| too_long())?];
    file.read_exact_at(&mut content, 0).map_err(failed("read", path))?;
    Ok(content)
}

/// As [`replace`], with a trailer that [`read_checked`] verifies.
///
/// # Errors
/// [`AtomicError::Io`].
pub fn replace_checked(vfs: &dyn Vfs, path: &Path, payload: &[u8]) -> Result<(), AtomicError> {
    let mut bytes = Vec::with_capacity(payload.len() + 16);
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(&TRAILER_MAGIC);
    replace(vfs, path, &bytes)
}

/// The payload that [`replace_checked`] wrote, of at most `bytes_max` bytes.
///
/// # Errors
/// As [`read`], and [`AtomicError::Corrupt`] when the file is not as it was written.
pub fn read_checked(vfs: &dyn Vfs, path: &Path, bytes_max: u64) -> Result<Vec<u8>, AtomicError> {
    let mut bytes = read(vfs, path, bytes_max.saturating_add(TRAILER_BYTES))?;
    let len = payload_len(&bytes).ok_or_else(|| AtomicError::Corrupt { path: path.to_owned() })?;
    bytes.truncate(len);
    Ok(bytes)
}

/// The length of the payload, when the trailer is sound.
fn payload_len(bytes: &[u8]) -> Option<usize> {
    let (rest, magic) = bytes.split_last_chunk()?;
    let (checked, checksum) = rest.split_last_chunk()?;
    let (payload, len) = checked.split_last_chunk()?;
    let sound = *magic == TRAILER_MAGIC
        && u32::from_le_bytes(*checksum) == crc32c::crc32c(checked)
        && u64::from_le_bytes(*len) == payload.len() as u64;
    sound.then_some(payload.len())
}

#[cfg(test)]
mod tests;
