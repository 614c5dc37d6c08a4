//! A raw answer that does not fit into the memory is the one that it would be if it did.

use std::fmt::Write as _;

use model::FieldValue;

use super::{Fixture, Item, LIMITS};
use crate::limits::Limits;

/// Rows of some hosts, denser and denser, with gaps, and some at one time.
fn lines() -> String {
    let mut lines = String::new();
    for i in 0..4000_i64 {
        let (host, time) = (i * 7 % 13, 1_000_000_000_000 - (4000 - i) * (4000 - i) * 50);
        let rack = if host % 3 == 0 { String::new() } else { format!(",rack=r{}", host % 3) };
        write!(lines, "m,host=h{host}{rack} v={}", i % 100).unwrap();
        if i % 3 == 0 {
            write!(lines, ",n={i}i").unwrap();
        }
        if i % 5 == 0 {
            lines.push_str(",s=\"text\"");
        }
        writeln!(lines, " {}", time - time % 7).unwrap();
    }
    lines
}

type Row = Vec<Option<FieldValue>>;

/// Name, tags and names of columns, and the rows; what follows of the same series is part of it.
fn answer(fixture: &Fixture, text: &str) -> (Vec<(String, Vec<Row>)>, usize) {
    let (mut all, mut pieces): (Vec<(String, Vec<Row>)>, usize) = (Vec::new(), 0);
    for item in fixture.run(text).unwrap() {
        let series = match item {
            Item::Series(series) => series,
            Item::Error(error) => panic!("{text}: {error}"),
            Item::Statement(_) | Item::Warning(_) => continue,
        };
        pieces += 1;
        let names: Vec<_> = series.frame.columns.iter().map(|column| column.name.to_string()).collect();
        let head = format!("{} {:?} {names:?}", series.name, series.tags);
        let row = |row| series.frame.columns.iter().map(|column| column.get(row)).collect();
        let rows = (0..series.frame.rows).map(row);
        match all.last_mut() {
            Some((last, known)) if *last == head => known.extend(rows),
            _ => all.push((head, rows.collect())),
        }
    }
    (all, pieces)
}

#[test]
fn slices_are_the_whole() {
    let fixture = |memory_bytes_max| {
        let limits = Limits { memory_bytes_max, ..LIMITS };
        let mut fixture = Fixture { limits, ..Fixture::new(&lines()) };
        fixture.points.block_rows = 50;
        fixture
    };
    let (large, small) = (fixture(64 << 20), fixture(256 << 10));
    for text in [
        "SELECT v FROM m",
        "SELECT * FROM m ORDER BY time DESC",
        "SELECT n, s FROM m WHERE v > 20 AND rack != 'r1'",
        "SELECT v + n, host FROM m GROUP BY rack",
        "SELECT s FROM m GROUP BY * ORDER BY time DESC",
        "SELECT n FROM m GROUP BY nope, rack fill(0)",
        "SELECT v FROM m WHERE time > 900s AND time <= 999s",
        "SELECT v FROM m, k; SELECT nope FROM m",
    ] {
        let ((expected, _), (found, pieces)) = (answer(&large, text), answer(&small, text));
        assert!(found == expected, "{text}");
        let rows: usize = expected.iter().map(|(_, rows)| rows.len()).sum();
        assert!(rows < 2000 || pieces > expected.len() + 3, "{text}: {pieces} pieces of {rows} rows");
    }
}

#[test]
fn rows_of_one_instant_are_put_in_order_together_or_refused() {
    let lines: String = (0..3000).map(|host| format!("m,host=h{host} v={host} 5\n")).collect();
    let limits = Limits { memory_bytes_max: 1 << 20, ..LIMITS };
    let fixture = Fixture { limits, ..Fixture::new(&lines) };
    let (found, pieces) = answer(&fixture, "SELECT v FROM m");
    assert_eq!((found[0].1.len(), pieces), (3000, 1));
    let fixture = Fixture { limits: Limits { memory_bytes_max: 64 << 10, ..LIMITS }, ..Fixture::new(&lines) };
    assert!(fixture.body("SELECT v FROM m").contains("query limit query-memory-bytes reached"));
}
