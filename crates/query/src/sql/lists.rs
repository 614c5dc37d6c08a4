//! Lists of values as the optimizer takes them rightly. It joins lists over one expression by comparing their items as
//! they are written, as if a NULL were nowhere and columns always differed: `a IN (b) AND a IN (c)` would be false, and
//! `a IN (x, y) AND a NOT IN (x, NULL)` would be `a = y`. So a list keeps its constants only, and the rest of it stands
//! beside it as what it means:
//!
//! ```text
//!  a IN (1, b, NULL)      ->   a IN (1) OR a = b OR NULL
//!  a NOT IN (1, b, NULL)  ->   a NOT IN (1) AND a <> b AND NULL
//! ```
//! What is looked for is written once for each item that is no constant, so this is done where it stays small.
//! This is after placeholders have their values and operands their common type.

use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::{Cast, InList};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, lit};
use datafusion::optimizer::AnalyzerRule;

/// Most parts of expressions that come of one list: lists within lists must not grow with every level.
const PARTS_MAX: usize = 256;

/// See the module.
#[derive(Debug)]
pub(super) struct PlainLists;

impl AnalyzerRule for PlainLists {
    fn name(&self) -> &'static str {
        "plain_lists"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let analyzed = plan.transform_up_with_subqueries(|plan| {
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let expr = expr.transform_up(|expr| Ok(plain(expr)))?;
                Ok(expr.update_data(|expr| name.restore(expr)))
            })
        });
        Ok(analyzed?.data)
    }
}

fn plain(expr: Expr) -> Transformed<Expr> {
    match expr {
        Expr::InList(InList { expr, list, negated })
            if !list.iter().all(is_constant) && !expr.is_volatile() =>
        {
            let (nulls, items): (Vec<_>, Vec<_>) = list.into_iter().partition(is_null);
            let (mut kept, mut others): (Vec<_>, Vec<_>) = items.into_iter().partition(is_constant);
            if parts(&expr).saturating_mul(others.len()) > PARTS_MAX {
                kept.append(&mut others);
            }
            let mut tests = Vec::with_capacity(2 + others.len());
            tests.extend(others.into_iter().map(|item| match negated {
                true => expr.as_ref().clone().not_eq(item),
                false => expr.as_ref().clone().eq(item),
            }));
            if !kept.is_empty() {
                tests.push(Expr::InList(InList { expr, list: kept, negated }));
            }
            if !nulls.is_empty() {
                tests.push(lit(ScalarValue::Boolean(None)));
            }
            Transformed::yes(joined(tests, if negated { Expr::and } else { Expr::or }))
        }
        other => Transformed::no(other),
    }
}

/// The parts of an expression, as far as they count.
fn parts(expr: &Expr) -> usize {
    let mut found = 0;
    let _ended = expr.apply(|_| {
        found += 1;
        Ok(if found > PARTS_MAX { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

/// Whether an item has a value, and the same in every row.
fn is_constant(item: &Expr) -> bool {
    match item {
        Expr::Literal(value, _) => !value.is_null(),
        Expr::Cast(Cast { expr, .. }) => is_constant(expr),
        _ => false,
    }
}

/// Whether an item is a NULL as it stands.
fn is_null(item: &Expr) -> bool {
    match item {
        Expr::Literal(value, _) => value.is_null(),
        Expr::Cast(Cast { expr, .. }) => is_null(expr),
        _ => false,
    }
}

/// All tests as one, no deeper than their number needs.
fn joined(mut tests: Vec<Expr>, join: fn(Expr, Expr) -> Expr) -> Expr {
    while tests.len() > 1 {
        let mut rest = tests.into_iter();
        let mut halved = Vec::new();
        while let Some(left) = rest.next() {
            halved.push(match rest.next() {
                Some(right) => join(left, right),
                None => left,
            });
        }
        tests = halved;
    }
    tests.pop().unwrap_or_else(|| lit(ScalarValue::Boolean(None)))
}
