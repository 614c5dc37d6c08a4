//! What the parser takes otherwise than SQL means it, put right before planning: `a IS DISTINCT FROM b AND c` is read as
//! `a IS DISTINCT FROM (b AND c)`, but IS binds closer than AND and OR.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Value, VisitMut as _, VisitorMut};

/// Puts a statement right.
pub(super) fn correct(statement: &mut Statement) {
    match statement {
        Statement::Statement(statement) => {
            let ControlFlow::Continue(()) = statement.visit(&mut Corrected);
        }
        Statement::Explain(explain) => correct(&mut explain.statement),
        _ => {}
    }
}

struct Corrected;

impl VisitorMut for Corrected {
    type Break = std::convert::Infallible;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        let taken = std::mem::replace(expr, Expr::Value(Value::Null.into()));
        *expr = match taken {
            Expr::IsDistinctFrom(left, right) => closer(*left, *right, Expr::IsDistinctFrom),
            Expr::IsNotDistinctFrom(left, right) => closer(*left, *right, Expr::IsNotDistinctFrom),
            other => other,
        };
        ControlFlow::Continue(())
    }
}

/// `left IS ... FROM` the first operand of `right` alone, where AND and OR join it with others.
fn closer(left: Expr, right: Expr, is: fn(Box<Expr>, Box<Expr>) -> Expr) -> Expr {
    match right {
        Expr::BinaryOp { left: first, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
            Expr::BinaryOp { left: Box::new(closer(left, *first, is)), op, right }
        }
        right => is(Box::new(left), Box::new(right)),
    }
}
