//! The workload: bodies made before the clock starts, sent by a fixed number of connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use testkit::tsbs::CpuOnly;

/// The size of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    /// Series.
    pub(crate) hosts: usize,
    /// Rows in all.
    pub(crate) rows: usize,
    /// Rows in a request.
    pub(crate) batch: usize,
    /// Connections that send at the same time.
    pub(crate) connections: usize,
}

/// 2016-01-01, where TSBS begins.
const START_NS: i64 = 1_451_606_400_000_000_000;

impl Workload {
    /// The bodies of all requests.
    pub(crate) fn bodies(&self) -> Vec<String> {
        let mut generator = CpuOnly::new(self.hosts, START_NS, 42);
        (0..self.rows.div_ceil(self.batch))
            .map(|i| generator.body(self.batch.min(self.rows - i * self.batch)))
            .collect()
    }

    /// Values in all rows.
    pub(crate) fn values(&self) -> usize {
        self.rows * CpuOnly::FIELDS
    }
}

/// Sends all bodies and returns the wall time. Every request must answer 204.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn send(
    url: &str,
    token: Option<&str>,
    workload: &Workload,
    bodies: &[String],
) -> Result<Duration, String> {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..workload.connections)
            .map(|_| {
                scope.spawn(|| {
                    let agent: ureq::Agent =
                        ureq::Agent::config_builder().http_status_as_error(false).build().into();
                    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let mut request = agent.post(url).content_type("text/plain; charset=utf-8");
                        if let Some(token) = token {
                            request = request.header("authorization", format!("Token {token}"));
                        }
                        let mut response = request.send(body).map_err(|e| e.to_string())?;
                        if response.status() != 204 {
                            let text = response.body_mut().read_to_string().unwrap_or_default();
                            return Err(format!("{} {text}", response.status()));
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        senders
            .into_iter()
            .try_for_each(|sender| sender.join().map_err(|_panic| "a sender died".to_owned())?)
    })?;
    Ok(started.elapsed())
}
