//! SELECT INTO: the rows of an answer become points of another measurement.
//!
//! As in InfluxDB the tags of GROUP BY stay tags, all columns become fields, rows without a value are no points, and the answer
//! says how many points there were. Everything is read before the first point is written.

use influxql::ast::{Select, Target};
use model::lineprotocol::{Unwritable, write_point};
use model::{BucketId, Column, FieldValue, FrameColumn, FrameValues, SeriesKey, Timestamp, Values};

use super::execute::{self, Series, SeriesSink};
use super::plan::{self, Plan};
use super::schema::Resolver;
use super::{Effects, InfluxqlContext, value};
use crate::error::Error;
use crate::limits::Budget;

/// Points of one write.
const POINTS_MAX: u64 = 5000;
/// Bytes of one write, about.
const BYTES_MAX: usize = 4 << 20;

/// Runs a SELECT that writes.
pub(super) fn run(
    select: &Select,
    target: &Target,
    resolver: &Resolver<'_>,
    budget: &Budget<'_>,
    context: &InfluxqlContext<'_>,
    sink: &mut SeriesSink<'_>,
) -> Result<(), Error> {
    let bucket = resolver.target(&target.measurement)?;
    // It may have come to be since the whole request was let in.
    if context.writable.is_some_and(|writable| !writable.contains(&bucket)) {
        return Error::invalid("not authorized to write to the target");
    }
    let effects = context.effects;
    let plan = plan::compile(select, resolver, None)?;
    if &*plan.time_name != "time" {
        return Error::invalid("error finding time index in result");
    }
    let mut writer = Writer {
        bucket,
        effects,
        name: &target.measurement.name,
        lines: String::new(),
        waiting: 0,
        written: 0,
    };
    execute::run(&plan, resolver, budget, &mut |mut series| {
        value::null_what_is_no_number(&mut series.frame);
        writer.take(&plan, &series, budget)
    })?;
    writer.flush(budget)?;
    let column = |name: &str, values: Values| FrameColumn {
        name: name.into(),
        group: false,
        values: FrameValues::Column(Column::new(values)),
    };
    let written = i64::try_from(writer.written).unwrap_or(i64::MAX);
    let columns =
        vec![column("time", Values::Time(vec![0])), column("written", Values::Integer(vec![written]))];
    sink(Series::new("result", model::Frame { columns, rows: 1 }))
}

/// Points on their way to a bucket.
struct Writer<'a> {
    bucket: BucketId,
    effects: &'a dyn Effects,
    /// The measurement; empty for those that the points come from.
    name: &'a str,
    lines: String,
    waiting: u64,
    written: u64,
}

impl Writer<'_> {
    fn take(&mut self, plan: &Plan, series: &Series, budget: &Budget<'_>) -> Result<(), Error> {
        let measurement = if self.name.is_empty() { &*series.name } else { self.name };
        let grouped = series.tags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let grouped: Vec<(&str, &str)> = grouped.filter(|(_, value)| !value.is_empty()).collect();
        let [times, columns @ ..] = series.frame.columns.as_slice() else { return Ok(()) };
        for row in 0..series.frame.rows {
            let Some(FieldValue::Integer(time)) = times.get(row) else { continue };
            let mut tags = grouped.clone();
            let mut of_point: Vec<(&str, String)> = Vec::new();
            let mut fields: Vec<(&str, FieldValue)> = Vec::new();
            for (at, column) in columns.iter().enumerate() {
                match column.get(row) {
                    Some(FieldValue::String(text)) if plan.point_tags.contains(&at) => {
                        of_point.push((&column.name, text));
                    }
                    Some(value) => fields.push((&column.name, value)),
                    None => {}
                }
            }
            tags.extend(of_point.iter().map(|(name, value)| (*name, value.as_str())));
            tags.sort_unstable();
            tags.dedup_by_key(|(name, _)| *name);
            let key =
                SeriesKey::new(measurement, &tags).map_err(|error| Error::Invalid(error.to_string()))?;
            match write_point(&mut self.lines, &key, fields, Some(Timestamp(time))) {
                Ok(()) => self.waiting += 1,
                Err(Unwritable::NoFields | Unwritable::Time | Unwritable::Float) => {}
                Err(error @ Unwritable::Name) => return Error::invalid(error.to_string()),
            }
            if self.waiting >= POINTS_MAX || self.lines.len() >= BYTES_MAX {
                self.flush(budget)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self, budget: &Budget<'_>) -> Result<(), Error> {
        budget.check()?;
        if self.waiting > 0 {
            self.effects.write(self.bucket, &self.lines).map_err(Error::Invalid)?;
            self.written += std::mem::take(&mut self.waiting);
            self.lines.clear();
        }
        Ok(())
    }
}
