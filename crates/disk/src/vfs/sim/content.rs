//! The bytes of one simulated file: what programs see, what is on the disk, and the writes in between.
//!
//! Pages are shared between the two views, so a reserved but empty segment costs nothing and a sync costs what was
//! written since the last one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Unsynced;

const PAGE_BYTES: usize = 4096;

type Page = [u8; PAGE_BYTES];

/// A sparse file image.
#[derive(Debug, Clone, Default)]
struct Image {
    len: u64,
    pages: BTreeMap<u64, Arc<Page>>,
}

/// A change that was not synced yet.
#[derive(Debug, Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
}

/// One file.
#[derive(Debug, Default)]
pub(super) struct Content {
    current: Image,
    durable: Image,
    pending: Vec<Change>,
    /// Changes whose sync failed: the kernel holds them to be written. They may or may not survive a power cut.
    stuck: Vec<Change>,
}

/// Splits a range at multiples of `size`: (number of the piece, offset in it, bytes of the range in it).
fn pieces(offset: u64, len: usize, size: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let size_u64 = size as u64;
    let end = offset + len as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        (at < end).then(|| {
            let piece = at / size_u64;
            let start = at % size_u64;
            let bytes = (size_u64 - start).min(end - at);
            at += bytes;
            (piece, usize::try_from(start).unwrap_or(0), usize::try_from(bytes).unwrap_or(0))
        })
    })
}

impl Image {
    fn read(&self, buffer: &mut [u8], offset: u64) -> bool {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.len) {
            return false;
        }
        let mut rest = buffer;
        for (page, start, bytes) in pieces(offset, rest.len(), PAGE_BYTES) {
            let (target, behind) = rest.split_at_mut(bytes);
            match self.pages.get(&page) {
                Some(page) => target.copy_from_slice(&page[start..start + bytes]),
                None => target.fill(0),
            }
            rest = behind;
        }
        true
    }

    /// Changes bytes without growing the file.
    fn put(&mut self, bytes: &[u8], offset: u64) {
        let mut rest = bytes;
        for (page, start, len) in pieces(offset, bytes.len(), PAGE_BYTES) {
            let (source, behind) = rest.split_at(len);
            let page = self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE_BYTES]));
            Arc::make_mut(page)[start..start + len].copy_from_slice(source);
            rest = behind;
        }
    }

    fn write(&mut self, bytes: &[u8], offset: u64) {
        self.put(bytes, offset);
        if !bytes.is_empty() {
            self.len = self.len.max(offset + bytes.len() as u64);
        }
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            let kept = len.div_ceil(PAGE_BYTES as u64);
            self.pages.split_off(&kept);
            let tail = usize::try_from(len % PAGE_BYTES as u64).unwrap_or(0);
            if tail > 0
                && let Some(page) = self.pages.get_mut(&(kept - 1))
            {
                Arc::make_mut(page)[tail..].fill(0);
            }
        }
        self.len = len;
    }

    fn flip(&mut self, offset: u64, mask: u8) -> bool {
        let mut byte = [0];
        if !self.read(&mut byte, offset) {
            return false;
        }
        self.put(&[byte[0] ^ mask], offset);
        true
    }
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.current.len
    }

    /// `false` when the file is shorter.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> bool {
        self.current.read(buffer, offset)
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        self.current.write(bytes, offset);
        self.pending.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.current.set_len(len);
        self.pending.push(Change::SetLen(len));
    }

    pub(super) fn sync(&mut self) {
        self.stuck.clear();
        let pending = std::mem::take(&mut self.pending);
        if pending.iter().any(|change| matches!(change, Change::SetLen(_))) {
            self.durable = self.current.clone();
            return;
        }
        for change in pending {
            let Change::Write { offset, bytes } = change else { continue };
            for (number, _, _) in pieces(offset, bytes.len(), PAGE_BYTES) {
                if let Some(page) = self.current.pages.get(&number) {
                    self.durable.pages.insert(number, Arc::clone(page));
                }
            }
        }
        self.durable.len = self.current.len;
    }

    /// The sync failed: the changes stay visible, but no later sync writes them.
    pub(super) fn fail_sync(&mut self) {
        self.stuck.append(&mut self.pending);
    }

    /// Whether a power cut could lose something.
    pub(super) fn is_dirty(&self) -> bool {
        !self.pending.is_empty() || !self.stuck.is_empty()
    }

    /// Flips bits on the disk and in the cache; `false` when the file is shorter.
    pub(super) fn corrupt(&mut self, at: u64, mask: u8) -> bool {
        if !self.current.flip(at, mask) {
            return false;
        }
        self.durable.flip(at, mask);
        for change in self.pending.iter_mut().chain(&mut self.stuck) {
            if let Change::Write { offset, bytes } = change
                && let Some(within) = at.checked_sub(*offset)
                && let Some(byte) = usize::try_from(within).ok().and_then(|within| bytes.get_mut(within))
            {
                *byte ^= mask;
            }
        }
        true
    }

    /// The file after a power cut, when `keep` decides about each un-synced part.
    pub(super) fn after_cut(&self, block_bytes: usize, keep: &mut dyn FnMut(Unsynced) -> bool) -> Self {
        let mut image = self.durable.clone();
        for change in self.stuck.iter().chain(&self.pending) {
            match change {
                Change::SetLen(len) => {
                    if *len != image.len && keep(Unsynced::Length) {
                        image.set_len(*len);
                    }
                }
                Change::Write { offset, bytes } => {
                    let end = offset + bytes.len() as u64;
                    if end > image.len && keep(Unsynced::Length) {
                        image.set_len(end);
                    }
                    write_blocks(&mut image, *offset, bytes, block_bytes, keep);
                }
            }
        }
        Self { current: image.clone(), durable: image, pending: Vec::new(), stuck: Vec::new() }
    }
}

/// Writes those blocks of a write that survived; bytes behind the file's length are lost.
fn write_blocks(
    image: &mut Image,
    offset: u64,
    bytes: &[u8],
    block_bytes: usize,
    keep: &mut dyn FnMut(Unsynced) -> bool,
) {
    let (mut at, mut rest) = (offset, bytes);
    for (_, _, len) in pieces(offset, bytes.len(), block_bytes) {
        let (block, behind) = rest.split_at(len);
        let room = usize::try_from(image.len.saturating_sub(at)).unwrap_or(usize::MAX);
        if room > 0 && keep(Unsynced::Block) {
            image.put(&block[..len.min(room)], at);
        }
        at += len as u64;
        rest = behind;
    }
}
