//! The language itself: values, functions, options, errors.

use expect_test::{Expect, expect};

use super::{CPU, check};
use crate::test_source::{LIMITS, Memory, output, try_run};
use crate::{Class, Limits};

/// Evaluates an expression as a column of one row.
fn value(expression: &str, expected: &Expect) {
    let script = format!(
        "import \"array\"\nimport \"math\"\nimport \"strings\"\nimport \"date\"\nimport \"dict\"\nimport \"regexp\"\narray.from(rows: [{{v: {expression}}}])"
    );
    let text = output(&Memory::default(), &script);
    let text = text.strip_prefix("_result 0: v\n  ").unwrap_or(&text);
    expected.assert_eq(text.trim_end_matches('\n'));
}

#[test]
fn arithmetic_and_precedence() {
    value("1 + 2 * 3 - 4", &expect!["3"]);
    value("(1 + 2) * 3", &expect!["9"]);
    value("-2 ^ 2", &expect!["4.0"]);
    value("7 / 2", &expect!["3"]);
    value("7.0 / 2.0", &expect!["3.5"]);
    value("7 % 3", &expect!["1"]);
    value("\"a\" + \"b\"", &expect!["ab"]);
    value("1 < 2 and not 2 < 1 or false", &expect!["true"]);
    value("if 1 == 1 then \"y\" else \"n\"", &expect!["y"]);
    value("1 / 0", &expect!["cannot divide by zero"]);
}

#[test]
fn times_and_durations() {
    value("2018-01-31T00:00:00Z + 1mo", &expect!["error @7:46-7:49: time is not Addable"]);
    value("date.add(d: 1mo, to: 2018-01-31T00:00:00Z)", &expect!["2018-02-28T00:00:00Z"]);
    value("string(v: 1mo2w3d)", &expect!["1mo2w3d"]);
    value("date.truncate(t: 2021-05-05T10:11:12Z, unit: 1mo)", &expect!["2021-05-01T00:00:00Z"]);
    value("date.month(t: 2021-05-05T10:11:12Z)", &expect!["5"]);
    value("now()", &expect!["01:00:00Z"]);
    value("duration(v: \"-1h30m\") == -90m", &expect!["true"]);
    value("int(v: 1m)", &expect!["60000000000"]);
}

#[test]
fn conversions() {
    value("int(v: \"12\")", &expect!["12"]);
    value("int(v: 1.9)", &expect!["1"]);
    value("float(v: \"1.5\")", &expect!["1.5"]);
    value("uint(v: 3)", &expect!["3u"]);
    value("string(v: 1.0)", &expect!["1"]);
    value("time(v: \"2020-01-01\")", &expect!["2020-01-01T00:00:00Z"]);
    value("bool(v: \"true\")", &expect!["true"]);
    value(
        "int(v: \"x\")",
        &expect![[
            r#"error calling function "int" @7:23-7:34: cannot convert string "x" to int due to invalid syntax"#
        ]],
    );
}

#[test]
fn functions_and_closures() {
    value("((a, b=2) => a + b)(a: 1)", &expect!["3"]);
    value("((x=<-, n) => x * n)(x: 2, n: 3)", &expect!["6"]);
    value("(() => { a = 1  b = a + 1  return b })()", &expect!["2"]);
    value("length(arr: [1, 2, 3])", &expect!["3"]);
    value("[10, 20][1]", &expect!["20"]);
    value("({a: 1}).a", &expect!["1"]);
    value("dict.get(dict: [\"a\": 1], key: \"b\", default: 7)", &expect!["7"]);
    value("strings.toUpper(v: \"ab\")", &expect!["AB"]);
    value("strings.joinStr(arr: [\"a\", \"b\"], v: \"-\")", &expect!["a-b"]);
    value("math.round(x: 2.5)", &expect!["3.0"]);
    value("\"${1 + 1} and ${\"x\" + \"y\"}\"", &expect!["2 and xy"]);
    value("regexp.findString(r: /a+/, v: \"baab\")", &expect!["aa"]);
    // As in Go, a brace that begins no repetition is itself, and classes know ASCII only.
    value("regexp.findString(r: /a{x/, v: \"ba{x\")", &expect!["a{x"]);
    value("string(v: \"{}\" =~ /^{}$/) + string(v: \"aa\" =~ /^a{2}$/)", &expect!["truetrue"]);
    value("regexp.findString(r: regexp.compile(v: \"{+\"), v: \"a{{b\")", &expect!["{{"]);
    value("regexp.getString(r: regexp.compile(v: \"\\\\d{\"))", &expect![r"\d{"]);
}

#[test]
fn options_change_now() {
    check(
        "option now = () => 2020-01-01T00:00:00Z\nimport \"array\"",
        &expect![[r#"
        error @2:1-2:7: invalid statement: import
    "#]],
    );
    check(
        "import \"array\"\noption now = () => 2020-01-01T00:00:00Z\narray.from(rows: [{t: now()}])",
        &expect![[r#"
            _result 0: t
              2020-01-01T00:00:00Z
        "#]],
    );
}

#[test]
fn several_results() {
    check(
        r#"import "array"
        a = array.from(rows: [{x: 1}])
        a |> yield(name: "one")
        a |> map(fn: (r) => ({x: r.x + 1})) |> yield(name: "two")
        a"#,
        &expect![[r#"
            one 0: x
              1
            two 0: x
              2
            _result 0: x
              1
        "#]],
    );
    check(
        "import \"array\"\na = array.from(rows: [{x: 1}])\na\na",
        &expect![[r#"
        tried to produce more than one result with the name "_result"
    "#]],
    );
    check(
        "a = 1 + 1",
        &expect![[r#"
        this Flux script returns no streaming data. Consider adding a "yield" or invoking streaming functions directly, without performing an assignment
    "#]],
    );
}

#[test]
fn compile_errors_have_a_place() {
    check(
        "x = 1\nfoo(x: 1)",
        &expect![[r#"
        error @2:1-2:4: undefined identifier foo
    "#]],
    );
    check(
        "from(bucket: \"b\") |> rang(start: 0)",
        &expect![[r#"
        error @1:22-1:26: undefined identifier rang
    "#]],
    );
    check(
        "from(bucket: 1) |> range(start: 0)",
        &expect![[r#"
        error @1:14-1:15: expected string but found int (argument bucket)
    "#]],
    );
    check(
        "from(bucket: \"b\") |> range(stop: 0)",
        &expect![[r#"
        error @1:22-1:36: missing required argument start
    "#]],
    );
    check(
        "from(bucket: \"b\") |> range(start: 0, begin: 1)",
        &expect![[r#"
        error @1:22-1:47: found unexpected argument begin
    "#]],
    );
    check(
        "1 + \"a\"",
        &expect![[r#"
        error @1:5-1:8: expected int but found string
    "#]],
    );
    check(
        "import \"nope\"",
        &expect![[r#"
        error @1:1-1:14: invalid import path nope
    "#]],
    );
    check(
        "import \"sql\"",
        &expect![[r#"
        error @1:1-1:13: package sql is not implemented yet
    "#]],
    );
    check(
        "return 1",
        &expect![[r#"
        error @1:1-1:9: return not inside of a function
    "#]],
    );
    check(
        "f = (x) => x\nf(y: 1)",
        &expect![[r#"
        error @2:1-2:8: found unexpected argument y
        error @2:1-2:8: missing required argument x
    "#]],
    );
    check(
        "from(bucket: \"b\") |> range(start: 0) |> holtWinters(n: 1)",
        &expect![[r#"
        error calling function "holtWinters" @1:41-1:58: function holtWinters is not implemented yet
    "#]],
    );
}

#[test]
fn csv_reads_what_annotated_csv_writes() {
    check(
        "import \"csv\"\ncsv.from(csv: \"#datatype,string,long,dateTime:RFC3339,double,string\n#group,false,false,false,false,true\n#default,_result,,,,\n,result,table,_time,_value,host\n,,0,1970-01-01T00:00:00Z,1.5,a\n,,1,1970-01-01T00:00:01Z,,b\n\")",
        &expect![[r#"
            _result 0: _time _value *host
              00:00:00Z 1.5 a
            _result 1: _time _value *host
              00:00:01Z - b
        "#]],
    );
}

#[test]
fn find_record_and_column() {
    check(
        r#"import "array"
        r = from(bucket: "b") |> range(start: 0) |> findRecord(fn: (key) => key.host == "b" and key._field == "usage", idx: 1)
        c = from(bucket: "b") |> range(start: 0) |> findColumn(fn: (key) => key._field == "used", column: "_value")
        array.from(rows: [{v: r._value, n: length(arr: c)}])"#,
        &expect![[r#"
            _result 0: v n
              20.0 2
        "#]],
    );
}

fn class(script: &str, limits: Limits) -> Class {
    try_run(&Memory::of(CPU), script, limits, &mut |_, _, _| {}).unwrap_err().class()
}

#[test]
fn limits_stop_scripts() {
    let endless = "f = (g) => g(g: g)\nf(g: f)";
    assert_eq!(class(endless, LIMITS), Class::LimitReached);
    let all = "from(bucket: \"b\") |> range(start: 0)";
    assert_eq!(class(all, Limits { rows_max: 3, ..LIMITS }), Class::LimitReached);
    let grouped = &format!("{all} |> group()");
    assert_eq!(class(grouped, Limits { memory_bytes_max: 100, ..LIMITS }), Class::LimitReached);
    let filtered = &format!("{all} |> filter(fn: (r) => r._value == 1)");
    assert_eq!(class(filtered, Limits { steps_max: 4, ..LIMITS }), Class::LimitReached);
    let windows = &format!("{all} |> aggregateWindow(every: 1ns, fn: mean)");
    assert_eq!(class(windows, LIMITS), Class::LimitReached);
}

#[test]
fn memory_of_what_scripts_make_is_limited() {
    let small = Limits { memory_bytes_max: 1 << 20, ..LIMITS };
    let all = "from(bucket: \"b\") |> range(start: 0)";
    let doubled = |start: &str, next: &dyn Fn(usize) -> String| {
        let steps: Vec<String> = (0..60).map(|i| format!("x{} = {}", i + 1, next(i))).collect();
        format!("import \"array\"\nx0 = {start}\n{}\n", steps.join("\n"))
    };
    let text = doubled("\"abcdefgh\"", &|i| format!("x{i} + x{i}"));
    assert_eq!(class(&format!("{text}{all}"), small), Class::LimitReached);
    let list = doubled("[1, 2]", &|i| format!("array.concat(arr: x{i}, v: x{i})"));
    assert_eq!(class(&format!("{list}{all}"), small), Class::LimitReached);
    let union = doubled(all, &|i| format!("union(tables: [x{i}, x{i}])"));
    assert_eq!(class(&format!("{union}x60"), small), Class::LimitReached);
    for window in ["aggregateWindow(every: 100ms, fn: mean)", "window(every: 100ms, createEmpty: true)"] {
        assert_eq!(class(&format!("{all} |> {window}"), small), Class::LimitReached, "{window}");
    }
    let replaced = "import \"strings\"\nx = strings.repeat(v: \"a\", i: 1000000)\n\
        strings.replaceAll(v: x, t: \"a\", u: x)";
    assert_eq!(class(replaced, LIMITS), Class::LimitReached);
}

#[test]
fn values_nest_without_end() {
    let nested = |first: &str, next: &dyn Fn(usize) -> String| {
        let steps: Vec<String> = (0..50_000).map(|i| format!("x{} = {}", i + 1, next(i))).collect();
        format!("import \"array\"\nf = (x) => () => x\nx0 = {first}\n{}\n", steps.join("\n"))
    };
    let end = "array.from(rows: [{v: 1}])";
    for next in [
        |i| format!("[x{i}]"),
        |i| format!("{{v: x{i}}}"),
        |i| format!("[1: x{i}]"),
        |i| format!("f(x: x{i})"),
    ] {
        let script = nested("[1]", &next) + end;
        assert_eq!(output(&Memory::default(), &script), "_result 0: v\n  1\n");
    }
    let streams = nested("from(bucket: \"b\") |> range(start: 0)", &|i| format!("x{i} |> limit(n: 1)"));
    assert_eq!(output(&Memory::of(CPU), &(streams.clone() + end)), "_result 0: v\n  1\n");
    assert_eq!(class(&format!("{streams}x50000"), LIMITS), Class::LimitReached);
}

#[test]
fn nested_values_compare_and_print_within_bounds() {
    let twice: Vec<String> =
        (0..60).map(|i| format!("a{} = [a{i}, a{i}]\nb{} = [b{i}, b{i}]", i + 1, i + 1)).collect();
    let script = format!(
        "import \"array\"\na0 = [1]\nb0 = [1]\n{}\narray.from(rows: [{{v: a60 == b60, w: a2 == b2, t: display(v: a60) != \"\"}}])",
        twice.join("\n")
    );
    assert_eq!(output(&Memory::default(), &script), "_result 0: v w t\n  false true true\n");
}

#[test]
fn large_records_keep_the_last_of_equal_names() {
    let fields: Vec<String> = (0..100).map(|i| format!("f{}: {i}", i % 99)).collect();
    let script =
        format!("import \"array\"\nr = {{{}}}\narray.from(rows: [{{v: r.f0, w: r.f98}}])", fields.join(", "));
    assert_eq!(output(&Memory::default(), &script), "_result 0: v w\n  99 98\n");
}

#[test]
fn classes_of_errors() {
    assert_eq!(class("from(bucket: \"x\") |> range(start: 0)", LIMITS), Class::NotFound);
    assert_eq!(class("from(", LIMITS), Class::Invalid);
}

#[test]
fn extreme_arguments_are_errors_not_panics() {
    let all = "from(bucket: \"b\") |> range(start: 0)";
    for rest in [
        "|> aggregateWindow(every: 1ns, period: 1y, fn: sum)",
        "|> aggregateWindow(every: 9223372036854775807ns, fn: sum)",
        "|> aggregateWindow(every: 0s, fn: sum)",
        "|> aggregateWindow(every: -1s, fn: sum)",
        "|> aggregateWindow(every: 1mo1d, fn: sum)",
        "|> limit(n: -1)",
        "|> limit(n: 9223372036854775807, offset: 9223372036854775807)",
        "|> timeShift(duration: 9223372036854775807ns)",
        "|> movingAverage(n: 0)",
        "|> quantile(q: 2.0)",
        "|> map(fn: (r) => ({r with _value: 9223372036854775807 + 1}))",
        "|> top(n: 9223372036854775807)",
        "|> filter(fn: (r) => r._value)",
        "|> map(fn: (r) => 1)",
    ] {
        let script = format!("{all} {rest}");
        // The outcome may be either; a panic fails the test.
        let _outcome = try_run(&Memory::of(CPU), &script, LIMITS, &mut |_, _, _| {});
    }
    for far in ["range(start: 1677-09-21T00:12:44Z, stop: 2262-04-11T23:47:16Z)", "range(start: -292y)"] {
        let script = format!(
            "from(bucket: \"b\") |> {far} |> aggregateWindow(every: 100y, fn: count, createEmpty: false)"
        );
        try_run(&Memory::of(CPU), &script, LIMITS, &mut |_, _, _| {}).unwrap();
    }
    let script = "option now = () => 1677-09-21T00:12:44Z\nimport_free = today()\nfrom(bucket: \"b\") |> range(start: 0, stop: today())";
    let _outcome = try_run(&Memory::of(CPU), script, LIMITS, &mut |_, _, _| {});
}
