//! The operator that fills gaps. Its input comes sorted by group and time; it is held as a whole, and its memory is the
//! query's.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, Int64Array, RecordBatch, TimestampNanosecondArray, UInt64Array,
};
use arrow::compute::{concat_batches, partition, take};
use arrow::datatypes::{Int64Type, SchemaRef, TimestampNanosecondType};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexRequirement, OrderingRequirements, PhysicalExpr,
    PhysicalSortRequirement,
};
use datafusion::physical_plan::InputDistributionRequirements;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::node::Gaps;

/// Most rows that are made.
const ROWS_MAX: usize = 10_000_000;
/// Rows of a batch that leaves.
const BATCH_ROWS: usize = 8192;

/// See the module.
#[derive(Debug)]
pub(super) struct GapFillExec {
    gaps: Gaps,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl GapFillExec {
    pub(super) fn new(gaps: Gaps, input: Arc<dyn ExecutionPlan>, schema: SchemaRef) -> Result<Self> {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Ok(Self { gaps, input, properties: Arc::new(properties) })
    }
}

impl DisplayAs for GapFillExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gaps { every, first, last, .. } = &self.gaps;
        write!(f, "GapFillExec: every={every}ns, first={first:?}, last={last}")
    }
}

impl ExecutionPlan for GapFillExec {
    fn name(&self) -> &'static str {
        "GapFillExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let schema = self.input.schema();
        let by = self.gaps.groups.iter().chain([&self.gaps.time]).map(|column| {
            let name = schema.field(*column).name();
            PhysicalSortRequirement::new(Arc::new(Column::new(name, *column)), None)
        });
        vec![LexRequirement::new(by.collect::<Vec<_>>()).map(OrderingRequirements::new)]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) if children.is_empty() => {
                Ok(Arc::new(Self::new(self.gaps.clone(), input, self.schema())?))
            }
            _ => internal_err!("gaps are filled in one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut input = self.input.execute(partition, Arc::clone(&context))?;
        let held = MemoryConsumer::new("GapFillExec").register(context.memory_pool());
        let (gaps, schema, input_schema) = (self.gaps.clone(), self.schema(), self.input.schema());
        let filled = async move {
            let mut batches = Vec::new();
            while let Some(batch) = input.try_next().await? {
                held.try_grow(batch.get_array_memory_size())?;
                batches.push(batch);
            }
            let rows = concat_batches(&input_schema, &batches)?;
            drop(batches);
            let runs = gaps.runs(&rows)?;
            let more: usize = runs.iter().map(|run| run.windows.saturating_sub(run.rows.len())).sum();
            let width = rows.get_array_memory_size() / rows.num_rows().max(1);
            held.try_grow(width.saturating_mul(rows.num_rows().saturating_add(more)))?;
            let whole = gaps.filled(&rows, &runs, &schema)?;
            let pieces = (0..whole.num_rows()).step_by(BATCH_ROWS);
            let pieces: Vec<_> =
                pieces.map(|at| Ok(whole.slice(at, BATCH_ROWS.min(whole.num_rows() - at)))).collect();
            // Held until the last piece has left.
            Ok::<_, datafusion::common::DataFusionError>(stream::iter(pieces).map(move |piece| {
                let _held = &held;
                piece
            }))
        };
        let stream = stream::once(filled).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }
}

/// The rows of one group, and the windows that it is to have.
struct Run {
    rows: Range<usize>,
    first: i64,
    windows: usize,
}

impl Gaps {
    fn times<'a>(&self, rows: &'a RecordBatch) -> Result<&'a TimestampNanosecondArray> {
        match rows.column(self.time).as_primitive_opt::<TimestampNanosecondType>() {
            Some(times) => Ok(times),
            None => exec_err!("gaps are filled in times of nanoseconds"),
        }
    }

    fn runs(&self, rows: &RecordBatch) -> Result<Vec<Run>> {
        let times = self.times(rows)?;
        let by: Vec<ArrayRef> = self.groups.iter().map(|column| Arc::clone(rows.column(*column))).collect();
        let ranges = match (rows.num_rows(), by.is_empty()) {
            (0, _) => Vec::new(),
            (rows, true) => std::iter::once(0..rows).collect(),
            (_, false) => partition(&by)?.ranges(),
        };
        let mut total = 0_usize;
        let mut runs = Vec::with_capacity(ranges.len());
        for range in ranges {
            // NULL is no window; sorted, it comes first or last.
            let known = range.clone().filter(|row| times.is_valid(*row));
            let Some(first) = self.first.or_else(|| known.clone().map(|row| times.value(row)).min()) else {
                continue;
            };
            let last =
                known.clone().map(|row| times.value(row)).max().map_or(self.last, |l| l.max(self.last));
            let span = (i128::from(last) - i128::from(first)) / i128::from(self.every.max(1));
            let windows = usize::try_from(span.max(-1) + 1).unwrap_or(usize::MAX);
            total = total.saturating_add(windows);
            if total > ROWS_MAX {
                return exec_err!(
                    "more than {ROWS_MAX} windows (max-gapfill-windows): ask for fewer, or longer ones"
                );
            }
            runs.push(Run { rows: range, first, windows });
        }
        Ok(runs)
    }

    /// All windows of all groups.
    fn filled(&self, rows: &RecordBatch, runs: &[Run], schema: &SchemaRef) -> Result<RecordBatch> {
        let times = self.times(rows)?;
        // Where each row comes from; for columns of the group any row of it.
        let (mut from, mut of_group, mut at) = (Vec::new(), Vec::new(), Vec::new());
        let mut groups = Vec::with_capacity(runs.len());
        for run in runs {
            let begin = at.len();
            let mut next = run.rows.clone().filter(|row| times.is_valid(*row)).peekable();
            for window in 0..run.windows {
                let time = i64::try_from(window).ok().and_then(|n| n.checked_mul(self.every));
                let time = time.and_then(|past| run.first.checked_add(past));
                let Some(time) = time else { return exec_err!("a window beyond the end of time") };
                while next.next_if(|row| times.value(*row) < time).is_some() {}
                from.push(next.next_if(|row| times.value(*row) == time).map(|row| row as u64));
                of_group.push(run.rows.start as u64);
                at.push(time);
            }
            groups.push(begin..at.len());
        }
        let (from, of_group) = (UInt64Array::from(from), UInt64Array::from(of_group));
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for (i, column) in rows.columns().iter().enumerate() {
            columns.push(if i == self.time {
                let zone = times.timezone().map(str::to_owned);
                Arc::new(TimestampNanosecondArray::from(at.clone()).with_timezone_opt(zone))
            } else if self.groups.contains(&i) {
                take(column, &of_group, None)?
            } else if self.counts.contains(&i) {
                let counts = take(column, &from, None)?;
                let zero = |count: Option<i64>| count.unwrap_or(0);
                Arc::new(counts.as_primitive::<Int64Type>().iter().map(zero).collect::<Int64Array>())
            } else {
                take(column, &from, None)?
            });
        }
        for (column, fill) in &self.filled {
            let filled = fill.fill(&columns[*column], &groups)?;
            columns.push(filled);
        }
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }
}
