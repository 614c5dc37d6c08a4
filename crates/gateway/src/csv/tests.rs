//! Golden cases of annotated CSV.

use expect_test::{Expect, expect};
use model::{Column, ColumnType, FieldType, FieldValue, Frame, FrameColumn, FrameValues, Timestamp, Values};

use super::*;

const ALL: [Annotation; 3] = [Annotation::Datatype, Annotation::Group, Annotation::Default];

fn constant(name: &str, value: FieldValue) -> FrameColumn {
    let column_type = ColumnType::Field(value.field_type());
    FrameColumn { name: name.into(), group: true, values: FrameValues::Constant(column_type, Some(value)) }
}

fn text(name: &str, value: &str) -> FrameColumn {
    constant(name, FieldValue::String(value.into()))
}

fn column(name: &str, values: Values) -> FrameColumn {
    FrameColumn { name: name.into(), group: false, values: FrameValues::Column(Column::new(values)) }
}

fn table(result: &str, number: i64, columns: Vec<FrameColumn>, rows: usize) -> FluxTable {
    FluxTable { result: result.into(), table: number, frame: Frame { columns, rows } }
}

fn written(dialect: Dialect, tables: &[FluxTable], error: Option<&str>) -> String {
    let mut out = Vec::new();
    let mut flush = |bytes: &mut Vec<u8>| {
        out.append(bytes);
        Ok(())
    };
    let mut encoder = Encoder::new(dialect);
    for table in tables {
        encoder.table(table, &mut flush).unwrap();
    }
    match error {
        Some(message) => encoder.error(message, &mut flush).unwrap(),
        None => encoder.finish(&mut flush).unwrap(),
    }
    let text = String::from_utf8(out).unwrap();
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "only CRLF: {text:?}");
    text.replace("\r\n", "\n")
}

#[track_caller]
fn check(annotations: &[Annotation], tables: &[FluxTable], expected: &Expect) {
    let dialect = Dialect { annotations: annotations.to_vec(), ..Dialect::plain() };
    expected.assert_eq(&written(dialect, tables, None));
}

fn cpu(number: i64, host: &str, values: Vec<f64>) -> FluxTable {
    let rows = values.len();
    let times = (0..).take(rows).map(|i| Timestamp(i * 1_500_000_000).0).collect();
    let columns = vec![
        column("_time", Values::Time(times)),
        column("_value", Values::Float(values)),
        text("host", host),
    ];
    table("_result", number, columns, rows)
}

#[test]
fn tables_of_one_schema_share_a_block() {
    check(
        &ALL,
        &[cpu(0, "a", vec![1.5, 2.0]), cpu(1, "b", vec![3.0])],
        &expect![[r#"
        #datatype,string,long,dateTime:RFC3339,double,string
        #group,false,false,false,false,true
        #default,_result,,,,
        ,result,table,_time,_value,host
        ,,0,1970-01-01T00:00:00Z,1.5,a
        ,,0,1970-01-01T00:00:01.5Z,2,a
        ,,1,1970-01-01T00:00:00Z,3,b

    "#]],
    );
}

#[test]
fn without_default_every_row_names_the_result() {
    check(
        &[Annotation::Group, Annotation::Datatype],
        &[cpu(0, "a", vec![1.0])],
        &expect![[r#"
        #group,false,false,false,false,true
        #datatype,string,long,dateTime:RFC3339,double,string
        ,result,table,_time,_value,host
        ,_result,0,1970-01-01T00:00:00Z,1,a

    "#]],
    );
    check(
        &[],
        &[cpu(0, "a", vec![1.0])],
        &expect![[r#"
        ,result,table,_time,_value,host
        ,_result,0,1970-01-01T00:00:00Z,1,a

    "#]],
    );
}

#[test]
fn another_schema_begins_another_block() {
    let other = table("_result", 1, vec![column("_value", Values::Integer(vec![-5]))], 1);
    let mut regrouped = other.clone();
    regrouped.table = 2;
    regrouped.frame.columns[0].group = true;
    check(
        &ALL,
        &[cpu(0, "a", vec![1.0]), other, regrouped],
        &expect![[r#"
        #datatype,string,long,dateTime:RFC3339,double,string
        #group,false,false,false,false,true
        #default,_result,,,,
        ,result,table,_time,_value,host
        ,,0,1970-01-01T00:00:00Z,1,a

        #datatype,string,long,long
        #group,false,false,false
        #default,_result,,
        ,result,table,_value
        ,,1,-5

        #datatype,string,long,long
        #group,false,false,true
        #default,_result,,
        ,result,table,_value
        ,,2,-5

    "#]],
    );
}

#[test]
fn results_are_parted_by_an_empty_line() {
    let mut second = cpu(0, "a", vec![2.0]);
    second.result = "other".into();
    check(
        &[Annotation::Default],
        &[cpu(0, "a", vec![1.0]), second],
        &expect![[r#"
        #default,_result,,,,
        ,result,table,_time,_value,host
        ,,0,1970-01-01T00:00:00Z,1,a

        #default,other,,,,
        ,result,table,_time,_value,host
        ,,0,1970-01-01T00:00:00Z,2,a

    "#]],
    );
}

#[test]
fn empty_tables_carry_their_key_in_the_defaults() {
    check(
        &ALL,
        &[cpu(0, "a", vec![]), cpu(1, "b", vec![]), cpu(2, "c", vec![1.0])],
        &expect![[r#"
        #datatype,string,long,dateTime:RFC3339,double,string
        #group,false,false,false,false,true
        #default,_result,0,,,a
        ,result,table,_time,_value,host

        #datatype,string,long,dateTime:RFC3339,double,string
        #group,false,false,false,false,true
        #default,_result,1,,,b
        ,result,table,_time,_value,host

        #datatype,string,long,dateTime:RFC3339,double,string
        #group,false,false,false,false,true
        #default,_result,,,,
        ,result,table,_time,_value,host
        ,,2,1970-01-01T00:00:00Z,1,c

    "#]],
    );
}

#[test]
fn a_large_table_may_come_in_pieces() {
    check(
        &ALL,
        &[cpu(0, "a", vec![1.0]), cpu(0, "a", vec![2.0]), cpu(0, "a", vec![])],
        &expect![[r#"
        #datatype,string,long,dateTime:RFC3339,double,string
        #group,false,false,false,false,true
        #default,_result,,,,
        ,result,table,_time,_value,host
        ,,0,1970-01-01T00:00:00Z,1,a
        ,,0,1970-01-01T00:00:00Z,2,a

    "#]],
    );
}

#[test]
fn every_type_and_null() {
    let mut floats = Column::new(Values::Float(vec![0.5]));
    floats.push_null();
    let frame = vec![
        FrameColumn { name: "f".into(), group: false, values: FrameValues::Column(floats) },
        column("i", Values::Integer(vec![i64::MIN, 1])),
        column("u", Values::Unsigned(vec![u64::MAX, 1])),
        column("b", Values::Boolean([true, false].into_iter().collect())),
        column("s", Values::String(["", "x"].iter().collect())),
        FrameColumn {
            name: "t".into(),
            group: true,
            values: FrameValues::Constant(ColumnType::Time, Some(FieldValue::Integer(1))),
        },
        FrameColumn {
            name: "n".into(),
            group: true,
            values: FrameValues::Constant(ColumnType::Field(FieldType::Boolean), None),
        },
    ];
    check(
        &[Annotation::Datatype],
        &[table("r", 0, frame, 2)],
        &expect![[r#"
        #datatype,string,long,double,long,unsignedLong,boolean,string,dateTime:RFC3339,boolean
        ,result,table,f,i,u,b,s,t,n
        ,r,0,0.5,-9223372036854775808,18446744073709551615,true,,1970-01-01T00:00:00.000000001Z,
        ,r,0,,1,1,false,x,1970-01-01T00:00:00.000000001Z,

    "#]],
    );
}

#[test]
fn floats_never_have_an_exponent() {
    let cases = [
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (0.1 + 0.2, "0.30000000000000004"),
        (-0.0, "-0"),
        (100.0, "100"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (5e-324, &format!("0.{}5", "0".repeat(323))),
    ];
    for (value, expected) in cases {
        let mut text = String::new();
        push_float(&mut text, value);
        assert_eq!(text, expected);
    }
}

#[test]
fn cells_are_quoted_as_go_quotes_but_keep_their_line_breaks() {
    for (field, expected) in [
        ("plain", "plain"),
        ("", ""),
        ("a b", "a b"),
        (" a", "\" a\""),
        ("\u{a0}a", "\"\u{a0}a\""),
        ("a,b", "\"a,b\""),
        ("a;b", "a;b"),
        ("say \"x\"", "\"say \"\"x\"\"\""),
        ("a\nb", "\"a\nb\""),
        ("a\r\nb", "\"a\r\nb\""),
        ("a\rb", "\"a\rb\""),
        ("\\.", "\"\\.\""),
        ("#x", "#x"),
    ] {
        let mut out = Vec::new();
        push_field(&mut out, field, ',');
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected, "{field:?}");
    }
}

#[test]
fn the_dialect_is_followed() {
    let dialect = Dialect { header: false, delimiter: ';', annotations: vec![Annotation::Group] };
    let frame = vec![column("s", Values::String(["a,b", "a;b"].iter().collect()))];
    let text = written(dialect, &[table("r", 0, frame, 2)], None);
    assert_eq!(text, "#group;false;false;false\n;r;0;a,b\n;r;0;\"a;b\"\n\n");
}

#[test]
fn errors_are_a_table() {
    let dialect = Dialect { annotations: ALL.to_vec(), ..Dialect::plain() };
    let alone = written(dialect, &[], Some("bad"));
    assert_eq!(alone, "#datatype,string,string\n#group,true,true\n#default,,\n,error,reference\n,bad,\n");
    let after = written(Dialect::plain(), &[cpu(0, "a", vec![1.0])], Some("bad"));
    assert!(after.ends_with("1,a\n\n,error,reference\n,bad,\n"), "{after}");
}

#[test]
fn nothing_gives_nothing() {
    assert_eq!(written(Dialect::plain(), &[], None), "");
}

#[test]
fn output_is_handed_on_in_chunks() {
    let mut chunks = Vec::new();
    let mut encoder = Encoder::new(Dialect::plain());
    let big = cpu(0, "a", vec![1.0; 20_000]);
    let mut flush = |bytes: &mut Vec<u8>| {
        chunks.push(std::mem::take(bytes).len());
        Ok(())
    };
    encoder.table(&big, &mut flush).unwrap();
    assert!(chunks.len() > 10);
    assert!(chunks.iter().all(|len| *len < CHUNK_BYTES + 100));
}

#[test]
fn of_two_numbers_that_are_as_near_the_even_one_is_written() {
    for (value, expected) in [
        (21.0 / 8_388_608.0, "0.0000025033950805664062"),
        (-2.5e-6, "-0.0000025"),
        (1e16, "10000000000000000"),
        (-1.5e20, "-150000000000000000000"),
        (12_345_678_901_234_567_000.0, "12345678901234567000"),
        (5e-324, &format!("0.{}5", "0".repeat(323))),
    ] {
        let mut text = String::new();
        push_decimal(&mut text, value);
        assert_eq!(text, expected);
    }
}

proptest::proptest! {
    #[test]
    fn numbers_are_exact_and_as_short_as_the_standard_library_writes_them(bits in proptest::num::u64::ANY, small in -1e9..1e9_f64) {
        for value in [f64::from_bits(bits), small, small.round(), small / 1000.0].into_iter().filter(|v| v.is_finite()) {
            let mut text = String::new();
            push_decimal(&mut text, value);
            // Of two that are as short and as near either may be written.
            proptest::prop_assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()), "{}", text);
            proptest::prop_assert_eq!(text.len(), value.to_string().len(), "{}", text);
        }
    }
}
