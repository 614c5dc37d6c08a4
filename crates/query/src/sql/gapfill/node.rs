//! The node of a logical plan that fills gaps, and its way into an operator.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::Field;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, Result, internal_err};
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::exec::GapFillExec;
use super::fill::Fill;

/// What to fill.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
pub(in super::super) struct Gaps {
    /// The column of the windows' starts.
    pub(super) time: usize,
    /// The columns that make a group, without the time.
    pub(super) groups: Vec<usize>,
    /// Nanoseconds from window to window.
    pub(super) every: i64,
    /// The first and the last window of all groups; without a first, a group starts with its first row.
    pub(super) first: Option<i64>,
    pub(super) last: i64,
    /// Counts: where there is nothing they are 0.
    pub(super) counts: Vec<usize>,
    /// Columns that are appended: filled from these.
    pub(super) filled: Vec<(usize, Fill)>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct GapFill {
    pub(super) gaps: Gaps,
    pub(super) input: LogicalPlan,
    schema: DFSchemaRef,
}

impl Hash for GapFill {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.gaps.hash(state);
        self.input.hash(state);
    }
}

impl PartialOrd for GapFill {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.gaps.partial_cmp(&other.gaps) {
            Some(Ordering::Equal) => self.input.partial_cmp(&other.input),
            order => order,
        }
    }
}

impl GapFill {
    pub(super) fn new(gaps: Gaps, input: LogicalPlan) -> Result<Self> {
        let inner = input.schema();
        let mut fields: Vec<_> = inner
            .iter()
            .enumerate()
            .map(|(i, (qualifier, field))| {
                let kept = i == gaps.time || gaps.groups.contains(&i) || gaps.counts.contains(&i);
                let nullable = field.is_nullable() || !kept;
                (qualifier.cloned(), Arc::new(field.as_ref().clone().with_nullable(nullable)))
            })
            .collect();
        for (column, fill) in &gaps.filled {
            let field = inner.field(*column);
            let name = filled_name(*fill, field.name());
            fields.push((None, Arc::new(Field::new(name, field.data_type().clone(), true))));
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, inner.metadata().clone())?);
        Ok(Self { gaps, input, schema })
    }
}

/// The name of a column that is filled from another.
pub(super) fn filled_name(fill: Fill, column: &str) -> String {
    format!("{}({column})", fill.name())
}

impl UserDefinedLogicalNodeCore for GapFill {
    fn name(&self) -> &'static str {
        "GapFill"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gaps { every, first, last, filled, .. } = &self.gaps;
        write!(f, "GapFill: every={every}ns, first={first:?}, last={last}")?;
        for (column, fill) in filled {
            write!(f, ", {}(#{column})", fill.name())?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match inputs.pop() {
            Some(input) if inputs.is_empty() => Self::new(self.gaps.clone(), input),
            _ => internal_err!("gaps are filled in one input"),
        }
    }
}

/// Plans as DataFusion does, and knows this node.
#[derive(Debug)]
pub(in super::super) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        logical_plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(GapFillPlanner)]);
        planner.create_physical_plan(logical_plan, session).await
    }
}

struct GapFillPlanner;

#[async_trait]
impl ExtensionPlanner for GapFillPlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _session: &dyn Session,
        _context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<GapFill>() else { return Ok(None) };
        let [input] = inputs else { return internal_err!("gaps are filled in one input") };
        let schema = Arc::clone(node.schema.inner());
        Ok(Some(Arc::new(GapFillExec::new(node.gaps.clone(), Arc::clone(input), schema)?)))
    }
}
