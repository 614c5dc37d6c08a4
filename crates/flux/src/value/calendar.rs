//! Time zones, and durations added to times by the calendar.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::Duration;

/// Where a script's clock stands: the `location` option.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Location {
    zone: TimeZone,
    utc: bool,
    /// Added to local time after the zone's offset.
    offset_ns: i64,
}

impl Location {
    pub(crate) const fn utc() -> Self {
        Self { zone: TimeZone::UTC, utc: true, offset_ns: 0 }
    }

    /// The zone with an IANA name, and an offset on top; `None` when there is no such zone.
    pub(crate) fn named(name: &str, offset_ns: i64) -> Option<Self> {
        if name == "UTC" || name.is_empty() {
            return Some(Self { offset_ns, ..Self::utc() });
        }
        TimeZone::get(name).ok().map(|zone| Self { zone, utc: false, offset_ns })
    }

    /// What is added to UTC all year round; `None` in zones whose offset changes.
    pub(crate) const fn fixed_offset(&self) -> Option<i64> {
        if self.utc { Some(self.offset_ns) } else { None }
    }

    /// Nanoseconds on the local clock's face, as if it showed UTC.
    pub(crate) fn to_local(&self, utc: i64) -> i64 {
        if self.utc {
            return utc.saturating_add(self.offset_ns);
        }
        let stamp = jiff::Timestamp::from_nanosecond(i128::from(utc)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let seconds = i64::from(self.zone.to_offset(stamp).seconds());
        utc.saturating_add(seconds * model::time::SECOND_NS).saturating_add(self.offset_ns)
    }

    /// The instant at which the local clock shows `local`: the first of two, and for a time that daylight saving
    /// skips, the one that is as far after the gap's start.
    pub(crate) fn instant_of(&self, local: i64) -> i64 {
        let local = local.saturating_sub(self.offset_ns);
        if self.utc {
            return local;
        }
        civil(local)
            .and_then(|face| self.zone.to_ambiguous_timestamp(face).compatible().ok())
            .and_then(|t| i64::try_from(t.as_nanosecond()).ok())
            .unwrap_or(local)
    }
}

/// Date and time of nanoseconds since the epoch in UTC.
pub(crate) fn civil(nanos: i64) -> Option<DateTime> {
    let stamp = jiff::Timestamp::from_nanosecond(i128::from(nanos)).ok()?;
    Some(Offset::UTC.to_datetime(stamp))
}

/// Nanoseconds since the epoch of a date and time in UTC.
pub(crate) fn nanos(face: DateTime) -> Option<i64> {
    i64::try_from(Offset::UTC.to_timestamp(face).ok()?.as_nanosecond()).ok()
}

/// Months since year 0 of a time in UTC.
pub(crate) fn months_since_zero(time: i64) -> i64 {
    civil(time).map_or(0, |d| i64::from(d.year()) * 12 + i64::from(d.month()) - 1)
}

/// Adds a duration to a time in UTC: months first (the day is cut to the month's last), then nanoseconds.
/// `None` when the result does not fit.
pub(crate) fn add(time: i64, duration: Duration) -> Option<i64> {
    let moved = if duration.months == 0 { time } else { add_months(time, duration.months)? };
    moved.checked_add(duration.nanos)
}

fn add_months(time: i64, months: i64) -> Option<i64> {
    nanos(civil(time)?.checked_add(jiff::Span::new().try_months(months).ok()?).ok()?)
}

/// A time minus a duration.
pub(crate) fn subtract(time: i64, duration: Duration) -> Option<i64> {
    add(time, duration.checked_mul(-1)?)
}
