//! Units, addresses, suggestions.

use std::time::Duration;

use crate::config::address::{BindAddress, Peer};
use crate::config::{suggest, units};

#[test]
fn sizes_have_units() {
    for (text, bytes) in [
        ("0", 0),
        ("1073741824", 1 << 30),
        ("64MiB", 64 << 20),
        ("64 mib", 64 << 20),
        ("25m", 25 << 20),
        ("1K", 1024),
        ("1kb", 1000),
        ("1.5GiB", 3 << 29),
        ("0.5K", 512),
        ("2TB", 2_000_000_000_000),
        ("7B", 7),
    ] {
        assert_eq!(units::size(text), Ok(bytes), "{text}");
    }
    for text in [
        "",
        "MiB",
        "-1",
        "1.5",
        "1e3",
        "1.MiB",
        ".5MiB",
        "1..5K",
        "64Mb s",
        "18446744073709551616",
        "99999999999T",
    ] {
        assert!(units::size(text).is_err(), "{text}");
    }
    assert!(units::memory("0").is_err());
}

#[test]
fn durations_have_units() {
    for (text, nanos) in [
        ("0", 0),
        ("0s", 0),
        ("1ns", 1),
        ("1us", 1_000),
        ("1µs", 1_000),
        ("1ms", 1_000_000),
        ("1.5s", 1_500_000_000),
        ("1h0m0s", 3_600_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("7d", 604_800_000_000_000),
        ("1w", 604_800_000_000_000),
        ("2562047h", 9_223_369_200_000_000_000),
    ] {
        assert_eq!(units::duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
    }
    for text in ["", "5", "s", "1", "1x", "1h30", "-1s", "1.5ns", "1 s", "99999999w"] {
        assert!(units::duration(text).is_err(), "{text}");
    }
    assert!(units::positive_duration("0s").is_err());
}

#[test]
fn switches_ratios_and_counts() {
    assert_eq!(["true", "TRUE", "1", "on"].map(units::switch), [Ok(true); 4]);
    assert_eq!(["false", "0", "no", "off"].map(units::switch), [Ok(false); 4]);
    assert!(units::switch("").is_err() && units::switch("2").is_err());
    assert_eq!(units::ratio("0.5"), Ok(0.5));
    assert!(["-0.1", "1.1", "NaN", "", "x"].iter().all(|t| units::ratio(t).is_err()));
    assert_eq!(units::count("3"), Ok(3));
    assert!(["0", "-1", "1.0", ""].iter().all(|t| units::count(t).is_err()));
}

#[test]
fn addresses_are_read_and_printed() {
    for (text, host, port) in [
        ("127.0.0.1:8086", "127.0.0.1", 8086),
        ("[::1]:0", "::1", 0),
        (":8086", "", 8086),
        ("db.example:1", "db.example", 1),
    ] {
        let address = BindAddress::parse(text).unwrap();
        assert_eq!((address.host(), address.port(), address.to_string().as_str()), (host, port, text));
    }
    for text in
        ["", "8086", "host", "host:", "host:65536", "::1:80", "[::1", "[x]:1", "http://h:1", "u@h:1", "a b:1"]
    {
        assert!(BindAddress::parse(text).is_err(), "{text}");
    }
    let peers = Peer::parse_list(" a:1, [::1]:2 ").unwrap();
    assert_eq!(peers.iter().map(Peer::to_string).collect::<Vec<_>>(), ["a:1", "[::1]:2"]);
    assert!(
        Peer::parse_list("a").is_err() && Peer::parse_list(":1").is_err() && Peer::parse_list("a:0").is_err()
    );
}

#[test]
fn suggestions_are_near() {
    let names = || ["http-bind-address", "zone", "log-level"].into_iter();
    assert_eq!(suggest::nearest("HTTP_BIND_ADDRESS", names()), Some("http-bind-address"));
    assert_eq!(suggest::nearest("loglevel", names()), Some("log-level"));
    assert_eq!(suggest::nearest("zome", names()), Some("zone"));
    assert_eq!(suggest::nearest("something-else", names()), None);
    assert_eq!(suggest::nearest("", names()), None);
}
