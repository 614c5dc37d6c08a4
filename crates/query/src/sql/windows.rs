//! `OVER (w ROWS ...)`: a window that begins with the name of another takes over its PARTITION BY and ORDER BY. The planner
//! knows names alone (`OVER w`) and would pass over one inside of parentheses, so they are put in before it.

use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, Select, VisitMut as _, VisitorMut, WindowSpec,
    WindowType,
};

/// How many names may stand for one another in a row.
const DEPTH_MAX: usize = 16;

/// Puts the windows that others name in their places.
pub(super) fn resolve(statement: &mut Statement) -> Result<()> {
    let mut names = Names { of_selects: Vec::new() };
    let end = match statement {
        Statement::Statement(statement) => statement.visit(&mut names),
        Statement::Explain(explain) => return resolve(&mut explain.statement),
        _ => ControlFlow::Continue(()),
    };
    match end {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The named windows of the SELECTs around an expression, the innermost last.
struct Names {
    of_selects: Vec<Vec<NamedWindowDefinition>>,
}

impl Names {
    fn find(&self, name: &Ident) -> Option<&NamedWindowExpr> {
        let own = self.of_selects.last()?;
        own.iter().find(|definition| definition.0.value == name.value).map(|definition| &definition.1)
    }

    /// A window without the names of others.
    fn resolved(&self, mut spec: WindowSpec, depth: usize) -> Result<WindowSpec> {
        let Some(mut name) = spec.window_name.take() else { return Ok(spec) };
        for _ in depth..DEPTH_MAX {
            match self.find(&name) {
                None => return plan_err!("window {name} is not defined"),
                Some(NamedWindowExpr::NamedWindow(other)) => name = other.clone(),
                Some(NamedWindowExpr::WindowSpec(base)) => {
                    let base = self.resolved(base.clone(), depth + 1)?;
                    if !spec.partition_by.is_empty() || !base.order_by.is_empty() && !spec.order_by.is_empty()
                    {
                        return plan_err!("window {name} is partitioned and ordered already");
                    }
                    spec.partition_by = base.partition_by;
                    if spec.order_by.is_empty() {
                        spec.order_by = base.order_by;
                    }
                    if base.window_frame.is_some() {
                        return plan_err!("window {name} has a frame and cannot be extended");
                    }
                    return Ok(spec);
                }
            }
        }
        plan_err!("windows name one another more than {DEPTH_MAX} times")
    }
}

impl VisitorMut for Names {
    type Break = DataFusionError;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        self.of_selects.push(select.named_window.clone());
        for definition in &mut select.named_window {
            if let NamedWindowExpr::WindowSpec(spec) = &mut definition.1 {
                match self.resolved(spec.clone(), 0) {
                    Ok(resolved) => *spec = resolved,
                    Err(error) => return ControlFlow::Break(error),
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _select: &mut Select) -> ControlFlow<Self::Break> {
        self.of_selects.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Expr::Function(function) = expr
            && let Some(WindowType::WindowSpec(spec)) = &mut function.over
        {
            match self.resolved(spec.clone(), 0) {
                Ok(resolved) => *spec = resolved,
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    }
}
