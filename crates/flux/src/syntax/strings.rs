//! From the spelling of literals to their values: strings, regular expressions, durations, times.

use super::lexer::UNITS;
use crate::value::Duration;

/// Resolves the escapes of a string's inside. The error says what is wrong.
pub(crate) fn unescape(text: &str) -> Result<String, String> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'\\') => out.push(b'\\'),
            Some(b'"') => out.push(b'"'),
            Some(b'$') if bytes.peek() == Some(&b'{') => out.push(b'$'),
            Some(b'x') => out.push(hex_pair(&mut bytes).ok_or_else(|| "invalid byte value".to_owned())?),
            Some(other) => return Err(format!("invalid escape character {}", char::from(other))),
            None => return Err("invalid escape sequence".to_owned()),
        }
    }
    String::from_utf8(out).map_err(|e| format!("invalid string literal: {}", e.utf8_error()))
}

fn hex_pair(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let mut digit = || char::from(bytes.next()?).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit()? * 16 + digit()?)
}

/// The pattern of a regular expression literal without its slashes.
pub(crate) fn regex_pattern(inside: &str) -> String {
    inside.replace("\\/", "/")
}

/// The value of a duration literal; `None` when it does not fit.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let magnitude: i64 = rest.get(..digits)?.parse().ok()?;
        let tail = rest.get(digits..)?;
        let unit = UNITS.iter().find(|u| tail.starts_with(**u))?;
        total = total.checked_add(unit_value(unit, magnitude)?)?;
        rest = tail.get(unit.len()..)?;
    }
    Some(total)
}

fn unit_value(unit: &str, magnitude: i64) -> Option<Duration> {
    let nanos = |unit: i64| magnitude.checked_mul(unit).map(|nanos| Duration { months: 0, nanos });
    match unit {
        "y" => magnitude.checked_mul(12).map(|months| Duration { months, nanos: 0 }),
        "mo" => Some(Duration { months: magnitude, nanos: 0 }),
        "w" => nanos(7 * model::time::DAY_NS),
        "d" => nanos(model::time::DAY_NS),
        "h" => nanos(model::time::HOUR_NS),
        "m" => nanos(60 * model::time::SECOND_NS),
        "s" => nanos(model::time::SECOND_NS),
        "ms" => nanos(1_000_000),
        "ns" => nanos(1),
        _ => nanos(1_000),
    }
}

/// The value of a date or date-time literal. Without an offset it is UTC, as Flux v0.200 reads it.
pub(crate) fn time(text: &str) -> Option<i64> {
    let full = if text.len() == 10 {
        format!("{text}T00:00:00Z")
    } else if text.ends_with('Z') || text.get(19..).is_some_and(|tail| tail.contains(['+', '-'])) {
        text.to_owned()
    } else {
        format!("{text}Z")
    };
    model::Timestamp::parse_rfc3339(&full).map(|t| t.0)
}
