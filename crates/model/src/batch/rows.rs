//! Taking rows and fields out of tables, and a batch apart by partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Batch, SeriesRows, Table};
use crate::column::Bitmap;
use crate::ids::PartitionId;
use crate::series::partition_of_hash;

impl Batch {
    /// The parts of the batch that belong to each partition, by partition; nothing for an empty batch.
    /// `partitions` is a power of two. Copies only when there is more than one part.
    pub fn split(self, partitions: u16) -> Vec<(PartitionId, Self)> {
        let mut series = self.tables.iter().flat_map(|t| &t.series);
        let of = |series: &SeriesRows| partition_of_hash(series.hash, partitions);
        let Some(first) = series.next().map(of) else { return Vec::new() };
        if series.all(|s| of(s) == first) {
            return vec![(first, self)];
        }
        let mut parts: BTreeMap<PartitionId, Self> = BTreeMap::new();
        for table in &self.tables {
            for (partition, part) in table.split(partitions) {
                let empty = || Self { tables: Vec::new(), ..self.settings() };
                parts.entry(partition).or_insert_with(empty).tables.push(part);
            }
        }
        parts.into_iter().collect()
    }

    const fn settings(&self) -> Self {
        Self { bucket: self.bucket, shard_duration_ns: self.shard_duration_ns, tables: Vec::new() }
    }
}

impl Table {
    fn split(&self, partitions: u16) -> BTreeMap<PartitionId, Self> {
        let mut parts: BTreeMap<PartitionId, (Vec<SeriesRows>, Vec<u32>)> = BTreeMap::new();
        for (series, range) in self.series_ranges() {
            let (list, rows) = parts.entry(partition_of_hash(series.hash, partitions)).or_default();
            list.push(series.clone());
            rows.extend(range.map(|row| u32::try_from(row).expect("a batch has fewer than 2^32 rows")));
        }
        parts.into_iter().map(|(partition, (series, rows))| (partition, self.select(series, &rows))).collect()
    }

    /// The table of some series and the rows that are theirs, without fields that have no value there.
    fn select(&self, series: Vec<SeriesRows>, rows: &[u32]) -> Self {
        let mut table = Self {
            measurement: Arc::clone(&self.measurement),
            fields: self.fields.clone(),
            series,
            times: rows.iter().map(|&row| self.times[row as usize]).collect(),
            columns: self.columns.iter().map(|column| column.gather(rows)).collect(),
        };
        table.drop_unused_fields();
        table
    }

    /// Keeps the rows whose bit is set and returns how many went. Series without rows and fields without values
    /// go too. Panics when there is not one bit per row.
    pub fn retain_rows(&mut self, keep: &Bitmap) -> usize {
        let rows = self.times.len();
        assert_eq!(keep.len(), rows, "one bit per row");
        let kept = keep.ones();
        if kept.len() == rows {
            return 0;
        }
        let mut series = Vec::with_capacity(self.series.len());
        for (one, range) in self.series_ranges() {
            let begin = kept.partition_point(|&row| (row as usize) < range.start);
            let end = kept.partition_point(|&row| (row as usize) < range.end);
            let rows = u32::try_from(end - begin).expect("fewer than before");
            if rows > 0 {
                series.push(SeriesRows { rows, ..one.clone() });
            }
        }
        *self = self.select(series, &kept);
        rows - kept.len()
    }

    /// Takes out the field at `index` and then the rows that had no other; returns how many rows went. Panics when
    /// there is no such field.
    pub fn remove_field(&mut self, index: usize) -> usize {
        self.fields.remove(index);
        self.columns.remove(index);
        self.rows_with_fields().map_or(0, |keep| self.retain_rows(&keep))
    }

    fn drop_unused_fields(&mut self) {
        let rows = self.times.len();
        let used: Vec<bool> = self.columns.iter().map(|column| column.null_count() < rows).collect();
        let mut of_field = used.iter();
        self.fields.retain(|_| *of_field.next().expect("one column per field"));
        let mut of_column = used.iter();
        self.columns.retain(|_| *of_column.next().expect("as many as there were"));
        for column in &mut self.columns {
            if column.null_count() == 0 {
                column.valid = None;
            }
        }
    }
}
