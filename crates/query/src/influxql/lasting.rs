//! Which answers last: computed again, they are the same as long as the catalog and the points that were read are. What
//! depends on the clock or on chance does not last.

use influxql::ast::{Select, Statement};
use jiff::tz::TimeZone;
use model::Timestamp;

use super::condition::{TimeContext, split_time};

/// What depends on the clock or on chance, as statements are printed. A text that only looks like it does no harm.
const PASSING: [&str; 2] = ["now(", "sample("];

/// Whether the answer of a statement lasts, once it has been given without an error.
pub(super) fn lasts(statement: &Statement) -> bool {
    let Statement::Select(select) = statement else { return false };
    if select.target.is_some() || !ends(select) {
        return false;
    }
    let printed = statement.to_string().to_ascii_lowercase();
    PASSING.iter().all(|passing| !printed.contains(passing))
}

/// Whether the time that is asked for has an end; without one it may be now.
fn ends(select: &Select) -> bool {
    let Some(condition) = &select.condition else { return false };
    let zone = match select.timezone.as_deref().map(TimeZone::get).transpose() {
        Ok(zone) => zone,
        Err(_) => return false,
    };
    split_time(condition, &TimeContext { now: Timestamp(0), zone }).is_ok_and(|(_, bounds)| bounds.has_max())
}
