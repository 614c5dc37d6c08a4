//! Random points and windows: the executor's aggregates against the definitions of the aggregates.

use std::collections::{BTreeMap, BTreeSet};

use model::{FieldValue, SeriesKey};
use proptest::prelude::*;

use super::{Fixture, Item};
use crate::testing::{Points, bucket_id};

#[derive(Debug, Clone)]
struct Row {
    host: u8,
    time: i64,
    value: i32,
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (0..4_u8, 0..300_i64, -50..50_i32).prop_map(|(host, time, value)| Row { host, time, value });
    proptest::collection::vec(row, 1..80)
}

/// The windows (or the one window) of a host with their values, by time.
fn windows(rows: &[Row], from: i64, to: i64, every: i64) -> BTreeMap<(u8, i64), BTreeMap<i64, f64>> {
    let mut out: BTreeMap<(u8, i64), BTreeMap<i64, f64>> = BTreeMap::new();
    let mut last = BTreeMap::new();
    for row in rows {
        last.insert((row.host, row.time), f64::from(row.value));
    }
    for ((host, time), value) in last {
        if (from..to).contains(&time) {
            out.entry((host, time.div_euclid(every) * every)).or_default().insert(time, value);
        }
    }
    out
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn aggregates_are_what_they_are_defined_to_be(
        rows in rows(),
        from in 0..150_i64,
        length in 1..200_i64,
        every in 1..60_i64,
        block_rows in 1..7_usize,
    ) {
        let mut points = Points::default();
        points.block_rows = block_rows;
        for row in &rows {
            let key = SeriesKey::new("m", &[("host", &row.host.to_string())]).unwrap();
            points.put(bucket_id(1), &key, "f", row.time, FieldValue::Float(f64::from(row.value)));
        }
        let catalog = points.catalog(&[(1, "d/autogen", None)], &[]);
        let fixture = Fixture::over(points, catalog, 1_000_000);
        let to = from + length;
        let text = format!(
            "SELECT count(f), sum(f), mean(f), min(f), max(f), first(f), last(f), spread(f), stddev(f), median(f), percentile(f, 70) \
             FROM m WHERE time >= {from} AND time < {to} GROUP BY time({every}ns), host fill(none)"
        );
        let mut found = BTreeMap::new();
        for item in fixture.run(&text).unwrap() {
            match item {
                Item::Series(series) => {
                    let host: u8 = series.tags[0].1.parse().unwrap();
                    for row in 0..series.frame.rows {
                        let cells: Vec<_> = series.frame.columns.iter().map(|c| c.get(row)).collect();
                        let Some(FieldValue::Integer(time)) = &cells[0] else { panic!("no time") };
                        found.insert((host, *time), cells[1..].to_vec());
                    }
                }
                Item::Error(error) => panic!("{error}"),
                _ => {}
            }
        }
        let expected = windows(&rows, from, to, every);
        prop_assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (window, values) in &expected {
            let cells = &found[window];
            let mut sorted: Vec<f64> = values.values().copied().collect();
            let first = sorted[0];
            let last = sorted[sorted.len() - 1];
            sorted.sort_by(f64::total_cmp);
            let n = sorted.len();
            let sum: f64 = sorted.iter().sum();
            let mean = sum / n as f64;
            let stddev = (n > 1).then(|| (sorted.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64).sqrt());
            let median = if n % 2 == 1 { sorted[n / 2] } else { (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0 };
            // floor(n * 0.7 + 0.5)
            let rank = (n * 7 + 5) / 10;
            let percentile = rank.checked_sub(1).map(|i| sorted[i]);
            prop_assert_eq!(&cells[0], &Some(FieldValue::Integer(i64::try_from(n).unwrap())));
            let floats = [
                Some(sum), Some(mean), Some(sorted[0]), Some(sorted[n - 1]), Some(first), Some(last),
                Some(sorted[n - 1] - sorted[0]), stddev, Some(median), percentile,
            ];
            for (i, (cell, expected)) in cells[1..].iter().zip(floats).enumerate() {
                match (cell, expected) {
                    (Some(FieldValue::Float(a)), Some(b)) => prop_assert!(close(*a, b), "column {i}: {a} is not {b}"),
                    (None, None) => {}
                    (a, b) => prop_assert!(false, "column {i}: {a:?} is not {b:?}"),
                }
            }
        }
    }

    #[test]
    fn limited_answers_are_the_beginning_of_the_whole(
        rows in rows(),
        block_rows in 1..7_usize,
        every in 1..40_i64,
        bounds in (0..200_i64, 1..400_i64, any::<bool>()),
        limit in 1..6_usize,
        offset in 0..3_usize,
        query in (0..6_usize, any::<bool>(), any::<bool>()),
    ) {
        let mut points = Points::default();
        points.block_rows = block_rows;
        for row in &rows {
            let key = SeriesKey::new("m", &[("host", &row.host.to_string())]).unwrap();
            let field = if row.value % 3 == 0 { "g" } else { "f" };
            points.put(bucket_id(1), &key, field, row.time, FieldValue::Float(f64::from(row.value)));
        }
        points.put(bucket_id(1), &SeriesKey::new("m", &[]).unwrap(), "g", 1, FieldValue::Float(1.0));
        let catalog = points.catalog(&[(1, "d/autogen", None)], &[]);
        let fixture = Fixture::over(points, catalog, 1_000_000);
        let (from, length, has_min) = bounds;
        let bounds = match has_min {
            true => format!("time >= {from} AND time < {}", from + length),
            false => format!("time < {}", from + length),
        };
        let (kind, by_host, descending) = query;
        let fill = ["", "fill(none)", "fill(7)", "fill(previous)", "fill(linear)", ""][kind];
        let (what, time) = if kind == 5 { ("f, g", String::new()) } else {
            ("count(f), max(g), mean(f) + 1", format!("time({every}ns)"))
        };
        let mut dimensions: Vec<&str> = [time.as_str()].into_iter().filter(|t| !t.is_empty()).collect();
        if by_host {
            dimensions.push("host");
        }
        let group = if dimensions.is_empty() { String::new() } else { format!("GROUP BY {}", dimensions.join(",")) };
        let order = if descending { "ORDER BY time DESC" } else { "" };
        let select = |what: &str| format!("SELECT {what} FROM m WHERE {bounds} {group} {fill} {order}");
        let text = select(what);
        let answer = |text: &str| {
            let series = fixture.run(text).unwrap().into_iter().filter_map(|item| match item {
                Item::Series(series) => Some(series),
                Item::Error(error) => panic!("{error}"),
                _ => None,
            });
            let row = |s: &super::super::Series, row| {
                format!("{:?}", s.frame.columns.iter().map(|c| c.get(row)).collect::<Vec<_>>())
            };
            series.map(|s| (s.tags.clone(), (0..s.frame.rows).map(|i| row(&s, i)).collect::<Vec<_>>())).collect::<Vec<_>>()
        };
        let cut = |what: &str| {
            let mut whole = answer(&select(what));
            for (_, rows) in &mut whole {
                rows.drain(..offset.min(rows.len()));
                rows.truncate(limit);
            }
            whole.retain(|(_, rows)| !rows.is_empty());
            whole
        };
        let limited = answer(&format!("{text} LIMIT {limit} OFFSET {offset}"));
        if kind == 5 {
            prop_assert_eq!(limited, cut(what), "{}", text);
        } else {
            // Each call is cut by itself: the rows are those that some call has.
            type Series = (Vec<(String, String)>, Vec<String>);
            let times = |series: Vec<Series>| {
                let time = |row: String| row.split(')').next().unwrap().to_owned();
                let rows = |(tags, rows): Series| {
                    rows.into_iter().map(move |row| (tags.clone(), time(row))).collect::<Vec<_>>()
                };
                series.into_iter().flat_map(rows).collect::<BTreeSet<_>>()
            };
            let each = what.split(", ").flat_map(|call| times(cut(call))).collect::<BTreeSet<_>>();
            prop_assert_eq!(times(limited.clone()), each, "{}", text);
            for (at, call) in what.split(", ").enumerate() {
                let of_call = |row: &String| {
                    let cells: Vec<_> = row.trim_matches(['[', ']']).split(", ").map(str::to_owned).collect();
                    (cells[0].clone(), cells[at + 1].clone())
                };
                for (tags, rows) in cut(call) {
                    let (_, shown) = limited.iter().find(|(known, _)| *known == tags).unwrap();
                    let shown: Vec<_> = shown.iter().map(of_call).collect();
                    for row in rows {
                        let cells: Vec<_> = row.trim_matches(['[', ']']).split(", ").map(str::to_owned).collect();
                        prop_assert!(shown.contains(&(cells[0].clone(), cells[1].clone())), "{text}: {row}");
                    }
                }
            }
        }
    }
}
