//! When continuous queries are due, as InfluxDB's own tests of its service and its documentation say.

use model::time::{HOUR_NS, SECOND_NS};
use model::{TimeRange, Timestamp};

use super::{Due, Schedule};

const MINUTE_NS: i64 = 60 * SECOND_NS;

fn schedule(resample: &str, group: &str) -> Schedule {
    let text = format!(
        "CREATE CONTINUOUS QUERY q ON d {resample} BEGIN SELECT mean(f) INTO d.autogen.n FROM d.autogen.m GROUP BY {group} END"
    );
    Schedule::of(&text).unwrap().expect("it has windows")
}

/// What is due at a minute, and at which minute that counts from, after a run at another minute.
#[track_caller]
fn check(schedule: &Schedule, (last, now): (i64, i64), expected: Option<(i64, i64, i64)>) {
    let minute = |n: i64| Timestamp(n * MINUTE_NS);
    let expected = expected
        .map(|(start, end, at)| Due { range: TimeRange::new(minute(start), minute(end)), at: minute(at) });
    // A little after the minute, as real clocks are.
    assert_eq!(schedule.due(Timestamp(now * MINUTE_NS + SECOND_NS), minute(last)), expected);
}

#[test]
fn a_plain_query_runs_at_the_end_of_each_window_for_that_window() {
    let plain = schedule("", "time(10m)");
    check(&plain, (60, 69), None);
    check(&plain, (60, 70), Some((60, 70, 70)));
    check(&plain, (60, 75), Some((60, 70, 70)));
    check(&plain, (70, 75), None);
}

#[test]
fn what_was_missed_is_caught_up() {
    check(&schedule("", "time(10m)"), (60, 125), Some((60, 120, 120)));
    check(&schedule("RESAMPLE FOR 30m", "time(10m)"), (60, 125), Some((40, 120, 120)));
}

#[test]
fn what_was_missed_for_long_is_caught_up_bit_by_bit() {
    let back = schedule("RESAMPLE FOR 30m", "time(10m)");
    check(&back, (60, 100_000), Some((40, 10_070, 10_070)));
    check(&back, (10_070, 100_000), Some((10_050, 20_080, 20_080)));
}

#[test]
fn resample_every_runs_more_often_and_computes_the_open_window() {
    let often = schedule("RESAMPLE EVERY 5m", "time(10m)");
    check(&often, (60, 65), Some((60, 70, 65)));
    check(&often, (65, 70), Some((60, 70, 70)));
    check(&often, (65, 69), None);
}

#[test]
fn resample_every_longer_than_a_window_computes_all_windows_since() {
    let seldom = schedule("RESAMPLE EVERY 30m", "time(10m)");
    check(&seldom, (60, 89), None);
    check(&seldom, (60, 90), Some((60, 90, 90)));
    check(&seldom, (60, 95), Some((60, 90, 90)));
}

#[test]
fn resample_for_looks_back() {
    let back = schedule("RESAMPLE FOR 30m", "time(10m)");
    check(&back, (60, 70), Some((40, 70, 70)));
    check(&schedule("RESAMPLE EVERY 5m FOR 30m", "time(10m)"), (60, 65), Some((40, 70, 65)));
}

#[test]
fn windows_and_runs_are_shifted_by_the_offset() {
    let shifted = schedule("", "time(10m, 3m)");
    check(&shifted, (63, 72), None);
    check(&shifted, (63, 73), Some((63, 73, 73)));
    let begun = shifted.beginning(Timestamp(72 * MINUTE_NS));
    assert_eq!(begun, Timestamp(63 * MINUTE_NS));
}

#[test]
fn days_begin_at_local_midnight_also_where_the_clocks_change() {
    let text = "CREATE CONTINUOUS QUERY q ON d BEGIN SELECT mean(f) INTO d.autogen.n FROM d.autogen.m \
                GROUP BY time(1d) tz('Europe/Berlin') END";
    let days = Schedule::of(text).unwrap().unwrap();
    let time = |text: &str| influxql::timeliteral::parse(text, None).expect("a time");
    // Summer time begins on 2024-03-31: that day has 23 hours.
    let last = time("2024-03-30T23:00:00Z");
    assert_eq!(days.due(Timestamp(last.0 + 22 * HOUR_NS), last), None);
    let due = days.due(Timestamp(last.0 + 23 * HOUR_NS), last).expect("the day is over");
    let over = time("2024-03-31T22:00:00Z");
    assert_eq!(due, Due { range: TimeRange::new(last, over), at: over });
}

#[test]
fn what_is_run_names_its_windows_and_forgets_other_times() {
    let of = |condition: &str| {
        let text = format!(
            "CREATE CONTINUOUS QUERY q ON d BEGIN SELECT mean(f) INTO d.autogen.n FROM d.autogen.m {condition} GROUP BY time(1m), * fill(0) END"
        );
        let range = TimeRange::new(Timestamp(60), Timestamp(120));
        Schedule::of(&text).unwrap().unwrap().statement(range).unwrap()
    };
    assert_eq!(
        of(""),
        "SELECT mean(f) INTO d.autogen.n FROM d.autogen.m WHERE time >= 60 AND time < 120 GROUP BY time(1m), * fill(0)"
    );
    assert_eq!(
        of("WHERE time > now() - 1h AND (h = 'a' OR h = 'b')"),
        "SELECT mean(f) INTO d.autogen.n FROM d.autogen.m WHERE ((h = 'a' OR h = 'b')) AND time >= 60 AND time < 120 \
         GROUP BY time(1m), * fill(0)"
    );
}

#[test]
fn a_query_without_windows_never_runs() {
    let text = "CREATE CONTINUOUS QUERY q ON d BEGIN SELECT f INTO d.autogen.n FROM d.autogen.m END";
    assert!(Schedule::of(text).unwrap().is_none());
    assert!(Schedule::of("SELECT f FROM m").is_err());
}
