//! Which segments of an index to merge.
//!
//! ```text
//!  ids ->   1,000,000 | 90,000 | 4,000 | 3,000 | 2,500       merged when those after it weigh a third of it
//!                               `---------------------'
//! ```
//! A segment stays while it is larger than all after it together by a factor, so there are few, and a series is
//! rewritten about as often as their number grows by that factor. One of which much is gone is rewritten alone.

/// Fewer segments than this are left alone.
const SEGMENTS_MIN: usize = 4;

/// A segment stays while it has more than this many times the series of all after it.
const FACTOR: u64 = 3;

/// The size of a segment, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) series: u64,
    /// Series that may be dropped.
    pub(crate) gone: u64,
}

/// The range of segments that should become one.
pub(crate) fn plan(sizes: &[Size]) -> Option<std::ops::Range<usize>> {
    if sizes.len() >= SEGMENTS_MIN {
        let mut later = 0_u64;
        let mut from = None;
        for (at, size) in sizes.iter().enumerate().rev() {
            if later > 0 && later.saturating_mul(FACTOR) >= size.series {
                from = Some(at);
            }
            later += size.series;
        }
        if let Some(from) = from {
            return Some(from..sizes.len());
        }
    }
    let wasteful = sizes.iter().position(|size| size.gone > 0 && size.gone * 2 >= size.series)?;
    Some(wasteful..wasteful + 1)
}
