//! Whether the operands of a SELECT's arithmetic fit together, with InfluxDB's words when they do not.

use influxql::ast::{Binary, Call, Expr, Operator, RefKind, VarRef};
use model::FieldType;

use super::expr::VarKind;
use super::function::{self, Aggregate};
use super::plan::strip;
use super::value;
use crate::error::Error;

/// What names are.
pub(super) struct Types<'a> {
    pub(super) kind: &'a dyn Fn(&VarRef) -> VarKind,
    /// Whether a name that is no field is a tag.
    pub(super) is_tag: &'a dyn Fn(&str) -> Result<bool, Error>,
}

/// The type of an operand.
#[derive(Clone, Copy, PartialEq)]
enum Operand {
    Field(FieldType),
    Tag,
    /// Nothing that exists: it fits with everything.
    Unknown,
}

impl Types<'_> {
    /// Checks the operations of an expression.
    pub(super) fn check(&self, expr: &Expr) -> Result<(), Error> {
        self.type_of(expr, false).map(drop)
    }

    /// The type of an expression, `as_operand` of an operation.
    fn type_of(&self, expr: &Expr, as_operand: bool) -> Result<Operand, Error> {
        Ok(match expr {
            Expr::Paren(inner) => self.type_of(inner, as_operand)?,
            Expr::Var(var) => match (self.kind)(var) {
                VarKind::Field(field_type) => Operand::Field(field_type),
                VarKind::Tag | VarKind::NoTag if as_operand && (self.is_tag)(&var.name)? => Operand::Tag,
                VarKind::Tag | VarKind::NoTag | VarKind::Nothing | VarKind::Filler(_) => Operand::Unknown,
            },
            Expr::Number(_) => Operand::Field(FieldType::Float),
            Expr::Integer(_) | Expr::Duration(_) => Operand::Field(FieldType::Integer),
            Expr::Unsigned(_) => Operand::Field(FieldType::Unsigned),
            Expr::String(_) => Operand::Field(FieldType::String),
            Expr::Boolean(_) => Operand::Field(FieldType::Boolean),
            Expr::Binary(binary) => self.binary(binary)?,
            Expr::Call(call) => self.call(call)?,
            Expr::Distinct(name) => {
                self.type_of(&Expr::Var(VarRef { name: name.clone(), kind: None }), false)?
            }
            Expr::Wildcard(_) | Expr::Regex(_) => Operand::Unknown,
        })
    }

    fn binary(&self, binary: &Binary) -> Result<Operand, Error> {
        let (lhs, rhs) = (self.type_of(&binary.lhs, true)?, self.type_of(&binary.rhs, true)?);
        match (lhs, rhs) {
            // As in InfluxDB the result has the type of what is known.
            (Operand::Unknown, known) | (known, Operand::Unknown) => Ok(known),
            (Operand::Field(lhs), Operand::Field(rhs)) if fit(binary.op, lhs, rhs) => {
                Ok(Operand::Field(value::result_type(binary.op, lhs, rhs)))
            }
            _ => Error::invalid(format!(
                "type error: {} {} {}: incompatible types: {} and {}",
                self.typed(&binary.lhs),
                binary.op.text(),
                self.typed(&binary.rhs),
                name_of(lhs),
                name_of(rhs)
            )),
        }
    }

    fn call(&self, call: &Call) -> Result<Operand, Error> {
        let Some(arg) = call.args.first() else { return Ok(Operand::Unknown) };
        let input = self.type_of(arg, true)?;
        if value::math_arity(&call.name).is_some() {
            call.args.iter().skip(1).try_for_each(|arg| self.check(arg))?;
            return Ok(if value::math_keeps_type(&call.name) {
                input
            } else {
                Operand::Field(FieldType::Float)
            });
        }
        // Some have a type of their own, whatever their argument is; the others that of their argument.
        Ok(if function::is_transform(&call.name) {
            // The interval only sets a unit.
            let transform = function::transform(call, 0)?;
            if transform.keeps_type() {
                input
            } else {
                Operand::Field(transform.result_type(FieldType::Float))
            }
        } else {
            let aggregate = function::aggregate(call, 0)?.unwrap_or(Aggregate::Count);
            match aggregate.result_type(FieldType::Float) {
                Some(field_type) if !aggregate.keeps_type() => Operand::Field(field_type),
                _ => input,
            }
        })
    }

    /// An operand as messages show it: names with their types.
    fn typed(&self, expr: &Expr) -> Expr {
        match strip(expr) {
            Expr::Var(var) => {
                let kind = match (self.kind)(var) {
                    VarKind::Field(FieldType::Float) => Some(RefKind::Float),
                    VarKind::Field(FieldType::Integer) => Some(RefKind::Integer),
                    VarKind::Field(FieldType::Unsigned) => Some(RefKind::Unsigned),
                    VarKind::Field(FieldType::String) => Some(RefKind::String),
                    VarKind::Field(FieldType::Boolean) => Some(RefKind::Boolean),
                    // Who cannot be asked whether it is a tag has been asked before.
                    VarKind::Tag | VarKind::NoTag if (self.is_tag)(&var.name).unwrap_or(true) => {
                        Some(RefKind::Tag)
                    }
                    VarKind::Tag | VarKind::NoTag | VarKind::Nothing | VarKind::Filler(_) => var.kind,
                };
                Expr::Var(VarRef { name: var.name.clone(), kind })
            }
            Expr::Binary(binary) => {
                let (lhs, rhs) = (self.typed(&binary.lhs), self.typed(&binary.rhs));
                let typed = Expr::Binary(Box::new(Binary { op: binary.op, lhs, rhs }));
                if matches!(expr, Expr::Paren(_)) { Expr::Paren(Box::new(typed)) } else { typed }
            }
            Expr::Call(call) => {
                let args = call.args.iter().map(|arg| self.typed(arg)).collect();
                Expr::Call(Call { name: call.name.clone(), args })
            }
            // InfluxDB has made a call of it by then.
            Expr::Distinct(name) => {
                let arg = self.typed(&Expr::Var(VarRef { name: name.clone(), kind: None }));
                Expr::Call(Call { name: "distinct".to_owned(), args: vec![arg] })
            }
            other => other.clone(),
        }
    }
}

const fn name_of(operand: Operand) -> &'static str {
    match operand {
        Operand::Field(FieldType::Float) => "float",
        Operand::Field(FieldType::Integer) => "integer",
        Operand::Field(FieldType::Unsigned) => "unsigned",
        Operand::Field(FieldType::String) => "string",
        Operand::Field(FieldType::Boolean) => "boolean",
        Operand::Tag => "tag",
        Operand::Unknown => "unknown",
    }
}

/// Whether an operation takes two types: arithmetic numbers, operations on bits integers or booleans.
pub(super) const fn fit(op: Operator, lhs: FieldType, rhs: FieldType) -> bool {
    use FieldType::{Boolean, Float, Integer, Unsigned};
    match op {
        Operator::BitAnd | Operator::BitOr | Operator::BitXor => {
            matches!((lhs, rhs), (Boolean, Boolean) | (Integer | Unsigned, Integer | Unsigned))
        }
        _ => matches!((lhs, rhs), (Float | Integer | Unsigned, Float | Integer | Unsigned)),
    }
}
