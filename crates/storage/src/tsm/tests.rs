//! Files alone: statistics, hostile bytes.

use std::path::Path;
use std::sync::Arc;

use disk::{SimVfs, Vfs as _};
use model::{BucketId, Column, FieldDef, FieldType, SeriesKey, StringColumn, TimeRange, Values};
use proptest::prelude::*;

use super::directory::TimesBefore;
use super::format::{Density, Footer, KIND, Part, TRAILER_BYTES, Trailer, checksum};
use super::stats::Stats;
use super::table::Table;
use super::{ChunkPiece, FilePiece, Finished, Packs, TsmFile, Writer, check, directory};
use crate::cache::Reads;
use crate::codec::Effort;
use crate::error::{Damage, OpenError};
use crate::manifest::FileEntry;
use crate::merge::{Piece as _, Rows};

mod density;

fn field(name: &str, field_type: FieldType) -> FieldDef {
    FieldDef { name: name.into(), field_type }
}

fn written(vfs: &SimVfs, path: &Path, rows: &[Rows], fields: &[FieldDef]) -> TsmFile {
    vfs.create_dir_all(path.parent().unwrap()).unwrap();
    let bucket = BucketId::new(1).unwrap();
    let mut writer = Writer::create(vfs, path, bucket, TimeRange::ALL, Density::Fast, Effort::Fast).unwrap();
    writer.begin_series(0, SeriesKey::new("m", &[("a", "b")]).unwrap());
    for rows in rows {
        writer.write_rows(rows.clone(), fields).unwrap();
    }
    writer.end_series().unwrap();
    let finished = writer.finish().unwrap();
    TsmFile::open(vfs, path, &entry(&finished)).unwrap()
}

fn entry(finished: &Finished) -> FileEntry {
    FileEntry {
        number: 1,
        order: 1,
        level: 0,
        density: Density::Fast,
        bucket: BucketId::new(1).unwrap(),
        shard: TimeRange::ALL,
        bytes: finished.bytes,
        checksum: finished.checksum,
        footer_checksum: finished.footer_checksum,
        rows: finished.rows,
        series: finished.series,
        times: finished.times,
        masked_from: 0,
    }
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
    let chunks = file.chunks(&file.find(0).unwrap(), &Reads::bypass()).unwrap();
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
    let chunks = file.chunks(&file.find(0).unwrap(), &Reads::bypass()).unwrap();
    assert_eq!(chunks[0].page_rows, [3, 3, 3, 1]);
    assert_eq!(ChunkPiece::whole(&file, &chunks[0], &Reads::bypass()).load(&fields).unwrap(), rows);
}

/// A file of short series, each with the fields that its number says.
fn packed(vfs: &SimVfs, lengths: &[usize]) -> (Arc<TsmFile>, Vec<Rows>) {
    let path = Path::new("/d/2.tsm");
    vfs.create_dir_all(path.parent().unwrap()).unwrap();
    let bucket = BucketId::new(1).unwrap();
    let fields = [field("i", FieldType::Integer), field("f", FieldType::Float)];
    let mut writer = Writer::create(vfs, path, bucket, TimeRange::ALL, Density::Fast, Effort::Fast).unwrap();
    let mut written = Vec::new();
    for (id, &len) in (0_u32..).step_by(3).zip(lengths) {
        let times: Vec<i64> = (0..len).map(|i| i64::try_from(i * 10).unwrap() + i64::from(id)).collect();
        let integers = Column::new(Values::Integer(times.iter().map(|t| t * 2).collect()));
        let mut floats = Column::new(Values::Float(Vec::new()));
        for i in 0..len {
            if i % 4 == 3 { floats.push_null() } else { floats.push(&model::FieldValue::Float(0.5)) }
        }
        // Most have both fields; now and then one has the first alone.
        let floats = (id % 999 != 0).then_some(floats);
        let rows = Rows { times, columns: vec![Some(integers), floats] };
        writer.begin_series(id, key_of(id));
        for start in (0..len).step_by(8192) {
            writer.write_rows(rows.slice(start..len.min(start + 8192)), &fields).unwrap();
        }
        writer.end_series().unwrap();
        written.push(rows);
    }
    let finished = writer.finish().unwrap();
    (Arc::new(TsmFile::open(vfs, path, &entry(&finished)).unwrap()), written)
}

fn key_of(id: u32) -> SeriesKey {
    SeriesKey::new("m", &[("id", &format!("{id:05}")), ("zone", "x")]).unwrap()
}

#[test]
fn short_series_share_pages_and_read_back_alone() {
    let fields = [field("i", FieldType::Integer), field("f", FieldType::Float)];
    let lengths: Vec<usize> =
        (0..2000).map(|i| if i % 301 == 300 { 257 } else { 1 + i % 6 }).chain([9000, 256, 255, 1]).collect();
    let (file, written) = packed(&SimVfs::new(), &lengths);
    let mut packs = Packs::new(Reads::bypass());
    let all: Vec<_> = file.series().collect();
    assert_eq!(all.len(), written.len());
    for (series, rows) in all.iter().zip(&written) {
        let found = file.find(series.id).unwrap();
        assert_eq!(found.unit, series.unit);
        let mut read = Rows::empty(2);
        for piece in FilePiece::of(&file, &found, &mut packs).unwrap() {
            let part = piece.load(&fields).unwrap();
            read.extend(&part, 0..part.times.len());
        }
        assert_eq!(&read, rows, "series {}", series.id);
        assert_eq!(file.fields_of(&found).count(), rows.columns.iter().flatten().count());
    }
    assert!(file.find(1).is_none() && file.find(9_000_000).is_none());
    let units = all.iter().filter(|s| s.unit.is_pack()).map(|s| s.unit.ordinal);
    let units: std::collections::BTreeSet<_> = units.collect();
    assert!(units.len() < 40, "{} packs", units.len());
    let mut keys = Vec::new();
    file.keys(|key| keys.push(key)).unwrap();
    assert_eq!(keys, all.iter().map(|series| key_of(series.id)).collect::<Vec<_>>());
}

#[test]
fn short_series_take_few_bytes() {
    let lengths = vec![2; 20_000];
    let vfs = SimVfs::new();
    let (file, _) = packed(&vfs, &lengths);
    let keys = file.footer.keys_len;
    println!("{} bytes, {keys} of them keys, {} in memory", file.entry.bytes, file.memory());
    assert!(file.entry.bytes < 20_000 * 12);
    assert!(file.memory() < 20_000);
}

/// Replaces four bytes that stand somewhere in a file once.
fn replace(bytes: &mut [u8], old: u32, new: u32) {
    let at = bytes.windows(4).rposition(|window| window == old.to_le_bytes()).unwrap();
    bytes[at..at + 4].copy_from_slice(&new.to_le_bytes());
}

#[test]
fn a_directory_that_lies_under_sound_checksums_is_told_by_the_values() {
    let vfs = SimVfs::new();
    let fields = [field("i", FieldType::Integer)];
    let values = Values::Integer((0..100).map(|i| i * i % 37).collect());
    let rows = Rows { times: (0..100).collect(), columns: vec![Some(Column::new(values))] };
    let path = Path::new("/d/1.tsm");
    let file = written(&vfs, path, &[rows], &fields);
    let damage = |file: &TsmFile| {
        let mut found = Vec::new();
        check::check(file, &mut |error| found.push(error.to_string()));
        found
    };
    assert!(damage(&file).is_empty());

    // A sum that is one too high, and every checksum above it made right again.
    let unit = file.units().next().unwrap();
    let at = usize::try_from(unit.offset + unit.pages_len).unwrap();
    let (_, mut chunks) = file.directory(&unit).unwrap();
    let page = &mut chunks[0].fields[0].1.pages[0];
    let Stats::Integer { min, max, first, last, sum } = page.stats else { panic!("integers") };
    page.stats = Stats::Integer { min, max, first, last, sum: sum + 1 };
    let mut directory = Vec::new();
    chunks[0].encode(&mut directory, &mut TimesBefore::default());
    let mut bytes = vec![0; usize::try_from(file.entry.bytes).unwrap()];
    let opened = vfs.open(path).unwrap();
    opened.read_exact_at(&mut bytes, 0).unwrap();
    bytes[at..at + directory.len()].copy_from_slice(&directory);
    replace(&mut bytes, unit.directory_checksum, checksum(&directory));
    let table = file.footer.table;
    let (start, end) =
        (usize::try_from(table.offset).unwrap(), usize::try_from(table.end().unwrap()).unwrap());
    let sum = checksum(&bytes[start..end]);
    replace(&mut bytes, table.checksum, sum);
    let mut trailer = Trailer::decode(bytes.last_chunk().unwrap(), &KIND).unwrap();
    let footer_at = usize::try_from(trailer.footer_offset).unwrap();
    let trailer_at = bytes.len() - TRAILER_BYTES;
    trailer.footer_checksum = checksum(&bytes[footer_at..trailer_at]);
    bytes[trailer_at..].copy_from_slice(&trailer.encode(&KIND));
    opened.write_all_at(&bytes, 0).unwrap();
    // Such a file is another than the one that was written.
    let error = TsmFile::open(&vfs, path, &file.entry).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { offset: 0, source: Damage::Differs(_), .. }), "{error}");
    let entry = FileEntry { footer_checksum: trailer.footer_checksum, ..file.entry };
    let file = TsmFile::open(&vfs, path, &entry).unwrap();
    let [found] = &damage(&file)[..] else { panic!("one flaw") };
    assert!(found.starts_with("/d/1.tsm is damaged at byte "), "{found}");
}

#[test]
fn a_file_of_another_version_is_told_from_a_damaged_one() {
    let vfs = SimVfs::new();
    let path = Path::new("/d/1.tsm");
    let rows = Rows { times: vec![1], columns: vec![Some(Column::new(Values::Integer(vec![1])))] };
    let file = written(&vfs, path, &[rows], &[field("i", FieldType::Integer)]);
    let len = usize::try_from(file.entry.bytes).unwrap();
    let mut bytes = vec![0; len];
    vfs.open(path).unwrap().read_exact_at(&mut bytes, 0).unwrap();
    let told = |header: u8, version: u8| {
        let mut bytes = bytes.clone();
        bytes[7] = header;
        let trailer = &mut bytes[len - TRAILER_BYTES..];
        trailer[16] = version;
        let sum = checksum(&trailer[..20]);
        trailer[20..24].copy_from_slice(&sum.to_le_bytes());
        vfs.open(path).unwrap().write_all_at(&bytes, 0).unwrap();
        TsmFile::open(&vfs, path, &file.entry).map_err(|error| error.to_string())
    };
    assert!(told(4, 4).is_ok());
    assert_eq!(
        told(5, 5).unwrap_err(),
        "/d/1.tsm was written by a newer version (TSM format 5, this version reads 4)"
    );
    assert_eq!(
        told(3, 3).unwrap_err(),
        "/d/1.tsm was written by an older version (TSM format 3, this version reads 4)"
    );
    assert_eq!(told(5, 4).unwrap_err(), "/d/1.tsm is damaged at byte 7");
}

#[test]
fn few_bytes_do_not_become_many_keys_or_layouts() {
    let long = "x".repeat(50_000);
    let mut builder = super::keys::KeysBuilder::default();
    let keys: Vec<_> = (0..100).map(|i| SeriesKey::new(&format!("{long}{i:02}"), &[]).unwrap()).collect();
    keys.iter().for_each(|key| builder.push(key));
    let bytes = builder.finish();
    let mut read = Vec::new();
    super::keys::read(&bytes, |key| read.push(key)).unwrap();
    assert!(read == keys, "all of them, in several blocks");

    // The same in one block, as no writer of ours makes it.
    let mut block = Vec::new();
    model::varint::put(&mut block, 0);
    model::varint::put_bytes(&mut block, keys[0].as_bytes());
    for _ in 1..100 {
        model::varint::put(&mut block, keys[0].as_bytes().len() as u64 - 2);
        model::varint::put_bytes(&mut block, b"00");
    }
    let mut bytes = Vec::new();
    let packed = lz4_flex::block::compress(&block);
    [100, block.len(), packed.len()].iter().for_each(|&n| model::varint::put(&mut bytes, n as u64));
    let sum = crc32c::crc32c_append(checksum(&bytes), &packed);
    bytes.extend(sum.to_le_bytes());
    bytes.extend(packed);
    let mut read = 0;
    super::keys::read(&bytes, |_| read += 1).unwrap_err();
    assert!(read < 25, "{read}");

    let footer = empty_footer(100, Part::default());
    assert!(Footer::decode(&footer.encode(), 1100).is_ok());
    Footer::decode(&footer.encode(), 1000).unwrap_err();
}

/// The footer of a file without rows, with so many layouts.
fn empty_footer(layouts: usize, table: Part) -> Footer {
    Footer {
        bucket: BucketId::new(1).unwrap(),
        shard: TimeRange::ALL,
        times: (0, 0),
        rows: 0,
        series: 1,
        density: Density::Fast,
        fields: Vec::new(),
        layouts: vec![Vec::new(); layouts],
        table,
        presence: Part::default(),
        keys_len: 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_or_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let footer = Footer::decode(&bytes, 1 << 20);
        if let Ok(footer) = &footer {
            prop_assert!(footer.fields.len() <= bytes.len());
        }
        let fields = [("f", FieldType::Float), ("i", FieldType::Integer), ("u", FieldType::Unsigned)];
        let fields = fields.map(|(name, field_type)| field(name, field_type));
        if let Ok(chunks) = directory::decode(&bytes, &fields, 8, 100) {
            prop_assert!(chunks.len() <= bytes.len());
        }
        if let Some(trailer) = bytes.first_chunk() {
            prop_assert!(Trailer::decode(trailer, &KIND).is_err());
        }
        if let Some((form, mut rest)) = bytes.split_first() {
            let mut before = i64::MIN;
            let _stats: Result<Stats, _> = Stats::decode(&mut rest, *form, usize::MAX, &mut before);
        }
        let footer = empty_footer(1, Part { offset: 1000, ..Part::default() });
        if let Ok(table) = Table::open(bytes.clone(), &footer) {
            prop_assert!(table.units().count() <= bytes.len());
        }
        if let Ok((ends, _)) = directory::decode_pack(&bytes, 3, &fields, 8, 100) {
            prop_assert_eq!(ends.len(), 3);
        }
        let mut keys = 0;
        let _read: Result<(), _> = super::keys::read(&bytes, |_| keys += 1);
        prop_assert_eq!(keys, 0);
    }

    #[test]
    fn statistics_round_trip(values in prop::collection::vec(any::<i64>(), 0..50)) {
        let unsigned = values.iter().map(|v| v.cast_unsigned()).collect();
        let floats = values.iter().map(|v| f64::from_bits(v.cast_unsigned() >> 2)).collect();
        let decimals = values.iter().map(|v| (v >> 30) as f64 / 1000.0).collect();
        let whole = values.iter().map(|v| (v >> 30) as f64).collect();
        let count = values.len();
        for (values, field_type) in [
            (Values::Integer(values), FieldType::Integer),
            (Values::Unsigned(unsigned), FieldType::Unsigned),
            (Values::Float(floats), FieldType::Float),
            (Values::Float(decimals), FieldType::Float),
            (Values::Float(whole), FieldType::Float),
        ] {
            let stats = Stats::of(&values, 0..count);
            for claimed in [FieldType::Integer, FieldType::Unsigned, FieldType::Float] {
                let fits = claimed == field_type || stats == Stats::None;
                prop_assert_eq!(stats.may_be_of(claimed, count), fits);
            }
            let (mut bytes, mut before) = (Vec::new(), 17);
            stats.encode(&mut bytes, count, &mut before);
            let (mut input, mut read_before) = (&bytes[..], 17);
            prop_assert_eq!(Stats::decode(&mut input, stats.form(), count, &mut read_before).unwrap(), stats);
            prop_assert!(input.is_empty());
            prop_assert_eq!(read_before, before);
        }
    }
}

#[test]
fn statistics_that_no_values_have_are_refused() {
    let integers = |min, max, first, last, sum| Stats::Integer { min, max, first, last, sum };
    assert!(integers(-2, 5, 0, 5, 3).may_be_of(FieldType::Integer, 3));
    for hostile in [
        integers(-2, 5, 0, 5, i128::MAX),
        integers(-2, 5, 0, 5, 16),
        integers(-2, 5, 0, 5, -7),
        integers(-2, 5, 6, 5, 3),
        integers(-2, 5, 0, -3, 3),
        integers(5, -2, 0, 0, 0),
    ] {
        assert!(!hostile.may_be_of(FieldType::Integer, 3), "{hostile:?}");
    }
    let unsigned = |min, max, sum| Stats::Unsigned { min, max, first: min, last: max, sum };
    assert!(unsigned(1, u64::MAX, u128::from(u64::MAX) + 1).may_be_of(FieldType::Unsigned, 2));
    assert!(!unsigned(1, u64::MAX, u128::MAX).may_be_of(FieldType::Unsigned, 2));
    let floats = |min, max| Stats::Float { min, max, first: min, last: max, sum: 0.0 };
    assert!(floats(-0.0, 0.0).may_be_of(FieldType::Float, 2));
    assert!(!floats(f64::NAN, 1.0).may_be_of(FieldType::Float, 2));
    let booleans = Stats::Boolean { trues: 3, first: true, last: true };
    assert!(booleans.may_be_of(FieldType::Boolean, 3) && !booleans.may_be_of(FieldType::Boolean, 2));
    assert!(!booleans.may_be_of(FieldType::Integer, 3));
    assert!(!integers(0, 0, 0, 0, 0).may_be_of(FieldType::Integer, 0));
}
