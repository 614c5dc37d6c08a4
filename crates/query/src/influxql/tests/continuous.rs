//! Statements about continuous queries, as recorded from InfluxDB 1.6.7.

use super::Fixture;

const DONE: &str = r#"{"results":[{"statement_id":0}]}"#;

#[test]
fn what_is_kept_names_every_database_and_policy() {
    let fixture = Fixture::new("");
    for (statement, kept) in [
        (
            "CREATE CONTINUOUS QUERY q1 ON d BEGIN SELECT MEAN(f) INTO n FROM m GROUP BY time(60s) END",
            "CREATE CONTINUOUS QUERY q1 ON d BEGIN SELECT mean(f) INTO d.autogen.n FROM d.autogen.m GROUP BY time(1m) END",
        ),
        (
            "CREATE CONTINUOUS QUERY q4 ON d RESAMPLE EVERY 10m BEGIN SELECT mean(f) INTO n FROM m GROUP BY time(1m) END",
            "CREATE CONTINUOUS QUERY q4 ON d RESAMPLE EVERY 10m BEGIN SELECT mean(f) INTO d.autogen.n FROM d.autogen.m \
             GROUP BY time(1m) END",
        ),
        (
            "CREATE CONTINUOUS QUERY q ON d BEGIN SELECT mean(f) INTO d.autogen.:MEASUREMENT FROM /.*/ GROUP BY time(1m) END",
            "CREATE CONTINUOUS QUERY q ON d BEGIN SELECT mean(f) INTO d.autogen.:MEASUREMENT FROM d.autogen./.*/ \
             GROUP BY time(1m) END",
        ),
        (
            "CREATE CONTINUOUS QUERY q ON d BEGIN SELECT mean(x) INTO n FROM (SELECT mean(f) AS x FROM m \
             GROUP BY time(10s)) GROUP BY time(1m) END",
            "CREATE CONTINUOUS QUERY q ON d BEGIN SELECT mean(x) INTO d.autogen.n FROM (SELECT mean(f) AS x \
             FROM d.autogen.m GROUP BY time(10s)) GROUP BY time(1m) END",
        ),
    ] {
        assert_eq!(fixture.body(statement), DONE, "{statement}");
        assert_eq!(fixture.changes.0.lock().unwrap().pop().as_deref(), Some(kept));
    }
    assert_eq!(fixture.body("DROP CONTINUOUS QUERY q ON d"), DONE);
    assert_eq!(*fixture.changes.0.lock().unwrap(), ["drop continuous query d.q"]);
}

#[test]
fn what_names_an_unknown_database_is_refused() {
    let fixture = Fixture::new("");
    for statement in [
        "CREATE CONTINUOUS QUERY q ON nodb BEGIN SELECT mean(f) INTO n FROM m GROUP BY time(1m) END",
        "CREATE CONTINUOUS QUERY q ON d BEGIN SELECT mean(f) INTO n FROM nodb..m GROUP BY time(1m) END",
        "CREATE CONTINUOUS QUERY q ON d BEGIN SELECT mean(f) INTO nodb..n FROM m GROUP BY time(1m) END",
    ] {
        let expected = r#"{"results":[{"statement_id":0,"error":"database not found: nodb"}]}"#;
        assert_eq!(fixture.body(statement), expected, "{statement}");
    }
    let answer = fixture.body("SHOW CONTINUOUS QUERIES");
    let expected = r#"{"results":[{"statement_id":0,"series":[{"name":"d","columns":["name","query"]}]}]}"#;
    assert_eq!(answer, expected);
}

#[test]
fn what_makes_no_sense_is_refused_by_the_parser() {
    let fixture = Fixture::new("");
    for (resample, select, reason) in [
        (
            "RESAMPLE FOR 30s ",
            "",
            "FOR duration must be >= GROUP BY time duration: must be a minimum of 1m, got 30s",
        ),
        (
            "RESAMPLE EVERY 10m FOR 5m ",
            "",
            "FOR duration must be >= GROUP BY time duration: must be a minimum of 10m, got 5m",
        ),
        ("RESAMPLE EVERY 0s ", "", "found BEGIN, expected EVERY, FOR at line 1, char 51"),
        ("", "SELECT mean(f) FROM m GROUP BY time(1m)", "found FROM, expected INTO at line 1, char 54"),
    ] {
        let select =
            if select.is_empty() { "SELECT mean(f) INTO n FROM m GROUP BY time(1m)" } else { select };
        let text = format!("CREATE CONTINUOUS QUERY q5 ON d {resample}BEGIN {select} END");
        let error = fixture.run(&text).unwrap_err().to_string();
        assert!(error.ends_with(reason), "{text}: {error}");
    }
}
