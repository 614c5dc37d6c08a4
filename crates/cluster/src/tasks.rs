//! Tasks with an owner: whoever spawns one waits for it at shutdown, and its panic is not lost.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::fatal::Fatal;

/// Tasks that end together. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TaskGroup {
    tracker: TaskTracker,
    stop: CancellationToken,
    fatal: Fatal,
}

impl TaskGroup {
    /// A group whose tasks must not panic: a panic is fatal for the process.
    #[must_use]
    pub fn new(fatal: Fatal) -> Self {
        Self { tracker: TaskTracker::new(), stop: CancellationToken::new(), fatal }
    }

    /// Starts a task. It is dropped at its next await when the group stops.
    #[expect(clippy::disallowed_methods, reason = "this is the TaskGroup that everyone else spawns in")]
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (stop, fatal) = (self.stop.clone(), self.fatal.clone());
        let task = async move {
            let run = AssertUnwindSafe(stop.run_until_cancelled(task)).catch_unwind();
            if run.await.is_err() {
                fatal.raise(&format!("task {name} panicked"));
            }
        };
        tokio::spawn(self.tracker.track_future(task));
    }

    /// Whether the group has been asked to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Stops all tasks when the guard is dropped, without waiting for them.
    pub(crate) fn stop_on_drop(&self) -> DropGuard {
        self.stop.clone().drop_guard()
    }

    /// Stops all tasks and waits until they have ended.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
