//! Entries from a partition's part of a batch: one as a rule, more when it is very large.

use bytes::Bytes;
use model::{Batch, Bitmap, PartitionOp, Timestamp};

/// An envelope above this is cut.
const ENTRY_BYTES_CUT: usize = 4 << 20;
/// Pieces of a cut batch are halved until they are at most twice this.
const ENTRY_BYTES_TARGET: usize = 256 << 10;
/// Bytes of a batch in memory above which it is cut before it is encoded.
const BATCH_BYTES_CUT: usize = 32 << 20;

/// The entries of a batch, in the order in which they must be logged.
pub(super) fn entries(batch: Batch, received_at: Timestamp) -> Vec<(Bytes, PartitionOp)> {
    let mut entries = Vec::with_capacity(1);
    if batch.is_empty() {
        return entries;
    }
    if batch.bytes() <= BATCH_BYTES_CUT {
        let op = PartitionOp::Write(batch);
        let encoded = proto::encode_op(&op, received_at);
        if encoded.len() <= ENTRY_BYTES_CUT {
            entries.push((encoded, op));
            return entries;
        }
        let PartitionOp::Write(batch) = op else { unreachable!("made above") };
        halve(batch, received_at, &mut entries);
    } else {
        halve(batch, received_at, &mut entries);
    }
    entries
}

/// Appends the two halves of a batch, or the halves of those where they are still large.
fn halve(batch: Batch, received_at: Timestamp, entries: &mut Vec<(Bytes, PartitionOp)>) {
    let rows = batch.rows();
    let (mut first, mut second) = (batch.clone(), batch);
    keep_rows(&mut first, 0, rows / 2);
    keep_rows(&mut second, rows / 2, rows);
    for half in [first, second] {
        if half.rows() > 1 && half.bytes() > BATCH_BYTES_CUT {
            halve(half, received_at, entries);
            continue;
        }
        if half.is_empty() {
            continue;
        }
        let op = PartitionOp::Write(half);
        let encoded = proto::encode_op(&op, received_at);
        match op {
            PartitionOp::Write(half) if half.rows() > 1 && encoded.len() > 2 * ENTRY_BYTES_TARGET => {
                halve(half, received_at, entries);
            }
            op => entries.push((encoded, op)),
        }
    }
}

/// Keeps the rows `from..to`, counted over all tables.
fn keep_rows(batch: &mut Batch, from: usize, to: usize) {
    let mut start = 0;
    for table in &mut batch.tables {
        let rows = table.times.len();
        let keep: Bitmap = (start..start + rows).map(|row| (from..to).contains(&row)).collect();
        table.retain_rows(&keep);
        start += rows;
    }
    batch.remove_empty_tables();
}
