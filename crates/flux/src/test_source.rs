//! An in-memory source for tests: buckets of points written as `measurement,tag=value field=1 0` lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    BucketId, Column, ColumnType, FieldType, FieldValue, Frame, OrgId, ScanRequest, SchemaQuestion,
    SchemaRequest, SeriesBlock, SeriesKey, Timestamp,
};

use crate::source::{Blocks, BucketInfo, BucketRef, Source, SourceError};
use crate::{Environment, FluxError, Limits, run};

type Points = BTreeMap<SeriesKey, BTreeMap<Arc<str>, BTreeMap<i64, FieldValue>>>;

/// One bucket called `b`.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    points: Points,
    /// The last request, for tests of what is pushed down.
    pub(crate) requests: std::cell::RefCell<Vec<String>>,
}

impl Memory {
    /// Reads lines of `measurement,tag=v field=1.5 seconds`; values are floats, `1i`, `1u`, `true` or `"text"`.
    pub(crate) fn of(lines: &str) -> Self {
        let mut points = Points::new();
        for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let parts: Vec<&str> = line.split(' ').collect();
            let [series, field, seconds] = parts.as_slice() else { panic!("not a point: {line}") };
            let mut series = series.split(',');
            let measurement = series.next().unwrap();
            let tags: Vec<(&str, &str)> = series.map(|t| t.split_once('=').unwrap()).collect();
            let key = SeriesKey::new(measurement, &tags).unwrap();
            let time = seconds.parse::<i64>().unwrap() * 1_000_000_000;
            for pair in field.split(',') {
                let (name, value) = pair.split_once('=').unwrap();
                let fields = points.entry(key.clone()).or_default();
                fields.entry(Arc::from(name)).or_default().insert(time, value_of(value));
            }
        }
        Self { points, requests: Vec::new().into() }
    }
}

fn value_of(text: &str) -> FieldValue {
    if let Some(digits) = text.strip_suffix('i') {
        return FieldValue::Integer(digits.parse().unwrap());
    }
    if let Some(digits) = text.strip_suffix('u') {
        return FieldValue::Unsigned(digits.parse().unwrap());
    }
    match text {
        "true" | "false" => FieldValue::Boolean(text == "true"),
        quoted if quoted.starts_with('"') => FieldValue::String(quoted.trim_matches('"').to_owned()),
        number => FieldValue::Float(number.parse().unwrap()),
    }
}

pub(crate) fn bucket_id() -> BucketId {
    BucketId::new(0xb).unwrap()
}

impl Source for Memory {
    fn bucket(&self, bucket: &BucketRef) -> Result<Option<BucketId>, SourceError> {
        Ok(match bucket {
            BucketRef::Name(name) => (name == "b").then(bucket_id),
            BucketRef::Id(id) => (*id == bucket_id()).then_some(*id),
        })
    }

    fn buckets(&self) -> Result<Vec<BucketInfo>, SourceError> {
        let org = OrgId::new(0xa).unwrap();
        Ok(vec![BucketInfo { id: bucket_id(), name: "b".to_owned(), org, retention_ns: 0 }])
    }

    fn scan(&self, request: &ScanRequest) -> Result<Blocks<'_>, SourceError> {
        self.requests.borrow_mut().push(format!("{:?} {:?}", request.predicate, request.fields));
        let mut blocks = Vec::new();
        for (key, fields) in &self.points {
            let mut wanted: Vec<(&Arc<str>, &BTreeMap<i64, FieldValue>)> = Vec::new();
            for (name, values) in fields {
                if request.fields.contains(name) && request.predicate.accepts(key, name) {
                    wanted.push((name, values));
                }
            }
            let mut times: Vec<i64> = wanted.iter().flat_map(|(_, v)| v.keys().copied()).collect();
            times.sort_unstable();
            times.dedup();
            times.retain(|t| request.range.contains(Timestamp(*t)));
            // Two blocks per series, so that blocks have to be put together.
            let (first, second) = times.split_at(times.len() / 2);
            for part in [first, second].into_iter().filter(|p| !p.is_empty()) {
                let columns = wanted.iter().map(|(name, values)| (Arc::clone(name), column(values, part)));
                blocks.push(SeriesBlock {
                    key: key.clone(),
                    times: part.to_vec(),
                    fields: columns.filter(|(_, c)| c.null_count() < c.len()).collect(),
                });
            }
        }
        Ok(Box::new(blocks.into_iter().map(Ok)))
    }

    fn schema(&self, request: &SchemaRequest) -> Result<Vec<String>, SourceError> {
        let mut found = std::collections::BTreeSet::new();
        for (key, fields) in &self.points {
            for field in fields.keys().filter(|f| request.predicate.accepts(key, f)) {
                match &request.question {
                    SchemaQuestion::Measurements => _ = found.insert(key.measurement().to_owned()),
                    SchemaQuestion::TagKeys => found.extend(key.tags().map(|(k, _)| k.to_owned())),
                    SchemaQuestion::TagValues(tag) => found.extend(key.tag(tag).map(str::to_owned)),
                    SchemaQuestion::FieldKeys => _ = found.insert(field.to_string()),
                    SchemaQuestion::Series => _ = found.insert(key.to_string()),
                }
            }
        }
        Ok(found.into_iter().collect())
    }
}

fn column(values: &BTreeMap<i64, FieldValue>, times: &[i64]) -> Column {
    let ty = values.values().next().map_or(FieldType::Float, FieldValue::field_type);
    let mut column = Column::empty(ColumnType::Field(ty));
    for time in times {
        match values.get(time) {
            Some(value) => column.push(value),
            None => column.push_null(),
        }
    }
    column
}

/// Generous limits.
pub(crate) const LIMITS: Limits =
    Limits { steps_max: 1_000_000, memory_bytes_max: 64 << 20, rows_max: 1_000_000 };

/// Runs a script at 1970-01-01T01:00:00Z and prints its tables, or its error.
pub(crate) fn output(source: &Memory, script: &str) -> String {
    let mut out = String::new();
    match try_run(source, script, LIMITS, &mut |name, number, frame| print(&mut out, name, number, &frame)) {
        Ok(()) => out,
        Err(error) => format!("{out}{error}\n"),
    }
}

pub(crate) fn try_run(
    source: &Memory,
    script: &str,
    limits: Limits,
    each: &mut dyn FnMut(&str, i64, Frame),
) -> Result<(), FluxError> {
    let memory = memory::Account::new("queries", usize::MAX, 0);
    let now = Timestamp(3600 * 1_000_000_000);
    let environment = Environment { now, limits, memory: &memory, cancel: &|| false };
    run(script, &environment, source, &mut |name, number, frame| {
        each(name, number, frame);
        Ok(())
    })
}

/// One header line per table (key columns starred), then one line per row. Times print without their date when it is
/// the first day.
fn print(out: &mut String, name: &str, number: i64, frame: &Frame) {
    let columns: Vec<String> =
        frame.columns.iter().map(|c| format!("{}{}", if c.group { "*" } else { "" }, c.name)).collect();
    out.push_str(&format!("{name} {number}: {}\n", columns.join(" ")));
    for row in 0..frame.rows {
        let cells: Vec<String> = frame.columns.iter().map(|c| cell(c.column_type(), c.get(row))).collect();
        out.push_str(&format!("  {}\n", cells.join(" ")));
    }
}

fn cell(column_type: ColumnType, value: Option<FieldValue>) -> String {
    match value {
        None => "-".to_owned(),
        Some(FieldValue::Integer(t)) if column_type == ColumnType::Time => {
            let text = Timestamp(t).to_rfc3339();
            text.strip_prefix("1970-01-01T").map_or_else(|| text.clone(), str::to_owned)
        }
        Some(FieldValue::Float(v)) => format!("{v:?}"),
        Some(FieldValue::Integer(v)) => v.to_string(),
        Some(FieldValue::Unsigned(v)) => format!("{v}u"),
        Some(FieldValue::Boolean(v)) => v.to_string(),
        Some(FieldValue::String(v)) => v,
    }
}
