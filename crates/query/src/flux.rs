//! Flux over [`ScanSource`] and the catalog: which buckets a script sees, and from when their points have not
//! expired. The language itself is the crate `flux`.

use std::sync::Arc;

use flux::{BucketInfo, BucketRef, Environment, FluxError, Source, SourceError};
use memory::Account;
use model::{
    BucketId, Clock, Frame, Groups, OrgId, ScanRequest, SchemaRequest, SummaryRequest, TimeRange, Timestamp,
};

use crate::error::{Error, Stopped};
use crate::limits::{Budget, Limits};
use crate::source::{ScanError, ScanSource};
use crate::view::CatalogView;

/// What a script runs in.
pub struct FluxContext<'a> {
    /// Names.
    pub catalog: &'a dyn CatalogView,
    /// Data.
    pub source: &'a dyn ScanSource,
    /// The organization.
    pub org: OrgId,
    /// What the script's `now()` is, which a client may fix.
    pub now: Timestamp,
    /// Decides what has expired, and measures the query's own time.
    pub clock: &'a dyn Clock,
    /// Which buckets may be read; `None` is all of the organization.
    pub readable: Option<&'a [BucketId]>,
    /// Limits of the query.
    pub limits: Limits,
    /// The memory of all queries.
    pub memory: &'a Arc<Account>,
    /// Asked often whether to stop.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl std::fmt::Debug for FluxContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FluxContext")
            .field("org", &self.org)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Runs a script; tables go to `sink` with the name of their result and their number in it.
pub fn run_flux(
    script: &str,
    context: &FluxContext<'_>,
    sink: &mut dyn FnMut(&str, i64, Frame) -> Result<(), Stopped>,
) -> Result<(), Error> {
    let budget = Budget::new(context.limits, context.memory, context.clock, context.cancelled);
    let view = Buckets { context, budget: &budget, expiry_now: context.clock.now() };
    let cancel = || budget.check().is_err();
    let environment = Environment {
        now: context.now,
        limits: flux::Limits {
            steps_max: context.limits.points_max.saturating_mul(4),
            memory_bytes_max: context.limits.memory_bytes_max as u64,
            rows_max: context.limits.points_max,
        },
        memory: context.memory,
        cancel: &cancel,
    };
    let mut answered = Ok(());
    let result = flux::run(script, &environment, &view, &mut |name, number, frame| {
        answered = budget.answer_rows(frame.rows);
        if answered.is_err() {
            return Err(flux::Stopped);
        }
        sink(name, number, frame).map_err(|Stopped| {
            answered = Err(Error::Stopped);
            flux::Stopped
        })
    });
    match result {
        Ok(()) => Ok(()),
        // The script only knows that it was stopped; why is known here.
        Err(FluxError::Cancelled) => {
            Err(answered.and_then(|()| budget.check()).err().unwrap_or(Error::Cancelled))
        }
        Err(error) => Err(Error::Flux(error)),
    }
}

/// The buckets that the caller may read.
struct Buckets<'a> {
    context: &'a FluxContext<'a>,
    budget: &'a Budget<'a>,
    expiry_now: Timestamp,
}

impl Buckets<'_> {
    fn readable(&self, id: BucketId) -> bool {
        self.context.readable.is_none_or(|list| list.contains(&id))
    }

    /// The part of a range whose points have not expired.
    fn alive(&self, bucket: BucketId, range: TimeRange) -> TimeRange {
        let retention = self.context.catalog.get(|state| state.bucket(bucket).and_then(|b| b.retention_ns));
        let oldest = retention.map_or(i64::MIN, |ns| self.expiry_now.0.saturating_sub(ns));
        TimeRange::new(range.start.max(Timestamp(oldest)), range.end)
    }
}

fn failed(error: ScanError) -> SourceError {
    match error {
        ScanError::Cancelled => SourceError::Cancelled,
        ScanError::Memory(full) => SourceError::Memory(full),
        out_of_reach if out_of_reach.is_passing() => SourceError::Unavailable(Box::new(out_of_reach)),
        other => SourceError::Failed(Box::new(other)),
    }
}

impl Source for Buckets<'_> {
    fn bucket(&self, bucket: &BucketRef) -> Result<Option<BucketId>, SourceError> {
        let org = self.context.org;
        let found = self.context.catalog.find(|state| match bucket {
            BucketRef::Name(name) => state.bucket_by_name(org, name).map(|b| b.id),
            BucketRef::Id(id) => state.bucket(*id).filter(|b| b.org == org).map(|b| b.id),
        });
        Ok(found.map_err(failed)?.filter(|id| self.readable(*id)))
    }

    fn buckets(&self) -> Result<Vec<BucketInfo>, SourceError> {
        Ok(self.context.catalog.get(|state| {
            let readable = state.buckets_of(self.context.org).filter(|b| self.readable(b.id));
            readable
                .map(|b| BucketInfo {
                    id: b.id,
                    name: b.name.clone(),
                    org: b.org,
                    retention_ns: b.retention_ns.unwrap_or(0),
                })
                .collect()
        }))
    }

    fn scan(&self, request: &ScanRequest) -> Result<flux::Blocks<'_>, SourceError> {
        let request = ScanRequest { range: self.alive(request.bucket, request.range), ..request.clone() };
        if request.range.is_empty() {
            return Ok(Box::new(std::iter::empty()));
        }
        let blocks = self.context.source.scan(&request).map_err(failed)?;
        Ok(Box::new(blocks.map(|block| {
            let block = block.map_err(failed)?;
            let counted = self.budget.check().and_then(|()| self.budget.read_points(block.times.len()));
            counted.map_err(|error| match error {
                Error::Cancelled => SourceError::Cancelled,
                other => SourceError::Failed(Box::new(other)),
            })?;
            Ok(block)
        })))
    }

    fn summarize(&self, request: &SummaryRequest) -> Result<Groups, SourceError> {
        let range = self.alive(request.scan.bucket, request.scan.range);
        let cells_max = request.cells_max.min(self.budget.windows_left(model::summary::CELL_BYTES));
        let rows_max = self.budget.points_left();
        let scan = ScanRequest { range, ..request.scan.clone() };
        let request = SummaryRequest { scan, cells_max, rows_max, ..request.clone() };
        if range.is_empty() {
            return Ok(Groups::new(&request));
        }
        let counted = match self.context.source.summarize(&request, &self.budget.stop()) {
            Ok(groups) => {
                let rows = usize::try_from(groups.rows()).unwrap_or(usize::MAX);
                self.budget.read_points(rows).map(|()| groups)
            }
            Err(ScanError::TooLarge(refused)) => Err(self.budget.too_large(refused)),
            Err(error) => return Err(failed(error)),
        };
        counted.map_err(|error| SourceError::Failed(Box::new(error)))
    }

    fn schema(&self, request: &SchemaRequest) -> Result<Vec<String>, SourceError> {
        let request = SchemaRequest { range: self.alive(request.bucket, request.range), ..request.clone() };
        self.context.source.schema(&request).map_err(failed)
    }
}

#[cfg(test)]
mod tests;
