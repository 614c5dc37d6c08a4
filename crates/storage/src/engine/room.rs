//! What a merge needs before it starts: memory for its buffers, and space on the disk for its output.
//!
//! Both are promised to it and given back when it ends, so that merges that run side by side do not count on the same
//! bytes. A merge that does not get them is put off, which is no failure: others make room, or the operator does.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use memory::Reservation;

use super::Inner;
use crate::error::NoRoom;
use crate::tsm::TsmFile;
use crate::tsm::format::{CHUNK_ROWS_MAX, PAGE_ROWS_MAX};

/// Beyond a merge's output the disk keeps at most one part in so many of itself free,
const VOLUME_PARTS: u64 = 20;
/// and at most so many times the output: a small merge is over before much else is written.
const OUTPUT_TIMES: u64 = 4;

/// What is promised to a merge.
#[derive(Debug)]
pub(super) struct Room {
    _memory: Reservation,
    _disk: Reservation,
}

impl Inner {
    /// Makes room for a merge whose output goes to `dir` and has at most so many bytes.
    pub(super) fn room(&self, dir: &Path, output: u64, buffers: usize) -> Result<Room, NoRoom> {
        let memory = Reservation::of_or_first(&self.commons.memory().compaction, buffers)?;
        let asked = self.vfs.space(dir);
        let space = asked.map_err(|source| NoRoom::Unknown { path: dir.to_owned(), source })?;
        let reserve = reserve(output, space.total_bytes, self.options.disk_reserve_bytes);
        // Promised first and compared then, so that of two merges at most one counts on the same bytes.
        let mut disk = Reservation::empty(self.commons.disk());
        disk.set(usize::try_from(output).unwrap_or(usize::MAX));
        let promised = self.commons.disk().used() as u64;
        if space.free_bytes < promised.saturating_add(reserve) {
            return Err(NoRoom::Disk { promised, reserve, free: space.free_bytes });
        }
        if self.compactions.is_put_off.swap(false, Ordering::Relaxed) {
            tracing::info!(dir = %self.dir.display(), "there is room for merges again");
        }
        Ok(Room { _memory: memory, _disk: disk })
    }

    /// Notes that a merge is put off; the first of several is told.
    pub(super) fn put_off(&self, why: &NoRoom) {
        self.counters.compactions_put_off.fetch_add(1, Ordering::Relaxed);
        if !self.compactions.is_put_off.swap(true, Ordering::Relaxed) {
            tracing::info!(dir = %self.dir.display(), %why, "a merge is put off until there is room");
        }
    }
}

/// Bytes that stay free beyond a merge's output.
fn reserve(output: u64, total: u64, max: u64) -> u64 {
    max.min(total / VOLUME_PARTS).min(output.saturating_mul(OUTPUT_TIMES))
}

/// About what a merge of files holds: of each input a page of every column, and two chunks of output.
pub(super) fn buffers_of(inputs: &[Arc<TsmFile>]) -> usize {
    let columns = |file: &Arc<TsmFile>| 1 + file.footer.layouts.iter().map(Vec::len).max().unwrap_or(0);
    let widest = inputs.iter().map(columns).max().unwrap_or(1);
    (inputs.len() * PAGE_ROWS_MAX + 2 * CHUNK_ROWS_MAX) * widest * size_of::<u64>()
}

#[cfg(test)]
mod tests {
    use super::reserve;

    #[test]
    fn what_stays_free_follows_the_merge_and_the_volume() {
        let (mib, gib) = (1 << 20, 1 << 30);
        assert_eq!(reserve(gib, 1000 * gib, 256 * mib), 256 * mib, "a large merge on a large disk");
        assert_eq!(reserve(gib, gib, 256 * mib), gib / 20, "a small disk");
        assert_eq!(reserve(1000, gib, 256 * mib), 4000, "a small merge");
    }
}
