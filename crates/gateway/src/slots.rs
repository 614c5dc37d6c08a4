//! The turns of queries: some run, some wait for their turn, and one whose client does not read steps aside, so that
//! slow clients do not keep the others from theirs.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::Counter;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{ApiError, Code};
use crate::ports::SinkClosed;

/// Queries that run at once, and those that wait. As many as may run may stand aside.
#[derive(Debug)]
pub(crate) struct QuerySlots {
    running: Arc<Semaphore>,
    aside: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    running_max: usize,
}

impl QuerySlots {
    pub(crate) fn new(running_max: usize, waiting_max: usize) -> Self {
        let semaphore = || Arc::new(Semaphore::new(running_max));
        Self {
            running: semaphore(),
            aside: semaphore(),
            waiting: AtomicUsize::new(0),
            waiting_max,
            running_max,
        }
    }

    /// How many may run, and how many wait.
    pub(crate) fn figures(&self) -> (usize, usize) {
        (self.running_max, self.waiting.load(Ordering::Relaxed))
    }

    /// Waits for a turn.
    pub(crate) async fn acquire(&self, refused: &Counter) -> Result<Turn, ApiError> {
        let permit = match Arc::clone(&self.running).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_none) => {
                let _place = Place::take(&self.waiting, self.waiting_max).ok_or_else(|| {
                    refused.inc();
                    let waiting = self.waiting_max;
                    let message =
                        format!("queue length exceeded: {waiting} queries wait already (query-queue-size)");
                    ApiError::new(Code::TooManyRequests, message)
                })?;
                let permit = Arc::clone(&self.running).acquire_owned().await;
                permit.map_err(|closed| ApiError::internal(&closed))?
            }
        };
        let (turns, aside) = (Arc::clone(&self.running), Arc::clone(&self.aside));
        Ok(Turn { running: Some(permit), turns, aside })
    }
}

/// The turn of a query, over when dropped.
pub(crate) struct Turn {
    /// `None` while it stands aside.
    running: Option<OwnedSemaphorePermit>,
    turns: Arc<Semaphore>,
    aside: Arc<Semaphore>,
}

impl Turn {
    /// Waits for the client without keeping others from their turn, if there is a place aside; then waits for a turn
    /// again, unless the client is gone. Called on a thread that may block.
    pub(crate) fn step_aside(
        &mut self,
        client: impl Future<Output = Result<(), SinkClosed>>,
    ) -> Result<(), SinkClosed> {
        let runtime = Handle::current();
        let Ok(_place) = Arc::clone(&self.aside).try_acquire_owned() else {
            return host::wait(&runtime, client);
        };
        self.running = None;
        host::wait(&runtime, client)?;
        let permit =
            host::wait(&runtime, Arc::clone(&self.turns).acquire_owned()).map_err(|_closed| SinkClosed)?;
        self.running = Some(permit);
        Ok(())
    }
}

/// A place in a queue.
pub(crate) struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    pub(crate) fn take(queue: &'a AtomicUsize, max: usize) -> Option<Self> {
        queue
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < max).then_some(n + 1))
            .ok()
            .map(|_before| Self(queue))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
