//! What test scripts stand on: `testing`, `experimental.diff` and `catch`, options of packages, `internal/debug`.

use expect_test::{Expect, expect};

use crate::test_source::{Memory, output};

const IMPORTS: &str = r#"
    import "array"
    import "experimental"
    import "internal/debug"
    import "planner"
    import "testing"
    import "testing/expect"
    import "types"
"#;

fn run(script: &str) -> String {
    output(&Memory::default(), &format!("{IMPORTS}{script}"))
}

fn check(script: &str, expected: &Expect) {
    expected.assert_eq(&run(script));
}

#[test]
fn equal_tables_have_no_difference() {
    let rows = r#"[{k: "a", v: 1.0}, {k: "b", v: 2.0}]"#;
    for want in [
        rows,
        r#"[{k: "b", v: 2.0000001}, {k: "a", v: 1.0}]"#,
        // A column that is nowhere but null.
        r#"[{k: "a", v: 1.0, x: debug.null(type: "int")}, {k: "b", v: 2.0, x: debug.null(type: "int")}]"#,
    ] {
        let script = format!(
            r#"got = array.from(rows: {rows}) |> group(columns: ["k"])
            want = array.from(rows: {want}) |> group(columns: ["k"])
            testing.diff(got: got, want: want) |> yield()"#
        );
        assert_eq!(run(&script), "", "{want}");
    }
}

#[test]
fn rows_that_differ_come_with_their_side() {
    check(
        r#"got = array.from(rows: [{k: "a", v: 1}, {k: "a", v: 2}, {k: "b", v: 3}]) |> group(columns: ["k"])
        want = array.from(rows: [{k: "a", v: 1}, {k: "a", v: 5}, {k: "a", v: 6}, {k: "c", v: 3}]) |> group(columns: ["k"])
        got |> experimental.diff(want: want)"#,
        &expect![[r#"
            _result 0: _diff *k v
              - a 5
              + a 2
              - a 6
            _result 1: _diff *k v
              + b 3
            _result 2: _diff *k v
              - c 3
        "#]],
    );
}

#[test]
fn values_and_errors_are_asserted() {
    assert_eq!(run("testing.assertEqualValues(got: 1 + 1, want: 2)"), "");
    check(
        "testing.assertEqualValues(got: 1 + 1, want: 3)",
        &expect![[r#"
            errorOutput 0: _diff v
              - 3
              + 2
        "#]],
    );
    assert_eq!(
        run(
            r#"testing.shouldError(fn: () => die(msg: "no"), want: /error calling function "die" @.*: no$/)"#
        ),
        ""
    );
    assert!(run(r#"testing.shouldError(fn: () => die(msg: "no"), want: /yes/)"#).contains("errorOutput"));
    assert!(run("testing.shouldError(fn: () => 1, want: /yes/)").contains("shouldError expected an error"));
    check(
        r#"c = experimental.catch(fn: () => die(msg: "no"))
        d = experimental.catch(fn: () => 7)
        array.from(rows: [{code: c.code, failed: not exists c.value, v: d.value, fine: not exists d.msg}])"#,
        &expect![[r#"
            _result 0: code failed v fine
              3u true 7 true
        "#]],
    );
}

#[test]
fn streams_are_asserted() {
    let rows = r#"array.from(rows: [{v: 1}])"#;
    assert!(run(&format!("{rows} |> testing.assertEmpty()")).contains("found tables"));
    assert_eq!(run(&format!("{rows} |> filter(fn: (r) => r.v > 1) |> testing.assertEmpty()")), "");
    assert!(
        run(&format!("{rows} |> testing.assertEquals(name: \"t\", want: {rows})")).contains("_result 0: v")
    );
    let other = format!("{rows} |> testing.assertEquals(name: \"t\", want: array.from(rows: [{{v: 2}}]))");
    assert!(run(&other).contains("test t:"));
}

#[test]
fn options_of_packages_are_set_and_expectations_of_planners_mean_nothing() {
    check(
        r#"option planner.disableLogicalRules = ["x"]
        option testing.load = (tables=<-) => tables |> limit(n: 1)
        expect.planner(rules: ["PushDownRangeRule": 1])
        array.from(rows: [{v: 1}, {v: 2}]) |> testing.load() |> debug.opaque() |> debug.slurp()"#,
        &expect![[r#"
            _result 0: v
              1
        "#]],
    );
    assert!(run("option planner.nothing = 1").contains("package planner has no option nothing"));
    assert!(run("option nowhere.nothing = 1").contains("nowhere is not a package"));
}

#[test]
fn what_experimental_has_of_its_own() {
    check(
        r#"array.from(rows: [{g: "x", h: "y", _time: 2020-01-01T00:00:00Z, a: 1.0, b: 2.0}])
        |> group(columns: ["g"])
        |> experimental.group(mode: "extend", columns: ["h"])
        |> experimental.unpivot()
        |> experimental.set(o: {g: "z", n: 3})"#,
        &expect![[r#"
            _result 0: *g *h _time *_field _value n
              z y 2020-01-01T00:00:00Z a 1.0 3
            _result 1: *g *h _time *_field _value n
              z y 2020-01-01T00:00:00Z b 2.0 3
        "#]],
    );
    check(
        r#"array.from(rows: [{_value: 1.0}, {_value: 3.0}]) |> experimental.mean()"#,
        &expect![[r#"
            _result 0: _value
              2.0
        "#]],
    );
    check(
        r#"array.from(rows: [{
            keys: (experimental.objectKeys(o: {b: 1, a: 2}))[0],
            is: types.isType(v: uint(v: 1), type: "uint"),
            isnt: types.isType(v: 1, type: "uint"),
            number: types.isNumeric(v: "1"),
            t: experimental.subDuration(d: 1h, from: 2020-01-01T01:00:00Z),
        }])"#,
        &expect![[r#"
            _result 0: keys is isnt number t
              b true false false 2020-01-01T00:00:00Z
        "#]],
    );
    check(
        r#"experimental.chain(first: array.from(rows: [{v: 1}]), second: array.from(rows: [{v: 2}, {v: 3}]))
        |> experimental.preview(nrows: 1)"#,
        &expect![[r#"
            _result 0: v
              2
        "#]],
    );
}
