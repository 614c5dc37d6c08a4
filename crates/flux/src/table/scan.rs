//! `from |> range |> filter`: stored data as tables, one per series and field, with what can be pushed down pushed.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use model::{
    Bitmap, BucketId, Column, Predicate, ScanRequest, SeriesBlock, SeriesKey, TimeRange, Timestamp, Values,
};

use super::pushdown;
use super::{Data, Table, TableColumn, Tables};
use crate::error::{FluxError, Result};
use crate::interpret::{Context, Function, RowFunction, RowTable};
use crate::source::BucketRef;
use crate::stdlib::filter_table;

/// A scan of a bucket with its range and filters.
#[derive(Clone)]
pub(crate) struct From {
    pub(crate) bucket: BucketRef,
    pub(crate) range: Option<(i64, i64)>,
    pub(crate) filters: Vec<Function>,
}

/// The fields of one series so far: times and values of each.
type Fields = BTreeMap<Arc<str>, (Vec<i64>, Column)>;

impl From {
    /// The bucket's id, or the error that there is none.
    pub(crate) fn bucket_id(&self, context: &Context<'_>) -> Result<BucketId> {
        context.source.bucket(&self.bucket)?.ok_or_else(|| FluxError::BucketNotFound(self.bucket_name()))
    }

    pub(crate) fn bucket_name(&self) -> String {
        match &self.bucket {
            BucketRef::Name(name) => name.clone(),
            BucketRef::Id(id) => id.to_string(),
        }
    }

    /// What the source is asked for, and what is left of the filters for the rows.
    pub(super) fn request(&self, context: &Context<'_>) -> Result<(ScanRequest, Vec<RowFunction>)> {
        let Some((start, stop)) = self.range else {
            return Err(FluxError::Invalid(format!(
                "cannot submit unbounded read to \"{}\"; try bounding 'from' with a call to 'range'",
                self.bucket_name()
            )));
        };
        let bucket = self.bucket_id(context)?;
        let mut predicate = Predicate::TRUE;
        let mut rest = Vec::new();
        for filter in &self.filters {
            let split = pushdown::split(filter, context)?;
            predicate = predicate.and(split.pushed);
            if split.rest.as_ref().is_none_or(|parts| !parts.is_empty()) {
                rest.push(RowFunction::new(filter, "r", context)?.only(split.rest));
            }
        }
        let fields = pushdown::fields(&predicate);
        let range = TimeRange::new(Timestamp(start), Timestamp(stop));
        Ok((ScanRequest { bucket, range, predicate, fields }, rest))
    }

    pub(crate) fn open<'x>(from: &Rc<Self>, context: &'x Context<'x>) -> Result<Tables<'x>> {
        let (request, rest) = from.request(context)?;
        let range = (request.range.start.0, request.range.end.0);
        let blocks = context.source.scan(&request)?;
        let mut tables = SeriesTables { blocks, context, range, current: None, ready: Vec::new() };
        Ok(Box::new(std::iter::from_fn(move || {
            'tables: loop {
                let mut table = match tables.next()? {
                    Ok(table) => table,
                    Err(error) => return Some(Err(error)),
                };
                for filter in &rest {
                    match filter_table(context, RowTable::new(table), filter) {
                        Ok(kept) if kept.rows == 0 => continue 'tables,
                        Ok(kept) => table = kept,
                        Err(error) => return Some(Err(error)),
                    }
                }
                return Some(Ok(table));
            }
        })))
    }
}

/// Blocks of series to tables.
struct SeriesTables<'x> {
    blocks: crate::source::Blocks<'x>,
    context: &'x Context<'x>,
    range: (i64, i64),
    current: Option<(SeriesKey, Fields)>,
    /// Tables of the last whole series, last first.
    ready: Vec<Table>,
}

impl Iterator for SeriesTables<'_> {
    type Item = Result<Table>;

    fn next(&mut self) -> Option<Result<Table>> {
        loop {
            if let Some(table) = self.ready.pop() {
                return Some(Ok(table));
            }
            match self.blocks.next() {
                Some(Ok(block)) => {
                    if let Err(error) = self.add(block) {
                        return Some(Err(error));
                    }
                }
                Some(Err(error)) => return Some(Err(error.into())),
                None => {
                    self.finish();
                    return self.ready.pop().map(Ok);
                }
            }
        }
    }
}

impl SeriesTables<'_> {
    fn add(&mut self, block: SeriesBlock) -> Result<()> {
        self.context.check_cancelled()?;
        if self.current.as_ref().is_none_or(|(key, _)| *key != block.key) {
            self.finish();
            self.current = Some((block.key, Fields::new()));
        }
        let Some((_, fields)) = &mut self.current else { return Ok(()) };
        for (name, column) in block.fields {
            self.context.count_rows(column.len() - column.null_count())?;
            let (times, values) =
                fields.entry(name).or_insert_with(|| (Vec::new(), Column::empty(column.column_type())));
            append(times, values, &block.times, &column)?;
        }
        Ok(())
    }

    /// Turns the fields of the current series into tables.
    fn finish(&mut self) {
        let Some((key, fields)) = self.current.take() else { return };
        for (field, (times, values)) in fields.into_iter().rev() {
            if !times.is_empty() {
                self.ready.push(series_table(self.range, &key, &field, times, values));
            }
        }
    }
}

/// The table of a field of a series.
pub(super) fn series_table(
    (start, stop): (i64, i64),
    key: &SeriesKey,
    field: &str,
    times: Vec<i64>,
    values: Column,
) -> Table {
    let rows = times.len();
    let mut columns = vec![
        TableColumn::key("_start", Data::time(start)),
        TableColumn::key("_stop", Data::time(stop)),
        TableColumn::new("_time", Data::new(Column::new(Values::Time(times)))),
        TableColumn::new("_value", Data::new(values)),
        TableColumn::key("_field", Data::text(field)),
        TableColumn::key("_measurement", Data::text(key.measurement())),
    ];
    columns.extend(key.tags().map(|(name, value)| TableColumn::key(name, Data::text(value))));
    Table { columns, rows }
}

/// Appends the rows that hold a value.
fn append(times: &mut Vec<i64>, values: &mut Column, new_times: &[i64], new: &Column) -> Result<()> {
    if values.column_type() != new.column_type() {
        return Err(FluxError::invalid("a field has two types in one series"));
    }
    match &new.valid {
        Some(valid) if !Bitmap::all(valid) => {
            for (row, time) in new_times.iter().enumerate() {
                if valid.get(row) {
                    times.push(*time);
                    values.values.extend_from(&new.values, row, row + 1);
                }
            }
        }
        _ => {
            times.extend_from_slice(new_times);
            values.values.extend_from(&new.values, 0, new.values.len());
        }
    }
    Ok(())
}
