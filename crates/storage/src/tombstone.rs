//! Deletes: which rows a logged predicate hides until a merge leaves them out.
//!
//! A [`Cut`] is what one delete left: the log index at which it was applied, its *sequence*, and its times. It hides
//! what was written at lower positions and nothing that came later. Cuts with one predicate form a [`Group`].
//!
//! ```text
//!  log       w w w D w w F w D w                      w write, D delete (a cut), F the flush's position
//!  rows      ------|-----|---|--
//!  hidden by   D,D     D   D   -      rows know from which sequence on cuts hide them: `masked_from`
//! ```
//! Every chunk of the memtable and every file has a `masked_from`: cuts of that sequence and later hide its rows,
//! earlier ones came before the rows or were applied when the file was written. So nothing else decides what is
//! hidden: not the order in which files come, not a replay, not a merge of files from both sides of a cut.
//!
//! Who reads asks for [`Masks`] once, which resolve predicates to sets of series; without deletes they are empty
//! and cost nothing.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use model::{BucketId, Deletion, Predicate, SeriesKey, TimeRange, Timestamp};
use roaring::RoaringBitmap;

use crate::engine::LostFile;
use crate::index::{Renumbering, Selection, SeriesId, SeriesIndex};
use crate::manifest::{FileEntry, TombstoneEntry};
use crate::tsm::TsmFile;

mod masked;
#[cfg(test)]
mod tests;

pub(crate) use masked::Masked;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) sequence: u64,
    pub(crate) range: TimeRange,
    /// When it was applied or loaded.
    since: Duration,
}

/// Cuts with one predicate.
#[derive(Debug)]
struct Group {
    predicate: Predicate,
    /// The series of the predicate. Whoever has rows older than a cut was known when the cut was applied, so
    /// looking once after that is enough.
    selection: OnceLock<Selection>,
    /// By sequence.
    cuts: Vec<Cut>,
}

impl Group {
    fn selection(&self, index: &SeriesIndex) -> &Selection {
        self.selection.get_or_init(|| index.select(&self.predicate))
    }
}

/// The cuts of one bucket. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tombstones {
    groups: Vec<Arc<Group>>,
}

impl Tombstones {
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Number of cuts.
    pub(crate) fn len(&self) -> usize {
        self.groups.iter().map(|g| g.cuts.len()).sum()
    }

    /// From which sequence on cuts hide rows that are written now.
    pub(crate) fn masked_from(&self) -> u64 {
        self.cuts().map(|(_, cut)| cut.sequence + 1).max().unwrap_or(0)
    }

    fn cuts(&self) -> impl Iterator<Item = (&Group, &Cut)> {
        self.groups.iter().flat_map(|g| g.cuts.iter().map(move |cut| (&**g, cut)))
    }

    /// Adds a delete, later than all others. Cuts that hide nothing beyond what it hides go; with an equal one that
    /// it touches, and since which (`last_write`) nothing was written to the bucket, it becomes one.
    pub(crate) fn add(&mut self, deletion: &Deletion, sequence: u64, last_write: u64, now: Duration) {
        let mut range = deletion.range;
        let all_series = deletion.predicate == Predicate::TRUE;
        let place = self.groups.iter().position(|g| g.predicate == deletion.predicate);
        if let Some(group) = place.map(|at| &self.groups[at]) {
            for cut in group.cuts.iter().rev().take_while(|cut| last_write < cut.sequence) {
                if cut.range.start <= range.end && range.start <= cut.range.end {
                    range.start = range.start.min(cut.range.start);
                    range.end = range.end.max(cut.range.end);
                }
            }
        }
        let mut cuts = place.map_or_else(Vec::new, |at| self.groups.remove(at).cuts.clone());
        cuts.retain(|cut| !range.covers(&cut.range));
        cuts.push(Cut { sequence, range, since: now });
        if all_series {
            self.retain(|_, cut| !range.covers(&cut.range));
        }
        let predicate = deletion.predicate.clone();
        self.groups.push(Arc::new(Group { predicate, selection: OnceLock::new(), cuts }));
    }

    /// Takes back what a manifest kept. Entries come by sequence.
    pub(crate) fn restore(&mut self, entry: &TombstoneEntry, now: Duration) {
        let cut = Cut { sequence: entry.sequence, range: entry.deletion.range, since: now };
        let predicate = &entry.deletion.predicate;
        let cuts = match self.groups.iter().position(|g| g.predicate == *predicate) {
            Some(at) => self.groups.remove(at).cuts.iter().copied().chain([cut]).collect(),
            None => vec![cut],
        };
        let selection = OnceLock::new();
        self.groups.push(Arc::new(Group { predicate: predicate.clone(), selection, cuts }));
    }

    /// The sequences of the cuts.
    pub(crate) fn sequences(&self) -> impl Iterator<Item = u64> {
        self.cuts().map(|(_, cut)| cut.sequence)
    }

    /// The cuts as the manifest keeps them.
    pub(crate) fn entries(&self, bucket: BucketId) -> impl Iterator<Item = TombstoneEntry> {
        self.cuts().map(move |(group, cut)| TombstoneEntry {
            sequence: cut.sequence,
            deletion: Deletion { bucket, range: cut.range, predicate: group.predicate.clone() },
        })
    }

    /// Drops the cuts that do not pass.
    fn retain(&mut self, keep: impl Fn(&Group, &Cut) -> bool) {
        self.groups.retain_mut(|group| {
            let kept: Vec<Cut> = group.cuts.iter().filter(|cut| keep(group, cut)).copied().collect();
            if kept.len() < group.cuts.len() {
                let Group { predicate, selection, .. } = &**group;
                *group = Arc::new(Group {
                    predicate: predicate.clone(),
                    selection: selection.clone(),
                    cuts: kept,
                });
            }
            !group.cuts.is_empty()
        });
    }

    /// Takes note of the ids under which a flush stored series.
    pub(crate) fn renumber(&mut self, renumbering: &Renumbering) {
        for group in &mut self.groups {
            let selection = group.selection.get().map(|selection| Selection {
                all: renumbering.stored_set(&selection.all),
                some: renumbering.stored_set(&selection.some),
            });
            let Group { predicate, cuts, .. } = &**group;
            let selection = selection.map_or_else(OnceLock::new, OnceLock::from);
            *group = Arc::new(Group { predicate: predicate.clone(), selection, cuts: cuts.clone() });
        }
    }

    /// Drops the cuts of these sequences.
    pub(crate) fn remove(&mut self, sequences: &[u64]) {
        self.retain(|_, cut| !sequences.contains(&cut.sequence));
    }

    /// The sequences up to `until` (inclusive) of the cuts that hide no row of any of the files, nor may hide one of a
    /// file that is lost.
    pub(crate) fn settled<'a>(
        &self,
        until: u64,
        files: impl Iterator<Item = &'a Arc<TsmFile>> + Clone,
        lost: impl Iterator<Item = &'a Arc<LostFile>> + Clone,
        index: &SeriesIndex,
    ) -> Vec<u64> {
        let may_hit = |cut: &Cut, entry: &FileEntry| {
            cut.sequence >= entry.masked_from && cut.range.overlaps(&inclusive(entry.times))
        };
        let done = |group: &Group, cut: &Cut| {
            !lost.clone().any(|lost| may_hit(cut, &lost.entry))
                && !files.clone().any(|file| hits(group, cut, file, index))
        };
        let old = self.cuts().filter(|(_, cut)| cut.sequence <= until);
        old.filter(|(group, cut)| done(group, cut)).map(|(_, cut)| cut.sequence).collect()
    }

    /// Whether a cut up to `until` (inclusive) hides whatever a file may hold.
    pub(crate) fn hide_whole(&self, until: u64, file: &FileEntry) -> bool {
        let times = inclusive(file.times);
        let hides =
            |cut: &Cut| (file.masked_from..=until).contains(&cut.sequence) && cut.range.covers(&times);
        self.groups.iter().any(|g| g.predicate == Predicate::TRUE && g.cuts.iter().any(hides))
    }

    /// When the first cut up to `until` (inclusive) was applied that hides rows of a file; `None` when none does.
    pub(crate) fn hides_rows_since(
        &self,
        until: u64,
        file: &TsmFile,
        index: &SeriesIndex,
    ) -> Option<Duration> {
        if self.is_empty() || self.masked_from() <= file.clear_before() {
            return None;
        }
        let mut clear = true;
        let mut first = None;
        for (_, cut) in self.cuts().filter(|(group, cut)| hits(group, cut, file, index)) {
            clear = false;
            if cut.sequence <= until {
                first = Some(first.map_or(cut.since, |first: Duration| first.min(cut.since)));
            }
        }
        // A cut that is no longer among these was covered by one of them, or had no file left to hide rows of.
        if clear {
            file.set_clear_before(self.masked_from());
        }
        first
    }

    /// What hides rows with times in `range`; cuts after `until` (inclusive) are left out.
    pub(crate) fn masks(&self, range: TimeRange, until: u64, index: &SeriesIndex) -> Masks {
        let mut masks = Masks::default();
        for group in &self.groups {
            let overlaps = |cut: &&Cut| cut.sequence <= until && cut.range.overlaps(&range);
            let cuts: Vec<Cut> = group.cuts.iter().filter(overlaps).copied().collect();
            if !cuts.is_empty() {
                masks.touched |= &group.selection(index).some;
                masks.parts.push(Part { group: Arc::clone(group), cuts });
            }
        }
        masks
    }
}

/// Whether a cut hides rows of a file.
fn hits(group: &Group, cut: &Cut, file: &TsmFile, index: &SeriesIndex) -> bool {
    let range = inclusive(file.entry.times);
    cut.sequence >= file.clear_before()
        && cut.range.overlaps(&range)
        && file.has_any(&group.selection(index).some)
}

/// The range of a first and a last time.
fn inclusive(times: (i64, i64)) -> TimeRange {
    TimeRange::new(Timestamp(times.0), Timestamp(times.1.saturating_add(1)))
}

/// Some cuts of a bucket, resolved to series.
#[derive(Debug, Default)]
pub(crate) struct Masks {
    parts: Vec<Part>,
    /// The series of all parts.
    touched: RoaringBitmap,
}

#[derive(Debug)]
struct Part {
    /// Its selection is known.
    group: Arc<Group>,
    cuts: Vec<Cut>,
}

impl Masks {
    /// The series of which something may be hidden.
    pub(crate) fn touched(&self) -> &RoaringBitmap {
        &self.touched
    }

    /// The first sequence behind all cuts in it.
    pub(crate) fn end(&self) -> u64 {
        let cuts = self.parts.iter().flat_map(|part| &part.cuts);
        cuts.map(|cut| cut.sequence + 1).max().unwrap_or(0)
    }

    /// Whether one delete hides all that a file has of some series.
    pub(crate) fn hide_all_of(&self, file: &TsmFile, series: &RoaringBitmap) -> bool {
        let (held, times) = (&file.presence & series, inclusive(file.entry.times));
        let hides = |cut: &Cut| cut.sequence >= file.entry.masked_from && cut.range.covers(&times);
        let of_all = |part: &Part| part.group.selection.get().is_some_and(|s| held.is_subset(&s.all));
        held.is_empty() || self.parts.iter().any(|part| part.cuts.iter().any(hides) && of_all(part))
    }

    /// What hides rows of a series.
    pub(crate) fn of_series<'a>(&'a self, id: SeriesId, key: &SeriesKey) -> SeriesMask<'a> {
        let mut parts = Vec::new();
        if self.touched.contains(id) {
            for part in &self.parts {
                let Some(selection) = part.group.selection.get() else { continue };
                if selection.all.contains(id) {
                    parts.push((part, None));
                } else if selection.some.contains(id) {
                    parts.push((part, Some(key.clone())));
                }
            }
        }
        SeriesMask { parts }
    }
}

/// What hides rows of one series.
#[derive(Debug)]
pub(crate) struct SeriesMask<'a> {
    /// With the series' key where fields must be asked one by one.
    parts: Vec<(&'a Part, Option<SeriesKey>)>,
}

impl SeriesMask<'_> {
    /// What hides some of the rows between a first and a last time that are masked from a sequence on.
    pub(crate) fn hidden(&self, masked_from: u64, times: (i64, i64)) -> Vec<Hidden> {
        let range = inclusive(times);
        let mut hidden = Vec::new();
        for (part, key) in &self.parts {
            let cuts = part.cuts.iter().filter(|c| c.sequence >= masked_from && c.range.overlaps(&range));
            hidden.extend(cuts.map(|cut| {
                let fields = key.clone().map(|key| FieldTest { group: Arc::clone(&part.group), key });
                Hidden { range: cut.range, fields }
            }));
        }
        hidden
    }
}

/// Times of a series of which rows are hidden, or the values of some fields.
#[derive(Debug, Clone)]
pub(crate) struct Hidden {
    pub(crate) range: TimeRange,
    /// `None`: all fields.
    fields: Option<FieldTest>,
}

#[derive(Debug, Clone)]
struct FieldTest {
    group: Arc<Group>,
    key: SeriesKey,
}

impl Hidden {
    /// Whether the values of a field are hidden.
    fn hides(&self, field: &str) -> bool {
        self.fields.as_ref().is_none_or(|test| test.group.predicate.accepts(&test.key, field))
    }
}

/// Whether nothing between a first and a last time is left: of a field, or of the whole rows.
pub(crate) fn hides_all(hidden: &[Hidden], times: (i64, i64), field: Option<&str>) -> bool {
    let relevant = |h: &&Hidden| match field {
        None => h.fields.is_none(),
        Some(field) => h.hides(field),
    };
    let mut ranges: Vec<TimeRange> = hidden.iter().filter(relevant).map(|h| h.range).collect();
    ranges.sort_unstable_by_key(|r| r.start);
    let wanted = inclusive(times);
    let mut reached = wanted.start;
    for range in ranges {
        if range.start <= reached {
            reached = reached.max(range.end);
        }
    }
    reached >= wanted.end
}
