//! What values cost in a file, everything included: pages, headers, directories, times, keys, footer.

use std::path::Path;

use disk::vfs::sim::Random;
use disk::{SimVfs, Vfs as _};
use model::{BucketId, Column, FieldType, SeriesKey, TimeRange, Values};

use super::super::Writer;
use super::super::format::{CHUNK_ROWS_MAX, Density};
use super::field;
use crate::codec::Effort;
use crate::merge::Rows;
use crate::options::Options;

const SERIES: u32 = 4;
const FIELDS: usize = 10;

/// A walk of normal steps between 0 and 100.
fn walk(random: &mut Random) -> Vec<f64> {
    let mut at = random.unit() * 100.0;
    (0..CHUNK_ROWS_MAX)
        .map(|_| {
            let normal = (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
            at = (at + normal).clamp(0.0, 100.0);
            at
        })
        .collect()
}

/// Bytes per value of a file of series of one chunk with ten fields.
fn density(effort: Effort, field_type: FieldType, mut values: impl FnMut(&mut Random) -> Values) -> f64 {
    let (vfs, path) = (SimVfs::new(), Path::new("/d/1.tsm"));
    vfs.create_dir_all(path.parent().unwrap()).unwrap();
    let bucket = BucketId::new(1).unwrap();
    let mut writer = Writer::create(&vfs, path, bucket, TimeRange::ALL, Density::Dense, effort).unwrap();
    let fields: Vec<_> = (0..FIELDS).map(|i| field(&format!("usage_{i}"), field_type)).collect();
    let mut random = Random::new(1);
    for host in 0..SERIES {
        writer.begin_series(host, SeriesKey::new("cpu", &[("host", &format!("host_{host}"))]).unwrap());
        let times = (0..).map(|i| i * 10_000_000_000).take(CHUNK_ROWS_MAX).collect();
        let columns = fields.iter().map(|_| Some(Column::new(values(&mut random)))).collect();
        writer.write_rows(Rows { times, columns }, &fields).unwrap();
        writer.end_series().unwrap();
    }
    writer.finish().unwrap().bytes as f64 / f64::from(SERIES) / (FIELDS * CHUNK_ROWS_MAX) as f64
}

#[test]
#[expect(clippy::cast_possible_truncation, reason = "TSBS cuts its walks off to integers")]
fn files_are_as_small_as_promised() {
    let integers = |r: &mut Random| Values::Integer(walk(r).into_iter().map(|v| v as i64).collect());
    let decimals =
        |r: &mut Random| Values::Float(walk(r).into_iter().map(|v| (v * 100.0).round() / 100.0).collect());
    let doubles = |r: &mut Random| Values::Float((0..CHUNK_ROWS_MAX).map(|_| r.unit()).collect());
    let dense = Effort::Dense(Options::STANDARD.dense_compression_level);
    let found = [
        density(dense, FieldType::Integer, integers),
        density(dense, FieldType::Float, decimals),
        density(dense, FieldType::Float, doubles),
        density(Effort::Fast, FieldType::Integer, integers),
        density(Effort::Fast, FieldType::Float, decimals),
        density(Effort::Fast, FieldType::Float, doubles),
    ];
    let promised = [0.2905, 1.121, 6.815, 0.3035, 1.127, 6.815];
    println!("bytes per value: {found:.3?}");
    assert!(found.iter().zip(promised).all(|(found, most)| *found <= most), "{found:.3?} of {promised:?}");
}
