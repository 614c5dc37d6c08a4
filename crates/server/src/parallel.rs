//! Summaries of several partitions on several threads.
//!
//! The groups of the partitions are merged in order of the partitions, whichever is done first, so that equal queries
//! have equal answers to the last bit.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use memory::{Account, Allowance};
use model::{Groups, SummaryRequest};
use parking_lot::Mutex;
use query::source::ScanError;
use storage::{Summarize, SummarizeError};

/// Series below which other threads cost more than they help.
const SERIES_ALONE_MAX: u64 = 16;
/// Most threads of one summary.
const THREADS_MAX: usize = 16;

/// Computes the summaries of the partitions that have series, and merges them.
pub(crate) fn summarize(
    request: &SummaryRequest,
    parts: Vec<Summarize<'_>>,
    memory: &Arc<Account>,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Groups, ScanError> {
    let series: u64 = parts.iter().map(Summarize::series).sum();
    let mut groups = Groups::new(request);
    let mut held = Allowance::new(memory);
    let mut merge = |part: Groups, part_held: Allowance| -> Result<(), ScanError> {
        groups.merge(part)?;
        drop(part_held);
        Ok(held.hold(groups.bytes())?)
    };
    let threads = threads().min(parts.len());
    if threads <= 1 || series <= SERIES_ALONE_MAX {
        for part in parts {
            let mut held = Allowance::new(memory);
            merge(part.run(&mut held, &stop).map_err(error)?, held)?;
        }
        return Ok(groups);
    }
    let count = parts.len();
    let waiting = Mutex::new(parts.into_iter().enumerate());
    let failed = AtomicBool::new(false);
    let stop = || failed.load(Ordering::Relaxed) || stop();
    let done: Vec<OnceLock<Result<(Groups, Allowance), SummarizeError>>> =
        (0..count).map(|_| OnceLock::new()).collect();
    let work = || {
        loop {
            // The lock is gone before the work begins.
            let next = waiting.lock().next();
            let Some((at, part)) = next else { return };
            let mut held = Allowance::new(memory);
            let result = part.run(&mut held, &stop).map(|groups| (groups, held));
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
    for result in done.into_iter().filter_map(OnceLock::into_inner) {
        match result {
            Ok(part) => results.push(part),
            Err(SummarizeError::Stopped) => stopped = true,
            Err(other) => return Err(error(other)),
        }
    }
    if stopped {
        return Err(ScanError::Cancelled);
    }
    for (part, held) in results {
        merge(part, held)?;
    }
    Ok(groups)
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
