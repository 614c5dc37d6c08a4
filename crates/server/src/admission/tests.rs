//! Which rows stay when there is no room for every new series.

use model::{BucketId, Column, FieldDef, FieldType, SeriesKey, SeriesRows, Table, Values};

use super::retain_series;

fn bucket() -> BucketId {
    BucketId::new(1).expect("not zero")
}

/// A table of series with so many rows each; the values count up from 0.
fn table(measurement: &str, rows_of_series: &[u32]) -> Table {
    let series = rows_of_series.iter().enumerate().map(|(i, &rows)| {
        let key = SeriesKey::new(measurement, &[("host", &*format!("h{i}"))]).expect("a key");
        SeriesRows { hash: key.hash(bucket()), key, rows }
    });
    let rows = i64::from(rows_of_series.iter().sum::<u32>());
    Table {
        measurement: measurement.into(),
        fields: vec![FieldDef { name: "v".into(), field_type: FieldType::Integer }],
        series: series.collect(),
        times: (0..rows).collect(),
        columns: vec![Column::new(Values::Integer((0..rows).collect()))],
    }
}

fn values(table: &Table) -> Vec<i64> {
    match &table.columns[0].values {
        Values::Integer(values) => values.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn known_series_stay_and_new_ones_as_long_as_there_is_room() {
    let tables = vec![table("a", &[2, 1, 3]), table("b", &[1, 2])];
    let mut batch = model::Batch { bucket: bucket(), shard_duration_ns: 0, tables };
    let gone = retain_series(&mut batch, &[true, false, true, true, false], 1);
    assert_eq!(gone, 4);
    assert_eq!(batch.tables.iter().map(values).collect::<Vec<_>>(), [vec![0, 1, 2], vec![1, 2]]);
    assert_eq!(batch.tables[0].series.len(), 2);

    let gone = retain_series(&mut batch, &[false, true, true], 0);
    assert_eq!(gone, 3);
    assert_eq!(batch.tables.len(), 1, "a table without rows goes");
    assert_eq!(values(&batch.tables[0]), [0, 1]);
}
