//! Functions that make much of little: how much is told before they do.
//!
//! Operators account for what they hold, functions do not: `repeat('x', 1000000000)` would take its gigabyte unseen. These
//! are asked for what one batch of theirs will take, and refused beyond a part of the memory that a query may have.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// Bytes that a function may make of one batch.
const BYTES_MAX: u128 = 64 << 20;

/// What a function makes of its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Growth {
    /// The first, as often as the second says.
    Repeats,
    /// As many characters as the second says.
    Pads,
    /// Numbers from one to another.
    Counts,
}

/// Puts bounds around the functions that need them, as they were registered.
pub(super) fn register(functions: &mut impl FunctionRegistry) -> Result<()> {
    for (name, growth) in [
        ("repeat", Growth::Repeats),
        ("array_repeat", Growth::Repeats),
        ("lpad", Growth::Pads),
        ("rpad", Growth::Pads),
        ("array_resize", Growth::Pads),
        ("range", Growth::Counts),
        ("generate_series", Growth::Counts),
    ] {
        let inner = functions.udf(name)?;
        functions.register_udf(Arc::new(ScalarUDF::from(Bounded { inner, growth })))?;
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let bytes = self.growth.bytes(&arrays)?;
        if bytes > BYTES_MAX {
            let (name, most) = (self.name(), BYTES_MAX >> 20);
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{name} would make {bytes} bytes of a batch of rows, and may make {most} MiB (query-memory-bytes)"
            )));
        }
        self.inner.invoke_with_args(args)
    }
}

impl Growth {
    /// About how many bytes the function makes.
    fn bytes(self, args: &[ArrayRef]) -> Result<u128> {
        match (self, args) {
            (Self::Repeats, [what, times, ..]) => {
                let (sizes, times) = (sizes(what), numbers(times)?);
                Ok(sizes.zip(times).map(|(size, times)| size * positive(times)).sum())
            }
            (Self::Pads, [_, length, ..]) => Ok(numbers(length)?.map(|length| 4 * positive(length)).sum()),
            (Self::Counts, [stop]) if stop.data_type().is_integer() => {
                Ok(numbers(stop)?.map(|stop| 8 * positive(stop)).sum())
            }
            (Self::Counts, [start, stop, step @ ..]) if start.data_type().is_integer() => {
                let steps: Vec<Option<i64>> = match step {
                    [step, ..] => numbers(step)?.collect(),
                    [] => vec![Some(1); start.len()],
                };
                let spans = numbers(start)?.zip(numbers(stop)?).zip(steps);
                let count = |((start, stop), step): ((Option<i64>, Option<i64>), Option<i64>)| {
                    let span = i128::from(stop.unwrap_or(0)) - i128::from(start.unwrap_or(0));
                    8 * (span.unsigned_abs() / u128::from(step.unwrap_or(1).unsigned_abs().max(1)))
                };
                Ok(spans.map(count).sum())
            }
            _ => Ok(0),
        }
    }
}

fn positive(number: Option<i64>) -> u128 {
    number.and_then(|number| u128::try_from(number).ok()).unwrap_or(0)
}

fn numbers(array: &ArrayRef) -> Result<impl Iterator<Item = Option<i64>> + use<>> {
    let numbers = cast(array, &DataType::Int64)?;
    let numbers = numbers.as_primitive::<Int64Type>().clone();
    Ok((0..numbers.len()).map(move |row| (!numbers.is_null(row)).then(|| numbers.value(row))))
}

/// About how many bytes each value takes.
fn sizes(array: &ArrayRef) -> Box<dyn Iterator<Item = u128> + '_> {
    match array.data_type() {
        DataType::Utf8 => {
            Box::new(array.as_string::<i32>().iter().map(|text| text.map_or(0, |text| text.len() as u128)))
        }
        DataType::LargeUtf8 => {
            Box::new(array.as_string::<i64>().iter().map(|text| text.map_or(0, |text| text.len() as u128)))
        }
        DataType::Utf8View => {
            Box::new(array.as_string_view().iter().map(|text| text.map_or(0, |text| text.len() as u128)))
        }
        _ => {
            let each = array.get_array_memory_size() / array.len().max(1);
            Box::new(std::iter::repeat_n(each.max(8) as u128, array.len()))
        }
    }
}
