//! Windows of time: where they begin and end, and which rows lie in which.
//!
//! Window i begins at `epoch + offset + every * i` on the location's clock and is `period` long, so weeks begin on
//! Thursdays (1970-01-01 was one) and months on their first day. Rows at a window's stop belong to the next.

use model::{Column, Values};

use crate::error::{FluxError, Result};
use crate::interpret::Context;
use crate::value::Duration;
use crate::value::calendar::{self, Location};

/// In how many windows one row may lie.
const WINDOWS_PER_ROW_MAX: i64 = 100_000;

/// Bytes that a window takes with its row of the result.
const WINDOW_BYTES: usize = size_of::<Window>() + 64;

/// Nanoseconds of a duration, with months of 30 days.
const fn approximate(duration: Duration) -> i64 {
    duration.months.saturating_mul(30 * model::time::DAY_NS).saturating_add(duration.nanos)
}

/// A sequence of windows.
#[derive(Debug, Clone)]
pub(crate) struct Windows {
    every: Duration,
    period: Duration,
    origin: i64,
    location: Location,
}

/// Which rows lie in a window.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    /// `from..to`
    Range(usize, usize),
    /// These.
    Indices(Vec<u32>),
}

/// A window with its rows.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub(crate) start: i64,
    pub(crate) stop: i64,
    pub(crate) rows: Rows,
}

impl Windows {
    pub(crate) fn new(
        every: Duration,
        period: Duration,
        offset: Duration,
        location: Location,
    ) -> Result<Self> {
        if every.is_zero() {
            return Err(FluxError::invalid("duration used as an interval cannot be zero"));
        }
        if every.months != 0 && every.nanos != 0 {
            return Err(FluxError::invalid(
                "duration used as an interval cannot mix month and nanosecond units",
            ));
        }
        if every.is_negative() || period.is_negative() {
            return Err(FluxError::invalid("duration used as an interval cannot be negative"));
        }
        let origin = calendar::add(0, offset).ok_or_else(|| FluxError::invalid("offset is out of range"))?;
        let period = if period.is_zero() { every } else { period };
        if approximate(period) / approximate(every).max(1) > WINDOWS_PER_ROW_MAX {
            return Err(FluxError::Limit {
                name: "flux-windows-per-row",
                limit: WINDOWS_PER_ROW_MAX.unsigned_abs(),
            });
        }
        Ok(Self { every, period, origin, location })
    }

    /// Whether there is but one window: `every: inf`.
    fn is_infinite(&self) -> bool {
        self.every == Duration::INFINITE
    }

    /// Their length and where one of them starts, when they are equally long, meet, and do not follow a calendar.
    pub(crate) fn regular(&self) -> Option<(i64, i64)> {
        let meets = self.every == self.period && self.every.months == 0 && !self.is_infinite();
        let shift = self.location.fixed_offset().filter(|_| meets)?;
        Some((self.every.nanos, self.origin.checked_sub(shift)?))
    }

    /// Start and stop of window `index`; saturates at the ends of time.
    fn bounds(&self, index: i64) -> (i64, i64) {
        let end = if index < 0 { i64::MIN } else { i64::MAX };
        let start = self.every.checked_mul(index).and_then(|d| calendar::add(self.origin, d)).unwrap_or(end);
        let stop = calendar::add(start, self.period).unwrap_or(i64::MAX);
        (self.location.instant_of(start), self.location.instant_of(stop))
    }

    /// The last window that begins at or before `time`.
    fn last_index(&self, time: i64) -> i64 {
        let local = self.location.to_local(time);
        let mut index = if self.every.months != 0 {
            let months = calendar::months_since_zero(local) - calendar::months_since_zero(self.origin);
            months.div_euclid(self.every.months)
        } else {
            local.saturating_sub(self.origin).div_euclid(self.every.nanos)
        };
        // The offset inside a month, and daylight saving, may put the guess off by one.
        while self.bounds(index).0 > time && index > i64::MIN / 4 {
            index -= 1;
        }
        while self.bounds(index.saturating_add(1)).0 <= time
            && self.bounds(index.saturating_add(1)).0 > self.bounds(index).0
        {
            index += 1;
        }
        index
    }

    /// The start of the window that `time` lies in.
    pub(crate) fn start_of(&self, time: i64) -> i64 {
        self.bounds(self.last_index(time)).0
    }

    /// The first window that still contains `time` (or the last one before it).
    fn first_index(&self, time: i64) -> i64 {
        let mut index = self.last_index(time);
        while self.bounds(index.saturating_sub(1)).1 > time
            && self.bounds(index.saturating_sub(1)).1 < self.bounds(index).1
        {
            index -= 1;
        }
        index
    }

    /// The windows of `times`, cut to `range`, ascending. Without `empty` only those with rows.
    pub(crate) fn split(
        &self,
        times: &Column,
        range: (i64, i64),
        empty: bool,
        context: &Context<'_>,
    ) -> Result<Vec<Window>> {
        let Values::Time(stamps) = &times.values else { return Ok(Vec::new()) };
        if self.is_infinite() {
            let rows = (0..stamps.len()).filter(|i| times.is_valid(*i)).map(super::row_index).collect();
            let rows = if times.valid.is_none() { Rows::Range(0, stamps.len()) } else { Rows::Indices(rows) };
            return Ok(vec![Window { start: range.0, stop: range.1, rows }]);
        }
        if range.0 >= range.1 {
            return Ok(Vec::new());
        }
        let sorted = times.valid.is_none() && stamps.is_sorted();
        if sorted {
            self.split_sorted(stamps, range, empty, context)
        } else {
            self.split_any(times, range, empty, context)
        }
    }

    fn split_sorted(
        &self,
        stamps: &[i64],
        range: (i64, i64),
        empty: bool,
        context: &Context<'_>,
    ) -> Result<Vec<Window>> {
        let mut out = Vec::new();
        let mut from = stamps.partition_point(|t| *t < range.0);
        let end = stamps.partition_point(|t| *t < range.1);
        let mut index = self.first_index(if empty || from == end { range.0 } else { stamps[from] });
        loop {
            let (start, stop) = self.bounds(index);
            if start >= range.1 || (!empty && from >= end) {
                return Ok(out);
            }
            // Rows before this window are in no later one: windows begin in ascending order.
            from += stamps[from..end].partition_point(|t| *t < start);
            let to = from + stamps[from..end].partition_point(|t| *t < stop);
            let (start, stop) = (start.max(range.0), stop.min(range.1));
            if to > from || (empty && start < stop) {
                context.count_rows(1)?;
                out.push(Window { start, stop, rows: Rows::Range(from, to) });
            }
            if out.len().is_multiple_of(4096) {
                context.check_cancelled()?;
                context.room(out.len() * WINDOW_BYTES)?;
            }
            let next = index.saturating_add(1);
            // Without empty windows, jump over those that hold nothing.
            index = if !empty && to == from && from < end {
                next.max(self.first_index(stamps[from]))
            } else {
                next
            };
            if self.bounds(index).0 == i64::MAX {
                return Ok(out);
            }
        }
    }

    fn split_any(
        &self,
        times: &Column,
        range: (i64, i64),
        empty: bool,
        context: &Context<'_>,
    ) -> Result<Vec<Window>> {
        let Values::Time(stamps) = &times.values else { return Ok(Vec::new()) };
        let mut order: Vec<u32> = (0..stamps.len())
            .filter(|i| times.is_valid(*i) && range.0 <= stamps[*i] && stamps[*i] < range.1)
            .map(super::row_index)
            .collect();
        order.sort_by_key(|i| stamps[*i as usize]);
        let sorted: Vec<i64> = order.iter().map(|i| stamps[*i as usize]).collect();
        let mut windows = self.split_sorted(&sorted, range, empty, context)?;
        for window in &mut windows {
            if let Rows::Range(from, to) = window.rows {
                let mut rows = order[from..to].to_vec();
                rows.sort_unstable();
                window.rows = Rows::Indices(rows);
            }
        }
        Ok(windows)
    }
}
