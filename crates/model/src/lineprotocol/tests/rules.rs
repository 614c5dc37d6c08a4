//! Every rule of the grammar: a body, and the points or the reason it gives.

use super::*;

/// `Ok` is the points as they are written back (time 42 when none was sent), `Err` the reason of the only line.
fn rule(body: &str, want: Result<&str, &str>) {
    let parsed = parse(body.as_bytes(), &options());
    check_invariants(&parsed.batch);
    match want {
        Ok(want) => {
            assert_eq!(parsed.errors, [], "{body:?}");
            let mut out = String::new();
            write_batch(&mut out, &parsed.batch).expect("writable");
            assert_eq!(out.trim_end_matches('\n'), want, "{body:?}");
        }
        Err(want) => {
            let reasons: Vec<_> = parsed.errors.iter().map(|e| &*e.reason).collect();
            assert_eq!(reasons, [want], "{body:?}");
            assert!(parsed.batch.is_empty(), "{body:?}");
        }
    }
}

fn good(body: &str, want: &str) {
    rule(body, Ok(want));
}

fn bad(body: &str, want: &str) {
    rule(body, Err(want));
}

#[test]
fn keys() {
    good("m v=1", "m v=1 42");
    good("m,b=2,a=1 v=1", "m,a=1,b=2 v=1 42");
    good("_m v=1", "_m v=1 42");
    good("m=x v=1", "m=x v=1 42");
    good("m,a==b v=1", "m,a=\\=b v=1 42");
    good("m\"q,a=\"x\" v=1", "m\"q,a=\"x\" v=1 42");
    bad(",a=b v=1", "missing measurement");
    bad("m", "missing fields");
    bad("m,a=b", "missing fields");
    bad("m\r\n", "missing fields");
    bad("m,", "missing tag key");
    bad("m, v=1", "missing tag key");
    bad("m,=b v=1", "missing tag key");
    bad("m,a=b,,c=d v=1", "missing tag key");
    bad("m,a v=1", "missing tag value");
    bad("m,a", "missing tag value");
    bad("m,a= v=1", "missing tag value");
    bad("m,a=,b=c v=1", "missing tag value");
    bad("m,a=", "missing tag value");
    bad("m,a=b=c v=1", "invalid tag format");
    bad("m,a=1,a=2 v=1", "duplicate tags");
    bad("m,b=1,a=1,b=2 v=1", "duplicate tags");
    bad("m,time=1 v=1", "cannot use reserved tag key \"time\"");
    bad("m,_field=1 v=1", "cannot use reserved tag key \"_field\"");
    bad("m,a=1,_measurement=1 v=1", "cannot use reserved tag key \"_measurement\"");
}

#[test]
fn escapes() {
    good("m\\,x\\ y,t\\,\\=\\ =\\=v\\,\\  f\\,\\=\\ =1", "m\\,x\\ y,t\\,\\=\\ =\\=v\\,\\  f\\,\\=\\ =1 42");
    // Elsewhere a backslash is a backslash.
    let parsed = parse(b"m\\a\\=,t\\a=v\\n f\\a=\"a\\nb\\q\\\\c\\\"d\"", &options());
    let table = only_table(&parsed);
    assert_eq!(&*table.measurement, "m\\a\\=");
    assert_eq!(table.series[0].key.tags().collect::<Vec<_>>(), [("t\\a", "v\\n")]);
    assert_eq!(&*table.fields[0].name, "f\\a");
    assert_eq!(table.columns[0].get(0), Some(FieldValue::String("a\\nb\\q\\c\"d".into())));
    // A backslash before a backslash does not hide it from what follows.
    let parsed = parse(b"m,t=a\\\\,b c=1", &options());
    assert_eq!(parsed.batch.tables[0].series[0].key.tag("t"), Some("a\\,b"));
    // The space after a backslash belongs to the name.
    bad("m\\ v=1", "missing fields");
    bad("m,t=v\\ v=1", "invalid tag format");
}

#[test]
fn blanks_and_line_ends() {
    good("  \t m   v=1 \t  7   ", "m v=1 7");
    good("\0m v=1", "m v=1 42");
    good("m v=1\r\nm v=2 8\r\n\r\nm v=3 \r\n", "m v=1 42\nm v=2 8\nm v=3 42");
    good("m v=1\r", "m v=1 42");
    good("m s=\"a\r\nb\" 1\r\n", "m s=\"a\r\nb\" 1");
    good("#m v=1\n   # x\n\n \n", "");
    good("", "");
    good("m v=1 1\n", "m v=1 1");
    bad("m v=1 1\t", "bad timestamp");
    bad("m v=1\t1", "invalid number");
    bad("m v=1\r1", "invalid number");
}

#[test]
fn field_sets() {
    good("m a=1,b=2i,c=3u,d=t,e=\"s\"", "m a=1,b=2i,c=3u,d=true,e=\"s\" 42");
    good("m \"a\"=1", "m \"a\"=1 42");
    good("m time=1,v=2", "m v=2 42");
    good("m v=2,time=\"x\"", "m v=2 42");
    bad("m time=1", "invalid field name: input field \"time\" on measurement \"m\" is invalid");
    bad("m time=x,v=1", "invalid boolean");
    bad("m ", "invalid field format");
    bad("m v", "invalid field format");
    bad("m v 1", "invalid field format");
    bad("m v=1,", "invalid field format");
    bad("m v=1,w", "invalid field format");
    bad("m v=1,w 1", "invalid field format");
    bad("m v=1,w,x=2", "invalid field format");
    bad("m =1", "missing field key");
    bad("m v=1,=2", "missing field key");
    bad("m v=", "missing field value");
    bad("m v=\r\n", "missing field value");
    bad("m v= 1", "missing field value");
    bad("m v=,w=1", "missing field value");
}

#[test]
fn floats() {
    for (text, want) in [
        ("1", "1"),
        ("1.", "1"),
        (".5", "0.5"),
        ("-.5", "-0.5"),
        ("-1.5", "-1.5"),
        ("1e5", "100000"),
        ("1E+5", "100000"),
        ("1.e2", "100"),
        ("25e-1", "2.5"),
        ("-0", "-0"),
        ("01", "1"),
        ("007.50", "7.5"),
        ("9007199254740993", "9007199254740992"),
        ("123456789012345678901234567890", "1.2345678901234568e29"),
        ("0.1", "0.1"),
        ("1e-400", "0"),
        ("1.7976931348623157e308", "1.7976931348623157e308"),
    ] {
        good(&format!("m v={text}"), &format!("m v={want} 42"));
    }
    for text in ["-", ".", "-.", "1.2.3", "NaN", "nan", "N", "1_0", "0x1", "1-", "1+1", "--1", "1f"] {
        bad(&format!("m v={text}"), "invalid number");
    }
    for text in ["1e400", "-1e400", "1e", "1e+", "1e5e5", "1e5.5", "-e5"] {
        bad(&format!("m v={text}"), "invalid float");
    }
    bad(&format!("m v={}", "9".repeat(400)), "invalid float");
    for text in ["+1", "Inf", "inf", "x", "e5"] {
        bad(&format!("m v={text}"), "invalid boolean");
    }
}

#[test]
fn integers() {
    good("m v=9223372036854775807i", "m v=9223372036854775807i 42");
    good("m v=-9223372036854775808i", "m v=-9223372036854775808i 42");
    good("m v=-007i", "m v=-7i 42");
    good("m v=00000000000000000000001i", "m v=1i 42");
    good("m v=18446744073709551615u", "m v=18446744073709551615u 42");
    good("m v=0u", "m v=0u 42");
    for text in ["1.0i", "1e5i", "9i10", "1ii", "1iu", "-i", "1ui", "-1u", "1.5u"] {
        bad(&format!("m v={text}"), "invalid number");
    }
    bad("m v=i", "invalid boolean");
    bad("m v=u", "invalid boolean");
    for digits in ["9223372036854775808", "-9223372036854775809", "99999999999999999999"] {
        let parsing = format!("strconv.ParseInt: parsing \"{digits}\": value out of range");
        bad(&format!("m v={digits}i"), &format!("unable to parse integer {digits}: {parsing}"));
    }
    bad(
        "m v=18446744073709551616u",
        "unable to parse unsigned 18446744073709551616: strconv.ParseUint: parsing \
         \"18446744073709551616\": value out of range",
    );
}

#[test]
fn booleans() {
    for text in ["t", "T", "true", "True", "TRUE"] {
        good(&format!("m v={text},w=1"), "m v=true,w=1 42");
    }
    for text in ["f", "F", "false", "False", "FALSE"] {
        good(&format!("m v={text} 1"), "m v=false 1");
    }
    for text in ["tr", "tRUE", "truee", "falsey", "yes", "TrUe", "t\tx"] {
        bad(&format!("m v={text}"), "invalid boolean");
    }
}

#[test]
fn strings() {
    good("m s=\"\"", "m s=\"\" 42");
    good("m s=\"a b,c=d\",v=1 3", "m s=\"a b,c=d\",v=1 3");
    good("m s=\"l1\nl2\",v=1 3\nm v=2 4", "m s=\"l1\nl2\",v=1 3\nm v=2 4");
    good("m s=\"\\\\\"", "m s=\"\\\\\" 42");
    bad("m s=\"", "unbalanced quotes");
    bad("m s=\"abc\\\"", "unbalanced quotes");
    bad("m s=\"abc\nm v=1\n", "unbalanced quotes");
    bad("m s=\"abc\\", "unbalanced quotes");
    bad("m s=\"a\"b", "invalid field format");
    bad("m s=\"a\"\"b\"", "invalid field format");
    bad("m s=\"a\\\\\"b", "invalid field format");
    bad("m s='a'", "invalid boolean");
}

#[test]
fn timestamps() {
    good("m v=1 0", "m v=1 0");
    good("m v=1 -1", "m v=1 -1");
    good("m v=1 -0", "m v=1 0");
    good("m v=1 0000000000000000000000001", "m v=1 1");
    good("m v=1 9223372036854775806", "m v=1 9223372036854775806");
    good("m v=1 -9223372036854775806", "m v=1 -9223372036854775806");
    let outside = "time outside range -9223372036854775806 - 9223372036854775806";
    bad("m v=1 9223372036854775807", outside);
    bad("m v=1 -9223372036854775807", outside);
    let digits = "9223372036854775808";
    bad(&format!("m v=1 {digits}"), &format!("strconv.ParseInt: parsing \"{digits}\": value out of range"));
    bad("m v=1 -", "strconv.ParseInt: parsing \"-\": invalid syntax");
    for text in ["1.5", "+1", "1s", "1e3", "abc", "--1", "\"1\""] {
        bad(&format!("m v=1 {text}"), "bad timestamp");
    }
    bad("m v=1 1 2", "point is invalid");
    bad("m v=1 1 x", "point is invalid");
}
