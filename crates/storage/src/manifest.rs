//! The manifest: which files are live, and up to which log position their data reaches.
//!
//! ```text
//! MANIFEST-n    | frame | its twin | frame | its twin | ...
//! frame         | "TMAN" | sequence (8) | length (4) | crc32 of sequence, length, payload (4) | payload |
//! ```
//! The first record of a manifest is the whole state, the others are changes. A flush is ONE record: log position,
//! membership, files added and removed. That record is the only place where the position becomes durable, in the
//! same step as the data.
//!
//! A new manifest is written under another name, synced, and renamed; then the one before it is removed. So there is one,
//! or two after a crash, of which the one with the higher number holds all that the other does. A damaged one is never
//! passed over for an older.
//!
//! Each frame is written twice in one append, then synced. So a damaged frame that has a sound twin is read from
//! the twin; a record that is missing altogether can only be the last append, which a crash tore before it was
//! acknowledged: it is cut, when it looks like that. A disk writes sectors as a whole, so what a crash tore is short,
//! or has a sector that was never written and reads as zeros. Anything else that is missing refuses to open. Until the
//! next record is written, nothing is removed: when the log does not reach back to what is left, it was no torn append.

use std::path::{Path, PathBuf};

use disk::{File, Vfs};

use crate::error::{Damage, OpenError, WriteError, is_no_room};

mod record;
#[cfg(test)]
mod tests;

pub(crate) use record::{Durable, Edit, FileEntry, IndexEntry, Live, TombstoneEntry};

const FRAME_MAGIC: [u8; 4] = *b"TMAN";
const FRAME_HEAD: usize = 20;
const PREFIX: &str = "MANIFEST-";
/// The name of a manifest that is being written.
const UNFINISHED: &str = "MANIFEST.new";
/// A manifest is never larger: it is rewritten long before.
const MANIFEST_BYTES_MAX: u64 = 1 << 30;

/// Why a change did not become durable.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// No room, and nothing of the change is on the disk: the manifest is as it was before.
    NotDone(WriteError),
    /// Whether the change is on the disk is unknown; the manifest must not be used again.
    Unknown(WriteError),
}

/// An open manifest.
#[derive(Debug)]
pub(crate) struct Manifest {
    dir: PathBuf,
    number: u64,
    path: PathBuf,
    file: Box<dyn File>,
    len: u64,
    /// Length right after the whole state was written.
    len_at_rewrite: u64,
    next_sequence: u64,
    bytes_max: u64,
    live: Live,
    /// Whether a crash has torn the last record. It stays as it is until the next takes its place: only the log can tell
    /// whether the record was ever needed.
    is_torn: bool,
}

impl Manifest {
    /// Opens the manifest of a directory, or creates one where there was none.
    pub(crate) fn open(vfs: &dyn Vfs, dir: &Path, bytes_max: u64) -> Result<Self, OpenError> {
        let Some(number) = newest(vfs, dir)? else {
            let names = vfs.list(dir).map_err(OpenError::io("list", dir))?;
            if names.iter().any(|n| is_data_name(n)) {
                return Err(OpenError::ManifestMissing { path: dir.to_owned() });
            }
            return Ok(Self::write_new(vfs, dir, 1, Live::default(), bytes_max)?);
        };
        let (path, read) = read_manifest(vfs, dir, number)?;
        if read.flaw.is_none() || read.has_lost {
            if read.has_lost {
                tracing::warn!(manifest = %path.display(), "the last record of a manifest is torn");
            } else {
                remove_old(vfs, dir, number);
            }
            let file = vfs.open(&path).map_err(OpenError::io("open", &path))?;
            return Ok(Self {
                dir: dir.to_owned(),
                number,
                path,
                file,
                len: read.len,
                len_at_rewrite: read.len,
                next_sequence: read.next_sequence,
                bytes_max,
                live: read.live,
                is_torn: read.has_lost,
            });
        }
        tracing::warn!(manifest = %path.display(), "a torn or damaged manifest is written anew from its records");
        let manifest = Self::write_new(vfs, dir, number + 1, read.live, bytes_max)?;
        remove_old(vfs, dir, manifest.number);
        Ok(manifest)
    }

    /// Makes the first manifest of a directory that holds what is live already.
    pub(crate) fn found(vfs: &dyn Vfs, dir: &Path, live: Live, bytes_max: u64) -> Result<Self, WriteError> {
        Self::write_new(vfs, dir, 1, live, bytes_max)
    }

    /// Whether a record is torn, so that files which no record names may be needed to understand what happened.
    pub(crate) fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// What is live.
    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    /// Makes a change durable.
    pub(crate) fn append(&mut self, vfs: &dyn Vfs, edit: &Edit) -> Result<(), AppendError> {
        if self.is_torn {
            return self.replace_torn(vfs, edit);
        }
        let mut payload = Vec::new();
        edit.encode(&mut payload);
        let bytes = frames(self.next_sequence, &payload);
        if let Err(source) = self.file.write_all_at(&bytes, self.len) {
            // The part that was written must never be read as a record: the files that it names are given up.
            let is_undone = is_no_room(&source)
                && self.file.set_len(self.len).and_then(|()| self.file.sync_data()).is_ok();
            let error = WriteError::new("append to", &self.path)(source);
            return Err(if is_undone { AppendError::NotDone(error) } else { AppendError::Unknown(error) });
        }
        let synced = self.file.sync_data().map_err(WriteError::new("sync", &self.path));
        synced.map_err(AppendError::Unknown)?;
        self.len += bytes.len() as u64;
        self.next_sequence += 1;
        self.live.apply(edit);
        if self.len > self.bytes_max.max(self.len_at_rewrite.saturating_mul(4)) {
            self.rewrite(vfs).map_err(AppendError::Unknown)?;
        }
        Ok(())
    }

    /// Makes a change durable in a new manifest, in the place of one whose last record is torn.
    fn replace_torn(&mut self, vfs: &dyn Vfs, edit: &Edit) -> Result<(), AppendError> {
        let mut live = self.live.clone();
        live.apply(edit);
        let number = self.number + 1;
        let written = write_file(vfs, &self.dir, number, &live).map_err(|error| {
            if is_no_room(&error.source) { AppendError::NotDone(error) } else { AppendError::Unknown(error) }
        })?;
        *self = written.into_manifest(vfs, live, self.bytes_max).map_err(AppendError::Unknown)?;
        remove_old(vfs, &self.dir, self.number);
        Ok(())
    }

    /// Replaces the manifest by a short one. Without room for it the long one stays in use.
    fn rewrite(&mut self, vfs: &dyn Vfs) -> Result<(), WriteError> {
        let number = self.number + 1;
        match write_file(vfs, &self.dir, number, &self.live) {
            Ok(written) => {
                *self = written.into_manifest(vfs, self.live.clone(), self.bytes_max)?;
                remove_old(vfs, &self.dir, self.number);
            }
            Err(error) if is_no_room(&error.source) => {
                tracing::warn!(%error, cause = %error.source, "no room to shorten the manifest");
                self.len_at_rewrite = self.len;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes the whole state to a new manifest.
    fn write_new(
        vfs: &dyn Vfs,
        dir: &Path,
        number: u64,
        live: Live,
        bytes_max: u64,
    ) -> Result<Self, WriteError> {
        write_file(vfs, dir, number, &live)?.into_manifest(vfs, live, bytes_max)
    }
}

/// A manifest that was written, durably, and does not have its name yet.
struct Written {
    dir: PathBuf,
    number: u64,
    file: Box<dyn File>,
    len: u64,
}

impl Written {
    /// Makes it the newest. After an error it or the one before may be.
    fn into_manifest(self, vfs: &dyn Vfs, live: Live, bytes_max: u64) -> Result<Manifest, WriteError> {
        let Self { dir, number, file, len } = self;
        let (unfinished, path) = (dir.join(UNFINISHED), dir.join(name_of(number)));
        vfs.rename(&unfinished, &path).map_err(WriteError::new("rename", &unfinished))?;
        vfs.sync_dir(&dir).map_err(WriteError::new("sync", &dir))?;
        let (len_at_rewrite, next_sequence, is_torn) = (len, 1, false);
        Ok(Manifest { dir, number, path, file, len, len_at_rewrite, next_sequence, bytes_max, live, is_torn })
    }
}

/// Reads the manifest of a directory and changes nothing: what is live, and where the first byte is that its writer did
/// not leave so. When a sound record follows, that is damage, else what a crash left of an append; either is mended when
/// the engine opens.
pub(crate) fn look(vfs: &dyn Vfs, dir: &Path) -> Result<(Live, PathBuf, Option<Flaw>), OpenError> {
    let number = newest(vfs, dir)?.ok_or_else(|| OpenError::ManifestMissing { path: dir.to_owned() })?;
    let (path, read) = read_manifest(vfs, dir, number)?;
    Ok((read.live, path, read.flaw))
}

/// The number of the newest manifest of a directory.
fn newest(vfs: &dyn Vfs, dir: &Path) -> Result<Option<u64>, OpenError> {
    let names = vfs.list(dir).map_err(OpenError::io("list", dir))?;
    Ok(names.iter().filter_map(|name| number_of(name)).max())
}

fn read_manifest(vfs: &dyn Vfs, dir: &Path, number: u64) -> Result<(PathBuf, ReadBack), OpenError> {
    let path = dir.join(name_of(number));
    let bytes = read_small(vfs, &path)?;
    let read = read_frames(&bytes).map_err(|(offset, damage)| OpenError::damaged(&path, offset)(damage))?;
    Ok((path, read))
}

/// Writes a new manifest, durably, under a name that is none of a manifest.
fn write_file(vfs: &dyn Vfs, dir: &Path, number: u64, live: &Live) -> Result<Written, WriteError> {
    let path = dir.join(UNFINISHED);
    // A crash, or an attempt without room, may have left one.
    if vfs.exists(&path).map_err(WriteError::new("look for", &path))? {
        vfs.remove_file(&path).map_err(WriteError::new("remove", &path))?;
    }
    let mut payload = Vec::new();
    live.to_edit().encode(&mut payload);
    let bytes = frames(0, &payload);
    let file = vfs.create(&path).map_err(WriteError::new("create", &path))?;
    file.write_all_at(&bytes, 0).map_err(WriteError::new("write", &path))?;
    file.sync_data().map_err(WriteError::new("sync", &path))?;
    Ok(Written { dir: dir.to_owned(), number, file, len: bytes.len() as u64 })
}

fn name_of(number: u64) -> String {
    format!("{PREFIX}{number:08}")
}

/// The number of a manifest with this name.
fn number_of(name: &Path) -> Option<u64> {
    let number = name.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok()?;
    (name.file_name()? == name_of(number).as_str()).then_some(number)
}

/// Whether a name in the engine's directory is a bucket's.
pub(crate) fn is_data_name(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    name.parse::<model::BucketId>().is_ok()
}

/// Removes all manifests but one. Failing to is harmless: the next rewrite or start tries again.
fn remove_old(vfs: &dyn Vfs, dir: &Path, newest: u64) {
    let names = match vfs.list(dir) {
        Ok(names) => names,
        Err(error) => {
            tracing::warn!(dir = %dir.display(), %error, "cannot list old manifests");
            return;
        }
    };
    for name in names {
        let is_unfinished = name.file_name().is_some_and(|name| name == UNFINISHED);
        if is_unfinished || number_of(&name).is_some_and(|number| number != newest) {
            let path = dir.join(name.file_name().unwrap_or_default());
            if let Err(error) = vfs.remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove an old manifest");
            }
        }
    }
}

fn read_small(vfs: &dyn Vfs, path: &Path) -> Result<Vec<u8>, OpenError> {
    let file = vfs.open_read(path).map_err(OpenError::io("open", path))?;
    let len = file.len().map_err(OpenError::io("read the length of", path))?;
    let len = usize::try_from(len.min(MANIFEST_BYTES_MAX)).unwrap_or(0);
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0).map_err(OpenError::io("read", path))?;
    Ok(bytes)
}

/// A record as it is appended: the frame and its twin.
fn frames(sequence: u64, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a record stays far below 4 GiB");
    let mut checked = Vec::with_capacity(12 + payload.len());
    checked.extend(sequence.to_le_bytes());
    checked.extend(len.to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&checked), payload);
    let mut frame = FRAME_MAGIC.to_vec();
    frame.extend(checked);
    frame.extend(checksum.to_le_bytes());
    frame.extend(payload);
    let twin = frame.clone();
    frame.extend(twin);
    frame
}

/// The frame at the front, if it is sound: sequence, payload, length of the frame.
fn sound_frame(bytes: &[u8]) -> Option<(u64, &[u8], usize)> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    if *magic != FRAME_MAGIC {
        return None;
    }
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (expected, rest) = rest.split_first_chunk::<4>()?;
    let payload = rest.get(..usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
    let checksum = [&sequence[..], &len[..], payload].into_iter().fold(0, crc32c::crc32c_append);
    let sound = checksum == u32::from_le_bytes(*expected);
    sound.then(|| (u64::from_le_bytes(*sequence), payload, FRAME_HEAD + payload.len()))
}

/// Bytes that a disk writes as a whole.
const SECTOR_BYTES: usize = 512;

/// Whether the end of a manifest, in which no frame is sound, is the append of a record that a crash tore.
fn is_torn(end: &[u8], at: usize, sequence: u64) -> bool {
    let mut expected = FRAME_MAGIC.to_vec();
    expected.extend(sequence.to_le_bytes());
    let known = end.len().min(expected.len());
    let is_short = end[..known] == expected[..known]
        && end.get(12..16).and_then(|len| <[u8; 4]>::try_from(len).ok()).is_none_or(|len| {
            let frame = FRAME_HEAD as u64 + u64::from(u32::from_le_bytes(len));
            2 * frame > end.len() as u64
        });
    let (first, rest) = end.split_at(end.len().min(SECTOR_BYTES - at % SECTOR_BYTES));
    let mut sectors = std::iter::once(first).chain(rest.chunks(SECTOR_BYTES));
    is_short || sectors.any(|sector| sector.iter().all(|byte| *byte == 0))
}

/// Where a manifest is not as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A frame or its twin is damaged; the other is sound.
    Damaged(u64),
    /// From here to the end no record is whole: an append that a crash tore.
    Torn(u64),
}

struct ReadBack {
    live: Live,
    next_sequence: u64,
    len: u64,
    /// The first flaw.
    flaw: Option<Flaw>,
    /// Whether a record is torn of which neither frame is left.
    has_lost: bool,
}

fn read_frames(bytes: &[u8]) -> Result<ReadBack, (u64, Damage)> {
    let mut live = Live::default();
    let (mut at, mut next, mut twins, mut began) = (0, 0_u64, 0_u64, 0);
    let mut flaw = None;
    let mut has_lost = false;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let Some((sequence, payload, len)) = sound_frame(rest) else {
            let later = (1..rest.len())
                .find(|&i| rest[i..].starts_with(&FRAME_MAGIC) && sound_frame(&rest[i..]).is_some());
            let Some(skip) = later else {
                if twins != 1 && !is_torn(rest, at, next) {
                    return Err((at as u64, Damage::Checksum));
                }
                has_lost = twins != 1;
                flaw = flaw.or(Some(Flaw::Torn(at as u64)));
                break;
            };
            flaw = flaw.or(Some(Flaw::Damaged(at as u64)));
            at += skip;
            continue;
        };
        if sequence == next {
            let edit = Edit::decode(payload).map_err(|damage| (at as u64, damage))?;
            live.apply(&edit);
            next += 1;
            (twins, began) = (1, at);
        } else if sequence + 1 == next {
            twins += 1;
        } else {
            return Err((at as u64, Damage::Malformed("manifest: records are missing before")));
        }
        at += len;
        let next_is_new = sound_frame(bytes.get(at..).unwrap_or(&[])).is_none_or(|(s, _, _)| s >= next);
        if next_is_new && twins != 2 {
            let is_last = at >= bytes.len();
            let missing = if is_last { Flaw::Torn(at as u64) } else { Flaw::Damaged(began as u64) };
            flaw = flaw.or(Some(missing));
        }
    }
    if next == 0 {
        return Err((0, Damage::Truncated));
    }
    Ok(ReadBack { live, next_sequence: next, len: bytes.len() as u64, flaw, has_lost })
}
