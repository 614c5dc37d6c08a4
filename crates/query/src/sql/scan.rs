//! The scan as an operator: blocks come from a thread that may block and leave as record batches.
//!
//! A block of one series becomes a batch as it is. Short ones are gathered, so that a batch is worth the work that every
//! operator does for it.

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use model::{Column, ColumnType, Ends, FieldSelection, ScanRequest, SeriesBlock};

use super::columns;
use super::reader::Reader;
use super::table::Origin;
use crate::error::Error;

/// Rows that are gathered into one batch.
const BATCH_ROWS: usize = 8192;
/// Batches on their way between a scan and who takes them.
const BATCHES_WAITING: usize = 2;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct ScanExec {
    request: ScanRequest,
    /// What the columns of the schema are.
    origins: Vec<Origin>,
    limit: Option<usize>,
    /// The outermost rows of each series are enough.
    ends: Option<Ends>,
    reader: Arc<Reader>,
    measurement: String,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ScanExec {
    pub(super) fn new(
        request: ScanRequest,
        origins: Vec<Origin>,
        schema: SchemaRef,
        limit: Option<usize>,
        reader: Arc<Reader>,
        measurement: String,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        // Its stream waits at a channel that takes part in the scheduler's budget.
        let properties = Arc::new(properties.with_scheduling_type(SchedulingType::Cooperative));
        let metrics = ExecutionPlanMetricsSet::new();
        Self { request, origins, limit, ends: None, reader, measurement, properties, metrics }
    }

    /// The same, when only the outermost rows of each series are needed.
    pub(super) fn with_ends(&self, ends: Ends) -> Self {
        // Those rows alone are read, so that it does not matter of how many fields.
        let request = ScanRequest { fields: FieldSelection::All, ..self.request.clone() };
        Self { ends: Some(ends), request, ..self.clone() }
    }

    /// Whether all rows are read that satisfy the conditions.
    pub(super) const fn is_whole(&self) -> bool {
        self.limit.is_none() && self.ends.is_none()
    }

    /// What a column of the schema is.
    pub(super) fn origin(&self, column: usize) -> Option<&Origin> {
        self.origins.get(column)
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request, measurement, limit, ends, .. } = self;
        write!(f, "ScanExec: measurement={measurement}, ")?;
        crate::explain::range(f, request.range)?;
        crate::explain::predicate(f, &request.predicate)?;
        let names: Vec<&str> = self.schema_names();
        write!(f, ", columns=[{}]", names.join(", "))?;
        if let Some(limit) = limit {
            write!(f, ", limit={limit}")?;
        }
        if let Some(Ends { rows, newest }) = ends {
            write!(f, ", {}={rows} of each series", if *newest { "last" } else { "first" })?;
        }
        Ok(())
    }
}

impl ScanExec {
    fn schema_names(&self) -> Vec<&str> {
        self.properties.eq_properties.schema().fields().iter().map(|field| field.name().as_str()).collect()
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a scan has no inputs") }
    }

    fn execute(&self, partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema(), BATCHES_WAITING);
        let sender = stream.tx();
        let rows_metric = MetricBuilder::new(&self.metrics).output_rows(partition);
        let blocks_metric = MetricBuilder::new(&self.metrics).counter("blocks", partition);
        let bytes_metric = MetricBuilder::new(&self.metrics).counter("bytes_decoded", partition);
        let scan = self.clone();
        stream.spawn_blocking(move || {
            let through = |error| scan.reader.through(error);
            let mut left = scan.limit.unwrap_or(usize::MAX);
            let mut gathered = Vec::new();
            let mut rows = 0;
            let send = |gathered: &mut Vec<SeriesBlock>| -> Result<bool> {
                let batch = scan.batch(std::mem::take(gathered))?;
                rows_metric.add(batch.num_rows());
                // A closed channel is a query that needs no more.
                Ok(sender.blocking_send(Ok(batch)).is_ok())
            };
            if left == 0 || scan.request.range.is_empty() {
                return Ok(());
            }
            for block in scan.reader.scan(&scan.request, scan.ends).map_err(through)? {
                let mut block = block.map_err(|error| through(Error::Scan(error)))?;
                scan.reader.count(block.times.len()).map_err(through)?;
                blocks_metric.add(1);
                bytes_metric.add(bytes(&block));
                shorten(&mut block, left);
                left -= block.times.len();
                if rows > 0 && rows + block.times.len() > BATCH_ROWS {
                    rows = 0;
                    if !send(&mut gathered)? {
                        return Ok(());
                    }
                }
                rows += block.times.len();
                gathered.push(block);
                if left == 0 {
                    break;
                }
            }
            if !gathered.is_empty() {
                send(&mut gathered)?;
            }
            Ok(())
        });
        Ok(stream.build())
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

fn bytes(block: &SeriesBlock) -> usize {
    block.times.len() * 8 + block.fields.iter().map(|(_, column)| column.bytes()).sum::<usize>()
}

fn shorten(block: &mut SeriesBlock, rows: usize) {
    if block.times.len() > rows {
        block.times.truncate(rows);
        block.fields.iter_mut().for_each(|(_, column)| column.truncate(rows));
    }
}

impl ScanExec {
    /// The rows of some blocks.
    fn batch(&self, mut blocks: Vec<SeriesBlock>) -> Result<RecordBatch> {
        let lens: Vec<usize> = blocks.iter().map(|block| block.times.len()).collect();
        let rows = lens.iter().sum();
        let mut arrays = Vec::with_capacity(self.origins.len());
        for (origin, field) in self.origins.iter().zip(self.schema().fields()) {
            arrays.push(match origin {
                Origin::Time => columns::times(match blocks.as_mut_slice() {
                    [only] => std::mem::take(&mut only.times),
                    many => many.iter().flat_map(|block| block.times.iter().copied()).collect(),
                }),
                Origin::Tag(tag) => {
                    columns::tags(blocks.iter().zip(&lens).map(|(block, len)| (*len, block.key.tag(tag))))?
                }
                Origin::Field(name, field_type) => {
                    match field_column(&mut blocks, &lens, name, ColumnType::Field(*field_type)) {
                        Some(column) => columns::array(column)?,
                        None => columns::nulls(field.data_type(), rows),
                    }
                }
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema(), arrays, &options);
        batch.map_err(|error| DataFusionError::ArrowError(Box::new(error), None))
    }
}

/// A field's values in all rows of the blocks, taken out of a block that is alone; `None` when there are none.
fn field_column(
    blocks: &mut [SeriesBlock],
    lens: &[usize],
    name: &Arc<str>,
    column_type: ColumnType,
) -> Option<Column> {
    let is_this = |(other, column): &(Arc<str>, Column)| other == name && column.column_type() == column_type;
    if let [only] = blocks {
        let at = only.fields.iter().position(is_this)?;
        return Some(only.fields.swap_remove(at).1);
    }
    let mut gathered = Column::empty(column_type);
    for (block, len) in blocks.iter().zip(lens) {
        match block.fields.iter().find(|field| is_this(field)) {
            Some((_, column)) => gathered.extend_from(column, 0, *len),
            None => gathered.push_nulls(*len),
        }
    }
    Some(gathered)
}
