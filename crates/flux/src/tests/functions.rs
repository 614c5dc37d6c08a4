//! Functions one by one: input rows, a script, the tables that follow from the documentation.

use expect_test::{Expect, expect};

use crate::test_source::{Memory, output};

fn check(script: &str, expected: &Expect) {
    let imports = "import \"array\"\nimport \"bitwise\"\nimport \"timezone\"\nimport tablefill \"experimental/table\"\n";
    expected.assert_eq(&output(&Memory::default(), &format!("{imports}{script}")));
}

#[test]
fn bins_and_histograms() {
    check(
        r"array.from(rows: [{
            a: string(v: display(v: linearBins(start: 1.0, width: 2.0, count: 3))),
            b: display(v: logarithmicBins(start: 1.0, factor: 10.0, count: 3, infinity: false)),
        }])",
        &expect![[r#"
            _result 0: a b
              [1, 3, 5, +Inf] [1, 10, 100]
        "#]],
    );
    let rows = "array.from(rows: [{g: \"x\", _value: 1.0}, {g: \"x\", _value: 2.5}, {g: \"x\", _value: 9.0}]) |> group(columns: [\"g\"])";
    check(
        &format!("{rows} |> histogram(bins: [5.0, 1.0, 10.0])"),
        &expect![[r#"
            _result 0: *g le _value
              x 1.0 1.0
              x 5.0 2.0
              x 10.0 3.0
        "#]],
    );
    check(
        &format!(
            "{rows} |> histogram(bins: [2.0, 20.0], normalize: true, countColumn: \"n\", upperBoundColumn: \"top\")"
        ),
        &expect![[r#"
            _result 0: *g top n
              x 2.0 0.3333333333333333
              x 20.0 1.0
        "#]],
    );
}

#[test]
fn quantiles_of_histograms() {
    let rows = "array.from(rows: [{le: 1.0, _value: 2.0}, {le: 2.0, _value: 6.0}, {le: 4.0, _value: 10.0}])";
    for (quantile, expected) in
        [("0.1", "0.5"), ("0.5", "1.75"), ("0.6", "2.0"), ("0.8", "3.0"), ("1.0", "4.0")]
    {
        let script = format!("import \"array\"\n{rows} |> histogramQuantile(quantile: {quantile})");
        assert_eq!(output(&Memory::default(), &script), format!("_result 0: _value\n  {expected}\n"));
    }
    let falling = "array.from(rows: [{le: 1.0, _value: 2.0}, {le: 2.0, _value: 1.0}]) |> histogramQuantile(quantile: 0.5";
    check(
        &format!("{falling})"),
        &expect![[r#"
            histogram records counts are not monotonic
        "#]],
    );
    check(&format!("{falling}, onNonmonotonic: \"drop\")"), &expect![""]);
    check(
        &format!("{falling}, onNonmonotonic: \"force\", valueColumn: \"q\")"),
        &expect![[r#"
            _result 0: q
              0.5
        "#]],
    );
}

#[test]
fn covariance_and_correlation() {
    let rows = "array.from(rows: [{x: 1.0, y: 2.0}, {x: 2.0, y: 4.0}, {x: 3.0, y: 6.0}])";
    check(
        &format!("{rows} |> covariance(columns: [\"x\", \"y\"])"),
        &expect![[r#"
            _result 0: _value
              2.0
        "#]],
    );
    check(
        &format!("{rows} |> covariance(columns: [\"x\", \"y\"], pearsonr: true, valueDst: \"r\")"),
        &expect![[r#"
            _result 0: r
              1.0
        "#]],
    );
}

#[test]
fn states_hours_and_truncation() {
    let rows = r"array.from(rows: [
        {_time: 2020-01-01T00:30:00Z, v: 1},
        {_time: 2020-01-01T09:15:00Z, v: 5},
        {_time: 2020-01-01T09:15:30Z, v: 6},
        {_time: 2020-01-01T23:59:59Z, v: 0},
    ])";
    check(
        &format!("{rows} |> stateCount(fn: (r) => r.v > 2) |> stateDuration(fn: (r) => r.v > 2)"),
        &expect![[r#"
            _result 0: _time v stateCount stateDuration
              2020-01-01T00:30:00Z 1 -1 -1
              2020-01-01T09:15:00Z 5 1 0
              2020-01-01T09:15:30Z 6 2 30
              2020-01-01T23:59:59Z 0 -1 -1
        "#]],
    );
    check(
        &format!("{rows} |> stateTracking(fn: (r) => r.v > 2, durationColumn: \"d\", durationUnit: 10s)"),
        &expect![[r#"
            _result 0: _time v d
              2020-01-01T00:30:00Z 1 -1
              2020-01-01T09:15:00Z 5 0
              2020-01-01T09:15:30Z 6 3
              2020-01-01T23:59:59Z 0 -1
        "#]],
    );
    check(
        &format!("{rows} |> hourSelection(start: 22, stop: 1) |> truncateTimeColumn(unit: 1h)"),
        &expect![[r#"
            _result 0: _time v
              2020-01-01T00:00:00Z 1
              2020-01-01T23:00:00Z 0
        "#]],
    );
    check(
        &format!("{rows} |> hourSelection(start: 10, stop: 10, location: timezone.fixed(offset: 1h))"),
        &expect![[r#"
            _result 0: _time v
              2020-01-01T09:15:00Z 5
              2020-01-01T09:15:30Z 6
        "#]],
    );
}

#[test]
fn bits() {
    check(
        r"array.from(rows: [{
            a: bitwise.uand(a: uint(v: 6), b: uint(v: 3)), b: bitwise.sor(a: 6, b: 3), c: bitwise.sxor(a: 6, b: 3), d: bitwise.uclear(a: uint(v: 6), b: uint(v: 3)),
            e: bitwise.snot(a: 0), f: bitwise.ulshift(a: uint(v: 1), b: 4), g: bitwise.srshift(a: -16, b: 2), h: bitwise.urshift(a: uint(v: 16), b: 64),
        }])",
        &expect![[r#"
            _result 0: a b c d e f g h
              2u 7 5 4u -1 16u -4 0u
        "#]],
    );
}

#[test]
fn empty_tables_get_a_row() {
    check(
        r#"array.from(rows: [{g: "x", v: 1}, {g: "y", v: 5}]) |> group(columns: ["g"])
        |> filter(fn: (r) => r.v > 2, onEmpty: "keep") |> tablefill.fill()"#,
        &expect![[r#"
            _result 0: *g v
              x -
            _result 1: *g v
              y 5
        "#]],
    );
}
