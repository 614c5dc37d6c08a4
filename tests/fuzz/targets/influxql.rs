//! InfluxQL: any text is answered; what parses prints, and the print is the same statement again.
#![no_main]

use influxql::{ParseError, Statement, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    drop(influxql::redact(text, &[]));
    let _time = influxql::timeliteral::parse(text, None);
    let _range = influxql::timeliteral::out_of_range(text);
    if let Ok(nanos) = influxql::duration::parse(text) {
        assert_eq!(influxql::duration::parse(&influxql::duration::format(nanos)), Ok(nanos), "{text:?}");
    }
    match parse(text, &[]) {
        Ok(statements) => {
            // A password is printed as [REDACTED], which is no string.
            for statement in statements.iter().filter(|s| !s.to_string().contains("PASSWORD [REDACTED]")) {
                same_again(statement);
            }
        }
        Err(ParseError::Unexpected { position, .. } | ParseError::At { position, .. }) => {
            // The end of the text counts as up to two characters.
            let lines = text.replace("\r\n", "\n").replace('\r', "\n");
            let line = lines.split('\n').nth(position.line).expect("a line of the text");
            assert!(position.character <= line.chars().count() + 2, "{text:?}: {position}");
        }
        Err(_) => {}
    }
});

fn same_again(statement: &Statement) {
    if matches!(statement, Statement::SetPassword { .. } | Statement::CreateUser { .. }) {
        return;
    }
    let printed = statement.to_string();
    let again = parse(&printed, &[]).unwrap_or_else(|error| panic!("{printed}: {error}"));
    assert_eq!(again.len(), 1, "{printed}");
    assert_eq!(&again[0], statement, "{printed}");
    assert_eq!(again[0].to_string(), printed);
}
