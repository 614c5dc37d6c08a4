//! Values of placeholders: a JSON object of plain values as one row.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, NullArray, RecordBatch, StringArray};
use serde_json::Value;

use crate::error::ApiError;

/// The row of the members of an object; `None` when there are none. `$name` in a statement is the member `name`.
pub(crate) fn row(
    object: &serde_json::Map<String, Value>,
    max: usize,
) -> Result<Option<RecordBatch>, ApiError> {
    if object.len() > max {
        return Err(ApiError::invalid(format!("more than {max} parameters (params-max)")));
    }
    if object.is_empty() {
        return Ok(None);
    }
    let mut columns = Vec::with_capacity(object.len());
    for (name, value) in object {
        let array: ArrayRef = match value {
            Value::Null => Arc::new(NullArray::new(1)),
            Value::Bool(value) => Arc::new(BooleanArray::from(vec![*value])),
            Value::String(text) => Arc::new(StringArray::from(vec![text.as_str()])),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Arc::new(Int64Array::from(vec![integer])),
                (None, Some(float)) => Arc::new(Float64Array::from(vec![float])),
                (None, None) => {
                    return Err(ApiError::invalid(format!("parameter {name:?}: {number} is out of range")));
                }
            },
            Value::Array(_) | Value::Object(_) => {
                return Err(ApiError::invalid(format!("parameter {name:?}: {value} is not a plain value")));
            }
        };
        columns.push((name.as_str(), array));
    }
    let row = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    );
    row.map(Some).map_err(|error| ApiError::invalid(format!("parameters: {error}")))
}
