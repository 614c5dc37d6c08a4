//! Joins that can be ended. A join makes many rows of few: it may hand out batches for minutes without ever waiting for its
//! inputs, or look at all pairs of rows and hand out none. So that a query ends when it must, every join gives way to
//! others after some batches, and its condition fails once the query is over.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;

use super::reader::Reader;

/// A plan whose joins end when `reader` is stopped.
pub(super) fn interruptible(
    plan: Arc<dyn ExecutionPlan>,
    reader: &Arc<Reader>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let done = plan.transform_up(|plan| {
        let watched: Arc<dyn ExecutionPlan> = if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
            let [left, right] = [join.left(), join.right()].map(Arc::clone);
            let filter = join.filter().map(|filter| watched(filter, reader));
            let projection = join.projection().as_ref().map(|columns| columns.to_vec());
            Arc::new(NestedLoopJoinExec::try_new(left, right, filter, join.join_type(), projection)?)
        } else if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
            let filter = join.filter().map(|filter| watched(filter, reader));
            join.builder().with_filter(filter).build_exec()?
        } else if plan.is::<CrossJoinExec>()
            || plan.is::<SortMergeJoinExec>()
            || plan.is::<RecursiveQueryExec>()
        {
            plan
        } else {
            return Ok(Transformed::no(plan));
        };
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(watched)) as _))
    });
    Ok(done?.data)
}

fn watched(filter: &JoinFilter, reader: &Arc<Reader>) -> JoinFilter {
    let expression = Watched { inner: Arc::clone(filter.expression()), reader: Arc::clone(reader) };
    JoinFilter::new(Arc::new(expression), filter.column_indices().to_vec(), Arc::clone(filter.schema()))
}

/// An expression that fails once the query is over.
#[derive(Debug, Clone)]
struct Watched {
    inner: Arc<dyn PhysicalExpr>,
    reader: Arc<Reader>,
}

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.reader, &other.reader) && self.inner.eq(&other.inner)
    }
}

impl Eq for Watched {}

impl Hash for Watched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Watched {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.reader.is_stopped() {
            return exec_err!("the query is over");
        }
        self.inner.evaluate(batch)
    }

    fn return_field(&self, input_schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(input_schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.is_empty()) {
            (Some(inner), true) => Ok(Arc::new(Self { inner, reader: Arc::clone(&self.reader) })),
            _ => internal_err!("a watched expression has one child"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
