//! Points in time, half-open ranges of them, and the precisions in which clients state them.

pub mod duration;

#[cfg(test)]
mod tests;

pub use duration::{format_go_duration, parse_go_duration};

/// Nanoseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The earliest time a point may have (1677-09-21T00:12:43.145224194Z), as in InfluxDB.
    pub const MIN: Self = Self(i64::MIN + 2);
    /// The latest time a point may have (2262-04-11T23:47:16.854775806Z), as in InfluxDB.
    pub const MAX: Self = Self(i64::MAX - 1);

    /// RFC 3339 in UTC with as many fractional digits as needed (trailing zeros cut), as Go's RFC3339Nano.
    pub fn to_rfc3339(self) -> String {
        let mut out = String::with_capacity(30);
        self.write_rfc3339(&mut out);
        out
    }

    /// Appends what [`Timestamp::to_rfc3339`] returns.
    pub fn write_rfc3339(self, out: &mut String) {
        let in_day = self.0.rem_euclid(DAY_NS);
        let (year, month, day) = civil_from_days(self.0.div_euclid(DAY_NS));
        let (seconds, nanos) = (in_day / SECOND_NS, in_day % SECOND_NS);
        push_digits(out, year, 1000);
        for (mark, part) in
            [('-', month), ('-', day), ('T', seconds / 3600), (':', seconds / 60 % 60), (':', seconds % 60)]
        {
            out.push(mark);
            push_digits(out, part, 10);
        }
        if nanos != 0 {
            out.push('.');
            push_digits(out, nanos, SECOND_NS / 10);
            out.truncate(out.trim_end_matches('0').len());
        }
        out.push('Z');
    }

    /// Reads RFC 3339 with any offset; `None` when the text is not that or lies outside the range.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let parsed: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(parsed.as_nanosecond()).ok().map(Self)
    }
}

/// Nanoseconds in a second.
pub const SECOND_NS: i64 = 1_000_000_000;
/// Nanoseconds in an hour.
pub const HOUR_NS: i64 = 3600 * SECOND_NS;
/// Nanoseconds in a day of 24 hours.
pub const DAY_NS: i64 = 24 * HOUR_NS;

/// Appends the decimal digits of a number from that of `unit`, a power of ten, down.
fn push_digits(out: &mut String, number: i64, mut unit: i64) {
    while unit > 0 {
        let digit = u8::try_from(number / unit % 10).expect("a digit of a number that is not negative");
        out.push(char::from(b'0' + digit));
        unit /= 10;
    }
}

/// Year, month and day of a day number since 1970-01-01, proleptic Gregorian (Howard Hinnant's algorithm).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

/// A half-open range of time: `start <= t < end`. Empty when `start >= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First instant inside.
    pub start: Timestamp,
    /// First instant after.
    pub end: Timestamp,
}

impl TimeRange {
    /// Every time a point may have.
    pub const ALL: Self = Self { start: Timestamp(i64::MIN), end: Timestamp(i64::MAX) };

    /// `start <= t < end`.
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// Whether `t` lies inside.
    pub fn contains(&self, t: Timestamp) -> bool {
        self.start <= t && t < self.end
    }

    /// Whether no instant lies inside.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// Whether some instant lies in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end && !self.is_empty() && !other.is_empty()
    }

    /// The instants in both; may be empty.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }

    /// Whether every instant of `other` lies inside.
    pub fn covers(&self, other: &Self) -> bool {
        other.is_empty() || (self.start <= other.start && other.end <= self.end)
    }
}

/// The unit of a client's integer timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 1 ns
    Nanosecond,
    /// 1,000 ns
    Microsecond,
    /// 1,000,000 ns
    Millisecond,
    /// 1 s
    Second,
    /// 60 s (1.x only)
    Minute,
    /// 3,600 s (1.x only)
    Hour,
}

impl Precision {
    /// Nanoseconds in one unit.
    pub const fn nanos(self) -> i64 {
        match self {
            Self::Nanosecond => 1,
            Self::Microsecond => 1_000,
            Self::Millisecond => 1_000_000,
            Self::Second => SECOND_NS,
            Self::Minute => 60 * SECOND_NS,
            Self::Hour => HOUR_NS,
        }
    }
}
