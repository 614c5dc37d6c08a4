//! Statements over points in memory: what they answer, what is pushed down, and that pushing down changes nothing.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::util::pretty::pretty_format_batches;
use catalog::{Command, Level, NodeInfo, Response, State};
use model::{FieldValue, SeriesKey, SystemClock, Timestamp};
use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};

use super::{SqlContext, describe_sql, run_sql};
use crate::error::Error;
use crate::limits::Limits;
use crate::testing::{MEMORY, Points, Unwatched, bucket_id, org};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap());

const LIMITS: Limits = Limits {
    memory_bytes_max: 64 << 20,
    rows_max: 100_000,
    points_max: 100_000,
    series_max: 1_000,
    windows_max: 10_000,
    time_max: Some(Duration::from_secs(60)),
};

/// The shortest retention that there is.
const HOUR: i64 = 3_600_000_000_000;

struct Fixture {
    points: Arc<Points>,
    state: State,
    limits: Limits,
    params: Option<RecordBatch>,
}

impl Fixture {
    fn new(points: Points) -> Self {
        let buckets = [(1, "b", None), (2, "other", None), (3, "short", Some(HOUR))];
        let mut state = points.catalog(&buckets, &[("db", "autogen", 1)]);
        // A cluster whose nodes understand everything.
        let info = NodeInfo {
            uuid: 1,
            address: "n:8088".to_owned(),
            zone: String::new(),
            version: "1".to_owned(),
            level: Level::NEWEST,
        };
        let founded = Command::Bootstrap {
            cluster_id: 1,
            replication: 1,
            nodes: vec![info],
            placements: vec![vec![0]],
        };
        assert!(!matches!(catalog::apply(&mut state, &founded), Response::Refused(_)));
        assert_eq!(state.level(), Level::NEWEST);
        Self { points: Arc::new(points), state, limits: LIMITS, params: None }
    }

    fn of(lines: &str) -> Self {
        let mut points = Points::default();
        points.block_rows = 3;
        points.put_lines(bucket_id(1), lines);
        points.put_lines(bucket_id(2), "cpu,host=z u=9 5\nmem free=1 1");
        points.put_lines(bucket_id(3), "m v=1 100\nm v=2 20000");
        Self::new(points)
    }

    fn with<T>(&self, database: &str, run: impl FnOnce(&SqlContext<'_>) -> T) -> T {
        let clock = SystemClock::new();
        let context = SqlContext {
            catalog: &self.state,
            source: Arc::clone(&self.points) as _,
            org: org(),
            database,
            params: self.params.as_ref(),
            now: Timestamp(HOUR + 10_000),
            clock: &clock,
            readable: Some(&[bucket_id(1), bucket_id(3)]),
            limits: self.limits,
            memory: &MEMORY,
            cancelled: &|| false,
            profiler: &Unwatched,
            runtime: RUNTIME.handle(),
        };
        run(&context)
    }

    fn rows_in(&self, database: &str, text: &str) -> Result<String, Error> {
        let mut batches = Vec::new();
        self.with(database, |context| {
            run_sql(text, context, &mut |batch| {
                batches.push(batch);
                Ok(())
            })
        })?;
        Ok(pretty_format_batches(&batches).unwrap().to_string())
    }

    fn rows(&self, text: &str) -> String {
        self.rows_in("b", text).unwrap_or_else(|error| format!("error: {error}"))
    }

    #[track_caller]
    fn check(&self, text: &str, expected: &str) {
        let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
        assert_eq!(self.rows(text), expected.join("\n"), "{text}");
    }

    #[track_caller]
    fn check_error(&self, text: &str, expected: &str) {
        let error = self.rows_in("b", text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

const LINES: &str = "\
cpu,host=a,region=x u=1,n=1i 10
cpu,host=a,region=x u=2 20
cpu,host=a,region=x n=3i,s=\"t\" 30
cpu,host=b u=-4,ok=true 10
cpu,host=b u=5,n=5i 40
cpu,host=c,region=y s=\"q\" 20
both,k=tag k=1,v=2 1";

#[test]
fn a_row_is_a_point_whatever_columns_are_named() {
    let fixture = Fixture::of(LINES);
    fixture.check(
        "SELECT host, n, ok, region, s, arrow_cast(time, 'Int64') AS t, u FROM cpu ORDER BY host, time",
        "+------+---+------+--------+---+----+------+
         | host | n | ok   | region | s | t  | u    |
         +------+---+------+--------+---+----+------+
         | a    | 1 |      | x      |   | 10 | 1.0  |
         | a    |   |      | x      |   | 20 | 2.0  |
         | a    | 3 |      | x      | t | 30 |      |
         | b    |   | true |        |   | 10 | -4.0 |
         | b    | 5 |      |        |   | 40 | 5.0  |
         | c    |   |      | y      | q | 20 |      |
         +------+---+------+--------+---+----+------+",
    );
    let described = fixture.with("b", |context| describe_sql("SELECT * FROM cpu", context)).unwrap();
    let columns =
        described.schema.fields().iter().map(|field| format!("{}:{}", field.name(), field.data_type()));
    assert_eq!(
        columns.collect::<Vec<_>>(),
        [
            "host:Dictionary(Int32, Utf8)",
            "n:Int64",
            "ok:Boolean",
            "region:Dictionary(Int32, Utf8)",
            "s:Utf8",
            "time:Timestamp(ns)",
            "u:Float64"
        ]
    );
    fixture.check(
        "SELECT host, u FROM cpu WHERE region IS NOT NULL ORDER BY host, time",
        "+------+-----+
         | host | u   |
         +------+-----+
         | a    | 1.0 |
         | a    | 2.0 |
         | a    |     |
         | c    |     |
         +------+-----+",
    );
}

#[test]
fn conditions_are_those_of_sql() {
    let fixture = Fixture::of(LINES);
    let count = |condition: &str| fixture.rows(&format!("SELECT count(*) AS c FROM cpu WHERE {condition}"));
    let answer = |n: usize| format!("+---+\n| c |\n+---+\n| {n} |\n+---+");
    for (condition, n) in [
        ("host = 'a'", 3),
        ("host != 'a'", 3),
        ("region = 'x'", 3),
        // A comparison with NULL is not true.
        ("region != 'x'", 1),
        ("NOT region = 'x'", 1),
        ("region IS NULL", 2),
        ("region IS NOT NULL", 4),
        ("region IS DISTINCT FROM 'x'", 3),
        ("region = ''", 0),
        ("region IN ('x', 'y')", 4),
        ("region NOT IN ('x')", 1),
        ("region NOT IN ('x', NULL)", 0),
        ("host ~ '^[ab]$'", 5),
        ("region !~ 'x'", 1),
        ("host LIKE '_'", 6),
        ("host ILIKE 'A%'", 3),
        ("region NOT LIKE 'x%'", 1),
        ("host = 'a' OR region IS NULL", 5),
        ("host = 'a' OR u = 5", 4),
        ("host = region", 0),
        ("time >= to_timestamp_nanos(20)", 4),
        ("time > to_timestamp_nanos(20) AND time < to_timestamp_nanos(40)", 1),
        ("time BETWEEN to_timestamp_nanos(10) AND to_timestamp_nanos(20)", 4),
        ("time = to_timestamp_nanos(10)", 2),
        ("to_timestamp_nanos(20) < time", 2),
        ("time != to_timestamp_nanos(10)", 4),
        ("u IS NULL", 2),
        ("false", 0),
    ] {
        assert_eq!(count(condition), answer(n), "{condition}");
    }
}

#[test]
fn names_are_databases_and_measurements() {
    let fixture = Fixture::of(LINES);
    fixture.check(
        "SELECT k, k_1, v FROM both",
        "+-----+-----+-----+
         | k   | k_1 | v   |
         +-----+-----+-----+
         | 1.0 | tag | 2.0 |
         +-----+-----+-----+",
    );
    assert!(fixture.rows_in("db", "SELECT 1 FROM cpu LIMIT 1").is_ok(), "a mapped database");
    let error = fixture.rows_in("nope", "SELECT 1").unwrap_err().to_string();
    assert_eq!(error, "database not found: nope");
    let error = fixture.rows_in("other", "SELECT 1").unwrap_err().to_string();
    assert_eq!(error, "database not found: other", "one that may not be read");
    fixture.check_error("SELECT * FROM nope", "table 'public.iox.nope' not found");
    fixture.check_error("SELECT * FROM other.mem", "not found");
    fixture.check(
        "SELECT v FROM short.m",
        "+-----+
         | v   |
         +-----+
         | 2.0 |
         +-----+",
    );
    fixture.check(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'iox' ORDER BY 1",
        "+------------+
         | table_name |
         +------------+
         | both       |
         | cpu        |
         +------------+",
    );
}

#[test]
fn only_what_reads_may_be_said() {
    let fixture = Fixture::of(LINES);
    for (text, error) in [
        ("DROP TABLE cpu", "DDL not supported"),
        ("CREATE TABLE t AS SELECT 1", "DDL not supported"),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "DDL not supported"),
        ("COPY (SELECT 1) TO '/tmp/tidemark-copy.csv'", "DML not supported"),
        ("INSERT INTO cpu SELECT * FROM cpu", "DML not supported"),
        ("SET datafusion.execution.batch_size = 1", "Statement not supported"),
        ("SELECT * FROM '/etc/passwd'", "not found"),
        ("SELECT 1; SELECT 2", "single SQL statement"),
        ("", "No SQL statements"),
        ("selec 1", "Line: 1, Column: 1"),
        ("SELECT nope FROM cpu", "nope"),
        ("SELECT 1/0", "Divide by zero"),
        ("SELECT u FROM cpu WHERE host ~ '('", "regex"),
    ] {
        fixture.check_error(text, error);
    }
}

#[test]
fn placeholders_have_values() {
    let mut fixture = Fixture::of(LINES);
    let described =
        fixture.with("b", |context| describe_sql("SELECT u FROM cpu WHERE host = $h", context)).unwrap();
    assert_eq!(described.params.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["h"]);
    assert_eq!(described.schema.field(0).name(), "u");
    fixture.check_error("SELECT u FROM cpu WHERE host = $h", "Placeholder");
    let columns: Vec<(&str, Arc<dyn arrow::array::Array>)> =
        vec![("h", Arc::new(StringArray::from(vec!["b"]))), ("1", Arc::new(Int64Array::from(vec![5])))];
    fixture.params = Some(RecordBatch::try_from_iter(columns).unwrap());
    let expected = "+-----+\n| u   |\n+-----+\n| 5.0 |\n+-----+";
    fixture.check("SELECT u FROM cpu WHERE host = $h AND n = 5", expected);
    fixture.check("SELECT u FROM cpu WHERE n = $1", expected);
}

#[test]
fn windows_extend_others() {
    let fixture = Fixture::of("m,h=a v=1 1\nm,h=a v=2 2\nm,h=a v=4 3\nm,h=b v=8 1");
    let expected = "+-----+
         | s   |
         +-----+
         | 1.0 |
         | 3.0 |
         | 6.0 |
         | 8.0 |
         +-----+";
    let frame = "ROWS BETWEEN 1 PRECEDING AND CURRENT ROW";
    for over in [
        format!("(PARTITION BY h ORDER BY time {frame})"),
        format!("(w {frame})"),
        format!("(p ORDER BY time {frame})"),
        format!("(q {frame})"),
        "x".to_owned(),
    ] {
        let names = format!("w AS (p ORDER BY time), q AS w, x AS (w {frame}), p AS (PARTITION BY h)");
        fixture.check(
            &format!("SELECT sum(v) OVER {over} AS s FROM m WINDOW {names} ORDER BY h, time"),
            expected,
        );
    }
    fixture.check_error("SELECT sum(v) OVER (w ROWS 1 PRECEDING) FROM m", "window w is not defined");
    fixture
        .check_error("SELECT sum(v) OVER (w ORDER BY h) FROM m WINDOW w AS (ORDER BY v)", "ordered already");
    fixture.check_error("SELECT sum(v) OVER (w ORDER BY h) FROM m WINDOW w AS x, x AS w", "16 times");
}

#[test]
fn selectors_answer_a_value_and_its_time() {
    let fixture = Fixture::of(LINES);
    let text = |from: &str| {
        format!(
            "SELECT selector_first(u, time)['value'] AS f, selector_last(u, time)['value'] AS l, \
             selector_min(u, time)['value'] AS i, selector_max(n, time)['value'] AS a, \
             arrow_cast(selector_max(n, time)['time'], 'Int64') AS t, selector_last(s, time)['value'] AS s FROM {from}"
        )
    };
    let expected = "+-----+-----+------+---+----+---+
         | f   | l   | i    | a | t  | s |
         +-----+-----+------+---+----+---+
         | 1.0 | 5.0 | -4.0 | 5 | 40 | t |
         +-----+-----+------+---+----+---+";
    fixture.check(&text("cpu"), expected);
    fixture.check(&text("(SELECT * FROM cpu LIMIT 1000)"), expected);
}

#[test]
fn gaps_are_filled() {
    let fixture = Fixture::of("m,h=a v=1,i=1i 0\nm,h=a v=4,i=10i 30\nm,h=b v=2,i=5i 10\nm,h=b w=1 25");
    fixture.check(
        "SELECT arrow_cast(date_bin_gapfill(INTERVAL '10 nanoseconds', time), 'Int64') AS t, h, \
         max(v) AS m, locf(max(v)) AS l, interpolate(max(v)) AS p, interpolate(max(i)) + 1 AS j, count(v) AS c \
         FROM m WHERE time >= to_timestamp_nanos(-10) AND time < to_timestamp_nanos(45) \
         GROUP BY date_bin_gapfill(INTERVAL '10 nanoseconds', time), h ORDER BY h, 1",
        "+-----+---+-----+-----+-----+----+---+
         | t   | h | m   | l   | p   | j  | c |
         +-----+---+-----+-----+-----+----+---+
         | -10 | a |     |     |     |    | 0 |
         | 0   | a | 1.0 | 1.0 | 1.0 | 2  | 1 |
         | 10  | a |     | 1.0 | 2.0 | 5  | 0 |
         | 20  | a |     | 1.0 | 3.0 | 8  | 0 |
         | 30  | a | 4.0 | 4.0 | 4.0 | 11 | 1 |
         | 40  | a |     | 4.0 |     |    | 0 |
         | -10 | b |     |     |     |    | 0 |
         | 0   | b |     |     |     |    | 0 |
         | 10  | b | 2.0 | 2.0 | 2.0 | 6  | 1 |
         | 20  | b |     | 2.0 |     |    | 0 |
         | 30  | b |     | 2.0 |     |    | 0 |
         | 40  | b |     | 2.0 |     |    | 0 |
         +-----+---+-----+-----+-----+----+---+",
    );
    // Without a start each group starts with its first row; without tags there is one group.
    fixture.check(
        "SELECT arrow_cast(date_bin_gapfill(INTERVAL '10 nanoseconds', time), 'Int64') AS t, sum(v) AS s FROM m \
         WHERE time < to_timestamp_nanos(40) AND h = 'b' GROUP BY date_bin_gapfill(INTERVAL '10 nanoseconds', time)",
        "+----+-----+
         | t  | s   |
         +----+-----+
         | 10 | 2.0 |
         | 20 |     |
         | 30 |     |
         +----+-----+",
    );
    let from = "FROM m GROUP BY date_bin_gapfill(INTERVAL '10 nanoseconds', time)";
    fixture.check_error(&format!("SELECT sum(v) {from}"), "needs an upper bound of time");
    fixture.check_error("SELECT interpolate(v) FROM m", "date_bin_gapfill");
    fixture.check_error("SELECT locf(max(v)) FROM m", "date_bin_gapfill");
    let many = "SELECT sum(v) FROM m WHERE time < to_timestamp_nanos(9000000000000000) \
                GROUP BY date_bin_gapfill(INTERVAL '1 nanosecond', time)";
    fixture.check_error(many, "more than 10000000 windows");
}

#[test]
fn limits_have_names() {
    let mut fixture = Fixture::of(LINES);
    fixture.limits.rows_max = 5;
    fixture.check_error("SELECT * FROM cpu", "query-rows");
    fixture.limits = Limits { points_max: 5, ..LIMITS };
    fixture.check_error("SELECT * FROM cpu", "max-select-point");
    fixture.limits = Limits { memory_bytes_max: 1 << 20, ..LIMITS };
    fixture.check_error("SELECT array_agg(repeat('x', 1000000)) FROM cpu a, cpu b", "query-memory-bytes");
    fixture.limits = Limits { time_max: Some(Duration::ZERO), ..LIMITS };
    fixture.check_error("SELECT * FROM cpu", "query-timeout");
}

#[test]
fn a_join_without_end_ends_in_time() {
    let mut fixture = Fixture::of(LINES);
    fixture.limits = Limits { time_max: Some(Duration::from_millis(50)), ..LIMITS };
    let numbers = "generate_series(1,100000)";
    for text in [
        format!("SELECT count(*) FROM {numbers} a, {numbers} b, {numbers} c"),
        format!("SELECT a.value FROM {numbers} a JOIN {numbers} b ON a.value + b.value < 0"),
        format!(
            "SELECT a.value FROM {numbers} a JOIN {numbers} b ON a.value % 1 = b.value % 1 AND a.value + b.value < 0"
        ),
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t".to_owned(),
    ] {
        fixture.check_error(&text, "query-timeout");
    }
    // Nothing of them keeps a thread.
    fixture.limits = LIMITS;
    fixture.check("SELECT 1 AS a", "+---+\n| a |\n+---+\n| 1 |\n+---+");
}

#[test]
fn null_in_a_list_and_distinct_from_mean_what_sql_says() {
    let mut fixture = Fixture::of(LINES);
    let one = |value: Option<&str>| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    let columns = [("nothing", one(None), true), ("b", one(Some("b")), true)];
    fixture.params = Some(RecordBatch::try_from_iter_with_nullable(columns).unwrap());
    let count = |condition: &str| {
        let rows = fixture.rows(&format!(
            "SELECT count(*) AS n FROM (VALUES ('a', 1), ('b', 2), (NULL, 3)) t(h, n) WHERE {condition}"
        ));
        rows.lines().nth(3).map(|line| line.trim_matches(['|', ' ']).to_owned()).unwrap_or(rows)
    };
    for (condition, expected) in [
        ("h IN ('a','b') AND h NOT IN ('a', NULL)", "0"),
        ("h NOT IN ('a', NULL)", "0"),
        ("h IN ('a', NULL)", "1"),
        ("(h IN ('a', NULL)) IS NULL", "2"),
        ("h NOT IN (NULL)", "0"),
        ("h IN ('a', 'b') AND h NOT IN (NULL)", "0"),
        ("h IN ('a', 'b') AND h NOT IN ('a', CAST(NULL AS VARCHAR))", "0"),
        ("n IN (1, 2) AND n NOT IN (1, TRY_CAST('x' AS INT))", "0"),
        ("n IN (1, 2) AND n NOT IN (1, nullif(2, 2))", "0"),
        ("n NOT IN (1, 1 + 1)", "1"),
        ("n IN (n + 1, n + 2) AND n IN (n, n + 3)", "0"),
        ("n IN (9, n - 1, n) AND n IN (9, n, n + 3)", "3"),
        ("(h IN ('a', NULL) OR h IN ('b', NULL)) IS NULL", "1"),
        ("h IN ('a', 'b') AND h NOT IN ('a', $nothing)", "0"),
        ("h IN ('a', 'b') AND h NOT IN ('a', $nothing, $b)", "0"),
        ("h IN ('a', 'b') AND h NOT IN ('c', $b)", "1"),
        ("h IS DISTINCT FROM 'a' AND n > 2", "1"),
        ("h IS NOT DISTINCT FROM 'a' OR n = 3", "2"),
        ("h IS DISTINCT FROM 'a' AND n > 2 OR n = 1", "2"),
        ("n IS DISTINCT FROM 1 OR n = 1", "3"),
        ("(n IS DISTINCT FROM 1) = (n <> 1 AND true)", "3"),
    ] {
        assert_eq!(count(condition), expected, "{condition}");
    }
}

#[test]
fn lists_within_lists_stay_small() {
    let fixture = Fixture::of(LINES);
    let mut looked_for = "x".to_owned();
    for _ in 0..20 {
        looked_for = format!("({looked_for} IN (y, z, NULL, x, y, z))");
    }
    let text =
        format!("SELECT count(*) AS n FROM (VALUES (true, false, true)) t(x, y, z) WHERE {looked_for}");
    assert!(fixture.rows(&text).contains("| 1 |"));
}

#[test]
fn a_pattern_that_does_not_compile_is_the_statements_fault() {
    let fixture = Fixture::of(LINES);
    for text in [
        "SELECT * FROM cpu WHERE host ~ '('",
        "SELECT * FROM cpu WHERE host !~ '('",
        "SELECT * FROM cpu WHERE s ~* '('",
        "SELECT regexp_like(s, '(') FROM cpu",
        "SELECT * FROM cpu WHERE s ~ '(((a{50}){50}){50}){50}'",
    ] {
        let error = fixture.rows_in("b", text).expect_err(text);
        assert!(matches!(error, Error::Invalid(_)), "{text}: {error:?}");
    }
}

#[test]
fn an_analyzed_plan_ends_with_what_the_nodes_have_done() {
    let fixture = Fixture::of(LINES);
    let rows = fixture.rows("EXPLAIN ANALYZE SELECT * FROM cpu WHERE host = 'a'");
    assert!(rows.contains("bytes_decoded"), "{rows}");
    assert!(
        rows.contains("Parts by node") && rows.contains("node: 2") && rows.contains("blocks: 3"),
        "{rows}"
    );
    assert!(!fixture.rows("EXPLAIN SELECT * FROM cpu").contains("Parts by node"));
}

#[test]
fn functions_that_make_much_of_little_are_bounded() {
    let fixture = Fixture::of(LINES);
    for text in [
        "SELECT repeat('x', 1000000000)",
        "SELECT length(repeat(host, 1000000000)) FROM cpu",
        "SELECT lpad(host, 1000000000, 'z') FROM cpu",
        "SELECT rpad('x', 300000000)",
        "SELECT array_repeat(1, 100000000)",
        "SELECT range(1, 200000000)",
        "SELECT range(0, -200000000, -1)",
        "SELECT generate_series(1, 200000000)",
        "SELECT range(100000000)",
    ] {
        fixture.check_error(text, "query-memory-bytes");
    }
    for text in [
        "SELECT repeat('ab', 3), repeat('x', -1), repeat(NULL, 5)",
        "SELECT lpad(host, 5, '-'), rpad(host, 3) FROM cpu",
        "SELECT array_repeat('a', 2), list_repeat(1, 2), range(5), range(1, 9, 2), generate_series(1, 3)",
        "SELECT range(DATE '2024-01-01', DATE '2024-01-05', INTERVAL '1 day')",
    ] {
        assert!(!fixture.rows(text).is_empty(), "{text}");
    }
}

#[test]
fn what_can_be_pushed_down_is() {
    let fixture = Fixture::of(LINES);
    let plan = |text: &str| fixture.rows(&format!("EXPLAIN {text}"));
    for text in [
        "SELECT max(u) FROM cpu",
        "SELECT host, avg(u), count(n), sum(n) FROM cpu WHERE region = 'x' GROUP BY host",
        "SELECT date_bin(INTERVAL '1 hour', time) t, region, min(u) FROM cpu c GROUP BY 1, 2 HAVING min(u) > 1",
        "SELECT host, stddev(u), var_pop(n) FROM cpu GROUP BY host",
        "SELECT date_trunc('day', time), selector_last(u, time) FROM cpu GROUP BY 1",
    ] {
        assert!(plan(text).contains("SummaryExec"), "{text}: {}", plan(text));
    }
    for text in [
        "SELECT max(u) FROM cpu WHERE n > 1",
        "SELECT median(u) FROM cpu",
        "SELECT max(u) FILTER (WHERE n = 1) FROM cpu",
        "SELECT count(DISTINCT n) FROM cpu",
        "SELECT u, count(*) FROM cpu GROUP BY u",
        "SELECT max(u) FROM cpu GROUP BY date_bin(INTERVAL '1 month', time)",
    ] {
        assert!(!plan(text).contains("SummaryExec"), "{text}: {}", plan(text));
    }
    assert!(plan("SELECT u FROM cpu ORDER BY time DESC LIMIT 2").contains("last=2 of each series"));
    assert!(plan("SELECT u x, time t FROM cpu ORDER BY t, x LIMIT 2").contains("first=2 of each series"));
    assert!(!plan("SELECT u FROM cpu WHERE u > 1 ORDER BY time LIMIT 2").contains("of each series"));
    assert!(!plan("SELECT u FROM cpu ORDER BY u LIMIT 2").contains("of each series"));
}

/// Points of a few series, sparse.
fn points() -> impl Strategy<Value = Vec<(u8, u8, i64, u8, i8)>> {
    proptest::collection::vec((0..3_u8, 0..3_u8, -50..50_i64, 0..4_u8, -5..5_i8), 0..60)
}

/// Statements with `FROM` to be put in; each has one answer, whatever the order of rows.
const STATEMENTS: [&str; 12] = [
    "SELECT h, r, count(f) a, sum(i) b, min(f) c, max(i) d, count(s) e, max(s) g FROM {} GROUP BY h, r ORDER BY h, r",
    "SELECT date_bin(INTERVAL '7 nanoseconds', time, to_timestamp_nanos(3)) t, count(i) a, min(b) c, avg(i) d FROM {} GROUP BY 1 ORDER BY 1",
    "SELECT date_bin(INTERVAL '20 nanoseconds', time) t, h, max(f) m FROM {} WHERE h != 'h1' GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT count(f), sum(f), max(b), min(s), avg(i) FROM {} WHERE time >= to_timestamp_nanos(-10)",
    "SELECT h, selector_first(i, time) a, selector_last(f, time) b, selector_min(i, time) c, selector_max(s, time) d FROM {} GROUP BY h ORDER BY h",
    "SELECT time, h, r, f, i, s, b FROM {} ORDER BY time DESC, h, r LIMIT 5",
    "SELECT time, h, r, i FROM {} WHERE r IS NULL ORDER BY time, h, r LIMIT 3",
    "SELECT h, count(*) FROM {} WHERE r IS NOT NULL OR h = 'h0' GROUP BY h ORDER BY h",
    "SELECT h, round(stddev(i), 9) a, round(var_pop(f), 9) b, count(s) c FROM {} GROUP BY h ORDER BY h",
    "SELECT date_bin(INTERVAL '20 nanoseconds', time) t, round(stddev_pop(f), 9) a, round(var(i), 9) b FROM {} GROUP BY 1 ORDER BY 1",
    "SELECT r, max(i) FROM {} WHERE i > 0 GROUP BY r ORDER BY r",
    "SELECT date_bin_gapfill(INTERVAL '9 nanoseconds', time) t, h, locf(max(i)) a, interpolate(avg(f)) b, count(s) c FROM {} WHERE time < to_timestamp_nanos(40) AND time >= to_timestamp_nanos(-40) GROUP BY 1, 2 ORDER BY 2, 1",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Answers are the same as where rows are all that is scanned: a LIMIT that nothing reaches lets nothing be pushed
    /// through it.
    #[test]
    fn pushing_down_changes_no_answer(points in points()) {
        let mut stored = Points::default();
        stored.block_rows = 4;
        for (h, r, time, field, value) in points {
            let (h, r) = (format!("h{h}"), format!("r{r}"));
            let tags = [("h", h.as_str()), ("r", r.as_str())];
            // The last of three has no such tag.
            let tags = if r == "r2" { &tags[..1] } else { &tags[..] };
            let key = SeriesKey::new("m", tags).unwrap();
            let (field, value) = match field {
                0 => ("f", FieldValue::Float(f64::from(value))),
                1 => ("i", FieldValue::Integer(i64::from(value))),
                2 => ("s", FieldValue::String(format!("s{value}"))),
                _ => ("b", FieldValue::Boolean(value > 0)),
            };
            stored.put(bucket_id(1), &key, field, time, value);
        }
        for (field, value) in [
            ("f", FieldValue::Float(0.5)),
            ("i", FieldValue::Integer(1)),
            ("s", FieldValue::String("x".to_owned())),
            ("b", FieldValue::Boolean(true)),
        ] {
            stored.put(bucket_id(1), &SeriesKey::new("m", &[("h", "h0"), ("r", "r0")]).unwrap(), field, 0, value);
        }
        let fixture = Fixture::new(stored);
        for statement in STATEMENTS {
            let pushed = fixture.rows(&statement.replace("{}", "m"));
            let scanned = fixture.rows(&statement.replace("{}", "(SELECT * FROM m LIMIT 1000000)"));
            prop_assert_eq!(&pushed, &scanned, "{}", statement);
            prop_assert!(!pushed.starts_with("error"), "{}: {}", statement, pushed);
        }
    }
}
