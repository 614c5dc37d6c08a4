//! All that an engine holds at one position of its log, to be compared with what other replicas hold there.

use model::{BucketId, Digest, FieldSelection, LogPosition, Predicate, TimeRange};

use super::Engine;
use super::scan::{Reading, Scan, Snapshot};
use crate::cache::Reads;
use crate::error::ReadError;

/// What an engine held at a position, whatever is applied, flushed, merged or dropped while it is read.
#[derive(Debug)]
pub struct Everything {
    position: Option<LogPosition>,
    /// An error for what is lost.
    buckets: Vec<Result<(BucketId, Scan), ReadError>>,
}

impl Engine {
    /// Notes what the engine holds at this moment.
    pub fn everything(&self) -> Everything {
        let state = self.inner.state.read();
        let scan = |(id, bucket): (&BucketId, &super::state::Bucket)| {
            bucket.check_rows(&TimeRange::ALL)?;
            let snapshot = Snapshot::of(bucket, TimeRange::ALL, &Predicate::TRUE);
            // Queries need the cache more.
            let reading =
                Reading::new(TimeRange::ALL, Predicate::TRUE, FieldSelection::All, snapshot, Reads::bypass());
            Ok((*id, Scan::new(reading)))
        };
        Everything { position: state.applied, buckets: state.buckets.iter().map(scan).collect() }
    }
}

impl Everything {
    /// The last entry that is in it.
    pub const fn position(&self) -> Option<LogPosition> {
        self.position
    }

    /// What it comes to; `None` when `goes_on` says that nobody wants to know any more.
    ///
    /// # Errors
    /// Some of it is lost or damaged.
    pub fn digest(self, goes_on: impl Fn() -> bool) -> Result<Option<Digest>, ReadError> {
        let mut digest = Digest::default();
        for bucket in self.buckets {
            let (bucket, scan) = bucket?;
            for block in scan {
                if !goes_on() {
                    return Ok(None);
                }
                digest.add(bucket, &block?);
            }
        }
        Ok(Some(digest))
    }
}
