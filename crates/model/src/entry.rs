//! What a partition's log asks of its replicas, and positions in that log.

use crate::batch::Batch;
#[cfg(doc)]
use crate::digest::Digest;
use crate::ids::{BucketId, ReplicaId};
use crate::predicate::Predicate;
use crate::time::{TimeRange, Timestamp};

/// The position of an entry in a group's log. Ordered by index alone within one group's committed log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// Index of the entry; the first is 0.
    pub index: u64,
    /// Raft term in which the entry was proposed.
    pub term: u64,
    /// The leader that proposed it.
    pub leader: ReplicaId,
}

/// Which points to delete: those of the (series, field) pairs that satisfy the predicate, with a time in the range.
#[derive(Debug, Clone, PartialEq)]
pub struct Deletion {
    /// The bucket.
    pub bucket: BucketId,
    /// The times.
    pub range: TimeRange,
    /// The series and fields; within the bounds of [`crate::predicate::codec`].
    pub predicate: Predicate,
}

/// One operation on one partition. Everything in it was validated before it was proposed; applying it is
/// deterministic and cannot fail.
#[derive(Debug, Clone, PartialEq)]
pub enum PartitionOp {
    /// Insert the points of a batch; all of its series belong to the partition and every field has one type.
    Write(Batch),
    /// Delete points that earlier entries wrote. What later entries write stays, whatever its time.
    Delete(Deletion),
    /// Drop every shard of the bucket that ends at or before `ending_by` (retention).
    DropShards {
        /// The bucket.
        bucket: BucketId,
        /// Shards whose last instant is before this time go.
        ending_by: Timestamp,
    },
    /// Drop all data of a bucket. Bucket ids are never reused.
    DropBucket {
        /// The bucket.
        bucket: BucketId,
    },
    /// Changes nothing: each replica computes the [`Digest`] of what it holds here.
    Compare,
}
