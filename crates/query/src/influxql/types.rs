//! Whether the operands of a SELECT's arithmetic fit together, with InfluxDB's words when they do not.

use influxql::ast::{Expr, VarRef};
use model::FieldType;

use super::expr::VarKind;
use crate::error::Error;

/// Checks the operations on plain fields and literals; what calls answer is checked where they are compiled.
pub(crate) fn check(expr: &Expr, kind: &dyn Fn(&VarRef) -> VarKind) -> Result<(), Error> {
    type_of(expr, kind).map(drop)
}

/// The type of an expression; `None` when it is not known here.
fn type_of(expr: &Expr, kind: &dyn Fn(&VarRef) -> VarKind) -> Result<Option<FieldType>, Error> {
    Ok(match expr {
        Expr::Paren(inner) => type_of(inner, kind)?,
        Expr::Var(var) => match kind(var) {
            VarKind::Field(field_type) => Some(field_type),
            VarKind::Tag => None,
        },
        Expr::Number(_) => Some(FieldType::Float),
        Expr::Integer(_) => Some(FieldType::Integer),
        Expr::Unsigned(_) => Some(FieldType::Unsigned),
        Expr::String(_) => Some(FieldType::String),
        Expr::Boolean(_) => Some(FieldType::Boolean),
        Expr::Binary(binary) => {
            let (lhs, rhs) = (type_of(&binary.lhs, kind)?, type_of(&binary.rhs, kind)?);
            let (Some(lhs), Some(rhs)) = (lhs, rhs) else { return Ok(None) };
            if is_number(lhs) != is_number(rhs) {
                return Error::invalid(format!(
                    "type error: {} {} {}: incompatible types: {lhs} and {rhs}",
                    typed(&binary.lhs, kind),
                    binary.op.text(),
                    typed(&binary.rhs, kind)
                ));
            }
            Some(super::value::result_type(binary.op, lhs, rhs))
        }
        _ => None,
    })
}

const fn is_number(field_type: FieldType) -> bool {
    !matches!(field_type, FieldType::String | FieldType::Boolean)
}

/// An operand as messages show it: a field with its type.
fn typed(expr: &Expr, kind: &dyn Fn(&VarRef) -> VarKind) -> String {
    match expr {
        Expr::Var(var) => match kind(var) {
            VarKind::Field(field_type) => format!("{}::{field_type}", influxql::quote_ident(&var.name)),
            VarKind::Tag => var.to_string(),
        },
        other => other.to_string(),
    }
}
