//! Strings that stand for times: `2015-01-01`, `2015-01-01 00:00:00.5`, RFC 3339.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use model::Timestamp;

/// Whether a string looks like a date or a date with a time, so that comparing `time` with it is meant as such.
pub fn looks_like_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10
        && bytes[..10].iter().enumerate().all(|(i, b)| match i {
            4 | 7 => *b == b'-',
            _ => b.is_ascii_digit(),
        })
}

/// Reads a time; one without an offset is local to `zone`. `None` when the text is not a time in range.
pub fn parse(text: &str, zone: Option<&TimeZone>) -> Option<Timestamp> {
    if !looks_like_time(text) {
        return None;
    }
    if let Some(time) =
        Timestamp::parse_rfc3339(text).filter(|_| text.contains(['Z', 'z']) || has_offset(text))
    {
        return Some(time);
    }
    let local: DateTime = if text.len() == 10 {
        text.parse::<Date>().ok()?.to_datetime(jiff::civil::Time::midnight())
    } else {
        text.parse().ok()?
    };
    let utc = TimeZone::UTC;
    let instant = zone.unwrap_or(&utc).to_timestamp(local).ok()?;
    i64::try_from(instant.as_nanosecond()).ok().map(Timestamp)
}

/// The time that a text stands for and `overflow` or `underflow`, when it is one beyond what time can be.
pub fn out_of_range(text: &str) -> Option<(String, &'static str)> {
    let local: DateTime = match text.len() {
        10 => text.parse::<Date>().ok()?.to_datetime(jiff::civil::Time::midnight()),
        _ => text.trim_end_matches(['Z', 'z']).parse().ok()?,
    };
    let side = match local.year() {
        ..1678 => "underflow",
        2262.. => "overflow",
        _ => return None,
    };
    Some((local.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), side))
}

fn has_offset(text: &str) -> bool {
    text.get(10..).is_some_and(|rest| rest.contains(['+', '-']))
}
