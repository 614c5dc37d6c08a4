//! Which windows of a summary are kept for the next one, and how long they are right.
//!
//! ```text
//!  shard      |----------------------------------------------|     changes: the last entry that wrote or deleted in each
//!  spans      |    |    |    |    |    |    |    |    |    |    |              span of it
//!  asked            (---------------------------------)
//!  sections        :  ?  |==========|==========|  ?            whole windows, about as long as a span; the ends are computed
//! ```
//! A section is found by what was asked, its shard, its time and the last change in that time. What is written or deleted
//! there, however late, gives it another number, so that what was kept before is never found again: an answer is always
//! what it would be without the cache. Sections are cut at the same times whatever range is asked for, so that ranges that
//! move with the clock find those of the ranges before.

use std::sync::Arc;

use model::summary::Windows;
use model::{BucketId, SummaryRequest, TimeRange, predicate};

use super::Engine;
use super::state::Bucket;
use crate::cache::{EngineId, Question, SectionKey};

/// Spans of a shard whose changes are told apart.
const SPANS: usize = 256;
/// A summary is kept in at most so many sections.
const SECTIONS_MAX: usize = 1024;

/// The last changes of a shard, since the engine was opened.
#[derive(Debug, Default)]
pub(super) struct Changes(Option<Box<[u64; SPANS]>>);

impl Changes {
    /// The entry `index` has changed something from one time of the shard to another.
    pub(super) fn mark(&mut self, shard: TimeRange, from: i64, to: i64, index: u64) {
        let spans = self.0.get_or_insert_with(|| Box::new([0; SPANS]));
        let (from, to) = (place(shard, from), place(shard, to));
        for span in spans.get_mut(from..=to).into_iter().flatten() {
            *span = index;
        }
    }

    /// The last entry that has changed anything there, or in the spans around it; 0 for none.
    fn latest(&self, shard: TimeRange, from: i64, to: i64) -> u64 {
        let spans = self.0.as_ref().and_then(|spans| spans.get(place(shard, from)..=place(shard, to)));
        spans.and_then(|spans| spans.iter().max()).copied().unwrap_or(0)
    }
}

/// What there was of a bucket in some time. Where two are equal, the points there and their series were the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    engine: EngineId,
    /// Shards in that time.
    shards: usize,
    /// The last entry that has changed anything there, or next to it. Entries are numbered upwards, so that a shard that
    /// was dropped and written again has a higher one.
    latest: u64,
}

impl Engine {
    /// What there is now of a bucket in some time; with `whole_shards` in all of the shards that the time touches, which
    /// questions about names go by. `None` where a flush or a merge may change the answer to such a question, because
    /// rows are deleted that were not left out yet.
    pub fn stamp(&self, bucket: BucketId, range: TimeRange, whole_shards: bool) -> Option<Stamp> {
        let mut stamp = Stamp { engine: self.inner.id, shards: 0, latest: 0 };
        let state = self.inner.state.read();
        let Some(bucket) = state.buckets.get(&bucket) else { return Some(stamp) };
        if whole_shards && !bucket.tombstones.is_empty() {
            return None;
        }
        for shard in bucket.shards.iter().filter(|shard| shard.range.overlaps(&range)) {
            let asked = if whole_shards { shard.range } else { range };
            stamp.shards += 1;
            let latest = shard.changes.latest(shard.range, asked.start.0, asked.end.0.saturating_sub(1));
            stamp.latest = stamp.latest.max(latest);
        }
        Some(stamp)
    }
}

/// The length of a shard's spans, at least 1. A shard may be all of time, whose length no `i64` holds.
const fn width(shard: TimeRange) -> u64 {
    let length = shard.end.0.wrapping_sub(shard.start.0).cast_unsigned();
    length / SPANS as u64 + 1
}

/// The span of a time; what lies outside is of the first or the last.
fn place(shard: TimeRange, time: i64) -> usize {
    let into = time.max(shard.start.0).wrapping_sub(shard.start.0).cast_unsigned();
    usize::try_from(into / width(shard)).map_or(SPANS - 1, |span| span.min(SPANS - 1))
}

/// The sections of a summary that may have been kept, or are worth keeping: ascending, without overlaps, within the range.
pub(super) fn sections(engine: EngineId, bucket: &Bucket, request: &SummaryRequest) -> Vec<SectionKey> {
    let Windows::Every { every, offset } = request.windows else { return Vec::new() };
    let Ok(predicate) = predicate::codec::encode(&request.scan.predicate) else { return Vec::new() };
    let question = Arc::new(Question {
        bucket: request.scan.bucket,
        predicate,
        fields: request.scan.fields.clone(),
        windows: request.windows.clone(),
        wanted: request.wanted,
        grouping: request.grouping.clone(),
    });
    let (every, offset, range) = (i128::from(every), i128::from(offset), request.scan.range);
    let mut found = Vec::new();
    for shard in bucket.shards.iter().filter(|shard| shard.range.overlaps(&range)) {
        // Whole windows, about as long as a span.
        let step = every * (i128::from(width(shard.range)) / every).max(1);
        let floor = |time: i128, step: i128| (time - offset).div_euclid(step) * step + offset;
        let first = floor(i128::from(shard.range.start.0) + every - 1, every);
        let end = floor(i128::from(shard.range.end.0), every);
        let mut at = floor(i128::from(range.start.0).max(first), step).max(first);
        while at < end {
            let until = (floor(at, step) + step).min(end);
            if until > i128::from(range.end.0) {
                break;
            }
            let span = (i64::try_from(at), i64::try_from(until));
            if let (Ok(from), Ok(until)) = span
                && from >= range.start.0
            {
                let changed = shard.changes.latest(shard.range, from, until - 1);
                let shard = (engine, shard.id.number());
                found.push(SectionKey {
                    question: Arc::clone(&question),
                    shard,
                    span: (from, until),
                    changed,
                });
            }
            if found.len() > SECTIONS_MAX {
                return Vec::new();
            }
            at = until;
        }
    }
    found
}

#[cfg(test)]
mod tests;
