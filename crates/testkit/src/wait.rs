//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// Calls `state` until it answers `Ok`, at most 60 seconds; returns what it answered. Panics with the last state
/// seen when the time is over.
#[expect(clippy::disallowed_methods, reason = "tests wait for real processes in real time")]
pub fn wait_for<T, S: std::fmt::Debug>(what: &str, mut state: impl FnMut() -> Result<T, S>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match state() {
            Ok(value) => return value,
            Err(last) if Instant::now() >= deadline => panic!("waited for {what}; last seen: {last:?}"),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
