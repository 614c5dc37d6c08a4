//! Values as Go writes them.

use super::*;

fn float(value: f64) -> String {
    let mut json = Json::new(false);
    json.float(value);
    String::from_utf8(json.out).unwrap()
}

#[test]
fn floats() {
    for (value, expected) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (0.1, "0.1"),
        (1e-6, "0.000001"),
        (1.5e-7, "1.5e-7"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (-1.25e300, "-1.25e+300"),
        (f64::NAN, "null"),
        (f64::INFINITY, "null"),
    ] {
        assert_eq!(float(value), expected);
    }
}

#[test]
fn strings() {
    let mut json = Json::new(false);
    json.string("a\"\\\n\t\u{1}<b>&\u{2028}µ");
    let text = String::from_utf8(json.out).unwrap();
    assert_eq!(text, r#""a\"\\\n\t\u0001\u003cb\u003e\u0026\u2028µ""#);
    let back: String = serde_json::from_str(&text).unwrap();
    assert_eq!(back, "a\"\\\n\t\u{1}<b>&\u{2028}µ");
}

#[test]
fn nesting() {
    let write = |pretty| {
        let mut json = Json::new(pretty);
        json.begin(b'{');
        json.key("a");
        json.begin(b'[');
        json.integer(-1);
        json.unsigned(2);
        json.end(b']');
        json.key("b");
        json.begin(b'[');
        json.end(b']');
        json.end(b'}');
        String::from_utf8(json.out).unwrap()
    };
    assert_eq!(write(false), r#"{"a":[-1,2],"b":[]}"#);
    assert_eq!(write(true), "{\n    \"a\": [\n        -1,\n        2\n    ],\n    \"b\": []\n}");
}

proptest::proptest! {
    #[test]
    fn strings_read_back_as_they_were(text in "([a-z <&>\"\\\\\u{2028}\u{2029}\u{2027}]|\\PC|[\0-\x1f]){0,40}") {
        let mut json = Json::new(false);
        json.string(&text);
        let written = String::from_utf8(json.out).unwrap();
        let escaped = ['<', '>', '&', '\u{2028}', '\u{2029}'];
        proptest::prop_assert!(!written.contains(escaped));
        proptest::prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }
}
