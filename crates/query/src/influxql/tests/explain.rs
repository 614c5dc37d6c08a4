//! EXPLAIN shows what the statement would ask for; EXPLAIN ANALYZE what became of it.

use super::Fixture;

const LINES: &str =
    "m,host=a v=1,n=2i 1000000000\nm,host=b v=2 2000000000\nm,host=b v=2 1300000000000000\nk v=1 1\n";

fn plan(text: &str) -> String {
    let body = Fixture::new(LINES).body(text);
    body.replace("[\"", "").replace("\"],", "\n").replace("\"]", "\n")
}

#[test]
fn plans_have_the_lines_of_influxdb_and_what_is_pushed_down() {
    for (text, expected) in [
        (
            "EXPLAIN SELECT mean(v) FROM m WHERE time < 1000s GROUP BY host",
            "EXPRESSION: mean(v::float)\nNUMBER OF SHARDS: 1\nNUMBER OF SERIES: 2\nPUSHED DOWN: measurement=m, \
             time=[, 1000000000000), fields=[v], summary=[count, sum], tags=[host]\n",
        ),
        (
            "EXPLAIN SELECT max(n) FROM m WHERE time >= 0 AND time < 60s AND host = 'a' GROUP BY time(10s)",
            "EXPRESSION: max(n::integer)\nNUMBER OF SHARDS: 0\nNUMBER OF SERIES: 1\nPUSHED DOWN: measurement=m, \
             time=[0, 60000000000), predicate=host=\\\"a\\\", fields=[n], summary=[max], tags=[], every=10000000000ns, \
             offset=0ns\n",
        ),
        (
            "EXPLAIN SELECT v, host FROM m ORDER BY time DESC LIMIT 3",
            "EXPRESSION: \\u003cnil\\u003e\nAUXILIARY FIELDS: host::tag, v::float\nNUMBER OF SHARDS: 2\n\
             NUMBER OF SERIES: 2\nPUSHED DOWN: measurement=m, time=[, ), fields=[v], last 3 of each series\n",
        ),
        (
            "EXPLAIN SELECT median(v) FROM m WHERE n > 1",
            "EXPRESSION: v::float\nNUMBER OF SHARDS: 2\nNUMBER OF SERIES: 2\nPUSHED DOWN: measurement=m, time=[, ), \
             fields=[v, n]\nFILTERED AFTERWARDS: by the values of fields\n",
        ),
    ] {
        let plan = plan(text);
        let lines = plan.split_once("\"values\":[").map(|(_, lines)| lines).unwrap_or(&plan);
        assert!(plan.contains("\"columns\":QUERY PLAN"), "{plan}");
        assert!(lines.starts_with(expected), "{text}:\n{plan}");
    }
}

#[test]
fn each_call_and_each_source_has_its_block() {
    let two = plan("EXPLAIN SELECT min(v), max(n) FROM (SELECT v, n FROM m), k");
    assert_eq!(two.matches("EXPRESSION").count(), 3, "{two}");
    let nothing = plan("EXPLAIN SELECT nope FROM m");
    assert!(nothing.contains("\"values\":[\n"), "{nothing}");
}

#[test]
fn an_analyzed_statement_runs_and_shows_its_parts() {
    let body = plan("EXPLAIN ANALYZE SELECT v FROM m WHERE time < 1000s GROUP BY host");
    assert!(body.contains("\"columns\":EXPLAIN ANALYZE"), "{body}");
    for line in [
        "└── select\n",
        "statement: SELECT v FROM m WHERE time \\u003c 1000s GROUP BY host",
        "├── execution_time: ",
        "├── series: 2\n",
        "├── rows: 2\n",
        "└── exec.fragment\n",
        "│   ├── node: 2\n",
        "├── blocks: 3\n",
    ] {
        assert!(body.contains(line), "{line}: {body}");
    }
    let refused =
        Fixture::new(LINES).body("EXPLAIN ANALYZE SELECT mean(host) FROM m; EXPLAIN SELECT v FROM x..m");
    assert!(refused.contains("database not found: x") || refused.contains("error"), "{refused}");
}
