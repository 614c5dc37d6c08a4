use proptest::prelude::*;

use super::*;

fn range(start: i64, end: i64) -> TimeRange {
    TimeRange::new(Timestamp(start), Timestamp(end))
}

#[test]
fn times_are_printed_as_go_prints_them() {
    for (ns, want) in [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (1_500_000_000, "1970-01-01T00:00:01.5Z"),
        (951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
        (Timestamp::MIN.0, "1677-09-21T00:12:43.145224194Z"),
        (Timestamp::MAX.0, "2262-04-11T23:47:16.854775806Z"),
    ] {
        assert_eq!(Timestamp(ns).to_rfc3339(), want);
        assert_eq!(Timestamp::parse_rfc3339(want), Some(Timestamp(ns)));
    }
    assert_eq!(Timestamp::parse_rfc3339("1970-01-01T01:00:00+01:00"), Some(Timestamp(0)));
    for bad in ["", "1970-01-01", "1970-13-01T00:00:00Z", "3000-01-01T00:00:00Z", "now"] {
        assert_eq!(Timestamp::parse_rfc3339(bad), None, "{bad}");
    }
}

#[test]
fn ranges_are_half_open() {
    let r = range(10, 20);
    assert!(r.contains(Timestamp(10)) && r.contains(Timestamp(19)) && !r.contains(Timestamp(20)));
    assert!(range(5, 5).is_empty() && range(6, 5).is_empty());
    assert!(r.overlaps(&range(19, 30)) && !r.overlaps(&range(20, 30)) && !r.overlaps(&range(15, 15)));
    assert!(r.covers(&range(10, 20)) && r.covers(&range(50, 50)) && !r.covers(&range(9, 20)));
    assert!(TimeRange::ALL.contains(Timestamp::MIN) && TimeRange::ALL.contains(Timestamp::MAX));
}

#[test]
fn durations_are_printed_as_go_prints_them() {
    for (ns, want) in [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (1_500_000_000, "1.5s"),
        (60_000_000_000, "1m0s"),
        (90_000_000_001, "1m30.000000001s"),
        (HOUR_NS, "1h0m0s"),
        (7 * DAY_NS, "168h0m0s"),
        (-(HOUR_NS + 1_000_000), "-1h0m0.001s"),
        (i64::MAX, "2562047h47m16.854775807s"),
        (i64::MIN, "-2562047h47m16.854775808s"),
    ] {
        assert_eq!(format_go_duration(ns), want);
        assert_eq!(parse_go_duration(want), Some(ns), "{want}");
    }
    for (text, want) in
        [("1h30m", 5_400_000_000_000), ("+.5s", 500_000_000), ("1us2ns", 1_002), ("1.s", SECOND_NS)]
    {
        assert_eq!(parse_go_duration(text), Some(want), "{text}");
    }
    assert_eq!(parse_go_duration("0.0000000019s"), Some(1));
    for bad in ["", "-", "1", "1d", "s", ".s", "1h-5m", "1 h", "9223372036854775808ns", "99999999h", "3é"] {
        assert_eq!(parse_go_duration(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn every_time_is_what_the_calendar_library_says(ns: i64) {
        let text = Timestamp(ns).to_rfc3339();
        let theirs = jiff::Timestamp::from_nanosecond(i128::from(ns)).expect("in range");
        prop_assert_eq!(&text, &theirs.to_string());
        prop_assert_eq!(Timestamp::parse_rfc3339(&text), Some(Timestamp(ns)));
    }

    #[test]
    fn every_duration_is_read_back(ns: i64, shift in 0..64_u32) {
        let ns = ns >> shift;
        prop_assert_eq!(parse_go_duration(&format_go_duration(ns)), Some(ns));
    }

    #[test]
    fn no_duration_text_panics(text in "[-+0-9.hmsuµn]{0,30}|\\PC{0,10}") {
        let _read = parse_go_duration(&text);
    }

    #[test]
    fn ranges_agree_with_their_instants(a in -9..9_i64, b in -9..9_i64, c in -9..9_i64, d in -9..9_i64) {
        let (x, y) = (range(a, b), range(c, d));
        let instants = || (-10..10).map(Timestamp);
        prop_assert_eq!(x.overlaps(&y), instants().any(|t| x.contains(t) && y.contains(t)));
        prop_assert_eq!(x.covers(&y), instants().all(|t| !y.contains(t) || x.contains(t)));
        let both = x.intersect(&y);
        prop_assert!(instants().all(|t| both.contains(t) == (x.contains(t) && y.contains(t))));
    }
}
