//! The public line protocol corpus against our reader: no case may panic, what the corpus' strict decoder
//! accepts we accept with the same points, and every case in which the two disagree is listed by key in
//! `corpus-differences.txt` (explained in `corpus-differences.md`), so that no change of behaviour goes unseen.
//!
//! The corpus is not part of the project. It is looked for in `$TIDEMARK_REFERENCE_DIR` and beside the checkout;
//! without it the test says so and passes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use model::lineprotocol::{self, LineError, LineErrorKind, Options};
use model::{BucketId, FieldValue, Precision, Timestamp};
use serde_json::Value;

type Point = (String, Vec<(String, String)>, BTreeMap<String, FieldValue>, i64);

fn corpus() -> Option<Value> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference");
    let folder = std::env::var_os("TIDEMARK_REFERENCE_DIR").map_or(beside, PathBuf::from);
    let text = std::fs::read_to_string(folder.join("line-protocol-corpus.json")).ok()?;
    Some(serde_json::from_str(&text).expect("the corpus is JSON"))
}

fn input(case: &Value) -> Vec<u8> {
    let text = &case["input"]["text"];
    match text.as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => base64::engine::general_purpose::STANDARD
            .decode(text["binary"].as_str().expect("text or binary"))
            .expect("base64"),
    }
}

fn options(case: &Value) -> Options {
    Options {
        bucket: BucketId::new(1).expect("not zero"),
        shard_duration_ns: model::time::DAY_NS,
        precision: match case["input"]["precision"].as_str() {
            Some("1ns") => Precision::Nanosecond,
            Some("1µs") => Precision::Microsecond,
            Some("1ms") => Precision::Millisecond,
            Some("1s") => Precision::Second,
            other => panic!("precision {other:?}"),
        },
        default_time: Timestamp(case["input"]["defaultTime"].as_i64().expect("a time")),
        line_bytes_max: 1 << 20,
        string_bytes_max: 1 << 20,
    }
}

fn points(batch: &model::Batch) -> Vec<Point> {
    let mut points = Vec::new();
    for table in &batch.tables {
        for (series, rows) in table.series_ranges() {
            let tags: Vec<_> = series.key.tags().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            for row in rows {
                let fields = table.fields.iter().zip(&table.columns);
                let fields = fields.filter_map(|(f, c)| Some((f.name.to_string(), c.get(row)?))).collect();
                points.push((table.measurement.to_string(), tags.clone(), fields, table.times[row]));
            }
        }
    }
    points.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
    points
}

fn expected(result: &Value) -> Vec<Point> {
    let text = |v: &Value| v.as_str().expect("text").to_owned();
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    let mut points: Vec<Point> = list(result)
        .iter()
        .map(|point| {
            let mut tags: Vec<_> =
                list(&point["tags"]).iter().map(|t| (text(&t["key"]), text(&t["value"]))).collect();
            tags.sort();
            let fields =
                list(&point["fields"]).iter().map(|f| (text(&f["key"]), value(&f["value"]))).collect();
            (text(&point["name"]), tags, fields, point["time"].as_i64().expect("a time"))
        })
        .collect();
    points.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
    points
}

fn value(value: &Value) -> FieldValue {
    let (kind, value) = value.as_object().expect("an object").iter().next().expect("one entry");
    match kind.as_str() {
        "float" => FieldValue::Float(value.as_f64().expect("a number")),
        "int" => FieldValue::Integer(value.as_i64().expect("an integer")),
        "uint" => FieldValue::Unsigned(value.as_u64().expect("an unsigned integer")),
        "string" => FieldValue::String(value.as_str().expect("text").to_owned()),
        "bool" => FieldValue::Boolean(value.as_bool().expect("true or false")),
        other => panic!("field type {other}"),
    }
}

/// The JSON reader may be one unit in the last place off, and the corpus writes -0 as 0.
fn near(a: &Point, b: &Point) -> bool {
    let value = |a: &FieldValue, b: &FieldValue| match (a, b) {
        (FieldValue::Float(a), FieldValue::Float(b)) => a == b || a.to_bits().abs_diff(b.to_bits()) <= 1,
        (a, b) => a == b,
    };
    (&a.0, &a.1, a.3) == (&b.0, &b.1, b.3)
        && a.2.len() == b.2.len()
        && a.2.iter().zip(&b.2).all(|((n, x), (m, y))| n == m && value(x, y))
}

#[test]
fn agrees_with_the_corpus_except_where_listed() {
    let Some(corpus) = corpus() else {
        println!("skipped: no line-protocol-corpus.json in $TIDEMARK_REFERENCE_DIR or ../shared/reference");
        return;
    };
    let cases = corpus["decode"].as_object().expect("cases by key");
    assert_eq!(cases.len(), 6615);
    let mut differences = BTreeMap::new();
    for (key, case) in cases {
        let parsed = lineprotocol::parse(&input(case), &options(case));
        let accepted = parsed.refused == 0;
        match case["output"].get("result") {
            Some(_) if !accepted => {
                differences.insert(key.clone(), refusal(&parsed.errors[0]));
            }
            Some(result) => {
                let (ours, theirs) = (points(&parsed.batch), expected(result));
                let same = ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| near(a, b));
                assert!(same, "{key}:\nours   {ours:?}\ncorpus {theirs:?}");
            }
            None if accepted => {
                let error = case["output"]["error"].as_str().expect("result or error");
                differences.insert(key.clone(), acceptance(error));
            }
            None => {}
        }
    }
    let found: String = differences.iter().map(|(key, category)| format!("{key} {category}\n")).collect();
    expect_test::expect_file!["corpus-differences.txt"].assert_eq(&found);
    check_counts(&differences);
}

#[test]
fn reads_what_the_corpus_encodes_and_writes_what_it_reads() {
    let Some(corpus) = corpus() else {
        println!("skipped: no line-protocol-corpus.json in $TIDEMARK_REFERENCE_DIR or ../shared/reference");
        return;
    };
    let cases = corpus["encode"].as_object().expect("cases by key");
    assert_eq!(cases.len(), 115);
    let mut read = 0;
    for (key, case) in cases {
        let Some(text) = case["output"]["result"].as_str() else { continue };
        let options = Options { default_time: Timestamp(0), ..options(&with_default_time(case)) };
        let parsed = lineprotocol::parse(text.as_bytes(), &options);
        if parsed.errors.iter().any(|e| e.kind == LineErrorKind::ReservedTagKey) {
            continue;
        }
        let points_read = points(&parsed.batch);
        let wanted = expected(&Value::Array(vec![case["input"]["point"].clone()]));
        let same =
            points_read.len() == wanted.len() && points_read.iter().zip(&wanted).all(|(a, b)| near(a, b));
        assert!(same, "{key}: {text:?}\nours   {points_read:?} {:?}\ncorpus {wanted:?}", parsed.errors);
        let mut again = String::new();
        lineprotocol::write_batch(&mut again, &parsed.batch).expect("what was read can be written");
        let nanos = Options { precision: Precision::Nanosecond, ..options };
        assert_eq!(points(&lineprotocol::parse(again.as_bytes(), &nanos).batch), points_read, "{key}");
        read += 1;
    }
    assert_eq!(read, 114, "cases that were read; the other one is an error there");
}

/// Encode cases have no default time.
fn with_default_time(case: &Value) -> Value {
    let mut case = case.clone();
    case["input"]["defaultTime"] = Value::from(0);
    case
}

/// Why we refuse what the corpus' decoder accepts.
fn refusal(error: &LineError) -> &'static str {
    match error.kind {
        LineErrorKind::ReservedTagKey => "reserved-tag-key",
        _ => panic!("no category for the refusal of {error:?}"),
    }
}

/// Why we accept what the corpus' decoder refuses with this error.
fn acceptance(error: &str) -> &'static str {
    let found = |characters: &[&str]| characters.iter().any(|c| error.contains(&format!("'{c}'")));
    if error.contains("comment line") {
        "control-character-in-comment"
    } else if error.contains("found at start of measurement") && found(&["\\t", "\\x00"]) {
        "leading-blank"
    } else if found(&["\\v", "\\b", "\\t", "\\x01", "\\x02", "\\x0f"]) {
        "control-character-in-name"
    } else {
        panic!("no category for the acceptance of what the corpus refuses with {error:?}")
    }
}

/// The document's table of categories must have the counts that were found.
fn check_counts(differences: &BTreeMap<String, &'static str>) {
    let mut counts = BTreeMap::new();
    for category in differences.values() {
        *counts.entry(*category).or_insert(0) += 1;
    }
    let document = include_str!("corpus-differences.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let documented: BTreeMap<&str, i32> = rows
        .map(|(name, rest)| (name, rest.split(' ').next().and_then(|n| n.parse().ok()).expect("a count")))
        .collect();
    assert_eq!(documented, counts);
}
