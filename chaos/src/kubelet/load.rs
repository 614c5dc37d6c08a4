//! Clients that write at a steady rate and send each request that failed once more: what a rolling restart must not lose a
//! request of.

use std::sync::Mutex;
use std::time::Duration;

use super::scenario::Load;
use crate::clock::{now, pause};
use crate::history::Outcome;
use crate::oracle::Oracle;
use crate::workload::Workload;

/// How long a client waits for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// What became of the requests of all clients.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: Mutex<Counts>,
}

/// How many there were.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// Requests, each counted once however often it was sent.
    pub(crate) requests: usize,
    /// Of those, how many failed the first time.
    pub(crate) again: usize,
    /// And the second time too.
    pub(crate) errors: usize,
    /// The longest that a request took, with its second attempt.
    pub(crate) slowest: Duration,
    /// When each first failure and each error was, after the workload's start.
    pub(crate) failed_at: Vec<Duration>,
}

impl Tally {
    /// What there was until now.
    pub(crate) fn counts(&self) -> Counts {
        self.counts.lock().expect("no holder panics").clone()
    }

    /// Writes as one of the clients until the workload ends; `client` is its number, and that of its writer.
    pub(crate) fn write(&self, load: Load, workload: &Workload<'_>, client: usize, oracle: &Oracle) {
        let http = workload.client(ANSWER);
        #[expect(clippy::cast_precision_loss, reason = "a few clients")]
        let period = Duration::from_secs_f64(load.clients as f64 / f64::from(load.writes_per_second.max(1)));
        let mut next = now();
        while workload.goes_on() {
            pause(next.saturating_duration_since(now()));
            // Who is late does not hurry: that would be another load.
            next = (next + period).max(now());
            let numbers = oracle.fresh(client, 1);
            let began = workload.elapsed();
            let mut outcome = workload.send(&http, client, &numbers, 0);
            let first = outcome;
            if outcome != Outcome::Acknowledged {
                pause(Duration::from_millis(load.retry_after_ms));
                outcome = workload.send(&http, client, &numbers, 0);
            }
            let mut counts = self.counts.lock().expect("no holder panics");
            counts.requests += 1;
            counts.slowest = counts.slowest.max(workload.elapsed().saturating_sub(began));
            if first != Outcome::Acknowledged {
                counts.again += 1;
                counts.failed_at.push(began);
            }
            if outcome != Outcome::Acknowledged {
                counts.errors += 1;
            }
        }
    }
}
