//! Files alone: statistics, hostile bytes.

use std::path::Path;
use std::sync::Arc;

use disk::{SimVfs, Vfs as _};
use model::{BucketId, Column, FieldDef, FieldType, SeriesKey, StringColumn, TimeRange, Values};
use proptest::prelude::*;

use super::format::{Density, Footer, Trailer, take_lines};
use super::stats::Stats;
use super::{ChunkPiece, TsmFile, Writer, directory};
use crate::codec::Effort;
use crate::manifest::FileEntry;
use crate::merge::{Piece as _, Rows};

fn field(name: &str, field_type: FieldType) -> FieldDef {
    FieldDef { name: name.into(), field_type }
}

fn written(vfs: &SimVfs, path: &Path, rows: &[Rows], fields: &[FieldDef]) -> TsmFile {
    vfs.create_dir_all(path.parent().unwrap()).unwrap();
    let bucket = BucketId::new(1).unwrap();
    let mut writer =
        Writer::create(vfs, path, bucket, TimeRange::ALL, Density::Fast, Effort::Fast(4)).unwrap();
    writer.begin_series(&SeriesKey::new("m", &[("a", "b")]).unwrap());
    for rows in rows {
        writer.write_rows(rows, fields).unwrap();
    }
    writer.end_series().unwrap();
    let finished = writer.finish().unwrap();
    let entry = FileEntry {
        number: 1,
        order: 1,
        level: 0,
        density: Density::Fast,
        bucket,
        shard: TimeRange::ALL,
        bytes: finished.bytes,
        checksum: finished.checksum,
        rows: finished.rows,
        series: finished.series,
        times: finished.times,
        masked_from: 0,
    };
    TsmFile::open(vfs, path, &entry, |key| Some((0, key))).unwrap()
}

#[test]
fn statistics_are_those_of_each_page() {
    let vfs = SimVfs::new();
    let fields =
        [field("i", FieldType::Integer), field("f", FieldType::Float), field("b", FieldType::Boolean)];
    let mut sparse = Column::new(Values::Integer(Vec::new()));
    for i in 0..2000_i64 {
        if i % 2 == 0 { sparse.push(&model::FieldValue::Integer(i - 700)) } else { sparse.push_null() }
    }
    let rows = Rows {
        times: (0..2000).collect(),
        columns: vec![
            Some(sparse),
            Some(Column::new(Values::Float(
                (0..2000).map(|i| if i == 1500 { f64::NAN } else { 0.5 * f64::from(i) }).collect(),
            ))),
            Some(Column::new(Values::Boolean((0..2000).map(|i| i % 3 == 0).collect()))),
        ],
    };
    let file = written(&vfs, Path::new("/d/1.tsm"), &[rows], &fields);
    let chunks = file.chunks(&file.series[0]).unwrap();
    let [chunk] = &chunks[..] else { panic!("one chunk") };
    assert_eq!(chunk.page_rows, [1024, 976]);
    assert_eq!(chunk.time.pages[1].times, (1024, 1999));
    let page = |column: usize, page: usize| &chunk.fields[column].1.pages[page];
    assert_eq!(page(0, 0).values, 512);
    let sum = (0..512_i128).map(|i| i * 2 - 700).sum();
    assert_eq!(page(0, 0).stats, Stats::Integer { min: -700, max: 322, first: -700, last: 322, sum });
    let sum = (0..1024).map(|i| 0.5 * f64::from(i)).sum();
    assert_eq!(page(1, 0).stats, Stats::Float { min: 0.0, max: 511.5, first: 0.0, last: 511.5, sum });
    assert_eq!(page(1, 1).stats, Stats::None, "a NaN has no order");
    assert_eq!(page(2, 0).stats, Stats::Boolean { trues: 342, first: true, last: true });
}

#[test]
fn pages_of_long_texts_stay_small() {
    let vfs = SimVfs::new();
    let fields = [field("s", FieldType::String)];
    let text = "x".repeat(300_000);
    let values: StringColumn = (0..10).map(|_| text.as_str()).collect();
    let rows = Rows { times: (0..10).collect(), columns: vec![Some(Column::new(Values::String(values)))] };
    let file = Arc::new(written(&vfs, Path::new("/d/1.tsm"), std::slice::from_ref(&rows), &fields));
    let chunks = file.chunks(&file.series[0]).unwrap();
    assert_eq!(chunks[0].page_rows, [3, 3, 3, 1]);
    assert_eq!(ChunkPiece::whole(&file, &chunks[0]).load(&fields).unwrap(), rows);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_or_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let footer = Footer::decode(&bytes);
        if let Ok(footer) = &footer {
            prop_assert!(footer.fields.len() <= bytes.len());
        }
        if let Ok(chunks) = directory::decode(&bytes, 3, 8, 100) {
            prop_assert!(chunks.len() <= bytes.len());
        }
        if let Some(trailer) = bytes.first_chunk() {
            prop_assert!(Trailer::decode(trailer).is_err());
        }
        let _stats: Result<Stats, _> = Stats::decode(&mut &bytes[..]);
        let footer = Footer {
            bucket: BucketId::new(1).unwrap(),
            shard: TimeRange::ALL,
            times: (0, 0),
            rows: 0,
            series: 1,
            density: Density::Fast,
            fields: Vec::new(),
            layouts: vec![Vec::new()],
            table_offset: 0,
            table_len: 0,
            table_len_raw: 0,
            table_checksum: 0,
        };
        let _lines: Result<Vec<_>, _> = take_lines(&bytes, &footer);
    }

    #[test]
    fn statistics_round_trip(values in prop::collection::vec(any::<i64>(), 0..50)) {
        let unsigned = values.iter().map(|v| v.cast_unsigned()).collect();
        let floats = values.iter().map(|v| f64::from_bits(v.cast_unsigned() >> 2)).collect();
        for values in [Values::Integer(values), Values::Unsigned(unsigned), Values::Float(floats)] {
            let stats = Stats::of(&values);
            let mut bytes = Vec::new();
            stats.encode(&mut bytes);
            let mut input = &bytes[..];
            prop_assert_eq!(Stats::decode(&mut input).unwrap(), stats);
            prop_assert!(input.is_empty());
        }
    }
}
