//! Keeps what the allocator holds back within bounds.
//!
//! Accounts count what is used. What was freed and not yet given back to the system comes on top, and under heavy load
//! is hundreds of megabytes. While the process is larger than what it divides, freed memory is given back at once; that
//! costs system calls, so it ends when the process is smaller again.

use std::path::Path;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::machine;

/// Tells the allocator to give back freed memory at once (true) or when it sees fit.
pub type BeFrugal = fn(bool);

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Watches a process that divides so many bytes.
pub(crate) async fn watch(divided: usize, be_frugal: BeFrugal, read: fn(&Path) -> Option<String>) {
    let mut timer = interval(LOOK_EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_frugal = false;
    loop {
        timer.tick().await;
        let Some(held) = machine::held(read) else { return };
        let next = should_be_frugal(is_frugal, held, divided as u64);
        if next != is_frugal {
            is_frugal = next;
            tracing::debug!(held, divided, is_frugal, "how soon freed memory is given back");
            be_frugal(is_frugal);
        }
    }
}

/// Begins beyond what is divided, and ends below seven eighths of it.
fn should_be_frugal(is_frugal: bool, held: u64, divided: u64) -> bool {
    held > if is_frugal { divided - divided / 8 } else { divided }
}

#[cfg(test)]
mod tests {
    use super::should_be_frugal;

    #[test]
    fn it_ends_lower_than_it_begins() {
        assert!(!should_be_frugal(false, 1000, 1000));
        assert!(should_be_frugal(false, 1001, 1000));
        assert!(should_be_frugal(true, 876, 1000));
        assert!(!should_be_frugal(true, 875, 1000));
    }
}
