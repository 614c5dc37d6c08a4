//! Windows, the arithmetic of cells, and groups.

use std::sync::Arc;

use super::{
    Cells, Groups, Part, Point, Run, SeriesFold, Sum, SummaryRequest, Sums, TooLarge, Wanted, Windows,
};
use crate::{
    BucketId, Column, ColumnType, FieldSelection, FieldType, FieldValue, Grouping, Predicate, ScanRequest,
    SeriesBlock, SeriesKey, TimeRange, Values,
};

const NO_SQUARES: Wanted = Wanted { squares: false, ..Wanted::ALL };

fn request(windows: Windows, grouping: Grouping, cells_max: usize) -> SummaryRequest {
    let scan = ScanRequest {
        bucket: BucketId::new(1).unwrap(),
        range: TimeRange::ALL,
        predicate: Predicate::TRUE,
        fields: FieldSelection::All,
    };
    SummaryRequest { scan, windows, wanted: NO_SQUARES, grouping, cells_max, rows_max: u64::MAX }
}

fn block(host: &str, times: &[i64], values: &[f64]) -> SeriesBlock {
    SeriesBlock {
        key: SeriesKey::new("m", &[("host", host)]).unwrap(),
        times: times.to_vec(),
        fields: vec![(Arc::from("f"), Column::new(Values::Float(values.to_vec())))],
    }
}

fn summary(blocks: Vec<SeriesBlock>, request: &SummaryRequest) -> Result<Vec<super::GroupSummary>, TooLarge> {
    super::of_blocks(request, blocks.into_iter().map(Ok)).map(Groups::finish)
}

#[test]
fn windows_meet_and_hold_their_times() {
    for (every, offset) in [(10, 0), (10, 3), (7, -4), (i64::MAX, 0)] {
        let windows = Windows::Every { every, offset };
        for time in [-1000, -11, -1, 0, 1, 2, 3, 9, 10, 13, 999] {
            let (start, last) = windows.of(time);
            assert!(start <= time && time <= last, "{time} in {start}..={last}");
            assert_eq!(windows.of(last), (start, last));
            if every < i64::MAX {
                assert_eq!(windows.of(last + 1).0, last + 1);
                assert_eq!(start.rem_euclid(every), offset.rem_euclid(every));
            }
        }
        for time in [i64::MIN, i64::MIN + 2, i64::MAX - 1] {
            let (start, last) = windows.of(time);
            assert!(start <= time.max(i64::MIN + 2) && time <= last);
        }
    }
}

#[test]
fn extremes_begin_with_the_first_value_and_change_to_strictly_better_ones() {
    let one = |values: &[f64]| {
        let times: Vec<i64> = (0..).take(values.len()).collect();
        let mut cells = Cells::new(ColumnType::Field(FieldType::Float));
        let column = Column::new(Values::Float(values.to_vec()));
        cells.add_rows(NO_SQUARES, &Run { start: 0, from: 0, to: values.len() }, &times, &column);
        let bits = |point: &Point| match point.value {
            FieldValue::Float(v) => (point.time, v.to_bits()),
            _ => panic!("a float"),
        };
        (bits(&cells.min[0]), bits(&cells.max[0]))
    };
    let nan = f64::NAN;
    assert_eq!(one(&[0.0, -0.0]), ((0, 0), (0, 0)));
    let minus = (-0.0_f64).to_bits();
    assert_eq!(one(&[-0.0, 0.0]), ((0, minus), (0, minus)));
    let many: Vec<f64> = (0..40).map(|i| if i == 17 { -0.0 } else { f64::from(i + 1) }).collect();
    assert_eq!(one(&many), ((17, minus), (39, 40_f64.to_bits())));
    let (min, max) = one(&[nan, 1.0, -1.0]);
    assert_eq!((min, max), ((0, nan.to_bits()), (0, nan.to_bits())));
    assert_eq!(one(&[2.0, nan, 1.0, 3.0]), ((2, 1_f64.to_bits()), (3, 3_f64.to_bits())));
    assert_eq!(one(&[5.0; 30]), ((0, 5_f64.to_bits()), (0, 5_f64.to_bits())));
}

#[test]
fn squared_distances_do_not_depend_on_how_the_values_come() {
    let wanted = Wanted { squares: true, ..Wanted::default() }.whole();
    // A difference of sums of squares would have no digit left of this.
    let values: Vec<f64> = (0..1000).map(|i| 1e9 + f64::from(i % 10)).collect();
    let times: Vec<i64> = (0..1000).collect();
    let column = Column::new(Values::Float(values.clone()));
    let in_runs = |runs: &[usize]| {
        let mut cells = Cells::new(ColumnType::Field(FieldType::Float));
        for pair in runs.windows(2) {
            cells.add_rows(wanted, &Run { start: 0, from: pair[0], to: pair[1] }, &times, &column);
        }
        cells
    };
    let is_close = |cells: &Cells, expected: f64| {
        let found = cells.variance(0, true).unwrap();
        assert!((found - expected).abs() < 1e-9 * expected, "{found} for {expected}");
    };
    let one_by_one: Vec<usize> = (0..=1000).collect();
    for runs in [&[0, 1000][..], &[0, 1, 999, 1000], &one_by_one] {
        is_close(&in_runs(runs), 8.25);
    }
    let (mut first, second) = (in_runs(&[0, 400]), in_runs(&[400, 1000]));
    first.merge(wanted, second);
    is_close(&first, 8.25);
    first.add_part(Part {
        start: 0,
        count: 1000,
        sum: Some(Sum::Float(values.iter().sum())),
        squares: Some(8250.0),
        min: None,
        max: None,
        first: None,
        last: None,
    });
    is_close(&first, 8.25);
    let one = in_runs(&[0, 1]);
    assert_eq!((one.variance(0, true), one.variance(0, false)), (Some(0.0), None));
}

#[test]
fn integers_are_summed_exactly() {
    let mut cells = Cells::new(ColumnType::Field(FieldType::Integer));
    let values = vec![i64::MAX, i64::MAX, i64::MIN, -1, 7, i64::MAX];
    let expected: i128 = values.iter().map(|v| i128::from(*v)).sum();
    let times: Vec<i64> = (0..6).collect();
    let column = Column::new(Values::Integer(values));
    cells.add_rows(NO_SQUARES, &Run { start: 0, from: 0, to: 6 }, &times, &column);
    assert_eq!(cells.sums, Sums::Integer(vec![expected]));
    let mut cells = Cells::new(ColumnType::Field(FieldType::Unsigned));
    let column = Column::new(Values::Unsigned(vec![u64::MAX; 70_000]));
    let times: Vec<i64> = (0..70_000).collect();
    cells.add_rows(NO_SQUARES, &Run { start: 0, from: 0, to: 70_000 }, &times, &column);
    assert_eq!(cells.sums, Sums::Unsigned(vec![u128::from(u64::MAX) * 70_000]));
}

#[test]
fn a_part_counts_as_its_values_do() {
    let column_type = ColumnType::Field(FieldType::Integer);
    let column = Column::new(Values::Integer(vec![4, -3, 9, 2]));
    let times = [10, 11, 12, 13];
    let wanted = Wanted { times: false, ..NO_SQUARES };
    let mut by_rows = Cells::new(column_type);
    by_rows.add_rows(wanted, &Run { start: 10, from: 0, to: 2 }, &times, &column);
    let mut by_part = by_rows.clone();
    by_rows.add_rows(wanted, &Run { start: 10, from: 2, to: 4 }, &times, &column);
    let point = |time, v| Some(Point { time, value: FieldValue::Integer(v) });
    by_part.add_part(Part {
        start: 10,
        count: 2,
        sum: Some(Sum::Integer(11)),
        squares: None,
        min: point(0, 2),
        max: point(0, 9),
        first: point(12, 9),
        last: point(13, 2),
    });
    assert_eq!(by_part, by_rows);
}

#[test]
fn series_of_a_group_are_merged_window_by_window() {
    let windows = Windows::Every { every: 10, offset: 0 };
    let blocks = || {
        vec![
            block("a", &[1, 2, 25], &[1.0, 5.0, 7.0]),
            block("a", &[26, 31], &[8.0, 9.0]),
            block("b", &[2, 12, 26], &[6.0, 2.0, 3.0]),
        ]
    };
    let found = summary(blocks(), &request(windows.clone(), Grouping::Tags(Vec::new()), 100)).unwrap();
    assert_eq!(found.len(), 1);
    let cells = &found[0].fields[0].cells;
    assert_eq!(cells.starts, [0, 10, 20, 30]);
    assert_eq!(cells.counts, [3, 1, 3, 1]);
    assert_eq!(cells.sums, Sums::Float(vec![12.0, 2.0, 18.0, 9.0]));
    let point = |time, v| Point { time, value: FieldValue::Float(v) };
    assert_eq!(cells.max, [point(2, 6.0), point(12, 2.0), point(26, 8.0), point(31, 9.0)]);
    assert_eq!(cells.first, [point(1, 1.0), point(12, 2.0), point(25, 7.0), point(31, 9.0)]);
    // At 26 both have a value: the greater is the last.
    assert_eq!(cells.last, [point(2, 6.0), point(12, 2.0), point(26, 8.0), point(31, 9.0)]);
    let by_host = request(windows.clone(), Grouping::Tags(vec!["host".into()]), 6);
    assert_eq!(summary(blocks(), &by_host).unwrap().len(), 2);
    let too_few = SummaryRequest { cells_max: 5, ..by_host };
    assert_eq!(summary(blocks(), &too_few), Err(TooLarge::Cells(5)));
    let too_few = SummaryRequest { rows_max: 7, ..request(windows, Grouping::Series, 100) };
    assert_eq!(summary(blocks(), &too_few), Err(TooLarge::Rows(7)));
}

#[test]
fn a_fold_cuts_rows_at_borders() {
    let request = request(Windows::Every { every: 10, offset: 5 }, Grouping::Series, 100);
    let fold = SeriesFold::new(&request);
    let mut runs = Vec::new();
    fold.cut(&[-6, 4, 5, 14, 15, 99], 1, 6, &mut runs);
    let run = |start, from, to| Run { start, from, to };
    assert_eq!(runs, [run(-5, 1, 2), run(5, 2, 4), run(15, 4, 5), run(95, 5, 6)]);
}
