//! Finds aggregates that group by `date_bin_gapfill`, and puts the filling of gaps above them.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Aggregate, Expr, Extension, LogicalPlan, Projection};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::prelude::Column;
use model::TimeRange;

use super::super::predicate;
use super::GAPFILL;
use super::fill::Fill;
use super::node::{GapFill, Gaps, filled_name};

/// See the module. It runs after conditions have been pushed down and folded.
#[derive(Debug)]
pub(in super::super) struct HandleGapFill;

impl OptimizerRule for HandleGapFill {
    fn name(&self) -> &'static str {
        "handle_gap_fill"
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        rewritten(plan)
    }
}

fn rewritten(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    plan.transform_down_with_subqueries(|plan| match &plan {
        // What is filled already stays; below it there may be more.
        LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref::<GapFill>() {
            Some(GapFill { gaps, input: LogicalPlan::Aggregate(aggregate), .. }) => {
                let below = below(aggregate)?;
                let changed = below.transformed;
                let node = GapFill::new(gaps.clone(), LogicalPlan::Aggregate(below.data))?;
                let plan = LogicalPlan::Extension(Extension { node: Arc::new(node) });
                Ok(Transformed::new(plan, changed, TreeNodeRecursion::Jump))
            }
            _ => Ok(Transformed::no(plan)),
        },
        LogicalPlan::Projection(projection) => match projection.input.as_ref() {
            LogicalPlan::Aggregate(aggregate) if bin(aggregate)?.is_some() => {
                let (exprs, filled) = taken_out(projection, aggregate)?;
                let input = Arc::new(filling(aggregate, filled)?);
                let schema = Arc::clone(&projection.schema);
                let plan = LogicalPlan::Projection(Projection::try_new_with_schema(exprs, input, schema)?);
                Ok(Transformed::new(plan, true, TreeNodeRecursion::Jump))
            }
            _ => Ok(Transformed::no(plan)),
        },
        LogicalPlan::Aggregate(aggregate) if bin(aggregate)?.is_some() => {
            Ok(Transformed::new(filling(aggregate, Vec::new())?, true, TreeNodeRecursion::Jump))
        }
        _ => Ok(Transformed::no(plan)),
    })
}

/// An aggregate whose input was looked through.
fn below(aggregate: &Aggregate) -> Result<Transformed<Aggregate>> {
    let input = rewritten(aggregate.input.as_ref().clone())?;
    let changed = input.transformed;
    let Aggregate { group_expr, aggr_expr, schema, .. } = aggregate.clone();
    let aggregate = Aggregate::try_new_with_schema(Arc::new(input.data), group_expr, aggr_expr, schema)?;
    Ok(Transformed::new(aggregate, changed, TreeNodeRecursion::Continue))
}

/// The column of an aggregate that is made by `date_bin_gapfill`, and its arguments.
fn bin(aggregate: &Aggregate) -> Result<Option<(usize, &[Expr])>> {
    let bins = aggregate.group_expr.iter().enumerate().filter_map(|(i, expr)| match strip(expr) {
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == GAPFILL => {
            Some((i, args.as_slice()))
        }
        _ => None,
    });
    let bins: Vec<_> = bins.collect();
    match bins.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        _ => plan_err!("{GAPFILL} can be said once in GROUP BY"),
    }
}

fn strip(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => strip(&alias.expr),
        other => other,
    }
}

/// A SELECT list, and the columns that are to be filled for it.
type TakenOut = (Vec<Expr>, Vec<(usize, Fill)>);

/// Takes `interpolate` and `locf` out of a SELECT list: columns that are filled stand for them.
fn taken_out(projection: &Projection, aggregate: &Aggregate) -> Result<TakenOut> {
    let mut filled: Vec<(usize, Fill)> = Vec::new();
    let mut exprs = Vec::with_capacity(projection.expr.len());
    for expr in &projection.expr {
        let named = expr.qualified_name();
        let taken = expr.clone().transform_up(|expr| {
            let Expr::ScalarFunction(ScalarFunction { func, args }) = &expr else {
                return Ok(Transformed::no(expr));
            };
            let Some(fill) = Fill::of(func.name()) else { return Ok(Transformed::no(expr)) };
            let [Expr::Column(column)] = args.as_slice() else {
                return plan_err!("{} takes an aggregate as it is", func.name());
            };
            let at = aggregate.schema.index_of_column(column)?;
            if at < aggregate.group_expr.len() {
                return plan_err!("{} takes an aggregate, not what is grouped by", func.name());
            }
            if !filled.contains(&(at, fill)) {
                filled.push((at, fill));
            }
            let name = filled_name(fill, aggregate.schema.field(at).name());
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(name))))
        })?;
        exprs.push(if taken.transformed {
            let (qualifier, name) = named;
            match taken.data {
                Expr::Alias(alias) => Expr::Alias(alias),
                other => other.alias_qualified(qualifier, name),
            }
        } else {
            taken.data
        });
    }
    Ok((exprs, filled))
}

/// The filling of gaps above an aggregate.
fn filling(aggregate: &Aggregate, filled: Vec<(usize, Fill)>) -> Result<LogicalPlan> {
    let Some((time, args)) = bin(aggregate)? else { return plan_err!("{GAPFILL} is not in GROUP BY") };
    let (every, origin) = match args {
        [every, _] => (nanoseconds(every)?, 0),
        [every, _, Expr::Literal(ScalarValue::TimestampNanosecond(Some(origin), _), _)] => {
            (nanoseconds(every)?, *origin)
        }
        _ => return plan_err!("{GAPFILL}(interval, time, origin) takes a constant origin"),
    };
    let Some(Expr::Column(column)) = args.get(1).map(strip) else {
        return plan_err!("{GAPFILL}(interval, time) takes a column of times");
    };
    let range = range(&aggregate.input, &column.name);
    if range.end.0 == i64::MAX {
        return plan_err!("{GAPFILL} needs an upper bound of {} in WHERE", column.name);
    }
    let window = |at: i64| {
        let into = (i128::from(at) - i128::from(origin)).rem_euclid(i128::from(every));
        i64::try_from(i128::from(at) - into).unwrap_or(i64::MIN)
    };
    let gaps = Gaps {
        time,
        groups: (0..aggregate.group_expr.len()).filter(|column| *column != time).collect(),
        every,
        first: (range.start.0 > i64::MIN).then(|| window(range.start.0)),
        last: window(range.end.0.saturating_sub(1)),
        counts: counts(aggregate),
        filled,
    };
    let input = LogicalPlan::Aggregate(below(aggregate)?.data);
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(GapFill::new(gaps, input)?) }))
}

/// The columns that count.
fn counts(aggregate: &Aggregate) -> Vec<usize> {
    let is_count = |expr: &Expr| matches!(strip(expr), Expr::AggregateFunction(function) if function.func.name() == "count");
    let groups = aggregate.group_expr.len();
    let counted = aggregate.aggr_expr.iter().enumerate().filter(|(_, expr)| is_count(expr));
    counted.map(|(i, _)| groups + i).collect()
}

fn nanoseconds(interval: &Expr) -> Result<i64> {
    predicate::nanoseconds(interval)
        .map_or_else(|| plan_err!("{GAPFILL} takes a constant interval of days or less, more than 0"), Ok)
}

/// What conditions below say of a column of times.
fn range(plan: &LogicalPlan, column: &str) -> TimeRange {
    let own = match plan {
        LogicalPlan::Filter(filter) => predicate::time_range(split_conjunction(&filter.predicate), column),
        LogicalPlan::TableScan(scan) => predicate::time_range(scan.filters.iter(), column),
        _ => predicate::time_range([], column),
    };
    match plan {
        LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Projection(_) => {
            let inputs = plan.inputs();
            inputs.first().map_or(own, |input| predicate::intersection(own, range(input, column)))
        }
        _ => own,
    }
}
