//! Summaries of several partitions on several threads, each for itself: who asks merges them in order of the partitions,
//! whichever is done first, so that equal queries have equal answers to the last bit.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use memory::{Account, Allowance};
use model::{Groups, PartitionId};
use parking_lot::Mutex;
use query::source::ScanError;
use storage::{Summarize, SummarizeError};

use crate::fragment::Fragment;

/// Series below which other threads cost more than they help.
const SERIES_ALONE_MAX: u64 = 16;
/// Most threads of one summary.
const THREADS_MAX: usize = 16;

/// The groups of a partition, and the memory for them.
pub(crate) type Part = (Groups, Allowance);

/// Computes the summaries of partitions, and answers them in their order.
pub(crate) fn summarize(
    parts: Vec<(PartitionId, Summarize<'_>)>,
    memory: &Arc<Account>,
    fragment: &Fragment,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<(PartitionId, Part)>, ScanError> {
    let series: u64 = parts.iter().map(|(_, part)| part.series()).sum();
    let threads = threads().min(parts.len());
    if threads <= 1 || series <= SERIES_ALONE_MAX {
        let run = |(partition, part): (PartitionId, Summarize<'_>)| {
            let mut held = Allowance::new(memory);
            let groups = fragment.count(|| part.run(&mut held, &stop)).map_err(error)?;
            Ok((partition, (groups, held)))
        };
        return parts.into_iter().map(run).collect();
    }
    let partitions: Vec<PartitionId> = parts.iter().map(|(partition, _)| *partition).collect();
    let waiting = Mutex::new(parts.into_iter().enumerate());
    let failed = AtomicBool::new(false);
    let stop = || failed.load(Ordering::Relaxed) || stop();
    let done: Vec<OnceLock<Result<Part, SummarizeError>>> =
        partitions.iter().map(|_| OnceLock::new()).collect();
    let work = || {
        loop {
            // The lock is gone before the work begins.
            let next = waiting.lock().next();
            let Some((at, (_, part))) = next else { return };
            let mut held = Allowance::new(memory);
            let result = fragment.count(|| part.run(&mut held, &stop)).map(|groups| (groups, held));
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            done[at].get_or_init(|| result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    // A partition that was stopped because another failed is not the reason.
    let mut stopped = false;
    let mut results = Vec::with_capacity(done.len());
    for (partition, result) in partitions.into_iter().zip(done.into_iter().filter_map(OnceLock::into_inner)) {
        match result {
            Ok(part) => results.push((partition, part)),
            Err(SummarizeError::Stopped) => stopped = true,
            Err(other) => return Err(error(other)),
        }
    }
    if stopped { Err(ScanError::Cancelled) } else { Ok(results) }
}

/// Asked once: the answer takes a dozen system calls, as much as a small query does.
fn threads() -> usize {
    static THREADS: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX));
    *THREADS
}

fn error(error: SummarizeError) -> ScanError {
    match error {
        SummarizeError::Read(error) => ScanError::Storage(Box::new(error)),
        SummarizeError::TooLarge(refused) => ScanError::TooLarge(refused),
        SummarizeError::Memory(full) => ScanError::Memory(full),
        SummarizeError::Stopped => ScanError::Cancelled,
    }
}
