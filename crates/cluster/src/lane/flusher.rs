//! The thread that writes a lane: everything that is queued, one sync, all callbacks; then what housekeeping the
//! batch made possible.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hashbrown::HashMap;
use model::{Clock, LogPosition};

use super::queue::{Taken, Work};
use super::shared::Shared;
use super::{LaneError, Location, LogLane, RECORD_OVERHEAD_BYTES, Record, RecordBody, WriteError};
use crate::raft::machine::with_causes;

/// Tells those appends of a write and its sync that somebody wants to see.
fn tell(works: &[Work], records: usize, times: (Duration, Duration)) {
    for here in works.iter().filter_map(|work| work.traced.as_ref()) {
        here.add("wal.fsync", times, vec![("appends", works.len().into()), ("records", records.into())]);
    }
}

/// Silence after which the lane notes on the disk how far it is durable.
const IDLE_AFTER: Duration = Duration::from_millis(100);
/// Time between attempts to write while the disk is full.
pub(crate) const FULL_RETRY: Duration = Duration::from_millis(250);

/// The state of the thread.
pub(super) struct Flusher {
    pub(super) lane: Box<dyn LogLane>,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Arc<dyn Clock>,
    /// What the disk knows to be committed, by group.
    pub(super) committed: HashMap<u32, LogPosition>,
}

/// Records of all works in order; `origins[i]` is the work of record i, and the ticket if it is an entry.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    origins: Vec<(usize, u64)>,
}

impl Flusher {
    /// Runs until the queue is closed, or a write fails.
    pub(super) fn run(mut self) {
        loop {
            let idle_after = self.lane.needs_mark().then_some(IDLE_AFTER);
            match self.shared.queue.take(idle_after) {
                Taken::Works(works) => {
                    if let Err(error) = self.flush(works) {
                        self.shared.fail(&error);
                        return self.refuse_rest(&error);
                    }
                }
                Taken::Idle => {
                    if let Err(error) = self.lane.mark_idle() {
                        let error = broken("noting the durable position", &error);
                        self.shared.fail(&error);
                        return self.refuse_rest(&error);
                    }
                }
                Taken::Closed => {
                    // An orderly end: the note spares the next start the question. A failure costs no data.
                    if let Err(error) = self.lane.mark_idle() {
                        tracing::warn!(%error, "could not note the log's durable position at shutdown");
                    }
                    return;
                }
            }
        }
    }

    /// Tells whoever still waits that nothing more will be written.
    fn refuse_rest(&self, error: &LaneError) {
        while let Taken::Works(works) = self.shared.queue.take(None) {
            works.into_iter().for_each(|work| work.finish(Err(error.clone())));
        }
    }

    /// Writes works durably and calls back.
    fn flush(&mut self, mut works: Vec<Work>) -> Result<(), LaneError> {
        let batch = self.batch(&mut works);
        let began = self.clock.monotonic();
        self.shared.metrics.begins(began);
        let locations = match self.write(&batch.records) {
            Ok(locations) => locations,
            Err(error) => {
                works.into_iter().for_each(|work| work.finish(Err(error.clone())));
                return Err(error);
            }
        };
        let ended = self.clock.monotonic();
        self.shared.metrics.synced(began, ended);
        tell(&works, batch.records.len(), (began, ended));
        self.note(&works, &batch, &locations);
        let is_purge =
            |body: &_| matches!(body, RecordBody::Purge(_) | RecordBody::State(_) | RecordBody::Reset(_));
        let purged = batch.records.iter().any(|record| is_purge(&record.body));
        drop(batch);
        works.into_iter().for_each(|work| work.finish(Ok(())));
        if purged {
            self.remove_segments()?;
        }
        self.shared.metrics.measure(self.lane.as_ref());
        self.shared.evict();
        Ok(())
    }

    /// Collects the records of works, with a note of what is committed where that is news.
    fn batch(&mut self, works: &mut [Work]) -> Batch {
        let mut batch = Batch::default();
        for (at, work) in works.iter_mut().enumerate() {
            let mut ticket = work.first_ticket;
            for record in std::mem::take(&mut work.records) {
                let own = ticket;
                if matches!(record.body, RecordBody::Append { .. }) {
                    ticket += 1;
                }
                batch.origins.push((at, own));
                batch.records.push(record);
            }
            let group = work.log.group();
            let committed = work.log.index().committed;
            if let Some(position) = committed
                && self.committed.get(&group) != Some(&position)
            {
                self.committed.insert(group, position);
                batch.origins.push((at, 0));
                batch.records.push(Record { group, body: RecordBody::Committed(position) });
            }
        }
        batch
    }

    /// Writes records durably, in as few writes as the back-end takes; waits while the disk is full.
    fn write(&mut self, records: &[Record]) -> Result<Vec<Location>, LaneError> {
        let mut locations = Vec::with_capacity(records.len());
        let mut rest = records;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|record| {
                bytes += RECORD_OVERHEAD_BYTES + envelope_bytes(record);
                bytes <= self.lane.batch_bytes_max()
            });
            let (now, later) = rest.split_at(fits.count().max(1));
            match self.lane.write(now) {
                Ok(found) => {
                    self.note_waiting(false);
                    locations.extend(found);
                    rest = later;
                }
                Err(WriteError::Full(error)) => self.wait_for_space(&error)?,
                Err(WriteError::Broken(error)) => {
                    return Err(broken("writing the log", &error));
                }
            }
        }
        self.lane.sync().map_err(|error| broken("syncing the log", &error))?;
        Ok(locations)
    }

    /// The disk is full: nothing is acknowledged, and the same records are tried again until they fit.
    fn wait_for_space(&self, error: &io::Error) -> Result<(), LaneError> {
        if self.note_waiting(true) {
            tracing::error!(%error, "no space for the log: writes wait until there is");
        }
        match self.shared.queue.pause(FULL_RETRY) {
            None => Ok(()),
            Some(closed) => Err(closed),
        }
    }

    /// Notes whether the lane waits for space, and says whether that is new.
    fn note_waiting(&self, waits: bool) -> bool {
        let waiting = &self.shared.metrics.waiting_for_space;
        waiting.send_if_modified(|waited| std::mem::replace(waited, waits) != waits)
    }

    /// Notes in the groups' indices where the records are.
    fn note(&self, works: &[Work], batch: &Batch, locations: &[Location]) {
        let metrics = &self.shared.metrics;
        for ((record, (at, ticket)), location) in batch.records.iter().zip(&batch.origins).zip(locations) {
            let Some(work) = works.get(*at) else { continue };
            metrics.records.fetch_add(1, Ordering::Relaxed);
            if let RecordBody::Append { position, entry } = &record.body {
                metrics.appends.fetch_add(1, Ordering::Relaxed);
                metrics.append_bytes.fetch_add(entry.len() as u64, Ordering::Relaxed);
                work.log.index().durable(position.index, *ticket, *location);
            } else {
                // Not before: until then the segments with the old vote must not go.
                if let RecordBody::Reset(replica) = &record.body {
                    work.log.reset(*replica);
                }
                work.log.index().state_durable(&record.body, location.segment);
            }
        }
    }

    /// Removes the segments that no group needs, after repeating the votes and purge positions that lie in them.
    fn remove_segments(&mut self) -> Result<(), LaneError> {
        let logs = self.shared.logs();
        let needed = logs.iter().filter_map(|log| log.index().oldest_entry_segment()).min();
        if needed.is_none() {
            match self.lane.start_small() {
                Ok(()) | Err(WriteError::Full(_)) => {}
                Err(WriteError::Broken(error)) => {
                    return Err(broken("starting a segment of the log", &error));
                }
            }
        }
        let (first, active) = self.lane.segments();
        let needed = needed.unwrap_or(active).min(active);
        if needed <= first {
            return Ok(());
        }
        let stale: Vec<_> = logs.iter().filter(|log| log.index().needs_state_before(needed)).collect();
        let records: Vec<_> = stale
            .iter()
            .map(|log| Record { group: log.group(), body: RecordBody::State(log.index().state()) })
            .collect();
        if !records.is_empty() {
            let locations = self.write(&records)?;
            for ((log, record), location) in stale.iter().zip(&records).zip(&locations) {
                log.index().state_durable(&record.body, location.segment);
            }
        }
        if let Err(error) = self.lane.remove_before(needed) {
            tracing::warn!(%error, "could not remove old segments of the log; trying again later");
        }
        Ok(())
    }
}

fn envelope_bytes(record: &Record) -> u64 {
    match &record.body {
        RecordBody::Append { entry, .. } => entry.len() as u64,
        _ => 0,
    }
}

/// What everyone is told after a failure, down to what the system says.
fn broken(doing: &str, error: &io::Error) -> LaneError {
    LaneError::Poisoned(format!("{doing}: {}", with_causes(error)).into())
}
