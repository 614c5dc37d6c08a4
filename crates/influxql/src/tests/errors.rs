//! Error messages with their positions, byte for byte as InfluxDB's.

use crate::parse;

/// Where we say something else, and why.
const DIFFERENT: &[(&str, &str, &str)] = &[
    ("SHOW MEASUREMENTS ON", "found EOF, expected identifier or * at line 1, char 22", "1.11 knows ON *.*"),
    ("SHOW TAG KEYS WITH", "found EOF, expected KEY at line 1, char 20", "1.11 knows WITH KEY"),
    ("SHOW TAG KEYS WITH KEY", "found EOF, expected IN, =, =~ at line 1, char 24", "1.11 knows WITH KEY"),
    ("SHOW TAG KEYS WITH KEY <", "found <, expected IN, =, =~ at line 1, char 24", "1.11 knows WITH KEY"),
];

#[test]
fn errors_are_those_of_influxdb_byte_for_byte() {
    let mut lines = include_str!("errors.txt").lines().filter(|line| !line.starts_with('#'));
    let (mut seen, mut wrong) = (0, String::new());
    while let (Some(text), Some(message)) = (lines.next(), lines.next()) {
        let theirs = message.strip_prefix("    ").expect("a message stands four blanks in");
        let expected =
            DIFFERENT.iter().find(|(different, ..)| *different == text).map_or(theirs, |(_, ours, _)| ours);
        let ours = parse(&text.replace('⏎', "\n"), &[])
            .map_or_else(|error| error.to_string(), |statements| format!("{statements:?}"))
            .replace('\n', "⏎");
        seen += 1;
        if ours != expected {
            wrong.push_str(&format!("{text}\n  theirs {expected}\n  ours   {ours}\n"));
        }
    }
    assert!(seen > 300 && wrong.is_empty(), "{seen} statements\n{wrong}");
}
