//! Duration literals: `1h30m`, `10u`, `2w`. Nanoseconds inside.

const US: i64 = 1_000;
const MS: i64 = 1_000 * US;
const S: i64 = 1_000 * MS;
const M: i64 = 60 * S;
const H: i64 = 60 * M;
const D: i64 = 24 * H;
const W: i64 = 7 * D;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not numbers with units.
    #[error("invalid duration")]
    Invalid,
    /// Longer than 292 years.
    #[error("overflowed duration {0}: choose a smaller duration or INF")]
    Overflow(String),
}

/// Reads a duration, nanoseconds.
pub fn parse(text: &str) -> Result<i64, DurationError> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() {
        return Err(DurationError::Invalid);
    }
    let mut total = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(DurationError::Invalid)?;
        let (number, tail) = rest.split_at(digits);
        let number: i64 = number.parse().map_err(|_digits| DurationError::Invalid)?;
        let units =
            [("ns", 1), ("ms", MS), ("u", US), ("µ", US), ("m", M), ("s", S), ("h", H), ("d", D), ("w", W)];
        let (unit, nanos) =
            units.into_iter().find(|(unit, _)| tail.starts_with(unit)).ok_or(DurationError::Invalid)?;
        total = number
            .checked_mul(nanos)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| DurationError::Overflow(format!("{number}{unit}")))?;
        rest = &tail[unit.len()..];
    }
    Ok(if negative { -total } else { total })
}

/// Writes a duration in the largest unit that divides it.
pub fn format(nanos: i64) -> String {
    let units = [(W, "w"), (D, "d"), (H, "h"), (M, "m"), (S, "s"), (MS, "ms"), (US, "u")];
    if nanos == 0 {
        return "0s".to_owned();
    }
    match units.into_iter().find(|(unit, _)| nanos % unit == 0) {
        Some((unit, name)) => format!("{}{name}", nanos / unit),
        None => format!("{nanos}ns"),
    }
}

/// Writes a duration as Go does: `168h0m0s`, `1m30s`, `1.5s`, `0s`.
pub fn format_go(nanos: i64) -> String {
    if nanos == 0 {
        return "0s".to_owned();
    }
    let sign = if nanos < 0 { "-" } else { "" };
    let whole = nanos.unsigned_abs();
    let decimal = |value: u64, scale: u64, unit: &str| {
        let digits = scale.ilog10() as usize;
        let mut text = (value / scale).to_string();
        if !value.is_multiple_of(scale) {
            let fraction = format!("{:0digits$}", value % scale);
            text.push('.');
            text.push_str(fraction.trim_end_matches('0'));
        }
        text + unit
    };
    let text = match whole {
        0..1_000 => format!("{whole}ns"),
        1_000..1_000_000 => decimal(whole, 1_000, "µs"),
        1_000_000..1_000_000_000 => decimal(whole, 1_000_000, "ms"),
        _ => {
            let seconds = decimal(whole % 60_000_000_000, 1_000_000_000, "s");
            let minutes = whole / 60_000_000_000;
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, m) => format!("{m}m{seconds}"),
                (h, m) => format!("{h}h{m}m{seconds}"),
            }
        }
    };
    format!("{sign}{text}")
}
