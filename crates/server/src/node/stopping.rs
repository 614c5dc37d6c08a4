//! How a node ends: what is in memory goes to files, as far as that goes quickly.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::Node;

/// How long after the signal to stop a flush may still begin.
const FLUSH_AT_STOP_MAX: Duration = Duration::from_secs(5);
/// Flushes at once when the node stops; they wait for the disk, not for processors.
const FLUSHES_AT_STOP: usize = 8;

impl Node {
    /// Flushes all engines, some at once, as far as that goes quickly: what is left is in the log.
    async fn flush_all(&self) {
        let until = self.clock.monotonic().saturating_add(FLUSH_AT_STOP_MAX);
        let engines = Arc::new(Mutex::new(self.partitions.engines()));
        let mut workers = Vec::with_capacity(FLUSHES_AT_STOP);
        for _ in 0..FLUSHES_AT_STOP {
            let (engines, clock) = (Arc::clone(&engines), Arc::clone(&self.clock));
            workers.push(host::offload(move || {
                loop {
                    let next = engines.lock().pop();
                    let Some((partition, engine)) = next else { return };
                    if clock.monotonic() >= until {
                        tracing::info!(%partition, "not flushed for want of time; the log holds its points");
                    } else if let Err(error) = engine.flush_now() {
                        tracing::warn!(%partition, %error, "not flushed; the log holds its points");
                    }
                }
            }));
        }
        for worker in workers {
            if let Err(error) = worker.await {
                tracing::warn!(%error, "a flush panicked; the log holds its points");
            }
        }
    }

    /// Stops in order, after an orderly end or not. After an orderly end the memtables go to files, so that the next start has nothing to replay.
    pub(crate) async fn stop(mut self, orderly: bool) {
        self.tasks.shutdown().await;
        if orderly {
            self.flush_all().await;
        }
        self.cluster.shutdown().await;
        self.partitions.close();
    }
}
