//! The times of a table, series by series.
//!
//! ```text
//! series: | start - start of the series before | if rows > 1: pattern |
//! pattern: 0 = the step of the series before; 1 | step; 2 | as integers (`ints`), relative to the start
//! ```
//! Batches hold the same few times for many series, so most series cost two bytes.

use super::{DecodeError, SeriesRows, Table, ints, take};
use crate::varint;

const SAME_STEP: u8 = 0;
const STEP: u8 = 1;
const IRREGULAR: u8 = 2;

/// Appends the times.
pub(super) fn encode(table: &Table, out: &mut Vec<u8>) {
    let (mut start, mut step) = (0_i64, 0_i64);
    for (_, range) in table.series_ranges() {
        let times = &table.times[range];
        let Some((&first, rest)) = times.split_first() else { continue };
        varint::put(out, varint::zigzag(first.wrapping_sub(start)));
        start = first;
        let Some(second) = rest.first() else { continue };
        let own_step = second.wrapping_sub(first);
        if times.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == own_step) {
            if own_step == step {
                out.push(SAME_STEP);
            } else {
                out.push(STEP);
                varint::put(out, varint::zigzag(own_step));
            }
            step = own_step;
        } else {
            out.push(IRREGULAR);
            let relative: Vec<i64> = rest.iter().map(|t| t.wrapping_sub(first)).collect();
            ints::encode(&relative, out);
        }
    }
}

/// Reads `rows` times, the sum of the series' rows, which the caller has bounded.
pub(super) fn decode(input: &mut &[u8], series: &[SeriesRows], rows: usize) -> Result<Vec<i64>, DecodeError> {
    let mut times = Vec::with_capacity(rows);
    let (mut start, mut step) = (0_i64, 0_i64);
    for series in series.iter().filter(|s| s.rows > 0) {
        start = start.wrapping_add(varint::unzigzag(take(input)?));
        times.push(start);
        let more = series.rows as usize - 1;
        if more == 0 {
            continue;
        }
        let (&pattern, rest) = input.split_first().ok_or(DecodeError("cut in times"))?;
        *input = rest;
        match pattern {
            SAME_STEP => {}
            STEP => step = varint::unzigzag(take(input)?),
            IRREGULAR => {
                let relative = ints::decode(input, more)?;
                times.extend(relative.iter().map(|t| start.wrapping_add(*t)));
                continue;
            }
            _ => return Err(DecodeError("unknown pattern of times")),
        }
        let mut time = start;
        times.extend((0..more).map(|_| {
            time = time.wrapping_add(step);
            time
        }));
    }
    Ok(times)
}
