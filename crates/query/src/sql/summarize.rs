//! Aggregates that the nodes compute where the data is, from the statistics of pages where these tell enough: count, sum,
//! min, max, avg, variances and the selectors of fields, by tags and by windows of time, under conditions that a scan can do.
//!
//! ```text
//!  Aggregate: groupBy=[host, date_bin(1h, time)], aggr=[max(u)]      Projection: names as they were
//!    TableScan: cpu, full_filters=[..]                          ->     TableScan: summary of cpu
//! ```
//! A group is there for the sake of any row, as in SQL: where a query names some fields of several, the windows in which
//! there is a value of any other are asked for too.

mod exec;
mod spec;

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::default_table_source::{provider_as_source, source_as_provider};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, TableReference, internal_err};
use datafusion::logical_expr::{
    Aggregate, Expr, LogicalPlan, Projection, TableScan, TableScanBuilder, TableType,
};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::Column;

use super::table::Measurement;
use exec::SummaryExec;
use spec::Spec;

/// The qualifier of a summary's columns within its plan.
const NAME: &str = "__summary";

/// See the module.
#[derive(Debug)]
pub(super) struct Summarize;

impl OptimizerRule for Summarize {
    fn name(&self) -> &'static str {
        "summarize"
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        plan.transform_down_with_subqueries(|plan| {
            let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
            match summarized(aggregate)? {
                Some(summary) => Ok(Transformed::yes(summary)),
                None => Ok(Transformed::no(plan)),
            }
        })
    }
}

/// The scan of a measurement that an aggregate is over, if nothing but other names is between them.
fn scan_of(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::TableScan(scan) if scan.fetch.is_none() => Some(scan),
        LogicalPlan::SubqueryAlias(alias) => scan_of(&alias.input),
        _ => None,
    }
}

fn summarized(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let Some(scan) = scan_of(&aggregate.input) else { return Ok(None) };
    let Ok(provider) = source_as_provider(&scan.source) else { return Ok(None) };
    let provider: &dyn Any = provider.as_ref();
    let Some(table) = provider.downcast_ref::<Measurement>() else { return Ok(None) };
    let Some(spec) = Spec::of(aggregate, table, &scan.filters) else { return Ok(None) };
    let named = |(i, (_, field)): (usize, (_, &Arc<Field>))| field.as_ref().clone().with_name(column_name(i));
    let columns: Vec<Field> = aggregate.schema.iter().enumerate().map(named).collect();
    let schema = Arc::new(Schema::new(columns));
    let summary = Arc::new(Summary { spec, schema });
    let source = provider_as_source(summary);
    let scan = TableScanBuilder::new(TableReference::bare(NAME), source).build()?;
    let columns = aggregate.schema.iter().enumerate().map(|(i, (qualifier, field))| {
        let column = Expr::Column(Column::new(Some(NAME), column_name(i)));
        column.alias_qualified(qualifier.cloned(), field.name())
    });
    let columns: Vec<Expr> = columns.collect();
    let input = Arc::new(LogicalPlan::TableScan(scan));
    let schema = Arc::clone(&aggregate.schema);
    Ok(Some(LogicalPlan::Projection(Projection::try_new_with_schema(columns, input, schema)?)))
}

fn column_name(i: usize) -> String {
    format!("c{i}")
}

/// What a summary answers, as a table.
#[derive(Debug)]
struct Summary {
    spec: Spec,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for Summary {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !filters.is_empty() {
            return internal_err!("a summary was made under its conditions");
        }
        let schema = Arc::clone(&self.schema);
        Ok(Arc::new(SummaryExec::new(self.spec.clone(), schema, projection.cloned())?))
    }
}
