//! What the parser and the planner take otherwise than SQL means it, put right before planning:
//!
//! - `a IS DISTINCT FROM b AND c` is read as `a IS DISTINCT FROM (b AND c)`, but IS binds closer than AND and OR;
//! - a list with a NULL, `a NOT IN (b, NULL)`, is simplified beside another list as if the NULL were not there. It is
//!   written as what it means: `a NOT IN (b) AND NULL`, and `a IN (b) OR NULL`.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Value, VisitMut as _, VisitorMut,
};

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
        let taken = std::mem::replace(expr, null());
        *expr = match taken {
            Expr::IsDistinctFrom(left, right) => closer(*left, *right, Expr::IsDistinctFrom),
            Expr::IsNotDistinctFrom(left, right) => closer(*left, *right, Expr::IsNotDistinctFrom),
            Expr::InList { expr, list, negated } => without_null(expr, list, negated),
            other => other,
        };
        ControlFlow::Continue(())
    }
}

fn null() -> Expr {
    Expr::Value(Value::Null.into())
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

/// A list without its NULLs, and what they mean beside it.
fn without_null(expr: Box<Expr>, list: Vec<Expr>, negated: bool) -> Expr {
    let is_null = |item: &Expr| matches!(item, Expr::Value(value) if value.value == Value::Null);
    let before = list.len();
    let list: Vec<Expr> = list.into_iter().filter(|item| !is_null(item)).collect();
    if list.is_empty() || list.len() == before {
        let list = if list.is_empty() { vec![null(); before] } else { list };
        return Expr::InList { expr, list, negated };
    }
    let unknown = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(null()),
        data_type: DataType::Boolean,
        array: false,
        format: None,
    };
    let op = if negated { BinaryOperator::And } else { BinaryOperator::Or };
    let left = Box::new(Expr::InList { expr, list, negated });
    Expr::Nested(Box::new(Expr::BinaryOp { left, op, right: Box::new(unknown) }))
}
