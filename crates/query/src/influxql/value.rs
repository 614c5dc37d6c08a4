//! Values in InfluxQL expressions: arithmetic, comparison, mathematical functions, casts. `None` is null.

use std::borrow::Cow;

use influxql::ast::Operator;
use model::{Bitmap, Column, ColumnType, FieldType, FieldValue, Frame, FrameValues, Values};

/// A value or null.
pub(crate) type Value = Option<FieldValue>;

#[expect(clippy::cast_precision_loss, reason = "InfluxQL converts integers to floats with rounding")]
pub(crate) fn to_f64(value: &FieldValue) -> Option<f64> {
    match value {
        FieldValue::Float(v) => Some(*v),
        FieldValue::Integer(v) => Some(*v as f64),
        FieldValue::Unsigned(v) => Some(*v as f64),
        FieldValue::String(_) | FieldValue::Boolean(_) => None,
    }
}

/// The type of an operation's result on operands of two types.
pub(crate) fn result_type(op: Operator, lhs: FieldType, rhs: FieldType) -> FieldType {
    use FieldType::{Boolean, Float, Integer, Unsigned};
    if op.is_condition() {
        return Boolean;
    }
    match (op, lhs, rhs) {
        (Operator::BitAnd | Operator::BitOr | Operator::BitXor, Boolean, _)
        | (Operator::BitAnd | Operator::BitOr | Operator::BitXor, _, Boolean) => Boolean,
        (_, Float, _) | (_, _, Float) | (Operator::Div, _, _) => Float,
        (_, Unsigned, _) | (_, _, Unsigned) => Unsigned,
        (_, Boolean, Boolean) => Boolean,
        _ => Integer,
    }
}

/// Applies an operation. Null operands give null, or false for comparisons.
pub(crate) fn binary(op: Operator, lhs: &Value, rhs: &Value) -> Value {
    use FieldValue::{Boolean, Float, Integer, String, Unsigned};
    let incomparable = || op.is_condition().then_some(Boolean(false));
    let (lhs, rhs) = match (lhs, rhs) {
        (Some(lhs), Some(rhs)) => (lhs, rhs),
        // In operations on bits a null beside a boolean is false.
        (None, Some(Boolean(b))) | (Some(Boolean(b)), None) => {
            return match op {
                Operator::BitAnd => Some(Boolean(false)),
                Operator::BitOr | Operator::BitXor => Some(Boolean(*b)),
                _ => incomparable(),
            };
        }
        _ => return incomparable(),
    };
    match (lhs, rhs) {
        (Boolean(a), Boolean(b)) => match op {
            Operator::And | Operator::BitAnd => Some(Boolean(*a && *b)),
            Operator::Or | Operator::BitOr => Some(Boolean(*a || *b)),
            Operator::Eq => Some(Boolean(a == b)),
            Operator::NotEq | Operator::BitXor => Some(Boolean(a != b)),
            _ => incomparable(),
        },
        (String(a), String(b)) => match op {
            Operator::Eq => Some(Boolean(a == b)),
            Operator::NotEq => Some(Boolean(a != b)),
            _ => incomparable(),
        },
        (Integer(a), Integer(b)) => integers(op, *a, *b),
        (Unsigned(a), Unsigned(b)) => unsigned(op, *a, *b),
        (Unsigned(a), Integer(b)) if compares(op) => {
            Some(Boolean(ordered(op, &i128::from(*a), &i128::from(*b))))
        }
        (Integer(a), Unsigned(b)) if compares(op) => {
            Some(Boolean(ordered(op, &i128::from(*a), &i128::from(*b))))
        }
        (Unsigned(a), Integer(b)) => unsigned(op, *a, u64::try_from(*b).ok()?),
        (Integer(a), Unsigned(b)) => unsigned(op, u64::try_from(*a).ok()?, *b),
        (Float(_), _) | (_, Float(_)) => match (to_f64(lhs), to_f64(rhs)) {
            (Some(a), Some(b)) => floats(op, a, b),
            _ => incomparable(),
        },
        _ => incomparable(),
    }
}

const fn compares(op: Operator) -> bool {
    op.precedence() == 3
}

fn ordered<T: PartialOrd>(op: Operator, a: &T, b: &T) -> bool {
    match op {
        Operator::Eq => a == b,
        Operator::NotEq => a != b,
        Operator::Less => a < b,
        Operator::LessEq => a <= b,
        Operator::Greater => a > b,
        Operator::GreaterEq => a >= b,
        _ => false,
    }
}

fn floats(op: Operator, a: f64, b: f64) -> Value {
    Some(FieldValue::Float(match op {
        Operator::Add => a + b,
        Operator::Sub => a - b,
        Operator::Mul => a * b,
        Operator::Div if b == 0.0 => 0.0,
        Operator::Div => a / b,
        Operator::Mod => a % b,
        _ if compares(op) => return Some(FieldValue::Boolean(ordered(op, &a, &b))),
        _ => return None,
    }))
}

#[expect(clippy::cast_precision_loss, reason = "the quotient of integers is a float in InfluxQL")]
fn integers(op: Operator, a: i64, b: i64) -> Value {
    Some(FieldValue::Integer(match op {
        Operator::Add => a.wrapping_add(b),
        Operator::Sub => a.wrapping_sub(b),
        Operator::Mul => a.wrapping_mul(b),
        Operator::Div => return floats(op, a as f64, b as f64),
        Operator::Mod if b == 0 => 0,
        Operator::Mod => a.wrapping_rem(b),
        Operator::BitAnd => a & b,
        Operator::BitOr => a | b,
        Operator::BitXor => a ^ b,
        _ if compares(op) => return Some(FieldValue::Boolean(ordered(op, &a, &b))),
        _ => return None,
    }))
}

#[expect(clippy::cast_precision_loss, reason = "the quotient of integers is a float in InfluxQL")]
fn unsigned(op: Operator, a: u64, b: u64) -> Value {
    Some(FieldValue::Unsigned(match op {
        Operator::Add => a.wrapping_add(b),
        Operator::Sub => a.wrapping_sub(b),
        Operator::Mul => a.wrapping_mul(b),
        Operator::Div => return floats(op, a as f64, b as f64),
        Operator::Mod if b == 0 => 0,
        Operator::Mod => a % b,
        Operator::BitAnd => a & b,
        Operator::BitOr => a | b,
        Operator::BitXor => a ^ b,
        _ if compares(op) => return Some(FieldValue::Boolean(ordered(op, &a, &b))),
        _ => return None,
    }))
}

/// Number of arguments of a mathematical function; `None` when there is no such function.
pub(crate) fn math_arity(name: &str) -> Option<usize> {
    match name {
        "abs" | "acos" | "asin" | "atan" | "ceil" | "cos" | "exp" | "floor" | "ln" | "log2" | "log10"
        | "round" | "sin" | "sqrt" | "tan" => Some(1),
        "atan2" | "log" | "pow" => Some(2),
        _ => None,
    }
}

/// Whether a function keeps the type of its argument.
pub(crate) fn math_keeps_type(name: &str) -> bool {
    matches!(name, "abs" | "ceil" | "floor" | "round")
}

/// Applies a mathematical function. Results that are no number are null.
pub(crate) fn math(name: &str, args: &[Value]) -> Value {
    let first = args.first()?.as_ref()?;
    if math_keeps_type(name) {
        match first {
            FieldValue::Integer(v) if name == "abs" => return Some(FieldValue::Integer(v.wrapping_abs())),
            FieldValue::Integer(_) | FieldValue::Unsigned(_) => return Some(first.clone()),
            _ => {}
        }
    }
    let x = to_f64(first)?;
    let y = || args.get(1)?.as_ref().and_then(to_f64);
    let result = match name {
        "abs" => x.abs(),
        "acos" => x.acos(),
        "asin" => x.asin(),
        "atan" => x.atan(),
        "atan2" => x.atan2(y()?),
        "ceil" => x.ceil(),
        "cos" => x.cos(),
        "exp" => x.exp(),
        "floor" => x.floor(),
        "ln" => x.ln(),
        "log" => x.ln() / y()?.ln(),
        "log2" => x.log2(),
        "log10" => x.log10(),
        "pow" => x.powf(y()?),
        "round" => x.round(),
        "sin" => x.sin(),
        "sqrt" => x.sqrt(),
        "tan" => x.tan(),
        _ => return None,
    };
    result.is_finite().then_some(FieldValue::Float(result))
}

/// Converts a number to another type of number; other conversions are refused.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts of InfluxQL cut the fraction"
)]
pub(crate) fn cast(value: &FieldValue, to: FieldType) -> Value {
    match (value, to) {
        (v, to) if v.field_type() == to => Some(v.clone()),
        (v, FieldType::Float) => to_f64(v).map(FieldValue::Float),
        // What is too large for an integer is the least one, as on InfluxDB's machines.
        (FieldValue::Float(v), FieldType::Integer) if *v >= 9_223_372_036_854_775_808.0 || v.is_nan() => {
            Some(FieldValue::Integer(i64::MIN))
        }
        (FieldValue::Float(v), FieldType::Integer) => Some(FieldValue::Integer(*v as i64)),
        (FieldValue::Float(v), FieldType::Unsigned) => Some(FieldValue::Unsigned(*v as u64)),
        (FieldValue::Integer(v), FieldType::Unsigned) => Some(FieldValue::Unsigned(v.cast_unsigned())),
        (FieldValue::Unsigned(v), FieldType::Integer) => Some(FieldValue::Integer(v.cast_signed())),
        _ => None,
    }
}

/// What `fill(number)` puts into a column: as in InfluxDB, text columns get the empty text, booleans false.
pub(crate) fn filler(number: &FieldValue, to: FieldType) -> Value {
    match to {
        FieldType::String => Some(FieldValue::String(String::new())),
        FieldType::Boolean => Some(FieldValue::Boolean(false)),
        FieldType::Float | FieldType::Integer | FieldType::Unsigned => cast(number, to),
    }
}

/// A column as another type; `None` when its values are invisible as that type.
pub(crate) fn cast_column(column: &Column, to: FieldType) -> Option<Cow<'_, Column>> {
    if column.column_type() == ColumnType::Field(to) {
        return Some(Cow::Borrowed(column));
    }
    let numeric = |t| matches!(t, FieldType::Float | FieldType::Integer | FieldType::Unsigned);
    let ColumnType::Field(from) = column.column_type() else { return None };
    if !numeric(from) || !numeric(to) {
        return None;
    }
    let mut out = Column::empty(ColumnType::Field(to));
    for i in 0..column.len() {
        push(&mut out, column.get(i).and_then(|v| cast(&v, to)).as_ref());
    }
    Some(Cow::Owned(out))
}

/// Appends a value, converted to the column's type; what cannot be converted is null.
pub(crate) fn push(column: &mut Column, value: Option<&FieldValue>) {
    let cast_value = match (value, column.column_type()) {
        (None, _) => None,
        (Some(value), ColumnType::Time) => Some(value.clone()),
        (Some(value), ColumnType::Field(to)) => cast(value, to),
    };
    match cast_value {
        Some(value) => column.push(&value),
        None => column.push_null(),
    }
}

/// A column of values.
pub(crate) fn column_of<'a>(
    field_type: FieldType,
    values: impl Iterator<Item = Option<&'a FieldValue>>,
) -> Column {
    let mut column = Column::empty(ColumnType::Field(field_type));
    values.for_each(|value| push(&mut column, value));
    column
}

/// A column of times.
pub(crate) const fn times_column(times: Vec<i64>) -> Column {
    Column::new(Values::Time(times))
}

/// Whether row `i` is wanted and holds a value.
pub(crate) fn selected(column: &Column, mask: Option<&Bitmap>, i: usize) -> bool {
    column.is_valid(i) && mask.is_none_or(|m| m.get(i))
}

/// Makes the floats of an answer null that JSON has no number for.
pub(crate) fn null_what_is_no_number(frame: &mut Frame) {
    for column in &mut frame.columns {
        if let FrameValues::Column(column) = &mut column.values
            && let Values::Float(values) = &column.values
            && values.iter().any(|value| !value.is_finite())
        {
            let finite: Vec<Value> = (0..column.len())
                .map(|row| column.get(row).filter(|value| to_f64(value).is_some_and(f64::is_finite)))
                .collect();
            *column = column_of(FieldType::Float, finite.iter().map(Option::as_ref));
        }
    }
}
