//! The operator that asks for a summary and writes its cells down as rows.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StructArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use model::summary::{Point, Sums, Windows};
use model::{
    Cells, Column, ColumnType, FieldSelection, FieldType, GroupSummary, Grouping, SummaryRequest, Wanted,
};

use super::super::{columns, selectors};
use super::spec::{Key, Result as Wished, Spec, What};
use crate::explain;
use crate::sql::selectors::Rule;

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// See the module.
#[derive(Debug)]
pub(super) struct SummaryExec {
    spec: Spec,
    /// All columns.
    whole: SchemaRef,
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SummaryExec {
    pub(super) fn new(spec: Spec, whole: SchemaRef, projection: Option<Vec<usize>>) -> Result<Self> {
        let schema = match &projection {
            Some(columns) => Arc::new(whole.project(columns)?),
            None => Arc::clone(&whole),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let properties = Arc::new(properties.with_scheduling_type(SchedulingType::Cooperative));
        Ok(Self { spec, whole, projection, properties, metrics: ExecutionPlanMetricsSet::new() })
    }
}

impl DisplayAs for SummaryExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spec { measurement, scan, windows, grouping, results, .. } = &self.spec;
        write!(f, "SummaryExec: measurement={measurement}, ")?;
        explain::range(f, scan.range)?;
        explain::predicate(f, &scan.predicate)?;
        if let Grouping::Tags(tags) = grouping {
            write!(f, ", tags=[{}]", tags.join(", "))?;
        }
        if let Windows::Every { every, offset } = windows {
            write!(f, ", every={every}ns, offset={offset}ns")?;
        }
        let result = |wished: &Wished| format!("{:?}({})", wished.what, wished.field);
        write!(f, ", results=[{}]", results.iter().map(result).collect::<Vec<_>>().join(", "))
    }
}

impl ExecutionPlan for SummaryExec {
    fn name(&self) -> &'static str {
        "SummaryExec"
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
        if children.is_empty() { Ok(self) } else { internal_err!("a summary has no inputs") }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema(), 1);
        let sender = stream.tx();
        let rows_metric = MetricBuilder::new(&self.metrics).output_rows(partition);
        let read_metric = MetricBuilder::new(&self.metrics).counter("rows_summarized", partition);
        let held = MemoryConsumer::new("SummaryExec").register(context.memory_pool());
        let (spec, whole, projection) = (self.spec.clone(), Arc::clone(&self.whole), self.projection.clone());
        stream.spawn_blocking(move || {
            let through = |error| spec.reader.through(error);
            let groups = spec.reader.summarize(&spec.request()).map_err(through)?;
            held.try_grow(groups.bytes())?;
            read_metric.add(usize::try_from(groups.rows()).unwrap_or(usize::MAX));
            let mut rows = Rows::default();
            groups.finish().into_iter().for_each(|group| rows.add(group));
            if let Some(others) = spec.others() {
                let groups = spec.reader.summarize(&others).map_err(through)?;
                held.try_grow(groups.bytes())?;
                groups.finish().into_iter().for_each(|group| rows.add_windows(&group));
            }
            let rows = rows.list(&spec);
            for rows in rows.chunks(BATCH_ROWS) {
                let mut batch = spec.batch(rows, &whole)?;
                if let Some(columns) = &projection {
                    batch = batch.project(columns)?;
                }
                rows_metric.add(batch.num_rows());
                if sender.blocking_send(Ok(batch)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        Ok(stream.build())
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

impl Spec {
    fn request(&self) -> SummaryRequest {
        SummaryRequest {
            scan: self.scan.clone(),
            windows: self.windows.clone(),
            wanted: self.wanted,
            grouping: self.grouping.clone(),
            cells_max: self.reader.cells_max(),
            rows_max: u64::MAX,
        }
    }

    /// Asks where the other fields have values, if there are others.
    fn others(&self) -> Option<SummaryRequest> {
        let mut request = self.request();
        request.wanted = Wanted::default();
        request.scan.fields = FieldSelection::Names(self.others.clone());
        (!self.others.is_empty()).then_some(request)
    }
}

/// The groups, and the windows in which they have rows.
#[derive(Default)]
struct Rows {
    places: HashMap<Vec<String>, usize>,
    groups: Vec<Group>,
}

struct Group {
    tags: Vec<String>,
    /// The cells of each field, by name.
    fields: Vec<(Arc<str>, Cells)>,
    windows: BTreeSet<i64>,
}

/// One row: a group, and its window.
#[derive(Clone, Copy)]
struct Row<'a> {
    group: Option<&'a Group>,
    start: i64,
}

impl<'a> Row<'a> {
    /// The value of a tag of its group, if it has the tag.
    fn tag(&self, place: usize) -> Option<&'a str> {
        let value = self.group?.tags.get(place)?;
        (!value.is_empty()).then_some(value)
    }
}

impl Rows {
    fn group(&mut self, tags: &[String]) -> &mut Group {
        let place = *self.places.entry(tags.to_vec()).or_insert_with(|| {
            self.groups.push(Group { tags: tags.to_vec(), fields: Vec::new(), windows: BTreeSet::new() });
            self.groups.len() - 1
        });
        &mut self.groups[place]
    }

    fn add(&mut self, summary: GroupSummary) {
        self.add_windows(&summary);
        let group = self.group(&summary.tags);
        group.fields.extend(summary.fields.into_iter().map(|field| (field.name, field.cells)));
    }

    fn add_windows(&mut self, summary: &GroupSummary) {
        let group = self.group(&summary.tags);
        for field in &summary.fields {
            group.windows.extend(field.cells.starts.iter().copied());
        }
    }

    /// All rows. What is grouped by nothing has one, whatever there is.
    fn list(&self, spec: &Spec) -> Vec<Row<'_>> {
        if spec.keys.is_empty() {
            let group = self.groups.first();
            return vec![Row { group, start: 0 }];
        }
        let rows = self.groups.iter().flat_map(|group| {
            group.windows.iter().map(move |start| Row { group: Some(group), start: *start })
        });
        rows.collect()
    }
}

impl Spec {
    fn batch(&self, rows: &[Row<'_>], schema: &SchemaRef) -> Result<RecordBatch> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.keys.len() + self.results.len());
        for (key, field) in self.keys.iter().zip(schema.fields()) {
            arrays.push(match key {
                Key::Tag(place) => columns::tags(rows.iter().map(|row| (1, row.tag(*place))))?,
                Key::Window => {
                    let zone = match field.data_type() {
                        DataType::Timestamp(_, zone) => zone.clone(),
                        _ => None,
                    };
                    let starts = TimestampNanosecondArray::from_iter_values(rows.iter().map(|row| row.start));
                    Arc::new(starts.with_timezone_opt(zone))
                }
            });
        }
        for (wished, field) in self.results.iter().zip(schema.fields().iter().skip(self.keys.len())) {
            let cells: Vec<Option<(&Cells, usize)>> = rows.iter().map(|row| cell(wished, row)).collect();
            arrays.push(array(wished, &cells, field.data_type())?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
    }
}

/// The cell of a row's window in a field.
fn cell<'a>(wished: &Wished, row: &Row<'a>) -> Option<(&'a Cells, usize)> {
    let wanted = ColumnType::Field(wished.field_type);
    let is_this = |(name, cells): &&(Arc<str>, Cells)| *name == wished.field && cells.column_type() == wanted;
    let (_, cells) = row.group?.fields.iter().find(is_this)?;
    let at = cells.starts.binary_search(&row.start).ok()?;
    Some((cells, at))
}

/// A value or two of each cell as an array.
fn array(wished: &Wished, cells: &[Option<(&Cells, usize)>], data_type: &DataType) -> Result<ArrayRef> {
    let points = |of: fn(&Cells) -> &Vec<Point>| -> Vec<Option<&Point>> {
        cells.iter().map(|cell| cell.and_then(|(cells, at)| of(cells).get(at))).collect()
    };
    Ok(match wished.what {
        What::Count => {
            let count =
                |cell: &Option<(&Cells, usize)>| cell.map_or(0, |(cells, at)| cells.counts[at].cast_signed());
            Arc::new(Int64Array::from_iter_values(cells.iter().map(count)))
        }
        What::Sum => sums(wished.field_type, cells),
        What::Mean => floats(cells, Cells::mean),
        What::Variance { of_all } => floats(cells, |cells, at| cells.variance(at, of_all)),
        What::Deviation { of_all } => floats(cells, |cells, at| cells.variance(at, of_all).map(f64::sqrt)),
        What::Min => values(wished.field_type, &points(|cells| &cells.min))?,
        What::Max => values(wished.field_type, &points(|cells| &cells.max))?,
        What::Selected(rule) => {
            let points = points(match rule {
                Rule::First => |cells| &cells.first,
                Rule::Last => |cells| &cells.last,
                Rule::Min => |cells| &cells.min,
                Rule::Max => |cells| &cells.max,
            });
            let times: TimestampNanosecondArray = points.iter().map(|point| point.map(|p| p.time)).collect();
            let values = values(wished.field_type, &points)?;
            let fields = match data_type {
                DataType::Struct(fields) => fields.clone(),
                _ => selectors::fields(values.data_type()),
            };
            Arc::new(StructArray::try_new(fields, vec![values, Arc::new(times)], None)?)
        }
    })
}

fn values(field_type: FieldType, points: &[Option<&Point>]) -> Result<ArrayRef> {
    let mut column = Column::empty(ColumnType::Field(field_type));
    for point in points {
        match point {
            Some(point) => column.push(&point.value),
            None => column.push_null(),
        }
    }
    Ok(columns::array(column)?)
}

/// Sums of integers wrap around, as those of DataFusion do.
#[expect(clippy::cast_possible_truncation, reason = "see above")]
fn sums(field_type: FieldType, cells: &[Option<(&Cells, usize)>]) -> ArrayRef {
    let each = cells.iter().map(|cell| cell.map(|(cells, at)| (&cells.sums, at)));
    match field_type {
        FieldType::Integer => Arc::new(
            each.map(|cell| match cell? {
                (Sums::Integer(sums), at) => sums.get(at).map(|sum| *sum as i64),
                _ => None,
            })
            .collect::<Int64Array>(),
        ),
        FieldType::Unsigned => Arc::new(
            each.map(|cell| match cell? {
                (Sums::Unsigned(sums), at) => sums.get(at).map(|sum| *sum as u64),
                _ => None,
            })
            .collect::<UInt64Array>(),
        ),
        FieldType::Float | FieldType::String | FieldType::Boolean => Arc::new(
            each.map(|cell| match cell? {
                (Sums::Float(sums), at) => sums.get(at).copied(),
                _ => None,
            })
            .collect::<Float64Array>(),
        ),
    }
}

fn floats(cells: &[Option<(&Cells, usize)>], of: impl Fn(&Cells, usize) -> Option<f64>) -> ArrayRef {
    Arc::new(cells.iter().map(|cell| cell.and_then(|(cells, at)| of(cells, at))).collect::<Float64Array>())
}
