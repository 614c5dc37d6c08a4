//! Windows of `GROUP BY time(every, offset)` in a time zone.
//!
//! Windows are aligned to the epoch, shifted by the offset and by the zone's offset from UTC, so that days begin
//! at local midnight; a window that a change of daylight saving falls into is longer or shorter.

use jiff::tz::TimeZone;
use model::Timestamp;

/// How time is cut; `every` 0 means one window for everything.
#[derive(Debug, Clone)]
pub(crate) struct Windows {
    pub(crate) every: i64,
    pub(crate) offset: i64,
    pub(crate) zone: Option<TimeZone>,
}

impl Windows {
    pub(crate) fn zone_offset(&self, t: i64) -> i64 {
        let Some(zone) = &self.zone else { return 0 };
        jiff::Timestamp::from_nanosecond(i128::from(t))
            .map_or(0, |t| i64::from(zone.to_offset(t).seconds()) * model::time::SECOND_NS)
    }

    /// The window of a time, half-open, within the range of times.
    pub(crate) fn of(&self, t: i64) -> (i64, i64) {
        debug_assert!(self.every > 0, "there are no windows");
        let shifted = t.saturating_sub(self.offset);
        let zone = self.zone_offset(shifted);
        let into = shifted.saturating_add(zone).rem_euclid(self.every);
        let start = shifted.saturating_sub(into).max(Timestamp::MIN.0).saturating_add(self.offset);
        let end = shifted.saturating_add(self.every - into).saturating_add(self.offset).min(Timestamp::MAX.0);
        (self.adjust(start, zone), self.adjust(end, zone))
    }

    /// About how many windows there are from the one that starts at `first` to the one that starts at `last`.
    pub(crate) fn count(&self, first: i64, last: i64) -> usize {
        let count = (i128::from(last) - i128::from(first)) / i128::from(self.every) + 1;
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// Moves a border by the difference between the zone's offset there and where it was computed.
    fn adjust(&self, border: i64, zone: i64) -> i64 {
        if self.zone.is_none() {
            return border;
        }
        let change = zone - self.zone_offset(border);
        if change != 0 && change.abs() < self.every { border.saturating_add(change) } else { border }
    }
}
