//! Summaries against the definitions of the aggregates, evaluated value by value over what a scan returns (which the
//! model test compares with the sorted map).

use std::collections::BTreeMap;
use std::sync::Arc;

use disk::Vfs as _;
use disk::vfs::sim::Random;
use memory::{Account, Allowance, Memory, Shares};
use model::summary::{Point, Sums, Windows};
use model::{
    Cells, Column, Ends, FieldSelection, FieldValue, GroupSummary, Grouping, Predicate, ScanRequest,
    SeriesBlock, SeriesKey, SummaryRequest, TimeRange, Timestamp, Wanted,
};

use super::oracle::Exact;
use super::support::{World, bucket, integers, key, position, scan_all, write};
use crate::{Commons, Engine, ReadError};

/// The values of a field of a series, by time.
type Values = BTreeMap<(SeriesKey, Arc<str>), Vec<(i64, FieldValue)>>;

fn values(engine: &Engine, request: &ScanRequest) -> Values {
    let mut all = Values::new();
    for block in engine.scan(request).unwrap() {
        let block = block.unwrap();
        for (name, column) in &block.fields {
            let points = all.entry((block.key.clone(), Arc::clone(name))).or_default();
            points.extend((0..column.len()).filter_map(|i| Some((block.times[i], column.get(i)?))));
        }
    }
    all
}

fn less(a: &FieldValue, b: &FieldValue) -> bool {
    match (a, b) {
        (FieldValue::Float(a), FieldValue::Float(b)) => a < b,
        (FieldValue::Integer(a), FieldValue::Integer(b)) => a < b,
        (FieldValue::Unsigned(a), FieldValue::Unsigned(b)) => a < b,
        (FieldValue::Boolean(a), FieldValue::Boolean(b)) => !a & b,
        (FieldValue::String(a), FieldValue::String(b)) => a < b,
        _ => panic!("{a:?} and {b:?}"),
    }
}

/// One window as it is defined to be.
#[derive(Debug, Clone)]
struct Naive {
    count: u64,
    floats: f64,
    magnitude: f64,
    numbers: Vec<f64>,
    integers: i128,
    min: (i64, FieldValue),
    max: (i64, FieldValue),
    first: (i64, FieldValue),
    last: (i64, FieldValue),
}

impl Naive {
    fn new(time: i64, value: &FieldValue) -> Self {
        let point = (time, value.clone());
        let mut new = Self {
            count: 0,
            floats: 0.0,
            magnitude: 0.0,
            numbers: Vec::new(),
            integers: 0,
            min: point.clone(),
            max: point.clone(),
            first: point.clone(),
            last: point,
        };
        new.sum(value);
        new
    }

    fn sum(&mut self, value: &FieldValue) {
        self.count += 1;
        match value {
            FieldValue::Float(v) => {
                self.floats += v;
                self.magnitude += v.abs();
                self.numbers.push(*v);
            }
            FieldValue::Integer(v) => {
                self.integers += i128::from(*v);
                self.numbers.push(*v as f64);
            }
            FieldValue::Unsigned(v) => {
                self.integers += i128::from(*v);
                self.numbers.push(*v as f64);
            }
            _ => {}
        }
    }

    fn add(&mut self, time: i64, value: &FieldValue) {
        self.sum(value);
        if less(value, &self.min.1) {
            self.min = (time, value.clone());
        }
        if less(&self.max.1, value) {
            self.max = (time, value.clone());
        }
        self.last = (time, value.clone());
    }

    /// Another series of the group, whose key is greater.
    fn join(&mut self, other: &Self, times: bool) {
        self.count += other.count;
        self.floats += other.floats;
        self.magnitude += other.magnitude;
        self.numbers.extend(&other.numbers);
        self.integers += other.integers;
        let earlier = |a: &(i64, FieldValue), b: &(i64, FieldValue)| times && a.0 < b.0;
        let (a, b) = (&other.min, &self.min);
        if less(&a.1, &b.1) || (earlier(a, b) && !less(&b.1, &a.1)) {
            self.min = a.clone();
        }
        let (a, b) = (&other.max, &self.max);
        if less(&b.1, &a.1) || (earlier(a, b) && !less(&a.1, &b.1)) {
            self.max = a.clone();
        }
        let (a, b) = (&other.first, &self.first);
        let boolean = matches!(a.1, FieldValue::Boolean(_));
        if a.0 < b.0 || (a.0 == b.0 && if boolean { less(&a.1, &b.1) } else { less(&b.1, &a.1) }) {
            self.first = a.clone();
        }
        let (a, b) = (&other.last, &self.last);
        if a.0 > b.0 || (a.0 == b.0 && less(&b.1, &a.1)) {
            self.last = a.clone();
        }
    }
}

type Expected = BTreeMap<(Vec<String>, Arc<str>), BTreeMap<i64, Naive>>;

fn group_of(grouping: &Grouping, key: &SeriesKey) -> Vec<String> {
    match grouping {
        Grouping::Series => vec![key.to_string()],
        Grouping::Tags(tags) => tags.iter().map(|t| key.tag(t).unwrap_or("").to_owned()).collect(),
    }
}

fn expected(values: &Values, request: &SummaryRequest) -> Expected {
    let mut all = Expected::new();
    for ((key, field), points) in values {
        let mut windows: BTreeMap<i64, Naive> = BTreeMap::new();
        for (time, value) in points {
            let start = match request.windows {
                Windows::One => 0,
                Windows::Every { every, offset } => time - (time - offset).rem_euclid(every),
            };
            match windows.get_mut(&start) {
                Some(window) => window.add(*time, value),
                None => {
                    windows.insert(start, Naive::new(*time, value));
                }
            }
        }
        let group = all.entry((group_of(&request.grouping, key), Arc::clone(field))).or_default();
        for (start, window) in windows {
            match group.get_mut(&start) {
                Some(known) => known.join(&window, request.wanted.times),
                None => {
                    group.insert(start, window);
                }
            }
        }
    }
    all
}

fn same_value(a: &FieldValue, b: &FieldValue) -> bool {
    match (a, b) {
        (FieldValue::Float(a), FieldValue::Float(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}

fn check_point(
    wanted: bool,
    with_time: bool,
    found: Option<&Point>,
    expected: &(i64, FieldValue),
    what: &str,
) {
    match found {
        None => assert!(!wanted, "{what} is missing"),
        Some(point) => {
            assert!(wanted, "{what} is not wanted");
            assert!(same_value(&point.value, &expected.1), "{what}: {point:?}, expected {expected:?}");
            if with_time {
                assert_eq!(point.time, expected.0, "time of {what}");
            }
        }
    }
}

fn check_squares(found: f64, numbers: &[f64]) {
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let expected: f64 = numbers.iter().map(|v| (v - mean) * (v - mean)).sum();
    let largest = numbers.iter().fold(0.0_f64, |largest, v| largest.max(v.abs()));
    if expected.is_nan() {
        assert!(found.is_nan(), "{found} of what is no number");
    } else if largest < 1e150 {
        // What a mean is rounded by, in every distance.
        let rounded = count * f64::EPSILON * largest;
        let tolerance = 1e-9 * expected + 1e9 * count * rounded * rounded;
        assert!((found - expected).abs() <= tolerance, "{found} for {expected}, of {count} up to {largest}");
    }
}

fn check_cells(wanted: Wanted, cells: &Cells, expected: &BTreeMap<i64, Naive>) {
    assert_eq!(cells.starts, expected.keys().copied().collect::<Vec<_>>());
    for (i, naive) in expected.values().enumerate() {
        if wanted.count {
            assert_eq!(cells.counts[i], naive.count, "count");
        } else {
            assert!(cells.counts[i] > 0);
        }
        if wanted.sum {
            match &cells.sums {
                Sums::Float(sums) if naive.magnitude.is_finite() => {
                    let tolerance = 2.0 * naive.count as f64 * f64::EPSILON / 2.0 * naive.magnitude;
                    assert!((sums[i] - naive.floats).abs() <= tolerance, "{} for {}", sums[i], naive.floats);
                }
                Sums::Integer(sums) => assert_eq!(sums[i], naive.integers, "sum"),
                Sums::Unsigned(sums) => assert_eq!(i128::try_from(sums[i]).unwrap(), naive.integers, "sum"),
                Sums::Float(_) | Sums::None => {}
            }
        }
        if wanted.squares && !naive.numbers.is_empty() {
            check_squares(cells.squares[i], &naive.numbers);
        } else {
            assert!(cells.squares.is_empty(), "squares are not wanted");
        }
        let text = matches!(naive.first.1, FieldValue::String(_));
        check_point(wanted.min && !text, wanted.times, cells.min.get(i), &naive.min, "min");
        check_point(wanted.max && !text, wanted.times, cells.max.get(i), &naive.max, "max");
        check_point(wanted.first, true, cells.first.get(i), &naive.first, "first");
        check_point(wanted.last, true, cells.last.get(i), &naive.last, "last");
    }
}

fn unlimited() -> Allowance {
    Allowance::new(&Memory::unlimited().queries)
}

pub(super) fn check(engine: &Engine, request: &SummaryRequest) {
    let values = values(engine, &request.scan);
    let expected = expected(&values, request);
    let groups = engine.summarize(request).unwrap().run(&mut unlimited(), &|| false).unwrap().finish();
    let mut found = 0;
    for GroupSummary { key, tags, fields } in &groups {
        let group = if request.grouping == Grouping::Series { vec![key.to_string()] } else { tags.clone() };
        for field in fields {
            found += 1;
            let windows = expected.get(&(group.clone(), Arc::clone(&field.name)));
            check_cells(request.wanted, &field.cells, windows.expect("a group that should be there"));
        }
    }
    assert_eq!(found, expected.len(), "groups and fields");
}

type Row = (i64, BTreeMap<Arc<str>, String>);

fn rows(blocks: impl Iterator<Item = Result<SeriesBlock, ReadError>>) -> BTreeMap<SeriesKey, Vec<Row>> {
    let mut all: BTreeMap<SeriesKey, Vec<Row>> = BTreeMap::new();
    for block in blocks {
        let block = block.unwrap();
        assert!(all.last_key_value().is_none_or(|(key, _)| *key <= block.key), "series come in key order");
        let rows = all.entry(block.key.clone()).or_default();
        for (i, time) in block.times.iter().enumerate() {
            assert!(rows.last().is_none_or(|(last, _)| last < time), "times ascend");
            let value = |(name, column): &(Arc<str>, Column)| {
                let value = column.get(i)?;
                Some((Arc::clone(name), format!("{:?}", Exact::of(&value))))
            };
            rows.push((*time, block.fields.iter().filter_map(value).collect()));
        }
    }
    all
}

/// The outermost rows of each series against those of a scan.
pub(super) fn check_ends(engine: &Engine, request: &ScanRequest, ends: Ends) {
    let mut expected = rows(engine.scan(request).unwrap());
    for rows in expected.values_mut() {
        if ends.newest {
            rows.drain(..rows.len().saturating_sub(ends.rows));
        } else {
            rows.truncate(ends.rows);
        }
    }
    assert_eq!(rows(engine.scan_ends(request, ends).unwrap()), expected, "{request:?} {ends:?}");
}

/// Some fields of all rows against what a scan of all fields has of them.
pub(super) fn check_all_rows(engine: &Engine, request: &ScanRequest) {
    let names: Vec<Arc<str>> = vec!["f".into(), "none".into()];
    let mut expected =
        rows(engine.scan(&ScanRequest { fields: FieldSelection::All, ..request.clone() }).unwrap());
    let in_all_rows = ScanRequest { fields: FieldSelection::InAllRows(names.clone()), ..request.clone() };
    let mut found = rows(engine.scan(&in_all_rows).unwrap());
    // What is read to know of the rows may come too.
    for (_, values) in expected.values_mut().chain(found.values_mut()).flatten() {
        values.retain(|name, _| names.contains(name));
    }
    assert_eq!(found, expected, "{request:?}");
}

/// A request over the rows of a scan.
pub(super) fn random_request(chance: &mut Random, scan: ScanRequest) -> SummaryRequest {
    let windows = match chance.below(4) {
        0 => Windows::One,
        n => {
            let every =
                1 + i64::try_from(chance.below([7, 300, 5000][usize::try_from(n - 1).unwrap()])).unwrap();
            Windows::Every { every, offset: i64::try_from(chance.below(1000)).unwrap() }
        }
    };
    let mut wanted = Wanted {
        count: chance.one_in(2),
        sum: chance.one_in(2),
        squares: chance.one_in(3),
        min: chance.one_in(2),
        max: chance.one_in(2),
        first: chance.one_in(2),
        last: chance.one_in(2),
        times: chance.one_in(2),
    };
    if chance.one_in(3) {
        let last = chance.one_in(2);
        wanted = Wanted { first: !last, last, times: wanted.times, ..Wanted::default() };
    }
    let grouping = match chance.below(4) {
        0 | 1 => Grouping::Series,
        2 => Grouping::Tags(vec!["host".to_owned()]),
        _ => Grouping::Tags(Vec::new()),
    };
    SummaryRequest { scan, windows, wanted, grouping, cells_max: usize::MAX, rows_max: u64::MAX }
}

const EVERYTHING: Wanted = Wanted { squares: false, times: false, ..Wanted::ALL };

fn request(start: i64, end: i64, windows: Windows, wanted: Wanted) -> SummaryRequest {
    let range = TimeRange::new(Timestamp(start), Timestamp(end));
    let scan = ScanRequest {
        bucket: bucket(1),
        range,
        predicate: Predicate::TRUE,
        fields: FieldSelection::Names(vec!["v".into()]),
    };
    SummaryRequest {
        scan,
        windows,
        wanted,
        grouping: Grouping::Series,
        cells_max: usize::MAX,
        rows_max: u64::MAX,
    }
}

/// Ten pages of one field in one file.
fn ten_pages() -> (World, Engine) {
    let mut world = World::new();
    world.options.memtable_bytes_max = usize::MAX;
    // Without a cache, so that what is read is read from the file.
    world.commons = Commons::new(Memory::new(0, Shares::STANDARD, 0), usize::MAX);
    let engine = world.open();
    let points = integers(0..10_240, |t| (t * 7) % 1000 - 300);
    engine.apply(position(0), &write(1, 1_000_000, &[(key("m", &[]), points)])).unwrap();
    engine.flush_now().unwrap();
    (world, engine)
}

#[test]
fn pages_in_one_window_are_not_read() {
    let (world, engine) = ten_pages();
    let last = Wanted { last: true, ..Wanted::default() };
    let by_statistics = [
        request(0, 20_000, Windows::One, EVERYTHING),
        request(0, 20_000, Windows::One, last),
        request(0, 20_000, Windows::Every { every: 2048, offset: 0 }, EVERYTHING),
        // Only the page at the range's end is read.
        request(0, 9_000, Windows::One, EVERYTHING),
        request(100, 20_000, Windows::One, last),
    ];
    by_statistics.iter().for_each(|request| check(&engine, request));
    let by_values = [
        request(100, 20_000, Windows::One, EVERYTHING),
        request(0, 20_000, Windows::One, Wanted { times: true, ..EVERYTHING }),
        request(0, 20_000, Windows::Every { every: 2048, offset: 100 }, EVERYTHING),
    ];
    by_values.iter().for_each(|request| check(&engine, request));
    let ends = Ends { rows: 1, newest: true };
    check_ends(&engine, &scan_all(1), ends);

    let answer = |request| {
        engine.summarize(request).unwrap().run(&mut unlimited(), &|| false).map(model::Groups::finish)
    };
    let before: Vec<_> = by_statistics.iter().map(|request| answer(request).unwrap()).collect();
    // The first page, which holds times, is damaged.
    let shard = World::dir().join(bucket(1).to_string()).join("0");
    let file = world.vfs.list(&shard).unwrap().remove(0);
    world.vfs.corrupt(&shard.join(file), 12, 1).unwrap();
    assert!(engine.scan(&by_statistics[0].scan).unwrap().any(|block| block.is_err()));
    for (request, before) in by_statistics.iter().zip(before) {
        assert_eq!(answer(request).unwrap(), before, "{request:?}");
    }
    for request in &by_values {
        assert!(answer(request).is_err(), "{request:?}");
    }
    // The outermost rows come from the outermost pages.
    let outermost = |ends| engine.scan_ends(&scan_all(1), ends).unwrap().collect::<Result<Vec<_>, _>>();
    assert_eq!(outermost(ends).unwrap().len(), 1);
    assert!(outermost(Ends { rows: 1000, ..ends }).is_ok());
    assert!(outermost(Ends { rows: 1, newest: false }).is_ok(), "from statistics");
    assert!(outermost(Ends { rows: 2, newest: false }).is_err());
}

#[test]
fn overlaps_and_late_rows_count_once() {
    let (_world, engine) = ten_pages();
    let overwrite = integers((2_000..2_100).chain(10_300..10_310), |t| -t);
    engine.apply(position(1), &write(1, 1_000_000, &[(key("m", &[]), overwrite)])).unwrap();
    for flushed in [false, true] {
        if flushed {
            engine.flush_now().unwrap();
        }
        for windows in
            [Windows::One, Windows::Every { every: 1024, offset: 0 }, Windows::Every { every: 90, offset: 7 }]
        {
            check(&engine, &request(0, 20_000, windows.clone(), EVERYTHING));
            check(&engine, &request(1_999, 10_305, windows.clone(), Wanted { times: true, ..EVERYTHING }));
            check(&engine, &request(0, 2_050, windows, Wanted { last: true, ..Wanted::default() }));
        }
        for (rows, newest) in [(1, true), (1, false), (30, true), (3_000, true), (3_000, false)] {
            check_ends(&engine, &scan_all(1), Ends { rows, newest });
            check_ends(&engine, &request(700, 2_051, Windows::One, EVERYTHING).scan, Ends { rows, newest });
        }
    }
}

#[test]
fn a_summary_keeps_to_its_limits_and_stops_when_asked() {
    let (_world, engine) = ten_pages();
    let every = Windows::Every { every: 10, offset: 0 };
    let limited = SummaryRequest { cells_max: 100, ..request(0, 20_000, every, EVERYTHING) };
    let error = engine.summarize(&limited).unwrap().run(&mut unlimited(), &|| false).unwrap_err();
    assert_eq!(error.to_string(), "the summary needs more than 100 windows");
    // The limit ends the work within a series, not after it.
    let asked = std::cell::Cell::new(0);
    let count = || {
        asked.set(asked.get() + 1);
        false
    };
    assert!(engine.summarize(&limited).unwrap().run(&mut unlimited(), &count).is_err());
    assert_eq!(asked.get(), 2);
    let limited = SummaryRequest { rows_max: 10_239, ..request(0, 20_000, Windows::One, EVERYTHING) };
    let error = engine.summarize(&limited).unwrap().run(&mut unlimited(), &|| false).unwrap_err();
    assert_eq!(error.to_string(), "the summary needs more than 10239 rows");
    let all = request(0, 20_000, Windows::One, EVERYTHING);
    assert!(matches!(
        engine.summarize(&all).unwrap().run(&mut unlimited(), &|| true),
        Err(crate::SummarizeError::Stopped)
    ));
    let none = engine
        .summarize(&SummaryRequest { scan: scan_all(2), ..all })
        .unwrap()
        .run(&mut unlimited(), &|| true)
        .unwrap();
    assert_eq!(none.finish(), Vec::new());
}

#[test]
fn groups_are_charged_and_refused_when_there_is_no_room_for_them() {
    let world = World::new();
    let engine = world.open();
    let series: Vec<_> =
        (0..500).map(|i| (key("m", &[("host", &format!("h{i}"))]), integers(0..2, |t| t))).collect();
    engine.apply(position(0), &write(1, 1_000_000, &series)).unwrap();
    let request = request(0, 10, Windows::One, EVERYTHING);
    let mut held = unlimited();
    let groups = engine.summarize(&request).unwrap().run(&mut held, &|| false).unwrap();
    assert_eq!(held.held(), groups.bytes());
    assert!(groups.bytes() > 500 * 300, "{}", groups.bytes());
    let account = Account::new("queries", groups.bytes() / 2, 0);
    let refused = engine.summarize(&request).unwrap().run(&mut Allowance::new(&account), &|| false);
    assert!(matches!(refused, Err(crate::SummarizeError::Memory(_))));
    assert_eq!(account.used(), 0);
}
