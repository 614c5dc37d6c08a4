//! `date_bin_gapfill`: windows of time as `date_bin` makes them, and rows for those in which there is nothing. Columns of
//! such rows are NULL, or what `locf` (the last value before) and `interpolate` (on the line between its neighbours) say.
//!
//! ```text
//!  Projection: interpolate(avg(u))            Projection: "interpolate(avg(u))"
//!    Aggregate: by host, date_bin_gapfill  ->   GapFill: all windows of the range; filled columns behind the others
//!                                                 Aggregate: by host, date_bin_gapfill (which computes as date_bin)
//! ```
//! The range is that of the conditions on the time: its end must be bounded; where its start is not, each group starts
//! with its first row.

pub(super) mod exec;
mod fill;
mod functions;
pub(super) mod node;
mod rule;

pub(super) use functions::all as functions;
pub(super) use rule::HandleGapFill;

/// The function in GROUP BY.
pub(super) const GAPFILL: &str = "date_bin_gapfill";
