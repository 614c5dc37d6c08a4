//! Comparisons of a numeric column with a constant, over the column at once: the usual filter on `_value`.

use model::{Column, Values};

use crate::syntax::ast::BinaryOperator as Op;
use crate::value::Value;
use crate::value::convert::int_to_float;

/// Clears `keep` where a row's value does not pass. False when these types or this operator need the row by row way.
pub(crate) fn narrow(column: &Column, operator: Op, constant: &Value, keep: &mut [bool]) -> bool {
    let done = match (&column.values, constant) {
        (Values::Float(v), Value::Float(c)) => compare(v, operator, *c, keep),
        (Values::Float(v), Value::Int(c)) => compare(v, operator, int_to_float(*c), keep),
        (Values::Integer(v), Value::Int(c)) | (Values::Time(v), Value::Time(c)) => {
            compare(v, operator, *c, keep)
        }
        (Values::Unsigned(v), Value::Uint(c)) => compare(v, operator, *c, keep),
        _ => false,
    };
    if done && let Some(valid) = &column.valid {
        // A comparison with null is null, which does not pass.
        keep.iter_mut().zip(valid.iter()).for_each(|(k, valid)| *k &= valid);
    }
    done
}

fn compare<T: PartialOrd + Copy>(values: &[T], operator: Op, constant: T, keep: &mut [bool]) -> bool {
    let rows = keep.iter_mut().zip(values);
    match operator {
        Op::Equal => rows.for_each(|(k, v)| *k &= *v == constant),
        Op::NotEqual => rows.for_each(|(k, v)| *k &= *v != constant),
        Op::Less => rows.for_each(|(k, v)| *k &= *v < constant),
        Op::LessEqual => rows.for_each(|(k, v)| *k &= *v <= constant),
        Op::Greater => rows.for_each(|(k, v)| *k &= *v > constant),
        Op::GreaterEqual => rows.for_each(|(k, v)| *k &= *v >= constant),
        _ => return false,
    }
    true
}
