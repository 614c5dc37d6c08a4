//! How a node makes ready to stop, so that nobody notices: it says that it is not ready, waits until whoever sends it clients
//! has heard that, and gives its leads away; only then are connections closed and memtables written.
//!
//! SIGTERM and SIGINT begin it, and the process ends after it. SIGUSR1 begins it too, and then the process waits for one of
//! those: so a hook that runs before the signal to stop (`tidemark pre-stop`) and the signal do the same thing, once. A second
//! SIGTERM or SIGINT waits for nothing.

use std::sync::Arc;
use std::time::Duration;

use cluster::Cluster;
use gateway::{Leaving, Vitals};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::ServeError;

/// How long others may take to take this node's leads over.
const HAND_OVER_MAX: Duration = Duration::from_secs(10);

/// The signals that tell the process to stop.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    leave: Signal,
    vitals: Vitals,
    /// Whether it is to make ready to stop.
    is_leaving: bool,
}

/// What a signal asks for.
#[derive(PartialEq, Eq)]
enum Asked {
    Leave,
    Stop,
}

impl Signals {
    pub(super) fn listen(vitals: Vitals) -> Result<Self, ServeError> {
        let listen = |kind| signal(kind).map_err(ServeError::Runtime);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            leave: listen(SignalKind::user_defined1())?,
            vitals,
            is_leaving: false,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = self.interrupt.recv() => tracing::info!("SIGINT: stopping"),
            _ = self.leave.recv() => {
                tracing::info!("SIGUSR1: making ready to stop");
                return Asked::Leave;
            }
        }
        Asked::Stop
    }

    /// Returns when the process is to stop, which serves nobody yet and so is always ready to.
    pub(super) async fn stop(&mut self) {
        while self.next().await == Asked::Leave {
            self.is_leaving = true;
            self.vitals.leave(Leaving::Gone);
        }
    }

    /// Returns when the process is to stop at once: it was asked to once more.
    pub(super) async fn stop_at_once(&mut self) {
        while self.next().await == Asked::Leave {}
        tracing::warn!("asked to stop again: not waiting any longer");
    }

    /// Returns when the process is to stop and has made ready to, which begins when it is asked for. Answers whether it may
    /// wait for what is in progress.
    pub(super) async fn stop_after(&mut self, leaving: impl Future<Output = ()>) -> bool {
        tokio::pin!(leaving);
        let (mut is_ready, mut must_stop) = (false, false);
        while !(is_ready && must_stop) {
            let is_leaving = self.is_leaving;
            tokio::select! {
                asked = self.next() => {
                    if asked == Asked::Stop && std::mem::replace(&mut must_stop, true) {
                        tracing::warn!("asked to stop again: not waiting any longer");
                        return false;
                    }
                    must_stop |= asked == Asked::Stop;
                    self.is_leaving = true;
                }
                () = &mut leaving, if is_leaving && !is_ready => is_ready = true,
            }
        }
        true
    }
}

/// Makes ready to stop.
#[expect(clippy::disallowed_methods, reason = "a pause for load balancers, which no simulation drives")]
pub(super) async fn leave(vitals: &Vitals, cluster: &Arc<Cluster>, delay: Duration) {
    vitals.leave(Leaving::Going);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let began = cluster.clock().monotonic();
    let (led, left) = cluster.leave_leads(HAND_OVER_MAX).await;
    let ms = cluster.clock().monotonic().saturating_sub(began).as_millis();
    tracing::info!(led, left, ms, "leads given away");
    vitals.leave(Leaving::Gone);
}
