//! Values in texts: sizes and durations with units, switches, ratios, counts.

use std::time::Duration;

use super::error::Expected;

const SIZE: Expected = Expected("a size such as 512KiB, 64MiB or 1GiB (or a number of bytes)");
const DURATION: Expected = Expected("a duration such as 500ms, 30s, 10m, 1h30m or 7d");
const SWITCH: Expected = Expected("true or false");
const RATIO: Expected = Expected("a number from 0 to 1");

/// Bytes of a size: a number with KiB, MiB, GiB, TiB (powers of 1024; also K, M, G, T), KB, MB, GB, TB (powers of
/// 1000), B or nothing.
pub(super) fn size(text: &str) -> Result<u64, Expected> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split).ok_or(SIZE)?;
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(SIZE),
    };
    let bytes = scaled(number, u128::from(factor)).ok_or(SIZE)?;
    u64::try_from(bytes).map_err(|_too_large| SIZE)
}

/// [`size`] of what lives in memory, at least one byte.
pub(super) fn memory(text: &str) -> Result<usize, Expected> {
    usize::try_from(size(text)?).ok().filter(|bytes| *bytes > 0).ok_or(SIZE)
}

/// What `read` makes of a text, nothing of an empty one.
pub(super) fn optional<T>(
    text: &str,
    read: impl FnOnce(&str) -> Result<T, Expected>,
) -> Result<Option<T>, Expected> {
    if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

/// A duration: numbers with units ns, us (µs), ms, s, m, h, d, w, one after another; or 0.
pub(super) fn duration(text: &str) -> Result<Duration, Expected> {
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut nanos: u128 = 0;
    if rest.is_empty() {
        return Err(DURATION);
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or(DURATION)?;
        let (number, after) = rest.split_at_checked(number_end).ok_or(DURATION)?;
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(unit_end).ok_or(DURATION)?;
        let factor: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60 * 1_000_000_000,
            "h" => 3_600 * 1_000_000_000,
            "d" => 86_400 * 1_000_000_000,
            "w" => 604_800 * 1_000_000_000,
            _ => return Err(DURATION),
        };
        nanos = nanos.checked_add(scaled(number, factor).ok_or(DURATION)?).ok_or(DURATION)?;
        rest = next;
    }
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_too_long| DURATION)
}

/// A [`duration`] that is not zero.
pub(super) fn positive_duration(text: &str) -> Result<Duration, Expected> {
    duration(text).ok().filter(|d| !d.is_zero()).ok_or(Expected("a duration above 0, such as 30s or 10m"))
}

/// `number * factor`, exactly; `None` when it is no number, not whole, or too large.
fn scaled(number: &str, factor: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || (fraction.is_empty() && number.contains('.')) {
        return None;
    }
    let value = whole.parse::<u128>().ok()?.checked_mul(factor)?;
    if fraction.is_empty() {
        return Some(value);
    }
    let denominator = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let numerator = fraction.parse::<u128>().ok()?.checked_mul(factor)?;
    (numerator % denominator == 0).then(|| value.checked_add(numerator / denominator)).flatten()
}

/// A switch: true or false, as Go's and TOML's words.
pub(super) fn switch(text: &str) -> Result<bool, Expected> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "1" | "yes" | "on" => Ok(true),
        "false" | "f" | "0" | "no" | "off" => Ok(false),
        _ => Err(SWITCH),
    }
}

/// A ratio.
pub(super) fn ratio(text: &str) -> Result<f64, Expected> {
    text.trim().parse::<f64>().ok().filter(|r| (0.0..=1.0).contains(r)).ok_or(RATIO)
}

/// A count of at least one.
pub(super) fn count(text: &str) -> Result<usize, Expected> {
    text.trim().parse().ok().filter(|n| *n > 0).ok_or(Expected("a whole number above 0"))
}
