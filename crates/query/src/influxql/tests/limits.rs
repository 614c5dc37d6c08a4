//! Every limit stops a query with an error that names it; cancellation and a gone receiver stop it too.

use std::sync::Arc;

use memory::{Account, Reservation};

use super::{Fixture, InfluxqlContext, LIMITS, run_influxql};
use crate::error::{Error, Stopped};
use crate::limits::Limits;
use crate::testing::{MEMORY, org};

fn fixture() -> Fixture {
    let lines: String = (0..200)
        .map(|i| format!("m,host=h{} f={i},s=\"text\" {}\n", i % 20, i * 1_000_000_000_i64))
        .collect();
    Fixture::new(&lines)
}

#[test]
fn limits_name_themselves() {
    for (limits, text, name) in [
        (Limits { memory_bytes_max: 1000, ..LIMITS }, "SELECT * FROM m fill(previous)", "query-memory-bytes"),
        (Limits { memory_bytes_max: 1000, ..LIMITS }, "SELECT median(f) FROM m", "query-memory-bytes"),
        (Limits { rows_max: 50, ..LIMITS }, "SELECT f FROM m", "query-rows"),
        (Limits { points_max: 50, ..LIMITS }, "SELECT mean(f) FROM m", "max-select-point"),
        (Limits { series_max: 5, ..LIMITS }, "SELECT mean(f) FROM m GROUP BY host", "max-select-series"),
        (Limits { time_max: Some(std::time::Duration::ZERO), ..LIMITS }, "SELECT f FROM m", "query-timeout"),
    ] {
        let fixture = Fixture { limits, ..fixture() };
        let body = fixture.body(text);
        assert!(body.contains(&format!("query limit {name} reached")), "{text}: {body}");
    }
    assert!(!fixture().body("SELECT f FROM m LIMIT 5").contains("error"));
}

#[test]
fn windows_are_counted_before_points_are_read() {
    let asked = |windows_max, points_max, text: &str| {
        Fixture { limits: Limits { windows_max, points_max, ..LIMITS }, ..fixture() }.body(text)
    };
    // The fixture's now() is 1,000 s; a refusal before the scan does not see that no point may be read.
    let refused = |body: &str, numbers: &str| {
        assert!(body.contains(&format!("max-select-buckets limit exceeded: ({numbers})")), "{body}");
    };
    refused(
        &asked(10, 0, "SELECT mean(f) FROM m WHERE time >= 0 AND time < 1h GROUP BY time(1s)"),
        "3600/10",
    );
    refused(&asked(10, 0, "SELECT mean(f) FROM m WHERE time >= 0 GROUP BY time(100s)"), "11/10");
    let every_ns =
        "SELECT mean(f) FROM m WHERE time > '1800-01-01' AND time < '2200-01-01' GROUP BY time(1ns)";
    assert!(asked(100_000, 0, every_ns).contains("max-select-buckets limit exceeded: ("));
    // Twenty series of ten windows each: known when the series are.
    let hosts = "SELECT mean(f) FROM m WHERE time >= 0 AND time < 200s GROUP BY time(20s), host";
    refused(&asked(199, 1000, hosts), "200/199");
    assert!(!asked(200, 1000, hosts).contains("error"));
    // Without a lower bound windows begin at the first point, and are counted as they are found.
    let open = "SELECT mean(f) FROM m WHERE host = 'h7' AND time < 200s GROUP BY time(1s)";
    refused(&asked(100, 1000, open), "193/100");
    assert!(asked(193, 1000, open).contains("[[7000000000,7]"));
}

#[test]
fn all_queries_together_have_a_limit_and_those_that_hold_something_live() {
    let memory = Account::new("queries", 300_000, 0);
    let fixture = Fixture { memory: Arc::clone(&memory), ..fixture() };
    let other = Reservation::of(&memory, 299_000).unwrap();
    let body = fixture.body("SELECT * FROM m");
    assert!(body.contains("the memory of queries is used up"), "{body}");
    assert_eq!(memory.used(), 299_000, "what failed holds nothing");
    drop(other);
    assert!(!fixture.body("SELECT * FROM m").contains("error"));
    assert_eq!(memory.used(), 0);
}

#[test]
fn limit_lets_memory_go() {
    let fixture = Fixture { limits: Limits { rows_max: 3, ..LIMITS }, ..fixture() };
    assert!(!fixture.body("SELECT f FROM m LIMIT 3").contains("error"));
}

#[test]
fn groups_and_rows_that_are_gone_are_not_charged() {
    // Twenty groups of 200 windows each: one fits, all at once would not.
    let small = Fixture { limits: Limits { memory_bytes_max: 100_000, ..LIMITS }, ..fixture() };
    let windows = "SELECT mean(f) FROM m WHERE time < 200s GROUP BY time(1s), host";
    assert_eq!(small.body(windows).matches("\"name\":\"m\"").count(), 20);
    // Each of 300 series has 20 rows, of which LIMIT needs 20 in all.
    let lines: String =
        (0..6000).map(|i| format!("m,host=h{} f={i} {}\n", i % 300, i * 1_000_000_000_i64)).collect();
    let small = Fixture { limits: Limits { memory_bytes_max: 100_000, ..LIMITS }, ..Fixture::new(&lines) };
    for order in ["ASC", "DESC"] {
        let body = small.body(&format!("SELECT f FROM m ORDER BY time {order} LIMIT 20"));
        assert!(!body.contains("error"), "{body}");
    }
}

#[test]
fn cancelled_and_stopped_queries_end() {
    let fixture = fixture();
    let clock = model::SystemClock::new();
    let mut context = InfluxqlContext {
        catalog: &fixture.catalog,
        source: &fixture.points,
        org: org(),
        database: Some("d"),
        retention_policy: None,
        params: &[],
        now: model::Timestamp(fixture.now),
        clock: &clock,
        readable: None,
        writable: None,
        caller: super::Caller { name: "", is_admin: true, may_create: true },
        read_only: false,
        limits: LIMITS,
        memory: &MEMORY,
        cancelled: &|| true,
        effects: &super::Changes::default(),
        profiler: &crate::testing::Unwatched,
    };
    let cancelled = run_influxql("SELECT f FROM m", &context, &mut |_| Ok(()));
    assert!(matches!(cancelled, Err(Error::Cancelled)));
    context.cancelled = &|| false;
    let mut left = 2;
    let stopped = run_influxql("SELECT f FROM m GROUP BY host", &context, &mut |_| {
        left -= 1;
        if left == 0 { Err(Stopped) } else { Ok(()) }
    });
    assert!(matches!(stopped, Err(Error::Stopped)));
}
