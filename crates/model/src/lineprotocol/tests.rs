//! The rules of line protocol, one row each; what is read equals what was written; nothing panics.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::value::FieldValue;
use crate::{Column, FieldType, SeriesKey, Table};

mod rules;

fn options() -> Options {
    Options {
        bucket: BucketId::new(7).expect("not zero"),
        shard_duration_ns: 1,
        precision: Precision::Nanosecond,
        default_time: Timestamp(42),
        line_bytes_max: 1 << 20,
        string_bytes_max: 1 << 20,
    }
}

/// Points one per line, then errors as `line N [kind] message`.
fn render(parsed: &Parsed) -> String {
    let mut out = String::new();
    write_batch(&mut out, &parsed.batch).expect("what was read can be written");
    for error in &parsed.errors {
        writeln!(out, "line {} [{:?}] {}", error.line, error.kind, error.message()).expect("a String");
    }
    out
}

fn check(body: &str, want: Expect) {
    let parsed = parse(body.as_bytes(), &options());
    check_invariants(&parsed.batch);
    want.assert_eq(&render(&parsed));
}

fn check_invariants(batch: &Batch) {
    for table in &batch.tables {
        let rows = table.times.len();
        assert!(rows > 0);
        assert_eq!(table.series.iter().map(|s| s.rows as usize).sum::<usize>(), rows);
        assert_eq!(table.fields.len(), table.columns.len());
        for (field, column) in table.fields.iter().zip(&table.columns) {
            assert_eq!(column.column_type(), crate::ColumnType::Field(field.field_type));
            assert_eq!(column.len(), rows);
            assert!(column.null_count() < rows);
            assert!(column.valid.as_ref().is_none_or(|v| v.len() == rows && !v.all()));
        }
        for row in 0..rows {
            assert!(table.columns.iter().any(|c| c.is_valid(row)), "row {row} has no field");
        }
        for series in &table.series {
            assert!(series.rows > 0);
            assert_eq!(series.key.measurement(), &*table.measurement);
            assert_eq!(series.hash, series.key.hash(batch.bucket));
            assert_eq!(SeriesKey::from_bytes(series.key.as_bytes()).as_ref(), Ok(&series.key));
        }
    }
}

fn only_table(parsed: &Parsed) -> &Table {
    assert_eq!((parsed.refused, parsed.batch.tables.len()), (0, 1), "{:?}", parsed.errors);
    &parsed.batch.tables[0]
}

#[test]
fn rows_are_grouped_by_series_and_keep_their_order() {
    check(
        "m,h=a v=1 5\nm,h=b v=2 1\nm,h=a v=3 2\nm,h=b w=4 1\nm,h=a v=5 5\n",
        expect![[r#"
            m,h=a v=1 5
            m,h=a v=3 2
            m,h=a v=5 5
            m,h=b v=2 1
            m,h=b w=4 1
        "#]],
    );
}

#[test]
fn tag_order_and_escapes_do_not_make_another_series() {
    let parsed = parse(b"m,a=1,b=2 v=1 1\nm,b=2,a=1 v=2 2\n\\m,a=1 v=3 3\n", &options());
    assert_eq!(parsed.batch.tables.len(), 2);
    assert_eq!(parsed.batch.tables[0].series.len(), 1);
    assert_eq!(parsed.batch.tables[0].times, [1, 2]);
    assert_eq!(&*parsed.batch.tables[1].measurement, "\\m");
}

#[test]
fn a_field_with_two_types_has_two_columns() {
    let parsed = parse(b"m v=1,w=true 1\nm v=2i 2\nm v=3 3\n", &options());
    let table = only_table(&parsed);
    let types: Vec<_> = table.fields.iter().map(|f| (&*f.name, f.field_type)).collect();
    assert_eq!(types, [("v", FieldType::Float), ("w", FieldType::Boolean), ("v", FieldType::Integer)]);
    let nulls: Vec<_> = table.columns.iter().map(Column::null_count).collect();
    assert_eq!(nulls, [1, 2, 2]);
    check_invariants(&parsed.batch);
}

#[test]
fn the_last_of_equal_field_keys_wins_whatever_its_type() {
    check(
        "m v=1,v=2,v=3 1\n",
        expect![[r#"
        m v=3 1
    "#]],
    );
    check(
        "m v=1,v=2i 1\nm v=1i,v=\"a\",v=\"b\" 2\nm v=7,w=1 3\n",
        expect![[r#"
        m v=2i 1
        m v="b" 2
        m v=7,w=1 3
    "#]],
    );
}

#[test]
fn a_bad_line_leaves_nothing_behind() {
    check(
        "good,t=a v=1,s=\"x\" 1\ngood,t=new v=2,s=\"y\",extra=1 bad\nonly,t=a v=1 bad\ngood,t=a v=3,s=\"z\" 3",
        expect![[r#"
            good,t=a v=1,s="x" 1
            good,t=a v=3,s="z" 3
            line 2 [Syntax] unable to parse 'good,t=new v=2,s="y",extra=1 bad': bad timestamp
            line 3 [Syntax] unable to parse 'only,t=a v=1 bad': bad timestamp
        "#]],
    );
}

#[test]
fn a_bad_line_with_many_fields_leaves_nothing_behind() {
    let fields = |value: &str| (0..200).map(|i| format!("f{i}={value}")).collect::<Vec<_>>().join(",");
    let body =
        format!("m {} 1\nm {} bad\nm f199=5 2\nm {},x=1,f199=x 3", fields("1"), fields("2i"), fields("3"));
    let parsed = parse(body.as_bytes(), &options());
    check_invariants(&parsed.batch);
    assert_eq!(parsed.refused, 2);
    let table = &parsed.batch.tables[0];
    assert_eq!((table.times.len(), table.fields.len()), (2, 200));
    assert_eq!(table.columns[199].get(0), Some(FieldValue::Float(1.0)));
    assert_eq!(table.columns[199].get(1), Some(FieldValue::Float(5.0)));
    assert_eq!(table.columns[198].get(1), None);
}

#[test]
fn lines_are_counted_through_strings_comments_and_blanks() {
    check(
        "\n# a comment with a \" quote\nm s=\"a\nb\nc\" 1\n\n  bad\nm v=1 2\r\n\t#c\r\nbad2,",
        expect![[r#"
            m s="a
            b
            c" 1
            m v=1 2
            line 7 [Syntax] unable to parse 'bad': missing fields
            line 10 [Syntax] unable to parse 'bad2,': missing tag key
        "#]],
    );
}

#[test]
fn invalid_utf8_costs_only_its_own_line() {
    let body = b"a v=1 1\nb,t=\xff v=2 2\n  c s=\"\xc3\n\xa9\" 3\n# \xff\nd s=\"x\ny\" 4\nbad\n";
    let parsed = parse(body, &options());
    check_invariants(&parsed.batch);
    expect![[r#"
        a v=1 1
        d s="x
        y" 4
        line 2 [NotUtf8] unable to parse 'b,t=� v=2 2': invalid UTF-8 at byte 4 of the line
        line 3 [NotUtf8] unable to parse 'c s="�
        �" 3': invalid UTF-8 at byte 5 of the line
        line 8 [Syntax] unable to parse 'bad': missing fields
    "#]]
    .assert_eq(&render(&parsed));
}

#[test]
fn only_so_many_errors_are_kept_and_all_are_counted() {
    let body = "x\n".repeat(ERRORS_MAX + 500);
    let parsed = parse(body.as_bytes(), &options());
    assert_eq!((parsed.errors.len(), parsed.refused), (ERRORS_MAX, ERRORS_MAX + 500));
    let long = format!("m v={}", "é".repeat(ERROR_TEXT_BYTES_MAX));
    let parsed = parse(long.as_bytes(), &options());
    assert!(parsed.errors[0].text.len() <= ERROR_TEXT_BYTES_MAX);
}

#[test]
fn a_small_body_cannot_make_a_huge_table() {
    let mut body = String::new();
    for i in 0..6000 {
        writeln!(body, "m f{i}=1 {i}").expect("a String");
    }
    let parsed = parse(body.as_bytes(), &options());
    let table = &parsed.batch.tables[0];
    assert!(table.times.len() * (table.columns.len() + 1) <= CELLS_MAX);
    assert!(parsed.refused > 0);
    assert_eq!(parsed.refused + table.times.len(), 6000);
    assert_eq!(parsed.errors[0].kind, LineErrorKind::RequestTooLarge);
    check_invariants(&parsed.batch);
}

#[test]
fn limits_have_names() {
    let small = Options { line_bytes_max: 30, string_bytes_max: 4, ..options() };
    let parsed = parse(b"m s=\"12345\" 1\nm s=\"1234\" 1\nm s=\"1234\",v=12345678901234567890 1\n", &small);
    expect![[r#"
        m s="1234" 1
        line 1 [Limit] unable to parse 'm s="12345" 1': input field "s" on measurement "m" is too long, 5 > 4
        line 3 [Limit] unable to parse 'm s="1234",v=12345678901234567890 1': line too long: 35 > 30 bytes
    "#]]
    .assert_eq(&render(&parsed));
    let reason = |body: String| parse(body.as_bytes(), &options()).errors.remove(0).reason;
    let tags: String = (0..=TAGS_MAX).map(|i| format!(",t{i}=v")).collect();
    assert_eq!(reason(format!("m{tags} v=1")), "too many tags: 257 > 256");
    let fields: Vec<String> = (0..=FIELDS_MAX).map(|i| format!("f{i}=1")).collect();
    assert_eq!(reason(format!("m {}", fields.join(","))), "too many fields: more than 4096 in one point");
    assert_eq!(reason(format!("{} v=1", "m".repeat(65_536))), "max key length exceeded: 65540 > 65535");
    assert_eq!(reason(format!("m {}=1", "f".repeat(65_530))), "max key length exceeded: 65537 > 65535");
    assert_eq!(parse(format!("m {}=1", "f".repeat(65_528)).as_bytes(), &options()).refused, 0);
}

#[test]
fn precision_scales_and_truncates() {
    for (precision, nanos) in [
        (Precision::Nanosecond, 1),
        (Precision::Microsecond, 1_000),
        (Precision::Millisecond, 1_000_000),
        (Precision::Second, 1_000_000_000),
        (Precision::Minute, 60_000_000_000),
        (Precision::Hour, 3_600_000_000_000),
    ] {
        let options = Options { precision, default_time: Timestamp(1_600_000_000_123_456_789), ..options() };
        let parsed = parse(b"m v=1\nm v=2 -3\nm v=3 3\n", &options);
        let now = 1_600_000_000_123_456_789 / nanos * nanos;
        assert_eq!(only_table(&parsed).times, [now, -3 * nanos, 3 * nanos]);
        let most = (i64::MAX - 1) / nanos;
        let parsed = parse(format!("m v=1 {most}\nm v=1 -{most}").as_bytes(), &options);
        assert_eq!(only_table(&parsed).times, [most * nanos, -most * nanos]);
        let parsed = parse(format!("m v=1 {}", i128::from(most) + 1).as_bytes(), &options);
        assert!(parsed.errors[0].reason.contains("range"), "{precision:?}: {:?}", parsed.errors);
    }
    let before = Options { precision: Precision::Second, default_time: Timestamp(-1), ..options() };
    assert_eq!(only_table(&parse(b"m v=1", &before)).times, [-1_000_000_000]);
}

#[test]
fn what_cannot_be_written_is_refused() {
    let key = |m: &str, t: &str| SeriesKey::new(m, &[("t", t)]).expect("valid");
    let one = || [("v", FieldValue::Integer(1))];
    let mut out = String::from("kept");
    for bad in [key("#m", "v"), key("m\n", "v"), key("m", "v\\"), key("\tm", "v"), key("m", "a\nb")] {
        assert_eq!(write_point(&mut out, &bad, one(), None), Err(Unwritable::Name), "{bad:?}");
    }
    let good = key("m", "v");
    let nan = [("v", FieldValue::Float(f64::NAN))];
    assert_eq!(write_point(&mut out, &good, nan, None), Err(Unwritable::Float));
    assert_eq!(write_point(&mut out, &good, [], None), Err(Unwritable::NoFields));
    let late = Some(Timestamp(i64::MAX));
    assert_eq!(write_point(&mut out, &good, one(), late), Err(Unwritable::Time));
    assert_eq!(out, "kept");
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9,= \\\\\"é漢\r_#]{1,12}".prop_filter("line protocol has no escape for these", |n| {
        !n.ends_with(['\\', '\r'])
            && !n.starts_with('#')
            && !["time", "_field", "_measurement"].contains(&&**n)
    })
}

fn value() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |v| v.is_finite()).prop_map(FieldValue::Float),
        (-1_000_000_i64..1_000_000, 0..9).prop_map(|(m, e)| FieldValue::Float(m as f64 / 10_f64.powi(e))),
        any::<i64>().prop_map(FieldValue::Integer),
        (-200_i64..200).prop_map(FieldValue::Integer),
        any::<u64>().prop_map(FieldValue::Unsigned),
        any::<bool>().prop_map(FieldValue::Boolean),
        "[a-z\"\\\\\n\r ,=é#]{0,20}".prop_map(FieldValue::String),
    ]
}

type Point = (SeriesKey, Vec<(String, FieldValue)>, i64);

fn point() -> impl Strategy<Value = Point> {
    let tags = prop::collection::btree_map(name(), name(), 0..4);
    let fields = prop::collection::btree_map(name(), value(), 1..5);
    (name(), tags, fields, Timestamp::MIN.0..=Timestamp::MAX.0).prop_map(|(m, tags, fields, time)| {
        let tags: Vec<_> = tags.iter().map(|(k, v)| (&**k, &**v)).collect();
        (SeriesKey::new(&m, &tags).expect("valid"), fields.into_iter().collect(), time)
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(points in prop::collection::vec(point(), 1..40)) {
        let mut text = String::new();
        for (key, fields, time) in &points {
            let fields = fields.iter().map(|(n, v)| (&**n, v.clone()));
            write_point(&mut text, key, fields, Some(Timestamp(*time))).expect("writable");
        }
        let parsed = parse(text.as_bytes(), &options());
        prop_assert_eq!(parsed.refused, 0, "{:?}\n{}", parsed.errors, text);
        check_invariants(&parsed.batch);
        let mut read: Vec<Point> = Vec::new();
        for table in &parsed.batch.tables {
            for (series, rows) in table.series_ranges() {
                for row in rows {
                    let mut fields: Vec<_> = table.fields.iter().zip(&table.columns)
                        .filter_map(|(f, c)| Some((f.name.to_string(), c.get(row)?))).collect();
                    fields.sort_by(|a, b| a.0.cmp(&b.0));
                    read.push((series.key.clone(), fields, table.times[row]));
                }
            }
        }
        let order = |p: &Point| (p.0.as_bytes().to_vec(), p.2, format!("{:?}", p.1));
        let mut wrote = points;
        wrote.sort_by_key(order);
        read.sort_by_key(order);
        prop_assert_eq!(read, wrote);
    }

    #[test]
    fn floats_are_read_to_the_last_bit(text in "-?[0-9]{0,20}(\\.[0-9]{0,20})?([eE][+-]?[0-9]{1,2})?") {
        let parsed = parse(format!("m v={text}").as_bytes(), &options());
        let digits = text.split(['e', 'E']).next().expect("one part").bytes().any(|b| b.is_ascii_digit());
        if digits {
            let want: f64 = text.parse().expect("a float");
            let table = only_table(&parsed);
            let Some(FieldValue::Float(got)) = table.columns[0].get(0) else { panic!("{parsed:?}") };
            prop_assert_eq!(got.to_bits(), want.to_bits(), "{} {}", got, want);
        } else {
            prop_assert_eq!(parsed.refused, 1);
        }
    }

    #[test]
    fn integers_are_read_exactly(value: i64, keep in 0..64_u32, bits: u64) {
        let value = value >> keep;
        let bits = bits >> keep;
        let parsed = parse(format!("m i={value}i,u={bits}u {}", value / 2).as_bytes(), &options());
        let table = only_table(&parsed);
        prop_assert_eq!(table.columns[0].get(0), Some(FieldValue::Integer(value)));
        prop_assert_eq!(table.columns[1].get(0), Some(FieldValue::Unsigned(bits)));
        prop_assert_eq!(table.times[0], value / 2);
    }

    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        check_invariants(&parse(&body, &options()).batch);
    }

    #[test]
    fn no_mixture_of_syntax_panics(body in "([mtv=,\"\\\\ \n\r#\t\0é0-9.eiu-]|v=1|m,t=a ){0,60}") {
        let parsed = parse(body.as_bytes(), &options());
        check_invariants(&parsed.batch);
        // A bad byte elsewhere changes how lines are found, not what they mean.
        let mut spoiled = body.into_bytes();
        spoiled.extend_from_slice(b"\nspoiled,t=\xff v=1");
        let mixed = parse(&spoiled, &options());
        check_invariants(&mixed.batch);
        if parsed.refused == 0 {
            prop_assert_eq!(parsed.batch, mixed.batch);
        }
    }
}

#[test]
fn names_that_begin_with_a_blank_stand_behind_others() {
    let parsed = parse(b"m a=1,\0b=2,\tc=3 1", &options());
    assert_eq!(parsed.refused, 0);
    assert_eq!(render(&parsed), "m a=1,\0b=2,\tc=3 1\n");
    // Where there is no other, line protocol has no way to write them.
    let parsed = parse(b"m time=1,\0b=2 1", &options());
    assert_eq!(write_batch(&mut String::new(), &parsed.batch), Err(Unwritable::Name));
}
