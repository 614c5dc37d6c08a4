//! Texts of queries as they are logged.

use super::*;

#[test]
fn literals_of_flux_are_left_out() {
    let text = "// who\nfrom(bucket: \"secret\")\n  |> range(start: -1h, stop: 2020-01-01T00:00:00Z)\n  |> filter(fn: (r) => r[\"host\"] == \"a\\\"b\" and r._value > 3.5 and r.x =~ /pass.*word/)\n  |> limit(n: 10)";
    let expected = "from(bucket: ?) |> range(start: -?, stop: ?) |> filter(fn: (r) => r[\"host\"] == ? and r._value > ? and r.x =~ ?) |> limit(n: ?)";
    assert_eq!(normalised(text, Language::Flux), expected);
}

#[test]
fn literals_of_influxql_are_left_out() {
    let text = "SELECT mean(\"temp\") FROM weather2 -- all\n WHERE time > now() - 1h AND city = 'Oslo' AND x =~ /a\\/b/ GROUP BY time(10m)";
    let expected =
        "SELECT mean(\"temp\") FROM weather2 WHERE time > now() - ? AND city = ? AND x =~ ? GROUP BY time(?)";
    assert_eq!(normalised(text, Language::Influxql), expected);
    let secret = normalised("CREATE USER a WITH PASSWORD 'x y", Language::Influxql);
    assert_eq!(secret, "CREATE USER a WITH PASSWORD ?");
}

#[test]
fn a_text_is_cut() {
    let long = normalised(&"abc ".repeat(10_000), Language::Flux);
    assert!(long.chars().count() < 2 * TEXT_CHARS_MAX && long.ends_with('…'), "{}", long.len());
    assert!(normalised(&"a".repeat(100_000), Language::Flux).len() <= TEXT_CHARS_MAX + 3);
    assert_eq!(normalised("", Language::Flux), "");
    assert_eq!(normalised("\"", Language::Flux), "?");
}

#[test]
fn equal_queries_have_equal_hashes() {
    let hash = |text| fnv(normalised(text, Language::Influxql).as_bytes());
    assert_eq!(hash("SELECT a  FROM b WHERE c = 'x'"), hash("SELECT a FROM b WHERE c = 'other'"));
    assert_ne!(hash("SELECT a FROM b"), hash("SELECT a FROM d"));
    assert_eq!(fnv(b""), 0xcbf2_9ce4_8422_2325);
}
