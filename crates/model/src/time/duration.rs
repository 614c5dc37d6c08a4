//! Durations as Go writes and reads them: `168h0m0s`, `1.5s`, `0s`. InfluxDB shows shard group durations and
//! retention periods so.

use std::fmt::Write as _;

use super::{HOUR_NS, SECOND_NS};

const MINUTE_NS: u64 = 60 * SECOND_NS.unsigned_abs();

/// A duration in nanoseconds as Go's `time.Duration` prints it.
pub fn format_go_duration(ns: i64) -> String {
    let mut out = String::new();
    if ns < 0 {
        out.push('-');
    }
    let total = ns.unsigned_abs();
    match total {
        0 => out.push('0'),
        1..1_000 => return unit(out, total, 1, "ns"),
        1_000..1_000_000 => return unit(out, total, 1_000, "µs"),
        1_000_000..1_000_000_000 => return unit(out, total, 1_000_000, "ms"),
        _ => {
            let (hours, minutes) = (total / HOUR_NS.unsigned_abs(), total / MINUTE_NS % 60);
            if hours > 0 {
                write!(out, "{hours}h{minutes}m").expect("writing to a String cannot fail");
            } else if minutes > 0 {
                write!(out, "{minutes}m").expect("writing to a String cannot fail");
            }
            return unit(out, total % MINUTE_NS, SECOND_NS.unsigned_abs(), "s");
        }
    }
    out.push('s');
    out
}

/// Appends a number of units with as many decimals as it needs. `size` is a power of ten.
fn unit(mut out: String, ns: u64, size: u64, name: &str) -> String {
    write!(out, "{}", ns / size).expect("writing to a String cannot fail");
    let rest = ns % size;
    if rest > 0 {
        let width = size.ilog10() as usize;
        let digits = format!("{rest:0width$}");
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
    out.push_str(name);
    out
}

/// Nanoseconds of a text such as `1h30m`, `-1.5s`, `300ms`, as Go's `time.ParseDuration` reads it; `None` when it
/// is not that or out of range. Days and weeks are not Go's.
pub fn parse_go_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_i128;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        let size: i128 = match name {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(size)?)?;
        // Go keeps as many digits as fit; what is below a nanosecond is cut.
        let fraction = &fraction[..fraction.len().min(18)];
        if let Ok(digits) = fraction.parse::<i128>() {
            let places = u32::try_from(fraction.len()).ok()?;
            total += digits * size / 10_i128.pow(places);
        }
        if total > 1 << 63 {
            return None;
        }
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len()))
}
