//! The executor against answers recorded from InfluxDB 1.6.7, and on its own where 1.11 differs or limits are ours.

mod cardinality;
mod continuous;
mod delete;
mod explain;
mod internals;
mod into;
mod limits;
mod model_based;
mod show;
mod slices;
mod users;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use catalog::State;
use influxql::ast::{ContinuousQuery, CreateDatabase, Grant, RetentionPolicy, Statement};
use memory::Account;
use model::{BucketId, ColumnType, Deletion, FieldValue, SystemClock, TimeRange, Timestamp};

use super::{
    Caller, DatabaseGrant, Effects, InfluxqlContext, Internals, Item, KnownShard, KnownShards, KnownUser,
    RunningQueries, RunningQuery, run_influxql,
};
use crate::error::Error;
use crate::limits::Limits;
use crate::testing::{MEMORY, Points, Unwatched, bucket_id, org};

pub(super) const LIMITS: Limits = Limits {
    memory_bytes_max: 64 << 20,
    rows_max: 1_000_000,
    points_max: 10_000_000,
    series_max: 10_000,
    windows_max: 100_000,
    time_max: None,
};

/// A database `d` with points, and what a request runs with.
pub(super) struct Fixture {
    pub(super) points: Points,
    pub(super) catalog: State,
    pub(super) now: i64,
    pub(super) limits: Limits,
    pub(super) writable: Option<Vec<BucketId>>,
    pub(super) caller: Caller<'static>,
    pub(super) changes: Changes,
    pub(super) memory: Arc<Account>,
}

/// What statements asked to be changed.
#[derive(Default)]
pub(super) struct Changes(
    pub(super) Mutex<Vec<String>>,
    /* nodes that are silent */ pub(super) Vec<String>,
);

const WEEK_NS: i64 = 7 * model::time::DAY_NS;

impl Effects for Changes {
    fn create_database(&self, create: &CreateDatabase) -> Result<(), String> {
        self.0.lock().unwrap().push(format!("create {}", create.name));
        Ok(())
    }

    fn delete(&self, deletion: Deletion) -> Result<(), String> {
        let Deletion { bucket, range, predicate } = deletion;
        let (start, end) = (range.start.0, range.end.0);
        let time = if range == TimeRange::ALL { "all".to_owned() } else { format!("{start}..{end}") };
        self.0.lock().unwrap().push(format!("{} {time} {predicate:?}", bucket.get()));
        Ok(())
    }

    fn drop_database(&self, name: &str) -> Result<(), String> {
        self.0.lock().unwrap().push(format!("drop {name}"));
        Ok(())
    }

    fn write(&self, bucket: BucketId, lines: &str) -> Result<(), String> {
        self.0.lock().unwrap().push(format!("write {} {lines}", bucket.get()));
        Ok(())
    }

    fn running(&self) -> Result<RunningQueries, String> {
        let one = |id, text: &str, took, is_killed| RunningQuery {
            id,
            text: text.to_owned(),
            database: "d".to_owned(),
            took: Duration::from_nanos(took),
            is_killed,
        };
        let queries =
            vec![one(3, "SELECT f FROM m", 61_500_000_000, true), one(7, "SHOW QUERIES", 48_999, false)];
        Ok(RunningQueries { queries, silent: self.1.clone() })
    }

    fn kill(&self, id: u64, host: Option<&str>) -> Result<(), String> {
        self.0.lock().unwrap().push(format!("kill {id} {host:?}"));
        Ok(())
    }

    fn shards(&self) -> Result<KnownShards, String> {
        let shard = |bucket, start, owner| KnownShard {
            bucket: bucket_id(bucket),
            range: TimeRange::new(Timestamp(start * WEEK_NS), Timestamp((start + 1) * WEEK_NS)),
            owner,
        };
        let shards = vec![shard(1, 2, 3), shard(1, 2, 1), shard(1, -1, 1), shard(9, 0, 1), shard(77, 0, 1)];
        Ok(KnownShards { shards, silent: self.1.clone() })
    }

    fn internals(&self, diagnostics: bool) -> Vec<Internals> {
        let text = |text: &str| FieldValue::String(text.to_owned());
        let of = |module, tags: &[(&str, &str)], values| Internals {
            module,
            tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            values,
        };
        match diagnostics {
            true => vec![of("build", &[], vec![("Version", text("1")), ("Commit", text("c"))])],
            false => vec![
                of(
                    "cq",
                    &[],
                    vec![("queryOk", FieldValue::Integer(2)), ("queryFail", FieldValue::Integer(0))],
                ),
                of("database", &[("database", "d")], vec![("numMeasurements", FieldValue::Integer(7))]),
            ],
        }
    }

    fn create_retention_policy(&self, policy: &RetentionPolicy) -> Result<(), String> {
        self.0.lock().unwrap().push(format!("create {policy:?}"));
        Ok(())
    }

    fn alter_retention_policy(&self, policy: &RetentionPolicy) -> Result<(), String> {
        self.0.lock().unwrap().push(format!("alter {policy:?}"));
        Ok(())
    }

    fn drop_retention_policy(&self, database: &str, name: &str) -> Result<(), String> {
        self.0.lock().unwrap().push(format!("drop {database}.{name}"));
        Ok(())
    }

    fn create_continuous_query(&self, query: &ContinuousQuery) -> Result<(), String> {
        let text = Statement::CreateContinuousQuery(Box::new(query.clone())).to_string();
        self.0.lock().unwrap().push(text);
        Ok(())
    }

    fn drop_continuous_query(&self, database: &str, name: &str) -> Result<(), String> {
        self.0.lock().unwrap().push(format!("drop continuous query {database}.{name}"));
        Ok(())
    }

    fn create_user(&self, name: &str, password: &str, is_admin: bool) -> Result<(), String> {
        self.0.lock().unwrap().push(format!("user {name} {password} {is_admin}"));
        Ok(())
    }

    fn drop_user(&self, name: &str) -> Result<(), String> {
        self.0.lock().unwrap().push(format!("drop user {name}"));
        Ok(())
    }

    fn set_password(&self, name: &str, password: &str) -> Result<(), String> {
        self.0.lock().unwrap().push(format!("password {name} {password}"));
        Ok(())
    }

    fn grant(&self, grant: &Grant) -> Result<(), String> {
        self.0.lock().unwrap().push(grant.to_string());
        Ok(())
    }

    fn users(&self) -> Result<Vec<KnownUser>, String> {
        let user = |name: &str, is_admin| KnownUser { name: name.to_owned(), is_admin };
        Ok(vec![user("ann", true), user("bob", false)])
    }

    fn grants_of(&self, user: &str) -> Result<Vec<DatabaseGrant>, String> {
        if user != "bob" {
            return Err("user not found".to_owned());
        }
        let grant = |database: &str, may_read, may_write| DatabaseGrant {
            database: database.to_owned(),
            may_read,
            may_write,
        };
        Ok(vec![grant("a", true, false), grant("b", false, true), grant("c", true, true)])
    }
}

impl Fixture {
    pub(super) fn new(lines: &str) -> Self {
        let mut points = Points::default();
        points.block_rows = 2;
        points.put_lines(bucket_id(1), lines);
        let catalog = points.catalog(&[(1, "d/autogen", None), (9, "_monitoring", None)], &[]);
        Self::over(points, catalog, 1_000_000_000_000)
    }

    pub(super) fn over(points: Points, catalog: State, now: i64) -> Self {
        let (changes, memory) = (Changes::default(), Arc::clone(&MEMORY));
        let caller = Caller { name: "", is_admin: true, may_create: true };
        Self { points, catalog, now, limits: LIMITS, writable: None, caller, changes, memory }
    }

    pub(super) fn run(&self, text: &str) -> Result<Vec<Item>, Error> {
        let clock = SystemClock::new();
        let context = InfluxqlContext {
            catalog: &self.catalog,
            source: &self.points,
            org: org(),
            database: Some("d"),
            retention_policy: None,
            params: &[],
            now: Timestamp(self.now),
            clock: &clock,
            readable: None,
            writable: self.writable.as_deref(),
            caller: self.caller,
            read_only: false,
            limits: self.limits,
            memory: &self.memory,
            cancelled: &|| false,
            effects: &self.changes,
            profiler: &Unwatched,
        };
        let mut items = Vec::new();
        run_influxql(text, &context, &mut |item| {
            items.push(item);
            Ok(())
        })?;
        Ok(items)
    }

    /// The body that InfluxDB would answer.
    pub(super) fn body(&self, text: &str) -> String {
        match self.run(text) {
            Ok(items) => body(&items),
            Err(error) => format!("{{\"error\":{}}}", json(&error.to_string())),
        }
    }
}

fn json(text: &str) -> String {
    let mut out = String::from("\"");
    for ch in text.chars() {
        match ch {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            _ => out.push(ch),
        }
    }
    out + "\""
}

fn json_value(column_type: ColumnType, value: Option<FieldValue>) -> String {
    match value {
        None => "null".to_owned(),
        Some(FieldValue::Integer(v)) => v.to_string(),
        Some(FieldValue::Unsigned(v)) => v.to_string(),
        Some(FieldValue::Boolean(v)) => v.to_string(),
        Some(FieldValue::Float(v)) => {
            assert_eq!(column_type, ColumnType::Field(model::FieldType::Float));
            v.to_string()
        }
        Some(FieldValue::String(v)) => json(&v),
    }
}

/// Items as InfluxDB's JSON with epoch=ns.
fn body(items: &[Item]) -> String {
    let mut results: Vec<(String, Vec<String>)> = Vec::new();
    for item in items {
        match item {
            Item::Statement(n) => results.push((format!("{{\"statement_id\":{n}"), Vec::new())),
            Item::Warning(_) => {}
            Item::Error(text) => {
                write!(results.last_mut().unwrap().0, ",\"error\":{}", json(text)).unwrap();
            }
            Item::Series(series) => {
                let mut out = String::from("{");
                if !series.name.is_empty() {
                    write!(out, "\"name\":{},", json(&series.name)).unwrap();
                }
                if !series.tags.is_empty() {
                    let tags: Vec<_> =
                        series.tags.iter().map(|(k, v)| format!("{}:{}", json(k), json(v))).collect();
                    write!(out, "\"tags\":{{{}}},", tags.join(",")).unwrap();
                }
                let columns = &series.frame.columns;
                let names: Vec<_> = columns.iter().map(|c| json(&c.name)).collect();
                write!(out, "\"columns\":[{}]", names.join(",")).unwrap();
                let rows: Vec<_> = (0..series.frame.rows)
                    .map(|row| {
                        let cells: Vec<_> =
                            columns.iter().map(|c| json_value(c.column_type(), c.get(row))).collect();
                        format!("[{}]", cells.join(","))
                    })
                    .collect();
                if !rows.is_empty() {
                    write!(out, ",\"values\":[{}]", rows.join(",")).unwrap();
                }
                results.last_mut().unwrap().1.push(out + "}");
            }
        }
    }
    let results: Vec<_> = results
        .into_iter()
        .map(|(head, series)| {
            let series = match series.is_empty() {
                true => String::new(),
                false => format!(",\"series\":[{}]", series.join(",")),
            };
            // InfluxDB writes the series before the error.
            match head.split_once(",\"error\"") {
                Some((id, error)) => format!("{id}{series},\"error\"{error}}}"),
                None => format!("{head}{series}}}"),
            }
        })
        .collect();
    format!("{{\"results\":[{}]}}", results.join(","))
}

/// Statements whose recorded answer is not ours, each with the reason.
type Different = [(&'static str, &'static str)];

const BASICS: &Different = &[
    ("SELECT integral(usage, 1m) FROM cpu GROUP BY host", "1.6.7 sends the groups of integral in no order"),
    (
        "SELECT median(usage), mode(usage), spread(usage), stddev(load), spread(load) FROM cpu",
        "1.6.7 takes the series of a standard deviation in an order of its own, which the last digit shows",
    ),
    (
        "SELECT usage FROM cpu LIMIT 1; SELECT foo(usage) FROM cpu; SHOW DATABASES",
        "1.6.7 overwrites the error of the failed statement by `not executed`",
    ),
];

const TXT: &str = "a column has one type here; 1.6.7 puts the number even among texts";
const INT: &str = "newest first, 1.6.7 shows integrals at the end of the window, and empty ones beside them";

const SUB: &str = "1.6.7 answers nothing when the first window of a subquery begins before the range";

const FUNCTIONS: &Different = &[
    (
        "select max(m) from (select mean(v) as m from sd group by time(10s)) where time>=1600000001s and time<1600000002s",
        SUB,
    ),
    (
        "select mean(m) from (select mean(v) as m from sd group by time(10s)) where time>=1600000001s and time<1600000012s",
        SUB,
    ),
    (
        "select sum(m), count(m) from (select mean(v) as m from sd group by time(10s)) where time>=1600000001s and time<1600000012s",
        SUB,
    ),
    ("select first(v), last(s) from sd,str where time>=1600000000s and time<1600000040s fill(0)", TXT),
    ("select max(v),h from sd where time>=1600000000s and time<1600000040s fill(0)", TXT),
    ("select integral(n) from sd where time>=1600000000s and time<1600000040s order by time desc", INT),
    (
        "select integral(v) from sd where time>=1600000000s and time<1600000040s group by time(10s) order by time desc",
        INT,
    ),
    (
        "select integral(n) from sd where time>=1600000000s and time<1600000040s group by time(10s) order by time desc",
        INT,
    ),
    (
        "select integral(v) from sd where time>=1600000000s and time<1600000040s group by time(5s) order by time desc",
        INT,
    ),
    (
        "select integral(n,2s) from sd where time>=1600000000s and time<1600000040s group by time(7s) order by time desc",
        INT,
    ),
];

const CHECKS: &Different = &[
    ("select abs(/v/) from sd", "1.6.7 expands patterns in functions of aggregates alone"),
    ("select mean(v) from sd group by time(-1s)", "a window of negative length is an error, not no window"),
];

/// Runs a table of statements, each followed by InfluxDB's answer.
#[track_caller]
fn check(points: &str, table: &str, different: &Different) {
    let fixture = Fixture::new(points);
    let mut lines = table.lines();
    let mut wrong = String::new();
    let mut count = 0;
    while let Some(statement) = lines.next() {
        let statement = statement.strip_prefix("> ").expect("a statement");
        let recorded = lines.next().expect("its answer");
        let ours = fixture.body(statement);
        let excused = different.iter().any(|(text, _)| *text == statement);
        count += 1;
        if (ours == recorded) == excused {
            writeln!(wrong, "> {statement}\n  influxdb {recorded}\n  ours     {ours}").unwrap();
        }
    }
    assert!(count > 80, "the table is read");
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn answers_are_those_of_influxdb() {
    check(include_str!("tests/data.lp"), include_str!("tests/golden.txt"), BASICS);
}

#[test]
fn functions_are_those_of_influxdb() {
    check(include_str!("tests/functions.lp"), include_str!("tests/functions.txt"), FUNCTIONS);
}

#[test]
fn refusals_are_those_of_influxdb() {
    check(include_str!("tests/functions.lp"), include_str!("tests/checks.txt"), CHECKS);
}

#[test]
fn forecasts_and_indicators_are_those_of_influxdb() {
    check(include_str!("tests/forecasts.lp"), include_str!("tests/forecasts.txt"), &[]);
}

/// What the comparison with InfluxDB by generated statements has found.
const FOUND: &Different = &[];

#[test]
fn what_was_found_by_comparison_is_as_influxdb_has_it() {
    check(include_str!("tests/differential.lp"), include_str!("tests/differential.txt"), FOUND);
}

#[test]
fn what_a_subquery_does_not_answer_is_a_tag_that_is_not_there() {
    let fixture = Fixture::new("m,h=a,r=x v=1 10\nm,h=b,r=y v=2 20\n");
    let sum =
        |condition: &str| fixture.body(&format!("SELECT sum(v) FROM (SELECT v FROM m) WHERE {condition}"));
    for (condition, is_true) in
        [("r != 'x'", true), ("r = ''", true), ("r = 'x'", false), ("r =~ /x/", false)]
    {
        assert_eq!(sum(condition).contains("[0,3]"), is_true, "{condition}: {}", sum(condition));
    }
}

#[test]
fn constants_are_refused_as_influxdb_does_after_it_has_folded_them() {
    let fixture = Fixture::new("m f=1 0\n");
    let lone = "field must contain at least one variable";
    let two = "cannot perform a binary expression on two literals";
    for (text, expected) in [
        ("1 + 2", lone),
        ("10 | 4", lone),
        ("10.5 | 4", two),
        ("10s | 4", two),
        ("10s * 4", lone),
        ("4 * 10s", two),
        ("4 + 10s", lone),
        ("10s / 4s", two),
        ("(10s + 4s) / 2.5", lone),
        ("'a' + 'b'", lone),
        ("'a' + 4", two),
        ("true & false", lone),
        ("true + false", two),
    ] {
        let body = fixture.body(&format!("SELECT {text} FROM m"));
        assert!(body.contains(&format!("\"error\":\"{expected}\"")), "{text}: {body}");
    }
}

#[test]
fn a_number_fills_what_is_neither_a_field_nor_a_tag() {
    let fixture = Fixture::new("m,h=a f=2i 0\n");
    let rows = |text: &str| {
        let body = fixture.body(text);
        body.split_once("\"values\":")
            .map(|(_, rows)| rows.trim_end_matches("}]}]}").to_owned())
            .unwrap_or_default()
    };
    assert_eq!(rows("SELECT x + f, x, f FROM m fill(3)"), "[[0,5,3,2]]");
    assert_eq!(rows("SELECT x / f, -x, h, f FROM m fill(3)"), r#"[[0,1.5,-3,"a",2]]"#);
    assert_eq!(rows("SELECT x, f FROM (SELECT f FROM m) fill(2.5)"), "[[0,2.5,2]]");
    assert_eq!(rows("SELECT x, f FROM m fill(previous)"), "[[0,null,2]]");
    assert_eq!(rows("SELECT x FROM m fill(3)"), "");
}
