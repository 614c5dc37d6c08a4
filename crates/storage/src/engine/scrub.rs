//! The scrub: reads all files at rest, slowly, and compares them with the checksums that the manifest has of them, so
//! that damage is known while there is still a replica or a backup to mend it from.
//!
//! ```text
//!  tick -> a job of the lowest class: reads as much as the time since the last allows -> tick -> ...
//!  a file's checksum is wrong -> all its pages are looked at -> its damaged places are kept, logged, counted
//! ```
//! Only a number and a checksum are kept between jobs: a file that a merge removes is passed over. A pass looks at the
//! files in the order of their numbers; after the last the next pass waits.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use disk::File;
use parking_lot::Mutex;

use super::lost::LostFile;
use super::{Inner, guarded};
use crate::error::{Damage, OpenError, ReadError};
use crate::index::Segment;
use crate::jobs::JobClass;
use crate::tsm::TsmFile;
use crate::tsm::check::{self, Reading};

/// A job reads at most what so much time allows, however late it comes.
const STEP_MAX: Duration = Duration::from_secs(5);
/// Damaged index segments that are kept.
const SEGMENTS_MAX: usize = 64;

/// What the scrub remembers.
#[derive(Debug, Default)]
pub(super) struct Scrub {
    submitted: AtomicBool,
    pass: Mutex<Pass>,
    /// Damage of index segments, which are in memory whole and are written anew.
    segments: Mutex<Vec<(u64, ReadError)>>,
}

#[derive(Debug, Default)]
struct Pass {
    /// When the next begins, or this one began.
    due: Duration,
    last_step: Duration,
    /// The number of the last file that was looked at in this pass.
    done: u64,
    /// The file that is being read.
    reading: Option<(u64, Reading)>,
}

/// A file to be looked at.
enum Target {
    File(Arc<TsmFile>),
    Segment(Arc<Segment>),
    Lost(Arc<LostFile>),
}

impl Target {
    fn number(&self) -> u64 {
        match self {
            Self::File(file) => file.entry.number,
            Self::Segment(segment) => segment.entry.number,
            Self::Lost(lost) => lost.entry.number,
        }
    }

    fn expected(&self) -> (u64, u64) {
        match self {
            Self::File(file) => (file.entry.bytes, file.entry.checksum),
            Self::Segment(segment) => (segment.entry.bytes, segment.entry.checksum),
            Self::Lost(lost) => (lost.entry.bytes, lost.entry.checksum),
        }
    }
}

impl Scrub {
    /// The numbers of segments that are damaged on the disk.
    pub(super) fn damaged_segments(&self) -> Vec<u64> {
        self.segments.lock().iter().map(|(number, _)| *number).collect()
    }

    /// Others have taken the place of these.
    pub(super) fn forget_segments(&self, numbers: &[u64]) {
        self.segments.lock().retain(|(number, _)| !numbers.contains(number));
    }
}

impl Inner {
    /// Queues a step of the scrub when one is due and none waits.
    pub(super) fn consider_scrub(this: &Arc<Self>) {
        if this.options.scrub_interval_ms == 0 || this.is_closing() || this.fatal.get().is_some() {
            return;
        }
        if this.clock.monotonic() < this.scrub.pass.lock().due {
            return;
        }
        if this.scrub.submitted.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::clone(this);
        let job = move || {
            guarded(&inner, "scrub", || inner.scrub_step());
            inner.scrub.submitted.store(false, Ordering::Release);
        };
        this.jobs.submit(JobClass::Scrub, Box::new(job));
    }

    /// Reads on for as many bytes as the time since the last step allows.
    fn scrub_step(&self) {
        let mut pass = self.scrub.pass.lock();
        let now = self.clock.monotonic();
        let since = now.saturating_sub(pass.last_step.max(pass.due)).min(STEP_MAX);
        pass.last_step = now;
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut budget = self.options.scrub_bytes_per_second.saturating_mul(millis) / 1000;
        while budget > 0 && !self.is_closing() {
            let Some(target) = self.next_target(pass.done) else {
                let interval = Duration::from_millis(self.options.scrub_interval_ms);
                *pass = Pass { due: now.saturating_add(interval), last_step: now, ..Pass::default() };
                self.counters.scrubs.fetch_add(1, Ordering::Relaxed);
                return;
            };
            let number = target.number();
            let same = pass.reading.take().filter(|(of, _)| *of == number);
            let mut reading = same.map_or_else(Reading::default, |(_, reading)| reading);
            let before = reading.read();
            let outcome = self.read_on(&target, &mut reading, budget);
            let read = reading.read() - before;
            self.counters.scrub_bytes.fetch_add(read, Ordering::Relaxed);
            // Even an empty or unreadable file takes something, so that a step ends.
            budget = budget.saturating_sub(read.max(4096));
            match outcome {
                Ok(None) => pass.reading = Some((number, reading)),
                Ok(Some(checksum)) => {
                    self.judge(&target, checksum);
                    pass.done = number;
                }
                Err(()) => pass.done = number,
            }
        }
    }

    /// The live file or segment of the lowest number above one.
    fn next_target(&self, above: u64) -> Option<Target> {
        let state = self.state.read();
        let later = |number: u64| number > above;
        let shards = || state.shards().map(|(_, shard)| shard);
        let files = shards().flat_map(|shard| &shard.files).filter(|file| later(file.entry.number));
        let lost = shards().flat_map(|shard| &shard.lost).filter(|lost| later(lost.entry.number));
        let segments = state.buckets.values().flat_map(|bucket| bucket.index.segments());
        let segments = segments.filter(|segment| segment.is_stored && later(segment.entry.number));
        let file = files.min_by_key(|file| file.entry.number).map(|file| Target::File(Arc::clone(file)));
        let lost = lost.min_by_key(|lost| lost.entry.number).map(|lost| Target::Lost(Arc::clone(lost)));
        let segment = segments.min_by_key(|segment| segment.entry.number);
        let segment = segment.map(|segment| Target::Segment(Arc::clone(segment)));
        [file, lost, segment].into_iter().flatten().min_by_key(Target::number)
    }

    /// Whether a file belongs to the state still: a merge may have removed it meanwhile.
    fn is_live(&self, number: u64) -> bool {
        self.state.read().shards().flat_map(|(_, shard)| &shard.files).any(|f| f.entry.number == number)
    }

    fn read_on(&self, target: &Target, reading: &mut Reading, bytes: u64) -> Result<Option<u64>, ()> {
        let (len, _) = target.expected();
        match target {
            Target::File(file) => {
                // The open file outlives its name, and the next start needs the name.
                let is_gone = reading.read() == 0 && matches!(self.vfs.exists(&file.path), Ok(false));
                if is_gone && self.is_live(file.entry.number) {
                    let _noted: ReadError = file.unreadable(0, io::ErrorKind::NotFound.into());
                    return Err(());
                }
                reading.go_on(file.bytes(), len, bytes).map_err(|error| {
                    // It is noted with the file.
                    let _noted: ReadError = file.unreadable(reading.read(), error);
                })
            }
            Target::Lost(lost) => {
                // What is still wrong with it is told already.
                let file = TsmFile::open(&*self.vfs, &lost.path, &lost.entry).map_err(drop)?;
                reading.go_on(file.bytes(), len, bytes).map_err(drop)
            }
            Target::Segment(segment) => {
                let opened = self.vfs.open_read(&segment.path);
                let read = opened.and_then(|file: Box<dyn File>| reading.go_on(&*file, len, bytes));
                read.map_err(|source| {
                    let (path, offset, source) = (segment.path.clone(), reading.read(), Arc::new(source));
                    self.note_segment(segment, Some(ReadError::Io { path, offset, source }));
                })
            }
        }
    }

    /// Compares the checksum of a whole file, and finds the damaged places when it is wrong.
    fn judge(&self, target: &Target, checksum: u64) {
        let is_sound = checksum == target.expected().1;
        match target {
            // What reads met before was not on the disk.
            Target::File(file) if is_sound => file.flaws().clear(),
            Target::File(file) => {
                // The places are noted where they are met.
                check::check(file, &mut |_noted| {});
                if file.flaws().len() == 0 {
                    // What is in memory already: trailer, footer, table, set. Opening the file anew says where.
                    let (offset, damage) = match TsmFile::open(&*self.vfs, &file.path, &file.entry) {
                        Err(OpenError::Damaged { offset, source, .. }) => (offset, source),
                        _ => (0, Damage::Checksum),
                    };
                    let _noted: ReadError = file.damaged(offset, damage);
                }
            }
            Target::Lost(lost) => {
                if is_sound && let Ok(file) = TsmFile::open(&*self.vfs, &lost.path, &lost.entry) {
                    self.restore(lost, file);
                }
            }
            Target::Segment(segment) => {
                let error = (!is_sound).then(|| {
                    let (offset, source) = match Segment::open(&*self.vfs, &segment.path, &segment.entry) {
                        Err(OpenError::Damaged { offset, source, .. }) => (offset, source),
                        _ => (0, Damage::Checksum),
                    };
                    ReadError::Damaged { path: segment.path.clone(), offset, source }
                });
                self.note_segment(segment, error);
            }
        }
    }

    /// Keeps what is wrong with a segment, or forgets it. It is in memory whole, and is written anew from there.
    fn note_segment(&self, segment: &Segment, error: Option<ReadError>) {
        let number = segment.entry.number;
        let mut segments = self.scrub.segments.lock();
        segments.retain(|(of, _)| *of != number);
        if let Some(error) = error.filter(|_| segments.len() < SEGMENTS_MAX) {
            tracing::error!(%error, "an index segment is damaged on the disk; it is written anew");
            segments.push((number, error));
        }
    }

    /// Whether a live file of points is lost or has damaged places, as far as is known.
    pub(super) fn lacks_data(&self) -> bool {
        let state = self.state.read();
        let mut shards = state.shards();
        shards.any(|(_, shard)| !shard.lost.is_empty() || shard.files.iter().any(|file| file.flaws().any()))
    }

    /// The damaged places of live files, as far as they are known.
    pub(super) fn damage(&self) -> Vec<ReadError> {
        let state = self.state.read();
        let files = state.shards().flat_map(|(_, shard)| &shard.files);
        let mut damage: Vec<ReadError> = files.flat_map(|file| file.flaws().all()).collect();
        damage.extend(state.shards().flat_map(|(_, shard)| &shard.lost).map(|lost| lost.error()));
        let lost = state.buckets.values().flat_map(|bucket| bucket.index.lost());
        damage.extend(lost.map(|lost| lost.error()));
        let live = |number: u64| {
            let mut segments = state.buckets.values().flat_map(|bucket| bucket.index.segments());
            segments.any(|segment| segment.entry.number == number)
        };
        let segments = self.scrub.segments.lock();
        damage.extend(segments.iter().filter(|(number, _)| live(*number)).map(|(_, error)| error.clone()));
        damage
    }
}
