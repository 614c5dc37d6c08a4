//! Bodies made before the clock starts, sent by a fixed number of connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::peers::Running;
use crate::process;

/// 2016-01-01, where TSBS begins.
pub(crate) const START_NS: i64 = 1_451_606_400_000_000_000;

/// What sending cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// From the first request to the last answer.
    pub(crate) wall: Duration,
    /// CPU of the server meanwhile.
    pub(crate) cpu_seconds: f64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu_seconds += other.cpu_seconds;
    }
}

/// Sends all bodies. Every request must be acknowledged.
pub(crate) fn send(running: &Running, connections: usize, bodies: &[String]) -> Result<Cost, String> {
    let next = AtomicUsize::new(0);
    let before = running.cpu_seconds()?;
    let started = process::now();
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(|| {
                    let client = running.client();
                    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                        client.post(running.write_path(), body.as_str())?;
                    }
                    Ok::<_, String>(())
                })
            })
            .collect();
        senders
            .into_iter()
            .try_for_each(|sender| sender.join().map_err(|_panic| "a sender died".to_owned())?)
    })?;
    Ok(Cost { wall: started.elapsed(), cpu_seconds: running.cpu_seconds()? - before })
}
