//! `window` and `aggregateWindow`: boundaries, empty windows, calendars and time zones.

use expect_test::expect;

use super::check;

fn usage(rest: &str, expected: &expect_test::Expect) {
    check(
        &format!(
            r#"from(bucket: "b") |> range(start: 0, stop: 50)
            |> filter(fn: (r) => r._field == "usage" and r.host == "a") {rest}"#
        ),
        expected,
    );
}

#[test]
fn empty_windows_are_null_and_the_last_is_cut() {
    usage(
        "|> aggregateWindow(every: 20s, fn: mean)",
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 00:00:50Z 00:00:20Z 1.5 usage cpu a
          00:00:00Z 00:00:50Z 00:00:40Z 3.5 usage cpu a
          00:00:00Z 00:00:50Z 00:00:50Z - usage cpu a
    "#]],
    );
    usage(
        "|> aggregateWindow(every: 20s, fn: mean, createEmpty: false)",
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 00:00:50Z 00:00:20Z 1.5 usage cpu a
          00:00:00Z 00:00:50Z 00:00:40Z 3.5 usage cpu a
    "#]],
    );
    usage(
        "|> aggregateWindow(every: 20s, fn: count)",
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 00:00:50Z 00:00:20Z 2 usage cpu a
          00:00:00Z 00:00:50Z 00:00:40Z 2 usage cpu a
          00:00:00Z 00:00:50Z 00:00:50Z 0 usage cpu a
    "#]],
    );
    usage(
        "|> aggregateWindow(every: 20s, fn: sum, timeSrc: \"_start\", offset: 5s)",
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 00:00:50Z 00:00:00Z 1.0 usage cpu a
          00:00:00Z 00:00:50Z 00:00:05Z 5.0 usage cpu a
          00:00:00Z 00:00:50Z 00:00:25Z 4.0 usage cpu a
          00:00:00Z 00:00:50Z 00:00:45Z - usage cpu a
    "#]],
    );
}

#[test]
fn selectors_in_windows() {
    usage(
        "|> aggregateWindow(every: 20s, fn: last)",
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 00:00:50Z 00:00:20Z 2.0 usage cpu a
          00:00:00Z 00:00:50Z 00:00:40Z 4.0 usage cpu a
          00:00:00Z 00:00:50Z 00:00:50Z - usage cpu a
    "#]],
    );
    usage(
        "|> aggregateWindow(every: 20s, fn: max, createEmpty: false)",
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 00:00:50Z 00:00:20Z 2.0 usage cpu a
          00:00:00Z 00:00:50Z 00:00:40Z 4.0 usage cpu a
    "#]],
    );
    usage(
        "|> map(fn: (r) => r) |> aggregateWindow(every: 20s, fn: last)",
        &expect![[r#"
        _result 0: *_field *_measurement *_start *_stop _time _value *host
          usage cpu 00:00:00Z 00:00:50Z 00:00:20Z 2.0 a
          usage cpu 00:00:00Z 00:00:50Z 00:00:40Z 4.0 a
    "#]],
    );
}

#[test]
fn functions_of_the_script_in_windows() {
    usage(
        "|> aggregateWindow(every: 20s, fn: (tables=<-, column) => tables |> quantile(q: 0.5, column: column))",
        &expect![[r#"
            _result 0: *_start *_stop *_field *_measurement *host _value _time
              00:00:00Z 00:00:50Z usage cpu a 1.5 00:00:20Z
              00:00:00Z 00:00:50Z usage cpu a 3.5 00:00:40Z
              00:00:00Z 00:00:50Z usage cpu a - 00:00:50Z
        "#]],
    );
}

#[test]
fn windows_that_overlap() {
    usage(
        "|> aggregateWindow(every: 10s, period: 20s, fn: sum, createEmpty: false)",
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 00:00:50Z 00:00:10Z 1.0 usage cpu a
          00:00:00Z 00:00:50Z 00:00:20Z 3.0 usage cpu a
          00:00:00Z 00:00:50Z 00:00:30Z 5.0 usage cpu a
          00:00:00Z 00:00:50Z 00:00:40Z 7.0 usage cpu a
          00:00:00Z 00:00:50Z 00:00:50Z 4.0 usage cpu a
    "#]],
    );
}

#[test]
fn window_splits_tables() {
    usage(
        "|> window(every: 20s)",
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 00:00:20Z 00:00:00Z 1.0 usage cpu a
          00:00:00Z 00:00:20Z 00:00:10Z 2.0 usage cpu a
        _result 1: *_start *_stop _time _value *_field *_measurement *host
          00:00:20Z 00:00:40Z 00:00:20Z 3.0 usage cpu a
          00:00:20Z 00:00:40Z 00:00:30Z 4.0 usage cpu a
    "#]],
    );
    usage(
        "|> window(every: 20s) |> sum() |> duplicate(column: \"_stop\", as: \"_time\") |> window(every: inf)",
        &expect![[r#"
            _result 0: *_start *_stop *_field *_measurement *host _value _time
              00:00:00Z 00:00:50Z usage cpu a 3.0 00:00:20Z
              00:00:00Z 00:00:50Z usage cpu a 7.0 00:00:40Z
        "#]],
    );
}

#[test]
fn months_and_weeks() {
    let rows = r#"import "array"
        array.from(rows: [
            {_time: 2021-01-31T12:00:00Z, _value: 1},
            {_time: 2021-02-28T23:59:59Z, _value: 2},
            {_time: 2021-03-01T00:00:00Z, _value: 3},
        ]) |> range(start: 2021-01-15T00:00:00Z, stop: 2021-03-15T00:00:00Z)"#;
    check(
        &format!("{rows} |> aggregateWindow(every: 1mo, fn: sum)"),
        &expect![[r#"
        _result 0: *_start *_stop _value _time
          2021-01-15T00:00:00Z 2021-03-15T00:00:00Z 1 2021-02-01T00:00:00Z
          2021-01-15T00:00:00Z 2021-03-15T00:00:00Z 2 2021-03-01T00:00:00Z
          2021-01-15T00:00:00Z 2021-03-15T00:00:00Z 3 2021-03-15T00:00:00Z
    "#]],
    );
    check(
        &format!("{rows} |> window(every: 1w) |> drop(columns: [\"_value\"])"),
        &expect![[r#"
        _result 0: _time *_start *_stop
          2021-01-31T12:00:00Z 2021-01-28T00:00:00Z 2021-02-04T00:00:00Z
        _result 1: _time *_start *_stop
          2021-02-28T23:59:59Z 2021-02-25T00:00:00Z 2021-03-04T00:00:00Z
          2021-03-01T00:00:00Z 2021-02-25T00:00:00Z 2021-03-04T00:00:00Z
    "#]],
    );
}

#[test]
fn days_follow_the_location_over_daylight_saving() {
    check(
        r#"import "array"
        import "timezone"
        option location = timezone.location(name: "America/Los_Angeles")
        array.from(rows: [{_time: 2021-03-14T09:00:00Z, _value: 1}, {_time: 2021-03-15T06:59:59Z, _value: 2}])
            |> range(start: 2021-03-13T08:00:00Z, stop: 2021-03-16T07:00:00Z)
            |> aggregateWindow(every: 1d, fn: sum)"#,
        &expect![[r#"
            _result 0: *_start *_stop _value _time
              2021-03-13T08:00:00Z 2021-03-16T07:00:00Z - 2021-03-14T08:00:00Z
              2021-03-13T08:00:00Z 2021-03-16T07:00:00Z 3 2021-03-15T07:00:00Z
              2021-03-13T08:00:00Z 2021-03-16T07:00:00Z - 2021-03-16T07:00:00Z
        "#]],
    );
}
