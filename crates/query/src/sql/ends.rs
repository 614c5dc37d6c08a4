//! The newest or oldest rows: `ORDER BY time [DESC] LIMIT n` needs of each series no more than its outermost `n` rows,
//! which a scan finds without reading the others.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::config::ConfigOptions;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use model::Ends;

use super::scan::ScanExec;
use super::table::Origin;

/// Most rows of each series that are worth reading from the end.
const ROWS_MAX: usize = 8192;

/// See the module.
#[derive(Debug)]
pub(super) struct ReadEnds;

impl PhysicalOptimizerRule for ReadEnds {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let done = plan.transform_up(|plan| {
            let found = plan.downcast_ref::<SortExec>().and_then(|sort| {
                let rows = sort.fetch().filter(|rows| *rows <= ROWS_MAX)?;
                let first = sort.expr().first();
                let ends = Ends { rows, newest: first.options.descending };
                let shortened = shortened(sort.input(), &first.expr, ends)?;
                Some(shortened)
            });
            match found {
                Some(input) => Ok(Transformed::yes(with_input(plan, input?)?)),
                None => Ok(Transformed::no(plan)),
            }
        });
        Ok(done?.data)
    }

    fn name(&self) -> &'static str {
        "read_ends"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn with_input(plan: Arc<dyn ExecutionPlan>, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.replace_children(vec![input], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

/// A plan that reads only the ends of each series, when all that is between it and its scan are columns as they are, and
/// `by` is the time.
fn shortened(
    plan: &Arc<dyn ExecutionPlan>,
    by: &Arc<dyn PhysicalExpr>,
    ends: Ends,
) -> Option<Result<Arc<dyn ExecutionPlan>>> {
    let column = by.downcast_ref::<Column>()?;
    if let Some(scan) = plan.downcast_ref::<ScanExec>() {
        let is_time = matches!(scan.origin(column.index()), Some(Origin::Time));
        return (is_time && scan.is_whole()).then(|| Ok(Arc::new(scan.with_ends(ends)) as _));
    }
    let projection = plan.downcast_ref::<ProjectionExec>()?;
    let below = Arc::clone(&projection.expr().get(column.index())?.expr);
    let input = shortened(projection.input(), &below, ends)?;
    Some(input.and_then(|input| with_input(Arc::clone(plan), input)))
}
