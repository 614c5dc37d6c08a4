//! Real time: the nodes are real processes, and faults last for real seconds.

use std::time::{Duration, Instant, SystemTime};

/// Now.
#[expect(clippy::disallowed_methods, reason = "real processes run in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time of the calendar.
#[expect(clippy::disallowed_methods, reason = "clocks of real processes are compared with it")]
pub(crate) fn calendar() -> SystemTime {
    SystemTime::now()
}

/// Lets time pass.
#[expect(clippy::disallowed_methods, reason = "a fault is held, and a client paces itself, for a time")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Calls `state` until it answers `Ok`, at most for `limit`; then what it last answered.
pub(crate) fn wait_until<T, E>(limit: Duration, mut state: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let deadline = now() + limit;
    loop {
        match state() {
            Err(_) if now() < deadline => pause(Duration::from_millis(20)),
            last => return last,
        }
    }
}
