//! Expressions over slots, and the binding of slots to the columns of a block.

use std::borrow::Cow;
use std::sync::Arc;

use influxql::ast::Operator;
use model::{Bitmap, Column, FieldType, FieldValue, Values};
use regex::Regex;

use super::block::Block;
use super::types;
use super::value::{self, Value};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VarKind {
    /// A field read as this type.
    Field(FieldType),
    /// A tag; for stored series also a name that nobody knows.
    Tag,
    /// What is asked for as a tag and a subquery does not answer: null in each of its rows.
    NoTag,
    /// Nothing.
    Nothing,
    /// Nothing, in whose place `fill(number)` puts a number of this type.
    Filler(FieldType),
}

/// A field or a tag that an expression reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Var {
    pub(crate) name: Arc<str>,
    pub(crate) kind: VarKind,
    /// Whether a tag that a series does not have reads as the empty string (in WHERE) or as null (in SELECT).
    pub(crate) absent_is_empty: bool,
}

impl Var {
    pub(crate) const fn field_type(&self) -> FieldType {
        match self.kind {
            VarKind::Field(field_type) | VarKind::Filler(field_type) => field_type,
            VarKind::Tag | VarKind::NoTag => FieldType::String,
            VarKind::Nothing => FieldType::Float,
        }
    }
}

/// An expression over slots.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Slot(usize),
    Const(FieldValue),
    Binary(Operator, Box<Node>, Box<Node>),
    Math(Arc<str>, Vec<Node>),
    /// Whether a string matches (or, with `false`, does not).
    Matches(Box<Node>, Regex, bool),
}

impl Node {
    /// Computes the value for one row.
    pub(crate) fn eval(&self, slot: &dyn Fn(usize) -> Value) -> Value {
        match self {
            Self::Slot(i) => slot(*i),
            Self::Const(value) => Some(value.clone()),
            Self::Binary(op, lhs, rhs) => value::binary(*op, &lhs.eval(slot), &rhs.eval(slot)),
            Self::Math(name, args) => {
                value::math(name, &args.iter().map(|arg| arg.eval(slot)).collect::<Vec<_>>())
            }
            Self::Matches(subject, regex, wanted) => Some(FieldValue::Boolean(
                matches!(subject.eval(slot), Some(FieldValue::String(s)) if regex.is_match(&s) == *wanted),
            )),
        }
    }

    /// The type that the query around a subquery takes the values to have; none where operands do not fit together. As in
    /// InfluxDB the quotient of integers is an integer there.
    pub(crate) fn declared_type(&self, slot: &dyn Fn(usize) -> Option<FieldType>) -> Option<FieldType> {
        match self {
            Self::Slot(i) => slot(*i),
            Self::Binary(op, lhs, rhs) => match (lhs.declared_type(slot), rhs.declared_type(slot)) {
                (Some(lhs @ (FieldType::Integer | FieldType::Unsigned)), Some(rhs))
                    if *op == Operator::Div && lhs == rhs =>
                {
                    Some(lhs)
                }
                (Some(lhs), Some(rhs)) => {
                    types::fit(*op, lhs, rhs).then(|| value::result_type(*op, lhs, rhs))
                }
                (known, other) => known.or(other),
            },
            Self::Math(name, args) => match args.first() {
                Some(arg) if value::math_keeps_type(name) => arg.declared_type(slot),
                _ => Some(FieldType::Float),
            },
            other => Some(other.field_type(&|_| FieldType::Float)),
        }
    }

    /// The type of the values.
    pub(crate) fn field_type(&self, slot: &dyn Fn(usize) -> FieldType) -> FieldType {
        match self {
            Self::Slot(i) => slot(*i),
            Self::Const(value) => value.field_type(),
            Self::Binary(op, lhs, rhs) => value::result_type(*op, lhs.field_type(slot), rhs.field_type(slot)),
            Self::Math(name, args) => match args.first() {
                Some(arg) if value::math_keeps_type(name) => arg.field_type(slot),
                _ => FieldType::Float,
            },
            Self::Matches(..) => FieldType::Boolean,
        }
    }
}

/// A slot bound to a block.
#[derive(Debug)]
pub(crate) enum Bound<'a> {
    Constant(Value),
    Column(Cow<'a, Column>),
}

impl Bound<'_> {
    pub(crate) fn get(&self, row: usize) -> Value {
        match self {
            Self::Constant(value) => value.clone(),
            Self::Column(column) => column.get(row),
        }
    }
}

/// Finds what a variable is in a block.
pub(crate) fn bind<'a>(var: &Var, block: &'a Block) -> Bound<'a> {
    match var.kind {
        VarKind::Field(field_type) => block
            .field(&var.name)
            .and_then(|column| value::cast_column(column, field_type))
            .map_or(Bound::Constant(None), Bound::Column),
        VarKind::NoTag | VarKind::Nothing | VarKind::Filler(_) => Bound::Constant(None),
        VarKind::Tag => match (block.tag(&var.name), block.field(&var.name)) {
            // A tag that a subquery answers as a column; what it is grouped by in the rows that do not have it, too.
            (tag, Some(column))
                if tag.is_none_or(|tag| tag.is_empty() && !block.is_stored() && !var.absent_is_empty) =>
            {
                Bound::Column(Cow::Borrowed(column))
            }
            (tag, _) => {
                // What a subquery is grouped by is there, though it be empty.
                let absent = tag.is_none_or(|tag| tag.is_empty() && block.is_stored());
                let value = FieldValue::String(tag.unwrap_or("").to_owned());
                Bound::Constant((!absent || var.absent_is_empty).then_some(value))
            }
        },
    }
}

/// The rows of a block that pass a condition.
pub(crate) fn mask(condition: &Node, vars: &[Var], block: &Block) -> Bitmap {
    let bound: Vec<_> = vars.iter().map(|var| bind(var, block)).collect();
    let rows = block.times.len();
    compared(condition, &bound, rows).unwrap_or_else(|| {
        let passes = |row: usize| {
            let slot = |i: usize| bound.get(i).and_then(|b| b.get(row));
            condition.eval(&slot) == Some(FieldValue::Boolean(true))
        };
        (0..rows).map(passes).collect()
    })
}

/// Comparisons of numbers in columns with constants, and such comparisons joined, column by column; `None` for any
/// other condition.
fn compared(condition: &Node, bound: &[Bound<'_>], rows: usize) -> Option<Bitmap> {
    let Node::Binary(op, lhs, rhs) = condition else { return None };
    match (op, &**lhs, &**rhs) {
        (Operator::And | Operator::Or, lhs, rhs) => {
            let (mut mask, other) = (compared(lhs, bound, rows)?, compared(rhs, bound, rows)?);
            if *op == Operator::And {
                mask.and(&other);
            } else {
                mask.or(&other);
            }
            Some(mask)
        }
        (op, Node::Slot(slot), Node::Const(constant)) => match bound.get(*slot)? {
            Bound::Column(column) => {
                let mut mask = numbers(*op, column, constant)?;
                if let Some(valid) = &column.valid {
                    mask.and(valid);
                }
                Some(mask)
            }
            // A field that no row has.
            Bound::Constant(None) if op.precedence() == 3 => Some(Bitmap::filled(false, rows)),
            Bound::Constant(_) => None,
        },
        _ => None,
    }
}

/// Where numbers compare as asked with a constant.
#[expect(
    clippy::cast_precision_loss,
    reason = "integers are compared with floats as floats, as rows one by one are"
)]
fn numbers(op: Operator, column: &Column, constant: &FieldValue) -> Option<Bitmap> {
    match (&column.values, constant) {
        (Values::Float(v), FieldValue::Float(c)) => holds(op, v, *c, |v| v),
        (Values::Float(v), FieldValue::Integer(c)) => holds(op, v, *c as f64, |v| v),
        (Values::Integer(v), FieldValue::Integer(c)) => holds(op, v, *c, |v| v),
        (Values::Integer(v), FieldValue::Float(c)) => holds(op, v, *c, |v| v as f64),
        (Values::Unsigned(v), FieldValue::Float(c)) => holds(op, v, *c, |v| v as f64),
        (Values::Unsigned(v), FieldValue::Integer(c)) => holds(op, v, i128::from(*c), i128::from),
        _ => None,
    }
}

fn holds<T: Copy, U: PartialOrd + Copy>(
    op: Operator,
    values: &[T],
    constant: U,
    as_constant: impl Fn(T) -> U,
) -> Option<Bitmap> {
    let v = |i: usize| as_constant(values[i]);
    Some(match op {
        Operator::Eq => Bitmap::from_fn(values.len(), |i| v(i) == constant),
        Operator::NotEq => Bitmap::from_fn(values.len(), |i| v(i) != constant),
        Operator::Less => Bitmap::from_fn(values.len(), |i| v(i) < constant),
        Operator::LessEq => Bitmap::from_fn(values.len(), |i| v(i) <= constant),
        Operator::Greater => Bitmap::from_fn(values.len(), |i| v(i) > constant),
        Operator::GreaterEq => Bitmap::from_fn(values.len(), |i| v(i) >= constant),
        _ => return None,
    })
}
