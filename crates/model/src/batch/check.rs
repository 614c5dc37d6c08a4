//! The invariants of a table as a check, for tables that come from outside of this process.

use hashbrown::{HashSet, HashTable};

use super::Table;
use crate::column::{Bitmap, ColumnType};
use crate::ids::BucketId;

impl Table {
    /// Whether every invariant holds; if not, which does not.
    pub fn check(&self, bucket: BucketId) -> Result<(), &'static str> {
        let ensure = |holds: bool, broken: &'static str| if holds { Ok(()) } else { Err(broken) };
        let rows = self.times.len();
        ensure(!self.measurement.is_empty(), "the measurement is empty")?;
        ensure(rows > 0, "a table has no rows")?;
        let total: usize = self.series.iter().map(|s| s.rows as usize).sum();
        ensure(total == rows, "the rows of the series are not those of the table")?;
        ensure(self.columns.len() == self.fields.len(), "fields and columns differ in number")?;
        let mut names = HashSet::with_capacity(self.fields.len());
        for (field, column) in self.fields.iter().zip(&self.columns) {
            ensure(!field.name.is_empty(), "a field has no name")?;
            ensure(names.insert((&*field.name, field.field_type)), "a field occurs twice")?;
            ensure(
                column.column_type() == ColumnType::Field(field.field_type),
                "a column is not of its field's type",
            )?;
            let as_long = column.len() == rows && column.valid.as_ref().is_none_or(|v| v.len() == rows);
            ensure(as_long, "a column is not as long as the table")?;
        }
        let mut keys: HashTable<usize> = HashTable::with_capacity(self.series.len());
        for (i, series) in self.series.iter().enumerate() {
            ensure(series.rows > 0, "a series has no rows")?;
            ensure(series.key.measurement() == &*self.measurement, "a series is of another measurement")?;
            ensure(series.hash == series.key.hash(bucket), "a series has a wrong hash")?;
            let same = |other: &usize| self.series[*other].key == series.key;
            ensure(keys.find(series.hash, same).is_none(), "a series occurs twice")?;
            keys.insert_unique(series.hash, i, |other| self.series[*other].hash);
        }
        ensure(self.rows_with_fields().is_none_or(|r| r.all()), "a row has no field")
    }

    /// Which rows have a field; `None` when some column has a value in every row.
    pub(super) fn rows_with_fields(&self) -> Option<Bitmap> {
        let mut any = Bitmap::filled(false, self.times.len());
        for column in &self.columns {
            any.or(column.valid.as_ref()?);
        }
        Some(any)
    }
}
