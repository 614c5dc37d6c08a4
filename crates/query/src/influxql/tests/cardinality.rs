//! SHOW ... CARDINALITY against answers of InfluxDB 1.6.7 for the same points.

use model::{FieldValue, SeriesKey};

use super::Fixture;
use crate::testing::{Points, bucket_id};

fn fixture() -> Fixture {
    let mut points = Points::default();
    points.put_lines(bucket_id(1), "cpu,a=x,b=x v=1,x=\"q\" 1000\ncpu,a=y,b=x v=1 1000\ncpu,a=x w=1 1000\n");
    for (measurement, tag) in [("Net", ("c d", "e,f=g")), ("weird", ("a", "x y"))] {
        let key = SeriesKey::new(measurement, &[tag]).unwrap();
        points.put(bucket_id(1), &key, "v", 1000, FieldValue::Float(1.0));
    }
    let catalog = points.catalog(&[(1, "d/autogen", None)], &[]);
    Fixture::over(points, catalog, 1_000_000_000_000)
}

#[track_caller]
fn check(text: &str, series: &str) {
    let series = if series.is_empty() { String::new() } else { format!(",\"series\":[{series}]") };
    let expected = format!("{{\"results\":[{{\"statement_id\":0{series}}}]}}");
    assert_eq!(fixture().body(text), expected, "{text}");
}

fn row(name: &str, count: usize) -> String {
    format!("{{\"name\":\"{name}\",\"columns\":[\"count\"],\"values\":[[{count}]]}}")
}

fn rows(counts: &[(&str, usize)]) -> String {
    counts.iter().map(|(name, count)| row(name, *count)).collect::<Vec<_>>().join(",")
}

#[test]
fn bare_series_and_measurements_are_estimated() {
    let estimate = |n: usize| format!("{{\"columns\":[\"cardinality estimation\"],\"values\":[[{n}]]}}");
    check("SHOW SERIES CARDINALITY", &estimate(5));
    check("SHOW SERIES CARDINALITY OFFSET 0", &estimate(5));
    check("SHOW MEASUREMENT CARDINALITY", &estimate(3));
    check("SHOW SERIES CARDINALITY ON nope", &estimate(0));
}

#[test]
fn counts_are_a_row_for_each_measurement() {
    let all = rows(&[("Net", 1), ("cpu", 3), ("weird", 1)]);
    check("SHOW SERIES EXACT CARDINALITY", &all);
    check("SHOW SERIES CARDINALITY LIMIT 1", &all);
    check("SHOW SERIES CARDINALITY OFFSET 1", "");
    check("SHOW FIELD KEY CARDINALITY", &all);
    check("SHOW SERIES CARDINALITY FROM cpu, nope", &row("cpu", 3));
    check("SHOW TAG KEY CARDINALITY", &rows(&[("Net", 1), ("cpu", 2), ("weird", 1)]));
    check("SHOW TAG VALUES CARDINALITY WITH KEY IN (a, b)", &rows(&[("cpu", 2), ("weird", 1)]));
    check("SHOW TAG VALUES EXACT CARDINALITY WITH KEY = nope", "");
    check("SHOW MEASUREMENT EXACT CARDINALITY", "{\"columns\":[\"count\"],\"values\":[[3]]}");
    check("SHOW MEASUREMENT CARDINALITY FROM nope", "");
}

#[test]
fn conditions_are_on_the_index() {
    check("SHOW SERIES CARDINALITY WHERE b = ''", &rows(&[("Net", 1), ("cpu", 1), ("weird", 1)]));
    check("SHOW SERIES CARDINALITY WHERE v = 1 OR a = 'x'", &row("cpu", 2));
    check("SHOW SERIES CARDINALITY WHERE x != 'q' AND a = 'x'", "");
    check("SHOW FIELD KEY CARDINALITY WHERE v > 0", "");
    check("SHOW SERIES CARDINALITY WHERE \"c d\" =~ /e/", &row("Net", 1));
    for (of, what) in [
        ("SERIES", "SERIES EXACT"),
        ("MEASUREMENT", "MEASUREMENT EXACT"),
        ("TAG KEY", "TAG KEY EXACT"),
        ("FIELD KEY", "FIELD KEY"),
    ] {
        let answer = fixture().body(&format!("SHOW {of} CARDINALITY WHERE time > 5"));
        let error = format!("\"error\":\"SHOW {what} CARDINALITY doesn't support time in WHERE clause\"");
        assert!(answer.contains(&error), "{answer}");
    }
    let answer = fixture().body("SHOW SERIES EXACT CARDINALITY ON nope");
    assert!(answer.contains("database not found: nope"), "{answer}");
}

#[test]
fn groups_have_a_row_each() {
    check(
        "SHOW TAG VALUES CARDINALITY WITH KEY IN (a, b) GROUP BY b",
        r#"{"name":"cpu","tags":{"b":""},"columns":["count"],"values":[[1]]},{"name":"cpu","tags":{"b":"x"},"columns":["count"],"values":[[2]]},{"name":"weird","tags":{"b":""},"columns":["count"],"values":[[1]]}"#,
    );
    check(
        "SHOW MEASUREMENT CARDINALITY GROUP BY *",
        r#"{"tags":{"a":"","b":"","c d":"e,f=g"},"columns":["count"],"values":[[1]]},{"tags":{"a":"x","b":"","c d":""},"columns":["count"],"values":[[1]]},{"tags":{"a":"x","b":"x","c d":""},"columns":["count"],"values":[[1]]},{"tags":{"a":"x y","b":"","c d":""},"columns":["count"],"values":[[1]]},{"tags":{"a":"y","b":"x","c d":""},"columns":["count"],"values":[[1]]}"#,
    );
    check(
        "SHOW SERIES CARDINALITY FROM cpu GROUP BY /^a/",
        r#"{"name":"cpu","tags":{"a":"x"},"columns":["count"],"values":[[2]]},{"name":"cpu","tags":{"a":"y"},"columns":["count"],"values":[[1]]}"#,
    );
    let answer = fixture().body("SHOW SERIES CARDINALITY GROUP BY 1");
    assert!(answer.contains("only time and tag dimensions allowed"), "{answer}");
}

#[test]
fn the_first_window_has_the_count_and_the_others_none() {
    // It is 1970-01-01T00:16:40Z.
    let windows = |name: &str, counts: &[usize]| {
        let values: Vec<String> = counts.iter().map(|count| format!("[{count}]")).collect();
        format!("{{\"name\":\"{name}\",\"columns\":[\"count\"],\"values\":[{}]}}", values.join(","))
    };
    let all = |counts: [&[usize]; 3]| {
        [("Net", counts[0]), ("cpu", counts[1]), ("weird", counts[2])]
            .map(|(name, c)| windows(name, c))
            .join(",")
    };
    check("SHOW SERIES CARDINALITY GROUP BY time(400s)", &all([&[1, 0, 0], &[3, 0, 0], &[1, 0, 0]]));
    check("SHOW FIELD KEY CARDINALITY GROUP BY time(10m)", &all([&[1, 0], &[3, 0], &[1, 0]]));
    check("SHOW SERIES CARDINALITY GROUP BY time(400s) LIMIT 1", &all([&[1], &[3], &[1]]));
    check("SHOW SERIES CARDINALITY GROUP BY time(400s) OFFSET 1", &all([&[0, 0], &[0, 0], &[0, 0]]));
    check("SHOW SERIES CARDINALITY GROUP BY time(400s) OFFSET 3", "");
    check("SHOW SERIES CARDINALITY FROM nope GROUP BY time(400s)", "");
    check(
        "SHOW MEASUREMENT CARDINALITY GROUP BY time(1000s)",
        "{\"columns\":[\"count\"],\"values\":[[3],[0]]}",
    );
    check(
        "SHOW SERIES CARDINALITY FROM cpu GROUP BY a, time(600s)",
        r#"{"name":"cpu","tags":{"a":"x"},"columns":["count"],"values":[[2],[0]]},{"name":"cpu","tags":{"a":"y"},"columns":["count"],"values":[[1],[0]]}"#,
    );
    check(
        "SHOW TAG VALUES CARDINALITY FROM cpu WITH KEY = a WHERE time >= 0 AND time < 180s GROUP BY time(1m)",
        &windows("cpu", &[2, 0, 0]),
    );
    // From 1677 on: the last begins a week after 1936.
    check(
        "SHOW SERIES CARDINALITY FROM cpu GROUP BY time(1768w, 7d)",
        &windows("cpu", &[3, 0, 0, 0, 0, 0, 0, 0, 0]),
    );
    check("SHOW SERIES CARDINALITY FROM cpu GROUP BY time(0s)", &row("cpu", 3));
    for (dimensions, error) in [
        ("time()", "time dimension expected 1 or 2 arguments"),
        ("time(1m, 5s, 4)", "time dimension expected 1 or 2 arguments"),
        ("time(a)", "time dimension must have duration argument"),
        ("foo(1m)", "only time() calls allowed in dimensions"),
        ("time(1m), time(2m)", "multiple time dimensions not allowed"),
    ] {
        let answer = fixture().body(&format!("SHOW SERIES CARDINALITY GROUP BY {dimensions}"));
        assert!(answer.contains(&format!("\"error\":\"{error}\"")), "{answer}");
    }
    let answer = fixture().body("SHOW SERIES CARDINALITY GROUP BY time(1ns)");
    assert!(answer.contains("max-select-buckets limit exceeded: ("), "{answer}");
}
