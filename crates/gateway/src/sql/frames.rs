//! Rows of SQL as frames, for the annotated CSV of `/api/v2/query`: one table, named `_result`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampNanosecondType, UInt64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use model::{Bitmap, Column, Frame, FrameColumn, FrameValues, Values};

/// The rows of a batch.
pub(crate) fn frame(batch: &RecordBatch) -> Result<Frame, ArrowError> {
    let schema = batch.schema();
    let column = |(i, array): (usize, &ArrayRef)| {
        let values = FrameValues::Column(column(array)?);
        Ok(FrameColumn { name: Arc::from(schema.field(i).name().as_str()), group: false, values })
    };
    let columns = batch.columns().iter().enumerate().map(column).collect::<Result<_, ArrowError>>()?;
    Ok(Frame { columns, rows: batch.num_rows() })
}

/// A column in the type of InfluxDB that holds its values; what none holds becomes its text.
fn column(array: &ArrayRef) -> Result<Column, ArrowError> {
    let to = |wanted: DataType| {
        cast_with_options(array, &wanted, &CastOptions { safe: false, ..CastOptions::default() })
    };
    let values = match array.data_type() {
        DataType::Boolean => {
            Values::Boolean(array.as_boolean().iter().map(Option::unwrap_or_default).collect())
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let array = to(DataType::Float64)?;
            Values::Float(array.as_primitive::<Float64Type>().iter().map(Option::unwrap_or_default).collect())
        }
        signed if signed.is_signed_integer() => {
            let array = to(DataType::Int64)?;
            Values::Integer(array.as_primitive::<Int64Type>().iter().map(Option::unwrap_or_default).collect())
        }
        unsigned if unsigned.is_unsigned_integer() => {
            let array = to(DataType::UInt64)?;
            Values::Unsigned(
                array.as_primitive::<UInt64Type>().iter().map(Option::unwrap_or_default).collect(),
            )
        }
        DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => {
            let array = to(DataType::Timestamp(TimeUnit::Nanosecond, None))?;
            let times = array.as_primitive::<TimestampNanosecondType>();
            Values::Time(times.iter().map(Option::unwrap_or_default).collect())
        }
        _ => {
            let options = FormatOptions::new();
            let text = ArrayFormatter::try_new(array, &options)?;
            Values::String((0..array.len()).map(|row| text.value(row).to_string()).collect())
        }
    };
    let valid = array.logical_nulls().map(|nulls| nulls.iter().collect::<Bitmap>());
    Ok(Column { values, valid })
}
