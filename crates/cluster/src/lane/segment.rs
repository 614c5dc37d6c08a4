//! The default back-end: the segmented log of `disk`, one protobuf record for each record of a group.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use disk::Vfs;
use disk::seglog::{self, LogError, LogReader, SegmentedLog};
use model::{LogPosition, ReplicaId};
use prost::Message as _;
use proto::log::{self, record};

use super::shared::LaneOptions;
use super::{LaneOpenError, LaneReader, Location, LogLane, Record, RecordBody, Recovered, WriteError};

/// The longest record: an entry of the largest size with room for its framing.
const RECORD_BYTES_MAX: u32 = 32 << 20;

/// Bytes of all files in a directory.
fn bytes_of(vfs: &dyn Vfs, dir: &Path) -> io::Result<u64> {
    vfs.list(dir)?.iter().map(|name| vfs.open_read(&dir.join(name))?.len()).sum()
}

/// A lane in segments.
#[derive(Debug)]
pub(crate) struct SegmentLane {
    log: SegmentedLog,
    buffer: Vec<u8>,
}

impl SegmentLane {
    pub(crate) fn open(
        vfs: Arc<dyn Vfs>,
        LaneOptions { dir, segment_bytes, progress, .. }: &LaneOptions,
    ) -> Result<(Self, Recovered), LaneOpenError> {
        vfs.create_dir_all(dir).map_err(LaneOpenError::Directory)?;
        let segment_bytes = *segment_bytes;
        let (mut read, all) = (0, bytes_of(vfs.as_ref(), dir).map_err(LaneOpenError::Directory)?);
        let options = seglog::Options { segment_bytes, record_bytes_max: RECORD_BYTES_MAX };
        let mut recovered = Recovered::new();
        let (log, recovery) = SegmentedLog::open(vfs, dir, options, &mut |location, bytes| {
            let record = decode(bytes)?;
            read += bytes.len() as u64;
            progress.done(read, all);
            recovered.entry(record.group).or_default().replay(&record.body, location.into())?;
            Ok(())
        })?;
        if let Some(torn) = recovery.torn {
            tracing::warn!(
                segment = torn.segment,
                offset = torn.offset,
                bytes = torn.bytes,
                "cut what a crash left unfinished at the end of the log; none of it was acknowledged"
            );
        }
        tracing::info!(records = recovery.records, bytes = recovery.bytes, "log recovered");
        Ok((Self { log, buffer: Vec::new() }, recovered))
    }
}

impl LogLane for SegmentLane {
    fn write(&mut self, records: &[Record]) -> Result<Vec<Location>, WriteError> {
        self.buffer.clear();
        let mut ends = Vec::with_capacity(records.len());
        for record in records {
            encode(record).encode(&mut self.buffer).expect("a vector grows as needed");
            ends.push(self.buffer.len());
        }
        let mut start = 0;
        let slices: Vec<&[u8]> =
            ends.iter().map(|&end| &self.buffer[std::mem::replace(&mut start, end)..end]).collect();
        let locations = self.log.append(&slices).map_err(write_error)?;
        self.buffer.shrink_to(1 << 20);
        Ok(locations.into_iter().map(Location::from).collect())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.log.sync().map_err(io::Error::other)
    }

    fn batch_bytes_max(&self) -> u64 {
        self.log.batch_bytes_max()
    }

    fn needs_mark(&self) -> bool {
        self.log.needs_mark()
    }

    fn mark_idle(&mut self) -> io::Result<()> {
        match self.log.mark_idle() {
            // Without space the mark waits for the next batch.
            Ok(()) | Err(LogError::Full { .. }) => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn reader(&self) -> Arc<dyn LaneReader> {
        Arc::new(SegmentReader(self.log.reader()))
    }

    fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    fn segments(&self) -> (u64, u64) {
        let segments = self.log.segments();
        (*segments.start(), *segments.end())
    }

    fn start_small(&mut self) -> Result<(), WriteError> {
        self.log.start_small().map_err(write_error)
    }

    fn remove_before(&mut self, segment: u64) -> io::Result<()> {
        self.log.remove_before(segment).map(drop).map_err(io::Error::other)
    }
}

fn write_error(error: LogError) -> WriteError {
    match error {
        LogError::Full { .. } => WriteError::Full(io::Error::other(error)),
        other => WriteError::Broken(io::Error::other(other)),
    }
}

#[derive(Debug)]
struct SegmentReader(LogReader);

impl LaneReader for SegmentReader {
    fn read(&self, group: u32, index: u64, location: Location) -> io::Result<Bytes> {
        let bytes = self.0.read(location.into()).map_err(io::Error::other)?;
        let wrong = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let record = log::Record::decode(Bytes::from(bytes)).map_err(wrong_record)?;
        match record.body {
            Some(record::Body::Append(append))
                if record.group == group && append.id.is_some_and(|id| id.index == index) =>
            {
                Ok(append.entry)
            }
            _ => Err(wrong("the log holds another record where this entry should be")),
        }
    }
}

fn wrong_record(error: prost::DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl From<seglog::Location> for Location {
    fn from(seglog::Location { segment, offset, len }: seglog::Location) -> Self {
        Self { segment, offset, len }
    }
}

impl From<Location> for seglog::Location {
    fn from(Location { segment, offset, len }: Location) -> Self {
        Self { segment, offset, len }
    }
}

/// The stored form of a record.
pub(super) fn encode(record: &Record) -> log::Record {
    let body = match &record.body {
        RecordBody::Append { position, entry } => {
            record::Body::Append(log::Append { id: Some((*position).into()), entry: entry.clone() })
        }
        RecordBody::Vote(vote) => record::Body::Vote(*vote),
        RecordBody::Truncate { after } => {
            record::Body::Truncate(log::Truncate { after: after.map(log::LogId::from) })
        }
        RecordBody::Purge(upto) => record::Body::Purged((*upto).into()),
        RecordBody::Committed(position) => record::Body::Committed((*position).into()),
        RecordBody::State(state) => record::Body::State(*state),
        RecordBody::Reset(replica) => record::Body::Reset(replica.0),
    };
    log::Record { group: record.group, body: Some(body) }
}

/// Why stored bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("not a record of the log")]
    Message(#[from] prost::DecodeError),
    #[error("a record of a kind that this version does not know, or without its position")]
    Incomplete,
}

/// Reads a record.
pub(crate) fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
    let log::Record { group, body } = log::Record::decode(bytes)?;
    let body = match body.ok_or(RecordError::Incomplete)? {
        record::Body::Append(append) => RecordBody::Append {
            position: LogPosition::from(append.id.ok_or(RecordError::Incomplete)?),
            entry: append.entry,
        },
        record::Body::Vote(vote) => RecordBody::Vote(vote),
        record::Body::Truncate(truncate) => {
            RecordBody::Truncate { after: truncate.after.map(LogPosition::from) }
        }
        record::Body::Purged(upto) => RecordBody::Purge(upto.into()),
        record::Body::Committed(position) => RecordBody::Committed(position.into()),
        record::Body::State(state) => RecordBody::State(state),
        record::Body::Reset(replica) => RecordBody::Reset(ReplicaId(replica)),
    };
    Ok(Record { group, body })
}
