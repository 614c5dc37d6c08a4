//! InfluxQL with bound parameters: any text with any values is answered. The first line makes the values `$a` to `$h`, the
//! rest is the statement.
#![no_main]

use influxql::{Param, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (value, statement) =
        text.split_once('\n').unwrap_or((text, "SELECT $a, -$b, $c, $d FROM $e WHERE x =~ $f"));
    let params = [
        Param::String(value.to_owned()),
        Param::Float(value.parse().unwrap_or(f64::MIN_POSITIVE)),
        Param::Integer(value.parse().unwrap_or(i64::MIN)),
        Param::Boolean(value.len() % 2 == 0),
        Param::Identifier(value.to_owned()),
        Param::Regex(value.to_owned()),
        Param::Duration(value.to_owned()),
        Param::Unusable(value.to_owned()),
    ];
    let params: Vec<_> = ('a'..).map(String::from).zip(params).collect();
    drop(influxql::redact(statement, &params));
    for statement in parse(statement, &params).unwrap_or_default() {
        // A value may be one that no literal writes, so only the print's print is the same.
        if let Ok(again) = parse(&statement.to_string(), &[]) {
            let printed: Vec<_> = again.iter().map(ToString::to_string).collect();
            assert_eq!(printed, [statement.to_string()]);
        }
    }
});
