//! Applying log entries to the memtable. Deterministic: nothing but the entries decides what happens.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::{Batch, BucketId, Deletion, LogPosition, PartitionOp, Table, Timestamp};
use roaring::RoaringBitmap;

use super::Inner;
use super::state::{Bucket, Dropped, Shard, ShardId, State};
use crate::layout::Layout;
use crate::memtable::{Source, sparse_columns};

impl Inner {
    /// Applies an entry; says whether a flush is due.
    pub(super) fn apply(&self, position: LogPosition, op: &PartitionOp) -> bool {
        let now = self.clock.monotonic();
        let mut state = self.state.write();
        if !state.advance(position, now) {
            return false;
        }
        let wants_flush = match op {
            PartitionOp::Write(batch) => {
                state.write(position.index, batch, now);
                self.counters.rows_applied.fetch_add(batch.rows() as u64, Ordering::Relaxed);
                state.active_bytes > self.options.memtable_bytes_max
            }
            PartitionOp::Delete(deletion) => {
                state.delete(position.index, deletion, now) > self.options.purge_tombstones_min
            }
            PartitionOp::DropShards { bucket, ending_by } => {
                state.drop_shards(position.index, *bucket, *ending_by)
            }
            PartitionOp::DropBucket { bucket } => state.drop_bucket(position.index, *bucket),
            PartitionOp::Compare => false,
        };
        self.settle(&state);
        wants_flush
    }
}

impl State {
    /// Hides what the bucket holds of a deletion; returns the number of the bucket's tombstones.
    fn delete(&mut self, index: u64, deletion: &Deletion, now: Duration) -> usize {
        let Some(bucket) = self.buckets.get_mut(&deletion.bucket) else { return 0 };
        if !deletion.range.is_empty() {
            bucket.tombstones.add(deletion, index, bucket.last_write, now);
            let range = deletion.range;
            for shard in bucket.shards.iter_mut().filter(|shard| shard.range.overlaps(&range)) {
                shard.changes.mark(shard.range, range.start.0, range.end.0 - 1, index);
            }
        }
        bucket.tombstones.len()
    }

    fn write(&mut self, index: u64, batch: &Batch, now: Duration) {
        if batch.is_empty() {
            return;
        }
        let mut bucket = self.buckets.remove(&batch.bucket).unwrap_or_default();
        bucket.last_write = index;
        for table in &batch.tables {
            let added =
                bucket.write_table(table, index, (batch.shard_duration_ns, now), &mut || self.new_shard_id());
            self.active_bytes += added;
        }
        self.buckets.insert(batch.bucket, bucket);
    }

    /// Drops the shards that end by a time. Returns whether a flush should make it durable.
    fn drop_shards(&mut self, index: u64, bucket: BucketId, ending_by: Timestamp) -> bool {
        let Some(found) = self.buckets.get_mut(&bucket) else { return false };
        let keep_from = found.shards.partition_point(|s| s.range.end <= ending_by);
        let gone: Vec<Shard> = found.shards.drain(..keep_from).collect();
        let mut absent = RoaringBitmap::new();
        gone.iter().for_each(|shard| absent |= &shard.presence);
        found.forget_absent(absent);
        if found.shards.is_empty()
            && let Some(bucket) = self.buckets.remove(&bucket)
        {
            self.bury_index(index, bucket.index);
        }
        self.bury(index, gone)
    }

    fn drop_bucket(&mut self, index: u64, bucket: BucketId) -> bool {
        match self.buckets.remove(&bucket) {
            Some(bucket) => {
                self.bury_index(index, bucket.index);
                self.bury(index, bucket.shards)
            }
            None => false,
        }
    }

    fn bury(&mut self, index: u64, shards: Vec<Shard>) -> bool {
        let any = !shards.is_empty();
        for shard in shards {
            self.active_bytes -= shard.active.bytes;
            let Shard { id: shard, files, lost, .. } = shard;
            self.dropped.push(Dropped { index, shard, files, lost });
        }
        any
    }
}

impl Bucket {
    /// Appends the rows of a table; returns the growth of the memtable in bytes.
    fn write_table(
        &mut self,
        table: &Table,
        index: u64,
        (shard_duration_ns, now): (i64, Duration),
        new_id: &mut impl FnMut() -> ShardId,
    ) -> usize {
        let full = self.layouts.intern(&table.fields);
        let full_columns: Vec<_> = table.columns.iter().collect();
        let head_before = self.index.head_bytes();
        let mut grown = 0;
        let masked_from = self.tombstones.masked_from();
        for (series, rows) in table.series_ranges() {
            if rows.is_empty() {
                continue;
            }
            let id = self.index.register(&series.key, series.hash);
            let mut at = rows.start;
            while at < rows.end {
                let place = self
                    .shard_for(table.times[at], shard_duration_ns, |range| Shard::new(new_id(), range, now));
                let shard = &mut self.shards[place];
                let end = at
                    + table.times[at..rows.end]
                        .iter()
                        .take_while(|&&t| shard.range.contains(Timestamp(t)))
                        .count();
                // A time that no range contains cannot be written by a validated batch; it is still one row.
                let end = end.max(at + 1);
                let part = at..end;
                let before = shard.active.bytes;
                let is_new = match sparse_columns(&table.columns, &part) {
                    None => {
                        let (times, columns) = (&table.times, &full_columns);
                        let source = Source { layout: &full, times, columns, masked_from };
                        shard.active.append(id, &source, part, &mut self.layouts)
                    }
                    Some(present) => {
                        let fields: Vec<_> = present.iter().map(|&i| table.fields[i].clone()).collect();
                        let columns: Vec<_> = present.iter().map(|&i| &table.columns[i]).collect();
                        let layout: Arc<Layout> = self.layouts.intern(&fields);
                        let (times, columns) = (&table.times, &columns);
                        let source = Source { layout: &layout, times, columns, masked_from };
                        shard.active.append(id, &source, part, &mut self.layouts)
                    }
                };
                if is_new {
                    shard.presence.insert(id);
                }
                let times = &table.times[at..end];
                let (first, last) =
                    times.iter().fold((i64::MAX, i64::MIN), |(a, b), t| (a.min(*t), b.max(*t)));
                shard.changes.mark(shard.range, first, last, index);
                grown += shard.active.bytes - before;
                at = end;
            }
        }
        grown + (self.index.head_bytes() - head_before)
    }
}
