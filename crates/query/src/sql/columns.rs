//! Columns of stored data as Arrow's arrays: buffers change their owner and are not copied.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampNanosecondArray, UInt64Array, new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Int32Type, TimeUnit};
use arrow::error::ArrowError;
use model::{Bitmap, Column, FieldType, Values};

/// The type of times.
pub(super) const TIME: DataType = DataType::Timestamp(TimeUnit::Nanosecond, None);

/// The type of tags: each value once, and where it stands.
pub(super) fn tag_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The type of a field's column.
pub(super) const fn field_type(field_type: FieldType) -> DataType {
    match field_type {
        FieldType::Float => DataType::Float64,
        FieldType::Integer => DataType::Int64,
        FieldType::Unsigned => DataType::UInt64,
        FieldType::String => DataType::Utf8,
        FieldType::Boolean => DataType::Boolean,
    }
}

fn bits(bitmap: Bitmap) -> BooleanBuffer {
    let len = bitmap.len();
    BooleanBuffer::new(Buffer::from_vec(bitmap.into_words()), 0, len)
}

/// A column as an array.
pub(super) fn array(column: Column) -> Result<ArrayRef, ArrowError> {
    let nulls = column.valid.map(|valid| NullBuffer::new(bits(valid)));
    Ok(match column.values {
        Values::Float(values) => Arc::new(Float64Array::new(ScalarBuffer::from(values), nulls)),
        Values::Integer(values) => Arc::new(Int64Array::new(ScalarBuffer::from(values), nulls)),
        Values::Unsigned(values) => Arc::new(UInt64Array::new(ScalarBuffer::from(values), nulls)),
        Values::Time(values) => Arc::new(TimestampNanosecondArray::new(ScalarBuffer::from(values), nulls)),
        Values::Boolean(values) => Arc::new(BooleanArray::new(bits(values), nulls)),
        Values::String(values) => {
            let (offsets, data) = values.into_parts();
            let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
            Arc::new(StringArray::try_new(offsets, Buffer::from_vec(data.into_bytes()), nulls)?)
        }
    })
}

/// Times as an array.
pub(super) fn times(times: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::new(ScalarBuffer::from(times), None))
}

/// The values of one tag in runs of rows: how many rows, and the value; `None` where a series does not have the tag.
pub(super) fn tags<'a>(runs: impl Iterator<Item = (usize, Option<&'a str>)>) -> Result<ArrayRef, ArrowError> {
    let mut values: Vec<&str> = Vec::new();
    let mut index: HashMap<&str, i32> = HashMap::new();
    let (mut places, mut valid) = (Vec::new(), Bitmap::new());
    for (rows, value) in runs {
        let place = match value {
            None => 0,
            Some(value) => {
                let next = i32::try_from(values.len());
                let next = next.map_err(|_many| ArrowError::DictionaryKeyOverflowError)?;
                *index.entry(value).or_insert_with(|| {
                    values.push(value);
                    next
                })
            }
        };
        places.resize(places.len() + rows, place);
        valid.push_n(value.is_some(), rows);
    }
    let nulls = (!valid.all()).then(|| NullBuffer::new(bits(valid)));
    let keys = Int32Array::new(ScalarBuffer::from(places), nulls);
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(StringArray::from(values)))?))
}

/// A column of nulls.
pub(super) fn nulls(data_type: &DataType, rows: usize) -> ArrayRef {
    new_null_array(data_type, rows)
}
