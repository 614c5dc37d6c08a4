//! The part of a query that one node reads for it: its spans, and what it has read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{PartitionId, SeriesBlock};
use query::source::{ScanError, ScanStream};
use storage::Tally;
use trace::Span;

use crate::answers::Reach;

/// What a query has read so far. Monotonic.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// Rows that came of scans, of all nodes; aggregates that were computed where the data is have none.
    pub(crate) rows: AtomicU64,
    /// Bytes that were read from files of this node.
    pub(crate) bytes: AtomicU64,
    /// Where it has read.
    pub(crate) reach: Reach,
}

/// What this node reads for a query, of its own or of another node; lasts as long as it is read.
#[derive(Debug)]
pub(crate) struct Fragment {
    /// Ends first.
    read: Span,
    /// `exec.fragment`; on behalf of another node the span of the call is that.
    _exec: Span,
    rows: AtomicU64,
    blocks: AtomicU64,
    cached: AtomicU64,
    bytes: AtomicU64,
    scanned: Option<Arc<Scanned>>,
}

impl Fragment {
    /// Of a query of this node.
    pub(crate) fn own(partitions: &[PartitionId], scanned: &Arc<Scanned>) -> Arc<Self> {
        if partitions.is_empty() {
            return Self::new(Span::default(), Span::default(), Some(Arc::clone(scanned)));
        }
        let mut exec = trace::span("exec.fragment");
        if exec.is_wanted() {
            let shards: Vec<String> = partitions.iter().map(ToString::to_string).collect();
            exec.set("shards", shards.join(","));
        }
        let read = exec.in_scope(|| trace::span("tsm.read"));
        Self::new(exec, read, Some(Arc::clone(scanned)))
    }

    /// For another node.
    pub(crate) fn for_peer() -> Arc<Self> {
        Self::new(Span::default(), trace::span("tsm.read"), None)
    }

    fn new(exec: Span, read: Span, scanned: Option<Arc<Scanned>>) -> Arc<Self> {
        let [rows, blocks, cached, bytes] = std::array::from_fn(|_| AtomicU64::new(0));
        Arc::new(Self { read, _exec: exec, rows, blocks, cached, bytes, scanned })
    }

    /// Does a part of the reading on this thread.
    pub(crate) fn count<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = Tally::of_this_thread();
        let done = work();
        let Tally { blocks, cached, bytes } = Tally::of_this_thread().since(before);
        if blocks > 0 {
            self.blocks.fetch_add(blocks, Ordering::Relaxed);
            self.cached.fetch_add(cached, Ordering::Relaxed);
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            if let Some(scanned) = &self.scanned {
                scanned.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
        }
        done
    }

    fn count_rows(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        if let Some(scanned) = &self.scanned {
            scanned.rows.fetch_add(rows as u64, Ordering::Relaxed);
        }
    }

    /// A scan that is counted.
    pub(crate) fn scan(self: &Arc<Self>, scan: ScanStream) -> ScanStream {
        Box::new(Counted { scan, fragment: Arc::clone(self) })
    }
}

impl Drop for Fragment {
    fn drop(&mut self) {
        let Self { read, rows, blocks, cached, bytes, .. } = self;
        read.set("rows", *rows.get_mut());
        read.set("blocks", *blocks.get_mut());
        read.set("cache.hits", *cached.get_mut());
        read.set("bytes", *bytes.get_mut());
    }
}

struct Counted {
    scan: ScanStream,
    fragment: Arc<Fragment>,
}

impl Iterator for Counted {
    type Item = Result<SeriesBlock, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { scan, fragment } = self;
        let block = fragment.count(|| scan.next());
        if let Some(Ok(block)) = &block {
            fragment.count_rows(block.times.len());
        }
        block
    }
}
