//! `from |> range |> filter` and what follows it.

use expect_test::expect;

use super::{CPU, check};
use crate::test_source::{Memory, output};

const ALL: &str = r#"from(bucket: "b") |> range(start: 0)"#;

fn on_all(rest: &str, expected: &expect_test::Expect) {
    check(&format!("{ALL} {rest}"), expected);
}

#[test]
fn a_table_per_series_and_field() {
    on_all(
        "",
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:00Z 9 idle cpu a
          00:00:00Z 01:00:00Z 00:00:10Z 8 idle cpu a
          00:00:00Z 01:00:00Z 00:00:20Z 7 idle cpu a
        _result 1: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:00Z 1.0 usage cpu a
          00:00:00Z 01:00:00Z 00:00:10Z 2.0 usage cpu a
          00:00:00Z 01:00:00Z 00:00:20Z 3.0 usage cpu a
          00:00:00Z 01:00:00Z 00:00:30Z 4.0 usage cpu a
        _result 2: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:05Z 1 idle cpu b
          00:00:00Z 01:00:00Z 00:00:25Z 2 idle cpu b
        _result 3: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:05Z 10.0 usage cpu b
          00:00:00Z 01:00:00Z 00:00:25Z 20.0 usage cpu b
        _result 4: *_start *_stop _time _value *_field *_measurement
          00:00:00Z 01:00:00Z 00:00:00Z 5u used mem
          00:00:00Z 01:00:00Z 00:00:30Z 6u used mem
    "#]],
    );
}

#[test]
fn filters_on_tags_and_fields_are_pushed_down() {
    let source = Memory::of(CPU);
    let script = r#"host = "a"
        from(bucket: "b") |> range(start: 0)
        |> filter(fn: (r) => r._measurement == "cpu" and r["_field"] == "usage")
        |> filter(fn: (r) => r.host == host and r._value > 2.0)"#;
    expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:20Z 3.0 usage cpu a
          00:00:00Z 01:00:00Z 00:00:30Z 4.0 usage cpu a
    "#]]
    .assert_eq(&output(&source, script));
    expect![[r#"And([Compare(Measurement, Eq("cpu")), Compare(Field, Eq("usage")), Compare(Tag("host"), Eq("a"))]) Names(["usage"])"#]].assert_eq(&source.requests.borrow().join("\n"));
}

#[test]
fn conditions_of_every_kind() {
    on_all(
        r#"|> filter(fn: (r) => r.host =~ /^b/ and not r._field == "idle")"#,
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:05Z 10.0 usage cpu b
          00:00:00Z 01:00:00Z 00:00:25Z 20.0 usage cpu b
    "#]],
    );
    on_all(
        r#"|> filter(fn: (r) => not exists r.host)"#,
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement
          00:00:00Z 01:00:00Z 00:00:00Z 5u used mem
          00:00:00Z 01:00:00Z 00:00:30Z 6u used mem
    "#]],
    );
    on_all(
        r#"|> filter(fn: (r) => contains(value: r.host, set: ["b"]) and r._value == 2)"#,
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:25Z 2 idle cpu b
    "#]],
    );
}

#[test]
fn columns_and_rows_filter_alike() {
    // Of each pair the first is compared by column, the second row by row.
    let source =
        Memory::of("m x=1 0\n m x=2 1\n m x=3,y=1i 2\n m y=2i 3\n m x=NaN 4\n m z=3u 5\n m s=\"t\" 6");
    for (field, operator, constant) in [
        ("x", ">", "1.5"),
        ("x", "==", "2.0"),
        ("x", "!=", "2.0"),
        ("x", "<=", "2"),
        ("x", ">=", "-1.0"),
        ("y", "<", "2"),
        ("z", "==", "3"),
    ] {
        let all = format!(r#"limit = {constant} {ALL} |> filter(fn: (r) => r._field == "{field}")"#);
        let by_column = format!("{all} |> filter(fn: (r) => r._value {operator} limit)");
        let by_row =
            format!("{all} |> filter(fn: (r) => (if true then r._value else r._value) {operator} limit)");
        let expected = output(&source, &by_row);
        assert!(expected.contains("_result"), "{by_row}: {expected}");
        assert_eq!(output(&source, &by_column), expected, "{by_column}");
    }
}

#[test]
fn unbounded_and_unknown() {
    check(
        r#"from(bucket: "b")"#,
        &expect![[r#"
        cannot submit unbounded read to "b"; try bounding 'from' with a call to 'range'
    "#]],
    );
    check(
        r#"from(bucket: "x") |> range(start: -1h)"#,
        &expect![[r#"
        could not find bucket "x"
    "#]],
    );
    check(
        r#"from(bucket: "b") |> range(start: 10, stop: 10)"#,
        &expect![[r#"
        error calling function "range" @1:22-1:48: cannot query an empty range
    "#]],
    );
}

#[test]
fn aggregates_put_the_value_after_stop_on_a_scan() {
    on_all(
        "|> mean()",
        &expect![[r#"
        _result 0: *_start *_stop _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 8.0 idle cpu a
        _result 1: *_start *_stop _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 2.5 usage cpu a
        _result 2: *_start *_stop _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 1.5 idle cpu b
        _result 3: *_start *_stop _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 15.0 usage cpu b
        _result 4: *_start *_stop _value *_field *_measurement
          00:00:00Z 01:00:00Z 5.5 used mem
    "#]],
    );
    on_all(
        "|> sum()",
        &expect![[r#"
        _result 0: *_start *_stop _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 24 idle cpu a
        _result 1: *_start *_stop _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 10.0 usage cpu a
        _result 2: *_start *_stop _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 3 idle cpu b
        _result 3: *_start *_stop _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 30.0 usage cpu b
        _result 4: *_start *_stop _value *_field *_measurement
          00:00:00Z 01:00:00Z 11u used mem
    "#]],
    );
    on_all(
        "|> count()",
        &expect![[r#"
        _result 0: *_start *_stop _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 3 idle cpu a
        _result 1: *_start *_stop _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 4 usage cpu a
        _result 2: *_start *_stop _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 2 idle cpu b
        _result 3: *_start *_stop _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 2 usage cpu b
        _result 4: *_start *_stop _value *_field *_measurement
          00:00:00Z 01:00:00Z 2 used mem
    "#]],
    );
    on_all(
        r#"|> filter(fn: (r) => r.host == "a") |> spread()"#,
        &expect![[r#"
        _result 0: *_start *_stop _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 2 idle cpu a
        _result 1: *_start *_stop _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 3.0 usage cpu a
    "#]],
    );
    on_all(
        r#"|> filter(fn: (r) => r.host == "a") |> stddev()"#,
        &expect![[r#"
        _result 0: *_start *_stop *_field *_measurement *host _value
          00:00:00Z 01:00:00Z idle cpu a 1.0
        _result 1: *_start *_stop *_field *_measurement *host _value
          00:00:00Z 01:00:00Z usage cpu a 1.2909944487358056
    "#]],
    );
    on_all(
        r#"|> filter(fn: (r) => r.host == "a") |> median()"#,
        &expect![[r#"
        _result 0: *_start *_stop *_field *_measurement *host _value
          00:00:00Z 01:00:00Z idle cpu a 8.0
        _result 1: *_start *_stop *_field *_measurement *host _value
          00:00:00Z 01:00:00Z usage cpu a 2.5
    "#]],
    );
}

#[test]
fn selectors_keep_the_row() {
    on_all(
        "|> first()",
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:00Z 9 idle cpu a
        _result 1: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:00Z 1.0 usage cpu a
        _result 2: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:05Z 1 idle cpu b
        _result 3: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:05Z 10.0 usage cpu b
        _result 4: *_start *_stop _time _value *_field *_measurement
          00:00:00Z 01:00:00Z 00:00:00Z 5u used mem
    "#]],
    );
    on_all(
        "|> last()",
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:20Z 7 idle cpu a
        _result 1: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:30Z 4.0 usage cpu a
        _result 2: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:25Z 2 idle cpu b
        _result 3: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:25Z 20.0 usage cpu b
        _result 4: *_start *_stop _time _value *_field *_measurement
          00:00:00Z 01:00:00Z 00:00:30Z 6u used mem
    "#]],
    );
    on_all(
        "|> min()",
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:20Z 7 idle cpu a
        _result 1: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:00Z 1.0 usage cpu a
        _result 2: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:05Z 1 idle cpu b
        _result 3: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:05Z 10.0 usage cpu b
        _result 4: *_start *_stop _time _value *_field *_measurement
          00:00:00Z 01:00:00Z 00:00:00Z 5u used mem
    "#]],
    );
    on_all(
        "|> max()",
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:00Z 9 idle cpu a
        _result 1: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:30Z 4.0 usage cpu a
        _result 2: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:25Z 2 idle cpu b
        _result 3: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:25Z 20.0 usage cpu b
        _result 4: *_start *_stop _time _value *_field *_measurement
          00:00:00Z 01:00:00Z 00:00:30Z 6u used mem
    "#]],
    );
}

#[test]
fn map_sorts_columns_and_keeps_the_key() {
    on_all(
        r#"|> filter(fn: (r) => r._field == "usage") |> map(fn: (r) => ({r with double: r._value * 2.0, label: "${r.host}!"})) |> limit(n: 1)"#,
        &expect![[r#"
            _result 0: *_field *_measurement *_start *_stop _time _value double *host label
              usage cpu 00:00:00Z 01:00:00Z 00:00:00Z 1.0 2.0 a a!
            _result 1: *_field *_measurement *_start *_stop _time _value double *host label
              usage cpu 00:00:00Z 01:00:00Z 00:00:05Z 10.0 20.0 b b!
        "#]],
    );
    on_all(
        r#"|> filter(fn: (r) => r._field == "idle") |> map(fn: (r) => ({_time: r._time, host: r.host, big: if r._value > 7 then "yes" else "no"}))"#,
        &expect![[r#"
            _result 0: _time big *host
              00:00:00Z yes a
              00:00:10Z yes a
              00:00:20Z no a
            _result 1: _time big *host
              00:00:05Z no b
              00:00:25Z no b
        "#]],
    );
}

#[test]
fn groups_sorts_and_limits() {
    on_all(
        r#"|> filter(fn: (r) => r._field == "usage") |> group(columns: ["_measurement"]) |> sort(desc: true) |> limit(n: 2, offset: 1)"#,
        &expect![[r#"
            _result 0: _start _stop _time _value _field *_measurement host
              00:00:00Z 01:00:00Z 00:00:05Z 10.0 usage cpu b
              00:00:00Z 01:00:00Z 00:00:30Z 4.0 usage cpu a
        "#]],
    );
    on_all(
        r#"|> group() |> count()"#,
        &expect![[r#"
        schema collision detected: column "_value" is both of type float and int
    "#]],
    );
    on_all(
        r#"|> filter(fn: (r) => r._field == "usage") |> group(columns: ["_time", "_start", "_stop", "_value"], mode: "except") |> sum()"#,
        &expect![[r#"
        _result 0: *_field *_measurement *host _value
          usage cpu a 10.0
        _result 1: *_field *_measurement *host _value
          usage cpu b 30.0
    "#]],
    );
    on_all(
        r#"|> filter(fn: (r) => r._field == "usage") |> tail(n: 1)"#,
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:30Z 4.0 usage cpu a
        _result 1: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:25Z 20.0 usage cpu b
    "#]],
    );
}

#[test]
fn columns_change() {
    on_all(
        r#"|> filter(fn: (r) => r._field == "idle") |> drop(columns: ["_start", "_stop", "host"])"#,
        &expect![[r#"
        _result 0: _time _value *_field *_measurement
          00:00:00Z 9 idle cpu
          00:00:10Z 8 idle cpu
          00:00:20Z 7 idle cpu
          00:00:05Z 1 idle cpu
          00:00:25Z 2 idle cpu
    "#]],
    );
    on_all(
        r#"|> filter(fn: (r) => r.host == "b") |> keep(columns: ["_time", "_value", "_field"]) |> rename(columns: {_value: "v"})"#,
        &expect![[r#"
        _result 0: _time v *_field
          00:00:05Z 1 idle
          00:00:25Z 2 idle
        _result 1: _time v *_field
          00:00:05Z 10.0 usage
          00:00:25Z 20.0 usage
    "#]],
    );
    on_all(
        r#"|> last() |> set(key: "host", value: "z") |> duplicate(column: "_value", as: "copy") |> limit(n: 1)"#,
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host copy
          00:00:00Z 01:00:00Z 00:00:20Z 7 idle cpu z 7
        _result 1: *_start *_stop _time _value *_field *_measurement *host copy
          00:00:00Z 01:00:00Z 00:00:30Z 4.0 usage cpu z 4.0
        _result 2: *_start *_stop _time _value *_field *_measurement host copy
          00:00:00Z 01:00:00Z 00:00:30Z 6u used mem z 6u
    "#]],
    );
}

#[test]
fn pivot_puts_fields_beside_one_another() {
    on_all(
        r#"|> filter(fn: (r) => r._measurement == "cpu") |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")"#,
        &expect![[r#"
            _result 0: *_start *_stop *_measurement *host _time idle usage
              00:00:00Z 01:00:00Z cpu a 00:00:00Z 9 1.0
              00:00:00Z 01:00:00Z cpu a 00:00:10Z 8 2.0
              00:00:00Z 01:00:00Z cpu a 00:00:20Z 7 3.0
              00:00:00Z 01:00:00Z cpu a 00:00:30Z - 4.0
            _result 1: *_start *_stop *_measurement *host _time idle usage
              00:00:00Z 01:00:00Z cpu b 00:00:05Z 1 10.0
              00:00:00Z 01:00:00Z cpu b 00:00:25Z 2 20.0
        "#]],
    );
}

#[test]
fn union_and_join() {
    check(
        r#"a = from(bucket: "b") |> range(start: 0) |> filter(fn: (r) => r._field == "idle" and r.host == "a")
        b = from(bucket: "b") |> range(start: 0) |> filter(fn: (r) => r._field == "usage" and r.host == "a")
        union(tables: [a, b]) |> last() |> yield(name: "u")
        join(tables: {i: a, u: b}, on: ["_time"]) |> keep(columns: ["_time", "_value_i", "_value_u"])"#,
        &expect![[r#"
            u 0: *_start *_stop _time _value *_field *_measurement *host
              00:00:00Z 01:00:00Z 00:00:20Z 7 idle cpu a
            u 1: *_start *_stop _time _value *_field *_measurement *host
              00:00:00Z 01:00:00Z 00:00:30Z 4.0 usage cpu a
            _result 0: _time _value_i _value_u
              00:00:00Z 9 1.0
              00:00:10Z 8 2.0
              00:00:20Z 7 3.0
        "#]],
    );
}

#[test]
fn sequences() {
    on_all(
        r#"|> filter(fn: (r) => r._field == "usage" and r.host == "a") |> derivative(unit: 10s)"#,
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:10Z 1.0 usage cpu a
          00:00:00Z 01:00:00Z 00:00:20Z 1.0 usage cpu a
          00:00:00Z 01:00:00Z 00:00:30Z 1.0 usage cpu a
    "#]],
    );
    on_all(
        r#"|> filter(fn: (r) => r._field == "idle" and r.host == "a") |> difference()"#,
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:10Z -1 idle cpu a
          00:00:00Z 01:00:00Z 00:00:20Z -1 idle cpu a
    "#]],
    );
    on_all(
        r#"|> filter(fn: (r) => r._field == "used") |> cumulativeSum()"#,
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement
          00:00:00Z 01:00:00Z 00:00:00Z 5u used mem
          00:00:00Z 01:00:00Z 00:00:30Z 11u used mem
    "#]],
    );
    on_all(
        r#"|> filter(fn: (r) => r._field == "usage" and r.host == "a") |> movingAverage(n: 2)"#,
        &expect![[r#"
        _result 0: *_start *_stop _time _value *_field *_measurement *host
          00:00:00Z 01:00:00Z 00:00:10Z 1.5 usage cpu a
          00:00:00Z 01:00:00Z 00:00:20Z 2.5 usage cpu a
          00:00:00Z 01:00:00Z 00:00:30Z 3.5 usage cpu a
    "#]],
    );
}

#[test]
fn schema_functions() {
    check(
        r#"import "influxdata/influxdb/schema" schema.measurements(bucket: "b")"#,
        &expect![[r#"
        _result 0: _value
          cpu
          mem
    "#]],
    );
    check(
        r#"import "influxdata/influxdb/v1" v1.tagValues(bucket: "b", tag: "host")"#,
        &expect![[r#"
        _result 0: _value
          a
          b
    "#]],
    );
    check(
        r#"import "influxdata/influxdb/schema" schema.tagKeys(bucket: "b", predicate: (r) => r._measurement == "cpu")"#,
        &expect![[r#"
            _result 0: _value
              _field
              _measurement
              _start
              _stop
              host
        "#]],
    );
    check(
        r#"import "influxdata/influxdb/schema" schema.measurementFieldKeys(bucket: "b", measurement: "cpu")"#,
        &expect![[r#"
        _result 0: _value
          idle
          usage
    "#]],
    );
    check(
        "buckets()",
        &expect![[r#"
        _result 0: name id *organizationID retentionPolicy retentionPeriod
          b 000000000000000b 000000000000000a - 0
    "#]],
    );
}
