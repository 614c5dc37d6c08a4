//! Histograms: `linearBins`, `logarithmicBins`, `histogram`, `histogramQuantile`; and `covariance`.

use model::{Column, ColumnType, FieldType, Values};

use super::super::{Arguments, Builtin, Functions};
use crate::error::{FluxError, Result};
use crate::interpret::Context;
use crate::table::{Data, Table, TableColumn};
use crate::value::Value;
use crate::value::convert::{to_float, uint_to_float};

/// Bounds that a script may ask for.
const BINS_MAX: usize = 1_000_000;

pub(super) static FUNCTIONS: Functions = Functions::new(|| {
    vec![
        Builtin::new("linearBins", "start:float, width:float, count:int, ?infinity:bool => array", |_, a| {
            let (start, width) = (a.float_or("start", 0.0)?, a.float_or("width", 0.0)?);
            bins(a, |at| start + width * at)
        }),
        Builtin::new(
            "logarithmicBins",
            "start:float, factor:float, count:int, ?infinity:bool => array",
            |_, a| {
                let (start, factor) = (a.float_or("start", 0.0)?, a.float_or("factor", 0.0)?);
                bins(a, |at| start * factor.powf(at))
            },
        ),
        Builtin::new(
            "histogram",
            "tables<-stream, bins:array, ?column:string, ?upperBoundColumn:string, ?countColumn:string, \
             ?normalize:bool => stream",
            histogram,
        ),
        Builtin::new(
            "histogramQuantile",
            "tables<-stream, ?quantile:float, ?countColumn:string, ?upperBoundColumn:string, ?valueColumn:string, \
             ?minValue:float, ?onNonmonotonic:string => stream",
            histogram_quantile,
        ),
        Builtin::new(
            "covariance",
            "tables<-stream, columns:array, ?pearsonr:bool, ?valueDst:string => stream",
            covariance,
        ),
    ]
});

fn bins(arguments: &Arguments, bound: impl Fn(f64) -> f64) -> Result<Value> {
    let count = arguments.count_or("count", 0)?;
    if count > BINS_MAX {
        return Err(FluxError::invalid(format!("more than {BINS_MAX} bins (max-flux-bins)")));
    }
    let mut bounds: Vec<Value> = (0..count).map(|at| Value::Float(bound(uint_to_float(at as u64)))).collect();
    if arguments.bool_or("infinity", true)? {
        bounds.push(Value::Float(f64::INFINITY));
    }
    Ok(Value::array(bounds))
}

/// The values of a column that are not null, as floats.
fn floats(table: &Table, name: &str) -> Result<Vec<f64>> {
    let column = table.need(name)?;
    if !matches!(
        column.data.column_type(),
        ColumnType::Field(FieldType::Float | FieldType::Integer | FieldType::Unsigned)
    ) {
        return Err(FluxError::invalid(format!("column \"{name}\" is not a column of numbers")));
    }
    let mut values = Vec::with_capacity(table.rows);
    for row in 0..table.rows {
        if let Value::Float(value) = to_float(&column.value(row))? {
            values.push(value);
        }
    }
    Ok(values)
}

/// The group key with columns of floats after it.
fn with_floats<const N: usize>(table: &Table, columns: [(&str, Vec<f64>); N]) -> Table {
    let rows = columns.first().map_or(0, |(_, values)| values.len());
    let mut made = Table { columns: table.key_columns(), rows };
    for (name, values) in columns {
        made.set(TableColumn::new(name, Data::new(Column::new(Values::Float(values)))));
    }
    made
}

/// For each bound how many values are not above it.
fn histogram(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let mut bounds = Vec::new();
    for bound in arguments.array("bins")?.iter() {
        match bound {
            Value::Float(bound) => bounds.push(*bound),
            other => {
                let found = other.type_of().name();
                return Err(FluxError::invalid(format!("expected float but found {found} (argument bins)")));
            }
        }
    }
    if bounds.is_empty() {
        return Err(FluxError::invalid("bins must not be empty"));
    }
    bounds.sort_by(f64::total_cmp);
    let column = arguments.text_or("column", "_value")?;
    let le = arguments.text_or("upperBoundColumn", "le")?;
    let counts = arguments.text_or("countColumn", "_value")?;
    let normalize = arguments.bool_or("normalize", false)?;
    Ok(Value::Stream(input.map(move |context, table| {
        context.room(size_of::<f64>() * (table.rows + 2 * bounds.len()))?;
        let mut values = floats(&table, &column)?;
        values.sort_by(f64::total_cmp);
        let total = uint_to_float(values.len() as u64);
        let count = |bound: &f64| {
            let below = uint_to_float(values.partition_point(|value| value <= bound) as u64);
            if normalize { below / total } else { below }
        };
        context.count_rows(bounds.len())?;
        Ok(Some(with_floats(&table, [(&le, bounds.clone()), (&counts, bounds.iter().map(count).collect())])))
    })))
}

/// What to do where counts fall from one bound to the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Falling {
    Error,
    Drop,
    Force,
}

fn histogram_quantile(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let quantile = arguments.float_or("quantile", 0.0)?;
    if !(0.0..=1.0).contains(&quantile) {
        return Err(FluxError::invalid("quantile must be between 0 and 1"));
    }
    let counts = arguments.text_or("countColumn", "_value")?;
    let le = arguments.text_or("upperBoundColumn", "le")?;
    let value = arguments.text_or("valueColumn", "_value")?;
    let least = arguments.float_or("minValue", 0.0)?;
    let falling = match &*arguments.text_or("onNonmonotonic", "error")? {
        "error" => Falling::Error,
        "drop" => Falling::Drop,
        "force" => Falling::Force,
        other => {
            return Err(FluxError::invalid(format!(
                "onNonmonotonic \"{other}\" is unknown: must be error, drop or force"
            )));
        }
    };
    Ok(Value::Stream(input.map(move |_, table| {
        let (bounds, counts) = (floats(&table, &le)?, floats(&table, &counts)?);
        if bounds.len() != counts.len() {
            return Err(FluxError::invalid("a histogram has a bound or a count that is null"));
        }
        let mut buckets: Vec<(f64, f64)> = bounds.into_iter().zip(counts).collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut highest = f64::NEG_INFINITY;
        for (_, count) in &mut buckets {
            if *count < highest {
                match falling {
                    Falling::Error => {
                        return Err(FluxError::invalid("histogram records counts are not monotonic"));
                    }
                    Falling::Drop => return Ok(None),
                    Falling::Force => *count = highest,
                }
            }
            highest = highest.max(*count);
        }
        Ok(of_buckets(&buckets, quantile, least).map(|found| with_floats(&table, [(&value, vec![found])])))
    })))
}

/// The quantile of a cumulative histogram, interpolated between the bounds around it.
fn of_buckets(buckets: &[(f64, f64)], quantile: f64, least: f64) -> Option<f64> {
    let (highest_bound, total) = *buckets.last()?;
    let rank = quantile * total;
    let below = buckets.iter().rposition(|(_, count)| rank >= *count);
    let (lower_bound, lower_count) = match below {
        Some(at) if at + 1 == buckets.len() => return Some(highest_bound),
        Some(at) => *buckets.get(at)?,
        None => (least, 0.0),
    };
    let (upper_bound, upper_count) = *buckets.get(below.map_or(0, |at| at + 1))?;
    if rank <= lower_count || upper_bound == f64::INFINITY {
        return Some(lower_bound);
    }
    if lower_bound == f64::NEG_INFINITY {
        return Some(upper_bound);
    }
    let part = (rank - lower_count) / (upper_count - lower_count);
    Some(lower_bound + (upper_bound - lower_bound) * part)
}

/// The covariance of two columns of a sample, or their correlation.
fn covariance(_: &Context<'_>, arguments: &Arguments) -> Result<Value> {
    let input = arguments.stream("tables")?;
    let names = arguments.texts("columns")?.unwrap_or_default();
    let [one, other] = names.as_slice() else {
        return Err(FluxError::invalid("must provide exactly two columns"));
    };
    let (one, other) = (std::rc::Rc::clone(one), std::rc::Rc::clone(other));
    let is_correlation = arguments.bool_or("pearsonr", false)?;
    let value = arguments.text_or("valueDst", "_value")?;
    Ok(Value::Stream(input.map(move |_, table| {
        let (x, y) = (table.need(&one)?, table.need(&other)?);
        if x.data.column_type() != y.data.column_type() {
            return Err(FluxError::invalid("cannot compute the covariance between different types"));
        }
        // Means, and sums of products of distances from them, one pair after the other.
        let (mut n, mut mean_x, mut mean_y, mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        for row in 0..table.rows {
            let pair = (to_float(&x.value(row))?, to_float(&y.value(row))?);
            let (Value::Float(x), Value::Float(y)) = pair else { continue };
            n += 1.0;
            let (from_x, from_y) = (x - mean_x, y - mean_y);
            mean_x += from_x / n;
            mean_y += from_y / n;
            xx += from_x * (x - mean_x);
            yy += from_y * (y - mean_y);
            xy += from_x * (y - mean_y);
        }
        let found = if is_correlation { xy / (xx * yy).sqrt() } else { xy / (n - 1.0) };
        Ok(Some(with_floats(&table, [(&value, vec![found])])))
    })))
}
